/* SPDX-License-Identifier: Apache-2.0 */
/* HyperCLOVA X SEED (NAVER 2025): LLaMA's shape with the factors of muP and, optionally, norms after attention and
 * feed-forward too. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    sc_decoder_configure(c, d);
    d->window = 0;
    d->attn.scale = (float)sc_config_num(c, "attention_multiplier", 0, 1e-9, 1e6);
    d->embed_scale = (float)sc_config_num(c, "embedding_multiplier", 1, -1e6, 1e6);
    d->residual_scale = (float)sc_config_num(c, "residual_multiplier", 1, -1e6, 1e6);
    d->logit_scale = (float)sc_config_num(c, "logits_scaling", 1, -1e6, 1e6);
    d->attn.qkv_bias = d->attn.out_bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
    d->mlp_bias = sc_config_bool(c, "mlp_bias", false) ? SC_BIAS : 0;
    if (!sc_config_bool(c, "use_post_norm", true)) return;
    d->names.attn_after = "post_norm1";
    d->names.ffn_after = "post_norm2";
}

const sc_family sc_family_hyperclovax = {.name = "hyperclovax",
                                         .model_types = (const char *const[]){"hyperclovax", NULL},
                                         .prefix = "model",
                                         .config_size = sizeof(sc_decoder),
                                         .configure = configure,
                                         .build = sc_decoder_build,
                                         .describe = sc_decoder_describe};
