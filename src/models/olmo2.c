/* SPDX-License-Identifier: Apache-2.0 */
/* OLMo 2 (arXiv:2501.00656): only the results of attention and feed-forward are normed; queries and keys across all heads. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->eps = 1e-5f;
    sc_decoder_configure(c, d);
    d->window = 0;
    d->attn.qkv_bias = d->attn.out_bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
    d->attn.head_norm = SC_QK_NORM_ALL;
    d->names.attn_norm = d->names.ffn_norm = NULL;
    d->names.attn_after = "post_attention_layernorm";
    d->names.ffn_after = "post_feedforward_layernorm";
}

const sc_family sc_family_olmo2 = {.name = "olmo2",
                                   .model_types = (const char *const[]){"olmo2", NULL},
                                   .prefix = "model",
                                   .config_size = sizeof(sc_decoder),
                                   .configure = configure,
                                   .build = sc_decoder_build,
                                   .describe = sc_decoder_describe};
