/* SPDX-License-Identifier: Apache-2.0 */
/* What looks at the tokens of a sequence together. pool: x (T, C), first (S), stop (S). unfold: x (T, C), start. */
#include "ops/ops.h"

static sc_status pool_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0];
    unsigned kind = (unsigned)SC_ATTR(y, sc_pool_attr)->kind;
    sc_status s;
    if ((s = sc_want_dtype(x, "the input", SC_F32)) || (s = sc_want_rank(x, "the input", 2)) ||
        (s = sc_want_dtype(y->in[1], "first", SC_I32)) || (s = sc_want_rank(y->in[1], "first", 1)) ||
        (s = sc_want_dtype(y->in[2], "stop", SC_I32)) || (s = sc_want_rank(y->in[2], "stop", 1)) ||
        (s = sc_want_dim(y->in[2], "stop", 0, y->in[1]->shape.dim[0])))
        return s;
    if (kind >= SC_POOL_COUNT) return sc_fail(SC_EINVAL, "no pooling has the number %u", kind);
    y->dtype = SC_F32;
    y->shape = (sc_shape){2, {y->in[1]->shape.dim[0], x->shape.dim[1]}};
    return SC_OK;
}

const sc_op sc_op_pool = {
    .name = "pool",
    .id = SC_OP_pool,
    .derivative =
        "first and last: dx = dy added to that row; mean, its root and the weighted one: dx = dy times the "
        "token's weight; max: dx = dy where the value is the largest; none for first and stop",
    .infer = pool_infer,
    .cost = sc_cost_elementwise};

sc_tensor *sc_pool_tokens(sc_graph *g, sc_pool_kind kind, sc_tensor *x, sc_tensor *first, sc_tensor *stop)
{
    sc_tensor *in[] = {sc_contiguous(g, x), sc_contiguous(g, first), sc_contiguous(g, stop)};
    return sc_graph_node(g, &sc_op_pool, in, 3, &(sc_pool_attr){kind}, sizeof(sc_pool_attr));
}

static sc_status unfold_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0];
    int64_t n = SC_ATTR(y, sc_unfold_attr)->n;
    sc_status s;
    if ((s = sc_want_dtype(x, "the input", SC_F32)) || (s = sc_want_rank(x, "the input", 2)) ||
        (s = sc_want_dtype(y->in[1], "start", SC_I32)) || (s = sc_want_rank(y->in[1], "start", 1)))
        return s;
    if (n < 1 || y->in[1]->shape.dim[0] < 2) return sc_fail(SC_ESHAPE, "%lld neighbours", (long long)n);
    y->dtype = SC_F32;
    y->shape = (sc_shape){3, {x->shape.dim[0], x->shape.dim[1], n}};
    return SC_OK;
}

const sc_op sc_op_unfold = {.name = "unfold",
                            .id = SC_OP_unfold,
                            .derivative = "dx of a token = the sum of what its places in dy hold",
                            .infer = unfold_infer,
                            .cost = sc_cost_elementwise};

sc_tensor *sc_unfold(sc_graph *g, sc_tensor *x, const sc_seqs *seqs, int64_t n)
{
    sc_tensor *in[] = {sc_contiguous(g, x), sc_contiguous(g, seqs->start)};
    return sc_graph_node(g, &sc_op_unfold, in, 2, &(sc_unfold_attr){n}, sizeof(sc_unfold_attr));
}
