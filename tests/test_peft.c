/* SPDX-License-Identifier: Apache-2.0 */
/* New adapters: for every causal family their gradients are what the merged model's weights have to say of them, training
 * with them learns, stops and goes on to the same bits over any base, and what does not fit is refused by name. */
#include "models.h"
#include "one_context.h"
#include "socle/convert.h"
#include "train/reference.h"
#include "train/train.h"

#define MODEL SOCLE_SOURCE_DIR "/tests/data/chat_model"

static char root[] = "/tmp/socle-peft-XXXXXX";

static const char *in_root(const char *name)
{
    static char path[8][256];
    static int turn;
    turn = (turn + 1) % 8;
    snprintf(path[turn], sizeof path[turn], "%s/%s", root, name);
    return path[turn];
}

/* ---- gradients ---- */

enum { TOKENS = 22, SEQUENCES = 2 };

typedef struct batch {
    sc_text_batch b;
    int32_t ids[TOKENS], labels[TOKENS], start[SEQUENCES + 1];
    float weight[TOKENS];
} batch;

static void fill(batch *x, int64_t vocab)
{
    for (int i = 0; i < TOKENS; i++) {
        x->ids[i] = (int32_t)((i * 37 + 5) % SC_MIN(vocab, 90));
        x->labels[i] = (int32_t)((i * 53 + 11) % SC_MIN(vocab, 90));
        x->weight[i] = 1.0F / TOKENS;
    }
    x->start[0] = 0;
    x->start[1] = 9;
    x->start[2] = TOKENS;
    x->b = (sc_text_batch){.tokens = TOKENS,
                           .sequences = SEQUENCES,
                           .ids = x->ids,
                           .start = x->start,
                           .rows = TOKENS,
                           .labels = x->labels,
                           .weight = x->weight,
                           .counted = TOKENS};
}

/* Every adapter's second matrix gets values, so that gradients reach the first. */
static void stir(sc_model *m)
{
    for (int64_t i = 0; i < m->adapters.n_learnt; i++) {
        sc_learnt *l = &m->adapters.learnt[i];
        float *x = l->value;
        sc_rng_normal_fill(7, (uint64_t)i, 0, x, l->rows * l->cols);
        for (int64_t k = 0; k < l->rows * l->cols; k++) x[k] *= 0.1F;
    }
}

static const float *gradient_of(const sc_learner *l, const char *name)
{
    int64_t n;
    const sc_trained *t = sc_learner_trained(l, &n);
    for (int64_t i = 0; i < n; i++)
        if (strcmp(t[i].name, name) == 0) return sc_learner_gradients(l)[i];
    return NULL;
}

/* The largest difference of a (rows, cols) gradient from what `at` says it should be, over its largest value. */
static double off(const float *got, int64_t rows, int64_t cols, double (*at)(const void *, int64_t, int64_t),
                  const void *from)
{
    double worst = 0, top = 1e-6;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++) {
            double want = at(from, r, c);
            worst = fmax(worst, fabs(got[r * cols + c] - want));
            top = fmax(top, fabs(want));
        }
    return worst / top;
}

typedef struct pair {
    const sc_lora *l;
    const float *dw; /* (N, C), or (C, N) */
    bool turned;
} pair;

static double dw_at(const pair *p, int64_t n, int64_t c)
{
    return p->dw[p->turned ? c * p->l->rows + n : n * p->l->cols + c];
}

/* dB = s dW A^T; dA = s B^T dW. */
static double db_at(const void *from, int64_t n, int64_t r)
{
    const pair *p = from;
    double sum = 0;
    for (int64_t c = 0; c < p->l->cols; c++)
        sum += dw_at(p, n, c) * (double)((const float *)p->l->a.data)[r * p->l->cols + c];
    return p->l->scale * sum;
}
static double da_at(const void *from, int64_t r, int64_t c)
{
    const pair *p = from;
    double sum = 0;
    for (int64_t n = 0; n < p->l->rows; n++)
        sum += dw_at(p, n, c) * (double)((const float *)p->l->b.data)[n * p->l->rank + r];
    return p->l->scale * sum;
}

