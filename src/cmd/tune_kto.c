/* SPDX-License-Identifier: Apache-2.0 */
/* `socle tune kto`: a file of preferences, and what is learned from it. */
#include "cmd/tune.h"

static int tune_kto(sc_cmd *c) { return sc_cmd_tune_preferences(c, "kto"); }

static const sc_option options[] = {
    SC_OPT_PREFER_BETA("0.1", "how little the model is to leave the reference"),
    {"desirable", 0, SC_OPT_NUM, "W", "weight of answers that are wanted", .value = "1", .lo = 1e-6, .hi = 1e6},
    {"undesirable", 0, SC_OPT_NUM, "W", "weight of answers that are not", .value = "1", .lo = 1e-6, .hi = 1e6},
    SC_OPT_PREFER_REFERENCE,
    SC_OPT_PREFER,
    SC_OPT_TUNE,
    {0}};
static const sc_example examples[] = {{"socle tune kto run-sft --data votes.jsonl --out run", "Thumbs up and down"},
                                      {"socle tune kto run-sft --data votes.jsonl --desirable 3 --out run",
                                       "Where wanted answers are three times as rare"},
                                      {"socle tune kto --resume --out run", "Go on where it was stopped"},
                                      {0}};
const sc_verb sc_verb_tune_kto = {.name = "tune kto",
                                  .summary = "Learn from single answers that were wanted or not",
                                  .args = "MODEL",
                                  .about = "A record of --data has \"prompt\", \"completion\" and \"label\", true "
                                           "or false; pairs of \"chosen\" and \"rejected\"\n"
                                           "are taken for one of each. A batch has at least two answers: how far "
                                           "the model has gone from the reference is\n"
                                           "measured on the answers of other examples.",
                                  .max_args = 1,
                                  .options = options,
                                  .examples = examples,
                                  .run = tune_kto};
