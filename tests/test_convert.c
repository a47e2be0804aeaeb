/* SPDX-License-Identifier: Apache-2.0 */
/* Converting and quantising: what comes out must compute what transformers computes with the original, and come back bit
 * for bit. */
#include "models.h"
#include "models/models.h"
#include "socle/convert.h"
#include "socle/tokenizer.h"

#include <dirent.h>

static sc_context *ctx;
static char folder[64];

static const char *in_folder(char *path, const char *name)
{
    snprintf(path, 1024, "%s/%s", folder, name);
    return path;
}

static void convert(const char *in, const char *out, const sc_convert_options *o, sc_convert_report *r)
{
    if (sc_convert(ctx, in, out, o, r)) fail_msg("%s -> %s: %s", in, out, sc_error());
}

static sc_model *open_model(const char *path)
{
    sc_model *m;
    if (sc_model_open(&m, ctx, path, NULL)) fail_msg("%s", sc_error());
    return m;
}

/* ---- there and back ---- */

static void same_tensors(const sc_model *a, const sc_model *b, const char *label)
{
    assert_int_equal(sc_model_param_count(a), sc_model_param_count(b));
    for (int64_t i = 0; i < sc_model_param_count(a); i++) {
        const sc_model_param *p = sc_model_param_at(a, i), *q = sc_model_param_at(b, i);
        int64_t n = 1;
        assert_string_equal(p->name, q->name);
        assert_int_equal(p->dtype, q->dtype);
        assert_int_equal(p->rank, q->rank);
        for (int k = 0; k < p->rank; k++) {
            assert_int_equal(p->dim[k], q->dim[k]);
            n *= p->dim[k];
        }
        assert_int_equal(p->transposed, q->transposed);
        bool plus_one = strstr(label, "gemma") || strstr(label, "qwen3_5") || strstr(label, "qwen3_next");
        /* 1 added and taken away again; an exponential and its logarithm */
        bool moved = (plus_one && strstr(p->name, "norm")) || strstr(p->name, "A_log");
        for (int64_t k = 0; moved && k < n; k++)
            assert_true(fabsf(((const float *)p->data)[k] - ((const float *)q->data)[k]) <= 1.3e-7f);
        if (!moved && memcmp(p->data, q->data, (size_t)sc_dtype_size(p->dtype, n)))
            fail_msg("%s: '%s' changed", label, p->name);
    }
}

static void same_rotation(const sc_model *a, const sc_model *b, const char *label)
{
    const sc_model *const models[] = {a, b};
    float f[2][64], scale[2];
    if (!sc_model_decoder(a) || sc_model_decoder(a)->position != SC_POSITION_ROPE) return;
    for (int64_t length = 1; length <= 4096; length *= 4) {
        for (int i = 0; i < 2; i++) {
            const sc_rope_params *p = &sc_model_decoder(models[i])->rope;
            if (p->dim != sc_model_decoder(a)->rope.dim) fail_msg("%s: %d rotated", label, (int)p->dim);
            sc_rope_frequencies(p, length, f[i], &scale[i]);
        }
        assert_true(fabsf(scale[0] - scale[1]) <= 2e-7f * scale[0]);
        for (int64_t k = 0; k < sc_model_decoder(a)->rope.dim / 2; k++)
            if (fabsf(f[0][k] - f[1][k]) > 2e-7f * f[0][k])
                fail_msg("%s: frequency %d at %d", label, (int)k, (int)length);
    }
}

static void check_case(const char *root, const char *name)
{
    char from[2048], gguf[1024], dir[1024], label[256];
    sc_safetensors *st = open_expected(root, name);
    snprintf(from, sizeof from, "%.1000s/%.100s", root, name);
    in_folder(gguf, "model.gguf");
    in_folder(dir, "back");
    convert(from, gguf, &(sc_convert_options){.type = "f32"}, NULL);
    snprintf(label, sizeof label, "%s (gguf)", name);
    check_model(ctx, gguf, st, label);
    convert(gguf, dir, NULL, NULL);
    snprintf(label, sizeof label, "%s (and back)", name);
    check_model(ctx, dir, st, label);
    sc_model *a = open_model(from), *b = open_model(dir), *g = open_model(gguf);
    same_tensors(a, b, label);
    same_rotation(a, b, label);
    same_rotation(a, g, label);
    sc_model_free(a);
    sc_model_free(b);
    sc_model_free(g);
    sc_safetensors_free(st);
}

static void own_models_go_there_and_back(void **state)
{
    (void)state;
    for (int i = 0; i < SC_COUNT(own_cases); i++) check_case(OWN_MODELS, own_cases[i]);
}

static void fixture_models_go_there_and_back(void **state)
{
    (void)state;
    char root[1024];
    if (!find_fixtures(root)) skip();
    for (int i = 0; i < SC_COUNT(fixture_cases); i++) {
        char dir[2048];
        snprintf(dir, sizeof dir, "%s/%s", root, fixture_cases[i]);
        if (gguf_of(dir)) check_case(root, fixture_cases[i]);
    }
}

