/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs of `synth` share. */
#ifndef SC_CMD_SYNTH_H
#define SC_CMD_SYNTH_H

#include "cmd/cmd.h"
#include "socle/synth.h"

/* clang-format off */
#define SC_OPT_SYNTH                                                                                               \
    {"out", 'o', SC_OPT_DIR, "DIR", "the folder: data.jsonl, rejected.jsonl, summary.json, report.html; again with the same " \
     "one, answers that it has are not asked for again"},                                                          \
    {"seed", 's', SC_OPT_INT, "N", "of everything that is drawn", .value = "0", .lo = 0, .hi = 1e15},              \
    {"temperature", 'T', SC_OPT_NUM, "X", "of answers; 0: the likeliest tokens", .value = "0.7", .lo = 0, .hi = 10}, \
    {"top-p", 0, SC_OPT_NUM, "P", "draw from the likeliest tokens of so much together", .value = "0.95", .lo = 0.001, \
     .hi = 1},                                                                                                     \
    {"max-tokens", 'n', SC_OPT_INT, "N", "of an answer", .value = "512", .lo = 1, .hi = 1e6},                      \
    {"round", 0, SC_OPT_INT, "N", "questions asked together; what is made depends on it", .value = "16", .lo = 1,  \
     .hi = 65536},                                                                                                 \
    {"novelty", 0, SC_OPT_NUM, "X", "ROUGE-L with something made before, above which it is not new", .value = "0.7", \
     .lo = 0.01, .hi = 1},                                                                                         \
    {"near", 0, SC_OPT_NUM, "X", "similarity from which a line counts as one made before; 2: none does", .value = "0.8", \
     .lo = 0.01, .hi = 2},                                                                                         \
    {"plain", 0, SC_OPT_FLAG, .help = "ask in plain text even where the model has a chat template"},               \
    {"context", 0, SC_OPT_INT, "N", "tokens that a question with its answer may take; 0: the model's, at most 8192", \
     .value = "0", .lo = 0, .hi = 1 << 20},                                                                        \
    {"batch", 'b', SC_OPT_INT, "N", "answers computed at once; changes no bit of them", .value = "8", .lo = 1, .hi = 256}, \
    SC_OPT_ASKER, SC_OPT_CONTEXT
/* clang-format on */

/* What a verb makes, with its model open (NULL: none was named). */
typedef sc_status sc_cmd_maker(sc_cmd *c, sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                               sc_synth_result *result);
/* Opens the model of argument 0 or of --api, makes, and says what came of it. needed: there has to be one. */
int sc_cmd_synth(sc_cmd *c, sc_cmd_maker *make, bool needed);
/* A further model, by its path or name. */
sc_status sc_cmd_synth_model(sc_cmd *c, const char *name, sc_asker **out);

#endif
