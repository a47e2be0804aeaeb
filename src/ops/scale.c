/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/ops.h"

static sc_status infer(sc_tensor *y)
{
    sc_status s = sc_want_dtype(y->in[0], "the input", SC_F32);
    return s ? s : sc_infer_like_input(y);
}

const sc_op sc_op_scale = {.name = "scale",
                           .id = SC_OP_scale,
                           .derivative = "dx = dy * factor",
                           .infer = infer,
                           .cost = sc_cost_elementwise,
                           .in_place = true};

sc_tensor *sc_scale(sc_graph *g, sc_tensor *x, float factor)
{
    if (factor == 1) return x;
    x = sc_contiguous(g, x);
    return sc_graph_node(g, &sc_op_scale, &x, 1, &(sc_scale_attr){factor}, sizeof(sc_scale_attr));
}
