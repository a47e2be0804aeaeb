/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a pipeline, and what is computed for texts without one. */
#ifndef SC_INFER_INTERNAL_H
#define SC_INFER_INTERNAL_H

#include "models/models.h"
#include "socle/embed.h"
#include "socle/pipeline.h"

typedef struct sc_special {
    const char *text; /* borrowed from the tokenizer; at least 2 bytes */
    int64_t len;
} sc_special;

/* Conversations as ids (prompt.c). Starts as {0}. */
typedef struct sc_chat_format {
    const sc_tokenizer *tokenizer; /* borrowed, as the template */
    const sc_template *chat;       /* NULL: the model has none */
    sc_special *special; /* the tokens that a message must not be able to spell, in the order of their bytes */
    int64_t n_special;
    bool begins_special[256]; /* by their first byte */
} sc_chat_format;
/* Collects the special tokens. */
sc_status sc_chat_format_new(sc_chat_format *out, const sc_tokenizer *tokenizer, const sc_template *chat);
void sc_chat_format_free(sc_chat_format *f);
/* Marks special tokens in all texts of a JSON value, in place, so that they stay text (sc_chat_encode). */
sc_status sc_chat_guard(const sc_chat_format *f, json_t *v);
/* Adds what templates expect and callers need not say; add_generation_prompt is true. */
sc_status sc_chat_usual(const sc_chat_format *f, json_t *variables);
/* Renders variables, which were guarded. *text is owned; spans may be NULL, else as sc_template_render_spans. */
sc_status sc_chat_render(const sc_chat_format *f, const json_t *variables, char **text, int64_t *len,
                         sc_template_span **spans, int64_t *n_spans);
/* The ids of a rendered text: the template's special tokens are understood, the marked ones stay text. The text is
 * changed. spans: NULL, or where in it each id comes from (sc_free). */
sc_status sc_chat_encode(const sc_chat_format *f, char *text, int64_t len, int32_t **ids, sc_token_span **spans,
                         int64_t *n);

/* A conversation as it is learned: turn[i] is the message whose answer id i is a part of, -1: of none. (turns.c) */
typedef struct sc_turn_ids {
    const int32_t *ids, *turn;
    int64_t n;
} sc_turn_ids;
typedef sc_status sc_turn_ids_fn(void *user, const sc_turn_ids *x);
/* Gives the conversation {messages, tools, …} as one text with all answers of the assistant told apart; or, where the template
 * writes earlier messages otherwise than it wrote them when they were asked for, as a text for each answer with what was
 * before it. Answers are what {% generation %} marks, else what stands between the text that asks for them and the text
 * that ends with them. SC_EUNSUPPORTED: the template cannot tell them. Variables are not changed. */
sc_status sc_chat_turns(const sc_chat_format *f, const json_t *variables, sc_turn_ids_fn *fn, void *user);

struct sc_pipeline {
    sc_context *ctx;
    sc_model *model;
    sc_tokenizer *tokenizer;
    sc_template *chat; /* NULL: the model has none */
    sc_session *session;
    sc_drafter *drafter; /* NULL: plain decoding */
    sc_model *draft_model;
    sc_session *draft_session;
    sc_chat_format format; /* of both above */
    int32_t *held;         /* the ids of sequence 0 */
    int64_t n_held, cap_held;
    int32_t *end; /* the ids that end this answer */
    int64_t n_end, cap_end;
    sc_forced forced; /* of the model's generation_config.json */
    int32_t *forbidden;
};

/* ---- the parts of an answer, for what answers many prompts at once (pipeline.c) ---- */

/* From ids to the request's text: whole characters, up to a stop text. */
typedef struct sc_text_writer {
    const sc_text_request *request;
    sc_text_result *result;
    sc_detokenizer *detokenizer;
    sc_stop *stop;
    int64_t cap_ids;
    sc_status status;
    bool stopped; /* a stop text was found */
    bool refused; /* the caller wants no more */
} sc_text_writer;
/* Closed also where opening failed. */
sc_status sc_text_writer_open(sc_text_writer *w, const sc_pipeline *p, const sc_text_request *r,
                              sc_text_result *result);
