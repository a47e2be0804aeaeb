/* SPDX-License-Identifier: Apache-2.0 */
/* All that is said of a ladder, as numbers. */
#include "scale/summary.h"

#include <math.h>

static void close_summary(sc_scale_summary *x)
{
    for (int i = 0; i < SC_LAW_FORMS; i++) sc_law_fit_free(x->fit[i]);
    sc_isoflops_free(x->iso);
    for (int64_t i = 0; i < x->ables; i++) sc_able_free(&x->able[i]);
    sc_free(x->able);
}

/* Laws that the points cannot tell are left out; the first reason stays where none can. */
static sc_status fit_laws(sc_scale_summary *x, sc_context *ctx, const sc_law_options *o)
{
    static const sc_law_form order[] = {SC_LAW_KAPLAN_COMPUTE, SC_LAW_KAPLAN_STEPS, SC_LAW_KAPLAN, SC_LAW_HOFFMANN};
    bool any = false;
    sc_status s = SC_OK;
    for (int i = 0; i < SC_COUNT(order); i++) {
        s = sc_law_fit_new(&x->fit[order[i]], ctx, order[i], x->points, o);
        if (s && s != SC_EINVAL) return s;
        any |= !s;
    }
    return any ? SC_OK : s;
}

static void ask(sc_scale_summary *x, const char *name, double n, double d, double actual)
{
    if (x->n_asked == SC_MOST_ASKED) return;
    sc_asked *a = &x->asked[x->n_asked++];
    *a = (sc_asked){.name = name, .n = n, .d = d, .actual = actual};
    for (int k = 0; k < SC_LAW_FORMS; k++)
        a->said[k] = x->fit[k] ? sc_law_fit_predict(x->fit[k], n, d) : (sc_interval){NAN, NAN, NAN};
}

static sc_status answer(sc_scale_summary *x, const sc_scale_report *o)
{
    for (int64_t i = 0; i < x->points->n; i++) {
        const sc_scale_point *p = &x->points->point[i];
        if (p->held_out) ask(x, p->name, p->n, p->d, p->loss);
    }
    for (int i = 0; i < o->n_asked; i++) {
        double n = o->ask[2 * i], d = o->ask[2 * i + 1];
        if (!(n > 0 && d > 0)) return sc_fail(SC_EINVAL, "a prediction for %g parameters and %g tokens", n, d);
        ask(x, "", n, d, NAN);
    }
    if (!x->fit[SC_LAW_HOFFMANN]) return SC_OK;
    double most = 0;
    for (int64_t i = 0; i < x->points->n; i++) most = fmax(most, x->points->point[i].c);
    const double usual[] = {most, 10 * most, 100 * most};
    const double *c = o->n_budgets ? o->budget : usual;
    int n = SC_MIN(o->n_budgets ? o->n_budgets : SC_COUNT(usual), SC_MOST_ASKED);
    for (int i = 0; i < n; i++) {
        if (!(c[i] > 0)) return sc_fail(SC_EINVAL, "a budget of %g operations", c[i]);
        sc_law_fit_optimum(x->fit[SC_LAW_HOFFMANN], x->kappa, c[i], &x->optimum[x->optima++]);
    }
    return SC_OK;
}

/* ---- as JSON ---- */

static json_t *number(double v) { return isfinite(v) ? json_real(v) : json_null(); }

static json_t *interval(sc_interval v)
{
    return json_pack("{s:o, s:o, s:o}", "value", number(v.value), "low", number(v.low), "high", number(v.high));
}

static json_t *law_json(const sc_law_fit *f)
{
    json_t *p = json_object();
    const char *name;
    for (int i = 0; (name = sc_law_parameter(f->law.form, i)); i++)
        json_object_set_new(p, name, interval((sc_interval){f->law.p[i], f->low[i], f->high[i]}));
    return json_pack("{s:s, s:s, s:o, s:o, s:I, s:f}", "law", sc_law_name(f->law.form), "formula",
                     sc_law_formula(f->law.form), "parameters", p, "deviation", number(f->deviation), "runs",
                     (json_int_t)f->points, "confidence", f->confidence);
}

