/* SPDX-License-Identifier: Apache-2.0 */
/* What measured differences are worth: intervals of shares and means, paired tests, correction for many comparisons.
 *
 * Everything is a function of its arguments alone: resampling draws from a seed, so the same call gives the same bits. */
#ifndef SOCLE_STATS_H
#define SOCLE_STATS_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sc_interval {
    double value, low, high; /* low and high NAN: not known */
} sc_interval;

/* The value that a standard normal is below with probability p in (0, 1); infinite at 0 and 1, NAN outside. */
SC_API double sc_stats_normal_quantile(double p);

/* Of the share right / n, 0 <= right <= n, n > 0, with `confidence` in (0, 1): the score interval (Wilson 1927, "Probable
 * inference, the law of succession, and statistical inference"). Unlike value ± error it stays within [0, 1] and holds for
 * few and for extreme counts. SC_EINVAL. */
SC_API sc_status sc_stats_wilson(sc_interval *out, int64_t right, int64_t n, double confidence);

/* The standard error of the mean of x (n): the root of the variance, taken with n - 1, over n. 0 for n < 2. */
SC_API double sc_stats_mean_error(const double *x, int64_t n);

/* 0: the default, in brackets. */
typedef struct sc_resampling {
    int64_t count;     /* samples drawn [2000], at most 1e7 */
    double confidence; /* of intervals [0.95] */
    uint64_t seed;
    bool plain; /* percentiles as they are; else bias-corrected and accelerated (Efron 1987, "Better bootstrap
                   confidence intervals") */
} sc_resampling;

/* The mean of x (n > 0, all finite) with its bootstrap interval. SC_EINVAL. */
SC_API sc_status sc_stats_bootstrap(sc_interval *out, const double *x, int64_t n, const sc_resampling *how);

/* Two systems on the same n > 0 items: the mean of a - b with its bootstrap interval over items. SC_EINVAL. */
SC_API sc_status sc_stats_paired_bootstrap(sc_interval *out, const double *a, const double *b, int64_t n,
                                           const sc_resampling *how);

/* Of n pairs, `only_a` were right with the first system alone and `only_b` with the second alone: the probability that chance
 * divides them at least so unevenly (McNemar 1947). Exact, two-sided: a binomial test of one half; 1 where both are 0. For
 * tables too large for that (over 10,000) chi square with Edwards' correction. SC_EINVAL: negative counts. */
SC_API sc_status sc_stats_mcnemar(double *p, int64_t only_a, int64_t only_b);

/* The same question for values of any kind: the probability that the mean of a - b is at least so far from 0 when each
 * difference's sign is chance. All signs are tried where at most 20 differences are not 0, else how->count [10,000] of them, with
 * the observed one among them, so p is never 0. how may be NULL. */
SC_API sc_status sc_stats_paired_permutation(double *p, const double *a, const double *b, int64_t n,
                                             const sc_resampling *how);

typedef enum sc_correction {
    SC_CORRECTION_HOLM, /* no false difference at all (Holm 1979, "A simple sequentially rejective multiple test
                                 procedure"); needs nothing of how the tests depend on each other */
    SC_CORRECTION_BONFERRONI, /* the same, simpler and weaker */
    SC_CORRECTION_FDR, /* few false ones among those found (Benjamini and Hochberg 1995, "Controlling the false discovery
                          rate") */
} sc_correction;

/* Replaces p (n, each in [0, 1]) by values that may be held against one level together. NAN are left alone and not counted.
 * SC_EINVAL. */
SC_API sc_status sc_stats_correct(double *p, int64_t n, sc_correction how);

/* The share x of sorted finite values, 0 <= share <= 1, between two of them in proportion. Sorts x; values that are not finite
 * are left out; NAN where none is left. */
SC_API double sc_stats_quantile(double *x, int64_t n, double share);

#ifdef __cplusplus
}
#endif
#endif