/* Every pair of formats and plain type gives each value as the reference conversion does. */
static void plain_types_convert_by_value(void **state)
{
    static const char *const names[] = {"f32", "F16", "bf16"}, *const cases[] = {"llama_bias", "gpt2"};
    char dir[1024], gguf[1024], again[1024], from[1024];
    (void)state;
    in_folder(dir, "typed");
    in_folder(gguf, "typed.gguf");
    in_folder(again, "again.gguf");
    for (int c = 0; c < SC_COUNT(cases); c++)
        for (int t = 0; t < SC_COUNT(names); t++) {
            sc_convert_options o = {.type = names[t]};
            sc_dtype type = sc_dtype_named(names[t]);
            snprintf(from, sizeof from, "%s/%s", OWN_MODELS, cases[c]);
            convert(from, gguf, &o, NULL);
            convert(gguf, again, NULL, NULL); /* file to file: as it is */
            convert(again, dir, &o, NULL);
            sc_model *a = open_model(from), *b = open_model(dir);
            for (int64_t i = 0; i < sc_model_param_count(a); i++) {
                const sc_model_param *p = sc_model_param_at(a, i), *q = sc_model_param_at(b, i);
                int64_t n = p->dim[0] * (p->rank > 1 ? p->dim[1] : 1), bytes = sc_dtype_size(type, n);
                void *want = malloc((size_t)bytes);
                assert_int_equal(q->dtype, type);
                assert_int_equal(sc_quantize(type, p->data, want, n), SC_OK);
                assert_memory_equal(q->data, want, bytes);
                free(want);
            }
            sc_model_free(a);
            sc_model_free(b);
        }
}

/* ---- quantising ---- */

/* A model wide enough for every type, with fresh weights, written as a directory. */
static void write_wide(const char *dir, int width, int layers)
{
    char path[1100];
    assert_int_equal(sc_mkdirs(dir), SC_OK);
    snprintf(path, sizeof path, "%s/config.json", dir);
    FILE *f = fopen(path, "w");
    fprintf(
        f,
        "{\"model_type\": \"llama\", \"hidden_size\": %d, \"intermediate_size\": %d, \"num_hidden_layers\": %d, "
        "\"num_attention_heads\": 4, \"num_key_value_heads\": 2, \"vocab_size\": 96, \"max_position_embeddings\": "
        "64, "
        "\"rms_norm_eps\": 1e-5}",
        width, width, layers);
    fclose(f);
    sc_model *m;
    sc_model_options o = {.weights = SC_WEIGHTS_FRESH, .seed = 5};
    assert_int_equal(sc_model_open(&m, ctx, dir, &o), SC_OK);
    sc_safetensors_writer *w;
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    assert_int_equal(sc_safetensors_writer_new(&w, path), SC_OK);
    for (int64_t i = 0; i < sc_model_param_count(m); i++) {
        const sc_model_param *p = sc_model_param_at(m, i);
        assert_int_equal(sc_safetensors_writer_add(w, p->name, p->dtype, p->rank, p->dim, p->data), SC_OK);
    }
    assert_int_equal(sc_safetensors_writer_finish(w), SC_OK);
    sc_safetensors_writer_free(w);
    sc_model_free(m);
}

/* Logits of twelve tokens; n of them. */
static float *logits_of(const char *path, int64_t *n)
{
    int32_t ids[12];
    for (int i = 0; i < 12; i++) ids[i] = (i * 37 + 5) % 96;
    sc_model *m = open_model(path);
    sc_named_tensor in = {.name = "input_ids", .dtype = SC_I32, .rank = 2, .dim = {1, 12}, .data = ids};
    sc_outputs *out;
    if (sc_model_forward(&out, m, &in, 1, false)) fail_msg("%s", sc_error());
    const sc_named_tensor *t = sc_outputs_at(out, 0);
    *n = elements(t);
    float *x = malloc(sizeof *x * (size_t)*n);
    memcpy(x, t->data, sizeof *x * (size_t)*n);
    sc_outputs_free(out);
    sc_model_free(m);
    return x;
}

/* Root of the mean squared difference over that of the values. */
static double drift(const float *x, const float *y, int64_t n)
{
    double d = 0, s = 0;
    for (int64_t i = 0; i < n; i++) {
        d += ((double)x[i] - y[i]) * ((double)x[i] - y[i]);
        s += (double)y[i] * y[i];
    }
    return sqrt(d / s);
}

static sc_dtype type_in(const sc_gguf *g, const char *name)
{
    const sc_file_tensor *t;
    assert_int_equal(sc_gguf_find(g, name, &t), SC_OK);
    return t->dtype;
}

/* Four layers of Gaussian weights: a type that stores w with a relative error e moves the logits by a few e. Random weights
 * are the worst case; the bounds are half as much again as was measured. */
