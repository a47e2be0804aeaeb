/* SPDX-License-Identifier: Apache-2.0 */
/* Web archives (ISO 28500, WARC 1.0 and 1.1), as crawls are kept: of the records, responses with pages or plain text and conversions
 * (the text files of Common Crawl) are documents. A record that is damaged costs itself alone: reading goes on at the next
 * line that begins one, in a compressed file at the next member. */
#include "data/source.h"

#include <strings.h>

enum { HEAD_MAX = 64 << 10, READ = 64 << 10 };

typedef struct warc {
    sc_bytes *bytes;
    char *p;
    int64_t at, n, cap; /* p[at..n) was read and not consumed */
    int64_t offset;     /* of p[n) in the unpacked file */
    int64_t largest;
    bool end, lost; /* lost: there was a gap before p[at) */
    struct sc_damage told;
    sc_http http;
    /* of the record at hand */
    sc_str type, uri, id, mime, charset;
    int64_t length;
} warc;

static void warc_free(void *self)
{
    warc *w = self;
    if (!w) return;
    sc_bytes_close(w->bytes);
    sc_http_free(&w->http);
    sc_str_free(&w->type);
    sc_str_free(&w->uri);
    sc_str_free(&w->id);
    sc_str_free(&w->mime);
    sc_str_free(&w->charset);
    sc_free(w->p);
    sc_free(w);
}

static sc_status warc_open(void **self, const sc_reader_setup *x)
{
    warc *w = sc_calloc(1, sizeof *w);
    if (!w) return sc_nomem();
    w->largest = x->largest;
    sc_status s = sc_bytes_open(&w->bytes, x->path, NULL);
    if (s)
        warc_free(w);
    else
        *self = w;
    return s;
}

/* Reads on. What lies before a gap is dropped, since nothing continues it. */
static sc_status more(warc *w)
{
    int64_t got;
    bool gap;
    if (w->at) {
        memmove(w->p, w->p + w->at, (size_t)(w->n - w->at));
        w->n -= w->at;
        w->at = 0;
    }
    if (!sc_grow(&w->p, &w->cap, w->n + READ, 1)) return sc_nomem();
    sc_status s = sc_bytes_read(w->bytes, w->p + w->n, w->cap - w->n, &got, &gap);
    if (s) return s;
    if (gap) {
        memmove(w->p, w->p + w->n, (size_t)got);
        w->n = 0;
        w->lost = true;
    }
    w->n += got;
    w->offset += got;
    w->end = got == 0;
    return SC_OK;
}

/* Has `need` bytes ready, or all there are before the end or a gap. */
static sc_status want(warc *w, int64_t need)
{
    sc_status s = SC_OK;
    while (!s && !w->end && !w->lost && w->n - w->at < need) s = more(w);
    return s;
}

static bool begins(const warc *w)
{
    return w->n - w->at >= 8 && memcmp(w->p + w->at, "WARC/", 5) == 0 && w->p[w->at + 5] >= '0' &&
           w->p[w->at + 5] <= '9';
}

/* Goes to a line that begins a record; *stray: something else was on the way. */
static sc_status find_record(warc *w, bool *stray)
{
    *stray = false;
    for (bool fresh = true;;) {
        sc_status s = want(w, 8);
        if (s) return s;
        if (w->lost) {
            w->lost = false;
            fresh = true;
            continue;
        }
        if (w->at == w->n) return SC_OK;
        if (fresh && begins(w)) return SC_OK;
        char c = w->p[w->at];
        if (fresh && (c == '\r' || c == '\n')) {
            w->at++;
            continue;
        }
        *stray = true;
        const char *nl = memchr(w->p + w->at, '\n', (size_t)(w->n - w->at));
        fresh = nl != NULL;
        w->at = nl ? nl + 1 - w->p : w->n;
    }
}

static void set(sc_str *s, const char *p, int64_t n)
{
    s->len = 0;
    sc_str_append(s, p, n);
}

static bool is(const char *p, int64_t n, const char *name)
{
    return n == (int64_t)strlen(name) && strncasecmp(p, name, (size_t)n) == 0;
}

