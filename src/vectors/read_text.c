/* SPDX-License-Identifier: Apache-2.0 */
/* Word vectors as lines, "word number number …": GloVe's, and word2vec's with a first line that says how many there are. And
 * word2vec's binary form, where a space ends the word and the numbers are f32. */
#include "vectors/vectors.h"

#include <math.h>
#include <stdlib.h>

enum { LONGEST_WORD = 1 << 16 };

bool sc_decimal(const char *p, int64_t n, float *out)
{
    static const double ten[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    int64_t i = 0, digits = 0, scale = 0, exponent = 0, given = 0;
    uint64_t m = 0;
    bool minus = n && p[0] == '-', point = false;
    if (n && (p[0] == '-' || p[0] == '+')) i++;
    for (; i < n && ((p[i] >= '0' && p[i] <= '9') || (p[i] == '.' && !point)); i++) {
        if (p[i] == '.') {
            point = true;
            continue;
        }
        given++;
        if (digits < 18) m = m * 10 + (uint64_t)(p[i] - '0');
        digits += m > 0;
        scale -= point;
    }
    if (!given) return false;
    if (i < n && (p[i] == 'e' || p[i] == 'E')) {
        bool down = i + 1 < n && p[i + 1] == '-';
        i += 1 + (i + 1 < n && (p[i + 1] == '-' || p[i + 1] == '+'));
        if (i == n) return false;
        for (; i < n && p[i] >= '0' && p[i] <= '9' && exponent < 10000; i++)
            exponent = exponent * 10 + (p[i] - '0');
        scale += down ? -exponent : exponent;
    }
    if (i != n) return false;
    double value;
    if (digits <= 15 && scale >= -22 && scale <= 22) { /* both are exact, so one rounding */
        value = scale < 0 ? (double)m / ten[-scale] : (double)m * ten[scale];
        value = minus ? -value : value;
    } else {
        char text[64];
        if (n >= (int64_t)sizeof text) return false;
        memcpy(text, p, (size_t)n);
        text[n] = 0;
        value = strtod(text, NULL);
    }
    *out = (float)value;
    return isfinite(*out);
}

typedef struct line {
    const char *p;
    int64_t len;
} line;

/* The line at *at without its end; false where there are no more. */
static bool next_line(const sc_vectors *v, int64_t *at, line *out)
{
    if (*at >= v->size) return false;
    const char *p = v->p + *at, *end = memchr(p, '\n', (size_t)(v->size - *at));
    int64_t n = end ? end - p : v->size - *at;
    *at += n + 1;
    while (n > 0 && (p[n - 1] == '\r' || p[n - 1] == ' ' || p[n - 1] == '\t')) n--;
    *out = (line){p, n};
    return true;
}

static int64_t fields(const line *l)
{
    int64_t n = 0;
    for (int64_t i = 0; i < l->len; i++)
        n += l->p[i] != ' ' && l->p[i] != '\t' && (i == 0 || l->p[i - 1] == ' ' || l->p[i - 1] == '\t');
    return n;
}

/* The last `width` fields are the numbers: some words have spaces in them. *word: the word's length; -1: a field is no number
 * or there are too few. */
static void parse(const line *l, int64_t width, float *out, int64_t *word)
{
    int64_t end = l->len;
    *word = -1;
    for (int64_t k = width - 1; k >= 0; k--) {
        while (end > 0 && (l->p[end - 1] == ' ' || l->p[end - 1] == '\t')) end--;
        int64_t begin = end;
        while (begin > 0 && l->p[begin - 1] != ' ' && l->p[begin - 1] != '\t') begin--;
        if (begin == 0 || !sc_decimal(l->p + begin, end - begin, out + k)) return;
        end = begin - 1;
    }
    *word = end;
}

/* Lines that are not empty. */
static int64_t count_lines(const sc_vectors *v, int64_t limit)
{
    int64_t at = 0, n = 0;
    line l;
    while (n < limit && next_line(v, &at, &l)) n += l.len > 0;
    return n;
}

sc_status sc_vectors_read_text(sc_vectors *v, int64_t limit, bool header)
{
    int64_t at = 0, n = 0, width = 0, start = 0, number = header;
    line l = {NULL, 0};
    if (header) {
        sc_vectors_header(v, &n, &width, &start);
        n = SC_MIN(n, limit);
    } else {
        n = count_lines(v, limit);
        if (next_line(v, &at, &l)) width = fields(&l) - 1;
        if (n < 1 || width < 1) return sc_fail(SC_EFORMAT, "%s: the first line is no word with numbers", v->name);
    }
    sc_status s = sc_vectors_reserve(v, n, width, 2 * width + 1, true);
    for (at = start; !s && v->n < n && next_line(v, &at, &l);) {
        int64_t word;
        number++;
        if (!l.len) continue;
        parse(&l, width, v->table + v->n * width, &word);
        if (word < 0 || word > LONGEST_WORD)
            return sc_fail(SC_EFORMAT, "%s: line %lld is no word with %lld numbers", v->name, (long long)number,
                           (long long)width);
        s = sc_vectors_put(v, v->n, l.p, word);
        v->n++;
    }
    if (!s && v->n < n)
        s = sc_fail(SC_EFORMAT, "%s: %lld vectors where the first line says %lld", v->name, (long long)v->n,
                    (long long)n);
    return s;
}

sc_status sc_vectors_read_binary(sc_vectors *v, int64_t limit)
{
    int64_t n, width, at;
    sc_vectors_header(v, &n, &width, &at);
    n = SC_MIN(n, limit);
    sc_status s = sc_vectors_reserve(v, n, width, 1 + 4 * width, true);
    int64_t bytes = width * (int64_t)sizeof(float);
    for (; !s && v->n < n; v->n++) {
        while (at < v->size && v->p[at] == '\n') at++; /* ends the vector before, with some writers */
        const char *word = v->p + at,
                   *space = at < v->size ? memchr(word, ' ', (size_t)SC_MIN(v->size - at, LONGEST_WORD)) : NULL;
        if (!space || v->p + v->size - space - 1 < bytes)
            return sc_fail(SC_EFORMAT, "%s: ends within vector %lld of %lld, or its word is too long", v->name,
                           (long long)v->n + 1, (long long)n);
        memcpy(v->table + v->n * width, space + 1, (size_t)bytes);
        s = sc_vectors_put(v, v->n, word, space - word);
        at = space + 1 - v->p + bytes;
    }
    return s;
}
