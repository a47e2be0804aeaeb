/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations: what the keys come to in both of their forms, and that a hostile one is refused by one clear line and
 * before memory is asked for. Rotary tables against those that transformers computes (SOCLE_FIXTURES). */
#include "core_help.h"
#include "one_context.h"
#include "socle/safetensors.h"

#include <sys/resource.h>
#include <sys/stat.h>

/* A LLaMA of one layer; `more` replaces or adds keys. */
static json_t *llama(const char *more)
{
    json_t *j = json_pack("{s:s, s:i, s:i, s:i, s:i, s:i, s:i}", "model_type", "llama", "num_hidden_layers", 1,
                          "hidden_size", 16, "intermediate_size", 24, "vocab_size", 11, "num_attention_heads", 2,
                          "num_key_value_heads", 1);
    json_t *m = json_loads(more, 0, NULL);
    if (!m) fail_msg("not JSON: %s", more);
    json_object_update(j, m);
    json_decref(m);
    return j;
}

/* Opens the configuration with fresh weights. */
static sc_status open_json(const json_t *j, sc_model **m)
{
    char *text = json_dumps(j, 0);
    temp_model t;
    write_config(&t, text);
    free(text);
    *m = NULL;
    sc_status s = sc_model_open(m, ctx, t.dir, &(sc_model_options){.weights = SC_WEIGHTS_FRESH});
    remove_config(&t);
    return s;
}

/* ---- refusals ---- */

