/* SPDX-License-Identifier: Apache-2.0 */
/* The conversions over the vocabulary of vector_math.h and a second one, of 16 bytes: the integers of every block
 * type come in sixteens that share a scale.
 *   vb, b_load, b_set    16 bytes
 *   b_and, b_or, b_sub
 *   b_right(v, n)        each byte shifted, 0 <= n < 8
 *   b_look(table, i)     table[i] for i < 16
 *   b_bits(bits)         byte j is 16 where bit j of a 16-bit number is set, else 0
 *   v_put(y, q, d)       sixteen y = d q, q signed;  v_put_add(y, q, d, m): d q + m
 *   v_half(p)            the f16 at p, in every element
 *   v_from_f16, v_from_bf16, v_to_f16, v_to_bf16: W elements at p;  v_to_s8(p, v): W whole numbers of [-128, 127]
 * Layouts and why every kernel gives the same bits: blocks.h. */

/* Two bits moved to where the upper ones of six stand. */
static const uint8_t high_pairs[16] = {0, 16, 32, 48};

VEC vb b_low(vb v) { return b_and(v, b_set(15)); }
VEC vb b_high(vb v) { return b_and(b_right(v, 4), b_set(15)); }

#define DEFINE(ID, name, elements, bytes)                                                                          \
    KERNEL void dequantize_##name(const void *x, float *y, int64_t n)                                              \
    {                                                                                                              \
        for (const uint8_t *b = x; n > 0; n -= elements, b += bytes, y += elements) block_##name(b, y);            \
    }

VEC void block_q4_0(const uint8_t *b, float *y)
{
    vf d = v_half(b);
    vb q = b_load(b + 2);
    v_put(y, b_sub(b_low(q), b_set(8)), d);
    v_put(y + 16, b_sub(b_high(q), b_set(8)), d);
}

VEC void block_q4_1(const uint8_t *b, float *y)
{
    vf d = v_half(b), m = v_half(b + 2);
    vb q = b_load(b + 4);
    v_put_add(y, b_low(q), d, m);
    v_put_add(y + 16, b_high(q), d, m);
}

VEC void block_q5_0(const uint8_t *b, float *y)
{
    vf d = v_half(b);
    vb q = b_load(b + 6);
    v_put(y, b_sub(b_or(b_low(q), b_bits(sc_load_u16(b + 2))), b_set(16)), d);
    v_put(y + 16, b_sub(b_or(b_high(q), b_bits(sc_load_u16(b + 4))), b_set(16)), d);
}

VEC void block_q5_1(const uint8_t *b, float *y)
{
    vf d = v_half(b), m = v_half(b + 2);
    vb q = b_load(b + 8);
    v_put_add(y, b_or(b_low(q), b_bits(sc_load_u16(b + 4))), d, m);
    v_put_add(y + 16, b_or(b_high(q), b_bits(sc_load_u16(b + 6))), d, m);
}

VEC void block_q8_0(const uint8_t *b, float *y)
{
    vf d = v_half(b);
    v_put(y, b_load(b + 2), d);
    v_put(y + 16, b_load(b + 18), d);
}

VEC void block_q2_k(const uint8_t *b, float *y)
{
    vf d = v_half(b + 80), dmin = v_sub(v_set(0), v_half(b + 82));
    for (int g = 0; g < 16; g++) {
        vb q = b_and(b_right(b_load(b + 16 + g / 8 * 32 + g % 2 * 16), g % 8 / 2 * 2), b_set(3));
        v_put_add(y + 16 * g, q, v_mul(d, v_set((float)(b[g] & 15))), v_mul(dmin, v_set((float)(b[g] >> 4))));
    }
}

VEC void block_q3_k(const uint8_t *b, float *y)
{
    vf d = v_half(b + 108);
    uint8_t scale[16];
    sc_k3_scales(b + 96, scale);
    for (int g = 0; g < 16; g++) {
        vb q = b_and(b_right(b_load(b + 32 + g / 8 * 32 + g % 2 * 16), g % 8 / 2 * 2), b_set(3));
        vb h = b_and(b_right(b_load(b + g % 2 * 16), g / 2), b_set(1));
        q = b_sub(b_or(q, b_and(b_sub(b_set(0), h), b_set(4))), b_set(4));
        v_put(y + 16 * g, q, v_mul(d, v_set((float)(scale[g] - 32))));
    }
}

VEC void block_q4_k(const uint8_t *b, float *y)
{
    vf d = v_half(b), dmin = v_sub(v_set(0), v_half(b + 2));
    uint8_t scale[8], min[8];
    sc_k4_scales(b + 4, scale, min);
    for (int g = 0; g < 8; g += 2) {
        vb q0 = b_load(b + 16 + 16 * g), q1 = b_load(b + 32 + 16 * g);
        vf s = v_mul(d, v_set(scale[g])), m = v_mul(dmin, v_set(min[g]));
        v_put_add(y + 32 * g, b_low(q0), s, m);
        v_put_add(y + 32 * g + 16, b_low(q1), s, m);
        s = v_mul(d, v_set(scale[g + 1]));
        m = v_mul(dmin, v_set(min[g + 1]));
        v_put_add(y + 32 * g + 32, b_high(q0), s, m);
        v_put_add(y + 32 * g + 48, b_high(q1), s, m);
    }
}

