/* SPDX-License-Identifier: Apache-2.0 */
/* Attention, tile by tile with a running maximum and sum, so that no row of scores is ever stored whole.
 *
 * A query's result is defined by its sequence alone. Keys are cut into tiles and tiles into segments, both counted from
 * the beginning of the sequence; the last tile is filled up with scores of -inf. Each segment is a fold over its tiles,
 * beginning with nothing, and the result a fold over the segments, in order. A tile or a segment of which a query sees
 * nothing leaves no trace. So a result is the same bits with and without a cache, alone and in a batch, and whether one
 * task goes through all segments or, as in attention_parts and attention_join, there is a task for each. Tiles of which
 * no query of a task sees a key are left out (ops/keys.c).
 *
 * A task is one key head and a block of neighbouring tokens: the G query heads that share the key head make G rows a
 * token, and all rows go over the same tiles. */
#include "cpu/cpu.h"

#include <math.h>

enum {
    TILE = SC_ATTENTION_TILE,
    SEGMENT = SC_ATTENTION_SEGMENT,
    ROWS = 64,    /* of a task, at most */
    FEW_ROWS = 8, /* for which a tile is not brought to f32 in memory first */
    LINE = 64     /* bytes */
};

typedef struct geometry {
    int64_t tokens, sequences, heads, kv_heads, group; /* group: query heads that share a key head */
    int64_t d, dv;                                     /* widths of a key and of a value */
    int64_t block;                                     /* tokens of a task */
    int64_t segments;                                  /* that have tasks of their own; 1: none have */
    int64_t split;                                     /* key heads here that are one in the cache */
    int64_t ranges;                                    /* of keys that a query can see, at most */
    bool cached;
} geometry;

static geometry measure(const sc_step *s)
{
    const sc_tensor *q = s->in[0], *k = s->in[1];
    geometry g = {.tokens = q->shape.dim[0],
                  .heads = q->shape.dim[1],
                  .d = q->shape.dim[2],
                  .dv = s->in[2]->shape.dim[s->in[2]->shape.rank - 1],
                  .sequences = s->in[3]->shape.dim[0] - 1,
                  .kv_heads = k->shape.dim[1],
                  .cached = k->shape.rank == 4};
    /* With one key head for all (latent attention) there would be a single task. */
    for (g.split = 1; g.kv_heads == 1 && g.heads / g.split > FEW_ROWS && g.heads % (2 * g.split) == 0;)
        g.split *= 2;
    g.kv_heads *= g.split;
    g.group = g.heads / g.kv_heads;
    /* No more than a sequence has, if they are all of a length: a block never mixes the tokens of two. */
    g.block = SC_MAX(SC_MIN(ROWS / g.group, sc_tasks_of(g.tokens, g.sequences)), 1);
    g.segments = s->out->shape.rank == 4 ? s->out->shape.dim[2] : 1;
    g.ranges = sc_attention_keys_most(SC_ATTR(s, sc_attention_attr),
                                      g.cached ? s->in[5]->shape.dim[1] * TILE : k->shape.dim[0]);
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
    return sc_tasks_of(g.tokens, g.block) * g.kv_heads * g.segments;
}

static int64_t scratch(const sc_step *s)
{
    geometry g = measure(s);
    int64_t rows = g.block * g.group;
    int64_t keys = (rows + TILE) * g.d, values = (2 * rows + TILE + 1) * g.dv;
    return (keys + values + rows * TILE + 5 * rows) * (int64_t)sizeof(float) +
           (g.ranges + 1) * (int64_t)sizeof(sc_key_range);
}

/* What a fold has for each row so far: the largest score, the sum of exp(score - max), and the values times those. */
typedef struct state {
    float *max, *sum; /* (rows) */
    float *o;         /* (rows, D) */
} state;

