/* SPDX-License-Identifier: Apache-2.0 */
/* What operations promise beside their values: a token's result is the same bits alone, in any batch and with a cache;
 * what does not fit is refused when the graph is built, by a message that names the operation and the scope. */
#include "core_help.h"
#include "one_context.h"

typedef struct leaf {
    sc_tensor *t;
    const void *data;
    int64_t n;
} leaf; /* n elements of 4 bytes */

/* Runs y with the given inputs; the result is malloc's. */
static float *result_of(sc_graph *g, unsigned levels, sc_tensor *y, const leaf *leaves, int n)
{
    sc_backend *backend;
    sc_plan *p;
    if (!y) fail_msg("%s", g->fault);
    assert_int_equal(sc_cpu_backend_new(&backend, ctx, levels), SC_OK);
    if (sc_plan_new(&p, g, backend, &y, 1)) fail_msg("%s", sc_error());
    for (int i = 0; i < n; i++)
        if (leaves[i].t) memcpy(sc_plan_data(p, leaves[i].t), leaves[i].data, (size_t)leaves[i].n * 4);
    if (sc_plan_run(p)) fail_msg("%s", sc_error());
    size_t bytes = (size_t)sc_tensor_count(y) * 4;
    float *copy = malloc(bytes + 1);
    memcpy(copy, sc_plan_data(p, y), bytes);
    sc_plan_free(p);
    backend->free(backend);
    return copy;
}

static sc_tensor *in(sc_graph *g, sc_dtype type, int rank, int64_t a, int64_t b, int64_t c)
{
    return sc_graph_input(g, "x", type, &(sc_shape){rank, {a, b, c}});
}

static float *noise(uint64_t seed, int64_t n)
{
    float *x = malloc(sizeof *x * (size_t)n);
    for (int64_t i = 0; i < n; i++) x[i] = random_float(&seed);
    return x;
}

enum { TOKENS = 70, WIDTH = 512, OUT = 37 };

/* Tokens first … first + n of x through a linear layer, a norm and an activation. */
static float *row_wise(unsigned levels, sc_dtype type, const void *w, const float *x, int64_t n)
{
    sc_graph *g;
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
    sc_tensor *i = in(g, SC_F32, 2, n, WIDTH, 0);
    sc_storage st = {.dtype = type, .stride = {WIDTH, 1}, .data = (void *)(uintptr_t)w};
    sc_tensor *m = sc_graph_state(g, "w", &(sc_shape){2, {OUT, WIDTH}}, &st);
    sc_tensor *y = sc_apply_linear(g, sc_apply_rms_norm(g, sc_unary(g, SC_UNARY_SILU, i), NULL, 1e-6f), m, NULL);
    y = sc_apply_layer_norm(g, y, NULL, NULL, 1e-6f);
    float *r = result_of(g, levels, y, &(leaf){i, x, n * WIDTH}, 1);
    sc_graph_free(g);
    return r;
}

static void tokens_alone_as_in_a_batch(void **state)
{
    (void)state;
    float *x = noise(1, TOKENS * WIDTH);
    unsigned char *w = malloc(OUT * WIDTH * 4);
    double *values = malloc(OUT * WIDTH * sizeof *values);
    for (int type = 0; type < SC_DTYPE_COUNT; type++) {
        if (!is_weight_type((sc_dtype)type)) continue;
        uint64_t seed = (uint64_t)type;
        random_elements(&seed, (sc_dtype)type, OUT * WIDTH, w, values);
        for (unsigned levels = 0; levels < 2; levels++) {
            float *all = row_wise(levels ? ~0u : 0, (sc_dtype)type, w, x, TOKENS);
            for (int first = 0, n; first < TOKENS; first += n) {
                n = SC_MIN(1 + first % 7, TOKENS - first);
                float *part = row_wise(levels ? ~0u : 0, (sc_dtype)type, w, x + first * WIDTH, n);
                if (memcmp(part, all + first * OUT, (size_t)(n * OUT) * 4) != 0)
                    fail_msg("%s: tokens %d to %d differ alone", sc_dtype_get((sc_dtype)type)->name, first,
                             first + n);
                free(part);
            }
            free(all);
        }
    }
    free(values);
    free(w);
    free(x);
}

