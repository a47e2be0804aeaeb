/* SPDX-License-Identifier: Apache-2.0 */
/* A comparison from its options to its reports: which cells there are, in which order, and for how long. */
#include "compare/compare.h"

#include <ctype.h>
#include <stdlib.h>

enum { MOST_RUNS = 10000 };

/* ---- options ---- */

static sc_status check_options(sc_compare_options *o)
{
    static const char *const usual[] = {"zero-shot", "few-shot", "lora"};
    if (!o->out || !o->out[0]) return sc_fail(SC_EINVAL, "no folder for the comparison");
    if (o->n_models + o->n_apis < 1) return sc_fail(SC_EINVAL, "no model to compare");
    if (!o->n_methods) {
        o->methods = usual;
        o->n_methods = SC_COUNT(usual);
    }
    for (int i = 0; i < o->n_models; i++)
        if (!sc_path_exists(o->models[i])) return sc_fail(SC_ENOTFOUND, "%s: no such model", o->models[i]);
    for (int i = 0; i < o->n_curve; i++)
        if (o->curve[i] < 1) return sc_fail(SC_EINVAL, "a curve's point of %lld examples", (long long)o->curve[i]);
    if (o->pick && strcmp(o->pick, "random") != 0 && strcmp(o->pick, "balanced") != 0 &&
        strcmp(o->pick, "nearest") != 0)
        return sc_fail(SC_EINVAL, "examples are picked random, balanced or nearest, not '%s'", o->pick);
    const struct {
        int64_t *value, usual, most;
        const char *name;
    } counts[] = {{&o->shots, 5, 64, "shots"},
                  {&o->samples, 5, 256, "samples"},
                  {&o->max_tokens, 32, 1 << 16, "tokens of an answer"},
                  {&o->think_tokens, 128, 1 << 16, "tokens of reasoning"},
                  {&o->batch, 8, 65536, "examples of a batch"},
                  {&o->length, 512, 1 << 20, "tokens of an example"},
                  {&o->rank, 8, 4096, "rank"}};
    for (int i = 0; i < SC_COUNT(counts); i++) {
        if (!*counts[i].value) *counts[i].value = counts[i].usual;
        if (*counts[i].value < 1 || *counts[i].value > counts[i].most)
            return sc_fail(SC_EINVAL, "%s: %lld is not within 1 and %lld", counts[i].name,
                           (long long)*counts[i].value, (long long)counts[i].most);
    }
    if (!o->seeds) o->seeds = 1;
    if (o->epochs == 0) o->epochs = 3;
    if (o->confidence == 0) o->confidence = 0.95;
    if (o->seeds < 1 || o->seeds > 100) return sc_fail(SC_EINVAL, "%d seeds; 1 to 100 are possible", o->seeds);
    if (!(o->confidence > 0 && o->confidence < 1)) return sc_fail(SC_EINVAL, "a confidence of %g", o->confidence);
    return SC_OK;
}

/* What answers depend on. A folder that was begun with other values of these holds other cells. */
static json_t *kept_options(const sc_compare_state *c)
{
    const sc_compare_options *o = &c->o;
    return json_pack("{s:I, s:s, s:s, s:s, s:b, s:s, s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:I, s:f, s:I, s:I}",
                     "task", (json_int_t)c->task.fingerprint, "metric", sc_compare_metric_names[c->task.metric],
                     "prompt", o->prompt ? o->prompt : "", "instruction", o->instruction ? o->instruction : "",
                     "chat", o->chat, "pick", o->pick ? o->pick : "", "reward", o->reward ? o->reward : "", "shots",
                     (json_int_t)o->shots, "samples", (json_int_t)o->samples, "max_tokens",
                     (json_int_t)o->max_tokens, "think_tokens", (json_int_t)o->think_tokens, "epochs", o->epochs,
                     "batch", (json_int_t)o->batch, "length", (json_int_t)o->length, "lr", o->lr, "rank",
                     (json_int_t)o->rank, "seed", (json_int_t)o->seed);
}

/* ---- the folder ---- */

static const char *model_path(const sc_compare_options *o, int i)
{
    return i < o->n_models ? o->models[i] : o->apis[i - o->n_models].model;
}

/* A name for a model that can be a folder's: the last part of its path; the one it had before; or with a number behind it where
 * another model has it. */
