/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/ops.h"

static sc_status infer(sc_tensor *y)
{
    int64_t width = SC_ATTR(y, sc_sinusoids_attr)->width;
    sc_status s = sc_want_dtype(y->in[0], "the places", SC_I32);
    if (!s) s = sc_want_rank(y->in[0], "the places", 1);
    if (s) return s;
    if (width < 1) return sc_fail(SC_ESHAPE, "a width of %lld", (long long)width);
    y->dtype = SC_F32;
    y->shape = (sc_shape){2, {y->in[0]->shape.dim[0], width}};
    return SC_OK;
}

static sc_cost cost(const sc_step *s)
{
    return (sc_cost){.flops = 40 * (double)sc_tensor_count(s->out), .bytes = sc_tensor_bytes(s->out)};
}

const sc_op sc_op_sinusoids = {.name = "sinusoids",
                               .id = SC_OP_sinusoids,
                               .derivative = "none: places are whole numbers",
                               .infer = infer,
                               .cost = cost};

sc_tensor *sc_sinusoids(sc_graph *g, sc_tensor *at, int64_t width)
{
    at = sc_contiguous(g, at);
    return sc_graph_node(g, &sc_op_sinusoids, &at, 1, &(sc_sinusoids_attr){width}, sizeof(sc_sinusoids_attr));
}
