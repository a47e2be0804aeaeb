/* SPDX-License-Identifier: Apache-2.0 */
#include "socle/stats.h"
#include "base/base.h"

#include <math.h>
#include <stdlib.h>

enum {
    RESAMPLES = 2000,
    SIGNS = 10000,             /* of permutation tests that cannot try all */
    MOST_RESAMPLES = 10000000, /* as documented */
    ALL_SIGNS = 20,            /* differences of which all signs are tried: 2^20 sums */
    EXACT_PAIRS = 10000,       /* for which McNemar's test is exact */
};

/* ---- quantiles ---- */

static double normal_below(double z) { return 0.5 * erfc(-z / M_SQRT2); }

/* Hastings' rational approximation (Abramowitz and Stegun 26.2.23) is within 4.5e-4; Halley's steps on erfc, which C has to the
 * last bits, do the rest. */
double sc_stats_normal_quantile(double p)
{
    if (!(p >= 0 && p <= 1)) return NAN;
    if (p == 0 || p == 1) return p ? INFINITY : -INFINITY;
    double tail = fmin(p, 1 - p), t = sqrt(-2 * log(tail));
    double z =
        -(t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308))));
    for (int i = 0; i < 4; i++) {
        double density = exp(-0.5 * z * z) / sqrt(2 * M_PI);
        if (!(density > 0)) break;
        double u = (normal_below(z) - tail) / density;
        z -= u / (1 + 0.5 * z * u);
    }
    return p < 0.5 ? z : -z;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double sorted_quantile(const double *x, int64_t n, double share)
{
    double at = share * (double)(n - 1);
    int64_t i = SC_MAX((int64_t)at, 0);
    return i + 1 < n ? x[i] + (at - (double)i) * (x[i + 1] - x[i]) : x[n - 1];
}

double sc_stats_quantile(double *x, int64_t n, double share)
{
    int64_t m = 0;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(x[i])) x[m++] = x[i];
    if (!m) return NAN;
    qsort(x, (size_t)m, sizeof *x, ascending);
    return sorted_quantile(x, m, share);
}

/* ---- shares and means ---- */

static sc_status check_confidence(double confidence)
{
    if (confidence > 0 && confidence < 1) return SC_OK;
    return sc_fail(SC_EINVAL, "a confidence of %g is not between 0 and 1", confidence);
}

sc_status sc_stats_wilson(sc_interval *out, int64_t right, int64_t n, double confidence)
{
    if (n < 1 || right < 0 || right > n)
        return sc_fail(SC_EINVAL, "%lld of %lld is no share", (long long)right, (long long)n);
    sc_status s = check_confidence(confidence);
    if (s) return s;
    double p = (double)right / (double)n, m = (double)n, z = sc_stats_normal_quantile(0.5 + confidence / 2);
    double scale = 1 + z * z / m, middle = (p + z * z / (2 * m)) / scale;
    double half = z / scale * sqrt(p * (1 - p) / m + z * z / (4 * m * m));
    *out = (sc_interval){p, right ? fmax(middle - half, 0) : 0, right < n ? fmin(middle + half, 1) : 1};
    return SC_OK;
}

static double mean_of(const double *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    return sum / (double)n;
}

double sc_stats_mean_error(const double *x, int64_t n)
{
    if (n < 2) return 0;
    double mean = mean_of(x, n), sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (x[i] - mean) * (x[i] - mean);
    return sqrt(sum / (double)(n - 1) / (double)n);
}

/* ---- the bootstrap ---- */

static uint64_t below(sc_rng *r, uint64_t n)
{
    uint64_t u = (uint64_t)sc_rng_u32(r) << 32;
    u |= sc_rng_u32(r);
    return (uint64_t)((unsigned __int128)u * n >> 64);
}

/* Where bias and acceleration put a share of the bootstrap distribution (Efron 1987, eq. 2.3). The acceleration comes from the
 * jackknife, whose values of a mean are known: leaving out x moves it by (mean - x) / (n - 1). */
