/* SPDX-License-Identifier: Apache-2.0 */
/* Preferences: losses and gradients beside torch's, the forms of data, what a reference says, and that held-out answers come to be
 * told apart, to the same bits however a run is cut. */
#include "models.h"
#include "train/preferences.h"
#include "train/train.h"

static char dir[64] = "/tmp/socle-preferences-XXXXXX";
static sc_context *ctx, *three;

static const char *in_dir(const char *name)
{
    static char path[8][200];
    static int at;
    char *p = path[at++ % 8];
    snprintf(p, 200, "%s/%s", dir, name);
    return p;
}

static const char *write_file(const char *name, const char *text)
{
    const char *path = in_dir(name);
    if (sc_file_write(path, text, (int64_t)strlen(text))) fail_msg("%s", sc_error());
    return path;
}

/* ---- losses ---- */

/* A loss of up to 4 inputs (n), and its gradients. */
typedef struct trial {
    sc_backend *backend;
    sc_graph *g;
    sc_tensor *in[4], *weight;
    int64_t n;
} trial;

static trial begin(int64_t n)
{
    trial t = {.n = n};
    const sc_shape shape = {1, {n}};
    static const char *const names[] = {"a", "b", "c", "d"};
    assert_int_equal(sc_backend_new(&t.backend, ctx), SC_OK);
    assert_int_equal(sc_graph_new(&t.g, NULL), SC_OK);
    for (int i = 0; i < 4; i++) t.in[i] = sc_graph_input(t.g, names[i], SC_F32, &shape);
    t.weight = sc_graph_input(t.g, "weight", SC_F32, &shape);
    return t;
}

/* The mean of losses (n) at these values, and what it changes by with the first two. */
static double end(trial *t, sc_tensor *losses, const float *const *value, float *const *grad)
{
    sc_tensor *out[3] = {sc_loss_total(t->g, sc_mul(t->g, losses, t->weight))};
    sc_plan *plan;
    sc_grad(t->g, out[0], t->in, 2, out + 1);
    if (t->g->status) fail_msg("%s", t->g->fault);
    int64_t outputs = 1 + (out[1] != NULL) + (out[2] != NULL);
    if (sc_plan_new(&plan, t->g, t->backend, out, (int)outputs)) fail_msg("%s", sc_error());
    for (int i = 0; i < 4; i++)
        if (value[i] && sc_plan_data(plan, t->in[i]))
            memcpy(sc_plan_data(plan, t->in[i]), value[i], sizeof(float) * (size_t)t->n);
    float *weight = sc_plan_data(plan, t->weight);
    for (int64_t i = 0; i < t->n; i++) weight[i] = 1 / (float)t->n;
    assert_int_equal(sc_plan_run(plan), SC_OK);
    double loss = *(float *)sc_plan_data(plan, out[0]);
    for (int i = 0; i < 2; i++)
        if (out[1 + i]) memcpy(grad[i], sc_plan_data(plan, out[1 + i]), sizeof(float) * (size_t)t->n);
    sc_plan_free(plan);
    sc_graph_free(t->g);
    t->backend->free(t->backend);
    return loss;
}

static void near(const char *name, double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance * fmax(1, fabs(want)))) fail_msg("%s is %.9g, not %.9g", name, got, want);
}

static void compare_grads(const sc_safetensors *st, const char *name, const char *const *inputs, float *const *grad,
                          int64_t n)
{
    char text[128];
    for (int i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "grad.%s.%s", name, inputs[i]);
        const sc_file_tensor *want = get(st, text);
        assert_non_null(want);
        for (int64_t k = 0; k < n; k++) near(text, grad[i][k], ((const float *)want->data)[k], 1e-5);
    }
}

