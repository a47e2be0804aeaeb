/* SPDX-License-Identifier: Apache-2.0 */
/* Reverse accumulation (Linnainmaa 1970): nodes from the loss back to the leaves, each passing the gradient of its result
 * on to its inputs. What it appends are ordinary nodes, so planning, fusion and threads need to know nothing of it. */
#include "ops/ops.h"

struct sc_gradients {
    sc_graph *g;
    int64_t count;      /* nodes that were there before */
    const bool *wanted; /* of each: some wrt is behind it */
    sc_tensor **grad;   /* of each, so far */
    const int *first;   /* of each: the first node that is the same parameter, or itself */
    /* What is made again: */
    sc_remake how;
    const bool *edge;  /* of each: between two blocks, and kept */
    int64_t from, to;  /* the first and the last edge */
    sc_tensor **again; /* of each: the node that does the same, once there is one */
    int64_t *origin;   /* of nodes made since, from `count` on: which one they do again; -1: none */
    int64_t n_origin, cap_origin;
};

/* The node from before that x is, or does again; -1: none. */
static int64_t origin_of(const sc_gradients *b, const sc_tensor *x)
{
    if (x->id < b->count) return b->first[x->id];
    int64_t i = x->id - b->count;
    return i < b->n_origin ? b->origin[i] : -1;
}

bool sc_gradient_wanted(const sc_gradients *b, const sc_tensor *x)
{
    int64_t i = x ? origin_of(b, x) : -1;
    return i >= 0 && b->wanted[i];
}

sc_tensor *sc_gradient_of(const sc_gradients *b, const sc_tensor *x)
{
    int64_t i = origin_of(b, x);
    return i < 0 ? NULL : b->grad[i];
}

sc_graph *sc_gradient_graph(sc_gradients *b) { return b->g; }

void sc_gradient_set(sc_gradients *b, sc_tensor *x, sc_tensor *dx)
{
    int64_t i = origin_of(b, x);
    if (i >= 0) b->grad[i] = dx;
}

void sc_gradient_add(sc_gradients *b, sc_tensor *x, sc_tensor *dx)
{
    if (!sc_gradient_wanted(b, x) || !dx) return;
    sc_tensor *sum = sc_gradient_of(b, x);
    sc_gradient_set(b, x, sum ? sc_add(b->g, dx, sum) : dx); /* in this order the later step may absorb the sum */
}

/* ---- what the backward pass makes again (Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost") ---- */

/* Cheap, and its inputs are kept anyway: its own gradient needs them. */
static bool cheap(const sc_tensor *t)
{
    return t->op == &sc_op_layer_norm || t->op == &sc_op_rms_norm || t->op == &sc_op_unary || t->op == &sc_op_mul;
}

static bool made_again(const sc_gradients *b, const sc_tensor *t)
{
    if (b->how == SC_REMAKE_NOTHING || !t->op || t->id >= b->count) return false;
    if (t->view_of && t->view_of->leaf == SC_STATE) return false;
    if (b->edge[t->id]) return false;
    return t->op->view || cheap(t) || (b->how == SC_REMAKE_BLOCKS && t->id > b->from && t->id < b->to);
}

/* The node that does again what t does, from what is kept; t itself where it only looks at that, and after a fault. */
static sc_tensor *again(sc_gradients *b, sc_tensor *t, const sc_tensor *after)
{
    sc_tensor *in[SC_MAX_INPUTS];
    bool same = t->op->view;
    if (b->again[t->id]) return b->again[t->id];
    for (int k = 0; k < t->n_in; k++) {
        in[k] = t->in[k] && made_again(b, t->in[k]) ? again(b, t->in[k], after) : t->in[k];
        same &= in[k] == t->in[k];
    }
    if (same) return t;
    sc_tensor *y = sc_graph_again(b->g, t, in, after);
    if (!y) return t;
    int64_t at = y->id - b->count;
    if (!sc_grow(&b->origin, &b->cap_origin, at + 1, sizeof *b->origin)) {
        sc_graph_fault(b->g, sc_nomem());
        return t;
    }
    while (b->n_origin < at) b->origin[b->n_origin++] = -1;
    b->origin[b->n_origin++] = t->id;
    return b->again[t->id] = y;
}

/* t as its gradient is to look at it: a node like it where some input is made again. It is not run unless the gradient
 * reads its result too. */
static sc_tensor *seen_again(sc_gradients *b, sc_tensor *t, const sc_tensor *after)
{
    for (int k = 0; k < t->n_in; k++)
        if (t->in[k] && made_again(b, t->in[k]) && again(b, t->in[k], after) != t->in[k]) return again(b, t, after);
    return t;
}

/* d loss / d loss. */
static sc_tensor *one(sc_graph *g, const sc_shape *shape)
{
    sc_storage storage = {.dtype = SC_F32};
    if (sc_buffer_new(&storage.buffer, sizeof(float))) return sc_graph_fault(g, sc_nomem());
    storage.data = storage.buffer->data;
    *(float *)storage.data = 1;
    for (int i = 0; i < shape->rank; i++) storage.stride[i] = 1;
    sc_tensor *t = sc_graph_constant(g, "one", shape, &storage);
    sc_buffer_unref(storage.buffer);
    return t;
}

