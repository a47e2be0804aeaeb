/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of files that may be compressed. The buffer grows with the lines, up to the longest that is allowed; of a longer
 * one the rest is passed over as it comes. */
#include "io/io.h"

enum { FIRST = 1 << 18 };

struct sc_line_reader {
    sc_bytes *bytes;
    sc_line_options o;
    char *p;
    int64_t at, n, cap; /* p[at..n) was read and not given; cap bytes are there */
    int64_t seen;       /* bytes behind `at` that have no line's end */
    bool end, gap;      /* the file ended; gap: what was lost lies behind p[n) */
    bool skip; /* the rest of a line that is too long, or a line whose beginning was lost, is passed over */
    int64_t lines, longer, torn, begin;
    int64_t offset; /* of p[n) in the unpacked file */
};

sc_status sc_line_reader_of(sc_line_reader **out, sc_bytes *bytes, const sc_line_options *options)
{
    sc_line_reader *l = sc_calloc(1, sizeof *l);
    if (!l) return sc_nomem();
    if (options) l->o = *options;
    if (!l->o.longest) l->o.longest = 16 << 20;
    if (l->o.longest < 1 || l->o.longest > INT64_MAX / 4) {
        sc_free(l);
        return sc_fail(SC_EINVAL, "longest line: %lld bytes", (long long)options->longest);
    }
    l->bytes = bytes;
    l->skip = l->o.behind;
    l->offset = l->o.bytes.start;
    *out = l;
    return SC_OK;
}

sc_status sc_line_reader_open(sc_line_reader **out, const char *path, const sc_line_options *options)
{
    sc_bytes *b;
    sc_status s = sc_bytes_open(&b, path, options ? &options->bytes : NULL);
    if (s) return s;
    s = sc_line_reader_of(out, b, options);
    if (s) sc_bytes_close(b);
    return s;
}

void sc_line_reader_close(sc_line_reader *l)
{
    if (!l) return;
    sc_bytes_close(l->bytes);
    sc_free(l->p);
    sc_free(l);
}

/* Reads on behind p[n). What came before a gap is a line's beginning that is lost; what comes behind it is in the middle of
 * one, or at the beginning of one where it begins a member: files are cut into members at lines' ends or anywhere, so the
 * first line behind a gap is not to be trusted. */
static sc_status more(sc_line_reader *l)
{
    if (l->at && l->n == l->cap) {
        memmove(l->p, l->p + l->at, (size_t)(l->n - l->at));
        l->n -= l->at;
        l->at = 0;
    }
    if (l->n == l->cap && !sc_grow(&l->p, &l->cap, SC_MAX(l->cap + 1, FIRST), 1)) return sc_nomem();
    bool gap;
    int64_t got;
    sc_status s = sc_bytes_read(l->bytes, l->p + l->n, l->cap - l->n, &got, &gap);
    if (s) return s;
    l->end = got == 0;
    if (gap) {
        memmove(l->p + l->at, l->p + l->n, (size_t)got);
        bool any = !l->skip && (l->n > l->at || got);
        l->torn += any;
        l->lines += any;
        l->n = l->at;
        l->seen = 0;
        l->skip = true;
    }
    l->n += got;
    l->offset += got;
    return SC_OK;
}

/* The byte order mark before the first line. */
static sc_status drop_mark(sc_line_reader *l)
{
    while (l->n < 3 && !l->end) {
        sc_status s = more(l);
        if (s) return s;
    }
    if (l->n >= 3 && !l->o.bytes.start && memcmp(l->p, "\xef\xbb\xbf", 3) == 0) l->at = 3;
    return SC_OK;
}

/* A line of p[at..at+n), n bytes with no end yet, became too long. *given: its beginning is a line. */
static void too_long(sc_line_reader *l, const char **p, int64_t *n, bool *given)
{
    *given = !l->skip && l->o.cut;
    if (!l->skip) {
        l->longer++;
        l->lines++;
    }
    if (*given) {
        *p = l->p + l->at;
        *n = l->o.longest - sc_utf8_unfinished(*p, l->o.longest);
    }
    l->skip = true;
    l->at += l->seen;
    l->seen = 0;
}

sc_status sc_line_reader_next(sc_line_reader *l, const char **p, int64_t *n)
{
    sc_status s = l->cap ? SC_OK : drop_mark(l);
    while (!s) {
        int64_t begin = l->offset - (l->n - l->at);
        bool over = l->o.to && !l->skip && begin >= l->o.to;
        if (over) {
            *p = NULL;
            *n = 0;
            return SC_OK;
        }
        if (!l->skip) l->begin = begin;
        const char *from = l->p + l->at;
        const char *nl =
            l->n - l->at > l->seen ? memchr(from + l->seen, '\n', (size_t)(l->n - l->at - l->seen)) : NULL;
        if (!nl && !(l->end && l->n > l->at)) {
            l->seen = l->n - l->at;
            if (l->end) {
                *p = NULL;
                *n = 0;
                return SC_OK;
            }
            bool given = false;
            /* One byte more: it may be the \\r of the line's end. */
            if (l->skip || l->seen > l->o.longest + 1) too_long(l, p, n, &given);
            if (given) return SC_OK;
            s = more(l);
            continue;
        }
        int64_t len = nl ? nl - from : l->n - l->at;
        bool skip = l->skip;
        l->at += len + (nl != NULL);
        l->seen = 0;
        l->skip = false;
        if (skip) continue;
        l->lines++;
        if (nl && len && from[len - 1] == '\r') len--;
        if (len > l->o.longest) {
            l->longer++;
            if (!l->o.cut) continue;
            len = l->o.longest - sc_utf8_unfinished(from, l->o.longest);
        }
        *p = from;
        *n = len;
        return SC_OK;
    }
    return s;
}

sc_line_counts sc_line_reader_count(const sc_line_reader *l)
{
    return (sc_line_counts){sc_bytes_count(l->bytes), l->lines, l->longer, l->torn, l->begin};
}
