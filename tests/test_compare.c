/* SPDX-License-Identifier: Apache-2.0 */
/* What a comparison is made of, without any model: tasks from files, their parts, prompts, right and wrong, and results from
 * cells whose answers are known. */
#include "compare/compare.h"
#include "one_context.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static char folder[64], path[128];

static const char *write_file(const char *name, const char *text)
{
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(sc_file_write(path, text, (int64_t)strlen(text)), SC_OK);
    return path;
}

static void read_task(sc_compare_task *t, const sc_compare_options *o)
{
    *t = (sc_compare_task){0};
    if (sc_compare_task_read(t, ctx, o)) fail_msg("%s", sc_error());
}

/* ---- tasks ---- */

static void classes(void **state)
{
    (void)state;
    sc_str text = {0};
    sc_str_puts(&text, "id\tdocument\tlabel\n");
    for (int i = 0; i < 40; i++) sc_str_printf(&text, "%d\ttext %d\t%d%s\n", i, i, i % 2, i == 7 ? "  " : "");
    const char *const labels[] = {"0=negative", "1=positive"};
    sc_compare_options o = {.data = write_file("a.tsv", text.p), .labels = labels, .n_labels = 2, .test_items = 10};
    sc_compare_task t, again;
    read_task(&t, &o);
    assert_int_equal(t.metric, SC_COMPARE_CHOICE);
    assert_false(t.own_choices);
    assert_int_equal(t.n_classes, 2);
    assert_string_equal(t.classes[0], "negative");
    assert_int_equal(t.test.n, 10);
    assert_int_equal(t.dev.n, 3);
    assert_int_equal(t.train.n, 27);
    /* The parts have nothing in common, and together they are everything. */
    bool seen[40] = {0};
    const sc_compare_part *const parts[] = {&t.test, &t.dev, &t.train};
    for (int p = 0; p < 3; p++)
        for (int64_t i = 0; i < parts[p]->n; i++) {
            const sc_compare_item *it = parts[p]->item[i];
            int64_t k = it - t.item;
            assert_false(seen[k]);
            seen[k] = true;
            assert_int_equal(it->target, k % 2);
            assert_string_equal(it->choices[it->target], k % 2 ? "positive" : "negative");
        }
    read_task(&again, &o);
    assert_true(again.fingerprint == t.fingerprint && again.test.item[0]->input != t.test.item[0]->input);
    assert_string_equal(again.test.item[0]->input, t.test.item[0]->input);
    sc_compare_task_free(&again);
    o.seed = 1;
    read_task(&again, &o);
    assert_true(again.fingerprint != t.fingerprint);
    sc_compare_task_free(&again);

    sc_compare_task_free(&t);
    sc_str_free(&text);
}

/* Choices as QASC, MMLU and lists have them, and the ways in which an answer names one. */
static void choices(void **state)
{
    (void)state;
    static const char *const columns[] = {"question", "A", "B", "answer"};
    static const struct {
        const char *file, *text;
        const char *choice_fields;
        const char *const *columns;
        int target;
    } cases[] = {
        {"q.jsonl",
         "{\"question\": {\"stem\": \"What?\", \"choices\": [{\"text\": \"sand\", \"label\": \"A\"}, {\"text\": "
         "\"glass\", "
         "\"label\": \"B\"}]}, \"answerKey\": \"B\"}\n",
         NULL, NULL, 1},
        {"l.jsonl", "{\"input\": \"What?\", \"choices\": [\"sand\", \"glass\"], \"answer\": \"glass\"}\n", NULL,
         NULL, 1},
        {"n.jsonl", "{\"input\": \"What?\", \"choices\": [\"sand\", \"glass\"], \"answer\": 1}\n", NULL, NULL, 1},
        {"t.jsonl",
         "{\"input\": \"What?\", \"choices\": {\"text\": [\"sand\", \"glass\"], \"label\": [\"1\", \"2\"]}, "
         "\"answer\": \"2\"}\n",
         NULL, NULL, 1},
        {"m.csv", "What?,sand,glass,B\n", NULL, columns, 1},
        {"f.csv", "question,one,two,answer\nWhat?,sand,glass,glass\n", "one,two", NULL, 1},
    };
    for (int i = 0; i < SC_COUNT(cases); i++) {
        const sc_compare_options o = {.train = write_file(cases[i].file, cases[i].text),
                                      .test = path,
                                      .choices = cases[i].choice_fields,
                                      .columns = cases[i].columns,
                                      .n_columns = cases[i].columns ? 4 : 0};
        sc_compare_task t;
        read_task(&t, &o);
        const sc_compare_item *it = t.test.item[0];
        assert_int_equal(t.metric, SC_COMPARE_CHOICE);
        assert_true(t.own_choices);
        assert_string_equal(it->input, "What?");
        assert_int_equal(it->n_choices, 2);
        assert_int_equal(it->target, cases[i].target);
        assert_string_equal(it->answer, "glass");
        sc_compare_task_free(&t);
    }
}

