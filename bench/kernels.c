/* SPDX-License-Identifier: Apache-2.0 */
/* How fast the kernels are, alone and as operations of a plan, against what the machine can do: a table, or JSON.
 *
 *     kernels [--threads T] [--only WORD] [--seconds S] [--best] [--json]
 *     kernels --gemm M,N,K --form nt|nn|tn [--type TYPE] [--train] [--threads T] [--repeat R] [--json]
 *
 * --only: rows whose name, type or level has WORD in it. --best: the machine's best level alone. The second form is one
 * product y (M, N) of f32 matrices, stored as the form says: nt x (M, K) w (N, K), nn x (M, K) w (K, N), tn x (K, M)
 * w (K, N), w of another type where given, or with --train as training makes it, where bf16 is what both are rounded to; bench/peers.py sets it beside other libraries. */
#include "cpu/cpu.h"
#include "socle/bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

typedef struct options {
    int threads, repeat;
    const char *only, *gemm, *form, *type;
    double seconds; /* of each row, at least */
    bool json, best, train;
} options;

typedef struct bench {
    options o;
    sc_context *ctx;
    sc_limits one, all;
    unsigned mask[8]; /* of each level of this machine, with those below it */
    const char *level[8];
    int n_levels, rows;
} bench;

static void die(const char *what)
{
    fprintf(stderr, "kernels: %s: %s\n", what, sc_error());
    exit(1);
}

static void want(sc_status s, const char *what)
{
    if (s) die(what);
}

static void *room(int64_t bytes)
{
    void *p = NULL;
    if (posix_memalign(&p, 64, (size_t)bytes + 64)) {
        fprintf(stderr, "kernels: no memory for %lld bytes\n", (long long)bytes);
        exit(1);
    }
    return p;
}

/* ---- rows of the table ---- */

typedef struct row {
    const char *name, *type, *level;
    char shape[64];
    const sc_limits *limits;
    double flops, bytes; /* of one run */
} row;

static bool skipped(const bench *b, const char *name, const char *type, const char *level)
{
    const char *only = b->o.only;
    return only && !strcasestr(name, only) && !strcasestr(type, only) && !strcasestr(level, only);
}

static void print_row(bench *b, const row *r, double seconds)
{
    double gflops = r->flops / seconds * 1e-9, gbs = r->bytes / seconds * 1e-9;
    double peak = gflops / r->limits->peak_gflops, bandwidth = gbs / r->limits->bandwidth_gbs;
    if (b->o.json) {
        printf("%s\n  {\"name\": \"%s\", \"type\": \"%s\", \"level\": \"%s\", \"shape\": \"%s\", \"threads\": %d, "
               "\"seconds\": %.9f, \"gflops\": %.3f, \"peak_share\": %.4f, \"gbs\": %.3f, "
               "\"bandwidth_share\": %.4f}",
               b->rows++ ? "," : "", r->name, r->type, r->level, r->shape, r->limits->threads, seconds, gflops,
               peak, gbs, bandwidth);
        return;
    }
    if (!b->rows++)
        printf("%-14s %-7s %-22s %-20s %3s %10s %7s %8s %7s\n", "kernel", "type", "shape", "level", "thr",
               "GFLOP/s", "peak", "GB/s", "memory");
    printf("%-14s %-7s %-22s %-20s %3d %10.1f %6.1f%% %8.1f %6.1f%%\n", r->name, r->type, r->shape, r->level,
           r->limits->threads, gflops, 100 * peak, gbs, 100 * bandwidth);
    fflush(stdout);
}

/* Runs until the time is used, at least three times; the best run counts, as for the limits. */
static void measure(bench *b, const row *r, void (*run)(void *), void *arg)
{
    double best = INFINITY, until;
    run(arg);
    until = sc_now() + b->o.seconds;
    for (int i = 0; i < 3 || sc_now() < until; i++) {
        double t0 = sc_now();
        run(arg);
        best = SC_MIN(best, sc_now() - t0);
    }
    print_row(b, r, best);
}

/* ---- operations: a plan of one node ---- */

static void run_plan(void *p) { want(sc_plan_run(p), "run"); }

