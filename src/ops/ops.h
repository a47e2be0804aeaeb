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
sc_status sc_infer_like_input(sc_tensor *y);   /* dtype and shape of in[0] */
sc_status sc_infer_row_gradient(sc_tensor *y); /* the same, where in[3] is a gradient of its rows */
sc_cost sc_cost_elementwise(const sc_step *s);
int64_t sc_tensor_count(const sc_tensor *t);
double sc_tensor_bytes(const sc_tensor *t);
sc_status sc_want_dtype(const sc_tensor *t, const char *what, sc_dtype dtype);
sc_status sc_want_rank(const sc_tensor *t, const char *what, int rank);
sc_status sc_want_dim(const sc_tensor *t, const char *what, int axis, int64_t n);

/* ---- gradients (grad.c) ---- */

/* Appends what gives out[i] = d loss / d wrt[i], of wrt[i]'s shape, out of the same operations; loss has one element, n
 * may be any number. NULL where the loss does not depend on wrt[i], and for a
 * parameter that stands before it in the graph by the same name: that one's gradient is of both. A fault where an operation between them has no
 * derivative. */
void sc_grad(sc_graph *g, sc_tensor *loss, sc_tensor *const *wrt, int64_t n, sc_tensor **out);
/* What the backward pass makes again instead of keeping it since the forward pass, to the same bits. */
typedef enum sc_remake {
    SC_REMAKE_NOTHING,
    SC_REMAKE_CHEAP,  /* norms and activations: hardly any time */
    SC_REMAKE_BLOCKS, /* and all between two hidden states that the model shows (sc_tap): most of a forward pass */
} sc_remake;
void sc_grad_remaking(sc_graph *g, sc_tensor *loss, sc_tensor *const *wrt, int64_t n, sc_remake how,
                      sc_tensor **out);

/* For an operation's `backward`: whether an input's gradient is wanted, what is known of it so far (NULL: nothing), and
 * one more part of it. */
typedef struct sc_gradients sc_gradients;
bool sc_gradient_wanted(const sc_gradients *b, const sc_tensor *x);
sc_tensor *sc_gradient_of(const sc_gradients *b, const sc_tensor *x);
void sc_gradient_add(sc_gradients *b, sc_tensor *x, sc_tensor *dx);
void sc_gradient_set(sc_gradients *b, sc_tensor *x, sc_tensor *dx); /* in place of what was known */
sc_graph *sc_gradient_graph(sc_gradients *b);

/* ---- views: no work ---- */
/* The same values in another shape; one dimension may be -1. Copies first where strides do not allow it. */
sc_tensor *sc_reshape(sc_graph *g, sc_tensor *x, int rank, const int64_t *dim);
/* Axis i of the result is axis order[i] of x. */
sc_tensor *sc_permute(sc_graph *g, sc_tensor *x, const int *order);
/* Elements start .. start + n of one axis. */
sc_tensor *sc_slice(sc_graph *g, sc_tensor *x, int axis, int64_t start, int64_t n);
/* x itself where it is contiguous (or NULL), else a copy that is. */
sc_tensor *sc_contiguous(sc_graph *g, sc_tensor *x);
typedef struct sc_slice_attr {
    int axis;
    int64_t start, n; /* of a place: n is what the whole axis has */
} sc_slice_attr;
/* x as elements start .. of one axis of a tensor whose axis has n: added to base there, or with zeros around it where base
 * is NULL. */
sc_tensor *sc_place(sc_graph *g, sc_tensor *base, sc_tensor *x, int axis, int64_t start, int64_t n);

/* n tensors, alike in all axes but the last, side by side on that. */
sc_tensor *sc_concat(sc_graph *g, int n, sc_tensor *const *x);

/* ---- element by element, f32. b may have fewer axes than a: it is repeated over a's leading ones ---- */
sc_tensor *sc_add(sc_graph *g, sc_tensor *a, sc_tensor *b);
sc_tensor *sc_mul(sc_graph *g, sc_tensor *a, sc_tensor *b);
/* y = scale x + shift. */
sc_tensor *sc_affine(sc_graph *g, sc_tensor *x, float scale, float shift);
typedef struct sc_affine_attr {
    float scale, shift;
} sc_affine_attr;
/* y = x / (1 - rate), or 0 where chance leaves a value out; seed (2) i32. Node by node other ones are left out. */
sc_tensor *sc_dropout(sc_graph *g, sc_tensor *x, sc_tensor *seed, float rate);
typedef struct sc_dropout_attr {
    float rate;
    uint64_t stream;
} sc_dropout_attr;
/* One over the lengths (N) of the rows of w + scale b a: w (N, C), a (R, C), b (N, R), square (N) those of w's squared. As
 * constants: no gradient passes. */
