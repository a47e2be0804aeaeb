/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/synth.h"

#include <string.h>

enum { TARGETS = 8 };

static sc_status make(sc_cmd *c, sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                      sc_synth_result *result)
{
    sc_asker *target[TARGETS] = {0}, *judge = NULL;
    const char *name = sc_cmd_str(c, "judge");
    bool own = name && strcmp(name, "rules") != 0;
    sc_synth_redteam x = {.prompts = sc_cmd_str(c, "prompts"),
                          .no_templates = sc_cmd_flag(c, "no-templates"),
                          .generate = sc_cmd_int(c, "generate"),
                          .limit = sc_cmd_int(c, "limit"),
                          .targets = target};
    sc_status s = own ? sc_cmd_synth_model(c, name, &judge) : SC_OK;
    for (int i = 0; !s && i < sc_cmd_count(c, "target"); i++) {
        s = sc_cmd_synth_model(c, sc_cmd_list(c, "target", i), &target[i]);
        x.n_targets += !s;
    }
    x.judge = own ? judge : name ? NULL : model;
    if (!s) s = sc_synth_attack(ctx, model, o, &x, result);
    for (int i = 0; i < x.n_targets; i++) sc_asker_free(target[i]);
    sc_asker_free(judge);
    return s;
}

static int redteam(sc_cmd *c)
{
    if (sc_cmd_count(c, "target") > TARGETS) return sc_cmd_usage(c, "at most %d times --target", TARGETS);
    if (sc_cmd_int(c, "generate") && !sc_cmd_arg(c, 0) && !sc_cmd_given(c, "api"))
        return sc_cmd_usage(c, "--generate needs a MODEL that writes");
    return sc_cmd_synth(c, make, false);
}

static const sc_option options[] = {
    {"target", 0, SC_OPT_STR, "MODEL", "a model to attack; the first is the one before, the next the one after",
     .many = true},
    {"judge", 0, SC_OPT_STR, "MODEL|rules",
     "who says whether an answer does harm (MODEL, or rules where there is none)"},
    {"prompts", 0, SC_OPT_FILE, "FILE", "further attacks: text, or .jsonl with prompt, category, harmful"},
    {"no-templates", 0, SC_OPT_FLAG, .help = "leave out the project's own attacks"},
    {"generate", 'g', SC_OPT_INT, "N", "attacks that MODEL writes", .value = "0", .lo = 0, .hi = 1e9},
    {"limit", 0, SC_OPT_INT, "N", "attacks, at most; 0: all", .value = "0", .lo = 0, .hi = 1e12},
    SC_OPT_SYNTH,
    {0}};
static const sc_example examples[] = {
    {"socle synth redteam SmolLM2-135M-Instruct --generate 200 --out attacks",
     "Attacks from templates and from a model"},
    {"socle synth redteam --target before --target after --out rates", "How often two models refuse, by rules"},
    {"socle synth redteam judge --target before --target after --out rates",
     "The same, where a model says whether an answer does harm"},
    {0}};
const sc_verb sc_verb_synth_redteam = {
    .name = "synth redteam",
    .summary = "Attack models, and see how often they refuse or do harm",
    .args = "[MODEL]",
    .max_args = 1,
    .about = "Attacks come from the project's templates, from files and from a model that goes on with them. Each "
             "target answers\n"
             "all; whether it refused is told by rules, whether it did harm by the judge. summary.json and "
             "report.html have the\n"
             "rates with 95% intervals, by category, how often harmless questions were refused, and for further "
             "targets\n"
             "what changed against the first, with the probability that it is chance.",
    .options = options,
    .examples = examples,
    .run = redteam};
