/* SPDX-License-Identifier: Apache-2.0 */
/* `socle train`: a model from a configuration and text. */
#include "socle/train.h"
#include "cmd/cmd.h"
#include "socle/bench.h"

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
            v->peak > 0 ? 100 * e->flops / v->peak : 0, left, v->terminal ? "\033[K" : "\n");
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

static int train(sc_cmd *c)
{
    sc_context *ctx = sc_cmd_context(c);
    const char **data = NULL, **eval = NULL;
    view v = {.quiet = sc_cmd_flag(c, "quiet"), .terminal = isatty(STDERR_FILENO) != 0};
    if (!ctx) return sc_cmd_fail(c);
    const char *config = sc_cmd_str(c, "config"), *model = sc_cmd_str(c, "model");
    if (!config == !model)
        return sc_cmd_usage(c, "one of --config (a new model) and --model (to train on) is needed");
    if (!sc_cmd_str(c, "out")) return sc_cmd_usage(c, "--out is needed");
    const char *tokenizer = sc_cmd_str(c, "tokenizer"), *alphabet = sc_cmd_str(c, "alphabet");
    if (config && !tokenizer == !alphabet)
        return sc_cmd_usage(c, "--config needs one of --tokenizer and --alphabet");
    if (model && alphabet) return sc_cmd_usage(c, "--alphabet is for a new model (--config)");
    sc_train_options o = {
        .model = config ? config : model,
        .from_weights = model != NULL,
        .objective = sc_cmd_str(c, "objective"),
        .tokenizer = tokenizer,
        .alphabet = alphabet,
        .pack = sc_cmd_flag(c, "pack"),
        .whole_words = sc_cmd_flag(c, "whole-words"),
        .keep_order = sc_cmd_flag(c, "keep-order"),
        .mask_share = sc_cmd_num(c, "mask-share"),
        .mean_span = sc_cmd_num(c, "mean-span"),
        .smoothing = sc_cmd_num(c, "label-smoothing"),
        .scale = sc_cmd_num(c, "scale"),
        .pooling = sc_cmd_str(c, "pooling"),
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
        .in_order = sc_cmd_flag(c, "in-order"),
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
    free(data);
    free(eval);
    return s ? sc_cmd_fail(c) : 0;
}

static const sc_option options[] = {
    {"config", 0, SC_OPT_FILE, "CONFIG.json", "configuration of a new model, or a folder with one"},
    {"model", 'm', SC_OPT_DIR, "DIR", "go on training this model instead"},
    {"objective", 0, SC_OPT_CHOICE, "causal|mlm|seq2seq|span|denoise|contrastive|classify|regress",
     "what it learns (what is usual for the kind of model)"},
    {"tokenizer", 0, SC_OPT_FILE, "DIR", "folder or file of the tokenizer (that of --model)"},
    {"alphabet", 0, SC_OPT_STR, "NAME", "instead: chars, bytes, words, protein, dna, chess, or a file of symbols"},
    {"data", 'd', SC_OPT_FILE, "FILE", "text, .jsonl, .json, .tsv or FASTA to train on", .many = true},
    {"eval-data", 0, SC_OPT_FILE, "FILE", "the same to measure the loss on, and not to train on", .many = true},
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
    {"pack", 0, SC_OPT_FLAG, .help = "causal: documents do not see each other"},
    {"mask-share", 0, SC_OPT_NUM, "SHARE", "of tokens that are masked; 0: 0.15, denoise 0.3", .value = "0", .lo = 0,
     .hi = 0.9},
    {"whole-words", 0, SC_OPT_FLAG, .help = "mlm: mask all tokens of a word or none"},
    {"mean-span", 0, SC_OPT_NUM, "N", "span, denoise: tokens of a span; 0: 3", .value = "0", .lo = 0, .hi = 100},
    {"keep-order", 0, SC_OPT_FLAG, .help = "denoise: leave sentences where they are"},
    {"label-smoothing", 0, SC_OPT_NUM, "SHARE", "seq2seq: of each label, for all tokens alike", .value = "0",
     .lo = 0, .hi = 0.99},
    {"scale", 0, SC_OPT_NUM, "S", "contrastive: of cosines; 0: 20", .value = "0", .lo = 0, .hi = 1e4},
    {"pooling", 0, SC_OPT_STR, "KIND", "contrastive: mean, cls, last, max (mean; of decoders last)"},
    {"in-order", 0, SC_OPT_FLAG, .help = "take the data as it comes and do not shuffle it"},
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
    {"socle train --config config.json --alphabet protein --data uniref.fasta --out run",
     "Symbols in place of text"},
    {"socle train --model bert-base --objective classify --data reviews.tsv --out run",
     "A classifier from an encoder"},
    {"socle run run --raw \"Once upon a time\"", "Use what it made"},
    {0}};
const sc_verb sc_verb_train = {
    .name = "train",
    .summary = "Train a model on text, pairs or symbols",
    .args = "",
    .about =
        "Trains a decoder to predict each next token of a text, an encoder to tell masked words,\n"
        "an encoder-decoder to mend or to translate texts, or what --objective says. The run's\n"
        "folder is a model directory as HuggingFace has them. Ctrl-C finishes the step and saves; a run that was\n"
        "stopped in any way goes on with --resume as if it had not been, to the same bits.",
    .options = options,
    .examples = examples,
    .run = train};
