/* SPDX-License-Identifier: Apache-2.0 */
/* Gated cells backwards. A task is a sequence. What a step was given is known from the result, so the gates of all steps
 * are made again in products of matrices; then dh (and an LSTM's dc) go from the last step to the first:
 *   GRU:  h' = (1 - z) n + z h, n = tanh(x_n + r u), u = w_n h + b_n
 *   LSTM: c' = f c + i g, h' = o tanh c'
 *   context: e_j = v . tanh(query h + key_j), p = softmax e, context = sum of p_j value_j */
#include "cpu/cpu.h"

#include <math.h>

enum { INPUT, MATRIX, BIAS, H0, C0, START, RESULT, GRADIENT, QUERY = 9, V, KEYS, VALUES, INTO, KEYS_START };

typedef struct sizes {
    int64_t tokens, sequences, h, gates, a, m, keys, width; /* gates, width: of a row; keys: of all sequences */
    bool lstm;
} sizes;

static sizes measure(const sc_step *s)
{
    sizes z = {.tokens = s->in[INPUT]->shape.dim[0],
               .sequences = s->in[START]->shape.dim[0] - 1,
               .h = s->in[MATRIX]->shape.dim[1],
               .gates = s->in[MATRIX]->shape.dim[0],
               .width = s->in[RESULT]->shape.dim[1],
               .lstm = SC_ATTR(s, sc_cell_attr)->lstm};
    if (!s->in[QUERY]) return z;
    z.a = s->in[QUERY]->shape.dim[0];
    z.m = s->in[INTO]->shape.dim[1];
    z.keys = s->in[KEYS]->shape.dim[0];
    return z;
}

static int64_t tasks(const sc_step *s) { return s->in[START]->shape.dim[0] - 1; }

/* What is made again of a sequence, by token; what goes backwards; and the context's, by key. */
typedef struct room {
    float *gi, *gh, *query; /* (T, gates), (T, gates), (T, A) */
    float *dh, *dc, *dcontext, *tmp;
    float *p, *dp, *bent; /* (U), (U), (U, A): tanh(query h + key) */
} room;

static int64_t scratch(const sc_step *s)
{
    sizes z = measure(s);
    int64_t made = z.tokens * (2 * z.gates + z.a), back = 2 * z.h + z.m + SC_MAX(z.a, z.m);
    return (made + back + z.keys * (2 + z.a)) * (int64_t)sizeof(float);
}

static room lay_out(const sizes *z, float *at)
{
    room r = {.gi = at};
    r.gh = r.gi + z->tokens * z->gates;
    r.query = r.gh + z->tokens * z->gates;
    r.dh = r.query + z->tokens * z->a;
    r.dc = r.dh + z->h;
    r.dcontext = r.dc + z->h;
    r.tmp = r.dcontext + z->m;
    r.p = r.tmp + SC_MAX(z->a, z->m);
    r.dp = r.p + z->keys;
    r.bent = r.dp + z->keys;
    return r;
}

/* The parts of the result, as ops/cell.c has them. */
typedef struct parts {
    float *dgi, *dgh, *before, *dh0, *dc0, *dquery, *dkeys, *dvalues, *dv;
} parts;

static parts parts_of(const sizes *z, float *at)
{
    parts p = {.dgi = at};
    p.dgh = p.dgi + z->tokens * z->gates;
    p.before = p.dgh + (z->lstm ? 0 : z->tokens * z->gates);
    p.dh0 = p.before + z->tokens * z->h;
    p.dc0 = p.dh0 + z->sequences * z->h;
    p.dquery = p.dc0 + (z->lstm ? z->sequences * z->h : 0);
    p.dkeys = p.dquery + z->tokens * z->a;
    p.dvalues = p.dkeys + z->keys * z->a;
    p.dv = p.dvalues + z->keys * z->m;
    return p;
}

typedef struct task {
    const sc_step *s;
    const sc_kernels *k;
    sizes z;
    room r;
    parts to;
    int64_t seq, start, n, first_key, keys; /* of the sequence */
} task;

/* The token of step i, in the order in which the cell went. */
static int64_t token_of(const task *t, int64_t i)
{
    return SC_ATTR(t->s, sc_cell_attr)->reverse ? t->start + t->n - 1 - i : t->start + i;
}

/* h (part 0) or c (part 1) before step i. NULL: zeros. */
static const float *state_before(const task *t, int64_t i, int part)
{
    const float *first = t->s->in_data[H0 + part];
    if (i > 0) return (const float *)t->s->in_data[RESULT] + token_of(t, i - 1) * t->z.width + part * t->z.h;
    return first ? first + t->seq * t->z.h : NULL;
}

