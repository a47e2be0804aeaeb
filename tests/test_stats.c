/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals, paired tests and corrections beside scipy's and statsmodels' (tests/data/make_stats.py), and what their
 * definitions promise. */
#include "base/base.h"
#include "socle/stats.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MOST = 256 };
static json_t *said;

static double number(const json_t *list, size_t i) { return json_number_value(json_array_get(list, i)); }

static void near(double got, double want, double most, const char *what)
{
    if (!(fabs(got - want) <= most)) fail_msg("%s: %.17g, not %.17g", what, got, want);
}

static int64_t numbers(double *x, const json_t *o, const char *key)
{
    const json_t *list = json_object_get(o, key);
    assert_true(json_array_size(list) <= MOST);
    for (size_t i = 0; i < json_array_size(list); i++) x[i] = number(list, i);
    return (int64_t)json_array_size(list);
}

static void quantiles(void **state)
{
    (void)state;
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(said, "quantile"), i, row)
    {
        double want = number(row, 1);
        near(sc_stats_normal_quantile(number(row, 0)), want, 1e-13 * fabs(want) + 1e-15, "a normal quantile");
    }
    assert_true(sc_stats_normal_quantile(0) == -INFINITY && sc_stats_normal_quantile(1) == INFINITY);
    assert_true(isnan(sc_stats_normal_quantile(-0.1)) && isnan(sc_stats_normal_quantile(NAN)));
    double x[] = {3, NAN, 1, 2, INFINITY};
    near(sc_stats_quantile(x, 5, 0.75), 2.5, 0, "three quarters of 1, 2, 3");
    assert_true(isnan(sc_stats_quantile(x, 0, 0.5)));
}

static void wilson(void **state)
{
    (void)state;
    size_t i;
    json_t *row;
    sc_interval v;
    json_array_foreach(json_object_get(said, "wilson"), i, row)
    {
        int64_t k = (int64_t)number(row, 0), n = (int64_t)number(row, 1);
        assert_int_equal(sc_stats_wilson(&v, k, n, number(row, 2)), SC_OK);
        near(v.value, (double)k / (double)n, 0, "the share");
        near(v.low, number(row, 3), 1e-12, "its lower end");
        near(v.high, number(row, 4), 1e-12, "its upper end");
    }
    assert_int_equal(sc_stats_wilson(&v, 1, 0, 0.95), SC_EINVAL);
    assert_int_equal(sc_stats_wilson(&v, 3, 2, 0.95), SC_EINVAL);
    assert_int_equal(sc_stats_wilson(&v, 1, 2, 1), SC_EINVAL);
}

static void mcnemar(void **state)
{
    (void)state;
    size_t i;
    json_t *row;
    double p, q;
    json_array_foreach(json_object_get(said, "mcnemar"), i, row)
    {
        int64_t b = (int64_t)number(row, 0), c = (int64_t)number(row, 1);
        assert_int_equal(sc_stats_mcnemar(&p, b, c), SC_OK);
        assert_int_equal(sc_stats_mcnemar(&q, c, b), SC_OK);
        near(p, number(row, 2), 1e-9, "McNemar's test");
        near(p, q, 1e-12, "McNemar's test the other way round");
    }
    assert_int_equal(sc_stats_mcnemar(&p, -1, 2), SC_EINVAL);
}

static void permutation(void **state)
{
    (void)state;
    size_t i;
    json_t *row;
    double a[MOST], b[MOST], p, q;
    json_array_foreach(json_object_get(said, "permutation"), i, row)
    {
        int64_t n = numbers(a, row, "a");
        bool exact = json_is_true(json_object_get(row, "exact"));
        assert_int_equal(numbers(b, row, "b"), n);
        const sc_resampling how = {.count = 50000};
        assert_int_equal(sc_stats_paired_permutation(&p, a, b, n, &how), SC_OK);
        near(p, json_number_value(json_object_get(row, "p")), exact ? 1e-12 : 0.006, "the permutation test");
        assert_int_equal(sc_stats_paired_permutation(&q, b, a, n, &how), SC_OK);
        near(p, q, exact ? 0 : 0.006, "the permutation test the other way round");
    }
    /* Of values that are right or wrong it is McNemar's exact test. */
    for (int wins = 0; wins <= 9; wins++) {
        for (int k = 0; k < 12; k++) a[k] = k < wins, b[k] = k >= wins && k < 9;
        assert_int_equal(sc_stats_paired_permutation(&p, a, b, 12, NULL), SC_OK);
        assert_int_equal(sc_stats_mcnemar(&q, wins, 9 - wins), SC_OK);
        near(p, q, 1e-12, "signs of pairs");
    }
    for (int k = 0; k < 40; k++) a[k] = k, b[k] = 0;
    assert_int_equal(sc_stats_paired_permutation(&p, a, b, 40, NULL), SC_OK);
    near(p, 1 / 10001.0, 1e-15, "nothing is as far as what was seen");
    b[3] = NAN;
    assert_int_equal(sc_stats_paired_permutation(&p, a, b, 40, NULL), SC_EINVAL);
    assert_int_equal(sc_stats_paired_permutation(&p, a, b, 0, NULL), SC_EINVAL);
}

