/* SPDX-License-Identifier: Apache-2.0 */
/* report.html: what to take first, then the whole table, pictures, what the differences are worth, and where methods disagree. */
#include "compare/compare.h"

#include <math.h>
#include <stdlib.h>

enum { MOST_MODELS = 128, MOST_METHODS = 32, MOST_SHOWN = 40, MOST_COLUMNS = 6, MOST_BYTES_SAID = 400 };

static int n_shown(const sc_compare_results *x)
{
    int n = 0;
    for (int i = 0; i < x->n; i++) n += !x->result[i].curve && x->result[i].items > 0;
    return n;
}

static bool same(const char *a, const char *b) { return strcmp(a, b) == 0; }

/* "method, model" without the model where there is only one. */
static void spell_name(char out[200], const sc_compare_results *x, const sc_compare_result *y)
{
    bool one = true;
    for (int i = 0; i < x->n; i++) one &= same(x->result[i].model, y->model);
    snprintf(out, 200, one ? "%s" : "%s, %.120s", y->method, y->model);
}

static int colour_of(const sc_compare_results *x, const sc_compare_result *y)
{
    int n = 0;
    for (int i = 0; i < x->n; i++) {
        bool new = true;
        if (same(x->result[i].model, y->model)) return n;
        for (int k = 0; k < i && new; k++) new = !same(x->result[k].model, x->result[i].model);
        n += new;
    }
    return n;
}

/* ---- facts and the table ---- */

static void put_facts(sc_page *p, const sc_compare_state *c, const sc_compare_results *x)
{
    sc_facts f = {0};
    double seconds = 0;
    for (int i = 0; i < c->n_runs; i++) seconds += c->run[i].seconds + c->run[i].train_seconds;
    if (x->best >= 0) {
        const sc_compare_result *y = &x->result[x->best];
        sc_facts_add(&f, "best accuracy", "%.1f%%", 100 * y->accuracy.value);
    }
    sc_facts_add(&f, "models", "%d", c->o.n_models + c->o.n_apis);
    sc_facts_add(&f, "items to test on", "%lld", (long long)c->task.test.n);
    sc_facts_add(&f, "examples to learn from", "%lld", (long long)c->task.train.n);
    sc_facts_add(&f, "metric", "%s", sc_compare_metric_names[c->task.metric]);
    if (c->task.n_classes) sc_facts_add(&f, "by chance", "%.1f%%", 100.0 / c->task.n_classes);
    sc_facts_add(&f, "time", seconds < 120 ? "%.0f s" : "%.1f min", seconds < 120 ? seconds : seconds / 60);
    sc_page_facts(p, f.list, f.n);
}

/* Models down, methods across. */
static void put_grid(sc_page *p, const sc_compare_results *x)
{
    const char *head[MOST_METHODS + 1] = {"model"}, *model[MOST_MODELS];
    int methods = 0, models = 0;
    for (int i = 0; i < x->n; i++) {
        const sc_compare_result *y = &x->result[i];
        bool column = y->curve, row = false;
        for (int k = 0; k < methods; k++) column |= same(head[k + 1], y->method);
        for (int k = 0; k < models; k++) row |= same(model[k], y->model);
        if (!column && methods < MOST_METHODS) head[++methods] = y->method;
        if (!row && models < MOST_MODELS) model[models++] = y->model;
    }
    sc_page_table(p, head, methods + 1);
    for (int m = 0; m < models; m++) {
        sc_page_row(p);
        sc_page_cell(p, model[m]);
        for (int k = 1; k <= methods; k++) {
            const sc_compare_result *y = NULL;
            for (int i = 0; i < x->n && !y; i++)
                if (!x->result[i].curve && same(x->result[i].model, model[m]) && same(x->result[i].method, head[k]))
                    y = &x->result[i];
            if (y && y->items)
                sc_page_cellf(p, "%.1f%%%s (%.0f to %.0f)", 100 * y->accuracy.value,
                              y == &x->result[SC_MAX(x->best, 0)] ? " ★" : "", 100 * y->accuracy.low,
                              100 * y->accuracy.high);
            else
                sc_page_cell(p, y ? "—" : NULL);
        }
    }
    sc_page_table_end(p);
}

