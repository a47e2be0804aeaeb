/* SPDX-License-Identifier: Apache-2.0 */
/* in: x, w, b, h0, c0, start, states, state_from, state_to, query, v, keys, values, into, the keys' start table or, of a
 * cache, their number, and pages.
 * cell_grad: the same, but in place of states and state_from the cell's result y and its gradient dy. */
#include "ops/ops.h"

static sc_status want(const sc_tensor *t, const char *what, int rank, int64_t a, int64_t b)
{
    sc_status s;
    if (!t) return sc_fail(SC_EINVAL, "%s is missing", what);
    if ((s = sc_want_dtype(t, what, SC_F32)) || (s = sc_want_rank(t, what, rank)) ||
        (s = sc_want_dim(t, what, 0, a)) || (rank > 1 && (s = sc_want_dim(t, what, 1, b))))
        return s;
    return sc_is_contiguous(t) ? SC_OK : sc_fail(SC_ESHAPE, "%s is not contiguous", what);
}

/* A cache of rows of n, or (any, n) f32. */
static sc_status want_stored(const sc_tensor *t, const char *what, int64_t n)
{
    if (!t) return sc_fail(SC_EINVAL, "%s are missing", what);
    if (t->shape.rank == 2) return want(t, what, 2, t->shape.dim[0], n);
    sc_status s = sc_want_rank(t, what, 4);
    if (!s) s = sc_want_dim(t, what, 1, 1);
    if (!s) s = sc_want_dim(t, what, 2, SC_ATTENTION_TILE);
    if (!s) s = sc_want_dim(t, what, 3, n);
    return s ? s : sc_is_contiguous(t) ? SC_OK : sc_fail(SC_ESHAPE, "%s are not contiguous", what);
}

static sc_status check_attention(const sc_tensor *y, int64_t gates, int64_t h)
{
    sc_tensor *const *in = y->in;
    if (!in[9]) return SC_OK;
    if (in[9]->shape.rank != 2 || !in[12] || in[12]->shape.rank < 2)
        return sc_fail(SC_ESHAPE, "the query or the values are no rows");
    int64_t a = in[9]->shape.dim[0], m = in[12]->shape.dim[in[12]->shape.rank - 1];
    sc_status s;
    if ((s = want(in[9], "the query", 2, a, h)) || (s = want(in[10], "v", 1, a, 0)) ||
        (s = want_stored(in[11], "the keys", a)) || (s = want_stored(in[12], "the values", m)) ||
        (s = want(in[13], "the context's matrix", 2, gates, m)))
        return s;
    bool cached = in[11]->shape.rank == 4;
    if (!in[14] || (cached && !in[15])) return sc_fail(SC_EINVAL, "no tables of the keys");
    int64_t sequences = in[5]->shape.dim[0] - 1;
    if ((s = sc_want_dtype(in[14], "the keys' table", SC_I32)) ||
        (s = sc_want_dim(in[14], "the keys' table", 0, cached ? sequences : sequences + 1)))
        return s;
    return !cached ? SC_OK : sc_want_rank(in[15], "pages", 2);
}

static sc_status infer(sc_tensor *y)
{
    const sc_cell_attr *a = SC_ATTR(y, sc_cell_attr);
    sc_tensor *const *in = y->in;
    sc_status s;
    if ((s = sc_want_rank(in[1], "the matrix", 2)) || (s = sc_want_rank(in[0], "the input", 2)) ||
        (s = sc_want_dtype(in[5], "start", SC_I32)) || (s = sc_want_rank(in[5], "start", 1)))
        return s;
    int64_t h = in[1]->shape.dim[1], gates = (a->lstm ? 4 : 3) * h, tokens = in[0]->shape.dim[0];
    int64_t sequences = in[5]->shape.dim[0] - 1;
    if (h < 1 || sequences < 1) return sc_fail(SC_ESHAPE, "no cell or no sequence");
    if ((s = want(in[0], "the input", 2, tokens, gates)) || (s = want(in[1], "the matrix", 2, gates, h)) ||
        (s = want(in[2], "the bias", 1, gates, 0)) || (s = check_attention(y, gates, h)))
        return s;
    for (int i = 3; i < 5; i++) {
        if (!in[i]) continue;
        if ((s = want_stored(in[i], "the first states", h)) ||
            (in[i]->shape.rank == 2 && (s = sc_want_dim(in[i], "the first states", 0, sequences))))
            return s;
        if (in[i]->shape.rank == 4 && !in[15]) return sc_fail(SC_EINVAL, "first states without pages");
    }
    if (in[6] && (in[6]->shape.rank != 3 || in[6]->shape.dim[1] != 1 + a->lstm || in[6]->shape.dim[2] != h ||
                  !in[7] || !in[8]))
        return sc_fail(SC_ESHAPE, "these are no states of the cell");
    y->dtype = SC_F32;
    y->shape = (sc_shape){2, {tokens, h * (1 + a->lstm) + (in[9] ? in[13]->shape.dim[1] : 0)}};
    return SC_OK;
}

