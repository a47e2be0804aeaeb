/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation against plain loops in f64, on random shapes and views, with every set of kernels that the machine
 * has and on 1, 2, 3 and 7 threads, which must give the same bits. A new operation is one row of `rows_of_table`. */
#include "core_help.h"

enum { THREADS = 4, LEVELS = 8, MAX_LEAVES = 16 };
static const int thread_counts[THREADS] = {1, 2, 3, 7};
static sc_context *ctx[THREADS];
static unsigned level[LEVELS];
static int n_levels;

/* ---- one trial: a graph, what goes into it, what must come out ---- */

typedef struct trial {
    uint64_t seed;
    sc_graph *g;
    struct {
        sc_tensor *t;
        void *data;
        int64_t bytes;
    } leaf[MAX_LEAVES];
    int n_leaves;
    sc_tensor *y;
    double *want, *scale; /* of each element of y: the value, and what rounding is measured against */
    double tolerance;
    void *junk[96]; /* freed at the end */
    int n_junk;
} trial;

static void *room(trial *t, int64_t bytes)
{
    void *p = calloc(1, (size_t)bytes + 1);
    assert_non_null(p);
    assert_true(t->n_junk < SC_COUNT(t->junk));
    return t->junk[t->n_junk++] = p;
}

static int64_t product(int rank, const int64_t *dim)
{
    int64_t n = 1;
    for (int i = 0; i < rank; i++) n *= dim[i];
    return n;
}

typedef struct value {
    sc_tensor *t;
    double *v; /* in the order of t's axes */
} value;

static sc_tensor *input(trial *t, sc_dtype dtype, int rank, const int64_t *dim, void *data)
{
    sc_shape shape = {.rank = rank};
    memcpy(shape.dim, dim, sizeof *dim * (size_t)rank);
    sc_tensor *x = sc_graph_input(t->g, "x", dtype, &shape);
    assert_non_null(x);
    t->leaf[t->n_leaves].t = x;
    t->leaf[t->n_leaves].data = data;
    t->leaf[t->n_leaves++].bytes = sc_dtype_size(dtype, product(rank, dim));
    return x;
}

enum { PLAIN = 0, ANY = 1, DENSE_LAST = 2 };

/* f32 values of shape dim: an input as it is, or a slice of a permuted larger one. */
static value look(trial *t, int how, int rank, const int64_t *dim)
{
    int order[SC_MAX_RANK];
    int64_t off[SC_MAX_RANK] = {0}, base[SC_MAX_RANK] = {0}, extra, n = product(rank, dim);
    bool view = how != PLAIN && random_in(&t->seed, 0, 3);
    for (int i = 0; i < rank; i++) order[i] = i;
    for (int i = 0; view && i < (how == DENSE_LAST ? rank - 1 : rank); i++) {
        int k = (int)random_in(&t->seed, 0, i), swap = order[i];
        order[i] = order[k];
        order[k] = swap;
    }
    for (int i = 0; i < rank; i++) {
        extra = view ? random_in(&t->seed, 0, 2) : 0;
        off[i] = random_in(&t->seed, 0, extra);
        base[order[i]] = dim[i] + extra; /* axis i of the view is axis order[i] of the input */
    }
    int64_t all = product(rank, base);
    float *data = room(t, all * 4);
    for (int64_t i = 0; i < all; i++) data[i] = random_float(&t->seed);
    value r = {.t = input(t, SC_F32, rank, base, data), .v = room(t, n * 8)};
    if (view) {
        r.t = sc_permute(t->g, r.t, order);
        for (int i = 0; i < rank; i++) r.t = sc_slice(t->g, r.t, i, off[i], dim[i]);
    }
    assert_non_null(r.t);
    for (int64_t i = 0; i < n; i++) {
        int64_t at[SC_MAX_RANK], rest = i, from = 0;
        for (int k = rank - 1; k >= 0; k--) {
            at[order[k]] = rest % dim[k] + off[k];
            rest /= dim[k];
        }
        for (int k = 0; k < rank; k++) from = from * base[k] + at[k];
        r.v[i] = data[from];
    }
    return r;
}

static sc_tensor *table(trial *t, int rank, const int64_t *dim, const int32_t *v)
{
    int64_t bytes = product(rank, dim) * 4;
    int32_t *data = room(t, bytes);
    memcpy(data, v, (size_t)bytes);
    return input(t, SC_I32, rank, dim, data);
}

static void answer(trial *t, sc_tensor *y, double tolerance)
{
    if (!y) fail_msg("the graph has a fault: %s", t->g->fault);
    int64_t n = sc_tensor_count(y);
    t->y = y;
    t->want = room(t, n * 8);
    t->scale = room(t, n * 8);
    t->tolerance = tolerance;
}

static int64_t any_size(trial *t)
{
    static const int64_t sizes[] = {1, 1, 2, 3, 5, 7, 8, 9, 16, 17, 31, 33, 64, 65, 0};
    return sizes[random_in(&t->seed, 0, SC_COUNT(sizes) - 1)];
}

static int any_shape(trial *t, int64_t *dim, int lo, int hi)
{
    int rank = (int)random_in(&t->seed, lo, hi);
    for (int i = 0; i < rank; i++) dim[i] = rank > 2 ? SC_MIN(any_size(t), 9) : any_size(t);
    return rank;
}

/* ---- the operations ---- */

static void binary_trial(trial *t, bool product_wanted)
{
    int64_t dim[SC_MAX_RANK];
    int rank = any_shape(t, dim, 0, 4), lead = (int)random_in(&t->seed, 0, rank);
    if (rank == 2 && random_in(&t->seed, 0, 9) == 0) dim[0] = 300, dim[1] = 41; /* more than one task */
    value a = look(t, ANY, rank, dim), b = look(t, ANY, rank - lead, dim + lead);
    answer(t, (product_wanted ? sc_mul : sc_add)(t->g, a.t, b.t), 1.2e-7);
    int64_t period = product(rank - lead, dim + lead);
    for (int64_t i = 0; i < product(rank, dim); i++) {
        double x = a.v[i], y = b.v[i % period];
        t->want[i] = product_wanted ? x * y : x + y;
        t->scale[i] = product_wanted ? fabs(x * y) : fabs(x) + fabs(y);
    }
}
static void add_trial(trial *t) { binary_trial(t, false); }
static void mul_trial(trial *t) { binary_trial(t, true); }

