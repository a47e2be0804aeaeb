/* SPDX-License-Identifier: Apache-2.0 */
/* Drafting: guessing the next ids, so that the model evaluates several of them at once. (sc_session_generate has the
 * loop; here is who guesses, how many, and which guesses stand.)
 *
 * 1. What comes out has the distribution of plain sampling. A guess made without chance (look-up, or a greedy draft
 *    model) stands if it is what the sampler draws anyway: it is accepted with the probability that it has, and else the
 *    draw is one of the rest. So even the ids are those of plain sampling under the same seed. A guess drawn from a draft
 *    model's distribution q stands with probability min(1, p/q), and is else replaced by a draw from max(0, p - q)
 *    (Leviathan et al. 2023, "Fast inference from transformers via speculative decoding").
 * 2. Drafts draw from random numbers of their own, which nothing else uses: the argument needs their independence.
 * 3. Drafts have few lengths, since a session makes a plan for each: with the id before them they are rows of 2, 4, 8, …
 *    (`ladder`), or of the length that was asked for.
 * 4. Where guesses fail, they become shorter and then rarer: of many tokens, one in LONGEST_PAUSE is guessed in vain. */
#include "infer/infer.h"

enum { ADAPTIVE_STEPS = 4, FIRST_STEP = 1, LONGEST_PAUSE = 32, CATCH_UP = 32 };
static const int ladder[] = {1, 3, 7, 15, SC_DRAFT_MOST};

struct sc_drafter {
    sc_session *draft; /* NULL: look-up */
    int64_t tokens;    /* always this many; 0: adaptive */
    int64_t vocab;
    sc_lookup lookup;
    int32_t *ids; /* prompt and answer */
    int64_t n, cap, n_prompt;
    int step, pause,
        backoff; /* draft ladder[step] ids; draft again after `pause` rounds, the next time `backoff` */
    int64_t drafted, accepted, evaluations;

    int32_t guess[SC_DRAFT_MOST];
    int64_t n_guess;

    /* with a draft model */
    sc_sampler *sampler; /* the same steps on the draft model's logits */
    bool chance;         /* guesses are drawn from q, (n_guess, vocab) */
    sc_rng rng;
    float *q, *p;
    int64_t cap_q;
    int32_t *held; /* what the draft's sequence holds */
    int64_t n_held, cap_held;
    int64_t n_told; /* how many of `ids` the sampler was told of; -1: it was told of others too */
};

sc_status sc_drafter_new(sc_drafter **out, const sc_model *m, sc_session *draft, int64_t tokens)
{
    sc_model_info target, own;
    sc_model_describe(m, &target);
    if (tokens < 0 || tokens > SC_DRAFT_MOST)
        return sc_fail(SC_EINVAL, "drafts of %lld tokens, outside 1 to %d", (long long)tokens, SC_DRAFT_MOST);
    if (draft) {
        sc_model_describe(sc_session_model(draft), &own);
        if (own.vocab != target.vocab)
            return sc_fail(SC_EINVAL, "the draft model has a vocabulary of %lld, the model one of %lld",
                           (long long)own.vocab, (long long)target.vocab);
    }
    sc_drafter *d = sc_calloc(1, sizeof *d);
    if (!d) return sc_nomem();
    d->draft = draft;
    d->tokens = tokens;
    d->vocab = target.vocab;
    if (draft && !(d->p = sc_malloc(sizeof *d->p * (size_t)d->vocab))) {
        sc_drafter_free(d);
        return sc_nomem();
    }
    *out = d;
    return SC_OK;
}

void sc_drafter_free(sc_drafter *d)
{
    if (!d) return;
    sc_lookup_clear(&d->lookup);
    sc_sampler_free(d->sampler);
    sc_free(d->ids);
    sc_free(d->q);
    sc_free(d->p);
    sc_free(d->held);
    sc_free(d);
}

sc_status sc_drafter_start(sc_drafter *d, const sc_sampling *sampling, const int32_t *ids, int64_t n)
{
    d->n = d->n_prompt = d->n_guess = 0;
    d->drafted = d->accepted = d->evaluations = 0;
    d->step = FIRST_STEP;
    d->pause = d->backoff = 0;
    sc_lookup_clear(&d->lookup);
    if (!sc_grow(&d->ids, &d->cap, n + 1, sizeof *d->ids)) return sc_nomem();
    memcpy(d->ids, ids, sizeof *ids * (size_t)n);
    d->n = d->n_prompt = n;
    if (!d->draft) return SC_OK;
    sc_sampler_free(d->sampler);
    d->sampler = NULL;
    d->n_told = 0;
    d->chance = sampling->do_sample && sampling->temperature > 0;
    d->rng = sc_rng_make(sampling->seed, ~sampling->stream);
    return sc_sampler_new(&d->sampler, sampling, d->vocab);
}

