/* SPDX-License-Identifier: Apache-2.0 */
/* Products of packed activations (int8) with rows stored as blocks, over a small vocabulary that x86/packed_avx2.c and
 * x86/packed_avx512vnni.c define before they include this once.
 *
 * Rows are multiplied in a layout whose lanes are rows: groups of W of them, and of a group one unit of 256 elements (or
 * of the blocks that are left) after another. Of a unit of n blocks of 32:
 *   n times   the codes: vector j of 4 W bytes has numbers 4j to 4j+3 of each row. Of four bits: j in the low and j + 4 in
 *             the high nibbles of vector j, then the fifth bits (bit j of the bytes of one vector is that of vector j) or
 *             the fifth and sixth (bits 2 (j mod 4) of vector j / 4 of two)
 *   n times   W scales as the type has them, and W minima or scales of the second half: f16, bytes where they are parts of
 *             the unit's scale
 *   once      W f16 scales, and minima, of the unit
 * Either all rows are brought into it once (interleave, matmul_interleaved), or those of a group, a few blocks at a time,
 * on the stack (matmul_packed): the same products in the same order, the same bits, for one row of x as for hundreds.
 *
 *   KERNEL, VEC, vf, W, v_set, v_load, v_store, v_load_n, v_store_n, v_mul, v_fma: as in vector_math.h
 *   vi                     W integers of 32 bits, or 4 W bytes
 *   i_load, i_store, i_set, i_add, i_and, i_or, i_sub, i_left, i_right (logical)
 *   i_select(m, a, b)      the bits of a where m has ones, of b elsewhere
 *   i_look(table, i)       bytes of a 16-byte table (i_table) by the low nibbles of i, whose upper nibbles are 0
 *   i_float, i_bits_float  whole numbers as f32; bits as f32
 *   i_store16, i_store8    the low bits of each lane, W numbers;  i_load8, i_load8_signed, v_halves: W bytes or f16
 *   i_gather(w, stride)    4 bytes of each of W rows;  i_gather4(w, stride, out): 16 of each, out[j] has bytes 4j to 4j+3
 *   bytes(v)               signed bytes as they are kept in CODE_8, with BYTES_SHIFT
 *   dot(span, j, q, tokens, x, ldx, at, pairs, s)
 *                          s[i] += bytes of q times those of x[i*ldx].q + at, in every lane; q so small that 2 `span`
 *                          products fit 16 bits, and j counts up to a multiple of it. span 1: those that `bytes` made
 *   magnitude(x), pack16(x, f, q): the largest of 32 magnitudes as bits; 16 times f, rounded to even, as bytes
 *   TILE                   rows of x in a register tile, 4 or 8 */
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/kernels.h"

#include <math.h>

#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* How a block's 32 numbers are kept. CODE_IQ4 and CODE_MXFP4: nibbles that number the values of a table. */
enum code { CODE_4, CODE_5, CODE_6, CODE_8, CODE_IQ4, CODE_MXFP4 };
/* What a number q stands for, with z = 2^shift (0 for a negative shift):
 *   SCALE     d (q - z)
 *   MINIMUM   d q + m
 *   POWER     2^(e - 128) (q - z)
 *   K_MINIMUM d s q - dmin m;  s and m of a block
 *   K_HALVES  d s (q - z);     s of half a block */
enum scales { SCALE, MINIMUM, POWER, K_MINIMUM, K_HALVES };

enum {
    UNIT = 8,         /* blocks */
    PANEL = 2 * UNIT, /* blocks of a group that stay in the first cache beside the activations of a tile */
    UNIT_BYTES = UNIT * W * 34,
    X_KEPT = 160 << 10, /* elements of x that stay in the second cache, 1.5 bytes each */
    AHEAD = 8192        /* bytes: what is fetched before it is asked for. Prefetchers of processors stop at pages */
};

