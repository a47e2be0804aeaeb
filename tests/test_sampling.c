/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"
#include "socle/safetensors.h"
#include "socle/sampling.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define TOLERANCE 1e-6 /* absolute, of a probability; the reference's own rounding is of 2e-7 */

#define ok(call)                                                                                                   \
    do {                                                                                                           \
        sc_status st_ = (call);                                                                                    \
        if (st_ != SC_OK) fail_msg("%s: %s", #call, sc_error());                                                   \
    } while (0)

static void fails_naming(sc_status st, sc_status want, const char *part)
{
    assert_int_equal(st, want);
    if (!strstr(sc_error(), part)) fail_msg("\"%s\" does not name %s", sc_error(), part);
}

/* A draw with every step off. */
static const sc_sampling plain = {
    .repetition_penalty = 1, .do_sample = true, .temperature = 1, .top_p = 1, .typical_p = 1};

static char *data_path(const char *name)
{
    static char path[4096];
    snprintf(path, sizeof path, "%s/tests/data/%s", SOCLE_SOURCE_DIR, name);
    return path;
}

/* Sets the options that the JSON object has, which include "bias": [[id, value or null for -infinity], ...]. */
static void set_options(sc_sampling *o, const json_t *j, int32_t *bias_ids, float *bias)
{
    char *text = json_dumps(j, 0);
    assert_non_null(text);
    ok(sc_sampling_from_json(o, text, (int64_t)strlen(text), "options"));
    free(text);
    const json_t *b = json_object_get(j, "bias");
    o->n_bias = (int64_t)json_array_size(b);
    o->bias_ids = bias_ids;
    o->bias = bias;
    for (int64_t i = 0; i < o->n_bias; i++) {
        const json_t *pair = json_array_get(b, (size_t)i), *v = json_array_get(pair, 1);
        bias_ids[i] = (int32_t)json_integer_value(json_array_get(pair, 0));
        bias[i] = json_is_null(v) ? -INFINITY : (float)json_number_value(v);
    }
}

static void compare(const float *got, const double *want, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++) {
        if ((got[i] > 0) != (want[i] > 0) || !(fabs((double)got[i] - want[i]) <= TOLERANCE))
            fail_msg("%s: id %lld: %.9g, the reference says %.9g", what, (long long)i, (double)got[i], want[i]);
    }
}

static void matches_transformers(void **state)
{
    (void)state;
    enum { MAX = 64 };
    json_t *cases;
    ok(sc_json_read(&cases, data_path("sampling.json"), 1 << 24));
    assert_true(json_array_size(cases) > 100);
    for (size_t c = 0; c < json_array_size(cases); c++) {
        const json_t *j = json_array_get(cases, c), *history = json_object_get(j, "history");
        const json_t *logits = json_object_get(j, "logits"), *probs = json_object_get(j, "probs");
        int32_t bias_ids[MAX];
        float bias[MAX], x[MAX], got[MAX], scores[MAX];
        double want[MAX];
        size_t v = json_array_size(logits), n = json_array_size(history);
        size_t prompt = n - (size_t)json_integer_value(json_object_get(j, "generated"));
        assert_in_range(v, 1, MAX);
        for (size_t i = 0; i < v; i++) {
            x[i] = json_is_null(json_array_get(logits, i)) ? -INFINITY
                                                           : (float)json_number_value(json_array_get(logits, i));
            want[i] = json_number_value(json_array_get(probs, i));
        }
        sc_sampling o = plain;
        set_options(&o, json_object_get(j, "options"), bias_ids, bias);
        sc_sampler *s;
        ok(sc_sampler_new(&s, &o, (int64_t)v));
        for (int again = 0; again < 2; again++) { /* the second time after a reset */
            for (size_t i = 0; i < n; i++) {
                int32_t id = (int32_t)json_integer_value(json_array_get(history, i));
                ok(i < prompt ? sc_sampler_prompt(s, &id, 1) : sc_sampler_accept(s, id));
            }
            ok(sc_sampler_probs(s, x, got));
            char what[64];
            snprintf(what, sizeof what, "case %zu", c);
            compare(got, want, (int64_t)v, what);
            int32_t id;
            ok(sc_sampler_sample(s, x, &id, NULL));
            assert_true(want[id] > 0);
            sc_sampler_reset(s);
        }
        sc_sampler_free(s);

        /* Greedy: the first of the greatest scores after the processors. */
        o.do_sample = false;
        ok(sc_sampler_new(&s, &o, (int64_t)v));
        for (size_t i = 0; i < n; i++) {
            int32_t id = (int32_t)json_integer_value(json_array_get(history, i));
            ok(i < prompt ? sc_sampler_prompt(s, &id, 1) : sc_sampler_accept(s, id));
        }
        ok(sc_sampler_scores(s, x, scores));
        size_t best = 0;
        for (size_t i = 1; i < v; i++)
            if (scores[i] > scores[best]) best = i;
        int32_t id;
        ok(sc_sampler_sample(s, x, &id, NULL));
        assert_int_equal(id, best);
        ok(sc_sampler_probs(s, x, got));
        for (size_t i = 0; i < v; i++) assert_true(got[i] == (i == best ? 1.0f : 0.0f));
        sc_sampler_free(s);
    }
    json_decref(cases);
}

