/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt look-up: where did the last few ids stand before, and what followed them?
 *
 * For every length up to GRAMS one table maps the hash of a run of ids to where it last ended. Tables are lossy: a run
 * that falls on another's place replaces it, and a find compares the ids themselves. So adding an id and finding the
 * end's last occurrence take the same few steps however long the text is. */
#include "infer/infer.h"

enum { GRAMS = SC_LOOKUP_LONGEST, FIRST_CAP = 256 };

/* The hash of a run, one id more at its front. */
static uint64_t lengthen(uint64_t hash, int32_t id) { return (hash ^ (uint32_t)id) * 0x9e3779b97f4a7c15u; }

static int32_t *place(const sc_lookup *l, int n, uint64_t hash)
{
    return l->last + (n - 1) * l->cap + (int64_t)((hash >> 32) & (uint64_t)(l->cap - 1));
}

/* The runs that end with ids[at]. */
static void enter(sc_lookup *l, const int32_t *ids, int64_t at)
{
    uint64_t hash = 0;
    for (int n = 1; n <= GRAMS && n <= at + 1; n++) {
        hash = lengthen(hash, ids[at - n + 1]);
        *place(l, n, hash) = (int32_t)(at + 1);
    }
}

sc_status sc_lookup_grow(sc_lookup *l, const int32_t *ids, int64_t n)
{
    if (n > INT32_MAX / 4) return sc_fail(SC_ELIMIT, "look-up in more than %d tokens", INT32_MAX / 4);
    if (2 * n > l->cap) {
        int64_t cap = l->cap ? l->cap : FIRST_CAP;
        while (cap < 2 * n) cap *= 2;
        int32_t *last = sc_calloc((size_t)(cap * GRAMS), sizeof *last);
        if (!last) return sc_nomem();
        sc_free(l->last);
        l->last = last;
        l->cap = cap;
        l->entered = 0;
    }
    /* The run at the very end has no successor yet: it is entered with the next id. */
    for (; l->entered < n - 1; l->entered++) enter(l, ids, l->entered);
    return SC_OK;
}

int sc_lookup_find(const sc_lookup *l, const int32_t *ids, int64_t n, int64_t *next)
{
    uint64_t hash = 0;
    int longest = 0;
    for (int k = 1; k <= GRAMS && k <= n && l->cap; k++) {
        hash = lengthen(hash, ids[n - k]);
        int64_t end = *place(l, k, hash);
        if (end < k || memcmp(ids + end - k, ids + n - k, sizeof *ids * (size_t)k) != 0) continue;
        longest = k;
        *next = end;
    }
    return longest;
}

void sc_lookup_clear(sc_lookup *l)
{
    sc_free(l->last);
    *l = (sc_lookup){0};
}
