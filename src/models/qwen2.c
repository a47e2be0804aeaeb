/* SPDX-License-Identifier: Apache-2.0 */
/* Qwen2 and 2.5 (arXiv:2407.10671): LLaMA's shape with biases on queries, keys and values. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    sc_decoder_configure(c, d);
    sc_decoder_late_windows(c, d);
    d->attn.qkv_bias = SC_BIAS;
}

const sc_family sc_family_qwen2 = {.name = "qwen2",
                                   .model_types = (const char *const[]){"qwen2", NULL},
                                   .prefix = "model",
                                   .config_size = sizeof(sc_decoder),
                                   .configure = configure,
                                   .build = sc_decoder_build,
                                   .describe = sc_decoder_describe};
