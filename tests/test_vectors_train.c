/* SPDX-License-Identifier: Apache-2.0 */
/* Training of word vectors: what is counted and drawn against definitions, steps against derivatives, results that do not depend on
 * threads or stops, and texts whose structure must be found. */
#include "core_help.h"
#include "vectors/cooccur.h"
#include "vectors/learn.h"

#include <sys/stat.h>

static sc_context *threads_of(int n) { return new_context(n); }

/* A text of `words` words of a vocabulary of n, of which word i is drawn with weight 1 / (i + 1); lines of 1 to 20. */
static char *some_text(int64_t words, int n, uint64_t seed, int64_t *len)
{
    sc_str s = {0};
    uint64_t r = seed;
    for (int64_t i = 0, left = 0; i < words; i++, left--) {
        double u = (double)(random_bits(&r) >> 11) * 0x1p-53;
        int word = (int)(pow((double)n, u) - 1); /* about 1 / (i + 1) */
        sc_str_printf(&s, "%sw%d", left > 0 ? " " : "", word);
        if (left <= 0) left = random_in(&r, 1, 20);
        if (left == 1) sc_str_putc(&s, '\n');
    }
    return sc_str_take(&s, len);
}

/* ---- the text and its words ---- */

static void units_are_the_text(void **state)
{
    (void)state;
    for (int lines = 0; lines < 2; lines++) {
        int64_t len;
        char *p = some_text(200000, 5000, 7, &len);
        for (int64_t i = 0; !lines && i < len; i++)
            if (p[i] == '\n') p[i] = ' ';
        sc_word_text *t;
        assert_int_equal(sc_word_text_over(&t, p, len), SC_OK);
        assert_true(t->n_units > 8);
        const char *at = p;
        for (int64_t i = 0; i < t->n_units; i++) {
            assert_ptr_equal(t->unit[i].p, at);
            at = t->unit[i].end;
            if (at < p + len) assert_true(lines ? at[-1] == '\n' : *at == ' ');
        }
        assert_ptr_equal(at, p + len);
        sc_word_text_free(t);
        sc_free(p);
    }
    sc_word_text *t;
    assert_int_equal(sc_word_text_over(&t, "", 0), SC_OK);
    assert_int_equal(t->n_units, 0);
    sc_word_text_free(t);
    assert_int_equal(sc_word_text_open(&t, (const char *const[]){"/nowhere/at/all"}, 1), SC_ENOTFOUND);
}

static void words_end_at_white_space(void **state)
{
    static const char text[] = " a\tbc\n\n d\0e\v\ff\r\n";
    static const char *const want[] = {"a", "bc", "", "", "d", "e", "f", ""};
    const char *p = text, *word;
    int64_t len;
    (void)state;
    for (int i = 0; i < SC_COUNT(want); i++) {
        assert_non_null(word = sc_word_next(&p, text + sizeof text - 1, &len));
        assert_int_equal(len, strlen(want[i]));
        assert_memory_equal(word, want[i], (size_t)len);
    }
    assert_null(sc_word_next(&p, text + sizeof text - 1, &len));
}