static const char *name_model(sc_arena *a, json_t *known, const char *path)
{
    const char *key, *end = path + strlen(path);
    json_t *v;
    json_object_foreach(known, key, v)
    {
        if (strcmp(json_string_value(v), path) == 0) return sc_arena_strndup(a, key, strlen(key));
    }
    while (end > path && end[-1] == '/') end--;
    const char *begin = end;
    while (begin > path && begin[-1] != '/') begin--;
    if (end - begin > 5 && strncmp(end - 5, ".gguf", 5) == 0) end -= 5;
    char *name = sc_arena_strndup(a, begin, (size_t)(end - begin)), *base = name;
    for (char *p = name; p && *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("._-", *p)) *p = '_';
    if (name && (!*name || *name == '.')) base = name = sc_arena_printf(a, "model%s", name);
    for (int k = 2; name && json_object_get(known, name); k++) name = sc_arena_printf(a, "%s-%d", base, k);
    if (name && json_object_set_new(known, name, json_string(path))) return NULL;
    return name;
}

static sc_status open_folder(sc_compare_state *c, const char **names)
{
    char *path = sc_path_join(c->o.out, "compare.json"), *text = NULL;
    json_t *had = NULL, *models = NULL, *now = kept_options(c), *v;
    const char *key;
    sc_status s = path && now ? sc_mkdirs(c->o.out) : sc_nomem();
    if (!s && sc_path_exists(path)) s = sc_json_read(&had, path, 1 << 22);
    json_object_foreach(now, key, v)
    {
        const json_t *w = json_object_get(json_object_get(had, "options"), key);
        if (!s && had && !json_equal(v, w))
            s = sc_fail(SC_EINVAL, "%s was begun with another %s; another --out keeps both", c->o.out, key);
    }
    if (!s && !(models = json_deep_copy(json_object_get(had, "models"))) && !(models = json_object()))
        s = sc_nomem();
    for (int i = 0; !s && i < c->o.n_models + c->o.n_apis; i++) {
        if (!(names[i] = name_model(c->task.arena, models, model_path(&c->o, i)))) s = sc_nomem();
        for (int k = 0; !s && k < i; k++)
            if (strcmp(names[k], names[i]) == 0) s = sc_fail(SC_EINVAL, "%s is given twice", model_path(&c->o, i));
    }
    json_t *all = !s ? json_pack("{s:O, s:O}", "options", now, "models", models) : NULL;
    if (!s && (!all || !(text = json_dumps(all, JSON_INDENT(1))))) s = sc_nomem();
    if (!s) s = sc_file_write(path, text, (int64_t)strlen(text));
    json_decref(all);
    json_decref(models);
    json_decref(had);
    json_decref(now);
    sc_free(text);
    sc_free(path);
    return s;
}

/* ---- cells ---- */

