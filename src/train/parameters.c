/* SPDX-License-Identifier: Apache-2.0 */
/* What is trained: a model's parameters as f32 in memory of their own, each as checkpoints keep it. Where these have a
 * layer's experts in one tensor, that is one thing to train, and the single experts are places in it; where a graph has
 * them in one but checkpoints do not, each gets its part of the gradient. Or, of a model with new adapters, what these are
 * made of, and the parameters stay as they are stored. */
#include "train/train.h"

/* Where a parameter of the model is. */
typedef struct slot {
    int64_t which; /* what is trained */
    bool shared;   /* with others, as sc_published says */
    sc_published at;
} slot;

struct sc_parameters {
    sc_model *m;
    sc_trained *trained;
    slot *slot; /* of each parameter of the model */
    int64_t n;
    bool beside;         /* adapters are trained, no parameter of the model is */
    sc_map index, model; /* of names: to what is trained, and to the model's */
};

void sc_parameters_free(sc_parameters *p)
{
    if (!p) return;
    sc_map_free(&p->index);
    sc_map_free(&p->model);
    sc_free(p->trained);
    sc_free(p->slot);
    sc_free(p);
}

sc_trained *sc_parameters_trained(sc_parameters *p, int64_t *n)
{
    *n = p->n;
    return p->trained;
}

static sc_shape shape_of(const sc_model_param *p)
{
    sc_shape s = {.rank = p->rank};
    memcpy(s.dim, p->dim, sizeof s.dim);
    return s;
}

/* ---- taking them ---- */

static void replace(sc_weight *w, const sc_storage *st)
{
    sc_buffer_ref(st->buffer);
    sc_buffer_unref(w->storage.buffer);
    sc_buffer_unref(w->wide.buffer);
    w->wide = (sc_storage){0};
    w->storage = *st;
    w->transposed = false;
    w->step = 0;
}

/* A parameter that stands alone, dense in its shape. */
static sc_status own(sc_weight *w, const sc_shape *shape)
{
    sc_storage st = {.dtype = SC_F32};
    int64_t n = sc_shape_elements(shape), bytes;
    if (!sc_mul_ok(n, (int64_t)sizeof(float), &bytes)) return sc_fail(SC_ELIMIT, "'%s' is too large", w->name);
    sc_status s = sc_buffer_new(&st.buffer, bytes);
    if (s) return s;
    st.data = st.buffer->data;
    sc_dense_strides(shape, st.stride);
    if (w->transposed || w->step > 1)
        s = sc_weight_copy(w, st.data, st.stride);
    else if (w->storage.dtype == SC_F32)
        memcpy(st.data, w->storage.data, (size_t)bytes);
    else
        s = sc_dequantize(w->storage.dtype, w->storage.data, st.data, n);
    if (!s) replace(w, &st);
    sc_buffer_unref(st.buffer);
    return s;
}

/* Memory for what several parameters are in. */
static sc_status make_shared(sc_trained *t, sc_buffer **out)
{
    int64_t n = t->rows * t->cols, bytes;
    if (!sc_mul_ok(n, (int64_t)sizeof(float), &bytes)) return sc_fail(SC_ELIMIT, "'%s' is too large", t->name);
    sc_status s = sc_buffer_new(out, bytes);
    if (!s) t->value = (*out)->data;
    return s;
}

/* Element 0 of a parameter within what it is in, and the strides of its axes. */
static int64_t place_in(const slot *s, const sc_model_param *p, int64_t stride[2])
{
    const sc_published *a = &s->at;
    int64_t n = p->dim[0], c = p->rank > 1 ? p->dim[1] : 1, one = a->parts * n * c;
    stride[0] = a->columns ? a->parts : c;
    stride[1] = a->columns ? a->parts * n : 1;
    return a->expert * one + a->part * (a->columns ? 1 : n * c);
}

static sc_status join(sc_parameters *l, int64_t i, sc_buffer *buffer)
{
    sc_model_param *p = &l->m->param[i];
    sc_weight *w = sc_model_weight(l->m, p->name);
    sc_storage st = {.dtype = SC_F32, .buffer = buffer};
    float *data = (float *)buffer->data + place_in(&l->slot[i], p, st.stride);
    st.data = data;
    sc_status s = sc_weight_copy(w, data, st.stride);
    if (s) return s;
    replace(w, &st);
    w->transposed = p->transposed = l->slot[i].at.columns && p->rank > 1;
    w->step = p->step = l->slot[i].at.columns ? l->slot[i].at.parts : 0;
    return SC_OK;
}

