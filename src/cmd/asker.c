/* SPDX-License-Identifier: Apache-2.0 */
/* Who answers: the model named, or an endpoint (SC_OPT_ASKER). */
#include "cmd/cmd.h"
#include "socle/ask.h"
#include "socle/hub.h"

#include <stdlib.h>
#include <string.h>

static int open_endpoint(sc_cmd *c, const char *model, sc_asker **out)
{
    const char *variable = sc_cmd_str(c, "api-key-env");
    const char *key = getenv(variable);
    sc_context *ctx = sc_cmd_context(c);
    const char *name = sc_cmd_given(c, "api-model") ? sc_cmd_str(c, "api-model") : model;
    if (!name) return sc_cmd_usage(c, "--api needs --api-model: what the endpoint calls the model");
    /* A key that nobody named goes nowhere in the clear. */
    if (!sc_cmd_given(c, "api-key-env") && strncmp(sc_cmd_str(c, "api"), "https:", 6) != 0) key = NULL;
    if (!key && sc_cmd_given(c, "api-key-env"))
        return sc_cmd_error(c, "there is no %s in the environment", variable);
    if (!ctx || sc_asker_open_api(out, ctx,
                                  &(sc_asker_api){.url = sc_cmd_str(c, "api"),
                                                  .model = name,
                                                  .key = key,
                                                  .concurrency = (int)sc_cmd_int(c, "api-requests"),
                                                  .timeout = sc_cmd_num(c, "api-timeout"),
                                                  .chat_only = sc_cmd_flag(c, "api-chat")}))
        return sc_cmd_fail(c);
    return 0;
}

int sc_cmd_asker(sc_cmd *c, const char *model, const struct sc_asker_options *options, sc_asker **out)
{
    char *path = NULL;
    if (sc_cmd_given(c, "api")) return open_endpoint(c, model, out);
    static const char *const only[] = {"api-model", "api-key-env", "api-requests", "api-timeout", "api-chat"};
    for (size_t i = 0; i < sizeof only / sizeof *only; i++)
        if (sc_cmd_given(c, only[i])) return sc_cmd_usage(c, "--%s needs --api", only[i]);
    if (!model) return sc_cmd_usage(c, "a model is needed, or --api with --api-model");
    sc_context *ctx = sc_cmd_context(c);
    sc_status s = ctx ? sc_hub_resolve(&path, model) : SC_ENOMEM;
    if (!s) s = sc_asker_open(out, ctx, path, options);
    sc_free(path);
    return s ? sc_cmd_fail(c) : 0;
}
