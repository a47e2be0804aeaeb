/* SPDX-License-Identifier: Apache-2.0 */
/* A model as a function of named tensors, padded as HuggingFace's forward takes and gives them; inside, the padding is
 * gone: the rows' real tokens lie end to end. */
#include "models/models.h"

struct sc_outputs {
    sc_named_tensor *item;
    int64_t count, cap;
};

typedef struct padded {
    int64_t b, t, total; /* rows, columns, real tokens */
    int64_t lead;        /* virtual tokens before those of each row */
    int64_t *first, *n;  /* of each row */
} padded;

static const sc_named_tensor *named(const sc_named_tensor *in, int64_t n, const char *name)
{
    for (int64_t i = 0; i < n; i++)
        if (strcmp(in[i].name, name) == 0) return &in[i];
    return NULL;
}

static int64_t element(const sc_named_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case SC_I32: return ((const int32_t *)t->data)[i];
    case SC_I64: return ((const int64_t *)t->data)[i];
    case SC_F32: return ((const float *)t->data)[i] != 0; /* of a mask */
    default: return ((const uint8_t *)t->data)[i];
    }
}

static sc_status want(const sc_named_tensor *t, bool ids)
{
    const int64_t most = (int64_t)1 << 30; /* the tables of a batch are i32 */
    if (t->rank != 2) return sc_fail(SC_ESHAPE, "%s has %d axes, not (batch, tokens)", t->name, t->rank);
    if (t->dim[0] < 0 || t->dim[1] < 0 || t->dim[0] > most || t->dim[1] > most || t->dim[0] * t->dim[1] > most)
        return sc_fail(SC_ESHAPE, "%s has shape (%lld, %lld), outside 0 to %lld places", t->name,
                       (long long)t->dim[0], (long long)t->dim[1], (long long)most);
    if (t->dtype == SC_I32 || t->dtype == SC_I64) return SC_OK;
    if (!ids && (t->dtype == SC_F32 || t->dtype == SC_U8 || t->dtype == SC_BOOL)) return SC_OK;
    return sc_fail(SC_ESHAPE, "%s is %s, not i32 or i64", t->name,
                   t->dtype < SC_DTYPE_COUNT ? sc_dtype_get(t->dtype)->name : "of an unknown type");
}

/* Finds each row's run of real tokens. */
static sc_status unpad(padded *p, const sc_named_tensor *ids, const sc_named_tensor *mask)
{
    p->b = ids->dim[0];
    p->t = ids->dim[1];
    p->first = sc_calloc((size_t)p->b, sizeof *p->first);
    p->n = sc_calloc((size_t)p->b, sizeof *p->n);
    if (!p->first || !p->n) return sc_nomem();
    if (mask && (mask->dim[0] != p->b || mask->dim[1] != p->t))
        return sc_fail(SC_ESHAPE, "%s and %s differ in shape", mask->name, ids->name);
    for (int64_t r = 0; r < p->b; r++) {
        int64_t end = -1, count = 0;
        p->first[r] = 0;
        for (int64_t i = 0; i < p->t; i++) {
            if (mask && !element(mask, r * p->t + i)) continue;
            if (!count++) p->first[r] = i;
            end = i;
        }
        if (count && end - p->first[r] + 1 != count)
            return sc_fail(SC_EUNSUPPORTED, "%s of row %lld has a hole", mask->name, (long long)r);
        p->n[r] = count;
        p->total += count;
    }
    return p->total ? SC_OK : sc_fail(SC_EINVAL, "%s has no real token", ids->name);
}