/* ---- attention: alone, in a batch, over a cache, in pieces ---- */

enum { HEADS = 4, KV = 2, D = 24, PAGES = 18, LONG = 530 }; /* three segments */

typedef struct setup {
    unsigned levels;
    const float *q, *k, *v; /* (LONG, …) of one sequence */
    int64_t window;
    sc_block_pattern blocks;
    float *cache[2];
    int32_t page[PAGES];
} setup;

/* Rotates and attends: tokens 0 … n of the sequence between two others (`company`), or over the cache from `past`. */
static float *attention_of(setup *u, int64_t n, int64_t past, bool cached, int64_t company)
{
    sc_graph *g;
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
    int64_t before = company, total = n + 2 * company, sequences = company ? 3 : 1;
    int32_t start[4] = {0, (int32_t)before, (int32_t)(before + n), (int32_t)total};
    int32_t position[LONG * 3], slot[LONG], pasts[1] = {(int32_t)past};
    float *x[3];
    const float *from[3] = {u->q, u->k, u->v};
    const int64_t width[3] = {HEADS * D, KV * D, KV * D};
    for (int i = 0; i < 3; i++) {
        x[i] = noise((uint64_t)i + 77, total * width[i]);
        memcpy(x[i] + before * width[i], from[i] + past * width[i], (size_t)(n * width[i]) * 4);
    }
    for (int64_t i = 0; i < total; i++) position[i] = (int32_t)(i % 3);
    for (int64_t i = 0; i < n; i++) {
        position[before + i] = (int32_t)(past + i);
        slot[i] = u->page[(past + i) / 32] * 32 + (int32_t)(past + i) % 32;
    }
    if (!company) start[1] = (int32_t)n;
    sc_seqs s = {.position = in(g, SC_I32, 1, total, 0, 0), .start = in(g, SC_I32, 1, sequences + 1, 0, 0)};
    sc_tensor *q = in(g, SC_F32, 3, total, HEADS, D), *k = in(g, SC_F32, 3, total, KV, D),
              *v = in(g, SC_F32, 3, total, KV, D), *y;
    leaf leaves[8] = {{s.position, position, total},
                      {s.start, start, sequences + 1},
                      {q, x[0], total * width[0]},
                      {k, x[1], total * width[1]},
                      {v, x[2], total * width[2]}};
    int used = 5;
    sc_attention_attr attr = {.scale = 0.5f, .causal = true, .window = u->window, .blocks = u->blocks};
    sc_tensor *angles = sc_rope_table(g, &s, &(sc_rope_params){.dim = D, .theta = 10000, .factor = 1});
    sc_tensor *rq = sc_rope(g, q, angles, false), *rk = sc_rope(g, k, angles, false);
    if (cached) {
        sc_kv c;
        s.past = in(g, SC_I32, 1, 1, 0, 0);
        s.pages = in(g, SC_I32, 2, 1, PAGES, 0);
        s.slot = in(g, SC_I32, 1, n, 0, 0);
        leaves[used++] = (leaf){s.past, pasts, 1};
        leaves[used++] = (leaf){s.pages, u->page, PAGES};
        leaves[used++] = (leaf){s.slot, slot, n};
        for (int i = 0; i < 2; i++) {
            sc_storage st = {.dtype = SC_F32, .stride = {KV * 32 * D, 32 * D, D, 1}, .data = u->cache[i]};
            *(i ? &c.v : &c.k) =
                sc_kv_write(g, sc_graph_state(g, "cache", &(sc_shape){4, {PAGES, KV, 32, D}}, &st), i ? v : rk, &s);
        }
        y = sc_attention_cached(g, rq, c, &s, &attr);
    } else {
        y = sc_attention(g, rq, rk, v, &s, &attr);
    }
    float *all = result_of(g, u->levels, y, leaves, used), *r = malloc((size_t)(n * width[0]) * 4);
    memcpy(r, all + before * width[0], (size_t)(n * width[0]) * 4);
    free(all);
    for (int i = 0; i < 3; i++) free(x[i]);
    sc_graph_free(g);
    return r;
}

