/* SPDX-License-Identifier: Apache-2.0 */
/* Ways of asking: what is picked, sent, extracted and chosen, beside an endpoint that reasons by rule and a small model here. */
#include "ask/asking.h"

#include "ask_common.h"

#include <math.h>

/* ---- answers within texts ---- */

static void extracts_answers(void **state)
{
    (void)state;
    static const struct {
        sc_answer_kind kind;
        const char *said, *want;
    } cases[] = {
        {SC_ANSWER_NUMBER, "3 + 4 = 7. The answer is 7.", "7"},
        {SC_ANSWER_NUMBER, "He pays $1,234.50 in all", "1234.5"},
        {SC_ANSWER_NUMBER, "#### 1,000,000", "1000000"},
        {SC_ANSWER_NUMBER, "first 3, then 12", "12"},
        {SC_ANSWER_NUMBER, "The answer is -5, not 6.", "-5"},
        {SC_ANSWER_NUMBER, "the Answer is: **42** of 50", "42"},
        {SC_ANSWER_NUMBER, "so \\boxed{\\frac{1}{2} = 0.50} and 3", "1"},
        {SC_ANSWER_NUMBER, "10-3", "3"},
        {SC_ANSWER_NUMBER, "1,2,3", "3"},
        {SC_ANSWER_NUMBER, "12,3456", "3456"},
        {SC_ANSWER_NUMBER, "정답은 15입니다. 20", "15"},
        {SC_ANSWER_NUMBER, "none", NULL},
        {SC_ANSWER_NUMBER, "", NULL},
        {SC_ANSWER_CHOICE, "I first thought red. The answer is blue.", "blue"},
        {SC_ANSWER_CHOICE, "Reddish, or Blue", "blue"},
        {SC_ANSWER_CHOICE, "(B)", "blue"},
        {SC_ANSWER_CHOICE, "The answer is C.", "dark blue"},
        {SC_ANSWER_CHOICE, "Answer: dark blue, not red", "dark blue"},
        {SC_ANSWER_CHOICE, "Because", NULL},
        {SC_ANSWER_CHOICE, "green", NULL},
        {SC_ANSWER_TEXT, "  Paris \n", "Paris"},
        {SC_ANSWER_TEXT, "Well.\nThe answer is Paris.\nMore", "Paris"},
        {SC_ANSWER_TEXT, "\\boxed{a{b}c}", "a{b}c"},
        {SC_ANSWER_TEXT, " \n", NULL},
    };
    const sc_text colors[] = {text_of("red"), text_of("blue"), text_of("dark blue")};
    for (int i = 0; i < SC_COUNT(cases); i++) {
        char *got;
        ok(sc_ask_extract(&got, cases[i].kind, cases[i].said, (int64_t)strlen(cases[i].said), colors, 3));
        if (!got != !cases[i].want || (got && strcmp(got, cases[i].want) != 0))
            fail_msg("'%s' gives '%s', not '%s'", cases[i].said, got ? got : "-",
                     cases[i].want ? cases[i].want : "-");
        sc_free(got);
    }
}

static void compares_answers(void **state)
{
    (void)state;
    assert_true(sc_ask_same(SC_ANSWER_NUMBER, "7", "7.0"));
    assert_true(sc_ask_same(SC_ANSWER_NUMBER, "1,000", "1000"));
    assert_false(sc_ask_same(SC_ANSWER_NUMBER, "7", "-7"));
    assert_true(sc_ask_same(SC_ANSWER_TEXT, "The Eiffel  Tower.", "eiffel tower"));
    assert_true(sc_ask_same(SC_ANSWER_TEXT, "Élan", "élan"));
    assert_false(sc_ask_same(SC_ANSWER_TEXT, "tower", "towers"));
    assert_true(sc_ask_same(SC_ANSWER_TEXT, "!", "!"));
    assert_false(sc_ask_same(SC_ANSWER_TEXT, "!", "?"));
}

/* ---- examples ---- */

static sc_ask_examples *examples_of(const char *text)
{
    sc_ask_examples *e;
    ok(sc_ask_examples_parse(&e, text, (int64_t)strlen(text), "here"));
    return e;
}

static void is_text(sc_text t, const char *want)
{
    assert_int_equal(t.len, strlen(want));
    assert_memory_equal(t.p, want, strlen(want));
}

