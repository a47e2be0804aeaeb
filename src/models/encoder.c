/* SPDX-License-Identifier: Apache-2.0 */
/* Encoder-only families after BERT (Devlin et al. 2019, arXiv:1810.04805): embeddings, layers in which every token sees every
 * other of its text, and a head. */
#include "models/models.h"

void sc_encoder_configure(sc_config *c, sc_encoder *e)
{
    const int64_t wide = 1 << 20;
    e->layers = sc_config_int(c, "num_hidden_layers|n_layer", 12, 1, 1024);
    e->width = sc_config_int(c, "hidden_size|n_embd", 768, 1, wide);
    e->embed_width = sc_config_int(c, "embedding_size", e->width, 1, wide);
    e->ffn_width = sc_config_int(c, "intermediate_size|n_inner", 3072, 1, 4 * wide);
    e->vocab = sc_config_int(c, "vocab_size", SC_REQUIRED, 1, 1 << 24);
    e->padding = sc_config_padding(c, e->vocab, 0);
    e->positions = sc_config_int(c, "max_position_embeddings|n_positions", 512, 1, 1 << 24);
    e->types = sc_config_int(c, "type_vocab_size", 2, 0, 1 << 16);
    e->eps = (float)sc_config_num(c, "layer_norm_eps|layer_norm_epsilon", 1e-12, 0, 1);
    e->tied = sc_config_bool(c, "tie_word_embeddings", true);
    e->act = sc_config_activation(c, "hidden_act", "gelu");
    e->project_flags = e->head_flags = e->ffn_flags = SC_BIAS;
    e->norm = SC_NORM_LAYER;
    sc_attention_config *a = &e->attn;
    a->heads = a->kv_heads = sc_config_int(c, "num_attention_heads|n_head", 12, 1, 4096);
    a->d = e->width / SC_MAX(a->heads, 1);
    a->qkv_bias = a->out_bias = SC_BIAS;
    a->bidirectional = true;
    a->names = &e->names->attn;
    e->sparse = sc_config_blocks(c, e->layers, false, &e->blocks);
    const char *kind = sc_config_str(c, "position_embedding_type", "absolute");
    bool alibi = strcmp(kind, "alibi") == 0; /* a family that knows it says so itself */
    if (strcmp(kind, "absolute") != 0 && !(alibi && a->alibi))
        sc_config_fault(c, "position_embedding_type '%s' is not known", kind);
    if (!c->status && e->width % a->heads)
        sc_config_fault(c, "hidden_size %lld is not a multiple of num_attention_heads %lld", (long long)e->width,
                        (long long)a->heads);
    if (!c->status && e->first_position >= e->positions)
        sc_config_fault(c, "max_position_embeddings %lld leaves no place after pad_token_id",
                        (long long)e->positions);
}

static sc_tensor *embed(sc_graph *g, const sc_encoder *e, sc_text_in *in)
{
    const sc_encoder_names *n = e->names;
    sc_tensor *x = sc_embedding_but(g, n->word, in->ids, e->vocab, e->embed_width, e->padding); /* (T, E) */
    if (e->embed_scale != 0) x = sc_affine(g, x, e->embed_scale, 0);
    if (n->type && e->types) x = sc_add(g, x, sc_embedding(g, n->type, in->types, e->types, e->embed_width));
    if (n->position && e->positions)
        x = sc_add(g, x,
                   sc_embedding_after(g, n->position, in->seqs.position, e->positions - e->first_position,
                                      e->first_position, e->embed_width));
    if (e->norm_first) x = sc_norm(g, e->norm, n->norm, x, e->eps);
    if (e->embed_width != e->width) x = sc_linear(g, n->project, x, e->width, e->project_flags);
    return e->norm_first ? x : sc_norm(g, e->norm, n->norm, x, e->eps);
}

sc_attention_config sc_encoder_attention_config(const sc_encoder *e, int64_t i)
{
    sc_attention_config a = e->attn;
    if (e->sparse && e->sparse[i]) a.blocks = e->blocks;
    return a;
}

/* x (T, C) */
static sc_tensor *block(sc_graph *g, const sc_encoder *e, int64_t i, sc_text_in *in, sc_tensor *const *shared,
                        sc_tensor *x)
{
    const sc_encoder_names *n = e->names;
    sc_attention_config a = sc_encoder_attention_config(e, i);
    sc_tensor *h = e->mixer ? e->mixer(g, e, i, in, shared, x) : sc_self_attention(g, NULL, x, in, &a);
    x = sc_layer_norm(g, n->attn_norm, sc_add(g, h, x), e->eps);
    h = sc_ffn(g, NULL, x, e->ffn_width, e->act, e->ffn_flags, &n->ffn);
    return sc_layer_norm(g, n->ffn_norm, sc_add(g, h, x), e->eps);
}

sc_tensor *sc_encoder_build(sc_graph *g, const void *encoder, sc_text_in *in)
{
    const sc_encoder *e = encoder;
    sc_tensor *shared[2] = {NULL, NULL};
    sc_scope_push(g, "%s", e->names->root);
    sc_tensor *x = embed(g, e, in); /* (T, C) */
    if (e->prepare) e->prepare(g, e, in, shared);
    for (int64_t i = 0; i < e->layers; i++) {
        sc_tap(g, x, "hidden_states.%d", (int)i);
        sc_tensor *from = x;
        sc_scope_push(g, "%s.%d", e->names->layer, (int)i);
        x = (e->block ? e->block : block)(g, e, i, in, shared, x);
        sc_scope_pop(g);
        if (e->beside) x = e->beside(g, e, i, in, from, x);
    }
    if (e->names->final_norm) x = sc_norm(g, e->norm, e->names->final_norm, x, e->eps);
    sc_tap(g, x, "hidden_states.%d", (int)e->layers);
    sc_scope_pop(g);
    return sc_encoder_head(g, e, in, x);
}

void sc_encoder_describe(const void *encoder, sc_model_info *info)
{
    const sc_encoder *e = encoder;
    info->layers = e->layers;
    info->width = e->width;
    info->heads = info->kv_heads = e->attn.heads;
    info->head_dim = e->attn.d;
    info->vocab = e->vocab;
    info->context = e->positions ? e->positions - e->first_position : 0;
    info->tied = e->tied;
    info->head = e->head;
    info->labels = e->head == SC_HEAD_CLASSES || e->head == SC_HEAD_TAGS ? e->labels : 0;
    info->first_position = e->first_position;
    info->token_types = e->types;
}

const sc_encoder *sc_model_encoder(const sc_model *m)
{
    return m->family->build == sc_encoder_build ? m->config : NULL;
}
