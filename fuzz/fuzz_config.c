/* SPDX-License-Identifier: Apache-2.0 */
/* Any JSON as a config.json: what a family takes is built once, which asks for every parameter. */
#include "models/models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sc_model *m = sc_calloc(1, sizeof *m);
    if (!m) return 0;
    m->info = (sc_model_info){.path = "input", .format = "safetensors"};
    if ((m->arena = m->weights.arena = sc_arena_new()) &&
        sc_json_parse(&m->json, (const char *)data, (int64_t)size, "input") == SC_OK && json_is_object(m->json) &&
        sc_model_configure(m) == SC_OK && m->info.layers <= 16)
        sc_model_declare(m);
    sc_model_free(m);
    return 0;
}
