/* SPDX-License-Identifier: Apache-2.0 */
/* socle data train-classifier: a classifier for the stage classify, from files of texts of each kind. */
#include "cmd/cmd.h"
#include "socle/classifier.h"
#include "socle/embed.h"
#include "socle/filter.h"

#include <stdlib.h>
#include <string.h>

enum { HELD_OUT = 10 }; /* every tenth text tests what the others train */

/* Labelled lines. */
typedef struct lines {
    char *p;
    size_t n, cap;
    int64_t count;
} lines;

static bool put(lines *l, const char *p, size_t n)
{
    if (l->n + n + 1 > l->cap) {
        size_t cap = 2 * (l->n + n) + 4096;
        char *grown = realloc(l->p, cap);
        if (!grown) return false;
        l->p = grown;
        l->cap = cap;
    }
    if (n) memcpy(l->p + l->n, p, n);
    l->n += n;
    return true;
}

static int add_file(sc_cmd *c, sc_filter *f, const char *spec, lines out[2])
{
    const char *equals = strchr(spec, '=');
    sc_cmd_texts t = {0};
    if (!equals || equals == spec || !equals[1] || memchr(spec, ' ', (size_t)(equals - spec)))
        return sc_cmd_usage(c, "--label %s: expected NAME=FILE", spec);
    int code = sc_cmd_texts_read(c, &t, equals + 1, sc_cmd_str(c, "field"));
    for (int64_t i = 0; !code && i < t.n; i++) {
        char *words;
        int64_t n;
        lines *to = &out[i % HELD_OUT == HELD_OUT - 1];
        if (sc_filter_words(f, t.item[i].p, t.item[i].len, &words, &n)) {
            code = sc_cmd_fail(c);
            break;
        }
        if (n && (!put(to, "__label__", 9) || !put(to, spec, (size_t)(equals - spec)) || !put(to, " ", 1) ||
                  !put(to, words, (size_t)n) || !put(to, "\n", 1)))
            code = sc_cmd_error(c, "out of memory");
        to->count += n > 0;
        sc_free(words);
    }
    sc_cmd_texts_free(&t);
    return code;
}

/* What the held-out texts say, a row for each label. */
static int put_test(sc_cmd *c, sc_context *ctx, const sc_classifier *m, const lines *held)
{
    sc_classifier_test t;
    if (!held->count) return 0;
    if (sc_classifier_test_lines(&t, ctx, m, held->p, (int64_t)held->n, 1, 0)) return sc_cmd_fail(c);
    printf("%-20s %9s %9s %9s\n", "label", "held out", "precision", "recall");
    for (int64_t i = 0; i < sc_classifier_labels(m); i++) {
        int64_t len;
        const char *label = sc_classifier_label(m, i, &len);
        const sc_class_counts *k = &t.each[i];
        printf("%-20.*s %9lld %9.3f %9.3f\n", (int)len, label, (long long)k->gold,
               k->predicted ? (double)k->correct / (double)k->predicted : 0,
               k->gold ? (double)k->correct / (double)k->gold : 0);
    }
    printf("%-20s %9lld %9.3f %9.3f\n", "all", (long long)t.all.gold,
           t.all.predicted ? (double)t.all.correct / (double)t.all.predicted : 0,
           t.all.gold ? (double)t.all.correct / (double)t.all.gold : 0);
    sc_free(t.each);
    return 0;
}