static json_t *power(const sc_power *p)
{
    return json_pack("{s:o, s:o}", "k", number(p->k), "exponent", interval(p->a));
}

static json_t *iso_json(const sc_isoflops *x)
{
    json_t *levels = json_array();
    for (int64_t i = 0; i < x->n; i++) {
        const sc_isoflop *l = &x->level[i];
        json_array_append_new(levels, json_pack("{s:i, s:I, s:o, s:b, s:o, s:o, s:o}", "level", l->level, "runs",
                                                (json_int_t)l->runs, "compute", number(l->c), "inside",
                                                (int)l->inside, "parameters", number(l->n), "tokens", number(l->d),
                                                "loss", number(l->loss)));
    }
    json_t *o = json_pack("{s:o}", "levels", levels);
    if (!x->laws) return o;
    json_object_set_new(o, "size", power(&x->size));
    json_object_set_new(o, "tokens", power(&x->tokens));
    json_object_set_new(o, "loss", power(&x->loss));
    return o;
}

static json_t *asked_json(const sc_scale_summary *x, const sc_asked *a)
{
    json_t *laws = json_object();
    for (int k = 0; k < SC_LAW_FORMS; k++) {
        if (!x->fit[k]) continue;
        json_t *v = interval(a->said[k]);
        if (isfinite(a->actual)) json_object_set_new(v, "off", number(a->said[k].value / a->actual - 1));
        json_object_set_new(laws, sc_law_name((sc_law_form)k), v);
    }
    return json_pack("{s:s, s:f, s:f, s:o, s:o}", "name", a->name, "parameters", a->n, "tokens", a->d, "actual",
                     number(a->actual), "laws", laws);
}

json_t *sc_scale_summary_json(const sc_scale_summary *x)
{
    json_t *laws = json_array(), *optima = json_array(), *asked = json_array();
    for (int k = 0; k < SC_LAW_FORMS; k++)
        if (x->fit[k]) json_array_append_new(laws, law_json(x->fit[k]));
    for (int i = 0; i < x->optima; i++) {
        const sc_scale_optimum *o = &x->optimum[i];
        json_array_append_new(optima,
                              json_pack("{s:f, s:o, s:o, s:o}", "compute", o->c, "parameters", interval(o->n),
                                        "tokens", interval(o->d), "loss", interval(o->loss)));
    }
    for (int i = 0; i < x->n_asked; i++) json_array_append_new(asked, asked_json(x, &x->asked[i]));
    return json_pack("{s:I, s:f, s:o, s:o, s:o, s:o}", "runs", (json_int_t)x->points->n, "kappa", x->kappa, "laws",
                     laws, "isoflop", iso_json(x->iso), "optima", optima, "predictions", asked);
}

sc_status sc_scale_report_make(char **out, sc_context *ctx, const sc_scale_points *points, const char *dir,
                               const sc_scale_report *o, const char *html)
{
    sc_scale_summary *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    x->points = points;
    x->kappa = o->kappa > 0 ? o->kappa : sc_scale_kappa(points);
    sc_status s = fit_laws(x, ctx, &o->law);
    const sc_law_fit *noise = x->fit[SC_LAW_HOFFMANN];
    if (!s) s = sc_isoflops_new(&x->iso, points, noise);
    if (!s) s = answer(x, o);
    if (!s && dir) s = sc_scale_summary_abilities(x, dir);
    if (!s && html) s = sc_scale_summary_page(x, o, html);
    if (!s) {
        json_t *all = sc_scale_summary_json(x);
        char *text = all ? json_dumps(all, JSON_INDENT(2) | JSON_REAL_PRECISION(10)) : NULL;
        json_decref(all);
        if (text)
            *out = text;
        else
            s = sc_nomem();
    }
    close_summary(x);
    sc_free(x);
    return s;
}
