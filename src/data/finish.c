/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a run: what parts counted is summed up, must add up, and is written with the index of the shards. */
#include "data/run.h"

#include <stdlib.h>

enum { COUNTS_MAX = 1 << 30 };

typedef struct total {
    sc_tally read, *stage;
    sc_summary before, after;
} total;

static sc_status counts_of(const sc_run *r, int pass, int64_t part, json_t **out)
{
    char *path = sc_run_path(r, "pass-%d/part-%06lld.json", pass, (long long)part);
    sc_status s = path ? sc_json_read(out, path, COUNTS_MAX) : sc_nomem();
    sc_free(path);
    return s;
}

sc_status sc_pass_summary(const sc_run *r, int pass, const char *which, sc_summary *out)
{
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < r->plan.n_parts; i++) {
        json_t *o = NULL;
        s = counts_of(r, pass, i, &o);
        if (!s) s = sc_summary_add_json(out, json_object_get(o, which));
        json_decref(o);
    }
    return s;
}

static sc_status add_part(const sc_run *r, total *t, const json_t *o)
{
    char name[16];
    sc_status s = sc_tally_add_json(&t->read, json_object_get(o, "read"));
    if (!s) s = sc_summary_add_json(&t->before, json_object_get(o, "before"));
    if (!s) s = sc_summary_add_json(&t->after, json_object_get(o, "after"));
    for (int i = 0; !s && i < r->config.n_steps; i++) {
        snprintf(name, sizeof name, "%d", i);
        s = sc_tally_add_json(&t->stage[i], json_object_get(json_object_get(o, "stages"), name));
    }
    return s;
}

static sc_status sum_up(const sc_run *r, total *t)
{
    sc_status s = SC_OK;
    if (!(t->stage = sc_calloc((size_t)r->config.n_steps + 1, sizeof *t->stage))) return sc_nomem();
    for (int pass = 0; pass < r->passes; pass++)
        for (int64_t i = 0; !s && i < r->plan.n_parts; i++) {
            json_t *o = NULL;
            s = counts_of(r, pass, i, &o);
            if (!s) s = add_part(r, t, o);
            json_decref(o);
        }
    return s;
}

static void free_total(const sc_run *r, total *t)
{
    sc_tally_free(&t->read);
    for (int i = 0; t->stage && i < r->config.n_steps; i++) sc_tally_free(&t->stage[i]);
    sc_free(t->stage);
    sc_summary_free(&t->before);
    sc_summary_free(&t->after);
}

/* ---- what goes in comes out, or is counted ---- */

static sc_status one_adds_up(const char *name, const sc_tally *t, int64_t in)
{
    if (t->in == t->kept + t->dropped + t->merged && (in < 0 || t->in == in)) return SC_OK;
    return sc_fail(
        SC_EFORMAT, "%s: the counts do not add up: %lld before, %lld in, %lld kept, %lld dropped, %lld merged",
        name, (long long)in, (long long)t->in, (long long)t->kept, (long long)t->dropped, (long long)t->merged);
}

static sc_status adds_up(const sc_run *r, const total *t, int64_t tokens)
{
    sc_status s = one_adds_up("reading", &t->read, -1);
    int64_t kept = t->read.kept, copies = 0;
    for (int i = 0; !s && i < r->config.n_steps; i++) {
        s = one_adds_up(r->config.step[i].where, &t->stage[i], kept);
        kept = t->stage[i].kept;
        copies += t->stage[i].copies;
    }
    if (!s && t->after.documents > kept + copies)
        s = sc_fail(SC_EFORMAT, "the counts do not add up: %lld kept, %lld copies, %lld at the end",
                    (long long)kept, (long long)copies, (long long)t->after.documents);
    if (!s && r->config.tokenizer && t->after.tokens != tokens)
        s = sc_fail(SC_EFORMAT, "the counts do not add up: %lld tokens, %lld in the shards",
                    (long long)t->after.tokens, (long long)tokens);
    return s;
}

/* ---- files ---- */

static sc_status write_json(const sc_run *r, const char *name, const json_t *o)
{
    char *path = sc_out_path(r, "%s", name), *text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    sc_status s = path && text ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(path);
    free(text);
    return s;
}