static void as_torch(void **state)
{
    static const char *const sides[] = {"dpo.policy_chosen", "dpo.policy_rejected"}, *const rewards[] = {
                                                                                         "reward.chosen",
                                                                                         "reward.rejected"};
    static const struct {
        const char *name;
        sc_dpo_loss kind;
        double smoothing;
    } kinds[] = {{"dpo.sigmoid", SC_DPO_SIGMOID, 0},
                 {"dpo.hinge", SC_DPO_HINGE, 0},
                 {"dpo.ipo", SC_DPO_IPO, 0},
                 {"dpo.ipo_summed", SC_DPO_IPO_SUM, 0},
                 {"dpo.conservative", SC_DPO_SIGMOID, 0.1},
                 {"dpo.robust", SC_DPO_ROBUST, 0.1}};
    char root[1024], path[1100];
    sc_safetensors *st;
    json_t *all;
    (void)state;
    if (!find_fixtures(root)) skip();
    snprintf(path, sizeof path, "%s/losses/losses.safetensors", root);
    assert_int_equal(sc_safetensors_open(&st, path), SC_OK);
    snprintf(path, sizeof path, "%s/losses/losses.json", root);
    assert_int_equal(sc_json_read(&all, path, 1 << 20), SC_OK);
    const json_t *values = json_object_get(all, "values");
    double beta = json_number_value(json_object_get(values, "dpo.beta"));
    const float *policy[2] = {get(st, sides[0])->data, get(st, sides[1])->data},
                *reference[2] = {get(st, "dpo.ref_chosen")->data, get(st, "dpo.ref_rejected")->data};
    const sc_file_tensor *tokens[2] = {get(st, "dpo.chosen_tokens"), get(st, "dpo.rejected_tokens")};
    enum { N = 5 };
    float ratio[2][N], scale[2][N], g[2][N], *grad[] = {g[0], g[1]};
    for (int k = 0; k < SC_COUNT(kinds); k++) {
        for (int s = 0; s < 2; s++)
            for (int i = 0; i < N; i++) {
                double n = tokens[s]->dtype == SC_F32   ? (double)((const float *)tokens[s]->data)[i]
                           : tokens[s]->dtype == SC_I32 ? (double)((const int32_t *)tokens[s]->data)[i]
                                                        : (double)((const int64_t *)tokens[s]->data)[i];
                scale[s][i] = kinds[k].kind == SC_DPO_IPO ? 1 / (float)n : 1;
                ratio[s][i] = (policy[s][i] - reference[s][i]) * scale[s][i];
            }
        trial t = begin(N);
        sc_tensor *losses = sc_dpo_losses(t.g, kinds[k].kind, sc_minus(t.g, t.in[0], t.in[1]), (float)beta,
                                          (float)kinds[k].smoothing);
        double loss = end(&t, losses, (const float *const[]){ratio[0], ratio[1], NULL, NULL}, grad);
        near(kinds[k].name, loss, json_number_value(json_object_get(values, kinds[k].name)), 1e-5);
        for (int s = 0; s < 2; s++)
            for (int i = 0; i < N; i++) grad[s][i] *= scale[s][i];
        compare_grads(st, kinds[k].name, sides, grad, N);
    }
    const float *reward[] = {get(st, rewards[0])->data, get(st, rewards[1])->data, get(st, "reward.margin")->data,
                             NULL};
    for (int margin = 0; margin < 2; margin++) {
        const char *name = margin ? "reward.pairwise_margin" : "reward.pairwise";
        trial t = begin(N);
        sc_tensor *losses = sc_reward_losses(t.g, (sc_sides){t.in[0], t.in[1]}, margin ? t.in[2] : NULL, 0);
        near(name, end(&t, losses, reward, grad), json_number_value(json_object_get(values, name)), 1e-5);
        compare_grads(st, name, rewards, grad, N);
    }
    json_decref(all);
    sc_safetensors_free(st);
}

enum { ORPO, SIMPO, SIMPO_SMOOTHED, KTO, CENTERED, FORMULAS };

static double surprise(double x) { return log1p(exp(-x)); }
static double odds(double x) { return x - log(1 - exp(x)); }

/* Of one pair, as the papers have it. */
static double formula(int which, double a, double b, double c, double d)
{
    switch (which) {
    case ORPO: return surprise(odds(a) - odds(b));
    case SIMPO: return surprise(2.5 * (a - b) - 0.5);
    case SIMPO_SMOOTHED: {
        double x = 2.5 * (a - b) - 0.5;
        return 0.9 * surprise(x) + 0.1 * surprise(-x);
    }
    case KTO: return 1 - 1 / (1 + exp(-0.3 * d * (a - c)));
    default: return surprise(a - b) + 0.01 * (a + b) * (a + b);
    }
}

