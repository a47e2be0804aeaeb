/* SPDX-License-Identifier: Apache-2.0 */
/* What of a text speaks in a language. */
#include "data/languages.h"
#include "text/text.h"

enum { LONGEST_TOKEN = 512, UNSPACED = 0x0e00 }; /* scripts from Thai's on mostly put no spaces between words */

static bool is_space(unsigned char c) { return c <= ' '; }
static bool is_ascii_letter(unsigned char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }

/* Marks that hold a word and are no part of it: quotation marks, brackets, stops. */
static bool is_rim(unsigned char c) { return c < 0x80 && c && strchr("\"'`()[]<>.,;:!?*|-_&~", c) != NULL; }

static bool is_letter(uint32_t c) { return c != '_' && sc_uni_word(c) && !sc_uni_number(c); }

/* Letters of a word by what they count; -1: it is no word, such as an address, a format, a name in a program. */
static int64_t count_letters(const char *p, int64_t n, int64_t *ascii)
{
    int64_t letters = 0, upper = 0, others = 0;
    *ascii = 0;
    for (int64_t i = 0; i < n;) {
        uint32_t c;
        int64_t from = i;
        i += sc_utf8_decode(p + i, n - i, &c);
        if (c < 0x80 && (strchr("/\\@{}=#$%^+<>|*~`", (int)c) || (c >= '0' && c <= '9'))) return -1;
        if (c == '_' && from > 0 && i < n) return -1;
        if (c < 0x80 && !is_ascii_letter((unsigned char)c)) continue;
        if (c < 0x80) {
            ++*ascii;
            upper += c < 'a';
        } else {
            others++;
        }
        if (is_letter(c)) letters += c >= 0x2e80 ? 2 : 1;
    }
    /* PATH, README: names, which all languages share. */
    if (upper > 1 && upper == *ascii && !others) return -1;
    return letters;
}

/* Whether the word is among those of `known`, whole. */
static bool among(const char *p, int64_t n, const char *known, int64_t len)
{
    const char *end = known + len;
    for (const char *at = known; n > 1 && (at = memmem(at, (size_t)(end - at), p, (size_t)n)); at++) {
        bool before = at == known || !is_ascii_letter((unsigned char)at[-1]);
        bool behind = at + n == end || !is_ascii_letter((unsigned char)at[n]);
        if (before && behind) return true;
    }
    return false;
}

static void put_lower(sc_str *out, const char *p, int64_t n)
{
    for (int64_t i = 0; i < n;) {
        uint32_t c, low[2];
        i += sc_utf8_decode(p + i, n - i, &c);
        int k = sc_uni_lower(c, low);
        for (int j = 0; j < k; j++) sc_str_utf8(out, low[j]);
    }
}

/* A tag or an entity at p; its bytes, 0: there is none. */
static int64_t markup(const char *p, int64_t n)
{
    char stop = *p == '<' ? '>' : *p == '&' ? ';' : 0;
    int64_t most = *p == '<' ? 200 : 10;
    if (!stop || n < 3 || !(is_ascii_letter((unsigned char)p[1]) || p[1] == '/' || p[1] == '#')) return 0;
    for (int64_t i = 1; i < SC_MIN(n, most); i++) {
        if (p[i] == stop) return i + 1;
        if (*p == '&' && (is_space((unsigned char)p[i]) || p[i] == '&')) return 0;
    }
    return 0;
}

static void put_word(sc_str *out, const char *p, int64_t n, const char *known, int64_t len, sc_language_words *w)
{
    char plain[LONGEST_TOKEN];
    int64_t m = 0, ascii;
    /* The key of a menu's entry is marked within its word: "_File", "&Edit". */
    for (int64_t i = 0; i < n; i++) {
        bool mark = (p[i] == '_' || p[i] == '&') && i + 1 < n && !is_space((unsigned char)p[i + 1]);
        if (mark && (i == 0 || (p[i] == '&' && n < LONGEST_TOKEN))) continue;
        if (m < LONGEST_TOKEN) plain[m++] = p[i];
    }
    p = n < LONGEST_TOKEN ? plain : p;
    n = n < LONGEST_TOKEN ? m : n;
    const char *core = p, *end = p + n;
    while (core < end && is_rim((unsigned char)*core)) core++;
    while (end > core && is_rim((unsigned char)end[-1])) end--;
    int64_t letters = count_letters(core, end - core, &ascii);
    if (letters <= 0 || (*p == '-' && end - p > 1)) return;
    if (known && ascii == end - core && among(core, end - core, known, len)) {
        w->known += letters;
        return;
    }
    if (out->len && out->p[out->len - 1] != '\n') sc_str_putc(out, ' ');
    put_lower(out, core, end - core);
    w->letters += letters;
    w->ascii += ascii;
}

/* Where the word at p ends: before white space, markup, and where a script without spaces meets another or a sign. */
static int64_t word_end(const char *p, int64_t n, int64_t from)
{
    int64_t i = from;
    int kind = -1;
    while (i < n && !is_space((unsigned char)p[i]) && !(i > from && markup(p + i, n - i))) {
        uint32_t c = (unsigned char)p[i];
        int bytes = c < 0x80 ? 1 : sc_utf8_decode(p + i, n - i, &c);
        int is = c < UNSPACED ? 0 : is_letter(c) ? 1 : 2;
        if (kind < 0) kind = is;
        if (is != kind) break;
        i += bytes;
    }
    return i;
}

void sc_language_clean(sc_str *out, const char *p, int64_t n, const char *known, int64_t len_known,
                       sc_language_words *w)
{
    *w = (sc_language_words){0};
    for (int64_t i = 0; i < n;) {
        int64_t skip = markup(p + i, n - i);
        if (skip || is_space((unsigned char)p[i])) {
            i += skip ? skip : 1;
            continue;
        }
        int64_t from = i;
        i = word_end(p, n, from);
        put_word(out, p + from, i - from, known, len_known, w);
    }
}

uint64_t sc_language_key(const char *p, int64_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (int64_t i = 0; i < n;) {
        uint32_t c, low[2];
        i += sc_utf8_decode(p + i, n - i, &c);
        if (!is_letter(c)) continue;
        int k = sc_uni_lower(c, low);
        for (int j = 0; j < k; j++) h = (h ^ low[j]) * 0x100000001b3u;
    }
    return h ^ h >> 29;
}
