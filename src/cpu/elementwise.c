/* SPDX-License-Identifier: Apache-2.0 */
/* add, mul, affine, unary (with or without what it gates), contiguous. */
#include "cpu/cpu.h"

enum { GRAIN = 4096 };

static int64_t flat_tasks(const sc_step *s) { return sc_tasks_of(sc_tensor_count(s->out), GRAIN); }

typedef void (*binary_kernel)(int64_t n, const float *a, const float *b, float *y);

/* b's elements repeat every `period`. */
static void binary(const sc_step *s, binary_kernel f, int64_t begin, int64_t end)
{
    const float *a = s->in_data[0], *b = s->in_data[1];
    float *y = s->out_data;
    int64_t period = sc_tensor_count(s->in[1]), stop = SC_MIN(end * GRAIN, sc_tensor_count(s->out));
    for (int64_t i = begin * GRAIN, n; i < stop; i += n) {
        n = SC_MIN(stop - i, period - i % period);
        f(n, a + i, b + i % period, y + i);
    }
}

static sc_status add_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    binary(s, k->add, begin, end);
    return SC_OK;
}

static sc_status mul_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    binary(s, k->mul, begin, end);
    return SC_OK;
}

const sc_cpu_op sc_cpu_add = {.tasks = flat_tasks, .run = add_run};
const sc_cpu_op sc_cpu_mul = {.tasks = flat_tasks, .run = mul_run};

static sc_status affine_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const sc_affine_attr *a = SC_ATTR(s, sc_affine_attr);
    int64_t first = begin * GRAIN, n = SC_MIN(end * GRAIN, sc_tensor_count(s->out)) - first;
    float *y = (float *)s->out_data + first;
    k->scale(n, (const float *)s->in_data[0] + first, a->scale, y);
    for (int64_t i = 0; a->shift != 0 && i < n; i++) y[i] += a->shift;
    return SC_OK;
}

const sc_cpu_op sc_cpu_affine = {.tasks = flat_tasks, .run = affine_run};

/* In pieces that stay in the first cache between the function, the product and, where unary absorbed pack_rows, the
 * packing. The function's values go through scratch: out may be the storage of either input, or packed. */
enum { PIECE = 512 };

static bool packs(const sc_step *s) { return s->out->dtype == SC_U8; }
static int64_t unary_grain(const sc_step *s) { return packs(s) ? PIECE : GRAIN; }
static int64_t unary_tasks(const sc_step *s) { return sc_tasks_of(sc_tensor_count(s->in[0]), unary_grain(s)); }

static sc_status unary_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const float *x = s->in_data[0], *gated = s->n_in > 1 ? s->in_data[1] : NULL;
    int64_t g = unary_grain(s), stop = SC_MIN(end * g, sc_tensor_count(s->in[0]));
    sc_unary_kind kind = SC_ATTR(s, sc_unary_attr)->kind;
    for (int64_t i = begin * g; i < stop; i += PIECE) {
        int64_t n = SC_MIN(stop - i, PIECE);
        float *y = packs(s) ? scratch : (float *)s->out_data + i;
        float *f = gated ? scratch : y;
        k->unary[kind](n, x + i, f);
        if (gated) k->mul(n, f, gated + i, y);
        if (packs(s)) k->pack_row(n, y, (sc_packed *)s->out_data + i / SC_PACKED);
    }
    return SC_OK;
}

static int64_t unary_scratch(const sc_step *s)
{
    return s->n_in > 1 || packs(s) ? PIECE * (int64_t)sizeof(float) : 0;
}

const sc_cpu_op sc_cpu_unary = {.tasks = unary_tasks, .scratch = unary_scratch, .run = unary_run};

static sc_status unary_grad_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const float *x = s->in_data[0], *dy = s->in_data[1];
    float *dx = s->out_data;
    int64_t i = begin * GRAIN, n = SC_MIN(end * GRAIN, sc_tensor_count(s->out)) - i;
    k->unary_grad[SC_ATTR(s, sc_unary_attr)->kind](n, x + i, dy + i, dx + i);
    return SC_OK;
}

const sc_cpu_op sc_cpu_unary_grad = {.tasks = flat_tasks, .run = unary_grad_run};