static sc_tensor *build(trial *t, int which)
{
    sc_sides x = {t->in[0], t->in[1]};
    switch (which) {
    case ORPO: return sc_orpo_losses(t->g, x);
    case SIMPO: return sc_simpo_losses(t->g, x, 2.5f, 0.5f, 0);
    case SIMPO_SMOOTHED: return sc_simpo_losses(t->g, x, 2.5f, 0.5f, 0.1f);
    case KTO: return sc_kto_losses(t->g, t->in[0], t->in[2], t->in[3], 0.3f);
    default: return sc_reward_losses(t->g, x, NULL, 0.01f);
    }
}

static void as_papers(void **state)
{
    enum { N = 7 };
    (void)state;
    for (int which = 0; which < FORMULAS; which++) {
        float v[4][N], g[2][N] = {{0}}, *grad[] = {g[0], g[1]};
        sc_rng r = sc_rng_make(3, (uint64_t)which);
        for (int i = 0; i < N; i++) {
            v[0][i] = (float)(-0.05 - 3 * sc_rng_uniform(&r));
            v[1][i] = (float)(-0.05 - 3 * sc_rng_uniform(&r));
            v[2][i] = 0.7f;
            v[3][i] = i % 2 ? 1 : -1;
        }
        trial t = begin(N);
        double loss = end(&t, build(&t, which), (const float *const[]){v[0], v[1], v[2], v[3]}, grad), want = 0;
        for (int i = 0; i < N; i++) {
            double a = v[0][i], b = v[1][i], c = v[2][i], d = v[3][i], h = 1e-5;
            want += formula(which, a, b, c, d) / N;
            near("d loss / da", grad[0][i],
                 (formula(which, a + h, b, c, d) - formula(which, a - h, b, c, d)) / (2 * h) / N, 2e-5);
            if (which == KTO) continue;
            near("d loss / db", grad[1][i],
                 (formula(which, a, b + h, c, d) - formula(which, a, b - h, c, d)) / (2 * h) / N, 2e-5);
        }
        near("loss", loss, want, 2e-6);
    }
}

/* ---- data ---- */

static const char *base; /* a small model of bytes that has seen a little text */

typedef struct opened {
    sc_train_options o;
    const char *data[1], *eval[1];
    sc_task t;
} opened;

static sc_status open_task(opened *x, const char *objective, const char *data)
{
    x->data[0] = data;
    x->o.model = x->o.tokenizer = base;
    x->o.from_weights = true;
    x->o.objective = objective;
    x->o.data = x->data;
    x->o.n_data = 1;
    x->o.out = in_dir("none");
    if (!x->o.batch) x->o.batch = 2;
    if (!x->o.length) x->o.length = 64;
    x->o.in_order = true;
    x->t = (sc_task){0};
    return sc_task_open(&x->t, ctx, &x->o, base, false, 1);
}

/* The objectives' own begins with it. */
static const sc_preference_set *set_of(const opened *x) { return x->t.self; }

static void check_text(const opened *x, const int32_t *ids, int64_t n, const char *want)
{
    char *text;
    int64_t len;
    assert_int_equal(sc_tokenizer_decode(x->t.tokenizer, ids, n, SC_DETOKENIZE_SKIP_SPECIAL, &text, &len), SC_OK);
    assert_string_equal(text, want);
    sc_free(text);
}

static void check_item(const opened *x, int64_t i, const char *prompt, const char *better, const char *worse)
{
    const sc_preferences *p = &set_of(x)->data[0];
    assert_true(i < p->count);
    const sc_preference *e = &p->item[i];
    check_text(x, p->ids + e->at, e->prompt, prompt);
    check_text(x, sc_preference_answer(p, e, 0), e->n[0], better);
    if (worse) check_text(x, sc_preference_answer(p, e, 1), e->n[1], worse);
}

