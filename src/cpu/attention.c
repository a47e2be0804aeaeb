/* SPDX-License-Identifier: Apache-2.0 */
/* Attention, tile by tile with a running maximum and sum, so that no row of scores is ever stored whole.
 *
 * A task is one key head and a block of neighbouring tokens: the G query heads that share the key head make G rows a
 * token, and all rows go over the same tiles of keys. Tiles begin at multiples of TILE counted from the beginning of
 * the sequence, and the last one is filled up with scores of -inf; so the order of every sum is fixed by the
 * sequence alone, and a result is the same bits with and without a cache, alone and in a batch. */
#include "cpu/cpu.h"

#include <math.h>

enum { TILE = SC_ATTENTION_TILE, ROWS = 64 };

typedef struct geometry {
    int64_t tokens, sequences, heads, kv_heads, group, d; /* group: query heads that share a key head */
    int64_t block;                                        /* tokens of a task */
    bool cached;
} geometry;

static geometry measure(const sc_step *s)
{
    const sc_tensor *q = s->in[0], *k = s->in[1];
    geometry g = {.tokens = q->shape.dim[0],
                  .heads = q->shape.dim[1],
                  .d = q->shape.dim[2],
                  .sequences = s->in[3]->shape.dim[0] - 1,
                  .kv_heads = k->shape.dim[1],
                  .cached = k->shape.rank == 4};
    g.group = g.heads / g.kv_heads;
    g.block = SC_MAX(ROWS / g.group, 1);
    return g;
}

static const char *refuse_cache(const sc_tensor *k)
{
    if (k->dtype == SC_F32 || k->dtype == SC_F16 || k->dtype == SC_BF16) return NULL;
    if (k->dtype != SC_Q8_0) return "a cache of this type";
    return k->shape.dim[3] % 32 ? "a q8_0 cache for heads that are not a multiple of 32 wide" : NULL;
}

static const char *refuse(const sc_step *s)
{
    const char *why = s->in[1]->shape.rank == 4 ? refuse_cache(s->in[1]) : NULL;
    return why || s->in[1]->shape.rank != 4 ? why : refuse_cache(s->in[2]);
}

static int64_t tasks(const sc_step *s)
{
    geometry g = measure(s);
    return sc_tasks_of(g.tokens, g.block) * g.kv_heads;
}

static int64_t scratch(const sc_step *s)
{
    geometry g = measure(s);
    int64_t rows = g.block * g.group;
    return (2 * rows * g.d + rows * TILE + 2 * rows + 2 * TILE * g.d) * (int64_t)sizeof(float);
}

/* A thread's room: rows r = token * group + head. */
typedef struct room {
    float *q, *o;     /* (rows, D) */
    float *score;     /* (rows, TILE) */
    float *max, *sum; /* (rows) */
    float *k, *v;     /* (TILE, D) of a cache that is not f32 */
} room;

static room lay_out(const geometry *g, float *p)
{
    int64_t rows = g->block * g->group;
    room r;
    r.q = p;
    r.o = r.q + rows * g->d;
    r.score = r.o + rows * g->d;
    r.max = r.score + rows * TILE;
    r.sum = r.max + rows;
    r.k = r.sum + rows;
    r.v = r.k + TILE * g->d;
    return r;
}

/* Keys (or values) first .. first + n of a sequence for one head as f32 rows; *ld is their distance. */
static const float *tile(const sc_step *s, const sc_kernels *kn, const geometry *g, int which, int64_t seq,
                         int64_t head, int64_t first, int64_t n, float *into, int64_t *ld)
{
    const sc_tensor *t = s->in[which];
    if (!g->cached) {
        const int32_t *start = s->in_data[3];
        *ld = t->stride[0];
        return (const float *)s->in_data[which] + (start[seq] + first) * t->stride[0] + head * t->stride[1];
    }
    const sc_dtype_info *info = sc_dtype_get(t->dtype);
    const int32_t *pages = (const int32_t *)s->in_data[5] + seq * s->in[5]->shape.dim[1];
    int64_t at = (pages[first / TILE] * g->kv_heads + head) * TILE * g->d;
    const char *from = (const char *)s->in_data[which] + at / info->block * info->bytes;
    *ld = g->d;
    if (t->dtype == SC_F32) return (const float *)from;
    kn->dequantize[t->dtype](from, into, n * g->d);
    return into;
}

/* Scores of keys first .. first + TILE that query `at` must not see become -inf; n of them exist. */
static void mask(float *score, const sc_attention_attr *a, int64_t at, int64_t first, int64_t n)
{
    int64_t lo = a->window > 0 ? SC_MAX(at - a->window + 1 - first, 0) : 0;
    int64_t hi = a->causal ? SC_MIN(at + 1 - first, n) : n;
    for (int64_t c = 0; c < SC_MIN(lo, TILE); c++) score[c] = -INFINITY;
    for (int64_t c = SC_MAX(hi, 0); c < TILE; c++) score[c] = -INFINITY;
}

