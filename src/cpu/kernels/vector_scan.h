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
/* ---- going back: sums over rows are added row by row, so that they too are the same for any number at a time ---- */

KERNEL void conv_taps_grad(int64_t n, int64_t taps, const float *const *x, const float *dy, float *dw, int64_t ldw)
{
    for (int64_t j = 0; j < taps; j++) {
        float *to = dw + j * ldw;
        int64_t i = 0;
        for (; i + W <= n; i += W) v_store(to + i, v_fma(v_load(dy + i), v_load(x[j] + i), v_load(to + i)));
        if (i < n) {
            int m = (int)(n - i);
            v_store_n(to + i, v_fma(v_load_n(dy + i, m), v_load_n(x[j] + i, m), v_load_n(to + i, m)), m);
        }
    }
}

/* What a row's step back reads and writes besides its states. */
typedef struct back_row {
    vf dy, in;       /* in: what was multiplied by b */
    vf dt;           /* of a selective step */
    vf of_in, of_dt; /* sums */
} back_row;

/* Elements i .. i + m of some rows. keep is the decay, of each element in a selective step. */
VEC void back_at(const int rows, const int m, const int selective, int64_t i, int64_t n, vf keep, const float *a,
                 back_row *row, const float *b, const float *c, const float *before, const float *after, float *ds,
                 float *da, float *db, float *dc, vf *of_keep)
{
    vf in_b = get_lanes(b + i, m), in_c = get_lanes(c + i, m), to_b = get_lanes(db + i, m), to_c = get_lanes(dc + i, m);
    UNROLL for (int r = 0; r < rows; r++) {
        int64_t at = r * n + i;
        vf g = v_fma(row[r].dy, in_c, get_lanes(ds + at, m)), old = get_lanes(before + at, m);
        row[r].of_in = v_fma(g, in_b, row[r].of_in);
        to_b = v_fma(g, row[r].in, to_b);
        to_c = v_fma(row[r].dy, get_lanes(after + at, m), to_c);
        if (selective) {
            vf rate = get_lanes(a + at, m);
            g = v_mul(g, v_exp(v_mul(row[r].dt, rate)));
            vf of = v_mul(g, old);
            row[r].of_dt = v_fma(of, rate, row[r].of_dt);
            put_lanes(da + at, v_fma(of, row[r].dt, get_lanes(da + at, m)), m);
            put_lanes(ds + at, g, m);
        } else {
            *of_keep = v_fma(g, old, *of_keep);
            put_lanes(ds + at, v_mul(g, keep), m);
        }
    }
    put_lanes(db + i, to_b, m);
    put_lanes(dc + i, to_c, m);
}

VEC void selective_back(const int rows, int64_t n, const float *a, const float *dt, const float *x, const float *b,
                        const float *c, const float *before, const float *after, const float *dy, float *ds, float *da,
                        float *ddt, float *dx, float *db, float *dc)
{
    back_row row[4];
    vf none = v_set(0);
    int64_t i = 0;
    UNROLL for (int r = 0; r < rows; r++)
        row[r] = (back_row){v_set(dy[r]), v_set(dt[r] * x[r]), v_set(dt[r]), v_set(0), v_set(0)};
    for (; i + W <= n; i += W)
        back_at(rows, W, 1, i, n, none, a, row, b, c, before, after, ds, da, db, dc, &none);
    if (i < n) back_at(rows, (int)(n - i), 1, i, n, none, a, row, b, c, before, after, ds, da, db, dc, &none);
    UNROLL for (int r = 0; r < rows; r++) {
        float in = v_sum(row[r].of_in);
        ddt[r] = v_sum(row[r].of_dt) + in * x[r];
        dx[r] = in * dt[r];
    }
}

KERNEL void selective_step_grad(int64_t rows, int64_t n, const float *a, const float *dt, const float *x,
                                const float *b, const float *c, const float *before, const float *after,
                                const float *dy, float *ds, float *da, float *ddt, float *dx, float *db, float *dc)
{
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4)
        selective_back(4, n, a + r * n, dt + r, x + r, b, c, before + r * n, after + r * n, dy + r, ds + r * n,
                       da + r * n, ddt + r, dx + r, db, dc);
    for (; r < rows; r++)
        selective_back(1, n, a + r * n, dt + r, x + r, b, c, before + r * n, after + r * n, dy + r, ds + r * n,
                       da + r * n, ddt + r, dx + r, db, dc);
}

VEC void decay_back(const int rows, int64_t n, float decay, const float *x, const float *b, const float *c,
                    const float *before, const float *after, const float *dy, float *ds, float *dx, float *db, float *dc,
                    vf *of_keep)
{
    back_row row[4];
    vf keep = v_set(decay);
    int64_t i = 0;
    UNROLL for (int r = 0; r < rows; r++)
        row[r] = (back_row){v_set(dy[r]), v_set(x[r]), v_set(0), v_set(0), v_set(0)};
    for (; i + W <= n; i += W)
        back_at(rows, W, 0, i, n, keep, NULL, row, b, c, before, after, ds, NULL, db, dc, of_keep);
    if (i < n) back_at(rows, (int)(n - i), 0, i, n, keep, NULL, row, b, c, before, after, ds, NULL, db, dc, of_keep);
    UNROLL for (int r = 0; r < rows; r++) dx[r] = v_sum(row[r].of_in);
}

