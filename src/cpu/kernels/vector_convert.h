/* SPDX-License-Identifier: Apache-2.0 */
/* The conversions over the vocabulary of vector_math.h and a second one, of 16 bytes: the integers of every block
 * type come in sixteens that share a scale.
 *   vb, b_load, b_set    16 bytes
 *   b_and, b_or, b_sub
 *   b_right(v, n)        each byte shifted, 0 <= n < 8
 *   b_look(table, i)     table[i] for i < 16
 *   b_bits(bits)         byte j is 16 where bit j of a 16-bit number is set, else 0
 *   v_part_s8(q, part)   elements W part to W part + W - 1 of sixteen signed bytes, as f32
 *   v_half(p)            the f16 at p, in every element
 *   v_from_f16, v_from_bf16, v_to_f16, v_to_bf16: W elements at p;  v_to_s8(p, v): W whole numbers of [-128, 127]
 * Layouts and why every kernel gives the same bits: blocks.h. */

/* Two bits moved to where the upper ones of six stand. */
static const uint8_t high_pairs[16] = {0, 16, 32, 48};

VEC vb b_low(vb v) { return b_and(v, b_set(15)); }
VEC vb b_high(vb v) { return b_and(b_right(v, 4), b_set(15)); }

/* Where a block's values go: into y, or times x into a sum, in the order of matmul_nt: one accumulator, lanes along
 * the row. */
typedef struct sink {
    int product;
    float *y;
    const float *x;
    vf sum;
} sink;

VEC void emit(sink *o, int at, vf v)
{
    if (o->product)
        o->sum = v_fma(v_load(o->x + at), v, o->sum);
    else
        v_store(o->y + at, v);
}

/* Sixteen values d q, or d q + m, from place `at` of the block. */
/* clang-format off */
VEC void put(sink *o, int at, vb q, vf d)
{
    UNROLL for (int p = 0; p < 16 / W; p++) emit(o, at + p * W, v_mul(v_part_s8(q, p), d));
}

VEC void put_add(sink *o, int at, vb q, vf d, vf m)
{
    UNROLL for (int p = 0; p < 16 / W; p++) emit(o, at + p * W, v_fma(v_part_s8(q, p), d, m));
}
/* clang-format on */

VEC void block_q4_0(const uint8_t *b, sink *o)
{
    vf d = v_half(b);
    vb q = b_load(b + 2);
    put(o, 0, b_sub(b_low(q), b_set(8)), d);
    put(o, 16, b_sub(b_high(q), b_set(8)), d);
}

VEC void block_q4_1(const uint8_t *b, sink *o)
{
    vf d = v_half(b), m = v_half(b + 2);
    vb q = b_load(b + 4);
    put_add(o, 0, b_low(q), d, m);
    put_add(o, 16, b_high(q), d, m);
}

VEC void block_q5_0(const uint8_t *b, sink *o)
{
    vf d = v_half(b);
    vb q = b_load(b + 6);
    put(o, 0, b_sub(b_or(b_low(q), b_bits(sc_load_u16(b + 2))), b_set(16)), d);
    put(o, 16, b_sub(b_or(b_high(q), b_bits(sc_load_u16(b + 4))), b_set(16)), d);
}

VEC void block_q5_1(const uint8_t *b, sink *o)
{
    vf d = v_half(b), m = v_half(b + 2);
    vb q = b_load(b + 8);
    put_add(o, 0, b_or(b_low(q), b_bits(sc_load_u16(b + 4))), d, m);
    put_add(o, 16, b_or(b_high(q), b_bits(sc_load_u16(b + 6))), d, m);
}

VEC void block_q8_0(const uint8_t *b, sink *o)
{
    vf d = v_half(b);
    put(o, 0, b_load(b + 2), d);
    put(o, 16, b_load(b + 18), d);
}

/* Sixteen scales d s, s signed, to be read one at a time. */
/* clang-format off */
VEC void scales(float out[16], vb s, vf d)
{
    UNROLL for (int p = 0; p < 16 / W; p++) v_store(out + p * W, v_mul(v_part_s8(s, p), d));
}

VEC void block_q2_k(const uint8_t *b, sink *o)
{
    float s[16], m[16];
    scales(s, b_low(b_load(b)), v_half(b + 80));
    scales(m, b_high(b_load(b)), v_sub(v_set(0), v_half(b + 82)));
    UNROLL for (int g = 0; g < 16; g++) {
        vb q = b_and(b_right(b_load(b + 16 + g / 8 * 32 + g % 2 * 16), g % 8 / 2 * 2), b_set(3));
        put_add(o, 16 * g, q, v_set(s[g]), v_set(m[g]));
    }
}

