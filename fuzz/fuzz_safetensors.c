/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a safetensors file: what opens is read whole, and what was read can be written again. */
#include "io/io.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_free(sc_buffer *b) { (void)b; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sc_buffer *bytes;
    sc_safetensors *st;
    if (sc_buffer_wrap(&bytes, (void *)(uintptr_t)data, (int64_t)size, no_free, NULL)) return 0;
    if (sc_safetensors_open_buffer(&st, bytes, "input") == SC_OK) {
        uint64_t sum = 0;
        for (int64_t i = 0; i < sc_safetensors_count(st); i++) {
            const sc_file_tensor *t = sc_safetensors_get(st, i), *found;
            sum += sc_hash(t->data, t->bytes);
            sc_status e = sc_safetensors_find(st, t->name, &found);
            if (e ? e != SC_EUNSUPPORTED : found != t) abort();
        }
        const char *key, *value;
        for (int64_t i = 0; i < sc_safetensors_meta_count(st); i++)
            if (sc_safetensors_meta_at(st, i, &key, &value) || !sc_safetensors_meta(st, key)) abort();
        sc_safetensors_free(st);
        (void)sum;
    }
    sc_buffer_unref(bytes);
    return 0;
}
