/* SPDX-License-Identifier: Apache-2.0 */
/* What goes through each sequence token by token, with a state that the next tokens continue: a short convolution, and
 * three recurrences over a matrix of states, whose rows do not depend on each other.
 *
 * Each ends with the same four inputs: start (S+1); and where states are kept the states of all slots, the slot that
 * each sequence's state is read from (-1: it begins with zeros) and the slot that it is written to. */
#include "ops/ops.h"

#include <math.h>

static sc_status want_vector(const sc_tensor *t, const char *what, int64_t n)
{
    sc_status s;
    if (!t) return SC_OK;
    if ((s = sc_want_dtype(t, what, SC_F32)) || (s = sc_want_rank(t, what, 1)) || (s = sc_want_dim(t, what, 0, n)))
        return s;
    return sc_is_contiguous(t) ? SC_OK : sc_fail(SC_ESHAPE, "%s is not contiguous", what);
}

/* f32 of these axes, the last one dense. */
static sc_status want_rows(const sc_tensor *t, const char *what, int rank, int64_t a, int64_t b, int64_t c)
{
    sc_status s;
    if ((s = sc_want_dtype(t, what, SC_F32)) || (s = sc_want_rank(t, what, rank)) ||
        (s = sc_want_dim(t, what, 0, a)) || (s = sc_want_dim(t, what, 1, b)) ||
        (rank == 3 && (s = sc_want_dim(t, what, 2, c))))
        return s;
    if (sc_rows_dense(t) || sc_tensor_count(t) == 0) return SC_OK;
    return sc_fail(SC_ESHAPE, "the last axis of %s is not dense", what);
}

/* The last four inputs; states are (slots, rows, n). */
static sc_status want_states(const sc_tensor *y, int64_t rows, int64_t n)
{
    sc_tensor *const *in = y->in + y->n_in - SC_STATE_INPUTS, *start = in[0], *state = in[1];
    sc_status s;
    if ((s = sc_want_dtype(start, "start", SC_I32)) || (s = sc_want_rank(start, "start", 1))) return s;
    int64_t sequences = start->shape.dim[0] - 1;
    if (sequences < 1) return sc_fail(SC_ESHAPE, "the start table has no sequence");
    if (!state) return SC_OK;
    if (state->leaf != SC_STATE) return sc_fail(SC_EINVAL, "the states are not kept between runs");
    if ((s = want_rows(state, "the states", 3, state->shape.dim[0], rows, n))) return s;
    if (!sc_is_contiguous(state)) return sc_fail(SC_ESHAPE, "the states are not contiguous");
    for (int i = 2; i < SC_STATE_INPUTS; i++) {
        if (!in[i]) return sc_fail(SC_EINVAL, "states without a table of slots");
        if ((s = sc_want_dtype(in[i], "the slots", SC_I32)) || (s = sc_want_rank(in[i], "the slots", 1)) ||
            (s = sc_want_dim(in[i], "the slots", 0, sequences)))
            return s;
    }
    return SC_OK;
}

/* Appends the four. */
static int put_states(sc_graph *g, sc_tensor **in, int n, const sc_seqs *seqs, sc_tensor *state)
{
    in[n++] = sc_contiguous(g, seqs->start);
    in[n++] = state;
    in[n++] = state ? sc_contiguous(g, seqs->state_from) : NULL;
    in[n++] = state ? sc_contiguous(g, seqs->state_to) : NULL;
    return n;
}

static double inputs_bytes(const sc_step *s, int n)
{
    double bytes = sc_tensor_bytes(s->out);
    for (int i = 0; i < n; i++)
        if (s->in[i]) bytes += sc_tensor_bytes(s->in[i]);
    return bytes;
}

/* Work of `each` operations for each element of the state and token; the state is read and written once a run. */
static sc_cost scan_cost(const sc_step *s, int64_t rows, int64_t n, double each)
{
    double tokens = (double)s->out->shape.dim[0], sequences = (double)s->in[s->n_in - 4]->shape.dim[0] - 1;
    double size = (double)rows * (double)n;
    return (sc_cost){.flops = each * size * tokens,
                     .bytes = inputs_bytes(s, s->n_in - SC_STATE_INPUTS) +
                              (s->in[s->n_in - 3] ? 8 * size * sequences : 0)};
}