static double unary(sc_unary_kind kind, double x)
{
    switch (kind) {
    case SC_UNARY_SILU: return x / (1 + exp(-x));
    case SC_UNARY_GELU: return x / 2 * (1 + erf(x / sqrt(2)));
    case SC_UNARY_GELU_TANH: return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case SC_UNARY_RELU: return x > 0 ? x : 0;
    case SC_UNARY_SIGMOID: return 1 / (1 + exp(-x));
    case SC_UNARY_TANH: return tanh(x);
    case SC_UNARY_SOFTPLUS: return log(1 + exp(x));
    case SC_UNARY_EXP: return exp(x);
    case SC_UNARY_LOG1MEXP: return log(-expm1(-fabs(x)));
    default: fail_msg("a unary function without a definition here"); return 0;
    }
}

/* Alone, and as the gate of a product, which becomes one step. */
static void unary_trial(trial *t)
{
    int64_t dim[SC_MAX_RANK];
    int rank = any_shape(t, dim, 1, 4);
    if (rank == 1 && random_in(&t->seed, 0, 3) == 0) dim[0] = 9001;
    sc_unary_kind kind = (sc_unary_kind)random_in(&t->seed, 0, SC_UNARY_COUNT - 1);
    value x = look(t, ANY, rank, dim);
    sc_tensor *y = sc_unary(t->g, kind, x.t);
    value gated = {0};
    int how = (int)random_in(&t->seed, 0, 2);
    if (how) {
        gated = look(t, ANY, rank, dim);
        y = how == 1 ? sc_mul(t->g, y, gated.t) : sc_mul(t->g, gated.t, y);
    }
    answer(t, y, 1e-6);
    for (int64_t i = 0; i < product(rank, dim); i++) {
        t->want[i] = unary(kind, x.v[i]) * (how ? gated.v[i] : 1);
        t->scale[i] = fmax(fabs(x.v[i]), 0.5);
    }
}

/* What is kept is as likely as it should be, and says itself which values it is. */
static void dropout_trial(trial *t)
{
    int64_t dim[SC_MAX_RANK], rows = 9000, kept = 0;
    int rank = any_shape(t, dim, 1, 3);
    bool many = random_in(&t->seed, 0, 3) == 0;
    if (many) rank = 1, dim[0] = rows;
    int32_t seed[2] = {(int32_t)random_in(&t->seed, 0, 99), 7};
    float rate = (float)random_in(&t->seed, 0, 3) / 4;
    value x = look(t, ANY, rank, dim);
    sc_tensor *y = sc_dropout(t->g, x.t, table(t, 1, (int64_t[]){2}, seed), rate);
    answer(t, y, 1e-6);
    uint64_t stream = SC_ATTR(y, sc_dropout_attr)->stream;
    for (int64_t i = 0; i < product(rank, dim); i++) {
        uint32_t bits[4];
        sc_philox((uint64_t)seed[1] << 32 | (uint32_t)seed[0], stream, (uint64_t)(i / 8), bits);
        bool keep = (bits[i % 8 / 2] >> 16 * (i % 2) & 0xffff) >= (uint32_t)(rate * 65536 + 0.5F);
        kept += keep;
        t->want[i] = keep ? x.v[i] / (1 - (double)rate) : 0;
        t->scale[i] = fabs(x.v[i]) / (1 - (double)rate);
    }
    if (many) assert_true(fabs((double)kept / (double)rows - (1 - (double)rate)) < 0.03);
}

static void inverse_lengths_trial(trial *t)
{
    int64_t n = any_size(t) + 1, c = any_size(t) + 1, r = random_in(&t->seed, 1, 9);
    value w = look(t, PLAIN, 2, (int64_t[]){n, c}), a = look(t, PLAIN, 2, (int64_t[]){r, c}),
          b = look(t, PLAIN, 2, (int64_t[]){n, r});
    float scale = (float)random_in(&t->seed, 1, 8) / 4, *square = room(t, n * 4);
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t k = 0; k < c; k++) sum += w.v[i * c + k] * w.v[i * c + k];
        square[i] = (float)sum;
    }
    answer(t, sc_inverse_lengths(t->g, input(t, SC_F32, 1, &n, square), w.t, a.t, b.t, scale), 1e-4);
    for (int64_t i = 0; i < n; i++) {
        double sum = 0, parts = square[i];
        for (int64_t k = 0; k < c; k++) {
            double x = w.v[i * c + k];
            for (int64_t j = 0; j < r; j++) {
                x += scale * b.v[i * r + j] * a.v[j * c + k];
                parts += 9 * scale * scale * b.v[i * r + j] * b.v[i * r + j] * a.v[j * c + k] * a.v[j * c + k];
            }
            sum += x * x;
        }
        t->want[i] = 1 / sqrt(sum);
        t->scale[i] = t->want[i] * (1 + parts / sum); /* of what the sum cancels */
    }
}

static void affine_trial(trial *t)
{
    int64_t dim[SC_MAX_RANK];
    int rank = any_shape(t, dim, 1, 4);
    if (rank == 1 && random_in(&t->seed, 0, 3) == 0) dim[0] = 9001;
    float scale = (float)random_in(&t->seed, -9, 9) / 4, shift = (float)random_in(&t->seed, -2, 2);
    value x = look(t, ANY, rank, dim);
    answer(t, sc_affine(t->g, x.t, scale, shift), 1e-6);
    for (int64_t i = 0; i < product(rank, dim); i++) {
        t->want[i] = (double)scale * x.v[i] + (double)shift;
        t->scale[i] = fabs((double)scale * x.v[i]) + fabs((double)shift);
    }
}

static void sinusoids_trial(trial *t)
{
    int32_t at[64];
    int64_t n = random_in(&t->seed, 1, 60), width = random_in(&t->seed, 1, 70), sines = (width + 1) / 2;
    for (int64_t i = 0; i < n; i++) at[i] = (int32_t)random_in(&t->seed, 0, 4000);
    answer(t, sc_sinusoids(t->g, table(t, 1, &n, at), width), 1e-6);
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < width; c++) {
            double angle = at[i] / pow(10000, 2.0 * (double)(c % sines) / (double)width);
            t->want[i * width + c] = c < sines ? sin(angle) : cos(angle);
            t->scale[i * width + c] = 1;
        }
}

