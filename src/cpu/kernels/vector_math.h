/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic kernels over a small vocabulary of vector operations. Included once by the file of each ISA, after
 * it has defined the vocabulary (x86/avx2.c is the shortest to read):
 *   KERNEL, VEC          how a kernel and a helper to be inlined are declared
 *   vf, W                a vector of f32 and how many it holds
 *   v_load, v_store, v_load_n, v_store_n (the first n < W elements, memory beyond untouched, zeros loaded),
 *   v_keep_n (the others become 0)
 *   v_set, v_add, v_sub, v_mul, v_div, v_fma(a,b,c) = a b + c, v_fnma = c - a b, v_abs, v_floor, v_round (to even)
 *   v_min, v_max         b where either is NaN
 *   v_if_less(a,b,x,y)   x where a < b, else y
 *   v_exp2i(p, n)        p 2^n for whole n, denormal results too
 *   v_sum, v_top         across the vector, in one fixed order
 *   v_sum4(y, a,b,c,d)   four such sums into y[0] to y[3], added in the order of v_sum
 *   v_twice(p, n)        p[0], p[0], p[1], p[1] … of n <= W/2 elements;  v_swap: neighbours exchanged
 *   TILE_X, ACC_ROWS, ACC_VECTORS: register tiles
 *
 * Two rules keep an output independent of where it stands: tails run the same operations as whole vectors, on loads
 * and stores cut by n; and what could be fused is fused by name, so that no compiler decides it loop by loop. */
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/vector.h"

#include <math.h>

static const float pair_signs[16] = {-1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1};

/* ---- rows of x times rows of w ----
 * One vector accumulator an output, lanes along k, then the masked tail, then v_sum: the same for every tile
 * shape. */

#define TILE_W 4

/* clang-format off */
VEC void tile_nt(const int rows, const int cols, int64_t k, const float *x, int64_t ldx, const float *w,
                 int64_t ldw, float *y, int64_t ldy)
{
    vf acc[TILE_X][8];
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < cols; j++) acc[i][j] = v_set(0);
    int64_t l = 0;
    for (; l + W <= k; l += W) {
        vf a[TILE_X];
        UNROLL for (int i = 0; i < rows; i++) a[i] = v_load(x + i * ldx + l);
        UNROLL for (int j = 0; j < cols; j++) {
            vf b = v_load(w + j * ldw + l);
            /* The next rows, each perhaps on a page of its own, where no prefetcher follows. */
            if (rows <= 2) __builtin_prefetch(w + (j + cols) * ldw + l, 0, 2);
            UNROLL for (int i = 0; i < rows; i++) acc[i][j] = v_fma(a[i], b, acc[i][j]);
        }
    }
    if (l < k) {
        int n = (int)(k - l);
        UNROLL for (int j = 0; j < cols; j++) {
            vf b = v_load_n(w + j * ldw + l, n);
            UNROLL for (int i = 0; i < rows; i++) acc[i][j] = v_fma(v_load_n(x + i * ldx + l, n), b, acc[i][j]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++) {
        int j = 0;
        UNROLL for (; j + 4 <= cols; j += 4)
            v_sum4(y + i * ldy + j, acc[i][j], acc[i][j + 1], acc[i][j + 2], acc[i][j + 3]);
        UNROLL for (; j < cols; j++) y[i * ldy + j] = v_sum(acc[i][j]);
    }
}

/* clang-format on */

/* A few rows of x against all of w. */
#define STRIP(rows, wide)                                                                                          \
    KERNEL void strip_##rows(int64_t nw, int64_t k, const float *x, int64_t ldx, const float *w, int64_t ldw,      \
                             float *y, int64_t ldy)                                                                \
    {                                                                                                              \
        int64_t j = 0;                                                                                             \
        for (; j + wide <= nw; j += wide) tile_nt(rows, wide, k, x, ldx, w + j * ldw, ldw, y + j, ldy);            \
        for (; j < nw; j++) tile_nt(rows, 1, k, x, ldx, w + j * ldw, ldw, y + j, ldy);                             \
    }
STRIP(1, 8) /* a single row needs more of w at once to hide the latency of the additions */
STRIP(2, TILE_W)
STRIP(3, TILE_W)
#if TILE_X > 3
STRIP(4, TILE_W)
STRIP(5, TILE_W)
STRIP(6, TILE_W)
#endif