/* ---- what derivatives share: one run of values with all gradients, since a kernel makes them at once ---- */

/* No derivative where states come from another run. */
static bool grad_begins(sc_gradients *b, const sc_tensor *y)
{
    if (!y->in[y->n_in - 3]) return true;
    sc_graph_fault(sc_gradient_graph(b),
                   sc_fail(SC_EUNSUPPORTED, "no derivative of %s over states that are kept", y->op->name));
    return false;
}

/* The next n elements of a run, from *at on. */
static sc_tensor *next_of(sc_graph *g, sc_tensor *all, int64_t *at, int64_t n)
{
    sc_tensor *x = sc_slice(g, all, 0, *at, n);
    *at += n;
    return x;
}

/* The next gradient, of input x. */
static void take_next(sc_gradients *b, sc_tensor *x, sc_tensor *all, int64_t *at)
{
    if (!x) return;
    sc_tensor *dx = next_of(sc_gradient_graph(b), all, at, sc_tensor_count(x));
    if (sc_gradient_wanted(b, x))
        sc_gradient_add(b, x, sc_reshape(sc_gradient_graph(b), dx, x->shape.rank, x->shape.dim));
}

/* The same where there are several parts of it, to be added. */
static void take_sum(sc_gradients *b, sc_tensor *x, int64_t parts, sc_tensor *all, int64_t *at)
{
    sc_graph *g = sc_gradient_graph(b);
    if (!x) return;
    int64_t n = sc_tensor_count(x);
    sc_tensor *dx = next_of(g, all, at, parts * n);
    if (!sc_gradient_wanted(b, x)) return;
    dx = sc_sum_leading(g, sc_reshape(g, dx, 2, (int64_t[]){parts, n}), 1);
    sc_gradient_add(b, x, sc_reshape(g, dx, x->shape.rank, x->shape.dim));
}

static sc_status want_gradient(const sc_tensor *dy, int rank, const int64_t *dim)
{
    sc_status s;
    if ((s = sc_want_dtype(dy, "the gradient", SC_F32)) || (s = sc_want_rank(dy, "the gradient", rank))) return s;
    for (int i = 0; i < rank; i++)
        if ((s = sc_want_dim(dy, "the gradient", i, dim[i]))) return s;
    return sc_is_contiguous(dy) ? SC_OK : sc_fail(SC_ESHAPE, "the gradient is not contiguous");
}

/* The run's length: a sum of products, of which none may be too large. */
static sc_status run_of(sc_tensor *y, int n, const int64_t (*part)[4])
{
    int64_t all = 0;
    for (int i = 0; i < n; i++) {
        int64_t size = part[i][0];
        for (int k = 1; k < 4; k++)
            if (!sc_mul_ok(size, part[i][k], &size)) return sc_fail(SC_ELIMIT, "the gradients are too large");
        if (!sc_add_ok(all, size, &all)) return sc_fail(SC_ELIMIT, "the gradients are too large");
    }
    y->dtype = SC_F32;
    y->shape = (sc_shape){1, {all}};
    return SC_OK;
}

/* Going forward twice, to make the states again, and back. */
static sc_cost grad_cost(const sc_step *s, int64_t tokens, int64_t rows, int64_t n, double each)
{
    return (sc_cost){.flops = each * (double)rows * (double)n * (double)tokens, .bytes = inputs_bytes(s, s->n_in)};
}

static int64_t sequences_of(const sc_tensor *start) { return start->shape.dim[0] - 1; }

#define STATES(first) (1u << ((first) + 1) | 1u << ((first) + 2) | 1u << ((first) + 3))

/* ---- the short convolution: w (K, C), bias (C), 1 to 3 parts ---- */

