/* SPDX-License-Identifier: Apache-2.0 */
/* Qwen3 (arXiv:2505.09388): LLaMA's shape with an RMS norm on each head of queries and keys before the rotation. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    d->attn.d = 128; /* its own default, whatever the width */
    sc_decoder_configure(c, d);
    sc_decoder_late_windows(c, d);
    d->attn.head_norm = SC_QK_NORM_HEAD;
    d->attn.qkv_bias = d->attn.out_bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
}

const sc_family sc_family_qwen3 = {.name = "qwen3",
                                   .model_types = (const char *const[]){"qwen3", NULL},
                                   .prefix = "model",
                                   .config_size = sizeof(sc_decoder),
                                   .configure = configure,
                                   .build = sc_decoder_build,
                                   .describe = sc_decoder_describe};
