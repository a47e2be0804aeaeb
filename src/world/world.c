/* SPDX-License-Identifier: Apache-2.0 */
#include "world/world.h"

#include <stdio.h>

struct sc_world {
    uint64_t seed;
};

sc_status sc_world_new(sc_world **out, uint64_t seed)
{
    sc_world *w = sc_calloc(1, sizeof *w);
    if (!w) return sc_nomem();
    w->seed = seed;
    *out = w;
    return SC_OK;
}

void sc_world_end(sc_world *w) { sc_free(w); }

void sc_puzzle_word(sc_draft *d, char *out, int64_t size)
{
    static const sc_word_class classes[] = {SC_THING, SC_FOOD, SC_PET, SC_PLACE, SC_JOB, SC_HOBBY, SC_GOODS};
    const sc_word *w = sc_any_word(d, classes[sc_below(d, SC_COUNT(classes))]);
    snprintf(out, (size_t)size, "%s", w->name[d->tongue]);
}
