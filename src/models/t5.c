/* SPDX-License-Identifier: Apache-2.0 */
/* T5, Flan-T5 and mT5 (Raffel et al. 2020, arXiv:1910.10683; Xue et al. 2021, arXiv:2010.11934): an encoder-decoder with
 * RMS norms before each part, unscaled attention and a bias by distance that all layers of a stack share. */
#include "models/models.h"

#include <math.h>

typedef struct t5 {
    int64_t layers, decoder_layers, width, ffn, vocab;
    float eps, scale; /* scale: of the decoder's output before the tied head */
    bool tied, gated;
    sc_unary_kind act;
    sc_attention_config attn;
    sc_relative_config relative;
} t5;

static const sc_attention_names names = {.q = "q", .k = "k", .v = "v", .o = "o"};

/* "relu", "gelu", or "gated-gelu", which means the tanh form. */
static void read_feed_forward(sc_config *c, t5 *m)
{
    const char *name = sc_config_str(c, "feed_forward_proj", "relu");
    m->gated = strncmp(name, "gated-", 6) == 0;
    if (strcmp(name, "gated-gelu") == 0)
        m->act = SC_UNARY_GELU_TANH;
    else
        m->act = sc_activation_named(c, "feed_forward_proj", m->gated ? name + 6 : name);
}

static void configure(sc_config *c, void *config)
{
    t5 *m = config;
    const int64_t wide = 1 << 20;
    m->layers = sc_config_int(c, "num_layers", SC_REQUIRED, 1, 1024);
    m->decoder_layers = sc_config_int(c, "num_decoder_layers", m->layers, 1, 1024);
    m->width = sc_config_int(c, "d_model", SC_REQUIRED, 1, wide);
    m->ffn = sc_config_int(c, "d_ff", SC_REQUIRED, 1, 4 * wide);
    m->vocab = sc_config_int(c, "vocab_size", SC_REQUIRED, 1, 1 << 24);
    m->eps = (float)sc_config_num(c, "layer_norm_epsilon", 1e-6, 0, 1);
    m->attn.heads = m->attn.kv_heads = sc_config_int(c, "num_heads", SC_REQUIRED, 1, 4096);
    m->attn.d = sc_config_int(c, "d_kv", SC_REQUIRED, 1, 4096);
    m->attn.scale = 1;
    m->attn.names = &names;
    m->relative.heads = m->attn.heads;
    m->relative.buckets = sc_config_int(c, "relative_attention_num_buckets", 32, 4, 1 << 16);
    m->relative.farthest = sc_config_int(c, "relative_attention_max_distance", 128, 2, 1 << 16);
    if (!c->status && m->relative.farthest <= m->relative.buckets / 2)
        sc_config_fault(c, "relative_attention_max_distance %lld is not beyond half the %lld buckets",
                        (long long)m->relative.farthest, (long long)m->relative.buckets);
    read_feed_forward(c, m);
    /* Older configurations say with one switch that the head is tied and that its input is scaled; newer ones say tied
     * even of a model with a head of its own, which then is in the file. */
    bool tied = sc_config_bool(c, "tie_word_embeddings", true), plain = false;
    plain = strcmp(sc_config_str(c, "model_type", ""), "t5") == 0;
    m->tied = !sc_config_has_weight(c, "", "lm_head.weight", !tied);
    m->scale = plain && sc_config_bool(c, "scale_decoder_outputs", tied) ? 1 / sqrtf((float)m->width) : 1;
}

/* The j-th part of a layer: x + what it makes of the normed x. */
static sc_tensor *attention(sc_graph *g, const t5 *m, int j, bool cross, sc_text_in *in,
                            const sc_attention_config *attn, sc_tensor *x)
{
    sc_scope_push(g, "layer.%d", j);
    sc_tensor *h = sc_rms_norm(g, "layer_norm", x, m->eps);
    h = cross ? sc_cross_attention(g, "EncDecAttention", h, in, attn)
              : sc_self_attention(g, "SelfAttention", h, in, attn);
    sc_scope_pop(g);
    return sc_add(g, x, h);
}

static sc_tensor *feed_forward(sc_graph *g, const t5 *m, int j, sc_tensor *x)
{
    static const sc_ffn_names gated = {.gate = "wi_0", .up = "wi_1", .down = "wo"},
                              plain = {.up = "wi", .down = "wo"};
    sc_scope_push(g, "layer.%d", j);
    sc_tensor *h = sc_rms_norm(g, "layer_norm", x, m->eps);
    h = sc_ffn(g, "DenseReluDense", h, m->ffn, m->act, 0, m->gated ? &gated : &plain);
    sc_scope_pop(g);
    return sc_add(g, x, h);
}