/* ---- sum_rows: some columns a task; in blocks of rows, so that rounding grows with the number of blocks alone ---- */

enum { COLUMNS = 256, ROWS = 64 };

static int64_t sum_tasks(const sc_step *s) { return sc_tasks_of(s->out->shape.dim[0], COLUMNS); }
static int64_t sum_scratch(const sc_step *s)
{
    (void)s;
    return COLUMNS * (int64_t)sizeof(float);
}

static sc_status sum_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    int64_t rows = s->in[0]->shape.dim[0], c = s->in[0]->shape.dim[1];
    float *part = scratch;
    for (int64_t task = begin; task < end; task++) {
        int64_t at = task * COLUMNS, n = SC_MIN(COLUMNS, c - at);
        const float *x = (const float *)s->in_data[0] + at;
        float *y = (float *)s->out_data + at;
        memset(y, 0, sizeof *y * (size_t)n);
        for (int64_t first = 0; first < rows; first += ROWS) {
            memcpy(part, x + first * c, sizeof *part * (size_t)n);
            for (int64_t r = first + 1; r < SC_MIN(first + ROWS, rows); r++) k->add(n, part, x + r * c, part);
            k->add(n, y, part, y);
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_sum_rows = {.tasks = sum_tasks, .scratch = sum_scratch, .run = sum_run};

/* ---- place: runs of the axes from `axis` on ---- */

static int64_t run_length(const sc_tensor *t, int axis)
{
    int64_t n = 1;
    for (int i = axis; i < t->shape.rank; i++) n *= t->shape.dim[i];
    return n;
}

static int64_t place_tasks(const sc_step *s)
{
    int64_t run = run_length(s->out, SC_ATTR(s, sc_slice_attr)->axis);
    return run ? sc_tensor_count(s->out) / run : 0;
}

static sc_status place_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const sc_slice_attr *a = SC_ATTR(s, sc_slice_attr);
    int64_t run = run_length(s->out, a->axis), part = run_length(s->in[1], a->axis);
    int64_t before = a->start * run_length(s->out, a->axis + 1);
    for (int64_t i = begin; i < end; i++) {
        const float *base = s->in[0] ? (const float *)s->in_data[0] + i * run : NULL,
                    *x = (const float *)s->in_data[1] + i * part;
        float *y = (float *)s->out_data + i * run;
        if (!base) {
            memset(y, 0, sizeof *y * (size_t)run);
            memcpy(y + before, x, sizeof *y * (size_t)part);
            continue;
        }
        if (y != base) memcpy(y, base, sizeof *y * (size_t)run);
        k->add(part, y + before, x, y + before);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_place = {.tasks = place_tasks, .run = place_run};

/* ---- contiguous: a strided copy, one row (last axis) a task ---- */

static const char *copy_refuse(const sc_step *s)
{
    return sc_dtype_get(s->out->dtype)->block == 1 ? NULL : "no strided copy of block types";
}

static int64_t copy_tasks(const sc_step *s)
{
    int64_t last = s->out->shape.rank ? s->out->shape.dim[s->out->shape.rank - 1] : 1;
    return last ? sc_tensor_count(s->out) / last : 0;
}

static sc_status copy_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)k;
    (void)scratch;
    const sc_tensor *x = s->in[0];
    int64_t size = sc_dtype_get(x->dtype)->bytes, rank = x->shape.rank;
    int64_t n = rank ? x->shape.dim[rank - 1] : 1, step = rank ? x->stride[rank - 1] * size : size;
    char *y = (char *)s->out_data + begin * n * size;
    for (int64_t row = begin; row < end; row++) {
        const char *from = s->in_data[0];
        int64_t rest = row;
        for (int64_t i = rank - 2; i >= 0; i--) {
            from += rest % x->shape.dim[i] * x->stride[i] * size;
            rest /= x->shape.dim[i];
        }
        if (step == size) {
            memcpy(y, from, (size_t)(n * size));
            y += n * size;
            continue;
        }
        for (int64_t i = 0; i < n; i++, y += size, from += step) memcpy(y, from, (size_t)size);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_contiguous = {.refuse = copy_refuse, .tasks = copy_tasks, .run = copy_run};