VEC void block_q5_k(const uint8_t *b, float *y)
{
    vf d = v_half(b), dmin = v_sub(v_set(0), v_half(b + 2));
    uint8_t scale[8], min[8];
    sc_k4_scales(b + 4, scale, min);
    for (int g = 0; g < 8; g++) {
        vf s = v_mul(d, v_set(scale[g])), m = v_mul(dmin, v_set(min[g]));
        for (int i = 0; i < 32; i += 16) {
            vb q = b_and(b_right(b_load(b + 48 + g / 2 * 32 + i), g % 2 * 4), b_set(15));
            vb h = b_and(b_right(b_load(b + 16 + i), g), b_set(1));
            v_put_add(y + 32 * g + i, b_or(q, b_and(b_sub(b_set(0), h), b_set(16))), s, m);
        }
    }
}

VEC void block_q6_k(const uint8_t *b, float *y)
{
    vf d = v_half(b + 208);
    for (int g = 0; g < 16; g++) {
        int half = g / 8, r = g % 8; /* 16 (r % 4) into the 64 bytes of nibbles, r / 4 their low or high part */
        vb q = b_and(b_right(b_load(b + 64 * half + r % 4 * 16), r / 4 * 4), b_set(15));
        vb h = b_and(b_right(b_load(b + 128 + 32 * half + r % 2 * 16), r / 2 * 2), b_set(3));
        h = b_look(b_load(high_pairs), h);
        v_put(y + 16 * g, b_sub(b_or(q, h), b_set(32)), v_mul(d, v_set((int8_t)b[192 + g])));
    }
}

VEC void block_iq4_nl(const uint8_t *b, float *y)
{
    vf d = v_half(b);
    vb q = b_load(b + 2), values = b_load((const uint8_t *)sc_iq4_values);
    v_put(y, b_look(values, b_low(q)), d);
    v_put(y + 16, b_look(values, b_high(q)), d);
}

VEC void block_iq4_xs(const uint8_t *b, float *y)
{
    vf d = v_half(b);
    vb values = b_load((const uint8_t *)sc_iq4_values);
    for (int g = 0; g < 8; g++) {
        vf s = v_mul(d, v_set((float)sc_iq4_scale(b, g)));
        vb q = b_load(b + 8 + 16 * g);
        v_put(y + 32 * g, b_look(values, b_low(q)), s);
        v_put(y + 32 * g + 16, b_look(values, b_high(q)), s);
    }
}

VEC void block_mxfp4(const uint8_t *b, float *y)
{
    vf d = v_set(sc_e8m0_half(b[0]));
    vb q = b_load(b + 1), values = b_load((const uint8_t *)sc_mxfp4_values);
    v_put(y, b_look(values, b_low(q)), d);
    v_put(y + 16, b_look(values, b_high(q)), d);
}

SC_PLAIN_BLOCKS(DEFINE)
SC_SEARCHED_BLOCKS(DEFINE)

/* ---- 16-bit floats; the tail goes through a whole vector of its own ---- */

#define FLOAT16(name)                                                                                              \
    KERNEL void dequantize_##name(const void *x, float *y, int64_t n)                                              \
    {                                                                                                              \
        const uint8_t *p = x;                                                                                      \
        int64_t i = 0;                                                                                             \
        for (; i + W <= n; i += W) v_store(y + i, v_from_##name(p + 2 * i));                                       \
        if (i < n) {                                                                                               \
            uint16_t tail[W] = {0};                                                                                \
            memcpy(tail, p + 2 * i, (size_t)(n - i) * 2);                                                          \
            v_store_n(y + i, v_from_##name(tail), (int)(n - i));                                                   \
        }                                                                                                          \
    }                                                                                                              \
    KERNEL void quantize_##name(const float *x, void *y, int64_t n)                                                \
    {                                                                                                              \
        uint8_t *p = y;                                                                                            \
        int64_t i = 0;                                                                                             \
        for (; i + W <= n; i += W) v_to_##name(p + 2 * i, v_load(x + i));                                          \
        if (i < n) {                                                                                               \
            uint16_t tail[W];                                                                                      \
            v_to_##name(tail, v_load_n(x + i, (int)(n - i)));                                                      \
            memcpy(p + 2 * i, tail, (size_t)(n - i) * 2);                                                          \
        }                                                                                                          \
    }
FLOAT16(f16)
FLOAT16(bf16)

/* The nearest whole number, halves away from zero as q8_0 asks, exactly: v + 0.5 would round. NaN gives 0. */
VEC vf v_round_away(vf v)
{
    vf a = v_abs(v), whole = v_floor(a);
    whole = v_if_less(v_sub(a, whole), v_set(0.5f), whole, v_add(whole, v_set(1)));
    whole = v_if_less(v, v_set(0), v_sub(v_set(0), whole), whole);
    return v_if_less(a, v_set(INFINITY), whole, v_set(0));
}

KERNEL void quantize_q8_0(const float *x, void *y, int64_t n)
{
    for (uint8_t *b = y; n > 0; n -= 32, b += 34, x += 32) {
        vf top = v_set(0);
        for (int i = 0; i < 32; i += W) top = v_max(v_abs(v_load(x + i)), top);
        float d = v_top(top) / 127, id = d != 0 && isfinite(1 / d) ? 1 / d : 0;
        sc_store_u16(b, sc_float_half(d));
        for (int i = 0; i < 32; i += W) v_to_s8(b + 2 + i, v_round_away(v_mul(v_load(x + i), v_set(id))));
    }
}

static void set_convert(sc_kernels *k)
{
#define SET(ID, name, elements, bytes) k->dequantize[SC_##ID] = dequantize_##name;
    SC_PLAIN_BLOCKS(SET)
    SC_SEARCHED_BLOCKS(SET)
    k->dequantize[SC_F16] = dequantize_f16;
    k->dequantize[SC_BF16] = dequantize_bf16;
    k->quantize[SC_F16] = quantize_f16;
    k->quantize[SC_BF16] = quantize_bf16;
    k->quantize[SC_Q8_0] = quantize_q8_0;
}