/* What the gates and the context's queries were given at all steps. */
static void make_again(const task *t)
{
    const sizes *z = &t->z;
    const sc_step *s = t->s;
    float *before = t->to.before + t->start * z->h;
    for (int64_t i = 0; i < t->n; i++) {
        const float *h = state_before(t, i, 0);
        float *row = t->to.before + token_of(t, i) * z->h;
        if (h)
            memcpy(row, h, sizeof *row * (size_t)z->h);
        else
            memset(row, 0, sizeof *row * (size_t)z->h);
    }
    t->k->matmul_nt(t->n, z->gates, z->h, before, z->h, s->in_data[MATRIX], z->h, t->r.gh, z->gates);
    if (z->m)
        t->k->matmul_nt(t->n, z->gates, z->m,
                        (const float *)s->in_data[RESULT] + t->start * z->width + z->width - z->m, z->width,
                        s->in_data[INTO], z->m, t->r.gi, z->gates);
    else
        memset(t->r.gi, 0, sizeof *t->r.gi * (size_t)(t->n * z->gates));
    t->k->add(t->n * z->gates, t->r.gi, (const float *)s->in_data[INPUT] + t->start * z->gates, t->r.gi);
    for (int64_t i = 0; i < t->n; i++)
        t->k->add(z->gates, t->r.gh + i * z->gates, s->in_data[BIAS], t->r.gh + i * z->gates);
    if (z->a) t->k->matmul_nt(t->n, z->a, z->h, before, z->h, s->in_data[QUERY], z->h, t->r.query, z->a);
}

static float sigmoid(float x) { return 1 / (1 + expf(-x)); }

/* dh of h' becomes what passes h' by, to h; the gates' gradients go to dgi and dgh. before: h, or NULL. */
static void back_gru(int64_t n, const float *gi, const float *gh, const float *before, float *dh, float *dgi,
                     float *dgh)
{
    for (int64_t i = 0; i < n; i++) {
        float r = sigmoid(gi[i] + gh[i]), z = sigmoid(gi[n + i] + gh[n + i]), u = gh[2 * n + i];
        float fresh = tanhf(gi[2 * n + i] + r * u), d = dh[i], h = before ? before[i] : 0;
        float dn = d * (1 - z) * (1 - fresh * fresh);
        dgi[i] = dgh[i] = dn * u * r * (1 - r);
        dgi[n + i] = dgh[n + i] = d * (h - fresh) * z * (1 - z);
        dgi[2 * n + i] = dn;
        dgh[2 * n + i] = dn * r;
        dh[i] = d * z;
    }
}

/* after: c'; before: c, or NULL. Nothing passes h' by. */
static void back_lstm(int64_t n, const float *gi, const float *gh, const float *before, const float *after,
                      float *dh, float *dc, float *dg)
{
    for (int64_t i = 0; i < n; i++) {
        float in = sigmoid(gi[i] + gh[i]), keep = sigmoid(gi[n + i] + gh[n + i]);
        float fresh = tanhf(gi[2 * n + i] + gh[2 * n + i]), out = sigmoid(gi[3 * n + i] + gh[3 * n + i]);
        float bent = tanhf(after[i]), c = before ? before[i] : 0, d = dc[i] + dh[i] * out * (1 - bent * bent);
        dg[i] = d * fresh * in * (1 - in);
        dg[n + i] = d * c * keep * (1 - keep);
        dg[2 * n + i] = d * in * (1 - fresh * fresh);
        dg[3 * n + i] = dh[i] * bent * out * (1 - out);
        dc[i] = d * keep;
        dh[i] = 0;
    }
}