static double corrected_share(const double *sorted, int64_t count, const double *x, int64_t n, double share)
{
    double mean = mean_of(x, n), less = 0, square = 0, cube = 0;
    for (int64_t i = 0; i < count; i++) less += sorted[i] < mean ? 1 : sorted[i] == mean ? 0.5 : 0;
    for (int64_t i = 0; i < n; i++) {
        double d = x[i] - mean;
        square += d * d;
        cube += d * d * d;
    }
    if (!(square > 0) || less == 0 || less == (double)count) return share;
    double bias = sc_stats_normal_quantile(less / (double)count), a = cube / (6 * pow(square, 1.5));
    double z = bias + sc_stats_normal_quantile(share);
    return normal_below(bias + z / (1 - a * z));
}

static sc_status check_resampling(sc_resampling *how, int64_t usual)
{
    if (how->count == 0) how->count = usual;
    if (how->confidence == 0) how->confidence = 0.95;
    if (how->count < 1 || how->count > MOST_RESAMPLES)
        return sc_fail(SC_EINVAL, "%lld resamples; 1 to %d are possible", (long long)how->count, MOST_RESAMPLES);
    return check_confidence(how->confidence);
}

static sc_status check_values(const double *x, int64_t n)
{
    if (n < 1) return sc_fail(SC_EINVAL, "no values to resample");
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return sc_fail(SC_EINVAL, "value %lld is not finite", (long long)i);
    return SC_OK;
}

sc_status sc_stats_bootstrap(sc_interval *out, const double *x, int64_t n, const sc_resampling *how)
{
    sc_resampling h = how ? *how : (sc_resampling){0};
    sc_status s = check_resampling(&h, RESAMPLES);
    if (!s) s = check_values(x, n);
    if (s) return s;
    double *means = sc_malloc(sizeof *means * (size_t)h.count);
    if (!means) return sc_nomem();
    sc_rng rng = sc_rng_make(h.seed, sc_hash("bootstrap", 9));
    for (int64_t k = 0; k < h.count; k++) {
        double sum = 0;
        for (int64_t i = 0; i < n; i++) sum += x[below(&rng, (uint64_t)n)];
        means[k] = sum / (double)n;
    }
    qsort(means, (size_t)h.count, sizeof *means, ascending);
    double low = (1 - h.confidence) / 2, high = 1 - low;
    if (!h.plain) {
        low = corrected_share(means, h.count, x, n, low);
        high = corrected_share(means, h.count, x, n, high);
    }
    *out =
        (sc_interval){mean_of(x, n), sorted_quantile(means, h.count, low), sorted_quantile(means, h.count, high)};
    sc_free(means);
    return SC_OK;
}

/* a - b; owned. */
static sc_status differences(double **out, const double *a, const double *b, int64_t n)
{
    double *d = sc_malloc(sizeof *d * (size_t)SC_MAX(n, 1));
    if (!d) return sc_nomem();
    for (int64_t i = 0; i < n; i++) d[i] = a[i] - b[i];
    sc_status s = check_values(d, n);
    if (s)
        sc_free(d);
    else
        *out = d;
    return s;
}

sc_status sc_stats_paired_bootstrap(sc_interval *out, const double *a, const double *b, int64_t n,
                                    const sc_resampling *how)
{
    double *d;
    sc_status s = differences(&d, a, b, n);
    if (s) return s;
    s = sc_stats_bootstrap(out, d, n, how);
    sc_free(d);
    return s;
}

/* ---- paired tests ---- */

sc_status sc_stats_mcnemar(double *p, int64_t only_a, int64_t only_b)
{
    int64_t n, few = SC_MIN(only_a, only_b);
    if (few < 0 || !sc_add_ok(only_a, only_b, &n))
        return sc_fail(SC_EINVAL, "%lld and %lld are no counts of pairs", (long long)only_a, (long long)only_b);
    if (only_a == only_b) {
        *p = 1;
    } else if (n > EXACT_PAIRS) {
        double off = fabs((double)only_a - (double)only_b) - 1;
        *p = erfc(sqrt(off * off / (double)n) / M_SQRT2);
    } else {
        double sum = 0;
        for (int64_t k = 0; k <= few; k++)
            sum += exp(lgamma((double)n + 1) - lgamma((double)k + 1) - lgamma((double)(n - k) + 1) -
                       (double)n * M_LN2);
        *p = fmin(2 * sum, 1);
    }
    return SC_OK;
}

