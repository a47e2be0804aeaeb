/* SPDX-License-Identifier: Apache-2.0 */
/* What a step of training costs: tokens a second, share of the machine's peak, memory, and which operations take the time.
 *
 *     train CONFIG.json [--batch B] [--length T] [--steps N] [--threads T] [--precision f32|bf16] [--recompute]
 *         [--lora RANK] [--profile] [--turns] [--json]
 *
 * A new model of random weights learns from random ids: what its values are changes nothing. --lora: new adapters of all
 * linear layers learn; then CONFIG.json may be a GGUF file instead, whose weights stay as they are stored. --profile adds the time of
 * each kind of step, summed over threads. --turns: says "ready" when it is, and makes each step after a line on stdin. bench/train_peers.py sets it beside PyTorch. */
#include "socle/bench.h"
#include "train/objective.h"
#include "train/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct options {
    const char *config;
    long long batch, length, steps, threads, rank;
    bool profile, json, recompute, bf16, turns;
} options;

typedef struct bench {
    options o;
    sc_context *ctx;
    sc_model *model;
    sc_learner *learner;
    sc_optimizer *optimizer;
    const sc_trained *trained;
    int64_t n, parameters, *count;
    int32_t *ids, *labels, *start;
    float *weight;
    double *spent, *seconds; /* of each step of the plan; of each step of training */
    double in_optimizer, loss, memory;
} bench;

static void want(sc_status s, const char *what)
{
    if (!s) return;
    fprintf(stderr, "train: %s: %s\n", what, sc_error());
    exit(1);
}

static void *room(int64_t n, size_t size)
{
    void *p = calloc((size_t)SC_MAX(n, 1), size);
    if (!p) want(sc_nomem(), "memory");
    return p;
}

/* Peak of this process's memory, in bytes; 0 where the system does not tell. */
static double peak_memory(void)
{
    char line[256];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "VmHWM:", 6) == 0) kib = strtod(line + 6, NULL);
    if (f) fclose(f);
    return kib * 1024;
}

static void open_all(bench *b)
{
    const options *o = &b->o;
    bool file = o->rank && sc_path_has_suffix(o->config, ".gguf");
    sc_model_options fresh = {.weights = file ? SC_WEIGHTS_FILE : SC_WEIGHTS_FRESH, .seed = 1};
    sc_peft_options lora = {.method = "lora", .rank = o->rank};
    sc_model_info info;
    want(sc_model_open(&b->model, b->ctx, o->config, &fresh), "model");
    sc_model_describe(b->model, &info);
    if (o->rank) want(sc_adapters_make(b->model, &lora, 1, NULL, 0), "adapters");
    want(sc_learner_new(&b->learner, b->model, &sc_objective_causal, NULL), "learner");
    sc_learner_compute(b->learner, o->bf16 ? SC_BF16 : SC_F32, o->recompute);
    b->trained = sc_learner_trained(b->learner, &b->n);
    b->count = room(b->n, sizeof *b->count);
    for (int64_t i = 0; i < b->n; i++) b->parameters += b->count[i] = b->trained[i].rows * b->trained[i].cols;
    sc_optimizer_options adamw = sc_optimizer_defaults(SC_ADAMW);
    adamw.lr = 1e-4;
    adamw.weight_decay = 0.1;
    want(sc_optimizer_new(&b->optimizer, &adamw, b->trained, b->n), "optimizer");
    int64_t tokens = o->batch * o->length;
    b->ids = room(tokens, sizeof *b->ids);
    b->labels = room(tokens, sizeof *b->labels);
    b->weight = room(tokens, sizeof *b->weight);
    b->start = room(o->batch + 1, sizeof *b->start);
    b->seconds = room(o->steps, sizeof *b->seconds);
    sc_rng r = sc_rng_make(3, 4);
    for (int64_t i = 0; i < tokens; i++) {
        b->ids[i] = (int32_t)(sc_rng_uniform(&r) * (double)info.vocab);
        b->labels[i] = (int32_t)(sc_rng_uniform(&r) * (double)info.vocab);
        b->weight[i] = 1 / (float)tokens;
    }
    for (int64_t i = 0; i <= o->batch; i++) b->start[i] = (int32_t)(i * o->length);
}

