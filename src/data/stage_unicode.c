/* SPDX-License-Identifier: Apache-2.0 */
/* Makes every text UTF-8, puts right what was decoded wrongly, and gives it one normal form. */
#include "data/source.h"

typedef struct room {
    sc_unicode_room unicode;
    sc_charset_room charset;
} room;

static sc_status unicode_open(void **self, const sc_stage_setup *x)
{
    static const struct {
        const char *name;
        unsigned flag;
    } switches[] = {{"mojibake", SC_UNICODE_MOJIBAKE},
                    {"entities", SC_UNICODE_ENTITIES},
                    {"controls", SC_UNICODE_CONTROLS},
                    {"spaces", SC_UNICODE_SPACES}};
    const char *form = sc_setting_text(&x->settings, "form");
    unsigned flags = 0;
    for (int i = 0; i < SC_COUNT(switches); i++)
        if (sc_setting_bool(&x->settings, switches[i].name)) flags |= switches[i].flag;
    if (strcmp(form, "NFC") == 0)
        flags |= SC_UNICODE_NFC;
    else if (strcmp(form, "NFKC") == 0)
        flags |= SC_UNICODE_NFKC;
    else if (strcmp(form, "none") != 0)
        return sc_fail(SC_EINVAL, "%s: 'form' is NFC, NFKC or none, not '%s'", x->settings.where, form);
    unsigned *f = sc_malloc(sizeof *f);
    if (!f) return sc_nomem();
    *f = flags;
    *self = f;
    return SC_OK;
}

static sc_status unicode_room(void **out, const void *self)
{
    (void)self;
    *out = sc_calloc(1, sizeof(room));
    return *out ? SC_OK : sc_nomem();
}

static void unicode_room_free(void *p)
{
    room *r = p;
    if (!r) return;
    sc_unicode_room_free(&r->unicode);
    sc_charset_room_free(&r->charset);
    sc_free(r);
}

/* Texts come as UTF-8, but for files and web archives of plain text. */
static sc_status to_utf8(room *r, sc_document *d, sc_verdict *v)
{
    int64_t bad;
    bool mark = d->text.len >= 2 && strchr("\xff\xfe\xef", d->text.p[0]);
    if (!d->charset.len && !mark && sc_utf8_valid(d->text.p, d->text.len)) return SC_OK;
    const char *charset = sc_charset_detect(d->text.p, d->text.len, d->charset.len ? d->charset.p : "", false);
    sc_status s = sc_charset_convert(&r->charset, charset, d->text.p, d->text.len, &bad);
    if (s == SC_EUNSUPPORTED) {
        sc_drop(v, "charset");
        return SC_OK;
    }
    if (s) return s;
    d->charset.len = 0;
    if (bad) sc_verdict_add(v, "invalid", bad);
    const sc_str *out = &r->charset.out;
    if (out->len == d->text.len && memcmp(out->p, d->text.p, (size_t)out->len) == 0) return SC_OK;
    if (strcmp(charset, "UTF-8") != 0) sc_verdict_add(v, "converted", 1);
    v->changed = true;
    sc_document_set_text(d, out->p ? out->p : "", out->len);
    return SC_OK;
}

static sc_status unicode_apply(const void *self, void *p, sc_document *d, sc_verdict *v)
{
    room *r = p;
    sc_unicode_counts c;
    if (!d->text.len) return SC_OK;
    sc_status s = to_utf8(r, d, v);
    if (s || v->fate == SC_DROP) return s;
    if (!s) s = sc_unicode_repair(&r->unicode, &d->text, *(const unsigned *)self, &c);
    if (s) return s;
    const struct {
        const char *name;
        int64_t n;
    } counts[] = {{"invalid", c.invalid},   {"mojibake", c.mojibake}, {"entities", c.entities},
                  {"controls", c.controls}, {"spaces", c.spaces},     {"normalized", c.normalized}};
    for (int i = 0; i < SC_COUNT(counts); i++) {
        if (!counts[i].n) continue;
        sc_verdict_add(v, counts[i].name, counts[i].n);
        v->changed = true;
    }
    return sc_document_oom(d) ? sc_nomem() : SC_OK;
}

static const sc_setting settings[] = {
    {"mojibake", SC_SET_BOOL, "true", .help = "puts UTF-8 right that was read as windows-1252 or Latin-1"},
    {"entities", SC_SET_BOOL, "true", .help = "puts characters for &amp; and the like in texts without tags"},
    {"controls", SC_SET_BOOL, "true", .help = "removes control and invisible characters, ends lines with \\n"},
    {"spaces", SC_SET_BOOL, "true", .help = "makes one kind of space of all"},
    {"form", SC_SET_TEXT, "NFC",
     .help = "the normal form: NFC, NFKC (changes meanings: 2\u2075 becomes 25) or none"},
    {0}};
const sc_stage sc_stage_unicode = {.name = "unicode",
                                   .summary =
                                       "makes texts UTF-8, puts right what was decoded wrongly, normal form NFC",
                                   .settings = settings,
                                   .open = unicode_open,
                                   .free = sc_free,
                                   .room = unicode_room,
                                   .room_free = unicode_room_free,
                                   .apply = unicode_apply};
