/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of the conversions from f32 to the types whose scales are worth a search: q2_k to q6_k, iq4_nl and
 * iq4_xs.
 *
 * Each group of 16 or 32 values is fitted alone: a number of trial scales around the one that spans the group
 * assign integers, for which the best scale (and minimum) has a closed form by weighted least squares; the trial
 * with the least weighted error wins. The scales are then rounded into the block's own scale, each to the
 * neighbour that errs least when the integers are assigned anew, so that these suit the scale that a reader will
 * see. Large values weigh more, as they do in the products that the weights enter. A value that is not finite
 * counts as 0 in a search.
 *
 * All of it is f32, rounded after every operation (the build forbids fusing) and summed in the order of the values:
 * vector_quantize.h does the same with a group in each lane, and a file does not depend on the machine that wrote it.
 * A block is brought to magnitudes below 2 by a power of two first, so that no square leaves the range. */
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/pack.h"

#include <math.h>

static float half_at(const uint8_t *p) { return sc_half_float(sc_load_u16(p)); }
static float inverse(float d) { return fabsf(d) > 0 ? 1 / d : 0; }
/* b where either is NaN. */
static float lesser(float a, float b) { return a < b ? a : b; }
static float greater(float a, float b) { return a > b ? a : b; }

/* The integer of [lo, hi] nearest to v, ties to even; lo for NaN. All are far below 2^22. */
static float nearest(float v, int lo, int hi)
{
    return lesser(greater(v, (float)lo), (float)hi) + 0x1.8p23f - 0x1.8p23f;
}

/* The finite values of a block times a power of two, 1 / *back. */
static void normalise(int n, const float *x, float *v, float *back)
{
    float amax = 0;
    for (int i = 0; i < n; i++) {
        v[i] = isfinite(x[i]) ? x[i] : 0;
        amax = greater(fabsf(v[i]), amax);
    }
    float unit = sc_block_unit(amax);
    for (int i = 0; i < n; i++) v[i] *= unit;
    *back = 1 / unit;
}

/* Weights: the root of the mean square plus the magnitude. */
static void weigh(int n, const float *v, float *w)
{
    float sum = 0;
    for (int i = 0; i < n; i++) sum += v[i] * v[i];
    float rms = sqrtf(sum / (float)n);
    for (int i = 0; i < n; i++) w[i] = rms + fabsf(v[i]);
}

/* ---- values as s q, q of [lo, hi] or of iq4's table ---- */

/* The index of the table's entry nearest to v; its entries ascend. */
static int nearest_iq4(float v)
{
    int j = 0;
    for (int step = 8; step; step /= 2)
        if (2 * v > (float)(sc_iq4_values[j + step - 1] + sc_iq4_values[j + step])) j += step;
    return j;
}

/* The q nearest to v: an integer of [lo, hi], or of the table where these agree. */
static float level(float v, int lo, int hi)
{
    return lo == hi ? (float)sc_iq4_values[nearest_iq4(v)] : nearest(v, lo, hi);
}

/* The best s for integers of [lo, hi], or for the table where lo == hi. */
static float fit_scale(int n, const float *v, const float *w, int lo, int hi)
{
    float least = 0, most = 0, best = 0, s = 0;
    for (int i = 0; i < n; i++) {
        least = lesser(v[i], least);
        most = greater(v[i], most);
    }
    float inv = 1 / (most < -least ? least : most);
    bool table = lo == hi;
    float ends[2] = {table ? -127 : (float)lo, table ? 113 : (float)hi};
    /* The extreme value goes near the lower end, then near the upper one, where s has the other sign. */
    for (int end = 0; end < 2; end++)
        for (int t = -SC_TRIALS; t <= SC_TRIALS; t++) {
            float is = sc_trial(ends[end], t, table ? 3 : SC_TRIAL_STEP) * inv, xq = 0, qq = 0;
            for (int i = 0; i < n; i++) {
                float q = level(v[i] * is, lo, hi), wq = w[i] * q;
                xq += wq * v[i];
                qq += wq * q;
            }
            float ratio = xq / qq, gain = ratio * xq; /* the error is sum w v^2 less the gain */
            if (best < gain) {
                best = gain;
                s = ratio;
            }
        }
    return s;
}

/* ---- values as s q - m, q of [0, top], s and m not negative ---- */

