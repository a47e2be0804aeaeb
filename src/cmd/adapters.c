/* SPDX-License-Identifier: Apache-2.0 */
/* --adapter DIR[=WEIGHT], wherever a verb opens a model. */
#include "cmd/cmd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int sc_cmd_adapters(sc_cmd *c, sc_adapter_list *out)
{
    out->n = sc_cmd_count(c, "adapter");
    if (out->n > SC_CMD_ADAPTERS) return sc_cmd_usage(c, "more than %d --adapter", SC_CMD_ADAPTERS);
    for (int i = 0; i < out->n; i++) {
        const char *text = sc_cmd_list(c, "adapter", i), *equals = strrchr(text, '=');
        struct stat st;
        char *end = NULL;
        out->dir[i] = text;
        out->weight[i] = 1;
        if (!equals || stat(text, &st) == 0) continue; /* a folder may have the sign in its name */
        out->weight[i] = strtod(equals + 1, &end);
        if (end == equals + 1 || *end || !isfinite(out->weight[i]))
            return sc_cmd_usage(c, "--adapter '%s': what follows = is not a number", text);
        size_t n = (size_t)(equals - text);
        if (n >= sizeof out->text[i]) return sc_cmd_usage(c, "--adapter '%s': the name is too long", text);
        memcpy(out->text[i], text, n);
        out->text[i][n] = 0;
        out->dir[i] = out->text[i];
    }
    return 0;
}
