/* SPDX-License-Identifier: Apache-2.0 */
/* How a model learns from rewards for its own answers. docs/rl.md describes it for users. */
#ifndef SOCLE_RL_H
#define SOCLE_RL_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0 or NULL: the default, in brackets. */
typedef struct sc_rl_options {
    /* What rewards an answer, added up: "number", "exact", "regex=PATTERN", "schema=FILE", "tests", "length=TOKENS",
     * "model=DIR", "cmd=COMMAND"; each may have a factor in front, "0.5*exact". */
    const char *const *rewards;
    int n_rewards;
    double reward_seconds;         /* for an answer of a program [10] */
    double reward_failed;          /* what an answer gets whose program crashed or did not end in time [0] */
    int64_t rollouts;              /* answers that are made and learned from before new ones are made [4 batches] */
    int64_t group;                 /* of them, to the same prompt [GRPO 8, PPO 1] */
    int64_t passes;                /* times that each is learned from [PPO 4, GRPO 1] */
    int64_t max_tokens;            /* of an answer [64] */
    double temperature;            /* that answers are sampled at, and probabilities are of [1] */
    const char *reference;         /* the model that it is not to leave [the one it begins with] */
    double kl;                     /* how much that counts [PPO 0.05, GRPO 0.04]; below 0: there is no reference */
    double kl_target;              /* > 0: `kl` is changed so that an answer's divergence comes to this */
    double kl_horizon;             /* answers in which it does so [10000] */
    double gamma, lambda;          /* of advantages: PPO [1, 0.95] */
    double clip_low, clip_high;    /* the ratio of probabilities counts within 1 - low … 1 + high [0.2, as low] */
    double value_clip, value_coef; /* PPO [0.2, 0.1] */
    double no_end;                 /* taken off an answer that did not end within max_tokens [0] */
    const char *loss;              /* GRPO: "grpo", "bnpo", "dr_grpo", "gspo" ["grpo"] */
    const char *scale;             /* GRPO: advantages are over the deviation of "group", "batch", or of "none"
                                      ["group", of dr_grpo "none"] */
    bool leave_out;                /* GRPO: an answer is compared with the mean of the others of its group (RLOO) */
    bool whiten_rewards;           /* PPO */
    bool keep_advantages;          /* PPO: advantages are not whitened */
} sc_rl_options;

#ifdef __cplusplus
}
#endif
#endif
