/* SPDX-License-Identifier: Apache-2.0 */
/* From a graph to steps. In order:
 *  1. what the outputs need, and one step for each node among it that computes;
 *  2. fusion: a step whose result has one user may absorb that user (sc_op.absorb);
 *  3. lowering: the backend may have an input put into another form first, once for all that read it so, by the step
 *     that makes the input where nobody else reads it;
 *  4. stages: a step's stage is one more than the latest stage it reads from, so projections of one input, or the norms
 *     of queries and keys, come to run side by side without a barrier between them;
 *  5. storage: values whose stages do not overlap share bytes of one arena; never within a stage, so sharing adds no
 *     dependence;
 *  6. the backend chooses kernels.
 * All of it depends on shapes alone: the same graph gives the same plan. */
#include "tensor/tensor.h"

#include <stdlib.h>

enum { ALIGN = 64 };

/* What planning knows of each tensor. */
typedef struct note {
    bool needed, output;
    int uses;                /* by needed nodes, views included; being an output counts */
    int maker;               /* step, -1: none */
    int first, last;         /* stages in which its storage is live */
    int last_readers;        /* steps of the last stage that read it */
    const sc_tensor *merged; /* what a step that absorbed its user makes instead of it */
    bool lowered;            /* a form of another tensor that a backend asked for */
    int64_t bytes;           /* 0: has no storage of its own in the arena */
    int64_t offset;
    sc_tensor *root; /* whose storage it is in */
} note;

typedef struct planner {
    sc_plan *p;
    note *note;
    int64_t cap_notes;
} planner;

static void mark_needed(planner *pl, sc_tensor *const *outputs, int n)
{
    sc_graph *g = pl->p->graph;
    for (int i = 0; i < n; i++) {
        note *o = &pl->note[outputs[i]->id];
        o->needed = o->output = true;
        o->uses++;
    }
    for (int64_t i = g->count - 1; i >= 0; i--) {
        sc_tensor *t = g->tensor[i];
        if (!pl->note[i].needed) continue;
        for (int k = 0; k < t->n_in; k++) {
            if (!t->in[k]) continue;
            pl->note[t->in[k]->id].needed = true;
            pl->note[t->in[k]->id].uses++;
        }
    }
}

/* The step that makes what t shows, looking through views; -1: none, a leaf. */
static int maker_of(const planner *pl, const sc_tensor *t)
{
    while (t->op && t->op->view) t = t->in[0];
    return pl->note[t->id].maker;
}

static sc_status make_steps(planner *pl)
{
    sc_plan *p = pl->p;
    sc_graph *g = p->graph;
    for (int64_t i = 0; i < g->count; i++) {
        sc_tensor *t = g->tensor[i];
        pl->note[i].maker = -1;
        if (pl->note[i].needed && t->op && !t->op->view) pl->note[i].maker = p->n_steps++;
    }
    if (!(p->step = sc_calloc((size_t)p->n_steps, sizeof *p->step))) return sc_nomem();
    for (int64_t i = 0; i < g->count; i++) {
        sc_tensor *t = g->tensor[i];
        if (pl->note[i].maker < 0) continue;
        sc_step *s = &p->step[pl->note[i].maker];
        *s = (sc_step){.op = t->op, .attr = t->attr, .n_in = t->n_in, .out = t};
        memcpy(s->in, t->in, sizeof s->in);
    }
    return SC_OK;
}

/* Steps absorb their users, in order; a step that did takes its user's place, where all inputs of both exist. */
static void fuse(planner *pl)
{
    sc_plan *p = pl->p;
    for (int u = 0; u < p->n_steps; u++) {
        sc_step *user = &p->step[u];
        for (int k = 0; k < user->n_in; k++) {
            sc_tensor *t = user->in[k];
            int m = t ? pl->note[t->id].maker : -1;
            if (m < 0 || pl->note[t->id].uses != 1) continue;
            sc_step *maker = &p->step[m];
            if (!maker->op->absorb || !maker->op->absorb(maker, user)) continue;
            maker->out = user->out;
            pl->note[t->id].maker = -1;
            pl->note[t->id].needed = false;
            pl->note[t->id].merged = user->out;
            pl->note[user->out->id].maker = u;
            *user = *maker;
            maker->op = NULL;
            p->fused++;
            break;
        }
    }
    int kept = 0;
    for (int i = 0; i < p->n_steps; i++) {
        if (!p->step[i].op) continue;
        pl->note[p->step[i].out->id].maker = kept;
        p->step[kept++] = p->step[i];
    }
    p->n_steps = kept;
}