static void reads_texts(void **state)
{
    opened x = {0};
    (void)state;
    if (open_task(&x, "dpo",
                  write_file("texts.jsonl", "{\"prompt\": \"ab\", \"chosen\": \"cd\", \"rejected\": \"dc\"}\n"
                                            "{\"chosen\": \"\\n\\nHuman: x\\n\\nAssistant: yes\", \"rejected\": "
                                            "\"\\n\\nHuman: x\\n\\nAssistant: yet\"}\n"
                                            "{\"chosen\": \"a b c\", \"rejected\": \"a b d\", \"margin\": 2}\n")))
        fail_msg("%s", sc_error());
    const sc_preferences *p = &set_of(&x)->data[0];
    assert_int_equal(p->count, 3);
    check_item(&x, 0, "ab", "cd", "dc");
    check_item(&x, 1, "\n\nHuman: x\n\nAssistant:", " yes", " yet");
    check_item(&x, 2, "a b", " c", " d");
    int32_t eos = sc_tokenizer_eos(x.t.tokenizer);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++)
            assert_int_equal(sc_preference_answer(p, &p->item[i], k)[p->item[i].n[k] - 1], eos);
    assert_true(p->item[2].value == 2);
    sc_task_close(&x.t);
}

#define TALK(text) "{\"role\": \"user\", \"content\": \"" text "\"}"
#define SAYS(text) "{\"role\": \"assistant\", \"content\": \"" text "\"}"

static void reads_messages(void **state)
{
    static const char asked[] = "### Question:\nhi\n\n### Answer:\n";
    opened x = {.o = {.chat_template = "plain"}};
    (void)state;
    if (open_task(
            &x, "dpo",
            write_file(
                "talks.jsonl",
                "{\"prompt\": [" TALK("hi") "], \"chosen\": [" SAYS("a") "], \"rejected\": [" SAYS(
                    "b") "]}\n"
                         "{\"chosen\": [" TALK("hi") ", " SAYS("a") "], \"rejected\": [" TALK("hi") ", " SAYS(
                             "b") "]}\n"
                                  "{\"prompt\": \"hi\", \"chosen\": [" TALK("hi") ", " SAYS(
                                      "a") "], \"rejected\": [" TALK("hi") ", " SAYS("b") "]}\n"
                                                                                          "{\"prompt\": [" TALK(
                                                                                              "hi") "], "
                                                                                                    "\"chosen\": "
                                                                                                    "\"a\", "
                                                                                                    "\"rejected\": "
                                                                                                    "\"b\"}\n")))
        fail_msg("%s", sc_error());
    assert_int_equal(set_of(&x)->data[0].count, 4);
    for (int i = 0; i < 4; i++) check_item(&x, i, asked, "a\n\n", "b\n\n");
    sc_task_close(&x.t);
    x.o.chat = true;
    if (open_task(&x, "dpo",
                  write_file("turns.jsonl", "{\"prompt\": \"hi\", \"chosen\": \"a\", \"rejected\": \"b\"}\n"
                                            "{\"prompt\": \"hi\", \"chosen\": \"c\", \"rejected\": \"b\"}\n")))
        fail_msg("%s", sc_error());
    check_item(&x, 0, asked, "a\n\n", "b\n\n");
    sc_task_close(&x.t);
}

static void reads_votes(void **state)
{
    opened x = {0};
    (void)state;
    if (open_task(&x, "kto",
                  write_file("votes.jsonl", "{\"prompt\": \"a\", \"completion\": \"b\", \"label\": true}\n"
                                            "{\"prompt\": \"a\", \"completion\": \"c\", \"label\": 0}\n"
                                            "{\"prompt\": \"p\", \"chosen\": \"x\", \"rejected\": \"y\"}\n")))
        fail_msg("%s", sc_error());
    const sc_preferences *p = &set_of(&x)->data[0];
    assert_int_equal(p->count, 4);
    check_item(&x, 0, "a", "b", NULL);
    check_item(&x, 2, "p", "x", NULL);
    check_item(&x, 3, "p", "y", NULL);
    for (int i = 0; i < 4; i++) assert_true(p->item[i].value == (i % 2 == 0) && p->item[i].n[1] == 0);
    sc_task_close(&x.t);
}

