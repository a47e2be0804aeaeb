/* SPDX-License-Identifier: Apache-2.0 */
/* Products of packed activations (int8) with rows stored as blocks, over a small vocabulary that x86/packed_avx2.c and
 * x86/packed_avx512vnni.c define before they include this once. W rows of w are brought, a few blocks at a time, into a
 * panel on the stack whose lanes are rows; the panel is multiplied by all rows of x in register tiles. The same way for
 * one row of x and for hundreds, so the results are the same bits.
 *
 *   KERNEL, VEC, vf, W, v_set, v_load, v_store, v_load_n, v_store_n, v_mul, v_fma: as in vector_math.h
 *   vi                     W integers of 32 bits, or 4 W bytes
 *   i_load, i_store, i_set, i_and, i_or, i_sub, i_left, i_right (logical), i_right_signed
 *   i_left_by, i_right_by  by a number that is not constant
 *   i_look(table, i)       bytes of a 16-byte table by the low nibbles of i, whose upper nibbles are 0
 *   i_float, i_half        whole numbers as f32; the f16 in the low 16 bits
 *   i_gather(w, stride)      4 bytes of each of W rows;  i_gather4(w, stride, out): 16 of each, out[j] has bytes 4j to 4j+3
 *   bytes(v)               signed bytes as they are kept in a panel of FORM_BYTES, with BYTES_SHIFT
 *   dots(span, n, q, tokens, x, ldx, at, s)
 *                          s[i] += bytes 4j to 4j+3 of q times those of x[i*ldx].q + at, j < n, in every lane; bytes so
 *                          small that 2 `span` products fit 16 bits. span 1: those that `bytes` made
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

/* What a number of a panel stands for, with d and m of its row and block:
 *   FORM_MIN      d q + m
 *   FORM_OFFSET   d (q - 2^shift); shift below 0: d q
 *   FORM_HALVES   d (q - 2^shift) in the first 16 of the block, m (q - 2^shift) in the others */
enum form { FORM_MIN, FORM_OFFSET, FORM_HALVES };

typedef struct panel {
    uint8_t q[32 * W]; /* vector j: numbers 4j to 4j+3 of each row */
    float d[W], m[W];
} panel;

/* Elements of a panel: it is to stay in the first cache beside the activations of a tile. */
enum { PANEL = 512 };
/* Elements of x that stay in the second cache, 1.5 bytes each. */
enum { X_KEPT = 160 << 10 };

/* n blocks of the type from W rows, `stride` bytes apart. What is at `ahead` will be wanted next: as many bytes. */
typedef void unpack_fn(const uint8_t *w, int64_t stride, int64_t n, panel *out, const uint8_t *ahead);

VEC const uint8_t *fetch(const uint8_t *ahead, int bytes)
{
    for (int i = 0; i < bytes * W; i += 64) __builtin_prefetch(ahead + i, 0, 2);
    return ahead + bytes * W;
}

#define LOW i_set(0x0f0f0f0f)

VEC void put(panel *p, int j, vi v) { i_store(p->q + 4 * W * j, v); }
VEC void put_nibbles(panel *p, const vi v[4])
{
    for (int j = 0; j < 4; j++) {
        put(p, j, i_and(v[j], LOW));
        put(p, 4 + j, i_and(i_right(v[j], 4), LOW));
    }
}

KERNEL void unpack_q4_0(const uint8_t *w, int64_t stride, int64_t n, panel *out, const uint8_t *ahead)
{
    for (int64_t b = 0; b < n; b++, w += 18, out++) {
        ahead = fetch(ahead, 18);
        vi v[4];
        i_gather4(w + 2, stride, v);
        put_nibbles(out, v);
        v_store(out->d, i_half(i_gather(w, stride)));
    }
}

KERNEL void unpack_q4_1(const uint8_t *w, int64_t stride, int64_t n, panel *out, const uint8_t *ahead)
{
    for (int64_t b = 0; b < n; b++, w += 20, out++) {
        ahead = fetch(ahead, 20);
        vi v[4], s = i_gather(w, stride);
        i_gather4(w + 4, stride, v);
        put_nibbles(out, v);
        v_store(out->d, i_half(s));
        v_store(out->m, i_half(i_right(s, 16)));
    }
}

