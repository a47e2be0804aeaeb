/* SPDX-License-Identifier: Apache-2.0 */
/* Who answers: a model here or one behind an OpenAI-compatible endpoint, asked in the same way. Text in, text out: generated
 * answers and the likelihoods of given ones. */
#ifndef SOCLE_ASK_H
#define SOCLE_ASK_H

#include "socle/embed.h"
#include "socle/pipeline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One owner. Calls on one asker do not overlap. */
typedef struct sc_asker sc_asker;

typedef struct sc_asker_options {
    const sc_model_options *model; /* adapters; NULL: none */
    int64_t context;               /* tokens that a prompt with its answer may take; 0: the model's, at most 8192 */
    sc_dtype cache;                /* of keys and values, as in sc_session_options; SC_F32 (0) is the most exact */
    int batch;                     /* answers computed at once, at most 256; 0: 8. Changes no bit of any answer */
} sc_asker_options;
/* A model at `path`, a directory or a .gguf file, decoder or encoder-decoder. options may be NULL. */
SC_API sc_status sc_asker_open(sc_asker **out, sc_context *ctx, const char *path, const sc_asker_options *options);

/* An endpoint that speaks OpenAI's protocol. All texts are copied. */
typedef struct sc_asker_api {
    const char *url;   /* what stands before /chat/completions and /completions: "https://host/v1" */
    const char *model; /* its name there */
    const char *key;   /* sent as a bearer token, over https or to this machine only; NULL: none */
    int concurrency;   /* requests at once, at most 64; 0: 4 */
    int retries;       /* of a request that failed for a while (no connection, 408, 429, 5xx); 0: 5, < 0: none */
    double timeout;    /* seconds for one request; 0: 600 */
    bool chat_only;    /* it has no /completions: a plain prompt becomes a user's message */
} sc_asker_api;
/* Makes no connection yet. SC_EINVAL: no such address; SC_EUNSUPPORTED: a build without libcurl. ctx may be NULL. */
SC_API sc_status sc_asker_open_api(sc_asker **out, sc_context *ctx, const sc_asker_api *api);
SC_API void sc_asker_free(sc_asker *a);

SC_API const char *sc_asker_name(const sc_asker *a); /* the path, or the endpoint's name of the model */
/* The model here, for what only a local one can do; its sequences are the asker's. NULL: an endpoint. */
SC_API sc_pipeline *sc_asker_pipeline(const sc_asker *a);
/* Messages can be sent: it has a chat template, or is an endpoint. */
SC_API bool sc_asker_chats(const sc_asker *a);

/* What the asker did since it was opened. */
typedef struct sc_ask_counts {
    int64_t requests;         /* prompts answered and continuations scored */
    int64_t prompt_tokens;    /* of all prompts; those of an endpoint as far as it tells */
    int64_t cached_tokens;    /* of those, taken from what was computed before */
    int64_t generated_tokens; /* of all answers */
    int64_t scored_tokens;    /* of continuations */
    int64_t retries;          /* requests sent again */
    double seconds;           /* spent in calls */
    int64_t peak_bytes;       /* the most memory that this process ever had resident */
} sc_ask_counts;
SC_API void sc_asker_counts(const sc_asker *a, sc_ask_counts *out);

/* ---- answers ---- */

/* A prompt: plain text where `prompt.p` is set, else a conversation. In plain text special tokens are understood and what the
 * tokenizer puts before a text is put there; in messages they stay text. */
typedef struct sc_ask_request {
    sc_text prompt;
    sc_text
        messages; /* JSON: an array of {"role", "content"}, or an object of the template's variables with "messages"
                         in it */
    sc_text
        begin; /* how the answer begins: read, and no part of the answer's text; p NULL: nothing. An endpoint gets it
                         behind a plain prompt, or as the assistant's last message */
    sc_sampling sampling; /* sample k of this prompt draws from stream + k */
    int64_t max_new_tokens;
    const char *const *stop; /* n_stop texts that end the answer and are no part of it */
    int64_t n_stop;
    int samples;     /* answers to this prompt, 1 to 4096; 0: 1. They share what is computed of the prompt */
    bool cut;        /* a prompt that is too long loses its beginning; otherwise it fails */
    bool ignore_eos; /* local models: on to max_new_tokens */
    bool logprob; /* an endpoint is asked for its answers' log probabilities too; a local model always tells them */
} sc_ask_request;

typedef struct sc_ask_answer {
    char *text; /* owned, NUL-terminated */
    int64_t len;
    const char *finish_reason; /* "stop", "length", "context"; an endpoint's other words are "other" */
    int64_t tokens;            /* generated, the one that ended it included; 0: an endpoint that does not tell */
    double logprob; /* sum of the ids' log probabilities under the model as it is; NAN: an endpoint did not tell */
    int64_t prompt_cut; /* tokens that the prompt lost at its beginning */
} sc_ask_answer;
/* Takes what is in them and leaves them empty. */
SC_API void sc_ask_answers_free(sc_ask_answer *answers, int64_t n);

/* Called when all samples of request i are there, in no order of requests; a false answer stops everything with
 * SC_ECANCELLED. What was handed over stays good: results can be kept one by one. */
typedef bool (*sc_ask_done)(void *user, int64_t i, const void *result);

/* Answers n prompts; answers has the samples of request 0, then of request 1, …, owned by the caller (sc_ask_answers_free).
 * An answer's text is the same bits alone, in any batch and for any number of threads. done may be NULL; its result is the
 * request's first sc_ask_answer. On failure nothing is left in `answers`. SC_ELIMIT: a prompt too long without `cut`.
 * Progress goes to the context. */
SC_API sc_status sc_asker_generate(sc_asker *a, const sc_ask_request *requests, int64_t n, sc_ask_answer *answers,
                                   sc_ask_done done, void *user);

/* ---- likelihoods ---- */

/* How likely `continuation` is behind a context, plain or a conversation. As in EleutherAI's lm-evaluation-harness: spaces at
 * a plain context's end count as the continuation's beginning, both are encoded together, and the continuation's ids are those
 * beyond the context's own; an empty context is the id that begins texts, or else the one that ends them. What does not fit
 * is cut off the context's beginning. */
typedef struct sc_ask_continuation {
    sc_text context, messages; /* as a request's prompt and messages */
    sc_text begin;             /* of messages: how the assistant's answer begins, before the continuation; p NULL */
    sc_text continuation;      /* not empty */
    bool bare;                 /* nothing is put before the context, even if the tokenizer would */
} sc_ask_continuation;
typedef struct sc_ask_score {
    double logprob; /* natural logarithm */
    int64_t tokens; /* of the continuation */
    bool greedy;    /* each of its tokens is the likeliest one at its place */
    bool cut;       /* the context lost its beginning */
} sc_ask_score;
/* out: n scores; done's result is the sc_ask_score. An endpoint needs /completions with echo and logprobs: SC_EUNSUPPORTED
 * where it gives none. Contexts that begin alike are computed once, in whatever order they come. */
SC_API sc_status sc_asker_score(sc_asker *a, const sc_ask_continuation *requests, int64_t n, sc_ask_score *out,
                                sc_ask_done done, void *user);
/* The likelihood of whole texts, in windows of the context's length that begin where the one before ended, each seeing as
 * much before it as fits; the first token is predicted from the id that begins texts. Local models only. */
SC_API sc_status sc_asker_score_texts(sc_asker *a, const sc_text *texts, int64_t n, sc_ask_score *out,
                                      sc_ask_done done, void *user);

#ifdef __cplusplus
}
#endif
#endif
