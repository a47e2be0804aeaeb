/* SPDX-License-Identifier: Apache-2.0 */
#include "models/models.h"

/* Which layers have a sliding window: "layer_types" where given, else those from `first` on. */
static const bool *sliding_layers(sc_config *c, int64_t layers, int64_t first)
{
    bool *sliding = sc_arena_alloc(c->arena, (size_t)layers);
    const json_t *types = json_object_get(c->json, "layer_types");
    if (!sliding) {
        c->status = sc_nomem();
        return NULL;
    }
    bool given = types && !json_is_null(types);
    if (given && (!json_is_array(types) || (int64_t)json_array_size(types) != layers))
        sc_config_fault(c, "layer_types is not a list of %lld layers", (long long)layers);
    for (int64_t i = 0; i < layers; i++) {
        const char *type = json_string_value(json_array_get(types, (size_t)i));
        sliding[i] = given ? type && strcmp(type, "sliding_attention") == 0 : i >= first;
        if (given && !sliding[i] && (!type || strcmp(type, "full_attention") != 0))
            sc_config_fault(c, "layer_types[%lld] is '%s', which is not known", (long long)i,
                            type ? type : "no text");
    }
    return sliding;
}

void sc_decoder_late_windows(sc_config *c, sc_decoder *d)
{
    int64_t first = sc_config_int(c, "max_window_layers", 28, 0, 1 << 20);
    if (!json_object_get(c->json, "sliding_window")) d->window = 4096; /* null says none */
    if (!sc_config_bool(c, "use_sliding_window", false)) d->window = 0;
    d->sliding = sliding_layers(c, d->layers, first);
}

void sc_decoder_configure(sc_config *c, sc_decoder *d)
{
    const int64_t wide = 1 << 20;
    d->layers = sc_config_int(c, "num_hidden_layers", SC_REQUIRED, 1, 1024);
    d->width = sc_config_int(c, "hidden_size", SC_REQUIRED, 1, wide);
    d->ffn_width = sc_config_int(c, "intermediate_size", SC_REQUIRED, 1, wide * 4);
    d->vocab = sc_config_int(c, "vocab_size", SC_REQUIRED, 1, 1 << 24);
    d->context = sc_config_int(c, "max_position_embeddings", 2048, 1, (int64_t)1 << 30);
    d->eps = (float)sc_config_num(c, "rms_norm_eps", 1e-6, 0, 1);
    d->tied = sc_config_bool(c, "tie_word_embeddings", false);
    d->act = sc_config_activation(c, "hidden_act", "silu");
    sc_attention_config *a = &d->attn;
    a->heads = sc_config_int(c, "num_attention_heads", SC_REQUIRED, 1, 4096);
    a->kv_heads = sc_config_int(c, "num_key_value_heads", a->heads, 1, 4096);
    a->d = sc_config_int(c, "head_dim", a->d ? a->d : d->width / SC_MAX(a->heads, 1), 1, 4096);
    a->neighbours = sc_config_bool(c, "rope_interleave", false);
    if (a->kv_heads && a->heads % a->kv_heads)
        sc_config_fault(c, "num_attention_heads %lld is not a multiple of num_key_value_heads %lld",
                        (long long)a->heads, (long long)a->kv_heads);
    sc_config_rope(c, a->d, &d->rope);
    /* These two stretch max_position_embeddings; the other scalings already say the stretched length there. */
    if (d->rope.type == SC_ROPE_LINEAR || d->rope.type == SC_ROPE_DYNAMIC)
        d->context = (int64_t)((double)d->context * SC_MAX(d->rope.factor, 1));
    d->window = sc_config_int(c, "sliding_window", 0, 0, (int64_t)1 << 30);
    d->sliding = sliding_layers(c, d->layers, 0);
}

/* x (T, C) */
static sc_tensor *block(sc_graph *g, const sc_decoder *d, int64_t i, sc_text_in *in,
                        const sc_attention_config *attn, sc_tensor *x)
{
    sc_tensor *h = sc_rms_norm(g, "input_layernorm", x, d->eps);
    x = sc_add(g, x, d->mixer ? d->mixer(g, d, i, in, h) : sc_self_attention(g, "self_attn", h, in, attn));
    h = sc_rms_norm(g, "post_attention_layernorm", x, d->eps);
    return sc_add(g, x, d->ffn ? d->ffn(g, d, i, in, h) : sc_glu(g, "mlp", h, d->ffn_width, d->act, d->mlp_bias));
}

sc_tensor *sc_decoder_build(sc_graph *g, const void *decoder, sc_text_in *in)
{
    const sc_decoder *d = decoder;
    sc_attention_config attn = d->attn;
    attn.rope = sc_rope_table(g, &in->seqs, &d->rope);
    sc_scope_push(g, "model");
    sc_tensor *x = sc_embedding(g, "embed_tokens", in->ids, d->vocab, d->width); /* (T, C) */
    for (int64_t i = 0; i < d->layers; i++) {
        attn.window = d->sliding[i] ? d->window : 0;
        sc_tap(g, x, "hidden_states.%d", (int)i);
        sc_scope_push(g, "layers.%d", (int)i);
        x = block(g, d, i, in, &attn, x);
        sc_scope_pop(g);
    }
    x = sc_rms_norm(g, "norm", x, d->eps);
    sc_tap(g, x, "hidden_states.%d", (int)d->layers);
    sc_scope_pop(g);
    return sc_lm_head(g, in, d->tied ? "model.embed_tokens" : "lm_head", x, d->vocab);
}

void sc_decoder_describe(const void *decoder, sc_model_info *info)
{
    const sc_decoder *d = decoder;
    info->layers = d->layers;
    info->width = d->width;
    info->heads = d->attn.heads;
    info->kv_heads = d->attn.kv_heads;
    info->head_dim = d->attn.d;
    info->vocab = d->vocab;
    info->context = d->context;
    info->tied = d->tied;
}
