/* SPDX-License-Identifier: Apache-2.0 */
/* Training on a model's own answers: they are sampled, rewarded, and made more or less likely. */
#ifndef SC_TUNE_INTERNAL_H
#define SC_TUNE_INTERNAL_H

#include "socle/session.h"
#include "socle/tune.h"
#include "train/train.h"
#include "tune/rewards.h"

/* ---- what rewards say about tokens (advantage.c). Rows are the tokens of answers, end to end: those of answer i are
 * start[i] .. start[i + 1] ---- */

typedef struct sc_gae {
    double gamma, lambda;
} sc_gae;
/* Generalised advantage estimation (Schulman et al. 2015, arXiv:1506.02438): A_t = sum over k of (gamma lambda)^k delta_{t + k},
 * delta_t = r_t + gamma V_{t + 1} - V_t, where V is 0 behind the last token; returns are A + V. */
void sc_gae_advantages(const sc_gae *how, int64_t n, const int64_t *start, const float *reward, const float *value,
                       float *advantage, float *returns);
/* Rewards of tokens: -coef (old - ref) for each and, for the last one, the answer's score. ref NULL: the score alone. */
void sc_kl_rewards(double coef, int64_t n, const int64_t *start, const float *old, const float *ref,
                   const float *score, float *reward);
/* To mean 0 (else `center` false: the mean stays) and variance 1, with Bessel's correction. */
void sc_whiten(float *x, int64_t n, bool center);

typedef enum sc_group_scale { SC_SCALE_GROUP, SC_SCALE_BATCH, SC_SCALE_NONE } sc_group_scale;
/* Each of n scores less the mean of its group of `group`, over the deviation (with Bessel's correction) of the group, of all, or
 * over nothing (Shao et al. 2024, arXiv:2402.03300; Liu et al. 2025, arXiv:2503.20783). leave_out: less the mean of the others
 * (RLOO, Ahmadian et al. 2024, arXiv:2402.14740). Groups of equal scores get zeros; how many those are. */
int64_t sc_group_advantages(const float *score, int64_t n, int64_t group, sc_group_scale scale, bool leave_out,
                            float *advantage);

/* The coefficient of the divergence that goes after a target (Ziegler et al. 2019, arXiv:1909.08593): times
 * 1 + clip(kl / target - 1, -0.2, 0.2) n / horizon after n answers. */
double sc_kl_adapt(double coef, double kl, double target, double n, double horizon);

/* ---- losses (policy_loss.c) ---- */

typedef enum sc_policy_kind { SC_POLICY_PPO, SC_POLICY_GRPO } sc_policy_kind;

typedef struct sc_policy_loss {
    sc_policy_kind kind;
    double clip_low, clip_high; /* of the ratio: 1 - low .. 1 + high */
    double kl_coef;             /* of GRPO's divergence in the loss; 0: there is none */
    double value_clip, value_coef;
    bool by_sequence; /* one ratio for an answer (Zheng et al. 2025, "GSPO", arXiv:2507.18071) */
} sc_policy_loss;

/* What a loss is made of; all (R) but select. */
typedef struct sc_policy_inputs {
    sc_tensor *logp, *value;       /* of the policy as it is now; value NULL: it has none */
    sc_tensor *old, *ref;          /* as it was when the answers were made; of the reference, NULL: none */
    sc_tensor *advantage, *weight; /* weight: of a token in the loss, 0: it is none */
    sc_tensor *mean;               /* 1 / tokens: for what is told */
    sc_tensor *old_value, *returns;
    sc_tensor *select,
        *spread; /* by_sequence: (S, R) 1 / tokens of an answer where it has the row, and (R, S) 1 there */
} sc_policy_inputs;

enum { SC_POLICY_METRICS = 6 };
/* One element; metrics: what is told of it, the first without a value ends them.
 * PPO: sum of weight (max(-A r, -A clip(r)) + value_coef / 2 max((v - R)^2, (clip(v) - R)^2)), r = exp(logp - old);
 * GRPO: sum of weight (-min(A r, A clip(r)) + kl_coef (exp(ref - logp) - (ref - logp) - 1)). */
sc_tensor *sc_policy_loss_build(sc_graph *g, const sc_policy_loss *how, const sc_policy_inputs *in,
                                sc_metric metric[SC_POLICY_METRICS]);
/* The log-probabilities (R) of labels (R) i32 under logits (R, V) / temperature; 0 where a label is negative. */
sc_tensor *sc_policy_logp(sc_graph *g, sc_tensor *logits, sc_tensor *labels, sc_tensor *like, double temperature);

/* ---- prompts (prompts.c) ---- */

typedef struct sc_rl_prompts {
    sc_rl_prompt *item;
    int64_t n, cap;
    int64_t tokens, longest, too_long; /* of those that were left out since they leave no room for an answer */
} sc_rl_prompts;
/* Adds the records of files: "prompt" (or "question", "instruction", "text") as a text or a list of messages, or "messages", of
 * which the assistant's last is left out. `most`: tokens that a prompt may have. SC_EINVAL: none is left. */
sc_status sc_rl_prompts_add(sc_rl_prompts *p, const sc_objective_setup *x, const char *const *path, int n,
                            int64_t most);
void sc_rl_prompts_free(sc_rl_prompts *p);

/* ---- answers (rollout.c) ---- */

/* n answers end to end: that of i is ids[start[i]] .. ids[start[i + 1]], with the id that ended it. Starts as {0}. */
typedef struct sc_rollouts {
    int64_t n, cap_start, cap_ids;
    int64_t *start;
    int32_t *ids;
    bool *ended; /* by an id that ends answers, not by their length */
    int64_t cap_ended;
} sc_rollouts;
void sc_rollouts_free(sc_rollouts *r);

/* Samples answers with a model's weights as they are at each call: prompts are evaluated once for all answers to them, and
 * answers go on in step. Each follows from the seed and its own number alone. */
typedef struct sc_roller sc_roller;
typedef struct sc_roller_options {
    int64_t longest, max_tokens; /* of prompts and answers */
    int64_t most;                /* answers at the same time, at most; 0: 64 */
    double temperature;
    uint64_t seed;
    const int32_t *eos; /* n_eos ids that end an answer, borrowed */
    int64_t n_eos;
} sc_roller_options;
sc_status sc_roller_new(sc_roller **out, sc_context *ctx, const sc_model *m, const sc_roller_options *o);
void sc_roller_free(sc_roller *r);
/* `group` answers to each of n prompts: number first + i * group + k is the k-th to prompt[i]. greedy: the likeliest ids. */
sc_status sc_roller_run(sc_roller *r, const sc_rl_prompt *const *prompt, int64_t n, int64_t group, uint64_t first,
                        bool greedy, sc_rollouts *out);

#endif