static sc_status conv_infer(sc_tensor *y)
{
    const sc_tensor *w = y->in[0], *x = y->in[2];
    sc_status s;
    if ((s = want_rows(w, "the weight", 2, w->shape.dim[0], w->shape.dim[1], 0))) return s;
    if (!sc_is_contiguous(w)) return sc_fail(SC_ESHAPE, "the weight is not contiguous");
    int64_t taps = w->shape.dim[0], channels = w->shape.dim[1], sum = 0;
    if (taps < 1 || taps > SC_CONV_TAPS)
        return sc_fail(SC_ELIMIT, "a convolution over %lld tokens, outside 1 to %d", (long long)taps, SC_CONV_TAPS);
    if ((s = want_vector(y->in[1], "the bias", channels))) return s;
    int64_t tokens = x->shape.rank ? x->shape.dim[0] : -1;
    for (int i = 2; i < 5; i++) {
        const sc_tensor *p = y->in[i];
        if (!p) continue;
        if ((s = sc_want_rank(p, "a part", 3)) ||
            (s = want_rows(p, "a part", 3, tokens, p->shape.dim[1], p->shape.dim[2])))
            return s;
        sum += p->shape.dim[1] * p->shape.dim[2];
    }
    if (sum != channels)
        return sc_fail(SC_ESHAPE, "%lld channels where the weight has %lld", (long long)sum, (long long)channels);
    if ((s = want_states(y, taps - 1, channels))) return s;
    y->dtype = SC_F32;
    y->shape = (sc_shape){2, {tokens, channels}};
    return SC_OK;
}

static sc_cost conv_cost(const sc_step *s)
{
    return scan_cost(s, s->in[0]->shape.dim[0], s->in[0]->shape.dim[1], 2);
}

/* in: w, du, parts, start */
static sc_status conv_grad_infer(sc_tensor *y)
{
    const sc_tensor *w = y->in[0], *start = y->in[5];
    int64_t taps = w->shape.dim[0], channels = w->shape.dim[1], tokens = y->in[2]->shape.dim[0];
    sc_status s = want_gradient(y->in[1], 2, (int64_t[]){tokens, channels});
    return s ? s : run_of(y, 2, (int64_t[][4]){{tokens, channels, 1, 1}, {sequences_of(start), taps, channels, 1}});
}

static sc_cost conv_grad_cost(const sc_step *s)
{
    return grad_cost(s, s->in[1]->shape.dim[0], s->in[0]->shape.dim[0], s->in[0]->shape.dim[1], 4);
}

const sc_op sc_op_conv_causal_grad = {.name = "conv_causal_grad",
                                      .id = SC_OP_conv_causal_grad,
                                      .derivative = "none: second derivatives are not taken",
                                      .infer = conv_grad_infer,
                                      .cost = conv_grad_cost,
                                      .optional = 1u << 3 | 1u << 4};

static void conv_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *w = y->in[0], *bias = y->in[1], *start = y->in[5];
    if (!grad_begins(b, y)) return;
    int64_t tokens = y->shape.dim[0], channels = y->shape.dim[1], at = 0;
    if (SC_ATTR(y, sc_conv_attr)->silu) { /* the sums, made again */
        sc_tensor *u =
            sc_graph_node(g, &sc_op_conv_causal, y->in, y->n_in, &(sc_conv_attr){0}, sizeof(sc_conv_attr));
        dy = sc_unary_grad(g, SC_UNARY_SILU, u, dy);
    }
    sc_tensor *du = sc_contiguous(g, dy), *in[] = {w, du, y->in[2], y->in[3], y->in[4], start};
    sc_tensor *all = sc_graph_node(g, &sc_op_conv_causal_grad, in, 6, NULL, 0);
    sc_tensor *dx = sc_reshape(g, next_of(g, all, &at, tokens * channels), 2, (int64_t[]){tokens, channels});
    for (int64_t i = 2, c = 0; !g->status && i < 5; i++) {
        sc_tensor *part = y->in[i];
        int64_t n = part ? part->shape.dim[1] * part->shape.dim[2] : 0;
        if (sc_gradient_wanted(b, part))
            sc_gradient_add(b, part, sc_reshape(g, sc_slice(g, dx, 1, c, n), 3, part->shape.dim));
        c += n;
    }
    take_sum(b, w, g->status ? 1 : sequences_of(start), all, &at);
    if (sc_gradient_wanted(b, bias)) sc_gradient_add(b, bias, sc_sum_leading(g, du, 1));
}

