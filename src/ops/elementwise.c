/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/ops.h"

/* b is f32 and its axes are the last ones of a. */
static sc_status binary_infer(sc_tensor *y)
{
    const sc_tensor *a = y->in[0], *b = y->in[1];
    sc_status s;
    if ((s = sc_want_dtype(a, "the first", SC_F32)) || (s = sc_want_dtype(b, "the second", SC_F32))) return s;
    int lead = a->shape.rank - b->shape.rank;
    if (lead < 0) return sc_fail(SC_ESHAPE, "the second has more axes than the first");
    for (int i = 0; i < b->shape.rank; i++)
        if ((s = sc_want_dim(b, "the second", i, a->shape.dim[lead + i]))) return s;
    return sc_infer_like_input(y);
}

static sc_tensor *binary(sc_graph *g, const sc_op *op, sc_tensor *a, sc_tensor *b)
{
    sc_tensor *in[] = {sc_contiguous(g, a), sc_contiguous(g, b)};
    return sc_graph_node(g, op, in, 2, NULL, 0);
}

/* The gradient of an input that was repeated over leading axes. */
static void add_repeated(sc_gradients *b, sc_tensor *x, sc_tensor *dx)
{
    if (sc_gradient_wanted(b, x)) sc_gradient_add(b, x, sc_sum_leading(sc_gradient_graph(b), dx, x->shape.rank));
}

static void add_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_gradient_add(b, y->in[0], dy);
    add_repeated(b, y->in[1], dy);
}

static void mul_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    if (sc_gradient_wanted(b, y->in[0])) sc_gradient_add(b, y->in[0], sc_mul(g, dy, y->in[1]));
    if (sc_gradient_wanted(b, y->in[1])) add_repeated(b, y->in[1], sc_mul(g, dy, y->in[0]));
}

const sc_op sc_op_add = {.name = "add",
                         .id = SC_OP_add,
                         .derivative = "da = dy; db = dy summed over the axes that b lacks",
                         .backward = add_backward,
                         .infer = binary_infer,
                         .cost = sc_cost_elementwise,
                         .in_place = 1 << 0};
const sc_op sc_op_mul = {.name = "mul",
                         .id = SC_OP_mul,
                         .derivative = "da = dy * b; db = dy * a summed over the axes that b lacks",
                         .backward = mul_backward,
                         .infer = binary_infer,
                         .cost = sc_cost_elementwise,
                         .in_place = 1 << 0};

sc_tensor *sc_add(sc_graph *g, sc_tensor *a, sc_tensor *b) { return binary(g, &sc_op_add, a, b); }
sc_tensor *sc_mul(sc_graph *g, sc_tensor *a, sc_tensor *b) { return binary(g, &sc_op_mul, a, b); }

static sc_status affine_infer(sc_tensor *y)
{
    sc_status s = sc_want_dtype(y->in[0], "the input", SC_F32);
    return s ? s : sc_infer_like_input(y);
}

static void affine_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_gradient_add(b, y->in[0], sc_affine(sc_gradient_graph(b), dy, SC_ATTR(y, sc_affine_attr)->scale, 0));
}

const sc_op sc_op_affine = {.name = "affine",
                            .id = SC_OP_affine,
                            .derivative = "dx = scale * dy",
                            .backward = affine_backward,
                            .infer = affine_infer,
                            .cost = sc_cost_elementwise,
                            .in_place = 1 << 0};

sc_tensor *sc_affine(sc_graph *g, sc_tensor *x, float scale, float shift)
{
    x = sc_contiguous(g, x);
    return sc_graph_node(g, &sc_op_affine, &x, 1, &(sc_affine_attr){scale, shift}, sizeof(sc_affine_attr));
}

static sc_status unary_infer(sc_tensor *y)
{
    unsigned kind = (unsigned)SC_ATTR(y, sc_unary_attr)->kind;
    sc_status s = sc_want_dtype(y->in[0], "the input", SC_F32);
    if (s) return s;
    if (kind >= SC_UNARY_COUNT) return sc_fail(SC_EINVAL, "no function has the number %u", kind);
    return sc_infer_like_input(y);
}

static sc_cost unary_cost(const sc_step *s)
{
    sc_cost c = sc_cost_elementwise(s);
    c.flops *= 8; /* an exponential, roughly */
    return c;
}

