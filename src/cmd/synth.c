/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/synth.h"
#include "socle/hub.h"

#include <stdlib.h>
#include <string.h>

static sc_asker_options asker_options(const sc_cmd *c)
{
    return (sc_asker_options){.context = sc_cmd_int(c, "context"), .batch = (int)sc_cmd_int(c, "batch")};
}

sc_status sc_cmd_synth_model(sc_cmd *c, const char *name, sc_asker **out)
{
    char *path = NULL;
    sc_asker_options o = asker_options(c);
    sc_context *ctx = sc_cmd_context(c);
    sc_status s = ctx ? sc_hub_resolve(&path, name) : SC_ENOMEM;
    if (!s) s = sc_asker_open(out, ctx, path, &o);
    sc_free(path);
    return s;
}

/* As it was typed, for the report. */
static char *command_of(const sc_cmd *c)
{
    int n;
    size_t size = 16;
    const char *const *words = sc_cmd_words(c, &n);
    for (int i = 0; i < n; i++) size += strlen(words[i]) + 1;
    char *text = malloc(size);
    if (!text) return NULL;
    strcpy(text, "socle");
    for (int i = 0; i < n; i++) {
        strcat(text, " ");
        strcat(text, words[i]);
    }
    return text;
}

int sc_cmd_synth(sc_cmd *c, sc_cmd_maker *make, bool needed)
{
    sc_asker *model = NULL;
    sc_synth_result result;
    const char *out = sc_cmd_str(c, "out"), *name = sc_cmd_arg(c, 0);
    if (!out) return sc_cmd_usage(c, "--out is needed");
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    sc_asker_options how = asker_options(c);
    int rc = needed || name || sc_cmd_given(c, "api") ? sc_cmd_asker(c, name, &how, &model) : 0;
    if (rc) return rc;
    double temperature = sc_cmd_num(c, "temperature");
    char *command = command_of(c);
    sc_synth_options o = {.out = out,
                          .seed = (uint64_t)sc_cmd_int(c, "seed"),
                          .temperature = temperature > 0 ? temperature : -1,
                          .top_p = sc_cmd_num(c, "top-p"),
                          .max_new_tokens = sc_cmd_int(c, "max-tokens"),
                          .round = sc_cmd_int(c, "round"),
                          .novelty = sc_cmd_num(c, "novelty"),
                          .near = sc_cmd_num(c, "near"),
                          .plain = sc_cmd_flag(c, "plain"),
                          .command = command};
    sc_status s = make(c, ctx, model, &o, &result);
    sc_asker_free(model);
    free(command);
    if (s) return sc_cmd_fail(c);
    sc_cmd_clear_progress(c);
    sc_cmd_note(c, "%lld lines in %s/data.jsonl, %lld left out; %lld answers, %lld of them from before",
                (long long)result.kept, out, (long long)result.rejected, (long long)(result.asked + result.before),
                (long long)result.before);
    return 0;
}