KERNEL void matmul_nt(int64_t nx, int64_t nw, int64_t k, const float *x, int64_t ldx, const float *w, int64_t ldw,
                      float *y, int64_t ldy)
{
    /* A block of w, 256 KB, that stays in the second-level cache while all of x passes. */
    int64_t block = nx <= TILE_X ? nw : k < 65536 / TILE_W ? 65536 / (k + 1) / TILE_W * TILE_W : TILE_W;
    for (int64_t j = 0; j < nw; j += block) {
        int64_t cols = nw - j < block ? nw - j : block;
        for (int64_t i = 0; i < nx; i += TILE_X) {
            const float *xi = x + i * ldx, *wj = w + j * ldw;
            float *yij = y + i * ldy + j;
            switch (nx - i) {
            case 1: strip_1(cols, k, xi, ldx, wj, ldw, yij, ldy); break;
            case 2: strip_2(cols, k, xi, ldx, wj, ldw, yij, ldy); break;
#if TILE_X > 3
            case 3: strip_3(cols, k, xi, ldx, wj, ldw, yij, ldy); break;
            case 4: strip_4(cols, k, xi, ldx, wj, ldw, yij, ldy); break;
            case 5: strip_5(cols, k, xi, ldx, wj, ldw, yij, ldy); break;
            default: strip_6(cols, k, xi, ldx, wj, ldw, yij, ldy); break;
#else
            default: strip_3(cols, k, xi, ldx, wj, ldw, yij, ldy); break;
#endif
            }
        }
    }
}

/* ---- y += p v, where p's element j of row i is p[i * ldp + j * step] ----
 * Lanes along the columns of v; each output is one chain of fused additions in the order of j, beginning with y. */

/* clang-format off */
VEC void tile_nn(const int rows, const int vectors, const int n, int64_t k, const float *p, int64_t ldp,
                 int64_t step, const float *v, int64_t ldv, float *y, int64_t ldy)
{
    vf acc[ACC_ROWS][8];
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int d = 0; d < vectors; d++)
        acc[i][d] = n < W ? v_load_n(y + i * ldy + d * W, n) : v_load(y + i * ldy + d * W);
    for (int64_t j = 0; j < k; j++) {
        vf b[8];
        UNROLL for (int d = 0; d < vectors; d++)
            b[d] = n < W ? v_load_n(v + j * ldv + d * W, n) : v_load(v + j * ldv + d * W);
        UNROLL for (int i = 0; i < rows; i++) {
            vf a = v_set(p[i * ldp + j * step]);
            UNROLL for (int d = 0; d < vectors; d++) acc[i][d] = v_fma(a, b[d], acc[i][d]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int d = 0; d < vectors; d++)
        if (n < W) v_store_n(y + i * ldy + d * W, acc[i][d], n);
        else v_store(y + i * ldy + d * W, acc[i][d]);
}

/* clang-format on */

#define ACC_STRIP(rows, vectors)                                                                                   \
    KERNEL void acc_strip_##rows(int64_t n, int64_t k, const float *p, int64_t ldp, int64_t step, const float *v,  \
                                 int64_t ldv, float *y, int64_t ldy)                                               \
    {                                                                                                              \
        int64_t d = 0;                                                                                             \
        for (; d + vectors * W <= n; d += vectors * W)                                                             \
            tile_nn(rows, vectors, W, k, p, ldp, step, v + d, ldv, y + d, ldy);                                    \
        for (; d + W <= n; d += W) tile_nn(rows, 1, W, k, p, ldp, step, v + d, ldv, y + d, ldy);                   \
        if (d < n) tile_nn(rows, 1, (int)(n - d), k, p, ldp, step, v + d, ldv, y + d, ldy);                        \
    }
ACC_STRIP(1, 8)
ACC_STRIP(4, ACC_VECTORS)

