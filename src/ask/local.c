/* SPDX-License-Identifier: Apache-2.0 */
/* A model here, answering many prompts at once. Sequence 0 of its session holds the prompt that was read last; each answer
 * under way is a fork of it, so that samples of one prompt share its memory and a prompt that begins like the one before
 * is read from where they part. A step takes the next token of all answers under way; one that ends makes room for the next.
 * Which answers go along in a step changes no bit of any of them (architecture.md), so neither does the batch. */
#include "ask/ask.h"
#include "infer/infer.h"

enum { BATCH = 8, MOST_BATCH = 256, CONTEXT_BY_DEFAULT = 8192 };

static void close_local(sc_asker *a)
{
    sc_pipeline_free(a->p);
    sc_free(a->first);
}

/* Tokens that the cache is to hold: a prompt's and those of all answers, since its pages take memory only when they are
 * first written to; but no more than a quarter of the machine's memory, as long as that is enough for one answer. The session
 * as it is tells what a token takes. */
static int64_t room_for(const sc_asker *a)
{
    int64_t tokens = 2 * SC_ATTENTION_TILE; /* of the session's two pages */
    int64_t each = SC_MAX(sc_session_cache_bytes(a->p->session) / tokens, 1);
    int64_t most = sc_memory_size() / 4 / each;
    return SC_MAX(SC_MIN(a->context * (a->batch + 1), most), 2 * a->context);
}

sc_status sc_asker_open(sc_asker **out, sc_context *ctx, const char *path, const sc_asker_options *options)
{
    sc_asker_options o = options ? *options : (sc_asker_options){0};
    if (o.batch < 0 || o.batch > MOST_BATCH)
        return sc_fail(SC_EINVAL, "%d answers at once, outside 1 to %d", o.batch, MOST_BATCH);
    if (o.context < 0 || o.context > 1 << 24)
        return sc_fail(SC_EINVAL, "a context of %lld tokens", (long long)o.context);
    sc_asker *a = sc_calloc(1, sizeof *a);
    if (!a) return sc_nomem();
    a->kind = &sc_asker_local;
    a->ctx = ctx;
    a->batch = o.batch ? o.batch : BATCH;
    a->name = sc_strdup(path);
    /* How long answers may be follows from the model, which must be open first; the session then holds them all. */
    sc_session_options session = {.context = 1, .sequences = 1, .cache = o.cache};
    sc_status s = a->name ? sc_pipeline_open_with(&a->p, ctx, path, o.model, &session) : sc_nomem();
    if (!s) {
        const sc_model_info *info = &a->p->model->info;
        int64_t own = info->context ? info->context : CONTEXT_BY_DEFAULT;
        a->context = o.context ? SC_MIN(o.context, own) : SC_MIN(own, CONTEXT_BY_DEFAULT);
        a->room = room_for(a);
        session.context = a->room;
        session.sequences = a->batch + 1;
        sc_session_free(a->p->session);
        a->p->session = NULL;
        s = sc_session_new(&a->p->session, a->p->model, &session);
        if (!s && !(a->first = sc_malloc(sizeof *a->first * (size_t)info->vocab))) s = sc_nomem();
    }
    if (s)
        sc_asker_free(a);
    else
        *out = a;
    return s;
}

/* ---- prompts ---- */

static sc_status plain_ids(const sc_asker *a, sc_text text, bool bare, int32_t **ids, int64_t *n)
{
    const int32_t *before, *after;
    int64_t n_before, n_after, n_own;
    int32_t *own;
    if (a->p->model->info.source_vocab && !bare) return sc_pipeline_text_ids(a->p, text.p, text.len, ids, n);
    sc_status s = sc_tokenizer_encode(a->p->tokenizer, text.p, text.len, SC_TOKENIZE_PARSE_SPECIAL, &own, &n_own);
    if (s) return s;
    sc_tokenizer_template(a->p->tokenizer, &before, &n_before, &after, &n_after);
    /* A text that is to be continued has no end, and one that brings its own beginning needs no second. */
    bool there = n_own >= n_before && n_before && memcmp(own, before, sizeof *own * (size_t)n_before) == 0;
    if (bare || there) n_before = 0;
    int32_t *all = sc_malloc(sizeof *all * (size_t)SC_MAX(n_before + n_own, 1));
    if (all) {
        memcpy(all, before, sizeof *all * (size_t)n_before);
        memcpy(all + n_before, own, sizeof *all * (size_t)n_own);
        *ids = all;
        *n = n_before + n_own;
    }
    sc_free(own);
    return all ? SC_OK : sc_nomem();
}

