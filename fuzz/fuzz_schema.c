/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON schema, a byte of 0, and a value to hold against it. */
#include "tune/rewards.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *p = (const char *)data, *cut = size ? memchr(p, 0, size) : NULL;
    int64_t n = cut ? cut - p : (int64_t)size;
    sc_schema *schema = NULL;
    json_t *value = NULL;
    if (sc_schema_parse(&schema, p, n, "fuzz")) {
        if (schema || !sc_error()[0]) abort();
        return 0;
    }
    if (cut && sc_json_parse(&value, cut + 1, (int64_t)size - n - 1, "value") == SC_OK) {
        bool once = sc_schema_holds(schema, value);
        if (once != sc_schema_holds(schema, value)) abort();
    }
    json_decref(value);
    sc_schema_free(schema);
    return 0;
}