/* The tensor that `op` makes of x; a plan made before of the same graph may have asked for it already. */
static sc_tensor *lowered(planner *pl, sc_tensor *x, const sc_op *op)
{
    sc_graph *g = pl->p->graph;
    for (int64_t i = x->id + 1; i < g->count; i++)
        if (g->tensor[i]->op == op && g->tensor[i]->in[0] == x) return g->tensor[i];
    int64_t before = g->count;
    sc_tensor *y = sc_graph_node(g, op, &x, 1, NULL, 0);
    if (!y) return NULL;
    if (!sc_grow(&pl->note, &pl->cap_notes, g->count, sizeof *pl->note)) {
        sc_nomem();
        return NULL;
    }
    memset(pl->note + before, 0, sizeof *pl->note * (size_t)(g->count - before));
    pl->note[y->id].maker = -1;
    return y;
}

static sc_status lower(planner *pl)
{
    sc_plan *p = pl->p;
    sc_step *step = NULL;
    int64_t cap = 0;
    int n = 0;
    sc_status status = SC_OK;
    for (int i = 0; i < p->n_steps; i++) {
        sc_step s = p->step[i];
        if (!sc_grow(&step, &cap, n + 1 + s.n_in, sizeof *step)) {
            status = sc_nomem();
            goto fail;
        }
        for (int k = 0; k < s.n_in; k++) {
            const sc_op *op = s.in[k] ? p->backend->lower(p->backend, &s, k) : NULL;
            if (!op) continue;
            sc_tensor *y = lowered(pl, s.in[k], op);
            if (!y) {
                status = p->graph->status ? p->graph->status : SC_ENOMEM;
                goto fail;
            }
            note *o = &pl->note[y->id];
            if (!o->needed) {
                o->needed = o->lowered = true;
                o->maker = n;
                o->uses = 0;
                pl->note[s.in[k]->id].uses++;
                step[n++] = (sc_step){.op = op, .in = {s.in[k]}, .n_in = 1, .out = y};
            }
            pl->note[s.in[k]->id].uses--;
            o->uses++;
            s.in[k] = y;
        }
        pl->note[s.out->id].maker = n;
        step[n++] = s;
    }
    sc_free(p->step);
    p->step = step;
    p->n_steps = n;
    return SC_OK;
fail:
    sc_free(step);
    return status;
}

/* What only brings a tensor to a form is made right before it is read: the tensor is there anyway, and the form takes as
 * much memory again. */
static sc_status lower_late(planner *pl)
{
    sc_plan *p = pl->p;
    int *read = sc_calloc((size_t)p->n_steps, sizeof *read);
    if (!read) return sc_nomem();
    for (int i = p->n_steps - 1; i >= 0; i--) {
        sc_step *s = &p->step[i];
        if (pl->note[s->out->id].lowered && s->op == s->out->op && read[i]) s->stage = read[i] - 1;
        for (int k = 0; k < s->n_in; k++) {
            int m = s->in[k] ? maker_of(pl, s->in[k]) : -1;
            if (m >= 0) read[m] = read[m] ? SC_MIN(read[m], s->stage) : s->stage;
        }
    }
    sc_free(read);
    return SC_OK;
}

/* The step that a step is not to come before, -1: none. */
static int step_before(const planner *pl, const sc_step *s)
{
    const sc_tensor *t = s->out->after;
    while (t && (pl->note[t->id].merged || (t->op && t->op->view)))
        t = pl->note[t->id].merged ? pl->note[t->id].merged : t->in[0];
    return t ? pl->note[t->id].maker : -1;
}