/* Bytes of a block of W codes and of its W scales, and of the W scales of a unit, divided by W. */
VEC int code_bytes(const enum code c) { return c == CODE_8 ? 32 : c == CODE_6 ? 24 : c == CODE_5 ? 20 : 16; }
VEC int scale_bytes(const enum scales s) { return s == MINIMUM ? 4 : s == POWER ? 1 : 2; }
VEC int super_bytes(const enum scales s) { return s == K_MINIMUM ? 4 : s == K_HALVES ? 2 : 0; }
/* Of a unit of n blocks: whole vectors. */
VEC int64_t unit_bytes(const enum code c, const enum scales s, int64_t n)
{
    return (n * W * (code_bytes(c) + scale_bytes(s)) + W * super_bytes(s) + 4 * W - 1) / (4 * W) * (4 * W);
}

#define LOW i_set(0x0f0f0f0f)

/* ---- into the layout: n blocks, at most UNIT, from W rows `stride` bytes apart ---- */

typedef void interleave_fn(const uint8_t *w, int64_t stride, int64_t n, uint8_t *out);

VEC void put(uint8_t *p, int j, vi v) { i_store(p + 4 * W * j, v); }

/* 16 bytes of nibbles as they are stored: the low ones the first half of the block. */
VEC void put_nibbles(const uint8_t *w, int64_t stride, uint8_t *out)
{
    vi v[4];
    i_gather4(w, stride, v);
    for (int j = 0; j < 4; j++) put(out, j, v[j]);
}

/* The low nibbles of a and those of b as one vector; or the high ones. */
VEC vi low_nibbles(vi a, vi b) { return i_select(LOW, a, i_left(b, 4)); }
VEC vi high_nibbles(vi a, vi b) { return i_select(LOW, i_right(a, 4), b); }

KERNEL void interleave_q4_0(const uint8_t *w, int64_t stride, int64_t n, uint8_t *out)
{
    uint8_t *scale = out + n * 16 * W;
    for (int64_t b = 0; b < n; b++, w += 18) {
        put_nibbles(w + 2, stride, out + b * 16 * W);
        i_store16(scale + b * 2 * W, i_gather(w, stride));
    }
}

KERNEL void interleave_mxfp4(const uint8_t *w, int64_t stride, int64_t n, uint8_t *out)
{
    uint8_t *scale = out + n * 16 * W;
    for (int64_t b = 0; b < n; b++, w += 17) {
        put_nibbles(w + 1, stride, out + b * 16 * W);
        i_store8(scale + b * W, i_gather(w, stride));
    }
}

/* The two f16 of a block. */
VEC void put_minimum(const uint8_t *w, int64_t stride, uint8_t *scale)
{
    vi s = i_gather(w, stride);
    i_store16(scale, s);
    i_store16(scale + 2 * W, i_right(s, 16));
}

KERNEL void interleave_q4_1(const uint8_t *w, int64_t stride, int64_t n, uint8_t *out)
{
    uint8_t *scale = out + n * 16 * W;
    for (int64_t b = 0; b < n; b++, w += 20) {
        put_nibbles(w + 4, stride, out + b * 16 * W);
        put_minimum(w, stride, scale + b * 4 * W);
    }
}

/* Bits 4j to 4j+3 of h to bit j of the four bytes. */
VEC vi fifth_bits(vi h)
{
    vi all = i_set(0);
    UNROLL for (int j = 0; j < 8; j++)
    {
        vi t = i_and(i_right(h, 4 * j), i_set(15));
        t = i_or(i_or(t, i_left(t, 7)), i_or(i_left(t, 14), i_left(t, 21)));
        all = i_or(all, i_left(i_and(t, i_set(0x01010101)), j));
    }
    return all;
}

KERNEL void interleave_q5_0(const uint8_t *w, int64_t stride, int64_t n, uint8_t *out)
{
    uint8_t *scale = out + n * 20 * W;
    for (int64_t b = 0; b < n; b++, w += 22, out += 20 * W) {
        put_nibbles(w + 6, stride, out);
        put(out, 4, fifth_bits(i_gather(w + 2, stride)));
        i_store16(scale + b * 2 * W, i_gather(w, stride));
    }
}

KERNEL void interleave_q5_1(const uint8_t *w, int64_t stride, int64_t n, uint8_t *out)
{
    uint8_t *scale = out + n * 20 * W;
    for (int64_t b = 0; b < n; b++, w += 24, out += 20 * W) {
        put_nibbles(w + 8, stride, out);
        put(out, 4, fifth_bits(i_gather(w + 4, stride)));
        put_minimum(w, stride, scale + b * 4 * W);
    }
}

