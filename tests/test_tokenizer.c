/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers against what HuggingFace's tokenizers, sentencepiece and llama.cpp say (tests/data/make_tokenizers.py), and
 * against hostile files. */
#include "socle/gguf.h"
#include "text/text.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define DATA SOCLE_SOURCE_DIR "/tests/data/tokenizers/"

static char *slurp(const char *path, int64_t *len)
{
    char *data = NULL;
    if (sc_file_read(&data, len, path, 64 << 20) != SC_OK) fail_msg("%s", sc_error());
    return data;
}

static json_t *slurp_json(const char *path)
{
    json_t *j = NULL;
    if (sc_json_read(&j, path, 64 << 20) != SC_OK) fail_msg("%s", sc_error());
    return j;
}

/* Sets "a.b" in the file's object. */
static void patch(json_t *root, const char *key, json_t *value)
{
    const char *dot = strchr(key, '.');
    if (dot) {
        char head[32] = "";
        memcpy(head, key, (size_t)(dot - key));
        root = json_object_get(root, head);
        key = dot + 1;
    }
    json_object_set(root, key, value);
}

static sc_tokenizer *make(json_t *root, const char *what)
{
    char *text = json_dumps(root, JSON_COMPACT);
    sc_tokenizer *t = NULL;
    if (sc_tokenizer_from_json(&t, text, (int64_t)strlen(text), what) != SC_OK)
        fail_msg("%s: %s", what, sc_error());
    free(text);
    return t;
}

/* What the detokenizer gives piece by piece must be the whole, and each piece whole characters. */
static void check_stream(const sc_tokenizer *t, const int32_t *ids, int64_t n, unsigned flags, const char *want,
                         int64_t len)
{
    sc_detokenizer *d = NULL;
    sc_str all = {0};
    const char *p;
    int64_t k;
    assert_int_equal(sc_detokenizer_new(&d, t, flags), SC_OK);
    for (int round = 0; round < 2; round++) { /* a flushed one is as new */
        all.len = 0;
        for (int64_t i = 0; i <= n; i++) {
            assert_int_equal(i < n ? sc_detokenizer_push(d, ids[i], &p, &k) : sc_detokenizer_flush(d, &p, &k),
                             SC_OK);
            if (flags & SC_DETOKENIZE_REPLACE_INVALID) assert_true(sc_utf8_valid(p, k));
            assert_int_equal(p[k], 0);
            sc_str_append(&all, p, k);
        }
        assert_int_equal(all.len, len);
        assert_memory_equal(len ? all.p : "", want, (size_t)len);
    }
    sc_str_free(&all);
    sc_detokenizer_free(d);
}

static void check_ids(const char *what, const char *text, const int32_t *ids, int64_t n, const json_t *want)
{
    bool same = n == (int64_t)json_array_size(want);
    for (int64_t i = 0; same && i < n; i++) same = ids[i] == json_integer_value(json_array_get(want, (size_t)i));
    if (same) return;
    sc_str got = {0};
    for (int64_t i = 0; i < n; i++) sc_str_printf(&got, " %d", ids[i]);
    char *expected = json_dumps(want, 0);
    print_error("%s: %s\n  got %s\n  want %s\n", what, text, got.p ? got.p : "", expected);
    free(expected);
    sc_str_free(&got);
    fail();
}

