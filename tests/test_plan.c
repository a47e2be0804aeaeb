/* SPDX-License-Identifier: Apache-2.0 */
/* Plans: what is fused, where values lie, what stays between runs, and how a run ends early. */
#include "core_help.h"

static sc_context *ctx;
static sc_backend *backend;

static sc_graph *new_graph(void)
{
    sc_graph *g;
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
    return g;
}

static sc_plan *plan_of(sc_graph *g, sc_tensor **y, int n)
{
    sc_plan *p = NULL;
    if (sc_plan_new(&p, g, backend, y, n)) fail_msg("%s", sc_error());
    return p;
}

static sc_tensor *in(sc_graph *g, sc_dtype type, int rank, int64_t a, int64_t b)
{
    return sc_graph_input(g, "x", type, &(sc_shape){rank, {a, b}});
}
static sc_tensor *f(sc_graph *g, int rank, int64_t a, int64_t b) { return in(g, SC_F32, rank, a, b); }

/* ---- fusion ---- */

/* How many nodes a plan of y (and z) fuses away, and how many steps are left. */
static void expect(sc_graph *g, sc_tensor *y, sc_tensor *z, int fused, int steps)
{
    sc_tensor *out[] = {y, z};
    sc_plan *p = plan_of(g, out, z ? 2 : 1);
    assert_int_equal(p->fused, fused);
    assert_int_equal(p->n_steps, steps);
    sc_plan_free(p);
}

static void fusion_happens_when_it_may(void **state)
{
    (void)state;
    sc_graph *g = new_graph();
    sc_tensor *x = f(g, 2, 3, 8), *w = f(g, 2, 5, 8), *r = f(g, 2, 3, 5), *bias = f(g, 1, 5, 0), *u = f(g, 2, 3, 8);
    sc_tensor *l = sc_apply_linear(g, x, w, NULL);
    expect(g, sc_add(g, l, r), NULL, 1, 1);
    l = sc_apply_linear(g, x, w, NULL);
    expect(g, sc_add(g, r, l), NULL, 1, 1);
    l = sc_apply_linear(g, x, w, bias);
    expect(g, sc_add(g, l, r), NULL, 1, 1);
    sc_tensor *l2 = sc_apply_linear(g, x, w, NULL); /* one of two products absorbs the sum */
    l = sc_apply_linear(g, x, w, NULL);
    expect(g, sc_add(g, l, l2), NULL, 1, 2);
    l = sc_apply_linear(g, x, w, NULL); /* the second residual is a step of its own */
    expect(g, sc_add(g, sc_add(g, l, r), r), NULL, 1, 2);
    expect(g, sc_mul(g, sc_unary(g, SC_UNARY_SILU, x), u), NULL, 1, 1);
    expect(g, sc_mul(g, u, sc_unary(g, SC_UNARY_SILU, x)), NULL, 1, 1);
    expect(g, sc_mul(g, sc_unary(g, SC_UNARY_SILU, x), x), NULL, 1, 1);
    expect(g, sc_mul(g, sc_unary(g, SC_UNARY_SILU, x), sc_unary(g, SC_UNARY_TANH, u)), NULL, 1, 2);
    expect(g, sc_mul(g, sc_mul(g, sc_unary(g, SC_UNARY_SILU, x), u), u), NULL, 1, 2);
    /* A gated pair of projections whose product goes on into a residual: two fusions. */
    sc_tensor *down = f(g, 2, 8, 5), *gate = sc_apply_linear(g, x, w, NULL), *up = sc_apply_linear(g, x, w, NULL);
    expect(g, sc_add(g, x, sc_apply_linear(g, sc_mul(g, sc_unary(g, SC_UNARY_SILU, gate), up), down, NULL)), NULL,
           2, 4);
    sc_graph_free(g);
}

