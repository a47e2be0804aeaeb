/* SPDX-License-Identifier: Apache-2.0 */
/* Weights that plans bring into the kernels' own layout: made once for all plans of a backend, from heap and from mapped
 * files, without a change in any bit; and rows that are packed by the step that makes them. On every level of this
 * machine and for several numbers of threads. */
#include "cpu/cpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <unistd.h>

enum { LEVELS = 8, WIDTH = 768 };
static unsigned level[LEVELS];
static int n_levels;
static const sc_dtype types[] = {SC_Q4_0, SC_Q4_1, SC_Q5_0, SC_Q5_1,  SC_Q8_0,
                                 SC_Q4_K, SC_Q5_K, SC_Q6_K, SC_MXFP4, SC_IQ4_NL};

static sc_context *context(int threads)
{
    sc_context *ctx;
    assert_int_equal(sc_context_new(&ctx, &(sc_context_options){.threads = threads}), SC_OK);
    return ctx;
}

/* n random rows of a type. */
static sc_buffer *random_rows(sc_dtype type, int64_t n, uint64_t seed)
{
    sc_buffer *b;
    float *x = malloc(sizeof *x * (size_t)(n * WIDTH));
    sc_rng_normal_fill(seed, 1, 0, x, n * WIDTH);
    assert_int_equal(sc_buffer_new(&b, sc_dtype_size(type, n * WIDTH)), SC_OK);
    assert_int_equal(sc_quantize(type, x, b->data, n * WIDTH), SC_OK);
    free(x);
    return b;
}

static sc_tensor *constant(sc_graph *g, sc_dtype type, int64_t n, sc_buffer *b)
{
    sc_storage st = {.dtype = type, .stride = {WIDTH, 1}, .data = b->data, .buffer = b};
    return sc_graph_constant(g, "w", &(sc_shape){2, {n, WIDTH}}, &st);
}

/* x (tokens, WIDTH) times w, or times a copy of w that is an input and so stays as it is stored. */
typedef struct product {
    sc_graph *g;
    sc_plan *p;
    sc_tensor *x, *y;
} product;

static product make(sc_backend *backend, sc_dtype type, int64_t n, sc_buffer *w, int64_t tokens, bool copied)
{
    product r;
    assert_int_equal(sc_graph_new(&r.g, NULL), SC_OK);
    r.x = sc_graph_input(r.g, "x", SC_F32, &(sc_shape){2, {tokens, WIDTH}});
    sc_tensor *m = copied ? sc_graph_input(r.g, "w", type, &(sc_shape){2, {n, WIDTH}}) : constant(r.g, type, n, w);
    r.y = sc_apply_linear(r.g, r.x, m, NULL);
    assert_int_equal(sc_plan_new(&r.p, r.g, backend, &r.y, 1), SC_OK);
    if (copied) memcpy(sc_plan_data(r.p, m), w->data, (size_t)w->size);
    sc_rng_normal_fill(7, 2, 0, sc_plan_data(r.p, r.x), tokens * WIDTH);
    assert_int_equal(sc_plan_run(r.p), SC_OK);
    return r;
}

static const void *own_of(const product *r)
{
    for (int i = 0; i < r->p->n_steps; i++)
        if (r->p->step[i].op == &sc_op_linear) return r->p->step[i].own;
    fail_msg("no product in the plan");
    return NULL;
}

static void drop(product *r)
{
    sc_plan_free(r->p);
    sc_graph_free(r->g);
}

static void check_type(sc_context *ctx, unsigned mask, sc_dtype type, int64_t n)
{
    sc_backend *backend;
    sc_kernels k;
    sc_kernels_init(&k, mask);
    assert_int_equal(sc_cpu_backend_new(&backend, ctx, mask), SC_OK);
    sc_buffer *w = random_rows(type, n, (uint64_t)type);
    const void *own = NULL;
    for (int64_t tokens = 1; tokens <= 19; tokens += 6) {
        product a = make(backend, type, n, w, tokens, false), b = make(backend, type, n, w, tokens, true);
        assert_memory_equal(sc_plan_data(a.p, a.y), sc_plan_data(b.p, b.y), (size_t)(tokens * n) * sizeof(float));
        assert_null(own_of(&b));
        if (k.interleave[type])
            assert_non_null(own_of(&a));
        else
            assert_null(own_of(&a));
        if (own) assert_ptr_equal(own_of(&a), own); /* one copy for all plans */
        own = own_of(&a);
        drop(&a);
        drop(&b);
    }
    if (own) assert_true(w->refs == 2); /* an address is not taken for a later weight's */
    backend->free(backend);
    assert_true(w->refs == 1);
    sc_buffer_unref(w);
}

static void weights_are_brought_once(void **state)
{
    (void)state;
    static const int threads[] = {1, 3};
    for (int c = 0; c < SC_COUNT(threads); c++) {
        sc_context *ctx = context(threads[c]);
        for (int l = 0; l < n_levels; l++)
            for (int t = 0; t < SC_COUNT(types); t++) check_type(ctx, level[l], types[t], t % 2 ? 37 : 1500);
        sc_context_free(ctx);
    }
    print_message("%d levels, %d types\n", n_levels, SC_COUNT(types));
}