const sc_op sc_op_conv_causal = {
    .name = "conv_causal",
    .backward = conv_backward,
    .id = SC_OP_conv_causal,
    .derivative = "with u the sum before the activation f: du = dy f'(u); dx[t] = sum over j of "
                  "w[j] du[t + K - 1 - j] within the sequence; dw[j] = sum over t of du[t] x[t - "
                  "K + 1 + j]; db = du summed over the tokens; none for states",
    .infer = conv_infer,
    .cost = conv_cost,
    .optional = 1u << 1 | 1u << 3 | 1u << 4 | STATES(5)};

sc_tensor *sc_conv_causal(sc_graph *g, sc_tensor *const *part, int parts, sc_tensor *w, sc_tensor *bias, bool silu,
                          const sc_seqs *seqs, sc_tensor *state)
{
    sc_tensor *in[SC_MAX_INPUTS] = {NULL, sc_contiguous(g, bias)};
    if (w && (w->shape.rank != 3 || w->shape.dim[1] != 1)) {
        char text[SC_SHAPE_TEXT];
        return sc_graph_fault(g, sc_fail(SC_ESHAPE, "conv_causal at '%s': the weight has shape %s, not (C, 1, K)",
                                         g->scope[g->depth], sc_shape_text(&w->shape, text)));
    }
    if (w) w = sc_reshape(g, w, 2, (int64_t[]){w->shape.dim[0], w->shape.dim[2]});
    in[0] = sc_contiguous(g, sc_permute(g, w, (int[]){1, 0}));
    for (int i = 0; i < parts; i++) {
        sc_tensor *x = part[i];
        if (x && x->shape.rank == 2) x = sc_reshape(g, x, 3, (int64_t[]){x->shape.dim[0], 1, x->shape.dim[1]});
        in[2 + i] = x;
    }
    int n = put_states(g, in, 5, seqs, state);
    return sc_graph_node(g, &sc_op_conv_causal, in, n, &(sc_conv_attr){silu}, sizeof(sc_conv_attr));
}

/* ---- Mamba: x, dt (T, C), a (C, N), b, c (T, N), d (C) ---- */

static sc_status selective_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0], *a = y->in[2];
    sc_status s;
    if ((s = sc_want_rank(x, "x", 2)) || (s = sc_want_rank(a, "a", 2))) return s;
    int64_t tokens = x->shape.dim[0], c = x->shape.dim[1], n = a->shape.dim[1];
    if ((s = want_rows(x, "x", 2, tokens, c, 0)) || (s = want_rows(y->in[1], "dt", 2, tokens, c, 0)) ||
        (s = want_rows(a, "a", 2, c, n, 0)) || (s = want_rows(y->in[3], "b", 2, tokens, n, 0)) ||
        (s = want_rows(y->in[4], "c", 2, tokens, n, 0)) || (s = want_vector(y->in[5], "d", c)) ||
        (s = want_states(y, c, n)))
        return s;
    if (!sc_is_contiguous(a)) return sc_fail(SC_ESHAPE, "a is not contiguous");
    y->dtype = SC_F32;
    y->shape = (sc_shape){2, {tokens, c}};
    return SC_OK;
}

static sc_cost selective_cost(const sc_step *s)
{
    return scan_cost(s, s->in[2]->shape.dim[0], s->in[2]->shape.dim[1], 16); /* an exponential in it */
}

/* in: x, dt, a, b, c, d, start, dy */
static sc_status selective_grad_infer(sc_tensor *y)
{
    const sc_tensor *a = y->in[2], *d = y->in[5];
    int64_t tokens = y->in[0]->shape.dim[0], c = a->shape.dim[0], n = a->shape.dim[1];
    int64_t parts = SC_ATTR(y, sc_scan_grad_attr)->parts, sequences = sequences_of(y->in[6]);
    sc_status s = want_gradient(y->in[7], 2, (int64_t[]){tokens, c});
    return s ? s
             : run_of(y, 4,
                      (int64_t[][4]){{2, tokens, c, 1},
                                     {2, parts, tokens, n},
                                     {sequences, c, n, 1},
                                     {sequences, c, d ? 1 : 0, 1}});
}

