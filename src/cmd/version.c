/* SPDX-License-Identifier: Apache-2.0 */
/* socle version */
#include "cmd/cmd.h"
#include "socle/train.h"

static int version(sc_cmd *c)
{
    (void)c;
    const char *mpi = sc_train_mpi();
    printf("socle %s\n", sc_version());
    printf("training by many processes: %s\n", mpi ? mpi : "not in this build");
    return 0;
}

static const sc_example examples[] = {
    {"socle version", "The version of the library in use, and what it was built with"}, {0}};

const sc_verb sc_verb_version = {
    .name = "version", .summary = "Print the version", .args = "", .examples = examples, .run = version};
