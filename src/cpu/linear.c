/* SPDX-License-Identifier: Apache-2.0 */
/* y = x w^T + bias + residual. A task is a block of w's rows times a block of tokens. Where the kernels have it, x comes
 * packed (pack_rows) and is multiplied as whole numbers by the rows, in the layout of the kernels (own_layout.c) or as
 * they are stored. Otherwise the rows are brought
 * to f32 once for all the block's tokens, then multiplied in register tiles. The sum for one element always runs over
 * the whole of C in the same order, so a token's result is the same alone and in any batch. */
#include "cpu/cpu.h"

enum {
    TOKENS = 256,            /* of a block: what bringing the rows to f32 is shared over */
    BLOCK_BYTES = 256 << 10, /* of w's rows as f32: they should stay in the second cache */
    PACKED_ROWS = 32,        /* of w in a task on packed x: whole panels of every level's kernels */
    PAD = 16 /* floats after each of them: rows a power of two apart would fall into the same few cache lines */
};

static int64_t features(const sc_step *s) { return s->in[1]->shape.dim[0]; }
static int64_t width(const sc_step *s) { return s->in[1]->shape.dim[1]; }
static int64_t tokens(const sc_step *s) { return features(s) ? sc_tensor_count(s->out) / features(s) : 0; }

static bool packed(const sc_step *s) { return s->in[0]->dtype == SC_U8; }

static const sc_op *lower(const sc_step *s, const sc_kernels *k, int i)
{
    const sc_tensor *x = s->in[0], *w = s->in[1];
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    bool can = i == 0 && x->dtype == SC_F32 && width(s) > 0 && d->block > 1 && width(s) % d->block == 0 &&
               sc_rows_dense(w) && k->matmul_packed[w->dtype];
    return can ? &sc_op_pack_rows : NULL;
}

static int64_t row_bytes(const sc_tensor *w)
{
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    return w->stride[0] / d->block * d->bytes;
}

static bool rows(const sc_step *s, const sc_kernels *k, sc_cpu_matrix *out)
{
    const sc_tensor *w = s->in[1], *root = w->view_of ? w->view_of : w;
    if (!packed(s) || !k->interleave[w->dtype] || root->leaf != SC_PARAM || !root->storage.buffer) return false;
    *out = (sc_cpu_matrix){w->dtype, features(s), width(s), row_bytes(w), s->in_data[1], root->storage.buffer};
    return true;
}

/* Packed tokens times nw rows of w. */
static void multiply_packed(const sc_step *s, const sc_kernels *k, int64_t token, int64_t nx, int64_t row,
                            int64_t nw)
{
    const sc_tensor *w = s->in[1];
    int64_t c = width(s), n = features(s), ldx = c / SC_PACKED, stride = row_bytes(w);
    const sc_packed *x = (const sc_packed *)s->in_data[0] + token * ldx;
    float *y = (float *)s->out_data + token * n + row;
    if (s->own)
        k->matmul_interleaved[w->dtype](nx, nw, c, x, ldx,
                                        (const char *)s->own + k->interleaved_bytes[w->dtype](row, c), y, n);
    else
        k->matmul_packed[w->dtype](nx, nw, c, x, ldx, (const char *)s->in_data[1] + row * stride, stride, y, n);
}

static int64_t block_rows(const sc_step *s)
{
    if (packed(s)) return PACKED_ROWS;
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

static int64_t tasks(const sc_step *s)
{
    return sc_tasks_of(features(s), block_rows(s)) * sc_tasks_of(tokens(s), TOKENS);
}

static int64_t scratch(const sc_step *s)
{
    /* The block, and one row of a 16-bit type gathered from a column. */
    return used_in_place(s->in[1]) || packed(s) ? 0
                                                : (block_rows(s) + 1) * (width(s) + PAD) * (int64_t)sizeof(float);
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

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *room)
{
    const sc_tensor *w = s->in[1];
    int64_t n = features(s), c = width(s), t = tokens(s), nb = block_rows(s), token_blocks = sc_tasks_of(t, TOKENS);
    const float *x = s->in_data[0], *bias = s->in_data[2], *residual = s->in_data[3];
    float *y = s->out_data;
    /* With one token there is nobody to share the bringing with: multiplied as it is read, to the same bits. */
    bool straight = t == 1 && !used_in_place(w) && sc_rows_dense(w) && k->matvec[w->dtype];
    int64_t have = -1; /* the block of rows that is in `room` */
    for (int64_t task = begin; task < end; task++) {
        int64_t row = task / token_blocks * nb, token = task % token_blocks * TOKENS;
        int64_t nw = SC_MIN(nb, n - row), stop = SC_MIN(token + TOKENS, t), ld = c + PAD;
        if (packed(s) && token_blocks == 1) { /* neighbours in one go: the kernel fetches ahead */
            nw = SC_MIN(nb * (end - task), n - row);
            task = end - 1;
        }
        if (packed(s)) {
            multiply_packed(s, k, token, stop - token, row, nw);
        } else if (straight) {
            int64_t stride = row_bytes(w);
            k->matvec[w->dtype](nw, c, x, (const char *)s->in_data[1] + row * stride, stride, y + row);
        } else {
            const float *block = room;
            if (used_in_place(w)) {
                block = (const float *)s->in_data[1] + row * w->stride[0];
                ld = w->stride[0];
            } else if (have != row) {
                bring_rows(s, k, row, nw, room, ld);
                have = row;
            }
            k->matmul_nt(stop - token, nw, c, x + token * c, c, block, ld, y + token * n + row, n);
        }
        for (int64_t i = token; i < stop && (bias || residual); i++) {
            float *at = y + i * n + row;
            if (bias) k->add(nw, at, bias + row, at);
            if (residual) k->add(nw, at, residual + i * n + row, at);
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_linear = {
    .refuse = refuse, .lower = lower, .rows = rows, .tasks = tasks, .scratch = scratch, .run = run};
