/* SPDX-License-Identifier: Apache-2.0 */
/* Ladders: sizes of families, plans within a budget, and a small one that is gone up, stopped and gone on with. */
#include "scale/ladder.h"

#include "models.h"
#include <stdarg.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <fcntl.h>

static char dir[64] = "/tmp/socle-ladder-XXXXXX";
static sc_context *ctx;

static char *in_dir(const char *name)
{
    static char text[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(text[turn], sizeof text[turn], "%s/%s", dir, name);
    return text[turn];
}

static void write_text(const char *name, const char *text)
{
    if (sc_file_write(in_dir(name), text, (int64_t)strlen(text))) fail_msg("%s", sc_error());
}

static void near_share(double got, double want, double share)
{
    if (!(fabs(got - want) <= share * fabs(want))) fail_msg("%.10g and should be %.10g", got, want);
}

/* ---- sizes ---- */

/* Smaller and larger ones of a family's example open, and have fewer and more parameters; the same size is the same. */
static bool check_sizes(const char *path)
{
    static const double factor[] = {0.4, 1, 3};
    sc_model *m;
    sc_model_info info;
    const sc_model_options make = {.weights = SC_WEIGHTS_FRESH, .config_only = true};
    sc_sizing z = {.path = path, .changes = json_object(), .length = 16};
    char file[1200];
    sc_size size[3];
    snprintf(file, sizeof file, "%.1000s/config.json", path);
    if (sc_json_read((json_t **)(uintptr_t)&z.config, file, 1 << 20)) fail_msg("%s", sc_error());
    if (sc_model_open(&m, ctx, path, &make)) fail_msg("%s", sc_error());
    sc_model_describe(m, &info);
    for (int i = 0; i < 3; i++)
        if (sc_size_of(&size[i], ctx, &z, factor[i])) fail_msg("%s at %g: %s", path, factor[i], sc_error());
    if (size[1].parameters != info.active || size[1].layers != info.layers || size[1].width != info.width)
        fail_msg("%s: %lld parameters as it is, %lld grown by 1", path, (long long)info.active,
                 (long long)size[1].parameters);
    if (size[0].parameters >= size[1].parameters || size[2].parameters <= size[1].parameters ||
        size[0].operations >= size[1].operations || size[2].operations <= size[1].operations)
        fail_msg("%s: %lld, %lld and %lld parameters", path, (long long)size[0].parameters,
                 (long long)size[1].parameters, (long long)size[2].parameters);
    sc_model_free(m);
    json_decref((json_t *)(uintptr_t)z.config);
    json_decref(z.changes);
    return true;
}

static void families_have_sizes(void **state)
{
    (void)state;
    char root[1024], path[1200];
    /* A list of factors for each half of a head's width holds for that width alone. */
    for (int i = 0; i < SC_COUNT(own_cases); i++)
        if (strcmp(own_cases[i], "llama_longrope") != 0) {
            snprintf(path, sizeof path, "%s/%s", OWN_MODELS, own_cases[i]);
            check_sizes(path);
        }
    if (!find_fixtures(root)) return;
    for (int i = 0; i < SC_COUNT(fixture_cases); i++)
        if (strcmp(fixture_cases[i], "phi3_longrope") != 0) {
            snprintf(path, sizeof path, "%.1000s/%s", root, fixture_cases[i]);
            if (sc_path_is_dir(path)) check_sizes(path);
        }
}

static const char config[] = "{\"model_type\": \"llama\", \"hidden_size\": 64, \"num_hidden_layers\": 4, "
                             "\"num_attention_heads\": 8, \"num_key_value_heads\": 4, \"intermediate_size\": 160, "
                             "\"vocab_size\": 300, \"max_position_embeddings\": 64, \"tie_word_embeddings\": true}";

static sc_ladder_options options(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%s/config.json", dir);
    return (sc_ladder_options){.config = path, .train = {.alphabet = "bytes", .length = 32, .batch = 4}};
}

static void plans_keep_the_budget(void **state)
{
    (void)state;
    sc_ladder_options o = options();
    sc_ladder *l;
    int64_t n;
    for (double budget = 2e11; budget < 1e14; budget *= 7) {
        o.budget = budget;
        if (sc_ladder_plan(&l, ctx, &o)) fail_msg("%s", sc_error());
        const sc_rung *r = sc_ladder_rungs(l, &n);
        assert_int_equal(n, 13);
        assert_true(sc_ladder_compute(l) <= budget && sc_ladder_compute(l) > 0.8 * budget);
        for (int64_t i = 0; i < n; i++) {
            assert_int_equal(r[i].held_out, i == n - 1);
            assert_int_equal(r[i].level, i == n - 1 ? 0 : i / 4 + 1);
            assert_int_equal(r[i].tokens, r[i].steps * 4 * 32);
            near_share(r[i].compute, (double)r[i].tokens * r[i].operations, 1e-12);
            if (i % 4) assert_true(r[i].parameters > r[i - 1].parameters || i == n - 1);
            if (i % 4) near_share(r[i].compute, r[i - 1].compute, i == n - 1 ? 10 : 0.1);
            assert_true(r[i].lr > 0 && (r[i].width > 64) == (r[i].lr < 1e-3));
        }
        near_share(r[n - 1].compute / r[n - 2].compute, 3, 0.1);
        double ratio = (double)r[n - 1].tokens / (double)r[n - 1].parameters; /* sizes go in steps */
        assert_true(ratio > 20 / 1.6 && ratio < 20 * 1.6);
        sc_ladder_free(l);
    }
}

static void budgets_are_limits(void **state)
{
    (void)state;
    sc_ladder_options o = options();
    sc_ladder *l = NULL;
    const double size[] = {20e3, 60e3}, tokens[] = {1e5, 2e5};
    o.budget = 1e7;
    assert_int_equal(sc_ladder_plan(&l, ctx, &o), SC_ELIMIT);
    assert_non_null(strstr(sc_error(), "too small a budget: 10 steps of a model of"));
    o.size = size;
    o.tokens = tokens;
    o.n_size = o.n_tokens = 2;
    assert_int_equal(sc_ladder_plan(&l, ctx, &o), SC_ELIMIT);
    assert_non_null(strstr(sc_error(), "the ladder's 4 runs take 1"));
    assert_non_null(strstr(sc_error(), "the budget is 10M"));
    assert_null(strchr(sc_error(), '\n'));
    o.budget = 0;
    o.n_tokens = 0;
    assert_int_equal(sc_ladder_plan(&l, ctx, &o), SC_EINVAL);
    o.n_size = 0;
    assert_int_equal(sc_ladder_plan(&l, ctx, &o), SC_EINVAL);
    o.budget = 1e12;
    o.step = 0.5;
    assert_int_equal(sc_ladder_plan(&l, ctx, &o), SC_EINVAL);
    o.step = 0;
    write_text("odd.json", "{\"model_type\": \"llama\", \"wide\": 3}");
    o.config = in_dir("odd.json");
    assert_int_equal(sc_ladder_plan(&l, ctx, &o), SC_EUNSUPPORTED);
    assert_null(l);
}

/* ---- going up ---- */

static const double run_sizes[] = {4e3, 16e3}, run_tokens[] = {2e3, 4e3, 8e3};

static void make(const char *name)
{
    sc_ladder_options o = options();
    const char *data[] = {in_dir("data.txt")}, *eval[] = {in_dir("eval.txt")};
    sc_ladder *l;
    int64_t tokens = 0, n;
    o.size = run_sizes;
    o.n_size = SC_COUNT(run_sizes);
    o.tokens = run_tokens;
    o.n_tokens = SC_COUNT(run_tokens);
    o.train.length = 16;
    o.train.save_every = 5;
    o.train.data = data;
    o.train.n_data = 1;
    o.train.eval_data = eval;
    o.train.n_eval_data = 1;
    if (sc_ladder_plan(&l, ctx, &o)) fail_msg("%s", sc_error());
    if (sc_ladder_write(l, ctx, in_dir(name), &tokens)) fail_msg("%s", sc_error());
    assert_true(tokens > 8000 && tokens < 20000);
    assert_true(sc_ladder_rungs(l, &n)[5].held_out && n == 6);
    assert_int_equal(sc_ladder_write(l, ctx, in_dir(name), &tokens), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "there is a ladder already"));
    sc_ladder_free(l);
}