/* [text, ids, [begin, end, ...], decoded or null]; ids null: it cannot be encoded */
static void check_case(const sc_tokenizer *t, const char *what, const json_t *c, unsigned fit)
{
    const json_t *j = json_array_get(c, 0), *spans = json_array_get(c, 2), *decoded = json_array_get(c, 3);
    const char *text = json_string_value(j);
    int64_t len = (int64_t)json_string_length(j), n, m;
    int32_t *ids, *plain;
    sc_token_span *a;
    unsigned flags = SC_TOKENIZE_SPECIAL | SC_TOKENIZE_PARSE_SPECIAL | fit;
    if (json_is_null(json_array_get(c, 1))) {
        assert_int_equal(sc_tokenizer_encode(t, text, len, flags, &ids, &n), SC_ELIMIT);
        return;
    }
    if (sc_tokenizer_encode_spans(t, text, len, flags, &ids, &a, &n) != SC_OK) fail_msg("%s: %s", what, sc_error());
    assert_int_equal(sc_tokenizer_encode(t, text, len, flags, &plain, &m), SC_OK);
    check_ids(what, text, ids, n, json_array_get(c, 1));
    check_ids(what, text, plain, m, json_array_get(c, 1));
    for (int64_t i = 0; i < n; i++) {
        int64_t begin = json_integer_value(json_array_get(spans, (size_t)(2 * i)));
        int64_t end = json_integer_value(json_array_get(spans, (size_t)(2 * i + 1)));
        if (a[i].begin != begin || a[i].end != end)
            fail_msg("%s: %s: token %d comes from [%d, %d), not [%d, %d)", what, text, (int)i, a[i].begin, a[i].end,
                     (int)begin, (int)end);
    }
    if (json_is_string(decoded)) {
        char *back;
        unsigned how = SC_DETOKENIZE_SKIP_SPECIAL | SC_DETOKENIZE_REPLACE_INVALID;
        assert_int_equal(sc_tokenizer_decode(t, ids, n, how, &back, &m), SC_OK);
        if (m != (int64_t)json_string_length(decoded) || memcmp(back, json_string_value(decoded), (size_t)m) != 0)
            fail_msg("%s: decoded\n  %s\n  for\n  %s", what, back, json_string_value(decoded));
        check_stream(t, ids, n, how, back, m);
        sc_free(back);
    }
    sc_free(ids);
    sc_free(plain);
    sc_free(a);
}

/* [first text, second text, ids or null where they cannot be cut so, types] */
static void check_pair(const sc_tokenizer *t, const char *what, const json_t *c)
{
    const char *a = json_string_value(json_array_get(c, 0)), *b = json_string_value(json_array_get(c, 1));
    int32_t *ids, *types;
    int64_t n;
    unsigned flags = SC_TOKENIZE_SPECIAL | SC_TOKENIZE_PARSE_SPECIAL | SC_TOKENIZE_FIT;
    sc_status s =
        sc_tokenizer_encode_pair(t, a, (int64_t)strlen(a), b, (int64_t)strlen(b), flags, &ids, &types, &n);
    assert_int_equal(s, json_is_null(json_array_get(c, 2)) ? SC_ELIMIT : SC_OK);
    if (s) return;
    check_ids(what, a, ids, n, json_array_get(c, 2));
    check_ids(what, "types", types, n, json_array_get(c, 3));
    sc_free(ids);
    sc_free(types);
}

static int check_variant(const json_t *v)
{
    char path[300];
    snprintf(path, sizeof(path), DATA "%s.json", json_string_value(json_object_get(v, "base")));
    json_t *root = slurp_json(path), *value;
    const char *key;
    json_object_foreach(json_object_get(v, "change"), key, value) patch(root, key, value);
    char *what = json_dumps(json_object_get(v, "change"), JSON_COMPACT | JSON_ENCODE_ANY);
    sc_tokenizer *t = make(root, what);
    const json_t *each = json_object_get(v, "cases"), *fitted = json_object_get(v, "fitted");
    const json_t *pairs = json_object_get(v, "pairs");
    for (size_t k = 0; k < json_array_size(each); k++) check_case(t, what, json_array_get(each, k), 0);
    for (size_t k = 0; k < json_array_size(fitted); k++)
        check_case(t, what, json_array_get(fitted, k), SC_TOKENIZE_FIT);
    for (size_t k = 0; k < json_array_size(pairs); k++) check_pair(t, what, json_array_get(pairs, k));
    int cases = (int)(json_array_size(each) + json_array_size(fitted) + json_array_size(pairs));
    sc_tokenizer_free(t);
    free(what);
    json_decref(root);
    return cases;
}

static void matches_huggingface(void **state)
{
    (void)state;
    static const char *const files[] = {DATA "cases.json", DATA "kind_cases.json"};
    int cases = 0;
    for (int f = 0; f < SC_COUNT(files); f++) {
        json_t *list = slurp_json(files[f]);
        for (size_t i = 0; i < json_array_size(list); i++) cases += check_variant(json_array_get(list, i));
        json_decref(list);
    }
    assert_true(cases > 1300);
}

