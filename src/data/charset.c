/* SPDX-License-Identifier: Apache-2.0 */
/* Which charset bytes are in, by the rules of browsers (https://html.spec.whatwg.org/#determining-the-character-encoding),
 * but that what is UTF-8 by itself is UTF-8 whatever it calls itself: by chance other text hardly ever is. */
#include "data/source.h"

#include <errno.h>
#include <stdio.h>
#include <strings.h>

/* Labels as pages have them, and what a browser takes them for in iconv's words: the larger sets that contain those that
 * were named (https://encoding.spec.whatwg.org/#names-and-labels). */
static const struct {
    const char *labels, *name;
} known[] = {
    {"|utf-8|utf8|unicode-1-1-utf-8|utf-16|utf-16le|utf-16be|us-ascii-utf8|utf8mb4|", "UTF-8"},
    {"|windows-1252|cp1252|x-cp1252|iso-8859-1|iso8859-1|iso_8859-1|iso88591|latin1|latin-1|l1|us-ascii|ascii|"
     "ansi_x3.4-1968|cp819|",
     "CP1252"},
    {"|iso-8859-2|iso8859-2|iso_8859-2|latin2|l2|", "ISO-8859-2"},
    {"|iso-8859-3|latin3|", "ISO-8859-3"},
    {"|iso-8859-4|latin4|", "ISO-8859-4"},
    {"|iso-8859-5|cyrillic|", "ISO-8859-5"},
    {"|iso-8859-6|arabic|asmo-708|", "ISO-8859-6"},
    {"|iso-8859-7|greek|greek8|", "ISO-8859-7"},
    {"|iso-8859-8|iso-8859-8-i|hebrew|logical|visual|", "ISO-8859-8"},
    {"|iso-8859-9|iso8859-9|latin5|l5|windows-1254|cp1254|x-cp1254|", "CP1254"},
    {"|iso-8859-10|latin6|", "ISO-8859-10"},
    {"|iso-8859-13|", "ISO-8859-13"},
    {"|iso-8859-14|", "ISO-8859-14"},
    {"|iso-8859-15|iso8859-15|latin9|latin-9|l9|", "ISO-8859-15"},
    {"|iso-8859-16|", "ISO-8859-16"},
    {"|windows-1250|cp1250|x-cp1250|", "CP1250"},
    {"|windows-1251|cp1251|x-cp1251|win-1251|", "CP1251"},
    {"|windows-1253|cp1253|x-cp1253|", "CP1253"},
    {"|windows-1255|cp1255|x-cp1255|", "CP1255"},
    {"|windows-1256|cp1256|x-cp1256|", "CP1256"},
    {"|windows-1257|cp1257|x-cp1257|", "CP1257"},
    {"|windows-1258|cp1258|x-cp1258|", "CP1258"},
    {"|windows-874|cp874|tis-620|iso-8859-11|dos-874|", "CP874"},
    {"|koi8-r|koi8|koi|", "KOI8-R"},
    {"|koi8-u|koi8-ru|", "KOI8-U"},
    {"|ibm866|cp866|866|", "CP866"},
    {"|macintosh|mac|x-mac-roman|", "MACINTOSH"},
    {"|gbk|gb2312|gb_2312|gb_2312-80|csgb2312|x-gbk|gb18030|chinese|cp936|", "GB18030"},
    {"|hz-gb-2312|", "HZ"},
    {"|big5|big5-hkscs|cn-big5|x-x-big5|csbig5|", "BIG5-HKSCS"},
    {"|shift_jis|shift-jis|sjis|x-sjis|ms_kanji|windows-31j|cp932|csshiftjis|ms932|", "CP932"},
    {"|euc-jp|x-euc-jp|eucjp|", "EUC-JP"},
    {"|iso-2022-jp|csiso2022jp|", "ISO-2022-JP"},
    {"|euc-kr|ks_c_5601-1987|ks_c_5601-1989|ksc5601|ksc_5601|korean|windows-949|cp949|x-windows-949|uhc|", "CP949"},
    {"|iso-2022-kr|", "ISO-2022-KR"},
};

