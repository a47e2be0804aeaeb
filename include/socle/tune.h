/* SPDX-License-Identifier: Apache-2.0 */
/* Training on a model's own answers. */
#ifndef SOCLE_TUNE_H
#define SOCLE_TUNE_H

#include "socle/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* sc_train of a decoder with rewards for its answers to the data's prompts, as o->rl says. method: "ppo" (Schulman et al. 2017,
 * arXiv:1707.06347, with the details of Ouyang et al. 2022, arXiv:2203.02155: a value head on the policy's own states) or "grpo"
 * (Shao et al. 2024, arXiv:2402.03300). An epoch is all prompts once, and each answer learned from as often as
 * o->rl.passes says. The data are .jsonl, .json or .tsv: "prompt" (a text, or a list of messages), and what rewards look at:
 * "answer", "tests". SC_EINVAL: a reward is no number, and all that sc_train returns; the run is as it was after its last
 * checkpoint then. */
SC_API sc_status sc_tune_policy(sc_context *ctx, const sc_train_options *o, const char *method,
                                sc_train_report *report, void *user);

#ifdef __cplusplus
}
#endif
#endif
