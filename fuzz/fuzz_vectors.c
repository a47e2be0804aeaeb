/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a file of word vectors, of whichever format they claim: every word that is listed has a vector. */
#include "vectors/vectors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_free(sc_buffer *b) { (void)b; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sc_buffer *bytes;
    sc_vectors *v;
    if (sc_buffer_wrap(&bytes, (void *)(uintptr_t)data, (int64_t)size, no_free, NULL)) return 0;
    for (int64_t limit = 0; limit < 3; limit += 2) {
        if (sc_vectors_open_buffer(&v, bytes, "input", limit) != SC_OK) continue;
        int64_t width = sc_vectors_width(v), n = sc_vectors_count(v), len;
        if (limit && n > limit) abort();
        float *x = malloc((size_t)width * sizeof *x);
        for (int64_t i = 0; x && i < SC_MIN(n, 1000); i++) {
            const char *word = sc_vectors_word(v, i, &len);
            if (!word || sc_vectors_find(v, word, len) < 0 || sc_vectors_get(v, word, len, x)) abort();
        }
        if (x && !sc_vectors_get(v, "<\xC3\xA9>", 4, x) && sc_vectors_find(v, "<\xC3\xA9>", 4) < 0 &&
            strcmp(sc_vectors_kind(v), "fastText") != 0)
            abort();
        free(x);
        sc_vectors_free(v);
    }
    sc_buffer_unref(bytes);
    return 0;
}
