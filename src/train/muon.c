/* SPDX-License-Identifier: Apache-2.0 */
/* Muon (Jordan et al. 2024): momentum whose matrix is brought near an orthogonal one by five steps of Newton and Schulz's
 * iteration. The steps are a graph, so the products are the models' own. Settings as torch.optim.Muon has them. */
#include "ops/ops.h"
#include "train/optimizer.h"

#include <math.h>

enum { NEWTON_SCHULZ_STEPS = 5 };
static const float A = 3.4445F, B = -4.7750F, C = 2.0315F;
#define LEAST_NORM 1e-7

/* Of all matrices of one shape. */
struct sc_muon_plan {
    int64_t rows, cols;
    sc_graph *g;
    sc_plan *plan;
    sc_tensor *in, *out;
};

/* x ← a x + (b s + c s s) x with s = x x^T of a wide matrix; of a tall one the same from the other side: s is as small as
 * it can be. s is symmetric, so nothing is ever transposed but x, as a view. */
static sc_tensor *newton_schulz(sc_graph *g, sc_tensor *x, bool tall)
{
    static const int swap[] = {1, 0};
    for (int i = 0; i < NEWTON_SCHULZ_STEPS; i++) {
        sc_tensor *turned = sc_permute(g, x, swap), *side = tall ? turned : x;
        sc_tensor *s = sc_apply_linear(g, side, side, NULL);
        sc_tensor *poly = sc_add(g, sc_affine(g, s, B, 0), sc_affine(g, sc_apply_linear(g, s, s, NULL), C, 0));
        sc_tensor *product = tall ? sc_apply_linear(g, x, poly, NULL) : sc_apply_linear(g, poly, turned, NULL);
        x = sc_add(g, sc_affine(g, x, A, 0), product);
    }
    return x;
}

static sc_status make_plan(sc_muon_plan *p, sc_backend *backend, const sc_slot *s)
{
    sc_shape shape = {2, {s->p.rows, s->p.cols}};
    p->rows = s->p.rows;
    p->cols = s->p.cols;
    sc_status status = sc_graph_new(&p->g, NULL);
    if (status) return status;
    p->in = sc_graph_input(p->g, "update", SC_F32, &shape);
    p->out = newton_schulz(p->g, p->in, p->rows > p->cols);
    return p->g->status ? sc_fail(p->g->status, "%s", p->g->fault)
                        : sc_plan_new(&p->plan, p->g, backend, &p->out, 1);
}

sc_status sc_muon_prepare(sc_optimizer *o, sc_context *ctx)
{
    o->plan = sc_calloc((size_t)SC_MAX(o->count, 1), sizeof *o->plan);
    if (!o->plan) return sc_nomem();
    sc_status status = sc_backend_new(&o->backend, ctx);
    for (int64_t i = 0; !status && i < o->count; i++) {
        sc_slot *s = &o->slot[i];
        if (s->kind != SC_MUON) continue;
        for (s->muon = 0; s->muon < o->n_plans; s->muon++)
            if (o->plan[s->muon].rows == s->p.rows && o->plan[s->muon].cols == s->p.cols) break;
        if (s->muon == o->n_plans) status = make_plan(&o->plan[o->n_plans++], o->backend, s);
    }
    if (status) sc_muon_free(o);
    return status;
}

void sc_muon_free(sc_optimizer *o)
{
    for (int i = 0; i < o->n_plans; i++) {
        sc_plan_free(o->plan[i].plan);
        sc_graph_free(o->plan[i].g);
    }
    if (o->backend) o->backend->free(o->backend);
    sc_free(o->plan);
    o->plan = NULL;
    o->backend = NULL;
    o->n_plans = 0;
}

static void momentum_piece(const sc_update *u, int64_t index)
{
    const float scale = (float)u->scale, mu = (float)u->o->o.momentum, fresh = (float)(1 - u->o->o.momentum);
    const float of_m = u->o->o.nesterov ? mu : 1, of_g = u->o->o.nesterov ? fresh : 0;
    float *restrict m = u->s->m, *restrict room = u->room;
    const float *restrict grad = u->g;
    int64_t end = sc_piece_end(u, index);
    for (int64_t i = index * SC_PIECE; i < end; i++) {
        float g = grad[i] * scale, m1 = mu * m[i] + fresh * g;
        m[i] = m1;
        room[i] = of_m * m1 + of_g * g;
    }
    u->o->part[index] = sc_sum_squares(room + index * SC_PIECE, end - index * SC_PIECE);
}

static void scale_piece(const sc_update *u, int64_t index)
{
    const float f = (float)u->factor;
    for (int64_t i = index * SC_PIECE, end = sc_piece_end(u, index); i < end; i++) u->room[i] *= f;
}

static void apply_piece(const sc_update *u, int64_t index)
{
    const float keep = (float)(1 - u->lr * u->s->weight_decay), f = (float)u->factor;
    float *restrict p = u->s->p.value;
    const float *restrict room = u->room;
    for (int64_t i = index * SC_PIECE, end = sc_piece_end(u, index); i < end; i++) p[i] = p[i] * keep - f * room[i];
}

/* What makes the sizes of updates alike for all shapes. */
static double lr_scale(sc_muon_scale scale, double rows, double cols)
{
    switch (scale) {
    case SC_MUON_MATCH_RMS_ADAMW: return 0.2 * sqrt(SC_MAX(rows, cols));
    case SC_MUON_SPECTRAL_UNCLAMPED: return sqrt(rows / cols);
    default: return sqrt(SC_MAX(1, rows / cols));
    }
}

sc_status sc_muon_update(sc_update *u)
{
    const sc_muon_plan *p = &u->o->plan[u->s->muon];
    int64_t n = sc_update_pieces(u);
    double sum = 0;
    u->room = sc_plan_data(p->plan, p->in);
    sc_update_run(u, n, momentum_piece);
    for (int64_t i = 0; i < n; i++) sum += u->o->part[i];
    u->factor = 1 / SC_MAX(sqrt(sum), LEAST_NORM);
    sc_update_run(u, n, scale_piece);
    sc_status s = sc_plan_run(p->plan);
    if (s) return s;
    u->room = sc_plan_data(p->plan, p->out);
    u->factor = u->lr * lr_scale(u->o->o.muon_scale, (double)p->rows, (double)p->cols);
    sc_update_run(u, n, apply_piece);
    return SC_OK;
}
