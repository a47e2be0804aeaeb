/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel of every level that this machine has, against the reference: the table itself says what there is to
 * check, and a kernel without a check here does not compile. Beyond the values: memory after the outputs stays
 * untouched, misaligned arrays and work in place give the same bits, and so does each element computed alone.
 *
 * A program of its own without a test library, so that it also runs for other processors (neon.sh). */
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *level_name = "", *kernel_name = "";
static int passed, failed, faults;

#define CHECK(ok, ...)                                                                                             \
    do {                                                                                                           \
        if (!(ok) && faults++ < 4) {                                                                               \
            printf("%s: %s: line %d: ", level_name, kernel_name, __LINE__);                                        \
            printf(__VA_ARGS__);                                                                                   \
            printf("\n");                                                                                          \
        }                                                                                                          \
    } while (0)

/* ---- material ---- */

static uint64_t rng_state = 0x9e3779b97f4a7c15u;

static uint32_t random_bits(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (uint32_t)(rng_state >> 32);
}

static int random_below(int n) { return (int)(random_bits() % (unsigned)n); }
static float random_uniform(void) { return (float)random_bits() * 0x1p-31f - 1; } /* [-1, 1] */
static float random_normal(void)
{
    float sum = 0;
    for (int i = 0; i < 6; i++) sum += random_uniform();
    return sum * 0.70710678f;
}

/* An array of n elements of `size` bytes with a guard on either side, `shift` bytes off alignment. */
typedef struct block {
    uint8_t *base;
    void *p;
    size_t bytes;
} block;

enum { GUARD = 96 };

static block make(int64_t n, size_t size, int shift)
{
    block b;
    b.bytes = (size_t)n * size;
    b.base = malloc(b.bytes + 2 * GUARD + 64);
    if (!b.base) exit(2);
    memset(b.base, 0xa5, b.bytes + 2 * GUARD + 64);
    b.p = b.base + GUARD + shift;
    return b;
}

/* n bytes that begin at a cache line. */
static block lines(int64_t n)
{
    block b = make(n, 1, 0);
    b.p = (uint8_t *)b.p + (64 - (uintptr_t)b.p % 64) % 64;
    return b;
}

static block floats(int64_t n, int shift) { return make(n, sizeof(float), shift * (int)sizeof(float)); }

static block normals(int64_t n, int shift, float scale)
{
    block b = floats(n, shift);
    for (int64_t i = 0; i < n; i++) ((float *)b.p)[i] = random_normal() * scale;
    return b;
}

/* Ends the array; its guards must be as they were. */
static void drop(block b)
{
    size_t before = (size_t)((uint8_t *)b.p - b.base), all = b.bytes + 2 * GUARD + 64, bad = 0;
    for (size_t i = 0; i < before; i++) bad += b.base[i] != 0xa5;
    for (size_t i = before + b.bytes; i < all; i++) bad += b.base[i] != 0xa5;
    CHECK(!bad, "%zu bytes beside an array of %zu bytes were written", bad, b.bytes);
    free(b.base);
}

/* Lengths around every multiple of the vector widths, and long ones. */
static const int lengths[] = {0,  1,  2,  3,  4,  5,  6,   7,   8,   9,   11,  12,  13,   15,
                              16, 17, 19, 23, 24, 25, 31,  32,  33,  35,  47,  48,  49,   63,
                              64, 65, 79, 95, 96, 97, 127, 128, 129, 200, 255, 257, 1000, 4099};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

static bool same(float a, float b) { return (isnan(a) && isnan(b)) || sc_float_bits(a) == sc_float_bits(b); }

static void check_same(const float *a, const float *b, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++)
        CHECK(same(a[i], b[i]), "%s: element %lld of %lld is %.9g, not %.9g", what, (long long)i, (long long)n,
              (double)a[i], (double)b[i]);
}

static void check_near(float got, float want, double tolerance, int64_t i, int64_t n)
{
    bool ok = isfinite(want) ? fabs((double)got - want) <= tolerance : same(got, want);
    CHECK(ok, "element %lld of %lld is %.9g, not %.9g; allowed %.3g", (long long)i, (long long)n, (double)got,
          (double)want, tolerance);
}

/* The rounding error of a sum of n terms in f32: half a unit each time, which adds like a random walk. */
static double sum_error(int64_t n) { return 0x1p-24 * (8 + 2 * sqrt((double)n)); }

/* ---- products ---- */

static void check_nt_shape(const sc_kernels *k, const sc_kernels *ref, int nx, int nw, int len)
{
    int ldx = len + random_below(5), ldw = len + random_below(5), ldy = nw + random_below(4),
        shift = random_below(4);
    block bx = normals((int64_t)nx * ldx, shift, 1), bw = normals((int64_t)nw * ldw, 3 - shift, 1);
    block by = floats((int64_t)nx * ldy, shift), br = floats((int64_t)nx * ldy, 0);
    float *x = bx.p, *w = bw.p, *y = by.p, *r = br.p;
    for (int i = 0; i < nx; i++)
        for (int l = len; l < ldx; l++) x[i * ldx + l] = NAN; /* between the rows: to be left out */
    for (int j = 0; j < nw; j++)
        for (int l = len; l < ldw; l++) w[j * ldw + l] = NAN;
    k->matmul_nt(nx, nw, len, x, ldx, w, ldw, y, ldy);
    ref->matmul_nt(nx, nw, len, x, ldx, w, ldw, r, ldy);
    for (int i = 0; i < nx; i++)
        for (int j = 0; j < nw; j++) {
            double scale = 0;
            for (int l = 0; l < len; l++) scale += fabs((double)x[i * ldx + l] * w[j * ldw + l]);
            /* relative to the sum of the magnitudes */
            check_near(y[i * ldy + j], r[i * ldy + j], sum_error(len) * scale, i * nw + j, nx * nw);
            float alone;
            k->matmul_nt(1, 1, len, x + i * ldx, ldx, w + j * ldw, ldw, &alone, 1);
            check_same(&alone, &y[i * ldy + j], 1, "alone");
        }
    for (int i = 0; i < nx; i++)
        for (int j = nw; j < ldy; j++) CHECK(sc_float_bits(y[i * ldy + j]) == 0xa5a5a5a5u, "between the rows of y");
    /* a part of the rows of either, at another alignment */
    int i0 = random_below(nx), j0 = random_below(nw), pw = nw - j0;
    block bp = floats((int64_t)(nx - i0) * pw, 1);
    float *part = bp.p;
    k->matmul_nt(nx - i0, pw, len, x + i0 * ldx, ldx, w + j0 * ldw, ldw, part, pw);
    for (int i = i0; i < nx; i++) check_same(part + (i - i0) * pw, y + i * ldy + j0, pw, "part");
    drop(bp);
    drop(bx);
    drop(bw);
    drop(by);
    drop(br);
}

static void check_matmul_nt(const sc_kernels *k, const sc_kernels *ref)
{
    for (int nx = 1; nx <= 14; nx++)
        for (int nw = 1; nw <= 18; nw += 1 + random_below(3)) check_nt_shape(k, ref, nx, nw, random_below(70));
    for (int i = 0; i < LENGTHS; i++) check_nt_shape(k, ref, 1 + random_below(8), 1 + random_below(10), lengths[i]);
    check_nt_shape(k, ref, 13, 150, 1003); /* more of w than is kept in the cache at once */
    check_nt_shape(k, ref, 1, 70, 2100);
}

