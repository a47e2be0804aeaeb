/* SPDX-License-Identifier: Apache-2.0 */
/* `socle tune simpo`: a file of preferences, and what is learned from it. */
#include "cmd/tune.h"

static int tune_simpo(sc_cmd *c) { return sc_cmd_tune_preferences(c, "simpo"); }

static const sc_option options[] = {SC_OPT_PREFER_BETA("2", "what log-probabilities a token are multiplied by"),
                                    {"gamma", 0, SC_OPT_NUM, "G", "by how much chosen answers are to be ahead then",
                                     .value = "1", .lo = 0, .hi = 1000},
                                    {"label-smoothing", 0, SC_OPT_NUM, "SHARE",
                                     "of pairs that are taken to be the wrong way round", .value = "0", .lo = 0,
                                     .hi = 0.499},
                                    SC_OPT_PREFER_SFT,
                                    SC_OPT_PREFER,
                                    SC_OPT_TUNE,
                                    {0}};
static const sc_example examples[] = {
    {"socle tune simpo run-sft --data pairs.jsonl --out run", "Half the memory of a method with a reference"},
    {"socle tune simpo --resume --out run", "Go on where it was stopped"},
    {0}};
const sc_verb sc_verb_tune_simpo = {
    .name = "tune simpo",
    .summary = "Prefer chosen answers by a margin a token, without a reference",
    .args = "MODEL",
    .about = "A record of --data has \"prompt\", \"chosen\" and \"rejected\", texts or lists of messages; without "
             "a prompt two\n"
             "whole texts or conversations that part at their last answer, as hh-rlhf has them.",
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = tune_simpo};