sc_tensor *sc_inverse_lengths(sc_graph *g, sc_tensor *square, sc_tensor *w, sc_tensor *a, sc_tensor *b,
                              float scale);
sc_tensor *sc_unary(sc_graph *g, sc_unary_kind kind, sc_tensor *x);
typedef struct sc_unary_attr {
    sc_unary_kind kind;
} sc_unary_attr;
/* dy f'(x). */
sc_tensor *sc_unary_grad(sc_graph *g, sc_unary_kind kind, sc_tensor *x, sc_tensor *dy);
/* The sum over the leading axes of x that a tensor of the last `keep` axes lacks, rank `keep`. */
sc_tensor *sc_sum_leading(sc_graph *g, sc_tensor *x, int keep);

/* ---- layers whose parameters are given; nn.h has the forms that ask for them by name ---- */
/* y (T, N) = x (T, C) w^T + bias; w (N, C) of any type with a dequantiser, bias (N) or NULL. x and w may be permuted views:
 * so all products that gradients need are here. */
sc_tensor *sc_apply_linear(sc_graph *g, sc_tensor *x, sc_tensor *w, sc_tensor *bias);
/* How products with an f32 matrix are made where a graph says it; NULL: as generation makes them, one token or many to the
 * same bits. */
typedef struct sc_linear_attr {
    sc_dtype type; /* SC_BF16: both sides rounded to it, where the machine multiplies that; sums are f32 */
} sc_linear_attr;
/* Says it of all products of the graph so far, for training: no token comes alone there, so the sum for an element may run
 * over C simply from first to last, which is faster, for any number of tokens. type: SC_F32 or SC_BF16. */
void sc_linear_in_order(sc_graph *g, sc_dtype type);
/* Over the last axis. w, b: (C) or NULL. */
sc_tensor *sc_apply_rms_norm(sc_graph *g, sc_tensor *x, sc_tensor *w, float eps);
sc_tensor *sc_apply_layer_norm(sc_graph *g, sc_tensor *x, sc_tensor *w, sc_tensor *b, float eps);
typedef struct sc_norm_attr {
    float eps;
} sc_norm_attr;

/* ---- losses ---- */

/* (R): weight[r] times the cross entropy -log softmax(logits[r])[labels[r]]; 0 where labels[r] is negative. logits (R, V),
 * labels (R) i32, weight (R) f32: 1 / R for a mean. */
sc_tensor *sc_cross_entropy(sc_graph *g, sc_tensor *logits, sc_tensor *labels, sc_tensor *weight);
/* The same against a target of which `smoothing` is spread over all V (Szegedy et al. 2016): with s, (1 - s) times that and s
 * times the mean of -log softmax(logits[r]). */
sc_tensor *sc_cross_entropy_smoothed(sc_graph *g, sc_tensor *logits, sc_tensor *labels, sc_tensor *weight,
                                     float smoothing);
typedef struct sc_cross_entropy_attr {
    float smoothing;
} sc_cross_entropy_attr;
/* How far a model's distribution Q = softmax(logits / T) is from its teacher's P = softmax(teacher / T). */
typedef enum sc_divergence_kind {
    SC_DIVERGENCE_FORWARD,   /* KL(P, Q) = sum P log P/Q (Hinton et al. 2015) */
    SC_DIVERGENCE_REVERSE,   /* KL(Q, P) (Gu et al. 2023, "MiniLLM") */
    SC_DIVERGENCE_SYMMETRIC, /* the mean of both */
    SC_DIVERGENCE_JS, /* beta KL(P, M) + (1 - beta) KL(Q, M), M = beta P + (1 - beta) Q (Agarwal et al. 2023) */
} sc_divergence_kind;
typedef struct sc_divergence_attr {
    sc_divergence_kind kind;
    float temperature, beta; /* T > 0; of SC_DIVERGENCE_JS, between 0 and 1 */
} sc_divergence_attr;
/* (R): weight[r] times the divergence of row r, 0 where the weight is 0. logits and teacher (R, V), weight (R) f32. The gradient is
 * of the logits alone. */
sc_tensor *sc_divergence(sc_graph *g, sc_tensor *logits, sc_tensor *teacher, sc_tensor *weight,
                         const sc_divergence_attr *how);
