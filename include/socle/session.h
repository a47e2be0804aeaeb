/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: a model with a cache, evaluating sequences of token ids; and generation on top. Knows ids, no text. */
#ifndef SOCLE_SESSION_H
#define SOCLE_SESSION_H

#include "socle/model.h"
#include "socle/sampling.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sequences that share one model and one cache. One owner; the model must outlive it. */
typedef struct sc_session sc_session;

typedef struct sc_session_options {
    int64_t context; /* tokens that the cache holds in all; 0: the model's context, at most 8192 */
    int sequences;   /* how many there may be, 0: 1 */
    sc_dtype cache;  /* of keys and values: SC_F32 (0), SC_F16, SC_BF16, SC_Q8_0 */
    int64_t chunk;   /* tokens of a prompt evaluated at once; 0: 512 */
    int64_t source;  /* encoder-decoders: source tokens held in all; 0: as many as `context` */
} sc_session_options;

SC_API sc_status sc_session_new(sc_session **out, const sc_model *m, const sc_session_options *options);
SC_API void sc_session_free(sc_session *s);
SC_API int64_t sc_session_context(const sc_session *s);
SC_API int sc_session_sequences(const sc_session *s);
SC_API const sc_model *sc_session_model(const sc_session *s);
SC_API int64_t sc_session_cache_bytes(const sc_session *s);
SC_API int64_t sc_session_length(const sc_session *s, int seq);

/* Encoder-decoders: reads a source of n > 0 ids once and keeps what the decoder looks at, which forks share. The
 * sequence is empty then; evaluating begins with the decoder's start id. Without it evaluating is SC_EINVAL. SC_ELIMIT
 * where the source is too long or an id unknown; the sequence has no source then. */
SC_API sc_status sc_session_encode(sc_session *s, int seq, const int32_t *ids, int64_t n);
/* Appends n > 0 ids to a sequence. *logits: vocab values for what follows the last one, valid until the next call.
 * SC_ELIMIT where the context is full or an id is outside the vocabulary, SC_ECANCELLED; the sequence is then as before. */
SC_API sc_status sc_session_eval(sc_session *s, int seq, const int32_t *ids, int64_t n, const float **logits);
/* One id for each of n different sequences at once: *logits is (n, vocab). */
SC_API sc_status sc_session_step(sc_session *s, const int *seqs, const int32_t *ids, int n, const float **logits);
/* Logits for what follows each of the n ids, (n, vocab), n at most the chunk: for scoring. */
SC_API sc_status sc_session_score(sc_session *s, int seq, const int32_t *ids, int64_t n, const float **logits);

/* Makes `to` a copy of `from` that shares its memory until one of them grows. */
SC_API sc_status sc_session_fork(sc_session *s, int from, int to);
/* Shortens a sequence to its first n tokens. Recurrent states (Mamba, Qwen3.5) are kept of few lengths: of the end of the
 * last prompt and of before the last call. Going back to elsewhere makes the next call evaluate some tokens again. */
SC_API sc_status sc_session_trim(sc_session *s, int seq, int64_t n);

typedef enum sc_stop_reason { SC_STOP_EOS, SC_STOP_LENGTH, SC_STOP_CONTEXT, SC_STOP_CALLER } sc_stop_reason;

/* Speculative decoding: a drafter guesses the next ids, the model evaluates them at once, and what comes out has the same
 * distribution as without. Greedily, and with look-up under the same seed too, it is the same ids. One owner. */
typedef struct sc_drafter sc_drafter;
enum { SC_DRAFT_MOST = 31 };
/* draft: a session over a smaller model with the same vocabulary, whose sequence 0 is the drafter's from now on; it must
 * outlive the drafter. NULL: look-up, which guesses that what followed the last ids before follows again.
 * tokens: how many to guess each time, at most SC_DRAFT_MOST; 0: as many as seem to pay, at most 15. SC_EINVAL where
 * the vocabulary of m, the model to speed up, has another size. */
SC_API sc_status sc_drafter_new(sc_drafter **out, const sc_model *m, sc_session *draft, int64_t tokens);
SC_API void sc_drafter_free(sc_drafter *d);
/* Before an answer: how it will be sampled, and the n > 0 ids that the sequence holds by now. */
SC_API sc_status sc_drafter_start(sc_drafter *d, const sc_sampling *sampling, const int32_t *ids, int64_t n);
/* Since then: ids guessed, how many of them stood, and evaluations of the model, the one that gave the first logits
 * counted. */
SC_API void sc_drafter_counts(const sc_drafter *d, int64_t *drafted, int64_t *accepted, int64_t *evaluations);

/* What a generation_config.json does to some steps of an answer, as HuggingFace's generate does. */
typedef struct sc_forced {
    int32_t first, last;      /* ids that the first step and the one at max_new_tokens must choose; -1: any */
    int64_t min_new_tokens;   /* no end before so many */
    const int32_t *forbidden; /* n_forbidden ids that are never chosen */
    int64_t n_forbidden;
} sc_forced;

/* Samples until an end: continues a sequence whose next logits are given. Each id goes to `token`, but not one that ends
 * the answer (eos, n_eos of them); a false answer stops. The sampler is told of every id. */
typedef struct sc_generate {
    int64_t max_new_tokens;
    const int32_t *eos;
    int64_t n_eos;
    bool (*token)(void *user, int32_t id, float logprob);
    void *user;
    sc_drafter *drafter;     /* started; NULL: plain decoding */
    const sc_forced *forced; /* NULL: nothing is forced; not together with a drafter */
} sc_generate;
SC_API sc_status sc_session_generate(sc_session *s, int seq, const float *logits, sc_sampler *sampler,
                                     const sc_generate *how, sc_stop_reason *why, int64_t *generated);

/* Beam search (see sc_beam in sampling.h) from the end of sequence 0, whose next logits are given; the session needs
 * 2 * num_beams sequences and uses all of them. Fills at most num_return_sequences results, best first. */
typedef struct sc_beam_answer {
    int32_t *ids; /* owned: sc_free */
    int64_t n;
    double score;
} sc_beam_answer;
typedef struct sc_beam_search {
    sc_beam_options options;
    const sc_sampling *processors; /* applied to each beam's log probabilities; NULL: none */
    const int32_t *prompt;         /* n_prompt ids that count for them as what came before */
    int64_t n_prompt;
    const sc_forced *forced; /* NULL: nothing is forced */
} sc_beam_search;
SC_API sc_status sc_session_beam(sc_session *s, const float *logits, const sc_beam_search *how,
                                 sc_beam_answer *results, int *n_results);

#ifdef __cplusplus
}
#endif
#endif
