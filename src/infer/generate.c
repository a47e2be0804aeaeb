/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling a sequence to its end, and beam search over a session's sequences. */
#include "infer/infer.h"

static bool ends(const sc_generate *how, int32_t id)
{
    for (int64_t i = 0; i < how->n_eos; i++)
        if (how->eos[i] == id) return true;
    return false;
}

typedef struct generation {
    sc_session *s;
    int seq;
    sc_sampler *sampler;
    const sc_generate *how;
    int64_t vocab, longest; /* tokens that the sequence may have */
    sc_stop_reason why;
    int64_t generated;
    float *scores; /* (vocab) where steps are forced */
} generation;

/* Hands an id over; `held` tokens are before it in the sequence. *more: the answer goes on. */
static sc_status hand_over(generation *g, int32_t id, float logprob, int64_t held, bool *more)
{
    const sc_generate *how = g->how;
    *more = false;
    sc_status status = sc_sampler_accept(g->sampler, id);
    if (!status && how->drafter) status = sc_drafter_add(how->drafter, id);
    if (status) return status;
    g->generated++;
    if (ends(how, id))
        g->why = SC_STOP_EOS;
    else if (!how->token(how->user, id, logprob))
        g->why = SC_STOP_CALLER;
    else if (g->generated == how->max_new_tokens)
        g->why = SC_STOP_LENGTH;
    else if (held >= g->longest)
        g->why = SC_STOP_CONTEXT;
    else
        *more = true;
    return SC_OK;
}

/* Samples from rows of logits, the one after the sequence's last id but n_draft and those after the n_draft drafted ones,
 * until one is not what was drafted. The sequence then ends before *last, the id that was sampled last. */
static sc_status take_rows(generation *g, const float *logits, int64_t n_draft, int32_t *last, bool *more)
{
    if (g->scores) {
        memcpy(g->scores, logits, sizeof *logits * (size_t)g->vocab);
        sc_forced_apply(g->how->forced, g->generated, g->how->max_new_tokens, g->how->eos, g->how->n_eos, g->scores,
                        g->vocab);
        logits = g->scores;
    }
    sc_drafter *d = g->how->drafter;
    int64_t base = sc_session_length(g->s, g->seq) - n_draft, row = 0, stood = 0;
    bool accepted = false;
    sc_status status;
    do {
        const float *x = logits + row * g->vocab;
        float logprob;
        status = d ? sc_drafter_choose(d, row, g->sampler, x, last, &logprob, &accepted)
                   : sc_sampler_sample(g->sampler, x, last, &logprob);
        if (!status) status = hand_over(g, *last, logprob, base + row, more);
        stood += accepted;
        row++;
    } while (!status && accepted && *more);
    if (d) sc_drafter_judge(d, stood);
    sc_status trimmed = sc_session_trim(g->s, g->seq, base + row - 1);
    return status ? status : trimmed;
}

/* Evaluates the last id and what the drafter, if any, guesses after it. */
static sc_status evaluate(generation *g, int32_t last, const float **logits, int64_t *n_draft)
{
    int32_t ids[1 + SC_DRAFT_MOST];
    int64_t length = sc_session_length(g->s, g->seq), most = g->how->max_new_tokens - g->generated - 1;
    *n_draft = 0;
    if (g->how->drafter) {
        const int32_t *guess;
        sc_status status =
            sc_drafter_guess(g->how->drafter, SC_MIN(most, g->longest - length - 1), &guess, n_draft);
        if (status) return status;
        ids[0] = last;
        memcpy(ids + 1, guess, sizeof *guess * (size_t)*n_draft);
    }
    if (*n_draft) {
        sc_status status = sc_session_score(g->s, g->seq, ids, 1 + *n_draft, logits);
        if (!status || status == SC_ECANCELLED || status == SC_ENOMEM) return status;
        /* Other sequences may leave no room, or the chunk be shorter: it goes without a draft. */
        sc_drafter_drop(g->how->drafter);
        *n_draft = 0;
    }
    return sc_session_eval(g->s, g->seq, &last, 1, logits);
}

sc_status sc_session_generate(sc_session *s, int seq, const float *logits, sc_sampler *sampler,
                              const sc_generate *how, sc_stop_reason *why, int64_t *generated)
{
    sc_model_info info;
    sc_model_describe(sc_session_model(s), &info);
    generation g = {.s = s, .seq = seq, .sampler = sampler, .how = how, .vocab = info.vocab, .why = SC_STOP_LENGTH};
    /* A session of several sequences may hold more tokens than the model takes in one. */
    g.longest = info.context ? SC_MIN(info.context, sc_session_context(s)) : sc_session_context(s);
    int64_t n_draft = 0;
    int32_t last = 0;
    bool more = how->max_new_tokens > 0;
    sc_status status = SC_OK;
    if (how->forced && how->drafter) return sc_fail(SC_EINVAL, "forced steps do not go with a drafter");
    if (how->forced && !(g.scores = sc_malloc(sizeof *g.scores * (size_t)g.vocab))) return sc_nomem();
    while (more && !status) {
        status = take_rows(&g, logits, n_draft, &last, &more);
        if (!status && more) status = evaluate(&g, last, &logits, &n_draft);
    }
    *why = g.why;
    *generated = g.generated;
    sc_free(g.scores);
    return status;
}

