/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters against the model that they make when merged: W + scale B A written out as weights of its own. */
#include "models.h"

#include "socle/convert.h"

#define BASE SOCLE_SOURCE_DIR "/tests/data/models/llama_bias"

static sc_context *ctx;

/* A folder that is removed at the end. */
static char root[] = "/tmp/socle-lora-XXXXXX";

static const char *in_root(const char *name)
{
    static char path[4][256];
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", root, name);
    return p;
}

static const char *const targets[] = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj",
                                      "self_attn.o_proj", "mlp.gate_proj",    "mlp.up_proj",
                                      "mlp.down_proj"};
enum { RANK = 3, LAYERS = 2 };

static void write_text(const char *path, const char *text)
{
    assert_int_equal(sc_file_write(path, text, (int64_t)strlen(text)), SC_OK);
}

/* Writes an adapter for every target into `dir`, and the merged model into `merged`. alpha is 6, but 9 for mlp.up_proj. */
static void write_pair(const char *dir, const char *merged, bool rslora)
{
    sc_safetensors *st;
    sc_safetensors_writer *adapter, *model;
    float *keep[256];
    int n_keep = 0;
    char name[256], config[512];
    assert_int_equal(sc_mkdirs(dir), SC_OK);
    assert_int_equal(sc_mkdirs(merged), SC_OK);
    snprintf(config, sizeof config,
             "{\"peft_type\": \"LORA\", \"r\": 8, \"lora_alpha\": 6, \"use_rslora\": %s, \"bias\": \"none\", "
             "\"alpha_pattern\": {\"mlp.up_proj\": 9}}",
             rslora ? "true" : "false");
    snprintf(name, sizeof name, "%s/adapter_config.json", dir);
    write_text(name, config);
    assert_int_equal(sc_safetensors_open(&st, BASE), SC_OK);
    snprintf(name, sizeof name, "%s/adapter_model.safetensors", dir);
    assert_int_equal(sc_safetensors_writer_new(&adapter, name), SC_OK);
    snprintf(name, sizeof name, "%s/model.safetensors", merged);
    assert_int_equal(sc_safetensors_writer_new(&model, name), SC_OK);
    for (int64_t i = 0; i < sc_safetensors_count(st); i++) {
        const sc_file_tensor *w = sc_safetensors_get(st, i);
        const void *data = w->data;
        for (int layer = 0; layer < LAYERS; layer++)
            for (int t = 0; t < SC_COUNT(targets); t++) {
                snprintf(name, sizeof name, "model.layers.%d.%s.weight", layer, targets[t]);
                if (strcmp(name, w->name) != 0) continue;
                int64_t rows = w->dim[0], cols = w->dim[1];
                float *a = malloc(sizeof *a * (size_t)(RANK * cols)),
                      *b = malloc(sizeof *b * (size_t)(rows * RANK));
                float *sum = malloc((size_t)w->bytes);
                sc_rng_normal_fill(1, (uint64_t)i, 0, a, RANK * cols);
                sc_rng_normal_fill(2, (uint64_t)i, 0, b, rows * RANK);
                for (int64_t k = 0; k < RANK * cols; k++) a[k] *= 0.05f; /* small beside the weights */
                double scale = (strcmp(targets[t], "mlp.up_proj") == 0 ? 9 : 6) / (rslora ? sqrt(RANK) : RANK);
                for (int64_t r = 0; r < rows; r++)
                    for (int64_t c = 0; c < cols; c++) {
                        double more = 0;
                        for (int k = 0; k < RANK; k++) more += (double)b[r * RANK + k] * a[k * cols + c];
                        sum[r * cols + c] = (float)(((const float *)w->data)[r * cols + c] + scale * more);
                    }
                snprintf(name, sizeof name, "base_model.model.model.layers.%d.%s.lora_A.weight", layer, targets[t]);
                assert_int_equal(sc_safetensors_writer_add(adapter, name, SC_F32, 2, (int64_t[]){RANK, cols}, a),
                                 SC_OK);
                snprintf(name, sizeof name, "base_model.model.model.layers.%d.%s.lora_B.weight", layer, targets[t]);
                assert_int_equal(sc_safetensors_writer_add(adapter, name, SC_F32, 2, (int64_t[]){rows, RANK}, b),
                                 SC_OK);
                data = sum;
                keep[n_keep++] = a, keep[n_keep++] = b, keep[n_keep++] = sum;
            }
        assert_int_equal(sc_safetensors_writer_add(model, w->name, w->dtype, w->rank, w->dim, data), SC_OK);
    }
    assert_int_equal(n_keep, 3 * LAYERS * SC_COUNT(targets));
    assert_int_equal(sc_safetensors_writer_finish(adapter), SC_OK);
    assert_int_equal(sc_safetensors_writer_finish(model), SC_OK);
    sc_safetensors_writer_free(adapter);
    sc_safetensors_writer_free(model);
    sc_safetensors_free(st);
    while (n_keep) free(keep[--n_keep]);
    char *text;
    int64_t len;
    assert_int_equal(sc_file_read(&text, &len, BASE "/config.json", 1 << 20), SC_OK);
    snprintf(name, sizeof name, "%s/config.json", merged);
    assert_int_equal(sc_file_write(name, text, len), SC_OK);
    sc_free(text);
}

