/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/ops.h"

static sc_status infer(sc_tensor *y)
{
    sc_status s = sc_want_dtype(y->in[0], "the ids", SC_I32);
    if (s || (s = sc_want_rank(y->in[0], "the ids", 1))) return s;
    y->dtype = SC_I32;
    y->shape = (sc_shape){2, {2, y->in[0]->shape.dim[0]}};
    return SC_OK;
}

const sc_op sc_op_virtual_rows = {.name = "virtual_rows",
                                  .id = SC_OP_virtual_rows,
                                  .derivative = "none: whole numbers",
                                  .infer = infer,
                                  .cost = sc_cost_elementwise};

sc_tensor *sc_virtual_rows(sc_graph *g, sc_tensor *ids, int64_t vocab)
{
    sc_tensor *in[] = {sc_contiguous(g, ids)};
    sc_virtual_rows_attr a = {vocab};
    return sc_graph_node(g, &sc_op_virtual_rows, in, 1, &a, sizeof a);
}