static sc_cost selective_grad_cost(const sc_step *s)
{
    return grad_cost(s, s->in[0]->shape.dim[0], s->in[2]->shape.dim[0], s->in[2]->shape.dim[1], 56);
}

const sc_op sc_op_scan_selective_grad = {.name = "scan_selective_grad",
                                         .id = SC_OP_scan_selective_grad,
                                         .derivative = "none: second derivatives are not taken",
                                         .infer = selective_grad_infer,
                                         .cost = selective_grad_cost,
                                         .optional = 1u << 5};

/* Of either of Mamba's. */
static void mamba_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy, const sc_op *op, sc_scan_grad_attr attr)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *in[8];
    if (!grad_begins(b, y)) return;
    memcpy(in, y->in, 7 * sizeof *in);
    in[7] = sc_contiguous(g, dy);
    sc_tensor *all = sc_graph_node(g, op, in, 8, &attr, sizeof attr);
    int64_t at = 0;
    if (g->status) return;
    take_next(b, in[0], all, &at);
    take_next(b, in[1], all, &at);
    take_sum(b, in[3], attr.parts, all, &at);
    take_sum(b, in[4], attr.parts, all, &at);
    take_sum(b, in[2], sequences_of(in[6]), all, &at);
    take_sum(b, in[5], sequences_of(in[6]), all, &at);
}

static void selective_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_scan_grad_attr attr = {.parts = SC_MIN(SC_SCAN_PARTS, SC_MAX(y->shape.dim[1], 1))};
    mamba_backward(b, y, dy, &sc_op_scan_selective_grad, attr);
}

const sc_op sc_op_scan_selective = {
    .name = "scan_selective",
    .backward = selective_backward,
    .id = SC_OP_scan_selective,
    .derivative =
        "with e = exp(dt a) and dh carried from the last token to the first: dh += dy c; dc = sum of dy h; dd = "
        "sum "
        "of dy x; de = dh h[t-1]; da = de e dt; ddt = sum of de e a + dh x b; dx = dt sum of dh b + dy d; db = sum "
        "of dh dt x; then dh = dh e; none for states",
    .infer = selective_infer,
    .cost = selective_cost,
    .optional = 1u << 5 | STATES(6)};

sc_tensor *sc_scan_selective(sc_graph *g, const sc_selective_scan *p, const sc_seqs *seqs, sc_tensor *state)
{
    sc_tensor *in[SC_MAX_INPUTS] = {p->x, p->dt, sc_contiguous(g, p->a), p->b, p->c, sc_contiguous(g, p->d)};
    int n = put_states(g, in, 6, seqs, state);
    return sc_graph_node(g, &sc_op_scan_selective, in, n, NULL, 0);
}

/* ---- Mamba 2: x (T, H, P), dt (T, H), a (H), b, c (T, G, N), d (H) ---- */

static sc_status decay_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0], *b = y->in[3];
    sc_status s;
    if ((s = sc_want_rank(x, "x", 3)) || (s = sc_want_rank(b, "b", 3))) return s;
    int64_t tokens = x->shape.dim[0], h = x->shape.dim[1], p = x->shape.dim[2];
    int64_t groups = b->shape.dim[1], n = b->shape.dim[2];
    if ((s = want_rows(x, "x", 3, tokens, h, p)) || (s = want_rows(y->in[1], "dt", 2, tokens, h, 0)) ||
        (s = want_vector(y->in[2], "a", h)) || (s = want_rows(b, "b", 3, tokens, groups, n)) ||
        (s = want_rows(y->in[4], "c", 3, tokens, groups, n)) || (s = want_vector(y->in[5], "d", h)))
        return s;
    if (groups < 1 || h % groups)
        return sc_fail(SC_ESHAPE, "%lld heads in %lld groups", (long long)h, (long long)groups);
    if ((s = want_states(y, h * p, n))) return s;
    y->dtype = SC_F32;
    y->shape = (sc_shape){3, {tokens, h, p}};
    return SC_OK;
}

