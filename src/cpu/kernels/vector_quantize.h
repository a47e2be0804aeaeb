/* SPDX-License-Identifier: Apache-2.0 */
/* The quantisers over the vocabulary of vector_math.h and vector_convert.h and
 *   v_sqrt(v)            correctly rounded
 * They give the bytes of ref/quantize.c and ref/quantize_k.c: the same operations in the same order, none of them
 * fused, a group of 16 or 32 values in each lane where scales are searched for. */
#include "cpu/kernels/pack.h"

/* ---- blocks of 32 whose scales follow from the extremes ---- */

static float inverse(float d) { return d != 0 && isfinite(1 / d) ? 1 / d : 0; }

VEC float v_bottom(vf v) { return -v_top(v_sub(v_set(0), v)); }

/* v cut to whole numbers of [0, hi]; 0 for NaN. */
VEC void put_cut(uint8_t *q, vf v, int hi) { v_to_s8(q, v_min(v_max(v, v_set(0)), v_set((float)hi))); }

/* The first of those of largest magnitude, when both signs have it. */
static float first_extreme(const float *x, float top)
{
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) == top) return x[i];
    return 0;
}

VEC void symmetric(const float *x, int mid, uint8_t *d, uint8_t q[32])
{
    vf most = v_set(0), least = v_set(0);
    for (int i = 0; i < 32; i += W) {
        vf v = v_load(x + i);
        most = v_max(v, most);
        least = v_min(v, least);
    }
    float hi = v_top(most), lo = v_bottom(least), e = hi > -lo ? hi : hi < -lo ? lo : first_extreme(x, hi);
    float scale = (e != 0 ? e : 0) / (float)-mid, id = inverse(scale);
    sc_put_half(d, scale);
    for (int i = 0; i < 32; i += W)
        put_cut(q + i, v_add(v_mul(v_load(x + i), v_set(id)), v_set((float)mid + 0.5f)), 2 * mid - 1);
}

/* The smallest value with the sign of the first, when it is a zero. */
static float first_least(const float *x)
{
    float lo = x[0] == x[0] ? x[0] : 0;
    for (int i = 1; i < 32; i++) lo = x[i] < lo ? x[i] : lo;
    return lo;
}

VEC void affine(const float *x, int top, uint8_t *d, uint8_t *m, uint8_t q[32])
{
    vf most = v_set(x[0] == x[0] ? x[0] : 0), least = most;
    for (int i = 0; i < 32; i += W) {
        vf v = v_load(x + i);
        most = v_max(v, most);
        least = v_min(v, least);
    }
    float hi = v_top(most), lo = v_bottom(least);
    if (lo == 0) lo = first_least(x);
    float scale = (hi - lo) / (float)top, id = inverse(scale);
    sc_put_half(d, scale);
    sc_put_half(m, lo);
    for (int i = 0; i < 32; i += W)
        put_cut(q + i, v_add(v_mul(v_sub(v_load(x + i), v_set(lo)), v_set(id)), v_set(0.5f)), top);
}

VEC void make_q4_0(const float *x, uint8_t *b)
{
    uint8_t q[32];
    symmetric(x, 8, b, q);
    sc_pack_nibbles(q, b + 2);
}

VEC void make_q4_1(const float *x, uint8_t *b)
{
    uint8_t q[32];
    affine(x, 15, b, b + 2, q);
    sc_pack_nibbles(q, b + 4);
}

VEC void make_q5_0(const float *x, uint8_t *b)
{
    uint8_t q[32];
    symmetric(x, 16, b, q);
    sc_pack_fifth_bits(q, b + 2);
    sc_pack_nibbles(q, b + 6);
}

VEC void make_q5_1(const float *x, uint8_t *b)
{
    uint8_t q[32];
    affine(x, 31, b, b + 2, q);
    sc_pack_fifth_bits(q, b + 4);
    sc_pack_nibbles(q, b + 8);
}

VEC void make_mxfp4(const float *x, uint8_t *b)
{
    vf most = v_set(0);
    uint8_t q[32];
    for (int i = 0; i < 32; i += W) most = v_max(v_abs(v_load(x + i)), most);
    b[0] = sc_mxfp4_exponent(v_top(most));
    float d = sc_e8m0_half(b[0]);
    for (int i = 0; i < 32; i += W) {
        vf v = v_load(x + i), best = v_abs(v_sub(v_set(d * (float)sc_mxfp4_values[0]), v)), at = v_set(0);
        for (int j = 1; j < 16; j++) {
            vf e = v_abs(v_sub(v_set(d * (float)sc_mxfp4_values[j]), v));
            at = v_if_less(e, best, v_set((float)j), at);
            best = v_if_less(e, best, e, best);
        }
        v_to_s8(q + i, at);
    }
    sc_pack_nibbles(q, b + 1);
}