/* The bits 4j to 4j+3 of h as the fifth bits of four bytes. */
VEC vi fifth_bits(vi h, int j)
{
    vi t = i_and(i_right(h, 4 * j), i_set(15));
    t = i_or(i_or(t, i_left(t, 7)), i_or(i_left(t, 14), i_left(t, 21)));
    return i_left(i_and(t, i_set(0x01010101)), 4);
}

VEC void put_fives(panel *p, const vi v[4], vi h)
{
    for (int j = 0; j < 4; j++) {
        put(p, j, i_or(i_and(v[j], LOW), fifth_bits(h, j)));
        put(p, 4 + j, i_or(i_and(i_right(v[j], 4), LOW), fifth_bits(h, 4 + j)));
    }
}

KERNEL void unpack_q5_0(const uint8_t *w, int64_t stride, int64_t n, panel *out, const uint8_t *ahead)
{
    for (int64_t b = 0; b < n; b++, w += 22, out++) {
        ahead = fetch(ahead, 22);
        vi v[4];
        i_gather4(w + 6, stride, v);
        put_fives(out, v, i_gather(w + 2, stride));
        v_store(out->d, i_half(i_gather(w, stride)));
    }
}

KERNEL void unpack_q5_1(const uint8_t *w, int64_t stride, int64_t n, panel *out, const uint8_t *ahead)
{
    for (int64_t b = 0; b < n; b++, w += 24, out++) {
        ahead = fetch(ahead, 24);
        vi v[4], s = i_gather(w, stride);
        i_gather4(w + 8, stride, v);
        put_fives(out, v, i_gather(w + 4, stride));
        v_store(out->d, i_half(s));
        v_store(out->m, i_half(i_right(s, 16)));
    }
}

KERNEL void unpack_q8_0(const uint8_t *w, int64_t stride, int64_t n, panel *out, const uint8_t *ahead)
{
    for (int64_t b = 0; b < n; b++, w += 34, out++) {
        ahead = fetch(ahead, 34);
        vi v[4];
        i_gather4(w + 2, stride, v);
        for (int j = 0; j < 4; j++) put(out, j, bytes(v[j]));
        i_gather4(w + 18, stride, v);
        for (int j = 0; j < 4; j++) put(out, 4 + j, bytes(v[j]));
        v_store(out->d, i_half(i_gather(w, stride)));
    }
}

KERNEL void unpack_iq4_nl(const uint8_t *w, int64_t stride, int64_t n, panel *out, const uint8_t *ahead)
{
    for (int64_t b = 0; b < n; b++, w += 18, out++) {
        ahead = fetch(ahead, 18);
        vi v[4];
        i_gather4(w + 2, stride, v);
        for (int j = 0; j < 4; j++) {
            put(out, j, bytes(i_look(sc_iq4_values, i_and(v[j], LOW))));
            put(out, 4 + j, bytes(i_look(sc_iq4_values, i_and(i_right(v[j], 4), LOW))));
        }
        v_store(out->d, i_half(i_gather(w, stride)));
    }
}

/* Byte g of the four of each lane as f32. */
VEC vf byte_float(vi v, int g) { return i_float(i_and(i_right(v, 8 * g), i_set(255))); }

/* The eight scales and minima of q4_k and q5_k from their header h (sc_k4_scales, in every lane). */
VEC void put_scales(panel *out, const vi h[4])
{
    const vi six = i_set(0x3f3f3f3f), top = i_set(0x30303030);
    vi s[2] = {i_and(h[1], six), i_or(i_and(h[3], LOW), i_and(i_right(h[1], 2), top))};
    vi m[2] = {i_and(h[2], six), i_or(i_and(i_right(h[3], 4), LOW), i_and(i_right(h[2], 2), top))};
    vf d = i_half(h[0]), least = v_mul(v_set(-1), i_half(i_right(h[0], 16)));
    for (int g = 0; g < 8; g++) {
        v_store(out[g].d, v_mul(d, byte_float(s[g / 4], g % 4)));
        v_store(out[g].m, v_mul(least, byte_float(m[g / 4], g % 4)));
    }
}

