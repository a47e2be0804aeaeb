/* SPDX-License-Identifier: Apache-2.0 */
/* A model as a function of named tensors, padded as HuggingFace's forward takes and gives them; inside, the padding is
 * gone: the rows' real tokens lie end to end. */
#include "models/models.h"

struct sc_outputs {
    sc_named_tensor *item;
    int64_t count, cap;
};

const sc_named_tensor *sc_named(const sc_named_tensor *in, int64_t n, const char *name)
{
    for (int64_t i = 0; i < n; i++)
        if (strcmp(in[i].name, name) == 0) return &in[i];
    return NULL;
}

int64_t sc_named_int(const sc_named_tensor *t, int64_t i)
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

sc_status sc_unpad(sc_padded *p, const sc_named_tensor *ids, const sc_named_tensor *mask)
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
            if (mask && !sc_named_int(mask, r * p->t + i)) continue;
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

void sc_padded_free(sc_padded *p)
{
    sc_free(p->first);
    sc_free(p->n);
}

/* The named inputs of a text model; NULL where absent. */
typedef struct inputs {
    const sc_named_tensor *ids, *mask, *positions, *types;
} inputs;

static sc_status write_inputs(const sc_plan *plan, const sc_text_in *in, const sc_padded *p, const inputs *x,
                              int64_t first_position, int64_t vocab)
{
    int32_t *id = sc_plan_data(plan, in->ids), *start = sc_plan_data(plan, in->seqs.start),
            *position = sc_plan_data(plan, in->seqs.position),
            *type = in->types ? sc_plan_data(plan, in->types) : NULL,
            *wanted = in->wanted ? sc_plan_data(plan, in->wanted) : NULL;
    int64_t at = 0, real = 0;
    for (int64_t r = 0; r < p->b; r++) {
        if (start) start[r] = (int32_t)at;
        for (int64_t i = 0; i < p->lead; i++, at++) { /* virtual tokens are the ids from the vocabulary's last on */
            id[at] = (int32_t)(vocab + i);
            if (position) position[at] = (int32_t)i;
            if (type) type[at] = 0;
        }
        for (int64_t i = 0; i < p->n[r]; i++, at++) {
            /* As HuggingFace counts where no position_ids are given: by column. */
            int64_t from = r * p->t + p->first[r] + i, v = sc_named_int(x->ids, from);
            /* By column, but by real tokens where the numbers say which place is none. */
            int64_t place = x->positions     ? sc_named_int(x->positions, from) - first_position
                            : first_position ? i
                                             : p->first[r] + i;
            place += p->lead;
            int64_t kind = x->types ? sc_named_int(x->types, from) : 0;
            if (v < 0 || v > INT32_MAX || (p->lead && v >= vocab))
                return sc_fail(SC_ELIMIT, "%s: id %lld is out of range", x->ids->name, (long long)v);
            id[at] = (int32_t)v;
            if (place < 0 || place > INT32_MAX)
                return sc_fail(SC_ELIMIT, "position_ids: %lld is out of range",
                               (long long)(place + first_position));
            if (kind < 0 || kind > INT32_MAX)
                return sc_fail(SC_ELIMIT, "token_type_ids: %lld is out of range", (long long)kind);
            if (position) position[at] = (int32_t)place;
            if (type) type[at] = (int32_t)kind;
            if (wanted) wanted[real++] = (int32_t)at;
        }
    }
    if (start) start[p->b] = (int32_t)at;
    return SC_OK;
}

float *sc_outputs_add(sc_outputs *o, const char *name, int rank, const int64_t *dim)
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

/* Columns from .. from + c of each token's `width` values, padded: (B, T, c), or (B, T) where `flat`. Before each row's
 * tokens are `lead` others. */
static sc_status pad_rows(sc_outputs *o, const char *name, const sc_padded *p, int64_t lead, const float *x,
                          int64_t width, int64_t from, int64_t c, bool flat)
{
    float *out = sc_outputs_add(o, name, flat ? 2 : 3, (int64_t[]){p->b, p->t, c});
    if (!out) return sc_nomem();
    for (int64_t r = 0; r < p->b; r++) {
        x += lead * width;
        for (int64_t i = 0; i < p->n[r]; i++, x += width)
            memcpy(out + (r * p->t + p->first[r] + i) * c, x + from, sizeof *out * (size_t)c);
    }
    return SC_OK;
}

/* A tensor (B, n) as it is. */
static sc_status give_sequences(sc_outputs *o, const char *name, const sc_plan *plan, const sc_tensor *t)
{
    float *out = sc_outputs_add(o, name, 2, t->shape.dim);
    if (!out) return sc_nomem();
    memcpy(out, sc_plan_data(plan, t), sizeof *out * (size_t)(t->shape.dim[0] * t->shape.dim[1]));
    return SC_OK;
}

