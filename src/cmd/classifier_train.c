/* SPDX-License-Identifier: Apache-2.0 */
/* `socle classifier train` and `socle classifier quantize`: what makes files of a classifier of texts. */
#include "cmd/cmd.h"
#include "socle/classifier.h"

#include <stdlib.h>

static sc_classifier_options options_of(const sc_cmd *c)
{
    return (sc_classifier_options){.loss = sc_cmd_str(c, "loss"),
                                   .width = sc_cmd_int(c, "width"),
                                   .epochs = sc_cmd_int(c, "epochs"),
                                   .rate = sc_cmd_num(c, "rate"),
                                   .min_count = sc_cmd_int(c, "min-count"),
                                   .min_label = sc_cmd_int(c, "min-label"),
                                   .word_ngrams = sc_cmd_int(c, "word-ngrams"),
                                   .shortest = sc_cmd_int(c, "min-chars"),
                                   .longest = sc_cmd_int(c, "max-chars"),
                                   .bucket = sc_cmd_int(c, "bucket"),
                                   .negatives = sc_cmd_int(c, "negatives"),
                                   .pretrained = sc_cmd_str(c, "pretrained"),
                                   .seed = (uint64_t)sc_cmd_int(c, "seed"),
                                   .deterministic = sc_cmd_flag(c, "deterministic")};
}

static int train(sc_cmd *c)
{
    sc_classifier_options o = options_of(c);
    sc_classifier *made = NULL;
    sc_classifier_run run;
    if (!sc_cmd_str(c, "out")) return sc_cmd_usage(c, "--out is needed");
    if (o.longest && o.shortest > o.longest) return sc_cmd_usage(c, "--min-chars is above --max-chars");
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx || sc_classifier_train_file(&made, ctx, sc_cmd_arg(c, 0), &o, &run)) return sc_cmd_fail(c);
    sc_cmd_clear_progress(c);
    int code = sc_classifier_save(made, sc_cmd_str(c, "out")) ? sc_cmd_fail(c) : 0;
    if (!code)
        sc_cmd_note(c, "%lld lines, %lld words, %lld labels; loss %.4f; %.1f s, %.2f million tokens a second",
                    (long long)run.lines, (long long)sc_classifier_words(made),
                    (long long)sc_classifier_labels(made), run.loss, run.seconds,
                    (double)run.tokens * (double)o.epochs / run.seconds / 1e6);
    sc_classifier_free(made);
    return code;
}

