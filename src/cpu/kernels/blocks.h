/* SPDX-License-Identifier: Apache-2.0 */
/* 16-bit floats and the layouts of the block types, for the kernels of every ISA.
 *
 * A block is bytes without alignment, numbers little-endian. d, dmin, m are f16 scales; q the stored integers.
 *   type    bytes                                                    value
 *   q4_0    d, q[16] nibbles                                         d (q - 8)
 *   q4_1    d, m, q[16]                                              d q + m
 *   q5_0    d, h[4] fifth bits, q[16]                                d (q - 16)
 *   q5_1    d, m, h[4], q[16]                                        d q + m
 *   q8_0    d, q[32] signed                                          d q
 *   q2_k    s[16] nibbles scale and min, q[64], d, dmin              d s q - dmin m
 *   q3_k    h[32] third bits, q[64], s[12] six-bit scales, d         d (s - 32) (q - 4)
 *   q4_k    d, dmin, s[12] six-bit scales and mins, q[128]           d s q - dmin m
 *   q5_k    d, dmin, s[12], h[32] fifth bits, q[128]                 d s q - dmin m
 *   q6_k    ql[128] low nibbles, qh[64] high bits, s[16] signed, d   d s (q - 32)
 *   iq4_nl  d, q[16]                                                 d v[q], v = sc_iq4_values
 *   iq4_xs  d, sh[2], sl[4] six-bit scales, q[128]                   d (s - 32) v[q]
 *   mxfp4   e, q[16]                                                 2^(e - 128) v[q], v = sc_mxfp4_values
 * In the 32-element types and iq4 the low nibbles are the first 16 values and the high ones the next 16; in q4_k
 * and q5_k 32 and 32; in q6_k 64 and 64; q2_k and q3_k give each pair of bits of 32 bytes in turn.
 *
 * Every product above is exact in f32 (at most 11 + 7 + 5 significant bits), so a value is one rounding at most,
 * and fused or separate multiplication and addition agree: all kernels give the same bits. */
#ifndef SC_BLOCKS_H
#define SC_BLOCKS_H

#include <stdint.h>
#include <string.h>

/* The block types, X(enum suffix, name, elements, bytes): those whose scales follow from the extreme values, and
 * those whose scales are searched for. */
/* clang-format off */
#define SC_PLAIN_BLOCKS(X)    \
    X(Q4_0, q4_0, 32, 18)     \
    X(Q4_1, q4_1, 32, 20)     \
    X(Q5_0, q5_0, 32, 22)     \
    X(Q5_1, q5_1, 32, 24)     \
    X(Q8_0, q8_0, 32, 34)     \
    X(MXFP4, mxfp4, 32, 17)
#define SC_SEARCHED_BLOCKS(X) \
    X(Q2_K, q2_k, 256, 84)    \
    X(Q3_K, q3_k, 256, 110)   \
    X(Q4_K, q4_k, 256, 144)   \
    X(Q5_K, q5_k, 256, 176)   \
    X(Q6_K, q6_k, 256, 210)   \
    X(IQ4_NL, iq4_nl, 32, 18) \
    X(IQ4_XS, iq4_xs, 256, 136)
/* clang-format on */

/* The least largest magnitude of 32 activations that pack as anything but zeros: under it 127 over it might overflow. */
#define SC_PACKED_LEAST 0x1p-100f

static const int8_t sc_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
/* Twice the values of the four-bit float e2m1: halves become integers, and the scale is halved instead. */
static const int8_t sc_mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

static inline float sc_bits_float(uint32_t u)
{
    float f;
    memcpy(&f, &u, sizeof f);
    return f;
}

static inline uint32_t sc_float_bits(float f)
{
    uint32_t u;
    memcpy(&u, &f, sizeof u);
    return u;
}

static inline uint16_t sc_load_u16(const void *p)
{
    uint16_t u;
    memcpy(&u, p, sizeof u);
    return u;
}

static inline void sc_store_u16(void *p, uint16_t u) { memcpy(p, &u, sizeof u); }

