/* SPDX-License-Identifier: Apache-2.0 */
/* The derivatives of what goes through each sequence token by token. Going back needs the states that going forward made:
 * they are made again, from the beginning for each chunk's first one, then chunk by chunk from the last, so that some twice
 * the root of the number of tokens are in memory and not all. A task is one sequence and the heads (or rows) that share
 * what it sums over; it goes through them in blocks small enough for the first cache. */
#include "cpu/cpu.h"

#include <math.h>

enum {
    BLOCK = 2048,  /* values of the state in a block */
    CHANNELS = 256 /* of the convolution in a block, at most */
};

/* Token t, and head or feature h, of an input. */
static const float *at(const sc_step *s, int i, int64_t t, int64_t h)
{
    const sc_tensor *x = s->in[i];
    return (const float *)s->in_data[i] + t * x->stride[0] + (x->shape.rank == 3 ? h * x->stride[1] : h);
}

static void zero(float *x, int64_t n) { memset(x, 0, sizeof *x * (size_t)n); }

/* ---- the convolution: w (K, C), du (T, C), parts, start → dx (T, C), dw of each sequence (S, K, C) ---- */

static int64_t conv_blocks(const sc_step *s) { return sc_tasks_of(s->in[0]->shape.dim[1], CHANNELS); }
static int64_t conv_tasks(const sc_step *s) { return conv_blocks(s) * (s->in[5]->shape.dim[0] - 1); }
static int64_t conv_scratch(const sc_step *s)
{
    return (s->in[0]->shape.dim[0] + 1) * CHANNELS * (int64_t)sizeof(float); /* a ring, and zeros */
}

static void conv_block(const sc_step *s, const sc_kernels *k, int64_t seq, int64_t c, float *ring)
{
    int64_t taps = s->in[0]->shape.dim[0], channels = s->in[0]->shape.dim[1], n = SC_MIN(CHANNELS, channels - c);
    const float *w = s->in_data[0], *du = s->in_data[1], *row[SC_CONV_TAPS], *none = ring + taps * CHANNELS;
    const int32_t *start = s->in_data[5];
    int64_t begin = start[seq], count = start[seq + 1] - begin, tokens = s->in[1]->shape.dim[0];
    float *dx = s->out_data, *dw = dx + (tokens + seq * taps) * channels + c;
    zero(ring, (taps + 1) * CHANNELS);
    for (int64_t j = 0; j < taps; j++) zero(dw + j * channels, n);
    for (int64_t t = 0; t < count; t++) {
        const float *here = du + (begin + t) * channels + c;
        for (int64_t j = 0; j < taps; j++) {
            int64_t to = taps - 1 - j; /* tokens on */
            row[j] = t + to < count ? here + to * channels : none;
        }
        k->conv_taps(n, taps, row, w + c, channels, NULL, dx + (begin + t) * channels + c);
        sc_conv_gather(s, 2, begin + t, c, n, ring + (t + taps - 1) % taps * CHANNELS);
        for (int64_t j = 0; j < taps; j++) row[j] = ring + (t + j) % taps * CHANNELS;
        k->conv_taps_grad(n, taps, row, here, dw, channels);
    }
}

static sc_status conv_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    for (int64_t i = begin; i < end; i++)
        conv_block(s, k, i / conv_blocks(s), i % conv_blocks(s) * CHANNELS, scratch);
    return SC_OK;
}

const sc_cpu_op sc_cpu_conv_causal_grad = {.tasks = conv_tasks, .scratch = conv_scratch, .run = conv_run};

/* ---- a block of rows going forward and back ---- */

/* Of a task: what the steps of its blocks have in common. */
typedef struct walk walk;
struct walk {
    const sc_step *s;
    const sc_kernels *k;
    int64_t head, part;      /* the latter of those that sums are kept apart for */
    int64_t seq, begin, end; /* tokens */
    int64_t first, rows, n;  /* the block's, of the head's rows */
    int64_t chunk;           /* tokens */
    float *check, *kept,
        *ds;      /* states at the beginning of chunks, of each token of one, what the loss says of one */
    float *spare; /* of a step, (rows) + 2 n */
    void (*step)(walk *w, int64_t t, float *h);
    void (*back)(walk *w, int64_t t, const float *before, const float *after);
};

