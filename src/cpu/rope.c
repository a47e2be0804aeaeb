/* SPDX-License-Identifier: Apache-2.0 */
/* rope_table: the angles of each token, once for all layers. rope: the rotation of each head. */
#include "cpu/cpu.h"

#include <math.h>

enum { GRAIN = 16 }; /* tokens */

static int64_t table_tasks(const sc_step *s) { return sc_tasks_of(s->in[0]->shape.dim[0], GRAIN); }
static int64_t table_scratch(const sc_step *s) { return s->out->shape.dim[2] * (int64_t)sizeof(float); }

/* The sequence that token t belongs to: start[s] <= t < start[s + 1]. */
static int64_t sequence_of(const int32_t *start, int64_t sequences, int64_t t)
{
    int64_t lo = 0, hi = sequences;
    while (hi - lo > 1) {
        int64_t mid = (lo + hi) / 2;
        if (start[mid] <= t)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static sc_status table_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    (void)k;
    const sc_rope_table_attr *a = SC_ATTR(s, sc_rope_table_attr);
    const int32_t *position = s->in_data[0], *start = s->in_data[1];
    int64_t tokens = s->in[0]->shape.dim[0], half = s->out->shape.dim[2], sequences = s->in[1]->shape.dim[0] - 1;
    int64_t last = -1; /* the sequence whose frequencies are in scratch */
    const float *inv_freq = a->inv_freq ? a->inv_freq : scratch;
    float scaling = a->scaling, *cosine = s->out_data, *sine = cosine + tokens * half;
    for (int64_t t = begin * GRAIN; t < SC_MIN(end * GRAIN, tokens); t++) {
        if (!a->inv_freq) {
            int64_t seq = sequence_of(start, sequences, t);
            if (seq != last) sc_rope_frequencies(&a->params, position[start[seq + 1] - 1] + 1, scratch, &scaling);
            last = seq;
        }
        for (int64_t i = 0; i < half; i++) {
            double angle =
                (float)position[t] * inv_freq[i]; /* rounded to f32, as the reference implementations do */
            cosine[t * half + i] = (float)cos(angle) * scaling;
            sine[t * half + i] = (float)sin(angle) * scaling;
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_rope_table = {.tasks = table_tasks, .scratch = table_scratch, .run = table_run};

/* Room for sines of the opposite angles. */
static int64_t rope_scratch(const sc_step *s)
{
    return SC_ATTR(s, sc_rope_attr)->back ? s->in[1]->shape.dim[2] * (int64_t)sizeof(float) : 0;
}

static int64_t rope_tasks(const sc_step *s) { return sc_tasks_of(s->out->shape.dim[0], GRAIN); }

static sc_status rope_run(const sc_step *s, const sc_kernels *k, int64_t begin, int64_t end, void *scratch)
{
    const sc_tensor *x = s->in[0];
    int64_t tokens = x->shape.dim[0], heads = x->shape.dim[1], d = x->shape.dim[2], half = s->in[1]->shape.dim[2];
    const float *cosine = s->in_data[1], *sine = cosine + tokens * half;
    bool neighbours = SC_ATTR(s, sc_rope_attr)->neighbours, back = SC_ATTR(s, sc_rope_attr)->back;
    for (int64_t t = begin * GRAIN; t < SC_MIN(end * GRAIN, tokens); t++) {
        const float *c = cosine + t * half, *sn = sine + t * half;
        if (back) {
            k->scale(half, sn, -1, scratch);
            sn = scratch;
        }
        for (int64_t h = 0; h < heads; h++) {
            const float *from = (const float *)s->in_data[0] + t * x->stride[0] + h * x->stride[1];
            float *to = (float *)s->out_data + (t * heads + h) * d;
            (neighbours ? k->rope_neighbours : k->rope_halves)(half, from, c, sn, to);
            if (d > 2 * half && to != from)
                memcpy(to + 2 * half, from + 2 * half, sizeof *to * (size_t)(d - 2 * half));
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_rope = {.tasks = rope_tasks, .scratch = rope_scratch, .run = rope_run};