/* A prompt loses its beginning, an answer nothing. */
static void fits_the_length(void **state)
{
    opened x = {.o = {.length = 8}};
    (void)state;
    if (open_task(&x, "dpo",
                  write_file("long.jsonl", "{\"prompt\": \"abcdefgh\", \"chosen\": \"xyz\", \"rejected\": \"z\"}\n"
                                           "{\"prompt\": \"a\", \"chosen\": \"12345678\", \"rejected\": \"z\"}\n"
                                           "{\"prompt\": \"ab\", \"chosen\": \"x\", \"rejected\": \"z\"}\n")))
        fail_msg("%s", sc_error());
    const sc_preferences *p = &set_of(&x)->data[0];
    assert_int_equal(p->count, 2);
    assert_int_equal(p->too_long, 1);
    assert_int_equal(p->shortened, 1);
    check_item(&x, 0, "efgh", "xyz", "z");
    sc_task_close(&x.t);
}

static void refuses(void **state)
{
    static const struct {
        const char *objective, *text, *says;
    } bad[] = {
        {"dpo",
         "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n{\"prompt\": \"a\", \"chosen\": \"b\", "
         "\"rejected\": "
         "\"b\"}\n{\"prompt\": \"a\", \"chosen\": \"d\", \"rejected\": \"d\"}\n",
         "line 2: both sides are equal, as in 2 pairs of 3: there is nothing to prefer (--skip-equal"},
        {"reward", "{\"prompt\": \"a\", \"chosen\": \"b\"}\n",
         "\"rejected\" is neither a text nor a list of messages"},
        {"dpo", "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": [" SAYS("c") "]}\n", "as the other side is"},
        {"dpo", "{\"prompt\": \"a\", \"chosen\": 3, \"rejected\": 4}\n", "\"chosen\" is neither a text"},
        {"dpo", "{\"chosen\": [" TALK("a") "], \"rejected\": [" TALK("b") "]}\n", "no message before the answer"},
        {"dpo", "{\"prompt\": \"a\", \"chosen\": [" SAYS("b") "], \"rejected\": [" SAYS("c") "]}\n",
         "line 1 is a conversation, and the model has no chat template: --template"},
        {"reward", "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\", \"margin\": \"x\"}\n",
         "\"margin\" is no number"},
        {"kto", "{\"prompt\": \"a\", \"completion\": \"b\"}\n", "no \"label\" that is true or false"},
        {"kto", "{\"prompt\": \"a\", \"completion\": \"b\", \"label\": 2}\n", "no \"label\" that is true or false"},
        {"kto", "{\"completion\": \"b\", \"label\": true}\n", "there is no \"prompt\""},
        {"orpo", "\n", "has no preferences"},
        {"simpo", "{\"prompt\": \"a\"", "line 1"},
    };
    (void)state;
    for (int i = 0; i < SC_COUNT(bad); i++) {
        opened x = {0};
        sc_status s = open_task(&x, bad[i].objective, write_file("bad.jsonl", bad[i].text));
        if (!s || !strstr(sc_error(), bad[i].says))
            fail_msg("case %d: '%s' and not '%s'", i, s ? sc_error() : "accepted", bad[i].says);
        sc_task_close(&x.t);
    }
    opened adapted = {.o = {.peft = {.method = "lora"}}};
    assert_int_equal(open_task(&adapted, "reward", write_file("bad.jsonl", bad[0].text)), SC_EUNSUPPORTED);
    assert_non_null(strstr(sc_error(), "trained with all its weights"));
    sc_task_close(&adapted.t);
    opened x = {.o = {.prefer = {.skip_equal = true}}};
    if (open_task(&x, "dpo", write_file("bad.jsonl", bad[0].text))) fail_msg("%s", sc_error());
    assert_int_equal(set_of(&x)->data[0].count, 1);
    sc_task_close(&x.t);
    static const struct {
        sc_preference_options prefer;
        const char *objective, *says;
        int64_t batch;
        double smoothing;
    } wrong[] = {
        {{.loss = "what"}, "dpo", "no loss of preferences is called 'what'", 2, 0},
        {{.loss = "hinge"}, "dpo", "has no label smoothing", 2, 0.1},
        {{0}, "dpo", "as many pairs are taken to be wrong", 2, 0.5},
        {{0}, "kto", "a batch of one answer", 1, 0},
        {{.precompute = true}, "kto", "nothing can be computed first", 2, 0},
        {{.reference = "/nowhere/at/all"}, "dpo", "/nowhere/at/all", 2, 0},
    };
    for (int i = 0; i < SC_COUNT(wrong); i++) {
        opened y = {.o = {.prefer = wrong[i].prefer, .batch = wrong[i].batch, .smoothing = wrong[i].smoothing}};
        sc_status s =
            open_task(&y, wrong[i].objective,
                      write_file("few.jsonl", "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}\n"
                                              "{\"prompt\": \"a\", \"chosen\": \"d\", \"rejected\": \"e\"}\n"));
        if (!s || !strstr(sc_error(), wrong[i].says))
            fail_msg("option %d: '%s' and not '%s'", i, s ? sc_error() : "accepted", wrong[i].says);
        sc_task_close(&y.t);
    }
}

