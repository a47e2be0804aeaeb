/* SPDX-License-Identifier: Apache-2.0 */
/* An answer of a model that was asked for data: as a numbered list, as labelled parts, and whether it is new. */
#include "synth/synth.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const labels[] = {"Input", "Output", "Class label"};
    sc_arena *a = sc_arena_new();
    sc_novelty *v = NULL;
    char *text = a ? sc_arena_strndup(a, size ? (const char *)data : "", size) : NULL;
    const char **item;
    sc_labelled *part;
    int n;
    double rouge = 0;
    int64_t at = -1;
    if (!text) {
        sc_arena_free(a);
        return 0;
    }
    for (int first = 1; first < 10; first += 8)
        if (sc_synth_items(a, text, first, &item, &n) == SC_OK)
            for (int i = 0; i < n; i++)
                if (!*item[i]) abort();
    if (sc_synth_labelled(a, text, labels, SC_COUNT(labels), &part, &n) == SC_OK)
        for (int i = 0; i < n; i++)
            if (part[i].label < -1 || part[i].label >= SC_COUNT(labels) || (i && part[i].label < 0)) abort();
    sc_synth_paragraph(a, text, labels, SC_COUNT(labels));
    sc_synth_repeats(text);
    sc_synth_refuses(text);
    if (sc_novelty_new(&v) == SC_OK && sc_novelty_add(v, text) == SC_OK &&
        sc_novelty_nearest(v, text, &rouge, &at) == SC_OK && at >= 0 && rouge != 1)
        abort();
    sc_novelty_free(v);
    sc_arena_free(a);
    return 0;
}
