/* SPDX-License-Identifier: Apache-2.0 */
/* Layers: operations with parameters that they ask for by name, in the current scope, under HuggingFace's names. Any
 * family is put together from these; quantised storage and tying need no code in a family. Shapes as in ops.h. */
#ifndef SC_NN_H
#define SC_NN_H

#include "ops/ops.h"

/* ---- the cache of keys and values (cache.c) ---- */

/* The sizes of each layer's keys and values, in the order in which a model's attention layers are built. */
typedef struct sc_cache_spec {
    int n_layers;
    struct {
        int64_t kv_heads, d;
    } layer[512];
} sc_cache_spec;

/* Paged: SC_ATTENTION_TILE tokens a page, pages shared by forked sequences and copied when one of them writes.
 * Invariants:
 *  1. page p is free exactly when refs[p] is 0; every page of a sequence has a reference from it;
 *  2. a page is written only while it has one reference (sc_cache_append copies before);
 *  3. a sequence of n tokens has ceil(n / tile) pages, and token i is at page[i / tile], place i % tile, in every layer. */
typedef struct sc_cache sc_cache;

/* Room for `tokens` in all, over at most `sequences` sequences, each empty at first. dtype: f32, f16, bf16, q8_0. */
sc_status sc_cache_new(sc_cache **out, const sc_cache_spec *spec, sc_dtype dtype, int64_t tokens, int sequences);
void sc_cache_free(sc_cache *c);
int64_t sc_cache_length(const sc_cache *c, int seq);
int64_t sc_cache_pages(const sc_cache *c); /* pages that one sequence can have at most */
int64_t sc_cache_bytes(const sc_cache *c);
/* Makes room for n more tokens of a sequence and gives their slots; SC_ELIMIT, with nothing changed, where it is full. */
sc_status sc_cache_append(sc_cache *c, int seq, int64_t n, int32_t *slots);
/* Fills sc_cache_pages(c) entries of a sequence's page table. */
void sc_cache_table(const sc_cache *c, int seq, int32_t *pages);
/* Shortens a sequence to its first n tokens; 0 empties it. */
void sc_cache_trim(sc_cache *c, int seq, int64_t n);
/* Makes `to` share what `from` holds; what `to` held is dropped. */
void sc_cache_fork(sc_cache *c, int from, int to);
/* The states of one layer in a graph. */
sc_kv sc_cache_layer(sc_graph *g, const sc_cache *c, int layer);

/* ---- what a text model is given ---- */

typedef struct sc_text_in {
    sc_tensor *ids;   /* (T) i32 */
    sc_tensor *types; /* (T) i32: which of a pair's texts each token is of, for the models that are told */
    sc_seqs seqs;
    sc_tensor *wanted;     /* (R) i32: the tokens whose logits are wanted; NULL: all */
    const sc_cache *cache; /* NULL: attention over the batch alone */
    sc_cache_spec *spec;   /* not NULL: attention layers note their sizes here */
    int layer;             /* of the cache, counted up by attention layers */
    sc_tensor *rope; /* the model's table of angles, once it is made, for all layers or those without a window */
    sc_tensor *rope_local; /* of the layers with one, where they have their own */
} sc_text_in;

/* ---- layers ---- */

enum {
    SC_BIAS = 1,   /* "bias" too */
    SC_IN_OUT = 2, /* the weight is stored (C, n), as GPT-2's checkpoints have it */
};

/* x (…, C) → (…, n): "name.weight" (n, C) and, with SC_BIAS, "name.bias" (n). */
sc_tensor *sc_linear(sc_graph *g, const char *name, sc_tensor *x, int64_t n, unsigned flags);
sc_tensor *sc_rms_norm(sc_graph *g, const char *name, sc_tensor *x, float eps);
sc_tensor *sc_layer_norm(sc_graph *g, const char *name, sc_tensor *x, float eps);

typedef enum sc_norm_kind {
    SC_NORM_RMS,          /* "weight" */
    SC_NORM_RMS_PLUS,     /* 1 + "weight" (Gemma) */
    SC_NORM_LAYER,        /* layer norm with "weight" and "bias" */
    SC_NORM_LAYER_WEIGHT, /* ... with "weight" alone (Cohere) */
    SC_NORM_LAYER_PLAIN,  /* ... with neither */
} sc_norm_kind;
sc_tensor *sc_norm(sc_graph *g, sc_norm_kind kind, const char *name, sc_tensor *x, float eps);