static double compare(sc_model *m, const sc_learner *beside, const sc_learner *merged)
{
    double worst = 0;
    for (int64_t i = 0; i < m->adapters.count; i++) {
        const sc_adapter_part *part = &m->adapters.part[i];
        char name[600];
        snprintf(name, sizeof name, "%s.weight", part->name);
        pair p = {&part->lora, gradient_of(merged, name), part->use == SC_LORA_IN_OUT};
        assert_non_null(p.dw);
        snprintf(name, sizeof name, "%s.lora_A.weight", part->stem);
        worst = fmax(worst, off(gradient_of(beside, name), p.l->rank, p.l->cols, da_at, &p));
        snprintf(name, sizeof name, "%s.lora_B.weight", part->stem);
        worst = fmax(worst, off(gradient_of(beside, name), p.l->rows, p.l->rank, db_at, &p));
    }
    return worst;
}

static void check_family(const char *dir, const char *name)
{
    sc_model *m, *merged;
    sc_learner *beside, *whole;
    batch x;
    double loss, again;
    const sc_peft_options o = {.method = "lora", .rank = 3, .alpha = 5};
    const char *adapters[] = {in_root("family")};
    if (sc_model_open(&m, ctx, dir, NULL)) fail_msg("%s: %s", name, sc_error());
    fill(&x, m->info.vocab);
    if (sc_adapters_make(m, &o, 4, NULL, 0)) fail_msg("%s: %s", name, sc_error());
    stir(m);
    assert_int_equal(sc_mkdirs(adapters[0]), SC_OK);
    if (sc_adapters_write(&m->adapters, adapters[0])) fail_msg("%s: %s", name, sc_error());
    if (sc_learner_new(&beside, m, &sc_objective_causal, NULL) || sc_learner_add(beside, &x.b, 1, &loss))
        fail_msg("%s: %s", name, sc_error());
    const sc_convert_options how = {.type = "f32", .no_tokenizer = true, .adapters = adapters, .n_adapters = 1};
    if (sc_convert(ctx, dir, in_root("merged"), &how, NULL) ||
        sc_model_open(&merged, ctx, in_root("merged"), NULL) ||
        sc_learner_new(&whole, merged, &sc_objective_causal, NULL) || sc_learner_add(whole, &x.b, 1, &again))
        fail_msg("%s: %s", name, sc_error());
    double worst = compare(m, beside, whole);
    printf("%-16s %3lld matrices, loss off by %.0e, gradients by %.0e\n", name, (long long)m->adapters.count,
           fabs(loss - again) / again, worst);
    if (!(fabs(loss - again) <= 1e-5 * again)) fail_msg("%s: the loss is %.9g, merged %.9g", name, loss, again);
    if (!(worst <= 3e-4)) fail_msg("%s: gradients are off by %g", name, worst);
    sc_learner_free(beside);
    sc_learner_free(whole);
    sc_model_free(m);
    sc_model_free(merged);
}

static void gradients_of_every_family(void **state)
{
    (void)state;
    char dir[1300], fixtures[1024];
    for (int i = 0; i < SC_COUNT(own_cases); i++) {
        snprintf(dir, sizeof dir, OWN_MODELS "/%s", own_cases[i]);
        check_family(dir, own_cases[i]);
    }
    if (!find_fixtures(fixtures)) skip();
    for (int i = 0; i < SC_COUNT(fixture_cases); i++) {
        snprintf(dir, sizeof dir, "%s/%s", fixtures, fixture_cases[i]);
        if (sc_path_is_dir(dir)) check_family(dir, fixture_cases[i]);
    }
}

/* ---- bases of other types ---- */

static const char wide[] = "{\"model_type\":\"llama\",\"hidden_size\":256,\"intermediate_size\":768,"
                           "\"num_hidden_layers\":1,\"num_attention_heads\":4,\"num_key_value_heads\":2,"
                           "\"vocab_size\":8704,\"tie_word_embeddings\":true}";

