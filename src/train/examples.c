/* SPDX-License-Identifier: Apache-2.0 */
#include "infer/infer.h"
#include "train/objective.h"

void sc_examples_free(sc_examples *e)
{
    sc_free(e->ids);
    sc_free(e->types);
    sc_free(e->at);
    sc_free(e->value);
    *e = (sc_examples){0};
}

sc_status sc_examples_text(sc_examples *e, const sc_tokenizer *t, sc_field text, sc_field pair, int64_t most,
                           int64_t vocab)
{
    sc_text_ids x;
    sc_status s = sc_text_ids_new(&x, t, (sc_text){text.p, text.n}, (sc_text){pair.p, pair.n}, most);
    if (s) return s;
    int64_t n = e->tokens + x.n;
    if (!x.n)
        s = sc_fail(SC_EFORMAT, "an empty text");
    else if (!sc_grow(&e->ids, &e->cap_ids, n, sizeof *e->ids) ||
             !sc_grow(&e->types, &e->cap_types, n, sizeof *e->types) ||
             !sc_grow(&e->at, &e->cap_at, e->texts + 2, sizeof *e->at))
        s = sc_nomem();
    else if (!e->texts)
        e->at[0] = 0;
    for (int64_t i = 0; !s && i < x.n; i++) {
        if (x.ids[i] >= vocab)
            s = sc_fail(SC_ELIMIT, "the tokenizer gives id %d, the model has %lld tokens", x.ids[i],
                        (long long)vocab);
        e->ids[e->tokens] = x.ids[i];
        e->types[e->tokens++] = x.types[i];
    }
    if (!s) e->at[++e->texts] = e->tokens;
    sc_text_ids_free(&x);
    return s;
}

sc_status sc_examples_end(sc_examples *e, float value)
{
    if (!sc_grow(&e->value, &e->cap_value, e->count + 1, sizeof *e->value)) return sc_nomem();
    e->value[e->count++] = value;
    return SC_OK;
}

/* ---- of files ---- */

void sc_collection_free(sc_collection *c)
{
    for (int i = 0; i < 2; i++) sc_examples_free(&c->data[i]);
    sc_order_free(&c->order);
    sc_maker_free(&c->maker);
    sc_free(c->length);
}

/* The tokens of each example, for bringing those of like lengths together. */
static sc_status measure(sc_collection *c)
{
    const sc_examples *e = &c->data[0];
    if (!(c->length = sc_calloc((size_t)e->count, sizeof *c->length))) return sc_nomem();
    for (int64_t i = 0; i < e->count; i++) c->length[i] = e->at[(i + 1) * e->columns] - e->at[i * e->columns];
    c->order.length = c->length;
    c->order.batch = c->rows * c->setup->parts;
    return SC_OK;
}

sc_status sc_collection_open(sc_collection *c, const sc_objective_setup *x, bool by_length, sc_record_fn *add,
                             void *user)
{
    const sc_train_options *o = x->o;
    sc_status s = sc_objective_length(x, &c->most);
    c->setup = x;
    c->rows = o->batch;
    for (int k = 0; !s && k < 2; k++) {
        c->to = &c->data[k];
        const char *const *files = k ? o->eval_data : o->data;
        for (int i = 0; !s && i < (k ? o->n_eval_data : o->n_data); i++) {
            int64_t before = c->to->count;
            s = sc_records_each(x->ctx, files[i], x->lines, add, user);
            if (!s && c->to->count == before) s = sc_fail(SC_EINVAL, "%s has no text", files[i]);
        }
    }
    if (!s) s = sc_order_new(&c->order, c->data[0].count, o);
    if (!s && by_length) s = measure(c);
    c->setup = NULL;
    return s;
}

void sc_collection_size(const sc_collection *c, sc_objective_size *out)
{
    *out = (sc_objective_size){.examples = c->data[0].count,
                               .tokens = c->data[0].tokens,
                               .eval_batches = (c->data[1].count + c->rows - 1) / c->rows};
}

sc_status sc_collection_text(sc_collection *c, const sc_record *r, sc_field text, sc_field pair, int64_t vocab)
{
    sc_status s = sc_examples_text(c->to, c->setup->tokenizer, text, pair, c->most, vocab);
    return s ? sc_fail_in(s, "%s: line %lld", r->path, (long long)r->line) : SC_OK;
}

void sc_collection_batch(sc_collection *c, bool eval, int64_t index, sc_example_fn *fn, void *user)
{
    int64_t from = index * c->rows, to = from + c->rows;
    sc_maker_begin(&c->maker);
    for (int64_t at = from; at < (eval ? SC_MIN(to, c->data[1].count) : to); at++) {
        fn(user, &c->data[eval], eval ? at : sc_order_at(&c->order, at));
        c->maker.examples++;
    }
}
