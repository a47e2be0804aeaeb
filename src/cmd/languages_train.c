/* SPDX-License-Identifier: Apache-2.0 */
/* `socle languages train`: a model of languages from the messages of this machine's programs. */
#include "cmd/cmd.h"
#include "socle/languages.h"

#include <stdlib.h>

static void put_table(const sc_languages_report *r)
{
    int64_t tested = 0, correct = 0;
    printf("%-4s %-18s %8s %8s %10s %8s\n", "", "language", "learned", "held out", "precision", "recall");
    for (int64_t i = 0; i < r->n; i++) {
        const sc_languages_row *x = &r->row[i];
        if (!x->used) continue;
        printf("%-4s %-18s %8lld %8lld %9.2f%% %7.2f%%\n", x->code, x->name, (long long)x->trained,
               (long long)x->tested, x->predicted ? 100.0 * (double)x->correct / (double)x->predicted : 0,
               100.0 * (double)x->correct / (double)x->tested);
        tested += x->tested;
        correct += x->correct;
    }
    printf("%lld languages, %lld of %lld held-out lines right: %.2f%%\n", (long long)r->languages,
           (long long)correct, (long long)tested, 100.0 * (double)correct / (double)tested);
}

static int train(sc_cmd *c)
{
    sc_languages_options o = sc_languages_defaults();
    sc_languages_report r;
    char *path = NULL;
    int n = sc_cmd_argc(c);
    const char **root = calloc((size_t)n + 1, sizeof *root);
    if (!root) return sc_cmd_error(c, "out of memory");
    for (int i = 0; i < n; i++) root[i] = sc_cmd_arg(c, i);
    if (n) o.root = root, o.n_roots = n;
    o.most = sc_cmd_int(c, "most");
    o.least = sc_cmd_int(c, "least");
    o.lines = sc_cmd_str(c, "lines");
    o.seed = (uint64_t)sc_cmd_int(c, "seed");
    o.deterministic = sc_cmd_flag(c, "deterministic");
    sc_context *ctx = sc_cmd_context(c);
    sc_status s = ctx ? SC_OK : SC_EINVAL;
    if (!s && !sc_cmd_str(c, "out")) s = sc_languages_path(&path);
    o.out = path ? path : sc_cmd_str(c, "out");
    if (!s) s = sc_languages_build(&r, ctx, &o);
    free(root);
    if (!s) {
        sc_cmd_clear_progress(c);
        put_table(&r);
        sc_cmd_note(c, "%lld files of messages (%lld more could not be read), %.1f s; %s: %lld kB",
                    (long long)r.files, (long long)r.broken, r.seconds, o.out, (long long)(r.bytes + 500) / 1000);
        sc_free(r.row);
    }
    sc_free(path);
    return s ? sc_cmd_fail(c) : 0;
}

static const sc_option options[] = {
    {"out", 'o', SC_OPT_FILE, "FILE.ftz", "the model ($SOCLE_LANGUAGES, or languages.ftz in the models folder)"},
    {"lines", 0, SC_OPT_DIR, "DIR", "also write the lines, train.txt and test.txt, here"},
    {"most", 0, SC_OPT_INT, "N", "lines of a language to learn from, at most", .value = "8000", .lo = 10,
     .hi = 1e9},
    {"least", 0, SC_OPT_INT, "N", "leave out languages with fewer lines", .value = "500", .lo = 1, .hi = 1e9},
    {"seed", 's', SC_OPT_INT, "N", "of all that is drawn", .value = "1", .lo = 0, .hi = 1e15},
    {"deterministic", 0, SC_OPT_FLAG, .help = "train with one thread: the same bits each time"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle languages train", "Make the model that `languages detect` and the data stage use"},
    {"socle languages train /usr/share/locale extra/locale --out my.ftz --lines lines",
     "From chosen folders; the lines may be looked at, or used with `socle classifier train`"},
    {0}};
const sc_verb sc_verb_languages_train = {
    .name = "languages train",
    .summary = "Make a model that tells languages apart",
    .args = "[FOLDER...]",
    .about = "Reads the translated messages of the programs that are installed (FOLDER/LANGUAGE/LC_MESSAGES/*.mo), "
             "cleans them, "
             "trains a classifier of n-grams of characters and makes it small. One message in ten is held out in "
             "all languages; "
             "the table shows how many of those lines are told right.\n\n"
             "What languages it knows depends on the machine: more programs with translations give more.",
    .max_args = -1,
    .options = options,
    .examples = examples,
    .run = train};