static sc_cost decay_cost(const sc_step *s)
{
    const sc_tensor *x = s->in[0];
    return scan_cost(s, x->shape.dim[1] * x->shape.dim[2], s->in[3]->shape.dim[2], 5);
}

/* in: x, dt, a, b, c, d, start, dy */
static sc_status decay_grad_infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0], *b = y->in[3], *d = y->in[5];
    int64_t tokens = x->shape.dim[0], h = x->shape.dim[1], p = x->shape.dim[2], n = b->shape.dim[2];
    int64_t parts = SC_ATTR(y, sc_scan_grad_attr)->parts, sequences = sequences_of(y->in[6]), sums;
    sc_status s = want_gradient(y->in[7], 3, x->shape.dim);
    if (s || !sc_mul_ok(parts, b->shape.dim[1], &sums))
        return s ? s : sc_fail(SC_ELIMIT, "the gradients are too large");
    return run_of(
        y, 4,
        (int64_t[][4]){{tokens, h, p, 1}, {tokens, h, 1, 1}, {2, sums, tokens, n}, {sequences, h, d ? 2 : 1, 1}});
}

static sc_cost decay_grad_cost(const sc_step *s)
{
    const sc_tensor *x = s->in[0];
    return grad_cost(s, x->shape.dim[0], x->shape.dim[1] * x->shape.dim[2], s->in[3]->shape.dim[2], 22);
}

const sc_op sc_op_scan_decay_grad = {.name = "scan_decay_grad",
                                     .id = SC_OP_scan_decay_grad,
                                     .derivative = "none: second derivatives are not taken",
                                     .infer = decay_grad_infer,
                                     .cost = decay_grad_cost,
                                     .optional = 1u << 5};

static void decay_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    int64_t each = y->shape.dim[1] / y->in[3]->shape.dim[1]; /* heads of a group */
    sc_scan_grad_attr attr = {.parts = SC_MIN(SC_SCAN_PARTS, each), .range = *SC_ATTR(y, sc_decay_attr)};
    mamba_backward(b, y, dy, &sc_op_scan_decay_grad, attr);
}

const sc_op sc_op_scan_decay = {.name = "scan_decay",
                                .backward = decay_backward,
                                .id = SC_OP_scan_decay,
                                .derivative = "as scan_selective's with one e = exp(dt a) a head: dh += dy c; dc = "
                                              "sum of dy h; dd = sum of dy x; de = sum "
                                              "of dh h[t-1]; da = de e dt; ddt = de e a + sum of dh x b; dx = dt "
                                              "sum of dh b + dy d; db = sum of dh dt x; "
                                              "then dh = dh e; none for states",
                                .infer = decay_infer,
                                .cost = decay_cost,
                                .optional = 1u << 5 | STATES(6)};

sc_tensor *sc_scan_decay(sc_graph *g, const sc_selective_scan *p, const sc_seqs *seqs, sc_tensor *state)
{
    sc_tensor *in[SC_MAX_INPUTS] = {p->x, p->dt, sc_contiguous(g, p->a), p->b, p->c, sc_contiguous(g, p->d)};
    int n = put_states(g, in, 6, seqs, state);
    sc_decay_attr a = {p->dt_min, p->dt_max > 0 ? p->dt_max : INFINITY};
    return sc_graph_node(g, &sc_op_scan_decay, in, n, &a, sizeof a);
}

/* ---- the gated delta rule: q, k (T, Hk, N), v (T, H, P), g, beta (T, H) ---- */

