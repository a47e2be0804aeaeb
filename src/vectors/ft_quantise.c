/* SPDX-License-Identifier: Apache-2.0 */
/* Product quantisation (Jégou et al. 2011; Joulin et al. 2016, "FastText.zip"): rows are cut into parts, and each part is replaced
 * by the number of the nearest of 256 centroids. Before that, words and n-grams with short vectors may be left out. */
#include "vectors/fasttext.h"

#include <math.h>
#include <stdlib.h>

enum { CHOICES = 256, POINTS = 64 * CHOICES, ROUNDS = 25 };

sc_classifier_quantise_options sc_classifier_quantise_defaults(void)
{
    return (sc_classifier_quantise_options){.sub = 2, .epochs = 5, .rate = 0.1, .seed = 1};
}

/* ---- clusters (Lloyd 1982) ---- */

static int nearest(const float *point, const float *centroid, int64_t width, float *distance)
{
    int best = 0;
    *distance = INFINITY;
    for (int k = 0; k < CHOICES; k++) {
        float d = 0;
        for (int64_t i = 0; i < width; i++) {
            float x = point[i] - centroid[k * width + i];
            d += x * x;
        }
        if (d < *distance) *distance = d, best = k;
    }
    return best;
}

/* A cluster without points takes half of a large one: both go a little apart from its centre. */
static void split_empty(float *centroid, int64_t *size, int64_t width, uint64_t *draw)
{
    for (int k = 0; k < CHOICES; k++) {
        if (size[k]) continue;
        int large = 0;
        for (int j = 1; j < CHOICES; j++)
            if (size[j] > size[large]) large = j;
        for (int64_t i = 0; i < width; i++) {
            float apart = (sc_draw(draw) & 1 ? 1e-4f : -1e-4f) * (fabsf(centroid[large * width + i]) + 1e-6f);
            centroid[k * width + i] = centroid[large * width + i] + apart;
            centroid[large * width + i] -= apart;
        }
        size[k] = size[large] / 2;
        size[large] -= size[k];
    }
}

/* 256 centroids (256, width) of n >= 256 points (n, width), which begin at as many of them. */
static bool cluster(float *centroid, const float *point, int64_t n, int64_t width, uint64_t *draw)
{
    int64_t *order = sc_malloc(sizeof *order * (size_t)n), size[CHOICES];
    double *sum = sc_malloc(sizeof *sum * (size_t)(CHOICES * width));
    bool ok = order && sum;
    for (int64_t i = 0; ok && i < n; i++) order[i] = i;
    for (int64_t i = 0; ok && i < CHOICES; i++) {
        int64_t j = i + (int64_t)(sc_draw(draw) % (uint64_t)(n - i)), was = order[i];
        order[i] = order[j];
        order[j] = was;
        memcpy(centroid + i * width, point + order[i] * width, sizeof *centroid * (size_t)width);
    }
    for (int round = 0; ok && round < ROUNDS; round++) {
        memset(sum, 0, sizeof *sum * (size_t)(CHOICES * width));
        memset(size, 0, sizeof size);
        for (int64_t i = 0; i < n; i++) {
            float distance;
            int k = nearest(point + i * width, centroid, width, &distance);
            size[k]++;
            for (int64_t d = 0; d < width; d++) sum[k * width + d] += (double)point[i * width + d];
        }
        for (int64_t i = 0; i < CHOICES * width; i++)
            if (size[i / width]) centroid[i] = (float)(sum[i] / (double)size[i / width]);
        split_empty(centroid, size, width, draw);
    }
    sc_free(order);
    sc_free(sum);
    return ok;
}

/* ---- a matrix ---- */

/* Column part s of some rows, those that clusters are made of and then all, is quantised on a thread of its own. */
typedef struct quantising {
    const float *data; /* (rows, width) */
    int64_t rows, width, sub, subs;
    uint64_t seed;
    float *centroids;
    uint8_t *codes;
    sc_context *ctx;
    atomic_int_fast64_t next;
    atomic_bool oom;
} quantising;