static const float *tensor(const sc_safetensors *st, const char *name, int64_t values)
{
    const sc_file_tensor *t;
    ok(sc_safetensors_find(st, name, &t));
    assert_int_equal(t->bytes, values * 4);
    return t->data;
}

static void matches_fixture(void **state)
{
    (void)state;
    char dir[4096], path[4200];
    const char *env = getenv("SOCLE_FIXTURES");
    if (env)
        snprintf(dir, sizeof dir, "%s/text/sampling", env);
    else
        snprintf(dir, sizeof dir, "%s/../shared/fixtures/text/sampling", SOCLE_SOURCE_DIR);
    snprintf(path, sizeof path, "%s/sampling.json", dir);
    if (!sc_path_exists(path)) {
        print_message("skipped: no %s\n", path);
        skip();
    }
    enum { ROWS = 4, HISTORY = 12 };
    json_t *j;
    ok(sc_json_read(&j, path, 1 << 24));
    snprintf(path, sizeof path, "%s/sampling.safetensors", dir);
    sc_safetensors *st;
    ok(sc_safetensors_open(&st, path));
    const sc_file_tensor *t;
    ok(sc_safetensors_find(st, "logits", &t));
    int64_t v = t->dim[1];
    assert_int_equal(t->dim[0], ROWS);
    const float *logits = tensor(st, "logits", ROWS * v);
    const int32_t *previous = (const int32_t *)(const void *)tensor(st, "previous_ids", (int64_t)ROWS * HISTORY);
    float *got = sc_malloc((size_t)v * sizeof *got);
    double *want = sc_malloc((size_t)v * sizeof *want);
    const json_t *recipes = json_object_get(j, "recipes");
    assert_true(json_array_size(recipes) > 0);
    for (size_t r = 0; r < json_array_size(recipes); r++) {
        char name[32];
        snprintf(name, sizeof name, "probs.%zu", r);
        const float *probs = tensor(st, name, ROWS * v);
        sc_sampling o = plain;
        set_options(&o, json_object_get(json_array_get(recipes, r), "settings"), NULL, NULL);
        for (int row = 0; row < ROWS; row++) {
            sc_sampler *s;
            ok(sc_sampler_new(&s, &o, v));
            for (int i = 0; i < HISTORY; i++) ok(sc_sampler_accept(s, previous[row * HISTORY + i]));
            ok(sc_sampler_probs(s, logits + row * v, got));
            for (int64_t i = 0; i < v; i++) want[i] = (double)probs[row * v + i];
            compare(got, want, v, name);
            sc_sampler_free(s);
        }
    }
    sc_free(got);
    sc_free(want);
    sc_safetensors_free(st);
    json_decref(j);
}

/* Logits like a language model's: most far behind, a few in front. */
static float *make_logits(int64_t v, uint64_t seed)
{
    float *x = sc_malloc((size_t)v * sizeof *x);
    assert_non_null(x);
    sc_rng_normal_fill(seed, 0, 0, x, v);
    for (int64_t i = 0; i < v; i++) x[i] = x[i] * 2.5f - (i % 97 ? 3.0f : 0.0f);
    return x;
}

static const float *sorting;
static int by_descending(const void *a, const void *b)
{
    float x = sorting[*(const int32_t *)a], y = sorting[*(const int32_t *)b];
    return x > y ? -1 : x < y ? 1 : *(const int32_t *)a < *(const int32_t *)b ? -1 : 1;
}