/* What the head gives. */
static sc_status give_head(sc_outputs *o, const sc_padded *p, const sc_plan *plan, const sc_tensor *t, sc_head head)
{
    const float *x = sc_plan_data(plan, t);
    int64_t n = t->shape.dim[1];
    sc_status s;
    switch (head) {
    case SC_HEAD_NONE: return pad_rows(o, "last_hidden_state", p, 0, x, n, 0, n, false);
    case SC_HEAD_CLASSES: return give_sequences(o, "logits", plan, t);
    case SC_HEAD_REPLACED: return pad_rows(o, "logits", p, 0, x, n, 0, n, true);
    case SC_HEAD_SPAN:
        s = pad_rows(o, "start_logits", p, 0, x, n, 0, 1, true);
        return s ? s : pad_rows(o, "end_logits", p, 0, x, n, 1, 1, true);
    default: return pad_rows(o, "logits", p, 0, x, n, 0, n, false);
    }
}

/* What encoders pool, and their states where the head gave something else. */
static sc_status give_states(sc_outputs *o, const sc_padded *p, const sc_plan *plan, const sc_graph *g,
                             sc_head head)
{
    static const char sequence[] = "sequence.";
    const sc_tensor *last = NULL;
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < g->n_taps; i++) {
        if (strncmp(g->tap[i].name, sequence, sizeof sequence - 1) == 0)
            s = give_sequences(o, g->tap[i].name + sizeof sequence - 1, plan, g->tap[i].tensor);
        else if (strncmp(g->tap[i].name, "hidden_states.", 14) == 0)
            last = g->tap[i].tensor;
    }
    if (s || !last || head == SC_HEAD_NONE || head == SC_HEAD_NEXT) return s;
    int64_t c = last->shape.dim[1];
    return pad_rows(o, "last_hidden_state", p, p->lead, sc_plan_data(plan, last), c, 0, c, false);
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
static sc_status stack_hidden(sc_outputs *o, const char *name, const sc_padded *p, const sc_plan *plan,
                              const sc_graph *g)
{
    int64_t n = 0;
    while (tap_of(g, name, n)) n++;
    if (!n) return SC_OK;
    int64_t c = tap_of(g, name, 0)->shape.dim[1];
    float *out = sc_outputs_add(o, name, 3, (int64_t[]){n, p->t, c});
    if (!out) return sc_nomem();
    for (int64_t i = 0; i < n; i++)
        memcpy(out + (i * p->t + p->first[0]) * c,
               (const float *)sc_plan_data(plan, tap_of(g, name, i)) + p->lead * c,
               sizeof *out * (size_t)(p->n[0] * c));
    return SC_OK;
}

static sc_status check_inputs(const inputs *x)
{
    sc_status s;
    if (!x->ids) return sc_fail(SC_EINVAL, "input_ids is missing");
    if ((s = want(x->ids, true)) || (x->mask && (s = want(x->mask, false))) ||
        (x->positions && (s = want(x->positions, true))) || (x->types && (s = want(x->types, true))))
        return s;
    const sc_named_tensor *others[] = {x->positions, x->types};
    for (int i = 0; i < SC_COUNT(others); i++)
        if (others[i] && (others[i]->dim[0] != x->ids->dim[0] || others[i]->dim[1] != x->ids->dim[1]))
            return sc_fail(SC_ESHAPE, "%s and input_ids differ in shape", others[i]->name);
    return SC_OK;
}

/* ---- encoder-decoders ---- */

/* Where the decoder's rows end: decoder_lengths, or behind the last label that counts. */
static sc_status end_rows(sc_padded *p, const sc_named_tensor *lengths, const sc_named_tensor *labels)
{
    if (lengths && (lengths->rank != 1 || lengths->dim[0] != p->b))
        return sc_fail(SC_ESHAPE, "decoder_lengths has not one number a row");
    if (labels && (labels->rank != 2 || labels->dim[0] != p->b || labels->dim[1] != p->t)) labels = NULL;
    p->total = 0;
    for (int64_t r = 0; r < p->b; r++) {
        int64_t n = p->t;
        if (lengths)
            n = sc_named_int(lengths, r);
        else
            while (labels && n > 0 && sc_named_int(labels, r * p->t + n - 1) == -100) n--;
        if (n < 0 || n > p->t)
            return sc_fail(SC_ESHAPE, "decoder_lengths[%lld] is %lld of %lld", (long long)r, (long long)n,
                           (long long)p->t);
        p->total += p->n[r] = n;
    }
    return p->total ? SC_OK : sc_fail(SC_EINVAL, "decoder_input_ids has no real token");
}

static bool whole_numbers(const sc_named_tensor *t) { return t && (t->dtype == SC_I32 || t->dtype == SC_I64); }

static sc_status unpad_decoder(sc_padded *p, const sc_named_tensor *ids, const sc_named_tensor *in, int64_t n_in)
{
    const sc_named_tensor *mask = sc_named(in, n_in, "decoder_attention_mask"),
                          *lengths = sc_named(in, n_in, "decoder_lengths"), *labels = sc_named(in, n_in, "labels");
    sc_status s = mask ? want(mask, false) : SC_OK;
    if (!s) s = sc_unpad(p, ids, mask);
    return s || mask ? s
                     : end_rows(p, whole_numbers(lengths) ? lengths : NULL, whole_numbers(labels) ? labels : NULL);
}