KERNEL void matmul_nn_acc(int64_t nx, int64_t n, int64_t k, const float *p, int64_t ldp, const float *v,
                          int64_t ldv, float *y, int64_t ldy)
{
    int64_t i = 0;
    for (; i + 4 <= nx; i += 4) acc_strip_4(n, k, p + i * ldp, ldp, 1, v, ldv, y + i * ldy, ldy);
    for (; i < nx; i++) acc_strip_1(n, k, p + i * ldp, ldp, 1, v, ldv, y + i * ldy, ldy);
}

KERNEL void matmul_tn_acc(int64_t nx, int64_t n, int64_t k, const float *p, int64_t ldp, const float *v,
                          int64_t ldv, float *y, int64_t ldy)
{
    int64_t i = 0;
    for (; i + 4 <= nx; i += 4) acc_strip_4(n, k, p + i, 1, ldp, v, ldv, y + i * ldy, ldy);
    for (; i < nx; i++) acc_strip_1(n, k, p + i, 1, ldp, v, ldv, y + i * ldy, ldy);
}

/* ---- element by element ---- */

/* y[i] = expr for all i. expr(load, rest) reads an element of an array by load(array + i rest). */
#define EACH(expr)                                                                                                 \
    int64_t i = 0;                                                                                                 \
    for (; i + W <= n; i += W) v_store(y + i, expr(v_load, ));                                                     \
    if (i < n) v_store_n(y + i, expr(v_load_n, NTH), (int)(n - i))
#define NTH , (int)(n - i)

KERNEL void add(int64_t n, const float *a, const float *b, float *y)
{
#define EXPR(load, rest) v_add(load(a + i rest), load(b + i rest))
    EACH(EXPR);
#undef EXPR
}

KERNEL void mul(int64_t n, const float *a, const float *b, float *y)
{
#define EXPR(load, rest) v_mul(load(a + i rest), load(b + i rest))
    EACH(EXPR);
#undef EXPR
}

KERNEL void scale(int64_t n, const float *x, float s, float *y)
{
#define EXPR(load, rest) v_mul(load(x + i rest), v_set(s))
    EACH(EXPR);
#undef EXPR
}

/* exp to about one unit in the last place: x = n ln 2 + r, exp r = 1 + r + r^2 P(r). The polynomials of this file
 * are minimax fits of the relative error, which is under 2e-8 for each. */
VEC vf v_exp(vf x)
{
    /* Under -104 is 0; masked scores are there by the thousand, so they go round the slow path of denormals. Over
     * 89 is infinity. A NaN passes. */
    vf low = x, lowest = v_set(-104);
    x = v_min(v_set(89), v_if_less(low, lowest, v_set(0), x));
    vf n = v_round(v_mul(x, v_set(0x1.715476p+0f)));
    vf r = v_fnma(n, v_set(0x1.62e4p-1f), x); /* ln 2 in two parts, the first short enough for an exact product */
    r = v_fnma(n, v_set(0x1.7f7d1cp-20f), r);
    vf p = v_set(0x1.6a1a72p-10f);
    p = v_fma(p, r, v_set(0x1.123fc8p-7f));
    p = v_fma(p, r, v_set(0x1.555916p-5f));
    p = v_fma(p, r, v_set(0x1.55548ap-3f));
    p = v_fma(p, r, v_set(0x1.fffffcp-2f));
    return v_if_less(low, lowest, v_set(0), v_exp2i(v_add(v_fma(v_mul(r, r), p, r), v_set(1)), n));
}

VEC vf f_SIGMOID(vf x) { return v_div(v_set(1), v_add(v_set(1), v_exp(v_sub(v_set(0), x)))); }
VEC vf f_SILU(vf x) { return v_div(x, v_add(v_set(1), v_exp(v_sub(v_set(0), x)))); }
VEC vf f_RELU(vf x) { return v_max(v_set(0), x); }

/* Phi(x), the normal distribution. With a = |x|, Phi(-a) = exp(-a^2/2) g(a); g is smooth and slow, a polynomial in
 * (a - 3)/(a + 3). *bell = exp(-a^2/2). */