static void reads_examples(void **state)
{
    (void)state;
    sc_ask_examples *e =
        examples_of("{\"question\": \"q\", \"answer\": \"a + b\\n#### 3\"}\n\n"
                    "{\"input\": \"i\", \"target\": 1, \"choices\": [\"no\", \"yes\"], \"rationale\": \"r\"}\r\n"
                    "{\"text\": \"t\", \"label\": 2.5}\n{\"prompt\": \"p\", \"completion\": true}");
    assert_int_equal(sc_ask_examples_count(e), 4);
    is_text(sc_ask_examples_at(e, 0)->answer, "3");
    is_text(sc_ask_examples_at(e, 0)->reasoning, "a + b");
    is_text(sc_ask_examples_at(e, 1)->answer, "yes");
    is_text(sc_ask_examples_at(e, 1)->reasoning, "r");
    assert_int_equal(sc_ask_examples_at(e, 1)->n_choices, 2);
    is_text(sc_ask_examples_at(e, 2)->answer, "2.5");
    is_text(sc_ask_examples_at(e, 3)->answer, "true");
    assert_null(sc_ask_examples_at(e, 4));
    sc_ask_examples_free(e);
    e = examples_of(" [{\"input\": \"i\", \"output\": \"o\"}]");
    assert_int_equal(sc_ask_examples_count(e), 1);
    sc_ask_examples_free(e);
    static const char *const wrong[][2] = {
        {"", "has no example"},
        {"{\"input\": \"i\"}", "line 1: no answer"},
        {"{\"answer\": \"i\"}", "line 1: no input"},
        {"{\"input\": 1, \"answer\": 2}\n3", "line 2: no object"},
        {"{\"input\": [], \"answer\": 2}", "input is neither"},
        {"[1]", "example 1"},
        {"[", "here"},
        {"{\"input\": 1, \"answer\": 2, \"choices\": 3}", "choices is no list"},
        {"{\"input\": 1, \"answer\": 2, \"choices\": [\"x\"]}", "answer 2 of 1"}};
    for (int i = 0; i < SC_COUNT(wrong); i++)
        fails(sc_ask_examples_parse(&e, wrong[i][0], (int64_t)strlen(wrong[i][0]), "here"), SC_EFORMAT,
              wrong[i][1]);
    fails(sc_ask_examples_read(&e, "/nowhere/x.jsonl"), SC_ENOTFOUND, "nowhere");
}

static const char pool[] = "{\"input\": \"the cat sat on the mat\", \"answer\": \"animal\"}\n"
                           "{\"input\": \"stocks fell on the news\", \"answer\": \"money\"}\n"
                           "{\"input\": \"a dog and a cat\", \"answer\": \"animal\"}\n"
                           "{\"input\": \"고양이가 집에서 잔다\", \"answer\": \"animal\"}\n"
                           "{\"input\": \"the bank raised rates\", \"answer\": \"money\"}\n"
                           "{\"input\": \"bonds and stocks\", \"answer\": \"money\"}\n"
                           "{\"input\": \"horses run\", \"answer\": \"animal\"}\n";