/* ---- what a reference says ---- */

static void same_alone_and_together(void **state)
{
    enum { S = 5 };
    int32_t ids[64], start[S + 1] = {0}, wanted[64], labels[64];
    float all[64], one[64], *logits;
    int64_t rows = 0;
    sc_reference *r;
    sc_rng g = sc_rng_make(5, 1);
    (void)state;
    if (sc_reference_open(&r, ctx, base, 0)) fail_msg("%s", sc_error());
    int64_t vocab = sc_reference_model(r)->info.vocab, at[S + 1] = {0};
    for (int q = 0; q < S; q++) {
        int32_t n = 3 + 2 * q;
        start[q + 1] = start[q] + n;
        for (int32_t i = start[q]; i < start[q + 1]; i++) ids[i] = (int32_t)(3 + sc_rng_below(&g, vocab - 3));
        for (int32_t i = start[q] + 1; i < start[q + 1]; i++, rows++) {
            wanted[rows] = i - 1;
            labels[rows] = q == 2 && i == start[q] + 1 ? -1 : ids[i];
        }
        at[q + 1] = rows;
    }
    const sc_text_batch b = {.tokens = start[S],
                             .sequences = S,
                             .ids = ids,
                             .start = start,
                             .rows = rows,
                             .wanted = wanted,
                             .labels = labels};
    assert_int_equal(sc_reference_log_probs(r, &b, all), SC_OK);
    assert_non_null(logits = malloc(sizeof *logits * (size_t)(rows * vocab)));
    assert_int_equal(sc_reference_logits(r, &b, logits), SC_OK);
    for (int q = 0; q < S; q++) {
        int32_t own[64], from[2] = {0, start[q + 1] - start[q]};
        int64_t n = at[q + 1] - at[q];
        for (int64_t i = 0; i < n; i++) own[i] = wanted[at[q] + i] - start[q];
        const sc_text_batch single = {.tokens = from[1],
                                      .sequences = 1,
                                      .ids = ids + start[q],
                                      .start = from,
                                      .rows = n,
                                      .wanted = own,
                                      .labels = labels + at[q]};
        assert_int_equal(sc_reference_log_probs(r, &single, one), SC_OK);
        assert_memory_equal(one, all + at[q], sizeof *one * (size_t)n);
    }
    for (int64_t i = 0; i < rows; i++) {
        const float *x = logits + i * vocab;
        double top = x[0], sum = 0;
        for (int64_t k = 1; k < vocab; k++) top = fmax(top, x[k]);
        for (int64_t k = 0; k < vocab; k++) sum += exp(x[k] - top);
        double want = labels[i] < 0 ? 0 : x[labels[i]] - top - log(sum);
        near("a log-probability", all[i], want, 1e-6);
    }
    free(logits);
    sc_reference_free(r);
    assert_int_not_equal(sc_reference_open(&r, ctx, base, vocab + 1), SC_OK);
    assert_non_null(strstr(sc_error(), "a reference must have the same"));
}

