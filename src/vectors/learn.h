/* SPDX-License-Identifier: Apache-2.0 */
/* Training of two tables of rows by examples that a text gives: what word2vec's four methods, and fastText's, have in common.
 *
 * An example has input rows, whose mean is h, and output rows, each with a label y of 0 or 1. With p = sigmoid(h . out) its loss is
 * the sum of -log p or -log(1 - p), and one step of gradient descent at once follows: out += rate (y - p) h, in += rate (y - p) out.
 * A source makes examples of the text: with one input (skip-gram) or many (CBOW, sub-words), with drawn outputs (negative sampling)
 * or the nodes of a path (hierarchical softmax).
 *
 * Threads take units of the text. Without locks (the default) each trains on its examples as they come, whatever the others do
 * to the same rows. Deterministic: SC_LANES lanes go through a unit each, a few examples a round; all gradients of a round are taken at the
 * same rows and then added, row by row in the order of the lanes, so bits do not depend on which thread does what. */
#ifndef SC_VECTORS_LEARN_H
#define SC_VECTORS_LEARN_H

#include "vectors/kernels/kernels.h"
#include "vectors/vectors.h"

enum { SC_LANES = 16, SC_SENTENCE = 10000, SC_SIGMOID = 4096 };
#define SC_SIGMOID_REACH 8.0f

/* in (n_in, width) and out (n_out, width), rows `stride` floats apart, stride a multiple of 16. */
typedef struct sc_tables {
    int64_t n_in, n_out, width, stride;
    float *in, *out;
    sc_buffer *held[2];
    sc_vector_kernels k;
    float sigmoid[SC_SIGMOID + 1]; /* of -SC_SIGMOID_REACH .. SC_SIGMOID_REACH */
} sc_tables;
/* in: uniform in -reach .. reach, which follows from the seed; out: zeros. SC_ELIMIT: more than the machine's memory. */
sc_status sc_tables_new(sc_tables **out, sc_context *ctx, int64_t n_in, int64_t n_out, int64_t width, float reach,
                        uint64_t seed);
void sc_tables_free(sc_tables *t);
static inline float sc_tables_sigmoid(const sc_tables *t, float x)
{
    if (!(x > -SC_SIGMOID_REACH)) return t->sigmoid[0];
    if (!(x < SC_SIGMOID_REACH)) return t->sigmoid[SC_SIGMOID];
    return t->sigmoid[(int)((x + SC_SIGMOID_REACH) * (SC_SIGMOID / (2 * SC_SIGMOID_REACH)) + 0.5f)];
}

/* ---- a lane: one unit of text on its way into examples ---- */

typedef struct sc_example {
    int32_t in, n_in;   /* a run of lane->in */
    int32_t out, n_out; /* a run of lane->out */
} sc_example;

typedef struct sc_lane {
    const char *p, *end; /* what is left of the unit */
    uint64_t draw;       /* state of its random numbers */
    int64_t words;       /* of the text, gone through since the trainer last asked */
    float rate;          /* the learning rate, for sources that want it */
    int32_t *sentence;   /* (SC_SENTENCE): ids of kept words, for sc_lane_sentence */
    int32_t n, at;       /* of the sentence; the next centre */
    sc_example *example;
    int32_t *in;
    uint32_t *out; /* row * 2 + label */
    int64_t n_example, n_in, n_out, cap_example, cap_in, cap_out;
    /* Scratch of training: rows of an example, their products and gradients, and vectors (h and e, each of `stride`; one of each,
     * or in rounds one for every example). */
    float **row, *g, *h, *e;
    int64_t cap_row, cap_g;
    sc_buffer *vectors; /* of h and e */
    double loss;        /* sum over examples that were looked at for it */
    int64_t n_loss, n_looked, epoch;
    bool oom;
    void *own; /* the source's */
} sc_lane;
/* Begins an example; inputs and outputs that are put belong to it. */
static inline void sc_lane_example(sc_lane *l)
{
    if (l->n_example == l->cap_example &&
        !sc_grow(&l->example, &l->cap_example, l->n_example + 1, sizeof *l->example)) {
        l->oom = true;
        return;
    }
    l->example[l->n_example++] = (sc_example){(int32_t)l->n_in, 0, (int32_t)l->n_out, 0};
}
/* Begins one with the outputs of the example before. */
static inline void sc_lane_example_again(sc_lane *l)
{
    sc_lane_example(l);
    if (l->oom) return;
    sc_example *x = &l->example[l->n_example - 1];
    x->out = x[-1].out;
    x->n_out = x[-1].n_out;
}
static inline void sc_lane_in(sc_lane *l, int32_t row)
{
    if (l->oom || (l->n_in == l->cap_in && !sc_grow(&l->in, &l->cap_in, l->n_in + 1, sizeof *l->in))) {
        l->oom = true;
        return;
    }
    l->in[l->n_in++] = row;
    l->example[l->n_example - 1].n_in++;
}
static inline void sc_lane_out(sc_lane *l, int32_t row, bool label)
{
    if (l->oom || (l->n_out == l->cap_out && !sc_grow(&l->out, &l->cap_out, l->n_out + 1, sizeof *l->out))) {
        l->oom = true;
        return;
    }
    l->out[l->n_out++] = (uint32_t)row << 1 | label;
    l->example[l->n_example - 1].n_out++;
}
/* Reads the next sentence: the rest of a line, at most SC_SENTENCE kept words, subsampled by keep (NULL: all are kept). With line_ends
 * the end of a line is a word. False where the unit is over. A sentence may be empty. */