static int64_t part_width(const quantising *q, int64_t s) { return SC_MIN(q->sub, q->width - s * q->sub); }

static bool quantise_part(quantising *q, int64_t s, float *point)
{
    int64_t n = SC_MIN(q->rows, POINTS), width = part_width(q, s);
    uint64_t draw = sc_draw_state(q->seed, 3, (uint64_t)s);
    float *centroid = q->centroids + s * CHOICES * q->sub, distance;
    /* n of the rows, each as likely as any other, in their order (Knuth, algorithm S). */
    for (int64_t i = 0, got = 0; got < n; i++)
        if (n == q->rows || (int64_t)(sc_draw(&draw) % (uint64_t)(q->rows - i)) < n - got)
            memcpy(point + got++ * width, q->data + i * q->width + s * q->sub, sizeof *point * (size_t)width);
    if (!cluster(centroid, point, n, width, &draw)) return false;
    for (int64_t i = 0; i < q->rows; i++)
        q->codes[i * q->subs + s] =
            (uint8_t)nearest(q->data + i * q->width + s * q->sub, centroid, width, &distance);
    return true;
}

static void quantise_parts(void *arg, int member)
{
    quantising *q = arg;
    float *point = sc_malloc(sizeof *point * (size_t)(SC_MIN(q->rows, POINTS) * q->sub));
    for (int64_t s; (s = atomic_fetch_add(&q->next, 1)) < q->subs && !sc_context_cancelled(q->ctx);) {
        if (!point || !quantise_part(q, s, point)) atomic_store(&q->oom, true);
        if (member == 0) sc_progress(q->ctx, "quantising", s, q->subs);
    }
    sc_free(point);
}

static sc_status codes_of(sc_context *ctx, float **centroids, uint8_t **codes, const float *data, int64_t rows,
                          int64_t width, int64_t sub, uint64_t seed)
{
    quantising q = {.data = data,
                    .rows = rows,
                    .width = width,
                    .sub = sub,
                    .subs = (width + sub - 1) / sub,
                    .seed = seed,
                    .ctx = ctx};
    q.centroids = sc_malloc(sizeof *q.centroids * (size_t)(q.subs * CHOICES * sub));
    q.codes = sc_malloc((size_t)(rows * q.subs));
    *centroids = q.centroids;
    *codes = q.codes;
    if (!q.centroids || !q.codes) return sc_nomem();
    sc_pool_run(ctx->pool, quantise_parts, &q);
    if (sc_context_cancelled(ctx)) return sc_fail(SC_ECANCELLED, "stopped on request");
    return atomic_load(&q.oom) ? sc_nomem() : SC_OK;
}

/* Divides rows by their lengths, which go into length (rows). */
static void normalise(float *data, float *length, int64_t rows, int64_t width)
{
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t i = 0; i < width; i++) sum += (double)data[r * width + i] * (double)data[r * width + i];
        length[r] = (float)sqrt(sum);
        for (int64_t i = 0; i < width && length[r] > 0; i++) data[r * width + i] /= length[r];
    }
}

