/* SPDX-License-Identifier: Apache-2.0 */
/* The gradients of attention's inputs. A task is one key head of one sequence, whose keys and values no other task adds to.
 * It goes through blocks of rows (G query heads a token, as in attention.c); a block's scores are made again over all
 * keys that it sees, then
 *     s = (scale q) k^T, p = softmax(s), dv += p^T dy, dp = dy v^T, ds = p (dp - sum p dp), dq = scale ds k,
 *     dk += ds^T (scale q),
 * and a bias gets ds by distance. The results lie one after another: dq, dk, dv, of sinks (T, H), of a bias (S, H, 2M + 1):
 * what their shares are of each token, and of each sequence. */
#include "cpu/cpu.h"

#include <math.h>

enum { ROWS = 48 }; /* of a block, at most, if a token's heads fit */

enum { QUERY, KEY, VALUE, START, SINKS = 6, KEYS_START, BIAS, GRADIENT };

typedef struct geometry {
    int64_t tokens, keys, sequences, heads, kv_heads, group;
    int64_t d, dv;  /* widths of a key and of a value */
    int64_t block;  /* tokens */
    int64_t biases; /* of a head */
    int64_t ranges; /* of keys, at most (ops/keys.c) */
} geometry;

static geometry measure(const sc_step *s)
{
    const sc_tensor *q = s->in[QUERY], *k = s->in[KEY];
    geometry g = {.tokens = q->shape.dim[0],
                  .keys = k->shape.dim[0],
                  .heads = q->shape.dim[1],
                  .d = q->shape.dim[2],
                  .dv = s->in[VALUE]->shape.dim[2],
                  .kv_heads = k->shape.dim[1],
                  .sequences = s->in[START]->shape.dim[0] - 1,
                  .biases = s->in[BIAS] ? s->in[BIAS]->shape.dim[1] : 0};
    g.group = g.heads / g.kv_heads;
    g.block = SC_MAX(ROWS / g.group, 1);
    g.ranges = sc_attention_keys_most(SC_ATTR(s, sc_attention_attr), g.keys);
    return g;
}

static int64_t tasks(const sc_step *s)
{
    geometry g = measure(s);
    return g.sequences * g.kv_heads;
}

/* q and dy of a block, its dq, and up to three matrices of its rows by all keys of the longest sequence that there can be;
 * those keys and values turned, and what is added up for them. */
static int64_t scratch(const sc_step *s)
{
    geometry g = measure(s);
    int64_t rows = g.block * g.group;
    return (rows * (2 * g.d + g.dv + 3 * g.keys) + 2 * (g.d + g.dv) * g.keys) * (int64_t)sizeof(float) +
           (g.ranges + 1) * (int64_t)sizeof(sc_key_range);
}

/* What the blocks of a task share. */
typedef struct task {
    const sc_step *s;
    const sc_kernels *kn;
    geometry g;
    int64_t seq, head, first, first_key, n; /* the sequence's first token and first key, and its keys */
    const float *k, *v;                     /* of this head; rows ldk and ldv apart */
    int64_t ldk, ldv;
    const float *kt, *vt;                /* turned: (D, n) */
    float *q, *dy, *dq, *score, *p, *dp; /* of a block; q scaled; p is score where no cap needs both */
    float *dk, *dv;                      /* (n, D) */
    float *sink, *bias;                  /* the gradients of all */
    sc_key_range *range; /* the keys that a block sees, whose columns stand side by side in its matrices */
    int64_t ranges;
} task;

/* x (rows, n), ldx apart, to y (n, rows): a few columns at a time, whose lines of y stay in the first cache. */
static void turn(int64_t rows, int64_t n, const float *x, int64_t ldx, float *y)
{
    enum { COLUMNS = 16 };
    for (int64_t from = 0; from < n; from += COLUMNS)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t i = from; i < SC_MIN(from + COLUMNS, n); i++) y[i * rows + r] = x[r * ldx + i];
}

/* The query head of a block's row. */
static int64_t head_of(const task *t, int64_t r) { return t->head * t->g.group + r % t->g.group; }

/* Where in a head's biases a key `distance` places after the query has its own. */
static int64_t bias_of(const task *t, int64_t distance)
{
    int64_t most = t->g.biases / 2;
    return most + SC_MIN(SC_MAX(distance, -most), most);
}

/* What the scores p of a row over one range of keys have besides the products; those that the row does not see are left
 * out. */
static void place_scores(const task *t, int64_t r, int64_t at, const sc_key_range *range, float *p)
{
    const sc_attention_attr *a = SC_ATTR(t->s, sc_attention_attr);
    int64_t n = range->to - range->from;
    if (a->alibi) sc_alibi(sc_alibi_slope(head_of(t, r), t->g.heads), at - range->from, n, p);
    for (int64_t j = 0; range->again && j < n; j++) p[j] += logf((float)(1 + range->again));
    int64_t globals = a->window > 0 ? a->globals : 0,
            low = a->window <= 0 ? 0 : at - (a->causal ? a->window - 1 : a->window / 2),
            high = a->causal       ? at + 1
                   : a->window > 0 ? SC_MAX(at + a->window / 2 + 1, globals)
                                   : range->to;
    for (int64_t j = SC_MAX(globals, range->from); j < SC_MIN(low, range->to); j++) p[j - range->from] = -INFINITY;
    for (int64_t j = SC_MAX(high, range->from); j < range->to; j++) p[j - range->from] = -INFINITY;
}

