/* SPDX-License-Identifier: Apache-2.0 */
/* Word vectors brought to length 1: nearest words, analogies (Mikolov et al. 2013), and how well cosines follow people's scores
 * of likeness. */
#include "infer/infer.h"
#include "vectors/vectors.h"

#include <math.h>
#include <stdlib.h>

enum { QUERIES = 64, MOST_PRODUCTS = 1 << 24 };

struct sc_word_space {
    sc_context *ctx;
    const sc_vectors *v;
    int64_t n, width;
    float *unit;    /* (n, width) */
    char *folded;   /* the words in small letters, one after the other */
    sc_map small;   /* the first word of each */
    int64_t *place; /* where each begins in `folded`; n + 1 */
};

static void to_unit(float *x, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    double scale = sum > 0 ? 1 / sqrt(sum) : 0;
    for (int64_t i = 0; i < n; i++) x[i] = (float)(x[i] * scale);
}

static char small_letter(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

static sc_status fold(sc_word_space *s)
{
    int64_t bytes = 0, len, unused;
    for (int64_t i = 0; i < s->n; i++) {
        sc_vectors_word(s->v, i, &len);
        bytes += len;
    }
    if (!(s->folded = sc_malloc((size_t)bytes + 1)) || !(s->place = sc_calloc((size_t)s->n + 1, sizeof *s->place)))
        return sc_nomem();
    for (int64_t i = 0; i < s->n; i++) {
        const char *word = sc_vectors_word(s->v, i, &len);
        char *to = s->folded + s->place[i];
        for (int64_t k = 0; k < len; k++) to[k] = small_letter(word[k]);
        s->place[i + 1] = s->place[i] + len;
        if (!sc_map_get(&s->small, to, len, &unused) && !sc_map_put(&s->small, to, len, i)) return sc_nomem();
    }
    return SC_OK;
}

sc_status sc_word_space_new(sc_word_space **out, sc_context *ctx, const sc_vectors *v)
{
    int64_t floats, len;
    sc_word_space *s = sc_calloc(1, sizeof *s);
    if (!s) return sc_nomem();
    sc_status status = SC_OK;
    s->ctx = ctx;
    s->v = v;
    s->n = sc_vectors_count(v);
    s->width = sc_vectors_width(v);
    if (!sc_mul_ok(s->n * (int64_t)sizeof(float), s->width, &floats) || floats > sc_memory_size())
        status = sc_fail(SC_ELIMIT, "%lld vectors of %lld would take more than this machine's memory",
                         (long long)s->n, (long long)s->width);
    else if (!(s->unit = sc_malloc((size_t)floats)))
        status = sc_nomem();
    for (int64_t i = 0; !status && i < s->n; i++) {
        const char *word = sc_vectors_word(v, i, &len);
        status = sc_vectors_get(v, word, len, s->unit + i * s->width);
        to_unit(s->unit + i * s->width, s->width);
        if (i % 4096 == 0 && sc_context_cancelled(ctx)) status = sc_fail(SC_ECANCELLED, "stopped on request");
    }
    if (!status) status = fold(s);
    if (status)
        sc_word_space_free(s);
    else
        *out = s;
    return status;
}

void sc_word_space_free(sc_word_space *s)
{
    if (!s) return;
    sc_map_free(&s->small);
    sc_free(s->unit);
    sc_free(s->folded);
    sc_free(s->place);
    sc_free(s);
}

/* ---- nearest ---- */

sc_status sc_word_space_nearest(sc_word_space *s, const sc_text *word, const float *weight, int64_t n, int64_t k,
                                sc_neighbor *out, int64_t *found)
{
    sc_products p = {0};
    const float *score;
    *found = 0;
    if (n < 1 || k < 0) return sc_fail(SC_EINVAL, "the %lld words nearest to %lld", (long long)k, (long long)n);
    float *query = sc_calloc((size_t)s->width * 2, sizeof *query), *one = query + s->width;
    int64_t *row = sc_calloc((size_t)n, sizeof *row);
    sc_status status = query && row ? SC_OK : sc_nomem();
    for (int64_t i = 0; !status && i < n; i++) {
        row[i] = sc_vectors_find(s->v, word[i].p, word[i].len);
        if ((status = sc_vectors_get(s->v, word[i].p, word[i].len, one))) break;
        to_unit(one, s->width);
        for (int64_t c = 0; c < s->width; c++) query[c] += weight[i] * one[c];
    }
    if (!status) to_unit(query, s->width);
    if (!status) status = sc_products_new(&p, s->ctx, s->unit, s->n, s->width, 1);
    if (!status) status = sc_products_run(&p, query, 1, &score);
    for (int64_t i = 0; !status && k && i < s->n; i++) {
        bool asked = false;
        for (int64_t j = 0; j < n; j++) asked |= row[j] == i;
        if (!asked) *found = sc_neighbor_insert(out, *found, k, i, score[i]);
    }
    sc_products_free(&p);
    sc_free(query);
    sc_free(row);
    return status;
}

/* ---- lines of words ---- */

/* The words of a line, at most `most`; returns how many there are, or most + 1. */
static int words_of(const char *p, int64_t len, const char *between, sc_text *word, int most)
{
    int n = 0;
    for (int64_t i = 0; i < len;) {
        while (i < len && p[i] && strchr(between, p[i])) i++;
        int64_t begin = i;
        while (i < len && !(p[i] && strchr(between, p[i]))) i++;
        if (i == begin) break;
        if (n == most) return most + 1;
        word[n++] = (sc_text){p + begin, i - begin};
    }
    return n;
}

static int64_t line_length(const char *p, int64_t len)
{
    const char *end = memchr(p, '\n', (size_t)len);
    return end ? end - p : len;
}

/* The row of a word whatever its case; -1: none. */
static int64_t find_small(const sc_word_space *s, sc_text word)
{
    char text[256];
    int64_t row;
    if (word.len > (int64_t)sizeof text) return -1;
    for (int64_t i = 0; i < word.len; i++) text[i] = small_letter(word.p[i]);
    return sc_map_get(&s->small, text, word.len, &row) ? row : -1;
}

/* Row i is the word of `row` in another case. */
static bool same_word(const sc_word_space *s, int64_t i, int64_t row)
{
    int64_t n = s->place[i + 1] - s->place[i];
    return n == s->place[row + 1] - s->place[row] &&
           memcmp(s->folded + s->place[i], s->folded + s->place[row], (size_t)n) == 0;
}

/* ---- analogies ---- */

typedef struct question {
    int64_t row[4], part;
} question;

static sc_status answer(sc_word_space *s, sc_products *p, const question *q, int64_t n, float *query,
                        sc_analogies *part)
{
    const float *score;
    for (int64_t i = 0; i < n; i++) {
        const float *a = s->unit + q[i].row[0] * s->width, *b = s->unit + q[i].row[1] * s->width,
                    *c = s->unit + q[i].row[2] * s->width;
        for (int64_t k = 0; k < s->width; k++) query[i * s->width + k] = b[k] - a[k] + c[k];
    }
    sc_status status = sc_products_run(p, query, n, &score);
    for (int64_t i = 0; !status && i < n; i++) {
        const float *x = score + i * s->n;
        int64_t best = -1;
        for (int64_t w = 0; w < s->n; w++) {
            if (best >= 0 && !(x[w] > x[best])) continue;
            if (!same_word(s, w, q[i].row[0]) && !same_word(s, w, q[i].row[1]) && !same_word(s, w, q[i].row[2]))
                best = w;
        }
        part[q[i].part].asked++;
        part[q[i].part].correct += best >= 0 && same_word(s, best, q[i].row[3]);
    }
    return status;
}

/* Reads the questions; those with a word that is not listed are only counted. */
static sc_status read_questions(sc_word_space *s, const char *text, int64_t len, question **questions, int64_t *n,
                                sc_analogies **parts, int64_t *n_parts)
{
    int64_t cap = 0, cap_parts = 0, number = 0;
    for (int64_t at = 0, size; at < len; at += size + 1) {
        const char *p = text + at;
        sc_text word[4];
        size = line_length(p, len - at);
        number++;
        bool header = size && p[0] == ':';
        int count = words_of(p, size, " \t\r", word, 4);
        if (!count) continue;
        if (header || !*n_parts) {
            if (!sc_grow(parts, &cap_parts, *n_parts + 1, sizeof **parts)) return sc_nomem();
            sc_text name = header ? (sc_text){p + 1, size - 1} : (sc_text){"", 0};
            while (name.len && name.p[0] == ' ') name.p++, name.len--;
            while (name.len && (name.p[name.len - 1] == '\r' || name.p[name.len - 1] == ' ')) name.len--;
            (*parts)[(*n_parts)++] = (sc_analogies){.name = name.p, .len = name.len};
        }
        if (header) continue;
        if (count != 4) return sc_fail(SC_EFORMAT, "line %lld has not four words", (long long)number);
        question q = {.part = *n_parts - 1};
        bool known = true;
        for (int i = 0; i < 4; i++) known &= (q.row[i] = find_small(s, word[i])) >= 0;
        if (!known) {
            (*parts)[q.part].skipped++;
            continue;
        }
        if (!sc_grow(questions, &cap, *n + 1, sizeof **questions)) return sc_nomem();
        (*questions)[(*n)++] = q;
    }
    return SC_OK;
}

sc_status sc_word_space_analogies(sc_word_space *s, const char *text, int64_t len, sc_analogies **out,
                                  int64_t *parts)
{
    question *q = NULL;
    sc_analogies *part = NULL;
    sc_products p = {0};
    int64_t n = 0, n_parts = 0, each = SC_MAX(SC_MIN(MOST_PRODUCTS / SC_MAX(s->n, 1), QUERIES), 1);
    sc_status status = read_questions(s, text, len, &q, &n, &part, &n_parts);
    float *query = status ? NULL : sc_calloc((size_t)(each * s->width), sizeof *query);
    if (!status && !query) status = sc_nomem();
    if (!status && n) status = sc_products_new(&p, s->ctx, s->unit, s->n, s->width, each);
    for (int64_t i = 0; !status && i < n; i += each) {
        status = answer(s, &p, q + i, SC_MIN(each, n - i), query, part);
        sc_progress(s->ctx, "analogies", SC_MIN(i + each, n), n);
    }
    sc_products_free(&p);
    sc_free(query);
    sc_free(q);
    if (status) {
        sc_free(part);
        return status;
    }
    *out = part;
    *parts = n_parts;
    return SC_OK;
}

/* ---- pairs ---- */

typedef struct ranked {
    double value, rank;
    int64_t at;
} ranked;

static int by_value(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->value < y->value ? -1 : x->value > y->value;
}

static int by_place(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Ranks from 1; equal values share the mean of theirs. Order is kept. */
static void rank(ranked *x, int64_t n)
{
    qsort(x, (size_t)n, sizeof *x, by_value);
    for (int64_t i = 0, j; i < n; i = j) {
        for (j = i; j < n && x[j].value == x[i].value; j++) {}
        for (int64_t k = i; k < j; k++) x[k].rank = (double)(i + j + 1) / 2;
    }
    qsort(x, (size_t)n, sizeof *x, by_place);
}

static double correlation(const ranked *a, const ranked *b, int64_t n, bool ranks)
{
    double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
    for (int64_t i = 0; i < n; i++) {
        ma += (ranks ? a[i].rank : a[i].value) / (double)n;
        mb += (ranks ? b[i].rank : b[i].value) / (double)n;
    }
    for (int64_t i = 0; i < n; i++) {
        double x = (ranks ? a[i].rank : a[i].value) - ma, y = (ranks ? b[i].rank : b[i].value) - mb;
        aa += x * x;
        bb += y * y;
        ab += x * y;
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

/* The cosine of two words, as they are spelled or in small letters; false: one has no vector. two: (2, width). */
static bool cosine(const sc_word_space *s, const sc_text *word, float *two, double *out)
{
    for (int i = 0; i < 2; i++) {
        float *x = two + i * s->width;
        int64_t row = find_small(s, word[i]);
        if (row >= 0)
            memcpy(x, s->unit + row * s->width, sizeof *x * (size_t)s->width);
        else if (sc_vectors_get(s->v, word[i].p, word[i].len, x))
            return false;
        to_unit(x, s->width);
    }
    *out = 0;
    for (int64_t k = 0; k < s->width; k++) *out += (double)two[k] * two[s->width + k];
    return true;
}

/* Of "word word score" or SimLex's "word word class score …": the column, or 0. */
static int pair_score(const sc_text *word, int count, float *score)
{
    if (count > 2 && sc_decimal(word[2].p, word[2].len, score)) return 2;
    return count > 3 && word[2].len == 1 && sc_decimal(word[3].p, word[3].len, score) ? 3 : 0;
}

sc_status sc_word_space_pairs(sc_word_space *s, const char *text, int64_t len, sc_word_pairs *out)
{
    ranked *ours = NULL, *theirs = NULL;
    int64_t n = 0, cap = 0, cap2 = 0, number = 0;
    float *two = sc_calloc((size_t)s->width * 2, sizeof *two);
    sc_status status = two ? SC_OK : sc_nomem();
    sc_word_pairs r = {0};
    for (int64_t at = 0, size; !status && at < len; at += size + 1) {
        sc_text word[4];
        float score;
        double near;
        size = line_length(text + at, len - at);
        int count = SC_MIN(words_of(text + at, size, " \t\r,;", word, 4), 4);
        number++;
        if (!count) continue;
        int column = pair_score(word, count, &score);
        if (!column && number == 1) {
            continue; /* the names of the columns */
        } else if (!column) {
            status = sc_fail(SC_EFORMAT, "line %lld is not two words and a number", (long long)number);
        } else if (!cosine(s, word, two, &near)) {
            r.skipped++;
        } else if (!sc_grow(&ours, &cap, n + 1, sizeof *ours) || !sc_grow(&theirs, &cap2, n + 1, sizeof *theirs)) {
            status = sc_nomem();
        } else {
            ours[n] = (ranked){.value = near, .at = n};
            theirs[n] = (ranked){.value = score, .at = n};
            n++;
        }
    }
    if (!status && n) {
        rank(ours, n);
        rank(theirs, n);
        r.scored = n;
        r.spearman = correlation(ours, theirs, n, true);
        r.pearson = correlation(ours, theirs, n, false);
    }
    sc_free(ours);
    sc_free(theirs);
    sc_free(two);
    if (!status) *out = r;
    return status;
}
