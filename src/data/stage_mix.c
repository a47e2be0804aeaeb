/* SPDX-License-Identifier: Apache-2.0 */
/* How much of each group (source, language, domain) there is in the end. Documents are taken in an order drawn by chance until a
 * group has what it should have; where that is more than there is, all come more than once. */
#include "data/global.h"

#include <math.h>

enum { MOST_GROUPS = 10000 };

typedef struct mix {
    sc_settings settings; /* borrowed from the configuration, which outlives the stage */
    enum { BY_SOURCE, BY_LANGUAGE, BY_DOMAIN } by;
    double temperature, copies;
    int64_t total;
    uint64_t seed;
} mix;

/* Of one group. */
typedef struct group {
    char *name;
    int64_t size;         /* what there is */
    double share, wanted; /* of all; in the end */
    int64_t whole, rest;  /* how often all of it comes; how much of it comes once more */
    int64_t taken;
} group;

static sc_status check_numbers(const sc_settings *s, const char *name)
{
    const char *key;
    json_t *v;
    const json_t *o = sc_setting_json(s, name);
    if (o && !json_is_object(o))
        return sc_fail(SC_EINVAL, "%s: '%s' is an object with a number for each group", s->where, name);
    json_object_foreach((json_t *)o, key, v)
    {
        bool size = json_is_string(v) && sc_size_parse(json_string_value(v)) >= 0;
        if (!size && !(json_is_number(v) && json_number_value(v) >= 0))
            return sc_fail(SC_EINVAL, "%s: '%s' of '%s' is no number from 0 on", s->where, name, key);
    }
    return SC_OK;
}

static sc_status mix_open(void **self, const sc_stage_setup *x)
{
    static const char *const words[] = {"source", "language", "domain"};
    const char *by = sc_setting_text(&x->settings, "by");
    mix *m = sc_calloc(1, sizeof *m);
    int i = 0;
    if (!m) return sc_nomem();
    m->settings = x->settings;
    m->temperature = sc_setting_num(&x->settings, "temperature");
    m->copies = sc_setting_num(&x->settings, "max_copies");
    m->total = sc_setting_int(&x->settings, "total");
    m->seed = x->seed;
    while (i < SC_COUNT(words) && strcmp(words[i], by) != 0) i++;
    m->by = i;
    sc_status s = i < SC_COUNT(words) ? check_numbers(&x->settings, "weights")
                                      : sc_fail(SC_EINVAL, "%s: 'by' is source, language or domain, not '%s'",
                                                x->settings.where, by);
    if (!s) s = check_numbers(&x->settings, "quotas");
    if (s)
        sc_free(m);
    else
        *self = m;
    return s;
}

/* Tokens where there are any, else bytes. */
static int64_t size_of(const sc_document *d) { return d->n_ids ? d->n_ids : d->text.len; }

static sc_status mix_note(const void *self, void *room, const sc_document *d, sc_notes *out)
{
    const mix *m = self;
    char text[512];
    const char *name = m->by == BY_LANGUAGE ? d->language : m->by == BY_DOMAIN ? d->domain : NULL;
    int64_t place[3] = {d->file, d->place, d->record}, size = size_of(d);
    uint32_t r[4];
    (void)room;
    memcpy(text, &size, sizeof size);
    if (!name)
        snprintf(text + sizeof size, sizeof text - sizeof size, "%d", d->source);
    else
        snprintf(text + sizeof size, sizeof text - sizeof size, "%s", name[0] ? name : "und");
    sc_philox(m->seed, sc_hash("mix", 3), sc_hash(place, sizeof place), r);
    sc_notes_add(out, (uint64_t)r[1] << 32 | r[0], text, (int64_t)(sizeof size + strlen(text + sizeof size)));
    return SC_OK;
}

static int64_t mix_tasks(const void *self, const sc_deciding *x, int step)
{
    (void)self, (void)x, (void)step;
    return 1;
}

/* ---- what each group should have ---- */

typedef struct groups {
    group *g;
    int64_t n, cap;
    sc_map index;
} groups;

static sc_status group_of(groups *x, const mix *m, const sc_note *note, group **out)
{
    const char *p = note->p + 8;
    int64_t n = note->n - 8, i;
    if (n < 1) return sc_fail(SC_EFORMAT, "a note is damaged");
    if (sc_map_get(&x->index, p, n, &i)) {
        *out = &x->g[i];
        return SC_OK;
    }
    if (x->n >= MOST_GROUPS) return sc_fail(SC_ELIMIT, "%s: more than %d groups", m->settings.where, MOST_GROUPS);
    char *name = sc_strndup(p, (size_t)n);
    if (!name || !sc_grow(&x->g, &x->cap, x->n + 1, sizeof *x->g)) {
        sc_free(name);
        return sc_nomem();
    }
    x->g[x->n] = (group){.name = name};
    if (!sc_map_put(&x->index, name, n, x->n)) {
        sc_free(name);
        return sc_nomem();
    }
    *out = &x->g[x->n++];
    return SC_OK;
}

static void free_groups(groups *x)
{
    for (int64_t i = 0; i < x->n; i++) sc_free(x->g[i].name);
    sc_free(x->g);
    sc_map_free(&x->index);
}

static sc_status measure(groups *x, const sc_deciding *d, const mix *m)
{
    sc_merge *notes;
    sc_note note;
    bool more;
    sc_status s = sc_deciding_notes(d, &notes, 0, UINT64_MAX);
    while (!s && !(s = sc_merge_next(notes, &note, &more)) && more) {
        group *g = NULL;
        int64_t size;
        if ((s = group_of(x, m, &note, &g))) break;
        memcpy(&size, note.p, sizeof size);
        g->size += size;
    }
    sc_merge_close(notes);
    return s;
}

