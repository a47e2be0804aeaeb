/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of the conversions to f32, one readable loop a type (layouts in blocks.h), and of the products with
 * rows stored so. */
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/kernels.h"

/* A kernel that calls block_NAME(b, y) for each block. */
#define DEFINE(ID, name, elements, bytes)                                                                          \
    static void dequantize_##name(const void *x, float *y, int64_t n)                                              \
    {                                                                                                              \
        for (const uint8_t *b = x; n > 0; n -= elements, b += bytes, y += elements) block_##name(b, y);            \
    }

static float half_at(const uint8_t *p) { return sc_half_float(sc_load_u16(p)); }

static void block_f16(const uint8_t *b, float *y) { y[0] = half_at(b); }
static void block_bf16(const uint8_t *b, float *y) { y[0] = sc_bf16_float(sc_load_u16(b)); }

static void block_q4_0(const uint8_t *b, float *y)
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++) y[i] = d * (float)((b[2 + (i & 15)] >> 4 * (i >> 4) & 15) - 8);
}

static void block_q4_1(const uint8_t *b, float *y)
{
    float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 32; i++) y[i] = d * (float)(b[4 + (i & 15)] >> 4 * (i >> 4) & 15) + m;
}

static int fifth_bit(const uint8_t h[4], int i) { return (h[i >> 3] >> (i & 7) & 1) << 4; }

static void block_q5_0(const uint8_t *b, float *y)
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++)
        y[i] = d * (float)(((b[6 + (i & 15)] >> 4 * (i >> 4) & 15) | fifth_bit(b + 2, i)) - 16);
}

static void block_q5_1(const uint8_t *b, float *y)
{
    float d = half_at(b), m = half_at(b + 2);
    for (int i = 0; i < 32; i++)
        y[i] = d * (float)((b[8 + (i & 15)] >> 4 * (i >> 4) & 15) | fifth_bit(b + 4, i)) + m;
}

static void block_q8_0(const uint8_t *b, float *y)
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++) y[i] = d * (float)(int8_t)b[2 + i];
}

static void block_q2_k(const uint8_t *b, float *y)
{
    float d = half_at(b + 80), dmin = half_at(b + 82);
    for (int i = 0; i < 256; i++) {
        int q = b[16 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
        uint8_t s = b[i / 16];
        y[i] = d * (float)(s & 15) * (float)q - dmin * (float)(s >> 4);
    }
}

static void block_q3_k(const uint8_t *b, float *y)
{
    float d = half_at(b + 108);
    uint8_t scale[16];
    sc_k3_scales(b + 96, scale);
    for (int i = 0; i < 256; i++) {
        int q = b[32 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
        int h = b[i % 32] >> i / 32 & 1;
        y[i] = d * (float)(scale[i / 16] - 32) * (float)((q | h << 2) - 4);
    }
}

static void block_q4_k(const uint8_t *b, float *y)
{
    float d = half_at(b), dmin = half_at(b + 2);
    uint8_t scale[16], *min = scale + 8;
    sc_k4_scales(b + 4, scale);
    for (int i = 0; i < 256; i++) {
        int q = b[16 + i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15;
        y[i] = d * (float)scale[i / 32] * (float)q - dmin * (float)min[i / 32];
    }
}

static void block_q5_k(const uint8_t *b, float *y)
{
    float d = half_at(b), dmin = half_at(b + 2);
    uint8_t scale[16], *min = scale + 8;
    sc_k4_scales(b + 4, scale);
    for (int i = 0; i < 256; i++) {
        int q = b[48 + i / 64 * 32 + i % 32] >> i % 64 / 32 * 4 & 15;
        int h = b[16 + i % 32] >> i / 32 & 1;
        y[i] = d * (float)scale[i / 32] * (float)(q | h << 4) - dmin * (float)min[i / 32];
    }
}

static void block_q6_k(const uint8_t *b, float *y)
{
    float d = half_at(b + 208);
    for (int i = 0; i < 256; i++) {
        int q = b[i / 128 * 64 + i % 64] >> i % 128 / 64 * 4 & 15;
        int h = b[128 + i / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
        y[i] = d * (float)(int8_t)b[192 + i / 16] * (float)((q | h << 4) - 32);
    }
}

static void block_iq4_nl(const uint8_t *b, float *y)
{
    float d = half_at(b);
    for (int i = 0; i < 32; i++) y[i] = d * (float)sc_iq4_values[b[2 + (i & 15)] >> 4 * (i >> 4) & 15];
}

static void block_iq4_xs(const uint8_t *b, float *y)
{
    float d = half_at(b);
    for (int g = 0; g < 8; g++) {
        float s = d * (float)sc_iq4_scale(b, g);
        for (int i = 0; i < 32; i++)
            y[32 * g + i] = s * (float)sc_iq4_values[b[8 + 16 * g + (i & 15)] >> 4 * (i >> 4) & 15];
    }
}

static void block_mxfp4(const uint8_t *b, float *y)
{
    float d = sc_e8m0_half(b[0]);
    for (int i = 0; i < 32; i++) y[i] = d * (float)sc_mxfp4_values[b[1 + (i & 15)] >> 4 * (i >> 4) & 15];
}

/* f64 throughout as in matmul_nt, block by block. */
#define DEFINE_MATVEC(ID, name, elements, bytes)                                                                   \
    static void matvec_##name(int64_t nw, int64_t k, const float *x, const void *w, int64_t stride, float *y)      \
    {                                                                                                              \
        for (int64_t j = 0; j < nw; j++) {                                                                         \
            const uint8_t *b = (const uint8_t *)w + j * stride;                                                    \
            float v[elements];                                                                                     \
            double sum = 0;                                                                                        \
            for (int64_t l = 0; l < k; l += elements, b += bytes) {                                                \
                block_##name(b, v);                                                                                \
                for (int i = 0; i < elements; i++) sum += (double)x[l + i] * v[i];                                 \
            }                                                                                                      \
            y[j] = (float)sum;                                                                                     \
        }                                                                                                          \
    }

DEFINE(F16, f16, 1, 2)
DEFINE(BF16, bf16, 1, 2)
SC_PLAIN_BLOCKS(DEFINE)
SC_SEARCHED_BLOCKS(DEFINE)
DEFINE_MATVEC(F16, f16, 1, 2)
DEFINE_MATVEC(BF16, bf16, 1, 2)
SC_PLAIN_BLOCKS(DEFINE_MATVEC)
SC_SEARCHED_BLOCKS(DEFINE_MATVEC)

void sc_kernels_ref_dequantize(sc_kernels *k)
{
#define SET(ID, name, elements, bytes)                                                                             \
    k->dequantize[SC_##ID] = dequantize_##name;                                                                    \
    k->matvec[SC_##ID] = matvec_##name;
    SET(F16, f16, 1, 2)
    SET(BF16, bf16, 1, 2)
    SC_PLAIN_BLOCKS(SET)
    SC_SEARCHED_BLOCKS(SET)
}
