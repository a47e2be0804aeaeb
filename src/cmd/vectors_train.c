/* SPDX-License-Identifier: Apache-2.0 */
/* `socle vectors train`: word2vec, GloVe and fastText. */
#include "cmd/cmd.h"
#include "socle/vectors.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static sc_vectors_method method_of(sc_cmd *c)
{
    const char *name = sc_cmd_str(c, "method");
    return strcmp(name, "cbow") == 0 || strcmp(name, "fasttext-cbow") == 0 ? SC_VECTORS_CBOW
           : strcmp(name, "glove") == 0                                    ? SC_VECTORS_GLOVE
                                                                           : SC_VECTORS_SKIPGRAM;
}

static sc_vectors_format format_of(sc_cmd *c)
{
    const char *name = sc_cmd_str(c, "format");
    return strcmp(name, "text") == 0    ? SC_VECTORS_TEXT
           : strcmp(name, "glove") == 0 ? SC_VECTORS_GLOVE_TEXT
                                        : SC_VECTORS_BINARY;
}

/* fastText's own numbers where none were typed, and its format. */
static void set_fasttext(sc_cmd *c, sc_vectors_training *o)
{
    o->subwords = true;
    o->format = SC_VECTORS_FASTTEXT;
    o->shortest = sc_cmd_int(c, "min-chars");
    o->longest = sc_cmd_int(c, "max-chars");
    o->bucket = sc_cmd_int(c, "bucket");
    if (!sc_cmd_given(c, "sample")) o->sample = 1e-4;
    if (!sc_cmd_given(c, "power")) o->power = 0.5;
}

/* A number of the method's own where none was typed. */
static int64_t whole(sc_cmd *c, const char *name, bool glove, int64_t its)
{
    return glove && !sc_cmd_given(c, name) ? its : sc_cmd_int(c, name);
}

static sc_vectors_training options_of(sc_cmd *c)
{
    sc_vectors_training o = SC_VECTORS_TRAINING_INIT;
    o.method = method_of(c);
    bool glove = o.method == SC_VECTORS_GLOVE;
    o.out = sc_cmd_str(c, "out");
    o.out_contexts = sc_cmd_str(c, "out-contexts");
    o.format = format_of(c);
    o.hierarchical = strcmp(sc_cmd_str(c, "loss"), "hs") == 0;
    o.width = sc_cmd_int(c, "width");
    o.window = whole(c, "window", glove, 15);
    o.whole_window = sc_cmd_flag(c, "whole-window");
    o.negative = sc_cmd_int(c, "negative");
    o.min_count = sc_cmd_int(c, "min-count");
    o.max_words = sc_cmd_int(c, "max-words");
    o.epochs = whole(c, "epochs", glove, 25);
    o.sample = sc_cmd_num(c, "sample");
    o.power = sc_cmd_num(c, "power");
    o.rate = sc_cmd_num(c, "lr");
    o.last_rate = sc_cmd_num(c, "last-lr");
    o.phrases = sc_cmd_int(c, "phrases");
    o.phrase_threshold = sc_cmd_num(c, "phrase-threshold");
    o.x_max = sc_cmd_num(c, "x-max");
    o.alpha = sc_cmd_num(c, "alpha");
    o.asymmetric = sc_cmd_flag(c, "asymmetric");
    o.memory = sc_cmd_int(c, "memory") << 20;
    o.deterministic = sc_cmd_flag(c, "deterministic");
    o.seed = (uint64_t)sc_cmd_int(c, "seed");
    o.save_every = sc_cmd_num(c, "save-every");
    if (strncmp(sc_cmd_str(c, "method"), "fasttext", 8) == 0) set_fasttext(c, &o);
    return o;
}

static int vectors_train(sc_cmd *c)
{
    sc_vectors_training o = options_of(c);
    sc_vectors_trained r;
    if (!o.out) return sc_cmd_usage(c, "--out is needed");
    if (o.subwords && sc_cmd_given(c, "format"))
        return sc_cmd_usage(c, "--format is not for fastText, which has its own");
    if (o.hierarchical && o.out_contexts) return sc_cmd_usage(c, "--out-contexts is not for --loss hs");
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    sc_cmd_stop_on(SIGTERM);
    const char **data = calloc((size_t)sc_cmd_argc(c), sizeof *data);
    if (!data) return sc_cmd_error(c, "out of memory");
    for (int i = 0; i < sc_cmd_argc(c); i++) data[i] = sc_cmd_arg(c, i);
    o.data = data;
    o.n_data = sc_cmd_argc(c);
    sc_status s = sc_vectors_train(ctx, &o, &r);
    free(data);
    if (s == SC_ECANCELLED) sc_cmd_note(c, "stopped; the same command goes on from %s.state", o.out);
    if (s) return sc_cmd_fail(c);
    sc_cmd_clear_progress(c);
    if (r.resumed) sc_cmd_note(c, "went on from where it was stopped");
    if (r.skipped) sc_cmd_note(c, "%lld words are longer than 1000 bytes or not UTF-8", (long long)r.skipped);
    if (r.pairs) sc_cmd_note(c, "%lld pairs of words", (long long)r.pairs);
    sc_cmd_note(c, "%lld words of %lld; loss %.4f; %.0f %s/s for %.1f s", (long long)r.words, (long long)r.tokens,
                r.loss, r.seconds > 0 ? (double)r.trained / r.seconds : 0,
                o.method == SC_VECTORS_GLOVE ? "pairs" : "words", r.seconds);
    return 0;
}