const char *sc_charset_named(const char *label, int64_t n)
{
    char want[48];
    while (n && strchr(" \t\r\n\f\"'", *label)) label++, n--;
    while (n && strchr(" \t\r\n\f\"'", label[n - 1])) n--;
    if (n < 1 || n > (int64_t)sizeof want - 3) return NULL;
    want[0] = '|';
    for (int64_t i = 0; i < n; i++) {
        char c = label[i];
        if (c == '|' || !c) return NULL;
        want[i + 1] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    want[n + 1] = '|';
    want[n + 2] = 0;
    for (int i = 0; i < SC_COUNT(known); i++)
        if (strstr(known[i].labels, want)) return known[i].name;
    return NULL;
}

/* The value behind "charset" and = within p[0..n), as <meta charset=x> and content="text/html; charset=x" both have it. */
static const char *charset_in(const char *p, int64_t n)
{
    for (int64_t i = 0; i + 8 < n; i++) {
        if ((p[i] | 32) != 'c' || strncasecmp(p + i, "charset", 7) != 0) continue;
        int64_t at = i + 7;
        while (at < n && strchr(" \t\r\n\f", p[at]) && p[at]) at++;
        if (at >= n || p[at] != '=') continue;
        at++;
        while (at < n && p[at] && strchr(" \t\r\n\f\"'", p[at])) at++;
        int64_t end = at;
        while (end < n && p[end] && !strchr(" \t\r\n\f\"';>/", p[end])) end++;
        return sc_charset_named(p + at, end - at);
    }
    return NULL;
}

/* The first meta element that names one, or an XML declaration, within the first bytes; comments are passed over. */
static const char *meta_charset(const char *p, int64_t n)
{
    n = SC_MIN(n, 8192);
    for (int64_t i = 0; i + 6 < n; i++) {
        const char *lt = memchr(p + i, '<', (size_t)(n - i));
        if (!lt) return NULL;
        i = lt - p;
        if (n - i >= 4 && memcmp(lt, "<!--", 4) == 0) {
            const char *end = memmem(lt + 4, (size_t)(n - i - 4), "-->", 3);
            if (!end) return NULL;
            i = end + 2 - p;
            continue;
        }
        const char *gt = memchr(lt, '>', (size_t)(n - i));
        int64_t end = gt ? gt - p : n;
        const char *name = NULL;
        if (end - i > 5 && strncasecmp(lt, "<meta", 5) == 0 && strchr(" \t\r\n\f/", lt[5])) {
            name = charset_in(lt, end - i);
        } else if (end - i > 5 && memcmp(lt, "<?xml", 5) == 0) {
            const char *e = memmem(lt, (size_t)(end - i), "encoding", 8);
            const char *q = e ? memchr(e, '=', (size_t)(p + end - e)) : NULL;
            const char *to = q ? q + 1 : NULL;
            while (q && to < p + end && *to != '?' && *to != ' ') to++;
            if (q) name = sc_charset_named(q + 1, to - q - 1);
        }
        if (name) return name;
        i = end;
    }
    return NULL;
}

/* Whether p[0..n) is UTF-8; *beyond: it has characters beyond ASCII. */
static bool is_utf8(const char *p, int64_t n, bool *beyond)
{
    *beyond = false;
    for (int64_t i = 0; i < n && !*beyond; i++) *beyond = (unsigned char)p[i] >= 0x80;
    return sc_utf8_valid(p, n);
}

/* UTF-8 with some damage: more whole sequences than broken ones. */
static bool mostly_utf8(const char *p, int64_t n)
{
    int64_t whole = 0, broken = 0;
    for (int64_t i = 0; i < n;) {
        uint32_t c = 0;
        int k = (unsigned char)p[i] < 0x80 ? 1 : sc_utf8_decode(p + i, n - i, &c);
        whole += k > 1 && c != 0xfffd;
        broken += c == 0xfffd;
        i += k;
    }
    return whole > broken;
}

const char *sc_charset_detect(const char *p, int64_t n, const char *said, bool html)
{
    const unsigned char *u = (const unsigned char *)p;
    if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) return "UTF-8";
    if (n >= 2 && u[0] == 0xff && u[1] == 0xfe) return "UTF-16LE";
    if (n >= 2 && u[0] == 0xfe && u[1] == 0xff) return "UTF-16BE";
    bool beyond;
    bool utf8 = is_utf8(p, n, &beyond);
    if (utf8 && beyond) return "UTF-8";
    const char *name = said && *said ? sc_charset_named(said, (int64_t)strlen(said)) : NULL;
    if (!name && html) name = meta_charset(p, n);
    /* ASCII, but where its escapes stand for other characters. */
    if (utf8 && !(name && (strncmp(name, "ISO-2022", 8) == 0 || strcmp(name, "HZ") == 0))) return "UTF-8";
    return name ? name : mostly_utf8(p, n) ? "UTF-8" : "CP1252";
}

