/* SPDX-License-Identifier: Apache-2.0 */
/* ModernBERT (Warner et al. 2024, arXiv:2412.13663): rotary positions, norms before the parts, a gated feed-forward, no
 * biases, and layers that see only a window to each side between those that see all. */
#include "models/models.h"

typedef struct modernbert {
    sc_encoder e;
    bool *local;            /* of each layer */
    int64_t window;         /* of the local ones */
    sc_rope_params rope[2]; /* of layers that see all, of local ones */
    unsigned mlp_flags;
} modernbert;

static const sc_encoder_names names = {.root = "model",
                                       .word = "embeddings.tok_embeddings",
                                       .norm = "embeddings.norm",
                                       .layer = "layers",
                                       .attn = {.qkv = "attn.Wqkv", .o = "attn.Wo"},
                                       .ffn = {.gate_up = "mlp.Wi", .down = "mlp.Wo"},
                                       .final_norm = "final_norm",
                                       .fill_bias = "decoder.bias",
                                       .head = {[SC_HEAD_FILL] = {"head.dense", "head.norm", "decoder"},
                                                [SC_HEAD_CLASSES] = {"head.dense", "head.norm", "classifier"},
                                                [SC_HEAD_TAGS] = {"head.dense", "head.norm", "classifier"},
                                                [SC_HEAD_SPAN] = {"head.dense", "head.norm", "classifier"}}};

static void prepare(sc_graph *g, const sc_encoder *e, sc_text_in *in, sc_tensor **shared)
{
    const modernbert *m = (const modernbert *)e;
    for (int i = 0; i < 2; i++) shared[i] = sc_rope_table(g, &in->seqs, &m->rope[i]);
}

/* x (T, C) */
static sc_tensor *block(sc_graph *g, const sc_encoder *e, int64_t i, sc_text_in *in, sc_tensor *const *shared,
                        sc_tensor *x)
{
    const modernbert *m = (const modernbert *)e;
    sc_attention_config attn = sc_encoder_attention_config(e, i);
    attn.rope = shared[m->local[i]];
    attn.window = m->local[i] ? m->window : 0;
    /* The embeddings' norm is the first layer's. */
    sc_tensor *h = i ? sc_norm(g, e->norm, "attn_norm", x, e->eps) : x;
    x = sc_add(g, sc_self_attention(g, NULL, h, in, &attn), x);
    h = sc_norm(g, e->norm, "mlp_norm", x, e->eps);
    return sc_add(g, sc_ffn(g, NULL, h, e->ffn_width, e->act, m->mlp_flags, &e->names->ffn), x);
}

/* rope_parameters (transformers 5: one for each kind of layer) or, before, a base for each kind. */
static void configure_rope(sc_config *c, modernbert *m)
{
    static const char *const kind[] = {"full_attention", "sliding_attention"};
    static const char *const old[] = {"global_rope_theta", "local_rope_theta"};
    for (int i = 0; i < 2; i++) {
        double theta = sc_config_num(c, old[i], i ? 1e4 : 1.6e5, 1, 1e12);
        const json_t *nested = json_object_get(json_object_get(c->json, "rope_parameters"), kind[i]);
        sc_config r = {.json = nested ? nested : c->json, .what = c->what, .arena = c->arena, .status = c->status};
        if (nested) theta = sc_config_num(&r, "rope_theta", theta, 1, 1e12);
        const char *type = nested ? sc_config_str(&r, "rope_type", "default") : "default";
        c->status = r.status;
        if (strcmp(type, "default") != 0) sc_config_fault(c, "rope type '%s' for %s is not known", type, kind[i]);
        m->rope[i] = (sc_rope_params){.type = SC_ROPE_DEFAULT,
                                      .dim = m->e.attn.d,
                                      .theta = theta,
                                      .max_positions = m->e.positions,
                                      .original_max_positions = m->e.positions};
    }
    if (m->e.attn.d % 2) sc_config_fault(c, "heads of %lld cannot be rotated", (long long)m->e.attn.d);
}

