/* SPDX-License-Identifier: Apache-2.0 */
/* Results for programs (results.json) and for texts (results.md). */
#include "compare/compare.h"

#include <math.h>

/* ---- JSON ---- */

static json_t *number(double x) { return isfinite(x) ? json_real(x) : json_null(); }

static json_t *interval(sc_interval v)
{
    return json_pack("{s:o, s:o, s:o}", "value", number(v.value), "low", number(v.low), "high", number(v.high));
}

static json_t *result_json(const sc_compare_result *y)
{
    json_t *o =
        json_pack("{s:s, s:s, s:I, s:I, s:i, s:o, s:o, s:f, s:f, s:f, s:I, s:b}", "model", y->model, "method",
                  y->method, "train", (json_int_t)y->train, "items", (json_int_t)y->items, "seeds", y->seeds,
                  "accuracy", interval(y->accuracy), "standard_error", number(y->items ? y->error : NAN), "seconds",
                  y->seconds, "train_seconds", y->train_seconds, "seconds_per_item", y->per_item, "peak_bytes",
                  (json_int_t)y->peak_bytes, "curve", y->curve);
    if (o && y->note) json_object_set_new(o, "note", json_string(y->note));
    return o;
}

static json_t *task_json(const sc_compare_state *c)
{
    const sc_compare_task *t = &c->task;
    char *prompt = sc_compare_prompt(&c->o, t, t->test.item[0]);
    json_t *o = prompt ? json_pack("{s:s, s:I, s:I, s:I, s:s, s:s}", "metric", sc_compare_metric_names[t->metric],
                                   "test", (json_int_t)t->test.n, "train", (json_int_t)t->train.n, "dev",
                                   (json_int_t)t->dev.n, "prompt", prompt, "answer", t->test.item[0]->answer)
                       : NULL;
    sc_free(prompt);
    return o;
}

static sc_status write_json(const sc_compare_state *c, const sc_compare_results *x)
{
    json_t *results = json_array(), *pairs = json_array();
    sc_str verdict = {0};
    for (int i = 0; i < x->n; i++) json_array_append_new(results, result_json(&x->result[i]));
    for (int i = 0; i < x->n_pairs; i++) {
        const sc_compare_pair *p = &x->pair[i];
        json_array_append_new(pairs, json_pack("{s:i, s:i, s:I, s:o, s:o, s:o, s:b}", "a", p->a, "b", p->b, "items",
                                               (json_int_t)p->items, "difference", interval(p->difference), "p",
                                               number(p->p), "p_corrected", number(p->corrected), "significant",
                                               sc_compare_differs(c, p)));
    }
    sc_compare_verdict(&verdict, x);
    json_t *o = verdict.p ? json_pack("{s:o, s:f, s:O, s:O, s:i, s:i, s:s}", "task", task_json(c), "confidence",
                                      c->o.confidence, "results", results, "pairs", pairs, "best", x->best,
                                      "cheapest_as_good", x->cheapest, "verdict", verdict.p)
                          : NULL;
    char *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL, *path = sc_path_join(c->o.out, "results.json");
    sc_status s = text && path ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    json_decref(o);
    json_decref(results);
    json_decref(pairs);
    sc_str_free(&verdict);
    sc_free(text);
    sc_free(path);
    return s;
}

/* ---- Markdown ---- */

/* A text in a cell of a table. */
static void put(sc_str *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|' || *text == '\\') sc_str_putc(out, '\\');
        sc_str_putc(out, *text == '\n' ? ' ' : *text);
    }
}

static sc_status write_markdown(const sc_compare_state *c, const sc_compare_results *x)
{
    sc_str s = {0};
    sc_compare_verdict(&s, x);
    sc_str_printf(&s, "\n\n%lld items to test on, metric %s, intervals of %.0f%%.\n\n", (long long)c->task.test.n,
                  sc_compare_metric_names[c->task.metric], 100 * c->o.confidence);
    sc_str_puts(&s, "| model | method | examples | accuracy | interval | items | seconds | training | memory | |\n"
                    "|---|---|---:|---:|---|---:|---:|---:|---:|---|\n");
    for (int i = 0; i < x->n; i++) {
        const sc_compare_result *y = &x->result[i];
        sc_str_puts(&s, "| ");
        put(&s, y->model);
        sc_str_printf(&s, " | %s | %lld | ", y->method, (long long)y->train);
        if (y->items)
            sc_str_printf(&s, "%s%.1f%%%s | %.1f to %.1f | %lld | %.1f | %.1f | %.0f MB | ",
                          i == x->best ? "**" : "", 100 * y->accuracy.value, i == x->best ? "**" : "",
                          100 * y->accuracy.low, 100 * y->accuracy.high, (long long)y->items, y->seconds,
                          y->train_seconds, (double)y->peak_bytes / 1e6);
        else
            sc_str_puts(&s, "| | | | | | ");
        if (y->note) put(&s, y->note);
        sc_str_puts(&s, " |\n");
    }
    sc_str_puts(&s, "\nSignificant differences (paired tests, corrected for their number):\n\n");
    int found = 0;
    for (int i = 0; i < x->n_pairs; i++) {
        const sc_compare_pair *p = &x->pair[i];
        const sc_compare_result *a = &x->result[p->a], *b = &x->result[p->b];
        if (!sc_compare_differs(c, p)) continue;
        if (p->difference.value < 0) a = &x->result[p->b], b = &x->result[p->a];
        sc_str_printf(&s, "- %s, %s is better than %s, %s by %.1f points (p = %.2g)\n", a->model, a->method,
                      b->model, b->method, 100 * fabs(p->difference.value), p->corrected);
        found++;
    }
    if (!found) sc_str_puts(&s, "none.\n");
    char *path = sc_path_join(c->o.out, "results.md");
    sc_status status = path && !s.oom ? sc_file_write(path, s.p, s.len) : sc_nomem();
    sc_free(path);
    sc_str_free(&s);
    return status;
}

sc_status sc_compare_write_tables(const sc_compare_state *c, const sc_compare_results *x)
{
    sc_status s = write_json(c, x);
    return s ? s : write_markdown(c, x);
}