static void put_table(sc_page *p, const sc_compare_state *c, const sc_compare_results *x)
{
    static const char *const head[] = {"model", "method",       "examples",    "accuracy",   "interval",
                                       "items", "answering, s", "training, s", "memory, MB", "than the best",
                                       ""};
    sc_page_table(p, head, SC_COUNT(head));
    for (int i = 0; i < x->n; i++) {
        const sc_compare_result *y = &x->result[i];
        if (y->curve) continue;
        const sc_compare_pair *q = sc_compare_pair_of(x, i, x->best);
        sc_page_row(p);
        sc_page_cell(p, y->model);
        sc_page_cell(p, y->method);
        sc_page_cellf(p, "%lld", (long long)y->train);
        if (y->items) {
            sc_page_cellf(p, "%.1f%%%s", 100 * y->accuracy.value, i == x->best ? " ★" : "");
            sc_page_cellf(p, "%.1f to %.1f", 100 * y->accuracy.low, 100 * y->accuracy.high);
            sc_page_cellf(p, "%lld", (long long)y->items);
            sc_page_cellf(p, "%.1f", y->seconds);
            sc_page_cellf(p, "%.1f", y->train_seconds);
            sc_page_cellf(p, "%.0f", (double)y->peak_bytes / 1e6);
            sc_page_cell(p, i == x->best ? "" : sc_compare_differs(c, q) ? "worse" : "not known to be worse");
        } else {
            for (int k = 0; k < 7; k++) sc_page_cell(p, NULL);
        }
        sc_page_cell(p, y->note);
    }
    sc_page_table_end(p);
}

/* ---- pictures ---- */

static void put_bars(sc_page *p, const sc_compare_results *x)
{
    sc_bar *bar = sc_calloc((size_t)SC_MAX(x->n, 1), sizeof *bar);
    char(*name)[200] = sc_calloc((size_t)SC_MAX(x->n, 1), sizeof *name),
    (*text)[64] = sc_calloc((size_t)SC_MAX(x->n, 1), sizeof *text);
    int n = 0;
    for (int i = 0; bar && name && text && i < x->n; i++) {
        const sc_compare_result *y = &x->result[i];
        if (y->curve || !y->items) continue;
        spell_name(name[n], x, y);
        snprintf(text[n], sizeof *text, "%.1f%%", 100 * y->accuracy.value);
        bar[n] = (sc_bar){name[n], y->accuracy.value, text[n], colour_of(x, y), y->accuracy.low, y->accuracy.high};
        n++;
    }
    if (!bar || !name || !text)
        p->out.oom = true;
    else
        sc_page_bars(p, "Accuracy, with its interval", bar, n);
    sc_free(bar);
    sc_free(name);
    sc_free(text);
}

/* Columns of numbers that a series of points is made of. */
typedef struct points {
    double *x, *y, *low, *high;
    char (*text)[200];
    const char **hint;
    int64_t n;
} points;

static bool points_new(points *v, int n)
{
    size_t m = (size_t)SC_MAX(n, 1);
    *v = (points){sc_calloc(m, 8),
                  sc_calloc(m, 8),
                  sc_calloc(m, 8),
                  sc_calloc(m, 8),
                  sc_calloc(m, 200),
                  sc_calloc(m, sizeof(char *)),
                  0};
    return v->x && v->y && v->low && v->high && v->text && v->hint;
}

static void points_free(points *v)
{
    sc_free(v->x);
    sc_free(v->y);
    sc_free(v->low);
    sc_free(v->high);
    sc_free(v->text);
    sc_free(v->hint);
}

static void add_point(points *v, double at, const sc_compare_results *x, const sc_compare_result *y)
{
    char name[200];
    spell_name(name, x, y);
    v->x[v->n] = at;
    v->y[v->n] = y->accuracy.value;
    v->low[v->n] = y->accuracy.low;
    v->high[v->n] = y->accuracy.high;
    snprintf(v->text[v->n], 200, "%.150s: %.1f%%", name, 100 * y->accuracy.value);
    v->hint[v->n] = v->text[v->n];
    v->n++;
}

