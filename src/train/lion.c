/* SPDX-License-Identifier: Apache-2.0 */
#include "train/optimizer.h"

static void piece(const sc_update *u, int64_t index)
{
    const sc_optimizer_options *o = &u->o->o;
    const float scale = (float)u->scale, lr = (float)u->lr, b1 = (float)o->beta1, b2 = (float)o->beta2,
                c1 = (float)(1 - o->beta1), c2 = (float)(1 - o->beta2),
                keep = (float)(1 - u->lr * u->s->weight_decay);
    float *restrict p = u->s->p.value, *restrict m = u->s->m;
    const float *restrict grad = u->g;
    int64_t end = sc_piece_end(u, index);
    for (int64_t i = index * SC_PIECE; i < end; i++) {
        float g = grad[i] * scale, way = b1 * m[i] + c1 * g;
        p[i] = p[i] * keep - lr * (float)((way > 0) - (way < 0));
        m[i] = b2 * m[i] + c2 * g;
    }
}

void sc_lion_update(sc_update *u) { sc_update_run(u, sc_update_pieces(u), piece); }
