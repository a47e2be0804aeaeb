/* SPDX-License-Identifier: Apache-2.0 */
/* `socle template`: the prompt that a conversation becomes. */
#include "cmd/cmd.h"
#include "socle/hub.h"
#include "socle/template.h"

#include <stdlib.h>
#include <string.h>

#define MAX_VARIABLES (64 << 20)

static bool is_template_file(const char *path)
{
    size_t n = strlen(path);
    return n > 6 && strcmp(path + n - 6, ".jinja") == 0;
}

/* Whether the variables give tools, for the models that have a template of its own for them. */
static bool has_tools(const char *text, int64_t len)
{
    json_t *v = json_loadb(text, (size_t)len, 0, NULL);
    bool yes = json_array_size(json_object_get(v, "tools")) > 0;
    json_decref(v);
    return yes;
}

static int template(sc_cmd *c)
{
    const char *model = sc_cmd_arg(c, 0);
    sc_template *t = NULL;
    char *path = NULL, *text = NULL;
    int64_t len, n;
    char *variables = sc_cmd_read(c, sc_cmd_arg(c, 1), MAX_VARIABLES, &len);
    if (!variables) return 1;
    sc_template_options options = {.now = sc_cmd_str(c, "now")};
    sc_status s = is_template_file(model) ? SC_OK : sc_hub_resolve(&path, model);
    if (!s) s = sc_template_load(&t, path ? path : model, sc_cmd_str(c, "name"), has_tools(variables, len));
    if (!s) s = sc_template_render(&text, &n, t, variables, len, &options);
    if (!s) fwrite(text, 1, (size_t)n, stdout);
    int code = s ? sc_cmd_fail(c) : 0;
    sc_free(text);
    sc_template_free(t);
    sc_free(path);
    free(variables);
    return code;
}

static const sc_option options[] = {
    {"now", 0, SC_OPT_STR, "TIME",
     "the clock the template sees, \"YYYY-MM-DD HH:MM:SS\"; otherwise the local time"},
    {"name", 0, SC_OPT_STR, "NAME", "which template, where the model has several: default, tool_use, rag"},
    {0}};

static const sc_example examples[] = {
    {"socle template SmolLM2-135M-Instruct talk.json", "The prompt of a conversation, as the model will see it"},
    {"socle template chat_template.jinja - < variables.json", "A template alone, with its variables from stdin"},
    {"socle template --now \"2026-01-15 09:30:00\" ./model talk.json",
     "With a fixed clock, so that the answer never changes"},
    {0}};

const sc_verb sc_verb_template = {
    .name = "template",
    .summary = "Print the prompt that a conversation becomes",
    .args = "MODEL|FILE.jinja VARIABLES.json",
    .about = "VARIABLES.json is one object with the template's variables: messages, tools, documents,\n"
             "add_generation_prompt, bos_token and whatever else it asks for; \"-\" reads it from stdin.\n\n"
             "The text is printed as it is, without a newline at its end.",
    .min_args = 2,
    .max_args = 2,
    .options = options,
    .examples = examples,
    .run = template};
