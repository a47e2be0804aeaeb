/* SPDX-License-Identifier: Apache-2.0 */
/* Products of panels that are summed along k from first to last, over what vector_gemm.h stands on and
 *   SLOT                        values of k in a slot: 1, or 2 that a multiply-add takes at once (as bf16)
 *   slot_row(p, n)              W slots along k from p, n values of them there
 *   slot_columns(p, ld, l, n)   one slot of n columns from p, l values of k there, `ld` apart
 *
 * No order of lanes to keep to: a chain an output, whole panels as they come, which is what the machine's peak wants. */

static inline int64_t ordered_steps(int64_t k) { return (k + SLOT - 1) / SLOT; }

/* The step's slots i … i + W of a panel that is `width` wide. A narrow panel takes whole stores, whose rest the next step
 * overwrites; `after`: floats that the panel has behind this place. */
VEC void put_slots(float *to, vf v, int slots, int64_t after)
{
    if (after >= W)
        v_store(to, v);
    else
        v_store_n(to, v, slots);
}

VEC void ordered_rows(int n, int slots, int64_t k, const float *x, int64_t ld, float *y, int64_t width, bool spill)
{
    int64_t steps = ordered_steps(k);
    for (int64_t q = 0; q < steps; q += W) {
        int64_t left = k - q * SLOT;
        int part = left < W * SLOT ? (int)left : W * SLOT, some = steps - q < W ? (int)(steps - q) : W;
        vf r[W];
        if (part == W * SLOT && n == W)
            UNROLL for (int i = 0; i < W; i++) r[i] = slot_row(x + i * ld + q * SLOT, W * SLOT);
        else
            UNROLL for (int i = 0; i < W; i++) r[i] = i < n ? slot_row(x + i * ld + q * SLOT, part) : v_set(0);
        v_turn(r);
        for (int p = 0; p < some; p++)
            put_slots(y + (q + p) * width, r[p], slots, spill ? (steps - q - p) * width : slots);
    }
}

KERNEL void pack_ordered(int64_t n, int64_t k, const float *x, int64_t along_n, int64_t along_k, float *y,
                         int64_t width)
{
    int64_t steps = ordered_steps(k);
    for (int64_t i = 0; i < width; i += W) {
        int slots = width - i < W ? (int)(width - i) : W, some = n - i < 0 ? 0 : n - i < W ? (int)(n - i) : W;
        if (along_k == 1) {
            ordered_rows(some, slots, k, x + i * along_n, along_n, y + i, width, width <= W);
            continue;
        }
        for (int64_t q = 0; q < steps; q++) {
            int64_t left = k - q * SLOT;
            vf v = slot_columns(x + i + q * SLOT * along_k, along_k, left < SLOT ? (int)left : SLOT, some);
            put_slots(y + i + q * width, v, slots, width <= W ? (steps - q) * width : slots);
        }
    }
}

/* clang-format off */
VEC void ordered_tile(const int rows, int64_t steps, const float *x, const float *w, int64_t n, float *y, int64_t ldy,
                      const float *bias, const float *residual)
{
    vf acc[GEMM_ROWS][GEMM_VECTORS];
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < GEMM_VECTORS; j++) acc[i][j] = v_set(0);
    for (int64_t q = 0; q < steps; q++, x += rows, w += GEMM_COLS) {
        vf b[GEMM_VECTORS];
        __builtin_prefetch(x + 32 * rows); /* the next panel comes from the last cache */
        UNROLL for (int j = 0; j < GEMM_VECTORS; j++) b[j] = v_load(w + j * W);
        UNROLL for (int i = 0; i < rows; i++) {
            vf a = v_set(x[i]);
            UNROLL for (int j = 0; j < GEMM_VECTORS; j++) acc[i][j] = GEMM_FMA(a, b[j], acc[i][j]);
        }
    }
    put_tile(rows, acc, n, y, ldy, bias, residual);
}
/* clang-format on */

#define ORDERED_OF(rows)                                                                                           \
    KERNEL void ordered_##rows(int64_t steps, const float *x, const float *w, int64_t n, float *y, int64_t ldy,    \
                               const float *bias, const float *residual)                                           \
    {                                                                                                              \
        ordered_tile(rows, steps, x, w, n, y, ldy, bias, residual);                                                \
    }
#define ORDERED_CASE(rows)                                                                                         \
    case rows: ordered_##rows(ordered_steps(k), x, w, n, y, ldy, bias, residual); break;
GEMM_EACH(ORDERED_OF)

static void multiply_ordered(int64_t rows, int64_t k, const float *x, const float *w, int64_t n, float *y,
                             int64_t ldy, const float *bias, const float *residual)
{
    switch (rows) {
        GEMM_EACH(ORDERED_CASE)
    }
}
