/* SPDX-License-Identifier: Apache-2.0 */
/* Qwen3-Next and Qwen3.5: most layers are of the gated delta rule, each fourth has attention, whose result is gated and
 * whose heads are rotated in part. Qwen3-Next and the mixtures of Qwen3.5 have experts, one of them shared. */
#include "models/models.h"

typedef struct qwen3_next {
    sc_moe_decoder moe;
    sc_delta_config delta;
    const bool *linear; /* of each layer */
} qwen3_next;

/* Queries and gates come from one matrix, head by head. */
static sc_tensor *gated_attention(sc_graph *g, const sc_decoder *d, int64_t i, sc_text_in *in, sc_tensor *x)
{
    sc_attention_config a = sc_decoder_attention_config(d, i, in);
    int64_t keys = a.kv_heads * a.d, width = a.heads * a.d;
    sc_scope_push(g, "%s", d->names.attn);
    sc_tensor *q = sc_linear(g, a.names->q, x, 2 * width, a.qkv_bias),
              *k = sc_linear(g, a.names->k, x, keys, a.qkv_bias),
              *v = sc_linear(g, a.names->v, x, keys, a.qkv_bias);
    q = sc_reshape(g, q, 3, (int64_t[]){-1, a.heads, 2 * a.d});
    sc_tensor *gate = sc_reshape(g, sc_slice(g, q, 2, a.d, a.d), 2, (int64_t[]){-1, width});
    sc_tensor *y = sc_attend(g, in, &a, sc_slice(g, q, 2, 0, a.d), k, v); /* (T, H * D) */
    y = sc_mul(g, sc_unary(g, SC_UNARY_SIGMOID, gate), y);
    y = sc_linear(g, a.names->o, y, d->width, a.out_bias);
    sc_scope_pop(g);
    return y;
}

static sc_tensor *mixer(sc_graph *g, const sc_decoder *d, int64_t i, sc_text_in *in, sc_tensor *x)
{
    const qwen3_next *m = (const qwen3_next *)d;
    return m->linear[i] ? sc_gated_delta(g, "linear_attn", x, in, &m->delta) : gated_attention(g, d, i, in, x);
}

/* layer_types where given; else each full_attention_interval-th layer has attention. */
static const bool *linear_layers(sc_config *c, int64_t layers)
{
    const json_t *types = json_object_get(c->json, "layer_types");
    int64_t every = sc_config_int(c, "full_attention_interval", 4, 1, 1 << 20);
    bool *linear = sc_arena_alloc(c->arena, (size_t)layers);
    if (!linear) c->status = sc_nomem();
    for (int64_t i = 0; linear && i < layers; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        linear[i] = json_is_array(types) ? type && strcmp(type, "linear_attention") == 0 : (i + 1) % every != 0;
    }
    return linear;
}

static void configure(sc_config *c, void *config)
{
    qwen3_next *m = config;
    sc_decoder *d = &m->moe.decoder;
    sc_delta_config *l = &m->delta;
    const char *type = sc_config_str(c, "model_type", "");
    bool next = strcmp(type, "qwen3_next") == 0, dense = strcmp(type, "qwen3_5_text") == 0;
    bool whole = sc_config_bool(c, "norm_weights_whole", false); /* as GGUF has them */
    d->attn.d = 256;                                             /* their own defaults */
    d->rotary_share = 0.25;
    d->norm = d->attn.head_norm_kind = whole ? SC_NORM_RMS : SC_NORM_RMS_PLUS;
    d->mixer = mixer;
    if (!next) d->ffn_width = dense ? 12288 : 1; /* the mixtures of Qwen3.5 have none */
    sc_decoder_configure(c, d);
    d->window = 0;
    d->attn.head_norm = SC_QK_NORM_HEAD;
    d->attn.qkv_bias = d->attn.out_bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
    m->linear = linear_layers(c, d->layers);
    l->key_heads = sc_config_int(c, "linear_num_key_heads", 16, 1, 1 << 16);
    l->heads = sc_config_int(c, "linear_num_value_heads", 32, 1, 1 << 16);
    l->key_d = sc_config_int(c, "linear_key_head_dim", 128, 1, 1 << 16);
    l->d = sc_config_int(c, "linear_value_head_dim", 128, 1, 1 << 16);
    l->taps = sc_config_int(c, "linear_conv_kernel_dim", 4, 1, SC_CONV_TAPS);
    l->eps = d->eps;
    l->act = d->act;
    l->joined_ba = next;
    l->joined_qkv = next && !sc_config_bool(c, "linear_qkvz_apart", false); /* in GGUF they may be */
    l->tiled = sc_config_bool(c, "linear_heads_tiled", false);              /* as GGUF has Qwen3.5 */
    if (!c->status && l->heads % l->key_heads)
        sc_config_fault(c, "linear_num_value_heads %lld is not a multiple of linear_num_key_heads %lld",
                        (long long)l->heads, (long long)l->key_heads);
    if (dense) return;
    m->moe.moe = (sc_moe_config){.shared = "shared_expert", .shared_gate = "shared_expert_gate"};
    m->moe.moe.shared_width = sc_config_int(c, "shared_expert_intermediate_size", 512, 1, 4 << 20);
    m->moe.moe.routing = (sc_routing){.used = next ? 10 : 8, .score = SC_SCORE_SOFTMAX, .normalise = true};
    m->moe.balanced = true;
    sc_moe_decoder_configure(c, &m->moe);
}

/* The k such that each k-th layer alone has attention; -1: none. */
static int64_t interval(const qwen3_next *m)
{
    int64_t n = m->moe.decoder.layers, k = 1;
    while (k <= n && m->linear[k - 1]) k++;
    for (int64_t i = 0; i < n; i++)
        if (m->linear[i] != ((i + 1) % k != 0)) return -1;
    return k;
}

static void sizes(const void *config, sc_ssm_sizes *out)
{
    const sc_delta_config *l = &((const qwen3_next *)config)->delta;
    *out = (sc_ssm_sizes){
        .taps = l->taps, .inner = l->heads * l->d, .state = l->key_d, .rank = l->heads, .groups = l->key_heads};
    out->interval = interval(config);
    out->unusual = l->key_d != l->d;
}

const sc_family sc_family_qwen3_next = {.name = "qwen3_next",
                                        .model_types =
                                            (const char *const[]){"qwen3_next", "qwen3_5_moe_text", NULL},
                                        .prefix = "model",
                                        .config_size = sizeof(qwen3_next),
                                        .configure = configure,
                                        .adapt = sc_moe_adapt,
                                        .build = sc_decoder_build,
                                        .describe = sc_moe_decoder_describe,
                                        .ssm = sizes};
const sc_family sc_family_qwen3_5 = {.name = "qwen3_5",
                                     .model_types = (const char *const[]){"qwen3_5_text", NULL},
                                     .prefix = "model",
                                     .config_size = sizeof(qwen3_next),
                                     .configure = configure,
                                     .build = sc_decoder_build,
                                     .describe = sc_decoder_describe,
                                     .ssm = sizes};