#define MAKE(name, bytes)                                                                                          \
    KERNEL void quantize_##name(const float *x, void *y, int64_t n)                                                \
    {                                                                                                              \
        for (uint8_t *b = y; n > 0; n -= 32, b += bytes, x += 32) make_##name(x, b);                               \
    }
MAKE(q4_0, 18)
MAKE(q4_1, 20)
MAKE(q5_0, 22)
MAKE(q5_1, 24)
MAKE(mxfp4, 17)

/* ---- the K-types: two blocks at a time, a group in each lane ---- */

enum { PAIR = 512, MOST_GROUPS = 32 };

/* The groups of one or two blocks: element i of group g at [g / W][i][g % W], in one array. */
typedef struct groups {
    float v[PAIR], w[PAIR];
    float s[MOST_GROUPS], m[MOST_GROUPS];       /* fitted */
    float d[MOST_GROUPS], dmin[MOST_GROUPS];    /* the block's scales, as stored, in the units of v */
    float unit[MOST_GROUPS], back[2];           /* of each group, and of each block its inverse */
    float scale[MOST_GROUPS], min[MOST_GROUPS]; /* rounded */
    uint8_t q[PAIR];                            /* in the order of v */
} groups;

VEC vf v_nearest(vf v, vf lo, vf hi) { return v_round(v_min(v_max(v, lo), hi)); }
VEC vf v_inverse(vf d) { return v_if_less(v_set(0), v_abs(d), v_div(v_set(1), d), v_set(0)); }

/* Fills v, w, unit and back from `blocks` blocks; a second block that is not there counts as zeros. */
VEC void gather(groups *p, const float *x, int blocks, const int n)
{
    float finite[PAIR];
    for (int k = 0; k < 2; k++) {
        vf top = v_set(0);
        for (int i = 256 * k; i < 256 * (k + 1); i += W) {
            vf v = k < blocks ? v_load(x + i) : v_set(0);
            v = v_if_less(v_abs(v), v_set(INFINITY), v, v_set(0));
            top = v_max(v_abs(v), top);
            v_store(finite + i, v);
        }
        float unit = sc_block_unit(v_top(top));
        p->back[k] = 1 / unit;
        for (int g = 0; g < 256 / n; g++) p->unit[k * (256 / n) + g] = unit;
    }
    for (int g = 0; g < PAIR / n; g += W) {
        float *v = p->v + g * n, *w = p->w + g * n;
        vf unit = v_load(p->unit + g), sum = v_set(0);
        for (int l = 0; l < W; l++)
            for (int i = 0; i < n; i++) v[i * W + l] = finite[(g + l) * n + i];
        for (int i = 0; i < n; i++) {
            vf e = v_mul(v_load(v + i * W), unit);
            v_store(v + i * W, e);
            sum = v_add(sum, v_mul(e, e));
        }
        vf rms = v_sqrt(v_div(sum, v_set((float)n)));
        for (int i = 0; i < n; i++) v_store(w + i * W, v_add(rms, v_abs(v_load(v + i * W))));
    }
}

/* The integers in the order of x. */
VEC void scatter(const groups *p, const int n, uint8_t q[PAIR])
{
    for (int g = 0; g < PAIR / n; g += W)
        for (int l = 0; l < W; l++)
            for (int i = 0; i < n; i++) q[(g + l) * n + i] = p->q[g * n + i * W + l];
}

/* Trials at a time: their sums hide each other's latency. */
enum { ABREAST = 3 };

