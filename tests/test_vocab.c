/* SPDX-License-Identifier: Apache-2.0 */
/* Training of tokenizers: the merges of HuggingFace's trainers (tests/data/make_vocab.py), the same files for any number of
 * threads, Unigram's first pieces and steps against their definitions, texts that come back, and bad input. */
#include "socle/tokenizer.h"
#include "vocab/vocab.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define DATA SOCLE_SOURCE_DIR "/tests/data/vocab/"
#define TEXT DATA "text.txt"

static sc_context *ctx, *alone;
static char folder[64];

static char *in_folder(const char *name)
{
    static char path[64][256];
    static int next;
    char *p = path[next = (next + 1) % 64];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static const char *written(const char *name, const char *p, int64_t n)
{
    const char *path = in_folder(name);
    assert_int_equal(sc_file_write(path, p, n), SC_OK);
    return path;
}

static const char *text_file(const char *name, const char *text)
{
    return written(name, text, (int64_t)strlen(text));
}

/* Trains on one file into folder/name; the tokenizer.json. */
static json_t *trained(sc_context *c, sc_tokenizer_recipe r, const char *file, const char *name,
                       sc_tokenizer_report *report)
{
    char path[320];
    json_t *o = NULL;
    r.file = &file;
    r.files = 1;
    if (sc_tokenizer_train(&r, c, in_folder(name), report)) fail_msg("%s: %s", r.kind, sc_error());
    snprintf(path, sizeof path, "%s/tokenizer.json", in_folder(name));
    assert_int_equal(sc_json_read(&o, path, 64 << 20), SC_OK);
    return o;
}

static void refused(sc_tokenizer_recipe r, const char *file, sc_status status, const char *says)
{
    r.file = file ? &file : NULL;
    r.files = file != NULL;
    sc_status s = sc_tokenizer_train(&r, ctx, in_folder("refused"), NULL);
    if (s != status || !strstr(sc_error(), says))
        fail_msg("%d, '%s'; wanted %d, '%s'", s, sc_error(), status, says);
    assert_false(sc_path_exists(in_folder("refused")));
}

static sc_tokenizer *opened(const char *name)
{
    sc_tokenizer *t;
    if (sc_tokenizer_load(&t, in_folder(name))) fail_msg("%s", sc_error());
    return t;
}

/* ---- the same as HuggingFace's trainers ---- */

static const char *string_of(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static sc_tokenizer_recipe recipe_of(const json_t *o, const char *special[])
{
    const json_t *list = json_object_get(o, "special");
    for (size_t i = 0; i < json_array_size(list); i++) special[i] = json_string_value(json_array_get(list, i));
    return (sc_tokenizer_recipe){
        .kind = string_of(o, "kind"),
        .size = json_integer_value(json_object_get(o, "size")),
        .pattern = string_of(o, "pattern"),
        .initial_alphabet = string_of(o, "initial_alphabet"),
        .special = special,
        .specials = (int)json_array_size(list),
        .limit_alphabet = json_integer_value(json_object_get(o, "limit_alphabet")),
        .coverage = json_number_value(json_object_get(o, "coverage")),
        .no_byte_fallback = json_is_true(json_object_get(o, "no_byte_fallback")),
        .min_frequency = json_integer_value(json_object_get(o, "min_frequency")),
        .max_token_length = json_integer_value(json_object_get(o, "max_token_length")),
    };
}

static void the_merges_are_huggingface_s(void **state)
{
    json_t *golden = NULL;
    (void)state;
    assert_int_equal(sc_json_read(&golden, DATA "golden.json", 1 << 20), SC_OK);
    for (size_t i = 0; i < json_array_size(golden); i++) {
        const char *special[512];
        const json_t *want = json_array_get(golden, i), *vocab = json_object_get(want, "vocab"),
                     *merges = json_object_get(want, "merges");
        json_t *got = trained(ctx, recipe_of(json_object_get(want, "recipe"), special), TEXT, "golden", NULL);
        const json_t *model = json_object_get(got, "model"), *ids = json_object_get(model, "vocab"),
                     *list = json_object_get(model, "merges");
        assert_int_equal(json_object_size(ids), json_array_size(vocab));
        for (size_t k = 0; k < json_array_size(vocab); k++) {
            const char *token = json_string_value(json_array_get(vocab, k));
            const json_t *id = json_object_get(ids, token);
            if (!id || json_integer_value(id) != (json_int_t)k)
                fail_msg("case %d: token %d is not '%s'", (int)i, (int)k, token);
        }
        assert_int_equal(json_array_size(list), json_array_size(merges));
        for (size_t k = 0; k < json_array_size(merges); k++) {
            const json_t *pair = json_array_get(merges, k);
            char text[256];
            snprintf(text, sizeof text, "%s %s", json_string_value(json_array_get(pair, 0)),
                     json_string_value(json_array_get(pair, 1)));
            assert_string_equal(json_string_value(json_array_get(list, k)), text);
        }
        json_decref(got);
    }
    json_decref(golden);
}

static void any_number_of_threads_gives_the_same(void **state)
{
    static const char *const kinds[] = {"byte-bpe", "bpe", "unigram", "wordpiece"};
    (void)state;
    for (int i = 0; i < SC_COUNT(kinds); i++) {
        json_t *a = trained(alone, (sc_tokenizer_recipe){.kind = kinds[i], .size = 700}, TEXT, "a", NULL);
        json_t *b = trained(ctx, (sc_tokenizer_recipe){.kind = kinds[i], .size = 700}, TEXT, "b", NULL);
        assert_true(json_equal(a, b));
        json_decref(a);
        json_decref(b);
    }
}

/* ---- counts ---- */

static sc_status count_words(sc_train_words *w, const char *const *words, const int64_t *counts, int n)
{
    *w = (sc_train_words){.table = sc_calloc(1, sizeof *w->table), .tables = 1, .distinct = n};
    sc_status s = SC_OK;
    for (int i = 0; i < n && !s; i++) s = sc_census_add(w->table, words[i], (int64_t)strlen(words[i]), counts[i]);
    return s;
}

/* Pairs of which 32 bits would keep too little, or a negative count. */
static void counts_have_64_bits(void **state)
{
    static const char *const words[] = {"ab", "cd", "ef", "gh"};
    static const int64_t counts[] = {(1LL << 32) + 5, 1LL << 31, (1LL << 40) + 1, 7};
    static const char *const want[] = {"ef", "ab", "cd", "gh"};
    const char *file = "-";
    sc_tokenizer_recipe in = {.kind = "bpe", .size = 15, .file = &file, .files = 1, .no_byte_fallback = true};
    sc_recipe *r = malloc(sizeof *r);
    sc_train_words w;
    sc_token_list l;
    sc_characters c;
    (void)state;
    assert_int_equal(sc_recipe_read(r, &in), SC_OK);
    assert_int_equal(count_words(&w, words, counts, 4), SC_OK);
    assert_int_equal(sc_token_list_begin(&l), SC_OK);
    assert_int_equal(sc_characters_choose(&c, &l, &w, r), SC_OK);
    assert_int_equal(l.n, 8);
    assert_int_equal(c.occurrences, 2 * (counts[0] + counts[1] + counts[2] + counts[3]));
    assert_int_equal(sc_merges_learn(&l, ctx, &w, &c, r), SC_OK);
    assert_int_equal(l.merges, 4);
    for (int i = 0; i < 4; i++) assert_memory_equal(l.text[8 + i].p, want[i], 2);
    sc_characters_free(&c);
    sc_token_list_free(&l);
    sc_train_words_free(&w);
    free(r);
}

static void what_words_may_take_is_limited(void **state)
{
    sc_str text = {0};
    (void)state;
    for (int i = 0; i < 200000; i++) sc_str_printf(&text, "w%dx%d ", i, i * 7);
    const char *file = written("many.txt", text.p, text.len);
    sc_str_free(&text);
    refused((sc_tokenizer_recipe){.kind = "byte-bpe", .memory = 4 << 20}, file, SC_ELIMIT, "MB of memory");
}

/* ---- Unigram ---- */

enum { WORDS = 60, LONGEST = 5 };

/* Words over few letters, so that everything is found often; all different. */
static void made_words(char word[WORDS][16], int64_t count[WORDS])
{
    sc_rng rng = sc_rng_make(11, 0);
    for (int i = 0; i < WORDS; i++) {
        bool again = true;
        while (again) {
            int n = 1 + (int)(sc_rng_u32(&rng) % 9);
            for (int k = 0; k < n; k++) word[i][k] = (char)('a' + sc_rng_u32(&rng) % 3);
            word[i][n] = 0;
            again = false;
            for (int k = 0; k < i; k++) again |= strcmp(word[i], word[k]) == 0;
        }
        count[i] = 1 + sc_rng_u32(&rng) % 5;
    }
}

/* How often p[0..n) is found; *ends: different things that follow it, an end being one of them. */
static int64_t found(char word[WORDS][16], const int64_t *count, const char *p, int n, int *follows)
{
    int64_t sum = 0;
    bool after[256] = {0};
    *follows = 0;
    for (int i = 0; i < WORDS; i++)
        for (int k = 0; k + n <= (int)strlen(word[i]); k++) {
            if (memcmp(word[i] + k, p, (size_t)n) != 0) continue;
            sum += count[i];
            after[(unsigned char)word[i][k + n]] = true;
        }
    for (int i = 0; i < 256; i++) *follows += after[i];
    return sum;
}

static void seed_of(sc_seed *x, char word[WORDS][16], const int64_t *count, int64_t size)
{
    sc_word_stream w = {.u = malloc(WORDS * 16 * sizeof(uint32_t))};
    for (int i = 0; i < WORDS; i++) {
        uint32_t n = (uint32_t)strlen(word[i]);
        w.u[w.n++] = (uint32_t)count[i];
        w.u[w.n++] = 0;
        w.u[w.n++] = n;
        for (uint32_t k = 0; k < n; k++) w.u[w.n++] = (uint32_t)(word[i][k] - 'a');
        w.words++;
    }
    assert_int_equal(sc_seed_make(x, &w, 3, LONGEST, size), SC_OK);
    free(w.u);
}

static bool is_piece(const sc_seed *x, const char *p, int n, int64_t *id)
{
    for (*id = 0; *id < x->pieces; ++*id) {
        bool same = x->piece[*id].length == n;
        for (int k = 0; same && k < n; k++)
            same = x->symbol[x->where[*id] + (uint32_t)k] == (uint32_t)(p[k] - 'a' + 1);
        if (same) return true;
    }
    return false;
}

/* All substrings that are found twice and are not always followed by the same letter, and no others. A substring at the end
 * of the longest that are looked at may be followed by one letter alone. */
static void first_pieces_are_all_substrings_that_count(void **state)
{
    char word[WORDS][16];
    int64_t count[WORDS], id, pieces = 3;
    sc_seed x;
    (void)state;
    made_words(word, count);
    seed_of(&x, word, count, 1000000);
    for (int n = 2; n <= LONGEST; n++) {
        int all = 1;
        for (int k = 0; k < n; k++) all *= 3;
        for (int code = 0; code < all; code++) {
            char p[8] = {0};
            int follows, rest = code;
            for (int k = 0; k < n; k++, rest /= 3) p[k] = (char)('a' + rest % 3);
            int64_t freq = found(word, count, p, n, &follows);
            bool want = freq >= 2 && (follows > 1 || n == LONGEST), whole = false;
            for (int i = 0; i < WORDS; i++) { /* or that only ends words follow */
                size_t len = strlen(word[i]);
                if (len >= (size_t)n && memcmp(word[i] + len - (size_t)n, p, (size_t)n) == 0) whole = true;
            }
            want |= freq >= 2 && whole;
            bool got = is_piece(&x, p, n, &id);
            if (n == LONGEST && !whole && follows == 1 && !got)
                continue; /* one suffix alone, longer than LONGEST */
            if (got != want)
                fail_msg("%s: found %d times, %d things follow: %s", p, (int)freq, follows,
                         got ? "there" : "not there");
            if (got) assert_true(x.freq[id] == (double)freq);
            pieces += got;
        }
    }
    assert_int_equal(x.pieces, pieces);
    sc_seed_free(&x);
}

/* At each place the chain of pieces is all pieces that begin there, the longest first. */
static void chains_have_all_pieces_at_a_place(void **state)
{
    char word[WORDS][16];
    int64_t count[WORDS];
    sc_seed x;
    (void)state;
    made_words(word, count);
    seed_of(&x, word, count, 40); /* of which some are left out */
    assert_true(x.pieces <= 43 && x.pieces > 30);
    for (int64_t at = 0; at < x.symbols; at++) {
        if (!x.symbol[at]) continue;
        int32_t id = x.longest[at];
        for (int n = LONGEST; n >= 1; n--) {
            char p[8] = {0};
            int64_t want;
            int k = 0;
            for (; k < n && x.symbol[at + k]; k++) p[k] = (char)('a' + x.symbol[at + k] - 1);
            if (k < n || !is_piece(&x, p, n, &want)) continue;
            assert_int_equal(id, want);
            id = x.piece[id].parent;
        }
        assert_int_equal(id, -1);
    }
    sc_seed_free(&x);
}

/* A language whose words are five of ten parts each: the parts are found, and their scores are their shares. */
static void unigram_finds_the_parts_of_a_language(void **state)
{
    static const char *const parts[] = {"korp", "dail", "sunte", "vig", "mobro", "ax", "est", "uly", "onto", "ing"};
    sc_str text = {0};
    sc_rng rng = sc_rng_make(3, 0);
    (void)state;
    for (int i = 0; i < 4000; i++) {
        for (int k = 0; k < 5; k++) sc_str_puts(&text, parts[sc_rng_u32(&rng) % 10]);
        sc_str_putc(&text, '\n');
    }
    sc_tokenizer_recipe r = {.kind = "unigram", .size = 32, .no_byte_fallback = true, .no_prefix_space = true};
    const char *file = written("language.txt", text.p, text.len);
    sc_str_free(&text);
    json_t *o = trained(ctx, r, file, "language", NULL);
    const json_t *vocab = json_object_get(json_object_get(o, "model"), "vocab");
    bool met[10] = {0};
    for (size_t i = 0; i < json_array_size(vocab); i++) {
        const char *piece = json_string_value(json_array_get(json_array_get(vocab, i), 0));
        double score = json_number_value(json_array_get(json_array_get(vocab, i), 1));
        if (i < 3) assert_true(score < -100); /* special */
        if (i > 3) assert_true(score <= json_number_value(json_array_get(json_array_get(vocab, i - 1), 1)));
        for (int k = 0; k < 10; k++) {
            if (strcmp(piece, parts[k]) != 0) continue;
            met[k] = true;
            if (fabs(score - log(0.1)) > 0.1) fail_msg("%s: %g, not %g", piece, score, log(0.1));
        }
    }
    for (int k = 0; k < 10; k++)
        if (!met[k]) fail_msg("%s was not found", parts[k]);
    json_decref(o);
}

/* ---- texts come back ---- */

static void texts_come_back(void **state)
{
    static const char *const kinds[] = {"byte-bpe", "bpe", "unigram"};
    static const char *const texts[] = {"",
                                        "plain words",
                                        "  two  spaces ",
                                        "서울 사람\n\ttab",
                                        "\xf0\x9f\x98\x80 <0x41> ▁ </s>",
                                        "中文 \x01\x7f caf\xc3\xa9",
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    (void)state;
    for (int i = 0; i < SC_COUNT(kinds); i++) {
        json_decref(trained(ctx, (sc_tokenizer_recipe){.kind = kinds[i], .size = 600, .no_prefix_space = true},
                            TEXT, "back", NULL));
        sc_tokenizer *t = opened("back");
        for (int k = 0; k < SC_COUNT(texts); k++) {
            if (i > 0 && strstr(texts[k], "▁")) continue; /* which stands for the space there */
            int32_t *ids;
            int64_t n, len;
            char *text;
            assert_int_equal(sc_tokenizer_encode(t, texts[k], (int64_t)strlen(texts[k]), 0, &ids, &n), SC_OK);
            assert_int_equal(sc_tokenizer_decode(t, ids, n, 0, &text, &len), SC_OK);
            assert_string_equal(text, texts[k]);
            for (int64_t j = 0; j < n; j++) assert_false(sc_tokenizer_is_special(t, ids[j]));
            sc_free(ids);
            sc_free(text);
        }
        sc_tokenizer_free(t);
    }
}

static void special_tokens_have_their_places(void **state)
{
    static const char *const special[] = {"<|begin_of_text|>", "<|tool|>", "<|end_of_text|>"};
    char path[320];
    json_t *config = NULL;
    (void)state;
    json_decref(trained(ctx,
                        (sc_tokenizer_recipe){.kind = "byte-bpe",
                                              .size = 300,
                                              .pattern = "qwen2",
                                              .special = special,
                                              .specials = 3,
                                              .pad = "<|pad|>",
                                              .add_bos = true,
                                              .add_eos = true,
                                              .chat_template = "{{ x }}"},
                        TEXT, "special", NULL));
    snprintf(path, sizeof path, "%s/tokenizer_config.json", in_folder("special"));
    assert_int_equal(sc_json_read(&config, path, 1 << 20), SC_OK);
    assert_string_equal(string_of(config, "bos_token"), special[0]);
    assert_string_equal(string_of(config, "eos_token"), special[2]);
    assert_string_equal(string_of(config, "pad_token"), "<|pad|>");
    assert_string_equal(string_of(config, "chat_template"), "{{ x }}");
    assert_null(json_object_get(config, "unk_token"));
    json_decref(config);
    sc_tokenizer *t = opened("special");
    int32_t *ids;
    int64_t n;
    for (int i = 0; i < 3; i++) assert_int_equal(sc_tokenizer_id(t, special[i], (int64_t)strlen(special[i])), i);
    assert_int_equal(sc_tokenizer_id(t, "<|pad|>", 7), 3);
    assert_int_equal(sc_tokenizer_bos(t), 0);
    assert_int_equal(sc_tokenizer_eos(t), 2);
    assert_int_equal(
        sc_tokenizer_encode(t, "<|tool|>", 8, SC_TOKENIZE_SPECIAL | SC_TOKENIZE_PARSE_SPECIAL, &ids, &n), SC_OK);
    assert_int_equal(n, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(ids[i], i);
    sc_free(ids);
    sc_tokenizer_free(t);
}

/* ---- files ---- */

static void kinds_of_files_give_the_same(void **state)
{
    sc_str lines = {0}, records = {0};
    sc_tokenizer_report a, b, c;
    (void)state;
    for (int i = 0; i < 400; i++) {
        sc_str_printf(&lines, "line %d of some text\r\n", i % 7);
        sc_str_printf(&records, "{\"id\": %d, \"body\": \"line %d of some text\"}\n\n", i, i % 7);
    }
    sc_tokenizer_recipe r = {.kind = "bpe", .size = 300, .field = "body"};
    json_t *x = trained(ctx, r, written("l.txt", lines.p, lines.len), "x", &a);
    json_t *y = trained(ctx, r, written("r.jsonl", records.p, records.len), "y", &b);
    sc_str_puts(&lines, "\xef\xbb\xbf");
    char *marked = malloc((size_t)lines.len);
    memcpy(marked, "\xef\xbb\xbf", 3);
    memcpy(marked + 3, lines.p, (size_t)lines.len - 3);
    json_t *z = trained(ctx, r, written("m.txt", marked, lines.len), "z", &c);
    assert_true(json_equal(x, y) && json_equal(x, z));
    assert_true(a.words == b.words && a.words == c.words && a.words == 400 * 5);
    assert_true(a.records == 400 && b.records == 400);
    free(marked);
    json_decref(x);
    json_decref(y);
    json_decref(z);
    sc_str_free(&lines);
    sc_str_free(&records);
}

/* A line of several blocks without an end, with and without spaces: all of it is counted, cut near spaces. */
static void long_lines_are_cut(void **state)
{
    sc_tokenizer_report report;
    sc_str text = {0};
    (void)state;
    for (int i = 0; text.len < 5 << 20; i++) sc_str_printf(&text, "%s ", i % 3 ? "word" : "사람");
    json_decref(trained(ctx, (sc_tokenizer_recipe){.kind = "byte-bpe", .size = 262},
                        written("long.txt", text.p, text.len), "long", &report));
    assert_int_equal(report.bytes, text.len);
    assert_int_equal(report.distinct, 4); /* the first has no space before it, the last is a space */
    sc_str_free(&text);
    for (int i = 0; i < 1 << 20; i++) sc_str_puts(&text, "가");
    json_decref(trained(ctx, (sc_tokenizer_recipe){.kind = "unigram", .size = 270},
                        written("one.txt", text.p, text.len), "one", &report));
    assert_int_equal(report.bytes, text.len);
    assert_int_equal(report.invalid, 0);
    sc_str_free(&text);
}

static void bad_input_is_named(void **state)
{
    sc_tokenizer_report report;
    sc_tokenizer_recipe bytes = {.kind = "byte-bpe"}, small = {.kind = "byte-bpe", .size = 256};
    const char *words = text_file("w.txt", "some words\n");
    (void)state;
    refused((sc_tokenizer_recipe){.kind = "bpf"}, words, SC_EINVAL, "bpf: byte-bpe, bpe, unigram or wordpiece");
    refused(bytes, NULL, SC_EINVAL, "no file");
    refused(bytes, in_folder("none.txt"), SC_ENOTFOUND, "none.txt");
    refused(bytes, folder, SC_EINVAL, "not a regular file");
    refused(bytes, text_file("empty.txt", ""), SC_EINVAL, "no text");
    refused(bytes, text_file("spaces.jsonl", "\n \n"), SC_EINVAL, "no text");
    refused(small, words, SC_EINVAL, "256 tokens has no room for the 257");
    refused((sc_tokenizer_recipe){.kind = "unigram", .size = 260}, words, SC_EINVAL, "no room for the 267");
    refused((sc_tokenizer_recipe){.kind = "byte-bpe", .size = 1 << 22}, words, SC_EINVAL, "are possible");
    refused(bytes, text_file("a.jsonl", "{\"text\": \"x\"}\n{\"body\": 1}\n"), SC_EFORMAT,
            "line 2 has no text \"text\"");
    refused(bytes, text_file("b.jsonl", "{\"text\": \"x\"}\n\n{\"te"), SC_EFORMAT, "line 3");
    refused(bytes, text_file("c.gz", "\x1f\x8b\x08\x04 cut"), SC_EFORMAT, "c.gz");
    refused((sc_tokenizer_recipe){.kind = "byte-bpe", .pattern = "(a"}, words, SC_EFORMAT, "regular expression");
    refused((sc_tokenizer_recipe){.kind = "byte-bpe", .normalizer = "nfz"}, words, SC_EINVAL, "nfz");
    refused((sc_tokenizer_recipe){.kind = "byte-bpe", .normalizer = "{}"}, words, SC_EFORMAT, "without a type");
    refused((sc_tokenizer_recipe){.kind = "bpe", .pattern = "gpt2"}, words, SC_EINVAL, "byte-bpe's alone");
    refused((sc_tokenizer_recipe){.kind = "bpe", .special = (const char *[]){""}, .specials = 1}, words, SC_EINVAL,
            "special token 1");
    refused((sc_tokenizer_recipe){.kind = "bpe", .special = (const char *[]){"\xff"}, .specials = 1}, words,
            SC_EINVAL, "UTF-8");
    refused(
        (sc_tokenizer_recipe){
            .kind = "byte-bpe", .special = (const char *[]){"<x>"}, .specials = 1, .add_bos = true},
        words, SC_EINVAL, "bos_token");
    refused((sc_tokenizer_recipe){.kind = "unigram", .shrink = 1}, words, SC_EINVAL, "shrink");
    refused((sc_tokenizer_recipe){.kind = "unigram", .max_token_length = 65}, words, SC_EINVAL, "64 characters");
    refused((sc_tokenizer_recipe){.kind = "bpe", .coverage = 1.5}, words, SC_EINVAL, "coverage");
    json_decref(trained(ctx, (sc_tokenizer_recipe){.kind = "byte-bpe", .size = 300},
                        text_file("odd.txt", "ab\xff\xfe cd \xe2\x82 \xef\xbf\xbd\n"), "odd", &report));
    assert_int_equal(report.invalid, 4);
    json_decref(trained(ctx, (sc_tokenizer_recipe){.kind = "bpe", .size = 300, .coverage = 1},
                        written("nul.txt", "a\0b a\0b\n", 8), "nul", &report)); /* NUL is no token */
    assert_int_equal(report.left_out, 0);
    sc_tokenizer_free(opened("nul"));
}

static void work_can_be_stopped(void **state)
{
    const char *file = TEXT;
    sc_tokenizer_recipe r = {.kind = "byte-bpe", .file = &file, .files = 1};
    (void)state;
    sc_context_cancel(ctx);
    assert_int_equal(sc_tokenizer_train(&r, ctx, in_folder("refused"), NULL), SC_ECANCELLED);
    sc_context_resume(ctx);
    assert_false(sc_path_exists(in_folder("refused")));
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/socle-vocab-XXXXXX");
    return !mkdtemp(folder) || sc_context_new(&ctx, &(sc_context_options){.threads = 3}) ||
           sc_context_new(&alone, &(sc_context_options){.threads = 1});
}

static int tear_down(void **state)
{
    char line[128];
    (void)state;
    sc_context_free(ctx);
    sc_context_free(alone);
    snprintf(line, sizeof line, "rm -r %s", folder);
    return system(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_merges_are_huggingface_s),
        cmocka_unit_test(any_number_of_threads_gives_the_same),
        cmocka_unit_test(counts_have_64_bits),
        cmocka_unit_test(what_words_may_take_is_limited),
        cmocka_unit_test(first_pieces_are_all_substrings_that_count),
        cmocka_unit_test(chains_have_all_pieces_at_a_place),
        cmocka_unit_test(unigram_finds_the_parts_of_a_language),
        cmocka_unit_test(texts_come_back),
        cmocka_unit_test(special_tokens_have_their_places),
        cmocka_unit_test(kinds_of_files_give_the_same),
        cmocka_unit_test(long_lines_are_cut),
        cmocka_unit_test(bad_input_is_named),
        cmocka_unit_test(work_can_be_stopped),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