static void same(float *got, const float *want, int64_t n, const char *what, int64_t window, int64_t at)
{
    if (memcmp(got, want, (size_t)n * 4) != 0)
        fail_msg("%s, window %lld, from token %lld: other bits", what, (long long)window, (long long)at);
    free(got);
}

static void attention_alone_in_batch_and_cached(void **state)
{
    (void)state;
    static const int64_t windows[] = {0, 1, 31, 33, 300};
    static const int64_t pieces[] = {1, 31, 32, 257};
    setup u = {.q = noise(1, LONG * HEADS * D), .k = noise(2, LONG * KV * D), .v = noise(3, LONG * KV * D)};
    for (int i = 0; i < 2; i++) u.cache[i] = noise(9, PAGES * KV * 32 * D);
    for (int i = 0; i < PAGES; i++) u.page[i] = (i * 5 + 3) % PAGES;
    for (int l = 0; l < 2; l++)
        for (int w = 0; w <= SC_COUNT(windows); w++) {
            u.levels = l ? ~0u : 0;
            u.window = w < SC_COUNT(windows) ? windows[w] : 0;
            u.blocks = (sc_block_pattern){.size = w < SC_COUNT(windows) ? 0 : 24, .first = 1, .random = 2};
            float *all = attention_of(&u, LONG, 0, false, 0);
            for (int64_t n = 1; n < LONG; n += 131)
                same(attention_of(&u, n, 0, false, 0), all, n * HEADS * D, "a beginning", u.window, 0);
            for (int64_t c = 1; c < 70; c += 34)
                same(attention_of(&u, LONG, 0, false, c), all, LONG * HEADS * D, "in company", u.window, 0);
            for (int k = 0; k < SC_COUNT(pieces); k++)
                for (int64_t at = 0, n; at < LONG; at += n) {
                    n = SC_MIN(pieces[k], LONG - at);
                    same(attention_of(&u, n, at, true, 0), all + at * HEADS * D, n * HEADS * D, "in pieces",
                         u.window, at);
                }
            free(all);
        }
    free((void *)(uintptr_t)u.q);
    free((void *)(uintptr_t)u.k);
    free((void *)(uintptr_t)u.v);
    for (int i = 0; i < 2; i++) free(u.cache[i]);
}

/* ---- misuse ---- */

static sc_tensor *f(sc_graph *g, int rank, int64_t a, int64_t b, int64_t c) { return in(g, SC_F32, rank, a, b, c); }
static sc_tensor *i32(sc_graph *g, int rank, int64_t a, int64_t b) { return in(g, SC_I32, rank, a, b, 0); }

static sc_seqs seqs(sc_graph *g, int64_t tokens, int64_t sequences)
{
    return (sc_seqs){.position = i32(g, 1, tokens, 0),
                     .start = i32(g, 1, sequences + 1, 0),
                     .past = i32(g, 1, sequences, 0),
                     .slot = i32(g, 1, tokens, 0),
                     .pages = i32(g, 2, sequences, 2)};
}

static sc_tensor *cache_of(sc_graph *g, sc_dtype type, int64_t heads, int64_t tile, int64_t d)
{
    static float data[4 * 2 * 32 * 64];
    sc_storage st = {.dtype = type, .stride = {heads * tile * d, tile * d, d, 1}, .data = data};
    return sc_graph_state(g, "cache", &(sc_shape){4, {2, heads, tile, d}}, &st);
}

#define ATTEND(q, k, v, s) sc_attention(g, q, k, v, &(s), &(sc_attention_attr){.scale = 1})
#define CACHED(q, k, v, s)                                                                                         \
    sc_attention_cached(g, q, (sc_kv){k, v}, &(s), &(sc_attention_attr){.scale = 1, .causal = true})