/* Stops the context's work after so many events. */
typedef struct stopper {
    sc_context *ctx;
    int events, stop;
} stopper;

static void count(void *user, const sc_rung *r, int64_t at, int64_t n, const sc_train_event *e)
{
    stopper *s = user;
    assert_true(r && at < n && e->steps == r->steps);
    if (++s->events == s->stop) sc_context_cancel(s->ctx);
}

static void same_file(const char *a, const char *b)
{
    char *x, *y;
    int64_t n, m;
    assert_int_equal(sc_file_read(&x, &n, a, 1 << 20), SC_OK);
    assert_int_equal(sc_file_read(&y, &m, b, 1 << 20), SC_OK);
    if (n != m || memcmp(x, y, (size_t)n) != 0) fail_msg("%s and %s differ:\n%s\n%s", a, b, x, y);
    sc_free(x);
    sc_free(y);
}

static void stopped_anywhere_it_goes_on(void **state)
{
    (void)state;
    int64_t elsewhere = -1;
    make("whole");
    stopper s = {ctx, 0, 0};
    if (sc_ladder_run(ctx, in_dir("whole"), 0, count, &s, &elsewhere)) fail_msg("%s", sc_error());
    assert_int_equal(elsewhere, 0);
    int all = s.events, starts = 0;
    make("stopped");
    for (sc_status e = SC_ECANCELLED; e == SC_ECANCELLED; starts++) {
        sc_context *own;
        assert_int_equal(sc_context_new(&own, &(sc_context_options){.threads = 1}), SC_OK);
        stopper t = {own, 0, all / 4};
        e = sc_ladder_run(own, in_dir("stopped"), 0, count, &t, NULL);
        if (e && e != SC_ECANCELLED) fail_msg("%s", sc_error());
        sc_context_free(own);
    }
    assert_true(starts >= 4);
    same_file(in_dir("whole/points.jsonl"), in_dir("stopped/points.jsonl"));
    /* Nothing is done twice. */
    stopper again = {ctx, 0, 0};
    assert_int_equal(sc_ladder_run(ctx, in_dir("whole"), 0, count, &again, NULL), SC_OK);
    assert_int_equal(again.events, 0);
}

