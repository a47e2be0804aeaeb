/* SPDX-License-Identifier: Apache-2.0 */
/* report.html of a ladder or of points. */
#include "scale/summary.h"

#include <math.h>
#include <time.h>

static void spell(char out[160], sc_interval v)
{
    char value[48], low[48], high[48];
    sc_number_text(value, v.value);
    sc_number_text(low, v.low);
    sc_number_text(high, v.high);
    if (isfinite(v.low) && isfinite(v.high))
        snprintf(out, 160, "%s (%s to %s)", value, low, high);
    else
        snprintf(out, 160, "%s", isfinite(v.value) ? value : "");
}

static void cell(sc_page *p, double v)
{
    char text[48];
    sc_number_text(text, v);
    sc_page_cellf(p, "%s", isfinite(v) ? text : "");
}

static void cell_interval(sc_page *p, sc_interval v)
{
    char text[160];
    spell(text, v);
    sc_page_cell(p, text);
}

/* ---- parts ---- */

static void add_interval(sc_facts *f, const char *name, sc_interval v)
{
    char text[160];
    spell(text, v);
    sc_facts_add(f, name, "%s", text);
}

static void put_facts(sc_page *p, const sc_scale_summary *x)
{
    sc_facts f = {0};
    double sum = 0;
    char text[48];
    for (int64_t i = 0; i < x->points->n; i++) sum += x->points->point[i].c;
    sc_facts_add(&f, "runs", "%lld", (long long)x->points->n);
    sc_number_text(text, sum);
    sc_facts_add(&f, "operations in all", "%s", text);
    const sc_law_fit *law = x->fit[SC_LAW_HOFFMANN];
    if (law) {
        double a = law->law.p[2], b = law->law.p[4];
        add_interval(&f, "α, of size", (sc_interval){a, law->low[2], law->high[2]});
        add_interval(&f, "β, of tokens", (sc_interval){b, law->low[4], law->high[4]});
        add_interval(&f, "E, nats a token", (sc_interval){law->law.p[0], law->low[0], law->high[0]});
        sc_facts_add(&f, "the best size goes with compute to the power", "%.3f", b / (a + b));
    }
    sc_law_form judge = law ? SC_LAW_HOFFMANN : SC_LAW_KAPLAN_COMPUTE;
    for (int i = 0; i < x->n_asked; i++) {
        const sc_asked *q = &x->asked[i];
        if (!isfinite(q->actual) || !x->fit[judge]) continue;
        sc_facts_add(&f, "off the held-out run's loss", "%+.2f%%", 100 * (q->said[judge].value / q->actual - 1));
        break;
    }
    sc_page_facts(p, f.list, f.n);
}

static void put_predictions(sc_page *p, const sc_scale_summary *x)
{
    static const char *const head[] = {"run", "parameters", "tokens", "law", "loss by the law", "loss of the run",
                                       "off"};
    if (!x->n_asked) return;
    sc_page_section(p, "Predictions", "Of runs that no law was fitted to.");
    sc_page_table(p, head, SC_COUNT(head));
    for (int i = 0; i < x->n_asked; i++)
        for (int k = 0; k < SC_LAW_FORMS; k++) {
            const sc_asked *a = &x->asked[i];
            if (!x->fit[k]) continue;
            sc_page_row(p);
            sc_page_cell(p, a->name);
            cell(p, a->n);
            cell(p, a->d);
            sc_page_cell(p, sc_law_name((sc_law_form)k));
            cell_interval(p, a->said[k]);
            cell(p, a->actual);
            if (isfinite(a->actual))
                sc_page_cellf(p, "%+.2f%%", 100 * (a->said[k].value / a->actual - 1));
            else
                sc_page_cell(p, NULL);
        }
    sc_page_table_end(p);
}

static void put_laws(sc_page *p, const sc_scale_summary *x)
{
    static const char *const head[] = {"law", "formula", "parameter", "value", "", "runs", "deviation of log L"};
    char text[200];
    const sc_law_fit *any = NULL;
    for (int k = SC_LAW_FORMS; k-- > 0;) any = x->fit[k] ? x->fit[k] : any;
    snprintf(text, sizeof text,
             "Fitted to the runs that are not held out. In brackets the %.0f%% intervals of %lld resamplings.",
             100 * any->confidence, (long long)any->replicates);
    sc_page_section(p, "Laws", text);
    sc_page_table(p, head, SC_COUNT(head));
    for (int k = 0; k < SC_LAW_FORMS; k++) {
        const sc_law_fit *f = x->fit[k];
        const char *name;
        for (int i = 0; f && (name = sc_law_parameter(f->law.form, i)); i++) {
            sc_page_row(p);
            sc_page_cell(p, i ? NULL : sc_law_name(f->law.form));
            sc_page_cell(p, i ? NULL : sc_law_formula(f->law.form));
            sc_page_cell(p, name);
            cell(p, f->law.p[i]);
            if (isfinite(f->low[i])) {
                char low[48], high[48];
                sc_number_text(low, f->low[i]);
                sc_number_text(high, f->high[i]);
                sc_page_cellf(p, "%s to %s", low, high);
            } else
                sc_page_cell(p, NULL);
            if (i)
                sc_page_cell(p, NULL);
            else
                sc_page_cellf(p, "%lld", (long long)f->points);
            if (i)
                sc_page_cell(p, NULL);
            else
                sc_page_cellf(p, "%.2g", f->deviation);
        }
    }
    sc_page_table_end(p);
}