static void picks_examples(void **state)
{
    (void)state;
    sc_ask_examples *e = examples_of(pool);
    int64_t a[8], b[8];
    int n, m;
    ok(sc_ask_examples_pick(e, SC_PICK_FIRST, 3, 1, 0, text_of("x"), a, &n));
    assert_true(n == 3 && a[0] == 0 && a[1] == 1 && a[2] == 2);
    /* the question itself is no example */
    ok(sc_ask_examples_pick(e, SC_PICK_FIRST, 7, 1, 0, text_of("horses run"), a, &n));
    assert_int_equal(n, 6);
    /* random: the same for every question, another for another seed */
    bool differs = false;
    ok(sc_ask_examples_pick(e, SC_PICK_RANDOM, 4, 1, 0, text_of("x"), a, &n));
    ok(sc_ask_examples_pick(e, SC_PICK_RANDOM, 4, 1, 0, text_of("y"), b, &m));
    assert_true(n == 4 && m == 4);
    assert_memory_equal(a, b, sizeof *a * 4);
    for (uint64_t seed = 2; seed < 6; seed++) {
        ok(sc_ask_examples_pick(e, SC_PICK_RANDOM, 4, seed, 0, text_of("y"), b, &m));
        differs |= memcmp(a, b, sizeof *a * 4) != 0;
    }
    assert_true(differs);
    /* an order is a permutation of the same */
    ok(sc_ask_examples_pick(e, SC_PICK_RANDOM, 4, 1, 3, text_of("y"), b, &m));
    int64_t sum = 0;
    for (int i = 0; i < 4; i++) {
        bool there = false;
        for (int k = 0; k < 4; k++) there |= a[i] == b[k];
        assert_true(there);
        sum += b[i];
    }
    assert_true(sum > 0);
    for (uint64_t seed = 0; seed < 20; seed++) {
        int money = 0;
        ok(sc_ask_examples_pick(e, SC_PICK_BALANCED, 4, seed, 0, text_of("y"), b, &m));
        for (int i = 0; i < m; i++) money += sc_ask_examples_at(e, b[i])->answer.p[0] == 'm';
        assert_true(m == 4 && money == 2);
    }
    /* nearest, the most alike last; rare words count more than "the" */
    ok(sc_ask_examples_pick(e, SC_PICK_NEAREST, 2, 0, 0, text_of("The CAT slept near a dog"), a, &n));
    assert_true(n == 2 && a[1] == 2 && a[0] == 0);
    ok(sc_ask_examples_pick(e, SC_PICK_NEAREST, 1, 0, 0, text_of("the stocks"), a, &n));
    assert_true(a[0] == 5 || a[0] == 1);
    ok(sc_ask_examples_pick(e, SC_PICK_NEAREST, 1, 0, 0, text_of("고양이는 어디에 있니"), a, &n));
    assert_int_equal(a[0], 3);
    fails(sc_ask_examples_pick(e, SC_PICK_FIRST, 257, 1, 0, text_of("x"), a, &n), SC_EINVAL, "257 examples");
    sc_ask_examples_free(e);
}

/* ---- methods ---- */

static void methods_have_names(void **state)
{
    (void)state;
    sc_ask_method m;
    const char *summary;
    int n = 0;
    for (const char *name; (name = sc_ask_method_at(n, &summary)); n++) {
        ok(sc_ask_method_named(&m, name));
        assert_non_null(summary);
    }
    assert_true(n >= 10);
    ok(sc_ask_method_named(&m, "few-shot:8"));
    assert_true(m.shots == 8 && m.reasoning == SC_REASON_NONE && m.samples == 1);
    ok(sc_ask_method_named(&m, "cot"));
    assert_true(m.reasoning == SC_REASON_CHAIN && m.shots == 0);
    ok(sc_ask_method_named(&m, "self-consistency:16"));
    assert_true(m.samples == 16 && m.choosing == SC_CHOOSE_VOTE);
    ok(sc_ask_method_named(&m, "think:100"));
    assert_int_equal(m.think_most, 100);
    fails(sc_ask_method_named(&m, "guess"), SC_ENOTFOUND, "'guess'");
    fails(sc_ask_method_named(&m, "zero-shot:3"), SC_EINVAL, "takes no number");
    fails(sc_ask_method_named(&m, "few-shot:x"), SC_EINVAL, "stands a number");
    fails(sc_ask_method_named(&m, "few-shot:300"), SC_EINVAL, "shots is 300");
    ok(sc_ask_method_named(&m, "think"));
    m.think_least = 1000;
    fails(sc_ask_method_check(&m), SC_EINVAL, "at least 1000");
    m.think_least = 0;
    m.threshold = NAN;
    fails(sc_ask_method_check(&m), SC_EINVAL, "threshold");
}

/* ---- by the endpoint that reasons by rule ---- */

static void solves(sc_asker *a, const char *method, const sc_ask_task *t, sc_ask_method *changed,
                   const char *answer, sc_ask_solution *out)
{
    sc_ask_method m;
    sc_ask_question q = {.input = text_of("What is 20 plus 3?")};
    ok(sc_ask_method_named(&m, method));
    if (changed) m = *changed;
    ok(sc_ask_solve(a, &m, t, &q, 1, out, NULL, NULL));
    assert_string_equal(out->answer, answer);
}

