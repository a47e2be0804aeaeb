/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints with packed matrices, and the text part of models that see besides, against transformers with the same weights
 * unpacked; and what contradicts itself is refused by one line. */
#include "models.h"
#include "socle/convert.h"

#define PACKED SOCLE_SOURCE_DIR "/tests/data/packed"

static sc_context *ctx;
static char root[] = "/tmp/socle-packed-XXXXXX";

static const char *const packed[] = {"fp8_block",  "fp8_row", "fp8_one", "int8", "gptq",
                                     "gptq_order", "gptq_8",  "awq",     "int4", "int4_rows"};
static const char *const wrapped[] = {"gemma3", "mistral3", "llava", "qwen3_5"};

static void check(const char *dir, const char *expected, const char *label, double tolerance)
{
    char path[600];
    sc_model *m;
    sc_safetensors *st;
    snprintf(path, sizeof path, "%s/expected.safetensors", expected);
    if (sc_safetensors_open(&st, path)) fail_msg("%s", sc_error());
    if (sc_model_open(&m, ctx, dir, NULL)) fail_msg("%s", sc_error());
    assert_int_equal(sc_model_unexpected_count(m), 0);
    check_forward(m, st, label, tolerance);
    sc_model_free(m);
    sc_safetensors_free(st);
}

/* Opened, and written as a folder that needs no unpacking. bf16 activations meet bf16 weights on some machines. */
static void packed_models_match(void **state)
{
    (void)state;
    for (int i = 0; i < SC_COUNT(packed); i++) {
        char dir[512], out[256];
        bool halves = strcmp(packed[i], "fp8_one") == 0;
        snprintf(dir, sizeof dir, PACKED "/%s", packed[i]);
        snprintf(out, sizeof out, "%s/%s", root, packed[i]);
        check(dir, dir, packed[i], halves ? 2e-2 : TOLERANCE);
        if (sc_convert(ctx, dir, out, &(sc_convert_options){.no_tokenizer = true}, NULL))
            fail_msg("%s", sc_error());
        check(out, dir, "  and written", halves ? 2e-2 : TOLERANCE);
    }
}

static void wrapped_models_match(void **state)
{
    (void)state;
    for (int i = 0; i < SC_COUNT(wrapped); i++) {
        char dir[512], out[256];
        snprintf(dir, sizeof dir, PACKED "/%s", wrapped[i]);
        snprintf(out, sizeof out, "%s/%s", root, wrapped[i]);
        check(dir, dir, wrapped[i], TOLERANCE);
        if (sc_convert(ctx, dir, out, &(sc_convert_options){.no_tokenizer = true}, NULL))
            fail_msg("%s", sc_error());
        check(out, dir, "  and written", TOLERANCE);
    }
}

/* A copy of a case whose configuration, or one of whose tensors, is another. */
static void expect_refusal(const char *of, const char *key, json_t *value, const char *tensor, const char *as,
                           const char *says)
{
    char from[512], dir[256], path[600];
    sc_safetensors *st;
    sc_model *m;
    json_t *config;
    snprintf(dir, sizeof dir, "%s/bad", root);
    assert_int_equal(sc_mkdirs(dir), SC_OK);
    snprintf(path, sizeof path, PACKED "/%s/config.json", of);
    if (sc_json_read(&config, path, 1 << 20)) fail_msg("%s", sc_error());
    json_t *how = json_object_get(config, "quantization_config");
    if (key) assert_int_equal(json_object_set_new(how, key, value), 0);
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(json_dump_file(config, path, 0), 0);
    json_decref(config);
    snprintf(from, sizeof from, PACKED "/%s", of);
    if (sc_safetensors_open(&st, from)) fail_msg("%s", sc_error());
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    unlink(path);
    char text[1 << 15];
    int n = snprintf(text, sizeof text, "{"), at = 0;
    for (int64_t i = 0; i < sc_safetensors_count(st); i++) {
        const sc_file_tensor *t = sc_safetensors_get(st, i);
        bool changed = tensor && sc_path_has_suffix(t->name, tensor);
        if (changed && !as) continue;
        n += snprintf(text + n, sizeof text - (size_t)n, "%s\"%s\":{\"dtype\":\"%s\",\"shape\":[", n > 1 ? "," : "",
                      t->name, changed ? as : t->type);
        for (int k = 0; k < t->rank; k++)
            n += snprintf(text + n, sizeof text - (size_t)n, "%s%lld", k ? "," : "", (long long)t->dim[k]);
        n += snprintf(text + n, sizeof text - (size_t)n, "],\"data_offsets\":[%d,%d]}", at, at + (int)t->bytes);
        at += (int)t->bytes;
    }
    n += snprintf(text + n, sizeof text - (size_t)n, "}");
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    uint64_t len = (uint64_t)n;
    fwrite(&len, 8, 1, f);
    fwrite(text, 1, (size_t)n, f);
    for (int64_t i = 0; i < sc_safetensors_count(st); i++) {
        const sc_file_tensor *t = sc_safetensors_get(st, i);
        if (tensor && !as && sc_path_has_suffix(t->name, tensor)) continue;
        fwrite(t->data, 1, (size_t)t->bytes, f);
    }
    fclose(f);
    sc_safetensors_free(st);
    assert_int_not_equal(sc_model_open(&m, ctx, dir, NULL), SC_OK);
    if (!strstr(sc_error(), says)) fail_msg("'%s' does not say '%s'", sc_error(), says);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    expect_refusal("fp8_block", "weight_block_size", json_pack("[i,i]", 16, 16), NULL, NULL,
                   "is no scale of a matrix, its rows or its blocks");
    expect_refusal("fp8_block", "weight_block_size", json_pack("[i,i]", 0, 16), NULL, NULL, "two positive numbers");
    expect_refusal("fp8_row", NULL, NULL, "q_proj.weight_scale", "I32", "has a type that is no scale's");
    expect_refusal("gptq", "bits", json_integer(3), NULL, NULL, "fields of 3 bits");
    expect_refusal("gptq", "bits", json_integer(8), NULL, NULL, "");
    expect_refusal("gptq", "group_size", json_integer(32), NULL, NULL, "one scale for each group and row");
    expect_refusal("gptq", "quant_method", json_string("squeeze"), NULL, NULL, "packed as 'squeeze'");
    expect_refusal("gptq", NULL, NULL, "q_proj.scales", NULL, "has no scales");
    expect_refusal("gptq", NULL, NULL, "q_proj.qweight", "F32", "is no matrix of words");
    expect_refusal("gptq_order", NULL, NULL, "q_proj.g_idx", "F32", "one group for each column");
    expect_refusal("awq", "version", json_string("gemv"), NULL, NULL, "AWQ in the form 'gemv'");
    expect_refusal("awq", "bits", json_integer(8), NULL, NULL, "AWQ of other than 4 bits");
}

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(root) ? sc_context_new(&ctx, &(sc_context_options){.threads = 2}) : -1;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    sc_context_free(ctx);
    snprintf(command, sizeof command, "rm -r '%s'", root);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_models_match),
        cmocka_unit_test(wrapped_models_match),
        cmocka_unit_test(contradictions_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
