/* SPDX-License-Identifier: Apache-2.0 */
/* The folder of a ladder:
 *   ladder.json       the runs, and the options of training
 *   points.jsonl      results, as sc_scale_points_read takes them
 *   NAME/config.json  of a run, NAME/run what sc_train makes, NAME/result.json once it is done, NAME/tasks.json its abilities */
#include "scale/ladder.h"

#include <math.h>

enum { MAX_LADDER = 64 << 20 };

char *sc_rung_path(const sc_ladder *l, const sc_rung *r, const char *name)
{
    sc_str s = {0};
    sc_str_printf(&s, "%s/%s%s%s", l->dir, r->name, name ? "/" : "", name ? name : "");
    return sc_str_take(&s, NULL);
}

static sc_status write_json(const char *path, const json_t *o)
{
    char *text = o ? json_dumps(o, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    sc_str s = {0};
    if (!text) return sc_nomem();
    sc_str_printf(&s, "%s\n", text);
    sc_free(text);
    sc_status status = s.oom ? sc_nomem() : sc_file_write(path, s.p, s.len);
    sc_str_free(&s);
    return status;
}

/* ---- writing ---- */

static json_t *rung_json(const sc_rung *r)
{
    return json_pack("{s:s, s:i, s:b, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f}", "name", r->name, "level",
                     r->level, "held_out", (int)r->held_out, "parameters", (json_int_t)r->parameters, "width",
                     (json_int_t)r->width, "layers", (json_int_t)r->layers, "steps", (json_int_t)r->steps, "tokens",
                     (json_int_t)r->tokens, "factor", r->factor, "operations", r->operations, "compute", r->compute,
                     "lr", r->lr);
}

static sc_status write_config(const sc_ladder *l, const sc_rung *r)
{
    json_t *changes = NULL, *config = json_deep_copy(l->config);
    char *dir = sc_rung_path(l, r, NULL), *path = sc_rung_path(l, r, "config.json");
    sc_status s = config && dir && path ? sc_config_grow(&changes, l->config, l->dir, r->factor) : sc_nomem();
    if (!s && json_object_update(config, changes) != 0) s = sc_nomem();
    if (!s) s = sc_mkdirs(dir);
    if (!s) s = write_json(path, config);
    sc_free(dir);
    sc_free(path);
    json_decref(changes);
    json_decref(config);
    return s;
}

static sc_status write_ladder(const sc_ladder *l)
{
    json_t *runs = json_array(), *all = NULL;
    char *path = sc_path_join(l->dir, "ladder.json");
    bool ok = runs && path;
    for (int64_t i = 0; ok && i < l->n; i++) ok = json_array_append_new(runs, rung_json(&l->rung[i])) == 0;
    if (ok) all = json_pack("{s:O, s:O, s:O}", "runs", runs, "train", l->train, "config", l->config);
    sc_status s = ok && all ? write_json(path, all) : sc_nomem();
    sc_free(path);
    json_decref(runs);
    json_decref(all);
    return s;
}

/* Reads all data as the smallest run will. */
static sc_status try_data(const sc_ladder *l, sc_context *ctx, int64_t *tokens)
{
    sc_train_options o = {0};
    sc_task task = {0};
    char *config = sc_rung_path(l, &l->rung[0], "config.json");
    sc_status s = config ? sc_train_options_fill(&o, l->train, l->arena) : sc_nomem();
    if (!s && o.n_data < 1) s = sc_fail(SC_EINVAL, "a ladder needs data to train on");
    if (!s && o.n_eval_data < 1)
        s = sc_fail(SC_EINVAL,
                    "a ladder needs data for evaluation (--eval-data): its laws are about text not trained on");
    if (!s) {
        o.model = config;
        if (!o.batch) o.batch = 8;
        if (!o.tokenizer) o.tokenizer = config;
        s = sc_task_open(&task, ctx, &o, config, true, 1);
        if (!s && task.size.eval_batches < 1)
            s = sc_fail(SC_EINVAL, "the data for evaluation has nothing to predict");
        if (!s && tokens) *tokens = task.size.tokens;
        sc_task_close(&task);
    }
    sc_free(config);
    return s;
}

sc_status sc_ladder_write(sc_ladder *l, sc_context *ctx, const char *dir, int64_t *tokens)
{
    char *path = sc_path_join(dir, "ladder.json");
    sc_status s = path ? SC_OK : sc_nomem();
    if (!s && sc_path_exists(path))
        s = sc_fail(SC_EINVAL, "%s: there is a ladder already; `socle scale run` goes on with it", dir);
    sc_free(path);
    if (!s && !(l->dir = sc_arena_strndup(l->arena, dir, strlen(dir)))) s = sc_nomem();
    for (int64_t i = 0; !s && i < l->n; i++) s = write_config(l, &l->rung[i]);
    if (!s) s = try_data(l, ctx, tokens);
    return s ? s : write_ladder(l);
}

/* ---- reading ---- */

static sc_status read_rung(sc_ladder *l, const json_t *o, const char *what)
{
    const char *name = NULL;
    sc_rung r = {.loss = NAN, .seconds = NAN, .epochs = NAN};
    int64_t level = 0, most = INT64_MAX;
    sc_status s;
    if (!json_is_object(o)) return sc_fail(SC_EFORMAT, "%s: a run is no object", what);
    if ((s = sc_json_str(o, what, "name", &name)) || (s = sc_json_int(o, what, "level", 0, 10000, &level)) ||
        (s = sc_json_bool(o, what, "held_out", &r.held_out)) ||
        (s = sc_json_int(o, what, "parameters", 1, most, &r.parameters)) ||
        (s = sc_json_int(o, what, "width", 1, most, &r.width)) ||
        (s = sc_json_int(o, what, "layers", 1, most, &r.layers)) ||
        (s = sc_json_int(o, what, "steps", 1, most, &r.steps)) ||
        (s = sc_json_int(o, what, "tokens", 1, most, &r.tokens)) ||
        (s = sc_json_num(o, what, "factor", 0, 1e9, &r.factor)) ||
        (s = sc_json_num(o, what, "operations", 0, 1e30, &r.operations)) ||
        (s = sc_json_num(o, what, "compute", 0, 1e60, &r.compute)) ||
        (s = sc_json_num(o, what, "lr", 0, 1e3, &r.lr)))
        return s;
    if (!name || !*name || strchr(name, '/') || name[0] == '.')
        return sc_fail(SC_EFORMAT, "%s: a run's name is '%s'", what, name ? name : "");
    if (r.parameters < 1 || r.tokens < 1 || r.steps < 1 || !(r.compute > 0))
        return sc_fail(SC_EFORMAT, "%s: the run '%s' lacks its sizes", what, name);
    r.level = (int)level;
    if (!(r.name = sc_arena_strndup(l->arena, name, strlen(name)))) return sc_nomem();
    return sc_ladder_add(l, &r);
}

sc_status sc_rung_look(const sc_ladder *l, sc_rung *r)
{
    json_t *o = NULL;
    char *path = sc_rung_path(l, r, "result.json");
    sc_status s = path ? SC_OK : sc_nomem();
    if (!s && sc_path_exists(path)) {
        if (!(s = sc_json_read(&o, path, MAX_LADDER))) {
            if (!(s = sc_json_num(o, path, "loss", 0, 1e6, &r->loss)) &&
                !(s = sc_json_num(o, path, "seconds", 0, 1e12, &r->seconds)) &&
                !(s = sc_json_num(o, path, "epochs", 0, 1e12, &r->epochs)))
                r->done = isfinite(r->loss);
        }
        json_decref(o);
    }
    sc_free(path);
    return s;
}

sc_status sc_ladder_open(sc_ladder **out, const char *dir)
{
    sc_ladder *l = NULL;
    json_t *all = NULL;
    char *path = sc_path_join(dir, "ladder.json");
    sc_status s = path ? sc_ladder_new(&l) : sc_nomem();
    if (!s && !sc_path_exists(path))
        s = sc_fail(SC_ENOTFOUND, "%s: no ladder is planned there (`socle scale plan --out`)", dir);
    if (!s) s = sc_json_read(&all, path, MAX_LADDER);
    if (!s && !(l->dir = sc_arena_strndup(l->arena, dir, strlen(dir)))) s = sc_nomem();
    if (!s) {
        l->config = json_incref(json_object_get(all, "config"));
        l->train = json_incref(json_object_get(all, "train"));
        const json_t *runs = json_object_get(all, "runs");
        if (!json_is_object(l->config) || !json_is_object(l->train) || json_array_size(runs) < 1)
            s = sc_fail(SC_EFORMAT, "%s: not what a ladder's plan is made of", path);
        for (size_t i = 0; !s && i < json_array_size(runs); i++) s = read_rung(l, json_array_get(runs, i), path);
    }
    for (int64_t i = 0; !s && i < l->n; i++) s = sc_rung_look(l, &l->rung[i]);
    sc_free(path);
    json_decref(all);
    if (s)
        sc_ladder_free(l);
    else
        *out = l;
    return s;
}

sc_status sc_ladder_points(const sc_ladder *l)
{
    sc_str lines = {0};
    char *path = sc_path_join(l->dir, "points.jsonl");
    for (int64_t i = 0; path && i < l->n; i++) {
        const sc_rung *r = &l->rung[i];
        if (!r->done) continue;
        json_t *o = json_pack("{s:s, s:I, s:I, s:f, s:f, s:i, s:b}", "name", r->name, "parameters",
                              (json_int_t)r->parameters, "tokens", (json_int_t)r->tokens, "compute", r->compute,
                              "loss", r->loss, "level", r->level, "held_out", (int)r->held_out);
        char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
        if (text)
            sc_str_printf(&lines, "%s\n", text);
        else
            lines.oom = true;
        sc_free(text);
        json_decref(o);
    }
    sc_status s = !path || lines.oom ? sc_nomem() : sc_file_write(path, lines.p ? lines.p : "", lines.len);
    sc_free(path);
    sc_str_free(&lines);
    return s;
}