static sc_status add_run(sc_compare_state *c, int model, const char *name, const sc_compare_method *how, int seed,
                         int64_t train)
{
    if (c->n_runs == MOST_RUNS) return sc_fail(SC_ELIMIT, "more than %d cells", MOST_RUNS);
    sc_compare_run *r = &c->run[c->n_runs++];
    *r = (sc_compare_run){.arena = sc_arena_new(),
                          .model = model,
                          .model_name = name,
                          .method = how,
                          .seed = (uint64_t)seed,
                          .train = train};
    if (!r->arena) return sc_nomem();
    char *label = sc_arena_printf(r->arena, "%s", how->name), *colon = label ? strchr(label, ':') : NULL;
    if (colon) *colon = '-'; /* of "few-shot:8" */
    char *where = !label ? NULL
                  : how->learns
                      ? sc_arena_printf(r->arena, "cells/%s/%s-%lld-seed%d", name, label, (long long)train, seed)
                      : sc_arena_printf(r->arena, "cells/%s/%s-seed%d", name, label, seed);
    if (!where || !(r->dir = sc_path_join(c->o.out, where))) return sc_nomem();
    return sc_compare_run_load(c, r);
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

/* How many examples there are trainings with, into size; the last has all. */
static int training_sizes(const sc_compare_state *c, int64_t *size)
{
    int n = 0;
    for (int i = 0; i < c->o.n_curve; i++)
        if (c->o.curve[i] < c->task.train.n) size[n++] = c->o.curve[i];
    size[n++] = c->task.train.n;
    qsort(size, (size_t)n, sizeof *size, ascending);
    int kept = 1;
    for (int i = 1; i < n; i++)
        if (size[i] != size[kept - 1]) size[kept++] = size[i];
    return kept;
}

/* Each method once. */
static sc_status make_methods(sc_compare_state *c)
{
    sc_status s = SC_OK;
    int n = 0;
    if (!(c->method = sc_calloc((size_t)c->o.n_methods, sizeof *c->method))) return sc_nomem();
    for (int i = 0; !s && i < c->o.n_methods; i++) {
        bool twice = false;
        s = sc_compare_method_make(&c->method[n], c->o.methods[i], &c->o);
        for (int k = 0; !s && k < n; k++) twice |= strcmp(c->method[k].name, c->method[n].name) == 0;
        if (!s && !twice) n++;
    }
    c->o.n_methods = n;
    return s;
}

/* The most important first, so that a comparison that is stopped has them: full training sets before the points of curves. */
static sc_status add_runs(sc_compare_state *c, const char *const *names)
{
    int64_t *size = sc_malloc(sizeof *size * (size_t)(c->o.n_curve + 1));
    int models = c->o.n_models + c->o.n_apis, sizes = size ? training_sizes(c, size) : 0;
    int64_t most = (int64_t)models * c->o.n_methods * c->o.seeds * SC_MAX(sizes, 1);
    sc_status s = !size              ? sc_nomem()
                  : most > MOST_RUNS ? sc_fail(SC_ELIMIT, "more than %d cells", MOST_RUNS)
                                     : SC_OK;
    if (!s && !(c->run = sc_calloc((size_t)most, sizeof *c->run))) s = sc_nomem();
    for (int k = sizes - 1; !s && k >= 0; k--)
        for (int seed = 0; !s && seed < c->o.seeds; seed++)
            for (int i = 0; !s && i < c->o.n_methods; i++)
                for (int m = 0; !s && m < models; m++) {
                    const sc_compare_method *how = &c->method[i];
                    if ((!how->learns && k < sizes - 1) || (seed && !sc_compare_by_chance(how))) continue;
                    s = add_run(c, m, names[m], how, seed, how->learns ? size[k] : 0);
                }
    sc_free(size);
    return s;
}

/* ---- going through them ---- */

static sc_status write_reports(const sc_compare_state *c)
{
    sc_compare_results x;
    sc_status s = sc_compare_results_make(&x, c);
    if (!s) s = sc_compare_write_tables(c, &x);
    if (!s) s = sc_compare_write_page(c, &x);
    sc_compare_results_free(&x);
    return s;
}

static void tell(const sc_compare_state *c, const sc_compare_run *r, int done, sc_compare_report *report,
                 void *user)
{
    double right = 0;
    sc_interval v = {0};
    for (int64_t i = 0; i < r->n_answers; i++) right += r->answer[i].score;
    if (r->n_answers) (void)sc_stats_wilson(&v, (int64_t)right, r->n_answers, c->o.confidence);
    const sc_compare_cell cell = {r->model_name, r->method->name, r->train,         r->n_answers,  v.value, v.low,
                                  v.high,        r->seconds,      r->train_seconds, r->peak_bytes, r->note};
    if (report) report(user, &cell, done, c->n_runs);
}

/* What a cell may take: an equal share of what is left. < 0: nothing is left. */
static double share(const sc_compare_state *c, int at)
{
    double left = c->o.seconds;
    int open = 0;
    if (left <= 0) return 0;
    for (int i = 0; i < c->n_runs; i++) {
        left -= c->run[i].seconds + c->run[i].train_seconds;
        open += i >= at && !c->run[i].ended;
    }
    return left > 0 ? left / SC_MAX(open, 1) : -1;
}

static sc_status go_through(sc_compare_state *c, sc_compare_report *report, void *user)
{
    sc_status s = SC_OK;
    for (int i = 0; !s && i < c->n_runs; i++) {
        sc_compare_run *r = &c->run[i];
        double seconds = share(c, i);
        if (!r->ended && seconds < 0) {
            r->note = "there was no time left";
        } else if (!r->ended) {
            s = sc_compare_run_go(c, r, seconds);
        }
        if (!s) tell(c, r, i + 1, report, user);
        if (!s && i + 1 < c->n_runs) s = write_reports(c);
    }
    return s;
}

sc_status sc_compare(sc_context *ctx, const sc_compare_options *options, sc_compare_report *report, void *user)
{
    sc_compare_state c = {.ctx = ctx, .o = *options};
    const char **names = sc_calloc((size_t)SC_MAX(options->n_models + options->n_apis, 1), sizeof *names);
    sc_status s = names ? check_options(&c.o) : sc_nomem();
    if (!s) s = make_methods(&c);
    if (!s) s = sc_compare_task_read(&c.task, ctx, &c.o);
    if (!s && c.o.reward) s = sc_ask_judge_open(&c.judge, ctx, c.o.reward);
    if (!s) s = open_folder(&c, names);
    if (!s) s = add_runs(&c, names);
    if (!s) s = go_through(&c, report, user);
    if (c.n_runs && (!s || s == SC_ECANCELLED)) {
        sc_status written = write_reports(&c);
        if (s)
            (void)sc_fail(s, "stopped; the same command goes on");
        else
            s = written;
    }
    for (int i = 0; i < c.n_runs; i++) {
        sc_arena_free(c.run[i].arena);
        sc_free(c.run[i].dir);
        sc_free(c.run[i].answer);
    }
    sc_free(c.run);
    sc_free(c.method);
    sc_ask_judge_free(c.judge);
    sc_compare_task_free(&c.task);
    sc_free(names);
    return s;
}
