/* SPDX-License-Identifier: Apache-2.0 */
/* Models with experts and with latent attention: alone as in a batch, cached as not, on any number of threads, to the
 * bit; every form in which checkpoints keep experts is the same model; what does not fit is refused by name. */
#include "core_help.h"

#include "socle/safetensors.h"

enum { VOCAB = 40, T = 37 };
static sc_context *ctx[2];

#define SIZES "\"num_hidden_layers\":2,\"hidden_size\":32,\"vocab_size\":40,\"num_attention_heads\":4,"
static const char *const configs[] = {
    "{\"model_type\":\"qwen3_moe\"," SIZES "\"intermediate_size\":40,\"num_key_value_heads\":2,\"head_dim\":8,"
    "\"num_experts\":5,\"num_experts_per_tok\":2,\"moe_intermediate_size\":32}",
    "{\"model_type\":\"mixtral\"," SIZES
    "\"intermediate_size\":40,\"num_local_experts\":1,\"num_experts_per_tok\":1}",
    "{\"model_type\":\"deepseek_v3\"," SIZES "\"intermediate_size\":40,\"q_lora_rank\":12,\"kv_lora_rank\":16,"
    "\"qk_nope_head_dim\":8,\"qk_rope_head_dim\":4,\"v_head_dim\":6,\"first_k_dense_replace\":1,\"n_routed_"
    "experts\":8,"
    "\"num_experts_per_tok\":3,\"n_group\":4,\"topk_group\":2,\"moe_intermediate_size\":12}",
    "{\"model_type\":\"gpt_oss\"," SIZES "\"intermediate_size\":32,\"num_key_value_heads\":2,\"head_dim\":8,"
    "\"num_local_experts\":4,\"num_experts_per_tok\":2,\"sliding_window\":8}",
};

static const float *logits_of(sc_outputs **out, const sc_model *m, const int32_t *ids, int64_t rows, int64_t n)
{
    sc_named_tensor in = {
        .name = "input_ids", .dtype = SC_I32, .rank = 2, .dim = {rows, n}, .data = (void *)(uintptr_t)ids};
    if (sc_model_forward(out, m, &in, 1, false)) fail_msg("%s", sc_error());
    return sc_outputs_at(*out, 0)->data;
}

static void tokens_alone_batched_and_cached(void **state)
{
    (void)state;
    for (int c = 0; c < SC_COUNT(configs); c++) {
        int32_t ids[3 * T];
        uint64_t seed = (uint64_t)c;
        sc_outputs *all, *one, *again;
        sc_model *m = fresh_model(ctx[0], configs[c]), *other = fresh_model(ctx[1], configs[c]);
        if (!m || !other) fail_msg("%d: %s", c, sc_error());
        for (int i = 0; i < 3 * T; i++) ids[i] = (int32_t)random_in(&seed, 0, VOCAB - 1);
        const float *a = logits_of(&all, m, ids, 3, T), *b = logits_of(&one, m, ids + T, 1, T);
        assert_memory_equal(a + T * VOCAB, b, sizeof *a * T * VOCAB);
        assert_memory_equal(a, logits_of(&again, other, ids, 3, T), sizeof *a * 3 * T * VOCAB);
        static const sc_dtype caches[] = {SC_F32, SC_F16};
        for (int k = 0; k < 2; k++) { /* in pieces and one by one; with f16 the same among themselves */
            const float *x, *y;
            sc_session *s, *t;
            sc_session_options o = {.context = T, .cache = caches[k]};
            assert_int_equal(sc_session_new(&s, m, &o), SC_OK);
            assert_int_equal(sc_session_new(&t, other, &o), SC_OK);
            for (int i = 0; i < T; i++)
                if (sc_session_eval(s, 0, ids + T + i, 1, &x)) fail_msg("%d: %s", c, sc_error());
            if (sc_session_eval(t, 0, ids + T, 20, &y) || sc_session_eval(t, 0, ids + T + 20, T - 20, &y))
                fail_msg("%d: %s", c, sc_error());
            assert_memory_equal(x, y, sizeof *x * VOCAB);
            if (k == 0) assert_memory_equal(x, b + (T - 1) * VOCAB, sizeof *x * VOCAB);
            sc_session_free(s);
            sc_session_free(t);
        }
        sc_outputs_free(all);
        sc_outputs_free(one);
        sc_outputs_free(again);
        sc_model_free(m);
        sc_model_free(other);
    }
}

