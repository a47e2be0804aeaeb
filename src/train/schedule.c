/* SPDX-License-Identifier: Apache-2.0 */
#include "train/train.h"

#include <math.h>

static double cosine(double share, double cycles) { return 0.5 * (1 + cos(M_PI * 2 * cycles * share)); }

static double wsd(const sc_schedule *s, int64_t step)
{
    int64_t stable = s->total - s->decay;
    double f;
    if (step < s->warmup)
        f = (double)step / (double)SC_MAX(s->warmup, 1);
    else if (step < stable)
        return 1;
    else if (step >= s->total)
        return s->floor;
    else {
        double share = (double)(step - stable) / (double)SC_MAX(s->decay, 1);
        f = s->shape == SC_DECAY_LINEAR   ? 1 - share
            : s->shape == SC_DECAY_COSINE ? cosine(share, 0.5)
                                          : 1 - sqrt(share);
    }
    return f * (1 - s->floor) + s->floor;
}

static double noam(const sc_schedule *s, int64_t step)
{
    double n = (double)step + 1, warm = (double)SC_MAX(s->warmup, 1);
    return SC_MIN(1 / sqrt(n), n / (warm * sqrt(warm))) / sqrt((double)SC_MAX(s->width, 1));
}

double sc_schedule_at(const sc_schedule *s, int64_t step)
{
    double warm = (double)SC_MAX(s->warmup, 1), rest = (double)SC_MAX(s->total - s->warmup, 1);
    if (s->kind == SC_SCHEDULE_WSD) return wsd(s, step);
    if (s->kind == SC_SCHEDULE_NOAM) return noam(s, step);
    if (step < s->warmup) return (double)step / warm;
    double share = (double)(step - s->warmup) / rest;
    switch (s->kind) {
    case SC_SCHEDULE_LINEAR: return SC_MAX(1 - share, 0);
    case SC_SCHEDULE_COSINE: return SC_MAX(cosine(share, s->cycles), 0);
    case SC_SCHEDULE_INVERSE_SQRT: return 1 / sqrt((double)(step + SC_MAX(s->warmup, 1) - s->warmup) / warm);
    default: return 1;
    }
}
