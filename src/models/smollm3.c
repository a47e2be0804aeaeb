/* SPDX-License-Identifier: Apache-2.0 */
/* SmolLM3 (Hugging Face 2025): LLaMA's shape without a rotation in each fourth layer (NoPE). */
#include "models/models.h"

/* Which layers have a rotation: no_rope_layers, in spite of its name 1 for those, else all but each n-th. */
static const bool *rotated_layers(sc_config *c, int64_t layers)
{
    const json_t *list = json_object_get(c->json, "no_rope_layers");
    int64_t n = sc_config_int(c, "no_rope_layer_interval", 4, 1, 1 << 20);
    bool given = json_is_array(list), *rotated = sc_arena_alloc(c->arena, (size_t)layers);
    if (!rotated) {
        c->status = sc_nomem();
        return NULL;
    }
    if (given && (int64_t)json_array_size(list) < layers)
        sc_config_fault(c, "no_rope_layers is shorter than %lld layers", (long long)layers);
    for (int64_t i = 0; i < layers; i++)
        rotated[i] = given ? json_integer_value(json_array_get(list, (size_t)i)) != 0 : (i + 1) % n != 0;
    return rotated;
}

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->attn.kv_heads = sc_config_has(c, "num_key_value_heads") ? 0 : 4;
    d->tied = true;
    d->rope.theta = 2e6;
    sc_decoder_configure(c, d);
    d->rotated = rotated_layers(c, d->layers);
    if (!sc_config_bool(c, "use_sliding_window", false)) d->window = 0;
    /* Without layer_types windows are where rotations are not. */
    if (d->window && !sc_config_has(c, "layer_types")) {
        bool *sliding = sc_arena_alloc(c->arena, (size_t)d->layers);
        if (!sliding) c->status = sc_nomem();
        for (int64_t i = 0; sliding && d->rotated && i < d->layers; i++) sliding[i] = !d->rotated[i];
        d->sliding = sliding;
    }
    d->attn.qkv_bias = d->attn.out_bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
    d->mlp_bias = sc_config_bool(c, "mlp_bias", false) ? SC_BIAS : 0;
}

const sc_family sc_family_smollm3 = {.name = "smollm3",
                                     .model_types = (const char *const[]){"smollm3", NULL},
                                     .prefix = "model",
                                     .config_size = sizeof(sc_decoder),
                                     .configure = configure,
                                     .build = sc_decoder_build,
                                     .describe = sc_decoder_describe};
