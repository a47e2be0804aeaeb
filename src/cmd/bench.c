/* SPDX-License-Identifier: Apache-2.0 */
/* `socle bench`: how fast a model reads a prompt and writes an answer here, and how far that is from what the machine
 * can do. */
#include "socle/bench.h"
#include "cmd/cmd.h"
#include "socle/hub.h"
#include "socle/session.h"

#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum { MAX_LIMITS = 10 }; /* 1, 2, 4 … 256 threads, and as many as there are */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct bench {
    sc_session *session;
    const sc_model *model;
    sc_model_info info;
    sc_dtype cache;
    int32_t *ids;
    int *seqs;
    int64_t prefill, decode, fill; /* fill: tokens before those that are decoded */
    int sequences, repeat;
    double load, *prefill_s, *decode_s;
    sc_limits *around; /* with all threads: around[i] just before repetition i, around[i + 1] just after; or NULL */
    long peak_kib;     /* of memory, before the limits are measured */
    sc_limits limits[MAX_LIMITS];
    int n_limits;                         /* 0: not measured; the last is that of all threads */
    double bandwidth_low, bandwidth_high; /* of all threads, over the run */
} bench;

/* The prompt in a sequence of its own, then step by step all sequences behind their contexts. The ids are any: speed
 * does not depend on them. */
static sc_status once(bench *b, int i)
{
    const float *logits;
    sc_status s = sc_session_trim(b->session, b->sequences, 0);
    double t0 = now();
    if (!s) s = sc_session_eval(b->session, b->sequences, b->ids, b->prefill, &logits);
    b->prefill_s[i] = now() - t0;
    if (!s) s = sc_session_trim(b->session, b->sequences, 0);
    t0 = now();
    for (int64_t k = 0; !s && k < b->decode; k++)
        s = sc_session_step(b->session, b->seqs, b->ids + k, b->sequences, &logits);
    b->decode_s[i] = now() - t0;
    for (int q = 0; !s && q < b->sequences; q++) s = sc_session_trim(b->session, q, b->fill);
    return s;
}

/* What is done once: weights brought into memory, plans made, contexts filled, each with keys and values of its own. */
static sc_status warm_up(bench *b)
{
    const float *logits;
    sc_status s = SC_OK;
    for (int q = 0; !s && b->fill && q < b->sequences; q++)
        s = sc_session_eval(b->session, q, b->ids + q, b->fill, &logits);
    return s ? s : once(b, 0);
}

static sc_status measure(bench *b, sc_context *ctx)
{
    int64_t most = b->prefill > b->fill ? b->prefill : b->fill, n = most + b->decode + b->sequences;
    b->ids = malloc(sizeof *b->ids * (size_t)n);
    b->seqs = malloc(sizeof *b->seqs * (size_t)b->sequences);
    b->prefill_s = calloc((size_t)b->repeat, sizeof *b->prefill_s);
    b->decode_s = calloc((size_t)b->repeat, sizeof *b->decode_s);
    if (!b->ids || !b->seqs || !b->prefill_s || !b->decode_s) return SC_ENOMEM;
    for (int64_t i = 0; i < n; i++) b->ids[i] = (int32_t)((i * 7919 + 13) % b->info.vocab);
    for (int q = 0; q < b->sequences; q++) b->seqs[q] = q;
    sc_status s = warm_up(b);
    struct rusage use;
    if (getrusage(RUSAGE_SELF, &use) == 0) b->peak_kib = use.ru_maxrss;
    if (!s && b->around) s = sc_measure_limits(ctx, 0, &b->around[0]);
    for (int i = 0; !s && i < b->repeat; i++) {
        s = once(b, i);
        if (!s && b->around) s = sc_measure_limits(ctx, 0, &b->around[i + 1]);
    }
    return s;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, ascending);
    return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