static void unigram_matches_sentencepiece(void **state)
{
    (void)state;
    sc_tokenizer *t = NULL;
    assert_int_equal(sc_tokenizer_load(&t, DATA "unigram.model"), SC_OK);
    json_t *list = slurp_json(DATA "unigram_cases.json");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i), *text = json_array_get(c, 0);
        int32_t *ids;
        int64_t n;
        assert_int_equal(
            sc_tokenizer_encode(t, json_string_value(text), (int64_t)json_string_length(text), 0, &ids, &n), SC_OK);
        check_ids("unigram.model", json_string_value(text), ids, n, json_array_get(c, 1));
        sc_free(ids);
    }
    json_decref(list);
    sc_tokenizer_free(t);
}

/* Scanners find what the regular expressions do. */
static void scanners_match_expressions(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt-2", "llama-bpe", "qwen2", "gpt-4o", "tekken"};
    static const char *const parts[] = {" ",
                                        " ",
                                        " ",
                                        "\n",
                                        "\r",
                                        "\t",
                                        "'",
                                        "'s",
                                        "'S",
                                        "'LL",
                                        "'re",
                                        "'\xc5\xbf",
                                        "a",
                                        "b",
                                        "Z",
                                        "Q",
                                        "1",
                                        "2",
                                        "\xd9\xa3",
                                        "!",
                                        ".",
                                        "/",
                                        "_",
                                        "\xc2\xa0",
                                        "\xe3\x80\x80",
                                        "\xc3\xa9",
                                        "\xc3\x89",
                                        "e\xcc\x81",
                                        "\xcc\xa3",
                                        "\xed\x95\x9c",
                                        "\xe4\xb8\xad",
                                        "\xe3\x82\xab",
                                        "\xc7\x85",
                                        "\xca\xb0",
                                        "\xc2\xbd",
                                        "\xf0\x9f\x98\x80",
                                        "\xe2\x80\x8d",
                                        "\xe2\x80\xa8",
                                        "\xc2\x85",
                                        "\x01"};
    sc_rng r = sc_rng_make(3, 1);
    sc_matcher *m;
    assert_int_equal(sc_matcher_new(&m), SC_OK);
    for (int k = 0; k < SC_COUNT(names); k++) {
        sc_tokenizer *t;
        assert_int_equal(sc_tokenizer_begin(&t), SC_OK);
        assert_int_equal(sc_pre_add_named(t, names[k]), SC_OK);
        const sc_pattern *p = &t->pre[0].pattern;
        assert_non_null(p->scan);
        for (int round = 0; round < 4000; round++) {
            sc_str s = {0};
            int n = 1 + (int)(sc_rng_u32(&r) % 14);
            for (int i = 0; i < n; i++) sc_str_puts(&s, parts[sc_rng_u32(&r) % SC_COUNT(parts)]);
            sc_scan scan = sc_scan_begin(p->re, m, s.p, s.len, true);
            for (int64_t at = 0, begin, end; at < s.len; at = end) {
                bool found;
                assert_int_equal(sc_scan_next(&scan, &found, &begin, &end), SC_OK);
                assert_true(found && begin == at);
                int64_t len = sc_scanner_next(p->scan, s.p + at, s.len - at);
                if (len != end - begin)
                    fail_msg("%s: %d bytes, not %d, at %d of \"%s\"", names[k], (int)len, (int)(end - begin),
                             (int)at, s.p);
            }
            sc_str_free(&s);
        }
        sc_tokenizer_free(t);
    }
    sc_matcher_free(m);
}

static void matches_sentencepiece(void **state)
{
    (void)state;
    sc_tokenizer *t = NULL;
    assert_int_equal(sc_tokenizer_load(&t, DATA "bpe.model"), SC_OK);
    json_t *list = slurp_json(DATA "bpe_cases.json");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *c = json_array_get(list, i), *text = json_array_get(c, 0), *decoded = json_array_get(c, 2);
        int32_t *ids;
        int64_t n, len;
        char *back;
        assert_int_equal(
            sc_tokenizer_encode(t, json_string_value(text), (int64_t)json_string_length(text), 0, &ids, &n), SC_OK);
        check_ids("bpe.model", json_string_value(text), ids, n, json_array_get(c, 1));
        assert_int_equal(sc_tokenizer_decode(t, ids, n, SC_DETOKENIZE_REPLACE_INVALID, &back, &len), SC_OK);
        assert_int_equal(len, json_string_length(decoded));
        assert_memory_equal(back, json_string_value(decoded), (size_t)len);
        check_stream(t, ids, n, 0, back, len);
        sc_free(back);
        sc_free(ids);
    }
    json_decref(list);
    assert_int_equal(sc_tokenizer_bos(t), 1);
    assert_int_equal(sc_tokenizer_eos(t), 2);
    assert_true(sc_tokenizer_is_special(t, 1));
    assert_false(sc_tokenizer_is_special(t, sc_tokenizer_id(t, "<tool>", 6)));
    sc_tokenizer_free(t);
}

