/* SPDX-License-Identifier: Apache-2.0 */
/* Asking and testing a classifier. */
#include "vectors/fasttext.h"

#include <math.h>
#include <stdlib.h>

/* ---- opening ---- */

sc_status sc_classifier_open_buffer(sc_classifier **out, sc_buffer *bytes, const char *name)
{
    sc_classifier *c = sc_calloc(1, sizeof *c);
    if (!c) return sc_nomem();
    sc_status s = sc_ft_read(&c->m, bytes, name);
    if (!s && c->m.set.model != SC_FT_SUPERVISED)
        s = sc_fail(SC_EUNSUPPORTED, "%s: word vectors, no classifier", name);
    if (s)
        sc_classifier_free(c);
    else
        *out = c;
    return s;
}

sc_status sc_classifier_open(sc_classifier **out, const char *path)
{
    sc_buffer *bytes;
    sc_status s = sc_file_map(&bytes, path);
    if (s) return s;
    s = sc_classifier_open_buffer(out, bytes, path);
    sc_buffer_unref(bytes);
    return s;
}

void sc_classifier_free(sc_classifier *c)
{
    if (!c) return;
    sc_ft_model_free(&c->m);
    sc_free(c);
}

sc_status sc_classifier_save(const sc_classifier *c, const char *path) { return sc_ft_write(&c->m, path); }
int64_t sc_classifier_labels(const sc_classifier *c) { return c->m.labels; }
int64_t sc_classifier_width(const sc_classifier *c) { return c->m.set.width; }
int64_t sc_classifier_words(const sc_classifier *c) { return c->m.words; }
bool sc_classifier_quantised(const sc_classifier *c) { return !c->m.in.data; }

const char *sc_classifier_label(const sc_classifier *c, int64_t i, int64_t *len)
{
    if (i < 0 || i >= c->m.labels) return NULL;
    const sc_text *t = &c->m.dict->word[c->m.words + i];
    int64_t skip = sc_ft_is_label(t->p, t->len) ? (int64_t)sizeof SC_FT_LABEL - 1 : 0;
    *len = t->len - skip;
    return t->p + skip;
}

const char *const sc_ft_losses[4] = {"hs", "ns", "softmax", "ova"};
const char *sc_classifier_loss(const sc_classifier *c) { return sc_ft_losses[c->m.set.loss - SC_FT_HIERARCHICAL]; }

/* ---- a reader ---- */

enum { ROWS = 256, WORDS = SC_FT_MOST_WORDS };

typedef struct way {
    int32_t node;
    float probability;
} way;

struct sc_classifier_reader {
    const sc_ft_model *m;
    const sc_ft_kernels *k;
    float *hidden, *score;
    way *open; /* of the tree's search: labels + 1 */
    int32_t row[ROWS];
    int n_rows;
    int64_t count;        /* rows in hidden */
    uint32_t hash[WORDS]; /* of the last words, by their number */
    int64_t words;
};

sc_status sc_classifier_reader_new(sc_classifier_reader **out, const sc_classifier *c)
{
    sc_classifier_reader *r = sc_calloc(1, sizeof *r);
    if (!r) return sc_nomem();
    r->m = &c->m;
    r->k = sc_ft_kernels_get();
    r->hidden = sc_malloc(sizeof *r->hidden * (size_t)c->m.set.width);
    r->score = sc_malloc(sizeof *r->score * (size_t)c->m.labels);
    r->open = sc_malloc(sizeof *r->open * ((size_t)c->m.labels + 1));
    if (!r->hidden || !r->score || !r->open) {
        sc_classifier_reader_free(r);
        return sc_nomem();
    }
    *out = r;
    return SC_OK;
}

void sc_classifier_reader_free(sc_classifier_reader *r)
{
    if (!r) return;
    sc_free(r->hidden);
    sc_free(r->score);
    sc_free(r->open);
    sc_free(r);
}

/* ---- the hidden vector: the mean of a text's rows ---- */

static void flush(sc_classifier_reader *r)
{
    const sc_ft_matrix *in = &r->m->in;
    if (in->data) r->k->sum_rows(r->hidden, in->data, in->width, r->row, r->n_rows);
    for (int i = 0; !in->data && i < r->n_rows; i++) sc_ft_add_row(in, r->row[i], r->hidden);
    r->count += r->n_rows;
    r->n_rows = 0;
}

static void put_row(sc_classifier_reader *r, int64_t row)
{
    if (row < 0) return;
    r->row[r->n_rows++] = (int32_t)row;
    if (!r->m->in.data) sc_ft_prefetch(&r->m->in, row);
    if (r->n_rows == ROWS) flush(r);
}

static bool put_bucket(void *user, int32_t bucket)
{
    sc_classifier_reader *r = user;
    put_row(r, sc_ft_row(r->m, bucket));
    return true;
}

/* A word and its n-grams, and the n-grams of words that end with it. */
static void put_word(sc_classifier_reader *r, const char *p, int64_t len)
{
    const sc_ft_model *m = r->m;
    int32_t id = sc_lexicon_find(m->dict, p, len), most = m->set.word_ngrams;
    if (id >= m->words || (id < 0 && sc_ft_is_label(p, len))) return;
    put_row(r, id);
    if (!sc_ft_is_end(p, len)) sc_ft_ngrams(&m->set, p, len, put_bucket, r);
    if (most < 2 || !m->set.bucket) return;
    r->hash[r->words++ % WORDS] = sc_ft_hash(p, len);
    for (int64_t n = 2; n <= SC_MIN(most, r->words); n++) {
        uint64_t h = (uint64_t)(int64_t)(int32_t)r->hash[(r->words - n) % WORDS];
        for (int64_t j = r->words - n + 1; j < r->words; j++) h = sc_ft_join(h, r->hash[j % WORDS]);
        put_row(r, sc_ft_row(m, (int32_t)(h % (uint64_t)m->set.bucket)));
    }
}

