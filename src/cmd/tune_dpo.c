/* SPDX-License-Identifier: Apache-2.0 */
/* `socle tune dpo`: a file of preferences, and what is learned from it. */
#include "cmd/tune.h"

static int tune_dpo(sc_cmd *c) { return sc_cmd_tune_preferences(c, "dpo"); }

static const sc_option options[] = {
    SC_OPT_PREFER_BETA("0.1", "how little the model is to leave the reference"),
    {"loss", 0, SC_OPT_CHOICE, "sigmoid|hinge|ipo|ipo_sum|robust", "of a pair", .value = "sigmoid"},
    {"label-smoothing", 0, SC_OPT_NUM, "SHARE", "of pairs that are taken to be the wrong way round", .value = "0",
     .lo = 0, .hi = 0.499},
    SC_OPT_PREFER_SFT,
    SC_OPT_PREFER_REFERENCE,
    SC_OPT_PREFER_PRECOMPUTE,
    SC_OPT_PREFER,
    SC_OPT_TUNE,
    {0}};
static const sc_example examples[] = {
    {"socle tune dpo SmolLM2-135M-Instruct --data pairs.jsonl --out run", "Direct preference optimization"},
    {"socle tune dpo run-sft --data hh.jsonl.gz --eval-share 0.05 --loss ipo --out run",
     "IPO, with a part held out"},
    {"socle tune dpo run-sft --data pairs.jsonl --label-smoothing 0.1 --precompute --out run",
     "Where one of ten pairs may be wrong, and without the reference in memory"},
    {"socle tune dpo --resume --out run", "Go on where it was stopped"},
    {0}};
const sc_verb sc_verb_tune_dpo = {
    .name = "tune dpo",
    .summary = "Prefer chosen answers to rejected ones, more than a reference does",
    .args = "MODEL",
    .about =
        "A record of --data has \"prompt\", \"chosen\" and \"rejected\", texts or lists of messages; without a "
        "prompt two\n"
        "whole texts or conversations that part at their last answer, as hh-rlhf has them. The reference is the\n"
        "model that is begun with, unless --reference names another. Equal sides are an error (--skip-equal).",
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = tune_dpo};
