/* SPDX-License-Identifier: Apache-2.0 */
/* A model as a function of padded tensors: padding on either side and what else is in the batch change no bit; inputs
 * that do not fit are refused by name. */
#include "core_help.h"

static sc_context *ctx;
static sc_model *model;
enum { B = 4, T = 9, VOCAB = 23, WIDTH = 32 };

static const char config[] =
    "{\"model_type\":\"llama\",\"num_hidden_layers\":2,\"hidden_size\":32,\"intermediate_size\":40,"
    "\"vocab_size\":23,\"num_attention_heads\":4,\"num_key_value_heads\":2}";

static sc_named_tensor matrix(const char *name, sc_dtype type, int64_t b, int64_t t, const void *data)
{
    return (sc_named_tensor){
        .name = name, .dtype = type, .rank = 2, .dim = {b, t}, .data = (void *)(uintptr_t)data};
}

static const sc_named_tensor *output(const sc_outputs *o, const char *name)
{
    for (int64_t i = 0; i < sc_outputs_count(o); i++)
        if (strcmp(sc_outputs_at(o, i)->name, name) == 0) return sc_outputs_at(o, i);
    fail_msg("no output %s", name);
    return NULL;
}

static void set_mask(void *mask, sc_dtype type, int i, int v)
{
    if (type == SC_I32)
        ((int32_t *)mask)[i] = v;
    else if (type == SC_I64)
        ((int64_t *)mask)[i] = v;
    else if (type == SC_F32)
        ((float *)mask)[i] = (float)v / 2;
    else
        ((uint8_t *)mask)[i] = (uint8_t)v;
}

/* Row r has its n[r] tokens from column first[r] on; each alone has the same bits, places without a token are zero. */
static void padding_changes_nothing(void **state)
{
    (void)state;
    static const int first[B] = {0, 4, 2, 5}, n[B] = {T, 5, 4, 0};
    static const sc_dtype masks[] = {SC_I32, SC_I64, SC_F32, SC_U8, SC_BOOL};
    for (int k = 0; k < SC_COUNT(masks); k++) {
        int64_t mask[B * T], ids[B * T], positions[B * T];
        uint64_t seed = (uint64_t)k;
        for (int i = 0; i < B * T; i++) {
            int at = i % T - first[i / T];
            bool real = at >= 0 && at < n[i / T];
            ids[i] = real    ? random_in(&seed, 0, VOCAB - 1)
                     : k % 2 ? -5
                             : 3; /* what padding holds does not matter */
            positions[i] = real ? at : 77;
            set_mask(mask, masks[k], i, real);
        }
        sc_named_tensor in[] = {
            matrix("input_ids", SC_I64, B, T, ids), matrix("attention_mask", masks[k], B, T, mask),
            matrix("position_ids", SC_I64, B, T, positions), matrix("labels", SC_F32, 1, 1, ids)};
        sc_outputs *all, *one;
        if (sc_model_forward(&all, model, in, 4, true)) fail_msg("%s", sc_error());
        const sc_named_tensor *logits = output(all, "logits"), *hidden = output(all, "hidden_states");
        assert_true(logits->rank == 3 && logits->dim[0] == B && logits->dim[1] == T && logits->dim[2] == VOCAB);
        assert_true(hidden->rank == 3 && hidden->dim[0] == 3 && hidden->dim[1] == T && hidden->dim[2] == WIDTH);
        const float *got = logits->data;
        for (int r = 0; r < B; r++) {
            if (n[r]) {
                sc_named_tensor alone = matrix("input_ids", SC_I64, 1, n[r], ids + r * T + first[r]);
                assert_int_equal(sc_model_forward(&one, model, &alone, 1, r == 0), SC_OK);
                assert_memory_equal(output(one, "logits")->data, got + (r * T + first[r]) * VOCAB,
                                    (size_t)(n[r] * VOCAB) * 4);
                if (r == 0)
                    assert_memory_equal(output(one, "hidden_states")->data, hidden->data, 3 * T * WIDTH * 4);
                sc_outputs_free(one);
            }
            for (int i = 0; i < T * VOCAB; i++)
                if (i / VOCAB < first[r] || i / VOCAB >= first[r] + n[r]) assert_true(got[r * T * VOCAB + i] == 0);
        }
        assert_null(sc_outputs_at(all, 2));
        assert_null(sc_outputs_at(all, -1));
        sc_outputs_free(all);
    }
    sc_outputs_free(NULL);
}