static const struct {
    const char *more, *says;
} refused[] = {
    {"{\"num_hidden_layers\":null}", "num_hidden_layers is missing"},
    {"{\"hidden_size\":null}", "hidden_size is missing"},
    {"{\"intermediate_size\":null}", "intermediate_size is missing"},
    {"{\"vocab_size\":null}", "vocab_size is missing"},
    {"{\"num_attention_heads\":null}", "num_attention_heads is missing"},
    {"{\"model_type\":null}", "no model_type"},
    {"{\"model_type\":7}", "model_type"},
    {"{\"model_type\":\"\"}", "''"},
    {"{\"model_type\":\"nothing\"}", "'nothing' is not known; 'socle list --families'"},
    {"{\"model_type\":\"qwen4\"}", "'qwen4' is not known; near it: 'qwen2', 'qwen3'"},
    {"{\"model_type\":\"lama\"}", "near it: 'llama'"},
    {"{\"model_type\":\"\"}", "'' is not known"},
    {"{\"hidden_size\":\"16\"}", "hidden_size"},
    {"{\"hidden_size\":16.5}", "hidden_size"},
    {"{\"hidden_size\":[16]}", "hidden_size"},
    {"{\"hidden_size\":true}", "hidden_size"},
    {"{\"hidden_size\":0}", "hidden_size"},
    {"{\"hidden_size\":-16}", "hidden_size"},
    {"{\"hidden_size\":9223372036854775807}", "hidden_size"},
    {"{\"num_hidden_layers\":0}", "num_hidden_layers"},
    {"{\"num_hidden_layers\":1000000000}", "num_hidden_layers"},
    {"{\"num_hidden_layers\":1024}", "attention layers"}, /* what the cache can describe */
    {"{\"vocab_size\":-1}", "vocab_size"},
    {"{\"vocab_size\":4294967297}", "vocab_size"},
    {"{\"num_attention_heads\":0}", "num_attention_heads"},
    {"{\"num_key_value_heads\":0}", "num_key_value_heads"},
    {"{\"num_attention_heads\":3,\"num_key_value_heads\":2}", "multiple"},
    {"{\"num_attention_heads\":1,\"num_key_value_heads\":2}", "multiple"},
    {"{\"num_attention_heads\":64}", "head_dim"},
    {"{\"head_dim\":7}", "rotated features"},
    {"{\"head_dim\":0}", "head_dim"},
    {"{\"head_dim\":1000000}", "head_dim"},
    {"{\"hidden_size\":1048576,\"num_attention_heads\":1}", "head_dim"},
    {"{\"hidden_act\":\"swoosh\"}", "'swoosh'"},
    {"{\"hidden_act\":1}", "hidden_act"},
    {"{\"rms_norm_eps\":-1}", "rms_norm_eps"},
    {"{\"rms_norm_eps\":\"small\"}", "rms_norm_eps"},
    {"{\"tie_word_embeddings\":\"yes\"}", "tie_word_embeddings"},
    {"{\"attention_bias\":3}", "attention_bias"},
    {"{\"max_position_embeddings\":0}", "max_position_embeddings"},
    {"{\"max_position_embeddings\":\"long\"}", "max_position_embeddings"},
    {"{\"sliding_window\":-3}", "sliding_window"},
    {"{\"layer_types\":[\"block_sparse\"]}", "block_sparse is missing"},
    {"{\"block_sparse\":7}", "block_sparse is not an object"},
    {"{\"block_sparse\":{}}", "block_size is missing"},
    {"{\"block_sparse\":{\"block_size\":0}}", "block_size"},
    {"{\"block_sparse\":{\"block_size\":4,\"pattern\":\"round\"}}", "pattern 'round' is not local"},
    {"{\"block_sparse\":{\"block_size\":4,\"global_last_blocks\":1}}", "no global_last_blocks"},
    {"{\"block_sparse\":{\"block_size\":4,\"stride\":2,\"summary_blocks\":3}}",
     "summary_blocks 3 is more than stride 2"},
    {"{\"model_type\":\"bert\",\"block_sparse\":{\"block_size\":4,\"window_blocks\":2}}",
     "window_blocks 2 is even"},
    {"{\"model_type\":\"mamba\",\"block_sparse\":{\"block_size\":4}}", "'mamba' have no such attention"},
    {"{\"model_type\":\"deberta-v2\",\"block_sparse\":{\"block_size\":4}}",
     "disentangled attention has no such form"},
    {"{\"model_type\":\"big_bird\",\"attention_type\":\"dense\"}", "attention_type 'dense' is not known"},
    {"{\"model_type\":\"longformer\",\"attention_window\":[4,4]}", "attention_window is not a list of 1 layers"},
    {"{\"model_type\":\"longformer\",\"attention_window\":[5]}",
     "attention_window of layer 0 is not an even number"},
    {"{\"layer_types\":\"full_attention\"}", "layer_types"},
    {"{\"layer_types\":{}}", "layer_types"},
    {"{\"layer_types\":[]}", "layer_types"},
    {"{\"layer_types\":[1]}", "layer_types[0]"},
    {"{\"layer_types\":[null]}", "layer_types[0]"},
    {"{\"layer_types\":[\"chunked_attention\"]}", "chunked_attention"},
    {"{\"layer_types\":[\"full_attention\",\"full_attention\"]}", "layer_types"},
    {"{\"rope_theta\":\"big\"}", "rope_theta"},
    {"{\"rope_theta\":0}", "rope_theta"},
    {"{\"rope_theta\":-1e4}", "rope_theta"},
    {"{\"rope_theta\":\"big\",\"rope_parameters\":{\"rope_theta\":1e4}}", "rope_theta"},
    {"{\"original_max_position_embeddings\":\"x\",\"rope_parameters\":{\"rope_type\":\"default\"}}",
     "original_max"},
    {"{\"partial_rotary_factor\":2}", "partial_rotary_factor"},
    {"{\"partial_rotary_factor\":0}", "partial_rotary_factor"},
    {"{\"partial_rotary_factor\":0.1}", "rotated features"},
    {"{\"rope_parameters\":{\"rope_type\":\"spiral\"}}", "'spiral'"},
    {"{\"rope_parameters\":{\"rope_type\":3}}", "rope_type"},
    {"{\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":0}}", "factor"},
    {"{\"rope_parameters\":{\"rope_type\":\"linear\",\"factor\":\"4\"}}", "factor"},
    {"{\"rope_scaling\":{\"type\":\"linear\",\"factor\":-4}}", "factor"},
    {"{\"rope_scaling\":{\"type\":\"llama3\",\"low_freq_factor\":4,\"high_freq_factor\":4}}", "low_freq_factor"},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"beta_fast\":0}}", "beta_fast"},
    {"{\"rope_theta\":1,\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4}}", "rope_theta"},
    {"{\"rope_scaling\":{\"type\":\"yarn\",\"truncate\":1}}", "truncate"},
    {"{\"rope_scaling\":{\"type\":\"longrope\"}}", "without its factors"},
    {"{\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1,1,1]}}", "without its factors"},
    {"{\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1,1],\"long_factor\":[1,1,1,1]}}",
     "short_factor"},
    {"{\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1,1,1],\"long_factor\":[1,1,\"1\",1]}}",
     "long_factor[2]"},
    {"{\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":[1,1,1,0],\"long_factor\":[1,1,1,1]}}",
     "short_factor[3]"},
    {"{\"rope_scaling\":{\"type\":\"longrope\",\"short_factor\":7,\"long_factor\":[1,1,1,1]}}", "short_factor"},
    {"{\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":2},\"head_dim\":2}", "dynamic"},
    {"{\"eos_token_id\":-1}", "eos_token_id"},
    {"{\"eos_token_id\":\"two\"}", "eos_token_id"},
    {"{\"eos_token_id\":[1,2.5]}", "eos_token_id"},
    {"{\"model_type\":\"gpt2\",\"n_embd\":10,\"n_head\":3}", "multiple of 3 heads"},
    {"{\"model_type\":\"gpt2\",\"n_head\":0}", "n_head"},
    {"{\"model_type\":\"gpt2\",\"n_positions\":-1}", "n_positions"},
    {"{\"model_type\":\"gpt2\",\"activation_function\":\"wave\"}", "'wave'"},
    {"{\"model_type\":\"qwen2\",\"max_window_layers\":-1}", "max_window_layers"},
    {"{\"model_type\":\"qwen3\",\"head_dim\":\"128\"}", "head_dim"},
    /* Larger than any machine, by one weight, by their sum, and past int64. */
    {"{\"vocab_size\":16777216,\"hidden_size\":1048576,\"num_attention_heads\":512}", "this machine has"},
    {"{\"intermediate_size\":4194304,\"hidden_size\":1048576,\"num_attention_heads\":512}", "this machine has"},
    {"{\"num_hidden_layers\":512,\"hidden_size\":262144,\"num_attention_heads\":2048,\"num_key_value_heads\":2048}",
     "this machine has"},
    {"{\"model_type\":\"gpt2\",\"n_embd\":1048576,\"n_head\":512,\"n_layer\":512}", "this machine has"},
};

