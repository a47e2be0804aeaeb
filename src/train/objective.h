/* SPDX-License-Identifier: Apache-2.0 */
/* What a model learns: an objective is one file, which reads its data, cuts batches of it and says what the loss is. The
 * learner knows graphs and gradients, the loop steps and checkpoints; neither knows what is learned. */
#ifndef SC_TRAIN_OBJECTIVE_H
#define SC_TRAIN_OBJECTIVE_H

#include "models/models.h"
#include "socle/tokenizer.h"
#include "socle/train.h"

/* Sequences end to end, and what is expected of them. All is borrowed from whoever made it, until the next one. */
typedef struct sc_text_batch {
    int64_t tokens, sequences;
    const int32_t *ids, *start; /* (tokens), (sequences + 1) */
    const int32_t *types;       /* (tokens), or NULL: 0 */
    int64_t source;             /* tokens that an encoder-decoder's encoder reads, in as many sequences; else 0 */
    const int32_t *source_ids, *source_start;
    int64_t rows;          /* of the result that are compared with something: all that follow are (rows) */
    const int32_t *wanted; /* the tokens that they are of; NULL: all tokens, or all sequences, in turn */
    const int32_t *labels; /* what should come out, negative: nothing; NULL where it is numbers: target */
    const float *target;
    const float *weight;     /* how much each counts; together 1 */
    int64_t counted;         /* labels that are not negative, by which batches count in a mean */
    int64_t examples, words; /* of the data, without what only fills up; words: tokens, of both sides */
} sc_text_batch;

/* A model with its loss. Of the inputs those of `t` and these are filled from a batch; NULL: there is none. */
typedef struct sc_loss_graph {
    sc_text_graph t;
    sc_tensor *labels, *target, *weight;
    sc_tensor *loss;   /* one element: the sum of weight times the loss of each row */
    sc_tensor *result; /* (rows, n) what the loss compares, for scores; NULL: there are none */
} sc_loss_graph;

/* Sums over the batches of an evaluation. */
typedef struct sc_measure {
    double loss, counted;       /* of loss: times counted */
    double right;               /* results whose largest value is at the label */
    double n, x, y, xx, yy, xy; /* of pairs of numbers, for a correlation */
} sc_measure;
/* The share of results that are right or, of numbers, Pearson's correlation with what they should be. */
double sc_measure_value(const sc_measure *s);

typedef struct sc_objective_setup {
    sc_context *ctx;
    sc_train_options *o; /* an objective puts in what it chose for a 0 */
    const sc_model *model;
    const sc_tokenizer *tokenizer;
} sc_objective_setup;

typedef struct sc_objective_size {
    int64_t examples; /* to train on, of which a batch has as many as the options say */
    int64_t tokens;   /* in them; a run goes on only with as many */
    int64_t eval_batches;
} sc_objective_size;

/* What models are there to learn. */
enum { SC_LEARNS_DECODER = 1, SC_LEARNS_ENCODER = 2, SC_LEARNS_PAIR = 4 };

typedef struct sc_objective {
    const char *name, *summary;
    unsigned kinds;      /* that it is for: SC_LEARNS_… */
    const char *measure; /* what sc_measure_value is called in metrics.jsonl; NULL: it has none */
    sc_status (*open)(void **self, const sc_objective_setup *s); /* reads the data */
    void (*free)(void *self);                                    /* takes NULL */
    void (*size)(const void *self, sc_objective_size *out);
    /* Batch `index` since the beginning of the training, or of the evaluation's: the same whenever it is asked for. */
    sc_status (*batch)(void *self, int64_t index, sc_text_batch *out);
    sc_status (*eval_batch)(void *self, int64_t index, sc_text_batch *out);
    /* NULL, or: appends which files, lines and tokens batch `index` of the training is made of. */
    void (*describe)(void *self, int64_t index, sc_str *out);
    /* Builds the model and its loss for batches of b's sizes. Faults may stay in the graph. */
    sc_status (*build)(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b);
} sc_objective;

#define O(name) extern const sc_objective sc_objective_##name;
#include "train/objectives.def"
#undef O

/* The objective of that name, or of the model's kind where name is NULL. SC_EINVAL: there is none, or not for this model. */
sc_status sc_objective_choose(const sc_objective **out, const char *name, const sc_model *m);

/* ---- parts that objectives share (objective.c) ---- */

/* Adds inputs "labels" and "weight" (rows) and the cross entropy of logits (rows, n). */
void sc_loss_cross_entropy(sc_loss_graph *out, sc_tensor *logits, int64_t rows);

/* An order of n examples that is another in each epoch and follows from the seed and the epoch alone. */
typedef struct sc_order {
    bool plain;       /* may be set: no other order than 0, 1, … */
    int64_t n, epoch; /* epoch: that `place` is of, -1: none */
    uint64_t seed;
    int64_t *place;
} sc_order;
sc_status sc_order_new(sc_order *o, int64_t n, uint64_t seed);
void sc_order_free(sc_order *o);
/* The example that comes at place `at` of the whole training. */
int64_t sc_order_at(sc_order *o, int64_t at);

/* ---- text as token ids (text_data.c) ---- */

/* Documents end to end, each followed by the tokenizer's end-of-text token where it has one. Starts as {0}. */
typedef struct sc_token_data {
    int32_t *ids;
    int64_t n, cap, documents;
} sc_token_data;
/* A text file, or .jsonl. SC_EFORMAT: not UTF-8, not text, a line that is no object with "text"; SC_EINVAL: no text in
 * it; SC_ELIMIT: an id that `vocab` rows of embeddings do not have. */
sc_status sc_token_data_add(sc_token_data *d, sc_context *ctx, const sc_tokenizer *t, const char *path,
                            int64_t vocab);
void sc_token_data_free(sc_token_data *d);

#endif
