/* SPDX-License-Identifier: Apache-2.0 */
/* Products y (T, N) = x (T, C) w^T of f32 matrices as training makes them: summed along C from first to last, in parts of
 * at most DEPTH slots that are added up in order, so an element's bits depend on C alone. A slot is one value, or two where
 * both sides are rounded to bf16.
 *
 * One side comes in panels from a step of its own, packed once (pack_ordered, pack_ordered_w); of the other a task packs
 * its rows, part by part, into its own room in the second cache. The side with many more rows is the one that is never
 * packed whole: of an output layer's gradients that would be hundreds of MB. Weights of other types than f32, rows or columns
 * dense, are brought to it on the way, a few hundred slots at a time: that is done once for up to TOKENS rows of x. */
#include "cpu/cpu.h"

enum {
    DEPTH = 1024,     /* slots of a part */
    ROOM = 128 << 10, /* floats of the packed part of a task */
    TOKENS = 1024,    /* rows of x that a task on rows of w goes over, at most */
    W_ROWS = 32,      /* of w in a task are a multiple: whole panels of every level */
    X_ROWS = 42,      /* of x, likewise, roughly */
    TASKS = 24,       /* of a product at least, so that no thread waits long for the last one */
    TALL = 4,         /* times as many rows as the other has: not packed whole */
    AT_ONCE = 256     /* slots that are brought to f32: whole blocks of every type */
};

typedef struct product {
    int64_t t, n, c;
    bool pairs, tall; /* tall: w came packed, and x is packed here */
    int64_t slots;    /* of a row */
    int64_t depth;    /* of these in a part */
    int64_t block;    /* rows of x or w in a task */
    int64_t blocks;   /* of x where it came packed */
} product;

bool sc_cpu_ordered(const sc_step *s)
{
    const sc_op *x = s->in[0]->op, *w = s->in[1]->op;
    return x == &sc_op_pack_ordered || x == &sc_op_pack_ordered_bf16 || w == &sc_op_pack_ordered_w ||
           w == &sc_op_pack_ordered_w_bf16;
}

/* A matrix that can be packed as it is stored: its rows or its columns dense. */
static bool direct(const sc_tensor *w)
{
    return w->dtype == SC_F32 && w->shape.rank == 2 && (w->stride[0] == 1 || w->stride[1] == 1);
}

/* Another one that can be packed once it is f32. */
static bool brought(const sc_tensor *w)
{
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    bool known = d->block > 1 || w->dtype == SC_BF16 || w->dtype == SC_F16;
    if (!known || w->shape.rank != 2) return false;
    if (w->stride[1] == 1) return w->stride[0] % d->block == 0 && w->shape.dim[1] % d->block == 0;
    return w->stride[0] == 1 && w->stride[1] % d->block == 0 && w->shape.dim[0] % d->block == 0;
}

/* Blocks run across the rows that a task packs. */
static int64_t across(const sc_tensor *w) { return w->stride[1] == 1 ? 1 : sc_dtype_get(w->dtype)->block; }

static product measure(const sc_step *s)
{
    const sc_op *x = s->in[0]->op, *w = s->in[1]->op;
    product p = {.n = s->out->shape.dim[s->out->shape.rank - 1],
                 .pairs = x == &sc_op_pack_ordered_bf16 || w == &sc_op_pack_ordered_w_bf16,
                 .tall = w == &sc_op_pack_ordered_w || w == &sc_op_pack_ordered_w_bf16};
    p.t = p.n ? sc_tensor_count(s->out) / p.n : 0;
    p.c = p.tall ? s->in[0]->shape.dim[s->in[0]->shape.rank - 1] : s->in[1]->shape.dim[1];
    p.slots = p.pairs ? (p.c + 1) / 2 : p.c;
    int64_t deepest = across(s->in[1]) > W_ROWS ? DEPTH / 2 : DEPTH;
    p.depth = sc_tasks_of(p.slots, sc_tasks_of(p.slots, deepest));
    p.blocks = p.tall ? 1 : sc_tasks_of(p.t, TOKENS);
    int64_t unit = p.tall ? X_ROWS : SC_MAX(W_ROWS, across(s->in[1])),
            share = (p.tall ? p.t : p.n * p.blocks) / TASKS;
    p.block = SC_MAX(SC_MIN(ROOM / p.depth, share) / unit, 1) * unit;
    return p;
}

