/* SPDX-License-Identifier: Apache-2.0 */
/* Texts for the objectives that spoil a text and have it mended: documents cut into parts, each of them an example. */
#include "train/objective.h"

void sc_corpus_free(sc_corpus *c)
{
    for (int i = 0; i < 2; i++) {
        sc_token_data_free(&c->data[i]);
        sc_free(c->part[i]);
    }
    sc_order_free(&c->order);
    sc_maker_free(&c->maker);
    sc_free(c->length);
}

sc_status sc_corpus_open(sc_corpus *c, const sc_objective_setup *x, int64_t most, int64_t vocab, bool breaks)
{
    c->rows = x->o->batch;
    c->seed = x->o->seed;
    c->data[0].breaks = c->data[1].breaks = breaks;
    if (most < 2)
        return sc_fail(SC_EINVAL, "sequences of %lld tokens leave no room for a text", (long long)x->o->length);
    sc_status s = sc_token_data_add(&c->data[0], x, x->o->data, x->o->n_data, vocab);
    if (!s) s = sc_token_data_add(&c->data[1], x, x->o->eval_data, x->o->n_eval_data, vocab);
    for (int i = 0; !s && i < 2; i++) s = sc_token_data_cut(&c->data[i], most, &c->part[i], &c->parts[i]);
    if (!s) s = sc_order_new(&c->order, c->parts[0], x->o);
    if (!s && !(c->length = sc_calloc((size_t)c->parts[0], sizeof *c->length))) s = sc_nomem();
    for (int64_t i = 0; !s && i < c->parts[0]; i++) c->length[i] = c->part[0][i].n;
    c->order.length = c->length;
    c->order.batch = c->rows * x->parts;
    return s;
}

void sc_corpus_size(const sc_corpus *c, sc_objective_size *out)
{
    *out = (sc_objective_size){
        .examples = c->parts[0], .tokens = c->data[0].n, .eval_batches = (c->parts[1] + c->rows - 1) / c->rows};
}

sc_status sc_corpus_batch(sc_corpus *c, bool eval, int64_t index, sc_corpus_fn *fn, void *user)
{
    int64_t from = index * c->rows, to = from + c->rows;
    sc_status s = SC_OK;
    sc_maker_begin(&c->maker);
    for (int64_t at = from; !s && at < (eval ? SC_MIN(to, c->parts[1]) : to); at++) {
        sc_rng r = sc_rng_make(eval ? 0 : c->seed, sc_hash("spoil", 5) + (uint64_t)at);
        sc_passage part;
        s = sc_token_data_passage(&c->data[eval], c->part[eval][eval ? at : sc_order_at(&c->order, at)], &part);
        if (!s) s = fn(user, &part, &r);
        c->maker.examples++;
    }
    return s;
}

void sc_corpus_describe(sc_corpus *c, int64_t index, sc_str *out)
{
    for (int64_t at = index * c->rows; at < (index + 1) * c->rows; at++) {
        sc_stretch part = c->part[0][sc_order_at(&c->order, at)];
        if (at > index * c->rows) sc_str_puts(out, "; ");
        sc_token_data_describe(&c->data[0], part.at, part.n, out);
    }
}
