/* SPDX-License-Identifier: Apache-2.0 */
/* What stages did, counted; and a few of the documents that they dropped. */
#include "data/filters.h"
#include "data/run.h"

#include <stdlib.h>

enum { MOST_ROWS = 4096, EXCERPT = 400, URL = 200 };

/* ---- numbers by name ---- */

int64_t *sc_counts_at(sc_counts *c, const char *name)
{
    static _Thread_local int64_t nowhere[SC_TALLY_VALUES];
    int64_t i;
    if (c->rows >= MOST_ROWS && !sc_map_get(&c->index, name, (int64_t)strlen(name), &i)) name = "(others)";
    if (sc_map_get(&c->index, name, (int64_t)strlen(name), &i)) return c->row[i].n;
    char *own = sc_strdup(name);
    if (!own || !sc_grow(&c->row, &c->cap, c->rows + 1, sizeof *c->row) ||
        !sc_map_put(&c->index, own, (int64_t)strlen(own), c->rows)) {
        sc_free(own);
        c->oom = true;
        return nowhere;
    }
    c->row[c->rows] = (struct sc_count_row){.name = own};
    return c->row[c->rows++].n;
}

void sc_counts_free(sc_counts *c)
{
    for (int64_t i = 0; i < c->rows; i++) sc_free(c->row[i].name);
    sc_free(c->row);
    sc_map_free(&c->index);
    *c = (sc_counts){0};
}

static json_t *counts_json(const sc_counts *c)
{
    json_t *o = json_object();
    for (int64_t i = 0; i < c->rows; i++) {
        json_t *n = json_array();
        for (int k = 0; k < SC_TALLY_VALUES; k++) json_array_append_new(n, json_integer(c->row[i].n[k]));
        json_object_set_new(o, c->row[i].name, n);
    }
    return o;
}

static void counts_add_json(sc_counts *c, const json_t *o)
{
    const char *name;
    json_t *n;
    json_object_foreach((json_t *)o, name, n)
    {
        int64_t *to = sc_counts_at(c, name);
        for (int k = 0; k < SC_TALLY_VALUES; k++) to[k] += json_integer_value(json_array_get(n, (size_t)k));
    }
}

/* ---- examples ---- */

static struct sc_example_list *list_of(sc_tally *t, const char *reason)
{
    for (int64_t i = 0; i < t->n_examples; i++)
        if (strcmp(t->examples[i].reason, reason) == 0) return &t->examples[i];
    char *own = sc_strdup(reason);
    if (!own || t->n_examples >= MOST_ROWS ||
        !sc_grow(&t->examples, &t->cap_examples, t->n_examples + 1, sizeof *t->examples)) {
        sc_free(own);
        t->oom = true;
        return NULL;
    }
    t->examples[t->n_examples] = (struct sc_example_list){.reason = own};
    return &t->examples[t->n_examples++];
}

/* Whether one of this order would be kept. */
static bool wanted(const struct sc_example_list *l, uint64_t order)
{
    return l->n < SC_TALLY_EXAMPLES || order < l->best[l->n - 1].order;
}

/* Takes the JSON. */
static void keep(struct sc_example_list *l, uint64_t order, json_t *json)
{
    if (l->n == SC_TALLY_EXAMPLES) json_decref(l->best[--l->n].json);
    int i = l->n++;
    for (; i > 0 && l->best[i - 1].order > order; i--) l->best[i] = l->best[i - 1];
    l->best[i] = (sc_example){.order = order, .json = json};
}

/* At most so many bytes of a text with personal data masked; a document may be no UTF-8 yet. */
static json_t *excerpt(const sc_str *text, int64_t most)
{
    sc_str s = {0}, masked = {0};
    int64_t counts[SC_PERSONAL_KINDS] = {0};
    /* More is masked than is shown, so that nothing is cut before it can be told. */
    sc_personal_mask(&masked, text->p, SC_MIN(text->len, 2 * most), ~0u, counts);
    for (int64_t at = 0; at < masked.len && s.len < most;) {
        uint32_t c;
        at += sc_utf8_decode(masked.p + at, masked.len - at, &c);
        sc_str_utf8(&s, c == 0 ? 0xfffd : c);
    }
    if (s.len < text->len && s.len >= most) sc_str_puts(&s, "\xe2\x80\xa6");
    json_t *o = json_stringn(s.p ? s.p : "", (size_t)s.len);
    sc_str_free(&s);
    sc_str_free(&masked);
    return o;
}

static json_t *text_or_null(const char *p, int64_t n)
{
    json_t *o = n ? json_stringn(p, (size_t)n) : NULL;
    return o ? o : json_null();
}

