/* SPDX-License-Identifier: Apache-2.0 */
/* The CPU backend: how each operation's work is cut into tasks, and the executor that runs a plan on the pool.
 *
 * A task is a part of a step's result that does not depend on its other parts. How many there are follows from shapes
 * alone and never from the number of threads, so neither do results. */
#ifndef SC_CPU_INTERNAL_H
#define SC_CPU_INTERNAL_H

#include "cpu/kernels/kernels.h"
#include "ops/ops.h"

/* The rows of a weight, as they are stored. */
typedef struct sc_cpu_matrix {
    sc_dtype type;
    int64_t n, width, stride; /* stride in bytes */
    const void *data;
    sc_buffer *buffer; /* keeps them */
} sc_cpu_matrix;

typedef struct sc_cpu_op {
    const char *(*refuse)(const sc_step *s); /* why this step cannot be run here, or NULL; may itself be NULL */
    /* What input i is to go through first, or NULL (sc_backend.lower); may itself be NULL. */
    const sc_op *(*lower)(const sc_step *s, const sc_kernels *k, int i);
    /* Constant rows of this step for which the kernels have a layout of their own; s->own is then those rows in it, or
     * NULL as long as they are not. false: none; may itself be NULL. */
    bool (*rows)(const sc_step *s, const sc_kernels *k, sc_cpu_matrix *out);
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

/* levels: a set of SC_CPU bits, or ~0u for all that the machine has. */
sc_status sc_cpu_backend_new(sc_backend **out, sc_context *ctx, unsigned levels);

/* Weights in the kernels' own layout, for all plans of a backend. (own_layout.c) */
typedef struct sc_cpu_own sc_cpu_own;
sc_cpu_own *sc_cpu_own_new(void); /* NULL without memory */
void sc_cpu_own_free(sc_cpu_own *o);
/* Gives the plan's steps their weights so, making what is not there yet. Without memory they stay as they are. */
void sc_cpu_own_bind(sc_cpu_own *o, sc_context *ctx, const sc_kernels *k, sc_plan *p);

/* Cutting n elements into tasks of `grain`: enough for many threads, few enough to cost nothing. */
static inline int64_t sc_tasks_of(int64_t n, int64_t grain) { return (n + grain - 1) / grain; }

#endif
