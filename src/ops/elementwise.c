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

const sc_op sc_op_add = {.name = "add",
                         .id = SC_OP_add,
                         .derivative = "da = dy; db = dy summed over the axes that b lacks",
                         .infer = binary_infer,
                         .cost = sc_cost_elementwise,
                         .in_place = true};
const sc_op sc_op_mul = {.name = "mul",
                         .id = SC_OP_mul,
                         .derivative = "da = dy * b; db = dy * a summed over the axes that b lacks",
                         .infer = binary_infer,
                         .cost = sc_cost_elementwise,
                         .in_place = true};

sc_tensor *sc_add(sc_graph *g, sc_tensor *a, sc_tensor *b) { return binary(g, &sc_op_add, a, b); }
sc_tensor *sc_mul(sc_graph *g, sc_tensor *a, sc_tensor *b) { return binary(g, &sc_op_mul, a, b); }

static sc_status affine_infer(sc_tensor *y)
{
    sc_status s = sc_want_dtype(y->in[0], "the input", SC_F32);
    return s ? s : sc_infer_like_input(y);
}

const sc_op sc_op_affine = {.name = "affine",
                            .id = SC_OP_affine,
                            .derivative = "dx = scale * dy",
                            .infer = affine_infer,
                            .cost = sc_cost_elementwise,
                            .in_place = true};

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

/* f(x) * u: a gate and what it gates become one step, in[1] = u. */
static bool unary_absorb(sc_step *s, const sc_step *user)
{
    if (user->op != &sc_op_mul || s->n_in != 1) return false;
    sc_tensor *other = user->in[0] == s->out ? user->in[1] : user->in[0];
    if (other == s->out || !sc_shape_equal(&other->shape, &s->out->shape)) return false;
    s->in[s->n_in++] = other;
    return true;
}

const sc_op sc_op_unary = {.name = "unary",
                           .id = SC_OP_unary,
                           .derivative = "dx = dy * f'(x)",
                           .infer = unary_infer,
                           .cost = unary_cost,
                           .absorb = unary_absorb,
                           .in_place = true};

sc_tensor *sc_unary(sc_graph *g, sc_unary_kind kind, sc_tensor *x)
{
    x = sc_contiguous(g, x);
    return sc_graph_node(g, &sc_op_unary, &x, 1, &(sc_unary_attr){kind}, sizeof(sc_unary_attr));
}