/* A thread's room: rows r = token * group + head. */
typedef struct room {
    float *q;        /* (rows, D), scaled */
    float *score;    /* (rows, TILE) */
    state part, all; /* of a segment, of the segments before it */
    float *k, *v;    /* (TILE, D) of a cache that is not f32 */
    float *row;      /* (D) */
    float *slope;    /* (rows) of ALiBi */
    sc_key_range *range;
} room;

static room lay_out(const geometry *g, float *p)
{
    int64_t rows = g->block * g->group;
    room r;
    r.q = p;
    r.part.o = r.q + rows * g->d;
    r.all.o = r.part.o + rows * g->dv;
    r.score = r.all.o + rows * g->dv;
    r.part.max = r.score + rows * TILE;
    r.part.sum = r.part.max + rows;
    r.all.max = r.part.sum + rows;
    r.all.sum = r.all.max + rows;
    r.k = r.all.sum + rows;
    r.v = r.k + TILE * g->d;
    r.row = r.v + TILE * g->dv;
    r.slope = r.row + g->dv;
    const size_t align = sizeof(int64_t);
    r.range = (void *)(((uintptr_t)(r.slope + rows) + align - 1) / align * align);
    return r;
}

/* Neighbouring tokens first .. end of sequence seq, for one key head. */
typedef struct span {
    int64_t seq, head, first, end;
    int64_t base;              /* token t is key t + base of its sequence */
    int64_t rows;              /* (end - first) * group */
    int64_t to;                /* keys that there are for any of them */
    const sc_key_range *range; /* that any of them sees */
    int64_t ranges;
} span;

static span span_of(const sc_step *s, const geometry *g, const room *m, int64_t seq, int64_t head, int64_t first,
                    int64_t end)
{
    const sc_attention_attr *a = SC_ATTR(s, sc_attention_attr);
    const int32_t *start = s->in_data[3], *past = s->in_data[4];
    span p = {.seq = seq, .head = head, .first = first, .end = end, .range = m->range};
    p.base = (g->cached ? past[seq] : 0) - start[seq];
    p.rows = (end - first) * g->group;
    if (a->cross) {
        const int32_t *keys = s->in_data[7];
        p.to = g->cached ? past[seq] : keys[seq + 1] - keys[seq];
    } else {
        p.to = (a->causal ? end : start[seq + 1]) + p.base;
    }
    p.ranges = sc_attention_keys(a, head / g->split, first + p.base, end + p.base, p.to, m->range);
    return p;
}

/* The first tile from that of key j on that any query of the span sees a key of; INT64_MAX: there is none. `at` goes along
 * with the ranges. */
static int64_t next_tile(const span *p, int64_t j, int64_t *at)
{
    while (*at < p->ranges && p->range[*at].to <= j) ++*at;
    return *at < p->ranges ? SC_MAX(j, p->range[*at].from) / TILE * TILE : INT64_MAX;
}

/* Keys (or values) from `first` of a span's sequence and head as they are stored. */
static const char *stored(const sc_step *s, const geometry *g, int which, const span *p, int64_t first)
{
    const sc_tensor *t = s->in[which];
    if (!g->cached) {
        const int32_t *start = s->in_data[SC_ATTR(s, sc_attention_attr)->cross ? 7 : 3];
        return (const char *)((const float *)s->in_data[which] + (start[p->seq] + first) * t->stride[0] +
                              p->head / g->split * t->stride[1]);
    }
    const sc_dtype_info *info = sc_dtype_get(t->dtype);
    const int32_t *pages = (const int32_t *)s->in_data[5] + p->seq * s->in[5]->shape.dim[1];
    int64_t at = pages[first / TILE] * t->stride[0] + p->head / g->split * t->stride[1];
    return (const char *)s->in_data[which] + at / info->block * info->bytes;
}

/* Tiles lie pages apart, farther than a processor looks ahead by itself. */
static void fetch(const sc_step *s, const geometry *g, int which, const span *p, int64_t first)
{
    if (!g->cached || first >= p->to) return;
    const char *from = stored(s, g, which, p, first);
    int64_t bytes = sc_dtype_size(s->in[which]->dtype, TILE * s->in[which]->stride[2]);
    for (int64_t i = 0; i < bytes; i += LINE) __builtin_prefetch(from + i);
}

