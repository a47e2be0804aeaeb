/* SPDX-License-Identifier: Apache-2.0 */
/* Text in, text out: a model with its tokenizer, chat template and session. */
#ifndef SOCLE_PIPELINE_H
#define SOCLE_PIPELINE_H

#include "socle/session.h"
#include "socle/template.h"
#include "socle/tokenizer.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One owner. */
typedef struct sc_pipeline sc_pipeline;

/* Opens everything at `path`, a directory or a .gguf file. A model without a chat template is fine for plain text. */
SC_API sc_status sc_pipeline_open(sc_pipeline **out, sc_context *ctx, const char *path,
                                  const sc_session_options *options);
/* The same with options for the model, such as adapters. */
SC_API sc_status sc_pipeline_open_with(sc_pipeline **out, sc_context *ctx, const char *path,
                                       const sc_model_options *model, const sc_session_options *options);
SC_API void sc_pipeline_free(sc_pipeline *p);
SC_API const sc_model *sc_pipeline_model(const sc_pipeline *p);
SC_API const sc_tokenizer *sc_pipeline_tokenizer(const sc_pipeline *p);
SC_API bool sc_pipeline_has_template(const sc_pipeline *p);
SC_API sc_session *sc_pipeline_session(sc_pipeline *p);

/* The prompt that a conversation becomes, as ids (sc_free). variables: a JSON object with "messages" and whatever else the
 * template reads; absent ones get their usual values (add_generation_prompt true, bos_token …). What a message spells
 * like a special token stays text. SC_ENOTFOUND without a template. */
SC_API sc_status sc_pipeline_chat_ids(const sc_pipeline *p, const char *variables, int64_t len, int32_t **ids,
                                      int64_t *n);
/* Plain text as ids, with what the tokenizer puts around it; special tokens in it are understood. */
SC_API sc_status sc_pipeline_text_ids(const sc_pipeline *p, const char *text, int64_t len, int32_t **ids,
                                      int64_t *n);

/* From now on answers are decoded speculatively (see sc_drafter in session.h; beam search takes no notice). draft: a
 * directory or a .gguf file of a model with the very same tokens, opened and owned by the pipeline with a session like
 * `options` (may be NULL); NULL: look-up. tokens: as in sc_drafter_new. On failure all is as before. */
SC_API sc_status sc_pipeline_speculate(sc_pipeline *p, const char *draft, const sc_session_options *options,
                                       int64_t tokens);

typedef struct sc_text_request {
    const int32_t *ids; /* the prompt, n_ids > 0; what an encoder-decoder's encoder reads */
    int64_t n_ids;
    const int32_t *decoder_ids; /* what an encoder-decoder's answer begins with, n_decoder_ids >= 0 */
    int64_t n_decoder_ids;
    sc_sampling sampling;
    int64_t max_new_tokens;
    const char *const *stop; /* n_stop texts that end the answer and are not part of it */
    int64_t n_stop;
    int num_beams;          /* > 1: beam search instead of sampling; the text comes at the end. Needs a session of
                          2 * num_beams sequences */
    bool ignore_eos;        /* goes on to max_new_tokens */
    const int32_t *end_ids; /* n_end_ids more ids that end the answer */
    int64_t n_end_ids;
    /* Called with the text as it becomes certain, never a part of a character; false stops. */
    bool (*text)(void *user, const char *piece, int64_t len);
    void *user;
} sc_text_request;

typedef struct sc_text_result {
    const char *finish_reason;                              /* "stop", "length", "context", "cancelled" */
    int64_t prompt_tokens, cached_tokens, generated_tokens; /* cached: of the prompt, from the call before */
    int64_t drafted_tokens,
        accepted_tokens; /* of speculative decoding: ids guessed, and those of them that stood */
    double prompt_seconds, decode_seconds;
    int32_t *ids; /* what was generated, without the id that ended it; sc_free */
    int64_t n_ids;
} sc_text_result;

/* Answers a prompt. What the session already holds of it is not computed again. After a cancellation the text so far
 * has been given and the status is SC_OK with finish_reason "cancelled". */
SC_API sc_status sc_pipeline_generate(sc_pipeline *p, const sc_text_request *request, sc_text_result *result);

/* Sum of -log p over a text's tokens after the first of each window, as HuggingFace's strided perplexity: windows of
 * `window` tokens that begin every `stride`, each scoring what the one before did not. SC_EINVAL: fewer than two tokens, or
 * logits that are not numbers, as damaged weights give them. */
typedef struct sc_perplexity {
    double nll, perplexity; /* nats; exp(nll / scored) */
    int64_t tokens, scored;
} sc_perplexity;
SC_API sc_status sc_pipeline_perplexity(sc_pipeline *p, const char *text, int64_t len, int64_t window,
                                        int64_t stride, sc_perplexity *out);
/* The same of encoder-decoders: how well targets are predicted from their sources, line by line; a line may be empty in
 * both. All tokens of a target count, with what its tokenizer puts around it. SC_EINVAL where the two differ in lines. */
SC_API sc_status sc_pipeline_perplexity_of(sc_pipeline *p, const char *sources, int64_t sources_len,
                                           const char *targets, int64_t targets_len, sc_perplexity *out);

#ifdef __cplusplus
}
#endif
#endif
