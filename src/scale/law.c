/* SPDX-License-Identifier: Apache-2.0 */
/* The laws: what they say of a run, and how they are written for a fit. */
#include "scale/scale.h"

#include <math.h>

static const struct {
    const char *name, *formula, *parameter[SC_LAW_MOST];
    int n;
} laws[SC_LAW_FORMS] = {
    [SC_LAW_HOFFMANN] = {"Hoffmann", "L = E + A/N^α + B/D^β", {"E", "A", "alpha", "B", "beta"}, 5},
    [SC_LAW_KAPLAN] = {"Kaplan", "L = ((Nc/N)^(αN/αD) + Dc/D)^αD", {"Nc", "alphaN", "Dc", "alphaD"}, 4},
    [SC_LAW_KAPLAN_STEPS] = {"Kaplan, steps", "L = (Nc/N)^αN + (Sc/S)^αS", {"Nc", "alphaN", "Sc", "alphaS"}, 4},
    [SC_LAW_KAPLAN_COMPUTE] = {"Kaplan, compute", "L = (Cc/C)^αC", {"Cc", "alphaC"}, 2},
};

const char *sc_law_name(sc_law_form form) { return laws[form].name; }
const char *sc_law_formula(sc_law_form form) { return laws[form].formula; }
int sc_law_count(sc_law_form form) { return laws[form].n; }
const char *sc_law_parameter(sc_law_form form, int i)
{
    return i >= 0 && i < laws[form].n ? laws[form].parameter[i] : NULL;
}

double sc_law_loss(const sc_law *law, double n, double d)
{
    const double *p = law->p;
    switch (law->form) {
    case SC_LAW_KAPLAN: return pow(pow(p[0] / n, p[1] / p[3]) + p[2] / d, p[3]);
    case SC_LAW_KAPLAN_STEPS: return pow(p[0] / n, p[1]) + pow(p[2] / d, p[3]);
    case SC_LAW_KAPLAN_COMPUTE: return pow(p[0] / (p[2] * n * d), p[1]);
    default: return p[0] + p[1] * pow(n, -p[2]) + p[3] * pow(d, -p[4]);
    }
}

/* Along kappa N D = c a law's terms are exponentials of log N, so there is one least place. */
void sc_law_optimum(const sc_law *law, double kappa, double c, double *n, double *d, double *loss)
{
    const double ratio = (sqrt(5) - 1) / 2;
    double all = log(c / kappa), lo = fmin(0, all), hi = fmax(0, all);
    for (int i = 0; i < 100; i++) {
        double a = hi - ratio * (hi - lo), b = lo + ratio * (hi - lo);
        if (sc_law_loss(law, exp(a), exp(all - a)) < sc_law_loss(law, exp(b), exp(all - b)))
            hi = b;
        else
            lo = a;
    }
    double at = (lo + hi) / 2;
    *n = exp(at);
    if (d) *d = exp(all - at);
    if (loss) *loss = sc_law_loss(law, exp(at), exp(all - at));
}

/* ---- as they are fitted ----
 * With x = log N - x0 and y = log D - y0:
 *   Hoffmann       log(exp(t0) + exp(t1 - exp(t2) x) + exp(t3 - exp(t4) y))
 *   Kaplan, steps  the same without its first term: t0 … t3 are t1 … t4 above
 *   Kaplan, compute  t0 - exp(t1) (x + y)
 *   Kaplan         aD log(exp(t0 - aN/aD x) + exp(t2 - y)), aN = exp(t1), aD = exp(t3) */

static double log_of_sum(const double *term, int n, double *share)
{
    double top = term[0], sum = 0;
    for (int i = 1; i < n; i++) top = fmax(top, term[i]);
    for (int i = 0; i < n; i++) sum += share[i] = exp(term[i] - top);
    for (int i = 0; i < n; i++) share[i] /= sum;
    return top + log(sum);
}

