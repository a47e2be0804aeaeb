/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/tune.h"

#include <math.h>

void sc_gae_advantages(const sc_gae *how, int64_t n, const int64_t *start, const float *reward, const float *value,
                       float *advantage, float *returns)
{
    for (int64_t i = 0; i < n; i++) {
        double sum = 0, next = 0;
        for (int64_t t = start[i + 1] - 1; t >= start[i]; t--) {
            sum = reward[t] + how->gamma * next - value[t] + how->gamma * how->lambda * sum;
            next = value[t];
            advantage[t] = (float)sum;
            returns[t] = (float)(sum + value[t]);
        }
    }
}

void sc_kl_rewards(double coef, int64_t n, const int64_t *start, const float *old, const float *ref,
                   const float *score, float *reward)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t t = start[i]; t < start[i + 1]; t++)
            reward[t] = ref ? (float)(-coef * ((double)old[t] - ref[t])) : 0;
        if (start[i + 1] > start[i]) reward[start[i + 1] - 1] += score[i];
    }
}

static void moments(const float *x, int64_t n, double *mean, double *variance)
{
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) sum += x[i];
    *mean = n ? sum / (double)n : 0;
    for (int64_t i = 0; i < n; i++) squares += (x[i] - *mean) * (x[i] - *mean);
    *variance = n > 1 ? squares / (double)(n - 1) : 0;
}

void sc_whiten(float *x, int64_t n, bool center)
{
    double mean, variance;
    moments(x, n, &mean, &variance);
    double scale = 1 / sqrt(variance + 1e-8);
    for (int64_t i = 0; i < n; i++) x[i] = (float)((x[i] - mean) * scale + (center ? 0 : mean));
}

int64_t sc_group_advantages(const float *score, int64_t n, int64_t group, sc_group_scale scale, bool leave_out,
                            float *advantage)
{
    const double tiny = 1e-4; /* as published implementations have it */
    double mean, variance, all, all_variance;
    int64_t flat = 0;
    moments(score, n, &all, &all_variance);
    for (int64_t first = 0; first < n; first += group) {
        int64_t k = SC_MIN(group, n - first);
        moments(score + first, k, &mean, &variance);
        bool same = true;
        for (int64_t i = first; i < first + k; i++) same = same && score[i] == score[first];
        flat += same;
        double by = scale == SC_SCALE_GROUP   ? 1 / (sqrt(variance) + tiny)
                    : scale == SC_SCALE_BATCH ? 1 / (sqrt(all_variance) + tiny)
                                              : 1;
        if (leave_out && k > 1) by *= (double)k / (double)(k - 1); /* x - mean of others = (x - mean) k / (k - 1) */
        for (int64_t i = first; i < first + k; i++) advantage[i] = same ? 0 : (float)((score[i] - mean) * by);
    }
    return flat;
}

double sc_kl_adapt(double coef, double kl, double target, double n, double horizon)
{
    double off = SC_MIN(SC_MAX(kl / target - 1, -0.2), 0.2);
    return coef * (1 + off * n / horizon);
}
