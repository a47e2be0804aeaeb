/* SPDX-License-Identifier: Apache-2.0 */
#include "models/models.h"

static const sc_family *const families[] = {
#define F(name) &sc_family_##name,
#include "models/models.def"
#undef F
};

const sc_family *sc_family_of(const char *model_type)
{
    for (int i = 0; i < SC_COUNT(families); i++)
        for (const char *const *t = families[i]->model_types; *t; t++)
            if (strcmp(*t, model_type) == 0) return families[i];
    return NULL;
}