KERNEL void interleave_q8_0(const uint8_t *w, int64_t stride, int64_t n, uint8_t *out)
{
    uint8_t *scale = out + n * 32 * W;
    for (int64_t b = 0; b < n; b++, w += 34, out += 32 * W) {
        vi v[8];
        i_gather4(w + 2, stride, v);
        i_gather4(w + 18, stride, v + 4);
        for (int j = 0; j < 8; j++) put(out, j, bytes(v[j]));
        i_store16(scale + b * 2 * W, i_gather(w, stride));
    }
}

/* The eight scales and minima of q4_k and q5_k, and those of the unit, from their header (sc_k4_scales, in every lane). */
VEC void put_k_minima(const uint8_t *w, int64_t stride, uint8_t *scale)
{
    vi h[4];
    i_gather4(w, stride, h);
    const vi six = i_set(0x3f3f3f3f), top = i_set(0x30303030);
    vi s[2] = {i_and(h[1], six), i_or(i_and(h[3], LOW), i_and(i_right(h[1], 2), top))};
    vi m[2] = {i_and(h[2], six), i_or(i_and(i_right(h[3], 4), LOW), i_and(i_right(h[2], 2), top))};
    UNROLL for (int g = 0; g < UNIT; g++)
    {
        i_store8(scale + g * 2 * W, i_right(s[g / 4], 8 * (g % 4)));
        i_store8(scale + g * 2 * W + W, i_right(m[g / 4], 8 * (g % 4)));
    }
    i_store16(scale + UNIT * 2 * W, h[0]);
    i_store16(scale + UNIT * 2 * W + 2 * W, i_right(h[0], 16));
}

/* 32 bytes of nibbles, two blocks of q4_k or q5_k: one in the low ones, the other in the high ones. */
VEC void put_k_nibbles(const uint8_t *w, int64_t stride, uint8_t *low, uint8_t *high)
{
    vi a[4], b[4];
    i_gather4(w, stride, a);
    i_gather4(w + 16, stride, b);
    for (int j = 0; j < 4; j++) {
        put(low, j, low_nibbles(a[j], b[j]));
        put(high, j, high_nibbles(a[j], b[j]));
    }
}

KERNEL void interleave_q4_k(const uint8_t *w, int64_t stride, int64_t n, uint8_t *out)
{
    (void)n; /* UNIT */
    for (int c = 0; c < UNIT; c += 2)
        put_k_nibbles(w + 16 + 16 * c, stride, out + c * 16 * W, out + (c + 1) * 16 * W);
    put_k_minima(w, stride, out + UNIT * 16 * W);
}

KERNEL void interleave_q5_k(const uint8_t *w, int64_t stride, int64_t n, uint8_t *out)
{
    (void)n;
    vi h[8];
    i_gather4(w + 16, stride, h);
    i_gather4(w + 32, stride, h + 4);
    for (int c = 0; c < UNIT; c += 2)
        put_k_nibbles(w + 48 + 16 * c, stride, out + c * 20 * W, out + (c + 1) * 20 * W);
    for (int g = 0; g < UNIT; g++) {
        vi all = i_set(0);
        UNROLL for (int j = 0; j < 8; j++)
        {
            all = i_or(all, i_left(i_and(h[j], i_set(0x01010101)), j));
            h[j] = i_right(h[j], 1);
        }
        put(out + g * 20 * W, 4, all);
    }
    put_k_minima(w, stride, out + UNIT * 20 * W);
}

