/* SPDX-License-Identifier: Apache-2.0 */
/* Plain text: a file, its lines, or what stands between empty lines, is a document. */
#include "data/source.h"

typedef enum unit { FILES, LINES, PARAGRAPHS } unit;

typedef struct text {
    sc_source_lines lines;
    sc_bytes *bytes; /* of FILES, which is read as it is: it may be UTF-16 */
    unit unit;
    int64_t largest;
    sc_str rest; /* of FILES: read, and the next document's */
    struct sc_damage told;
    sc_found held; /* of the others: what was met behind the document that was given */
    bool end;
} text;

static void text_free(void *self)
{
    text *t = self;
    if (!t) return;
    sc_source_lines_close(&t->lines);
    sc_bytes_close(t->bytes);
    sc_str_free(&t->rest);
    sc_free(t);
}

static sc_status text_open(void **self, const sc_reader_setup *x)
{
    const char *word = sc_setting_text(&x->settings, "documents");
    static const char *const words[] = {"file", "lines", "paragraphs"};
    text *t = sc_calloc(1, sizeof *t);
    if (!t) return sc_nomem();
    sc_status s = SC_OK;
    int i = 0;
    while (i < SC_COUNT(words) && strcmp(words[i], word) != 0) i++;
    t->unit = (unit)i;
    t->largest = x->largest;
    if (i == SC_COUNT(words))
        s = sc_fail(SC_EINVAL, "%s: 'documents' is file, lines or paragraphs, not '%s'", x->settings.where, word);
    else if (t->unit == FILES)
        s = sc_bytes_open(&t->bytes, x->path, NULL);
    else
        s = sc_source_lines_open(&t->lines, x, x->largest, false);
    if (s)
        text_free(t);
    else
        *self = t;
    return s;
}

/* Where p[0..n) is cut: behind a line of its second half, else behind a character. */
static int64_t cut_at(const char *p, int64_t n)
{
    const char *nl = memrchr(p + n / 2, '\n', (size_t)(n - n / 2));
    return nl ? nl + 1 - p : SC_MAX(1, n - sc_utf8_unfinished(p, n));
}

/* The whole file; one that is too long goes on as another document, and so does what is behind a gap. */
static sc_status next_file(text *t, sc_document *d, sc_found *found)
{
    char buf[1 << 16];
    struct sc_damage now = {.broken = sc_bytes_count(t->bytes).broken};
    if (sc_damage_tell(&t->told, &now, found)) return SC_OK;
    d->place = sc_bytes_count(t->bytes).out - t->rest.len;
    sc_str_append(&d->text, t->rest.p ? t->rest.p : "", t->rest.len);
    t->rest.len = 0;
    while (!t->end && d->text.len <= t->largest) {
        int64_t got;
        bool gap;
        sc_status s = sc_bytes_read(t->bytes, buf, sizeof buf, &got, &gap);
        if (s) return s;
        t->end = got == 0;
        sc_str *to = gap && d->text.len ? &t->rest : &d->text;
        sc_str_append(to, buf, got);
        if (d->text.oom || t->rest.oom) return sc_nomem();
        if (t->rest.len) break;
    }
    if (d->text.len > t->largest) { /* then t->rest is empty */
        int64_t n = cut_at(d->text.p, t->largest);
        sc_str_append(&t->rest, d->text.p + n, d->text.len - n);
        d->text.len = n;
        d->text.p[n] = 0;
        return t->rest.oom ? sc_nomem() : SC_OK;
    }
    if (d->text.len) return SC_OK;
    now.broken = sc_bytes_count(t->bytes).broken;
    if (!sc_damage_tell(&t->told, &now, found)) found->what = SC_READ_END;
    return SC_OK;
}

static sc_status text_next(void *self, sc_document *d, sc_found *found)
{
    text *t = self;
    if (t->unit == FILES) return next_file(t, d, found);
    *found = t->held;
    t->held = (sc_found){0};
    if (found->what != SC_READ_DOCUMENT) return SC_OK;
    for (;;) {
        sc_status s = sc_source_lines_next(&t->lines, found);
        if (s) return s;
        if (found->what != SC_READ_DOCUMENT) break;
        const char *p = t->lines.p;
        int64_t n = t->lines.n;
        bool first = !d->text.len;
        if (first) d->place = sc_line_reader_count(t->lines.lines).begin;
        /* A paragraph that is too long goes on as another document. */
        if (!first && d->text.len + n + 1 > t->largest) break;
        t->lines.p = NULL;
        if (!n && first) continue;
        if (!n) break;
        sc_str_append(&d->text, p, n);
        if (t->unit == LINES) break;
        sc_str_putc(&d->text, '\n');
    }
    if (d->text.len && found->what != SC_READ_DOCUMENT) {
        t->held = *found;
        *found = (sc_found){0};
    }
    return sc_document_oom(d) ? sc_nomem() : SC_OK;
}

static int64_t text_tell(const void *self)
{
    const text *t = self;
    return t->bytes ? sc_bytes_count(t->bytes).in : sc_line_reader_count(t->lines.lines).bytes.in;
}

static const sc_setting settings[] = {
    {"documents", SC_SET_TEXT, "file",
     .help = "what is a document: file, lines, or paragraphs between empty lines"},
    {0}};
const sc_format sc_format_text = {.name = "text",
                                  .summary = "plain text",
                                  .suffixes = "|.txt|.text|.md|",
                                  .settings = settings,
                                  .open = text_open,
                                  .free = text_free,
                                  .next = text_next,
                                  .tell = text_tell};