/* false: nothing of the text is known. */
static bool hide(sc_classifier_reader *r, const char *text, int64_t len)
{
    const char *p = text, *end = text + len, *word;
    int64_t n, width = r->m->set.width;
    r->n_rows = 0;
    r->count = r->words = 0;
    memset(r->hidden, 0, sizeof *r->hidden * (size_t)width);
    while ((word = sc_word_next(&p, end, &n)))
        if (n) put_word(r, word, n);
    put_word(r, SC_LINE_END, sizeof SC_LINE_END - 1);
    flush(r);
    float share = (float)(1.0 / (double)SC_MAX(r->count, 1));
    for (int64_t i = 0; i < width; i++) r->hidden[i] *= share;
    return r->count > 0;
}

/* ---- labels ---- */

/* fastText takes the probabilities of independent labels from 513 values, so that they are the same here. */
static float from_table(float x)
{
    if (x < -8) return 0;
    if (x > 8) return 1;
    int place = (int)((x + 8) * 512 / 8 / 2);
    return (float)(1.0 / (1.0 + exp(-((double)(place * 16) / 512 - 8))));
}

/* The likeliest so far, best first. */
typedef struct best {
    sc_class *out;
    int64_t n, k;
    float threshold;
} best;

static float bar(const best *b)
{
    return b->n == b->k ? SC_MAX(b->out[b->n - 1].probability, b->threshold) : b->threshold;
}

static void offer(best *b, int32_t label, float probability)
{
    if (!(probability >= b->threshold) || (b->n == b->k && probability <= b->out[b->n - 1].probability)) return;
    int64_t i = b->n == b->k ? b->n - 1 : b->n++;
    for (; i > 0 && b->out[i - 1].probability < probability; i--) b->out[i] = b->out[i - 1];
    b->out[i] = (sc_class){label, probability};
}

static void products(sc_classifier_reader *r)
{
    const sc_ft_matrix *out = &r->m->out;
    if (out->data) r->k->products(r->score, out->data, out->width, r->m->labels, r->hidden);
    for (int32_t i = 0; !out->data && i < r->m->labels; i++) r->score[i] = sc_ft_dot(out, i, r->hidden);
}

static void softmax(sc_classifier_reader *r)
{
    float most = -INFINITY, sum = 0;
    int32_t n = r->m->labels;
    for (int32_t i = 0; i < n; i++) most = SC_MAX(most, r->score[i]);
    for (int32_t i = 0; i < n; i++) sum += r->score[i] = expf(r->score[i] - most);
    for (int32_t i = 0; i < n; i++) r->score[i] /= sum;
}

/* Down the tree, likelier ways first, leaving out those that cannot lead to a better label any more. */
static void descend(sc_classifier_reader *r, best *b)
{
    int64_t n = 0;
    r->open[n++] = (way){r->m->labels - 2, 1};
    while (n) {
        way w = r->open[--n];
        if (w.probability < bar(b)) continue;
        if (w.node < 0) {
            offer(b, -1 - w.node, w.probability);
            continue;
        }
        float f = 1 / (1 + expf(-sc_ft_dot(&r->m->out, w.node, r->hidden)));
        const int32_t *child = r->m->child + 2 * (int64_t)w.node;
        int likelier = f > 0.5f;
        for (int k = 0; k < 2; k++) {
            int side = k ? likelier : !likelier;
            r->open[n++] = (way){child[side], w.probability * (side ? f : 1 - f)};
        }
    }
}

sc_status sc_classifier_predict(sc_classifier_reader *r, const char *text, int64_t len, int64_t k, float threshold,
                                sc_class *out, int64_t *found)
{
    best b = {.out = out, .k = k, .threshold = threshold};
    if (k < 1 || len < 0)
        return sc_fail(SC_EINVAL, "%lld labels of a text of %lld bytes", (long long)k, (long long)len);
    *found = 0;
    if (!hide(r, text, len)) return SC_OK;
    if (r->m->set.loss == SC_FT_HIERARCHICAL) {
        descend(r, &b);
    } else {
        products(r);
        if (r->m->set.loss == SC_FT_SOFTMAX) softmax(r);
        for (int32_t i = 0; i < r->m->labels; i++)
            offer(&b, i, r->m->set.loss == SC_FT_SOFTMAX ? r->score[i] : from_table(r->score[i]));
    }
    *found = b.n;
    return SC_OK;
}

/* ---- a word's vector ---- */

typedef struct summing {
    const sc_ft_model *m;
    float *out;
    int64_t n;
} summing;

static bool add_bucket(void *user, int32_t bucket)
{
    summing *s = user;
    int64_t row = sc_ft_row(s->m, bucket);
    if (row >= 0) sc_ft_add_row(&s->m->in, row, s->out), s->n++;
    return true;
}

/* Rows are summed in f32 one after the other, the word's own first, as fastText does. */
void sc_ft_word_vector(const sc_ft_model *m, const char *word, int64_t len, float *out, int64_t *parts)
{
    summing s = {m, out, 0};
    int32_t id = sc_lexicon_find(m->dict, word, len);
    memset(out, 0, sizeof *out * (size_t)m->set.width);
    if (id >= 0 && id < m->words) sc_ft_add_row(&m->in, id, out), s.n++;
    if (!sc_ft_is_end(word, len)) sc_ft_ngrams(&m->set, word, len, add_bucket, &s);
    float share = (float)(1.0 / (double)SC_MAX(s.n, 1));
    for (int64_t i = 0; i < m->set.width; i++) out[i] *= share;
    *parts = s.n;
}