VEC void block_q3_k(const uint8_t *b, sink *o)
{
    float s[16];
    uint8_t scale[16];
    sc_k3_scales(b + 96, scale);
    scales(s, b_sub(b_load(scale), b_set(32)), v_half(b + 108));
    UNROLL for (int g = 0; g < 16; g++) {
        vb q = b_and(b_right(b_load(b + 32 + g / 8 * 32 + g % 2 * 16), g % 8 / 2 * 2), b_set(3));
        vb h = b_and(b_right(b_load(b + g % 2 * 16), g / 2), b_set(1));
        q = b_sub(b_or(q, b_and(b_sub(b_set(0), h), b_set(4))), b_set(4));
        put(o, 16 * g, q, v_set(s[g]));
    }
}

/* Scales in the first eight of s, mins, to be added, in the last eight of m. */
VEC void k4_scales(float s[16], float m[16], const uint8_t *b)
{
    uint8_t scale[16];
    sc_k4_scales(b + 4, scale);
    scales(s, b_load(scale), v_half(b));
    scales(m, b_load(scale), v_sub(v_set(0), v_half(b + 2)));
}

VEC void block_q4_k(const uint8_t *b, sink *o)
{
    float s[16], m[16];
    k4_scales(s, m, b);
    UNROLL for (int g = 0; g < 8; g += 2) {
        vb q0 = b_load(b + 16 + 16 * g), q1 = b_load(b + 32 + 16 * g);
        put_add(o, 32 * g, b_low(q0), v_set(s[g]), v_set(m[8 + g]));
        put_add(o, 32 * g + 16, b_low(q1), v_set(s[g]), v_set(m[8 + g]));
        put_add(o, 32 * g + 32, b_high(q0), v_set(s[g + 1]), v_set(m[9 + g]));
        put_add(o, 32 * g + 48, b_high(q1), v_set(s[g + 1]), v_set(m[9 + g]));
    }
}

VEC void block_q5_k(const uint8_t *b, sink *o)
{
    float s[16], m[16];
    k4_scales(s, m, b);
    UNROLL for (int g = 0; g < 16; g++) {
        vb q = b_and(b_right(b_load(b + 48 + g / 4 * 32 + g % 2 * 16), g / 2 % 2 * 4), b_set(15));
        vb h = b_and(b_right(b_load(b + 16 + g % 2 * 16), g / 2), b_set(1));
        q = b_or(q, b_and(b_sub(b_set(0), h), b_set(16)));
        put_add(o, 16 * g, q, v_set(s[g / 2]), v_set(m[8 + g / 2]));
    }
}

VEC void block_q6_k(const uint8_t *b, sink *o)
{
    float s[16];
    scales(s, b_load(b + 192), v_half(b + 208));
    UNROLL for (int g = 0; g < 16; g++) {
        const int half = g / 8, r = g % 8; /* 16 (r % 4) into the 64 bytes of nibbles, r / 4: their upper part */
        vb q = b_and(b_right(b_load(b + 64 * half + r % 4 * 16), r / 4 * 4), b_set(15));
        vb h = b_and(b_right(b_load(b + 128 + 32 * half + r % 2 * 16), r / 2 * 2), b_set(3));
        h = b_look(b_load(high_pairs), h);
        put(o, 16 * g, b_sub(b_or(q, h), b_set(32)), v_set(s[g]));
    }
}
/* clang-format on */

VEC void block_iq4_nl(const uint8_t *b, sink *o)
{
    vf d = v_half(b);
    vb q = b_load(b + 2), values = b_load((const uint8_t *)sc_iq4_values);
    put(o, 0, b_look(values, b_low(q)), d);
    put(o, 16, b_look(values, b_high(q)), d);
}

VEC void block_iq4_xs(const uint8_t *b, sink *o)
{
    vf d = v_half(b);
    vb values = b_load((const uint8_t *)sc_iq4_values);
    for (int g = 0; g < 8; g++) {
        vf s = v_mul(d, v_set((float)sc_iq4_scale(b, g)));
        vb q = b_load(b + 8 + 16 * g);
        put(o, 32 * g, b_look(values, b_low(q)), s);
        put(o, 32 * g + 16, b_look(values, b_high(q)), s);
    }
}

VEC void block_mxfp4(const uint8_t *b, sink *o)
{
    vf d = v_set(sc_e8m0_half(b[0]));
    vb q = b_load(b + 1), values = b_load((const uint8_t *)sc_mxfp4_values);
    put(o, 0, b_look(values, b_low(q)), d);
    put(o, 16, b_look(values, b_high(q)), d);
}

VEC sink sum_with(const float *x) { return (sink){.product = 1, .x = x, .sum = v_set(0)}; }