static sc_status delta_infer(sc_tensor *y)
{
    const sc_tensor *k = y->in[1], *v = y->in[2];
    sc_status s;
    if ((s = sc_want_rank(k, "the key", 3)) || (s = sc_want_rank(v, "the value", 3))) return s;
    int64_t tokens = k->shape.dim[0], key_heads = k->shape.dim[1], n = k->shape.dim[2];
    int64_t h = v->shape.dim[1], p = v->shape.dim[2];
    if ((s = want_rows(y->in[0], "the query", 3, tokens, key_heads, n)) ||
        (s = want_rows(k, "the key", 3, tokens, key_heads, n)) ||
        (s = want_rows(v, "the value", 3, tokens, h, p)) ||
        (s = want_rows(y->in[3], "the decay", 2, tokens, h, 0)) ||
        (s = want_rows(y->in[4], "beta", 2, tokens, h, 0)))
        return s;
    if (key_heads < 1 || h % key_heads)
        return sc_fail(SC_ESHAPE, "%lld value heads over %lld key heads", (long long)h, (long long)key_heads);
    if ((s = want_states(y, h * p, n))) return s;
    y->dtype = SC_F32;
    y->shape = (sc_shape){3, {tokens, h, p}};
    return SC_OK;
}

static sc_cost delta_cost(const sc_step *s)
{
    const sc_tensor *v = s->in[2];
    return scan_cost(s, v->shape.dim[1] * v->shape.dim[2], s->in[1]->shape.dim[2], 7);
}

/* in: q, k, v, g, beta, start, dy */
static sc_status delta_grad_infer(sc_tensor *y)
{
    const sc_tensor *k = y->in[1], *v = y->in[2];
    int64_t tokens = k->shape.dim[0], h = v->shape.dim[1];
    sc_status s = want_gradient(y->in[6], 3, v->shape.dim);
    return s ? s
             : run_of(y, 3,
                      (int64_t[][4]){{2, tokens, k->shape.dim[1], k->shape.dim[2]},
                                     {tokens, h, v->shape.dim[2], 1},
                                     {2, tokens, h, 1}});
}

static sc_cost delta_grad_cost(const sc_step *s)
{
    const sc_tensor *v = s->in[2];
    return grad_cost(s, v->shape.dim[0], v->shape.dim[1] * v->shape.dim[2], s->in[1]->shape.dim[2], 34);
}

const sc_op sc_op_scan_delta_grad = {.name = "scan_delta_grad",
                                     .id = SC_OP_scan_delta_grad,
                                     .derivative = "none: second derivatives are not taken",
                                     .infer = delta_grad_infer,
                                     .cost = delta_grad_cost};

static void delta_backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    sc_tensor *in[7];
    if (!grad_begins(b, y)) return;
    memcpy(in, y->in, 6 * sizeof *in);
    in[6] = sc_contiguous(g, dy);
    sc_tensor *all = sc_graph_node(g, &sc_op_scan_delta_grad, in, 7, y->attr, sizeof(sc_delta_attr));
    int64_t at = 0;
    for (int i = 0; !g->status && i < 5; i++) take_next(b, in[i], all, &at);
}

const sc_op sc_op_scan_delta = {
    .name = "scan_delta",
    .backward = delta_backward,
    .id = SC_OP_scan_delta,
    .derivative =
        "with e = exp(g), u = v - e S[t-1] k, and dS carried from the last token to the first: dq = S^T dy / sqrt "
        "N; "
        "dS += dy q^T / sqrt N; du = beta dS k; dbeta = u . dS k; dv = du; dk = beta dS^T u - e S[t-1]^T du; de = "
        "sum of dS S[t-1] - du . S[t-1] k; dg = e de; then dS = e (dS - du k^T); q and k through their norms; none "
        "for states",
    .infer = delta_infer,
    .cost = delta_cost,
    .optional = STATES(5)};

sc_tensor *sc_scan_delta(sc_graph *g, const sc_delta_scan *p, const sc_seqs *seqs, sc_tensor *state)
{
    sc_tensor *in[SC_MAX_INPUTS] = {p->q, p->k, p->v, p->g, p->beta};
    int n = put_states(g, in, 5, seqs, state);
    return sc_graph_node(g, &sc_op_scan_delta, in, n, &(sc_delta_attr){p->eps, p->tiled}, sizeof(sc_delta_attr));
}
