/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation's derivative against central differences of the operation itself, at random shapes: with the reference
 * kernels, which sum in f64, then with every set of kernels that the machine has, on 1, 2 and 3 threads to the same bits. A
 * new operation with a derivative is one row of `rows_of_table`. */
#include "core_help.h"

enum { THREADS = 3, LEVELS = 8, MAX_INPUTS = 16 };
static sc_context *ctx[THREADS];
static unsigned level[LEVELS];
static int n_levels;

typedef struct trial {
    uint64_t seed;
    sc_graph *g;
    struct {
        sc_tensor *t;
        void *data;
        int64_t n;
        bool varied; /* its gradient is checked */
    } in[MAX_INPUTS];
    int n_in;
} trial;

static sc_tensor *give(trial *t, sc_dtype dtype, int rank, const int64_t *dim, bool varied)
{
    sc_shape shape = {.rank = rank};
    memcpy(shape.dim, dim, sizeof *dim * (size_t)rank);
    int i = t->n_in++;
    assert_true(i < MAX_INPUTS);
    t->in[i].t = sc_graph_input(t->g, "x", dtype, &shape);
    t->in[i].n = sc_shape_elements(&shape);
    t->in[i].data = calloc((size_t)t->in[i].n + 1, 4);
    t->in[i].varied = varied;
    return t->in[i].t;
}

static sc_tensor *values(trial *t, int rank, const int64_t *dim)
{
    sc_tensor *x = give(t, SC_F32, rank, dim, true);
    float *data = t->in[t->n_in - 1].data;
    for (int64_t i = 0; i < t->in[t->n_in - 1].n; i++) data[i] = 2 * random_float(&t->seed);
    return x;
}

static sc_tensor *numbers(trial *t, int64_t n, const int32_t *v)
{
    sc_tensor *x = give(t, SC_I32, 1, &n, false);
    memcpy(t->in[t->n_in - 1].data, v, sizeof *v * (size_t)n);
    return x;
}

static int64_t size(trial *t) { return random_in(&t->seed, 1, 7); }
#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* ---- the operations: each returns what is differentiated ---- */

static sc_tensor *add(trial *t)
{
    int64_t a = size(t), b = size(t);
    sc_tensor *x = values(t, 2, DIMS(a, b));
    return sc_add(t->g, x, random_in(&t->seed, 0, 1) ? values(t, 1, DIMS(b)) : values(t, 2, DIMS(a, b)));
}

static sc_tensor *mul(trial *t)
{
    int64_t a = size(t), b = size(t);
    sc_tensor *x = values(t, 3, DIMS(2, a, b));
    if (random_in(&t->seed, 0, 3) == 0) return sc_mul(t->g, x, x);
    return sc_mul(t->g, x, random_in(&t->seed, 0, 1) ? values(t, 1, DIMS(b)) : values(t, 3, DIMS(2, a, b)));
}

static sc_tensor *unary(trial *t)
{
    sc_unary_kind kind = (sc_unary_kind)random_in(&t->seed, 0, SC_UNARY_COUNT - 1);
    sc_tensor *x = values(t, 2, DIMS(size(t), 9));
    float *data = t->in[t->n_in - 1].data;
    for (int64_t i = 0; i < t->in[t->n_in - 1].n; i++) {
        data[i] *= 2;
        bool corner = kind == SC_UNARY_RELU || kind == SC_UNARY_LOG1MEXP; /* to be kept away from */
        if (corner && fabsf(data[i]) < (kind == SC_UNARY_RELU ? 0.05f : 0.3f)) data[i] = 0.5f;
    }
    return sc_unary(t->g, kind, x);
}

static sc_tensor *linear(trial *t)
{
    int64_t rows = size(t), c = size(t), n = size(t);
    bool turned = random_in(&t->seed, 0, 1);
    sc_tensor *x = values(t, 2, DIMS(rows, c)), *w = values(t, 2, turned ? DIMS(c, n) : DIMS(n, c));
    if (turned) w = sc_permute(t->g, w, (int[]){1, 0});
    return sc_apply_linear(t->g, x, w, random_in(&t->seed, 0, 1) ? values(t, 1, DIMS(n)) : NULL);
}

