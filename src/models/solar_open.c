/* SPDX-License-Identifier: Apache-2.0 */
/* Solar Open: LLaMA's attention, and mixtures routed as DeepSeek-V3's in every layer. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_moe_decoder *m = config;
    sc_decoder *d = &m->decoder;
    d->eps = 1e-5f;
    d->attn.d = 128;
    d->rope.theta = 1e6;
    d->ffn_width = 1; /* no layer has a feed-forward without experts */
    sc_decoder_configure(c, d);
    d->attn.qkv_bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
    m->moe = (sc_moe_config){.experts = 128, .width = 1280, .correction = "gate.e_score_correction_bias"};
    m->moe.routing = (sc_routing){.used = 8, .score = SC_SCORE_SIGMOID, .normalise = true, .group_best = 2};
    m->shared = 1;
    sc_moe_decoder_configure(c, m);
}

const sc_family sc_family_solar_open = {.name = "solar_open",
                                        .model_types = (const char *const[]){"solar_open", NULL},
                                        .prefix = "model",
                                        .config_size = sizeof(sc_moe_decoder),
                                        .configure = configure,
                                        .adapt = sc_moe_adapt,
                                        .build = sc_decoder_build,
                                        .describe = sc_moe_decoder_describe};
