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
enum { SC_FT_LONGEST = 64, SC_FT_MOST_WORDS = 64 }; /* characters, and words, of an n-gram */
extern const char *const sc_ft_losses[4];           /* from SC_FT_HIERARCHICAL on */

/* Floats as a mapped file has them: at any address. */
typedef float __attribute__((aligned(1))) sc_ft_float;

/* In the order of the file. */
typedef struct sc_ft_settings {
    int32_t width, window, epochs, min_count, negatives, word_ngrams, loss, model, bucket, shortest, longest,
        rate_update;
    double sample;
} sc_ft_settings;

/* (rows, width). Dense where `data` is set. Else each row is `subs` codes, one for each `sub` numbers of it (the last one for
 * what is left), that choose among 256 centroids each; and where `norms` is set a code that chooses its length. */
typedef struct sc_ft_matrix {
    int64_t rows, width, stride; /* stride: floats from one dense row to the next */
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

typedef struct sc_ft_model sc_ft_model;
struct sc_ft_model {
    sc_ft_settings set;
    sc_lexicon *dict; /* words first, then labels */
    int32_t words, labels;
    sc_ft_pruned pruned;
    sc_ft_matrix in, out;
    int32_t
        *child; /* of a supervised model with hierarchical softmax: (labels - 1, 2) nodes, leaves as -1 - label */
    sc_buffer *file; /* what it was read from */
};

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
static inline uint64_t sc_ft_join(uint64_t h, uint32_t word)
{
    return h * 116049371u + (uint64_t)(int64_t)(int32_t)word;
}

/* ---- which row an n-gram has (ft_prune.c) ---- */
sc_status sc_ft_pruned_new(sc_ft_pruned *k, int64_t n);              /* room for n buckets that stay */
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
void sc_ft_add_row(const sc_ft_matrix *m, int64_t row, float *x); /* x (width) += the row */
float sc_ft_dot(const sc_ft_matrix *m, int64_t row, const float *x);
void sc_ft_prefetch(const sc_ft_matrix *m, int64_t row);
void sc_ft_matrix_free(sc_ft_matrix *m);
sc_status sc_ft_matrix_new(sc_ft_matrix *m, float **data, int64_t rows, int64_t width); /* dense, not set */

/* ---- inner loops (ft_kernels.c) ---- */
typedef struct sc_ft_kernels {
    /* out (width) += the rows row[0..n) of a table */
    void (*sum_rows)(sc_ft_float *out, const sc_ft_float *table, int64_t width, const int32_t *row, int64_t n);
    /* those rows += x (width) */
    void (*add_to_rows)(sc_ft_float *table, int64_t width, const int32_t *row, int64_t n, const sc_ft_float *x);
    /* out[k] = row k of the first `rows` times x */
    void (*products)(sc_ft_float *out, const sc_ft_float *table, int64_t width, int64_t rows, const sc_ft_float *x);
    /* for each of them: g += a[k] * row, row += a[k] * h */
    void (*steps)(sc_ft_float *table, int64_t width, int64_t rows, const sc_ft_float *h, sc_ft_float *g,
                  const sc_ft_float *a);
    float (*product)(const sc_ft_float *x, const sc_ft_float *y, int64_t n);
    void (*step)(sc_ft_float *w, const sc_ft_float *h, sc_ft_float *g, float a,
                 int64_t n);                                                      /* g += a * w, w += a * h */
    void (*add_scaled)(sc_ft_float *y, const sc_ft_float *x, float a, int64_t n); /* y += a * x */
} sc_ft_kernels;
const sc_ft_kernels *
sc_ft_kernels_at(int i); /* those that this machine has, the plain ones first; NULL: there are fewer */
const sc_ft_kernels *sc_ft_kernels_get(void); /* the fastest that this machine has; all give the same bits */

/* ---- files (ft_read.c, ft_write.c) ---- */
enum { SC_FT_MAGIC = 793712314 };
/* Takes a reference to the bytes, which the model then stands on. `name` is for messages. */
sc_status sc_ft_read(sc_ft_model *m, sc_buffer *bytes, const char *name);
sc_status sc_classifier_open_buffer(sc_classifier **out, sc_buffer *bytes, const char *name);
sc_status sc_ft_write(const sc_ft_model *m, const char *path);
void sc_ft_model_free(sc_ft_model *m); /* what it holds, not the struct */
/* Of a supervised model with hierarchical softmax. SC_EFORMAT: the labels do not stand in order of their counts. */
sc_status sc_ft_children(sc_ft_model *m);

/* ---- a word's vector: the mean of its own row, where it has one, and those of its n-grams; *parts of them ---- */
void sc_ft_word_vector(const sc_ft_model *m, const char *word, int64_t len, float *out, int64_t *parts);

/* ---- what training has (ft_corpus.c) ---- */

/* Rows of each word: its own and those of its n-grams. Word i has row[at[i] .. at[i + 1]). */
typedef struct sc_ft_parts {
    int64_t n, cap_at, *at, cap_row;
    int32_t *row;
} sc_ft_parts;
/* Of the words of the dictionary. */
sc_status sc_ft_parts_new(sc_ft_parts *p, const sc_ft_model *m);
void sc_ft_parts_free(sc_ft_parts *p);

/* Labelled lines as numbers: token[line[i] .. line[i + 1]) are -1 - label for the labels, then words. Words that the dictionary
 * lacks come behind it: they have n-grams, and a hash for n-grams of words. */
typedef struct sc_ft_corpus {
    sc_ft_parts parts;
    uint32_t *hash; /* of each word */
    int64_t cap_hash;
    int32_t *token;
    int64_t n_tokens, cap_tokens, *line, n_lines, cap_lines;
    int64_t seen; /* tokens of the text, with labels and line ends */
    sc_map rare;
    int32_t *label; /* of the line being read */
    int64_t n_labels, cap_labels;
} sc_ft_corpus;
sc_status sc_ft_corpus_new(sc_ft_corpus *c, const sc_ft_model *m, const char *text, int64_t len);
void sc_ft_corpus_free(sc_ft_corpus *c);

/* ---- word vectors (fasttext.c) ---- */
sc_status sc_fasttext_check(const sc_vectors_training *o); /* what options with sub-words need */
/* Trains and writes o->out. */
sc_status sc_fasttext_train(sc_context *ctx, const sc_word_text *t, sc_lexicon *x, const sc_vectors_training *o,
                            const char *state, const char *settings, sc_vectors_trained *report);

/* ---- supervised training of dense matrices (ft_learn.c) ---- */
typedef struct sc_ft_plan {
    int64_t epochs, negatives;
    double rate;
    uint64_t seed;
    bool deterministic;
} sc_ft_plan;
sc_status sc_ft_learn(sc_ft_model *m, sc_context *ctx, const sc_ft_corpus *c, const sc_ft_plan *plan,
                      sc_classifier_run *run);
/* A dense matrix of numbers in [-limit, limit), the same for any number of threads. */
sc_status sc_ft_random(sc_ft_matrix *m, sc_context *ctx, int64_t rows, int64_t width, float limit, uint64_t seed);
static inline float *sc_ft_dense(const sc_ft_matrix *m) { return m->own[0]; } /* to write to */

#endif
