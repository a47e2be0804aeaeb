/* SPDX-License-Identifier: Apache-2.0 */
/* Words and how often each was met: a table of open addresses. Its hashes have a secret, so the order of its places says
 * nothing, and nothing may follow from it. */
#include "vocab/vocab.h"

struct sc_census_block {
    struct sc_census_block *next;
};

enum { BLOCK = 1 << 20, FIRST = 1 << 12 };

static bool same(const sc_census_word *w, uint64_t hash, const char *p, int64_t n)
{
    return w->hash == hash && w->n == n && memcmp(w->p, p, (size_t)n) == 0;
}

static sc_census_word *place(const sc_census *t, uint64_t hash, const char *p, int64_t n)
{
    uint64_t mask = (uint64_t)t->cap - 1, at = hash & mask;
    while (t->slot[at].p && !same(&t->slot[at], hash, p, n)) at = (at + 1) & mask;
    return &t->slot[at];
}

static sc_status charge(sc_census *t, int64_t bytes)
{
    if (t->limit && t->bytes + bytes > t->limit)
        return sc_fail(SC_ELIMIT, "the different words of the text need more than %lld MB of memory",
                       (long long)(t->limit >> 20));
    t->bytes += bytes;
    return SC_OK;
}

static sc_status resize(sc_census *t)
{
    int64_t cap = t->cap ? 2 * t->cap : FIRST;
    sc_status s = charge(t, (cap - t->cap) * (int64_t)sizeof *t->slot);
    if (s) return s;
    sc_census_word *slot = sc_calloc((size_t)cap, sizeof *slot), *old = t->slot;
    if (!slot) return sc_nomem();
    for (int64_t i = 0; i < t->cap; i++) {
        if (!old[i].p) continue;
        uint64_t at = old[i].hash & (uint64_t)(cap - 1);
        while (slot[at].p) at = (at + 1) & (uint64_t)(cap - 1);
        slot[at] = old[i];
    }
    sc_free(old);
    t->slot = slot;
    t->cap = cap;
    return SC_OK;
}

/* A copy of p[0..n) that stays. */
static sc_status keep(sc_census *t, const char **out, const char *p, int64_t n)
{
    if (n > t->left) {
        int64_t size = SC_MAX(n, BLOCK);
        sc_status s = charge(t, size);
        struct sc_census_block *b = s ? NULL : sc_malloc(sizeof *b + (size_t)size);
        if (!b) return s ? s : sc_nomem();
        b->next = t->blocks;
        t->blocks = b;
        t->room = (char *)(b + 1);
        t->left = size;
    }
    memcpy(t->room, p, (size_t)n);
    *out = t->room;
    t->room += n;
    t->left -= n;
    return SC_OK;
}

sc_status sc_census_add(sc_census *t, const char *p, int64_t n, int64_t count)
{
    sc_status s = SC_OK;
    if (t->n * 2 >= t->cap && (s = resize(t))) return s;
    uint64_t hash = sc_hash_with(t->secret, p, n);
    sc_census_word *w = place(t, hash, p, n);
    if (!w->p) {
        const char *copy;
        if ((s = keep(t, &copy, p, n))) return s;
        *w = (sc_census_word){copy, hash, 0, (int32_t)n};
        t->n++;
    }
    w->count += count;
    return SC_OK;
}

sc_status sc_census_gather(sc_census *out, const sc_census *from, int n, int index, int of)
{
    sc_status s = SC_OK;
    for (int k = 0; k < n; k++) {
        for (int64_t i = 0; i < from[k].cap; i++) {
            const sc_census_word *x = &from[k].slot[i];
            if (!x->p || (int)((x->hash >> 32) % (uint64_t)of) != index) continue;
            if (out->n * 2 >= out->cap && (s = resize(out))) return s;
            sc_census_word *w = place(out, x->hash, x->p, x->n);
            if (w->p) {
                w->count += x->count;
            } else {
                *w = *x;
                out->n++;
            }
        }
    }
    return SC_OK;
}

void sc_census_free(sc_census *t)
{
    while (t->blocks) {
        struct sc_census_block *next = t->blocks->next;
        sc_free(t->blocks);
        t->blocks = next;
    }
    sc_free(t->slot);
    t->slot = NULL;
    t->n = t->cap = 0;
}

/* ---- all words ---- */

sc_status sc_train_words_each(const sc_train_words *w, sc_train_words_fn *fn, void *user)
{
    sc_status s = SC_OK;
    for (int k = 0; k < w->tables; k++)
        for (int64_t i = 0; i < w->table[k].cap && !s; i++)
            if (w->table[k].slot[i].p) s = fn(user, &w->table[k].slot[i]);
    return s;
}

void sc_train_words_free(sc_train_words *w)
{
    for (int i = 0; i < w->tables; i++) sc_census_free(&w->table[i]);
    for (int i = 0; i < w->met_n; i++) sc_census_free(&w->met[i]);
    sc_free(w->table);
    sc_free(w->met);
    *w = (sc_train_words){0};
}
