/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SC_SCALE_INTERNAL_H
#define SC_SCALE_INTERNAL_H

#include "base/base.h"
#include "socle/scale.h"

/* ---- fits (law.c, minimise.c) ---- */

enum { SC_SCALE_MAX_POINTS = 100000 };

/* What a fit sees of a run: logarithms of N, D and L. */
typedef struct sc_law_data {
    double *x, *y, *z; /* log N, log D, log L */
    int64_t n;
    double kappa;  /* operations for a token and a parameter */
    double x0, y0; /* the means of x and y, which laws are fitted around: parameters hang together less there */
} sc_law_data;

/* log L and its derivatives by t, the parameters that are fitted: logarithms, and of terms at (x0, y0). */
double sc_law_log(sc_law_form form, const double *t, double x, double y, double *derivative);
int sc_law_count(sc_law_form form); /* parameters */
void sc_law_from(sc_law *law, const sc_law_data *d, const double *t);
void sc_law_bounds(sc_law_form form, const sc_law_data *d, double *lo, double *hi);
/* Place `i` of those to begin from; false: there are fewer. */
bool sc_law_start(sc_law_form form, const sc_law_data *d, int i, double *t);

/* The mean Huber loss at t. */
double sc_law_huber(sc_law_form form, const sc_law_data *d, double delta, const double *t);
/* Goes down from t by damped least squares with Huber's weights; the mean loss where it ends. */
double sc_law_minimise(sc_law_form form, const sc_law_data *d, double delta, double *t);

/* ---- points (points.c) ---- */

/* The points of a file's text, whose path tells its form. */
sc_status sc_scale_points_text(sc_scale_points *p, int64_t *cap, const char *path, const char *text, int64_t n);
sc_status sc_scale_points_levels(sc_scale_points *p);

/* ---- small statistics (statistics.c) ---- */

double sc_median(double *x, int64_t n);
/* Solves a (n, n) x = b by Cholesky's factors, a symmetric; false: not positive definite. x may be b. Overwrites a. */
bool sc_solve(double *a, double *b, int n);
/* Coefficients of a polynomial of degree `degree` <= 2 through (x, y) by least squares. */
bool sc_polynomial(const double *x, const double *y, int64_t n, int degree, double q[3]);

#endif
