/* SPDX-License-Identifier: Apache-2.0 */
#include "models/models.h"

#include <math.h>

/* Which layers have a sliding window: "layer_types" where given, else those from `first` on but each n-th (0: none of
 * them is left out). Where a family has a mixer of its own, a layer may be of its kind. */
static const bool *sliding_layers(sc_config *c, const sc_decoder *d, int64_t first, int64_t n)
{
    int64_t layers = d->layers;
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
        sliding[i] =
            given ? type && strcmp(type, "sliding_attention") == 0 : i >= first && !(n > 0 && (i + 1) % n == 0);
        bool own =
            type && ((d->mixer && strcmp(type, "linear_attention") == 0) || strcmp(type, "block_sparse") == 0);
        if (given && !sliding[i] && !own && (!type || strcmp(type, "full_attention") != 0))
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
    d->sliding = sliding_layers(c, d, first, 0);
}

void sc_decoder_window_pattern(sc_config *c, sc_decoder *d, int64_t otherwise)
{
    const char *key = "sliding_window_pattern|_sliding_window_pattern";
    const json_t *text = json_object_get(c->json, "sliding_window_pattern");
    /* EXAONE may write it as "LLLG". */
    int64_t n =
        json_is_string(text) ? (int64_t)json_string_length(text) : sc_config_int(c, key, otherwise, 0, 1 << 20);
    d->sliding = sliding_layers(c, d, 0, n);
}

static int64_t or_required(int64_t preset) { return preset ? preset : SC_REQUIRED; }

static void llama_names(sc_decoder_names *n)
{
    *n = (sc_decoder_names){
        .model = "model",
        .embed = "embed_tokens",
        .layer = "layers",
        .attn_norm = "input_layernorm",
        .attn = "self_attn",
        .ffn_norm = "post_attention_layernorm",
        .ffn = "mlp",
        .norm = "norm",
        .head = "lm_head",
        .in_attn = {"q_proj", "k_proj", "v_proj", "qkv_proj", "o_proj", "q_norm", "k_norm"},
        .in_ffn = {.gate = "gate_proj", .up = "up_proj", .down = "down_proj"},
    };
}

static void configure_attention(sc_config *c, sc_decoder *d)
{
    sc_attention_config *a = &d->attn;
    a->heads = sc_config_int(c, "num_attention_heads|n_head", or_required(a->heads), 1, 4096);
    a->kv_heads = sc_config_int(c, "num_key_value_heads", a->kv_heads ? a->kv_heads : a->heads, 1, 4096);
    bool follows = !a->d && !sc_config_has(c, "head_dim");
    a->d = sc_config_int(c, "head_dim", a->d ? a->d : d->width / SC_MAX(a->heads, 1), 1, 4096);
    if (follows && d->width % SC_MAX(a->heads, 1))
        sc_config_fault(c, "a width of %lld is not a multiple of %lld heads", (long long)d->width,
                        (long long)a->heads);
    a->neighbours = sc_config_bool(c, "rope_interleave", a->neighbours);
    a->eps = d->eps;
    if (a->kv_heads && a->heads % a->kv_heads)
        sc_config_fault(c, "num_attention_heads %lld is not a multiple of num_key_value_heads %lld",
                        (long long)a->heads, (long long)a->kv_heads);
    if (d->position != SC_POSITION_ROPE) return;
    d->rope.dim = (int64_t)((double)a->d * d->rotary_share);
    sc_config_rope(c, a->d, &d->rope);
    /* These two stretch max_position_embeddings; the other scalings already say the stretched length there. */
    if (d->rope.type == SC_ROPE_LINEAR || d->rope.type == SC_ROPE_DYNAMIC)
        d->context = (int64_t)((double)d->context * SC_MAX(d->rope.factor, 1));
}

