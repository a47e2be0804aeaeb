/* SPDX-License-Identifier: Apache-2.0 */
/* Any JSON as a config.json: what a family takes is built once, which asks for every parameter. */
#include "models/models.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sc_model m = {.info = {.path = "input", .format = "safetensors"}};
    if (!(m.arena = m.weights.arena = sc_arena_new())) return 0;
    if (sc_json_parse(&m.json, (const char *)data, (int64_t)size, "input") == SC_OK && json_is_object(m.json) &&
        sc_model_configure(&m) == SC_OK && m.info.layers <= 16)
        sc_model_declare(&m);
    json_decref(m.json);
    sc_free(m.param);
    sc_arena_free(m.arena);
    return 0;
}
