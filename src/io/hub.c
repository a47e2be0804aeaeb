/* SPDX-License-Identifier: Apache-2.0 */
/* The models on this machine: the models folder and the HuggingFace cache, listed and found by name. */
#include "socle/hub.h"

#include "io/io.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>

#define DEPTH_MAX   2    /* MODELS/ORG/NAME */
#define ENTRIES_MAX 4096 /* of one folder: a folder of anything else is not searched for ever */

typedef struct list {
    sc_hub_model *model;
    int64_t count, cap;
} list;

/* ---- where ---- */

/* $variable/rest, or NULL where it is not set; *oom where memory ran out. */
static char *under(const char *variable, const char *rest, bool *oom)
{
    const char *value = getenv(variable);
    if (!value || !*value) return NULL;
    char *path = *rest ? sc_path_join(value, rest) : sc_strdup(value);
    if (!path) *oom = true;
    return path;
}

typedef struct place {
    const char *variable, *rest;
} place;

static sc_status first_of(char **out, const place *p, int n, const char *what)
{
    bool oom = false;
    for (int i = 0; i < n && !oom; i++)
        if ((*out = under(p[i].variable, p[i].rest, &oom))) return SC_OK;
    return oom ? sc_nomem() : sc_fail(SC_ENOTFOUND, "no %s: HOME is not set", what);
}

sc_status sc_hub_folder(char **out)
{
    static const place places[] = {
        {"SOCLE_MODELS", ""}, {"XDG_DATA_HOME", "socle/models"}, {"HOME", ".local/share/socle/models"}};
    char *path;
    if (!out) return sc_fail(SC_EINVAL, "sc_hub_folder: NULL argument");
    sc_status e = first_of(&path, places, SC_COUNT(places), "models folder");
    if (!e) *out = path;
    return e;
}

static sc_status cache_folder(char **out)
{
    static const place places[] = {{"HF_HUB_CACHE", ""},
                                   {"HF_HOME", "hub"},
                                   {"XDG_CACHE_HOME", "huggingface/hub"},
                                   {"HOME", ".cache/huggingface/hub"}};
    return first_of(out, places, SC_COUNT(places), "HuggingFace cache");
}

/* ---- what is in a folder ---- */

/* Names in a folder, sorted, without hidden ones; an unreadable folder has none. */
static int scan_folder(const char *path, struct dirent ***names)
{
    int n = scandir(path, names, NULL, alphasort);
    if (n < 0) *names = NULL;
    return SC_MAX(n, 0);
}

static void free_names(struct dirent **names, int n)
{
    for (int i = 0; i < n; i++) free(names[i]);
    free(names);
}

static sc_status add_model(list *l, const char *name, const char *path, int64_t bytes, const char *kind,
                           const char *source)
{
    if (!sc_grow(&l->model, &l->cap, l->count + 1, sizeof *l->model)) return sc_nomem();
    sc_hub_model m = {
        .name = sc_strdup(name), .path = sc_strdup(path), .bytes = bytes, .kind = kind, .source = source};
    l->model[l->count++] = m;
    return m.name && m.path ? SC_OK : sc_nomem();
}

typedef struct contents {
    int64_t bytes;
    int gguf;
    bool config, index, weights;
} contents;

static contents look_into(const char *dir, struct dirent **names, int n)
{
    contents c = {0};
    for (int i = 0; i < n && i < ENTRIES_MAX; i++) {
        const char *name = names[i]->d_name;
        struct stat info;
        char *path = sc_path_join(dir, name);
        bool file = path && name[0] != '.' && stat(path, &info) == 0 && S_ISREG(info.st_mode);
        sc_free(path);
        if (!file) continue;
        c.bytes += info.st_size;
        c.gguf += sc_path_has_suffix(name, ".gguf");
        c.config |= !strcmp(name, "config.json");
        c.index |= !strcmp(name, "model_index.json");
        c.weights |= sc_path_has_suffix(name, ".safetensors");
    }
    return c;
}