/* The latents and one rotated key: 2 layers of 16 + 4 values for each token, whatever the heads. */
static void latent_caches_are_small(void **state)
{
    (void)state;
    sc_model *m = fresh_model(ctx[0], configs[2]);
    sc_session *s;
    assert_non_null(m);
    assert_int_equal(sc_session_new(&s, m, &(sc_session_options){.context = 64, .cache = SC_F16}), SC_OK);
    assert_int_equal(sc_session_cache_bytes(s), (64 + 32) * 2 * 20 * 2);
    sc_session_free(s);
    sc_model_free(m);
}

static void describes_experts(void **state)
{
    (void)state;
    sc_model_info info;
    sc_model *m = fresh_model(ctx[0], configs[0]);
    sc_model_describe(m, &info);
    assert_true(info.experts == 5 && info.experts_used == 2);
    assert_int_equal(info.parameters - info.active, 2 * 3 * 3 * 32 * 32);
    sc_model_free(m);
}

/* Block-quantised stacks that lie evenly may be read in the kernels' own layout, others as they are stored: the same bits,
 * and those of one matrix after the other. */
static void layouts_give_the_same_bits(void **state)
{
    static const sc_dtype types[] = {SC_Q4_0, SC_Q8_0, SC_Q4_K, SC_Q6_K, SC_MXFP4};
    enum { E = 3, N = 64, C = 512, USED = 2, MOST = 5 };
    static const int32_t chosen[MOST * USED] = {2, 0, 0, 2, 1, 2, 2, 0, 0, 1};
    (void)state;
    for (int k = 0; k < SC_COUNT(types) * 2; k++) {
        uint64_t seed = (uint64_t)k;
        int tokens = k % 2 ? MOST : 1;
        float x[MOST * C], y[2][MOST * USED * N];
        sc_storage st = {.dtype = types[k / 2], .stride = {N * C, C, 1}};
        double *values = malloc(sizeof *values * E * N * C);
        assert_int_equal(sc_buffer_new(&st.buffer, sc_dtype_size(st.dtype, E * N * C)), SC_OK);
        st.data = st.buffer->data;
        random_elements(&seed, st.dtype, E * N * C, st.data, values);
        for (int i = 0; i < MOST * C; i++) x[i] = random_float(&seed);
        const void *part[E];
        for (int e = 0; e < E; e++) part[e] = (char *)st.data + sc_dtype_size(st.dtype, e * N * C);
        for (int how = 0; how < 2; how++) {
            sc_graph *g;
            sc_backend *backend;
            sc_plan *p;
            st.part = how ? part : NULL;
            assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
            assert_int_equal(sc_cpu_backend_new(&backend, ctx[1], ~0u), SC_OK);
            sc_tensor *in = sc_graph_input(g, "x", SC_F32, &(sc_shape){2, {tokens, C}}),
                      *ids = sc_graph_input(g, "ids", SC_I32, &(sc_shape){2, {tokens, USED}}),
                      *w = sc_graph_constant(g, "w", &(sc_shape){3, {E, N, C}}, &st),
                      *out = sc_linear_experts(g, in, w, ids, NULL);
            if (sc_plan_new(&p, g, backend, &out, 1)) fail_msg("%s", sc_error());
            memcpy(sc_plan_data(p, in), x, sizeof *x * (size_t)(tokens * C));
            memcpy(sc_plan_data(p, ids), chosen, sizeof *chosen * (size_t)(tokens * USED));
            if (sc_plan_run(p)) fail_msg("%s", sc_error());
            memcpy(y[how], sc_plan_data(p, out), sizeof *x * (size_t)(tokens * USED * N));
            sc_plan_free(p);
            sc_graph_free(g);
            backend->free(backend);
        }
        assert_memory_equal(y[0], y[1], sizeof *x * (size_t)(tokens * USED * N));
        for (int i = 0; i < tokens * USED * N; i++) {
            double want = 0, size = 0;
            for (int j = 0; j < C; j++) {
                double w = values[(chosen[i / N] * N + i % N) * C + j];
                want += x[i / N / USED * C + j] * w;
                size += fabs(w);
            }
            if (!(fabs(y[0][i] - want) <= 0.005 * size)) fail_msg("%d: %d is %g, not %g", k, i, y[0][i], want);
        }
        sc_buffer_unref(st.buffer);
        free(values);
    }
}

/* ---- forms of checkpoints ---- */

typedef struct file {
    char dir[64];
    sc_safetensors_writer *w;
    void *junk[256];
    int n_junk;
} file;