static int train(sc_cmd *c, sc_context *ctx, const lines l[2])
{
    sc_classifier *m = NULL;
    sc_classifier_options o = sc_classifier_defaults();
    o.width = sc_cmd_int(c, "width");
    o.epochs = sc_cmd_int(c, "epochs");
    o.rate = sc_cmd_num(c, "rate");
    o.word_ngrams = sc_cmd_int(c, "word-ngrams");
    o.shortest = sc_cmd_int(c, "max-chars") ? 2 : 0;
    o.longest = sc_cmd_int(c, "max-chars");
    o.bucket = sc_cmd_int(c, "bucket");
    o.seed = (uint64_t)sc_cmd_int(c, "seed");
    o.deterministic = sc_cmd_flag(c, "deterministic");
    if (sc_classifier_train(&m, ctx, l[0].p, (int64_t)l[0].n, &o, NULL)) return sc_cmd_fail(c);
    sc_cmd_clear_progress(c);
    int code = sc_classifier_save(m, sc_cmd_str(c, "out")) ? sc_cmd_fail(c) : put_test(c, ctx, m, &l[1]);
    sc_classifier_free(m);
    return code;
}

static int train_classifier(sc_cmd *c)
{
    lines l[2] = {0};
    sc_filter *f = NULL;
    if (sc_cmd_count(c, "label") < 2) return sc_cmd_usage(c, "--label NAME=FILE is needed for two labels or more");
    if (!sc_cmd_str(c, "out")) return sc_cmd_usage(c, "--out is needed");
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx || sc_filter_new(&f, NULL)) return sc_cmd_fail(c);
    int code = 0;
    for (int i = 0; !code && i < sc_cmd_count(c, "label"); i++)
        code = add_file(c, f, sc_cmd_list(c, "label", i), l);
    if (!code) code = train(c, ctx, l);
    free(l[0].p);
    free(l[1].p);
    sc_filter_free(f);
    return code;
}

static const sc_option options[] = {
    {"label", 'l', SC_OPT_STR, "NAME=FILE", "texts of a label: a .jsonl file, or one a line", .many = true},
    {"out", 'o', SC_OPT_FILE, "FILE.bin", "the classifier, in fastText's format"},
    {"field", 0, SC_OPT_STR, "NAME", "the text's place in the objects of a .jsonl file", .value = "text"},
    {"width", 'w', SC_OPT_INT, "N", "numbers of a vector", .value = "32", .lo = 1, .hi = 65536},
    {"epochs", 'n', SC_OPT_INT, "N", "times through the texts", .value = "10", .lo = 1, .hi = 1e6},
    {"rate", 'r', SC_OPT_NUM, "RATE", "the first learning rate, which falls to 0", .value = "0.3", .lo = 1e-9,
     .hi = 100},
    {"word-ngrams", 0, SC_OPT_INT, "N", "words of the longest n-grams of words", .value = "2", .lo = 1, .hi = 64},
    {"max-chars", 0, SC_OPT_INT, "N", "characters of the longest n-grams of characters, from 2 on; 0: none",
     .value = "0", .hi = 64},
    {"bucket", 0, SC_OPT_INT, "N", "rows that all n-grams share", .value = "200000", .lo = 1, .hi = 1 << 30},
    {"seed", 's', SC_OPT_INT, "N", "of the first numbers and the order of the texts", .value = "1", .lo = 0,
     .hi = 1e15},
    {"deterministic", 0, SC_OPT_FLAG, .help = "one thread: the same bits each time"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle data train-classifier --label good=wikipedia.jsonl --label other=crawl.jsonl --out quality.bin",
     "Good texts against any texts: a score of quality"},
    {"socle data train-classifier -l news=news.jsonl -l law=law.jsonl -l code=code.jsonl -o domains.bin",
     "Domains, to count and to mix by"},
    {"socle data train-classifier -l harmful=bad.txt -l fine=any.txt -o harmful.bin --max-chars 4",
     "What lists of words cannot tell"},
    {0}};
const sc_verb sc_verb_data_train_classifier = {
    .name = "data train-classifier",
    .summary = "Train a classifier of quality, domains or harm for the data pipeline",
    .args = "",
    .about = "Texts of each label are given in files; every tenth one is held out, and what the classifier says of "
             "those is "
             "printed. The stage `classify` uses the file: with \"label\" it scores, and drops by \"least\" or "
             "\"most\"; without "
             "it tells each document's domain.",
    .options = options,
    .examples = examples,
    .run = train_classifier};
