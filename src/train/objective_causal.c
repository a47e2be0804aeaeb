/* SPDX-License-Identifier: Apache-2.0 */
/* Each next token of a text: documents end to end, cut into sequences of one length. */
#include "train/objective.h"

typedef struct causal {
    sc_token_data data, eval;
    sc_order order; /* of the sequences */
    int64_t rows, length;
    int32_t *ids, *labels, *start;
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
    sc_status s = SC_OK;
    for (int i = 0; !s && i < x->o->n_data; i++)
        s = sc_token_data_add(&c->data, x->ctx, x->tokenizer, x->o->data[i], vocab);
    for (int i = 0; !s && i < x->o->n_eval_data; i++)
        s = sc_token_data_add(&c->eval, x->ctx, x->tokenizer, x->o->eval_data[i], vocab);
    if (s) return s;
    if (sequences(&c->data, c->length) < 1)
        return sc_fail(SC_EINVAL, "the data has %lld tokens, not one sequence of %lld", (long long)c->data.n,
                       (long long)c->length);
    if (c->eval.n && sequences(&c->eval, c->length) < 1)
        return sc_fail(SC_EINVAL, "the evaluation text has not one sequence of %lld", (long long)c->length);
    return SC_OK;
}

static sc_status make_room(causal *c, uint64_t seed)
{
    size_t tokens = (size_t)(c->rows * c->length);
    c->ids = sc_calloc(tokens, sizeof *c->ids);
    c->labels = sc_calloc(tokens, sizeof *c->labels);
    c->weight = sc_calloc(tokens, sizeof *c->weight);
    c->start = sc_calloc((size_t)c->rows + 1, sizeof *c->start);
    if (!c->ids || !c->labels || !c->weight || !c->start) return sc_nomem();
    return sc_order_new(&c->order, sequences(&c->data, c->length), seed);
}

static sc_status causal_open(void **self, const sc_objective_setup *x)
{
    int64_t context = x->model->info.context;
    causal *c = sc_calloc(1, sizeof *c);
    if (!c) return sc_nomem();
    if (!x->o->length) x->o->length = SC_MIN(context ? context : 512, 512);
    c->rows = x->o->batch;
    c->length = x->o->length;
    sc_status s = SC_OK;
    if (context && c->length > context)
        s = sc_fail(SC_EINVAL, "sequences of %lld tokens, the model's context is %lld", (long long)c->length,
                    (long long)context);
    if (!s) s = read_data(c, x);
    if (!s) s = make_room(c, x->o->seed);
    c->order.plain = x->o->in_order;
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

static void put(causal *c, const sc_token_data *d, int64_t sequence, int64_t row)
{
    int64_t n = c->length;
    memcpy(c->ids + row * n, d->ids + sequence * n, (size_t)n * sizeof *c->ids);
    memcpy(c->labels + row * n, d->ids + sequence * n + 1, (size_t)n * sizeof *c->labels);
}

static sc_text_batch batch_of(causal *c, int64_t rows)
{
    int64_t tokens = rows * c->length;
    for (int64_t r = 0; r <= rows; r++) c->start[r] = (int32_t)(r * c->length);
    for (int64_t i = 0; i < tokens; i++) c->weight[i] = 1 / (float)tokens;
    return (sc_text_batch){.tokens = tokens,
                           .sequences = rows,
                           .ids = c->ids,
                           .start = c->start,
                           .rows = tokens,
                           .labels = c->labels,
                           .weight = c->weight,
                           .counted = tokens,
                           .examples = rows,
                           .words = tokens};
}

static sc_status causal_batch(void *self, int64_t index, sc_text_batch *out)
{
    causal *c = self;
    for (int64_t r = 0; r < c->rows; r++) put(c, &c->data, sc_order_at(&c->order, index * c->rows + r), r);
    *out = batch_of(c, c->rows);
    return SC_OK;
}

static sc_status causal_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    causal *c = self;
    int64_t first = index * c->rows, rows = SC_MIN(c->rows, sequences(&c->eval, c->length) - first);
    for (int64_t r = 0; r < rows; r++) put(c, &c->eval, first + r, r);
    *out = batch_of(c, rows);
    return SC_OK;
}

static sc_status causal_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    (void)self;
    sc_status s = sc_text_graph_new(&out->t, m, b->tokens, b->sequences, 0, NULL, NULL);
    if (!s) sc_loss_cross_entropy(out, out->t.logits, b->rows);
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
                                          .build = causal_build};
