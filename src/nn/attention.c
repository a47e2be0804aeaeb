/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/nn.h"

#include <math.h>

static sc_tensor *heads_of(sc_graph *g, sc_tensor *x, int64_t heads, int64_t d)
{
    return sc_reshape(g, x, 3, (int64_t[]){-1, heads, d});
}

sc_tensor *sc_attend(sc_graph *g, sc_text_in *in, const sc_attention_config *c, sc_tensor *q, sc_tensor *k,
                     sc_tensor *v)
{
    sc_attention_attr attr = {.scale = c->scale > 0 ? c->scale : (float)(1 / sqrt((double)c->d)),
                              .causal = !c->bidirectional,
                              .window = c->window,
                              .bias = c->bias};
    int layer = in->layer++;
    if (in->spec) sc_cache_note(g, in->spec, layer, c->kv_heads, c->d);
    q = heads_of(g, q, c->heads, c->d);
    k = heads_of(g, k, c->kv_heads, c->d);
    v = heads_of(g, v, c->kv_heads, c->d);
    if (c->head_norm) {
        q = sc_rms_norm(g, "q_norm", q, c->eps);
        k = sc_rms_norm(g, "k_norm", k, c->eps);
    }
    if (c->rope) {
        q = sc_rope(g, q, c->rope, c->neighbours);
        k = sc_rope(g, k, c->rope, c->neighbours);
    }
    sc_tensor *y;
    if (in->cache) {
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
    sc_scope_push(g, "%s", name);
    sc_tensor *q = sc_linear(g, "q_proj", x, c->heads * c->d, c->qkv_bias);
    sc_tensor *k = sc_linear(g, "k_proj", x, c->kv_heads * c->d, c->qkv_bias);
    sc_tensor *v = sc_linear(g, "v_proj", x, c->kv_heads * c->d, c->qkv_bias);
    sc_tensor *y = sc_linear(g, "o_proj", sc_attend(g, in, c, q, k, v), x->shape.dim[1], c->out_bias);
    sc_scope_pop(g);
    return y;
}
