/* SPDX-License-Identifier: Apache-2.0 */
/* DeBERTa v2 and v3 (He et al. 2021, arXiv:2006.03654, arXiv:2111.09543): attention in which content and relative position
 * are apart, and in some models a convolution over the tokens beside the first layer. */
#include "models/models.h"

#include <math.h>

typedef struct deberta {
    sc_encoder e;
    bool relative, c2p, p2c, shared, norm_relative;
    int64_t rows; /* of the table of relative positions */
    sc_disentangled_attr attr;
    int64_t conv; /* tokens that the convolution sees; 0: there is none */
    sc_unary_kind conv_act;
} deberta;

#define DEBERTA_PARTS                                                                                              \
    .root = "deberta", .word = "embeddings.word_embeddings", .position = "embeddings.position_embeddings",         \
    .type = "embeddings.token_type_embeddings", .norm = "embeddings.LayerNorm",                                    \
    .project = "embeddings.embed_proj", .layer = "encoder.layer", .attn_norm = "attention.output.LayerNorm",       \
    .ffn = {.up = "intermediate.dense", .down = "output.dense"}, .ffn_norm = "output.LayerNorm"
#define DEBERTA_HEADS                                                                                              \
    [SC_HEAD_CLASSES] = {"pooler.dense", NULL, "classifier"}, [SC_HEAD_TAGS] = {NULL, NULL, "classifier"},         \
    [SC_HEAD_SPAN] = {NULL, NULL, "qa_outputs"}

static const sc_encoder_names names = {
    DEBERTA_PARTS, .fill_bias = "cls.predictions.bias",
    .head = {[SC_HEAD_FILL] = {"cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
                               "cls.predictions.decoder"},
             DEBERTA_HEADS}};
/* What the authors' own checkpoints call the masked-word head ("legacy": false). */
static const sc_encoder_names own_names = {
    DEBERTA_PARTS, .fill_bias = "lm_predictions.lm_head.bias",
    .head = {[SC_HEAD_FILL] = {"lm_predictions.lm_head.dense", "lm_predictions.lm_head.LayerNorm", NULL},
             DEBERTA_HEADS}};

/* The table of relative positions (2R, C), normed. */
static void prepare(sc_graph *g, const sc_encoder *e, sc_text_in *in, sc_tensor **shared)
{
    const deberta *m = (const deberta *)e;
    (void)in;
    if (!m->relative) return;
    shared[0] = sc_param(g, "encoder.rel_embeddings.weight", (sc_init){SC_INIT_NORMAL, 0.02f}, 2,
                         (int64_t[]){m->rows, e->width});
    if (m->norm_relative) shared[0] = sc_layer_norm(g, "encoder.LayerNorm", shared[0], e->eps);
}

static sc_tensor *heads(sc_graph *g, const sc_encoder *e, const char *name, sc_tensor *x)
{
    x = sc_linear(g, name, x, e->attn.heads * e->attn.d, SC_BIAS);
    return sc_reshape(g, x, 3, (int64_t[]){-1, e->attn.heads, e->attn.d});
}

static sc_tensor *mixer(sc_graph *g, const sc_encoder *e, int64_t i, sc_text_in *in, sc_tensor *const *shared,
                        sc_tensor *x)
{
    const deberta *m = (const deberta *)e;
    (void)i;
    sc_tensor *rel = shared[0], *pos_key = NULL, *pos_query = NULL;
    sc_scope_push(g, "attention.self");
    sc_tensor *q = heads(g, e, "query_proj", x), *k = heads(g, e, "key_proj", x), *v = heads(g, e, "value_proj", x);
    if (rel && m->c2p) pos_key = heads(g, e, m->shared ? "key_proj" : "pos_key_proj", rel);
    if (rel && m->p2c) pos_query = heads(g, e, m->shared ? "query_proj" : "pos_query_proj", rel);
    x = sc_disentangled(g, q, k, v, pos_key, pos_query, &in->seqs, &m->attr);
    sc_scope_pop(g);
    x = sc_reshape(g, x, 2, (int64_t[]){-1, e->attn.heads * e->attn.d});
    return sc_linear(g, "attention.output.dense", x, e->width, SC_BIAS);
}

