/* SPDX-License-Identifier: Apache-2.0 */
/* socle version */
#include "cmd/cmd.h"

static int version(sc_cmd *c)
{
    (void)c;
    printf("socle %s\n", sc_version());
    return 0;
}

static const sc_example examples[] = {{"socle version", "The version of the library in use"}, {0}};

const sc_verb sc_verb_version = {
    .name = "version", .summary = "Print the version", .args = "", .examples = examples, .run = version};
