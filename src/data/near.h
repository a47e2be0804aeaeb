/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the search for documents that are alike. */
#ifndef SC_DATA_NEAR_H
#define SC_DATA_NEAR_H

#include "data/global.h"
#include "data/grams.h"

enum { SC_NEAR_HASHES = 1024 };

typedef struct sc_near {
    double threshold;
    int64_t n; /* words of an n-gram */
    int bands, rows;
    bool characters, greedy, compare;
    uint32_t flip[SC_NEAR_HASHES], factor[SC_NEAR_HASHES]; /* of each hash */
} sc_near;

/* n-grams of `words` words; as many bands of `hashes` as sc_near_bands says. What it does not set stays. */
void sc_near_init(sc_near *n, double threshold, int64_t words, int hashes, double caught);
/* The most rows of `hashes` with which a pair at the threshold shares a band with a chance of at least `caught`. */
void sc_near_bands(double threshold, int hashes, double caught, int *bands, int *rows);
sc_status sc_near_set(const sc_near *n, sc_grams *w, const sc_document *d);
/* The least value of each hash over the grams. */
void sc_near_signature(const sc_near *n, const sc_grams *w, uint32_t *out);
/* From pairs (key the later, ref the earlier, bytes sc_same) to decisions. greedy: a document goes only where it is like one
 * that stays. (near_groups.c) */
sc_status sc_near_groups(const sc_deciding *x, bool greedy, sc_spill *out);

#endif