bool sc_cpu_ordered_wanted(const sc_step *s, const sc_kernels *k)
{
    return s->attr && (direct(s->in[1]) || brought(s->in[1])) && s->in[1]->shape.dim[1] && k->multiply_ordered;
}

const sc_op *sc_cpu_ordered_lower(const sc_step *s, const sc_kernels *k, int i)
{
    const sc_tensor *x = s->in[0], *w = s->in[1];
    const sc_linear_attr *a = s->attr;
    if (i > 1 || sc_cpu_ordered(s)) return NULL;
    bool half = a->type == SC_BF16 && k->multiply_ordered_bf16;
    bool tall = direct(x) && direct(w) && x->shape.dim[0] >= TALL * w->shape.dim[0];
    if (i == 1) return !tall ? NULL : half ? &sc_op_pack_ordered_w_bf16 : &sc_op_pack_ordered_w;
    return tall ? NULL : half ? &sc_op_pack_ordered_bf16 : &sc_op_pack_ordered;
}

int64_t sc_cpu_ordered_tasks(const sc_step *s)
{
    product p = measure(s);
    return sc_tasks_of(p.tall ? p.t : p.n, p.block) * p.blocks;
}

/* Rows or columns of w that are brought to f32 at a time lie so far apart. */
static int64_t bring_width(const sc_step *s, const product *p)
{
    int64_t values = AT_ONCE * (p->pairs ? 2 : 1);
    return (s->in[1]->stride[1] == 1 ? values : p->block) + 2 * SC_MAX_BLOCK;
}
static int64_t bring_floats(const sc_step *s, const product *p)
{
    int64_t values = AT_ONCE * (p->pairs ? 2 : 1);
    return bring_width(s, p) * (s->in[1]->stride[1] == 1 ? W_ROWS : values);
}

int64_t sc_cpu_ordered_scratch(const sc_step *s)
{
    product p = measure(s);
    int64_t room = p.block * p.depth;
    if (!p.tall && s->in[1]->dtype != SC_F32) room += bring_floats(s, &p);
    return room * (int64_t)sizeof(float);
}

/* One part of a product: slots at .. at + depth of rows `x` .. and `w` .., both in panels. */
typedef struct part {
    const sc_step *s;
    const sc_kernels *k;
    product p;
    int64_t at, values; /* the first slot; values of C in the part */
} part;

/* Rows of x from `row` on by the rows of w from `col` on. */
static void multiply(const part *a, int64_t row, int64_t rows, const float *x, int64_t col, int64_t cols,
                     const float *w)
{
    const sc_step *s = a->s;
    int64_t n = a->p.n;
    float *y = (float *)s->out_data + row * n + col;
    const float *bias = a->at || !s->in[2] ? NULL : (const float *)s->in_data[2] + col, *residual = NULL;
    if (a->at)
        residual = y;
    else if (s->in[3])
        residual = (const float *)s->in_data[3] + row * n + col;
    (a->p.pairs ? a->k->multiply_ordered_bf16 : a->k->multiply_ordered)(rows, a->values, x, w, cols, y, n, bias,
                                                                        residual);
}

/* Values `at` of C on, `values` of them, of n rows from `row` on of a side that is not packed yet. */
static void pack(const part *a, int side, int64_t row, int64_t n, float *room, int64_t width)
{
    const sc_tensor *t = a->s->in[side];
    int64_t from = a->at * (a->p.pairs ? 2 : 1);
    const float *x = (const float *)a->s->in_data[side] + row * t->stride[0] + from * t->stride[1];
    (a->p.pairs ? a->k->pack_ordered_bf16 : a->k->pack_ordered)(n, a->values, x, t->stride[0], t->stride[1], room,
                                                                width);
}

/* n values of a stored line of w from value `at` of it on, as f32 behind others of their blocks: where they are. */
static const float *bring_line(const part *a, int64_t line, int64_t at, int64_t n, float *to)
{
    const sc_tensor *w = a->s->in[1];
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    int64_t apart = w->stride[1] == 1 ? w->stride[0] : w->stride[1], skip = at % d->block,
            whole = (skip + n + d->block - 1) / d->block * d->block;
    const char *from = a->s->in_data[1];
    a->k->dequantize[w->dtype](from + (line * apart + at - skip) / d->block * d->bytes, to, whole);
    return to + skip;
}

