/* SPDX-License-Identifier: Apache-2.0 */
/* The operations that go through each sequence token by token. A task is one sequence and a block of rows of the state
 * (of channels for the convolution), which it carries from the first token to the last, small enough to stay in the first
 * cache. With states kept between runs it works on the slot that is written, after a copy of what was read. */
#include "cpu/cpu.h"

#include <math.h>

enum {
    BLOCK = 4096,  /* values of the state in a block */
    CHANNELS = 256 /* of the convolution in a block, at most */
};

typedef struct states {
    const int32_t *start, *from, *to;
    float *data; /* NULL: none are kept */
    int64_t slots, each;
    int64_t sequences;
} states;

static states states_of(const sc_step *s)
{
    int first = s->n_in - SC_STATE_INPUTS;
    const sc_tensor *t = s->in[first + 1];
    states st = {.start = s->in_data[first],
                 .data = s->in_data[first + 1],
                 .from = s->in_data[first + 2],
                 .to = s->in_data[first + 3],
                 .sequences = s->in[first]->shape.dim[0] - 1};
    if (!t) return st;
    st.slots = t->shape.dim[0];
    st.each = t->shape.dim[1] * t->shape.dim[2];
    return st;
}

/* Where a sequence's state is read (NULL: zeros) and written (NULL: nowhere). */
static sc_status slots_of(const states *st, int64_t seq, const float **from, float **to)
{
    *from = *to = NULL;
    if (!st->data) return SC_OK;
    int64_t read = st->from[seq], write = st->to[seq];
    if (read < -1 || read >= st->slots || write < 0 || write >= st->slots || read == write)
        return sc_fail(SC_EINVAL, "states read from slot %lld and written to %lld of %lld", (long long)read,
                       (long long)write, (long long)st->slots);
    if (read >= 0) *from = st->data + read * st->each;
    *to = st->data + write * st->each;
    return SC_OK;
}

/* The block of n values from `offset` of a sequence's state, to be changed in place; spare is used where none is kept. */
static sc_status open_block(const states *st, int64_t seq, int64_t offset, int64_t n, float *spare, float **out)
{
    const float *from;
    float *to;
    sc_status s = slots_of(st, seq, &from, &to);
    if (s) return s;
    *out = to ? to + offset : spare;
    if (from)
        memcpy(*out, from + offset, sizeof *spare * (size_t)n);
    else
        memset(*out, 0, sizeof *spare * (size_t)n);
    return SC_OK;
}

static const float *at(const sc_step *s, int i, int64_t t, int64_t h)
{
    const sc_tensor *x = s->in[i];
    return (const float *)s->in_data[i] + t * x->stride[0] + (x->shape.rank == 3 ? h * x->stride[1] : h);
}

/* ---- the convolution ---- */

static int64_t taps_of(const sc_step *s) { return s->in[0]->shape.dim[0]; }
static int64_t channels_of(const sc_step *s) { return s->in[0]->shape.dim[1]; }
static int64_t conv_blocks(const sc_step *s) { return sc_tasks_of(channels_of(s), CHANNELS); }
static int64_t conv_tasks(const sc_step *s) { return conv_blocks(s) * states_of(s).sequences; }
static int64_t conv_scratch(const sc_step *s) { return taps_of(s) * CHANNELS * (int64_t)sizeof(float); }

void sc_conv_gather(const sc_step *s, int first, int64_t t, int64_t c, int64_t n, float *to)
{
    for (int i = first; i < first + 3 && n; i++) {
        const sc_tensor *x = s->in[i];
        int64_t d = x ? x->shape.dim[2] : 0, width = x ? x->shape.dim[1] * d : 0;
        for (; n && c < width;) {
            int64_t m = SC_MIN(d - c % d, n);
            memcpy(to, at(s, i, t, c / d) + c % d, sizeof *to * (size_t)m);
            to += m, c += m, n -= m;
        }
        c -= width;
    }
}

