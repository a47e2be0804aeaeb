/* SPDX-License-Identifier: Apache-2.0 */
/* Sines and cosines of places, one place a task. */
#include "cpu/cpu.h"

#include <math.h>

static int64_t tasks(const sc_step *s) { return s->out->shape.dim[0]; }

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)k;
    (void)scratch;
    const int32_t *at = s->in_data[0];
    int64_t width = s->out->shape.dim[1], half = (width + 1) / 2;
    for (int64_t t = begin; t < end; t++) {
        float *y = (float *)s->out_data + t * width;
        for (int64_t i = 0; i < half; i++) {
            double angle = (double)at[t] * pow(10000, -2.0 * (double)i / (double)width);
            y[i] = (float)sin(angle);
            if (half + i < width) y[half + i] = (float)cos(angle);
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_sinusoids = {.tasks = tasks, .run = run};