/* The vocabulary of bytes.json as GGUF would hold it must give the same ids. */
static void matches_itself_as_gguf(void **state)
{
    (void)state;
    json_t *root = slurp_json(DATA "bytes.json"), *model = json_object_get(root, "model"), *value;
    sc_tokenizer *t = make(root, "bytes.json"), *g = NULL;
    const json_t *vocab = json_object_get(model, "vocab"), *list = json_object_get(model, "merges");
    int64_t n = sc_tokenizer_vocab_size(t), merges = (int64_t)json_array_size(list);
    sc_slice *tokens = calloc((size_t)n, sizeof(*tokens)), *pairs = calloc((size_t)merges, sizeof(*pairs));
    int32_t *types = calloc((size_t)n, sizeof(*types));
    char **text = calloc((size_t)merges, sizeof(*text));
    const char *key;
    for (int64_t i = 0; i < n; i++) {
        tokens[i].p = sc_tokenizer_token(t, (int32_t)i, &tokens[i].n);
        types[i] = sc_tokenizer_is_special(t, (int32_t)i) ? 3 : 4;
    }
    json_object_foreach((json_t *)vocab, key, value) types[json_integer_value(value)] = 1;
    for (int64_t i = 0; i < merges; i++) {
        const json_t *pair = json_array_get(list, (size_t)i);
        sc_str s = {0};
        sc_str_printf(&s, "%s %s", json_string_value(json_array_get(pair, 0)),
                      json_string_value(json_array_get(pair, 1)));
        text[i] = sc_str_take(&s, &pairs[i].n);
        pairs[i].p = text[i];
    }
    int32_t bos = sc_tokenizer_id(t, "<|end|>", 7), eos = sc_tokenizer_id(t, "<|pad|>", 7);
    sc_gguf_vocab v = {.model = "gpt2",
                       .pre = "gpt-2",
                       .n = n,
                       .tokens = tokens,
                       .types = types,
                       .n_merges = merges,
                       .merges = pairs,
                       .bos = bos,
                       .eos = eos,
                       .pad = -1,
                       .unk = -1,
                       .add_bos = 1,
                       .add_eos = 1};
    assert_int_equal(sc_tokenizer_from_gguf_vocab(&g, &v, "test"), SC_OK);
    json_t *cases = slurp_json(DATA "cases.json");
    const json_t *each = json_object_get(json_array_get(cases, 0), "cases");
    for (size_t k = 0; k < json_array_size(each); k++) {
        const json_t *c = json_array_get(each, k), *j = json_array_get(c, 0);
        int32_t *ids;
        int64_t count;
        if (strstr(json_string_value(j), "foo_bar") || strstr(json_string_value(j), "<|pad|>") ||
            strstr(json_string_value(j), "<mask>"))
            continue; /* GGUF does not say single_word, rstrip, lstrip */
        assert_int_equal(sc_tokenizer_encode(g, json_string_value(j), (int64_t)json_string_length(j),
                                             SC_TOKENIZE_PARSE_SPECIAL | SC_TOKENIZE_SPECIAL, &ids, &count),
                         SC_OK);
        assert_true(count >= 2 && ids[0] == bos && ids[count - 1] == eos);
        check_ids("as gguf", json_string_value(j), ids + 1, count - 2, json_array_get(c, 1));
        sc_free(ids);
    }
    v.pre = "nonesuch";
    sc_tokenizer *none = NULL;
    assert_int_equal(sc_tokenizer_from_gguf_vocab(&none, &v, "test"), SC_EUNSUPPORTED);
    assert_non_null(strstr(sc_error(), "nonesuch"));
    v.pre = "gpt-2";
    v.bos = (int32_t)n;
    assert_int_equal(sc_tokenizer_from_gguf_vocab(&none, &v, "test"), SC_EFORMAT);
    json_decref(cases);
    json_decref(root);
    for (int64_t i = 0; i < merges; i++) sc_free(text[i]);
    free(text);
    free(tokens);
    free(pairs);
    free(types);
    sc_tokenizer_free(t);
    sc_tokenizer_free(g);
}

