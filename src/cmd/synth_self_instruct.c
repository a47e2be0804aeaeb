/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/synth.h"

static sc_status make(sc_cmd *c, sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                      sc_synth_result *result)
{
    const sc_self_instruct x = {.seeds = sc_cmd_str(c, "seeds"),
                                .count = sc_cmd_int(c, "count"),
                                .shown = sc_cmd_int(c, "shown"),
                                .instances = sc_cmd_int(c, "instances")};
    return sc_synth_self_instruct(ctx, model, o, &x, result);
}

static int self_instruct(sc_cmd *c)
{
    if (!sc_cmd_str(c, "seeds")) return sc_cmd_usage(c, "--seeds is needed: tasks to begin with");
    return sc_cmd_synth(c, make, true);
}

static const sc_option options[] = {
    {"seeds", 0, SC_OPT_FILE, "FILE",
     ".jsonl of tasks: instruction, instances of input and output, is_classification; or Alpaca's fields"},
    {"count", 'c', SC_OPT_INT, "N", "instructions to make", .value = "100", .lo = 1, .hi = 1e9},
    {"shown", 0, SC_OPT_INT, "N", "tasks that a prompt shows, a quarter of them made ones", .value = "8", .lo = 1,
     .hi = 32},
    {"instances", 0, SC_OPT_INT, "N", "examples of an instruction to keep, at most", .value = "1", .lo = 1,
     .hi = 100},
    SC_OPT_SYNTH,
    {0}};
static const sc_example examples[] = {
    {"socle synth self-instruct SmolLM2-135M-Instruct --seeds seed_tasks.jsonl --count 1000 --out made",
     "A thousand instructions with their answers, after the example of some"},
    {"socle synth self-instruct --api http://127.0.0.1:8000/v1 --api-model big --seeds seed_tasks.jsonl --out made",
     "The same by a model behind an endpoint"},
    {0}};
const sc_verb sc_verb_synth_self_instruct = {.name = "synth self-instruct",
                                             .summary = "Have a model make instructions and their answers",
                                             .args = "[MODEL]",
                                             .max_args = 1,
                                             .about =
                                                 "A model goes on with lists of tasks; what is new becomes an "
                                                 "instruction, and the model says whether it is a\n"
                                                 "classification and writes examples of it, for classifications "
                                                 "the label first. What is too like something\n"
                                                 "made before, cut off or empty is left out and counted. "
                                                 "data.jsonl has Alpaca's fields and, on every line, where\n"
                                                 "it comes from.",
                                             .options = options,
                                             .examples = examples,
                                             .run = self_instruct};
