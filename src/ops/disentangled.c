/* SPDX-License-Identifier: Apache-2.0 */
/* in: q, k, v (T, H, D); start; pos_key (2R, H, D) or none; pos_query or none. disentangled_grad: the same and dy (T, H, D). */
#include "ops/ops.h"

static sc_status want_heads(const sc_tensor *t, const char *what, const sc_tensor *q)
{
    sc_status s;
    if ((s = sc_want_dtype(t, what, SC_F32)) || (s = sc_want_rank(t, what, 3)) ||
        (s = sc_want_dim(t, what, 1, q->shape.dim[1])) || (s = sc_want_dim(t, what, 2, q->shape.dim[2])))
        return s;
    return sc_rows_dense(t) ? SC_OK : sc_fail(SC_ESHAPE, "the heads of %s are not dense", what);
}

static sc_status infer(sc_tensor *y)
{
    static const char *const names[] = {"the query", "the key",          "the value",
                                        "start",     "the position key", "the position query"};
    const sc_tensor *q = y->in[0], *rows = y->in[4] ? y->in[4] : y->in[5];
    const sc_disentangled_attr *a = SC_ATTR(y, sc_disentangled_attr);
    sc_status s = sc_want_rank(q, "the query", 3);
    for (int i = 0; !s && i < 6; i++) {
        if (i == 3 || !y->in[i]) continue;
        if (!(s = want_heads(y->in[i], names[i], q)) && i < 3)
            s = sc_want_dim(y->in[i], names[i], 0, q->shape.dim[0]);
    }
    if (s || (s = sc_want_dtype(y->in[3], "start", SC_I32)) || (s = sc_want_rank(y->in[3], "start", 1))) return s;
    if (y->in[3]->shape.dim[0] < 2) return sc_fail(SC_ESHAPE, "the start table has no sequence");
    if (rows && (rows->shape.dim[0] < 2 || rows->shape.dim[0] % 2))
        return sc_fail(SC_ESHAPE, "%lld relative positions, not an even number", (long long)rows->shape.dim[0]);
    if (y->in[5] && (s = sc_want_dim(y->in[5], names[5], 0, rows->shape.dim[0]))) return s;
    if (a->buckets < 0 || (a->buckets > 0 && (a->buckets < 2 || a->farthest <= a->buckets / 2 + 1)))
        return sc_fail(SC_EINVAL, "%lld buckets for distances up to %lld", (long long)a->buckets,
                       (long long)a->farthest);
    return sc_infer_like_input(y);
}

static sc_cost cost(const sc_step *s)
{
    const sc_tensor *q = s->in[0];
    double products = 2 + 2 * (s->in[4] != NULL) + 2 * (s->in[5] != NULL); /* two positions for each key */
    sc_cost c = sc_cost_elementwise(s);
    c.flops = 2 * products * (double)q->shape.dim[0] * (double)sc_tensor_count(q);
    return c;
}

/* Sequences whose sums over pairs are made apart, so that they can be made at the same time. */
static int64_t groups_of(const sc_tensor *start) { return SC_MIN(start->shape.dim[0] - 1, SC_DISENTANGLED_GROUPS); }

static void backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *in[7];
    memcpy(in, y->in, 6 * sizeof *in);
    in[6] = sc_contiguous(g, dy);
    sc_tensor *all = sc_graph_node(g, &sc_op_disentangled_grad, in, 7, y->attr, sizeof(sc_disentangled_attr));
    int64_t at = 0, groups = groups_of(in[3]);
    for (int i = 0; i < 6; i++) {
        if (i == 3 || !in[i]) continue;
        const int64_t *d = in[i]->shape.dim, parts = i < 3 ? 1 : groups, n = d[0] * d[1] * d[2] * parts;
        int64_t from = at;
        at += n;
        if (!sc_gradient_wanted(b, in[i])) continue;
        sc_tensor *part = sc_slice(g, all, 0, from, n);
        sc_gradient_add(b, in[i],
                        i < 3 ? sc_reshape(g, part, 3, d)
                              : sc_sum_leading(g, sc_reshape(g, part, 4, (int64_t[]){parts, d[0], d[1], d[2]}), 3));
    }
}

const sc_op sc_op_disentangled = {
    .name = "disentangled",
    .id = SC_OP_disentangled,
    .derivative =
        "with p = softmax(scores) and dp = dy v^T: dv = p^T dy; ds = scale p * (dp - row sums of p * dp); dq = "
        "ds k + the sums over keys of ds pos_key; dk = ds^T q + the sums over queries of ds pos_query; "
        "dpos_key and dpos_query = ds q and ds k, summed over the pairs that share the row",
    .backward = backward,
    .infer = infer,
    .cost = cost,
    .optional = 1 << 4 | 1 << 5};

/* One run of dq, dk, dv and of dpos_key and dpos_query, where these are, for each group of sequences: a kernel makes them all
 * at once. */
static sc_status grad_infer(sc_tensor *y)
{
    sc_status s = infer(y);
    if (s) return s;
    if (!sc_shape_equal(&y->in[6]->shape, &y->shape)) return sc_fail(SC_ESHAPE, "the gradient has another shape");
    int64_t n = 3 * sc_tensor_count(y->in[0]);
    for (int i = 4; i < 6; i++)
        if (y->in[i]) n += groups_of(y->in[3]) * sc_tensor_count(y->in[i]);
    y->shape = (sc_shape){1, {n}};
    return SC_OK;
}

static sc_cost grad_cost(const sc_step *s)
{
    sc_cost c = cost(s);
    c.flops *= 2.5;
    c.bytes *= 2;
    return c;
}

const sc_op sc_op_disentangled_grad = {.name = "disentangled_grad",
                                       .id = SC_OP_disentangled_grad,
                                       .derivative = "none: second derivatives are not taken",
                                       .infer = grad_infer,
                                       .cost = grad_cost,
                                       .optional = 1 << 4 | 1 << 5};

sc_tensor *sc_disentangled(sc_graph *g, sc_tensor *q, sc_tensor *k, sc_tensor *v, sc_tensor *pos_key,
                           sc_tensor *pos_query, const sc_seqs *seqs, const sc_disentangled_attr *attr)
{
    sc_tensor *in[] = {q, k, v, sc_contiguous(g, seqs->start), pos_key, pos_query};
    return sc_graph_node(g, &sc_op_disentangled, in, 6, attr, sizeof *attr);
}
