/* SPDX-License-Identifier: Apache-2.0 */
/* Adapters against the model that they make when merged: W + scale B A written out as weights of its own. */
#include "models/models.h"
#include "models.h"

#include "socle/convert.h"

#define DATA     SOCLE_SOURCE_DIR "/tests/data"
#define BASE     DATA "/models/llama_bias"
#define ADAPTERS DATA "/adapters"

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
    expect_refusal(one_pair(q, 2, cols, rows, "{\"peft_type\": \"OFT\"}", true), "OFT");
    expect_refusal(one_pair(q, 2, cols, rows, "{\"peft_type\": \"IA3\"}", true), "is not understood");
    sc_model *m;
    const char *prefix[] = {ADAPTERS "/prompt_prefix"};
    sc_model_options with = {.adapters = prefix, .n_adapters = 1};
    assert_int_equal(sc_model_open(&m, ctx, ADAPTERS "/base_qwen3_5", &with), SC_ESHAPE);
    assert_int_equal(sc_model_open(&m, ctx, ADAPTERS "/base_mixtral", &with), SC_ESHAPE);
    assert_non_null(strstr(sc_error(), "its prefix is for 2 layers with keys 16 wide"));
    assert_int_equal(sc_model_open(&m, ctx, DATA "/pairs/t5", &with), SC_EUNSUPPORTED);
    expect_refusal(ADAPTERS "/experts", "which the model does not have");
    expect_refusal(one_pair(q, 2, cols, rows, "{\"peft_type\": \"PREFIX_TUNING\"}", true), "prompt_embeddings");
    expect_refusal(one_pair(q, 2, cols, rows, "{\"peft_type\": \"LORA\", \"use_dora\": true}", true), "magnitude");
    expect_refusal(one_pair(q, 2, cols, rows, "{\"peft_type\": \"PROMPT_TUNING\"}", true), "prompt_embeddings");
    expect_refusal(one_pair(q, 2, cols, rows, "{\"peft_type\": \"LORA\", \"alpha_pattern\": {\".*q\": 1}}", true),
                   "only ends of names");
    expect_refusal(one_pair(q, 2, cols, rows, "{\"peft_type\": \"LORA\", \"rank_pattern\": {\"q\": []}}", true),
                   "is not a number");
    expect_refusal(ADAPTERS "/gpt2", "which the model does not have");
    expect_refusal(ADAPTERS "/t5", "which the model does not have");
    expect_refusal(one_pair(q, 2, cols + 1, rows, fine, true), "an adapter for another model");
    expect_refusal(one_pair(q, 2, cols, rows, "{\"peft_type\": \"LORA\", \"r\": -1}", true), "r is -1");
}

/* What PEFT says of adapters of every kind, applied, merged into a folder, and merged into GGUF. */
static const struct {
    const char *name, *base;
    bool gguf, no_folder;
} peft[] = {{"patterns", "models/llama_bias", true},
            {"dora", "models/llama_bias", true},
            {"whole", "models/llama_bias", true},
            {"biases", "models/llama_bias", true},
            {"table", "models/llama_bias", true},
            {"gpt2", "models/gpt2", true},
            {"t5", "pairs/t5", false},
            {"prompt_gpt2", "models/gpt2", false},
            {"prompt_t5", "pairs/t5", false},
            {"prompt_p_tuning", "models/llama_bias", false},
            {"prompt_p_tuning_lstm", "models/llama_bias", false},
            {"prompt_prefix", "models/llama_bias", false},
            {"prompt_prefix_projected", "models/gpt2", false},
            {"ia3", "models/llama_bias", true},
            {"ia3_gpt2", "models/gpt2", true},
            {"vera", "models/llama_bias", true},
            {"experts", "adapters/base_mixtral", true},
            {"experts_apart", "adapters/base_mixtral", true},
            {"experts_down", "adapters/base_mixtral", true},
            {"experts_gpt_oss", "adapters/base_gpt_oss", true, true},
            {"tiled", "adapters/base_qwen3_5", true},
            {"tiled_dora", "adapters/base_qwen3_5", true}};

