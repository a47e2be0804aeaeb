/* SPDX-License-Identifier: Apache-2.0 */
/* The loss that keeps a mixture's experts in use (Fedus et al. 2021, "Switch Transformers", equations 4 to 6). */
#include "ops/ops.h"

/* A constant of n elements of four bytes; *data is where they are to be put. */
static sc_tensor *constant(sc_graph *g, const char *name, sc_dtype dtype, const sc_shape *shape, void **data)
{
    sc_storage st = {.dtype = dtype};
    int64_t n = sc_shape_elements(shape), bytes;
    if (g->status) return NULL;
    if (n < 0 || !sc_mul_ok(n, 4, &bytes)) return sc_graph_fault(g, sc_fail(SC_ELIMIT, "'%s' is too large", name));
    if (sc_buffer_new(&st.buffer, bytes)) return sc_graph_fault(g, sc_nomem());
    *data = st.data = st.buffer->data;
    for (int i = shape->rank - 1, each = 1; i >= 0; each *= (int)shape->dim[i--]) st.stride[i] = each;
    sc_tensor *t = sc_graph_constant(g, name, shape, &st);
    sc_buffer_unref(st.buffer);
    return t;
}

/* (T, K) ones, or the numbers 0 … K - 1 in each row. */
static sc_tensor *ones(sc_graph *g, int64_t rows, int64_t cols)
{
    void *data = NULL;
    sc_tensor *t = constant(g, "one", SC_F32, &(sc_shape){3, {rows, cols, 1}}, &data);
    for (int64_t i = 0; t && i < rows * cols; i++) ((float *)data)[i] = 1;
    return t;
}

static sc_tensor *all_experts(sc_graph *g, int64_t rows, int64_t cols)
{
    void *data = NULL;
    sc_tensor *t = constant(g, "experts", SC_I32, &(sc_shape){2, {rows, cols}}, &data);
    for (int64_t i = 0; t && i < rows * cols; i++) ((int32_t *)data)[i] = (int32_t)(i % cols);
    return t;
}

sc_tensor *sc_balance_loss(sc_graph *g, int64_t n, sc_tensor *const *logits, sc_tensor *const *experts)
{
    sc_tensor *counts = NULL, *shares = NULL, *one = NULL, *all = NULL;
    int64_t e = 0, rows = 0;
    for (int64_t i = 0; i < n && !g->status; i++) {
        int64_t tokens = logits[i]->shape.dim[0];
        if (i && logits[i]->shape.dim[1] != e)
            return sc_graph_fault(g, sc_fail(SC_EUNSUPPORTED, "mixtures of %lld and %lld experts in one balance",
                                             (long long)e, (long long)logits[i]->shape.dim[1]));
        if (!one || one->shape.dim[0] != tokens || one->shape.dim[1] != experts[i]->shape.dim[1]) {
            e = logits[i]->shape.dim[1];
            one = ones(g, tokens, experts[i]->shape.dim[1]);
            all = all_experts(g, tokens, e);
        }
        sc_routing softmax = {.used = e, .score = SC_SCORE_SOFTMAX, .scale = 1};
        sc_tensor *count = sc_expert_counts(g, one, experts[i], e);
        sc_tensor *share = sc_sum_leading(g, sc_expert_weights(g, logits[i], all, &softmax), 1);
        counts = counts ? sc_add(g, counts, count) : count;
        shares = shares ? sc_add(g, shares, share) : share;
        rows += tokens;
    }
    if (!counts || !rows) return NULL;
    sc_tensor *sum = sc_sum_leading(g, sc_reshape(g, sc_mul(g, shares, counts), 2, (int64_t[]){-1, 1}), 1);
    return sc_affine(g, sum, (float)((double)e / ((double)rows * (double)rows)), 0);
}
