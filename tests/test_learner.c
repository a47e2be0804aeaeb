/* SPDX-License-Identifier: Apache-2.0 */
/* The loss of a model and the gradients of all its weights, as PyTorch has them: every causal model of the fixtures. */
#include "models.h"
#include "one_context.h"
#include "train/train.h"

#include <dirent.h>

typedef struct batch {
    sc_text_batch b;
    int32_t ids[256], labels[256], start[9];
    float weight[256];
} batch;

/* (B, T) rows padded on the right, labels shifted by one, the mean over what counts. */
static void fill(batch *x, const sc_safetensors *st)
{
    const sc_file_tensor *ids = get(st, "input_ids"), *mask = get(st, "attention_mask"),
                         *labels = get(st, "labels");
    assert_true(ids && mask && labels);
    int64_t rows = ids->dim[0], width = ids->dim[1], n = 0, counted = 0;
    const int32_t *id = ids->data, *m = mask->data, *label = labels->data;
    for (int64_t r = 0; r < rows; r++) {
        x->start[r] = (int32_t)n;
        for (int64_t i = 0; i < width && m[r * width + i]; i++, n++) {
            x->ids[n] = id[r * width + i];
            x->labels[n] = i + 1 < width ? label[r * width + i + 1] : -100;
            counted += x->labels[n] >= 0;
        }
    }
    x->start[rows] = (int32_t)n;
    for (int64_t i = 0; i < n; i++) x->weight[i] = 1 / (float)counted;
    x->b = (sc_text_batch){.tokens = n,
                           .sequences = rows,
                           .ids = x->ids,
                           .start = x->start,
                           .rows = n,
                           .labels = x->labels,
                           .weight = x->weight,
                           .counted = counted};
}

static double norm_of(const float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sqrt(sum);
}

/* All gradients end to end; malloc's. */
static float *copy_of(const sc_learner *l, int64_t *count)
{
    int64_t n, at = 0;
    const sc_trained *t = sc_learner_trained(l, &n);
    for (int64_t i = *count = 0; i < n; i++) *count += t[i].rows * t[i].cols;
    float *all = malloc(sizeof *all * (size_t)*count);
    for (int64_t i = 0; i < n; at += t[i].rows * t[i].cols, i++)
        memcpy(all + at, sc_learner_gradients(l)[i], sizeof *all * (size_t)(t[i].rows * t[i].cols));
    return all;
}

/* What is made again instead of kept changes no bit; bf16 gives nearly the same. l has added the
 * batch once, and has again afterwards. */
static void check_modes(const sc_text_batch *b, sc_model *m, sc_learner *l, double loss)
{
    int64_t count, n, arena = sc_learner_arena_bytes(l);
    double again, dot = 0, xx = 0, yy = 0;
    float *want = copy_of(l, &count);
    sc_learner_compute(l, SC_F32, true);
    sc_learner_clear(l);
    assert_int_equal(sc_learner_add(l, b, 1, &again), SC_OK);
    float *got = copy_of(l, &n);
    if (again != loss) fail_msg("the loss is %.9g, not %.9g when made again", again, loss);
    if (sc_learner_arena_bytes(l) > arena + arena / 8) /* one of two small blocks is there anyway */
        fail_msg("%lld bytes instead of %lld", (long long)sc_learner_arena_bytes(l), (long long)arena);
    if (memcmp(got, want, sizeof *got * (size_t)count) != 0) fail_msg("gradients differ when made again");
    free(got);
    sc_learner_compute(l, SC_BF16, false);
    sc_learner_clear(l);
    assert_int_equal(sc_learner_add(l, b, 1, &again), SC_OK);
    got = copy_of(l, &n);
    for (int64_t i = 0; i < count; i++) {
        dot += (double)got[i] * want[i];
        xx += (double)got[i] * got[i];
        yy += (double)want[i] * want[i];
    }
    if (!(fabs(again - loss) <= 0.01 * loss)) fail_msg("bf16: the loss is %g, not %g", again, loss);
    if (!(dot >= 0.995 * sqrt(xx * yy)))
        fail_msg("bf16: the gradient turns by a cosine of %g", dot / sqrt(xx * yy));
    assert_true(m->backend->bf16 || memcmp(got, want, sizeof *got * (size_t)count) == 0);
    free(got);
    free(want);
    sc_learner_compute(l, SC_F32, false);
    sc_learner_clear(l);
    assert_int_equal(sc_learner_add(l, b, 1, &again), SC_OK);
}

