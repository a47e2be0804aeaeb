/* SPDX-License-Identifier: Apache-2.0 */
/* Qwen2 and 2.5 (arXiv:2407.10671): LLaMA's shape with biases on queries, keys and values. */
#include "models/models.h"

static void configure(sc_config *c, void *config)
{
    sc_decoder *d = config;
    sc_decoder_configure(c, d);
    sc_decoder_late_windows(c, d);
}

/* x (T, C) */
static sc_tensor *block(sc_graph *g, const void *config, sc_text_in *in, const sc_attention_config *attn, sc_tensor *x)
{
    const sc_decoder *d = config;
    sc_tensor *h = sc_rms_norm(g, "input_layernorm", x, d->eps);
    sc_scope_push(g, "self_attn");
    sc_tensor *q = sc_linear(g, "q_proj", h, attn->heads * attn->d, SC_BIAS);
    sc_tensor *k = sc_linear(g, "k_proj", h, attn->kv_heads * attn->d, SC_BIAS);
    sc_tensor *v = sc_linear(g, "v_proj", h, attn->kv_heads * attn->d, SC_BIAS);
    h = sc_linear(g, "o_proj", sc_attend(g, in, attn, q, k, v), d->width, 0);
    sc_scope_pop(g);
    x = sc_add(g, x, h);
    h = sc_rms_norm(g, "post_attention_layernorm", x, d->eps);
    return sc_add(g, x, sc_glu(g, "mlp", h, d->ffn, d->act, 0));
}

static sc_tensor *build(sc_graph *g, const void *config, sc_text_in *in)
{
    return sc_decoder_build(g, config, config, in, block);
}

static void describe(const void *config, sc_model_info *info) { sc_decoder_describe(config, info); }

const sc_family sc_family_qwen2 = {
    .name = "qwen2", .model_types = (const char *const[]){"qwen2", NULL}, .prefix = "model",
    .config_size = sizeof(sc_decoder), .configure = configure, .build = build, .describe = describe};