static void check_nn_shape(const sc_kernels *k, const sc_kernels *ref, int nx, int n, int len)
{
    int ldp = len + random_below(5), ldv = n + random_below(5), ldy = n + random_below(4), shift = random_below(4);
    block bp = normals((int64_t)nx * ldp, shift, 1), bv = normals((int64_t)len * ldv, 3 - shift, 1);
    block by = normals((int64_t)nx * ldy, shift, 1), br = floats((int64_t)nx * ldy, 0),
          bs = floats((int64_t)nx * ldy, 1);
    float *p = bp.p, *v = bv.p, *y = by.p, *r = br.p, *split = bs.p;
    block bo = floats((int64_t)nx * ldy, 2);
    float *old = bo.p;
    memcpy(r, y, by.bytes);
    memcpy(split, y, by.bytes);
    memcpy(old, y, by.bytes);
    k->matmul_nn_acc(nx, n, len, p, ldp, v, ldv, y, ldy);
    ref->matmul_nn_acc(nx, n, len, p, ldp, v, ldv, r, ldy);
    for (int i = 0; i < nx; i++) {
        for (int d = 0; d < n; d++) {
            double scale = fabs((double)old[i * ldy + d]);
            for (int j = 0; j < len; j++) scale += fabs((double)p[i * ldp + j] * v[j * ldv + d]);
            check_near(y[i * ldy + d], r[i * ldy + d], sum_error(len) * scale, i * n + d, nx * n);
            float alone = old[i * ldy + d];
            k->matmul_nn_acc(1, 1, len, p + i * ldp, ldp, v + d, ldv, &alone, 1);
            check_same(&alone, &y[i * ldy + d], 1, "alone");
        }
        check_same(y + i * ldy + n, old + i * ldy + n, ldy - n, "between the rows of y");
    }
    int cut = random_below(len + 1); /* in the order of j: two calls do what one does */
    k->matmul_nn_acc(nx, n, cut, p, ldp, v, ldv, split, ldy);
    k->matmul_nn_acc(nx, n, len - cut, p + cut, ldp, v + (int64_t)cut * ldv, ldv, split, ldy);
    check_same(split, y, (int64_t)nx * ldy, "in two parts");
    drop(bp);
    drop(bv);
    drop(by);
    drop(br);
    drop(bs);
    drop(bo);
}

static void check_matmul_nn_acc(const sc_kernels *k, const sc_kernels *ref)
{
    for (int nx = 1; nx <= 9; nx++)
        for (int i = 1; i < LENGTHS - 2; i++) check_nn_shape(k, ref, nx, lengths[i], random_below(20));
    check_nn_shape(k, ref, 5, 130, 1000);
}

/* ---- panels ---- */

/* n rows as a panel, from rows (`turned` false) or from columns, at any alignment; malloc's. */
static block panel_of(const sc_kernels *k, const float *x, int64_t n, int64_t len, int64_t ldx, bool turned,
                      int64_t width)
{
    int64_t ld = (turned ? n : len) + random_below(4);
    block b = make(turned ? len * ld : n * ld, 4, random_below(4) * 4),
          p = make((len + 15) / 16 * 16 * width, 4, 0);
    for (int64_t i = 0; i < n; i++)
        for (int64_t l = 0; l < len; l++)
            memcpy((float *)b.p + (turned ? l * ld + i : i * ld + l), x + i * ldx + l, sizeof *x);
    k->pack_panel(n, len, b.p, turned ? 1 : ld, turned ? ld : 1, p.p, width);
    drop(b);
    return p;
}

/* All panels, as the caller of the kernels does it. */
static void panels_product(const sc_kernels *k, bool pairs, int nx, int nw, int len, const float *x, const float *w,
                           float *y, int ldy, const float *bias, const float *residual)
{
    for (int j = 0; j < nw; j += k->panel_cols) {
        int n = nw - j < k->panel_cols ? nw - j : k->panel_cols;
        block bw = panel_of(k, w + (int64_t)j * len, n, len, len, random_below(2), k->panel_cols);
        for (int i = 0, rows; i < nx; i += rows) {
            rows = 1 + random_below(nx - i < k->panel_rows ? nx - i : k->panel_rows);
            block bx = panel_of(k, x + (int64_t)i * len, rows, len, len, random_below(2), rows);
            (pairs ? k->multiply_panels_bf16
                   : k->multiply_panels)(rows, len, bx.p, bw.p, n, y + (int64_t)i * ldy + j, ldy,
                                         bias ? bias + j : NULL, residual ? residual + (int64_t)i * ldy + j : NULL);
            drop(bx);
        }
        drop(bw);
    }
}

static void check_panels_shape(const sc_kernels *k, const sc_kernels *ref, int nx, int nw, int len)
{
    int ldy = nw + random_below(4), form = random_below(4);
    block bx = normals((int64_t)nx * len, 0, 1), bw = normals((int64_t)nw * len, 1, 1);
    block by = floats((int64_t)nx * ldy, random_below(4)), br = normals((int64_t)nx * ldy, 2, 1),
          bb = normals(nw, 3, 1);
    float *x = bx.p, *w = bw.p, *y = by.p, *bias = form & 1 ? bb.p : NULL, *residual = form & 2 ? br.p : NULL;
    panels_product(k, false, nx, nw, len, x, w, y, ldy, bias, residual);
    for (int i = 0; i < nx; i++) {
        for (int j = 0; j < nw; j++) {
            float want, plain;
            double scale = 0;
            for (int l = 0; l < len; l++) scale += fabs((double)x[i * len + l] * w[j * len + l]);
            ref->matmul_nt(1, 1, len, x + i * len, len, w + j * len, len, &want, 1);
            k->matmul_nt(1, 1, len, x + i * len, len, w + j * len, len, &plain, 1);
            check_near(plain, want, sum_error(len) * scale, i * nw + j, nx * nw);
            if (bias) plain += bias[j];
            if (residual) plain += residual[i * ldy + j];
            check_same(&y[i * ldy + j], &plain, 1, "not the bits of matmul_nt");
        }
        for (int j = nw; j < ldy; j++) CHECK(sc_float_bits(y[i * ldy + j]) == 0xa5a5a5a5u, "between the rows of y");
    }
    drop(bx);
    drop(bw);
    drop(by);
    drop(br);
    drop(bb);
}

static void check_multiply_panels(const sc_kernels *k, const sc_kernels *ref)
{
    for (int nx = 1; nx <= 30; nx++)
        for (int nw = 1; nw <= 70; nw += 1 + random_below(12)) check_panels_shape(k, ref, nx, nw, random_below(70));
    for (int i = 0; i < LENGTHS; i++)
        check_panels_shape(k, ref, 1 + random_below(16), 1 + random_below(50), lengths[i]);
}

/* Any bits, in any place of a panel, must come through: by multiplying rows of one 1 with them. */
static void check_pack_panel(const sc_kernels *k, const sc_kernels *ref)
{
    (void)ref;
    for (int round = 0; round < 60; round++) {
        int n = 1 + random_below(40), width = n + random_below(3),
            len = round % 3 ? random_below(70) : lengths[round % LENGTHS];
        block b = make((int64_t)n * len, 4, 0);
        for (int64_t i = 0; i < (int64_t)n * len; i++) ((uint32_t *)b.p)[i] = random_bits() | 1;
        block rows = panel_of(k, b.p, n, len, len, false, width), cols = panel_of(k, b.p, n, len, len, true, width);
        uint32_t *p = rows.p;
        int64_t filled = 0, zeros = 0, untouched = 0, all = (int64_t)(rows.bytes / 4);
        CHECK(!memcmp(rows.p, cols.p, rows.bytes), "rows and columns give different panels");
        for (int64_t i = 0; i < all; i++) {
            bool in_row = i % width < n;
            if (p[i] == 0xa5a5a5a5u && i >= all - 15 * width)
                untouched++; /* lengths are rounded up to vectors, which may be shorter */
            else if (in_row && p[i])
                filled++;
            else
                zeros += p[i] == 0;
        }
        CHECK(filled == (int64_t)n * len && filled + zeros + untouched == all, "%lld of %lld values in the panel",
              (long long)filled, (long long)n * len);
        drop(rows);
        drop(cols);
        drop(b);
    }
}