static void hostile_ones_are_refused(void **state)
{
    (void)state;
    for (int i = 0; i < SC_COUNT(refused); i++) {
        sc_model *m;
        json_t *j = llama(refused[i].more);
        sc_status s = open_json(j, &m);
        if (s == SC_OK) fail_msg("%s was taken", refused[i].more);
        assert_null(m);
        if (!strstr(sc_error(), refused[i].says) || strchr(sc_error(), '\n') ||
            !strstr(sc_error(), "/tmp/socle-core-"))
            fail_msg("%s: '%s'", refused[i].more, sc_error());
        json_decref(j);
    }
}

static void odd_files_are_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "[]", "7", "null", "{", "{\"model_type\":\"llama\"} x", "\"llama\"", "{\"a\":1,\"a\":2}", "\xff"};
    for (int i = 0; i < SC_COUNT(texts); i++)
        if (fresh_model(ctx, texts[i])) fail_msg("'%s' was taken", texts[i]);
    char *deep = malloc(200001);
    memset(deep, '[', 200000);
    deep[200000] = 0;
    assert_null(fresh_model(ctx, deep));
    free(deep);
    sc_model *m = NULL;
    assert_int_equal(sc_model_open(&m, ctx, "/nonexistent", NULL), SC_ENOTFOUND);
    static const sc_model_options wrong[] = {
        {.type = SC_DTYPE_COUNT}, {.type = (sc_dtype)-1}, {.weights = (sc_model_weights)9}};
    for (int i = 0; i < SC_COUNT(wrong); i++)
        assert_int_equal(sc_model_open(&m, ctx, "/tmp", &wrong[i]), SC_EINVAL);
    assert_null(m);
}

