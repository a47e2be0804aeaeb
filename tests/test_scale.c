/* SPDX-License-Identifier: Apache-2.0 */
/* Scaling laws: points that a known law gave lead back to it. */
#include "scale/scale.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

/* Noise of 0.2% on thirty runs over a factor of 81 in compute: E within 5%, exponents within 10%, the loss of a run with
 * eight times the compute within 1%, and the truth within the 90% intervals about as often as they say. */
static void noisy_points_come_near(void **state)
{
    (void)state;
    enum { TIMES = 24 };
    int inside[SC_LAW_MOST] = {0}, predicted = 0;
    for (int i = 0; i < TIMES; i++) {
        sc_scale_points *p = points_of(&chinchilla, 1e18, 0.002, (uint64_t)i + 1);
        sc_law_fit *f = fit(SC_LAW_HOFFMANN, p, 60, i % 2);
        const sc_scale_point *top = &p->point[p->n - 1];
        sc_interval said = sc_law_fit_predict(f, top->n, top->d);
        near(said.value, top->loss, 0.01, "the held-out loss");
        predicted += said.low <= top->loss && top->loss <= said.high;
        near(f->law.p[0], chinchilla.p[0], 0.05, "E");
        near(f->law.p[2], chinchilla.p[2], 0.1, "alpha");
        near(f->law.p[4], chinchilla.p[4], 0.1, "beta");
        for (int k = 0; k < SC_LAW_MOST; k++)
            inside[k] += f->low[k] <= chinchilla.p[k] && chinchilla.p[k] <= f->high[k];
        sc_law_fit_free(f);
        free_points(p);
    }
    for (int k = 0; k < SC_LAW_MOST; k++) assert_true(inside[k] >= TIMES * 6 / 10);
    assert_true(predicted >= TIMES * 3 / 4);
}

static void the_same_seed_gives_the_same_bits(void **state)
{
    (void)state;
    sc_scale_points *p = points_of(&chinchilla, 1e18, 0.01, 5);
    sc_law_fit *a = fit(SC_LAW_HOFFMANN, p, 20, true), *b = fit(SC_LAW_HOFFMANN, p, 20, true);
    assert_memory_equal(a->law.p, b->law.p, sizeof a->law.p);
    assert_int_equal(a->replicates, 20);
    for (int i = 0; i < 20; i++) assert_memory_equal(a->replicate[i].p, b->replicate[i].p, sizeof a->law.p);
    sc_law_fit_free(a);
    sc_law_fit_free(b);
    free_points(p);
}

/* Minima of points without noise lie where the law's optimum is, and move with compute as b / (a + b). */
static void parabolas_find_the_minima(void **state)
{
    (void)state;
    sc_scale_points *p = points_of(&chinchilla, 1e18, 0, 1);
    sc_isoflops *x;
    sc_law_fit *f = fit(SC_LAW_HOFFMANN, p, 20, false);
    assert_int_equal(sc_isoflops_new(&x, p, f), SC_OK);
    assert_int_equal(x->n, LEVELS);
    assert_true(x->laws);
    for (int64_t i = 0; i < x->n; i++) {
        double n, d, loss;
        sc_law_optimum(&chinchilla, 6, x->level[i].c, &n, &d, &loss);
        assert_true(x->level[i].inside && x->level[i].runs == SIZES);
        near(x->level[i].n, n, 0.12, "the best size");
        near(x->level[i].d, d, 0.12, "its tokens");
        near(x->level[i].loss, loss, 1e-3, "its loss");
    }
    near(x->size.a.value, 0.28 / 0.62, 0.02, "the exponent of size");
    near(x->tokens.a.value, 0.34 / 0.62, 0.02, "the exponent of tokens");
    assert_true(x->size.a.low <= x->size.a.value && x->size.a.value <= x->size.a.high);
    sc_isoflops_free(x);
    sc_law_fit_free(f);
    free_points(p);
}

/* Straight lines in logarithms: the law of compute takes the best run of each level alone. */
static void compute_law_is_of_the_best_runs(void **state)
{
    (void)state;
    const sc_law law = {SC_LAW_KAPLAN_COMPUTE, {3e9, 0.06, 6}};
    sc_scale_points p = {.point = (sc_scale_point[12]){{0}}};
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < 3; i++) {
            double c = 1e12 * pow(4, k), n = 1e4 * pow(2, k + i);
            p.point[p.n++] = (sc_scale_point){
                "", n, c / (6 * n), c, sc_law_loss(&law, n, c / (6 * n)) * (1 + 0.1 * abs(i - 1)), k + 1, false};
        }
    sc_law_fit *f = fit(SC_LAW_KAPLAN_COMPUTE, &p, 10, false);
    assert_int_equal(f->points, 4);
    near(f->law.p[0], 3e9, 1e-2, "Cc");
    near(f->law.p[1], 0.06, 1e-3, "alphaC");
    near(f->law.p[2], 6, 1e-9, "kappa");
    sc_law_fit_free(f);
}

