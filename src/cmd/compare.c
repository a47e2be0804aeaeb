/* SPDX-License-Identifier: Apache-2.0 */
/* `socle compare`: models x methods on one task. */
#include "cmd/cmd.h"
#include "socle/compare.h"
#include "socle/hub.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

typedef struct lists {
    char *model[MOST];
    sc_asker_api api[MOST];
    const char *method[MOST], *label[MOST], *column[MOST], *task_data[MOST], **args;
    int64_t curve[MOST];
    char *columns; /* cut at its commas */
} lists;

static void cell(void *user, const sc_compare_cell *x, int done, int total)
{
    sc_cmd *c = user;
    char line[400], note[200] = "";
    if (x->note) snprintf(note, sizeof note, "  (%.180s)", x->note);
    if (x->items)
        snprintf(line, sizeof line, "%d of %d: %.80s, %s: %.1f%% (%.1f to %.1f) in %.0f s%s", done, total, x->model,
                 x->method, 100 * x->accuracy, 100 * x->low, 100 * x->high, x->seconds + x->train_seconds, note);
    else
        snprintf(line, sizeof line, "%d of %d: %.80s, %s: nothing%s", done, total, x->model, x->method, note);
    if (!sc_cmd_flag(c, "quiet")) sc_cmd_status(c, line, true);
}

/* Numbers with commas between; < 0: they are none. */
static int read_curve(const sc_cmd *c, int64_t *out)
{
    const char *p = sc_cmd_str(c, "curve");
    int n = 0;
    while (p && *p) {
        char *end;
        if (n == MOST) return -1;
        out[n++] = strtoll(p, &end, 10);
        if (end == p || (*end && *end != ',') || out[n - 1] < 1) return -1;
        p = end + (*end == ',');
    }
    return n;
}

static int read_columns(const sc_cmd *c, lists *l)
{
    int n = 0;
    if (!sc_cmd_str(c, "columns") || !(l->columns = strdup(sc_cmd_str(c, "columns")))) return 0;
    for (char *p = l->columns, *rest; p && n < MOST; p = rest) {
        if ((rest = strchr(p, ','))) *rest++ = 0;
        l->column[n++] = p;
    }
    return n;
}

/* 4G, 512M, or bytes; < 0: none of these. */
static int64_t read_memory(const char *text)
{
    char *end;
    double v = text ? strtod(text, &end) : 0;
    if (!text) return 0;
    if (*end == 'G' || *end == 'g')
        v *= 1e9, end++;
    else if (*end == 'M' || *end == 'm')
        v *= 1e6, end++;
    return *end || !(v >= 1 && v < 9e18) ? -1 : (int64_t)v;
}