/* An array of messages, or the template's variables, which have it. */
static sc_status chat_ids(const sc_asker *a, sc_text messages, int32_t **ids, int64_t *n)
{
    sc_str v = {0};
    int64_t at = 0;
    while (at < messages.len && strchr(" \t\r\n", messages.p[at])) at++;
    if (at < messages.len && messages.p[at] == '{')
        return sc_pipeline_chat_ids(a->p, messages.p, messages.len, ids, n);
    sc_str_puts(&v, "{\"messages\":");
    sc_str_append(&v, messages.p, messages.len);
    sc_str_putc(&v, '}');
    sc_status s = v.oom ? sc_nomem() : sc_pipeline_chat_ids(a->p, v.p, v.len, ids, n);
    sc_str_free(&v);
    return s;
}

sc_status sc_ask_prompt_ids(const sc_asker *a, sc_text prompt, sc_text messages, bool bare, int32_t **ids,
                            int64_t *n)
{
    return prompt.p ? plain_ids(a, prompt, bare, ids, n) : chat_ids(a, messages, ids, n);
}

sc_status sc_ask_read(sc_asker *a, const int32_t *ids, int64_t n, const int32_t *begin, int64_t n_begin)
{
    sc_text_request r = {.ids = ids, .n_ids = n, .decoder_ids = begin, .n_decoder_ids = n_begin};
    sc_text_result result = {0};
    const float *logits;
    if (n < 1) return sc_fail(SC_EINVAL, "an empty prompt");
    sc_status s = sc_pipeline_read_prompt(a->p, &r, &result, &logits);
    if (s) return s;
    memcpy(a->first, logits, sizeof *logits * (size_t)a->p->model->info.vocab);
    a->counts.prompt_tokens += n;
    a->counts.cached_tokens += result.cached_tokens;
    return SC_OK;
}

/* ---- answers under way ---- */

typedef struct answer {
    bool busy;
    int64_t request;
    sc_ask_answer *to;
    sc_text_request how;
    sc_text_result result;
    sc_text_writer writer;
    sc_sampler *sampler;
    sc_str text;
    int32_t next;    /* chosen and not evaluated yet */
    int64_t longest; /* tokens that its sequence may have */
    int64_t needs;   /* tokens that it may come to hold */
} answer;

typedef struct work {
    sc_asker *a;
    const sc_ask_request *request;
    const int64_t *first;
    sc_ask_answer *answers;
    int64_t n;
    sc_ask_done done;
    void *user;
    /* the prompt that sequence 0 holds, the last of those that are begun */
    int64_t begun; /* requests begun */
    int sample;    /* its samples begun */
    int32_t *ids;
    int64_t n_ids, cut;
    int64_t *left; /* (n) samples that have not ended */
    int64_t ended; /* requests */
    answer *slot;  /* (batch); slot i is sequence i + 1 */
    int busy;
    int64_t needs; /* of all under way */
    float *scores; /* (vocab) where steps are forced */
} work;

static bool keep_text(void *user, const char *piece, int64_t len)
{
    answer *x = user;
    sc_str_append(&x->text, piece, len);
    return !x->text.oom;
}

static void forget(answer *x)
{
    sc_text_writer_close(&x->writer);
    sc_sampler_free(x->sampler);
    sc_str_free(&x->text);
    sc_free(x->result.ids);
    *x = (answer){0};
}

static const sc_forced *forced_of(const work *w, sc_forced *f)
{
    *f = sc_pipeline_forced(w->a->p);
    return w->a->p->model->info.source_vocab ? f : NULL;
}

/* What an answer's end means: its text is whole. */
static sc_status end_answer(work *w, answer *x, const char *reason)
{
    sc_status s = x->writer.status ? x->writer.status : sc_text_flush(&x->writer);
    if (!s && x->text.oom) s = sc_nomem();
    if (!s) s = sc_ask_keep(x->to, x->text.p, x->text.len);
    if (s) return s;
    x->to->finish_reason = reason;
    x->to->tokens = x->result.generated_tokens;
    w->a->counts.generated_tokens += x->to->tokens;
    int64_t request = x->request;
    w->needs -= x->needs;
    sc_session_trim(w->a->p->session, (int)(x - w->slot) + 1, 0);
    forget(x);
    w->busy--;
    if (--w->left[request] > 0) return SC_OK;
    w->ended++;
    sc_ask_progress(w->a, "answers", w->ended, w->n);
    if (w->done && !w->done(w->user, request, &w->answers[w->first[request]])) return sc_ask_stopped();
    return SC_OK;
}

