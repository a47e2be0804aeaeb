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
/* Notes a layer's sizes; a fault of the graph where there are too many layers. */
void sc_cache_note(sc_graph *g, sc_cache_spec *spec, int layer, int64_t kv_heads, int64_t d);
/* The states of one layer in a graph. */
sc_kv sc_cache_layer(sc_graph *g, const sc_cache *c, int layer);

/* ---- what a text model is given ---- */

/* What the decoder of an encoder-decoder looks at: the encoder's output, or the keys and values that were made of it and
 * are kept in a cache of their own, since they stay the same while the decoder goes on. */
typedef struct sc_memory {
    sc_tensor *states; /* (U, C) the encoder's output, put here by the builder; NULL: all is in the cache */
    sc_seqs seqs;      /* start of the U tokens' sequences; with a cache, past: their lengths, and pages */
    const sc_cache
        *cache; /* where keys and values are written where there are states, and read where not; may be NULL */
    sc_cache_spec *spec; /* not NULL: layers that look at it note their sizes here */
    int layer;           /* counted up by them */
} sc_memory;

typedef struct sc_text_in {
    sc_tensor *ids; /* (T) i32 */
    sc_seqs seqs;
    sc_tensor *wanted;     /* (R) i32: the tokens whose logits are wanted; NULL: all */
    const sc_cache *cache; /* NULL: attention over the batch alone */
    sc_cache_spec *spec;   /* not NULL: attention layers note their sizes here */
    int layer;             /* of the cache, counted up by attention layers */
    /* Encoder-decoders: what the encoder reads, NULL where that is in the memory already; and the memory, else NULL. */
    struct sc_text_in *source;
    sc_memory *memory;
} sc_text_in;

/* ---- layers ---- */

enum { SC_BIAS = 1 };

/* x (…, C) → (…, n): "name.weight" (n, C) and, with SC_BIAS, "name.bias" (n). */
sc_tensor *sc_linear(sc_graph *g, const char *name, sc_tensor *x, int64_t n, unsigned flags);
/* The same with the weight stored (C, n), as GPT-2's checkpoints have it. */
sc_tensor *sc_linear_in_out(sc_graph *g, const char *name, sc_tensor *x, int64_t n, unsigned flags);
sc_tensor *sc_rms_norm(sc_graph *g, const char *name, sc_tensor *x, float eps);
sc_tensor *sc_layer_norm(sc_graph *g, const char *name, sc_tensor *x, float eps);
/* "name.weight" (rows, C) at ids (T) → (T, C). */
sc_tensor *sc_embedding(sc_graph *g, const char *name, sc_tensor *ids, int64_t rows, int64_t width);

/* down(act(gate(x)) * up(x)): "name.gate_proj", "name.up_proj" (n), "name.down_proj". */
sc_tensor *sc_glu(sc_graph *g, const char *name, sc_tensor *x, int64_t n, sc_unary_kind act, unsigned flags);

typedef struct sc_attention_config {
    int64_t heads, kv_heads, d;
    int64_t window;              /* 0: none */
    float scale;                 /* 0: 1 / sqrt(d) */
    sc_tensor *rope;             /* the table of angles; NULL: no rotation */
    bool neighbours;             /* pairs of the rotation */
    unsigned qkv_bias, out_bias; /* SC_BIAS or 0 */
    bool head_norm;              /* an RMS norm on each head of q and k, before the rotation */
    float eps;                   /* of the head norms */
    bool bidirectional;          /* keys behind the query are seen too */
    sc_tensor *bias;             /* by distance, as sc_relative_bias makes it; NULL: none */
} sc_attention_config;

/* Causal attention of q (T, H*D), k and v (T, Hkv*D), rotated, through the cache where there is one → (T, H*D). */
sc_tensor *sc_attend(sc_graph *g, sc_text_in *in, const sc_attention_config *c, sc_tensor *q, sc_tensor *k,
                     sc_tensor *v);
/* x (T, C) → (T, C): "name.q_proj", "k_proj", "v_proj", with head norms "q_norm" and "k_norm", and "o_proj". */
sc_tensor *sc_self_attention(sc_graph *g, const char *name, sc_tensor *x, sc_text_in *in,
                             const sc_attention_config *c);

/* The names of an attention's matrices. */
typedef struct sc_attention_names {
    const char *q, *k, *v, *o;
} sc_attention_names;
/* x (T, C) → (T, C): attention over x, or over in->memory, whose keys and values are made once for each sequence. In the
 * current scope. */
sc_tensor *sc_attention_over(sc_graph *g, const sc_attention_names *names, sc_tensor *x, sc_text_in *in,
                             sc_memory *memory, const sc_attention_config *c);
/* Raffel et al. 2020, "T5": distances share a bias by buckets, fine ones near and logarithmically wider ones up to
 * `farthest`, for either direction where bidirectional. "name.weight" (buckets, heads) → (heads, 2 * farthest + 1). */
typedef struct sc_relative_config {
    int64_t heads, buckets, farthest;
    bool bidirectional;
} sc_relative_config;
sc_tensor *sc_relative_bias(sc_graph *g, const char *name, const sc_relative_config *c);
/* The bucket of a key `distance` places behind the query (negative: before it). */
int32_t sc_relative_bucket(const sc_relative_config *c, int64_t distance);

/* The rows whose logits are wanted, times the table "name.weight" (V, C). */
sc_tensor *sc_lm_head(sc_graph *g, sc_text_in *in, const char *name, sc_tensor *x, int64_t vocab);

#endif