static void fusion_does_not_happen_else(void **state)
{
    (void)state;
    sc_graph *g = new_graph();
    sc_tensor *x = f(g, 2, 3, 8), *w = f(g, 2, 5, 8), *r = f(g, 2, 3, 5), *u = f(g, 2, 3, 8);
    sc_tensor *l = sc_apply_linear(g, x, w, NULL);
    expect(g, sc_add(g, l, r), l, 0, 2); /* an output itself */
    expect(g, sc_add(g, l, r), sc_mul(g, l, r), 0, 3);
    expect(g, sc_add(g, l, l), NULL, 0, 2);
    expect(g, sc_add(g, l, sc_reshape(g, l, 2, (int64_t[]){3, -1})), NULL, 0, 2); /* a view is a use */
    expect(g, sc_add(g, l, f(g, 1, 5, 0)), NULL, 0, 2); /* repeated over rows: no residual */
    expect(g, sc_mul(g, l, r), NULL, 0, 2);
    sc_tensor *row = sc_apply_linear(g, f(g, 1, 8, 0), w, NULL);
    expect(g, sc_add(g, r, row), NULL, 0, 2); /* the product is the one that repeats */
    sc_tensor *s = sc_unary(g, SC_UNARY_SILU, x);
    expect(g, sc_mul(g, s, u), s, 0, 2);
    expect(g, sc_mul(g, s, s), NULL, 0, 2);
    expect(g, sc_add(g, s, u), NULL, 0, 2);
    expect(g, sc_mul(g, s, f(g, 1, 8, 0)), NULL, 0, 2);
    sc_tensor *v = sc_reshape(g, sc_unary(g, SC_UNARY_SILU, x), 2, (int64_t[]){8, 3}); /* used through a view */
    expect(g, sc_mul(g, v, f(g, 2, 8, 3)), NULL, 0, 2);
    /* A user that the outputs do not need is no user. */
    l = sc_apply_linear(g, x, w, NULL);
    sc_mul(g, l, r);
    expect(g, sc_add(g, l, r), NULL, 1, 1);
    sc_graph_free(g);
}

/* ---- random graphs: values against evaluation node by node, places against lifetimes ---- */

enum { SIDE = 6, INPUTS = 5, NODES = 300, ROOM = 4 * SIDE * SIDE };

typedef struct random_graph {
    uint64_t seed;
    sc_graph *g;
    sc_tensor *leaf[INPUTS];
    float data[INPUTS][ROOM];
    sc_tensor *pool[2000]; /* what later nodes choose from */
    int n;
} random_graph;

static sc_tensor *any(random_graph *r)
{
    /* Mostly recent ones, so that lifetimes end. */
    int back = (int)random_in(&r->seed, 1, random_in(&r->seed, 0, 4) ? SC_MIN(r->n, 6) : r->n);
    return r->pool[r->n - back];
}

/* Every value is (SIDE, SIDE) or a view of one; so any two fit. */
static sc_tensor *square(random_graph *r, sc_tensor *t) { return sc_reshape(r->g, t, 2, (int64_t[]){SIDE, SIDE}); }

static sc_tensor *any_node(random_graph *r)
{
    sc_graph *g = r->g;
    sc_tensor *a = any(r), *b = any(r), *y;
    switch (random_in(&r->seed, 0, 10)) {
    case 0: return sc_add(g, a, b);
    case 1: return sc_unary(g, SC_UNARY_TANH, sc_mul(g, a, b));
    case 2: return sc_mul(g, sc_unary(g, SC_UNARY_SIGMOID, a), b);
    case 3: return sc_mul(g, b, sc_unary(g, SC_UNARY_TANH, a));
    case 4: return sc_unary(g, SC_UNARY_TANH, sc_add(g, sc_apply_linear(g, a, sc_contiguous(g, b), NULL), any(r)));
    case 5: return sc_apply_rms_norm(g, a, NULL, 0.1f);
    case 6: return sc_permute(g, a, (int[]){1, 0});
    case 7: /* halves, one of them through an operation, side by side */
        y = sc_slice(g, a, 0, SIDE / 2, SIDE / 2);
        return sc_add(g, a,
                      sc_unary(g, SC_UNARY_RELU, sc_slice(g, sc_reshape(g, y, 1, (int64_t[]){-1}), 0, SIDE, SIDE)));
    case 8: return square(r, sc_permute(g, sc_reshape(g, a, 3, (int64_t[]){2, SIDE / 2, SIDE}), (int[]){1, 0, 2}));
    case 9: /* a view of a view of a view */
        y = sc_reshape(g, sc_permute(g, sc_reshape(g, a, 3, (int64_t[]){SIDE, 3, 2}), (int[]){0, 2, 1}), 3,
                       (int64_t[]){SIDE, 2, 3});
        return square(r, y);
    default: /* a row of one repeated over the other */
        y = sc_reshape(g, sc_slice(g, sc_contiguous(g, b), 0, 2, 1), 1, (int64_t[]){SIDE});
        return sc_add(g, sc_unary(g, SC_UNARY_SIGMOID, a), y);
    }
}