/* The order in which examples were chosen is nobody's concern. */
static json_t *tally_json(const sc_tally *t)
{
    json_t *o = sc_tally_json(t), *list, *item;
    const char *reason;
    size_t i;
    json_object_foreach(json_object_get(o, "examples"), reason, list) json_array_foreach(list, i, item)
        json_object_del(item, "order");
    return o;
}

static json_t *stages_json(const sc_run *r, const total *t)
{
    json_t *list = json_array();
    for (int i = 0; i < r->config.n_steps; i++) {
        json_t *o = tally_json(&t->stage[i]);
        json_object_set_new(o, "stage", json_string(r->config.step[i].stage->name));
        json_object_set_new(o, "summary", json_string(r->config.step[i].stage->summary));
        json_object_set(o, "settings", r->config.step[i].json);
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *report_json(const sc_run *r, const total *t)
{
    json_t *o = json_object(), *names = json_array();
    for (int i = 0; i < r->config.n_sources; i++)
        json_array_append_new(names, json_string(r->config.source[i].name));
    json_object_set_new(o, "format", json_string("socle-data"));
    json_object_set_new(o, "version", json_integer(1));
    json_object_set_new(o, "plan", json_string(r->plan_sum));
    json_object_set_new(o, "sources", names);
    json_object_set_new(o, "files", json_integer(r->plan.n_files));
    json_object_set_new(o, "bytes", json_integer(r->plan.bytes));
    json_object_set_new(o, "parts", json_integer(r->plan.n_parts));
    json_object_set_new(o, "shards", json_integer(r->shards));
    json_object_set_new(o, "seed", json_integer((json_int_t)r->config.seed));
    json_object_set_new(o, "read", tally_json(&t->read));
    json_object_set_new(o, "stages", stages_json(r, t));
    json_object_set_new(o, "before", sc_summary_json(&t->before));
    json_object_set_new(o, "after", sc_summary_json(&t->after));
    return o;
}

/* The shards that there are, as their headers say; *tokens without those that only fill up. */
static sc_status write_index(const sc_run *r, int64_t *tokens)
{
    json_t *o = json_object(), *list = json_array(), *names = json_array();
    const sc_data_shards_info *f = NULL;
    sc_status s = o && list && names ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < r->shards; i++) {
        sc_data_shards *x = NULL;
        uint32_t crc = 0;
        char *path = sc_out_path(r, "shard-%05lld.bin", (long long)i);
        s = path ? sc_data_shards_open(&x, path) : sc_nomem();
        if (!s) {
            f = sc_data_shards_get(x);
            sc_data_shards_file(x, 0, NULL, &crc);
            json_array_append_new(list,
                                  json_pack("{s:s,s:I,s:I,s:I,s:I}", "file", sc_path_base(path), "bytes",
                                            (json_int_t)f->bytes, "tokens", (json_int_t)f->tokens, "documents",
                                            (json_int_t)f->documents, "crc32c", (json_int_t)crc));
            *tokens += f->tokens;
            for (int64_t k = 0; k < f->documents; k++) *tokens -= f->sequence && sc_data_shards_source(x, k) < 0;
        }
        sc_data_shards_free(x);
        sc_free(path);
    }
    for (int i = 0; i < r->config.n_sources; i++)
        json_array_append_new(names, json_string(r->config.source[i].name));
    json_object_set_new(o, "format", json_string("socle-shards"));
    json_object_set_new(o, "tokenizer", json_string(r->config.tokenizer_path));
    json_object_set_new(o, "sequence", json_integer(r->config.pack));
    json_object_set(o, "shards", list);
    json_object_set(o, "sources", names);
    if (!s) s = write_json(r, "index.json", o);
    json_decref(o);
    json_decref(list);
    json_decref(names);
    return s;
}

sc_status sc_finish(sc_run *r)
{
    total t = {0};
    int64_t tokens = 0;
    sc_status s = sum_up(r, &t);
    if (!s && r->config.tokenizer) s = write_index(r, &tokens);
    if (!s) s = adds_up(r, &t, tokens);
    json_t *o = s ? NULL : report_json(r, &t);
    char *page = sc_path_join(r->out, "report.html");
    if (!s && (!o || !page)) s = sc_nomem();
    if (!s) s = sc_data_page_write(o, page);
    if (!s) s = write_json(r, "data.json", o); /* the last of all: it says that the run is finished */
    sc_free(page);
    json_decref(o);
    free_total(r, &t);
    return s;
}