static void norm_trial(trial *t, bool layer)
{
    int64_t dim[SC_MAX_RANK];
    int rank = any_shape(t, dim, 1, 3);
    if (random_in(&t->seed, 0, 9) == 0) dim[rank - 1] = 777;
    int64_t c = dim[rank - 1], rows = product(rank - 1, dim);
    float eps = random_in(&t->seed, 0, 1) ? 1e-5f : 0.1f;
    value x = look(t, ANY, rank, dim), w = {0}, b = {0};
    if (random_in(&t->seed, 0, 2)) w = look(t, ANY, 1, &c);
    if (layer && random_in(&t->seed, 0, 2)) b = look(t, ANY, 1, &c);
    answer(t, layer ? sc_apply_layer_norm(t->g, x.t, w.t, b.t, eps) : sc_apply_rms_norm(t->g, x.t, w.t, eps), 4e-6);
    for (int64_t r = 0; r < rows; r++) {
        double mean = 0, square = 0;
        for (int64_t i = 0; layer && i < c; i++) mean += x.v[r * c + i] / (double)c;
        for (int64_t i = 0; i < c; i++) square += (x.v[r * c + i] - mean) * (x.v[r * c + i] - mean) / (double)c;
        for (int64_t i = 0; i < c; i++) {
            double y = (x.v[r * c + i] - mean) / sqrt(square + eps);
            t->want[r * c + i] = y * (w.t ? w.v[i] : 1) + (b.t ? b.v[i] : 0);
            t->scale[r * c + i] = 1 + (1 + fabs(mean)) / sqrt(square + eps);
        }
    }
}
static void rms_norm_trial(trial *t) { norm_trial(t, false); }
static void layer_norm_trial(trial *t) { norm_trial(t, true); }

/* A (rows, c) matrix of a type; transposed: stored by columns. */
static value matrix(trial *t, sc_dtype type, int64_t rows, int64_t c, bool transposed)
{
    int64_t a = transposed ? c : rows, b = transposed ? rows : c;
    void *data = room(t, sc_dtype_size(type, a * b));
    value r = {.v = room(t, a * b * 8)};
    double *stored = room(t, a * b * 8);
    random_elements(&t->seed, type, a * b, data, stored);
    r.t = input(t, type, 2, (int64_t[]){a, b}, data);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < c; k++) r.v[i * c + k] = transposed ? stored[k * rows + i] : stored[i * c + k];
    if (transposed) r.t = sc_permute(t->g, r.t, (int[]){1, 0});
    return r;
}

static sc_dtype any_weight_type(trial *t)
{
    for (;;) {
        sc_dtype type = (sc_dtype)random_in(&t->seed, 0, SC_DTYPE_COUNT - 1);
        if (is_weight_type(type)) return type;
    }
}

/* With and without bias and a residual, which becomes part of the step. exact: x is multiplied as it is. */
static void linear_case(trial *t, bool exact)
{
    sc_dtype type = any_weight_type(t);
    int64_t block = sc_dtype_get(type)->block, dim[SC_MAX_RANK];
    int rank = (int)random_in(&t->seed, 1, 3);
    bool transposed = random_in(&t->seed, 0, 2) == 0;
    for (int i = 0; i < rank - 1; i++) dim[i] = rank == 3 ? SC_MIN(any_size(t), 5) : any_size(t);
    int64_t c = any_size(t), n = any_size(t), *blocks = transposed ? &n : &c;
    if (block > 1) *blocks = block * random_in(&t->seed, 1, 3);
    dim[rank - 1] = c;
    if (rank == 2 && random_in(&t->seed, 0, 9) == 0) dim[0] = type % 2 ? 261 : 1030; /* two blocks of tokens */
    value x = look(t, ANY, rank, dim), w = matrix(t, type, n, c, transposed), bias = {0}, more = {0};
    if (random_in(&t->seed, 0, 1)) bias = look(t, ANY, 1, &n);
    sc_tensor *y = sc_apply_linear(t->g, x.t, w.t, bias.t);
    int how = (int)random_in(&t->seed, 0, 2);
    int64_t tokens = product(rank - 1, dim);
    dim[rank - 1] = n;
    if (how) {
        more = look(t, ANY, rank, dim);
        y = how == 1 ? sc_add(t->g, y, more.t) : sc_add(t->g, more.t, y);
    }
    answer(t, y, 1e-6);
    for (int64_t i = 0; i < tokens; i++)
        for (int64_t j = 0; j < n; j++) {
            double sum = 0, size = 0, top = 0;
            for (int64_t k = 0; k < c; k++) {
                sum += x.v[i * c + k] * w.v[j * c + k];
                size += fabs(x.v[i * c + k] * w.v[j * c + k]);
                /* With block types x may be rounded to whole numbers times the largest of its 32 / 127: each value is
                 * off by half of that at most. */
                bool rounds = block > 1 && !exact && !transposed;
                for (int64_t l = k; rounds && k % 32 == 0 && l < k + 32; l++)
                    top = l == k ? fabs(x.v[i * c + l]) : fmax(top, fabs(x.v[i * c + l]));
                size += 0.5001 * top / 127 * fabs(w.v[j * c + k]) / t->tolerance;
                /* With bf16, x may be rounded to that: 8 bits, so each value is off by 2^-8 of itself at most. */
                if (type == SC_BF16) size += 0x1p-8 * fabs(x.v[i * c + k] * w.v[j * c + k]) / t->tolerance;
            }
            double b = bias.t ? bias.v[j] : 0, m = how ? more.v[i * n + j] : 0;
            t->want[i * n + j] = sum + b + m;
            t->scale[i * n + j] = size + fabs(b) + fabs(m);
        }
}

static void linear_trial(trial *t) { linear_case(t, false); }

/* As training does it; rounded to bf16, each factor is off by 2^-8 of itself at most. */
static void linear_ordered(trial *t, sc_dtype type)
{
    linear_case(t, true);
    sc_linear_in_order(t->g, type);
    for (int64_t i = 0; type == SC_BF16 && i < sc_tensor_count(t->y); i++)
        t->scale[i] += 2.1 * 0x1p-8 / t->tolerance * t->scale[i];
}