void sc_decoder_configure(sc_config *c, sc_decoder *d)
{
    const int64_t wide = 1 << 20;
    d->layers = sc_config_int(c, "num_hidden_layers|n_layer|num_layers", or_required(d->layers), 1, 1024);
    d->width = sc_config_int(c, "hidden_size|n_embd|n_embed", or_required(d->width), 1, wide);
    d->ffn_width = sc_config_int(c, "intermediate_size|ffn_dim|n_inner", or_required(d->ffn_width), 1, wide * 4);
    d->vocab = sc_config_int(c, "vocab_size", or_required(d->vocab), 1, 1 << 24);
    d->padding = sc_config_padding(c, d->vocab, -1);
    d->context = sc_config_int(c, "max_position_embeddings|n_positions|seq_length", d->context ? d->context : 2048,
                               1, (int64_t)1 << 30);
    d->eps = (float)sc_config_num(c, "rms_norm_eps|layer_norm_eps|layer_norm_epsilon|norm_epsilon",
                                  d->eps > 0 ? d->eps : 1e-6, 0, 1);
    d->tied = sc_config_bool(c, "tie_word_embeddings", d->tied);
    d->valued = sc_config_bool(c, "value_head", false);
    d->act = sc_config_activation(c, "hidden_act|activation_function|hidden_activation",
                                  d->act_default ? d->act_default : "silu");
    configure_attention(c, d);
    d->window = sc_config_int(c, "sliding_window", d->window, 0, (int64_t)1 << 30);
    d->sliding = sliding_layers(c, d, 0, 0);
    d->sparse = sc_config_blocks(c, d->layers, true, &d->blocks);
    llama_names(&d->names);
}

/* ---- the graph ---- */

sc_attention_config sc_decoder_attention_config(const sc_decoder *d, int64_t i, const sc_text_in *in)
{
    sc_attention_config a = d->attn;
    bool windowed = d->window > 0 && d->sliding[i];
    if (d->sparse && d->sparse[i]) {
        a.blocks = d->blocks;
        windowed = false;
    }
    a.window = windowed ? d->window : 0;
    a.rope = d->rotated && !d->rotated[i] ? NULL : windowed && in->rope_local ? in->rope_local : in->rope;
    a.names = &d->names.in_attn;
    if (d->scale_by_layer) a.scale = (a.scale > 0 ? a.scale : 1 / sqrtf((float)a.d)) / (float)(i + 1);
    return a;
}

sc_tensor *sc_decoder_attention(sc_graph *g, const sc_decoder *d, int64_t i, sc_text_in *in, sc_tensor *x)
{
    sc_attention_config a = sc_decoder_attention_config(d, i, in);
    return sc_self_attention(g, d->names.attn, x, in, &a);
}

sc_tensor *sc_decoder_ffn(sc_graph *g, const sc_decoder *d, int64_t i, sc_text_in *in, sc_tensor *x)
{
    (void)i;
    (void)in;
    return sc_ffn(g, d->names.ffn, x, d->ffn_width, d->act, d->mlp_bias, &d->names.in_ffn);
}

/* x itself where the norm has no name. */
static sc_tensor *norm(sc_graph *g, const sc_decoder *d, const char *name, sc_tensor *x)
{
    return name ? sc_norm(g, d->norm, name, x, d->eps) : x;
}

static sc_tensor *scaled(sc_graph *g, sc_tensor *x, float factor)
{
    return factor != 0 && factor != 1 ? sc_affine(g, x, factor, 0) : x;
}

/* x + after(y). */
static sc_tensor *residual(sc_graph *g, const sc_decoder *d, sc_tensor *x, sc_tensor *y, const char *after)
{
    if (d->norm_sum) return norm(g, d, after, sc_add(g, x, y));
    return sc_add(g, x, scaled(g, norm(g, d, after, y), d->residual_scale));
}

