/* SPDX-License-Identifier: Apache-2.0 */
/* A model as a function of named tensors, with the loss of its labels and what each weight has to do with that: an objective
 * whose only batch is what a call gives. */
#include "train/train.h"

#include <math.h>

/* A call, as a batch. */
typedef struct given {
    const sc_model *m;
    sc_text_call call;
    int32_t *ids, *start, *positions, *types, *wanted, *source_ids, *source_start, *source_positions;
    int64_t words, nexts; /* rows of labels: what the head gives, then whether the second text follows */
    int32_t *labels;
    float *target, *weight;
} given;

static void free_given(given *x)
{
    void *all[] = {x->ids,    x->start,      x->positions,    x->types,
                   x->wanted, x->source_ids, x->source_start, x->source_positions,
                   x->labels, x->target,     x->weight};
    for (int i = 0; i < SC_COUNT(all); i++) sc_free(all[i]);
    sc_text_call_free(&x->call);
}

/* ---- reading ---- */

static sc_status make_room(given *x)
{
    const sc_text_shape *s = &x->call.shape;
    size_t tokens = (size_t)s->tokens, source = (size_t)s->source, starts = (size_t)s->sequences + 1,
           rows = (size_t)(x->words + x->nexts) + 1;
    x->ids = sc_calloc(tokens, sizeof *x->ids);
    x->positions = sc_calloc(tokens, sizeof *x->positions);
    x->types = sc_calloc(tokens, sizeof *x->types);
    x->start = sc_calloc(starts, sizeof *x->start);
    x->wanted = sc_calloc((size_t)s->wanted + 1, sizeof *x->wanted);
    x->source_ids = sc_calloc(source + 1, sizeof *x->source_ids);
    x->source_positions = sc_calloc(source + 1, sizeof *x->source_positions);
    x->source_start = sc_calloc(starts, sizeof *x->source_start);
    x->labels = sc_calloc(rows, sizeof *x->labels);
    x->target = sc_calloc(rows, sizeof *x->target);
    x->weight = sc_calloc(rows, sizeof *x->weight);
    return x->ids && x->positions && x->types && x->start && x->wanted && x->source_ids && x->source_positions &&
                   x->source_start && x->labels && x->target && x->weight
               ? SC_OK
               : sc_nomem();
}

static sc_status read_texts(given *x)
{
    sc_text_tables text = {x->ids, x->start, x->positions, x->types, x->call.shape.wanted ? x->wanted : NULL},
                   source = {.ids = x->source_ids, .start = x->source_start, .positions = x->source_positions};
    sc_status s = sc_text_call_fill(&x->call.text, text);
    return s || !x->call.source.ids ? s : sc_text_call_fill(&x->call.source, source);
}

static sc_status want(const sc_named_tensor *t, const char *name, int rank, int64_t a, int64_t b, bool numbers)
{
    if (!t) return sc_fail(SC_EINVAL, "%s is missing", name);
    if (t->dtype != SC_I32 && t->dtype != SC_I64 && !(numbers && t->dtype == SC_F32))
        return sc_fail(SC_ESHAPE, "%s is not %s", name, numbers ? "f32, i32 or i64" : "i32 or i64");
    if (t->rank == rank && t->dim[0] == a && (rank < 2 || t->dim[1] == b)) return SC_OK;
    return rank < 2 ? sc_fail(SC_ESHAPE, "%s is not one number a row (%lld)", name, (long long)a)
                    : sc_fail(SC_ESHAPE, "%s is not of shape (%lld, %lld)", name, (long long)a, (long long)b);
}

static sc_status put_label(given *x, int64_t at, const sc_named_tensor *t, int64_t i)
{
    int64_t v = sc_named_int(t, i);
    if (v > INT32_MAX) return sc_fail(SC_ELIMIT, "%s: %lld is out of range", t->name, (long long)v);
    x->labels[at] = v < 0 ? -1 : (int32_t)v;
    return SC_OK;
}

/* Rows first .. first + n count alike, those without a label not at all. */
static sc_status weigh(given *x, const char *name, int64_t first, int64_t n)
{
    int64_t counted = 0;
    for (int64_t i = first; i < first + n; i++) counted += x->labels[i] >= 0;
    for (int64_t i = first; i < first + n; i++) x->weight[i] = 1 / (float)SC_MAX(counted, 1);
    return counted ? SC_OK : sc_fail(SC_EINVAL, "%s has none that counts", name);
}

