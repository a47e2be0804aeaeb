/* SPDX-License-Identifier: Apache-2.0 */
/* StarCoder2 (Lozhkov et al. 2024, arXiv:2402.19173): layer norms, biases, a feed-forward without gates, a window. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->eps = 1e-5f;
    d->tied = true;
    d->act_default = "gelu_pytorch_tanh";
    sc_decoder_configure(c, d);
    d->norm = SC_NORM_LAYER;
    d->attn.qkv_bias = d->attn.out_bias = d->mlp_bias = sc_config_bool(c, "use_bias", true) ? SC_BIAS : 0;
    d->names.in_ffn = (sc_ffn_names){.up = "c_fc", .down = "c_proj"};
}

const sc_family sc_family_starcoder2 = {.name = "starcoder2",
                                        .model_types = (const char *const[]){"starcoder2", NULL},
                                        .prefix = "model",
                                        .config_size = sizeof(sc_decoder),
                                        .configure = configure,
                                        .build = sc_decoder_build,
                                        .describe = sc_decoder_describe};