/* What the first layer gave, x, with a convolution of what went into it: both (T, C). */
static sc_tensor *convolve(sc_graph *g, const sc_encoder *e, int64_t i, sc_text_in *in, sc_tensor *from,
                           sc_tensor *x)
{
    const deberta *m = (const deberta *)e;
    int64_t c = e->width;
    if (i > 0) return x;
    sc_tensor *w = sc_param(g, "encoder.conv.conv.weight", (sc_init){SC_INIT_NORMAL, 0.02f}, 3,
                            (int64_t[]){c, c, m->conv}); /* (out, in, place) */
    sc_tensor *b = sc_param(g, "encoder.conv.conv.bias", (sc_init){SC_INIT_ZEROS, 0}, 1, &c);
    sc_tensor *near = sc_reshape(g, sc_unfold(g, from, &in->seqs, m->conv), 2, (int64_t[]){-1, c * m->conv});
    sc_tensor *y = sc_apply_linear(g, near, sc_reshape(g, w, 2, (int64_t[]){c, c * m->conv}), b);
    return sc_layer_norm(g, "encoder.conv.LayerNorm", sc_add(g, sc_unary(g, m->conv_act, y), x), e->eps);
}

static void configure_relative(sc_config *c, deberta *m)
{
    int64_t buckets = sc_config_int(c, "position_buckets", -1, -1, 1 << 20),
            farthest = sc_config_int(c, "max_relative_positions", -1, -1, 1 << 24);
    const json_t *kinds = json_object_get(c->json, "pos_att_type");
    const char *text = json_string_value(kinds);
    for (size_t i = 0; i < json_array_size(kinds); i++) {
        const char *kind = json_string_value(json_array_get(kinds, i));
        m->c2p |= kind && strcmp(kind, "c2p") == 0;
        m->p2c |= kind && strcmp(kind, "p2c") == 0;
    }
    m->c2p |= text && strstr(text, "c2p");
    m->p2c |= text && strstr(text, "p2c");
    m->relative = sc_config_bool(c, "relative_attention", false);
    m->shared = sc_config_bool(c, "share_att_key", false);
    m->norm_relative = strstr(sc_config_str(c, "norm_rel_ebd", "none"), "layer_norm") != NULL;
    if (farthest < 1) farthest = sc_config_int(c, "max_position_embeddings", 512, 1, 1 << 24);
    m->rows = 2 * (buckets > 0 ? buckets : farthest);
    m->attr = (sc_disentangled_attr){.scale = (float)(1 / sqrt((double)(m->e.attn.d * (1 + m->c2p + m->p2c)))),
                                     .buckets = SC_MAX(buckets, 0),
                                     .farthest = farthest};
    if (m->relative && buckets > 0 && (buckets < 2 || farthest <= buckets / 2 + 1))
        sc_config_fault(c, "position_buckets %lld for distances up to %lld", (long long)buckets,
                        (long long)farthest);
}

static void configure(sc_config *c, void *config)
{
    deberta *m = config;
    sc_encoder *e = &m->e;
    e->names = sc_config_bool(c, "legacy", true) ? &names : &own_names;
    if (c->weights) /* the file decides where it has either */
        e->names = sc_config_has_weight(c, "", own_names.fill_bias, false) ? &own_names : &names;
    sc_encoder_configure(c, e);
    if (e->sparse) sc_config_fault(c, "block_sparse: disentangled attention has no such form");
    e->eps = (float)sc_config_num(c, "layer_norm_eps", 1e-7, 0, 1);
    e->types = sc_config_int(c, "type_vocab_size", 0, 0, 1 << 16);
    e->project_flags = 0;
    e->attn.d = sc_config_int(c, "attention_head_size", e->attn.d, 1, 4096);
    e->mixer = mixer;
    e->prepare = prepare;
    configure_relative(c, m);
    if (!sc_config_bool(c, "position_biased_input", true)) e->positions = 0;
    m->conv = sc_config_int(c, "conv_kernel_size", 0, 0, 255);
    if (m->conv && (m->conv % 2 == 0 || sc_config_int(c, "conv_groups", 1, 1, 1 << 20) != 1))
        sc_config_fault(c, "a convolution of %lld tokens or in groups is not known", (long long)m->conv);
    if (m->conv) {
        m->conv_act = sc_config_activation(c, "conv_act", "tanh");
        e->beside = convolve;
    }
    if (e->names == &own_names) e->tied = true;
    sc_encoder_configure_head(c, e);
    e->head_act = e->head == SC_HEAD_CLASSES ? sc_config_activation(c, "pooler_hidden_act", "gelu") : e->act;
}

const sc_family sc_family_deberta = {.name = "deberta-v2",
                                     .model_types = (const char *const[]){"deberta-v2", NULL},
                                     .prefix = "deberta",
                                     .config_size = sizeof(deberta),
                                     .configure = configure,
                                     .build = sc_encoder_build,
                                     .describe = sc_encoder_describe};
