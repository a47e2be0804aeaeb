/* SPDX-License-Identifier: Apache-2.0 */
/* BART (Lewis et al. 2020, arXiv:1910.13461) and what was made after it: mBART (arXiv:2001.08210), Pegasus
 * (arXiv:1912.08777) and Marian (Junczys-Dowmunt et al. 2018). They differ in where norms stand and in positions. */
#include "models/models.h"

#include <math.h>

/* Learned positions begin at this row; those before it are of older code's padding. */
enum { FIRST_POSITION = 2 };

typedef struct kind {
    const char *model_type;
    bool sinusoids;      /* positions, not learned */
    bool embedding_norm; /* on the sum of token and position */
    bool before;         /* norms come before each part, and one after the last */
} kind;

static const kind kinds[] = {
    {"bart", .embedding_norm = true},
    {"mbart", .embedding_norm = true, .before = true},
    {"pegasus", .sinusoids = true, .before = true},
    {"marian", .sinusoids = true},
};

typedef struct side {
    const char *name; /* "encoder" */
    int64_t layers, heads, ffn, vocab;
} side;

typedef struct bart {
    const kind *kind;
    side encoder, decoder;
    int64_t width, positions, padding;
    float embed_scale;
    bool shared, tied, logits_bias;
    sc_unary_kind act;
} bart;

static side read_side(sc_config *c, const char *name, int64_t vocab, int64_t width)
{
    char key[64];
    side s = {.name = name, .vocab = vocab};
    snprintf(key, sizeof key, "%s_layers", name);
    s.layers = sc_config_int(c, key, 12, 1, 1024);
    snprintf(key, sizeof key, "%s_attention_heads", name);
    s.heads = sc_config_int(c, key, 16, 1, 4096);
    if (!c->status && width % s.heads)
        sc_config_fault(c, "d_model %lld is not a multiple of %s %lld", (long long)width, key, (long long)s.heads);
    snprintf(key, sizeof key, "%s_ffn_dim", name);
    s.ffn = sc_config_int(c, key, 4096, 1, 1 << 22);
    return s;
}

static void configure(sc_config *c, void *config)
{
    bart *m = config;
    const char *type = sc_config_str(c, "model_type", "");
    m->kind = kinds;
    for (int i = 0; i < SC_COUNT(kinds); i++)
        if (strcmp(kinds[i].model_type, type) == 0) m->kind = &kinds[i];
    int64_t vocab = sc_config_int(c, "vocab_size", SC_REQUIRED, 1, 1 << 24);
    m->width = sc_config_int(c, "d_model", 1024, 1, 1 << 20);
    m->padding = sc_config_padding(c, vocab, 1);
    m->positions = sc_config_int(c, "max_position_embeddings", 1024, 1, 1 << 24);
    m->encoder = read_side(c, "encoder", vocab, m->width);
    m->decoder = read_side(c, "decoder", sc_config_int(c, "decoder_vocab_size", vocab, 1, 1 << 24), m->width);
    m->shared = sc_config_bool(c, "share_encoder_decoder_embeddings", true);
    if (!c->status && m->shared && m->decoder.vocab != vocab)
        sc_config_fault(c, "one table for a vocab_size of %lld and a decoder_vocab_size of %lld", (long long)vocab,
                        (long long)m->decoder.vocab);
    m->embed_scale = sc_config_bool(c, "scale_embedding", false) ? sqrtf((float)m->width) : 1;
    m->act = sc_config_activation(c, "activation_function", "gelu");
    m->tied = sc_config_bool(c, "tie_word_embeddings", true);
    m->logits_bias = sc_config_has_weight(c, "", "final_logits_bias", true);
}

static const sc_attention_names names = {.q = "q_proj", .k = "k_proj", .v = "v_proj", .o = "out_proj"};

static sc_tensor *norm(sc_graph *g, const char *name, sc_tensor *x) { return sc_layer_norm(g, name, x, 1e-5f); }