/* Of each real token; in a causal model the label is that of the next column. */
static sc_status read_token_labels(given *x, const sc_named_tensor *t)
{
    const sc_padded *p = &x->call.text.rows;
    int64_t shift = x->m->info.head == SC_HEAD_NEXT && !x->m->family->encoder_decoder, at = 0;
    sc_status s = want(t, "labels", 2, p->b, p->t, false);
    for (int64_t r = 0; r < p->b; r++)
        for (int64_t i = p->first[r] + shift; !s && i < p->first[r] + p->n[r] + shift; i++, at++) {
            x->labels[at] = -1;
            if (i < p->t) s = put_label(x, at, t, r * p->t + i);
        }
    return s ? s : weigh(x, "labels", 0, at);
}

/* Of each sequence: a class, a number or, where classes do not exclude each other, yes or no for each. */
static sc_status read_class_labels(given *x, const sc_named_tensor *t)
{
    int64_t b = x->call.text.rows.b, n = x->words / SC_MAX(b, 1);
    bool each = sc_model_multi_label(x->m), number = !each && x->m->info.labels == 1;
    sc_status s = want(t, "labels", each || (t && t->rank == 2) ? 2 : 1, b, n, each || number);
    for (int64_t i = 0; !s && i < x->words; i++) {
        if (t->dtype == SC_F32)
            x->target[i] = ((const float *)t->data)[i];
        else
            x->target[i] = (float)sc_named_int(t, i);
        if (number)
            x->labels[i] = 0;
        else if (each)
            x->labels[i] = x->target[i] != 0;
        else
            s = put_label(x, i, t, i);
        if (!s && each && x->target[i] != 0 && x->target[i] != 1)
            s = sc_fail(SC_EINVAL, "labels has %g, not 0 or 1", (double)x->target[i]);
    }
    return s ? s : weigh(x, "labels", 0, x->words);
}

static sc_status read_given(given *x, const sc_model *m, const sc_named_tensor *in, int64_t n_in)
{
    const sc_named_tensor *labels = sc_named(in, n_in, "labels"), *next = sc_named(in, n_in, "next_sentence_label");
    const sc_encoder *e = sc_model_encoder(m);
    sc_head head = m->info.head;
    sc_status s = sc_text_call_read(&x->call, m, in, n_in);
    if (s) return s;
    const sc_padded *p = &x->call.text.rows;
    x->m = m;
    x->words = head == SC_HEAD_NONE ? 0 : p->total;
    if (head == SC_HEAD_CLASSES) x->words = p->b * (sc_model_multi_label(m) ? m->info.labels : 1);
    x->nexts = e && e->next_sentence && next ? p->b : 0;
    if (head == SC_HEAD_SPAN) return sc_fail(SC_EUNSUPPORTED, "%s: no loss of a span's ends", m->info.path);
    if (head == SC_HEAD_NONE && p->b != 2)
        return sc_fail(SC_EINVAL, "input_ids has %lld rows, not the two that are compared", (long long)p->b);
    if (!(s = make_room(x))) s = read_texts(x);
    if (!s && head == SC_HEAD_CLASSES) s = read_class_labels(x, labels);
    if (!s && head != SC_HEAD_CLASSES && head != SC_HEAD_NONE) s = read_token_labels(x, labels);
    if (s || !x->nexts) return s;
    if ((s = want(next, "next_sentence_label", 1, p->b, 0, false))) return s;
    for (int64_t i = 0; !s && i < x->nexts; i++) s = put_label(x, x->words + i, next, i);
    return s ? s : weigh(x, "next_sentence_label", x->words, x->nexts);
}

/* ---- the loss ---- */

/* The sum of losses (R). */
static sc_tensor *sum(sc_graph *g, sc_tensor *losses)
{
    return sc_sum_leading(g, sc_reshape(g, losses, 2, (int64_t[]){-1, 1}), 1);
}

/* The cross entropy of logits (n, classes) with labels first .. first + n. */
static sc_tensor *entropy(sc_loss_graph *out, sc_tensor *logits, int64_t first, int64_t n)
{
    sc_graph *g = out->t.g;
    return sum(g, sc_cross_entropy(g, logits, sc_slice(g, out->labels, 0, first, n),
                                   sc_slice(g, out->weight, 0, first, n)));
}

/* Of yes and no, from one logit each: no has the logit 0. */
static sc_tensor *yes_or_no(sc_loss_graph *out, sc_tensor *logits, int64_t n)
{
    sc_graph *g = out->t.g;
    sc_tensor *x = sc_reshape(g, logits, 2, (int64_t[]){n, 1});
    return entropy(out, sc_place(g, NULL, x, 1, 1, 2), 0, n);
}

