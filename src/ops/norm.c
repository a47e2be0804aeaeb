/* SPDX-License-Identifier: Apache-2.0 */
/* RMS norm (Zhang and Sennrich 2019): y = x / sqrt(mean x^2 + eps) * w.
 * Layer norm (Ba et al. 2016): y = (x - mean) / sqrt(var + eps) * w + b. Over the last axis. */
#include "ops/ops.h"

static sc_status norm_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0];
    sc_status s = sc_want_dtype(x, "the input", SC_F32);
    if (s) return s;
    if (x->shape.rank < 1) return sc_fail(SC_ESHAPE, "the input has no axis");
    for (int i = 1; i < y->n_in; i++) {
        const char *what = i == 1 ? "the weight" : "the bias";
        if (!y->in[i]) continue;
        if ((s = sc_want_dtype(y->in[i], what, SC_F32)) || (s = sc_want_rank(y->in[i], what, 1)) ||
            (s = sc_want_dim(y->in[i], what, 0, x->shape.dim[x->shape.rank - 1])))
            return s;
    }
    return sc_infer_like_input(y);
}

static sc_cost norm_cost(const sc_step *s)
{
    sc_cost c = sc_cost_elementwise(s);
    c.flops *= s->op == &sc_op_rms_norm ? 4 : 7;
    return c;
}

/* Its rows may be packed as they are made. */
static bool norm_absorb(sc_step *s, const sc_step *user)
{
    return user->op == &sc_op_pack_rows && s->out->dtype == SC_F32;
}

static sc_tensor *norm_grad(sc_graph *g, const sc_op *op, const sc_tensor *y, sc_tensor *dy)
{
    sc_tensor *in[] = {y->in[0], y->in[1], sc_contiguous(g, dy)};
    return sc_graph_node(g, op, in, 3, y->attr, sizeof(sc_norm_attr));
}

/* dw needs x normalised, which is made again: cheaper than to keep it. */
static void weight_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy, sc_tensor *normed)
{
    sc_gradient_add(b, y->in[1], sc_sum_leading(sc_gradient_graph(b), sc_mul(sc_gradient_graph(b), dy, normed), 1));
}

static void rms_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    float eps = SC_ATTR(y, sc_norm_attr)->eps;
    if (sc_gradient_wanted(b, y->in[0])) sc_gradient_add(b, y->in[0], norm_grad(g, &sc_op_rms_norm_grad, y, dy));
    if (sc_gradient_wanted(b, y->in[1])) weight_backward(b, y, dy, sc_apply_rms_norm(g, y->in[0], NULL, eps));
}

static void layer_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    float eps = SC_ATTR(y, sc_norm_attr)->eps;
    if (sc_gradient_wanted(b, y->in[0])) sc_gradient_add(b, y->in[0], norm_grad(g, &sc_op_layer_norm_grad, y, dy));
    if (sc_gradient_wanted(b, y->in[1]))
        weight_backward(b, y, dy, sc_apply_layer_norm(g, y->in[0], NULL, NULL, eps));
    if (sc_gradient_wanted(b, y->in[2])) sc_gradient_add(b, y->in[2], sc_sum_leading(g, dy, 1));
}

const sc_op sc_op_rms_norm = {
    .name = "rms_norm",
    .id = SC_OP_rms_norm,
    .derivative =
        "with r = 1 / sqrt(mean x^2 + eps): dw = x r dy summed over the rows; dx = r (w dy - x r^2 mean(x w dy))",
    .backward = rms_backward,
    .infer = norm_infer,
    .cost = norm_cost,
    .absorb = norm_absorb,
    .optional = 1 << 1,
    .in_place = 1 << 0};
const sc_op sc_op_layer_norm = {.name = "layer_norm",
                                .id = SC_OP_layer_norm,
                                .derivative = "with n = (x - mean) r: dw = n dy and db = dy, summed over the rows; "
                                              "g = w dy: dx = r (g - mean(g) - n mean(g n))",
                                .backward = layer_backward,
                                .infer = norm_infer,
                                .cost = norm_cost,
                                .absorb = norm_absorb,
                                .optional = 1 << 1 | 1 << 2,
                                .in_place = 1 << 0};

sc_tensor *sc_apply_rms_norm(sc_graph *g, sc_tensor *x, sc_tensor *w, float eps)
{
    sc_tensor *in[] = {sc_contiguous(g, x), sc_contiguous(g, w)};
    return sc_graph_node(g, &sc_op_rms_norm, in, 2, &(sc_norm_attr){eps}, sizeof(sc_norm_attr));
}

sc_tensor *sc_apply_layer_norm(sc_graph *g, sc_tensor *x, sc_tensor *w, sc_tensor *b, float eps)
{
    sc_tensor *in[] = {sc_contiguous(g, x), sc_contiguous(g, w), sc_contiguous(g, b)};
    return sc_graph_node(g, &sc_op_layer_norm, in, 3, &(sc_norm_attr){eps}, sizeof(sc_norm_attr));
}

/* in: x, w or none, dy → dx */
static sc_status grad_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0];
    sc_status s = sc_want_dtype(y->in[2], "the gradient", SC_F32);
    if (!s && !sc_shape_equal(&x->shape, &y->in[2]->shape))
        s = sc_fail(SC_ESHAPE, "the gradient has another shape");
    return s ? s : sc_infer_like_input(y);
}

const sc_op sc_op_rms_norm_grad = {.name = "rms_norm_grad",
                                   .id = SC_OP_rms_norm_grad,
                                   .derivative = "none: second derivatives are not taken",
                                   .infer = grad_infer,
                                   .cost = norm_cost,
                                   .optional = 1 << 1};
const sc_op sc_op_layer_norm_grad = {.name = "layer_norm_grad",
                                     .id = SC_OP_layer_norm_grad,
                                     .derivative = "none: second derivatives are not taken",
                                     .infer = grad_infer,
                                     .cost = norm_cost,
                                     .optional = 1 << 1};