static sc_status write_inputs(const sc_plan *plan, const sc_text_in *in, const padded *p,
                              const sc_named_tensor *ids, const sc_named_tensor *positions, int64_t vocab)
{
    int32_t *id = sc_plan_data(plan, in->ids), *start = sc_plan_data(plan, in->seqs.start),
            *position = sc_plan_data(plan, in->seqs.position),
            *wanted = in->wanted ? sc_plan_data(plan, in->wanted) : NULL;
    int64_t at = 0, real = 0;
    for (int64_t r = 0; r < p->b; r++) {
        start[r] = (int32_t)at;
        for (int64_t i = 0; i < p->lead; i++, at++) {
            id[at] = (int32_t)(vocab + i);
            if (position) position[at] = (int32_t)i;
        }
        for (int64_t i = 0; i < p->n[r]; i++, at++) {
            /* As HuggingFace counts where no position_ids are given: by column. */
            int64_t from = r * p->t + p->first[r] + i, v = element(ids, from);
            int64_t place = p->lead + (positions ? element(positions, from) : p->first[r] + i);
            if (v < 0 || v > INT32_MAX || (p->lead && v >= vocab))
                return sc_fail(SC_ELIMIT, "%s: id %lld is out of range", ids->name, (long long)v);
            id[at] = (int32_t)v;
            if (place < 0 || place > INT32_MAX)
                return sc_fail(SC_ELIMIT, "position_ids: %lld is out of range", (long long)place);
            if (position) position[at] = (int32_t)place;
            if (wanted) wanted[real++] = (int32_t)at;
        }
    }
    start[p->b] = (int32_t)at;
    return SC_OK;
}

/* A new zeroed f32 output; NULL without memory. */
static float *add_output(sc_outputs *o, const char *name, int rank, const int64_t *dim)
{
    sc_shape shape = {.rank = rank};
    memcpy(shape.dim, dim, sizeof *dim * (size_t)rank);
    int64_t n = sc_shape_elements(&shape);
    if (n < 0 || !sc_grow(&o->item, &o->cap, o->count + 1, sizeof *o->item)) return NULL;
    sc_named_tensor *t = &o->item[o->count];
    *t = (sc_named_tensor){
        .name = sc_strdup(name), .dtype = SC_F32, .rank = rank, .data = sc_calloc((size_t)n, sizeof(float))};
    memcpy(t->dim, dim, sizeof *dim * (size_t)rank);
    o->count++;
    return t->name ? t->data : NULL;
}

/* Rows of `width` for the real tokens, after `lead` others in each row, spread to (batch, tokens, width). */
static sc_status pad_rows(sc_outputs *o, const char *name, const padded *p, int64_t lead, const float *rows,
                          int64_t width)
{
    float *out = add_output(o, name, 3, (int64_t[]){p->b, p->t, width});
    if (!out) return sc_nomem();
    for (int64_t r = 0; r < p->b; r++) {
        rows += lead * width;
        memcpy(out + (r * p->t + p->first[r]) * width, rows, sizeof *out * (size_t)(p->n[r] * width));
        rows += p->n[r] * width;
    }
    return SC_OK;
}

/* The i-th tap called "name.0", "name.1", …; NULL where there are no more. */
static sc_tensor *tap_of(const sc_graph *g, const char *name, int64_t i)
{
    size_t n = strlen(name);
    for (int64_t k = 0; k < g->n_taps; k++)
        if (strncmp(g->tap[k].name, name, n) == 0 && g->tap[k].name[n] == '.' && i-- == 0) return g->tap[k].tensor;
    return NULL;
}

/* The taps "name.0" … of row 0, stacked. */
static sc_status stack_hidden(sc_outputs *o, const char *name, const padded *p, const sc_plan *plan,
                              const sc_graph *g)
{
    int64_t n = 0;
    while (tap_of(g, name, n)) n++;
    if (!n) return SC_OK;
    int64_t c = tap_of(g, name, 0)->shape.dim[1];
    float *out = add_output(o, name, 3, (int64_t[]){n, p->t, c});
    if (!out) return sc_nomem();
    for (int64_t i = 0; i < n; i++)
        memcpy(out + (i * p->t + p->first[0]) * c,
               (const float *)sc_plan_data(plan, tap_of(g, name, i)) + p->lead * c,
               sizeof *out * (size_t)(p->n[0] * c));
    return SC_OK;
}