static void metrics(void **state)
{
    (void)state;
    sc_compare_task t;
    const sc_compare_options numbers = {
        .data = write_file("g.jsonl", "{\"question\": \"a\", \"answer\": \"so 3\\n#### 1,003\"}\n"
                                      "{\"question\": \"b\", \"answer\": \"#### -2\"}\n")};
    read_task(&t, &numbers);
    assert_int_equal(t.metric, SC_COMPARE_NUMBER);
    sc_compare_task_free(&t);
    const sc_compare_options texts = {
        .data = write_file("x.jsonl", "{\"input\": \"a\", \"answer\": [\"Seoul\", \"the city of Seoul\"]}\n"
                                      "{\"input\": \"b\", \"answer\": \"Busan\"}\n")};
    read_task(&t, &texts);
    assert_int_equal(t.metric, SC_COMPARE_EXACT);
    sc_compare_task_free(&t);
}

static void refused(const sc_compare_options *o, sc_status want, const char *said)
{
    sc_compare_task t = {0};
    sc_status s = sc_compare_task_read(&t, ctx, o);
    if (s != want || !strstr(sc_error(), said)) fail_msg("%d '%s', not %d '%s'", s, sc_error(), want, said);
    sc_compare_task_free(&t);
}

static void bad_tasks(void **state)
{
    (void)state;
    refused(&(sc_compare_options){0}, SC_EINVAL, "no task");
    refused(&(sc_compare_options){.data = "/nowhere.jsonl"}, SC_ENOTFOUND, "/nowhere.jsonl");
    refused(&(sc_compare_options){.data = write_file("e.jsonl", "")}, SC_EINVAL, "no rows");
    refused(&(sc_compare_options){.data = write_file("e.jsonl", "{\"a\": 1}\n")}, SC_EINVAL,
            "no field with inputs is known");
    refused(&(sc_compare_options){.data = write_file("e.jsonl", "{\"input\": \"x\"}\n")}, SC_EINVAL,
            "no field with answers is known");
    refused(&(sc_compare_options){.data = write_file("e.jsonl", "{\"input\": \"x\", \"answer\": {}}\n")},
            SC_EFORMAT, "row 1");
    refused(
        &(sc_compare_options){
            .data = write_file("e.jsonl", "{\"input\": \"x\", \"answer\": \"c\", \"choices\": [\"a\", \"b\"]}\n")},
        SC_EFORMAT, "row 1: the answer 'c' is none of the choices");
    refused(&(sc_compare_options){.data = write_file(
                                      "e.jsonl", "{\"input\": \"x\", \"answer\": \"a\", \"choices\": [\"a\"]}\n")},
            SC_EFORMAT, "no two choices");
    refused(&(sc_compare_options){.data = write_file(
                                      "e.jsonl",
                                      "{\"input\": \"x\", \"answer\": \"a\"}\n{\"input\": 1, \"answer\": \"b\"}\n"),
                                  .metric = "taste"},
            SC_EINVAL, "no metric is called 'taste'");
}

/* ---- prompts ---- */

