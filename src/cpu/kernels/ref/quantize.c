/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of the conversions from f32 to the types without a search: the two 16-bit floats and the
 * 32-element blocks, whose scale follows from the extremes. They give the same bytes as GGUF's own tools.
 *
 * Every step is rounded to f32 as those tools do: a product is taken in f64 (exact there) and rounded by the
 * conversion, so that no compiler can fuse it with the following addition.
 * Values that are not finite give some valid block. */
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/pack.h"

#include <math.h>

#define DEFINE(ID, name, elements, bytes)                                                                          \
    static void quantize_##name(const float *x, void *y, int64_t n)                                                \
    {                                                                                                              \
        for (uint8_t *b = y; n > 0; n -= elements, b += bytes, x += elements) block_##name(x, b);                  \
    }

static float mul_f32(float a, float b) { return (float)((double)a * b); }
static float inverse(float d) { return d != 0 && isfinite(1 / d) ? 1 / d : 0; }

/* v cut to an integer of [0, hi]. */
static uint8_t cut(float v, int hi) { return (uint8_t)(v >= (float)hi ? hi : v > 0 ? (int)v : 0); }

/* The value of largest magnitude, with its sign; the first of equals. */
static float extreme(const float *x, int n)
{
    float e = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(e)) e = x[i];
    return e;
}

static void range(const float *x, int n, float *lo, float *hi)
{
    *lo = *hi = x[0] == x[0] ? x[0] : 0;
    for (int i = 1; i < n; i++) {
        *lo = x[i] < *lo ? x[i] : *lo;
        *hi = x[i] > *hi ? x[i] : *hi;
    }
}

static void block_f16(const float *x, uint8_t *b) { sc_store_u16(b, sc_float_half(x[0])); }
static void block_bf16(const float *x, uint8_t *b) { sc_store_u16(b, sc_float_bf16(x[0])); }

/* Integers around the middle `mid`: the extreme becomes 0. */
static void symmetric(const float *x, int mid, uint8_t *d, uint8_t q[32])
{
    float scale = extreme(x, 32) / (float)-mid, id = inverse(scale);
    sc_put_half(d, scale);
    for (int i = 0; i < 32; i++) q[i] = cut(mul_f32(x[i], id) + ((float)mid + 0.5f), 2 * mid - 1);
}

/* Integers from the smallest value to the largest. */
static void affine(const float *x, int top, uint8_t *d, uint8_t *m, uint8_t q[32])
{
    float lo, hi;
    range(x, 32, &lo, &hi);
    float scale = (hi - lo) / (float)top, id = inverse(scale);
    sc_put_half(d, scale);
    sc_put_half(m, lo);
    for (int i = 0; i < 32; i++) q[i] = cut(mul_f32(x[i] - lo, id) + 0.5f, top);
}

static void block_q4_0(const float *x, uint8_t *b)
{
    uint8_t q[32];
    symmetric(x, 8, b, q);
    sc_pack_nibbles(q, b + 2);
}

static void block_q4_1(const float *x, uint8_t *b)
{
    uint8_t q[32];
    affine(x, 15, b, b + 2, q);
    sc_pack_nibbles(q, b + 4);
}

static void block_q5_0(const float *x, uint8_t *b)
{
    uint8_t q[32];
    symmetric(x, 16, b, q);
    sc_pack_fifth_bits(q, b + 2);
    sc_pack_nibbles(q, b + 6);
}

static void block_q5_1(const float *x, uint8_t *b)
{
    uint8_t q[32];
    affine(x, 31, b, b + 2, q);
    sc_pack_fifth_bits(q, b + 4);
    sc_pack_nibbles(q, b + 8);
}

static void block_q8_0(const float *x, uint8_t *b)
{
    float d = fabsf(extreme(x, 32)) / 127, id = inverse(d);
    sc_put_half(b, d);
    for (int i = 0; i < 32; i++) {
        float v = roundf(x[i] * id); /* at most 127 in magnitude, or NaN beside an infinity */
        b[2 + i] = (uint8_t)(int8_t)(v == v ? (int)v : 0);
    }
}

/* Each value takes the nearest of the sixteen, the first of equals. */
static void block_mxfp4(const float *x, uint8_t *b)
{
    b[0] = sc_mxfp4_exponent(fabsf(extreme(x, 32)));
    float d = sc_e8m0_half(b[0]);
    uint8_t q[32] = {0};
    for (int i = 0; i < 32; i++)
        for (int j = 1; j < 16; j++)
            if (fabsf(d * (float)sc_mxfp4_values[j] - x[i]) < fabsf(d * (float)sc_mxfp4_values[q[i]] - x[i]))
                q[i] = (uint8_t)j;
    sc_pack_nibbles(q, b + 1);
}

DEFINE(F16, f16, 1, 2)
DEFINE(BF16, bf16, 1, 2)
SC_PLAIN_BLOCKS(DEFINE)

void sc_kernels_ref_quantize(sc_kernels *k)
{
#define SET(ID, name, elements, bytes) k->quantize[SC_##ID] = quantize_##name;
    SET(F16, f16, 1, 2)
    SET(BF16, bf16, 1, 2)
    SC_PLAIN_BLOCKS(SET)
}
