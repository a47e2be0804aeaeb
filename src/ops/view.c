/* SPDX-License-Identifier: Apache-2.0 */
/* Views look at their input's storage with other shapes and strides; `contiguous` is the copy that undoes one. */
#include "ops/ops.h"

static void look_at(sc_tensor *y, int64_t start)
{
    sc_tensor *x = y->in[0];
    y->dtype = x->dtype;
    y->view_of = x->view_of ? x->view_of : x;
    y->view_start = x->view_start + start;
}

/* ---- reshape ---- */

typedef struct reshape_attr {
    sc_shape shape;
} reshape_attr;

/* Strides that show x in another shape of as many elements; false where only a copy can. Axes of one element have no
 * say; right to left, y's axes are cut from runs of x's axes whose strides continue each other. */
static bool view_strides(const sc_tensor *x, const sc_shape *shape, int64_t *stride)
{
    int64_t left = 1, step = 1; /* of the current run: elements not yet cut, and the stride of the next cut */
    int i = x->shape.rank - 1;
    if (sc_tensor_count(x) == 0) return true; /* no element has a place */
    for (int j = shape->rank - 1; j >= 0; j--) {
        stride[j] = step;
        if (shape->dim[j] == 1) continue;
        for (; left < shape->dim[j] || left % shape->dim[j]; i--) {
            if (i < 0) return false;
            if (x->shape.dim[i] == 1) continue;
            if (left == 1)
                step = stride[j] = x->stride[i];
            else if (x->stride[i] != step * left)
                return false;
            left *= x->shape.dim[i];
        }
        left /= shape->dim[j];
        step *= shape->dim[j];
    }
    return true;
}

static sc_status reshape_infer(sc_tensor *y)
{
    const reshape_attr *a = SC_ATTR(y, reshape_attr);
    y->shape = a->shape;
    look_at(y, 0);
    if (sc_shape_elements(&a->shape) != sc_tensor_count(y->in[0])) {
        char text[SC_SHAPE_TEXT];
        return sc_fail(SC_ESHAPE, "the new shape %s has another number of elements",
                       sc_shape_text(&a->shape, text));
    }
    if (!view_strides(y->in[0], &a->shape, y->stride))
        return sc_fail(SC_EUNSUPPORTED, "only a copy has that shape");
    return SC_OK;
}

static void reshape_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    const sc_shape *s = &y->in[0]->shape;
    sc_gradient_add(b, y->in[0], sc_reshape(sc_gradient_graph(b), dy, s->rank, s->dim));
}

const sc_op sc_op_reshape = {.name = "reshape",
                             .id = SC_OP_reshape,
                             .derivative = "dx = dy in x's shape",
                             .backward = reshape_backward,
                             .infer = reshape_infer,
                             .view = true};

sc_tensor *sc_reshape(sc_graph *g, sc_tensor *x, int rank, const int64_t *dim)
{
    reshape_attr a = {.shape = {.rank = rank}};
    int64_t known = 1;
    int open = -1;
    for (int i = 0; i < SC_MIN(rank, SC_MAX_RANK); i++) {
        a.shape.dim[i] = dim[i];
        if (dim[i] < 0)
            open = i;
        else if (!sc_mul_ok(known, dim[i], &known))
            known = 0;
    }
    if (!x || g->status) return sc_graph_node(g, &sc_op_reshape, &x, 1, &a, sizeof a);
    if (open >= 0) a.shape.dim[open] = known > 0 ? sc_tensor_count(x) / known : 0;
    int64_t stride[SC_MAX_RANK];
    if (sc_shape_elements(&a.shape) == sc_tensor_count(x) && !view_strides(x, &a.shape, stride))
        x = sc_contiguous(g, x);
    return sc_graph_node(g, &sc_op_reshape, &x, 1, &a, sizeof a);
}

/* ---- permute ---- */

typedef struct permute_attr {
    int order[SC_MAX_RANK];
} permute_attr;

static sc_status permute_infer(sc_tensor *y)
{
    const permute_attr *a = SC_ATTR(y, permute_attr);
    const sc_tensor *x = y->in[0];
    unsigned seen = 0;
    y->shape.rank = x->shape.rank;
    for (int i = 0; i < x->shape.rank; i++) {
        int from = a->order[i];
        if (from < 0 || from >= x->shape.rank || seen >> from & 1)
            return sc_fail(SC_EINVAL, "the order is no permutation of %d axes", x->shape.rank);
        seen |= 1u << from;
        y->shape.dim[i] = x->shape.dim[from];
        y->stride[i] = x->stride[from];
    }
    look_at(y, 0);
    return SC_OK;
}

static void permute_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    int back[SC_MAX_RANK];
    for (int i = 0; i < y->shape.rank; i++) back[SC_ATTR(y, permute_attr)->order[i]] = i;
    sc_gradient_add(b, y->in[0], sc_permute(sc_gradient_graph(b), dy, back));
}

