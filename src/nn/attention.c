/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/nn.h"

#include <math.h>

static const sc_attention_names llama = {.q = "q_proj",
                                         .k = "k_proj",
                                         .v = "v_proj",
                                         .qkv = "qkv_proj",
                                         .o = "o_proj",
                                         .q_norm = "q_norm",
                                         .k_norm = "k_norm"};

static sc_tensor *heads_of(sc_graph *g, sc_tensor *x, int64_t heads, int64_t d)
{
    return x && x->shape.rank == 3 ? x : sc_reshape(g, x, 3, (int64_t[]){-1, heads, d});
}

/* x (T, heads * d) → (T, heads, d), normed. */
static sc_tensor *norm_heads(sc_graph *g, const sc_attention_config *c, const char *name, sc_tensor *x,
                             int64_t heads)
{
    switch (c->head_norm) {
    case SC_QK_NORM_NONE: break;
    case SC_QK_NORM_ALL: /* over heads that lie side by side */
        x = sc_reshape(g, x, 2, (int64_t[]){-1, heads * c->d});
        return heads_of(g, sc_norm(g, c->head_norm_kind, name, x, c->eps), heads, c->d);
    case SC_QK_NORM_HEAD: return sc_norm(g, c->head_norm_kind, name, heads_of(g, x, heads, c->d), c->eps);
    case SC_QK_NORM_EACH:
        x = sc_apply_layer_norm(g, heads_of(g, x, heads, c->d), NULL, NULL, c->eps);
        sc_scope_push(g, "%s", name);
        x = sc_mul(g, x, sc_param(g, "weight", (sc_init){SC_INIT_ONES, 0}, 2, (int64_t[]){heads, c->d}));
        sc_scope_pop(g);
        return x;
    }
    return heads_of(g, x, heads, c->d);
}

/* x (T, H, D), the keys (or values) of a layer, with those that an adapter gives its virtual tokens. */
static sc_tensor *with_prefix(sc_graph *g, sc_text_in *in, int64_t which, sc_tensor *x)
{
    const sc_prompt *p = g->params ? &g->params->prompt : NULL;
    if (g->status || !x || !p || !p->layers) return x;
    int64_t heads = x->shape.dim[1], d = x->shape.dim[2];
    if (which >= 2 * p->layers || p->width != heads * d)
        return sc_graph_fault(g,
                              sc_fail(SC_ESHAPE,
                                      "an adapter for another model: its prefix is for %lld layers with keys %lld "
                                      "wide",
                                      (long long)p->layers, (long long)p->width));
    if (!in->virtual_rows) in->virtual_rows = sc_virtual_rows(g, in->ids, p->vocab);
    sc_tensor *place = sc_reshape(g, sc_slice(g, in->virtual_rows, 0, 0, 1), 1, (int64_t[]){-1});
    sc_storage part = {.dtype = p->table.dtype,
                       .stride = {p->width, 1},
                       .data = (float *)p->table.data + which * p->rows * p->width,
                       .buffer = p->table.buffer};
    sc_tensor *own = sc_graph_constant(g, "prefix", &(sc_shape){2, {p->rows, p->width}}, &part);
    x = sc_rows_and(g, sc_reshape(g, x, 2, (int64_t[]){-1, p->width}), own, place);
    return sc_reshape(g, x, 3, (int64_t[]){-1, heads, d});
}

sc_tensor *sc_attend(sc_graph *g, sc_text_in *in, const sc_attention_config *c, sc_tensor *q, sc_tensor *k,
                     sc_tensor *v)
{
    const sc_attention_names *names = c->names ? c->names : &llama;
    sc_attention_attr attr = {.scale = c->scale > 0 ? c->scale : (float)(1 / sqrt((double)c->d)),
                              .causal = !c->bidirectional,
                              .window = c->window,
                              .globals = c->globals,
                              .blocks = c->blocks,
                              .cap = c->cap,
                              .alibi = c->alibi,
                              .bias = c->bias,
                              .sinks = c->sinks};
    int layer = c->bidirectional ? 0 : sc_cache_next(g, in, c->kv_heads, c->d, c->d);
    if (layer < 0) return NULL;
    q = norm_heads(g, c, names->q_norm, q, c->heads);
    k = norm_heads(g, c, names->k_norm, k, c->kv_heads);
    v = heads_of(g, v, c->kv_heads, c->d);
    if (c->rope) {
        q = sc_rope(g, q, c->rope, c->neighbours);
        k = sc_rope(g, k, c->rope, c->neighbours);
    }
    if (!c->bidirectional) {
        k = with_prefix(g, in, 2 * layer, k);
        v = with_prefix(g, in, 2 * layer + 1, v);
    }
    sc_tensor *y;
    if (in->cache && !c->bidirectional) {
        sc_kv kv = sc_cache_layer(g, in->cache, layer);
        kv.k = sc_kv_write(g, kv.k, k, &in->seqs);
        kv.v = sc_kv_write(g, kv.v, v, &in->seqs);
        y = sc_attention_cached(g, q, kv, &in->seqs, &attr);
    } else {
        y = sc_attention(g, q, k, v, &in->seqs, &attr);
    }
    return sc_reshape(g, y, 2, (int64_t[]){-1, c->heads * c->d});
}

sc_tensor *sc_self_attention(sc_graph *g, const char *name, sc_tensor *x, sc_text_in *in,
                             const sc_attention_config *c)
{
    if (g->status || !x) return NULL;
    const sc_attention_names *names = c->names ? c->names : &llama;
    int64_t nq = c->heads * c->d, nk = c->kv_heads * c->d;
    sc_tensor *q, *k, *v;
    if (name) sc_scope_push(g, "%s", name);
    if (c->qkv == SC_QKV_APART) {
        q = sc_linear(g, names->q, x, nq, c->qkv_bias);
        k = sc_linear(g, names->k, x, nk, c->qkv_bias);
        v = sc_linear(g, names->v, x, nk, c->qkv_bias);
    } else {
        bool joined = c->qkv == SC_QKV_JOINED;
        sc_tensor *all = sc_linear(g, names->qkv, x, nq + 2 * nk, c->qkv_bias);
        if (!joined) all = sc_reshape(g, all, 3, (int64_t[]){-1, c->heads, 3 * c->d});
        q = sc_slice(g, all, joined ? 1 : 2, 0, joined ? nq : c->d);
        k = sc_slice(g, all, joined ? 1 : 2, joined ? nq : c->d, joined ? nk : c->d);
        v = sc_slice(g, all, joined ? 1 : 2, joined ? nq + nk : 2 * c->d, joined ? nk : c->d);
    }
    sc_tensor *y = sc_linear(g, names->o, sc_attend(g, in, c, q, k, v), x->shape.dim[1], c->out_bias);
    if (name) sc_scope_pop(g);
    return y;
}
