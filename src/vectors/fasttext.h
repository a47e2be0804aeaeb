/* SPDX-License-Identifier: Apache-2.0 */
/* fastText models inside: a dictionary of words and labels, rows for words and for buckets that n-grams are hashed into, and
 * rows for what is predicted (Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information"; Joulin et al. 2017,
 * "Bag of Tricks for Efficient Text Classification"; Joulin et al. 2016, "FastText.zip"). The file is theirs, version 12:
 * settings, dictionary, input matrix, output matrix; little-endian. */
#ifndef SC_FASTTEXT_H
#define SC_FASTTEXT_H

#include "socle/classifier.h"
#include "vectors/vectors.h"

enum { SC_FT_CBOW = 1, SC_FT_SKIPGRAM = 2, SC_FT_SUPERVISED = 3 };
enum { SC_FT_HIERARCHICAL = 1, SC_FT_NEGATIVE = 2, SC_FT_SOFTMAX = 3, SC_FT_ONE_VS_ALL = 4 };
enum { SC_FT_LONGEST = 64 }; /* characters of an n-gram */

/* Floats as a mapped file has them: at any address. */
typedef float __attribute__((aligned(1), may_alias)) sc_ft_float;

/* In the order of the file. */
typedef struct sc_ft_settings {
    int32_t width, window, epochs, min_count, negatives, word_ngrams, loss, model, bucket, shortest, longest, rate_update;
    double sample;
} sc_ft_settings;

/* (rows, width). Dense where `data` is set. Else each row is `subs` codes, one for each `sub` numbers of it (the last one for
 * what is left), that choose among 256 centroids each; and where `norms` is set a code that chooses its length. */
typedef struct sc_ft_matrix {
    int64_t rows, width;
    const sc_ft_float *data;
    int32_t sub, subs, last; /* last: numbers of the last part */
    const uint8_t *codes;    /* (rows, subs) */
    const sc_ft_float *centroids;
    const uint8_t *norms;            /* (rows); NULL: all 1 */
    const sc_ft_float *norm_choices; /* (256) */
    void *own[4];                    /* what of these is this matrix's */
} sc_ft_matrix;

/* The n-gram buckets that pruning left, by number; their rows follow those of the words. */
typedef struct sc_ft_pruned {
    int64_t n; /* -1: nothing was pruned */
    struct sc_ft_kept {
        int32_t bucket, row; /* bucket -1: an empty place */
    } * place;
    uint64_t mask, secret;
} sc_ft_pruned;

typedef struct sc_ft_model {
    sc_ft_settings set;
    sc_lexicon *dict; /* words first, then labels */
    int32_t words, labels;
    sc_ft_pruned pruned;
    sc_ft_matrix in, out;
    int32_t *child;  /* of a supervised model with hierarchical softmax: (labels - 1, 2) nodes, leaves as -1 - label */
    sc_buffer *file; /* what it was read from */
} sc_ft_model;

struct sc_classifier {
    sc_ft_model m;
};

/* ---- text (ft_text.c) ---- */
static inline bool sc_ft_is_end(const char *p, int64_t len) { return len == 4 && memcmp(p, SC_LINE_END, 4) == 0; }
#define SC_FT_LABEL "__label__"
static inline bool sc_ft_is_label(const char *p, int64_t len)
{
    return len >= (int64_t)sizeof SC_FT_LABEL - 1 && memcmp(p, SC_FT_LABEL, sizeof SC_FT_LABEL - 1) == 0;
}
/* FNV-1a, but with bytes taken as signed: what the buckets were filled by. */
uint32_t sc_ft_hash(const char *p, int64_t len);
/* Calls put(user, bucket) for each n-gram of "<word>"; false where that said false. */
bool sc_ft_ngrams(const sc_ft_settings *set, const char *word, int64_t len, bool (*put)(void *user, int32_t bucket),
                  void *user);
/* What joins the hashes of neighbouring words into one of their n-gram. */
static inline uint64_t sc_ft_join(uint64_t h, uint32_t word) { return h * 116049371u + (uint64_t)(int64_t)(int32_t)word; }

/* ---- which row an n-gram has (ft_prune.c) ---- */
sc_status sc_ft_pruned_new(sc_ft_pruned *k, int64_t n); /* room for n buckets that stay */
bool sc_ft_pruned_put(sc_ft_pruned *k, int32_t bucket, int32_t row); /* false: it is there already */
void sc_ft_pruned_free(sc_ft_pruned *k);
const struct sc_ft_kept *sc_ft_pruned_find(const sc_ft_pruned *k, int32_t bucket);
static inline int64_t sc_ft_row(const sc_ft_model *m, int32_t bucket) /* -1: pruning took it away */
{
    if (m->pruned.n < 0) return (int64_t)m->words + bucket;
    if (!m->pruned.n) return -1;
    const struct sc_ft_kept *k = sc_ft_pruned_find(&m->pruned, bucket);
    return k->bucket < 0 ? -1 : (int64_t)m->words + k->row;
}

/* ---- rows (ft_matrix.c) ---- */
void sc_ft_add_row(const sc_ft_matrix *m, int64_t row, float *x);            /* x (width) += the row */
float sc_ft_dot(const sc_ft_matrix *m, int64_t row, const float *x);
void sc_ft_prefetch(const sc_ft_matrix *m, int64_t row);
void sc_ft_matrix_free(sc_ft_matrix *m);
sc_status sc_ft_matrix_new(sc_ft_matrix *m, float **data, int64_t rows, int64_t width); /* dense, not set */

/* ---- files (ft_read.c, ft_write.c) ---- */
enum { SC_FT_MAGIC = 793712314 };
/* Takes a reference to the bytes, which the model then stands on. `name` is for messages. */
sc_status sc_ft_read(sc_ft_model *m, sc_buffer *bytes, const char *name);
sc_status sc_ft_write(const sc_ft_model *m, const char *path);
void sc_ft_model_free(sc_ft_model *m); /* what it holds, not the struct */
/* Of a supervised model with hierarchical softmax. SC_EFORMAT: the labels do not stand in order of their counts. */
sc_status sc_ft_children(sc_ft_model *m);

/* ---- a word's vector: the mean of its own row, where it has one, and those of its n-grams; *parts of them ---- */
void sc_ft_word_vector(const sc_ft_model *m, const char *word, int64_t len, float *out, int64_t *parts);

#endif
