/* SPDX-License-Identifier: Apache-2.0 */
#include "train/optimizer.h"

static void piece(const sc_update *u, int64_t index)
{
    const float scale = (float)u->scale, lr = (float)u->lr, decay = (float)u->s->weight_decay;
    float *restrict p = u->s->p.value;
    const float *restrict grad = u->g;
    int64_t end = sc_piece_end(u, index);
    for (int64_t i = index * SC_PIECE; i < end; i++) p[i] -= lr * (grad[i] * scale + decay * p[i]);
}

static void momentum_piece(const sc_update *u, int64_t index)
{
    const sc_optimizer_options *o = &u->o->o;
    const float scale = (float)u->scale, lr = (float)u->lr, mu = (float)o->momentum,
                decay = (float)u->s->weight_decay, kept = u->step > 1 ? mu : 0, ahead = o->nesterov ? mu : 1,
                now = o->nesterov ? 1 : 0;
    float *restrict p = u->s->p.value, *restrict m = u->s->m;
    const float *restrict grad = u->g;
    int64_t end = sc_piece_end(u, index);
    for (int64_t i = index * SC_PIECE; i < end; i++) {
        float g = grad[i] * scale + decay * p[i], m1 = kept * m[i] + g;
        m[i] = m1;
        p[i] -= lr * (now * g + ahead * m1);
    }
}

void sc_sgd_update(sc_update *u) { sc_update_run(u, sc_update_pieces(u), u->s->n_m ? momentum_piece : piece); }