static double against_peft(const char *path, const char *adapter, double weight, const char *expected)
{
    static const char *const names[] = {"input_ids", "attention_mask", "decoder_input_ids"};
    sc_model *m;
    sc_outputs *out;
    sc_safetensors *st;
    sc_named_tensor in[3];
    int n = 0;
    sc_model_options o = {.adapters = &adapter, .adapter_weights = &weight, .n_adapters = adapter != NULL};
    if (sc_safetensors_open(&st, expected)) fail_msg("%s", sc_error());
    for (int i = 0; i < 3; i++) {
        const sc_file_tensor *t = get(st, names[i]);
        if (!t) continue;
        in[n] = (sc_named_tensor){
            .name = names[i], .dtype = t->dtype, .rank = t->rank, .data = (void *)(uintptr_t)t->data};
        memcpy(in[n++].dim, t->dim, sizeof in->dim);
    }
    if (sc_model_open(&m, ctx, path, &o)) fail_msg("%s", sc_error());
    if (sc_model_forward(&out, m, in, n, false)) fail_msg("%s", sc_error());
    const sc_named_tensor *got = sc_outputs_at(out, 0);
    double d = difference(got->data, elements(got), get(st, "logits"));
    sc_outputs_free(out);
    sc_model_free(m);
    sc_safetensors_free(st);
    return d;
}

/* A file's matrices may have fewer rows than the configuration has heads, before anybody compares them. */
static void rows_that_make_no_heads_are_refused(void **state)
{
    (void)state;
    float b[8] = {0};
    sc_buffer buffer = {.data = b, .size = sizeof b};
    for (int64_t rows = 0; rows <= 8; rows++) {
        sc_adapter_part part = {.name = "x",
                                .lora = {.rank = 1, .rows = rows, .b = {.data = b, .buffer = &buffer}}};
        assert_int_equal(sc_adapter_join(&part, rows, 4), SC_ESHAPE); /* queries, keys and values of each head */
        for (int64_t d = 0; d < 2; d++) assert_int_equal(sc_adapter_permute(&part, rows, d), SC_ESHAPE);
    }
}

static void expect_small(double d, const char *name, const char *how)
{
    printf("  %s, %s: %.1e\n", name, how, d);
    if (!(d <= TOLERANCE)) fail_msg("%s, %s: differs by %g", name, how, d);
}

static void adapters_match_peft(void **state)
{
    (void)state;
    for (int i = 0; i < SC_COUNT(peft); i++) {
        char base[512], adapter[512], expected[600], gguf[300], merged[256];
        snprintf(base, sizeof base, DATA "/%s", peft[i].base);
        snprintf(adapter, sizeof adapter, ADAPTERS "/%s", peft[i].name);
        snprintf(expected, sizeof expected, "%s/expected.safetensors", adapter);
        expect_small(against_peft(base, adapter, 1, expected), peft[i].name, "applied");
        const char *dirs[] = {adapter};
        sc_convert_options o = {.adapters = dirs, .n_adapters = 1, .no_tokenizer = true};
        snprintf(merged, sizeof merged, "%s", in_root(peft[i].name));
        if (strncmp(peft[i].name, "prompt", 6) == 0) {
            assert_int_equal(sc_convert(ctx, base, merged, &o, NULL), SC_EUNSUPPORTED);
            continue;
        }
        if (peft[i].no_folder) {
            assert_int_equal(sc_convert(ctx, base, merged, &o, NULL), SC_EUNSUPPORTED);
        } else {
            if (sc_convert(ctx, base, merged, &o, NULL)) fail_msg("%s", sc_error());
            expect_small(against_peft(merged, NULL, 1, expected), peft[i].name, "merged");
        }
        if (!peft[i].gguf) continue;
        snprintf(gguf, sizeof gguf, "%s.gguf", merged);
        if (sc_convert(ctx, base, gguf, &o, NULL)) fail_msg("%s", sc_error());
        expect_small(against_peft(gguf, NULL, 1, expected), peft[i].name, "merged into GGUF");
        if (sc_convert(ctx, base, gguf, &(sc_convert_options){.no_tokenizer = true}, NULL))
            fail_msg("%s", sc_error());
        expect_small(against_peft(gguf, adapter, 1, expected), peft[i].name, "applied to GGUF");
        snprintf(merged, sizeof merged, "%s_again.gguf", in_root(peft[i].name));
        if (sc_convert(ctx, gguf, merged, &o, NULL)) fail_msg("%s", sc_error());
        expect_small(against_peft(merged, NULL, 1, expected), peft[i].name, "merged from GGUF into GGUF");
    }
    expect_small(
        against_peft(DATA "/models/llama_bias", ADAPTERS "/patterns", 0.5, ADAPTERS "/half_patterns.safetensors"),
        "patterns", "half");
}

