/* SPDX-License-Identifier: Apache-2.0 */
/* The table of verbs. */
#include "cmd/cmd.h"

#include <string.h>

#define V(name) extern const sc_verb sc_verb_##name;
#include "cmd/verbs.def"
#undef V

static const sc_verb *const verbs[] = {
#define V(name) &sc_verb_##name,
#include "cmd/verbs.def"
#undef V
};
enum { VERBS = (int)(sizeof verbs / sizeof verbs[0]) };

const sc_verb *const *sc_verbs(int *count)
{
    *count = VERBS;
    return verbs;
}

const sc_verb *sc_verb_named(const char *name)
{
    for (int i = 0; i < VERBS; i++)
        if (strcmp(verbs[i]->name, name) == 0) return verbs[i];
    return NULL;
}