/* What the encoder made, for every row. */
static sc_status add_encoder(sc_outputs *o, const sc_padded *p, const sc_plan *plan, const sc_graph *g)
{
    sc_tensor *last = NULL;
    for (int64_t i = 0; tap_of(g, "encoder_hidden_states", i); i++) last = tap_of(g, "encoder_hidden_states", i);
    sc_status s = stack_hidden(o, "encoder_hidden_states", p, plan, g);
    if (!s && last)
        s = pad_rows(o, "encoder_last_hidden_state", p, p->lead, sc_plan_data(plan, last), last->shape.dim[1], 0,
                     last->shape.dim[1], false);
    if (!s && (last = tap_of(g, "encoder_outputs", 0)))
        s = pad_rows(o, "encoder_outputs", p, p->lead, sc_plan_data(plan, last), last->shape.dim[1], 0,
                     last->shape.dim[1], false);
    return s;
}

static sc_status forward_pair(sc_outputs *o, const sc_model *m, const sc_named_tensor *in, int64_t n_in, bool all)
{
    const sc_named_tensor *ids = sc_named(in, n_in, "input_ids"), *mask = sc_named(in, n_in, "attention_mask"),
                          *decoder = sc_named(in, n_in, "decoder_input_ids");
    sc_text_graph t = {0};
    sc_plan *plan = NULL;
    sc_padded p = {.lead = m->adapters.prompt.rows}, d = {0};
    if (!ids) ids = sc_named(in, n_in, "src_ids");
    if (!mask) mask = sc_named(in, n_in, "src_mask");
    if (!ids || !decoder) return sc_fail(SC_EINVAL, "%s is missing", ids ? "decoder_input_ids" : "input_ids");
    sc_status s = want(ids, true);
    if (!s) s = want(decoder, true);
    if (!s && mask) s = want(mask, false);
    if (!s && ids->dim[0] != decoder->dim[0])
        s = sc_fail(SC_ESHAPE, "%s and decoder_input_ids differ in rows", ids->name);
    if (!s) s = sc_unpad(&p, ids, mask);
    if (!s) s = unpad_decoder(&d, decoder, in, n_in);
    if (!s)
        s = sc_text_graph_build(
            &t, m, &(sc_text_shape){.tokens = d.total, .sequences = d.b, .source = p.total + p.b * p.lead});
    if (!s) s = sc_text_graph_plan(&plan, &t, m, all);
    if (!s) s = write_inputs(plan, &t.source, &p, &(inputs){.ids = ids}, 0, m->info.source_vocab);
    if (!s) s = write_inputs(plan, &t.in, &d, &(inputs){.ids = decoder}, 0, m->info.vocab);
    if (!s) s = sc_plan_run(plan);
    if (!s) s = give_head(o, &d, plan, t.logits, m->info.head);
    if (!s && all) s = add_encoder(o, &p, plan, t.g);
    if (!s && all) s = stack_hidden(o, "decoder_hidden_states", &d, plan, t.g);
    sc_plan_free(plan);
    sc_graph_free(t.g);
    sc_padded_free(&p);
    sc_padded_free(&d);
    return s;
}

sc_status sc_model_forward(sc_outputs **out, const sc_model *m, const sc_named_tensor *in, int64_t n_in, bool all)
{
    inputs x = {sc_named(in, n_in, "input_ids"), sc_named(in, n_in, "attention_mask"),
                sc_named(in, n_in, "position_ids"), sc_named(in, n_in, "token_type_ids")};
    sc_text_graph t = {0};
    sc_plan *plan = NULL;
    sc_padded p = {.lead = m->adapters.prompt.rows};
    sc_outputs *o = sc_calloc(1, sizeof *o);
    if (!o) return sc_nomem();
    sc_status s = m->family->encoder_decoder ? forward_pair(o, m, in, n_in, all) : check_inputs(&x);
    if (s || m->family->encoder_decoder) goto end;
    if ((s = sc_unpad(&p, x.ids, x.mask))) goto end;
    for (int64_t r = 0; r < p.b && m->info.head != SC_HEAD_NEXT; r++)
        if (!p.n[r]) {
            s = sc_fail(SC_EINVAL, "row %lld of input_ids has no real token", (long long)r);
            goto end;
        }
    if ((s = sc_text_graph_new(&t, m, p.total + p.b * p.lead, p.b, p.lead ? p.total : 0, NULL, NULL)) ||
        (s = sc_text_graph_plan(&plan, &t, m, all)) ||
        (s = write_inputs(plan, &t.in, &p, &x, m->info.first_position, m->info.vocab)) || (s = sc_plan_run(plan)))
        goto end;
    s = give_head(o, &p, plan, t.logits, m->info.head);
    if (!s && all) s = stack_hidden(o, "hidden_states", &p, plan, t.g);
    if (!s && all) s = give_states(o, &p, plan, t.g, m->info.head);
end:
    sc_plan_free(plan);
    sc_graph_free(t.g);
    sc_padded_free(&p);
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
