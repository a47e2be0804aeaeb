/* SPDX-License-Identifier: Apache-2.0 */
/* The well-known pre-tokenizer patterns by hand. A scanner gives the length of the match at the beginning of valid UTF-8; these
 * patterns match everything, so matches follow on one another. The regular expressions stay what defines them: the tests
 * compare. */
#include "text/patterns.h"
#include "text/text.h"

#include <utf8proc.h>

struct sc_scanner {
    int64_t (*next)(const sc_scanner *s, const uint8_t *p, int64_t n);
    int digits;        /* at most so many in a row */
    bool contractions; /* cased words take them along */
    bool end_first;    /* spaces that end the text are one match whatever they are */
};

/* ---- characters ---- */

enum {
    OTHER,
    SPACE,
    NUMBER,
    EITHER,
    CAPITAL,
    SMALL,
    MARK
}; /* EITHER: a letter of no case; letters are EITHER to SMALL */

static inline bool is_letter(int k) { return k >= EITHER && k <= SMALL; }
static inline bool is_break(uint8_t c) { return c == '\r' || c == '\n'; }

static const uint8_t ascii[128] = {['\t'] = SPACE,         ['\n'] = SPACE,          ['\v'] = SPACE,
                                   ['\f'] = SPACE,         ['\r'] = SPACE,          [' '] = SPACE,
                                   ['0' ... '9'] = NUMBER, ['A' ... 'Z'] = CAPITAL, ['a' ... 'z'] = SMALL};

static int class_of(uint32_t c)
{
    if ((c >= 0xac00 && c <= 0xd7a3) || (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3041 && c <= 0x3096)) return EITHER;
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT: return CAPITAL;
    case UTF8PROC_CATEGORY_LL: return SMALL;
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO: return EITHER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return NUMBER;
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME: return MARK;
    default: return sc_uni_white(c) ? SPACE : OTHER;
    }
}

/* The class of the character at p, valid UTF-8; *k its bytes. */
static inline int look(const uint8_t *p, int *k)
{
    uint32_t c = p[0];
    if (c < 0x80) {
        *k = 1;
        return ascii[c];
    }
    if (c < 0xe0) {
        *k = 2;
        return class_of((c & 0x1f) << 6 | (p[1] & 0x3fu));
    }
    if (c < 0xf0) {
        *k = 3;
        return class_of((c & 0x0f) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu));
    }
    *k = 4;
    return class_of((c & 0x07) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu));
}

static inline int64_t letters(const uint8_t *p, int64_t i, int64_t n)
{
    for (int k; i < n && is_letter(look(p + i, &k));) i += k;
    return i;
}

static inline int64_t numbers(const uint8_t *p, int64_t i, int64_t n, int most)
{
    for (int k; i < n && most > 0 && look(p + i, &k) == NUMBER; most--) i += k;
    return i;
}

static inline bool is_other(int k) { return k == OTHER || k == MARK; }

static inline int64_t others(const uint8_t *p, int64_t i, int64_t n)
{
    for (int k; i < n && is_other(look(p + i, &k));) i += k;
    return i;
}

/* The bytes of 's, 't, 're, 've, 'm, 'll or 'd at p + i, 0 for none. `any`: in any case, the long s included. */
static int64_t contraction(const uint8_t *p, int64_t i, int64_t n, bool any)
{
    if (i + 1 >= n || p[i] != '\'') return 0;
    uint8_t fold = any ? 0x20 : 0, a = p[i + 1] | fold, b = i + 2 < n ? p[i + 2] | fold : 0;
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return any && i + 2 < n && p[i + 1] == 0xc5 && p[i + 2] == 0xbf ? 3 : 0;
}

/* Spaces, of which there is at least one: up to the last line end among them, where `breaks` count; else all but the last that
 * stands before something else. */
static int64_t spaces(const sc_scanner *s, const uint8_t *p, int64_t n, bool breaks)
{
    int64_t i = 0, last = 0, after_break = 0;
    for (int k; i < n && look(p + i, &k) == SPACE; i += k) {
        last = i;
        if (is_break(p[i])) after_break = i + 1;
    }
    if (s->end_first && i == n) return n;
    if (breaks && after_break > 0) return after_break;
    return i == n || last == 0 ? i : last;
}

/* ---- patterns ---- */

static int64_t scan_gpt2(const sc_scanner *s, const uint8_t *p, int64_t n)
{
    int k, kind = look(p, &k);
    int64_t begin = 0;
    if (p[0] == '\'') {
        int64_t c = contraction(p, 0, n, false);
        if (c > 0) return c;
    }
    if (p[0] == ' ' && n > 1) {
        kind = look(p + 1, &k);
        begin = 1;
    }
    if (is_letter(kind)) return letters(p, begin + k, n);
    if (kind == NUMBER) return numbers(p, begin + k, n, INT32_MAX);
    if (is_other(kind)) return others(p, begin + k, n);
    return spaces(s, p, n, false);
}