static void fit_scale_min(int n, const float *v, const float *w, int top, float *s, float *m)
{
    float lo = 0, hi = 0, sw = 0, sx = 0, best = 0;
    for (int i = 0; i < n; i++) {
        lo = lesser(v[i], lo);
        hi = greater(v[i], hi);
        sw += w[i];
        sx += w[i] * v[i];
    }
    float inv = inverse(hi - lo);
    *s = *m = 0;
    for (int t = -SC_TRIALS; t <= SC_TRIALS; t++) {
        float is = sc_trial((float)top, t, SC_TRIAL_STEP) * inv, sq = 0, sqq = 0, sxq = 0;
        for (int i = 0; i < n; i++) {
            float q = nearest((v[i] - lo) * is, 0, top), wq = w[i] * q;
            sq += wq;
            sqq += wq * q;
            sxq += wq * v[i];
        }
        float det = sw * sqq - sq * sq;
        float a = (sw * sxq - sx * sq) / det, b = (sq * sxq - sqq * sx) / det;
        /* Integers too equal to tell s from m, or a minimum that cannot be stored. */
        if (!(sw * sqq * 0x1p-13f < det) || b < 0) {
            a = 0 < sqq ? sxq / sqq : 0;
            b = 0 < sqq ? 0 : greater(-sx / sw, 0);
        }
        /* The weighted error, less sum w v^2. */
        float error = a * (a * sqq - 2 * (sxq + b * sq)) + b * (b * sw + 2 * sx);
        if (error < best && !(a < 0)) {
            best = error;
            *s = a;
            *m = b;
        }
    }
}

/* ---- blocks ---- */

/* The weighted error of what a reader would see. */
static float affine_error(int n, const float *v, const float *w, float s, float m, int top)
{
    float error = 0, is = inverse(s);
    for (int i = 0; i < n; i++) {
        float u = v[i] + m, e = s * nearest(u * is, 0, top) - u;
        error += e * e * w[i];
    }
    return error;
}

/* Fits the groups of one block of 256, rounds their scales and mins to [0, limit] times d and dmin, assigns q. */
static void affine_block(const float *x, int groups, int top, int limit, uint8_t *d, uint8_t *dmin, uint8_t *scale,
                         uint8_t *min, uint8_t q[256])
{
    int n = 256 / groups;
    float v[256], w[256], s[16], m[16], smax = 0, mmax = 0, back;
    normalise(256, x, v, &back);
    for (int g = 0; g < groups; g++) {
        weigh(n, v + g * n, w + g * n);
        fit_scale_min(n, v + g * n, w + g * n, top, &s[g], &m[g]);
        smax = greater(s[g], smax);
        mmax = greater(m[g], mmax);
    }
    sc_put_half(d, smax * back / (float)limit);
    sc_put_half(dmin, mmax * back / (float)limit);
    float fd = half_at(d) / back, fm = half_at(dmin) / back, id = inverse(fd), im = inverse(fm);
    for (int g = 0; g < groups; g++) {
        const float *vg = v + g * n, *wg = w + g * n;
        float sg = nearest(s[g] * id, 0, limit), mg = nearest(m[g] * im, 0, limit);
        float bs = sg, bm = mg, least = INFINITY;
        for (int t = 0; t < 9; t++) {
            float i = nearest(sg + (float)(t / 3 - 1), 0, limit), j = nearest(mg + (float)(t % 3 - 1), 0, limit);
            float error = affine_error(n, vg, wg, fd * i, fm * j, top);
            if (!(error < least)) continue;
            least = error;
            bs = i;
            bm = j;
        }
        float is = inverse(fd * bs), offset = fm * bm;
        for (int i = 0; i < n; i++) q[g * n + i] = (uint8_t)nearest((vg[i] + offset) * is, 0, top);
        scale[g] = (uint8_t)bs;
        min[g] = (uint8_t)bm;
    }
}

static float symmetric_error(int n, const float *v, const float *w, float s, int lo, int hi)
{
    float error = 0, is = inverse(s);
    for (int i = 0; i < n; i++) {
        float e = s * level(v[i] * is, lo, hi) - v[i];
        error += e * e * w[i];
    }
    return error;
}