static void others_are_left_alone(void **state)
{
    (void)state;
    sc_ladder *l;
    int64_t n, elsewhere;
    char path[700];
    make("shared");
    assert_int_equal(sc_ladder_open(&l, in_dir("shared")), SC_OK);
    snprintf(path, sizeof path, "%s/%s", in_dir("shared"), sc_ladder_rungs(l, &n)[1].name);
    sc_ladder_free(l);
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    if (sc_ladder_run(ctx, in_dir("shared"), 0, NULL, NULL, &elsewhere)) fail_msg("%s", sc_error());
    assert_int_equal(elsewhere, 1);
    close(fd);
    if (sc_ladder_run(ctx, in_dir("shared"), 0, NULL, NULL, &elsewhere)) fail_msg("%s", sc_error());
    assert_int_equal(elsewhere, 0);
    same_file(in_dir("whole/points.jsonl"), in_dir("shared/points.jsonl"));
}

static void it_is_reported(void **state)
{
    (void)state;
    sc_scale_points *p;
    const char *path[] = {in_dir("whole")};
    char *text, *page;
    int64_t n;
    const double budget[] = {1e12}, ask[] = {1e5, 1e6};
    write_text("tasks.jsonl", "{\"kind\": \"a<b\", \"prompt\": \"the\", \"answer\": \" cat\"}\n"
                              "{\"kind\": \"a<b\", \"prompt\": \"one\", \"answer\": \" two\"}\n"
                              "{\"kind\": \"sum\", \"prompt\": \"2 + 3 =\", \"answer\": \" 5\"}\n");
    if (sc_ladder_tasks(ctx, in_dir("whole"), in_dir("tasks.jsonl"), 0, 0)) fail_msg("%s", sc_error());
    assert_int_equal(sc_ladder_tasks(ctx, in_dir("whole"), "no such kind", 3, 0), SC_EINVAL);
    assert_int_equal(sc_scale_points_read(&p, path, 1), SC_OK);
    assert_int_equal(p->n, 6);
    const sc_scale_report o = {.title = "A & B",
                               .law = {.bootstrap = 20},
                               .budget = budget,
                               .n_budgets = 1,
                               .ask = ask,
                               .n_asked = 1,
                               .command = "socle scale fit <x>"};
    if (sc_scale_report_make(&text, ctx, p, in_dir("whole"), &o, in_dir("report.html"))) fail_msg("%s", sc_error());
    json_t *all = json_loads(text, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(all, "predictions")), 2);
    assert_int_equal(json_array_size(json_object_get(all, "optima")), 1);
    assert_int_equal(json_array_size(json_object_get(all, "laws")), SC_LAW_FORMS);
    const json_t *held = json_array_get(json_object_get(all, "predictions"), 0);
    double actual = json_number_value(json_object_get(held, "actual"));
    assert_true(actual == p->point[5].loss && p->point[5].held_out);
    assert_int_equal(sc_file_read(&page, &n, in_dir("report.html"), 1 << 24), SC_OK);
    static const char *const has[] = {"A &amp; B", "Loss and compute", "Predictions", "Best sizes",
                                      "Laws",      "Abilities",        "a&lt;b",      "socle scale fit &lt;x&gt;",
                                      "held out"};
    for (int i = 0; i < SC_COUNT(has); i++)
        if (!strstr(page, has[i])) fail_msg("the page lacks %s", has[i]);
    assert_null(strstr(page, "nan"));
    assert_null(strstr(page, "<script"));
    json_decref(all);
    sc_free(text);
    sc_free(page);
    sc_scale_points_free(p);
}

