/* SPDX-License-Identifier: Apache-2.0 */
/* in: q, k, v (T, H, D); start; pos_key (2R, H, D) or none; pos_query or none. */
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

const sc_op sc_op_disentangled = {
    .name = "disentangled",
    .id = SC_OP_disentangled,
    .derivative =
        "with p = softmax(scores) and dp = dy v^T: dv = p^T dy; ds = scale p * (dp - row sums of p * dp); dq = "
        "ds k + the sums over keys of ds pos_key; dk = ds^T q + the sums over queries of ds pos_query; "
        "dpos_key and dpos_query = ds q and ds k, summed over the pairs that share the row",
    .infer = infer,
    .cost = cost,
    .optional = 1 << 4 | 1 << 5};

sc_tensor *sc_disentangled(sc_graph *g, sc_tensor *q, sc_tensor *k, sc_tensor *v, sc_tensor *pos_key,
                           sc_tensor *pos_query, const sc_seqs *seqs, const sc_disentangled_attr *attr)
{
    sc_tensor *in[] = {q, k, v, sc_contiguous(g, seqs->start), pos_key, pos_query};
    return sc_graph_node(g, &sc_op_disentangled, in, 6, attr, sizeof *attr);
}