/* rows of c elements of a type, the same values in each; NULL: the type cannot be written. */
static sc_buffer *weights(sc_dtype type, int64_t rows, int64_t c)
{
    int64_t bytes = sc_dtype_size(type, c);
    float *x = room(c * 4);
    sc_buffer *b;
    sc_rng_normal_fill(1, 2, 0, x, c);
    want(sc_buffer_new(&b, bytes * rows), "weights");
    bool ok = true;
    if (type == SC_F32)
        memcpy(b->data, x, (size_t)bytes);
    else
        ok = sc_quantize(type, x, b->data, c) == SC_OK;
    for (int64_t r = 1; ok && r < rows; r++) memcpy((char *)b->data + r * bytes, b->data, (size_t)bytes);
    free(x);
    if (ok) return b;
    sc_buffer_unref(b);
    return NULL;
}

typedef struct product {
    int64_t m, n, k;
    const char *form;
    sc_dtype type;
    bool train;       /* made as training does it, */
    sc_dtype rounded; /* both sides rounded to this */
    sc_buffer *w;
    sc_graph *g;
    sc_backend *backend;
    sc_plan *plan;
} product;

static void product_open(product *p, bench *b, unsigned mask)
{
    bool x_turned = p->form[0] == 't', w_turned = p->form[1] == 'n';
    sc_shape xs = {2, {x_turned ? p->k : p->m, x_turned ? p->m : p->k}};
    sc_shape ws = {2, {w_turned ? p->k : p->n, w_turned ? p->n : p->k}};
    sc_storage st = {.dtype = p->type, .stride = {ws.dim[1], 1}, .data = p->w->data, .buffer = p->w};
    const int turn[] = {1, 0};
    want(sc_graph_new(&p->g, NULL), "graph");
    want(sc_cpu_backend_new(&p->backend, b->ctx, mask), "backend");
    sc_tensor *in = sc_graph_input(p->g, "x", SC_F32, &xs), *w = sc_graph_constant(p->g, "w", &ws, &st);
    sc_tensor *y = sc_apply_linear(p->g, x_turned ? sc_permute(p->g, in, turn) : in,
                                   w_turned ? sc_permute(p->g, w, turn) : w, NULL);
    if (p->train) sc_linear_in_order(p->g, p->rounded);
    want(sc_plan_new(&p->plan, p->g, p->backend, &y, 1), "plan");
    sc_rng_normal_fill(3, 4, 0, sc_plan_data(p->plan, in), p->m * p->k);
}

static void product_close(product *p)
{
    sc_plan_free(p->plan);
    sc_graph_free(p->g);
    p->backend->free(p->backend);
}

static void bench_product(bench *b, const char *name, product *p)
{
    for (int i = 0; i < b->n_levels; i++) {
        row r = {name, sc_dtype_get(p->type)->name, b->level[i], .limits = &b->all};
        if (skipped(b, name, r.type, r.level)) continue;
        if (!p->w && !(p->w = weights(p->type, p->form[1] == 'n' ? p->k : p->n, p->form[1] == 'n' ? p->n : p->k)))
            return;
        snprintf(r.shape, sizeof r.shape, "%lldx%lldx%lld", (long long)p->m, (long long)p->n, (long long)p->k);
        r.flops = 2.0 * (double)p->m * (double)p->n * (double)p->k;
        r.bytes = (double)sc_dtype_size(p->type, p->n * p->k) + 4.0 * (double)(p->m * (p->n + p->k));
        product_open(p, b, b->mask[i]);
        measure(b, &r, run_plan, p->plan);
        product_close(p);
    }
    sc_buffer_unref(p->w);
    p->w = NULL;
}

static const sc_dtype weight_types[] = {SC_F32,  SC_BF16, SC_F16,  SC_Q8_0, SC_Q4_0, SC_Q4_1,
                                        SC_Q5_0, SC_Q4_K, SC_Q5_K, SC_Q6_K, SC_MXFP4};

