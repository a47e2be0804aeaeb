/* SPDX-License-Identifier: Apache-2.0 */
/* LLaMA 1 to 3 (Touvron et al. 2023, arXiv:2302.13971; Llama 3, arXiv:2407.21783), the many models of its shape, and
 * Mistral (Jiang et al. 2023, arXiv:2310.06825), which differs by its sliding window alone. */
#include "models/models.h"

typedef struct llama {
    sc_decoder d;
    unsigned attn_bias, mlp_bias;
} llama;

static void configure(sc_config *c, void *config)
{
    llama *m = config;
    sc_decoder_configure(c, &m->d);
    if (strcmp(sc_config_str(c, "model_type", ""), "mistral") != 0) m->d.window = 0; /* not a key of LLaMA's */
    m->attn_bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
    m->mlp_bias = sc_config_bool(c, "mlp_bias", false) ? SC_BIAS : 0;
}

/* x (T, C) */
static sc_tensor *block(sc_graph *g, const void *config, sc_text_in *in, const sc_attention_config *attn, sc_tensor *x)
{
    const llama *m = config;
    sc_tensor *h = sc_rms_norm(g, "input_layernorm", x, m->d.eps);
    sc_scope_push(g, "self_attn");
    sc_tensor *q = sc_linear(g, "q_proj", h, attn->heads * attn->d, m->attn_bias);
    sc_tensor *k = sc_linear(g, "k_proj", h, attn->kv_heads * attn->d, m->attn_bias);
    sc_tensor *v = sc_linear(g, "v_proj", h, attn->kv_heads * attn->d, m->attn_bias);
    h = sc_linear(g, "o_proj", sc_attend(g, in, attn, q, k, v), m->d.width, m->attn_bias);
    sc_scope_pop(g);
    x = sc_add(g, x, h);
    h = sc_rms_norm(g, "post_attention_layernorm", x, m->d.eps);
    return sc_add(g, x, sc_glu(g, "mlp", h, m->d.ffn, m->d.act, m->mlp_bias));
}

static sc_tensor *build(sc_graph *g, const void *config, sc_text_in *in)
{
    return sc_decoder_build(g, &((const llama *)config)->d, config, in, block);
}

static void describe(const void *config, sc_model_info *info) { sc_decoder_describe(&((const llama *)config)->d, info); }

const sc_family sc_family_llama = {
    .name = "llama", .model_types = (const char *const[]){"llama", "mistral", NULL}, .prefix = "model",
    .config_size = sizeof(llama), .configure = configure, .build = build, .describe = describe};
