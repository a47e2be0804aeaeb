/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU backend: how each operation's work is cut into tasks, and the executor that runs a plan on the pool.
 *
 * A task is a part of a step's result that does not depend on its other parts. How many there are follows from shapes
 * alone and never from the number of threads, so neither do results. */
#ifndef SC_CPU_INTERNAL_H
#define SC_CPU_INTERNAL_H

#include "cpu/kernels/kernels.h"
#include "ops/ops.h"

/* w (N, width) as a layer's kernels read it: strides in elements. */
typedef struct sc_cpu_matrix {
    sc_dtype dtype;
    const void *data;
    int64_t width, stride[2];
    const void *own; /* its rows in the kernels' own layout, NULL: as they are stored only */
} sc_cpu_matrix;

enum { SC_MAX_BLOCK = 256 }; /* values of a block of any type */

/* A constant one of N rows, kept by a buffer. */
typedef struct sc_cpu_weight {
    sc_cpu_matrix w;
    int64_t rows;
    sc_buffer *buffer;
} sc_cpu_weight;

typedef struct sc_cpu_op {
    const char *(*refuse)(const sc_step *s); /* why this step cannot be run here, or NULL; may itself be NULL */
    /* What input i is to go through first, or NULL (sc_backend.lower); may itself be NULL. */
    const sc_op *(*lower)(const sc_step *s, const sc_kernels *k, int i);
    /* The weight of this step for which the kernels have a layout of their own, in which s->own then is, or NULL where
     * there was no memory for it. false: none; may itself be NULL. */
    bool (*weight)(const sc_step *s, const sc_kernels *k, sc_cpu_weight *out);
    int64_t (*tasks)(const sc_step *s);
    int64_t (*scratch)(const sc_step *s); /* bytes each thread needs; NULL: none */
    /* Does tasks begin .. end. A fault in the values (an id out of range) returns a code with its message. */
    sc_status (*run)(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch);
} sc_cpu_op;

#define X(name) extern const sc_cpu_op sc_cpu_##name;
#define V(name)
#include "ops/ops.def"
#undef X
#undef V

/* ---- what products with a matrix share (linear.c) ---- */

/* Why no kernel reads w, or NULL; and whether one reads it with x packed. */
const char *sc_cpu_matrix_refuse(const sc_cpu_matrix *w);
bool sc_cpu_matrix_packed(const sc_cpu_matrix *w, const sc_kernels *k);
/* Rows of a task, for x packed or not, and the bytes that bringing so many to f32 takes. */
int64_t sc_cpu_matrix_rows(const sc_cpu_matrix *w, bool packed);
int64_t sc_cpu_matrix_scratch(const sc_cpu_matrix *w, bool packed);
/* y[i * ldy + j] = x[i] . w[row + j], i < tokens, j < rows: x f32, or sc_packed, ldx elements or blocks apart. `room` is
 * sc_cpu_matrix_scratch bytes, *have the row from which on it holds this matrix's; -1: none. */
void sc_cpu_matrix_times(const sc_kernels *k, const sc_cpu_matrix *w, int64_t row, int64_t rows, bool packed,
                         int64_t tokens, const void *x, int64_t ldx, float *y, int64_t ldy, float *room,
                         int64_t *have);

/* How the tasks of a plan are handed out to threads. (portions.c) */
typedef struct sc_portion {
    int step;
    int64_t from, to; /* tasks of it */
} sc_portion;

typedef struct sc_portions {
    sc_portion *portion;
    int64_t n, room;
    /* Of each stage and thread, [stage * threads + thread]: the first portion of its run, which ends where the next one
     * begins. One entry more at the end. */
    int64_t *begin;
} sc_portions;
/* Of {0}. The portions of all threads have every task of every step once. To be freed also after a failure. */
sc_status sc_portions_new(sc_portions *p, const sc_plan *plan, int threads);
void sc_portions_free(sc_portions *p);