/* x (T, C) */
static sc_tensor *block(sc_graph *g, const sc_decoder *d, int64_t i, sc_text_in *in, sc_tensor *x)
{
    const sc_decoder_names *n = &d->names;
    sc_decoder_part *mix = d->mixer ? d->mixer : sc_decoder_attention, *ffn = d->ffn ? d->ffn : sc_decoder_ffn;
    sc_tensor *h = norm(g, d, n->attn_norm, x), *mixed = mix(g, d, i, in, h);
    if (d->parallel) {
        if (n->ffn_norm) h = norm(g, d, n->ffn_norm, x);
        x = residual(g, d, x, mixed, n->attn_after);
        return residual(g, d, x, ffn(g, d, i, in, h), n->ffn_after);
    }
    x = residual(g, d, d->residual_normed ? h : x, mixed, n->attn_after);
    h = norm(g, d, n->ffn_norm, x);
    return residual(g, d, d->residual_normed ? h : x, ffn(g, d, i, in, h), n->ffn_after);
}

/* (T, C) */
static sc_tensor *embed(sc_graph *g, const sc_decoder *d, sc_text_in *in)
{
    const sc_decoder_names *n = &d->names;
    sc_tensor *x =
        sc_embedding_but(g, n->embed, in->ids, d->vocab, d->embed_width ? d->embed_width : d->width, d->padding);
    if (n->embed_in) x = sc_linear(g, n->embed_in, x, d->width, 0);
    x = norm(g, d, n->embed_norm, scaled(g, x, d->embed_scale));
    if (d->position != SC_POSITION_LEARNED) return x;
    return sc_add(g, x,
                  sc_embedding_after(g, n->positions, in->seqs.position, d->context, d->position_skip, d->width));
}

static sc_tensor *head(sc_graph *g, const sc_decoder *d, sc_text_in *in, sc_tensor *x)
{
    const sc_decoder_names *n = &d->names;
    if (!in->labels) x = sc_wanted_rows(g, in, x);
    if (d->valued) sc_tap(g, sc_linear(g, "v_head.summary", x, 1, SC_BIAS), "value");
    if (n->embed_out) {
        sc_scope_push(g, "%s", n->model);
        x = sc_linear(g, n->embed_out, x, d->embed_width, 0);
        sc_scope_pop(g);
    }
    if (in->labels) return sc_score_head(g, in, x);
    if (d->tied) {
        sc_scope_push(g, "%s", n->model);
        x = sc_linear(g, n->embed, x, d->vocab, 0);
        sc_scope_pop(g);
        if (d->head_bias) { /* which is the head's own */
            sc_scope_push(g, "%s", n->head);
            x = sc_add(g, x, sc_param(g, "bias", (sc_init){SC_INIT_ZEROS, 0}, 1, &d->vocab));
            sc_scope_pop(g);
        }
    } else {
        x = sc_linear(g, n->head, x, d->vocab, d->head_bias);
    }
    x = scaled(g, x, d->logit_scale);
    if (d->logit_cap <= 0) return x;
    return sc_affine(g, sc_unary(g, SC_UNARY_TANH, sc_affine(g, x, 1 / d->logit_cap, 0)), d->logit_cap, 0);
}

sc_tensor *sc_decoder_build(sc_graph *g, const void *decoder, sc_text_in *in)
{
    const sc_decoder *d = decoder;
    if (d->position == SC_POSITION_ROPE) in->rope = sc_rope_table(g, &in->seqs, &d->rope);
    if (d->local_rope.dim > 0) in->rope_local = sc_rope_table(g, &in->seqs, &d->local_rope);
    sc_scope_push(g, "%s", d->names.model);
    sc_tensor *x = embed(g, d, in);
    for (int64_t i = 0; i < d->layers; i++) {
        sc_tap(g, x, "hidden_states.%d", (int)i);
        sc_scope_push(g, "%s.%d", d->names.layer, (int)i);
        x = block(g, d, i, in, x);
        sc_scope_pop(g);
    }
    x = norm(g, d, d->names.norm, x);
    if (!d->names.embed_out) sc_tap(g, x, "hidden_states.%d", (int)d->layers); /* else it is not the output */
    sc_scope_pop(g);
    return head(g, d, in, x);
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

const sc_decoder *sc_model_decoder(const sc_model *m)
{
    return m->family->build == sc_decoder_build ? m->config : NULL;
}
