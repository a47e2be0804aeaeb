/* SPDX-License-Identifier: Apache-2.0 */
/* LLaMA 1 to 3 (Touvron et al. 2023, arXiv:2302.13971; Llama 3, arXiv:2407.21783), the many models of its shape, and
 * Mistral (Jiang et al. 2023, arXiv:2310.06825), which differs by its sliding window alone. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    bool mistral = strcmp(sc_config_str(c, "model_type", ""), "mistral") == 0;
    if (mistral && !json_object_get(c->json, "sliding_window")) d->window = 4096; /* null says none */
    sc_decoder_configure(c, d);
    if (!mistral) d->window = 0; /* not a key of LLaMA's */
    d->attn.qkv_bias = d->attn.out_bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
    d->mlp_bias = sc_config_bool(c, "mlp_bias", false) ? SC_BIAS : 0;
}

const sc_family sc_family_llama = {.name = "llama",
                                   .model_types = (const char *const[]){"llama", "mistral", NULL},
                                   .prefix = "model",
                                   .config_size = sizeof(sc_decoder),
                                   .configure = configure,
                                   .build = sc_decoder_build,
                                   .describe = sc_decoder_describe};