/* A few rows against a matrix that no cache holds (generation), and many against one (prompts). */
static void bench_linear(bench *b)
{
    static const int64_t few[] = {1, 4, 16};
    for (int t = 0; t < SC_COUNT(weight_types); t++) {
        sc_dtype type = weight_types[t];
        int64_t rows = ((int64_t)128 << 20) / sc_dtype_size(type, 2048) / 64 * 64;
        for (int i = 0; i < SC_COUNT(few); i++)
            bench_product(b, "linear", &(product){few[i], rows, 2048, "nt", type});
        bench_product(b, "linear", &(product){512, 2048, 2048, "nt", type});
    }
}

/* Square ones, and those of a GPT-2 layer of 124M parameters over 1,024 tokens, stored in every way. */
static void bench_gemm(bench *b)
{
    static const int64_t shapes[][3] = {
        {2048, 2048, 2048}, {1024, 2304, 768}, {1024, 768, 768}, {1024, 3072, 768}, {1024, 768, 3072}};
    static const char *const forms[] = {"nt", "nn", "tn"}, *const names[] = {"gemm nt", "gemm nn", "gemm tn"};
    for (int i = 0; i < SC_COUNT(shapes); i++)
        for (int f = 0; f < SC_COUNT(forms); f++)
            bench_product(b, names[f], &(product){shapes[i][0], shapes[i][1], shapes[i][2], forms[f], SC_F32});
}

/* ---- attention over a cache: 32 heads over 8 of 64 ---- */

enum { H = 32, HKV = 8, D = 64 };

static sc_tensor *table(sc_graph *g, int rank, int64_t a, int64_t n)
{
    return sc_graph_input(g, "table", SC_I32, &(sc_shape){rank, {a, n}});
}

static void attention_case(bench *b, int level, sc_dtype type, int64_t tokens, int64_t past)
{
    int64_t pages = (tokens + past + SC_ATTENTION_TILE - 1) / SC_ATTENTION_TILE;
    row r = {"attention", sc_dtype_get(type)->name, b->level[level], .limits = &b->all};
    if (skipped(b, r.name, r.type, r.level)) return;
    sc_backend *backend;
    sc_graph *g;
    sc_plan *plan;
    sc_shape cache = {4, {pages, HKV, SC_ATTENTION_TILE, D}};
    sc_storage st = {.dtype = type, .stride = {HKV * SC_ATTENTION_TILE * D, SC_ATTENTION_TILE * D, D, 1}};
    sc_buffer *store[2] = {weights(type, pages * HKV * SC_ATTENTION_TILE, D),
                           weights(type, pages * HKV * SC_ATTENTION_TILE, D)};
    sc_kv kv;
    want(sc_graph_new(&g, NULL), "graph");
    want(sc_cpu_backend_new(&backend, b->ctx, b->mask[level]), "backend");
    for (int i = 0; i < 2; i++) {
        st.buffer = store[i];
        st.data = store[i]->data;
        *(i ? &kv.v : &kv.k) = sc_graph_state(g, "cache", &cache, &st);
    }
    sc_tensor *q = sc_graph_input(g, "q", SC_F32, &(sc_shape){3, {tokens, H, D}});
    sc_seqs seqs = {.start = table(g, 1, 2, 0), .past = table(g, 1, 1, 0), .pages = table(g, 2, 1, pages)};
    sc_tensor *y = sc_attention_cached(g, q, kv, &seqs, &(sc_attention_attr){.scale = 0.125f, .causal = true});
    want(sc_plan_new(&plan, g, backend, &y, 1), "plan");
    sc_rng_normal_fill(5, 6, 0, sc_plan_data(plan, q), tokens * H * D);
    int32_t *start = sc_plan_data(plan, seqs.start), *page = sc_plan_data(plan, seqs.pages);
    start[0] = 0;
    start[1] = (int32_t)tokens;
    *(int32_t *)sc_plan_data(plan, seqs.past) = (int32_t)past;
    for (int64_t i = 0; i < pages; i++) page[i] = (int32_t)i;
    double keys = (double)tokens * (double)past + (double)tokens * (double)(tokens + 1) / 2;
    snprintf(r.shape, sizeof r.shape, "%lld after %lld", (long long)tokens, (long long)past);
    r.flops = 4 * keys * H * D;
    r.bytes = 2 * (double)sc_dtype_size(type, (tokens + past) / D * D * HKV * D) + 8.0 * (double)(tokens * H * D);
    measure(b, &r, run_plan, plan);
    sc_plan_free(plan);
    sc_graph_free(g);
    backend->free(backend);
    sc_buffer_unref(store[0]);
    sc_buffer_unref(store[1]);
}

