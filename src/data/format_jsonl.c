/* SPDX-License-Identifier: Apache-2.0 */
/* An object a line. */
#include "data/source.h"

#include <stdio.h>

typedef struct jsonl {
    sc_source_lines lines;
    const char *text, *url, *id, *language, *domain; /* names of fields */
    int64_t largest;
    sc_str buffer;
} jsonl;

static void jsonl_free(void *self)
{
    jsonl *j = self;
    if (!j) return;
    sc_source_lines_close(&j->lines);
    sc_str_free(&j->buffer);
    sc_free(j);
}

static sc_status jsonl_open(void **self, const sc_reader_setup *x)
{
    jsonl *j = sc_calloc(1, sizeof *j);
    if (!j) return sc_nomem();
    j->largest = x->largest;
    j->text = sc_setting_text(&x->settings, "text");
    j->url = sc_setting_text(&x->settings, "url");
    j->id = sc_setting_text(&x->settings, "id");
    j->language = sc_setting_text(&x->settings, "language_field");
    j->domain = sc_setting_text(&x->settings, "domain_field");
    /* Escapes make a text up to six times as long. */
    sc_status s = sc_source_lines_open(&j->lines, x, x->largest * 6 + (1 << 16), false);
    if (s)
        jsonl_free(j);
    else
        *self = j;
    return s;
}

/* The field of that name, or with "meta.url" the one within the field "meta"; a number selects of a list. */
static const json_t *find(const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    char part[64];
    if (v) return v;
    while (o && *name) {
        size_t n = strcspn(name, ".");
        if (n >= sizeof part) return NULL;
        snprintf(part, sizeof part, "%.*s", (int)n, name);
        bool number = n && n < 10 && strspn(part, "0123456789") == n;
        o = json_is_array(o) ? (number ? json_array_get(o, (size_t)strtol(part, NULL, 10)) : NULL)
                             : json_object_get(o, part);
        name += n + (name[n] == '.');
    }
    return o;
}

static void field(sc_str *to, const json_t *o, const char *name)
{
    const json_t *v = find(o, name);
    if (json_is_string(v)) sc_str_append(to, json_string_value(v), (int64_t)json_string_length(v));
    if (json_is_integer(v)) sc_str_printf(to, "%lld", (long long)json_integer_value(v));
}

/* A text, or a list of texts, which become lines. */
static bool add_text(sc_str *to, const json_t *v)
{
    if (json_is_string(v)) {
        sc_str_append(to, json_string_value(v), (int64_t)json_string_length(v));
        return true;
    }
    for (size_t i = 0; i < json_array_size(v); i++) {
        const json_t *item = json_array_get(v, i);
        if (!json_is_string(item)) return false;
        if (i) sc_str_putc(to, '\n');
        sc_str_append(to, json_string_value(item), (int64_t)json_string_length(item));
    }
    return json_array_size(v) > 0;
}

static void take(const jsonl *j, const json_t *o, sc_document *d, sc_found *found)
{
    const json_t *v;
    if (!add_text(&d->text, find(o, j->text))) {
        sc_found_broken(found, json_is_object(o) ? "no_text" : "no_object", NULL);
        return;
    }
    if (d->text.len > j->largest) {
        sc_found_broken(found, "too_large", NULL);
        return;
    }
    field(&d->url, o, j->url);
    field(&d->id, o, j->id);
    if (json_is_string(v = find(o, j->language))) sc_document_language(d, json_string_value(v));
    if (json_is_string(v = find(o, j->domain))) sc_document_domain(d, json_string_value(v));
}

static int hex4(const char *p)
{
    int x = 0;
    for (int i = 0; i < 4; i++) {
        int c = p[i] | 32;
        if (p[i] >= '0' && p[i] <= '9')
            x = x * 16 + p[i] - '0';
        else if (c >= 'a' && c <= 'f')
            x = x * 16 + c - 'a' + 10;
        else
            return -1;
    }
    return x;
}

/* What programs that do not check write into a line: bytes that are not UTF-8, and halves of surrogate pairs as escapes. Each
 * becomes U+FFFD; the other bytes stay. */
static void mend(sc_str *out, const char *p, int64_t n)
{
    int64_t from = 0;
    for (int64_t i = 0; i < n; i++) {
        if (p[i] != '\\' || i + 1 >= n) continue;
        if (p[i + 1] != 'u' || i + 6 > n) {
            i++;
            continue;
        }
        int unit = hex4(p + i + 2), next = -1;
        if (i + 12 <= n && p[i + 6] == '\\' && p[i + 7] == 'u') next = hex4(p + i + 8);
        if (unit >= 0xd800 && unit < 0xdc00 && next >= 0xdc00 && next < 0xe000) {
            i += 11;
            continue;
        }
        if (unit >= 0xd800 && unit < 0xe000) {
            sc_utf8_repair(out, p + from, i - from);
            sc_str_puts(out, "\\ufffd");
            from = i + 6;
        }
        i += 5;
    }
    sc_utf8_repair(out, p + from, n - from);
}

static sc_status parse(jsonl *j, json_t **o)
{
    sc_status s = sc_json_parse(o, j->lines.p, j->lines.n, "line");
    if (s != SC_EFORMAT) return s;
    j->buffer.len = 0;
    mend(&j->buffer, j->lines.p, j->lines.n);
    if (j->buffer.oom) return sc_nomem();
    bool same = j->buffer.len == j->lines.n && memcmp(j->buffer.p, j->lines.p, (size_t)j->lines.n) == 0;
    return same ? s : sc_json_parse(o, j->buffer.p, j->buffer.len, "line");
}

static bool blank(const char *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (p[i] != ' ' && p[i] != '\t') return false;
    return true;
}

static sc_status jsonl_next(void *self, sc_document *d, sc_found *found)
{
    jsonl *j = self;
    for (;;) {
        sc_status s = sc_source_lines_next(&j->lines, found);
        if (s || found->what != SC_READ_DOCUMENT) return s;
        if (!blank(j->lines.p, j->lines.n)) break;
        j->lines.p = NULL;
    }
    d->place = sc_line_reader_count(j->lines.lines).begin;
    json_t *o = NULL;
    sc_status s = parse(j, &o);
    if (s == SC_ENOMEM) return s;
    if (s)
        sc_found_broken(found, "no_json", sc_error());
    else
        take(j, o, d, found);
    json_decref(o);
    j->lines.p = NULL;
    return sc_document_oom(d) ? sc_nomem() : SC_OK;
}

static int64_t jsonl_tell(const void *self)
{
    return sc_line_reader_count(((const jsonl *)self)->lines.lines).bytes.in;
}

static const sc_setting settings[] = {
    {"text", SC_SET_TEXT, "text", .help = "the field with the text; \"a.b\" is b within a"},
    {"url", SC_SET_TEXT, "url", .help = "the field with the address"},
    {"id", SC_SET_TEXT, "id", .help = "the field with the identifier"},
    {"language_field", SC_SET_TEXT, "language", .help = "the field with the language's code"},
    {"domain_field", SC_SET_TEXT, "domain", .help = "the field with the kind of text"},
    {0}};
const sc_format sc_format_jsonl = {.name = "jsonl",
                                   .summary = "an object a line",
                                   .suffixes = "|.jsonl|.ndjson|",
                                   .divisible = true,
                                   .settings = settings,
                                   .open = jsonl_open,
                                   .free = jsonl_free,
                                   .next = jsonl_next,
                                   .tell = jsonl_tell};
