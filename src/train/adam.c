/* SPDX-License-Identifier: Apache-2.0 */
/* Adam and AdamW: as fast as the memory gives gradients, weights and two moments. */
#include "train/optimizer.h"

#include <math.h>

static void piece(const sc_update *u, int64_t index)
{
    const sc_optimizer_options *o = &u->o->o;
    const sc_slot *s = u->s;
    double correct1 = 1 - pow(o->beta1, u->step), correct2 = 1 - pow(o->beta2, u->step), decay = s->weight_decay;
    const float b1 = (float)o->beta1, b2 = (float)o->beta2, c1 = (float)(1 - o->beta1), c2 = (float)(1 - o->beta2),
                size = (float)(u->lr / correct1), root = (float)(1 / sqrt(correct2)), eps = (float)o->eps,
                scale = (float)u->scale;
    bool decoupled = s->kind == SC_ADAMW;
    const float keep = decoupled ? (float)(1 - u->lr * decay) : 1, coupled = decoupled ? 0 : (float)decay;
    float *restrict p = s->p.value, *restrict m = s->m, *restrict v = s->v;
    const float *restrict grad = u->g;
    int64_t end = sc_piece_end(u, index);
    for (int64_t i = index * SC_PIECE; i < end; i++) {
        float g = grad[i] * scale + coupled * p[i], m1 = b1 * m[i] + c1 * g, v1 = b2 * v[i] + c2 * g * g;
        m[i] = m1;
        v[i] = v1;
        p[i] = p[i] * keep - size * m1 / (sqrtf(v1) * root + eps);
    }
}

void sc_adam_update(sc_update *u) { sc_update_run(u, sc_update_pieces(u), piece); }
