/* SPDX-License-Identifier: Apache-2.0 */
/* A law through points: from many places down, then the same with resampled points for what is uncertain. */
#include "scale/scale.h"

#include <math.h>

enum { DEEP = 48 }; /* of all places to begin from, how many are gone down from */

static void free_data(sc_law_data *d)
{
    sc_free(d->x);
    sc_free(d->y);
    sc_free(d->z);
}

static sc_status room(sc_law_data *d, int64_t n)
{
    *d = (sc_law_data){.n = n};
    size_t bytes = sizeof *d->x * (size_t)(n + 1);
    d->x = sc_malloc(bytes);
    d->y = sc_malloc(bytes);
    d->z = sc_malloc(bytes);
    return d->x && d->y && d->z ? SC_OK : sc_nomem();
}

static bool same(double a, double b) { return fabs(a - b) < 1e-9; }

/* Different values, counted up to `most`; different pairs with y. */
static int64_t different(const double *x, const double *y, int64_t n, int64_t most)
{
    int64_t count = 0;
    for (int64_t i = 0; i < n && count < most; i++) {
        bool fresh = true;
        for (int64_t k = 0; k < i && fresh; k++) fresh = !same(x[i], x[k]) || (y && !same(y[i], y[k]));
        count += fresh;
    }
    return count;
}

static bool enough(sc_law_form form, const sc_law_data *d)
{
    int n = sc_law_count(form);
    if (form == SC_LAW_KAPLAN_COMPUTE) {
        for (int64_t i = 1; i < d->n; i++)
            if (!same(d->x[i] + d->y[i], d->x[0] + d->y[0])) return true;
        return false;
    }
    return different(d->x, d->y, d->n, n) >= n && different(d->x, NULL, d->n, 2) >= 2 &&
           different(d->y, NULL, d->n, 2) >= 2;
}

static void find_middle(sc_law_data *d)
{
    d->x0 = d->y0 = 0;
    for (int64_t i = 0; i < d->n; i++) {
        d->x0 += d->x[i] / (double)d->n;
        d->y0 += d->y[i] / (double)d->n;
    }
}

/* Whether another run with about as little compute has less loss. */
static bool beaten(const sc_scale_points *p, const sc_scale_point *q)
{
    static const double as_little = 1.05;
    for (int64_t i = 0; i < p->n; i++) {
        const sc_scale_point *o = &p->point[i];
        if (!o->held_out && o->c <= as_little * q->c && o->loss < q->loss) return true;
    }
    return false;
}

static sc_status gather(sc_law_data *d, sc_law_form form, const sc_scale_points *p)
{
    sc_status s = room(d, p->n);
    if (s) return s;
    d->n = 0;
    d->kappa = sc_scale_kappa(p);
    for (int64_t i = 0; i < p->n; i++) {
        const sc_scale_point *q = &p->point[i];
        if (q->held_out || (form == SC_LAW_KAPLAN_COMPUTE && beaten(p, q))) continue;
        if (!(q->n > 0 && q->d > 0 && q->loss > 0) || !isfinite(q->n) || !isfinite(q->d) || !isfinite(q->loss))
            return sc_fail(SC_EINVAL, "run '%s' has %g parameters, %g tokens and a loss of %g",
                           q->name ? q->name : "", q->n, q->d, q->loss);
        d->x[d->n] = log(q->n);
        d->y[d->n] = log(q->d);
        d->z[d->n++] = log(q->loss);
    }
    if (!enough(form, d))
        return sc_fail(SC_EINVAL, "%lld runs cannot tell the law %s: it takes %d of different sizes or tokens%s",
                       (long long)d->n, sc_law_formula(form), sc_law_count(form),
                       form == SC_LAW_KAPLAN_COMPUTE ? "" : ", at least two of each");
    find_middle(d);
    return SC_OK;
}

/* ---- the fit ---- */

typedef struct place {
    double loss, t[SC_LAW_MOST];
} place;

/* Keeps the DEEP best. */
static void keep(place *best, int *n, const place *p)
{
    if (*n == DEEP && p->loss >= best[DEEP - 1].loss) return;
    int at = *n < DEEP ? (*n)++ : DEEP - 1;
    for (; at > 0 && best[at - 1].loss > p->loss; at--) best[at] = best[at - 1];
    best[at] = *p;
}