/* n rows of d values, `ld` apart where they are stored, as f32 one after the other. Returns d. */
static int64_t bring(const sc_kernels *kn, sc_dtype dtype, const char *from, int64_t ld, int64_t n, int64_t d,
                     float *to)
{
    int64_t bytes = sc_dtype_size(dtype, ld);
    if (ld == d) kn->dequantize[dtype](from, to, n * d);
    for (int64_t i = 0; i < n && ld != d; i++) kn->dequantize[dtype](from + i * bytes, to + i * d, d);
    return d;
}

/* Products of the rows with n keys from `first`, into the scores. */
static void times_keys(const sc_step *s, const sc_kernels *kn, const geometry *g, const room *m, const span *p,
                       int64_t first, int64_t n)
{
    const sc_tensor *t = s->in[1];
    const char *k = stored(s, g, 1, p, first);
    int64_t ld = t->stride[g->cached ? 2 : 0];
    if (t->dtype != SC_F32 && p->rows <= FEW_ROWS) {
        kn->dot_rows[t->dtype](p->rows, n, g->d, m->q, g->d, k, sc_dtype_size(t->dtype, ld), m->score, TILE);
        return;
    }
    if (t->dtype != SC_F32) ld = bring(kn, t->dtype, k, ld, n, g->d, m->k);
    kn->matmul_nt(p->rows, n, g->d, m->q, g->d, t->dtype == SC_F32 ? (const float *)(const void *)k : m->k, ld,
                  m->score, TILE);
}

/* Adds the n values from `first`, each by its weight, to the rows of the segment. */
static void add_values(const sc_step *s, const sc_kernels *kn, const geometry *g, const room *m, const span *p,
                       int64_t first, int64_t n)
{
    const sc_tensor *t = s->in[2];
    const char *v = stored(s, g, 2, p, first);
    int64_t ld = t->stride[g->cached ? 2 : 0];
    if (t->dtype != SC_F32 && p->rows <= FEW_ROWS) {
        kn->add_rows[t->dtype](p->rows, g->dv, n, m->score, TILE, v, sc_dtype_size(t->dtype, ld), m->part.o, g->dv);
        return;
    }
    if (t->dtype != SC_F32) ld = bring(kn, t->dtype, v, ld, n, g->dv, m->v);
    kn->matmul_nn_acc(p->rows, g->dv, n, m->score, TILE, t->dtype == SC_F32 ? (const float *)(const void *)v : m->v,
                      ld, m->part.o, g->dv);
}

/* Scores of keys first .. first + TILE that query `at` must not see become -inf; n of them exist. */
static void mask(float *score, const sc_attention_attr *a, int64_t at, int64_t first, int64_t n)
{
    int64_t lo = 0, hi = a->causal ? SC_MIN(at + 1 - first, n) : n;
    if (a->window > 0) {
        lo = at - (a->causal ? a->window - 1 : a->window / 2) - first;
        if (!a->causal) hi = SC_MAX(SC_MIN(hi, at + a->window / 2 + 1 - first), SC_MIN(a->globals - first, n));
    }
    for (int64_t c = SC_MAX(a->globals - first, 0); c < SC_MIN(lo, TILE); c++) score[c] = -INFINITY;
    for (int64_t c = SC_MAX(hi, 0); c < TILE; c++) score[c] = -INFINITY;
}

/* ... and those that are in none of a pattern's ranges, of which `at` is the first that reaches so far. */
static void mask_blocks(float *score, const span *p, int64_t at, int64_t first)
{
    int64_t c = 0;
    for (; at < p->ranges && p->range[at].from < first + TILE; at++) {
        const sc_key_range *r = p->range + at;
        for (; c < r->from - first; c++) score[c] = -INFINITY;
        int64_t stop = SC_MIN(r->to - first, TILE);
        for (; r->again && c < stop; c++) score[c] += logf((float)(1 + r->again));
        c = SC_MAX(c, stop);
    }
    for (; c < TILE; c++) score[c] = -INFINITY;
}

