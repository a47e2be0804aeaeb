/* SPDX-License-Identifier: Apache-2.0 */
/* Makes text of web pages. Other documents pass as they are. */
#include "data/html.h"
#include "data/source.h"

typedef struct room {
    sc_html *html;
    sc_charset_room charset;
} room;

static sc_status extract_open(void **self, const sc_stage_setup *x)
{
    sc_html_options *o = sc_calloc(1, sizeof *o);
    if (!o) return sc_nomem();
    o->markdown = sc_setting_bool(&x->settings, "markdown");
    o->title = sc_setting_bool(&x->settings, "title");
    o->all = sc_setting_bool(&x->settings, "all");
    *self = o;
    return SC_OK;
}

static void extract_room_free(void *p)
{
    room *r = p;
    if (!r) return;
    sc_html_free(r->html);
    sc_charset_room_free(&r->charset);
    sc_free(r);
}

static sc_status extract_room(void **out, const void *self)
{
    (void)self;
    room *r = sc_calloc(1, sizeof *r);
    sc_status s = r ? sc_html_new(&r->html) : sc_nomem();
    if (s)
        extract_room_free(r);
    else
        *out = r;
    return s;
}

static sc_status extract_apply(const void *self, void *p, sc_document *d, sc_verdict *v)
{
    room *r = p;
    int64_t bad;
    sc_html_result page;
    if (d->markup != SC_MARKUP_HTML) return SC_OK;
    const char *html = d->text.p ? d->text.p : "";
    const char *charset = sc_charset_detect(html, d->text.len, d->charset.len ? d->charset.p : "", true);
    sc_status s = sc_charset_convert(&r->charset, charset, html, d->text.len, &bad);
    if (s == SC_EUNSUPPORTED) {
        sc_drop(v, "charset");
        return SC_OK;
    }
    if (s) return s;
    if (strcmp(charset, "UTF-8") != 0) sc_verdict_add(v, "converted", 1);
    if (bad) sc_verdict_add(v, "invalid", bad);
    const sc_str *utf8 = &r->charset.out;
    s = sc_html_text(r->html, utf8->p ? utf8->p : "", utf8->len, self, &page);
    if (s == SC_ELIMIT) {
        sc_drop(v, "too_complex");
        return SC_OK;
    }
    if (s) return s;
    d->markup = SC_MARKUP_NONE;
    d->charset.len = 0;
    sc_document_set_text(d, page.text, page.len);
    v->changed = true;
    char *dash = strchr(page.language, '-');
    if (dash && strlen(dash) != 5) *dash = 0; /* "en-us" is English; a script, as in zh-hant, says more */
    if (!d->language[0]) sc_document_language(d, page.language);
    if (!page.len) sc_drop(v, "no_text");
    return sc_document_oom(d) ? sc_nomem() : SC_OK;
}

static const sc_setting settings[] = {
    {"markdown", SC_SET_BOOL, "false", .help = "headings and code are marked as in Markdown"},
    {"title", SC_SET_BOOL, "false", .help = "the page's title comes first"},
    {"all", SC_SET_BOOL, "false", .help = "all of the page, not its main text alone"},
    {0}};
const sc_stage sc_stage_extract = {.name = "extract",
                                   .summary =
                                       "makes text of web pages: the main text, without navigation and the like",
                                   .settings = settings,
                                   .open = extract_open,
                                   .free = sc_free,
                                   .room = extract_room,
                                   .room_free = extract_room_free,
                                   .apply = extract_apply};
