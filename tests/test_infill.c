/* SPDX-License-Identifier: Apache-2.0 */
/* Prompts for filling in: the small tokenizers of tests/data, given the tokens that models of code have. */
#include "core_help.h"
#include "socle/tokenizer.h"

#include <jansson.h>

/* The tokenizer of a folder with further special tokens, whose ids begin at `first`. */
static sc_tokenizer *with_tokens(const char *name, const char *const *more, int64_t first)
{
    char path[1024];
    json_t *o;
    snprintf(path, sizeof path, "%s/tests/data/gguf_tokenizers/%s/tokenizer.json", SOCLE_SOURCE_DIR, name);
    assert_int_equal(sc_json_read(&o, path, 1 << 24), SC_OK);
    for (int i = 0; more[i]; i++)
        json_array_append_new(json_object_get(o, "added_tokens"),
                              json_pack("{s:I, s:s, s:b, s:b, s:b, s:b, s:b}", "id", (json_int_t)(first + i),
                                        "content", more[i], "single_word", 0, "lstrip", 0, "rstrip", 0,
                                        "normalized", 0, "special", 1));
    char *text = json_dumps(o, JSON_COMPACT);
    sc_tokenizer *t;
    if (sc_tokenizer_from_json(&t, text, (int64_t)strlen(text), name)) fail_msg("%s: %s", name, sc_error());
    free(text);
    json_decref(o);
    return t;
}

static void decodes_to(const sc_tokenizer *t, const int32_t *ids, int64_t n, const char *want)
{
    char *text;
    int64_t len;
    assert_int_equal(sc_tokenizer_decode(t, ids, n, 0, &text, &len), SC_OK);
    assert_string_equal(text, want);
    sc_free(text);
}

static void bytes_are_encoded_as_they_are(void **state)
{
    (void)state;
    static const char *const more[] = {"<fim_prefix>", "<fim_suffix>", "<fim_middle>", "<|endoftext|>", NULL};
    static const char prefix[] = "def add(a, b):\n    ", suffix[] = "\n    return <fim_middle> c";
    sc_tokenizer *t = with_tokens("gpt2", more, 5000);
    int32_t *ids, *a, *b, end;
    int64_t n, na, nb;
    assert_int_equal(sc_tokenizer_infill(t, prefix, sizeof prefix - 1, suffix, sizeof suffix - 1, &ids, &n, &end),
                     SC_OK);
    assert_int_equal(sc_tokenizer_encode(t, prefix, sizeof prefix - 1, 0, &a, &na), SC_OK);
    assert_int_equal(sc_tokenizer_encode(t, suffix, sizeof suffix - 1, 0, &b, &nb), SC_OK);
    int64_t bos = n - na - nb - 3;
    assert_in_range(bos, 0, 1);
    if (bos) assert_int_equal(ids[0], sc_tokenizer_bos(t));
    assert_int_equal(ids[bos], 5000);
    assert_memory_equal(ids + bos + 1, a, sizeof *a * (size_t)na);
    assert_int_equal(ids[bos + 1 + na], 5001);
    assert_memory_equal(ids + bos + 2 + na, b, sizeof *b * (size_t)nb); /* the token it spells stays text */
    assert_int_equal(ids[n - 1], 5002);
    assert_int_equal(end, 5003);
    sc_free(ids);
    sc_free(a);
    sc_free(b);
    sc_tokenizer_free(t);
}

/* A suffix goes on in the line: no space is put in front of it, as one is in front of the prefix. */
static void suffixes_have_no_space_in_front(void **state)
{
    (void)state;
    static const char *const more[] = {"\u2581<PRE>", "\u2581<SUF>", "\u2581<MID>", "\u2581<EOT>", NULL};
    static const char *const suffixes[] = {"return c", " the", "\n", "", "(a)", "\u263a", "\xff\xfe"};
    sc_tokenizer *t = with_tokens("llama", more, 5000);
    for (int i = 0; i < SC_COUNT(suffixes); i++) {
        int32_t *ids, *a, end;
        int64_t n, na, at, len = (int64_t)strlen(suffixes[i]);
        assert_int_equal(sc_tokenizer_infill(t, "the", 3, suffixes[i], len, &ids, &n, &end), SC_OK);
        assert_int_equal(sc_tokenizer_encode(t, "the", 3, 0, &a, &na), SC_OK);
        for (at = 0; at < n && ids[at] != 5000; at++) {}
        assert_true(at <= 1);
        assert_memory_equal(ids + at + 1, a, sizeof *a * (size_t)na);
        assert_int_equal(ids[at + 1 + na], 5001);
        assert_int_equal(ids[n - 1], 5002);
        assert_int_equal(end, 5003);
        int64_t from = at + 2 + na;
        const char *first = n - 1 > from ? sc_tokenizer_token(t, ids[from], NULL) : "";
        if (suffixes[i][0] != ' ') assert_true(strncmp(first, "\u2581", 3) != 0);
        /* Decoded after something else, so that no space in front is taken for the tokenizer's own. */
        char want[64];
        snprintf(want, sizeof want, "the%s", suffixes[i]);
        memmove(ids + from - na, a, sizeof *a * (size_t)na);
        if (i + 1 < SC_COUNT(suffixes)) decodes_to(t, ids + from - na, n - 1 - from + na, want);
        sc_free(ids);
        sc_free(a);
    }
    sc_tokenizer_free(t);
}

static void others_are_refused(void **state)
{
    (void)state;
    static const char *const some[] = {"<fim_prefix>", "<fim_suffix>", NULL};
    sc_tokenizer *t = with_tokens("gpt2", some, 5000);
    int32_t *ids = NULL, end;
    int64_t n;
    assert_int_equal(sc_tokenizer_infill(t, "a", 1, "b", 1, &ids, &n, &end), SC_ENOTFOUND);
    assert_null(ids);
    assert_non_null(strstr(sc_error(), "no tokens for filling in"));
    sc_tokenizer_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_encoded_as_they_are),
        cmocka_unit_test(suffixes_have_no_space_in_front),
        cmocka_unit_test(others_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