VEC vf normal(vf x, vf *bell)
{
    vf a = v_min(v_set(20), v_abs(x)), a2 = v_mul(a, a);
    vf lost = v_fma(a, a, v_sub(v_set(0), a2)); /* what rounding took from a2, which exp would magnify */
    vf e = v_exp(v_mul(a2, v_set(-0.5f)));
    e = v_fma(v_mul(lost, v_set(-0.5f)), e, e);
    vf t = v_div(v_sub(a, v_set(3)), v_add(a, v_set(3)));
    vf g = v_set(0x1.b9e37ap-15f);
    g = v_fma(g, t, v_set(0x1.e044a8p-14f));
    g = v_fma(g, t, v_set(-0x1.62fe06p-12f));
    g = v_fma(g, t, v_set(-0x1.01a41cp-10f));
    g = v_fma(g, t, v_set(0x1.7ca942p-9f));
    g = v_fma(g, t, v_set(0x1.91dab8p-8f));
    g = v_fma(g, t, v_set(-0x1.7a942ep-5f));
    g = v_fma(g, t, v_set(0x1.f8bad6p-4f));
    g = v_fma(g, t, v_set(-0x1.a6b66ap-3f));
    g = v_fma(g, t, v_set(0x1.f1b89cp-4f));
    *bell = e;
    return v_if_less(x, v_set(0), v_mul(e, g), v_fnma(e, g, v_set(1)));
}

VEC vf f_GELU(vf x)
{
    vf bell;
    return v_mul(x, normal(x, &bell));
}

/* x/2 (1 + tanh u) = x / (1 + exp(-2u)). */
VEC vf f_GELU_TANH(vf x)
{
    vf u = v_fma(v_mul(v_mul(x, x), x), v_set(0.044715f), x);
    return v_div(x, v_add(v_set(1), v_exp(v_mul(u, v_set(-1.59576912160573f)))));
}

VEC vf f_TANH(vf x)
{
    vf a = v_abs(x), x2 = v_mul(x, x), one = v_set(1);
    vf p = v_set(-0x1.6a5344p-8f);
    p = v_fma(p, x2, v_set(0x1.4f994ep-6f));
    p = v_fma(p, x2, v_set(-0x1.b7da54p-5f));
    p = v_fma(p, x2, v_set(0x1.11044ep-3f));
    p = v_fma(p, x2, v_set(-0x1.555526p-2f));
    vf near0 = v_fma(v_mul(x, x2), p, x);
    vf far = v_sub(one, v_div(v_set(2), v_add(one, v_exp(v_add(a, a)))));
    far = v_if_less(x, v_set(0), v_sub(v_set(0), far), far);
    return v_if_less(a, v_set(0.625f), near0, far);
}

/* max(x, 0) + log(1 + u) with u = exp(-|x|); log(1 + u) = 2 artanh t with t = u / (2 + u), at most 1/3: its series. */
VEC vf f_SOFTPLUS(vf x)
{
    vf u = v_exp(v_sub(v_set(0), v_abs(x))), t = v_div(u, v_add(u, v_set(2))), t2 = v_mul(t, t);
    vf p = v_set(1.0f / 15);
    p = v_fma(p, t2, v_set(1.0f / 13));
    p = v_fma(p, t2, v_set(1.0f / 11));
    p = v_fma(p, t2, v_set(1.0f / 9));
    p = v_fma(p, t2, v_set(1.0f / 7));
    p = v_fma(p, t2, v_set(1.0f / 5));
    p = v_fma(p, t2, v_set(1.0f / 3));
    vf twice = v_add(t, t);
    return v_add(v_max(v_set(0), x), v_fma(v_mul(twice, t2), p, twice));
}

/* One by one: losses take it of a value a sequence. */
VEC vf f_LOG1MEXP(vf x)
{
    float t[W];
    v_store(t, x);
    for (int i = 0; i < W; i++) {
        double a = -fabs((double)t[i]);
        t[i] = (float)(a > -0.69314718055994530942 ? log(-expm1(a)) : log1p(-exp(a)));
    }
    return v_load(t);
}

#define X(ID, name)                                                                                                \
    KERNEL void unary_##ID(int64_t n, const float *x, float *y) { EACH(EXPR_##ID); }