static void step(bench *b)
{
    int64_t tokens = b->o.batch * b->o.length;
    sc_text_batch batch = {.tokens = tokens,
                           .sequences = b->o.batch,
                           .ids = b->ids,
                           .start = b->start,
                           .rows = tokens,
                           .labels = b->labels,
                           .weight = b->weight,
                           .counted = tokens};
    sc_learner_clear(b->learner);
    want(sc_learner_add(b->learner, &batch, 1, &b->loss), "step");
    double begun = sc_now();
    double norm = sc_gradient_norm(b->ctx, sc_learner_gradients(b->learner), b->count, b->n);
    sc_optimizer_step(b->optimizer, b->ctx, sc_learner_gradients(b->learner), sc_clip_factor(norm, 1), 1);
    b->in_optimizer += sc_now() - begun;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* ---- the profile: steps of one operation and shape together ---- */

typedef struct kind {
    char name[96];
    double seconds, flops;
    int steps;
} kind;

static int by_seconds(const void *a, const void *b)
{
    const kind *x = a, *y = b;
    return x->seconds < y->seconds ? 1 : x->seconds > y->seconds ? -1 : strcmp(x->name, y->name);
}

static void name_of(const sc_step *s, char out[96])
{
    char shape[2][SC_SHAPE_TEXT];
    sc_shape_text(&s->out->shape, shape[0]);
    shape[1][0] = 0;
    if (s->op == &sc_op_linear)
        snprintf(shape[1], sizeof shape[1], " over %lld", (long long)s->in[1]->shape.dim[1]);
    snprintf(out, 96, "%.24s %.40s%.28s", s->op->name, shape[0], shape[1]);
}

static void print_profile(const bench *b)
{
    const sc_plan *p = sc_learner_plan(b->learner);
    int n = 0, threads = sc_context_threads(b->ctx);
    kind *all = room(p->n_steps, sizeof *all);
    double total = 0, runs = (double)b->o.steps;
    for (int i = 0; i < p->n_steps; i++) {
        char name[96];
        int k = 0;
        name_of(&p->step[i], name);
        while (k < n && strcmp(all[k].name, name) != 0) k++;
        if (k == n) snprintf(all[n++].name, sizeof all->name, "%s", name);
        all[k].steps++;
        all[k].flops += p->step[i].op->cost(&p->step[i]).flops;
        for (int t = 0; t < threads; t++) all[k].seconds += b->spent[(int64_t)t * p->n_steps + i] / runs;
    }
    for (int k = 0; k < n; k++) total += all[k].seconds;
    qsort(all, (size_t)n, sizeof *all, by_seconds);
    printf("%-64s %5s %10s %7s %10s\n", "step", "times", "ms", "share", "GFLOP/s");
    for (int k = 0; k < n && all[k].seconds > 0.0005 * total; k++)
        printf("%-64s %5d %10.2f %6.1f%% %10.1f\n", all[k].name, all[k].steps, 1e3 * all[k].seconds,
               100 * all[k].seconds / total, all[k].flops / all[k].seconds * 1e-9);
    printf("all threads together: %.1f ms in the plan; the optimiser takes %.1f ms\n", 1e3 * total,
           1e3 * b->in_optimizer / runs);
    free(all);
}

/* ---- the report ---- */

static void report(bench *b, const sc_limits *before, const sc_limits *after)
{
    const options *o = &b->o;
    sc_work work;
    /* With one token in each sequence logits are counted for all; what attention takes for one key more, by difference.
     * Of a model of N weights in matrices that gives 2 N a token and half of a square of attention; gradients are twice that. */
    double tokens = (double)(o->batch * o->length), alone;
    want(sc_model_work(b->model, 1, 1, 0, SC_F32, &work), "work");
    alone = work.flops;
    want(sc_model_work(b->model, 1, 1, 1, SC_F32, &work), "work");
    double flops = 3 * tokens * (alone + (work.flops - alone) * (double)(o->length - 1) / 2);
    qsort(b->seconds, (size_t)o->steps, sizeof *b->seconds, ascending);
    double seconds = (b->seconds[o->steps / 2] + b->seconds[(o->steps - 1) / 2]) / 2;
    double peak = SC_MAX(before->peak_gflops, after->peak_gflops), gflops = flops / seconds * 1e-9;
    double arena = (double)sc_learner_arena_bytes(b->learner);
    if (o->json) {
        printf("{\"config\": \"%s\", \"parameters\": %lld, \"tokens\": %.0f, \"threads\": %d, \"steps\": %lld, "
               "\"seconds\": %.6f, \"tokens_per_second\": %.2f, \"gflops\": %.2f, \"peak_gflops\": %.2f, "
               "\"flops\": %.6g, \"peak_share\": %.4f, \"peak_memory_bytes\": %.0f, \"arena_bytes\": %.0f, "
               "\"optimizer_seconds\": %.6f, \"loss\": %.9g}\n",
               o->config, (long long)b->parameters, tokens, before->threads, o->steps, seconds, tokens / seconds,
               gflops, peak, flops, gflops / peak, b->memory, arena, b->in_optimizer / (double)o->steps, b->loss);
        return;
    }
    printf("%.1f million parameters, %.0f tokens a step, %d threads\n", 1e-6 * (double)b->parameters, tokens,
           before->threads);
    printf("%-28s %12s\n", "question", "answer");
    printf("%-28s %12.1f\n", "tokens a second", tokens / seconds);
    printf("%-28s %12.3f\n", "seconds a step", seconds);
    printf("%-28s %12.3f\n", "of these in the optimiser", b->in_optimizer / (double)o->steps);
    printf("%-28s %12.1f\n", "GFLOP/s", gflops);
    printf("%-28s %11.1f%%\n", "share of the f32 peak", 100 * gflops / peak);
    printf("%-28s %12.0f\n", "peak memory, MB", 1e-6 * b->memory);
    printf("%-28s %12.0f\n", "of these intermediate values", 1e-6 * arena);
    printf("%-28s %12.6f\n", "loss of the last step", b->loss);
}

static bool take(options *o, int argc, char **argv)
{
    *o = (options){.batch = 4, .length = 256, .steps = 4};
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i];
        long long *number = strcmp(a, "--batch") == 0     ? &o->batch
                            : strcmp(a, "--length") == 0  ? &o->length
                            : strcmp(a, "--steps") == 0   ? &o->steps
                            : strcmp(a, "--threads") == 0 ? &o->threads
                            : strcmp(a, "--lora") == 0    ? &o->rank
                                                          : NULL;
        if (number && i + 1 < argc)
            *number = atoll(argv[++i]);
        else if (strcmp(a, "--profile") == 0)
            o->profile = true;
        else if (strcmp(a, "--recompute") == 0)
            o->recompute = true;
        else if (strcmp(a, "--precision") == 0 && i + 1 < argc &&
                 (!strcmp(argv[i + 1], "bf16") || !strcmp(argv[i + 1], "f32")))
            o->bf16 = strcmp(argv[++i], "bf16") == 0;
        else if (strcmp(a, "--turns") == 0)
            o->turns = true;
        else if (strcmp(a, "--json") == 0)
            o->json = true;
        else if (a[0] != '-' && !o->config)
            o->config = a;
        else
            return false;
    }
    return o->config && o->batch > 0 && o->batch <= 65536 && o->length > 0 && o->length <= 1 << 20 &&
           o->steps > 0 && o->steps <= 100000 && o->threads >= 0 && o->threads <= 1024;
}

