/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers against hostile files: what is malformed is refused by name, and no file makes little text into much memory or
 * time. */
#include "text/text.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DATA SOCLE_SOURCE_DIR "/tests/data/tokenizers/"

static void refuses(const char *json, sc_status status, const char *part)
{
    sc_tokenizer *t = NULL;
    sc_status s = sc_tokenizer_from_json(&t, json, (int64_t)strlen(json), "t.json");
    if (s != status || !strstr(sc_error(), part) || strchr(sc_error(), '\n'))
        fail_msg("%s\n  gave %d: %s", json, s, s ? sc_error() : "");
    sc_tokenizer_free(t);
}

static void refuses_bad_files(void **state)
{
    (void)state;
#define BPE(rest) "{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,\"ab\":2},\"merges\":[\"a b\"]}" rest "}"
    refuses("", SC_EFORMAT, "t.json");
    refuses("[]", SC_EFORMAT, "model");
    refuses("{\"model\":{\"type\":\"Words\",\"vocab\":{}}}", SC_EUNSUPPORTED, "Words");
    refuses("{\"model\":{\"type\":\"WordPiece\",\"vocab\":{}}}", SC_EFORMAT, "unk_token");
    refuses("{\"model\":{\"type\":\"Unigram\",\"vocab\":[]}}", SC_EFORMAT, "vocab");
    refuses("{\"model\":{\"type\":\"Unigram\",\"unk_id\":1,\"vocab\":[[\"a\",0]]}}", SC_EFORMAT, "unk_id");
    refuses("{\"model\":{\"type\":\"Unigram\",\"vocab\":[[\"a\",\"b\"]]}}", SC_EFORMAT, "item 0");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":99999999999},\"merges\":[]}}", SC_ELIMIT, "99999999999");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}", SC_ELIMIT, "-1");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[\"a b\"]}}", SC_EFORMAT, "item 0");
    refuses("{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[[\"a\"]]}}", SC_EFORMAT, "item 0");
    refuses(BPE(",\"normalizer\":{\"type\":\"Precompiled\"}"), SC_EFORMAT, "Precompiled");
    refuses(BPE(",\"normalizer\":{}"), SC_EFORMAT, "type");
    refuses(BPE(",\"pre_tokenizer\":{\"type\":\"Nonesuch\"}"), SC_EUNSUPPORTED, "Nonesuch");
    refuses(BPE(",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"(\"}}"), SC_EFORMAT,
            "regular expression");
    refuses(BPE(",\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a&&b]\"}}"), SC_EUNSUPPORTED,
            "intersection");
    refuses(BPE(",\"decoder\":{\"type\":\"Nonesuch\"}"), SC_EUNSUPPORTED, "Nonesuch");
    refuses(BPE(",\"post_processor\":{\"type\":\"BertProcessing\",\"sep\":[\"x\",7],\"cls\":[\"x\",0]}"),
            SC_EFORMAT, "id");
    refuses(BPE(",\"padding\":{\"strategy\":{\"Fixed\":2147483647}}"), SC_ELIMIT, "Fixed");
    refuses(BPE(",\"padding\":{\"pad_to_multiple_of\":2147483647}"), SC_ELIMIT, "pad_to_multiple_of");
    refuses(BPE(",\"added_tokens\":[{\"id\":1,\"content\":\"zz\"}]"), SC_EFORMAT, "another");
    sc_tokenizer *t = NULL;
    assert_int_equal(sc_tokenizer_load(&t, DATA "nonesuch"), SC_ENOTFOUND);
    assert_int_equal(sc_tokenizer_load(&t, SOCLE_SOURCE_DIR "/tests"), SC_ENOTFOUND);
    const char *ranks = "IQ== 0\nIg== 1\n";
    assert_int_equal(sc_tokenizer_from_spm(&t, ranks, (int64_t)strlen(ranks), "r"), SC_EFORMAT);
    assert_non_null(strstr(sc_error(), "byte 0x00"));
}