/* Scores of one row over n keys, into weights; those that the row does not see are 0. Returns the share that a sink
 * takes. */
static float soften(const task *t, int64_t r, int64_t at, int64_t n)
{
    const sc_attention_attr *a = SC_ATTR(t->s, sc_attention_attr);
    const float *sinks = t->s->in_data[SINKS];
    float *score = t->score + r * n, *p = t->p + r * n, sink = 0;
    const float *bias = t->g.biases ? (const float *)t->s->in_data[BIAS] + head_of(t, r) * t->g.biases : NULL;
    for (int64_t i = 0, c = 0; bias && i < t->ranges; i++)
        for (int64_t j = t->range[i].from; j < t->range[i].to; j++) score[c++] += bias[bias_of(t, j - at)];
    if (a->cap > 0) {
        t->kn->scale(n, score, 1 / a->cap, score);
        t->kn->unary[SC_UNARY_TANH](n, score, score);
        t->kn->scale(n, score, a->cap, score);
        memcpy(p, score, sizeof *p * (size_t)n);
    }
    for (int64_t i = 0, c = 0; i < t->ranges; i++) {
        place_scores(t, r, at, &t->range[i], p + c);
        c += t->range[i].to - t->range[i].from;
    }
    float top = n ? t->kn->max(n, p) : -INFINITY;
    if (sinks) {
        sink = sinks[head_of(t, r)];
        top = SC_MAX(top, sink);
    }
    if (top == -INFINITY) {
        memset(p, 0, sizeof *p * (size_t)n);
        return 0;
    }
    float sum = n ? t->kn->exp_sum(n, p, top, p) : 0, share = sinks ? expf(sink - top) : 0;
    sum += share;
    t->kn->scale(n, p, 1 / sum, p);
    return share / sum;
}

/* dp becomes the gradient of the scaled products q k; a sink's and a bias's go to their places. Row r is of the token at place
 * `at`. */
static void score_gradient(const task *t, int64_t r, int64_t at, int64_t n, float sink_share)
{
    const sc_attention_attr *a = SC_ATTR(t->s, sc_attention_attr);
    const geometry *g = &t->g;
    float *p = t->p + r * n, *dp = t->dp + r * n, sum = t->kn->dot(n, p, dp);
    for (int64_t j = 0; j < n; j++) dp[j] = p[j] * (dp[j] - sum);
    if (a->cap > 0) {
        const float *score = t->score + r * n;
        for (int64_t j = 0; j < n; j++) dp[j] *= 1 - score[j] / a->cap * (score[j] / a->cap);
    }
    if (g->biases) {
        float *bias = t->bias + (t->seq * g->heads + head_of(t, r)) * g->biases;
        for (int64_t i = 0, c = 0; i < t->ranges; i++)
            for (int64_t j = t->range[i].from; j < t->range[i].to; j++) bias[bias_of(t, j - at)] += dp[c++];
    }
    if (t->s->in[SINKS]) t->sink[(t->first + at) * g->heads + head_of(t, r)] = -sink_share * sum;
}

/* Tokens first .. first + count of the sequence. */
static void block(task *t, int64_t first, int64_t count)
{
    const geometry *g = &t->g;
    const sc_kernels *kn = t->kn;
    const sc_tensor *q = t->s->in[QUERY];
    const sc_attention_attr *a = SC_ATTR(t->s, sc_attention_attr);
    int64_t rows = count * g->group, d = g->d, n = 0;
    float share[ROWS + 256];
    t->ranges = sc_attention_keys(a, t->head, first, first + count, t->n, t->range);
    for (int64_t i = 0; i < t->ranges; i++) n += t->range[i].to - t->range[i].from;
    for (int64_t r = 0; r < rows; r++) {
        int64_t token = t->first + first + r / g->group, head = head_of(t, r);
        kn->scale(d, (const float *)t->s->in_data[QUERY] + token * q->stride[0] + head * q->stride[1], a->scale,
                  t->q + r * d);
        memcpy(t->dy + r * g->dv, (const float *)t->s->in_data[GRADIENT] + (token * g->heads + head) * g->dv,
               sizeof(float) * (size_t)g->dv);
    }
    memset(t->score, 0, sizeof(float) * (size_t)(rows * n));
    memset(t->dp, 0, sizeof(float) * (size_t)(rows * n));
    for (int64_t i = 0, c = 0; i < t->ranges; i++) {
        int64_t from = t->range[i].from, some = t->range[i].to - from;
        kn->matmul_nn_acc(rows, some, d, t->q, d, t->kt + from, t->n, t->score + c, n);
        kn->matmul_nn_acc(rows, some, g->dv, t->dy, g->dv, t->vt + from, t->n, t->dp + c, n);
        c += some;
    }
    for (int64_t r = 0; r < rows; r++) share[r] = soften(t, r, first + r / g->group, n);
    for (int64_t i = 0, c = 0; i < t->ranges; i++) {
        int64_t from = t->range[i].from, some = t->range[i].to - from;
        kn->matmul_tn_acc(some, g->dv, rows, t->p + c, n, t->dy, g->dv, t->dv + from * g->dv, g->dv);
        c += some;
    }
    for (int64_t r = 0; r < rows; r++) score_gradient(t, r, first + r / g->group, n, share[r]);
    memset(t->dq, 0, sizeof(float) * (size_t)(rows * d));
    for (int64_t i = 0, c = 0; i < t->ranges; i++) {
        int64_t from = t->range[i].from, some = t->range[i].to - from;
        kn->matmul_tn_acc(some, d, rows, t->dp + c, n, t->q, d, t->dk + from * d, d);
        kn->matmul_nn_acc(rows, d, some, t->dp + c, n, t->k + from * t->ldk, t->ldk, t->dq, d);
        c += some;
    }
    for (int64_t r = 0; r < rows; r++) {
        int64_t row = (t->first + first + r / g->group) * g->heads + head_of(t, r);
        kn->scale(d, t->dq + r * d, a->scale, (float *)t->s->out_data + row * d);
    }
}

