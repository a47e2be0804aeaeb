/* SPDX-License-Identifier: Apache-2.0 */
/* Models beside what transformers computes with them (expected.safetensors): comparing, for tests that open or convert
 * models. tests/data/models has small ones; SOCLE_FIXTURES/text (or ../shared/fixtures/text beside the sources) may have
 * more. */
#ifndef TESTS_MODELS_H
#define TESTS_MODELS_H

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

static const char *const own_cases[] = {
    "llama",          "llama_bias", "llama_llama3", "llama_linear", "llama_dynamic", "llama_yarn",
    "llama_longrope", "mistral",    "qwen2",        "qwen3",        "gpt2"};
static const char *const fixture_cases[] = {
    "gpt2",       "gptj",         "gpt_neox",    "opt",         "bloom",       "llama",         "llama3_rope",
    "mistral",    "qwen2",        "qwen3",       "phi",         "phi3",        "phi3_longrope", "exaone3",
    "exaone4",    "exaone4_full", "hyperclovax", "gemma2",      "gemma3_text", "olmo2",         "smollm3",
    "starcoder2", "granite",      "cohere",      "cohere2",     "glm",         "glm4",          "mixtral",
    "qwen2_moe",  "qwen3_moe",    "deepseek_v2", "deepseek_v3", "exaone_moe",  "solar_open",    "gpt_oss",
    "mamba",      "mamba2",       "qwen3_next",  "qwen3_5_text"};

/* GGUF's architecture for the model in a folder; NULL: it has none. */
static inline const char *gguf_of(const char *dir)
{
    char path[2300];
    json_t *o;
    sc_model_type t = {0};
    snprintf(path, sizeof path, "%.2000s/config.json", dir);
    if (sc_json_read(&o, path, 1 << 20)) fail_msg("%s", sc_error());
    const char *type = json_string_value(json_object_get(o, "model_type"));
    for (int64_t i = 0; type && sc_model_type_at(i, &t) && strcmp(t.model_type, type) != 0; i++) t.gguf = NULL;
    json_decref(o);
    return t.gguf;
}

/* The largest difference that a comparison found since this was set to 0. */
static double worst_difference;

#define OWN_MODELS SOCLE_SOURCE_DIR "/tests/data/models"

/* The folder of further models, into root; false where there is none. */
static inline bool find_fixtures(char root[1024])
{
    const char *env = getenv("SOCLE_FIXTURES");
    snprintf(root, 1024, "%.1000s/text", env ? env : SOCLE_SOURCE_DIR "/../shared/fixtures");
    if (sc_path_is_dir(root)) return true;
    printf("no fixtures at %s\n", root);
    return false;
}

static inline const sc_file_tensor *get(const sc_safetensors *st, const char *name)
{
    const sc_file_tensor *t = NULL;
    return sc_safetensors_find(st, name, &t) == SC_OK ? t : NULL;
}

/* Largest difference over largest value; infinite where shapes differ. */
static inline double difference(const float *got, int64_t n, const sc_file_tensor *want)
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

static inline int64_t elements(const sc_named_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dim[i];
    return n;
}

static inline void check_forward(const sc_model *m, const sc_safetensors *st, const char *label, double tolerance)
{
    sc_named_tensor in[2];
    static const char *const names[] = {"input_ids", "attention_mask"};
    for (int i = 0; i < 2; i++) {
        const sc_file_tensor *t = get(st, names[i]);
        assert_non_null(t);
        in[i] = (sc_named_tensor){
            .name = names[i], .dtype = t->dtype, .rank = t->rank, .data = (void *)(uintptr_t)t->data};
        memcpy(in[i].dim, t->dim, sizeof in[i].dim);
    }
    sc_outputs *out;
    if (sc_model_forward(&out, m, in, 2, true)) fail_msg("%s: %s", label, sc_error());
    int compared = 0;
    for (int64_t i = 0; i < sc_outputs_count(out); i++) {
        const sc_named_tensor *t = sc_outputs_at(out, i);
        const sc_file_tensor *want = get(st, t->name);
        assert_non_null(want);
        double d = difference(t->data, elements(t), want);
        printf("  %s: %s %.1e\n", label, t->name, d);
        worst_difference = fmax(worst_difference, d);
        if (!(d <= tolerance)) fail_msg("%s: %s differs by %g", label, t->name, d);
        compared++;
    }
    assert_int_equal(compared, 2);
    sc_outputs_free(out);
}

/* Greedy decoding through the cache, and the raw logits of the last steps. */
static inline void check_greedy(const sc_model *m, const sc_safetensors *st, const char *label)
{
    const sc_file_tensor *prompt = get(st, "greedy_prompt"), *tokens = get(st, "greedy_tokens"),
                         *last = get(st, "greedy_logits_last");
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
            worst_difference = fmax(worst_difference, d);
            if (!(d <= TOLERANCE)) fail_msg("%s: logits of step %lld differ by %g", label, (long long)i, d);
        }
        for (int64_t v = 1; v < info.vocab; v++)
            if (logits[v] > logits[best]) best = v;
        if (best != ((const int32_t *)tokens->data)[i])
            fail_msg("%s: token %lld is %lld, not %d", label, (long long)i, (long long)best,
                     ((const int32_t *)tokens->data)[i]);
        int32_t id = (int32_t)best;
        if (i + 1 < tokens->dim[0] && sc_session_eval(s, 0, &id, 1, &logits)) fail_msg("%s: %s", label, sc_error());
    }
    sc_session_free(s);
}

static inline void check_model(sc_context *ctx, const char *path, const sc_safetensors *st, const char *label)
{
    sc_model *m;
    if (sc_model_open(&m, ctx, path, NULL)) fail_msg("%s: %s", label, sc_error());
    check_forward(m, st, label, TOLERANCE);
    check_greedy(m, st, label);
    sc_model_free(m);
}

static inline sc_safetensors *open_expected(const char *root, const char *name)
{
    char path[2048];
    sc_safetensors *st;
    snprintf(path, sizeof path, "%.1000s/%.100s/expected.safetensors", root, name);
    if (sc_safetensors_open(&st, path)) fail_msg("%s", sc_error());
    return st;
}

#endif
