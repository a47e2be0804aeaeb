/* SPDX-License-Identifier: Apache-2.0 */
/* Masked words, classes of texts and of their tokens, answers in a text: one text through an encoder and its head. */
#include "infer/infer.h"

#include <float.h>
#include <math.h>

enum { MOST = 8192 }; /* tokens of a text for a model without a limit */

struct sc_reader {
    sc_context *ctx;
    sc_model *model;
    sc_tokenizer *tokenizer;
    int32_t mask; /* -1: none */
    int64_t most;
};

static int32_t find_mask(const sc_tokenizer *t)
{
    static const char *const names[] = {"[MASK]", "<mask>"};
    for (int i = 0; i < SC_COUNT(names); i++) {
        int32_t id = sc_tokenizer_id(t, names[i], (int64_t)strlen(names[i]));
        if (id >= 0) return id;
    }
    return -1;
}

sc_status sc_reader_open(sc_reader **out, sc_context *ctx, const char *path)
{
    sc_reader *r = sc_calloc(1, sizeof *r);
    if (!r) return sc_nomem();
    r->ctx = ctx;
    sc_status s = sc_model_open(&r->model, ctx, path, NULL);
    if (!s) s = sc_tokenizer_load(&r->tokenizer, path);
    if (s) {
        sc_reader_free(r);
        return s;
    }
    r->mask = find_mask(r->tokenizer);
    r->most = r->model->info.context ? r->model->info.context : MOST;
    *out = r;
    return SC_OK;
}

void sc_reader_free(sc_reader *r)
{
    if (!r) return;
    sc_tokenizer_free(r->tokenizer);
    sc_model_free(r->model);
    sc_free(r);
}

const sc_model *sc_reader_model(const sc_reader *r) { return r->model; }
const sc_tokenizer *sc_reader_tokenizer(const sc_reader *r) { return r->tokenizer; }

const char *sc_reader_mask(const sc_reader *r)
{
    return r->mask < 0 ? NULL : sc_tokenizer_token(r->tokenizer, r->mask, NULL);
}

static sc_status want_head(const sc_reader *r, sc_head head, const char *what)
{
    if (r->model->info.head == head) return SC_OK;
    return sc_fail(SC_EUNSUPPORTED, "%s: this model has no head %s", r->model->info.path, what);
}

static void softmax(float *x, int64_t n)
{
    double top = x[0], sum = 0;
    for (int64_t i = 1; i < n; i++) top = fmax(top, x[i]);
    for (int64_t i = 0; i < n; i++) sum += exp(x[i] - top);
    for (int64_t i = 0; i < n; i++) x[i] = (float)(exp(x[i] - top) / sum);
}

static sc_status too_long(const sc_reader *r, int64_t n)
{
    return sc_fail(SC_ELIMIT, "a text of %lld tokens for a model of %lld", (long long)n, (long long)r->most);
}

/* Runs one text; *logits are borrowed from the batch. */
static sc_status run(sc_reader *r, const sc_text_ids *x, int64_t wanted, sc_batch *b, float **logits)
{
    sc_batch_text text = {.ids = x->ids, .types = x->types, .n = x->n};
    sc_status s = x->n ? SC_OK : sc_fail(SC_EINVAL, "the text has no tokens");
    if (!s) s = sc_batch_new(b, r->model, x->n, 1, 0, wanted);
    if (s) return s;
    if (wanted) { /* the gaps */
        int32_t *rows = sc_plan_data(b->plan, b->t.in.wanted);
        for (int64_t i = 0, k = 0; i < x->n; i++)
            if (x->ids[i] == r->mask) rows[k++] = (int32_t)i;
    }
    if ((s = sc_batch_run(b, &text, 1))) return s;
    *logits = sc_plan_data(b->plan, b->t.logits);
    for (int64_t i = 0, n = sc_shape_elements(&b->t.logits->shape); i < n; i++) {
        if (!((*logits)[i] <= FLT_MAX))
            return sc_fail(SC_EINVAL, "%s: what the model gives is not a number: its weights are damaged",
                           r->model->info.path);
    }
    return SC_OK;
}

