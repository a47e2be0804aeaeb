/* SPDX-License-Identifier: Apache-2.0 */
/* The definition of the arithmetic kernels: plain loops, f64 inside, one rounding at the end. */
#include "cpu/kernels/kernels.h"

#include <math.h>

static void matmul_nt(int64_t nx, int64_t nw, int64_t k, const float *x, int64_t ldx, const float *w, int64_t ldw,
                      float *y, int64_t ldy)
{
    for (int64_t i = 0; i < nx; i++)
        for (int64_t j = 0; j < nw; j++) {
            double sum = 0;
            for (int64_t l = 0; l < k; l++) sum += (double)x[i * ldx + l] * w[j * ldw + l];
            y[i * ldy + j] = (float)sum;
        }
}

static void matmul_nn_acc(int64_t nx, int64_t n, int64_t k, const float *p, int64_t ldp, const float *v,
                          int64_t ldv, float *y, int64_t ldy)
{
    for (int64_t i = 0; i < nx; i++)
        for (int64_t d = 0; d < n; d++) {
            double sum = y[i * ldy + d];
            for (int64_t j = 0; j < k; j++) sum += (double)p[i * ldp + j] * v[j * ldv + d];
            y[i * ldy + d] = (float)sum;
        }
}

static void matmul_tn_acc(int64_t nx, int64_t n, int64_t k, const float *p, int64_t ldp, const float *v,
                          int64_t ldv, float *y, int64_t ldy)
{
    for (int64_t i = 0; i < nx; i++)
        for (int64_t d = 0; d < n; d++) {
            double sum = y[i * ldy + d];
            for (int64_t j = 0; j < k; j++) sum += (double)p[j * ldp + i] * v[j * ldv + d];
            y[i * ldy + d] = (float)sum;
        }
}

static void add(int64_t n, const float *a, const float *b, float *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = a[i] + b[i];
}

static void mul(int64_t n, const float *a, const float *b, float *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = a[i] * b[i];
}

static void scale(int64_t n, const float *x, float s, float *y)
{
    for (int64_t i = 0; i < n; i++) y[i] = x[i] * s;
}

static double f_SILU(double x) { return x / (1 + exp(-x)); }
static double f_GELU(double x) { return x * 0.5 * erfc(-x * 0.70710678118654752440); }
static double f_GELU_TANH(double x)
{
    /* x/2 (1 + tanh u) = x / (1 + exp(-2u)), which does not cancel for negative u */
    return x / (1 + exp(-2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}
static double f_RELU(double x) { return x > 0 || x != x ? x : 0; }
static double f_SIGMOID(double x) { return 1 / (1 + exp(-x)); }
static double f_TANH(double x) { return tanh(x); }
static double f_SOFTPLUS(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }
static double f_EXP(double x) { return exp(x); }
static double f_LOG1MEXP(double x)
{
    double a = -fabs(x);
    return a > -0.69314718055994530942 ? log(-expm1(a)) : log1p(-exp(a));
}

/* f_ and the suffix of the function's number. */
#define UNARY(ID)                                                                                                  \
    static void unary_##ID(int64_t n, const float *x, float *y)                                                    \
    {                                                                                                              \
        for (int64_t i = 0; i < n; i++) y[i] = (float)f_##ID(x[i]);                                                \
    }
#define X(id, name) UNARY(id)
#include "tensor/unary.def"
#undef X

/* Derivatives, d_ and the suffix. */
static double d_SIGMOID(double x) { return f_SIGMOID(x) * f_SIGMOID(-x); }
static double d_SILU(double x) { return f_SIGMOID(x) * (1 + x * f_SIGMOID(-x)); }
static double d_GELU(double x)
{
    return 0.5 * erfc(-x * 0.70710678118654752440) + x * 0.39894228040143267794 * exp(-x * x / 2);
}
static double d_GELU_TANH(double x)
{
    const double c = 2 * 0.79788456080286535588;
    double s = f_SIGMOID(c * (x + 0.044715 * x * x * x)), r = f_SIGMOID(-c * (x + 0.044715 * x * x * x));
    return s + x * s * r * c * (1 + 3 * 0.044715 * x * x);
}
static double d_RELU(double x) { return x > 0; }
static double d_SOFTPLUS(double x) { return f_SIGMOID(x); }
static double d_EXP(double x) { return exp(x); }
static double d_LOG1MEXP(double x) { return x < 0 ? -1 / expm1(-x) : 1 / expm1(x); }
static double d_TANH(double x) { return (1 - tanh(x)) * (1 + tanh(x)); }

#define X(ID, name)                                                                                                \
    static void unary_grad_##ID(int64_t n, const float *x, const float *dy, float *dx)                             \
    {                                                                                                              \
        for (int64_t i = 0; i < n; i++) dx[i] = (float)(dy[i] * d_##ID(x[i]));                                     \
    }
#include "tensor/unary.def"
#undef X

static void rms_norm(int64_t n, const float *x, const float *w, float eps, float *y)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    double s = 1 / sqrt(sum / (double)n + eps);
    for (int64_t i = 0; i < n; i++) y[i] = (float)(x[i] * s * (w ? w[i] : 1));
}

static void layer_norm(int64_t n, const float *x, const float *w, const float *b, float eps, float *y)
{
    double sum = 0, var = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) var += (x[i] - mean) * (x[i] - mean);
    double s = 1 / sqrt(var / (double)n + eps);
    for (int64_t i = 0; i < n; i++) y[i] = (float)((x[i] - mean) * s * (w ? w[i] : 1) + (b ? b[i] : 0));
}

static void rms_norm_grad(int64_t n, const float *x, const float *w, float eps, const float *dy, float *dx)
{
    double sum = 0, dot = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i] * x[i];
        dot += (double)x[i] * dy[i] * (w ? w[i] : 1);
    }
    double r = 1 / sqrt(sum / (double)n + eps), m = dot / (double)n * r * r;
    for (int64_t i = 0; i < n; i++) dx[i] = (float)(r * (dy[i] * (double)(w ? w[i] : 1) - x[i] * m));
}

