/* SPDX-License-Identifier: Apache-2.0 */
/* Text that was decoded or escaped once too often.
 *
 * UTF-8 that was read as windows-1252 has its lead bytes as letters (C3 is A with tilde) and its continuation bytes as
 * signs. A sequence of characters that are such bytes, and valid UTF-8 as bytes, is put right. Of three or four bytes it
 * is never an accident. Of two it may be one: a capital letter with an accent before a closing quotation mark. So those
 * with a quotation mark, a dash or the like at their end count only beside others in the same text. */
#include "data/source.h"

enum { PASSES = 3, NAME_MAX_LEN = 10 };

/* windows-1252's bytes 0x80 to 0x9f; 0: none there, but then Latin-1's control character stands for the byte. */
static const uint16_t upper[32] = {0x20ac, 0,      0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
                                   0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0,      0x017d, 0,
                                   0,      0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                   0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0,      0x017e, 0x0178};

/* The byte that a character was; 0: it was none beyond ASCII. */
static int byte_of(uint32_t c)
{
    if (c >= 0x80 && c <= 0xff) return (int)c;
    if (c < 0x152 || c > 0x2122) return 0;
    for (int i = 0; i < 32; i++)
        if (upper[i] == c) return 0x80 + i;
    return 0;
}

typedef struct sequence {
    char bytes[4];
    int n;         /* 0: none begins here */
    int64_t taken; /* of the text */
    bool doubtful;
} sequence;

/* Closing quotation marks, dashes and the like, as the second of two. */
static bool is_closing(int byte)
{
    return byte == 0x91 || byte == 0x92 || byte == 0x93 || byte == 0x94 || byte == 0x96 || byte == 0x97 ||
           byte == 0x85 || byte == 0xbb || byte == 0x9b || byte == 0x99 || byte == 0xae || byte == 0xa0 ||
           byte == 0xb7;
}

static sequence sequence_at(const char *p, int64_t n)
{
    sequence s = {0};
    uint32_t c;
    int64_t i = sc_utf8_decode(p, n, &c);
    int lead = byte_of(c), want = lead >= 0xc2 && lead <= 0xdf   ? 2
                                  : (lead & 0xf0) == 0xe0        ? 3
                                  : lead >= 0xf0 && lead <= 0xf4 ? 4
                                                                 : 0;
    if (!want) return s;
    s.bytes[0] = (char)lead;
    for (int k = 1; k < want; k++) {
        if (i >= n) return s;
        i += sc_utf8_decode(p + i, n - i, &c);
        int byte = byte_of(c);
        if ((byte & 0xc0) != 0x80) return s;
        s.bytes[k] = (char)byte;
    }
    if (!sc_utf8_valid(s.bytes, want)) return s;
    s.n = want;
    s.taken = i;
    /* Two letters or a letter and a sign of Western text: only what begins with A and a tilde or a circumflex is rare there. */
    s.doubtful = want == 2 && ((lead != 0xc3 && lead != 0xc2) || is_closing(s.bytes[1] & 0xff));
    return s;
}

static int64_t next_lead(const char *p, int64_t n, int64_t i)
{
    /* Bytes of the letters from U+00C2 to U+00F4, and nothing else, are C3 and a continuation. */
    const char *at = i < n ? memchr(p + i, 0xc3, (size_t)(n - i)) : NULL;
    return at ? at - p : n;
}

static int64_t repair_once(sc_str *out, const char *p, int64_t n)
{
    int64_t sure = 0, doubtful = 0, other = 0;
    for (int64_t i = next_lead(p, n, 0); i < n; i = next_lead(p, n, i)) {
        sequence s = sequence_at(p + i, n - i);
        sure += s.n && !s.doubtful;
        doubtful += s.n && s.doubtful;
        other += !s.n;
        i += s.n ? s.taken : 1;
    }
    /* Letters with accents that are themselves speak for a text that is right; so a doubtful one is put right only in a text
     * that has more that are wrong. */
    bool all = sure > 0 ? other <= sure : doubtful >= 3 && other * 8 <= doubtful;
    if (!sure && !all) return 0;
    int64_t from = 0, count = 0;
    for (int64_t i = next_lead(p, n, 0); i < n; i = next_lead(p, n, i)) {
        sequence s = sequence_at(p + i, n - i);
        if (!s.n || (s.doubtful && !all)) {
            i++;
            continue;
        }
        sc_str_append(out, p + from, i - from);
        sc_str_append(out, s.bytes, s.n);
        from = i += s.taken;
        count++;
    }
    sc_str_append(out, p + from, n - from);
    return count;
}

int64_t sc_mojibake_repair(sc_str *out, const char *p, int64_t n)
{
    sc_str other = {0};
    int64_t total = 0, from = out->len;
    for (int pass = 0; pass < PASSES; pass++) { /* it may have happened more than once */
        int64_t got = pass ? repair_once(&other, out->p + from, out->len - from) : repair_once(out, p, n);
        if (!got) break;
        total += got;
        if (pass) {
            out->len = from;
            sc_str_append(out, other.p, other.len);
            other.len = 0;
        }
    }
    out->oom = out->oom || other.oom;
    sc_str_free(&other);
    return total;
}

/* ---- character references ---- */