/* bf16 rows of w and f32 rows of x as they are rounded to it; what bf16 gives is the definition on those values, up to
 * the order of sums, and both kernels give the same bits. */
static void check_bf16_shape(const sc_kernels *k, const sc_kernels *ref, int nx, int nw, int pairs, bool panels)
{
    int len = 2 * pairs, ldw = len + random_below(5), ldy = nw + random_below(4), shift = random_below(4);
    block bx = normals((int64_t)nx * len, shift, 1), bw = make((int64_t)nw * ldw, 2, 2 * shift);
    block bf = floats((int64_t)nx * len, 0), bv = floats((int64_t)nw * len, 0),
          by = floats((int64_t)nx * ldy, 3 - shift);
    block bp = make((int64_t)nx * len, 2, 0), bq = make((int64_t)nw * len, 2, 0);
    float *x = bx.p, *rounded = bf.p, *values = bv.p, *y = by.p;
    if (len > 4) x[3] = 1e-40f; /* taken as zero by some machines: too small to matter */
    for (int j = 0; j < nw; j++) {
        uint16_t *row = (uint16_t *)bw.p + j * ldw;
        for (int l = 0; l < ldw; l++) row[l] = l < len ? (uint16_t)(sc_float_bits(random_normal()) >> 16) : 0x7fc0;
        ref->dequantize[SC_BF16](row, values + j * len, len);
        memcpy((uint16_t *)bq.p + j * len, row, (size_t)len * 2);
    }
    ref->quantize[SC_BF16](x, bp.p, (int64_t)nx * len);
    ref->dequantize[SC_BF16](bp.p, rounded, (int64_t)nx * len);
    if (panels)
        panels_product(k, true, nx, nw, pairs, bp.p, bq.p, y, ldy, NULL, NULL);
    else
        k->matmul_nt_bf16(nx, nw, len, x, len, bw.p, ldw * 2, y, ldy);
    for (int i = 0; i < nx; i++)
        for (int j = 0; j < nw; j++) {
            double scale = 1e-30;
            float want, alone;
            for (int l = 0; l < len; l++) scale += fabs((double)rounded[i * len + l] * values[j * len + l]);
            ref->matmul_nt(1, 1, len, rounded + i * len, len, values + j * len, len, &want, 1);
            check_near(y[i * ldy + j], want, sum_error(len) * scale, i * nw + j, nx * nw);
            k->matmul_nt_bf16(1, 1, len, x + i * len, len, (uint16_t *)bw.p + j * ldw, ldw * 2, &alone, 1);
            check_same(&alone, &y[i * ldy + j], 1, "alone");
        }
    drop(bx);
    drop(bw);
    drop(bf);
    drop(bv);
    drop(by);
    drop(bp);
    drop(bq);
}

static void check_bf16(const sc_kernels *k, const sc_kernels *ref, bool panels)
{
    for (int nx = 1; nx <= 20; nx++)
        for (int nw = 1; nw <= 70; nw += 1 + random_below(20))
            check_bf16_shape(k, ref, nx, nw, random_below(40), panels);
    for (int i = 0; i < LENGTHS; i++)
        check_bf16_shape(k, ref, 1 + random_below(9), 1 + random_below(40), lengths[i], panels);
}

static void check_multiply_panels_bf16(const sc_kernels *k, const sc_kernels *ref) { check_bf16(k, ref, true); }
static void check_matmul_nt_bf16(const sc_kernels *k, const sc_kernels *ref) { check_bf16(k, ref, false); }

/* ---- element by element ---- */

/* One call of a kernel of two arrays at most; `extra` its scalar. */
typedef void each_fn(const sc_kernels *k, int which, int64_t n, const float *a, const float *b, float *y);

/* The same bits: in place of a and of b, at other alignments, and for each element alone. */
static void check_each(const sc_kernels *k, each_fn *f, int which, int64_t n, const float *a, const float *b,
                       const float *y)
{
    for (int shift = 0; shift < 4; shift++) {
        block ba = floats(n, shift), bb = floats(n, 3 - shift);
        if (n) memcpy(ba.p, a, ba.bytes);
        if (n) memcpy(bb.p, b, bb.bytes);
        bool second = shift & 1;
        f(k, which, n, ba.p, bb.p, second ? bb.p : ba.p);
        check_same(second ? bb.p : ba.p, y, n, "in place");
        drop(ba);
        drop(bb);
    }
    for (int64_t i = 0; i < n; i++) {
        float alone;
        f(k, which, 1, a + i, b + i, &alone);
        check_same(&alone, y + i, 1, "alone");
    }
}

static void each_binary(const sc_kernels *k, int which, int64_t n, const float *a, const float *b, float *y)
{
    (which ? k->mul : k->add)(n, a, b, y);
}

static void check_binary(const sc_kernels *k, const sc_kernels *ref, int which)
{
    for (int l = 0; l < LENGTHS; l++) {
        int64_t n = lengths[l];
        block ba = normals(n, 1, 10), bb = normals(n, 2, 10), by = floats(n, 3), br = floats(n, 0);
        if (n > 3) ((float *)ba.p)[n - 1] = INFINITY, ((float *)bb.p)[n - 2] = NAN, ((float *)ba.p)[0] = 1e-42f;
        each_binary(k, which, n, ba.p, bb.p, by.p);
        each_binary(ref, which, n, ba.p, bb.p, br.p);
        check_same(by.p, br.p, n, "exact"); /* one rounding in f32 on both sides */
        check_each(k, each_binary, which, n, ba.p, bb.p, by.p);
        drop(ba);
        drop(bb);
        drop(by);
        drop(br);
    }
}

static void check_add(const sc_kernels *k, const sc_kernels *ref) { check_binary(k, ref, 0); }
static void check_mul(const sc_kernels *k, const sc_kernels *ref) { check_binary(k, ref, 1); }

static void each_scale(const sc_kernels *k, int which, int64_t n, const float *a, const float *b, float *y)
{
    (void)which;
    k->scale(n, y == b ? b : a, 1.7f, y); /* in place of either */
}

static void check_scale(const sc_kernels *k, const sc_kernels *ref)
{
    for (int l = 0; l < LENGTHS; l++) {
        int64_t n = lengths[l];
        block ba = normals(n, 1, 10), by = floats(n, 3), br = floats(n, 0);
        each_scale(k, 0, n, ba.p, NULL, by.p);
        each_scale(ref, 0, n, ba.p, NULL, br.p);
        check_same(by.p, br.p, n, "exact");
        check_each(k, each_scale, 0, n, ba.p, ba.p, by.p);
        drop(ba);
        drop(by);
        drop(br);
    }
}

static void each_unary(const sc_kernels *k, int which, int64_t n, const float *a, const float *b, float *y)
{
    k->unary[which](n, y == b ? b : a, y);
}