void sc_text_writer_close(sc_text_writer *w);
bool sc_text_take(void *writer, int32_t id, float logprob); /* false: no more; status, stopped, refused say why */
sc_status sc_text_flush(sc_text_writer *w);                 /* at the end: what was held back */
/* Evaluates what sequence 0 does not hold of the prompt yet; at least its last id, whose logits are needed. */
sc_status sc_pipeline_read_prompt(sc_pipeline *p, const sc_text_request *r, sc_text_result *result,
                                  const float **logits);
/* The model's end ids, else the tokenizer's, and the request's: p->end. */
sc_status sc_pipeline_find_ends(sc_pipeline *p, const sc_text_request *r);
/* Of what sequence 0 holds: the first id is forced only where the decoder begins with nothing else. */
sc_forced sc_pipeline_forced(const sc_pipeline *p);
/* -log softmax(logits)[id], summed in double; NAN where the logits are not numbers or all forbidden. (sample.c) */
double sc_logits_nll(const float *logits, int64_t vocab, int32_t id);

/* ---- steps that are forced (forced.c) ---- */

/* Reads the keys of a generation_config.json; ids from `vocab` on are no ids. *forbidden is what out->forbidden borrows
 * (sc_free). Remarks go to the log. */
sc_status sc_forced_read(sc_forced *out, int32_t **forbidden, sc_context *ctx, const char *json, int64_t vocab);
/* Changes the scores of step `step`, counted from 0, of at most `most`. */
void sc_forced_apply(const sc_forced *f, int64_t step, int64_t most, const int32_t *eos, int64_t n_eos,
                     float *scores, int64_t vocab);

/* ---- look-up of what followed the last ids before (lookup.c) ---- */

enum { SC_LOOKUP_LONGEST = 5 }; /* ids that are compared at most */

/* Starts as {0}. */
typedef struct sc_lookup {
    int32_t *last; /* (SC_LOOKUP_LONGEST, cap): one more than where a run of 1, 2, … ids last ended; 0: nowhere */
    int64_t cap, entered; /* of the ids, so many are in the tables */
} sc_lookup;
/* Takes in ids[0..n), which begin with those it was given before. */
sc_status sc_lookup_grow(sc_lookup *l, const int32_t *ids, int64_t n);
/* How many ids at the end of ids[0..n) stood there before, 0 to SC_LOOKUP_LONGEST; *next: where the last such place
 * ended, so ids[*next] is what followed. */
int sc_lookup_find(const sc_lookup *l, const int32_t *ids, int64_t n, int64_t *next);
void sc_lookup_clear(sc_lookup *l);

/* ---- drafting, for sc_session_generate (speculate.c) ---- */

/* A round: guess, evaluate the last id and the guesses, choose for row after row as long as guesses are accepted and add
 * what was chosen, judge. */
sc_status sc_drafter_guess(sc_drafter *d, int64_t most, const int32_t **ids, int64_t *n);
void sc_drafter_drop(sc_drafter *d); /* the guesses are not evaluated after all */
/* The id that row i's logits give; *accepted: it is guess i. */
sc_status sc_drafter_choose(sc_drafter *d, int64_t i, sc_sampler *sampler, const float *logits, int32_t *id,
                            float *logprob, bool *accepted);
sc_status sc_drafter_add(sc_drafter *d, int32_t id);
void sc_drafter_judge(sc_drafter *d, int64_t accepted);

/* ---- a batch of texts through a model, without a cache (batch.c) ---- */

typedef struct sc_batch_text {
    const int32_t *ids, *types; /* types NULL: zeros */
    int64_t n;
    int64_t skip; /* tokens at its beginning that are not pooled; fewer than n */
} sc_batch_text;

