/* SPDX-License-Identifier: Apache-2.0 */
/* Texts as sets of n-grams, for finding what is alike. */
#ifndef SC_DATA_GRAMS_H
#define SC_DATA_GRAMS_H

#include "base/base.h"

#include <stdlib.h>

typedef struct sc_gram_word {
    uint64_t hash;      /* the same in every run */
    int64_t begin, end; /* in the text */
} sc_gram_word;

/* Starts as {0}. */
typedef struct sc_grams {
    sc_gram_word *word;
    int64_t n, cap;
    uint64_t *gram;
    int64_t grams, cap_gram;
} sc_grams;

/* Replaces the words. characters: each letter and digit is one. */
sc_status sc_grams_words(sc_grams *w, const char *p, int64_t n, bool characters);
/* gram[i] becomes the hash of words i .. i + n; of fewer words than n there is one of all. */
sc_status sc_grams_make(sc_grams *w, int64_t n);
/* Sorts grams and takes out what comes twice. */
void sc_grams_set(sc_grams *w);
/* |a and b| / |a or b| of two sets; 1 of two empty ones. */
double sc_grams_jaccard(const sc_grams *a, const sc_grams *b);
void sc_grams_free(sc_grams *w);

#endif
