/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks by name: files, files that include others, groups of them, and built-in ones. */
#include "eval/run.h"

#include <dirent.h>
#include <stdlib.h>

enum { MOST_TASKS = 1000, MOST_GROUPS = 200, MOST_NESTED = 8, MOST_FILES = 5000 };

typedef struct group {
    char *name;
    json_t *config;
    int *task; /* of the set */
    int n, cap;
} group;

struct sc_eval_set {
    sc_eval_task **task;
    int64_t n, cap;
    group *group; /* inner ones first */
    int64_t n_groups, cap_groups;
};

typedef struct opener {
    sc_eval_set *set;
    sc_context *ctx;
    sc_eval_open_options o;
    int depth;
} opener;

void sc_eval_free(sc_eval_set *s)
{
    if (!s) return;
    for (int64_t i = 0; i < s->n; i++) sc_eval_task_free(s->task[i]);
    for (int64_t i = 0; i < s->n_groups; i++) {
        sc_free(s->group[i].name);
        sc_free(s->group[i].task);
        json_decref(s->group[i].config);
    }
    sc_free(s->task);
    sc_free(s->group);
    sc_free(s);
}

int sc_eval_count(const sc_eval_set *s) { return (int)s->n; }
const sc_eval_task *sc_eval_at(const sc_eval_set *s, int i) { return i >= 0 && i < s->n ? s->task[i] : NULL; }

/* ---- files ---- */

/* A file's mapping, upon those that it includes. */
static sc_status read_config(json_t **out, const char *path, const opener *x, int depth)
{
    json_t *config, *base;
    if (depth > MOST_NESTED)
        return sc_fail(SC_ELIMIT, "%s: files include each other more than %d deep", path, MOST_NESTED);
    sc_status s = sc_yaml_read(&config, path);
    if (s) return s;
    if (!json_is_object(config)) {
        json_decref(config);
        return sc_fail(SC_EFORMAT, "%s: a mapping is expected", path);
    }
    json_t *list = json_object_get(config, "include");
    size_t n = json_is_array(list) ? json_array_size(list) : list ? 1 : 0;
    json_t *all = json_object();
    if (!all) s = sc_nomem();
    for (size_t i = 0; !s && i < n; i++) {
        const char *name = json_string_value(json_is_array(list) ? json_array_get(list, i) : list);
        char *at = NULL;
        s = name ? sc_eval_find(&at, name, path, &x->o)
                 : sc_fail(SC_EFORMAT, "%s: include: a path is expected", path);
        if (!s) s = read_config(&base, at, x, depth + 1);
        sc_free(at);
        if (s) break;
        if (json_object_update(all, base)) s = sc_nomem();
        json_decref(base);
    }
    if (!s && json_object_update(all, config)) s = sc_nomem();
    if (!s) json_object_del(all, "include");
    json_decref(config);
    if (s)
        json_decref(all);
    else
        *out = all;
    return s;
}

/* Does a line of the file say "task: NAME", or "group: NAME"? */
static bool says_name(const char *path, const char *name)
{
    char *text;
    int64_t n;
    size_t len = strlen(name);
    bool found = false;
    if (sc_file_read(&text, &n, path, SC_YAML_MOST)) return false;
    for (const char *line = text; line && !found;) {
        const char *p = strncmp(line, "task:", 5) == 0    ? line + 5
                        : strncmp(line, "group:", 6) == 0 ? line + 6
                                                          : NULL;
        if (p) {
            p += strspn(p, " \t\"'");
            found = strncmp(p, name, len) == 0 && strspn(p + len, " \t\r\"'") == strcspn(p + len, "\n#");
        }
        line = strchr(line, '\n');
        if (line) line++;
    }
    sc_free(text);
    return found;
}

static int is_yaml(const struct dirent *e)
{
    return sc_path_has_suffix(e->d_name, ".yaml") || sc_path_has_suffix(e->d_name, ".yml");
}

/* A file of the folder that is called NAME.yaml, or that says the name; *out NULL: none. */
static sc_status look_in(char **out, const char *folder, const char *name)
{
    char file[300];
    struct dirent **entry;
    snprintf(file, sizeof file, "%s.yaml", name);
    char *path = sc_path_join(folder, file);
    if (!path) return sc_nomem();
    if (sc_path_exists(path)) {
        *out = path;
        return SC_OK;
    }
    sc_free(path);
    int n = scandir(folder, &entry, is_yaml, alphasort);
    sc_status s = SC_OK;
    for (int i = 0; i < n; i++) {
        if (!s && !*out && i < MOST_FILES) {
            path = sc_path_join(folder, entry[i]->d_name);
            if (!path)
                s = sc_nomem();
            else if (says_name(path, name))
                *out = path;
            else
                sc_free(path);
        }
        free(entry[i]);
    }
    if (n >= 0) free(entry);
    return s;
}