/* One step's rows: each live beam continues a copy of its parent's sequence. Two sets of sequences take turns, since a
 * parent may have several children. */
static sc_status next_rows(sc_session *s, const sc_beam_live_one *live, int n, int beams, int *set,
                           const float **logits)
{
    int seqs[1024], old = *set * beams, fresh = (1 - *set) * beams;
    int32_t ids[1024];
    for (int i = 0; i < n; i++) {
        sc_status status = sc_session_fork(s, old + live[i].parent, fresh + i);
        if (status) return status;
        seqs[i] = fresh + i;
        ids[i] = live[i].id;
    }
    for (int i = 0; i < beams; i++) sc_session_trim(s, old + i, 0); /* gives the pages of dead beams back */
    *set = 1 - *set;
    return sc_session_step(s, seqs, ids, n, logits);
}

static sc_status collect(const sc_beam *b, sc_beam_answer *results, int *n)
{
    *n = 0;
    for (int i = 0; i < sc_beam_results(b); i++) {
        float score;
        sc_status status = sc_beam_result(b, i, &results[i].ids, &results[i].n, &score);
        if (status) {
            while (*n > 0) sc_free(results[--*n].ids);
            return status;
        }
        results[i].score = score;
        ++*n;
    }
    return SC_OK;
}

typedef struct search {
    const sc_beam_search *how;
    sc_beam *b;
    sc_sampler *sampler; /* NULL: no processors */
    int64_t vocab, step;
    int32_t *ids; /* of one beam */
} search;

/* Live beam i's log probabilities, processed. */
static sc_status score(search *x, int i, const float *logits, float *logprobs)
{
    const sc_beam_search *how = x->how;
    sc_status s = sc_logits_logprobs(logits, x->vocab, logprobs);
    if (!s && x->sampler) {
        int64_t n = sc_beam_length(x->b);
        sc_sampler_reset(x->sampler);
        s = sc_sampler_prompt(x->sampler, how->prompt, how->n_prompt);
        if (!s) s = sc_beam_ids(x->b, i, x->ids);
        for (int64_t k = 0; !s && k < n; k++) s = sc_sampler_accept(x->sampler, x->ids[k]);
        if (!s) s = sc_sampler_scores(x->sampler, logprobs, logprobs);
    }
    if (!s && how->forced)
        sc_forced_apply(how->forced, x->step, how->options.max_new_tokens, how->options.eos, how->options.n_eos,
                        logprobs, x->vocab);
    return s;
}

static sc_status run_search(sc_session *s, search *x, const float *logits, float *logprobs)
{
    sc_status status = SC_OK;
    int set = 0;
    for (x->step = 0; !status && !sc_beam_done(x->b); x->step++) {
        const sc_beam_live_one *live;
        int n = sc_beam_live(x->b, &live);
        if (live[0].id >= 0) status = next_rows(s, live, n, x->how->options.num_beams, &set, &logits);
        for (int i = 0; i < n && !status; i++) status = score(x, i, logits + i * x->vocab, logprobs + i * x->vocab);
        if (!status) status = sc_beam_step(x->b, logprobs);
    }
    return status;
}

sc_status sc_session_beam(sc_session *s, const float *logits, const sc_beam_search *how, sc_beam_answer *results,
                          int *n_results)
{
    sc_model_info info;
    float *logprobs = NULL;
    int beams = how->options.num_beams;
    sc_model_describe(sc_session_model(s), &info);
    search x = {.how = how, .vocab = info.vocab};
    sc_status status = sc_beam_new(&x.b, &how->options, info.vocab);
    if (status) return status;
    if (sc_session_sequences(s) < 2 * beams)
        status = sc_fail(SC_EINVAL, "a search with %d beams needs a session of %d sequences", beams, 2 * beams);
    if (!status && how->processors) status = sc_sampler_new(&x.sampler, how->processors, info.vocab);
    if (!status && (!(logprobs = sc_malloc(sizeof *logprobs * (size_t)info.vocab * (size_t)beams)) ||
                    !(x.ids = sc_malloc(sizeof *x.ids * (size_t)how->options.max_new_tokens))))
        status = sc_nomem();
    if (!status) status = run_search(s, &x, logits, logprobs);
    if (!status) status = collect(x.b, results, n_results);
    sc_free(logprobs);
    sc_free(x.ids);
    sc_sampler_free(x.sampler);
    sc_beam_free(x.b);
    return status;
}
