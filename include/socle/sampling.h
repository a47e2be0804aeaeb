/* SPDX-License-Identifier: Apache-2.0 */
/* Choosing the next token from logits, seeing where to stop, and beam search. Knows logits and ids, no model and no
 * tokenizer. */
#ifndef SOCLE_SAMPLING_H
#define SOCLE_SAMPLING_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- sampling ---- */

/* Fields mean what the arguments of HuggingFace's generate of these names mean; frequency_penalty, presence_penalty
 * and the biases what OpenAI's API means. The steps are applied in the order of the fields, each to what the step
 * before left; sc_sampling_describe prints those that act. */
typedef struct sc_sampling {
    /* Processors: in force always. */
    double frequency_penalty;     /* [-100, 100]; 0: off. Taken off for each time that the id was generated */
    double presence_penalty;      /* [-100, 100]; 0: off. Taken off once if the id was generated */
    double repetition_penalty;    /* (0, 1000]; 1: off. Divides the positive, multiplies the negative logits of seen
                                     ids */
    int64_t no_repeat_ngram_size; /* >= 0; 0: off. No run of this many ids occurs twice, the prompt included */
    const int32_t *bias_ids; /* n_bias ids, each in the vocabulary; borrowed until sc_sampler_new has copied them */
    const float *bias;       /* n_bias values added to their logits; -INFINITY forbids the id */
    int64_t n_bias;
    /* Warpers: in force only where do_sample is true and the temperature is not 0. */
    bool do_sample;        /* false: the likeliest id after the processors, the lowest one of equals */
    double temperature;    /* >= 0; 0 means the same as do_sample = false */
    int64_t top_k;         /* >= 0; 0: off. Ids that tie with the k-th are kept too */
    double top_p;          /* [0, 1]; 1: off. At least one id is kept, here and below */
    double min_p;          /* [0, 1]; 0: off */
    double typical_p;      /* (0, 1]; 1: off */
    double epsilon_cutoff; /* [0, 1); 0: off */
    double eta_cutoff;     /* [0, 1); 0: off */
    /* Where the random numbers come from: samplers with the same two values and history draw the same ids. */
    uint64_t seed;
    uint64_t stream; /* tells apart the sequences of one seed */
} sc_sampling;

/* The defaults of HuggingFace's generate, where top_k is 50 unless said otherwise. */
#define SC_SAMPLING_INIT                                                                                           \
    {                                                                                                              \
        .repetition_penalty = 1.0, .temperature = 1.0, .top_k = 50, .top_p = 1.0, .typical_p = 1.0                 \
    }

/* SC_EINVAL with a message that names the field which is out of its range. */
SC_API sc_status sc_sampling_check(const sc_sampling *o);

/* Sets the fields that the JSON object text[0..n) has, as a generation_config.json: do_sample, temperature, top_k,
 * top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff, repetition_penalty, frequency_penalty, presence_penalty,
 * no_repeat_ngram_size. Absent and null ones stay, other keys are passed over. `what` names the text in messages.
 * On failure *o is as it was. */
SC_API sc_status sc_sampling_from_json(sc_sampling *o, const char *text, int64_t n, const char *what);

/* The steps that act, in their order, such as "repetition_penalty 1.1 -> temperature 0.7 -> top_k 40 -> softmax ->
 * draw (seed 1)". *out is owned (sc_free). */
SC_API sc_status sc_sampling_describe(char **out, const sc_sampling *o);

/* One sequence's sampler: options, history, random numbers. One owner; no call but accept and prompt allocates. */
typedef struct sc_sampler sc_sampler;

/* vocab: how many logits there are, 1 to 2^24. */
SC_API sc_status sc_sampler_new(sc_sampler **out, const sc_sampling *options, int64_t vocab);
SC_API void sc_sampler_free(sc_sampler *s);
/* Forgets the history and starts the random numbers again. */
SC_API void sc_sampler_reset(sc_sampler *s);

/* History. Prompt ids count for repetition_penalty and no_repeat_ngram_size, accepted ones also for
 * frequency_penalty and presence_penalty, which concern what was generated. Ids from `vocab` on are allowed (a
 * tokenizer may know more than the model); negative ones are refused. sc_sampler_sample does not accept by itself.
 */
SC_API sc_status sc_sampler_prompt(sc_sampler *s, const int32_t *ids, int64_t n);
SC_API sc_status sc_sampler_accept(sc_sampler *s, int32_t id);

/* logits: vocab of them. -INFINITY forbids an id; NaN, +INFINITY, or nothing left to choose from is SC_EINVAL. */

/* The distribution that sc_sampler_sample draws from, vocab probabilities; when greedy, 1 at the chosen id. */
SC_API sc_status sc_sampler_probs(sc_sampler *s, const float *logits, float *probs);
/* Draws one id. *logprob (may be NULL): the natural logarithm of its probability under the logits as given. */
SC_API sc_status sc_sampler_sample(sc_sampler *s, const float *logits, int32_t *id, float *logprob);
/* The logits after the processors alone, vocab of them. logits == scores is fine. */
SC_API sc_status sc_sampler_scores(sc_sampler *s, const float *logits, float *scores);