static void quantised_models_drift_little(void **state)
{
    static const struct {
        const char *type;
        double bound, bits;
    } want[] = {{"f16", 8e-4, 16.1},   {"bf16", 7e-3, 16.1},  {"q8_0", 0.02, 8.6},   {"q6_k", 0.09, 6.7},
                {"q5_1", 0.16, 6.2},   {"q5_0", 0.14, 5.7},   {"q5_k_m", 0.14, 5.8}, {"q5_k_s", 0.15, 5.7},
                {"q4_1", 0.3, 5.2},    {"q4_0", 0.28, 4.7},   {"q4_k_m", 0.22, 5.0}, {"q4_k_s", 0.23, 4.8},
                {"iq4_nl", 0.23, 4.7}, {"iq4_xs", 0.22, 4.5}, {"mxfp4", 0.37, 4.5},  {"q3_k_l", 0.18, 4.5},
                {"q3_k_m", 0.25, 4.1}, {"q3_k_s", 0.6, 3.7},  {"q2_k", 0.62, 3.2}};
    char dir[1024], out[1024];
    int64_t n, m;
    (void)state;
    write_wide(in_folder(dir, "wide"), 256, 4);
    in_folder(out, "wide.gguf");
    float *original = logits_of(dir, &n);
    for (int i = 0; i < SC_COUNT(want); i++) {
        sc_convert_report r;
        convert(dir, out, &(sc_convert_options){.type = want[i].type}, &r);
        float *x = logits_of(out, &m);
        assert_int_equal(m, n);
        double d = drift(x, original, n), bits = 8 * (double)r.bytes_after / (double)r.parameters;
        printf("  %s: %.4f, %.2f bits a weight\n", want[i].type, d, bits);
        if (!(d <= want[i].bound)) fail_msg("%s: logits drift by %g", want[i].type, d);
        if (!(bits <= want[i].bits)) fail_msg("%s: %g bits a weight", want[i].type, bits);
        assert_int_equal(r.fallbacks, 0);
        free(x);
    }
    free(original);
}

static void mixtures_and_options_choose_types(void **state)
{
    char dir[1024], out[1024];
    sc_gguf *g;
    sc_convert_report r;
    int64_t value = -1;
    (void)state;
    write_wide(in_folder(dir, "deep"), 256, 8);
    in_folder(out, "deep.gguf");
    convert(dir, out, &(sc_convert_options){.type = "Q4_K"}, &r);
    assert_int_equal(sc_gguf_open(&g, out), SC_OK);
    static const sc_dtype values[] = {SC_Q6_K, SC_Q4_K, SC_Q4_K, SC_Q6_K, SC_Q4_K, SC_Q4_K, SC_Q6_K, SC_Q6_K};
    for (int i = 0; i < 8; i++) {
        char name[64];
        snprintf(name, sizeof name, "blk.%d.attn_v.weight", i);
        assert_int_equal(type_in(g, name), values[i]);
        snprintf(name, sizeof name, "blk.%d.attn_q.weight", i);
        assert_int_equal(type_in(g, name), SC_Q4_K);
        snprintf(name, sizeof name, "blk.%d.attn_norm.weight", i);
        assert_int_equal(type_in(g, name), SC_F32);
    }
    assert_int_equal(type_in(g, "output.weight"), SC_Q6_K);
    assert_int_equal(type_in(g, "token_embd.weight"), SC_Q6_K);
    assert_int_equal(sc_gguf_int(g, "general.file_type", 0, 100, &value), SC_OK);
    assert_int_equal(value, 15);
    assert_int_equal(sc_gguf_int(g, "general.quantization_version", 0, 100, &value), SC_OK);
    assert_int_equal(value, 2);
    sc_gguf_free(g);

    convert(dir, out, &(sc_convert_options){.type = "q4_k_m", .pure = true, .output_type = "f16"}, &r);
    assert_int_equal(sc_gguf_open(&g, out), SC_OK);
    assert_int_equal(type_in(g, "output.weight"), SC_F16);
    assert_int_equal(type_in(g, "token_embd.weight"), SC_Q4_K);
    assert_int_equal(type_in(g, "blk.0.attn_v.weight"), SC_Q4_K);
    sc_gguf_free(g);

    /* Rows of 96: no whole blocks of 256. */
    write_wide(in_folder(dir, "narrow"), 96, 1);
    static const struct {
        const char *type;
        sc_dtype matrix, output;
    } narrow[] = {{"q4_k_s", SC_Q5_0, SC_Q8_0},
                  {"q5_k_s", SC_Q5_1, SC_Q8_0},
                  {"q6_k", SC_Q8_0, SC_Q8_0},
                  {"q2_k", SC_IQ4_NL, SC_Q8_0},
                  {"q4_0", SC_Q4_0, SC_Q8_0}};
    for (int i = 0; i < SC_COUNT(narrow); i++) {
        convert(dir, out, &(sc_convert_options){.type = narrow[i].type}, &r);
        assert_int_equal(sc_gguf_open(&g, out), SC_OK);
        assert_int_equal(type_in(g, "blk.0.attn_q.weight"), narrow[i].matrix);
        assert_int_equal(type_in(g, "output.weight"), narrow[i].output);
        assert_int_equal(r.fallbacks, i == 4 ? 2 : 9);
        sc_gguf_free(g);
    }
    convert(OWN_MODELS "/llama", out, &(sc_convert_options){.type = "q8_0"}, &r); /* rows of 16 and 24 */
    assert_int_equal(sc_gguf_open(&g, out), SC_OK);
    assert_int_equal(type_in(g, "blk.0.ffn_down.weight"), SC_F16);
    sc_gguf_free(g);
}

