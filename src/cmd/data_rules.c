/* SPDX-License-Identifier: Apache-2.0 */
/* socle data rules: the thresholds of the quality rules. */
#include "cmd/cmd.h"
#include "socle/filter.h"

static int data_rules(sc_cmd *c)
{
    char *text = NULL;
    if (sc_cmd_flag(c, "markdown")) {
        if (sc_filter_tables(&text)) return sc_cmd_fail(c);
        fputs(text, stdout);
    } else {
        sc_filter *f;
        if (sc_filter_new(&f, sc_cmd_arg(c, 0))) return sc_cmd_fail(c);
        sc_status s = sc_filter_rules(f, &text);
        sc_filter_free(f);
        if (s) return sc_cmd_fail(c);
        puts(text);
    }
    sc_free(text);
    return 0;
}

static const sc_option options[] = {
    {"markdown", 'm', SC_OPT_FLAG, .help = "as tables that say what each rule measures and where it comes from"},
    {0}};
static const sc_example examples[] = {
    {"socle data rules > rules.json", "The usual thresholds, to be changed and given to the stage quality"},
    {"socle data rules rules.json", "All thresholds as they are with that file"},
    {"socle data rules --markdown", "What each rule measures"},
    {0}};
const sc_verb sc_verb_data_rules = {.name = "data rules",
                                    .summary = "Print the thresholds of the quality rules",
                                    .args = "[RULES.json]",
                                    .max_args = 1,
                                    .options = options,
                                    .examples = examples,
                                    .run = data_rules};