/* x and what attention makes of it, the norm on either side. */
static sc_tensor *attention(sc_graph *g, const bart *m, const side *s, const char *name, bool cross, sc_text_in *in,
                            sc_tensor *x)
{
    sc_attention_config attn = {.heads = s->heads,
                                .kv_heads = s->heads,
                                .d = m->width / s->heads,
                                .names = &names,
                                .bidirectional = s == &m->encoder,
                                .qkv_bias = SC_BIAS,
                                .out_bias = SC_BIAS};
    char norm_name[64];
    snprintf(norm_name, sizeof norm_name, "%s_layer_norm", name);
    sc_tensor *h = m->kind->before ? norm(g, norm_name, x) : x;
    h = cross ? sc_cross_attention(g, name, h, in, &attn) : sc_self_attention(g, name, h, in, &attn);
    x = sc_add(g, x, h);
    return m->kind->before ? x : norm(g, norm_name, x);
}

static sc_tensor *feed_forward(sc_graph *g, const bart *m, const side *s, sc_tensor *x)
{
    sc_tensor *h = m->kind->before ? norm(g, "final_layer_norm", x) : x;
    x = sc_add(g, x, sc_ffn(g, NULL, h, s->ffn, m->act, SC_BIAS, &(sc_ffn_names){.up = "fc1", .down = "fc2"}));
    return m->kind->before ? x : norm(g, "final_layer_norm", x);
}

/* The name of a side's table of tokens. */
static void table_name(const bart *m, const side *s, char name[64])
{
    snprintf(name, 64, m->shared ? "model.shared" : "model.%s.embed_tokens", s->name);
}

static sc_tensor *embed(sc_graph *g, const bart *m, const side *s, sc_text_in *in)
{
    char name[64];
    table_name(m, s, name);
    sc_tensor *x = sc_embedding_but(g, name, in->ids, s->vocab, m->width, m->padding);
    x = sc_affine(g, x, m->embed_scale, 0);
    if (m->kind->sinusoids) return sc_add(g, x, sc_sinusoids(g, in->seqs.position, m->width));
    snprintf(name, sizeof name, "model.%s.embed_positions", s->name);
    return sc_add(g, x, sc_embedding_after(g, name, in->seqs.position, m->positions, FIRST_POSITION, m->width));
}

static sc_tensor *stack(sc_graph *g, const bart *m, const side *s, sc_text_in *in)
{
    sc_tensor *x = embed(g, m, s, in); /* (T, C) */
    sc_scope_push(g, "model.%s", s->name);
    if (m->kind->embedding_norm) x = norm(g, "layernorm_embedding", x);
    for (int64_t i = 0; i < s->layers; i++) {
        sc_tap(g, x, "%s_hidden_states.%d", s->name, (int)i);
        sc_scope_push(g, "layers.%d", (int)i);
        x = attention(g, m, s, "self_attn", false, in, x);
        if (in->memory) x = attention(g, m, s, "encoder_attn", true, in, x);
        x = feed_forward(g, m, s, x);
        sc_scope_pop(g);
    }
    if (m->kind->before) x = norm(g, "layer_norm", x);
    sc_tap(g, x, "%s_hidden_states.%d", s->name, (int)s->layers);
    sc_scope_pop(g);
    return x;
}

static sc_tensor *build(sc_graph *g, const void *config, sc_text_in *in)
{
    const bart *m = config;
    char name[64] = "lm_head";
    if (in->source) in->memory->states = stack(g, m, &m->encoder, in->source);
    sc_tensor *x = stack(g, m, &m->decoder, in);
    if (m->tied) table_name(m, &m->decoder, name);
    x = sc_lm_head(g, in, name, x, m->decoder.vocab);
    if (!m->logits_bias) return x;
    sc_tensor *bias =
        sc_param_fixed(g, "final_logits_bias", (sc_init){SC_INIT_ZEROS, 0}, 2, (int64_t[]){1, m->decoder.vocab});
    return sc_add(g, x, sc_reshape(g, bias, 1, &m->decoder.vocab));
}

static void describe(const void *config, sc_model_info *info)
{
    const bart *m = config;
    info->layers = m->encoder.layers + m->decoder.layers;
    info->width = m->width;
    info->heads = info->kv_heads = m->decoder.heads;
    info->head_dim = m->width / m->decoder.heads;
    info->vocab = m->decoder.vocab;
    info->context = m->positions;
    info->source_vocab = m->encoder.vocab;
    info->tied = m->tied;
}

const sc_family sc_family_bart = {.name = "bart",
                                  .model_types = (const char *const[]){"bart", "mbart", "pegasus", "marian", NULL},
                                  .prefix = "model",
                                  .config_size = sizeof(bart),
                                  .configure = configure,
                                  .build = build,
                                  .describe = describe,
                                  .encoder_decoder = true};
