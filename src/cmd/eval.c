/* SPDX-License-Identifier: Apache-2.0 */
/* `socle eval`: models on tasks. */
#include "socle/eval.h"
#include "cmd/cmd.h"
#include "socle/hub.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST = 64 }; /* of each list that is typed */

typedef struct eval {
    sc_cmd *c;
    sc_eval_set *set;
    sc_eval_options o;
    sc_adapter_list adapters;
    json_t *models; /* array: what there is of each model */
    char *cache;
} eval;

/* ---- what was typed ---- */

/* "TASK:SPLIT=FILE", "SPLIT=FILE" or "FILE"; the parts are cut out of a copy, which `copy` keeps. */
static bool read_data(const char *typed, char **copy, sc_eval_data *out)
{
    char *p = *copy = strdup(typed), *equals = p ? strchr(p, '=') : NULL;
    *out = (sc_eval_data){.path = p};
    if (!p) return false;
    if (!equals || memchr(p, '/', (size_t)(equals - p))) return true; /* a path with = in it */
    *equals = 0;
    out->path = equals + 1;
    char *colon = strchr(p, ':');
    out->split = p;
    if (colon) {
        *colon = 0;
        out->task = p;
        out->split = colon + 1;
        if (!*out->split) out->split = NULL;
    }
    return true;
}

static int open_set(eval *x)
{
    sc_cmd *c = x->c;
    const char *names[MOST], *folders[MOST];
    char *copy[MOST] = {NULL};
    sc_eval_data data[MOST];
    int tasks = sc_cmd_count(c, "task"), n_folders = sc_cmd_count(c, "folder"), n_data = sc_cmd_count(c, "data"),
        code = 0;
    if (tasks > MOST || n_folders > MOST || n_data > MOST) return sc_cmd_usage(c, "at most %d of an option", MOST);
    for (int i = 0; i < tasks; i++) names[i] = sc_cmd_list(c, "task", i);
    for (int i = 0; i < n_folders; i++) folders[i] = sc_cmd_list(c, "folder", i);
    for (int i = 0; i < n_data && !code; i++)
        if (!read_data(sc_cmd_list(c, "data", i), &copy[i], &data[i])) code = sc_cmd_error(c, "out of memory");
    sc_eval_open_options o = {.folders = folders,
                              .n_folders = n_folders,
                              .data = data,
                              .n_data = n_data,
                              .made = sc_cmd_int(c, "items"),
                              .language = sc_cmd_str(c, "language"),
                              .seed = (uint64_t)sc_cmd_int(c, "world-seed")};
    sc_context *ctx = sc_cmd_context(c);
    if (!code && (!ctx || sc_eval_open(&x->set, ctx, names, tasks, &o))) code = sc_cmd_fail(c);
    for (int i = 0; i < n_data; i++) free(copy[i]);
    return code;
}

static int list_tasks(void)
{
    int n;
    const sc_eval_builtin *b = sc_eval_builtins(&n);
    for (int i = 0; i < n; i++) printf("%-16s %s\n", b[i].name, b[i].summary);
    return 0;
}

/* ---- results ---- */

static void put_metrics(json_t *o, const sc_eval_result *r)
{
    for (int i = 0; i < r->n_metrics; i++) {
        const sc_eval_metric *m = &r->metric[i];
        char key[160];
        snprintf(key, sizeof key, "%.60s,%.60s", m->name, m->filter);
        json_object_set_new(o, key, isfinite(m->value) ? json_real(m->value) : json_null());
        snprintf(key, sizeof key, "%.60s_stderr,%.60s", m->name, m->filter);
        json_object_set_new(o, key, isfinite(m->error) ? json_real(m->error) : json_string("N/A"));
    }
}

static json_t *result_json(const sc_eval_result *r)
{
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:I, s:f}", "task", r->task, "shots", (json_int_t)r->shots, "items",
                          (json_int_t)r->n_samples, "requests", (json_int_t)r->requests, "cached",
                          (json_int_t)r->cached, "seconds", r->seconds);
    json_t *metrics = json_object();
    put_metrics(metrics, r);
    json_object_set_new(o, "metrics", metrics);
    return o;
}

static void put_rows(const char *model, const sc_eval_result *r, bool group)
{
    for (int i = 0; i < r->n_metrics; i++) {
        const sc_eval_metric *m = &r->metric[i];
        printf("| %s | %s%s | ", model, group ? "(group) " : "", r->task);
        if (group)
            printf("| ");
        else
            printf("%lld | ", (long long)r->shots);
        printf("%s | %s | %s | %.4f | ", m->filter, m->name, m->higher_is_better ? "↑" : "↓", m->value);
        if (isfinite(m->error))
            printf("± %.4f | ", m->error);
        else
            printf("| ");
        printf("%lld |\n", (long long)m->n);
    }
}

