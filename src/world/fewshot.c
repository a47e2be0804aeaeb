/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks of all kinds behind solved ones of their kind. */
#include "world/world.h"

enum { USUAL_SHOTS = 4 };

static const sc_generator *const all[] = {
#define X(name) &sc_world_##name,
#include "world/kinds.def"
#undef X
};

static void fewshot(sc_draft *d)
{
    const sc_generator *g;
    int64_t asked = d->shots;
    do g = all[sc_below(d, SC_COUNT(all))];
    while (!g->about.task);
    if (!asked) d->shots = USUAL_SHOTS;
    sc_make_item(d, g);
    sc_add_field(d, "shots", json_integer(d->shots));
    d->shots = asked;
}

const sc_generator sc_world_fewshot = {
    {"fewshot", "tasks of all kinds behind solved ones of their kind", false}, 0, fewshot};