/* Weights in the kernels' own layout, for all plans of a backend. (own_layout.c) */
typedef struct sc_cpu_own sc_cpu_own;
sc_cpu_own *sc_cpu_own_new(void); /* NULL without memory */
void sc_cpu_own_free(sc_cpu_own *o);
/* Gives the plan's steps their weights so, making what is not there yet. Without memory they stay as they are. */
void sc_cpu_own_bind(sc_cpu_own *o, sc_context *ctx, const sc_kernels *k, sc_plan *p);

/* Rows first .. first + n of w as f32 into out, `ld` apart. */
void sc_cpu_matrix_bring(const sc_cpu_matrix *w, const sc_kernels *k, int64_t first, int64_t n, float *out,
                         int64_t ld);
/* Whether bf16 weights are multiplied as bf16, x being rounded to it. */
bool sc_cpu_matrix_in_pairs(const sc_cpu_matrix *w, const sc_kernels *k);

/* ---- the same for many tokens, from panels (panels.c) ---- */

/* The form that x is to be brought to, or NULL where it is to be read as it is; whether a step's x came so. */
const sc_op *sc_cpu_panels_lower(const sc_cpu_matrix *w, int64_t tokens, const sc_kernels *k);
bool sc_cpu_panels(const sc_step *s);
/* How linear then does it. */
int64_t sc_cpu_panels_tasks(const sc_step *s);
int64_t sc_cpu_panels_scratch(const sc_step *s, const sc_cpu_matrix *w);
void sc_cpu_panels_run(const sc_step *s, const sc_cpu_matrix *w, const sc_kernels *k, int64_t begin, int64_t end,
                       float *room);

/* ---- and as training makes them (ordered.c) ---- */

/* Whether a step's product is to be made so; the form that input i is to be brought to then, x or w; whether one came so. */
bool sc_cpu_ordered_wanted(const sc_step *s, const sc_kernels *k);
const sc_op *sc_cpu_ordered_lower(const sc_step *s, const sc_kernels *k, int i);
bool sc_cpu_ordered(const sc_step *s);
int64_t sc_cpu_ordered_tasks(const sc_step *s);
int64_t sc_cpu_ordered_scratch(const sc_step *s);
void sc_cpu_ordered_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, float *room);

/* levels: a set of SC_CPU bits, or ~0u for all that the machine has. */
sc_status sc_cpu_backend_new(sc_backend **out, sc_context *ctx, unsigned levels);

/* ALiBi (attention.c): what the scores of a head lose for each token between query and key: 2^(-8 i / n) for head i of n, i
 * from 1, where n is a power of two; else as for the largest power p below for the first p heads, and the odd ones of 2p
 * for the rest. And taking that from the scores of n keys; the query is at place `query`, counted from the first of them. */
float sc_alibi_slope(int64_t head, int64_t heads);
void sc_alibi(float slope, int64_t query, int64_t n, float *score);

/* What recurrences and their derivatives share (recurrent.c): channels c .. c + n of token t, from whatever of the three
 * parts from input `first` on, and of their heads, have them; and x / sqrt(|x|^2 + eps) * scale. */
void sc_conv_gather(const sc_step *s, int first, int64_t t, int64_t c, int64_t n, float *to);
void sc_unit_row(const sc_kernels *k, int64_t n, const float *x, float eps, float scale, float *y);

/* Cutting n elements into tasks of `grain`: enough for many threads, few enough to cost nothing. */
static inline int64_t sc_tasks_of(int64_t n, int64_t grain) { return (n + grain - 1) / grain; }

/* The rows of x in panels for k->multiply_panels: as few as there can be, all of nearly the same size. */
static inline int64_t sc_panel_count(int64_t rows, const sc_kernels *k) { return sc_tasks_of(rows, k->panel_rows); }
static inline int64_t sc_panel_begin(int64_t rows, int64_t count, int64_t i)
{
    return i * (rows / count) + SC_MIN(i, rows % count);
}

#endif
