/* SPDX-License-Identifier: Apache-2.0 */
/* From a GGUF file's tokenizer.ggml.* to a tokenizer. */
#include "socle/gguf.h"
#include "text/text.h"

typedef struct arrays {
    sc_slice *tokens, *merges;
    int32_t *types;
    float *scores;
    uint8_t *charsmap;
} arrays;

static sc_status read_strings(const sc_gguf *g, const char *key, sc_slice **out, int64_t *n)
{
    sc_gguf_text *text = NULL;
    int64_t count = 0;
    sc_status s = sc_gguf_strings(g, key, &text, &count);
    if (s || !text) return s;
    sc_slice *list = sc_malloc((size_t)count * sizeof(*list));
    for (int64_t i = 0; list && i < count; i++) list[i] = (sc_slice){text[i].p, text[i].n};
    sc_free(text);
    *out = list;
    *n = count;
    return list ? SC_OK : sc_nomem();
}

static sc_status same_length(const sc_gguf *g, const char *key, int64_t n, int64_t tokens)
{
    if (n == tokens) return SC_OK;
    return sc_fail(SC_EFORMAT, "%s: %s: %lld elements for %lld tokens", sc_gguf_path(g), key, (long long)n,
                   (long long)tokens);
}

static sc_status read_arrays(const sc_gguf *g, sc_gguf_vocab *v, arrays *a)
{
    int64_t *types = NULL, n = 0;
    sc_status s = read_strings(g, "tokenizer.ggml.tokens", &a->tokens, &v->n);
    if (!s && !a->tokens) s = sc_fail(SC_EFORMAT, "%s: tokenizer.ggml.tokens: missing", sc_gguf_path(g));
    if (!s) s = read_strings(g, "tokenizer.ggml.merges", &a->merges, &v->n_merges);
    if (!s) s = sc_gguf_floats(g, "tokenizer.ggml.scores", &a->scores, &n);
    if (!s && a->scores) s = same_length(g, "tokenizer.ggml.scores", n, v->n);
    if (!s) s = sc_gguf_ints(g, "tokenizer.ggml.token_type", &types, &n);
    if (!s && types) s = same_length(g, "tokenizer.ggml.token_type", n, v->n);
    if (!s && types) {
        a->types = sc_malloc((size_t)n * sizeof(*a->types));
        for (int64_t i = 0; a->types && i < n; i++)
            a->types[i] = types[i] >= 0 && types[i] <= 6 ? (int32_t)types[i] : 0;
        if (!a->types) s = sc_nomem();
    }
    sc_free(types);
    v->tokens = a->tokens;
    v->merges = a->merges;
    v->scores = a->scores;
    v->types = a->types;
    return s;
}

static sc_status read_charsmap(const sc_gguf *g, sc_gguf_vocab *v, arrays *a)
{
    int64_t *bytes = NULL, n = 0;
    sc_status s = sc_gguf_ints(g, "tokenizer.ggml.precompiled_charsmap", &bytes, &n);
    if (s || !bytes) return s;
    a->charsmap = sc_malloc((size_t)n + 1);
    for (int64_t i = 0; a->charsmap && i < n; i++) a->charsmap[i] = (uint8_t)bytes[i];
    sc_free(bytes);
    v->charsmap = a->charsmap;
    v->charsmap_n = n;
    return a->charsmap ? SC_OK : sc_nomem();
}

static sc_status read_id(const sc_gguf *g, const char *key, int32_t *out)
{
    int64_t id = -1;
    sc_status s = sc_gguf_int(g, key, INT32_MIN, UINT32_MAX, &id);
    *out = id >= 0 && id < INT32_MAX ? (int32_t)id : -1; /* some writers put 2^32 - 1 for none */
    return s;
}

static sc_status read_flag(const sc_gguf *g, const char *key, int *out)
{
    bool b = false;
    if (!sc_gguf_key(g, key)) return SC_OK;
    sc_status s = sc_gguf_bool(g, key, &b);
    *out = b;
    return s;
}

sc_status sc_tokenizer_from_gguf(sc_tokenizer **out, const struct sc_gguf *g)
{
    sc_gguf_vocab v = {.bos = -1,
                       .eos = -1,
                       .pad = -1,
                       .unk = -1,
                       .cls = -1,
                       .sep = -1,
                       .add_bos = -1,
                       .add_eos = -1,
                       .add_space_prefix = -1,
                       .lowercase = -1,
                       .strip_accents = -1};
    int squeeze = 0;
    arrays a = {0};
    sc_status s = sc_gguf_str(g, "tokenizer.ggml.model", &v.model);
    if (!s && !v.model) s = sc_fail(SC_EFORMAT, "%s: tokenizer.ggml.model: missing", sc_gguf_path(g));
    if (!s) s = sc_gguf_str(g, "tokenizer.ggml.pre", &v.pre);
    if (!s) s = read_id(g, "tokenizer.ggml.bos_token_id", &v.bos);
    if (!s) s = read_id(g, "tokenizer.ggml.eos_token_id", &v.eos);
    if (!s) s = read_id(g, "tokenizer.ggml.padding_token_id", &v.pad);
    if (!s) s = read_id(g, "tokenizer.ggml.unknown_token_id", &v.unk);
    if (!s) s = read_id(g, "tokenizer.ggml.cls_token_id", &v.cls);
    if (!s) s = read_id(g, "tokenizer.ggml.seperator_token_id", &v.sep);
    if (!s) s = read_flag(g, "tokenizer.ggml.normalizer.lowercase", &v.lowercase);
    if (!s) s = read_flag(g, "tokenizer.ggml.normalizer.strip_accents", &v.strip_accents);
    if (!s) s = read_flag(g, "tokenizer.ggml.remove_extra_whitespaces", &squeeze);
    v.squeeze_spaces = squeeze > 0;
    if (!s) s = read_flag(g, "tokenizer.ggml.add_bos_token", &v.add_bos);
    if (!s) s = read_flag(g, "tokenizer.ggml.add_eos_token", &v.add_eos);
    if (!s) s = read_flag(g, "tokenizer.ggml.add_space_prefix", &v.add_space_prefix);
    if (!s) s = read_charsmap(g, &v, &a);
    if (!s) s = read_arrays(g, &v, &a);
    if (!s) s = sc_tokenizer_from_gguf_vocab(out, &v, sc_gguf_path(g));
    sc_free(a.tokens);
    sc_free(a.merges);
    sc_free(a.types);
    sc_free(a.scores);
    sc_free(a.charsmap);
    return s;
}
