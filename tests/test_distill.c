/* SPDX-License-Identifier: Apache-2.0 */
/* Learning from a teacher: the published numbers of the loss, a student that is its teacher, one that becomes it, teachers with
 * more tokens or others, and a run that is interrupted. */
#include "cpu/cpu.h"
#include "models.h"
#include "socle/tune.h"
#include "train/train.h"

#define MODEL SOCLE_SOURCE_DIR "/tests/data/chat_model"

static char dir[64] = "/tmp/socle-distill-XXXXXX";
static sc_context *ctx;

/* A copy that lives as long as the tests do. */
static const char *held(const char *text)
{
    static char *copies[64];
    static int n;
    assert_true(n < SC_COUNT(copies));
    return copies[n++] = strdup(text);
}

static const char *in_dir(const char *name)
{
    static char path[16][256];
    static int turn;
    turn = (turn + 1) % 16;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

/* ---- the loss ---- */

static const float *values_of(const sc_safetensors *st, const char *name)
{
    const sc_file_tensor *t;
    if (sc_safetensors_find(st, name, &t)) fail_msg("%s", sc_error());
    return t->data;
}

static void as_the_fixtures(void **state)
{
    (void)state;
    enum { R = 6, V = 17 };
    char root[1024], path[1100];
    sc_safetensors *st;
    sc_graph *g;
    sc_backend *backend;
    sc_plan *p;
    if (!find_fixtures(root)) skip();
    snprintf(path, sizeof path, "%s/losses/losses.safetensors", root);
    assert_int_equal(sc_safetensors_open(&st, path), SC_OK);
    assert_int_equal(sc_cpu_backend_new(&backend, ctx, ~0u), SC_OK);
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
    sc_shape table = {2, {R, V}}, rows = {1, {R}};
    sc_tensor *x = sc_graph_input(g, "x", SC_F32, &table), *t = sc_graph_input(g, "t", SC_F32, &table),
              *weight = sc_graph_input(g, "weight", SC_F32, &rows),
              *labels = sc_graph_input(g, "labels", SC_I32, &rows), *grad, *mixed_grad;
    sc_tensor *kl = sc_divergence(g, x, t, weight, &(sc_divergence_attr){SC_DIVERGENCE_FORWARD, 2, 0}),
              *ce = sc_cross_entropy(g, x, labels, weight);
    kl = sc_affine(g, sc_sum_leading(g, sc_reshape(g, kl, 2, (int64_t[]){-1, 1}), 1), 4, 0);
    ce = sc_sum_leading(g, sc_reshape(g, ce, 2, (int64_t[]){-1, 1}), 1);
    sc_tensor *mixed = sc_affine(g, sc_add(g, kl, ce), 0.5f, 0);
    sc_grad(g, kl, &x, 1, &grad);
    sc_grad(g, mixed, &x, 1, &mixed_grad);
    sc_tensor *outputs[] = {kl, mixed, grad, mixed_grad};
    if (sc_plan_new(&p, g, backend, outputs, 4)) fail_msg("%s", sc_error());
    memcpy(sc_plan_data(p, x), values_of(st, "distill.student_logits"), sizeof(float) * R * V);
    memcpy(sc_plan_data(p, t), values_of(st, "distill.teacher_logits"), sizeof(float) * R * V);
    memcpy(sc_plan_data(p, labels), values_of(st, "distill.labels"), sizeof(int32_t) * R);
    for (int i = 0; i < R; i++) ((float *)sc_plan_data(p, weight))[i] = 1.f / R;
    assert_int_equal(sc_plan_run(p), SC_OK);
    assert_true(fabsf(*(float *)sc_plan_data(p, kl) - 2.456637144f) < 1e-5f);
    assert_true(fabsf(*(float *)sc_plan_data(p, mixed) - 3.527449608f) < 1e-5f);
    const float *want[] = {values_of(st, "grad.distill.kl.distill.student_logits"),
                           values_of(st, "grad.distill.mixed_half.distill.student_logits")};
    for (int k = 0; k < 2; k++) {
        const float *got = sc_plan_data(p, k ? mixed_grad : grad);
        for (int i = 0; i < R * V; i++) assert_true(fabsf(got[i] - want[k][i]) < 1e-5f);
    }
    sc_plan_free(p);
    sc_graph_free(g);
    backend->free(backend);
    sc_safetensors_free(st);
}

/* ---- models ---- */

static const char *files[1];

static const char *data(void)
{
    static const char *const words[] = {"one", "two", "three", "four", "five", "six"};
    sc_str s = {0};
    for (int i = 0; i < 36; i++)
        sc_str_printf(&s, "{\"question\": \"%s %s\", \"answer\": \"%s %s\"}\n", words[i / 6], words[i % 6],
                      words[i % 6], words[i / 6]);
    const char *path = in_dir("data.jsonl");
    assert_int_equal(sc_file_write(path, s.p, s.len), SC_OK);
    sc_str_free(&s);
    return path;
}

static sc_train_options options(const char *objective, const char *out)
{
    files[0] = held(data());
    return (sc_train_options){.model = MODEL,
                              .tokenizer = MODEL,
                              .from_weights = true,
                              .objective = objective,
                              .data = files,
                              .n_data = 1,
                              .batch = 6,
                              .length = 64,
                              .steps = 40,
                              .lr = 0.01,
                              .save_every = 20,
                              .log_every = 1,
                              .out = out,
                              .distill = {.teacher = MODEL}};
}

/* The numbers of a line of metrics.jsonl, the first or the last. */
static json_t *line_of(const char *run, bool last)
{
    char *text;
    int64_t n;
    json_t *o;
    char name[64];
    snprintf(name, sizeof name, "%s/metrics.jsonl", run);
    assert_int_equal(sc_file_read(&text, &n, in_dir(name), 1 << 20), SC_OK);
    char *from = text, *end = strchr(text, '\n');
    if (last) {
        text[n - 1] = 0;
        from = strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text;
        end = text + n - 1;
    }
    assert_int_equal(sc_json_parse(&o, from, end - from, name), SC_OK);
    sc_free(text);
    return o;
}

static double number_of(const char *run, bool last, const char *name)
{
    json_t *o = line_of(run, last);
    double x = json_number_value(json_object_get(o, name));
    assert_non_null(json_object_get(o, name));
    json_decref(o);
    return x;
}

/* From a student that is its teacher nothing is apart; one that is not comes near to it under every divergence. */
static void a_student_becomes_its_teacher(void **state)
{
    (void)state;
    static const char *const kinds[] = {"forward", "reverse", "symmetric", "js"};
    sc_train_options o = options("sft", held(in_dir("teacher")));
    if (sc_train(ctx, &o, NULL, NULL)) fail_msg("%s", sc_error());
    for (int i = 0; i < SC_COUNT(kinds); i++) {
        o = options("distill", held(in_dir(kinds[i])));
        o.distill = (sc_distill_options){
            .teacher = in_dir("teacher"), .divergence = kinds[i], .share = 1, .temperature = 1.5};
        o.steps = 60;
        if (sc_train(ctx, &o, NULL, NULL)) fail_msg("%s", sc_error());
        double first = number_of(kinds[i], false, "divergence"), last = number_of(kinds[i], true, "divergence");
        if (!(last < 0.2 * first)) fail_msg("%s: from %g to %g", kinds[i], first, last);
        /* With all of it the teacher's, the loss is the divergence, times T squared. */
        assert_true(fabs(number_of(kinds[i], false, "loss") - 2.25 * first) < 1e-4);
    }
    o = options("distill", held(in_dir("same")));
    o.steps = 1;
    if (sc_train(ctx, &o, NULL, NULL)) fail_msg("%s", sc_error());
    assert_true(fabs(number_of("same", false, "divergence")) < 1e-6);
    assert_true(fabs(number_of("same", false, "loss") - 0.5 * number_of("same", false, "cross_entropy")) < 1e-5);
}

static void stop_at(void *user, const sc_train_event *e)
{
    if (e->step == *(const int64_t *)user) sc_context_cancel(ctx);
}

static void a_run_goes_on(void **state)
{
    (void)state;
    int64_t stop = 13, n, k;
    char *a, *b;
    const char *out[] = {held(in_dir("whole")), held(in_dir("parts"))};
    for (int i = 0; i < 2; i++) {
        sc_train_options o = options("distill", out[i]);
        o.distill.teacher = in_dir("teacher");
        o.distill.divergence = "js";
        o.distill.beta = 0.3;
        sc_status s = sc_train(ctx, &o, i ? stop_at : NULL, &stop);
        assert_int_equal(s, i ? SC_ECANCELLED : SC_OK);
    }
    sc_context_resume(ctx);
    sc_train_options o = {.out = out[1], .resume = true};
    if (sc_train(ctx, &o, NULL, NULL)) fail_msg("%s", sc_error());
    assert_int_equal(sc_file_read(&a, &n, in_dir("whole/model.safetensors"), 1 << 24), SC_OK);
    assert_int_equal(sc_file_read(&b, &k, in_dir("parts/model.safetensors"), 1 << 24), SC_OK);
    assert_int_equal(n, k);
    assert_memory_equal(a, b, (size_t)n);
    sc_free(a);
    sc_free(b);
}

/* The student's own answers teach it too, and a run that was stopped samples the same ones. */
static void own_answers_are_learned_from(void **state)
{
    (void)state;
    int64_t stop = 17, n, k;
    char *a, *b;
    const char *out[] = {held(in_dir("own")), held(in_dir("own-parts"))};
    for (int i = 0; i < 2; i++) {
        sc_train_options o = options("distill", out[i]);
        o.distill = (sc_distill_options){
            .teacher = in_dir("teacher"), .divergence = "js", .share = 1, .on_policy = 0.5, .max_tokens = 8};
        o.steps = 60;
        sc_status s = sc_tune_distill(ctx, &o, i ? stop_at : NULL, &stop);
        if (s != (i ? SC_ECANCELLED : SC_OK)) fail_msg("%s", sc_error());
    }
    sc_context_resume(ctx);
    sc_train_options o = {.out = out[1], .resume = true};
    if (sc_tune_distill(ctx, &o, NULL, NULL)) fail_msg("%s", sc_error());
    assert_int_equal(sc_file_read(&a, &n, in_dir("own/model.safetensors"), 1 << 24), SC_OK);
    assert_int_equal(sc_file_read(&b, &k, in_dir("own-parts/model.safetensors"), 1 << 24), SC_OK);
    assert_int_equal(n, k);
    assert_memory_equal(a, b, (size_t)n);
    sc_free(a);
    sc_free(b);
    double first = number_of("own", false, "divergence"), last = number_of("own", true, "divergence");
    if (!(last < 0.5 * first)) fail_msg("from %g to %g", first, last);
    /* By itself the objective knows no other answers than the data's. */
    o = options("distill", held(in_dir("refused-own")));
    o.distill.on_policy = 0.5;
    assert_int_equal(sc_train(ctx, &o, NULL, NULL), SC_EINVAL);
}

static void what_cannot_teach_is_refused(void **state)
{
    (void)state;
    static const struct {
        sc_distill_options how;
        const char *says;
    } cases[] = {
        {{.teacher = NULL}, "needs a teacher"},
        {{.teacher = MODEL, .divergence = "sideways"}, "no divergence is called"},
        {{.teacher = MODEL, .beta = 1.5}, "mixture is 1.5"},
        {{.teacher = MODEL, .share = 2}, "share is 2"},
        {{.teacher = MODEL, .temperature = -1}, "temperature is -1"},
        {{.teacher = "/nowhere"}, "/nowhere"},
        {{.teacher = SOCLE_SOURCE_DIR "/tests/data/models/llama"}, "llama"},
    };
    for (int i = 0; i < SC_COUNT(cases); i++) {
        sc_train_options o = options("distill", held(in_dir("refused")));
        o.distill = cases[i].how;
        assert_int_not_equal(sc_train(ctx, &o, NULL, NULL), SC_OK);
        if (!strstr(sc_error(), cases[i].says)) fail_msg("%d: %s", i, sc_error());
    }
}

/* ---- texts ---- */

static void contents(const char *path, char **text, int64_t *n)
{
    if (sc_file_read(text, n, path, 1 << 24)) fail_msg("%s", sc_error());
}

/* A teacher's answers are data; what stopped in the middle goes on to the same file; other questions are not mixed in. */
static void texts_are_asked_for(void **state)
{
    (void)state;
    sc_asker *a;
    sc_tune_texts_counts n;
    int64_t size, other;
    const char *asked =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"one two\"}, {\"role\": \"assistant\", "
        "\"content\": \"x\"}, {\"role\": \"user\", \"content\": \"three\"}, {\"role\": \"assistant\", "
        "\"content\": \"y\"}]}\n{\"prompt\": \"one two\", \"completion\": \"z\"}\n{\"text\": \"nothing\"}\n"
        "{\"question\": \"two\", \"answer\": \"q\"}\n";
    const char *questions[] = {held(in_dir("asked.jsonl"))}, *out = held(in_dir("answers.jsonl"));
    assert_int_equal(sc_file_write(questions[0], asked, (int64_t)strlen(asked)), SC_OK);
    if (sc_asker_open(&a, ctx, in_dir("teacher"), NULL)) fail_msg("%s", sc_error());
    sc_tune_texts_options o = {.data = questions,
                               .n_data = 1,
                               .out = out,
                               .max_new_tokens = 12,
                               .temperature = 0.7,
                               .samples = 2,
                               .seed = 4};
    if (sc_tune_texts(ctx, a, &o, &n)) fail_msg("%s", sc_error());
    assert_int_equal(n.answers, 6);
    assert_int_equal(n.left_out, 1);
    assert_int_equal(n.kept, 0);
    char *whole, *again;
    contents(out, &whole, &size);
    json_t *line;
    assert_int_equal(sc_json_parse(&line, whole, strchr(whole, '\n') - whole, "line"), SC_OK);
    const json_t *messages = json_object_get(line, "messages");
    assert_int_equal(json_array_size(messages), 4);
    assert_string_equal(json_string_value(json_object_get(json_array_get(messages, 1), "content")), "x");
    assert_string_equal(json_string_value(json_object_get(json_array_get(messages, 3), "role")), "assistant");
    assert_int_equal(json_integer_value(json_object_get(line, "line")), 1);
    json_decref(line);
    assert_non_null(strstr(whole, "\"prompt\":\"one two\",\"completion\":"));
    /* Killed while it wrote the fourth. */
    char *cut = whole;
    for (int i = 0; i < 3; i++) cut = strchr(cut, '\n') + 1;
    assert_int_equal(sc_file_write(out, whole, cut - whole + 9), SC_OK);
    if (sc_tune_texts(ctx, a, &o, &n)) fail_msg("%s", sc_error());
    assert_int_equal(n.kept, 2);
    assert_int_equal(n.answers, 4);
    contents(out, &again, &other);
    assert_int_equal(size, other);
    assert_memory_equal(whole, again, (size_t)size);
    if (sc_tune_texts(ctx, a, &o, &n)) fail_msg("%s", sc_error());
    assert_int_equal(n.answers, 0);
    /* Learned from, as data. */
    sc_train_options t = options("sft", held(in_dir("taught")));
    t.data = &out;
    t.steps = 2;
    if (sc_train(ctx, &t, NULL, NULL)) fail_msg("%s", sc_error());
    const char *others[] = {held(in_dir("others.jsonl"))};
    assert_int_equal(sc_file_write(others[0], asked, (int64_t)strlen(asked)), SC_OK);
    o.data = others;
    assert_int_equal(sc_tune_texts(ctx, a, &o, &n), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "is no answer of this teacher to this data"));
    sc_free(whole);
    sc_free(again);
    sc_asker_free(a);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(dir)) return -1;
    return sc_context_new(&ctx, &(sc_context_options){.threads = 2});
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    sc_context_free(ctx);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_fixtures),
        cmocka_unit_test(a_student_becomes_its_teacher),
        cmocka_unit_test(a_run_goes_on),
        cmocka_unit_test(own_answers_are_learned_from),
        cmocka_unit_test(what_cannot_teach_is_refused),
        cmocka_unit_test(texts_are_asked_for),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
