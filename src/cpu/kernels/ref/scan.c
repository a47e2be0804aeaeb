/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of the recurrences' steps: plain loops, f64 inside, states rounded once a step; and
 * those of their derivatives. */
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

/* ---- going back ---- */

static void conv_taps_grad(int64_t n, int64_t taps, const float *const *x, const float *dy, float *dw, int64_t ldw)
{
    for (int64_t j = 0; j < taps; j++)
        for (int64_t i = 0; i < n; i++) dw[j * ldw + i] = (float)(dw[j * ldw + i] + (double)dy[i] * x[j][i]);
}

static void selective_step_grad(int64_t rows, int64_t n, const float *a, const float *dt, const float *x,
                                const float *b, const float *c, const float *before, const float *after,
                                const float *dy, float *ds, float *da, float *ddt, float *dx, float *db, float *dc)
{
    for (int64_t r = 0; r < rows; r++) {
        double step = 0, in = 0; /* what is known of dt by the decay, and of dt x */
        for (int64_t i = r * n, j = 0; j < n; i++, j++) {
            double g = ds[i] + (double)dy[r] * c[j], e = exp((double)dt[r] * a[i]), of = g * e * before[i];
            step += of * a[i];
            in += g * b[j];
            da[i] = (float)(da[i] + of * dt[r]);
            db[j] = (float)(db[j] + g * dt[r] * x[r]);
            dc[j] = (float)(dc[j] + (double)dy[r] * after[i]);
            ds[i] = (float)(g * e);
        }
        ddt[r] = (float)(step + in * x[r]);
        dx[r] = (float)(in * dt[r]);
    }
}

static void decay_step_grad(int64_t rows, int64_t n, float decay, const float *x, const float *b, const float *c,
                            const float *before, const float *after, const float *dy, float *ds, float *dx,
                            float *db, float *dc, float *dkeep)
{
    double keep = *dkeep;
    for (int64_t r = 0; r < rows; r++) {
        double in = 0;
        for (int64_t i = r * n, j = 0; j < n; i++, j++) {
            double g = ds[i] + (double)dy[r] * c[j];
            keep += g * before[i];
            in += g * b[j];
            db[j] = (float)(db[j] + g * x[r]);
            dc[j] = (float)(dc[j] + (double)dy[r] * after[i]);
            ds[i] = (float)(g * decay);
        }
        dx[r] = (float)in;
    }
    *dkeep = (float)keep;
}

static void delta_step_grad(int64_t rows, int64_t n, float decay, float beta, const float *q, const float *k,
                            const float *v, const float *before, const float *after, const float *dy, float *ds,
                            float *dv, float *dq, float *dk, float *dkeep, float *dbeta)
{
    double keep = *dkeep, much = *dbeta;
    for (int64_t r = 0; r < rows; r++) {
        double held = 0, of = 0; /* what the state had for k; d of what was added to it for k */
        for (int64_t i = r * n, j = 0; j < n; i++, j++) {
            held += (double)decay * before[i] * k[j];
            of += (ds[i] + (double)dy[r] * q[j]) * k[j];
        }
        double in = beta * (v[r] - held), du = beta * of;
        for (int64_t i = r * n, j = 0; j < n; i++, j++) {
            double g = ds[i] + (double)dy[r] * q[j], kept = g - du * k[j];
            dq[j] = (float)(dq[j] + (double)dy[r] * after[i]);
            dk[j] = (float)(dk[j] + g * in - du * decay * before[i]);
            keep += kept * before[i];
            ds[i] = (float)(kept * decay);
        }
        dv[r] = (float)du;
        much += of * (v[r] - held);
    }
    *dkeep = (float)keep;
    *dbeta = (float)much;
}

void sc_kernels_ref_scan(sc_kernels *k)
{
    k->conv_taps = conv_taps;
    k->selective_step = selective_step;
    k->decay_step = decay_step;
    k->delta_step = delta_step;
    k->conv_taps_grad = conv_taps_grad;
    k->selective_step_grad = selective_step_grad;
    k->decay_step_grad = decay_step_grad;
    k->delta_step_grad = delta_step_grad;
}
