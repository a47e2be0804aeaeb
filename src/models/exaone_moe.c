/* SPDX-License-Identifier: Apache-2.0 */
/* EXAONE MoE (K-EXAONE): EXAONE 4's attention in a block with norms in front, and mixtures routed as DeepSeek-V3's. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_moe_decoder *m = config;
    sc_decoder *d = &m->decoder;
    d->eps = 1e-5f;
    if (!json_object_get(c->json, "sliding_window")) d->window = 4096; /* null says none */
    sc_decoder_configure(c, d);
    sc_decoder_window_pattern(c, d, 4);
    if (d->window) d->rotated = d->sliding;
    d->attn.head_norm = SC_QK_NORM_HEAD;
    m->moe = (sc_moe_config){.experts = 64, .width = 1024, .correction = "e_score_correction_bias"};
    m->moe.routing =
        (sc_routing){.used = 8, .score = SC_SCORE_SIGMOID, .normalise = true, .scale = 2.5f, .group_best = 2};
    m->first_sparse = 1;
    m->shared = 1;
    sc_moe_decoder_configure(c, m);
}

const sc_family sc_family_exaone_moe = {.name = "exaone_moe",
                                        .model_types = (const char *const[]){"exaone_moe", NULL},
                                        .prefix = "model",
                                        .config_size = sizeof(sc_moe_decoder),
                                        .configure = configure,
                                        .adapt = sc_moe_adapt,
                                        .build = sc_decoder_build,
                                        .describe = sc_moe_decoder_describe};