#define BAD(name, expr)                                                                                            \
    static void name(sc_graph *g) { (void)(expr); }
#define BAD_SEQS(name, tokens, n, change, expr)                                                                    \
    static void name(sc_graph *g)                                                                                  \
    {                                                                                                              \
        sc_seqs s = seqs(g, tokens, n);                                                                            \
        change;                                                                                                    \
        (void)(expr);                                                                                              \
    }
static const int64_t huge[7] = {INT64_MAX, INT64_MAX, 4, 4, 4, 4, 4};
static sc_graph *other;

BAD(add_null, sc_add(g, NULL, f(g, 1, 4, 0, 0)))
BAD(add_more_axes, sc_add(g, f(g, 1, 4, 0, 0), f(g, 2, 2, 4, 0)))
BAD(add_shape, sc_add(g, f(g, 2, 2, 4, 0), f(g, 1, 5, 0, 0)))
BAD(add_first_axis, sc_add(g, f(g, 2, 2, 4, 0), f(g, 2, 1, 4, 0)))
BAD(add_integers, sc_add(g, i32(g, 1, 4, 0), i32(g, 1, 4, 0)))
BAD(add_stranger, sc_add(g, f(g, 1, 4, 0, 0), f(other, 1, 4, 0, 0)))
BAD(mul_shape, sc_mul(g, f(g, 2, 2, 4, 0), f(g, 2, 4, 2, 0)))
BAD(unary_integers, sc_unary(g, SC_UNARY_SILU, i32(g, 1, 4, 0)))
BAD(unary_kind, sc_unary(g, SC_UNARY_COUNT, f(g, 1, 4, 0, 0)))
BAD(linear_null, sc_apply_linear(g, f(g, 2, 2, 4, 0), NULL, NULL))
BAD(linear_width, sc_apply_linear(g, f(g, 2, 2, 4, 0), f(g, 2, 3, 5, 0), NULL))
BAD(linear_weight_axes, sc_apply_linear(g, f(g, 2, 2, 4, 0), f(g, 3, 1, 3, 4), NULL))
BAD(linear_scalar, sc_apply_linear(g, f(g, 0, 0, 0, 0), f(g, 2, 3, 4, 0), NULL))
BAD(linear_bias, sc_apply_linear(g, f(g, 2, 2, 4, 0), f(g, 2, 3, 4, 0), f(g, 1, 4, 0, 0)))
BAD(linear_bias_axes, sc_apply_linear(g, f(g, 2, 2, 4, 0), f(g, 2, 3, 4, 0), f(g, 2, 3, 4, 0)))
BAD(linear_bias_type, sc_apply_linear(g, f(g, 2, 2, 4, 0), f(g, 2, 3, 4, 0), i32(g, 1, 3, 0)))
BAD(linear_input_type, sc_apply_linear(g, i32(g, 2, 2, 4), f(g, 2, 3, 4, 0), NULL))
BAD(linear_too_large, sc_apply_linear(g, f(g, 2, (int64_t)1 << 40, 1, 0), f(g, 2, (int64_t)1 << 40, 1, 0), NULL))
BAD(norm_scalar, sc_apply_rms_norm(g, f(g, 0, 0, 0, 0), NULL, 0))
BAD(norm_weight, sc_apply_rms_norm(g, f(g, 2, 2, 4, 0), f(g, 1, 5, 0, 0), 0))
BAD(norm_weight_axes, sc_apply_rms_norm(g, f(g, 2, 2, 4, 0), f(g, 2, 4, 4, 0), 0))
BAD(norm_bias, sc_apply_layer_norm(g, f(g, 2, 2, 4, 0), NULL, f(g, 1, 3, 0, 0), 0))
BAD(norm_null, sc_apply_layer_norm(g, NULL, NULL, NULL, 0))
BAD(rows_vector, sc_rows(g, f(g, 1, 4, 0, 0), i32(g, 1, 2, 0)))
BAD(rows_float_ids, sc_rows(g, f(g, 2, 4, 4, 0), f(g, 1, 2, 0, 0)))
BAD(rows_ids_axes, sc_rows(g, f(g, 2, 4, 4, 0), i32(g, 2, 2, 2)))
BAD(rows_null, sc_rows(g, f(g, 2, 4, 4, 0), NULL))
BAD(reshape_count, sc_reshape(g, f(g, 1, 6, 0, 0), 2, (int64_t[]){2, 4}))
BAD(reshape_open, sc_reshape(g, f(g, 1, 6, 0, 0), 2, (int64_t[]){-1, 4}))
BAD(reshape_two_open, sc_reshape(g, f(g, 1, 6, 0, 0), 2, (int64_t[]){-1, -1}))
BAD(reshape_huge, sc_reshape(g, f(g, 1, 6, 0, 0), 3, huge))
BAD(reshape_axes, sc_reshape(g, f(g, 1, 6, 0, 0), 7, huge))
BAD(reshape_null, sc_reshape(g, NULL, 1, huge))
BAD(permute_twice, sc_permute(g, f(g, 2, 2, 3, 0), (int[]){0, 0}))
BAD(permute_range, sc_permute(g, f(g, 2, 2, 3, 0), (int[]){0, 2}))
BAD(permute_negative, sc_permute(g, f(g, 2, 2, 3, 0), (int[]){-1, 0}))
BAD(permute_null, sc_permute(g, NULL, NULL))
BAD(slice_axis, sc_slice(g, f(g, 2, 2, 3, 0), 2, 0, 1))
BAD(slice_end, sc_slice(g, f(g, 2, 2, 3, 0), 1, 1, 3))
BAD(slice_negative, sc_slice(g, f(g, 2, 2, 3, 0), 1, -1, 2))
BAD(slice_huge, sc_slice(g, f(g, 2, 2, 3, 0), 1, INT64_MAX, INT64_MAX))
BAD(slice_null, sc_slice(g, NULL, 0, 0, 1))
BAD(rope_tokens, sc_rope(g, f(g, 3, 4, 2, 8), f(g, 3, 2, 3, 4), false))
BAD(rope_width, sc_rope(g, f(g, 3, 4, 2, 8), f(g, 3, 2, 4, 5), false))
BAD(rope_table_half, sc_rope(g, f(g, 3, 4, 2, 8), f(g, 3, 1, 4, 4), false))
BAD(rope_axes, sc_rope(g, f(g, 2, 4, 8, 0), f(g, 3, 2, 4, 4), false))
BAD(rope_table_type, sc_rope(g, f(g, 3, 4, 2, 8), in(g, SC_I32, 3, 2, 4, 4), false))
BAD(rope_strided, sc_rope(g, sc_permute(g, f(g, 3, 8, 2, 4), (int[]){2, 1, 0}), f(g, 3, 2, 4, 4), false))
BAD_SEQS(table_odd, 4, 1, , sc_rope_table(g, &s, &(sc_rope_params){.dim = 7, .theta = 10}))
BAD_SEQS(table_none, 4, 1, , sc_rope_table(g, &s, &(sc_rope_params){.dim = 0, .theta = 10}))
BAD_SEQS(table_floats, 4, 1, s.position = f(g, 1, 4, 0, 0),
         sc_rope_table(g, &s, &(sc_rope_params){.dim = 8, .theta = 10}))
