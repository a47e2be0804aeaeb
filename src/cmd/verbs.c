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

int sc_verb_first(const sc_verb *v) { return (int)strcspn(v->name, " "); }

bool sc_verb_in_group(const sc_verb *v, const char *group)
{
    size_t n = strlen(group);
    return strncmp(v->name, group, n) == 0 && v->name[n] == ' ';
}

const sc_verb *sc_verb_named(int n, char *const *word)
{
    for (int i = 0; i < VERBS && n > 0; i++) {
        const char *name = verbs[i]->name;
        if (sc_verb_in_group(verbs[i], word[0]) ? n > 1 && strcmp(name + strlen(word[0]) + 1, word[1]) == 0
                                                : strcmp(name, word[0]) == 0)
            return verbs[i];
    }
    return NULL;
}

const sc_verb *sc_verb_group(const char *name)
{
    for (int i = 0; i < VERBS; i++)
        if (sc_verb_in_group(verbs[i], name)) return verbs[i];
    return NULL;
}
