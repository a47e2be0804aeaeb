/* SPDX-License-Identifier: Apache-2.0 */
/* tiktoken's files: tokens as base64 with their ranks, which are their ids and the order of merging. Neither the pattern that cuts
 * the text nor the special tokens stand in them; the number of ranks tells which of the published vocabularies it is. */
#include "text/patterns.h"
#include "text/text.h"

#include <stdlib.h>

typedef struct published {
    int64_t ranks;
    const char *name; /* also looked for in the file's name */
    const char *pre;  /* what tokenizer.ggml.pre calls its pre-tokenizer; NULL: CL100K_PATTERN */
    const char *bos;  /* put before texts, NULL for none */
    const char *eos;
    const char *special; /* names, each an id on from the last rank or from "=id" */
} published;

static const published known[] = {
    {100256, "cl100k", NULL, NULL, "<|endoftext|>",
     "=100257 <|endoftext|> <|fim_prefix|> <|fim_middle|> <|fim_suffix|> =100276 <|endofprompt|>"},
    {199998, "o200k", "gpt-4o", NULL, "<|endoftext|>", "=199999 <|endoftext|> =200018 <|endofprompt|>"},
    {151643, "qwen", "deepseek-r1-qwen", NULL, "<|endoftext|>", "<|endoftext|> <|im_start|> <|im_end|>"},
    {128000, "llama3", "llama-bpe", "<|begin_of_text|>", "<|end_of_text|>",
     "<|begin_of_text|> <|end_of_text|> <|reserved_special_token_0|> <|reserved_special_token_1|> "
     "<|finetune_right_pad_id|> <|step_id|> <|start_header_id|> <|end_header_id|> <|eom_id|> <|eot_id|> "
     "<|python_tag|> <|image|>"},
    {50256, "gpt2", "gpt-2", NULL, "<|endoftext|>", "<|endoftext|>"},
    {50257, "multilingual", "gpt-2", NULL, "<|endoftext|>", "<|endoftext|>"},
};
#define LLAMA3_SPECIAL 256 /* of them; those without a name are reserved */

