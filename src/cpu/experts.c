/* SPDX-License-Identifier: Apache-2.0 */
/* Mixtures of experts. */
#include "cpu/cpu.h"

#include <math.h>

/* ---- top_experts, expert_weights: one token a task ---- */

/* What sigmoid routing adds to the sum that it divides by. */
static const float tiny = 1e-20f;

static int64_t token_tasks(const sc_step *s) { return s->out->shape.dim[0]; }

/* One logit's scores for a token: the scores that weigh, from which the choice may differ by the bias. */
static void scores_of(const sc_kernels *k, sc_score score, int64_t n, const float *logits, float *out)
{
    if (score == SC_SCORE_SIGMOID) {
        k->unary[SC_UNARY_SIGMOID](n, logits, out);
    } else if (score == SC_SCORE_SOFTMAX) {
        float sum = k->exp_sum(n, logits, k->max(n, logits), out);
        k->scale(n, out, 1 / sum, out);
    } else {
        memcpy(out, logits, sizeof *out * (size_t)n);
    }
}

/* Takes the best of n scores out, its place is the result; of equals the first. Those taken, and NaN, are worst. */
static int64_t take_best(float *score, int64_t n, bool *taken)
{
    int64_t best = -1;
    for (int64_t i = 0; i < n; i++)
        if (!taken[i] && (best < 0 || score[i] > score[best] || (isnan(score[best]) && !isnan(score[i])))) best = i;
    taken[best] = true;
    return best;
}

/* Marks the experts of groups that are not among the best as taken. */
static void leave_groups(const sc_routing *r, int64_t n, float *score, bool *taken, float *rank, bool *chosen)
{
    int64_t size = n / r->groups;
    for (int64_t g = 0; g < r->groups; g++) {
        bool *in = taken + g * size;
        rank[g] = 0;
        for (int64_t i = 0; i < r->group_best; i++)
            rank[g] += score[g * size + take_best(score + g * size, size, in)];
        memset(in, true, (size_t)size);
    }
    memset(chosen, 0, (size_t)r->groups);
    for (int64_t i = 0; i < r->groups_used; i++)
        memset(taken + take_best(rank, r->groups, chosen) * size, 0, (size_t)size);
}

static int64_t top_scratch(const sc_step *s)
{
    return s->in[0]->shape.dim[1] * (2 * (int64_t)sizeof(float) + 2 * (int64_t)sizeof(bool));
}