/* f16 to f32, exact; a NaN becomes quiet and keeps its payload, as the processors' conversion instructions do. */
static inline float sc_half_float(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, mag = h & 0x7fffu;
    if (mag >= 0x7c00u)
        return sc_bits_float(sign | 0x7f800000u | (mag & 0x3ffu) << 13 | (mag > 0x7c00u ? 0x400000u : 0));
    if (mag < 0x400u) /* denormal or zero: mag * 2^-24, exact */
        return sc_bits_float(sign | sc_float_bits((float)mag * 0x1p-24f));
    return sc_bits_float(sign | ((mag << 13) + (112u << 23)));
}

/* f32 to f16, to nearest, ties to even; overflow gives infinity; a NaN becomes quiet,
 * its upper payload kept. */
static inline uint16_t sc_float_half(float f)
{
    uint32_t u = sc_float_bits(f), sign = u >> 16 & 0x8000u, mag = u & 0x7fffffffu;
    if (mag > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | (mag >> 13 & 0x3ffu));
    if (mag >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and more */
    if (mag >= 0x38800000u)                                    /* normal in f16 too */
        return (uint16_t)(sign | ((mag + 0xfffu + (mag >> 13 & 1) - (112u << 23)) >> 13));
    /* A denormal counts units of 2^-24: adding 0.5 puts those in the last place, so the addition rounds. */
    return (uint16_t)(sign | (sc_float_bits(sc_bits_float(mag) + 0.5f) - 0x3f000000u));
}

static inline float sc_bf16_float(uint16_t h) { return sc_bits_float((uint32_t)h << 16); }

/* f32 to bf16, to nearest, ties to even; a NaN becomes quiet. */
static inline uint16_t sc_float_bf16(float f)
{
    uint32_t u = sc_float_bits(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(u >> 16 | 0x40u);
    return (uint16_t)((u + 0x7fffu + (u >> 16 & 1)) >> 16);
}

/* 2^(e - 128): the shared exponent of an mxfp4 block, halved for sc_mxfp4_values. */
static inline float sc_e8m0_half(uint8_t e)
{
    return sc_bits_float(e < 2 ? 0x200000u << e : (uint32_t)(e - 1) << 23);
}

static inline uint32_t sc_load_u32(const void *p)
{
    uint32_t u;
    memcpy(&u, p, sizeof u);
    return u;
}

/* The eight scales and then the eight mins of q4_k and q5_k, four bytes at a time: the first four in six bits of
 * bytes 0-3 and 4-7, the others in the nibbles of bytes 8-11 with their top bits in the top bits of the first eight
 * bytes. */
static inline void sc_k4_scales(const uint8_t s[12], uint8_t out[16])
{
    uint32_t u0 = sc_load_u32(s), u1 = sc_load_u32(s + 4), u2 = sc_load_u32(s + 8);
    uint32_t u[4] = {u0 & 0x3f3f3f3f, (u2 & 0x0f0f0f0f) | (u0 >> 2 & 0x30303030), u1 & 0x3f3f3f3f,
                     (u2 >> 4 & 0x0f0f0f0f) | (u1 >> 2 & 0x30303030)};
    memcpy(out, u, sizeof u);
}

/* The sixteen scales of q3_k, 32 still in them: nibbles of bytes 0-7, then top pairs of bits in bytes 8-11. */
static inline void sc_k3_scales(const uint8_t s[12], uint8_t out[16])
{
    uint32_t u0 = sc_load_u32(s), u1 = sc_load_u32(s + 4), u2 = sc_load_u32(s + 8), low = 0x0f0f0f0f,
             top = 0x30303030;
    uint32_t u[4] = {(u0 & low) | (u2 << 4 & top), (u1 & low) | (u2 << 2 & top), (u0 >> 4 & low) | (u2 & top),
                     (u1 >> 4 & low) | (u2 >> 2 & top)};
    memcpy(out, u, sizeof u);
}

/* Scale g of the eight of iq4_xs. */
static inline int sc_iq4_scale(const uint8_t *b, int g)
{
    return ((b[4 + g / 2] >> 4 * (g & 1) & 15) | (sc_load_u16(b + 2) >> 2 * g & 3) << 4) - 32;
}

#endif
