/* SPDX-License-Identifier: Apache-2.0 */
/* Static word vectors: every format against the programs that define it, nearest words, analogies, pairs, and malformed files. */
#include "core_help.h"
#include "vectors/vectors.h"

#include <jansson.h>
#include <math.h>

#define DATA SOCLE_SOURCE_DIR "/tests/data/vectors/"

static sc_context *ctx;
static json_t *answers;

static sc_vectors *open_file(const char *name, int64_t limit)
{
    char path[512];
    sc_vectors *v;
    snprintf(path, sizeof path, DATA "%s", name);
    if (sc_vectors_open(&v, path, limit)) fail_msg("%s", sc_error());
    return v;
}

static char *read_data(const char *name, int64_t *len)
{
    char path[512], *data;
    snprintf(path, sizeof path, DATA "%s", name);
    assert_int_equal(sc_file_read(&data, len, path, 1 << 20), SC_OK);
    return data;
}

/* The same numbers, bit for bit: JSON has the shortest decimals that say them. */
static void same_vector(const float *got, const json_t *want, const char *what)
{
    for (size_t i = 0; i < json_array_size(want); i++)
        if (got[i] != (float)json_number_value(json_array_get(want, i)))
            fail_msg("%s: number %d is %.9g, not %.9g", what, (int)i, (double)got[i],
                     json_number_value(json_array_get(want, i)));
}

static void fasttext_vectors_are_exact(void **state)
{
    const char *name;
    const json_t *want;
    (void)state;
    json_object_foreach(json_object_get(answers, "fasttext"), name, want)
    {
        char file[64];
        snprintf(file, sizeof file, "%s.bin", name);
        sc_vectors *v = open_file(file, 0);
        assert_string_equal(sc_vectors_kind(v), "fastText");
        const json_t *asked = json_object_get(answers, "asked"), *vectors = json_object_get(want, "vectors");
        for (size_t i = 0; i < json_array_size(asked); i++) {
            const char *word = json_string_value(json_array_get(asked, i));
            float x[8] = {0};
            bool parts = strcmp(name, "whole") != 0 || sc_vectors_find(v, word, (int64_t)strlen(word)) >= 0;
            sc_status s = sc_vectors_get(v, word, (int64_t)strlen(word), x);
            if (parts ? s != SC_OK : s != SC_ENOTFOUND) fail_msg("%s, %s: %s", file, word, sc_error());
            if (parts) same_vector(x, json_array_get(vectors, i), word);
        }
        sc_vectors_free(v);
    }
}

static void nearest_words_are_fasttext_s(void **state)
{
    const char *name;
    const json_t *want;
    (void)state;
    json_object_foreach(json_object_get(answers, "fasttext"), name, want)
    {
        char file[64];
        sc_word_space *s;
        sc_neighbor near[4];
        int64_t found, len;
        snprintf(file, sizeof file, "%s.bin", name);
        sc_vectors *v = open_file(file, 0);
        assert_int_equal(sc_word_space_new(&s, ctx, v), SC_OK);
        assert_int_equal(sc_word_space_nearest(s, &(sc_text){"king", 4}, (float[]){1}, 1, 4, near, &found), SC_OK);
        assert_int_equal(found, 4);
        for (int i = 0; i < 4; i++) {
            const json_t *w = json_array_get(json_object_get(want, "near"), (size_t)i);
            const char *word = sc_vectors_word(v, near[i].row, &len);
            assert_true(fabs((double)near[i].score - json_number_value(json_array_get(w, 1))) < 1e-5);
            assert_int_equal(len, json_string_length(json_array_get(w, 0)));
            assert_memory_equal(word, json_string_value(json_array_get(w, 0)), (size_t)len);
        }
        sc_word_space_free(s);
        sc_vectors_free(v);
    }
}