static sc_status top_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const sc_routing *r = SC_ATTR(s, sc_routing);
    int64_t n = s->in[0]->shape.dim[1];
    const float *bias = s->in_data[1];
    float *score = scratch, *rank = score + n;
    bool *taken = (bool *)(rank + n), *chosen = taken + n;
    for (int64_t t = begin; t < end; t++) {
        int32_t *y = (int32_t *)s->out_data + t * r->used;
        scores_of(k, r->score, n, (const float *)s->in_data[0] + t * n, score);
        if (bias) k->add(n, score, bias, score);
        memset(taken, 0, (size_t)n);
        if (r->groups > 1) leave_groups(r, n, score, taken, rank, chosen);
        for (int64_t i = 0; i < r->used; i++) y[i] = (int32_t)take_best(score, n, taken);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_top_experts = {.tasks = token_tasks, .scratch = top_scratch, .run = top_run};

static sc_status outside(int32_t id, int64_t experts)
{
    return sc_fail(SC_ELIMIT, "expert %d of %lld", id, (long long)experts);
}

static int64_t weights_scratch(const sc_step *s) { return s->in[0]->shape.dim[1] * (int64_t)sizeof(float); }

static sc_status weights_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const sc_routing *r = SC_ATTR(s, sc_routing);
    int64_t n = s->in[0]->shape.dim[1];
    float *score = scratch;
    for (int64_t t = begin; t < end; t++) {
        const int32_t *id = (const int32_t *)s->in_data[1] + t * r->used;
        float *y = (float *)s->out_data + t * r->used, sum = tiny;
        scores_of(k, r->score, n, (const float *)s->in_data[0] + t * n, score);
        for (int64_t i = 0; i < r->used; i++) {
            if (id[i] < 0 || id[i] >= n) return outside(id[i], n);
            y[i] = score[id[i]];
        }
        if (r->score == SC_SCORE_CHOSEN) scores_of(k, SC_SCORE_SOFTMAX, r->used, y, y);
        for (int64_t i = 0; i < r->used; i++) sum += y[i];
        k->scale(r->used, y, r->normalise ? r->scale / sum : r->scale, y);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_expert_weights = {.tasks = token_tasks, .scratch = weights_scratch, .run = weights_run};

/* d of the chosen scores, from d of the weights that were made of them. */
static void score_gradient(const sc_routing *r, const float *score, const float *dy, float *ds)
{
    float sum = tiny, product = 0;
    for (int64_t i = 0; i < r->used; i++) sum += score[i];
    for (int64_t i = 0; i < r->used; i++) product += score[i] * dy[i];
    for (int64_t i = 0; i < r->used; i++)
        ds[i] = r->normalise ? r->scale / sum * (dy[i] - product / sum) : r->scale * dy[i];
}

static int64_t weights_grad_scratch(const sc_step *s)
{
    return (s->in[0]->shape.dim[1] + 2 * SC_ATTR(s, sc_routing)->used) * (int64_t)sizeof(float);
}

static int64_t weights_grad_tasks(const sc_step *s) { return s->in[0]->shape.dim[0]; }

static sc_status weights_grad_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const sc_routing *r = SC_ATTR(s, sc_routing);
    int64_t n = s->in[0]->shape.dim[1], used = r->used;
    float *all = scratch, *score = all + n, *ds = score + used;
    for (int64_t t = begin; t < end; t++) {
        const int32_t *id = (const int32_t *)s->in_data[1] + t * used;
        float *dx = (float *)s->out_data + t * n, shared = 0;
        scores_of(k, r->score, n, (const float *)s->in_data[0] + t * n, all);
        for (int64_t i = 0; i < used; i++) {
            if (id[i] < 0 || id[i] >= n) return outside(id[i], n);
            score[i] = all[id[i]];
        }
        if (r->score == SC_SCORE_CHOSEN) scores_of(k, SC_SCORE_SOFTMAX, used, score, score);
        score_gradient(r, score, (const float *)s->in_data[2] + t * used, ds);
        for (int64_t i = 0; i < used && r->score != SC_SCORE_SIGMOID; i++) shared += ds[i] * score[i];
        if (r->score == SC_SCORE_SOFTMAX)
            k->scale(n, all, -shared, dx);
        else
            memset(dx, 0, sizeof *dx * (size_t)n);
        for (int64_t i = 0; i < used; i++)
            dx[id[i]] = score[i] * (r->score == SC_SCORE_SIGMOID ? (1 - score[i]) * ds[i] : ds[i] - shared);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_expert_weights_grad = {
    .tasks = weights_grad_tasks, .scratch = weights_grad_scratch, .run = weights_grad_run};

/* ---- expert_sum: one token a task ---- */

static sc_status sum_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    int64_t used = s->in[0]->shape.dim[1], c = s->in[0]->shape.dim[2];
    const float *x = s->in_data[0], *w = s->in_data[1], *residual = s->in_data[2];
    for (int64_t t = begin; t < end; t++) {
        float *y = (float *)s->out_data + t * c;
        memset(y, 0, sizeof *y * (size_t)c);
        if (w) k->matmul_nn_acc(1, c, used, w + t * used, used, x + t * used * c, c, y, c);
        for (int64_t i = 0; !w && i < used; i++) k->add(c, y, x + (t * used + i) * c, y);
        if (residual) k->add(c, y, residual + t * c, y);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_expert_sum = {.tasks = token_tasks, .run = sum_run};

static int64_t sum_grad_tasks(const sc_step *s) { return s->in[0]->shape.dim[0]; }

static sc_status sum_grad_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)scratch;
    int64_t used = s->in[0]->shape.dim[1], c = s->in[0]->shape.dim[2];
    const float *x = s->in_data[0], *w = s->in_data[1], *dy = s->in_data[2];
    float *dx = s->out_data, *dw = dx + sc_tensor_count(s->in[0]);
    for (int64_t t = begin; t < end; t++)
        for (int64_t i = t * used; i < (t + 1) * used; i++) {
            k->scale(c, dy + t * c, w ? w[i] : 1, dx + i * c);
            dw[i] = k->dot(c, dy + t * c, x + i * c);
        }
    return SC_OK;
}

const sc_cpu_op sc_cpu_expert_sum_grad = {.tasks = sum_grad_tasks, .run = sum_grad_run};

/* ---- clamped_glu ---- */

enum { PIECE = 1024 };

static int64_t glu_tasks(const sc_step *s) { return sc_tasks_of(sc_tensor_count(s->out), PIECE); }

static int64_t glu_scratch(const sc_step *s)
{
    (void)s;
    return 2 * PIECE * (int64_t)sizeof(float);
}

static sc_status glu_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const sc_clamped_glu_attr *a = SC_ATTR(s, sc_clamped_glu_attr);
    const float *gate = s->in_data[0], *up = s->in_data[1];
    float *y = s->out_data, *g = scratch, *f = g + PIECE;
    int64_t all = sc_tensor_count(s->out);
    for (int64_t i = begin * PIECE; i < SC_MIN(end * PIECE, all); i += PIECE) {
        int64_t n = SC_MIN(all - i, PIECE);
        for (int64_t j = 0; j < n; j++) g[j] = gate[i + j] > a->limit ? a->limit : gate[i + j];
        k->scale(n, g, a->alpha, f);
        k->unary[SC_UNARY_SIGMOID](n, f, f);
        k->mul(n, g, f, f);
        for (int64_t j = 0; j < n; j++) {
            float u = up[i + j];
            y[i + j] = ((u > a->limit ? a->limit : u < -a->limit ? -a->limit : u) + 1) * f[j];
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_clamped_glu = {.tasks = glu_tasks, .scratch = glu_scratch, .run = glu_run};

static int64_t glu_grad_tasks(const sc_step *s) { return sc_tasks_of(sc_tensor_count(s->in[0]), PIECE); }

/* A clamped value's derivative is 1 at the limit too. */
static sc_status glu_grad_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const sc_clamped_glu_attr *a = SC_ATTR(s, sc_clamped_glu_attr);
    const float *gate = s->in_data[0], *up = s->in_data[1], *dy = s->in_data[2];
    int64_t all = sc_tensor_count(s->in[0]);
    float *dgate = s->out_data, *dup = dgate + all, *g = scratch, *f = g + PIECE;
    for (int64_t i = begin * PIECE; i < SC_MIN(end * PIECE, all); i += PIECE) {
        int64_t n = SC_MIN(all - i, PIECE);
        for (int64_t j = 0; j < n; j++) g[j] = gate[i + j] > a->limit ? a->limit : gate[i + j];
        k->scale(n, g, a->alpha, f);
        k->unary[SC_UNARY_SIGMOID](n, f, f);
        for (int64_t j = 0; j < n; j++) {
            float u = up[i + j], clamped = u > a->limit ? a->limit : u < -a->limit ? -a->limit : u;
            float slope = f[j] * (1 + a->alpha * g[j] * (1 - f[j]));
            dup[i + j] = u == clamped ? dy[i + j] * g[j] * f[j] : 0;
            dgate[i + j] = gate[i + j] > a->limit ? 0 : dy[i + j] * (clamped + 1) * slope;
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_clamped_glu_grad = {.tasks = glu_grad_tasks, .scratch = glu_scratch, .run = glu_grad_run};