/* Those of fewer threads, and of all of them the medians of what was measured around the repetitions. */
static sc_status measure_limits(sc_context *ctx, bench *b)
{
    sc_status s = SC_OK;
    int all = sc_context_threads(ctx), n = b->repeat + 1;
    for (int t = 1; !s && t < all; t *= 2) s = sc_measure_limits(ctx, t, &b->limits[b->n_limits++]);
    double *v = s ? NULL : malloc(sizeof *v * (size_t)n);
    if (!v) return s ? s : SC_ENOMEM;
    sc_limits *l = &b->limits[b->n_limits++];
    *l = b->around[0];
    for (int i = 0; i < n; i++) v[i] = b->around[i].bandwidth_gbs;
    l->bandwidth_gbs = median(v, n);
    b->bandwidth_low = v[0];
    b->bandwidth_high = v[n - 1];
    for (int i = 0; i < n; i++) v[i] = b->around[i].peak_gflops;
    l->peak_gflops = median(v, n);
    free(v);
    return SC_OK;
}

/* The median over the repetitions of `work` a repetition by what the machine could have done in its time. The limits can
 * change while a program runs (a virtual machine is moved, a laptop warms up), so each repetition has its own. */
static double share(const bench *b, double work, const double *seconds, bool of_peak)
{
    double *v = malloc(sizeof *v * (size_t)b->repeat), m = 0;
    for (int i = 0; v && i < b->repeat; i++) {
        const sc_limits *l = &b->around[i];
        double limit = of_peak ? l[0].peak_gflops + l[1].peak_gflops : l[0].bandwidth_gbs + l[1].bandwidth_gbs;
        v[i] = work * 1e-9 / seconds[i] / (limit / 2);
    }
    if (v) m = median(v, b->repeat);
    free(v);
    return m;
}

/* Everything that is said about a run. */
typedef struct result {
    double prefill_tps, decode_tps, prefill_gflops, decode_gbs, decode_gflops;
    double prefill_share, decode_share, decode_peak_share; /* of the limits; 0 where they were not measured */
    sc_work decode;                                        /* of one step, in the middle of the decoding */
} result;

static sc_status evaluate(bench *b, result *r)
{
    sc_work prompt;
    sc_status s = sc_model_work(b->model, b->prefill, 1, 0, b->cache, &prompt);
    if (!s) s = sc_model_work(b->model, 1, b->sequences, b->fill + b->decode / 2, b->cache, &r->decode);
    if (s) return s;
    double bytes = r->decode.weight_bytes + r->decode.cache_bytes;
    if (b->n_limits) {
        r->prefill_share = share(b, prompt.flops, b->prefill_s, true);
        r->decode_share = share(b, bytes * (double)b->decode, b->decode_s, false);
        r->decode_peak_share = share(b, r->decode.flops * (double)b->decode, b->decode_s, true);
    }
    double p = median(b->prefill_s, b->repeat), d = median(b->decode_s, b->repeat);
    double steps = b->decode ? (double)b->decode / d : 0; /* a second */
    r->prefill_tps = (double)b->prefill / p;
    r->decode_tps = steps * b->sequences;
    r->prefill_gflops = prompt.flops / p * 1e-9;
    r->decode_gbs = bytes * steps * 1e-9;
    r->decode_gflops = r->decode.flops * steps * 1e-9;
    return SC_OK;
}

static int print_json(const sc_cmd *c, const bench *b, const result *r, int threads)
{
    json_t *o = json_pack(
        "{s:s, s:s, s:s, s:i, s:I, s:I, s:I, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I}",
        "model", b->info.family, "path", b->info.path, "dtypes", b->info.dtypes, "threads", threads,
        "prefill_tokens", (json_int_t)b->prefill, "decode_tokens", (json_int_t)b->decode, "context_fill",
        (json_int_t)b->fill, "sequences", b->sequences, "repeat", b->repeat, "prefill_tps", r->prefill_tps,
        "decode_tps", r->decode_tps, "prefill_gflops", r->prefill_gflops, "decode_gbs", r->decode_gbs,
        "decode_gflops", r->decode_gflops, "load_seconds", b->load, "weight_bytes", (json_int_t)b->info.bytes,
        "parameters", (json_int_t)b->info.parameters, "cache_bytes", (json_int_t)sc_session_cache_bytes(b->session),
        "decode_weight_bytes", (json_int_t)r->decode.weight_bytes, "decode_cache_bytes",
        (json_int_t)r->decode.cache_bytes, "peak_memory_bytes", (json_int_t)b->peak_kib * 1024);
    if (o && b->n_limits) {
        const sc_limits *l = &b->limits[b->n_limits - 1];
        json_t *list = json_array();
        json_object_set_new(o, "isa", json_string(l->isa));
        json_object_set_new(o, "bandwidth_gbs", json_real(l->bandwidth_gbs));
        json_object_set_new(o, "bandwidth_low_gbs", json_real(b->bandwidth_low));
        json_object_set_new(o, "bandwidth_high_gbs", json_real(b->bandwidth_high));
        json_object_set_new(o, "peak_gflops", json_real(l->peak_gflops));
        json_object_set_new(o, "prefill_share", json_real(r->prefill_share));
        json_object_set_new(o, "decode_share", json_real(r->decode_share));
        json_object_set_new(o, "decode_peak_share", json_real(r->decode_peak_share));
        for (int i = 0; i < b->n_limits; i++)
            json_array_append_new(list,
                                  json_pack("{s:i, s:f, s:f}", "threads", b->limits[i].threads, "bandwidth_gbs",
                                            b->limits[i].bandwidth_gbs, "peak_gflops", b->limits[i].peak_gflops));
        json_object_set_new(o, "limits", list);
    }
    return sc_cmd_json(c, o, JSON_REAL_PRECISION(6));
}