static sc_outputs *logits_of(const char *path, const char *const *adapters, int n)
{
    static int32_t ids[] = {5, 9, 2, 33, 17, 8, 41, 3};
    sc_named_tensor in = {.name = "input_ids", .dtype = SC_I32, .rank = 2, .dim = {1, SC_COUNT(ids)}, .data = ids};
    sc_model *m;
    sc_outputs *out;
    if (sc_model_open(&m, ctx, path, &(sc_model_options){.adapters = adapters, .n_adapters = n}))
        fail_msg("%s", sc_error());
    if (sc_model_forward(&out, m, &in, 1, false)) fail_msg("%s", sc_error());
    sc_model_free(m);
    return out;
}

static double distance(const sc_outputs *a, const sc_outputs *b)
{
    const sc_named_tensor *x = sc_outputs_at(a, 0), *y = sc_outputs_at(b, 0);
    double worst = 0, scale = 0;
    assert_int_equal(elements(x), elements(y));
    for (int64_t i = 0; i < elements(x); i++) {
        worst = fmax(worst, fabs((double)((float *)x->data)[i] - ((float *)y->data)[i]));
        scale = fmax(scale, fabs((double)((float *)y->data)[i]));
    }
    return worst / scale;
}

static void an_adapter_is_the_merged_model(void **state)
{
    (void)state;
    for (int rslora = 0; rslora < 2; rslora++) {
        const char *dir = rslora ? "rs" : "plain", *merged = rslora ? "rs_merged" : "plain_merged";
        write_pair(in_root(dir), in_root(merged), rslora);
        const char *adapters[] = {in_root(dir)};
        sc_outputs *base = logits_of(BASE, NULL, 0), *with = logits_of(BASE, adapters, 1),
                   *want = logits_of(in_root(merged), NULL, 0);
        assert_true(distance(with, want) < 3e-5);
        assert_true(distance(base, want) > 1e-2);
        sc_outputs_free(base);
        sc_outputs_free(with);
        /* GGUF keeps the rows of q and k in another order, and the adapter must follow. */
        char gguf[256];
        snprintf(gguf, sizeof gguf, "%s", in_root("base.gguf"));
        assert_int_equal(sc_convert(ctx, BASE, gguf, NULL, NULL), SC_OK);
        with = logits_of(gguf, adapters, 1);
        assert_true(distance(with, want) < 3e-5);
        sc_outputs_free(with);
        sc_outputs_free(want);
    }
}

static void expect_refusal(const char *dir, const char *words)
{
    sc_model *m;
    const char *adapters[] = {dir};
    assert_int_not_equal(sc_model_open(&m, ctx, BASE, &(sc_model_options){.adapters = adapters, .n_adapters = 1}),
                         SC_OK);
    if (!strstr(sc_error(), words)) fail_msg("'%s' does not say '%s'", sc_error(), words);
}

