/* SPDX-License-Identifier: Apache-2.0 */
/* A task from its first item to its metrics: windows of items are asked for and measured one after the other. */
#include "eval/run.h"

#include <math.h>
#include <stdlib.h>

sc_eval_options sc_eval_options_default(void)
{
    return (sc_eval_options){.shots = -1, .seed = 1234, .bootstrap = 100000};
}

typedef struct runner {
    const sc_eval_task *t;
    sc_eval_options o;
    sc_context *ctx;
    sc_eval_requester requester;
    sc_eval_prompter prompter;
    sc_eval_window window;
    sc_eval_numbers numbers;
    sc_eval_result *result;
    sc_sandbox *box; /* NULL: no programs are run */
    int64_t items;
} runner;

static sc_status make_numbers(runner *r)
{
    for (int f = 0; f < r->t->n_filters; f++)
        for (int k = 0; k < r->t->n_metrics; k++) {
            int width = r->t->metric[k].aggregation->width;
            double *x = sc_calloc((size_t)(SC_MAX(r->items, 1) * width), sizeof *x);
            if (!x) return sc_nomem();
            r->numbers.x[f * r->t->n_metrics + k] = x;
        }
    return SC_OK;
}

static void end(runner *r)
{
    sc_eval_window_free(&r->window);
    sc_eval_requester_end(&r->requester);
    for (int i = 0; i < SC_COUNT(r->numbers.x); i++) sc_free(r->numbers.x[i]);
    sc_eval_result_free(r->result);
    sc_sandbox_free(r->box);
}

/* ---- one item ---- */

/* Its metrics under one filter, into the numbers and, those of single items, into `said`. */
static sc_status measure(runner *r, int filter, sc_outcome *o, int64_t item, json_t *said, double *score)
{
    sc_status s = SC_OK;
    for (int k = 0; !s && k < r->t->n_metrics; k++) {
        const sc_task_metric *m = &r->t->metric[k];
        double x[SC_METRIC_WIDTH] = {0};
        s = m->kind->item(m, o, x);
        int width = m->aggregation->width;
        memcpy(r->numbers.x[filter * r->t->n_metrics + k] + item * width, x, (size_t)width * sizeof *x);
        json_t *v = isfinite(x[0]) ? json_real(x[0]) : json_null();
        if (width > 1) {
            json_decref(v);
            v = json_array();
            for (int i = 0; i < width; i++)
                json_array_append_new(v, isfinite(x[i]) ? json_real(x[i]) : json_null());
        }
        if (json_object_set_new(said, m->title, v)) s = sc_nomem();
        if (m->kind->single && isnan(*score) && !filter) *score = x[0];
    }
    return s;
}

/* log probabilities and greediness of a choice's or a target's requests. */
static sc_status read_scores(const runner *r, const sc_eval_asked *x, double **logprob, bool **greedy)
{
    *logprob = sc_calloc((size_t)SC_MAX(x->n, 1), sizeof **logprob);
    *greedy = sc_calloc((size_t)SC_MAX(x->n, 1), sizeof **greedy);
    if (!*logprob || !*greedy) return sc_nomem();
    for (int64_t i = 0; i < x->n; i++) {
        const json_t *v = r->window.ask[x->first + i].value;
        (*logprob)[i] = json_number_value(json_array_get(v, 0));
        (*greedy)[i] = json_is_true(json_array_get(v, 1));
    }
    return SC_OK;
}

/* What was asked and answered, for the log. */
static json_t *said_requests(const runner *r, const sc_eval_asked *x)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < x->n; i++) {
        const sc_eval_ask *a = &r->window.ask[x->first + i];
        json_t *o = json_pack("{s:s, s:O}", "prompt", a->prompt, "answer", a->value);
        if (a->continuation) json_object_set_new(o, "continuation", json_string(a->continuation));
        json_array_append_new(list, o);
    }
    return list;
}

static sc_status measure_scored(runner *r, const sc_eval_asked *x, sc_eval_sample *sample, json_t *line)
{
    double *logprob = NULL;
    bool *greedy = NULL;
    sc_outcome o = {.t = r->t, .row = x->row, .parts = &x->parts};
    json_t *said = json_object();
    sc_status s = said ? read_scores(r, x, &logprob, &greedy) : sc_nomem();
    o.logprob = logprob;
    o.greedy = greedy;
    if (!s) s = measure(r, 0, &o, x->item, said, &sample->score);
    if (!s && r->t->kind == SC_EVAL_CHOICE) {
        const json_t *gold = r->t->many_inputs ? x->parts.text : x->parts.target;
        sample->chosen = sc_outcome_chosen(&o);
        sample->gold = sc_eval_gold(&x->parts, json_is_array(gold) ? json_array_get(gold, 0) : gold);
        sample->answer = json_string_value(json_array_get(x->parts.choices, (size_t)sample->chosen));
        json_object_set_new(line, "chosen", json_integer(sample->chosen));
        json_object_set_new(line, "gold", json_integer(sample->gold));
    }
    if (json_object_set_new(line, "metrics", said)) s = sc_nomem();
    sc_free(logprob);
    sc_free(greedy);
    return s;
}

