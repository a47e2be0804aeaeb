/* SPDX-License-Identifier: Apache-2.0 */
/* Which n-grams pruning left: a table with places to spare, so that a search ends soon. */
#include "vectors/fasttext.h"

static struct sc_ft_kept *place(const sc_ft_pruned *k, int32_t bucket)
{
    uint64_t i = sc_hash_number(k->secret, (uint64_t)bucket) & k->mask;
    while (k->place[i].bucket >= 0 && k->place[i].bucket != bucket) i = (i + 1) & k->mask;
    return &k->place[i];
}

const struct sc_ft_kept *sc_ft_pruned_find(const sc_ft_pruned *k, int32_t bucket) { return place(k, bucket); }

sc_status sc_ft_pruned_new(sc_ft_pruned *k, int64_t n)
{
    uint64_t size = 16;
    while (size < 2 * (uint64_t)n) size *= 2;
    if (!(k->place = sc_malloc(sizeof *k->place * size))) return sc_nomem();
    for (uint64_t i = 0; i < size; i++) k->place[i].bucket = -1;
    k->mask = size - 1;
    k->secret = sc_hash_secret();
    k->n = n;
    return SC_OK;
}

bool sc_ft_pruned_put(sc_ft_pruned *k, int32_t bucket, int32_t row)
{
    struct sc_ft_kept *at = place(k, bucket);
    if (at->bucket >= 0) return false;
    *at = (struct sc_ft_kept){bucket, row};
    return true;
}

void sc_ft_pruned_free(sc_ft_pruned *k)
{
    sc_free(k->place);
    *k = (sc_ft_pruned){.n = -1};
}