/* ---- encoder-decoders ---- */

/* Where the decoder's rows end: decoder_lengths, or behind the last label that counts. */
static sc_status end_rows(padded *p, const sc_named_tensor *lengths, const sc_named_tensor *labels)
{
    if (lengths && (lengths->rank != 1 || lengths->dim[0] != p->b))
        return sc_fail(SC_ESHAPE, "decoder_lengths has not one number a row");
    if (labels && (labels->rank != 2 || labels->dim[0] != p->b || labels->dim[1] != p->t)) labels = NULL;
    p->total = 0;
    for (int64_t r = 0; r < p->b; r++) {
        int64_t n = p->t;
        if (lengths)
            n = element(lengths, r);
        else
            while (labels && n > 0 && element(labels, r * p->t + n - 1) == -100) n--;
        if (n < 0 || n > p->t)
            return sc_fail(SC_ESHAPE, "decoder_lengths[%lld] is %lld of %lld", (long long)r, (long long)n,
                           (long long)p->t);
        p->total += p->n[r] = n;
    }
    return p->total ? SC_OK : sc_fail(SC_EINVAL, "decoder_input_ids has no real token");
}

static bool whole_numbers(const sc_named_tensor *t) { return t && (t->dtype == SC_I32 || t->dtype == SC_I64); }

static sc_status unpad_decoder(padded *p, const sc_named_tensor *ids, const sc_named_tensor *in, int64_t n_in)
{
    const sc_named_tensor *mask = named(in, n_in, "decoder_attention_mask"),
                          *lengths = named(in, n_in, "decoder_lengths"), *labels = named(in, n_in, "labels");
    sc_status s = mask ? want(mask, false) : SC_OK;
    if (!s) s = unpad(p, ids, mask);
    return s || mask ? s
                     : end_rows(p, whole_numbers(lengths) ? lengths : NULL, whole_numbers(labels) ? labels : NULL);
}

/* What the encoder made, for every row. */
static sc_status add_encoder(sc_outputs *o, const padded *p, const sc_plan *plan, const sc_graph *g)
{
    sc_tensor *last = NULL;
    for (int64_t i = 0; tap_of(g, "encoder_hidden_states", i); i++) last = tap_of(g, "encoder_hidden_states", i);
    sc_status s = stack_hidden(o, "encoder_hidden_states", p, plan, g);
    if (!s && last)
        s = pad_rows(o, "encoder_last_hidden_state", p, p->lead, sc_plan_data(plan, last), last->shape.dim[1]);
    if (!s && (last = tap_of(g, "encoder_outputs", 0)))
        s = pad_rows(o, "encoder_outputs", p, p->lead, sc_plan_data(plan, last), last->shape.dim[1]);
    return s;
}

