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

/* rows_grad: dy (T, C), ids (T) → (rows, C) */
static void backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *table = y->in[0], *more = y->in[2], *in[] = {sc_contiguous(g, dy), y->in[1]};
    if (!sc_gradient_wanted(b, table) && !sc_gradient_wanted(b, more)) return;
    int64_t rows = table->shape.dim[0];
    sc_rows_attr a = {rows + (more ? more->shape.dim[0] : 0), SC_ATTR(y, sc_rows_attr)->still};
    sc_tensor *all = sc_graph_node(g, &sc_op_rows_grad, in, 2, &a, sizeof a);
    if (sc_gradient_wanted(b, table)) sc_gradient_add(b, table, more ? sc_slice(g, all, 0, 0, rows) : all);
    if (sc_gradient_wanted(b, more)) sc_gradient_add(b, more, sc_slice(g, all, 0, rows, a.rows - rows));
}

const sc_op sc_op_rows = {.name = "rows",
                          .id = SC_OP_rows,
                          .derivative =
                              "dtable = dy added to the rows that ids name, but one that is to stay; none for ids",
                          .backward = backward,
                          .infer = infer,
                          .cost = cost,
                          .optional = 1 << 2};

sc_tensor *sc_rows_but(sc_graph *g, sc_tensor *table, sc_tensor *more, sc_tensor *ids, int64_t still)
{
    sc_tensor *in[] = {table, sc_contiguous(g, ids), more};
    return sc_graph_node(g, &sc_op_rows, in, 3, &(sc_rows_attr){.still = still}, sizeof(sc_rows_attr));
}

sc_tensor *sc_rows_and(sc_graph *g, sc_tensor *table, sc_tensor *more, sc_tensor *ids)
{
    return sc_rows_but(g, table, more, ids, -1);
}

sc_tensor *sc_rows(sc_graph *g, sc_tensor *table, sc_tensor *ids) { return sc_rows_and(g, table, NULL, ids); }

static sc_status grad_infer(sc_tensor *y)
{
    sc_status s;
    if ((s = sc_want_dtype(y->in[0], "the gradient", SC_F32)) || (s = sc_want_rank(y->in[0], "the gradient", 2)) ||
        (s = sc_want_dtype(y->in[1], "the ids", SC_I32)) || (s = sc_want_rank(y->in[1], "the ids", 1)) ||
        (s = sc_want_dim(y->in[1], "the ids", 0, y->in[0]->shape.dim[0])))
        return s;
    y->dtype = SC_F32;
    y->shape = (sc_shape){2, {SC_ATTR(y, sc_rows_attr)->rows, y->in[0]->shape.dim[1]}};
    return SC_OK;
}

/* What is known of the gradient already is added to: in[2]. */
static bool grad_absorb(sc_step *s, const sc_step *user)
{
    if (user->op != &sc_op_add || s->n_in > 2) return false;
    sc_tensor *other = user->in[0] == s->out ? user->in[1] : user->in[0];
    if (other == s->out || !sc_shape_equal(&other->shape, &s->out->shape)) return false;
    s->in[s->n_in++] = other;
    return true;
}

const sc_op sc_op_rows_grad = {.name = "rows_grad",
                               .id = SC_OP_rows_grad,
                               .derivative = "none: second derivatives are not taken",
                               .infer = grad_infer,
                               .absorb = grad_absorb,
                               .in_place = 1 << 2,
                               .cost = sc_cost_elementwise};