/* A number of weights or quotas: by the group's name, or by "*" for all others; -1: there is none. */
static double number_of(const mix *m, const sc_deciding *d, const char *key, const char *of)
{
    const json_t *o = sc_setting_json(&m->settings, key);
    const char *name = m->by == BY_SOURCE ? sc_deciding_source(d, of) : of;
    const json_t *v = json_object_get(o, name);
    if (!v) v = json_object_get(o, "*");
    return !v ? -1 : json_is_string(v) ? (double)sc_size_parse(json_string_value(v)) : json_number_value(v);
}

static sc_status share(groups *x, const sc_deciding *d, const mix *m)
{
    bool weighted = sc_setting_given(&m->settings, "weights");
    double sum = 0;
    for (int64_t i = 0; i < x->n; i++) {
        group *g = &x->g[i];
        g->share = weighted ? number_of(m, d, "weights", g->name) : pow((double)g->size, 1 / m->temperature);
        if (g->share < 0)
            return sc_fail(SC_EINVAL, "%s: 'weights' has none for '%s', and none for all others, \"*\"",
                           m->settings.where, m->by == BY_SOURCE ? sc_deciding_source(d, g->name) : g->name);
        sum += g->share;
    }
    if (x->n && sum <= 0) return sc_fail(SC_EINVAL, "%s: all weights are 0", m->settings.where);
    for (int64_t i = 0; i < x->n; i++) x->g[i].share /= sum;
    return SC_OK;
}

/* Without a total as much as there is, or as there can be with none of them more than `copies` times. */
static double total_of(const groups *x, const mix *m)
{
    double all = 0, total = INFINITY;
    if (m->total) return (double)m->total;
    for (int64_t i = 0; i < x->n; i++) {
        all += (double)x->g[i].size;
        if (x->g[i].share > 0) total = SC_MIN(total, m->copies * (double)x->g[i].size / x->g[i].share);
    }
    return SC_MIN(all, total);
}

static sc_status plan(groups *x, const sc_deciding *d, const mix *m)
{
    sc_status s = share(x, d, m);
    double total = s ? 0 : total_of(x, m);
    for (int64_t i = 0; !s && i < x->n; i++) {
        group *g = &x->g[i];
        double quota = number_of(m, d, "quotas", g->name);
        g->wanted = SC_MIN(total * g->share, m->copies * (double)g->size);
        if (quota >= 0) g->wanted = SC_MIN(g->wanted, quota);
        if (!g->size) continue;
        g->whole = (int64_t)floor(g->wanted / (double)g->size + 1e-9);
        g->rest = (int64_t)SC_MAX(0, g->wanted - (double)g->whole * (double)g->size);
    }
    return s;
}

static sc_status choose(groups *x, const sc_deciding *d, const mix *m, sc_spill *out)
{
    sc_merge *notes;
    sc_note note;
    bool more;
    sc_status s = sc_deciding_notes(d, &notes, 0, UINT64_MAX);
    while (!s && !(s = sc_merge_next(notes, &note, &more)) && more) {
        group *g = NULL;
        int64_t size, times;
        if ((s = group_of(x, m, &note, &g))) break;
        memcpy(&size, note.p, sizeof size);
        /* One that does not fit any more is left out, and a smaller one may still fit. */
        bool once_more = g->taken + size <= g->rest;
        if (once_more) g->taken += size;
        times = g->whole + once_more;
        if (times != 1) s = sc_spill_add(out, note.ref, 0, &times, sizeof times);
    }
    sc_merge_close(notes);
    return s;
}

static sc_status mix_decide(const void *self, const sc_deciding *d, int step, int64_t task, sc_spill *out)
{
    const mix *m = self;
    groups x = {0};
    (void)step, (void)task;
    sc_status s = measure(&x, d, m);
    if (!s) s = plan(&x, d, m);
    if (!s) s = choose(&x, d, m, out);
    free_groups(&x);
    return s;
}

static sc_status mix_tell(const void *self, const sc_document *d, const sc_note *decision, sc_verdict *v)
{
    int64_t times = 1;
    (void)self, (void)d;
    if (decision && decision->n == sizeof times) memcpy(&times, decision->p, sizeof times);
    if (times < 1)
        sc_drop(v, "over_share");
    else
        v->copies = times - 1;
    return SC_OK;
}

static const sc_global global = {
    .note = mix_note, .steps = 1, .tasks = mix_tasks, .decide = mix_decide, .tell = mix_tell};
static const sc_setting settings[] = {
    {"by", SC_SET_TEXT, "source", .help = "what makes a group: source, language or domain"},
    {"weights", SC_SET_ANY,
     .help = "shares of groups in the end, {\"web\": 3, \"books\": 1}; \"*\": of each other group"},
    {"temperature", SC_SET_NUM, "1", 0.01, 1e9,
     "without weights shares go with size^(1/temperature): 1 as they are, more: more alike"},
    {"quotas", SC_SET_ANY,
     .help = "most tokens (without a tokenizer bytes) of groups, {\"en\": \"10G\"}; \"*\": of each other"},
    {"total", SC_SET_SIZE, "0", 0, 1e18,
     "tokens (or bytes) in the end; 0: as many as there are, where weights and max_copies allow that"},
    {"max_copies", SC_SET_NUM, "4", 0.001, 1000, "how often a group comes at most"},
    {0}};
const sc_stage sc_stage_mix = {.name = "mix",
                               .summary = "brings sources, languages or domains to their shares",
                               .settings = settings,
                               .open = mix_open,
                               .free = sc_free,
                               .global = &global};
