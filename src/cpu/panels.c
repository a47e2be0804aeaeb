/* SPDX-License-Identifier: Apache-2.0 */
/* Products of many tokens. x comes in panels, packed once for all the products that read it (pack_panels). A task packs
 * its rows of w into its own room, from whatever they are stored as, and multiplies panels by panels (Goto and van de
 * Geijn 2008, "Anatomy of High-Performance Matrix Multiplication"); bias and residual are added where a tile is written.
 * Where the machine multiplies bf16, weights of bf16 are multiplied as that, in pairs of neighbours along the row, and x
 * is rounded to it, for any number of tokens. */
#include "cpu/cpu.h"

/* How x came, and what goes with it. */
typedef struct form {
    bool panels, ordered, pairs;
} form;

static form form_of(const sc_step *s)
{
    const sc_op *op = s->in[0]->op;
    form f = {.ordered = op == &sc_op_pack_ordered || op == &sc_op_pack_ordered_bf16,
              .pairs = op == &sc_op_pack_panels_bf16 || op == &sc_op_pack_ordered_bf16};
    f.panels = f.ordered || f.pairs || op == &sc_op_pack_panels;
    return f;
}

enum {
    FEW = 32,            /* tokens up to which packing w costs more than it saves */
    TOKENS = 1024,       /* of a block: what packing w is shared over */
    COLS = 32,           /* rows of w: whole panels of every level */
    W_BYTES = 512 << 10, /* of packed w in a task, in the second cache */
    DEPTH = 1024,        /* of C, likewise */
    TASKS = 24,          /* of a product at least, so that no thread waits long for the last one */
    PAD = 16             /* floats after each row that is brought, as in linear.c */
};

bool sc_cpu_matrix_in_pairs(const sc_cpu_matrix *w, const sc_kernels *k)
{
    return w->dtype == SC_BF16 && k->multiply_panels_bf16 && k->matmul_nt_bf16 && w->stride[1] == 1 &&
           w->width % 2 == 0 && w->stride[0] % 2 == 0;
}

static bool direct(const sc_cpu_matrix *w)
{
    return w->dtype == SC_F32 && (w->stride[0] == 1 || w->stride[1] == 1);
}

const sc_op *sc_cpu_panels_lower(const sc_cpu_matrix *w, const sc_linear_attr *a, int64_t tokens,
                                 const sc_kernels *k)
{
    if (a && w->width && direct(w) && k->multiply_ordered)
        return a->type == SC_BF16 && k->multiply_ordered_bf16 ? &sc_op_pack_ordered_bf16 : &sc_op_pack_ordered;
    /* Rows of few tokens are read in place; a matrix stored by columns is packed for one token too. */
    if (!w->width || tokens <= (w->stride[1] == 1 ? FEW : 0)) return NULL;
    return sc_cpu_matrix_in_pairs(w, k) ? &sc_op_pack_panels_bf16 : k->multiply_panels ? &sc_op_pack_panels : NULL;
}

bool sc_cpu_panels(const sc_step *s) { return form_of(s).panels; }

static int64_t features(const sc_step *s) { return s->in[1]->shape.dim[0]; }
static int64_t tokens(const sc_step *s) { return s->in[0]->shape.dim[0]; }
static int64_t token_blocks(const sc_step *s) { return sc_tasks_of(tokens(s), TOKENS); }
/* Floats of a row in a panel. */
static int64_t row_floats(const sc_step *s) { return s->in[0]->shape.dim[1] / (form_of(s).pairs ? 2 : 1); }

/* Of C, what w is packed for at once, f32 values: sums of more are added up in order. */
static int64_t depth(const sc_step *s)
{
    int64_t c = s->in[1]->shape.dim[1], parts = sc_tasks_of(c, DEPTH);
    return form_of(s).ordered ? (sc_tasks_of(c, parts) + 1) / 2 * 2 : c;
}
/* Floats of a row of w as it is packed at once. */
static int64_t packed_floats(const sc_step *s)
{
    form f = form_of(s);
    return f.ordered ? SC_MIN(depth(s) / (f.pairs ? 2 : 1), row_floats(s)) : row_floats(s);
}

/* Rows of w in a task. */
static int64_t block(const sc_step *s)
{
    int64_t fit = W_BYTES / (int64_t)sizeof(float) / packed_floats(s),
            share = features(s) * token_blocks(s) / TASKS;
    return SC_MAX(SC_MIN(fit, share) / COLS, 1) * COLS;
}

int64_t sc_cpu_panels_tasks(const sc_step *s) { return sc_tasks_of(features(s), block(s)) * token_blocks(s); }

int64_t sc_cpu_panels_scratch(const sc_step *s, const sc_cpu_matrix *w)
{
    /* The panels; rows of one as f32, and one row of a 16-bit type gathered from a column. */
    int64_t brought = direct(w) || form_of(s).pairs ? 0 : (COLS + 1) * (w->width + PAD);
    return (block(s) * packed_floats(s) + brought) * (int64_t)sizeof(float);
}

