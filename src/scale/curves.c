/* SPDX-License-Identifier: Apache-2.0 */
/* The pictures of a report. */
#include "scale/summary.h"

#include <math.h>

enum { ALONG = 48, MOST_SERIES = 24, HEIGHT = 360 };

/* A chart being put together; values live until it is drawn. */
typedef struct drawing {
    sc_arena *arena;
    sc_series series[MOST_SERIES];
    int n;
    sc_chart chart;
} drawing;

static double *numbers(drawing *d, int64_t n) { return sc_arena_alloc(d->arena, sizeof(double) * (size_t)(n + 1)); }

/* Room for n points of a new series; NULL: none, and nothing is drawn. */
static sc_series *begin(drawing *d, const char *name, sc_series_kind kind, int colour, int64_t n)
{
    double *x = numbers(d, n), *y = numbers(d, n);
    if (d->n == MOST_SERIES || !x || !y) return NULL;
    d->series[d->n] = (sc_series){.name = name, .kind = kind, .colour = colour, .x = x, .y = y};
    return &d->series[d->n++];
}

static void put(sc_series *s, double x, double y)
{
    ((double *)(uintptr_t)s->x)[s->n] = x;
    ((double *)(uintptr_t)s->y)[s->n++] = y;
}

static void draw(drawing *d, sc_page *p)
{
    d->chart.series = d->series;
    d->chart.n_series = d->n;
    d->chart.named = true;
    if (!d->chart.height) d->chart.height = HEIGHT;
    sc_page_chart(p, &d->chart);
    sc_arena_free(d->arena);
}

static bool start(drawing *d, const sc_chart *chart)
{
    *d = (drawing){.arena = sc_arena_new(), .chart = *chart};
    return d->arena != NULL;
}

static void range(const sc_scale_summary *x, size_t field, double *lo, double *hi)
{
    *lo = INFINITY;
    *hi = 0;
    for (int64_t i = 0; i < x->points->n; i++) {
        double v;
        memcpy(&v, (const char *)&x->points->point[i] + field, sizeof v);
        *lo = fmin(*lo, v);
        *hi = fmax(*hi, v);
    }
}

static double along(double lo, double hi, int i) { return lo * pow(hi / lo, (double)i / (ALONG - 1)); }

/* Runs that were fitted, and those that were not. */
static void put_runs(drawing *d, const sc_scale_summary *x, size_t field)
{
    sc_series *fitted = begin(d, "run", SC_SERIES_DOTS, 0, x->points->n),
              *held = begin(d, "held out", SC_SERIES_DOTS, 6, x->points->n);
    for (int64_t i = 0; fitted && held && i < x->points->n; i++) {
        const sc_scale_point *q = &x->points->point[i];
        double v;
        memcpy(&v, (const char *)q + field, sizeof v);
        put(q->held_out ? held : fitted, v, q->loss);
    }
}

/* Loss over compute: all runs, what was predicted of those held out, and the least that each law says. */
static void draw_compute(sc_page *p, const sc_scale_summary *x)
{
    drawing d;
    double lo, hi;
    const sc_law_fit *law = x->fit[SC_LAW_HOFFMANN], *line = x->fit[SC_LAW_KAPLAN_COMPUTE];
    if (!start(&d, &(sc_chart){.title = "Loss and compute",
                               .x_name = "operations",
                               .y_name = "nats a token",
                               .x = SC_AXIS_LOG,
                               .y = SC_AXIS_LOG}))
        return;
    range(x, offsetof(sc_scale_point, c), &lo, &hi);
    for (int i = 0; i < x->optima; i++) hi = fmax(hi, fmin(x->optimum[i].c, 100 * hi));
    put_runs(&d, x, offsetof(sc_scale_point, c));
    sc_series *said = begin(&d, "predicted", SC_SERIES_RINGS, 6, x->n_asked);
    for (int i = 0; law && said && i < x->n_asked; i++)
        put(said, x->kappa * x->asked[i].n * x->asked[i].d, x->asked[i].said[SC_LAW_HOFFMANN].value);
    sc_series *least = law ? begin(&d, "best size by the law", SC_SERIES_CURVE, 1, ALONG) : NULL;
    double *low = numbers(&d, ALONG), *high = numbers(&d, ALONG);
    for (int i = 0; least && low && high && i < ALONG; i++) {
        sc_scale_optimum o;
        sc_law_fit_optimum(law, x->kappa, along(lo, hi, i), &o);
        put(least, o.c, o.loss.value);
        low[i] = o.loss.low;
        high[i] = o.loss.high;
        least->low = low;
        least->high = high;
    }
    sc_series *power = line ? begin(&d, "(Cc/C)^αC", SC_SERIES_DASHED, 2, ALONG) : NULL;
    for (int i = 0; power && i < ALONG; i++) {
        double c = along(lo, hi, i);
        put(power, c, pow(line->law.p[0] / c, line->law.p[1]));
    }
    draw(&d, p);
}

