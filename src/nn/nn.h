/* SPDX-License-Identifier: Apache-2.0 */
/* Layers: operations with parameters that they ask for by name, in the current scope, under HuggingFace's names. Any
 * family is put together from these; quantised storage and tying need no code in a family. Shapes as in ops.h. */
#ifndef SC_NN_H
#define SC_NN_H

#include "ops/ops.h"

/* ---- the cache of keys and values, and of recurrent states (cache.c) ---- */

/* The sizes of each layer's keys and values, in the order in which a model's attention layers are built; and those of
 * its recurrent states, (rows, n), which do not grow with a sequence. */
typedef struct sc_cache_spec {
    int n_layers, n_states;
    struct {
        int64_t kv_heads, d, v_d; /* widths of a key and of a value; v_d 0: values are a part of the keys */
    } layer[512];
    struct {
        int64_t rows, n;
    } state[2048];
} sc_cache_spec;

/* Paged: SC_ATTENTION_TILE tokens a page, pages shared by forked sequences and copied when one of them writes.
 * Invariants:
 *  1. page p is free exactly when refs[p] is 0; every page of a sequence has a reference from it;
 *  2. a page is written only while it has one reference (sc_cache_append copies before);
 *  3. a sequence of n tokens has ceil(n / tile) pages, and token i is at page[i / tile], place i % tile, in every layer.
 * Recurrent states lie in slots, each with the states of all layers after the first so many tokens of a sequence:
 *  4. a slot is never written while it has a reference but that of the sequence that grows: what an evaluation reads and
 *     what it writes are two slots, so an evaluation that fails, and tokens taken back, cost nothing;
 *  5. a sequence has at most three: of its end, of before its last growth, and one that was marked. */
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
/* After sc_cache_append: the slot that the sequence's states are read from, -1 where it begins, and the one to write. */
void sc_cache_slots(const sc_cache *c, int seq, int32_t *from, int32_t *to);
/* Keeps the states of a sequence's end, so that it can be trimmed to this length, until the next mark. */
void sc_cache_mark(sc_cache *c, int seq);
/* Shortens a sequence to its first n tokens; 0 empties it. With recurrent states, to the longest such beginning of which
 * it still has the states: how long it is now. */
int64_t sc_cache_trim(sc_cache *c, int seq, int64_t n);
/* Makes `to` share what `from` holds; what `to` held is dropped. */
void sc_cache_fork(sc_cache *c, int from, int to);
/* Notes a layer's sizes; a fault of the graph where there are too many layers. */
void sc_cache_note(sc_graph *g, sc_cache_spec *spec, int layer, int64_t kv_heads, int64_t d, int64_t v_d);
/* The states of one layer in a graph; v is NULL where values are a part of the keys. */
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
    sc_tensor *ids;   /* (T) i32 */
    sc_tensor *types; /* (T) i32: which of a pair's texts each token is of, for the models that are told */
    sc_seqs seqs;
    sc_tensor *wanted;       /* (R) i32: the tokens whose logits are wanted; NULL: all */
    const sc_cache *cache;   /* NULL: attention over the batch alone */
    sc_cache_spec *spec;     /* not NULL: attention layers note their sizes here */
    int layer;               /* of the cache, counted up by attention layers */
    int state;               /* of the cache, counted up by recurrent layers */
    int64_t labels;          /* > 0: in place of the head for next tokens, one for so many classes of each sequence */
    sc_tensor *virtual_rows; /* of sc_virtual_rows, once it is needed */
    sc_tensor *rope; /* the model's table of angles, once it is made, for all layers or those without a window */
    sc_tensor *rope_local; /* of the layers with one, where they have their own */
    /* Encoder-decoders: what the encoder reads, NULL where that is in the memory already; and the memory, else NULL. */
    struct sc_text_in *source;
    sc_memory *memory;
} sc_text_in;
/* The i-th addition that adapters have for a matrix (n, c), false where there are no more. A fault where it is for another
 * shape. */
bool sc_lora_next(sc_graph *g, const char *name, sc_lora_use use, int i, int64_t n, int64_t c, sc_lora *part);
/* The next recurrent state of the model, (slots, rows, n), for the operations that keep one; NULL without cache. */
sc_tensor *sc_text_state(sc_graph *g, sc_text_in *in, int64_t rows, int64_t n);

/* ---- layers ---- */

enum {
    SC_BIAS = 1,      /* "bias" too */
    SC_IN_OUT = 2,    /* the weight is stored (C, n), as GPT-2's checkpoints have it */
    SC_BIAS_DOWN = 4, /* of a feed-forward: its last matrix alone has one */
};

/* x (…, C) → (…, n): "name.weight" (n, C) and, with SC_BIAS, "name.bias" (n). */
sc_tensor *sc_linear(sc_graph *g, const char *name, sc_tensor *x, int64_t n, unsigned flags);
/* The same with a bias that begins as `bias` says. */
sc_tensor *sc_linear_from(sc_graph *g, const char *name, sc_tensor *x, int64_t n, unsigned flags, sc_init bias);
/* -exp of a parameter: rates of decay, which checkpoints keep as logarithms. */
sc_tensor *sc_decay_rates(sc_graph *g, const char *name, sc_init init, int rank, const int64_t *dim);
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
/* The same, but gradients do not pass to the row of the id `still`, -1: none (the padding's, as torch has it). */
sc_tensor *sc_embedding_but(sc_graph *g, const char *name, sc_tensor *ids, int64_t rows, int64_t width,
                            int64_t still);
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
    int64_t window;  /* 0: none */
    int64_t globals; /* of sc_attention_attr, as the next */
    sc_block_pattern blocks;
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
    sc_tensor *bias;                 /* by distance, as sc_relative_bias makes it; NULL: none */
} sc_attention_config;

