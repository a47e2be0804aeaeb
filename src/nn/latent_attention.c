/* SPDX-License-Identifier: Apache-2.0 */
/* Multi-head latent attention, absorbed: what projects latents to keys is applied to the queries instead, and what
 * projects them to values to the result, so that no key or value is ever made. All heads then read one key, the latent
 * with the rotated part beside it, and one value, the latent itself, which is a part of that key. The same is done
 * without a cache, for the same bits; but where a model learns, keys and values are made of the latents after all: attention
 * over these is the smaller part of the work. */
#include "nn/nn.h"

#include <math.h>

static const sc_init normal = {SC_INIT_NORMAL, 0.02f};

/* (T, H, nope + rotated) */
static sc_tensor *queries(sc_graph *g, const sc_latent_config *c, sc_tensor *x)
{
    int64_t d = c->nope + c->rotated;
    const char *name = "q_proj";
    if (c->q_rank) {
        x = sc_rms_norm(g, "q_a_layernorm", sc_linear(g, "q_a_proj", x, c->q_rank, c->bias), c->eps);
        name = "q_b_proj";
    }
    return sc_reshape(g, sc_linear(g, name, x, c->heads * d, 0), 3, (int64_t[]){-1, c->heads, d});
}

/* (H, nope + v_d, rank): of each head what makes keys of latents, then what makes values. */
static sc_tensor *projections(sc_graph *g, const sc_latent_config *c)
{
    int64_t n = c->nope + c->v_d;
    sc_scope_push(g, "kv_b_proj");
    sc_tensor *w = sc_param_formed(g, "weight", normal, SC_FORM_COLUMNS, 2, (int64_t[]){c->heads * n, c->rank});
    sc_scope_pop(g);
    return sc_reshape(g, w, 3, (int64_t[]){c->heads, n, c->rank});
}

/* q (T, H, rank + rotated) over key (T, 1, rank + rotated) → (T, H, rank). */
static sc_tensor *attend(sc_graph *g, const sc_latent_config *c, sc_text_in *in, sc_tensor *q, sc_tensor *key)
{
    sc_attention_attr attr = {.scale = c->scale, .causal = true, .blocks = c->blocks};
    int layer = sc_cache_next(g, in, 1, c->rank + c->rotated, 0);
    if (layer < 0) return NULL;
    if (!in->cache) return sc_attention(g, q, key, sc_slice(g, key, 2, 0, c->rank), &in->seqs, &attr);
    sc_kv kv = sc_cache_layer(g, in->cache, layer);
    kv.k = sc_kv_write(g, kv.k, key, &in->seqs);
    kv.v = sc_slice(g, kv.k, 3, 0, c->rank);
    return sc_attention_cached(g, q, kv, &in->seqs, &attr);
}

/* x (T, 1, n) → (T, H, n), each head the same. */
static sc_tensor *for_all_heads(sc_graph *g, sc_tensor *x, int64_t heads)
{
    if (!x) return NULL;
    int64_t tokens = x->shape.dim[0], n = x->shape.dim[2];
    x = sc_reshape(g, x, 3, (int64_t[]){1, tokens, n});
    sc_tensor *zeros = sc_place(g, NULL, sc_slice(g, x, 0, 0, 0), 0, 0, heads);
    return sc_permute(g, sc_add(g, zeros, sc_reshape(g, x, 2, (int64_t[]){tokens, n})), (int[]){1, 0, 2});
}

/* The two parts of queries (T, H, …) over latents (T, rank) and rotated keys (T, 1, …) → (T, H, v_d), absorbed. */
static sc_tensor *absorbed(sc_graph *g, const sc_latent_config *c, sc_text_in *in, sc_tensor *w, sc_tensor *q,
                           sc_tensor *q_rot, sc_tensor *latent, sc_tensor *k_rot)
{
    sc_tensor *to_k = sc_permute(g, sc_slice(g, w, 1, 0, c->nope), (int[]){0, 2, 1}); /* (H, rank, nope) */
    sc_tensor *to_v = sc_slice(g, w, 1, c->nope, c->v_d);
    q = sc_concat(g, 2, (sc_tensor *[]){sc_linear_experts(g, q, to_k, NULL, NULL), q_rot});
    sc_tensor *key = sc_concat(g, 2, (sc_tensor *[]){sc_reshape(g, latent, 3, (int64_t[]){-1, 1, c->rank}), k_rot});
    return sc_linear_experts(g, attend(g, c, in, q, key), to_v, NULL, NULL);
}

/* The same over the batch alone, with keys and values. */
static sc_tensor *unfolded(sc_graph *g, const sc_latent_config *c, sc_text_in *in, sc_tensor *w, sc_tensor *q,
                           sc_tensor *q_rot, sc_tensor *latent, sc_tensor *k_rot)
{
    sc_attention_attr attr = {.scale = c->scale, .causal = true};
    sc_tensor *kv = sc_apply_linear(g, latent, sc_reshape(g, w, 2, (int64_t[]){-1, c->rank}), NULL);
    kv = sc_reshape(g, kv, 3, (int64_t[]){-1, c->heads, c->nope + c->v_d});
    q = sc_concat(g, 2, (sc_tensor *[]){q, q_rot});
    sc_tensor *k =
        sc_concat(g, 2, (sc_tensor *[]){sc_slice(g, kv, 2, 0, c->nope), for_all_heads(g, k_rot, c->heads)});
    return sc_attention(g, q, k, sc_slice(g, kv, 2, c->nope, c->v_d), &in->seqs, &attr);
}

sc_tensor *sc_latent_attention(sc_graph *g, const char *name, sc_tensor *x, sc_text_in *in,
                               const sc_latent_config *c)
{
    if (g->status || !x) return NULL;
    sc_scope_push(g, "%s", name);
    sc_tensor *q = queries(g, c, x), *w = projections(g, c);
    sc_tensor *kv = sc_linear(g, "kv_a_proj_with_mqa", x, c->rank + c->rotated, c->bias);
    sc_tensor *latent = sc_rms_norm(g, "kv_a_layernorm", sc_slice(g, kv, 1, 0, c->rank), c->eps);
    sc_tensor *k_rot = sc_reshape(g, sc_slice(g, kv, 1, c->rank, c->rotated), 3, (int64_t[]){-1, 1, c->rotated});
    k_rot = sc_rope(g, k_rot, c->rope, c->neighbours);
    sc_tensor *q_rot = sc_rope(g, sc_slice(g, q, 2, c->nope, c->rotated), c->rope, c->neighbours);
    bool learns = g->params && g->params->learning && !in->cache;
    q = sc_slice(g, q, 2, 0, c->nope);
    sc_tensor *y = (learns ? unfolded : absorbed)(g, c, in, w, q, q_rot, latent, k_rot); /* (T, H, v_d) */
    y = sc_linear(g, "o_proj", sc_reshape(g, y, 2, (int64_t[]){-1, c->heads * c->v_d}), x->shape.dim[1], c->bias);
    sc_scope_pop(g);
    return y;
}