#define EXPR_SILU(load, rest)      f_SILU(load(x + i rest))
#define EXPR_GELU(load, rest)      f_GELU(load(x + i rest))
#define EXPR_GELU_TANH(load, rest) f_GELU_TANH(load(x + i rest))
#define EXPR_RELU(load, rest)      f_RELU(load(x + i rest))
#define EXPR_SIGMOID(load, rest)   f_SIGMOID(load(x + i rest))
#define EXPR_TANH(load, rest)      f_TANH(load(x + i rest))
#define EXPR_SOFTPLUS(load, rest)  f_SOFTPLUS(load(x + i rest))
#define EXPR_EXP(load, rest)       v_exp(load(x + i rest))
#define EXPR_LOG1MEXP(load, rest)  f_LOG1MEXP(load(x + i rest))
#include "tensor/unary.def"
#undef X

/* Derivatives. */
VEC vf d_SIGMOID(vf x) { return v_mul(f_SIGMOID(x), f_SIGMOID(v_sub(v_set(0), x))); }
VEC vf d_SILU(vf x)
{
    vf s = f_SIGMOID(x);
    return v_mul(s, v_fma(x, f_SIGMOID(v_sub(v_set(0), x)), v_set(1)));
}
VEC vf d_GELU(vf x)
{
    vf bell, p = normal(x, &bell);
    return v_fma(v_mul(x, bell), v_set(0.39894228040143268f), p);
}
VEC vf d_GELU_TANH(vf x)
{
    const float c = 1.59576912160573f;
    vf u = v_mul(v_fma(v_mul(v_mul(x, x), x), v_set(0.044715f), x), v_set(c)), s = f_SIGMOID(u);
    vf inner = v_fma(v_mul(x, x), v_set(3 * 0.044715f * c), v_set(c));
    return v_fma(v_mul(v_mul(x, s), f_SIGMOID(v_sub(v_set(0), u))), inner, s);
}
VEC vf d_RELU(vf x) { return v_if_less(v_set(0), x, v_set(1), v_set(0)); }
VEC vf d_SOFTPLUS(vf x) { return f_SIGMOID(x); }
VEC vf d_EXP(vf x) { return v_exp(x); }
VEC vf d_LOG1MEXP(vf x)
{
    float t[W];
    v_store(t, x);
    for (int i = 0; i < W; i++) t[i] = (float)(t[i] < 0 ? -1 / expm1(-(double)t[i]) : 1 / expm1((double)t[i]));
    return v_load(t);
}
VEC vf d_TANH(vf x)
{
    vf t = f_TANH(x);
    return v_mul(v_sub(v_set(1), t), v_add(v_set(1), t));
}

