/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the optimisers: one file a kind. Work on a parameter is cut into pieces by its size alone. */
#ifndef SC_TRAIN_OPTIMIZER_H
#define SC_TRAIN_OPTIMIZER_H

#include "train/train.h"

enum {
    SC_PIECE = 1 << 14, /* elements */
    SC_ROW_BLOCKS = 64, /* pieces of a matrix that is cut by rows, at most */
};

/* A parameter, how it is changed and what is kept of it. */
typedef struct sc_slot {
    sc_trained p;
    sc_optimizer_kind kind; /* of Muon's parameters, some are AdamW's */
    double lr, weight_decay;
    int64_t n;
    float *m, *v; /* moments; Adafactor: of rows and columns, or v alone of a vector */
    int64_t n_m, n_v;
    float *ema; /* NULL: no average is kept */
    int muon;   /* which of the plans is for its shape */
} sc_slot;

typedef struct sc_muon_plan sc_muon_plan;
struct sc_optimizer {
    sc_optimizer_options o;
    sc_slot *slot;
    int64_t count, steps;
    sc_buffer *memory;   /* of all slots' moments and averages */
    double *part;        /* of sums over pieces, for the largest parameter */
    double *columns;     /* Adafactor: sums of each column over each block of rows */
    sc_backend *backend; /* Muon's products */
    sc_muon_plan *plan;
    int n_plans;
};

/* One parameter in one step. */
typedef struct sc_update {
    sc_optimizer *o;
    sc_slot *s;
    sc_context *ctx;
    float *g;               /* its gradient, which nobody needs afterwards */
    double scale, lr, step; /* of the gradient; of this parameter now; counted from 1 */
    double factor;          /* between the parts of an update */
    float *room;            /* for what is to be added */
} sc_update;

/* Runs piece(u, i) for i < n on all threads. */
typedef void sc_piece(const sc_update *u, int64_t i);
void sc_update_run(const sc_update *u, int64_t n, sc_piece *piece);
/* The same over the parameter's elements: piece i is those from i SC_PIECE on. */
int64_t sc_update_pieces(const sc_update *u);
int64_t sc_piece_end(const sc_update *u, int64_t i);
/* Sum of squares in f64, in an order that n alone decides. */
double sc_sum_squares(const float *x, int64_t n);

void sc_adam_update(sc_update *u); /* AdamW too */
void sc_sgd_update(sc_update *u);
void sc_lion_update(sc_update *u);
void sc_adafactor_update(sc_update *u);
sc_status sc_muon_update(sc_update *u);
/* Plans for the shapes that Muon's parameters have. */
sc_status sc_muon_prepare(sc_optimizer *o, sc_context *ctx);
void sc_muon_free(sc_optimizer *o);

#endif