/* No function: a backend may ask for it (sc_backend.lower). x (..., C) f32, C a multiple of SC_PACKED → u8 (R, bytes):
 * each row as blocks of whole numbers with a scale, SC_PACKED values in SC_PACKED_BYTES. */
enum { SC_PACKED = 32, SC_PACKED_BYTES = 48 };
/* Nor has pack_panels: x (..., C) f32, contiguous or a matrix turned → f32 (R, C rounded up to 16), or bf16 (R, C rounded
 * up to 32): the same values in the order that products of many rows want. Nor pack_ordered: the same with C as it is, or
 * rounded up to 2; nor pack_ordered_w, which also rounds R up to 32. */
/* Rows of a table (R, C) of any type by id: ids (T) i32 → (T, C) f32. An id outside the table fails the run. */
sc_tensor *sc_rows(sc_graph *g, sc_tensor *table, sc_tensor *ids);
/* The same with the ids from R on meaning rows of `more` (any, C) f32; NULL: none. */
sc_tensor *sc_rows_and(sc_graph *g, sc_tensor *table, sc_tensor *more, sc_tensor *ids);
/* … and gradients do not pass to the row of the id `still` (-1: none), which stands for what is no token. */
sc_tensor *sc_rows_but(sc_graph *g, sc_tensor *table, sc_tensor *more, sc_tensor *ids, int64_t still);
typedef struct sc_rows_attr {
    int64_t rows; /* of a gradient */
    int64_t still;
} sc_rows_attr;

/* Positions as sines and cosines (Vaswani et al. 2017): at (T) i32 → (T, width), the sines of all the frequencies first. */
sc_tensor *sc_sinusoids(sc_graph *g, sc_tensor *at, int64_t width);
typedef struct sc_sinusoids_attr {
    int64_t width;
} sc_sinusoids_attr;

/* ---- mixtures of experts: E experts of which each token uses K (Shazeer et al. 2017) ---- */

typedef enum sc_score {
    SC_SCORE_SOFTMAX, /* of the logits of all experts */
    SC_SCORE_SIGMOID, /* of each logit */
    SC_SCORE_CHOSEN,  /* softmax of the chosen ones' logits alone */
} sc_score;

/* How tokens are given to experts. */
typedef struct sc_routing {
    int64_t used; /* K */
    sc_score score;
    int64_t groups, groups_used; /* > 1: only experts of the best groups_used of so many groups of neighbours */
    int64_t group_best;          /* a group ranks by the sum of so many of its best */
    bool normalise;              /* weights are divided by their sum */
    float scale;                 /* of the weights */
} sc_routing;

/* logits (T, E) → (T, K) i32, the best first; of equals the one with the smaller number. bias (E) or NULL is added to
 * the scores for choosing alone. */
sc_tensor *sc_top_experts(sc_graph *g, sc_tensor *logits, sc_tensor *bias, const sc_routing *r);
/* How much each of the chosen counts: (T, K). */
sc_tensor *sc_expert_weights(sc_graph *g, sc_tensor *logits, sc_tensor *experts, const sc_routing *r);
/* y[t, i] (N) = w[experts[t, i]] x[t] + bias: x (T, C), or (T, K, C) where each has its own; w (E, N, C), bias (E, N) or
 * NULL. experts NULL: K is E, and y[t, i] is of w[i]. Each matrix is read once, those that no token uses not at all. */
sc_tensor *sc_linear_experts(sc_graph *g, sc_tensor *x, sc_tensor *w, sc_tensor *experts, sc_tensor *bias);
/* x (T, K, C), weights (T, K), NULL: 1 → (T, C). */
sc_tensor *sc_expert_sum(sc_graph *g, sc_tensor *x, sc_tensor *weights);
/* How often each of n experts was chosen: one (T, K, 1) ones, experts (T, K) → (n). */
sc_tensor *sc_expert_counts(sc_graph *g, sc_tensor *one, sc_tensor *experts, int64_t n);
/* Of n mixtures together, logits (T, E) and experts (T, K) of each: E times the sum over experts of the share of tokens
 * that chose one times the mean of its softmax; one element. NULL: there are none. (balance.c) */
sc_tensor *sc_balance_loss(sc_graph *g, int64_t n, sc_tensor *const *logits, sc_tensor *const *experts);
/* (up + 1) gate sigmoid(alpha gate), the gate at most `limit`, up within it both ways (gpt-oss). */
sc_tensor *sc_clamped_glu(sc_graph *g, sc_tensor *gate, sc_tensor *up, float alpha, float limit);
typedef struct sc_clamped_glu_attr {
    float alpha, limit;
} sc_clamped_glu_attr;

