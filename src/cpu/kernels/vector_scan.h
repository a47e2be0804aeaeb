/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of the recurrences over the vocabulary of vector_math.h, which is included before. Lanes along a row of
 * states; four rows at a time, so that what all rows read is loaded once, but each row's operations are the same for any
 * number of them. */

/* clang-format off */
/* y[i] = bias + sum over the taps. */
VEC void taps_at(int64_t i, const int n, int64_t taps, const float *const *x, const float *w, int64_t ldw,
                 const float *bias, float *y)
{
    vf acc = bias ? n < W ? v_load_n(bias + i, n) : v_load(bias + i) : v_set(0);
    for (int64_t j = 0; j < taps; j++)
        acc = n < W ? v_fma(v_load_n(w + j * ldw + i, n), v_load_n(x[j] + i, n), acc)
                    : v_fma(v_load(w + j * ldw + i), v_load(x[j] + i), acc);
    if (n < W) v_store_n(y + i, acc, n);
    else v_store(y + i, acc);
}

KERNEL void conv_taps(int64_t n, int64_t taps, const float *const *x, const float *w, int64_t ldw,
                      const float *bias, float *y)
{
    int64_t i = 0;
    for (; i + W <= n; i += W) taps_at(i, W, taps, x, w, ldw, bias, y);
    if (i < n) taps_at(i, (int)(n - i), taps, x, w, ldw, bias, y);
}

/* Sums of up to four rows. */
VEC void sum_rows(const int rows, const vf *acc, float *y)
{
    if (rows == 4) v_sum4(y, acc[0], acc[1], acc[2], acc[3]);
    else UNROLL for (int r = 0; r < rows; r++) y[r] = v_sum(acc[r]);
}

/* The first m lanes. */
VEC vf get_lanes(const float *p, const int m) { return m < W ? v_load_n(p, m) : v_load(p); }
VEC void put_lanes(float *p, vf v, const int m)
{
    if (m < W) v_store_n(p, v, m);
    else v_store(p, v);
}

/* Elements i .. i + m of each row: s = keep s + in b, and what that adds to the sums of s c. */
VEC void update_at(const int rows, const int m, int64_t i, int64_t n, vf keep, const vf *in, const float *b,
                   const float *c, float *s, vf *acc)
{
    vf in_b = get_lanes(b + i, m), in_c = get_lanes(c + i, m);
    UNROLL for (int r = 0; r < rows; r++) {
        vf h = v_fma(in[r], in_b, v_mul(keep, get_lanes(s + r * n + i, m)));
        put_lanes(s + r * n + i, h, m);
        acc[r] = v_fma(h, in_c, acc[r]);
    }
}

VEC void update_rows(const int rows, int64_t n, vf keep, const vf *in, const float *b, const float *c, float *s,
                     float *y)
{
    vf acc[4];
    int64_t i = 0;
    UNROLL for (int r = 0; r < rows; r++) acc[r] = v_set(0);
    for (; i + W <= n; i += W) update_at(rows, W, i, n, keep, in, b, c, s, acc);
    if (i < n) update_at(rows, (int)(n - i), i, n, keep, in, b, c, s, acc);
    sum_rows(rows, acc, y);
}

/* The same where each element decays in its own way. */
VEC void selective_at(const int rows, const int m, int64_t i, int64_t n, const float *a, const vf *dt,
                      const vf *in, const float *b, const float *c, float *s, vf *acc)
{
    vf in_b = get_lanes(b + i, m), in_c = get_lanes(c + i, m);
    UNROLL for (int r = 0; r < rows; r++) {
        vf keep = v_exp(v_mul(dt[r], get_lanes(a + r * n + i, m)));
        vf h = v_fma(in[r], in_b, v_mul(keep, get_lanes(s + r * n + i, m)));
        put_lanes(s + r * n + i, h, m);
        acc[r] = v_fma(h, in_c, acc[r]);
    }
}

VEC void selective_rows(const int rows, int64_t n, const float *a, const float *dt, const float *x, const float *b,
                        const float *c, float *s, float *y)
{
    vf acc[4], step[4], in[4];
    int64_t i = 0;
    UNROLL for (int r = 0; r < rows; r++) {
        acc[r] = v_set(0);
        step[r] = v_set(dt[r]);
        in[r] = v_set(dt[r] * x[r]);
    }
    for (; i + W <= n; i += W) selective_at(rows, W, i, n, a, step, in, b, c, s, acc);
    if (i < n) selective_at(rows, (int)(n - i), i, n, a, step, in, b, c, s, acc);
    sum_rows(rows, acc, y);
}

KERNEL void selective_step(int64_t rows, int64_t n, const float *a, const float *dt, const float *x,
                           const float *b, const float *c, float *s, float *y)
{
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) selective_rows(4, n, a + r * n, dt + r, x + r, b, c, s + r * n, y + r);
    for (; r < rows; r++) selective_rows(1, n, a + r * n, dt + r, x + r, b, c, s + r * n, y + r);
}

VEC void decay_rows(const int rows, int64_t n, float decay, const float *x, const float *b, const float *c,
                    float *s, float *y)
{
    vf in[4];
    UNROLL for (int r = 0; r < rows; r++) in[r] = v_set(x[r]);
    update_rows(rows, n, v_set(decay), in, b, c, s, y);
}

KERNEL void decay_step(int64_t rows, int64_t n, float decay, const float *x, const float *b, const float *c,
                       float *s, float *y)
{
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) decay_rows(4, n, decay, x + r, b, c, s + r * n, y + r);
    for (; r < rows; r++) decay_rows(1, n, decay, x + r, b, c, s + r * n, y + r);
}

VEC void delta_rows(const int rows, int64_t n, float decay, float beta, const float *q, const float *k,
                    const float *v, float *s, float *y)
{
    vf acc[4], in[4];
    float held[4]; /* what the state has for k now */
    int64_t i = 0;
    UNROLL for (int r = 0; r < rows; r++) acc[r] = v_set(0);
    for (; i + W <= n; i += W) {
        vf vk = v_load(k + i);
        UNROLL for (int r = 0; r < rows; r++) acc[r] = v_fma(v_load(s + r * n + i), vk, acc[r]);
    }
    if (i < n) {
        int m = (int)(n - i);
        vf vk = v_load_n(k + i, m);
        UNROLL for (int r = 0; r < rows; r++) acc[r] = v_fma(v_load_n(s + r * n + i, m), vk, acc[r]);
    }
    sum_rows(rows, acc, held);
    UNROLL for (int r = 0; r < rows; r++) in[r] = v_set(beta * (v[r] - decay * held[r]));
    update_rows(rows, n, v_set(decay), in, k, q, s, y);
}

KERNEL void delta_step(int64_t rows, int64_t n, float decay, float beta, const float *q, const float *k,
                       const float *v, float *s, float *y)
{
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) delta_rows(4, n, decay, beta, q, k, v + r, s + r * n, y + r);
    for (; r < rows; r++) delta_rows(1, n, decay, beta, q, k, v + r, s + r * n, y + r);
}
/* clang-format on */

static void set_scan(sc_kernels *k)
{
    k->conv_taps = conv_taps;
    k->selective_step = selective_step;
    k->decay_step = decay_step;
    k->delta_step = delta_step;
}