static double cost_seconds(const sc_compare_result *y) { return y->seconds + y->train_seconds; }
static double cost_memory(const sc_compare_result *y) { return (double)y->peak_bytes / 1e6; }

static void put_cost(sc_page *p, const sc_compare_results *x, const char *title, const char *unit,
                     double (*cost)(const sc_compare_result *))
{
    points v;
    sc_series *series = sc_calloc((size_t)SC_MAX(x->n, 1), sizeof *series);
    bool ok = points_new(&v, x->n) && series;
    int n = 0;
    for (int i = 0; ok && i < x->n; i++) {
        const sc_compare_result *y = &x->result[i];
        if (y->curve || !y->items || !(cost(y) > 0)) continue;
        int64_t at = v.n;
        bool shown = false;
        for (int k = 0; k < i && !shown; k++)
            shown = same(x->result[k].model, y->model) && x->result[k].items && !x->result[k].curve;
        add_point(&v, cost(y), x, y);
        series[n++] = (sc_series){.name = shown ? "" : y->model,
                                  .kind = SC_SERIES_DOTS,
                                  .colour = colour_of(x, y),
                                  .x = v.x + at,
                                  .y = v.y + at,
                                  .low = v.low + at,
                                  .high = v.high + at,
                                  .hint = v.hint + at,
                                  .n = 1};
    }
    const sc_chart chart = {.title = title,
                            .x_name = unit,
                            .y_name = "accuracy, %",
                            .named = true,
                            .x = SC_AXIS_WIDE,
                            .factor = 100,
                            .series = series,
                            .n_series = n};
    if (ok)
        sc_page_chart(p, &chart);
    else
        p->out.oom = true;
    points_free(&v);
    sc_free(series);
}

/* Accuracy over training examples: a line for each model and method that was trained on more than one number of them. */
static int put_curves(sc_page *p, const sc_compare_results *x, bool draw)
{
    points v;
    sc_series *series = sc_calloc((size_t)(2 * SC_MAX(x->n, 1)), sizeof *series);
    char(*name)[200] = sc_calloc((size_t)SC_MAX(x->n, 1), sizeof *name);
    bool ok = points_new(&v, x->n) && series && name;
    int n = 0, lines = 0;
    for (int i = 0; ok && i < x->n; i++) {
        const sc_compare_result *y = &x->result[i];
        int64_t at = v.n;
        if (y->curve || !y->items || !y->learns) continue;
        for (int64_t size = 0;;) { /* in order of size */
            const sc_compare_result *next = NULL;
            for (int k = 0; k < x->n; k++) {
                const sc_compare_result *z = &x->result[k];
                if (!z->items || z->train <= size || !same(z->model, y->model) || !same(z->method, y->method))
                    continue;
                if (!next || z->train < next->train) next = z;
            }
            if (!next) break;
            add_point(&v, (double)next->train, x, next);
            size = next->train;
        }
        if (v.n - at < 2) {
            v.n = at;
            continue;
        }
        spell_name(name[lines], x, y);
        sc_series s = {.name = name[lines],
                       .kind = SC_SERIES_CURVE,
                       .colour = lines,
                       .x = v.x + at,
                       .y = v.y + at,
                       .n = v.n - at};
        series[n++] = s;
        s.name = "";
        s.kind = SC_SERIES_DOTS;
        s.low = v.low + at;
        s.high = v.high + at;
        s.hint = v.hint + at;
        series[n++] = s;
        lines++;
    }
    const sc_chart chart = {.title = "Accuracy over training examples",
                            .x_name = "examples",
                            .y_name = "accuracy, %",
                            .named = true,
                            .x = SC_AXIS_LOG,
                            .factor = 100,
                            .height = 280,
                            .series = series,
                            .n_series = n};
    if (!ok)
        p->out.oom = true;
    else if (lines && draw)
        sc_page_chart(p, &chart);
    points_free(&v);
    sc_free(series);
    sc_free(name);
    return lines;
}