KERNEL void interleave_q6_k(const uint8_t *w, int64_t stride, int64_t n, uint8_t *out)
{
    (void)n;
    const vi two = i_set(0x03030303);
    for (int half = 0; half < 2; half++, out += 4 * 24 * W) { /* four blocks each */
        vi h[8];
        put_k_nibbles(w + 64 * half, stride, out, out + 2 * 24 * W);
        put_k_nibbles(w + 64 * half + 32, stride, out + 24 * W, out + 3 * 24 * W);
        i_gather4(w + 128 + 32 * half, stride, h);
        i_gather4(w + 144 + 32 * half, stride, h + 4);
        for (int b = 0; b < 4; b++)
            for (int part = 0; part < 2; part++) {
                vi all = i_set(0);
                UNROLL for (int j = 0; j < 4; j++)
                {
                    vi *from = h + 4 * part + j;
                    all = i_or(all, i_left(i_and(*from, two), 2 * j));
                    *from = i_right(*from, 2);
                }
                put(out + b * 24 * W, 4 + part, all);
            }
    }
    vi s[4];
    i_gather4(w + 192, stride, s);
    UNROLL for (int g = 0; g < 16; g++) i_store8(out + g * W, i_right(s[g / 4], 8 * (g % 4)));
    i_store16(out + 16 * W, i_right(i_gather(w + 206, stride), 16));
}

/* ---- products ---- */

/* Vector j of a block's codes. */
VEC vi numbers(const enum code c, const uint8_t *p, const int j)
{
    if (c == CODE_8) return i_load(p + 4 * W * j);
    vi v = i_load(p + 4 * W * (j % 4));
    v = i_and(j < 4 ? v : i_right(v, 4), LOW);
    if (c == CODE_5) {
        vi h = i_load(p + 16 * W);
        v = i_or(v, i_and(j < 4 ? i_left(h, 4 - j) : i_right(h, j - 4), i_set(0x10101010)));
    } else if (c == CODE_6) {
        vi h = i_load(p + 16 * W + 4 * W * (j / 4));
        v = i_or(v, i_and(j % 4 < 3 ? i_left(h, 4 - j % 4 * 2) : i_right(h, 2), i_set(0x30303030)));
    } else if (c == CODE_IQ4) {
        v = i_look(i_table(sc_iq4_values), v);
    } else if (c == CODE_MXFP4) {
        v = i_look(i_table(sc_mxfp4_values), v);
    }
    return v;
}

/* 2^(e - 128) as the product of two that are normal numbers. */
VEC vf power(vi e)
{
    vi a = i_right(e, 1), b = i_sub(e, a);
    return v_mul(i_bits_float(i_left(i_add(a, i_set(63)), 23)), i_bits_float(i_left(i_add(b, i_set(63)), 23)));
}

/* The scales of block b of a unit, and its minima or the scales of its second half. */
VEC void scales_of(const enum scales scales, const uint8_t *p, int64_t b, vf unit, vf unit_least, vf *d, vf *m)
{
    const uint8_t *at = p + b * W * scale_bytes(scales);
    *m = v_set(0);
    if (scales == SCALE) {
        *d = v_halves(at);
    } else if (scales == MINIMUM) {
        *d = v_halves(at);
        *m = v_halves(at + 2 * W);
    } else if (scales == POWER) {
        *d = power(i_load8(at));
    } else if (scales == K_MINIMUM) {
        *d = v_mul(unit, i_float(i_load8(at)));
        *m = v_mul(unit_least, i_float(i_load8(at + W)));
    } else {
        *d = v_mul(unit, i_float(i_load8_signed(at)));
        *m = v_mul(unit, i_float(i_load8_signed(at + W)));
    }
}

/* clang-format off */
/* One block: s and, for K_HALVES, the sums of its second half. */
VEC void block(const enum code code, const enum scales scales, const int span, const int tokens, const uint8_t *w,
               const sc_packed *x, int64_t ldx, vi *s, vi *second)
{
    vi pairs[TILE];
    UNROLL for (int j = 0; j < 8; j++)
        dot(span, j, numbers(code, w, j), tokens, x, ldx, 4 * j, pairs, scales == K_HALVES && j >= 4 ? second : s);
}

