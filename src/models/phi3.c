/* SPDX-License-Identifier: Apache-2.0 */
/* Phi-3 and 4 (arXiv:2404.14219): LLaMA's shape with queries, keys and values in one matrix, and gates and what they gate
 * in another; LongRoPE. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->eps = 1e-5f;
    sc_decoder_configure(c, d);
    d->attn.qkv = SC_QKV_JOINED;
    d->names.in_ffn = (sc_ffn_names){.gate_up = "gate_up_proj", .down = "down_proj"};
}

const sc_family sc_family_phi3 = {.name = "phi3",
                                  .model_types = (const char *const[]){"phi3", NULL},
                                  .prefix = "model",
                                  .config_size = sizeof(sc_decoder),
                                  .configure = configure,
                                  .build = sc_decoder_build,
                                  .describe = sc_decoder_describe};
