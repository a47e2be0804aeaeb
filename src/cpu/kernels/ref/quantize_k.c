/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of the conversions from f32 to the types whose scales are worth a search: q2_k to q6_k, iq4_nl and
 * iq4_xs.
 *
 * Each group of 16 or 32 values is fitted alone: a number of trial scales around the one that spans the group
 * assign integers, for which the best scale (and minimum) has a closed form by weighted least squares; the trial
 * with the least weighted error wins. The scales are then rounded into the block's own scale, each to the
 * neighbour that errs least when the integers are assigned anew, so that these suit the scale that a reader will
 * see. Large values weigh more, as they do in the products that the weights enter. A value that is not finite
 * counts as 0 in a search. */
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/kernels.h"

#include <math.h>

static void put_half(uint8_t *p, float f) { sc_store_u16(p, sc_float_half(f)); }
static float half_at(const uint8_t *p) { return sc_half_float(sc_load_u16(p)); }
static double inverse(double d) { return d != 0 && isfinite(1 / d) ? 1 / d : 0; }

/* The integer of [lo, hi] nearest to v. */
static int nearest(double v, int lo, int hi) { return v <= lo ? lo : v >= hi ? hi : v == v ? (int)lrint(v) : lo; }

/* The finite values of x, and their weights: the root of the mean square plus the magnitude. */
static void weigh(int n, const float *x, float *v, double *w)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        v[i] = isfinite(x[i]) ? x[i] : 0;
        sum += (double)v[i] * v[i];
    }
    double rms = sqrt(sum / n);
    for (int i = 0; i < n; i++) w[i] = rms + fabs(v[i]);
}

/* ---- values as s q, q of [lo, hi] or an index into iq4's table ---- */

/* The table's entry nearest to v; its entries ascend. */
static int nearest_iq4(double v)
{
    int j = 0;
    for (int step = 8; step; step /= 2)
        if (2 * v > sc_iq4_values[j + step - 1] + sc_iq4_values[j + step]) j += step;
    return j;
}

/* The q of v / s: an integer of [lo, hi], or an index into the table where these agree; and its value. */
static int level(double v, int lo, int hi) { return lo == hi ? nearest_iq4(v) : nearest(v, lo, hi); }
static int level_value(int q, int lo, int hi) { return lo == hi ? sc_iq4_values[q] : q; }

/* The best s for integers of [lo, hi], or for the table where lo == hi. */
static float fit_scale(int n, const float *x, int lo, int hi)
{
    float v[32], top = 0;
    double w[32], best = 0, best_s = 0;
    weigh(n, x, v, w);
    for (int i = 0; i < n; i++) top = fabsf(v[i]) > fabsf(top) ? v[i] : top;
    if (top == 0) return 0;
    bool table = lo == hi;
    double ends[2] = {table ? -127 : lo, table ? 113 : hi};
    /* The extreme value goes near the lower end, then near the upper one, where s has the other sign. */
    for (int end = 0; end < 2; end++)
        for (int t = -10; t <= 10; t++) {
            double is = ends[end] * (1 + 0.1 * t / (table ? 8 : fabs(ends[end]))) / top, xq = 0, qq = 0;
            for (int i = 0; i < n; i++) {
                double q = level_value(level(is * v[i], lo, hi), lo, hi);
                xq += w[i] * v[i] * q;
                qq += w[i] * q * q;
            }
            /* The error is sum w x^2 - xq^2/qq. */
            if (qq > 0 && xq * xq > best * qq) {
                best = xq * xq / qq;
                best_s = xq / qq;
            }
        }
    return (float)best_s;
}

/* ---- values as s q - m, q of [0, top], s and m not negative ---- */

/* Weighted sums over the trial's integers, and what follows from them. */
typedef struct fit {
    double s, m, error;
} fit;

static fit solve(int n, const float *v, const double *w, const uint8_t *q)
{
    double sw = 0, sx = 0, sq = 0, sqq = 0, sxq = 0;
    for (int i = 0; i < n; i++) {
        sw += w[i];
        sx += w[i] * v[i];
        sq += w[i] * q[i];
        sqq += w[i] * q[i] * q[i];
        sxq += w[i] * v[i] * q[i];
    }
    double det = sw * sqq - sq * sq;
    fit f = {0, 0, 0};
    if (det > 0) {
        f.s = (sw * sxq - sx * sq) / det;
        f.m = (sq * sxq - sqq * sx) / det;
    }
    if (!(det > 0) || f.m < 0) { /* all integers equal, or a minimum that cannot be stored */
        f.m = sqq > 0 || !(sx < 0) ? 0 : -sx / sw;
        f.s = sqq > 0 ? sxq / sqq : 0;
    }
    for (int i = 0; i < n; i++) {
        double e = f.s * q[i] - f.m - v[i];
        f.error += w[i] * e * e;
    }
    return f;
}

