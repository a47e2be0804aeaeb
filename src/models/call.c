/* SPDX-License-Identifier: Apache-2.0 */
/* What a call of a text model gives it: named tensors, padded as HuggingFace's forward takes them. Inside, the padding is
 * gone: the rows' real tokens lie end to end. */
#include "models/models.h"

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

/* Finds each row's run of real tokens. */
static sc_status unpad(sc_padded *p, const sc_named_tensor *ids, const sc_named_tensor *mask)
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

static void free_rows(sc_padded *p)
{
    sc_free(p->first);
    sc_free(p->n);
}

static sc_status check_rows(const sc_named_rows *x)
{
    sc_status s;
    if ((s = want(x->ids, true)) || (x->mask && (s = want(x->mask, false))) ||
        (x->positions && (s = want(x->positions, true))) || (x->types && (s = want(x->types, true))))
        return s;
    const sc_named_tensor *others[] = {x->positions, x->types};
    for (int i = 0; i < SC_COUNT(others); i++)
        if (others[i] && (others[i]->dim[0] != x->ids->dim[0] || others[i]->dim[1] != x->ids->dim[1]))
            return sc_fail(SC_ESHAPE, "%s and %s differ in shape", others[i]->name, x->ids->name);
    return SC_OK;
}

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

static sc_status unpad_decoder(sc_padded *p, const sc_named_rows *x, const sc_named_tensor *in, int64_t n_in)
{
    const sc_named_tensor *lengths = sc_named(in, n_in, "decoder_lengths"), *labels = sc_named(in, n_in, "labels");
    sc_status s = unpad(p, x->ids, x->mask);
    if (s || x->mask) return s;
    return end_rows(p, whole_numbers(lengths) ? lengths : NULL, whole_numbers(labels) ? labels : NULL);
}

/* ---- a call ---- */

static sc_status read_pair(sc_text_call *c, const sc_model *m, const sc_named_tensor *in, int64_t n_in)
{
    sc_named_rows *x = &c->source, *d = &c->text;
    if (!x->ids) x->ids = sc_named(in, n_in, "src_ids");
    if (!x->mask) x->mask = sc_named(in, n_in, "src_mask");
    x->positions = x->types = NULL;
    *d = (sc_named_rows){.ids = sc_named(in, n_in, "decoder_input_ids"),
                         .mask = sc_named(in, n_in, "decoder_attention_mask"),
                         .vocab = m->info.vocab};
    x->vocab = m->info.source_vocab;
    if (!x->ids || !d->ids) return sc_fail(SC_EINVAL, "%s is missing", x->ids ? "decoder_input_ids" : "input_ids");
    sc_status s = check_rows(x);
    if (!s) s = check_rows(d);
    if (!s && x->ids->dim[0] != d->ids->dim[0])
        s = sc_fail(SC_ESHAPE, "%s and decoder_input_ids differ in rows", x->ids->name);
    if (!s) s = unpad(&x->rows, x->ids, x->mask);
    if (!s) s = unpad_decoder(&d->rows, d, in, n_in);
    if (s) return s;
    c->shape = (sc_text_shape){
        .tokens = d->rows.total, .sequences = d->rows.b, .source = x->rows.total + x->rows.b * x->rows.lead};
    return SC_OK;
}

static sc_status read_one(sc_text_call *c, const sc_model *m)
{
    sc_named_rows *x = &c->text;
    x->vocab = m->info.vocab;
    x->first_position = m->info.first_position;
    if (!x->ids) return sc_fail(SC_EINVAL, "input_ids is missing");
    sc_status s = check_rows(x);
    if (!s) s = unpad(&x->rows, x->ids, x->mask);
    if (s) return s;
    const sc_padded *p = &x->rows;
    for (int64_t r = 0; r < p->b && m->info.head != SC_HEAD_NEXT; r++)
        if (!p->n[r]) return sc_fail(SC_EINVAL, "row %lld of input_ids has no real token", (long long)r);
    c->shape =
        (sc_text_shape){.tokens = p->total + p->b * p->lead, .sequences = p->b, .wanted = p->lead ? p->total : 0};
    return SC_OK;
}

sc_status sc_text_call_read(sc_text_call *c, const sc_model *m, const sc_named_tensor *in, int64_t n_in)
{
    sc_named_rows first = {.ids = sc_named(in, n_in, "input_ids"),
                           .mask = sc_named(in, n_in, "attention_mask"),
                           .positions = sc_named(in, n_in, "position_ids"),
                           .types = sc_named(in, n_in, "token_type_ids"),
                           .rows = {.lead = m->adapters.prompt.rows}};
    bool pair = m->family->encoder_decoder;
    *c = (sc_text_call){0};
    *(pair ? &c->source : &c->text) = first;
    return pair ? read_pair(c, m, in, n_in) : read_one(c, m);
}

void sc_text_call_free(sc_text_call *c)
{
    free_rows(&c->text.rows);
    free_rows(&c->source.rows);
}

/* Token i of row r, which is token `at` of all. */
static sc_status fill_token(const sc_named_rows *x, const sc_text_tables *to, int64_t r, int64_t i, int64_t at)
{
    const sc_padded *p = &x->rows;
    int64_t from = r * p->t + p->first[r] + i, v = sc_named_int(x->ids, from), kind = 0, place;
    /* As HuggingFace counts where no position_ids are given: by column, but by real tokens where the numbers say which
     * place is none. */
    if (x->positions)
        place = sc_named_int(x->positions, from) - x->first_position;
    else
        place = x->first_position ? i : p->first[r] + i;
    if (x->types) kind = sc_named_int(x->types, from);
    if (v < 0 || v > INT32_MAX || (p->lead && v >= x->vocab))
        return sc_fail(SC_ELIMIT, "%s: id %lld is out of range", x->ids->name, (long long)v);
    if (place < 0 || place + p->lead > INT32_MAX)
        return sc_fail(SC_ELIMIT, "position_ids: %lld is out of range", (long long)(place + x->first_position));
    if (kind < 0 || kind > INT32_MAX)
        return sc_fail(SC_ELIMIT, "token_type_ids: %lld is out of range", (long long)kind);
    to->ids[at] = (int32_t)v;
    if (to->positions) to->positions[at] = (int32_t)(place + p->lead);
    if (to->types) to->types[at] = (int32_t)kind;
    return SC_OK;
}

sc_status sc_text_call_fill(const sc_named_rows *x, sc_text_tables to)
{
    const sc_padded *p = &x->rows;
    int64_t at = 0, real = 0;
    for (int64_t r = 0; r < p->b; r++) {
        if (to.start) to.start[r] = (int32_t)at;
        for (int64_t i = 0; i < p->lead; i++, at++) { /* virtual tokens are the ids from the vocabulary's last on */
            to.ids[at] = (int32_t)(x->vocab + i);
            if (to.positions) to.positions[at] = (int32_t)i;
            if (to.types) to.types[at] = 0;
        }
        for (int64_t i = 0; i < p->n[r]; i++, at++) {
            sc_status s = fill_token(x, &to, r, i, at);
            if (s) return s;
            if (to.wanted) to.wanted[real++] = (int32_t)at;
        }
    }
    if (to.start) to.start[p->b] = (int32_t)at;
    return SC_OK;
}
