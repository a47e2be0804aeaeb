/* SPDX-License-Identifier: Apache-2.0 */
/* One sequence a task. */
#include "cpu/cpu.h"

static int64_t tasks(const sc_step *s) { return s->in[1]->shape.dim[0] - 1; }

static sc_status run(const sc_step *s, const sc_kernels *kn, int64_t begin, int64_t end, void *room)
{
    (void)kn;
    (void)room;
    const int32_t *start = s->in_data[1];
    int64_t n = SC_ATTR(s, sc_first_tokens_attr)->n, tokens = s->in[0]->shape.dim[0], sequences = tasks(s);
    int32_t *rows = s->out_data, *starts = rows + sequences * n, *back = starts + sequences + 1;
    for (int64_t q = begin; q < end; q++) {
        if (start[q] < 0 || start[q + 1] > tokens || start[q] > start[q + 1])
            return sc_fail(SC_EINVAL, "sequence %lld of tokens %d to %d", (long long)q, start[q], start[q + 1]);
        for (int64_t i = 0; i < n; i++)
            rows[q * n + i] = (int32_t)SC_MAX(SC_MIN(start[q] + i, start[q + 1] - 1), 0);
        for (int64_t t = start[q]; t < start[q + 1]; t++) {
            int64_t at = t - start[q];
            back[t] = (int32_t)(at < n ? tokens + q * n + at : t);
        }
        starts[q + 1] = (int32_t)((q + 1) * n);
        if (q == 0) starts[0] = 0;
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_first_tokens = {.tasks = tasks, .run = run};