static void words_are_counted(void **state)
{
    static const char text[] = "b a b \xff\xfe a c\n__label__x b c d __label__y\n\n__label__x d\n";
    sc_word_text *t;
    sc_lexicon *x;
    (void)state;
    for (int threads = 1; threads <= 3; threads++) {
        sc_context *ctx = threads_of(threads);
        assert_int_equal(sc_word_text_over(&t, text, sizeof text - 1), SC_OK);
        sc_lexicon_options o = {.min_count = 2, .label = "__label__", .line_ends = true};
        assert_int_equal(sc_lexicon_count(&x, ctx, t, &o), SC_OK);
        /* </s> 4 times; b 3; a, c, d 2 in the order they are first seen; then labels. */
        static const char *const want[] = {SC_LINE_END, "b", "a", "c", "d", "__label__x", "__label__y"};
        static const int64_t count[] = {4, 3, 2, 2, 2, 2, 1};
        assert_int_equal(x->n, SC_COUNT(want));
        assert_int_equal(x->labels, 2);
        for (int i = 0; i < SC_COUNT(want); i++) {
            assert_int_equal(x->word[i].len, strlen(want[i]));
            assert_memory_equal(x->word[i].p, want[i], strlen(want[i]));
            assert_int_equal(x->count[i], count[i]);
            assert_int_equal(sc_lexicon_find(x, want[i], (int64_t)strlen(want[i])), i);
        }
        assert_int_equal(x->tokens, 16);
        assert_int_equal(x->seen, 17);
        assert_int_equal(x->skipped, 1);
        assert_int_equal(x->lines, 4);
        sc_lexicon_free(x);
        o = (sc_lexicon_options){.max_words = 2};
        assert_int_equal(sc_lexicon_count(&x, ctx, t, &o), SC_OK);
        assert_int_equal(x->n, 2);
        assert_memory_equal(x->word[0].p, "b", 1);
        sc_lexicon_free(x);
        o = (sc_lexicon_options){.min_count = 10};
        assert_int_equal(sc_lexicon_count(&x, ctx, t, &o), SC_EFORMAT);
        assert_string_equal(sc_error(), "text: of 13 words none was seen at least 10 times");
        sc_word_text_free(t);
        sc_context_free(ctx);
    }
}

/* Ids are the same whatever the number of threads, and counts what a slow count says. */
static void ids_do_not_depend_on_threads(void **state)
{
    int64_t len, counts[3000] = {0};
    char *p = some_text(60000, 3000, 3, &len);
    sc_word_text *t;
    sc_lexicon *x[3];
    (void)state;
    assert_int_equal(sc_word_text_over(&t, p, len), SC_OK);
    const char *at = p, *word;
    for (int64_t n; (word = sc_word_next(&at, p + len, &n));)
        if (n) counts[atoi(word + 1)]++;
    for (int i = 0; i < 3; i++) {
        sc_context *ctx = threads_of(1 + 2 * i);
        assert_int_equal(sc_lexicon_count(&x[i], ctx, t, &(sc_lexicon_options){.min_count = 3}), SC_OK);
        sc_context_free(ctx);
        assert_int_equal(x[i]->n, x[0]->n);
        for (int64_t w = 0; w < x[i]->n; w++) {
            assert_int_equal(x[i]->count[w], counts[atoi(x[i]->word[w].p + 1)]);
            assert_string_equal(x[i]->word[w].p, x[0]->word[w].p);
            assert_true(!w || x[i]->count[w] <= x[i]->count[w - 1]);
        }
    }
    for (int i = 0; i < 3; i++) sc_lexicon_free(x[i]);
    sc_word_text_free(t);
    sc_free(p);
}

/* ---- draws ---- */

static void drawn_shares_are_the_weights(void **state)
{
    enum { N = 57 };
    double weight[N], sum = 0, share[N] = {0};
    uint64_t r = 5;
    sc_alias a;
    (void)state;
    for (int i = 0; i < N; i++) sum += weight[i] = i % 7 == 3 ? 0 : (double)random_in(&r, 1, 1000);
    assert_int_equal(sc_alias_make(&a, weight, N), SC_OK);
    for (int i = 0; i < N; i++) {
        double own = a.slot[i].keep == UINT32_MAX ? 1 : a.slot[i].keep * 0x1p-32;
        share[i] += own / N;
        share[a.slot[i].other] += (1 - own) / N;
    }
    for (int i = 0; i < N; i++) assert_true(fabs(share[i] - weight[i] / sum) < 1e-8);
    int drawn[N] = {0};
    for (int i = 0; i < 100000; i++) drawn[sc_alias_draw(&a, &r)]++;
    for (int i = 0; i < N; i++) {
        double mean = weight[i] / sum * 1e5;
        assert_true(fabs(drawn[i] - mean) <= 5 * sqrt(mean) + 1e-9);
    }
    sc_alias_free(&a);
    weight[3] = -1;
    assert_int_equal(sc_alias_make(&a, weight, N), SC_EINVAL);
    assert_int_equal(sc_alias_make(&a, &(double){0}, 1), SC_EINVAL);
}