static sc_model *synthetic(const char *config, sc_dtype type)
{
    sc_model *m;
    const sc_model_options o = {.weights = SC_WEIGHTS_SYNTHETIC, .type = type};
    if (sc_model_open(&m, ctx, config, &o)) fail_msg("%s", sc_error());
    return m;
}

/* A base is multiplied as what its values stand for: loss and gradients are those of the same values as f32. */
static void quantised_bases(void **state)
{
    (void)state;
    static const sc_dtype types[] = {SC_BF16, SC_F16,  SC_Q8_0, SC_Q4_0, SC_Q5_1,
                                     SC_Q2_K, SC_Q3_K, SC_Q4_K, SC_Q5_K, SC_Q6_K};
    const char *config = in_root("wide.json");
    const sc_peft_options o = {.method = "lora"};
    assert_int_equal(sc_file_write(config, wide, sizeof wide - 1), SC_OK);
    for (int i = 0; i < SC_COUNT(types); i++) {
        sc_model *m[2] = {synthetic(config, types[i]), synthetic(config, SC_F32)};
        sc_learner *l[2];
        batch x;
        double loss[2], worst = 0;
        for (int64_t k = 0; k < m[0]->n_params; k++) {
            const sc_model_param *p = &m[0]->param[k];
            int64_t n = p->rank > 1 ? p->dim[0] * p->dim[1] : p->dim[0];
            float *to = (float *)(uintptr_t)m[1]->param[k].data;
            if (p->dtype == SC_F32) continue;
            sc_rng_normal_fill(5, (uint64_t)k, 0, to, n);
            for (int64_t e = 0; e < n; e++) to[e] *= 0.05F;
            assert_int_equal(sc_quantize(p->dtype, to, (void *)(uintptr_t)p->data, n), SC_OK);
            assert_int_equal(sc_dequantize(p->dtype, p->data, to, n), SC_OK);
        }
        for (int k = 0; k < 2; k++) {
            fill(&x, m[k]->info.vocab);
            if (sc_adapters_make(m[k], &o, 1, NULL, 0)) fail_msg("%s", sc_error());
            stir(m[k]);
            if (sc_learner_new(&l[k], m[k], &sc_objective_causal, NULL)) fail_msg("%s", sc_error());
            if (sc_learner_add(l[k], &x.b, 1, &loss[k])) fail_msg("%s", sc_error());
        }
        int64_t n;
        const sc_trained *t = sc_learner_trained(l[0], &n);
        for (int64_t k = 0; k < n; k++) {
            const float *a = sc_learner_gradients(l[0])[k], *b = sc_learner_gradients(l[1])[k];
            double top = 1e-12, most = 0;
            for (int64_t e = 0; e < t[k].rows * t[k].cols; e++) {
                top = fmax(top, fabs((double)b[e]));
                most = fmax(most, fabs((double)a[e] - b[e]));
            }
            worst = fmax(worst, most / top);
        }
        printf("%-5s loss off by %.0e, gradients by %.0e\n", sc_dtype_get(types[i])->name,
               fabs(loss[0] - loss[1]) / loss[1], worst);
        assert_true(fabs(loss[0] - loss[1]) <= 1e-6 * loss[1]);
        assert_true(worst <= 1e-4);
        for (int k = 0; k < 2; k++) {
            sc_learner_free(l[k]);
            sc_model_free(m[k]);
        }
    }
}