KERNEL void decay_step_grad(int64_t rows, int64_t n, float decay, const float *x, const float *b, const float *c,
                            const float *before, const float *after, const float *dy, float *ds, float *dx, float *db,
                            float *dc, float *dkeep)
{
    vf of_keep = v_set(0);
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4)
        decay_back(4, n, decay, x + r, b, c, before + r * n, after + r * n, dy + r, ds + r * n, dx + r, db, dc,
                   &of_keep);
    for (; r < rows; r++)
        decay_back(1, n, decay, x + r, b, c, before + r * n, after + r * n, dy + r, ds + r * n, dx + r, db, dc,
                   &of_keep);
    *dkeep += v_sum(of_keep);
}

/* A row's products with k: of the states before, and of what the loss says of those after. */
VEC void delta_products(const int rows, const int m, int64_t i, int64_t n, const vf *dy, const float *q, const float *k,
                        const float *before, const float *ds, vf *held, vf *of)
{
    vf in_q = get_lanes(q + i, m), in_k = get_lanes(k + i, m);
    UNROLL for (int r = 0; r < rows; r++) {
        int64_t at = r * n + i;
        held[r] = v_fma(get_lanes(before + at, m), in_k, held[r]);
        of[r] = v_fma(v_fma(dy[r], in_q, get_lanes(ds + at, m)), in_k, of[r]);
    }
}

/* du: of what was corrected; in: what was added along k. */
VEC void delta_at(const int rows, const int m, int64_t i, int64_t n, vf decay, const vf *dy, const vf *du, const vf *in,
                  const float *q, const float *k, const float *before, const float *after, float *ds, float *dq,
                  float *dk, vf *of_keep)
{
    vf in_q = get_lanes(q + i, m), in_k = get_lanes(k + i, m), to_q = get_lanes(dq + i, m), to_k = get_lanes(dk + i, m);
    UNROLL for (int r = 0; r < rows; r++) {
        int64_t at = r * n + i;
        vf g = v_fma(dy[r], in_q, get_lanes(ds + at, m)), old = get_lanes(before + at, m),
           kept = v_fnma(du[r], in_k, g);
        to_q = v_fma(dy[r], get_lanes(after + at, m), to_q);
        to_k = v_fnma(v_mul(du[r], decay), old, v_fma(g, in[r], to_k));
        *of_keep = v_fma(kept, old, *of_keep);
        put_lanes(ds + at, v_mul(kept, decay), m);
    }
    put_lanes(dq + i, to_q, m);
    put_lanes(dk + i, to_k, m);
}

VEC void delta_back(const int rows, int64_t n, float decay, float beta, const float *q, const float *k, const float *v,
                    const float *before, const float *after, const float *dy, float *ds, float *dv, float *dq, float *dk,
                    vf *of_keep, float *dbeta)
{
    vf vdy[4], held[4], of[4], du[4], in[4], keep = v_set(decay);
    int64_t i = 0;
    UNROLL for (int r = 0; r < rows; r++) vdy[r] = v_set(dy[r]), held[r] = of[r] = v_set(0);
    for (; i + W <= n; i += W) delta_products(rows, W, i, n, vdy, q, k, before, ds, held, of);
    if (i < n) delta_products(rows, (int)(n - i), i, n, vdy, q, k, before, ds, held, of);
    UNROLL for (int r = 0; r < rows; r++) {
        float off = v[r] - decay * v_sum(held[r]), d = v_sum(of[r]);
        dv[r] = beta * d;
        *dbeta += d * off;
        du[r] = v_set(dv[r]);
        in[r] = v_set(beta * off);
    }
    for (i = 0; i + W <= n; i += W)
        delta_at(rows, W, i, n, keep, vdy, du, in, q, k, before, after, ds, dq, dk, of_keep);
    if (i < n) delta_at(rows, (int)(n - i), i, n, keep, vdy, du, in, q, k, before, after, ds, dq, dk, of_keep);
}

KERNEL void delta_step_grad(int64_t rows, int64_t n, float decay, float beta, const float *q, const float *k,
                            const float *v, const float *before, const float *after, const float *dy, float *ds,
                            float *dv, float *dq, float *dk, float *dkeep, float *dbeta)
{
    vf of_keep = v_set(0);
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4)
        delta_back(4, n, decay, beta, q, k, v + r, before + r * n, after + r * n, dy + r, ds + r * n, dv + r, dq, dk,
                   &of_keep, dbeta);
    for (; r < rows; r++)
        delta_back(1, n, decay, beta, q, k, v + r, before + r * n, after + r * n, dy + r, ds + r * n, dv + r, dq, dk,
                   &of_keep, dbeta);
    *dkeep += v_sum(of_keep);
}
/* clang-format on */

static void set_scan(sc_kernels *k)
{
    k->conv_taps = conv_taps;
    k->selective_step = selective_step;
    k->decay_step = decay_step;
    k->delta_step = delta_step;
    k->conv_taps_grad = conv_taps_grad;
    k->selective_step_grad = selective_step_grad;
    k->decay_step_grad = decay_step_grad;
    k->delta_step_grad = delta_step_grad;
}