static void open_file(file *f, const char *config)
{
    char path[128];
    *f = (file){0};
    snprintf(f->dir, sizeof f->dir, "/tmp/socle-experts-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    snprintf(path, sizeof path, "%s/config.json", f->dir);
    assert_int_equal(sc_file_write(path, config, (int64_t)strlen(config)), SC_OK);
    snprintf(path, sizeof path, "%s/model.safetensors", f->dir);
    assert_int_equal(sc_safetensors_writer_new(&f->w, path), SC_OK);
}

static void put(file *f, const char *name, sc_dtype type, int rank, const int64_t *dim, const void *data)
{
    assert_int_equal(sc_safetensors_writer_add(f->w, name, type, rank, dim, data), SC_OK);
}

static void *room(file *f, int64_t bytes)
{
    assert_true(f->n_junk < SC_COUNT(f->junk));
    return f->junk[f->n_junk++] = calloc(1, (size_t)bytes);
}

static sc_status open_model(file *f, sc_model **m)
{
    char command[128];
    if (f->w) assert_int_equal(sc_safetensors_writer_finish(f->w), SC_OK);
    sc_safetensors_writer_free(f->w);
    f->w = NULL;
    sc_status s = sc_model_open(m, ctx[0], f->dir, NULL);
    for (int i = 0; i < f->n_junk; i++) free(f->junk[i]);
    snprintf(command, sizeof command, "rm -r '%s'", f->dir);
    assert_int_equal(system(command), 0);
    return s;
}

/* All but experts as the model has them; of experts only those of `skip` are left to the caller. */
static void put_others(file *f, const sc_model *m)
{
    for (int64_t i = 0; i < sc_model_param_count(m); i++) {
        const sc_model_param *p = sc_model_param_at(m, i);
        if (!p->expert) put(f, p->name, p->dtype, p->rank, p->dim, p->data);
    }
}

static const sc_model_param *param(const sc_model *m, const char *fmt, int layer, int expert, const char *name)
{
    char full[256];
    snprintf(full, sizeof full, fmt, layer, expert, name);
    for (int64_t i = 0; i < sc_model_param_count(m); i++)
        if (strcmp(sc_model_param_at(m, i)->name, full) == 0) return sc_model_param_at(m, i);
    fail_msg("no parameter %s", full);
    return NULL;
}

static void same_logits(const sc_model *a, const sc_model *b, double tolerance)
{
    int32_t ids[T];
    sc_outputs *x, *y;
    for (int i = 0; i < T; i++) ids[i] = i * 7 % VOCAB;
    const float *p = logits_of(&x, a, ids, 1, T), *q = logits_of(&y, b, ids, 1, T);
    double scale = 0;
    for (int i = 0; i < T * VOCAB; i++) scale = fmax(scale, fabs((double)p[i]));
    for (int i = 0; i < T * VOCAB; i++)
        if (!(fabs((double)p[i] - q[i]) <= tolerance * scale)) fail_msg("logit %d is %g, not %g", i, q[i], p[i]);
    sc_outputs_free(x);
    sc_outputs_free(y);
}

/* gate_up_proj (E, 2N, C) and down_proj (E, C, N), in f32 and, with `apart`, expert by expert in an order in which they do
 * not lie evenly spaced. */
static void stacked_and_scattered_are_the_same(void **state)
{
    static const char *const names[] = {"gate_proj", "up_proj", "down_proj"},
                             format[] = "model.layers.%d.mlp.experts.%d.%s.weight";
    (void)state;
    enum { E = 5, N = 32, C = 32 };
    for (int apart = 0; apart < 2; apart++) {
        file f;
        sc_model *m = fresh_model(ctx[0], configs[0]), *other;
        open_file(&f, configs[0]);
        put_others(&f, m);
        for (int layer = 0; layer < 2; layer++) {
            if (apart) {
                static const int order[E] = {3, 0, 4, 1, 2};
                for (int e = 0; e < E; e++)
                    for (int k = 0; k < 3; k++) {
                        const sc_model_param *p = param(m, format, layer, order[e], names[(k + e) % 3]);
                        put(&f, p->name, p->dtype, 2, p->dim, p->data);
                    }
                continue;
            }
            char name[128];
            float *both = room(&f, E * 2 * N * C * 4), *down = room(&f, E * C * N * 4);
            for (int e = 0; e < E; e++)
                for (int k = 0; k < 3; k++)
                    memcpy(k < 2 ? both + (e * 2 + k) * N * C : down + e * C * N,
                           param(m, format, layer, e, names[k])->data, N * C * 4);
            snprintf(name, sizeof name, "model.layers.%d.mlp.experts.gate_up_proj", layer);
            put(&f, name, SC_F32, 3, (int64_t[]){E, 2 * N, C}, both);
            snprintf(name, sizeof name, "model.layers.%d.mlp.experts.down_proj", layer);
            put(&f, name, SC_F32, 3, (int64_t[]){E, C, N}, down);
        }
        if (open_model(&f, &other)) fail_msg("%s", sc_error());
        assert_int_equal(sc_model_unexpected_count(other), 0);
        same_logits(m, other, 0);
        sc_model_free(m);
        sc_model_free(other);
    }
}

/* Four-bit numbers as gpt-oss has them: signs, exponents and fractions of 1, 2 and 1 bits. */
static float fp4(int bits, int exponent)
{
    static const float v[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
    return ldexpf(bits & 8 ? -v[bits & 7] : v[bits & 7], exponent - 127);
}

/* The same numbers as blocks with scales and as columns of f32, biases and all. */
static void four_bit_experts_are_their_values(void **state)
{
    (void)state;
    enum { E = 4, N = 32, C = 32 };
    file blocks, columns;
    uint64_t seed = 3;
    /* All experts for every token: rounding shall not change the choice. */
    static const char config[] =
        "{\"model_type\":\"gpt_oss\"," SIZES "\"intermediate_size\":32,\"num_key_value_heads\":2,\"head_dim\":8,"
        "\"num_local_experts\":4,\"num_experts_per_tok\":4}";
    sc_model *m = fresh_model(ctx[0], config), *a, *b;
    open_file(&blocks, config);
    open_file(&columns, config);
    put_others(&blocks, m);
    put_others(&columns, m);
    for (int layer = 0; layer < 2; layer++)
        for (int k = 0; k < 2; k++) { /* gate_up_proj, down_proj */
            int rows = k ? C : 2 * N;
            char name[128];
            uint8_t *q = room(&blocks, E * rows * 16), *scale = room(&blocks, E * rows);
            float *w = room(&columns, E * 32 * rows * 4), *bias = room(&columns, E * rows * 4);
            for (int i = 0; i < E * rows; i++) {
                scale[i] = (uint8_t)random_in(&seed, 120, 126);
                bias[i] = random_float(&seed);
                for (int j = 0; j < 16; j++) {
                    q[i * 16 + j] = (uint8_t)random_bits(&seed);
                    for (int h = 0; h < 2; h++)
                        w[(i / rows * 32 + 2 * j + h) * rows + i % rows] =
                            fp4(q[i * 16 + j] >> 4 * h & 15, scale[i]);
                }
            }
            const char *which = k ? "down_proj" : "gate_up_proj";
            snprintf(name, sizeof name, "model.layers.%d.mlp.experts.%s_blocks", layer, which);
            put(&blocks, name, SC_U8, 4, (int64_t[]){E, rows, 1, 16}, q);
            snprintf(name, sizeof name, "model.layers.%d.mlp.experts.%s_scales", layer, which);
            put(&blocks, name, SC_U8, 3, (int64_t[]){E, rows, 1}, scale);
            snprintf(name, sizeof name, "model.layers.%d.mlp.experts.%s", layer, which);
            put(&columns, name, SC_F32, 3, (int64_t[]){E, 32, rows}, w);
            snprintf(name, sizeof name, "model.layers.%d.mlp.experts.%s_bias", layer, which);
            put(&blocks, name, SC_F32, 2, (int64_t[]){E, rows}, bias);
            put(&columns, name, SC_F32, 2, (int64_t[]){E, rows}, bias);
        }
    assert_int_equal(sc_safetensors_writer_finish(blocks.w), SC_OK); /* both read the biases */
    sc_safetensors_writer_free(blocks.w);
    blocks.w = NULL;
    if (open_model(&columns, &b) || open_model(&blocks, &a)) fail_msg("%s", sc_error());
    static const char format[] = "model.layers.%d.mlp.experts.%d.%s.weight";
    static const char *const names[] = {"gate_proj", "up_proj", "down_proj"};
    float x[N * C];
    for (int e = 0; e < E * 3; e++) {
        const sc_model_param *p = param(a, format, 1, e / 3, names[e % 3]),
                             *r = param(b, format, 1, e / 3, names[e % 3]);
        int step = e % 3 < 2 ? 2 : 1;
        assert_int_equal(p->dtype, SC_MXFP4);
        assert_true(r->transposed && r->step == step);
        assert_int_equal(sc_dequantize(p->dtype, p->data, x, N * C), SC_OK);
        for (int i = 0; i < N * C; i++) assert_true(x[i] == ((const float *)r->data)[(i % C * N + i / C) * step]);
    }
    same_logits(b, a, 0.1); /* where weights have four bits, x is rounded to eight */
    sc_model_free(a);
    sc_model_free(b);
    sc_model_free(m);
}

/* ---- what is refused ---- */

static void misfits_are_refused(void **state)
{
    static const struct {
        const char *config, *says;
    } cases[] = {
        {"{\"model_type\":\"mixtral\"," SIZES
         "\"intermediate_size\":8,\"num_local_experts\":2,\"num_experts_per_tok\":3}",
         "num_experts_per_tok 3"},
        {"{\"model_type\":\"mixtral\"," SIZES "\"intermediate_size\":8}", "num_experts is missing"},
        {"{\"model_type\":\"qwen3_moe\"," SIZES "\"intermediate_size\":8,\"num_experts\":4}",
         "moe_intermediate_size is missing"},
        {"{\"model_type\":\"deepseek_v3\"," SIZES "\"intermediate_size\":8,\"n_routed_experts\":10,\"n_group\":4,"
         "\"topk_group\":2}",
         "n_group 4"},
        {"{\"model_type\":\"exaone_moe\"," SIZES "\"intermediate_size\":8,\"mlp_layer_types\":[\"dense\"]}",
         "mlp_layer_types is not a list of 2 layers"},
        {"{\"model_type\":\"exaone_moe\"," SIZES
         "\"intermediate_size\":8,\"mlp_layer_types\":[\"dense\",\"thin\"]}",
         "mlp_layer_types[1] is 'thin'"},
        {"{\"model_type\":\"deepseek_v2\"," SIZES
         "\"intermediate_size\":8,\"qk_rope_head_dim\":5,\"num_experts_per_tok\":2}",
         "5 rotated features"},
    };
    (void)state;
    for (int i = 0; i < SC_COUNT(cases); i++) {
        if (fresh_model(ctx[0], cases[i].config)) fail_msg("case %d was taken", i);
        if (!strstr(sc_error(), cases[i].says)) fail_msg("case %d: '%s' where '%s'", i, sc_error(), cases[i].says);
    }
}

/* Stacks whose shapes contradict the configuration, or each other. */
static void stacks_that_do_not_fit_are_refused(void **state)
{
    static const struct {
        const char *name, *says;
        sc_dtype type;
        int rank;
        int64_t dim[4];
    } cases[] = {
        {"gate_up_proj", "odd number of rows", SC_F32, 3, {5, 63, 32}},
        {"gate_up_proj", "has shape (31, 32)", SC_F32, 3, {5, 62, 32}},
        {"down_proj", "are missing", SC_F32, 3, {4, 32, 32}},
        {"down_proj", "is there twice", SC_F32, 3, {6, 32, 32}},
        {"gate_up_proj_blocks", "scales do not fit", SC_U8, 4, {4, 64, 1, 16}},
        {"gate_up_proj_blocks", "shape of stacked experts", SC_U8, 4, {4, 63, 1, 16}},
        {"gate_up_proj_bias", "shape of stacked experts", SC_F32, 1, {4}},
    };
    (void)state;
    for (int i = 0; i < SC_COUNT(cases); i++) {
        int which = i < 4 ? 0 : 3;
        file f;
        char name[128];
        int64_t n = 1;
        sc_model *m = fresh_model(ctx[0], configs[which]), *other;
        open_file(&f, configs[which]);
        put_others(&f, m);
        for (int k = 0; k < cases[i].rank; k++) n *= cases[i].dim[k];
        snprintf(name, sizeof name, "model.layers.0.mlp.experts.%s", cases[i].name);
        put(&f, name, cases[i].type, cases[i].rank, cases[i].dim, room(&f, n * 4));
        if (i == 3) { /* one of them by itself too */
            const sc_model_param *p = param(m, "model.layers.%d.mlp.experts.%d.%s.weight", 0, 1, "down_proj");
            put(&f, p->name, p->dtype, p->rank, p->dim, p->data);
        }
        if (open_model(&f, &other) == SC_OK) fail_msg("case %d was taken", i);
        if (!strstr(sc_error(), cases[i].says)) fail_msg("case %d: '%s' where '%s'", i, sc_error(), cases[i].says);
        sc_model_free(m);
    }
}

static int set_up(void **state)
{
    (void)state;
    ctx[0] = new_context(1);
    ctx[1] = new_context(3);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sc_context_free(ctx[0]);
    sc_context_free(ctx[1]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_alone_batched_and_cached),
        cmocka_unit_test(latent_caches_are_small),
        cmocka_unit_test(layouts_give_the_same_bits),
        cmocka_unit_test(describes_experts),
        cmocka_unit_test(stacked_and_scattered_are_the_same),
        cmocka_unit_test(four_bit_experts_are_their_values),
        cmocka_unit_test(misfits_are_refused),
        cmocka_unit_test(stacks_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