static int64_t block_rows(int64_t p, int64_t n) { return SC_MAX(SC_MIN(BLOCK / SC_MAX(n, 1), p), 1); }
static int64_t chunk_of(int64_t tokens) { return SC_MAX((int64_t)ceil(sqrt((double)tokens)), 1); }

static int64_t walk_bytes(int64_t tokens, int64_t p, int64_t n)
{
    int64_t rows = block_rows(p, n), chunk = chunk_of(tokens), states = sc_tasks_of(tokens, chunk) + chunk + 2;
    return (states * rows * n + 2 * rows + 2 * n) * (int64_t)sizeof(float);
}

static walk walk_new(const sc_step *s, const sc_kernels *k, int64_t tokens, int64_t p, int64_t n, float *room)
{
    walk w = {.s = s, .k = k, .n = n, .chunk = chunk_of(tokens)};
    int64_t size = block_rows(p, n) * n;
    w.check = room;
    w.kept = w.check + sc_tasks_of(tokens, w.chunk) * size;
    w.ds = w.kept + (w.chunk + 1) * size;
    w.spare = w.ds + size;
    return w;
}

/* The rows from w->first on, w->rows of them, from the first token to the last and back. */
static void walk_block(walk *w)
{
    int64_t size = w->rows * w->n, count = w->end - w->begin, chunks = sc_tasks_of(count, w->chunk);
    size_t bytes = sizeof(float) * (size_t)size;
    zero(w->kept, size);
    for (int64_t c = 0; c < chunks; c++) {
        memcpy(w->check + c * size, w->kept, bytes);
        for (int64_t t = c * w->chunk; c + 1 < chunks && t < (c + 1) * w->chunk; t++)
            w->step(w, w->begin + t, w->kept);
    }
    zero(w->ds, size);
    for (int64_t c = chunks - 1; c >= 0; c--) {
        int64_t from = w->begin + c * w->chunk, n = SC_MIN(w->chunk, w->end - from);
        memcpy(w->kept, w->check + c * size, bytes);
        for (int64_t i = 0; i < n; i++) {
            memcpy(w->kept + (i + 1) * size, w->kept + i * size, bytes);
            w->step(w, from + i, w->kept + (i + 1) * size);
        }
        for (int64_t i = n - 1; i >= 0; i--) w->back(w, from + i, w->kept + i * size, w->kept + (i + 1) * size);
    }
}

/* Rows from `first` to `last` of a head, block by block. */
static void walk_rows(walk *w, int64_t first, int64_t last)
{
    int64_t most = block_rows(last - first, w->n);
    for (w->first = first; w->first < last; w->first += w->rows) {
        w->rows = SC_MIN(most, last - w->first);
        walk_block(w);
    }
}

static void walk_sequence(walk *w, int start, int64_t seq)
{
    const int32_t *of = w->s->in_data[start];
    w->seq = seq;
    w->begin = of[seq];
    w->end = of[seq + 1];
}

/* ---- Mamba. in: x, dt, a, b, c, d, start, dy → dx, ddt (T, C); db, dc (parts, T, N); da (S, C, N); dd (S, C) ---- */

typedef struct selective {
    walk w; /* first */
    int64_t c, tokens;
    float *dx, *ddt, *db, *dc, *da, *dd; /* da, dd: of the sequence; db, dc: of the part */
} selective;

static void selective_step(walk *w, int64_t t, float *h)
{
    const sc_step *s = w->s;
    w->k->selective_step(w->rows, w->n, (const float *)s->in_data[2] + w->first * w->n, at(s, 1, t, w->first),
                         at(s, 0, t, w->first), at(s, 3, t, 0), at(s, 4, t, 0), h, w->spare);
}

static void selective_back(walk *w, int64_t t, const float *before, const float *after)
{
    selective *m = (selective *)w;
    const sc_step *s = w->s;
    const float *x = at(s, 0, t, w->first), *dy = (const float *)s->in_data[7] + t * m->c + w->first,
                *d = s->in_data[5];
    float *dx = m->dx + t * m->c + w->first;
    w->k->selective_step_grad(w->rows, w->n, (const float *)s->in_data[2] + w->first * w->n, at(s, 1, t, w->first),
                              x, at(s, 3, t, 0), at(s, 4, t, 0), before, after, dy, w->ds, m->da + w->first * w->n,
                              m->ddt + t * m->c + w->first, dx, m->db + t * w->n, m->dc + t * w->n);
    for (int64_t r = 0; d && r < w->rows; r++) {
        dx[r] += dy[r] * d[w->first + r];
        m->dd[w->first + r] += dy[r] * x[r];
    }
}

