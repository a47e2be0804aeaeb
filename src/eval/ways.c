/* SPDX-License-Identifier: Apache-2.0 */
/* A task asked in another way than its own prompts: by a method of asking.h, with the task's examples, questions and metrics. */
#include "eval/run.h"

#include "socle/asking.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_EXAMPLES = 500, MOST_LABEL = 24 };

typedef struct question {
    sc_text input; /* within the item's question */
    sc_text *choices;
    sc_eval_item item;
    char key[33];
    const json_t *value; /* borrowed from the cache: {"answer", "text", "samples", "votes", "tokens"} */
} question;

typedef struct ways {
    const sc_eval_task *t;
    const sc_eval_options *o;
    sc_context *ctx;
    sc_eval_requester requester;
    sc_ask_method method;
    sc_ask_task task;
    char *input_label, *answer_label, *instruction;
    sc_str examples; /* all of them, for keys of requests */
    question *q;
    int64_t n, asked, *at; /* at: those that are asked */
    sc_eval_result *result;
    double *x[SC_TASK_METRICS];
    sc_status status;
} ways;

static void end(ways *w)
{
    for (int64_t i = 0; w->q && i < w->n; i++) {
        sc_eval_item_free(&w->q[i].item);
        sc_free(w->q[i].choices);
    }
    for (int i = 0; i < SC_TASK_METRICS; i++) sc_free(w->x[i]);
    sc_free(w->q);
    sc_free(w->at);
    sc_ask_examples_free(w->task.examples);
    sc_str_free(&w->examples);
    sc_free(w->input_label);
    sc_free(w->answer_label);
    sc_free(w->instruction);
    sc_eval_requester_end(&w->requester);
    sc_eval_result_free(w->result);
}

/* ---- questions without their labels, "Question: " before and "Answer:" behind, which a way of asking puts itself ---- */

static sc_text inner(const char *p, sc_text *before, sc_text *behind)
{
    int64_t n = (int64_t)strlen(p);
    const char *colon = strstr(p, ": "), *line = memrchr(p, '\n', (size_t)n);
    *before = *behind = (sc_text){0};
    if (colon && colon - p < MOST_LABEL && !memchr(p, '\n', (size_t)(colon - p)))
        *before = (sc_text){p, colon + 2 - p};
    if (line && n && p[n - 1] == ':' && p + n - line <= MOST_LABEL) *behind = (sc_text){line + 1, p + n - line - 1};
    return (sc_text){p + before->len, (behind->len ? line - p : n) - before->len};
}

static char *copy(sc_text t) { return sc_strndup(t.p, (size_t)t.len); }

static sc_status make_labels(ways *w, const char *whole)
{
    sc_text before, behind;
    inner(whole, &before, &behind);
    if (before.len && !(w->input_label = copy(before))) return sc_nomem();
    if (behind.len && !(w->answer_label = copy(behind))) return sc_nomem();
    w->task.input_label = w->input_label;
    w->task.answer_label = w->answer_label;
    return SC_OK;
}

static sc_status make_choices(sc_text **out, const sc_eval_item *item)
{
    *out = sc_calloc((size_t)SC_MAX(item->n_choices, 1), sizeof **out);
    for (int64_t i = 0; *out && i < item->n_choices; i++)
        (*out)[i] = (sc_text){item->choices[i], (int64_t)strlen(item->choices[i])};
    return *out ? SC_OK : sc_nomem();
}

/* "16 - 3 = 13\n#### 13" is reasoning and an answer (GSM8K); so is what ends in a line "Answer: 13". */
static void part_answer(sc_text answer, sc_ask_example *x)
{
    static const char *const marks[] = {"####", "\nAnswer:", "\n답:"};
    x->answer = answer;
    for (int i = 0; i < SC_COUNT(marks); i++) {
        size_t k = strlen(marks[i]);
        const char *hit = memmem(answer.p, (size_t)answer.len, marks[i], k);
        if (!hit) continue;
        x->reasoning = (sc_text){answer.p, hit - answer.p};
        x->answer = (sc_text){hit + k, answer.p + answer.len - hit - (int64_t)k};
        sc_py_strip(&x->reasoning.p, &x->reasoning.len);
        sc_py_strip(&x->answer.p, &x->answer.len);
        return;
    }
}

static sc_status make_examples(ways *w)
{
    sc_status s = sc_ask_examples_new(&w->task.examples);
    int64_t n = SC_MIN(sc_eval_task_items(w->t, SC_EVAL_EXAMPLES), MOST_EXAMPLES);
    for (int64_t i = 0; !s && i < n; i++) {
        sc_eval_item item;
        sc_text before, behind, *choices = NULL;
        s = sc_eval_item_get(&item, w->t, SC_EVAL_EXAMPLES, i);
        if (s) break;
        sc_ask_example x = {.input = inner(item.question, &before, &behind), .n_choices = item.n_choices};
        s = make_choices(&choices, &item);
        x.choices = choices;
        part_answer((sc_text){item.answer, (int64_t)strlen(item.answer)}, &x);
        if (!s && x.answer.len) s = sc_ask_examples_add(w->task.examples, &x);
        sc_str_printf(&w->examples, "%s|%s\n", item.question, item.answer);
        sc_free(choices);
        sc_eval_item_free(&item);
    }
    return s;
}