/* One GGUF file: called after its folder where it is the only one there. */
static sc_status add_gguf(list *l, const char *name, const char *dir, const char *file, bool alone,
                          const char *source)
{
    struct stat info;
    sc_str full = {0};
    char *path = sc_path_join(dir, file);
    sc_status e = path ? SC_OK : sc_nomem();
    if (!e && stat(path, &info) == 0 && S_ISREG(info.st_mode)) {
        if (alone)
            sc_str_puts(&full, name);
        else if (*name)
            sc_str_printf(&full, "%s:%s", name, file);
        else
            sc_str_append(&full, file, (int64_t)strlen(file) - 5); /* in the models folder itself */
        e = full.oom ? sc_nomem() : add_model(l, full.p ? full.p : "", path, info.st_size, "gguf", source);
    }
    sc_str_free(&full);
    sc_free(path);
    return e;
}

/* The models that lie in one folder. *found tells whether it is a model's. */
static sc_status add_folder(list *l, const char *name, const char *dir, const char *source, bool *found)
{
    struct dirent **names;
    int n = scan_folder(dir, &names);
    contents c = look_into(dir, names, n);
    sc_status e = SC_OK;
    bool whole = *name && ((c.config && c.weights) || c.index);
    if (whole) e = add_model(l, name, dir, c.bytes, c.index ? "diffusers" : "safetensors", source);
    for (int i = 0; i < n && i < ENTRIES_MAX && !e; i++)
        if (names[i]->d_name[0] != '.' && strlen(names[i]->d_name) > 5 &&
            sc_path_has_suffix(names[i]->d_name, ".gguf"))
            e = add_gguf(l, name, dir, names[i]->d_name, *name && c.gguf == 1 && !whole, source);
    *found = whole || c.gguf;
    free_names(names, n);
    return e;
}

static sc_status add_models_below(list *l, const char *name, const char *dir, int depth)
{
    bool found;
    sc_status e = add_folder(l, name, dir, "models", &found);
    if (e || depth == DEPTH_MAX || (found && *name)) return e;
    struct dirent **names;
    int n = scan_folder(dir, &names);
    for (int i = 0; i < n && i < ENTRIES_MAX && !e; i++) {
        const char *item = names[i]->d_name;
        if (item[0] == '.') continue;
        char *path = sc_path_join(dir, item), *full = *name ? sc_path_join(name, item) : sc_strdup(item);
        if (!path || !full)
            e = sc_nomem();
        else if (sc_path_is_dir(path))
            e = add_models_below(l, full, path, depth + 1);
        sc_free(path);
        sc_free(full);
    }
    free_names(names, n);
    return e;
}

/* ---- the HuggingFace cache: models--ORG--NAME/{refs/main, snapshots/COMMIT/} ---- */

/* The snapshot of main, or the only one; NULL where there is none. */
static char *snapshot_of(const char *repo)
{
    char *ref = sc_path_join(repo, "refs/main"), *all = sc_path_join(repo, "snapshots"), *commit = NULL,
         *path = NULL;
    int64_t len;
    if (ref && all && sc_file_read(&commit, &len, ref, 256) == SC_OK) {
        commit[strcspn(commit, " \r\n")] = 0;
        if (*commit && *commit != '.' && !strchr(commit, '/')) path = sc_path_join(all, commit);
    }
    if (all && (!path || !sc_path_is_dir(path))) {
        struct dirent **names;
        int n = scan_folder(all, &names), only = -1, dirs = 0;
        for (int i = 0; i < n; i++)
            if (names[i]->d_name[0] != '.') only = i, dirs++;
        sc_free(path);
        path = dirs == 1 ? sc_path_join(all, names[only]->d_name) : NULL;
        free_names(names, n);
    }
    sc_free(ref);
    sc_free(all);
    sc_free(commit);
    return path;
}

