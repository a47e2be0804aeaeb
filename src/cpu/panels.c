/* SPDX-License-Identifier: Apache-2.0 */
/* Products of many tokens. x comes in panels, packed once for all the products that read it (pack_panels). A task packs
 * its rows of w into its own room, from whatever they are stored as, and multiplies panels by panels (Goto and van de
 * Geijn 2008, "Anatomy of High-Performance Matrix Multiplication"); bias and residual are added where a tile is written.
 * Where the machine multiplies bf16, weights of bf16 are multiplied as that, in pairs of neighbours along the row, and x
 * is rounded to it, for any number of tokens. */
#include "cpu/cpu.h"

enum {
    FEW = 32,            /* tokens up to which packing w costs more than it saves */
    TOKENS = 1024,       /* of a block: what packing w is shared over */
    COLS = 32,           /* rows of w: whole panels of every level */
    W_BYTES = 512 << 10, /* of packed w in a task, in the second cache */
    TASKS = 24,          /* of a product at least, so that no thread waits long for the last one */
    PAD = 16             /* floats after each row that is brought, as in linear.c */
};

bool sc_cpu_matrix_in_pairs(const sc_cpu_matrix *w, const sc_kernels *k)
{
    return w->dtype == SC_BF16 && k->multiply_panels_bf16 && k->matmul_nt_bf16 && w->stride[1] == 1 &&
           w->width % 2 == 0 && w->stride[0] % 2 == 0;
}

const sc_op *sc_cpu_panels_lower(const sc_cpu_matrix *w, int64_t tokens, const sc_kernels *k)
{
    /* Rows of few tokens are read in place; a matrix stored by columns is packed for one token too. */
    if (!w->width || tokens <= (w->stride[1] == 1 ? FEW : 0)) return NULL;
    return sc_cpu_matrix_in_pairs(w, k) ? &sc_op_pack_panels_bf16 : k->multiply_panels ? &sc_op_pack_panels : NULL;
}

static bool pairs(const sc_step *s) { return s->in[0]->op == &sc_op_pack_panels_bf16; }
bool sc_cpu_panels(const sc_step *s) { return s->in[0]->op == &sc_op_pack_panels || pairs(s); }

static int64_t features(const sc_step *s) { return s->in[1]->shape.dim[0]; }
static int64_t tokens(const sc_step *s) { return s->in[0]->shape.dim[0]; }
static int64_t token_blocks(const sc_step *s) { return sc_tasks_of(tokens(s), TOKENS); }
/* Floats of a row in a panel. */
static int64_t row_floats(const sc_step *s) { return s->in[0]->shape.dim[1] / (pairs(s) ? 2 : 1); }

/* Rows of w in a task. */
static int64_t block(const sc_step *s)
{
    int64_t fit = W_BYTES / (int64_t)sizeof(float) / row_floats(s), share = features(s) * token_blocks(s) / TASKS;
    return SC_MAX(SC_MIN(fit, share) / COLS, 1) * COLS;
}

int64_t sc_cpu_panels_tasks(const sc_step *s) { return sc_tasks_of(features(s), block(s)) * token_blocks(s); }

static bool direct(const sc_cpu_matrix *w)
{
    return w->dtype == SC_F32 && (w->stride[0] == 1 || w->stride[1] == 1);
}

int64_t sc_cpu_panels_scratch(const sc_step *s, const sc_cpu_matrix *w)
{
    /* The panels; rows of one as f32, and one row of a 16-bit type gathered from a column. */
    int64_t brought =
        direct(w) || pairs(s) ? 0 : COLS * (w->width + PAD) + SC_MAX(w->width, 2 * SC_MAX_BLOCK) + PAD + COLS;
    return (block(s) * row_floats(s) + brought) * (int64_t)sizeof(float);
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

void sc_cpu_panels_run(const sc_step *s, const sc_cpu_matrix *w, const sc_kernels *k, int64_t begin, int64_t end,
                       float *room)
{
    int64_t n = features(s), t = tokens(s), nb = block(s), blocks = sc_tasks_of(n, nb), tb = token_blocks(s);
    int64_t ld = row_floats(s), steps = pairs(s) ? w->width / 2 : w->width, cols = k->panel_cols;
    int64_t count = sc_panel_count(t, k);
    const float *x = s->in_data[0], *bias = s->in_data[2], *residual = s->in_data[3];
    float *y = s->out_data;
    typeof(k->multiply_panels) multiply = pairs(s) ? k->multiply_panels_bf16 : k->multiply_panels;
    for (int64_t task = begin; task < end; task++) {
        /* Neighbours share tokens: x stays in the last cache. */
        int64_t from = task % blocks * nb, to = SC_MIN(from + nb, n), b = task / blocks;
        for (int64_t j = from; j < to; j += cols)
            pack(w, pairs(s), k, j, SC_MIN(cols, to - j), room + (j - from) * ld, room + nb * ld);
        for (int64_t i = count * b / tb; i < count * (b + 1) / tb; i++) {
            int64_t at = sc_panel_begin(t, count, i), rows = sc_panel_begin(t, count, i + 1) - at;
            for (int64_t j = from; j < to; j += cols)
                multiply(rows, steps, x + at * ld, room + (j - from) * ld, SC_MIN(cols, to - j), y + at * n + j, n,
                         bias ? bias + j : NULL, residual ? residual + at * n + j : NULL);
        }
    }
}