/* Threads share the rows; the file does not depend on how many there are. */
static void threads_write_the_same_file(void **state)
{
    char dir[1024], a[1024], b[1024];
    sc_context *three;
    (void)state;
    write_wide(in_folder(dir, "shared"), 256, 1);
    convert(dir, in_folder(a, "two.gguf"), &(sc_convert_options){.type = "q4_k_m"}, NULL);
    assert_int_equal(sc_context_new(&three, &(sc_context_options){.threads = 3}), SC_OK);
    assert_int_equal(
        sc_convert(three, dir, in_folder(b, "three.gguf"), &(sc_convert_options){.type = "q4_k_m"}, NULL), SC_OK);
    sc_context_free(three);
    char *x, *y;
    int64_t n, m;
    assert_int_equal(sc_file_read(&x, &n, a, 1 << 26), SC_OK);
    assert_int_equal(sc_file_read(&y, &m, b, 1 << 26), SC_OK);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, n);
    sc_free(x);
    sc_free(y);
}

/* ---- failures ---- */

static void refuse(const char *in, const char *out, const sc_convert_options *o, sc_status status)
{
    sc_status s = sc_convert(ctx, in, out, o, NULL);
    if (s != status) fail_msg("%s -> %s: %s, not %s", in, out, sc_status_text(s), sc_status_text(status));
}

static int entries(const char *dir)
{
    DIR *d = opendir(dir);
    int n = 0;
    for (struct dirent *e; d && (e = readdir(d));) n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
    if (d) closedir(d);
    return n;
}

static void failures_leave_nothing(void **state)
{
    static const char llama[] = OWN_MODELS "/llama";
    char out[1024], dir[1024], other[1100];
    (void)state;
    in_folder(out, "empty/none.gguf");
    in_folder(dir, "empty");
    assert_int_equal(sc_mkdirs(dir), SC_OK);
    refuse(llama, out, &(sc_convert_options){.type = "q9_9"}, SC_EINVAL);
    refuse(llama, llama, NULL, SC_EINVAL);
    refuse("", out, NULL, SC_EINVAL);
    refuse("/nowhere/model.gguf", out, NULL, SC_ENOTFOUND);
    snprintf(other, sizeof other, "%s/dir", dir);
    refuse(llama, other, &(sc_convert_options){.type = "q8_0"}, SC_EINVAL);
    refuse(llama, other, &(sc_convert_options){.output_type = "f16"}, SC_EINVAL);
    refuse(llama, other, &(sc_convert_options){.name = "llama"}, SC_EINVAL);
    refuse(llama, out, &(sc_convert_options){.name = "ll\xff"}, SC_EINVAL);
    sc_context_cancel(ctx);
    refuse(llama, out, NULL, SC_ECANCELLED);
    refuse(llama, other, NULL, SC_ECANCELLED);
    sc_context_resume(ctx);
    assert_int_equal(entries(dir), 0);
}

/* All files of a directory that the reader of tokenizers takes go along. */
static void every_kind_of_tokenizer_is_copied(void **state)
{
    static const char *const kinds[] = {"tokenizer.model", "spiece.model", "tiktoken.model", "vocab.json",
                                        "vocab.txt"};
    char in[1024], out[1024], from[1100], to[1100], name[32], *data;
    int64_t n;
    (void)state;
    for (int i = 0; i < SC_COUNT(kinds); i++) {
        sc_convert_report r;
        snprintf(name, sizeof name, "copied-%d", i);
        in_folder(in, name);
        snprintf(name, sizeof name, "copied-%d/out", i);
        in_folder(out, name);
        assert_int_equal(sc_mkdirs(in), SC_OK);
        for (int k = 0; k < 2; k++) {
            const char *file = k ? "model.safetensors" : "config.json";
            snprintf(from, sizeof from, OWN_MODELS "/llama/%s", file);
            snprintf(to, sizeof to, "%s/%s", in, file);
            assert_int_equal(sc_file_read(&data, &n, from, 1 << 20), SC_OK);
            assert_int_equal(sc_file_write(to, data, n), SC_OK);
            sc_free(data);
        }
        snprintf(to, sizeof to, "%s/%s", in, kinds[i]);
        assert_int_equal(sc_file_write(to, "what it holds", 13), SC_OK);
        convert(in, out, NULL, &r);
        assert_true(r.tokenizer);
        snprintf(to, sizeof to, "%s/%s", out, kinds[i]);
        assert_int_equal(sc_file_read(&data, &n, to, 100), SC_OK);
        assert_string_equal(data, "what it holds");
        sc_free(data);
    }
}

