/* SPDX-License-Identifier: Apache-2.0 */
/* socle data run: sources through the stages. */
#include "cmd/cmd.h"
#include "socle/data.h"
#include "socle/train.h"

#include <stdlib.h>
#include <string.h>

/* The configuration's keys that were typed. */
static json_t *settings_of(sc_cmd *c)
{
    static const char *const texts[] = {"tokenizer", "memory"};
    json_t *o = json_object(), *list = json_array();
    for (int i = 0; i < sc_cmd_argc(c); i++) json_array_append_new(list, json_string(sc_cmd_arg(c, i)));
    if (json_array_size(list))
        json_object_set_new(o, "sources", list);
    else
        json_decref(list);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (sc_cmd_given(c, texts[i])) json_object_set_new(o, texts[i], json_string(sc_cmd_str(c, texts[i])));
    if (sc_cmd_count(c, "stage")) {
        json_object_set_new(o, "stages", list = json_array());
        for (int i = 0; i < sc_cmd_count(c, "stage"); i++)
            json_array_append_new(list, json_string(sc_cmd_list(c, "stage", i)));
    }
    if (sc_cmd_given(c, "seed")) json_object_set_new(o, "seed", json_integer(sc_cmd_int(c, "seed")));
    if (sc_cmd_flag(c, "documents")) json_object_set_new(o, "documents", json_true());
    return o;
}

static int data_run(sc_cmd *c)
{
    if (!sc_cmd_str(c, "out")) return sc_cmd_usage(c, "--out is needed");
    if (!sc_cmd_str(c, "config") && !sc_cmd_argc(c))
        return sc_cmd_usage(c, "sources are needed: files, folders, patterns, or --config");
    if (!sc_cmd_int(c, "threads")) c->threads = sc_train_share_cores();
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    json_t *o = settings_of(c);
    char *text = json_dumps(o, 0);
    json_decref(o);
    if (!text) return sc_cmd_error(c, "out of memory");
    sc_data_options x = {.config = sc_cmd_str(c, "config"),
                         .settings = text,
                         .out = sc_cmd_str(c, "out"),
                         .restart = sc_cmd_flag(c, "restart")};
    sc_data_result r;
    sc_status s = sc_data_run(ctx, &x, &r);
    free(text);
    sc_cmd_clear_progress(c);
    if (s) return sc_cmd_fail(c);
    if (sc_train_rank() == 0)
        sc_cmd_note(c, "%s%lld documents read, %lld left, %lld tokens in %lld shards",
                    r.before ? "was finished: " : "", (long long)r.read, (long long)r.kept, (long long)r.tokens,
                    (long long)r.shards);
    return 0;
}

static const sc_option options[] = {
    {"config", 0, SC_OPT_FILE, "PIPELINE.json", "sources, stages and settings; options here replace what it says"},
    {"out", 'o', SC_OPT_DIR, "DIR", "the folder that is made; a run that was stopped goes on there"},
    {"stage", 's', SC_OPT_STR, "NAME", "a stage, in the order in which they are named", .many = true},
    {"tokenizer", 0, SC_OPT_FILE, "DIR", "folder or file of the tokenizer"},
    {"documents", 0, SC_OPT_FLAG, .help = "write the texts that are left, too"},
    {"memory", 0, SC_OPT_STR, "SIZE", "memory for what has to be held, about", .value = "512M"},
    {"seed", 0, SC_OPT_INT, "N", "of everything that is chosen by chance", .value = "0", .lo = 0, .hi = 1e15},
    {"restart", 0, SC_OPT_FLAG, .help = "begin anew where --out has an unfinished run of another kind"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle data run --config pipeline.json --out corpus", "What a configuration says"},
    {"socle data run pages.jsonl books/ --stage length --tokenizer ./gpt2 --out corpus",
     "The common road by options"},
    {0}};
const sc_verb sc_verb_data_run = {
    .name = "data run",
    .summary = "Turn sources of text into training data",
    .args = "[SOURCE...]",
    .max_args = -1,
    .about = "Reads documents from files, folders and patterns, cleans and chooses them by stages, "
             "each of which\ncounts what it did.",
    .options = options,
    .examples = examples,
    .run = data_run};