/* ---- ragged batches ---- */

/* Which tokens belong together. A batch of T tokens is S sequences end to end. */
typedef struct sc_seqs {
    sc_tensor *position; /* (T) i32: each token's place in its sequence, counted from the sequence's first token */
    sc_tensor *start;    /* (S+1) i32: sequence s is tokens start[s] .. start[s+1] */
    sc_tensor *past;     /* (S) i32: tokens of sequence s that the cache held before these; NULL without cache */
    sc_tensor *slot;     /* (T) i32: where in the cache each token's key and value go; NULL without cache */
    sc_tensor *pages;    /* (S, P) i32: the pages of each sequence; NULL without cache */
    /* (S) i32: the slot with each sequence's recurrent states before these tokens, -1 where it begins; and the one for
     * those after them, which no sequence reads. NULL without cache. */
    sc_tensor *state_from, *state_to;
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
    bool back; /* by the opposite angles */
} sc_rope_attr;

/* ---- attention (tiled as in Dao et al. 2022, "FlashAttention") ---- */

/* Keys a tile, and tokens a page of the cache; and keys a segment, whole tiles. Both begin at multiples of their size in
 * every sequence, so that a result does not depend on what else is in the batch, on whether a cache is used or on
 * whether segments are attended to at the same time. */
enum { SC_ATTENTION_TILE = 32, SC_ATTENTION_SEGMENT = 256 };

/* Which blocks of keys each block of queries sees, beside itself; the rest costs nothing. Blocks are counted from the
 * beginning of each sequence. */
typedef struct sc_block_pattern {
    int64_t size; /* tokens a block; 0: there is no pattern */
    enum {
        SC_BLOCKS_LOCAL,
        SC_BLOCKS_STRIDED, /* each stride-th from the query's own */
        SC_BLOCKS_FIXED    /* of stretches of `stride` blocks its own, and of each the last `summary` */
    } kind;
    int64_t near;        /* neighbours to each side, or before it where causal */
    int64_t first, last; /* so many at either end are seen by all and see all; causal: last is 0 */
    int64_t random;      /* others, drawn anew for each key head and block of queries */
    uint64_t seed;
    int64_t stride, summary; /* blocks, of the two regular kinds */
    int64_t again;           /* the first block counts so many times more, for those that do not see all */
    int64_t dense;           /* in sequences of at most so many tokens all see all; causal: 0 */
} sc_block_pattern;

typedef struct sc_attention_attr {
    float scale;
    bool causal;
    int64_t
        window; /* > 0: a causal query sees itself and the window - 1 keys before it, any other one window / 2 keys
                       to each side */
    int64_t globals;         /* with a window: the first so many keys of a sequence are seen besides (Longformer) */
    sc_block_pattern blocks; /* in place of a window */
    float cap;               /* > 0: a score s becomes cap tanh(s / cap) (Gemma 2) */
    bool alibi;       /* a key n before the query has n times the head's slope less (Press et al. 2022, "ALiBi") */
    sc_tensor *sinks; /* (H) f32 or NULL: one more score a query head, which takes its part of the softmax and gives
                         nothing (gpt-oss). An input of the node */
    sc_tensor
        *bias;  /* (H, 2M + 1) f32 or NULL: added to a head's score of a key j places after the query, j from -M
                         to M; farther ones get the value at the end (T5). An input of the node */
    bool cross; /* the keys are another batch of as many sequences; neither causal nor with a window or bias */
} sc_attention_attr;

/* q (T, H, D), k (T, Hkv, D), v (T, Hkv, Dv) f32 → (T, H, Dv). Query head h reads key head h / (H / Hkv). */
sc_tensor *sc_attention(sc_graph *g, sc_tensor *q, sc_tensor *k, sc_tensor *v, const sc_seqs *seqs,
                        const sc_attention_attr *attr);

/* Keys from .. to, which count 1 + again times. (keys.c) */
typedef struct sc_key_range {
    int64_t from, to, again;
} sc_key_range;
/* The keys that the queries at places first .. end of a sequence with so many keys see any of, in order, apart; with a
 * pattern, queries of one block, which see all of these up to themselves. `out` has room for sc_attention_keys_most. */
int64_t sc_attention_keys(const sc_attention_attr *a, int64_t head, int64_t first, int64_t end, int64_t keys,
                          sc_key_range *out);