/* The model without what is trained beside it gives what it gave before, and with it, as long as that is new, too. */
static void the_base_stays(void **state)
{
    (void)state;
    sc_model *m;
    sc_reference *before, *base, *with;
    batch x;
    float was[TOKENS], is[TOKENS];
    const sc_peft_options o = {.method = "lora"};
    assert_int_equal(sc_model_open(&m, ctx, MODEL, NULL), SC_OK);
    fill(&x, m->info.vocab);
    assert_int_equal(sc_reference_new(&before, m), SC_OK);
    assert_int_equal(sc_reference_log_probs(before, &x.b, was), SC_OK);
    if (sc_adapters_make(m, &o, 4, NULL, 0)) fail_msg("%s", sc_error());
    assert_int_equal(sc_reference_new(&with, m), SC_OK);
    assert_int_equal(sc_reference_log_probs(with, &x.b, is), SC_OK);
    for (int i = 0; i < TOKENS; i++) assert_true(is[i] == was[i]);
    stir(m);
    assert_int_equal(sc_reference_log_probs(with, &x.b, is), SC_OK);
    assert_true(memcmp(was, is, sizeof was) != 0);
    assert_int_equal(sc_reference_base(&base, m), SC_OK);
    assert_int_equal(sc_reference_log_probs(base, &x.b, is), SC_OK);
    assert_memory_equal(was, is, sizeof was);
    sc_reference_free(before);
    sc_reference_free(with);
    sc_reference_free(base);
    sc_model_free(m);
}

/* ---- runs ---- */

static const char *data[1];

static const char *write_text(void)
{
    sc_str s = {0};
    for (int i = 0; i < 200; i++) sc_str_printf(&s, "one two three %d, one two three.\n", i % 3);
    const char *path = in_root("data.txt");
    assert_int_equal(sc_file_write(path, s.p, s.len), SC_OK);
    sc_str_free(&s);
    return path;
}

static sc_train_options options(const char *model, const char *out)
{
    return (sc_train_options){.model = model,
                              .from_weights = true,
                              .data = data,
                              .n_data = 1,
                              .out = out,
                              .peft = {.method = "lora", .rank = 4},
                              .steps = 14,
                              .batch = 3,
                              .length = 24,
                              .accumulate = 2,
                              .lr = 1e-2,
                              .save_every = 4,
                              .log_every = 1,
                              .seed = 3};
}

typedef struct seen {
    double first, last;
    int64_t steps, stop_at;
} seen;

static void report(void *user, const sc_train_event *e)
{
    seen *x = user;
    if (!x->steps++) x->first = e->loss;
    x->last = e->loss;
    if (e->step == x->stop_at) sc_context_cancel(ctx);
}

static void same_file(const char *a, const char *b)
{
    char *x, *y;
    int64_t n, m;
    assert_int_equal(sc_file_read(&x, &n, a, 1 << 24), SC_OK);
    assert_int_equal(sc_file_read(&y, &m, b, 1 << 24), SC_OK);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, (size_t)n);
    sc_free(x);
    sc_free(y);
}

/* Over a folder's weights and over a GGUF file; stopped after step 6 and gone on with, with other threads. */
static void runs(void **state)
{
    (void)state;
    char gguf[256], whole[256], parts[256];
    snprintf(gguf, sizeof gguf, "%s", in_root("base.gguf"));
    if (sc_convert(ctx, MODEL, gguf, NULL, NULL)) fail_msg("%s", sc_error());
    const char *const bases[] = {MODEL, gguf};
    double losses[2];
    for (int i = 0; i < SC_COUNT(bases); i++) {
        seen x = {0}, y = {.stop_at = 6};
        sc_context *other;
        snprintf(whole, sizeof whole, "%s/whole-%d", root, i);
        snprintf(parts, sizeof parts, "%s/parts-%d", root, i);
        sc_train_options o = options(bases[i], whole);
        if (sc_train(ctx, &o, report, &x)) fail_msg("%s", sc_error());
        assert_true(x.last < 0.7 * x.first);
        losses[i] = x.last;
        o.out = parts;
        assert_int_equal(sc_train(ctx, &o, report, &y), SC_ECANCELLED);
        sc_context_resume(ctx);
        o = (sc_train_options){.out = parts, .model = bases[i], .data = data, .n_data = 1, .resume = true};
        o.from_weights = true;
        assert_int_equal(sc_context_new(&other, &(sc_context_options){.threads = 3}), SC_OK);
        if (sc_train(other, &o, NULL, NULL)) fail_msg("%s", sc_error());
        sc_context_free(other);
        char a[300], b[300];
        static const char *const files[] = {"adapter_model.safetensors", "checkpoint-14/optimizer.safetensors"};
        for (int k = 0; k < SC_COUNT(files); k++) {
            snprintf(a, sizeof a, "%s/%s", whole, files[k]);
            snprintf(b, sizeof b, "%s/%s", parts, files[k]);
            same_file(a, b);
        }
        /* What it leaves is an adapter like any other. */
        sc_model *m;
        const char *adapters[] = {whole};
        if (sc_model_open(&m, ctx, bases[i], &(sc_model_options){.adapters = adapters, .n_adapters = 1}))
            fail_msg("%s", sc_error());
        sc_model_free(m);
        /* And by itself it is the model that it is for, with it. */
        if (sc_model_open(&m, ctx, whole, NULL)) fail_msg("%s", sc_error());
        assert_true(m->adapters.count > 0);
        sc_model_free(m);
        sc_tokenizer *tokenizer;
        if (sc_tokenizer_load(&tokenizer, whole)) fail_msg("%s", sc_error());
        sc_tokenizer_free(tokenizer);
    }
    assert_true(fabs(losses[0] - losses[1]) < 1e-4);
}