/* top_k and top_p on big vocabularies, where the partial selection has its short cuts, against a full sort. */
static void selects_as_a_full_sort(void **state)
{
    (void)state;
    static const int64_t sizes[] = {1, 2, 7, 129, 4095, 4096, 50257, 151936};
    for (int z = 0; z < SC_COUNT(sizes); z++) {
        int64_t v = sizes[z];
        float *x = make_logits(v, (uint64_t)z), *got = sc_malloc((size_t)v * sizeof *got);
        double *p = sc_malloc((size_t)v * sizeof *p), sum = 0;
        int32_t *order = sc_malloc((size_t)v * sizeof *order);
        for (int64_t i = 0; i < v; i++) order[i] = (int32_t)i;
        sorting = x;
        qsort(order, (size_t)v, sizeof *order, by_descending);
        for (int64_t i = 0; i < v; i++) sum += p[i] = exp((double)x[i] - (double)x[order[0]]);
        static const int64_t ks[] = {1, 2, 40, 391, 5000, 100000};
        for (int c = 0; c < SC_COUNT(ks); c++) {
            sc_sampling o = plain;
            o.top_k = ks[c];
            sc_sampler *s;
            ok(sc_sampler_new(&s, &o, v));
            ok(sc_sampler_probs(s, x, got));
            float kth = x[order[SC_MIN(ks[c], v) - 1]];
            for (int64_t i = 0; i < v; i++) assert_int_equal(got[i] > 0, x[i] >= kth);
            sc_sampler_free(s);
        }
        static const double masses[] = {0.0, 0.3, 0.9, 0.999};
        for (int c = 0; c < SC_COUNT(masses); c++) {
            sc_sampling o = plain;
            o.top_p = masses[c];
            sc_sampler *s;
            ok(sc_sampler_new(&s, &o, v));
            ok(sc_sampler_probs(s, x, got));
            double ahead = 0;
            for (int64_t i = 0; i < v; i++) {
                if (fabs(ahead - masses[c]) > 1e-6) /* at the very boundary, float and double may differ */
                    assert_int_equal(got[order[i]] > 0, i == 0 || ahead < masses[c]);
                ahead += p[order[i]] / sum;
            }
            sc_sampler_free(s);
        }
        sc_free(x);
        sc_free(got);
        sc_free(p);
        sc_free(order);
    }
}

/* 200,000 draws with a fixed seed: the frequencies fit the distribution by Pearson's test, and the same seed gives
 * the same ids, another stream others. */
static void draws_the_distribution(void **state)
{
    (void)state;
    enum { V = 600, N = 200000 };
    float x[V], p[V];
    int counts[V] = {0}, differ = 0;
    sc_rng_normal_fill(3, 0, 0, x, V);
    sc_sampling o = plain;
    o.seed = 42;
    o.top_p = 0.98;
    sc_sampler *s, *same, *other;
    ok(sc_sampler_new(&s, &o, V));
    ok(sc_sampler_new(&same, &o, V));
    o.stream = 1;
    ok(sc_sampler_new(&other, &o, V));
    ok(sc_sampler_probs(s, x, p)); /* takes no random number */
    int32_t first = -1;
    for (int i = 0; i < N; i++) {
        int32_t id, id2;
        ok(sc_sampler_sample(s, x, &id, NULL));
        if (i == 0) first = id;
        assert_true(p[id] > 0);
        counts[id]++;
        if (i >= 200) continue;
        ok(sc_sampler_sample(same, x, &id2, NULL));
        assert_int_equal(id, id2);
        ok(sc_sampler_sample(other, x, &id2, NULL));
        differ += id != id2;
    }
    assert_true(differ > 100);
    double chi2 = 0, rest_want = 0, rest_got = 0;
    int cells = 0;
    for (int i = 0; i < V; i++) {
        double want = (double)p[i] * N;
        if (want < 10) { /* too rare alone */
            rest_want += want;
            rest_got += counts[i];
            continue;
        }
        chi2 += (counts[i] - want) * (counts[i] - want) / want;
        cells++;
    }
    if (rest_want > 0) chi2 += (rest_got - rest_want) * (rest_got - rest_want) / rest_want;
    assert_true(cells > 100);
    assert_true(fabs(chi2 - cells) < 4 * sqrt(2.0 * cells)); /* mean and deviation of chi square */
    int32_t id;
    sc_sampler_reset(s);
    ok(sc_sampler_sample(s, x, &id, NULL));
    assert_int_equal(id, first);
    sc_sampler_free(s);
    sc_sampler_free(same);
    sc_sampler_free(other);
}

