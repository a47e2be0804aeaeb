/* SPDX-License-Identifier: Apache-2.0 */
/* Attention to what an encoder made. */
#include "nn/nn.h"

#include <math.h>

/* q (T, H*D) over the memory; k and v (U, Hkv*D), or NULL where the cache has them. */
static sc_tensor *attend(sc_graph *g, sc_text_in *in, sc_memory *m, const sc_attention_config *c, sc_tensor *q,
                         sc_tensor *k, sc_tensor *v)
{
    sc_attention_attr attr = {.scale = c->scale > 0 ? c->scale : (float)(1 / sqrt((double)c->d)), .cross = true};
    int layer = m->layer++;
    sc_kv kv = {0};
    if (m->spec) sc_cache_note(g, m->spec, layer, c->kv_heads, c->d, c->d);
    if (m->cache) kv = sc_cache_layer(g, m->cache, layer);
    if (m->states) {
        k = sc_reshape(g, k, 3, (int64_t[]){-1, c->kv_heads, c->d});
        v = sc_reshape(g, v, 3, (int64_t[]){-1, c->kv_heads, c->d});
    }
    if (m->states && m->cache) {
        sc_tap(g, sc_kv_write(g, kv.k, k, &m->seqs), "memory.key.%d", layer);
        sc_tap(g, sc_kv_write(g, kv.v, v, &m->seqs), "memory.value.%d", layer);
        kv = (sc_kv){0};
    }
    if (m->states) kv = (sc_kv){k, v};
    q = sc_reshape(g, q, 3, (int64_t[]){-1, c->heads, c->d});
    return sc_reshape(g, sc_attention_cross(g, q, kv, &in->seqs, &m->seqs, &attr), 2,
                      (int64_t[]){-1, c->heads * c->d});
}

sc_tensor *sc_cross_attention(sc_graph *g, const char *name, sc_tensor *x, sc_text_in *in,
                              const sc_attention_config *c)
{
    if (g->status || !x) return NULL;
    const sc_attention_names *names = c->names;
    sc_tensor *memory = in->memory->states;
    sc_scope_push(g, "%s", name);
    sc_tensor *q = sc_linear(g, names->q, x, c->heads * c->d, c->qkv_bias);
    sc_tensor *k = sc_linear(g, names->k, memory, c->kv_heads * c->d, c->qkv_bias);
    sc_tensor *v = sc_linear(g, names->v, memory, c->kv_heads * c->d, c->qkv_bias);
    sc_tensor *y = sc_linear(g, names->o, attend(g, in, in->memory, c, q, k, v), x->shape.dim[1], c->out_bias);
    sc_scope_pop(g);
    return y;
}