BAD_SEQS(table_no_sequence, 4, 0, , sc_rope_table(g, &s, &(sc_rope_params){.dim = 8, .theta = 10}))
BAD_SEQS(attention_heads, 4, 1, , ATTEND(f(g, 3, 4, 3, 8), f(g, 3, 4, 2, 8), f(g, 3, 4, 2, 8), s))
BAD_SEQS(attention_no_heads, 4, 1, , ATTEND(f(g, 3, 4, 0, 8), f(g, 3, 4, 2, 8), f(g, 3, 4, 2, 8), s))
BAD_SEQS(attention_no_key_heads, 4, 1, , ATTEND(f(g, 3, 4, 2, 8), f(g, 3, 4, 0, 8), f(g, 3, 4, 0, 8), s))
BAD_SEQS(attention_width, 4, 1, , ATTEND(f(g, 3, 4, 2, 8), f(g, 3, 4, 2, 9), f(g, 3, 4, 2, 9), s))
BAD_SEQS(attention_tokens, 4, 1, , ATTEND(f(g, 3, 4, 2, 8), f(g, 3, 5, 2, 8), f(g, 3, 5, 2, 8), s))
BAD_SEQS(attention_values, 4, 1, , ATTEND(f(g, 3, 4, 2, 8), f(g, 3, 4, 2, 8), f(g, 3, 4, 1, 8), s))
BAD_SEQS(attention_value_type, 4, 1, , ATTEND(f(g, 3, 4, 2, 8), f(g, 3, 4, 2, 8), in(g, SC_I32, 3, 4, 2, 8), s))
BAD_SEQS(attention_no_start, 4, 1, s.start = NULL, ATTEND(f(g, 3, 4, 2, 8), f(g, 3, 4, 2, 8), f(g, 3, 4, 2, 8), s))
BAD_SEQS(attention_no_sequence, 4, 0, , ATTEND(f(g, 3, 4, 2, 8), f(g, 3, 4, 2, 8), f(g, 3, 4, 2, 8), s))
BAD_SEQS(attention_strided, 4, 1, ,
         ATTEND(sc_permute(g, f(g, 3, 8, 2, 4), (int[]){2, 1, 0}), f(g, 3, 4, 2, 8), f(g, 3, 4, 2, 8), s))