static void prompts(void **state)
{
    (void)state;
    char first[128];
    sc_compare_options o = {.instruction = "Add."};
    snprintf(first, sizeof first, "%s", write_file("p.jsonl", "{\"input\": \"1 + 1\", \"answer\": \"two\"}\n"));
    o.train = first;
    o.test = write_file("p2.jsonl", "{\"input\": \"{input} + 2\", \"answer\": \"four\"}\n");
    sc_compare_task t;
    read_task(&t, &o);
    char *text = sc_compare_prompt(&o, &t, t.test.item[0]);
    assert_string_equal(text, "Question: {input} + 2\nAnswer:");
    sc_free(text);
    json_t *line = sc_compare_example(&o, &t, t.train.item[0]);
    assert_string_equal(json_string_value(json_object_get(line, "prompt")), "Add.\n\nQuestion: 1 + 1\nAnswer:");
    assert_string_equal(json_string_value(json_object_get(line, "completion")), " two");
    json_decref(line);
    o.chat = true;
    line = sc_compare_example(&o, &t, t.train.item[0]);
    assert_int_equal(json_array_size(json_object_get(line, "messages")), 3);
    json_decref(line);
    sc_compare_task_free(&t);

    /* Choices that the prompt lists are answered by their letters. */
    o = (sc_compare_options){.prompt = "{input}\n{choices}\n=", .train = first};
    o.test = write_file("p3.jsonl", "{\"input\": \"What?\", \"choices\": [\"sand\", \"glass\"], \"answer\": 1}\n");
    o.train = o.test;
    read_task(&t, &o);
    text = sc_compare_prompt(&o, &t, t.test.item[0]);
    assert_string_equal(text, "What?\nA. sand\nB. glass\n=");
    assert_string_equal(sc_compare_gold(&t, t.test.item[0]), "B");
    sc_free(text);
    sc_compare_task_free(&t);
}

static void methods(void **state)
{
    (void)state;
    const sc_compare_options o = {.shots = 7, .samples = 3, .think_tokens = 40, .max_tokens = 9, .pick = "nearest"};
    sc_compare_method m;
    const char *name;
    for (int i = 0; (name = sc_compare_method_at(i, NULL)); i++)
        if (sc_compare_method_make(&m, name, &o)) fail_msg("%s: %s", name, sc_error());
    assert_int_equal(sc_compare_method_make(&m, "few-shot", &o), SC_OK);
    assert_int_equal(m.ask.shots, 7);
    assert_int_equal(m.ask.pick, SC_PICK_NEAREST);
    assert_false(sc_compare_by_chance(&m));
    assert_int_equal(sc_compare_method_make(&m, "few-shot:2", &o), SC_OK);
    assert_int_equal(m.ask.shots, 2);
    assert_int_equal(sc_compare_method_make(&m, "self-consistency", &o), SC_OK);
    assert_int_equal(m.ask.samples, 3);
    assert_true(sc_compare_by_chance(&m));
    assert_int_equal(sc_compare_method_make(&m, "qlora", &o), SC_OK);
    assert_string_equal(m.name, "lora");
    assert_int_equal(m.learns, SC_COMPARE_LORA);
    assert_int_equal(sc_compare_method_make(&m, "magic", &o), SC_ENOTFOUND);
}

/* ---- right and wrong ---- */

static void grades(void **state)
{
    (void)state;
    static const struct {
        sc_compare_metric metric;
        const char *want, *said;
        bool right;
    } cases[] = {
        {SC_COMPARE_NUMBER, "so\n#### 1,003", "1003", true},
        {SC_COMPARE_NUMBER, "-8", "-8.0", true},
        {SC_COMPARE_NUMBER, "7", "8", false},
        {SC_COMPARE_NUMBER, "7", "", false},
        {SC_COMPARE_EXACT, "Seoul", "SEOUL.", true},
        {SC_COMPARE_EXACT, "Seoul", "Seoul, of course", false},
        {SC_COMPARE_EXACT, "Seoul", "", false},
    };
    double score;
    for (int i = 0; i < SC_COUNT(cases); i++) {
        const sc_compare_task t = {.metric = cases[i].metric};
        const char *const correct[] = {"nothing at all", cases[i].want};
        const sc_compare_item it = {.correct = correct, .n_correct = 2};
        const sc_ask_solution y = {.answer = (char *)(uintptr_t)cases[i].said};
        assert_int_equal(sc_compare_grade(&score, &t, &it, &y), SC_OK);
        if (score != cases[i].right) fail_msg("'%s' for '%s'", cases[i].said, cases[i].want);
    }
    static const char *const list[] = {"true", "false"};
    const sc_compare_task t = {.metric = SC_COMPARE_CHOICE};
    const sc_compare_item it = {.choices = list, .n_choices = 2, .target = 1};
    const sc_ask_solution y = {.answer = (char *)(uintptr_t) "false"};
    assert_int_equal(sc_compare_grade(&score, &t, &it, &y), SC_OK);
    assert_true(score == 1);
}

