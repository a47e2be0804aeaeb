/* SPDX-License-Identifier: Apache-2.0 */
/* `socle tune reward`: a file of preferences, and what is learned from it. */
#include "cmd/tune.h"

static int tune_reward(sc_cmd *c) { return sc_cmd_tune_preferences(c, "reward"); }

static const sc_option options[] = {
    {"center", 0, SC_OPT_NUM, "W", "how much numbers are kept around 0 (0.01)", .value = "0", .lo = 0, .hi = 1000},
    SC_OPT_PREFER,
    SC_OPT_TUNE,
    {0}};
static const sc_example examples[] = {
    {"socle tune reward SmolLM2-135M-Instruct --data pairs.jsonl --eval-share 0.1 --out rm", "A reward model"},
    {"socle classify rm \"A text to score\"", "Its number for a text"},
    {"socle tune reward --resume --out run", "Go on where it was stopped"},
    {0}};
const sc_verb sc_verb_tune_reward = {
    .name = "tune reward",
    .summary = "Make a model that gives answers a number, from pairs of answers",
    .args = "MODEL",
    .about = "A record of --data has \"prompt\", \"chosen\" and \"rejected\", texts or lists of messages; without "
             "a prompt two\n"
             "whole texts or conversations that part at their last answer, as hh-rlhf has them. A \"margin\"\n"
             "says by how much the chosen one is better. What is made is a model with a head of one number, which "
             "transformers\n"
             "opens as AutoModelForSequenceClassification.",
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = tune_reward};