static const sc_option options[] = {
    {"out", 'o', SC_OPT_FILE, "FILE", "the file of vectors"},
    {"format", 'f', SC_OPT_CHOICE, "binary|text|glove", "word2vec's two formats, or GloVe's lines",
     .value = "binary"},
    {"out-contexts", 0, SC_OPT_FILE, "FILE", "the other table, of words as contexts of others"},
    {"method", 'm', SC_OPT_CHOICE, "skipgram|cbow|glove|fasttext|fasttext-cbow",
     "how vectors are learned; fasttext: skip-gram with n-grams of characters, written as fastText's .bin",
     .value = "skipgram"},
    {"min-chars", 0, SC_OPT_INT, "N", "fasttext: characters of the shortest n-grams", .value = "3", .lo = 1,
     .hi = 64},
    {"max-chars", 0, SC_OPT_INT, "N", "fasttext: of the longest ones; 0: none", .value = "6", .lo = 0, .hi = 64},
    {"bucket", 0, SC_OPT_INT, "N", "fasttext: rows that all n-grams share", .value = "2000000", .lo = 1,
     .hi = 1 << 30},
    {"loss", 0, SC_OPT_CHOICE, "ns|hs", "negative sampling or hierarchical softmax", .value = "ns"},
    {"width", 'd', SC_OPT_INT, "N", "numbers of a vector", .value = "100", .lo = 1, .hi = 65536},
    {"window", 'w', SC_OPT_INT, "N", "words to each side, at most; glove: 15", .value = "5", .lo = 1, .hi = 1000},
    {"whole-window", 0, SC_OPT_FLAG, .help = "all of them for every word; otherwise a number drawn for each"},
    {"negative", 'n', SC_OPT_INT, "N", "drawn words for each true one", .value = "5", .lo = 1, .hi = 1000},
    {"min-count", 0, SC_OPT_INT, "N", "leave out words seen less often", .value = "5", .lo = 1, .hi = 1e12},
    {"max-words", 0, SC_OPT_INT, "N", "only the most frequent ones; 0: all", .value = "0", .lo = 0, .hi = 1 << 28},
    {"epochs", 'e', SC_OPT_INT, "N", "times through the text; glove: 25", .value = "5", .lo = 1, .hi = 1e6},
    {"sample", 0, SC_OPT_NUM, "T", "leave out frequent words by this threshold; 0: none; fasttext: 0.0001",
     .value = "0.001", .lo = 0, .hi = 1},
    {"power", 0, SC_OPT_NUM, "P", "draw words by count to this power; fasttext: 0.5", .value = "0.75", .lo = -4,
     .hi = 4},
    {"lr", 0, SC_OPT_NUM, "RATE", "of learning; 0: 0.025 for skipgram, 0.05 for the others", .value = "0", .lo = 0,
     .hi = 100},
    {"last-lr", 0, SC_OPT_NUM, "RATE", "to which it falls; not with glove", .value = "0.0001", .lo = 0, .hi = 100},
    {"phrases", 0, SC_OPT_INT, "N", "join pairs such as new_york, so many times over", .value = "0", .lo = 0,
     .hi = 10},
    {"phrase-threshold", 0, SC_OPT_NUM, "X", "how much likelier than by chance", .value = "100", .lo = 0,
     .hi = 1e12},
    {"x-max", 0, SC_OPT_NUM, "X", "glove: the count that weighs 1", .value = "100", .lo = 1e-9, .hi = 1e12},
    {"alpha", 0, SC_OPT_NUM, "A", "glove: smaller counts weigh (x / x-max)^A", .value = "0.75", .lo = 0, .hi = 10},
    {"asymmetric", 0, SC_OPT_FLAG, .help = "glove: only words before a word are near it"},
    {"memory", 0, SC_OPT_INT, "MIB",
     "glove: for counting, before it goes to files; 0: 1024, or a quarter of the machine's", .value = "0", .lo = 0,
     .hi = 1e9},
    {"deterministic", 0, SC_OPT_FLAG, .help = "the same bits for any number of threads"},
    {"seed", 's', SC_OPT_INT, "N", "of all that is drawn", .value = "1", .lo = 0, .hi = 1e15},
    {"save-every", 0, SC_OPT_NUM, "SECONDS", "between states on disk; 0: only when it is stopped", .value = "600",
     .lo = 0, .hi = 1e9},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle vectors train text8 -o words.bin", "word2vec: skip-gram with negative sampling"},
    {"socle vectors train news.txt books.txt -o words.txt -f text -m cbow --loss hs",
     "CBOW with hierarchical softmax"},
    {"socle vectors train text8 -o glove.txt -f glove -m glove -d 300", "GloVe"},
    {"socle vectors train text8 -o words.bin -m fasttext", "fastText: vectors for words that the text lacks too"},
    {"socle vectors train text8 -o words.bin --deterministic -t 8", "The same bits with any number of threads"},
    {0}};
const sc_verb sc_verb_vectors_train = {
    .name = "vectors train",
    .summary = "Train word vectors on text",
    .args = "TEXT...",
    .min_args = 1,
    .max_args = -1,
    .about = "TEXT is a file of words apart by white space, a sentence a line. Words are taken as they are: lower "
             "case and "
             "punctuation are up to the text.\n\n"
             "Threads train without waiting for each other, so that two runs differ in what the order of their "
             "changes does; "
             "with --deterministic they do not, at some cost in speed.\n\n"
             "Stopped by Ctrl-C or in any other way, the same command goes on from FILE.state.",
    .options = options,
    .examples = examples,
    .run = vectors_train};
