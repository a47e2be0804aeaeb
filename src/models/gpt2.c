/* SPDX-License-Identifier: Apache-2.0 */
/* GPT-2 (Radford et al. 2019): learned positions, layer norms, matrices stored (in, out). */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->ffn_width = 4 * sc_config_int(c, "hidden_size|n_embd|n_embed", SC_REQUIRED, 1, 1 << 20);
    d->context = 1024;
    d->eps = 1e-5f;
    d->tied = true;
    d->act_default = "gelu_new";
    d->position = SC_POSITION_LEARNED;
    sc_decoder_configure(c, d);
    d->padding = -1;
    d->window = 0;
    d->norm = SC_NORM_LAYER;
    d->attn.qkv = SC_QKV_JOINED;
    d->attn.qkv_bias = d->attn.out_bias = d->mlp_bias = SC_BIAS | SC_IN_OUT;
    if (!sc_config_bool(c, "scale_attn_weights", true)) d->attn.scale = 1;
    d->scale_by_layer = sc_config_bool(c, "scale_attn_by_inverse_layer_idx", false);
    d->names = (sc_decoder_names){.model = "transformer",
                                  .embed = "wte",
                                  .positions = "wpe",
                                  .layer = "h",
                                  .attn_norm = "ln_1",
                                  .attn = "attn",
                                  .ffn_norm = "ln_2",
                                  .ffn = "mlp",
                                  .norm = "ln_f",
                                  .head = "lm_head",
                                  .in_attn = {.qkv = "c_attn", .o = "c_proj"},
                                  .in_ffn = {.up = "c_fc", .down = "c_proj"}};
}

const sc_family sc_family_gpt2 = {.name = "gpt2",
                                  .model_types = (const char *const[]){"gpt2", NULL},
                                  .prefix = "transformer",
                                  .config_size = sizeof(sc_decoder),
                                  .configure = configure,
                                  .build = sc_decoder_build,
                                  .describe = sc_decoder_describe};
