/* SPDX-License-Identifier: Apache-2.0 */
/* The page of a run, made from its data.json alone. Excerpts of documents are shown as text,
 * whatever they hold. */
#include "data/run.h"
#include "data/filters.h"
#include "report/report.h"

#include <math.h>
#include <stdlib.h>

enum { JSON_LARGEST = 1 << 30, MOST_BARS = 25, NUMBER = 32 };

typedef struct row {
    const char *name;
    const json_t *n; /* its numbers */
    int stage;
    double value; /* by which rows are sorted */
} row;

typedef struct view {
    sc_page page;
    const json_t *o, *stages;
    int64_t read;
} view;

/* ---- numbers ---- */

static int64_t number(const json_t *o, const char *key) { return json_integer_value(json_object_get(o, key)); }
static int64_t nth(const json_t *list, size_t i) { return json_integer_value(json_array_get(list, i)); }
static double share(int64_t part, int64_t whole) { return whole > 0 ? 100.0 * (double)part / (double)whole : 0; }

/* "1,234,567" */
static const char *count_text(char out[NUMBER], int64_t n)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0 && digits[i - 1] != '-') out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
    return out;
}

static const char *bytes_text(char out[NUMBER], int64_t n)
{
    static const char *const unit[] = {"bytes", "kB", "MB", "GB", "TB"};
    double x = (double)n;
    int u = 0;
    for (; x >= 999.5 && u < 4; u++) x /= 1000;
    snprintf(out, NUMBER, u && x < 99.5 ? "%.1f %s" : "%.0f %s", x, unit[u]);
    return out;
}

static const char *share_text(char out[NUMBER], int64_t part, int64_t whole)
{
    double x = share(part, whole);
    snprintf(out, NUMBER, x > 0 && x < 0.05 ? "<0.1%%" : x > 99.95 && part < whole ? ">99.9%%" : "%.1f%%", x);
    return out;
}

static void cell_count(sc_page *p, int64_t n)
{
    char text[NUMBER];
    sc_page_cellf(p, "%s", count_text(text, n));
}