/* Many more rows than the matrix has, a depth of several parts among them. */
static void linear_tall(trial *t, sc_dtype type)
{
    int64_t c = random_in(&t->seed, 0, 5) ? any_size(t) : 2100, n = random_in(&t->seed, 1, 35);
    int64_t rows = c > 1000 ? 150 : random_in(&t->seed, 4 * n, 4 * n + 90), dim[] = {rows, c};
    if (c > 1000) n = random_in(&t->seed, 1, 35);
    value x = look(t, random_in(&t->seed, 0, 1) ? ANY : PLAIN, 2, dim),
          w = matrix(t, SC_F32, n, c, random_in(&t->seed, 0, 1));
    answer(t, sc_apply_linear(t->g, x.t, w.t, NULL), type == SC_BF16 ? 2.1 * 0x1p-8 : 1e-6);
    sc_linear_in_order(t->g, type);
    for (int64_t i = 0; i < rows * n; i++)
        for (int64_t k = 0; k < c; k++) {
            double product = x.v[i / n * c + k] * w.v[i % n * c + k];
            t->want[i] += product;
            t->scale[i] += fabs(product);
        }
}

static void linear_tall_trial(trial *t) { linear_tall(t, SC_F32); }
static void linear_tall_bf16_trial(trial *t) { linear_tall(t, SC_BF16); }

static void linear_ordered_trial(trial *t) { linear_ordered(t, SC_F32); }
static void linear_ordered_bf16_trial(trial *t) { linear_ordered(t, SC_BF16); }

static void rows_trial(trial *t)
{
    sc_dtype type = any_weight_type(t);
    int64_t block = sc_dtype_get(type)->block, c = block > 1 ? block * random_in(&t->seed, 1, 3) : any_size(t);
    int64_t rows = random_in(&t->seed, 1, 20), n = any_size(t);
    value w = matrix(t, type, rows, c, false);
    int32_t ids[65];
    for (int64_t i = 0; i < n; i++) ids[i] = (int32_t)random_in(&t->seed, 0, rows - 1);
    sc_tensor *id = table(t, 1, &n, ids);
    if (n > 2 && random_in(&t->seed, 0, 1)) { /* every other one */
        id = sc_reshape(t->g, sc_slice(t->g, id, 0, 0, n / 2 * 2), 2, (int64_t[]){n / 2, 2});
        id = sc_reshape(t->g, sc_slice(t->g, id, 1, 1, 1), 1, (int64_t[]){n / 2});
        n /= 2;
        for (int64_t i = 0; i < n; i++) ids[i] = ids[2 * i + 1];
    }
    answer(t, sc_rows(t->g, w.t, id), 0);
    for (int64_t i = 0; i < n * c; i++) t->want[i] = w.v[ids[i / c] * c + i % c];
}

static void view_trial(trial *t, bool reshaped)
{
    int64_t dim[SC_MAX_RANK], to[SC_MAX_RANK], n;
    int rank = any_shape(t, dim, 1, 4), m = 0;
    value x = look(t, ANY, rank, dim);
    n = product(rank, dim);
    sc_tensor *y = x.t;
    if (reshaped) { /* cut the elements into other axes */
        int64_t rest = n;
        for (; m < 4; m++) {
            int64_t d = 1;
            for (int tries = 0; rest && tries < 4; tries++) {
                int64_t p = random_in(&t->seed, 1, 9);
                if (rest % (d * p) == 0) d *= p;
            }
            to[m] = d;
            if (rest) rest /= d;
        }
        to[m++] = rest;
        if (n && random_in(&t->seed, 0, 1)) to[random_in(&t->seed, 0, m - 1)] = -1;
        y = sc_reshape(t->g, x.t, m, to);
    }
    answer(t, sc_contiguous(t->g, y), 0);
    memcpy(t->want, x.v, sizeof *x.v * (size_t)n);
}
static void contiguous_trial(trial *t) { view_trial(t, false); }
static void reshape_trial(trial *t) { view_trial(t, true); }

static void place_trial(trial *t)
{
    int64_t dim[SC_MAX_RANK], whole[SC_MAX_RANK];
    int rank = any_shape(t, dim, 1, 4), axis = (int)random_in(&t->seed, 0, rank - 1);
    int64_t start = random_in(&t->seed, 0, 3), outer = product(axis, dim);
    memcpy(whole, dim, sizeof whole);
    whole[axis] += start + random_in(&t->seed, 0, 3);
    value x = look(t, ANY, rank, dim), base = {0};
    if (random_in(&t->seed, 0, 1)) base = look(t, ANY, rank, whole);
    answer(t, sc_place(t->g, base.t, x.t, axis, start, whole[axis]), 1e-7);
    int64_t n = product(rank - axis - 1, dim + axis + 1), part = dim[axis] * n, run = whole[axis] * n;
    for (int64_t i = 0; i < outer * run; i++) {
        int64_t at = i % run - start * n;
        t->want[i] = (base.v ? base.v[i] : 0) + (at >= 0 && at < part ? x.v[i / run * part + at] : 0);
        t->scale[i] = 2;
    }
}

static void sum_trial(trial *t)
{
    int64_t dim[SC_MAX_RANK];
    int rank = any_shape(t, dim, 1, 4), keep = (int)random_in(&t->seed, 0, rank);
    if (rank == 2 && random_in(&t->seed, 0, 3) == 0) dim[0] = 300, dim[1] = 517; /* more than one task and block */
    int64_t n = product(keep, dim + rank - keep), rows = product(rank - keep, dim);
    value x = look(t, ANY, rank, dim);
    answer(t, sc_contiguous(t->g, sc_sum_leading(t->g, x.t, keep)), 1e-6);
    for (int64_t i = 0; i < rows * n; i++) {
        t->want[i % n] += x.v[i];
        t->scale[i % n] += fabs(x.v[i]) + 1e-30;
    }
}