/* Takes one tile into row r's running maximum and sum; the scores become weights. */
static void fold(const sc_kernels *kn, const geometry *g, const room *m, int64_t r)
{
    float *score = m->score + r * TILE, top = SC_MAX(m->max[r], kn->max(TILE, score));
    if (top == -INFINITY) { /* nothing visible yet */
        memset(score, 0, TILE * sizeof *score);
        return;
    }
    float keep = expf(m->max[r] - top), added = kn->exp_sum(TILE, score, top, score);
    m->sum[r] = m->sum[r] * keep + added;
    m->max[r] = top;
    if (keep != 1) kn->scale(g->d, m->o + r * g->d, keep, m->o + r * g->d);
}

/* Tokens first .. end, all of sequence seq, for one key head. */
static void attend(const sc_step *s, const sc_kernels *kn, const geometry *g, const room *m, int64_t seq,
                   int64_t head, int64_t first, int64_t end)
{
    const sc_attention_attr *a = SC_ATTR(s, sc_attention_attr);
    const int32_t *start = s->in_data[3], *past = s->in_data[4];
    const sc_tensor *q = s->in[0];
    int64_t base = (g->cached ? past[seq] : 0) - start[seq]; /* token t is key t + base of its sequence */
    int64_t rows = (end - first) * g->group, keys = (a->causal ? end : start[seq + 1]) + base, ldk, ldv;
    for (int64_t r = 0; r < rows; r++) {
        const float *from = (const float *)s->in_data[0] + (first + r / g->group) * q->stride[0] +
                            (head * g->group + r % g->group) * q->stride[1];
        kn->scale(g->d, from, a->scale, m->q + r * g->d);
        m->max[r] = -INFINITY;
        m->sum[r] = 0;
    }
    memset(m->o, 0, sizeof *m->o * (size_t)(rows * g->d));
    int64_t from = a->window > 0 ? SC_MAX(first + base - a->window + 1, 0) / TILE * TILE : 0;
    for (int64_t j = from; j < keys; j += TILE) {
        int64_t n = SC_MIN(keys - j, TILE);
        const float *k = tile(s, kn, g, 1, seq, head, j, n, m->k, &ldk),
                    *v = tile(s, kn, g, 2, seq, head, j, n, m->v, &ldv);
        kn->matmul_nt(rows, n, g->d, m->q, g->d, k, ldk, m->score, TILE);
        for (int64_t r = 0; r < rows; r++) {
            mask(m->score + r * TILE, a, first + r / g->group + base, j, n);
            fold(kn, g, m, r);
        }
        kn->matmul_nn_acc(rows, g->d, n, m->score, TILE, v, ldv, m->o, g->d);
    }
    for (int64_t r = 0; r < rows; r++) {
        float *to =
            (float *)s->out_data + ((first + r / g->group) * g->heads + head * g->group + r % g->group) * g->d;
        kn->scale(g->d, m->o + r * g->d, m->sum[r] > 0 ? 1 / m->sum[r] : 0, to);
    }
}

static sc_status run(const sc_step *s, const sc_kernels *kn, int64_t begin, int64_t end, void *scratch_room)
{
    geometry g = measure(s);
    room m = lay_out(&g, scratch_room);
    const int32_t *start = s->in_data[3];
    for (int64_t task = begin; task < end; task++) {
        int64_t head = task % g.kv_heads, first = task / g.kv_heads * g.block,
                stop = SC_MIN(first + g.block, g.tokens);
        for (int64_t seq = 0; seq < g.sequences; seq++) {
            int64_t from = SC_MAX(first, start[seq]), to = SC_MIN(stop, start[seq + 1]);
            if (from < to) attend(s, kn, &g, &m, seq, head, from, to);
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_attention = {.refuse = refuse, .tasks = tasks, .scratch = scratch, .run = run};

/* ---- kv_write: one token a task ---- */

static const char *write_refuse(const sc_step *s) { return refuse_cache(s->in[0]); }

static int64_t write_tasks(const sc_step *s) { return s->in[1]->shape.dim[0]; }

static sc_status write_run(const sc_step *s, const sc_kernels *kn, int64_t begin, int64_t end, void *scratch_room)
{
    (void)scratch_room;
    const sc_tensor *cache = s->in[0], *x = s->in[1];
    const sc_dtype_info *info = sc_dtype_get(cache->dtype);
    const int32_t *slots = s->in_data[2];
    int64_t heads = x->shape.dim[1], d = x->shape.dim[2], all = cache->shape.dim[0] * TILE;
    for (int64_t t = begin; t < end; t++) {
        if (slots[t] < 0 || slots[t] >= all)
            return sc_fail(SC_ELIMIT, "slot %d of a cache with %lld", slots[t], (long long)all);
        for (int64_t h = 0; h < heads; h++) {
            const float *from = (const float *)s->in_data[1] + t * x->stride[0] + h * x->stride[1];
            int64_t at = ((slots[t] / TILE * heads + h) * TILE + slots[t] % TILE) * d;
            void *to = (char *)s->in_data[0] + at / info->block * info->bytes;
            if (cache->dtype == SC_F32)
                memcpy(to, from, sizeof *from * (size_t)d);
            else
                kn->quantize[cache->dtype](from, to, d);
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_kv_write = {.refuse = write_refuse, .tasks = write_tasks, .run = write_run};
