/* SPDX-License-Identifier: Apache-2.0 */
/* Texts as sets of n-grams, for finding what is alike. */
#ifndef SC_DATA_WORDS_H
#define SC_DATA_WORDS_H

#include "base/base.h"

#include <stdlib.h>

typedef struct sc_word {
    uint64_t hash;      /* the same in every run */
    int64_t begin, end; /* in the text */
} sc_word;

/* Starts as {0}. */
typedef struct sc_words {
    sc_word *word;
    int64_t n, cap;
    uint64_t *gram;
    int64_t grams, cap_gram;
} sc_words;

/* Replaces the words. characters: each letter and digit is one. */
sc_status sc_words_of(sc_words *w, const char *p, int64_t n, bool characters);
/* gram[i] becomes the hash of words i .. i + n; of fewer words than n there is one of all. */
sc_status sc_words_grams(sc_words *w, int64_t n);
/* Sorts grams and takes out what comes twice. */
void sc_words_set(sc_words *w);
/* |a and b| / |a or b| of two sets; 1 of two empty ones. */
double sc_words_jaccard(const sc_words *a, const sc_words *b);
void sc_words_free(sc_words *w);

#endif