static const sc_option train_options[] = {
    {"out", 'o', SC_OPT_FILE, "FILE.bin", "the classifier, in fastText's format"},
    {"loss", 0, SC_OPT_CHOICE, "softmax|hs|ns|ova",
     "softmax; hs: hierarchical, for very many labels; ns: negative sampling; ova: each label against the rest, "
     "for lines "
     "with several",
     .value = "softmax"},
    {"width", 'w', SC_OPT_INT, "N", "numbers of a vector", .value = "100", .lo = 1, .hi = 65536},
    {"epochs", 'n', SC_OPT_INT, "N", "times through the lines", .value = "5", .lo = 1, .hi = 1e6},
    {"rate", 'r', SC_OPT_NUM, "RATE", "the first learning rate, which falls to 0", .value = "0.1", .lo = 1e-9,
     .hi = 100},
    {"min-count", 0, SC_OPT_INT, "N", "words seen less often have no vector of their own", .value = "1", .hi = 1e9},
    {"min-label", 0, SC_OPT_INT, "N", "labels seen less often are left out", .value = "0", .hi = 1e9},
    {"word-ngrams", 0, SC_OPT_INT, "N", "words of the longest n-grams of words", .value = "1", .lo = 1, .hi = 64},
    {"min-chars", 0, SC_OPT_INT, "N", "characters of the shortest n-grams of characters", .value = "0", .hi = 64},
    {"max-chars", 0, SC_OPT_INT, "N", "of the longest ones; 0: none", .value = "0", .hi = 64},
    {"bucket", 0, SC_OPT_INT, "N", "rows that all n-grams share", .value = "2000000", .lo = 1, .hi = 1 << 30},
    {"negatives", 0, SC_OPT_INT, "N", "wrong labels to a right one, with ns", .value = "5", .lo = 1, .hi = 1000},
    {"pretrained", 0, SC_OPT_FILE, "VECTORS", "word vectors to begin with, of the same --width"},
    {"seed", 's', SC_OPT_INT, "N", "of the first numbers and of the order of the lines", .value = "1", .lo = 0,
     .hi = 1e15},
    {"deterministic", 0, SC_OPT_FLAG, .help = "one thread: the same bits each time"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example train_examples[] = {
    {"socle classifier train reviews.txt --out reviews.bin --word-ngrams 2 --epochs 10 --rate 0.5",
     "Lines such as \"__label__good a fine book\""},
    {"socle classifier train lines.txt --out x.bin --min-chars 2 --max-chars 4 --width 16 --loss hs",
     "By n-grams of characters, for languages and other questions of spelling"},
    {"socle classifier train tags.txt --out tags.bin --loss ova", "Lines with any number of labels"},
    {0}};
const sc_verb sc_verb_classifier_train = {
    .name = "classifier train",
    .summary = "Train a fast classifier of texts",
    .args = "LINES",
    .about =
        "Each line of LINES is words apart by spaces and one or more labels, which are words that begin with "
        "__label__. "
        "The method is fastText's: the mean of the vectors of words and n-grams, and one linear layer. The file "
        "that is "
        "written is fastText's too. Threads learn without locks; --deterministic is for the same bits each time.",
    .min_args = 1,
    .max_args = 1,
    .options = train_options,
    .examples = train_examples,
    .run = train};

/* ---- quantize ---- */

static int quantize(sc_cmd *c)
{
    sc_classifier_quantise_options o = {.sub = sc_cmd_int(c, "sub"),
                                        .norms = sc_cmd_flag(c, "norms"),
                                        .output = sc_cmd_flag(c, "output"),
                                        .cutoff = sc_cmd_int(c, "cutoff"),
                                        .retrain = sc_cmd_given(c, "retrain"),
                                        .epochs = sc_cmd_int(c, "epochs"),
                                        .rate = sc_cmd_num(c, "rate"),
                                        .seed = (uint64_t)sc_cmd_int(c, "seed"),
                                        .deterministic = sc_cmd_flag(c, "deterministic")};
    sc_classifier *from = NULL, *made = NULL;
    int64_t len = 0;
    char *text = NULL;
    if (!sc_cmd_str(c, "out")) return sc_cmd_usage(c, "--out is needed");
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    if (o.retrain && !(text = sc_cmd_read(c, sc_cmd_str(c, "retrain"), INT64_MAX, &len))) return 1;
    int code = sc_classifier_open(&from, sc_cmd_arg(c, 0)) ||
                       sc_classifier_quantise(&made, ctx, from, text, len, &o) ||
                       sc_classifier_save(made, sc_cmd_str(c, "out"))
                   ? sc_cmd_fail(c)
                   : 0;
    free(text);
    sc_classifier_free(from);
    sc_classifier_free(made);
    return code;
}

static const sc_option quantize_options[] = {
    {"out", 'o', SC_OPT_FILE, "FILE.ftz", "the quantised classifier"},
    {"cutoff", 'c', SC_OPT_INT, "N", "keep so many words and n-grams; 0: all", .value = "0", .hi = 2e9},
    {"retrain", 0, SC_OPT_FILE, "LINES", "train those that are kept again, on these lines"},
    {"epochs", 'n', SC_OPT_INT, "N", "times through them", .value = "5", .lo = 1, .hi = 1e6},
    {"rate", 'r', SC_OPT_NUM, "RATE", "the first learning rate", .value = "0.1", .lo = 1e-9, .hi = 100},
    {"sub", 0, SC_OPT_INT, "N", "numbers that share a code of one byte", .value = "2", .lo = 1, .hi = 64},
    {"norms", 0, SC_OPT_FLAG, .help = "keep the lengths of vectors in codes of their own"},
    {"output", 0, SC_OPT_FLAG, .help = "quantise the output matrix too; it must have 256 labels"},
    {"seed", 's', SC_OPT_INT, "N", "of where clusters begin", .value = "1", .lo = 0, .hi = 1e15},
    {"deterministic", 0, SC_OPT_FLAG, .help = "retrain with one thread: the same bits each time"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example quantize_examples[] = {
    {"socle classifier quantize reviews.bin --out reviews.ftz --norms",
     "A quarter of the size or less, nearly the same answers"},
    {"socle classifier quantize reviews.bin --out reviews.ftz --norms --cutoff 20000 --retrain reviews.txt",
     "A file of some hundred kilobytes"},
    {0}};
const sc_verb sc_verb_classifier_quantize = {
    .name = "classifier quantize",
    .summary = "Make a classifier of texts small",
    .args = "FILE.bin",
    .about = "Vectors become codes of one byte for each few of their numbers (product quantisation), and with "
             "--cutoff only the "
             "words and n-grams with the longest vectors are kept. fastText reads the result as its .ftz.",
    .min_args = 1,
    .max_args = 1,
    .options = quantize_options,
    .examples = quantize_examples,
    .run = quantize};
