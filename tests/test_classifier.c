/* SPDX-License-Identifier: Apache-2.0 */
/* The classifier of texts: what it learns by each loss, its files, its quantised copy, its limits; and fastText's word vectors. */
#include "core_help.h"
#include "vectors/fasttext.h"

#include <sys/stat.h>

static sc_context *ctx;
static char folder[] = "/tmp/socle-classifier-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[4][128];
    static int at;
    at = (at + 1) % 4;
    snprintf(path[at], sizeof path[at], "%s/%s", folder, name);
    return path[at];
}

/* Lines of three kinds: a word of the kind among words of all kinds; long ones have a second label. */
static char *make_lines(int n, uint64_t seed, bool labels)
{
    static const char *const kinds[3][5] = {{"cat", "dog", "horse", "\xEA\xB3\xA0\xEC\x96\x91", "barks"},
                                            {"bread", "soup", "apple", "tastes", "cooks"},
                                            {"moon", "star", "cloud", "rain", "shines"}};
    static const char *const common[] = {"the", "a", "of", "and", "is", "was"};
    sc_str s = {0};
    for (int i = 0; i < n; i++) {
        int kind = (int)random_in(&seed, 0, 2), words = (int)random_in(&seed, 3, 9);
        if (labels) sc_str_printf(&s, "__label__%c%s", 'a' + kind, words > 7 ? " __label__long" : "");
        for (int w = 0; w < words; w++)
            sc_str_printf(&s, " %s", w % 2 ? common[random_in(&seed, 0, 5)] : kinds[kind][random_in(&seed, 0, 4)]);
        sc_str_putc(&s, '\n');
    }
    return sc_str_take(&s, NULL);
}

static sc_classifier_options small_options(const char *loss)
{
    sc_classifier_options o = sc_classifier_defaults();
    o.loss = loss;
    o.width = 10;
    o.word_ngrams = 2;
    o.shortest = 2;
    o.longest = 3;
    o.bucket = 1000;
    o.rate = 0.5;
    return o;
}

static sc_classifier *train_on(sc_context *c, const char *text, const sc_classifier_options *o)
{
    sc_classifier *out;
    sc_classifier_run run;
    if (sc_classifier_train(&out, c, text, (int64_t)strlen(text), o, &run)) fail_msg("%s", sc_error());
    assert_true(run.lines > 0 && run.loss >= 0);
    return out;
}

static double precision(const sc_classifier *c, const char *text)
{
    sc_classifier_test t;
    assert_int_equal(sc_classifier_test_lines(&t, ctx, c, text, (int64_t)strlen(text), 1, 0), SC_OK);
    int64_t sum = 0;
    for (int64_t i = 0; i < sc_classifier_labels(c); i++) sum += t.each[i].correct;
    assert_int_equal(sum, t.all.correct);
    sc_free(t.each);
    return (double)t.all.correct / (double)t.all.predicted;
}

static void same_answers(const sc_classifier *a, const sc_classifier *b, double tolerance)
{
    static const char *const texts[] = {"cat of the dog", "moon", "nothing known", "",
                                        "\xEA\xB3\xA0\xEC\x96\x91\n apple a a a"};
    sc_classifier_reader *r, *q;
    assert_int_equal(sc_classifier_reader_new(&r, a), SC_OK);
    assert_int_equal(sc_classifier_reader_new(&q, b), SC_OK);
    for (int i = 0; i < SC_COUNT(texts); i++) {
        sc_class x[4], y[4];
        int64_t n, m;
        assert_int_equal(sc_classifier_predict(r, texts[i], (int64_t)strlen(texts[i]), 4, 0, x, &n), SC_OK);
        assert_int_equal(sc_classifier_predict(q, texts[i], (int64_t)strlen(texts[i]), 4, 0, y, &m), SC_OK);
        assert_int_equal(n, m);
        for (int k = 0; k < n; k++) {
            if (fabs((double)(x[k].probability - y[k].probability)) > tolerance)
                fail_msg("'%s': %g and %g", texts[i], (double)x[k].probability, (double)y[k].probability);
            assert_true(k == 0 || x[k].probability <= x[k - 1].probability);
        }
    }
    sc_classifier_reader_free(r);
    sc_classifier_reader_free(q);
}