/* A name that is safe in a path. */
static void file_name(char *out, size_t cap, const char *text)
{
    size_t n = 0;
    for (; *text && n + 1 < cap; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                     (*text >= '0' && *text <= '9') || strchr("-_.", *text);
        out[n++] = plain ? *text : '_';
    }
    out[n] = 0;
}

static int write_text(sc_cmd *c, const char *path, json_t *o)
{
    char temporary[4200];
    snprintf(temporary, sizeof temporary, "%s.new", path);
    if (json_dump_file(o, temporary, JSON_INDENT(2)) || rename(temporary, path))
        return sc_cmd_error(c, "%s: could not be written: %s", path, strerror(errno));
    return 0;
}

static int write_samples(sc_cmd *c, const char *model, const sc_eval_result *r)
{
    char path[4096], temporary[4200], name[200], of[200];
    file_name(of, sizeof of, model);
    file_name(name, sizeof name, r->task);
    snprintf(path, sizeof path, "%.3000s/samples_%s_%s.jsonl", sc_cmd_str(c, "out"), of, name);
    snprintf(temporary, sizeof temporary, "%s.new", path);
    FILE *f = fopen(temporary, "w");
    if (!f) return sc_cmd_error(c, "%s: %s", temporary, strerror(errno));
    for (int64_t i = 0; i < r->n_samples; i++) fprintf(f, "%s\n", r->sample[i].json);
    bool bad = ferror(f);
    bad |= fclose(f) != 0;
    if (bad || rename(temporary, path))
        return sc_cmd_error(c, "%s: could not be written: %s", path, strerror(errno));
    return 0;
}

/* ---- models ---- */

typedef struct model {
    const char *name;
    sc_asker *asker;       /* opened where a task needs it */
    sc_embedder *embedder; /* the same */
} model;

static int open_embedder(eval *x, model *m)
{
    char *path = NULL;
    sc_context *ctx = sc_cmd_context(x->c);
    if (sc_cmd_given(x->c, "api"))
        return sc_cmd_error(x->c, "tasks of similarity and retrieval need a model here, not an endpoint");
    sc_status s = sc_hub_resolve(&path, m->name);
    if (!s) s = sc_embedder_open(&m->embedder, ctx, path, NULL);
    sc_free(path);
    return s ? sc_cmd_fail(x->c) : 0;
}

static int open_asker(eval *x, model *m)
{
    sc_model_options how = {
        .adapters = x->adapters.dir, .adapter_weights = x->adapters.weight, .n_adapters = x->adapters.n};
    sc_asker_options o = {.model = &how,
                          .context = sc_cmd_int(x->c, "context"),
                          .cache = sc_dtype_named(sc_cmd_str(x->c, "cache-type")),
                          .batch = (int)sc_cmd_int(x->c, "batch")};
    return sc_cmd_asker(x->c, m->name, &o, &m->asker);
}

static int run_task(eval *x, model *m, const sc_eval_task *t, sc_eval_result **out)
{
    sc_context *ctx = sc_cmd_context(x->c);
    bool vectors = sc_eval_task_kind(t) >= SC_EVAL_SIMILARITY;
    int code = vectors ? m->embedder ? 0 : open_embedder(x, m) : m->asker ? 0 : open_asker(x, m);
    if (code) return code;
    sc_status s =
        vectors ? sc_eval_run_vectors(out, ctx, t, m->embedder, &x->o) : sc_eval_run(out, ctx, t, m->asker, &x->o);
    if (s) return sc_cmd_fail(x->c);
    sc_cmd_clear_progress(x->c);
    return sc_cmd_str(x->c, "out") ? write_samples(x->c, m->name, *out) : 0;
}

static json_t *costs(const model *m)
{
    sc_ask_counts n;
    if (!m->asker) return json_object();
    sc_asker_counts(m->asker, &n);
    return json_pack("{s:I, s:I, s:I, s:I, s:f, s:I}", "prompt_tokens", (json_int_t)n.prompt_tokens,
                     "cached_tokens", (json_int_t)n.cached_tokens, "generated_tokens",
                     (json_int_t)n.generated_tokens, "scored_tokens", (json_int_t)n.scored_tokens, "seconds",
                     n.seconds, "peak_bytes", (json_int_t)n.peak_bytes);
}

static int run_groups(eval *x, const char *name, json_t *groups, sc_eval_result *const *results)
{
    sc_eval_result *g;
    int n;
    if (sc_eval_groups(&g, &n, x->set, results)) return sc_cmd_fail(x->c);
    for (int i = 0; i < n; i++) {
        json_t *metrics = json_object();
        put_metrics(metrics, &g[i]);
        json_object_set_new(groups, g[i].task, metrics);
        if (!sc_cmd_flag(x->c, "json")) put_rows(name, &g[i], true);
    }
    sc_eval_groups_free(g, n);
    return 0;
}