static void gives_logprobs_of_the_logits(void **state)
{
    (void)state;
    const float x[4] = {1, 3, -INFINITY, 2};
    float lp[4], one;
    int32_t id;
    double sum = exp(1) + exp(3) + exp(2);
    ok(sc_logits_logprobs(x, 4, lp));
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            assert_true(isinf(lp[i]) && lp[i] < 0);
        else
            assert_true(fabs((double)lp[i] - ((double)x[i] - log(sum))) < 1e-6);
    }
    sc_sampling o = plain;
    const int32_t bias_id = 1;
    const float bias = -INFINITY;
    o.bias_ids = &bias_id;
    o.bias = &bias;
    o.n_bias = 1;
    o.temperature = 0; /* means greedy */
    o.presence_penalty = 5;
    sc_sampler *s;
    ok(sc_sampler_new(&s, &o, 4));
    ok(sc_sampler_sample(s, x, &id, &one));
    assert_int_equal(id, 3);
    assert_true(one == lp[3]);
    ok(sc_sampler_prompt(s, &id, 1)); /* a prompt's id was not generated, so it has no presence penalty */
    ok(sc_sampler_sample(s, x, &id, NULL));
    assert_int_equal(id, 3);
    ok(sc_sampler_accept(s, 3));
    ok(sc_sampler_accept(s, 1000)); /* beyond the vocabulary */
    ok(sc_sampler_sample(s, x, &id, NULL));
    assert_int_equal(id, 0);
    fails_naming(sc_sampler_accept(s, -1), SC_EINVAL, "-1");
    sc_sampler_free(s);
}

static void refuses_bad_logits(void **state)
{
    (void)state;
    enum { V = 21 };
    float x[V], p[V];
    int32_t id;
    sc_sampler *s;
    for (int greedy = 0; greedy < 2; greedy++) {
        sc_sampling o = plain;
        o.do_sample = !greedy;
        o.top_p = 0.9;
        ok(sc_sampler_new(&s, &o, V));
        for (int at = 0; at < V; at++) {
            for (int i = 0; i < V; i++) x[i] = (float)i;
            x[at] = NAN;
            fails_naming(sc_sampler_sample(s, x, &id, NULL), SC_EINVAL, "not a number");
            fails_naming(sc_sampler_probs(s, x, p), SC_EINVAL, "not a number");
            x[at] = INFINITY;
            fails_naming(sc_sampler_sample(s, x, &id, NULL), SC_EINVAL, "infinite");
            for (int i = 0; i < V; i++) x[i] = -INFINITY;
            fails_naming(sc_sampler_sample(s, x, &id, NULL), SC_EINVAL, "all 21 logits");
            x[at] = -1e30f; /* the only one that can be chosen */
            ok(sc_sampler_sample(s, x, &id, NULL));
            assert_int_equal(id, at);
        }
        sc_sampler_free(s);
    }
    const float two[2] = {1, 2}, huge[2] = {3e38f, 1};
    sc_sampling o = plain;
    o.no_repeat_ngram_size = 1;
    ok(sc_sampler_new(&s, &o, 2));
    ok(sc_sampler_accept(s, 0));
    ok(sc_sampler_accept(s, 1));
    fails_naming(sc_sampler_sample(s, two, &id, NULL), SC_EINVAL, "after penalties");
    sc_sampler_free(s);
    o = plain;
    o.temperature = 1e-3;
    ok(sc_sampler_new(&s, &o, 2));
    fails_naming(sc_sampler_sample(s, huge, &id, NULL), SC_EINVAL, "temperature");
    ok(sc_sampler_sample(s, two, &id, NULL));
    assert_int_equal(id, 1);
    sc_sampler_free(s);
}