/* The refusals of what is too large asked for nothing: the process is no bigger. */
static void sizes_are_known_beforehand(void **state)
{
    (void)state;
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    for (int i = SC_COUNT(refused) - 4; i < SC_COUNT(refused); i++) {
        sc_model *m;
        json_t *j = llama(refused[i].more);
        assert_int_equal(open_json(j, &m), SC_ELIMIT);
        json_decref(j);
    }
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 << 10); /* KiB */
}

/* ---- what is taken, and what it comes to ---- */

static void taken_ones_mean_what_they_say(void **state)
{
    (void)state;
    sc_model *m;
    sc_model_info info;
    json_t *j = llama(
        "{\"vocab_size\":13,\"architectures\":[\"X\"],\"auto_map\":{\"AutoModel\":\"evil.py\"},\"torch_dtype\":"
        "\"bfloat16\","
        "\"eos_token_id\":[3,4],\"tie_word_embeddings\":true,\"head_dim\":10,\"max_position_embeddings\":77}");
    assert_int_equal(open_json(j, &m), SC_OK);
    sc_model_describe(m, &info);
    assert_true(info.layers == 1 && info.width == 16 && info.heads == 2 && info.kv_heads == 1 &&
                info.head_dim == 10);
    assert_true(info.vocab == 13 && info.context == 77 && info.tied);
    assert_string_equal(info.format, "fresh");
    int64_t n, parameters = 13 * 16 + 16 * (1 + 1 + 1) + 2 * 20 * 16 + 2 * 10 * 16 + 3 * 16 * 24;
    const int32_t *eos = sc_model_eos(m, &n);
    assert_true(n == 2 && eos[0] == 3 && eos[1] == 4);
    assert_int_equal(info.parameters, parameters);
    assert_int_equal(info.bytes, parameters * 4);
    sc_model_free(m);
    json_decref(j);
}

static sc_decoder decoder_of(const char *model_type, const char *more, sc_arena *arena)
{
    json_t *j = llama(more);
    json_object_set_new(j, "model_type", json_string(model_type));
    const sc_family *f = sc_family_of(model_type);
    sc_config c = {.json = j, .what = "config.json", .arena = arena};
    void *config = sc_arena_alloc(arena, f->config_size);
    f->configure(&c, config);
    if (c.status) fail_msg("%s: %s", more, sc_error());
    sc_decoder d = *(sc_decoder *)config; /* each of these families begins with it */
    json_decref(j);
    return d;
}

/* The window that each of four layers has: transformers' own rules. */
static void windows_of_layers(void **state)
{
    (void)state;
#define FOUR "\"num_hidden_layers\":4,"
    static const struct {
        const char *type, *more;
        int64_t window[4];
    } cases[] = {
        {"llama", "{" FOUR "\"sliding_window\":8}", {0, 0, 0, 0}},
        {"mistral", "{" FOUR "\"sliding_window\":8}", {8, 8, 8, 8}},
        {"mistral", "{" FOUR "\"sliding_window\":null}", {0, 0, 0, 0}},
        {"qwen2", "{" FOUR "\"sliding_window\":8}", {0, 0, 0, 0}},
        {"qwen2",
         "{" FOUR "\"sliding_window\":8,\"use_sliding_window\":true,\"max_window_layers\":2}",
         {0, 0, 8, 8}},
        {"qwen2",
         "{" FOUR "\"sliding_window\":8,\"use_sliding_window\":true}",
         {0, 0, 0, 0}}, /* from layer 28 on */
        {"qwen2", "{" FOUR "\"use_sliding_window\":true,\"max_window_layers\":3}", {0, 0, 0, 4096}},
        {"qwen2",
         "{" FOUR "\"sliding_window\":null,\"use_sliding_window\":true,\"max_window_layers\":0}",
         {0, 0, 0, 0}},
        {"qwen3",
         "{" FOUR "\"sliding_window\":8,\"use_sliding_window\":true,\"max_window_layers\":1}",
         {0, 8, 8, 8}},
        {"qwen3",
         "{" FOUR "\"sliding_window\":8,\"use_sliding_window\":true,\"layer_types\":[\"sliding_attention\","
         "\"full_attention\",\"full_attention\",\"sliding_attention\"]}",
         {8, 0, 0, 8}},
    };
    for (int i = 0; i < SC_COUNT(cases); i++) {
        sc_arena *arena = sc_arena_new();
        sc_decoder d = decoder_of(cases[i].type, cases[i].more, arena);
        for (int k = 0; k < 4; k++)
            if ((d.sliding[k] ? d.window : 0) != cases[i].window[k])
                fail_msg("%s %s: layer %d has a window of %lld", cases[i].type, cases[i].more, k,
                         (long long)d.window);
        sc_arena_free(arena);
    }
}