/* The same for s q: scales are rounded to [low, -low - 1] times d. The integers are q - lo, or the table's indices. */
static void symmetric_block(const float *x, int groups, int lo, int hi, int low, uint8_t *d, int8_t *scale,
                            uint8_t q[256])
{
    int n = 256 / groups;
    float v[256], w[256], s[16], top = 0, back;
    normalise(256, x, v, &back);
    for (int g = 0; g < groups; g++) {
        weigh(n, v + g * n, w + g * n);
        s[g] = fit_scale(n, v + g * n, w + g * n, lo, hi);
        top = fabsf(s[g]) > fabsf(top) ? s[g] : top;
    }
    sc_put_half(d, top * back / (float)low);
    float fd = half_at(d) / back, id = inverse(fd);
    for (int g = 0; g < groups; g++) {
        const float *vg = v + g * n, *wg = w + g * n;
        float sg = nearest(s[g] * id, low, -low - 1), bs = sg, least = INFINITY;
        for (int t = -1; t <= 1; t++) {
            float i = nearest(sg + (float)t, low, -low - 1), error = symmetric_error(n, vg, wg, fd * i, lo, hi);
            if (!(error < least)) continue;
            least = error;
            bs = i;
        }
        float is = inverse(fd * bs);
        for (int i = 0; i < n; i++)
            q[g * n + i] = (uint8_t)(lo == hi ? nearest_iq4(vg[i] * is) : (int)nearest(vg[i] * is, lo, hi) - lo);
        scale[g] = (int8_t)bs;
    }
}

static void block_q2_k(const float *x, uint8_t *b)
{
    uint8_t scale[16], min[16], q[256];
    affine_block(x, 16, 3, 15, b + 80, b + 82, scale, min, q);
    sc_pack_q2_k(scale, min, q, b);
}

static void block_q3_k(const float *x, uint8_t *b)
{
    int8_t scale[16];
    uint8_t q[256];
    symmetric_block(x, 16, -4, 3, -32, b + 108, scale, q);
    sc_pack_q3_k(scale, q, b);
}

static void block_q4_k(const float *x, uint8_t *b)
{
    uint8_t scale[8], min[8], q[256];
    affine_block(x, 8, 15, 63, b, b + 2, scale, min, q);
    sc_pack_q4_k(scale, min, q, b);
}

static void block_q5_k(const float *x, uint8_t *b)
{
    uint8_t scale[8], min[8], q[256];
    affine_block(x, 8, 31, 63, b, b + 2, scale, min, q);
    sc_pack_q5_k(scale, min, q, b);
}

static void block_q6_k(const float *x, uint8_t *b)
{
    int8_t scale[16];
    uint8_t q[256];
    symmetric_block(x, 16, -32, 31, -128, b + 208, scale, q);
    sc_pack_q6_k(scale, q, b);
}

static void block_iq4_nl(const float *x, uint8_t *b)
{
    float v[32], w[32], back;
    uint8_t q[32];
    normalise(32, x, v, &back);
    weigh(32, v, w);
    sc_put_half(b, fit_scale(32, v, w, 0, 0) * back);
    float id = inverse(half_at(b) / back);
    for (int i = 0; i < 32; i++) q[i] = (uint8_t)nearest_iq4(v[i] * id);
    sc_pack_nibbles(q, b + 2);
}

static void block_iq4_xs(const float *x, uint8_t *b)
{
    int8_t scale[8];
    uint8_t q[256];
    symmetric_block(x, 8, 0, 0, -32, b, scale, q);
    unsigned high = 0;
    memset(b + 4, 0, 4);
    for (int g = 0; g < 8; g++) {
        unsigned s = (unsigned)(scale[g] + 32);
        b[4 + g / 2] |= (uint8_t)((s & 15) << 4 * (g & 1));
        high |= (s >> 4) << 2 * g;
        sc_pack_nibbles(q + 32 * g, b + 8 + 16 * g);
    }
    sc_store_u16(b + 2, (uint16_t)high);
}

#define DEFINE(ID, name, elements, bytes)                                                                          \
    static void quantize_##name(const float *x, void *y, int64_t n)                                                \
    {                                                                                                              \
        for (uint8_t *b = y; n > 0; n -= elements, b += bytes, x += elements) block_##name(x, b);                  \
    }
SC_SEARCHED_BLOCKS(DEFINE)

void sc_kernels_ref_quantize_k(sc_kernels *k)
{
#define SET(ID, name, elements, bytes) k->quantize[SC_##ID] = quantize_##name;
    SC_SEARCHED_BLOCKS(SET)
}
