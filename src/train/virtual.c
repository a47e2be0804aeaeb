/* SPDX-License-Identifier: Apache-2.0 */
/* Batches with an adapter's virtual tokens before every sequence, which whoever makes batches need not know of. */
#include "train/objective.h"

void sc_virtual_free(sc_virtual *v)
{
    sc_free(v->ids);
    sc_free(v->types);
    sc_free(v->positions);
    sc_free(v->start);
    sc_free(v->wanted);
    *v = (sc_virtual){0};
}

static bool make_room(sc_virtual *v, const sc_text_batch *b, int64_t tokens)
{
    return sc_grow(&v->ids, &v->cap_ids, tokens, sizeof *v->ids) &&
           sc_grow(&v->types, &v->cap_types, tokens, sizeof *v->types) &&
           sc_grow(&v->positions, &v->cap_positions, tokens, sizeof *v->positions) &&
           sc_grow(&v->start, &v->cap_start, b->sequences + 1, sizeof *v->start) &&
           sc_grow(&v->wanted, &v->cap_wanted, SC_MAX(b->rows, 1), sizeof *v->wanted);
}

/* Where token t of the batch is then; sequences rise, so *q is where to look on. */
static int32_t moved(const sc_text_batch *b, int64_t lead, int64_t t, int64_t *q)
{
    if (t < b->start[*q]) *q = 0;
    while (*q + 1 < b->sequences && t >= b->start[*q + 1]) ++*q;
    return (int32_t)(t + (*q + 1) * lead);
}

sc_status sc_virtual_batch(sc_virtual *v, const sc_model *m, const sc_text_batch *b, sc_text_batch *out)
{
    const sc_prompt *p = &m->adapters.prompt;
    int64_t lead = m->adapters.n_learnt && p->ids ? p->rows : 0, tokens = b->tokens + lead * b->sequences, at = 0,
            of = 0;
    *out = *b;
    if (!lead) return SC_OK;
    if (tokens > INT32_MAX) return sc_fail(SC_ELIMIT, "a batch of %lld tokens", (long long)tokens);
    if (!make_room(v, b, tokens)) return sc_nomem();
    for (int64_t q = 0; q < b->sequences; q++) {
        v->start[q] = (int32_t)at;
        for (int64_t i = 0; i < lead; i++, at++) {
            v->ids[at] = (int32_t)(p->vocab + i);
            v->types[at] = 0;
            v->positions[at] = (int32_t)i;
        }
        for (int64_t t = b->start[q]; t < b->start[q + 1]; t++, at++) {
            v->ids[at] = b->ids[t];
            v->types[at] = b->types ? b->types[t] : 0;
            v->positions[at] = (int32_t)(lead + (b->positions ? b->positions[t] : t - b->start[q]));
        }
    }
    v->start[b->sequences] = (int32_t)at;
    for (int64_t i = 0; i < b->rows; i++) v->wanted[i] = moved(b, lead, b->wanted ? b->wanted[i] : i, &of);
    out->tokens = tokens;
    out->ids = v->ids;
    out->start = v->start;
    out->types = b->types ? v->types : NULL;
    out->positions = v->positions;
    out->wanted = v->wanted;
    return SC_OK;
}
