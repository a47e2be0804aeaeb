/* SPDX-License-Identifier: Apache-2.0 */
/* "block_sparse" of a configuration: a pattern of blocks for attention, for any decoder or encoder that asks for it here.
 *
 *     "block_sparse": {
 *       "block_size": 64,        tokens; required
 *       "pattern": "local",      or "strided", "fixed" (Sparse Transformer)
 *       "window_blocks": 3,      the query's own and its neighbours; odd where both sides are seen
 *       "global_blocks": 1,      at the beginning, seen by all and seeing all
 *       "global_last_blocks": 0, the same at the end, where both sides are seen
 *       "random_blocks": 0, "seed": 0,
 *       "stride": 8, "summary_blocks": 1   blocks, of the two regular patterns
 *     },
 *     "layer_types": ["block_sparse", "full_attention", ...]     absent: all layers have it */
#include "models/models.h"

static const bool *layers_with_blocks(sc_config *c, int64_t layers)
{
    const json_t *types = json_object_get(c->json, "layer_types");
    bool *sparse = sc_arena_alloc(c->arena, (size_t)layers), given = json_is_array(types);
    if (!sparse) c->status = sc_nomem();
    for (int64_t i = 0; sparse && i < layers; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        sparse[i] = !given || (type && strcmp(type, "block_sparse") == 0);
    }
    return sparse;
}

const bool *sc_config_blocks(sc_config *c, int64_t layers, bool causal, sc_block_pattern *out)
{
    static const char *const kinds[] = {"local", "strided", "fixed"};
    const int64_t many = 1 << 20;
    const json_t *o = json_object_get(c->json, "block_sparse");
    const json_t *types = json_object_get(c->json, "layer_types");
    c->blocks = true;
    if (!o || json_is_null(o)) {
        for (size_t i = 0; i < json_array_size(types); i++) {
            const char *type = json_string_value(json_array_get(types, i));
            if (type && strcmp(type, "block_sparse") == 0)
                sc_config_fault(c, "layer_types[%zu] is 'block_sparse', but block_sparse is missing", i);
        }
        return NULL;
    }
    if (!json_is_object(o)) sc_config_fault(c, "block_sparse is not an object");
    sc_config b = {.json = o, .what = c->what, .arena = c->arena, .status = c->status};
    const char *kind = sc_config_str(&b, "pattern", "local");
    int64_t window = sc_config_int(&b, "window_blocks", 3, 1, many);
    *out = (sc_block_pattern){.size = sc_config_int(&b, "block_size", SC_REQUIRED, 1, many),
                              .near = causal ? window - 1 : window / 2,
                              .first = sc_config_int(&b, "global_blocks", 1, 0, many),
                              .last = sc_config_int(&b, "global_last_blocks", 0, 0, many),
                              .random = sc_config_int(&b, "random_blocks", 0, 0, 1024),
                              .seed = (uint64_t)sc_config_int(&b, "seed", 0, 0, INT64_MAX),
                              .stride = sc_config_int(&b, "stride", 8, 1, many),
                              .summary = sc_config_int(&b, "summary_blocks", 1, 0, many)};
    int k = 0;
    while (k < SC_COUNT(kinds) && strcmp(kinds[k], kind) != 0) k++;
    if (k == SC_COUNT(kinds))
        sc_config_fault(&b, "block_sparse: pattern '%s' is not local, strided or fixed", kind);
    out->kind = k < SC_COUNT(kinds) ? k : 0;
    if (!causal && window % 2 == 0)
        sc_config_fault(&b, "block_sparse: window_blocks %lld is even, so it has no middle", (long long)window);
    if (causal && out->last) sc_config_fault(&b, "block_sparse: a causal model has no global_last_blocks");
    if (out->summary > out->stride)
        sc_config_fault(&b, "block_sparse: summary_blocks %lld is more than stride %lld", (long long)out->summary,
                        (long long)out->stride);
    c->status = b.status;
    return layers_with_blocks(c, layers);
}