bool sc_lane_sentence(sc_lane *l, const sc_lexicon *x, const uint32_t *keep, bool line_ends);

/* ---- training ---- */

typedef struct sc_source {
    /* Appends the examples of the next centre, or of the next line; false where the unit is over. Without locks a source may also train
     * on them itself and append none. */
    bool (*next)(void *user, sc_lane *l);
    /* NULL: none. Makes lane->own; before training, on one thread. */
    sc_status (*begin)(void *user, sc_lane *l);
    void (*end)(void *user, sc_lane *l);
    void *user;
} sc_source;

typedef struct sc_learning {
    int64_t epochs, words;  /* words: of the text, in one epoch; they set the pace of the learning rate */
    double rate, last_rate; /* falls linearly from one to the other */
    bool mean_gradient;     /* inputs change by the gradient of their mean divided by their number */
    bool deterministic;
    int64_t
        round; /* deterministic: examples a round, together; 0: 512. Fewer where few rows are in every example */
    uint64_t seed;
    const char
        *state; /* a file to go on from after a stop; NULL: none. The caller removes it when its result is safe */
    const char *settings; /* one line of text: a state that was made with others is refused */
    double save_every;    /* seconds between states; 0: only when it is stopped */
} sc_learning;
typedef struct sc_learned {
    double seconds; /* of this call */
    int64_t words;  /* gone through in this call */
    double loss;    /* mean of the last epoch's examples that were looked at */
    bool resumed;
} sc_learned;
/* SC_ECANCELLED: stopped, the state is saved. */
sc_status sc_learn(sc_tables *t, sc_context *ctx, const sc_word_text *text, const sc_source *source,
                   const sc_learning *o, sc_learned *report);

/* ---- between learn.c, its two ways of using threads, and the file of a state ---- */

typedef struct sc_word_learner {
    sc_tables *t;
    sc_context *ctx;
    const sc_word_text *text;
    const sc_source *source;
    const sc_learning *o;
    sc_lane *lane; /* one a thread, or SC_LANES */
    int lanes;
    int64_t units;                   /* of all epochs */
    atomic_int_fast64_t next, words; /* the next unit; words gone through from the beginning */
    atomic_bool pause, oom;
    double save_at;
} sc_word_learner;
/* Room for what the lane's examples need, with vectors for `vectors` of them; false without memory. */
bool sc_lane_room(sc_lane *l, const sc_tables *t, int64_t vectors);
void sc_lane_clear(sc_lane *l); /* of its examples */
/* The mean of an example's inputs, or the one input itself; to: where a mean goes. */
const float *sc_lane_mean(const sc_lane *l, const sc_tables *t, const sc_example *x, float *to);
/* row and g (n_out): the outputs' rows and gradients, rate (y - p), of an example whose mean is h. */
void sc_lane_gradients(sc_lane *l, const sc_tables *t, const sc_example *x, const float *h, float *const *row,
                       float *g);
void sc_word_learner_start_unit(sc_word_learner *a, sc_lane *l, int64_t unit);
float sc_word_learner_rate(const sc_word_learner *a, int64_t words);
/* Whether threads should come to an end, to save or because of a stop. */
bool sc_word_learner_pausing(sc_word_learner *a);
/* When they have: saves the state unless all is done, and fails where the context was cancelled. */
sc_status sc_word_learner_pause(sc_word_learner *a);
void sc_word_learner_show(sc_word_learner *a);
void sc_learn_unlocked(void *learner, int member);
void sc_learn_in_rounds(sc_word_learner *a);
/* (state.c) */
sc_status sc_state_save(const sc_word_learner *a);
sc_status sc_state_load(sc_word_learner *a, bool *found);

#endif
