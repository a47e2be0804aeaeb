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

/* levels: a set of SC_CPU bits, or ~0u for all that the machine has. */
sc_status sc_cpu_backend_new(sc_backend **out, sc_context *ctx, unsigned levels);

/* Cutting n elements into tasks of `grain`: enough for many threads, few enough to cost nothing. */
static inline int64_t sc_tasks_of(int64_t n, int64_t grain) { return (n + grain - 1) / grain; }

/* The rows of x in panels for k->multiply_panels: as few as there can be, all of nearly the same size. */
static inline int64_t sc_panel_count(int64_t rows, const sc_kernels *k) { return sc_tasks_of(rows, k->panel_rows); }
static inline int64_t sc_panel_begin(int64_t rows, int64_t count, int64_t i)
{
    return i * (rows / count) + SC_MIN(i, rows % count);
}

#endif
