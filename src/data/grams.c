/* SPDX-License-Identifier: Apache-2.0 */
/* Texts as words, for comparing: letters and digits in lower case; of scripts that put no spaces between words each character
 * is one. */
#include "data/grams.h"

#include <utf8proc.h>

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 31) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
    return x ^ x >> 32;
}

/* Han, kana, Thai, Lao, Khmer, Burmese. */
static bool stands_alone(uint32_t c)
{
    static const struct {
        uint32_t from, to;
    } ranges[] = {{0x0e00, 0x0eff}, {0x1000, 0x109f}, {0x1780, 0x17ff},  {0x2e80, 0x2fdf}, {0x3005, 0x3007},
                  {0x3021, 0x3029}, {0x3040, 0x30ff}, {0x31f0, 0x31ff},  {0x3400, 0x4dbf}, {0x4e00, 0x9fff},
                  {0xf900, 0xfaff}, {0xff66, 0xff9f}, {0x20000, 0x323af}};
    for (int i = 0; i < SC_COUNT(ranges); i++)
        if (c >= ranges[i].from && c <= ranges[i].to) return true;
    return false;
}

/* The character as it is compared, 0: it is part of no word. */
static uint32_t fold(uint32_t c)
{
    if (c < 0x80) {
        if (c >= 'A' && c <= 'Z') return c + 32;
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : 0;
    }
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LT: return (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO: return c;
    default: return 0;
    }
}

static bool put(sc_grams *w, uint64_t hash, int64_t begin, int64_t end)
{
    if (!sc_grow(&w->word, &w->cap, w->n + 1, sizeof *w->word)) return false;
    w->word[w->n++] = (sc_gram_word){mix(hash), begin, end};
    return true;
}

sc_status sc_grams_words(sc_grams *w, const char *p, int64_t n, bool characters)
{
    uint64_t hash = 0;
    int64_t begin = -1;
    bool room = true;
    w->n = 0;
    for (int64_t at = 0, k; room && at < n; at += k) {
        uint32_t c = (unsigned char)p[at];
        k = c < 0x80 ? 1 : sc_utf8_decode(p + at, n - at, &c);
        c = fold(c);
        bool alone = c && (characters || (c >= 0x80 && stands_alone(c)));
        if (begin >= 0 && (!c || alone)) {
            room = put(w, hash, begin, at);
            begin = -1;
        }
        if (alone) {
            room = room && put(w, c, at, at + k);
        } else if (c) {
            if (begin < 0) begin = at, hash = 0;
            hash = (hash ^ c) * 0x100000001b3u;
        }
    }
    if (begin >= 0) room = room && put(w, hash, begin, n);
    return room ? SC_OK : sc_nomem();
}

void sc_grams_free(sc_grams *w)
{
    sc_free(w->word);
    sc_free(w->gram);
    *w = (sc_grams){0};
}

#define BASE 0x2545f4914f6cdd1du

sc_status sc_grams_make(sc_grams *w, int64_t n)
{
    uint64_t sum = 0, power = 1;
    w->grams = 0;
    if (w->n == 0) return SC_OK;
    if (n > w->n) n = w->n;
    if (!sc_grow(&w->gram, &w->cap_gram, w->n - n + 1, sizeof *w->gram)) return sc_nomem();
    for (int64_t i = 1; i < n; i++) power *= BASE;
    for (int64_t i = 0; i < w->n; i++) {
        if (i >= n) sum -= w->word[i - n].hash * power;
        sum = sum * BASE + w->word[i].hash;
        if (i >= n - 1) w->gram[w->grams++] = mix(sum + (uint64_t)n);
    }
    return SC_OK;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void sc_grams_set(sc_grams *w)
{
    int64_t n = 0;
    if (w->grams) qsort(w->gram, (size_t)w->grams, sizeof *w->gram, by_value);
    for (int64_t i = 0; i < w->grams; i++)
        if (i == 0 || w->gram[i] != w->gram[n - 1]) w->gram[n++] = w->gram[i];
    w->grams = n;
}

double sc_grams_jaccard(const sc_grams *a, const sc_grams *b)
{
    int64_t i = 0, k = 0, both = 0;
    while (i < a->grams && k < b->grams) {
        uint64_t x = a->gram[i], y = b->gram[k];
        both += x == y;
        i += x <= y;
        k += y <= x;
    }
    int64_t all = a->grams + b->grams - both;
    return all ? (double)both / (double)all : 1;
}
