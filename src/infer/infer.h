/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a pipeline. */
#ifndef SC_INFER_INTERNAL_H
#define SC_INFER_INTERNAL_H

#include "base/base.h"
#include "socle/pipeline.h"

typedef struct sc_special {
    const char *text; /* borrowed from the tokenizer; at least 2 bytes */
    int64_t len;
} sc_special;

struct sc_pipeline {
    sc_context *ctx;
    sc_model *model;
    sc_tokenizer *tokenizer;
    sc_template *chat; /* NULL: the model has none */
    sc_session *session;
    sc_drafter *drafter; /* NULL: plain decoding */
    sc_model *draft_model;
    sc_session *draft_session;
    sc_special *special; /* the tokens that a message must not be able to spell */
    int64_t n_special;
    bool begins_special[256]; /* by their first byte */
    int32_t *held;            /* the ids of sequence 0 */
    int64_t n_held, cap_held;
    sc_forced forced; /* of the model's generation_config.json */
    int32_t *forbidden;
};

/* Collects the special tokens, once. (prompt.c) */
sc_status sc_pipeline_find_specials(sc_pipeline *p);

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

#endif