static sc_tensor *norm(trial *t, bool layer)
{
    int64_t c = random_in(&t->seed, 2, 20);
    sc_tensor *x = values(t, 2, DIMS(size(t), c));
    sc_tensor *w = random_in(&t->seed, 0, 1) ? values(t, 1, DIMS(c)) : NULL;
    if (!layer) return sc_apply_rms_norm(t->g, x, w, 0.01f);
    return sc_apply_layer_norm(t->g, x, w, random_in(&t->seed, 0, 1) ? values(t, 1, DIMS(c)) : NULL, 0.01f);
}
static sc_tensor *rms_norm(trial *t) { return norm(t, false); }
static sc_tensor *layer_norm(trial *t) { return norm(t, true); }

static sc_tensor *rope(trial *t)
{
    int64_t n = size(t), half = size(t), d = 2 * half + random_in(&t->seed, 0, 3);
    sc_tensor *x = values(t, 3, DIMS(n, 2, d)), *angles = values(t, 3, DIMS(2, n, half));
    t->in[t->n_in - 1].varied = false;
    return sc_rope(t->g, x, angles, random_in(&t->seed, 0, 1));
}

static sc_tensor *rows(trial *t)
{
    int64_t n = size(t), many = size(t);
    int32_t ids[8];
    for (int i = 0; i < many; i++) ids[i] = (int32_t)random_in(&t->seed, 0, n - 1);
    sc_tensor *table = values(t, 2, DIMS(n, size(t))), *more = NULL;
    if (random_in(&t->seed, 0, 1)) {
        more = values(t, 2, DIMS(2, table->shape.dim[1]));
        ids[0] = (int32_t)(n + random_in(&t->seed, 0, 1));
    }
    return sc_rows_and(t->g, table, more, numbers(t, many, ids));
}

static sc_tensor *views(trial *t)
{
    int64_t a = size(t), b = random_in(&t->seed, 2, 7), c = size(t);
    sc_tensor *x = values(t, 3, DIMS(a, b, c)), *p = sc_permute(t->g, x, (int[]){2, 0, 1});
    sc_tensor *y = sc_slice(t->g, p, 2, 1, b - 1), *z = sc_slice(t->g, p, 2, 0, b - 1);
    y = sc_reshape(t->g, y, 2, DIMS(-1, b - 1));
    return sc_mul(t->g, y, sc_reshape(t->g, z, 2, DIMS(-1, b - 1)));
}

static sc_tensor *place(trial *t)
{
    int64_t a = size(t), b = size(t), start = random_in(&t->seed, 0, 2), n = start + b + random_in(&t->seed, 0, 2);
    sc_tensor *x = values(t, 3, DIMS(a, b, 3));
    return sc_place(t->g, random_in(&t->seed, 0, 1) ? values(t, 3, DIMS(a, n, 3)) : NULL, x, 1, start, n);
}

static sc_tensor *sum_rows(trial *t)
{
    int64_t n = random_in(&t->seed, 0, 1) ? size(t) : 70;
    sc_tensor *x = values(t, 2, DIMS(n, 3));
    return sc_sum_leading(t->g, sc_mul(t->g, x, x), 1);
}

static sc_tensor *concat(trial *t)
{
    int64_t a = size(t), n = random_in(&t->seed, 1, 4);
    sc_tensor *x[4];
    for (int64_t i = 0; i < n; i++) x[i] = i == 1 && n > 2 ? x[0] : values(t, 3, DIMS(a, 2, size(t)));
    return sc_concat(t->g, (int)n, x);
}

static sc_tensor *cross_entropy(trial *t)
{
    int64_t n = size(t), classes = size(t);
    int32_t label[8];
    for (int i = 0; i < n; i++)
        label[i] = random_in(&t->seed, 0, 3) ? (int32_t)random_in(&t->seed, 0, classes - 1) : -100;
    sc_tensor *x = values(t, 2, DIMS(n, classes)), *labels = numbers(t, n, label), *weight = values(t, 1, DIMS(n));
    t->in[t->n_in - 1].varied = false;
    return sc_cross_entropy_smoothed(t->g, x, labels, weight, random_in(&t->seed, 0, 1) ? 0.3f : 0);
}