static void every_pre_tokenizer_compiles(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt-2",
                                        "smollm",
                                        "starcoder",
                                        "command-r",
                                        "llama-bpe",
                                        "dbrx",
                                        "glm4",
                                        "qwen2",
                                        "deepseek-r1-qwen",
                                        "deepseek-llm",
                                        "deepseek-coder",
                                        "deepseek-v3",
                                        "falcon",
                                        "tekken",
                                        "gpt-4o",
                                        "bailingmoe",
                                        "seed-coder",
                                        "bloom",
                                        "viking",
                                        "superbpe",
                                        "default",
                                        "qwen35",
                                        "ufakzeka",
                                        "laguna",
                                        "exaone-moe",
                                        "jais-2",
                                        "kimi-k2",
                                        "youtu",
                                        "spark2_5",
                                        "afmoe",
                                        "tiny_aya",
                                        "granite-embed-multi-97m",
                                        "gemma4",
                                        "solar-open"};
    sc_slice tokens[] = {{"a", 1}, {"b", 1}};
    for (int i = 0; i < SC_COUNT(names); i++) {
        sc_gguf_vocab v = {.model = "gpt2",
                           .pre = names[i],
                           .n = 2,
                           .tokens = tokens,
                           .bos = -1,
                           .eos = -1,
                           .pad = -1,
                           .unk = -1,
                           .add_bos = -1,
                           .add_eos = -1};
        sc_tokenizer *t = NULL;
        int32_t *ids;
        int64_t n;
        if (sc_tokenizer_from_gguf_vocab(&t, &v, "test") != SC_OK) fail_msg("%s: %s", names[i], sc_error());
        assert_int_equal(sc_tokenizer_encode(t, "ab 12 b!", 8, SC_TOKENIZE_SPECIAL, &ids, &n), SC_OK);
        assert_int_equal(n, 3);
        sc_free(ids);
        sc_tokenizer_free(t);
    }
}

static void keeps_any_bytes(void **state)
{
    (void)state;
    static const char *const files[] = {DATA "bytes.json", DATA "fallback.json", DATA "bpe.model"};
    for (int f = 0; f < SC_COUNT(files); f++) {
        sc_tokenizer *t = NULL;
        assert_int_equal(sc_tokenizer_load(&t, files[f]), SC_OK);
        sc_rng r = sc_rng_make(7, (uint64_t)f);
        for (int i = 0; i < 400; i++) {
            char text[64], *back;
            int64_t len = sc_rng_u32(&r) % sizeof(text), n, m;
            int32_t *ids;
            for (int64_t k = 0; k < len; k++)
                text[k] = i % 2 ? (char)sc_rng_u32(&r) : (" a\xed\x95\x9c\xf0\x9f\x98\x80\n")[sc_rng_u32(&r) % 10];
            assert_int_equal(sc_tokenizer_encode(t, text, len, 0, &ids, &n), SC_OK);
            assert_int_equal(sc_tokenizer_decode(t, ids, n, 0, &back, &m), SC_OK);
            assert_int_equal(m, len);
            assert_memory_equal(back, text, (size_t)len);
            check_stream(t, ids, n, 0, text, len);
            sc_free(back);
            sc_free(ids);
            sc_token_span *a;
            assert_int_equal(sc_tokenizer_encode_spans(t, text, len, SC_TOKENIZE_REPLACE_INVALID, &ids, &a, &n),
                             SC_OK);
            sc_free(ids);
            sc_free(a);
        }
        sc_tokenizer_free(t);
    }
}