/* One text again and again: its end is the answer to its beginning, for certain, and another is not. */
static void what_was_learned_is_known(void **state)
{
    (void)state;
    sc_ladder_options o = options();
    const char *data[] = {in_dir("same.jsonl")}, *eval[] = {in_dir("same.jsonl")};
    const double size = 16e3, tokens = 2e4;
    sc_ladder *l;
    sc_str same = {0};
    int64_t n;
    for (int i = 0; i < 300; i++) sc_str_puts(&same, "{\"text\": \"ask the cat: it sat\"}\n");
    write_text("same.jsonl", same.p);
    sc_str_free(&same);
    write_text("known.jsonl", "{\"kind\": \"known\", \"prompt\": \"ask the cat:\", \"answer\": \" it sat\"}\n"
                              "{\"kind\": \"other\", \"prompt\": \"ask the cat:\", \"answer\": \" it ran\"}\n");
    o.size = &size;
    o.tokens = &tokens;
    o.n_size = o.n_tokens = 1;
    o.train.length = 16;
    o.train.lr = 1e-2;
    o.train.data = data;
    o.train.eval_data = eval;
    o.train.n_data = o.train.n_eval_data = 1;
    if (sc_ladder_plan(&l, ctx, &o) || sc_ladder_write(l, ctx, in_dir("learned"), NULL)) fail_msg("%s", sc_error());
    sc_ladder_free(l);
    if (sc_ladder_run(ctx, in_dir("learned"), 0, NULL, NULL, NULL) ||
        sc_ladder_tasks(ctx, in_dir("learned"), in_dir("known.jsonl"), 0, 0) ||
        sc_ladder_open(&l, in_dir("learned")))
        fail_msg("%s", sc_error());
    json_t *all;
    char path[700];
    snprintf(path, sizeof path, "%s/%s/tasks.json", in_dir("learned"), sc_ladder_rungs(l, &n)[0].name);
    assert_int_equal(sc_json_read(&all, path, 1 << 16), SC_OK);
    const json_t *kinds = json_object_get(all, "kinds"), *known = json_array_get(kinds, 0),
                 *other = json_array_get(kinds, 1);
    assert_true(json_number_value(json_object_get(known, "exact")) == 1);
    assert_true(json_number_value(json_object_get(known, "similarity")) == 1);
    assert_true(json_number_value(json_object_get(known, "logprob")) > -0.05);
    assert_true(json_number_value(json_object_get(other, "exact")) == 0);
    near_share(json_number_value(json_object_get(other, "similarity")), 1 - 2.0 / 6, 1e-9);
    assert_true(json_number_value(json_object_get(other, "logprob")) < -0.5);
    json_decref(all);
    sc_ladder_free(l);
}