/* What a model says of a batch, with whatever it has. */
static void log_probs(sc_model *m, bool base, float out[TOKENS])
{
    sc_reference *r;
    batch x;
    fill(&x, m->info.vocab);
    if (base ? sc_reference_base(&r, m) : sc_reference_new(&r, m)) fail_msg("%s", sc_error());
    if (sc_reference_log_probs(r, &x.b, out)) fail_msg("%s", sc_error());
    sc_reference_free(r);
}

/* Made, changed, written and opened again, it says the same; read into another one it is the same; the base says what it said. */
static void round_trip(const char *path, const sc_peft_options *o, const char *name)
{
    sc_model *m, *again;
    float was[TOKENS], with[TOKENS], got[TOKENS];
    const char *dir = in_root("trip"), *adapters[] = {dir};
    bool tokens = strcmp(o->method, "prompt") == 0 || strcmp(o->method, "prefix") == 0;
    if (sc_model_open(&m, ctx, path, NULL)) fail_msg("%s", sc_error());
    log_probs(m, false, was);
    if (sc_adapters_make(m, o, 4, NULL, 0)) fail_msg("%s: %s", name, sc_error());
    stir(m);
    log_probs(m, false, with);
    assert_true(memcmp(was, with, sizeof was) != 0);
    log_probs(m, true, got);
    assert_memory_equal(was, got, sizeof was);
    assert_int_equal(sc_mkdirs(dir), SC_OK);
    if (sc_adapters_write(&m->adapters, dir)) fail_msg("%s: %s", name, sc_error());
    sc_model_options how = {.adapters = adapters, .n_adapters = 1};
    if (sc_model_open(&again, ctx, path, &how)) fail_msg("%s: %s", name, sc_error());
    if (!tokens) { /* which a batch's maker would have to put there */
        log_probs(again, false, got);
        for (int i = 0; i < TOKENS; i++)
            if (!(fabs(got[i] - with[i]) < 2e-4)) fail_msg("%s: %g, opened again %g", name, with[i], got[i]);
    }
    sc_model_free(again);
    if (sc_model_open(&again, ctx, path, NULL) || sc_adapters_make(again, o, 9, NULL, 0) ||
        sc_adapters_read(&again->adapters, dir))
        fail_msg("%s: %s", name, sc_error());
    for (int64_t i = 0; i < m->adapters.n_learnt; i++) {
        const sc_learnt *a = &m->adapters.learnt[i], *b = &again->adapters.learnt[i];
        for (int64_t k = 0; k < a->rows * a->cols; k++)
            assert_true(fabs((double)a->value[k] - b->value[k]) <= (a->add != 0 ? 1e-6 : 0));
    }
    sc_model_free(again);
    sc_model_free(m);
}