void sc_drafter_counts(const sc_drafter *d, int64_t *drafted, int64_t *accepted, int64_t *evaluations)
{
    *drafted = d->drafted;
    *accepted = d->accepted;
    *evaluations = d->evaluations;
}

sc_status sc_drafter_add(sc_drafter *d, int32_t id)
{
    if (!sc_grow(&d->ids, &d->cap, d->n + 1, sizeof *d->ids)) return sc_nomem();
    d->ids[d->n++] = id;
    return SC_OK;
}

/* ---- how many ---- */

/* The length of the next draft: at most `most`, on the ladder no higher than `highest`. */
static int64_t length_of(const sc_drafter *d, int64_t most, int highest)
{
    if (d->tokens && d->tokens <= most) return d->tokens;
    int step = d->tokens ? SC_COUNT(ladder) - 1 : SC_MIN(d->step, highest);
    while (step >= 0 && ladder[step] > most) step--;
    return step < 0 ? 0 : ladder[step];
}

/* Is this a round to sit out? `evidence` shortens the pause. */
static bool pausing(sc_drafter *d, int evidence)
{
    if (d->tokens || d->pause <= 0) return false;
    d->pause -= evidence;
    return true;
}

void sc_drafter_judge(sc_drafter *d, int64_t accepted)
{
    int64_t n = d->n_guess;
    d->evaluations++;
    d->n_guess = 0;
    if (n == 0) return;
    d->drafted += n;
    d->accepted += accepted;
    if (accepted < n) d->n_told = -1;
    if (accepted == n) {
        if (n == ladder[d->step] && d->step + 1 < ADAPTIVE_STEPS) d->step++;
    } else if (2 * accepted < n && d->step > 0) {
        d->step--;
    }
    if (accepted > 0) {
        d->backoff = 0;
    } else if (d->step == 0) {
        d->backoff = d->backoff ? SC_MIN(2 * d->backoff, LONGEST_PAUSE) : 1;
        d->pause = d->backoff;
    }
}

/* ---- look-up ---- */

static sc_status look_up(sc_drafter *d, int64_t most)
{
    int64_t next = 0;
    sc_status s = sc_lookup_grow(&d->lookup, d->ids, d->n);
    if (s) return s;
    int match = sc_lookup_find(&d->lookup, d->ids, d->n, &next);
    if (match == 0 || pausing(d, match)) return SC_OK;
    d->n_guess = length_of(d, most, match - 1);
    /* Where what followed runs into the end of the text, the text repeats itself: the guess goes round. */
    for (int64_t i = 0; i < d->n_guess; i++)
        d->guess[i] = next + i < d->n ? d->ids[next + i] : d->guess[next + i - d->n];
    return SC_OK;
}

/* ---- a draft model ---- */

/* Tells the draft's sampler what there is by now. */
static sc_status tell(sc_drafter *d)
{
    sc_status s = SC_OK;
    if (d->n_told < 0) {
        sc_sampler_reset(d->sampler);
        d->n_told = 0;
    }
    if (d->n_told == 0) {
        s = sc_sampler_prompt(d->sampler, d->ids, d->n_prompt);
        d->n_told = d->n_prompt;
    }
    for (; !s && d->n_told < d->n; d->n_told++) s = sc_sampler_accept(d->sampler, d->ids[d->n_told]);
    return s;
}

/* Appends n ids to the draft's sequence; its logits for what follows. */
static sc_status feed(sc_drafter *d, const int32_t *ids, int64_t n, const float **logits)
{
    if (!sc_grow(&d->held, &d->cap_held, d->n_held + n, sizeof *ids)) return sc_nomem();
    sc_status s = sc_session_eval(d->draft, 0, ids, n, logits);
    if (s) return s;
    memcpy(d->held + d->n_held, ids, sizeof *ids * (size_t)n);
    d->n_held += n;
    return SC_OK;
}

