/* SPDX-License-Identifier: Apache-2.0 */
/* Static word vectors: a vector for each word of a list, whatever stands around it. */
#ifndef SOCLE_VECTORS_H
#define SOCLE_VECTORS_H

#include "socle/embed.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Words and their vectors as a file has them. Immutable once open: any number of threads may read it. */
typedef struct sc_vectors sc_vectors;

/* Reads word2vec's text and binary formats, GloVe's text, and fastText's .bin (not quantised), told apart by what is in the
 * file. limit: only the first so many words, which are the most frequent ones; 0: all. Of a word that stands there twice the
 * first counts. SC_EFORMAT names the place of what is malformed. */
SC_API sc_status sc_vectors_open(sc_vectors **out, const char *path, int64_t limit);
SC_API void sc_vectors_free(sc_vectors *v);
SC_API const char *
sc_vectors_kind(const sc_vectors *v); /* "word2vec text", "word2vec binary", "GloVe", "fastText" */
SC_API int64_t sc_vectors_count(const sc_vectors *v);
SC_API int64_t sc_vectors_width(const sc_vectors *v);
/* The i-th word: *len bytes, borrowed, not NUL-terminated. NULL: there is none. */
SC_API const char *sc_vectors_word(const sc_vectors *v, int64_t i, int64_t *len);
SC_API int64_t sc_vectors_find(const sc_vectors *v, const char *word, int64_t len); /* -1: not in the list */
/* out (width): a word's vector. A fastText file has one for any word, made of its parts: the mean of its own row, where it is
 * in the list, and those of its character n-grams. SC_ENOTFOUND: the word is not in the list, or has no parts. */
SC_API sc_status sc_vectors_get(const sc_vectors *v, const char *word, int64_t len, float *out);

/* What vectors are written as: word2vec's two formats, whose first line has the numbers of words and of floats, and GloVe's lines.
 * The words of the text formats have no spaces. */
typedef enum sc_vectors_format { SC_VECTORS_TEXT, SC_VECTORS_BINARY, SC_VECTORS_GLOVE } sc_vectors_format;

/* ---- nearness: cosines of the listed words' vectors. One owner; borrows v and ctx ---- */

typedef struct sc_word_space sc_word_space;
SC_API sc_status sc_word_space_new(sc_word_space **out, sc_context *ctx, const sc_vectors *v);
SC_API void sc_word_space_free(sc_word_space *s);

/* The k words nearest to the sum of weight[i] times the vector of word[i], each brought to length 1; those words themselves are
 * left out. out (k), *found of them. SC_ENOTFOUND names a word that has no vector. */
SC_API sc_status sc_word_space_nearest(sc_word_space *s, const sc_text *word, const float *weight, int64_t n,
                                       int64_t k, sc_neighbor *out, int64_t *found);

/* A part of a file of analogies ("a b c d" a line: a is to b as c to d; ": NAME" begins a part). */
typedef struct sc_analogies {
    const char *name; /* borrowed from the text that was given; len bytes */
    int64_t len;
    int64_t correct, asked, skipped; /* skipped: a word is not in the list */
} sc_analogies;
/* An answer is correct where the word nearest to b - a + c, other than these, is d. Words count as equal whatever their case,
 * of ASCII letters. *out: parts, sc_free. `text` must outlive it. SC_EFORMAT: a line of other than four words. */
SC_API sc_status sc_word_space_analogies(sc_word_space *s, const char *text, int64_t len, sc_analogies **out,
                                         int64_t *parts);

/* Pairs of words with people's scores, three columns: the rank correlation (Spearman) and the linear one (Pearson) of the
 * cosines with them, over the pairs that have vectors. */
typedef struct sc_word_pairs {
    double spearman, pearson;
    int64_t scored, skipped;
} sc_word_pairs;
SC_API sc_status sc_word_space_pairs(sc_word_space *s, const char *text, int64_t len, sc_word_pairs *out);

#ifdef __cplusplus
}
#endif
#endif
