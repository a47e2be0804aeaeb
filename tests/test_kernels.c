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

/* The bits of the product with p itself. */
static void check_matmul_tn_acc(const sc_kernels *k, const sc_kernels *ref)
{
    (void)ref;
    for (int nx = 1; nx <= 9; nx++)
        for (int i = 1; i < LENGTHS - 2; i++) {
            int n = lengths[i], len = random_below(20), ldp = nx + random_below(3);
            block bp = normals((int64_t)len * ldp, 1, 1), bt = floats((int64_t)nx * len, 2),
                  bv = normals((int64_t)len * n, 3, 1), by = normals((int64_t)nx * n, 0, 1),
                  bz = floats((int64_t)nx * n, 1);
            float *p = bp.p, *turned = bt.p, *y = by.p, *z = bz.p;
            for (int r = 0; r < nx * len; r++) turned[r] = p[r % len * ldp + r / len];
            memcpy(z, y, by.bytes);
            k->matmul_tn_acc(nx, n, len, p, ldp, bv.p, n, y, n);
            k->matmul_nn_acc(nx, n, len, turned, len, bv.p, n, z, n);
            check_same(y, z, (int64_t)nx * n, "of p turned");
            drop(bp);
            drop(bt);
            drop(bv);
            drop(by);
            drop(bz);
        }
}

#include "kernels_panels.h"
#include "kernels_ordered.h"

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

#include "kernels_scan.h"

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

#include "kernels_packed.h"

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