static void find_best(sc_law_form form, const sc_law_data *d, double delta, place *out)
{
    place best[DEEP], p;
    int n = 0;
    for (int i = 0; sc_law_start(form, d, i, p.t); i++) {
        p.loss = sc_law_huber(form, d, delta, p.t);
        if (isfinite(p.loss)) keep(best, &n, &p);
    }
    *out = (place){.loss = INFINITY};
    for (int i = 0; i < n; i++) {
        best[i].loss = sc_law_minimise(form, d, delta, best[i].t);
        if (best[i].loss < out->loss) *out = best[i];
    }
}

/* ---- what is uncertain ---- */

/* Points drawn again, or the law's values with residuals drawn again, which few points' fits make too small. */
static void resample(sc_law_data *to, const sc_law_data *d, const sc_law_fit *f, sc_law_form form, const place *at,
                     bool cases, sc_rng *r)
{
    double grown = sqrt((double)d->n / (double)SC_MAX(d->n - sc_law_count(form), 1));
    for (int64_t i = 0; i < d->n; i++) {
        int64_t k = SC_MIN((int64_t)(sc_rng_uniform(r) * (double)d->n), d->n - 1);
        int64_t from = cases ? k : i;
        to->x[i] = d->x[from];
        to->y[i] = d->y[from];
        to->z[i] = cases ? d->z[k]
                         : sc_law_log(form, at->t, d->x[i] - d->x0, d->y[i] - d->y0, NULL) + grown * f->residual[k];
    }
    to->n = d->n;
}

static sc_status bootstrap(sc_law_fit *f, sc_context *ctx, const sc_law_data *d, const place *best, double delta,
                           const sc_law_options *o)
{
    enum { TRIES = 50 };
    sc_law_data again;
    sc_status s = room(&again, d->n);
    sc_law_form form = f->law.form;
    if (!s && !(f->replicate = sc_malloc(sizeof *f->replicate * (size_t)o->bootstrap))) s = sc_nomem();
    for (int64_t i = 0; !s && i < o->bootstrap; i++) {
        sc_rng r = sc_rng_make(o->seed, (uint64_t)i);
        place from = *best;
        int tries = 0;
        do resample(&again, d, f, form, best, o->cases, &r);
        while (!enough(form, &again) && ++tries < TRIES);
        if (tries == TRIES) continue;
        again.kappa = d->kappa;
        again.x0 = d->x0;
        again.y0 = d->y0;
        double lowest = sc_law_minimise(form, &again, delta, from.t);
        /* A second way down, since the first begins where the given points led to. */
        place other = *best;
        for (int k = 0; k < sc_law_count(form); k++) other.t[k] += 0.6 * (sc_rng_uniform(&r) - 0.5);
        if (sc_law_minimise(form, &again, delta, other.t) < lowest) from = other;
        f->replicate[f->replicates].form = form;
        sc_law_from(&f->replicate[f->replicates++], d, from.t);
        if (ctx) sc_progress(ctx, "resampling", i + 1, o->bootstrap);
        if (ctx && atomic_load(&ctx->cancelled)) s = sc_fail(SC_ECANCELLED, "stopped");
    }
    free_data(&again);
    return s;
}

static sc_status find_intervals(sc_law_fit *f)
{
    double *x = sc_malloc(sizeof *x * (size_t)(f->replicates + 1)), tail = (1 - f->confidence) / 2;
    if (!x) return sc_nomem();
    for (int k = 0; k < SC_LAW_MOST; k++) {
        for (int64_t i = 0; i < f->replicates; i++) x[i] = f->replicate[i].p[k];
        f->low[k] = sc_stats_quantile(x, f->replicates, tail);
        for (int64_t i = 0; i < f->replicates; i++) x[i] = f->replicate[i].p[k];
        f->high[k] = sc_stats_quantile(x, f->replicates, 1 - tail);
    }
    sc_free(x);
    return SC_OK;
}

void sc_law_fit_free(sc_law_fit *f)
{
    if (!f) return;
    sc_free(f->residual);
    sc_free(f->replicate);
    sc_free(f);
}

static sc_status measure(sc_law_fit *f, const sc_law_data *d, const place *best)
{
    double squares = 0;
    if (!(f->residual = sc_malloc(sizeof *f->residual * (size_t)(d->n + 1)))) return sc_nomem();
    for (int64_t i = 0; i < d->n; i++) {
        f->residual[i] = d->z[i] - sc_law_log(f->law.form, best->t, d->x[i] - d->x0, d->y[i] - d->y0, NULL);
        squares += f->residual[i] * f->residual[i];
    }
    f->points = d->n;
    f->objective = best->loss;
    f->deviation = sqrt(squares / (double)SC_MAX(d->n - sc_law_count(f->law.form), 1));
    return SC_OK;
}