BAD_SEQS(cached_no_past, 4, 1, s.past = NULL,
         CACHED(f(g, 3, 4, 2, 8), cache_of(g, SC_F32, 2, 32, 8), cache_of(g, SC_F32, 2, 32, 8), s))
BAD_SEQS(cached_no_pages, 4, 1, s.pages = NULL,
         CACHED(f(g, 3, 4, 2, 8), cache_of(g, SC_F32, 2, 32, 8), cache_of(g, SC_F32, 2, 32, 8), s))
BAD_SEQS(cached_pasts, 4, 2, s.past = i32(g, 1, 1, 0),
         CACHED(f(g, 3, 4, 2, 8), cache_of(g, SC_F32, 2, 32, 8), cache_of(g, SC_F32, 2, 32, 8), s))
BAD_SEQS(cached_page_rows, 4, 2, s.pages = i32(g, 2, 1, 2),
         CACHED(f(g, 3, 4, 2, 8), cache_of(g, SC_F32, 2, 32, 8), cache_of(g, SC_F32, 2, 32, 8), s))
BAD_SEQS(cached_tile, 4, 1, ,
         CACHED(f(g, 3, 4, 2, 8), cache_of(g, SC_F32, 2, 16, 8), cache_of(g, SC_F32, 2, 16, 8), s))
BAD_SEQS(write_no_slot, 4, 1, s.slot = NULL, sc_kv_write(g, cache_of(g, SC_F32, 2, 32, 8), f(g, 3, 4, 2, 8), &s))
BAD_SEQS(write_slots, 4, 1, s.slot = i32(g, 1, 3, 0),
         sc_kv_write(g, cache_of(g, SC_F32, 2, 32, 8), f(g, 3, 4, 2, 8), &s))
BAD_SEQS(write_heads, 4, 1, , sc_kv_write(g, cache_of(g, SC_F32, 2, 32, 8), f(g, 3, 4, 3, 8), &s))
BAD_SEQS(write_width, 4, 1, , sc_kv_write(g, cache_of(g, SC_F32, 2, 32, 8), f(g, 3, 4, 2, 9), &s))
BAD_SEQS(write_no_state, 4, 1, ,
         sc_kv_write(g, sc_graph_input(g, "c", SC_F32, &(sc_shape){4, {2, 2, 32, 8}}), f(g, 3, 4, 2, 8), &s))

