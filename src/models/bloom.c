/* SPDX-License-Identifier: Apache-2.0 */
/* BLOOM (arXiv:2211.05100): scores that fall with the distance (ALiBi), a norm on the embeddings, queries, keys and values in one
 * matrix, head by head. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->ffn_width = 4 * sc_config_int(c, "hidden_size|n_embd|n_embed", SC_REQUIRED, 1, 1 << 20);
    d->eps = 1e-5f;
    d->tied = true;
    d->act_default = "gelu_new";
    d->position = SC_POSITION_ALIBI;
    sc_decoder_configure(c, d);
    d->padding = -1;
    d->window = 0;
    d->norm = SC_NORM_LAYER;
    d->residual_normed = sc_config_bool(c, "apply_residual_connection_post_layernorm", false);
    d->attn.alibi = true;
    d->attn.qkv = sc_config_bool(c, "qkv_joined", false) ? SC_QKV_JOINED : SC_QKV_PER_HEAD; /* as GGUF has them */
    d->attn.qkv_bias = d->attn.out_bias = d->mlp_bias = SC_BIAS;
    d->names.model = "transformer";
    d->names.embed = "word_embeddings";
    d->names.embed_norm = "word_embeddings_layernorm";
    d->names.layer = "h";
    d->names.attn = "self_attention";
    d->names.norm = "ln_f";
    d->names.in_attn = (sc_attention_names){.qkv = "query_key_value", .o = "dense"};
    d->names.in_ffn = (sc_ffn_names){.up = "dense_h_to_4h", .down = "dense_4h_to_h"};
}

const sc_family sc_family_bloom = {.name = "bloom",
                                   .model_types = (const char *const[]){"bloom", NULL},
                                   .prefix = "transformer",
                                   .config_size = sizeof(sc_decoder),
                                   .configure = configure,
                                   .build = sc_decoder_build,
                                   .describe = sc_decoder_describe};