static int by_value(const void *a, const void *b)
{
    const row *x = a, *y = b;
    if (x->value != y->value) return x->value < y->value ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* The rows of a table {name: [numbers]}, the greatest k-th number first; *n of them, owned. NULL without memory. */
static row *rows_of(view *v, const json_t *table, size_t k, int64_t *n)
{
    const char *name;
    json_t *numbers;
    row *list = sc_calloc(json_object_size(table) + 1, sizeof *list);
    *n = 0;
    if (!list) {
        v->page.out.oom = true;
        return NULL;
    }
    json_object_foreach((json_t *)(uintptr_t)table, name, numbers) list[(*n)++] =
        (row){name, numbers, 0, (double)nth(numbers, k)};
    qsort(list, (size_t)*n, sizeof *list, by_value);
    return list;
}

/* ---- the beginning ---- */

static void put_facts(view *v)
{
    const json_t *after = json_object_get(v->o, "after"), *before = json_object_get(v->o, "before");
    int64_t kept = number(after, "documents"), tokens = number(after, "tokens"), shards = number(v->o, "shards");
    char text[10][NUMBER];
    const char *fact[20];
    int n = 0;
#define FACT(name, value) fact[2 * n] = name, fact[2 * n + 1] = value, n++
    FACT("documents read", count_text(text[0], v->read));
    FACT("documents left", count_text(text[1], kept));
    FACT("of the documents", share_text(text[2], kept, v->read));
    FACT("text read", bytes_text(text[3], number(before, "bytes")));
    FACT("text left", bytes_text(text[4], number(after, "bytes")));
    FACT("of the text", share_text(text[5], number(after, "bytes"), number(before, "bytes")));
    if (tokens) FACT("tokens", count_text(text[6], tokens));
    if (shards) FACT("shards", count_text(text[7], shards));
    FACT("languages left", count_text(text[8], (int64_t)json_object_size(json_object_get(after, "languages"))));
    FACT("files", count_text(text[9], number(v->o, "files")));
#undef FACT
    sc_page_facts(&v->page, fact, n);
}

/* A stage's name; a number behind it where it is there several times. */
static void stage_name(const view *v, size_t i, char *out, size_t room)
{
    const char *name = json_string_value(json_object_get(json_array_get(v->stages, i), "stage"));
    int before = 0, all = 0;
    for (size_t k = 0; k < json_array_size(v->stages); k++) {
        const char *other = json_string_value(json_object_get(json_array_get(v->stages, k), "stage"));
        bool same = name && other && strcmp(name, other) == 0;
        before += same && k < i;
        all += same;
    }
    if (all > 1)
        snprintf(out, room, "%s %d", name, before + 1);
    else
        snprintf(out, room, "%s", name ? name : "?");
}

/* ---- the funnel ---- */

static void put_funnel(view *v)
{
    size_t n = json_array_size(v->stages);
    sc_bar *bar = sc_calloc(n + 1, sizeof *bar);
    char(*name)[64] = sc_calloc(n + 1, sizeof *name), (*text)[3 * NUMBER + 16] = sc_calloc(n + 1, sizeof *text),
    a[NUMBER], b[NUMBER], c[NUMBER];
    v->page.out.oom = v->page.out.oom || !bar || !name || !text;
    if (!v->page.out.oom) {
        snprintf(name[0], sizeof *name, "read");
        snprintf(text[0], sizeof *text, "%s", count_text(a, v->read));
        bar[0] = (sc_bar){name[0], (double)v->read, text[0], 0};
        for (size_t i = 0; i < n; i++) {
            const json_t *s = json_array_get(v->stages, i);
            int64_t kept = number(s, "kept"), lost = number(s, "in") - kept;
            stage_name(v, i, name[i + 1], sizeof *name);
            if (lost)
                snprintf(text[i + 1], sizeof *text, "%s (%s), −%s", count_text(a, kept),
                         share_text(b, kept, v->read), count_text(c, lost));
            else
                snprintf(text[i + 1], sizeof *text, "%s (%s)", count_text(a, kept), share_text(b, kept, v->read));
            bar[i + 1] = (sc_bar){name[i + 1], (double)kept, text[i + 1], 0};
        }
        sc_page_section(&v->page, "What is left after each stage", NULL);
        sc_page_bars(&v->page, "Documents", bar, (int)n + 1);
    }
    sc_free(bar);
    sc_free(name);
    sc_free(text);
}

static void put_stages(view *v)
{
    static const char *const head[] = {"stage",   "what it does", "documents in", "dropped", "merged",
                                       "changed", "text left",    "seconds",      "MB/s"};
    sc_page *p = &v->page;
    char name[64], text[NUMBER];
    if (!json_array_size(v->stages)) return;
    sc_page_section(p, "Stages",
                    "Seconds are those of all threads together; MB/s are the text that came in by them. Merged: "
                    "another document that is the same or nearly so stands for it.");
    sc_page_table(p, head, SC_COUNT(head));
    for (size_t i = 0; i < json_array_size(v->stages); i++) {
        const json_t *s = json_array_get(v->stages, i);
        double seconds = json_number_value(json_object_get(s, "seconds"));
        stage_name(v, i, name, sizeof name);
        sc_page_row(p);
        sc_page_cell(p, name);
        sc_page_cell_json(p, json_object_get(s, "summary"));
        cell_count(p, number(s, "in"));
        cell_count(p, number(s, "dropped"));
        cell_count(p, number(s, "merged"));
        cell_count(p, number(s, "changed"));
        sc_page_cellf(p, "%s", bytes_text(text, number(s, "bytes_kept")));
        sc_page_cellf(p, "%.2f", seconds);
        sc_page_cellf(p, seconds > 1e-6 ? "%.0f" : "",
                      seconds > 1e-6 ? (double)number(s, "bytes_in") / 1e6 / seconds : 0);
    }
    sc_page_table_end(p);
}

/* ---- rules and examples ---- */

static const sc_rule_info *rule_named(const char *name)
{
    for (int i = 0; i < SC_RULES; i++)
        if (strcmp(sc_rule_at(i)->name, name) == 0) return sc_rule_at(i);
    return NULL;
}

/* The reasons of reading and of all stages, by documents. */
static row *all_reasons(view *v, int64_t *n)
{
    size_t stages = json_array_size(v->stages),
           most = json_object_size(json_object_get(json_object_get(v->o, "read"), "reasons"));
    const char *name;
    json_t *numbers;
    for (size_t i = 0; i < stages; i++)
        most += json_object_size(json_object_get(json_array_get(v->stages, i), "reasons"));
    row *list = sc_calloc(most + 1, sizeof *list);
    *n = 0;
    if (!list) {
        v->page.out.oom = true;
        return NULL;
    }
    for (size_t i = 0; i <= stages; i++) {
        const json_t *s = i ? json_array_get(v->stages, i - 1) : json_object_get(v->o, "read");
        json_object_foreach(json_object_get(s, "reasons"), name, numbers) list[(*n)++] =
            (row){name, numbers, (int)i, (double)nth(numbers, 0)};
    }
    qsort(list, (size_t)*n, sizeof *list, by_value);
    return list;
}

/* A picture for each stage, all of one scale. */
static void put_rule_bars(view *v, const row *list, int64_t n)
{
    sc_bar *bar = sc_calloc((size_t)n + 1, sizeof *bar);
    char(*text)[3 * NUMBER] = sc_calloc((size_t)n + 1, sizeof *text), a[NUMBER], b[NUMBER], title[96];
    bool ok = bar && text;
    for (size_t stage = 0; ok && stage <= json_array_size(v->stages); stage++) {
        int shown = 0;
        for (int64_t i = 0; i < n; i++) {
            if (list[i].stage != (int)stage) continue;
            snprintf(text[shown], sizeof *text, "%s (%s)", count_text(a, (int64_t)list[i].value),
                     share_text(b, (int64_t)list[i].value, v->read));
            bar[shown] = (sc_bar){list[i].name, list[i].value, text[shown], (int)stage};
            shown++;
        }
        if (stage)
            stage_name(v, stage - 1, title, sizeof title);
        else
            snprintf(title, sizeof title, "reading");
        sc_page_bars(&v->page, title, bar, shown);
    }
    v->page.out.oom = v->page.out.oom || !ok;
    sc_free(bar);
    sc_free(text);
}

/* Where it is from and what was measured, in a pale line; then how it begins. */
static void put_example(view *v, const json_t *e)
{
    const char *file = json_string_value(json_object_get(e, "file")), *language, *detail;
    const json_t *url = json_object_get(e, "url"), *value = json_object_get(e, "value");
    const json_t *text = json_object_get(e, "text");
    sc_str about = {0};
    char size[NUMBER];
    if (json_is_string(url))
        sc_str_append(&about, json_string_value(url), (int64_t)json_string_length(url));
    else
        sc_str_printf(&about, "%.100s, at %lld", file ? sc_path_base(file) : "", (long long)number(e, "place"));
    if ((language = json_string_value(json_object_get(e, "language")))) sc_str_printf(&about, " · %s", language);
    if (json_is_number(value)) sc_str_printf(&about, " · measured %.4g", json_number_value(value));
    sc_str_printf(&about, " · %s\n", bytes_text(size, number(e, "bytes")));
    if ((detail = json_string_value(json_object_get(e, "detail")))) sc_str_printf(&about, "%.200s\n", detail);
    sc_page_row(&v->page);
    if (about.p && json_is_string(text))
        sc_page_cell_said(&v->page, about.p, json_string_value(text), (int64_t)json_string_length(text));
    v->page.out.oom = v->page.out.oom || about.oom;
    sc_str_free(&about);
}

static void put_examples(view *v, const row *r)
{
    static const char *const senses[] = {"at least", "at most", "", "", ""};
    const json_t *s = r->stage ? json_array_get(v->stages, (size_t)r->stage - 1) : json_object_get(v->o, "read");
    const json_t *list = json_object_get(json_object_get(s, "examples"), r->name);
    const sc_rule_info *rule = rule_named(r->name);
    char text[NUMBER];
    sc_str title = {0}, about = {0};
    sc_str_printf(&title, "%s: %s document%s", r->name, count_text(text, (int64_t)r->value),
                  r->value == 1 ? "" : "s");
    if (rule)
        sc_str_printf(&about, "Measured: %s; usually %s %g (%s).", rule->what, senses[rule->kind], rule->usual,
                      rule->source);
    if (json_array_size(list) && title.p) {
        sc_page_subsection(&v->page, title.p, rule ? about.p : NULL);
        sc_page_table(&v->page, NULL, 0);
        for (size_t i = 0; i < json_array_size(list); i++) put_example(v, json_array_get(list, i));
        sc_page_table_end(&v->page);
    }
    v->page.out.oom = v->page.out.oom || title.oom || about.oom;
    sc_str_free(&title);
    sc_str_free(&about);
}

static void put_rules(view *v)
{
    int64_t n;
    row *list = all_reasons(v, &n);
    if (list && n) {
        sc_page_section(&v->page, "What took documents out",
                        "Each document is counted at the first rule that it fails; the shares are of all documents "
                        "that were read.");
        put_rule_bars(v, list, n);
        sc_page_section(
            &v->page, "Examples",
            "Chosen by chance, as they came to the stage. Personal data are masked, and nothing in them is run or "
            "loaded.");
        for (int64_t i = 0; i < SC_MIN(n, 100); i++) put_examples(v, &list[i]);
    }
    sc_free(list);
}

/* What was taken out of texts that stayed, or seen in them. */
static void put_things(view *v)
{
    bool any = false;
    for (size_t i = 0; i < json_array_size(v->stages); i++) {
        int64_t n;
        char name[64], text[MOST_BARS][2 * NUMBER + 32], a[NUMBER], b[NUMBER];
        sc_bar bar[MOST_BARS];
        row *list = rows_of(v, json_object_get(json_array_get(v->stages, i), "things"), 0, &n);
        n = SC_MIN(n, MOST_BARS);
        for (int64_t k = 0; list && k < n; k++) {
            snprintf(text[k], sizeof text[k], "%s in %s document%s", count_text(a, nth(list[k].n, 0)),
                     count_text(b, nth(list[k].n, 1)), nth(list[k].n, 1) == 1 ? "" : "s");
            bar[k] = (sc_bar){list[k].name, list[k].value, text[k], (int)i + 1};
        }
        if (list && n) {
            if (!any)
                sc_page_section(&v->page, "What was found in documents",
                                "Lines that the rules of quality took out, personal data that were masked, words "
                                "of the lists: in documents that stayed and "
                                "in those that were dropped for them.");
            any = true;
            stage_name(v, i, name, sizeof name);
            sc_page_bars(&v->page, name, bar, (int)n);
        }
        sc_free(list);
    }
}

/* ---- languages, domains, sources ---- */

/* Documents before and after, by name, the most before first. */
static void put_groups(view *v, const char *key, const char *heading, const char *column)
{
    const char *const head[] = {column,      "documents read",        "left",   "of them",
                                "text left", "characters a document", "tokens", "share of the tokens"};
    const json_t *after = json_object_get(json_object_get(v->o, "after"), key);
    int64_t n, tokens = number(json_object_get(v->o, "after"), "tokens");
    char a[NUMBER];
    row *list = rows_of(v, json_object_get(json_object_get(v->o, "before"), key), 0, &n);
    /* Languages and domains may be known only in the end. */
    int64_t n_after;
    row *late = rows_of(v, after, 0, &n_after);
    bool only_unknown = n == 1 && strcmp(list[0].name, "und") == 0 && n_after <= 1 &&
                        (!n_after || strcmp(late[0].name, "und") == 0);
    if (list && late && !only_unknown && (n || n_after)) {
        sc_page_section(&v->page, heading, NULL);
        sc_page_table(&v->page, head, tokens ? SC_COUNT(head) : SC_COUNT(head) - 2);
        int64_t shown = 0;
        for (int pass = 0; pass < 2; pass++)
            for (int64_t i = 0; i < (pass ? n_after : n) && shown < 100; i++) {
                const row *r = pass ? &late[i] : &list[i];
                const json_t *x = json_object_get(json_object_get(json_object_get(v->o, "before"), key), r->name),
                             *y = json_object_get(after, r->name);
                if (pass && x) continue;
                shown++;
                sc_page_row(&v->page);
                sc_page_cell(&v->page, strcmp(r->name, "und") == 0 ? "not known" : r->name);
                cell_count(&v->page, nth(x, 0));
                cell_count(&v->page, nth(y, 0));
                sc_page_cellf(&v->page, "%s", x ? share_text(a, nth(y, 0), nth(x, 0)) : "");
                sc_page_cellf(&v->page, "%s", bytes_text(a, nth(y, 1)));
                sc_page_cellf(&v->page, "%s", count_text(a, nth(y, 0) ? nth(y, 2) / nth(y, 0) : 0));
                if (!tokens) continue;
                cell_count(&v->page, nth(y, 3));
                sc_page_cellf(&v->page, "%s", share_text(a, nth(y, 3), tokens));
            }
        sc_page_table_end(&v->page);
    }
    sc_free(list);
    sc_free(late);
}

/* ---- histograms ---- */

enum { BINS = 64 };

/* Bin b is from 2^(b / 2) on. */
static sc_series columns(const json_t *bins, const char *name, int colour, double x[BINS + 1], double y[BINS])
{
    int n = (int)SC_MIN(json_array_size(bins), BINS);
    for (int b = 0; b <= n; b++) x[b] = exp2(b / 2.0);
    for (int b = 0; b < n; b++) y[b] = (double)nth(bins, (size_t)b);
    return (sc_series){.name = name, .kind = SC_SERIES_COLUMNS, .colour = colour, .x = x, .y = y, .n = n};
}

static void put_histogram(view *v, const char *key, const char *title, const char *x_name, bool before)
{
    double x[2][BINS + 1], y[2][BINS];
    sc_series s[2];
    int n = 0;
    if (before) s[n++] = columns(json_object_get(json_object_get(v->o, "before"), key), "read", 7, x[0], y[0]);
    s[n++] = columns(json_object_get(json_object_get(v->o, "after"), key), "left", 0, x[1], y[1]);
    sc_chart_draw(
        &v->page.out,
        &(sc_chart){.title = title, .x_name = x_name, .named = true, .x = SC_AXIS_LOG, .series = s, .n_series = n});
}

/* "quality 0.35": a histogram for each name of score. */
static void put_scores(view *v)
{
    enum { MOST = 8 };
    char name[MOST][64], title[128];
    int n = 0;
    const char *key;
    json_t *value;
    const json_t *scores = json_object_get(json_object_get(v->o, "after"), "scores");
    json_object_foreach((json_t *)(uintptr_t)scores, key, value)
    {
        const char *space = strrchr(key, ' ');
        int k = 0, len = space ? (int)(space - key) : 0;
        while (k < n && (strncmp(name[k], key, (size_t)len) != 0 || name[k][len])) k++;
        if (k == n && n < MOST && len > 0 && len < 60) snprintf(name[n++], 64, "%.*s", len, key);
    }
    for (int k = 0; k < n; k++) {
        double x[22], y[21] = {0};
        size_t len = strlen(name[k]);
        for (int i = 0; i < 22; i++) x[i] = i / 20.0;
        json_object_foreach((json_t *)(uintptr_t)scores, key, value)
        {
            double at = strtod(key + SC_MIN(len, strlen(key)), NULL);
            if (strncmp(key, name[k], len) == 0 && key[len] == ' ' && at >= 0 && at <= 1)
                y[(int)lround(at * 20)] += (double)nth(value, 0);
        }
        sc_series s = {.name = "documents", .kind = SC_SERIES_COLUMNS, .colour = 2, .x = x, .y = y, .n = 21};
        snprintf(title, sizeof title, "Score “%s” of documents that are left", name[k]);
        sc_chart_draw(&v->page.out,
                      &(sc_chart){.title = title, .x_name = name[k], .named = true, .series = &s, .n_series = 1});
    }
}

static void put_histograms(view *v)
{
    sc_page_section(&v->page, "Lengths", NULL);
    sc_page_charts(&v->page, false);
    put_histogram(v, "lengths", "Characters of documents", "characters", true);
    if (number(json_object_get(v->o, "after"), "tokens"))
        put_histogram(v, "token_lengths", "Tokens of documents that are left", "tokens", false);
    put_scores(v);
    sc_page_charts_end(&v->page);
}

/* ---- the whole ---- */

static void put_settings(view *v)
{
    json_t *o = json_object();
    char name[64];
    for (size_t i = 0; i < json_array_size(v->stages); i++) {
        char key[96];
        stage_name(v, i, name, sizeof name);
        snprintf(key, sizeof key, "%zu. %s", i + 1, name);
        json_t *settings = json_deep_copy(json_object_get(json_array_get(v->stages, i), "settings"));
        json_object_del(settings, "stage");
        if (!json_object_size(settings)) {
            json_decref(settings);
            settings = json_string("as usual");
        }
        json_object_set_new(o, key, settings);
    }
    sc_page_objects(&v->page, "Settings of the stages", o, NULL, NULL);
    json_decref(o);
}

static void put_page(view *v)
{
    const json_t *after = json_object_get(v->o, "after"), *sources = json_object_get(v->o, "sources");
    sc_str title = {0}, status = {0};
    char a[NUMBER], b[NUMBER];
    sc_str_puts(&title, "Data");
    for (size_t i = 0; i < json_array_size(sources) && i < 3; i++)
        sc_str_printf(&title, "%s %.80s", i ? "," : " from",
                      sc_path_base(json_string_value(json_array_get(sources, i))));
    if (json_array_size(sources) > 3) sc_str_printf(&title, " and %zu more", json_array_size(sources) - 3);
    sc_str_printf(&status, "%s of %s documents are left after %zu stage%s.",
                  count_text(a, number(after, "documents")), count_text(b, v->read), json_array_size(v->stages),
                  json_array_size(v->stages) == 1 ? "" : "s");
    if (title.p && status.p) {
        sc_page_begin(&v->page, title.p, status.p);
        put_facts(v);
        put_funnel(v);
        put_groups(v, "languages", "Languages", "language");
        put_groups(v, "domains", "Domains", "domain");
        put_groups(v, "sources", "Sources", "source");
        put_histograms(v);
        put_things(v);
        put_rules(v);
        put_stages(v);
        put_settings(v);
    }
    v->page.out.oom = v->page.out.oom || title.oom || status.oom;
    sc_str_free(&title);
    sc_str_free(&status);
}

sc_status sc_data_page_write(const json_t *o, const char *path)
{
    view v = {.o = o, .stages = json_object_get(o, "stages"), .read = number(json_object_get(o, "read"), "in")};
    put_page(&v);
    return sc_page_write(&v.page, path);
}

sc_status sc_data_page(const char *dir)
{
    json_t *o = NULL;
    char *from = sc_path_join(dir, "data.json"), *to = sc_path_join(dir, "report.html");
    sc_status s = from && to ? sc_json_read(&o, from, JSON_LARGEST) : sc_nomem();
    if (!s && (!json_is_object(o) || !json_is_array(json_object_get(o, "stages"))))
        s = sc_fail(SC_EFORMAT, "%s is not what a run counted", from);
    if (!s) s = sc_data_page_write(o, to);
    json_decref(o);
    sc_free(from);
    sc_free(to);
    return s;
}
