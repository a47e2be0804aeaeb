/* SPDX-License-Identifier: Apache-2.0 */
/* The gradients of attention's inputs. A task is one key head of one sequence, whose keys and values no other task adds to.
 * It goes through blocks of rows (G query heads a token, as in attention.c); a block's scores are made again over all
 * keys that it sees, then
 *     p = softmax(s), dv += p^T dy, dp = dy v^T, ds = p (dp - sum p dp) scale, dq = ds k, dk += ds^T q. */
#include "cpu/cpu.h"

#include <math.h>

enum { ROWS = 48 }; /* of a block, at most, if a token's heads fit */

typedef struct geometry {
    int64_t tokens, sequences, heads, kv_heads, group, d, block; /* block: tokens */
} geometry;

static geometry measure(const sc_step *s)
{
    const sc_tensor *q = s->in[0];
    geometry g = {.tokens = q->shape.dim[0],
                  .heads = q->shape.dim[1],
                  .d = q->shape.dim[2],
                  .kv_heads = s->in[1]->shape.dim[1],
                  .sequences = s->in[3]->shape.dim[0] - 1};
    g.group = g.heads / g.kv_heads;
    g.block = SC_MAX(ROWS / g.group, 1);
    return g;
}

static int64_t tasks(const sc_step *s)
{
    geometry g = measure(s);
    return g.sequences * g.kv_heads;
}

/* q and dy of a block, its dq, and four matrices of its rows by all keys of the longest sequence that there can be. */
static int64_t scratch(const sc_step *s)
{
    geometry g = measure(s);
    int64_t rows = g.block * g.group;
    return (rows * (3 * g.d + 4 * g.tokens) + 2 * g.d * g.tokens) * (int64_t)sizeof(float);
}

/* What the blocks of a task share. */
typedef struct task {
    const sc_step *s;
    const sc_kernels *kn;
    geometry g;
    int64_t seq, head, first, n; /* the sequence's first token, and its tokens */
    const float *k, *v;          /* of this head; rows ldk and ldv apart */
    int64_t ldk, ldv;
    float *q, *dy, *dq, *score, *p, *dp, *turned; /* of a block */
    float *dk, *dv;                               /* (n, D) */
} task;

/* Keys lo .. hi are seen by the token at place `at`. */
static void seen(const task *t, int64_t at, int64_t *lo, int64_t *hi)
{
    const sc_attention_attr *a = SC_ATTR(t->s, sc_attention_attr);
    *lo = 0;
    *hi = a->causal ? at + 1 : t->n;
    if (a->window > 0) {
        *lo = SC_MAX(at - (a->causal ? a->window - 1 : a->window / 2), 0);
        if (!a->causal) *hi = SC_MIN(*hi, at + a->window / 2 + 1);
    }
}

/* Scores of one row over keys from .. from + n, into weights; those that the row does not see are 0. Returns the share
 * that a sink takes. */
static float soften(const task *t, int64_t r, int64_t at, int64_t from, int64_t n)
{
    const sc_attention_attr *a = SC_ATTR(t->s, sc_attention_attr);
    const float *sinks = t->s->in_data[6];
    float *score = t->score + r * n, *p = t->p + r * n, top = -INFINITY, sink = 0;
    const float *with = score; /* the scores that count: those that a cap left, and what ALiBi takes from them */
    int64_t lo, hi;
    seen(t, at, &lo, &hi);
    lo -= from;
    hi -= from;
    if (a->cap > 0) {
        t->kn->scale(n, score, 1 / a->cap, score);
        t->kn->unary[SC_UNARY_TANH](n, score, score);
        t->kn->scale(n, score, a->cap, score);
    }
    memset(p, 0, sizeof *p * (size_t)n);
    if (a->alibi && hi > lo) {
        memcpy(p + lo, score + lo, sizeof *p * (size_t)(hi - lo));
        sc_alibi(sc_alibi_slope(t->head * t->g.group + r % t->g.group, t->g.heads), at - from - lo, hi - lo,
                 p + lo);
        with = p;
    }
    if (hi > lo) top = t->kn->max(hi - lo, with + lo);
    if (sinks) {
        sink = sinks[t->head * t->g.group + r % t->g.group];
        top = SC_MAX(top, sink);
    }
    if (top == -INFINITY) return 0;
    float sum = hi > lo ? t->kn->exp_sum(hi - lo, with + lo, top, p + lo) : 0, share = sinks ? expf(sink - top) : 0;
    sum += share;
    if (hi > lo) t->kn->scale(hi - lo, p + lo, 1 / sum, p + lo);
    return share / sum;
}

/* (rows, n) to (n, rows). */
static void turn(int64_t rows, int64_t n, const float *x, float *y)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t i = 0; i < n; i++) y[i * rows + r] = x[r * n + i];
}

/* dp becomes ds, the gradient of the products q k; the sink's goes to its row of the result. */
static void score_gradient(const task *t, int64_t r, int64_t token, int64_t n, float sink_share)
{
    const sc_attention_attr *a = SC_ATTR(t->s, sc_attention_attr);
    const geometry *g = &t->g;
    float *p = t->p + r * n, *dp = t->dp + r * n, sum = t->kn->dot(n, p, dp);
    for (int64_t j = 0; j < n; j++) dp[j] = p[j] * (dp[j] - sum) * a->scale;
    if (a->cap > 0) {
        const float *score = t->score + r * n;
        for (int64_t j = 0; j < n; j++) dp[j] *= 1 - score[j] / a->cap * (score[j] / a->cap);
    }
    if (t->s->in_data[6]) {
        float *out = (float *)t->s->out_data + sc_tensor_count(t->s->in[0]) + 2 * sc_tensor_count(t->s->in[1]);
        out[token * g->heads + t->head * g->group + r % g->group] = -sink_share * sum;
    }
}

