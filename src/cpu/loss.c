/* SPDX-License-Identifier: Apache-2.0 */
/* cross_entropy and its gradient: a row a task. */
#include "cpu/cpu.h"

#include <math.h>

static int64_t tasks(const sc_step *s) { return s->in[0]->shape.dim[0]; }
static int64_t scratch(const sc_step *s) { return s->in[0]->shape.dim[1] * (int64_t)sizeof(float); }

static sc_status check_label(const sc_step *s, int64_t r)
{
    int64_t classes = s->in[0]->shape.dim[1];
    int32_t label = ((const int32_t *)s->in_data[1])[r];
    if (label < classes) return SC_OK;
    return sc_fail(SC_ELIMIT, "label %d of row %lld is outside %lld classes", label, (long long)r,
                   (long long)classes);
}

static double mean_of(int64_t n, const float *x)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i];
    return sum / (double)n;
}

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *room)
{
    const int32_t *label = s->in_data[1];
    const float *weight = s->in_data[2];
    int64_t n = s->in[0]->shape.dim[1];
    float *y = s->out_data;
    double smoothing = (double)SC_ATTR(s, sc_cross_entropy_attr)->smoothing;
    for (int64_t r = begin; r < end; r++) {
        const float *x = (const float *)s->in_data[0] + r * n;
        sc_status status = check_label(s, r);
        if (status) return status;
        y[r] = 0;
        if (label[r] < 0) continue;
        float top = k->max(n, x), sum = k->exp_sum(n, x, top, room);
        double at = (double)x[label[r]];
        if (smoothing > 0) at += smoothing * (mean_of(n, x) - at);
        y[r] = weight[r] * (float)(log((double)sum) - (at - top));
    }
    return SC_OK;
}

static sc_status grad_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *room)
{
    (void)room;
    const int32_t *label = s->in_data[1];
    const float *weight = s->in_data[2], *dy = s->in_data[3];
    int64_t n = s->in[0]->shape.dim[1];
    float smoothing = SC_ATTR(s, sc_cross_entropy_attr)->smoothing;
    for (int64_t r = begin; r < end; r++) {
        const float *x = (const float *)s->in_data[0] + r * n;
        float *dx = (float *)s->out_data + r * n, f = weight[r] * dy[r];
        sc_status status = check_label(s, r);
        if (status) return status;
        if (label[r] < 0) {
            memset(dx, 0, sizeof *dx * (size_t)n);
            continue;
        }
        float sum = k->exp_sum(n, x, k->max(n, x), dx);
        k->scale(n, dx, f / sum, dx);
        dx[label[r]] -= f * (1 - smoothing);
        for (int64_t i = 0; smoothing > 0 && i < n; i++) dx[i] -= f * smoothing / (float)n;
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_cross_entropy = {.tasks = tasks, .scratch = scratch, .run = run};
const sc_cpu_op sc_cpu_cross_entropy_grad = {.tasks = tasks, .run = grad_run};
