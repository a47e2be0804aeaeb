/* SPDX-License-Identifier: Apache-2.0 */
/* Whole models against the answers of transformers: each case of tests/data/models, and of the fixture folder those whose
 * family is known, from safetensors, with both forms of configuration, and from GGUF, against the strict tolerance; and a
 * table of the largest differences. */
#include "cpu/kernels/kernels.h"
#include "models.h"
#include "one_context.h"
#include "socle/convert.h"

static void check_case(const char *root, const char *name)
{
    char path[2048], label[256], copy[] = "/tmp/socle-models-XXXXXX", command[8192];
    sc_safetensors *st = open_expected(root, name);
    snprintf(path, sizeof path, "%.1000s/%.100s", root, name);
    check_model(ctx, path, st, name);
    snprintf(path, sizeof path, "%.1000s/%.100s/config_v4.json", root, name);
    if (sc_path_exists(path)) {
        assert_non_null(mkdtemp(copy));
        snprintf(command, sizeof command, "cp '%s' '%s/config.json' && cp '%s/%s/model.safetensors' '%s'", path,
                 copy, root, name, copy);
        assert_int_equal(system(command), 0);
        snprintf(label, sizeof label, "%s (older config)", name);
        check_model(ctx, copy, st, label);
        snprintf(command, sizeof command, "rm -r '%s'", copy);
        assert_int_equal(system(command), 0);
    }
    sc_safetensors_free(st);
}

static void own_models_match(void **state)
{
    (void)state;
    for (int i = 0; i < SC_COUNT(own_cases); i++) check_case(OWN_MODELS, own_cases[i]);
}

/* The largest difference from GGUF; negative where GGUF has no architecture for it. */
static double check_gguf(const char *root, const char *name)
{
    char dir[2048], gguf[] = "/tmp/socle-models-XXXXXX.gguf", label[256];
    snprintf(dir, sizeof dir, "%.1000s/%.100s", root, name);
    if (!gguf_of(dir)) return -1;
    sc_safetensors *st = open_expected(root, name);
    close(mkstemps(gguf, 5));
    sc_status s = sc_convert(ctx, dir, gguf, &(sc_convert_options){.type = "f32"}, NULL);
    if (s) fail_msg("%s: %s", name, sc_error());
    snprintf(label, sizeof label, "%s (gguf)", name);
    worst_difference = 0;
    check_model(ctx, gguf, st, label);
    unlink(gguf);
    sc_safetensors_free(st);
    return worst_difference;
}

static void fixture_models_match(void **state)
{
    (void)state;
    char root[1024];
    double worst[SC_COUNT(fixture_cases)][2];
    if (!find_fixtures(root)) skip();
    for (int i = 0; i < SC_COUNT(fixture_cases); i++) {
        worst_difference = 0;
        check_case(root, fixture_cases[i]);
        worst[i][0] = worst_difference;
        worst[i][1] = check_gguf(root, fixture_cases[i]);
    }
    printf("  %-16s  safetensors  GGUF     (largest difference of all logits and hidden states)\n", "case");
    for (int i = 0; i < SC_COUNT(fixture_cases); i++) {
        printf("  %-16s  %.1e      ", fixture_cases[i], worst[i][0]);
        printf(worst[i][1] < 0 ? "none\n" : "%.1e\n", worst[i][1]);
    }
}

/* Most checkpoints keep everything in a 16-bit type, norms and biases included: the logits must be those of the same
 * values stored as f32. */
static void sixteen_bit_checkpoints_are_their_values(void **state)
{
    static const sc_dtype types[] = {SC_BF16, SC_F16};
    static const char *const names[] = {"llama_bias", "gpt2"};
    (void)state;
    for (int k = 0; k < 4; k++) {
        sc_dtype type = types[k % 2];
        const char *name = names[k / 2];
        char dir[] = "/tmp/socle-models-XXXXXX", path[512], command[1024];
        assert_non_null(mkdtemp(dir));
        sc_outputs *out[2];
        sc_safetensors *st = open_expected(OWN_MODELS, name), *weights;
        const sc_file_tensor *ids = get(st, "input_ids");
        sc_named_tensor in = {
            .name = "input_ids", .dtype = ids->dtype, .rank = 2, .data = (void *)(uintptr_t)ids->data};
        memcpy(in.dim, ids->dim, sizeof in.dim);
        snprintf(path, sizeof path, "%s/%s", OWN_MODELS, name);
        assert_int_equal(sc_safetensors_open(&weights, path), SC_OK);
        snprintf(command, sizeof command, "cp '%s/config.json' %s", path, dir);
        assert_int_equal(system(command), 0);
        for (int wide = 0; wide < 2; wide++) {
            sc_safetensors_writer *w;
            void *keep[512];
            int n_keep = 0;
            snprintf(path, sizeof path, "%s/model.safetensors", dir);
            assert_int_equal(sc_safetensors_writer_new(&w, path), SC_OK);
            for (int64_t i = 0; i < sc_safetensors_count(weights); i++) {
                const sc_file_tensor *t = sc_safetensors_get(weights, i);
                int64_t n = t->bytes / 4;
                void *narrow = malloc((size_t)n * 2), *full = malloc((size_t)n * 4);
                assert_int_equal(sc_quantize(type, t->data, narrow, n), SC_OK);
                assert_int_equal(sc_dequantize(type, narrow, full, n), SC_OK);
                keep[n_keep++] = narrow, keep[n_keep++] = full;
                assert_int_equal(sc_safetensors_writer_add(w, t->name, wide ? SC_F32 : type, t->rank, t->dim,
                                                           wide ? full : narrow),
                                 SC_OK);
            }
            assert_int_equal(sc_safetensors_writer_finish(w), SC_OK);
            sc_safetensors_writer_free(w);
            while (n_keep) free(keep[--n_keep]);
            sc_model *m;
            if (sc_model_open(&m, ctx, dir, NULL)) fail_msg("%s", sc_error());
            if (sc_model_forward(&out[wide], m, &in, 1, false)) fail_msg("%s", sc_error());
            sc_model_free(m);
        }
        const sc_named_tensor *a = sc_outputs_at(out[0], 0), *b = sc_outputs_at(out[1], 0);
        if (type == SC_BF16 && sc_cpu_detect() & SC_CPU(AVX512BF16)) { /* activations are rounded to bf16 too */
            double off = 0, top = 0;
            for (int64_t i = 0; i < elements(a); i++) {
                off = fmax(off, fabs((double)((const float *)a->data)[i] - ((const float *)b->data)[i]));
                top = fmax(top, fabs(((const float *)b->data)[i]));
            }
            if (!(off <= 0x1p-5 * top)) fail_msg("bf16: off by %g of %g", off, top);
        } else {
            assert_memory_equal(a->data, b->data, (size_t)elements(a) * sizeof(float));
        }
        sc_outputs_free(out[0]);
        sc_outputs_free(out[1]);
        sc_safetensors_free(weights);
        sc_safetensors_free(st);
        snprintf(command, sizeof command, "rm -r %s", dir);
        assert_int_equal(system(command), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_models_match),
        cmocka_unit_test(sixteen_bit_checkpoints_are_their_values),
        cmocka_unit_test(fixture_models_match),
    };
    return cmocka_run_group_tests(tests, as_many_threads_as_cores, no_context);
}
