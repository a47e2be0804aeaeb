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
    sc_cmd *cmd;
    bool quiet, terminal;
    double peak, last; /* f32 operations a second that this machine can do; when the last line was drawn */
    int ranks;
    double communication, transfer; /* of the last step's event */
} view;

static void duration(char text[32], double seconds)
{
    long long s = (long long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, 32, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(text, 32, "%lldm%02llds", s / 60, s % 60);
}

/* One line that is drawn over at a terminal; elsewhere a line at a time, and seldom. What was measured is left standing. */
static void report(void *user, const sc_train_event *e)
{
    view *v = user;
    char left[32], line[256], eval[64] = "", share[32] = "";
    bool stays = e->step == e->steps || e->eval_loss >= 0;
    v->ranks = e->ranks;
    v->communication = e->communication;
    v->transfer = e->transfer;
    if (v->quiet || (!stays && e->seconds - v->last < (v->terminal ? 0.2 : 10))) return;
    v->last = e->seconds;
    duration(left, e->left);
    if (v->peak > 0) snprintf(share, sizeof share, "  %.0f%% of the peak", 100 * e->flops / (v->peak * e->ranks));
    if (e->eval_loss >= 0) snprintf(eval, sizeof eval, "  eval %.4f", e->eval_loss);
    snprintf(line, sizeof line, "step %lld/%lld  loss %.4f%s  %.0f tokens/s%s  %s left", (long long)e->step,
             (long long)e->steps, e->loss, eval, e->tokens_per_second, share, left);
    sc_cmd_status(v->cmd, line, stays);
}

/* The values of options that may be given several times. */
typedef struct lists {
    const char **of[5];
    int n;
} lists;

static bool gather(sc_cmd *c, lists *l, const char *name, const char *const **out, int *n)
{
    const char **list = calloc((size_t)sc_cmd_count(c, name) + 1, sizeof *list);
    l->of[l->n++] = list;
    *n = sc_cmd_count(c, name);
    for (int i = 0; list && i < *n; i++) list[i] = sc_cmd_list(c, name, i);
    *out = list;
    return list != NULL;
}

/* As it can be typed again. */
static bool whole_command(sc_cmd *c, lists *l, sc_train_options *o)
{
    int n;
    const char *const *words = sc_cmd_words(c, &n);
    const char **all = calloc((size_t)n + 1, sizeof *all);
    l->of[l->n++] = all;
    if (!all) return false;
    all[0] = "socle";
    memcpy(all + 1, words, (size_t)n * sizeof *all);
    o->args = all;
    o->n_args = n + 1;
    return true;
}

/* In sc_train_options 0 is what is usual, as for options that were not typed: a run that goes on has its own. A number
 * below 0 says none there; at the command line 0 does. */
static int64_t whole(sc_cmd *c, const char *name) { return sc_cmd_given(c, name) ? sc_cmd_int(c, name) : 0; }
static double number(sc_cmd *c, const char *name) { return sc_cmd_given(c, name) ? sc_cmd_num(c, name) : 0; }
static const char *word(sc_cmd *c, const char *name) { return sc_cmd_given(c, name) ? sc_cmd_str(c, name) : NULL; }
static double or_none(sc_cmd *c, const char *name)
{
    double x = number(c, name);
    return sc_cmd_given(c, name) && x == 0 ? -1 : x;
}

static sc_train_options options_of(sc_cmd *c)
{
    const char *config = sc_cmd_str(c, "config"), *model = sc_cmd_str(c, "model");
    return (sc_train_options){
        .model = config ? config : model,
        .from_weights = model != NULL,
        .objective = word(c, "objective"),
        .tokenizer = sc_cmd_str(c, "tokenizer"),
        .alphabet = word(c, "alphabet"),
        .pack = sc_cmd_flag(c, "pack"),
        .whole_words = sc_cmd_flag(c, "whole-words"),
        .keep_order = sc_cmd_flag(c, "keep-order"),
        .mask_share = number(c, "mask-share"),
        .mean_span = number(c, "mean-span"),
        .smoothing = number(c, "label-smoothing"),
        .scale = number(c, "scale"),
        .pooling = word(c, "pooling"),
        .out = sc_cmd_str(c, "out"),
        .resume = sc_cmd_flag(c, "resume"),
        .steps = whole(c, "steps"),
        .epochs = number(c, "epochs"),
        .batch = whole(c, "batch"),
        .length = whole(c, "length"),
        .accumulate = whole(c, "accumulate"),
        .optimizer = word(c, "optimizer"),
        .schedule = word(c, "schedule"),
        .lr = number(c, "lr"),
        .rest_lr = number(c, "rest-lr"),
        .muon_scale = word(c, "muon-scale"),
        .beta1 = number(c, "beta1"),
        .beta2 = number(c, "beta2"),
        .weight_decay = or_none(c, "weight-decay"),
        .decayed = word(c, "decay"),
        .warmup = or_none(c, "warmup"),
        .clip = or_none(c, "clip"),
        .ema = number(c, "ema"),
        .ema_model = sc_cmd_flag(c, "ema-model"),
        .precision = word(c, "precision"),
        .recompute = sc_cmd_flag(c, "recompute"),
        .seed = (uint64_t)whole(c, "seed"),
        .in_order = sc_cmd_flag(c, "in-order"),
        .save_every = whole(c, "save-every"),
        .keep = whole(c, "keep"),
        .eval_every = whole(c, "eval-every"),
        .log_every = whole(c, "log-every"),
        .sample_every = whole(c, "sample-every"),
        .sample_tokens = whole(c, "sample-tokens"),
        .on_spike = word(c, "on-spike"),
        .spike_factor = number(c, "spike-factor"),
        .spike_window = whole(c, "spike-window"),
        .spike_limit = whole(c, "spike-limit"),
    };
}

/* What is needed for a new run; one that goes on knows it. */
static const char *missing(sc_cmd *c)
{
    const char *config = sc_cmd_str(c, "config"), *model = sc_cmd_str(c, "model");
    bool resume = sc_cmd_flag(c, "resume");
    if (!sc_cmd_str(c, "out")) return "--out is needed";
    if ((config && model) || (!resume && !config && !model))
        return "one of --config (a new model) and --model (to train on) is needed";
    if (resume) return NULL;
    if (config && sc_cmd_given(c, "tokenizer") == sc_cmd_given(c, "alphabet"))
        return "--config needs one of --tokenizer and --alphabet";
    if (model && sc_cmd_given(c, "alphabet")) return "--alphabet is for a new model (--config)";
    return sc_cmd_count(c, "data") ? NULL : "--data is needed";
}

/* Where mpirun started several processes, the cores are divided. */
static void join_ranks(sc_cmd *c)
{
    if (!sc_cmd_int(c, "threads")) c->threads = sc_train_share_cores();
    sc_cmd_stop_on(SIGTERM);
    sc_cmd_stop_on(SIGUSR1); /* which mpirun passes on */
}

static void say_communication(const view *v)
{
    if (v->ranks > 1)
        sc_cmd_note(
            v->cmd,
            "%d ranks: %.1f%% of the steps' time waiting for each other; for %.1f%% something was on its way",
            v->ranks, 100 * v->communication, 100 * v->transfer);
}

static int train(sc_cmd *c)
{
    const char *lacks = missing(c);
    if (lacks) return sc_cmd_usage(c, "%s", lacks);
    join_ranks(c);
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    view v = {
        .cmd = c, .quiet = sc_cmd_flag(c, "quiet") || sc_train_rank() > 0, .terminal = isatty(STDERR_FILENO) != 0};
    sc_train_options o = options_of(c);
    lists l = {0};
    sc_limits limits;
    if (!gather(c, &l, "data", &o.data, &o.n_data) || !gather(c, &l, "eval-data", &o.eval_data, &o.n_eval_data) ||
        !gather(c, &l, "group", &o.groups, &o.n_groups) || !gather(c, &l, "prompt", &o.prompts, &o.n_prompts))
        return sc_cmd_error(c, "out of memory");
    if (!whole_command(c, &l, &o)) return sc_cmd_error(c, "out of memory");
    sc_status s = SC_OK;
    if (sc_train_rank() == 0) s = sc_measure_limits(ctx, 0, &limits);
    if (!s && sc_train_rank() == 0) o.peak_flops = v.peak = limits.peak_gflops * 1e9;
    if (!s) s = sc_train(ctx, &o, report, &v);
    if (!s || s == SC_ECANCELLED) say_communication(&v);
    for (int i = 0; i < l.n; i++) free(l.of[i]);
    return s ? sc_cmd_fail(c) : 0;
}

static const sc_option options[] = {
    {"config", 0, SC_OPT_FILE, "CONFIG.json", "configuration of a new model, or a folder with one"},
    {"model", 'm', SC_OPT_DIR, "DIR", "go on training this model instead"},
    {"objective", 0, SC_OPT_CHOICE, "causal|mlm|seq2seq|span|denoise|contrastive|classify|regress",
     "what it learns (what is usual for the kind of model)"},
    {"tokenizer", 0, SC_OPT_FILE, "DIR", "folder or file of the tokenizer (that of --model)"},
    {"alphabet", 0, SC_OPT_STR, "NAME", "instead: chars, bytes, words, protein, dna, chess, or a file of symbols"},
    {"data", 'd', SC_OPT_FILE, "FILE",
     "text, .jsonl, .json, .tsv or FASTA to train on, or a folder of shards (socle data run)", .many = true},
    {"eval-data", 0, SC_OPT_FILE, "FILE", "the same to measure the loss on, and not to train on", .many = true},
    {"out", 'o', SC_OPT_DIR, "DIR", "the run's folder: a model directory with checkpoints, report.html and more"},
    {"resume", 'r', SC_OPT_FLAG, .help = "go on with the run in --out, whose options need not be given again"},
    {"steps", 'n', SC_OPT_INT, "N", "optimiser steps; 0: as many as --epochs need", .value = "0", .lo = 0,
     .hi = 1e12},
    {"epochs", 0, SC_OPT_NUM, "N", "times through the data", .value = "1", .lo = 1e-6, .hi = 1e6},
    {"batch", 'b', SC_OPT_INT, "N", "sequences of a batch", .value = "8", .lo = 1, .hi = 65536},
    {"length", 'l', SC_OPT_INT, "N", "tokens of a sequence; 0: the model's context, at most 512", .value = "0",
     .lo = 0, .hi = 1 << 20},
    {"accumulate", 0, SC_OPT_INT, "N", "batches of a step", .value = "1", .lo = 1, .hi = 1e6},
    {"optimizer", 0, SC_OPT_CHOICE, "adamw|adam|sgd|lion|adafactor|muon", "how gradients change weights",
     .value = "adamw"},
    {"schedule", 0, SC_OPT_CHOICE, "cosine|linear|constant|inverse_sqrt|wsd|noam", "of the learning rate",
     .value = "cosine"},
    {"lr", 0, SC_OPT_NUM, "RATE",
     "the highest learning rate; 0: 1e-3 for adamw, adam and sgd, 1e-4 for lion, 0.01 for adafactor, 0.02 for muon",
     .value = "0", .lo = 0, .hi = 100},
    {"rest-lr", 0, SC_OPT_NUM, "RATE", "with muon, of tables, heads and vectors, which AdamW changes",
     .value = "0.001", .lo = 1e-12, .hi = 100},
    {"muon-scale", 0, SC_OPT_CHOICE, "original|match_rms_adamw|spectral_unclamped",
     "how muon's rate depends on a matrix's shape; match_rms_adamw takes AdamW's rates", .value = "original"},
    {"beta1", 0, SC_OPT_NUM, "B", "decay of the first moment; 0: the optimiser's own", .value = "0", .lo = 0,
     .hi = 1},
    {"beta2", 0, SC_OPT_NUM, "B", "decay of the second moment; 0: the optimiser's own", .value = "0", .lo = 0,
     .hi = 1},
    {"weight-decay", 0, SC_OPT_NUM, "W", "of what --decay says", .value = "0.1", .lo = 0, .hi = 10},
    {"decay", 0, SC_OPT_CHOICE, "matrices|hidden|all", "what decays; hidden: no tables of tokens and no head",
     .value = "matrices"},
    {"group", 0, SC_OPT_STR, "PATTERN:lr=RATE,decay=W",
     "other settings of the parameters whose names fit, such as '*.bias:decay=0'; the last that fits counts",
     .many = true},
    {"ema", 0, SC_OPT_NUM, "SHARE", "keep averages of the weights, of which a step leaves so much (0.999); 0: none",
     .value = "0", .lo = 0, .hi = 0.999999999},
    {"ema-model", 0, SC_OPT_FLAG, .help = "the run's model has the averages for weights"},
    {"warmup", 0, SC_OPT_NUM, "SHARE", "of all steps, in which the rate rises", .value = "0.02", .lo = 0, .hi = 1},
    {"clip", 0, SC_OPT_NUM, "NORM", "of the gradients, at most; 0: any", .value = "1", .lo = 0, .hi = 1e9},
    {"precision", 0, SC_OPT_CHOICE, "f32|bf16",
     "bf16: round what is multiplied, where the machine multiplies that; sums and weights stay f32",
     .value = "f32"},
    {"recompute", 0, SC_OPT_FLAG,
     .help = "keep less for the backward pass and compute it again: less memory, more time, the same bits"},
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
    {"prompt", 'p', SC_OPT_STR, "TEXT", "a text to continue along the way, for the report", .many = true},
    {"sample-every", 0, SC_OPT_INT, "N", "steps between samples; 0: with each checkpoint", .value = "0", .lo = 0,
     .hi = 1e12},
    {"sample-tokens", 0, SC_OPT_INT, "N", "tokens of a sample, at most", .value = "64", .lo = 1, .hi = 1e6},
    {"on-spike", 0, SC_OPT_CHOICE, "warn|skip|rollback",
     "when the loss leaps: say so; leave the batch out; or go back to the last checkpoint and leave out all since",
     .value = "warn"},
    {"spike-factor", 0, SC_OPT_NUM, "X", "deviations above the median that make a spike", .value = "8", .lo = 0.1,
     .hi = 1e9},
    {"spike-window", 0, SC_OPT_INT, "N", "steps before it that the median is of", .value = "128", .lo = 4,
     .hi = 1 << 20},
    {"spike-limit", 0, SC_OPT_INT, "N", "spikes to leave out before giving up", .value = "10", .lo = 1, .hi = 1e6},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle train --config config.json --tokenizer ./gpt2 --data book.txt --out run --steps 1000",
     "A new model from a text"},
    {"socle train --resume --out run", "Go on where it was stopped"},
    {"socle train --config config.json --tokenizer ./gpt2 --data book.txt --out run --prompt \"Once\" --ema 0.999",
     "With samples along the way and averages of the weights"},
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
