/* SPDX-License-Identifier: Apache-2.0 */
/* A web page a file. */
#include "data/source.h"

typedef struct html {
    sc_bytes *bytes;
    int64_t largest;
    struct sc_damage told;
    bool end;
} html;

static void html_free(void *self)
{
    html *h = self;
    if (!h) return;
    sc_bytes_close(h->bytes);
    sc_free(h);
}

static sc_status html_open(void **self, const sc_reader_setup *x)
{
    html *h = sc_calloc(1, sizeof *h);
    if (!h) return sc_nomem();
    h->largest = x->largest;
    sc_status s = sc_bytes_open(&h->bytes, x->path, NULL);
    if (s)
        html_free(h);
    else
        *self = h;
    return s;
}

static sc_status html_next(void *self, sc_document *d, sc_found *found)
{
    html *h = self;
    char buf[1 << 14];
    int64_t got = 1;
    while (!h->end && got) {
        sc_status s = sc_bytes_read(h->bytes, buf, sizeof buf, &got, NULL);
        if (s) return s;
        if (d->text.len <= h->largest) sc_str_append(&d->text, buf, got);
        if (d->text.oom) return sc_nomem();
    }
    bool first = !h->end;
    h->end = true;
    d->markup = SC_MARKUP_HTML;
    struct sc_damage now = {.broken = sc_bytes_count(h->bytes).broken};
    if (first && d->text.len > h->largest)
        sc_found_broken(found, "too_large", NULL);
    else if (!sc_damage_tell(&h->told, &now, found) && (!first || !d->text.len))
        found->what = SC_READ_END;
    return SC_OK;
}

static int64_t html_tell(const void *self) { return sc_bytes_count(((const html *)self)->bytes).in; }

const sc_format sc_format_html = {.name = "html",
                                  .summary = "a web page a file",
                                  .suffixes = "|.html|.htm|.xhtml|",
                                  .open = html_open,
                                  .free = html_free,
                                  .next = html_next,
                                  .tell = html_tell};
