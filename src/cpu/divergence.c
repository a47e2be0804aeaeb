/* SPDX-License-Identifier: Apache-2.0 */
/* divergence and its gradient: a row a task. */
#include "cpu/cpu.h"

#include <math.h>

static int64_t tasks(const sc_step *s) { return s->in[0]->shape.dim[0]; }
static int64_t scratch(const sc_step *s) { return 2 * s->in[0]->shape.dim[1] * (int64_t)sizeof(float); }

/* softmax(x / T) without its divisor, and what makes it and its logarithm of x: p = e / sum, log p = x / T - shift. */
typedef struct spread {
    float *e;
    double sum, shift;
} spread;

static spread soften(const sc_kernels *k, int64_t n, const float *x, float cold, float *room)
{
    k->scale(n, x, cold, room);
    float top = k->max(n, room), sum = k->exp_sum(n, room, top, room);
    return (spread){room, (double)sum, (double)top + log((double)sum)};
}

/* A row: the student's q and the teacher's p. */
typedef struct row {
    int64_t n;
    const float *x, *t;
    spread q, p;
    double cold; /* 1 / T */
} row;

static row row_of(const sc_step *s, const sc_kernels *k, int64_t r, void *room)
{
    const sc_divergence_attr *how = SC_ATTR(s, sc_divergence_attr);
    int64_t n = s->in[0]->shape.dim[1];
    row y = {.n = n,
             .x = (const float *)s->in_data[0] + r * n,
             .t = (const float *)s->in_data[1] + r * n,
             .cold = 1 / (double)how->temperature};
    y.q = soften(k, n, y.x, (float)y.cold, room);
    y.p = soften(k, n, y.t, (float)y.cold, (float *)room + n);
    return y;
}

static inline double q_of(const row *y, int64_t i) { return (double)y->q.e[i] / y->q.sum; }
static inline double p_of(const row *y, int64_t i) { return (double)y->p.e[i] / y->p.sum; }
/* log q / p, from the logits, so that it stands where one of them is too small to be told from 0. */
static inline double ratio(const row *y, int64_t i)
{
    return ((double)y->x[i] - (double)y->t[i]) * y->cold - y->q.shift + y->p.shift;
}

/* log q / m with m the mixture beta p + (1 - beta) q, and log p / m. */
static inline double over_mixture(double mine, double other, double share)
{
    return -log(share + (1 - share) * other / mine);
}

/* KL of p from q, or of q from p where `reverse`. */
static double kl(const row *y, bool reverse)
{
    double sum = 0;
    for (int64_t i = 0; i < y->n; i++) sum += reverse ? q_of(y, i) * ratio(y, i) : -p_of(y, i) * ratio(y, i);
    return sum;
}

/* KL of q from the mixture. */
static double kl_mixture(const row *y, double beta)
{
    double sum = 0;
    for (int64_t i = 0; i < y->n; i++) {
        double q = q_of(y, i);
        if (q > 0) sum += q * over_mixture(q, p_of(y, i), 1 - beta);
    }
    return sum;
}

static double jensen_shannon(const row *y, double beta)
{
    double sum = 0;
    for (int64_t i = 0; i < y->n; i++) {
        double q = q_of(y, i), p = p_of(y, i);
        if (p > 0) sum += beta * p * over_mixture(p, q, beta);
        if (q > 0) sum += (1 - beta) * q * over_mixture(q, p, 1 - beta);
    }
    return sum;
}

static double value(const row *y, const sc_divergence_attr *how)
{
    switch (how->kind) {
    case SC_DIVERGENCE_FORWARD: return kl(y, false);
    case SC_DIVERGENCE_REVERSE: return kl(y, true);
    case SC_DIVERGENCE_SYMMETRIC: return (kl(y, false) + kl(y, true)) / 2;
    case SC_DIVERGENCE_JS: break;
    }
    return jensen_shannon(y, (double)how->beta);
}

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *room)
{
    const sc_divergence_attr *how = SC_ATTR(s, sc_divergence_attr);
    const float *weight = s->in_data[2];
    float *out = s->out_data;
    for (int64_t r = begin; r < end; r++) {
        out[r] = 0;
        if (weight[r] == 0) continue;
        row y = row_of(s, k, r, room);
        out[r] = (float)((double)weight[r] * value(&y, how));
    }
    return SC_OK;
}

/* The gradient of the divergence by logit i divided by T; d: of q from p, or from the mixture. */
static inline double slope(const row *y, const sc_divergence_attr *how, int64_t i, double d)
{
    double q = q_of(y, i);
    switch (how->kind) {
    case SC_DIVERGENCE_FORWARD: return q - p_of(y, i);
    case SC_DIVERGENCE_REVERSE: return q * (ratio(y, i) - d);
    case SC_DIVERGENCE_SYMMETRIC: return (q - p_of(y, i) + q * (ratio(y, i) - d)) / 2;
    case SC_DIVERGENCE_JS: break;
    }
    double beta = (double)how->beta;
    return q > 0 ? (1 - beta) * q * (over_mixture(q, p_of(y, i), 1 - beta) - d) : 0;
}

static sc_status grad_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *room)
{
    const sc_divergence_attr *how = SC_ATTR(s, sc_divergence_attr);
    const float *weight = s->in_data[2], *dy = s->in_data[3];
    int64_t n = s->in[0]->shape.dim[1];
    for (int64_t r = begin; r < end; r++) {
        float *dx = (float *)s->out_data + r * n;
        if (weight[r] == 0) {
            memset(dx, 0, sizeof *dx * (size_t)n);
            continue;
        }
        row y = row_of(s, k, r, room);
        double f = (double)weight[r] * (double)dy[r] * y.cold;
        double d = how->kind == SC_DIVERGENCE_FORWARD ? 0
                   : how->kind == SC_DIVERGENCE_JS    ? kl_mixture(&y, (double)how->beta)
                                                      : kl(&y, true);
        for (int64_t i = 0; i < n; i++) dx[i] = (float)(f * slope(&y, how, i, d));
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_divergence = {.tasks = tasks, .scratch = scratch, .run = run};
const sc_cpu_op sc_cpu_divergence_grad = {.tasks = tasks, .scratch = scratch, .run = grad_run};