/* The mean square of what numbers (n, 1) are off. */
static sc_tensor *squares(sc_loss_graph *out, sc_tensor *numbers, int64_t n)
{
    sc_graph *g = out->t.g;
    out->target = sc_graph_input(g, "target", SC_F32, &(sc_shape){1, {n}});
    sc_tensor *off = sc_add(g, sc_reshape(g, numbers, 1, &n), sc_affine(g, out->target, -1, 0));
    return sum(g, sc_mul(g, sc_mul(g, off, off), sc_slice(g, out->weight, 0, 0, n)));
}

/* The cosine between the mean states of two texts, of x (T, C). */
static sc_tensor *cosine(sc_loss_graph *out, sc_tensor *x)
{
    sc_graph *g = out->t.g;
    sc_tensor *start = out->t.in.seqs.start;
    if (!x) return NULL;
    int64_t c = x->shape.dim[1];
    x = sc_pool_tokens(g, SC_POOL_MEAN, x, sc_slice(g, start, 0, 0, 2), sc_slice(g, start, 0, 1, 2));
    x = sc_affine(g, sc_apply_rms_norm(g, x, NULL, 1e-30f), (float)(1 / sqrt((double)c)), 0); /* of length 1 */
    return sum(g, sc_mul(g, sc_slice(g, x, 0, 0, 1), sc_slice(g, x, 0, 1, 1)));
}

static sc_tensor *loss_of(const given *x, sc_loss_graph *out)
{
    sc_tensor *y = out->t.logits;
    switch (x->m->info.head) {
    case SC_HEAD_NONE: return cosine(out, y);
    case SC_HEAD_REPLACED: return yes_or_no(out, y, x->words);
    case SC_HEAD_CLASSES:
        if (sc_model_multi_label(x->m)) return yes_or_no(out, y, x->words);
        if (x->m->info.labels == 1) return squares(out, y, x->words);
        break;
    default: break;
    }
    return entropy(out, y, 0, x->words);
}

static sc_tensor *tap_named(const sc_graph *g, const char *name)
{
    for (int64_t i = 0; i < g->n_taps; i++)
        if (strcmp(g->tap[i].name, name) == 0) return g->tap[i].tensor;
    return NULL;
}

/* Whether a constant is a matrix of an adapter. */
static bool is_adapted(const sc_adapters *a, const void *data)
{
    bool found = data && data == a->prompt.table.data;
    for (int64_t i = 0; i < a->count; i++)
        found = found || (data && (data == a->part[i].lora.a.data || data == a->part[i].lora.b.data));
    return found;
}

static sc_status find_adapters(sc_loss_graph *out, const sc_adapters *a)
{
    const sc_graph *g = out->t.g;
    if (!a->count && !a->prompt.table.data) return SC_OK;
    if (!(out->also = sc_arena_alloc(g->arena, sizeof *out->also * (size_t)g->count))) return sc_nomem();
    for (int64_t i = 0; i < g->count; i++)
        if (g->tensor[i]->leaf == SC_PARAM && is_adapted(a, g->tensor[i]->storage.data))
            out->also[out->n_also++] = g->tensor[i];
    return SC_OK;
}

static sc_status build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    const given *x = self;
    sc_status s = sc_text_graph_build(&out->t, m, &x->call.shape);
    if (s) return s;
    sc_graph *g = out->t.g;
    sc_shape rows = {1, {x->words + x->nexts}};
    (void)b; /* there is but the one */
    out->labels = sc_graph_input(g, "labels", SC_I32, &rows);
    out->weight = sc_graph_input(g, "weight", SC_F32, &rows);
    out->loss = loss_of(x, out);
    if (x->nexts)
        out->loss = sc_add(g, out->loss,
                           entropy(out, tap_named(g, "sequence.seq_relationship_logits"), x->words, x->nexts));
    return find_adapters(out, &m->adapters);
}

static const sc_objective by_head = {.name = "call", .build = build};

static sc_text_batch batch_of(const given *x)
{
    const sc_text_shape *s = &x->call.shape;
    return (sc_text_batch){.tokens = s->tokens,
                           .sequences = s->sequences,
                           .ids = x->ids,
                           .start = x->start,
                           .types = x->types,
                           .positions = x->positions,
                           .source = s->source,
                           .source_ids = x->source_ids,
                           .source_start = x->source_start,
                           .source_positions = x->source_positions,
                           .rows = x->words + x->nexts,
                           .wanted = s->wanted ? x->wanted : NULL,
                           .labels = x->labels,
                           .target = x->target,
                           .weight = x->weight};
}

