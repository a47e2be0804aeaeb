/* SPDX-License-Identifier: Apache-2.0 */
/* A model as a function of named tensors (call.c), and what it gives, padded again. */
#include "models/models.h"

struct sc_outputs {
    sc_named_tensor *item;
    int64_t count, cap;
};

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

/* ---- encoder-decoders ---- */

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

/* What the model made of the call. */
static sc_status give_all(sc_outputs *o, const sc_model *m, const sc_text_call *c, const sc_plan *plan,
                          const sc_text_graph *t, bool all)
{
    bool pair = m->family->encoder_decoder;
    sc_status s = give_head(o, &c->text.rows, plan, t->logits, m->info.head);
    if (!s && all && pair) s = add_encoder(o, &c->source.rows, plan, t->g);
    if (!s && all) s = stack_hidden(o, pair ? "decoder_hidden_states" : "hidden_states", &c->text.rows, plan, t->g);
    return s || !all || pair ? s : give_states(o, &c->text.rows, plan, t->g, m->info.head);
}

/* Where a plan has what a text is made of. */
static sc_text_tables tables_of(const sc_plan *plan, const sc_text_in *in)
{
    return (sc_text_tables){.ids = sc_plan_data(plan, in->ids),
                            .start = sc_plan_data(plan, in->seqs.start),
                            .positions = sc_plan_data(plan, in->seqs.position),
                            .types = in->types ? sc_plan_data(plan, in->types) : NULL,
                            .wanted = in->wanted ? sc_plan_data(plan, in->wanted) : NULL};
}

sc_status sc_model_forward(sc_outputs **out, const sc_model *m, const sc_named_tensor *in, int64_t n_in, bool all)
{
    sc_text_graph t = {0};
    sc_plan *plan = NULL;
    sc_text_call c;
    sc_outputs *o = sc_calloc(1, sizeof *o);
    if (!o) return sc_nomem();
    sc_status s = sc_text_call_read(&c, m, in, n_in);
    if (!s) s = sc_text_graph_build(&t, m, &c.shape);
    if (!s) s = sc_text_graph_plan(&plan, &t, m, all);
    if (!s) s = sc_text_call_fill(&c.text, tables_of(plan, &t.in));
    if (!s && c.source.ids) s = sc_text_call_fill(&c.source, tables_of(plan, &t.source));
    if (!s) s = sc_plan_run(plan);
    if (!s) s = give_all(o, m, &c, plan, &t, all);
    sc_plan_free(plan);
    sc_graph_free(t.g);
    sc_text_call_free(&c);
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
