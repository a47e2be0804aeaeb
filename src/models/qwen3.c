/* SPDX-License-Identifier: Apache-2.0 */
/* Qwen3 (arXiv:2505.09388): LLaMA's shape with an RMS norm on each head of queries and keys before the rotation. */
#include "models/models.h"

typedef struct qwen3 {
    sc_decoder d;
    unsigned bias;
} qwen3;

static void configure(sc_config *c, void *config)
{
    qwen3 *m = config;
    m->d.attn.d = 128; /* its own default, whatever the width */
    sc_decoder_configure(c, &m->d);
    sc_decoder_late_windows(c, &m->d);
    m->bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
}

/* The norm is over the d features of each head: x (T, H*D) → (T, H, D). */
static sc_tensor *head_norm(sc_graph *g, const qwen3 *m, const char *name, sc_tensor *x)
{
    return sc_rms_norm(g, name, sc_reshape(g, x, 3, (int64_t[]){x ? x->shape.dim[0] : 0, -1, m->d.attn.d}), m->d.eps);
}

/* x (T, C) */
static sc_tensor *block(sc_graph *g, const void *config, sc_text_in *in, const sc_attention_config *attn, sc_tensor *x)
{
    const qwen3 *m = config;
    sc_tensor *h = sc_rms_norm(g, "input_layernorm", x, m->d.eps);
    sc_scope_push(g, "self_attn");
    sc_tensor *q = head_norm(g, m, "q_norm", sc_linear(g, "q_proj", h, attn->heads * attn->d, m->bias));
    sc_tensor *k = head_norm(g, m, "k_norm", sc_linear(g, "k_proj", h, attn->kv_heads * attn->d, m->bias));
    sc_tensor *v = sc_linear(g, "v_proj", h, attn->kv_heads * attn->d, m->bias);
    h = sc_linear(g, "o_proj", sc_attend(g, in, attn, q, k, v), m->d.width, m->bias);
    sc_scope_pop(g);
    x = sc_add(g, x, h);
    h = sc_rms_norm(g, "post_attention_layernorm", x, m->d.eps);
    return sc_add(g, x, sc_glu(g, "mlp", h, m->d.ffn, m->d.act, 0));
}

static sc_tensor *build(sc_graph *g, const void *config, sc_text_in *in)
{
    return sc_decoder_build(g, &((const qwen3 *)config)->d, config, in, block);
}

static void describe(const void *config, sc_model_info *info) { sc_decoder_describe(&((const qwen3 *)config)->d, info); }

const sc_family sc_family_qwen3 = {
    .name = "qwen3", .model_types = (const char *const[]){"qwen3", NULL}, .prefix = "model",
    .config_size = sizeof(qwen3), .configure = configure, .build = build, .describe = describe};