static void reasons_and_votes(void **state)
{
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "adds"});
    sc_ask_solution s;
    sc_ask_task t = {.kind = SC_ANSWER_NUMBER, .instruction = "Add."};
    solves(a, "zero-shot", &t, NULL, "23", &s);
    sc_ask_solutions_free(&s, 1);
    /* seed 0 is wrong, 2 must be called for its answer */
    solves(a, "cot", &t, NULL, "24", &s);
    assert_non_null(strstr(s.text, "step by step. Roughly 24"));
    sc_ask_solutions_free(&s, 1);
    solves(a, "self-consistency:3", &t, NULL, "23", &s);
    assert_true(s.samples == 3 && s.votes == 2 && fabs(s.confidence - 2.0 / 3) < 1e-12);
    assert_non_null(strstr(s.details, "Therefore, the answer is 23"));
    sc_ask_solutions_free(&s, 1);
    solves(a, "self-consistency:9", &t, NULL, "23", &s);
    assert_int_equal(s.votes, 6);
    sc_ask_solutions_free(&s, 1);
    sc_asker_free(a);
}

static const json_t *find_logged(const json_t *all, const char *part)
{
    for (size_t i = json_array_size(all); i-- > 0;) {
        char *text = json_dumps(json_array_get(all, i), JSON_COMPACT);
        bool there = strstr(text, part) != NULL;
        free(text);
        if (there) return json_array_get(all, i);
    }
    return NULL;
}

static void examples_are_turns(void **state)
{
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "adds"});
    sc_ask_solution s;
    sc_ask_method m;
    sc_ask_task t = {.instruction = "Add."};
    t.examples =
        examples_of("{\"input\": \"What is 1 plus 1?\", \"answer\": \"2\", \"reasoning\": \"One and one.\"}\n"
                    "{\"input\": \"What is 2 plus 2?\", \"answer\": \"4\"}\n");
    ok(sc_ask_method_named(&m, "few-shot-cot:2"));
    m.pick = SC_PICK_FIRST;
    solves(a, "few-shot-cot", &t, &m, "23", &s);
    sc_ask_solutions_free(&s, 1);
    json_t *all = logged(state);
    const json_t *list = json_object_get(json_array_get(all, 0), "messages");
    static const char *const want[][2] = {{"system", "Add."},
                                          {"user", "What is 1 plus 1?"},
                                          {"assistant", "One and one. The answer is 2."},
                                          {"user", "What is 2 plus 2?"},
                                          {"assistant", "4"},
                                          {"user", "What is 20 plus 3?"}};
    assert_int_equal(json_array_size(list), SC_COUNT(want));
    for (int i = 0; i < SC_COUNT(want); i++) {
        const json_t *o = json_array_get(list, (size_t)i);
        assert_string_equal(json_string_value(json_object_get(o, "role")), want[i][0]);
        assert_string_equal(json_string_value(json_object_get(o, "content")), want[i][1]);
    }
    json_decref(all);
    /* as one text, and with the answers exchanged */
    t.form = SC_FORM_PLAIN;
    m.swap_labels = 1;
    for (int k = 1; k < 20; k++) { /* some number exchanges the two */
        m.swap_labels = (uint64_t)k;
        solves(a, "few-shot-cot", &t, &m, "23", &s);
        bool swapped = strstr(s.details, "One and one. The answer is 4.") != NULL;
        sc_ask_solutions_free(&s, 1);
        if (swapped) break;
        assert_true(k < 19);
    }
    all = logged(state);
    const json_t *o = find_logged(all, "plus 3?\\nAnswer:\"");
    assert_string_equal(
        json_string_value(json_object_get(o, "prompt")),
        "Add.\n\nQuestion: What is 1 plus 1?\nAnswer: One and one. The answer is 4.\n\nQuestion: What is 2 "
        "plus 2?\nAnswer: 2\n\nQuestion: What is 20 plus 3?\nAnswer:");
    assert_string_equal(json_string_value(json_array_get(json_object_get(o, "stop"), 0)), "\nQuestion:");
    json_decref(all);
    sc_ask_examples_free(t.examples);
    sc_asker_free(a);
}

static void trees_go_back_from_what_is_wrong(void **state)
{
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "adds"});
    sc_ask_solution s;
    sc_ask_method m;
    sc_ask_task t = {.kind = SC_ANSWER_NUMBER};
    static const char *const names[] = {"tree", "tree-dfs"};
    for (int k = 0; k < 4; k++) {
        ok(sc_ask_method_named(&m, names[k / 2]));
        m.valuing = k % 2 ? SC_VALUE_VOTED : SC_VALUE_JUDGED;
        m.keep = 1;
        solves(a, "tree", &t, &m, "23", &s);
        if (!strstr(s.text, "Step 1: add them\nStep 2: The answer is 23.")) fail_msg("%s", s.text);
        assert_non_null(strstr(s.details, "wrong way"));
        sc_ask_solutions_free(&s, 1);
    }
    sc_asker_free(a);
}