/* "name.weight" (rows, C) at ids (T) → (T, C). */
sc_tensor *sc_embedding(sc_graph *g, const char *name, sc_tensor *ids, int64_t rows, int64_t width);
/* The same for a table with `skip` rows more in front, which no id means (OPT's positions). */
sc_tensor *sc_embedding_after(sc_graph *g, const char *name, sc_tensor *ids, int64_t rows, int64_t skip,
                              int64_t width);

/* The names of a feed-forward's matrices. gate_up: one matrix (2n, C), the gates first. Neither that nor a gate:
 * down(act(up(x))). */
typedef struct sc_ffn_names {
    const char *gate, *up, *down, *gate_up;
} sc_ffn_names;
/* down(act(gate(x)) * up(x)) in the scope `name` (NULL: in the current one). names NULL: LLaMA's, as of sc_glu. */
sc_tensor *sc_ffn(sc_graph *g, const char *name, sc_tensor *x, int64_t n, sc_unary_kind act, unsigned flags,
                  const sc_ffn_names *names);
/* ... of "name.gate_proj", "name.up_proj" (n), "name.down_proj". */
sc_tensor *sc_glu(sc_graph *g, const char *name, sc_tensor *x, int64_t n, sc_unary_kind act, unsigned flags);

/* How checkpoints keep queries, keys and values. */
typedef enum sc_qkv {
    SC_QKV_APART,    /* three matrices */
    SC_QKV_JOINED,   /* one: queries, keys, values */
    SC_QKV_PER_HEAD, /* one: for each head its query, key and value, as many of each */
} sc_qkv;

/* Norms on queries and keys, before the rotation. */
typedef enum sc_qk_norm {
    SC_QK_NORM_NONE,
    SC_QK_NORM_HEAD, /* on each head, with the same weights (D) */
    SC_QK_NORM_EACH, /* on each head, with its own weights (H, D) (Cohere) */
    SC_QK_NORM_ALL,  /* across all heads, weights (H * D) (OLMo 2) */
} sc_qk_norm;

typedef struct sc_attention_names {
    const char *q, *k, *v, *qkv, *o, *q_norm, *k_norm;
} sc_attention_names;

typedef struct sc_attention_config {
    int64_t heads, kv_heads, d;
    int64_t window;   /* 0: none */
    float scale;      /* 0: 1 / sqrt(d) */
    float cap;        /* of the scores; 0: none */
    bool alibi;       /* scores fall with the distance (sc_attention_attr) */
    sc_tensor *sinks; /* of sc_attention_attr; NULL: none */
    sc_tensor *rope;  /* the table of angles; NULL: no rotation */
    bool neighbours;  /* pairs of the rotation */
    sc_qkv qkv;
    unsigned qkv_bias, out_bias; /* flags of the matrices */
    sc_qk_norm head_norm;
    sc_norm_kind head_norm_kind;
    float eps;                       /* of the head norms */
    bool bidirectional;              /* keys behind the query are seen too; such a layer has no cache */
    const sc_attention_names *names; /* NULL: LLaMA's, as of sc_self_attention */
} sc_attention_config;

/* Attention, causal unless bidirectional, of q (T, H*D) or (T, H, D), k and v (T, Hkv*D) or (T, Hkv, D), normed, rotated, through the cache where
 * there is one → (T, H*D). */
sc_tensor *sc_attend(sc_graph *g, sc_text_in *in, const sc_attention_config *c, sc_tensor *q, sc_tensor *k,
                     sc_tensor *v);
/* x (T, C) → (T, C), in the scope `name` (NULL: in the current one): "q_proj", "k_proj", "v_proj" or, where one matrix
 * has all three, "qkv_proj"; head norms "q_norm" and "k_norm"; "o_proj". */
sc_tensor *sc_self_attention(sc_graph *g, const char *name, sc_tensor *x, sc_text_in *in,
                             const sc_attention_config *c);

/* The rows of x (T, C) whose logits are wanted. */
sc_tensor *sc_wanted_rows(sc_graph *g, const sc_text_in *in, sc_tensor *x);
/* The rows whose logits are wanted, times the table "name.weight" (V, C). */
sc_tensor *sc_lm_head(sc_graph *g, sc_text_in *in, const char *name, sc_tensor *x, int64_t vocab);

#endif