static void build_random(random_graph *r, uint64_t seed, int nodes)
{
    r->seed = seed;
    r->g = new_graph();
    r->n = 0;
    for (int i = 0; i < INPUTS; i++) {
        r->leaf[i] = r->pool[r->n++] = f(r->g, 2, SIDE, SIDE);
        for (int k = 0; k < ROOM; k++) r->data[i][k] = random_float(&r->seed);
    }
    for (int i = 0; i < nodes; i++) {
        r->pool[r->n] = any_node(r);
        if (!r->pool[r->n]) fail_msg("%s", r->g->fault);
        r->n++;
    }
}

static void run_plan(random_graph *r, sc_plan *p)
{
    for (int i = 0; i < INPUTS; i++) {
        void *to = sc_plan_data(p, r->leaf[i]);
        if (to) memcpy(to, r->data[i], SIDE * SIDE * 4);
    }
    if (sc_plan_run(p)) fail_msg("%s", sc_error());
}

/* Bytes of t's own storage as the plan has it. */
static int64_t bytes_of(const sc_tensor *t) { return sc_dtype_size(t->dtype, sc_shape_elements(&t->shape)); }

typedef struct span {
    const char *from, *to;
    int first, last;
    const sc_tensor *t;
} span;

/* Every value with its bytes and the stages in which it must keep them, computed from the steps alone. */
static int spans_of(const sc_plan *p, sc_tensor **out, int n_out, span *spans)
{
    int n = 0;
    for (int i = 0; i < p->n_steps; i++) {
        const sc_step *s = &p->step[i];
        span x = {.from = s->out_data, .first = s->stage, .last = s->stage, .t = s->out};
        for (int k = 0; k < p->n_steps; k++)
            for (int j = 0; j < p->step[k].n_in; j++) {
                const sc_tensor *t = p->step[k].in[j];
                if (t && (t == s->out || t->view_of == s->out)) x.last = SC_MAX(x.last, p->step[k].stage);
            }
        for (int k = 0; k < n_out; k++)
            if (out[k] == s->out || out[k]->view_of == s->out) x.last = p->n_stages;
        x.to = x.from + bytes_of(s->out);
        spans[n++] = x;
    }
    for (int64_t i = 0; i < p->graph->count; i++) {
        const sc_tensor *t = p->graph->tensor[i];
        if (t->leaf != SC_INPUT || !sc_plan_data(p, t)) continue;
        const char *at = sc_plan_data(p, t);
        spans[n++] = (span){at, at + bytes_of(t), -1, p->n_stages, t};
    }
    return n;
}

static bool reads_in_place(const sc_plan *p, const span *a, const span *b)
{
    for (int i = 0; i < p->n_steps; i++) {
        const sc_step *s = &p->step[i];
        if (s->out != b->t || !s->op->in_place || a->last != s->stage || a->from != b->from) continue;
        const sc_tensor *x = s->in[0]; /* the storage of its first input, and of no other */
        bool first = x == a->t || x->view_of == a->t;
        for (int k = 1; k < s->n_in; k++)
            if (s->in[k] && (s->in[k] == a->t || s->in[k]->view_of == a->t)) return false;
        return first && sc_is_contiguous(x);
    }
    return false;
}

static void check_places(const sc_plan *p, sc_tensor **out, int n_out)
{
    span *s = malloc(sizeof *s * (size_t)(p->n_steps + INPUTS + 8));
    int n = spans_of(p, out, n_out, s);
    const char *base = p->arena->data;
    for (int i = 0; i < n; i++) {
        assert_true(s[i].from >= base && s[i].to <= base + p->arena_bytes);
        for (int k = 0; k < n; k++) {
            bool together = s[i].first <= s[k].last && s[k].first <= s[i].last;
            if (i == k || !together || s[i].from >= s[k].to || s[k].from >= s[i].to) continue;
            if (!reads_in_place(p, &s[i], &s[k]) && !reads_in_place(p, &s[k], &s[i]))
                fail_msg("values %d and %d overlap while both are needed", s[i].t->id, s[k].t->id);
        }
    }
    free(s);
}