static void configure_layers(sc_config *c, modernbert *m)
{
    int64_t n = m->e.layers, every = sc_config_int(c, "global_attn_every_n_layers", 3, 1, 1024);
    const json_t *types = json_object_get(c->json, "layer_types");
    if (!(m->local = sc_arena_alloc(c->arena, (size_t)n))) {
        c->status = sc_nomem();
        return;
    }
    bool given = json_is_array(types);
    if (given && (int64_t)json_array_size(types) != n)
        sc_config_fault(c, "layer_types is not a list of %lld layers", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        const char *type = given ? json_string_value(json_array_get(types, (size_t)i)) : NULL;
        bool sparse = m->e.sparse && m->e.sparse[i];
        m->local[i] = given ? type && strcmp(type, "sliding_attention") == 0 : !sparse && i % every != 0;
        if (given && !m->local[i] && !sparse && (!type || strcmp(type, "full_attention") != 0))
            sc_config_fault(c, "layer_types[%lld] is '%s', which is not known", (long long)i,
                            type ? type : "no text");
    }
}

static void configure(sc_config *c, void *config)
{
    modernbert *m = config;
    sc_encoder *e = &m->e;
    e->names = &names;
    sc_encoder_configure(c, e);
    e->ffn_width = sc_config_int(c, "intermediate_size", 1152, 1, 1 << 22);
    e->positions = sc_config_int(c, "max_position_embeddings", 8192, 1, 1 << 30);
    e->eps = (float)sc_config_num(c, "norm_eps", 1e-5, 0, 1);
    e->norm = sc_config_bool(c, "norm_bias", false) ? SC_NORM_LAYER : SC_NORM_LAYER_WEIGHT;
    e->act = sc_config_activation(c, "hidden_activation", "gelu");
    e->types = 0;
    e->prepare = prepare;
    e->block = block;
    m->window = SC_MAX(sc_config_int(c, "local_attention", 128, 0, 1 << 30), 1);
    e->attn.qkv = SC_QKV_JOINED;
    e->attn.qkv_bias = e->attn.out_bias = sc_config_bool(c, "attention_bias", false) ? SC_BIAS : 0;
    m->mlp_flags = sc_config_bool(c, "mlp_bias", false) ? SC_BIAS : 0;
    configure_rope(c, m);
    configure_layers(c, m);
    sc_encoder_configure_head(c, e);
    if (!sc_config_bool(c, "decoder_bias", true)) e->fill_bias = NULL;
    e->head_flags = sc_config_bool(c, "classifier_bias", false) ? SC_BIAS : 0;
    e->head_act = sc_config_activation(c, "classifier_activation", "gelu");
    const char *pool = sc_config_str(c, "classifier_pooling", "cls");
    e->pool = strcmp(pool, "mean") == 0 ? SC_POOL_MEAN : SC_POOL_FIRST;
    if (e->pool != SC_POOL_MEAN && strcmp(pool, "cls") != 0)
        sc_config_fault(c, "classifier_pooling '%s' is not known", pool);
}

sc_status sc_modernbert_write(sc_gguf_writer *w, const sc_model *m, const char *arch)
{
    const modernbert *b = m->config;
    char name[256];
    bool usual = true; /* every third layer sees all, from the first on */
    for (int64_t i = 0; i < b->e.layers; i++) usual &= b->local[i] == (i % 3 != 0);
    snprintf(name, sizeof name, "%s.attention.sliding_window", arch);
    sc_status s = sc_gguf_writer_int(w, name, SC_GGUF_U32, b->window);
    snprintf(name, sizeof name, "%s.attention.sliding_window_pattern", arch);
    if (!s && !usual) s = sc_gguf_writer_array(w, name, SC_GGUF_BOOL, b->local, b->e.layers);
    for (int i = 0; !s && i < 2; i++) {
        snprintf(name, sizeof name, "%s.rope.freq_base%s", arch, i ? "_swa" : "");
        s = sc_gguf_writer_num(w, name, SC_GGUF_F32, b->rope[i].theta);
    }
    return s;
}

const sc_family sc_family_modernbert = {.name = "modernbert",
                                        .model_types = (const char *const[]){"modernbert", NULL},
                                        .prefix = "model",
                                        .config_size = sizeof(modernbert),
                                        .configure = configure,
                                        .build = sc_encoder_build,
                                        .describe = sc_encoder_describe};