static void frequent_words_are_left_out(void **state)
{
    sc_text word[] = {{"a", 1}, {"b", 1}, {"c", 1}};
    int64_t count[] = {900, 90, 10};
    sc_lexicon *x;
    uint32_t *keep;
    (void)state;
    assert_int_equal(sc_lexicon_make(&x, word, count, 3, 0), SC_OK);
    assert_int_equal(sc_subsample_make(&keep, x, 0.01), SC_OK);
    for (int i = 0; i < 3; i++) {
        double share = 0.01 / ((double)count[i] / 1000), want = SC_MIN(sqrt(share) + share, 1);
        assert_true(fabs(keep[i] * 0x1p-32 - want) < 1e-6);
    }
    sc_free(keep);
    assert_int_equal(sc_subsample_make(&keep, x, 0), SC_OK);
    for (int i = 0; i < 3; i++) assert_int_equal(keep[i], UINT32_MAX);
    sc_free(keep);
    sc_lexicon_free(x);
}

static int descending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? 1 : x > y ? -1 : 0;
}

/* The cost of an optimal tree, by joining the two least over and over. */
static int64_t least_cost(const int64_t *count, int n)
{
    int64_t w[64], cost = 0;
    memcpy(w, count, (size_t)n * sizeof *w);
    for (; n > 1; n--) {
        qsort(w, (size_t)n, sizeof *w, descending);
        w[n - 2] += w[n - 1];
        cost += w[n - 2];
    }
    return cost;
}

static void trees_are_optimal(void **state)
{
    uint64_t r = 11;
    (void)state;
    for (int n = 1; n <= 40; n++) {
        int64_t count[64], cost = 0;
        double room = 0;
        sc_huffman h;
        for (int i = 0; i < n; i++) count[i] = random_in(&r, 1, n % 3 ? 1000 : 4);
        qsort(count, (size_t)n, sizeof *count, descending);
        assert_int_equal(sc_huffman_make(&h, count, n), SC_OK);
        for (int i = 0; i < n; i++) {
            int64_t length = h.at[i + 1] - h.at[i];
            cost += count[i] * length;
            room += ldexp(1, (int)-length);
            if (length) assert_int_equal(h.node[h.at[i + 1] - 1], n - 2); /* the root */
            for (int64_t k = h.at[i]; k < h.at[i + 1]; k++) assert_in_range(h.node[k], 0, n - 2);
        }
        assert_int_equal(cost, least_cost(count, n));
        assert_true(room == 1);
        sc_huffman_free(&h);
    }
    /* 3 2 1 1: the ones join first; then 2 and that node, which goes first of two equals; its sibling is the second. */
    sc_huffman h;
    assert_int_equal(sc_huffman_make(&h, (int64_t[]){3, 2, 1, 1}, 4), SC_OK);
    static const int32_t node[] = {2, 1, 2, 0, 1, 2, 0, 1, 2};
    static const uint8_t bit[] = {0, 1, 1, 1, 0, 1, 0, 0, 1};
    for (int i = 0; i < SC_COUNT(node); i++) {
        assert_int_equal(h.node[i], node[i]);
        assert_int_equal(h.bit[i], bit[i]);
    }
    sc_huffman_free(&h);
}

/* ---- steps ---- */

/* One example, made of the first word alone. */
typedef struct single {
    const int32_t *in;
    int n_in;
    const uint32_t *out;
    int n_out;
    bool done;
} single;

static bool one_example(void *user, sc_lane *l)
{
    single *s = user;
    l->p = l->end;
    if (s->done) return false;
    s->done = true;
    sc_lane_example(l);
    for (int i = 0; i < s->n_in; i++) sc_lane_in(l, s->in[i]);
    for (int i = 0; i < s->n_out; i++) sc_lane_out(l, (int32_t)(s->out[i] >> 1), s->out[i] & 1);
    return true;
}