/* A ring of the last inputs: token t is row (t + taps - 1) % taps, t counted from the first of this run. */
static sc_status conv_block(const sc_step *s, const sc_kernels *k, const states *st, int64_t seq, int64_t c,
                            float *ring)
{
    int64_t taps = taps_of(s), channels = channels_of(s), n = SC_MIN(CHANNELS, channels - c);
    const float *w = s->in_data[0], *bias = s->in_data[1], *from, *row[SC_CONV_TAPS];
    float *to;
    sc_status status = slots_of(st, seq, &from, &to);
    if (status) return status;
    memset(ring, 0, sizeof *ring * (size_t)(taps * CHANNELS));
    for (int64_t j = 0; from && j < taps - 1; j++)
        memcpy(ring + j * CHANNELS, from + j * channels + c, sizeof *ring * (size_t)n);
    int64_t begin = st->start[seq], count = st->start[seq + 1] - begin;
    for (int64_t t = 0; t < count; t++) {
        float *y = (float *)s->out_data + (begin + t) * channels + c;
        sc_conv_gather(s, 2, begin + t, c, n, ring + (t + taps - 1) % taps * CHANNELS);
        for (int64_t j = 0; j < taps; j++) row[j] = ring + (t + j) % taps * CHANNELS;
        k->conv_taps(n, taps, row, w + c, channels, bias ? bias + c : NULL, y);
        if (SC_ATTR(s, sc_conv_attr)->silu) k->unary[SC_UNARY_SILU](n, y, y);
    }
    for (int64_t j = 0; to && j < taps - 1; j++)
        memcpy(to + j * channels + c, ring + (count + j) % taps * CHANNELS, sizeof *ring * (size_t)n);
    return SC_OK;
}

static sc_status conv_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    states st = states_of(s);
    sc_status status = SC_OK;
    for (int64_t i = begin; !status && i < end; i++)
        status = conv_block(s, k, &st, i / conv_blocks(s), i % conv_blocks(s) * CHANNELS, scratch);
    return status;
}

const sc_cpu_op sc_cpu_conv_causal = {.tasks = conv_tasks, .scratch = conv_scratch, .run = conv_run};

/* ---- blocks of rows of a head ---- */

/* Rows of a head's P that make a block, and how many blocks a head has; n: the width of a row. */
static int64_t block_rows(int64_t p, int64_t n) { return SC_MAX(SC_MIN(BLOCK / SC_MAX(n, 1), p), 1); }
static int64_t blocks_of(int64_t p, int64_t n) { return sc_tasks_of(p, block_rows(p, n)); }

/* Of a task: the sequence, the head, its rows first .. first + rows. */
typedef struct part {
    int64_t seq, head, first, rows, n;
    int64_t begin, end; /* tokens */
} part;

static part part_of(const states *st, int64_t task, int64_t heads, int64_t p, int64_t n)
{
    int64_t blocks = blocks_of(p, n), in_head = task % blocks;
    part b = {.seq = task / blocks / heads, .head = task / blocks % heads, .n = n};
    b.first = in_head * block_rows(p, n);
    b.rows = SC_MIN(block_rows(p, n), p - b.first);
    b.begin = st->start[b.seq];
    b.end = st->start[b.seq + 1];
    return b;
}

static sc_status open_part(const states *st, const part *b, int64_t p, float *spare, float **h)
{
    return open_block(st, b->seq, (b->head * p + b->first) * b->n, b->rows * b->n, spare, h);
}

/* ---- Mamba: the channels are the rows of one head ---- */

static int64_t selective_tasks(const sc_step *s)
{
    const sc_tensor *a = s->in[2];
    return blocks_of(a->shape.dim[0], a->shape.dim[1]) * states_of(s).sequences;
}

static int64_t selective_scratch(const sc_step *s)
{
    const sc_tensor *a = s->in[2];
    return block_rows(a->shape.dim[0], a->shape.dim[1]) * a->shape.dim[1] * (int64_t)sizeof(float);
}