/* Those that are left over in texts of the web, from HTML's list. */
static const struct {
    const char *name;
    uint32_t c;
} named[] = {
    {"amp", '&'},       {"lt", '<'},        {"gt", '>'},       {"quot", '"'},     {"apos", '\''},
    {"nbsp", ' '},      {"copy", 0xa9},     {"reg", 0xae},     {"trade", 0x2122}, {"hellip", 0x2026},
    {"mdash", 0x2014},  {"ndash", 0x2013},  {"lsquo", 0x2018}, {"rsquo", 0x2019}, {"ldquo", 0x201c},
    {"rdquo", 0x201d},  {"sbquo", 0x201a},  {"bdquo", 0x201e}, {"laquo", 0xab},   {"raquo", 0xbb},
    {"lsaquo", 0x2039}, {"rsaquo", 0x203a}, {"bull", 0x2022},  {"middot", 0xb7},  {"deg", 0xb0},
    {"plusmn", 0xb1},   {"times", 0xd7},    {"divide", 0xf7},  {"frac12", 0xbd},  {"frac14", 0xbc},
    {"euro", 0x20ac},   {"pound", 0xa3},    {"yen", 0xa5},     {"cent", 0xa2},    {"sect", 0xa7},
    {"para", 0xb6},     {"eacute", 0xe9},   {"egrave", 0xe8},  {"ecirc", 0xea},   {"euml", 0xeb},
    {"aacute", 0xe1},   {"agrave", 0xe0},   {"acirc", 0xe2},   {"atilde", 0xe3},  {"auml", 0xe4},
    {"aring", 0xe5},    {"aelig", 0xe6},    {"ccedil", 0xe7},  {"iacute", 0xed},  {"igrave", 0xec},
    {"icirc", 0xee},    {"iuml", 0xef},     {"ntilde", 0xf1},  {"oacute", 0xf3},  {"ograve", 0xf2},
    {"ocirc", 0xf4},    {"otilde", 0xf5},   {"ouml", 0xf6},    {"oslash", 0xf8},  {"uacute", 0xfa},
    {"ugrave", 0xf9},   {"ucirc", 0xfb},    {"uuml", 0xfc},    {"szlig", 0xdf},   {"Eacute", 0xc9},
    {"Auml", 0xc4},     {"Ouml", 0xd6},     {"Uuml", 0xdc},    {"Ccedil", 0xc7},  {"Agrave", 0xc0},
    {"larr", 0x2190},   {"rarr", 0x2192},   {"iexcl", 0xa1},   {"iquest", 0xbf},  {"ordm", 0xba},
    {"ordf", 0xaa},     {"minus", 0x2212},  {"thinsp", ' '},   {"ensp", ' '},     {"emsp", ' '},
    {"shy", 0xad},      {"zwnj", 0x200c},   {"zwj", 0x200d},
};

/* The character of "&...;" at p, 0: it is none. *taken: its bytes. */
static uint32_t reference(const char *p, int64_t n, int64_t *taken)
{
    const char *end = memchr(p, ';', (size_t)SC_MIN(n, NAME_MAX_LEN + 2));
    if (!end || end - p < 3) return 0;
    *taken = end + 1 - p;
    int64_t len = end - p - 1;
    const char *name = p + 1;
    if (*name != '#') {
        for (int i = 0; i < SC_COUNT(named); i++)
            if ((int64_t)strlen(named[i].name) == len && memcmp(named[i].name, name, (size_t)len) == 0)
                return named[i].c;
        return 0;
    }
    bool hex = len > 2 && (name[1] | 32) == 'x';
    uint32_t c = 0;
    for (int64_t i = hex ? 2 : 1; i < len; i++) {
        int ch = name[i] | 32, digit = ch >= '0' && ch <= '9'          ? ch - '0'
                                       : hex && ch >= 'a' && ch <= 'f' ? ch - 'a' + 10
                                                                       : -1;
        if (digit < 0 || c > 0x10ffff) return 0;
        c = c * (hex ? 16 : 10) + (uint32_t)digit;
    }
    if (c >= 0x80 && c <= 0x9f && upper[c - 0x80]) return upper[c - 0x80]; /* as browsers take them */
    return c < 0x20 || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) ? 0 : c;
}

static bool looks_like_tag(const char *p, int64_t n)
{
    char c = n > 1 ? p[1] : 0;
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '/' || c == '!';
}

int64_t sc_entities_repair(sc_str *out, const char *p, int64_t n)
{
    /* A text with tags shows HTML, or is it: its references are meant. */
    for (const char *lt = memchr(p, '<', (size_t)n); lt; lt = memchr(lt + 1, '<', (size_t)(p + n - lt - 1)))
        if (looks_like_tag(lt, p + n - lt)) return 0;
    int64_t from = 0, count = 0;
    for (const char *at = memchr(p, '&', (size_t)n); at;) {
        int64_t i = at - p, taken = 1;
        uint32_t c = reference(at, n - i, &taken);
        if (c) {
            sc_str_append(out, p + from, i - from);
            sc_str_utf8(out, c);
            from = i + taken;
            count++;
        } else {
            taken = 1;
        }
        at = i + taken < n ? memchr(p + i + taken, '&', (size_t)(n - i - taken)) : NULL;
    }
    if (count) sc_str_append(out, p + from, n - from);
    return count;
}
