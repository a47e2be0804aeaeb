/* SPDX-License-Identifier: Apache-2.0 */
#include "synth/synth.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- answers.jsonl ---- */

/* Lines that are whole; one that a process was killed in is cut off. */
static sc_status read_log(sc_synth *w, const char *path)
{
    char *text;
    int64_t len, at = 0;
    enum { MOST = 1 << 30 };
    sc_status s = sc_file_read(&text, &len, path, MOST);
    while (!s && at < len) {
        const char *end = memchr(text + at, '\n', (size_t)(len - at));
        json_t *line = NULL;
        if (!end) break;
        s = sc_json_parse(&line, text + at, end - (text + at), path);
        const char *key = json_string_value(json_object_get(line, "key"));
        if (!s && !key) s = sc_fail(SC_EFORMAT, "%s: a line without a key", path);
        if (!s && json_object_set(w->cache, key, line) != 0) s = sc_nomem();
        json_decref(line);
        at = end + 1 - text;
    }
    if (!s && at < len && truncate(path, at) != 0) s = sc_fail(SC_EIO, "cannot cut %s: %s", path, strerror(errno));
    sc_free(text);
    return s;
}

static sc_status open_log(sc_synth *w)
{
    char *path = sc_path_join(w->o.out, "answers.jsonl");
    sc_status s = path ? sc_mkdirs(w->o.out) : sc_nomem();
    if (!s && (w->log = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666)) < 0)
        s = sc_fail(SC_EIO, "cannot write %s: %s", path, strerror(errno));
    if (!s && flock(w->log, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        s = sc_fail(SC_EINVAL, "%s: another process is at work there", w->o.out);
    if (!s) s = read_log(w, path);
    sc_free(path);
    return s;
}

/* ---- a run ---- */

/* Sizes and times of a model's files: of one that was trained on, nothing was answered before. */
static uint64_t files_of(const char *path)
{
    static const char *const names[] = {"",
                                        "/model.safetensors",
                                        "/model.safetensors.index.json",
                                        "/adapter_model.safetensors",
                                        "/tokenizer.json",
                                        "/tokenizer_config.json"};
    uint64_t all = 0;
    for (int i = 0; i < SC_COUNT(names); i++) {
        struct stat st;
        char file[4096];
        snprintf(file, sizeof file, "%s%s", path, names[i]);
        if (stat(file, &st) != 0 || S_ISDIR(st.st_mode)) continue;
        int64_t what[] = {(int64_t)all, i, st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
        all = sc_hash(what, sizeof what);
    }
    return all;
}

sc_speaker sc_synth_speaker(const sc_synth *w, sc_asker *a)
{
    bool here = a && sc_asker_pipeline(a);
    return (sc_speaker){
        .a = a, .chats = a && !w->o.plain && sc_asker_chats(a), .files = here ? files_of(sc_asker_name(a)) : 0};
}

static sc_status take_options(sc_synth *w)
{
    sc_synth_options *o = &w->o;
    if (!o->out) return sc_fail(SC_EINVAL, "making data needs a place for it");
    if (o->temperature == 0) o->temperature = 0.7;
    if (o->top_p == 0) o->top_p = 0.95;
    if (!o->max_new_tokens) o->max_new_tokens = 512;
    if (!o->round) o->round = 16;
    if (o->novelty == 0) o->novelty = 0.7;
    if (o->near == 0) o->near = 0.8;
    if (o->max_new_tokens < 1 || o->round < 1 || o->round > 65536)
        return sc_fail(SC_EINVAL, "%lld tokens of an answer in rounds of %lld are out of range",
                       (long long)o->max_new_tokens, (long long)o->round);
    if (!(o->temperature <= 10) || !(o->top_p > 0 && o->top_p <= 1) || !(o->novelty > 0 && o->novelty <= 1) ||
        !(o->near > 0))
        return sc_fail(SC_EINVAL, "temperature %g, top_p %g, novelty %g or near %g is out of range", o->temperature,
                       o->top_p, o->novelty, o->near);
    return SC_OK;
}

sc_status sc_synth_open(sc_synth *w, sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                        const char *method)
{
    w->ctx = ctx;
    w->o = *o;
    w->method = method;
    w->log = -1;
    sc_status s = take_options(w);
    w->model = sc_synth_speaker(w, model);
    if (s) return s;
    w->arena = sc_arena_new();
    w->cache = json_object();
    w->data = json_array();
    w->rejected = json_array();
    w->reasons = json_object();
    w->counts = json_object();
    w->extra = json_object();
    if (!w->arena || !w->cache || !w->data || !w->rejected || !w->reasons || !w->counts || !w->extra)
        return sc_nomem();
    if (w->o.near <= 1) s = sc_alike_new(&w->alike, w->o.near);
    return s ? s : open_log(w);
}

static void close_run(sc_synth *w)
{
    json_t *all[] = {w->cache, w->data, w->rejected, w->reasons, w->counts, w->extra};
    for (int i = 0; i < SC_COUNT(all); i++) json_decref(all[i]);
    sc_alike_free(w->alike);
    sc_arena_free(w->arena);
    if (w->log >= 0) close(w->log);
    *w = (sc_synth){.log = -1};
}

static void add_to(json_t *counts, const char *name, int64_t n)
{
    json_int_t had = json_integer_value(json_object_get(counts, name));
    json_object_set_new(counts, name, json_integer(had + (json_int_t)n));
}

void sc_synth_count(sc_synth *w, const char *name, int64_t n) { add_to(w->counts, name, n); }

sc_status sc_synth_reject(sc_synth *w, json_t *line, const char *reason)
{
    if (!line || json_object_set_new(line, "reason", json_string(reason)) != 0 ||
        json_array_append_new(w->rejected, line) != 0)
        return sc_nomem();
    add_to(w->reasons, reason, 1);
    return SC_OK;
}

sc_status sc_synth_keep(sc_synth *w, json_t *line, const char *text)
{
    int64_t like = -1;
    double similarity;
    if (!line) return sc_nomem();
    sc_status s =
        text && w->alike ? sc_alike_add(w->alike, text, (int64_t)strlen(text), &like, &similarity) : SC_OK;
    if (s) {
        json_decref(line);
        return s;
    }
    if (like >= 0) {
        json_object_set_new(line, "like", json_integer((json_int_t)like));
        json_object_set_new(line, "similarity", json_real(similarity));
        return sc_synth_reject(w, line, "near_duplicate");
    }
    return json_array_append_new(w->data, line) == 0 ? SC_OK : sc_nomem();
}

json_t *sc_synth_provenance(const sc_synth *w, const sc_speaker *who, const char *stage, int64_t index)
{
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:f, s:f}", "method", w->method, "model", sc_asker_name(who->a),
                     "stage", stage, "index", (json_int_t)index, "seed", (json_int_t)w->o.seed, "temperature",
                     SC_MAX(w->o.temperature, 0), "top_p", w->o.top_p);
}

