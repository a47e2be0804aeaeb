/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks from their files to their metrics, with the small chat model: what they say of items, what is asked, that it is asked
 * once, what groups make of it; and what is refused. */
#include "ask_common.h"
#include "one_context.h"

#include "eval/eval.h"

#include <math.h>

#define EMBEDDER SOCLE_SOURCE_DIR "/tests/data/encoders/bert_embed"

static char dir[] = "/tmp/socle-eval-XXXXXX";

static void put(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    ok(sc_file_write(path, text, (int64_t)strlen(text)));
}

static sc_status open_tasks(sc_eval_set **set, const char *const *names, int n)
{
    const char *folder = dir;
    return sc_eval_open(set, ctx, names, n, &(sc_eval_open_options){.folders = &folder, .n_folders = 1});
}

static sc_eval_set *open_one(const char *name)
{
    sc_eval_set *set;
    ok(open_tasks(&set, &name, 1));
    return set;
}

static sc_asker *open_model(void)
{
    sc_asker *a;
    ok(sc_asker_open(&a, ctx, CHAT_MODEL, NULL));
    return a;
}

static const char *const choices_task = "task: choices\n"
                                        "dataset_path: json\n"
                                        "dataset_kwargs: {data_files: {test: rows.jsonl, train: more.jsonl}}\n"
                                        "test_split: test\n"
                                        "fewshot_split: train\n"
                                        "output_type: multiple_choice\n"
                                        "doc_to_text: \"Question: {{q}}\\nAnswer:\"\n"
                                        "doc_to_choice: \"{{[a, b]}}\"\n"
                                        "doc_to_target: gold\n"
                                        "num_fewshot: 2\n";
static const char *const words_task =
    "include: choices.yaml\n"
    "task: words\n"
    "output_type: generate_until\n"
    "doc_to_choice: null\n"
    "doc_to_target: \"{{a}}\"\n"
    "num_fewshot: 0\n"
    "generation_kwargs: {until: [\"\\n\"], max_gen_toks: 5}\n"
    "filter_list:\n"
    "  - name: last\n"
    "    filter: [{function: regex, regex_pattern: '\\w+', group_select: -1}, {function: take_first}]\n"
    "metric_list: [{metric: exact_match, ignore_case: true}, {metric: f1}]\n";

static int make_files(void **state)
{
    (void)state;
    if (!mkdtemp(dir) || sc_context_new(&ctx, &(sc_context_options){.threads = 2})) return -1;
    put("rows.jsonl", "{\"q\": \"the quick\", \"a\": \"brown\", \"b\": \"lazy dog\", \"gold\": 0}\n"
                      "{\"q\": \"one two\", \"a\": \"four\", \"b\": \"three\", \"gold\": 1}\n"
                      "{\"q\": \"한글\", \"a\": \"가\", \"b\": \"나다\", \"gold\": 1}\n"
                      "{\"q\": \"fox\", \"a\": \"jumps\", \"b\": \"over\", \"gold\": 0}\n");
    put("more.jsonl", "{\"q\": \"a\", \"a\": \"b\", \"b\": \"c\", \"gold\": 0}\n{\"q\": \"d\", \"a\": \"e\", "
                      "\"b\": \"f\", \"gold\": 1}\n"
                      "{\"q\": \"g\", \"a\": \"h\", \"b\": \"i\", \"gold\": 0}\n");
    put("choices.yaml", choices_task);
    put("words.yaml", words_task);
    return 0;
}