static void formats_hold_the_same(void **state)
{
    static const char *const files[][2] = {{"glove.txt", "GloVe"},
                                           {"word2vec.txt", "word2vec text"},
                                           {"word2vec.bin", "word2vec binary"},
                                           {"gensim.bin", "word2vec binary"}};
    const json_t *words = json_object_get(answers, "words"), *table = json_object_get(answers, "table");
    (void)state;
    for (int f = 0; f < SC_COUNT(files); f++) {
        sc_vectors *v = open_file(files[f][0], 0);
        assert_string_equal(sc_vectors_kind(v), files[f][1]);
        assert_int_equal(sc_vectors_width(v), 6);
        assert_int_equal(sc_vectors_count(v), json_array_size(words) - (f > 0));
        for (size_t i = 0; i < json_array_size(words); i++) {
            const char *word = json_string_value(json_array_get(words, i));
            float x[6];
            if (f && strchr(word, ' ')) continue; /* only GloVe's files have words with spaces */
            if (sc_vectors_get(v, word, (int64_t)strlen(word), x)) fail_msg("%s: %s", files[f][0], sc_error());
            same_vector(x, json_array_get(table, i), word);
        }
        float x[6];
        assert_int_equal(sc_vectors_get(v, "uncle", 5, x), SC_ENOTFOUND);
        assert_int_equal(sc_vectors_find(v, "the", 3), -1);
        sc_vectors_free(v);
        v = open_file(files[f][0], 3);
        assert_int_equal(sc_vectors_count(v), 3);
        assert_int_equal(sc_vectors_find(v, "dog", 3), -1);
        assert_int_equal(sc_vectors_find(v, "man", 3), 2);
        sc_vectors_free(v);
    }
}

static void analogies_and_pairs_are_scored(void **state)
{
    static const char *const names[] = {"family", "gram"};
    sc_vectors *v = open_file("glove.txt", 0);
    sc_word_space *s;
    sc_analogies *part;
    sc_word_pairs pairs;
    sc_neighbor near[1];
    int64_t n, len, found;
    (void)state;
    assert_int_equal(sc_word_space_new(&s, ctx, v), SC_OK);
    char *text = read_data("questions.txt", &len);
    assert_int_equal(sc_word_space_analogies(s, text, len, &part, &n), SC_OK);
    assert_int_equal(n, 2);
    assert_memory_equal(part[1].name, "gram1-nouns", (size_t)part[1].len);
    for (int i = 0; i < 2; i++) {
        const json_t *want = json_object_get(answers, names[i]);
        assert_int_equal(part[i].asked, json_integer_value(json_object_get(want, "asked")));
        assert_int_equal(part[i].correct, json_integer_value(json_object_get(want, "correct")));
        assert_int_equal(part[i].skipped, json_integer_value(json_object_get(want, "skipped")));
    }
    sc_free(part);
    sc_free(text);
    assert_int_equal(sc_word_space_analogies(s, "a b c", 5, &part, &n), SC_EFORMAT);
    assert_string_equal(sc_error(), "line 1 has not four words");
    const sc_text words[] = {{"king", 4}, {"man", 3}, {"woman", 5}};
    assert_int_equal(sc_word_space_nearest(s, words, (float[]){1, -1, 1}, 3, 1, near, &found), SC_OK);
    assert_int_equal(near[0].row, sc_vectors_find(v, "queen", 5));
    assert_int_equal(sc_word_space_nearest(s, &(sc_text){"uncle", 5}, (float[]){1}, 1, 1, near, &found),
                     SC_ENOTFOUND);

    text = read_data("pairs.txt", &len);
    const json_t *want = json_object_get(answers, "pairs");
    assert_int_equal(sc_word_space_pairs(s, text, len, &pairs), SC_OK);
    assert_int_equal(pairs.scored, json_integer_value(json_object_get(want, "scored")));
    assert_int_equal(pairs.skipped, json_integer_value(json_object_get(want, "skipped")));
    assert_true(fabs(pairs.spearman - json_number_value(json_object_get(want, "spearman"))) < 1e-6);
    assert_true(fabs(pairs.pearson - json_number_value(json_object_get(want, "pearson"))) < 1e-6);
    assert_int_equal(sc_word_space_pairs(s, "a b 1\na b x", 11, &pairs), SC_EFORMAT);
    assert_string_equal(sc_error(), "line 2 is not two words and a number");
    /* WordSim's commas and SimLex's columns, both with names of columns. */
    static const char commas[] = "Word 1,Word 2,Human (mean)\nking,queen,8.5\nking,man,7\r\nman,zzz,1\n",
                      columns[] =
                          "word1\tword2\tPOS\tSimLex999\tconc(w1)\nking\tqueen\tN\t8.5\t1\nking\tman\tN\t7\t2\n";
    assert_int_equal(sc_word_space_pairs(s, commas, sizeof commas - 1, &pairs), SC_OK);
    assert_int_equal(pairs.scored, 2);
    assert_int_equal(pairs.skipped, 1);
    assert_int_equal(sc_word_space_pairs(s, columns, sizeof columns - 1, &pairs), SC_OK);
    assert_int_equal(pairs.scored, 2);
    sc_free(text);
    sc_word_space_free(s);
    sc_vectors_free(v);
}