static double loss_at(const sc_tables *t, const double *in, const double *out, const single *s)
{
    double sum = 0;
    for (int j = 0; j < s->n_out; j++) {
        double f = 0;
        for (int64_t k = 0; k < t->width; k++) {
            double h = 0;
            for (int i = 0; i < s->n_in; i++) h += in[s->in[i] * t->stride + k] / s->n_in;
            f += h * out[(s->out[j] >> 1) * t->stride + k];
        }
        sum += log1p(exp(s->out[j] & 1 ? -f : f));
    }
    return sum;
}

/* What a step changes is the rate times the loss's derivative (of CBOW's inputs: as if each were the mean). */
static void steps_follow_the_gradient(void **state)
{
    static const int32_t in[] = {2, 0, 4};
    static const uint32_t out[] = {1 << 1 | 1, 3 << 1, 4 << 1, 0 << 1 | 1, 2 << 1, 5 << 1, 6 << 1};
    (void)state;
    for (int mode = 0; mode < 8; mode++) {
        single s = {in, mode & 1 ? 3 : 1, out, mode & 2 ? 7 : 2, false};
        sc_context *ctx = threads_of(1);
        sc_word_text *text;
        sc_tables *t;
        sc_learned report;
        sc_source source = {.next = one_example, .user = &s};
        sc_learning o = {.epochs = 1, .words = 1, .rate = 0.5, .last_rate = 0.5, .deterministic = mode & 4};
        assert_int_equal(sc_word_text_over(&text, "x", 1), SC_OK);
        assert_int_equal(sc_tables_new(&t, ctx, 7, 7, 20, 1, 3), SC_OK);
        assert_int_equal(t->stride, 32);
        double at_in[7 * 32], at_out[7 * 32];
        uint64_t r = 9;
        for (int i = 0; i < 7 * 32; i++) t->out[i] = i % 32 < 20 ? random_float(&r) : 0;
        for (int i = 0; i < 7 * 32; i++) at_in[i] = t->in[i], at_out[i] = t->out[i];
        assert_int_equal(sc_learn(t, ctx, text, &source, &o, &report), SC_OK);
        assert_true(fabs(report.loss - loss_at(t, at_in, at_out, &s)) < 1e-4);
        for (int i = 0; i < 2 * 7 * 32; i++) {
            double *x = i < 7 * 32 ? &at_in[i] : &at_out[i - 7 * 32], was = *x, slope;
            float now = i < 7 * 32 ? t->in[i] : t->out[i - 7 * 32];
            *x = was + 1e-4;
            slope = loss_at(t, at_in, at_out, &s);
            *x = was - 1e-4;
            slope = (slope - loss_at(t, at_in, at_out, &s)) / 2e-4;
            *x = was;
            if (i < 7 * 32) slope *= s.n_in;
            if (!(fabs(now - (was - 0.5 * slope)) < 2e-3)) /* the sigmoid's table has steps of 2^-8 / 4 */
                fail_msg("mode %d, %d: from %g to %g with slope %g", mode, i, was, (double)now, slope);
        }
        sc_tables_free(t);
        sc_word_text_free(text);
        sc_context_free(ctx);
    }
}

/* ---- co-occurrences ---- */

