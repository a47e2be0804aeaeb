/* SPDX-License-Identifier: Apache-2.0 */
#include "scale/scale.h"

#include <math.h>

double sc_law_huber(sc_law_form form, const sc_law_data *d, double delta, const double *t)
{
    double sum = 0;
    for (int64_t i = 0; i < d->n; i++) {
        double r = fabs(sc_law_log(form, t, d->x[i] - d->x0, d->y[i] - d->y0, NULL) - d->z[i]);
        sum += r <= delta ? r * r / 2 : delta * (r - delta / 2);
    }
    return isfinite(sum) ? sum / (double)d->n : INFINITY;
}

/* The normal equations of the step, each point with Huber's weight: h (n, n) and g (n). */
static void normal(sc_law_form form, const sc_law_data *d, double delta, const double *t, double *h, double *g)
{
    int n = sc_law_count(form);
    double j[SC_LAW_MOST];
    memset(h, 0, sizeof *h * (size_t)(n * n));
    memset(g, 0, sizeof *g * (size_t)n);
    for (int64_t i = 0; i < d->n; i++) {
        double r = d->z[i] - sc_law_log(form, t, d->x[i] - d->x0, d->y[i] - d->y0, j),
               w = fabs(r) <= delta ? 1 : delta / fabs(r);
        for (int a = 0; a < n; a++) {
            g[a] += w * j[a] * r;
            for (int b = 0; b < n; b++) h[a * n + b] += w * j[a] * j[b];
        }
    }
}

/* One step with this damping, kept within bounds; the loss there. */
static double try_step(sc_law_form form, const sc_law_data *d, double delta, const double *t, const double *h,
                       const double *g, double damping, double *to)
{
    double a[SC_LAW_MOST * SC_LAW_MOST], step[SC_LAW_MOST], lo[SC_LAW_MOST], hi[SC_LAW_MOST], trace = 0;
    int n = sc_law_count(form);
    for (int i = 0; i < n; i++) trace += h[i * n + i];
    memcpy(a, h, sizeof *a * (size_t)(n * n));
    memcpy(step, g, sizeof *step * (size_t)n);
    for (int i = 0; i < n; i++) a[i * n + i] += damping * (h[i * n + i] + 1e-9 * trace) + 1e-300;
    if (!sc_solve(a, step, n)) return INFINITY;
    sc_law_bounds(form, d, lo, hi);
    for (int i = 0; i < n; i++) to[i] = fmin(fmax(t[i] + fmin(fmax(step[i], -2), 2), lo[i]), hi[i]);
    return sc_law_huber(form, d, delta, to);
}

double sc_law_minimise(sc_law_form form, const sc_law_data *d, double delta, double *t)
{
    enum { STEPS = 400, QUIET = 4 };
    double h[SC_LAW_MOST * SC_LAW_MOST], g[SC_LAW_MOST], to[SC_LAW_MOST], damping = 1e-2,
                                                                          now = sc_law_huber(form, d, delta, t);
    int n = sc_law_count(form), quiet = 0;
    for (int i = 0; i < STEPS && quiet < QUIET && isfinite(now); i++) {
        normal(form, d, delta, t, h, g);
        double then = INFINITY;
        for (; damping < 1e9; damping *= 4)
            if ((then = try_step(form, d, delta, t, h, g, damping, to)) < now) break;
        if (!(then < now)) break;
        quiet = now - then <= 1e-9 * now ? quiet + 1 : 0;
        memcpy(t, to, sizeof *t * (size_t)n);
        now = then;
        damping = fmax(damping / 8, 1e-9);
    }
    return now;
}
