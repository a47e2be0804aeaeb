/* SPDX-License-Identifier: Apache-2.0 */
/* `socle bench`: how fast a model reads a prompt and writes an answer here. */
#include "cmd/cmd.h"
#include "socle/hub.h"
#include "socle/session.h"

#include <stdlib.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

typedef struct bench {
    sc_session *session;
    sc_model_info info;
    int32_t *ids;
    int64_t prefill, decode;
    int repeat;
    double *prefill_s, *decode_s;
} bench;

/* One repetition: the whole prompt, then token by token. The ids are any: speed does not depend on them. */
static sc_status once(bench *b, int i)
{
    const float *logits;
    sc_status s = sc_session_trim(b->session, 0, 0);
    double t0 = now();
    if (!s) s = sc_session_eval(b->session, 0, b->ids, b->prefill, &logits);
    double t1 = now();
    for (int64_t k = 0; !s && k < b->decode; k++)
        s = sc_session_eval(b->session, 0, b->ids + b->prefill + k, 1, &logits);
    if (i >= 0) {
        b->prefill_s[i] = t1 - t0;
        b->decode_s[i] = now() - t1;
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

static void report(sc_cmd *c, bench *b, double load)
{
    double p = median(b->prefill_s, b->repeat), d = median(b->decode_s, b->repeat);
    double prefill_tps = (double)b->prefill / p, decode_tps = b->decode ? (double)b->decode / d : 0;
    /* Decoding reads every weight once a token; a prompt costs two operations a weight and token. The embedding is looked
     * up and not multiplied, unless it is the output matrix too. */
    double gbs = (double)b->info.bytes * decode_tps / 1e9,
           gflops = 2 * (double)b->info.parameters * prefill_tps / 1e9;
    int threads = sc_context_threads(sc_cmd_context(c));
    if (sc_cmd_flag(c, "json"))
        printf("{\"model\": \"%s\", \"threads\": %d, \"prefill_tokens\": %lld, \"decode_tokens\": %lld, "
               "\"repeat\": %d, "
               "\"prefill_tps\": %.3f, \"decode_tps\": %.3f, \"prefill_gflops\": %.3f, \"decode_gbs\": %.3f, "
               "\"load_seconds\": %.4f, "
               "\"weight_bytes\": %lld, \"parameters\": %lld, \"cache_bytes\": %lld}\n",
               b->info.family, threads, (long long)b->prefill, (long long)b->decode, b->repeat, prefill_tps,
               decode_tps, gflops, gbs, load, (long long)b->info.bytes, (long long)b->info.parameters,
               (long long)sc_session_cache_bytes(b->session));
    else
        printf("prefill %8.1f tokens/s (%lld tokens, about %.1f GFLOP/s)\n"
               "decode  %8.1f tokens/s (%lld tokens, about %.1f GB/s of weights)\n"
               "%s, %lld parameters in %lld bytes, %d threads, median of %d; opened in %.3f s\n",
               prefill_tps, (long long)b->prefill, gflops, decode_tps, (long long)b->decode, gbs, b->info.family,
               (long long)b->info.parameters, (long long)b->info.bytes, threads, b->repeat, load);
}

static sc_status measure(sc_cmd *c, bench *b)
{
    int64_t n = b->prefill + b->decode;
    b->ids = malloc(sizeof *b->ids * (size_t)n);
    b->prefill_s = calloc((size_t)b->repeat, sizeof *b->prefill_s);
    b->decode_s = calloc((size_t)b->repeat, sizeof *b->decode_s);
    if (!b->ids || !b->prefill_s || !b->decode_s) return SC_ENOMEM;
    for (int64_t i = 0; i < n; i++) b->ids[i] = (int32_t)((i * 7919 + 13) % b->info.vocab);
    sc_status s = once(b, -1); /* brings the weights into memory and makes the plans */
    for (int i = 0; !s && i < b->repeat; i++) s = once(b, i);
    (void)c;
    return s;
}

static int bench_verb(sc_cmd *c)
{
    bench b = {.prefill = sc_cmd_int(c, "prefill"),
               .decode = sc_cmd_int(c, "decode"),
               .repeat = (int)sc_cmd_int(c, "repeat")};
    sc_model *m = NULL;
    char *path = NULL;
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    sc_model_options o = {.weights = sc_cmd_flag(c, "synthetic") ? SC_WEIGHTS_SYNTHETIC : SC_WEIGHTS_FILE,
                          .type = sc_dtype_named(sc_cmd_str(c, "type"))};
    sc_session_options so = {.context = b.prefill + b.decode, .cache = sc_dtype_named(sc_cmd_str(c, "cache-type"))};
    sc_status s = sc_hub_resolve(&path, sc_cmd_arg(c, 0));
    double t0 = now();
    if (!s) s = sc_model_open(&m, ctx, path, &o);
    double load = now() - t0;
    if (!s) {
        sc_model_describe(m, &b.info);
        s = sc_session_new(&b.session, m, &so);
    }
    if (!s) s = measure(c, &b);
    if (!s) {
        sc_cmd_clear_progress(c);
        report(c, &b, load);
    }
    int code = s ? sc_cmd_fail(c) : 0;
    sc_session_free(b.session);
    sc_model_free(m);
    sc_free(path);
    free(b.ids);
    free(b.prefill_s);
    free(b.decode_s);
    return code;
}

static const sc_option options[] = {
    {"prefill", 'p', SC_OPT_INT, "N", "tokens of the prompt", .value = "512", .lo = 1, .hi = 1e6},
    {"decode", 'd', SC_OPT_INT, "M", "tokens generated one by one after it", .value = "64", .lo = 0, .hi = 1e6},
    {"repeat", 'R', SC_OPT_INT, "R", "repetitions; the median counts", .value = "5", .lo = 1, .hi = 10000},
    {"synthetic", 0, SC_OPT_FLAG, .help = "random weights from config.json alone"},
    {"type", 0, SC_OPT_CHOICE, "f32|f16|bf16|q8_0|q4_0|q4_1|q5_0|q5_1|q4_k|q5_k|q6_k",
     "with --synthetic: type of the matrices", .value = "f32"},
    {"cache-type", 0, SC_OPT_CHOICE, "f32|f16|bf16|q8_0", "type of the cached keys and values", .value = "f16"},
    {"json", 'j', SC_OPT_FLAG, .help = "as one JSON object"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle bench model.gguf", "A prompt of 512 tokens, then 64 one by one"},
    {"socle bench ./model --synthetic --type q4_0 --prefill 128 --decode 32 --json",
     "Speed of a shape without its weights"},
    {0}};
const sc_verb sc_verb_bench = {.name = "bench",
                               .summary = "Measure a model's speed on this machine",
                               .args = "MODEL",
                               .min_args = 1,
                               .max_args = 1,
                               .options = options,
                               .examples = examples,
                               .run = bench_verb};
