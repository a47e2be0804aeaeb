/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a table by id: the embedding of tokens, and the choice of the positions whose logits are wanted. */
#include "ops/ops.h"

static sc_status infer(sc_tensor *y)
{
    sc_status s;
    if ((s = sc_want_rank(y->in[0], "the table", 2)) || (s = sc_want_dtype(y->in[1], "the ids", SC_I32)) ||
        (s = sc_want_rank(y->in[1], "the ids", 1)))
        return s;
    if (y->in[2] && ((s = sc_want_dtype(y->in[2], "the second table", SC_F32)) ||
                     (s = sc_want_rank(y->in[2], "the second table", 2)) ||
                     (s = sc_want_dim(y->in[2], "the second table", 1, y->in[0]->shape.dim[1]))))
        return s;
    if (y->in[2] && !sc_is_contiguous(y->in[2])) return sc_fail(SC_ESHAPE, "the second table is not contiguous");
    y->dtype = SC_F32;
    y->shape = (sc_shape){2, {y->in[1]->shape.dim[0], y->in[0]->shape.dim[1]}};
    return SC_OK;
}

static sc_cost cost(const sc_step *s)
{
    double share = (double)s->out->shape.dim[0] / SC_MAX(1.0, (double)s->in[0]->shape.dim[0]);
    return (sc_cost){.bytes = sc_tensor_bytes(s->out) + sc_tensor_bytes(s->in[0]) * SC_MIN(share, 1.0)};
}

const sc_op sc_op_rows = {.name = "rows",
                          .id = SC_OP_rows,
                          .derivative = "dtable = dy added to the rows that ids name, in either table; none for ids",
                          .infer = infer,
                          .cost = cost,
                          .optional = 1 << 2};

sc_tensor *sc_rows_and(sc_graph *g, sc_tensor *table, sc_tensor *more, sc_tensor *ids)
{
    sc_tensor *in[] = {table, sc_contiguous(g, ids), more};
    return sc_graph_node(g, &sc_op_rows, in, 3, NULL, 0);
}

sc_tensor *sc_rows(sc_graph *g, sc_tensor *table, sc_tensor *ids) { return sc_rows_and(g, table, NULL, ids); }