/* What a unary function may err by at x with the value y. */
static double unary_tolerance(int which, double x, double y)
{
    double relative = 4e-7; /* exp to about one unit, and the two or three roundings around it */
    if (which == SC_UNARY_RELU) relative = 0;
    if (which == SC_UNARY_GELU) relative = 8e-7; /* and a polynomial whose terms nearly cancel far from 0 */
    if (which == SC_UNARY_GELU_TANH)
        relative += x < 0 ? 3e-7 * fabs(1.6 * (x + 0.0447 * x * x * x)) : 0; /* exp's argument, rounded */
    return relative * fabs(y) + (which == SC_UNARY_RELU ? 0 : 1e-36);        /* under that exp has overflowed */
}

static void check_unary(const sc_kernels *k, const sc_kernels *ref, int which)
{
    static const float special[] = {0.0f,  -0.0f,  1e-42f, -1e-42f,  1e-30f,    -1e-30f, 0.625f, -0.625f,
                                    87.5f, -87.5f, 88.8f,  -88.8f,   104,       -104.5f, 1e30f,  -1e30f,
                                    14.5f, -14.5f, 9,      INFINITY, -INFINITY, NAN};
    for (int l = 0; l < LENGTHS; l++) {
        int64_t n = lengths[l];
        block bx = normals(n, 1, l % 3 ? 3 : 20), by = floats(n, 2), br = floats(n, 0);
        float *x = bx.p, *y = by.p, *r = br.p;
        for (int64_t i = 0; i < n && i < (int)(sizeof special / sizeof *special); i++)
            if (l % 2) x[n - 1 - i] = special[i];
        k->unary[which](n, x, y);
        ref->unary[which](n, x, r);
        for (int64_t i = 0; i < n; i++) check_near(y[i], r[i], unary_tolerance(which, x[i], r[i]), i, n);
        check_each(k, each_unary, which, n, x, x, y);
        drop(bx);
        drop(by);
        drop(br);
    }
}

/* ---- steps of recurrences ---- */

static void check_conv_taps(const sc_kernels *k, const sc_kernels *ref)
{
    for (int l = 1; l < LENGTHS - 2; l++)
        for (int taps = 1; taps < 6; taps++) {
            int64_t n = lengths[l], ldw = n + random_below(3);
            block bw = normals(taps * ldw, 1, 1), bb = normals(n, 2, 1), by = floats(n, 3), br = floats(n, 0),
                  bx[6];
            const float *x[6];
            const float *w = bw.p, *bias = taps % 2 ? bb.p : NULL;
            for (int j = 0; j < taps; j++) bx[j] = normals(n, j % 4, 1), x[j] = bx[j].p;
            k->conv_taps(n, taps, x, w, ldw, bias, by.p);
            ref->conv_taps(n, taps, x, w, ldw, bias, br.p);
            for (int64_t i = 0; i < n; i++) {
                const float *one[6];
                float alone;
                check_near(((float *)by.p)[i], ((float *)br.p)[i], 2e-6 * taps, i, n);
                for (int j = 0; j < taps; j++) one[j] = x[j] + i;
                k->conv_taps(1, taps, one, w + i, ldw, bias ? bias + i : NULL, &alone);
                check_same(&alone, (float *)by.p + i, 1, "alone");
            }
            for (int j = 0; j < taps; j++) drop(bx[j]);
            drop(bw);
            drop(bb);
            drop(by);
            drop(br);
        }
}

enum { SELECTIVE, DECAY, DELTA };

static void one_step(const sc_kernels *k, int which, int64_t rows, int64_t n, const float *a, const float *dt,
                     const float *x, const float *b, const float *c, float *s, float *y)
{
    if (which == SELECTIVE) k->selective_step(rows, n, a, dt, x, b, c, s, y);
    if (which == DECAY) k->decay_step(rows, n, 0.7f, x, b, c, s, y);
    if (which == DELTA) k->delta_step(rows, n, 0.7f, 0.6f, b, c, x, s, y);
}

static void check_step(const sc_kernels *k, const sc_kernels *ref, int which)
{
    for (int l = 1; l < LENGTHS - 2; l++)
        for (int rows = 1; rows < 8; rows++) {
            int64_t n = lengths[l], all = rows * n;
            float small = 1 / sqrtf((float)n);
            block ba = normals(all, 1, 1), bd = normals(rows, 2, 0.5f), bx = normals(rows, 3, 1),
                  bb = normals(n, 1, small), bc = normals(n, 2, small), bs = normals(all, 3, 1),
                  br = floats(all, 0), before = floats(all, 1), by = floats(rows, 1), bw = floats(rows, 0);
            float *a = ba.p, *dt = bd.p, *x = bx.p, *s = bs.p, *y = by.p, *r = br.p, *old = before.p;
            for (int64_t i = 0; i < all; i++) a[i] = -fabsf(a[i]);
            for (int i = 0; i < rows; i++) dt[i] = fabsf(dt[i]);
            memcpy(r, s, bs.bytes);
            memcpy(old, s, bs.bytes);
            one_step(k, which, rows, n, a, dt, x, bb.p, bc.p, s, y);
            one_step(ref, which, rows, n, a, dt, x, bb.p, bc.p, r, bw.p);
            for (int64_t i = 0; i < all; i++) check_near(s[i], r[i], 4e-6, i, all);
            for (int i = 0; i < rows; i++) {
                float alone;
                check_near(y[i], ((float *)bw.p)[i], 1e-5, i, rows);
                one_step(k, which, 1, n, a + i * n, dt + i, x + i, bb.p, bc.p, old + i * n, &alone);
                check_same(&alone, y + i, 1, "alone");
            }
            check_same(old, s, all, "states alone");
            block *const blocks[] = {&ba, &bd, &bx, &bb, &bc, &bs, &br, &before, &by, &bw};
            for (int i = 0; i < (int)(sizeof blocks / sizeof *blocks); i++) drop(*blocks[i]);
        }
}

static void check_selective_step(const sc_kernels *k, const sc_kernels *ref) { check_step(k, ref, SELECTIVE); }
static void check_decay_step(const sc_kernels *k, const sc_kernels *ref) { check_step(k, ref, DECAY); }
static void check_delta_step(const sc_kernels *k, const sc_kernels *ref) { check_step(k, ref, DELTA); }

/* ---- rows ---- */

static void check_norm(const sc_kernels *k, const sc_kernels *ref, bool layer)
{
    for (int l = 1; l < LENGTHS; l++)
        for (int form = 0; form < 4; form++) {
            int64_t n = lengths[l];
            block bx = normals(n, form, 2), bw = normals(n, 1, 1), bb = normals(n, 2, 1), by = floats(n, 3),
                  br = floats(n, 0);
            float *x = bx.p, *w = form & 1 ? bw.p : NULL, *b = form & 2 ? bb.p : NULL, *y = by.p, *r = br.p;
            for (int64_t i = 0; i < n; i++) x[i] += 3;
            if (layer)
                k->layer_norm(n, x, w, b, 1e-5f, y);
            else
                k->rms_norm(n, x, w, 1e-5f, y);
            if (layer)
                ref->layer_norm(n, x, w, b, 1e-5f, r);
            else
                ref->rms_norm(n, x, w, 1e-5f, r);
            double mean = 0, var = 0;
            for (int64_t i = 0; i < n; i++) mean += x[i] / (double)n;
            for (int64_t i = 0; i < n; i++) var += (x[i] - mean) * (x[i] - mean) / (double)n;
            for (int64_t i = 0; i < n; i++) {
                /* what was added up to the element: for layer_norm also the mean, in units of the deviation */
                double scale = fabs(r[i]), wi = w ? fabs(w[i]) : 1;
                if (layer) scale += (fabs(x[i]) + fabs(mean)) / sqrt(var + 1e-5) * wi + (b ? fabs(b[i]) : 0);
                check_near(y[i], r[i], sum_error(n) * scale, i, n);
            }
            memcpy(r, x, bx.bytes);
            if (layer)
                k->layer_norm(n, r, w, b, 1e-5f, r);
            else
                k->rms_norm(n, r, w, 1e-5f, r);
            check_same(r, y, n, "in place");
            drop(bx);
            drop(bw);
            drop(bb);
            drop(by);
            drop(br);
        }
}