KERNEL void unpack_q4_k(const uint8_t *w, int64_t stride, int64_t n, panel *out, const uint8_t *ahead)
{
    for (int64_t b = 0; b < n; b++, w += 144, out += 8) {
        ahead = fetch(ahead, 144);
        vi v[4];
        i_gather4(w, stride, v);
        put_scales(out, v);
        for (int c = 0; c < 8; c++) { /* 16 bytes: half of one block in the low nibbles, of the next in the high */
            i_gather4(w + 16 + 16 * c, stride, v);
            panel *low = out + c / 2 * 2, *high = low + 1;
            for (int j = 0; j < 4; j++) {
                put(low, c % 2 * 4 + j, i_and(v[j], LOW));
                put(high, c % 2 * 4 + j, i_and(i_right(v[j], 4), LOW));
            }
        }
    }
}

KERNEL void unpack_q5_k(const uint8_t *w, int64_t stride, int64_t n, panel *out, const uint8_t *ahead)
{
    const vi one = i_set(0x01010101);
    for (int64_t b = 0; b < n; b++, w += 176, out += 8) {
        ahead = fetch(ahead, 176);
        vi v[4], h[2][4];
        i_gather4(w, stride, v);
        put_scales(out, v);
        i_gather4(w + 16, stride, h[0]);
        i_gather4(w + 32, stride, h[1]);
        for (int c = 0; c < 8; c++) {
            i_gather4(w + 48 + 16 * c, stride, v);
            panel *low = out + c / 2 * 2, *high = low + 1;
            for (int j = 0; j < 4; j++) {
                vi bits = i_right_by(h[c % 2][j], c / 2 * 2);
                put(low, c % 2 * 4 + j, i_or(i_and(v[j], LOW), i_left(i_and(bits, one), 4)));
                put(high, c % 2 * 4 + j,
                    i_or(i_and(i_right(v[j], 4), LOW), i_left(i_and(i_right(bits, 1), one), 4)));
            }
        }
    }
}

KERNEL void unpack_q6_k(const uint8_t *w, int64_t stride, int64_t n, panel *out, const uint8_t *ahead)
{
    const vi top = i_set(0x30303030);
    for (int64_t b = 0; b < n; b++, w += 210, out += 8) {
        ahead = fetch(ahead, 210);
        vi s[4];
        vf d = i_half(i_right(i_gather(w + 206, stride), 16));
        i_gather4(w + 192, stride, s);
        for (int g = 0; g < 16; g++) {
            vf scale = i_float(i_right_signed(i_left_by(s[g / 4], 24 - g % 4 * 8), 24));
            v_store(g % 2 ? out[g / 2].m : out[g / 2].d, v_mul(d, scale));
        }
        for (int c = 0; c < 4; c++) { /* the first or last 16 numbers of four blocks */
            vi a[4], f[4], h[4];
            i_gather4(w + c / 2 * 64 + c % 2 * 16, stride, a);
            i_gather4(w + c / 2 * 64 + c % 2 * 16 + 32, stride, f);
            i_gather4(w + 128 + c * 16, stride, h);
            panel *p = out + c / 2 * 4;
            for (int j = 0; j < 4; j++) {
                int k = c % 2 * 4 + j;
                put(p, k, i_or(i_and(a[j], LOW), i_and(i_left(h[j], 4), top)));
                put(p + 1, k, i_or(i_and(f[j], LOW), i_and(i_left(h[j], 2), top)));
                put(p + 2, k, i_or(i_and(i_right(a[j], 4), LOW), i_and(h[j], top)));
                put(p + 3, k, i_or(i_and(i_right(f[j], 4), LOW), i_and(i_right(h[j], 2), top)));
            }
        }
    }
}

