/* SPDX-License-Identifier: Apache-2.0 */
#include "tensor/tensor.h"

#include <stdio.h>

sc_status sc_graph_new(sc_graph **out, const sc_param_source *params)
{
    sc_graph *g = sc_calloc(1, sizeof *g);
    if (!g || !(g->arena = sc_arena_new())) {
        sc_free(g);
        return sc_nomem();
    }
    g->params = params;
    g->scope[0] = "";
    *out = g;
    return SC_OK;
}

void sc_graph_free(sc_graph *g)
{
    if (!g) return;
    for (int64_t i = 0; i < g->count; i++) sc_buffer_unref(g->tensor[i]->storage.buffer);
    sc_free(g->tensor);
    sc_free(g->tap);
    sc_arena_free(g->arena);
    sc_free(g);
}

sc_tensor *sc_graph_fault(sc_graph *g, sc_status status)
{
    if (g->status == SC_OK) {
        g->status = status;
        snprintf(g->fault, sizeof g->fault, "%s", sc_error());
    }
    return NULL;
}

void sc_scope_push(sc_graph *g, const char *fmt, ...)
{
    char part[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(part, sizeof part, fmt, ap);
    va_end(ap);
    if (g->depth + 1 >= SC_COUNT(g->scope)) {
        sc_graph_fault(g, sc_fail(SC_ELIMIT, "scopes nested deeper than %d", SC_COUNT(g->scope)));
        return;
    }
    const char *outer = g->scope[g->depth];
    const char *inner = sc_arena_printf(g->arena, "%s%s%s", outer, outer[0] && part[0] ? "." : "", part);
    if (!inner) sc_graph_fault(g, sc_nomem());
    g->scope[++g->depth] = inner ? inner : outer;
}

void sc_scope_pop(sc_graph *g)
{
    if (g->depth > 0) g->depth--;
}

static const char *scoped(sc_graph *g, const char *name)
{
    const char *scope = g->scope[g->depth];
    return sc_arena_printf(g->arena, "%s%s%s", scope, scope[0] && name[0] ? "." : "", name);
}

/* A tensor in the graph's list, not yet filled in. */
static sc_tensor *append(sc_graph *g, const char *name)
{
    if (g->status) return NULL;
    sc_tensor *t = sc_arena_alloc(g->arena, sizeof *t);
    if (!t || !name || !sc_grow(&g->tensor, &g->cap, g->count + 1, sizeof *g->tensor))
        return sc_graph_fault(g, sc_nomem());
    t->graph = g;
    t->name = name;
    t->id = (int)g->count;
    g->tensor[g->count++] = t;
    return t;
}

static void dense_strides(sc_tensor *t)
{
    int64_t n = 1;
    for (int i = t->shape.rank - 1; i >= 0; i--) {
        t->stride[i] = n;
        n *= SC_MAX(t->shape.dim[i], 1);
    }
}

/* "linear at model.layers.0: shapes (4, 32) and (16, 31): <message>" */
static sc_status node_fault(const sc_tensor *t, sc_status status)
{
    sc_str shapes = {0};
    char text[SC_SHAPE_TEXT];
    for (int i = 0; i < t->n_in; i++) {
        if (i) sc_str_puts(&shapes, ", ");
        sc_str_puts(&shapes, t->in[i] ? sc_shape_text(&t->in[i]->shape, text) : "none");
    }
    sc_fail_in(status, "%s at '%s' of %s", t->op->name, t->name, shapes.p ? shapes.p : "nothing");
    sc_str_free(&shapes);
    return status;
}

/* What a node's operation says of it, once its inputs and attributes are there. */
static sc_tensor *infer(sc_graph *g, sc_tensor *t)
{
    sc_status s = t->op->infer(t);
    if (s) return sc_graph_fault(g, node_fault(t, s));
    if (sc_shape_elements(&t->shape) < 0)
        return sc_graph_fault(g, node_fault(t, sc_fail(SC_ELIMIT, "the result is too large")));
    if (!t->op->view && t->view_of) /* written in place */
        memcpy(t->stride, t->view_of->stride, sizeof t->stride);
    else if (!t->op->view)
        dense_strides(t);
    return t;
}

sc_tensor *sc_graph_again(sc_graph *g, const sc_tensor *t, sc_tensor *const *in, const sc_tensor *after)
{
    sc_tensor *y = append(g, t->name);
    if (!y) return NULL;
    y->op = t->op;
    y->n_in = t->n_in;
    memcpy(y->in, in, sizeof *in * (size_t)t->n_in);
    y->attr = t->attr;
    y->after = after;
    return infer(g, y);
}

sc_tensor *sc_graph_node(sc_graph *g, const sc_op *op, sc_tensor *const *in, int n_in, const void *attr,
                         size_t attr_size)
{
    if (g->status) return NULL;
    for (int i = 0; i < n_in; i++)
        if (in[i] && in[i]->graph != g)
            return sc_graph_fault(
                g, sc_fail(SC_EINVAL, "%s at '%s': input %d is of another graph", op->name, g->scope[g->depth], i));
        else if (!in[i] && !(op->optional >> i & 1))
            return sc_graph_fault(
                g, sc_fail(SC_EINVAL, "%s at '%s': input %d is missing", op->name, g->scope[g->depth], i));
    sc_tensor *t = append(g, g->scope[g->depth]);
    if (!t) return NULL;
    t->op = op;
    t->n_in = n_in;
    memcpy(t->in, in, sizeof *in * (size_t)n_in);
    if (attr_size) {
        void *copy = sc_arena_alloc(g->arena, attr_size);
        if (!copy) return sc_graph_fault(g, sc_nomem());
        memcpy(copy, attr, attr_size);
        t->attr = copy;
    }
    return infer(g, t);
}

static sc_tensor *leaf(sc_graph *g, const char *name, sc_leaf kind, sc_dtype dtype, const sc_shape *shape)
{
    sc_tensor *t = append(g, scoped(g, name));
    if (!t) return NULL;
    t->leaf = kind;
    t->dtype = dtype;
    t->shape = *shape;
    if (sc_shape_elements(shape) < 0)
        return sc_graph_fault(g, sc_fail(SC_ELIMIT, "'%s': the shape is too large", t->name));
    dense_strides(t);
    return t;
}

sc_tensor *sc_graph_input(sc_graph *g, const char *name, sc_dtype dtype, const sc_shape *shape)
{
    return leaf(g, name, SC_INPUT, dtype, shape);
}

static sc_tensor *stored(sc_tensor *t, const sc_storage *storage)
{
    if (!t) return NULL;
    t->storage = *storage;
    sc_buffer_ref(t->storage.buffer);
    memcpy(t->stride, storage->stride, sizeof t->stride);
    return t;
}

sc_tensor *sc_graph_state(sc_graph *g, const char *name, const sc_shape *shape, const sc_storage *storage)
{
    return stored(leaf(g, name, SC_STATE, storage->dtype, shape), storage);
}

sc_tensor *sc_graph_constant(sc_graph *g, const char *name, const sc_shape *shape, const sc_storage *storage)
{
    return stored(leaf(g, name, SC_PARAM, storage->dtype, shape), storage);
}

/* The parameter that `want` describes, but for its name's scope and its shape. */
static sc_tensor *ask(sc_graph *g, sc_param_request *want, int rank, const int64_t *dim)
{
    const char *name = want->name;
    sc_storage storage = {0};
    if (g->status) return NULL;
    if (!g->params) return sc_graph_fault(g, sc_fail(SC_EINVAL, "'%s': the graph has no parameters", name));
    want->name = scoped(g, name);
    want->shape.rank = rank;
    if (!want->name) return sc_graph_fault(g, sc_nomem());
    memcpy(want->shape.dim, dim, sizeof *dim * (size_t)rank);
    sc_status s = g->params->get(g->params->user, want, &storage);
    if (s) return sc_graph_fault(g, s);
    /* Only declared, a formed parameter has its form's type already. */
    sc_dtype dtype = !storage.data && want->form > SC_FORM_COLUMNS ? SC_F32 : storage.dtype;
    sc_tensor *t = leaf(g, name, SC_PARAM, dtype, &want->shape);
    return storage.data ? stored(t, &storage) : t;
}

sc_tensor *sc_param_formed(sc_graph *g, const char *name, sc_init init, sc_form form, int rank, const int64_t *dim)
{
    return ask(g, &(sc_param_request){.name = name, .init = init, .form = form}, rank, dim);
}

sc_tensor *sc_param_fixed(sc_graph *g, const char *name, sc_init init, int rank, const int64_t *dim)
{
    return ask(g, &(sc_param_request){.name = name, .init = init, .fixed = true}, rank, dim);
}

sc_tensor *sc_param(sc_graph *g, const char *name, sc_init init, int rank, const int64_t *dim)
{
    return sc_param_formed(g, name, init, SC_FORM_STORED, rank, dim);
}

/* Puts the parts' storages together; they are of one type and one order. */
static sc_status stack_storage(sc_graph *g, const sc_storage *one, int64_t n, int rank, sc_storage *out)
{
    const sc_dtype_info *d = sc_dtype_get(one[0].dtype);
    const void **part = sc_arena_alloc(g->arena, sizeof *part * (size_t)n);
    if (!part) return sc_nomem();
    int64_t apart = n > 1 ? (const char *)one[1].data - (const char *)one[0].data : 0;
    bool even = apart >= 0 && apart % d->bytes == 0;
    for (int64_t i = 0; i < n; i++) {
        if (one[i].dtype != one[0].dtype ||
            memcmp(one[i].stride, one[0].stride, sizeof *one[i].stride * (size_t)rank))
            return sc_fail(SC_EUNSUPPORTED, "number %lld is stored in another way than number 0", (long long)i);
        part[i] = one[i].data;
        even &=
            one[i].buffer == one[0].buffer && (const char *)one[i].data == (const char *)one[0].data + i * apart;
    }
    *out = one[0];
    out->stride[0] = even ? apart / d->bytes * d->block : 0;
    memcpy(out->stride + 1, one[0].stride, sizeof *out->stride * (size_t)rank);
    out->part = even ? NULL : part;
    return SC_OK;
}

sc_tensor *sc_param_stack(sc_graph *g, const char *pattern, sc_init init, int64_t n, int rank, const int64_t *dim)
{
    const char *number = strstr(pattern, "%d");
    if (g->status) return NULL;
    if (!g->params || !number || n < 1 || rank >= SC_MAX_RANK)
        return sc_graph_fault(g, sc_fail(SC_EINVAL, "'%s' %lld times cannot be asked for", pattern, (long long)n));
    sc_storage *one = sc_arena_alloc(g->arena, sizeof *one * (size_t)n), all;
    sc_shape shape = {.rank = rank + 1, .dim = {n}};
    if (!one) return sc_graph_fault(g, sc_nomem());
    memcpy(shape.dim + 1, dim, sizeof *dim * (size_t)rank);
    for (int64_t i = 0; i < n; i++) {
        const char *name =
            sc_arena_printf(g->arena, "%.*s%lld%s", (int)(number - pattern), pattern, (long long)i, number + 2);
        sc_param_request want = {
            .name = name ? scoped(g, name) : NULL, .shape = {.rank = rank}, .init = init, .expert = true};
        if (!want.name) return sc_graph_fault(g, sc_nomem());
        memcpy(want.shape.dim, dim, sizeof *dim * (size_t)rank);
        one[i] = (sc_storage){0};
        sc_status s = g->params->get(g->params->user, &want, &one[i]);
        if (s) return sc_graph_fault(g, s);
    }
    if (!one[0].data) return leaf(g, pattern, SC_PARAM, one[0].dtype, &shape);
    sc_status s = stack_storage(g, one, n, rank, &all);
    if (s) return sc_graph_fault(g, sc_fail_in(s, "'%s'", scoped(g, pattern)));
    return stored(leaf(g, pattern, SC_PARAM, all.dtype, &shape), &all);
}

sc_tensor *sc_tap(sc_graph *g, sc_tensor *t, const char *fmt, ...)
{
    char name[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    if (!t || g->status) return t;
    if (!sc_grow(&g->tap, &g->cap_taps, g->n_taps + 1, sizeof *g->tap)) return sc_graph_fault(g, sc_nomem());
    char *copy = sc_arena_strndup(g->arena, name, strlen(name));
    if (!copy) return sc_graph_fault(g, sc_nomem());
    g->tap[g->n_taps].name = copy;
    g->tap[g->n_taps++].tensor = t;
    return t;
}
