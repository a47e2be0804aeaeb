/* SPDX-License-Identifier: Apache-2.0 */
/* Unigram: of all ways to cut a piece into tokens, the one whose scores (log-probabilities) sum to the most. The best way
 * to each position is found from left to right; of equals the one that begins first counts. A character that no token
 * spells costs 10 more than the least likely token.
 *
 * Memory: for each byte of the piece the token that ends there, and a ring of scores as long as the longest token. */
#include "text/text.h"

#include <math.h>

#define UNKNOWN_PENALTY 10.0
#define UNSET           INT32_MIN

typedef struct unigram {
    sc_token_model base;
    const sc_vocab *vocab;
    sc_prefix_tree tree;
    double *score; /* [ids] */
    double unknown;
    int64_t ring; /* a power of two above the longest token */
    int32_t byte[256];
    int32_t unk;
    bool fuse, byte_fallback, single;
} unigram;

static void unigram_free(sc_token_model *base)
{
    unigram *m = (unigram *)base;
    if (!m) return;
    sc_prefix_free(&m->tree);
    sc_free(m->score);
    sc_free(m);
}

/* ---- emitting ---- */

static bool bytes_known(const unigram *m, const char *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (m->byte[(uint8_t)p[i]] < 0) return false;
    }
    return m->byte_fallback;
}

/* Text that no token of the best way spells: maybe a token by chance, else bytes, else the unknown token. */
static sc_status put_unknown(const unigram *m, sc_encoder *e, const sc_piece *piece, int64_t from, int64_t to)
{
    int32_t id = m->single ? -1 : sc_vocab_find(m->vocab, piece->p + from, to - from);
    if (id >= 0) return sc_encoder_emit(e, id, piece, from, to);
    if (bytes_known(m, piece->p + from, to - from)) {
        sc_status s = SC_OK;
        for (int64_t i = from; i < to && !s; i++)
            s = sc_encoder_emit(e, m->byte[(uint8_t)piece->p[i]], piece, from, to);
        return s;
    }
    if (m->unk < 0)
        return sc_fail(SC_EFORMAT, "tokenizer: %.*s is in no token, and there is no token for unknown text",
                       (int)SC_MIN(to - from, 40), piece->p + from);
    return sc_encoder_emit(e, m->unk, piece, from, to);
}

/* A step of a way: a token, or -n for n unknown bytes. */
static int64_t step_length(const unigram *m, int32_t v) { return v < 0 ? -(int64_t)v : m->vocab->len[v]; }

static sc_status put_way(const unigram *m, sc_encoder *e, const sc_piece *piece, const int32_t *way)
{
    int64_t from = -1; /* unknown text that waits */
    sc_status s = SC_OK;
    for (int64_t i = 0; i < piece->n && !s;) {
        int32_t v = way[i];
        int64_t end = i + step_length(m, v);
        if (v < 0 || v == m->unk) {
            if (from < 0) from = i;
            if (!m->fuse) {
                s = put_unknown(m, e, piece, from, end);
                from = -1;
            }
        } else {
            if (from >= 0) s = put_unknown(m, e, piece, from, i);
            from = -1;
            if (!s) s = sc_encoder_emit(e, v, piece, i, end);
        }
        i = end;
    }
    return !s && from >= 0 ? put_unknown(m, e, piece, from, piece->n) : s;
}

/* ---- the best way ---- */