static json_t *example_json(const sc_parts *p, const sc_document *d, const sc_verdict *v)
{
    json_t *o = json_object();
    json_object_set_new(o, "file", json_string(p->file[d->file].path));
    json_object_set_new(o, "place", json_integer(d->place));
    json_object_set_new(o, "url", d->url.len ? excerpt(&d->url, URL) : json_null());
    json_object_set_new(o, "language", text_or_null(d->language, (int64_t)strlen(d->language)));
    if (v->has_value) json_object_set_new(o, "value", json_real(v->value));
    if (v->detail[0]) json_object_set_new(o, "detail", json_string(v->detail));
    if (v->other_file > 0 && v->other_file <= p->n_files) {
        json_object_set_new(o, "other_file", json_string(p->file[v->other_file - 1].path));
        json_object_set_new(o, "other_place", json_integer(v->other_place));
    }
    json_object_set_new(o, "bytes", json_integer(d->text.len));
    json_object_set_new(o, "text", excerpt(&d->text, EXCERPT));
    return o;
}

static json_t *examples_json(const sc_tally *t)
{
    json_t *o = json_object();
    for (int64_t i = 0; i < t->n_examples; i++) {
        const struct sc_example_list *l = &t->examples[i];
        json_t *list = json_array();
        for (int k = 0; k < l->n; k++) {
            json_t *copy = json_copy(l->best[k].json);
            json_object_set_new(copy, "order", json_integer((json_int_t)l->best[k].order));
            json_array_append_new(list, copy);
        }
        json_object_set_new(o, l->reason, list);
    }
    return o;
}

static void examples_add_json(sc_tally *t, const json_t *o)
{
    const char *reason;
    json_t *list, *item;
    size_t i;
    json_object_foreach((json_t *)o, reason, list)
    {
        struct sc_example_list *l = list_of(t, reason);
        json_array_foreach(list, i, item)
        {
            uint64_t order = (uint64_t)json_integer_value(json_object_get(item, "order"));
            if (l && wanted(l, order)) keep(l, order, json_incref(item));
        }
    }
}

/* ---- a stage ---- */

void sc_tally_add(sc_tally *t, const sc_parts *p, const sc_document *d, const sc_verdict *v, const char *language,
                  int64_t bytes, int64_t part)
{
    bool stays = v->fate == SC_KEEP;
    t->in++;
    t->bytes_in += bytes;
    t->kept += stays;
    t->dropped += v->fate == SC_DROP;
    t->merged += v->fate == SC_MERGE;
    t->changed += stays && v->changed;
    t->copies += stays ? v->copies : 0;
    if (stays) t->bytes_kept += d->text.len;
    int64_t *n = sc_counts_at(&t->languages, language[0] ? language : "und");
    n[0]++;
    n[1] += stays;
    n[2] += bytes;
    n[3] += stays ? d->text.len : 0;
    for (int i = 0; i < v->n_counts; i++) {
        n = sc_counts_at(&t->things, v->count[i].name);
        n[0] += v->count[i].n;
        n[1] += v->count[i].n > 0;
    }
    if (stays && !v->reason) return;
    const char *reason = v->reason ? v->reason : "dropped";
    n = sc_counts_at(&t->reasons, reason);
    n[0]++;
    n[1] += bytes;
    int64_t place[2] = {part, d->record};
    uint64_t order = sc_hash(place, sizeof place) >> 2; /* fits JSON's integers */
    struct sc_example_list *l = list_of(t, reason);
    if (l && wanted(l, order)) keep(l, order, example_json(p, d, v));
}

#define NUMBERS(X) X(in) X(kept) X(dropped) X(merged) X(changed) X(copies) X(bytes_in) X(bytes_kept)
#define TABLES(X)  X(reasons) X(things) X(languages)

json_t *sc_tally_json(const sc_tally *t)
{
    json_t *o = json_object();
#define X(name) json_object_set_new(o, #name, json_integer(t->name));
    NUMBERS(X)
#undef X
    json_object_set_new(o, "seconds", json_real(t->seconds));
#define X(name) json_object_set_new(o, #name, counts_json(&t->name));
    TABLES(X)
#undef X
    json_object_set_new(o, "examples", examples_json(t));
    return o;
}