static void pairs_are_counted(void **state)
{
    enum { N = 300 };
    static double want[N][N];
    int64_t len;
    char *p = some_text(30000, N, 21, &len);
    sc_word_text *t;
    sc_lexicon *x;
    (void)state;
    assert_int_equal(sc_word_text_over(&t, p, len), SC_OK);
    for (int mode = 0; mode < 4; mode++) {
        sc_context *ctx = threads_of(mode < 2 ? 1 : 3);
        sc_vectors_training o = SC_VECTORS_TRAINING_INIT;
        sc_pairs pairs;
        char out[64] = "/tmp/socle-pairs-XXXXXX";
        assert_non_null(mkdtemp(out));
        strcat(out, "/v");
        o.out = out;
        o.window = 6;
        o.asymmetric = mode & 1;
        o.memory = mode < 2 ? 1 : 0; /* the smallest tables: many runs */
        o.x_max = 5;
        assert_int_equal(sc_lexicon_count(&x, ctx, t, &(sc_lexicon_options){.min_count = 3}), SC_OK);
        assert_true(x->n <= N);
        memset(want, 0, sizeof want);
        int32_t line[32];
        int n = 0;
        for (int64_t u = 0; u < t->n_units; u++) {
            const char *at = t->unit[u].p, *word;
            for (int64_t l; (word = sc_word_next(&at, t->unit[u].end, &l));) {
                int32_t id = l ? sc_lexicon_find(x, word, l) : -1;
                if (l && id < 0) continue;
                for (int d = 1; l && d <= 6 && d <= n; d++) {
                    want[line[n - d]][id] += 1.0 / d;
                    if (!o.asymmetric) want[id][line[n - d]] += 1.0 / d;
                }
                if (l) line[n++] = id;
                if (!l) n = 0;
            }
            n = 0;
        }
        assert_int_equal(sc_pairs_count(&pairs, ctx, t, x, &o), SC_OK);
        int64_t found = 0;
        for (int b = 0; b < SC_PARTS * SC_PARTS; b++)
            for (int64_t i = pairs.block[b]; i < pairs.block[b + 1]; i++) {
                const sc_pair *q = &pairs.pair[i];
                assert_int_equal(q->row % SC_PARTS * SC_PARTS + q->column % SC_PARTS, b);
                assert_true(want[q->row][q->column] > 0);
                assert_true(fabs(exp((double)q->log_count) - want[q->row][q->column]) <
                            1e-4 * want[q->row][q->column]);
                assert_true(fabs(q->weight - pow(SC_MIN(want[q->row][q->column] / 5, 1), 0.75)) < 1e-5);
                found++;
            }
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) found -= want[i][j] > 0;
        assert_int_equal(found, 0);
        sc_pairs_free(&pairs);
        sc_lexicon_free(x);
        sc_context_free(ctx);
        *strrchr(out, '/') = 0;
        assert_int_equal(rmdir(out), 0); /* nothing is left behind */
    }
    sc_word_text_free(t);
    sc_free(p);
}

/* ---- from text to files ---- */

typedef struct place {
    char dir[64], text[96], out[96];
    const char *data[1];
} place;

static void make_place(place *a, const char *text, int64_t len)
{
    strcpy(a->dir, "/tmp/socle-vectors-XXXXXX");
    assert_non_null(mkdtemp(a->dir));
    snprintf(a->text, sizeof a->text, "%s/text", a->dir);
    snprintf(a->out, sizeof a->out, "%s/out", a->dir);
    assert_int_equal(sc_file_write(a->text, text, len), SC_OK);
    a->data[0] = a->text;
}

static void remove_place(const place *a)
{
    (void)unlink(a->out);
    assert_int_equal(unlink(a->text), 0);
    assert_int_equal(rmdir(a->dir), 0); /* no state or temporary file is left */
}

static sc_vectors_training training(const place *a, sc_vectors_method method)
{
    sc_vectors_training o = SC_VECTORS_TRAINING_INIT;
    o.data = a->data;
    o.n_data = 1;
    o.out = a->out;
    o.method = method;
    o.width = 24;
    o.min_count = 1;
    o.epochs = 2;
    return o;
}

static char *bytes_of(const char *path, int64_t *len)
{
    char *p;
    assert_int_equal(sc_file_read(&p, len, path, 1 << 26), SC_OK);
    return p;
}

/* What each way of training is called with. */
static const struct way {
    sc_vectors_method method;
    bool hierarchical, deterministic;
} ways[] = {
    {SC_VECTORS_SKIPGRAM, false, true}, {SC_VECTORS_SKIPGRAM, true, true}, {SC_VECTORS_CBOW, false, true},
    {SC_VECTORS_CBOW, true, true},      {SC_VECTORS_GLOVE, false, false},  {SC_VECTORS_SKIPGRAM, false, false},
    {SC_VECTORS_SKIPGRAM, true, false}, {SC_VECTORS_CBOW, false, false},   {SC_VECTORS_CBOW, true, false}};

static void stop_halfway(void *user, const char *what, int64_t done, int64_t total)
{
    sc_context **ctx = user;
    if (strcmp(what, "training") == 0 && done * 2 > total && done < total) sc_context_cancel(*ctx);
}

