/* SPDX-License-Identifier: Apache-2.0 */
/* y (T, N) = x (T, C) w^T + bias + residual. in: x, w (N, C), bias (N) or none, residual (T, N) or none (fused). */
#include "ops/ops.h"

static sc_status infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0], *w = y->in[1], *bias = y->in[2];
    sc_status s;
    if ((s = sc_want_dtype(x, "the input", SC_F32)) || (s = sc_want_rank(w, "the weight", 2))) return s;
    if (x->shape.rank < 1) return sc_fail(SC_ESHAPE, "the input has no axis");
    int last = x->shape.rank - 1;
    if ((s = sc_want_dim(w, "the weight", 1, x->shape.dim[last]))) return s;
    if (bias && ((s = sc_want_dtype(bias, "the bias", SC_F32)) || (s = sc_want_rank(bias, "the bias", 1)) ||
                 (s = sc_want_dim(bias, "the bias", 0, w->shape.dim[0]))))
        return s;
    y->dtype = SC_F32;
    y->shape = x->shape;
    y->shape.dim[last] = w->shape.dim[0];
    return SC_OK;
}

static sc_cost cost(const sc_step *s)
{
    sc_cost c = sc_cost_elementwise(s);
    c.flops = 2 * (double)sc_tensor_count(s->out) * (double)s->in[1]->shape.dim[1];
    return c;
}

/* A residual of the same shape is added where the product is written. */
static bool absorb(sc_step *s, const sc_step *user)
{
    if (user->op != &sc_op_add || s->in[3]) return false;
    sc_tensor *other = user->in[0] == s->out ? user->in[1] : user->in[0];
    if (other == s->out || !sc_shape_equal(&other->shape, &s->out->shape)) return false;
    s->in[3] = other;
    return true;
}

/* dy w, whose sum runs over the rows of w. With many of them, as an output layer has, it is made of parts: what a backend
 * makes of a part of dy for itself, it makes again for the next one, and no cache holds all of them. */
static sc_tensor *input_gradient(sc_graph *g, sc_tensor *dy, sc_tensor *w)
{
    enum { MANY = 8192, AT_ONCE = 2048 };
    const int turned[] = {1, 0};
    int64_t n = w->shape.dim[0], parts = (n + AT_ONCE - 1) / AT_ONCE, at = 0;
    if (n <= MANY) return sc_apply_linear(g, dy, sc_permute(g, w, turned), NULL);
    sc_shape shape = dy->shape;
    sc_tensor *rows = sc_reshape(g, dy, 2, (int64_t[]){-1, n}), *sum = NULL;
    for (int64_t i = 0; i < parts; i++) {
        int64_t some = (n - at) / (parts - i) / 2 * 2; /* even: values may go in pairs */
        if (i == parts - 1) some = n - at;
        sc_tensor *part = sc_apply_linear(g, sc_slice(g, rows, 1, at, some),
                                          sc_permute(g, sc_slice(g, w, 0, at, some), turned), NULL);
        sum = sum ? sc_add(g, part, sum) : part;
        at += some;
    }
    shape.dim[shape.rank - 1] = w->shape.dim[1];
    return sc_reshape(g, sum, shape.rank, shape.dim);
}

static void backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *x = y->in[0], *w = y->in[1], *bias = y->in[2];
    int64_t n = w->shape.dim[0], c = w->shape.dim[1];
    const int turned[] = {1, 0};
    if (sc_gradient_wanted(b, x)) sc_gradient_add(b, x, input_gradient(g, dy, w));
    if (sc_gradient_wanted(b, w)) {
        sc_tensor *rows = sc_reshape(g, dy, 2, (int64_t[]){-1, n}), *cols = sc_reshape(g, x, 2, (int64_t[]){-1, c});
        sc_tensor *dyt = sc_permute(g, rows, turned), *xt = sc_permute(g, cols, turned);
        /* A matrix stored by columns gets its gradient so. */
        bool columns = w->stride[0] == 1 && w->stride[1] != 1;
        sc_gradient_add(b, w,
                        columns ? sc_permute(g, sc_apply_linear(g, xt, dyt, NULL), turned)
                                : sc_apply_linear(g, dyt, xt, NULL));
    }
    if (sc_gradient_wanted(b, bias)) sc_gradient_add(b, bias, sc_sum_leading(g, dy, 1));
}

const sc_op sc_op_linear = {.name = "linear",
                            .id = SC_OP_linear,
                            .derivative =
                                "dx = dy w; dw = dy^T x; dbias = dy summed over the rows; the residual's is dy",
                            .backward = backward,
                            .infer = infer,
                            .cost = cost,
                            .absorb = absorb,
                            .optional = 1 << 2 | 1 << 3};

/* A matrix stored by columns, or a part of the columns of one, is read so; with blocks of whole numbers only rows that lie
 * end to end are multiplied. */
static bool taken_as_it_is(const sc_tensor *x, const sc_tensor *w)
{
    return x && w && x->shape.rank == 2 && (x->stride[0] == 1 || x->stride[1] == 1) && x->dtype == SC_F32 &&
           sc_dtype_get(w->dtype)->block == 1;
}

sc_tensor *sc_apply_linear(sc_graph *g, sc_tensor *x, sc_tensor *w, sc_tensor *bias)
{
    sc_tensor *in[] = {taken_as_it_is(x, w) ? x : sc_contiguous(g, x), w, sc_contiguous(g, bias), NULL};
    return sc_graph_node(g, &sc_op_linear, in, 4, NULL, 0);
}

void sc_linear_in_order(sc_graph *g, sc_dtype type)
{
    sc_linear_attr *a = sc_arena_alloc(g->arena, sizeof *a);
    if (!a) {
        sc_graph_fault(g, sc_nomem());
        return;
    }
    a->type = type;
    for (int64_t i = 0; i < g->count; i++)
        if (g->tensor[i]->op == &sc_op_linear) g->tensor[i]->attr = a;
}