static void cross_entropy_trial(trial *t)
{
    int64_t n = any_size(t), classes = 1 + any_size(t);
    int32_t label[65];
    for (int64_t i = 0; i < n; i++)
        label[i] = random_in(&t->seed, 0, 4) ? (int32_t)random_in(&t->seed, 0, classes - 1) : -100;
    value x = look(t, ANY, 2, (int64_t[]){n, classes}), weight = look(t, ANY, 1, &n);
    double s = random_in(&t->seed, 0, 1) ? 0.25 : 0;
    answer(t, sc_cross_entropy_smoothed(t->g, x.t, table(t, 1, &n, label), weight.t, (float)s), 1e-6);
    for (int64_t r = 0; r < n; r++) {
        double sum = 0, spread = 0;
        for (int64_t i = 0; i < classes; i++) sum += exp(x.v[r * classes + i]);
        for (int64_t i = 0; i < classes; i++) spread += (log(sum) - x.v[r * classes + i]) / (double)classes;
        t->want[r] =
            label[r] < 0 ? 0 : weight.v[r] * ((1 - s) * (log(sum) - x.v[r * classes + label[r]]) + s * spread);
        t->scale[r] = 1 + log((double)classes);
    }
}

/* softmax(x / t), in place. */
static void soften(double *x, int64_t n, double t)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += exp(x[i] / t);
    for (int64_t i = 0; i < n; i++) x[i] = exp(x[i] / t) / sum;
}

static double kl_of(const double *p, const double *q, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += p[i] * log(p[i] / q[i]);
    return sum;
}

static void divergence_trial(trial *t)
{
    int64_t n = any_size(t), classes = 1 + any_size(t);
    value x = look(t, ANY, 2, (int64_t[]){n, classes}), teacher = look(t, ANY, 2, (int64_t[]){n, classes}),
          weight = look(t, ANY, 1, &n);
    sc_divergence_attr how = {(sc_divergence_kind)random_in(&t->seed, 0, 3), random_in(&t->seed, 0, 1) ? 2.f : 1.f,
                              0.25f};
    answer(t, sc_divergence(t->g, x.t, teacher.t, weight.t, &how), 1e-6);
    double *m = room(t, classes * (int64_t)sizeof *m);
    for (int64_t r = 0; r < n; r++) {
        double *q = x.v + r * classes, *p = teacher.v + r * classes, b = (double)how.beta, d = 0;
        soften(q, classes, (double)how.temperature);
        soften(p, classes, (double)how.temperature);
        for (int64_t i = 0; i < classes; i++) m[i] = b * p[i] + (1 - b) * q[i];
        if (how.kind == SC_DIVERGENCE_FORWARD) d = kl_of(p, q, classes);
        if (how.kind == SC_DIVERGENCE_REVERSE) d = kl_of(q, p, classes);
        if (how.kind == SC_DIVERGENCE_SYMMETRIC) d = (kl_of(p, q, classes) + kl_of(q, p, classes)) / 2;
        if (how.kind == SC_DIVERGENCE_JS) d = b * kl_of(p, m, classes) + (1 - b) * kl_of(q, m, classes);
        t->want[r] = weight.v[r] * d;
        t->scale[r] = 1 + fabs(d);
    }
}

/* ---- ragged batches ---- */

typedef struct batch {
    sc_seqs in;
    int64_t tokens, sequences;
    int32_t start[16], position[1024], past[16];
} batch;

static batch any_batch(trial *t, int64_t longest)
{
    batch b = {.sequences = random_in(&t->seed, 1, 4)};
    for (int64_t s = 0; s < b.sequences; s++) {
        int64_t n = random_in(&t->seed, 0, 3) ? random_in(&t->seed, 1, longest) : random_in(&t->seed, 0, 2);
        b.past[s] = (int32_t)random_in(&t->seed, 0, 70);
        for (int64_t i = 0; i < n; i++) b.position[b.start[s] + i] = (int32_t)i;
        b.start[s + 1] = b.start[s] + (int32_t)n;
    }
    b.tokens = b.start[b.sequences];
    b.in.position = table(t, 1, &b.tokens, b.position);
    b.in.start = table(t, 1, (int64_t[]){b.sequences + 1}, b.start);
    return b;
}

static void rope_table_trial(trial *t)
{
    static const sc_rope_type types[] = {SC_ROPE_DEFAULT, SC_ROPE_LINEAR, SC_ROPE_DYNAMIC};
    batch b = any_batch(t, 40);
    sc_rope_params p = {.type = types[random_in(&t->seed, 0, 2)],
                        .dim = 2 * random_in(&t->seed, 2, 9),
                        .theta = 10000,
                        .factor = 4,
                        .max_positions = 16,
                        .original_max_positions = 16};
    int64_t half = p.dim / 2;
    /* The angle is rounded to f32: of 40 radians that is 2e-6. */
    answer(t, sc_rope_table(t->g, &b.in, &p), 5e-6);
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t i = b.start[s], n = b.start[s + 1] - i; i < b.start[s + 1]; i++)
            for (int64_t k = 0; k < half; k++) {
                double theta = p.theta, d = (double)p.dim;
                if (p.type == SC_ROPE_DYNAMIC && n > 16) theta *= pow(4.0 * (double)n / 16 - 3, d / (d - 2));
                double angle =
                    b.position[i] * pow(theta, -2.0 * (double)k / d) / (p.type == SC_ROPE_LINEAR ? 4 : 1);
                t->want[i * half + k] = cos(angle);
                t->want[(b.tokens + i) * half + k] = sin(angle);
            }
    for (int64_t i = 0; i < 2 * b.tokens * half; i++) t->scale[i] = 1;
}

static void rope_trial(trial *t)
{
    int64_t n = any_size(t), heads = random_in(&t->seed, 1, 4), half = random_in(&t->seed, 1, 20);
    int64_t d = 2 * half + random_in(&t->seed, 0, 1) * random_in(&t->seed, 0, 9);
    bool neighbours = random_in(&t->seed, 0, 1);
    value x = look(t, DENSE_LAST, 3, (int64_t[]){n, heads, d}), a = look(t, ANY, 3, (int64_t[]){2, n, half});
    answer(t, sc_rope(t->g, x.t, a.t, neighbours), 3e-7);
    for (int64_t i = 0; i < n * heads; i++)
        for (int64_t k = 0; k < d; k++) {
            int64_t pair = neighbours ? SC_MIN(k / 2, half - 1) : k % half, at = i / heads * half + pair;
            const double *row = x.v + i * d;
            double u = row[neighbours ? 2 * pair : pair], v = row[neighbours ? 2 * pair + 1 : pair + half];
            bool second = neighbours ? k % 2 : k >= half;
            if (k >= 2 * half)
                t->want[i * d + k] = row[k];
            else
                t->want[i * d + k] =
                    second ? u * a.v[n * half + at] + v * a.v[at] : u * a.v[at] - v * a.v[n * half + at];
            t->scale[i * d + k] = 2;
        }
}