static void put_optima(sc_page *p, const sc_scale_summary *x)
{
    static const char *const head[] = {"operations", "parameters", "tokens", "tokens a parameter", "loss"};
    char text[160];
    if (!x->optima) return;
    snprintf(text, sizeof text,
             "Where %s says the least loss for a budget, with %.3g operations for a token and a parameter.",
             sc_law_formula(SC_LAW_HOFFMANN), x->kappa);
    sc_page_section(p, "Best sizes", text);
    sc_page_table(p, head, SC_COUNT(head));
    for (int i = 0; i < x->optima; i++) {
        const sc_scale_optimum *o = &x->optimum[i];
        sc_page_row(p);
        cell(p, o->c);
        cell_interval(p, o->n);
        cell_interval(p, o->d);
        cell(p, o->d.value / o->n.value);
        cell_interval(p, o->loss);
    }
    sc_page_table_end(p);
}

static void put_levels(sc_page *p, const sc_scale_summary *x)
{
    static const char *const head[] = {"operations", "runs", "best size", "its tokens", "its loss", ""};
    static const char *const laws[] = {"", "goes with compute to the power", "factor"};
    if (!x->iso->n) return;
    sc_page_section(p, "IsoFLOP minima",
                    "Of a parabola through the losses of one level of compute, over the logarithm of the size.");
    sc_page_table(p, head, SC_COUNT(head));
    for (int64_t i = 0; i < x->iso->n; i++) {
        const sc_isoflop *l = &x->iso->level[i];
        sc_page_row(p);
        cell(p, l->c);
        sc_page_cellf(p, "%lld", (long long)l->runs);
        cell(p, l->n);
        cell(p, l->d);
        cell(p, l->loss);
        sc_page_cell(p, l->inside ? NULL : "its least is not between the sizes that were run");
    }
    sc_page_table_end(p);
    if (!x->iso->laws) return;
    const struct {
        const char *name;
        const sc_power *law;
    } rows[] = {{"best size", &x->iso->size}, {"its tokens", &x->iso->tokens}, {"its loss", &x->iso->loss}};
    sc_page_table(p, laws, SC_COUNT(laws));
    for (int i = 0; i < SC_COUNT(rows); i++) {
        sc_page_row(p);
        sc_page_cell(p, rows[i].name);
        cell_interval(p, rows[i].law->a);
        cell(p, rows[i].law->k);
    }
    sc_page_table_end(p);
}

static void put_runs(sc_page *p, const sc_scale_summary *x)
{
    static const char *const head[] = {"run", "level", "parameters", "tokens", "operations", "loss", "off the law"};
    const sc_law_fit *law = x->fit[SC_LAW_HOFFMANN] ? x->fit[SC_LAW_HOFFMANN] : x->fit[SC_LAW_KAPLAN_COMPUTE];
    enum { MOST = 500 };
    sc_page_section(p, "Runs", NULL);
    sc_page_table(p, head, SC_COUNT(head));
    for (int64_t i = 0; i < x->points->n && i < MOST; i++) {
        const sc_scale_point *q = &x->points->point[i];
        sc_page_row(p);
        sc_page_cell(p, q->name);
        sc_page_cell(p, NULL);
        if (q->held_out) sc_str_puts(&p->out, "held out");
        if (!q->held_out && q->level) sc_str_printf(&p->out, "%d", q->level);
        cell(p, q->n);
        cell(p, q->d);
        cell(p, q->c);
        sc_page_cellf(p, "%.4f", q->loss);
        if (law)
            sc_page_cellf(p, "%+.2f%%", 100 * (q->loss / sc_law_loss(&law->law, q->n, q->d) - 1));
        else
            sc_page_cell(p, NULL);
    }
    sc_page_table_end(p);
}

static void put_abilities(sc_page *p, const sc_scale_summary *x)
{
    static const char *const head[] = {
        "run", "operations", "tasks", "n", "exact", "near", "log probability a token"};
    if (!x->ables) return;
    sc_page_section(
        p, "Abilities",
        "What the runs make of tasks. An ability that comes suddenly when answers are right or wrong may come "
        "evenly where they are measured by degrees.");
    sc_scale_summary_ability_charts(p, x);
    sc_page_table(p, head, SC_COUNT(head));
    for (int64_t i = 0; i < x->ables; i++)
        for (int k = 0; k < x->able[i].kinds; k++) {
            const sc_ability *a = &x->able[i].kind[k];
            sc_page_row(p);
            sc_page_cell(p, k ? NULL : x->able[i].name);
            cell(p, x->able[i].c);
            sc_page_cell(p, a->kind);
            sc_page_cellf(p, "%lld", (long long)a->n);
            sc_page_cellf(p, "%.1f%%", 100 * a->exact);
            sc_page_cellf(p, "%.1f%%", 100 * a->similarity);
            sc_page_cellf(p, "%.3f", a->logprob);
        }
    sc_page_table_end(p);
}

sc_status sc_scale_summary_page(const sc_scale_summary *x, const sc_scale_report *o, const char *path)
{
    sc_page p = {0};
    char when[64] = "", status[128];
    time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local)) strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S %Z", &local);
    snprintf(status, sizeof status, "%lld runs; as of %s", (long long)x->points->n, when);
    sc_page_begin(&p, o->title ? o->title : "Scaling laws", status);
    put_facts(&p, x);
    sc_scale_summary_charts(&p, x);
    put_predictions(&p, x);
    put_abilities(&p, x);
    put_optima(&p, x);
    put_levels(&p, x);
    put_laws(&p, x);
    put_runs(&p, x);
    sc_page_command(&p, "Command", o->command);
    return sc_page_write(&p, path);
}