#define X(ID, name)                                                                                                \
    KERNEL void unary_grad_##ID(int64_t n, const float *x, const float *dy, float *dx)                             \
    {                                                                                                              \
        int64_t i = 0;                                                                                             \
        for (; i + W <= n; i += W) v_store(dx + i, v_mul(v_load(dy + i), d_##ID(v_load(x + i))));                  \
        int rest = (int)(n - i);                                                                                   \
        if (rest) v_store_n(dx + i, v_mul(v_load_n(dy + i, rest), d_##ID(v_load_n(x + i, rest))), rest);           \
    }
#include "tensor/unary.def"
#undef X

/* ---- norms ---- */

/* clang-format off */
/* Sum over x of (x - c)^2, or of x itself; four accumulators, whose roles depend on n alone. */
VEC float sum_over(const int squares, int64_t n, const float *x, float c)
{
    vf acc[4] = {v_set(0), v_set(0), v_set(0), v_set(0)}, vc = v_set(c);
    int64_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W) UNROLL for (int j = 0; j < 4; j++) {
        vf v = v_load(x + i + j * W), e = v_sub(v, vc);
        acc[j] = squares ? v_fma(e, e, acc[j]) : v_add(v, acc[j]);
    }
    for (; i < n; i += W) {
        int m = n - i < W ? (int)(n - i) : W;
        vf v = m < W ? v_load_n(x + i, m) : v_load(x + i), e = v_sub(v, vc);
        if (m < W) e = v_keep_n(e, m);
        acc[0] = squares ? v_fma(e, e, acc[0]) : v_add(v, acc[0]);
    }
    return v_sum(v_add(v_add(acc[0], acc[1]), v_add(acc[2], acc[3])));
}

/* clang-format on */

KERNEL void rms_norm(int64_t n, const float *x, const float *w, float eps, float *y)
{
    vf s = v_set(1 / sqrtf(sum_over(1, n, x, 0) / (float)n + eps));
    if (w) {
#define EXPR(load, rest) v_mul(v_mul(load(x + i rest), s), load(w + i rest))
        EACH(EXPR);
#undef EXPR
    } else {
#define EXPR(load, rest) v_mul(load(x + i rest), s)
        EACH(EXPR);
#undef EXPR
    }
}

VEC vf normed(vf x, vf mean, vf s, vf w, vf b) { return v_fma(v_mul(v_sub(x, mean), s), w, b); }

KERNEL void layer_norm(int64_t n, const float *x, const float *w, const float *b, float eps, float *y)
{
    float mean = sum_over(0, n, x, 0) / (float)n;
    vf s = v_set(1 / sqrtf(sum_over(1, n, x, mean) / (float)n + eps)), m = v_set(mean), one = v_set(1),
       zero = v_set(0);
#define EXPR(load, rest) normed(load(x + i rest), m, s, w ? load(w + i rest) : one, b ? load(b + i rest) : zero)
    EACH(EXPR);
#undef EXPR
}

KERNEL float dot(int64_t n, const float *a, const float *b)
{
    vf acc[4] = {v_set(0), v_set(0), v_set(0), v_set(0)};
    int64_t i = 0;
    for (; i + 4 * W <= n; i += 4 * W)
        UNROLL for (int j = 0; j < 4; j++) acc[j] = v_fma(v_load(a + i + j * W), v_load(b + i + j * W), acc[j]);
    for (; i + W <= n; i += W) acc[0] = v_fma(v_load(a + i), v_load(b + i), acc[0]);
    if (i < n) acc[0] = v_fma(v_load_n(a + i, (int)(n - i)), v_load_n(b + i, (int)(n - i)), acc[0]);
    return v_sum(v_add(v_add(acc[0], acc[1]), v_add(acc[2], acc[3])));
}

/* *sum of g and *product of g (x - mean), g = dy w. */
VEC void norm_sums(int64_t n, const float *x, const float *w, const float *dy, float mean, float *sum,
                   float *product)
{
    vf s = v_set(0), p = v_set(0), m = v_set(mean), one = v_set(1);
    int64_t i = 0;
    for (; i + W <= n; i += W) {
        vf g = v_mul(v_load(dy + i), w ? v_load(w + i) : one);
        s = v_add(s, g);
        p = v_fma(g, v_sub(v_load(x + i), m), p);
    }
    if (i < n) {
        int rest = (int)(n - i);
        vf g = v_mul(v_load_n(dy + i, rest), w ? v_load_n(w + i, rest) : one);
        s = v_add(s, g);
        p = v_fma(g, v_keep_n(v_sub(v_load_n(x + i, rest), m), rest), p);
    }
    *sum = v_sum(s);
    *product = v_sum(p);
}

/* r (g - shift - (x - mean) slope). */
VEC vf norm_slope(vf x, vf w, vf dy, vf mean, vf r, vf shift, vf slope)
{
    return v_mul(r, v_fnma(v_sub(x, mean), slope, v_sub(v_mul(dy, w), shift)));
}

VEC void norm_grad(const int layer, int64_t n, const float *x, const float *w, float eps, const float *dy,
                   float *dx)
{
    float mean = layer ? sum_over(0, n, x, 0) / (float)n : 0, sum, product;
    float r = 1 / sqrtf(sum_over(1, n, x, mean) / (float)n + eps);
    norm_sums(n, x, w, dy, mean, &sum, &product);
    vf vm = v_set(mean), vr = v_set(r), shift = v_set(layer ? sum / (float)n : 0), one = v_set(1),
       slope = v_set(product / (float)n * r * r);
#define EXPR(load, rest)                                                                                           \
    norm_slope(load(x + i rest), w ? load(w + i rest) : one, load(dy + i rest), vm, vr, shift, slope)
    int64_t i = 0;
    for (; i + W <= n; i += W) v_store(dx + i, EXPR(v_load, ));
    if (i < n) v_store_n(dx + i, EXPR(v_load_n, NTH), (int)(n - i));
#undef EXPR
}

KERNEL void rms_norm_grad(int64_t n, const float *x, const float *w, float eps, const float *dy, float *dx)
{
    norm_grad(0, n, x, w, eps, dy, dx);
}
KERNEL void layer_norm_grad(int64_t n, const float *x, const float *w, float eps, const float *dy, float *dx)
{
    norm_grad(1, n, x, w, eps, dy, dx);
}

/* ---- softmax ---- */

KERNEL float max(int64_t n, const float *x)
{
    float m = -INFINITY;
    int64_t i = 0;
    if (n >= W) {
        vf top = v_set(m);
        for (; i + W <= n; i += W) top = v_max(v_load(x + i), top);
        m = v_top(top);
    }
    for (; i < n; i++) m = x[i] > m ? x[i] : m;
    return m;
}

/* exp(x - m), and 0 for -inf whatever m is. */
VEC vf exp_below(vf x, vf m)
{
    return v_if_less(v_set(-INFINITY), x, v_exp(v_sub(x, m)), v_max(v_set(0), x)); /* the last keeps a NaN */
}

KERNEL float exp_sum(int64_t n, const float *x, float m, float *y)
{
    vf sum = v_set(0), vm = v_set(m);
    int64_t i = 0;
    for (; i + W <= n; i += W) {
        vf e = exp_below(v_load(x + i), vm);
        v_store(y + i, e);
        sum = v_add(sum, e);
    }
    if (i < n) {
        int rest = (int)(n - i);
        vf e = v_keep_n(exp_below(v_load_n(x + i, rest), vm), rest);
        v_store_n(y + i, e, rest);
        sum = v_add(sum, e);
    }
    return v_sum(sum);
}

/* ---- rotations ---- */

KERNEL void rope_halves(int64_t n, const float *x, const float *cos, const float *sin, float *y)
{
    int64_t i = 0;
    for (; i + W <= n; i += W) {
        vf a = v_load(x + i), b = v_load(x + n + i), c = v_load(cos + i), s = v_load(sin + i);
        v_store(y + i, v_fnma(b, s, v_mul(a, c)));
        v_store(y + n + i, v_fma(a, s, v_mul(b, c)));
    }
    if (i < n) {
        int m = (int)(n - i);
        vf a = v_load_n(x + i, m), b = v_load_n(x + n + i, m), c = v_load_n(cos + i, m), s = v_load_n(sin + i, m);
        v_store_n(y + i, v_fnma(b, s, v_mul(a, c)), m);
        v_store_n(y + n + i, v_fma(a, s, v_mul(b, c)), m);
    }
}

/* (a, b) c + (-b, a) s: sines with alternating signs times the exchanged pair. */
VEC vf rotated(vf x, vf c, vf s) { return v_fma(v_swap(x), v_mul(s, v_load(pair_signs)), v_mul(x, c)); }

KERNEL void rope_neighbours(int64_t n, const float *x, const float *cos, const float *sin, float *y)
{
    int64_t i = 0;
    for (; i + W / 2 <= n; i += W / 2)
        v_store(y + 2 * i, rotated(v_load(x + 2 * i), v_twice(cos + i, W / 2), v_twice(sin + i, W / 2)));
    if (i < n) {
        int m = (int)(n - i);
        v_store_n(y + 2 * i, rotated(v_load_n(x + 2 * i, 2 * m), v_twice(cos + i, m), v_twice(sin + i, m)), 2 * m);
    }
}

static void set_math(sc_kernels *k)
{
    k->matmul_nt = matmul_nt;
    k->matmul_nn_acc = matmul_nn_acc;
    k->matmul_tn_acc = matmul_tn_acc;
    k->add = add;
    k->mul = mul;
    k->scale = scale;
#define X(ID, name) k->unary[SC_UNARY_##ID] = unary_##ID;
#include "tensor/unary.def"
#undef X
#define X(ID, name) k->unary_grad[SC_UNARY_##ID] = unary_grad_##ID;
#include "tensor/unary.def"
#undef X
    k->rms_norm_grad = rms_norm_grad;
    k->layer_norm_grad = layer_norm_grad;
    k->dot = dot;
    k->rms_norm = rms_norm;
    k->layer_norm = layer_norm;
    k->max = max;
    k->exp_sum = exp_sum;
    k->rope_halves = rope_halves;
    k->rope_neighbours = rope_neighbours;
}
