/* SPDX-License-Identifier: Apache-2.0 */
/* One over the lengths of the rows of w + s b a, which is never made (Liu et al. 2024, "DoRA"): with the squares w2 (N) of w's
 * rows, |row|^2 = w2 + 2 s b (a w^T)^T + s^2 b (a a^T) b^T. in: w2 (N), b (N, R), b a a^T (N, R), a w^T (R, N). */
#include "ops/ops.h"

static sc_status infer(sc_tensor *y)
{
    static const char *const what[] = {"the squares", "b", "b a a^T", "a w^T"};
    static const int rank[] = {1, 2, 2, 2};
    sc_status s = SC_OK;
    for (int i = 0; !s && i < 4; i++) {
        s = sc_want_dtype(y->in[i], what[i], SC_F32);
        if (!s) s = sc_want_rank(y->in[i], what[i], rank[i]);
    }
    if (s) return s;
    int64_t n = y->in[0]->shape.dim[0], r = y->in[1]->shape.dim[1];
    if ((s = sc_want_dim(y->in[1], what[1], 0, n)) || (s = sc_want_dim(y->in[2], what[2], 0, n)) ||
        (s = sc_want_dim(y->in[2], what[2], 1, r)) || (s = sc_want_dim(y->in[3], what[3], 0, r)) ||
        (s = sc_want_dim(y->in[3], what[3], 1, n)))
        return s;
    y->dtype = SC_F32;
    y->shape = y->in[0]->shape;
    return SC_OK;
}

const sc_op sc_op_inverse_lengths = {.name = "inverse_lengths",
                                     .id = SC_OP_inverse_lengths,
                                     .derivative = "none: the lengths count as constants, as the paper has it",
                                     .constant = true,
                                     .infer = infer,
                                     .cost = sc_cost_elementwise};

sc_tensor *sc_inverse_lengths(sc_graph *g, sc_tensor *square, sc_tensor *w, sc_tensor *a, sc_tensor *b, float scale)
{
    sc_tensor *gram = sc_apply_linear(g, a, a, NULL);
    sc_tensor *in[] = {square, b, sc_apply_linear(g, b, gram, NULL), sc_apply_linear(g, a, w, NULL)};
    return sc_graph_node(g, &sc_op_inverse_lengths, in, 4, &scale, sizeof scale);
}