static float *query_row(const sc_step *s, const geometry *g, float *base, int64_t token, int64_t head)
{
    (void)s;
    return base + (token * g->heads + head) * g->d;
}

/* Tokens first .. first + count of the sequence. */
static void block(const task *t, int64_t first, int64_t count)
{
    const geometry *g = &t->g;
    const sc_kernels *kn = t->kn;
    const sc_tensor *q = t->s->in[0];
    int64_t rows = count * g->group, d = g->d, from, to, unused;
    seen(t, first, &from, &unused);
    seen(t, first + count - 1, &unused, &to);
    int64_t n = to - from;
    float share[ROWS + 256];
    for (int64_t r = 0; r < rows; r++) {
        int64_t token = t->first + first + r / g->group, head = t->head * g->group + r % g->group;
        memcpy(t->q + r * d, (const float *)t->s->in_data[0] + token * q->stride[0] + head * q->stride[1],
               sizeof(float) * (size_t)d);
        memcpy(t->dy + r * d, (const float *)t->s->in_data[7] + (token * g->heads + head) * d,
               sizeof(float) * (size_t)d);
    }
    kn->matmul_nt(rows, n, d, t->q, d, t->k + from * t->ldk, t->ldk, t->score, n);
    kn->scale(rows * n, t->score, SC_ATTR(t->s, sc_attention_attr)->scale, t->score);
    for (int64_t r = 0; r < rows; r++) share[r] = soften(t, r, first + r / g->group, from, n);
    kn->matmul_nt(rows, n, d, t->dy, d, t->v + from * t->ldv, t->ldv, t->dp, n);
    turn(rows, n, t->p, t->turned);
    kn->matmul_nn_acc(n, d, rows, t->turned, rows, t->dy, d, t->dv + from * d, d);
    for (int64_t r = 0; r < rows; r++) score_gradient(t, r, t->first + first + r / g->group, n, share[r]);
    turn(rows, n, t->dp, t->turned);
    kn->matmul_nn_acc(n, d, rows, t->turned, rows, t->q, d, t->dk + from * d, d);
    memset(t->dq, 0, sizeof(float) * (size_t)(rows * d));
    kn->matmul_nn_acc(rows, d, n, t->dp, n, t->k + from * t->ldk, t->ldk, t->dq, d);
    for (int64_t r = 0; r < rows; r++)
        memcpy(
            query_row(t->s, g, t->s->out_data, t->first + first + r / g->group, t->head * g->group + r % g->group),
            t->dq + r * d, sizeof(float) * (size_t)d);
}

static sc_status run(const sc_step *s, const sc_kernels *kn, int64_t begin, int64_t end, void *room)
{
    task t = {.s = s, .kn = kn, .g = measure(s)};
    const geometry *g = &t.g;
    const sc_tensor *k = s->in[1], *v = s->in[2];
    const int32_t *start = s->in_data[3];
    int64_t rows = g->block * g->group, kv = sc_tensor_count(k);
    t.q = room;
    t.dy = t.q + rows * g->d;
    t.dq = t.dy + rows * g->d;
    t.score = t.dq + rows * g->d;
    t.p = t.score + rows * g->tokens;
    t.dp = t.p + rows * g->tokens;
    t.turned = t.dp + rows * g->tokens;
    t.dk = t.turned + rows * g->tokens;
    t.dv = t.dk + g->d * g->tokens;
    t.ldk = k->stride[0];
    t.ldv = v->stride[0];
    for (int64_t i = begin; i < end; i++) {
        t.seq = i / g->kv_heads;
        t.head = i % g->kv_heads;
        t.first = start[t.seq];
        t.n = start[t.seq + 1] - t.first;
        t.k = (const float *)s->in_data[1] + t.first * t.ldk + t.head * k->stride[1];
        t.v = (const float *)s->in_data[2] + t.first * t.ldv + t.head * v->stride[1];
        memset(t.dk, 0, sizeof(float) * (size_t)(t.n * g->d));
        memset(t.dv, 0, sizeof(float) * (size_t)(t.n * g->d));
        for (int64_t at = 0; at < t.n; at += g->block) block(&t, at, SC_MIN(g->block, t.n - at));
        float *dk = (float *)s->out_data + sc_tensor_count(s->in[0]);
        for (int64_t j = 0; j < t.n; j++) {
            int64_t to = ((t.first + j) * g->kv_heads + t.head) * g->d;
            memcpy(dk + to, t.dk + j * g->d, sizeof(float) * (size_t)g->d);
            memcpy(dk + kv + to, t.dv + j * g->d, sizeof(float) * (size_t)g->d);
        }
    }
    return SC_OK;
}

static const char *refuse(const sc_step *s)
{
    return measure(s).group > 256 ? "more than 256 query heads over one key head" : NULL;
}

const sc_cpu_op sc_cpu_attention_grad = {.refuse = refuse, .tasks = tasks, .scratch = scratch, .run = run};