static void random_graphs_keep_their_values(void **state)
{
    (void)state;
    random_graph *r = malloc(sizeof *r);
    int in_place = 0, fused = 0;
    for (uint64_t seed = 0; seed < 24; seed++) {
        build_random(r, seed, seed < 20 ? (int)seed * 3 + 2 : NODES);
        sc_tensor *all[2000], *out[4];
        float *want = malloc((size_t)r->n * SIDE * SIDE * 4);
        int n_all = 0, n_out = 0;
        for (int i = 0; i < r->n; i++)
            if (sc_is_contiguous(r->pool[i])) all[n_all++] = r->pool[i];
        /* Every node an output: nothing shares storage and nothing is fused, which may change no bit. */
        for (int64_t i = 0; i < r->g->count; i++)
            if (r->g->tensor[i]->op && sc_is_contiguous(r->g->tensor[i]) && n_all < 2000)
                all[n_all++] = r->g->tensor[i];
        sc_plan *p = plan_of(r->g, all, n_all), *q;
        assert_int_equal(p->fused, 0);
        run_plan(r, p);
        for (int k = 0; k < 4; k++) {
            sc_tensor *t = k ? any(r) : r->pool[r->n - 1];
            if (sc_is_contiguous(t)) out[n_out++] = t;
        }
        if (!n_out) out[n_out++] = r->leaf[0];
        for (int k = 0; k < n_out; k++) memcpy(want + k * SIDE * SIDE, sc_plan_data(p, out[k]), SIDE * SIDE * 4);
        sc_plan_free(p);
        q = plan_of(r->g, out, n_out);
        check_places(q, out, n_out);
        assert_true(q->arena_bytes <= q->unshared_bytes);
        for (int i = 0; i < q->n_steps; i++)
            in_place += q->step[i].op->in_place && q->step[i].out_data == q->step[i].in_data[0];
        fused += q->fused;
        for (int run = 0; run < 2; run++) { /* twice: what a run leaves behind does not matter */
            run_plan(r, q);
            for (int k = 0; k < n_out; k++)
                if (memcmp(want + k * SIDE * SIDE, sc_plan_data(q, out[k]), SIDE * SIDE * 4) != 0)
                    fail_msg("seed %d: output %d differs when planned", (int)seed, k);
        }
        sc_plan_free(q);
        free(want);
        sc_graph_free(r->g);
    }
    assert_true(in_place > 20 && fused > 20);
    free(r);
}

/* ---- what stays ---- */

static void inputs_and_outputs_stay(void **state)
{
    (void)state;
    sc_graph *g = new_graph();
    sc_tensor *x = f(g, 2, 2, 3), *b = f(g, 1, 3, 0), *unused = f(g, 1, 3, 0);
    sc_tensor *y = sc_add(g, sc_add(g, x, b), b), *head = sc_slice(g, y, 0, 1, 1),
              *view = sc_reshape(g, x, 1, (int64_t[]){6});
    sc_tensor *out[] = {y, x, head, view, y};
    sc_plan *p = plan_of(g, out, 5);
    float *px = sc_plan_data(p, x), *pb = sc_plan_data(p, b), *py = sc_plan_data(p, y);
    assert_null(sc_plan_data(p, unused));
    for (int i = 0; i < 6; i++) px[i] = (float)i;
    for (int i = 0; i < 3; i++) pb[i] = 10;
    for (int run = 0; run < 3; run++) {
        assert_int_equal(sc_plan_run(p), SC_OK);
        for (int i = 0; i < 6; i++) {
            assert_true(py[i] == (float)i + 20);
            assert_true(px[i] == (float)i && ((float *)sc_plan_data(p, view))[i] == (float)i);
        }
        assert_ptr_equal(sc_plan_data(p, head), py + 3);
    }
    pb[0] = 20; /* the other inputs need not be written again */
    assert_int_equal(sc_plan_run(p), SC_OK);
    assert_true(py[0] == 40 && py[1] == 21 && py[3] == 43);
    sc_plan_free(p);
    p = plan_of(g, &x, 1); /* no step at all */
    assert_int_equal(p->n_steps, 0);
    assert_int_equal(sc_plan_run(p), SC_OK);
    sc_plan_free(p);
    p = plan_of(g, NULL, 0);
    assert_int_equal(sc_plan_run(p), SC_OK);
    sc_plan_free(p);
    sc_tensor *turned = sc_permute(g, x, (int[]){1, 0});
    p = NULL;
    assert_int_equal(sc_plan_new(&p, g, backend, &turned, 1), SC_EINVAL);
    assert_null(p);
    sc_graph_free(g);
}