static void special_text_stays_text(void **state)
{
    (void)state;
    sc_tokenizer *t = NULL;
    int32_t *ids;
    int64_t n;
    assert_int_equal(sc_tokenizer_load(&t, DATA "bytes.json"), SC_OK);
    assert_int_equal(sc_tokenizer_encode(t, "a<|end|>", 8, SC_TOKENIZE_PARSE_SPECIAL, &ids, &n), SC_OK);
    int32_t end = sc_tokenizer_id(t, "<|end|>", 7);
    assert_int_equal(n, 2);
    assert_int_equal(ids[1], end);
    assert_true(sc_tokenizer_is_special(t, end));
    sc_free(ids);
    assert_int_equal(sc_tokenizer_encode(t, "a<|end|>", 8, 0, &ids, &n), SC_OK);
    for (int64_t i = 0; i < n; i++) assert_false(sc_tokenizer_is_special(t, ids[i]));
    sc_free(ids);
    assert_int_equal(sc_tokenizer_encode(t, "<|end|", 6, SC_TOKENIZE_PARSE_SPECIAL, &ids, &n), SC_OK);
    assert_true(n > 1);
    sc_free(ids);
    assert_string_equal(sc_tokenizer_token(t, end, NULL), "<|end|>");
    assert_null(sc_tokenizer_token(t, -1, NULL));
    assert_null(sc_tokenizer_token(t, INT32_MAX, NULL));
    assert_int_equal(sc_tokenizer_id(t, "nonesuch token", 14), -1);
    char *text;
    int32_t outside[] = {5, 1 << 30}, below[] = {-1};
    assert_int_equal(sc_tokenizer_decode(t, outside, 2, 0, &text, &n), SC_EINVAL);
    assert_int_equal(sc_tokenizer_decode(t, below, 1, 0, &text, &n), SC_EINVAL);
    sc_tokenizer_free(t);
    sc_tokenizer_free(NULL);
    sc_detokenizer_free(NULL);
}

/* A directory's tokenizer_config.json names tokens and, for a tokenizer.model, what goes around a text. */
static void reads_directories(void **state)
{
    (void)state;
    char dir[] = "/tmp/socle-tokenizer-XXXXXX", path[64];
    int64_t len, n;
    int32_t *ids;
    sc_tokenizer *t = NULL;
    assert_non_null(mkdtemp(dir));
    char *model = slurp(DATA "bpe.model", &len);
    static const char config[] =
        "{\"pad_token\": {\"content\": \"<tool>\"}, \"eos_token\": \"</s>\", \"unk_token\": null,"
        " \"add_bos_token\": false, \"add_eos_token\": true}";
    snprintf(path, sizeof(path), "%s/tokenizer.model", dir);
    assert_int_equal(sc_file_write(path, model, len), SC_OK);
    sc_free(model);
    assert_int_equal(sc_tokenizer_load(&t, dir), SC_OK);
    assert_int_equal(sc_tokenizer_encode(t, "", 0, SC_TOKENIZE_SPECIAL, &ids, &n), SC_OK);
    assert_true(n == 1 && ids[0] == sc_tokenizer_bos(t));
    sc_free(ids);
    sc_tokenizer_free(t);
    snprintf(path, sizeof(path), "%s/tokenizer_config.json", dir);
    assert_int_equal(sc_file_write(path, config, sizeof(config) - 1), SC_OK);
    assert_int_equal(sc_tokenizer_load(&t, dir), SC_OK);
    assert_int_equal(sc_tokenizer_pad(t), sc_tokenizer_id(t, "<tool>", 6));
    assert_int_equal(sc_tokenizer_encode(t, "", 0, SC_TOKENIZE_SPECIAL, &ids, &n), SC_OK);
    assert_true(n == 1 && ids[0] == sc_tokenizer_eos(t));
    sc_free(ids);
    sc_tokenizer_free(t);
    assert_int_equal(remove(path), 0);
    snprintf(path, sizeof(path), "%s/tokenizer.model", dir);
    assert_int_equal(remove(path), 0);
    assert_int_equal(remove(dir), 0);
}

static void same_as(const sc_tokenizer *a, const sc_tokenizer *b, const char *text)
{
    int32_t *x, *y;
    int64_t n, m, len = (int64_t)strlen(text);
    assert_int_equal(sc_tokenizer_encode(a, text, len, SC_TOKENIZE_SPECIAL, &x, &n), SC_OK);
    assert_int_equal(sc_tokenizer_encode(b, text, len, SC_TOKENIZE_SPECIAL, &y, &m), SC_OK);
    assert_int_equal(n, m);
    assert_memory_equal(x, y, (size_t)n * sizeof(*x));
    sc_free(x);
    sc_free(y);
}

