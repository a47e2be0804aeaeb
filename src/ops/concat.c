/* SPDX-License-Identifier: Apache-2.0 */
/* Tensors side by side on their last axis; in: two to SC_MAX_INPUTS of them, alike in all other axes. */
#include "ops/ops.h"

static sc_status infer(sc_tensor *y)
{
    const sc_tensor *first = y->in[0];
    int last = first->shape.rank - 1;
    sc_status s;
    if (last < 0) return sc_fail(SC_ESHAPE, "the inputs have no axis");
    y->dtype = SC_F32;
    y->shape = first->shape;
    y->shape.dim[last] = 0;
    for (int i = 0; i < y->n_in; i++) {
        const sc_tensor *x = y->in[i];
        if ((s = sc_want_dtype(x, "an input", SC_F32)) || (s = sc_want_rank(x, "an input", last + 1))) return s;
        for (int k = 0; k < last; k++)
            if ((s = sc_want_dim(x, "an input", k, first->shape.dim[k]))) return s;
        if (!sc_add_ok(y->shape.dim[last], x->shape.dim[last], &y->shape.dim[last]))
            return sc_fail(SC_ELIMIT, "the result is too large");
    }
    return SC_OK;
}

static void backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    int last = y->shape.rank - 1;
    for (int64_t i = 0, at = 0; i < y->n_in; at += y->in[i++]->shape.dim[last])
        if (sc_gradient_wanted(b, y->in[i]))
            sc_gradient_add(b, y->in[i], sc_slice(sc_gradient_graph(b), dy, last, at, y->in[i]->shape.dim[last]));
}

const sc_op sc_op_concat = {.name = "concat",
                            .id = SC_OP_concat,
                            .derivative = "of each input: its columns of dy",
                            .backward = backward,
                            .infer = infer,
                            .cost = sc_cost_elementwise};

sc_tensor *sc_concat(sc_graph *g, int n, sc_tensor *const *x)
{
    sc_tensor *in[SC_MAX_INPUTS];
    if (n < 1 || n > SC_MAX_INPUTS) return sc_graph_fault(g, sc_fail(SC_EINVAL, "concat of %d tensors", n));
    for (int i = 0; i < n; i++) in[i] = sc_contiguous(g, x[i]);
    return sc_graph_node(g, &sc_op_concat, in, n, NULL, 0);
}