/* The scales s q - m of the W groups from g on. */
VEC void fit_affine(groups *p, int g, const int n, const int top)
{
    const float *v = p->v + g * n, *w = p->w + g * n;
    const vf zero = v_set(0), two = v_set(2), most_q = v_set((float)top);
    vf lo = zero, hi = zero, sw = zero, sx = zero, best = zero, s = zero, m = zero;
    for (int i = 0; i < n; i++) {
        vf e = v_load(v + i * W), we = v_load(w + i * W);
        lo = v_min(e, lo);
        hi = v_max(e, hi);
        sw = v_add(sw, we);
        sx = v_add(sx, v_mul(we, e));
    }
    vf inv = v_inverse(v_sub(hi, lo));
    for (int t = -SC_TRIALS; t <= SC_TRIALS; t += ABREAST) {
        vf is[ABREAST], sq[ABREAST], sqq[ABREAST], sxq[ABREAST];
        UNROLL for (int k = 0; k < ABREAST; k++)
        {
            is[k] = v_mul(v_set(sc_trial((float)top, t + k, SC_TRIAL_STEP)), inv);
            sq[k] = sqq[k] = sxq[k] = zero;
        }
        for (int i = 0; i < n; i++) {
            vf e = v_load(v + i * W), we = v_load(w + i * W), u = v_sub(e, lo);
            UNROLL for (int k = 0; k < ABREAST; k++)
            {
                vf q = v_nearest(v_mul(u, is[k]), zero, most_q), wq = v_mul(we, q);
                sq[k] = v_add(sq[k], wq);
                sqq[k] = v_add(sqq[k], v_mul(wq, q));
                sxq[k] = v_add(sxq[k], v_mul(wq, e));
            }
        }
        for (int k = 0; k < ABREAST && t + k <= SC_TRIALS; k++) {
            vf det = v_sub(v_mul(sw, sqq[k]), v_mul(sq[k], sq[k]));
            vf a = v_div(v_sub(v_mul(sw, sxq[k]), v_mul(sx, sq[k])), det);
            vf b = v_div(v_sub(v_mul(sq[k], sxq[k]), v_mul(sqq[k], sx)), det);
            vf a0 = v_if_less(zero, sqq[k], v_div(sxq[k], sqq[k]), zero);
            vf b0 = v_if_less(zero, sqq[k], zero, v_max(v_div(v_sub(zero, sx), sw), zero));
            vf enough = v_mul(v_mul(sw, sqq[k]), v_set(0x1p-13f));
            a = v_if_less(b, zero, a0, v_if_less(enough, det, a, a0));
            b = v_if_less(b, zero, b0, v_if_less(enough, det, b, b0));
            vf error = v_mul(a, v_sub(v_mul(a, sqq[k]), v_mul(two, v_add(sxq[k], v_mul(b, sq[k])))));
            error = v_add(error, v_mul(b, v_add(v_mul(b, sw), v_mul(two, sx))));
            error = v_if_less(a, zero, zero, error);
            s = v_if_less(error, best, a, s);
            m = v_if_less(error, best, b, m);
            best = v_if_less(error, best, error, best);
        }
    }
    v_store(p->s + g, s);
    v_store(p->m + g, m);
}

/* The rounded scales of the same, and the integers. */
VEC void assign_affine(groups *p, int g, const int n, const int top, const int limit)
{
    const float *v = p->v + g * n, *w = p->w + g * n;
    const vf zero = v_set(0), most = v_set((float)limit), most_q = v_set((float)top);
    vf d = v_load(p->d + g), dmin = v_load(p->dmin + g), least = v_set(INFINITY);
    vf sg = v_nearest(v_mul(v_load(p->s + g), v_inverse(d)), zero, most), bs = sg;
    vf mg = v_nearest(v_mul(v_load(p->m + g), v_inverse(dmin)), zero, most), bm = mg;
    for (int k = -1; k <= 1; k++) {
        vf i = v_nearest(v_add(sg, v_set((float)k)), zero, most), s = v_mul(d, i), is = v_inverse(s);
        vf j[3], offset[3], error[3];
        UNROLL for (int t = 0; t < 3; t++)
        {
            j[t] = v_nearest(v_add(mg, v_set((float)(t - 1))), zero, most);
            offset[t] = v_mul(dmin, j[t]);
            error[t] = zero;
        }
        for (int l = 0; l < n; l++) {
            vf e = v_load(v + l * W), we = v_load(w + l * W);
            UNROLL for (int t = 0; t < 3; t++)
            {
                vf u = v_add(e, offset[t]), q = v_nearest(v_mul(u, is), zero, most_q);
                vf miss = v_sub(v_mul(s, q), u);
                error[t] = v_add(error[t], v_mul(v_mul(miss, miss), we));
            }
        }
        UNROLL for (int t = 0; t < 3; t++)
        {
            bs = v_if_less(error[t], least, i, bs);
            bm = v_if_less(error[t], least, j[t], bm);
            least = v_if_less(error[t], least, error[t], least);
        }
    }
    vf is = v_inverse(v_mul(d, bs)), offset = v_mul(dmin, bm);
    for (int l = 0; l < n; l++)
        v_to_s8(p->q + g * n + l * W, v_nearest(v_mul(v_add(v_load(v + l * W), offset), is), zero, most_q));
    v_store(p->scale + g, bs);
    v_store(p->min + g, bm);
}