static void write_text(const char *dir, const char *name, const sc_str *s)
{
    char path[100];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_false(s->oom);
    assert_int_equal(sc_file_write(path, s->p, s->len), SC_OK);
}

static void remove_file(const char *dir, const char *name)
{
    char path[100];
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    assert_int_equal(remove(path), 0);
}

/* vocab.txt, vocab.json with merges.txt, and tiktoken's ranks: the same vocabularies without a tokenizer.json. */
static void reads_lists(void **state)
{
    (void)state;
    static const char *const texts[] = {"Hello world", "the quick brown fox, isn't it?",
                                        " \xed\x95\x9c\xea\xb5\xad\xec\x96\xb4 12", ""};
    char dir[] = "/tmp/socle-lists-XXXXXX", path[100];
    assert_non_null(mkdtemp(dir));
    sc_tokenizer *a, *b;
    sc_str s = {0}, merges = {0};
    assert_int_equal(sc_tokenizer_load(&a, DATA "wordpiece.json"), SC_OK);
    for (int32_t i = 0; i < sc_tokenizer_vocab_size(a); i++)
        sc_str_printf(&s, "%s\n", sc_tokenizer_token(a, i, NULL));
    write_text(dir, "vocab.txt", &s);
    assert_int_equal(sc_tokenizer_load(&b, dir), SC_OK);
    for (int i = 0; i < SC_COUNT(texts); i++) same_as(a, b, texts[i]);
    sc_tokenizer_free(a);
    sc_tokenizer_free(b);
    remove_file(dir, "vocab.txt");

    json_t *root = slurp_json(DATA "bytes.json"), *model = json_object_get(root, "model"), *item;
    char *vocab = json_dumps(json_object_get(model, "vocab"), 0);
    size_t k;
    s.len = 0;
    sc_str_puts(&s, vocab);
    sc_str_puts(&merges, "#version: 0.2\n");
    json_array_foreach(json_object_get(model, "merges"), k, item) sc_str_printf(
        &merges, "%s %s\n", json_string_value(json_array_get(item, 0)), json_string_value(json_array_get(item, 1)));
    write_text(dir, "vocab.json", &s);
    write_text(dir, "merges.txt", &merges);
    json_object_del(root, "added_tokens");
    json_t *pre = json_object_get(root, "pre_tokenizer");
    json_object_set_new(pre, "use_regex", json_true());
    a = make(root, "bytes.json");
    assert_int_equal(sc_tokenizer_load(&b, dir), SC_OK);
    for (int i = 0; i < SC_COUNT(texts); i++) same_as(a, b, texts[i]);
    sc_tokenizer_free(a);
    sc_tokenizer_free(b);
    free(vocab);
    json_decref(root);
    remove_file(dir, "vocab.json");
    remove_file(dir, "merges.txt");

    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    s.len = 0;
    for (int c = 0; c < 256; c++) sc_str_printf(&s, "%c%c== %d\n", digits[c >> 2], digits[c << 4 & 63], c);
    sc_str_puts(&s, "YmM= 256\nYWI= 257\n"); /* bc before ab */
    write_text(dir, "gpt2.tiktoken", &s);
    snprintf(path, sizeof(path), "%s/gpt2.tiktoken", dir);
    assert_int_equal(sc_tokenizer_load(&a, path), SC_OK);
    int32_t *ids;
    int64_t n;
    assert_int_equal(sc_tokenizer_encode(a, "abc ab<|endoftext|>", 19, SC_TOKENIZE_PARSE_SPECIAL, &ids, &n), SC_OK);
    const int32_t want[] = {'a', 256, ' ', 257, 258};
    assert_int_equal(n, 5);
    assert_memory_equal(ids, want, sizeof(want));
    sc_free(ids);
    sc_tokenizer_free(a);
    remove_file(dir, "gpt2.tiktoken");
    write_text(dir, "other.tiktoken", &s);
    snprintf(path, sizeof(path), "%s/other.tiktoken", dir);
    assert_int_equal(sc_tokenizer_load(&a, path), SC_EUNSUPPORTED);
    assert_non_null(strstr(sc_error(), "258"));
    remove_file(dir, "other.tiktoken");
    sc_str_free(&s);
    sc_str_free(&merges);
    assert_int_equal(remove(dir), 0);
}

