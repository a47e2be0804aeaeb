/* SPDX-License-Identifier: Apache-2.0 */
/* Mixtures of experts: which experts a token goes to, how much each counts, and the products with their matrices.
 * top_experts: logits (T, E); bias (E) or none → (T, K) i32.
 * expert_weights: logits; experts (T, K) → (T, K).
 * linear_experts: x (T, C) or (T, K, C); w (E, N, C); experts (T, K) or none; bias (E, N) or none → (T, K, N).
 * expert_sum: x (T, K, C); weights (T, K); residual (T, C) or none (fused) → (T, C).
 * clamped_glu: gate, up of one shape.
 * Each has a _grad with the gradient of its result as last input; what that gives stands there. */
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

static sc_status want_like(const sc_tensor *dy, const sc_shape *shape)
{
    sc_status s = sc_want_dtype(dy, "the gradient", SC_F32);
    if (!s && !sc_shape_equal(&dy->shape, shape)) s = sc_fail(SC_ESHAPE, "the gradient has another shape");
    return s;
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

/* in: logits, experts, dy → dlogits */
static sc_status weights_grad_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0];
    sc_status s = weights_infer(y);
    if (!s) s = want_like(y->in[2], &y->shape);
    y->shape = x->shape;
    return s;
}

const sc_op sc_op_expert_weights_grad = {.name = "expert_weights_grad",
                                         .id = SC_OP_expert_weights_grad,
                                         .derivative = "none: second derivatives are not taken",
                                         .infer = weights_grad_infer,
                                         .cost = sc_cost_elementwise};

static void weights_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *in[] = {y->in[0], y->in[1], sc_contiguous(g, dy)};
    sc_gradient_add(b, in[0], sc_graph_node(g, &sc_op_expert_weights_grad, in, 3, y->attr, sizeof(sc_routing)));
}

const sc_op sc_op_expert_weights = {
    .name = "expert_weights",
    .backward = weights_backward,
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
    /* Of matrices that lie apart from each other a view must leave the axis of their number where it is. */
    if (w->view_of && w->view_of->storage.part && w->stride[0] != w->view_of->stride[0])
        return sc_fail(SC_EINVAL, "a view across matrices that lie apart from each other");
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

/* in: dy (T, K, N); experts or none; x (T, C), (T, K, C) or none → (E, N, C), or without x the sums (E, N) */
typedef struct linear_grad_attr {
    int64_t experts;
} linear_grad_attr;

static sc_status linear_grad_infer(sc_tensor *y)
{
    const sc_tensor *dy = y->in[0], *experts = y->in[1], *x = y->in[2];
    int64_t e = SC_ATTR(y, linear_grad_attr)->experts;
    sc_status s;
    if ((s = sc_want_dtype(dy, "the gradient", SC_F32)) || (s = sc_want_rank(dy, "the gradient", 3))) return s;
    if (experts ? (s = want_experts(experts, dy->shape.dim[0])) : (s = sc_want_dim(dy, "the gradient", 1, e)))
        return s;
    if (experts && (s = sc_want_dim(experts, "the choice of experts", 1, dy->shape.dim[1]))) return s;
    y->dtype = SC_F32;
    y->shape = (sc_shape){2, {e, dy->shape.dim[2]}};
    if (!x) return SC_OK;
    if ((s = sc_want_dtype(x, "the input", SC_F32))) return s;
    if (x->shape.rank != 2 && x->shape.rank != 3)
        return sc_fail(SC_ESHAPE, "the input has %d axes, neither 2 nor 3", x->shape.rank);
    for (int i = 0; i + 1 < x->shape.rank; i++)
        if ((s = sc_want_dim(x, "the input", i, dy->shape.dim[i]))) return s;
    y->shape.dim[y->shape.rank++] = x->shape.dim[x->shape.rank - 1];
    return SC_OK;
}

static sc_cost linear_grad_cost(const sc_step *s)
{
    sc_cost c = sc_cost_elementwise(s);
    double width = s->in[2] ? (double)s->in[2]->shape.dim[s->in[2]->shape.rank - 1] : 0.5;
    c.flops = 2 * (double)sc_tensor_count(s->in[0]) * width;
    return c;
}

const sc_op sc_op_linear_experts_grad = {.name = "linear_experts_grad",
                                         .id = SC_OP_linear_experts_grad,
                                         .derivative = "none: second derivatives are not taken",
                                         .infer = linear_grad_infer,
                                         .cost = linear_grad_cost,
                                         .optional = 1 << 1 | 1 << 2};

sc_tensor *sc_expert_counts(sc_graph *g, sc_tensor *one, sc_tensor *experts, int64_t n)
{
    sc_tensor *counts = sc_graph_node(g, &sc_op_linear_experts_grad, (sc_tensor *[]){one, experts, NULL}, 3,
                                      &(linear_grad_attr){n}, sizeof(linear_grad_attr));
    return sc_reshape(g, counts, 1, &n);
}

static void linear_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *x = y->in[0], *w = y->in[1], *experts = y->in[2], *bias = y->in[3];
    linear_grad_attr attr = {w->shape.dim[0]};
    dy = sc_contiguous(g, dy);
    if (sc_gradient_wanted(b, x)) {
        sc_tensor *dx = sc_linear_experts(g, dy, sc_permute(g, w, (int[]){0, 2, 1}), experts, NULL);
        sc_gradient_add(b, x, x->shape.rank == 2 ? sc_expert_sum(g, dx, NULL) : dx);
    }
    if (sc_gradient_wanted(b, w))
        sc_gradient_add(
            b, w,
            sc_graph_node(g, &sc_op_linear_experts_grad, (sc_tensor *[]){dy, experts, x}, 3, &attr, sizeof attr));
    if (sc_gradient_wanted(b, bias))
        sc_gradient_add(b, bias,
                        sc_graph_node(g, &sc_op_linear_experts_grad, (sc_tensor *[]){dy, experts, NULL}, 3, &attr,
                                      sizeof attr));
}

