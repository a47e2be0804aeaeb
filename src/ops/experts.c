/* SPDX-License-Identifier: Apache-2.0 */
/* Mixtures of experts: which experts a token goes to, how much each counts, and the products with their matrices.
 * top_experts: logits (T, E); bias (E) or none → (T, K) i32.
 * expert_weights: logits; experts (T, K) → (T, K).
 * linear_experts: x (T, C) or (T, K, C); w (E, N, C); experts (T, K) or none; bias (E, N) or none → (T, K, N).
 * expert_sum: x (T, K, C); weights (T, K); residual (T, C) or none (fused) → (T, C).
 * clamped_glu: gate, up of one shape. */
#include "ops/ops.h"

static sc_status want_experts(const sc_tensor *experts, int64_t tokens)
{
    sc_status s;
    if ((s = sc_want_dtype(experts, "the choice of experts", SC_I32)) ||
        (s = sc_want_rank(experts, "the choice of experts", 2)))
        return s;
    return sc_want_dim(experts, "the choice of experts", 0, tokens);
}

static sc_status check_routing(const sc_routing *r, int64_t experts)
{
    if (r->used < 1 || r->used > experts)
        return sc_fail(SC_ESHAPE, "%lld of %lld experts", (long long)r->used, (long long)experts);
    if ((unsigned)r->score > SC_SCORE_CHOSEN)
        return sc_fail(SC_EINVAL, "no score has the number %d", (int)r->score);
    if (r->groups <= 1) return SC_OK;
    int64_t size = experts / r->groups;
    if (experts % r->groups || r->groups_used < 1 || r->groups_used > r->groups || r->group_best < 1 ||
        r->group_best > size || r->used > r->groups_used * size)
        return sc_fail(SC_ESHAPE,
                       "%lld experts from the best %lld of %lld groups, which rank by their best %lld, of %lld",
                       (long long)r->used, (long long)r->groups_used, (long long)r->groups,
                       (long long)r->group_best, (long long)experts);
    return SC_OK;
}

/* ---- top_experts, expert_weights ---- */

static sc_status top_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0], *bias = y->in[1];
    const sc_routing *r = SC_ATTR(y, sc_routing);
    sc_status s;
    if ((s = sc_want_dtype(x, "the logits", SC_F32)) || (s = sc_want_rank(x, "the logits", 2)) ||
        (s = check_routing(r, x->shape.dim[1])))
        return s;
    if (bias && ((s = sc_want_dtype(bias, "the bias", SC_F32)) || (s = sc_want_rank(bias, "the bias", 1)) ||
                 (s = sc_want_dim(bias, "the bias", 0, x->shape.dim[1]))))
        return s;
    y->dtype = SC_I32;
    y->shape = (sc_shape){2, {x->shape.dim[0], r->used}};
    return SC_OK;
}

const sc_op sc_op_top_experts = {.name = "top_experts",
                                 .id = SC_OP_top_experts,
                                 .derivative = "none: a choice, which does not change in steps",
                                 .infer = top_infer,
                                 .cost = sc_cost_elementwise,
                                 .optional = 1 << 1};

static sc_status weights_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0], *experts = y->in[1];
    const sc_routing *r = SC_ATTR(y, sc_routing);
    sc_status s;
    if ((s = sc_want_dtype(x, "the logits", SC_F32)) || (s = sc_want_rank(x, "the logits", 2)) ||
        (s = check_routing(r, x->shape.dim[1])) || (s = want_experts(experts, x->shape.dim[0])) ||
        (s = sc_want_dim(experts, "the choice of experts", 1, r->used)))
        return s;
    y->dtype = SC_F32;
    y->shape = experts->shape;
    return SC_OK;
}

const sc_op sc_op_expert_weights = {
    .name = "expert_weights",
    .id = SC_OP_expert_weights,
    .derivative =
        "with w = scale s / (sum of s + tiny) for the chosen scores s: ds = scale / sum (dw - sum of dw * w / "
        "scale), or scale dw where they are not normalised; dlogits = s * (ds - sum of ds * s) for a "
        "softmax over all (or the chosen), s (1 - s) ds for a sigmoid; 0 for the others; none for experts",
    .infer = weights_infer,
    .cost = sc_cost_elementwise};

sc_tensor *sc_top_experts(sc_graph *g, sc_tensor *logits, sc_tensor *bias, const sc_routing *r)
{
    sc_tensor *in[] = {sc_contiguous(g, logits), sc_contiguous(g, bias)};
    return sc_graph_node(g, &sc_op_top_experts, in, 2, r, sizeof *r);
}

sc_tensor *sc_expert_weights(sc_graph *g, sc_tensor *logits, sc_tensor *experts, const sc_routing *r)
{
    sc_tensor *in[] = {sc_contiguous(g, logits), sc_contiguous(g, experts)};
    return sc_graph_node(g, &sc_op_expert_weights, in, 2, r, sizeof *r);
}

/* ---- linear_experts ---- */

