/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/synth.h"

static sc_status make(sc_cmd *c, sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                      sc_synth_result *result)
{
    const sc_synth_constitution x = {.constitution = sc_cmd_str(c, "constitution"),
                                     .prompts = sc_cmd_str(c, "prompts"),
                                     .limit = sc_cmd_int(c, "limit"),
                                     .revisions = sc_cmd_int(c, "revisions"),
                                     .preferences = sc_cmd_flag(c, "preferences"),
                                     .judged = sc_cmd_int(c, "judged"),
                                     .margin = sc_cmd_num(c, "margin") > 0 ? sc_cmd_num(c, "margin") : -1};
    return sc_synth_constitutional(ctx, model, o, &x, result);
}

static int constitution(sc_cmd *c)
{
    char *text;
    if (sc_cmd_flag(c, "show")) {
        if (sc_synth_constitution_text(&text)) return sc_cmd_fail(c);
        puts(text);
        sc_free(text);
        return 0;
    }
    if (!sc_cmd_str(c, "prompts")) return sc_cmd_usage(c, "--prompts is needed");
    return sc_cmd_synth(c, make, true);
}

static const sc_option options[] = {
    {"prompts", 0, SC_OPT_FILE, "FILE",
     "text with a prompt a line, or .jsonl with prompt; that of synth redteam does too"},
    {"limit", 0, SC_OPT_INT, "N", "prompts, at most; 0: all", .value = "0", .lo = 0, .hi = 1e12},
    {"constitution", 0, SC_OPT_FILE, "FILE", "principles in place of the project's, as --show prints them"},
    {"show", 0, SC_OPT_FLAG, .help = "print the project's principles as JSON and end"},
    {"revisions", 0, SC_OPT_INT, "N", "critiques and revisions of an answer, one after the other", .value = "1",
     .lo = 1, .hi = 16},
    {"preferences", 0, SC_OPT_FLAG, .help = "instead: two answers each, and which of them the principles prefer"},
    {"judged", 0, SC_OPT_INT, "N", "principles that a preference is the mean over", .value = "1", .lo = 1,
     .hi = 16},
    {"margin", 0, SC_OPT_NUM, "X", "by how much the better answer's chance must be above a half", .value = "0.05",
     .lo = 0, .hi = 0.5},
    SC_OPT_SYNTH,
    {0}};
static const sc_example examples[] = {
    {"socle synth constitution SmolLM2-135M-Instruct --prompts attacks/data.jsonl --out revised",
     "Answers that were criticised and revised, to learn from"},
    {"socle synth constitution SmolLM2-135M-Instruct --prompts attacks/data.jsonl --preferences --judged 4 --out "
     "pairs",
     "Pairs for a reward model or DPO"},
    {"socle synth constitution --show", "The principles"},
    {0}};
const sc_verb sc_verb_synth_constitution = {
    .name = "synth constitution",
    .summary = "Have a model revise or compare its answers by principles",
    .args = "[MODEL]",
    .max_args = 1,
    .about =
        "Each prompt is answered, the answer criticised by a principle and revised, as often as --revisions says; "
        "the last\n"
        "answer becomes messages to learn from. With --preferences a model gives two answers and says, by the "
        "likelihood of\n"
        "naming one or the other in both orders, which of them the principles prefer: prompt, chosen and rejected.",
    .options = options,
    .examples = examples,
    .run = constitution};
