/* SPDX-License-Identifier: Apache-2.0 */
/* The mixture: each item is one of another kind, drawn by their shares. */
#include "world/world.h"

static const sc_generator *const all[] = {
#define X(name) &sc_world_##name,
#include "world/kinds.def"
#undef X
};

static void corpus(sc_draft *d)
{
    uint32_t sum = 0;
    for (int i = 0; i < SC_COUNT(all); i++) sum += all[i]->share;
    uint32_t at = sc_below(d, sum);
    int i = 0;
    while (at >= all[i]->share) at -= all[i++]->share;
    sc_make_item(d, all[i]);
}

const sc_generator sc_world_corpus = {{"corpus", "all kinds of text mixed, to pre-train on", false}, 0, corpus};