static sc_tensor *divergence(trial *t)
{
    int64_t n = size(t), classes = size(t);
    sc_tensor *x = values(t, 2, DIMS(n, classes)), *teacher = values(t, 2, DIMS(n, classes));
    t->in[t->n_in - 1].varied = false;
    sc_tensor *weight = values(t, 1, DIMS(n));
    t->in[t->n_in - 1].varied = false;
    sc_divergence_attr how = {(sc_divergence_kind)random_in(&t->seed, 0, 3), random_in(&t->seed, 0, 1) ? 2.f : 1.f,
                              random_in(&t->seed, 0, 1) ? 0.3f : 0.5f};
    return sc_divergence(t->g, x, teacher, weight, &how);
}

static sc_tensor *dropout(trial *t)
{
    int64_t a = size(t), b = size(t);
    sc_tensor *x = values(t, 2, DIMS(a, b));
    return sc_mul(t->g, x, sc_dropout(t->g, x, numbers(t, 2, (int32_t[]){5, 6}), 0.25F));
}

static sc_tensor *affine(trial *t)
{
    int64_t a = size(t), b = size(t);
    sc_tensor *x = values(t, 2, DIMS(a, b));
    return sc_mul(t->g, x, sc_affine(t->g, x, -1.5f, 0.25f));
}

/* Tables of up to three sequences of at least `least` tokens, sometimes more than a kernel takes at once; how many tokens
 * there are. */
static sc_seqs sequences(trial *t, int64_t count, int64_t least, int64_t *tokens)
{
    int32_t start[4] = {0}, position[256] = {0};
    for (int64_t s = 0; s < count; s++)
        start[s + 1] = start[s] + (int32_t)random_in(&t->seed, s > 0 ? least : 1, 9);
    if (random_in(&t->seed, 0, 11) == 0) start[count] += 75;
    *tokens = start[count];
    return (sc_seqs){.position = numbers(t, *tokens, position), .start = numbers(t, count + 1, start)};
}

static sc_tensor *attention(trial *t)
{
    int64_t kv = random_in(&t->seed, 1, 2), heads = kv * random_in(&t->seed, 1, 3), d = random_in(&t->seed, 1, 5);
    int64_t dv = random_in(&t->seed, 0, 1) ? d : random_in(&t->seed, 1, 5), n;
    sc_seqs seqs = sequences(t, random_in(&t->seed, 1, 3), 0, &n);
    sc_attention_attr a = {.scale = 1 / sqrtf((float)d),
                           .causal = random_in(&t->seed, 0, 2),
                           .window = random_in(&t->seed, 0, 1) ? random_in(&t->seed, 1, 6) : 0,
                           .cap = random_in(&t->seed, 0, 1) ? 0 : 1.5f,
                           .alibi = random_in(&t->seed, 0, 2) == 0};
    if (a.window && random_in(&t->seed, 0, 1)) a.globals = random_in(&t->seed, 1, 3);
    if (!a.window && random_in(&t->seed, 0, 1)) {
        a.blocks = (sc_block_pattern){.size = random_in(&t->seed, 1, 4),
                                      .kind = (int)random_in(&t->seed, 0, 2),
                                      .near = random_in(&t->seed, 0, 1),
                                      .first = 1,
                                      .last = !a.causal,
                                      .random = random_in(&t->seed, 0, 1),
                                      .stride = 2,
                                      .summary = 1,
                                      .again = random_in(&t->seed, 0, 2)};
    }
    if (random_in(&t->seed, 0, 1)) a.sinks = values(t, 1, &heads);
    if (random_in(&t->seed, 0, 1)) a.bias = values(t, 2, DIMS(heads, 2 * random_in(&t->seed, 0, 5) + 1));
    sc_tensor *q = values(t, 3, DIMS(n, heads, d)), *k = values(t, 3, DIMS(n, kv, d)),
              *v = values(t, 3, DIMS(n, kv, dv));
    return sc_attention(t->g, q, k, v, &seqs, &a);
}

