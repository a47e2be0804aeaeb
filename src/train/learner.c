/* SPDX-License-Identifier: Apache-2.0 */
/* A model, its loss and the gradients of all its parameters as one plan, kept for batches of the same shape. */
#include "train/train.h"

/* A plan and the shape that it is for. */
typedef struct pass {
    int64_t tokens, sequences;
    sc_text_graph t;
    sc_plan *plan;
    sc_tensor *labels, *weight, *loss;
    sc_tensor **grad; /* of each parameter; NULL in a pass without */
} pass;

struct sc_learner {
    sc_model *m;
    sc_trained *trained;
    float **grad; /* of each parameter: where the plan left it, or `sum` */
    float **
        sum; /* memory for sums over batches, and of zeros for a parameter without a gradient; NULL: not needed yet */
    int64_t n, added;
    pass add, loss; /* with gradients and without */
};

static void free_pass(pass *p)
{
    sc_plan_free(p->plan);
    sc_graph_free(p->t.g);
    sc_free(p->grad);
    *p = (pass){0};
}

void sc_learner_free(sc_learner *l)
{
    if (!l) return;
    free_pass(&l->add);
    free_pass(&l->loss);
    for (int64_t i = 0; l->sum && i < l->n; i++) sc_free(l->sum[i]);
    sc_free(l->sum);
    sc_free(l->grad);
    sc_free(l->trained);
    sc_free(l);
}

/* ---- parameters ---- */

/* A parameter's values as f32 in memory of its own, dense in its shape. */
static sc_status own(sc_weight *w, const sc_shape *shape)
{
    sc_storage st = {.dtype = SC_F32};
    int64_t n = sc_shape_elements(shape), bytes;
    if (w->permuted || w->transposed)
        return sc_fail(SC_EUNSUPPORTED, "'%s' is stored in GGUF's order: train from a directory", w->name);
    if (!sc_mul_ok(n, (int64_t)sizeof(float), &bytes)) return sc_fail(SC_ELIMIT, "'%s' is too large", w->name);
    sc_status s = sc_buffer_new(&st.buffer, bytes);
    if (s) return s;
    st.data = st.buffer->data;
    sc_dense_strides(shape, st.stride);
    if (w->storage.dtype == SC_F32)
        memcpy(st.data, w->storage.data, (size_t)bytes);
    else if ((s = sc_dequantize(w->storage.dtype, w->storage.data, st.data, n))) {
        sc_buffer_unref(st.buffer);
        return s;
    }
    sc_buffer_unref(w->storage.buffer);
    sc_buffer_unref(w->wide.buffer);
    w->wide = (sc_storage){0};
    w->storage = st;
    return SC_OK;
}

static sc_status take_parameters(sc_learner *l)
{
    sc_model *m = l->m;
    l->n = m->n_params;
    l->trained = sc_calloc((size_t)l->n, sizeof *l->trained);
    l->grad = sc_calloc((size_t)l->n, sizeof *l->grad);
    l->sum = sc_calloc((size_t)l->n, sizeof *l->sum);
    if (!l->trained || !l->grad || !l->sum) return sc_nomem();
    for (int64_t i = 0; i < l->n; i++) {
        sc_model_param *p = &m->param[i];
        sc_weight *w = sc_model_weight(m, p->name);
        sc_shape shape = {.rank = p->rank};
        memcpy(shape.dim, p->dim, sizeof shape.dim);
        sc_status s = SC_OK;
        bool fresh = strcmp(m->info.format, "fresh") == 0; /* nobody else has seen them */
        if (!fresh && (s = own(w, &shape))) return s;
        int64_t n = sc_shape_elements(&shape);
        sc_trained *t = &l->trained[i];
        *t = (sc_trained){.name = p->name, .value = w->storage.data, .rows = p->rank > 1 ? p->dim[0] : 1};
        t->cols = t->rows ? n / t->rows : 0;
        t->decay = p->rank > 1;
        p->dtype = SC_F32;
        p->data = t->value;
    }
    return SC_OK;
}

sc_status sc_learner_new(sc_learner **out, sc_model *m)
{
    sc_learner *l = sc_calloc(1, sizeof *l);
    if (!l) return sc_nomem();
    l->m = m;
    sc_status s = take_parameters(l);
    if (s)
        sc_learner_free(l);
    else
        *out = l;
    return s;
}

const sc_trained *sc_learner_trained(const sc_learner *l, int64_t *n)
{
    *n = l->n;
    return l->trained;
}

float *const *sc_learner_gradients(const sc_learner *l) { return l->grad; }

void sc_learner_clear(sc_learner *l) { l->added = 0; }

static int64_t count_of(const sc_learner *l, int64_t i) { return l->trained[i].rows * l->trained[i].cols; }

static sc_status make_sum(sc_learner *l, int64_t i)
{
    if (!l->sum[i]) l->sum[i] = sc_calloc((size_t)SC_MAX(count_of(l, i), 1), sizeof **l->sum);
    return l->sum[i] ? SC_OK : sc_nomem();
}

/* ---- passes ---- */