static sc_status make_question(ways *w, int64_t i)
{
    question *q = &w->q[i];
    sc_text before, behind;
    sc_status s = sc_eval_item_get(&q->item, w->t, SC_EVAL_TEST, i);
    if (!s) s = make_choices(&q->choices, &q->item);
    if (s) return s;
    q->input = inner(q->item.question, &before, &behind);
    sc_str all = {0};
    sc_str_printf(&all, "%s %d %llu %d %lld|", w->o->method, w->method.shots, (unsigned long long)w->method.seed,
                  w->o->chat, (long long)w->method.reason_tokens);
    for (int64_t k = 0; k < q->item.n_choices; k++) sc_str_printf(&all, "%s|", q->item.choices[k]);
    if (all.oom || w->examples.oom)
        s = sc_nomem();
    else
        sc_eval_cache_key(q->key,
                          (const char *const[]){w->requester.identity, w->examples.p ? w->examples.p : "", all.p,
                                                w->instruction ? w->instruction : "", q->item.question},
                          5);
    sc_str_free(&all);
    return s;
}

/* ---- asking ---- */

static bool keep(void *user, int64_t i, const void *result)
{
    ways *w = user;
    const sc_ask_solution *x = result;
    w->status =
        sc_eval_cache_put(w->requester.cache, w->q[w->at[i]].key,
                          json_pack("{s:s, s:s, s:i, s:i, s:I}", "answer", x->answer, "text", x->text, "samples",
                                    x->samples, "votes", x->votes, "tokens", (json_int_t)x->tokens));
    return !w->status;
}

static sc_status ask(ways *w, sc_asker *asker)
{
    sc_ask_question *q = sc_calloc((size_t)SC_MAX(w->n, 1), sizeof *q);
    sc_ask_solution *x = sc_calloc((size_t)SC_MAX(w->n, 1), sizeof *x);
    w->at = sc_malloc((size_t)SC_MAX(w->n, 1) * sizeof *w->at);
    sc_status s = q && x && w->at ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < w->n; i++) {
        if (sc_eval_cache_get(w->requester.cache, w->q[i].key)) {
            w->requester.cached++;
            continue;
        }
        q[w->asked] = (sc_ask_question){w->q[i].input, w->q[i].item.n_choices ? w->q[i].choices : NULL,
                                        w->q[i].item.n_choices};
        w->at[w->asked++] = i;
    }
    if (!s && w->asked) {
        s = sc_ask_solve(asker, &w->method, &w->task, q, w->asked, x, keep, w);
        if (w->status)
            s = w->status;
        else if (!s)
            sc_ask_solutions_free(x, w->asked);
    }
    for (int64_t i = 0; !s && i < w->n; i++)
        if (!(w->q[i].value = sc_eval_cache_get(w->requester.cache, w->q[i].key)))
            s = sc_fail(SC_EINVAL, "no answer was given");
    sc_free(q);
    sc_free(x);
    return s;
}

/* ---- measuring ---- */

static int64_t chosen_of(const question *q, const char *answer)
{
    for (int64_t i = 0; i < q->item.n_choices; i++)
        if (strcmp(q->item.choices[i], answer) == 0) return i;
    return -1;
}

/* Where answers are texts: the task's metrics; of choices and words whether they are right. */
static sc_status measure(ways *w, int64_t i, const char *answer, json_t *said, double *score)
{
    const json_t *row = json_array_get(w->t->rows, (size_t)i);
    question *q = &w->q[i];
    if (w->t->kind != SC_EVAL_GENERATE) {
        sc_status s = SC_OK;
        if (q->item.n_choices)
            *score = chosen_of(q, answer) == q->item.gold && q->item.gold >= 0;
        else
            s = sc_eval_grade(score, w->t, i, answer);
        w->x[0][i] = *score;
        json_object_set_new(said, "acc", json_real(*score));
        return s;
    }
    sc_eval_parts parts;
    sc_status s = sc_eval_parts_get(&parts, w->t, row, false);
    if (s) return s;
    json_t *text = json_string(answer);
    for (int k = 0; !s && text && k < w->t->n_metrics; k++) {
        const sc_task_metric *m = &w->t->metric[k];
        double x[SC_METRIC_WIDTH] = {0};
        int width = m->aggregation->width;
        s = m->kind->item(m, &(sc_outcome){.t = w->t, .row = row, .parts = &parts, .answer = text, .ctx = w->ctx},
                          x);
        memcpy(w->x[k] + i * width, x, (size_t)width * sizeof *x);
        if (m->kind->single && isnan(*score)) *score = x[0];
        if (m->kind->single) json_object_set_new(said, m->title, json_real(x[0]));
    }
    if (!text) s = sc_fail(SC_EFORMAT, "an answer that is not UTF-8");
    json_decref(text);
    sc_eval_parts_free(&parts);
    return s;
}

