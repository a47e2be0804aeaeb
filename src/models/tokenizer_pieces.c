/* SPDX-License-Identifier: Apache-2.0 */
/* WordPiece and Unigram tokenizers as GGUF has them: the kinds bert and t5. */
#include "models/tokenizer_gguf.h"

#include <math.h>
#include <stdlib.h>

/* ---- WordPiece ---- */

sc_status sc_gguf_source_bert(sc_gguf_source *x)
{
    const json_t *norm = json_object_get(x->tokenizer, "normalizer"),
                 *pre = json_object_get(x->tokenizer, "pre_tokenizer");
    if (!sc_gguf_source_is(norm, "BertNormalizer") || !sc_gguf_source_is(pre, "BertPreTokenizer"))
        return sc_gguf_source_refuse(x, "a WordPiece tokenizer other than BERT's");
    const char *prefix = json_string_value(json_object_get(x->model, "continuing_subword_prefix"));
    if (prefix && strcmp(prefix, "##") != 0)
        return sc_gguf_source_refuse(x, "its prefix of tokens that continue a word");
    const json_t *accents = json_object_get(norm, "strip_accents");
    x->lowercase = !json_is_false(json_object_get(norm, "lowercase"));
    x->strip_accents = json_is_boolean(accents) ? json_is_true(accents) : x->lowercase;
    return SC_OK;
}

/* What begins a word gets a U+2581, what continues one loses its ##. Names in brackets stay, as converters leave them. */
sc_status sc_gguf_source_respell(sc_gguf_source *x)
{
    for (int64_t i = 0; i < x->n; i++) {
        sc_gguf_text *t = &x->token[i];
        bool bracketed = t->n > 2 && t->p[0] == '[' && t->p[t->n - 1] == ']'; /* [unused7] */
        if (x->type[i] != SC_GGUF_NORMAL || bracketed) continue;
        if (t->n >= 2 && memcmp(t->p, "##", 2) == 0) {
            *t = (sc_gguf_text){t->p + 2, t->n - 2};
            continue;
        }
        char *name = sc_arena_printf(x->arena, SC_LOWLINE "%.*s", (int)t->n, t->p);
        if (!name) return sc_nomem();
        *t = (sc_gguf_text){name, t->n + 3};
    }
    return SC_OK;
}

/* ---- Unigram ---- */

static sc_status read_charsmap(sc_gguf_source *x, const json_t *o)
{
    const char *text = json_string_value(json_object_get(o, "precompiled_charsmap"));
    if (x->charsmap.len > 0 || x->squeeze) return sc_gguf_source_refuse(x, "its normalizer");
    if (!text || !sc_base64_decode(&x->charsmap, text, (int64_t)strlen(text)))
        return sc_fail(SC_EFORMAT, "%s: tokenizer.json: a character map that is no base64", x->dir);
    return x->charsmap.oom ? sc_nomem() : SC_OK;
}

static sc_status read_normalizer(sc_gguf_source *x, const json_t *o)
{
    sc_status s = SC_OK;
    if (!o || json_is_null(o)) return SC_OK;
    if (sc_gguf_source_is(o, "Sequence")) {
        const json_t *list = json_object_get(o, "normalizers");
        for (size_t i = 0; !s && i < json_array_size(list); i++) {
            const json_t *item = json_array_get(list, i);
            s = sc_gguf_source_is(item, "Sequence") ? sc_gguf_source_refuse(x, "its normalizer")
                                                    : read_normalizer(x, item);
        }
        return s;
    }
    if (sc_gguf_source_is(o, "Precompiled")) return read_charsmap(x, o);
    const char *regex = json_string_value(json_object_get(json_object_get(o, "pattern"), "Regex"));
    const char *content = json_string_value(json_object_get(o, "content"));
    bool runs = regex && (strcmp(regex, " {2,}") == 0 || strcmp(regex, " +") == 0);
    if (sc_gguf_source_is(o, "Replace") && runs && content &&
        (strcmp(content, " ") == 0 || strcmp(content, SC_LOWLINE) == 0)) {
        x->squeeze = true;
        return SC_OK;
    }
    return sc_gguf_source_is(o, "Strip") ? SC_OK : sc_gguf_source_refuse(x, "its normalizer");
}

static sc_status read_pre(sc_gguf_source *x, const json_t *o)
{
    sc_status s = SC_OK;
    if (!o || json_is_null(o)) return SC_OK;
    const json_t *list = json_object_get(o, "pretokenizers");
    for (size_t i = 0; !s && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        s = sc_gguf_source_is(item, "Sequence") ? sc_gguf_source_refuse(x, "its pre-tokenizer") : read_pre(x, item);
    }
    if (list) return s;
    if (sc_gguf_source_is(o, "WhitespaceSplit")) {
        x->squeeze = true;
        return SC_OK;
    }
    if (!sc_gguf_source_is(o, "Metaspace")) return sc_gguf_source_refuse(x, "its pre-tokenizer");
    const char *scheme = json_string_value(json_object_get(o, "prepend_scheme"));
    const json_t *old = json_object_get(o, "add_prefix_space");
    x->add_space = scheme ? strcmp(scheme, "never") != 0 : !json_is_false(old);
    return SC_OK;
}

sc_status sc_gguf_source_t5(sc_gguf_source *x)
{
    sc_status s = read_normalizer(x, json_object_get(x->tokenizer, "normalizer"));
    return s ? s : read_pre(x, json_object_get(x->tokenizer, "pre_tokenizer"));
}

sc_status sc_gguf_source_scores(sc_gguf_source *x)
{
    const json_t *list = json_object_get(x->model, "vocab");
    double least = 0;
    x->score = sc_calloc((size_t)x->n, sizeof *x->score);
    if (!x->score) return sc_nomem();
    for (int64_t i = 0; i < (int64_t)json_array_size(list) && i < x->n; i++) {
        x->score[i] = (float)json_number_value(json_array_get(json_array_get(list, (size_t)i), 1));
        least = SC_MIN(least, (double)x->score[i]);
    }
    for (int64_t i = (int64_t)json_array_size(list); i < x->n; i++) x->score[i] = (float)least;
    return SC_OK;
}
