/* SPDX-License-Identifier: Apache-2.0 */
/* Test items answered by one method, and how good the answers are. */
#include "compare/compare.h"

static sc_text text_of(const char *p) { return (sc_text){p, p ? (int64_t)strlen(p) : 0}; }

void sc_compare_asked_free(sc_compare_asked *a)
{
    sc_free(a->said);
    sc_free(a->thought);
    *a = (sc_compare_asked){0};
}

/* ---- worked examples ---- */

/* What leads to "#### 72" is reasoning, as it is written in GSM8K. */
static sc_status add_example(sc_compare_asking *a, const sc_compare_item *item)
{
    char *prompt = sc_compare_prompt(a->o, a->task, item);
    if (!prompt) return sc_nomem();
    const char *answer = sc_compare_gold(a->task, item), *mark = strstr(answer, "####");
    sc_ask_example x = {.input = text_of(prompt), .answer = text_of(answer)};
    if (mark) {
        x.reasoning = (sc_text){answer, mark - answer};
        x.answer = text_of(mark + 4 + strspn(mark + 4, " "));
    }
    sc_status s = sc_ask_examples_add(a->ask.examples, &x);
    sc_free(prompt);
    return s;
}

sc_status sc_compare_asking_open(sc_compare_asking *a, const sc_compare_options *o, const sc_compare_task *t,
                                 const sc_compare_method *m, sc_asker *asker, sc_ask_judge *judge, uint64_t seed)
{
    static const sc_answer_kind kinds[] = {SC_ANSWER_CHOICE, SC_ANSWER_TEXT, SC_ANSWER_NUMBER, SC_ANSWER_TEXT};
    *a = (sc_compare_asking){.o = o, .task = t, .asker = asker, .method = m->ask};
    a->method.seed = seed;
    a->beginning = sc_compare_beginning(o);
    a->ask = (sc_ask_task){.instruction = o->instruction,
                           .bare = true,
                           .labels = !t->own_choices || t->lists,
                           .input_label = t->eval ? NULL : a->beginning,
                           .form = o->chat ? SC_FORM_CHAT : SC_FORM_PLAIN,
                           .kind = kinds[t->metric]};
    if (judge) a->ask.reward = sc_ask_judge_reward(judge);
    /* Who was trained on worked answers works them out. */
    bool worked = t->train.n > 0 && strstr(t->train.item[0]->answer, "####");
    if (m->learns && worked) a->method.answer_tokens += a->method.reason_tokens;
    bool examples = a->method.shots || m->learns; /* of the latter their answers' form alone */
    sc_status s = examples ? sc_ask_examples_new(&a->ask.examples) : SC_OK;
    for (int64_t i = 0; !s && examples && i < t->train.n; i++) s = add_example(a, t->train.item[i]);
    return s;
}

void sc_compare_asking_close(sc_compare_asking *a)
{
    sc_ask_examples_free(a->ask.examples);
    sc_free(a->beginning);
    *a = (sc_compare_asking){0};
}

/* ---- grades ---- */

static sc_status grade_number(double *out, const sc_compare_item *item, const char *said)
{
    *out = 0;
    for (int i = 0; i < item->n_correct; i++) {
        char *gold;
        sc_status s =
            sc_ask_extract(&gold, SC_ANSWER_NUMBER, item->correct[i], (int64_t)strlen(item->correct[i]), NULL, 0);
        if (s) return s;
        if (gold && sc_ask_same(SC_ANSWER_NUMBER, gold, said)) *out = 1;
        sc_free(gold);
    }
    return SC_OK;
}

sc_status sc_compare_grade(double *out, const sc_compare_task *t, const sc_compare_item *item,
                           const sc_ask_solution *y)
{
    switch (t->metric) {
    case SC_COMPARE_CHOICE: *out = strcmp(y->answer, sc_compare_choice(t, item, item->target)) == 0; return SC_OK;
    case SC_COMPARE_NUMBER: return grade_number(out, item, y->answer);
    case SC_COMPARE_TASK: return sc_eval_grade(out, t->eval, item->place, y->text);
    case SC_COMPARE_EXACT: break;
    }
    *out = 0;
    for (int i = 0; i < item->n_correct; i++)
        if (sc_ask_same(SC_ANSWER_TEXT, item->correct[i], y->answer)) *out = 1;
    return SC_OK;
}

/* ---- questions ---- */

static sc_status take(const sc_compare_asking *a, const sc_compare_item *item, sc_ask_solution *y,
                      sc_compare_asked *out)
{
    sc_status s = sc_compare_grade(&out->score, a->task, item, y);
    char **said = a->task->metric == SC_COMPARE_TASK ? &y->text : &y->answer;
    if (s) return s;
    out->said = *said;
    *said = NULL;
    if (a->method.reasoning != SC_REASON_NONE && y->text) {
        out->thought = y->text;
        y->text = NULL;
    }
    return SC_OK;
}

static sc_status set_question(const sc_compare_asking *a, const sc_compare_item *item, sc_arena *arena,
                              sc_ask_question *q)
{
    char *prompt = sc_compare_prompt(a->o, a->task, item);
    sc_text *choices = sc_arena_alloc(arena, sizeof *choices * (size_t)(item->n_choices + 1));
    if (!prompt || !choices) {
        sc_free(prompt);
        return sc_nomem();
    }
    for (int k = 0; k < item->n_choices; k++) choices[k] = text_of(sc_compare_choice(a->task, item, k));
    *q = (sc_ask_question){text_of(prompt), choices, item->n_choices};
    return SC_OK;
}

sc_status sc_compare_ask(sc_compare_asking *a, const sc_compare_item *const *item, int64_t n, sc_compare_asked *out)
{
    sc_arena *arena = sc_arena_new();
    sc_ask_question *q = sc_calloc((size_t)n, sizeof *q);
    sc_ask_solution *y = sc_calloc((size_t)n, sizeof *y);
    sc_status s = arena && q && y ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) s = set_question(a, item[i], arena, &q[i]);
    if (!s) s = sc_ask_solve(a->asker, &a->method, &a->ask, q, n, y, NULL, NULL);
    for (int64_t i = 0; !s && i < n; i++) s = take(a, item[i], &y[i], &out[i]);
    for (int64_t i = 0; q && i < n; i++) sc_free((char *)(uintptr_t)q[i].input.p);
    if (y) sc_ask_solutions_free(y, n);
    sc_free(y);
    sc_free(q);
    sc_arena_free(arena);
    return s;
}