static void check_rms_norm(const sc_kernels *k, const sc_kernels *ref) { check_norm(k, ref, false); }
static void check_layer_norm(const sc_kernels *k, const sc_kernels *ref) { check_norm(k, ref, true); }

#include "kernels_grad.h"

static void check_max(const sc_kernels *k, const sc_kernels *ref)
{
    for (int l = 1; l < LENGTHS; l++)
        for (int shift = 0; shift < 4; shift++) {
            int64_t n = lengths[l];
            block bx = normals(n, shift, 5);
            float *x = bx.p;
            for (int64_t i = 0; i < n; i++) x[i] -= 100;
            if (shift == 3)
                for (int64_t i = 0; i < n; i++) x[i] = -INFINITY;
            x[random_below((int)n)] = shift == 3 ? -INFINITY : -50;
            float got = k->max(n, x), want = ref->max(n, x);
            check_same(&got, &want, 1, "exact");
            drop(bx);
        }
}

static void check_exp_sum(const sc_kernels *k, const sc_kernels *ref)
{
    for (int l = 0; l < LENGTHS; l++)
        for (int form = 0; form < 4; form++) {
            int64_t n = lengths[l];
            block bx = normals(n, form, form & 1 ? 40 : 3), by = floats(n, 1), br = floats(n, 0);
            float *x = bx.p, *y = by.p, *r = br.p, m = form == 3 ? -INFINITY : form == 2 ? 0 : 2.5f;
            for (int64_t i = 0; i < n; i++)
                if (form == 3 || !random_below(7)) x[i] = -INFINITY;
            float sum = k->exp_sum(n, x, m, y), want = ref->exp_sum(n, x, m, r);
            for (int64_t i = 0; i < n; i++) {
                /* one unit of exp, and the rounding of x - m, which exp turns into a relative error; denormals */
                double relative = 2e-7 + 0x1p-24 * fabs((double)x[i] - m);
                check_near(y[i], r[i], x[i] == -INFINITY ? 0 : relative * r[i] + 3e-45, i, n);
            }
            check_near(sum, want, (sum_error(n) + 2e-7 + 0x1p-24 * 120) * want, 0, 1);
            for (int64_t i = 0; i < n; i++) {
                float alone;
                k->exp_sum(1, x + i, m, &alone);
                check_same(&alone, y + i, 1, "alone");
            }
            float again = k->exp_sum(n, x, m, x);
            check_same(x, y, n, "in place");
            check_same(&again, &sum, 1, "the sum in place");
            drop(bx);
            drop(by);
            drop(br);
        }
}

static void check_rope(const sc_kernels *k, const sc_kernels *ref, bool halves)
{
    void (*f)(int64_t, const float *, const float *, const float *, float *) =
        halves ? k->rope_halves : k->rope_neighbours;
    for (int l = 0; l < LENGTHS; l++) {
        int64_t n = lengths[l];
        block bx = normals(2 * n, 1, 3), bc = floats(n, 2), bs = floats(n, 3), by = floats(2 * n, 1),
              br = floats(2 * n, 0);
        float *x = bx.p, *c = bc.p, *s = bs.p, *y = by.p, *r = br.p;
        for (int64_t i = 0; i < n; i++) {
            float angle = random_uniform() * 10;
            c[i] = cosf(angle);
            s[i] = sinf(angle);
        }
        f(n, x, c, s, y);
        (halves ? ref->rope_halves : ref->rope_neighbours)(n, x, c, s, r);
        for (int64_t i = 0; i < n; i++) {
            int64_t a = halves ? i : 2 * i, b = halves ? i + n : 2 * i + 1;
            double scale = fabs(x[a]) + fabs(x[b]); /* two roundings of products no larger than this */
            check_near(y[a], r[a], 0x1p-23 * scale, a, 2 * n);
            check_near(y[b], r[b], 0x1p-23 * scale, b, 2 * n);
            float pair[2] = {x[a], x[b]}, turned[2], both[2] = {y[a], y[b]};
            f(1, pair, c + i, s + i, turned);
            check_same(turned, both, 2, "alone");
        }
        f(n, x, c, s, x);
        check_same(x, y, 2 * n, "in place");
        drop(bx);
        drop(bc);
        drop(bs);
        drop(by);
        drop(br);
    }
}

static void check_rope_halves(const sc_kernels *k, const sc_kernels *ref) { check_rope(k, ref, true); }
static void check_rope_neighbours(const sc_kernels *k, const sc_kernels *ref) { check_rope(k, ref, false); }

/* ---- conversions: the same bits ---- */

static const struct dtype {
    const char *name;
    int block, bytes;
} dtypes[] = {
#define X(id, name, elements, bytes, gguf, st) {name, elements, bytes},
#include "socle/dtypes.def"
#undef X
};

static void check_dequantize(const sc_kernels *k, const sc_kernels *ref, int t)
{
    const struct dtype *d = &dtypes[t];
    for (int round = 0; round < 200; round++) {
        int64_t blocks = d->block == 1 ? lengths[round % LENGTHS] : random_below(6), n = blocks * d->block;
        block bx = make(blocks, (size_t)d->bytes, round % 5), by = floats(n, round % 4), br = floats(n, 0);
        for (size_t i = 0; i < bx.bytes; i++) ((uint8_t *)bx.p)[i] = (uint8_t)random_bits();
        k->dequantize[t](bx.p, by.p, n);
        ref->dequantize[t](bx.p, br.p, n);
        check_same(by.p, br.p, n, "exact");
        drop(bx);
        drop(by);
        drop(br);
    }
    if (d->block > 1) return;
    block bx = make(65536, 2, 1), by = floats(65536, 1), br = floats(65536, 0); /* all there are, NaNs to the bit */
    for (int i = 0; i < 65536; i++) sc_store_u16((uint8_t *)bx.p + 2 * i, (uint16_t)i);
    k->dequantize[t](bx.p, by.p, 65536);
    ref->dequantize[t](bx.p, br.p, 65536);
    for (int i = 0; i < 65536; i++)
        CHECK(sc_float_bits(((float *)by.p)[i]) == sc_float_bits(((float *)br.p)[i]), "16 bits %04x", i);
    drop(bx);
    drop(by);
    drop(br);
}

static void check_matvec(const sc_kernels *k, const sc_kernels *ref, int t)
{
    const struct dtype *d = &dtypes[t];
    for (int round = 0; round < 60; round++) {
        int64_t blocks = d->block == 1 ? lengths[round % LENGTHS] : random_below(6), n = blocks * d->block;
        int64_t nw = 1 + random_below(11), stride = blocks * d->bytes + random_below(4);
        block bx = normals(n, round % 4, 1), bf = floats(nw * n, 0), by = floats(nw, 1), br = floats(nw, 0);
        block bw = make(nw * stride, 1, round % 5), bm = floats(nw, 2);
        float *f = bf.p, *y = by.p, *r = br.p, *m = bm.p;
        for (int64_t j = 0; j < nw; j++) {
            for (int64_t i = 0; i < n; i++) f[i] = random_normal();
            ref->quantize[t](f, (uint8_t *)bw.p + j * stride, n);
        }
        for (int64_t j = 0; j < nw; j++) k->dequantize[t]((uint8_t *)bw.p + j * stride, f + j * n, n);
        k->matvec[t](nw, n, bx.p, bw.p, stride, y);
        ref->matvec[t](nw, n, bx.p, bw.p, stride, r);
        for (int64_t j = 0; j < nw; j++) {
            double scale = 0;
            for (int64_t i = 0; i < n; i++) scale += fabs((double)((float *)bx.p)[i] * f[j * n + i]);
            check_near(y[j], r[j], sum_error(n) * scale, j, nw);
        }
        k->matmul_nt(1, nw, n, bx.p, n, f, n, m, nw);
        check_same(y, m, nw, "as in two steps");
        ref->matmul_nt(1, nw, n, bx.p, n, f, n, m, nw);
        check_same(r, m, nw, "the reference as in two steps");
        drop(bx);
        drop(bf);
        drop(by);
        drop(br);
        drop(bw);
        drop(bm);
    }
}

