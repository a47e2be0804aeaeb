/* SPDX-License-Identifier: Apache-2.0 */
/* An object a line. */
#include "data/data.h"

typedef struct jsonl {
    sc_bytes *bytes;
    const char *text, *url, *id, *language, *domain; /* names of fields */
    int64_t to, line, largest;
    sc_str buffer;
} jsonl;

static void jsonl_free(void *self)
{
    jsonl *j = self;
    if (!j) return;
    sc_bytes_close(j->bytes);
    sc_str_free(&j->buffer);
    sc_free(j);
}

static sc_status jsonl_open(void **self, const sc_reader_setup *x)
{
    bool cut, more;
    jsonl *j = sc_calloc(1, sizeof *j);
    if (!j) return sc_nomem();
    j->to = x->to;
    j->largest = x->largest;
    j->text = sc_setting_text(&x->settings, "text");
    j->url = sc_setting_text(&x->settings, "url");
    j->id = sc_setting_text(&x->settings, "id");
    j->language = sc_setting_text(&x->settings, "language_field");
    j->domain = sc_setting_text(&x->settings, "domain_field");
    /* The line that byte `from` is in the middle of is the part's before: from one byte earlier the rest of it is read. */
    sc_status s = sc_bytes_open(&j->bytes, x->path, x->from ? x->from - 1 : 0);
    if (!s && x->from) s = sc_bytes_line(j->bytes, &j->buffer, 0, &cut, &more);
    if (s)
        jsonl_free(j);
    else
        *self = j;
    return s;
}

static void field(sc_str *to, const json_t *o, const char *name)
{
    const json_t *v = json_object_get(o, name);
    if (json_is_string(v)) sc_str_append(to, json_string_value(v), (int64_t)json_string_length(v));
    if (json_is_integer(v)) sc_str_printf(to, "%lld", (long long)json_integer_value(v));
}

static sc_status take(const jsonl *j, const json_t *o, sc_document *d, sc_found *found)
{
    const json_t *text = json_object_get(o, j->text), *v;
    if (!json_is_string(text)) {
        found->what = SC_READ_BROKEN;
        found->reason = json_is_object(o) ? "no_text" : "no_object";
        return SC_OK;
    }
    if ((int64_t)json_string_length(text) > j->largest) {
        found->what = SC_READ_BROKEN;
        found->reason = "too_large";
        return SC_OK;
    }
    sc_str_append(&d->text, json_string_value(text), (int64_t)json_string_length(text));
    field(&d->url, o, j->url);
    field(&d->id, o, j->id);
    if (json_is_string(v = json_object_get(o, j->language))) sc_document_language(d, json_string_value(v));
    if (json_is_string(v = json_object_get(o, j->domain))) sc_document_domain(d, json_string_value(v));
    return SC_OK;
}

static sc_status jsonl_next(void *self, sc_document *d, sc_found *found)
{
    jsonl *j = self;
    bool cut, more;
    sc_status s;
    do {
        if (sc_bytes_at(j->bytes) >= j->to) {
            found->what = SC_READ_END;
            return SC_OK;
        }
        d->place = sc_bytes_at(j->bytes);
        /* Escapes make a text up to six times as long. */
        if ((s = sc_bytes_line(j->bytes, &j->buffer, j->largest * 6 + (1 << 16), &cut, &more))) return s;
        if (!more) {
            found->what = SC_READ_END;
            return SC_OK;
        }
    } while (!cut && strspn(j->buffer.p ? j->buffer.p : "", " \t") == (size_t)j->buffer.len);
    json_t *o = NULL;
    if (cut) {
        found->what = SC_READ_BROKEN;
        found->reason = "too_large";
    } else if ((s = sc_json_parse(&o, j->buffer.p, j->buffer.len, "line")) == SC_ENOMEM) {
        return s;
    } else if (s) {
        found->what = SC_READ_BROKEN;
        found->reason = "no_json";
        snprintf(found->detail, sizeof found->detail, "%s", sc_error());
    } else {
        take(j, o, d, found);
    }
    json_decref(o);
    return sc_document_oom(d) ? sc_nomem() : SC_OK;
}

static int64_t jsonl_tell(const void *self) { return sc_bytes_tell(((const jsonl *)self)->bytes); }

static const sc_setting settings[] = {
    {"text", SC_SET_TEXT, "text", .help = "the field with the text"},
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