/* A line for whoever says when. */
static void say(bool turns, const char *text)
{
    if (!turns) return;
    puts(text);
    fflush(stdout);
}

static bool next_line(void)
{
    int c;
    do c = getchar();
    while (c != EOF && c != '\n');
    return c != EOF;
}

int main(int argc, char **argv)
{
    bench b = {0};
    sc_limits before, after;
    char text[32];
    if (!take(&b.o, argc, argv)) {
        fprintf(stderr, "usage: train CONFIG.json [--batch B] [--length T] [--steps N] [--threads T] "
                        "[--precision f32|bf16] [--recompute] [--profile] [--turns] [--json]\n");
        return 2;
    }
    want(sc_context_new(&b.ctx, &(sc_context_options){.threads = (int)b.o.threads}), "context");
    want(sc_measure_limits(b.ctx, 0, &before),
         "limits"); /* before the peak of memory, in which they are not to count */
    open_all(&b);
    step(&b); /* makes the plan and touches all memory */
    b.in_optimizer = 0;
    if (b.o.profile) {
        sc_plan *p = sc_learner_plan(b.learner);
        p->spent = b.spent = room((int64_t)p->n_steps * sc_context_threads(b.ctx), sizeof *b.spent);
    }
    say(b.o.turns, "ready");
    for (int64_t i = 0; i < b.o.steps; i++) {
        if (b.o.turns && !next_line()) break;
        double begun = sc_now();
        step(&b);
        b.seconds[i] = sc_now() - begun;
        snprintf(text, sizeof text, "%.6f", b.seconds[i]);
        say(b.o.turns, text);
    }
    b.memory = peak_memory();
    want(sc_measure_limits(b.ctx, 0, &after), "limits");
    report(&b, &before, &after);
    if (b.o.profile) print_profile(&b);
    sc_optimizer_free(b.optimizer);
    sc_learner_free(b.learner);
    sc_model_free(b.model);
    sc_context_free(b.ctx);
    free(b.count);
    free(b.ids);
    free(b.labels);
    free(b.weight);
    free(b.start);
    free(b.seconds);
    free(b.spent);
    return 0;
}