static int read_lists(sc_cmd *c, lists *l, sc_compare_options *o)
{
    int n;
    const char *key = sc_cmd_str(c, "api-key-env") ? getenv(sc_cmd_str(c, "api-key-env")) : NULL, *const *words =
                                                                                                      sc_cmd_words(
                                                                                                          c, &n);
    o->n_models = sc_cmd_count(c, "model");
    o->n_apis = sc_cmd_count(c, "api-model");
    o->n_methods = sc_cmd_count(c, "method");
    o->n_labels = sc_cmd_count(c, "label");
    o->n_task_data = sc_cmd_count(c, "data");
    if (o->n_models > MOST || o->n_apis > MOST || o->n_methods > MOST || o->n_labels > MOST ||
        o->n_task_data > MOST)
        return sc_cmd_usage(c, "more than %d of an option", MOST);
    if (o->n_apis && !sc_cmd_str(c, "api")) return sc_cmd_usage(c, "--api-model needs --api URL");
    if (o->n_models + o->n_apis == 0) return sc_cmd_usage(c, "no --model");
    for (int i = 0; i < o->n_models; i++)
        if (sc_hub_resolve(&l->model[i], sc_cmd_list(c, "model", i))) return sc_cmd_fail(c);
    for (int i = 0; i < o->n_apis; i++)
        l->api[i] =
            (sc_asker_api){.url = sc_cmd_str(c, "api"), .model = sc_cmd_list(c, "api-model", i), .key = key};
    for (int i = 0; i < o->n_task_data; i++) l->task_data[i] = sc_cmd_list(c, "data", i);
    for (int i = 0; i < o->n_methods; i++) l->method[i] = sc_cmd_list(c, "method", i);
    for (int i = 0; i < o->n_labels; i++) {
        l->label[i] = sc_cmd_list(c, "label", i);
        if (!strchr(l->label[i], '=')) return sc_cmd_usage(c, "--label '%s': ANSWER=WORD is needed", l->label[i]);
    }
    if ((o->n_curve = read_curve(c, l->curve)) < 0)
        return sc_cmd_usage(c, "--curve is numbers with commas between: 50,100,200");
    if ((o->memory = read_memory(sc_cmd_str(c, "memory"))) < 0)
        return sc_cmd_usage(c, "--memory is bytes, or 512M or 4G");
    o->n_columns = read_columns(c, l);
    if (!(l->args = calloc((size_t)n + 1, sizeof *l->args))) return sc_cmd_error(c, "out of memory");
    l->args[0] = "socle";
    for (int i = 0; i < n; i++) l->args[i + 1] = words[i];
    o->models = (const char *const *)l->model;
    o->apis = l->api;
    o->methods = l->method;
    o->labels = l->label;
    o->task_data = l->task_data;
    o->columns = l->column;
    o->curve = l->curve;
    o->args = l->args;
    o->n_args = n + 1;
    return 0;
}

static int print_results(sc_cmd *c, const char *out)
{
    char path[4096];
    int64_t n;
    snprintf(path, sizeof path, "%s/results.%s", out, sc_cmd_flag(c, "json") ? "json" : "md");
    char *text = sc_cmd_read(c, path, 1 << 28, &n);
    if (!text) return 1;
    fwrite(text, 1, (size_t)n, stdout);
    sc_free(text);
    sc_cmd_note(c, "%s/report.html has the pictures", out);
    return 0;
}

static int compare(sc_cmd *c)
{
    lists l = {0};
    sc_compare_options o = {.data = sc_cmd_str(c, "task"),
                            .train = sc_cmd_str(c, "train"),
                            .test = sc_cmd_str(c, "test"),
                            .list = sc_cmd_str(c, "list"),
                            .input = sc_cmd_str(c, "input"),
                            .answer = sc_cmd_str(c, "answer"),
                            .choices = sc_cmd_str(c, "choices"),
                            .prompt = sc_cmd_str(c, "prompt"),
                            .instruction = sc_cmd_str(c, "instruction"),
                            .metric = sc_cmd_str(c, "metric"),
                            .chat = sc_cmd_flag(c, "chat"),
                            .test_items = sc_cmd_int(c, "test-items"),
                            .train_items = sc_cmd_int(c, "train-items"),
                            .dev_items = sc_cmd_int(c, "dev-items"),
                            .shots = sc_cmd_int(c, "shots"),
                            .pick = sc_cmd_str(c, "pick"),
                            .samples = sc_cmd_int(c, "samples"),
                            .reward = sc_cmd_str(c, "reward"),
                            .max_tokens = sc_cmd_int(c, "max-tokens"),
                            .think_tokens = sc_cmd_int(c, "think-tokens"),
                            .seeds = (int)sc_cmd_int(c, "seeds"),
                            .seed = (uint64_t)sc_cmd_int(c, "seed"),
                            .epochs = sc_cmd_num(c, "epochs"),
                            .batch = sc_cmd_int(c, "batch"),
                            .length = sc_cmd_int(c, "length"),
                            .lr = sc_cmd_num(c, "lr"),
                            .rank = sc_cmd_int(c, "rank"),
                            .seconds = 60 * sc_cmd_num(c, "minutes"),
                            .confidence = sc_cmd_num(c, "confidence"),
                            .out = sc_cmd_str(c, "out")};
    if (!o.out) return sc_cmd_usage(c, "--out DIR is needed");
    sc_cmd_stop_on(SIGTERM);
    int code = read_lists(c, &l, &o);
    sc_context *ctx = code ? NULL : sc_cmd_context(c);
    if (!code && !ctx) code = sc_cmd_fail(c);
    if (!code && sc_compare(ctx, &o, cell, c)) code = sc_cmd_fail(c);
    if (!code) {
        sc_cmd_clear_progress(c);
        code = print_results(c, o.out);
    }
    for (int i = 0; i < MOST; i++) sc_free(l.model[i]);
    free(l.args);
    free(l.columns);
    return code;
}