/* One long word goes through each way of merging; all must agree with a piece that comes in short pieces. */
static void long_words(void **state)
{
    (void)state;
    static const char *const files[] = {DATA "bytes.json", DATA "bpe.model"};
    for (int f = 0; f < SC_COUNT(files); f++) {
        sc_tokenizer *t = NULL;
        assert_int_equal(sc_tokenizer_load(&t, files[f]), SC_OK);
        for (int64_t len = 100; len <= 4000000; len *= 200) {
            char *text = malloc((size_t)len), *back;
            int32_t *ids;
            int64_t n, m;
            memset(text, 'a', (size_t)len);
            assert_int_equal(sc_tokenizer_encode(t, text, len, 0, &ids, &n), SC_OK);
            assert_int_equal(sc_tokenizer_decode(t, ids, n, 0, &back, &m), SC_OK);
            assert_int_equal(m, len);
            assert_memory_equal(back, text, (size_t)len);
            sc_free(back);
            sc_free(ids);
            free(text);
        }
        sc_tokenizer_free(t);
    }
}

/* The strings of llama.cpp's own test of vocabularies, where they are at hand. */
static void matches_llama_cpp(void **state)
{
    (void)state;
    const char *fixtures = getenv("SOCLE_FIXTURES");
    static const char *const names[] = {"gpt-2", "starcoder", "falcon", "deepseek-llm", "llama-spm", "phi-3"};
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char dir[4000];
    snprintf(dir, sizeof(dir), "%s/../real/tokenizers/vocab-gguf",
             fixtures ? fixtures : SOCLE_SOURCE_DIR "/../shared/fixtures");
    if (!sc_path_is_dir(dir)) {
        print_message("skipped: no %s\n", dir);
        skip();
    }
    for (int i = 0; i < SC_COUNT(names); i++) {
        char path[4200];
        sc_gguf *g = NULL;
        sc_tokenizer *t = NULL;
        int64_t len, out_len;
        snprintf(path, sizeof(path), "%s/ggml-vocab-%s.gguf", dir, names[i]);
        assert_int_equal(sc_gguf_open(&g, path), SC_OK);
        if (sc_tokenizer_from_gguf(&t, g) != SC_OK) fail_msg("%s", sc_error());
        sc_gguf_free(g);
        strcat(path, ".inp");
        char *in = slurp(path, &len);
        strcpy(path + strlen(path) - 4, ".out");
        char *out = slurp(path, &out_len), *line = out, *p = in;
        while (line < out + out_len) {
            char *end = memmem(p, (size_t)(in + len - p), mark, sizeof(mark) - 1), *eol = strchr(line, '\n');
            int32_t *ids;
            int64_t n, k = 0;
            if (!end) end = in + len;
            if (eol) *eol = 0;
            assert_int_equal(sc_tokenizer_encode(t, p, end - p, 0, &ids, &n), SC_OK);
            for (char *q = line, *after; k <= n; q = after, k++) {
                long id = strtol(q, &after, 10);
                if (after == q) break;
                if (k >= n || ids[k] != id) fail_msg("%s: \"%.*s\": id %d", names[i], (int)(end - p), p, (int)k);
            }
            assert_int_equal(k, n);
            sc_free(ids);
            line = eol ? eol + 1 : out + out_len;
            p = SC_MIN(end + sizeof(mark) - 1, in + len);
        }
        sc_free(in);
        sc_free(out);
        sc_tokenizer_free(t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_huggingface),
        cmocka_unit_test(matches_sentencepiece),
        cmocka_unit_test(matches_itself_as_gguf),
        cmocka_unit_test(every_pre_tokenizer_compiles),
        cmocka_unit_test(keeps_any_bytes),
        cmocka_unit_test(special_text_stays_text),
        cmocka_unit_test(reads_directories),
        cmocka_unit_test(long_words),
        cmocka_unit_test(unigram_matches_sentencepiece),
        cmocka_unit_test(reads_lists),
        cmocka_unit_test(scanners_match_expressions),
        cmocka_unit_test(matches_llama_cpp),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
