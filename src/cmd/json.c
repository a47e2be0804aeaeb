/* SPDX-License-Identifier: Apache-2.0 */
/* Answers as JSON. */
#include "cmd/cmd.h"

#include <stdlib.h>

int sc_cmd_json(const sc_cmd *c, json_t *o, size_t flags)
{
    char *text = o ? json_dumps(o, flags) : NULL;
    json_decref(o);
    /* jansson makes no value of a text that is not UTF-8 and of a number that is none, and says no more than that. */
    if (!text)
        return sc_cmd_error(c,
                            "the answer cannot be put as JSON: a text in it is not UTF-8, a number is not finite, "
                            "or memory ran out");
    puts(text);
    free(text);
    return 0;
}
