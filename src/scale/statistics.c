/* SPDX-License-Identifier: Apache-2.0 */
#include "scale/scale.h"

#include <math.h>

double sc_median(double *x, int64_t n) { return sc_stats_quantile(x, n, 0.5); }

bool sc_solve(double *a, double *b, int n)
{
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            double sum = a[i * n + j];
            for (int k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
            if (i != j)
                a[i * n + j] = sum / a[j * n + j];
            else if (sum > 0 && isfinite(sum))
                a[i * n + i] = sqrt(sum);
            else
                return false;
        }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i; k++) b[i] -= a[i * n + k] * b[k];
        b[i] /= a[i * n + i];
    }
    for (int i = n; i-- > 0;) {
        for (int k = i + 1; k < n; k++) b[i] -= a[k * n + i] * b[k];
        b[i] /= a[i * n + i];
    }
    return true;
}

bool sc_polynomial(const double *x, const double *y, int64_t n, int degree, double q[3])
{
    double a[9] = {0}, b[3] = {0};
    int m = degree + 1;
    for (int64_t i = 0; i < n; i++) {
        double p[] = {1, x[i], x[i] * x[i]};
        for (int r = 0; r < m; r++) {
            b[r] += p[r] * y[i];
            for (int c = 0; c < m; c++) a[r * m + c] += p[r] * p[c];
        }
    }
    if (n < m || !sc_solve(a, b, m)) return false;
    for (int i = 0; i < 3; i++) q[i] = i < m ? b[i] : 0;
    return true;
}
