/* SPDX-License-Identifier: Apache-2.0 */
/* A classifier of texts (Joulin et al. 2017, "Bag of Tricks for Efficient Text Classification"): the mean of vectors of words,
 * n-grams of words and n-grams of characters, and one linear layer. Trains in seconds, answers in microseconds. Its files are
 * fastText's .bin and .ftz.
 *
 * Lines of training are tokens apart by white space; those that begin with "__label__" are the line's labels, one or more. */
#ifndef SOCLE_CLASSIFIER_H
#define SOCLE_CLASSIFIER_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Immutable, so any number of threads may ask it, each with a reader of its own. */
typedef struct sc_classifier sc_classifier;

/* Reads .bin or .ftz, which were made by this library or by fastText. SC_EFORMAT names what is malformed; SC_EUNSUPPORTED: word
 * vectors and no classifier. The file is mapped and must not change meanwhile. */
SC_API sc_status sc_classifier_open(sc_classifier **out, const char *path);
SC_API void sc_classifier_free(sc_classifier *c);
/* Writes it in fastText's format, quantised (.ftz) where it is. */
SC_API sc_status sc_classifier_save(const sc_classifier *c, const char *path);

SC_API int64_t sc_classifier_labels(const sc_classifier *c);
/* The i-th label without "__label__": *len bytes, borrowed, not NUL-terminated. NULL: there is none. */
SC_API const char *sc_classifier_label(const sc_classifier *c, int64_t i, int64_t *len);
/* "softmax", "hs" (hierarchical softmax), "ns" (negative sampling) or "ova" (one against all) */
SC_API const char *sc_classifier_loss(const sc_classifier *c);
SC_API int64_t sc_classifier_width(const sc_classifier *c);
SC_API int64_t sc_classifier_words(const sc_classifier *c);
SC_API bool sc_classifier_quantised(const sc_classifier *c);

/* ---- asking ---- */

/* Room that one thread works in; borrows the classifier. */
typedef struct sc_classifier_reader sc_classifier_reader;
SC_API sc_status sc_classifier_reader_new(sc_classifier_reader **out, const sc_classifier *c);
SC_API void sc_classifier_reader_free(sc_classifier_reader *r);

typedef struct sc_class {
    int32_t label;     /* sc_classifier_label has its name */
    float probability; /* of this label among all (softmax, hs), or of it being one of the text's (ns, ova) */
} sc_class;
/* The labels of a text, at most k, the likeliest first, none below `threshold`, into out (k), *found of them. The text counts as
 * one line whatever line ends it has; labels in it are left out. Text of which nothing is known has none (*found 0). Time is
 * linear in the text's length. SC_ENOMEM. */
SC_API sc_status sc_classifier_predict(sc_classifier_reader *r, const char *text, int64_t len, int64_t k,
                                       float threshold, sc_class *out, int64_t *found);

/* ---- training ---- */

typedef struct sc_classifier_options {
    const char *loss;          /* as sc_classifier_loss */
    int64_t width;             /* numbers of a vector */
    int64_t epochs;            /* passes over the text */
    double rate;               /* learning rate at the beginning; it falls to 0 in a line */
    int64_t min_count;         /* words seen less often have no vector of their own */
    int64_t min_label;         /* labels seen less often are left out */
    int64_t word_ngrams;       /* longest n-grams of words */
    int64_t shortest, longest; /* n-grams of characters; 0, 0: none */
    int64_t bucket;            /* rows that n-grams share; without n-grams there are none */
    int64_t negatives;         /* of negative sampling */
    const char
        *pretrained; /* word vectors to begin with, any file that sc_vectors_open reads, of `width`; NULL: none */
    uint64_t seed;
    bool
        deterministic; /* one thread: the same seed gives the same bits. Else all of the context's threads, without locks */
} sc_classifier_options;
/* softmax, 100, 5, 0.1, 1, 0, 1, 0, 0, 2000000, 5, NULL, 1, false: fastText's */
SC_API sc_classifier_options sc_classifier_defaults(void);

/* What a run of training took. */
typedef struct sc_classifier_run {
    int64_t lines, tokens; /* lines that have a label; tokens of all lines, in one pass */
    double loss;           /* mean over the last pass */
    double seconds;        /* of the passes alone */
} sc_classifier_run;

/* text (len): lines; it may be gone afterwards. run may be NULL. SC_EINVAL: an option out of range; SC_EFORMAT: no labels. */
SC_API sc_status sc_classifier_train(sc_classifier **out, sc_context *ctx, const char *text, int64_t len,
                                     const sc_classifier_options *options, sc_classifier_run *run);
/* The same of a file, which is mapped. */
SC_API sc_status sc_classifier_train_file(sc_classifier **out, sc_context *ctx, const char *path,
                                          const sc_classifier_options *options, sc_classifier_run *run);

/* ---- quantising (Joulin et al. 2016, "FastText.zip"): 5 to 1000 times smaller ---- */

typedef struct sc_classifier_quantise_options {
    int64_t sub;    /* numbers that share a code of one byte, 1 to 64 */
    bool norms;     /* the lengths of the rows in codes of their own */
    bool output;    /* the output matrix too; it must have 256 rows */
    int64_t cutoff; /* keep so many words and n-grams, those with the longest vectors; 0: all */
    bool retrain;   /* train the kept ones again, on `text` */
    int64_t epochs; /* of that */
    double rate;
    uint64_t seed;
    bool deterministic;
} sc_classifier_quantise_options;
/* 2, false, false, 0, false, 5, 0.1, 1, false */
SC_API sc_classifier_quantise_options sc_classifier_quantise_defaults(void);

/* A quantised copy. text (len): lines for `retrain`, else NULL. SC_EINVAL: it is quantised already, or fewer than 256 rows. */
SC_API sc_status sc_classifier_quantise(sc_classifier **out, sc_context *ctx, const sc_classifier *c,
                                        const char *text, int64_t len,
                                        const sc_classifier_quantise_options *options);

/* ---- testing ---- */

typedef struct sc_class_counts {
    int64_t gold, predicted, correct; /* lines that have the label, were given it, both */
} sc_class_counts;
typedef struct sc_classifier_test {
    int64_t lines;         /* that have a label and something that is known */
    sc_class_counts all;   /* sums over the labels: precision is correct / predicted, recall correct / gold */
    sc_class_counts *each; /* (labels), owned: sc_free */
} sc_classifier_test;
/* The k likeliest labels above the threshold, compared with those of each line. Labels that the classifier does not know are left
 * out, as fastText does. The context's threads share the lines. */
SC_API sc_status sc_classifier_test_lines(sc_classifier_test *out, sc_context *ctx, const sc_classifier *c,
                                          const char *text, int64_t len, int64_t k, float threshold);

#ifdef __cplusplus
}
#endif
#endif