/* The scales s q of the W groups from g on. */
VEC void fit_symmetric(groups *p, int g, const int n, const int lo, const int hi)
{
    const float *v = p->v + g * n, *w = p->w + g * n;
    const vf zero = v_set(0), lo_q = v_set((float)lo), hi_q = v_set((float)hi);
    vf least = zero, most = zero, best = zero, s = zero;
    for (int i = 0; i < n; i++) {
        least = v_min(v_load(v + i * W), least);
        most = v_max(v_load(v + i * W), most);
    }
    vf inv = v_div(v_set(1), v_if_less(most, v_sub(zero, least), least, most));
    for (int end = 0; end < 2; end++)
        for (int t = -SC_TRIALS; t <= SC_TRIALS; t += ABREAST) {
            vf is[ABREAST], xq[ABREAST], qq[ABREAST];
            UNROLL for (int k = 0; k < ABREAST; k++)
            {
                is[k] = v_mul(v_set(sc_trial((float)(end ? hi : lo), t + k, SC_TRIAL_STEP)), inv);
                xq[k] = qq[k] = zero;
            }
            for (int i = 0; i < n; i++) {
                vf e = v_load(v + i * W), we = v_load(w + i * W);
                UNROLL for (int k = 0; k < ABREAST; k++)
                {
                    vf q = v_nearest(v_mul(e, is[k]), lo_q, hi_q), wq = v_mul(we, q);
                    xq[k] = v_add(xq[k], v_mul(wq, e));
                    qq[k] = v_add(qq[k], v_mul(wq, q));
                }
            }
            for (int k = 0; k < ABREAST && t + k <= SC_TRIALS; k++) {
                vf ratio = v_div(xq[k], qq[k]), gain = v_mul(ratio, xq[k]);
                s = v_if_less(best, gain, ratio, s);
                best = v_if_less(best, gain, gain, best);
            }
        }
    v_store(p->s + g, s);
}

VEC void assign_symmetric(groups *p, int g, const int n, const int lo, const int hi, const int low)
{
    const float *v = p->v + g * n, *w = p->w + g * n;
    const vf lo_q = v_set((float)lo), hi_q = v_set((float)hi), first_s = v_set((float)low),
             last_s = v_set((float)(-low - 1));
    vf d = v_load(p->d + g), least = v_set(INFINITY), sg, bs, i[3], s[3], is[3], error[3];
    bs = sg = v_nearest(v_mul(v_load(p->s + g), v_inverse(d)), first_s, last_s);
    UNROLL for (int t = 0; t < 3; t++)
    {
        i[t] = v_nearest(v_add(sg, v_set((float)(t - 1))), first_s, last_s);
        s[t] = v_mul(d, i[t]);
        is[t] = v_inverse(s[t]);
        error[t] = v_set(0);
    }
    for (int l = 0; l < n; l++) {
        vf e = v_load(v + l * W), we = v_load(w + l * W);
        UNROLL for (int t = 0; t < 3; t++)
        {
            vf miss = v_sub(v_mul(s[t], v_nearest(v_mul(e, is[t]), lo_q, hi_q)), e);
            error[t] = v_add(error[t], v_mul(v_mul(miss, miss), we));
        }
    }
    UNROLL for (int t = 0; t < 3; t++)
    {
        bs = v_if_less(error[t], least, i[t], bs);
        least = v_if_less(error[t], least, error[t], least);
    }
    vf best = v_inverse(v_mul(d, bs));
    for (int l = 0; l < n; l++)
        v_to_s8(p->q + g * n + l * W, v_sub(v_nearest(v_mul(v_load(v + l * W), best), lo_q, hi_q), lo_q));
    v_store(p->scale + g, bs);
}

/* Scales of a block from those of its groups: the largest becomes `limit` units. Returns the unit as stored, in the
 * units of v. */
static float put_scale(uint8_t *b, float top, float back, int limit)
{
    sc_put_half(b, top * back / (float)limit);
    return sc_half_float(sc_load_u16(b)) / back;
}

/* n values a group; d and dmin lie at these places of a block. */
VEC void affine_pair(groups *p, const float *x, uint8_t *b, int bytes, int blocks, const int n, const int top,
                     const int limit, int d_at, int dmin_at, uint8_t q[PAIR])
{
    const int each = 256 / n;
    gather(p, x, blocks, n);
    for (int g = 0; g < blocks * each; g += W) fit_affine(p, g, n, top);
    for (int k = 0; k < blocks; k++) {
        float *s = p->s + k * each, *m = p->m + k * each, smax = 0, mmax = 0;
        for (int g = 0; g < each; g++) {
            smax = s[g] > smax ? s[g] : smax;
            mmax = m[g] > mmax ? m[g] : mmax;
        }
        float d = put_scale(b + k * bytes + d_at, smax, p->back[k], limit),
              dmin = put_scale(b + k * bytes + dmin_at, mmax, p->back[k], limit);
        for (int g = k * each; g < (k + 1) * each; g++) {
            p->d[g] = d;
            p->dmin[g] = dmin;
        }
    }
    for (int g = 0; g < blocks * each; g += W) assign_affine(p, g, n, top, limit);
    scatter(p, n, q);
}

