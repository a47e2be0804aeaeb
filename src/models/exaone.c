/* SPDX-License-Identifier: Apache-2.0 */
/* EXAONE 3.x (LG AI Research 2024, arXiv:2408.03541): LLaMA's arithmetic under GPT-2's names. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->eps = 1e-5f;
    sc_decoder_configure(c, d);
    d->window = 0;
    d->names = (sc_decoder_names){.model = "transformer",
                                  .embed = "wte",
                                  .layer = "h",
                                  .attn_norm = "ln_1",
                                  .attn = "attn.attention",
                                  .ffn_norm = "ln_2",
                                  .ffn = "mlp",
                                  .norm = "ln_f",
                                  .head = "lm_head",
                                  .in_attn = {.q = "q_proj", .k = "k_proj", .v = "v_proj", .o = "out_proj"},
                                  .in_ffn = {.gate = "c_fc_0", .up = "c_fc_1", .down = "c_proj"}};
}

const sc_family sc_family_exaone = {.name = "exaone",
                                    .model_types = (const char *const[]){"exaone", NULL},
                                    .prefix = "transformer",
                                    .config_size = sizeof(sc_decoder),
                                    .configure = configure,
                                    .build = sc_decoder_build,
                                    .describe = sc_decoder_describe};