/* ---- learning ---- */

static void letters(char *to, sc_rng *r, int64_t from, int64_t n, int step)
{
    (void)r;
    for (int64_t k = 0; k < n; k++) to[k] = (char)('a' + (from + step * k + 64) % 8);
    to[n] = 0;
}

/* Answers that go on with the alphabet are liked, those that go back are not. */
static const char *write_pairs(const char *name, int n, uint64_t seed, bool votes)
{
    sc_str s = {0};
    sc_rng r = sc_rng_make(seed, 2);
    for (int i = 0; i < n; i++) {
        char prompt[16], up[16], down[16];
        int64_t at = sc_rng_below(&r, 8), m = 1 + sc_rng_below(&r, 4);
        letters(prompt, &r, at, m, 1);
        letters(up, &r, at + m, 2 + sc_rng_below(&r, 5), 1);
        letters(down, &r, at + m - 2, 2 + sc_rng_below(&r, 5), -1);
        if (votes)
            sc_str_printf(&s, "{\"prompt\": \"%s\", \"completion\": \"%s\", \"label\": %s}\n", prompt,
                          i % 2 ? up : down, i % 2 ? "true" : "false");
        else
            sc_str_printf(&s, "{\"prompt\": \"%s\", \"chosen\": \"%s\", \"rejected\": \"%s\"}\n", prompt, up, down);
    }
    const char *path = write_file(name, s.p);
    sc_str_free(&s);
    return path;
}

typedef struct plan {
    const char *objective, *out;
    int64_t steps, stop_at;
    bool resume, precompute;
    sc_context *ctx;
} plan;

static void stop(void *user, const sc_train_event *e)
{
    const plan *p = user;
    if (e->step == p->stop_at) sc_context_cancel(p->ctx);
}

static sc_status train(plan *p)
{
    bool votes = strcmp(p->objective, "kto") == 0;
    char data[200], eval[200];
    snprintf(data, sizeof data, "%s", write_pairs(votes ? "learn-votes.jsonl" : "learn.jsonl", 160, 1, votes));
    snprintf(eval, sizeof eval, "%s", write_pairs(votes ? "held-votes.jsonl" : "held.jsonl", 48, 2, votes));
    if (!p->ctx) p->ctx = ctx;
    const sc_train_options o = {.model = base,
                                .from_weights = true,
                                .objective = p->objective,
                                .data = (const char *const[]){data},
                                .n_data = 1,
                                .eval_data = (const char *const[]){eval},
                                .n_eval_data = 1,
                                .out = p->out,
                                .resume = p->resume,
                                .steps = p->steps,
                                .batch = 8,
                                .length = 32,
                                .lr = 3e-3,
                                .log_every = 1,
                                .prefer = {.precompute = p->precompute}};
    sc_context_resume(p->ctx);
    return sc_train(p->ctx, &o, stop, p);
}

/* A number of the last line of metrics.jsonl that has it. */
static double metric(const char *out, const char *name)
{
    char path[300], *text, *line, *rest;
    int64_t n;
    double value = NAN;
    snprintf(path, sizeof path, "%s/metrics.jsonl", out);
    if (sc_file_read(&text, &n, path, 1 << 24)) fail_msg("%s", sc_error());
    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        json_t *o;
        assert_int_equal(sc_json_parse(&o, line, (int64_t)strlen(line), "a line"), SC_OK);
        if (json_object_get(o, name)) value = json_number_value(json_object_get(o, name));
        json_decref(o);
    }
    sc_free(text);
    return value;
}

static void tells_held_out_answers_apart(void **state)
{
    static const char *const objectives[] = {"reward", "dpo", "kto", "orpo", "simpo"};
    (void)state;
    for (int i = 0; i < SC_COUNT(objectives); i++) {
        char out[200];
        snprintf(out, sizeof out, "%s", in_dir(objectives[i]));
        plan p = {.objective = objectives[i], .out = out, .steps = 60};
        if (train(&p)) fail_msg("%s: %s", objectives[i], sc_error());
        double right = metric(out, "eval_rewards/accuracies"), margin = metric(out, "eval_rewards/margins");
        printf("%s: accuracy %.3f, margin %.3f, loss %.4f\n", objectives[i], right, margin,
               metric(out, "eval_loss"));
        if (i != 2) assert_true(right >= 0.95);
        assert_true(margin > (i == 3 ? 0.02 : 0.2));
    }
}

