/* SPDX-License-Identifier: Apache-2.0 */
/* y = x w^T + bias + residual. A task is a block of w's rows times a block of tokens. Where the kernels have it, x comes
 * packed (pack_rows) and is multiplied as whole numbers by the rows, in the kernels' own layout or as they are stored.
 * Otherwise many tokens come in panels (panels.c); for few the rows are multiplied as they are stored, or brought to f32
 * first. The sum for one element always runs over the whole of C in an order that the type of w decides, so a token's
 * result is the same alone and in any batch. */
#include "cpu/cpu.h"

enum {
    TOKENS = 256,            /* of a block: what bringing the rows to f32 is shared over */
    BLOCK_BYTES = 256 << 10, /* of w's rows as f32: they should stay in the second cache */
    DIRECT = 8,       /* tokens up to which rows of a 16-bit type are brought to f32 in registers, each time */
    PACKED_ROWS = 32, /* of w in a task on packed x: whole panels of every level's kernels */
    HULL = 32 + 2 * SC_MAX_BLOCK, /* values of the blocks that a few neighbours are in */
    PAD = 16 /* floats after each of them: rows a power of two apart would fall into the same few cache lines */
};

static int64_t features(const sc_step *s) { return s->in[1]->shape.dim[0]; }
static int64_t width(const sc_step *s) { return s->in[1]->shape.dim[1]; }
static int64_t tokens(const sc_step *s) { return features(s) ? sc_tensor_count(s->out) / features(s) : 0; }

static bool packed(const sc_step *s) { return s->in[0]->dtype == SC_U8; }

static sc_cpu_matrix matrix(const sc_step *s)
{
    const sc_tensor *w = s->in[1];
    bool dense = sc_dtype_get(w->dtype)->block == 1 && sc_rows_dense(w); /* a row of one value has no stride */
    return (sc_cpu_matrix){w->dtype, s->in_data[1], width(s), {w->stride[0], dense ? 1 : w->stride[1]}, s->own};
}

bool sc_cpu_matrix_packed(const sc_cpu_matrix *w, const sc_kernels *k)
{
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    return w->width > 0 && d->block > 1 && w->width % d->block == 0 && w->stride[1] == 1 &&
           k->matmul_packed[w->dtype];
}

static const sc_op *lower(const sc_step *s, const sc_kernels *k, int i)
{
    if (sc_cpu_ordered(s) || sc_cpu_ordered_wanted(s, k)) return sc_cpu_ordered_lower(s, k, i);
    sc_cpu_matrix w = matrix(s);
    if (i > 0 || s->in[0]->dtype != SC_F32) return NULL;
    if (!s->attr && sc_cpu_matrix_packed(&w, k)) return &sc_op_pack_rows; /* training multiplies f32 */
    const sc_op *op = sc_cpu_panels_lower(&w, tokens(s), k);
    return op || sc_is_contiguous(s->in[0]) ? op : &sc_op_contiguous;
}

static bool weight(const sc_step *s, const sc_kernels *k, sc_cpu_weight *out)
{
    const sc_tensor *w = s->in[1], *root = w->view_of ? w->view_of : w;
    *out = (sc_cpu_weight){matrix(s), features(s), root->storage.buffer};
    return packed(s) && k->interleave[w->dtype] && root->leaf == SC_PARAM && out->buffer;
}

int64_t sc_cpu_matrix_rows(const sc_cpu_matrix *w, bool packed)
{
    if (packed) return PACKED_ROWS;
    int64_t fit = BLOCK_BYTES / (int64_t)sizeof(float) / SC_MAX(w->width, 1);
    return SC_MAX(SC_MIN(fit, 32), 4);
}

static int64_t block_rows(const sc_step *s)
{
    sc_cpu_matrix w = matrix(s);
    return sc_cpu_matrix_rows(&w, packed(s));
}

static bool used_in_place(const sc_cpu_matrix *w) { return w->dtype == SC_F32 && w->stride[1] == 1; }

const char *sc_cpu_matrix_refuse(const sc_cpu_matrix *w)
{
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    if (w->dtype != SC_F32 && w->dtype != SC_F16 && w->dtype != SC_BF16 && d->block == 1)
        return "an integer weight";
    if (d->block == 1) return NULL;
    if (w->stride[1] != 1 && w->stride[0] != 1)
        return "a block-quantised weight with neither rows nor columns dense";
    if ((w->stride[1] == 1 ? w->width : w->stride[1]) % d->block) return "a weight whose rows are not whole blocks";
    return NULL;
}

static const char *refuse(const sc_step *s)
{
    sc_cpu_matrix w = matrix(s);
    return sc_cpu_matrix_refuse(&w);
}

static int64_t tasks(const sc_step *s)
{
    if (sc_cpu_ordered(s)) return sc_cpu_ordered_tasks(s);
    if (sc_cpu_panels(s)) return sc_cpu_panels_tasks(s);
    return sc_tasks_of(features(s), block_rows(s)) * sc_tasks_of(tokens(s), TOKENS);
}

int64_t sc_cpu_matrix_scratch(const sc_cpu_matrix *w, bool packed)
{
    /* The block, and one row of a 16-bit type, or whole blocks of a row as it is stored, gathered from a column. */
    if (used_in_place(w) || packed) return 0;
    return (sc_cpu_matrix_rows(w, false) * (w->width + PAD) + SC_MAX(w->width + PAD, HULL)) *
           (int64_t)sizeof(float);
}

static int64_t scratch(const sc_step *s)
{
    if (sc_cpu_ordered(s)) return sc_cpu_ordered_scratch(s);
    sc_cpu_matrix w = matrix(s);
    return sc_cpu_panels(s) ? sc_cpu_panels_scratch(s, &w) : sc_cpu_matrix_scratch(&w, packed(s));
}