static sc_status measure_generated(runner *r, const sc_eval_asked *x, sc_eval_sample *sample, json_t *line,
                                   char **first)
{
    const json_t *answers = r->window.ask[x->first].value;
    json_t *filtered = json_object(), *metrics = json_object();
    int64_t passed = -1;
    sc_status s = filtered && metrics ? SC_OK : sc_nomem();
    for (int f = 0; !s && f < r->t->n_filters; f++) {
        const sc_filter *filter = &r->t->filter[f];
        json_t *v = NULL, *said = json_object();
        s = said ? sc_filter_apply(&v, filter, answers, x->row) : sc_nomem();
        sc_outcome o = {.t = r->t,
                        .row = x->row,
                        .parts = &x->parts,
                        .answer = v,
                        .ctx = r->ctx,
                        .box = r->box,
                        .passed = &passed};
        passed = -1; /* another filter's programs are others */
        if (!s) s = measure(r, f, &o, x->item, said, &sample->score);
        if (!s && !f) s = sc_eval_text_of(first, json_is_array(v) ? json_array_get(v, 0) : v);
        if (!s && (json_object_set(filtered, filter->name, v) || json_object_set(metrics, filter->name, said)))
            s = sc_nomem();
        json_decref(v);
        json_decref(said);
    }
    sample->answer = *first;
    json_object_set_new(line, "filtered", filtered);
    json_object_set_new(line, "metrics", metrics);
    return s;
}

static sc_status finish_item(runner *r, const sc_eval_asked *x)
{
    sc_eval_sample sample = {.item = x->item, .score = NAN, .gold = -1, .chosen = -1};
    char *target = NULL, *first = NULL;
    json_t *line = json_pack("{s:I, s:O}", "item", (json_int_t)x->item, "row", x->row);
    sc_status s = line ? sc_eval_target_text(&target, &x->parts) : sc_nomem();
    if (s == SC_EFORMAT &&
        r->t->kind == SC_EVAL_CHOICE) { /* the right answer is none of the choices: no item is right */
        target = sc_strdup("");
        s = target ? SC_OK : sc_nomem();
    }
    if (!s && json_object_set_new(line, "target", json_string(target))) s = sc_nomem();
    if (!s && json_object_set_new(line, "asked", said_requests(r, x))) s = sc_nomem();
    sample.target = target;
    if (!s)
        s = r->t->kind == SC_EVAL_GENERATE ? measure_generated(r, x, &sample, line, &first)
                                           : measure_scored(r, x, &sample, line);
    if (!s) {
        s = sc_eval_result_set(r->result, x->item, &sample, json_incref(line));
    }
    json_decref(line);
    sc_free(target);
    sc_free(first);
    return s ? sc_fail_in(s, "%s: item %lld", r->t->name, (long long)x->item) : SC_OK;
}

/* ---- all items ---- */

static sc_status run_windows(runner *r)
{
    int64_t most = r->o.chunk ? r->o.chunk : 256;
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < r->items;) {
        for (; !s && i < r->items && r->window.n < most; i++)
            s = sc_eval_request(&r->window, &r->requester, &r->prompter, i);
        if (!s) s = sc_eval_answer(&r->window, &r->requester);
        for (int64_t k = 0; !s && k < r->window.n_items; k++) s = finish_item(r, &r->window.item[k]);
        sc_eval_window_clear(&r->window);
        if (!s) sc_progress(r->ctx, r->t->name, i, r->items);
        if (!s && sc_context_cancelled(r->ctx)) s = sc_fail(SC_ECANCELLED, "cancelled");
    }
    return s;
}

static sc_status make_box(runner *r)
{
    const sc_task_metric *m = NULL;
    sc_sandbox_options o = {0};
    for (int i = 0; !m && i < r->t->n_metrics; i++)
        if (r->t->metric[i].kind->item == sc_pass_item) m = &r->t->metric[i];
    if (!m) return SC_OK;
    sc_status s = sc_json_num(m->options, r->t->where, "timeout", 0.01, 3600, &o.seconds);
    if (!s) s = sc_sandbox_new(&r->box, &o);
    if (!s && *sc_sandbox_gaps(r->box))
        sc_log(r->ctx, SC_LOG_WARNING, "%s: programs are run without being confined in: %s", r->t->name,
               sc_sandbox_gaps(r->box));
    return s;
}

static sc_status check(const sc_eval_task *t, const sc_eval_options *o)
{
    if (t->kind >= SC_EVAL_SIMILARITY)
        return sc_fail(SC_EINVAL, "%s: is answered by vectors, not by texts", t->name);
    if (o->limit < 0 || o->bootstrap < 0 || o->bootstrap > 10000000 || o->shots > 1000 || o->chunk < 0 ||
        o->most_tokens < 0)
        return sc_fail(SC_EINVAL, "%s: a number is out of its range", t->name);
    for (int i = 0; i < t->n_metrics; i++)
        if (t->metric[i].kind->item == sc_pass_item && !o->code)
            return sc_fail(SC_EUNSUPPORTED, "%s: runs programs that a model wrote: that must be allowed", t->name);
    return SC_OK;
}