static void print_share(const bench *b, double share, const char *of)
{
    if (b->n_limits) printf("  %5.1f%% of %s", 100 * share, of);
}

static void print_text(const bench *b, const result *r, int threads)
{
    printf("prefill %9.1f tokens/s %8.1f GFLOP/s", r->prefill_tps, r->prefill_gflops);
    print_share(b, r->prefill_share, "the peak");
    printf("       (%lld tokens)\n", (long long)b->prefill);
    if (b->decode) {
        printf("decode  %9.1f tokens/s %8.1f GB/s   ", r->decode_tps, r->decode_gbs);
        print_share(b, r->decode_share, "the bandwidth");
        printf("  (%lld tokens", (long long)b->decode);
        if (b->sequences > 1) printf(" of each of %d sequences", b->sequences);
        printf(" after %lld; %.1f MB of weights and %.1f MB of cache a step)\n", (long long)b->fill,
               r->decode.weight_bytes * 1e-6, r->decode.cache_bytes * 1e-6);
        if (b->sequences > 1) {
            printf("                           %8.1f GFLOP/s", r->decode_gflops);
            print_share(b, r->decode_peak_share, "the peak");
            putchar('\n');
        }
    }
    for (int i = 0; i < b->n_limits; i++)
        printf("limit   %4d thread%s %8.1f GB/s read, %8.1f GFLOP/s in registers (%s, f32)\n", b->limits[i].threads,
               b->limits[i].threads == 1 ? ": " : "s:", b->limits[i].bandwidth_gbs, b->limits[i].peak_gflops,
               b->limits[i].isa);
    if (b->bandwidth_high > 1.2 * b->bandwidth_low)
        printf("The bandwidth changed from %.1f to %.1f GB/s during the run; each share is of what it was just "
               "then.\n",
               b->bandwidth_low, b->bandwidth_high);
    printf("%s, %lld parameters in %lld bytes (%s), %d threads, median of %d; opened in %.3f s; %.1f MiB at most\n",
           b->info.family, (long long)b->info.parameters, (long long)b->info.bytes, b->info.dtypes, threads,
           b->repeat, b->load, (double)b->peak_kib / 1024);
}

static void end(bench *b, sc_model *m, char *path)
{
    sc_session_free(b->session);
    sc_model_free(m);
    sc_free(path);
    free(b->ids);
    free(b->seqs);
    free(b->prefill_s);
    free(b->decode_s);
    free(b->around);
}