static void thinking_is_lengthened_and_ended(void **state)
{
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "adds"});
    sc_ask_solution s;
    sc_ask_method m;
    sc_ask_task t = {.kind = SC_ANSWER_NUMBER};
    ok(sc_ask_method_named(&m, "think:100"));
    solves(a, "think", &t, &m, "23", &s);
    assert_string_equal(s.text, "Let's think it through.\nhm\nFinal answer: 23.");
    sc_ask_solutions_free(&s, 1);
    m.think_least = 9; /* each answer is 4 tokens there: three rounds */
    solves(a, "think", &t, &m, "23", &s);
    assert_string_equal(s.text, "Let's think it through.\nhm\nWait, still\nWait, once more\nFinal answer: 23.");
    sc_ask_solutions_free(&s, 1);
    m.think_least = m.think_most = 4;
    solves(a, "think", &t, &m, "23", &s);
    assert_string_equal(s.text, "Let's think it through.\nhm\nFinal answer: 23.");
    sc_ask_solutions_free(&s, 1);
    sc_asker_free(a);
}

/* Wants the number that only the wrong sample gives. */
static sc_status wants_24(void *user, sc_text prompt, const sc_text *answers, int64_t n, double *out)
{
    (void)user;
    is_text(prompt, "What is 20 plus 3?");
    for (int64_t i = 0; i < n; i++) out[i] = memmem(answers[i].p, (size_t)answers[i].len, "24", 2) ? 2 : 1;
    return SC_OK;
}

static sc_status nonsense(void *user, sc_text prompt, const sc_text *answers, int64_t n, double *out)
{
    (void)user, (void)prompt, (void)answers;
    for (int64_t i = 0; i < n; i++) out[i] = NAN;
    return SC_OK;
}

static void rewards_choose(void **state)
{
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "adds"});
    sc_ask_solution s;
    sc_ask_method m;
    sc_ask_task t = {.kind = SC_ANSWER_NUMBER, .reward = {wants_24, NULL}};
    sc_ask_question q = {.input = text_of("What is 20 plus 3?")};
    ok(sc_ask_method_named(&m, "self-consistency:6"));
    m.choosing = SC_CHOOSE_REWARD;
    solves(a, "self-consistency", &t, &m, "24", &s);
    assert_int_equal(s.votes, 2);
    sc_ask_solutions_free(&s, 1);
    t.reward.score = nonsense;
    fails(sc_ask_solve(a, &m, &t, &q, 1, &s, NULL, NULL), SC_EINVAL, "not a number");
    t.reward.score = NULL;
    fails(sc_ask_solve(a, &m, &t, &q, 1, &s, NULL, NULL), SC_EINVAL, "there is none");
    t.kind = SC_ANSWER_CHOICE;
    m.choosing = SC_CHOOSE_VOTE;
    fails(sc_ask_solve(a, &m, &t, &q, 1, &s, NULL, NULL), SC_EINVAL, "question 1: a question without choices");
    sc_asker_free(a);
}

static void the_likeliest_is_taken(void **state)
{
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "m"});
    sc_ask_solution s;
    sc_ask_method m;
    sc_ask_question q = {.input = text_of("x")};
    ok(sc_ask_method_named(&m, "best-of-n:6"));
    for (int form = SC_FORM_PLAIN; form <= SC_FORM_CHAT; form++) {
        ok(sc_ask_solve(a, &m, &(sc_ask_task){.form = (sc_ask_form)form}, &q, 1, &s, NULL, NULL));
        assert_string_equal(s.answer, "m heard x (3)");
        sc_ask_solutions_free(&s, 1);
    }
    sc_asker_free(a);
    a = endpoint_asker(state, &(sc_asker_api){.model = "no-logprobs"});
    fails(sc_ask_solve(a, &m, &(sc_ask_task){0}, &q, 1, &s, NULL, NULL), SC_EUNSUPPORTED,
          "no-logprobs tells no likelihood");
    sc_asker_free(a);
}