static void bench_attention(bench *b)
{
    static const sc_dtype types[] = {SC_F32, SC_F16, SC_BF16, SC_Q8_0};
    for (int t = 0; t < SC_COUNT(types); t++)
        for (int i = 0; i < b->n_levels; i++) {
            attention_case(b, i, types[t], 512, 0);
            attention_case(b, i, types[t], 1, 1024);
            attention_case(b, i, types[t], 1, 8192);
        }
}

/* ---- serial kernels over arrays that no cache holds, on one thread ---- */

typedef struct serial {
    const sc_kernels *k;
    sc_dtype type;
    int64_t n; /* f32 values */
    float *x, *y;
    void *stored; /* the values in `type` */
    int which;
} serial;

enum { WIDTH = 2048 }; /* of a row, where the kernel has rows */

/* Quantisers of block types search, so they get less to do. */
static int64_t to_quantize(const serial *s) { return sc_dtype_get(s->type)->block > 1 ? s->n / 32 : s->n; }

static void run_dequantize(void *p)
{
    serial *s = p;
    s->k->dequantize[s->type](s->stored, s->y, s->n);
}

static void run_quantize(void *p)
{
    serial *s = p;
    s->k->quantize[s->type](s->x, s->stored, to_quantize(s));
}

/* Into the layout that products read: the stored bytes once in, once out, over and over the same room. */
static void run_interleave(void *p)
{
    serial *s = p;
    int64_t rows = s->n / WIDTH, some = 1024, stride = sc_dtype_size(s->type, WIDTH);
    for (int64_t i = 0; i + some <= rows; i += some)
        s->k->interleave[s->type](some, WIDTH, (const char *)s->stored + i * stride, stride, s->y);
}

static void run_matvec(void *p)
{
    serial *s = p;
    s->k->matvec[s->type](s->n / WIDTH, WIDTH, s->x, s->stored, sc_dtype_size(s->type, WIDTH), s->y);
}

typedef struct elementwise {
    const char *name;
    double flops, bytes; /* of an element, by the usual count; functions count as one */
    void (*run)(const sc_kernels *k, int64_t n, float *x, float *y);
} elementwise;

static void el_add(const sc_kernels *k, int64_t n, float *x, float *y) { k->add(n, x, y, y); }
static void el_scale(const sc_kernels *k, int64_t n, float *x, float *y) { k->scale(n, x, 0.5f, y); }
static void el_silu(const sc_kernels *k, int64_t n, float *x, float *y) { k->unary[SC_UNARY_SILU](n, x, y); }
static void el_gelu(const sc_kernels *k, int64_t n, float *x, float *y) { k->unary[SC_UNARY_GELU](n, x, y); }
static void el_rms_norm(const sc_kernels *k, int64_t n, float *x, float *y) { k->rms_norm(n, x, NULL, 1e-5f, y); }
static void el_layer_norm(const sc_kernels *k, int64_t n, float *x, float *y)
{
    k->layer_norm(n, x, NULL, NULL, 1e-5f, y);
}
static void el_softmax(const sc_kernels *k, int64_t n, float *x, float *y)
{
    k->scale(n, y, 1 / k->exp_sum(n, x, k->max(n, x), y), y);
}
static void el_rope(const sc_kernels *k, int64_t n, float *x, float *y) { k->rope_halves(n / 2, x, x, x, y); }

static const elementwise elementwises[] = {
    {"add", 1, 12, el_add},        {"scale", 1, 8, el_scale},       {"silu", 1, 8, el_silu},
    {"gelu", 1, 8, el_gelu},       {"rms_norm", 4, 8, el_rms_norm}, {"layer_norm", 6, 8, el_layer_norm},
    {"softmax", 4, 8, el_softmax}, {"rope_halves", 3, 8, el_rope},
};

static void run_elementwise(void *p)
{
    serial *s = p;
    for (int64_t i = 0; i < s->n; i += WIDTH) elementwises[s->which].run(s->k, WIDTH, s->x + i, s->y + i);
}

