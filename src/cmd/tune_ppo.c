/* SPDX-License-Identifier: Apache-2.0 */
/* `socle tune ppo`: rewards for a model's own answers, with a value head. */
#include "cmd/tune.h"

static int tune_ppo(sc_cmd *c) { return sc_cmd_tune_policy(c, "ppo"); }

static const sc_option options[] = {
    SC_OPT_POLICY("0.05", "4 steps'", "4", "1"),
    {"kl-target", 0, SC_OPT_NUM, "KL", "change --kl so that an answer's divergence comes to this; 0: do not",
     .value = "0", .lo = 0, .hi = 1e6},
    {"kl-horizon", 0, SC_OPT_NUM, "N", "answers in which it does so", .value = "10000", .lo = 1, .hi = 1e12},
    {"discount", 0, SC_OPT_NUM, "G", "gamma, of rewards to come", .value = "1", .lo = 0, .hi = 1},
    {"lambda", 0, SC_OPT_NUM, "L", "of generalised advantage estimation", .value = "0.95", .lo = 0, .hi = 1},
    {"value-clip", 0, SC_OPT_NUM, "E", "values may move so far in a phase", .value = "0.2", .lo = 0.001, .hi = 1e6},
    {"value-coef", 0, SC_OPT_NUM, "W", "how much the values' loss counts", .value = "0.1", .lo = 0.0001, .hi = 1e3},
    {"whiten-rewards", 0, SC_OPT_FLAG, .help = "bring rewards of tokens to variance 1"},
    {"keep-advantages", 0, SC_OPT_FLAG, .help = "do not bring advantages to mean 0 and variance 1"},
    SC_OPT_TUNE,
    {0}};
static const sc_example examples[] = {
    {"socle tune ppo run-sft --data prompts.jsonl --reward-model run-rm --out run", "The last stage of RLHF"},
    {"socle tune ppo run-sft --data sums.jsonl --reward exact --max-tokens 8 --kl 0.02 --out run",
     "A reward that can be checked"},
    {"socle tune ppo run-sft --data prompts.jsonl --reward-model run-rm --kl-target 6 --out run",
     "Keep an answer's divergence from the reference at about 6"},
    {"socle tune ppo --resume --out run", "Go on where it was stopped"},
    {0}};
const sc_verb sc_verb_tune_ppo = {
    .name = "tune ppo",
    .summary = "Learn from rewards for a model's own answers, with a value head (PPO)",
    .args = "MODEL",
    .about =
        "A record of --data has a \"prompt\", a text or a list of messages (or \"messages\", \"question\", "
        "\"text\"),\n"
        "and what rewards look at. In each phase --rollouts answers are sampled and rewarded, and learned from in\n"
        "--passes passes; the reward of a token is less --kl times log(policy / reference).\n" SC_CMD_REWARDS,
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = tune_ppo};