static int run_model(eval *x, const char *name)
{
    model m = {.name = name};
    int n = sc_eval_count(x->set), code = 0;
    sc_eval_result **results = calloc((size_t)n, sizeof *results);
    json_t *tasks = json_array(), *groups = json_object();
    if (!results) code = sc_cmd_error(x->c, "out of memory");
    for (int i = 0; i < n && !code; i++) {
        code = run_task(x, &m, sc_eval_at(x->set, i), &results[i]);
        if (code) break;
        json_array_append_new(tasks, result_json(results[i]));
        if (!sc_cmd_flag(x->c, "json")) put_rows(name, results[i], false);
        fflush(stdout);
    }
    if (!code) code = run_groups(x, name, groups, results);
    json_array_append_new(x->models, json_pack("{s:s, s:o, s:o, s:o}", "model", name, "tasks", tasks, "groups",
                                               groups, "cost", costs(&m)));
    for (int i = 0; results && i < n; i++) sc_eval_result_free(results[i]);
    free(results);
    sc_asker_free(m.asker);
    sc_embedder_free(m.embedder);
    return code;
}

static int prepare(eval *x)
{
    sc_cmd *c = x->c;
    const char *out = sc_cmd_str(c, "out");
    x->o = sc_eval_options_default();
    x->o.limit = sc_cmd_int(c, "limit");
    if (sc_cmd_given(c, "shots")) x->o.shots = sc_cmd_int(c, "shots");
    x->o.seed = (uint64_t)sc_cmd_int(c, "seed");
    x->o.chat = sc_cmd_flag(c, "chat");
    x->o.multiturn = sc_cmd_flag(c, "multiturn");
    x->o.system = sc_cmd_str(c, "system");
    x->o.method = sc_cmd_str(c, "method");
    x->o.bootstrap = sc_cmd_int(c, "bootstrap");
    x->o.most_tokens = sc_cmd_int(c, "max-new-tokens");
    x->o.code = sc_cmd_flag(c, "run-code");
    x->o.cache = sc_cmd_str(c, "cache");
    x->o.model = x->adapters.n ? x->adapters.text[0] : NULL;
    if (out && mkdir(out, 0777) && errno != EEXIST) return sc_cmd_error(c, "%s: %s", out, strerror(errno));
    if (out && !x->o.cache) {
        size_t n = strlen(out) + 20;
        if (!(x->cache = malloc(n))) return sc_cmd_error(c, "out of memory");
        snprintf(x->cache, n, "%s/requests.jsonl", out);
        x->o.cache = x->cache;
    }
    return 0;
}

static int finish(eval *x)
{
    sc_cmd *c = x->c;
    json_t *all = json_pack("{s:O, s:I, s:I, s:b}", "models", x->models, "seed", (json_int_t)x->o.seed, "limit",
                            (json_int_t)x->o.limit, "chat", x->o.chat);
    char path[4096];
    int code = 0;
    if (sc_cmd_str(c, "out")) {
        snprintf(path, sizeof path, "%.3000s/results.json", sc_cmd_str(c, "out"));
        code = write_text(c, path, all);
    }
    if (!code && sc_cmd_flag(c, "json")) return sc_cmd_json(c, all, JSON_INDENT(2));
    json_decref(all);
    return code;
}

static int run(sc_cmd *c)
{
    eval x = {.c = c, .models = json_array()};
    int n = sc_cmd_argc(c), code;
    if (sc_cmd_flag(c, "list")) return json_decref(x.models), list_tasks();
    if (!n && !sc_cmd_given(c, "api")) return json_decref(x.models), sc_cmd_usage(c, "which model?");
    if (!sc_cmd_count(c, "task"))
        return json_decref(x.models), sc_cmd_usage(c, "which task? --task FILE, or a name of --list");
    code = sc_cmd_adapters(c, &x.adapters);
    if (!code) code = prepare(&x);
    if (!code) code = open_set(&x);
    if (!code && !sc_cmd_flag(c, "json"))
        printf("| model | task | shots | filter | metric | | value | error | items "
               "|\n|---|---|--:|---|---|---|--:|--:|--:|\n");
    if (!code && !n) code = run_model(&x, sc_cmd_str(c, "api-model"));
    for (int i = 0; i < n && !code; i++) code = run_model(&x, sc_cmd_arg(c, i));
    if (!code) code = finish(&x);
    sc_eval_free(x.set);
    json_decref(x.models);
    free(x.cache);
    return code;
}