/* Settings that GGUF has no key for must not be lost in silence. */
static void settings_that_gguf_lacks_are_refused(void **state)
{
    static const struct {
        const char *model, *key, *value;
    } cases[] = {{"llama", "hidden_act", "\"gelu\""},
                 {"gpt2", "activation_function", "\"relu\""},
                 {"gpt2", "scale_attn_weights", "false"},
                 {"gpt2", "scale_attn_by_inverse_layer_idx", "true"}};
    char dir[1024], out[1024], from[1024], weights[1100], config[1100];
    (void)state;
    in_folder(dir, "setting");
    in_folder(out, "setting.gguf");
    assert_int_equal(sc_mkdirs(dir), SC_OK);
    for (int i = 0; i < SC_COUNT(cases); i++) {
        json_t *o;
        snprintf(from, sizeof from, "%s/%s/config.json", OWN_MODELS, cases[i].model);
        assert_int_equal(sc_json_read(&o, from, 1 << 20), SC_OK);
        json_object_set_new(o, cases[i].key, json_loads(cases[i].value, JSON_DECODE_ANY, NULL));
        snprintf(config, sizeof config, "%s/config.json", dir);
        assert_int_equal(json_dump_file(o, config, 0), 0);
        json_decref(o);
        snprintf(from, sizeof from, "%s/%s/model.safetensors", OWN_MODELS, cases[i].model);
        snprintf(weights, sizeof weights, "%s/model.safetensors", dir);
        unlink(weights);
        assert_int_equal(symlink(from, weights), 0);
        refuse(dir, out, NULL, SC_EUNSUPPORTED);
    }
}

/* Qwen's windows begin at max_window_layers: GGUF can say all of them or none. */
static void windows_go_there_and_back(void **state)
{
    static const struct {
        int first;
        int64_t window;
        sc_status status;
    } cases[] = {{0, 6, SC_OK}, {1, 0, SC_EUNSUPPORTED}, {2, 0, SC_OK}};
    char dir[1024], out[1024], back[1024], config[1100], command[4096];
    (void)state;
    in_folder(dir, "window");
    in_folder(out, "window.gguf");
    in_folder(back, "window-back");
    snprintf(command, sizeof command, "cp -r '%s/qwen2' '%s'", OWN_MODELS, dir);
    assert_int_equal(system(command), 0);
    for (int i = 0; i < SC_COUNT(cases); i++) {
        json_t *o;
        snprintf(config, sizeof config, "%s/config.json", dir);
        assert_int_equal(sc_json_read(&o, config, 1 << 20), SC_OK);
        json_object_del(o, "layer_types");
        json_object_set_new(o, "use_sliding_window", json_true());
        json_object_set_new(o, "sliding_window", json_integer(6));
        json_object_set_new(o, "max_window_layers", json_integer(cases[i].first));
        assert_int_equal(json_dump_file(o, config, 0), 0);
        json_decref(o);
        assert_int_equal(sc_convert(ctx, dir, out, NULL, NULL), cases[i].status);
        if (cases[i].status) continue;
        convert(out, back, NULL, NULL);
        const char *const paths[] = {out, back};
        for (int k = 0; k < 2; k++) {
            sc_model *m = open_model(paths[k]);
            const sc_decoder *d = m->config;
            for (int64_t l = 0; l < d->layers; l++)
                assert_int_equal(d->sliding[l] ? d->window : 0, cases[i].window);
            sc_model_free(m);
        }
    }
}

static void values_beyond_a_type_are_refused(void **state)
{
    char dir[1024], out[1024], path[1100];
    (void)state;
    write_wide(in_folder(dir, "big"), 64, 1);
    in_folder(out, "big.gguf");
    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    static const struct {
        float value;
        const char *type;
        sc_status status;
    } cases[] = {{1e5f, "f16", SC_ELIMIT},
                 {1e5f, "bf16", SC_OK},
                 {NAN, "q8_0", SC_ELIMIT},
                 {INFINITY, "q4_0", SC_ELIMIT},
                 {NAN, "bf16", SC_OK}};
    for (int i = 0; i < SC_COUNT(cases); i++) {
        FILE *f = fopen(path, "r+b");
        fseek(f, -4, SEEK_END); /* of the last tensor in the file */
        fwrite(&cases[i].value, 4, 1, f);
        fclose(f);
        sc_status s = sc_convert(ctx, dir, out, &(sc_convert_options){.type = cases[i].type}, NULL);
        assert_int_equal(s, cases[i].status);
    }
}

