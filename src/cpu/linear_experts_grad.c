/* SPDX-License-Identifier: Apache-2.0 */
/* The gradients of experts' matrices: dw[e] = the sum over the pairs of token and expert e of dy x^T, or of dy alone. A
 * task is an expert and a block of its matrix's rows; it brings the rows of dy and x of its pairs together, a few hundred
 * pairs at a time and in their order, and multiplies them from panels where the kernels have such. An expert that no token
 * chose gets zeros and no product. */
#include "cpu/cpu.h"

enum {
    PAIRS = 256, /* brought together at a time */
    ROWS = 256,  /* of a matrix in a task, at most */
    COLS = 128,  /* of x at a time: whole panels of every level */
    UNIT = 32,   /* rows in a task, at least */
    TASKS = 24   /* of a step at least, so that no thread waits long for the last one */
};

typedef struct geometry {
    int64_t tokens, used, experts, n, c; /* T, K, E, N, C; c 0: no x */
    int64_t pairs, rows;                 /* rows: of a task */
    bool own;                            /* each pair has its own x */
} geometry;

static geometry measure(const sc_step *s)
{
    const sc_tensor *dy = s->in[0], *x = s->in[2];
    geometry g = {.tokens = dy->shape.dim[0],
                  .used = dy->shape.dim[1],
                  .n = dy->shape.dim[2],
                  .experts = s->out->shape.dim[0],
                  .c = x ? x->shape.dim[x->shape.rank - 1] : 0,
                  .own = x && x->shape.rank == 3};
    g.pairs = g.tokens * g.used;
    int64_t share = g.n * g.experts / TASKS / UNIT * UNIT;
    g.rows = SC_MAX(SC_MIN(share, ROWS), UNIT);
    return g;
}

static int64_t tasks(const sc_step *s)
{
    geometry g = measure(s);
    return g.experts * sc_tasks_of(g.n, g.rows);
}

/* The pairs of the expert; rows of dy and the panels, or the turned matrix, that they become; the same of x. */
static int64_t scratch(const sc_step *s)
{
    geometry g = measure(s);
    return g.pairs * (int64_t)sizeof(int32_t) + 64 + 2 * PAIRS * (g.rows + COLS) * (int64_t)sizeof(float);
}

typedef struct room {
    float *dy, *dy_panels, *x, *x_panels;
    int32_t *pair;
} room;

static room lay_out(const geometry *g, void *p)
{
    room m = {.dy = p};
    m.dy_panels = m.dy + PAIRS * g->rows;
    m.x = m.dy_panels + PAIRS * g->rows;
    m.x_panels = m.x + PAIRS * COLS;
    m.pair = (int32_t *)(m.x_panels + PAIRS * COLS);
    return m;
}

static sc_status find_pairs(const sc_step *s, const geometry *g, int64_t expert, int32_t *pair, int64_t *n)
{
    const int32_t *experts = s->in_data[1];
    *n = 0;
    for (int64_t p = 0; p < g->pairs; p++) {
        if (experts && (experts[p] < 0 || experts[p] >= g->experts))
            return sc_fail(SC_ELIMIT, "expert %d of %lld", experts[p], (long long)g->experts);
        if ((experts ? experts[p] : p % g->used) == expert) pair[(*n)++] = (int32_t)p;
    }
    return SC_OK;
}

/* Columns from .. from + n of the rows of pairs, `by` pairs to a row, side by side. */
static void gather(const float *x, int64_t width, int64_t by, const int32_t *pair, int64_t count, int64_t from,
                   int64_t n, float *to)
{
    for (int64_t i = 0; i < count; i++) memcpy(to + i * n, x + pair[i] / by * width + from, sizeof *to * (size_t)n);
}

