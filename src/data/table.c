/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of formats and stages. */
#include "data/data.h"

static const sc_format *const formats[] = {
#define F(name) &sc_format_##name,
#include "data/formats.def"
#undef F
};
static const sc_stage *const stages[] = {
#define S(name) &sc_stage_##name,
#include "data/stages.def"
#undef S
};

const sc_format *sc_format_at(int i) { return i >= 0 && i < SC_COUNT(formats) ? formats[i] : NULL; }
const sc_stage *sc_stage_at(int i) { return i >= 0 && i < SC_COUNT(stages) ? stages[i] : NULL; }

const sc_format *sc_format_named(const char *name)
{
    for (int i = 0; i < SC_COUNT(formats); i++)
        if (strcmp(formats[i]->name, name) == 0) return formats[i];
    return NULL;
}

const sc_stage *sc_stage_named(const char *name)
{
    for (int i = 0; i < SC_COUNT(stages); i++)
        if (strcmp(stages[i]->name, name) == 0) return stages[i];
    return NULL;
}

static bool ends_with_one_of(const char *p, size_t n, const char *suffixes)
{
    for (const char *s = suffixes + 1; *s;) {
        size_t len = strcspn(s, "|");
        if (len && len < n && memcmp(p + n - len, s, len) == 0) return true;
        s += len + 1;
    }
    return false;
}

const sc_format *sc_format_of(const char *path, bool *packed)
{
    const char *name = sc_path_base(path);
    size_t n = strlen(name);
    *packed = ends_with_one_of(name, n, "|.gz|.zst|");
    if (*packed) n -= ends_with_one_of(name, n, "|.gz|") ? 3 : 4;
    for (int i = 0; i < SC_COUNT(formats); i++)
        if (ends_with_one_of(name, n, formats[i]->suffixes)) return formats[i];
    return NULL;
}