double sc_law_log(sc_law_form form, const double *t, double x, double y, double *derivative)
{
    double share[3];
    if (form == SC_LAW_KAPLAN_COMPUTE) {
        double slope = exp(t[1]) * (x + y);
        if (derivative) {
            derivative[0] = 1;
            derivative[1] = -slope;
        }
        return t[0] - slope;
    }
    if (form == SC_LAW_KAPLAN) {
        double an = exp(t[1]), ad = exp(t[3]), slope = an / ad * x;
        double sum = log_of_sum((double[]){t[0] - slope, t[2] - y}, 2, share);
        if (derivative) {
            derivative[0] = ad * share[0];
            derivative[1] = -ad * share[0] * slope;
            derivative[2] = ad * share[1];
            derivative[3] = ad * sum + ad * share[0] * slope;
        }
        return ad * sum;
    }
    int floor = form == SC_LAW_HOFFMANN;
    const double *u = t + floor;
    double alpha = exp(u[1]), beta = exp(u[3]);
    double terms[] = {t[0], u[0] - alpha * x, u[2] - beta * y};
    double value = log_of_sum(terms + !floor, 2 + floor, share);
    if (derivative) {
        const double *w = share + floor;
        if (floor) derivative[0] = share[0];
        derivative[floor] = w[0];
        derivative[floor + 1] = -w[0] * alpha * x;
        derivative[floor + 2] = w[1];
        derivative[floor + 3] = -w[1] * beta * y;
    }
    return value;
}

void sc_law_from(sc_law *law, const sc_law_data *d, const double *t)
{
    double *p = law->p, an, ad;
    switch (law->form) {
    case SC_LAW_KAPLAN:
        an = exp(t[1]);
        ad = exp(t[3]);
        p[0] = exp(d->x0 + t[0] * ad / an);
        p[1] = an;
        p[2] = exp(d->y0 + t[2]);
        p[3] = ad;
        break;
    case SC_LAW_KAPLAN_STEPS:
        p[0] = exp(d->x0 + t[0] / exp(t[1]));
        p[1] = exp(t[1]);
        p[2] = exp(d->y0 + t[2] / exp(t[3]));
        p[3] = exp(t[3]);
        break;
    case SC_LAW_KAPLAN_COMPUTE:
        p[0] = d->kappa * exp(t[0] / exp(t[1]) + d->x0 + d->y0);
        p[1] = exp(t[1]);
        p[2] = d->kappa;
        break;
    default:
        p[0] = exp(t[0]);
        p[2] = exp(t[2]);
        p[1] = exp(t[1] + p[2] * d->x0);
        p[4] = exp(t[4]);
        p[3] = exp(t[3] + p[4] * d->y0);
    }
}

#define LEAST_EXPONENT 0.005
#define MOST_EXPONENT  5.0

void sc_law_bounds(sc_law_form form, const sc_law_data *d, double *lo, double *hi)
{
    double most = -INFINITY, least = INFINITY;
    int n = sc_law_count(form), floor = form == SC_LAW_HOFFMANN;
    for (int64_t i = 0; i < d->n; i++) {
        most = fmax(most, d->z[i]);
        least = fmin(least, d->z[i]);
    }
    for (int i = 0; i < n; i++) {
        bool exponent = (i - floor) % 2 == 1;
        lo[i] = exponent ? log(LEAST_EXPONENT) : least - 15;
        hi[i] = exponent ? log(MOST_EXPONENT) : most + 5;
        if (form == SC_LAW_KAPLAN && !exponent) lo[i] = -1e4, hi[i] = 1e4;
    }
    if (floor) hi[0] = least; /* no law is above all of its points */
}

bool sc_law_start(sc_law_form form, const sc_law_data *d, int i, double *t)
{
    static const double exponent[] = {0.06, 0.15, 0.3, 0.5, 0.8, 1.2}, share[] = {0.02, 0.1, 0.25, 0.5, 0.75, 0.95};
    enum { EXPONENTS = SC_COUNT(exponent), SHARES = SC_COUNT(share) };
    double middle = 0;
    for (int64_t k = 0; k < d->n; k++) middle += d->z[k] / (double)d->n;
    int a = i % EXPONENTS, b = i / EXPONENTS % EXPONENTS, s = i / (EXPONENTS * EXPONENTS) % SHARES,
        e = i / (EXPONENTS * EXPONENTS * SHARES);
    if (form == SC_LAW_KAPLAN_COMPUTE) {
        t[0] = middle;
        t[1] = log(exponent[a]);
        return i < EXPONENTS;
    }
    if (form != SC_LAW_HOFFMANN) {
        if (e > 0) return false;
        double size = log(share[s]), tokens = log1p(-share[s]),
               all = form == SC_LAW_KAPLAN ? middle / exponent[b] : middle;
        t[0] = all + size;
        t[1] = log(exponent[a]);
        t[2] = all + tokens;
        t[3] = log(exponent[b]);
        return true;
    }
    if (e >= SHARES) return false;
    double left = middle + log1p(-share[e]);
    t[0] = middle + log(share[e]);
    t[1] = left + log(share[s]);
    t[2] = log(exponent[a]);
    t[3] = left + log1p(-share[s]);
    t[4] = log(exponent[b]);
    return true;
}