sc_status sc_law_fit_new(sc_law_fit **out, sc_context *ctx, sc_law_form form, const sc_scale_points *points,
                         const sc_law_options *options)
{
    sc_law_options o = options ? *options : (sc_law_options){0};
    if (!(o.huber > 0)) o.huber = 1e-3;
    if (!o.bootstrap) o.bootstrap = 400;
    if (!(o.confidence > 0)) o.confidence = 0.9;
    if ((unsigned)form >= SC_LAW_FORMS || o.confidence >= 1 || o.bootstrap > 1000000)
        return sc_fail(SC_EINVAL, "a fit of form %d with %lld resamplings and a confidence of %g", (int)form,
                       (long long)o.bootstrap, o.confidence);
    sc_law_data d = {0};
    place best;
    sc_law_fit *f = sc_calloc(1, sizeof *f);
    sc_status s = f ? gather(&d, form, points) : sc_nomem();
    if (s) goto end;
    f->law.form = form;
    f->confidence = o.confidence;
    f->seed = o.seed;
    find_best(form, &d, o.huber, &best);
    if (!isfinite(best.loss)) {
        s = sc_fail(SC_EINVAL, "no law of the form %s lies near these runs", sc_law_formula(form));
        goto end;
    }
    sc_law_from(&f->law, &d, best.t);
    s = measure(f, &d, &best);
    if (!s && o.bootstrap > 0) s = bootstrap(f, ctx, &d, &best, o.huber, &o);
    if (!s) s = find_intervals(f);
end:
    free_data(&d);
    if (s)
        sc_law_fit_free(f);
    else
        *out = f;
    return s;
}

/* ---- what follows ---- */

static void set_interval(sc_interval *out, double *x, const sc_law_fit *f)
{
    double tail = (1 - f->confidence) / 2;
    out->low = sc_stats_quantile(x, f->replicates, tail);
    out->high = sc_stats_quantile(x, f->replicates, 1 - tail);
}

sc_interval sc_law_fit_predict(const sc_law_fit *f, double n, double d)
{
    sc_interval out = {sc_law_loss(&f->law, n, d), NAN, NAN};
    double *x = sc_malloc(sizeof *x * (size_t)(f->replicates + 1)),
           grown = sqrt((double)f->points / (double)SC_MAX(f->points - sc_law_count(f->law.form), 1));
    if (!x) return out;
    for (int64_t i = 0; i < f->replicates; i++) {
        sc_rng r = sc_rng_make(f->seed, ((uint64_t)1 << 32) + (uint64_t)i);
        int64_t k = SC_MIN((int64_t)(sc_rng_uniform(&r) * (double)f->points), f->points - 1);
        x[i] = sc_law_loss(&f->replicate[i], n, d) * exp(grown * f->residual[k]);
    }
    set_interval(&out, x, f);
    sc_free(x);
    return out;
}

void sc_law_fit_optimum(const sc_law_fit *f, double kappa, double c, sc_scale_optimum *out)
{
    *out = (sc_scale_optimum){.c = c, .n = {NAN, NAN, NAN}, .d = {NAN, NAN, NAN}, .loss = {NAN, NAN, NAN}};
    sc_law_optimum(&f->law, kappa, c, &out->n.value, &out->d.value, &out->loss.value);
    double *x = sc_malloc(3 * sizeof *x * (size_t)(f->replicates + 1));
    if (!x) return;
    double *d = x + f->replicates, *loss = d + f->replicates;
    for (int64_t i = 0; i < f->replicates; i++) sc_law_optimum(&f->replicate[i], kappa, c, &x[i], &d[i], &loss[i]);
    set_interval(&out->n, x, f);
    set_interval(&out->d, d, f);
    set_interval(&out->loss, loss, f);
    sc_free(x);
}

double sc_scale_kappa(const sc_scale_points *p)
{
    double *x = sc_malloc(sizeof *x * (size_t)(p->n + 1)), kappa = 6;
    int64_t n = 0;
    for (int64_t i = 0; x && i < p->n; i++)
        if (p->point[i].c > 0) x[n++] = p->point[i].c / (p->point[i].n * p->point[i].d);
    if (n) kappa = sc_median(x, n);
    sc_free(x);
    return kappa;
}
