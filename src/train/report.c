/* SPDX-License-Identifier: Apache-2.0 */
/* report.html: what a run did. */
#include "train/run.h"

#include <math.h>

static sc_series series(const sc_report *r, const char *name, int colour, size_t field)
{
    return (sc_series){.name = name,
                       .colour = colour,
                       .x = &r->point->step,
                       .y = (const double *)(const void *)((const char *)r->point + field),
                       .n = r->points,
                       .stride = sizeof *r->point};
}

/* What an objective measures beside its loss. */
static void put_tracks(sc_page *p, const sc_report *r)
{
    for (int k = 0; k < r->tracks; k++) {
        const sc_track *t = &r->track[k];
        sc_series s[2];
        bool both[2] = {false, false};
        for (int64_t i = 0; i < t->n; i++)
            for (int e = 0; e < 2; e++) both[e] = both[e] || isfinite(t->point[i].value[e]);
        for (int e = 0; e < 2; e++)
            s[e] = (sc_series){.name = !(both[0] && both[1]) ? t->name
                                       : e                   ? "evaluation"
                                                             : "training",
                               .colour = e,
                               .x = &t->point->step,
                               .y = &t->point->value[e],
                               .n = t->n,
                               .stride = sizeof *t->point};
        sc_page_chart(p, &(sc_chart){.title = t->name, .x_name = "step", .series = s, .n_series = 2});
    }
}

static void put_charts(sc_page *p, const sc_report *r)
{
    enum { MOST = 100 };
    double mark[MOST];
    int marks = 0;
    if (!r->points) return;
    for (size_t i = 0; i < json_array_size(r->spikes) && marks < MOST; i++)
        mark[marks++] = json_number_value(json_object_get(json_array_get(r->spikes, i), "step"));
    const sc_series loss[] = {
        series(r, "training", 0, offsetof(sc_point, loss)),
        series(r, "evaluation", 1, offsetof(sc_point, eval_loss)),
        series(r, "evaluation of the average", 2, offsetof(sc_point, ema_loss)),
    };
    const sc_series rate = series(r, "learning rate", 0, offsetof(sc_point, lr)),
                    norm = series(r, "norm", 0, offsetof(sc_point, norm)),
                    speed = series(r, "tokens a second", 0, offsetof(sc_point, tokens_per_second)),
                    share = series(r, "share", 0, offsetof(sc_point, share));
    const sc_chart charts[] = {
        {.title = "Loss", .series = loss, .n_series = SC_COUNT(loss), .mark = mark, .n_marks = marks},
        {.title = "Learning rate", .series = &rate, .n_series = 1},
        {.title = "Norm of the gradients",
         .y = SC_AXIS_WIDE,
         .series = &norm,
         .n_series = 1,
         .mark = mark,
         .n_marks = marks},
        {.title = "Tokens a second", .series = &speed, .n_series = 1},
        {.title = "Share of the peak, %", .factor = 100, .series = &share, .n_series = 1},
    };
    sc_page_charts(p, true);
    for (int i = 0; i < SC_COUNT(charts); i++) {
        sc_chart c = charts[i];
        c.x_name = "step";
        c.mark_name = "spike at step";
        sc_page_chart(p, &c);
    }
    put_tracks(p, r);
    sc_page_charts_end(p);
}

static void put_spikes(sc_page *p, const json_t *spikes)
{
    static const char *const head[] = {"step", "loss", "median before", "done", "batch"}, *const keys[] = {
                                                                                              "step", "loss",
                                                                                              "median", "action",
                                                                                              "batch"};
    if (json_array_size(spikes) == 0) return;
    sc_page_section(p, "Loss spikes", NULL);
    sc_page_table(p, head, SC_COUNT(head));
    for (size_t i = 0; i < json_array_size(spikes); i++) {
        sc_page_row(p);
        for (int k = 0; k < SC_COUNT(keys); k++)
            sc_page_cell_json(p, json_object_get(json_array_get(spikes, i), keys[k]));
    }
    sc_page_table_end(p);
}

static void put_samples(sc_page *p, const sc_report *r)
{
    static const char *const head[] = {"step", "text"};
    if (!r->samples) return;
    sc_page_section(p, "Samples along the way", NULL);
    sc_page_table(p, head, SC_COUNT(head));
    for (int64_t i = r->samples; i-- > 0;) {
        sc_page_row(p);
        sc_page_cellf(p, "%lld", (long long)r->sample[i].step);
        sc_page_cell_said(p, r->sample[i].prompt, r->sample[i].text, -1);
    }
    sc_page_table_end(p);
}

sc_status sc_report_write(const sc_report *r, const char *path)
{
    sc_page p = {0};
    sc_page_begin(&p, r->title, r->status);
    sc_page_facts(&p, r->fact, r->n_facts);
    put_charts(&p, r);
    if (r->forgetting) sc_forgetting_page(r->forgetting, &p);
    put_spikes(&p, r->spikes);
    put_samples(&p, r);
    sc_page_command(&p, "Command", r->command);
    sc_page_objects(&p, "Options", r->options, "Configuration", r->config);
    return sc_page_write(&p, path);
}
