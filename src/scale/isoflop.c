/* SPDX-License-Identifier: Apache-2.0 */
/* IsoFLOP curves: of runs with the same compute, the size with the least loss, by a parabola over log N. */
#include "scale/scale.h"

#include <math.h>

void sc_isoflops_free(sc_isoflops *x)
{
    if (!x) return;
    sc_free(x->level);
    sc_free(x);
}

/* The runs of a level; loss NULL: their own, else by point. Room for all points in z and y. */
static bool find_parabola(sc_isoflop *out, const sc_scale_points *p, const double *loss, int level, double *z,
                          double *y)
{
    double c = 0, least = INFINITY, most = -INFINITY, middle = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < p->n; i++) {
        const sc_scale_point *q = &p->point[i];
        if (q->level != level || q->held_out) continue;
        z[n] = log(q->n);
        y[n++] = loss ? loss[i] : q->loss;
        c += log(q->c);
        least = fmin(least, log(q->n));
        most = fmax(most, log(q->n));
        middle += log(q->n);
    }
    if (n < 3) return false;
    middle /= (double)n;
    for (int64_t i = 0; i < n; i++) z[i] -= middle;
    *out = (sc_isoflop){
        .level = level, .runs = n, .c = exp(c / (double)n), .n0 = exp(middle), .n = NAN, .d = NAN, .loss = NAN};
    if (!sc_polynomial(z, y, n, 2, out->q)) return false;
    if (!(out->q[2] > 0)) return true;
    double at = -out->q[1] / (2 * out->q[2]);
    out->inside = at + middle >= least && at + middle <= most;
    if (!out->inside) return true;
    out->n = exp(at + middle);
    out->loss = out->q[0] + at * out->q[1] + at * at * out->q[2];
    return true;
}

/* log y = log k + a log C through the minima of levels; NAN: fewer than two. */
static void through(const sc_isoflop *x, int64_t n, size_t field, double *log_k, double *a)
{
    enum { MOST = 256 };
    double c[MOST], y[MOST], q[3], middle = 0;
    int64_t m = 0;
    *log_k = *a = NAN;
    for (int64_t i = 0; i < n && m < MOST; i++) {
        double v;
        memcpy(&v, (const char *)&x[i] + field, sizeof v);
        if (!isfinite(v) || !(v > 0)) continue;
        c[m] = log(x[i].c);
        middle += c[m];
        y[m++] = log(v);
    }
    if (m < 2) return;
    middle /= (double)m;
    for (int64_t i = 0; i < m; i++) c[i] -= middle;
    if (!sc_polynomial(c, y, m, 1, q)) return;
    *a = q[1];
    *log_k = q[0] - q[1] * middle;
}

static void set_tokens(sc_isoflop *x, int64_t n, double kappa)
{
    for (int64_t i = 0; i < n; i++) x[i].d = x[i].c / (kappa * x[i].n);
}

typedef struct room {
    double *z, *y, *loss, *a[3];
    sc_isoflop *again;
} room;

/* The exponents' intervals: the same with the losses that a replicate of the law says, each off by some residual. */
static void find_intervals(sc_isoflops *x, const sc_scale_points *p, const sc_law_fit *f, double kappa, room *r)
{
    static const size_t field[] = {offsetof(sc_isoflop, n), offsetof(sc_isoflop, d), offsetof(sc_isoflop, loss)};
    sc_power *const power[] = {&x->size, &x->tokens, &x->loss};
    double ignored, tail = (1 - f->confidence) / 2;
    for (int64_t i = 0; i < f->replicates; i++) {
        sc_rng rng = sc_rng_make(f->seed, ((uint64_t)2 << 32) + (uint64_t)i);
        for (int64_t k = 0; k < p->n; k++) {
            int64_t from = SC_MIN((int64_t)(sc_rng_uniform(&rng) * (double)f->points), f->points - 1);
            r->loss[k] = sc_law_loss(&f->law, p->point[k].n, p->point[k].d) * exp(f->residual[from]);
        }
        for (int64_t k = 0; k < x->n; k++)
            if (!find_parabola(&r->again[k], p, r->loss, x->level[k].level, r->z, r->y)) r->again[k].n = NAN;
        set_tokens(r->again, x->n, kappa);
        for (int k = 0; k < 3; k++) through(r->again, x->n, field[k], &ignored, &r->a[k][i]);
    }
    for (int k = 0; k < 3; k++) {
        power[k]->a.low = sc_stats_quantile(r->a[k], f->replicates, tail);
        power[k]->a.high = sc_stats_quantile(r->a[k], f->replicates, 1 - tail);
    }
}

static sc_status intervals(sc_isoflops *x, const sc_scale_points *p, const sc_law_fit *f, double kappa)
{
    size_t points = sizeof(double) * (size_t)(p->n + 1), fits = sizeof(double) * (size_t)(f->replicates + 1);
    room r = {sc_malloc(points),
              sc_malloc(points),
              sc_malloc(points),
              {sc_malloc(fits), sc_malloc(fits), sc_malloc(fits)},
              sc_calloc((size_t)x->n, sizeof *r.again)};
    bool ok = r.z && r.y && r.loss && r.a[0] && r.a[1] && r.a[2] && r.again;
    if (ok) find_intervals(x, p, f, kappa, &r);
    sc_free(r.z);
    sc_free(r.y);
    sc_free(r.loss);
    for (int k = 0; k < 3; k++) sc_free(r.a[k]);
    sc_free(r.again);
    return ok ? SC_OK : sc_nomem();
}

/* The least level above `above`; 0: none. */
static int next_level(const sc_scale_points *p, int above)
{
    int least = 0;
    for (int64_t i = 0; i < p->n; i++)
        if (p->point[i].level > above && (!least || p->point[i].level < least)) least = p->point[i].level;
    return least;
}

sc_status sc_isoflops_new(sc_isoflops **out, const sc_scale_points *p, const sc_law_fit *fit)
{
    sc_isoflops *x = sc_calloc(1, sizeof *x);
    double *z = sc_malloc(sizeof *z * (size_t)(p->n + 1)), *y = sc_malloc(sizeof *y * (size_t)(p->n + 1));
    int64_t cap = 0, minima = 0;
    double kappa = sc_scale_kappa(p);
    sc_status s = x && z && y ? SC_OK : sc_nomem();
    for (int level = 0; !s && (level = next_level(p, level));) {
        sc_isoflop one;
        if (!find_parabola(&one, p, NULL, level, z, y)) continue;
        if (!sc_grow(&x->level, &cap, x->n + 1, sizeof *x->level)) {
            s = sc_nomem();
            break;
        }
        x->level[x->n++] = one;
        minima += one.inside;
    }
    if (!s) {
        const sc_interval none = {NAN, NAN, NAN};
        x->size.a = x->tokens.a = x->loss.a = none;
        set_tokens(x->level, x->n, kappa);
        x->laws = minima >= 2;
        through(x->level, x->n, offsetof(sc_isoflop, n), &x->size.k, &x->size.a.value);
        through(x->level, x->n, offsetof(sc_isoflop, d), &x->tokens.k, &x->tokens.a.value);
        through(x->level, x->n, offsetof(sc_isoflop, loss), &x->loss.k, &x->loss.a.value);
        x->size.k = exp(x->size.k);
        x->tokens.k = exp(x->tokens.k);
        x->loss.k = exp(x->loss.k);
        if (x->laws && fit && fit->replicates) s = intervals(x, p, fit, kappa);
    }
    sc_free(z);
    sc_free(y);
    if (s)
        sc_isoflops_free(x);
    else
        *out = x;
    return s;
}