/* Four rows at once hide the latency of their sums. */
#define DEFINE(ID, name, elements, bytes)                                                                          \
    KERNEL void dequantize_##name(const void *x, float *y, int64_t n)                                              \
    {                                                                                                              \
        sink o = {.y = y};                                                                                         \
        for (const uint8_t *b = x; n > 0; n -= elements, b += bytes, o.y += elements) block_##name(b, &o);         \
    }                                                                                                              \
    KERNEL void matvec_##name(int64_t nw, int64_t k, const float *x, const void *w, int64_t stride, float *y)      \
    {                                                                                                              \
        const uint8_t *row = w;                                                                                    \
        int64_t j = 0, size = k / elements * bytes;                                                                \
        for (; j + 4 <= nw; j += 4, row += 4 * stride) {                                                           \
            sink a = sum_with(x), b = a, c = a, d = a;                                                             \
            for (int64_t i = 0; i < size; i += bytes) {                                                            \
                block_##name(row + i, &a);                                                                         \
                block_##name(row + i + stride, &b);                                                                \
                block_##name(row + i + 2 * stride, &c);                                                            \
                block_##name(row + i + 3 * stride, &d);                                                            \
                a.x = b.x = c.x = d.x = a.x + elements;                                                            \
            }                                                                                                      \
            v_sum4(y + j, a.sum, b.sum, c.sum, d.sum);                                                             \
        }                                                                                                          \
        for (; j < nw; j++, row += stride) {                                                                       \
            sink a = sum_with(x);                                                                                  \
            for (int64_t i = 0; i < size; i += bytes, a.x += elements) block_##name(row + i, &a);                  \
            y[j] = v_sum(a.sum);                                                                                   \
        }                                                                                                          \
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

#define ROWS16(name)                                                                                               \
    VEC vf from_n_##name(const uint8_t *p, int n)                                                                  \
    {                                                                                                              \
        uint16_t tail[W] = {0};                                                                                    \
        memcpy(tail, p, (size_t)n * 2);                                                                            \
        return v_from_##name(tail);                                                                                \
    }                                                                                                              \
    KERNEL void matvec_##name(int64_t nw, int64_t k, const float *x, const void *w, int64_t stride, float *y)      \
    {                                                                                                              \
        const uint8_t *row = w;                                                                                    \
        int64_t j = 0, whole = k / W * W;                                                                          \
        int rest = (int)(k - whole);                                                                               \
        for (; j + 4 <= nw; j += 4, row += 4 * stride) {                                                           \
            const uint8_t *r[4] = {row, row + stride, row + 2 * stride, row + 3 * stride};                         \
            vf a[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};                                                    \
            for (int64_t i = 0; i < whole; i += W) {                                                               \
                vf v = v_load(x + i);                                                                              \
                UNROLL for (int l = 0; l < 4; l++)                                                                 \
                {                                                                                                  \
                    __builtin_prefetch(r[l] + 8 * stride + 2 * i, 0,                                               \
                                       2); /* rows are pages: no prefetcher follows */                             \
                    a[l] = v_fma(v, v_from_##name(r[l] + 2 * i), a[l]);                                            \
                }                                                                                                  \
            }                                                                                                      \
            if (rest) {                                                                                            \
                vf v = v_load_n(x + whole, rest);                                                                  \
                UNROLL for (int l = 0; l < 4; l++) a[l] = v_fma(v, from_n_##name(r[l] + 2 * whole, rest), a[l]);   \
            }                                                                                                      \
            v_sum4(y + j, a[0], a[1], a[2], a[3]);                                                                 \
        }                                                                                                          \
        for (; j < nw; j++, row += stride) {                                                                       \
            vf a = v_set(0);                                                                                       \
            for (int64_t i = 0; i < whole; i += W) a = v_fma(v_load(x + i), v_from_##name(row + 2 * i), a);        \
            if (rest) a = v_fma(v_load_n(x + whole, rest), from_n_##name(row + 2 * whole, rest), a);               \
            y[j] = v_sum(a);                                                                                       \
        }                                                                                                          \
    }
ROWS16(f16)
ROWS16(bf16)

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
#define SET(ID, name, elements, bytes)                                                                             \
    k->dequantize[SC_##ID] = dequantize_##name;                                                                    \
    k->matvec[SC_##ID] = matvec_##name;
    SC_PLAIN_BLOCKS(SET)
    SC_SEARCHED_BLOCKS(SET)
    SET(F16, f16, 1, 2)
    SET(BF16, bf16, 1, 2)
    k->quantize[SC_F16] = quantize_f16;
    k->quantize[SC_BF16] = quantize_bf16;
    k->quantize[SC_Q8_0] = quantize_q8_0;
}