static void survives_cut_models(void **state)
{
    (void)state;
    int64_t len, n;
    char *data;
    assert_int_equal(sc_file_read(&data, &len, DATA "bpe.model", 1 << 20), SC_OK);
    for (int64_t i = 0; i < len; i += 7) {
        sc_tokenizer *t = NULL;
        char *exact = malloc((size_t)i + 1);
        memcpy(exact, data, (size_t)i);
        if (sc_tokenizer_from_spm(&t, exact, i, "cut") == SC_OK) {
            int32_t *ids;
            if (sc_tokenizer_encode(t, "The quick", 9, SC_TOKENIZE_SPECIAL, &ids, &n) == SC_OK) sc_free(ids);
        }
        free(exact);
        sc_tokenizer_free(t);
    }
    sc_free(data);
}

/* The kind of a file is in its name where its content says nothing. */
static void names_the_right_format(void **state)
{
    (void)state;
    static const struct {
        const char *name, *text, *part;
    } files[] = {{"tokenizer.json", "", "tokenizer.json: line 1"},
                 {"tokenizer.json", "[]", "model: expected an object"},
                 {"vocab.json", "{\"a\": 0, \"b\": 1, \"ab\": 2}", "merges.txt: line 2 is not UTF-8"}};
    char dir[] = "/tmp/socle-hostile-XXXXXX";
    sc_tokenizer *t;
    assert_non_null(mkdtemp(dir));
    char *merges = sc_path_join(dir, "merges.txt");
    assert_int_equal(sc_file_write(merges, "#version: 0.2\n\xff b\n", 18), SC_OK);
    for (int i = 0; i < SC_COUNT(files); i++) {
        char *path = sc_path_join(dir, files[i].name);
        assert_int_equal(sc_file_write(path, files[i].text, (int64_t)strlen(files[i].text)), SC_OK);
        assert_int_equal(sc_tokenizer_load(&t, dir), SC_EFORMAT);
        if (!strstr(sc_error(), files[i].part)) fail_msg("%s: %s", files[i].part, sc_error());
        assert_int_equal(remove(path), 0);
        sc_free(path);
    }
    assert_int_equal(remove(merges), 0);
    assert_int_equal(remove(dir), 0);
    sc_free(merges);
}

static sc_tokenizer *make(json_t *root)
{
    sc_tokenizer *t = NULL;
    assert_non_null(root);
    if (sc_tokenizer_from_root(&t, root, "hostile") != SC_OK) fail_msg("%s", sc_error());
    json_decref(root);
    return t;
}

/* Steps in a row that each make 4096 bytes of one. */
static void decoders_do_not_swell(void **state)
{
    (void)state;
    char many[4097];
    memset(many, 'a', 4096);
    many[4096] = 0;
    json_t *steps = json_array();
    for (int i = 0; i < 8; i++)
        json_array_append_new(
            steps, json_pack("{s:s,s:{s:s},s:s}", "type", "Replace", "pattern", "String", "a", "content", many));
    sc_tokenizer *t = make(json_pack("{s:{s:s,s:{s:i},s:[]},s:{s:s,s:o}}", "model", "type", "BPE", "vocab", "a", 0,
                                     "merges", "decoder", "type", "Sequence", "decoders", steps));
    char *text;
    int64_t len;
    assert_int_equal(sc_tokenizer_decode(t, (int32_t[]){0}, 1, 0, &text, &len), SC_ELIMIT);
    assert_non_null(strstr(sc_error(), "a decoder makes"));
    sc_tokenizer_free(t);
}

