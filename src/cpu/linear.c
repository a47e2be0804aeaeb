/* SPDX-License-Identifier: Apache-2.0 */
/* y = x w^T + bias + residual. A task is a block of w's rows times a block of tokens, in one of four ways:
 *  - w of whole numbers, where the kernels have it: x comes packed (pack_rows) and is multiplied by the rows as they are;
 *  - many tokens: x comes in panels (pack_panels), a task packs its rows of w, and panels are multiplied (Goto and van de
 *    Geijn 2008, "Anatomy of high-performance matrix multiplication"), bf16 as such where the machine can;
 *  - few tokens: rows are multiplied as they are stored, or where no kernel can, brought to f32 first.
 * The sum for one element always runs over the whole of C in an order that the type of w decides, so a token's result is
 * the same alone and in any batch. */
#include "cpu/cpu.h"

enum {
    TOKENS = 256,            /* of a block: what bringing the rows to f32 is shared over */
    BLOCK_BYTES = 256 << 10, /* of w's rows as f32: they should stay in the second cache */
    PACKED_ROWS = 32,        /* of w in a task on packed x: whole panels of every level's kernels */
    FEW = 8,                 /* tokens up to which packing w costs more than it saves */
    PANEL_TOKENS = 1024,     /* of a block: what packing w is shared over */
    PANEL_ROWS = 32,         /* of w: whole panels of every level */
    PANEL_BYTES = 512 << 10, /* of packed w in a task, in the second cache */
    PANEL_TASKS = 24,        /* of a product at least, so that no thread waits long for the last one */
    PAD = 16 /* floats after each of them: rows a power of two apart would fall into the same few cache lines */
};

static int64_t features(const sc_step *s) { return s->in[1]->shape.dim[0]; }
static int64_t width(const sc_step *s) { return s->in[1]->shape.dim[1]; }
static int64_t tokens(const sc_step *s) { return features(s) ? sc_tensor_count(s->out) / features(s) : 0; }

static bool packed(const sc_step *s) { return s->in[0]->dtype == SC_U8; }

static bool panels_bf16(const sc_step *s) { return s->in[0]->op == &sc_op_pack_panels_bf16; }
static bool panels(const sc_step *s) { return s->in[0]->op == &sc_op_pack_panels || panels_bf16(s); }

/* Whether bf16 is multiplied as bf16: by pairs, for any number of tokens. */
static bool in_pairs(const sc_tensor *w, const sc_kernels *k)
{
    return w->dtype == SC_BF16 && k->multiply_panels_bf16 && k->matmul_nt_bf16 && sc_rows_dense(w) &&
           w->shape.dim[1] % 2 == 0 && w->stride[0] % 2 == 0;
}

static const sc_op *lower(const sc_step *s, const sc_kernels *k, int i)
{
    const sc_tensor *x = s->in[0], *w = s->in[1];
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    if (i > 0 || x->dtype != SC_F32) return NULL;
    if (width(s) > 0 && d->block > 1 && width(s) % d->block == 0 && sc_rows_dense(w) && k->matmul_packed[w->dtype])
        return &sc_op_pack_rows;
    if (width(s) > 0 && tokens(s) > FEW && in_pairs(w, k)) return &sc_op_pack_panels_bf16;
    if (width(s) > 0 && tokens(s) > FEW && k->multiply_panels) return &sc_op_pack_panels;
    return sc_is_contiguous(x) ? NULL : &sc_op_contiguous;
}

static int64_t token_blocks(const sc_step *s) { return sc_tasks_of(tokens(s), panels(s) ? PANEL_TOKENS : TOKENS); }

static int64_t block_rows(const sc_step *s)
{
    if (packed(s)) return PACKED_ROWS;
    if (panels(s)) {
        int64_t fit = PANEL_BYTES / (int64_t)sizeof(float) / s->in[0]->shape.dim[1];
        int64_t share = features(s) * token_blocks(s) / PANEL_TASKS;
        return SC_MAX(SC_MIN(fit, share) / PANEL_ROWS, 1) * PANEL_ROWS;
    }
    int64_t fit = BLOCK_BYTES / (int64_t)sizeof(float) / SC_MAX(width(s), 1);
    return SC_MAX(SC_MIN(fit, 32), 4);
}