static sc_tensor *attention_cross(trial *t)
{
    int64_t kv = random_in(&t->seed, 1, 2), heads = kv * random_in(&t->seed, 1, 3), d = random_in(&t->seed, 1, 5);
    int64_t dv = random_in(&t->seed, 1, 5), count = random_in(&t->seed, 1, 3), n, m;
    sc_seqs seqs = sequences(t, count, 0, &n), memory = sequences(t, count, 0, &m);
    sc_attention_attr a = {
        .scale = 1 / sqrtf((float)d), .cross = true, .cap = random_in(&t->seed, 0, 1) ? 0 : 1.5f};
    if (random_in(&t->seed, 0, 1)) a.sinks = values(t, 1, &heads);
    sc_tensor *q = values(t, 3, DIMS(n, heads, d));
    sc_kv to = {values(t, 3, DIMS(m, kv, d)), values(t, 3, DIMS(m, kv, dv))};
    return sc_attention_cross(t->g, q, to, &seqs, &memory, &a);
}

static sc_tensor *pool(trial *t)
{
    int64_t n = random_in(&t->seed, 3, 9), many = size(t), c = random_in(&t->seed, 0, 3) ? size(t) : 67;
    int32_t first[8], stop[8];
    for (int i = 0; i < many; i++) {
        first[i] = (int32_t)random_in(&t->seed, 0, n - 1);
        stop[i] = (int32_t)random_in(&t->seed, first[i] + 1, n);
    }
    sc_pool_kind kind = (sc_pool_kind)random_in(&t->seed, 0, SC_POOL_COUNT - 1);
    sc_tensor *x = values(t, 2, DIMS(n, c)), *from = numbers(t, many, first), *to = numbers(t, many, stop);
    /* The largest stays the largest when a little is added elsewhere. */
    float *value = t->in[0].data;
    for (int64_t i = 0; kind == SC_POOL_MAX && i < n * c; i++)
        value[i] = 0.25f * (float)((i / c * 7 + i % c * 3) % 11) + 0.01f * value[i];
    return sc_pool_tokens(t->g, kind, x, from, to);
}

static sc_tensor *unfold(trial *t)
{
    int64_t n;
    sc_seqs seqs = sequences(t, random_in(&t->seed, 1, 3), 0, &n);
    return sc_unfold(t->g, values(t, 2, DIMS(n, size(t))), &seqs, size(t));
}

static sc_tensor *disentangled(trial *t)
{
    int64_t heads = random_in(&t->seed, 1, 2), d = random_in(&t->seed, 1, 4), half = random_in(&t->seed, 1, 9), n;
    sc_seqs seqs = sequences(t, random_in(&t->seed, 1, 3), 0, &n);
    sc_disentangled_attr a = {.scale = 1 / sqrtf(3 * (float)d)};
    if (random_in(&t->seed, 0, 1)) {
        a.buckets = random_in(&t->seed, 2, 8);
        a.farthest = a.buckets / 2 + random_in(&t->seed, 2, 9);
    }
    sc_tensor *q = values(t, 3, DIMS(n, heads, d)), *k = values(t, 3, DIMS(n, heads, d)),
              *v = values(t, 3, DIMS(n, heads, d)), *pos[2] = {NULL, NULL};
    for (int i = 0; i < 2; i++)
        if (random_in(&t->seed, 0, 2)) pos[i] = values(t, 3, DIMS(2 * half, heads, d));
    return sc_disentangled(t->g, q, k, v, pos[0], pos[1], &seqs, &a);
}

/* So that small steps are small at the end of a recurrence too. */
static void shrink(trial *t, int i)
{
    float *x = t->in[i].data;
    for (int64_t k = 0; k < t->in[i].n; k++) x[k] *= 0.3f;
}

