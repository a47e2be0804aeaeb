/* SPDX-License-Identifier: Apache-2.0 */
/* Making a classifier of labelled lines, and testing it on others. */
#include "vectors/fasttext.h"

#include <stdlib.h>

sc_classifier_options sc_classifier_defaults(void)
{
    return (sc_classifier_options){.loss = "softmax",
                                   .width = 100,
                                   .epochs = 5,
                                   .rate = 0.1,
                                   .min_count = 1,
                                   .word_ngrams = 1,
                                   .bucket = 2000000,
                                   .negatives = 5,
                                   .seed = 1};
}

/* ---- options ---- */

static sc_status within(const char *name, int64_t x, int64_t lo, int64_t hi)
{
    if (x >= lo && x <= hi) return SC_OK;
    return sc_fail(SC_EINVAL, "%s is %lld, which is not within %lld and %lld", name, (long long)x, (long long)lo,
                   (long long)hi);
}

static sc_status settings(sc_ft_settings *set, const sc_classifier_options *o)
{
    const struct {
        const char *name;
        int64_t value, lo, hi;
    } range[] = {{"width", o->width, 1, SC_VECTORS_MOST_WIDTH},
                 {"epochs", o->epochs, 1, 1000000},
                 {"min_count", o->min_count, 0, INT32_MAX},
                 {"min_label", o->min_label, 0, INT32_MAX},
                 {"word_ngrams", o->word_ngrams, 1, SC_FT_MOST_WORDS},
                 {"shortest", o->shortest, 0, SC_FT_LONGEST},
                 {"longest", o->longest, o->shortest, SC_FT_LONGEST},
                 {"bucket", o->bucket, 1, 1 << 30},
                 {"negatives", o->negatives, 1, 1000}};
    int loss = 0;
    for (int i = 0; i < SC_COUNT(range); i++) {
        sc_status s = within(range[i].name, range[i].value, range[i].lo, range[i].hi);
        if (s) return s;
    }
    while (loss < 4 && strcmp(sc_ft_losses[loss], o->loss) != 0) loss++;
    if (loss == 4) return sc_fail(SC_EINVAL, "loss '%s' is none of softmax, hs, ns and ova", o->loss);
    if (!(o->rate > 0 && o->rate <= 100))
        return sc_fail(SC_EINVAL, "a rate of %g is not within 0 and 100", o->rate);
    bool ngrams = o->word_ngrams > 1 || o->longest > 0;
    *set = (sc_ft_settings){.width = (int32_t)o->width,
                            .window = 5,
                            .epochs = (int32_t)o->epochs,
                            .min_count = (int32_t)o->min_count,
                            .negatives = (int32_t)o->negatives,
                            .word_ngrams = (int32_t)o->word_ngrams,
                            .loss = loss + SC_FT_HIERARCHICAL,
                            .model = SC_FT_SUPERVISED,
                            .bucket = ngrams ? (int32_t)o->bucket : 0,
                            .shortest = (int32_t)o->shortest,
                            .longest = (int32_t)o->longest,
                            .rate_update = 100,
                            .sample = 1e-4};
    return SC_OK;
}

/* ---- words to begin with ---- */

/* Words of a file of vectors come behind those of the text, as if they had been seen once. */
static sc_status join(sc_lexicon **dict, const sc_vectors *v)
{
    sc_lexicon *d = *dict, *all;
    int64_t words = d->n - d->labels, n = 0, most = d->n + sc_vectors_count(v);
    sc_text *word = sc_malloc(sizeof *word * (size_t)most);
    int64_t *count = sc_malloc(sizeof *count * (size_t)most);
    sc_status s = word && count ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < words; i++) word[n] = d->word[i], count[n++] = d->count[i];
    for (int64_t i = 0; !s && i < sc_vectors_count(v); i++) {
        int64_t len;
        const char *p = sc_vectors_word(v, i, &len);
        if (sc_lexicon_find(d, p, len) >= 0 || sc_ft_is_label(p, len) || sc_vectors_find(v, p, len) != i) continue;
        word[n] = (sc_text){p, len}, count[n++] = 1;
    }
    for (int64_t i = words; !s && i < d->n; i++) word[n] = d->word[i], count[n++] = d->count[i];
    if (!s) s = sc_lexicon_make(&all, word, count, n, d->labels);
    if (!s) {
        all->seen = d->seen;
        sc_lexicon_free(d);
        *dict = all;
    }
    sc_free(word);
    sc_free(count);
    return s;
}

