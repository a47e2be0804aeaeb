/* SPDX-License-Identifier: Apache-2.0 */
/* Plain text: a file, its lines, or what stands between empty lines, is a document. */
#include "data/data.h"

typedef enum unit { FILES, LINES, PARAGRAPHS } unit;

typedef struct text {
    sc_bytes *bytes;
    unit unit;
    int64_t to, largest;
    sc_str line;
    bool held; /* `line` is the next document's first */
    int64_t held_at;
} text;

static void text_free(void *self)
{
    text *t = self;
    if (!t) return;
    sc_bytes_close(t->bytes);
    sc_str_free(&t->line);
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
    if (i == SC_COUNT(words))
        s = sc_fail(SC_EINVAL, "%s: 'documents' is file, lines or paragraphs, not '%s'", x->settings.where, word);
    t->unit = (unit)i;
    t->to = x->to;
    t->largest = x->largest;
    if (!s) s = sc_bytes_open(&t->bytes, x->path, 0);
    if (s)
        text_free(t);
    else
        *self = t;
    return s;
}

/* Whether a line is the last of its document. */
static bool ends(const text *t, const sc_str *document)
{
    if (t->unit == LINES) return document->len > 0;
    return t->unit == PARAGRAPHS && document->len > 0 && t->line.len == 0;
}

static sc_status text_next(void *self, sc_document *d, sc_found *found)
{
    text *t = self;
    bool cut = false, more = true;
    d->place = t->held ? t->held_at : sc_bytes_at(t->bytes);
    for (;;) {
        int64_t at = sc_bytes_at(t->bytes);
        if (!t->held) {
            sc_status s = sc_bytes_line(t->bytes, &t->line, t->largest, &cut, &more);
            if (s) return s;
        }
        if (!more) break;
        if (cut) {
            t->held = false;
            if (!d->text.len) {
                found->what = SC_READ_BROKEN;
                found->reason = "too_large";
                return SC_OK;
            }
        }
        /* A text that is too long goes on as another document. */
        if (d->text.len && d->text.len + t->line.len + 1 > t->largest) {
            t->held = true;
            t->held_at = at;
            break;
        }
        t->held = false;
        bool paragraph_begins = t->unit != FILES && d->text.len == 0;
        if (paragraph_begins && t->line.len == 0) {
            d->place = sc_bytes_at(t->bytes);
            continue;
        }
        if (ends(t, &d->text)) break;
        sc_str_append(&d->text, t->line.p ? t->line.p : "", t->line.len);
        if (t->unit == LINES) break;
        sc_str_putc(&d->text, '\n');
    }
    if (!d->text.len) found->what = SC_READ_END;
    return sc_document_oom(d) ? sc_nomem() : SC_OK;
}

static int64_t text_tell(const void *self) { return sc_bytes_tell(((const text *)self)->bytes); }

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
