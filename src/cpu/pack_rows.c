/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of activations as blocks of whole numbers, several a task. */
#include "cpu/cpu.h"

_Static_assert(sizeof(sc_packed) == SC_PACKED_BYTES, "the planner's size of a packed block");

static int64_t width(const sc_step *s) { return s->out->shape.dim[1] / SC_PACKED_BYTES * SC_PACKED; }
static int64_t grain(const sc_step *s) { return SC_MAX(8192 / width(s), 1); }
static int64_t tasks(const sc_step *s) { return sc_tasks_of(s->out->shape.dim[0], grain(s)); }

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    int64_t n = width(s), g = grain(s), stop = SC_MIN(end * g, s->out->shape.dim[0]);
    const float *x = s->in_data[0];
    sc_packed *y = s->out_data;
    for (int64_t i = begin * g; i < stop; i++) k->pack_row(n, x + i * n, y + i * (n / SC_PACKED));
    return SC_OK;
}

const sc_cpu_op sc_cpu_pack_rows = {.tasks = tasks, .run = run};
