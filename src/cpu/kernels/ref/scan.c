/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of the recurrences' steps: plain loops, f64 inside, states rounded once a step. */
#include "cpu/kernels/kernels.h"

#include <math.h>

static void conv_taps(int64_t n, int64_t taps, const float *const *x, const float *w, int64_t ldw,
                      const float *bias, float *y)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = bias ? bias[i] : 0;
        for (int64_t j = 0; j < taps; j++) sum += (double)w[j * ldw + i] * x[j][i];
        y[i] = (float)sum;
    }
}

static void selective_step(int64_t rows, int64_t n, const float *a, const float *dt, const float *x, const float *b,
                           const float *c, float *s, float *y)
{
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t i = r * n, j = 0; j < n; i++, j++) {
            double h = exp((double)dt[r] * a[i]) * s[i] + (double)dt[r] * x[r] * b[j];
            s[i] = (float)h;
            sum += h * c[j];
        }
        y[r] = (float)sum;
    }
}

static void decay_step(int64_t rows, int64_t n, float decay, const float *x, const float *b, const float *c,
                       float *s, float *y)
{
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t i = r * n, j = 0; j < n; i++, j++) {
            double h = (double)decay * s[i] + (double)x[r] * b[j];
            s[i] = (float)h;
            sum += h * c[j];
        }
        y[r] = (float)sum;
    }
}

static void delta_step(int64_t rows, int64_t n, float decay, float beta, const float *q, const float *k,
                       const float *v, float *s, float *y)
{
    for (int64_t r = 0; r < rows; r++) {
        double held = 0, sum = 0;
        for (int64_t i = r * n, j = 0; j < n; i++, j++) held += (double)decay * s[i] * k[j];
        for (int64_t i = r * n, j = 0; j < n; i++, j++) {
            double h = (double)decay * s[i] + beta * (v[r] - held) * k[j];
            s[i] = (float)h;
            sum += h * q[j];
        }
        y[r] = (float)sum;
    }
}

void sc_kernels_ref_scan(sc_kernels *k)
{
    k->conv_taps = conv_taps;
    k->selective_step = selective_step;
    k->decay_step = decay_step;
    k->delta_step = delta_step;
}