/* Both: near the reference, and the bits of dequantize and the f32 product, whose reference is the reference's too. */
static void check_rows(const sc_kernels *k, const sc_kernels *ref, int t, bool dot)
{
    const struct dtype *d = &dtypes[t];
    for (int round = 0; round < 120; round++) {
        int64_t blocks = d->block == 1 ? lengths[round % LENGTHS] : random_below(6), n = blocks * d->block;
        int64_t nx = 1 + round % 9, nw = 1 + random_below(34), stride = blocks * d->bytes + random_below(4);
        int64_t inner = dot ? n : nw, outer = dot ? nw : n, ldx = inner + random_below(3),
                ldy = outer + random_below(3);
        block bx = normals(nx * ldx, round % 4, 1), bf = floats(nw * n, 0), bw = make(nw * stride, 1, round % 5);
        block by = normals(nx * ldy, 1, 1), out[3];
        float *f = bf.p;
        for (int64_t j = 0; j < nw; j++) {
            for (int64_t i = 0; i < n; i++) f[i] = random_normal();
            ref->quantize[t](f, (uint8_t *)bw.p + j * stride, n);
        }
        for (int64_t j = 0; j < nw; j++) k->dequantize[t]((uint8_t *)bw.p + j * stride, f + j * n, n);
        for (int i = 0; i < 3; i++) {
            out[i] = floats(nx * ldy, i);
            memcpy(out[i].p, by.p, (size_t)(nx * ldy) * 4);
        }
        float *y = out[0].p, *r = out[1].p, *m = out[2].p, *x = bx.p;
        if (dot) {
            k->dot_rows[t](nx, nw, n, x, ldx, bw.p, stride, y, ldy);
            ref->dot_rows[t](nx, nw, n, x, ldx, bw.p, stride, r, ldy);
            k->matmul_nt(nx, nw, n, x, ldx, f, n, m, ldy);
        } else {
            k->add_rows[t](nx, n, nw, x, ldx, bw.p, stride, y, ldy);
            ref->add_rows[t](nx, n, nw, x, ldx, bw.p, stride, r, ldy);
            k->matmul_nn_acc(nx, n, nw, x, ldx, f, n, m, ldy);
        }
        check_same(y, m, nx * ldy, "as in two steps");
        for (int64_t i = 0; i < nx; i++)
            for (int64_t j = 0; j < outer; j++) {
                double scale = dot ? 0 : fabs((double)((float *)by.p)[i * ldy + j]);
                for (int64_t l = 0; l < inner; l++)
                    scale += fabs((double)x[i * ldx + l] * f[dot ? j * n + l : l * n + j]);
                check_near(y[i * ldy + j], r[i * ldy + j], sum_error(inner) * scale, i * outer + j, nx * outer);
            }
        memcpy(m, by.p, (size_t)(nx * ldy) * 4);
        if (dot)
            ref->matmul_nt(nx, nw, n, x, ldx, f, n, m, ldy);
        else
            ref->matmul_nn_acc(nx, n, nw, x, ldx, f, n, m, ldy);
        check_same(r, m, nx * ldy, "the reference as in two steps");
        for (int i = 0; i < 3; i++) drop(out[i]);
        drop(bx);
        drop(bf);
        drop(bw);
        drop(by);
    }
}

static void check_dot_rows(const sc_kernels *k, const sc_kernels *ref, int t) { check_rows(k, ref, t, true); }
static void check_add_rows(const sc_kernels *k, const sc_kernels *ref, int t) { check_rows(k, ref, t, false); }

/* Values as activations are, with the odd block of zeros, of tiny ones, or with a NaN or an infinity. */
static void activations(float *x, int64_t n, bool odd)
{
    for (int64_t b = 0; b < n; b += 32) {
        int kind = odd ? random_below(12) : 9;
        float scale = kind == 0 ? 0 : kind == 1 ? 1e-32f : kind == 2 ? 1e-20f : kind == 3 ? 1e30f : 1;
        for (int64_t i = b; i < b + 32; i++) x[i] = random_normal() * scale;
        if (kind == 4) x[b + random_below(32)] = NAN;
        if (kind == 5) x[b + random_below(32)] = -INFINITY;
        if (kind == 6)
            for (int64_t i = b; i < b + 32; i++) x[i] = i == b ? 127 : (float)random_below(254) - 126.5f; /* ties */
    }
}

static void check_pack_row(const sc_kernels *k, const sc_kernels *ref)
{
    for (int round = 0; round < 300; round++) {
        int64_t blocks = random_below(9), n = blocks * 32;
        block bx = floats(n, round % 4), by = make(blocks, sizeof(sc_packed), round % 3 * 4),
              br = make(blocks, sizeof(sc_packed), 0);
        activations(bx.p, n, true);
        k->pack_row(n, bx.p, by.p);
        ref->pack_row(n, bx.p, br.p);
        for (int64_t b = 0; b < blocks; b++) {
            const sc_packed *y = (sc_packed *)by.p + b, *r = (sc_packed *)br.p + b;
            CHECK(memcmp(y->q, r->q, sizeof y->q) == 0, "block %lld of %lld: other numbers", (long long)b,
                  (long long)blocks);
            CHECK(y->minus_sum == r->minus_sum && y->minus_half == r->minus_half, "sums");
            check_same(&y->scale, &r->scale, 1, "scale");
            check_same(&y->scaled_sum, &r->scaled_sum, 1, "scaled sum");
            /* what they stand for: within half a unit and the roundings of the scale */
            for (int i = 0; i < 32; i++) {
                float x = ((float *)bx.p)[b * 32 + i];
                CHECK(abs(y->q[i]) <= 127, "a number out of range");
                if (isfinite(r->scale))
                    check_near((float)y->q[i] * y->scale, x, 0.50002 * r->scale + SC_PACKED_LEAST, i, 32);
            }
        }
        drop(bx);
        drop(by);
        drop(br);
    }
}

