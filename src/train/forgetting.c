/* SPDX-License-Identifier: Apache-2.0 */
/* What a run forgets: losses on old data before its first step, along the way and now, as a section of the page and as
 * forgetting.json. They are read from the lines of metrics.jsonl, so a run that goes on has those from before. */
#include "train/run.h"

#include <math.h>
#include <stdlib.h>

/* ---- names ---- */

void sc_old_name(char out[SC_OLD_NAME], const char *path, int number)
{
    const char *base = sc_path_base(path);
    int n = 0;
    for (; base[n] && n < SC_OLD_NAME - 8; n++) {
        bool plain = (base[n] >= 'a' && base[n] <= 'z') || (base[n] >= 'A' && base[n] <= 'Z') ||
                     (base[n] >= '0' && base[n] <= '9') || strchr("._-", base[n]);
        out[n] = plain ? base[n] : '_';
    }
    snprintf(out + n, 8, number ? "-%d" : "", number + 1);
}

/* The new data's numbers have the names that every evaluation's have. */
static void key_of(const sc_forgetting *f, int i, const char *what, char out[160])
{
    if (i)
        snprintf(out, 160, SC_OLD_KEY "%s_%s", f->name[i - 1], what);
    else
        snprintf(out, 160, "eval_%s", what);
}

void sc_old_note(const sc_forgetting *f, int i, double loss, double measured, json_t *line)
{
    char key[160];
    key_of(f, i, "loss", key);
    json_object_set_new(line, key, json_real(loss));
    if (!f->measure) return;
    key_of(f, i, f->measure, key);
    json_object_set_new(line, key, json_real(measured));
}

/* ---- what is known ---- */

/* As the file has it, so that a run that goes on reports the same. */
static double as_written(const json_t *v)
{
    char text[32];
    if (!json_is_number(v)) return NAN;
    snprintf(text, sizeof text, "%.9g", json_number_value(v));
    return strtod(text, NULL);
}

sc_status sc_forgetting_take(sc_forgetting *f, const json_t *line)
{
    char key[160];
    for (int i = 0; f->n && i <= f->n; i++) {
        key_of(f, i, "loss", key);
        const json_t *loss = json_object_get(line, key), *measured = NULL;
        if (f->measure) {
            key_of(f, i, f->measure, key);
            measured = json_object_get(line, key);
        }
        if (!json_is_number(loss)) continue;
        sc_old_points *p = &f->points[i];
        if (!sc_grow(&p->at, &p->cap, p->n + 1, sizeof *p->at)) return sc_nomem();
        p->at[p->n++] = (struct sc_old_point){(double)json_integer_value(json_object_get(line, "step")),
                                              as_written(loss), as_written(measured)};
    }
    return SC_OK;
}

void sc_forgetting_clear(sc_forgetting *f)
{
    for (int i = 0; i <= SC_OLD_MOST; i++) f->points[i].n = 0;
}

void sc_forgetting_free(sc_forgetting *f)
{
    for (int i = 0; i <= SC_OLD_MOST; i++) sc_free(f->points[i].at);
    *f = (sc_forgetting){0};
}

bool sc_forgetting_has(const sc_forgetting *f, int64_t step)
{
    const sc_old_points *p = &f->points[1];
    return f->n && p->n && p->at[p->n - 1].step == (double)step;
}

/* ---- the page ---- */

static void put_row(sc_page *p, const sc_forgetting *f, int i)
{
    const sc_old_points *x = &f->points[i];
    if (!x->n) return;
    const struct sc_old_point *a = &x->at[0], *b = &x->at[x->n - 1];
    sc_page_row(p);
    sc_page_cell(p, i ? f->name[i - 1] : "new data (evaluation)");
    sc_page_cellf(p, "%.4f", a->loss);
    sc_page_cellf(p, "%.4f", b->loss);
    sc_page_cellf(p, "%+.4f", b->loss - a->loss);
    if (!f->measure) return;
    sc_page_cellf(p, "%.4f", a->measured);
    sc_page_cellf(p, "%.4f", b->measured);
    sc_page_cellf(p, "%+.4f", b->measured - a->measured);
}