#include "ops_keys.h"

/* The query at place `at` of its sequence over n keys at k and v whose rows lie `ld` apart; sink: of its head, or NULL. */
static void attend(const double *q, const double *k, const double *v, int64_t ld, int64_t d, int64_t at, int64_t n,
                   const sc_attention_attr *a, int64_t kv_head, double slope, const double *sink, double *want,
                   double *size)
{
    double sum = 0, top = -INFINITY, p[1024], times[1024];
    for (int64_t j = 0; j < n; j++) {
        p[j] = 0;
        if ((times[j] = (double)times_seen(a, kv_head, at, j, n)) == 0) continue;
        for (int64_t i = 0; i < d; i++) p[j] += q[i] * k[j * ld + i] * a->scale;
        if (a->cap > 0) p[j] = a->cap * tanh(p[j] / a->cap);
        if (a->alibi) p[j] -= slope * (double)llabs(at - j);
        top = fmax(top, p[j]);
    }
    if (sink) {
        top = fmax(top, *sink);
        sum = exp(*sink - top);
    }
    for (int64_t j = 0; j < n; j++) sum += p[j] = times[j] > 0 ? times[j] * exp(p[j] - top) : 0;
    for (int64_t i = 0; i < d; i++) {
        want[i] = 0;
        for (int64_t j = 0; j < n; j++) want[i] += p[j] / sum * v[j * ld + i];
        size[i] = 1;
    }
}

/* ALiBi's slope as its authors state it: a geometric sequence for powers of two, and for other numbers of heads the
 * sequence of the power below, then each second one of the power above. */
static double alibi_slope(int64_t h, int64_t heads)
{
    int64_t p = 1;
    while (2 * p <= heads) p *= 2;
    if (h < p) return pow(pow(2, -8.0 / (double)p), (double)(h + 1));
    return pow(pow(2, -8.0 / (double)(2 * p)), (double)(2 * (h - p) + 1));
}

/* Sinks for some trials. */
static value any_sinks(trial *t, int64_t heads, sc_attention_attr *a)
{
    value v = {0};
    if (random_in(&t->seed, 0, 2)) return v;
    v = look(t, PLAIN, 1, &heads);
    a->sinks = v.t;
    return v;
}

static double squash(double x) { return 1 / (1 + exp(-x)); }

/* Without attention, which whole models test; w, b as PyTorch's GRUCell and LSTMCell have them. */
static void cell_trial(trial *t)
{
    batch b = any_batch(t, 20);
    sc_cell_attr a = {.lstm = random_in(&t->seed, 0, 1), .reverse = random_in(&t->seed, 0, 1)};
    int64_t h = random_in(&t->seed, 1, 20), gates = (a.lstm ? 4 : 3) * h, wide = h * (1 + a.lstm);
    value x = look(t, PLAIN, 2, (int64_t[]){b.tokens, gates}), w = look(t, PLAIN, 2, (int64_t[]){gates, h}),
          bias = look(t, PLAIN, 1, &gates), first[2] = {{0}, {0}};
    for (int i = 0; i < 1 + a.lstm && random_in(&t->seed, 0, 3); i++)
        first[i] = look(t, PLAIN, 2, (int64_t[]){b.sequences, h});
    answer(t, sc_cell(t->g, x.t, w.t, bias.t, first[0].t, first[1].t, NULL, &b.in, NULL, &a), 3e-6);
    for (int64_t s = 0; s < b.sequences; s++) {
        double now[2][64] = {{0}}, gate[256];
        for (int i = 0; i < 2 && first[i].v; i++) memcpy(now[i], first[i].v + s * h, sizeof(double) * (size_t)h);
        for (int64_t n = b.start[s + 1] - b.start[s], i = 0; i < n; i++) {
            int64_t at = a.reverse ? b.start[s + 1] - 1 - i : b.start[s] + i;
            for (int64_t j = 0; j < gates; j++) {
                gate[j] = bias.v[j];
                for (int64_t k = 0; k < h; k++) gate[j] += w.v[j * h + k] * now[0][k];
            }
            const double *in = x.v + at * gates;
            for (int64_t j = 0; j < h; j++) {
                double p = squash(in[j] + gate[j]), q = squash(in[h + j] + gate[h + j]);
                if (a.lstm) {
                    now[1][j] = q * now[1][j] + p * tanh(in[2 * h + j] + gate[2 * h + j]);
                    now[0][j] = squash(in[3 * h + j] + gate[3 * h + j]) * tanh(now[1][j]);
                } else {
                    now[0][j] = (1 - q) * tanh(in[2 * h + j] + p * gate[2 * h + j]) + q * now[0][j];
                }
            }
            for (int64_t j = 0; j < wide; j++) {
                t->want[at * wide + j] = now[j / h][j % h];
                t->scale[at * wide + j] = 4;
            }
        }
    }
}

static void attention_trial(trial *t)
{
    batch b = any_batch(t, 120);
    int64_t kv = random_in(&t->seed, 1, 3), heads = kv * random_in(&t->seed, 1, 5), d = random_in(&t->seed, 1, 40);
    sc_attention_attr attr = {.scale = 2 / sqrtf((float)d),
                              .causal = random_in(&t->seed, 0, 3),
                              .window = random_in(&t->seed, 0, 1) ? random_in(&t->seed, 1, 40) : 0,
                              .cap = random_in(&t->seed, 0, 2) ? 0 : 1.5f,
                              .alibi = random_in(&t->seed, 0, 3) == 0};
    any_blocks(t, &attr, 120);
    value sinks = any_sinks(t, heads, &attr);
    value q = look(t, DENSE_LAST, 3, (int64_t[]){b.tokens, heads, d});
    value k = look(t, DENSE_LAST, 3, (int64_t[]){b.tokens, kv, d}),
          v = look(t, DENSE_LAST, 3, (int64_t[]){b.tokens, kv, d});
    answer(t, sc_attention(t->g, q.t, k.t, v.t, &b.in, &attr), 3e-6);
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t i = 0, n = b.start[s + 1] - b.start[s]; i < n; i++)
            for (int64_t h = 0; h < heads; h++) {
                int64_t at = ((b.start[s] + i) * heads + h) * d, from = (b.start[s] * kv + h / (heads / kv)) * d;
                attend(q.v + at, k.v + from, v.v + from, kv * d, d, i, n, &attr, h / (heads / kv),
                       alibi_slope(h, heads), sinks.v ? sinks.v + h : NULL, t->want + at, t->scale + at);
            }
}