/* ---- results ---- */

enum { ITEMS = 100 };

static void fill_run(sc_compare_run *r, const char *model, int at, const char *method, int64_t train, uint64_t seed,
                     int right, int n)
{
    static sc_compare_answer answers[16][ITEMS];
    static sc_compare_method known[5]; /* runs of one method have the same one */
    static int used;
    int k = 0;
    while (known[k].name && strcmp(known[k].name, method) != 0) k++;
    assert_int_equal(
        sc_compare_method_make(&known[k], method,
                               &(sc_compare_options){.shots = 5, .samples = 5, .think_tokens = 8, .max_tokens = 8}),
        SC_OK);
    *r = (sc_compare_run){.model = at,
                          .model_name = model,
                          .method = &known[k],
                          .train = train,
                          .seed = seed,
                          .answer = answers[used++],
                          .n_answers = n,
                          .seconds = 10 * (at + 1),
                          .peak_bytes = 1000,
                          .ended = n == ITEMS};
    if (r->method->learns) r->train_seconds = 100;
    for (int i = 0; i < n; i++) r->answer[i] = (sc_compare_answer){i, i < right, i < right ? "yes" : "<b>no|"};
}

static json_t *results_in(const char *out)
{
    char file[256];
    json_t *o;
    snprintf(file, sizeof file, "%s/results.json", out);
    if (sc_json_read(&o, file, 1 << 24)) fail_msg("%s", sc_error());
    return o;
}