static void choices_by_words_or_likelihood(void **state)
{
    sc_asker *a = endpoint_asker(state, &(sc_asker_api){.model = "adds"});
    sc_ask_solution s;
    sc_ask_method m;
    const sc_text choices[] = {text_of("22"), text_of("23")};
    sc_ask_question q = {.input = text_of("What is 20 plus 3?"), .choices = choices, .n_choices = 2};
    ok(sc_ask_method_named(&m, "zero-shot"));
    ok(sc_ask_solve(a, &m, &(sc_ask_task){0}, &q, 1, &s, NULL, NULL));
    assert_string_equal(s.answer, "23");
    assert_non_null(strstr(s.details, "Options:\\\\n- 22\\\\n- 23"));
    sc_ask_solutions_free(&s, 1);
    sc_asker_free(a);
    /* its likelihoods are -1/8 a character of each word, so the shares are e^(-3/8) to e^(-6/8) */
    const sc_text words[] = {text_of("to"), text_of("or not")};
    a = endpoint_asker(state, &(sc_asker_api){.model = "m"});
    q = (sc_ask_question){.input = text_of("x"), .choices = words, .n_choices = 2};
    ok(sc_ask_solve(a, &m, &(sc_ask_task){.form = SC_FORM_PLAIN}, &q, 1, &s, NULL, NULL));
    assert_string_equal(s.answer, "or not"); /* -7/8 over 6 bytes is more than -3/8 over 2 */
    assert_true(fabs(s.confidence - 1 / (1 + exp(4.0 / 8))) < 1e-9);
    sc_ask_solutions_free(&s, 1);
    sc_asker_free(a);
    /* and where an endpoint tells none, it is asked */
    a = endpoint_asker(state, &(sc_asker_api){.model = "no-logprobs"});
    q.choices = (const sc_text[]){text_of("heard"), text_of("seen")};
    ok(sc_ask_solve(a, &m, &(sc_ask_task){.form = SC_FORM_PLAIN}, &q, 1, &s, NULL, NULL));
    assert_string_equal(s.answer, "heard");
    sc_ask_solutions_free(&s, 1);
    sc_asker_free(a);
}

/* ---- by a small model here ---- */

static sc_asker *local(sc_context *ctx, int batch)
{
    sc_asker *a;
    ok(sc_asker_open(&a, ctx, CHAT_MODEL, &(sc_asker_options){.batch = batch}));
    return a;
}

static bool count_done(void *user, int64_t i, const void *result)
{
    (void)i;
    assert_non_null(((const sc_ask_solution *)result)->answer);
    ++*(int *)user;
    return true;
}

static void every_way_is_the_same_in_any_batch(void **state)
{
    (void)state;
    enum { N = 3 };
    static const char *const names[] = {"zero-shot",   "few-shot:2", "cot",      "self-consistency:3",
                                        "best-of-n:3", "tree",       "tree-dfs", "think:20"};
    sc_context *ctx;
    ok(sc_context_new(&ctx, &(sc_context_options){.threads = 2}));
    sc_asker *one = local(ctx, 1), *many = local(ctx, 8);
    sc_ask_task t = {.kind = SC_ANSWER_TEXT, .examples = examples_of(pool)};
    sc_ask_question q[N] = {{.input = text_of("a")}, {.input = text_of("the cat")}, {.input = text_of("고양이")}};
    for (int k = 0; k < SC_COUNT(names); k++) {
        sc_ask_solution x[N], y[N];
        sc_ask_method m;
        int done = 0;
        ok(sc_ask_method_named(&m, names[k]));
        m.reason_tokens = m.answer_tokens = 10;
        m.steps = 2;
        t.form = k % 2 ? SC_FORM_PLAIN : SC_FORM_CHAT;
        m.valuing = k == 5 ? SC_VALUE_LIKELIHOOD : SC_VALUE_JUDGED;
        m.seed = (uint64_t)k;
        ok(sc_ask_solve(one, &m, &t, q, N, x, count_done, &done));
        assert_int_equal(done, N);
        ok(sc_ask_solve(many, &m, &t, q, N, y, NULL, NULL));
        for (int i = 0; i < N; i++) {
            assert_string_equal(x[i].text, y[i].text);
            assert_string_equal(x[i].answer, y[i].answer);
            assert_string_equal(x[i].details, y[i].details);
        }
        sc_ask_solutions_free(x, N);
        sc_ask_solutions_free(y, N);
    }
    sc_ask_examples_free(t.examples);
    sc_asker_free(one);
    sc_asker_free(many);
    sc_context_free(ctx);
}

