/* SPDX-License-Identifier: Apache-2.0 */
/* Jina BERT v2 (Günther et al. 2023, arXiv:2310.19923): BERT with ALiBi in both directions and gated feed-forwards. Its
 * configurations say "bert" with "position_embedding_type": "alibi" (registry.c). */
#include "models/models.h"

#define PARTS                                                                                                      \
    .root = "bert", .word = "embeddings.word_embeddings", .type = "embeddings.token_type_embeddings",              \
    .norm = "embeddings.LayerNorm", .layer = "encoder.layer",                                                      \
    .attn = {.q = "attention.self.query",                                                                          \
             .k = "attention.self.key",                                                                            \
             .v = "attention.self.value",                                                                          \
             .o = "attention.output.dense",                                                                        \
             .q_norm = "attention.self.layer_norm_q",                                                              \
             .k_norm = "attention.self.layer_norm_k"},                                                             \
    .attn_norm = "attention.output.LayerNorm", .ffn_norm = "mlp.layernorm", .pooler = "bert.pooler.dense",         \
    .fill_bias = "cls.predictions.bias",                                                                           \
    .head = {[SC_HEAD_FILL] = {"cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",           \
                               "cls.predictions.decoder"},                                                         \
             [SC_HEAD_CLASSES] = {"bert.pooler.dense", NULL, "classifier"},                                        \
             [SC_HEAD_TAGS] = {NULL, NULL, "classifier"}}

static const sc_encoder_names joined = {PARTS, .ffn = {.gate_up = "mlp.gated_layers", .down = "mlp.wo"}};
/* As in GGUF files that keep the gate apart, where the other half has the name of both. */
static const sc_encoder_names apart = {
    PARTS, .ffn = {.gate = "mlp.gated_layers_w", .up = "mlp.gated_layers", .down = "mlp.wo"}};

static void configure(sc_config *c, void *config)
{
    sc_encoder *e = config;
    bool gate = sc_config_has_weight(c, "bert", "bert.encoder.layer.0.mlp.gated_layers_w.weight", false);
    e->names = gate ? &apart : &joined;
    e->attn.alibi = true;
    sc_encoder_configure(c, e);
    e->ffn_flags = SC_BIAS_DOWN;
    const char *kind = sc_config_str(c, "feed_forward_type", "geglu");
    e->act = strcmp(kind, "reglu") == 0 ? SC_UNARY_RELU : SC_UNARY_GELU;
    if (strcmp(kind, "reglu") != 0 && strcmp(kind, "geglu") != 0)
        sc_config_fault(c, "feed_forward_type '%s' is not geglu or reglu", kind);
    if (sc_config_has_weight(c, "bert", "bert.encoder.layer.0.layer_norm_1.weight", false))
        sc_config_fault(c, "a Jina BERT with layer_norm_1 (v2 for code) is not known");
    if (sc_config_has_weight(c, "bert", "bert.encoder.layer.0.attention.self.layer_norm_q.weight", false)) {
        e->attn.head_norm = SC_QK_NORM_ALL;
        e->attn.head_norm_kind = SC_NORM_LAYER;
        e->attn.eps = e->eps;
    }
    sc_encoder_configure_head(c, e);
    e->head_act = e->head == SC_HEAD_CLASSES ? SC_UNARY_TANH : sc_config_activation(c, "hidden_act", "gelu");
}

const sc_family sc_family_jina_bert = {.name = "jina_bert",
                                       .model_types = (const char *const[]){"jina_bert_v2", NULL},
                                       .prefix = "bert",
                                       .config_size = sizeof(sc_encoder),
                                       .configure = configure,
                                       .build = sc_encoder_build,
                                       .describe = sc_encoder_describe};