static sc_status add_cached(list *l, const char *cache)
{
    struct dirent **names;
    int n = scan_folder(cache, &names);
    sc_status e = SC_OK;
    for (int i = 0; i < n && i < ENTRIES_MAX && !e; i++) {
        const char *item = names[i]->d_name;
        if (strncmp(item, "models--", 8)) continue;
        sc_str name = {0};
        const char *dash = strstr(item + 8, "--");
        if (dash)
            sc_str_printf(&name, "%.*s/%s", (int)(dash - item - 8), item + 8, dash + 2);
        else
            sc_str_puts(&name, item + 8);
        char *repo = sc_path_join(cache, item), *snapshot = repo ? snapshot_of(repo) : NULL;
        bool found;
        if (!repo || name.oom)
            e = sc_nomem();
        else if (snapshot && name.len)
            e = add_folder(l, name.p, snapshot, "huggingface", &found);
        sc_str_free(&name);
        sc_free(repo);
        sc_free(snapshot);
    }
    free_names(names, n);
    return e;
}

/* ---- the public face ---- */

static int compare_model(const void *a, const void *b)
{
    const sc_hub_model *x = a, *y = b;
    int c = strcmp(x->name, y->name);
    return c ? c : strcmp(y->source, x->source); /* the models folder before the cache */
}

sc_status sc_hub_list(sc_hub_model **out, int64_t *count)
{
    if (!out || !count) return sc_fail(SC_EINVAL, "sc_hub_list: NULL argument");
    list l = {0};
    char *models = NULL, *cache = NULL;
    sc_status e = sc_hub_folder(&models);
    if (!e) e = add_models_below(&l, "", models, 0);
    if ((!e || e == SC_ENOTFOUND) && !(e = cache_folder(&cache))) e = add_cached(&l, cache);
    if (e == SC_ENOTFOUND) e = SC_OK; /* no home: no models, which is an answer */
    sc_free(models);
    sc_free(cache);
    if (e) {
        sc_hub_list_free(l.model, l.count);
        return e;
    }
    if (l.count) qsort(l.model, (size_t)l.count, sizeof *l.model, compare_model);
    *out = l.model;
    *count = l.count;
    return SC_OK;
}

void sc_hub_list_free(sc_hub_model *models, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        sc_free(models[i].name);
        sc_free(models[i].path);
    }
    sc_free(models);
}

/* How well a name fits: 3 whole, 2 the last part of it, 1 a GGUF file's own name, 0 not. */
static int fit(const sc_hub_model *m, const char *name)
{
    if (!strcmp(m->name, name)) return 3;
    if (!strcmp(sc_path_base(m->name), name)) return 2;
    if (strcmp(m->kind, "gguf")) return 0;
    const char *file = sc_path_base(m->path);
    size_t n = strlen(file) - 5;
    return !strcmp(file, name) || (strlen(name) == n && !strncmp(file, name, n));
}

sc_status sc_hub_resolve(char **path, const char *name)
{
    if (!path || !name) return sc_fail(SC_EINVAL, "sc_hub_resolve: NULL argument");
    if (*name && sc_path_exists(name)) return (*path = sc_strdup(name)) ? SC_OK : sc_nomem();
    sc_hub_model *m;
    int64_t n;
    sc_status e = sc_hub_list(&m, &n);
    if (e) return e;
    int best = 0;
    int64_t at = -1, other = -1;
    for (int64_t i = 0; i < n; i++) {
        int f = fit(&m[i], name);
        if (f > best) {
            best = f;
            at = i;
            other = -1;
        } else if (f && f == best && strcmp(m[i].name, m[at].name)) { /* the same name twice: the first place */
            other = i;
        }
    }
    if (at < 0)
        e = sc_fail(SC_ENOTFOUND,
                    "%s: no such file, and no model of that name on this machine; 'socle pull' fetches one", name);
    else if (other >= 0)
        e = sc_fail(SC_EINVAL, "%s: several models fit: %s, %s", name, m[at].name, m[other].name);
    else if (!(*path = sc_strdup(m[at].path)))
        e = sc_nomem();
    sc_hub_list_free(m, n);
    return e;
}
