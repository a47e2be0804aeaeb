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

/* Reads word2vec's text and binary formats, GloVe's text, and fastText's .bin and .ftz, told apart by what is in the
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
typedef enum sc_vectors_format {
    SC_VECTORS_TEXT,
    SC_VECTORS_BINARY,
    SC_VECTORS_GLOVE_TEXT,
    SC_VECTORS_FASTTEXT, /* fastText's .bin, for training with n-grams of characters */
} sc_vectors_format;

/* ---- training: a vector for each word of a text, from the words around it ---- */

typedef enum sc_vectors_method {
    SC_VECTORS_SKIPGRAM, /* word2vec (Mikolov et al. 2013): each word near a word predicts it */
    SC_VECTORS_CBOW,     /* the same: the mean of the words near a word predicts it */
    SC_VECTORS_GLOVE,    /* Pennington et al. 2014: the counts of words near each other, factorised */
} sc_vectors_method;

typedef struct sc_vectors_training {
    const char *const *data; /* files of text: words apart by white space, a sentence a line */
    int64_t n_data;
    const char *out; /* the file of vectors */
    sc_vectors_format format;
    const char *
        out_contexts; /* the other table, of words as contexts, in the same format; NULL: not written. Not with hierarchical */
    sc_vectors_method method;
    bool
        subwords; /* fastText (Bojanowski et al. 2017): words are made of n-grams of characters too. Not with GloVe */
    int64_t shortest, longest; /* of these n-grams, with < and > around the word; longest 0: none */
    int64_t bucket;            /* rows that they share */
    bool hierarchical;         /* hierarchical softmax instead of negative sampling */
    int64_t width;             /* numbers of a vector */
    int64_t window;            /* words to each side, at most */
    bool whole_window;         /* all of them always; otherwise, in word2vec, a number drawn for each word */
    int64_t negative;          /* drawn words for each true one */
    int64_t min_count;         /* words seen less often are left out */
    int64_t max_words;         /* only the most frequent ones; 0: all */
    int64_t epochs;
    double sample;    /* frequent words are left out by this threshold; 0: none are */
    double power;     /* words are drawn by count to this power */
    double rate;      /* of learning, at first; 0: 0.025 for skip-gram, 0.05 for the others */
    double last_rate; /* at the end; GloVe's rate does not fall */
    int64_t
        phrases; /* times that pairs which stand together more often than by chance become one word, "new_york" */
    double phrase_threshold;
    double x_max, alpha; /* GloVe: a count x weighs (x / x_max)^alpha, at most 1 */
    bool asymmetric;     /* GloVe: only words before a word are near it */
    int64_t memory; /* GloVe: bytes for counting before it goes to files beside `out`; 0: 2^30, or a quarter of the
                       * machine's where that is less */
    bool deterministic; /* the same bits for any number of threads; otherwise threads do not wait for each other */
    uint64_t seed;
    double
        save_every; /* seconds after which OUT.state is written, from which the same call goes on; 0: only when it is stopped */
} sc_vectors_training;
#define SC_VECTORS_TRAINING_INIT                                                                                   \
    ((sc_vectors_training){.width = 100,                                                                           \
                           .window = 5,                                                                            \
                           .shortest = 3,                                                                          \
                           .longest = 6,                                                                           \
                           .bucket = 2000000,                                                                      \
                           .negative = 5,                                                                          \
                           .min_count = 5,                                                                         \
                           .epochs = 5,                                                                            \
                           .sample = 1e-3,                                                                         \
                           .power = 0.75,                                                                          \
                           .last_rate = 1e-4,                                                                      \
                           .phrase_threshold = 100,                                                                \
                           .x_max = 100,                                                                           \
                           .alpha = 0.75,                                                                          \
                           .seed = 1,                                                                              \
                           .save_every = 600})

typedef struct sc_vectors_trained {
    int64_t words;   /* that have a vector */
    int64_t tokens;  /* of the text */
    int64_t skipped; /* of them longer than 1000 bytes or not UTF-8 */
    int64_t pairs;   /* GloVe: of words that were seen near each other */
    double loss;     /* mean of the last epoch: of an example's logarithms, or of GloVe's weighted squares */
    double seconds;  /* in training, without counting, of this call */
    int64_t trained; /* words of the text (GloVe: pairs) gone through in that time */
    bool resumed;    /* from OUT.state */
} sc_vectors_trained;
/* SC_ECANCELLED: stopped; what was done is in OUT.state. SC_EINVAL: such a file of another training. SC_EFORMAT: a text without words
 * that are frequent enough. SC_ELIMIT: more than the machine's memory. */
SC_API sc_status sc_vectors_train(sc_context *ctx, const sc_vectors_training *o, sc_vectors_trained *out);

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

/* Pairs of words with people's scores, in three columns (between them spaces, tabs or commas) or, with the class of the words before
 * the score, as SimLex-999 has it, four or more; the first line may have the columns' names: the rank correlation (Spearman) and the linear one (Pearson) of the
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
