/* SPDX-License-Identifier: Apache-2.0 */
/* Qwen3-MoE (arXiv:2505.09388): Qwen3 with mixtures of small experts. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_moe_decoder *m = config;
    sc_decoder *d = &m->decoder;
    d->attn.d = 128; /* its own default, whatever the width */
    sc_decoder_configure(c, d);
    if (!json_object_get(c->json, "sliding_window")) d->window = 4096; /* null says none */
    if (!sc_config_bool(c, "use_sliding_window", false)) d->window = 0;
    d->attn.head_norm = SC_QK_NORM_HEAD;
    d->attn.qkv_bias = d->attn.out_bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
    m->moe.routing = (sc_routing){.used = 8, .score = SC_SCORE_SOFTMAX};
    m->balanced = true;
    sc_moe_decoder_configure(c, m);
}

const sc_family sc_family_qwen3_moe = {.name = "qwen3_moe",
                                       .model_types = (const char *const[]){"qwen3_moe", NULL},
                                       .prefix = "model",
                                       .config_size = sizeof(sc_moe_decoder),
                                       .configure = configure,
                                       .adapt = sc_moe_adapt,
                                       .build = sc_decoder_build,
                                       .describe = sc_moe_decoder_describe};
