/* SPDX-License-Identifier: Apache-2.0 */
/* GLM-4 as transformers has it (arXiv:2406.12793) and GLM-4-0414, which norms the results of attention and feed-forward too:
 * half of each head rotated, neighbours with each other; gates and what they gate in one matrix. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->attn.d = 128;
    d->eps = 1.5625e-7f;
    d->rotary_share = 0.5;
    d->attn.neighbours = true;
    sc_decoder_configure(c, d);
    d->window = 0;
    d->attn.qkv_bias = sc_config_bool(c, "attention_bias", true) ? SC_BIAS : 0;
    d->names.in_ffn = (sc_ffn_names){.gate_up = "gate_up_proj", .down = "down_proj"};
    if (strcmp(sc_config_str(c, "model_type", ""), "glm4") != 0) return;
    d->names.attn_after = "post_self_attn_layernorm";
    d->names.ffn_after = "post_mlp_layernorm";
}

const sc_family sc_family_glm = {.name = "glm",
                                 .model_types = (const char *const[]){"glm", "glm4", NULL},
                                 .prefix = "model",
                                 .config_size = sizeof(sc_decoder),
                                 .configure = configure,
                                 .build = sc_decoder_build,
                                 .describe = sc_decoder_describe};