static bool used_in_place(const sc_tensor *w) { return w->dtype == SC_F32 && sc_rows_dense(w); }

static const char *refuse(const sc_step *s)
{
    const sc_tensor *w = s->in[1];
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    if (w->dtype != SC_F32 && w->dtype != SC_F16 && w->dtype != SC_BF16 && d->block == 1)
        return "an integer weight";
    if (d->block > 1 && !sc_rows_dense(w)) return "a block-quantised weight stored by columns";
    if (w->shape.dim[1] % d->block) return "a weight whose rows are not whole blocks";
    return NULL;
}

static int64_t tasks(const sc_step *s) { return sc_tasks_of(features(s), block_rows(s)) * token_blocks(s); }

static int64_t scratch(const sc_step *s)
{
    /* Rows as f32, and one row of a 16-bit type gathered from a column. */
    int64_t row = (width(s) + PAD) * (int64_t)sizeof(float), brought = used_in_place(s->in[1]) ? 0 : row;
    if (panels(s))
        return block_rows(s) * s->in[0]->shape.dim[1] * (int64_t)sizeof(float) + (PANEL_ROWS + 1) * brought;
    return packed(s) ? 0 : (block_rows(s) + 1) * brought;
}

/* Rows first .. first + n of w as f32 into out, `ld` apart. */
static void bring_rows(const sc_step *s, const sc_kernels *k, int64_t first, int64_t n, float *out, int64_t ld)
{
    const sc_tensor *w = s->in[1];
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    int64_t c = width(s);
    if (sc_rows_dense(w)) {
        for (int64_t r = 0; r < n; r++)
            k->dequantize[w->dtype](
                (const char *)s->in_data[1] + (first + r) * (w->stride[0] / d->block) * d->bytes, out + r * ld, c);
        return;
    }
    if (w->dtype == SC_F32) {
        /* Column by column: neighbouring rows are neighbours in memory. */
        const float *from = (const float *)s->in_data[1] + first * w->stride[0];
        for (int64_t i = 0; i < c; i++)
            for (int64_t r = 0; r < n; r++) out[r * ld + i] = from[r * w->stride[0] + i * w->stride[1]];
        return;
    }
    uint16_t *row = (uint16_t *)(out + n * ld);
    const uint16_t *from = (const uint16_t *)s->in_data[1] + first * w->stride[0];
    for (int64_t r = 0; r < n; r++) {
        for (int64_t i = 0; i < c; i++) row[i] = from[r * w->stride[0] + i * w->stride[1]];
        k->dequantize[w->dtype](row, out + r * ld, c);
    }
}

/* The n rows of w from `first` on as a panel, ld floats a row. */
static void pack_rows_of_w(const sc_step *s, const sc_kernels *k, int64_t first, int64_t n, float *panel,
                           float *room)
{
    const sc_tensor *w = s->in[1];
    int64_t c = width(s), ld = c + PAD, cols = k->panel_cols;
    const char *at = (const char *)s->in_data[1] + first * w->stride[0] * sc_dtype_get(w->dtype)->bytes;
    if (panels_bf16(s)) {
        k->pack_panel(n, c / 2, (const float *)(const void *)at, w->stride[0] / 2, 1, panel, cols);
    } else if (w->dtype == SC_F32 && (w->stride[0] == 1 || w->stride[1] == 1)) {
        k->pack_panel(n, c, (const float *)(const void *)at, w->stride[0], w->stride[1], panel, cols);
    } else if (w->stride[0] == 1 && sc_dtype_get(w->dtype)->block == 1) {
        for (int64_t l = 0; l < c; l++)
            k->dequantize[w->dtype]((const uint16_t *)(const void *)at + l * w->stride[1], room + l * n, n);
        k->pack_panel(n, c, room, 1, n, panel, cols);
    } else {
        bring_rows(s, k, first, n, room, ld);
        k->pack_panel(n, c, room, ld, 1, panel, cols);
    }
}

