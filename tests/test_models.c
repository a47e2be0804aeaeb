/* SPDX-License-Identifier: Apache-2.0 */
/* Whole models against the answers of transformers: each case of the fixture folder whose family is known, from
 * safetensors, with both forms of configuration, against the strict tolerance. The folder is tests/data/models, and
 * SOCLE_FIXTURES/text (or ../shared/fixtures/text beside the sources) where that is present. */
#include "base/base.h"
#include "socle/model.h"
#include "socle/safetensors.h"
#include "socle/session.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* Of the largest absolute value of the tensor: what fp32 on a CPU reaches; looser tolerances let a wrong GELU pass. */
#define TOLERANCE 3e-5

static sc_context *ctx;

static const sc_file_tensor *get(const sc_safetensors *st, const char *name)
{
    const sc_file_tensor *t = NULL;
    return sc_safetensors_find(st, name, &t) == SC_OK ? t : NULL;
}

/* Largest difference over largest value; infinite where shapes differ. */
static double difference(const float *got, int64_t n, const sc_file_tensor *want)
{
    double worst = 0, scale = 0;
    const float *w = want->data;
    if (want->bytes != n * 4) return INFINITY;
    for (int64_t i = 0; i < n; i++) {
        worst = fmax(worst, fabs((double)got[i] - w[i]));
        scale = fmax(scale, fabs((double)w[i]));
        if (isnan(got[i])) return INFINITY;
    }
    return worst / fmax(scale, 1e-9);
}

static int64_t count(const sc_named_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dim[i];
    return n;
}

static void check_forward(const sc_model *m, const sc_safetensors *st, const char *label)
{
    sc_named_tensor in[2];
    static const char *const names[] = {"input_ids", "attention_mask"};
    for (int i = 0; i < 2; i++) {
        const sc_file_tensor *t = get(st, names[i]);
        assert_non_null(t);
        in[i] = (sc_named_tensor){.name = names[i], .dtype = t->dtype, .rank = t->rank, .data = (void *)(uintptr_t)t->data};
        memcpy(in[i].dim, t->dim, sizeof in[i].dim);
    }
    sc_outputs *out;
    if (sc_model_forward(&out, m, in, 2, true)) fail_msg("%s: %s", label, sc_error());
    int compared = 0;
    for (int64_t i = 0; i < sc_outputs_count(out); i++) {
        const sc_named_tensor *t = sc_outputs_at(out, i);
        const sc_file_tensor *want = get(st, t->name);
        assert_non_null(want);
        double d = difference(t->data, count(t), want);
        printf("  %s: %s %.1e\n", label, t->name, d);
        if (!(d <= TOLERANCE)) fail_msg("%s: %s differs by %g", label, t->name, d);
        compared++;
    }
    assert_int_equal(compared, 2);
    sc_outputs_free(out);
}

/* Greedy decoding through the cache, and the raw logits of the last four steps. */
static void check_greedy(const sc_model *m, const sc_safetensors *st, const char *label)
{
    const sc_file_tensor *prompt = get(st, "greedy_prompt"), *tokens = get(st, "greedy_tokens"), *last = get(st, "greedy_logits_last");
    assert_non_null(prompt);
    assert_non_null(tokens);
    assert_non_null(last);
    sc_model_info info;
    sc_model_describe(m, &info);
    sc_session *s;
    sc_session_options o = {.context = prompt->dim[0] + tokens->dim[0], .cache = SC_F32};
    if (sc_session_new(&s, m, &o)) fail_msg("%s: %s", label, sc_error());
    const float *logits;
    if (sc_session_eval(s, 0, prompt->data, prompt->dim[0], &logits)) fail_msg("%s: %s", label, sc_error());
    for (int64_t i = 0; i < tokens->dim[0]; i++) {
        int64_t kept = i - (tokens->dim[0] - last->dim[0]), best = 0;
        if (kept >= 0) {
            sc_file_tensor row = *last;
            row.bytes = info.vocab * 4;
            row.data = (const float *)last->data + kept * info.vocab;
            double d = difference(logits, info.vocab, &row);
            if (!(d <= TOLERANCE)) fail_msg("%s: logits of step %lld differ by %g", label, (long long)i, d);
        }
        for (int64_t v = 1; v < info.vocab; v++)
            if (logits[v] > logits[best]) best = v;
        if (best != ((const int32_t *)tokens->data)[i])
            fail_msg("%s: token %lld is %lld, not %d", label, (long long)i, (long long)best, ((const int32_t *)tokens->data)[i]);
        int32_t id = (int32_t)best;
        if (i + 1 < tokens->dim[0] && sc_session_eval(s, 0, &id, 1, &logits)) fail_msg("%s: %s", label, sc_error());
    }
    sc_session_free(s);
}

static void check_model(const char *path, const sc_safetensors *st, const char *label)
{
    sc_model *m;
    if (sc_model_open(&m, ctx, path, NULL)) fail_msg("%s: %s", label, sc_error());
    check_forward(m, st, label);
    check_greedy(m, st, label);
    sc_model_free(m);
}

static void check_case(const char *root, const char *name)
{
    char path[2048], label[256], copy[] = "/tmp/socle-models-XXXXXX", command[8192];
    snprintf(path, sizeof path, "%.1000s/%.100s/expected.safetensors", root, name);
    sc_safetensors *st;
    assert_int_equal(sc_safetensors_open(&st, path), SC_OK);
    snprintf(path, sizeof path, "%.1000s/%.100s", root, name);
    check_model(path, st, name);
    snprintf(path, sizeof path, "%.1000s/%.100s/config_v4.json", root, name);
    if (sc_path_exists(path)) {
        assert_non_null(mkdtemp(copy));
        snprintf(command, sizeof command, "cp '%s' '%s/config.json' && cp '%s/%s/model.safetensors' '%s'", path, copy, root, name, copy);
        assert_int_equal(system(command), 0);
        snprintf(label, sizeof label, "%s (older config)", name);
        check_model(copy, st, label);
        snprintf(command, sizeof command, "rm -r '%s'", copy);
        assert_int_equal(system(command), 0);
    }
    sc_safetensors_free(st);
}

static const char *const cases[] = {"llama", "llama3_rope", "mistral", "qwen2", "qwen3", "gpt2"};

static void match_all_in(const char *root, bool required)
{
    for (int i = 0; i < SC_COUNT(cases); i++) {
        char path[2048];
        snprintf(path, sizeof path, "%.1000s/%.100s", root, cases[i]);
        if (required || sc_path_is_dir(path)) check_case(root, cases[i]);
    }
}

static const char *fixtures(void)
{
    const char *env = getenv("SOCLE_FIXTURES");
    return env ? env : SOCLE_SOURCE_DIR "/../shared/fixtures";
}

static void fixture_models_match(void **state)
{
    (void)state;
    char root[1024];
    snprintf(root, sizeof root, "%.1000s/text", fixtures());
    if (!sc_path_is_dir(root)) {
        printf("no fixtures at %s\n", root);
        skip();
    }
    match_all_in(root, true);
}

static int set_up(void **state)
{
    (void)state;
    return sc_context_new(&ctx, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    sc_context_free(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fixture_models_match),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
