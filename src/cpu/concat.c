/* SPDX-License-Identifier: Apache-2.0 */
/* Rows put together from rows, several a task. */
#include "cpu/cpu.h"

static int64_t width(const sc_tensor *t) { return t->shape.dim[t->shape.rank - 1]; }
static int64_t rows(const sc_step *s) { return width(s->out) ? sc_tensor_count(s->out) / width(s->out) : 0; }
static int64_t grain(const sc_step *s) { return SC_MAX(4096 / SC_MAX(width(s->out), 1), 1); }
static int64_t tasks(const sc_step *s) { return sc_tasks_of(rows(s), grain(s)); }

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)k;
    (void)scratch;
    int64_t n = width(s->out), stop = SC_MIN(end * grain(s), rows(s));
    for (int64_t r = begin * grain(s); r < stop; r++) {
        float *y = (float *)s->out_data + r * n;
        for (int i = 0; i < s->n_in; i++) {
            int64_t c = width(s->in[i]);
            memcpy(y, (const float *)s->in_data[i] + r * c, sizeof *y * (size_t)c);
            y += c;
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_concat = {.tasks = tasks, .run = run};
