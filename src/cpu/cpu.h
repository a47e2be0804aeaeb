/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU backend: how each operation's work is cut into tasks, and the executor that runs a plan on the pool.
 *
 * A task is a part of a step's result that does not depend on its other parts. How many there are follows from shapes
 * alone and never from the number of threads, so neither do results. */
#ifndef SC_CPU_INTERNAL_H
#define SC_CPU_INTERNAL_H

#include "cpu/kernels/kernels.h"
#include "ops/ops.h"

typedef struct sc_cpu_op {
    const char *(*refuse)(const sc_step *s); /* why this step cannot be run here, or NULL; may itself be NULL */
    /* What input i is to go through first, or NULL (sc_backend.lower); may itself be NULL. */
    const sc_op *(*lower)(const sc_step *s, const sc_kernels *k, int i);
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

/* w (N, width) as a layer's kernels read it: strides in elements. */
typedef struct sc_cpu_matrix {
    sc_dtype dtype;
    const void *data;
    int64_t width, stride[2];
} sc_cpu_matrix;

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

/* levels: a set of SC_CPU bits, or ~0u for all that the machine has. */
sc_status sc_cpu_backend_new(sc_backend **out, sc_context *ctx, unsigned levels);

/* ALiBi (attention.c): what the scores of a head lose for each token between query and key: 2^(-8 i / n) for head i of n, i
 * from 1, where n is a power of two; else as for the largest power p below for the first p heads, and the odd ones of 2p
 * for the rest. And taking that from the scores of n keys; the query is at place `query`, counted from the first of them. */
float sc_alibi_slope(int64_t head, int64_t heads);
void sc_alibi(float slope, int64_t query, int64_t n, float *score);

/* Cutting n elements into tasks of `grain`: enough for many threads, few enough to cost nothing. */
static inline int64_t sc_tasks_of(int64_t n, int64_t grain) { return (n + grain - 1) / grain; }

#endif
