/* SPDX-License-Identifier: Apache-2.0 */
/* Texts in memory that are alike, one after the other: the search of the stage `near_duplicates` for those who have few. */
#include "data/near.h"

struct sc_alike {
    sc_near near;
    sc_grams words, *set; /* room for one; of each text that was taken */
    int64_t n, cap;
    sc_map band; /* a band's hash: the last text that has it, and from there by `before` */
    sc_arena *keys;
    int64_t *before; /* (n bands) the text that had the same band before; -1: none */
    int64_t cap_before;
};

sc_status sc_alike_new(sc_alike **out, double threshold)
{
    sc_alike *a = sc_calloc(1, sizeof *a);
    if (!a) return sc_nomem();
    sc_near_init(&a->near, threshold, 5, 128, 0.99);
    if (!(a->keys = sc_arena_new())) {
        sc_free(a);
        return sc_nomem();
    }
    *out = a;
    return SC_OK;
}

void sc_alike_free(sc_alike *a)
{
    if (!a) return;
    for (int64_t i = 0; i < a->n; i++) sc_grams_free(&a->set[i]);
    sc_free(a->set);
    sc_free(a->before);
    sc_grams_free(&a->words);
    sc_map_free(&a->band);
    sc_arena_free(a->keys);
    sc_free(a);
}

static sc_status copy_set(const sc_grams *from, sc_grams *to)
{
    *to = (sc_grams){.gram = sc_malloc((size_t)from->grams * sizeof *to->gram), .grams = from->grams};
    if (!to->gram) return sc_nomem();
    memcpy(to->gram, from->gram, (size_t)from->grams * sizeof *to->gram);
    return SC_OK;
}

sc_status sc_alike_add(sc_alike *a, const char *text, int64_t len, int64_t *like, double *similarity)
{
    uint32_t signature[SC_NEAR_HASHES];
    int64_t first[SC_NEAR_HASHES];
    uint64_t key[SC_NEAR_HASHES];
    *like = -1;
    *similarity = 0;
    sc_status s = sc_grams_words(&a->words, text, len, false);
    if (!s) s = sc_grams_make(&a->words, a->near.n);
    if (s) return s;
    sc_grams_set(&a->words);
    sc_near_signature(&a->near, &a->words, signature);
    for (int b = 0; b < a->near.bands; b++) {
        uint64_t band[2] = {(uint64_t)b,
                            sc_hash(signature + b * a->near.rows, a->near.rows * (int64_t)sizeof *signature)};
        key[b] = sc_hash(band, sizeof band);
        if (!sc_map_get(&a->band, (const char *)&key[b], sizeof key[b], &first[b])) first[b] = -1;
        for (int64_t i = first[b]; i >= 0; i = a->before[i * a->near.bands + b]) {
            double x = sc_grams_jaccard(&a->words, &a->set[i]);
            if (x > *similarity) *similarity = x, *like = i;
        }
    }
    if (*similarity >= a->near.threshold) return SC_OK;
    *like = -1;
    if (!sc_grow(&a->set, &a->cap, a->n + 1, sizeof *a->set) ||
        !sc_grow(&a->before, &a->cap_before, (a->n + 1) * a->near.bands, sizeof *a->before))
        return sc_nomem();
    for (int b = 0; b < a->near.bands; b++) {
        char *own = sc_arena_strndup(a->keys, (const char *)&key[b], sizeof key[b]);
        if (!own || !sc_map_put(&a->band, own, sizeof key[b], a->n)) return sc_nomem();
        a->before[a->n * a->near.bands + b] = first[b];
    }
    s = copy_set(&a->words, &a->set[a->n]);
    if (!s) a->n++;
    return s;
}
