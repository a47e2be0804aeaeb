/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of a graph. Each function appends one node (at most a copy before it) and returns it; NULL and a fault
 * in the graph where the inputs do not fit. Shapes: T tokens, C width, H heads, D head width, N features out, S
 * sequences, P pages. */
#ifndef SC_OPS_H
#define SC_OPS_H

#include "tensor/tensor.h"

enum {
#define X(name) SC_OP_##name,
#define V(name) SC_OP_##name,
#include "ops/ops.def"
#undef X
#undef V
    SC_OP_COUNT
};
#define X(name) extern const sc_op sc_op_##name;
#define V(name) extern const sc_op sc_op_##name;
#include "ops/ops.def"
#undef X
#undef V

/* ---- shape rules and costs that several operations share (common.c) ---- */
sc_status sc_infer_like_input(sc_tensor *y); /* dtype and shape of in[0] */
sc_cost sc_cost_elementwise(const sc_step *s);
int64_t sc_tensor_count(const sc_tensor *t);
double sc_tensor_bytes(const sc_tensor *t);
sc_status sc_want_dtype(const sc_tensor *t, const char *what, sc_dtype dtype);
sc_status sc_want_rank(const sc_tensor *t, const char *what, int rank);
sc_status sc_want_dim(const sc_tensor *t, const char *what, int axis, int64_t n);

/* ---- views: no work ---- */
/* The same values in another shape; one dimension may be -1. Copies first where strides do not allow it. */
sc_tensor *sc_reshape(sc_graph *g, sc_tensor *x, int rank, const int64_t *dim);
/* Axis i of the result is axis order[i] of x. */
sc_tensor *sc_permute(sc_graph *g, sc_tensor *x, const int *order);
/* Elements start .. start + n of one axis. */
sc_tensor *sc_slice(sc_graph *g, sc_tensor *x, int axis, int64_t start, int64_t n);
/* x itself where it is contiguous (or NULL), else a copy that is. */
sc_tensor *sc_contiguous(sc_graph *g, sc_tensor *x);

/* ---- element by element, f32. b may have fewer axes than a: it is repeated over a's leading ones ---- */
sc_tensor *sc_add(sc_graph *g, sc_tensor *a, sc_tensor *b);
sc_tensor *sc_mul(sc_graph *g, sc_tensor *a, sc_tensor *b);
/* y = scale x + shift. */
sc_tensor *sc_affine(sc_graph *g, sc_tensor *x, float scale, float shift);
typedef struct sc_affine_attr {
    float scale, shift;
} sc_affine_attr;
sc_tensor *sc_unary(sc_graph *g, sc_unary_kind kind, sc_tensor *x);
typedef struct sc_unary_attr {
    sc_unary_kind kind;
} sc_unary_attr;

/* ---- layers whose parameters are given; nn.h has the forms that ask for them by name ---- */
/* y (T, N) = x (T, C) w^T + bias; w (N, C) of any type with a dequantiser, bias (N) or NULL. w may be a permuted view. */
sc_tensor *sc_apply_linear(sc_graph *g, sc_tensor *x, sc_tensor *w, sc_tensor *bias);
/* Over the last axis. w, b: (C) or NULL. */
sc_tensor *sc_apply_rms_norm(sc_graph *g, sc_tensor *x, sc_tensor *w, float eps);
sc_tensor *sc_apply_layer_norm(sc_graph *g, sc_tensor *x, sc_tensor *w, sc_tensor *b, float eps);
typedef struct sc_norm_attr {
    float eps;
} sc_norm_attr;
/* No function: a backend may ask for it (sc_backend.lower). x (..., C) f32, C a multiple of SC_PACKED → u8 (R, bytes):
 * each row as blocks of whole numbers with a scale, SC_PACKED values in SC_PACKED_BYTES. */
enum { SC_PACKED = 32, SC_PACKED_BYTES = 48 };
/* Rows of a table (R, C) of any type by id: ids (T) i32 → (T, C) f32. An id outside the table fails the run. */
sc_tensor *sc_rows(sc_graph *g, sc_tensor *table, sc_tensor *ids);
/* The same with the ids from R on meaning rows of `more` (any, C) f32; NULL: none. */
sc_tensor *sc_rows_and(sc_graph *g, sc_tensor *table, sc_tensor *more, sc_tensor *ids);

/* Positions as sines and cosines (Vaswani et al. 2017): at (T) i32 → (T, width), the sines of all the frequencies first. */
sc_tensor *sc_sinusoids(sc_graph *g, sc_tensor *at, int64_t width);
typedef struct sc_sinusoids_attr {
    int64_t width;
} sc_sinusoids_attr;

/* ---- ragged batches ---- */

/* Which tokens belong together. A batch of T tokens is S sequences end to end. */
typedef struct sc_seqs {
    sc_tensor *position; /* (T) i32: each token's place in its sequence, counted from the sequence's first token */
    sc_tensor *start;    /* (S+1) i32: sequence s is tokens start[s] .. start[s+1] */
    sc_tensor *past;     /* (S) i32: tokens of sequence s that the cache held before these; NULL without cache */
    sc_tensor *slot;     /* (T) i32: where in the cache each token's key and value go; NULL without cache */
    sc_tensor *pages;    /* (S, P) i32: the pages of each sequence; NULL without cache */
} sc_seqs;