static void run_panels(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, float *room)
{
    int64_t n = features(s), t = tokens(s), nb = block_rows(s), blocks = sc_tasks_of(n, nb), tb = token_blocks(s);
    int64_t row_floats = panels_bf16(s) ? s->in[0]->shape.dim[1] / 2 : s->in[0]->shape.dim[1];
    int64_t slots = panels_bf16(s) ? width(s) / 2 : width(s), count = sc_panel_count(t, k), cols = k->panel_cols;
    const float *x = s->in_data[0], *bias = s->in_data[2], *residual = s->in_data[3];
    float *brought = room + nb * row_floats, *y = s->out_data;
    typeof(k->multiply_panels) multiply = panels_bf16(s) ? k->multiply_panels_bf16 : k->multiply_panels;
    for (int64_t task = begin; task < end; task++) {
        /* Neighbours share tokens: x stays in the last cache. */
        int64_t from = task % blocks * nb, to = SC_MIN(from + nb, n), b = task / blocks;
        for (int64_t j = from; j < to; j += cols)
            pack_rows_of_w(s, k, j, SC_MIN(cols, to - j), room + (j - from) * row_floats, brought);
        for (int64_t i = count * b / tb; i < count * (b + 1) / tb; i++) {
            int64_t at = sc_panel_begin(t, count, i), rows = sc_panel_begin(t, count, i + 1) - at;
            for (int64_t j = from; j < to; j += cols)
                multiply(rows, slots, x + at * row_floats, room + (j - from) * row_floats, SC_MIN(cols, to - j),
                         y + at * n + j, n, bias ? bias + j : NULL, residual ? residual + at * n + j : NULL);
        }
    }
}

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *room)
{
    if (panels(s)) {
        run_panels(s, k, begin, end, room);
        return SC_OK;
    }
    const sc_tensor *w = s->in[1];
    int64_t n = features(s), c = width(s), t = tokens(s), nb = block_rows(s), tb = token_blocks(s);
    const float *x = s->in_data[0], *bias = s->in_data[2], *residual = s->in_data[3];
    float *y = s->out_data;
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    int64_t row_bytes = w->stride[0] / d->block * d->bytes;
    /* With one token there is nobody to share the bringing with: multiplied as it is read, to the same bits. */
    bool straight = t == 1 && !used_in_place(w) && sc_rows_dense(w) && k->matvec[w->dtype];
    bool pairs = in_pairs(w, k);
    int64_t have = -1; /* the block of rows that is in `room` */
    for (int64_t task = begin; task < end; task++) {
        int64_t row = task / tb * nb, token = task % tb * TOKENS;
        int64_t rows = SC_MIN(nb, n - row), stop = SC_MIN(token + TOKENS, t), ld = c + PAD;
        if (packed(s) && tb == 1) { /* neighbours in one go: the kernel fetches ahead */
            rows = SC_MIN(nb * (end - task), n - row);
            task = end - 1;
        }
        const char *first = (const char *)s->in_data[1] + row * row_bytes;
        if (packed(s)) {
            int64_t ldx = c / SC_PACKED;
            k->matmul_packed[w->dtype](stop - token, rows, c, (const sc_packed *)s->in_data[0] + token * ldx, ldx,
                                       first, row_bytes, y + token * n + row, n);
        } else if (pairs) {
            k->matmul_nt_bf16(stop - token, rows, c, x + token * c, c, first, row_bytes, y + token * n + row, n);
        } else if (straight) {
            k->matvec[w->dtype](rows, c, x, first, row_bytes, y + row);
        } else {
            const float *block = room;
            if (used_in_place(w)) {
                block = (const float *)s->in_data[1] + row * w->stride[0];
                ld = w->stride[0];
            } else if (have != row) {
                bring_rows(s, k, row, rows, room, ld);
                have = row;
            }
            k->matmul_nt(stop - token, rows, c, x + token * c, c, block, ld, y + token * n + row, n);
        }
        for (int64_t i = token; i < stop && (bias || residual); i++) {
            float *at = y + i * n + row;
            if (bias) k->add(rows, at, bias + row, at);
            if (residual) k->add(rows, at, residual + i * n + row, at);
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_linear = {.refuse = refuse, .lower = lower, .tasks = tasks, .scratch = scratch, .run = run};