static const struct {
    const char *op;
    void (*build)(sc_graph *g);
} misuse[] = {
    {"add", add_null},
    {"add", add_more_axes},
    {"add", add_shape},
    {"add", add_first_axis},
    {"add", add_integers},
    {"add", add_stranger},
    {"mul", mul_shape},
    {"unary", unary_integers},
    {"unary", unary_kind},
    {"linear", linear_null},
    {"linear", linear_width},
    {"linear", linear_weight_axes},
    {"linear", linear_scalar},
    {"linear", linear_bias},
    {"linear", linear_bias_axes},
    {"linear", linear_bias_type},
    {"linear", linear_input_type},
    {"linear", linear_too_large},
    {"rms_norm", norm_scalar},
    {"rms_norm", norm_weight},
    {"rms_norm", norm_weight_axes},
    {"layer_norm", norm_bias},
    {"layer_norm", norm_null},
    {"rows", rows_vector},
    {"rows", rows_float_ids},
    {"rows", rows_ids_axes},
    {"rows", rows_null},
    {"reshape", reshape_count},
    {"reshape", reshape_open},
    {"reshape", reshape_two_open},
    {"reshape", reshape_huge},
    {"reshape", reshape_axes},
    {"reshape", reshape_null},
    {"permute", permute_twice},
    {"permute", permute_range},
    {"permute", permute_negative},
    {"permute", permute_null},
    {"slice", slice_axis},
    {"slice", slice_end},
    {"slice", slice_negative},
    {"slice", slice_huge},
    {"slice", slice_null},
    {"rope", rope_tokens},
    {"rope", rope_width},
    {"rope", rope_table_half},
    {"rope", rope_axes},
    {"rope", rope_table_type},
    {"rope", rope_strided},
    {"rope_table", table_odd},
    {"rope_table", table_none},
    {"rope_table", table_floats},
    {"rope_table", table_no_sequence},
    {"attention", attention_heads},
    {"attention", attention_no_heads},
    {"attention", attention_no_key_heads},
    {"attention", attention_width},
    {"attention", attention_tokens},
    {"attention", attention_values},
    {"attention", attention_value_type},
    {"attention", attention_no_start},
    {"attention", attention_no_sequence},
    {"attention", attention_strided},
    {"attention", cached_no_past},
    {"attention", cached_no_pages},
    {"attention", cached_pasts},
    {"attention", cached_page_rows},
    {"attention", cached_tile},
    {"kv_write", write_no_slot},
    {"kv_write", write_slots},
    {"kv_write", write_heads},
    {"kv_write", write_width},
    {"kv_write", write_no_state},
};

static void misfits_are_refused(void **state)
{
    (void)state;
    sc_backend *backend;
    assert_int_equal(sc_cpu_backend_new(&backend, ctx, ~0u), SC_OK);
    for (int i = 0; i < SC_COUNT(misuse); i++) {
        sc_graph *g;
        sc_plan *p = NULL;
        assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
        assert_int_equal(sc_graph_new(&other, NULL), SC_OK);
        sc_scope_push(g, "over");
        sc_scope_push(g, "there.%d", 3);
        misuse[i].build(g);
        if (!g->status) fail_msg("misuse %d of %s was not noticed", i, misuse[i].op);
        if (strncmp(g->fault, misuse[i].op, strlen(misuse[i].op)) != 0 || !strstr(g->fault, "over.there.3") ||
            strchr(g->fault, '\n'))
            fail_msg("misuse %d of %s: '%s'", i, misuse[i].op, g->fault);
        /* Sticky: what follows does nothing, the plan fails with the first message. */
        char first[512];
        snprintf(first, sizeof first, "%s", g->fault);
        assert_null(sc_add(g, NULL, NULL));
        assert_null(f(g, 1, 4, 0, 0));
        sc_tensor *none = NULL;
        assert_int_equal(sc_plan_new(&p, g, backend, &none, 1), g->status);
        assert_string_equal(sc_error(), first);
        assert_null(p);
        sc_graph_free(g);
        sc_graph_free(other);
    }
    backend->free(backend);
}

