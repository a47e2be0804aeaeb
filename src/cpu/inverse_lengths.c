/* SPDX-License-Identifier: Apache-2.0 */
#include "cpu/cpu.h"

#include <math.h>

enum { GRAIN = 256 };

static int64_t tasks(const sc_step *s) { return sc_tasks_of(sc_tensor_count(s->out), GRAIN); }

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const float *square = s->in_data[0], *b = s->in_data[1], *bg = s->in_data[2], *cross = s->in_data[3];
    double scale = *SC_ATTR(s, float);
    int64_t n = sc_tensor_count(s->out), r = s->in[1]->shape.dim[1];
    float *y = s->out_data;
    (void)k;
    (void)scratch;
    for (int64_t i = begin * GRAIN; i < SC_MIN(end * GRAIN, n); i++) {
        double sum = 0;
        for (int64_t j = 0; j < r; j++)
            sum += b[i * r + j] * (2 * (double)cross[j * n + i] + scale * bg[i * r + j]);
        double length = square[i] + scale * sum;
        y[i] = length > 0 ? (float)(1 / sqrt(length)) : 0;
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_inverse_lengths = {.tasks = tasks, .run = run};