/* Two weights in one file with something between them, and a table that is both looked up and multiplied by. */
static void mapped_files_stay_readable(void **state)
{
    (void)state;
    char path[] = "own_layout_XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    enum { N = 700 };
    sc_buffer *rows = random_rows(SC_Q4_1, N, 5), *map;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(write(fd, rows->data, (size_t)rows->size), rows->size);
        assert_int_equal(write(fd, "between", 7), 7);
    }
    close(fd);
    assert_int_equal(sc_file_map(&map, path), SC_OK);
    unlink(path);
    sc_context *ctx = context(2);
    sc_backend *backend;
    sc_graph *g;
    assert_int_equal(sc_backend_new(&backend, ctx), SC_OK);
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
    sc_tensor *w[2], *ids = sc_graph_input(g, "ids", SC_I32, &(sc_shape){1, {2}}), *out[2];
    for (int i = 0; i < 2; i++) {
        sc_storage st = {.dtype = SC_Q4_1,
                         .stride = {WIDTH, 1},
                         .data = (char *)map->data + i * (rows->size + 7),
                         .buffer = map};
        w[i] = sc_graph_constant(g, "w", &(sc_shape){2, {N, WIDTH}}, &st);
        out[i] = sc_apply_linear(g, sc_rows(g, w[i], ids), w[i], NULL);
    }
    sc_plan *p;
    assert_int_equal(sc_plan_new(&p, g, backend, out, 2), SC_OK);
    ((int32_t *)sc_plan_data(p, ids))[0] = 3;
    ((int32_t *)sc_plan_data(p, ids))[1] = N - 1;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(sc_plan_run(p), SC_OK);
        assert_memory_equal(sc_plan_data(p, out[0]), sc_plan_data(p, out[1]), 2 * N * sizeof(float));
        assert_memory_equal(map->data, rows->data, (size_t)rows->size);
    }
    sc_plan_free(p);
    sc_graph_free(g);
    backend->free(backend);
    sc_buffer_unref(map);
    sc_buffer_unref(rows);
    sc_context_free(ctx);
}

/* A norm, and an activation with and without a gate, whose rows only products read: they pack at once. As outputs too
 * they cannot. */
static void makers_pack(void **state)
{
    (void)state;
    sc_context *ctx = context(3);
    enum { N = 40, TOKENS = 5 };
    sc_buffer *b = random_rows(SC_Q4_0, N, 9);
    for (int l = 0; l < n_levels; l++)
        for (int kind = 0; kind < 4; kind++) {
            sc_backend *backend;
            sc_kernels k;
            float got[2][TOKENS * N];
            int steps[2];
            sc_kernels_init(&k, level[l]);
            assert_int_equal(sc_cpu_backend_new(&backend, ctx, level[l]), SC_OK);
            for (int shown = 0; shown < 2; shown++) {
                sc_graph *g;
                sc_plan *p;
                assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
                sc_tensor *x = sc_graph_input(g, "x", SC_F32, &(sc_shape){2, {TOKENS, WIDTH}});
                sc_tensor *w = constant(g, SC_Q4_0, N, b), *m, *out[3];
                m = kind == 0   ? sc_apply_rms_norm(g, x, NULL, 1e-5f)
                    : kind == 1 ? sc_apply_layer_norm(g, x, NULL, NULL, 1e-5f)
                                : sc_unary(g, SC_UNARY_SILU, x);
                if (kind == 3) m = sc_mul(g, m, x);
                out[0] = sc_apply_linear(g, m, w, NULL);
                out[1] = sc_apply_linear(g, m, w, NULL);
                out[2] = m;
                assert_int_equal(sc_plan_new(&p, g, backend, out, 2 + shown), SC_OK);
                sc_rng_normal_fill(3, 4, 0, sc_plan_data(p, x), TOKENS * WIDTH);
                assert_int_equal(sc_plan_run(p), SC_OK);
                memcpy(got[shown], sc_plan_data(p, out[0]), sizeof got[shown]);
                assert_memory_equal(sc_plan_data(p, out[1]), got[shown], sizeof got[shown]);
                steps[shown] = p->n_steps;
                sc_plan_free(p);
                sc_graph_free(g);
            }
            assert_memory_equal(got[0], got[1], sizeof got[0]);
            assert_int_equal(steps[0], 3);
            assert_int_equal(steps[1], k.matmul_packed[SC_Q4_0] ? 4 : 3);
            backend->free(backend);
        }
    sc_buffer_unref(b);
    sc_context_free(ctx);
}

static int set_up(void **state)
{
    (void)state;
    unsigned have = sc_cpu_detect();
    level[n_levels++] = 0;
    for (unsigned mask = 1; mask <= have && n_levels < LEVELS; mask = mask << 1 | 1)
        if ((mask & have) != level[n_levels - 1]) level[n_levels++] = mask & have;
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_brought_once),
        cmocka_unit_test(mapped_files_stay_readable),
        cmocka_unit_test(makers_pack),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