/* `data` (rows, width) is changed where `norms`. */
static sc_status quantise(sc_ft_matrix *m, sc_context *ctx, float *data, int64_t rows, int64_t width, int64_t sub,
                          bool norms, uint64_t seed)
{
    int64_t subs = (width + sub - 1) / sub;
    if (rows < CHOICES)
        return sc_fail(SC_EINVAL, "%lld rows are too few to be quantised: it takes %d", (long long)rows, CHOICES);
    if (rows > INT32_MAX / subs)
        return sc_fail(SC_ELIMIT, "%lld rows are too many for this format", (long long)rows);
    float *centroids = NULL, *length = NULL, *choices = NULL;
    uint8_t *codes = NULL, *length_codes = NULL;
    sc_status s = SC_OK;
    if (norms && !(length = sc_malloc(sizeof *length * (size_t)rows))) s = sc_nomem();
    if (!s && norms) {
        normalise(data, length, rows, width);
        s = codes_of(ctx, &choices, &length_codes, length, rows, 1, 1, seed + 1);
    }
    if (!s) s = codes_of(ctx, &centroids, &codes, data, rows, width, sub, seed);
    sc_free(length);
    *m = (sc_ft_matrix){.rows = rows,
                        .width = width,
                        .sub = (int32_t)sub,
                        .subs = (int32_t)subs,
                        .last = (int32_t)(width - (subs - 1) * sub),
                        .codes = codes,
                        .centroids = centroids,
                        .norms = length_codes,
                        .norm_choices = choices,
                        .own = {codes, centroids, length_codes, choices}};
    return s;
}

/* ---- pruning ---- */

typedef struct ranked {
    int64_t row;
    double length;
    bool first; /* the line's end stays in any case */
} ranked;

static int by_length(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->first != y->first) return y->first - x->first;
    if (x->length != y->length) return x->length < y->length ? 1 : -1;
    return x->row < y->row ? -1 : x->row > y->row;
}

static int by_row(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    return x->row < y->row ? -1 : x->row > y->row;
}

/* The `cutoff` rows with the longest vectors, in their order. *out: owned. */
static sc_status longest_rows(ranked **out, const sc_ft_model *m, int64_t cutoff)
{
    int64_t rows = m->in.rows, width = m->in.width;
    int32_t end = sc_lexicon_find(m->dict, SC_LINE_END, sizeof SC_LINE_END - 1);
    ranked *r = sc_malloc(sizeof *r * (size_t)rows);
    if (!r) return sc_nomem();
    for (int64_t i = 0; i < rows; i++) {
        double sum = 0;
        for (int64_t k = 0; k < width; k++) {
            double x = (double)m->in.data[i * width + k];
            sum += x * x;
        }
        r[i] = (ranked){i, sum, i == end};
    }
    qsort(r, (size_t)rows, sizeof *r, by_length);
    qsort(r, (size_t)cutoff, sizeof *r, by_row);
    *out = r;
    return SC_OK;
}

/* The model with these rows of `from` alone. */
static sc_status pruned(sc_ft_model *m, const sc_ft_model *from, const ranked *kept, int64_t n)
{
    int64_t words = 0, ngrams, width = from->in.width;
    float *in;
    while (words < n && kept[words].row < from->words) words++;
    ngrams = n - words;
    sc_text *word = sc_malloc(sizeof *word * (size_t)(words + from->labels));
    int64_t *count = sc_malloc(sizeof *count * (size_t)(words + from->labels));
    sc_status s = word && count ? sc_ft_matrix_new(&m->in, &in, n, width) : sc_nomem();
    for (int64_t i = 0; !s && i < words + from->labels; i++) {
        int64_t was = i < words ? kept[i].row : from->words + i - words;
        word[i] = from->dict->word[was];
        count[i] = from->dict->count[was];
    }
    for (int64_t i = 0; !s && i < n; i++)
        for (int64_t k = 0; k < width; k++) in[i * width + k] = from->in.data[kept[i].row * width + k];
    if (!s) s = sc_lexicon_make(&m->dict, word, count, words + from->labels, from->labels);
    if (!s) s = sc_ft_pruned_new(&m->pruned, ngrams);
    for (int64_t i = 0; !s && i < ngrams; i++)
        sc_ft_pruned_put(&m->pruned, (int32_t)(kept[words + i].row - from->words), (int32_t)i);
    if (!s) m->dict->tokens = from->dict->tokens;
    m->words = (int32_t)words;
    sc_free(word);
    sc_free(count);
    return s;
}

