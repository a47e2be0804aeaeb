/* SPDX-License-Identifier: Apache-2.0 */
/* `socle train`: a model from a configuration and text. */
#include "cmd/tune.h"

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

static int train(sc_cmd *c)
{
    sc_cmd_training t;
    const char *lacks = missing(c), *config = sc_cmd_str(c, "config"), *model = sc_cmd_str(c, "model");
    if (lacks) return sc_cmd_usage(c, "%s", lacks);
    int rc = sc_cmd_training_options(c, &t);
    if (rc) return rc;
    sc_train_options *o = &t.o;
    o->model = config ? config : model;
    o->from_weights = model != NULL;
    o->objective = sc_cmd_typed_str(c, "objective");
    o->tokenizer = sc_cmd_str(c, "tokenizer");
    o->alphabet = sc_cmd_typed_str(c, "alphabet");
    o->pack = sc_cmd_flag(c, "pack");
    o->whole_words = sc_cmd_flag(c, "whole-words");
    o->keep_order = sc_cmd_flag(c, "keep-order");
    o->mask_share = sc_cmd_typed_num(c, "mask-share");
    o->mean_span = sc_cmd_typed_num(c, "mean-span");
    o->smoothing = sc_cmd_typed_num(c, "label-smoothing");
    o->scale = sc_cmd_typed_num(c, "scale");
    o->pooling = sc_cmd_typed_str(c, "pooling");
    return sc_cmd_train(c, &t);
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
    SC_OPT_TRAIN_RUN,
    SC_OPT_TRAIN_LR("1e-3 for adamw, adam and sgd, 1e-4 for lion, 0.01 for adafactor, 0.02 for muon"),
    SC_OPT_PEFT,
    SC_OPT_TRAIN_RATE,
    SC_OPT_TRAIN_AVERAGE,
    SC_OPT_TRAIN_ORDER,
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
    SC_OPT_TRAIN_KEEP,
    SC_OPT_TRAIN_CONTINUAL,
    SC_OPT_TRAIN_SPIKES,
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