static const sc_option options[] = {
    {"task", 'T', SC_OPT_STR, "TASK", "a task file (.yaml), the name of one in a folder, or a built-in task",
     .many = true},
    {"list", 'l', SC_OPT_FLAG, .help = "the built-in tasks"},
    {"data", 'd', SC_OPT_STR, "[[TASK:]SPLIT=]FILE",
     "read this file instead of what tasks name; without SPLIT for what is evaluated", .many = true},
    {"folder", 'f', SC_OPT_DIR, "DIR", "look for task files and data files here too", .many = true},
    {"shots", 'k', SC_OPT_INT, "K", "solved examples before each item, instead of what the task says", .lo = 0,
     .hi = 1000},
    {"limit", 'n', SC_OPT_INT, "N", "only the first N items of each task; 0: all", .value = "0", .lo = 0,
     .hi = 1e9},
    {"chat", 0, SC_OPT_FLAG, .help = "ask by the model's chat template"},
    {"multiturn", 0, SC_OPT_FLAG, .help = "with --chat: examples as turns of their own"},
    {"method", 'm', SC_OPT_STR, "NAME",
     "ask in another way than the tasks' own prompts: zero-shot, few-shot[:K], chain-of-thought, few-shot-cot[:K], "
     "self-consistency[:N], best-of-n[:N], tree, think[:TOKENS] (docs/asking.md)"},
    {"system", 's', SC_OPT_STR, "TEXT", "said before everything"},
    {"out", 'o', SC_OPT_DIR, "DIR",
     "write results.json, samples and finished requests there; the same again goes on from these"},
    {"cache", 0, SC_OPT_FILE, "FILE", "keep finished requests there instead of in --out"},
    {"json", 'j', SC_OPT_FLAG, .help = "results as one JSON object"},
    {"max-new-tokens", 0, SC_OPT_INT, "N", "of a generated answer, at most; 0: as the task says", .value = "0",
     .lo = 0, .hi = 1e6},
    {"bootstrap", 0, SC_OPT_INT, "N", "samples for standard errors that no formula gives; 0: none",
     .value = "100000", .lo = 0, .hi = 1e7},
    {"seed", 0, SC_OPT_INT, "N", "of the choice of examples, and of sampling", .value = "1234", .lo = 0,
     .hi = 9e15},
    {"run-code", 0, SC_OPT_FLAG, .help = "run programs that the model writes, confined (tasks with pass@k)"},
    {"items", 0, SC_OPT_INT, "N", "items of a built-in task; 0: 200", .value = "0", .lo = 0, .hi = 1e5},
    {"language", 0, SC_OPT_CHOICE, "en|ko", "of built-in tasks; else both"},
    {"world-seed", 0, SC_OPT_INT, "N", "of the made world of built-in tasks", .value = "0", .lo = 0, .hi = 9e15},
    {"batch", 'b', SC_OPT_INT, "N", "answers computed at once; changes no result; 0: 8", .value = "0", .lo = 0,
     .hi = 256},
    {"context", 'c', SC_OPT_INT, "N", "tokens that a prompt with its answer may take; 0: the model's, at most 8192",
     .value = "0", .lo = 0, .hi = 1e7},
    {"cache-type", 0, SC_OPT_CHOICE, "f32|f16|bf16|q8_0", "type of the cached keys and values", .value = "f32"},
    SC_OPT_ADAPTER,
    SC_OPT_ASKER,
    SC_OPT_CONTEXT,
    {0}};
static const sc_example examples[] = {
    {"socle eval --list", "The built-in tasks"},
    {"socle eval SmolLM2-135M-Instruct --task add --task sentiment --shots 4 --limit 100",
     "Two of them, four examples each"},
    {"socle eval small.gguf large.gguf --task tasks/mmlu.yaml --folder data --out results",
     "A group of task files, two models; if it is stopped, the same line goes on"},
    {"socle eval model.gguf --task tasks/gsm8k.yaml --data test=gsm8k_test.jsonl --chat",
     "A task with a file of one's own, as a chat"},
    {"socle eval --api http://127.0.0.1:8000/v1 --api-model qwen --task tasks/gsm8k.yaml",
     "A model behind an endpoint"},
    {0}};
const sc_verb sc_verb_eval = {
    .name = "eval",
    .summary = "Measure models on tasks",
    .args = "[MODEL...]",
    .min_args = 0,
    .max_args = -1,
    .about = "Task files have the shape of EleutherAI's lm-evaluation-harness, and the same file gives the same "
             "numbers: "
             "multiple choice by log likelihood, perplexity, generated answers with filters and metrics, groups; "
             "docs/eval.md "
             "says which keys are read. Two more kinds ask for vectors: similarity of sentences, and "
             "retrieval.\n\nA table goes "
             "to stdout: values with their standard errors. --out keeps everything else: each item with what was "
             "asked and "
             "answered, and each finished request, so that a run that was stopped goes on where it was.",
    .options = options,
    .examples = examples,
    .run = run};