/* Gradients by parameter: one may be asked for several times, as a tied table is. */
static sc_status differentiate(sc_learner *l, pass *p)
{
    sc_graph *g = p->t.g;
    int64_t leaves = 0;
    sc_tensor **leaf = sc_calloc((size_t)g->count, sizeof *leaf),
              **grad = sc_calloc((size_t)g->count, sizeof *grad);
    sc_map index = {0};
    sc_status s = SC_OK;
    p->grad = sc_calloc((size_t)l->n, sizeof *p->grad);
    if (!leaf || !grad || !p->grad) s = sc_nomem();
    for (int64_t i = 0; !s && i < l->n; i++)
        if (!sc_map_put(&index, l->trained[i].name, (int64_t)strlen(l->trained[i].name), i)) s = sc_nomem();
    for (int64_t i = 0; !s && i < g->count; i++)
        if (g->tensor[i]->leaf == SC_PARAM) leaf[leaves++] = g->tensor[i];
    if (!s) sc_grad(g, p->loss, leaf, leaves, grad);
    for (int64_t i = 0; !s && i < leaves; i++) {
        int64_t which;
        if (!grad[i] || !sc_map_get(&index, leaf[i]->name, (int64_t)strlen(leaf[i]->name), &which)) continue;
        p->grad[which] = p->grad[which] ? sc_add(g, p->grad[which], grad[i]) : grad[i];
    }
    sc_map_free(&index);
    sc_free(leaf);
    sc_free(grad);
    return s ? s : g->status ? sc_fail(g->status, "%s", g->fault) : SC_OK;
}

static sc_status make_pass(sc_learner *l, pass *p, const sc_text_batch *b, bool gradients)
{
    int64_t n = 1;
    if (p->plan && p->tokens == b->tokens && p->sequences == b->sequences) return SC_OK;
    free_pass(p);
    if (l->m->info.source_vocab)
        return sc_fail(SC_EUNSUPPORTED, "%s: no training of encoder-decoders", l->m->info.path);
    sc_status s = sc_text_graph_new(&p->t, l->m, b->tokens, b->sequences, 0, NULL, NULL);
    if (s) return s;
    sc_graph *g = p->t.g;
    sc_shape rows = {1, {b->tokens}};
    p->labels = sc_graph_input(g, "labels", SC_I32, &rows);
    p->weight = sc_graph_input(g, "weight", SC_F32, &rows);
    sc_tensor *losses = sc_cross_entropy(g, p->t.logits, p->labels, p->weight);
    p->loss = sc_sum_leading(g, sc_reshape(g, losses, 2, (int64_t[]){-1, 1}), 1);
    if (g->status) s = sc_fail(g->status, "%s", g->fault);
    if (!s && gradients) s = differentiate(l, p);
    sc_linear_in_order(g, SC_F32);
    sc_tensor **outputs = s ? NULL : sc_calloc((size_t)l->n + 1, sizeof *outputs);
    if (outputs) {
        outputs[0] = p->loss;
        for (int64_t i = 0; gradients && i < l->n; i++)
            if (p->grad[i]) outputs[n++] = p->grad[i];
        s = sc_plan_new(&p->plan, g, l->m->backend, outputs, (int)n);
        sc_free(outputs);
    } else if (!s)
        s = sc_nomem();
    p->tokens = b->tokens;
    p->sequences = b->sequences;
    if (s) free_pass(p);
    return s;
}

static sc_status run_pass(sc_learner *l, pass *p, const sc_text_batch *b, bool gradients, double *loss)
{
    sc_status s = make_pass(l, p, b, gradients);
    if (s) return s;
    const sc_text_in *in = &p->t.in;
    size_t rows = (size_t)b->tokens;
    int32_t *position = sc_plan_data(p->plan, in->seqs.position), *start = sc_plan_data(p->plan, in->seqs.start);
    memcpy(sc_plan_data(p->plan, in->ids), b->ids, rows * sizeof *b->ids);
    memcpy(sc_plan_data(p->plan, p->labels), b->labels, rows * sizeof *b->labels);
    memcpy(sc_plan_data(p->plan, p->weight), b->weight, rows * sizeof *b->weight);
    if (start) memcpy(start, b->start, ((size_t)b->sequences + 1) * sizeof *start);
    for (int64_t q = 0; position && q < b->sequences; q++)
        for (int64_t i = b->start[q]; i < b->start[q + 1]; i++) position[i] = (int32_t)i - b->start[q];
    if ((s = sc_plan_run(p->plan))) return s;
    *loss = *(const float *)sc_plan_data(p->plan, p->loss);
    return SC_OK;
}

/* What the plan left is about to be overwritten. */
static sc_status keep(sc_learner *l)
{
    for (int64_t i = 0; i < l->n; i++) {
        if (l->grad[i] == l->sum[i]) continue;
        sc_status s = make_sum(l, i);
        if (s) return s;
        memcpy(l->sum[i], l->grad[i], sizeof **l->sum * (size_t)count_of(l, i));
        l->grad[i] = l->sum[i];
    }
    return SC_OK;
}

sc_status sc_learner_add(sc_learner *l, const sc_text_batch *b, double *loss)
{
    sc_status s = l->added == 1 ? keep(l) : SC_OK;
    if (!s) s = run_pass(l, &l->add, b, true, loss);
    for (int64_t i = 0; !s && i < l->n; i++) {
        float *from = l->add.grad[i] ? sc_plan_data(l->add.plan, l->add.grad[i]) : NULL;
        if (l->added == 0) {
            if (!from && (s = make_sum(l, i))) break;
            if (!from) memset(l->sum[i], 0, sizeof **l->sum * (size_t)count_of(l, i));
            l->grad[i] = from ? from : l->sum[i];
        } else {
            for (int64_t k = 0; from && k < count_of(l, i); k++) l->sum[i][k] += from[k];
        }
    }
    if (!s) l->added++;
    return s;
}

sc_status sc_learner_loss(sc_learner *l, const sc_text_batch *b, double *loss)
{
    return run_pass(l, &l->loss, b, false, loss);
}

double sc_learner_flops(const sc_learner *l) { return l->add.plan ? sc_plan_cost(l->add.plan).flops : 0; }
int64_t sc_learner_arena_bytes(const sc_learner *l) { return l->add.plan ? l->add.plan->arena_bytes : 0; }
sc_plan *sc_learner_plan(sc_learner *l) { return l->add.plan; }