/* The context of a token from r.dcontext back to keys, values, v and the query, and through that to dh. */
static void back_context(const task *t, int64_t token)
{
    const sizes *z = &t->z;
    const room *r = &t->r;
    const sc_kernels *k = t->k;
    const float *query = r->query + (token - t->start) * z->a, *v = t->s->in_data[V],
                *keys = (const float *)t->s->in_data[KEYS] + t->first_key * z->a,
                *values = (const float *)t->s->in_data[VALUES] + t->first_key * z->m;
    float *dquery = t->to.dquery + token * z->a, *dv = t->to.dv + t->seq * z->a, sum;
    memset(dquery, 0, sizeof *dquery * (size_t)z->a);
    if (t->keys < 1) return;
    for (int64_t j = 0; j < t->keys; j++) k->add(z->a, query, keys + j * z->a, r->bent + j * z->a);
    k->unary[SC_UNARY_TANH](t->keys * z->a, r->bent, r->bent);
    for (int64_t j = 0; j < t->keys; j++) r->p[j] = k->dot(z->a, r->bent + j * z->a, v);
    sum = k->exp_sum(t->keys, r->p, k->max(t->keys, r->p), r->p);
    k->scale(t->keys, r->p, 1 / sum, r->p);
    for (int64_t j = 0; j < t->keys; j++) {
        float *dvalue = t->to.dvalues + (t->first_key + j) * z->m;
        r->dp[j] = k->dot(z->m, r->dcontext, values + j * z->m);
        k->scale(z->m, r->dcontext, r->p[j], r->tmp);
        k->add(z->m, dvalue, r->tmp, dvalue);
    }
    sum = k->dot(t->keys, r->p, r->dp);
    for (int64_t j = 0; j < t->keys; j++) {
        const float *bent = r->bent + j * z->a;
        float *dkey = t->to.dkeys + (t->first_key + j) * z->a, de = r->p[j] * (r->dp[j] - sum);
        for (int64_t i = 0; i < z->a; i++) {
            float d = de * v[i] * (1 - bent[i] * bent[i]);
            dv[i] += de * bent[i];
            dkey[i] += d;
            dquery[i] += d;
        }
    }
    k->matmul_nn_acc(1, z->h, z->a, dquery, z->a, t->s->in_data[QUERY], z->h, r->dh, z->h);
}

static void step_back(const task *t, int64_t i)
{
    const sizes *z = &t->z;
    const room *r = &t->r;
    int64_t token = token_of(t, i), row = token - t->start;
    const float *y = (const float *)t->s->in_data[RESULT] + token * z->width,
                *dy = (const float *)t->s->in_data[GRADIENT] + token * z->width, *gi = r->gi + row * z->gates,
                *gh = r->gh + row * z->gates;
    float *dgi = t->to.dgi + token * z->gates, *dgh = z->lstm ? dgi : t->to.dgh + token * z->gates;
    t->k->add(z->h, r->dh, dy, r->dh);
    if (z->lstm) {
        t->k->add(z->h, r->dc, dy + z->h, r->dc);
        back_lstm(z->h, gi, gh, state_before(t, i, 1), y + z->h, r->dh, r->dc, dgi);
    } else {
        back_gru(z->h, gi, gh, state_before(t, i, 0), r->dh, dgi, dgh);
    }
    t->k->matmul_nn_acc(1, z->h, z->gates, dgh, z->gates, t->s->in_data[MATRIX], z->h, r->dh, z->h);
    if (!z->m) return;
    memcpy(r->dcontext, dy + z->width - z->m, sizeof *dy * (size_t)z->m);
    t->k->matmul_nn_acc(1, z->m, z->gates, dgi, z->gates, t->s->in_data[INTO], z->m, r->dcontext, z->m);
    back_context(t, token);
}

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch_room)
{
    task t = {.s = s, .k = k, .z = measure(s)};
    const sizes *z = &t.z;
    const int32_t *start = s->in_data[START], *keys = z->m ? s->in_data[KEYS_START] : NULL;
    size_t state = sizeof(float) * (size_t)z->h;
    t.r = lay_out(z, scratch_room);
    t.to = parts_of(z, s->out_data);
    for (t.seq = begin; t.seq < end; t.seq++) {
        t.start = start[t.seq];
        t.n = start[t.seq + 1] - t.start;
        if (keys) {
            t.first_key = keys[t.seq];
            t.keys = keys[t.seq + 1] - t.first_key;
            memset(t.to.dkeys + t.first_key * z->a, 0, sizeof(float) * (size_t)(t.keys * z->a));
            memset(t.to.dvalues + t.first_key * z->m, 0, sizeof(float) * (size_t)(t.keys * z->m));
            memset(t.to.dv + t.seq * z->a, 0, sizeof(float) * (size_t)z->a);
        }
        memset(t.r.dh, 0, state);
        memset(t.r.dc, 0, state);
        make_again(&t);
        for (int64_t i = t.n - 1; i >= 0; i--) step_back(&t, i);
        memcpy(t.to.dh0 + t.seq * z->h, t.r.dh, state);
        if (z->lstm) memcpy(t.to.dc0 + t.seq * z->h, t.r.dc, state);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_cell_grad = {.tasks = tasks, .scratch = scratch, .run = run};
