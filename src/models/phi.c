/* SPDX-License-Identifier: Apache-2.0 */
/* Phi-1, 1.5 and 2 (Li et al. 2023, arXiv:2309.05463): one layer norm before attention and feed-forward, which run side by side;
 * biases everywhere. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->eps = 1e-5f;
    d->act_default = "gelu_new";
    d->rotary_share = 0.5;
    sc_decoder_configure(c, d);
    d->window = 0;
    d->norm = SC_NORM_LAYER;
    d->parallel = true;
    d->attn.qkv_bias = d->attn.out_bias = d->mlp_bias = d->head_bias = SC_BIAS;
    if (sc_config_bool(c, "qk_layernorm", false)) d->attn.head_norm = SC_QK_NORM_HEAD;
    d->attn.head_norm_kind = SC_NORM_LAYER;
    d->names.ffn_norm = NULL;
    d->names.norm = "final_layernorm";
    d->names.in_attn.o = "dense";
    d->names.in_attn.q_norm = "q_layernorm";
    d->names.in_attn.k_norm = "k_layernorm";
    d->names.in_ffn = (sc_ffn_names){.up = "fc1", .down = "fc2"};
}

const sc_family sc_family_phi = {.name = "phi",
                                 .model_types = (const char *const[]){"phi", NULL},
                                 .prefix = "model",
                                 .config_size = sizeof(sc_decoder),
                                 .configure = configure,
                                 .build = sc_decoder_build,
                                 .describe = sc_decoder_describe};