/* Rows from .. to of w, whose values are of another type than f32, a few hundred of them at a time. */
static void bring(const part *a, int64_t from, int64_t to, float *room, float *spare)
{
    const sc_tensor *w = a->s->in[1];
    int64_t unit = a->p.pairs ? 2 : 1, cols = a->k->panel_cols, begin = a->at * unit, end = begin + a->values,
            ld = SC_MIN(a->p.depth, a->p.slots - a->at), width = bring_width(a->s, &a->p);
    typeof(a->k->pack_ordered) pack_panel = a->p.pairs ? a->k->pack_ordered_bf16 : a->k->pack_ordered;
    bool rows = w->stride[1] == 1;
    /* Parts end where blocks do, but begin with an even value of the panel where values go in pairs. */
    for (int64_t at = begin, next; at < end; at = next) {
        next = SC_MIN((at / AT_ONCE + 1) * AT_ONCE, end);
        if ((next - begin) % unit && next < end) next++;
        const float *first = spare;
        for (int64_t i = 0; !rows && i < next - at; i++)
            first = bring_line(a, at + i, from, to - from, spare + i * width) - i * width;
        for (int64_t j = from; j < to; j += cols) {
            int64_t n = SC_MIN(cols, to - j);
            for (int64_t i = 0; rows && i < n; i++)
                first = bring_line(a, j + i, at, next - at, spare + i * width) - i * width;
            pack_panel(n, next - at, rows ? first : first + (j - from), rows ? width : 1, rows ? 1 : width,
                       room + (j - from) * ld + (at - begin) / unit * cols, cols);
        }
    }
}

/* Rows from .. to of w, packed here, by the panels of x first .. last. */
static void wide_part(const part *a, int64_t from, int64_t to, int64_t first, int64_t last, float *room)
{
    int64_t cols = a->k->panel_cols, ld = SC_MIN(a->p.depth, a->p.slots - a->at),
            count = sc_panel_count(a->p.t, a->k);
    const float *x = a->s->in_data[0];
    bool other = a->s->in[1]->dtype != SC_F32;
    if (other) bring(a, from, to, room, room + a->p.block * a->p.depth);
    for (int64_t j = from; !other && j < to; j += cols)
        pack(a, 1, j, SC_MIN(cols, to - j), room + (j - from) * ld, cols);
    for (int64_t i = first; i < last; i++) {
        int64_t at = sc_panel_begin(a->p.t, count, i), rows = sc_panel_begin(a->p.t, count, i + 1) - at;
        for (int64_t j = from; j < to; j += cols)
            multiply(a, at, rows, x + at * a->p.slots + a->at * rows, j, SC_MIN(cols, to - j),
                     room + (j - from) * ld);
    }
}

/* Rows from .. to of x, packed here, by all panels of w. */
static void tall_part(const part *a, int64_t from, int64_t to, float *room)
{
    int64_t cols = a->k->panel_cols, ld = SC_MIN(a->p.depth, a->p.slots - a->at), all = to - from,
            count = sc_panel_count(all, a->k);
    const float *w = a->s->in_data[1];
    for (int64_t i = 0; i < count; i++) {
        int64_t at = sc_panel_begin(all, count, i), rows = sc_panel_begin(all, count, i + 1) - at;
        pack(a, 0, from + at, rows, room + at * ld, rows);
    }
    for (int64_t j = 0; j < a->p.n; j += cols)
        for (int64_t i = 0; i < count; i++) {
            int64_t at = sc_panel_begin(all, count, i), rows = sc_panel_begin(all, count, i + 1) - at;
            multiply(a, from + at, rows, room + at * ld, j, SC_MIN(cols, a->p.n - j),
                     w + j * a->p.slots + a->at * cols);
        }
}

void sc_cpu_ordered_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, float *room)
{
    part a = {.s = s, .k = k, .p = measure(s)};
    const product *p = &a.p;
    int64_t all = p->tall ? p->t : p->n, runs = sc_tasks_of(all, p->block), count = sc_panel_count(p->t, k);
    int64_t unit = p->pairs ? 2 : 1;
    for (int64_t task = begin; task < end; task++) {
        /* Neighbours share the side that came packed: it stays in the last cache. */
        int64_t from = task % runs * p->block, to = SC_MIN(from + p->block, all), b = task / runs;
        for (a.at = 0; a.at < p->slots; a.at += p->depth) {
            a.values = SC_MIN(p->depth * unit, p->c - a.at * unit);
            if (p->tall)
                tall_part(&a, from, to, room);
            else
                wide_part(&a, from, to, count * b / p->blocks, count * (b + 1) / p->blocks, room);
        }
    }
}