static void fit_scale_min(int n, const float *x, int top, float *s, float *m)
{
    float v[32], lo = 0, hi = 0;
    double w[32];
    weigh(n, x, v, w);
    for (int i = 0; i < n; i++) {
        lo = v[i] < lo ? v[i] : lo;
        hi = v[i] > hi ? v[i] : hi;
    }
    fit best = {0, 0, INFINITY};
    for (int t = -10; t <= 10; t++) {
        uint8_t q[32];
        double is = (top + 0.1 * t) * inverse((double)hi - lo);
        for (int i = 0; i < n; i++) q[i] = (uint8_t)nearest(is * ((double)v[i] - lo), 0, top);
        fit f = solve(n, v, w, q);
        if (f.s >= 0 && f.error < best.error) best = f;
    }
    *s = (float)best.s;
    *m = (float)best.m;
}

/* ---- blocks ---- */

/* The weighted error of what a reader would see. */
static double affine_error(int n, const float *v, const double *w, double s, double m, int top)
{
    double error = 0, is = inverse(s);
    for (int i = 0; i < n; i++) {
        double e = s * nearest((v[i] + m) * is, 0, top) - m - v[i];
        error += w[i] * e * e;
    }
    return error;
}

/* Fits the groups of one block of 256, rounds their scales and mins to [0, limit] times d and dmin, assigns q. */
static void affine_block(const float *x, int groups, int top, int limit, uint8_t *d, uint8_t *dmin, uint8_t *scale,
                         uint8_t *min, uint8_t q[256])
{
    int size = 256 / groups;
    float s[16], m[16], smax = 0, mmax = 0;
    for (int g = 0; g < groups; g++) {
        fit_scale_min(size, x + g * size, top, &s[g], &m[g]);
        smax = s[g] > smax ? s[g] : smax;
        mmax = m[g] > mmax ? m[g] : mmax;
    }
    put_half(d, smax / (float)limit);
    put_half(dmin, mmax / (float)limit);
    double fd = half_at(d), fm = half_at(dmin);
    for (int g = 0; g < groups; g++) {
        int sg = nearest(s[g] * inverse(fd), 0, limit), mg = nearest(m[g] * inverse(fm), 0, limit);
        double least = INFINITY, w[32];
        float v[32];
        weigh(size, x + g * size, v, w);
        scale[g] = (uint8_t)sg;
        min[g] = (uint8_t)mg;
        for (int t = 0; t < 9; t++) {
            int i = sg + t / 3 - 1, j = mg + t % 3 - 1;
            if (i < 0 || i > limit || j < 0 || j > limit) continue;
            double error = affine_error(size, v, w, fd * i, fm * j, top);
            if (!(error < least)) continue;
            least = error;
            scale[g] = (uint8_t)i;
            min[g] = (uint8_t)j;
        }
        double is = inverse(fd * scale[g]), offset = fm * min[g];
        for (int i = 0; i < size; i++) q[g * size + i] = (uint8_t)nearest((v[i] + offset) * is, 0, top);
    }
}

static double symmetric_error(int n, const float *v, const double *w, double s, int lo, int hi)
{
    double error = 0, is = inverse(s);
    for (int i = 0; i < n; i++) {
        double e = s * level_value(level(v[i] * is, lo, hi), lo, hi) - v[i];
        error += w[i] * e * e;
    }
    return error;
}

/* The same for s q: scales are rounded to [low, -low - 1] times d. */
static void symmetric_block(const float *x, int groups, int lo, int hi, int low, uint8_t *d, int8_t *scale,
                            int8_t q[256])
{
    int size = 256 / groups;
    float s[16], top = 0;
    for (int g = 0; g < groups; g++) {
        s[g] = fit_scale(size, x + g * size, lo, hi);
        top = fabsf(s[g]) > fabsf(top) ? s[g] : top;
    }
    put_half(d, top / (float)low);
    double fd = half_at(d);
    for (int g = 0; g < groups; g++) {
        int sg = nearest(s[g] * inverse(fd), low, -low - 1);
        double least = INFINITY, w[32];
        float v[32];
        weigh(size, x + g * size, v, w);
        scale[g] = (int8_t)sg;
        for (int i = sg - 1; i <= sg + 1; i++) {
            if (i < low || i > -low - 1) continue;
            double error = symmetric_error(size, v, w, fd * i, lo, hi);
            if (!(error < least)) continue;
            least = error;
            scale[g] = (int8_t)i;
        }
        double is = inverse(fd * scale[g]);
        for (int i = 0; i < size; i++) q[g * size + i] = (int8_t)level(v[i] * is, lo, hi);
    }
}

