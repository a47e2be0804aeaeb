/* SPDX-License-Identifier: Apache-2.0 */
/* fastText's .bin and .ftz. */
#include "vectors/fasttext.h"

enum { OLDEST = 11, NEWEST = 12, MAX_WIDTH = 1 << 16, CHOICES = 256 };

typedef struct cursor {
    const char *p, *end, *name;
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

/* n elements of `size` bytes where they lie; NULL: the file ends before. */
static const void *take_block(cursor *c, int64_t n, int64_t size)
{
    int64_t bytes;
    const char *p = c->p;
    if (c->bad || n < 0 || !sc_mul_ok(n, size, &bytes) || bytes > c->end - c->p) {
        c->bad = true;
        return NULL;
    }
    c->p += bytes;
    return p;
}

static sc_status read_settings(sc_ft_settings *o, cursor *c)
{
    int32_t magic = take_i32(c), version = take_i32(c);
    if (magic != SC_FT_MAGIC) return sc_fail(SC_EFORMAT, "%s: no fastText model", c->name);
    if (version < OLDEST || version > NEWEST)
        return sc_fail(SC_EUNSUPPORTED, "%s: fastText's version %d", c->name, version);
    int32_t *field[] = {&o->width, &o->window, &o->epochs, &o->min_count, &o->negatives, &o->word_ngrams,
                        &o->loss,  &o->model,  &o->bucket, &o->shortest,  &o->longest,   &o->rate_update};
    for (int i = 0; i < SC_COUNT(field); i++) *field[i] = take_i32(c);
    take(c, &o->sample, sizeof o->sample);
    if (version == OLDEST && o->model == SC_FT_SUPERVISED) o->longest = 0;
    if (c->bad || o->bucket < 0 || o->shortest < 0 || o->longest < 0 || o->longest > SC_FT_LONGEST ||
        (o->longest > 0 && !o->bucket))
        return sc_fail(SC_EFORMAT, "%s: %d buckets for n-grams of %d to %d characters", c->name, o->bucket,
                       o->shortest, o->longest);
    if (o->width < 1 || o->width > MAX_WIDTH || o->model < SC_FT_CBOW || o->model > SC_FT_SUPERVISED ||
        o->loss < SC_FT_HIERARCHICAL || o->loss > SC_FT_ONE_VS_ALL || o->word_ngrams > SC_FT_MOST_WORDS)
        return sc_fail(SC_EFORMAT, "%s: model %d with loss %d, vectors of %d numbers and n-grams of %d words",
                       c->name, o->model, o->loss, o->width, o->word_ngrams);
    return SC_OK;
}

static sc_status read_words(sc_text *word, int64_t *count, cursor *c, int32_t n, int32_t words)
{
    for (int32_t i = 0; i < n; i++) {
        const char *p = c->p, *end = p < c->end ? memchr(p, 0, (size_t)(c->end - p)) : NULL;
        char type = 0;
        if (!end || c->end - end < 10)
            return sc_fail(SC_EFORMAT, "%s: ends within word %d of %d", c->name, i + 1, n);
        c->p = end + 1;
        word[i] = (sc_text){p, end - p};
        count[i] = take_i64(c);
        take(c, &type, 1);
        if ((type != 0) != (i >= words))
            return sc_fail(SC_EFORMAT, "%s: entry %d is of type %d among %d words", c->name, i + 1, type, words);
    }
    return SC_OK;
}

static sc_status read_kept(sc_ft_pruned *k, cursor *c, int64_t n, int32_t buckets)
{
    if (n > (c->end - c->p) / 8)
        return sc_fail(SC_EFORMAT, "%s: ends within %lld pruned n-grams", c->name, (long long)n);
    sc_status s = sc_ft_pruned_new(k, n);
    for (int64_t i = 0; i < n && !s; i++) {
        int32_t bucket = take_i32(c), row = take_i32(c);
        if (bucket < 0 || bucket >= buckets || row < 0 || row >= n || !sc_ft_pruned_put(k, bucket, row))
            s = sc_fail(SC_EFORMAT, "%s: pruned n-gram %lld: row %d for bucket %d", c->name, (long long)i + 1, row,
                        bucket);
    }
    return s;
}

static sc_status read_dictionary(sc_ft_model *m, cursor *c)
{
    int32_t size = take_i32(c);
    m->words = take_i32(c);
    m->labels = take_i32(c);
    int64_t tokens = take_i64(c), kept = take_i64(c);
    bool supervised = m->set.model == SC_FT_SUPERVISED;
    if (c->bad || m->words < 0 || m->labels < 0 || size != (int64_t)m->words + m->labels ||
        (supervised ? m->labels : m->words) < 1 || (int64_t)m->words + m->set.bucket > INT32_MAX)
        return sc_fail(SC_EFORMAT, "%s: a dictionary of %d with %d words and %d labels", c->name, size, m->words,
                       m->labels);
    if (size > (c->end - c->p) / 10) return sc_fail(SC_EFORMAT, "%s: too short for %d words", c->name, size);
    sc_text *word = sc_malloc(sizeof *word * (size_t)size);
    int64_t *count = sc_malloc(sizeof *count * (size_t)size);
    sc_status s = word && count ? read_words(word, count, c, size, m->words) : sc_nomem();
    if (!s) s = sc_lexicon_make(&m->dict, word, count, size, m->labels);
    if (!s) m->dict->tokens = tokens;
    sc_free(word);
    sc_free(count);
    return !s && kept >= 0 ? read_kept(&m->pruned, c, kept, m->set.bucket) : s;
}

/* The centroids of a quantiser of rows of `width`; its parts into *sub, *subs and *last. */
static const sc_ft_float *read_quantiser(cursor *c, int64_t width, int32_t *sub, int32_t *subs, int32_t *last)
{
    int32_t dim = take_i32(c);
    *subs = take_i32(c);
    *sub = take_i32(c);
    *last = take_i32(c);
    if (dim != width || *subs < 1 || *sub < 1 || *last < 1 || *last > *sub ||
        ((int64_t)*subs - 1) * *sub + *last != width) {
        c->bad = true;
        return NULL;
    }
    return take_block(c, width * CHOICES, sizeof(float));
}

static void read_codes(sc_ft_matrix *m, cursor *c)
{
    bool norms = take_flag(c);
    int32_t one[3];
    m->rows = take_i64(c);
    m->width = take_i64(c);
    int32_t bytes = take_i32(c);
    m->codes = take_block(c, bytes, 1);
    m->centroids = read_quantiser(c, m->width, &m->sub, &m->subs, &m->last);
    if (norms) m->norms = take_block(c, m->rows, 1);
    if (norms) m->norm_choices = read_quantiser(c, 1, &one[0], &one[1], &one[2]);
    int64_t need;
    if (!sc_mul_ok(m->rows, m->subs, &need) || need != bytes) c->bad = true;
}

static sc_status read_matrix(sc_ft_matrix *m, cursor *c, bool quantised, int64_t rows, int64_t width,
                             const char *what)
{
    if (quantised) {
        read_codes(m, c);
    } else {
        m->rows = take_i64(c);
        m->width = take_i64(c);
        int64_t all = 0;
        if (m->rows < 0 || !sc_mul_ok(m->rows, m->width, &all)) c->bad = true;
        m->stride = m->width;
        m->data = take_block(c, all, sizeof(float));
    }
    if (c->bad || m->width != width || m->rows < rows)
        return sc_fail(
            SC_EFORMAT,
            "%s: the %s matrix has %lld rows of %lld where %lld of %lld are needed, or the file ends in it",
            c->name, what, (long long)m->rows, (long long)m->width, (long long)rows, (long long)width);
    return SC_OK;
}

static sc_status read_model(sc_ft_model *m, cursor *c)
{
    sc_status s = read_settings(&m->set, c);
    if (!s) s = read_dictionary(m, c);
    if (s) return s;
    bool supervised = m->set.model == SC_FT_SUPERVISED;
    bool ngrams = m->set.longest > 0 || (supervised && m->set.word_ngrams > 1);
    int64_t buckets = !ngrams ? 0 : m->pruned.n >= 0 ? m->pruned.n : m->set.bucket;
    bool quantised = take_flag(c);
    if (!quantised && m->pruned.n >= 0) return sc_fail(SC_EFORMAT, "%s: pruned, but not quantised", c->name);
    s = read_matrix(&m->in, c, quantised, m->words + buckets, m->set.width, "input");
    if (s || !supervised) return s; /* what predicts words is of no use any more */
    bool both = take_flag(c);
    s = read_matrix(&m->out, c, quantised && both, m->labels, m->set.width, "output");
    return !s && m->set.loss == SC_FT_HIERARCHICAL ? sc_ft_children(m) : s;
}

sc_status sc_ft_read(sc_ft_model *m, sc_buffer *bytes, const char *name)
{
    const char *p = bytes->data;
    cursor c = {p, p + bytes->size, name, false};
    *m = (sc_ft_model){.pruned.n = -1, .file = sc_buffer_ref(bytes)};
    sc_status s = read_model(m, &c);
    if (s) sc_ft_model_free(m);
    return s;
}

sc_status sc_ft_children(sc_ft_model *m)
{
    const int64_t *count = m->dict->count + m->words;
    sc_huffman tree = {0};
    int64_t sum = 0;
    /* In order, a leaf is at most 90 nodes below the root. */
    for (int32_t i = 0; i < m->labels; i++)
        if (count[i] < 1 || (i && count[i] > count[i - 1]) || !sc_add_ok(sum, count[i], &sum))
            return sc_fail(SC_EFORMAT, "label %d was seen %lld times: labels must stand in order of that", i + 1,
                           (long long)count[i]);
    sc_status s = sc_huffman_make(&tree, count, m->labels);
    if (s) return s;
    if (!(m->child = sc_calloc((size_t)m->labels, 2 * sizeof *m->child))) s = sc_nomem();
    for (int32_t i = 0; i < m->labels && !s; i++) {
        int32_t below = -1 - i;
        for (int64_t k = tree.at[i]; k < tree.at[i + 1]; k++) {
            m->child[2 * tree.node[k] + tree.bit[k]] = below;
            below = tree.node[k];
        }
    }
    sc_huffman_free(&tree);
    return s;
}

void sc_ft_model_free(sc_ft_model *m)
{
    sc_lexicon_free(m->dict);
    sc_ft_pruned_free(&m->pruned);
    sc_ft_matrix_free(&m->in);
    sc_ft_matrix_free(&m->out);
    sc_free(m->child);
    sc_buffer_unref(m->file);
    *m = (sc_ft_model){.pruned.n = -1};
}