static void check_packed_shape(const sc_kernels *k, const sc_kernels *ref, int t, int64_t nx, int64_t nw, int64_t n)
{
    const struct dtype *d = &dtypes[t];
    int64_t ldx = n / 32 + random_below(2), ldy = nw + random_below(4), bytes = n / d->block * d->bytes,
            stride = bytes + random_below(4);
    block bf = floats(nw * n, 0), bw = make(nw * stride, 1, random_below(5)), ba = floats(n, 0),
          bx = make(nx * ldx, sizeof(sc_packed), random_below(3) * 4), by = floats(nx * ldy, random_below(4)),
          br = floats(nx * ldy, 0);
    float *f = bf.p, *y = by.p, *r = br.p;
    sc_packed *x = bx.p;
    for (int64_t i = 0; i < nx; i++) {
        activations(ba.p, n, random_below(20) == 0);
        ref->pack_row(n, ba.p, x + i * ldx);
    }
    for (int64_t j = 0; j < nw; j++) {
        uint8_t *row = (uint8_t *)bw.p + j * stride;
        for (int64_t i = 0; i < n; i++) f[j * n + i] = random_normal();
        ref->quantize[t](f + j * n, row, n);
        ref->dequantize[t](row, f + j * n, n);
    }
    k->matmul_packed[t](nx, nw, n, x, ldx, bw.p, stride, y, ldy);
    ref->matmul_packed[t](nx, nw, n, x, ldx, bw.p, stride, r, ldy);
    for (int64_t i = 0; i < nx; i++) {
        for (int64_t j = 0; j < nw; j++) {
            /* A block's two terms, d q and m, may each be as large as three of its largest weight, and cancel. */
            double scale = 0;
            for (int64_t b = 0; b < n; b += 32) {
                const sc_packed *p = x + i * ldx + b / 32;
                double top = 0, sum = 0;
                for (int l = 0; l < 32; l++) {
                    top = fmax(top, fabs(f[j * n + b + l]));
                    sum += abs(p->q[l]);
                }
                scale += 6 * top * sum * (isfinite(p->scale) ? p->scale : 0);
            }
            check_near(y[i * ldy + j], r[i * ldy + j], sum_error(n / 16) * scale, i * nw + j, nx * nw);
        }
        for (int64_t j = nw; j < ldy; j++)
            CHECK(sc_float_bits(y[i * ldy + j]) == 0xa5a5a5a5u, "between the rows of y");
    }
    for (int tries = 0; tries < 8 && nx > 0 && nw > 0; tries++) { /* one alone, and a part */
        int64_t i = random_below((int)nx), j = random_below((int)nw), pi = 1 + random_below((int)(nx - i)),
                pj = tries ? 1 + random_below((int)(nw - j)) : 1;
        block bp = floats(pi * pj, 1);
        k->matmul_packed[t](pi, pj, n, x + i * ldx, ldx, (uint8_t *)bw.p + j * stride, stride, bp.p, pj);
        for (int64_t m = 0; m < pi; m++) check_same((float *)bp.p + m * pj, y + (i + m) * ldy + j, pj, "part");
        drop(bp);
    }
    drop(bf);
    drop(bw);
    drop(ba);
    drop(bx);
    drop(by);
    drop(br);
}

/* The sums within a block are exact and the rest is in one order, so where the weights' numbers and scales are whole
 * and small everything is exact. The largest numbers of either sign: no sum of 16 bits may overflow. */
static void check_packed_extremes(const sc_kernels *k, const sc_kernels *ref, int t)
{
    const struct dtype *d = &dtypes[t];
    for (int round = 0; round < 64; round++) {
        int64_t n = 256, bytes = n / d->block * d->bytes;
        block bw = make(bytes, 1, 0), bf = floats(n, 0);
        sc_packed x[8] = {{.scale = 1}};
        for (int64_t i = 0; i < bytes; i++)
            ((uint8_t *)bw.p)[i] = (uint8_t)(round % 4 == 0   ? 0xff
                                             : round % 4 == 1 ? 0
                                             : round % 4 == 2 ? 0x80
                                                              : random_bits());
        ref->dequantize[t](bw.p, bf.p, n);
        bool finite = true;
        double scale = 0;
        for (int b = 0; b < 8; b++) {
            int sum[2] = {0, 0};
            for (int i = 0; i < 32; i++) {
                x[b].q[i] = (int8_t)(round / 4 % 3 == 0   ? 127
                                     : round / 4 % 3 == 1 ? -127
                                                          : random_below(255) - 127);
                sum[i / 16] += x[b].q[i];
                finite = finite && fabs(((float *)bf.p)[b * 32 + i]) < 1e30; /* nor do sums overflow */
                scale += 127 * fabs(((float *)bf.p)[b * 32 + i]);
            }
            x[b].scale = 1;
            x[b].minus_sum = -sum[0] - sum[1];
            x[b].minus_half = -sum[0];
            x[b].scaled_sum = (float)(sum[0] + sum[1]);
        }
        float got, want;
        k->matmul_packed[t](1, 1, n, x, 8, bw.p, bytes, &got, 1);
        ref->matmul_packed[t](1, 1, n, x, 8, bw.p, bytes, &want, 1);
        /* random scales and minima cancel at will: 100 times the usual, still far below one overflow */
        if (finite) check_near(got, want, 100 * sum_error(16) * scale, 0, 1);
        drop(bw);
        drop(bf);
    }
}

static void check_matmul_packed(const sc_kernels *k, const sc_kernels *ref, int t)
{
    int block_size = dtypes[t].block;
    for (int64_t nx = 0; nx <= 19; nx++)
        for (int64_t nw = 0; nw <= 35; nw += 1 + random_below(9))
            check_packed_shape(k, ref, t, nx, nw, (int64_t)block_size * random_below(block_size == 32 ? 20 : 4));
    check_packed_shape(k, ref, t, 21, 37, 1280);
    check_packed_extremes(k, ref, t);
}

/* ---- rows in a layout of the level's own ---- */

/* nw random rows of a type, `stride` bytes apart. */
static block random_rows(const sc_kernels *ref, int t, int64_t nw, int64_t n, int64_t stride)
{
    block b = make(nw * stride, 1, random_below(5)), bf = floats(n, 0);
    for (int64_t j = 0; j < nw; j++) {
        for (int64_t i = 0; i < n; i++) ((float *)bf.p)[i] = random_normal();
        ref->quantize[t](bf.p, (uint8_t *)b.p + j * stride, n);
    }
    drop(bf);
    return b;
}

static void check_interleaved_shape(const sc_kernels *k, const sc_kernels *ref, int t, int64_t nx, int64_t nw,
                                    int64_t n)
{
    const struct dtype *d = &dtypes[t];
    int64_t ldx = n / 32 + random_below(2), ldy = nw + random_below(4),
            stride = n / d->block * d->bytes + 1 + random_below(4), whole = k->interleaved_bytes[t](nw, n);
    block bw = random_rows(ref, t, nw, n, stride), bi = lines(whole), ba = floats(n, 0),
          bx = make(nx * ldx, sizeof(sc_packed), random_below(3) * 4), by = floats(nx * ldy, random_below(4)),
          br = floats(nx * ldy, 0);
    sc_packed *x = bx.p;
    float *y = by.p, *r = br.p;
    for (int64_t i = 0; i < nx; i++) {
        activations(ba.p, n, random_below(20) == 0);
        ref->pack_row(n, ba.p, x + i * ldx);
    }
    k->interleave[t](nw, n, bw.p, stride, bi.p);
    k->matmul_interleaved[t](nx, nw, n, x, ldx, bi.p, y, ldy);
    k->matmul_packed[t](nx, nw, n, x, ldx, bw.p, stride, r, ldy);
    for (int64_t i = 0; i < nx; i++) {
        check_same(y + i * ldy, r + i * ldy, nw, "as from the stored rows");
        for (int64_t j = nw; j < ldy; j++)
            CHECK(sc_float_bits(y[i * ldy + j]) == 0xa5a5a5a5u, "between the rows of y");
    }
    for (int64_t j = 0; j < nw && nx > 0; j += 32) { /* a part of the rows, and of x */
        int64_t i = random_below((int)nx), pi = nx - i, pj = 1 + random_below((int)(nw - j));
        block bp = floats(pi * pj, 1);
        k->matmul_interleaved[t](pi, pj, n, x + i * ldx, ldx, (uint8_t *)bi.p + k->interleaved_bytes[t](j, n), bp.p,
                                 pj);
        for (int64_t m = 0; m < pi; m++) check_same((float *)bp.p + m * pj, y + (i + m) * ldy + j, pj, "part");
        drop(bp);
    }
    drop(bw);
    drop(bi);
    drop(ba);
    drop(bx);
    drop(by);
    drop(br);
}