const sc_op sc_op_permute = {.name = "permute",
                             .id = SC_OP_permute,
                             .derivative = "dx = dy with the axes permuted back",
                             .backward = permute_backward,
                             .infer = permute_infer,
                             .view = true};

sc_tensor *sc_permute(sc_graph *g, sc_tensor *x, const int *order)
{
    permute_attr a = {0};
    if (x) memcpy(a.order, order, sizeof *order * (size_t)x->shape.rank);
    return sc_graph_node(g, &sc_op_permute, &x, 1, &a, sizeof a);
}

/* ---- slice ---- */

static sc_status slice_infer(sc_tensor *y)
{
    const sc_slice_attr *a = SC_ATTR(y, sc_slice_attr);
    const sc_tensor *x = y->in[0];
    if (a->axis < 0 || a->axis >= x->shape.rank || a->start < 0 || a->n < 0 ||
        a->start > x->shape.dim[a->axis] - a->n)
        return sc_fail(SC_ESHAPE, "%lld elements from %lld of axis %d", (long long)a->n, (long long)a->start,
                       a->axis);
    y->shape = x->shape;
    y->shape.dim[a->axis] = a->n;
    memcpy(y->stride, x->stride, sizeof y->stride);
    look_at(y, a->start * x->stride[a->axis]);
    return SC_OK;
}

/* Into what is known already, where there is something: the slices of a tensor then share one. */
static void slice_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    const sc_slice_attr *a = SC_ATTR(y, sc_slice_attr);
    sc_tensor *x = y->in[0];
    if (!sc_gradient_wanted(b, x)) return;
    sc_gradient_set(
        b, x, sc_place(sc_gradient_graph(b), sc_gradient_of(b, x), dy, a->axis, a->start, x->shape.dim[a->axis]));
}

const sc_op sc_op_slice = {.name = "slice",
                           .id = SC_OP_slice,
                           .derivative = "dx = dy at the slice's place, 0 around it",
                           .backward = slice_backward,
                           .infer = slice_infer,
                           .view = true};

sc_tensor *sc_slice(sc_graph *g, sc_tensor *x, int axis, int64_t start, int64_t n)
{
    return sc_graph_node(g, &sc_op_slice, &x, 1, &(sc_slice_attr){axis, start, n}, sizeof(sc_slice_attr));
}

/* ---- place: what undoes a slice. in: base or none, x ---- */

static sc_status place_infer(sc_tensor *y)
{
    const sc_slice_attr *a = SC_ATTR(y, sc_slice_attr);
    const sc_tensor *base = y->in[0], *x = y->in[1];
    sc_status s = sc_want_dtype(x, "the part", SC_F32);
    if (s) return s;
    if (a->axis < 0 || a->axis >= x->shape.rank || a->start < 0 || a->start > a->n - x->shape.dim[a->axis])
        return sc_fail(SC_ESHAPE, "a place from %lld of axis %d that has %lld", (long long)a->start, a->axis,
                       (long long)a->n);
    y->dtype = SC_F32;
    y->shape = x->shape;
    y->shape.dim[a->axis] = a->n;
    if (base && (s = sc_want_dtype(base, "the base", SC_F32))) return s;
    if (base && !sc_shape_equal(&base->shape, &y->shape)) return sc_fail(SC_ESHAPE, "the base has another shape");
    return SC_OK;
}

static void place_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    const sc_slice_attr *a = SC_ATTR(y, sc_slice_attr);
    sc_tensor *base = y->in[0], *x = y->in[1];
    sc_gradient_add(b, base, dy);
    sc_gradient_add(b, x, sc_slice(sc_gradient_graph(b), dy, a->axis, a->start, x->shape.dim[a->axis]));
}

const sc_op sc_op_place = {.name = "place",
                           .id = SC_OP_place,
                           .derivative = "dbase = dy; dx = the slice of dy at x's place",
                           .backward = place_backward,
                           .infer = place_infer,
                           .cost = sc_cost_elementwise,
                           .optional = 1 << 0,
                           .in_place = 1 << 0};

sc_tensor *sc_place(sc_graph *g, sc_tensor *base, sc_tensor *x, int axis, int64_t start, int64_t n)
{
    sc_tensor *in[] = {sc_contiguous(g, base), sc_contiguous(g, x)};
    return sc_graph_node(g, &sc_op_place, in, 2, &(sc_slice_attr){axis, start, n}, sizeof(sc_slice_attr));
}

/* ---- contiguous ---- */

static void contiguous_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy) { sc_gradient_add(b, y->in[0], dy); }

const sc_op sc_op_contiguous = {.name = "contiguous",
                                .id = SC_OP_contiguous,
                                .derivative = "dx = dy",
                                .backward = contiguous_backward,
                                .infer = sc_infer_like_input,
                                .cost = sc_cost_elementwise};

sc_tensor *sc_contiguous(sc_graph *g, sc_tensor *x)
{
    if (!x || sc_is_contiguous(x)) return x;
    return sc_graph_node(g, &sc_op_contiguous, &x, 1, NULL, 0);
}