/* Stopped after three of six steps, and gone on with to the same bits. */
static void stop_and_go(const char *path, const sc_peft_options *o, const char *name, int number)
{
    char whole[256], parts[256], a[300], b[300];
    seen y = {.stop_at = 3};
    snprintf(whole, sizeof whole, "%s/w%d", root, number);
    snprintf(parts, sizeof parts, "%s/p%d", root, number);
    sc_train_options x = options(path, whole);
    x.peft = *o;
    x.steps = 6;
    if (sc_train(ctx, &x, NULL, NULL)) fail_msg("%s: %s", name, sc_error());
    x.out = parts;
    assert_int_equal(sc_train(ctx, &x, report, &y), SC_ECANCELLED);
    sc_context_resume(ctx);
    x.resume = true;
    if (sc_train(ctx, &x, NULL, NULL)) fail_msg("%s: %s", name, sc_error());
    snprintf(a, sizeof a, "%s/adapter_model.safetensors", whole);
    snprintf(b, sizeof b, "%s/adapter_model.safetensors", parts);
    same_file(a, b);
}

static void every_method(void **state)
{
    (void)state;
    static const sc_peft_options methods[] = {
        {.method = "lora", .dora = true, .dropout = 0.1, .rank = 3},
        {.method = "lora", .targets = "q_proj,embed_tokens", .rslora = true, .save = "norm"},
        {.method = "ia3"},
        {.method = "bottleneck", .width = 5},
        {.method = "bottleneck", .after_ffn = true},
        {.method = "prompt", .tokens = 4},
        {.method = "prefix", .tokens = 3},
        {.method = "layers", .targets = "layers.0.self_attn,model.norm"},
    };
    char gguf[256], biases[300];
    snprintf(gguf, sizeof gguf, "%s", in_root("base.gguf"));
    if (!sc_path_exists(gguf) && sc_convert(ctx, MODEL, gguf, NULL, NULL)) fail_msg("%s", sc_error());
    for (int i = 0; i < SC_COUNT(methods); i++) {
        char name[64];
        snprintf(name, sizeof name, "method %d, %s", i, methods[i].method);
        round_trip(MODEL, &methods[i], name);
        /* GGUF keeps the rows of queries and keys in another order. */
        round_trip(gguf, &methods[i], name);
        stop_and_go(i % 2 ? gguf : MODEL, &methods[i], name, i);
    }
    snprintf(biases, sizeof biases, OWN_MODELS "/llama_bias");
    round_trip(biases, &(sc_peft_options){.method = "bitfit"}, "bitfit");
}

static void refuses(void **state)
{
    (void)state;
    static const struct {
        sc_peft_options o;
        const char *says;
    } bad[] = {
        {{.method = "lore"}, "'lore'"},
        {{.method = "lora", .targets = "q_prj"}, "no layer of"},
        {{.method = "lora", .targets = "re:(q_proj"}, "targets: regular expression"},
        {{.method = "lora", .rank = -1}, "a rank of -1"},
        {{.method = "lora", .dropout = 1}, "a dropout of 1"},
        {{.method = "layers"}, "which layers"},
        {{.method = "layers", .targets = "layers.77"}, "no parameter to train that is within 'layers.77'"},
        {{.method = "bitfit"}, "no parameter to train that is a bias"},
    };
    for (int i = 0; i < SC_COUNT(bad); i++) {
        sc_train_options o = options(MODEL, in_root("never"));
        o.peft = bad[i].o;
        assert_int_not_equal(sc_train(ctx, &o, NULL, NULL), SC_OK);
        if (!strstr(sc_error(), bad[i].says)) fail_msg("'%s' does not say '%s'", sc_error(), bad[i].says);
    }
    sc_train_options o = options(MODEL, in_root("never"));
    o.from_weights = false;
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "--model"));
    assert_false(sc_path_exists(in_root("never")));
}

static int set_up(void **state)
{
    if (!mkdtemp(root) || two_threads(state)) return -1;
    data[0] = strdup(write_text());
    return 0;
}

static int tear_down(void **state)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    free((void *)(uintptr_t)data[0]);
    no_context(state);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gradients_of_every_family),
                                       cmocka_unit_test(quantised_bases),
                                       cmocka_unit_test(the_base_stays),
                                       cmocka_unit_test(runs),
                                       cmocka_unit_test(every_method),
                                       cmocka_unit_test(refuses)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