static void no_free(sc_buffer *b) { (void)b; }

static sc_status open_bytes(sc_vectors **v, const char *data, int64_t len)
{
    sc_buffer *b;
    assert_int_equal(sc_buffer_wrap(&b, (void *)(uintptr_t)data, len, no_free, NULL), SC_OK);
    sc_status s = sc_vectors_open_buffer(v, b, "input", 0);
    sc_buffer_unref(b);
    return s;
}

static void malformed_files_are_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"", "input: empty"},
        {"word\n", "input: the first line is no word with numbers"},
        {"a 1 2\nb 1\n", "input: line 2 is no word with 2 numbers"},
        {"a 1 2\nb 1 x\n", "input: line 2 is no word with 2 numbers"},
        {"a 1 nan\n", "input: line 1 is no word with 2 numbers"},
        {"a 1 1e99\n", "input: line 1 is no word with 2 numbers"},
        {"2 2\na 1 2\n", "input: 1 vectors where the first line says 2"},
        {"999999999 2\na 1 2\n", "input: 999999999 vectors of 2 numbers"},
        {"99999999 2\na 1 2\n", "input: too short for 99999999 vectors of 2 numbers"},
        {"0 2\na 1 2\n", "input: 0 vectors of 2 numbers"},
        {"1 99999999\na 1 2\n", "input: 1 vectors of 99999999 numbers"},
        {"2 2\na \1\2\3\4\5\6\7\1b \1\2\3", "input: ends within vector 2 of 2, or its word is too long"},
    };
    sc_vectors *v;
    (void)state;
    for (int i = 0; i < SC_COUNT(bad); i++) {
        if (open_bytes(&v, bad[i].text, (int64_t)strlen(bad[i].text)) != SC_EFORMAT)
            fail_msg("'%s' is taken", bad[i].text);
        assert_string_equal(sc_error(), bad[i].why);
    }
    /* What a word may look like, and numbers. */
    static const char odd[] = "1.5 1 -2e-3\r\n, +.5 7.\r\n";
    assert_int_equal(open_bytes(&v, odd, sizeof odd - 1), SC_OK);
    float x[2];
    assert_int_equal(sc_vectors_get(v, "1.5", 3, x), SC_OK);
    assert_true(x[0] == 1 && x[1] == -2e-3f);
    assert_int_equal(sc_vectors_get(v, ",", 1, x), SC_OK);
    assert_true(x[0] == 0.5f && x[1] == 7);
    sc_vectors_free(v);
}

/* Cut anywhere, and with any byte of its beginning changed, a file is refused or read, and nothing else. */
static void broken_binaries_do_no_harm(void **state)
{
    static const char *const files[] = {"sub.bin", "word2vec.bin", "word2vec.txt"};
    (void)state;
    for (int f = 0; f < SC_COUNT(files); f++) {
        int64_t len;
        char *data = read_data(files[f], &len);
        sc_vectors *v;
        float x[64];
        for (int64_t n = 0; n < len; n += 1 + len / 300) {
            char *cut = malloc((size_t)n + 1);
            memcpy(cut, data, (size_t)n);
            if (open_bytes(&v, cut, n) == SC_OK) sc_vectors_free(v);
            free(cut);
        }
        for (int64_t i = 0; i < SC_MIN(len, 250); i++) {
            char was = data[i];
            data[i] ^= (char)(1 << i % 8);
            if (open_bytes(&v, data, len) == SC_OK) {
                if (sc_vectors_width(v) <= SC_COUNT(x)) (void)sc_vectors_get(v, "king", 4, x);
                sc_vectors_free(v);
            }
            data[i] = was;
        }
        sc_free(data);
    }
}

static int set_up(void **state)
{
    json_error_t error;
    (void)state;
    answers = json_load_file(DATA "answers.json", 0, &error);
    return answers ? sc_context_new(&ctx, NULL) : 1;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(answers);
    sc_context_free(ctx);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fasttext_vectors_are_exact),  cmocka_unit_test(nearest_words_are_fasttext_s),
        cmocka_unit_test(formats_hold_the_same),       cmocka_unit_test(analogies_and_pairs_are_scored),
        cmocka_unit_test(malformed_files_are_refused), cmocka_unit_test(broken_binaries_do_no_harm),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
