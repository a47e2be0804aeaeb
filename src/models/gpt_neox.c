/* SPDX-License-Identifier: Apache-2.0 */
/* GPT-NeoX and Pythia (Black et al. 2022, arXiv:2204.06745): attention and feed-forward side by side, each after its own
 * layer norm; queries, keys and values in one matrix, head by head. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->eps = 1e-5f;
    d->act_default = "gelu";
    d->rotary_share = 0.25;
    sc_decoder_configure(c, d);
    d->padding = -1;
    d->window = 0;
    d->norm = SC_NORM_LAYER;
    d->parallel = sc_config_bool(c, "use_parallel_residual", true);
    d->attn.qkv = sc_config_bool(c, "qkv_joined", false) ? SC_QKV_JOINED : SC_QKV_PER_HEAD; /* as GGUF has them */
    d->attn.qkv_bias = d->attn.out_bias = sc_config_bool(c, "attention_bias", true) ? SC_BIAS : 0;
    d->mlp_bias = SC_BIAS;
    d->names.model = "gpt_neox";
    d->names.embed = "embed_in";
    d->names.attn = "attention";
    d->names.norm = "final_layer_norm";
    d->names.head = "embed_out";
    d->names.in_attn = (sc_attention_names){.qkv = "query_key_value", .o = "dense"};
    d->names.in_ffn = (sc_ffn_names){.up = "dense_h_to_4h", .down = "dense_4h_to_h"};
}

const sc_family sc_family_gpt_neox = {.name = "gpt_neox",
                                      .model_types = (const char *const[]){"gpt_neox", NULL},
                                      .prefix = "gpt_neox",
                                      .config_size = sizeof(sc_decoder),
                                      .configure = configure,
                                      .build = sc_decoder_build,
                                      .describe = sc_decoder_describe};