static sc_status make_stages(planner *pl)
{
    sc_plan *p = pl->p;
    for (int i = 0; i < p->n_steps; i++) {
        sc_step *s = &p->step[i];
        s->stage = 0;
        for (int k = 0; k < s->n_in; k++) {
            int m = s->in[k] ? maker_of(pl, s->in[k]) : -1;
            if (m >= 0) s->stage = SC_MAX(s->stage, p->step[m].stage + 1);
        }
        int before = step_before(pl, s);
        if (before >= 0 && before < i) s->stage = SC_MAX(s->stage, p->step[before].stage + 1);
        p->n_stages = SC_MAX(p->n_stages, s->stage + 1);
    }
    sc_status late = lower_late(pl);
    if (late) return late;
    sc_step *sorted = sc_calloc((size_t)p->n_steps, sizeof *sorted);
    p->stage_begin = sc_calloc((size_t)p->n_stages + 1, sizeof *p->stage_begin);
    if (!sorted || !p->stage_begin) {
        sc_free(sorted);
        return sc_nomem();
    }
    for (int i = 0; i < p->n_steps; i++) p->stage_begin[p->step[i].stage + 1]++;
    for (int i = 0; i < p->n_stages; i++) p->stage_begin[i + 1] += p->stage_begin[i];
    for (int i = 0; i < p->n_steps; i++) sorted[p->stage_begin[p->step[i].stage]++] = p->step[i];
    for (int i = p->n_stages; i > 0; i--) p->stage_begin[i] = p->stage_begin[i - 1];
    p->stage_begin[0] = 0;
    sc_free(p->step);
    p->step = sorted;
    return SC_OK;
}

static sc_tensor *root_of(const planner *pl, sc_tensor *t)
{
    if (t->view_of) t = t->view_of;
    while (pl->note[t->id].root && pl->note[t->id].root != t) t = pl->note[t->id].root;
    return t;
}

static sc_status lifetimes(planner *pl)
{
    sc_plan *p = pl->p;
    sc_graph *g = p->graph;
    for (int64_t i = 0; i < g->count; i++) {
        note *n = &pl->note[i];
        sc_tensor *t = g->tensor[i];
        n->root = t->view_of ? t->view_of : t;
        n->first = 0;
        n->last = -1;
        if (!n->needed || n->root != t || t->leaf == SC_PARAM || t->leaf == SC_STATE) continue;
        n->bytes = sc_dtype_size(t->dtype, sc_shape_elements(&t->shape));
        bool fits = n->bytes >= 0 && sc_add_ok(n->bytes, ALIGN - 1, &n->bytes);
        n->bytes = SC_MAX(n->bytes & ~(int64_t)(ALIGN - 1), ALIGN);
        if (!fits || !sc_add_ok(p->unshared_bytes, n->bytes, &p->unshared_bytes)) {
            char text[SC_SHAPE_TEXT];
            return sc_fail(SC_ELIMIT, "%s at '%s': %s of %s is too large for memory", t->op ? t->op->name : "input",
                           t->name, sc_dtype_get(t->dtype)->name, sc_shape_text(&t->shape, text));
        }
        if (t->leaf == SC_INPUT) n->last = p->n_stages; /* written before a run, perhaps not before every one */
    }
    for (int i = 0; i < p->n_steps; i++) {
        sc_step *s = &p->step[i];
        note *o = &pl->note[pl->note[s->out->id].root->id];
        if (o == &pl->note[s->out->id]) o->first = o->last = s->stage;
        for (int k = 0; k < s->n_in; k++) {
            if (!s->in[k]) continue;
            note *n = &pl->note[pl->note[s->in[k]->id].root->id];
            if (s->stage > n->last) n->last_readers = 0;
            n->last = SC_MAX(n->last, s->stage);
            if (n->last == s->stage) n->last_readers++;
        }
    }
    for (int64_t i = 0; i < g->count; i++)
        if (pl->note[i].output) pl->note[pl->note[i].root->id].last = p->n_stages;
    return SC_OK;
}