/* A character map whose one text is 4 MiB, and one whose tree goes round for ever, in a model that takes the longest match. */
static void character_maps_are_bounded(void **state)
{
    (void)state;
    enum { UNITS = 1024, TEXT = 4 << 20, N = 200000 };
    uint32_t *blob = calloc(1, 4 + 4 * UNITS + TEXT + 1), *unit = blob + 1;
    int32_t *ids;
    int64_t n;
    char *text = malloc(N);
    assert_non_null(blob);
    assert_non_null(text);
    memset(text, 'a', N);
    blob[0] = 4 * UNITS;
    memset(unit + UNITS, 'x', TEXT);
    unit[0] = 512 << 10; /* children at 512 ^ byte */
    unit[512 ^ 'a'] = (uint32_t)((512 ^ 'a') ^ 300) << 10 | 0x100 | 'a';
    unit[300] = 1u << 31; /* the text at 0 */
    const float scores[] = {0, -1};
    const int32_t types[] = {2, 1};
    const sc_slice tokens[] = {{"<unk>", 5}, {"x", 1}};
    sc_gguf_vocab v = {.model = "t5",
                       .n = 2,
                       .tokens = tokens,
                       .types = types,
                       .scores = scores,
                       .bos = -1,
                       .eos = -1,
                       .pad = -1,
                       .unk = 0,
                       .cls = -1,
                       .sep = -1,
                       .charsmap = (const uint8_t *)blob,
                       .charsmap_n = 4 + 4 * UNITS + TEXT + 1};
    sc_tokenizer *t;
    assert_int_equal(sc_tokenizer_from_gguf_vocab(&t, &v, "hostile"), SC_OK);
    assert_int_equal(sc_tokenizer_encode(t, text, 100, 0, &ids, &n), SC_ELIMIT);
    assert_non_null(strstr(sc_error(), "a normalizer makes"));
    sc_tokenizer_free(t);
    unit[512 ^ 'a'] = (uint32_t)'a' << 10 | 'a'; /* its child by 'a' is itself; quadratic, were keys not bounded */
    assert_int_equal(sc_tokenizer_from_gguf_vocab(&t, &v, "hostile"), SC_OK);
    assert_int_equal(sc_tokenizer_encode(t, text, N, 0, &ids, &n), SC_OK);
    sc_free(ids);
    sc_tokenizer_free(t);
    free(text);
    free(blob);
}

/* Tokens whose tree leaves holes that nothing fits: a second, where trying all of them took 40. */
static void trees_are_built_in_linear_time(void **state)
{
    (void)state;
    json_t *vocab = json_array();
    uint64_t seed = 1;
    for (int i = 0; i < 40000; i++)
        for (int k = 0; k < 8; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            char text[5] = {(char)(35 + i % 50), (char)(35 + i / 50 % 50), (char)(35 + i / 2500),
                            (char)(35 + (seed >> 33) % 50)};
            json_array_append_new(vocab, json_pack("[s,i]", text, -1));
        }
    sc_tokenizer *t = make(json_pack("{s:{s:s,s:i,s:o}}", "model", "type", "Unigram", "unk_id", 0, "vocab", vocab));
    sc_tokenizer_free(t);
}

/* The spaces that an added token takes along may hold another one: its span is its own, as HuggingFace has it. */
static void spans_of_added_tokens_are_not_turned_round(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int n;
        sc_token_span span[8];
    } cases[] = {{"<m>    a", 4, {{0, 7}, {3, 5}, {5, 7}, {7, 8}}},
                 {"a<m>   b<m>  ", 7, {{0, 1}, {1, 7}, {4, 6}, {6, 7}, {7, 8}, {8, 13}, {11, 13}}}};
    sc_tokenizer *t =
        make(json_pack("{s:{s:s,s:{s:i,s:i,s:i},s:[]},s:[{s:i,s:s,s:b,s:b},{s:i,s:s,s:b}]}", "model", "type", "BPE",
                       "vocab", "a", 0, "b", 1, " ", 2, "merges", "added_tokens", "id", 3, "content", "<m>",
                       "rstrip", 1, "normalized", 0, "id", 4, "content", "  ", "normalized", 0));
    for (int i = 0; i < SC_COUNT(cases); i++) {
        int32_t *ids;
        sc_token_span *spans;
        int64_t n;
        assert_int_equal(
            sc_tokenizer_encode_spans(t, cases[i].text, (int64_t)strlen(cases[i].text), 0, &ids, &spans, &n),
            SC_OK);
        assert_int_equal(n, cases[i].n);
        assert_memory_equal(spans, cases[i].span, (size_t)n * sizeof(*spans));
        sc_free(ids);
        sc_free(spans);
    }
    sc_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_bad_files),
        cmocka_unit_test(survives_cut_models),
        cmocka_unit_test(names_the_right_format),
        cmocka_unit_test(decoders_do_not_swell),
        cmocka_unit_test(character_maps_are_bounded),
        cmocka_unit_test(trees_are_built_in_linear_time),
        cmocka_unit_test(spans_of_added_tokens_are_not_turned_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
