/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration: a JSON object, from a file and from what the command line adds. */
#include "data/run.h"

enum { CONFIG_MAX = 16 << 20, MOST_SOURCES = 10000, MOST_STEPS = 100 };

static const sc_setting settings[] = {
    {"sources", SC_SET_ANY, .help = "files, folders or patterns, or objects with \"path\" and more"},
    {"stages", SC_SET_ANY, .help = "names of stages, or objects with \"stage\" and its settings"},
    {"tokenizer", SC_SET_TEXT, .help = "a folder or file of a tokenizer"},
    {"shard_size", SC_SET_SIZE, "64M", 1, 1e15, "bytes of tokens in a shard, about"},
    {"shuffle", SC_SET_BOOL, "true", .help = "put documents into an order drawn by chance"},
    {"pack", SC_SET_INT, "0", 0, 1 << 20, "put documents whole into sequences of so many tokens; 0: end to end"},
    {"documents", SC_SET_BOOL, "false", .help = "write the texts that are left, as JSONL packed with zstd"},
    {"memory", SC_SET_SIZE, "512M", 16 << 20, 1e15, "memory for what has to be held, about"},
    {"part_size", SC_SET_SIZE, "64M", 1, 1e15, "bytes of the sources in a part, which is done or not"},
    {"max_document", SC_SET_SIZE, "16M", 1, 1 << 30, "bytes that a document may have"},
    {"seed", SC_SET_INT, "0", 0, 1e15, "of everything that is chosen by chance"},
    {0}};

static const sc_setting source_settings[] = {{"path", SC_SET_LIST, .help = "files, folders or patterns"},
                                             {"name", SC_SET_TEXT, .help = "what it is called in counts and mixes"},
                                             {"format", SC_SET_TEXT, .help = "where names do not tell"},
                                             {"language", SC_SET_TEXT, .help = "of documents that do not say"},
                                             {"domain", SC_SET_TEXT, .help = "of documents that do not say"},
                                             {0}};
#define SOURCE_KEYS "path|name|format|language|domain"

/* ---- sources ---- */

static sc_status read_source(sc_config *c, json_t *item, size_t i)
{
    sc_source *s = &c->source[c->n_sources];
    snprintf(s->where, sizeof s->where, "source %zu", i + 1);
    if (json_is_string(item)) {
        json_t *o = json_pack("{s:O}", "path", item);
        if (!o || json_array_set_new(json_object_get(c->json, "sources"), i, o)) return sc_nomem();
        item = o;
    }
    if (!json_is_object(item)) return sc_fail(SC_EINVAL, "%s is neither a path nor an object", s->where);
    s->json = item;
    /* Beside these a format's own keys may stand here; they are checked when the format is known. */
    json_t *own = json_object();
    const sc_setting *r;
    for (r = source_settings; own && r->name; r++) json_object_set(own, r->name, json_object_get(item, r->name));
    sc_settings x = {s->where, own, source_settings};
    sc_status e = own ? sc_settings_check(&x, NULL) : sc_nomem();
    if (!e && !sc_setting_count(&x, "path")) e = sc_fail(SC_EINVAL, "%s has no \"path\"", s->where);
    if (!e) {
        const char *format = sc_setting_text(&x, "format");
        s->name = sc_setting_text(&x, "name");
        if (!s->name) s->name = sc_setting_item(&x, "path", 0);
        s->language = sc_setting_text(&x, "language");
        s->domain = sc_setting_text(&x, "domain");
        s->format = format ? sc_format_named(format) : NULL;
        if (format && !s->format) e = sc_fail(SC_EINVAL, "%s: no format '%s'", s->where, format);
    }
    json_decref(own);
    if (!e) c->n_sources++;
    return e;
}

static sc_status read_sources(sc_config *c)
{
    json_t *list = json_object_get(c->json, "sources"), *item;
    size_t i;
    if (json_is_string(list) || json_is_object(list)) {
        json_t *one = json_pack("[O]", list);
        if (!one || json_object_set_new(c->json, "sources", one)) return sc_nomem();
        list = one;
    }
    if (!json_is_array(list) || !json_array_size(list))
        return sc_fail(SC_EINVAL, "no sources: the configuration needs \"sources\"");
    if (json_array_size(list) > MOST_SOURCES)
        return sc_fail(SC_ELIMIT, "%zu sources, at most %d", json_array_size(list), MOST_SOURCES);
    if (!(c->source = sc_calloc(json_array_size(list), sizeof *c->source))) return sc_nomem();
    json_array_foreach(list, i, item)
    {
        sc_status s = read_source(c, item, i);
        if (s) return s;
    }
    return SC_OK;
}

sc_status sc_source_settings(const sc_source *s, const sc_format *f, sc_settings *out)
{
    *out = (sc_settings){s->where, s->json, f->settings};
    return sc_settings_check(out, SOURCE_KEYS);
}

/* ---- stages ---- */

static sc_status unknown_stage(const char *where, const char *name)
{
    enum { MOST = 64 };
    const char *names[MOST], *near;
    int n = 0;
    for (; n < MOST && sc_stage_at(n); n++) names[n] = sc_stage_at(n)->name;
    if (sc_nearest_words(name, names, n, &near, 1))
        return sc_fail(SC_EINVAL, "%s: no stage '%s'; did you mean '%s'?", where, name, near);
    return sc_fail(SC_EINVAL, "%s: no stage '%s'", where, name);
}

