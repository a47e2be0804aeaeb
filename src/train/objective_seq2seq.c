/* SPDX-License-Identifier: Apache-2.0 */
/* From one text to another: pairs of "source" and "target", as of translations and summaries. */
#include "train/objective.h"

#define SOURCE "source|text|input|question|document|article|prompt"
#define TARGET "target|summary|output|answer|translation|completion"

typedef struct seq2seq {
    sc_collection pairs;
    sc_pair_ids ids;
    int32_t *labels; /* of an example */
    float smoothing;
} seq2seq;

static void seq2seq_free(void *self)
{
    seq2seq *x = self;
    if (!x) return;
    sc_collection_free(&x->pairs);
    sc_free(x->labels);
    sc_free(x);
}

static sc_status add(void *user, const sc_record *r)
{
    seq2seq *x = user;
    const sc_model_info *info = &x->pairs.setup->model->info;
    sc_field source, target, none = {0};
    sc_status s = sc_record_text(r, SOURCE, 0, &source);
    if (!s) s = sc_record_text(r, TARGET, 1, &target);
    if (!s) s = sc_collection_text(&x->pairs, r, source, none, info->source_vocab);
    if (!s) s = sc_collection_text(&x->pairs, r, target, none, info->vocab);
    return s ? s : sc_examples_end(x->pairs.to, 0);
}

static sc_status seq2seq_open(void **self, const sc_objective_setup *s)
{
    seq2seq *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    x->pairs.data[0].columns = x->pairs.data[1].columns = 2;
    x->smoothing = (float)s->o->smoothing;
    sc_status e = s->o->smoothing >= 0 && s->o->smoothing < 1
                      ? SC_OK
                      : sc_fail(SC_EINVAL, "a label smoothing of %g", s->o->smoothing);
    if (!e) e = sc_pair_ids_of(&x->ids, s);
    if (!e) e = sc_collection_open(&x->pairs, s, true, add, x);
    if (!e && !(x->labels = sc_calloc((size_t)x->pairs.most + 1, sizeof *x->labels))) e = sc_nomem();
    if (e)
        seq2seq_free(x);
    else
        *self = x;
    return e;
}

static void seq2seq_size(const void *self, sc_objective_size *out)
{
    sc_collection_size(&((const seq2seq *)self)->pairs, out);
}

/* The answer ends with the id for that, even where the tokenizer does not put it there; behind it a language may stand. */
static void put(void *user, const sc_examples *e, int64_t i)
{
    seq2seq *x = user;
    sc_maker *m = &x->pairs.maker;
    const int64_t *at = &e->at[2 * i];
    int64_t n = at[2] - at[1];
    sc_maker_text(m, &m->source, e->ids + at[0], NULL, at[1] - at[0], false);
    memcpy(x->labels, e->ids + at[1], (size_t)n * sizeof *x->labels);
    bool ends = x->labels[n - 1] == x->ids.end || (n > 1 && x->labels[n - 2] == x->ids.end);
    if (!ends && n == x->pairs.most) n--;
    if (!ends) x->labels[n++] = x->ids.end;
    sc_maker_answer(m, x->labels, n, x->ids.wraps ? x->labels[n - 1] : x->ids.start);
}

static sc_status seq2seq_batch(void *self, int64_t index, sc_text_batch *out)
{
    seq2seq *x = self;
    sc_collection_batch(&x->pairs, false, index, put, x);
    return sc_maker_finish(&x->pairs.maker, SC_ROWS_TOKENS, out);
}

static sc_status seq2seq_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    seq2seq *x = self;
    sc_collection_batch(&x->pairs, true, index, put, x);
    return sc_maker_finish(&x->pairs.maker, SC_ROWS_TOKENS, out);
}

static sc_status seq2seq_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    return sc_build_pair(out, m, b, ((const seq2seq *)self)->smoothing);
}

const sc_objective sc_objective_seq2seq = {.name = "seq2seq",
                                           .summary = "one text from another: translations, summaries",
                                           .kinds = SC_LEARNS_PAIR,
                                           .measure = "token_accuracy",
                                           .open = seq2seq_open,
                                           .free = seq2seq_free,
                                           .size = seq2seq_size,
                                           .batch = seq2seq_batch,
                                           .eval_batch = seq2seq_eval_batch,
                                           .build = seq2seq_build};