/* Adds the bias of head `head` to the scores of keys first .. first + n of query `at`. */
static void add_bias(float *score, const sc_tensor *bias, const float *data, int64_t head, int64_t at,
                     int64_t first, int64_t n)
{
    int64_t most = bias->shape.dim[1] / 2;
    const float *of_head = data + head * bias->shape.dim[1] + most;
    for (int64_t c = 0; c < n; c++) score[c] += of_head[SC_MIN(SC_MAX(first + c - at, -most), most)];
}

float sc_alibi_slope(int64_t head, int64_t heads)
{
    int64_t p = 1;
    while (p * 2 <= heads) p *= 2;
    return head < p ? (float)exp2(-8.0 * (double)(head + 1) / (double)p)
                    : (float)exp2(-4.0 * (double)(2 * (head - p) + 1) / (double)p);
}

void sc_alibi(float slope, int64_t query, int64_t n, float *score)
{
    for (int64_t i = 0; i < n; i++) score[i] -= slope * (float)(query > i ? query - i : i - query);
}

static void cap_scores(const sc_kernels *kn, float cap, int64_t n, float *score)
{
    kn->scale(n, score, 1 / cap, score);
    kn->unary[SC_UNARY_TANH](n, score, score);
    kn->scale(n, score, cap, score);
}

/* Takes one tile into row r of the segment; the scores become weights. */
static void fold(const sc_kernels *kn, const geometry *g, const room *m, int64_t r)
{
    const state *p = &m->part;
    float *score = m->score + r * TILE, top = SC_MAX(p->max[r], kn->max(TILE, score));
    if (top == -INFINITY) { /* nothing visible yet */
        memset(score, 0, TILE * sizeof *score);
        return;
    }
    float keep = top == p->max[r] ? 1 : expf(p->max[r] - top), added = kn->exp_sum(TILE, score, top, score);
    p->sum[r] = p->sum[r] * keep + added;
    p->max[r] = top;
    if (keep != 1) kn->scale(g->dv, p->o + r * g->dv, keep, p->o + r * g->dv);
}

static void begin(const geometry *g, const state *p, int64_t rows)
{
    for (int64_t r = 0; r < rows; r++) {
        p->max[r] = -INFINITY;
        p->sum[r] = 0;
    }
    memset(p->o, 0, sizeof *p->o * (size_t)(rows * g->dv));
}

/* Keys first .. first + SEGMENT, or those of them that the span sees, into m->part. */
static void attend(const sc_step *s, const sc_kernels *kn, const geometry *g, const room *m, const span *p,
                   int64_t first)
{
    const sc_attention_attr *a = SC_ATTR(s, sc_attention_attr);
    begin(g, &m->part, p->rows);
    int64_t end = first + SEGMENT, at_range = 0, j = next_tile(p, first, &at_range);
    while (j < end) {
        int64_t here = at_range, n = SC_MIN(p->to - j, TILE), next = next_tile(p, j + TILE, &at_range);
        fetch(s, g, 1, p, next);
        times_keys(s, kn, g, m, p, j, n);
        for (int64_t r = 0; r < p->rows; r++) {
            float *score = m->score + r * TILE;
            int64_t at = p->first + r / g->group + p->base;
            if (s->in[8]) add_bias(score, s->in[8], s->in_data[8], p->head * g->group + r % g->group, at, j, n);
            if (a->cap > 0) cap_scores(kn, a->cap, n, score);
            if (a->alibi) sc_alibi(m->slope[r], at - j, n, score);
            if (a->blocks.size) mask_blocks(score, p, here, j);
            mask(score, a, at, j, n);
            fold(kn, g, m, r);
        }
        fetch(s, g, 2, p, next);
        add_values(s, kn, g, m, p, j, n);
        j = next;
    }
}