/* way[i]: the last step of the best way to i. */
static void search(const unigram *m, const char *p, int64_t n, int32_t *way, double *score)
{
    int64_t mask = m->ring - 1;
    const struct sc_prefix_unit *unit = m->tree.unit;
    for (int64_t i = 0; i <= n; i++) way[i] = UNSET;
    score[0] = 0;
    for (int64_t i = 0; i < n;) {
        uint32_t cp;
        int k = (unsigned char)p[i] < 0x80 ? 1 : sc_utf8_decode(p + i, n - i, &cp);
        double here = score[i & mask];
        bool whole = false;
        int32_t node = 0;
        for (int64_t j = i; j < n;) {
            node = sc_prefix_step(&m->tree, node, (uint8_t)p[j++]);
            if (node < 0) break;
            int32_t id = unit[node].value;
            if (id < 0) continue;
            double sum = m->score[id] + here;
            if (way[j] == UNSET || sum > score[j & mask]) {
                score[j & mask] = m->single ? (double)(float)sum : sum;
                way[j] = id;
            }
            whole |= j == i + k;
        }
        if (!whole) {
            double sum = m->unknown + here;
            if (way[i + k] == UNSET || sum > score[(i + k) & mask]) {
                score[(i + k) & mask] = m->single ? (double)(float)sum : sum;
                way[i + k] = -k;
            }
        }
        i += k;
    }
}

/* Turns the steps that end at positions into steps that begin there. */
static void turn(const unigram *m, int32_t *way, int64_t n)
{
    int32_t v = way[n];
    for (int64_t end = n; end > 0;) {
        int64_t begin = end - step_length(m, v);
        int32_t before = way[begin];
        way[begin] = v;
        v = before;
        end = begin;
    }
}

static sc_status encode(const sc_token_model *base, sc_encoder *e, sc_piece piece)
{
    const unigram *m = (const unigram *)base;
    if (piece.n == 0) return SC_OK;
    if (piece.n >= INT32_MAX)
        return sc_fail(SC_ELIMIT, "tokenizer: a piece of %lld bytes; at most %d", (long long)piece.n,
                       INT32_MAX - 1);
    if (!sc_grow(&e->way, &e->way_cap, piece.n + 1, sizeof(*e->way)) ||
        !sc_grow(&e->score, &e->score_cap, m->ring, sizeof(*e->score)))
        return sc_nomem();
    search(m, piece.p, piece.n, e->way, e->score);
    turn(m, e->way, piece.n);
    return put_way(m, e, &piece, e->way);
}

/* ---- making ---- */

static sc_status build(unigram *m)
{
    const sc_vocab *v = m->vocab;
    sc_slice *keys = sc_malloc((size_t)(v->ids + 1) * sizeof(*keys));
    int32_t *values = sc_malloc((size_t)(v->ids + 1) * sizeof(*values));
    int64_t n = 0, longest = 4;
    for (int64_t i = 0; keys && values && i < v->ids; i++) {
        if (!v->text[i] || !(v->flags[i] & SC_TOKEN_MODEL)) continue;
        keys[n] = (sc_slice){v->text[i], v->len[i]};
        values[n++] = (int32_t)i;
        longest = SC_MAX(longest, v->len[i]);
    }
    sc_status s = keys && values ? sc_prefix_build(&m->tree, keys, values, n) : sc_nomem();
    sc_free(keys);
    sc_free(values);
    m->ring = 8;
    while (m->ring <= longest) m->ring *= 2;
    return s;
}

sc_status sc_unigram_new(sc_token_model **out, sc_tokenizer *t, const double *scores, double least,
                         const sc_unigram_options *o)
{
    unigram *m = sc_calloc(1, sizeof(*m));
    if (!m) return sc_nomem();
    m->base = (sc_token_model){.encode = encode, .free = unigram_free};
    m->vocab = &t->vocab;
    m->unk = o->unk;
    m->fuse = o->fuse_unk;
    m->byte_fallback = o->byte_fallback;
    m->single = o->single;
    m->unknown = (m->single ? (double)(float)(least - UNKNOWN_PENALTY) : least - UNKNOWN_PENALTY);
    m->score = sc_malloc((size_t)SC_MAX(t->vocab.ids, 1) * sizeof(*m->score));
    sc_status s = m->score ? build(m) : sc_nomem();
    if (s) {
        unigram_free(&m->base);
        return s;
    }
    memcpy(m->score, scores, (size_t)t->vocab.ids * sizeof(*m->score));
    for (int b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof(text), "<0x%02X>", b);
        m->byte[b] = o->bytes ? o->bytes[b] : sc_vocab_find(m->vocab, text, 6);
    }
    *out = &m->base;
    return SC_OK;
}