static void set_sizes(sc_trained *t, bool decays)
{
    int64_t n = 1;
    for (int k = 0; k < t->rank; k++) n *= t->dim[k];
    t->rows = t->rank > 1 ? t->dim[0] : 1;
    for (int k = 1; k + 1 < t->rank; k++) t->rows *= t->dim[k];
    t->cols = t->rows ? n / t->rows : 0;
    t->decay = decays;
}

/* Gives parameter i its place, and makes what is trained where it is the first that is in it. */
static sc_status place(sc_parameters *l, int64_t i)
{
    sc_model_param *p = &l->m->param[i];
    slot *s = &l->slot[i];
    s->shared = sc_param_published(l->m, p, &s->at);
    const char *name = s->shared ? s->at.name : p->name;
    if (sc_map_get(&l->index, name, (int64_t)strlen(name), &s->which)) return SC_OK;
    sc_trained *t = &l->trained[s->which = l->n];
    *t = (sc_trained){.name = sc_arena_strndup(l->m->arena, name, strlen(name))};
    if (!t->name || !sc_map_put(&l->index, t->name, (int64_t)strlen(t->name), l->n)) return sc_nomem();
    l->n++;
    if (!s->shared) {
        t->rank = p->rank;
        memcpy(t->dim, p->dim, sizeof t->dim);
        set_sizes(t, p->rank > 1 && !p->fixed && sc_model_weight(l->m, p->name)->form != SC_FORM_NEG_EXP);
        t->fixed = p->fixed;
        return SC_OK;
    }
    t->dim[t->rank++] = l->m->info.experts;
    if (s->at.columns && p->rank > 1) t->dim[t->rank++] = p->dim[1];
    t->dim[t->rank++] = s->at.parts * p->dim[0];
    if (!s->at.columns && p->rank > 1) t->dim[t->rank++] = p->dim[1];
    set_sizes(t, p->rank > 1);
    return SC_OK;
}

static sc_status take(sc_parameters *l)
{
    sc_model *m = l->m;
    bool fresh = strcmp(m->info.format, "fresh") == 0; /* nobody else has seen them */
    sc_buffer **shared = sc_calloc((size_t)l->n, sizeof *shared);
    sc_status s = shared ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < m->n_params; i++) {
        sc_model_param *p = &m->param[i];
        sc_weight *w = sc_model_weight(m, p->name);
        sc_shape shape = shape_of(p);
        int64_t which = l->slot[i].which;
        sc_trained *t = &l->trained[which];
        if (l->slot[i].shared) {
            if (!shared[which]) s = make_shared(t, &shared[which]);
            if (!s) s = join(l, i, shared[which]);
        } else {
            s = fresh ? SC_OK : own(w, &shape);
            if (!s && fresh)
                replace(w, &(sc_storage){.dtype = SC_F32, .buffer = w->storage.buffer, .data = w->storage.data});
            if (!s) sc_dense_strides(&shape, w->storage.stride);
            t->value = w->storage.data;
            p->transposed = false;
            p->step = 0;
        }
        p->dtype = SC_F32;
        p->data = w->storage.data;
    }
    for (int64_t i = 0; shared && i < l->n; i++) sc_buffer_unref(shared[i]);
    sc_free(shared);
    return s;
}

/* What the model's adapters are made of. */
static sc_status list_adapters(sc_parameters *l)
{
    const sc_adapters *a = &l->m->adapters;
    if (!(l->trained = sc_calloc((size_t)a->n_learnt, sizeof *l->trained))) return sc_nomem();
    for (; l->n < a->n_learnt; l->n++) {
        const sc_learnt *from = &a->learnt[l->n];
        bool matrix = from->rank > 1 && !from->plain;
        l->trained[l->n] = (sc_trained){.name = from->name,
                                        .value = from->value,
                                        .rows = from->rows,
                                        .cols = from->cols,
                                        .decay = matrix,
                                        .rank = matrix ? 2 : 1,
                                        .dim = {matrix ? from->rows : from->rows * from->cols, from->cols}};
        if (from->param && !sc_map_put(&l->model, from->param, (int64_t)strlen(from->param), l->n))
            return sc_nomem();
    }
    l->beside = true;
    return SC_OK;
}