/* ---- gaps ---- */

/* The k likeliest of a row of probabilities. */
static void best_of(const float *p, int64_t n, int64_t k, sc_guess *out)
{
    int64_t have = 0;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = SC_MIN(have, k - 1);
        if (have == k && p[i] <= out[k - 1].probability) continue;
        if (have < k) have++;
        for (; at > 0 && p[i] > out[at - 1].probability; at--) out[at] = out[at - 1];
        out[at] = (sc_guess){(int32_t)i, p[i]};
    }
}

sc_status sc_reader_fill(sc_reader *r, sc_text text, int64_t k, sc_guess **out, int64_t *gaps)
{
    sc_text_ids x = {0};
    sc_batch b = {0};
    float *logits;
    int64_t n = 0, vocab = r->model->info.vocab, count;
    sc_guess *guess = NULL;
    sc_status s = want_head(r, SC_HEAD_FILL, "that fills gaps");
    if (s) return s;
    if (k < 1 || k > vocab)
        return sc_fail(SC_EINVAL, "%lld guesses in a vocabulary of %lld", (long long)k, (long long)vocab);
    if (r->mask < 0) return sc_fail(SC_EUNSUPPORTED, "%s: the tokenizer has no mask", r->model->info.path);
    if ((s = sc_text_ids_new(&x, r->tokenizer, text, (sc_text){0}, r->most))) return s;
    if (x.whole > r->most) s = too_long(r, x.whole);
    for (int64_t i = 0; i < x.n; i++) n += x.ids[i] == r->mask;
    if (!s && !n) s = sc_fail(SC_EINVAL, "the text has no gap: %s marks one", sc_reader_mask(r));
    if (!s && (!sc_mul_ok(n, k, &count) || !(guess = sc_calloc((size_t)count, sizeof *guess)))) s = sc_nomem();
    if (!s) s = run(r, &x, n, &b, &logits);
    for (int64_t i = 0; !s && i < n; i++) {
        softmax(logits + i * vocab, vocab);
        best_of(logits + i * vocab, vocab, k, guess + i * k);
    }
    sc_batch_free(&b);
    sc_text_ids_free(&x);
    if (s) {
        sc_free(guess);
        return s;
    }
    *out = guess;
    *gaps = n;
    return SC_OK;
}

/* ---- classes ---- */

sc_status sc_reader_classify(sc_reader *r, sc_text text, sc_text pair, float *out)
{
    sc_text_ids x = {0};
    sc_batch b = {0};
    float *logits;
    int64_t n = r->model->info.labels;
    sc_status s = want_head(r, SC_HEAD_CLASSES, "that classifies texts");
    if (!s) s = sc_text_ids_new(&x, r->tokenizer, text, pair, r->most);
    if (!s && x.whole > x.n)
        sc_log(r->ctx, SC_LOG_WARNING,
               "a text of %lld tokens is classified by its first %lld, which the model takes", (long long)x.whole,
               (long long)x.n);
    if (!s) s = run(r, &x, 0, &b, &logits);
    if (!s) {
        memcpy(out, logits, sizeof *out * (size_t)n);
        if (sc_model_multi_label(r->model))
            for (int64_t i = 0; i < n; i++) out[i] = (float)(1 / (1 + exp(-(double)out[i])));
        else if (n > 1)
            softmax(out, n);
    }
    sc_batch_free(&b);
    sc_text_ids_free(&x);
    return s;
}