/* `tokens` rows of x times n blocks of a group, added to what y has, or to 0. */
VEC void tile(const enum code code, const enum scales scales, const int span, const int shift, const int tokens,
              int64_t n, const uint8_t *w, const sc_packed *x, int64_t ldx, float *y, int64_t ldy, int lanes, bool begin)
{
    const bool minima = scales == MINIMUM || scales == K_MINIMUM;
    const int share = (int)unit_bytes(code, scales, UNIT) / UNIT; /* of what is fetched ahead, with each block */
    vf acc[TILE];
    UNROLL for (int i = 0; i < tokens; i++)
        acc[i] = begin ? v_set(0) : lanes < W ? v_load_n(y + i * ldy, lanes) : v_load(y + i * ldy);
    for (; n > 0; n -= UNIT) {
        const int64_t blocks = n < UNIT ? n : UNIT;
        const uint8_t *scale = w + blocks * W * code_bytes(code), *super = scale + blocks * W * scale_bytes(scales);
        const uint8_t *ahead = w + AHEAD;
        vf unit = v_set(0), least = v_set(0);
        if (super_bytes(scales)) unit = v_halves(super);
        if (scales == K_MINIMUM) least = v_mul(v_set(-1), v_halves(super + 2 * W));
        for (int64_t b = 0; b < blocks; b++, w += W * code_bytes(code), x++) {
            vi s[TILE], second[TILE];
            vf d, m;
            UNROLL for (int i = 0; i < share; i += 64) __builtin_prefetch(ahead + b * share + i, 0, 3);
            UNROLL for (int i = 0; i < tokens; i++) {
                if (minima || shift < 0) {
                    s[i] = i_set(0);
                } else if (scales == K_HALVES) {
                    s[i] = i_left(i_set(x[i * ldx].minus_half), shift);
                    second[i] = i_left(i_sub(i_set(x[i * ldx].minus_sum), i_set(x[i * ldx].minus_half)), shift);
                } else {
                    s[i] = i_left(i_set(x[i * ldx].minus_sum), shift);
                }
            }
            block(code, scales, span, tokens, w, x, ldx, s, second);
            scales_of(scales, scale, b, unit, least, &d, &m);
            UNROLL for (int i = 0; i < tokens; i++) {
                acc[i] = v_fma(v_mul(d, v_set(x[i * ldx].scale)), i_float(s[i]), acc[i]);
                if (minima) acc[i] = v_fma(m, v_set(x[i * ldx].scaled_sum), acc[i]);
                if (scales == K_HALVES) acc[i] = v_fma(v_mul(m, v_set(x[i * ldx].scale)), i_float(second[i]), acc[i]);
            }
        }
        w = scale + (unit_bytes(code, scales, blocks) - blocks * W * code_bytes(code));
    }
    UNROLL for (int i = 0; i < tokens; i++)
        if (lanes < W) v_store_n(y + i * ldy, acc[i], lanes);
        else v_store(y + i * ldy, acc[i]);
}
/* clang-format on */

/* All rows of x times n blocks of each group of nw rows; groups are `group` bytes apart. */
typedef void strip_fn(int64_t nx, int64_t nw, int64_t n, const uint8_t *w, int64_t group, const sc_packed *x,
                      int64_t ldx, float *y, int64_t ldy, bool begin);

#define TOKENS_OF(code, scales, span, shift, tokens)                                                               \
    tile(code, scales, span, shift, tokens, n, w, x + i * ldx, ldx, y + i * ldy, ldy, lanes, begin)
#define STRIP(ID, name, elements, bytes, code, scales, span, shift)                                                \
    KERNEL void strip_##name(int64_t nx, int64_t nw, int64_t n, const uint8_t *w, int64_t group,                   \
                             const sc_packed *x, int64_t ldx, float *y, int64_t ldy, bool begin)                   \
    {                                                                                                              \
        for (; nw > 0; nw -= W, w += group, y += W) {                                                              \
            int lanes = nw < W ? (int)nw : W;                                                                      \
            int64_t i = 0;                                                                                         \
            for (; i + TILE <= nx; i += TILE) TOKENS_OF(code, scales, span, shift, TILE);                          \
            if (TILE > 4 && i + 4 <= nx) {                                                                         \
                TOKENS_OF(code, scales, span, shift, 4);                                                           \
                i += 4;                                                                                            \
            }                                                                                                      \
            if (i + 2 <= nx) {                                                                                     \
                TOKENS_OF(code, scales, span, shift, 2);                                                           \
                i += 2;                                                                                            \
            }                                                                                                      \
            if (i < nx) TOKENS_OF(code, scales, span, shift, 1);                                                   \
        }                                                                                                          \
    }

