/* SPDX-License-Identifier: Apache-2.0 */
/* What the formats and the stages that make text share: damage, charsets, HTML, Unicode. Functions on bytes, without state
 * but what a room of a thread keeps. */
#ifndef SC_DATA_SOURCE_H
#define SC_DATA_SOURCE_H

#include "data/data.h"
#include "io/io.h"

#include <iconv.h>

/* ---- lines of a source (source.c) ---- */

typedef struct sc_source_lines {
    sc_line_reader *lines;
    const char *p; /* the line that was read last; NULL: none is held */
    int64_t n;
    bool end;
    struct sc_damage {
        int64_t broken, longer, torn;
    } told;
} sc_source_lines;

/* Lines of a part: those that begin in it. */
sc_status sc_source_lines_open(sc_source_lines *l, const sc_reader_setup *x, int64_t longest, bool cut);
void sc_source_lines_close(sc_source_lines *l);
/* The next line into l->p, or what was met before it into *found: SC_READ_BROKEN, or SC_READ_END. */
sc_status sc_source_lines_next(sc_source_lines *l, sc_found *found);
/* What of `now` was not told yet, one thing a call. */
bool sc_damage_tell(struct sc_damage *told, const struct sc_damage *now, sc_found *found);
void sc_found_broken(sc_found *found, const char *reason, const char *detail);

/* ---- charsets (charset.c) ---- */

/* A converter that is kept, since opening one costs more than a short text. Starts as {0}. */
typedef struct sc_charset_room {
    iconv_t cd;
    bool open;
    char name[40];
    sc_str out;
} sc_charset_room;
void sc_charset_room_free(sc_charset_room *r);

/* The charset that p[0..n) is in, as iconv calls it: by its byte order mark, else what it is by itself if it is UTF-8 beyond
 * ASCII, else what `said` (the HTTP header, may be empty) names, else for HTML its meta element; else windows-1252, which has a
 * meaning for nearly every byte. "UTF-8" for ASCII. */
const char *sc_charset_detect(const char *p, int64_t n, const char *said, bool html);
/* The name in iconv's words of a label (https://encoding.spec.whatwg.org/#names-and-labels); NULL: not known. */
const char *sc_charset_named(const char *label, int64_t n);
/* Puts p[0..n) of that charset as valid UTF-8 into r->out, without a byte order mark; *bad: places that had no meaning there,
 * each U+FFFD now. */
sc_status sc_charset_convert(sc_charset_room *r, const char *charset, const char *p, int64_t n, int64_t *bad);

/* ---- HTTP (http.c) ---- */

typedef struct sc_http {
    int status;           /* 0: not a response */
    sc_str type, charset; /* of Content-Type: "text/html", "utf-8"; may be empty */
    const char *body;     /* in the message, or in `decoded` */
    int64_t body_len;
    const char *fault; /* what about the body could not be undone, a static word; NULL: nothing */
    sc_str encoding, transfer, decoded, other;
} sc_http;
/* Takes a response apart and undoes its transfer and content encodings; at most `most` bytes of body. h starts as {0} and is
 * cleared first. A body that says it is encoded and is not stays as it is: archives often keep the headers alone. */
sc_status sc_http_parse(sc_http *h, const char *p, int64_t n, int64_t most);
void sc_http_free(sc_http *h);
/* Media type and charset of a Content-Type. */
void sc_http_content_type(const char *p, int64_t n, sc_str *type, sc_str *charset);

/* ---- Unicode (unicode.c, mojibake.c) ---- */

typedef enum sc_unicode_flag {
    SC_UNICODE_MOJIBAKE = 1, /* UTF-8 that was read as windows-1252 or Latin-1 is put right */
    SC_UNICODE_ENTITIES = 2, /* character references that were left over, where the text has no tags */
    SC_UNICODE_CONTROLS = 4, /* control, zero-width and direction characters go, line ends become \n */
    SC_UNICODE_SPACES = 8,   /* spaces of all widths become ' ' */
    SC_UNICODE_NFC = 16,
    SC_UNICODE_NFKC = 32, /* only where it was asked for: it changes meanings (2⁵ becomes 25) */
    SC_UNICODE_USUAL = 31,
} sc_unicode_flag;

typedef struct sc_unicode_counts {
    int64_t invalid, mojibake, entities, controls, spaces, normalized; /* places; normalized: 1 where it changed */
} sc_unicode_counts;

/* Room of one thread. Starts as {0}. */
typedef struct sc_unicode_room {
    sc_str a, b;
} sc_unicode_room;
void sc_unicode_room_free(sc_unicode_room *r);
/* Repairs *text in place of itself. Afterwards it is valid UTF-8. */
sc_status sc_unicode_repair(sc_unicode_room *r, sc_str *text, unsigned flags, sc_unicode_counts *c);
/* Appends p[0..n) with U+FFFD for what is not UTF-8; how many. */
int64_t sc_utf8_repair(sc_str *out, const char *p, int64_t n);
/* The steps: each appends what becomes of p[0..n), which is valid, to `out`, and gives the number of places. */
int64_t sc_mojibake_repair(sc_str *out, const char *p, int64_t n);
int64_t sc_entities_repair(sc_str *out, const char *p, int64_t n);

#endif