int64_t sc_attention_keys_most(const sc_attention_attr *a, int64_t keys);
/* Pairs of a query and a key that it sees, of one head; within a block of a pattern as if none were causal. For costs. */
double sc_attention_pairs(const sc_attention_attr *a, int64_t first, int64_t end, int64_t keys);
sc_status sc_attention_keys_check(const sc_attention_attr *a);

/* One layer's cache: k and v are SC_STATE tensors (pages, Hkv, SC_ATTENTION_TILE, D) of f32, f16, bf16 or q8_0, or v a view
 * of the first features of each key. */
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

/* ---- what goes through each sequence token by token ----
 * All are strictly sequential in f32 and begin anew with each sequence, so a result is the same bits for any batch and
 * however a prompt is cut. state: SC_STATE (slots, rows, n) f32, where the sequences' states are kept between runs;
 * NULL: they begin with zeros and are dropped. */
enum { SC_STATE_INPUTS = 4, SC_CONV_TAPS = 64 };

typedef struct sc_conv_attr {
    bool silu; /* of the sums */
} sc_conv_attr;
/* y[t] = bias + sum over j < K of w[j] x[t - K + 1 + j], each channel for itself. Parts (T, C) or (T, H, D), 1 to 3, make
 * the channels one after another; w (C, 1, K), bias (C) or NULL; states are the last K - 1 inputs, (K - 1, C). → (T, C) */
sc_tensor *sc_conv_causal(sc_graph *g, sc_tensor *const *part, int parts, sc_tensor *w, sc_tensor *bias, bool silu,
                          const sc_seqs *seqs, sc_tensor *state);

typedef struct sc_selective_scan {
    sc_tensor *x, *dt, *a, *b, *c;
    sc_tensor *d;         /* NULL: none */
    float dt_min, dt_max; /* of sc_scan_decay: dt is brought into this range; dt_max 0: any */
} sc_selective_scan;
typedef struct sc_decay_attr {
    float dt_min, dt_max;
} sc_decay_attr;
/* Of the derivatives: what is summed over the rows (or the heads of a group) is summed in so many parts that can be made at
 * the same time. */
enum { SC_SCAN_PARTS = 8 };
typedef struct sc_scan_grad_attr {
    int64_t parts;
    sc_decay_attr range; /* of sc_scan_decay's */
} sc_scan_grad_attr;
/* Mamba (Gu and Dao 2023). h = exp(dt a) h + dt x b; y = h c + d x. x, dt (T, C), a (C, N), b, c (T, N), d (C); states
 * (C, N) → (T, C) */
sc_tensor *sc_scan_selective(sc_graph *g, const sc_selective_scan *p, const sc_seqs *seqs, sc_tensor *state);
/* Mamba 2 (Dao and Gu 2024): one a a head. x (T, H, P), dt (T, H), a, d (H), b, c (T, G, N), of which head h uses group
 * h / (H / G); states (H P, N) → (T, H, P) */
sc_tensor *sc_scan_decay(sc_graph *g, const sc_selective_scan *p, const sc_seqs *seqs, sc_tensor *state);

typedef struct sc_delta_scan {
    sc_tensor *q, *k, *v, *g, *beta;
    float eps;
    bool tiled; /* value head h uses key head h % Hk; else h / (H / Hk) */
} sc_delta_scan;
typedef struct sc_delta_attr {
    float eps;
    bool tiled;
} sc_delta_attr;
/* The gated delta rule (Yang et al. 2024). With q and k divided by sqrt(|.|^2 + eps):
 * S = exp(g) S; S = S + beta (v - S k) k^T; y = S q / sqrt N. q, k (T, Hk, N), v (T, H, P), g, beta (T, H); states (H P, N)
 * → (T, H, P) */
sc_tensor *sc_scan_delta(sc_graph *g, const sc_delta_scan *p, const sc_seqs *seqs, sc_tensor *state);

/* ---- over each sequence as a whole ---- */

/* What a sequence's tokens become together: the first or last of them, their mean, largest values, sum over the root of
 * their number, or the mean weighted 1, 2, 3, … */
typedef enum sc_pool_kind {
    SC_POOL_FIRST,
    SC_POOL_LAST,
    SC_POOL_MEAN,
    SC_POOL_MAX,
    SC_POOL_MEAN_SQRT,
    SC_POOL_WEIGHTED,
    SC_POOL_COUNT
} sc_pool_kind;
typedef struct sc_pool_attr {
    sc_pool_kind kind;
} sc_pool_attr;
/* x (T, C), first and stop (S) i32 → (S, C): row s is of tokens first[s] .. stop[s], at least one. */
sc_tensor *sc_pool_tokens(sc_graph *g, sc_pool_kind kind, sc_tensor *x, sc_tensor *first, sc_tensor *stop);

