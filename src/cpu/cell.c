/* SPDX-License-Identifier: Apache-2.0 */
/* Gated cells. A task is a sequence, which it carries from one end to the other. */
#include "cpu/cpu.h"

#include <math.h>

enum { TILE = SC_ATTENTION_TILE };

typedef struct sizes {
    int64_t h, gates, states, a, m, keys; /* states: 1 or 2 of h; keys: at most, of a sequence */
} sizes;

static sizes measure(const sc_step *s)
{
    const sc_cell_attr *attr = SC_ATTR(s, sc_cell_attr);
    sizes z = {.h = s->in[1]->shape.dim[1], .states = 1 + attr->lstm};
    z.gates = (attr->lstm ? 4 : 3) * z.h;
    if (!s->in[9]) return z;
    z.a = s->in[9]->shape.dim[0];
    z.m = s->in[13]->shape.dim[1];
    z.keys = s->in[11]->shape.rank == 4 ? s->in[15]->shape.dim[1] * TILE : s->in[11]->shape.dim[0];
    return z;
}

static const char *refuse(const sc_step *s)
{
    static const int stored[] = {3, 4, 11, 12};
    for (int i = 0; i < SC_COUNT(stored); i++) {
        const sc_tensor *t = s->in[stored[i]];
        if (!t || t->dtype == SC_F32 || t->dtype == SC_F16 || t->dtype == SC_BF16) continue;
        if (t->dtype != SC_Q8_0 || t->shape.dim[t->shape.rank - 1] % 32) return "a memory of this type";
    }
    return NULL;
}

static int64_t tasks(const sc_step *s) { return s->in[5]->shape.dim[0] - 1; }

static int64_t scratch(const sc_step *s)
{
    sizes z = measure(s);
    return (z.states * z.h + 2 * z.gates + 4 * z.a + 2 * z.m + z.keys) * (int64_t)sizeof(float);
}

typedef struct room {
    float *state;         /* h, then c */
    float *gi, *gh;       /* what the gates get from the input, and from h */
    float *q, *key, *sum; /* (A) */
    float *value, *ctx;   /* (M) */
    float *score;         /* of each key */
} room;

/* Row i of a sequence in a table with a start, or in a cache; brought to f32 in `own` where it is not. */
static const float *row_of(const sc_step *s, const sc_kernels *k, int which, int64_t seq, int64_t first, int64_t i,
                           float *own)
{
    const sc_tensor *t = s->in[which];
    int64_t n = t->shape.dim[t->shape.rank - 1];
    const sc_dtype_info *d = sc_dtype_get(t->dtype);
    if (t->shape.rank == 2) return (const float *)s->in_data[which] + (first + i) * n;
    const int32_t *pages = (const int32_t *)s->in_data[15] + seq * s->in[15]->shape.dim[1];
    const char *at =
        (const char *)s->in_data[which] + (pages[i / TILE] * TILE + i % TILE) * n / d->block * d->bytes;
    if (t->dtype == SC_F32) return (const float *)(const void *)at;
    k->dequantize[t->dtype](at, own, n);
    return own;
}

/* The context that h asks for. */
static void attend(const sc_step *s, const sc_kernels *k, const sizes *z, const room *r, int64_t seq)
{
    const int32_t *table = s->in_data[14];
    bool cached = s->in[11]->shape.rank == 4;
    int64_t first = cached ? 0 : table[seq], n = cached ? table[seq] : table[seq + 1] - first;
    memset(r->ctx, 0, sizeof *r->ctx * (size_t)z->m);
    if (n < 1) return;
    k->matmul_nt(1, z->a, z->h, r->state, z->h, s->in_data[9], z->h, r->q, z->a);
    for (int64_t i = 0; i < n; i++) {
        k->add(z->a, r->q, row_of(s, k, 11, seq, first, i, r->key), r->sum);
        k->unary[SC_UNARY_TANH](z->a, r->sum, r->sum);
        k->matmul_nt(1, 1, z->a, r->sum, z->a, s->in_data[10], z->a, r->score + i, 1);
    }
    float all = k->exp_sum(n, r->score, k->max(n, r->score), r->score);
    for (int64_t i = 0; i < n; i++) {
        k->scale(z->m, row_of(s, k, 12, seq, first, i, r->value), r->score[i] / all, r->value);
        k->add(z->m, r->ctx, r->value, r->ctx);
    }
}

static float sigmoid(float x) { return 1 / (1 + expf(-x)); }