/* The same file with 1, 2 and 3 threads, and with a stop between. Without --deterministic and with one thread the same holds. */
static void bits_do_not_depend_on_threads_or_stops(void **state)
{
    int64_t len;
    char *text = some_text(15000, 400, 33, &len);
    place a;
    (void)state;
    make_place(&a, text, len);
    for (int w = 0; w < SC_COUNT(ways); w++) {
        sc_vectors_training o = training(&a, ways[w].method);
        sc_vectors_trained r;
        char *first = NULL;
        int64_t size = 0;
        bool alone = !ways[w].deterministic && ways[w].method != SC_VECTORS_GLOVE;
        o.hierarchical = ways[w].hierarchical;
        o.deterministic = ways[w].deterministic;
        o.epochs = 6; /* several groups of units */
        o.window = 2;
        for (int run = 0; run < 4; run++) {
            sc_context *ctx = NULL;
            sc_context_options how = {.threads = alone ? 1 : 1 + run % 3};
            if (run == 3) how.progress = stop_halfway, how.user = &ctx;
            assert_int_equal(sc_context_new(&ctx, &how), SC_OK);
            sc_status s = sc_vectors_train(ctx, &o, &r);
            if (run == 3) {
                assert_int_equal(s, SC_ECANCELLED);
                assert_false(sc_path_exists(o.out));
                sc_context_free(ctx);
                ctx = threads_of(alone ? 1 : 2);
                o.seed++;
                assert_int_equal(sc_vectors_train(ctx, &o, &r), SC_EINVAL); /* another training's state */
                o.seed--;
                s = sc_vectors_train(ctx, &o, &r);
                assert_true(r.resumed);
            }
            if (s) fail_msg("way %d: %s", w, sc_error());
            int64_t n;
            char *p = bytes_of(o.out, &n);
            if (first) {
                assert_int_equal(n, size);
                if (memcmp(p, first, (size_t)n) != 0) fail_msg("way %d, run %d has other bits", w, run);
            }
            sc_free(run ? p : NULL);
            if (!run) first = p, size = n;
            (void)unlink(o.out);
            sc_context_free(ctx);
        }
        sc_free(first);
    }
    remove_place(&a);
    sc_free(text);
}

enum { SUBJECT = 50 };

/* Two subjects whose words seldom meet: words of one are nearer to each other than to those of the other. */
static char *two_subjects(int64_t *len)
{
    sc_str s = {0};
    uint64_t r = 77;
    for (int line = 0; line < 1500; line++) {
        char subject = line % 2 ? 'a' : 'b';
        for (int i = 0; i < 10; i++)
            sc_str_printf(&s, "%c%d ", random_in(&r, 0, 9) ? subject : 'a' + 'b' - subject,
                          (int)random_in(&r, 0, SUBJECT - 1));
        sc_str_putc(&s, '\n');
    }
    return sc_str_take(&s, len);
}

static double cosine(const sc_vectors *v, const char *a, const char *b)
{
    float x[24], y[24];
    double xx = 0, yy = 0, xy = 0;
    assert_int_equal(sc_vectors_get(v, a, (int64_t)strlen(a), x), SC_OK);
    assert_int_equal(sc_vectors_get(v, b, (int64_t)strlen(b), y), SC_OK);
    for (int i = 0; i < 24; i++) xx += (double)x[i] * x[i], yy += (double)y[i] * y[i], xy += (double)x[i] * y[i];
    return xy / sqrt(xx * yy);
}

