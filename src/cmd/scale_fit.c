/* SPDX-License-Identifier: Apache-2.0 */
/* `socle scale fit`: laws through the losses of a ladder or of any runs. */
#include "cmd/scale.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_LIST = 100, MAX_COMMAND = 4096 };

static double num(const json_t *o, const char *key) { return json_number_value(json_object_get(o, key)); }

static void print_interval(const json_t *v)
{
    printf("%.4g", num(v, "value"));
    if (json_is_number(json_object_get(v, "low"))) printf(" (%.4g to %.4g)", num(v, "low"), num(v, "high"));
}

static void print_laws(const json_t *laws)
{
    for (size_t i = 0; i < json_array_size(laws); i++) {
        const json_t *l = json_array_get(laws, i);
        const char *key;
        json_t *v;
        printf("%s: %s, %lld runs, log L off by %.2g\n", json_string_value(json_object_get(l, "law")),
               json_string_value(json_object_get(l, "formula")),
               (long long)json_integer_value(json_object_get(l, "runs")), num(l, "deviation"));
        json_object_foreach(json_object_get(l, "parameters"), key, v)
        {
            printf("  %-7s ", key);
            print_interval(v);
            putchar('\n');
        }
    }
}

static void print_levels(const json_t *iso)
{
    const json_t *levels = json_object_get(iso, "levels");
    static const char *const names[] = {"size", "tokens", "loss"};
    if (!json_array_size(levels)) return;
    puts("IsoFLOP minima");
    for (size_t i = 0; i < json_array_size(levels); i++) {
        const json_t *l = json_array_get(levels, i);
        printf("  %.3g operations, %lld runs: ", num(l, "compute"),
               (long long)json_integer_value(json_object_get(l, "runs")));
        if (json_is_true(json_object_get(l, "inside")))
            printf("%.4g parameters, %.4g tokens, loss %.4f\n", num(l, "parameters"), num(l, "tokens"),
                   num(l, "loss"));
        else
            puts("not between the sizes that were run");
    }
    for (int i = 0; i < 3; i++) {
        const json_t *p = json_object_get(iso, names[i]);
        if (!p) continue;
        printf("  %s goes with compute to the power ", names[i]);
        print_interval(json_object_get(p, "exponent"));
        putchar('\n');
    }
}

static void print_optima(const json_t *optima)
{
    if (json_array_size(optima)) puts("Best sizes");
    for (size_t i = 0; i < json_array_size(optima); i++) {
        static const char *const names[] = {"parameters", "tokens", "loss"};
        const json_t *o = json_array_get(optima, i);
        printf("  %.3g operations: ", num(o, "compute"));
        for (int k = 0; k < 3; k++) {
            printf("%s%s ", k ? ", " : "", names[k]);
            print_interval(json_object_get(o, names[k]));
        }
        putchar('\n');
    }
}

static void print_predictions(const json_t *asked)
{
    if (json_array_size(asked)) puts("Predictions");
    for (size_t i = 0; i < json_array_size(asked); i++) {
        const json_t *o = json_array_get(asked, i);
        const char *key, *name = json_string_value(json_object_get(o, "name"));
        json_t *v;
        printf("  %s%s%.4g parameters, %.4g tokens", name ? name : "", name && *name ? ": " : "",
               num(o, "parameters"), num(o, "tokens"));
        if (json_is_number(json_object_get(o, "actual"))) printf(", loss %.4f", num(o, "actual"));
        putchar('\n');
        json_object_foreach(json_object_get(o, "laws"), key, v)
        {
            printf("    %-16s ", key);
            print_interval(v);
            if (json_object_get(v, "off")) printf(", off by %+.2f%%", 100 * num(v, "off"));
            putchar('\n');
        }
    }
}

static int print_all(sc_cmd *c, char *text)
{
    json_t *all = json_loads(text, 0, NULL);
    if (!all) return sc_cmd_error(c, "out of memory");
    if (sc_cmd_flag(c, "json")) return sc_cmd_json(c, all, JSON_INDENT(2));
    print_laws(json_object_get(all, "laws"));
    print_levels(json_object_get(all, "isoflop"));
    print_optima(json_object_get(all, "optima"));
    print_predictions(json_object_get(all, "predictions"));
    json_decref(all);
    return 0;
}

static void whole_command(sc_cmd *c, char text[MAX_COMMAND])
{
    int n, at = snprintf(text, MAX_COMMAND, "socle");
    const char *const *words = sc_cmd_words(c, &n);
    for (int i = 0; i < n && at < MAX_COMMAND; i++)
        at += snprintf(text + at, (size_t)(MAX_COMMAND - at), " %s", words[i]);
}

