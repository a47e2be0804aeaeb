/* SPDX-License-Identifier: Apache-2.0 */
/* Each next token of a text: documents end to end, cut into sequences of one length; with `pack` a document sees nothing of
 * those before it. */
#include "train/objective.h"

typedef struct causal {
    sc_token_data data, eval;
    sc_order order; /* of the sequences */
    int64_t rows, length;
    bool pack;
    int32_t *ids, *labels, *start;
    int64_t cap_start, sequences; /* in the batch */
    float *weight;
} causal;

static void causal_free(void *self)
{
    causal *c = self;
    if (!c) return;
    sc_token_data_free(&c->data);
    sc_token_data_free(&c->eval);
    sc_order_free(&c->order);
    sc_free(c->ids);
    sc_free(c->labels);
    sc_free(c->start);
    sc_free(c->weight);
    sc_free(c);
}

/* Each sequence and the token that follows it. */
static int64_t sequences(const sc_token_data *d, int64_t length) { return (d->n - 1) / length; }

static sc_status read_data(causal *c, const sc_objective_setup *x)
{
    int64_t vocab = x->model->info.vocab;
    c->data.ends = c->eval.ends = true;
    sc_status s = sc_token_data_add(&c->data, x, x->o->data, x->o->n_data, vocab);
    if (!s) s = sc_token_data_add(&c->eval, x, x->o->eval_data, x->o->n_eval_data, vocab);
    if (s) return s;
    if (sequences(&c->data, c->length) < 1)
        return sc_fail(SC_EINVAL, "the data has %lld tokens, not one sequence of %lld", (long long)c->data.n,
                       (long long)c->length);
    if (c->eval.n && sequences(&c->eval, c->length) < 1)
        return sc_fail(SC_EINVAL, "the evaluation text has not one sequence of %lld", (long long)c->length);
    return SC_OK;
}

static sc_status make_room(causal *c, const sc_train_options *o)
{
    size_t tokens = (size_t)(c->rows * c->length);
    c->ids = sc_calloc(tokens, sizeof *c->ids);
    c->labels = sc_calloc(tokens, sizeof *c->labels);
    c->weight = sc_calloc(tokens, sizeof *c->weight);
    if (!c->ids || !c->labels || !c->weight) return sc_nomem();
    return sc_order_new(&c->order, sequences(&c->data, c->length), o);
}

static sc_status causal_open(void **self, const sc_objective_setup *x)
{
    causal *c = sc_calloc(1, sizeof *c);
    if (!c) return sc_nomem();
    c->rows = x->o->batch;
    c->pack = x->o->pack;
    sc_status s = sc_objective_length(x, &c->length);
    if (!s) s = read_data(c, x);
    if (!s) s = make_room(c, x->o);
    if (s)
        causal_free(c);
    else
        *self = c;
    return s;
}

static void causal_size(const void *self, sc_objective_size *out)
{
    const causal *c = self;
    int64_t eval = c->eval.n ? sequences(&c->eval, c->length) : 0;
    *out = (sc_objective_size){
        .examples = c->order.n, .tokens = c->data.n, .eval_batches = (eval + c->rows - 1) / c->rows};
}

static sc_status begin_sequence(causal *c, int64_t at)
{
    if (!sc_grow(&c->start, &c->cap_start, c->sequences + 2, sizeof *c->start)) return sc_nomem();
    c->start[c->sequences++] = (int32_t)at;
    return SC_OK;
}

/* A document's last token is followed by nothing that it could know of. */
static sc_status divide(causal *c, const sc_token_data *d, int64_t from, int64_t to)
{
    sc_status s = SC_OK;
    int64_t n = c->length;
    for (int64_t i = sc_token_data_document(d, from); !s && i < d->documents; i++) {
        int64_t end = sc_token_data_end(d, i) - from;
        if (end > n) break;
        c->labels[to + end - 1] = -1;
        if (end < n) s = begin_sequence(c, to + end);
    }
    return s;
}

static sc_status put(causal *c, const sc_token_data *d, int64_t sequence, int64_t row)
{
    int64_t n = c->length;
    sc_token_data_read(d, sequence * n, n, c->ids + row * n);
    sc_token_data_read(d, sequence * n + 1, n, c->labels + row * n);
    sc_status s = begin_sequence(c, row * n);
    return s || !c->pack ? s : divide(c, d, sequence * n, row * n);
}

/* With documents of their own, sequences without tokens bring their number to a multiple. */
static sc_status finish(causal *c, int64_t rows, sc_text_batch *out)
{
    int64_t tokens = rows * c->length, counted = 0;
    while (c->pack && c->sequences % 16) {
        sc_status s = begin_sequence(c, tokens);
        if (s) return s;
    }
    c->start[c->sequences] = (int32_t)tokens;
    for (int64_t i = 0; i < tokens; i++) counted += c->labels[i] >= 0;
    for (int64_t i = 0; i < tokens; i++) c->weight[i] = c->labels[i] >= 0 ? 1 / (float)counted : 0;
    *out = (sc_text_batch){.tokens = tokens,
                           .sequences = c->sequences,
                           .ids = c->ids,
                           .start = c->start,
                           .rows = tokens,
                           .labels = c->labels,
                           .weight = c->weight,
                           .counted = counted,
                           .examples = rows,
                           .words = tokens};
    return SC_OK;
}

static sc_status causal_batch(void *self, int64_t index, sc_text_batch *out)
{
    causal *c = self;
    sc_status s = SC_OK;
    c->sequences = 0;
    for (int64_t r = 0; !s && r < c->rows; r++)
        s = put(c, &c->data, sc_order_at(&c->order, index * c->rows + r), r);
    return s ? s : finish(c, c->rows, out);
}

static void causal_describe(void *self, int64_t index, sc_str *out)
{
    causal *c = self;
    for (int64_t r = 0; r < c->rows; r++) {
        if (r) sc_str_puts(out, "; ");
        sc_token_data_describe(&c->data, sc_order_at(&c->order, index * c->rows + r) * c->length, c->length, out);
    }
}

static sc_status causal_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    causal *c = self;
    int64_t first = index * c->rows, rows = SC_MIN(c->rows, sequences(&c->eval, c->length) - first);
    sc_status s = SC_OK;
    c->sequences = 0;
    for (int64_t r = 0; !s && r < rows; r++) s = put(c, &c->eval, first + r, r);
    return s ? s : finish(c, rows, out);
}

static sc_status causal_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    (void)self;
    sc_status s = sc_text_graph_new(&out->t, m, b->tokens, b->sequences, b->wanted ? b->rows : 0, NULL, NULL);
    if (!s) sc_loss_cross_entropy(out, out->t.logits, b->rows, 0);
    return s;
}

const sc_objective sc_objective_causal = {.name = "causal",
                                          .summary = "each next token of a text",
                                          .kinds = SC_LEARNS_DECODER,
                                          .measure = "token_accuracy",
                                          .open = causal_open,
                                          .free = causal_free,
                                          .size = causal_size,
                                          .batch = causal_batch,
                                          .eval_batch = causal_eval_batch,
                                          .describe = causal_describe,
                                          .build = causal_build};