/* *out NULL without a failure: there is no such file. beside: a file whose folder is looked in first; NULL. */
static sc_status find_task(char **out, const char *name, const char *beside, const opener *x)
{
    *out = NULL;
    if (sc_path_has_suffix(name, ".yaml") || sc_path_has_suffix(name, ".yml"))
        return sc_eval_find(out, name, beside ? beside : name, &x->o);
    if (strchr(name, '/') || strlen(name) > 200) return SC_OK;
    sc_status s = SC_OK;
    if (beside) {
        const char *slash = strrchr(beside, '/');
        char *folder = slash ? sc_strndup(beside, (size_t)(slash - beside)) : sc_strdup(".");
        s = folder ? look_in(out, folder, name) : sc_nomem();
        sc_free(folder);
    }
    static const char *const usual[] = {".", "tasks"};
    for (int i = 0; !s && !*out && i < x->o.n_folders; i++) s = look_in(out, x->o.folders[i], name);
    for (int i = 0; !s && !*out && i < SC_COUNT(usual); i++) s = look_in(out, usual[i], name);
    return s;
}

/* ---- tasks and groups ---- */

static sc_status open_name(opener *x, const char *name, const char *beside, const json_t *over, group *of);
static sc_status add_group(opener *x, const char *name, json_t *config, const char *where, group *around);

static sc_status unknown(const char *name)
{
    int n;
    const sc_eval_builtin *all = sc_eval_builtins(&n);
    const char *names[64], *near[3];
    for (int i = 0; i < n; i++) names[i] = all[i].name;
    int found = sc_nearest_words(name, names, n, near, 1);
    return sc_fail(SC_ENOTFOUND,
                   "no task '%.100s': a task file, a name of one in a folder, or a built-in task%s%s%s", name,
                   found ? " (did you mean " : "", found ? near[0] : "", found ? "?)" : "");
}

static sc_status belong(group *g, int task)
{
    if (!g) return SC_OK;
    for (int i = 0; i < g->n; i++)
        if (g->task[i] == task) return SC_OK;
    int64_t cap = g->cap;
    if (!sc_grow(&g->task, &cap, g->n + 1, sizeof *g->task)) return sc_nomem();
    g->cap = (int)cap;
    g->task[g->n++] = task;
    return SC_OK;
}

/* Takes config. A task of a name that is there already is the same one. */
static sc_status add_task(opener *x, json_t *config, const char *where, group *of)
{
    const char *name = json_string_value(json_object_get(config, "task"));
    for (int64_t i = 0; name && i < x->set->n; i++) {
        if (strcmp(x->set->task[i]->name, name) != 0) continue;
        json_decref(config);
        return belong(of, (int)i);
    }
    if (x->set->n == MOST_TASKS || !sc_grow(&x->set->task, &x->set->cap, x->set->n + 1, sizeof *x->set->task)) {
        json_decref(config);
        return x->set->n == MOST_TASKS ? sc_fail(SC_ELIMIT, "more than %d tasks", MOST_TASKS) : sc_nomem();
    }
    sc_eval_task *t;
    sc_status s = sc_eval_task_new(&t, config, where, &x->o);
    if (s) return s;
    x->set->task[x->set->n] = t;
    return belong(of, (int)x->set->n++);
}

static sc_status add_members(opener *x, group *g, const json_t *list, const char *where)
{
    size_t n = json_is_array(list) ? json_array_size(list) : 1;
    sc_status s = SC_OK;
    for (size_t i = 0; !s && i < n; i++) {
        const json_t *m = json_is_array(list) ? json_array_get(list, i) : list;
        const char *name = json_is_object(m) ? json_string_value(json_object_get(m, "task")) : json_string_value(m);
        if (json_is_object(m) && json_object_get(m, "group") && !name) { /* a group within */
            const char *title = json_string_value(json_object_get(m, "group"));
            json_t *config = json_deep_copy(m);
            if (config && title) {
                s = add_group(x, title, config, where, g);
            } else {
                json_decref(config);
                s = sc_fail(SC_EFORMAT, "%s: a group without a name", where);
            }
        } else {
            s = name ? open_name(x, name, where, json_is_object(m) ? m : NULL, g)
                     : sc_fail(SC_EFORMAT, "%s: task: names are expected", where);
        }
    }
    return s;
}