static void bench_typed(bench *b, serial *s, const char *level)
{
    const struct {
        const char *name;
        void (*run)(void *);
        bool there;
        double flops, f32_bytes; /* of an element */
        int64_t n;
    } kinds[] = {{"dequantize", run_dequantize, s->k->dequantize[s->type] != NULL, 0, 4, s->n},
                 {"quantize", run_quantize, s->k->quantize[s->type] != NULL, 0, 4, to_quantize(s)},
                 {"interleave", run_interleave, s->k->interleave[s->type] != NULL, 0, 0, s->n},
                 {"matvec", run_matvec, s->k->matvec[s->type] != NULL, 2, 0, s->n}};
    for (int i = 0; i < SC_COUNT(kinds); i++) {
        row r = {kinds[i].name, sc_dtype_get(s->type)->name, level, .limits = &b->one};
        if (!kinds[i].there || skipped(b, r.name, r.type, level)) continue;
        snprintf(r.shape, sizeof r.shape, "%lldx%d", (long long)kinds[i].n / WIDTH, WIDTH);
        r.flops = kinds[i].flops * (double)kinds[i].n;
        r.bytes = kinds[i].f32_bytes * (double)kinds[i].n + (double)sc_dtype_size(s->type, kinds[i].n);
        measure(b, &r, kinds[i].run, s);
    }
}

static void bench_serial(bench *b)
{
    serial s = {.n = (int64_t)16 << 20};
    s.x = room(s.n * 4);
    s.y = room(s.n * 4);
    sc_rng_normal_fill(7, 8, 0, s.x, s.n);
    memset(s.y, 0, (size_t)s.n * 4);
    for (int i = 0; i < b->n_levels; i++) {
        sc_kernels k;
        sc_kernels_init(&k, b->mask[i]);
        s.k = &k;
        for (s.which = 0; s.which < SC_COUNT(elementwises); s.which++) {
            const elementwise *e = &elementwises[s.which];
            row r = {e->name, "f32", b->level[i], .limits = &b->one};
            if (skipped(b, r.name, r.type, r.level)) continue;
            snprintf(r.shape, sizeof r.shape, "%lldx%d", (long long)s.n / WIDTH, WIDTH);
            r.flops = e->flops * (double)s.n;
            r.bytes = e->bytes * (double)s.n;
            measure(b, &r, run_elementwise, &s);
        }
        for (int t = 1; t < SC_COUNT(weight_types); t++) {
            s.type = weight_types[t];
            sc_buffer *w = weights(s.type, s.n / WIDTH, WIDTH);
            if (!w) continue;
            s.stored = w->data;
            bench_typed(b, &s, b->level[i]);
            sc_buffer_unref(w);
        }
    }
    free(s.x);
    free(s.y);
}

/* ---- one product, for bench/peers.py ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int one_gemm(bench *b)
{
    long long m, n, k;
    const char *form = b->o.form ? b->o.form : "nt";
    if (sscanf(b->o.gemm, "%lld,%lld,%lld", &m, &n, &k) != 3 || m < 1 || n < 1 || k < 1 || m > 65536 || n > 65536 ||
        k > 65536 || (strcmp(form, "nt") && strcmp(form, "nn") && strcmp(form, "tn"))) {
        fprintf(stderr, "kernels: --gemm M,N,K (1 to 65536 each) --form nt|nn|tn\n");
        return 2;
    }
    sc_dtype type = b->o.type ? sc_dtype_named(b->o.type) : SC_F32;
    product p = {m, n, k, form, type};
    if (b->o.train) {
        p.train = true;
        p.rounded = type == SC_BF16 ? SC_BF16 : SC_F32;
        p.type = type = SC_F32;
    }
    int64_t width = form[1] == 'n' ? n : k;
    p.w = type < SC_DTYPE_COUNT && width % sc_dtype_get(type)->block == 0 ? weights(type, n * k / width, width)
                                                                          : NULL;
    if (!p.w) {
        fprintf(stderr, "kernels: no weights of this type and width\n");
        return 1;
    }
    product_open(&p, b, ~0u);
    double *t = room((int64_t)sizeof *t * b->o.repeat);
    /* Until the system has found a processor for each thread. */
    for (double until = sc_now() + 0.2; sc_now() < until;) run_plan(p.plan);
    for (int i = 0; i < b->o.repeat; i++) {
        double t0 = sc_now();
        run_plan(p.plan);
        t[i] = sc_now() - t0;
    }
    qsort(t, (size_t)b->o.repeat, sizeof *t, ascending);
    double s = t[b->o.repeat / 2], gflops = 2.0 * (double)m * (double)n * (double)k / s * 1e-9;
    printf(b->o.json ? "{\"seconds\": %.9f, \"gflops\": %.3f}\n" : "%.6f s, %.1f GFLOP/s\n", s, gflops);
    free(t);
    product_close(&p);
    sc_buffer_unref(p.w);
    return 0;
}