static int fit(sc_cmd *c)
{
    const char *path[MAX_LIST], *html = sc_cmd_str(c, "out"), *dir = NULL;
    double budget[MAX_LIST], ask[2 * MAX_LIST];
    char *text = NULL, command[MAX_COMMAND], page[4096];
    int n = 0, n_budgets = sc_cmd_numbers(c, "budget", budget, MAX_LIST),
        n_ask = sc_cmd_numbers(c, "predict", ask, 2 * MAX_LIST);
    struct stat st;
    if (n_budgets < 0) return sc_cmd_usage(c, "--budget is numbers of operations with commas: 1e15,1e16");
    if (n_ask < 0 || n_ask % 2) return sc_cmd_usage(c, "--predict is parameters and tokens in turn: 1G,20G");
    for (; n < MAX_LIST && sc_cmd_arg(c, n); n++) path[n] = sc_cmd_arg(c, n);
    if (sc_cmd_arg(c, n)) return sc_cmd_usage(c, "more than %d files", MAX_LIST);
    if (n == 1 && stat(path[0], &st) == 0 && S_ISDIR(st.st_mode)) {
        dir = path[0];
        snprintf(page, sizeof page, "%s/report.html", dir);
        if (!html) html = page;
    }
    sc_context *ctx = sc_cmd_context(c);
    if (!ctx) return sc_cmd_fail(c);
    whole_command(c, command);
    bool none = sc_cmd_given(c, "bootstrap") && sc_cmd_int(c, "bootstrap") == 0;
    const sc_scale_report o = {.command = command,
                               .law = {.huber = sc_cmd_num(c, "huber"),
                                       .bootstrap = none ? -1 : sc_cmd_int(c, "bootstrap"),
                                       .cases = strcmp(sc_cmd_str(c, "resample"), "runs") == 0,
                                       .confidence = sc_cmd_num(c, "confidence"),
                                       .seed = (uint64_t)sc_cmd_int(c, "seed")},
                               .budget = budget,
                               .n_budgets = n_budgets,
                               .ask = ask,
                               .n_asked = n_ask / 2,
                               .kappa = sc_cmd_num(c, "kappa")};
    sc_scale_points *points = NULL;
    sc_status s = sc_scale_points_read(&points, path, n);
    if (!s) s = sc_scale_report_make(&text, ctx, points, dir, &o, html);
    if (!s) sc_cmd_clear_progress(c);
    int rc = s ? sc_cmd_fail(c) : print_all(c, text);
    if (!rc && html) sc_cmd_note(c, "%s has the pictures", html);
    sc_scale_points_free(points);
    free(text);
    return rc;
}

static const sc_option options[] = {
    {"out", 'o', SC_OPT_FILE, "FILE.html", "write a report (of a ladder: its report.html)"},
    {"budget", 0, SC_OPT_STR, "C,C,...",
     "operations to find the best sizes for (1, 10 and 100 times the largest run)"},
    {"predict", 0, SC_OPT_STR, "N,D,...", "parameters and tokens of runs to predict"},
    {"bootstrap", 0, SC_OPT_INT, "N", "resamplings for intervals; 0: none", .value = "400", .lo = 0, .hi = 1e6},
    {"resample", 0, SC_OPT_CHOICE, "residuals|runs", "what is drawn again; runs: for many of them",
     .value = "residuals"},
    {"confidence", 0, SC_OPT_NUM, "SHARE", "of intervals", .value = "0.9", .lo = 0.01, .hi = 0.999},
    {"huber", 0, SC_OPT_NUM, "X", "deviations of log L above this count linearly", .value = "0.001", .lo = 1e-9,
     .hi = 100},
    {"kappa", 0, SC_OPT_NUM, "X", "operations for a token and a parameter; 0: as in the runs, or 6", .value = "0",
     .lo = 0, .hi = 1e6},
    {"seed", 's', SC_OPT_INT, "N", "of the resampling", .value = "0", .lo = 0, .hi = 1e15},
    {"json", 0, SC_OPT_FLAG, .help = "the answer as JSON"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle scale fit ladder", "The laws of a ladder, and its report.html"},
    {"socle scale fit ladder --budget 1e15,1e16 --predict 2M,40M",
     "The best size for budgets, and the loss of one more run"},
    {"socle scale fit runs.csv --out laws.html", "Of runs from elsewhere: columns parameters, tokens, loss"},
    {0}};
const sc_verb sc_verb_scale_fit = {
    .name = "scale fit",
    .summary = "Find scaling laws in the losses of runs",
    .args = "LADDER|FILE...",
    .about = "Fits L = E + A/N^alpha + B/D^beta (Hoffmann et al. 2022) and the forms of Kaplan et al. (2020) to "
             "runs, with\n"
             "intervals by resampling; finds the best size of each level of compute, that for a budget, and says "
             "the losses of\n"
             "runs that were held out beside what they were. Files are .jsonl with an object a line, or .tsv or "
             ".csv with a\n"
             "header: parameters, tokens and loss, and maybe compute, level, held_out and name.",
    .min_args = 1,
    .max_args = -1,
    .options = options,
    .examples = examples,
    .run = fit};
