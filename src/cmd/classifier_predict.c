/* SPDX-License-Identifier: Apache-2.0 */
/* `socle classifier predict` and `socle classifier test`: what asks a classifier of texts. */
#include "cmd/cmd.h"
#include "socle/classifier.h"

#include <stdlib.h>
#include <string.h>

#define MAX_TEXT (1LL << 40)

static void put_answers(const sc_classifier *m, const sc_class *best, int64_t found)
{
    for (int64_t i = 0; i < found; i++) {
        int64_t len;
        const char *name = sc_classifier_label(m, best[i].label, &len);
        printf("%s%.*s %.6g", i ? "\t" : "", (int)len, name, (double)best[i].probability);
    }
    putchar('\n');
}

static int predict_lines(sc_cmd *c, const sc_classifier *m, const char *text, int64_t len)
{
    int64_t k = sc_cmd_int(c, "top"), found;
    sc_classifier_reader *r = NULL;
    sc_class *best = calloc((size_t)k, sizeof *best);
    if (!best) return sc_cmd_error(c, "out of memory");
    int code = sc_classifier_reader_new(&r, m) ? sc_cmd_fail(c) : 0;
    for (const char *p = text, *end = text + len; !code && p < end && !sc_cmd_interrupted();) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        if (!stop) stop = end;
        if (sc_classifier_predict(r, p, stop - p, k, (float)sc_cmd_num(c, "threshold"), best, &found))
            code = sc_cmd_fail(c);
        else
            put_answers(m, best, found);
        p = stop + 1;
    }
    sc_classifier_reader_free(r);
    free(best);
    return code;
}

static int predict(sc_cmd *c)
{
    sc_classifier *m = NULL;
    int64_t len;
    if (sc_classifier_open(&m, sc_cmd_arg(c, 0))) return sc_cmd_fail(c);
    char *text = sc_cmd_read(c, sc_cmd_arg(c, 1), MAX_TEXT, &len);
    int code = text ? predict_lines(c, m, text, len) : 1;
    free(text);
    sc_classifier_free(m);
    return code;
}

static const sc_option predict_options[] = {
    {"top", 'k', SC_OPT_INT, "K", "how many labels at most", .value = "1", .lo = 1, .hi = 1e6},
    {"threshold", 0, SC_OPT_NUM, "P", "only labels of at least this probability", .value = "0", .lo = 0, .hi = 1},
    {0}};
static const sc_example predict_examples[] = {
    {"socle classifier predict reviews.ftz new.txt", "The likeliest label of each line, and its probability"},
    {"socle classifier predict tags.bin -k 20 --threshold 0.5 < new.txt", "All labels that fit"},
    {0}};
const sc_verb sc_verb_classifier_predict = {
    .name = "classifier predict",
    .summary = "Tell the labels of texts",
    .args = "MODEL [FILE]",
    .about = "One line of answers for each line of FILE, or of what comes in: labels with their probabilities, the "
             "likeliest "
             "first. A line of which the classifier knows nothing gets an empty one.",
    .min_args = 1,
    .max_args = 2,
    .options = predict_options,
    .examples = predict_examples,
    .run = predict};

/* ---- test ---- */

static double share(int64_t part, int64_t all) { return all ? (double)part / (double)all : 0; }

static void put_label(const char *name, int64_t len, const sc_class_counts *n)
{
    double precision = share(n->correct, n->predicted), recall = share(n->correct, n->gold);
    double f = precision + recall > 0 ? 2 * precision * recall / (precision + recall) : 0;
    printf("%-24.*s precision %.4f  recall %.4f  f1 %.4f  lines %lld\n", (int)len, name, precision, recall, f,
           (long long)n->gold);
}

static int test_lines(sc_cmd *c, sc_context *ctx, const sc_classifier *m, const char *text, int64_t len)
{
    sc_classifier_test t;
    if (sc_classifier_test_lines(&t, ctx, m, text, len, sc_cmd_int(c, "top"), (float)sc_cmd_num(c, "threshold")))
        return sc_cmd_fail(c);
    int64_t n;
    for (int64_t i = 0; sc_cmd_flag(c, "labels") && i < sc_classifier_labels(m); i++) {
        const char *name = sc_classifier_label(m, i, &n);
        put_label(name, n, &t.each[i]);
    }
    put_label("all", 3, &t.all);
    int code = t.lines ? 0 : sc_cmd_error(c, "no line has a label that the classifier knows");
    sc_free(t.each);
    return code;
}

static int test(sc_cmd *c)
{
    sc_classifier *m = NULL;
    int64_t len;
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx || sc_classifier_open(&m, sc_cmd_arg(c, 0))) return sc_cmd_fail(c);
    char *text = sc_cmd_read(c, sc_cmd_arg(c, 1), MAX_TEXT, &len);
    int code = text ? test_lines(c, ctx, m, text, len) : 1;
    free(text);
    sc_classifier_free(m);
    return code;
}

static const sc_option test_options[] = {
    {"top", 'k', SC_OPT_INT, "K", "how many labels a line is given at most", .value = "1", .lo = 1, .hi = 1e6},
    {"threshold", 0, SC_OPT_NUM, "P", "only labels of at least this probability", .value = "0", .lo = 0, .hi = 1},
    {"labels", 'l', SC_OPT_FLAG, .help = "a line for each label"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example test_examples[] = {
    {"socle classifier test reviews.ftz held-out.txt --labels", "Precision and recall, and those of each label"},
    {0}};
const sc_verb sc_verb_classifier_test = {
    .name = "classifier test",
    .summary = "Measure a classifier of texts on labelled lines",
    .args = "MODEL [LINES]",
    .about = "Precision: of the labels that were given, the share that the lines have. Recall: of the labels that "
             "the lines "
             "have, the share that was given. Labels that the classifier does not know are left out.",
    .min_args = 1,
    .max_args = 2,
    .options = test_options,
    .examples = test_examples,
    .run = test};