static void misfits_are_refused(void **state)
{
    (void)state;
    static const int32_t ids[] = {1, 2, 3, 4, 5, 6}, far[] = {1, 2, 3, 4, 5, VOCAB}, below[] = {1, -1, 3, 4, 5, 6};
    static const int32_t hole[] = {1, 0, 1, 1, 1, 1}, none[6] = {0};
    static const int64_t wide[] = {1, 2, 3, (int64_t)1 << 40, 5, 6};
    const struct {
        sc_named_tensor in[2];
        int n;
        const char *says;
    } cases[] = {
        {{{0}}, 0, "input_ids is missing"},
        {{matrix("attention_mask", SC_I32, 2, 3, ids)}, 1, "input_ids is missing"},
        {{matrix("input_ids", SC_F32, 2, 3, ids)}, 1, "input_ids is f32"},
        {{matrix("input_ids", SC_DTYPE_COUNT, 2, 3, ids)}, 1, "unknown type"},
        {{{.name = "input_ids", .dtype = SC_I32, .rank = 1, .dim = {6}, .data = (void *)(uintptr_t)ids}},
         1,
         "1 axes"},
        {{{.name = "input_ids", .dtype = SC_I32, .rank = 3, .dim = {1, 2, 3}, .data = (void *)(uintptr_t)ids}},
         1,
         "3 axes"},
        {{matrix("input_ids", SC_I32, -1, 3, ids)}, 1, "input_ids"},
        {{matrix("input_ids", SC_I32, 2, -3, ids)}, 1, "input_ids"},
        {{matrix("input_ids", SC_I32, (int64_t)1 << 62, 4, ids)}, 1, "input_ids"},
        {{matrix("input_ids", SC_I32, 0, 3, ids)}, 1, "no real token"},
        {{matrix("input_ids", SC_I32, 2, 0, ids)}, 1, "no real token"},
        {{matrix("input_ids", SC_I32, 2, 3, far)}, 1, "id 23"},
        {{matrix("input_ids", SC_I32, 2, 3, below)}, 1, "id -1"},
        {{matrix("input_ids", SC_I64, 2, 3, wide)}, 1, "1099511627776"},
        {{matrix("input_ids", SC_I32, 2, 3, ids), matrix("attention_mask", SC_I32, 3, 2, ids)},
         2,
         "differ in shape"},
        {{matrix("input_ids", SC_I32, 2, 3, ids), matrix("attention_mask", SC_F16, 2, 3, ids)},
         2,
         "attention_mask is f16"},
        {{matrix("input_ids", SC_I32, 2, 3, ids), matrix("attention_mask", SC_I32, 2, 3, hole)},
         2,
         "row 0 has a hole"},
        {{matrix("input_ids", SC_I32, 2, 3, ids), matrix("attention_mask", SC_I32, 2, 3, none)},
         2,
         "no real token"},
        {{matrix("input_ids", SC_I32, 2, 3, ids), matrix("position_ids", SC_I32, 1, 3, ids)}, 2, "differ in shape"},
        {{matrix("input_ids", SC_I32, 2, 3, ids), matrix("position_ids", SC_F32, 2, 3, ids)},
         2,
         "position_ids is f32"},
        {{matrix("input_ids", SC_I32, 2, 3, ids), matrix("position_ids", SC_I32, 2, 3, below)}, 2, "position_ids"},
        {{matrix("input_ids", SC_I32, 2, 3, ids), matrix("position_ids", SC_I64, 2, 3, wide)}, 2, "position_ids"},
    };
    for (int i = 0; i < SC_COUNT(cases); i++) {
        sc_outputs *o = NULL;
        if (sc_model_forward(&o, model, cases[i].in, cases[i].n, true) == SC_OK)
            fail_msg("case %d (%s) was taken", i, cases[i].says);
        assert_null(o);
        if (!strstr(sc_error(), cases[i].says)) fail_msg("case %d: '%s' where '%s'", i, sc_error(), cases[i].says);
    }
    /* A mask of numbers that are not: present is what is not zero. */
    float odd[6] = {NAN, INFINITY, -1, 1e-30f, 1, 1e30f};
    sc_named_tensor in[] = {matrix("input_ids", SC_I32, 2, 3, ids), matrix("attention_mask", SC_F32, 2, 3, odd)};
    sc_outputs *o, *plain;
    assert_int_equal(sc_model_forward(&o, model, in, 2, false), SC_OK);
    assert_int_equal(sc_model_forward(&plain, model, in, 1, false), SC_OK);
    assert_memory_equal(output(o, "logits")->data, output(plain, "logits")->data, 6 * VOCAB * 4);
    sc_outputs_free(o);
    sc_outputs_free(plain);
}

/* Learned positions end where their table does. */
static void positions_have_an_end(void **state)
{
    (void)state;
    int32_t ids[12] = {0};
    sc_model *m = fresh_model(
        ctx,
        "{\"model_type\":\"gpt2\",\"n_layer\":1,\"n_embd\":16,\"n_head\":2,\"vocab_size\":5,\"n_positions\":10}");
    assert_non_null(m);
    sc_outputs *o = NULL;
    sc_named_tensor in = matrix("input_ids", SC_I32, 1, 11, ids);
    assert_int_equal(sc_model_forward(&o, m, &in, 1, false), SC_ELIMIT);
    assert_non_null(strstr(sc_error(), "10"));
    assert_null(o);
    in.dim[1] = 10;
    assert_int_equal(sc_model_forward(&o, m, &in, 1, false), SC_OK);
    sc_outputs_free(o);
    sc_model_free(m);
}

static int set_up(void **state)
{
    (void)state;
    ctx = new_context(2);
    model = fresh_model(ctx, config);
    return model ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    sc_model_free(model);
    sc_context_free(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(padding_changes_nothing),
        cmocka_unit_test(misfits_are_refused),
        cmocka_unit_test(positions_have_an_end),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