static int64_t selective_tasks(const sc_step *s)
{
    return SC_ATTR(s, sc_scan_grad_attr)->parts * (s->in[6]->shape.dim[0] - 1);
}

static int64_t selective_scratch(const sc_step *s)
{
    return walk_bytes(s->in[0]->shape.dim[0], s->in[2]->shape.dim[0], s->in[2]->shape.dim[1]);
}

static sc_status selective_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    int64_t tokens = s->in[0]->shape.dim[0], c = s->in[2]->shape.dim[0], n = s->in[2]->shape.dim[1];
    int64_t parts = SC_ATTR(s, sc_scan_grad_attr)->parts, sequences = s->in[6]->shape.dim[0] - 1;
    selective m = {.w = walk_new(s, k, tokens, c, n, scratch), .c = c, .tokens = tokens};
    m.w.step = selective_step;
    m.w.back = selective_back;
    m.dx = s->out_data;
    m.ddt = m.dx + tokens * c;
    float *db = m.ddt + tokens * c, *dc = db + parts * tokens * n, *da = dc + parts * tokens * n,
          *dd = da + sequences * c * n;
    for (int64_t i = begin; i < end; i++) {
        int64_t part = i % parts, first = c * part / parts, last = c * (part + 1) / parts;
        walk_sequence(&m.w, 6, i / parts);
        m.db = db + part * tokens * n;
        m.dc = dc + part * tokens * n;
        m.da = da + m.w.seq * c * n;
        m.dd = dd + m.w.seq * c;
        zero(m.db + m.w.begin * n, (m.w.end - m.w.begin) * n);
        zero(m.dc + m.w.begin * n, (m.w.end - m.w.begin) * n);
        zero(m.da + first * n, (last - first) * n);
        if (s->in_data[5]) zero(m.dd + first, last - first);
        walk_rows(&m.w, first, last);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_scan_selective_grad = {
    .tasks = selective_tasks, .scratch = selective_scratch, .run = selective_run};

/* ---- Mamba 2. in: x, dt, a, b, c, d, start, dy → dx (T, H, P); ddt (T, H); db, dc (parts, T, G, N); da, dd (S, H) ---- */

typedef struct decaying {
    walk w; /* first */
    int64_t heads, p, groups, group;
    const sc_decay_attr *range;
    float *dx, *ddt, *db, *dc, *da, *dd;
} decaying;

/* The step's size as it counts, and what the states keep. */
static float size_of(const decaying *m, int64_t t, float *keep)
{
    float dt = SC_MIN(SC_MAX(*at(m->w.s, 1, t, m->w.head), m->range->dt_min), m->range->dt_max);
    *keep = expf(dt * ((const float *)m->w.s->in_data[2])[m->w.head]);
    return dt;
}

static void decay_step(walk *w, int64_t t, float *h)
{
    const decaying *m = (const decaying *)w;
    float keep, dt = size_of(m, t, &keep), *scaled = w->spare + w->rows;
    w->k->scale(w->rows, at(w->s, 0, t, w->head) + w->first, dt, scaled);
    w->k->decay_step(w->rows, w->n, keep, scaled, at(w->s, 3, t, m->group), at(w->s, 4, t, m->group), h, w->spare);
}

static void decay_back(walk *w, int64_t t, const float *before, const float *after)
{
    decaying *m = (decaying *)w;
    const sc_step *s = w->s;
    int64_t row = (t * m->heads + w->head) * m->p + w->first;
    const float *x = at(s, 0, t, w->head) + w->first, *dy = (const float *)s->in_data[7] + row, *d = s->in_data[5];
    float keep, dt = size_of(m, t, &keep), of_keep = 0, given = *at(s, 1, t, w->head), *scaled = w->spare + w->rows,
                *dx = m->dx + row, rate = ((const float *)s->in_data[2])[w->head];
    int64_t in_group = (t * m->groups + m->group) * w->n;
    w->k->scale(w->rows, x, dt, scaled);
    w->k->decay_step_grad(w->rows, w->n, keep, scaled, at(s, 3, t, m->group), at(s, 4, t, m->group), before, after,
                          dy, w->ds, dx, m->db + in_group, m->dc + in_group, &of_keep);
    float of_dt = of_keep * keep * rate + w->k->dot(w->rows, dx, x);
    w->k->scale(w->rows, dx, dt, dx);
    for (int64_t r = 0; d && r < w->rows; r++) dx[r] += dy[r] * d[w->head];
    if (d) m->dd[w->head] += w->k->dot(w->rows, dy, x);
    m->da[w->head] += of_keep * keep * dt;
    if (given >= m->range->dt_min && given <= m->range->dt_max) m->ddt[t * m->heads + w->head] += of_dt;
}

static int64_t decay_tasks(const sc_step *s)
{
    return SC_ATTR(s, sc_scan_grad_attr)->parts * s->in[3]->shape.dim[1] * (s->in[6]->shape.dim[0] - 1);
}

static int64_t decay_scratch(const sc_step *s)
{
    return walk_bytes(s->in[0]->shape.dim[0], s->in[0]->shape.dim[2], s->in[3]->shape.dim[2]);
}

/* One sequence and a part of a group's heads. */
static void decay_task(decaying *m, int64_t part, int64_t parts)
{
    int64_t heads = m->heads / m->groups, n = m->w.n;
    for (int64_t t = m->w.begin; t < m->w.end; t++) {
        int64_t in_group = (t * m->groups + m->group) * n;
        zero(m->db + in_group, n);
        zero(m->dc + in_group, n);
    }
    for (int64_t h = heads * part / parts; h < heads * (part + 1) / parts; h++) {
        m->w.head = m->group * heads + h;
        m->da[m->w.head] = 0;
        if (m->w.s->in_data[5]) m->dd[m->w.head] = 0;
        for (int64_t t = m->w.begin; t < m->w.end; t++) m->ddt[t * m->heads + m->w.head] = 0;
        walk_rows(&m->w, 0, m->p);
    }
}

static sc_status decay_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    int64_t tokens = s->in[0]->shape.dim[0], heads = s->in[0]->shape.dim[1], p = s->in[0]->shape.dim[2];
    int64_t groups = s->in[3]->shape.dim[1], n = s->in[3]->shape.dim[2], sums = tokens * groups * n;
    const sc_scan_grad_attr *attr = SC_ATTR(s, sc_scan_grad_attr);
    int64_t parts = attr->parts, sequences = s->in[6]->shape.dim[0] - 1;
    decaying m = {.w = walk_new(s, k, tokens, p, n, scratch), .heads = heads, .p = p, .groups = groups};
    m.w.step = decay_step;
    m.w.back = decay_back;
    m.range = &attr->range;
    m.dx = s->out_data;
    m.ddt = m.dx + tokens * heads * p;
    float *db = m.ddt + tokens * heads, *dc = db + parts * sums, *da = dc + parts * sums,
          *dd = da + sequences * heads;
    for (int64_t i = begin; i < end; i++) {
        int64_t part = i % parts;
        walk_sequence(&m.w, 6, i / parts / groups);
        m.group = i / parts % groups;
        m.db = db + part * sums;
        m.dc = dc + part * sums;
        m.da = da + m.w.seq * heads;
        m.dd = dd + m.w.seq * heads;
        decay_task(&m, part, parts);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_scan_decay_grad = {.tasks = decay_tasks, .scratch = decay_scratch, .run = decay_run};

/* ---- the gated delta rule. in: q, k, v, g, beta, start, dy → dq, dk (T, Hk, N); dv (T, H, P); dg, dbeta (T, H) ---- */

typedef struct delta {
    walk w; /* first */
    int64_t heads, key_heads, p, key_head;
    const sc_delta_attr *attr;
    float *dq, *dk, *dv, *dg, *dbeta;
} delta;

static void delta_step(walk *w, int64_t t, float *h)
{
    const delta *m = (const delta *)w;
    float *key = w->spare + 2 * w->rows;
    sc_unit_row(w->k, w->n, at(w->s, 1, t, m->key_head), m->attr->eps, 1, key);
    w->k->delta_step(w->rows, w->n, expf(*at(w->s, 3, t, w->head)), *at(w->s, 4, t, w->head), key, key,
                     at(w->s, 2, t, w->head) + w->first, h, w->spare);
}

static void delta_back(walk *w, int64_t t, const float *before, const float *after)
{
    delta *m = (delta *)w;
    const sc_step *s = w->s;
    int64_t n = w->n, row = (t * m->heads + w->head) * m->p + w->first, keys = (t * m->key_heads + m->key_head) * n;
    float *key = w->spare + 2 * w->rows, *q = key + n, keep = expf(*at(s, 3, t, w->head)), of_keep = 0;
    sc_unit_row(w->k, n, at(s, 0, t, m->key_head), m->attr->eps, 1 / sqrtf((float)n), q);
    sc_unit_row(w->k, n, at(s, 1, t, m->key_head), m->attr->eps, 1, key);
    w->k->delta_step_grad(w->rows, n, keep, *at(s, 4, t, w->head), q, key, at(s, 2, t, w->head) + w->first, before,
                          after, (const float *)s->in_data[6] + row, w->ds, m->dv + row, m->dq + keys, m->dk + keys,
                          &of_keep, &m->dbeta[t * m->heads + w->head]);
    m->dg[t * m->heads + w->head] += of_keep * keep;
}

static int64_t delta_tasks(const sc_step *s) { return s->in[1]->shape.dim[1] * (s->in[5]->shape.dim[0] - 1); }

static int64_t delta_scratch(const sc_step *s)
{
    return walk_bytes(s->in[1]->shape.dim[0], s->in[2]->shape.dim[2], s->in[1]->shape.dim[2]);
}

/* d of a row that was brought to length `scale`, from d of that. */
static void unit_grad(const delta *m, int input, int64_t t, float scale, float *d)
{
    int64_t n = m->w.n;
    m->w.k->scale(n, d, scale / sqrtf((float)n), d);
    m->w.k->rms_norm_grad(n, at(m->w.s, input, t, m->key_head), NULL, m->attr->eps / (float)n, d, d);
}

/* One sequence and a key head with the value heads that use it. */
static void delta_task(delta *m)
{
    int64_t n = m->w.n, each = m->heads / m->key_heads;
    for (int64_t t = m->w.begin; t < m->w.end; t++) {
        zero(m->dq + (t * m->key_heads + m->key_head) * n, n);
        zero(m->dk + (t * m->key_heads + m->key_head) * n, n);
    }
    for (int64_t i = 0; i < each; i++) {
        m->w.head = m->attr->tiled ? i * m->key_heads + m->key_head : m->key_head * each + i;
        for (int64_t t = m->w.begin; t < m->w.end; t++)
            m->dg[t * m->heads + m->w.head] = m->dbeta[t * m->heads + m->w.head] = 0;
        walk_rows(&m->w, 0, m->p);
    }
    for (int64_t t = m->w.begin; t < m->w.end; t++) {
        unit_grad(m, 0, t, 1 / sqrtf((float)n), m->dq + (t * m->key_heads + m->key_head) * n);
        unit_grad(m, 1, t, 1, m->dk + (t * m->key_heads + m->key_head) * n);
    }
}

static sc_status delta_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const sc_tensor *key = s->in[1], *v = s->in[2];
    int64_t tokens = key->shape.dim[0], n = key->shape.dim[2], keys = sc_tensor_count(key);
    delta m = {.w = walk_new(s, k, tokens, v->shape.dim[2], n, scratch),
               .heads = v->shape.dim[1],
               .key_heads = key->shape.dim[1],
               .p = v->shape.dim[2],
               .attr = SC_ATTR(s, sc_delta_attr)};
    m.w.step = delta_step;
    m.w.back = delta_back;
    m.dq = s->out_data;
    m.dk = m.dq + keys;
    m.dv = m.dk + keys;
    m.dg = m.dv + sc_tensor_count(v);
    m.dbeta = m.dg + tokens * m.heads;
    for (int64_t i = begin; i < end; i++) {
        m.key_head = i % m.key_heads;
        walk_sequence(&m.w, 5, i / m.key_heads);
        delta_task(&m);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_scan_delta_grad = {.tasks = delta_tasks, .scratch = delta_scratch, .run = delta_run};