/* Each type: its elements and bytes of a block, how it is kept, how many products of two fit 16 bits, its zero. */
/* clang-format off */
#define PACKED_KINDS(X)                                                                                            \
    X(Q4_0, q4_0, 32, 18, CODE_4, SCALE, 8, 3)                                                                     \
    X(Q4_1, q4_1, 32, 20, CODE_4, MINIMUM, 8, 0)                                                                   \
    X(Q5_0, q5_0, 32, 22, CODE_5, SCALE, 4, 4)                                                                     \
    X(Q5_1, q5_1, 32, 24, CODE_5, MINIMUM, 4, 0)                                                                   \
    X(Q8_0, q8_0, 32, 34, CODE_8, SCALE, 1, BYTES_SHIFT)                                                           \
    X(MXFP4, mxfp4, 32, 17, CODE_MXFP4, POWER, 1, BYTES_SHIFT)                                                     \
    X(IQ4_NL, iq4_nl, 32, 18, CODE_IQ4, SCALE, 1, BYTES_SHIFT)                                                     \
    X(Q4_K, q4_k, 256, 144, CODE_4, K_MINIMUM, 8, 0)                                                               \
    X(Q5_K, q5_k, 256, 176, CODE_5, K_MINIMUM, 4, 0)                                                               \
    X(Q6_K, q6_k, 256, 210, CODE_6, K_HALVES, 2, 5)
/* clang-format on */
#define interleave_iq4_nl interleave_q4_0
PACKED_KINDS(STRIP)

typedef struct kind {
    interleave_fn *interleave;
    strip_fn *strip;
    int elements, bytes; /* of a block of the type */
    enum code code;
    enum scales scales;
} kind;