static void states_live_between_runs(void **state)
{
    (void)state;
    float cache[2 * 1 * 32 * 4] = {0};
    sc_graph *g = new_graph();
    sc_seqs s = {.slot = in(g, SC_I32, 1, 1, 0)};
    sc_tensor *x = sc_graph_input(g, "x", SC_F32, &(sc_shape){3, {1, 1, 4}});
    sc_tensor *c = sc_graph_state(g, "cache", &(sc_shape){4, {2, 1, 32, 4}},
                                  &(sc_storage){.stride = {128, 128, 4, 1}, .data = cache});
    sc_tensor *after = sc_kv_write(g, c, x, &s);
    sc_tensor *all = sc_unary(g, SC_UNARY_RELU, sc_reshape(g, after, 1, (int64_t[]){256}));
    sc_tensor *out[] = {all, after};
    sc_plan *p = plan_of(g, out, 2);
    assert_ptr_equal(sc_plan_data(p, after), cache);
    for (int i = 0; i < 64; i++) {
        *(int32_t *)sc_plan_data(p, s.slot) = 63 - i;
        for (int k = 0; k < 4; k++) ((float *)sc_plan_data(p, x))[k] = (float)(i * 4 + k);
        assert_int_equal(sc_plan_run(p), SC_OK);
        assert_true(((float *)sc_plan_data(p, all))[(63 - i) * 4 + 3] ==
                    (float)(i * 4 + 3)); /* read after the write */
    }
    for (int i = 0; i < 256; i++) assert_true(cache[i] == (float)((63 - i / 4) * 4 + i % 4));
    for (int bad = -1; bad <= 64; bad += 65) { /* slots outside the cache */
        *(int32_t *)sc_plan_data(p, s.slot) = bad;
        assert_int_equal(sc_plan_run(p), SC_ELIMIT);
    }
    sc_plan_free(p);
    sc_graph_free(g);
}

/* ---- how a run ends early ---- */

static void faults_leave_the_plan_usable(void **state)
{
    (void)state;
    sc_graph *g = new_graph();
    sc_tensor *table = f(g, 2, 10, 4), *ids = in(g, SC_I32, 1, 100, 0),
              *y = sc_unary(g, SC_UNARY_RELU, sc_rows(g, table, ids));
    sc_plan *p = plan_of(g, &y, 1);
    int32_t *id = sc_plan_data(p, ids);
    for (int i = 0; i < 40; i++) ((float *)sc_plan_data(p, table))[i] = (float)i;
    for (int i = 0; i < 100; i++) id[i] = i % 10;
    static const int32_t bad[] = {10, -1, INT32_MAX, INT32_MIN};
    for (int i = 0; i < SC_COUNT(bad); i++) {
        char want[32];
        id[37 + i] = bad[i];
        assert_int_equal(sc_plan_run(p), SC_ELIMIT);
        snprintf(want, sizeof want, "id %d at place %d", bad[i], 37 + i);
        if (!strstr(sc_error(), want)) fail_msg("'%s'", sc_error());
        id[37 + i] = 5;
        assert_int_equal(sc_plan_run(p), SC_OK);
        assert_true(((float *)sc_plan_data(p, y))[(37 + i) * 4] == 20);
    }
    sc_plan_free(p);
    sc_graph_free(g);
}

