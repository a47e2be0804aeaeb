/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/ops.h"

sc_status sc_infer_like_input(sc_tensor *y)
{
    y->dtype = y->in[0]->dtype;
    y->shape = y->in[0]->shape;
    return SC_OK;
}

sc_status sc_infer_row_gradient(sc_tensor *y)
{
    sc_status s;
    if ((s = sc_want_dtype(y->in[3], "the gradient", SC_F32)) || (s = sc_want_rank(y->in[3], "the gradient", 1)) ||
        (s = sc_want_dim(y->in[3], "the gradient", 0, y->in[0]->shape.dim[0])))
        return s;
    return sc_infer_like_input(y);
}

int64_t sc_tensor_count(const sc_tensor *t) { return sc_shape_elements(&t->shape); }

double sc_tensor_bytes(const sc_tensor *t)
{
    const sc_dtype_info *d = sc_dtype_get(t->dtype);
    return (double)sc_tensor_count(t) * (double)d->bytes / (double)d->block;
}

sc_cost sc_cost_elementwise(const sc_step *s)
{
    sc_cost c = {.flops = (double)sc_tensor_count(s->out), .bytes = sc_tensor_bytes(s->out)};
    for (int i = 0; i < s->n_in; i++)
        if (s->in[i]) c.bytes += sc_tensor_bytes(s->in[i]);
    return c;
}

sc_status sc_want_dtype(const sc_tensor *t, const char *what, sc_dtype dtype)
{
    if (t->dtype == dtype) return SC_OK;
    return sc_fail(SC_ESHAPE, "%s is %s, not %s", what, sc_dtype_get(t->dtype)->name, sc_dtype_get(dtype)->name);
}

sc_status sc_want_rank(const sc_tensor *t, const char *what, int rank)
{
    if (t->shape.rank == rank) return SC_OK;
    return sc_fail(SC_ESHAPE, "%s has %d axes, not %d", what, t->shape.rank, rank);
}

sc_status sc_want_dim(const sc_tensor *t, const char *what, int axis, int64_t n)
{
    if (axis < t->shape.rank && t->shape.dim[axis] == n) return SC_OK;
    char text[SC_SHAPE_TEXT];
    return sc_fail(SC_ESHAPE, "%s has shape %s, where axis %d should be %lld", what, sc_shape_text(&t->shape, text),
                   axis, (long long)n);
}