static void put_pictures(sc_page *p, const sc_compare_results *x)
{
    sc_page_section(p, "Accuracy", NULL);
    put_bars(p, x);
    if (put_curves(p, x, false)) {
        sc_page_section(p, "Learning curves",
                        "Each point is a training of its own, on the first so many of the same examples.");
        sc_page_charts(p, false);
        put_curves(p, x, true);
        sc_page_charts_end(p);
    }
    sc_page_section(p, "What it costs",
                    "Answering all items, and training where there was any. The most memory that the process had, "
                    "mapped files included.");
    sc_page_charts(p, false);
    put_cost(p, x, "Accuracy over time", "seconds", cost_seconds);
    put_cost(p, x, "Accuracy over memory", "MB", cost_memory);
    sc_page_charts_end(p);
}

/* ---- differences ---- */

static int by_difference(const void *a, const void *b)
{
    const sc_compare_pair *u = *(const sc_compare_pair *const *)a, *v = *(const sc_compare_pair *const *)b;
    double x = fabs(u->difference.value), y = fabs(v->difference.value);
    return x > y ? -1 : x < y ? 1 : u->a != v->a ? u->a - v->a : u->b - v->b;
}

static void put_pairs(sc_page *p, const sc_compare_state *c, const sc_compare_results *x)
{
    static const char *const head[] = {"this",  "beside this", "points better", "interval",
                                       "items", "p",           "corrected",     ""};
    const sc_compare_pair **order = sc_malloc(sizeof *order * (size_t)SC_MAX(x->n_pairs, 1));
    char name[200];
    if (!order) {
        p->out.oom = true;
        return;
    }
    sc_page_section(p, "Which differences are significant",
                    "Every two on the items that both answered. Of one seed by McNemar's exact test, else by "
                    "exchanging signs; corrected for the "
                    "number of pairs by Holm's procedure. The interval is a bootstrap over items.");
    for (int i = 0; i < x->n_pairs; i++) order[i] = &x->pair[i];
    qsort(order, (size_t)x->n_pairs, sizeof *order, by_difference);
    sc_page_table(p, head, SC_COUNT(head));
    for (int i = 0; i < x->n_pairs; i++) {
        const sc_compare_pair *q = order[i];
        bool turned = q->difference.value < 0;
        sc_page_row(p);
        spell_name(name, x, &x->result[turned ? q->b : q->a]);
        sc_page_cell(p, name);
        spell_name(name, x, &x->result[turned ? q->a : q->b]);
        sc_page_cell(p, name);
        sc_page_cellf(p, "%.1f", 100 * fabs(q->difference.value));
        sc_page_cellf(p, "%.1f to %.1f", 100 * (turned ? -q->difference.high : q->difference.low),
                      100 * (turned ? -q->difference.low : q->difference.high));
        sc_page_cellf(p, "%lld", (long long)q->items);
        sc_page_cellf(p, "%.2g", q->p);
        sc_page_cellf(p, "%.2g", q->corrected);
        sc_page_cell(p, sc_compare_differs(c, q) ? "significant" : "");
    }
    sc_page_table_end(p);
    sc_free(order);
}

/* ---- answers side by side ---- */

/* Which results are columns: the best of all, then the best of every other model, then the others as they come. */
static int columns_of(const sc_compare_results *x, int *column)
{
    int n = 0;
    for (int turn = 0; turn < 3; turn++)
        for (int i = 0; i < x->n && n < MOST_COLUMNS; i++) {
            const sc_compare_result *y = &x->result[i];
            bool had = false, best = true;
            if (y->curve || !y->items) continue;
            for (int k = 0; k < n; k++) had |= column[k] == i;
            for (int k = 0; k < x->n; k++) {
                const sc_compare_result *z = &x->result[k];
                if (!z->curve && z->items && same(z->model, y->model) && z->accuracy.value > y->accuracy.value)
                    best = false;
            }
            if (!had && (turn == 2 || (turn == 1 && best) || (turn == 0 && i == x->best))) column[n++] = i;
        }
    return n;
}