static bool is_end(const sc_pipeline *p, int32_t id)
{
    for (int64_t i = 0; i < p->n_end; i++)
        if (p->end[i] == id) return true;
    return false;
}

/* Chooses an answer's next id from the logits behind what its sequence holds. */
static sc_status choose(work *w, answer *x, const float *logits)
{
    sc_pipeline *p = w->a->p;
    int seq = (int)(x - w->slot) + 1;
    float logprob;
    sc_forced f;
    const sc_forced *forced = forced_of(w, &f);
    sc_status s = sc_pipeline_find_ends(p, &x->how);
    if (s) return s;
    if (forced) {
        int64_t vocab = p->model->info.vocab;
        memcpy(w->scores, logits, sizeof *logits * (size_t)vocab);
        sc_forced_apply(forced, x->result.generated_tokens, x->how.max_new_tokens, p->end, p->n_end, w->scores,
                        vocab);
        logits = w->scores;
    }
    s = sc_sampler_sample(x->sampler, logits, &x->next, &logprob);
    if (!s) s = sc_sampler_accept(x->sampler, x->next);
    if (s) return s;
    x->result.generated_tokens++;
    x->to->logprob += logprob;
    if (is_end(p, x->next)) return end_answer(w, x, "stop");
    if (!sc_text_take(&x->writer, x->next, logprob)) return end_answer(w, x, "stop");
    if (x->result.generated_tokens == x->how.max_new_tokens) return end_answer(w, x, "length");
    if (sc_session_length(p->session, seq) >= x->longest) return end_answer(w, x, "context");
    return SC_OK;
}

static sc_status append_ids(int32_t **ids, int64_t *n, const int32_t *more, int64_t n_more)
{
    int32_t *grown = sc_realloc(*ids, sizeof *grown * (size_t)(*n + n_more));
    if (!grown) return sc_nomem();
    memcpy(grown + *n, more, sizeof *more * (size_t)n_more);
    *ids = grown;
    *n += n_more;
    return SC_OK;
}

/* Reads the next request's prompt into sequence 0. */
static sc_status next_prompt(work *w)
{
    const sc_ask_request *r = &w->request[w->begun];
    sc_asker *a = w->a;
    bool pair = a->p->model->info.source_vocab > 0;
    int32_t *begin = NULL;
    int64_t n_begin = 0, room = a->context - (pair ? 0 : 1);
    sc_free(w->ids);
    w->ids = NULL;
    w->cut = 0;
    sc_status s = sc_ask_prompt_ids(a, r->prompt, r->messages, false, &w->ids, &w->n_ids);
    if (!s && r->begin.len)
        s = sc_tokenizer_encode(a->p->tokenizer, r->begin.p, r->begin.len, SC_TOKENIZE_PARSE_SPECIAL, &begin,
                                &n_begin);
    if (!s && n_begin && !pair) s = append_ids(&w->ids, &w->n_ids, begin, n_begin);
    if (!s && r->cut && !pair) room = SC_MAX(a->context - r->max_new_tokens, 1);
    if (!s && w->n_ids > room && !r->cut)
        s = sc_fail(SC_ELIMIT, "a prompt of %lld tokens in a context of %lld", (long long)w->n_ids,
                    (long long)a->context);
    if (!s) w->cut = SC_MAX(w->n_ids - room, 0);
    if (!s) s = sc_ask_read(a, w->ids + w->cut, w->n_ids - w->cut, begin, pair ? n_begin : 0);
    sc_free(begin);
    if (s) return s;
    w->begun++;
    w->sample = 0;
    return SC_OK;
}

/* Tokens that a sample of the prompt in sequence 0 may come to hold. */
static int64_t needs_of(const work *w)
{
    return SC_MIN(w->n_ids - w->cut + w->request[w->begun - 1].max_new_tokens, w->a->context);
}

