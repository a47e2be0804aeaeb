/* SPDX-License-Identifier: Apache-2.0 */
/* rms_norm, layer_norm: rows of the last axis, several a task; where they absorbed pack_rows each is packed at once. */
#include "cpu/cpu.h"

static int64_t width(const sc_step *s) { return s->in[0]->shape.dim[s->in[0]->shape.rank - 1]; }
static int64_t rows(const sc_step *s) { return width(s) ? sc_tensor_count(s->in[0]) / width(s) : 0; }
static bool packs(const sc_step *s) { return s->out->dtype == SC_U8; }
static int64_t scratch(const sc_step *s) { return packs(s) ? width(s) * (int64_t)sizeof(float) : 0; }

/* Where row i of the result goes to begin with, and then. */
static float *row_of(const sc_step *s, int64_t i, void *room)
{
    return packs(s) ? room : (float *)s->out_data + i * width(s);
}
static void finish(const sc_step *s, const sc_kernels *k, int64_t i, const float *row)
{
    int64_t n = width(s);
    if (packs(s)) k->pack_row(n, row, (sc_packed *)s->out_data + i * (n / SC_PACKED));
}

static int64_t grain(const sc_step *s) { return SC_MAX(4096 / SC_MAX(width(s), 1), 1); }
static int64_t tasks(const sc_step *s) { return sc_tasks_of(rows(s), grain(s)); }

static sc_status rms_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *room)
{
    int64_t n = width(s), g = grain(s), stop = SC_MIN(end * g, rows(s));
    const float *x = s->in_data[0];
    float eps = SC_ATTR(s, sc_norm_attr)->eps;
    for (int64_t i = begin * g; i < stop; i++) {
        float *y = row_of(s, i, room);
        k->rms_norm(n, x + i * n, s->in_data[1], eps, y);
        finish(s, k, i, y);
    }
    return SC_OK;
}

static sc_status layer_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *room)
{
    int64_t n = width(s), g = grain(s), stop = SC_MIN(end * g, rows(s));
    const float *x = s->in_data[0];
    float eps = SC_ATTR(s, sc_norm_attr)->eps;
    for (int64_t i = begin * g; i < stop; i++) {
        float *y = row_of(s, i, room);
        k->layer_norm(n, x + i * n, s->in_data[1], s->in_data[2], eps, y);
        finish(s, k, i, y);
    }
    return SC_OK;
}

typedef void (*grad_kernel)(int64_t n, const float *x, const float *w, float eps, const float *dy, float *dx);

static void grad(const sc_step *s, grad_kernel f, int64_t begin, int64_t end)
{
    int64_t n = width(s), g = grain(s), stop = SC_MIN(end * g, rows(s));
    const float *x = s->in_data[0], *dy = s->in_data[2];
    float eps = SC_ATTR(s, sc_norm_attr)->eps, *dx = s->out_data;
    for (int64_t i = begin * g; i < stop; i++) f(n, x + i * n, s->in_data[1], eps, dy + i * n, dx + i * n);
}

static sc_status rms_grad_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    grad(s, k->rms_norm_grad, begin, end);
    return SC_OK;
}

static sc_status layer_grad_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    grad(s, k->layer_norm_grad, begin, end);
    return SC_OK;
}

const sc_cpu_op sc_cpu_rms_norm = {.tasks = tasks, .scratch = scratch, .run = rms_run};
const sc_cpu_op sc_cpu_layer_norm = {.tasks = tasks, .scratch = scratch, .run = layer_run};
const sc_cpu_op sc_cpu_rms_norm_grad = {.tasks = tasks, .run = rms_grad_run};
const sc_cpu_op sc_cpu_layer_norm_grad = {.tasks = tasks, .run = layer_grad_run};