static void backward(sc_gradients *b, sc_tensor *y)
{
    sc_tensor *dy = b->grad[y->id];
    if (!dy || !y->op || !b->wanted[y->id]) return;
    if (!y->op->backward) {
        sc_graph_fault(b->g, sc_fail(SC_EUNSUPPORTED, "%s at '%s' has no derivative (%s)", y->op->name, y->name,
                                     y->op->derivative ? y->op->derivative : "none is known"));
        return;
    }
    y->op->backward(b, seen_again(b, y, dy), dy);
}

/* A parameter that is asked for more than once, as a tied table is, has one gradient: b->first by name. */
static bool find_same(const sc_graph *g, int64_t count, int *first)
{
    sc_map seen = {0};
    bool ok = true;
    for (int64_t i = 0; ok && i < count; i++) {
        const sc_tensor *t = g->tensor[i];
        int64_t before, length = (int64_t)strlen(t->name);
        first[i] = (int)i;
        if (t->leaf != SC_PARAM || !length) continue;
        if (sc_map_get(&seen, t->name, length, &before)) {
            if (g->tensor[before]->storage.data == t->storage.data &&
                sc_shape_equal(&g->tensor[before]->shape, &t->shape))
                first[i] = (int)before;
        } else {
            ok = sc_map_put(&seen, t->name, length, i);
        }
    }
    sc_map_free(&seen);
    return ok;
}

/* Where one block ends and the next begins: what the model shows as its hidden states. */
static void find_edges(sc_gradients *b, bool *edge)
{
    for (int64_t i = 0; i < b->g->n_taps; i++) {
        const sc_tensor *t = b->g->tap[i].tensor;
        if (!strstr(b->g->tap[i].name, "hidden_states") || t->id >= b->count) continue;
        edge[t->id] = true;
        if (b->to == 0 || t->id < b->from) b->from = t->id;
        b->to = SC_MAX(b->to, t->id);
    }
}

/* The parameters whose gradients are wanted, and everything that depends on them. */
static void find_wanted(const sc_gradients *b, sc_tensor *const *wrt, int64_t n, bool *wanted)
{
    for (int64_t i = 0; i < n; i++)
        if (wrt[i] && wrt[i]->id < b->count) wanted[b->first[wrt[i]->id]] = true;
    for (int64_t i = 0; i < b->count; i++) {
        const sc_tensor *t = b->g->tensor[i];
        wanted[i] |= wanted[b->first[i]];
        bool passes = t->dtype == SC_F32 && !(t->op && t->op->constant);
        for (int k = 0; k < t->n_in && passes; k++) /* a choice, a number of a row: none */
            if (t->in[k]) wanted[i] |= wanted[t->in[k]->id];
    }
}

void sc_grad_remaking(sc_graph *g, sc_tensor *loss, sc_tensor *const *wrt, int64_t n, sc_remake how,
                      sc_tensor **out)
{
    for (int64_t i = 0; i < n; i++) out[i] = NULL;
    if (g->status || !loss) return;
    if (sc_tensor_count(loss) != 1) {
        sc_graph_fault(
            g, sc_fail(SC_ESHAPE, "the gradient of a loss with %lld elements", (long long)sc_tensor_count(loss)));
        return;
    }
    size_t count = (size_t)g->count;
    bool *wanted = sc_calloc(count, sizeof *wanted), *edge = sc_calloc(count, sizeof *edge);
    int *first = sc_calloc(count, sizeof *first);
    sc_gradients b = {.g = g,
                      .count = g->count,
                      .wanted = wanted,
                      .grad = sc_calloc(count, sizeof *b.grad),
                      .first = first,
                      .how = how,
                      .edge = edge,
                      .again = sc_calloc(count, sizeof *b.again)};
    const char *scope = g->scope[g->depth];
    if (!wanted || !edge || !b.grad || !b.again || !first || !find_same(g, b.count, first)) {
        sc_graph_fault(g, sc_nomem());
        goto end;
    }
    find_edges(&b, edge);
    find_wanted(&b, wrt, n, wanted);
    b.grad[loss->id] = one(g, &loss->shape);
    for (int64_t i = loss->id; i >= 0 && !g->status; i--) {
        g->scope[g->depth] = g->tensor[i]->name; /* so that a step's gradient bears its name */
        backward(&b, g->tensor[i]);
    }
    for (int64_t i = 0; i < n; i++)
        if (wrt[i] && first[wrt[i]->id] == wrt[i]->id) out[i] = sc_contiguous(g, b.grad[wrt[i]->id]);
end:
    g->scope[g->depth] = scope;
    sc_free(wanted);
    sc_free(edge);
    sc_free(b.grad);
    sc_free(b.again);
    sc_free(b.origin);
    sc_free(first);
}

void sc_grad(sc_graph *g, sc_tensor *loss, sc_tensor *const *wrt, int64_t n, sc_tensor **out)
{
    sc_grad_remaking(g, loss, wrt, n, SC_REMAKE_NOTHING, out);
}