sc_status sc_tally_add_json(sc_tally *t, const json_t *o)
{
#define X(name) t->name += json_integer_value(json_object_get(o, #name));
    NUMBERS(X)
#undef X
    t->seconds += json_number_value(json_object_get(o, "seconds"));
#define X(name)                                                                                                    \
    counts_add_json(&t->name, json_object_get(o, #name));                                                          \
    t->oom = t->oom || t->name.oom;
    TABLES(X)
#undef X
    examples_add_json(t, json_object_get(o, "examples"));
    return t->oom ? sc_nomem() : SC_OK;
}

void sc_tally_free(sc_tally *t)
{
#define X(name) sc_counts_free(&t->name);
    TABLES(X)
#undef X
    for (int64_t i = 0; i < t->n_examples; i++) {
        for (int k = 0; k < t->examples[i].n; k++) json_decref(t->examples[i].best[k].json);
        sc_free(t->examples[i].reason);
    }
    sc_free(t->examples);
    *t = (sc_tally){0};
}

/* ---- documents together ---- */

int sc_tally_bin(int64_t n)
{
    if (n < 1) return 0;
    int octave = 63 - __builtin_clzll((unsigned long long)n);
    bool upper = (unsigned __int128)n * (unsigned __int128)n >> (2 * octave + 1); /* n >= 2^(octave + 1/2) */
    return SC_MIN(octave * 2 + upper, SC_TALLY_BINS - 1);
}

static void add_row(sc_counts *c, const char *name, const int64_t *x)
{
    int64_t *n = sc_counts_at(c, name[0] ? name : "und");
    for (int i = 0; i < SC_TALLY_VALUES; i++) n[i] += x[i];
}

void sc_summary_add(sc_summary *s, const sc_config *c, const sc_document *d)
{
    int64_t chars = 0;
    for (int64_t i = 0; i < d->text.len; i++) chars += ((unsigned char)d->text.p[i] & 0xc0) != 0x80;
    int64_t times = 1 + d->copies;
    int64_t x[SC_TALLY_VALUES] = {times, times * d->text.len, times * chars, times * d->n_ids};
    s->documents += x[0];
    s->bytes += x[1];
    s->chars += x[2];
    s->tokens += x[3];
    s->lengths[sc_tally_bin(chars)] += times;
    if (d->n_ids) s->token_lengths[sc_tally_bin(d->n_ids)] += times;
    add_row(&s->languages, d->language, x);
    add_row(&s->domains, d->domain, x);
    add_row(&s->sources, c->source[d->source].name, x);
    for (int i = 0; i < d->n_scores; i++) {
        char name[SC_LABEL_MAX + 16];
        double at = (double)(int64_t)(d->score[i].value * 20) / 20;
        snprintf(name, sizeof name, "%s %.2f", d->score[i].name, SC_MAX(-1e6, SC_MIN(1e6, at)));
        sc_counts_at(&s->scores, name)[0] += times;
    }
}

#define SUMS(X)           X(documents) X(bytes) X(chars) X(tokens)
#define HISTOGRAMS(X)     X(lengths) X(token_lengths)
#define SUMMARY_TABLES(X) X(languages) X(domains) X(sources) X(scores)

static json_t *bins_json(const int64_t *n)
{
    json_t *o = json_array();
    int last = SC_TALLY_BINS;
    while (last > 0 && n[last - 1] == 0) last--;
    for (int i = 0; i < last; i++) json_array_append_new(o, json_integer(n[i]));
    return o;
}

json_t *sc_summary_json(const sc_summary *s)
{
    json_t *o = json_object();
#define X(name) json_object_set_new(o, #name, json_integer(s->name));
    SUMS(X)
#undef X
#define X(name) json_object_set_new(o, #name, bins_json(s->name));
    HISTOGRAMS(X)
#undef X
#define X(name) json_object_set_new(o, #name, counts_json(&s->name));
    SUMMARY_TABLES(X)
#undef X
    return o;
}

sc_status sc_summary_add_json(sc_summary *s, const json_t *o)
{
    bool oom = false;
#define X(name) s->name += json_integer_value(json_object_get(o, #name));
    SUMS(X)
#undef X
#define X(name)                                                                                                    \
    for (size_t i = 0; i < SC_TALLY_BINS; i++)                                                                     \
        s->name[i] += json_integer_value(json_array_get(json_object_get(o, #name), i));
    HISTOGRAMS(X)
#undef X
#define X(name)                                                                                                    \
    counts_add_json(&s->name, json_object_get(o, #name));                                                          \
    oom = oom || s->name.oom;
    SUMMARY_TABLES(X)
#undef X
    return oom ? sc_nomem() : SC_OK;
}

void sc_summary_free(sc_summary *s)
{
#define X(name) sc_counts_free(&s->name);
    SUMMARY_TABLES(X)
#undef X
    *s = (sc_summary){0};
}
