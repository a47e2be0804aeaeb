/* SPDX-License-Identifier: Apache-2.0 */
/* `socle train`: a model from a configuration and text. */
#include "socle/train.h"
#include "cmd/cmd.h"
#include "socle/bench.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILES = 4096 };

typedef struct view {
    bool quiet, terminal;
    double peak, last; /* f32 operations a second that this machine can do; when the last line was drawn */
    sc_train_event event;
} view;

static void duration(char text[32], double seconds)
{
    long long s = (long long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, 32, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(text, 32, "%lldm%02llds", s / 60, s % 60);
}

/* One line that is drawn over at a terminal; elsewhere a line at a time, and seldom. */
static void report(void *user, const sc_train_event *e)
{
    view *v = user;
    char left[32], eval[48] = "";
    bool end = e->step == e->steps || e->eval_loss >= 0;
    v->event = *e;
    if (v->quiet || (!end && e->seconds - v->last < (v->terminal ? 0.2 : 10))) return;
    v->last = e->seconds;
    duration(left, e->left);
    if (e->eval_loss >= 0) snprintf(eval, sizeof eval, "  eval %.4f", e->eval_loss);
    fprintf(stderr, "%sstep %lld/%lld  loss %.4f%s  %.0f tokens/s  %.0f%% of the peak  %s left%s",
            v->terminal ? "\r" : "", (long long)e->step, (long long)e->steps, e->loss, eval, e->tokens_per_second,
            v->peak > 0 ? 100 * e->flops / (v->peak * e->ranks) : 0, left, v->terminal ? "\033[K" : "\n");
    if (v->terminal && end) fputc('\n', stderr);
    fflush(stderr);
}

static sc_status gather(sc_cmd *c, const char *name, const char ***out, int *n)
{
    *n = sc_cmd_count(c, name);
    *out = calloc((size_t)*n + 1, sizeof **out);
    for (int i = 0; *out && i < *n; i++) (*out)[i] = sc_cmd_list(c, name, i);
    return *out ? SC_OK : SC_ENOMEM;
}

/* In sc_train_options 0 is the default and a negative number says none; at the command line 0 says none. */
static double none_if_0(double x) { return x == 0 ? -1 : x; }

/* Where mpirun started several processes: the cores are divided, its signals for them mean the same as Ctrl-C, and the first
 * says everything. */
static void join_ranks(sc_cmd *c, view *v)
{
    if (!sc_cmd_int(c, "threads")) c->threads = sc_train_share_cores();
    sc_cmd_stop_on(SIGTERM);
    sc_cmd_stop_on(SIGUSR1);
    if (sc_train_rank() > 0) v->quiet = true;
}

static void say_communication(const sc_cmd *c, const view *v)
{
    const sc_train_event *e = &v->event;
    if (e->ranks < 2 || v->quiet) return;
    sc_cmd_note(c,
                "%d ranks: %.1f%% of the time waiting for each other; %.1f%% with something under way, the rest of "
                "which ran beside the computing",
                e->ranks, 100 * e->communication, 100 * e->transfer);
}

static int train(sc_cmd *c)
{
    view v = {.quiet = sc_cmd_flag(c, "quiet"), .terminal = isatty(STDERR_FILENO) != 0};
    join_ranks(c, &v);
    sc_context *ctx = sc_cmd_context(c);
    const char **data = NULL, **eval = NULL;
    if (!ctx) return sc_cmd_fail(c);
    const char *config = sc_cmd_str(c, "config"), *model = sc_cmd_str(c, "model");
    if (!config == !model)
        return sc_cmd_usage(c, "one of --config (a new model) and --model (to train on) is needed");
    if (!sc_cmd_str(c, "out")) return sc_cmd_usage(c, "--out is needed");
    if (config && !sc_cmd_str(c, "tokenizer")) return sc_cmd_usage(c, "--config needs --tokenizer");
    sc_train_options o = {
        .model = config ? config : model,
        .from_weights = model != NULL,
        .tokenizer = sc_cmd_str(c, "tokenizer"),
        .out = sc_cmd_str(c, "out"),
        .resume = sc_cmd_flag(c, "resume"),
        .steps = sc_cmd_int(c, "steps"),
        .epochs = sc_cmd_num(c, "epochs"),
        .batch = sc_cmd_int(c, "batch"),
        .length = sc_cmd_int(c, "length"),
        .accumulate = sc_cmd_int(c, "accumulate"),
        .optimizer = sc_cmd_str(c, "optimizer"),
        .schedule = sc_cmd_str(c, "schedule"),
        .lr = sc_cmd_num(c, "lr"),
        .beta2 = sc_cmd_num(c, "beta2"),
        .weight_decay = none_if_0(sc_cmd_num(c, "weight-decay")),
        .warmup = none_if_0(sc_cmd_num(c, "warmup")),
        .clip = none_if_0(sc_cmd_num(c, "clip")),
        .seed = (uint64_t)sc_cmd_int(c, "seed"),
        .save_every = sc_cmd_int(c, "save-every"),
        .keep = sc_cmd_int(c, "keep"),
        .eval_every = sc_cmd_int(c, "eval-every"),
        .log_every = sc_cmd_int(c, "log-every"),
    };
    sc_limits limits;
    sc_status s = gather(c, "data", &data, &o.n_data);
    if (!s) s = gather(c, "eval-data", &eval, &o.n_eval_data);
    o.data = data;
    o.eval_data = eval;
    if (!s && !v.quiet && !(s = sc_measure_limits(ctx, 0, &limits))) v.peak = limits.peak_gflops * 1e9;
    if (!s) s = sc_train(ctx, &o, report, &v);
    if (s && v.terminal && v.last > 0) fputc('\n', stderr);
    if (!s || s == SC_ECANCELLED) say_communication(c, &v);
    free(data);
    free(eval);
    return s ? sc_cmd_fail(c) : 0;
}

static const sc_option options[] = {
    {"config", 0, SC_OPT_FILE, "CONFIG.json", "configuration of a new model, or a folder with one"},
    {"model", 'm', SC_OPT_DIR, "DIR", "go on training this model instead"},
    {"tokenizer", 0, SC_OPT_FILE, "DIR", "folder or file of the tokenizer (that of --model)"},
    {"data", 'd', SC_OPT_FILE, "FILE", "text to train on, or .jsonl with \"text\" in each line", .many = true},
    {"eval-data", 0, SC_OPT_FILE, "FILE", "text to measure the loss on, and not to train on", .many = true},
    {"out", 'o', SC_OPT_DIR, "DIR", "the run's folder: a model directory with checkpoints and metrics.jsonl"},
    {"resume", 'r', SC_OPT_FLAG, .help = "go on from the last checkpoint in --out"},
    {"steps", 'n', SC_OPT_INT, "N", "optimiser steps; 0: as many as --epochs need", .value = "0", .lo = 0,
     .hi = 1e12},
    {"epochs", 0, SC_OPT_NUM, "N", "times through the data", .value = "1", .lo = 1e-6, .hi = 1e6},
    {"batch", 'b', SC_OPT_INT, "N", "sequences of a batch", .value = "8", .lo = 1, .hi = 65536},
    {"length", 'l', SC_OPT_INT, "N", "tokens of a sequence; 0: the model's context, at most 512", .value = "0",
     .lo = 0, .hi = 1 << 20},
    {"accumulate", 0, SC_OPT_INT, "N", "batches of a step", .value = "1", .lo = 1, .hi = 1e6},
    {"optimizer", 0, SC_OPT_CHOICE, "adamw|adam|sgd|lion|adafactor", "how gradients change weights",
     .value = "adamw"},
    {"schedule", 0, SC_OPT_CHOICE, "cosine|linear|constant|inverse_sqrt|wsd", "of the learning rate",
     .value = "cosine"},
    {"lr", 0, SC_OPT_NUM, "RATE", "the highest learning rate; 0: 1e-3 for adamw", .value = "0", .lo = 0, .hi = 100},
    {"beta2", 0, SC_OPT_NUM, "B", "decay of the second moment; 0: the optimiser's own", .value = "0", .lo = 0,
     .hi = 1},
    {"weight-decay", 0, SC_OPT_NUM, "W", "of matrices", .value = "0.1", .lo = 0, .hi = 10},
    {"warmup", 0, SC_OPT_NUM, "SHARE", "of all steps, in which the rate rises", .value = "0.02", .lo = 0, .hi = 1},
    {"clip", 0, SC_OPT_NUM, "NORM", "of the gradients, at most; 0: any", .value = "1", .lo = 0, .hi = 1e9},
    {"seed", 's', SC_OPT_INT, "N", "of the first weights and of the order of the data", .value = "0", .lo = 0,
     .hi = 1e15},
    {"save-every", 0, SC_OPT_INT, "N", "steps between checkpoints", .value = "500", .lo = 1, .hi = 1e12},
    {"keep", 0, SC_OPT_INT, "N", "checkpoints to keep", .value = "2", .lo = 1, .hi = 1e6},
    {"eval-every", 0, SC_OPT_INT, "N", "steps between evaluations; 0: with each checkpoint", .value = "0", .lo = 0,
     .hi = 1e12},
    {"log-every", 0, SC_OPT_INT, "N", "steps between lines of metrics.jsonl", .value = "10", .lo = 1, .hi = 1e12},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle train --config config.json --tokenizer ./gpt2 --data book.txt --out run --steps 1000",
     "A new model from a text"},
    {"socle train --config config.json --tokenizer ./gpt2 --data book.txt --out run --steps 1000 --resume",
     "Go on where it was stopped"},
    {"socle run run --raw \"Once upon a time\"", "Use what it made"},
    {0}};
const sc_verb sc_verb_train = {
    .name = "train",
    .summary = "Train a language model",
    .args = "",
    .about = "Trains a decoder to predict each next token of a text. The run's folder is a model\n"
             "directory as HuggingFace has them. Ctrl-C finishes the step and saves; a run that was\n"
             "stopped in any way goes on with --resume as if it had not been, to the same bits.",
    .options = options,
    .examples = examples,
    .run = train};