static int64_t decimal(const char *p, int64_t n)
{
    int64_t x = 0;
    if (n < 1 || n > 18) return -1;
    for (int64_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9') return -1;
        x = x * 10 + p[i] - '0';
    }
    return x;
}

static void field(warc *w, const char *line, int64_t n)
{
    const char *colon = memchr(line, ':', (size_t)n);
    if (!colon) return;
    int64_t name = colon - line, len = n - name - 1;
    const char *v = colon + 1;
    while (len && (*v == ' ' || *v == '\t')) v++, len--;
    while (len && (v[len - 1] == ' ' || v[len - 1] == '\t')) len--;
    bool angles = len > 2 && *v == '<' && v[len - 1] == '>';
    if (is(line, name, "WARC-Type"))
        set(&w->type, v, len);
    else if (is(line, name, "Content-Length"))
        w->length = decimal(v, len);
    else if (is(line, name, "WARC-Target-URI"))
        set(&w->uri, v + angles, len - 2 * angles);
    else if (is(line, name, "WARC-Record-ID"))
        set(&w->id, v + angles, len - 2 * angles);
    else if (is(line, name, "Content-Type"))
        sc_http_content_type(v, len, &w->mime, &w->charset);
}

/* The record's head, up to its empty line. *fault: what is wrong with it; "": bytes of it were lost. */
static sc_status read_head(warc *w, const char **fault)
{
    w->type.len = w->uri.len = w->id.len = w->mime.len = w->charset.len = 0;
    w->length = -1;
    int64_t head = 0;
    for (bool first = true;; first = false) {
        const char *nl = NULL;
        int64_t seen = 0;
        while (!(nl = memchr(w->p + w->at + seen, '\n', (size_t)(w->n - w->at - seen)))) {
            seen = w->n - w->at;
            if (head + seen > HEAD_MAX || w->end) break;
            sc_status s = want(w, seen + 1);
            if (s) return s;
            if (w->lost) {
                *fault = "";
                return SC_OK;
            }
        }
        if (!nl) {
            *fault = w->end ? "truncated" : "head_too_large";
            w->at = w->end ? w->n : w->at + 1;
            return SC_OK;
        }
        const char *line = w->p + w->at;
        int64_t n = nl - line;
        w->at += n + 1;
        head += n + 1;
        if (n && line[n - 1] == '\r') n--;
        if (!n) break;
        if (!first) field(w, line, n);
        if (head > HEAD_MAX) {
            *fault = "head_too_large";
            return SC_OK;
        }
    }
    if (w->length < 0) *fault = "no_length";
    return w->type.oom || w->uri.oom || w->id.oom || w->mime.oom || w->charset.oom ? sc_nomem() : SC_OK;
}

/* Passes over or, with `to`, takes the record's block. *whole false: the file ended or bytes were lost within. */
static sc_status read_block(warc *w, sc_str *to, bool *whole)
{
    int64_t left = w->length;
    *whole = false;
    while (left) {
        sc_status s = want(w, 1);
        if (s) return s;
        if (w->lost || w->at == w->n) return SC_OK;
        int64_t n = SC_MIN(left, w->n - w->at);
        if (to) sc_str_append(to, w->p + w->at, n);
        w->at += n;
        left -= n;
    }
    *whole = true;
    return to && to->oom ? sc_nomem() : SC_OK;
}

static void other(sc_found *found, const char *reason)
{
    found->what = SC_READ_OTHER;
    found->reason = reason;
}

static void document_type(const sc_str *type, const sc_str *charset, sc_document *d, sc_found *found)
{
    const char *t = type->len ? type->p : "text/html"; /* old servers did not say */
    if (strcmp(t, "text/html") == 0 || strcmp(t, "application/xhtml+xml") == 0)
        d->markup = SC_MARKUP_HTML;
    else if (strcmp(t, "text/plain") != 0 && strcmp(t, "text/markdown") != 0)
        other(found, "other_type");
    if (charset->len) sc_str_append(&d->charset, charset->p, charset->len);
}