void sc_forgetting_page(const sc_forgetting *f, sc_page *p)
{
    char before[80], now[80];
    const char *head[] = {"data", "loss before", "loss now", "change", before, now, "change"};
    sc_series series[SC_OLD_MOST];
    if (!f->n || !f->points[1].n) return;
    snprintf(before, sizeof before, "%s before", f->measure ? f->measure : "");
    snprintf(now, sizeof now, "%s now", f->measure ? f->measure : "");
    sc_page_section(
        p, "Forgetting",
        "Old data that was not trained on here, measured before the first step and now. A loss that rose "
        "was forgotten; the new data's should fall.");
    sc_page_table(p, head, f->measure ? SC_COUNT(head) : 4);
    for (int i = 0; i <= f->n; i++) put_row(p, f, i);
    sc_page_table_end(p);
    for (int i = 0; i < f->n; i++) {
        const sc_old_points *x = &f->points[i + 1];
        series[i] = (sc_series){.name = f->name[i],
                                .colour = i,
                                .x = x->n ? &x->at->step : NULL,
                                .y = x->n ? &x->at->loss : NULL,
                                .n = x->n,
                                .stride = sizeof *x->at};
    }
    sc_page_charts(p, true);
    sc_page_chart(p,
                  &(sc_chart){.title = "Loss on old data", .x_name = "step", .series = series, .n_series = f->n});
    sc_page_charts_end(p);
}

/* ---- forgetting.json ---- */

static json_t *point_json(const sc_forgetting *f, const struct sc_old_point *x)
{
    json_t *o = json_pack("{s:I, s:f}", "step", (json_int_t)x->step, "loss", x->loss);
    if (o && f->measure && isfinite(x->measured)) json_object_set_new(o, f->measure, json_real(x->measured));
    return o;
}

static json_t *row_json(const sc_forgetting *f, int i)
{
    const sc_old_points *x = &f->points[i];
    if (!x->n) return json_null();
    const struct sc_old_point *a = &x->at[0], *b = &x->at[x->n - 1];
    struct sc_old_point change = {b->step - a->step, b->loss - a->loss, b->measured - a->measured};
    char *path = i ? sc_path_absolute(f->path[i - 1]) : NULL;
    json_t *o = json_pack("{s:s*, s:s*, s:o, s:o, s:o}", "name", i ? f->name[i - 1] : NULL, "data", path, "before",
                          point_json(f, a), "now", point_json(f, b), "change", point_json(f, &change));
    sc_free(path);
    return o;
}

sc_status sc_forgetting_write(const sc_forgetting *f, const char *out)
{
    double loss = 0, measured = 0;
    if (!f->n || !f->points[1].n) return SC_OK;
    json_t *old = json_array();
    for (int i = 1; i <= f->n; i++) {
        const sc_old_points *x = &f->points[i];
        json_array_append_new(old, row_json(f, i));
        if (!x->n) continue;
        loss += (x->at[x->n - 1].loss - x->at[0].loss) / f->n;
        measured += (x->at[x->n - 1].measured - x->at[0].measured) / f->n;
    }
    json_t *mean = json_pack("{s:f}", "loss", loss);
    if (mean && f->measure && isfinite(measured)) json_object_set_new(mean, f->measure, json_real(measured));
    json_t *all = json_pack("{s:o, s:o, s:o}", "new", row_json(f, 0), "old", old, "mean_change_of_old", mean);
    char *text = all ? json_dumps(all, JSON_INDENT(2)) : NULL, *path = sc_path_join(out, "forgetting.json");
    sc_status s = text && path ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(text);
    sc_free(path);
    json_decref(all);
    return s;
}