static void broken_folders_are_told(void **state)
{
    (void)state;
    sc_ladder *l = NULL;
    assert_int_equal(sc_ladder_open(&l, in_dir("nowhere")), SC_ENOTFOUND);
    static const char *const bad[] = {
        "{}",
        "{\"runs\": [], \"train\": {}, \"config\": {}}",
        "{\"runs\": [1], \"train\": {}, \"config\": {}}",
        "{\"runs\": [{\"name\": \"../x\", \"parameters\": 1, \"tokens\": 1, \"steps\": 1, \"compute\": 1}], "
        "\"train\": {}, "
        "\"config\": {}}",
        "{\"runs\": [{\"name\": \"x\", \"parameters\": -1}], \"train\": {}, \"config\": {}}",
        "nonsense"};
    assert_int_equal(sc_mkdirs(in_dir("bad")), SC_OK);
    for (int i = 0; i < SC_COUNT(bad); i++) {
        write_text("bad/ladder.json", bad[i]);
        assert_true(sc_ladder_open(&l, in_dir("bad")) != SC_OK && *sc_error());
    }
    assert_null(l);
}

static int set_up(void **state)
{
    (void)state;
    static const char *const words[] = {"the ", "cat ", "sat ", "on ",  "a ",
                                        "mat ", "and ", "one ", "two ", "ran.\n"};
    sc_str data = {0}, eval = {0};
    sc_rng r = sc_rng_make(1, 1);
    if (!mkdtemp(dir) || sc_context_new(&ctx, &(sc_context_options){.threads = 1})) return -1;
    for (int i = 0; i < 3000; i++) sc_str_puts(&data, words[sc_rng_u32(&r) % SC_COUNT(words)]);
    for (int i = 0; i < 100; i++) sc_str_puts(&eval, words[sc_rng_u32(&r) % SC_COUNT(words)]);
    write_text("data.txt", data.p);
    write_text("eval.txt", eval.p);
    write_text("config.json", config);
    sc_str_free(&data);
    sc_str_free(&eval);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    sc_context_free(ctx);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_have_sizes),       cmocka_unit_test(plans_keep_the_budget),
        cmocka_unit_test(budgets_are_limits),        cmocka_unit_test(stopped_anywhere_it_goes_on),
        cmocka_unit_test(others_are_left_alone),     cmocka_unit_test(it_is_reported),
        cmocka_unit_test(what_was_learned_is_known), cmocka_unit_test(broken_folders_are_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