/* Heads: given, or what is left of the width; Qwen3 has a default of its own. */
static void heads_have_their_width(void **state)
{
    (void)state;
    static const struct {
        const char *type, *more;
        int64_t d;
    } cases[] = {
        {"llama", "{}", 8},   {"llama", "{\"head_dim\":32}", 32}, {"llama", "{\"head_dim\":null}", 8},
        {"qwen3", "{}", 128}, {"qwen3", "{\"head_dim\":64}", 64}, {"qwen3", "{\"num_attention_heads\":32}", 128},
    };
    for (int i = 0; i < SC_COUNT(cases); i++) {
        sc_arena *arena = sc_arena_new();
        sc_decoder d = decoder_of(cases[i].type, cases[i].more, arena);
        assert_int_equal(d.attn.d, cases[i].d);
        assert_int_equal(d.rope.dim, cases[i].d);
        sc_arena_free(arena);
    }
}

/* ---- rotary tables ---- */

static sc_rope_params rope_of(json_t *j, int64_t d, sc_arena *arena)
{
    sc_rope_params p = {0};
    sc_config c = {.json = j, .what = "config.json", .arena = arena};
    sc_config_rope(&c, d, &p);
    if (c.status) fail_msg("%s", sc_error());
    return p;
}

/* The same parameters as checkpoints before transformers 5 have them. */
static json_t *older_form(const json_t *parameters, int64_t positions)
{
    json_t *scaling = json_deep_copy(parameters), *j = json_object();
    json_object_set(j, "rope_theta", json_object_get(scaling, "rope_theta"));
    json_object_del(scaling, "rope_theta");
    if (json_object_get(scaling, "partial_rotary_factor")) {
        json_object_set(j, "partial_rotary_factor", json_object_get(scaling, "partial_rotary_factor"));
        json_object_del(scaling, "partial_rotary_factor");
    }
    json_object_set(scaling, "type", json_object_get(scaling, "rope_type"));
    json_object_del(scaling, "rope_type");
    bool plain = strcmp(json_string_value(json_object_get(scaling, "type")), "default") == 0;
    json_object_set_new(j, "max_position_embeddings", json_integer(positions));
    json_object_set_new(j, "rope_scaling", plain ? json_null() : json_incref(scaling));
    json_decref(scaling);
    return j;
}

static void check_table(const json_t *t, const sc_safetensors *st, json_t *config, const char *form)
{
    char name[128];
    const sc_file_tensor *want;
    int64_t d = json_integer_value(json_object_get(t, "head_dim")),
            seq = json_integer_value(json_object_get(t, "seq_len"));
    double factor = json_number_value(json_object_get(t, "attention_scaling"));
    snprintf(name, sizeof name, "inv_freq.%s", json_string_value(json_object_get(t, "name")));
    assert_int_equal(sc_safetensors_find(st, name, &want), SC_OK);
    sc_arena *arena = sc_arena_new();
    sc_rope_params p = rope_of(config, d, arena);
    float got[512], scaling;
    assert_int_equal(want->dim[0], p.dim / 2);
    sc_rope_frequencies(&p, seq, got, &scaling);
    if (fabs(scaling - factor) > 1e-6 * factor)
        fail_msg("%s (%s): the scaling is %.9g, not %.9g", name, form, scaling, factor);
    for (int64_t i = 0; i < p.dim / 2; i++) {
        double w = ((const float *)want->data)[i];
        if (!(fabs(got[i] - w) <= 1e-6 * w))
            fail_msg("%s (%s): frequency %lld is %.9g, not %.9g", name, form, (long long)i, got[i], w);
    }
    sc_arena_free(arena);
    json_decref(config);
}