sc_status sc_parameters_new(sc_parameters **out, sc_model *m)
{
    sc_parameters *l = sc_calloc(1, sizeof *l);
    if (!l) return sc_nomem();
    l->m = m;
    if (m->adapters.n_learnt) {
        sc_status s = list_adapters(l);
        if (s)
            sc_parameters_free(l);
        else
            *out = l;
        return s;
    }
    l->trained = sc_calloc((size_t)m->n_params + 1, sizeof *l->trained);
    l->slot = sc_calloc((size_t)m->n_params + 1, sizeof *l->slot);
    sc_status s = l->trained && l->slot ? SC_OK : sc_nomem();
    if (!s && strcmp(m->info.format, "gguf") == 0)
        s = sc_fail(SC_EUNSUPPORTED, "%s is in GGUF's order: train from a directory", m->info.path);
    for (int64_t i = 0; !s && i < m->n_params; i++) {
        const char *name = m->param[i].name;
        s = place(l, i);
        if (!s && !sc_map_put(&l->model, name, (int64_t)strlen(name), i)) s = sc_nomem();
    }
    if (!s) s = take(l);
    if (s) {
        sc_parameters_free(l);
        return s;
    }
    m->source_.learning = m->source_.changing = true;
    *out = l;
    return SC_OK;
}

/* ---- their gradients ---- */

/* The model's parameter that a leaf is, or the first of a stack; -1: it is none. */
static int64_t param_of(const sc_parameters *l, const sc_tensor *leaf)
{
    char name[512];
    int64_t i;
    const char *number = strstr(leaf->name, "%d");
    if (number)
        snprintf(name, sizeof name, "%.*s0%s", (int)(number - leaf->name), leaf->name, number + 2);
    else
        snprintf(name, sizeof name, "%s", leaf->name);
    return sc_map_get(&l->model, name, (int64_t)strlen(name), &i) ? i : -1;
}

/* Gradients (E, N, C) or (E, N) of the parts that columns take turns with, as (E, C, parts N) or (E, parts N). */
static sc_tensor *in_columns(sc_graph *g, const sc_trained *t, sc_tensor **part, int parts)
{
    sc_tensor *x[SC_MAX_INPUTS];
    if (parts > SC_MAX_INPUTS) return sc_graph_fault(g, sc_fail(SC_ELIMIT, "'%s' has %d parts", t->name, parts));
    for (int k = 0; k < parts; k++) {
        sc_tensor *d = part[k]->shape.rank == 3 ? sc_permute(g, part[k], (int[]){0, 2, 1}) : part[k];
        x[k] = sc_reshape(g, d, 2, (int64_t[]){-1, 1});
    }
    return sc_reshape(g, parts == 1 ? x[0] : sc_concat(g, parts, x), t->rank, t->dim);
}

/* ... or one after the other, as (E, parts N, C) or (E, parts N). */
static sc_tensor *in_rows(sc_graph *g, const sc_trained *t, sc_tensor **part, int parts)
{
    sc_tensor *x[SC_MAX_INPUTS];
    if (parts > SC_MAX_INPUTS) return sc_graph_fault(g, sc_fail(SC_ELIMIT, "'%s' has %d parts", t->name, parts));
    for (int k = 0; k < parts; k++) x[k] = sc_reshape(g, part[k], 2, (int64_t[]){t->dim[0], -1});
    return sc_reshape(g, parts == 1 ? x[0] : sc_concat(g, parts, x), t->rank, t->dim);
}

enum { NOT_LEARNED = -2, OF_NO_MODEL = -1 };

/* What is trained that a constant looks at; -1: nothing. */
static int64_t adapter_of(const sc_parameters *l, const sc_tensor *leaf)
{
    for (int64_t i = 0; i < l->n; i++)
        if (l->trained[i].value == leaf->storage.data) return i;
    return -1;
}

