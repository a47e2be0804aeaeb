/* SPDX-License-Identifier: Apache-2.0 */
/* GPT-2 (Radford et al. 2019): learned positions, layer norms, matrices stored (in, out). */
#include "models/models.h"

#include <math.h>

typedef struct gpt2 {
    int64_t layers, width, heads, ffn, vocab, positions;
    float eps;
    bool tied, scale, scale_by_layer;
    sc_unary_kind act;
} gpt2;

static void configure(sc_config *c, void *config)
{
    gpt2 *m = config;
    const int64_t wide = 1 << 20;
    m->layers = sc_config_int(c, "n_layer", 12, 1, 1024);
    m->width = sc_config_int(c, "n_embd", 768, 1, wide);
    m->heads = sc_config_int(c, "n_head", 12, 1, 4096);
    m->ffn = sc_config_int(c, "n_inner", 4 * m->width, 1, 4 * wide);
    m->vocab = sc_config_int(c, "vocab_size", 50257, 1, 1 << 24);
    m->positions = sc_config_int(c, "n_positions", 1024, 1, 1 << 24);
    m->eps = (float)sc_config_num(c, "layer_norm_epsilon", 1e-5, 0, 1);
    m->tied = sc_config_bool(c, "tie_word_embeddings", true);
    m->scale = sc_config_bool(c, "scale_attn_weights", true);
    m->scale_by_layer = sc_config_bool(c, "scale_attn_by_inverse_layer_idx", false);
    m->act = sc_config_activation(c, "activation_function", "gelu_new");
    if (!c->status && m->width % m->heads)
        sc_config_fault(c, "n_embd %lld is not a multiple of n_head %lld", (long long)m->width,
                        (long long)m->heads);
}

/* x (T, C) */
static sc_tensor *block(sc_graph *g, const gpt2 *m, sc_text_in *in, int64_t layer, sc_tensor *x)
{
    int64_t c = m->width;
    sc_attention_config attn = {.heads = m->heads, .kv_heads = m->heads, .d = c / m->heads};
    attn.scale = (m->scale ? 1 / sqrtf((float)attn.d) : 1) / (m->scale_by_layer ? (float)(layer + 1) : 1);
    sc_tensor *h = sc_layer_norm(g, "ln_1", x, m->eps);
    sc_scope_push(g, "attn");
    sc_tensor *qkv = sc_linear_in_out(g, "c_attn", h, 3 * c, SC_BIAS); /* (T, 3C) */
    sc_tensor *q = sc_slice(g, qkv, 1, 0, c), *k = sc_slice(g, qkv, 1, c, c), *v = sc_slice(g, qkv, 1, 2 * c, c);
    h = sc_linear_in_out(g, "c_proj", sc_attend(g, in, &attn, q, k, v), c, SC_BIAS);
    sc_scope_pop(g);
    x = sc_add(g, x, h);
    h = sc_layer_norm(g, "ln_2", x, m->eps);
    sc_scope_push(g, "mlp");
    h = sc_unary(g, m->act, sc_linear_in_out(g, "c_fc", h, m->ffn, SC_BIAS));
    h = sc_linear_in_out(g, "c_proj", h, c, SC_BIAS);
    sc_scope_pop(g);
    return sc_add(g, x, h);
}

static sc_tensor *build(sc_graph *g, const void *config, sc_text_in *in)
{
    const gpt2 *m = config;
    sc_scope_push(g, "transformer");
    sc_tensor *x = sc_add(g, sc_embedding(g, "wte", in->ids, m->vocab, m->width),
                          sc_embedding(g, "wpe", in->seqs.position, m->positions, m->width)); /* (T, C) */
    for (int64_t i = 0; i < m->layers; i++) {
        sc_tap(g, x, "hidden_states.%d", (int)i);
        sc_scope_push(g, "h.%d", (int)i);
        x = block(g, m, in, i, x);
        sc_scope_pop(g);
    }
    x = sc_layer_norm(g, "ln_f", x, m->eps);
    sc_tap(g, x, "hidden_states.%d", (int)m->layers);
    sc_scope_pop(g);
    return sc_lm_head(g, in, m->tied ? "transformer.wte" : "lm_head", x, m->vocab);
}

static void describe(const void *config, sc_model_info *info)
{
    const gpt2 *m = config;
    info->layers = m->layers;
    info->width = m->width;
    info->heads = info->kv_heads = m->heads;
    info->head_dim = m->width / m->heads;
    info->vocab = m->vocab;
    info->context = m->positions;
    info->tied = m->tied;
}

const sc_family sc_family_gpt2 = {.name = "gpt2",
                                  .model_types = (const char *const[]){"gpt2", NULL},
                                  .prefix = "transformer",
                                  .config_size = sizeof(gpt2),
                                  .configure = configure,
                                  .build = build,
                                  .describe = describe};