static bool base64_char(char c)
{
    return c == '+' || c == '/' || c == '=' || (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
           (c >= 'a' && c <= 'z');
}

bool sc_is_tiktoken(const char *p, int64_t n)
{
    int64_t i = 0;
    while (i < n && i < 200 && base64_char(p[i])) i++;
    return i > 1 && i + 1 < n && p[i] == ' ' && p[i + 1] >= '0' && p[i + 1] <= '9';
}

static const published *find_published(int64_t ranks, const char *path)
{
    for (int i = 0; i < SC_COUNT(known); i++) {
        if (known[i].ranks == ranks) return &known[i];
    }
    for (int i = 0; i < SC_COUNT(known); i++) {
        if (strstr(sc_path_base(path), known[i].name)) return &known[i];
    }
    return NULL;
}

/* One line; the token's text is spelled in byte characters, as tokenizer.json files spell it. */
static sc_status read_line(sc_tokenizer *t, const char *p, int64_t n, int64_t line, const char *what, sc_str raw[2])
{
    const char *space = memchr(p, ' ', (size_t)n);
    int64_t rank = 0, i = space ? space - p + 1 : n;
    for (; i < n && p[i] >= '0' && p[i] <= '9' && rank < SC_TEXT_MAX_IDS; i++) rank = 10 * rank + (p[i] - '0');
    raw[0].len = raw[1].len = 0;
    if (!space || i < n || space + 1 == p + n || !sc_base64_decode(&raw[0], p, space - p) || raw[0].len == 0)
        return raw[0].oom ? sc_nomem()
                          : sc_fail(SC_EFORMAT, "%s: line %lld is no token in base64 with its rank", what,
                                    (long long)line);
    for (int64_t k = 0; k < raw[0].len; k++) {
        char out[2];
        int bytes;
        sc_byte_char((uint8_t)raw[0].p[k], out, &bytes);
        sc_str_append(&raw[1], out, bytes);
    }
    if (raw[1].oom) return sc_nomem();
    if (rank < t->vocab.ids && t->vocab.text[rank])
        return sc_fail(SC_EFORMAT, "%s: line %lld: rank %lld is there twice", what, (long long)line,
                       (long long)rank);
    sc_status s = sc_vocab_set(&t->vocab, rank, raw[1].p, raw[1].len, what);
    if (!s) t->vocab.flags[rank] |= SC_TOKEN_MODEL;
    return s;
}

static sc_status read_ranks(sc_tokenizer *t, const char *data, int64_t len, const char *what, int64_t *ranks)
{
    sc_str raw[2] = {{0}, {0}};
    sc_status s = SC_OK;
    int64_t line = 1;
    *ranks = 0;
    for (int64_t i = 0; i < len && !s; line++) {
        const char *end = memchr(data + i, '\n', (size_t)(len - i));
        int64_t n = end ? end - (data + i) : len - i, next = i + n + 1;
        while (n > 0 && data[i + n - 1] == '\r') n--;
        if (n > 0) {
            s = read_line(t, data + i, n, line, what, raw);
            ++*ranks;
        }
        i = next;
    }
    sc_str_free(&raw[0]);
    sc_str_free(&raw[1]);
    if (s) return s;
    s = sc_vocab_index(&t->vocab);
    for (int b = 0; b < 256 && !s; b++) {
        char text[2];
        int n;
        sc_byte_char((uint8_t)b, text, &n);
        if (sc_vocab_find(&t->vocab, text, n) < 0)
            s = sc_fail(SC_EFORMAT, "%s: no token for the byte 0x%02x", what, b);
    }
    return s;
}

static sc_status add_special(sc_tokenizer *t, int64_t id, const char *p, int64_t n, const char *what)
{
    if (id < t->vocab.ids && t->vocab.text[id]) return SC_OK;
    return sc_added_put(t, (sc_added){.id = (int32_t)id, .special = true}, p, n, what);
}

static sc_status read_special(sc_tokenizer *t, const published *k, int64_t ranks, const char *what)
{
    int64_t id = ranks;
    sc_status s = SC_OK;
    for (const char *p = k->special; *p && !s;) {
        size_t n = strcspn(p, " ");
        if (*p == '=')
            id = strtoll(p + 1, NULL, 10);
        else
            s = add_special(t, id++, p, (int64_t)n, what);
        p += n + (p[n] == ' ');
    }
    for (int i = 2; id > ranks + 10 && id < ranks + LLAMA3_SPECIAL && k->bos && !s; i++) {
        char name[40];
        snprintf(name, sizeof(name), "<|reserved_special_token_%d|>", i);
        s = add_special(t, id++, name, (int64_t)strlen(name), what);
    }
    if (!s) s = sc_added_index(t);
    if (!s && k->bos) t->bos = sc_tokenizer_id(t, k->bos, (int64_t)strlen(k->bos));
    if (!s) t->eos = sc_tokenizer_id(t, k->eos, (int64_t)strlen(k->eos));
    return s;
}

static sc_status read_model(sc_tokenizer *t)
{
    int64_t n = t->vocab.ids;
    float *scores = sc_malloc((size_t)SC_MAX(n, 1) * sizeof(*scores));
    if (!scores) return sc_nomem();
    for (int64_t i = 0; i < n; i++) scores[i] = -(float)i;
    sc_bpe_options o = {.unk = -1, .by_score = true, .ignore_merges = true, .scores = scores};
    sc_status s = sc_bpe_new(&t->model, t, NULL, 0, &o);
    sc_free(scores);
    return s;
}

static sc_status read_all(sc_tokenizer *t, const char *data, int64_t len, const char *what)
{
    int64_t ranks;
    sc_status s = read_ranks(t, data, len, what, &ranks);
    if (s) return s;
    const published *k = find_published(ranks, what);
    if (!k)
        return sc_fail(
            SC_EUNSUPPORTED,
            "%s: tiktoken ranks of no known vocabulary (%lld of them): the pattern that cuts the text is "
            "not known",
            what, (long long)ranks);
    s = read_special(t, k, ranks, what);
    if (!s) s = read_model(t);
    if (!s) s = k->pre ? sc_pre_add_named(t, k->pre) : sc_pre_add_regex(t, CL100K_PATTERN);
    if (!s && !k->pre) s = sc_pre_add_bytes(t, false, false);
    if (!s) s = sc_dec_add(t, (sc_decode_step){.kind = SC_DEC_BYTES});
    return s ? s : sc_post_wrap(t, t->bos, -1);
}

sc_status sc_tokenizer_from_tiktoken(sc_tokenizer **out, const char *data, int64_t len, const char *what)
{
    sc_tokenizer *t;
    sc_status s = sc_tokenizer_begin(&t);
    if (!s) s = read_all(t, data, len, what);
    if (s) {
        sc_tokenizer_free(t);
        return s;
    }
    *out = t;
    return SC_OK;
}
