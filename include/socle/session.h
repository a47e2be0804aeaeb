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
} sc_session_options;

SC_API sc_status sc_session_new(sc_session **out, const sc_model *m, const sc_session_options *options);
SC_API void sc_session_free(sc_session *s);
SC_API int64_t sc_session_context(const sc_session *s);
SC_API int sc_session_sequences(const sc_session *s);
SC_API const sc_model *sc_session_model(const sc_session *s);
SC_API int64_t sc_session_cache_bytes(const sc_session *s);
SC_API int64_t sc_session_length(const sc_session *s, int seq);

/* Appends n > 0 ids to a sequence. *logits: vocab values for what follows the last one, valid until the next call.
 * SC_ELIMIT where the context is full or an id is outside the vocabulary, SC_ECANCELLED; the sequence is then as before. */
SC_API sc_status sc_session_eval(sc_session *s, int seq, const int32_t *ids, int64_t n, const float **logits);
/* One id for each of n different sequences at once: *logits is (n, vocab). */
SC_API sc_status sc_session_step(sc_session *s, const int *seqs, const int32_t *ids, int n, const float **logits);
/* Logits for what follows each of the n ids, (n, vocab), n at most the chunk: for scoring. */
SC_API sc_status sc_session_score(sc_session *s, int seq, const int32_t *ids, int64_t n, const float **logits);

/* Makes `to` a copy of `from` that shares its memory until one of them grows. */
SC_API sc_status sc_session_fork(sc_session *s, int from, int to);
/* Shortens a sequence to its first n tokens. */
SC_API sc_status sc_session_trim(sc_session *s, int seq, int64_t n);

typedef enum sc_stop_reason { SC_STOP_EOS, SC_STOP_LENGTH, SC_STOP_CONTEXT, SC_STOP_CALLER } sc_stop_reason;

/* Samples until an end: continues a sequence whose next logits are given. Each id goes to `token`, but not one that ends
 * the answer (eos, n_eos of them); a false answer stops. The sampler is told of every id. */
typedef struct sc_generate {
    int64_t max_new_tokens;
    const int32_t *eos;
    int64_t n_eos;
    bool (*token)(void *user, int32_t id, float logprob);
    void *user;
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
SC_API sc_status sc_session_beam(sc_session *s, const float *logits, const sc_beam_options *options,
                                 sc_beam_answer *results, int *n_results);

#ifdef __cplusplus
}
#endif
#endif