/* Counts in->layer up, notes its cache's sizes in in->spec, and returns its number; -1 and a fault where there are too
 * many. */
int sc_cache_next(sc_graph *g, sc_text_in *in, int64_t kv_heads, int64_t d, int64_t v_d);
/* Attention, causal unless bidirectional, of q (T, H*D) or (T, H, D), k and v (T, Hkv*D) or (T, Hkv, D), normed, rotated, through the cache where
 * there is one → (T, H*D). */
sc_tensor *sc_attend(sc_graph *g, sc_text_in *in, const sc_attention_config *c, sc_tensor *q, sc_tensor *k,
                     sc_tensor *v);
/* x (T, C) → (T, C), in the scope `name` (NULL: in the current one): "q_proj", "k_proj", "v_proj" or, where one matrix
 * has all three, "qkv_proj"; head norms "q_norm" and "k_norm"; "o_proj". */
sc_tensor *sc_self_attention(sc_graph *g, const char *name, sc_tensor *x, sc_text_in *in,
                             const sc_attention_config *c);

/* The same over in->memory, whose keys and values are made once for each sequence. */
sc_tensor *sc_cross_attention(sc_graph *g, const char *name, sc_tensor *x, sc_text_in *in,
                              const sc_attention_config *c);
/* Raffel et al. 2020, "T5": distances share a bias by buckets, fine ones near and logarithmically wider ones up to
 * `farthest`, for either direction where bidirectional. "name.weight" (buckets, heads) → (heads, 2 * farthest + 1). */
typedef struct sc_relative_config {
    int64_t heads, buckets, farthest;
    bool bidirectional;
} sc_relative_config;
sc_tensor *sc_relative_bias(sc_graph *g, const char *name, const sc_relative_config *c);
/* The bucket of a key `distance` places behind the query (negative: before it). */
int32_t sc_relative_bucket(const sc_relative_config *c, int64_t distance);

/* The rows of x (T, C) whose logits are wanted. */
sc_tensor *sc_wanted_rows(sc_graph *g, const sc_text_in *in, sc_tensor *x);
/* The rows whose logits are wanted, times the table "name.weight" (V, C). */
/* "score.weight" (labels, C) of each sequence's last token, x (T, C) → (S, labels): what transformers' decoders
 * ForSequenceClassification have. */
sc_tensor *sc_score_head(sc_graph *g, sc_text_in *in, sc_tensor *x);
sc_tensor *sc_lm_head(sc_graph *g, sc_text_in *in, const char *name, sc_tensor *x, int64_t vocab);

/* ---- multi-head latent attention (DeepSeek-V2, arXiv:2405.04434; latent_attention.c) ---- */

typedef struct sc_latent_config {
    int64_t heads, rank;        /* rank: of the latents */
    int64_t nope, rotated, v_d; /* widths of a head's query without positions, of its rotated part, of its value */
    int64_t q_rank;             /* queries come through so few features; 0: straight from x */
    float scale, eps;
    sc_tensor *rope;
    bool neighbours;
    unsigned bias; /* SC_BIAS or 0 */
    sc_block_pattern blocks;
} sc_latent_config;
/* x (T, C) → (T, C). The cache holds the latent and the rotated key of each token, and nothing for its heads. */
sc_tensor *sc_latent_attention(sc_graph *g, const char *name, sc_tensor *x, sc_text_in *in,
                               const sc_latent_config *c);

/* ---- mixtures of experts (moe.c) ---- */

/* A mixture of experts: those that its router chooses for a token, each a gated feed-forward, and one that is shared. */
typedef struct sc_moe_config {
    int64_t experts, width; /* E, and the width of each */
    sc_routing routing;
    sc_unary_kind act;
    float alpha, limit;           /* alpha > 0: the clamped gate of gpt-oss in place of act */
    const char *router;           /* of the logits */
    const char *correction;       /* what is added to the scores for choosing; NULL: nothing */
    const char *gate, *up, *down; /* matrices of "experts.N" */
    unsigned router_bias, bias;   /* SC_BIAS or 0; bias: of the experts' matrices */
    const char *shared;           /* a gated feed-forward for every token; NULL: none */
    int64_t shared_width;
    const char *shared_gate; /* how much it counts: the sigmoid of this matrix's (1, C) product; NULL: as it is */
} sc_moe_config;
/* x (T, C) → (T, C). */
sc_tensor *sc_moe(sc_graph *g, const char *name, sc_tensor *x, const sc_moe_config *m);

/* ---- the gated delta rule as a layer (Qwen3-Next, Qwen3.5; delta.c) ---- */

typedef struct sc_delta_config {
    int64_t key_heads, heads, key_d, d; /* queries and keys; values */
    int64_t taps;                       /* of the convolution before it */
    float eps;                          /* of the norm behind it */
    sc_unary_kind act;                  /* of the convolution */
    bool joined_qkv; /* one matrix "in_proj_qkvz" with, for each key head, its query, key, values and gates; else
                        "in_proj_qkv", all queries, then all keys and all values, and "in_proj_z" */
    bool joined_ba;  /* the same of "in_proj_ba": for each key head its values' b and a */
    bool tiled;      /* value head h uses key head h % key_heads */
} sc_delta_config;
/* x (T, C) → (T, C). */
sc_tensor *sc_gated_delta(sc_graph *g, const char *name, sc_tensor *x, sc_text_in *in, const sc_delta_config *c);

#endif
