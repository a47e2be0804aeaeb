/* SPDX-License-Identifier: Apache-2.0 */
/* Span corruption (Raffel et al. 2020, section 3.1.4): spans of a text are taken out, a sentinel each in their place, and the
 * decoder writes each sentinel and what stood there. */
#include "train/objective.h"

#include <math.h>

typedef struct span {
    sc_corpus corpus;
    sc_pair_ids ids;
    double share, mean; /* of tokens taken out, and of the lengths of spans */
    int32_t *sentinel;
    int64_t sentinels, cap_sentinels;
    int64_t *kept, *out; /* lengths of the spans of a text that stay and that go, in turns */
    bool *first;
    int32_t *labels;
} span;

static void span_free(void *self)
{
    span *x = self;
    if (!x) return;
    sc_corpus_free(&x->corpus);
    sc_free(x->sentinel);
    sc_free(x->kept);
    sc_free(x->out);
    sc_free(x->first);
    sc_free(x->labels);
    sc_free(x);
}

/* How many tokens of n go, and in how many spans. */
static void measure(const span *x, int64_t n, int64_t *tokens, int64_t *spans)
{
    int64_t gone = (int64_t)rint((double)n * x->share);
    *tokens = SC_MAX(SC_MIN(gone, n - 1), 1);
    *spans = SC_MAX((int64_t)rint((double)SC_MIN(*tokens, n - *tokens) / x->mean), 1);
}

/* How long a text may be for the encoder to read no more than `length`, sentinels and end among them. */
static int64_t longest(const span *x, int64_t length)
{
    int64_t n = length;
    for (int64_t tokens, spans;; n++) {
        measure(x, n + 1, &tokens, &spans);
        if (n + 1 - tokens + spans + 1 > length) return n;
    }
}

/* <extra_id_0>, … of the tokenizer or, where it has none, the last ids of the model that it does not use. */
static sc_status find_sentinels(span *x, const sc_objective_setup *s, int64_t most)
{
    int64_t vocab = s->model->info.vocab, tokens, spans, words = sc_tokenizer_vocab_size(s->tokenizer);
    char name[32];
    measure(x, most, &tokens, &spans);
    for (int64_t i = 0; i < spans; i++) {
        snprintf(name, sizeof name, "<extra_id_%lld>", (long long)i);
        int32_t id = sc_tokenizer_id(s->tokenizer, name, (int64_t)strlen(name));
        if (id < 0 && i == 0) break;
        if (id < 0 || id >= vocab)
            return sc_fail(SC_EINVAL, "a text of %lld tokens needs %lld sentinels; the tokenizer has %lld",
                           (long long)most, (long long)spans, (long long)i);
        if (!sc_grow(&x->sentinel, &x->cap_sentinels, i + 1, sizeof *x->sentinel)) return sc_nomem();
        x->sentinel[x->sentinels++] = id;
    }
    if (x->sentinels) return SC_OK;
    if (vocab - words < spans)
        return sc_fail(
            SC_EINVAL,
            "no <extra_id_0>: span corruption needs %lld sentinels in the tokenizer, or as many ids of the "
            "model that it does not use; there are %lld",
            (long long)spans, (long long)SC_MAX(vocab - words, 0));
    if (!sc_grow(&x->sentinel, &x->cap_sentinels, spans, sizeof *x->sentinel)) return sc_nomem();
    for (int64_t i = 0; i < spans; i++) x->sentinel[x->sentinels++] = (int32_t)(vocab - 1 - i);
    return SC_OK;
}

