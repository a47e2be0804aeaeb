/* SPDX-License-Identifier: Apache-2.0 */
/* BERT (Devlin et al. 2019, arXiv:1810.04805), and what its checkpoints' names and layers are also used for: RoBERTa and
 * XLM-R (Liu et al. 2019, arXiv:1907.11692; Conneau et al. 2020, arXiv:1911.02116) with other heads and with positions that
 * begin behind the padding's, and ELECTRA (Clark et al. 2020, arXiv:2003.10555) with narrower embeddings. */
#include "models/models.h"

#define BERT_PARTS                                                                                                 \
    .word = "embeddings.word_embeddings", .position = "embeddings.position_embeddings",                            \
    .type = "embeddings.token_type_embeddings", .norm = "embeddings.LayerNorm", .layer = "encoder.layer",          \
    .attn = {.q = "attention.self.query",                                                                          \
             .k = "attention.self.key",                                                                            \
             .v = "attention.self.value",                                                                          \
             .o = "attention.output.dense"},                                                                       \
    .attn_norm = "attention.output.LayerNorm", .ffn = {.up = "intermediate.dense", .down = "output.dense"},        \
    .ffn_norm = "output.LayerNorm"

static const sc_encoder_names bert_names = {
    .root = "bert",
    BERT_PARTS,
    .pooler = "bert.pooler.dense",
    .next_sentence = "cls.seq_relationship",
    .fill_bias = "cls.predictions.bias",
    .head = {[SC_HEAD_FILL] = {"cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
                               "cls.predictions.decoder"},
             [SC_HEAD_CLASSES] = {"bert.pooler.dense", NULL, "classifier"},
             [SC_HEAD_TAGS] = {NULL, NULL, "classifier"},
             [SC_HEAD_SPAN] = {NULL, NULL, "qa_outputs"}}};

static const sc_encoder_names roberta_names = {
    .root = "roberta",
    BERT_PARTS,
    .pooler = "roberta.pooler.dense",
    .fill_bias = "lm_head.bias",
    .head = {[SC_HEAD_FILL] = {"lm_head.dense", "lm_head.layer_norm", "lm_head.decoder"},
             [SC_HEAD_CLASSES] = {"classifier.dense", NULL, "classifier.out_proj"},
             [SC_HEAD_TAGS] = {NULL, NULL, "classifier"},
             [SC_HEAD_SPAN] = {NULL, NULL, "qa_outputs"}}};

static const sc_encoder_names electra_names = {
    .root = "electra",
    BERT_PARTS,
    .project = "embeddings_project",
    .fill_bias = "generator_lm_head.bias",
    .head = {
        [SC_HEAD_FILL] = {"generator_predictions.dense", "generator_predictions.LayerNorm", "generator_lm_head"},
        [SC_HEAD_CLASSES] = {"classifier.dense", NULL, "classifier.out_proj"},
        [SC_HEAD_TAGS] = {NULL, NULL, "classifier"},
        [SC_HEAD_SPAN] = {NULL, NULL, "qa_outputs"},
        [SC_HEAD_REPLACED] = {"discriminator_predictions.dense", NULL,
                              "discriminator_predictions.dense_prediction"}}};

const sc_encoder_names sc_big_bird_names = {
    .root = "bert",
    BERT_PARTS,
    .pooler = "bert.pooler",
    .next_sentence = "cls.seq_relationship",
    .fill_bias = "cls.predictions.bias",
    .head = {[SC_HEAD_FILL] = {"cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
                               "cls.predictions.decoder"},
             [SC_HEAD_CLASSES] = {"classifier.dense", NULL, "classifier.out_proj"},
             [SC_HEAD_TAGS] = {NULL, NULL, "classifier"}}};

const sc_encoder_names sc_longformer_names = {
    .root = "longformer",
    BERT_PARTS,
    .pooler = "longformer.pooler.dense",
    .fill_bias = "lm_head.bias",
    .head = {[SC_HEAD_FILL] = {"lm_head.dense", "lm_head.layer_norm", "lm_head.decoder"},
             [SC_HEAD_CLASSES] = {"classifier.dense", NULL, "classifier.out_proj"},
             [SC_HEAD_TAGS] = {NULL, NULL, "classifier"}}};

void sc_bert_configure(sc_config *c, sc_encoder *e, const sc_encoder_names *names, sc_unary_kind classes_act)
{
    e->names = names;
    e->norm_first = true;
    sc_encoder_configure(c, e);
    sc_encoder_configure_head(c, e);
    e->head_act = e->head == SC_HEAD_CLASSES                                 ? classes_act
                  : names == &roberta_names || names == &sc_longformer_names ? SC_UNARY_GELU
                                                                             : e->act;
    if (sc_config_bool(c, "is_decoder", false)) sc_config_fault(c, "is_decoder: a causal BERT is not known");
}

static void configure_bert(sc_config *c, void *config)
{
    sc_encoder *e = config;
    sc_bert_configure(c, e, &bert_names, SC_UNARY_TANH);
    if (e->embed_width != e->width) sc_config_fault(c, "embedding_size is not hidden_size");
}

static void configure_roberta(sc_config *c, void *config)
{
    sc_encoder *e = config;
    e->first_position = sc_config_int(c, "pad_token_id", 1, 0, 1 << 24) + 1;
    sc_bert_configure(c, e, &roberta_names, SC_UNARY_TANH);
    if (e->embed_width != e->width) sc_config_fault(c, "embedding_size is not hidden_size");
}

static void configure_electra(sc_config *c, void *config)
{
    sc_encoder *e = config;
    sc_bert_configure(c, e, &electra_names, SC_UNARY_GELU);
    if (e->head == SC_HEAD_FILL) e->head_act = SC_UNARY_GELU;
}

const sc_family sc_family_bert = {.name = "bert",
                                  .model_types = (const char *const[]){"bert", NULL},
                                  .prefix = "bert",
                                  .config_size = sizeof(sc_encoder),
                                  .configure = configure_bert,
                                  .build = sc_encoder_build,
                                  .describe = sc_encoder_describe};
const sc_family sc_family_roberta = {.name = "roberta",
                                     .model_types =
                                         (const char *const[]){"roberta", "xlm-roberta", "camembert", NULL},
                                     .prefix = "roberta",
                                     .config_size = sizeof(sc_encoder),
                                     .configure = configure_roberta,
                                     .build = sc_encoder_build,
                                     .describe = sc_encoder_describe};
const sc_family sc_family_electra = {.name = "electra",
                                     .model_types = (const char *const[]){"electra", NULL},
                                     .prefix = "electra",
                                     .config_size = sizeof(sc_encoder),
                                     .configure = configure_electra,
                                     .build = sc_encoder_build,
                                     .describe = sc_encoder_describe};