static sc_status selective_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    states st = states_of(s);
    int64_t c = s->in[2]->shape.dim[0], n = s->in[2]->shape.dim[1];
    const float *a = s->in_data[2], *d = s->in_data[5];
    for (int64_t i = begin; i < end; i++) {
        part b = part_of(&st, i, 1, c, n);
        float *h;
        sc_status status = open_part(&st, &b, c, scratch, &h);
        if (status) return status;
        for (int64_t t = b.begin; t < b.end; t++) {
            const float *x = at(s, 0, t, b.first), *dt = at(s, 1, t, b.first);
            float *y = (float *)s->out_data + t * c + b.first;
            k->selective_step(b.rows, n, a + b.first * n, dt, x, at(s, 3, t, 0), at(s, 4, t, 0), h, y);
            for (int64_t r = 0; d && r < b.rows; r++) y[r] += d[b.first + r] * x[r];
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_scan_selective = {
    .tasks = selective_tasks, .scratch = selective_scratch, .run = selective_run};

/* ---- Mamba 2 ---- */

static int64_t decay_tasks(const sc_step *s)
{
    const sc_tensor *x = s->in[0];
    return x->shape.dim[1] * blocks_of(x->shape.dim[2], s->in[3]->shape.dim[2]) * states_of(s).sequences;
}

static int64_t decay_scratch(const sc_step *s)
{
    int64_t n = s->in[3]->shape.dim[2], rows = block_rows(s->in[0]->shape.dim[2], n);
    return rows * (n + 1) * (int64_t)sizeof(float);
}

static sc_status decay_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    states st = states_of(s);
    int64_t heads = s->in[0]->shape.dim[1], p = s->in[0]->shape.dim[2], n = s->in[3]->shape.dim[2];
    int64_t group = heads / s->in[3]->shape.dim[1];
    const sc_decay_attr *attr = SC_ATTR(s, sc_decay_attr);
    const float *a = s->in_data[2], *d = s->in_data[5];
    float *scaled = scratch, *spare = scaled + block_rows(p, n), *h;
    for (int64_t i = begin; i < end; i++) {
        part b = part_of(&st, i, heads, p, n);
        sc_status status = open_part(&st, &b, p, spare, &h);
        if (status) return status;
        for (int64_t t = b.begin; t < b.end; t++) {
            const float *x = at(s, 0, t, b.head) + b.first;
            float *y = (float *)s->out_data + (t * heads + b.head) * p + b.first;
            float dt = SC_MIN(SC_MAX(*at(s, 1, t, b.head), attr->dt_min), attr->dt_max);
            k->scale(b.rows, x, dt, scaled);
            k->decay_step(b.rows, n, expf(dt * a[b.head]), scaled, at(s, 3, t, b.head / group),
                          at(s, 4, t, b.head / group), h, y);
            for (int64_t r = 0; d && r < b.rows; r++) y[r] += d[b.head] * x[r];
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_scan_decay = {.tasks = decay_tasks, .scratch = decay_scratch, .run = decay_run};

/* ---- the gated delta rule ---- */

static int64_t delta_tasks(const sc_step *s)
{
    const sc_tensor *v = s->in[2];
    return v->shape.dim[1] * blocks_of(v->shape.dim[2], s->in[1]->shape.dim[2]) * states_of(s).sequences;
}

static int64_t delta_scratch(const sc_step *s)
{
    int64_t n = s->in[1]->shape.dim[2], rows = block_rows(s->in[2]->shape.dim[2], n);
    return (rows + 2) * n * (int64_t)sizeof(float);
}

/* An RMS norm but for the mean. */
void sc_unit_row(const sc_kernels *k, int64_t n, const float *x, float eps, float scale, float *y)
{
    k->rms_norm(n, x, NULL, eps / (float)n, y);
    k->scale(n, y, scale / sqrtf((float)n), y);
}

static sc_status delta_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    states st = states_of(s);
    const sc_delta_attr *attr = SC_ATTR(s, sc_delta_attr);
    int64_t heads = s->in[2]->shape.dim[1], p = s->in[2]->shape.dim[2];
    int64_t key_heads = s->in[1]->shape.dim[1], n = s->in[1]->shape.dim[2];
    float *q = scratch, *key = q + n, *spare = key + n, *h;
    for (int64_t i = begin; i < end; i++) {
        part b = part_of(&st, i, heads, p, n);
        int64_t from = attr->tiled ? b.head % key_heads : b.head / (heads / key_heads);
        sc_status status = open_part(&st, &b, p, spare, &h);
        if (status) return status;
        for (int64_t t = b.begin; t < b.end; t++) {
            sc_unit_row(k, n, at(s, 0, t, from), attr->eps, 1 / sqrtf((float)n), q);
            sc_unit_row(k, n, at(s, 1, t, from), attr->eps, 1, key);
            k->delta_step(b.rows, n, expf(*at(s, 3, t, b.head)), *at(s, 4, t, b.head), q, key,
                          at(s, 2, t, b.head) + b.first, h,
                          (float *)s->out_data + (t * heads + b.head) * p + b.first);
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_scan_delta = {.tasks = delta_tasks, .scratch = delta_scratch, .run = delta_run};
