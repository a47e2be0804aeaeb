/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts for the text between two others (Bavarian et al. 2022, "Efficient Training of Language Models to Fill in the
 * Middle"): prefix and suffix between tokens that the model was trained with, the answer after the last of them. */
#include "text/text.h"

/* What the models call these tokens, and the one that ends the answer. */
static const struct {
    const char *prefix, *suffix, *middle, *end;
} kinds[] = {
    {"\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>", "\u2581<EOT>"},            /* CodeLlama */
    {"<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|endoftext|>"},       /* StarCoder, Granite */
    {"<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>", "<|endoftext|>"}, /* Qwen2.5-Coder */
    {"<\uff5cfim\u2581begin\uff5c>", "<\uff5cfim\u2581hole\uff5c>", "<\uff5cfim\u2581end\uff5c>",
     NULL},                                                          /* DeepSeek-Coder */
    {"<|code_prefix|>", "<|code_suffix|>", "<|code_middle|>", NULL}, /* CodeGeeX, GLM-4 */
};

static int32_t id_of(const sc_tokenizer *t, const char *token)
{
    return token ? sc_tokenizer_id(t, token, (int64_t)strlen(token)) : -1;
}

typedef struct id_list {
    int32_t *p;
    int64_t n, cap;
    sc_status status;
} id_list;

static void add(id_list *l, const int32_t *ids, int64_t n)
{
    if (!l->status && !sc_grow(&l->p, &l->cap, l->n + n, sizeof *l->p)) l->status = sc_nomem();
    if (l->status || !n) return;
    memcpy(l->p + l->n, ids, sizeof *ids * (size_t)n);
    l->n += n;
}

static void add_text(id_list *l, const sc_tokenizer *t, const char *text, int64_t len)
{
    int32_t *ids = NULL;
    int64_t n = 0;
    if (!l->status) l->status = sc_tokenizer_encode(t, text, len, 0, &ids, &n);
    add(l, ids, n);
    sc_free(ids);
}

/* A text that does not begin a line of its own: without the space that some tokenizers put in front of every text. That
 * space and a sign that merges with nothing are encoded with it and taken away. */
static void add_inner(id_list *l, const sc_tokenizer *t, const char *text, int64_t len)
{
    static const char sign[] = "\u263a", space[] = "\u2581";
    int32_t *alone = NULL, *both = NULL;
    int64_t n = 0, m = 0;
    sc_str with = {0};
    sc_str_append(&with, sign, sizeof sign - 1);
    sc_str_append(&with, text, len);
    if (!l->status && with.oom) l->status = sc_nomem();
    if (!l->status) l->status = sc_tokenizer_encode(t, sign, sizeof sign - 1, 0, &alone, &n);
    if (!l->status) l->status = sc_tokenizer_encode(t, with.p, with.len, 0, &both, &m);
    const char *first = !l->status && n ? sc_tokenizer_token(t, alone[0], NULL) : NULL;
    if (first && strncmp(first, space, sizeof space - 1) == 0 && m >= n &&
        memcmp(alone, both, sizeof *alone * (size_t)n) == 0)
        add(l, both + n, m - n);
    else
        add_text(l, t, text, len);
    sc_free(alone);
    sc_free(both);
    sc_str_free(&with);
}

/* The id that the tokenizer puts before every text, where it does. */
static void add_begin(id_list *l, const sc_tokenizer *t)
{
    int32_t *ids = NULL, bos = sc_tokenizer_bos(t);
    int64_t n = 0;
    if (!l->status) l->status = sc_tokenizer_encode(t, "", 0, SC_TOKENIZE_SPECIAL, &ids, &n);
    if (n && bos >= 0 && ids[0] == bos) add(l, &bos, 1);
    sc_free(ids);
}

sc_status sc_tokenizer_infill(const sc_tokenizer *t, const char *prefix, int64_t prefix_len, const char *suffix,
                              int64_t suffix_len, int32_t **ids, int64_t *n, int32_t *end)
{
    id_list l = {0};
    for (int k = 0; k < SC_COUNT(kinds); k++) {
        int32_t before = id_of(t, kinds[k].prefix), after = id_of(t, kinds[k].suffix),
                middle = id_of(t, kinds[k].middle);
        if (before < 0 || after < 0 || middle < 0) continue;
        add_begin(&l, t);
        add(&l, &before, 1);
        add_text(&l, t, prefix, prefix_len);
        add(&l, &after, 1);
        add_inner(&l, t, suffix, suffix_len);
        add(&l, &middle, 1);
        if (l.status) {
            sc_free(l.p);
            return l.status;
        }
        *ids = l.p;
        *n = l.n;
        *end = id_of(t, kinds[k].end);
        return SC_OK;
    }
    return sc_fail(SC_ENOTFOUND, "the tokenizer has no tokens for filling in between a prefix and a suffix");
}