static const sc_option options[] = {
    {"model", 'm', SC_OPT_STR, "MODEL", "a model to compare: a directory, a .gguf file or a name", .many = true},
    {"api", 0, SC_OPT_STR, "URL", "an OpenAI-compatible endpoint, before /chat/completions"},
    {"api-model", 0, SC_OPT_STR, "NAME", "a model there to compare; it is asked, not trained", .many = true},
    {"api-key-env", 0, SC_OPT_STR, "VARIABLE", "where the endpoint's key is", .value = "OPENAI_API_KEY"},
    {"task", 0, SC_OPT_FILE, "TASK",
     "rows of inputs and answers: .jsonl, .json, .csv or .tsv, maybe .gz or .zst; or a task as socle eval takes "
     "it"},
    {"data", 'd', SC_OPT_STR, "[SPLIT=]FILE", "a file of such a task", .many = true},
    {"train", 0, SC_OPT_FILE, "FILE", "rows to learn from, with --test, in place of parts of --task"},
    {"test", 0, SC_OPT_FILE, "FILE", "rows to test on, with --train"},
    {"method", 0, SC_OPT_STR, "METHOD",
     "a way of asking as socle run has them (zero-shot, one-shot, few-shot[:K], cot, few-shot-cot, "
     "self-consistency[:N], "
     "best-of-n[:N], tree, tree-dfs, think[:TOKENS]), or of training: prompt-tuned, lora, full; not given: "
     "zero-shot, few-shot "
     "and lora",
     .many = true},
    {"out", 'o', SC_OPT_DIR, "DIR",
     "report.html, results.json, results.md and every answer; what is there is not done again"},
    {"input", 0, SC_OPT_STR, "FIELD", "of a row; not given: the usual names"},
    {"answer", 0, SC_OPT_STR, "FIELD", "of a row; not given: the usual names"},
    {"choices", 0, SC_OPT_STR, "FIELD", "of a row: a list; or several fields with commas between"},
    {"columns", 0, SC_OPT_STR, "NAME,...", "of a table whose first line is not their names"},
    {"list", 0, SC_OPT_STR, "FIELD", "of a .json file: where the rows are"},
    {"label", 0, SC_OPT_STR, "ANSWER=WORD", "how an answer is worded: 0=negative", .many = true},
    {"prompt", 'p', SC_OPT_STR, "TEXT",
     "what is asked, with {input} and, to list the choices, {choices}; not given: 'Question: {input}\\nAnswer:'"},
    {"instruction", 0, SC_OPT_STR, "TEXT", "before everything"},
    {"chat", 0, SC_OPT_FLAG, .help = "ask by way of the chat template"},
    {"metric", 0, SC_OPT_CHOICE, "choice|exact|number", "what is right; not given: by what the answers are"},
    {"test-items", 0, SC_OPT_INT, "N", "to test on, at most", .value = "200", .lo = 1, .hi = 1e7},
    {"train-items", 0, SC_OPT_INT, "N", "to learn from, at most", .value = "500", .lo = 1, .hi = 1e7},
    {"dev-items", 0, SC_OPT_INT, "N", "to choose the best checkpoint by, at most", .value = "50", .lo = 1,
     .hi = 1e7},
    {"curve", 0, SC_OPT_STR, "N,...", "train on so many examples too, for a learning curve"},
    {"shots", 'k', SC_OPT_INT, "K", "of few-shot", .value = "5", .lo = 1, .hi = 64},
    {"pick", 0, SC_OPT_CHOICE, "random|balanced|nearest", "which shots", .value = "balanced"},
    {"samples", 0, SC_OPT_INT, "N", "of self-consistency and best-of-n", .value = "5", .lo = 2, .hi = 256},
    {"reward", 0, SC_OPT_DIR, "MODEL", "a reward model, which best-of-n chooses by; not given: by likelihood"},
    {"max-tokens", 0, SC_OPT_INT, "N", "of an answer", .value = "32", .lo = 1, .hi = 65536},
    {"think-tokens", 0, SC_OPT_INT, "N", "of reasoning", .value = "128", .lo = 1, .hi = 65536},
    {"seeds", 0, SC_OPT_INT, "N", "how often what depends on chance is done", .value = "1", .lo = 1, .hi = 100},
    {"seed", 's', SC_OPT_INT, "N", "of parts, shots, samples and training", .value = "0", .lo = 0, .hi = 1e15},
    {"epochs", 0, SC_OPT_NUM, "N", "of training", .value = "3", .lo = 1e-6, .hi = 1e6},
    {"batch", 'b', SC_OPT_INT, "N", "examples of a step", .value = "8", .lo = 1, .hi = 65536},
    {"length", 'l', SC_OPT_INT, "N", "tokens of an example, at most", .value = "512", .lo = 8, .hi = 1 << 20},
    {"lr", 0, SC_OPT_NUM, "RATE", "of training; 0: 3e-5 for full, 5e-4 for lora, 0.03 for prompt-tuned",
     .value = "0", .lo = 0, .hi = 100},
    {"rank", 0, SC_OPT_INT, "R", "of lora", .value = "8", .lo = 1, .hi = 4096},
    {"minutes", 0, SC_OPT_NUM, "N", "for everything, shared among the cells; 0: no limit", .value = "0", .lo = 0,
     .hi = 1e9},
    {"memory", 0, SC_OPT_STR, "SIZE", "leave out what would need more: 4G"},
    {"confidence", 0, SC_OPT_NUM, "SHARE", "of intervals and tests", .value = "0.95", .lo = 0.5, .hi = 0.9999},
    {"json", 0, SC_OPT_FLAG, .help = "print results.json rather than the table"},
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {{"socle compare -m SmolLM2 -m ./mine --task reviews.csv --out cmp",
                                       "Zero-shot, few-shot and LoRA of two models on one's own data"},
                                      {"socle compare -m SmolLM2 --train train.jsonl --test test.jsonl --method "
                                       "cot --method self-consistency --out cmp",
                                       "Does reasoning help?"},
                                      {"socle compare -m SmolLM2 --task nsmc.tsv --input document --label "
                                       "0=negative --label 1=positive --curve 50,100,200 --minutes 15 --out cmp",
                                       "How many examples LoRA needs, within a quarter of an hour"},
                                      {0}};
const sc_verb sc_verb_compare = {.name = "compare",
                                 .summary = "Compare models and ways of adapting them on one task",
                                 .args = "",
                                 .max_args = 0,
                                 .about =
                                     "Every model answers the same items by every method: asked as it is, with "
                                     "solved examples, with reasoning, or after "
                                     "training on the part of the data that is not tested on. The report has "
                                     "accuracies with intervals, seconds, memory, learning "
                                     "curves, which differences are significant, and answers side by side.\n\n"
                                     "Rows have an input and an answer, and choices where there are any. Where "
                                     "answers are few words that come again they are "
                                     "classes, and the likeliest counts; else an answer is generated and compared.",
                                 .options = options,
                                 .examples = examples,
                                 .run = compare};