sc_status sc_reader_tag(sc_reader *r, sc_text text, sc_tag **out, int64_t *n)
{
    sc_text_ids x = {0};
    sc_token_span *spans = NULL;
    sc_tag *tag = NULL;
    sc_batch b = {0};
    float *logits;
    int64_t labels = r->model->info.labels, count = 0;
    sc_status s = want_head(r, SC_HEAD_TAGS, "that classifies tokens");
    if (!s)
        s = sc_tokenizer_encode_spans(r->tokenizer, text.p, text.len,
                                      SC_TOKENIZE_SPECIAL | SC_TOKENIZE_PARSE_SPECIAL, &x.ids, &spans, &x.n);
    if (!s && x.n > r->most) s = too_long(r, x.n);
    if (!s) s = run(r, &x, 0, &b, &logits);
    if (!s && !(tag = sc_calloc((size_t)x.n, sizeof *tag))) s = sc_nomem();
    for (int64_t i = 0; !s && i < x.n; i++) {
        if (spans[i].begin == spans[i].end) continue;
        float *p = logits + i * labels;
        int64_t best = 0;
        softmax(p, labels);
        for (int64_t k = 1; k < labels; k++)
            if (p[k] > p[best]) best = k;
        tag[count++] = (sc_tag){spans[i].begin, spans[i].end, best, p[best]};
    }
    sc_batch_free(&b);
    sc_text_ids_free(&x);
    sc_free(spans);
    if (s) {
        sc_free(tag);
        return s;
    }
    *out = tag;
    *n = count;
    return SC_OK;
}

/* ---- answers ---- */

/* Where ids[0..n) stand in x, the last such place; -1: nowhere. */
static int64_t find_last(const sc_text_ids *x, const int32_t *ids, int64_t n)
{
    for (int64_t i = x->n - n; i >= 0; i--)
        if (memcmp(x->ids + i, ids, sizeof *ids * (size_t)n) == 0) return i;
    return -1;
}

/* The likeliest pair begin <= end of n tokens, at most LONGEST apart; logits (n, 2). */
static double best_span(const float *logits, int64_t n, int64_t *begin, int64_t *end)
{
    enum { LONGEST = 30 };
    double best = -INFINITY;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = i; j < SC_MIN(n, i + LONGEST); j++) {
            double score = (double)logits[2 * i] + logits[2 * j + 1];
            if (score > best) best = score, *begin = i, *end = j;
        }
    return best;
}

static double log_sum(const float *logits, int64_t n)
{
    double top = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) top = fmax(top, logits[2 * i]);
    for (int64_t i = 0; i < n; i++) sum += exp(logits[2 * i] - top);
    return top + log(sum);
}

sc_status sc_reader_answer(sc_reader *r, sc_text question, sc_text context, sc_tag *out)
{
    sc_text_ids x = {0};
    int32_t *ids = NULL;
    sc_token_span *spans = NULL;
    sc_batch b = {0};
    float *logits;
    int64_t n = 0, at = 0, begin = 0, end = 0;
    sc_status s = want_head(r, SC_HEAD_SPAN, "that finds answers");
    if (!s) s = sc_tokenizer_encode_spans(r->tokenizer, context.p, context.len, 0, &ids, &spans, &n);
    if (!s) s = sc_text_ids_new(&x, r->tokenizer, question, context, INT32_MAX);
    if (!s && x.n > r->most)
        s = sc_fail(SC_ELIMIT, "question and text have %lld tokens, the model takes %lld", (long long)x.n,
                    (long long)r->most);
    if (!s && (!n || (at = find_last(&x, ids, n)) < 0)) s = sc_fail(SC_EINVAL, "the text has no tokens");
    if (!s) s = run(r, &x, 0, &b, &logits);
    if (!s) {
        double score = best_span(logits + 2 * at, n, &begin, &end);
        score -= log_sum(logits, x.n) + log_sum(logits + 1, x.n);
        *out = (sc_tag){spans[begin].begin, spans[end].end, 0, (float)exp(score)};
    }
    sc_batch_free(&b);
    sc_text_ids_free(&x);
    sc_free(ids);
    sc_free(spans);
    return s;
}
