/* SPDX-License-Identifier: Apache-2.0 */
/* Products of packed panels, over the vocabulary of vector_math.h and
 *   v_turn(r)                 r[W], W vectors: rows become columns
 *   SEGMENT(p)                where in the order of v_sum's additions lane p comes
 *   GEMM_ROWS, GEMM_VECTORS   the register tile: rows of x times vectors of rows of w
 *   GEMM_FMA                  v_fma unless defined: how slots of x and of w are multiplied and added
 *
 * One accumulator an output reaches the machine's peak only if its vector's lanes are outputs, but one row of x can read
 * w at the memory's speed only if the lanes run along k, as in matmul_nt. Both give the same bits here because a panel
 * is packed in the order in which the lanes of matmul_nt add: first all of k that falls into one lane, then the next
 * lane's. Each such segment is a chain of its own from zero, and the chains are added as v_sum adds lanes, a tree; the
 * halves that wait for their partner are kept in `waiting`, as the digits of a binary counter.
 *
 * A panel of n rows, each k long, `width` slots a step: segment SEGMENT(p) holds for q = 0, 1, … the elements p + q W of
 * all rows, then zeros up to the common length. Packing needs (k + W - 1) / W * W * width floats. */

#include "cpu/kernels/kernels.h"
#include "cpu/kernels/vector.h"

#ifndef GEMM_FMA
#define GEMM_FMA v_fma
#endif

enum { GEMM_COLS = GEMM_VECTORS * W, GEMM_LEVELS = W == 16 ? 4 : W == 8 ? 3 : 2 };

static inline int64_t steps_of(int64_t k) { return (k + W - 1) / W; }

/* Up to W rows from x on: columns i … i + slots of the panel. */
VEC void pack_rows_turned(int n, int slots, int64_t k, const float *x, int64_t ld, float *y, int64_t width)
{
    int64_t steps = steps_of(k);
    for (int64_t q = 0; q < steps; q++) {
        int left = k - q * W < W ? (int)(k - q * W) : W;
        vf r[W];
        if (left == W && n == W)
            UNROLL for (int i = 0; i < W; i++) r[i] = v_load(x + i * ld + q * W);
        else
            UNROLL for (int i = 0; i < W; i++) r[i] = i < n ? v_load_n(x + i * ld + q * W, left) : v_set(0);
        v_turn(r);
        UNROLL for (int p = 0; p < W; p++)
        {
            float *to = y + (SEGMENT(p) * steps + q) * width;
            if (slots == W)
                v_store(to, r[p]);
            else
                v_store_n(to, r[p], slots);
        }
    }
}

/* y as above of x[i * along_n + l * along_k], i < n <= width, l < k; one of the strides is 1. */
KERNEL void pack_panel(int64_t n, int64_t k, const float *x, int64_t along_n, int64_t along_k, float *y,
                       int64_t width)
{
    int64_t steps = steps_of(k);
    for (int64_t i = 0; i < width; i += W) {
        int slots = width - i < W ? (int)(width - i) : W, some = n - i < 0 ? 0 : n - i < W ? (int)(n - i) : W;
        if (along_k == 1) {
            pack_rows_turned(some, slots, k, x + i * along_n, along_n, y + i, width);
            continue;
        }
        for (int64_t l = 0; l < steps * W; l++) {
            vf v = l < k ? some == W ? v_load(x + i + l * along_k) : v_load_n(x + i + l * along_k, some) : v_set(0);
            float *to = y + i + (SEGMENT(l % W) * steps + l / W) * width;
            if (slots == W)
                v_store(to, v);
            else
                v_store_n(to, v, slots);
        }
    }
}

/* clang-format off */
VEC void put_tile(const int rows, vf acc[GEMM_ROWS][GEMM_VECTORS], int64_t n, float *y, int64_t ldy, const float *bias,
                  const float *residual)
{
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < GEMM_VECTORS; j++) {
        int64_t at = i * ldy + j * W, left = n - j * W;
        if (left >= W) {
            vf v = acc[i][j];
            if (bias) v = v_add(v, v_load(bias + j * W));
            if (residual) v = v_add(v, v_load(residual + at));
            v_store(y + at, v);
        } else if (left > 0) {
            vf v = acc[i][j];
            if (bias) v = v_add(v, v_load_n(bias + j * W, (int)left));
            if (residual) v = v_add(v, v_load_n(residual + at, (int)left));
            v_store_n(y + at, v, (int)left);
        }
    }
}

/* One panel of x times one of w. */
VEC void gemm_tile(const int rows, int64_t steps, const float *x, const float *w, int64_t n, float *y, int64_t ldy,
                   const float *bias, const float *residual)
{
    vf waiting[GEMM_LEVELS][GEMM_ROWS][GEMM_VECTORS], acc[GEMM_ROWS][GEMM_VECTORS];
    for (int s = 0; s < W; s++) {
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < GEMM_VECTORS; j++) acc[i][j] = v_set(0);
        for (int64_t q = 0; q < steps; q++, x += rows, w += GEMM_COLS) {
            vf b[GEMM_VECTORS];
            UNROLL for (int j = 0; j < GEMM_VECTORS; j++) b[j] = v_load(w + j * W);
            UNROLL for (int i = 0; i < rows; i++) {
                vf a = v_set(x[i]);
                UNROLL for (int j = 0; j < GEMM_VECTORS; j++) acc[i][j] = GEMM_FMA(a, b[j], acc[i][j]);
            }
        }
        int level = 0;
        for (; s >> level & 1; level++)
            UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < GEMM_VECTORS; j++)
                acc[i][j] = v_add(waiting[level][i][j], acc[i][j]);
        if (s == W - 1) break;
        UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < GEMM_VECTORS; j++)
            waiting[level][i][j] = acc[i][j];
    }
    put_tile(rows, acc, n, y, ldy, bias, residual);
}
/* clang-format on */

#define GEMM_OF(rows)                                                                                              \
    KERNEL void gemm_##rows(int64_t steps, const float *x, const float *w, int64_t n, float *y, int64_t ldy,       \
                            const float *bias, const float *residual)                                              \
    {                                                                                                              \
        gemm_tile(rows, steps, x, w, n, y, ldy, bias, residual);                                                   \
    }
#define GEMM_CASE(rows)                                                                                            \
    case rows:                                                                                                     \
        gemm_##rows(steps_of(k), x, w, n, y, ldy, bias, residual);                                                 \
        break;
#if GEMM_ROWS > 6
#define GEMM_EACH(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#else
#define GEMM_EACH(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif
GEMM_EACH(GEMM_OF)

static void multiply_panels(int64_t rows, int64_t k, const float *x, const float *w, int64_t n, float *y,
                            int64_t ldy, const float *bias, const float *residual)
{
    switch (rows) {
        GEMM_EACH(GEMM_CASE)
    }
}

static void set_panels(sc_kernels *k)
{
    k->pack_panel = pack_panel;
    k->panel_rows = GEMM_ROWS;
    k->panel_cols = GEMM_COLS;
}
