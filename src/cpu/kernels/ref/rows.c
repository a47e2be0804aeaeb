/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of products with rows of a stored type: every element brought to f32 by itself, then as in math.c. */
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/kernels.h"

static float at_f16(const uint8_t *row, int64_t i) { return sc_half_float(sc_load_u16(row + 2 * i)); }
static float at_bf16(const uint8_t *row, int64_t i) { return sc_bf16_float(sc_load_u16(row + 2 * i)); }
static float at_q8_0(const uint8_t *row, int64_t i)
{
    const uint8_t *b = row + i / 32 * 34;
    return sc_half_float(sc_load_u16(b)) * (float)(int8_t)b[2 + i % 32];
}

#define ROWS(name)                                                                                                 \
    static void dot_rows_##name(int64_t nx, int64_t nw, int64_t k, const float *x, int64_t ldx, const void *w,     \
                                int64_t stride, float *y, int64_t ldy)                                             \
    {                                                                                                              \
        for (int64_t i = 0; i < nx; i++)                                                                           \
            for (int64_t j = 0; j < nw; j++) {                                                                     \
                double sum = 0;                                                                                    \
                for (int64_t l = 0; l < k; l++)                                                                    \
                    sum += (double)x[i * ldx + l] * at_##name((const uint8_t *)w + j * stride, l);                 \
                y[i * ldy + j] = (float)sum;                                                                       \
            }                                                                                                      \
    }                                                                                                              \
    static void add_rows_##name(int64_t nx, int64_t n, int64_t k, const float *p, int64_t ldp, const void *v,      \
                                int64_t stride, float *y, int64_t ldy)                                             \
    {                                                                                                              \
        for (int64_t i = 0; i < nx; i++)                                                                           \
            for (int64_t d = 0; d < n; d++) {                                                                      \
                double sum = y[i * ldy + d];                                                                       \
                for (int64_t j = 0; j < k; j++)                                                                    \
                    sum += (double)p[i * ldp + j] * at_##name((const uint8_t *)v + j * stride, d);                 \
                y[i * ldy + d] = (float)sum;                                                                       \
            }                                                                                                      \
    }
ROWS(f16)
ROWS(bf16)
ROWS(q8_0)

void sc_kernels_ref_rows(sc_kernels *k)
{
    k->dot_rows[SC_F16] = dot_rows_f16;
    k->dot_rows[SC_BF16] = dot_rows_bf16;
    k->dot_rows[SC_Q8_0] = dot_rows_q8_0;
    k->add_rows[SC_F16] = add_rows_f16;
    k->add_rows[SC_BF16] = add_rows_bf16;
    k->add_rows[SC_Q8_0] = add_rows_q8_0;
}
