/* SPDX-License-Identifier: Apache-2.0 */
/* pool: one sequence a task. unfold: a block of tokens a task. */
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

static sc_status pool_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const int32_t *first = s->in_data[1], *stop = s->in_data[2];
    int64_t t = s->in[0]->shape.dim[0], c = s->out->shape.dim[1];
    sc_pool_kind kind = SC_ATTR(s, sc_pool_attr)->kind;
    for (int64_t i = begin; i < end; i++) {
        if (first[i] < 0 || stop[i] <= first[i] || stop[i] > t)
            return sc_fail(SC_ELIMIT, "sequence %lld has tokens %d to %d of %lld", (long long)i, first[i], stop[i],
                           (long long)t);
        const float *x = (const float *)s->in_data[0] + first[i] * c;
        int64_t n = stop[i] - first[i];
        float *y = (float *)s->out_data + i * c, count = (float)n;
        switch (kind) {
        case SC_POOL_LAST: x += (n - 1) * c; /* fall through */
        case SC_POOL_FIRST: memcpy(y, x, sizeof *y * (size_t)c); continue;
        case SC_POOL_MAX:
            memcpy(y, x, sizeof *y * (size_t)c);
            for (int64_t r = 1; r < n; r++)
                for (int64_t j = 0; j < c; j++) y[j] = SC_MAX(y[j], x[r * c + j]);
            continue;
        case SC_POOL_MEAN_SQRT: count = sqrtf(count); break;
        case SC_POOL_WEIGHTED: count = count * (count + 1) / 2; break;
        default: break;
        }
        add_up(k, c, n, x, kind == SC_POOL_WEIGHTED, scratch, y);
        k->scale(c, y, 1 / count, y);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_pool = {.tasks = pool_tasks, .scratch = pool_scratch, .run = pool_run};

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