/* ---- tokenizers ---- */

static void same_ids(const sc_tokenizer *t, const char *text, bool special, const json_t *want, const char *label)
{
    int32_t *ids;
    int64_t n;
    unsigned flags = SC_TOKENIZE_PARSE_SPECIAL | (special ? SC_TOKENIZE_SPECIAL : 0);
    if (sc_tokenizer_encode(t, text, (int64_t)strlen(text), flags, &ids, &n)) fail_msg("%s: %s", label, sc_error());
    bool same = n == (int64_t)json_array_size(want);
    for (int64_t i = 0; same && i < n; i++) same = ids[i] == json_integer_value(json_array_get(want, (size_t)i));
    if (!same) fail_msg("%s: other ids for '%s'", label, text);
    sc_free(ids);
}

/* WordPiece and Unigram go into GGUF as bert and t5, and give the same ids from there. */
static void pieces_to_gguf(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "Hello world", "the quick brown fox, and the dog", "한국어 문장입니다", "", "x", "été 123"};
    static const char *const names[] = {"wordpiece", "unigram"}, *const kinds[] = {"bert", "t5"};
    for (int k = 0; k < 2; k++) {
        char path[1100], dir[1024];
        json_t *root;
        sc_gguf_writer *w;
        sc_gguf *g;
        sc_tokenizer *t, *from;
        const char *kind = NULL;
        snprintf(path, sizeof path, SOCLE_SOURCE_DIR "/tests/data/tokenizers/%s.json", names[k]);
        assert_int_equal(sc_json_read(&root, path, 1 << 20), SC_OK);
        json_t *norm = json_object_get(root, "normalizer");
        if (k == 1) json_array_remove(json_object_get(norm, "normalizers"), 1); /* spaces are Metaspace's */
        snprintf(dir, sizeof dir, "%s/%s", folder, names[k]);
        assert_int_equal(sc_mkdirs(dir), SC_OK);
        snprintf(path, sizeof path, "%s/tokenizer.json", dir);
        assert_int_equal(json_dump_file(root, path, 0), 0);
        assert_int_equal(sc_tokenizer_load(&from, dir), SC_OK);
        snprintf(path, sizeof path, "%s/tokenizer.gguf", dir);
        assert_int_equal(sc_gguf_writer_new(&w, path), SC_OK);
        if (sc_gguf_writer_tokenizer(w, dir, sc_tokenizer_vocab_size(from) + 3))
            fail_msg("%s: %s", names[k], sc_error());
        assert_int_equal(sc_gguf_writer_finish(w), SC_OK);
        sc_gguf_writer_free(w);
        assert_int_equal(sc_gguf_open(&g, path), SC_OK);
        assert_int_equal(sc_gguf_str(g, "tokenizer.ggml.model", &kind), SC_OK);
        assert_string_equal(kind, kinds[k]);
        if (sc_tokenizer_from_gguf(&t, g)) fail_msg("%s: %s", names[k], sc_error());
        for (int i = 0; i < SC_COUNT(texts); i++) {
            int32_t *a, *b;
            int64_t n, m, len = (int64_t)strlen(texts[i]);
            assert_int_equal(sc_tokenizer_encode(from, texts[i], len, SC_TOKENIZE_SPECIAL, &a, &n), SC_OK);
            assert_int_equal(sc_tokenizer_encode(t, texts[i], len, SC_TOKENIZE_SPECIAL, &b, &m), SC_OK);
            if (n != m || memcmp(a, b, (size_t)n * sizeof *a) != 0)
                fail_msg("%s: other ids for %s", names[k], texts[i]);
            sc_free(a);
            sc_free(b);
        }
        sc_tokenizer_free(t);
        sc_tokenizer_free(from);
        sc_gguf_free(g);
        json_decref(root);
    }
}

