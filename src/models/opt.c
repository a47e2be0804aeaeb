/* SPDX-License-Identifier: Apache-2.0 */
/* OPT (Zhang et al. 2022, arXiv:2205.01068): learned positions behind two unused rows; the 350M model norms after the sums and
 * has narrower tokens. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->eps = 1e-5f;
    d->tied = true;
    d->act_default = "relu";
    d->position = SC_POSITION_LEARNED;
    sc_decoder_configure(c, d);
    bool before = sc_config_bool(c, "do_layer_norm_before", true);
    d->window = 0;
    d->position_skip = 2;
    d->norm = sc_config_bool(c, "layer_norm_elementwise_affine", true) ? SC_NORM_LAYER : SC_NORM_LAYER_PLAIN;
    d->norm_sum = !before;
    d->attn.qkv_bias = d->attn.out_bias = d->mlp_bias = sc_config_bool(c, "enable_bias", true) ? SC_BIAS : 0;
    d->names.model = "model.decoder";
    d->names.positions = "embed_positions";
    d->names.attn_norm = before ? "self_attn_layer_norm" : NULL;
    d->names.attn_after = before ? NULL : "self_attn_layer_norm";
    d->names.ffn_norm = before ? "final_layer_norm" : NULL;
    d->names.ffn_after = before ? NULL : "final_layer_norm";
    d->names.norm = before && !sc_config_bool(c, "_remove_final_layer_norm", false) ? "final_layer_norm" : NULL;
    d->names.ffn = NULL;
    d->names.in_attn.o = "out_proj";
    d->names.in_ffn = (sc_ffn_names){.up = "fc1", .down = "fc2"};
    d->embed_width = sc_config_int(c, "word_embed_proj_dim", d->width, 1, 1 << 20);
    if (d->embed_width == d->width) return;
    d->names.embed_in = "project_in";
    d->names.embed_out = "project_out";
}

const sc_family sc_family_opt = {.name = "opt",
                                 .model_types = (const char *const[]){"opt", NULL},
                                 .prefix = "model",
                                 .config_size = sizeof(sc_decoder),
                                 .configure = configure,
                                 .build = sc_decoder_build,
                                 .describe = sc_decoder_describe};