static void check_same(const char *a, const char *b, const char *file)
{
    char path[2][300], *text[2];
    int64_t n[2];
    for (int i = 0; i < 2; i++) {
        snprintf(path[i], sizeof path[i], "%s/%s", i ? b : a, file);
        if (sc_file_read(&text[i], &n[i], path[i], 1 << 26)) fail_msg("%s", sc_error());
    }
    assert_int_equal(n[0], n[1]);
    assert_memory_equal(text[0], text[1], (size_t)n[0]);
    for (int i = 0; i < 2; i++) sc_free(text[i]);
}

/* Stopped and gone on with; on another number of threads; with what the reference says computed first. */
static void same_bits(void **state)
{
    static const char *const objectives[] = {"dpo", "kto"};
    (void)state;
    for (int i = 0; i < SC_COUNT(objectives); i++) {
        char whole[200], cut[200], first[200];
        snprintf(whole, sizeof whole, "%s-whole", in_dir(objectives[i]));
        snprintf(cut, sizeof cut, "%s-cut", in_dir(objectives[i]));
        snprintf(first, sizeof first, "%s-first", in_dir(objectives[i]));
        plan a = {.objective = objectives[i], .out = whole, .steps = 12},
             b = {.objective = objectives[i], .out = cut, .steps = 12, .stop_at = 5, .ctx = three},
             c = {.objective = objectives[i], .out = first, .steps = 12, .precompute = true};
        if (train(&a)) fail_msg("%s", sc_error());
        assert_int_equal(train(&b), SC_ECANCELLED);
        b.stop_at = 0;
        b.resume = true;
        if (train(&b)) fail_msg("%s", sc_error());
        check_same(whole, cut, "model.safetensors");
        if (i) continue;
        if (train(&c)) fail_msg("%s", sc_error());
        check_same(whole, first, "model.safetensors");
        snprintf(first, sizeof first, "%s-first/reference.safetensors", in_dir(objectives[i]));
        assert_true(sc_path_exists(first));
    }
}

static int set_up(void **state)
{
    static char path[200];
    (void)state;
    if (!mkdtemp(dir) || sc_context_new(&ctx, &(sc_context_options){.threads = 1}) ||
        sc_context_new(&three, &(sc_context_options){.threads = 3}))
        return -1;
    snprintf(path, sizeof path, "%s/base", dir);
    base = path;
    const char *config = write_file(
        "config.json", "{\"model_type\": \"llama\", \"architectures\": [\"LlamaForCausalLM\"], \"vocab_size\": 9, "
                       "\"hidden_size\": 32, "
                       "\"intermediate_size\": 64, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
                       "\"max_position_embeddings\": 64}");
    sc_str text = {0};
    for (int i = 0; i < 400; i++) sc_str_putc(&text, (char)('a' + (i / 20 % 2 ? i : -i + 4096) % 8));
    const sc_train_options o = {.model = config,
                                .alphabet = "bytes",
                                .data = (const char *const[]){write_file("text.txt", text.p)},
                                .n_data = 1,
                                .out = base,
                                .steps = 5,
                                .batch = 4,
                                .length = 16,
                                .lr = 3e-3};
    sc_str_free(&text);
    return sc_train(ctx, &o, NULL, NULL) ? -1 : 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    sc_context_free(ctx);
    sc_context_free(three);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_torch),
        cmocka_unit_test(as_papers),
        cmocka_unit_test(reads_texts),
        cmocka_unit_test(reads_messages),
        cmocka_unit_test(reads_votes),
        cmocka_unit_test(fits_the_length),
        cmocka_unit_test(refuses),
        cmocka_unit_test(same_alone_and_together),
        cmocka_unit_test(tells_held_out_answers_apart),
        cmocka_unit_test(same_bits),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