/* Makes the draft's sequence hold all ids: those that were guessed in vain go, those that it does not know come, few at a
 * time in pieces of few lengths. */
static sc_status catch_up(sc_drafter *d, const float **logits)
{
    int64_t same = 0, length = SC_MIN(d->n_held, sc_session_length(d->draft, 0));
    while (same < length && same < d->n - 1 && d->held[same] == d->ids[same]) same++;
    sc_status s = sc_session_trim(d->draft, 0, same);
    d->n_held = same;
    while (!s && d->n_held < d->n) {
        int64_t left = d->n - d->n_held, piece = left;
        if (left < CATCH_UP)
            for (piece = 1; piece * 2 <= left;) piece *= 2;
        s = feed(d, d->ids + d->n_held, piece, logits);
    }
    return s;
}

static int32_t draw(sc_rng *rng, const float *weight, int64_t n)
{
    double sum = 0;
    int32_t last = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)weight[i];
    double left = sc_rng_uniform(rng) * sum;
    for (int64_t i = 0; i < n; i++) {
        if (!(weight[i] > 0)) continue;
        last = (int32_t)i; /* where rounding leaves something over, the last possible one */
        if ((left -= (double)weight[i]) < 0) break;
    }
    return last;
}

static sc_status ask(sc_drafter *d, int64_t most)
{
    sc_model_info info;
    const float *logits = NULL;
    sc_model_describe(sc_session_model(d->draft), &info);
    int64_t room = sc_session_context(d->draft);
    if (info.context) room = SC_MIN(room, info.context);
    int64_t n = length_of(d, SC_MIN(most, room - d->n + 1), ADAPTIVE_STEPS - 1);
    if (n <= 0 || pausing(d, 1)) return SC_OK;
    if (d->chance && !sc_grow(&d->q, &d->cap_q, n * d->vocab, sizeof *d->q)) return sc_nomem();
    sc_status s = tell(d);
    if (!s) s = catch_up(d, &logits);
    for (int64_t i = 0; i < n && !s; i++) {
        if (i) s = feed(d, &d->guess[i - 1], 1, &logits);
        if (s) break;
        if (d->chance) {
            s = sc_sampler_probs(d->sampler, logits, d->q + i * d->vocab);
            if (!s) d->guess[i] = draw(&d->rng, d->q + i * d->vocab, d->vocab);
        } else {
            s = sc_sampler_sample(d->sampler, logits, &d->guess[i], NULL);
        }
        if (!s) s = sc_sampler_accept(d->sampler, d->guess[i]);
    }
    /* What is accepted of the guesses is in the sampler's history already; judge() undoes it where one is not. */
    d->n_told = s ? -1 : d->n + n;
    d->n_guess = s ? 0 : n;
    return s;
}

sc_status sc_drafter_guess(sc_drafter *d, int64_t most, const int32_t **ids, int64_t *n)
{
    most = SC_MIN(most, SC_DRAFT_MOST);
    sc_status s = most < 1 ? SC_OK : d->draft ? ask(d, most) : look_up(d, most);
    *ids = d->guess;
    *n = d->n_guess;
    return s;
}

void sc_drafter_drop(sc_drafter *d)
{
    d->n_guess = 0;
    d->n_told = -1;
}

/* ---- which stand ---- */

sc_status sc_drafter_choose(sc_drafter *d, int64_t i, sc_sampler *sampler, const float *logits, int32_t *id,
                            float *logprob, bool *accepted)
{
    if (i >= d->n_guess || !d->chance) {
        sc_status s = sc_sampler_sample(sampler, logits, id, logprob);
        *accepted = !s && i < d->n_guess && *id == d->guess[i];
        return s;
    }
    float *p = d->p, *q = d->q + i * d->vocab;
    sc_status s = sc_sampler_probs(sampler, logits, p);
    if (s) return s;
    *id = d->guess[i];
    *accepted = sc_rng_uniform(&d->rng) * (double)q[*id] < (double)p[*id];
    if (!*accepted) {
        bool rest = false;
        for (int64_t k = 0; k < d->vocab; k++) {
            q[k] = SC_MAX(0, p[k] - q[k]);
            rest = rest || q[k] > 0;
        }
        *id = draw(&d->rng, rest ? q : p, d->vocab); /* p and q are equal but for rounding: no rest */
    }
    s = sc_logits_logprobs(logits, d->vocab, p);
    *logprob = p[*id];
    return s;
}
