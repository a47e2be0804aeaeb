/* SPDX-License-Identifier: Apache-2.0 */
/* y = x / (1 - rate) where chance keeps a value, else 0 (Srivastava et al. 2014, "Dropout"). What is kept follows from the
 * seed, the node's number and the value's place, so it is the same for any number of threads, when it is made again, and for
 * the gradient. in: x, seed (2) i32. */
#include "ops/ops.h"

static sc_status infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0], *seed = y->in[1];
    double rate = SC_ATTR(y, sc_dropout_attr)->rate;
    sc_status s;
    if ((s = sc_want_dtype(x, "the input", SC_F32)) || (s = sc_want_dtype(seed, "the seed", SC_I32)) ||
        (s = sc_want_rank(seed, "the seed", 1)) || (s = sc_want_dim(seed, "the seed", 0, 2)))
        return s;
    if (!(rate >= 0 && rate < 1)) return sc_fail(SC_EINVAL, "a rate of %g", rate);
    y->dtype = SC_F32;
    y->shape = x->shape;
    return SC_OK;
}

static void backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *in[] = {sc_contiguous(g, dy), y->in[1]};
    sc_gradient_add(b, y->in[0], sc_graph_node(g, &sc_op_dropout, in, 2, y->attr, sizeof(sc_dropout_attr)));
}

const sc_op sc_op_dropout = {.name = "dropout",
                             .id = SC_OP_dropout,
                             .derivative = "dx = dy / (1 - rate) where the value was kept, else 0",
                             .backward = backward,
                             .infer = infer,
                             .cost = sc_cost_elementwise,
                             .in_place = 1 << 0};

sc_tensor *sc_dropout(sc_graph *g, sc_tensor *x, sc_tensor *seed, float rate)
{
    sc_tensor *in[] = {sc_contiguous(g, x), seed};
    return sc_graph_node(g, &sc_op_dropout, in, 2, &(sc_dropout_attr){rate, (uint64_t)g->count},
                         sizeof(sc_dropout_attr));
}
