/* SPDX-License-Identifier: Apache-2.0 */
/* Gemma 2 (arXiv:2408.00118) and 3 (arXiv:2503.19786): norms before and after attention and feed-forward, with weights around
 * zero; scaled embeddings; windows in some layers. Gemma 2 caps scores and logits; Gemma 3 norms heads and has its own
 * rotation in layers with a window. */
#include "models/models.h"

#include <math.h>

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    bool third = strcmp(sc_config_str(c, "model_type", ""), "gemma3_text") == 0;
    d->attn.heads = 8;
    d->attn.kv_heads = 4;
    d->attn.d = 256;
    d->tied = true;
    d->act_default = "gelu_pytorch_tanh";
    if (third) d->rope.theta = 1e6;
    if (third) d->vocab = 262208;
    if (!json_object_get(c->json, "sliding_window")) d->window = 4096; /* null says none */
    sc_decoder_configure(c, d);
    sc_decoder_window_pattern(c, d, third ? 6 : 2);
    if (sc_config_bool(c, "use_bidirectional_attention", false))
        sc_config_fault(c, "use_bidirectional_attention is not supported: this model would not be a causal one");
    /* GGUF has them with the 1 added. */
    d->norm = sc_config_bool(c, "norm_weights_whole", false) ? SC_NORM_RMS : SC_NORM_RMS_PLUS;
    d->embed_scale = sqrtf((float)d->width);
    d->attn.scale = (float)(1 / sqrt(sc_config_num(c, "query_pre_attn_scalar", 256, 1e-6, 1e9)));
    d->attn.qkv_bias = d->attn.out_bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
    /* Null says none. */
    bool capped = !third && !json_object_get(c->json, "attn_logit_softcapping"),
         last = !third && !json_object_get(c->json, "final_logit_softcapping");
    d->attn.cap = (float)sc_config_num(c, "attn_logit_softcapping", capped ? 50 : 0, 1e-6, 1e9);
    d->logit_cap = (float)sc_config_num(c, "final_logit_softcapping", last ? 30 : 0, 1e-6, 1e9);
    d->names.attn_after = "post_attention_layernorm";
    d->names.ffn_norm = "pre_feedforward_layernorm";
    d->names.ffn_after = "post_feedforward_layernorm";
    if (!third) return;
    d->attn.head_norm = SC_QK_NORM_HEAD;
    d->attn.head_norm_kind = d->norm;
    sc_config_local_rope(c, d->attn.d, &d->local_rope);
}

const sc_family sc_family_gemma = {.name = "gemma",
                                   .model_types = (const char *const[]){"gemma2", "gemma3_text", NULL},
                                   .prefix = "model",
                                   .config_size = sizeof(sc_decoder),
                                   .configure = configure,
                                   .build = sc_decoder_build,
                                   .describe = sc_decoder_describe};