void sc_cpu_matrix_bring(const sc_cpu_matrix *w, const sc_kernels *k, int64_t first, int64_t n, float *out,
                         int64_t ld)
{
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    int64_t c = w->width;
    if (w->stride[1] == 1) {
        for (int64_t r = 0; r < n; r++)
            k->dequantize[w->dtype]((const char *)w->data + (first + r) * (w->stride[0] / d->block) * d->bytes,
                                    out + r * ld, c);
        return;
    }
    if (w->dtype == SC_F32) {
        /* Column by column: neighbouring rows are neighbours in memory. */
        const float *from = (const float *)w->data + first * w->stride[0];
        for (int64_t i = 0; i < c; i++)
            for (int64_t r = 0; r < n; r++) out[r * ld + i] = from[r * w->stride[0] + i * w->stride[1]];
        return;
    }
    if (d->block > 1) { /* the rows that are meant lie side by side in the blocks of each stored one */
        float *hull = out + n * ld;
        int64_t skip = first % d->block, whole = (skip + n + d->block - 1) / d->block * d->block;
        for (int64_t i = 0; i < c; i++) {
            k->dequantize[w->dtype]((const char *)w->data + (i * w->stride[1] + first - skip) / d->block * d->bytes,
                                    hull, SC_MIN(whole, w->stride[1] - (first - skip)));
            for (int64_t r = 0; r < n; r++) out[r * ld + i] = hull[skip + r];
        }
        return;
    }
    uint16_t *row = (uint16_t *)(out + n * ld);
    const uint16_t *from = (const uint16_t *)w->data + first * w->stride[0];
    for (int64_t r = 0; r < n; r++) {
        for (int64_t i = 0; i < c; i++) row[i] = from[r * w->stride[0] + i * w->stride[1]];
        k->dequantize[w->dtype](row, out + r * ld, c);
    }
}

void sc_cpu_matrix_times(const sc_kernels *k, const sc_cpu_matrix *w, int64_t row, int64_t rows, bool packed,
                         int64_t tokens, const void *x, int64_t ldx, float *y, int64_t ldy, float *room,
                         int64_t *have)
{
    const sc_dtype_info *d = sc_dtype_get(w->dtype);
    int64_t row_bytes = w->stride[0] / d->block * d->bytes, ld = w->width + PAD;
    const char *first = (const char *)w->data + row * row_bytes;
    if (packed && w->own) {
        const char *own = (const char *)w->own + k->interleaved_bytes[w->dtype](row, w->width);
        k->matmul_interleaved[w->dtype](tokens, rows, w->width, x, ldx, own, y, ldy);
    } else if (packed) {
        k->matmul_packed[w->dtype](tokens, rows, w->width, x, ldx, first, row_bytes, y, ldy);
    } else if (used_in_place(w)) {
        k->matmul_nt(tokens, rows, w->width, x, ldx, (const float *)w->data + row * w->stride[0], w->stride[0], y,
                     ldy);
    } else if (sc_cpu_matrix_in_pairs(w, k)) {
        k->matmul_nt_bf16(tokens, rows, w->width, x, ldx, first, row_bytes, y, ldy);
    } else if (tokens == 1 && w->stride[1] == 1 && k->matvec[w->dtype]) {
        /* Nobody to share the bringing with: multiplied as it is read, to the same bits. */
        k->matvec[w->dtype](rows, w->width, x, first, row_bytes, y);
    } else if (tokens <= DIRECT && w->stride[1] == 1 && k->dot_rows[w->dtype]) {
        k->dot_rows[w->dtype](tokens, rows, w->width, x, ldx, first, row_bytes, y, ldy);
    } else {
        if (*have != row) sc_cpu_matrix_bring(w, k, row, rows, room, ld);
        *have = row;
        k->matmul_nt(tokens, rows, w->width, x, ldx, room, ld, y, ldy);
    }
}

static sc_status run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *room)
{
    if (sc_cpu_ordered(s)) {
        sc_cpu_ordered_run(s, k, begin, end, room);
        return SC_OK;
    }
    int64_t n = features(s), c = width(s), t = tokens(s), nb = block_rows(s), token_blocks = sc_tasks_of(t, TOKENS);
    const float *bias = s->in_data[2], *residual = s->in_data[3];
    float *y = s->out_data;
    sc_cpu_matrix w = matrix(s);
    if (sc_cpu_panels(s)) {
        sc_cpu_panels_run(s, &w, k, begin, end, room);
        return SC_OK;
    }
    int64_t have = -1; /* the block of rows that is in `room` */
    for (int64_t task = begin; task < end; task++) {
        int64_t row = task / token_blocks * nb, token = task % token_blocks * TOKENS;
        int64_t rows = SC_MIN(nb, n - row), stop = SC_MIN(token + TOKENS, t);
        if (packed(s) && token_blocks == 1) { /* neighbours in one go: the kernel fetches ahead */
            rows = SC_MIN(nb * (end - task), n - row);
            task = end - 1;
        }
        int64_t ldx = packed(s) ? c / SC_PACKED : c;
        const char *x = (const char *)s->in_data[0] +
                        token * ldx * (packed(s) ? (int64_t)sizeof(sc_packed) : (int64_t)sizeof(float));
        sc_cpu_matrix_times(k, &w, row, rows, packed(s), stop - token, x, ldx, y + token * n + row, n, room, &have);
        for (int64_t i = token; i < stop && (bias || residual); i++) {
            float *at = y + i * n + row;
            if (bias) k->add(rows, at, bias + row, at);
            if (residual) k->add(rows, at, residual + i * n + row, at);
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_linear = {
    .refuse = refuse, .lower = lower, .weight = weight, .tasks = tasks, .scratch = scratch, .run = run};
