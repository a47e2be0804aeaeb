/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a fastText classifier, dense or quantised: what opens, answers. */
#include "vectors/fasttext.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_free(sc_buffer *b) { (void)b; }

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sc_buffer *bytes;
    sc_classifier *c = NULL;
    sc_classifier_reader *r = NULL;
    sc_class best[5];
    int64_t n, len;
    if (sc_buffer_wrap(&bytes, (void *)(uintptr_t)data, (int64_t)size, no_free, NULL)) return 0;
    if (!sc_classifier_open_buffer(&c, bytes, "input") && !sc_classifier_reader_new(&r, c)) {
        if (sc_classifier_predict(r, "a cat \xC3\xA9\n</s> __label__x", 25, 5, 0, best, &n)) abort();
        for (int64_t i = 0; i < n; i++)
            if (!sc_classifier_label(c, best[i].label, &len)) abort();
    }
    sc_classifier_reader_free(r);
    sc_classifier_free(c);
    sc_buffer_unref(bytes);
    return 0;
}