static sc_status begin_with(sc_ft_model *m, const sc_vectors *v)
{
    float *in = sc_ft_dense(&m->in);
    for (int64_t i = 0; i < sc_vectors_count(v); i++) {
        int64_t len;
        const char *p = sc_vectors_word(v, i, &len);
        int32_t id = sc_lexicon_find(m->dict, p, len);
        if (id < 0 || id >= m->words) continue;
        sc_status s = sc_vectors_get(v, p, len, in + (int64_t)id * m->set.width);
        if (s) return s;
    }
    return SC_OK;
}

/* ---- training ---- */

/* The dictionary and matrices that training begins with. */
static sc_status begin(sc_ft_model *m, sc_context *ctx, const sc_word_text *text, const sc_classifier_options *o)
{
    sc_vectors *v = NULL;
    float *out;
    sc_status s = settings(&m->set, o);
    if (!s && o->pretrained) s = sc_vectors_open(&v, o->pretrained, 0);
    if (v && sc_vectors_width(v) != o->width)
        s = sc_fail(SC_EINVAL, "%s: vectors of %lld numbers, where %lld are asked for", o->pretrained,
                    (long long)sc_vectors_width(v), (long long)o->width);
    if (!s)
        s = sc_lexicon_count(&m->dict, ctx, text,
                             &(sc_lexicon_options){.min_count = o->min_count,
                                                   .min_count_label = o->min_label,
                                                   .label = SC_FT_LABEL,
                                                   .line_ends = true});
    if (!s && !m->dict->labels)
        s = sc_fail(SC_EFORMAT, "no labels: words of the lines that begin with %s", SC_FT_LABEL);
    if (!s && v) s = join(&m->dict, v);
    if (!s && m->dict->n + m->set.bucket > INT32_MAX)
        s = sc_fail(SC_ELIMIT, "%lld words and %d buckets are too many", (long long)m->dict->n, m->set.bucket);
    if (!s) {
        m->labels = (int32_t)m->dict->labels;
        m->words = (int32_t)(m->dict->n - m->dict->labels);
        s = sc_ft_random(&m->in, ctx, (int64_t)m->words + m->set.bucket, m->set.width, 1 / (float)m->set.width,
                         o->seed);
    }
    if (!s && v) s = begin_with(m, v);
    if (!s) s = sc_ft_matrix_new(&m->out, &out, m->labels, m->set.width);
    if (!s) memset(out, 0, sizeof *out * (size_t)m->labels * (size_t)m->set.width);
    if (!s && m->set.loss == SC_FT_HIERARCHICAL) s = sc_ft_children(m);
    sc_vectors_free(v);
    return s;
}

sc_status sc_classifier_train(sc_classifier **out, sc_context *ctx, const char *text, int64_t len,
                              const sc_classifier_options *options, sc_classifier_run *run)
{
    sc_classifier_options o = options ? *options : sc_classifier_defaults();
    sc_word_text *words = NULL;
    sc_ft_corpus corpus = {0};
    sc_classifier_run unused;
    sc_classifier *c = sc_calloc(1, sizeof *c);
    if (!c) return sc_nomem();
    c->m.pruned.n = -1;
    sc_status s = sc_word_text_over(&words, text, len);
    if (!s) s = begin(&c->m, ctx, words, &o);
    if (!s) s = sc_ft_corpus_new(&corpus, &c->m, text, len);
    if (!s && !corpus.n_lines) s = sc_fail(SC_EFORMAT, "no line has both a label and a word");
    if (!s)
        s = sc_ft_learn(&c->m, ctx, &corpus, &(sc_ft_plan){o.epochs, o.negatives, o.rate, o.seed, o.deterministic},
                        run ? run : &unused);
    sc_ft_corpus_free(&corpus);
    sc_word_text_free(words);
    if (s)
        sc_classifier_free(c);
    else
        *out = c;
    return s;
}

sc_status sc_classifier_train_file(sc_classifier **out, sc_context *ctx, const char *path,
                                   const sc_classifier_options *options, sc_classifier_run *run)
{
    sc_buffer *map;
    sc_status s = sc_file_map(&map, path);
    if (s) return s;
    s = sc_classifier_train(out, ctx, map->data, map->size, options, run);
    sc_buffer_unref(map);
    return s == SC_EFORMAT ? sc_fail_in(s, "%s", path) : s;
}

/* ---- testing ---- */

typedef struct tester {
    sc_classifier_reader *reader;
    sc_class *got;
    sc_class_counts *each;
    int32_t *gold;
    int64_t cap_gold, lines;
    sc_status status;
} tester;

typedef struct testing {
    const sc_classifier *c;
    const char *text, *end;
    int64_t k;
    float threshold;
    int members;
    tester *tester;
    sc_context *ctx;
} testing;