static void subjects_are_found(void **state)
{
    int64_t len;
    char *text = two_subjects(&len);
    sc_context *ctx = threads_of(2);
    place a;
    (void)state;
    make_place(&a, text, len);
    for (int w = 0; w < SC_COUNT(ways); w++) {
        sc_vectors_training o = training(&a, ways[w].method);
        sc_vectors_trained r;
        sc_vectors *v;
        o.hierarchical = ways[w].hierarchical;
        o.deterministic = ways[w].deterministic;
        o.epochs = 15;
        o.sample = 0;
        o.rate = 0.05;
        o.x_max = 10;
        if (sc_vectors_train(ctx, &o, &r)) fail_msg("way %d: %s", w, sc_error());
        assert_int_equal(r.words, 2 * SUBJECT);
        assert_int_equal(r.tokens, 15000);
        assert_int_equal(sc_vectors_open(&v, o.out, 0), SC_OK);
        double inside = 0, across = 0;
        for (int i = 0; i < SUBJECT; i++)
            for (int j = 0; j < i; j++) {
                char one[16], two[16], other[16];
                snprintf(one, sizeof one, "a%d", i);
                snprintf(two, sizeof two, "a%d", j);
                snprintf(other, sizeof other, "b%d", j);
                inside += cosine(v, one, two) / (SUBJECT * (SUBJECT - 1) / 2);
                across += cosine(v, one, other) / (SUBJECT * (SUBJECT - 1) / 2);
            }
        if (!(inside > across + 0.25)) fail_msg("way %d: %g inside, %g across", w, inside, across);
        sc_vectors_free(v);
    }
    remove_place(&a);
    sc_context_free(ctx);
    sc_free(text);
}

/* A table of low rank comes back: with as many numbers as words every logarithm is met. */
static void glove_factorises(void **state)
{
    int64_t len;
    char *text = some_text(20000, 12, 5, &len);
    sc_context *ctx = threads_of(2);
    place a;
    sc_vectors_trained r;
    (void)state;
    make_place(&a, text, len);
    sc_vectors_training o = training(&a, SC_VECTORS_GLOVE);
    double loss[2];
    for (int i = 0; i < 2; i++) {
        o.epochs = i ? 300 : 1;
        assert_int_equal(sc_vectors_train(ctx, &o, &r), SC_OK);
        loss[i] = r.loss;
    }
    assert_true(loss[0] > 0.5);
    assert_true(loss[1] < 1e-3 * loss[0]);
    assert_true(r.pairs > 100 && r.pairs <= 144);
    remove_place(&a);
    sc_context_free(ctx);
    sc_free(text);
}

static void formats_read_back(void **state)
{
    static const char *const kinds[] = {"word2vec text", "word2vec binary", "GloVe"};
    int64_t len;
    char *text = some_text(5000, 100, 5, &len);
    sc_context *ctx = threads_of(1);
    place a;
    (void)state;
    make_place(&a, text, len);
    sc_vectors *v[3];
    for (int f = 0; f < 3; f++) {
        sc_vectors_training o = training(&a, SC_VECTORS_SKIPGRAM);
        sc_vectors_trained r;
        char contexts[128];
        snprintf(contexts, sizeof contexts, "%s.contexts", a.out);
        o.format = (sc_vectors_format)f;
        o.out_contexts = contexts;
        assert_int_equal(sc_vectors_train(ctx, &o, &r), SC_OK);
        assert_int_equal(sc_vectors_open(&v[f], contexts, 0), SC_OK);
        assert_int_equal(sc_vectors_count(v[f]), r.words);
        sc_vectors_free(v[f]);
        assert_int_equal(unlink(contexts), 0);
        assert_int_equal(sc_vectors_open(&v[f], a.out, 0), SC_OK);
        assert_string_equal(sc_vectors_kind(v[f]), kinds[f]);
        assert_int_equal(sc_vectors_count(v[f]), r.words);
        for (int64_t i = 0; i < r.words; i++) {
            int64_t n;
            float x[2][24];
            const char *word = sc_vectors_word(v[0], i, &n);
            assert_int_equal(sc_vectors_get(v[0], word, n, x[0]), SC_OK);
            assert_int_equal(sc_vectors_get(v[f], word, n, x[1]), SC_OK);
            assert_memory_equal(x[0], x[1], sizeof x[0]);
        }
    }
    for (int f = 0; f < 3; f++) sc_vectors_free(v[f]);
    remove_place(&a);
    sc_context_free(ctx);
    sc_free(text);
}