/* Loss over size on each level of compute, its parabola and its minimum. */
static void draw_levels(sc_page *p, const sc_scale_summary *x)
{
    enum { MOST = 9 };
    drawing d;
    char *name;
    if (!x->iso->n ||
        !start(&d,
               &(sc_chart){
                   .title = "IsoFLOP curves", .x_name = "parameters", .y_name = "nats a token", .x = SC_AXIS_LOG}))
        return;
    for (int64_t k = 0; k < x->iso->n && k < MOST; k++) {
        const sc_isoflop *l = &x->iso->level[k];
        char c[48];
        double lo = INFINITY, hi = 0;
        sc_number_text(c, l->c);
        name = sc_arena_printf(d.arena, "%s operations", c);
        sc_series *dots = begin(&d, name ? name : "", SC_SERIES_DOTS, (int)k, x->points->n);
        for (int64_t i = 0; dots && i < x->points->n; i++) {
            const sc_scale_point *q = &x->points->point[i];
            if (q->level != l->level || q->held_out) continue;
            put(dots, q->n, q->loss);
            lo = fmin(lo, q->n);
            hi = fmax(hi, q->n);
        }
        sc_series *curve = begin(&d, "", SC_SERIES_DASHED, (int)k, ALONG);
        for (int i = 0; curve && i < ALONG; i++) {
            double n = along(lo, hi, i), z = log(n / l->n0);
            put(curve, n, l->q[0] + z * l->q[1] + z * z * l->q[2]);
        }
    }
    sc_series *least = begin(&d, "least", SC_SERIES_RINGS, 7, x->iso->n);
    for (int64_t k = 0; least && k < x->iso->n && k < MOST; k++)
        if (x->iso->level[k].inside) put(least, x->iso->level[k].n, x->iso->level[k].loss);
    draw(&d, p);
}

/* The best size, or number of tokens, over compute. */
static void draw_best(sc_page *p, const sc_scale_summary *x, bool tokens)
{
    drawing d;
    double lo, hi;
    const sc_law_fit *law = x->fit[SC_LAW_HOFFMANN];
    const sc_power *power = tokens ? &x->iso->tokens : &x->iso->size;
    if ((!law && !x->iso->laws) || !start(&d, &(sc_chart){.title = tokens ? "Tokens of the best size" : "Best size",
                                                          .x_name = "operations",
                                                          .y_name = tokens ? "tokens" : "parameters",
                                                          .x = SC_AXIS_LOG,
                                                          .y = SC_AXIS_LOG}))
        return;
    range(x, offsetof(sc_scale_point, c), &lo, &hi);
    for (int i = 0; i < x->optima; i++) hi = fmax(hi, fmin(x->optimum[i].c, 100 * hi));
    sc_series *least = begin(&d, "IsoFLOP minimum", SC_SERIES_DOTS, 0, x->iso->n),
              *line = x->iso->laws ? begin(&d, "through the minima", SC_SERIES_DASHED, 0, ALONG) : NULL,
              *best = law ? begin(&d, "by the law", SC_SERIES_CURVE, 1, ALONG) : NULL;
    double *low = numbers(&d, ALONG), *high = numbers(&d, ALONG);
    for (int64_t i = 0; least && i < x->iso->n; i++)
        if (x->iso->level[i].inside)
            put(least, x->iso->level[i].c, tokens ? x->iso->level[i].d : x->iso->level[i].n);
    for (int i = 0; low && high && i < ALONG; i++) {
        double c = along(lo, hi, i);
        if (line) put(line, c, power->k * pow(c, power->a.value));
        if (!best) continue;
        sc_scale_optimum o;
        sc_law_fit_optimum(law, x->kappa, c, &o);
        const sc_interval *v = tokens ? &o.d : &o.n;
        put(best, c, v->value);
        low[i] = v->low;
        high[i] = v->high;
        best->low = low;
        best->high = high;
    }
    draw(&d, p);
}