/* One more sample of the prompt in sequence 0. */
static sc_status begin_answer(work *w, answer *x)
{
    sc_pipeline *p = w->a->p;
    int64_t i = w->begun - 1;
    const sc_ask_request *r = &w->request[i];
    sc_sampling sampling = r->sampling;
    sampling.stream += (uint64_t)w->sample;
    *x = (answer){.busy = true,
                  .request = i,
                  .to = &w->answers[w->first[i] + w->sample],
                  .longest = w->a->context,
                  .needs = needs_of(w)};
    w->needs += x->needs;
    x->how = (sc_text_request){.max_new_tokens = r->max_new_tokens,
                               .stop = r->stop,
                               .n_stop = r->n_stop,
                               .ignore_eos = r->ignore_eos,
                               .text = keep_text,
                               .user = x};
    x->to->logprob = 0;
    x->to->prompt_cut = w->cut;
    w->busy++;
    w->sample++;
    sc_status s = sc_text_writer_open(&x->writer, p, &x->how, &x->result);
    if (!s) s = sc_sampler_new(&x->sampler, &sampling, p->model->info.vocab);
    if (!s) s = sc_sampler_prompt(x->sampler, p->held, p->n_held);
    if (!s) s = sc_session_fork(p->session, 0, (int)(x - w->slot) + 1);
    return s ? s : choose(w, x, w->a->first);
}

/* Fills free places while there is something to begin. */
static sc_status fill(work *w)
{
    sc_status s = SC_OK;
    for (int i = 0; !s && i < w->a->batch; i++)
        while (!s && !w->slot[i].busy) {
            bool more = w->begun && w->sample < SC_MAX(w->request[w->begun - 1].samples, 1);
            if (!more && w->begun == w->n) return SC_OK;
            if (!more && (s = next_prompt(w))) return sc_fail_in(s, "prompt %lld", (long long)w->begun + 1);
            /* Beside the next prompt, which may be as long as the context. */
            if (w->busy && w->needs + needs_of(w) > w->a->room - w->a->context) return SC_OK;
            s = begin_answer(w, &w->slot[i]);
        }
    return s;
}

/* The next token of every answer under way. */
static sc_status step(work *w)
{
    int seqs[MOST_BATCH], n = 0;
    int32_t ids[MOST_BATCH];
    const float *logits;
    for (int i = 0; i < w->a->batch; i++)
        if (w->slot[i].busy) {
            seqs[n] = i + 1;
            ids[n++] = w->slot[i].next;
        }
    sc_status s = sc_session_step(w->a->p->session, seqs, ids, n, &logits);
    for (int i = 0; !s && i < n; i++) s = choose(w, &w->slot[seqs[i] - 1], logits + i * w->a->p->model->info.vocab);
    return s;
}

static sc_status generate_local(sc_asker *a, const sc_ask_request *r, int64_t n, const int64_t *first,
                                sc_ask_answer *answers, sc_ask_done done, void *user)
{
    work w = {.a = a, .request = r, .first = first, .answers = answers, .n = n, .done = done, .user = user};
    w.slot = sc_calloc((size_t)a->batch, sizeof *w.slot);
    w.left = sc_malloc(sizeof *w.left * (size_t)SC_MAX(n, 1));
    w.scores = sc_malloc(sizeof *w.scores * (size_t)a->p->model->info.vocab);
    sc_status s = w.slot && w.left && w.scores ? SC_OK : sc_nomem();
    for (int64_t i = 0; i < n && !s; i++) w.left[i] = SC_MAX(r[i].samples, 1);
    while (!s && (w.ended < n)) {
        if (sc_context_cancelled(a->ctx)) s = sc_fail(SC_ECANCELLED, "cancelled");
        if (!s) s = fill(&w);
        if (!s && w.busy) s = step(&w);
    }
    for (int i = 0; w.slot && i < a->batch; i++)
        if (w.slot[i].busy) {
            sc_session_trim(a->p->session, i + 1, 0);
            forget(&w.slot[i]);
        }
    sc_free(w.slot);
    sc_free(w.left);
    sc_free(w.scores);
    sc_free(w.ids);
    return s;
}

const sc_asker_kind sc_asker_local = {.generate = generate_local,
                                      .score = sc_ask_score_local,
                                      .score_texts = sc_ask_score_texts_local,
                                      .close = close_local};