/* A folder with nothing but a SentencePiece file or a list of words: into GGUF, and from there to tokenizer.json. */
static void bare_files_to_gguf(void **state)
{
    static const struct {
        const char *file, *as;
        int64_t vocab;
    } cases[] = {
        {"bpe.model", "tokenizer.model", 2000}, {"unigram.model", "spiece.model", 2000}, {NULL, "vocab.txt", 12}};
    static const char words[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nthe\ncat\n##s\r\nsleep\n##ing\n.\n";
    static const char *const texts[] = {"the cats sleeping .", "", "The  cat", "caf\xc3\xa9 1234",
                                        " \xea\xb0\x80 "};
    (void)state;
    for (int k = 0; k < SC_COUNT(cases); k++) {
        char dir[] = "/tmp/socle-bare-XXXXXX", path[300], gguf[300], command[1200], *text, *settings;
        sc_gguf_writer *w;
        sc_gguf *g;
        sc_tokenizer *t[3];
        assert_non_null(mkdtemp(dir));
        snprintf(path, sizeof path, "%s/%s", dir, cases[k].as);
        snprintf(gguf, sizeof gguf, "%s/tokenizer.gguf", dir);
        if (cases[k].file) {
            snprintf(command, sizeof command, "cp '" SOCLE_SOURCE_DIR "/tests/data/tokenizers/%s' '%s'",
                     cases[k].file, path);
            assert_int_equal(system(command), 0);
        } else {
            assert_int_equal(sc_file_write(path, words, (int64_t)strlen(words)), SC_OK);
        }
        assert_int_equal(sc_gguf_writer_new(&w, gguf), SC_OK);
        if (sc_gguf_writer_tokenizer(w, dir, cases[k].vocab)) fail_msg("%s: %s", cases[k].as, sc_error());
        assert_int_equal(sc_gguf_writer_finish(w), SC_OK);
        sc_gguf_writer_free(w);
        assert_int_equal(sc_gguf_open(&g, gguf), SC_OK);
        if (sc_tokenizer_load(&t[0], dir) || sc_tokenizer_from_gguf(&t[1], g) ||
            sc_gguf_tokenizer_json(&text, &settings, g) ||
            sc_tokenizer_from_json(&t[2], text, (int64_t)strlen(text), cases[k].as))
            fail_msg("%s: %s", cases[k].as, sc_error());
        for (int i = 0; i < SC_COUNT(texts); i++)
            for (int j = 1; j < 3; j++) {
                int32_t *a, *b;
                int64_t n, m, len = (int64_t)strlen(texts[i]);
                assert_int_equal(sc_tokenizer_encode(t[0], texts[i], len, SC_TOKENIZE_SPECIAL, &a, &n), SC_OK);
                assert_int_equal(sc_tokenizer_encode(t[j], texts[i], len, SC_TOKENIZE_SPECIAL, &b, &m), SC_OK);
                if (n != m || memcmp(a, b, (size_t)n * sizeof *a) != 0)
                    fail_msg("%s, form %d: other ids for '%s'", cases[k].as, j, texts[i]);
                sc_free(a);
                sc_free(b);
            }
        for (int j = 0; j < 3; j++) sc_tokenizer_free(t[j]);
        sc_free(text);
        sc_free(settings);
        sc_gguf_free(g);
        snprintf(command, sizeof command, "rm -r '%s'", dir);
        assert_int_equal(system(command), 0);
    }
}

static void check_tokenizer(const char *name)
{
    char dir[1024], path[1100], label[128];
    json_t *ids, *config;
    sc_gguf_writer *w;
    sc_gguf *g;
    sc_tokenizer *t, *again;
    const char *pre = NULL;
    int64_t value = -1;
    snprintf(dir, sizeof dir, SOCLE_SOURCE_DIR "/tests/data/gguf_tokenizers/%s", name);
    snprintf(path, sizeof path, "%s/ids.json", dir);
    assert_int_equal(sc_json_read(&ids, path, 1 << 20), SC_OK);
    snprintf(path, sizeof path, "%s/config.json", dir);
    assert_int_equal(sc_json_read(&config, path, 1 << 20), SC_OK);
    snprintf(path, sizeof path, "%s/tokenizer.gguf", folder);
    assert_int_equal(sc_gguf_writer_new(&w, path), SC_OK);
    if (sc_gguf_writer_tokenizer(w, dir, json_integer_value(json_object_get(config, "vocab_size"))))
        fail_msg("%s: %s", name, sc_error());
    assert_int_equal(sc_gguf_writer_finish(w), SC_OK);
    sc_gguf_writer_free(w);
    assert_int_equal(sc_gguf_open(&g, path), SC_OK);
    assert_int_equal(sc_gguf_str(g, "tokenizer.ggml.pre", &pre), SC_OK);
    assert_string_equal(pre, json_string_value(json_object_get(ids, "pre")));
    assert_int_equal(sc_gguf_key(g, "tokenizer.ggml.tokens")->count,
                     json_integer_value(json_object_get(config, "vocab_size")));
    assert_int_equal(sc_gguf_int(g, "tokenizer.ggml.eos_token_id", 0, 1 << 20, &value), SC_OK);
    assert_int_equal(value,
                     strcmp(name, "llama") ? json_integer_value(json_object_get(config, "eos_token_id")) : 2);
    assert_non_null(sc_gguf_key(g, "tokenizer.chat_template"));
    if (sc_tokenizer_from_gguf(&t, g)) fail_msg("%s: %s", name, sc_error());
    char *text, *settings;
    if (sc_gguf_tokenizer_json(&text, &settings, g)) fail_msg("%s: %s", name, sc_error());
    if (sc_tokenizer_from_json(&again, text, (int64_t)strlen(text), name)) fail_msg("%s: %s", name, sc_error());
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(ids, "texts"), i, item)
    {
        const char *s = json_string_value(json_object_get(item, "text"));
        for (int special = 0; special < 2; special++) {
            const json_t *want = json_object_get(item, special ? "ids" : "plain");
            snprintf(label, sizeof label, "%s from gguf", name);
            same_ids(t, s, special, want, label);
            snprintf(label, sizeof label, "%s from gguf's json", name);
            same_ids(again, s, special, want, label);
        }
    }
    sc_free(text);
    sc_free(settings);
    sc_tokenizer_free(t);
    sc_tokenizer_free(again);
    sc_gguf_free(g);
    json_decref(ids);
    json_decref(config);
}