static void results(void **state)
{
    (void)state;
    sc_compare_run run[7];
    sc_compare_item item[ITEMS];
    const sc_compare_item *items[ITEMS];
    static const char *const list[] = {"yes", "no"};
    char out[128];
    for (int i = 0; i < ITEMS; i++) {
        item[i] = (sc_compare_item){"<script>", "yes", list, 1, list, 2, 0, 0};
        items[i] = &item[i];
    }
    fill_run(&run[0], "a", 0, "zero-shot", 0, 0, 50, ITEMS);
    fill_run(&run[1], "b", 1, "zero-shot", 0, 0, 52, ITEMS);
    fill_run(&run[2], "a", 0, "few-shot", 5, 0, 60, ITEMS);
    fill_run(&run[3], "a", 0, "lora", 200, 0, 90, ITEMS);
    fill_run(&run[4], "a", 0, "lora", 200, 1, 88, ITEMS);
    fill_run(&run[5], "a", 0, "lora", 50, 0, 70, ITEMS);
    fill_run(&run[6], "b", 1, "full", 200, 0, 0, 0);
    run[6].note = "needs more | memory";
    snprintf(out, sizeof out, "%s/results", folder);
    assert_int_equal(sc_mkdirs(out), SC_OK);
    const char *const args[] = {"socle", "compare", "--prompt", "it's"};
    sc_compare_state c = {
        .o = {.out = out, .data = "x.jsonl", .confidence = 0.95, .n_models = 2, .args = args, .n_args = 4},
        .task = {.metric = SC_COMPARE_CHOICE,
                 .classes = list,
                 .n_classes = 2,
                 .test = {items, ITEMS},
                 .train = {items, 10}},
        .run = run,
        .n_runs = 7};
    sc_compare_results x;
    assert_int_equal(sc_compare_results_make(&x, &c), SC_OK);
    assert_int_equal(x.n, 6); /* both seeds of lora are one */
    const sc_compare_result *lora = &x.result[x.best];
    assert_string_equal(lora->method, "lora");
    assert_int_equal(lora->seeds, 2);
    assert_true(fabs(lora->accuracy.value - 0.89) < 1e-12);
    assert_true(lora->accuracy.low < 0.89 && lora->accuracy.high > 0.89);
    assert_int_equal(x.cheapest, x.best); /* all others are significantly worse */
    int curves = 0;
    for (int i = 0; i < x.n; i++) curves += x.result[i].curve;
    assert_int_equal(curves, 1);
    assert_int_equal(x.n_pairs, 6); /* of zero-shot a, b, few-shot and lora */
    sc_interval v;
    assert_int_equal(sc_stats_wilson(&v, 50, ITEMS, 0.95), SC_OK);
    assert_memory_equal(&v, &x.result[0].accuracy, sizeof v);
    const sc_compare_pair *near = sc_compare_pair_of(&x, 1, 0), *far = sc_compare_pair_of(&x, 0, x.best);
    double p;
    assert_int_equal(sc_stats_mcnemar(&p, 0, 2), SC_OK);
    assert_true(near->p == p && !sc_compare_differs(&c, near));
    assert_true(sc_compare_differs(&c, far));
    assert_int_equal(sc_compare_write_tables(&c, &x), SC_OK);
    assert_int_equal(sc_compare_write_page(&c, &x), SC_OK);

    json_t *o = results_in(out);
    assert_int_equal(json_array_size(json_object_get(o, "results")), 6);
    assert_int_equal(json_integer_value(json_object_get(o, "best")), x.best);
    json_decref(o);
    char file[256], *text;
    int64_t n;
    snprintf(file, sizeof file, "%s/report.html", out);
    assert_int_equal(sc_file_read(&text, &n, file, 1 << 24), SC_OK);
    static const char *const parts[] = {"89.0% ★",
                                        "Learning curves",
                                        "What it costs",
                                        "significant",
                                        "needs more | memory",
                                        "Where they disagree",
                                        "&lt;script&gt;",
                                        "&lt;b&gt;no|",
                                        "<s style=",
                                        "--prompt 'it'\\''s'"};
    for (int i = 0; i < SC_COUNT(parts); i++)
        if (!strstr(text, parts[i])) fail_msg("the page has no %s", parts[i]);
    assert_null(strstr(text, "<script"));
    sc_free(text);
    snprintf(file, sizeof file, "%s/results.md", out);
    assert_int_equal(sc_file_read(&text, &n, file, 1 << 24), SC_OK);
    assert_non_null(strstr(text, "| a | lora | 200 | **89.0%** |"));
    assert_non_null(strstr(text, "needs more \\| memory"));
    assert_non_null(strstr(text, "- a, lora is better than a, zero-shot by 39.0 points"));
    sc_free(text);
    sc_compare_results_free(&x);

    /* An item counts where every seed answered it; with nothing there is nothing. */
    run[4].n_answers = 20;
    assert_int_equal(sc_compare_results_make(&x, &c), SC_OK);
    assert_int_equal(x.result[x.best].items, 20);
    sc_compare_results_free(&x);
    for (int i = 0; i < 7; i++) run[i].n_answers = 0;
    assert_int_equal(sc_compare_results_make(&x, &c), SC_OK);
    assert_int_equal(x.best, -1);
    assert_int_equal(sc_compare_write_tables(&c, &x), SC_OK);
    assert_int_equal(sc_compare_write_page(&c, &x), SC_OK);
    sc_compare_results_free(&x);
}

static int set_up(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/socle-compare-XXXXXX");
    return !mkdtemp(folder) || one_thread(state);
}

static int tear_down(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return no_context(state) || system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(classes), cmocka_unit_test(choices),
                                       cmocka_unit_test(metrics), cmocka_unit_test(bad_tasks),
                                       cmocka_unit_test(prompts), cmocka_unit_test(methods),
                                       cmocka_unit_test(grades),  cmocka_unit_test(results)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
