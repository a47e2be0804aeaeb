/* SPDX-License-Identifier: Apache-2.0 */
/* Models that look words up: WordPiece (the longest token first, then the longest that continues it), WordLevel (a word is
 * a token) and RWKV's (the longest token, whatever it is). */
#include "text/text.h"

typedef struct words {
    sc_token_model base;
    const sc_vocab *vocab;
    sc_prefix_tree tree;
    int32_t inner;     /* the node of the prefix of tokens that continue a word, -1: there are none */
    int64_t max_chars; /* of a word */
    int32_t unk;
} words;

static void words_free(sc_token_model *base)
{
    words *m = (words *)base;
    if (!m) return;
    sc_prefix_free(&m->tree);
    sc_free(m);
}

/* The longest token that goes on from `node` with p[from..n); its end, `from` for none. */
static int64_t longest(const words *m, int32_t node, const char *p, int64_t from, int64_t n, int32_t *id)
{
    int64_t end = from;
    for (int64_t i = from; i < n && node >= 0;) {
        node = sc_prefix_step(&m->tree, node, (uint8_t)p[i++]);
        if (node >= 0 && m->tree.unit[node].value >= 0) {
            *id = m->tree.unit[node].value;
            end = i;
        }
    }
    return end;
}

static sc_status encode_wordpiece(const sc_token_model *base, sc_encoder *e, sc_piece piece)
{
    const words *m = (const words *)base;
    int64_t chars = 0, begin = e->n, i = 0;
    for (int64_t k = 0; k < piece.n; k++) chars += ((unsigned char)piece.p[k] & 0xc0) != 0x80;
    while (chars <= m->max_chars && i < piece.n) {
        int32_t id = -1;
        int64_t end = longest(m, i > 0 ? m->inner : 0, piece.p, i, piece.n, &id);
        if (end == i) break;
        sc_status s = sc_encoder_emit(e, id, &piece, i, end);
        if (s) return s;
        i = end;
    }
    if (i == piece.n) return SC_OK;
    e->n = begin; /* one part unknown, all unknown */
    return sc_encoder_emit(e, m->unk, &piece, 0, piece.n);
}

static sc_status encode_wordlevel(const sc_token_model *base, sc_encoder *e, sc_piece piece)
{
    const words *m = (const words *)base;
    int32_t id = sc_vocab_find(m->vocab, piece.p, piece.n);
    if (id < 0) id = m->unk;
    if (id < 0)
        return sc_fail(SC_EFORMAT,
                       "tokenizer: the word %.*s is in no token, and there is no token for unknown words",
                       (int)SC_MIN(piece.n, 40), piece.p);
    return sc_encoder_emit(e, id, &piece, 0, piece.n);
}

static sc_status encode_greedy(const sc_token_model *base, sc_encoder *e, sc_piece piece)
{
    const words *m = (const words *)base;
    for (int64_t i = 0; i < piece.n;) {
        int32_t id = -1;
        int64_t end = longest(m, 0, piece.p, i, piece.n, &id);
        if (end == i) { /* a byte that no token begins with */
            id = m->unk;
            end = i + 1;
        }
        sc_status s = id >= 0 ? sc_encoder_emit(e, id, &piece, i, end) : SC_OK;
        if (s) return s;
        i = end;
    }
    return SC_OK;
}

/* All the model's tokens. */
static sc_status build(words *m)
{
    const sc_vocab *v = m->vocab;
    sc_slice *keys = sc_malloc((size_t)(v->ids + 1) * sizeof(*keys));
    int32_t *values = sc_malloc((size_t)(v->ids + 1) * sizeof(*values));
    int64_t n = 0;
    for (int64_t i = 0; keys && values && i < v->ids; i++) {
        if (!v->text[i] || !(v->flags[i] & SC_TOKEN_MODEL)) continue;
        keys[n] = (sc_slice){v->text[i], v->len[i]};
        values[n++] = (int32_t)i;
    }
    sc_status s = keys && values ? sc_prefix_build(&m->tree, keys, values, n) : sc_nomem();
    sc_free(keys);
    sc_free(values);
    return s;
}

static sc_status begin(words **out, sc_tokenizer *t, int32_t unk)
{
    words *m = sc_calloc(1, sizeof(*m));
    if (!m) return sc_nomem();
    m->base.free = words_free;
    m->vocab = &t->vocab;
    m->unk = unk;
    *out = m;
    return SC_OK;
}

sc_status sc_wordpiece_new(sc_token_model **out, sc_tokenizer *t, const char *prefix, int64_t max_chars,
                           int32_t unk)
{
    words *m;
    sc_status s = begin(&m, t, unk);
    if (s) return s;
    m->base.encode = encode_wordpiece;
    m->max_chars = max_chars;
    s = build(m);
    if (s) {
        words_free(&m->base);
        return s;
    }
    for (const char *p = prefix; *p && m->inner >= 0; p++)
        m->inner = sc_prefix_step(&m->tree, m->inner, (uint8_t)*p);
    *out = &m->base;
    return SC_OK;
}

sc_status sc_wordlevel_new(sc_token_model **out, sc_tokenizer *t, int32_t unk)
{
    words *m;
    sc_status s = begin(&m, t, unk);
    if (s) return s;
    m->base.encode = encode_wordlevel;
    *out = &m->base;
    return SC_OK;
}

sc_status sc_greedy_new(sc_token_model **out, sc_tokenizer *t, int32_t unk)
{
    words *m;
    sc_status s = begin(&m, t, unk);
    if (s) return s;
    m->base.encode = encode_greedy;
    s = build(m);
    if (s) {
        words_free(&m->base);
        return s;
    }
    *out = &m->base;
    return SC_OK;
}