static void choices_are_compared_per_byte(void **state)
{
    (void)state;
    sc_context *ctx;
    ok(sc_context_new(&ctx, NULL));
    sc_asker *a = local(ctx, 2);
    const sc_text choices[] = {text_of("animal"), text_of("money"), text_of("something else")};
    const char prompt[] = "Question: a horse\nAnswer:";
    sc_ask_continuation c[3];
    sc_ask_score score[3];
    char text[3][32];
    int best = 0;
    for (int k = 0; k < 3; k++) {
        snprintf(text[k], sizeof text[k], " %s", choices[k].p);
        c[k] = (sc_ask_continuation){.context = text_of(prompt), .continuation = text_of(text[k])};
    }
    ok(sc_asker_score(a, c, 3, score, NULL, NULL));
    for (int k = 1; k < 3; k++)
        if (score[k].logprob / (double)choices[k].len > score[best].logprob / (double)choices[best].len) best = k;
    sc_ask_method m;
    sc_ask_solution s;
    sc_ask_question q = {.input = text_of("a horse"), .choices = choices, .n_choices = 3};
    ok(sc_ask_method_named(&m, "zero-shot"));
    ok(sc_ask_solve(a, &m, &(sc_ask_task){.form = SC_FORM_PLAIN}, &q, 1, &s, NULL, NULL));
    assert_string_equal(s.answer, choices[best].p);
    double sum = 0;
    for (int k = 0; k < 3; k++) sum += exp(score[k].logprob - score[best].logprob);
    assert_true(fabs(s.confidence - 1 / sum) < 1e-9);
    sc_ask_solutions_free(&s, 1);
    sc_asker_free(a);
    sc_context_free(ctx);
}

static void stability_is_told(void **state)
{
    (void)state;
    enum { N = 4 };
    sc_context *ctx;
    ok(sc_context_new(&ctx, NULL));
    sc_asker *a = local(ctx, 4);
    const sc_text choices[] = {text_of("animal"), text_of("money")};
    sc_ask_question q[N];
    static const char *const inputs[N] = {"a bird", "the dollar", "coins and notes", "a pony"},
                             *const answers[N] = {"animal", "money", "money", "animal"};
    for (int i = 0; i < N; i++)
        q[i] = (sc_ask_question){.input = text_of(inputs[i]), .choices = choices, .n_choices = 2};
    sc_ask_task t = {.examples = examples_of(pool), .form = SC_FORM_PLAIN};
    sc_ask_method m;
    sc_ask_stability x;
    ok(sc_ask_method_named(&m, "few-shot:4"));
    ok(sc_ask_stability_of(a, &m, &t, q, answers, N, 3, &x));
    assert_true(x.orders == 3 && x.same_order >= 0 && x.same_order <= 1 && x.same_labels >= 0 &&
                x.same_labels <= 1);
    assert_true(x.least <= x.mean && x.mean <= x.most && x.labels >= 0 && x.labels <= 1);
    ok(sc_ask_stability_of(a, &m, &t, q, NULL, N, 2, &x));
    assert_true(isnan(x.mean) && isnan(x.labels));
    fails(sc_ask_stability_of(a, &m, &t, q, NULL, N, 1, &x), SC_EINVAL, "1 orders");
    m.shots = 0;
    fails(sc_ask_stability_of(a, &m, &t, q, NULL, N, 2, &x), SC_EINVAL, "with examples");
    sc_ask_examples_free(t.examples);
    sc_asker_free(a);
    sc_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extracts_answers),
        cmocka_unit_test(compares_answers),
        cmocka_unit_test(reads_examples),
        cmocka_unit_test(picks_examples),
        cmocka_unit_test(methods_have_names),
        cmocka_unit_test_setup_teardown(reasons_and_votes, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(examples_are_turns, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(trees_go_back_from_what_is_wrong, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(thinking_is_lengthened_and_ended, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(rewards_choose, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(the_likeliest_is_taken, start_endpoint, stop_endpoint),
        cmocka_unit_test_setup_teardown(choices_by_words_or_likelihood, start_endpoint, stop_endpoint),
        cmocka_unit_test(every_way_is_the_same_in_any_batch),
        cmocka_unit_test(choices_are_compared_per_byte),
        cmocka_unit_test(stability_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