static void too_little_is_told(void **state)
{
    (void)state;
    sc_law_fit *f = NULL;
    sc_scale_point same[] = {{"", 1e6, 1e8, 6e14, 3, 0, false},
                             {"", 1e6, 2e8, 1.2e15, 2.9, 0, false},
                             {"", 1e6, 4e8, 2.4e15, 2.8, 0, false},
                             {"", 1e6, 8e8, 4.8e15, 2.7, 0, false},
                             {"", 1e6, 16e8, 9.6e15, 2.6, 0, false}};
    sc_scale_points p = {same, 5};
    assert_int_equal(sc_law_fit_new(&f, NULL, SC_LAW_HOFFMANN, &p, NULL), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "5 runs cannot tell the law L = E + A/N^α + B/D^β"));
    same[2].loss = NAN;
    assert_int_equal(sc_law_fit_new(&f, NULL, SC_LAW_KAPLAN_COMPUTE, &p, NULL), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "a loss of nan"));
    assert_null(f);
}

/* ---- points ---- */

static sc_status points_in(const char *name, const char *text, sc_scale_points *p)
{
    int64_t cap = 0;
    *p = (sc_scale_points){0};
    return sc_scale_points_text(p, &cap, name, text, (int64_t)strlen(text));
}

static void forget(sc_scale_points *p)
{
    for (int64_t i = 0; i < p->n; i++) sc_free((void *)(uintptr_t)p->point[i].name);
    sc_free(p->point);
}

static void points_are_read(void **state)
{
    (void)state;
    sc_scale_points p;
    assert_int_equal(
        points_in("a.jsonl",
                  "{\"parameters\": 1e6, \"tokens\": 2e7, \"loss\": 3.5, \"name\": \"one\"}\n\n"
                  "{\"n\": 2e6, \"d\": 1e7, \"loss\": 3.25, \"c\": 5, \"level\": 2, \"held_out\": true}",
                  &p),
        SC_OK);
    assert_int_equal(p.n, 2);
    assert_string_equal(p.point[0].name, "one");
    assert_true(p.point[0].n == 1e6 && p.point[0].d == 2e7 && p.point[0].c == 1.2e14 && !p.point[0].held_out);
    assert_true(p.point[1].loss == 3.25 && p.point[1].c == 5 && p.point[1].level == 2 && p.point[1].held_out);
    forget(&p);
    assert_int_equal(
        points_in("a.csv", "Loss, N ,\"D\",note,held_out\r\n3.5,1e6,2e7,x,false\n3.4,2e6,2e7,,1\n", &p), SC_OK);
    assert_int_equal(p.n, 2);
    assert_true(p.point[0].n == 1e6 && p.point[0].loss == 3.5 && p.point[1].held_out);
    forget(&p);
    static const char *const bad[][3] = {
        {"a.jsonl", "{\"n\": 1, \"d\": 1}", "a.jsonl:1: no number for 'loss'"},
        {"a.jsonl", "\n{\"n\": 1", "line 2"},
        {"a.jsonl", "[1]", "a.jsonl:1: not a JSON object"},
        {"a.tsv", "n\td\tloss\n1\t2\tx", "a.tsv:2: 'x' is no number"},
        {"a.tsv", "n\td\tloss\n1\t-2\t3", "a.tsv:2: 'tokens' is -2"},
        {"a.tsv", "n\td\tloss\n1\tnan\t3", "a.tsv:2: no number for 'tokens'"},
        {"a.jsonl", "{\"n\": 1, \"d\": 1, \"loss\": 1, \"level\": 1.5}", "'level' is 1.5"},
        {"a.jsonl", "\xff", "not UTF-8"}};
    for (int i = 0; i < SC_COUNT(bad); i++) {
        sc_status s = points_in(bad[i][0], bad[i][1], &p);
        if (s != SC_EFORMAT || !strstr(sc_error(), bad[i][2]))
            fail_msg("%s: %s", bad[i][2], s ? sc_error() : "was read");
        forget(&p);
    }
}

static void levels_are_found(void **state)
{
    (void)state;
    sc_scale_point point[] = {{"", 1, 1, 100, 1, 0, false}, {"", 2, 1, 1000, 1, 0, false},
                              {"", 3, 1, 104, 1, 0, false}, {"", 4, 1, 1e5, 1, 0, false},
                              {"", 5, 1, 96, 1, 0, false},  {"", 6, 1, 99, 1, 0, true},
                              {"", 7, 1, 1020, 1, 0, false}};
    sc_scale_points p = {point, SC_COUNT(point)};
    assert_int_equal(sc_scale_points_levels(&p), SC_OK);
    const int want[] = {1, 0, 1, 0, 1, 0, 0};
    for (int i = 0; i < SC_COUNT(want); i++) assert_int_equal(point[i].level, want[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivatives_are_right),
        cmocka_unit_test(optimum_is_the_closed_form),
        cmocka_unit_test(exact_points_give_the_law),
        cmocka_unit_test(noisy_points_come_near),
        cmocka_unit_test(the_same_seed_gives_the_same_bits),
        cmocka_unit_test(parabolas_find_the_minima),
        cmocka_unit_test(compute_law_is_of_the_best_runs),
        cmocka_unit_test(too_little_is_told),
        cmocka_unit_test(points_are_read),
        cmocka_unit_test(levels_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
