/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of packed activations and of their products with stored rows: exact integers where the numbers are
 * integers, f64 elsewhere. */
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/kernels.h"

#include <math.h>

static void pack_block(const float *x, sc_packed *y)
{
    uint32_t top = 0; /* the order of magnitudes is that of their bits, NaN last */
    for (int i = 0; i < 32; i++) {
        uint32_t bits = sc_float_bits(x[i]) & 0x7fffffffu;
        top = bits > top ? bits : top;
    }
    float largest = sc_bits_float(top);
    bool some = largest >= SC_PACKED_LEAST && top < 0x7f800000u;
    float inverse = some ? 127 / largest : 0;
    int sum[2] = {0, 0};
    for (int i = 0; i < 32; i++) {
        y->q[i] = some ? (int8_t)nearbyintf(x[i] * inverse) : 0;
        sum[i / 16] += y->q[i];
    }
    y->scale = top >= 0x7f800000u ? NAN : some ? largest / 127 : 0;
    y->scaled_sum = y->scale * (float)(sum[0] + sum[1]);
    y->minus_sum = -(sum[0] + sum[1]);
    y->minus_half = -sum[0];
}

static void pack_row(int64_t k, const float *x, sc_packed *y)
{
    for (; k > 0; k -= 32) pack_block((x += 32) - 32, y++);
}

/* f64 sums over the values that the rows stand for. */
static void multiply(sc_dtype type, int elements, int bytes, int64_t nx, int64_t nw, int64_t k, const sc_packed *x,
                     int64_t ldx, const void *w, int64_t stride, float *y, int64_t ldy)
{
    sc_kernels convert;
    sc_kernels_ref_dequantize(&convert);
    for (int64_t i = 0; i < nx; i++)
        for (int64_t j = 0; j < nw; j++) {
            const uint8_t *b = (const uint8_t *)w + j * stride;
            const sc_packed *p = x + i * ldx;
            double sum = 0;
            for (int64_t l = 0; l < k; l += elements, b += bytes) {
                float v[256];
                convert.dequantize[type](b, v, elements);
                for (int m = 0; m < elements; m += 32, p++) {
                    double part = 0;
                    for (int n = 0; n < 32; n++) part += (double)p->q[n] * v[m + n];
                    sum += p->scale * part;
                }
            }
            y[i * ldy + j] = (float)sum;
        }
}

#define DEFINE(ID, name, elements, bytes)                                                                          \
    static void matmul_packed_##name(int64_t nx, int64_t nw, int64_t k, const sc_packed *x, int64_t ldx,           \
                                     const void *w, int64_t stride, float *y, int64_t ldy)                         \
    {                                                                                                              \
        multiply(SC_##ID, elements, bytes, nx, nw, k, x, ldx, w, stride, y, ldy);                                  \
    }
SC_PLAIN_BLOCKS(DEFINE)
SC_SEARCHED_BLOCKS(DEFINE)

void sc_kernels_ref_packed(sc_kernels *k)
{
    k->pack_row = pack_row;
#define SET(ID, name, elements, bytes) k->matmul_packed[SC_##ID] = matmul_packed_##name;
    SC_PLAIN_BLOCKS(SET)
    SC_SEARCHED_BLOCKS(SET)
}