/* Takes config. Its tasks are those of the group around it, too. */
static sc_status add_group(opener *x, const char *name, json_t *config, const char *where, group *around)
{
    group g = {.name = sc_strdup(name), .config = config};
    sc_status s = g.name ? SC_OK : sc_nomem();
    if (x->set->n_groups >= MOST_GROUPS || x->depth > MOST_NESTED)
        s = sc_fail(SC_ELIMIT, "%s: more than %d groups, or %d deep", where, MOST_GROUPS, MOST_NESTED);
    x->depth++;
    if (!s) s = add_members(x, &g, json_object_get(config, "task"), where);
    x->depth--;
    for (int i = 0; !s && i < g.n; i++) s = belong(around, g.task[i]);
    if (!s && !sc_grow(&x->set->group, &x->set->cap_groups, x->set->n_groups + 1, sizeof *x->set->group))
        s = sc_nomem();
    if (!s) {
        x->set->group[x->set->n_groups++] = g;
        return SC_OK;
    }
    sc_free(g.name);
    sc_free(g.task);
    json_decref(config);
    return s;
}

/* A file with a name for a group and a list of tasks, or nothing that a task needs. */
static bool is_group(const json_t *config)
{
    const json_t *task = json_object_get(config, "task");
    return json_is_string(json_object_get(config, "group")) &&
           (json_is_array(task) || (json_is_string(task) && !json_object_get(config, "doc_to_target")));
}

static sc_status open_file(opener *x, const char *path, const json_t *over, group *of)
{
    json_t *config;
    sc_status s = read_config(&config, path, x, 0);
    if (s) return s;
    if (is_group(config))
        return add_group(x, json_string_value(json_object_get(config, "group")), config, path, of);
    if (over && json_object_update(config, (json_t *)over)) {
        json_decref(config);
        return sc_nomem();
    }
    if (!json_object_get(config, "task")) { /* its name is the file's */
        const char *base = sc_path_base(path);
        size_t n = strcspn(base, ".");
        if (json_object_set_new(config, "task", json_stringn(base, n))) s = sc_nomem();
    }
    if (s) {
        json_decref(config);
        return s;
    }
    return add_task(x, config, path, of);
}

static sc_status open_name(opener *x, const char *name, const char *beside, const json_t *over, group *of)
{
    char *path;
    json_t *config;
    sc_status s = find_task(&path, name, beside, x);
    if (s) return s;
    if (path) {
        s = open_file(x, path, over, of);
        sc_free(path);
        return s;
    }
    s = sc_eval_builtin_config(&config, name, &x->o);
    if (s) return s;
    return config ? add_task(x, config, name, of) : unknown(name);
}

sc_status sc_eval_open(sc_eval_set **out, sc_context *ctx, const char *const *names, int n,
                       const sc_eval_open_options *o)
{
    opener x = {.ctx = ctx, .o = o ? *o : (sc_eval_open_options){0}, .set = sc_calloc(1, sizeof(sc_eval_set))};
    sc_status s = x.set ? SC_OK : sc_nomem();
    if (!s && n < 1) s = sc_fail(SC_EINVAL, "no task is given");
    for (int i = 0; !s && i < n; i++) s = open_name(&x, names[i], NULL, NULL, NULL);
    if (s)
        sc_eval_free(x.set);
    else
        *out = x.set;
    return s;
}

/* ---- results of groups ---- */

void sc_eval_groups_free(sc_eval_result *groups, int n)
{
    for (int i = 0; groups && i < n; i++) sc_eval_result_clear(&groups[i]);
    sc_free(groups);
}

sc_status sc_eval_groups(sc_eval_result **out, int *n, const sc_eval_set *set, sc_eval_result *const *results)
{
    int count = (int)set->n_groups;
    sc_eval_result *r = sc_calloc((size_t)SC_MAX(count, 1), sizeof *r);
    sc_status s = r ? SC_OK : sc_nomem();
    for (int i = 0; !s && i < count; i++) {
        const group *g = &set->group[i];
        const char *alias = json_string_value(json_object_get(g->config, "group_alias"));
        if (!(r[i].task = sc_strdup(alias ? alias : g->name))) s = sc_nomem();
        if (!s)
            s = sc_eval_group_measure(&r[i], json_object_get(g->config, "aggregate_metric_list"), results, g->task,
                                      g->n, g->name);
    }
    if (s) {
        sc_eval_groups_free(r, count);
    } else {
        *out = r;
        *n = count;
    }
    return s;
}