/* What the record at hand, whose block is in d->text, is. */
static sc_status interpret(warc *w, sc_document *d, sc_found *found)
{
    const char *type = w->type.len ? w->type.p : "";
    if (strcmp(type, "response") == 0 &&
        strcmp(w->mime.len ? w->mime.p : "application/http", "application/http") == 0) {
        sc_status s = sc_http_parse(&w->http, d->text.p ? d->text.p : "", d->text.len, w->largest);
        if (s) return s;
        const sc_http *h = &w->http;
        if (!h->status) {
            sc_found_broken(found, "no_http", NULL);
            return SC_OK;
        }
        if (h->status != 200) {
            other(found, "other_status");
            return SC_OK;
        }
        document_type(&h->type, &h->charset, d, found);
        if (found->what != SC_READ_DOCUMENT) return SC_OK;
        if (h->fault) {
            sc_found_broken(found, h->fault, h->encoding.len ? h->encoding.p : NULL);
            return SC_OK;
        }
        sc_document_set_text(d, h->body, h->body_len);
    } else {
        document_type(&w->mime, &w->charset, d, found);
    }
    sc_str_append(&d->url, w->uri.p ? w->uri.p : "", w->uri.len);
    sc_str_append(&d->id, w->id.p ? w->id.p : "", w->id.len);
    return sc_document_oom(d) ? sc_nomem() : SC_OK;
}

static bool is_wanted(const warc *w)
{
    static const char *const types[] = {"response", "conversion", "resource"};
    for (int i = 0; i < SC_COUNT(types); i++)
        if (is(w->type.p ? w->type.p : "", w->type.len, types[i])) return true;
    return false;
}

static sc_status warc_next(void *self, sc_document *d, sc_found *found)
{
    warc *w = self;
    bool stray, whole, kept;
    const char *fault = NULL;
    struct sc_damage now = {.broken = sc_bytes_count(w->bytes).broken};
    if (sc_damage_tell(&w->told, &now, found)) return SC_OK;
    sc_status s = find_record(w, &stray);
    if (s) return s;
    now.broken = sc_bytes_count(w->bytes).broken;
    if (sc_damage_tell(&w->told, &now, found)) return SC_OK; /* it stands for what was stray too */
    if (stray) {
        sc_found_broken(found, "no_record", NULL);
        return SC_OK;
    }
    if (w->at == w->n) {
        found->what = SC_READ_END;
        return SC_OK;
    }
    sc_bytes_counts c = sc_bytes_count(w->bytes);
    int64_t member = c.member, broken = c.broken;
    d->place = c.packed ? member : w->offset - (w->n - w->at);
    if ((s = read_head(w, &fault))) return s;
    if (fault) {
        if (*fault) sc_found_broken(found, fault, NULL);
        return *fault ? SC_OK : warc_next(self, d, found);
    }
    kept = is_wanted(w) && w->length <= w->largest;
    if ((s = read_block(w, kept ? &d->text : NULL, &whole))) return s;
    /* A member's checksum comes behind its last byte, which is of the empty lines: with one byte more it is known. */
    if (whole && (s = want(w, 5))) return s;
    c = sc_bytes_count(w->bytes);
    if (!whole && !w->lost) {
        sc_found_broken(found, "truncated", NULL);
        return SC_OK;
    }
    if (c.broken != broken && (!whole || c.fault == member)) {
        w->told.broken++;
        sc_found_broken(found, "broken_member", NULL);
        return SC_OK;
    }
    if (!is_wanted(w)) {
        other(found, "other_record");
        return SC_OK;
    }
    if (!kept) {
        sc_found_broken(found, "too_large", NULL);
        return SC_OK;
    }
    return interpret(w, d, found);
}

static int64_t warc_tell(const void *self) { return sc_bytes_count(((const warc *)self)->bytes).in; }

const sc_format sc_format_warc = {.name = "warc",
                                  .summary = "web archives: pages, or texts made of them",
                                  .suffixes = "|.warc|.wet|",
                                  .open = warc_open,
                                  .free = warc_free,
                                  .next = warc_next,
                                  .tell = warc_tell};
