/* SPDX-License-Identifier: Apache-2.0 */
/* Scaling laws: points that a known law gave lead back to it. */
#include "scale/scale.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* Hoffmann et al.'s (2022) own numbers, eq. 10. */
static const sc_law chinchilla = {SC_LAW_HOFFMANN, {1.69, 406.4, 0.34, 410.7, 0.28}};

static double normal(sc_rng *r)
{
    return sqrt(-2 * log(1 - sc_rng_uniform(r))) * cos(6.283185307179586 * sc_rng_uniform(r));
}

enum { LEVELS = 5, SIZES = 6 };

/* IsoFLOP levels around the optimum, and a run at eight times the largest compute that is held out. */
static sc_scale_points *points_of(const sc_law *law, double c0, double noise, uint64_t seed)
{
    sc_scale_points *p = calloc(1, sizeof *p);
    p->point = calloc(LEVELS * SIZES + 1, sizeof *p->point);
    sc_rng r = sc_rng_make(seed, 7);
    for (int k = 0; k < LEVELS; k++)
        for (int i = 0; i < SIZES; i++) {
            double c = c0 * pow(3, k), best, n, d;
            sc_law_optimum(law, 6, c, &best, NULL, NULL);
            n = best * pow(2, i - (SIZES - 1) / 2.0);
            d = c / (6 * n);
            p->point[p->n++] = (sc_scale_point){
                strdup("run"), n, d, c, sc_law_loss(law, n, d) * exp(noise * normal(&r)), k + 1, false};
        }
    double c = c0 * pow(3, LEVELS - 1) * 8, n, d, loss;
    sc_law_optimum(law, 6, c, &n, &d, &loss);
    p->point[p->n++] = (sc_scale_point){strdup("top"), n, d, c, loss, 0, true};
    return p;
}

static void free_points(sc_scale_points *p)
{
    for (int64_t i = 0; i < p->n; i++) free((void *)(uintptr_t)p->point[i].name);
    free(p->point);
    free(p);
}

static sc_law_fit *fit(sc_law_form form, const sc_scale_points *p, int64_t bootstrap, bool cases)
{
    sc_law_fit *f;
    const sc_law_options o = {.bootstrap = bootstrap, .cases = cases, .seed = 3};
    if (sc_law_fit_new(&f, NULL, form, p, &o)) fail_msg("%s", sc_error());
    return f;
}

static void near(double got, double want, double share, const char *what)
{
    if (!(fabs(got - want) <= share * fabs(want))) fail_msg("%s is %.8g and should be %.8g", what, got, want);
}

static void derivatives_are_right(void **state)
{
    (void)state;
    const double t[SC_LAW_FORMS][SC_LAW_MOST] = {
        {0.5, 0.2, -1, 0.4, -1.3}, {1.2, -2, 0.7, -2.4}, {0.1, -1.1, 0.3, -1.4}};
    for (int form = 0; form < SC_LAW_FORMS; form++)
        for (int i = 0; i < sc_law_count(form); i++) {
            double d[SC_LAW_MOST], up[SC_LAW_MOST], down[SC_LAW_MOST], h = 1e-6;
            memcpy(up, t[form], sizeof up);
            memcpy(down, t[form], sizeof down);
            up[i] += h;
            down[i] -= h;
            sc_law_log(form, t[form], 1.3, -0.7, d);
            double want =
                (sc_law_log(form, up, 1.3, -0.7, NULL) - sc_law_log(form, down, 1.3, -0.7, NULL)) / (2 * h);
            assert_true(fabs(d[i] - want) < 1e-8);
        }
}

/* The closed form of Hoffmann et al., eq. 4. */
static void optimum_is_the_closed_form(void **state)
{
    (void)state;
    const double *p = chinchilla.p;
    for (double c = 1e17; c < 1e26; c *= 50) {
        double g = pow(p[2] * p[1] / (p[4] * p[3]), 1 / (p[2] + p[4])), n, d, loss;
        sc_law_optimum(&chinchilla, 6, c, &n, &d, &loss);
        near(n, g * pow(c / 6, p[4] / (p[2] + p[4])), 1e-6, "N");
        near(d, pow(c / 6, p[2] / (p[2] + p[4])) / g, 1e-6, "D");
        near(6 * n * d, c, 1e-9, "C");
        assert_true(loss <= sc_law_loss(&chinchilla, n * 1.01, d / 1.01));
    }
}

static void exact_points_give_the_law(void **state)
{
    (void)state;
    const sc_law laws[] = {chinchilla,
                           {SC_LAW_HOFFMANN, {0.9, 30, 0.42, 900, 0.51}},
                           {SC_LAW_KAPLAN, {6.4e13, 0.076, 1.8e13, 0.103}}, /* Kaplan et al.'s own */
                           {SC_LAW_KAPLAN_STEPS, {6.5e13, 0.077, 2.1e9, 0.76}}};
    for (int i = 0; i < SC_COUNT(laws); i++) {
        sc_scale_points *p = points_of(&laws[i], 1e16, 0, 1);
        sc_law_fit *f = fit(laws[i].form, p, -1, false);
        for (int k = 0; k < sc_law_count(laws[i].form); k++) {
            bool scale = sc_law_parameter(laws[i].form, k)[1] != 'l' && sc_law_parameter(laws[i].form, k)[1] != 'e';
            near(f->law.p[k], laws[i].p[k], scale ? 2e-2 : 1e-3, sc_law_parameter(laws[i].form, k));
        }
        near(sc_law_fit_predict(f, 7e10, 1.4e12).value, sc_law_loss(&laws[i], 7e10, 1.4e12), 1e-4, "L");
        assert_true(f->deviation < 1e-5 && f->replicates == 0 && isnan(f->low[0]));
        sc_law_fit_free(f);
        free_points(p);
    }
}

/* A half per cent of noise on thirty runs: exponents within 0.04, the floor within 4%, the run at eight times the compute
 * within 1%, and the truth within the interval about as often as that says. */
static void noisy_points_come_near(void **state)
{
    (void)state;
    enum { TIMES = 40 };
    int inside[SC_LAW_MOST] = {0}, predicted = 0;
    for (int i = 0; i < TIMES; i++) {
        sc_scale_points *p = points_of(&chinchilla, 1e18, 0.005, (uint64_t)i + 1);
        sc_law_fit *f = fit(SC_LAW_HOFFMANN, p, 100, i % 2);
        const sc_scale_point *top = &p->point[p->n - 1];
        sc_interval said = sc_law_fit_predict(f, top->n, top->d);
        near(said.value, top->loss, 0.01, "the held-out loss");
        predicted += said.low <= top->loss && top->loss <= said.high;
        assert_true(fabs(f->law.p[2] - 0.34) < 0.1 && fabs(f->law.p[4] - 0.28) < 0.1);
        near(f->law.p[0], 1.69, 0.12, "E");
        for (int k = 0; k < SC_LAW_MOST; k++)
            inside[k] += f->low[k] <= chinchilla.p[k] && chinchilla.p[k] <= f->high[k];
        sc_law_fit_free(f);
        free_points(p);
    }
    printf("of %d: E %d, A %d, alpha %d, B %d, beta %d, prediction %d\n", TIMES, inside[0], inside[1], inside[2],
           inside[3], inside[4], predicted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivatives_are_right),
        cmocka_unit_test(optimum_is_the_closed_form),
        cmocka_unit_test(exact_points_give_the_law),
        cmocka_unit_test(noisy_points_come_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