static int read_options(options *o, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (!strcmp(a, "--json")) {
            o->json = true;
            continue;
        }
        if (!strcmp(a, "--best")) {
            o->best = true;
            continue;
        }
        if (!strcmp(a, "--train")) {
            o->train = true;
            continue;
        }
        if (!v || a[0] != '-') goto wrong;
        if (!strcmp(a, "--threads"))
            o->threads = atoi(v);
        else if (!strcmp(a, "--repeat"))
            o->repeat = SC_MAX(atoi(v), 1);
        else if (!strcmp(a, "--seconds"))
            o->seconds = atof(v);
        else if (!strcmp(a, "--only"))
            o->only = v;
        else if (!strcmp(a, "--gemm"))
            o->gemm = v;
        else if (!strcmp(a, "--form"))
            o->form = v;
        else if (!strcmp(a, "--type"))
            o->type = v;
        else
            goto wrong;
        i++;
    }
    return 0;
wrong:
    fprintf(stderr,
            "usage: kernels [--threads T] [--only WORD] [--seconds S] [--best] [--json]\n"
            "       kernels --gemm M,N,K --form nt|nn|tn [--type TYPE] [--threads T] [--repeat R] [--json]\n");
    return 2;
}

int main(int argc, char **argv)
{
    bench b = {.o = {.seconds = 0.1, .repeat = 5}};
    int code = read_options(&b.o, argc, argv);
    if (code) return code;
    want(sc_context_new(&b.ctx, &(sc_context_options){.threads = b.o.threads}), "context");
    if (b.o.gemm) {
        code = one_gemm(&b);
        sc_context_free(b.ctx);
        return code;
    }
    unsigned have = sc_cpu_detect();
    for (int i = 0; i < SC_CPU_LEVEL_COUNT && b.n_levels < SC_COUNT(b.mask); i++) {
        if (!(have & 1u << i)) continue;
        b.mask[b.n_levels] = have & ((2u << i) - 1);
        b.level[b.n_levels++] = sc_cpu_level_name(i);
    }
    if (!b.n_levels || b.o.best) {
        b.mask[0] = have;
        b.level[0] = b.n_levels ? b.level[b.n_levels - 1] : "reference";
        b.n_levels = 1;
    }
    want(sc_measure_limits(b.ctx, 1, &b.one), "limits");
    want(sc_measure_limits(b.ctx, 0, &b.all), "limits");
    if (b.o.json)
        printf(
            "{\"threads\": %d, \"bandwidth_gbs\": %.3f, \"peak_gflops\": %.3f, \"one\": {\"bandwidth_gbs\": %.3f, "
            "\"peak_gflops\": %.3f}, \"rows\": [",
            b.all.threads, b.all.bandwidth_gbs, b.all.peak_gflops, b.one.bandwidth_gbs, b.one.peak_gflops);
    else
        printf("limits: %.1f GB/s and %.1f GFLOP/s (f32) with %d threads, %.1f and %.1f with one; %s\n",
               b.all.bandwidth_gbs, b.all.peak_gflops, b.all.threads, b.one.bandwidth_gbs, b.one.peak_gflops,
               b.all.isa);
    bench_linear(&b);
    bench_gemm(&b);
    bench_attention(&b);
    bench_serial(&b);
    if (b.o.json) printf("\n]}\n");
    sc_context_free(b.ctx);
    return 0;
}
