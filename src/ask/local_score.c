/* SPDX-License-Identifier: Apache-2.0 */
/* Likelihoods under a model here. Requests are taken in the order of their ids, so that what begins alike follows one another:
 * a context is read once for all its continuations, and one that begins like the one before from where they part. The logits
 * behind a context serve the first token of each of its continuations; the others are read in a fork. */
#include "ask/ask.h"
#include "infer/infer.h"

#include <math.h>
#include <stdlib.h>

enum { ROWS = 64 }; /* of logits at once: they are wide */

typedef struct item {
    int64_t index;
    int32_t *ids; /* context, then continuation */
    int64_t n_context, n;
    bool cut;
} item;

static int by_ids(const void *a, const void *b)
{
    const item *x = a, *y = b;
    for (int64_t i = 0; i < x->n && i < y->n; i++)
        if (x->ids[i] != y->ids[i]) return x->ids[i] < y->ids[i] ? -1 : 1;
    if (x->n != y->n) return x->n < y->n ? -1 : 1;
    if (x->n_context != y->n_context) return x->n_context < y->n_context ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static sc_status add(const float *logits, int64_t vocab, int32_t id, sc_ask_score *out)
{
    double nll = sc_logits_nll(logits, vocab, id);
    float own = logits[id];
    bool better = false; /* some id is likelier, or as likely and lower */
    if (isnan(nll)) return sc_fail(SC_EINVAL, "the model gives a token a probability that is not a number");
    for (int64_t i = 0; i < vocab; i++) better |= logits[i] > own;
    for (int64_t i = 0; i < id; i++) better |= logits[i] == own;
    out->logprob -= nll;
    out->greedy = out->greedy && !better;
    return SC_OK;
}

/* The continuation ids[0..n) behind what sequence 0 holds. */
static sc_status score_behind(sc_asker *a, const int32_t *ids, int64_t n, sc_ask_score *out)
{
    int64_t vocab = a->p->model->info.vocab;
    sc_session *session = a->p->session;
    *out = (sc_ask_score){.tokens = n, .greedy = true};
    for (int64_t i = 0; i < n; i++)
        if (ids[i] < 0 || ids[i] >= vocab)
            return sc_fail(SC_ELIMIT, "token id %d is outside the model's vocabulary of %lld", ids[i],
                           (long long)vocab);
    sc_status s = add(a->first, vocab, ids[0], out);
    if (!s && n > 1) s = sc_session_fork(session, 0, 1);
    for (int64_t i = 0; !s && i < n - 1; i += ROWS) {
        const float *logits;
        int64_t m = SC_MIN(ROWS, n - 1 - i);
        s = sc_session_score(session, 1, ids + i, m, &logits);
        for (int64_t k = 0; !s && k < m; k++) s = add(logits + k * vocab, vocab, ids[i + k + 1], out);
    }
    if (n > 1) sc_session_trim(session, 1, 0);
    a->counts.scored_tokens += n;
    return s;
}

/* The id that an empty context stands for. */
static sc_status begin_id(const sc_asker *a, int32_t *id)
{
    int64_t n;
    const int32_t *eos = sc_model_eos(a->p->model, &n);
    *id = sc_tokenizer_bos(a->p->tokenizer);
    if (*id < 0) *id = sc_tokenizer_eos(a->p->tokenizer);
    if (*id < 0 && n) *id = eos[0];
    return *id < 0 ? sc_fail(SC_EINVAL, "%s has no token that begins or ends a text, for an empty context", a->name)
                   : SC_OK;
}

static bool is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* A context's ids and, behind them, those of a continuation encoded by itself. */
static sc_status join(const sc_asker *a, sc_text continuation, const int32_t *context, int64_t n_context, item *x)
{
    int32_t *more = NULL;
    int64_t n;
    sc_status s = sc_ask_prompt_ids(a, continuation, (sc_text){0}, true, &more, &n);
    if (s) return s;
    int32_t *all = sc_malloc(sizeof *all * (size_t)SC_MAX(n_context + n, 1));
    if (all) {
        memcpy(all, context, sizeof *all * (size_t)n_context);
        memcpy(all + n_context, more, sizeof *more * (size_t)n);
        sc_free(x->ids);
        x->ids = all;
        x->n_context = n_context;
        x->n = n_context + n;
    }
    sc_free(more);
    return all ? SC_OK : sc_nomem();
}

/* Context and continuation encoded together; the continuation is what lies beyond the context's own ids. */
static sc_status plain_pair(const sc_asker *a, const sc_ask_continuation *r, item *x)
{
    int64_t n = r->context.len, n_before = 0;
    sc_str whole = {0};
    int32_t *context = NULL;
    while (n > 0 && is_space((unsigned char)r->context.p[n - 1])) n--;
    sc_str_append(&whole, r->context.p, r->context.len);
    sc_str_append(&whole, r->continuation.p, r->continuation.len);
    sc_status s = whole.oom ? sc_nomem() : SC_OK;
    if (!s && n) s = sc_ask_prompt_ids(a, (sc_text){r->context.p, n}, (sc_text){0}, r->bare, &context, &n_before);
    if (!s) s = sc_ask_prompt_ids(a, (sc_text){whole.p, whole.len}, (sc_text){0}, r->bare || !n, &x->ids, &x->n);
    x->n_context = n_before;
    sc_str_free(&whole);
    /* Letters may merge into as few tokens as without them: then each is encoded by itself. */
    if (!s && x->n <= n_before) s = join(a, r->continuation, context, n_before, x);
    sc_free(context);
    return s;
}

/* A rendered conversation is closed, and a source is another text than its target: the continuation is encoded by itself. */
static sc_status apart(const sc_asker *a, const sc_ask_continuation *r, item *x)
{
    int32_t *context = NULL;
    int64_t n;
    sc_status s = sc_ask_prompt_ids(a, r->context, r->messages, false, &context, &n);
    if (!s && r->begin.len) {
        s = join(a, r->begin, context, n, x);
        sc_free(context);
        context = x->ids;
        n = x->n;
        x->ids = NULL;
    }
    if (!s) s = join(a, r->continuation, context, n, x);
    sc_free(context);
    return s;
}

/* An empty context becomes the id that begins texts, unless the continuation brings it. */
static sc_status give_context(const sc_asker *a, item *x)
{
    int32_t id;
    if (x->n_context) return SC_OK;
    sc_status s = begin_id(a, &id);
    if (s) return s;
    if (x->n > 1 && x->ids[0] == id) {
        x->n_context = 1;
        return SC_OK;
    }
    int32_t *grown = sc_realloc(x->ids, sizeof *grown * (size_t)(x->n + 1));
    if (!grown) return sc_nomem();
    memmove(grown + 1, grown, sizeof *grown * (size_t)x->n);
    grown[0] = id;
    x->ids = grown;
    x->n++;
    x->n_context = 1;
    return SC_OK;
}

/* All but the last id are read: at most the context's length of them. */
static sc_status fit(const sc_asker *a, item *x)
{
    int64_t over = x->n - 1 - a->context;
    if (x->n_context >= x->n) return sc_fail(SC_EINVAL, "a continuation that adds no token to its context");
    if (over <= 0) return SC_OK;
    if (over >= x->n_context)
        return sc_fail(SC_ELIMIT, "a continuation of %lld tokens in a context of %lld",
                       (long long)(x->n - x->n_context), (long long)a->context);
    memmove(x->ids, x->ids + over, sizeof *x->ids * (size_t)(x->n - over));
    x->n -= over;
    x->n_context -= over;
    x->cut = true;
    return SC_OK;
}

static sc_status make_item(const sc_asker *a, const sc_ask_continuation *r, item *x)
{
    bool pair = a->p->model->info.source_vocab > 0; /* the source is the context */
    sc_status s = pair || r->messages.p ? apart(a, r, x) : plain_pair(a, r, x);
    if (pair && !s)
        return x->n_context && x->n > x->n_context
                   ? SC_OK
                   : sc_fail(SC_EINVAL, "a source or a continuation without tokens");
    if (!s) s = give_context(a, x);
    return s ? s : fit(a, x);
}

static bool same_context(const item *a, const item *b)
{
    return a && a->n_context == b->n_context && !memcmp(a->ids, b->ids, sizeof *a->ids * (size_t)a->n_context);
}

static sc_status score_items(sc_asker *a, const item *items, int64_t n, sc_ask_score *out, sc_ask_done done,
                             void *user)
{
    const item *before = NULL;
    sc_status s = SC_OK;
    for (int64_t i = 0; i < n && !s; i++) {
        const item *x = &items[i];
        if (sc_context_cancelled(a->ctx)) return sc_fail(SC_ECANCELLED, "cancelled");
        if (!same_context(before, x)) s = sc_ask_read(a, x->ids, x->n_context, NULL, 0);
        if (!s) s = score_behind(a, x->ids + x->n_context, x->n - x->n_context, &out[x->index]);
        if (s) return sc_fail_in(s, "continuation %lld", (long long)x->index + 1);
        out[x->index].cut = x->cut;
        before = x;
        sc_ask_progress(a, "likelihoods", i + 1, n);
        if (done && !done(user, x->index, &out[x->index])) s = sc_ask_stopped();
    }
    return s;
}

sc_status sc_ask_score_local(sc_asker *a, const sc_ask_continuation *r, int64_t n, sc_ask_score *out,
                             sc_ask_done done, void *user)
{
    item *x = sc_calloc((size_t)SC_MAX(n, 1), sizeof *x);
    sc_status s = x ? SC_OK : sc_nomem();
    for (int64_t i = 0; i < n && !s; i++) {
        x[i].index = i;
        if ((s = make_item(a, &r[i], &x[i]))) sc_fail_in(s, "continuation %lld", (long long)i + 1);
    }
    if (!s) {
        qsort(x, (size_t)n, sizeof *x, by_ids);
        s = score_items(a, x, n, out, done, user);
    }
    for (int64_t i = 0; x && i < n; i++) sc_free(x[i].ids);
    sc_free(x);
    return s;
}

/* ---- whole texts ---- */

/* Window after window: each predicts as many ids as fit behind one of context. */
static sc_status score_windows(sc_asker *a, const int32_t *ids, int64_t n, sc_ask_score *out)
{
    sc_status s = SC_OK;
    *out = (sc_ask_score){.tokens = n - 1, .greedy = true};
    for (int64_t known = 1; known < n && !s;) {
        int64_t end = SC_MIN(known + a->context, n), from = SC_MAX(end - a->context - 1, 0);
        sc_ask_score part;
        s = sc_ask_read(a, ids + from, known - from, NULL, 0);
        if (!s) s = score_behind(a, ids + known, end - known, &part);
        if (!s) out->logprob += part.logprob, out->greedy = out->greedy && part.greedy;
        known = end;
    }
    return s;
}

sc_status sc_ask_score_texts_local(sc_asker *a, const sc_text *texts, int64_t n, sc_ask_score *out,
                                   sc_ask_done done, void *user)
{
    if (a->p->model->info.source_vocab)
        return sc_fail(SC_EUNSUPPORTED, "%s: an encoder-decoder continues no text", a->name);
    sc_status s = SC_OK;
    for (int64_t i = 0; i < n && !s; i++) {
        item x = {0};
        if (sc_context_cancelled(a->ctx)) s = sc_fail(SC_ECANCELLED, "cancelled");
        if (!s) s = sc_ask_prompt_ids(a, texts[i], (sc_text){0}, true, &x.ids, &x.n);
        if (!s && !x.n) s = sc_fail(SC_EINVAL, "a text without tokens");
        if (!s) s = give_context(a, &x);
        if (!s) s = score_windows(a, x.ids, x.n, &out[i]);
        sc_free(x.ids);
        if (s) return sc_fail_in(s, "text %lld", (long long)i + 1);
        sc_ask_progress(a, "likelihoods", i + 1, n);
        if (done && !done(user, i, &out[i])) s = sc_ask_stopped();
    }
    return s;
}
