/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/tensor.h"

int64_t sc_shape_elements(const sc_shape *s)
{
    int64_t n = 1;
    bool empty = false;
    if (s->rank < 0 || s->rank > SC_MAX_RANK) return -1;
    for (int i = 0; i < s->rank; i++) {
        if (s->dim[i] < 0) return -1;
        if (s->dim[i] == 0)
            empty = true;
        else if (!sc_mul_ok(n, s->dim[i], &n))
            return -1;
    }
    return empty ? 0 : n;
}

bool sc_shape_equal(const sc_shape *a, const sc_shape *b)
{
    return a->rank == b->rank && memcmp(a->dim, b->dim, sizeof a->dim[0] * (size_t)a->rank) == 0;
}

char *sc_shape_text(const sc_shape *s, char *text)
{
    int n = snprintf(text, SC_SHAPE_TEXT, "(");
    for (int i = 0; i < s->rank && n < SC_SHAPE_TEXT; i++)
        n += snprintf(text + n, (size_t)(SC_SHAPE_TEXT - n), "%s%lld", i ? ", " : "", (long long)s->dim[i]);
    if (n < SC_SHAPE_TEXT - 1) snprintf(text + n, (size_t)(SC_SHAPE_TEXT - n), ")");
    return text;
}

bool sc_is_contiguous(const sc_tensor *t)
{
    int64_t want = 1;
    if (sc_shape_elements(&t->shape) == 0) return true;
    for (int i = t->shape.rank - 1; i >= 0; i--) {
        if (t->shape.dim[i] != 1 && t->stride[i] != want) return false;
        want *= t->shape.dim[i];
    }
    return true;
}

bool sc_rows_dense(const sc_tensor *t)
{
    int last = t->shape.rank - 1;
    return last < 0 || t->shape.dim[last] <= 1 || t->stride[last] == 1;
}