/* ---- files ---- */

static sc_status write_lines(const sc_synth *w, const char *name, const json_t *lines)
{
    char *path = sc_path_join(w->o.out, name);
    sc_writer *f = NULL;
    sc_status s = path ? sc_writer_open(&f, path) : sc_nomem();
    for (size_t i = 0; !s && i < json_array_size(lines); i++) {
        char *text = json_dumps(json_array_get(lines, i), JSON_COMPACT);
        s = text ? sc_writer_write(f, text, (int64_t)strlen(text)) : sc_nomem();
        if (!s) s = sc_writer_write(f, "\n", 1);
        sc_free(text);
    }
    if (!s) s = sc_writer_commit(f);
    sc_writer_close(f);
    sc_free(path);
    return s;
}

static sc_status write_summary(const sc_synth *w)
{
    json_t *o = json_pack("{s:s, s:s*, s:I, s:I, s:I, s:I, s:O, s:O}", "method", w->method, "model",
                          w->model.a ? sc_asker_name(w->model.a) : NULL, "asked", (json_int_t)w->result.asked,
                          "answers_from_before", (json_int_t)w->result.before, "kept", (json_int_t)w->result.kept,
                          "rejected", (json_int_t)w->result.rejected, "reasons", w->reasons, "counts", w->counts);
    if (o) json_object_update(o, w->extra);
    char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL, *path = sc_path_join(w->o.out, "summary.json");
    sc_status s = text && path ? sc_file_write(path, text, (int64_t)strlen(text)) : sc_nomem();
    sc_free(text);
    sc_free(path);
    json_decref(o);
    return s;
}

static void put_counts(sc_page *p, const char *heading, const json_t *counts)
{
    enum { MOST = 64 };
    sc_bar bar[MOST];
    int n = 0;
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)counts, name, v)
    {
        if (n < MOST) bar[n++] = (sc_bar){.name = name, .value = json_number_value(v)};
    }
    if (n) sc_page_bars(p, heading, bar, n);
}

