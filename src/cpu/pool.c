/* SPDX-License-Identifier: Apache-2.0 */
/* pool: one sequence a task; pool_grad: some columns, since sequences may share tokens. unfold and unfold_grad: a block of
 * tokens. */
#include "cpu/cpu.h"

#include <math.h>

static int64_t pool_tasks(const sc_step *s) { return s->out->shape.dim[0]; }

static int64_t pool_scratch(const sc_step *s) { return s->out->shape.dim[1] * (int64_t)sizeof(float); }

/* y = the sum of n rows, row i times 1, or i + 1 where `rising`. */
static void add_up(const sc_kernels *k, int64_t c, int64_t n, const float *x, bool rising, float *tmp, float *y)
{
    memcpy(y, x, sizeof *y * (size_t)c);
    for (int64_t i = 1; i < n; i++) {
        if (rising) k->scale(c, x + i * c, (float)(i + 1), tmp);
        k->add(c, y, rising ? tmp : x + i * c, y);
    }
}

static sc_status check_range(const sc_step *s, int64_t i)
{
    const int32_t *first = s->in_data[1], *stop = s->in_data[2];
    int64_t t = s->in[0]->shape.dim[0];
    if (first[i] >= 0 && stop[i] > first[i] && stop[i] <= t) return SC_OK;
    return sc_fail(SC_ELIMIT, "sequence %lld has tokens %d to %d of %lld", (long long)i, first[i], stop[i],
                   (long long)t);
}

/* What the sum of n rows is divided by. */
static float divisor(sc_pool_kind kind, int64_t n)
{
    float count = (float)n;
    if (kind == SC_POOL_MEAN_SQRT) return sqrtf(count);
    return kind == SC_POOL_WEIGHTED ? count * (count + 1) / 2 : count;
}

static sc_status pool_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const int32_t *first = s->in_data[1], *stop = s->in_data[2];
    int64_t c = s->out->shape.dim[1];
    sc_pool_kind kind = SC_ATTR(s, sc_pool_attr)->kind;
    for (int64_t i = begin; i < end; i++) {
        sc_status bad = check_range(s, i);
        if (bad) return bad;
        const float *x = (const float *)s->in_data[0] + first[i] * c;
        int64_t n = stop[i] - first[i];
        float *y = (float *)s->out_data + i * c;
        switch (kind) {
        case SC_POOL_LAST: x += (n - 1) * c; /* fall through */
        case SC_POOL_FIRST: memcpy(y, x, sizeof *y * (size_t)c); continue;
        case SC_POOL_MAX:
            memcpy(y, x, sizeof *y * (size_t)c);
            for (int64_t r = 1; r < n; r++)
                for (int64_t j = 0; j < c; j++) y[j] = SC_MAX(y[j], x[r * c + j]);
            continue;
        default: break;
        }
        add_up(k, c, n, x, kind == SC_POOL_WEIGHTED, scratch, y);
        k->scale(c, y, 1 / divisor(kind, n), y);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_pool = {.tasks = pool_tasks, .scratch = pool_scratch, .run = pool_run};

enum { COLUMNS = 64 };

static int64_t pool_grad_tasks(const sc_step *s) { return sc_tasks_of(s->out->shape.dim[1], COLUMNS); }

/* Columns of one sequence's n rows, ld apart: dx gets its share of dy. */
static void share_out(const sc_kernels *k, sc_pool_kind kind, int64_t columns, int64_t n, int64_t ld,
                      const float *x, const float *dy, float *dx)
{
    float part[COLUMNS];
    if (kind == SC_POOL_FIRST || kind == SC_POOL_LAST) {
        float *row = dx + (kind == SC_POOL_LAST ? n - 1 : 0) * ld;
        k->add(columns, row, dy, row);
        return;
    }
    for (int64_t j = 0; kind == SC_POOL_MAX && j < columns; j++) {
        int64_t best = 0;
        for (int64_t r = 1; r < n; r++)
            if (x[r * ld + j] > x[best * ld + j]) best = r;
        dx[best * ld + j] += dy[j];
    }
    for (int64_t r = 0; kind != SC_POOL_MAX && r < n; r++) {
        k->scale(columns, dy, (kind == SC_POOL_WEIGHTED ? (float)(r + 1) : 1) / divisor(kind, n), part);
        k->add(columns, dx + r * ld, part, dx + r * ld);
    }
}

static sc_status pool_grad_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    const int32_t *first = s->in_data[1], *stop = s->in_data[2];
    int64_t t = s->out->shape.dim[0], c = s->out->shape.dim[1], sequences = s->in[3]->shape.dim[0];
    for (int64_t task = begin; task < end; task++) {
        int64_t at = task * COLUMNS, n = SC_MIN(COLUMNS, c - at);
        const float *x = (const float *)s->in_data[0] + at, *dy = (const float *)s->in_data[3] + at;
        float *dx = (float *)s->out_data + at;
        for (int64_t r = 0; r < t; r++) memset(dx + r * c, 0, sizeof *dx * (size_t)n);
        for (int64_t i = 0; i < sequences; i++) {
            sc_status bad = check_range(s, i);
            if (bad) return bad;
            share_out(k, SC_ATTR(s, sc_pool_attr)->kind, n, stop[i] - first[i], c, x + first[i] * c, dy + i * c,
                      dx + first[i] * c);
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_pool_grad = {.tasks = pool_grad_tasks, .run = pool_grad_run};

enum { TOKENS = 16 };

static int64_t unfold_tasks(const sc_step *s) { return sc_tasks_of(s->out->shape.dim[0], TOKENS); }

static sc_status unfold_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)k;
    (void)scratch;
    const int32_t *start = s->in_data[1];
    int64_t sequences = s->in[1]->shape.dim[0] - 1, t = s->out->shape.dim[0], c = s->out->shape.dim[1],
            n = s->out->shape.dim[2], seq = 0;
    const float *x = s->in_data[0];
    for (int64_t i = begin * TOKENS; i < SC_MIN(end * TOKENS, t); i++) {
        float *y = (float *)s->out_data + i * c * n;
        while (seq < sequences - 1 && start[seq + 1] <= i) seq++;
        for (int64_t p = 0; p < n; p++) {
            int64_t from = i + p - (n - 1) / 2;
            bool there = from >= start[seq] && from < start[seq + 1];
            for (int64_t j = 0; j < c; j++) y[j * n + p] = there ? x[from * c + j] : 0;
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_unfold = {.tasks = unfold_tasks, .run = unfold_run};

/* A token's place p in dy is its neighbour's at p - (n - 1) / 2. */
static sc_status unfold_grad_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)k;
    (void)scratch;
    const int32_t *start = s->in_data[1];
    int64_t sequences = s->in[1]->shape.dim[0] - 1, t = s->out->shape.dim[0], c = s->out->shape.dim[1],
            n = s->in[0]->shape.dim[2], seq = 0;
    const float *dy = s->in_data[0];
    for (int64_t i = begin * TOKENS; i < SC_MIN(end * TOKENS, t); i++) {
        float *dx = (float *)s->out_data + i * c;
        while (seq < sequences - 1 && start[seq + 1] <= i) seq++;
        memset(dx, 0, sizeof *dx * (size_t)c);
        for (int64_t p = 0; p < n; p++) {
            int64_t of = i - p + (n - 1) / 2; /* the token that has this one at p */
            if (of < start[seq] || of >= start[seq + 1]) continue;
            for (int64_t j = 0; j < c; j++) dx[j] += dy[(of * c + j) * n + p];
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_unfold_grad = {.tasks = unfold_tasks, .run = unfold_grad_run};
