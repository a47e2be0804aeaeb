/* SPDX-License-Identifier: Apache-2.0 */
/* Nomic BERT (Nussbaum et al. 2024, arXiv:2402.01613): BERT with rotary positions, gated feed-forwards and hardly a bias. Its
 * configurations have two forms: GPT-2's keys, with "rotary_emb_base" and "activation_function", and transformers' own. */
#include "models/models.h"

typedef struct nomic_bert {
    sc_encoder e;
    sc_rope_params rope;
} nomic_bert;

static const sc_encoder_names names = {
    .root = "nomic_bert",
    .word = "embeddings.word_embeddings",
    .type = "embeddings.token_type_embeddings",
    .norm = "emb_ln",
    .layer = "encoder.layers",
    .attn = {.qkv = "attn.Wqkv", .o = "attn.out_proj"},
    .attn_norm = "norm1",
    .ffn = {.gate = "mlp.fc12", .up = "mlp.fc11", .down = "mlp.fc2"},
    .ffn_norm = "norm2",
    .pooler = "nomic_bert.pooler.dense",
    .fill_bias = "cls.predictions.bias",
    .head = {[SC_HEAD_FILL] = {"cls.predictions.transform.dense", "cls.predictions.transform.layer_norm",
                               "cls.predictions.decoder"},
             [SC_HEAD_CLASSES] = {"nomic_bert.pooler.dense", NULL, "classifier"},
             [SC_HEAD_TAGS] = {NULL, NULL, "classifier"}}};

static void prepare(sc_graph *g, const sc_encoder *e, sc_text_in *in, sc_tensor **shared)
{
    *shared = sc_rope_table(g, &in->seqs, &((const nomic_bert *)e)->rope);
}

static sc_tensor *mixer(sc_graph *g, const sc_encoder *e, int64_t i, sc_text_in *in, sc_tensor *const *shared,
                        sc_tensor *x)
{
    sc_attention_config a = sc_encoder_attention_config(e, i);
    a.rope = *shared;
    return sc_self_attention(g, NULL, x, in, &a);
}

static void configure_rope(sc_config *c, nomic_bert *m)
{
    double share = sc_config_num(c, "rotary_emb_fraction", 1, 0, 1);
    double stretch = sc_config_num(c, "rotary_scaling_factor", 0, 0, 1e6);
    int64_t trained = sc_config_int(c, "max_trained_positions", 2048, 1, 1 << 24);
    m->rope = (sc_rope_params){.theta = sc_config_num(c, "rotary_emb_base", 1000, 1, 1e12),
                               .dim = (int64_t)((double)m->e.attn.d * share)};
    sc_config_rope(c, m->e.attn.d, &m->rope);
    if (stretch > 0) {
        m->rope.type = SC_ROPE_DYNAMIC;
        m->rope.factor = stretch;
        m->rope.max_positions = m->rope.original_max_positions = trained;
    }
    m->e.attn.neighbours = sc_config_bool(c, "rotary_emb_interleaved", false);
}

/* "swiglu" and "geglu" name gates and all; else hidden_act is the gate's. */
static void configure_feed_forward(sc_config *c, sc_encoder *e)
{
    const char *act = sc_config_str(c, "activation_function", "");
    e->act = sc_config_activation(c, "hidden_act", "silu");
    if (strcmp(act, "swiglu") == 0)
        e->act = SC_UNARY_SILU;
    else if (strcmp(act, "geglu") == 0)
        e->act = SC_UNARY_GELU;
    else if (act[0])
        sc_config_fault(c, "activation_function '%s' is not swiglu or geglu", act);
    bool up = sc_config_bool(c, "mlp_fc1_bias", false), down = sc_config_bool(c, "mlp_fc2_bias", false);
    e->ffn_flags = up ? SC_BIAS : down ? SC_BIAS_DOWN : 0;
    if (up && !down) sc_config_fault(c, "mlp_fc1_bias without mlp_fc2_bias is not known");
}

static void configure(sc_config *c, void *config)
{
    static const char *const others[] = {"prenorm", "use_rms_norm", "causal", "parallel_block",
                                         "moe_every_n_layers"};
    nomic_bert *m = config;
    sc_encoder *e = &m->e;
    e->names = &names;
    sc_encoder_configure(c, e);
    e->positions = sc_config_int(c, "max_position_embeddings|n_positions", 2048, 1, 1 << 24);
    e->prepare = prepare;
    e->mixer = mixer;
    e->attn.qkv = SC_QKV_JOINED;
    e->attn.qkv_bias = e->attn.out_bias = sc_config_bool(c, "qkv_proj_bias", false) ? SC_BIAS : 0;
    configure_rope(c, m);
    configure_feed_forward(c, e);
    for (int i = 0; i < SC_COUNT(others); i++) {
        const json_t *v = json_object_get(c->json, others[i]);
        if (json_is_true(v) || json_integer_value(v) > 0)
            sc_config_fault(c, "%s: a Nomic BERT of this kind is not known", others[i]);
    }
    sc_encoder_configure_head(c, e);
    e->head_act = e->head == SC_HEAD_CLASSES ? SC_UNARY_TANH : e->act;
}

double sc_nomic_bert_theta(const sc_model *m) { return ((const nomic_bert *)m->config)->rope.theta; }

const sc_family sc_family_nomic_bert = {.name = "nomic_bert",
                                        .model_types = (const char *const[]){"nomic_bert", NULL},
                                        .prefix = "nomic_bert",
                                        .config_size = sizeof(nomic_bert),
                                        .configure = configure,
                                        .build = sc_encoder_build,
                                        .describe = sc_encoder_describe};