static const kind kinds[SC_DTYPE_COUNT] = {
#define KIND(ID, name, elements, bytes, code, scales, span, shift)                                                 \
    [SC_##ID] = {interleave_##name, strip_##name, elements, bytes, code, scales},
    PACKED_KINDS(KIND)};

/* Bytes of `blocks` blocks of 32 of a group. Groups begin at cache lines. */
KERNEL int64_t part_bytes(const kind *t, int64_t blocks)
{
    return blocks / UNIT * unit_bytes(t->code, t->scales, UNIT) +
           (blocks % UNIT ? unit_bytes(t->code, t->scales, blocks % UNIT) : 0);
}
static int64_t group_bytes(const kind *t, int64_t k) { return (part_bytes(t, k / 32) + 63) / 64 * 64; }

/* `lanes` rows, elements c to c + 32 n of each, as a group; rows beyond them are zeros. */
static void bring(const kind *t, int lanes, const uint8_t *w, int64_t stride, int64_t n, uint8_t *out)
{
    uint8_t copy[UNIT_BYTES];
    for (int64_t b = 0; b < n; b += UNIT) {
        int64_t blocks = n - b < UNIT ? n - b : UNIT, bytes = blocks * 32 / t->elements * t->bytes;
        if (lanes == W) {
            t->interleave(w, stride, blocks, out);
        } else {
            for (int r = 0; r < lanes; r++) memcpy(copy + r * bytes, w + r * stride, (size_t)bytes);
            memset(copy + lanes * bytes, 0, (size_t)((W - lanes) * bytes));
            t->interleave(copy, bytes, blocks, out);
        }
        w += bytes;
        out += part_bytes(t, blocks);
    }
}

typedef struct product {
    int64_t nx, nw, k;
    const sc_packed *x;
    int64_t ldx;
    const uint8_t *w;
    int64_t stride; /* of rows as they are stored; 0: they are interleaved */
    float *y;
    int64_t ldy;
} product;

/* Blocks c to c + n of rows j to j + nw: of one group where they have to be brought first. */
static void part(const kind *t, const product *p, int64_t j, int64_t nw, int64_t c, int64_t n)
{
    if (p->stride) {
        _Alignas(64) uint8_t room[PANEL / UNIT * UNIT_BYTES];
        const uint8_t *w = p->w + j * p->stride + c * 32 / t->elements * t->bytes;
        bring(t, (int)nw, w, p->stride, n, room);
        t->strip(p->nx, nw, n, room, 0, p->x + c, p->ldx, p->y + j, p->ldy, c == 0);
    } else {
        int64_t group = group_bytes(t, p->k);
        t->strip(p->nx, nw, n, p->w + j / W * group + part_bytes(t, c), group, p->x + c, p->ldx, p->y + j, p->ldy,
                 c == 0);
    }
}

static void multiply(sc_dtype type, const product *p)
{
    const kind *t = &kinds[type];
    int64_t blocks = p->k / 32, nw = p->nw;
    if (!p->stride && p->nx <= TILE) {
        part(t, p, 0, nw, 0, blocks);
        return;
    }
    /* As many rows of x as the second cache holds stay there, and w is read row by row; more are read again for every
     * group, so only the part of them that one panel meets is kept for all groups. */
    bool by_rows = p->nx * p->k <= X_KEPT;
    for (int64_t outer = 0; outer == 0 || outer < (by_rows ? nw : blocks); outer += by_rows ? W : PANEL)
        for (int64_t inner = 0; inner == 0 || inner < (by_rows ? blocks : nw); inner += by_rows ? PANEL : W) {
            int64_t j = by_rows ? outer : inner, c = by_rows ? inner : outer;
            part(t, p, j, nw - j < W ? nw - j : W, c, blocks - c < PANEL ? blocks - c : PANEL);
        }
}

static void interleave(sc_dtype type, int64_t nw, int64_t k, const uint8_t *w, int64_t stride, uint8_t *out)
{
    const kind *t = &kinds[type];
    for (int64_t j = 0; j < nw; j += W, out += group_bytes(t, k))
        bring(t, nw - j < W ? (int)(nw - j) : W, w + j * stride, stride, k / 32, out);
}

#define DEFINE(ID, name, elements, bytes, code, scales, span, shift)                                               \
    static void matmul_packed_##name(int64_t nx, int64_t nw, int64_t k, const sc_packed *x, int64_t ldx,           \
                                     const void *w, int64_t stride, float *y, int64_t ldy)                         \
    {                                                                                                              \
        multiply(SC_##ID, &(product){nx, nw, k, x, ldx, w, stride, y, ldy});                                       \
    }                                                                                                              \
    static void matmul_interleaved_##name(int64_t nx, int64_t nw, int64_t k, const sc_packed *x, int64_t ldx,      \
                                          const void *w, float *y, int64_t ldy)                                    \
    {                                                                                                              \
        multiply(SC_##ID, &(product){nx, nw, k, x, ldx, w, 0, y, ldy});                                            \
    }                                                                                                              \
    static void interleave_rows_##name(int64_t nw, int64_t k, const void *w, int64_t stride, void *out)            \
    {                                                                                                              \
        interleave(SC_##ID, nw, k, w, stride, out);                                                                \
    }                                                                                                              \
    static int64_t interleaved_bytes_##name(int64_t nw, int64_t k)                                                 \
    {                                                                                                              \
        return (nw + W - 1) / W * group_bytes(&kinds[SC_##ID], k);                                                 \
    }
PACKED_KINDS(DEFINE)

KERNEL void pack_row(int64_t k, const float *x, sc_packed *y)
{
    for (; k > 0; k -= 32, x += 32, y++) {
        uint32_t top = magnitude(x);
        float largest = sc_bits_float(top);
        bool some = largest >= SC_PACKED_LEAST && top < 0x7f800000u;
        if (!some) {
            memset(y, 0, sizeof *y);
            if (top >= 0x7f800000u) y->scale = y->scaled_sum = NAN;
            continue;
        }
        float inverse = 127 / largest;
        int a = pack16(x, inverse, y->q), b = pack16(x + 16, inverse, y->q + 16);
        y->scale = largest / 127;
        y->scaled_sum = y->scale * (float)(a + b);
        y->minus_sum = -(a + b);
        y->minus_half = -a;
    }
}

static void set_packed(sc_kernels *k)
{
    k->pack_row = pack_row;
#define SET(ID, name, elements, bytes, code, scales, span, shift)                                                  \
    k->matmul_packed[SC_##ID] = matmul_packed_##name;                                                              \
    k->matmul_interleaved[SC_##ID] = matmul_interleaved_##name;                                                    \
    k->interleave[SC_##ID] = interleave_rows_##name;                                                               \
    k->interleaved_bytes[SC_##ID] = interleaved_bytes_##name;
    PACKED_KINDS(SET)
}