static void put_said(sc_page *p, const sc_compare_result *y, int64_t i)
{
    if (!y->said[i]) {
        sc_page_cell(p, NULL);
        return;
    }
    const char *mark = isnan(y->score[i]) ? "" : y->score[i] == 1 ? "✓ " : y->score[i] == 0 ? "✗ " : "~ ";
    int64_t n = (int64_t)strlen(y->said[i]);
    sc_page_cell_said(p, mark, y->said[i], SC_MIN(n, MOST_BYTES_SAID));
}

static void put_disagreements(sc_page *p, const sc_compare_state *c, const sc_compare_results *x)
{
    int column[MOST_COLUMNS], n = columns_of(x, column), shown = 0;
    char name[MOST_COLUMNS][200];
    const char *head[MOST_COLUMNS + 2] = {"input", "answer"};
    int64_t total = 0;
    if (n < 2) return;
    for (int k = 0; k < n; k++) {
        spell_name(name[k], x, &x->result[column[k]]);
        head[k + 2] = name[k];
    }
    sc_page_section(p, "Where they disagree", "Items that some got right and others wrong, with what each said.");
    sc_page_table(p, head, n + 2);
    for (int64_t i = 0; i < c->task.test.n; i++) {
        const sc_compare_item *it = c->task.test.item[i];
        double least = INFINITY, most = -INFINITY;
        for (int k = 0; k < n; k++) {
            double v = x->result[column[k]].score[i];
            if (!isnan(v)) least = fmin(least, v), most = fmax(most, v);
        }
        if (!(most > least)) continue;
        total++;
        if (shown++ >= MOST_SHOWN) continue;
        sc_page_row(p);
        int64_t len = (int64_t)strlen(it->input);
        sc_page_cell_said(p, NULL, it->input, SC_MIN(len, MOST_BYTES_SAID));
        sc_page_cell(p, c->task.metric == SC_COMPARE_CHOICE ? sc_compare_choice(&c->task, it, it->target)
                                                            : it->correct[0]);
        for (int k = 0; k < n; k++) put_said(p, &x->result[column[k]], i);
    }
    sc_page_table_end(p);
    char text[160];
    if (total > MOST_SHOWN) {
        snprintf(text, sizeof text, "The first %d of %lld; cells/ has every answer.", MOST_SHOWN, (long long)total);
        sc_page_text(p, text);
    }
}

/* ---- the page ---- */

static void put_prompt(sc_page *p, const sc_compare_state *c)
{
    char *prompt = sc_compare_prompt(&c->o, &c->task, c->task.test.item[0]);
    if (prompt) sc_page_command(p, "What is asked", prompt);
    sc_free(prompt);
}

sc_status sc_compare_write_page(const sc_compare_state *c, const sc_compare_results *x)
{
    sc_page p = {0};
    sc_str verdict = {0};
    char *path = sc_path_join(c->o.out, "report.html"), *command = sc_command_text(c->o.args, c->o.n_args);
    sc_compare_verdict(&verdict, x);
    sc_status s = path && verdict.p ? SC_OK : sc_nomem();
    if (!s) {
        const char *file = c->o.data ? c->o.data : c->o.test;
        sc_str title = {0};
        sc_str_printf(&title, "Models and methods on %s", sc_path_base(file));
        sc_page_begin(&p, title.p ? title.p : "", verdict.p);
        sc_str_free(&title);
        put_facts(&p, c, x);
        sc_page_section(&p, "Models and methods", "Accuracy with its interval.");
        put_grid(&p, x);
        sc_page_subsection(&p, "What each took", NULL);
        put_table(&p, c, x);
        if (n_shown(x)) put_pictures(&p, x);
        if (x->n_pairs) put_pairs(&p, c, x);
        put_disagreements(&p, c, x);
        put_prompt(&p, c);
        sc_page_command(&p, "Command", command);
        s = sc_page_write(&p, path);
    }
    sc_page_free(&p);
    sc_str_free(&verdict);
    sc_free(command);
    sc_free(path);
    return s;
}