/* The share of all signs of d (n <= ALL_SIGNS) whose sum is as far from 0 as `seen`. One sign changes at a time (Gray's code),
 * and every 256 the sum is taken anew so that rounding does not add up. */
static double all_signs(double *d, int n, double seen)
{
    int64_t all = (int64_t)1 << n, far = 0;
    double sum = 0;
    for (int64_t k = 0; k < all; k++) {
        if (k) {
            int turned = __builtin_ctzll((uint64_t)k);
            d[turned] = -d[turned];
            sum += 2 * d[turned];
        }
        if (k % 256 == 0) {
            sum = 0;
            for (int i = 0; i < n; i++) sum += d[i];
        }
        far += fabs(sum) >= seen;
    }
    return (double)far / (double)all;
}

static double some_signs(const double *d, int64_t n, double seen, const sc_resampling *how)
{
    sc_rng rng = sc_rng_make(how->seed, sc_hash("signs", 5));
    int64_t far = 1; /* what was observed is one of them */
    for (int64_t k = 0; k < how->count; k++) {
        double sum = 0;
        uint32_t bits = 0;
        for (int64_t i = 0; i < n; i++, bits >>= 1) {
            if (i % 32 == 0) bits = sc_rng_u32(&rng);
            sum += bits & 1 ? d[i] : -d[i];
        }
        far += fabs(sum) >= seen;
    }
    return (double)far / (double)(how->count + 1);
}

sc_status sc_stats_paired_permutation(double *p, const double *a, const double *b, int64_t n,
                                      const sc_resampling *how)
{
    double *d, sum = 0, size = 0;
    int64_t m = 0;
    sc_resampling h = how ? *how : (sc_resampling){0};
    sc_status s = check_resampling(&h, SIGNS);
    if (!s) s = differences(&d, a, b, n);
    if (s) return s;
    for (int64_t i = 0; i < n; i++) {
        sum += d[i];
        size += fabs(d[i]);
        if (d[i] != 0) d[m++] = d[i];
    }
    /* Sums that are equal but for the order of their terms count as equal. */
    double seen = fabs(sum) - 1e-12 * size;
    if (m == 0)
        *p = 1;
    else if (m <= ALL_SIGNS)
        *p = all_signs(d, (int)m, seen);
    else
        *p = some_signs(d, m, seen, &h);
    sc_free(d);
    return SC_OK;
}

/* ---- many comparisons ---- */

typedef struct ranked {
    double p;
    int64_t at;
} ranked;

static int by_p(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->p < y->p ? -1 : x->p > y->p ? 1 : x->at < y->at ? -1 : x->at > y->at;
}

sc_status sc_stats_correct(double *p, int64_t n, sc_correction how)
{
    int64_t m = 0;
    for (int64_t i = 0; i < n; i++)
        if (p[i] < 0 || p[i] > 1) return sc_fail(SC_EINVAL, "%g is no probability", p[i]);
    ranked *r = sc_malloc(sizeof *r * (size_t)SC_MAX(n, 1));
    if (!r) return sc_nomem();
    for (int64_t i = 0; i < n; i++)
        if (!isnan(p[i])) r[m++] = (ranked){p[i], i};
    qsort(r, (size_t)m, sizeof *r, by_p);
    double bound = how == SC_CORRECTION_FDR ? 1 : 0;
    for (int64_t k = 0; k < m; k++) {
        int64_t i = how == SC_CORRECTION_FDR ? m - 1 - k : k; /* from the largest down, from the smallest up */
        switch (how) {
        case SC_CORRECTION_HOLM: bound = fmax(bound, fmin((double)(m - i) * r[i].p, 1)); break;
        case SC_CORRECTION_BONFERRONI: bound = fmin((double)m * r[i].p, 1); break;
        case SC_CORRECTION_FDR: bound = fmin(bound, (double)m / (double)(i + 1) * r[i].p); break;
        }
        p[r[i].at] = bound;
    }
    sc_free(r);
    return SC_OK;
}