static int64_t scan_llama3(const sc_scanner *s, const uint8_t *p, int64_t n)
{
    int k, next, kind = look(p, &k);
    if (is_letter(kind)) return letters(p, k, n);
    if (kind == NUMBER) return numbers(p, 0, n, s->digits);
    if (p[0] == '\'') {
        int64_t c = contraction(p, 0, n, true);
        if (c > 0) return c;
    }
    int after = k < n ? look(p + k, &next) : SPACE;
    if (is_letter(after) && !is_break(p[0])) return letters(p, k + next, n);
    if (is_other(kind) || (p[0] == ' ' && is_other(after))) {
        int64_t i = others(p, k, n);
        while (i < n && is_break(p[i])) i++;
        return i;
    }
    return spaces(s, p, n, true);
}

/* A word from p + i on: capitals, then small letters; where small ones are missing, up to the last letter or mark without case,
 * as that is both. 0: none. *capitals: where the leading capitals and letters without case end. */
static int64_t cased(const uint8_t *p, int64_t i, int64_t n, int64_t *capitals)
{
    int64_t both = 0, x = i, end;
    int k, kind = OTHER;
    for (; x < n; x += k) {
        kind = look(p + x, &k);
        if (kind == EITHER || kind == MARK)
            both = x + k;
        else if (kind != CAPITAL)
            break;
    }
    *capitals = x;
    if (x == n || kind != SMALL) return both;
    for (end = x; end < n; end += k) {
        kind = look(p + end, &k);
        if (kind != SMALL && kind != EITHER && kind != MARK) break;
    }
    return end;
}

static int64_t scan_o200k(const sc_scanner *s, const uint8_t *p, int64_t n)
{
    int k, kind = look(p, &k);
    int64_t capitals = 0, begin = 0, end = 0;
    if (kind == NUMBER) return numbers(p, 0, n, s->digits);
    if (!is_letter(kind) && !is_break(p[0])) { /* one character of another kind may come before */
        begin = k;
        end = cased(p, begin, n, &capitals);
    }
    if (end == 0 && (is_letter(kind) || kind == MARK)) {
        int64_t bare;
        end = cased(p, 0, n, &bare);
        if (begin == 0) capitals = bare;
    }
    if (end == 0 && capitals > begin) end = capitals;
    if (end > 0) return end + (s->contractions ? contraction(p, end, n, true) : 0);
    int after, next;
    after = k < n ? look(p + k, &next) : SPACE;
    if (is_other(kind) || (p[0] == ' ' && is_other(after))) {
        int64_t i = others(p, k, n);
        while (i < n && (is_break(p[i]) || p[i] == '/')) i++;
        return i;
    }
    return spaces(s, p, n, true);
}

int64_t sc_scanner_next(const sc_scanner *s, const char *p, int64_t n) { return s->next(s, (const uint8_t *)p, n); }

/* Line ends in the pattern count as escapes. */
static bool same(const char *p, int64_t n, const char *q)
{
    for (int64_t i = 0; i < n; i++) {
        if (p[i] == '\n' || p[i] == '\r') {
            if (*q++ != '\\' || *q++ != (p[i] == '\n' ? 'n' : 'r')) return false;
        } else if (*q++ != p[i]) {
            return false;
        }
    }
    return *q == 0;
}

const sc_scanner *sc_scanner_find(const char *pattern, int64_t len)
{
    static const sc_scanner gpt2 = {scan_gpt2, 0, false, false}, three = {scan_llama3, 3, false, false},
                            one = {scan_llama3, 1, false, false}, end = {scan_llama3, 3, false, true},
                            cased3 = {scan_o200k, 3, true, false}, cased1 = {scan_o200k, 1, false, false};
    static const struct {
        const char *pattern;
        const sc_scanner *scanner;
    } table[] = {
        {GPT2_PATTERN, &gpt2},
        {"'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+", &gpt2},
        {LLAMA3_PATTERN, &three},
        {QWEN2_PATTERN, &one},
        {CL100K_PATTERN, &end},
        {O200K_PATTERN, &cased3},
        {BEFORE UPPER "*" LOWER "+|" BEFORE UPPER "+" LOWER "*|\\p{N}" PUNCT_SLASH, &cased1},
    };
    for (int i = 0; i < SC_COUNT(table); i++) {
        if (same(pattern, len, table[i].pattern)) return table[i].scanner;
    }
    return NULL;
}

const char *sc_pattern_named(const char *name)
{
    static const char *const table[][2] = {
        {"gpt2", GPT2_PATTERN},   {"llama3", LLAMA3_PATTERN}, {"cl100k", LLAMA3_PATTERN},
        {"qwen2", QWEN2_PATTERN}, {"o200k", O200K_PATTERN},
    };
    for (int i = 0; i < SC_COUNT(table); i++) {
        if (strcmp(name, table[i][0]) == 0) return table[i][1];
    }
    return NULL;
}