static sc_cost cost(const sc_step *s)
{
    double tokens = (double)s->in[0]->shape.dim[0], each = (double)sc_tensor_count(s->in[1]);
    if (s->in[9]) each += (double)sc_tensor_count(s->in[13]) + (double)sc_tensor_count(s->in[9]);
    return (sc_cost){.flops = 2 * tokens * each, .bytes = sc_tensor_bytes(s->out) + 4 * each};
}

/* The parts of cell_grad's run, one after another: (rows, n) each, 0 of what is not there. What it cannot say in products of
 * whole matrices it makes itself, the rest follows from that: dgates of what x gives and (a GRU's) of what h gives, the h
 * before each step, of the first states, of the queries at each step, of keys, of values, of v in each sequence. */
enum { INPUT_GATES, STATE_GATES, BEFORE, FIRST_H, FIRST_C, QUERIES, KEYS, VALUES, SCORES, PARTS };

static void parts_of(const sc_tensor *y, int64_t size[PARTS][2])
{
    sc_tensor *const *in = y->in;
    bool lstm = SC_ATTR(y, sc_cell_attr)->lstm;
    int64_t h = in[1]->shape.dim[1], tokens = in[0]->shape.dim[0], gates = in[1]->shape.dim[0],
            sequences = in[5]->shape.dim[0] - 1, a = in[9] ? in[9]->shape.dim[0] : 0,
            m = in[9] ? in[13]->shape.dim[1] : 0, keys = in[9] ? in[11]->shape.dim[0] : 0;
    int64_t sizes[PARTS][2] = {[INPUT_GATES] = {tokens, gates},
                               [STATE_GATES] = {lstm ? 0 : tokens, gates},
                               [BEFORE] = {tokens, h},
                               [FIRST_H] = {sequences, h},
                               [FIRST_C] = {lstm ? sequences : 0, h},
                               [QUERIES] = {tokens, a},
                               [KEYS] = {keys, a},
                               [VALUES] = {keys, m},
                               [SCORES] = {a ? sequences : 0, a}};
    memcpy(size, sizes, sizeof sizes);
}

/* The product of gradients (T, N) and what they were of (T, C): (N, C). */
static sc_tensor *product(sc_graph *g, sc_tensor *dy, sc_tensor *x)
{
    const int turned[] = {1, 0};
    return sc_apply_linear(g, sc_permute(g, dy, turned), sc_permute(g, x, turned), NULL);
}

static void backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *in[SC_MAX_INPUTS], *part[PARTS] = {0};
    int64_t size[PARTS][2], at = 0;
    if (y->in[6] || y->in[15]) {
        sc_graph_fault(g, sc_fail(SC_EUNSUPPORTED, "no derivative of a cell over a cache"));
        return;
    }
    memcpy(in, y->in, sizeof in);
    in[6] = y;
    in[7] = sc_contiguous(g, dy);
    sc_tensor *all = sc_graph_node(g, &sc_op_cell_grad, in, 15, y->attr, sizeof(sc_cell_attr));
    parts_of(y, size);
    for (int i = 0; i < PARTS; i++) {
        int64_t n = size[i][0] * size[i][1];
        if (size[i][1]) part[i] = sc_reshape(g, sc_slice(g, all, 0, at, n), 2, size[i]);
        at += n;
    }
    sc_tensor *gates = part[SC_ATTR(y, sc_cell_attr)->lstm ? INPUT_GATES : STATE_GATES];
    sc_gradient_add(b, in[0], part[INPUT_GATES]);
    if (sc_gradient_wanted(b, in[1])) sc_gradient_add(b, in[1], product(g, gates, part[BEFORE]));
    if (sc_gradient_wanted(b, in[2])) sc_gradient_add(b, in[2], sc_sum_leading(g, gates, 1));
    sc_gradient_add(b, in[3], part[FIRST_H]);
    sc_gradient_add(b, in[4], part[FIRST_C]);
    if (!in[9]) return;
    if (sc_gradient_wanted(b, in[9])) sc_gradient_add(b, in[9], product(g, part[QUERIES], part[BEFORE]));
    if (sc_gradient_wanted(b, in[10])) sc_gradient_add(b, in[10], sc_sum_leading(g, part[SCORES], 1));
    sc_gradient_add(b, in[11], part[KEYS]);
    sc_gradient_add(b, in[12], part[VALUES]);
    if (!sc_gradient_wanted(b, in[13])) return;
    int64_t m = in[13]->shape.dim[1];
    sc_tensor *context = sc_contiguous(g, sc_slice(g, y, 1, y->shape.dim[1] - m, m));
    sc_gradient_add(b, in[13], product(g, part[INPUT_GATES], context));
}

