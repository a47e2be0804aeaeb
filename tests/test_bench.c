/* SPDX-License-Identifier: Apache-2.0 */
/* The two sides of the bench: what a model asks for, against a count by hand, and what the machine gives. */
#include "core_help.h"
#include "socle/bench.h"

#define SHAPE                                                                                                      \
    "\"hidden_size\": 32, \"intermediate_size\": 80, \"num_hidden_layers\": 3, \"num_attention_heads\": 4, "       \
    "\"num_key_value_heads\": 2, \"vocab_size\": 100, \"max_position_embeddings\": 256, \"rms_norm_eps\": 1e-5"

enum { C = 32, FFN = 80, LAYERS = 3, KV = 16, V = 100 };
enum { MATRICES = LAYERS * (2 * C * C + 2 * C * KV + 3 * C * FFN), VECTORS = (2 * LAYERS + 1) * C, TABLE = V * C };

static sc_work work_of(const sc_model *m, int64_t tokens, int sequences, int64_t past, sc_dtype cache)
{
    sc_work w;
    assert_int_equal(sc_model_work(m, tokens, sequences, past, cache, &w), SC_OK);
    return w;
}

static void one_token_reads_each_weight_and_key_once(void **state)
{
    (void)state;
    sc_context *ctx = new_context(1);
    sc_model *m = fresh_model(ctx, "{\"model_type\": \"llama\", " SHAPE "}");
    assert_non_null(m);
    sc_work w = work_of(m, 1, 1, 9, SC_F16);
    assert_float_equal(w.weight_bytes, 4.0 * (MATRICES + VECTORS + TABLE + C), 1e-6);
    assert_float_equal(w.cache_bytes, 2.0 * LAYERS * 10 * 2 * KV, 1e-6);
    assert_float_equal(w.flops, 2.0 * (MATRICES + TABLE) + LAYERS * 4.0 * 10 * C, 1e-6);
    /* Sequences share the weights, but each has its cache. */
    sc_work three = work_of(m, 1, 3, 9, SC_Q8_0);
    assert_float_equal(three.weight_bytes, 4.0 * (MATRICES + VECTORS + TABLE + 3 * C), 1e-6);
    assert_float_equal(three.cache_bytes, 3.0 * LAYERS * 10 * 2 * KV * 34 / 32, 1e-6);
    assert_float_equal(three.flops, 3 * w.flops, 1e-6);
    sc_model_free(m);
    sc_context_free(ctx);
}

static void prompts_need_logits_of_the_last_token_only(void **state)
{
    (void)state;
    sc_context *ctx = new_context(1);
    sc_model *m = fresh_model(ctx, "{\"model_type\": \"llama\", \"tie_word_embeddings\": true, " SHAPE "}");
    assert_non_null(m);
    sc_work w = work_of(m, 7, 1, 0, SC_F32);
    assert_float_equal(w.flops, 2.0 * (7 * MATRICES + TABLE) + LAYERS * 4.0 * (7 * 8 / 2) * C, 1e-6);
    assert_true(w.weight_bytes >= 4.0 * (MATRICES + VECTORS + TABLE));
    assert_true(w.weight_bytes <=
                4.0 * (MATRICES + VECTORS + TABLE + 7 * C)); /* the looked-up rows of a tied table */
    sc_model_free(m);
    sc_context_free(ctx);
}

static void windows_end_what_is_read(void **state)
{
    (void)state;
    sc_context *ctx = new_context(1);
    sc_model *m = fresh_model(ctx, "{\"model_type\": \"mistral\", \"sliding_window\": 16, " SHAPE "}");
    assert_non_null(m);
    sc_work w = work_of(m, 1, 1, 200, SC_F32);
    assert_float_equal(w.cache_bytes, 4.0 * LAYERS * 16 * 2 * KV, 1e-6);
    assert_float_equal(w.flops, 2.0 * (MATRICES + TABLE) + LAYERS * 4.0 * 16 * C, 1e-6);
    sc_model_free(m);
    sc_context_free(ctx);
}

static void limits_are_measured_for_any_threads(void **state)
{
    (void)state;
    sc_context *ctx = new_context(3);
    for (int threads = 0; threads <= 3; threads++) {
        sc_limits l = {0};
        assert_int_equal(sc_measure_limits(ctx, threads, &l), SC_OK);
        assert_int_equal(l.threads, threads ? threads : 3);
        assert_true(l.bandwidth_gbs > 0 && isfinite(l.bandwidth_gbs));
        assert_true(l.peak_gflops > 0 && isfinite(l.peak_gflops));
        assert_true(l.read_bytes > 0);
        assert_non_null(l.isa);
    }
    sc_context_free(ctx);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    sc_context *ctx = new_context(1);
    sc_model *m = fresh_model(ctx, "{\"model_type\": \"llama\", " SHAPE "}");
    sc_limits l;
    sc_work w;
    assert_int_equal(sc_measure_limits(ctx, 2, &l), SC_EINVAL);
    assert_int_equal(sc_measure_limits(ctx, -1, &l), SC_EINVAL);
    assert_int_equal(sc_model_work(m, 0, 1, 0, SC_F32, &w), SC_EINVAL);
    assert_int_equal(sc_model_work(m, 1, 0, 0, SC_F32, &w), SC_EINVAL);
    assert_int_equal(sc_model_work(m, 1, 1, -1, SC_F32, &w), SC_EINVAL);
    assert_int_equal(sc_model_work(m, INT64_MAX, 3, 0, SC_F32, &w), SC_EINVAL);
    assert_int_equal(sc_model_work(m, 1, 1, 0, SC_DTYPE_COUNT, &w), SC_EINVAL);
    sc_model_free(m);
    sc_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_token_reads_each_weight_and_key_once),
        cmocka_unit_test(prompts_need_logits_of_the_last_token_only),
        cmocka_unit_test(windows_end_what_is_read),
        cmocka_unit_test(limits_are_measured_for_any_threads),
        cmocka_unit_test(nonsense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