static int bench_verb(sc_cmd *c)
{
    bench b = {.prefill = sc_cmd_int(c, "prefill"),
               .decode = sc_cmd_int(c, "decode"),
               .cache = sc_dtype_named(sc_cmd_str(c, "cache-type")),
               .sequences = (int)sc_cmd_int(c, "sequences"),
               .repeat = (int)sc_cmd_int(c, "repeat")};
    b.fill = sc_cmd_given(c, "context-fill") ? sc_cmd_int(c, "context-fill") : b.prefill;
    sc_model *m = NULL;
    char *path = NULL;
    if (sc_cmd_given(c, "type") && !sc_cmd_flag(c, "synthetic"))
        return sc_cmd_usage(c, "--type goes with --synthetic");
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    sc_model_options o = {.weights = sc_cmd_flag(c, "synthetic") ? SC_WEIGHTS_SYNTHETIC : SC_WEIGHTS_FILE,
                          .type = sc_dtype_named(sc_cmd_str(c, "type"))};
    /* One sequence more than are decoded: the prompt's. */
    sc_session_options so = {
        .context = (b.fill + b.decode) * b.sequences + b.prefill, .sequences = b.sequences + 1, .cache = b.cache};
    sc_status s = sc_hub_resolve(&path, sc_cmd_arg(c, 0));
    double t0 = now();
    if (!s) s = sc_model_open(&m, ctx, path, &o);
    b.load = now() - t0;
    b.model = m;
    if (!s) {
        sc_model_describe(m, &b.info);
        s = sc_session_new(&b.session, m, &so);
    }
    result r = {0};
    if (!s && !sc_cmd_flag(c, "no-limits")) {
        b.around = calloc((size_t)b.repeat + 1, sizeof *b.around);
        if (!b.around) s = SC_ENOMEM;
    }
    if (!s) s = measure(&b, ctx);
    if (!s && b.around) s = measure_limits(ctx, &b);
    if (!s) s = evaluate(&b, &r);
    int code = s ? sc_cmd_fail(c) : 0;
    sc_cmd_clear_progress(c);
    if (!s && sc_cmd_flag(c, "json"))
        code = print_json(c, &b, &r, sc_context_threads(ctx));
    else if (!s)
        print_text(&b, &r, sc_context_threads(ctx));
    end(&b, m, path);
    return code;
}

static const sc_option options[] = {
    {"prefill", 'p', SC_OPT_INT, "N", "tokens of the prompt", .value = "512", .lo = 1, .hi = 1e6},
    {"decode", 'd', SC_OPT_INT, "M", "tokens generated one by one", .value = "64", .lo = 0, .hi = 1e6},
    {"context-fill", 'f', SC_OPT_INT, "N",
     "tokens that are there before those generated (as many as the prompt has)", .lo = 0, .hi = 1e6},
    {"sequences", 's', SC_OPT_INT, "N", "sequences generated together, a token of each a step", .value = "1",
     .lo = 1, .hi = 1024},
    {"repeat", 'R', SC_OPT_INT, "R", "repetitions; the median counts", .value = "5", .lo = 1, .hi = 10000},
    {"synthetic", 0, SC_OPT_FLAG, .help = "random weights from config.json alone"},
    {"type", 0, SC_OPT_CHOICE, "f32|f16|bf16|q8_0|q4_0|q4_1|q5_0|q5_1|q4_k|q5_k|q6_k",
     "with --synthetic: type of the matrices", .value = "f32"},
    {"cache-type", 0, SC_OPT_CHOICE, "f32|f16|bf16|q8_0", "type of the cached keys and values", .value = "f16"},
    {"no-limits", 0, SC_OPT_FLAG, .help = "do not measure what the machine can do"},
    {"json", 'j', SC_OPT_FLAG, .help = "as one JSON object"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle bench model.gguf", "A prompt of 512 tokens, then 64 one by one"},
    {"socle bench model.gguf --sequences 16 --context-fill 128", "Sixteen answers at once, behind short prompts"},
    {"socle bench ./model --synthetic --type q4_0 --prefill 128 --decode 32 --json",
     "Speed of a shape without its weights"},
    {0}};
const sc_verb sc_verb_bench = {
    .name = "bench",
    .summary = "Measure a model's speed on this machine",
    .args = "MODEL",
    .about = "Two limits are measured along with the model: how fast the threads read memory\n"
             "that no cache holds, and how many f32 operations they do in registers. A\n"
             "prompt's speed is given as a share of the second: two operations for each\n"
             "weight of a matrix and token, and those of attention; weights of few bits can\n"
             "pass 100%, since integer units are faster. The speed of generation is given as\n"
             "a share of the first: the weights (of an embedding table that is not the\n"
             "output matrix only one row a token) and the cached keys and values, each read\n"
             "once a step. The limits are measured before and after each repetition, and a\n"
             "repetition's share is of the mean of the two: they can change meanwhile.",
    .min_args = 1,
    .max_args = 1,
    .options = options,
    .examples = examples,
    .run = bench_verb};