const sc_op sc_op_cell = {.name = "cell",
                          .id = SC_OP_cell,
                          .derivative =
                              "back through time: from the last token each step's dh and dc pass through the "
                              "gates to x, w, b, the context's softmax and the step before",
                          .backward = backward,
                          .infer = infer,
                          .cost = cost,
                          .optional = 0xffff & ~(1u << 0 | 1u << 1 | 1u << 2 | 1u << 5)};

static sc_status grad_infer(sc_tensor *y)
{
    sc_tensor cell = *y; /* as it was made */
    cell.in[6] = cell.in[7] = NULL;
    sc_status s = infer(&cell);
    if (s) return s;
    if (y->in[15]) return sc_fail(SC_EUNSUPPORTED, "no derivative of a cell over a cache");
    if (!sc_shape_equal(&y->in[6]->shape, &cell.shape) || !sc_shape_equal(&y->in[7]->shape, &cell.shape))
        return sc_fail(SC_ESHAPE, "the result or its gradient has another shape");
    int64_t size[PARTS][2], n = 0;
    parts_of(y, size);
    for (int i = 0; i < PARTS; i++) n += size[i][0] * size[i][1];
    y->dtype = SC_F32;
    y->shape = (sc_shape){1, {n}};
    return SC_OK;
}

static sc_cost grad_cost(const sc_step *s)
{
    sc_cost c = cost(s);
    c.flops *= 2; /* what the step gave, made again, and the way back */
    c.bytes += sc_tensor_bytes(s->in[6]) * 2;
    return c;
}

const sc_op sc_op_cell_grad = {.name = "cell_grad",
                               .id = SC_OP_cell_grad,
                               .derivative = "none: second derivatives are not taken",
                               .infer = grad_infer,
                               .cost = grad_cost,
                               .optional = 0xffff & ~(1u << 0 | 1u << 1 | 1u << 2 | 1u << 5 | 1u << 6 | 1u << 7)};

sc_tensor *sc_cell(sc_graph *g, sc_tensor *x, sc_tensor *w, sc_tensor *b, sc_tensor *h0, sc_tensor *c0,
                   const sc_additive *attend, const sc_seqs *seqs, sc_tensor *state, const sc_cell_attr *attr)
{
    sc_tensor *in[16] = {sc_contiguous(g, x),  sc_contiguous(g, w),  b,
                         sc_contiguous(g, h0), sc_contiguous(g, c0), sc_contiguous(g, seqs->start)};
    if (state) {
        in[6] = state;
        in[7] = sc_contiguous(g, seqs->state_from);
        in[8] = sc_contiguous(g, seqs->state_to);
    }
    if (attend) {
        const sc_seqs *m = attend->memory;
        bool cached = attend->keys && attend->keys->shape.rank == 4;
        in[9] = sc_contiguous(g, attend->query);
        in[10] = sc_contiguous(g, attend->v);
        in[11] = sc_contiguous(g, attend->keys);
        in[12] = sc_contiguous(g, attend->values);
        in[13] = sc_contiguous(g, attend->into);
        in[14] = sc_contiguous(g, cached ? m->past : m->start);
        in[15] = cached ? sc_contiguous(g, m->pages) : NULL;
    }
    return sc_graph_node(g, &sc_op_cell, in, 16, attr, sizeof *attr);
}