VEC void symmetric_pair(groups *p, const float *x, uint8_t *b, int bytes, int blocks, const int lo, const int hi,
                        const int low, int d_at, uint8_t q[PAIR])
{
    const int n = 16, each = 256 / n;
    gather(p, x, blocks, n);
    for (int g = 0; g < blocks * each; g += W) fit_symmetric(p, g, n, lo, hi);
    for (int k = 0; k < blocks; k++) {
        float *s = p->s + k * each, top = 0;
        for (int g = 0; g < each; g++) top = fabsf(s[g]) > fabsf(top) ? s[g] : top;
        float d = put_scale(b + k * bytes + d_at, top, p->back[k], low);
        for (int g = k * each; g < (k + 1) * each; g++) p->d[g] = d;
    }
    for (int g = 0; g < blocks * each; g += W) assign_symmetric(p, g, n, lo, hi, low);
    scatter(p, n, q);
}

#define AFFINE(name, bytes, group, top, limit, d_at, dmin_at)                                                      \
    KERNEL void quantize_##name(const float *x, void *y, int64_t n)                                                \
    {                                                                                                              \
        groups p = {.d = {0}};                                                                                     \
        uint8_t q[PAIR], scale[MOST_GROUPS], min[MOST_GROUPS];                                                     \
        for (uint8_t *b = y; n > 0; n -= PAIR, x += PAIR, b += 2 * bytes) {                                        \
            int blocks = n < PAIR ? 1 : 2;                                                                         \
            affine_pair(&p, x, b, bytes, blocks, group, top, limit, d_at, dmin_at, q);                             \
            for (int g = 0; g < MOST_GROUPS; g += W) {                                                             \
                v_to_s8(scale + g, v_load(p.scale + g));                                                           \
                v_to_s8(min + g, v_load(p.min + g));                                                               \
            }                                                                                                      \
            for (int k = 0; k < blocks; k++)                                                                       \
                sc_pack_##name(scale + k * (256 / group), min + k * (256 / group), q + 256 * k, b + k * bytes);    \
        }                                                                                                          \
    }
AFFINE(q2_k, 84, 16, 3, 15, 80, 82)
AFFINE(q4_k, 144, 32, 15, 63, 0, 2)
AFFINE(q5_k, 176, 32, 31, 63, 0, 2)

#define SYMMETRIC(name, bytes, lo, hi, low, d_at)                                                                  \
    KERNEL void quantize_##name(const float *x, void *y, int64_t n)                                                \
    {                                                                                                              \
        groups p = {.d = {0}};                                                                                     \
        uint8_t q[PAIR], scale[MOST_GROUPS];                                                                       \
        for (uint8_t *b = y; n > 0; n -= PAIR, x += PAIR, b += 2 * bytes) {                                        \
            int blocks = n < PAIR ? 1 : 2;                                                                         \
            symmetric_pair(&p, x, b, bytes, blocks, lo, hi, low, d_at, q);                                         \
            for (int g = 0; g < MOST_GROUPS; g += W) v_to_s8(scale + g, v_load(p.scale + g));                      \
            for (int k = 0; k < blocks; k++)                                                                       \
                sc_pack_##name((const int8_t *)scale + 16 * k, q + 256 * k, b + k * bytes);                        \
        }                                                                                                          \
    }
SYMMETRIC(q3_k, 110, -4, 3, -32, 108)
SYMMETRIC(q6_k, 210, -32, 31, -128, 208)

static void set_quantize(sc_kernels *k)
{
    k->quantize[SC_Q4_0] = quantize_q4_0;
    k->quantize[SC_Q4_1] = quantize_q4_1;
    k->quantize[SC_Q5_0] = quantize_q5_0;
    k->quantize[SC_Q5_1] = quantize_q5_1;
    k->quantize[SC_MXFP4] = quantize_mxfp4;
    k->quantize[SC_Q2_K] = quantize_q2_k;
    k->quantize[SC_Q3_K] = quantize_q3_k;
    k->quantize[SC_Q4_K] = quantize_q4_k;
    k->quantize[SC_Q5_K] = quantize_q5_k;
    k->quantize[SC_Q6_K] = quantize_q6_k;
}
