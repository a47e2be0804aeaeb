/* SPDX-License-Identifier: Apache-2.0 */
/* GPT-J (Wang and Komatsuzaki 2021): one layer norm before attention and feed-forward, which run side by side; the first
 * features of a head rotated, neighbours with each other. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->ffn_width = 4 * sc_config_int(c, "hidden_size|n_embd|n_embed", SC_REQUIRED, 1, 1 << 20);
    d->eps = 1e-5f;
    d->act_default = "gelu_new";
    d->attn.neighbours = true;
    sc_decoder_configure(c, d);
    d->padding = -1;
    d->rope.dim = sc_config_int(c, "rotary_dim", d->rope.dim, 2, d->attn.d);
    if (d->rope.dim % 2) sc_config_fault(c, "rotary_dim %lld is odd", (long long)d->rope.dim);
    d->window = 0;
    d->norm = SC_NORM_LAYER;
    d->parallel = true;
    d->mlp_bias = SC_BIAS;
    d->head_bias = SC_BIAS;
    d->names = (sc_decoder_names){.model = "transformer",
                                  .embed = "wte",
                                  .layer = "h",
                                  .attn_norm = "ln_1",
                                  .attn = "attn",
                                  .ffn = "mlp",
                                  .norm = "ln_f",
                                  .head = "lm_head",
                                  .in_attn = {.q = "q_proj", .k = "k_proj", .v = "v_proj", .o = "out_proj"},
                                  .in_ffn = {.up = "fc_in", .down = "fc_out"}};
}

const sc_family sc_family_gptj = {.name = "gptj",
                                  .model_types = (const char *const[]){"gptj", NULL},
                                  .prefix = "transformer",
                                  .config_size = sizeof(sc_decoder),
                                  .configure = configure,
                                  .build = sc_decoder_build,
                                  .describe = sc_decoder_describe};
