/* SPDX-License-Identifier: Apache-2.0 */
/* A run from its configuration to its folder.
 *
 *     OUT/data.json     what was counted; it is there when the run is finished
 *     OUT/index.json    the shards
 *     OUT/shard-*.bin
 *     OUT/documents/    texts, where they are wanted
 *     OUT/work/         while it is not finished: plan.json says of what run this is, pass-N/part-M.json that a part is through a
 *                       pass, and beside it lies what the next pass needs
 *
 * Every file is written whole or not at all, and follows from the plan alone: whatever is there is right. */
#include "data/run.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { JSON_LARGEST = 1 << 30 };

static char *path_in(const char *dir, const char *fmt, va_list ap)
{
    sc_str s = {0};
    char name[128];
    vsnprintf(name, sizeof name, fmt, ap);
    sc_str_printf(&s, "%s/%s", dir, name);
    return sc_str_take(&s, NULL);
}

char *sc_run_path(const sc_run *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *path = path_in(r->work, fmt, ap);
    va_end(ap);
    return path;
}

char *sc_out_path(const sc_run *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *path = path_in(r->out, fmt, ap);
    va_end(ap);
    return path;
}

/* ---- cleaning up ---- */

/* Removes what a folder has, `keep` aside; links are removed, not followed. */
static void empty_folder(const char *path, const char *keep)
{
    struct dirent *e;
    DIR *d = opendir(path);
    if (!d) return;
    while ((e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        if (keep && strcmp(e->d_name, keep) == 0) continue;
        char *inner = sc_path_join(path, e->d_name);
        if (inner && unlink(inner) != 0 && (errno == EISDIR || errno == EPERM)) {
            empty_folder(inner, NULL);
            rmdir(inner);
        }
        sc_free(inner);
    }
    closedir(d);
}

static bool begins(const char *name, const char *with) { return strncmp(name, with, strlen(with)) == 0; }

/* Files of a run in its folder: all, or those alone that a killed process left half written. */
static void remove_output(const char *path, bool all)
{
    struct dirent *e;
    DIR *d = opendir(path);
    if (!d) return;
    while ((e = readdir(d))) {
        const char *n = e->d_name;
        bool ours = begins(n, "shard-") || begins(n, "part-") || begins(n, "data.json") ||
                    begins(n, "index.json") || begins(n, "report.html");
        char *inner = ours && (all || strstr(n, ".partial.")) ? sc_path_join(path, n) : NULL;
        if (inner) unlink(inner);
        sc_free(inner);
    }
    closedir(d);
}

static void clean_output(const sc_run *r, bool all)
{
    char *documents = sc_out_path(r, "documents");
    remove_output(r->out, all);
    if (documents) remove_output(documents, all);
    if (documents && all) rmdir(documents); /* where it is empty */
    sc_free(documents);
}

/* ---- is what is there of this run? ---- */

static sc_status write_plan(const sc_run *r, const char *path, const json_t *plan)
{
    char *text = json_dumps(plan, JSON_COMPACT | JSON_SORT_KEYS);
    empty_folder(r->work, "lock");
    clean_output(r, true);
    sc_status s = text ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    free(text);
    return s;
}

static sc_status sum_plan(sc_run *r, const json_t *plan)
{
    char *text = json_dumps(plan, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text) return sc_nomem();
    snprintf(r->plan_sum, sizeof r->plan_sum, "%016llx", (unsigned long long)sc_hash(text, (int64_t)strlen(text)));
    free(text);
    return SC_OK;
}

static sc_status other_run(const sc_run *r, const char *what)
{
    return sc_fail(SC_EINVAL,
                   "%s has %s of another configuration, or of files that have changed since: --restart begins anew",
                   r->out, what);
}

static sc_status is_finished(sc_run *r, bool restart, bool *stale)
{
    char *path = sc_out_path(r, "data.json");
    json_t *o = NULL;
    sc_status s = path ? SC_OK : sc_nomem();
    *stale = false;
    if (!s && sc_path_exists(path) && !(s = sc_json_read(&o, path, JSON_LARGEST))) {
        const char *sum = json_string_value(json_object_get(o, "plan"));
        r->finished = sum && strcmp(sum, r->plan_sum) == 0;
        *stale = !r->finished;
        if (*stale && !restart) s = other_run(r, "a finished run");
    }
    json_decref(o);
    sc_free(path);
    return s;
}

static sc_status settle_plan(sc_run *r, bool restart)
{
    char *path = sc_run_path(r, "plan.json");
    json_t *now = sc_parts_json(&r->plan, &r->config), *before = NULL;
    bool stale = false;
    sc_status s = path && now ? sum_plan(r, now) : sc_nomem();
    if (!s) s = is_finished(r, restart, &stale);
    if (!s && !r->finished) {
        bool there = sc_path_exists(path);
        if (there) s = sc_json_read(&before, path, JSON_LARGEST);
        bool same = !s && there && json_equal(now, before);
        if (!s && there && !same && !restart) s = other_run(r, "an unfinished run");
        if (!s && !same) s = write_plan(r, path, now);
    }
    sc_free(path);
    json_decref(now);
    json_decref(before);
    return s;
}

/* ---- from the beginning to the end ---- */

static sc_status finish_done(void *user, int64_t task, bool *there)
{
    char *path = sc_out_path(user, "data.json");
    (void)task;
    if (!path) return sc_nomem();
    *there = sc_path_exists(path);
    sc_free(path);
    return SC_OK;
}

static sc_status finish_task(void *user, int64_t task)
{
    (void)task;
    return sc_finish(user);
}

static sc_status do_all(sc_run *r)
{
    sc_status s = sc_config_open(&r->config, r->ctx);
    if (!s) s = sc_passes_make(r);
    if (!s) s = sc_passes_run(r);
    if (!s && r->config.tokenizer) s = sc_shards_write(r);
    if (s) return s;
    return sc_work_all(r, &(sc_phase){.what = "counts",
                                      .number = r->phase++,
                                      .tasks = 1,
                                      .done = finish_done,
                                      .run = finish_task,
                                      .user = r});
}

static sc_status in_folder(sc_run *r, const sc_data_options *o)
{
    sc_status s = sc_work_enter(r);
    if (s) return s;
    s = settle_plan(r, o->restart);
    sc_work_ready(r);
    if (!s && !r->finished) s = do_all(r);
    /* The last one to leave a finished run takes the scaffolding down. */
    if (!s && sc_work_leave(r)) {
        clean_output(r, false);
        empty_folder(r->work, NULL);
        rmdir(r->work);
    }
    return s;
}

static sc_status read_result(const sc_run *r, sc_data_result *out)
{
    char *path = sc_out_path(r, "data.json");
    json_t *o = NULL;
    sc_status s = path ? sc_json_read(&o, path, JSON_LARGEST) : sc_nomem();
    const json_t *after = json_object_get(o, "after");
    if (!s)
        *out = (sc_data_result){.read = json_integer_value(json_object_get(json_object_get(o, "read"), "in")),
                                .kept = json_integer_value(json_object_get(after, "documents")),
                                .tokens = json_integer_value(json_object_get(after, "tokens")),
                                .shards = json_integer_value(json_object_get(o, "shards")),
                                .before = r->finished};
    json_decref(o);
    sc_free(path);
    return s;
}

sc_status sc_data_run(sc_context *ctx, const sc_data_options *o, sc_data_result *result)
{
    sc_run r = {.ctx = ctx, .out = o->out, .lock = -1};
    if (!o->out || !o->out[0]) return sc_fail(SC_EINVAL, "no folder to write to was named");
    sc_work_ranks(&r);
    sc_status s = sc_config_read(&r.config, o);
    if (!s) s = sc_parts_make(&r.plan, &r.config);
    if (!s && !(r.work = sc_path_join(o->out, "work"))) s = sc_nomem();
    if (!s) s = in_folder(&r, o);
    if (!s && result) s = read_result(&r, result);
    sc_work_close(&r);
    sc_config_free(&r.config);
    sc_parts_free(&r.plan);
    sc_free(r.pass);
    sc_free(r.work);
    return s;
}

/* ---- what there is ---- */

const char *sc_data_stage_at(int i, const char **summary)
{
    const sc_stage *s = sc_stage_at(i);
    if (s && summary) *summary = s->summary;
    return s ? s->name : NULL;
}

const char *sc_data_format_at(int i, const char **summary)
{
    const sc_format *f = sc_format_at(i);
    if (f && summary) *summary = f->summary;
    return f ? f->name : NULL;
}

const char *sc_data_stage_setting(int stage, int k, const char **value, const char **help)
{
    const sc_stage *s = sc_stage_at(stage);
    const sc_setting *row = s ? s->settings : NULL;
    for (int i = 0; row && row->name && i < k; i++) row++;
    if (!row || !row->name) return NULL;
    if (value) *value = row->value;
    if (help) *help = row->help;
    return row->name;
}