/* One plan for texts that have `tokens` in all. Starts as {0}. */
typedef struct sc_batch {
    sc_text_graph t;
    sc_plan *plan;
    sc_tensor *first;                 /* (S) i32 */
    sc_tensor *pooled[SC_POOL_COUNT]; /* (S, C) of those asked for */
    bool pair;                        /* an encoder-decoder's encoder reads the texts */
} sc_batch;
/* The states after the last layer and norm: the last of those that every family marks; of an encoder-decoder the
 * encoder's. */
sc_tensor *sc_text_states(const sc_graph *g);
/* pools: a set of 1 << sc_pool_kind over the states; 0: what the head gives, `wanted` rows of it (0: all). */
sc_status sc_batch_new(sc_batch *b, const sc_model *m, int64_t tokens, int64_t texts, unsigned pools,
                       int64_t wanted);
sc_status sc_batch_run(sc_batch *b, const sc_batch_text *text, int64_t texts);
void sc_batch_free(sc_batch *b);

/* Ids of a text, or of a pair, with what the tokenizer puts around them; of more than `most` the text's last are left out.
 * Both lists are owned (sc_free). */
typedef struct sc_text_ids {
    int32_t *ids, *types;
    int64_t n, whole; /* whole: before anything was left out */
} sc_text_ids;
sc_status sc_text_ids_new(sc_text_ids *out, const sc_tokenizer *t, sc_text text, sc_text pair, int64_t most);
void sc_text_ids_free(sc_text_ids *x);

/* ---- from states to a vector (modules.c) ---- */

/* One step after pooling: a dense layer, a layer norm, or bringing to length 1. */
typedef struct sc_embed_module {
    enum { SC_EMBED_DENSE, SC_EMBED_NORM, SC_EMBED_UNIT } kind;
    sc_weights weights; /* of the dense layer or the norm */
    int64_t in, out;
    bool bias, activated;
    sc_unary_kind act;
} sc_embed_module;

typedef struct sc_embed_plan {
    sc_arena *arena;
    char *model;             /* where the model is; owned */
    unsigned pools;          /* a set of 1 << sc_pool_kind; what they give stands one behind the other */
    bool skip_prompt, given; /* given: by modules.json */
    int64_t max_tokens;      /* 0: not said */
    sc_embed_module *module;
    int64_t n_modules, cap_modules;
    json_t *prompts; /* sentence-transformers' configuration of them; may be NULL */
} sc_embed_plan;
/* What the directory or file says. */
sc_status sc_embed_plan_read(sc_embed_plan *p, const char *path);
/* modules.json and what belongs to it, for a model in dir whose states (tokens, width) are pooled and brought to length 1. */
sc_status sc_embed_write_modules(const char *dir, sc_pool_kind pool, int64_t width, int64_t max_tokens);
/* "mean", …; -1: not known. */
int sc_pool_named(const char *name);
/* Appends the modules: x (S, W) → (S, width). */
sc_tensor *sc_embed_plan_build(sc_graph *g, const sc_embed_plan *p, sc_tensor *x);
/* x over its length, over the last axis. */
sc_tensor *sc_unit(sc_graph *g, sc_tensor *x);
void sc_embed_plan_free(sc_embed_plan *p);

/* ---- products of queries with all rows of a table (nearest.c) ---- */

/* Starts as {0}. The table must outlive it. */
typedef struct sc_products {
    sc_backend *backend;
    sc_graph *g;
    sc_plan *plan;
    sc_tensor *x, *y; /* (Q, W), (Q, n) */
} sc_products;
sc_status sc_products_new(sc_products *p, sc_context *ctx, const float *table, int64_t n, int64_t width,
                          int64_t queries);
/* Of the first `rows` of query (Q, W), the others' being whatever they are; *out (Q, n), borrowed until the next run. */
sc_status sc_products_run(sc_products *p, const float *query, int64_t rows, const float **out);
void sc_products_free(sc_products *p);
/* Takes a row into the best k, of which there are `found` in order, behind those that are as good; returns how many then. */
int64_t sc_neighbor_insert(sc_neighbor *best, int64_t found, int64_t k, int64_t row, float score);

#endif