static void phrases_are_joined(void **state)
{
    sc_str s = {0};
    uint64_t r = 4;
    place a;
    sc_vectors *v;
    sc_vectors_trained report;
    sc_context *ctx = threads_of(2);
    (void)state;
    for (int i = 0; i < 4000; i++)
        sc_str_printf(&s, "w%d %s%s", (int)random_in(&r, 0, 300), i % 20 ? "" : "new york city ",
                      i % 9 ? "" : "\n");
    make_place(&a, s.p, s.len);
    sc_vectors_training o = training(&a, SC_VECTORS_CBOW);
    o.min_count = 5;
    o.phrase_threshold = 10;
    for (o.phrases = 0; o.phrases < 3; o.phrases++) {
        assert_int_equal(sc_vectors_train(ctx, &o, &report), SC_OK);
        assert_int_equal(sc_vectors_open(&v, a.out, 0), SC_OK);
        assert_int_equal(sc_vectors_find(v, "york", 4) >= 0, o.phrases == 0);
        assert_int_equal(sc_vectors_find(v, "new_york", 8) >= 0, o.phrases == 1);
        assert_int_equal(sc_vectors_find(v, "new_york_city", 13) >= 0, o.phrases == 2);
        assert_int_equal(sc_vectors_find(v, "w1_w2", 5), -1);
        sc_vectors_free(v);
    }
    remove_place(&a);
    sc_context_free(ctx);
    sc_str_free(&s);
}

static void wrong_use_is_refused(void **state)
{
    sc_context *ctx = threads_of(1);
    place a;
    sc_vectors_trained r;
    (void)state;
    make_place(&a, "a b a b a b a b a b\n", 20);
    const sc_vectors_training good = training(&a, SC_VECTORS_SKIPGRAM);
    sc_vectors_training o = good;
    o.width = 0;
    assert_int_equal(sc_vectors_train(ctx, &o, &r), SC_EINVAL);
    o = good;
    o.min_count = 6;
    assert_int_equal(sc_vectors_train(ctx, &o, &r), SC_EFORMAT);
    o = good;
    o.hierarchical = true;
    o.out_contexts = "x";
    assert_int_equal(sc_vectors_train(ctx, &o, &r), SC_EINVAL);
    o = good;
    o.out = "/nowhere/at/all/out";
    assert_int_equal(sc_vectors_train(ctx, &o, &r), SC_ENOTFOUND);
    o = good;
    o.rate = -1;
    assert_int_equal(sc_vectors_train(ctx, &o, &r), SC_EINVAL);
    o = good;
    o.method = SC_VECTORS_GLOVE;
    o.window = 100000;
    assert_int_equal(sc_vectors_train(ctx, &o, &r), SC_EINVAL);
    /* A state that is none. */
    char path[128];
    snprintf(path, sizeof path, "%s.state", a.out);
    assert_int_equal(sc_file_write(path, "{}\n", 3), SC_OK);
    assert_int_equal(sc_vectors_train(ctx, &good, &r), SC_EINVAL);
    assert_int_equal(sc_file_write(path, "none", 4), SC_OK);
    assert_int_equal(sc_vectors_train(ctx, &good, &r), SC_EFORMAT);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(sc_vectors_train(ctx, &good, &r), SC_OK);
    assert_int_equal(r.words, 2);
    remove_place(&a);
    make_place(&a, "", 0);
    assert_int_equal(sc_vectors_train(ctx, &good, &r), SC_EFORMAT);
    remove_place(&a);
    sc_context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_are_the_text),
        cmocka_unit_test(words_end_at_white_space),
        cmocka_unit_test(words_are_counted),
        cmocka_unit_test(ids_do_not_depend_on_threads),
        cmocka_unit_test(drawn_shares_are_the_weights),
        cmocka_unit_test(frequent_words_are_left_out),
        cmocka_unit_test(trees_are_optimal),
        cmocka_unit_test(steps_follow_the_gradient),
        cmocka_unit_test(pairs_are_counted),
        cmocka_unit_test(bits_do_not_depend_on_threads_or_stops),
        cmocka_unit_test(subjects_are_found),
        cmocka_unit_test(glove_factorises),
        cmocka_unit_test(formats_read_back),
        cmocka_unit_test(phrases_are_joined),
        cmocka_unit_test(wrong_use_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