/* Two adapters together are the sum of what each adds to the weights: merged one after the other. */
static void adapters_add_up(void **state)
{
    (void)state;
    const char *first[] = {ADAPTERS "/patterns"};
    const double weights[] = {0.5, -0.25};
    char step[256], twice[256];
    const char *two[] = {ADAPTERS "/patterns", in_root("plain")};
    snprintf(step, sizeof step, "%s", in_root("step"));
    snprintf(twice, sizeof twice, "%s", in_root("twice"));
    sc_convert_options o = {.adapters = first, .adapter_weights = weights, .n_adapters = 1, .no_tokenizer = true};
    if (sc_convert(ctx, BASE, step, &o, NULL)) fail_msg("%s", sc_error());
    o.adapters = two + 1;
    o.adapter_weights = weights + 1;
    if (sc_convert(ctx, step, twice, &o, NULL)) fail_msg("%s", sc_error());
    sc_model *m;
    sc_outputs *with, *want = logits_of(twice, NULL, 0);
    static int32_t ids[] = {5, 9, 2, 33, 17, 8, 41, 3};
    sc_named_tensor in = {.name = "input_ids", .dtype = SC_I32, .rank = 2, .dim = {1, SC_COUNT(ids)}, .data = ids};
    sc_model_options mo = {.adapters = two, .adapter_weights = weights, .n_adapters = 2};
    if (sc_model_open(&m, ctx, BASE, &mo)) fail_msg("%s", sc_error());
    if (sc_model_forward(&with, m, &in, 1, false)) fail_msg("%s", sc_error());
    assert_true(distance(with, want) < 3e-5);
    sc_outputs_free(with);
    sc_outputs_free(want);
    sc_model_free(m);
}

/* Virtual tokens in sessions: the bits of the whole, lengths without them, also after trimming and in forks. */
static void count_no_virtual_tokens(const char *adapter)
{
    static int32_t ids[] = {5, 9, 2, 33, 17, 8, 41, 3};
    enum { N = SC_COUNT(ids) };
    const char *adapters[] = {adapter};
    sc_named_tensor in = {.name = "input_ids", .dtype = SC_I32, .rank = 2, .dim = {1, N}, .data = ids};
    sc_model *m;
    sc_session *s;
    sc_outputs *out;
    const float *logits;
    sc_model_info info;
    if (sc_model_open(&m, ctx, DATA "/models/gpt2", &(sc_model_options){.adapters = adapters, .n_adapters = 1}))
        fail_msg("%s", sc_error());
    sc_model_describe(m, &info);
    if (sc_model_forward(&out, m, &in, 1, false)) fail_msg("%s", sc_error());
    const float *whole = sc_outputs_at(out, 0)->data;
    sc_session_options o = {.context = 2 * N, .sequences = 2};
    if (sc_session_new(&s, m, &o)) fail_msg("%s", sc_error());
    size_t row = sizeof *whole * (size_t)info.vocab;
    for (int round = 0; round < 2; round++) {
        if (sc_session_eval(s, 0, ids, 3, &logits)) fail_msg("%s", sc_error());
        assert_memory_equal(logits, whole + 2 * info.vocab, row);
        assert_int_equal(sc_session_length(s, 0), 3);
        assert_int_equal(sc_session_trim(s, 0, 1), SC_OK);
        assert_int_equal(sc_session_fork(s, 0, 1), SC_OK);
        assert_int_equal(sc_session_length(s, 1), 1);
        if (sc_session_score(s, 1, ids + 1, N - 1, &logits)) fail_msg("%s", sc_error());
        assert_memory_equal(logits, whole + info.vocab, row * (N - 1));
        for (int i = 0; i < 2; i++) assert_int_equal(sc_session_trim(s, i, 0), SC_OK);
        assert_int_equal(sc_session_length(s, 1), 0);
    }
    if (sc_session_step(s, (int[]){0, 1}, (int32_t[]){5, 5}, 2, &logits)) fail_msg("%s", sc_error());
    assert_memory_equal(logits, whole, row);
    assert_memory_equal(logits + info.vocab, whole, row);
    sc_session_free(s);
    sc_outputs_free(out);
    sc_model_free(m);
}

static void virtual_tokens_are_not_counted(void **state)
{
    (void)state;
    count_no_virtual_tokens(ADAPTERS "/prompt_gpt2");
    count_no_virtual_tokens(ADAPTERS "/prompt_prefix_projected");
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
        cmocka_unit_test(adapters_match_peft),
        cmocka_unit_test(adapters_add_up),
        cmocka_unit_test(virtual_tokens_are_not_counted),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(rows_that_make_no_heads_are_refused),
        cmocka_unit_test(fixture_adapter_matches),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
