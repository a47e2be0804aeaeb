/* SPDX-License-Identifier: Apache-2.0 */
/* What looks at the tokens of a sequence together. pool: x (T, C), first (S), stop (S); pool_grad: the same and dy (S, C).
 * unfold: x (T, C), start; unfold_grad: dy (T, C, n), start. */
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

static void pool_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *in[] = {y->in[0], y->in[1], y->in[2], sc_contiguous(g, dy)};
    sc_gradient_add(b, y->in[0], sc_graph_node(g, &sc_op_pool_grad, in, 4, y->attr, sizeof(sc_pool_attr)));
}

const sc_op sc_op_pool = {
    .name = "pool",
    .id = SC_OP_pool,
    .derivative =
        "first and last: dx = dy added to that row; mean, its root and the weighted one: dx = dy times the "
        "token's weight; max: dx = dy where the value is the largest, for the first of equals; none for first and "
        "stop",
    .backward = pool_backward,
    .infer = pool_infer,
    .cost = sc_cost_elementwise};

static sc_status pool_grad_infer(sc_tensor *y)
{
    sc_status s = pool_infer(y);
    if (!s) s = sc_want_dtype(y->in[3], "the gradient", SC_F32);
    if (!s && !sc_shape_equal(&y->in[3]->shape, &y->shape))
        s = sc_fail(SC_ESHAPE, "the gradient has another shape");
    return s ? s : sc_infer_like_input(y);
}

const sc_op sc_op_pool_grad = {.name = "pool_grad",
                               .id = SC_OP_pool_grad,
                               .derivative = "none: second derivatives are not taken",
                               .infer = pool_grad_infer,
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

static void unfold_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *in[] = {sc_contiguous(g, dy), y->in[1]};
    sc_gradient_add(b, y->in[0], sc_graph_node(g, &sc_op_unfold_grad, in, 2, NULL, 0));
}

const sc_op sc_op_unfold = {.name = "unfold",
                            .id = SC_OP_unfold,
                            .derivative = "dx of a token = the sum of what its places in dy hold",
                            .backward = unfold_backward,
                            .infer = unfold_infer,
                            .cost = sc_cost_elementwise};

static sc_status unfold_grad_infer(sc_tensor *y)
{
    const sc_tensor *dy = y->in[0];
    sc_status s;
    if ((s = sc_want_dtype(dy, "the gradient", SC_F32)) || (s = sc_want_rank(dy, "the gradient", 3)) ||
        (s = sc_want_dtype(y->in[1], "start", SC_I32)) || (s = sc_want_rank(y->in[1], "start", 1)))
        return s;
    y->dtype = SC_F32;
    y->shape = (sc_shape){2, {dy->shape.dim[0], dy->shape.dim[1]}};
    return SC_OK;
}

const sc_op sc_op_unfold_grad = {.name = "unfold_grad",
                                 .id = SC_OP_unfold_grad,
                                 .derivative = "none: second derivatives are not taken",
                                 .infer = unfold_grad_infer,
                                 .cost = sc_cost_elementwise};

sc_tensor *sc_unfold(sc_graph *g, sc_tensor *x, const sc_seqs *seqs, int64_t n)
{
    sc_tensor *in[] = {sc_contiguous(g, x), sc_contiguous(g, seqs->start)};
    return sc_graph_node(g, &sc_op_unfold, in, 2, &(sc_unfold_attr){n}, sizeof(sc_unfold_attr));
}