static sc_status finish(ways *w, int64_t i)
{
    const question *q = &w->q[i];
    const char *answer = json_string_value(json_object_get(q->value, "answer"));
    sc_eval_sample sample = {.item = i,
                             .target = q->item.answer,
                             .answer = answer ? answer : "",
                             .score = NAN,
                             .gold = q->item.gold,
                             .chosen = -1};
    json_t *said = json_object();
    sc_status s = said ? measure(w, i, sample.answer, said, &sample.score) : sc_nomem();
    sample.chosen = chosen_of(q, sample.answer);
    json_t *line = json_pack("{s:I, s:O, s:s, s:s, s:O, s:O}", "item", (json_int_t)i, "row",
                             json_array_get(w->t->rows, (size_t)i), "target", q->item.answer, "method",
                             w->o->method, "said", q->value, "metrics", said);
    json_decref(said);
    if (s) {
        json_decref(line);
        return s;
    }
    return sc_eval_result_set(w->result, i, &sample, line);
}

static sc_status measure_all(ways *w)
{
    bool texts = w->t->kind == SC_EVAL_GENERATE;
    int n = texts ? w->t->n_metrics : 1;
    sc_status s = SC_OK;
    for (int k = 0; !s && k < n; k++) {
        int width = texts ? w->t->metric[k].aggregation->width : 1;
        if (!(w->x[k] = sc_calloc((size_t)(w->n * width) + 1, sizeof *w->x[k]))) s = sc_nomem();
    }
    for (int64_t i = 0; !s && i < w->n; i++) s = finish(w, i);
    for (int k = 0; !s && k < n; k++) {
        const sc_task_metric *m = texts ? &w->t->metric[k] : NULL;
        sc_eval_metric out = {.name = m ? m->title : "acc",
                              .filter = w->o->method,
                              .n = w->n,
                              .higher_is_better = m ? m->higher : true};
        s = sc_aggregate(m ? m->aggregation : sc_aggregation_named("mean"), w->x[k], w->n, w->o->bootstrap, w->ctx,
                         &out.value, &out.error);
        if (!s) s = sc_eval_result_add(w->result, &out);
    }
    return s;
}

static sc_status check(const ways *w)
{
    if (w->t->kind == SC_EVAL_ROLLING || w->t->many_inputs)
        return sc_fail(SC_EUNSUPPORTED, "%s: has no questions that a method could ask", w->t->name);
    for (int i = 0; i < w->t->n_metrics; i++)
        if (w->t->metric[i].kind->item == sc_pass_item)
            return sc_fail(SC_EUNSUPPORTED, "%s: programs are asked for by the task's own prompts alone",
                           w->t->name);
    return SC_OK;
}

static sc_status prepare(ways *w)
{
    sc_status s = sc_ask_method_named(&w->method, w->o->method);
    if (!s) s = check(w);
    if (s) return s;
    if (w->o->shots >= 0 && w->method.shots) w->method.shots = (int)w->o->shots;
    if (w->o->most_tokens) w->method.reason_tokens = w->method.answer_tokens = w->o->most_tokens;
    w->method.seed = w->o->seed;
    w->task.form = w->o->chat ? SC_FORM_CHAT : SC_FORM_PLAIN;
    const json_t *first = json_array_get(w->t->rows, 0);
    char *description = NULL;
    sc_eval_item item;
    s = sc_eval_value_text(&description, &w->t->description, first);
    if (s) return s;
    sc_str all = {0};
    sc_str_printf(&all, "%s%s%s", w->o->system ? w->o->system : "", w->o->system && *description ? "\n\n" : "",
                  description);
    sc_free(description);
    const char *p = all.p ? all.p : "";
    int64_t n = all.len;
    sc_py_strip(&p, &n);
    if (n && !(w->instruction = sc_strndup(p, (size_t)n))) s = sc_nomem();
    sc_str_free(&all);
    w->task.instruction = w->instruction;
    if (!s) s = sc_eval_item_get(&item, w->t, SC_EVAL_TEST, 0);
    if (s) return s;
    s = make_labels(w, item.question);
    sc_eval_item_free(&item);
    if (!s && w->method.shots) s = make_examples(w);
    if (!s && !(w->q = sc_calloc((size_t)SC_MAX(w->n, 1), sizeof *w->q))) s = sc_nomem();
    for (int64_t i = 0; !s && i < w->n; i++) s = make_question(w, i);
    return s;
}

sc_status sc_eval_run_method(sc_eval_result **out, sc_context *ctx, const sc_eval_task *t, sc_asker *asker,
                             const sc_eval_options *o, int64_t items)
{
    ways w = {.t = t, .o = o, .ctx = ctx, .n = items};
    double began = sc_now();
    sc_status s = sc_eval_requester_start(&w.requester, ctx, t, o, asker);
    if (!s) s = prepare(&w);
    if (!s) s = sc_eval_result_new(&w.result, t, items);
    if (!s) s = ask(&w, asker);
    if (!s) s = measure_all(&w);
    if (!s) {
        w.result->shots = w.method.shots;
        w.result->requests = items;
        w.result->cached = w.requester.cached;
        w.result->seconds = sc_now() - began;
        *out = w.result;
        w.result = NULL;
    }
    end(&w);
    return s;
}
