/* SPDX-License-Identifier: Apache-2.0 */
/* A run from its configuration to its folder. */
#include "data/run.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

enum { JSON_LARGEST = 1 << 30 };

char *sc_run_path(const sc_run *r, const char *fmt, ...)
{
    sc_str s = {0};
    char name[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    sc_str_printf(&s, "%s/%s", r->work, name);
    return sc_str_take(&s, NULL);
}

static sc_status write_json(const char *path, const json_t *o, size_t flags)
{
    char *text = path && o ? json_dumps(o, flags) : NULL;
    sc_status s = text ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    free(text);
    return s;
}

/* The plan of what is in the folder is this one, or becomes it. */
static sc_status settle_plan(sc_run *r, bool restart)
{
    char *path = sc_run_path(r, "plan.json");
    json_t *now = sc_parts_json(&r->plan, &r->config), *before = NULL;
    sc_status s = path && now ? sc_mkdirs(r->work) : sc_nomem();
    if (!s && sc_path_exists(path) && !restart) {
        s = sc_json_read(&before, path, JSON_LARGEST);
        if (!s && !json_equal(now, before))
            s = sc_fail(SC_EINVAL,
                        "%s has an unfinished run of another configuration or of files that changed since: "
                        "--restart begins anew",
                        r->out);
    } else if (!s) {
        s = write_json(path, now, JSON_COMPACT);
    }
    sc_free(path);
    json_decref(now);
    json_decref(before);
    return s;
}

static sc_status run_parts(sc_run *r)
{
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < r->plan.n_parts; i++) {
        char *path = sc_run_path(r, "part-%06lld.json", (long long)i);
        if (!path) return sc_nomem();
        bool done = sc_path_exists(path);
        sc_free(path);
        if (!done) s = sc_part_run(r, i);
        if (!s && r->report)
            r->report(r->user, &(sc_data_event){.what = "parts", .done = i + 1, .total = r->plan.n_parts});
    }
    return s;
}

sc_status sc_data_run(sc_context *ctx, const sc_data_options *o, sc_data_report *report, void *user)
{
    sc_run r = {.ctx = ctx, .out = o->out, .report = report, .user = user};
    if (!o->out || !o->out[0]) return sc_fail(SC_EINVAL, "no folder to write to was named");
    sc_status s = sc_config_read(&r.config, o);
    if (!s) s = sc_parts_make(&r.plan, &r.config);
    if (!s && !(r.work = sc_path_join(o->out, "work"))) s = sc_nomem();
    if (!s) s = sc_mkdirs(o->out);
    if (!s) s = settle_plan(&r, o->restart);
    if (!s) s = sc_config_open(&r.config, ctx);
    if (!s) s = run_parts(&r);
    sc_config_free(&r.config);
    sc_parts_free(&r.plan);
    sc_free(r.work);
    return s;
}

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