static void check_matmul_interleaved(const sc_kernels *k, const sc_kernels *ref, int t)
{
    int block_size = dtypes[t].block;
    for (int64_t nx = 0; nx <= 19; nx++)
        for (int64_t nw = 0; nw <= 70; nw += 1 + random_below(18))
            check_interleaved_shape(k, ref, t, nx, nw,
                                    (int64_t)block_size * random_below(block_size == 32 ? 40 : 5));
    check_interleaved_shape(k, ref, t, 21, 37, 1280);
    check_interleaved_shape(k, ref, t, 150, 33, 2048); /* more of x than is kept in the cache at once */
}

/* In parts as at once, from any alignment; the bytes are checked by the products. */
static void check_interleave(const sc_kernels *k, const sc_kernels *ref, int t)
{
    for (int round = 0; round < 40; round++) {
        int64_t n = (int64_t)dtypes[t].block * (1 + random_below(5)), nw = 1 + random_below(100),
                stride = n / dtypes[t].block * dtypes[t].bytes + random_below(4);
        int64_t whole = k->interleaved_bytes[t](nw, n), cut = (int64_t)random_below((int)nw) / 32 * 32,
                head = k->interleaved_bytes[t](cut, n);
        block bw = random_rows(ref, t, nw, n, stride), at_once = lines(whole), in_parts = lines(whole);
        memset(at_once.p, 0, at_once.bytes); /* what fills up is not written */
        memset(in_parts.p, 0, in_parts.bytes);
        k->interleave[t](nw, n, bw.p, stride, at_once.p);
        k->interleave[t](nw - cut, n, (uint8_t *)bw.p + cut * stride, stride, (uint8_t *)in_parts.p + head);
        k->interleave[t](cut, n, bw.p, stride, in_parts.p);
        CHECK(memcmp(at_once.p, in_parts.p, at_once.bytes) == 0, "%lld rows in parts of %lld", (long long)nw,
              (long long)cut);
        drop(bw);
        drop(at_once);
        drop(in_parts);
    }
}

/* Whole cache lines, additive from multiples of 32 rows on, and hardly more than the stored rows. */
static void check_interleaved_bytes(const sc_kernels *k, const sc_kernels *ref, int t)
{
    (void)ref;
    for (int64_t n = 0; n <= 4096; n += dtypes[t].block)
        for (int64_t nw = 0; nw <= 96; nw += 32) {
            int64_t got = k->interleaved_bytes[t](nw, n), stored = nw * n / dtypes[t].block * dtypes[t].bytes;
            CHECK(got % 64 == 0 && got >= stored, "%lld bytes for %lld", (long long)got, (long long)stored);
            CHECK(n % 256 || got <= stored + stored * 3 / 100 + nw / 8 * 64, "%lld bytes for %lld", (long long)got,
                  (long long)stored);
            CHECK(k->interleaved_bytes[t](nw + 7, n) == got + k->interleaved_bytes[t](7, n), "in two parts");
        }
}

/* Values of every kind: any bits, ordinary ones, ones on or beside a rounding boundary, none at all. */
static float odd_value(int kind, int i)
{
    if (kind == 0) return sc_bits_float(random_bits());
    if (kind == 1) return random_normal();
    if (kind == 2) return sc_bits_float((random_bits() & 0xffffe000u) + (uint32_t)random_below(3) + 0xfffu);
    if (kind == 3) return sc_bits_float((random_bits() & 0xffff0000u) + (uint32_t)random_below(3) + 0x7fffu);
    if (kind == 4) return i % 32 ? (float)(random_below(255) - 127) + 0.5f : 127; /* halves of q8_0's units */
    if (kind == 5) return random_normal() * 1e-41f;
    if (kind == 6) return i % 40 == 7 ? NAN : i % 60 == 9 ? INFINITY : random_normal();
    if (kind == 7) return (float)(random_below(5) - 2) * (random_below(2) ? -0.5f : 0.5f); /* ties, both zeros */
    return 0;
}

static void check_quantize(const sc_kernels *k, const sc_kernels *ref, int t)
{
    const struct dtype *d = &dtypes[t];
    for (int round = 0; round < 450; round++) {
        int64_t blocks = d->block == 1 ? lengths[round % LENGTHS] : random_below(6), n = blocks * d->block;
        block bx = floats(n, round % 4), by = make(blocks, (size_t)d->bytes, round % 5),
              br = make(blocks, (size_t)d->bytes, 0);
        for (int64_t i = 0; i < n; i++) ((float *)bx.p)[i] = odd_value(round % 9, (int)i);
        k->quantize[t](bx.p, by.p, n);
        ref->quantize[t](bx.p, br.p, n);
        for (size_t i = 0; i < by.bytes; i++)
            CHECK(((uint8_t *)by.p)[i] == ((uint8_t *)br.p)[i], "kind %d: byte %zu of %zu is %02x, not %02x",
                  round % 9, i, by.bytes, ((uint8_t *)by.p)[i], ((uint8_t *)br.p)[i]);
        drop(bx);
        drop(by);
        drop(br);
    }
}

/* ---- the table ---- */

static const char *const unary_names[] = {
#define X(id, name) name,
#include "tensor/unary.def"
#undef X
};

static void begin(const char *name, const char *which)
{
    static char text[64];
    snprintf(text, sizeof text, "%s%s%s", name, *which ? " " : "", which);
    kernel_name = text;
    faults = 0;
}

static void end(void)
{
    if (faults)
        failed++;
    else
        passed++;
}

static const char *index_name(const char *kernel, int i)
{
    return strncmp(kernel, "unary", 5) ? dtypes[i].name : unary_names[i];
}

static void check_table(unsigned mask, const char *name)
{
    sc_kernels k, ref;
    int count = 0, all = 0;
    sc_kernels_init(&ref, 0);
    sc_kernels_init(&k, mask);
    level_name = name;
#define K(type, kernel, params)                                                                                    \
    all++;                                                                                                         \
    if (k.kernel != ref.kernel) {                                                                                  \
        begin(#kernel, "");                                                                                        \
        check_##kernel(&k, &ref);                                                                                  \
        end();                                                                                                     \
        count++;                                                                                                   \
    }
#define KA(type, kernel, number, params)                                                                           \
    for (int i = 0; i < number; i++) {                                                                             \
        all += k.kernel[i] != NULL;                                                                                \
        if (!k.kernel[i] || k.kernel[i] == ref.kernel[i]) continue;                                                \
        begin(#kernel, index_name(#kernel, i));                                                                    \
        check_##kernel(&k, &ref, i);                                                                               \
        end();                                                                                                     \
        count++;                                                                                                   \
    }
#include "cpu/kernels/kernels.def"
#undef K
#undef KA
    printf("%s: %d of the %d kernels are its own, checked against the reference\n", name, count, all);
}

int main(void)
{
    unsigned have = sc_cpu_detect();
    for (int bit = 0; bit < SC_CPU_LEVEL_COUNT; bit++)
        if (have >> bit & 1)
            check_table(1u << bit, sc_cpu_level_name(bit));
        else
            printf("%s: not on this machine\n", sc_cpu_level_name(bit));
    check_table(have, "all levels together");
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
