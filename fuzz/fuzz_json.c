/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text from anywhere: either a message or a value of bounded depth. */
#include "base/base.h"

#include <stdlib.h>

/* jansson's own serialiser must take whatever the parser let through. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *value = NULL;
    sc_status s = sc_json_parse(&value, (const char *)data, (int64_t)size, "fuzz");
    if (s != SC_OK) {
        if (value || !sc_error()[0] || strpbrk(sc_error(), "\n\033")) abort();
        return 0;
    }
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    free(text);
    json_decref(value);
    return 0;
}
