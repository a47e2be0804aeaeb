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

const sc_op sc_op_rms_norm = {
    .name = "rms_norm",
    .id = SC_OP_rms_norm,
    .derivative =
        "with r = 1 / sqrt(mean x^2 + eps): dw = x r dy summed over the rows; dx = r (w dy - x r^2 mean(x w dy))",
    .infer = norm_infer,
    .cost = norm_cost,
    .optional = 1 << 1,
    .in_place = true};
const sc_op sc_op_layer_norm = {.name = "layer_norm",
                                .id = SC_OP_layer_norm,
                                .derivative = "with n = (x - mean) r: dw = n dy and db = dy, summed over the rows; "
                                              "g = w dy: dx = r (g - mean(g) - n mean(g n))",
                                .infer = norm_infer,
                                .cost = norm_cost,
                                .optional = 1 << 1 | 1 << 2,
                                .in_place = true};

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
