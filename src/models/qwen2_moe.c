/* SPDX-License-Identifier: Apache-2.0 */
/* Qwen1.5-MoE and Qwen2-MoE (arXiv:2407.10671): Qwen2 with mixtures of small experts, and a shared one whose weight is a
 * gate of its own. */
#include "models/models.h"

/* Windows, where they are on, in every other layer of the first max_window_layers, if layer_types does not say. */
static void windows(sc_config *c, sc_decoder *d)
{
    int64_t last = sc_config_int(c, "max_window_layers", 28, 0, 1 << 20);
    bool *sliding = sc_arena_alloc(c->arena, (size_t)d->layers);
    const json_t *types = json_object_get(c->json, "layer_types");
    if (!json_object_get(c->json, "sliding_window")) d->window = 4096;
    if (!sc_config_bool(c, "use_sliding_window", false)) d->window = 0;
    if (!sliding) c->status = sc_nomem();
    if (!sliding || (types && !json_is_null(types))) return;
    for (int64_t i = 0; i < d->layers; i++) sliding[i] = i % 2 == 0 && i < last;
    d->sliding = sliding;
}

static void configure(sc_config *c, void *config)
{
    sc_moe_decoder *m = config;
    sc_decoder_configure(c, &m->decoder);
    windows(c, &m->decoder);
    m->decoder.attn.qkv_bias = sc_config_bool(c, "qkv_bias", true) ? SC_BIAS : 0;
    m->moe = (sc_moe_config){.shared = "shared_expert", .shared_gate = "shared_expert_gate"};
    m->moe.shared_width = sc_config_int(c, "shared_expert_intermediate_size", 5632, 1, 4 << 20);
    m->moe.routing = (sc_routing){.used = 4, .score = SC_SCORE_SOFTMAX};
    m->balanced = true;
    sc_moe_decoder_configure(c, m);
}

const sc_family sc_family_qwen2_moe = {.name = "qwen2_moe",
                                       .model_types = (const char *const[]){"qwen2_moe", NULL},
                                       .prefix = "model",
                                       .config_size = sizeof(sc_moe_decoder),
                                       .configure = configure,
                                       .adapt = sc_moe_adapt,
                                       .build = sc_decoder_build,
                                       .describe = sc_moe_decoder_describe};