static void put_examples(sc_page *p, const char *heading, const json_t *lines)
{
    enum { SHOWN = 12, MOST = 1200 };
    static const char *const head[] = {"line", "as it is in the file"};
    size_t n = json_array_size(lines);
    if (!n) return;
    sc_page_section(p, heading, NULL);
    sc_page_table(p, head, SC_COUNT(head));
    for (size_t i = 0; i < SC_MIN(n, SHOWN); i++) {
        size_t at = n <= SHOWN ? i : i * n / SHOWN;
        json_t *shown = json_copy(json_array_get(lines, at));
        json_object_del(shown, "provenance");
        char *text = json_dumps(shown, JSON_INDENT(1));
        int64_t len = text ? (int64_t)strlen(text) : 0;
        sc_page_row(p);
        sc_page_cellf(p, "%zu", at + 1);
        sc_page_cell_said(p, NULL, text, SC_MIN(len, MOST) - sc_utf8_unfinished(text, SC_MIN(len, MOST)));
        sc_free(text);
        json_decref(shown);
    }
    sc_page_table_end(p);
}

/* A number, a rate with its interval, or what else there is. */
static void put_value(sc_page *p, const json_t *v)
{
    const json_t *rate = json_object_get(v, "rate");
    if (json_is_real(v))
        sc_page_cellf(p, "%.4g", json_real_value(v));
    else if (rate)
        sc_page_cellf(p, "%.3f (%.3f to %.3f), %lld of %lld", json_number_value(rate),
                      json_number_value(json_object_get(v, "low")), json_number_value(json_object_get(v, "high")),
                      (long long)json_integer_value(json_object_get(v, "count")),
                      (long long)json_integer_value(json_object_get(v, "of")));
    else
        sc_page_cell_json(p, v);
}

/* Tables of the summary's own: lists of objects of one kind. */
static void put_extra(sc_page *p, const json_t *extra)
{
    const char *name, *key;
    json_t *v, *cell;
    json_object_foreach((json_t *)(uintptr_t)extra, name, v)
    {
        const char *head[16];
        int n = 0;
        json_object_foreach(json_array_get(v, 0), key, cell)
        {
            if (n < SC_COUNT(head)) head[n++] = key;
        }
        if (!n) continue;
        sc_page_section(p, name, NULL);
        sc_page_table(p, head, n);
        for (size_t i = 0; i < json_array_size(v); i++) {
            sc_page_row(p);
            for (int k = 0; k < n; k++) put_value(p, json_object_get(json_array_get(v, i), head[k]));
        }
        sc_page_table_end(p);
    }
}

static sc_status write_page(const sc_synth *w)
{
    char number[4][32], *path = sc_path_join(w->o.out, "report.html");
    const char *fact[] = {"answers asked for", number[0], "from before", number[1],
                          "lines kept",        number[2], "left out",    number[3]};
    sc_page p = {0};
    if (!path) return sc_nomem();
    const int64_t values[] = {w->result.asked, w->result.before, w->result.kept, w->result.rejected};
    for (int i = 0; i < SC_COUNT(values); i++) snprintf(number[i], sizeof number[i], "%lld", (long long)values[i]);
    sc_page_begin(&p, w->method, w->model.a ? sc_asker_name(w->model.a) : "");
    sc_page_facts(&p, fact, SC_COUNT(fact) / 2);
    put_extra(&p, w->extra);
    put_counts(&p, "Counted", w->counts);
    put_counts(&p, "Left out, by reason", w->reasons);
    put_examples(&p, "Kept", w->data);
    put_examples(&p, "Left out", w->rejected);
    sc_page_command(&p, "Command", w->o.command);
    sc_status s = sc_page_write(&p, path);
    sc_free(path);
    return s;
}

sc_status sc_synth_finish(sc_synth *w, sc_status s, sc_synth_result *result)
{
    w->result.kept = (int64_t)json_array_size(w->data);
    w->result.rejected = (int64_t)json_array_size(w->rejected);
    if (!s) s = write_lines(w, "data.jsonl", w->data);
    if (!s) s = write_lines(w, "rejected.jsonl", w->rejected);
    if (!s) s = write_summary(w);
    if (!s) s = write_page(w);
    if (s == SC_ECANCELLED && w->log >= 0)
        s = sc_fail(s, "stopped; %lld answers are kept in %s, the same command goes on",
                    (long long)(w->result.asked + w->result.before), w->o.out);
    if (!s && result) *result = w->result;
    close_run(w);
    return s;
}
