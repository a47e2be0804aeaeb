/* SPDX-License-Identifier: Apache-2.0 */
/* The table of element types and the ways to look one up. */
#include "socle/tensor.h"

#include "base/base.h"

#include <strings.h>

static const sc_dtype_info table[SC_DTYPE_COUNT] = {
#define X(id, name, elements, bytes, gguf, st) {name, elements, bytes, gguf, st},
#include "socle/dtypes.def"
#undef X
};

const sc_dtype_info *sc_dtype_get(sc_dtype t) { return (unsigned)t < SC_DTYPE_COUNT ? &table[t] : NULL; }

sc_dtype sc_dtype_named(const char *name)
{
    for (int i = 0; name && i < SC_DTYPE_COUNT; i++)
        if (!strcasecmp(name, table[i].name)) return (sc_dtype)i;
    return SC_DTYPE_COUNT;
}

sc_dtype sc_dtype_from_gguf(int64_t id)
{
    for (int i = 0; id >= 0 && i < SC_DTYPE_COUNT; i++)
        if (table[i].gguf == id) return (sc_dtype)i;
    return SC_DTYPE_COUNT;
}

sc_dtype sc_dtype_from_safetensors(const char *name)
{
    for (int i = 0; name && i < SC_DTYPE_COUNT; i++)
        if (table[i].safetensors && !strcmp(name, table[i].safetensors)) return (sc_dtype)i;
    return SC_DTYPE_COUNT;
}

int64_t sc_dtype_size(sc_dtype t, int64_t n)
{
    const sc_dtype_info *d = sc_dtype_get(t);
    int64_t size;
    if (!d || n < 0 || n % d->block || !sc_mul_ok(n / d->block, d->bytes, &size)) return -1;
    return size;
}