/* clang-format off */
/* `tokens` rows of x times n blocks of a panel, added to what y has, or to 0. */
VEC void tile(const int form, const int span, const int tokens, int shift, int64_t n, const panel *w, const sc_packed *x,
              int64_t ldx, float *y, int64_t ldy, int lanes, bool begin)
{
    vf acc[TILE];
    UNROLL for (int i = 0; i < tokens; i++)
        acc[i] = begin ? v_set(0) : lanes < W ? v_load_n(y + i * ldy, lanes) : v_load(y + i * ldy);
    for (int64_t b = 0; b < n; b++, w++, x++) {
        vi s[TILE];
        vf d = v_load(w->d), m = v_load(w->m);
        if (form == FORM_HALVES) {
            UNROLL for (int i = 0; i < tokens; i++) s[i] = i_left_by(i_set(x[i * ldx].minus_half), shift);
            dots(span, 4, w->q, tokens, x, ldx, 0, s);
            UNROLL for (int i = 0; i < tokens; i++)
                acc[i] = v_fma(v_mul(d, v_set(x[i * ldx].scale)), i_float(s[i]), acc[i]);
            UNROLL for (int i = 0; i < tokens; i++)
                s[i] = i_left_by(i_sub(i_set(x[i * ldx].minus_sum), i_set(x[i * ldx].minus_half)), shift);
            dots(span, 4, w->q + 16 * W, tokens, x, ldx, 16, s);
            UNROLL for (int i = 0; i < tokens; i++)
                acc[i] = v_fma(v_mul(m, v_set(x[i * ldx].scale)), i_float(s[i]), acc[i]);
            continue;
        }
        UNROLL for (int i = 0; i < tokens; i++)
            s[i] = form == FORM_MIN || (span == 1 && BYTES_SHIFT < 0) ? i_set(0)
                                                                      : i_left_by(i_set(x[i * ldx].minus_sum), shift);
        dots(span, 8, w->q, tokens, x, ldx, 0, s);
        UNROLL for (int i = 0; i < tokens; i++) {
            acc[i] = v_fma(v_mul(d, v_set(x[i * ldx].scale)), i_float(s[i]), acc[i]);
            if (form == FORM_MIN) acc[i] = v_fma(m, v_set(x[i * ldx].scaled_sum), acc[i]);
        }
    }
    UNROLL for (int i = 0; i < tokens; i++)
        if (lanes < W) v_store_n(y + i * ldy, acc[i], lanes);
        else v_store(y + i * ldy, acc[i]);
}
/* clang-format on */

typedef void strip_fn(int shift, int64_t nx, int64_t n, const panel *w, const sc_packed *x, int64_t ldx, float *y,
                      int64_t ldy, int lanes, bool begin);

/* All rows of x times one panel. */
#define STRIP(name, form, span)                                                                                    \
    KERNEL void strip_##name(int shift, int64_t nx, int64_t n, const panel *w, const sc_packed *x, int64_t ldx,    \
                             float *y, int64_t ldy, int lanes, bool begin)                                         \
    {                                                                                                              \
        int64_t i = 0;                                                                                             \
        for (; i + TILE <= nx; i += TILE)                                                                          \
            tile(form, span, TILE, shift, n, w, x + i * ldx, ldx, y + i * ldy, ldy, lanes, begin);                 \
        if (TILE > 4 && i + 4 <= nx) {                                                                             \
            tile(form, span, 4, shift, n, w, x + i * ldx, ldx, y + i * ldy, ldy, lanes, begin);                    \
            i += 4;                                                                                                \
        }                                                                                                          \
        if (i + 2 <= nx) {                                                                                         \
            tile(form, span, 2, shift, n, w, x + i * ldx, ldx, y + i * ldy, ldy, lanes, begin);                    \
            i += 2;                                                                                                \
        }                                                                                                          \
        if (i < nx) tile(form, span, 1, shift, n, w, x + i * ldx, ldx, y + i * ldy, ldy, lanes, begin);            \
    }
STRIP(min_4, FORM_MIN, 8)
STRIP(min_5, FORM_MIN, 4)
STRIP(offset_4, FORM_OFFSET, 8)
STRIP(offset_5, FORM_OFFSET, 4)
STRIP(offset_8, FORM_OFFSET, 1)
STRIP(halves_6, FORM_HALVES, 2)

