/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of the first tokens of each sequence. in: position (T), start (S + 1) → i32 (S n + S + 1 + T). */
#include "ops/ops.h"

static sc_status infer(sc_tensor *y)
{
    static const char *const what[] = {"the position table", "the start table"};
    int64_t n = SC_ATTR(y, sc_first_tokens_attr)->n, most;
    for (int i = 0; i < 2; i++) {
        sc_status s = sc_want_dtype(y->in[i], what[i], SC_I32);
        if (s || (s = sc_want_rank(y->in[i], what[i], 1))) return s;
    }
    int64_t tokens = y->in[0]->shape.dim[0], sequences = y->in[1]->shape.dim[0] - 1;
    if (sequences < 1 || n < 1) return sc_fail(SC_ESHAPE, "no first tokens of no sequence");
    if (!sc_mul_ok(sequences, n, &most) || most > INT32_MAX - tokens)
        return sc_fail(SC_ELIMIT, "the first %lld tokens of %lld sequences", (long long)n, (long long)sequences);
    y->dtype = SC_I32;
    y->shape = (sc_shape){1, {most + sequences + 1 + tokens}};
    return SC_OK;
}

const sc_op sc_op_first_tokens = {.name = "first_tokens",
                                  .id = SC_OP_first_tokens,
                                  .derivative = "none: whole numbers",
                                  .infer = infer,
                                  .cost = sc_cost_elementwise};

sc_first_tokens sc_tokens_first(sc_graph *g, const sc_seqs *seqs, int64_t n)
{
    sc_tensor *in[] = {sc_contiguous(g, seqs->position), sc_contiguous(g, seqs->start)};
    sc_first_tokens_attr a = {n};
    sc_tensor *y = sc_graph_node(g, &sc_op_first_tokens, in, 2, &a, sizeof a);
    if (!y) return (sc_first_tokens){NULL, NULL, NULL};
    int64_t starts = seqs->start->shape.dim[0], rows = (starts - 1) * n;
    return (sc_first_tokens){sc_slice(g, y, 0, 0, rows), sc_slice(g, y, 0, rows, starts),
                             sc_slice(g, y, 0, rows + starts, seqs->position->shape.dim[0])};
}
