/* SPDX-License-Identifier: Apache-2.0 */
/* `socle tune grpo`: rewards for groups of a model's own answers. */
#include "cmd/tune.h"

static int tune_grpo(sc_cmd *c) { return sc_cmd_tune_policy(c, "grpo"); }

static const sc_option options[] = {
    SC_OPT_POLICY("0.04", "a step's", "1", "8"),
    {"loss", 0, SC_OPT_CHOICE, "grpo|bnpo|dr_grpo|gspo",
     "means of answers; of all tokens; sums over --max-tokens; a ratio for each answer", .value = "grpo"},
    {"advantage-scale", 0, SC_OPT_CHOICE, "group|batch|none",
     "whose deviation advantages are divided by (group; of dr_grpo none)", .value = "group"},
    {"leave-out", 0, SC_OPT_FLAG, .help = "compare an answer with the mean of the others of its group (RLOO)"},
    SC_OPT_TUNE,
    {0}};
static const sc_example examples[] = {
    {"socle tune grpo run-sft --data gsm8k.jsonl --reward number --max-tokens 256 --out run",
     "Word problems whose last number can be checked"},
    {"socle tune grpo run-sft --data tasks.jsonl --reward tests --reward 0.1*length=80 --out run",
     "Programs that pass their tests, and not too long ones"},
    {"socle tune grpo run-sft --data prompts.jsonl --reward-cmd 'python3 judge.py' --group-size 16 --out run",
     "What a program of one's own says"},
    {"socle tune grpo --resume --out run", "Go on where it was stopped"},
    {0}};
const sc_verb sc_verb_tune_grpo = {
    .name = "tune grpo",
    .summary = "Learn from rewards for groups of a model's own answers (GRPO)",
    .args = "MODEL",
    .about = "A record of --data has a \"prompt\", a text or a list of messages (or \"messages\", \"question\", "
             "\"text\"),\n"
             "and what rewards look at. To each prompt --group-size answers are sampled; one is as good as its "
             "reward is\n"
             "better than those of its group.\n" SC_CMD_REWARDS,
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = tune_grpo};
