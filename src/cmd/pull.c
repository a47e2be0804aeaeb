/* SPDX-License-Identifier: Apache-2.0 */
/* socle pull: a model from a hub into the models folder. */
#include "cmd/cmd.h"
#include "socle/hub.h"

static int pull(sc_cmd *c)
{
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    sc_hub_pull_options o = {
        .revision = sc_cmd_str(c, "revision"), .file = sc_cmd_str(c, "file"), .offline = sc_cmd_flag(c, "offline")};
    char *path;
    sc_status e = sc_hub_pull(&path, ctx, sc_cmd_arg(c, 0), &o);
    sc_cmd_clear_progress(c);
    if (e) return sc_cmd_fail(c);
    puts(path);
    sc_free(path);
    return 0;
}

static const sc_option options[] = {
    {"revision", 'r', SC_OPT_STR, "REV", .help = "branch, tag or commit (main unless given)"},
    {"file", 'f', SC_OPT_STR, "PATTERN",
     .help = "only these files: a pattern with * and ?, or part of a GGUF file's name"},
    {"offline", 0, SC_OPT_FLAG, .help = "make no connection"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle pull HuggingFaceTB/SmolLM2-135M-Instruct", "Configuration, tokenizer and weights of a repository"},
    {"socle pull bartowski/SmolLM2-135M-Instruct-GGUF:Q4_K_M", "One GGUF file of several"},
    {0}};
const sc_verb sc_verb_pull = {
    .name = "pull",
    .summary = "Fetch a model from the hub",
    .args = "NAME[:FILE]",
    .about =
        "Fetches what is needed to run the model (configuration, tokenizer, templates and safetensors, or one GGUF "
        "file) into the models folder, and prints the path. Every file is checked against the hub's checksum. What "
        "was interrupted goes on where it stopped when the command is given again.\n\n"
        "HF_ENDPOINT names another hub than https://huggingface.co, HF_TOKEN is sent to it for repositories that "
        "need one, and with HF_HUB_OFFLINE=1 no connection is made.",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = pull};