/* What only the backend can say: types and layouts without a kernel; sizes past memory. */
static void plans_are_refused(void **state)
{
    (void)state;
    static const char *const why[] = {"linear",    "linear",    "rows",     "rows",         "contiguous",
                                      "too large", "too large", "kv_write", "only declared"};
    sc_backend *backend;
    assert_int_equal(sc_cpu_backend_new(&backend, ctx, ~0u), SC_OK);
    for (int i = 0; i < SC_COUNT(why); i++) {
        sc_graph *g;
        sc_plan *p = NULL;
        sc_tensor *y = NULL;
        assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
        sc_tensor *q = in(g, SC_Q8_0, 2, 32, 64, 0), *x = f(g, 2, 2, 32, 0);
        sc_seqs s = seqs(g, 2, 1);
        if (i == 0) y = sc_apply_linear(g, x, i32(g, 2, 4, 32), NULL);
        if (i == 1) y = sc_apply_linear(g, f(g, 2, 2, 20, 0), sc_slice(g, q, 1, 0, 20), NULL);
        if (i == 2) y = sc_rows(g, i32(g, 2, 4, 32), i32(g, 1, 3, 0));
        if (i == 3) y = sc_rows(g, sc_slice(g, q, 1, 0, 20), i32(g, 1, 3, 0));
        if (i == 4) y = sc_contiguous(g, sc_permute(g, q, (int[]){1, 0}));
        if (i == 5) y = sc_unary(g, SC_UNARY_RELU, f(g, 1, (int64_t)1 << 62, 0, 0));
        if (i == 6) y = sc_add(g, f(g, 1, (int64_t)1 << 60, 0, 0), f(g, 1, (int64_t)1 << 60, 0, 0));
        if (i == 7) y = sc_kv_write(g, cache_of(g, SC_I32, 1, 32, 8), f(g, 3, 2, 1, 8), &s);
        if (i == 8)
            y = sc_unary(g, SC_UNARY_RELU,
                         sc_graph_state(g, "w", &(sc_shape){1, {4}}, &(sc_storage){.stride = {1}}));
        assert_non_null(y);
        assert_int_not_equal(sc_plan_new(&p, g, backend, &y, 1), SC_OK);
        assert_null(p);
        if (!strstr(sc_error(), why[i])) fail_msg("refusal %d: '%s'", i, sc_error());
        sc_graph_free(g);
    }
    backend->free(backend);
}

/* Leaves and scopes out of range. */
static void leaves_are_checked(void **state)
{
    (void)state;
    static const sc_shape bad[] = {
        {7, {1, 1, 1, 1, 1, 1}}, {-1, {0}}, {2, {3, -1}}, {3, {(int64_t)1 << 40, (int64_t)1 << 40, 2}}};
    sc_graph *g;
    for (int i = 0; i < SC_COUNT(bad); i++) {
        assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
        assert_null(sc_graph_input(g, "table", SC_F32, &bad[i]));
        assert_int_equal(g->status, SC_ELIMIT);
        assert_non_null(strstr(g->fault, "table"));
        sc_graph_free(g);
    }
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
    for (int i = 0; i < 100; i++) sc_scope_push(g, "deep");
    assert_int_equal(g->status, SC_ELIMIT);
    for (int i = 0; i < 200; i++) sc_scope_pop(g);
    sc_graph_free(g);
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
    assert_null(sc_param(g, "weight", (sc_init){SC_INIT_ZEROS, 0}, 1, (int64_t[]){4}));
    assert_int_equal(g->status, SC_EINVAL);
    sc_graph_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_alone_as_in_a_batch), cmocka_unit_test(attention_alone_in_batch_and_cached),
        cmocka_unit_test(misfits_are_refused),        cmocka_unit_test(plans_are_refused),
        cmocka_unit_test(leaves_are_checked),
    };
    return cmocka_run_group_tests(tests, two_threads, no_context);
}