static void check_case(const char *root, const char *name)
{
    char dir[1300], path[1400];
    sc_safetensors *st;
    sc_model *m;
    sc_learner *l;
    json_t *meta;
    batch x;
    double loss = 0, worst = 0, worst_l2 = 0;
    size_t met = 0;
    snprintf(dir, sizeof dir, "%s/%s", root, name);
    snprintf(path, sizeof path, "%s/expected.safetensors", dir);
    if (sc_safetensors_open(&st, path)) fail_msg("%s", sc_error());
    snprintf(path, sizeof path, "%s/meta.json", dir);
    if (sc_json_read(&meta, path, 16 << 20)) fail_msg("%s", sc_error());
    fill(&x, st);
    if (sc_model_open(&m, ctx, dir, NULL)) fail_msg("%s: %s", name, sc_error());
    if (sc_learner_new(&l, m, &sc_objective_causal, NULL)) fail_msg("%s: %s", name, sc_error());
    sc_learner_clear(l);
    if (sc_learner_add(l, &x.b, 1, &loss)) fail_msg("%s: %s", name, sc_error());
    double want = ((const float *)get(st, "loss")->data)[0];
    if (!(fabs(loss - want) <= 1e-5 * fabs(want))) fail_msg("%s: the loss is %.9g, not %.9g", name, loss, want);
    int64_t n, checked = 0;
    const sc_trained *t = sc_learner_trained(l, &n);
    const json_t *l2 = json_object_get(meta, "grad_l2");
    for (int64_t i = 0; i < n; i++) {
        const float *g = sc_learner_gradients(l)[i];
        snprintf(path, sizeof path, "grad.%s", t[i].name);
        const sc_file_tensor *expected = get(st, path);
        const json_t *size = json_object_get(l2, t[i].name);
        met += size != NULL;
        /* A key's bias shifts all scores of a query alike: its gradient is 0 but for rounding. */
        if (size && json_number_value(size) < 1e-6 && norm_of(g, t[i].rows * t[i].cols) < 1e-6) continue;
        if (expected) {
            double off = difference(g, t[i].rows * t[i].cols, expected);
            if (!(off <= 1e-3)) fail_msg("%s: %s is off by %g", name, path, off);
            worst = fmax(worst, off);
            checked++;
        }
        if (size) {
            double w = json_number_value(size), off = fabs(norm_of(g, t[i].rows * t[i].cols) - w) / fmax(w, 1e-6);
            if (!(off <= 1e-3)) fail_msg("%s: the norm of %s is off by %g of %g", name, path, off, w);
            worst_l2 = fmax(worst_l2, off);
        }
    }
    if (met != json_object_size(l2))
        fail_msg("%s: %d of %d weights of meta.json", name, (int)met, (int)json_object_size(l2));
    printf("%-20s loss %.6f, %2d gradients within %.1e, %2d norms within %.1e\n", name, loss, (int)checked, worst,
           (int)n, worst_l2);
    check_modes(&x.b, m, l, loss);
    /* Once more, which adds; and the loss alone. */
    double again;
    sc_measure alone = {0};
    const float *first = sc_learner_gradients(l)[0];
    float before = first[1];
    assert_int_equal(sc_learner_add(l, &x.b, 1, &again), SC_OK);
    assert_int_equal(sc_learner_score(l, &x.b, &alone), SC_OK);
    assert_true(again == loss && alone.loss == loss * alone.counted);
    assert_true(sc_learner_gradients(l)[0][1] == 2 * before);
    sc_learner_free(l);
    sc_model_free(m);
    json_decref(meta);
    sc_safetensors_free(st);
}

static void gradients_as_pytorch(void **state)
{
    (void)state;
    static const char *const causal[] = {
        "bloom",       "cohere",        "cohere2",     "exaone3",     "exaone4",     "exaone4_full", "gemma2",
        "gemma3_text", "glm",           "glm4",        "gpt2",        "gpt_neox",    "gptj",         "granite",
        "hyperclovax", "llama",         "llama3_rope", "mistral",     "olmo2",       "opt",          "phi",
        "phi3",        "phi3_longrope", "qwen2",       "qwen3",       "smollm3",     "starcoder2",   "mixtral",
        "qwen2_moe",   "qwen3_moe",     "gpt_oss",     "deepseek_v2", "deepseek_v3", "exaone_moe",   "solar_open",
        "mamba",       "mamba2",        "qwen3_next",  "qwen3_5_text"};
    char root[1024];
    if (!find_fixtures(root)) skip();
    for (int i = 0; i < SC_COUNT(causal); i++) check_case(root, causal[i]);
}

/* The same bits for every number of threads, in either precision. */
static void threads_change_no_bit(void **state)
{
    (void)state;
    char root[1024], dir[1300];
    if (!find_fixtures(root)) skip();
    snprintf(dir, sizeof dir, "%s/gpt2", root);
    for (int half = 0; half < 2; half++) {
        float *want = NULL;
        double loss[3];
        for (int t = 1; t <= 3; t++) {
            char path[1400];
            sc_context *own;
            sc_safetensors *st;
            sc_model *m;
            sc_learner *l;
            batch x;
            int64_t n;
            snprintf(path, sizeof path, "%s/expected.safetensors", dir);
            assert_int_equal(sc_safetensors_open(&st, path), SC_OK);
            fill(&x, st);
            assert_int_equal(sc_context_new(&own, &(sc_context_options){.threads = t}), SC_OK);
            assert_int_equal(sc_model_open(&m, own, dir, NULL), SC_OK);
            assert_int_equal(sc_learner_new(&l, m, &sc_objective_causal, NULL), SC_OK);
            sc_learner_compute(l, half ? SC_BF16 : SC_F32, t == 3);
            assert_int_equal(sc_learner_add(l, &x.b, 1, &loss[t - 1]), SC_OK);
            float *got = copy_of(l, &n);
            assert_true(loss[t - 1] == loss[0]);
            if (want && memcmp(got, want, sizeof *got * (size_t)n) != 0) fail_msg("%d threads give other bits", t);
            if (want)
                free(got);
            else
                want = got;
            sc_learner_free(l);
            sc_model_free(m);
            sc_context_free(own);
            sc_safetensors_free(st);
        }
        free(want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_as_pytorch),
                                       cmocka_unit_test(threads_change_no_bit)};
    return cmocka_run_group_tests(tests, two_threads, no_context);
}