/* ---- rotary positions (Su et al. 2021, "RoFormer") ---- */

typedef enum sc_rope_type {
    SC_ROPE_DEFAULT,
    SC_ROPE_LINEAR,
    SC_ROPE_DYNAMIC,
    SC_ROPE_YARN,
    SC_ROPE_LONGROPE,
    SC_ROPE_LLAMA3,
    SC_ROPE_FACTORS
} sc_rope_type;

/* Everything that decides the angles; the fields are those of HuggingFace's rope_parameters. */
typedef struct sc_rope_params {
    sc_rope_type type;
    int64_t dim; /* rotated features of a head, even */
    double theta, factor;
    double low_freq_factor, high_freq_factor; /* llama3 */
    double beta_fast, beta_slow;              /* yarn */
    double mscale, mscale_all_dim;            /* yarn; 0: not given */
    double attention_factor;                  /* yarn, longrope; 0: computed */
    bool truncate;                            /* yarn */
    int64_t original_max_positions, max_positions;
    const float *short_factor, *long_factor; /* longrope: dim/2 each. SC_ROPE_FACTORS: short_factor divides */
} sc_rope_params;

/* The dim/2 inverse frequencies for a sequence of seq_len tokens, and the factor on cos and sin. (ops/rope.c) */
void sc_rope_frequencies(const sc_rope_params *p, int64_t seq_len, float *inv_freq, float *scaling);

/* (2, T, dim/2): cosines, then sines of each token's angles. */
sc_tensor *sc_rope_table(sc_graph *g, const sc_seqs *seqs, const sc_rope_params *params);
typedef struct sc_rope_table_attr {
    sc_rope_params params;
    float *inv_freq; /* for lengths that need no rescaling; NULL: depends on the sequence's length */
    float scaling;
} sc_rope_table_attr;
/* x (T, H, D), the first dim features of each head rotated: pairs (i, i + dim/2), or neighbours (2i, 2i + 1). */
sc_tensor *sc_rope(sc_graph *g, sc_tensor *x, sc_tensor *table, bool neighbours);
typedef struct sc_rope_attr {
    bool neighbours;
} sc_rope_attr;

/* ---- attention (tiled as in Dao et al. 2022, "FlashAttention") ---- */

/* Keys a tile, and tokens a page of the cache; and keys a segment, whole tiles. Both begin at multiples of their size in
 * every sequence, so that a result does not depend on what else is in the batch, on whether a cache is used or on
 * whether segments are attended to at the same time. */
enum { SC_ATTENTION_TILE = 32, SC_ATTENTION_SEGMENT = 256 };

typedef struct sc_attention_attr {
    float scale;
    bool causal;
    int64_t
        window; /* > 0: a causal query sees itself and the window - 1 keys before it, any other one window / 2 keys
                       to each side */
    float cap;  /* > 0: a score s becomes cap tanh(s / cap) (Gemma 2) */
    sc_tensor *sinks; /* (H) f32 or NULL: one more score a query head, which takes its part of the softmax and gives
                         nothing (gpt-oss). An input of the node */
    sc_tensor
        *bias;  /* (H, 2M + 1) f32 or NULL: added to a head's score of a key j places after the query, j from -M
                         to M; farther ones get the value at the end (T5). An input of the node */
    bool cross; /* the keys are another batch of as many sequences; neither causal nor with a window or bias */
} sc_attention_attr;

/* q (T, H, D), k and v (T, Hkv, D) f32 → (T, H, D). Query head h reads key head h / (H / Hkv). */
sc_tensor *sc_attention(sc_graph *g, sc_tensor *q, sc_tensor *k, sc_tensor *v, const sc_seqs *seqs,
                        const sc_attention_attr *attr);

/* One layer's cache: k and v are SC_STATE tensors (pages, Hkv, SC_ATTENTION_TILE, D) of f32, f16, bf16 or q8_0. */
typedef struct sc_kv {
    sc_tensor *k, *v;
} sc_kv;
/* Puts x (T, Hkv, D) at seqs->slot of a cache and returns the cache as it is afterwards. */
sc_tensor *sc_kv_write(sc_graph *g, sc_tensor *cache, sc_tensor *x, const sc_seqs *seqs);
/* The same attention over a cache that sc_kv_write returned; a causal query sees past[s] + its place and before. For a few
 * tokens over a long cache it is two nodes, so that the segments of a sequence can be attended to at the same time:
 * attention_parts and attention_join. The result is the same bits. */
sc_tensor *sc_attention_cached(sc_graph *g, sc_tensor *q, sc_kv kv, const sc_seqs *seqs,
                               const sc_attention_attr *attr);
/* q (T, H, D) over the keys and values of another batch, that of `memory`: k and v (U, Hkv, D) with memory->start; or
 * caches, of which sequence s sees all the memory->past[s] tokens. attr->cross is set. */
sc_tensor *sc_attention_cross(sc_graph *g, sc_tensor *q, sc_kv kv, const sc_seqs *seqs, const sc_seqs *memory,
                              const sc_attention_attr *attr);

#endif