void sc_charset_room_free(sc_charset_room *r)
{
    if (r->open) iconv_close(r->cd);
    sc_str_free(&r->out);
    *r = (sc_charset_room){0};
}

static bool open_converter(sc_charset_room *r, const char *charset)
{
    if (r->open && strcmp(r->name, charset) == 0) {
        iconv(r->cd, NULL, NULL, NULL, NULL);
        return true;
    }
    iconv_t cd = iconv_open("UTF-8", charset);
    if (cd == (iconv_t)-1) return false;
    if (r->open) iconv_close(r->cd);
    r->cd = cd;
    r->open = true;
    snprintf(r->name, sizeof r->name, "%s", charset);
    return true;
}

sc_status sc_charset_convert(sc_charset_room *r, const char *charset, const char *p, int64_t n, int64_t *bad)
{
    sc_str *out = &r->out;
    out->len = 0;
    out->oom = false;
    *bad = 0;
    if (n >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) p += 3, n -= 3;
    if (n >= 2 && strncmp(charset, "UTF-16", 6) == 0 &&
        (memcmp(p, "\xff\xfe", 2) == 0 || memcmp(p, "\xfe\xff", 2) == 0))
        p += 2, n -= 2;
    if (strcmp(charset, "UTF-8") == 0) {
        *bad = sc_utf8_repair(out, p, n);
        return out->oom ? sc_nomem() : SC_OK;
    }
    if (!open_converter(r, charset))
        return sc_fail(SC_EUNSUPPORTED, "this system's iconv has no charset %s", charset);
    char *in = (char *)(uintptr_t)p, buf[8192];
    size_t left = (size_t)n;
    for (bool flush = false;;) {
        char *to = buf;
        size_t room = sizeof buf;
        size_t got = iconv(r->cd, flush ? NULL : &in, flush ? NULL : &left, &to, &room);
        int e = errno;
        sc_str_append(out, buf, to - buf);
        if (got != (size_t)-1 || e == EINVAL) { /* done, or a character that is cut at the end */
            if (flush) break;
            if (left) {
                sc_str_utf8(out, 0xfffd);
                ++*bad;
            }
            flush = true;
        } else if (e == EILSEQ) {
            sc_str_utf8(out, 0xfffd);
            ++*bad;
            size_t unit = strncmp(charset, "UTF-16", 6) == 0 ? SC_MIN(left, 2) : SC_MIN(left, 1);
            in += unit;
            left -= unit;
            if (!left) flush = true;
        } else if (e != E2BIG) {
            break;
        }
        if (out->oom) return sc_nomem();
    }
    return out->oom ? sc_nomem() : SC_OK;
}