static sc_status linear_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0], *w = y->in[1], *experts = y->in[2], *bias = y->in[3];
    sc_status s;
    if ((s = sc_want_dtype(x, "the input", SC_F32)) || (s = sc_want_rank(w, "the weight", 3))) return s;
    if (x->shape.rank != 2 && x->shape.rank != 3)
        return sc_fail(SC_ESHAPE, "the input has %d axes, neither 2 nor 3", x->shape.rank);
    if ((s = sc_want_dim(w, "the weight", 2, x->shape.dim[x->shape.rank - 1]))) return s;
    int64_t k = experts ? experts->shape.dim[1] : w->shape.dim[0];
    if (experts && (s = want_experts(experts, x->shape.dim[0]))) return s;
    if (x->shape.rank == 3 && (s = sc_want_dim(x, "the input", 1, k))) return s;
    if (bias && ((s = sc_want_dtype(bias, "the bias", SC_F32)) || (s = sc_want_rank(bias, "the bias", 2)) ||
                 (s = sc_want_dim(bias, "the bias", 0, w->shape.dim[0])) ||
                 (s = sc_want_dim(bias, "the bias", 1, w->shape.dim[1]))))
        return s;
    if (w->view_of && w->view_of->storage.part)
        return sc_fail(SC_EINVAL, "a view of matrices that lie apart from each other");
    y->dtype = SC_F32;
    y->shape = (sc_shape){3, {x->shape.dim[0], k, w->shape.dim[1]}};
    return SC_OK;
}

static sc_cost linear_cost(const sc_step *s)
{
    const sc_tensor *w = s->in[1];
    double pairs = (double)s->out->shape.dim[0] * (double)s->out->shape.dim[1];
    double read = SC_MIN(pairs / SC_MAX((double)w->shape.dim[0], 1), 1);
    return (sc_cost){.flops = 2 * (double)sc_tensor_count(s->out) * (double)w->shape.dim[2],
                     .bytes = sc_tensor_bytes(s->in[0]) + sc_tensor_bytes(s->out) + read * sc_tensor_bytes(w)};
}

const sc_op sc_op_linear_experts = {
    .name = "linear_experts",
    .id = SC_OP_linear_experts,
    .derivative =
        "for the tokens of each expert as of linear: dx = dy w; dw = dy^T x; dbias = dy summed; a token's "
        "dx is summed over its experts where they read the same x; none for experts",
    .infer = linear_infer,
    .cost = linear_cost,
    .optional = 1 << 2 | 1 << 3};

sc_tensor *sc_linear_experts(sc_graph *g, sc_tensor *x, sc_tensor *w, sc_tensor *experts, sc_tensor *bias)
{
    sc_tensor *in[] = {sc_contiguous(g, x), w, sc_contiguous(g, experts), sc_contiguous(g, bias)};
    return sc_graph_node(g, &sc_op_linear_experts, in, 4, NULL, 0);
}

/* ---- expert_sum ---- */

static sc_status sum_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0], *w = y->in[1];
    sc_status s;
    if ((s = sc_want_dtype(x, "the input", SC_F32)) || (s = sc_want_rank(x, "the input", 3)) ||
        (s = sc_want_dtype(w, "the weights", SC_F32)) || (s = sc_want_rank(w, "the weights", 2)) ||
        (s = sc_want_dim(w, "the weights", 0, x->shape.dim[0])) ||
        (s = sc_want_dim(w, "the weights", 1, x->shape.dim[1])))
        return s;
    y->dtype = SC_F32;
    y->shape = (sc_shape){2, {x->shape.dim[0], x->shape.dim[2]}};
    return SC_OK;
}

static sc_cost sum_cost(const sc_step *s)
{
    sc_cost c = sc_cost_elementwise(s);
    c.flops = 2 * (double)sc_tensor_count(s->in[0]);
    return c;
}

/* A residual, or what the shared experts give. */
static bool sum_absorb(sc_step *s, const sc_step *user)
{
    if (user->op != &sc_op_add || s->in[2]) return false;
    sc_tensor *other = user->in[0] == s->out ? user->in[1] : user->in[0];
    if (other == s->out || !sc_shape_equal(&other->shape, &s->out->shape)) return false;
    s->in[2] = other;
    return true;
}

const sc_op sc_op_expert_sum = {.name = "expert_sum",
                                .id = SC_OP_expert_sum,
                                .derivative = "dx = dy times the weight; dweight = dy . x; the residual's is dy",
                                .infer = sum_infer,
                                .cost = sum_cost,
                                .absorb = sum_absorb,
                                .optional = 1 << 2};

sc_tensor *sc_expert_sum(sc_graph *g, sc_tensor *x, sc_tensor *weights)
{
    sc_tensor *in[] = {sc_contiguous(g, x), sc_contiguous(g, weights), NULL};
    return sc_graph_node(g, &sc_op_expert_sum, in, 3, NULL, 0);
}

/* ---- clamped_glu ---- */

static sc_status glu_infer(sc_tensor *y)
{
    sc_status s;
    if ((s = sc_want_dtype(y->in[0], "the gate", SC_F32)) || (s = sc_want_dtype(y->in[1], "the other", SC_F32)))
        return s;
    if (!sc_shape_equal(&y->in[0]->shape, &y->in[1]->shape))
        return sc_fail(SC_ESHAPE, "the gate and what it gates differ in shape");
    return sc_infer_like_input(y);
}

static sc_cost glu_cost(const sc_step *s)
{
    sc_cost c = sc_cost_elementwise(s);
    c.flops *= 12;
    return c;
}

const sc_op sc_op_clamped_glu = {
    .name = "clamped_glu",
    .id = SC_OP_clamped_glu,
    .derivative =
        "with s = sigmoid(alpha gate): dup = dy gate s; dgate = dy (up + 1) s (1 + alpha gate (1 - s)); 0 where "
        "it was clamped",
    .infer = glu_infer,
    .cost = glu_cost,
    .in_place = 1 << 0};

sc_tensor *sc_clamped_glu(sc_graph *g, sc_tensor *gate, sc_tensor *up, float alpha, float limit)
{
    sc_tensor *in[] = {sc_contiguous(g, gate), sc_contiguous(g, up)};
    return sc_graph_node(g, &sc_op_clamped_glu, in, 2, &(sc_clamped_glu_attr){alpha, limit},
                         sizeof(sc_clamped_glu_attr));
}