static sc_status copy_dense(sc_ft_matrix *to, const sc_ft_matrix *from)
{
    float *data;
    sc_status s = sc_ft_matrix_new(to, &data, from->rows, from->width);
    if (!s) memcpy(data, from->data, sizeof *data * (size_t)(from->rows * from->width));
    return s;
}

static sc_status copy_words(sc_ft_model *m, const sc_ft_model *from)
{
    m->words = from->words;
    sc_status s = sc_lexicon_make(&m->dict, from->dict->word, from->dict->count, from->dict->n, from->labels);
    if (!s) m->dict->tokens = from->dict->tokens;
    return s ? s : copy_dense(&m->in, &from->in);
}

static sc_status copy(sc_ft_model *m, const sc_ft_model *from, int64_t cutoff)
{
    ranked *kept = NULL;
    *m = (sc_ft_model){.set = from->set, .labels = from->labels, .pruned.n = -1};
    sc_status s = SC_OK;
    if (cutoff > 0 && cutoff < from->in.rows) {
        s = longest_rows(&kept, from, cutoff);
        if (!s) s = pruned(m, from, kept, cutoff);
        sc_free(kept);
    } else {
        s = copy_words(m, from);
    }
    if (!s) s = copy_dense(&m->out, &from->out);
    return !s && m->set.loss == SC_FT_HIERARCHICAL ? sc_ft_children(m) : s;
}

static sc_status retrain(sc_ft_model *m, sc_context *ctx, const char *text, int64_t len,
                         const sc_classifier_quantise_options *o)
{
    sc_ft_corpus corpus = {0};
    sc_classifier_run run;
    sc_status s = sc_ft_corpus_new(&corpus, m, text, len);
    if (!s && !corpus.n_lines)
        s = sc_fail(SC_EFORMAT, "no line has both a label and a word that the classifier knows");
    if (!s)
        s = sc_ft_learn(m, ctx, &corpus,
                        &(sc_ft_plan){o->epochs, m->set.negatives, o->rate, o->seed, o->deterministic}, &run);
    sc_ft_corpus_free(&corpus);
    return s;
}

static sc_status replace(sc_ft_matrix *m, sc_context *ctx, int64_t sub, bool norms, uint64_t seed)
{
    sc_ft_matrix codes = {0};
    sc_status s = quantise(&codes, ctx, sc_ft_dense(m), m->rows, m->width, sub, norms, seed);
    sc_ft_matrix_free(s ? &codes : m);
    if (!s) *m = codes;
    return s;
}

sc_status sc_classifier_quantise(sc_classifier **out, sc_context *ctx, const sc_classifier *c, const char *text,
                                 int64_t len, const sc_classifier_quantise_options *options)
{
    sc_classifier_quantise_options o = options ? *options : sc_classifier_quantise_defaults();
    if (!c->m.in.data) return sc_fail(SC_EINVAL, "the classifier is quantised already");
    if (o.sub < 1 || o.sub > 64 || o.cutoff < 0 || o.epochs < 1 || !(o.rate > 0))
        return sc_fail(SC_EINVAL, "%lld numbers a code, a cutoff of %lld, %lld passes at a rate of %g",
                       (long long)o.sub, (long long)o.cutoff, (long long)o.epochs, o.rate);
    if (o.retrain && !text) return sc_fail(SC_EINVAL, "there are no lines to train on again");
    sc_classifier *q = sc_calloc(1, sizeof *q);
    if (!q) return sc_nomem();
    sc_status s = copy(&q->m, &c->m, o.cutoff);
    if (!s && o.retrain) s = retrain(&q->m, ctx, text, len, &o);
    if (!s) s = replace(&q->m.in, ctx, SC_MIN(o.sub, q->m.in.width), o.norms, o.seed);
    if (!s && o.output) s = replace(&q->m.out, ctx, SC_MIN(2, q->m.out.width), o.norms, o.seed);
    if (s)
        sc_classifier_free(q);
    else
        *out = q;
    return s;
}
