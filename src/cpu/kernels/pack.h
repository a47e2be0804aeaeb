/* SPDX-License-Identifier: Apache-2.0 */
/* What the quantisers of every ISA share: rounded scales, and putting integers into blocks (layouts: blocks.h). */
#ifndef SC_PACK_H
#define SC_PACK_H

#include "cpu/kernels/blocks.h"

#include <math.h>

static inline void sc_put_half(uint8_t *p, float f) { sc_store_u16(p, sc_float_half(f)); }

/* The low nibbles of 32 integers, sixteen and sixteen; each integer of the first sixteen below 16. */
static inline void sc_pack_nibbles(const uint8_t q[32], uint8_t b[16])
{
    uint64_t u[4];
    memcpy(u, q, sizeof u);
    for (int i = 0; i < 2; i++) u[i] = (u[i] & 0x0f0f0f0f0f0f0f0f) | (u[i + 2] & 0x0f0f0f0f0f0f0f0f) << 4;
    memcpy(b, u, 16);
}

/* The fifth bits of 32 integers below 32. */
static inline void sc_pack_fifth_bits(const uint8_t q[32], uint8_t h[4])
{
    for (int i = 0; i < 4; i++) {
        uint64_t u;
        memcpy(&u, q + 8 * i, sizeof u);
        /* Byte j's bit comes to stand at 56 + j, and no two meet. */
        h[i] = (uint8_t)((u >> 4 & 0x0101010101010101) * 0x0102040810204080 >> 56);
    }
}

/* Two bits of each of 256 integers, as q2_k and q3_k store them. */
static inline void sc_pack_pairs(const uint8_t q[256], uint8_t b[64])
{
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *p = q + 128 * h + i;
            b[32 * h + i] = (uint8_t)((p[0] & 3) | (p[32] & 3) << 2 | (p[64] & 3) << 4 | (p[96] & 3) << 6);
        }
}

/* Bit `bit` of each of 256 integers: bit g of byte i is that of integer 32 g + i. */
static inline void sc_pack_bits(const uint8_t q[256], int bit, uint8_t h[32])
{
    for (int i = 0; i < 32; i++) {
        unsigned u = 0;
        for (int g = 0; g < 8; g++) u |= (q[32 * g + i] >> bit & 1u) << g;
        h[i] = (uint8_t)u;
    }
}

static inline void sc_pack_k4_scales(const uint8_t scale[8], const uint8_t min[8], uint8_t s[12])
{
    for (int i = 0; i < 4; i++) {
        s[i] = (uint8_t)(scale[i] | (scale[4 + i] >> 4) << 6);
        s[4 + i] = (uint8_t)(min[i] | (min[4 + i] >> 4) << 6);
        s[8 + i] = (uint8_t)((scale[4 + i] & 15) | (min[4 + i] & 15) << 4);
    }
}

/* Nibbles of 256 integers, 32 low ones and then 32 high ones. */
static inline void sc_pack_k_nibbles(const uint8_t q[256], uint8_t b[128])
{
    for (int g = 0; g < 4; g++)
        for (int i = 0; i < 32; i++) b[32 * g + i] = (uint8_t)((q[64 * g + i] & 15) | q[64 * g + 32 + i] << 4);
}

/* The K-types' blocks from their parts: d and dmin in the block already; q not negative, so that the 4 of
 * q3_k and the 32 of q6_k are still in them. */
static inline void sc_pack_q2_k(const uint8_t *scale, const uint8_t *min, const uint8_t *q, uint8_t *b)
{
    for (int g = 0; g < 16; g++) b[g] = (uint8_t)(scale[g] | min[g] << 4);
    sc_pack_pairs(q, b + 16);
}

static inline void sc_pack_q3_k(const int8_t *signed_scale, const uint8_t *q, uint8_t *b)
{
    uint8_t scale[16];
    for (int g = 0; g < 16; g++) scale[g] = (uint8_t)(signed_scale[g] + 32);
    sc_pack_bits(q, 2, b);
    sc_pack_pairs(q, b + 32);
    for (int g = 0; g < 8; g++) b[96 + g] = (uint8_t)((scale[g] & 15) | (scale[g + 8] & 15) << 4);
    for (int g = 0; g < 4; g++)
        b[104 + g] =
            (uint8_t)(scale[g] >> 4 | scale[g + 4] >> 4 << 2 | scale[g + 8] >> 4 << 4 | scale[g + 12] >> 4 << 6);
}

static inline void sc_pack_q4_k(const uint8_t *scale, const uint8_t *min, const uint8_t *q, uint8_t *b)
{
    sc_pack_k4_scales(scale, min, b + 4);
    sc_pack_k_nibbles(q, b + 16);
}

static inline void sc_pack_q5_k(const uint8_t *scale, const uint8_t *min, const uint8_t *q, uint8_t *b)
{
    sc_pack_k4_scales(scale, min, b + 4);
    sc_pack_bits(q, 4, b + 16);
    sc_pack_k_nibbles(q, b + 48);
}

static inline void sc_pack_q6_k(const int8_t *scale, const uint8_t *q, uint8_t *b)
{
    for (int h = 0; h < 2; h++)
        for (int i = 0; i < 32; i++) {
            const uint8_t *p = q + 128 * h + i;
            b[64 * h + i] = (uint8_t)((p[0] & 15) | p[64] << 4);
            b[64 * h + 32 + i] = (uint8_t)((p[32] & 15) | p[96] << 4);
            b[128 + 32 * h + i] = (uint8_t)(p[0] >> 4 | p[32] >> 4 << 2 | p[64] >> 4 << 4 | p[96] >> 4 << 6);
        }
    memcpy(b + 192, scale, 16);
}

/* The exponent of an mxfp4 block: the power of two under the largest magnitude, which is then 4 to 8 halves of it. */
static inline uint8_t sc_mxfp4_exponent(float amax)
{
    int e = amax > 0 ? (isfinite(amax) ? ilogbf(amax) : 127) - 2 + 127 : 0;
    return (uint8_t)(e < 0 ? 0 : e);
}

/* ---- the search of the K-types' scales (ref/quantize_k.c says how it goes): what must be the same everywhere ---- */

/* The power of two that brings a block's largest magnitude into [1, 2), where it is not so small that every scale
 * of the block would be rounded to 0 anyway; its inverse is one too. */
static inline float sc_block_unit(float amax)
{
    uint32_t e = sc_float_bits(amax) >> 23;
    return sc_bits_float((254 - (e < 64 ? 64 : e > 253 ? 253 : e)) << 23);
}

/* Trials on each side, and how far apart. */
#define SC_TRIALS     10
#define SC_TRIAL_STEP 0.1f

/* A trial for `levels` steps: a little fewer or more of them. */
static inline float sc_trial(float levels, int t, float step) { return levels + step * (float)t; }

#endif