const sc_op sc_op_linear_experts = {
    .name = "linear_experts",
    .backward = linear_backward,
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
        (w && ((s = sc_want_dtype(w, "the weights", SC_F32)) || (s = sc_want_rank(w, "the weights", 2)) ||
               (s = sc_want_dim(w, "the weights", 0, x->shape.dim[0])) ||
               (s = sc_want_dim(w, "the weights", 1, x->shape.dim[1])))))
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

/* in: x, weights or none, dy (T, C) → a run of dx (T, K, C) and dweights (T, K) */
static sc_status sum_grad_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0];
    int64_t all;
    sc_status s = sum_infer(y);
    if (!s) s = want_like(y->in[2], &y->shape);
    if (!s && !sc_add_ok(sc_tensor_count(x), x->shape.dim[0] * x->shape.dim[1], &all))
        s = sc_fail(SC_ELIMIT, "the gradients are too large");
    if (!s) y->shape = (sc_shape){1, {all}};
    return s;
}

static sc_cost sum_grad_cost(const sc_step *s)
{
    sc_cost c = sc_cost_elementwise(s);
    c.flops = 3 * (double)sc_tensor_count(s->in[0]);
    return c;
}

const sc_op sc_op_expert_sum_grad = {.name = "expert_sum_grad",
                                     .id = SC_OP_expert_sum_grad,
                                     .derivative = "none: second derivatives are not taken",
                                     .infer = sum_grad_infer,
                                     .cost = sum_grad_cost,
                                     .optional = 1 << 1};

static void sum_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *x = y->in[0], *w = y->in[1], *in[] = {x, w, sc_contiguous(g, dy)};
    sc_tensor *all = sc_graph_node(g, &sc_op_expert_sum_grad, in, 3, NULL, 0);
    int64_t n = sc_tensor_count(x);
    if (sc_gradient_wanted(b, x)) sc_gradient_add(b, x, sc_reshape(g, sc_slice(g, all, 0, 0, n), 3, x->shape.dim));
    if (sc_gradient_wanted(b, w))
        sc_gradient_add(b, w, sc_reshape(g, sc_slice(g, all, 0, n, sc_tensor_count(w)), 2, w->shape.dim));
}

const sc_op sc_op_expert_sum = {.name = "expert_sum",
                                .backward = sum_backward,
                                .id = SC_OP_expert_sum,
                                .derivative = "dx = dy times the weight; dweight = dy . x; the residual's is dy",
                                .infer = sum_infer,
                                .cost = sum_cost,
                                .absorb = sum_absorb,
                                .optional = 1 << 1 | 1 << 2};

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

/* in: gate, up, dy → a run of dgate and dup */
static sc_status glu_grad_infer(sc_tensor *y)
{
    int64_t all;
    sc_status s = glu_infer(y);
    if (!s) s = want_like(y->in[2], &y->shape);
    if (!s && !sc_mul_ok(2, sc_tensor_count(y->in[0]), &all)) s = sc_fail(SC_ELIMIT, "the gradients are too large");
    if (!s) y->shape = (sc_shape){1, {all}};
    return s;
}

const sc_op sc_op_clamped_glu_grad = {.name = "clamped_glu_grad",
                                      .id = SC_OP_clamped_glu_grad,
                                      .derivative = "none: second derivatives are not taken",
                                      .infer = glu_grad_infer,
                                      .cost = glu_cost};

static void glu_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *in[] = {y->in[0], y->in[1], sc_contiguous(g, dy)};
    sc_tensor *all = sc_graph_node(g, &sc_op_clamped_glu_grad, in, 3, y->attr, sizeof(sc_clamped_glu_attr));
    int64_t n = sc_tensor_count(y);
    for (int i = 0; i < 2; i++)
        if (sc_gradient_wanted(b, in[i]))
            sc_gradient_add(b, in[i], sc_reshape(g, sc_slice(g, all, 0, i * n, n), y->shape.rank, y->shape.dim));
}

const sc_op sc_op_clamped_glu = {
    .name = "clamped_glu",
    .backward = glu_backward,
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