static sc_status span_open(void **self, const sc_objective_setup *s)
{
    span *x = sc_calloc(1, sizeof *x);
    int64_t length = 0, most = 0;
    if (!x) return sc_nomem();
    x->share = s->o->mask_share > 0 ? s->o->mask_share : 0.15;
    x->mean = s->o->mean_span > 0 ? s->o->mean_span : 3;
    sc_status e = x->share <= 0.5 && x->mean >= 1
                      ? SC_OK
                      : sc_fail(SC_EINVAL, "spans of %g tokens, %g of all: at most half", x->mean, x->share);
    if (!e) e = sc_pair_ids_of(&x->ids, s);
    if (!e) e = sc_objective_length(s, &length);
    if (!e && length < 4) e = sc_fail(SC_EINVAL, "sequences of %lld tokens have no spans", (long long)length);
    if (!e) e = find_sentinels(x, s, most = longest(x, length));
    if (!e)
        e = sc_corpus_open(&x->corpus, s, most, SC_MIN(s->model->info.source_vocab, s->model->info.vocab), false);
    size_t n = (size_t)most + 2;
    if (!e && (!(x->kept = sc_calloc(n, sizeof *x->kept)) || !(x->out = sc_calloc(n, sizeof *x->out)) ||
               !(x->first = sc_calloc(n, sizeof *x->first)) || !(x->labels = sc_calloc(2 * n, sizeof *x->labels))))
        e = sc_nomem();
    if (e)
        span_free(x);
    else
        *self = x;
    return e;
}

static void span_size(const void *self, sc_objective_size *out)
{
    sc_corpus_size(&((const span *)self)->corpus, out);
}

/* n things in `parts` parts, none empty, all divisions as likely. */
static void divide(span *x, sc_rng *r, int64_t n, int64_t parts, int64_t *length)
{
    for (int64_t i = 0; i < n - 1; i++) x->first[i] = i < parts - 1;
    for (int64_t i = n - 2; i > 0; i--) {
        int64_t k = sc_rng_below(r, i + 1);
        bool swap = x->first[i];
        x->first[i] = x->first[k];
        x->first[k] = swap;
    }
    int64_t part = 0;
    length[0] = 1;
    for (int64_t i = 0; i < n - 1; i++) {
        if (x->first[i]) length[++part] = 0;
        length[part]++;
    }
}

static sc_status spoil(void *user, const sc_passage *part, sc_rng *r)
{
    span *x = user;
    sc_maker *m = &x->corpus.maker;
    const int32_t *at = part->ids;
    int64_t gone = 0, spans = 0, n = 0;
    if (part->n > 1) {
        measure(x, part->n, &gone, &spans);
        divide(x, r, gone, spans, x->out);
        divide(x, r, part->n - gone, spans, x->kept);
    }
    sc_maker_text(m, &m->source, at, NULL, spans ? 0 : part->n, false);
    for (int64_t i = 0; i < spans; i++) {
        sc_maker_text(m, &m->source, at, NULL, x->kept[i], true);
        sc_maker_text(m, &m->source, &x->sentinel[i], NULL, 1, true);
        at += x->kept[i];
        x->labels[n++] = x->sentinel[i];
        memcpy(x->labels + n, at, (size_t)x->out[i] * sizeof *at);
        n += x->out[i];
        at += x->out[i];
    }
    sc_maker_text(m, &m->source, &x->ids.end, NULL, 1, true);
    x->labels[n++] = x->ids.end;
    sc_maker_answer(m, x->labels, n, x->ids.start);
    return SC_OK;
}

static sc_status batch(span *x, bool eval, int64_t index, sc_text_batch *out)
{
    sc_status s = sc_corpus_batch(&x->corpus, eval, index, spoil, x);
    return s ? s : sc_maker_finish(&x->corpus.maker, SC_ROWS_TOKENS, out);
}

static sc_status span_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, false, index, out);
}
static sc_status span_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, true, index, out);
}

static sc_status span_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    (void)self;
    return sc_build_pair(out, m, b, 0);
}

static void span_describe(void *self, int64_t index, sc_str *out)
{
    sc_corpus_describe(&((span *)self)->corpus, index, out);
}

const sc_objective sc_objective_span = {.name = "span",
                                        .summary = "spans that were taken out of a text (T5)",
                                        .kinds = SC_LEARNS_PAIR,
                                        .measure = "token_accuracy",
                                        .open = span_open,
                                        .free = span_free,
                                        .size = span_size,
                                        .batch = span_batch,
                                        .eval_batch = span_eval_batch,
                                        .describe = span_describe,
                                        .build = span_build};