/* All tokens of a task's sequence. */
static void work(task *t, int64_t tokens)
{
    const geometry *g = &t->g;
    memset(t->dk, 0, sizeof(float) * (size_t)(t->n * g->d));
    memset(t->dv, 0, sizeof(float) * (size_t)(t->n * g->dv));
    if (g->biases)
        memset(t->bias + (t->seq * g->heads + t->head * g->group) * g->biases, 0,
               sizeof(float) * (size_t)(g->group * g->biases));
    int64_t size = SC_ATTR(t->s, sc_attention_attr)->blocks.size;
    for (int64_t at = 0, count; at < tokens; at += count) {
        count = SC_MIN(g->block, tokens - at);
        if (size) count = SC_MIN(count, size - at % size); /* of one block of a pattern */
        block(t, at, count);
    }
    float *dk = (float *)t->s->out_data + sc_tensor_count(t->s->in[QUERY]),
          *dv = dk + sc_tensor_count(t->s->in[KEY]);
    for (int64_t j = 0; j < t->n; j++) {
        int64_t to = (t->first_key + j) * g->kv_heads + t->head;
        memcpy(dk + to * g->d, t->dk + j * g->d, sizeof(float) * (size_t)g->d);
        memcpy(dv + to * g->dv, t->dv + j * g->dv, sizeof(float) * (size_t)g->dv);
    }
}

static sc_status run(const sc_step *s, const sc_kernels *kn, int64_t begin, int64_t end, void *room)
{
    task t = {.s = s, .kn = kn, .g = measure(s)};
    const geometry *g = &t.g;
    const sc_tensor *k = s->in[KEY], *v = s->in[VALUE];
    const int32_t *start = s->in_data[START],
                  *keys = SC_ATTR(s, sc_attention_attr)->cross ? s->in_data[KEYS_START] : start;
    int64_t rows = g->block * g->group;
    t.q = room;
    t.dy = t.q + rows * g->d;
    t.dq = t.dy + rows * g->dv;
    t.score = t.dq + rows * g->d;
    t.dp = t.score + rows * g->keys;
    t.dk = t.dp + rows * g->keys;
    t.dv = t.dk + g->d * g->keys;
    float *kt = t.dv + g->dv * g->keys, *vt = kt + g->d * g->keys, *other = vt + g->dv * g->keys;
    t.kt = kt;
    t.vt = vt;
    t.p = SC_ATTR(s, sc_attention_attr)->cap > 0 ? other : t.score;
    const size_t align = sizeof(int64_t);
    t.range = (void *)(((uintptr_t)(other + rows * g->keys) + align - 1) / align * align);
    t.ldk = k->stride[0];
    t.ldv = v->stride[0];
    t.sink = (float *)s->out_data + sc_tensor_count(s->in[QUERY]) + sc_tensor_count(k) + sc_tensor_count(v);
    t.bias = t.sink + (s->in[SINKS] ? g->tokens * g->heads : 0);
    for (int64_t i = begin; i < end; i++) {
        t.seq = i / g->kv_heads;
        t.head = i % g->kv_heads;
        t.first = start[t.seq];
        t.first_key = keys[t.seq];
        t.n = keys[t.seq + 1] - t.first_key;
        t.k = (const float *)s->in_data[KEY] + t.first_key * t.ldk + t.head * k->stride[1];
        t.v = (const float *)s->in_data[VALUE] + t.first_key * t.ldv + t.head * v->stride[1];
        turn(t.n, g->d, t.k, t.ldk, kt);
        turn(t.n, g->dv, t.v, t.ldv, vt);
        work(&t, start[t.seq + 1] - t.first);
    }
    return SC_OK;
}

static const char *refuse(const sc_step *s)
{
    return measure(s).group > 256 ? "more than 256 query heads over one key head" : NULL;
}

const sc_cpu_op sc_cpu_attention_grad = {.refuse = refuse, .tasks = tasks, .scratch = scratch, .run = run};
