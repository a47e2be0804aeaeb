/* SPDX-License-Identifier: Apache-2.0 */
/* The objective of a policy: phases of `rollouts` answers, made and judged with the weights as they are, each learned from
 * `passes` times in batches. All of a phase follows from the seed, its number and the weights at its beginning; a checkpoint
 * within it keeps it as it was. */
#ifndef SC_TUNE_POLICY_H
#define SC_TUNE_POLICY_H

#include "train/reference.h"
#include "tune/tune.h"

/* What is told of a phase. */
typedef struct sc_phase_measures {
    double reward, deviation, tokens, ended,
        kl;        /* means over answers; kl: the sum over its tokens of log(old / reference) */
    double flat;   /* share of groups whose answers have equal rewards */
    double failed; /* share of answers that a judge could say nothing of */
    double coef;   /* of the divergence in rewards */
} sc_phase_measures;

/* A phase's answers and all that is learned from: rows are the tokens of answers. */
typedef struct sc_phase {
    int64_t number; /* -1: there is none */
    sc_rollouts answers;
    float *score;                                                  /* (answers) */
    float *old, *reference, *value, *advantage, *returns, *reward; /* (rows) */
    int64_t cap;                                                   /* rows that these have memory for */
    sc_phase_measures m;
} sc_phase;

typedef struct sc_policy {
    sc_context *ctx;
    sc_train_options *options; /* the run's */
    sc_rl_options o;           /* without zeros */
    sc_policy_loss loss;
    sc_group_scale scale;
    int64_t batch, n; /* answers of a batch and of a phase */
    const sc_model *model;
    const sc_tokenizer *tokenizer;
    int32_t *eos;
    int64_t n_eos;
    sc_rl_prompts data[2]; /* the data's, and the evaluation's */
    sc_order order;        /* of prompts */
    sc_roller *roller;
    sc_rewards rewards;
    sc_reference *now, *reference; /* the policy itself, without gradients; NULL: none */
    sc_phase phase;
    double coef;       /* of the next phase */
    double *said;      /* (judges) means over answers */
    char *shown[2][2]; /* prompts and answers to show */
    sc_maker maker;
    int64_t *order_of; /* (n) answers in the order of a pass */
    float *more[SC_MORE];
    int64_t cap_more[SC_MORE];
} sc_policy;

/* Makes phase `number`. (phase.c) */
sc_status sc_policy_make_phase(sc_policy *p, int64_t number);
/* The prompt of answer i of phase `number`. */
const sc_rl_prompt *sc_policy_prompt(sc_policy *p, int64_t number, int64_t i);
/* Mean reward and length of an answer to each of the evaluation's prompts, the likeliest or one that is sampled. */
sc_status sc_policy_measure(sc_policy *p, bool greedy, double *reward, double *tokens);
/* The ids that end answers: the model's and the tokenizer's. */
sc_status sc_policy_find_ends(sc_policy *p);
/* Answers as judges see them, `group` to each prompt: *out (r->n) is owned, sc_answers_free whatever is returned. */
sc_status sc_policy_tell(const sc_policy *p, const sc_rollouts *r, const sc_rl_prompt *const *prompt, int64_t group,
                         sc_answer **out);
void sc_answers_free(sc_answer *a, int64_t n);
/* What n answers are worth, each judge's mean (said), and the share that could not be judged. */
sc_status sc_policy_judge(sc_policy *p, const sc_answer *a, int64_t n, float *score, double *said, double *failed);
/* A policy that learns nothing: a model with the prompts of o->data as those to measure by, rewards and a sampler. (still.c) */
typedef struct sc_still {
    sc_policy p;
    sc_train_options o;
    sc_model *model;
    sc_tokenizer *tokenizer;
} sc_still;
sc_status sc_still_open(sc_still *x, sc_context *ctx, const sc_train_options *o);
void sc_still_close(sc_still *x); /* also after a failure */
/* An answer's sequence and rows into the maker. */
void sc_policy_put(sc_policy *p, const sc_rl_prompt *prompt, const int32_t *ids, int64_t n);
/* The phase into and from "rollouts.safetensors" in a folder. (phase_file.c) */
sc_status sc_phase_save(const sc_policy *p, const char *dir);
sc_status sc_phase_load(sc_policy *p, const char *dir);
/* Memory for the rows of the phase's answers. */
sc_status sc_phase_room(sc_phase *x, int64_t rows);
void sc_phase_free(sc_phase *x);

#endif