/* ---- what is given back ---- */

/* A new output "grad.STEM" + end. */
static float *add_gradient(sc_outputs *o, const char *stem, const char *end, int rank, const int64_t *dim)
{
    sc_str name = {0};
    sc_str_printf(&name, "grad.%s%s", stem, end);
    char *text = sc_str_take(&name, NULL);
    float *out = text ? sc_outputs_add(o, text, rank, dim) : NULL;
    sc_free(text);
    return out;
}

static sc_status give_parameters(sc_outputs *o, sc_model *m, const sc_learner *l)
{
    int64_t n;
    const sc_trained *t = sc_learner_trained(l, &n);
    for (int64_t i = 0; i < n; i++) {
        if (t[i].fixed) continue;
        const sc_weight *w = sc_model_weight(m, t[i].name); /* as the file calls it */
        float *out = add_gradient(o, w ? w->name : t[i].name, "", t[i].rank, t[i].dim);
        if (!out) return sc_nomem();
        memcpy(out, sc_learner_gradients(l)[i], sizeof *out * (size_t)(t[i].rows * t[i].cols));
    }
    return SC_OK;
}

/* The sum of the gradients of all constants that look at `data`, times `scale`: (rows, cols), or turned round. */
static void add_up(const sc_learner *l, const void *data, float scale, int64_t rows, int64_t cols, bool turned,
                   float *out)
{
    int64_t n;
    sc_tensor *const *also = sc_learner_also(l, &n);
    for (int64_t k = 0; k < n; k++) {
        const float *g = also[k]->storage.data == data ? sc_learner_also_gradient(l, k) : NULL;
        for (int64_t i = 0; g && i < rows * cols; i++) out[i] += scale * g[turned ? i % cols * rows + i / cols : i];
    }
}

/* Under the names of the adapters' files, which have a table's A the other way round. */
static sc_status give_adapters(sc_outputs *o, const sc_model *m, const sc_learner *l)
{
    const sc_adapters *a = &m->adapters;
    for (int64_t i = 0; i < a->count; i++) {
        const sc_adapter_part *p = &a->part[i];
        const sc_lora *lora = &p->lora;
        bool table = p->use == SC_LORA_TABLE;
        if (lora->gain.data || lora->kind != SC_LORA_ADDS || lora->experts || p->wide)
            return sc_fail(SC_EUNSUPPORTED, "'%s': no gradients of other adapters than plain LoRA", p->name);
        float *down = add_gradient(o, p->stem, table ? ".lora_embedding_A" : ".lora_A.weight", 2,
                                   (int64_t[]){lora->rank, lora->cols});
        if (!down) return sc_nomem();
        add_up(l, lora->a.data, 1, lora->rank, lora->cols, table, down);
        float *up = add_gradient(o, p->stem, table ? ".lora_embedding_B" : ".lora_B.weight", 2,
                                 (int64_t[]){lora->rows, lora->rank});
        if (!up) return sc_nomem();
        add_up(l, lora->b.data, p->scale, lora->rows, lora->rank, false, up);
    }
    if (!a->prompt.table.data) return SC_OK;
    if (a->prompt.layers) return sc_fail(SC_EUNSUPPORTED, "no gradients of prefix tuning");
    float *prompt = add_gradient(o, "prompt_embeddings", "", 2, (int64_t[]){a->prompt.rows, a->prompt.width});
    if (!prompt) return sc_nomem();
    add_up(l, a->prompt.table.data, 1, a->prompt.rows, a->prompt.width, false, prompt);
    return SC_OK;
}

sc_status sc_model_gradients(sc_outputs **out, sc_model *m, const sc_named_tensor *in, int64_t n_in, bool all)
{
    sc_outputs *o = NULL;
    sc_learner *l = NULL;
    given x = {0};
    double loss;
    sc_status s = read_given(&x, m, in, n_in);
    if (!s) s = sc_model_forward(&o, m, in, n_in, all);
    if (!s) s = sc_learner_new(&l, m, &by_head, &x);
    sc_text_batch b = batch_of(&x);
    if (!s) s = sc_learner_add(l, &b, 1, &loss);
    float *value = s ? NULL : sc_outputs_add(o, "loss", 1, (int64_t[]){1});
    if (!s && !value) s = sc_nomem();
    if (!s) *value = (float)loss;
    if (!s) s = give_parameters(o, m, l);
    if (!s) s = give_adapters(o, m, l);
    sc_learner_free(l);
    free_given(&x);
    if (s)
        sc_outputs_free(o);
    else
        *out = o;
    return s;
}