static sc_tensor *cell(trial *t)
{
    sc_cell_attr a = {.lstm = random_in(&t->seed, 0, 1), .reverse = random_in(&t->seed, 0, 1)};
    int64_t h = size(t), gates = (a.lstm ? 4 : 3) * h, count = random_in(&t->seed, 1, 3), n, m;
    sc_seqs seqs = sequences(t, count, 0, &n), memory = sequences(t, count, 0, &m);
    sc_tensor *x = values(t, 2, DIMS(n, gates)), *w = values(t, 2, DIMS(gates, h)), *b = values(t, 1, &gates);
    for (int i = t->n_in - 3; i < t->n_in; i++) shrink(t, i);
    sc_tensor *h0 = random_in(&t->seed, 0, 1) ? values(t, 2, DIMS(count, h)) : NULL,
              *c0 = a.lstm && random_in(&t->seed, 0, 1) ? values(t, 2, DIMS(count, h)) : NULL;
    sc_additive attend = {.memory = &memory};
    bool attends = random_in(&t->seed, 0, 1);
    if (attends) {
        int64_t width = size(t), c = size(t);
        attend.query = values(t, 2, DIMS(width, h));
        attend.v = values(t, 1, &width);
        attend.keys = values(t, 2, DIMS(m, width));
        attend.values = values(t, 2, DIMS(m, c));
        attend.into = values(t, 2, DIMS(gates, c));
        for (int i = t->n_in - 5; i < t->n_in; i++) shrink(t, i);
    }
    return sc_cell(t->g, x, w, b, h0, c0, attends ? &attend : NULL, &seqs, NULL, &a);
}

#include "grad_sparse.h"

static const struct row {
    const char *name;
    int id; /* of the operation that it is about */
    sc_tensor *(*trial)(trial *t);
    int trials;
} rows_of_table[] = {
    {"add", SC_OP_add, add, 6},
    {"affine", SC_OP_affine, affine, 6},
    {"attention", SC_OP_attention, attention, 90},
    {"attention to another batch", SC_OP_attention, attention_cross, 16},
    {"cell", SC_OP_cell, cell, 24},
    {"clamped_glu", SC_OP_clamped_glu, clamped_glu, 8},
    {"concat", SC_OP_concat, concat, 6},
    {"conv_causal", SC_OP_conv_causal, conv_causal, 16},
    {"contiguous", SC_OP_contiguous, views, 1},
    {"cross_entropy", SC_OP_cross_entropy, cross_entropy, 8},
    {"divergence", SC_OP_divergence, divergence, 16},
    {"disentangled", SC_OP_disentangled, disentangled, 32},
    {"dropout", SC_OP_dropout, dropout, 6},
    {"expert_sum", SC_OP_expert_sum, expert_sum, 8},
    {"expert_weights", SC_OP_expert_weights, expert_weights, 24},
    {"layer_norm", SC_OP_layer_norm, layer_norm, 8},
    {"linear", SC_OP_linear, linear, 12},
    {"linear_experts", SC_OP_linear_experts, linear_experts, 24},
    {"linear_experts of many", SC_OP_linear_experts, many_pairs, 1},
    {"mul", SC_OP_mul, mul, 8},
    {"permute", SC_OP_permute, views, 1},
    {"place", SC_OP_place, place, 8},
    {"pool", SC_OP_pool, pool, 24},
    {"reshape", SC_OP_reshape, views, 1},
    {"rms_norm", SC_OP_rms_norm, rms_norm, 8},
    {"rope", SC_OP_rope, rope, 8},
    {"rows", SC_OP_rows, rows, 12},
    {"scan_decay", SC_OP_scan_decay, scan_decay, 20},
    {"scan_delta", SC_OP_scan_delta, scan_delta, 20},
    {"scan_selective", SC_OP_scan_selective, scan_selective, 20},
    {"slice", SC_OP_slice, views, 8},
    {"sum_rows", SC_OP_sum_rows, sum_rows, 4},
    {"unary", SC_OP_unary, unary, 20},
    {"unfold", SC_OP_unfold, unfold, 6},
};