/* Which parameter of the model, or thing that is trained beside it, a constant is, OF_NO_MODEL where it is one of x->also, or NOT_LEARNED. */
static int64_t learned(const sc_parameters *l, const sc_loss_graph *x, const sc_tensor *leaf)
{
    int64_t i = l->beside ? adapter_of(l, leaf) : param_of(l, leaf);
    if (i >= 0) return !l->beside && l->m->param[i].fixed ? NOT_LEARNED : i;
    for (int64_t k = 0; k < x->n_also; k++)
        if (x->also[k] == leaf) return OF_NO_MODEL;
    return NOT_LEARNED;
}

typedef struct found {
    int64_t param;   /* of the model, or beside it */
    sc_tensor *grad; /* NULL: the loss does not depend on it */
} found;

/* What is shared, once all its parts are known: those of leaves i .. n. A part without a gradient has zeros. */
static void put_shared(const sc_parameters *l, sc_graph *g, const found *f, int64_t i, int64_t n, sc_gradient *out)
{
    const slot *s = &l->slot[f[i].param];
    sc_tensor *part[SC_MAX_INPUTS] = {NULL};
    int parts = (int)SC_MIN(s->at.parts, SC_MAX_INPUTS);
    if (out[s->which].t) return;
    for (int64_t k = i; k < n; k++) {
        const slot *other = f[k].param < 0 || !f[k].grad ? NULL : &l->slot[f[k].param];
        if (other && other->which == s->which && other->at.part < parts) part[other->at.part] = f[k].grad;
    }
    for (int k = 0; k < parts; k++)
        if (!part[k]) part[k] = sc_affine(g, f[i].grad, 0, 0);
    const sc_trained *t = &l->trained[s->which];
    out[s->which].t = (s->at.columns ? in_columns : in_rows)(g, t, part, (int)s->at.parts);
}

static void put_alone(const sc_parameters *l, sc_graph *g, const sc_tensor *leaf, const found *f, sc_gradient *out)
{
    bool stack = strstr(leaf->name, "%d") != NULL;
    int64_t n = stack ? leaf->shape.dim[0] : 1, each = sc_tensor_count(f->grad) / SC_MAX(n, 1);
    for (int64_t e = 0; e < n; e++) {
        char name[512];
        const char *number = strstr(leaf->name, "%d");
        int64_t i = f->param;
        if (stack) {
            snprintf(name, sizeof name, "%.*s%lld%s", (int)(number - leaf->name), leaf->name, (long long)e,
                     number + 2);
            if (!sc_map_get(&l->model, name, (int64_t)strlen(name), &i)) continue;
        }
        sc_gradient *to = &out[l->beside ? i : l->slot[i].which];
        if (to->t) /* asked for several times, as a tied table is */
            *to = (sc_gradient){sc_add(g, to->t, f->grad), 0};
        else
            *to = (sc_gradient){f->grad, e * each};
    }
}

sc_status sc_parameters_differentiate(const sc_parameters *l, const sc_loss_graph *x, sc_remake how,
                                      sc_gradient *out, sc_tensor **also)
{
    sc_graph *g = x->t.g;
    int64_t leaves = 0, count = g->count;
    sc_tensor **leaf = sc_calloc((size_t)count, sizeof *leaf), **grad = sc_calloc((size_t)count, sizeof *grad);
    found *f = sc_calloc((size_t)count, sizeof *f);
    sc_status s = leaf && grad && f ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < count; i++)
        if (g->tensor[i]->leaf == SC_PARAM && (f[leaves].param = learned(l, x, g->tensor[i])) != NOT_LEARNED)
            leaf[leaves++] = g->tensor[i];
    if (!s) sc_grad_remaking(g, x->loss, leaf, leaves, how, grad);
    for (int64_t i = 0; !s && i < leaves; i++) {
        for (int64_t k = 0; k < x->n_also; k++)
            if (leaf[i] == x->also[k]) also[k] = grad[i];
        f[i].grad = grad[i];
    }
    for (int64_t i = 0; !s && !g->status && i < leaves; i++) {
        if (f[i].param < 0 || !f[i].grad) continue;
        if (!l->beside && l->slot[f[i].param].shared)
            put_shared(l, g, f, i, leaves, out);
        else
            put_alone(l, g, leaf[i], &f[i], out);
    }
    sc_free(leaf);
    sc_free(grad);
    sc_free(f);
    return s ? s : g->status ? sc_fail(g->status, "%s", g->fault) : SC_OK;
}
