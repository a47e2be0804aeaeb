/* SPDX-License-Identifier: Apache-2.0 */
/* Mixtral (arXiv:2401.04088): Mistral with a mixture of experts in every layer. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_moe_decoder *m = config;
    sc_decoder_configure(c, &m->decoder);
    m->name = "block_sparse_moe";
    m->moe = (sc_moe_config){.width = m->decoder.ffn_width, .gate = "w1", .up = "w3", .down = "w2"};
    m->moe.routing = (sc_routing){.used = 2, .score = SC_SCORE_SOFTMAX, .normalise = true};
    m->balanced = true;
    sc_moe_decoder_configure(c, m);
}

const sc_family sc_family_mixtral = {.name = "mixtral",
                                     .model_types = (const char *const[]){"mixtral", NULL},
                                     .prefix = "model",
                                     .config_size = sizeof(sc_moe_decoder),
                                     .configure = configure,
                                     .adapt = sc_moe_adapt,
                                     .build = sc_decoder_build,
                                     .describe = sc_moe_decoder_describe};