static sc_status forward_pair(sc_outputs *o, const sc_model *m, const sc_named_tensor *in, int64_t n_in, bool all)
{
    const sc_named_tensor *ids = named(in, n_in, "input_ids"), *mask = named(in, n_in, "attention_mask"),
                          *decoder = named(in, n_in, "decoder_input_ids");
    sc_text_graph t = {0};
    sc_plan *plan = NULL;
    padded p = {.lead = m->adapters.prompt.rows}, d = {0};
    if (!ids) ids = named(in, n_in, "src_ids");
    if (!mask) mask = named(in, n_in, "src_mask");
    if (!ids || !decoder) return sc_fail(SC_EINVAL, "%s is missing", ids ? "decoder_input_ids" : "input_ids");
    sc_status s = want(ids, true);
    if (!s) s = want(decoder, true);
    if (!s && mask) s = want(mask, false);
    if (!s && ids->dim[0] != decoder->dim[0])
        s = sc_fail(SC_ESHAPE, "%s and decoder_input_ids differ in rows", ids->name);
    if (!s) s = unpad(&p, ids, mask);
    if (!s) s = unpad_decoder(&d, decoder, in, n_in);
    if (!s)
        s = sc_text_graph_build(
            &t, m, &(sc_text_shape){.tokens = d.total, .sequences = d.b, .source = p.total + p.b * p.lead});
    if (!s) s = sc_text_graph_plan(&plan, &t, m, all);
    if (!s) s = write_inputs(plan, &t.source, &p, ids, NULL, m->info.source_vocab);
    if (!s) s = write_inputs(plan, &t.in, &d, decoder, NULL, m->info.vocab);
    if (!s) s = sc_plan_run(plan);
    if (!s) s = pad_rows(o, "logits", &d, 0, sc_plan_data(plan, t.logits), m->info.vocab);
    if (!s && all) s = add_encoder(o, &p, plan, t.g);
    if (!s && all) s = stack_hidden(o, "decoder_hidden_states", &d, plan, t.g);
    sc_plan_free(plan);
    sc_graph_free(t.g);
    sc_free(p.first);
    sc_free(p.n);
    sc_free(d.first);
    sc_free(d.n);
    return s;
}

sc_status sc_model_forward(sc_outputs **out, const sc_model *m, const sc_named_tensor *in, int64_t n_in, bool all)
{
    const sc_named_tensor *ids = named(in, n_in, "input_ids"), *mask = named(in, n_in, "attention_mask"),
                          *positions = named(in, n_in, "position_ids");
    sc_text_graph t = {0};
    sc_plan *plan = NULL;
    padded p = {.lead = m->adapters.prompt.rows};
    sc_status s;
    if (m->family->encoder_decoder) {
        sc_outputs *made = sc_calloc(1, sizeof *made);
        if (!made) return sc_nomem();
        s = forward_pair(made, m, in, n_in, all);
        if (s)
            sc_outputs_free(made);
        else
            *out = made;
        return s;
    }
    if (!ids) return sc_fail(SC_EINVAL, "input_ids is missing");
    if ((s = want(ids, true)) || (mask && (s = want(mask, false))) || (positions && (s = want(positions, true))))
        return s;
    if (positions && (positions->dim[0] != ids->dim[0] || positions->dim[1] != ids->dim[1]))
        return sc_fail(SC_ESHAPE, "position_ids and input_ids differ in shape");
    sc_outputs *o = sc_calloc(1, sizeof *o);
    if (!o) return sc_nomem();
    if ((s = unpad(&p, ids, mask))) goto end;
    if ((s = sc_text_graph_new(&t, m, p.total + p.b * p.lead, p.b, p.lead ? p.total : 0, NULL, NULL)) ||
        (s = sc_text_graph_plan(&plan, &t, m, all)) ||
        (s = write_inputs(plan, &t.in, &p, ids, positions, m->info.vocab)) || (s = sc_plan_run(plan)))
        goto end;
    s = pad_rows(o, "logits", &p, 0, sc_plan_data(plan, t.logits), m->info.vocab);
    if (!s && all) s = stack_hidden(o, "hidden_states", &p, plan, t.g);
end:
    sc_plan_free(plan);
    sc_graph_free(t.g);
    sc_free(p.first);
    sc_free(p.n);
    if (s)
        sc_outputs_free(o);
    else
        *out = o;
    return s;
}

void sc_outputs_free(sc_outputs *o)
{
    if (!o) return;
    for (int64_t i = 0; i < o->count; i++) {
        sc_free((void *)(uintptr_t)o->item[i].name);
        sc_free(o->item[i].data);
    }
    sc_free(o->item);
    sc_free(o);
}

int64_t sc_outputs_count(const sc_outputs *o) { return o->count; }
const sc_named_tensor *sc_outputs_at(const sc_outputs *o, int64_t i)
{
    return i >= 0 && i < o->count ? &o->item[i] : NULL;
}