/* Takes a segment's result (max, sum, o) for one row into that of the segments before it; tmp: D floats. */
static void join(const sc_kernels *kn, int64_t d, float *all_max, float *all_sum, float *all_o, float max,
                 float sum, const float *o, float *tmp)
{
    if (max == -INFINITY) return; /* nothing visible */
    if (*all_max == -INFINITY) {
        *all_max = max;
        *all_sum = sum;
        memcpy(all_o, o, sizeof *o * (size_t)d);
        return;
    }
    float top = SC_MAX(*all_max, max), keep = expf(*all_max - top), take = expf(max - top);
    *all_max = top;
    *all_sum = *all_sum * keep + sum * take;
    kn->scale(d, all_o, keep, all_o);
    kn->scale(d, o, take, tmp);
    kn->add(d, all_o, tmp, all_o);
}

/* A row's result. A sink is one more score whose value is nothing. */
static void divide(const sc_kernels *kn, int64_t d, float max, float sum, const float *o, const float *sink,
                   float *to)
{
    float keep = 1;
    if (sink && sum > 0) {
        float top = SC_MAX(max, *sink);
        keep = expf(max - top);
        sum = sum * keep + expf(*sink - top);
    }
    kn->scale(d, o, sum > 0 ? keep / sum : 0, to);
}

static void take_queries(const sc_step *s, const sc_kernels *kn, const geometry *g, const room *m, const span *p)
{
    const sc_tensor *q = s->in[0];
    for (int64_t r = 0; SC_ATTR(s, sc_attention_attr)->alibi && r < p->rows; r++)
        m->slope[r] = sc_alibi_slope(p->head * g->group + r % g->group, g->heads);
    for (int64_t r = 0; r < p->rows; r++)
        kn->scale(g->d,
                  (const float *)s->in_data[0] + (p->first + r / g->group) * q->stride[0] +
                      (p->head * g->group + r % g->group) * q->stride[1],
                  SC_ATTR(s, sc_attention_attr)->scale, m->q + r * g->d);
}

/* All segments, and the result. */
static void attend_all(const sc_step *s, const sc_kernels *kn, const geometry *g, const room *m, const span *p)
{
    const float *sinks = s->in_data[6];
    take_queries(s, kn, g, m, p);
    begin(g, &m->all, p->rows);
    int64_t at_range = 0;
    for (int64_t j = 0; (j = next_tile(p, j, &at_range)) < p->to; j += SEGMENT) {
        j = j / SEGMENT * SEGMENT;
        attend(s, kn, g, m, p, j);
        for (int64_t r = 0; r < p->rows; r++)
            join(kn, g->dv, m->all.max + r, m->all.sum + r, m->all.o + r * g->dv, m->part.max[r], m->part.sum[r],
                 m->part.o + r * g->dv, m->row);
    }
    for (int64_t r = 0; r < p->rows; r++) {
        int64_t head = p->head * g->group + r % g->group;
        divide(kn, g->dv, m->all.max[r], m->all.sum[r], m->all.o + r * g->dv, sinks ? sinks + head : NULL,
               (float *)s->out_data + ((p->first + r / g->group) * g->heads + head) * g->dv);
    }
}

/* Where a token and head's parts are: S maxima, S sums, then S rows. */
static float *parts_at(float *data, int64_t row, int64_t segments, int64_t d)
{
    return data + row * segments * (d + 2);
}