static void checks_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *json, *names;
    } bad[] = {
        {"{\"temperature\": -0.1}", "temperature"},
        {"{\"temperature\": \"hot\"}", "temperature"},
        {"{\"top_k\": -1}", "top_k"},
        {"{\"top_k\": 1.5}", "top_k"},
        {"{\"top_p\": 1.1}", "top_p"},
        {"{\"top_p\": -0.1}", "top_p"},
        {"{\"min_p\": 2}", "min_p"},
        {"{\"typical_p\": 0}", "typical_p"},
        {"{\"typical_p\": 1e-60}", "typical_p"},
        {"{\"epsilon_cutoff\": 1.0}", "epsilon_cutoff"},
        {"{\"eta_cutoff\": -1}", "eta_cutoff"},
        {"{\"repetition_penalty\": 0}", "repetition_penalty"},
        {"{\"repetition_penalty\": -2}", "repetition_penalty"},
        {"{\"frequency_penalty\": 1000}", "frequency_penalty"},
        {"{\"presence_penalty\": -1000}", "presence_penalty"},
        {"{\"no_repeat_ngram_size\": -3}", "no_repeat_ngram_size"},
        {"{\"do_sample\": 1}", "do_sample"},
        {"[]", "object"},
        {"{", "generation_config"},
        {"", "generation_config"},
    };
    for (int i = 0; i < SC_COUNT(bad); i++) {
        sc_sampling o = SC_SAMPLING_INIT, before = o;
        assert_true(sc_sampling_from_json(&o, bad[i].json, (int64_t)strlen(bad[i].json), "generation_config.json") <
                    0);
        if (!strstr(sc_error(), bad[i].names) || !strstr(sc_error(), "generation_config.json"))
            fail_msg("%s: \"%s\"", bad[i].json, sc_error());
        assert_memory_equal(&o, &before, sizeof o);
    }
    sc_sampling o = plain;
    sc_sampler *s = NULL;
    o.temperature = NAN;
    fails_naming(sc_sampler_new(&s, &o, 10), SC_EINVAL, "temperature");
    o = plain;
    int32_t ids[2] = {3, 10};
    float values[2] = {0, 1};
    o.bias_ids = ids;
    o.bias = values;
    o.n_bias = 2;
    fails_naming(sc_sampler_new(&s, &o, 10), SC_EINVAL, "id 10");
    ids[1] = -1;
    fails_naming(sc_sampler_new(&s, &o, 10), SC_EINVAL, "id -1");
    ids[1] = 4;
    values[1] = NAN;
    fails_naming(sc_sampler_new(&s, &o, 10), SC_EINVAL, "id 4");
    fails_naming(sc_sampler_new(&s, &plain, 0), SC_EINVAL, "vocabulary");
    fails_naming(sc_sampler_new(&s, &plain, INT64_MAX), SC_EINVAL, "vocabulary");
    assert_null(s);
}

static void reads_and_describes(void **state)
{
    (void)state;
    sc_sampling o = SC_SAMPLING_INIT;
    char *text;
    ok(sc_sampling_describe(&text, &o));
    assert_string_equal(text, "likeliest (greedy)");
    sc_free(text);
    const char *json =
        "{\"do_sample\": true, \"temperature\": 0.6, \"top_k\": 20, \"top_p\": 0.95, \"min_p\": null,"
        " \"repetition_penalty\": 1.05, \"eos_token_id\": [1, 2], \"transformers_version\": \"4.51.0\"}";
    ok(sc_sampling_from_json(&o, json, (int64_t)strlen(json), "generation_config.json"));
    assert_true(o.do_sample);
    o.presence_penalty = 0.5;
    o.no_repeat_ngram_size = 3;
    o.min_p = 0.01;
    o.seed = 7;
    ok(sc_sampling_describe(&text, &o));
    assert_string_equal(
        text, "presence_penalty 0.5 -> repetition_penalty 1.05 -> no_repeat_ngram_size 3 -> temperature 0.6"
              " -> top_k 20 -> top_p 0.95 -> min_p 0.01 -> softmax -> draw (seed 7)");
    sc_free(text);
    sc_sampler_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_transformers),
        cmocka_unit_test(matches_fixture),
        cmocka_unit_test(selects_as_a_full_sort),
        cmocka_unit_test(draws_the_distribution),
        cmocka_unit_test(gives_logprobs_of_the_logits),
        cmocka_unit_test(refuses_bad_logits),
        cmocka_unit_test(checks_ranges),
        cmocka_unit_test(reads_and_describes),
    };
    return cmocka_run_group_tests_name("sampling", tests, NULL, NULL);
}