static void rotary_tables_match(void **state)
{
    (void)state;
    const char *env = getenv("SOCLE_FIXTURES"), *root = env ? env : SOCLE_SOURCE_DIR "/../shared/fixtures";
    char path[1100];
    json_t *j;
    sc_safetensors *st;
    snprintf(path, sizeof path, "%.1000s/text/rope_tables/rope.json", root);
    if (!sc_path_exists(path)) {
        printf("no fixtures at %s\n", root);
        skip();
    }
    assert_int_equal(sc_json_read(&j, path, 1 << 20), SC_OK);
    snprintf(path, sizeof path, "%.1000s/text/rope_tables/rope.safetensors", root);
    assert_int_equal(sc_safetensors_open(&st, path), SC_OK);
    const json_t *tables = json_object_get(j, "tables");
    assert_true(json_array_size(tables) >= 13);
    for (size_t i = 0; i < json_array_size(tables); i++) {
        const json_t *t = json_array_get(tables, i), *parameters = json_object_get(t, "rope_parameters");
        int64_t positions = json_integer_value(json_object_get(t, "max_position_embeddings"));
        json_t *now = json_object();
        json_object_set_new(now, "rope_parameters", json_deep_copy(parameters));
        json_object_set_new(now, "max_position_embeddings", json_integer(positions));
        check_table(t, st, now, "rope_parameters");
        check_table(t, st, older_form(parameters, positions), "rope_scaling");
    }
    sc_safetensors_free(st);
    json_decref(j);
}

/* Whatever the configuration takes gives finite numbers. */
static void frequencies_are_finite(void **state)
{
    (void)state;
    static const char *const types[] = {"default", "linear", "dynamic", "yarn", "longrope", "llama3"};
    static const double factors[] = {1e-6, 0.5, 1, 4, 1e6}, thetas[] = {1.5, 1e4, 1e12};
    static const int64_t positions[] = {1, 2, 2048, 1 << 30};
    for (int t = 0; t < SC_COUNT(types); t++)
        for (int k = 0; k < 5 * 3 * 4 * 4; k++) {
            json_t *j =
                json_pack("{s:I, s:{s:s, s:f, s:f, s:I, s:[f,f,f,f], s:[f,f,f,f]}}", "max_position_embeddings",
                          (json_int_t)positions[k % 4], "rope_parameters", "rope_type", types[t], "factor",
                          factors[k / 16 % 5], "rope_theta", thetas[k / 80], "original_max_position_embeddings",
                          (json_int_t)positions[k / 4 % 4], "short_factor", 1., 2., 3., 1e-3, "long_factor", 1., 9.,
                          99., 1e3);
            sc_arena *arena = sc_arena_new();
            sc_rope_params p = rope_of(j, 8, arena);
            for (int64_t seq = 1; seq < (int64_t)1 << 30; seq *= 1000) {
                float f[4], scaling;
                sc_rope_frequencies(&p, seq, f, &scaling);
                for (int i = 0; i < 4; i++)
                    if (!isfinite(f[i]) || f[i] < 0 || !isfinite(scaling) || scaling <= 0) {
                        char *text = json_dumps(j, 0);
                        fail_msg("%s: frequency %g, scaling %g", text, f[i], scaling);
                    }
            }
            sc_arena_free(arena);
            json_decref(j);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_known_beforehand), cmocka_unit_test(hostile_ones_are_refused),
        cmocka_unit_test(odd_files_are_refused),      cmocka_unit_test(taken_ones_mean_what_they_say),
        cmocka_unit_test(windows_of_layers),          cmocka_unit_test(heads_have_their_width),
        cmocka_unit_test(rotary_tables_match),        cmocka_unit_test(frequencies_are_finite),
    };
    return cmocka_run_group_tests(tests, one_thread, no_context);
}
