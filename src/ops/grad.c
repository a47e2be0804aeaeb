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
};

static sc_tensor **place_of(const sc_gradients *b, const sc_tensor *x) { return &b->grad[b->first[x->id]]; }
bool sc_gradient_wanted(const sc_gradients *b, const sc_tensor *x) { return x && b->wanted[x->id]; }
sc_tensor *sc_gradient_of(const sc_gradients *b, const sc_tensor *x) { return *place_of(b, x); }
sc_graph *sc_gradient_graph(sc_gradients *b) { return b->g; }
void sc_gradient_set(sc_gradients *b, sc_tensor *x, sc_tensor *dx) { *place_of(b, x) = dx; }

void sc_gradient_add(sc_gradients *b, sc_tensor *x, sc_tensor *dx)
{
    if (!sc_gradient_wanted(b, x) || !dx) return;
    sc_tensor **sum = place_of(b, x);
    *sum = *sum ? sc_add(b->g, dx, *sum) : dx; /* in this order the later step may absorb the sum */
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
    y->op->backward(b, y, dy);
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

void sc_grad(sc_graph *g, sc_tensor *loss, sc_tensor *const *wrt, int64_t n, sc_tensor **out)
{
    for (int64_t i = 0; i < n; i++) out[i] = NULL;
    if (g->status || !loss) return;
    if (sc_tensor_count(loss) != 1) {
        sc_graph_fault(
            g, sc_fail(SC_ESHAPE, "the gradient of a loss with %lld elements", (long long)sc_tensor_count(loss)));
        return;
    }
    int64_t count = g->count;
    bool *wanted = sc_calloc((size_t)count, sizeof *wanted);
    int *first = sc_calloc((size_t)count, sizeof *first);
    sc_gradients b = {
        .g = g, .count = count, .wanted = wanted, .grad = sc_calloc((size_t)count, sizeof *b.grad), .first = first};
    const char *scope = g->scope[g->depth];
    if (!wanted || !b.grad || !first || !find_same(g, count, first)) {
        sc_graph_fault(g, sc_nomem());
        goto end;
    }
    for (int64_t i = 0; i < n; i++)
        if (wrt[i] && wrt[i]->id < count) wanted[first[wrt[i]->id]] = true;
    for (int64_t i = 0; i < count; i++) wanted[i] = wanted[first[i]];
    for (int64_t i = 0; i < count; i++)
        for (int k = 0; k < g->tensor[i]->n_in; k++)
            if (g->tensor[i]->in[k]) wanted[i] |= wanted[g->tensor[i]->in[k]->id];
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
    sc_free(b.grad);
    sc_free(first);
}