typedef struct kind {
    unpack_fn *unpack;
    strip_fn *strip;
    int elements, bytes, shift;
} kind;

typedef struct product {
    int64_t nx, nw, k;
    const sc_packed *x;
    int64_t ldx;
    const uint8_t *w;
    int64_t stride;
    float *y;
    int64_t ldy;
} product;

/* W rows of w from row j, elements c .. c + PANEL of each. */
static inline void part(const kind *t, const product *p, int64_t j, int64_t c)
{
    _Alignas(64) panel room[PANEL / 32];
    uint8_t copy[W * PANEL / 32 * 34];
    int64_t lanes = p->nw - j < W ? p->nw - j : W, n = p->k - c < PANEL ? p->k - c : PANEL, stride = p->stride;
    int64_t at = c / t->elements * t->bytes, bytes = n / t->elements * t->bytes;
    const uint8_t *w = p->w + j * stride, *ahead = w;
    if (lanes < W) { /* rows beyond the last: zeros, of which nothing is stored */
        for (int64_t r = 0; r < lanes; r++) memcpy(copy + r * bytes, w + r * stride + at, (size_t)bytes);
        memset(copy + lanes * bytes, 0, (size_t)((W - lanes) * bytes));
        t->unpack(copy, bytes, n / t->elements, room, copy);
    } else {
        /* The next panel is fetched evenly over the time of this one. */
        if (j + 2 * W <= p->nw) ahead += W * stride + W * at;
        t->unpack(w + at, stride, n / t->elements, room, ahead);
    }
    t->strip(t->shift, p->nx, n / 32, room, p->x + c / 32, p->ldx, p->y + j, p->ldy, (int)lanes, c == 0);
}

static void multiply(const kind *t, const product *p)
{
    /* As many rows of x as the second cache holds stay there, and w is read row by row; more are read again for every
     * panel, so only the part of them that one panel meets is kept for all panels. */
    if (p->nx * p->k <= X_KEPT) {
        for (int64_t i = 0; p->nx <= TILE && p->nw >= W && i < W * p->stride; i += 64)
            __builtin_prefetch(p->w + i, 0, 2);
        for (int64_t j = 0; j < p->nw; j += W)
            for (int64_t c = 0; c == 0 || c < p->k; c += PANEL) part(t, p, j, c);
    } else {
        for (int64_t c = 0; c == 0 || c < p->k; c += PANEL)
            for (int64_t j = 0; j < p->nw; j += W) part(t, p, j, c);
    }
}

#define PACKED_KINDS(X)                                                                                            \
    X(Q4_0, q4_0, offset_4, 32, 18, 3)                                                                             \
    X(Q4_1, q4_1, min_4, 32, 20, 0)                                                                                \
    X(Q5_0, q5_0, offset_5, 32, 22, 4)                                                                             \
    X(Q5_1, q5_1, min_5, 32, 24, 0)                                                                                \
    X(Q8_0, q8_0, offset_8, 32, 34, BYTES_SHIFT)                                                                   \
    X(IQ4_NL, iq4_nl, offset_8, 32, 18, BYTES_SHIFT)                                                               \
    X(Q4_K, q4_k, min_4, 256, 144, 0)                                                                              \
    X(Q5_K, q5_k, min_5, 256, 176, 0)                                                                              \
    X(Q6_K, q6_k, halves_6, 256, 210, 5)

#define DEFINE(ID, name, form, elements, bytes, shift)                                                             \
    static void matmul_packed_##name(int64_t nx, int64_t nw, int64_t k, const sc_packed *x, int64_t ldx,           \
                                     const void *w, int64_t stride, float *y, int64_t ldy)                         \
    {                                                                                                              \
        multiply(&(kind){unpack_##name, strip_##form, elements, bytes, shift},                                     \
                 &(product){nx, nw, k, x, ldx, w, stride, y, ldy});                                                \
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
#define SET(ID, name, form, elements, bytes, shift) k->matmul_packed[SC_##ID] = matmul_packed_##name;
    PACKED_KINDS(SET)
}