/* The bias is the first layer's and serves all of them. */
static sc_tensor *relative_bias(sc_graph *g, const t5 *m, bool bidirectional)
{
    sc_relative_config relative = m->relative;
    relative.bidirectional = bidirectional;
    sc_scope_push(g, "block.0.layer.0.SelfAttention");
    sc_tensor *bias = sc_relative_bias(g, "relative_attention_bias", &relative);
    sc_scope_pop(g);
    return bias;
}

/* One of the two stacks; the decoder's layers look at the memory besides. The taps begin with `of`. */
static sc_tensor *stack(sc_graph *g, const t5 *m, const char *name, const char *of, int64_t layers, sc_text_in *in)
{
    sc_tensor *x = sc_embedding(g, "shared", in->ids, m->vocab, m->width); /* (T, C) */
    sc_attention_config self = m->attn;
    self.bidirectional = !in->memory;
    sc_scope_push(g, "%s", name);
    self.bias = relative_bias(g, m, self.bidirectional);
    for (int64_t i = 0; i < layers; i++) {
        int j = 0;
        sc_tap(g, x, "%shidden_states.%d", of, (int)i);
        sc_scope_push(g, "block.%d", (int)i);
        x = attention(g, m, j++, false, in, &self, x);
        if (in->memory) x = attention(g, m, j++, true, in, &m->attn, x);
        x = feed_forward(g, m, j, x);
        sc_scope_pop(g);
    }
    x = sc_rms_norm(g, "final_layer_norm", x, m->eps);
    sc_tap(g, x, "%shidden_states.%d", of, (int)layers);
    sc_scope_pop(g);
    return x;
}

static sc_tensor *build(sc_graph *g, const void *config, sc_text_in *in)
{
    const t5 *m = config;
    if (in->source) in->memory->states = stack(g, m, "encoder", "encoder_", m->layers, in->source);
    sc_tensor *x = stack(g, m, "decoder", "decoder_", m->decoder_layers, in);
    return sc_lm_head(g, in, m->tied ? "shared" : "lm_head", sc_affine(g, x, m->scale, 0), m->vocab);
}

/* The encoder by itself. */
static sc_tensor *build_encoder(sc_graph *g, const void *config, sc_text_in *in)
{
    const t5 *m = config;
    return stack(g, m, "encoder", "", m->layers, in);
}

static void describe_encoder(const void *config, sc_model_info *info)
{
    const t5 *m = config;
    info->layers = m->layers;
    info->width = m->width;
    info->heads = info->kv_heads = m->attn.heads;
    info->head_dim = m->attn.d;
    info->vocab = m->vocab;
    info->head = SC_HEAD_NONE;
}

/* GGUF has one name for wi and wi_1. */
static sc_status adapt(const void *config, sc_weights *w)
{
    static const char end[] = ".wi_1.weight";
    const t5 *m = config;
    for (int64_t i = 0; !m->gated && i < w->count; i++) {
        size_t n = strlen(w->item[i].name);
        if (!sc_path_has_suffix(w->item[i].name, end)) continue;
        char *name = sc_arena_printf(w->arena, "%.*s.wi.weight", (int)(n - strlen(end)), w->item[i].name);
        if (!name || !sc_map_put(&w->index, name, (int64_t)strlen(name), i)) return sc_nomem();
        w->item[i].name = name;
    }
    return SC_OK;
}

static void describe(const void *config, sc_model_info *info)
{
    const t5 *m = config;
    info->layers = m->layers + m->decoder_layers;
    info->width = m->width;
    info->heads = info->kv_heads = m->attn.heads;
    info->head_dim = m->attn.d;
    info->vocab = m->vocab;
    info->source_vocab = m->vocab;
    info->tied = m->tied;
}

const sc_family sc_family_t5 = {.name = "t5",
                                .model_types = (const char *const[]){"t5", "mt5", NULL},
                                .prefix = "",
                                .config_size = sizeof(t5),
                                .configure = configure,
                                .build = build,
                                .adapt = adapt,
                                .describe = describe,
                                .encoder_decoder = true};

const sc_family sc_family_t5_encoder = {.name = "t5_encoder",
                                        .model_types = (const char *const[]){"t5_encoder", NULL},
                                        .prefix = "",
                                        .config_size = sizeof(t5),
                                        .configure = configure,
                                        .build = build_encoder,
                                        .adapt = adapt,
                                        .describe = describe_encoder};