static void every_loss_learns_and_its_file_answers_alike(void **state)
{
    char *train = make_lines(600, 1, true), *test = make_lines(200, 2, true);
    (void)state;
    for (int i = 0; i < 4; i++) {
        sc_classifier_options o = small_options(sc_ft_losses[i]);
        sc_classifier *c = train_on(ctx, train, &o), *again;
        assert_string_equal(sc_classifier_loss(c), sc_ft_losses[i]);
        if (precision(c, test) < 0.95) fail_msg("%s: precision %g", sc_ft_losses[i], precision(c, test));
        assert_int_equal(sc_classifier_save(c, in_folder("c.bin")), SC_OK);
        assert_int_equal(sc_classifier_open(&again, in_folder("c.bin")), SC_OK);
        same_answers(c, again, 0);
        assert_int_equal(sc_classifier_labels(again), 4);
        sc_classifier_free(again);
        sc_classifier_free(c);
    }
    sc_free(train);
    sc_free(test);
}

static void quantised_copies_are_small_and_right(void **state)
{
    char *train = make_lines(600, 1, true), *test = make_lines(200, 2, true);
    sc_classifier_options o = small_options("softmax");
    sc_classifier *c = train_on(ctx, train, &o), *q, *again;
    struct stat whole, part;
    (void)state;
    assert_int_equal(sc_classifier_save(c, in_folder("c.bin")), SC_OK);
    stat(in_folder("c.bin"), &whole);
    for (int i = 0; i < 4; i++) {
        sc_classifier_quantise_options z = sc_classifier_quantise_defaults();
        z.sub = 1 + i;
        z.norms = i & 1;
        z.cutoff = i == 2 ? 400 : 0;
        z.retrain = i == 2;
        if (sc_classifier_quantise(&q, ctx, c, train, (int64_t)strlen(train), &z)) fail_msg("%s", sc_error());
        assert_true(sc_classifier_quantised(q));
        assert_true(precision(q, test) > 0.94);
        assert_int_equal(sc_classifier_save(q, in_folder("q.ftz")), SC_OK);
        assert_int_equal(sc_classifier_open(&again, in_folder("q.ftz")), SC_OK);
        same_answers(q, again, 0);
        stat(in_folder("q.ftz"), &part);
        assert_true(part.st_size < whole.st_size);
        assert_int_equal(sc_classifier_quantise(&again, ctx, q, NULL, 0, &z), SC_EINVAL);
        if (i == 0) same_answers(c, q, 0.05);
        sc_classifier_free(q);
        sc_classifier_free(again);
    }
    sc_classifier_quantise_options z = sc_classifier_quantise_defaults();
    z.output = true;
    assert_int_equal(sc_classifier_quantise(&q, ctx, c, NULL, 0, &z), SC_EINVAL);
    assert_string_equal(sc_error(), "4 rows are too few to be quantised: it takes 256");
    sc_classifier_free(c);
    sc_free(train);
    sc_free(test);
}

static void one_seed_gives_the_same_bits(void **state)
{
    char *train = make_lines(300, 1, true), *data[2];
    int64_t len[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        sc_context *c = new_context(1 + i);
        sc_classifier_options o = small_options("ns");
        sc_classifier_quantise_options z = sc_classifier_quantise_defaults();
        sc_classifier *q;
        o.deterministic = z.deterministic = z.retrain = true;
        z.cutoff = 300;
        sc_classifier *whole = train_on(c, train, &o);
        assert_int_equal(sc_classifier_quantise(&q, c, whole, train, (int64_t)strlen(train), &z), SC_OK);
        assert_int_equal(sc_classifier_save(whole, in_folder("d.bin")), SC_OK);
        assert_int_equal(sc_file_read(&data[i], &len[i], in_folder("d.bin"), 1 << 24), SC_OK);
        sc_classifier_free(whole);
        sc_classifier_free(q);
        sc_context_free(c);
    }
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(data[0], data[1], (size_t)len[0]);
    for (int i = 0; i < 2; i++) sc_free(data[i]);
    sc_free(train);
}