static sc_status test_line(const testing *x, tester *t, const char *p, const char *end)
{
    const char *line = p, *word;
    int64_t len, n_gold = 0, found;
    const sc_ft_model *m = &x->c->m;
    while ((word = sc_word_next(&p, end, &len))) {
        int32_t id = len ? sc_lexicon_find(m->dict, word, len) : -1;
        if (id < m->words) continue;
        if (!sc_grow(&t->gold, &t->cap_gold, n_gold + 1, sizeof *t->gold)) return sc_nomem();
        t->gold[n_gold++] = id - m->words;
    }
    if (!n_gold) return SC_OK;
    sc_status s = sc_classifier_predict(t->reader, line, end - line, x->k, x->threshold, t->got, &found);
    if (s) return s;
    t->lines++;
    for (int64_t i = 0; i < n_gold; i++) t->each[t->gold[i]].gold++;
    for (int64_t i = 0; i < found; i++) {
        t->each[t->got[i].label].predicted++;
        for (int64_t g = 0; g < n_gold; g++)
            if (t->gold[g] == t->got[i].label) {
                t->each[t->got[i].label].correct++;
                break;
            }
    }
    return SC_OK;
}

/* Where the line that is cut at p begins: behind a line's end. */
static const char *line_from(const testing *x, int64_t member)
{
    const char *p = x->text + (x->end - x->text) * member / x->members;
    if (p == x->text || p == x->end || p[-1] == '\n') return p;
    p = memchr(p, '\n', (size_t)(x->end - p));
    return p ? p + 1 : x->end;
}

static void test_share(void *arg, int member)
{
    testing *x = arg;
    tester *t = &x->tester[member];
    const char *p = line_from(x, member), *to = line_from(x, member + 1);
    while (p < to && !t->status) {
        const char *end = memchr(p, '\n', (size_t)(to - p));
        if (!end) end = to;
        t->status = test_line(x, t, p, end);
        p = end + 1;
        if (!t->status && sc_context_cancelled(x->ctx)) t->status = SC_ECANCELLED;
    }
}

static sc_status sum_up(sc_classifier_test *sum, const testing *x)
{
    for (int i = 0; i < x->members; i++) {
        const tester *t = &x->tester[i];
        if (t->status == SC_ECANCELLED) return sc_fail(SC_ECANCELLED, "stopped on request");
        if (t->status) return sc_nomem();
        sum->lines += t->lines;
        for (int32_t k = 0; k < x->c->m.labels; k++) {
            sum->each[k].gold += t->each[k].gold;
            sum->each[k].predicted += t->each[k].predicted;
            sum->each[k].correct += t->each[k].correct;
        }
    }
    for (int32_t k = 0; k < x->c->m.labels; k++) {
        sum->all.gold += sum->each[k].gold;
        sum->all.predicted += sum->each[k].predicted;
        sum->all.correct += sum->each[k].correct;
    }
    return SC_OK;
}

sc_status sc_classifier_test_lines(sc_classifier_test *out, sc_context *ctx, const sc_classifier *c,
                                   const char *text, int64_t len, int64_t k, float threshold)
{
    if (k < 1) return sc_fail(SC_EINVAL, "%lld labels a line", (long long)k);
    testing x = {c, text, text + len, SC_MIN(k, c->m.labels), threshold, sc_context_threads(ctx), NULL, ctx};
    sc_classifier_test sum = {.each = sc_calloc((size_t)c->m.labels, sizeof *sum.each)};
    x.tester = sc_calloc((size_t)x.members, sizeof *x.tester);
    sc_status s = sum.each && x.tester ? SC_OK : sc_nomem();
    for (int i = 0; !s && i < x.members; i++) {
        tester *t = &x.tester[i];
        t->got = sc_malloc(sizeof *t->got * (size_t)x.k);
        t->each = sc_calloc((size_t)c->m.labels, sizeof *t->each);
        s = t->got && t->each ? sc_classifier_reader_new(&t->reader, c) : sc_nomem();
    }
    if (!s) {
        sc_pool_run(ctx->pool, test_share, &x);
        s = sum_up(&sum, &x);
    }
    for (int i = 0; x.tester && i < x.members; i++) {
        sc_classifier_reader_free(x.tester[i].reader);
        sc_free(x.tester[i].got);
        sc_free(x.tester[i].each);
        sc_free(x.tester[i].gold);
    }
    sc_free(x.tester);
    if (s)
        sc_free(sum.each);
    else
        *out = sum;
    return s;
}