/* An adapter of one pair under `name`, a (rank, cols) and b (rows, rank). */
static const char *one_pair(const char *name, int64_t rank, int64_t cols, int64_t rows, const char *config,
                            bool both)
{
    static float zeros[1 << 16];
    sc_safetensors_writer *w;
    char key[256];
    const char *dir = in_root("bad");
    assert_int_equal(sc_mkdirs(dir), SC_OK);
    snprintf(key, sizeof key, "%s/adapter_config.json", dir);
    write_text(key, config);
    snprintf(key, sizeof key, "%s/adapter_model.safetensors", dir);
    assert_int_equal(sc_safetensors_writer_new(&w, key), SC_OK);
    snprintf(key, sizeof key, "base_model.model.%s.lora_A.weight", name);
    assert_int_equal(sc_safetensors_writer_add(w, key, SC_F32, 2, (int64_t[]){rank, cols}, zeros), SC_OK);
    snprintf(key, sizeof key, "base_model.model.%s.lora_B.weight", name);
    if (both) assert_int_equal(sc_safetensors_writer_add(w, key, SC_F32, 2, (int64_t[]){rows, rank}, zeros), SC_OK);
    assert_int_equal(sc_safetensors_writer_finish(w), SC_OK);
    sc_safetensors_writer_free(w);
    return dir;
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    const char *fine = "{\"peft_type\": \"LORA\", \"r\": 2, \"lora_alpha\": 2}",
               *q = "model.layers.0.self_attn.q_proj";
    sc_safetensors *st;
    assert_int_equal(sc_safetensors_open(&st, BASE), SC_OK);
    const sc_file_tensor *w = get(st, "model.layers.0.self_attn.q_proj.weight");
    int64_t rows = w->dim[0], cols = w->dim[1];
    sc_safetensors_free(st);
    expect_refusal(in_root("nowhere"), "adapter_config.json");
    expect_refusal(one_pair("model.layers.9.self_attn.q_proj", 2, cols, rows, fine, true),
                   "model.layers.9.self_attn.q_proj");
    expect_refusal(one_pair(q, 2, cols, rows, fine, false), "lora_B");
    expect_refusal(one_pair(q, 2, cols + 1, rows, fine, true), "q_proj");
    expect_refusal(one_pair(q, 2, cols, rows + 1, fine, true), "q_proj");
    expect_refusal(one_pair(q, 2, cols, rows, "{\"peft_type\": \"IA3\"}", true), "IA3");
    expect_refusal(one_pair(q, 2, cols, rows, "{\"peft_type\": \"LORA\", \"use_dora\": true}", true), "DoRA");
    expect_refusal(one_pair(q, 2, cols, rows, "{\"peft_type\": \"LORA\", \"bias\": \"all\"}", true), "biases");
    expect_refusal(one_pair(q, 2, cols, rows, "{\"peft_type\": \"LORA\", \"r\": -1}", true), "r is -1");
}

static void fixture_adapter_matches(void **state)
{
    (void)state;
    char fixtures[1024], path[2048], adapter[2048];
    sc_model *m;
    if (!find_fixtures(fixtures)) skip();
    snprintf(path, sizeof path, "%.1000s/lora_llama", fixtures);
    snprintf(adapter, sizeof adapter, "%.1000s/lora_llama/adapter", fixtures);
    if (!sc_path_is_dir(path)) skip();
    sc_safetensors *st = open_expected(fixtures, "lora_llama");
    const char *adapters[] = {adapter};
    if (sc_model_open(&m, ctx, path, &(sc_model_options){.adapters = adapters, .n_adapters = 1}))
        fail_msg("%s", sc_error());
    check_greedy(m, st, "lora_llama");
    sc_model_free(m);
    sc_safetensors_free(st);
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) ? sc_context_new(&ctx, NULL) : -1;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    sc_context_free(ctx);
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_adapter_is_the_merged_model),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(fixture_adapter_matches),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
