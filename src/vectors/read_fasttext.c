/* SPDX-License-Identifier: Apache-2.0 */
/* fastText's .bin (Bojanowski et al. 2017, "Enriching Word Vectors with Subword Information"): settings, dictionary, and one
 * matrix with a row for each word and, after those, for each bucket that n-grams are hashed into. Little-endian. */
#include "vectors/vectors.h"

enum { OLDEST = 11, NEWEST = 12, SUPERVISED = 3, LONGEST_NGRAM = 64 };

typedef struct cursor {
    const char *p, *end;
    bool bad; /* sticky: the file ends too early */
} cursor;

static void take(cursor *c, void *out, size_t n)
{
    if ((size_t)(c->end - c->p) < n) {
        c->bad = true;
        memset(out, 0, n);
        return;
    }
    memcpy(out, c->p, n);
    c->p += n;
}

static int32_t take_i32(cursor *c)
{
    int32_t x;
    take(c, &x, sizeof x);
    return x;
}

static int64_t take_i64(cursor *c)
{
    int64_t x;
    take(c, &x, sizeof x);
    return x;
}

static bool take_flag(cursor *c)
{
    char x;
    take(c, &x, 1);
    return x != 0;
}

typedef struct settings {
    int32_t version, width, bucket, shortest, longest;
} settings;

static sc_status read_settings(const sc_vectors *v, cursor *c, settings *o)
{
    int32_t field[12];
    char sampling[8];
    take_i32(c); /* the magic number */
    o->version = take_i32(c);
    /* dim, ws, epoch, minCount, neg, wordNgrams, loss, model, bucket, minn, maxn, lrUpdateRate; t */
    for (int i = 0; i < SC_COUNT(field); i++) field[i] = take_i32(c);
    take(c, sampling, sizeof sampling);
    o->width = field[0];
    o->bucket = field[8];
    o->shortest = field[9];
    o->longest = o->version == OLDEST && field[7] == SUPERVISED ? 0 : field[10];
    if (o->version < OLDEST || o->version > NEWEST)
        return sc_fail(SC_EUNSUPPORTED, "%s: fastText's version %d", v->name, o->version);
    if (c->bad || o->bucket < 0 || o->shortest < 0 || o->longest < 0 || o->longest > LONGEST_NGRAM ||
        (o->longest > 0 && !o->bucket))
        return sc_fail(SC_EFORMAT, "%s: %d buckets for n-grams of %d to %d characters", v->name, o->bucket,
                       o->shortest, o->longest);
    return SC_OK;
}

/* Words come first, then labels. */
static sc_status read_dictionary(sc_vectors *v, cursor *c, const settings *o, int64_t limit)
{
    int32_t size = take_i32(c), words = take_i32(c), labels = take_i32(c);
    take_i64(c); /* tokens of the training text */
    int64_t pruned = take_i64(c);
    if (c->bad || words < 1 || labels < 0 || size != (int64_t)words + labels)
        return sc_fail(SC_EFORMAT, "%s: a dictionary of %d with %d words and %d labels", v->name, size, words,
                       labels);
    if (pruned > 0) return sc_fail(SC_EUNSUPPORTED, "%s: a pruned fastText model", v->name);
    sc_status s = sc_vectors_reserve(v, words, o->width, 10, false);
    v->parts.words = words;
    for (int32_t i = 0; !s && i < size; i++) {
        const char *end = c->p < c->end ? memchr(c->p, 0, (size_t)(c->end - c->p)) : NULL, *word = c->p;
        char type = 0;
        if (!end || c->end - end < 10)
            return sc_fail(SC_EFORMAT, "%s: ends within word %d of %d", v->name, i + 1, size);
        c->p = end + 1;
        take_i64(c); /* how often it was seen */
        take(c, &type, 1);
        if ((type != 0) != (i >= words))
            return sc_fail(SC_EFORMAT, "%s: entry %d is of type %d among %d words", v->name, i + 1, type, words);
        if (i < words && i < limit) s = sc_vectors_put(v, v->n++, word, end - word);
    }
    return s;
}

sc_status sc_vectors_read_fasttext(sc_vectors *v, int64_t limit)
{
    cursor c = {v->p, v->p + v->size, false};
    settings o;
    int64_t rows, width, bytes;
    sc_status s = read_settings(v, &c, &o);
    if (!s) s = read_dictionary(v, &c, &o, limit);
    if (s) return s;
    if (take_flag(&c)) return sc_fail(SC_EUNSUPPORTED, "%s: a quantised fastText model", v->name);
    rows = take_i64(&c);
    width = take_i64(&c);
    int64_t need = v->parts.words + (o.longest ? o.bucket : 0);
    if (c.bad || width != o.width || rows < need || !sc_mul_ok(rows, width * 4, &bytes) || bytes > c.end - c.p)
        return sc_fail(SC_EFORMAT,
                       "%s: a matrix of %lld rows of %lld where %lld of %d are needed, or the file ends in it",
                       v->name, (long long)rows, (long long)width, (long long)need, o.width);
    v->parts.rows = c.p;
    v->parts.bucket = o.bucket;
    v->parts.shortest = o.shortest;
    v->parts.longest = o.longest;
    return SC_OK;
}

static void add_row(const sc_vectors *v, int64_t row, float *out)
{
    const char *from = v->parts.rows + row * v->width * (int64_t)sizeof(float);
    for (int64_t i = 0; i < v->width; i++) {
        float x;
        memcpy(&x, from + i * (int64_t)sizeof x, sizeof x);
        out[i] += x;
    }
}

/* FNV-1a, but with bytes taken as signed: what the buckets were filled by. */
static uint32_t step(uint32_t h, char byte) { return (h ^ (uint32_t)(int8_t)byte) * 16777619u; }

static bool begins_character(char byte) { return ((unsigned char)byte & 0xC0) != 0x80; }

/* The byte at i of "<word>". */
static char at(const char *word, int64_t len, int64_t i) { return i == 0 ? '<' : i <= len ? word[i - 1] : '>'; }

/* Rows are summed in f32 one after the other, the word's own first, as fastText does. */
void sc_vectors_parts(const sc_vectors *v, const char *word, int64_t len, int64_t row, float *out, int64_t *parts)
{
    static const char end_of_text[] = "</s>";
    int64_t count = 0, all = len + 2;
    memset(out, 0, sizeof *out * (size_t)v->width);
    if (row >= 0) add_row(v, row, out), count++;
    bool whole = len == (int64_t)sizeof end_of_text - 1 && memcmp(word, end_of_text, (size_t)len) == 0;
    for (int64_t i = 0; i < all && v->parts.longest && !whole; i++) {
        uint32_t h = 2166136261u;
        if (!begins_character(at(word, len, i))) continue;
        for (int64_t j = i, n = 1; j < all && n <= v->parts.longest; n++) {
            h = step(h, at(word, len, j++));
            while (j < all && !begins_character(at(word, len, j))) h = step(h, at(word, len, j++));
            if (n < v->parts.shortest || (n == 1 && (i == 0 || j == all))) continue;
            add_row(v, v->parts.words + h % (uint64_t)v->parts.bucket, out);
            count++;
        }
    }
    float share = (float)(1.0 / (double)SC_MAX(count, 1));
    for (int64_t i = 0; i < v->width; i++) out[i] *= share;
    *parts = count;
}
