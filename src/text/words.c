/* SPDX-License-Identifier: Apache-2.0 */
/* What encoders keep between calls: their working memory, and the ids of words that they have met. */
#include "text/text.h"

#define SLOTS (1 << 16) /* of 64 bytes, in pairs; a power of two */
#define KEEP  (1 << 20) /* bytes: larger buffers are not kept */
#define SPARE 4         /* encoders at rest */

/* The bytes of a word as four numbers, which with its length stand for it: reads that overlap where it is short. */
static inline void word_key(const char *p, int n, uint64_t k[4])
{
    uint32_t a, b;
    k[0] = k[1] = k[2] = k[3] = 0;
    if (n >= 16) {
        memcpy(&k[0], p, 8);
        memcpy(&k[1], p + 8, 8);
        memcpy(&k[2], p + n - 16, 8);
        memcpy(&k[3], p + n - 8, 8);
    } else if (n >= 8) {
        memcpy(&k[0], p, 8);
        memcpy(&k[1], p + n - 8, 8);
    } else if (n >= 4) {
        memcpy(&a, p, 4);
        memcpy(&b, p + n - 4, 4);
        k[0] = (uint64_t)a << 32 | b;
    } else if (n > 0) {
        k[0] = (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[n / 2] << 8 | (uint8_t)p[n - 1];
    }
}

static inline uint64_t word_hash(const uint64_t k[4], int n)
{
    uint64_t h = (k[0] ^ (uint64_t)n) * 0x9e3779b97f4a7c15u;
    h = (h ^ (h >> 29) ^ k[1]) * 0xbf58476d1ce4e5b9u;
    h = (h ^ (h >> 31) ^ k[2]) * 0x94d049bb133111ebu;
    h = (h ^ (h >> 30) ^ k[3]) * 0x9e3779b97f4a7c15u;
    return h >> 40;
}

static inline bool same(const struct sc_word *w, const uint64_t k[4], int n)
{
    return w->len == n && w->key[0] == k[0] && w->key[1] == k[1] && w->key[2] == k[2] && w->key[3] == k[3];
}

typedef struct lookup {
    uint64_t key[4];
    struct sc_word *set; /* the two places where the word may be */
    sc_piece piece;
} lookup;

static void prepare(sc_encoder *e, lookup *l, sc_piece piece)
{
    l->piece = piece;
    if (piece.n > SC_WORD_BYTES || piece.n == 0) return;
    word_key(piece.p, (int)piece.n, l->key);
    l->set = &e->words[word_hash(l->key, (int)piece.n) & (SLOTS - 2)];
    __builtin_prefetch(l->set);
    __builtin_prefetch(l->set + 1);
}

/* A word that is not remembered: it takes the place of the one that came before the last one there. */
static sc_status learn(sc_encoder *e, const lookup *l, sc_word_fn *encode, const void *how)
{
    int64_t from = e->n;
    sc_status s = encode(e, how, l->piece);
    int64_t ids = e->n - from;
    if (s || ids > SC_WORD_IDS) return s;
    struct sc_word *w = l->set;
    w[1] = w[0];
    memcpy(w->key, l->key, sizeof(w->key));
    w->len = (uint8_t)l->piece.n;
    w->n = (uint8_t)ids;
    for (int64_t i = 0; i < ids; i++) w->id[i] = e->ids[from + i];
    return SC_OK;
}

static sc_status finish(sc_encoder *e, const lookup *l, sc_word_fn *encode, const void *how)
{
    int n = (int)l->piece.n;
    if (l->piece.n > SC_WORD_BYTES || n == 0) return encode(e, how, l->piece);
    const struct sc_word *w = l->set;
    if (!same(w, l->key, n) && !same(++w, l->key, n)) return learn(e, l, encode, how);
    if (e->n + SC_WORD_IDS > e->cap && !sc_grow(&e->ids, &e->cap, e->n + SC_WORD_IDS, sizeof(*e->ids)))
        return sc_nomem();
    memcpy(e->ids + e->n, w->id, sizeof(w->id)); /* all of them: cheaper than to count */
    e->n += w->n;
    return SC_OK;
}

static bool ready(sc_encoder *e) { return e->words || (e->words = sc_calloc(SLOTS, sizeof(*e->words))); }

sc_status sc_encoder_word(sc_encoder *e, sc_piece piece, sc_word_fn *encode, const void *how)
{
    lookup l;
    if (e->want_spans) return encode(e, how, piece);
    if (!ready(e)) return sc_nomem();
    prepare(e, &l, piece);
    return finish(e, &l, encode, how);
}

/* Several are looked up at once, so that the memory answers while the next ones are found. */
sc_status sc_encoder_words(sc_encoder *e, const sc_piece *pieces, int n, sc_word_fn *encode, const void *how)
{
    lookup l[SC_WORD_BATCH];
    if (!ready(e)) return sc_nomem();
    for (int i = 0; i < n; i++) prepare(e, &l[i], pieces[i]);
    sc_status s = SC_OK;
    for (int i = 0; i < n && !s; i++) s = finish(e, &l[i], encode, how);
    return s;
}

/* ---- encoders at rest ---- */

struct sc_encoder_pool {
    _Atomic(sc_encoder *) spare[SPARE];
};

sc_status sc_encoder_pool_new(sc_encoder_pool **out)
{
    sc_encoder_pool *p = sc_calloc(1, sizeof(*p));
    if (!p) return sc_nomem();
    *out = p;
    return SC_OK;
}

static void encoder_free(sc_encoder *e)
{
    if (!e) return;
    sc_free(e->ids);
    sc_free(e->spans);
    sc_free(e->words);
    sc_matcher_free(e->matcher);
    for (int i = 0; i < SC_COUNT(e->norm); i++) sc_norm_free(&e->norm[i]);
    for (int i = 0; i < SC_COUNT(e->scratch); i++) sc_norm_free(&e->scratch[i]);
    sc_norm_free(&e->known);
    sc_free(e->merge.seen);
    sc_free(e->merge.id);
    sc_free(e->merge.len);
    sc_free(e->merge.heap);
    sc_free(e->merge.node);
    sc_free(e->merge.head);
    sc_free(e->merge.tail);
    sc_free(e->merge.place);
    sc_free(e->way);
    sc_free(e->score);
    sc_free(e);
}

void sc_encoder_pool_free(sc_encoder_pool *p)
{
    for (int i = 0; p && i < SPARE; i++) encoder_free(atomic_load(&p->spare[i]));
    sc_free(p);
}

sc_status sc_encoder_take(sc_encoder **out, const sc_tokenizer *t, unsigned flags, bool want_spans)
{
    sc_encoder *e = NULL;
    for (int i = 0; i < SPARE && !e; i++) e = atomic_exchange(&t->pool->spare[i], NULL);
    if (!e && !(e = sc_calloc(1, sizeof(*e)))) return sc_nomem();
    e->t = t;
    e->flags = flags;
    e->want_spans = want_spans;
    e->n = 0;
    *out = e;
    return SC_OK;
}

static void slim(sc_norm *x)
{
    if (x->cap > KEEP || x->acap * (int64_t)sizeof(*x->a) > KEEP) sc_norm_free(x);
}

void sc_encoder_give(sc_encoder *e)
{
    struct sc_merge_space *m = &e->merge;
    for (int i = 0; i < SC_COUNT(e->norm); i++) slim(&e->norm[i]);
    for (int i = 0; i < SC_COUNT(e->scratch); i++) slim(&e->scratch[i]);
    slim(&e->known);
    bool large = m->head || e->way_cap > KEEP / 4 || m->id_cap > KEEP / 4 || m->heap_cap > KEEP / 8 ||
                 e->score_cap > KEEP / 8 || e->cap > KEEP;
    for (int i = 0; i < SPARE && !large; i++) {
        sc_encoder *none = NULL;
        if (atomic_compare_exchange_strong(&e->t->pool->spare[i], &none, e)) return;
    }
    encoder_free(e);
}