/* ---- running a trial ---- */

static void fill(const trial *t, sc_plan *p)
{
    for (int i = 0; i < t->n_in; i++) {
        void *to = sc_plan_data(p, t->in[i].t);
        if (to) memcpy(to, t->in[i].data, (size_t)t->in[i].n * 4);
    }
}

static double weighted(const float *y, const float *r, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)y[i] * r[i];
    return sum;
}

/* The slope of sum r y over `step` to both sides of element i of input k, with the reference kernels. */
static double slope(const trial *t, sc_plan *p, const sc_tensor *y, const float *r, int k, int64_t i, float step)
{
    float *x = &((float *)t->in[k].data)[i], before = *x;
    double at[2], by[2];
    for (int side = 0; side < 2; side++) {
        *x = before + (side ? step : -step);
        by[side] = *x;
        fill(t, p);
        if (sc_plan_run(p)) fail_msg("%s", sc_error());
        at[side] = weighted(sc_plan_data(p, y), r, sc_tensor_count(y));
    }
    *x = before;
    return (at[1] - at[0]) / (by[1] - by[0]);
}

/* Without what third derivatives do to it. */
static double difference(const trial *t, sc_plan *p, const sc_tensor *y, const float *r, int k, int64_t i)
{
    const float step = 0.01f;
    return (4 * slope(t, p, y, r, k, i, step) - slope(t, p, y, r, k, i, 2 * step)) / 3;
}

static void check_trial(trial *t, sc_tensor *y, const char *label)
{
    sc_tensor *wrt[MAX_INPUTS], *grad[MAX_INPUTS], *outputs[MAX_INPUTS];
    sc_backend *backend;
    sc_plan *p;
    int which[MAX_INPUTS], n = 0;
    if (!y) fail_msg("%s: %s", label, t->g->fault);
    int64_t count = sc_tensor_count(y);
    sc_tensor *r = give(t, SC_F32, y->shape.rank, y->shape.dim, false);
    float *rv = t->in[t->n_in - 1].data;
    for (int64_t i = 0; i < count; i++) rv[i] = random_float(&t->seed);
    sc_tensor *loss = sc_sum_leading(t->g, sc_reshape(t->g, sc_mul(t->g, y, r), 2, DIMS(-1, 1)), 1);
    for (int i = 0; i < t->n_in; i++)
        if (t->in[i].varied) which[n] = i, wrt[n++] = t->in[i].t;
    sc_grad(t->g, loss, wrt, n, grad);
    if (t->g->status) fail_msg("%s: %s", label, t->g->fault);
    for (int i = 0; i < n; i++) assert_true(sc_shape_equal(&wrt[i]->shape, &grad[i]->shape));
    sc_tensor *dense = sc_contiguous(t->g, y);
    assert_int_equal(sc_cpu_backend_new(&backend, ctx[0], 0), SC_OK);
    if (sc_plan_new(&p, t->g, backend, &dense, 1)) fail_msg("%s: %s", label, sc_error());
    double *want[MAX_INPUTS], top = 1e-3;
    for (int i = 0; i < n; i++) {
        int k = which[i];
        want[i] = calloc((size_t)t->in[k].n + 1, sizeof **want);
        for (int64_t e = 0; e < t->in[k].n; e++) {
            want[i][e] = difference(t, p, dense, rv, k, e);
            top = fmax(top, fabs(want[i][e]));
        }
    }
    sc_plan_free(p);
    backend->free(backend);
    memcpy(outputs, grad, sizeof outputs);
    for (int l = 0; l < n_levels; l++) {
        float *first[MAX_INPUTS];
        for (int c = 0; c < THREADS; c++) {
            assert_int_equal(sc_cpu_backend_new(&backend, ctx[c], level[l]), SC_OK);
            if (sc_plan_new(&p, t->g, backend, outputs, n)) fail_msg("%s: %s", label, sc_error());
            fill(t, p);
            if (sc_plan_run(p)) fail_msg("%s: %s", label, sc_error());
            for (int i = 0; i < n; i++) {
                const float *got = sc_plan_data(p, grad[i]);
                int64_t m = t->in[which[i]].n;
                if (c == 0) {
                    first[i] = malloc((size_t)m * 4 + 1);
                    memcpy(first[i], got, (size_t)m * 4);
                }
                if (memcmp(first[i], got, (size_t)m * 4) != 0)
                    fail_msg("%s: %d threads give other bits", label, c + 1);
                for (int64_t e = 0; e < m; e++)
                    if (!(fabs(got[e] - want[i][e]) <= 2e-3 * top))
                        fail_msg("%s: gradient of input %d, element %lld is %g, differences say %g", label,
                                 which[i], (long long)e, got[e], want[i][e]);
            }
            sc_plan_free(p);
            backend->free(backend);
        }
        for (int i = 0; i < n; i++) free(first[i]);
    }
    for (int i = 0; i < n; i++) free(want[i]);
}