static void tokenizers_go_there_and_back(void **state)
{
    static const char *const names[] = {"gpt2", "smollm", "qwen2", "llama3", "llama"};
    (void)state;
    for (int i = 0; i < SC_COUNT(names); i++) check_tokenizer(names[i]);
}

/* Real vocabularies: the ids of the file's tokenizer and of the tokenizer.json made from it, on the texts beside it. */
static void check_vocabulary(const char *path)
{
    char inputs[1200], *text, *json, *settings;
    int64_t n, len;
    sc_gguf *g;
    sc_tokenizer *a, *b;
    snprintf(inputs, sizeof inputs, "%s.inp", path);
    if (sc_gguf_open(&g, path)) fail_msg("%s", sc_error());
    sc_status s = sc_tokenizer_from_gguf(&a, g);
    const char *kind = NULL;
    assert_int_equal(sc_gguf_str(g, "tokenizer.ggml.model", &kind), SC_OK);
    if (!s && strcmp(kind, "rwkv") == 0) { /* read, but not written as JSON */
        assert_int_equal(sc_gguf_tokenizer_json(&json, &settings, g), SC_EUNSUPPORTED);
        sc_tokenizer_free(a);
        sc_gguf_free(g);
        return;
    }
    if (s || sc_gguf_tokenizer_json(&json, &settings, g) ||
        sc_tokenizer_from_json(&b, json, (int64_t)strlen(json), path) || sc_file_read(&text, &len, inputs, 1 << 20))
        fail_msg("%s: %s", path, sc_error());
    for (unsigned special = 0; special < 2; special++) {
        int32_t *x, *y;
        int64_t m;
        unsigned flags = SC_TOKENIZE_PARSE_SPECIAL | (special ? SC_TOKENIZE_SPECIAL : 0);
        assert_int_equal(sc_tokenizer_encode(a, text, len, flags, &x, &n), SC_OK);
        assert_int_equal(sc_tokenizer_encode(b, text, len, flags, &y, &m), SC_OK);
        if (n != m || memcmp(x, y, (size_t)n * sizeof *x)) fail_msg("%s: other ids", path);
        sc_free(x);
        sc_free(y);
    }
    sc_free(json);
    sc_free(settings);
    sc_free(text);
    sc_tokenizer_free(a);
    sc_tokenizer_free(b);
    sc_gguf_free(g);
}

static void real_vocabularies_become_json(void **state)
{
    char root[1024];
    const char *env = getenv("SOCLE_FIXTURES");
    (void)state;
    snprintf(root, sizeof root, "%.900s/../real/tokenizers/vocab-gguf",
             env ? env : SOCLE_SOURCE_DIR "/../shared/fixtures");
    DIR *d = opendir(root);
    if (!d) {
        printf("no vocabularies at %s\n", root);
        skip();
    }
    for (struct dirent *e; (e = readdir(d));) {
        char path[1100];
        if (!sc_path_has_suffix(e->d_name, ".gguf")) continue;
        snprintf(path, sizeof path, "%.900s/%.150s", root, e->d_name);
        printf("  %s\n", e->d_name);
        check_vocabulary(path);
    }
    closedir(d);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/socle-convert-XXXXXX");
    return !mkdtemp(folder) || sc_context_new(&ctx, &(sc_context_options){.threads = 2}) ? -1 : 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    sc_context_free(ctx);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_to_gguf),
        cmocka_unit_test(own_models_go_there_and_back),
        cmocka_unit_test(fixture_models_go_there_and_back),
        cmocka_unit_test(plain_types_convert_by_value),
        cmocka_unit_test(quantised_models_drift_little),
        cmocka_unit_test(mixtures_and_options_choose_types),
        cmocka_unit_test(threads_write_the_same_file),
        cmocka_unit_test(failures_leave_nothing),
        cmocka_unit_test(every_kind_of_tokenizer_is_copied),
        cmocka_unit_test(settings_that_gguf_lacks_are_refused),
        cmocka_unit_test(windows_go_there_and_back),
        cmocka_unit_test(values_beyond_a_type_are_refused),
        cmocka_unit_test(tokenizers_go_there_and_back),
        cmocka_unit_test(bare_files_to_gguf),
        cmocka_unit_test(real_vocabularies_become_json),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
