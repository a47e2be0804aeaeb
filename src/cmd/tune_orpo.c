/* SPDX-License-Identifier: Apache-2.0 */
/* `socle tune orpo`: a file of preferences, and what is learned from it. */
#include "cmd/tune.h"

static int tune_orpo(sc_cmd *c) { return sc_cmd_tune_preferences(c, "orpo"); }

static const sc_option options[] = {
    SC_OPT_PREFER_BETA("0.1", "how much the odds count beside the chosen text's own loss"),
    SC_OPT_PREFER,
    SC_OPT_TUNE,
    {0}};
static const sc_example examples[] = {
    {"socle tune orpo SmolLM2-135M --data pairs.jsonl --out run", "From a pre-trained model in one step"},
    {"socle tune orpo --resume --out run", "Go on where it was stopped"},
    {0}};
const sc_verb sc_verb_tune_orpo = {
    .name = "tune orpo",
    .summary = "Learn chosen texts, with better odds than rejected ones, without a reference",
    .args = "MODEL",
    .about = "A record of --data has \"prompt\", \"chosen\" and \"rejected\", texts or lists of messages; without "
             "a prompt two\n"
             "whole texts or conversations that part at their last answer, as hh-rlhf has them. The loss is\n"
             "the mean cross entropy of prompts and chosen answers, and --beta times that of the odds.",
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = tune_orpo};