/* Where the first n tokens of each sequence are, for attention of their own. rows (S n): their places in the batch, the last
 * one's again where a sequence is shorter; start (S + 1): 0, n, 2n, …; back (T): a token's own place t or, of the first
 * ones, T and its place in `rows`. All i32, parts of one. */
typedef struct sc_first_tokens {
    sc_tensor *rows, *start, *back;
} sc_first_tokens;
sc_first_tokens sc_tokens_first(sc_graph *g, const sc_seqs *seqs, int64_t n);
typedef struct sc_first_tokens_attr {
    int64_t n;
} sc_first_tokens_attr;

/* Ids from `vocab` on are virtual tokens. ids (T) → (2, T) i32: a token's own place t, or T and the number of a virtual one;
 * and ids in which those are 0. */
sc_tensor *sc_virtual_rows(sc_graph *g, sc_tensor *ids, int64_t vocab);
typedef struct sc_virtual_rows_attr {
    int64_t vocab;
} sc_virtual_rows_attr;

/* x (T, C) → (T, C, n): each token's n neighbours of its sequence, itself at place (n - 1) / 2, zeros outside. What a
 * convolution over the tokens multiplies. */
sc_tensor *sc_unfold(sc_graph *g, sc_tensor *x, const sc_seqs *seqs, int64_t n);
typedef struct sc_unfold_attr {
    int64_t n;
} sc_unfold_attr;

/* Attention in both directions with content and relative position apart (He et al. 2021, "DeBERTa"). For a query i and a
 * key j of a sequence, with r = R + bucket(i - j) within 0 … 2R - 1:
 *   score = scale (q_i k_j + q_i pos_key_r + k_j pos_query_r). */
typedef struct sc_disentangled_attr {
    float scale;
    int64_t
        buckets; /* > 0: distances above buckets / 2 share buckets, logarithmically wider ones up to `farthest` */
    int64_t farthest;
} sc_disentangled_attr;
enum { SC_DISENTANGLED_GROUPS = 4 }; /* sequences whose gradients of positions are summed apart, at most */
/* q, k, v (T, H, D); pos_key and pos_query (2R, H, D) or NULL: without that term → (T, H, D). */
sc_tensor *sc_disentangled(sc_graph *g, sc_tensor *q, sc_tensor *k, sc_tensor *v, sc_tensor *pos_key,
                           sc_tensor *pos_query, const sc_seqs *seqs, const sc_disentangled_attr *attr);

/* ---- gated recurrent cells (Cho et al. 2014; Hochreiter and Schmidhuber 1997), token by token ---- */

/* Additive attention (Bahdanau et al. 2015) before each step: score of a key j: v . tanh(query h + key_j); the values
 * weighted by the softmax of that are the context. */
typedef struct sc_additive {
    sc_tensor *query, *v;     /* (A, H), (A) */
    sc_tensor *keys, *values; /* (U, A), (U, M) of the memory's tokens; or caches (pages, 1, tile, A or M) */
    sc_tensor *into;          /* (G H, M): what the context adds to the gates */
    const sc_seqs *memory;    /* start; with caches past, the lengths, and pages */
} sc_additive;

typedef struct sc_cell_attr {
    bool lstm;    /* gates i, f, g, o with a cell state; else a GRU's r, z, n, n = tanh(x + r * (h w^T + b)) */
    bool reverse; /* from the last token to the first */
} sc_cell_attr;

/* x (T, G H), what the input gives the gates, G 3 or 4; w (G H, H), b (G H); all f32. h0 and c0: (S, H), or the first row
 * of each sequence in a cache (pages, 1, tile, H) of attend->memory; NULL: zeros; c0 is an LSTM's. With `state`, (slots,
 * 1 or 2, H) as sc_text_state gives it, a sequence that is not at its beginning continues. → (T, H, and with lstm H
 * more, and with attention M more): h, c, context. */
sc_tensor *sc_cell(sc_graph *g, sc_tensor *x, sc_tensor *w, sc_tensor *b, sc_tensor *h0, sc_tensor *c0,
                   const sc_additive *attend, const sc_seqs *seqs, sc_tensor *state, const sc_cell_attr *attr);

#endif
