/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as the configuration of a data pipeline: it is understood or refused. Nothing is opened. */
#include "data/run.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    sc_config c;
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = 0;
    if (sc_config_read(&c, &(sc_data_options){.settings = text}) == SC_OK) {
        for (int i = 0; i < c.n_steps; i++)
            if (!c.step[i].stage || !c.step[i].json) abort();
        for (int i = 0; i < c.n_sources; i++)
            if (!c.source[i].name) abort();
        sc_config_free(&c);
    }
    free(text);
    return 0;
}