static void bootstrap(void **state)
{
    (void)state;
    size_t i;
    json_t *row;
    double x[MOST], zero[MOST] = {0};
    json_array_foreach(json_object_get(said, "bootstrap"), i, row)
    {
        int64_t n = numbers(x, row, "x");
        for (int plain = 0; plain < 2; plain++) {
            const json_t *want = json_object_get(row, plain ? "percentile" : "bca");
            double low = number(want, 0), high = number(want, 1), most = 0.03 * (high - low);
            const sc_resampling how = {.count = 40000, .confidence = 0.9, .plain = plain, .seed = 5};
            sc_interval v, w;
            assert_int_equal(sc_stats_bootstrap(&v, x, n, &how), SC_OK);
            near(v.low, low, most, "the interval's lower end");
            near(v.high, high, most, "the interval's upper end");
            assert_int_equal(sc_stats_paired_bootstrap(&w, x, zero, n, &how), SC_OK);
            assert_memory_equal(&v, &w, sizeof v);
        }
        double mean = 0, sum = 0;
        for (int64_t k = 0; k < n; k++) mean += x[k] / (double)n;
        for (int64_t k = 0; k < n; k++) sum += (x[k] - mean) * (x[k] - mean);
        near(sc_stats_mean_error(x, n), sqrt(sum / (double)(n - 1) / (double)n), 1e-12, "the standard error");
    }
    sc_interval v;
    for (int k = 0; k < 10; k++) x[k] = 4;
    assert_int_equal(sc_stats_bootstrap(&v, x, 10, NULL), SC_OK);
    assert_true(v.low == 4 && v.value == 4 && v.high == 4);
    const sc_resampling many = {.count = 100000000};
    assert_int_equal(sc_stats_bootstrap(&v, x, 10, &many), SC_EINVAL);
    assert_int_equal(sc_stats_bootstrap(&v, x, 0, NULL), SC_EINVAL);
    x[2] = INFINITY;
    assert_int_equal(sc_stats_bootstrap(&v, x, 10, NULL), SC_EINVAL);
    assert_true(sc_stats_mean_error(x, 1) == 0);
}

/* How often intervals of 95 percent hold the truth, of 400 samples of a coin. Shares of 60 come in steps: Wilson's hold it in
 * 93.4 of 100 by summing the binomial, 374 of 400 with a deviation of 5. */
static void coverage(void **state)
{
    (void)state;
    int held[2] = {0};
    double x[60];
    for (int k = 0; k < 400; k++) {
        sc_rng r = sc_rng_make(9, (uint64_t)k);
        int64_t right = 0;
        sc_interval v;
        for (int i = 0; i < 60; i++) right += (int64_t)(x[i] = sc_rng_uniform(&r) < 0.3);
        assert_int_equal(sc_stats_wilson(&v, right, 60, 0.95), SC_OK);
        held[0] += v.low <= 0.3 && 0.3 <= v.high;
        const sc_resampling how = {.count = 1000, .seed = (uint64_t)k};
        assert_int_equal(sc_stats_bootstrap(&v, x, 60, &how), SC_OK);
        held[1] += v.low <= 0.3 && 0.3 <= v.high;
    }
    assert_in_range(held[0], 358, 390);
    assert_in_range(held[1], 354, 394);
}

static void corrections(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        sc_correction how;
    } kind[] = {{"holm", SC_CORRECTION_HOLM}, {"bonferroni", SC_CORRECTION_BONFERRONI}, {"fdr", SC_CORRECTION_FDR}};
    size_t i;
    json_t *row;
    double p[MOST], want[MOST];
    json_array_foreach(json_object_get(said, "correct"), i, row)
    {
        for (int k = 0; k < SC_COUNT(kind); k++) {
            int64_t n = numbers(p, row, "p");
            numbers(want, row, kind[k].name);
            p[n] = NAN; /* not known: as if it were not there */
            assert_int_equal(sc_stats_correct(p, n + 1, kind[k].how), SC_OK);
            for (int64_t j = 0; j < n; j++) near(p[j], want[j], 1e-12, kind[k].name);
            assert_true(isnan(p[n]));
        }
    }
    p[0] = 1.5;
    assert_int_equal(sc_stats_correct(p, 1, SC_CORRECTION_HOLM), SC_EINVAL);
    assert_int_equal(sc_stats_correct(p, 0, SC_CORRECTION_FDR), SC_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(quantiles),  cmocka_unit_test(wilson),
                                       cmocka_unit_test(mcnemar),    cmocka_unit_test(permutation),
                                       cmocka_unit_test(bootstrap),  cmocka_unit_test(coverage),
                                       cmocka_unit_test(corrections)};
    if (sc_json_read(&said, SOCLE_SOURCE_DIR "/tests/data/stats.json", 1 << 20)) {
        fprintf(stderr, "%s\n", sc_error());
        return 1;
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    json_decref(said);
    return failed;
}