static void derivatives_match_differences(void **state)
{
    (void)state;
    unsigned seen[SC_OP_COUNT] = {0};
    static const sc_op *const op[] = {
#define X(name) &sc_op_##name,
#define V(name) &sc_op_##name,
#include "ops/ops.def"
#undef X
#undef V
    };
    for (int r = 0; r < SC_COUNT(rows_of_table); r++) {
        const char *name = rows_of_table[r].name;
        seen[rows_of_table[r].id] = 1;
        for (int k = 0; k < rows_of_table[r].trials; k++) {
            trial t = {.seed = sc_hash(name, (int64_t)strlen(name)) + (uint64_t)k};
            char label[64];
            snprintf(label, sizeof label, "%s, trial %d", name, k);
            assert_int_equal(sc_graph_new(&t.g, NULL), SC_OK);
            check_trial(&t, rows_of_table[r].trial(&t), label);
            sc_graph_free(t.g);
            for (int i = 0; i < t.n_in; i++) free(t.in[i].data);
        }
    }
    for (int i = 0; i < SC_COUNT(op); i++) {
        if (!op[i]->derivative) fail_msg("%s does not say what its derivative is", op[i]->name);
        bool none = strncmp(op[i]->derivative, "none: ", 6) == 0;
        if (none && op[i]->backward) fail_msg("%s: derivative and backward disagree", op[i]->name);
        if (op[i]->backward && !seen[op[i]->id]) fail_msg("%s has a derivative and no row here", op[i]->name);
    }
}

/* What no path leads to has no gradient, and what cannot be differentiated says so. */
static void faults(void **state)
{
    (void)state;
    sc_graph *g;
    sc_tensor *out[2];
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
    sc_tensor *x = sc_graph_input(g, "x", SC_F32, &(sc_shape){1, {4}}),
              *z = sc_graph_input(g, "z", SC_F32, &x->shape);
    sc_tensor *y = sc_sum_leading(g, sc_reshape(g, sc_mul(g, x, x), 2, DIMS(-1, 1)), 1);
    sc_grad(g, y, (sc_tensor *[]){x, z}, 2, out);
    assert_int_equal(g->status, SC_OK);
    assert_non_null(out[0]);
    assert_null(out[1]);
    sc_grad(g, x, &z, 1, out);
    assert_int_equal(g->status, SC_ESHAPE);
    sc_graph_free(g);
    assert_int_equal(sc_graph_new(&g, NULL), SC_OK);
    x = sc_graph_input(g, "x", SC_F32, &(sc_shape){1, {1}});
    sc_grad(g, sc_unary_grad(g, SC_UNARY_TANH, x, x), &x, 1, out);
    assert_int_equal(g->status, SC_EUNSUPPORTED);
    assert_non_null(strstr(g->fault, "second derivatives"));
    sc_graph_free(g);
}

static int set_up(void **state)
{
    (void)state;
    n_levels = kernel_levels(level, LEVELS);
    for (int i = 0; i < THREADS; i++) ctx[i] = new_context(i + 1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < THREADS; i++) sc_context_free(ctx[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivatives_match_differences),
        cmocka_unit_test(faults),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