/* logprobs[i] = log softmax(logits)[i]. In place is fine. The same failures as above. */
SC_API sc_status sc_logits_logprobs(const float *logits, int64_t vocab, float *logprobs);

/* ---- stop strings ---- */

/* Finds stop strings in text that comes in pieces. What it hands on is whole characters that can be shown: it holds
 * back what may turn out to begin a stop string or to be half a character. The text ends before the stop string
 * that is complete first (of those complete at once, the longest), however the text was cut into pieces. */
typedef struct sc_stop sc_stop;

/* n strings, none empty, valid UTF-8, together at most 64 KiB; n may be 0. They are copied. */
SC_API sc_status sc_stop_new(sc_stop **out, const char *const *strings, int64_t n);
SC_API void sc_stop_free(sc_stop *s);
SC_API void sc_stop_reset(sc_stop *s);

/* Takes p[0..n), at most 1 GiB. *text, *len: what can be shown now, borrowed until the next call, NUL-terminated.
 * *which: the index of the stop string found, or -1; once found it stays and further pieces are ignored. */
SC_API sc_status sc_stop_push(sc_stop *s, const char *p, int64_t n, const char **text, int64_t *len,
                              int64_t *which);
/* At the end of the text: hands over what was held back, be it half a character; nothing if a stop string was
 * found. */
SC_API void sc_stop_flush(sc_stop *s, const char **text, int64_t *len);

/* ---- beam search ---- */

typedef enum sc_beam_stopping {
    SC_BEAM_HEURISTIC, /* early_stopping=False: until the best live beam, at its present length, is no better */
    SC_BEAM_EARLY,     /* early_stopping=True: until num_beams sequences have ended */
    SC_BEAM_NEVER,     /* early_stopping="never": until no live beam can get better at any length */
} sc_beam_stopping;

/* As HuggingFace's generate(num_beams=..., do_sample=False). */
typedef struct sc_beam_options {
    int num_beams;            /* 1 to 1024 */
    int num_return_sequences; /* 1 to num_beams */
    double
        length_penalty; /* [-100, 100]; a sequence of n new ids scores (sum of its logprobs) / n^length_penalty */
    sc_beam_stopping early_stopping;
    int64_t max_new_tokens; /* 1 to 2^24 */
    const int32_t *eos;     /* n_eos ids that end a sequence; borrowed until sc_beam_new has copied them */
    int64_t n_eos;          /* 0 to 1024 */
} sc_beam_options;
#define SC_BEAM_INIT                                                                                               \
    {                                                                                                              \
        .num_beams = 4, .num_return_sequences = 1, .length_penalty = 1.0, .max_new_tokens = 20                     \
    }

/* The bookkeeping of one prompt's search. The caller computes, it chooses:
 *
 *     while (!sc_beam_done(b)) {
 *         n = sc_beam_live(b, &beams);          first 1: the prompt
 *         make row i of the cache a copy of the last step's row beams[i].parent, and run beams[i].id through it;
 *         logprobs row i = log softmax of row i's logits (then, if wanted, a sampler's processors on it);
 *         sc_beam_step(b, logprobs);
 *     } */
typedef struct sc_beam sc_beam;

typedef struct sc_beam_live_one {
    int32_t parent; /* row of the step before */
    int32_t id;     /* the id just added to it; -1 at the first step, where the prompt's own logits are asked for */
    float score;    /* sum of its logprobs */
} sc_beam_live_one;

SC_API sc_status sc_beam_new(sc_beam **out, const sc_beam_options *options, int64_t vocab);
SC_API void sc_beam_free(sc_beam *b);
SC_API bool sc_beam_done(const sc_beam *b);
/* How many rows the next step takes, best first; *beams borrowed until that step. */
SC_API int sc_beam_live(const sc_beam *b, const sc_beam_live_one **beams);
/* The new ids of live beam i so far, oldest first, into ids[sc_beam_length(b)]. */
SC_API int64_t sc_beam_length(const sc_beam *b);
SC_API sc_status sc_beam_ids(const sc_beam *b, int i, int32_t *ids);
/* logprobs: one row of vocab for each live beam. NaN or +INFINITY, or nothing finite, is SC_EINVAL. */
SC_API sc_status sc_beam_step(sc_beam *b, const float *logprobs);

/* When done: the sequences, best first. num_return_sequences, or fewer where fewer exist. */
SC_API int sc_beam_results(const sc_beam *b);
/* *ids owned (sc_free): the new ids, with the end id if one was reached. score may be NULL. */
SC_API sc_status sc_beam_result(const sc_beam *b, int i, int32_t **ids, int64_t *n, float *score);

#ifdef __cplusplus
}
#endif
#endif