static void cancelling_stops_a_run(void **state)
{
    (void)state;
    sc_graph *g = new_graph();
    sc_tensor *x = f(g, 1, 8, 0), *y = x;
    for (int i = 0; i < 10; i++) y = sc_unary(g, SC_UNARY_RELU, y);
    sc_plan *p = plan_of(g, &y, 1);
    assert_int_equal(p->n_stages, 10);
    for (int i = 0; i < 8; i++) ((float *)sc_plan_data(p, x))[i] = 3;
    for (int round = 0; round < 50; round++) {
        sc_context_cancel(ctx);
        assert_int_equal(sc_plan_run(p), SC_ECANCELLED);
        sc_context_resume(ctx);
        assert_int_equal(sc_plan_run(p), SC_OK);
        assert_true(((float *)sc_plan_data(p, y))[7] == 3);
    }
    sc_plan_free(p);
    sc_graph_free(g);
}

/* ---- as text ---- */

static void plans_are_printed(void **state)
{
    (void)state;
    sc_graph *g = new_graph();
    sc_scope_push(g, "model.layers.%d", 7);
    sc_tensor *w = sc_graph_state(g, "w", &(sc_shape){2, {5, 8}}, &(sc_storage){.stride = {8, 1}, .data = g});
    sc_tensor *y = sc_add(g, sc_apply_linear(g, f(g, 2, 3, 8), w, NULL), f(g, 2, 3, 5));
    sc_plan *p = plan_of(g, &y, 1);
    sc_str text = {0};
    sc_plan_print(p, &text);
    static const char *const has[] = {"linear", "(3, 5)", "model.layers.7",
                                      "1 steps in 1 stages (1 nodes fused away) on cpu", "240 FLOPs"};
    for (int i = 0; i < SC_COUNT(has); i++)
        if (!strstr(text.p, has[i])) fail_msg("no '%s' in\n%s", has[i], text.p);
    assert_true(sc_plan_cost(p).flops == 2.0 * 3 * 5 * 8);
    sc_str_free(&text);
    sc_plan_free(p);
    sc_graph_free(g);
}

/* Two products of one tensor with block-quantised weights share one packing of it, in every plan of the graph; another
 * tensor has its own, and an f32 weight none. A backend that multiplies in f32 packs nothing. */
static void inputs_are_packed_once(void **state)
{
    (void)state;
    sc_graph *g = new_graph();
    sc_tensor *x = f(g, 2, 3, 64), *u = f(g, 2, 3, 64), *w = in(g, SC_Q4_0, 2, 5, 64),
              *v = in(g, SC_Q8_0, 2, 5, 64);
    sc_tensor *plain = f(g, 2, 5, 64);
    sc_tensor *a = sc_apply_linear(g, x, w, NULL), *b = sc_apply_linear(g, x, v, NULL);
    sc_tensor *out[] = {a, b, sc_apply_linear(g, x, plain, NULL), sc_apply_linear(g, u, w, NULL)};
    sc_kernels k;
    sc_kernels_init(&k, ~0u);
    bool packs = k.matmul_packed[SC_Q4_0] && k.matmul_packed[SC_Q8_0];
    int64_t nodes = 0;
    for (int round = 0; round < 3; round++) {
        int n = round == 1 ? 3 : 4, packings = 0;
        sc_plan *p = plan_of(g, out, n);
        for (int i = 0; i < p->n_steps; i++) packings += strcmp(p->step[i].op->name, "pack_rows") == 0;
        assert_int_equal(packings, packs ? n - 2 : 0);
        assert_int_equal(p->n_steps, n + packings);
        assert_int_equal(p->n_stages, packs ? 2 : 1);
        if (round) assert_int_equal(g->count, nodes);
        nodes = g->count;
        sc_plan_free(p);
    }
    sc_graph_free(g);
}

static int set_up(void **state)
{
    (void)state;
    ctx = new_context(3);
    return sc_cpu_backend_new(&backend, ctx, ~0u);
}

static int tear_down(void **state)
{
    (void)state;
    backend->free(backend);
    sc_context_free(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fusion_happens_when_it_may),      cmocka_unit_test(fusion_does_not_happen_else),
        cmocka_unit_test(random_graphs_keep_their_values), cmocka_unit_test(inputs_and_outputs_stay),
        cmocka_unit_test(states_live_between_runs),        cmocka_unit_test(faults_leave_the_plan_usable),
        cmocka_unit_test(cancelling_stops_a_run),          cmocka_unit_test(plans_are_printed),
        cmocka_unit_test(inputs_are_packed_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