/* dw (rows, cols), c apart, becomes or gets the product of `count` pairs' dy, which is in the room, and x. */
static void multiply(const sc_kernels *k, const geometry *g, const room *m, int64_t count, int64_t rows,
                     int64_t cols, bool more, float *dw)
{
    if (!k->multiply_panels) {
        for (int64_t r = 0; !more && r < rows; r++) memset(dw + r * g->c, 0, sizeof *dw * (size_t)cols);
        k->matmul_nn_acc(rows, cols, count, m->dy_panels, count, m->x, cols, dw, g->c);
        return;
    }
    int64_t panels = sc_panel_count(rows, k), ld = (count + 15) / 16 * 16;
    for (int64_t j = 0; j < cols; j += k->panel_cols) {
        int64_t n = SC_MIN(k->panel_cols, cols - j);
        k->pack_panel(n, count, m->x + j, 1, cols, m->x_panels, k->panel_cols);
        for (int64_t p = 0; p < panels; p++) {
            int64_t at = sc_panel_begin(rows, panels, p), many = sc_panel_begin(rows, panels, p + 1) - at;
            float *to = dw + at * g->c + j;
            k->multiply_panels(many, count, m->dy_panels + at * ld, m->x_panels, n, to, g->c, NULL,
                               more ? to : NULL);
        }
    }
}

/* dy of the pairs in the room in the form that multiply wants. */
static void arrange(const sc_kernels *k, const room *m, int64_t count, int64_t rows)
{
    if (!k->multiply_panels) {
        for (int64_t i = 0; i < count; i++)
            for (int64_t r = 0; r < rows; r++) m->dy_panels[r * count + i] = m->dy[i * rows + r];
        return;
    }
    int64_t panels = sc_panel_count(rows, k), ld = (count + 15) / 16 * 16;
    for (int64_t p = 0; p < panels; p++) {
        int64_t at = sc_panel_begin(rows, panels, p), many = sc_panel_begin(rows, panels, p + 1) - at;
        k->pack_panel(many, count, m->dy + at, 1, rows, m->dy_panels + at * ld, many);
    }
}

/* Rows first .. first + rows of an expert's matrix. */
static void products(const sc_step *s, const sc_kernels *k, const geometry *g, const room *m, int64_t expert,
                     int64_t n_pairs, int64_t first, int64_t rows)
{
    float *dw = (float *)s->out_data + (expert * g->n + first) * g->c;
    if (!n_pairs) memset(dw, 0, sizeof *dw * (size_t)(rows * g->c));
    for (int64_t at = 0; at < n_pairs; at += PAIRS) {
        int64_t count = SC_MIN(n_pairs - at, PAIRS);
        gather(s->in_data[0], g->n, 1, m->pair + at, count, first, rows, m->dy);
        arrange(k, m, count, rows);
        for (int64_t j = 0; j < g->c; j += COLS) {
            int64_t cols = SC_MIN(COLS, g->c - j);
            gather(s->in_data[2], g->c, g->own ? 1 : g->used, m->pair + at, count, j, cols, m->x);
            multiply(k, g, m, count, rows, cols, at > 0, dw + j);
        }
    }
}

/* In blocks, so that rounding grows with the number of blocks alone. */
static void sums(const sc_step *s, const sc_kernels *k, const geometry *g, const room *m, int64_t expert,
                 int64_t n_pairs, int64_t first, int64_t rows)
{
    float *to = (float *)s->out_data + expert * g->n + first;
    memset(to, 0, sizeof *to * (size_t)rows);
    for (int64_t at = 0; at < n_pairs; at += PAIRS) {
        int64_t count = SC_MIN(n_pairs - at, PAIRS);
        memset(m->dy, 0, sizeof *to * (size_t)rows);
        for (int64_t i = 0; i < count; i++)
            k->add(rows, m->dy, (const float *)s->in_data[0] + m->pair[at + i] * g->n + first, m->dy);
        k->add(rows, to, m->dy, to);
    }
}

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch_room)
{
    geometry g = measure(s);
    int64_t blocks = sc_tasks_of(g.n, g.rows), at = -1, n = 0;
    room m = lay_out(&g, scratch_room);
    for (int64_t task = begin; task < end; task++) {
        int64_t first = task % blocks * g.rows, rows = SC_MIN(g.rows, g.n - first);
        sc_status status = task / blocks == at ? SC_OK : find_pairs(s, &g, task / blocks, m.pair, &n);
        if (status) return status;
        at = task / blocks;
        (s->in[2] ? products : sums)(s, k, &g, &m, at, n, first, rows);
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_linear_experts_grad = {.tasks = tasks, .scratch = scratch, .run = run};