/* The n rows of w from `first` on as a panel. */
static void pack(const sc_cpu_matrix *w, bool in_pairs, const sc_kernels *k, int64_t first, int64_t n, float *panel,
                 float *room)
{
    int64_t c = w->width, ld = c + PAD, cols = k->panel_cols;
    const float *floats = (const float *)w->data + first * w->stride[0];
    const uint16_t *halves = (const uint16_t *)w->data + first * w->stride[0];
    if (in_pairs) {
        k->pack_panel(n, c / 2, (const float *)(const void *)halves, w->stride[0] / 2, 1, panel, cols);
    } else if (direct(w)) {
        k->pack_panel(n, c, floats, w->stride[0], w->stride[1], panel, cols);
    } else if (w->stride[0] == 1 && (w->dtype == SC_F16 || w->dtype == SC_BF16)) {
        for (int64_t l = 0; l < c; l++) k->dequantize[w->dtype](halves + l * w->stride[1], room + l * n, n);
        k->pack_panel(n, c, room, 1, n, panel, cols);
    } else {
        sc_cpu_matrix_bring(w, k, first, n, room, ld);
        k->pack_panel(n, c, room, ld, 1, panel, cols);
    }
}

/* Products of the task's rows of x, from panel to panel, with the n rows of w that are packed in `room` for c values from
 * `at` of C on. */
typedef struct part {
    typeof(((sc_kernels *)0)->multiply_panels) multiply;
    int64_t at, c, ld; /* ld: floats of a row of w in room */
    const float *bias, *residual;
} part;

static void times(const sc_step *s, const sc_kernels *k, const part *p, int64_t first_panel, int64_t end_panel,
                  int64_t from, int64_t to, const float *room)
{
    int64_t n = features(s), t = tokens(s), ld = row_floats(s), cols = k->panel_cols, count = sc_panel_count(t, k);
    const float *x = s->in_data[0];
    float *y = s->out_data;
    for (int64_t i = first_panel; i < end_panel; i++) {
        int64_t at = sc_panel_begin(t, count, i), rows = sc_panel_begin(t, count, i + 1) - at;
        for (int64_t j = from; j < to; j += cols)
            p->multiply(rows, p->c, x + at * ld + p->at * rows, room + (j - from) * p->ld, SC_MIN(cols, to - j),
                        y + at * n + j, n, p->bias ? p->bias + j : NULL,
                        p->residual ? p->residual + at * n + j : NULL);
    }
}

static void run_ordered(const sc_step *s, const sc_cpu_matrix *w, const sc_kernels *k, int64_t begin_panel,
                        int64_t end_panel, int64_t from, int64_t to, float *room)
{
    bool pairs = form_of(s).pairs;
    int64_t most = depth(s), cols = k->panel_cols, ld = packed_floats(s);
    typeof(k->pack_ordered) pack_w = pairs ? k->pack_ordered_bf16 : k->pack_ordered;
    for (int64_t at = 0; at < w->width; at += most) {
        int64_t c = SC_MIN(most, w->width - at);
        const float *columns = (const float *)w->data + at * w->stride[1];
        for (int64_t j = from; j < to; j += cols)
            pack_w(SC_MIN(cols, to - j), c, columns + j * w->stride[0], w->stride[0], w->stride[1],
                   room + (j - from) * ld, cols);
        part p = {.multiply = pairs ? k->multiply_ordered_bf16 : k->multiply_ordered,
                  .at = pairs ? at / 2 : at,
                  .c = c,
                  .ld = ld,
                  .bias = at ? NULL : s->in_data[2],
                  .residual = at ? s->out_data : s->in_data[3]};
        times(s, k, &p, begin_panel, end_panel, from, to, room);
    }
}

void sc_cpu_panels_run(const sc_step *s, const sc_cpu_matrix *w, const sc_kernels *k, int64_t begin, int64_t end,
                       float *room)
{
    form f = form_of(s);
    int64_t n = features(s), nb = block(s), blocks = sc_tasks_of(n, nb), tb = token_blocks(s);
    int64_t ld = row_floats(s), cols = k->panel_cols, count = sc_panel_count(tokens(s), k);
    part p = {.multiply = f.pairs ? k->multiply_panels_bf16 : k->multiply_panels,
              .c = f.pairs ? w->width / 2 : w->width,
              .ld = ld,
              .bias = s->in_data[2],
              .residual = s->in_data[3]};
    for (int64_t task = begin; task < end; task++) {
        /* Neighbours share tokens: x stays in the last cache. */
        int64_t from = task % blocks * nb, to = SC_MIN(from + nb, n), b = task / blocks;
        int64_t first = count * b / tb, last = count * (b + 1) / tb;
        if (f.ordered) {
            run_ordered(s, w, k, first, last, from, to, room);
            continue;
        }
        for (int64_t j = from; j < to; j += cols)
            pack(w, f.pairs, k, j, SC_MIN(cols, to - j), room + (j - from) * ld, room + nb * ld);
        times(s, k, &p, first, last, from, to, room);
    }
}