static int remove_files(void **state)
{
    char command[100];
    (void)state;
    sc_context_free(ctx);
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

/* ---- items ---- */

static void items_are_what_the_rows_say(void **state)
{
    (void)state;
    sc_eval_set *set = open_one("choices");
    const sc_eval_task *t = sc_eval_at(set, 0);
    sc_eval_item x;
    double grade;
    assert_int_equal(sc_eval_count(set), 1);
    assert_null(sc_eval_at(set, 1));
    assert_string_equal(sc_eval_task_name(t), "choices");
    assert_int_equal(sc_eval_task_kind(t), SC_EVAL_CHOICE);
    assert_int_equal(sc_eval_task_shots(t), 2);
    assert_int_equal(sc_eval_task_items(t, SC_EVAL_TEST), 4);
    assert_int_equal(sc_eval_task_items(t, SC_EVAL_EXAMPLES), 3);
    assert_true(sc_eval_task_has_examples(t));
    ok(sc_eval_item_get(&x, t, SC_EVAL_TEST, 1));
    assert_string_equal(x.question, "Question: one two\nAnswer:");
    assert_string_equal(x.answer, "three");
    assert_string_equal(x.delimiter, " ");
    assert_int_equal(x.n_choices, 2);
    assert_string_equal(x.choices[0], "four");
    assert_int_equal(x.gold, 1);
    sc_eval_item_free(&x);
    ok(sc_eval_item_get(&x, t, SC_EVAL_EXAMPLES, 0));
    assert_string_equal(x.answer, "b");
    sc_eval_item_free(&x);
    fails(sc_eval_item_get(&x, t, SC_EVAL_TEST, 4), SC_EINVAL, "no item 4");
    ok(sc_eval_grade(&grade, t, 1, " Three, I think"));
    assert_true(grade == 1);
    ok(sc_eval_grade(&grade, t, 1, "four"));
    assert_true(grade == 0);
    sc_eval_free(set);
    set = open_one("words");
    ok(sc_eval_grade(&grade, sc_eval_at(set, 0), 0, "It is the BROWN"));
    assert_true(grade == 1); /* the last word, by the filter; its case aside, by the metric */
    ok(sc_eval_grade(&grade, sc_eval_at(set, 0), 0, "brown fox"));
    assert_true(grade == 0);
    sc_eval_free(set);
}

static void prompts_are_put_together(void **state)
{
    (void)state;
    sc_eval_set *set = open_one("choices");
    const sc_eval_task *t = sc_eval_at(set, 0);
    sc_eval_options o = sc_eval_options_default();
    sc_eval_prompter p;
    sc_eval_parts parts;
    json_t *prompts;
    const json_t *row = json_array_get(t->rows, 0);
    ok(sc_eval_parts_get(&parts, t, row, false));
    sc_eval_prompter_start(&p, t, &o);
    ok(sc_eval_prompts(&prompts, &p, row, &parts));
    /* random.Random(1234).sample(range(3), 2) is [1, 0] */
    assert_string_equal(json_string_value(json_array_get(prompts, 0)),
                        "Question: d\nAnswer: f\n\nQuestion: a\nAnswer: b\n\nQuestion: the quick\nAnswer:");
    json_decref(prompts);
    o.chat = o.multiturn = true;
    o.shots = 1;
    o.system = "Be brief.";
    sc_eval_prompter_start(&p, t, &o);
    ok(sc_eval_prompts(&prompts, &p, row, &parts));
    assert_string_equal(json_string_value(json_array_get(prompts, 0)),
                        "[{\"role\":\"system\",\"content\":\"Be "
                        "brief.\"},{\"role\":\"user\",\"content\":\"Question: d\\nAnswer:\"},"
                        "{\"role\":\"assistant\",\"content\":\"f\"},{\"role\":\"user\",\"content\":\"Question: the "
                        "quick\\nAnswer:\"}]");
    json_decref(prompts);
    o.multiturn = false;
    sc_eval_prompter_start(&p, t, &o);
    ok(sc_eval_prompts(&prompts, &p, row, &parts));
    assert_string_equal(json_string_value(json_array_get(prompts, 0)),
                        "[{\"role\":\"system\",\"content\":\"Be "
                        "brief.\"},{\"role\":\"user\",\"content\":\"Question: d\\nAnswer: f\\n\\n"
                        "Question: the quick\\nAnswer:\"}]");
    json_decref(prompts);
    o.shots = 4;
    sc_eval_prompter_start(&p, t, &o);
    fails(sc_eval_prompts(&prompts, &p, row, &parts), SC_EINVAL, "4 examples are wanted, of 3");
    sc_eval_parts_free(&parts);
    sc_eval_free(set);
}

/* ---- runs ---- */

static const sc_eval_metric *metric(const sc_eval_result *r, const char *name)
{
    for (int i = 0; i < r->n_metrics; i++)
        if (strcmp(r->metric[i].name, name) == 0) return &r->metric[i];
    fail_msg("no %s", name);
    return NULL;
}

static void same_results(const sc_eval_result *a, const sc_eval_result *b)
{
    assert_int_equal(a->n_metrics, b->n_metrics);
    assert_int_equal(a->n_samples, b->n_samples);
    for (int i = 0; i < a->n_metrics; i++) assert_true(a->metric[i].value == b->metric[i].value);
    for (int64_t i = 0; i < a->n_samples; i++) assert_string_equal(a->sample[i].json, b->sample[i].json);
}

static void choices_are_measured_and_asked_once(void **state)
{
    char cache[100];
    sc_eval_options o = sc_eval_options_default();
    sc_eval_result *r, *again;
    (void)state;
    snprintf(cache, sizeof cache, "%s/requests.jsonl", dir);
    sc_eval_set *set = open_one("choices");
    const sc_eval_task *t = sc_eval_at(set, 0);
    sc_asker *a = open_model();
    o.cache = cache;
    o.limit = 2;
    ok(sc_eval_run(&r, ctx, t, a, &o));
    assert_int_equal(r->requests, 4);
    assert_int_equal(r->cached, 0);
    sc_eval_result_free(r);
    o.limit = 0; /* goes on from there */
    ok(sc_eval_run(&r, ctx, t, a, &o));
    assert_int_equal(r->requests, 8);
    assert_int_equal(r->cached, 4);
    assert_int_equal(r->shots, 2);
    double right = 0;
    for (int64_t i = 0; i < r->n_samples; i++) {
        assert_int_equal(r->sample[i].item, i);
        assert_true(r->sample[i].score == (r->sample[i].chosen == r->sample[i].gold));
        right += r->sample[i].score;
    }
    const sc_eval_metric *acc = metric(r, "acc");
    assert_true(acc->value == right / 4 && acc->n == 4 && acc->higher_is_better);
    double p = right / 4;
    assert_true(fabs(acc->error - sqrt(p * (1 - p) / 3)) < 1e-12);
    metric(r, "acc_norm");
    o.chunk = 1;
    o.cache = NULL;
    ok(sc_eval_run(&again, ctx, t, a, &o)); /* in other windows, all asked anew: the same bits */
    assert_int_equal(again->cached, 0);
    same_results(r, again);
    sc_eval_result_free(again);
    sc_eval_result_free(r);
    sc_asker_free(a);
    sc_eval_free(set);
}

static void answers_are_filtered_and_measured(void **state)
{
    sc_eval_options o = sc_eval_options_default();
    sc_eval_result *r;
    (void)state;
    sc_eval_set *set = open_one("words");
    sc_asker *a = open_model();
    ok(sc_eval_run(&r, ctx, sc_eval_at(set, 0), a, &o));
    assert_int_equal(r->requests, 4);
    assert_string_equal(metric(r, "f1")->filter, "last");
    for (int64_t i = 0; i < 4; i++) {
        json_t *line = json_loads(r->sample[i].json, 0, NULL),
               *asked = json_array_get(json_object_get(line, "asked"), 0);
        assert_non_null(asked);
        assert_string_equal(json_string_value(json_object_get(json_object_get(line, "filtered"), "last")),
                            r->sample[i].answer);
        assert_null(strchr(r->sample[i].answer, ' '));
        json_decref(line);
    }
    sc_eval_result_free(r);
    o.method = "few-shot:2";
    o.chat = true;
    o.most_tokens = 4;
    ok(sc_eval_run(&r, ctx, sc_eval_at(set, 0), a, &o));
    assert_int_equal(r->shots, 2);
    assert_string_equal(metric(r, "exact_match")->filter, "few-shot:2");
    sc_eval_result_free(r);
    o.method = "by-magic";
    fails(sc_eval_run(&r, ctx, sc_eval_at(set, 0), a, &o), SC_ENOTFOUND, "by-magic");
    sc_asker_free(a);
    sc_eval_free(set);
}

static void groups_take_their_tasks_together(void **state)
{
    sc_eval_options o = sc_eval_options_default();
    sc_eval_result *r[3] = {NULL}, *g;
    int n;
    (void)state;
    put("short.yaml", "include: choices.yaml\ntask: short\nnum_fewshot: 0\ndataset_kwargs: {data_files: {test: "
                      "more.jsonl, train: more.jsonl}}\n");
    put("all.yaml",
        "group: all\ngroup_alias: everything\ntask: [choices, {group: inner, task: [short], aggregate_metric_list: "
        "[{metric: acc, weight_by_size: false}]}]\naggregate_metric_list: [{metric: acc}]\n");
    sc_eval_set *set = open_one("all");
    assert_int_equal(sc_eval_count(set), 2);
    sc_asker *a = open_model();
    for (int i = 0; i < 2; i++) ok(sc_eval_run(&r[i], ctx, sc_eval_at(set, i), a, &o));
    ok(sc_eval_groups(&g, &n, set, r));
    assert_int_equal(n, 2);
    assert_string_equal(g[0].task, "inner");
    assert_string_equal(g[1].task, "everything");
    assert_true(g[0].metric[0].value == metric(r[1], "acc")->value);
    double x = metric(r[0], "acc")->value, y = metric(r[1], "acc")->value;
    assert_true(fabs(g[1].metric[0].value - (4 * x + 3 * y) / 7) < 1e-15);
    double e = metric(r[0], "acc")->error, f = metric(r[1], "acc")->error;
    assert_true(fabs(g[1].metric[0].error - sqrt((3 * e * e * 4 + 2 * f * f * 3) / 5 / 7)) < 1e-15);
    assert_int_equal(g[1].metric[0].n, 7);
    sc_eval_groups_free(g, n);
    for (int i = 0; i < 2; i++) sc_eval_result_free(r[i]);
    sc_asker_free(a);
    sc_eval_free(set);
}

static void made_tasks_are_built_in(void **state)
{
    int n;
    (void)state;
    const sc_eval_builtin *b = sc_eval_builtins(&n);
    assert_true(n >= 8);
    for (int i = 0; i < n; i++) {
        sc_eval_set *set;
        ok(sc_eval_open(&set, ctx, &b[i].name, 1, &(sc_eval_open_options){.made = 8, .language = "en"}));
        const sc_eval_task *t = sc_eval_at(set, 0);
        assert_string_equal(sc_eval_task_name(t), b[i].name);
        assert_true(sc_eval_task_has_examples(t));
        for (int64_t k = 0; k < sc_eval_task_items(t, SC_EVAL_TEST); k++) {
            sc_eval_item x;
            double grade;
            ok(sc_eval_item_get(&x, t, SC_EVAL_TEST, k));
            assert_true(*x.question && *x.answer && *x.answer != ' ');
            ok(sc_eval_grade(&grade, t, k, x.answer));
            assert_true(grade == 1);
            sc_eval_item_free(&x);
        }
        sc_eval_free(set);
    }
    sc_eval_set *set;
    const char *of_three = "add_3";
    ok(sc_eval_open(&set, ctx, &of_three, 1, &(sc_eval_open_options){.made = 8}));
    assert_int_equal(sc_eval_task_items(sc_eval_at(set, 0), SC_EVAL_TEST), 8);
    for (int64_t k = 0; k < 8; k++) {
        const json_t *row = json_array_get(sc_eval_at(set, 0)->rows, (size_t)k);
        assert_int_equal(json_integer_value(json_object_get(row, "difficulty")), 3);
    }
    sc_eval_free(set);
    const char *name = "ad";
    fails(open_tasks(&set, &name, 1), SC_ENOTFOUND, "no task 'ad'");
}

/* ---- programs ---- */

static void programs_are_run_against_tests(void **state)
{
    sc_sandbox *box;
    (void)state;
    if (system("python3 -c '' 2>/dev/null") != 0) {
        print_message("no python3: skipped\n");
        skip();
    }
    put("code.jsonl", "{\"prompt\": \"def f(x):\\n\", \"test\": \"assert f(2) == 4\"}\n");
    put("code.yaml",
        "task: code\ndataset_path: json\ndataset_kwargs: {data_files: {test: code.jsonl}}\ntest_split: test\n"
        "doc_to_text: prompt\ndoc_to_target: ''\nmetric_list: [{metric: pass_at_k, k: [1, 2], program: "
        "\"{{prompt}}{{answer}}\\n{{test}}\\n\"}]\nfilter_list: [{name: all, filter: [{function: take_first_k, k: "
        "3}]}]\n");
    sc_eval_set *set = open_one("code");
    const sc_eval_task *t = sc_eval_at(set, 0);
    assert_string_equal(t->metric[1].title, "pass@2");
    ok(sc_sandbox_new(&box, &(sc_sandbox_options){.seconds = 5}));
    json_t *answers =
        json_pack("[s, s, s]", "    return x * x\n", "    return x + 1\n", "    while True: raise KeyError\n");
    sc_eval_parts parts;
    ok(sc_eval_parts_get(&parts, t, json_array_get(t->rows, 0), false));
    int64_t passed = -1;
    double x;
    sc_outcome o = {.t = t,
                    .row = json_array_get(t->rows, 0),
                    .parts = &parts,
                    .answer = answers,
                    .ctx = ctx,
                    .box = box,
                    .passed = &passed};
    ok(sc_pass_item(&t->metric[0], &o, &x));
    assert_int_equal(passed, 1);
    assert_true(fabs(x - 1.0 / 3) < 1e-15);
    ok(sc_pass_item(&t->metric[1], &o, &x));
    assert_true(fabs(x - 2.0 / 3) < 1e-15); /* 1 - C(2, 2) / C(3, 2) */
    sc_asker *a = open_model();
    sc_eval_result *r;
    fails(sc_eval_run(&r, ctx, t, a, NULL), SC_EUNSUPPORTED, "must be allowed");
    sc_asker_free(a);
    json_decref(answers);
    sc_eval_parts_free(&parts);
    sc_sandbox_free(box);
    sc_eval_free(set);
}

/* ---- vectors ---- */

static double number_of(const sc_eval_sample *x, const char *key)
{
    json_t *line = json_loads(x->json, 0, NULL);
    double v = json_number_value(json_object_get(line, key));
    json_decref(line);
    return v;
}

static void sentences_are_compared_as_people_compare_them(void **state)
{
    sc_embedder *e;
    sc_eval_result *r;
    (void)state;
    put("sts.tsv", "a\tb\tscore\nthe quick fox\tthe quick dog\t4.5\none two\tlazy brown\t0\nfox\tfox\t5.0\n");
    put("sts.yaml", "task: sts\ndataset_path: csv\ndataset_kwargs: {data_files: {test: sts.tsv}, delimiter: "
                    "\"\\t\"}\ntest_split: test\n"
                    "output_type: similarity\nfirst: a\nsecond: '{{b}}'\nscore: score\n");
    sc_eval_set *set = open_one("sts");
    ok(sc_embedder_open(&e, ctx, EMBEDDER, NULL));
    ok(sc_eval_run_vectors(&r, ctx, sc_eval_at(set, 0), e, NULL));
    double x[3], y[3], mx = 0, my = 0, xx = 0, yy = 0, xy = 0;
    for (int i = 0; i < 3; i++) x[i] = number_of(&r->sample[i], "score"), y[i] = number_of(&r->sample[i], "cosine");
    assert_true(x[0] == 4.5 && x[1] == 0 && fabs(y[2] - 1) < 1e-6 && y[0] < 1);
    for (int i = 0; i < 3; i++) mx += x[i] / 3, my += y[i] / 3;
    for (int i = 0; i < 3; i++) {
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
        xy += (x[i] - mx) * (y[i] - my);
    }
    assert_true(fabs(metric(r, "pearson")->value - xy / sqrt(xx * yy)) < 1e-9);
    assert_true(fabs(metric(r, "spearman")->value) <= 1 && isfinite(metric(r, "spearman")->error));
    sc_asker *a = open_model();
    fails(sc_eval_run(&r, ctx, sc_eval_at(set, 0), a, NULL), SC_EINVAL, "vectors");
    sc_asker_free(a);
    sc_eval_result_free(r);
    sc_embedder_free(e);
    sc_eval_free(set);
}

static void documents_are_found_and_ranked(void **state)
{
    static const double grades[][3] = {{1, 0, 0}, {2, 0, 1}}; /* of d0, d1, d2 to each query */
    sc_embedder *e;
    sc_eval_result *r;
    (void)state;
    put("docs.jsonl",
        "{\"id\": \"d0\", \"t\": \"the quick brown fox\"}\n{\"id\": \"d1\", \"t\": \"one two three\"}\n"
        "{\"id\": \"d2\", \"t\": \"lazy dog\"}\n");
    put("queries.jsonl",
        "{\"q\": \"quick fox\", \"rel\": [\"d0\"]}\n{\"q\": \"dog\", \"rel\": {\"d0\": 2, \"d2\": 1}}\n");
    put("find.yaml",
        "task: find\ndataset_path: json\ndataset_kwargs: {data_files: {test: queries.jsonl, docs: docs.jsonl}}\n"
        "test_split: test\ncorpus_split: docs\noutput_type: retrieval\nquery: q\ndocument: t\ndocument_id: "
        "id\nrelevant: rel\n"
        "metric_list: [{metric: ndcg, k: 2}, {metric: mrr, k: 3}, {metric: recall, k: [1, 3]}]\n");
    sc_eval_set *set = open_one("find");
    ok(sc_embedder_open(&e, ctx, EMBEDDER, NULL));
    ok(sc_eval_run_vectors(&r, ctx, sc_eval_at(set, 0), e, NULL));
    double ndcg = 0, mrr = 0, recall = 0;
    for (int q = 0; q < 2; q++) {
        json_t *line = json_loads(r->sample[q].json, 0, NULL), *found = json_object_get(line, "found");
        double place[3];
        for (size_t i = 0; i < 3; i++) place[i] = grades[q][json_string_value(json_array_get(found, i))[1] - '0'];
        double best = q ? 2 + 1 / log2(3) : 1;
        ndcg += (place[0] + place[1] / log2(3)) / best / 2;
        mrr += (place[0] > 0 ? 1 : place[1] > 0 ? 0.5 : 1.0 / 3) / 2;
        recall += (place[0] > 0) / (q ? 2.0 : 1.0) / 2;
        json_decref(line);
    }
    assert_true(fabs(metric(r, "ndcg@2")->value - ndcg) < 1e-12);
    assert_true(fabs(metric(r, "mrr@3")->value - mrr) < 1e-12);
    assert_true(fabs(metric(r, "recall@1")->value - recall) < 1e-12);
    assert_true(metric(r, "recall@3")->value == 1);
    sc_eval_result_free(r);
    sc_embedder_free(e);
    sc_eval_free(set);
}

/* ---- what is refused ---- */

static void refused(const char *text, sc_status want, const char *part)
{
    const char *name = "bad";
    sc_eval_set *set;
    put("bad.yaml", text);
    fails(open_tasks(&set, &name, 1), want, part);
}

static void bad_tasks_are_refused_in_one_line(void **state)
{
    sc_str s = {0};
    (void)state;
    refused("task: bad\ndoc_to_text: !function x.y\n", SC_EUNSUPPORTED, "bad.yaml: line 2");
    refused("include: bad.yaml\n", SC_ELIMIT, "include each other");
    refused("include: missing.yaml\n", SC_ENOTFOUND, "missing.yaml");
    refused("[1]", SC_EFORMAT, "a mapping");
    refused("task: bad\noutput_type: dance\n", SC_EFORMAT, "dance");
    refused("task: bad\nprocess_docs: 1\n", SC_EUNSUPPORTED, "process_docs");
    refused("task: bad\ntest_split: test\ndataset_path: some/hub\n", SC_ENOTFOUND, "some/hub");
    refused("task: bad\ndataset_path: json\n", SC_EFORMAT, "test_split");
    refused("task: bad\ndoc_to_text: '{{'\n", SC_EFORMAT, "doc_to_text");
    static const char *const more[][2] = {
        {"metric_list: [{metric: glory}]\n", "no metric 'glory'"},
        {"metric_list: [{metric: bleu, aggregation: mean}]\n", "not for this metric"},
        {"filter_list: [{name: x, filter: [{function: custom}]}]\n", "no filter 'custom'"},
        {"filter_list: [{name: x, filter: [{function: regex, regex_pattern: '('}]}]\n", "regular expression"},
        {"doc_to_target: '{{nothing}}'\n", "'nothing' is undefined"},
        {"fewshot_config: {sampler: best}\n", "'best'"},
        {"fewshot_config: {fewshot_indices: [7]}\n", "fewshot_indices"},
        {"generation_kwargs: [1]\n", "generation_kwargs"}};
    for (int i = 0; i < SC_COUNT(more); i++) {
        s.len = 0;
        sc_str_printf(&s, "include: words.yaml\ntask: bad\n%s", more[i][0]);
        const char *name = "bad";
        sc_eval_set *set;
        put("bad.yaml", s.p);
        assert_true(open_tasks(&set, &name, 1) != SC_OK);
        if (!strstr(sc_error(), more[i][1])) fail_msg("'%s' is not in '%s'", more[i][1], sc_error());
    }
    sc_str_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_are_what_the_rows_say),
        cmocka_unit_test(prompts_are_put_together),
        cmocka_unit_test(choices_are_measured_and_asked_once),
        cmocka_unit_test(answers_are_filtered_and_measured),
        cmocka_unit_test(groups_take_their_tasks_together),
        cmocka_unit_test(made_tasks_are_built_in),
        cmocka_unit_test(programs_are_run_against_tests),
        cmocka_unit_test(sentences_are_compared_as_people_compare_them),
        cmocka_unit_test(documents_are_found_and_ranked),
        cmocka_unit_test(bad_tasks_are_refused_in_one_line),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