sc_status sc_eval_run(sc_eval_result **out, sc_context *ctx, const sc_eval_task *t, sc_asker *asker,
                      const sc_eval_options *options)
{
    runner r = {.t = t, .o = options ? *options : sc_eval_options_default(), .ctx = ctx};
    double began = sc_now();
    sc_status s = check(t, &r.o);
    if (s) return s;
    r.items = sc_eval_task_items(t, SC_EVAL_TEST);
    if (r.o.limit) r.items = SC_MIN(r.items, r.o.limit);
    if (r.o.method) return sc_eval_run_method(out, ctx, t, asker, &r.o, r.items);
    s = sc_eval_requester_start(&r.requester, ctx, t, &r.o, asker);
    sc_eval_prompter_start(&r.prompter, t, &r.o);
    if (!s) s = make_box(&r);
    if (!s) s = make_numbers(&r);
    if (!s) s = sc_eval_result_new(&r.result, t, r.items);
    if (!s) s = run_windows(&r);
    if (!s) s = sc_eval_result_measure(r.result, t, &r.numbers, r.items, r.o.bootstrap, ctx);
    if (!s) {
        r.result->shots = r.prompter.shots;
        r.result->requests = r.requester.requests;
        r.result->cached = r.requester.cached;
        r.result->seconds = sc_now() - began;
        *out = r.result;
        r.result = NULL;
    }
    end(&r);
    return s;
}

/* ---- one answer, whoever gave it ---- */

/* 1 where the text begins with the right choice, and with none that is longer: letter case aside. */
static sc_status grade_choice(double *out, const sc_eval_parts *p, const sc_eval_task *t, const char *answer)
{
    const json_t *gold = t->many_inputs ? p->text : p->target;
    int64_t right = sc_eval_gold(p, json_is_array(gold) ? json_array_get(gold, 0) : gold), best = -1;
    size_t longest = 0;
    int64_t n = (int64_t)strlen(answer);
    sc_str given = {0};
    sc_py_strip(&answer, &n);
    sc_py_case(&given, answer, n, false);
    for (size_t i = 0; i < json_array_size(p->choices); i++) {
        sc_str choice = {0};
        const char *c = json_string_value(json_array_get(p->choices, i));
        int64_t len = (int64_t)strlen(c);
        sc_py_strip(&c, &len);
        sc_py_case(&choice, c, len, false);
        size_t k = (size_t)choice.len;
        if (k > longest && given.p && strncmp(given.p, choice.p, k) == 0) longest = k, best = (int64_t)i;
        given.oom |= choice.oom;
        sc_str_free(&choice);
    }
    *out = best >= 0 && best == right;
    bool oom = given.oom;
    sc_str_free(&given);
    return oom ? sc_nomem() : SC_OK;
}

sc_status sc_eval_grade(double *out, const sc_eval_task *t, int64_t i, const char *answer)
{
    if (t->kind != SC_EVAL_CHOICE && t->kind != SC_EVAL_GENERATE && t->kind != SC_EVAL_LIKELIHOOD)
        return sc_fail(SC_EINVAL, "%s: has no answers that a text could be", t->name);
    if (i < 0 || i >= sc_eval_task_items(t, SC_EVAL_TEST))
        return sc_fail(SC_EINVAL, "%s: no item %lld", t->name, (long long)i);
    const json_t *row = json_array_get(t->rows, (size_t)i);
    const sc_task_metric *m = NULL;
    for (int k = 0; !m && k < t->n_metrics; k++)
        if (t->metric[k].kind->single && t->metric[k].kind->item != sc_pass_item) m = &t->metric[k];
    sc_eval_parts parts;
    sc_status s = sc_eval_parts_get(&parts, t, row, false);
    if (s) return s;
    if (t->kind == SC_EVAL_CHOICE) {
        s = grade_choice(out, &parts, t, answer);
    } else if (t->kind == SC_EVAL_LIKELIHOOD) {
        char *target = NULL;
        s = sc_eval_target_text(&target, &parts);
        const char *a = target ? target : "";
        int64_t n = (int64_t)strlen(a), k = (int64_t)strlen(answer);
        sc_py_strip(&a, &n);
        sc_py_strip(&answer, &k);
        if (!s) *out = n == k && memcmp(a, answer, (size_t)n) == 0;
        sc_free(target);
    } else if (!m) {
        s = sc_fail(SC_EUNSUPPORTED, "%s: no metric of single answers", t->name);
    } else {
        json_t *list = json_pack("[s]", answer), *v = NULL;
        double x[SC_METRIC_WIDTH];
        s = list ? sc_filter_apply(&v, &t->filter[0], list, row)
                 : sc_fail(SC_EFORMAT, "an answer that is not UTF-8");
        if (!s) s = m->kind->item(m, &(sc_outcome){.t = t, .row = row, .parts = &parts, .answer = v}, x);
        if (!s) *out = x[0];
        json_decref(list);
        json_decref(v);
    }
    sc_eval_parts_free(&parts);
    return s;
}