/* f(x) * u: a gate and what it gates become one step, in[1] = u. And the rows may be packed as they are made. */
static bool unary_absorb(sc_step *s, const sc_step *user)
{
    if (user->op == &sc_op_pack_rows) return s->out->dtype == SC_F32;
    if (user->op != &sc_op_mul || s->n_in != 1) return false;
    sc_tensor *other = user->in[0] == s->out ? user->in[1] : user->in[0];
    if (other == s->out || !sc_shape_equal(&other->shape, &s->out->shape)) return false;
    s->in[s->n_in++] = other;
    return true;
}

static void unary_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_unary_kind kind = SC_ATTR(y, sc_unary_attr)->kind;
    sc_gradient_add(b, y->in[0], sc_unary_grad(sc_gradient_graph(b), kind, y->in[0], dy));
}

const sc_op sc_op_unary = {.name = "unary",
                           .id = SC_OP_unary,
                           .derivative = "dx = dy * f'(x)",
                           .backward = unary_backward,
                           .infer = unary_infer,
                           .cost = unary_cost,
                           .absorb = unary_absorb,
                           .in_place = 1 << 0};

sc_tensor *sc_unary(sc_graph *g, sc_unary_kind kind, sc_tensor *x)
{
    x = sc_contiguous(g, x);
    return sc_graph_node(g, &sc_op_unary, &x, 1, &(sc_unary_attr){kind}, sizeof(sc_unary_attr));
}

static sc_status unary_grad_infer(sc_tensor *y)
{
    sc_status s = unary_infer(y);
    if (!s) s = sc_want_dtype(y->in[1], "the gradient", SC_F32);
    if (!s && !sc_shape_equal(&y->in[0]->shape, &y->in[1]->shape))
        s = sc_fail(SC_ESHAPE, "the gradient has another shape");
    return s;
}

const sc_op sc_op_unary_grad = {.name = "unary_grad",
                                .id = SC_OP_unary_grad,
                                .derivative = "none: second derivatives are not taken",
                                .infer = unary_grad_infer,
                                .cost = unary_cost,
                                .in_place = 1 << 0};

sc_tensor *sc_unary_grad(sc_graph *g, sc_unary_kind kind, sc_tensor *x, sc_tensor *dy)
{
    sc_tensor *in[] = {sc_contiguous(g, x), sc_contiguous(g, dy)};
    return sc_graph_node(g, &sc_op_unary_grad, in, 2, &(sc_unary_attr){kind}, sizeof(sc_unary_attr));
}

/* ---- sums over rows: x (R, C) → (C) ---- */

static sc_status sum_infer(sc_tensor *y)
{
    sc_status s = sc_want_dtype(y->in[0], "the input", SC_F32);
    if (!s) s = sc_want_rank(y->in[0], "the input", 2);
    y->dtype = SC_F32;
    y->shape = (sc_shape){1, {y->in[0]->shape.dim[1]}};
    return s;
}

static sc_cost sum_cost(const sc_step *s)
{
    return (sc_cost){.flops = (double)sc_tensor_count(s->in[0]), .bytes = sc_tensor_bytes(s->in[0])};
}

static void sum_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    const sc_tensor *x = y->in[0];
    sc_tensor *zeros =
        sc_place(g, NULL, sc_slice(g, sc_reshape(g, dy, 2, (int64_t[]){1, -1}), 0, 0, 0), 0, 0, x->shape.dim[0]);
    sc_gradient_add(b, y->in[0], sc_add(g, zeros, dy));
}

const sc_op sc_op_sum_rows = {.name = "sum_rows",
                              .id = SC_OP_sum_rows,
                              .derivative = "each row of dx is dy",
                              .backward = sum_backward,
                              .infer = sum_infer,
                              .cost = sum_cost};

sc_tensor *sc_sum_leading(sc_graph *g, sc_tensor *x, int keep)
{
    int64_t dim[SC_MAX_RANK], n = 1;
    if (!x || g->status || x->shape.rank == keep) return x;
    for (int i = 0; i < keep; i++) n *= dim[i] = x->shape.dim[x->shape.rank - keep + i];
    int64_t rows = n ? sc_tensor_count(x) / n : 0;
    x = sc_contiguous(g, sc_reshape(g, x, 2, (int64_t[]){rows, n}));
    return sc_reshape(g, sc_graph_node(g, &sc_op_sum_rows, &x, 1, NULL, 0), keep, dim);
}