/* Two bits of each of 256 integers, as q2_k and q3_k store them. */
static void put_pairs(const uint8_t q[256], uint8_t *b)
{
    memset(b, 0, 64);
    for (int i = 0; i < 256; i++) b[i / 128 * 32 + i % 32] |= (uint8_t)((q[i] & 3) << i % 128 / 32 * 2);
}

/* Nibbles of 256 integers, `span` low ones and then as many high ones. */
static void put_nibbles(const uint8_t q[256], int span, uint8_t *b)
{
    memset(b, 0, 128);
    for (int i = 0; i < 256; i++)
        b[i / (2 * span) * span + i % span] |= (uint8_t)((q[i] & 15) << i % (2 * span) / span * 4);
}

static void put_k4_scales(const uint8_t scale[8], const uint8_t min[8], uint8_t s[12])
{
    for (int i = 0; i < 4; i++) {
        s[i] = (uint8_t)(scale[i] | (scale[4 + i] >> 4) << 6);
        s[4 + i] = (uint8_t)(min[i] | (min[4 + i] >> 4) << 6);
        s[8 + i] = (uint8_t)((scale[4 + i] & 15) | (min[4 + i] & 15) << 4);
    }
}

static void block_q2_k(const float *x, uint8_t *b)
{
    uint8_t scale[16], min[16], q[256];
    affine_block(x, 16, 3, 15, b + 80, b + 82, scale, min, q);
    for (int g = 0; g < 16; g++) b[g] = (uint8_t)(scale[g] | min[g] << 4);
    put_pairs(q, b + 16);
}

static void block_q3_k(const float *x, uint8_t *b)
{
    int8_t scale[16], q[256];
    uint8_t u[256];
    symmetric_block(x, 16, -4, 3, -32, b + 108, scale, q);
    memset(b, 0, 32);
    for (int i = 0; i < 256; i++) {
        u[i] = (uint8_t)(q[i] + 4);
        b[i % 32] |= (uint8_t)((u[i] >> 2) << i / 32);
    }
    put_pairs(u, b + 32);
    memset(b + 96, 0, 12);
    for (int g = 0; g < 16; g++) {
        int s = scale[g] + 32;
        b[96 + g % 8] |= (uint8_t)((s & 15) << (g < 8 ? 0 : 4));
        b[104 + g % 4] |= (uint8_t)((s >> 4) << g / 4 * 2);
    }
}

static void block_q4_k(const float *x, uint8_t *b)
{
    uint8_t scale[8], min[8], q[256];
    affine_block(x, 8, 15, 63, b, b + 2, scale, min, q);
    put_k4_scales(scale, min, b + 4);
    put_nibbles(q, 32, b + 16);
}

static void block_q5_k(const float *x, uint8_t *b)
{
    uint8_t scale[8], min[8], q[256];
    affine_block(x, 8, 31, 63, b, b + 2, scale, min, q);
    put_k4_scales(scale, min, b + 4);
    memset(b + 16, 0, 32);
    for (int i = 0; i < 256; i++) b[16 + i % 32] |= (uint8_t)((q[i] >> 4) << i / 32);
    put_nibbles(q, 32, b + 48);
}

static void block_q6_k(const float *x, uint8_t *b)
{
    int8_t scale[16], q[256];
    uint8_t u[256];
    symmetric_block(x, 16, -32, 31, -128, b + 208, scale, q);
    memset(b + 128, 0, 64);
    for (int i = 0; i < 256; i++) {
        u[i] = (uint8_t)(q[i] + 32);
        b[128 + i / 128 * 32 + i % 32] |= (uint8_t)((u[i] >> 4) << i % 128 / 32 * 2);
    }
    put_nibbles(u, 64, b);
    memcpy(b + 192, scale, 16);
}

static void block_iq4_nl(const float *x, uint8_t *b)
{
    put_half(b, fit_scale(32, x, 0, 0));
    double id = inverse(half_at(b));
    for (int i = 0; i < 16; i++) b[2 + i] = (uint8_t)(nearest_iq4(x[i] * id) | nearest_iq4(x[16 + i] * id) << 4);
}

static void block_iq4_xs(const float *x, uint8_t *b)
{
    int8_t scale[8], q[256];
    symmetric_block(x, 8, 0, 0, -32, b, scale, q);
    unsigned high = 0;
    memset(b + 4, 0, 4);
    for (int g = 0; g < 8; g++) {
        unsigned s = (unsigned)(scale[g] + 32);
        b[4 + g / 2] |= (uint8_t)((s & 15) << 4 * (g & 1));
        high |= (s >> 4) << 2 * g;
        for (int i = 0; i < 16; i++) b[8 + 16 * g + i] = (uint8_t)(q[32 * g + i] | q[32 * g + 16 + i] << 4);
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