/* Over a cache of any type whose pages lie anywhere, with and without tokens from before; long enough for parts, or not. */
static void cached_over(trial *t, bool parts)
{
    static const sc_dtype types[] = {SC_F32, SC_F16, SC_BF16, SC_Q8_0};
    batch b = any_batch(t, parts ? 6 : 40);
    sc_dtype type = types[random_in(&t->seed, 0, 3)];
    int64_t kv = random_in(&t->seed, 1, 3), heads = kv * random_in(&t->seed, 1, parts ? 9 : 3),
            most = parts ? random_in(&t->seed, 9, 20) : 4, pages = 4 * most + 1;
    int64_t d = type == SC_Q8_0 ? 32 * random_in(&t->seed, 1, 2) : random_in(&t->seed, 1, 40),
            all = pages * kv * 32 * d;
    sc_attention_attr attr = {.scale = 1 / sqrtf((float)d),
                              .causal = true,
                              .window = random_in(&t->seed, 0, 1) ? random_in(&t->seed, 1, parts ? 400 : 60) : 0,
                              .cap = random_in(&t->seed, 0, 2) ? 0 : 0.7f,
                              .alibi = random_in(&t->seed, 0, 3) == 0};
    any_blocks(t, &attr, 0);
    value sinks = any_sinks(t, heads, &attr);
    value q = look(t, DENSE_LAST, 3, (int64_t[]){b.tokens, heads, d}), x[2];
    int32_t page[96], slot[256], deck[96];
    double *now[2];
    for (int64_t s = 0; parts && s < b.sequences; s++) b.past[s] = (int32_t)random_in(&t->seed, 0, most * 32 - 6);
    for (int i = 0; i < pages; i++) {
        int k = (int)random_in(&t->seed, 0, i);
        deck[i] = deck[k];
        deck[k] = i;
    }
    for (int i = 0; i < 4 * most; i++) page[i] = deck[i]; /* (sequences, most) */
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t i = 0; i < b.start[s + 1] - b.start[s]; i++)
            slot[b.start[s] + i] = page[s * most + (b.past[s] + i) / 32] * 32 + (b.past[s] + (int32_t)i) % 32;
    b.in.past = table(t, 1, &b.sequences, b.past);
    b.in.pages = table(t, 2, (int64_t[]){b.sequences, most}, page);
    b.in.slot = table(t, 1, &b.tokens, slot);
    sc_kv c;
    for (int w = 0; w < 2; w++) {
        void *data = room(t, sc_dtype_size(type, all));
        now[w] = room(t, all * 8);
        random_elements(&t->seed, type, all, data, now[w]);
        sc_storage st = {.dtype = type, .stride = {kv * 32 * d, 32 * d, d, 1}, .data = data};
        x[w] = look(t, DENSE_LAST, 3, (int64_t[]){b.tokens, kv, d});
        *(w ? &c.v : &c.k) = sc_kv_write(
            t->g, sc_graph_state(t->g, "cache", &(sc_shape){4, {pages, kv, 32, d}}, &st), x[w].t, &b.in);
        for (int64_t i = 0; i < b.tokens * kv * d; i++) { /* as the cache's type keeps it */
            int64_t s = slot[i / (kv * d)], h = i / d % kv;
            now[w][((s / 32 * kv + h) * 32 + s % 32) * d + i % d] = x[w].v[i];
        }
    }
    /* q8_0 keeps 1 in 254 of the largest of 32, f16 1 in 2048, bf16 1 in 256; the values are up to 1. */
    double kept = type == SC_F32 ? 0 : type == SC_F16 ? 5e-4 : 4e-3;
    answer(t, sc_attention_cached(t->g, q.t, c, &b.in, &attr), 3e-6 + kept * (1 + sqrt((double)d)));
    double *k = room(t, most * 32 * d * 8), *v = room(t, most * 32 * d * 8);
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t h = 0; h < heads; h++) {
            int64_t n = b.start[s + 1] - b.start[s];
            for (int64_t j = 0; j < b.past[s] + n; j++) {
                int64_t from = ((page[s * most + j / 32] * kv + h / (heads / kv)) * 32 + j % 32) * d;
                memcpy(k + j * d, now[0] + from, (size_t)d * 8);
                memcpy(v + j * d, now[1] + from, (size_t)d * 8);
            }
            for (int64_t i = 0; i < n; i++) {
                int64_t at = ((b.start[s] + i) * heads + h) * d, me = b.past[s] + i;
                attend(q.v + at, k, v, d, d, me, b.past[s] + n, &attr, h / (heads / kv), alibi_slope(h, heads),
                       sinks.v ? sinks.v + h : NULL, t->want + at, t->scale + at);
            }
        }
    assert_true(t->y->op->id == (parts && b.tokens * kv < 64 ? SC_OP_attention_join : SC_OP_attention));
}
static void cached_trial(trial *t) { cached_over(t, false); }
static void parts_trial(trial *t) { cached_over(t, true); }

#include "ops_experts.h"
#include "test_ops_recurrent.h"
#include "test_ops_sequences.h"