/* Loss over tokens, a curve for each of at most as many sizes as there are colours. */
static void draw_sizes(sc_page *p, const sc_scale_summary *x)
{
    drawing d;
    double lo, hi, sizes[SC_COLOURS];
    int n = 0;
    const sc_law_fit *law = x->fit[SC_LAW_HOFFMANN];
    if (!law || !start(&d, &(sc_chart){.title = "Loss and tokens, by size",
                                       .x_name = "tokens",
                                       .y_name = "nats a token",
                                       .x = SC_AXIS_LOG,
                                       .y = SC_AXIS_LOG}))
        return;
    range(x, offsetof(sc_scale_point, d), &lo, &hi);
    for (int64_t i = 0; i < x->points->n && n < SC_COLOURS; i++) {
        double size = x->points->point[i].n;
        bool fresh = true;
        for (int k = 0; k < n; k++) fresh &= sizes[k] != size;
        if (fresh) sizes[n++] = size;
    }
    for (int k = 0; k < n; k++) {
        char text[48];
        sc_number_text(text, sizes[k]);
        char *name = sc_arena_printf(d.arena, "%s parameters", text);
        sc_series *dots = begin(&d, name ? name : "", SC_SERIES_DOTS, k, x->points->n),
                  *curve = begin(&d, "", SC_SERIES_CURVE, k, ALONG);
        for (int64_t i = 0; dots && i < x->points->n; i++)
            if (x->points->point[i].n == sizes[k]) put(dots, x->points->point[i].d, x->points->point[i].loss);
        for (int i = 0; curve && i < ALONG; i++)
            put(curve, along(lo, hi, i), sc_law_loss(&law->law, sizes[k], along(lo, hi, i)));
    }
    draw(&d, p);
}

/* What the law says of each run, beside what it was. */
static void draw_truth(sc_page *p, const sc_scale_summary *x)
{
    drawing d;
    double lo, hi;
    const sc_law_fit *law = x->fit[SC_LAW_HOFFMANN] ? x->fit[SC_LAW_HOFFMANN] : x->fit[SC_LAW_KAPLAN_COMPUTE];
    if (!law || !start(&d, &(sc_chart){.title = "What was said and what was",
                                       .x_name = "loss by the law",
                                       .y_name = "loss of the run",
                                       .x = SC_AXIS_LOG,
                                       .y = SC_AXIS_LOG}))
        return;
    range(x, offsetof(sc_scale_point, loss), &lo, &hi);
    sc_series *same = begin(&d, "as said", SC_SERIES_CURVE, 7, 2),
              *fitted = begin(&d, "run", SC_SERIES_DOTS, 0, x->points->n),
              *held = begin(&d, "held out", SC_SERIES_DOTS, 6, x->points->n);
    if (same) put(same, lo, lo), put(same, hi, hi);
    for (int64_t i = 0; fitted && held && i < x->points->n; i++) {
        const sc_scale_point *q = &x->points->point[i];
        put(q->held_out ? held : fitted, sc_law_loss(&law->law, q->n, q->d), q->loss);
    }
    draw(&d, p);
}

void sc_scale_summary_charts(sc_page *p, const sc_scale_summary *x)
{
    sc_page_charts(p, false);
    draw_compute(p, x);
    draw_levels(p, x);
    draw_best(p, x, false);
    draw_best(p, x, true);
    draw_sizes(p, x);
    draw_truth(p, x);
    sc_page_charts_end(p);
}

/* ---- abilities ---- */

static void draw_ability(sc_page *p, const sc_scale_summary *x, const char *title, const char *what, size_t field,
                         double factor)
{
    drawing d;
    if (!start(&d, &(sc_chart){
                       .title = title, .x_name = "operations", .y_name = what, .x = SC_AXIS_LOG, .factor = factor}))
        return;
    const sc_able *first = &x->able[0];
    for (int k = 0; k < first->kinds && k < MOST_SERIES / 2; k++) {
        sc_series *line = begin(&d, "", SC_SERIES_CURVE, k, x->ables),
                  *dots = begin(&d, first->kind[k].kind, SC_SERIES_DOTS, k, x->ables);
        double least = INFINITY;
        for (int64_t i = 0; line && dots && i < x->ables; i++) {
            const sc_able *a = &x->able[i];
            bool best = a->loss < least; /* no run with less compute has less loss: the line goes through these */
            if (best) least = a->loss;
            for (int m = 0; m < a->kinds; m++) {
                double v;
                if (strcmp(a->kind[m].kind, first->kind[k].kind) != 0) continue;
                memcpy(&v, (const char *)&a->kind[m] + field, sizeof v);
                put(dots, a->c, v);
                if (best) put(line, a->c, v);
            }
        }
    }
    draw(&d, p);
}

void sc_scale_summary_ability_charts(sc_page *p, const sc_scale_summary *x)
{
    if (!x->ables) return;
    sc_page_charts(p, false);
    draw_ability(p, x, "Answers that are exact", "% of tasks", offsetof(sc_ability, exact), 100);
    draw_ability(p, x, "How near answers come", "% of the longer answer's characters",
                 offsetof(sc_ability, similarity), 100);
    draw_ability(p, x, "How likely the expected answers are", "log probability a token, nats",
                 offsetof(sc_ability, logprob), 1);
    sc_page_charts_end(p);
}