static sc_status read_step(sc_config *c, json_t *list, size_t i)
{
    char where[64];
    const char *name = NULL;
    json_t *item = json_array_get(list, i);
    snprintf(where, sizeof where, "stage %zu", i + 1);
    if (json_is_string(item)) {
        json_t *o = json_pack("{s:O}", "stage", item);
        if (!o || json_array_set_new(list, i, o)) return sc_nomem();
        item = o;
    }
    if (!json_is_object(item)) return sc_fail(SC_EINVAL, "%s is neither a name nor an object", where);
    sc_status s = sc_json_str(item, where, "stage", &name);
    if (s) return s;
    if (!name) return sc_fail(SC_EINVAL, "%s has no \"stage\"", where);
    sc_step *step = &c->step[c->n_steps];
    *step = (sc_step){.stage = sc_stage_named(name), .json = item};
    if (!step->stage) return unknown_stage(where, name);
    snprintf(step->where, sizeof step->where, "stage %s", name);
    c->n_steps++;
    sc_settings x = {step->where, item, step->stage->settings};
    return sc_settings_check(&x, "stage");
}

static sc_status read_steps(sc_config *c)
{
    json_t *list = json_object_get(c->json, "stages");
    if (!list || json_is_null(list)) {
        list = json_array();
        if (!list || json_object_set_new(c->json, "stages", list)) return sc_nomem();
    }
    if (!json_is_array(list)) return sc_fail(SC_EINVAL, "\"stages\" is no list");
    if (json_array_size(list) > MOST_STEPS)
        return sc_fail(SC_ELIMIT, "%zu stages, at most %d", json_array_size(list), MOST_STEPS);
    if (!(c->step = sc_calloc(json_array_size(list) + 1, sizeof *c->step))) return sc_nomem();
    for (size_t i = 0; i < json_array_size(list); i++) {
        sc_status s = read_step(c, list, i);
        if (s) return s;
    }
    return SC_OK;
}

/* ---- the whole ---- */

static sc_status read_json(sc_config *c, const sc_data_options *o)
{
    json_t *more = NULL;
    sc_status s = SC_OK;
    if (o->config)
        s = sc_json_read(&c->json, o->config, CONFIG_MAX);
    else if (!(c->json = json_object()))
        s = sc_nomem();
    if (!s && o->settings) s = sc_json_parse(&more, o->settings, (int64_t)strlen(o->settings), "settings");
    if (!s && !json_is_object(c->json)) s = sc_fail(SC_EINVAL, "%s is no object", o->config);
    if (!s && more && json_object_update(c->json, more)) s = sc_fail(SC_EINVAL, "the settings are no object");
    json_decref(more);
    return s;
}

/* Without a tokenizer texts are what comes out. With one, tokens are made before they are counted by mixing, or at the end. */
static sc_status complete(sc_config *c)
{
    int at = c->n_steps;
    for (int i = c->n_steps - 1; i >= 0; i--) {
        if (strcmp(c->step[i].stage->name, "tokens") == 0) at = -1;
        if (at > 0 && strcmp(c->step[i].stage->name, "mix") == 0) at = i;
    }
    if (!c->tokenizer_path) c->documents = true;
    if (c->tokenizer_path && c->shard > c->memory / 4)
        return sc_fail(SC_EINVAL, "shards of %lld bytes need four times the memory: \"memory\" is %lld",
                       (long long)c->shard, (long long)c->memory);
    if (!c->tokenizer_path || at < 0) return SC_OK;
    json_t *list = json_object_get(c->json, "stages"), *o = json_pack("{s:s}", "stage", "tokens");
    if (!o || json_array_insert_new(list, (size_t)at, o)) return sc_nomem();
    memmove(&c->step[at + 1], &c->step[at], (size_t)(c->n_steps++ - at) * sizeof *c->step);
    c->step[at] = (sc_step){.stage = &sc_stage_tokens, .json = o, .where = "stage tokens"};
    return SC_OK;
}

sc_status sc_config_read(sc_config *c, const sc_data_options *o)
{
    *c = (sc_config){0};
    sc_status s = read_json(c, o);
    sc_settings x = {o->config ? o->config : "the configuration", c->json, settings};
    if (!s) s = sc_settings_check(&x, NULL);
    if (!s) {
        c->tokenizer_path = sc_setting_text(&x, "tokenizer");
        c->shard = sc_setting_int(&x, "shard_size");
        c->shuffle = sc_setting_bool(&x, "shuffle");
        c->pack = sc_setting_int(&x, "pack");
        c->documents = sc_setting_bool(&x, "documents");
        c->memory = sc_setting_int(&x, "memory");
        c->part = sc_setting_int(&x, "part_size");
        c->largest = sc_setting_int(&x, "max_document");
        c->seed = (uint64_t)sc_setting_int(&x, "seed");
        s = read_sources(c);
    }
    if (!s) s = read_steps(c);
    if (!s) s = complete(c);
    if (s) sc_config_free(c);
    return s;
}

sc_status sc_config_open(sc_config *c, sc_context *ctx)
{
    sc_status s = c->tokenizer_path ? sc_tokenizer_load(&c->tokenizer, c->tokenizer_path) : SC_OK;
    for (int i = 0; !s && i < c->n_steps; i++) {
        sc_step *t = &c->step[i];
        sc_stage_setup x = {.ctx = ctx,
                            .settings = {t->where, t->json, t->stage->settings},
                            .memory = c->memory,
                            .seed = c->seed,
                            .tokenizer = c->tokenizer};
        if (t->stage->open) s = t->stage->open(&t->self, &x);
    }
    return s;
}

void sc_config_free(sc_config *c)
{
    for (int i = 0; i < c->n_steps; i++)
        if (c->step[i].stage->free) c->step[i].stage->free(c->step[i].self);
    sc_tokenizer_free(c->tokenizer);
    sc_free(c->step);
    sc_free(c->source);
    json_decref(c->json);
    *c = (sc_config){0};
}