/* A step that may write over an input does, where nobody else still needs that. */
static void share_in_place(planner *pl)
{
    sc_plan *p = pl->p;
    for (int i = 0; i < p->n_steps; i++) {
        sc_step *s = &p->step[i];
        for (int k = 0; k < s->n_in; k++) {
            if (!(s->op->in_place >> k & 1) || s->out->view_of || !s->in[k]) continue;
            sc_tensor *from = root_of(pl, s->in[k]);
            note *n = &pl->note[from->id], *o = &pl->note[s->out->id];
            if (from->leaf != SC_NODE || n->last != s->stage || n->last_readers != 1 || n->bytes != o->bytes ||
                !sc_is_contiguous(s->in[k]) || s->in[k]->view_start)
                continue;
            o->root = from;
            n->last = o->last;
            n->last_readers = o->last_readers;
            o->bytes = 0;
            break;
        }
    }
}

typedef struct piece {
    int64_t bytes;
    int id;
} piece;

static int larger_first(const void *a, const void *b)
{
    const piece *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? 1 : -1;
    return x->id < y->id ? -1 : x->id > y->id;
}

static int by_offset(const void *a, const void *b)
{
    const note *x = *(note *const *)a, *y = *(note *const *)b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Largest first, each at the lowest offset where nothing alive at the same time lies. */
static sc_status place(planner *pl)
{
    sc_plan *p = pl->p;
    int64_t count = p->graph->count;
    int n = 0, placed = 0;
    piece *order = sc_calloc((size_t)count, sizeof *order);
    note **near = sc_calloc((size_t)count, sizeof *near), **done = sc_calloc((size_t)count, sizeof *done);
    if (!order || !near || !done) {
        sc_free(order);
        sc_free(near);
        sc_free(done);
        return sc_nomem();
    }
    for (int64_t i = 0; i < count; i++)
        if (pl->note[i].bytes) order[n++] = (piece){pl->note[i].bytes, (int)i};
    qsort(order, (size_t)n, sizeof *order, larger_first);
    for (int i = 0; i < n; i++) {
        note *x = &pl->note[order[i].id];
        int m = 0;
        int64_t at = 0;
        for (int k = 0; k < placed; k++)
            if (done[k]->first <= x->last && x->first <= done[k]->last) near[m++] = done[k];
        qsort(near, (size_t)m, sizeof *near, by_offset);
        for (int k = 0; k < m && near[k]->offset < at + x->bytes; k++)
            at = SC_MAX(at, near[k]->offset + near[k]->bytes);
        x->offset = at;
        p->arena_bytes = SC_MAX(p->arena_bytes, at + x->bytes);
        done[placed++] = x;
    }
    sc_free(order);
    sc_free(near);
    sc_free(done);
    return sc_buffer_new(&p->arena, p->arena_bytes);
}

static sc_status bind(planner *pl)
{
    sc_plan *p = pl->p;
    sc_graph *g = p->graph;
    if (!(p->data = sc_calloc((size_t)g->count, sizeof *p->data))) return sc_nomem();
    for (int64_t i = 0; i < g->count; i++) {
        sc_tensor *t = g->tensor[i], *root = root_of(pl, t);
        const sc_dtype_info *d = sc_dtype_get(t->dtype);
        if (!pl->note[i].needed) continue;
        char *base = root->leaf == SC_PARAM || root->leaf == SC_STATE
                         ? root->storage.data
                         : (char *)p->arena->data + pl->note[root->id].offset;
        if (!base) return sc_fail(SC_EINVAL, "'%s' has no values: it was only declared", root->name);
        if (t->view_start % d->block)
            return sc_fail(SC_ESHAPE, "'%s': a view begins inside a block of %s", t->name, d->name);
        p->data[i] = base + t->view_start / d->block * d->bytes;
    }
    for (int i = 0; i < p->n_steps; i++) {
        sc_step *s = &p->step[i];
        s->out_data = p->data[s->out->id];
        for (int k = 0; k < s->n_in; k++) s->in_data[k] = s->in[k] ? p->data[s->in[k]->id] : NULL;
    }
    return SC_OK;
}

static sc_status choose_kernels(sc_plan *p)
{
    for (int st = 0; st < p->n_stages; st++) {
        for (int i = p->stage_begin[st]; i < p->stage_begin[st + 1]; i++) {
            sc_step *s = &p->step[i];
            sc_status status = p->backend->prepare(p->backend, s, &p->scratch_bytes);
            if (status) return sc_fail_in(status, "'%s'", s->out->name);
        }
    }
    return SC_OK;
}

sc_status sc_plan_new(sc_plan **out, sc_graph *g, sc_backend *backend, sc_tensor *const *outputs, int n_outputs)
{
    if (g->status) return sc_fail(g->status, "%s", g->fault);
    for (int i = 0; i < n_outputs; i++) {
        if (!outputs[i]) return sc_fail(SC_EINVAL, "output %d is missing", i);
        if (outputs[i]->graph != g) return sc_fail(SC_EINVAL, "output %d is of another graph", i);
        const sc_tensor *root = outputs[i]->view_of ? outputs[i]->view_of : outputs[i];
        if (root->leaf != SC_STATE && !sc_is_contiguous(outputs[i]))
            return sc_fail(SC_EINVAL, "output %d is not contiguous", i);
    }
    sc_plan *p = sc_calloc(1, sizeof *p);
    planner pl = {.p = p, .note = sc_calloc((size_t)g->count, sizeof *pl.note), .cap_notes = g->count};
    sc_status s = SC_OK;
    if (!p || !pl.note) {
        s = sc_nomem();
        goto end;
    }
    p->graph = g;
    p->backend = backend;
    mark_needed(&pl, outputs, n_outputs);
    if ((s = make_steps(&pl))) goto end;
    fuse(&pl);
    if ((s = lower(&pl))) goto end;
    fuse(&pl); /* what makes a lowered input may make it in its form at once */
    if ((s = make_stages(&pl)) || (s = lifetimes(&pl))) goto end;
    share_in_place(&pl);
    if ((s = place(&pl)) || (s = bind(&pl)) || (s = choose_kernels(p))) goto end;
    s = backend->plan_ready(backend, p);
end:
    sc_free(pl.note);
    if (s)
        sc_plan_free(p);
    else
        *out = p;
    return s;
}

void sc_plan_free(sc_plan *p)
{
    if (!p) return;
    if (p->backend) p->backend->plan_free(p->backend, p);
    sc_buffer_unref(p->arena);
    sc_free(p->step);
    sc_free(p->stage_begin);
    sc_free(p->data);
    sc_free(p);
}

void *sc_plan_data(const sc_plan *p, const sc_tensor *t) { return p->data[t->id]; }
sc_status sc_plan_run(sc_plan *p) { return p->backend->run(p->backend, p); }

/* The memory that t lies in, whole. */
static const char *memory_of(const sc_plan *p, const sc_tensor *t, int64_t *bytes)
{
    const sc_tensor *root = t->view_of ? t->view_of : t;
    *bytes = sc_dtype_size(root->dtype, sc_shape_elements(&root->shape));
    return p->data[root->id];
}

int sc_plan_last_stage(const sc_plan *p, const sc_tensor *t)
{
    int64_t bytes, other;
    const char *begin = memory_of(p, t, &bytes);
    int last = -1;
    for (int i = 0; i < p->n_steps; i++) {
        const sc_step *s = &p->step[i];
        for (int k = -1; k < s->n_in; k++) {
            const sc_tensor *x = k < 0 ? s->out : s->in[k];
            const char *at = x ? memory_of(p, x, &other) : NULL;
            if (at && at < begin + bytes && begin < at + other) last = SC_MAX(last, s->stage);
        }
    }
    return last;
}