static void what_is_wrong_is_said(void **state)
{
    static const struct {
        const char *text, *loss, *why;
        int64_t width;
    } bad[] = {{"no labels here\n", "softmax", "no labels: words of the lines that begin with __label__", 10},
               {"__label__a x\n", "hinge", "loss 'hinge' is none of softmax, hs, ns and ova", 10},
               {"__label__a x\n", "ova", "width is 0, which is not within 1 and 65536", 0},
               {"__label__a", "ova", NULL, 10}};
    sc_classifier *c;
    sc_classifier_options o;
    (void)state;
    for (int i = 0; i < SC_COUNT(bad); i++) {
        o = small_options(bad[i].loss);
        o.width = bad[i].width;
        assert_true(sc_classifier_train(&c, ctx, bad[i].text, (int64_t)strlen(bad[i].text), &o, NULL) != SC_OK);
        if (bad[i].why) assert_string_equal(sc_error(), bad[i].why);
    }
    o = small_options("ns"); /* one label: there is no other to draw */
    c = train_on(ctx, "__label__a x\n__label__a y z\n", &o);
    sc_classifier_free(c);
    o = small_options("softmax");
    o.pretrained = SOCLE_SOURCE_DIR "/tests/data/vectors/glove.txt";
    assert_int_equal(sc_classifier_train(&c, ctx, "__label__a x\n", 13, &o, NULL), SC_EINVAL);
    o.width = 6;
    c = train_on(ctx, "__label__a x\n__label__b y z\n", &o);
    assert_true(sc_ft_kernels_get() && sc_lexicon_find(c->m.dict, "king", 4) >= 0);
    sc_classifier_free(c);
    assert_int_equal(sc_classifier_open(&c, SOCLE_SOURCE_DIR "/tests/data/vectors/sub.bin"), SC_EUNSUPPORTED);
    assert_int_equal(sc_classifier_open(&c, in_folder("none")), SC_ENOTFOUND);
}

static void no_free(sc_buffer *b) { (void)b; }

static void try_bytes(const char *data, int64_t len)
{
    sc_buffer *b;
    sc_classifier *c;
    sc_classifier_reader *r;
    sc_class x[3];
    int64_t n;
    assert_int_equal(sc_buffer_wrap(&b, (void *)(uintptr_t)data, len, no_free, NULL), SC_OK);
    if (sc_classifier_open_buffer(&c, b, "input") == SC_OK) {
        if (!sc_classifier_reader_new(&r, c)) {
            assert_int_equal(sc_classifier_predict(r, "cat moon", 8, 3, 0, x, &n), SC_OK);
            sc_classifier_reader_free(r);
        }
        sc_classifier_free(c);
    }
    sc_buffer_unref(b);
}

/* Cut anywhere, and with any byte of its beginning changed, a file is refused or read, and nothing else. */
static void broken_files_do_no_harm(void **state)
{
    char *train = make_lines(300, 1, true);
    sc_classifier_options o = small_options("hs");
    sc_classifier_quantise_options z = sc_classifier_quantise_defaults();
    sc_classifier *c = train_on(ctx, train, &o), *q;
    (void)state;
    z.cutoff = 300;
    z.norms = true;
    assert_int_equal(sc_classifier_quantise(&q, ctx, c, NULL, 0, &z), SC_OK);
    assert_int_equal(sc_classifier_save(c, in_folder("c.bin")), SC_OK);
    assert_int_equal(sc_classifier_save(q, in_folder("q.ftz")), SC_OK);
    for (int f = 0; f < 2; f++) {
        int64_t len;
        char *data;
        assert_int_equal(sc_file_read(&data, &len, in_folder(f ? "q.ftz" : "c.bin"), 1 << 24), SC_OK);
        for (int64_t n = 0; n < len; n += 1 + len / 400) {
            char *cut = malloc((size_t)n + 1);
            memcpy(cut, data, (size_t)n);
            try_bytes(cut, n);
            free(cut);
        }
        for (int64_t i = 0; i < SC_MIN(len, 600); i++) {
            char was = data[i];
            data[i] ^= (char)(1 << i % 8);
            try_bytes(data, len);
            data[i] = was;
        }
        sc_free(data);
    }
    sc_classifier_free(c);
    sc_classifier_free(q);
    sc_free(train);
}

