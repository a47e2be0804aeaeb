/* SPDX-License-Identifier: Apache-2.0 */
/* DistilBERT (Sanh et al. 2019, arXiv:1910.01108): BERT with half its layers and names of its own. */
#include "models/models.h"

static const sc_encoder_names names = {
    .root = "distilbert",
    .word = "embeddings.word_embeddings",
    .position = "embeddings.position_embeddings",
    .norm = "embeddings.LayerNorm",
    .layer = "transformer.layer",
    .attn = {.q = "attention.q_lin", .k = "attention.k_lin", .v = "attention.v_lin", .o = "attention.out_lin"},
    .attn_norm = "sa_layer_norm",
    .ffn = {.up = "ffn.lin1", .down = "ffn.lin2"},
    .ffn_norm = "output_layer_norm",
    .fill_bias = "vocab_projector.bias",
    .head = {[SC_HEAD_FILL] = {"vocab_transform", "vocab_layer_norm", "vocab_projector"},
             [SC_HEAD_CLASSES] = {"pre_classifier", NULL, "classifier"},
             [SC_HEAD_TAGS] = {NULL, NULL, "classifier"},
             [SC_HEAD_SPAN] = {NULL, NULL, "qa_outputs"}}};

static void configure(sc_config *c, void *config)
{
    sc_encoder *e = config;
    e->names = &names;
    e->norm_first = true;
    sc_encoder_configure(c, e);
    e->layers = sc_config_int(c, "n_layers", 6, 1, 1024);
    e->width = e->embed_width = sc_config_int(c, "dim", 768, 1, 1 << 20);
    e->ffn_width = sc_config_int(c, "hidden_dim", 4 * e->width, 1, 1 << 22);
    e->sparse = sc_config_blocks(c, e->layers, false, &e->blocks);
    e->attn.heads = e->attn.kv_heads = sc_config_int(c, "n_heads", 12, 1, 4096);
    e->attn.d = e->width / SC_MAX(e->attn.heads, 1);
    e->act = sc_config_activation(c, "activation", "gelu");
    e->types = 0;
    if (!c->status && e->width % e->attn.heads)
        sc_config_fault(c, "dim %lld is not a multiple of n_heads %lld", (long long)e->width,
                        (long long)e->attn.heads);
    sc_encoder_configure_head(c, e);
    e->head_act = e->head == SC_HEAD_CLASSES ? SC_UNARY_RELU : e->act;
}

const sc_family sc_family_distilbert = {.name = "distilbert",
                                        .model_types = (const char *const[]){"distilbert", NULL},
                                        .prefix = "distilbert",
                                        .config_size = sizeof(sc_encoder),
                                        .configure = configure,
                                        .build = sc_encoder_build,
                                        .describe = sc_encoder_describe};