static const struct row {
    const char *name;
    int id; /* of the operation that it is about */
    void (*trial)(trial *t);
    int trials;
} rows_of_table[] = {
    {"add", SC_OP_add, add_trial, 30},
    {"affine", SC_OP_affine, affine_trial, 30},
    {"attention", SC_OP_attention, attention_trial, 90},
    {"attention over a cache", SC_OP_kv_write, cached_trial, 30},
    {"attention in parts", SC_OP_attention_parts, parts_trial, 60},
    {"attention joined", SC_OP_attention_join, parts_trial, 40},
    {"clamped_glu", SC_OP_clamped_glu, clamped_glu_trial, 30},
    {"concat", SC_OP_concat, concat_trial, 30},
    {"expert_sum", SC_OP_expert_sum, expert_sum_trial, 30},
    {"expert_weights", SC_OP_expert_weights, expert_weights_trial, 60},
    {"linear_experts", SC_OP_linear_experts, linear_experts_trial, 150},
    {"top_experts", SC_OP_top_experts, top_experts_trial, 100},
    {"cell", SC_OP_cell, cell_trial, 40},
    {"conv_causal", SC_OP_conv_causal, conv_trial, 60},
    {"contiguous", SC_OP_contiguous, contiguous_trial, 30},
    {"cross_entropy", SC_OP_cross_entropy, cross_entropy_trial, 30},
    {"divergence", SC_OP_divergence, divergence_trial, 40},
    {"disentangled", SC_OP_disentangled, disentangled_trial, 60},
    {"first_tokens", SC_OP_first_tokens, first_tokens_trial, 30},
    {"layer_norm", SC_OP_layer_norm, layer_norm_trial, 30},
    {"linear", SC_OP_linear, linear_trial, 120},
    {"mul", SC_OP_mul, mul_trial, 30},
    {"linear in order", SC_OP_pack_ordered, linear_ordered_trial, 80},
    {"linear in order, bf16", SC_OP_pack_ordered_bf16, linear_ordered_bf16_trial, 80},
    {"linear in order, tall", SC_OP_pack_ordered_w, linear_tall_trial, 60},
    {"linear in order, tall, bf16", SC_OP_pack_ordered_w_bf16, linear_tall_bf16_trial, 60},
    {"linear on panels", SC_OP_pack_panels, linear_trial, 60},
    {"linear on panels of bf16", SC_OP_pack_panels_bf16, linear_trial, 60},
    {"place", SC_OP_place, place_trial, 40},
    {"linear on packed rows", SC_OP_pack_rows, linear_trial, 30},
    {"pool", SC_OP_pool, pool_trial, 60},
    {"reshape", SC_OP_reshape, reshape_trial, 50},
    {"rms_norm", SC_OP_rms_norm, rms_norm_trial, 30},
    {"rope", SC_OP_rope, rope_trial, 30},
    {"rope_table", SC_OP_rope_table, rope_table_trial, 30},
    {"rows", SC_OP_rows, rows_trial, 50},
    {"scan_decay", SC_OP_scan_decay, decay_trial, 40},
    {"scan_delta", SC_OP_scan_delta, delta_trial, 40},
    {"scan_selective", SC_OP_scan_selective, selective_trial, 40},
    {"sum_rows", SC_OP_sum_rows, sum_trial, 40},
    {"sinusoids", SC_OP_sinusoids, sinusoids_trial, 20},
    {"unary", SC_OP_unary, unary_trial, 40},
    {"dropout", SC_OP_dropout, dropout_trial, 20},
    {"inverse_lengths", SC_OP_inverse_lengths, inverse_lengths_trial, 20},
    {"virtual_rows", SC_OP_virtual_rows, virtual_rows_trial, 10},
    {"unfold", SC_OP_unfold, unfold_trial, 30},
    {"permute and slice", SC_OP_permute, contiguous_trial, 1},
    {"slice", SC_OP_slice, contiguous_trial, 1},
};

/* ---- running a trial everywhere ---- */

static void compare(const trial *t, const float *got, const char *label)
{
    for (int64_t i = 0; i < sc_tensor_count(t->y); i++) {
        double off = fabs((double)got[i] - t->want[i]);
        if (!(off <= t->tolerance * t->scale[i]))
            fail_msg("%s: element %lld is %.9g, not %.9g (off by %g, allowed %g)", label, (long long)i, got[i],
                     t->want[i], off, t->tolerance * t->scale[i]);
    }
}

static void run_everywhere(trial *t, const char *label)
{
    for (int l = 0; l < n_levels; l++) {
        float *first = NULL;
        size_t bytes = sizeof *first * (size_t)sc_tensor_count(t->y);
        for (int c = 0; c < THREADS; c++) {
            sc_backend *backend;
            sc_plan *p;
            assert_int_equal(sc_cpu_backend_new(&backend, ctx[c], level[l]), SC_OK);
            if (sc_plan_new(&p, t->g, backend, &t->y, 1)) fail_msg("%s: %s", label, sc_error());
            for (int i = 0; i < t->n_leaves; i++) {
                void *to = sc_plan_data(p, t->leaf[i].t);
                if (to) memcpy(to, t->leaf[i].data, (size_t)t->leaf[i].bytes);
            }
            if (sc_plan_run(p)) fail_msg("%s: %s", label, sc_error());
            const float *got = sc_plan_data(p, t->y);
            if (!first) {
                compare(t, got, label);
                first = malloc(bytes + 1);
                memcpy(first, got, bytes);
            }
            if (memcmp(first, got, bytes) != 0) fail_msg("%s: %d threads give other bits", label, thread_counts[c]);
            sc_plan_free(p);
            backend->free(backend);
        }
        free(first);
    }
}

static void end(trial *t)
{
    sc_graph_free(t->g);
    for (int i = 0; i < t->n_junk; i++) free(t->junk[i]);
}

static void operations_match_loops(void **state)
{
    (void)state;
    unsigned seen[SC_OP_COUNT] = {0};
    for (int r = 0; r < SC_COUNT(rows_of_table); r++) {
        seen[rows_of_table[r].id] = 1;
        for (int k = 0; k < rows_of_table[r].trials; k++) {
            trial t = {.seed = (uint64_t)(r * 1000 + k)};
            char label[64];
            snprintf(label, sizeof label, "%s, trial %d", rows_of_table[r].name, k);
            assert_int_equal(sc_graph_new(&t.g, NULL), SC_OK);
            rows_of_table[r].trial(&t);
            run_everywhere(&t, label);
            end(&t);
        }
    }
    static const sc_op *const op[] = {
#define X(name) &sc_op_##name,
#define V(name) &sc_op_##name,
#include "ops/ops.def"
#undef X
#undef V
    };
    for (int i = 0; i < SC_OP_COUNT; i++) /* test_grad.c checks the gradients' own operations */
        if (!seen[i] && !sc_path_has_suffix(op[i]->name, "_grad")) fail_msg("%s has no row here", op[i]->name);
}

static int set_up(void **state)
{
    (void)state;
    n_levels = kernel_levels(level, LEVELS);
    for (int i = 0; i < THREADS; i++) ctx[i] = new_context(thread_counts[i]);
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
        cmocka_unit_test(operations_match_loops),
        cmocka_unit_test(blocks_are_drawn),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