static void step_gru(int64_t n, const float *gi, const float *gh, float *h)
{
    for (int64_t i = 0; i < n; i++) {
        float r = sigmoid(gi[i] + gh[i]), z = sigmoid(gi[n + i] + gh[n + i]);
        float fresh = tanhf(gi[2 * n + i] + r * gh[2 * n + i]);
        h[i] = (1 - z) * fresh + z * h[i];
    }
}

static void step_lstm(int64_t n, const float *gi, const float *gh, float *h, float *c)
{
    for (int64_t i = 0; i < n; i++) {
        float in = sigmoid(gi[i] + gh[i]), keep = sigmoid(gi[n + i] + gh[n + i]);
        float fresh = tanhf(gi[2 * n + i] + gh[2 * n + i]), out = sigmoid(gi[3 * n + i] + gh[3 * n + i]);
        c[i] = keep * c[i] + in * fresh;
        h[i] = out * tanhf(c[i]);
    }
}

static void begin(const sc_step *s, const sc_kernels *k, const sizes *z, const room *r, int64_t seq)
{
    for (int i = 0; i < z->states; i++) {
        float *to = r->state + i * z->h;
        const float *from =
            s->in[3 + i] ? row_of(s, k, 3 + i, seq, s->in[3 + i]->shape.rank == 2 ? seq : 0, 0, to) : NULL;
        if (!from)
            memset(to, 0, sizeof *to * (size_t)z->h);
        else if (from != to)
            memcpy(to, from, sizeof *to * (size_t)z->h);
    }
}

static void token(const sc_step *s, const sc_kernels *k, const sizes *z, const room *r, int64_t seq, int64_t t)
{
    int64_t width = s->out->shape.dim[1];
    float *y = (float *)s->out_data + t * width;
    memcpy(r->gi, (const float *)s->in_data[0] + t * z->gates, sizeof *r->gi * (size_t)z->gates);
    if (z->m) {
        attend(s, k, z, r, seq);
        k->matmul_nt(1, z->gates, z->m, r->ctx, z->m, s->in_data[13], z->m, r->gh, z->gates);
        k->add(z->gates, r->gi, r->gh, r->gi);
    }
    k->matmul_nt(1, z->gates, z->h, r->state, z->h, s->in_data[1], z->h, r->gh, z->gates);
    k->add(z->gates, r->gh, s->in_data[2], r->gh);
    if (z->states == 2)
        step_lstm(z->h, r->gi, r->gh, r->state, r->state + z->h);
    else
        step_gru(z->h, r->gi, r->gh, r->state);
    memcpy(y, r->state, sizeof *y * (size_t)(z->states * z->h));
    if (z->m) memcpy(y + z->states * z->h, r->ctx, sizeof *y * (size_t)z->m);
}

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t from, int64_t to, void *scratch_room)
{
    sizes z = measure(s);
    const int32_t *start = s->in_data[5], *read = s->in_data[7], *write = s->in_data[8];
    int64_t slots = s->in[6] ? s->in[6]->shape.dim[0] : 0, each = z.states * z.h;
    float *kept = s->in_data[6];
    room r = {.state = scratch_room};
    r.gi = r.state + each;
    r.gh = r.gi + z.gates;
    r.q = r.gh + z.gates;
    r.key = r.q + z.a;
    r.sum = r.key + z.a;
    r.value = r.sum + 2 * z.a;
    r.ctx = r.value + z.m;
    r.score = r.ctx + z.m;
    for (int64_t seq = from; seq < to; seq++) {
        if (kept && (read[seq] < -1 || read[seq] >= slots || write[seq] < 0 || write[seq] >= slots))
            return sc_fail(SC_EINVAL, "states in slots %d and %d of %lld", read[seq], write[seq], (long long)slots);
        if (kept && read[seq] >= 0)
            memcpy(r.state, kept + read[seq] * each, sizeof *kept * (size_t)each);
        else
            begin(s, k, &z, &r, seq);
        int64_t n = start[seq + 1] - start[seq];
        for (int64_t i = 0; i < n; i++)
            token(s, k, &z, &r, seq, SC_ATTR(s, sc_cell_attr)->reverse ? start[seq + 1] - 1 - i : start[seq] + i);
        if (kept) memcpy(kept + write[seq] * each, r.state, sizeof *kept * (size_t)each);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_cell = {.refuse = refuse, .tasks = tasks, .scratch = scratch, .run = run};