/* All sets of kernels give the same bits, at any width and address. */
static void kernels_agree(void **state)
{
    enum { ROWS = 40, MOST = 70 };
    float table[2][ROWS * MOST + 1], h[MOST + 1], g[2][MOST + 1], a[ROWS], out[2][ROWS];
    int32_t row[100];
    uint64_t seed = 3;
    (void)state;
    for (int k = 1; sc_ft_kernels_at(k); k++)
        for (int64_t width = 1; width <= MOST; width++) {
            for (int i = 0; i < ROWS * MOST + 1; i++) table[0][i] = table[1][i] = random_float(&seed);
            for (int i = 0; i < MOST + 1; i++) h[i] = random_float(&seed), g[0][i] = g[1][i] = random_float(&seed);
            for (int i = 0; i < 100; i++) row[i] = (int32_t)random_in(&seed, 0, ROWS - 1);
            for (int i = 0; i < ROWS; i++) a[i] = random_float(&seed);
            for (int s = 0; s < 2; s++) {
                const sc_ft_kernels *x = sc_ft_kernels_at(s ? k : 0);
                float *t = table[s] + width % 2;
                x->sum_rows(g[s], t, width, row, 100);
                x->products(out[s], t, width, ROWS, h);
                x->steps(t, width, ROWS, h, g[s], a);
                x->step(t, h, g[s], a[0], width);
                x->add_to_rows(t, width, row, 100, g[s]);
                x->add_scaled(t, h, a[1], width);
                out[s][0] += x->product(t, h, width);
            }
            assert_memory_equal(table[0], table[1], sizeof table[0]);
            assert_memory_equal(g[0], g[1], sizeof g[0]);
            assert_memory_equal(out[0], out[1], sizeof out[0]);
        }
}

/* fastText's vectors: words of one kind are nearer to each other, unknown words have vectors, and a seed gives the same bits. */
static void word_vectors_know_kinds(void **state)
{
    char *text = make_lines(1500, 4, false), *data[2];
    int64_t len[2];
    (void)state;
    assert_int_equal(sc_file_write(in_folder("words.txt"), text, (int64_t)strlen(text)), SC_OK);
    sc_free(text);
    for (int i = 0; i < 6; i++) {
        sc_context *c = new_context(1 + i % 2);
        sc_vectors_training o = SC_VECTORS_TRAINING_INIT;
        sc_vectors_trained r;
        sc_vectors *v;
        float cat[12], dog[12], moon[12], x[12];
        double near = 0, far = 0;
        o.data = (const char *[]){in_folder("words.txt")};
        o.n_data = 1;
        o.out = in_folder("v.bin");
        o.subwords = true;
        o.format = SC_VECTORS_FASTTEXT;
        o.width = 12;
        o.bucket = 500;
        o.epochs = 10;
        o.sample = 0;
        o.method = i >= 4 ? SC_VECTORS_CBOW : SC_VECTORS_SKIPGRAM;
        o.deterministic = i < 2;
        o.hierarchical = i == 3;
        if (sc_vectors_train(c, &o, &r)) fail_msg("%s", sc_error());
        if (i < 2) assert_int_equal(sc_file_read(&data[i], &len[i], o.out, 1 << 24), SC_OK);
        assert_int_equal(sc_vectors_open(&v, o.out, 0), SC_OK);
        assert_int_equal(sc_vectors_get(v, "horse", 5, cat), SC_OK);
        assert_int_equal(sc_vectors_get(v, "barks", 5, dog), SC_OK);
        assert_int_equal(sc_vectors_get(v, "shines", 6, moon), SC_OK);
        assert_int_equal(sc_vectors_get(v, "unheard", 7, x), SC_OK);
        double n[3] = {0};
        for (int k = 0; k < 12; k++) {
            near += (double)(cat[k] * dog[k]), far += (double)(cat[k] * moon[k]);
            n[0] += (double)(cat[k] * cat[k]), n[1] += (double)(dog[k] * dog[k]),
                n[2] += (double)(moon[k] * moon[k]);
        }
        near /= sqrt(n[0] * n[1]), far /= sqrt(n[0] * n[2]);
        if (near < far + 0.05) fail_msg("way %d: %g is not nearer than %g", i, near, far);
        sc_vectors_free(v);
        sc_context_free(c);
    }
    assert_int_equal(len[0], len[1]);
    assert_memory_equal(data[0], data[1], (size_t)len[0]);
    sc_free(data[0]);
    sc_free(data[1]);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return 1;
    ctx = new_context(2);
    return 0;
}

static int tear_down(void **state)
{
    static const char *const files[] = {"c.bin", "q.ftz", "d.bin", "words.txt", "v.bin"};
    (void)state;
    for (int i = 0; i < SC_COUNT(files); i++) unlink(in_folder(files[i]));
    rmdir(folder);
    sc_context_free(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_loss_learns_and_its_file_answers_alike),
        cmocka_unit_test(quantised_copies_are_small_and_right),
        cmocka_unit_test(one_seed_gives_the_same_bits),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(broken_files_do_no_harm),
        cmocka_unit_test(kernels_agree),
        cmocka_unit_test(word_vectors_know_kinds),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