/* One segment, and its part of the result; of one that is not there only the maximum is written. */
static void attend_part(const sc_step *s, const sc_kernels *kn, const geometry *g, const room *m, const span *p,
                        int64_t segment)
{
    bool seen = next_tile(p, segment * SEGMENT, &(int64_t){0}) < (segment + 1) * SEGMENT;
    if (seen) {
        take_queries(s, kn, g, m, p);
        attend(s, kn, g, m, p, segment * SEGMENT);
    }
    for (int64_t r = 0; r < p->rows; r++) {
        int64_t row = (p->first + r / g->group) * g->heads + p->head * g->group + r % g->group;
        float *to = parts_at(s->out_data, row, g->segments, g->dv);
        to[segment] = seen ? m->part.max[r] : -INFINITY;
        if (!seen) continue;
        to[g->segments + segment] = m->part.sum[r];
        memcpy(to + 2 * g->segments + segment * g->dv, m->part.o + r * g->dv, sizeof *to * (size_t)g->dv);
    }
}

/* Tokens from t on, itself included, that are in the same block of a pattern. */
static int64_t same_block(const sc_step *s, const geometry *g, int64_t seq, int64_t t)
{
    int64_t size = SC_ATTR(s, sc_attention_attr)->blocks.size;
    if (!size) return INT32_MAX;
    return size -
           (t - ((const int32_t *)s->in_data[3])[seq] + (g->cached ? ((const int32_t *)s->in_data[4])[seq] : 0)) %
               size;
}

/* Tasks: block, then key head, then segment, so that neighbours, which one thread takes together, are not all of the
 * segments that a short sequence has. */
static sc_status run(const sc_step *s, const sc_kernels *kn, int64_t begin_task, int64_t end_task,
                     void *scratch_room)
{
    geometry g = measure(s);
    room m = lay_out(&g, scratch_room);
    const int32_t *start = s->in_data[3];
    for (int64_t task = begin_task; task < end_task; task++) {
        int64_t segment = task % g.segments, head = task / g.segments % g.kv_heads,
                first = task / g.segments / g.kv_heads * g.block, stop = SC_MIN(first + g.block, g.tokens);
        for (int64_t seq = 0; seq < g.sequences; seq++) {
            int64_t from = SC_MAX(first, start[seq]), to = SC_MIN(stop, start[seq + 1]);
            for (int64_t next; from < to; from = next) {
                next = SC_MIN(to, from + same_block(s, &g, seq, from));
                span p = span_of(s, &g, &m, seq, head, from, next);
                if (s->out->shape.rank == 4)
                    attend_part(s, kn, &g, &m, &p, segment);
                else
                    attend_all(s, kn, &g, &m, &p);
            }
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_attention = {.refuse = refuse, .tasks = tasks, .scratch = scratch, .run = run};
const sc_cpu_op sc_cpu_attention_parts = {.refuse = refuse, .tasks = tasks, .scratch = scratch, .run = run};

/* ---- attention_join: one token and head a task ---- */

static int64_t join_tasks(const sc_step *s) { return s->out->shape.dim[0] * s->out->shape.dim[1]; }

static int64_t join_scratch(const sc_step *s) { return 2 * s->out->shape.dim[2] * (int64_t)sizeof(float); }

static sc_status join_run(const sc_step *s, const sc_kernels *kn, int64_t begin_task, int64_t end_task,
                          void *scratch_room)
{
    int64_t heads = s->out->shape.dim[1], d = s->out->shape.dim[2], segments = s->in[0]->shape.dim[2];
    const float *sinks = s->in_data[1];
    float *o = scratch_room, *tmp = o + d;
    for (int64_t row = begin_task; row < end_task; row++) {
        const float *part = parts_at(s->in_data[0], row, segments, d);
        float max = -INFINITY, sum = 0;
        memset(o, 0, sizeof *o * (size_t)d);
        for (int64_t j = 0; j < segments; j++)
            join(kn, d, &max, &sum, o, part[j], part[segments + j], part + 2 * segments + j * d, tmp);
        divide(kn, d, max, sum, o, sinks ? sinks + row % heads : NULL, (float *)s->out_data + row * d);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_attention_join = {.tasks = join_tasks, .scratch = join_scratch, .run = join_run};

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
            int64_t at = slots[t] / TILE * cache->stride[0] + h * cache->stride[1] + slots[t] % TILE * d;
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