static void layer_norm_grad(int64_t n, const float *x, const float *w, float eps, const float *dy, float *dx)
{
    double sum = 0, var = 0, g = 0, dot = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    double mean = sum / (double)n;
    for (int64_t i = 0; i < n; i++) {
        double gi = dy[i] * (double)(w ? w[i] : 1);
        var += (x[i] - mean) * (x[i] - mean);
        g += gi;
        dot += gi * (x[i] - mean);
    }
    double r = 1 / sqrt(var / (double)n + eps);
    g /= (double)n;
    dot *= r * r / (double)n;
    for (int64_t i = 0; i < n; i++) dx[i] = (float)(r * (dy[i] * (double)(w ? w[i] : 1) - g - (x[i] - mean) * dot));
}

static float dot(int64_t n, const float *a, const float *b)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return (float)sum;
}

static float max(int64_t n, const float *x)
{
    float m = -INFINITY;
    for (int64_t i = 0; i < n; i++) m = x[i] > m ? x[i] : m;
    return m;
}

static float exp_sum(int64_t n, const float *x, float m, float *y)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double e = x[i] == -INFINITY ? 0 : exp((double)x[i] - m);
        sum += e;
        y[i] = (float)e;
    }
    return (float)sum;
}

static void rotate(double a, double b, double c, double s, float *ya, float *yb)
{
    *ya = (float)(a * c - b * s);
    *yb = (float)(b * c + a * s);
}

static void rope_halves(int64_t n, const float *x, const float *cos, const float *sin, float *y)
{
    for (int64_t i = 0; i < n; i++) rotate(x[i], x[i + n], cos[i], sin[i], &y[i], &y[i + n]);
}

static void rope_neighbours(int64_t n, const float *x, const float *cos, const float *sin, float *y)
{
    for (int64_t i = 0; i < n; i++) rotate(x[2 * i], x[2 * i + 1], cos[i], sin[i], &y[2 * i], &y[2 * i + 1]);
}

void sc_kernels_ref_math(sc_kernels *k)
{
    k->matmul_nt = matmul_nt;
    k->matmul_nn_acc = matmul_nn_acc;
    k->matmul_tn_acc = matmul_tn_acc;
    k->add = add;
    k->mul = mul;
    k->scale = scale;
#define X(id, name) k->unary[SC_UNARY_##id] = unary_##id;
#include "tensor/unary.def"
#undef X
#define X(id, name) k->unary_grad[SC_UNARY_##id] = unary_grad_##id;
#include "tensor/unary.def"
#undef X
    k->rms_norm_grad = rms_norm_grad;
    k->layer_norm_grad = layer_norm_grad;
    k->dot = dot;
    k->rms_norm = rms_norm;
    k->layer_norm = layer_norm;
    k->max = max;
    k->exp_sum = exp_sum;
    k->rope_halves = rope_halves;
    k->rope_neighbours = rope_neighbours;
}
