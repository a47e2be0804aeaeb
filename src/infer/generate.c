/* SPDX-License-Identifier: Apache-2.0 */
/* Sampling a sequence to its end, and beam search over a session's sequences. */
#include "base/base.h"
#include "socle/session.h"

static bool ends(const sc_generate *how, int32_t id)
{
    for (int64_t i = 0; i < how->n_eos; i++)
        if (how->eos[i] == id) return true;
    return false;
}

sc_status sc_session_generate(sc_session *s, int seq, const float *logits, sc_sampler *sampler,
                              const sc_generate *how, sc_stop_reason *why, int64_t *generated)
{
    sc_status status;
    sc_model_info info;
    sc_model_describe(sc_session_model(s), &info);
    /* A session of several sequences may hold more tokens than the model takes in one. */
    int64_t longest = info.context ? SC_MIN(info.context, sc_session_context(s)) : sc_session_context(s);
    *why = SC_STOP_LENGTH;
    for (*generated = 0; *generated < how->max_new_tokens;) {
        int32_t id;
        float logprob;
        if ((status = sc_sampler_sample(sampler, logits, &id, &logprob)) ||
            (status = sc_sampler_accept(sampler, id)))
            return status;
        ++*generated;
        if (ends(how, id)) {
            *why = SC_STOP_EOS;
            return SC_OK;
        }
        if (!how->token(how->user, id, logprob)) {
            *why = SC_STOP_CALLER;
            return SC_OK;
        }
        if (*generated == how->max_new_tokens) break;
        if (sc_session_length(s, seq) >= longest) {
            *why = SC_STOP_CONTEXT;
            return SC_OK;
        }
        if ((status = sc_session_eval(s, seq, &id, 1, &logits))) return status;
    }
    return SC_OK;
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

sc_status sc_session_beam(sc_session *s, const float *logits, const sc_beam_options *options,
                          sc_beam_answer *results, int *n_results)
{
    sc_beam *b = NULL;
    sc_model_info info;
    float *logprobs = NULL;
    int set = 0, beams = options->num_beams;
    sc_model_describe(sc_session_model(s), &info);
    sc_status status = sc_beam_new(&b, options, info.vocab);
    if (status) return status;
    if (sc_session_sequences(s) < 2 * beams) {
        status = sc_fail(SC_EINVAL, "a search with %d beams needs a session of %d sequences", beams, 2 * beams);
        goto end;
    }
    if (!(logprobs = sc_malloc(sizeof *logprobs * (size_t)info.vocab * (size_t)beams))) {
        status = sc_nomem();
        goto end;
    }
    while (!sc_beam_done(b)) {
        const sc_beam_live_one *live;
        int n = sc_beam_live(b, &live);
        if (live[0].id >= 0 && (status = next_rows(s, live, n, beams, &set, &logits))) goto end;
        for (int i = 0; i < n && !status; i++)
            status = sc_logits_logprobs(logits + i * info.vocab, info.vocab, logprobs + i * info.vocab);
        if (status || (status = sc_beam_step(b, logprobs))) goto end;
    }
    status = collect(b, results, n_results);
end:
    sc_free(logprobs);
    sc_beam_free(b);
    return status;
}
