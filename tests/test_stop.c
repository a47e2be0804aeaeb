/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"
#include "socle/sampling.h"

#include <setjmp.h>
#include <stdlib.h>

#include <cmocka.h>

static sc_stop *make(const char *const *strings, int64_t n)
{
    sc_stop *s = NULL;
    if (sc_stop_new(&s, strings, n) != SC_OK) fail_msg("%s", sc_error());
    return s;
}

/* Pushes `piece` and checks what is handed on and whether a stop string is found. */
static void push(sc_stop *s, const char *piece, const char *shown, int64_t found)
{
    const char *text;
    int64_t len, which;
    assert_int_equal(sc_stop_push(s, piece, (int64_t)strlen(piece), &text, &len, &which), SC_OK);
    assert_string_equal(text, shown);
    assert_int_equal(len, strlen(shown));
    assert_int_equal(which, found);
}

static void flush(sc_stop *s, const char *shown)
{
    const char *text;
    int64_t len;
    sc_stop_flush(s, &text, &len);
    assert_int_equal(len, strlen(shown));
    assert_memory_equal(text, shown, (size_t)len + 1);
}

static void holds_back_beginnings(void **state)
{
    (void)state;
    const char *const strings[] = {"\nUser:", "</s>", "STOP"};
    sc_stop *s = make(strings, 3);
    push(s, "Hello", "Hello", -1);
    push(s, " wor\n", " wor", -1);
    push(s, "Us", "", -1);
    push(s, "ually ST", "\nUsually ", -1);
    push(s, "ST", "ST", -1);
    push(s, "O", "", -1);
    push(s, "P and more", "", 2);
    push(s, "ignored", "", 2);
    flush(s, "");
    sc_stop_reset(s);
    push(s, "a</", "a", -1);
    flush(s, "</");
    push(s, "s>b", "s>b", -1); /* after a flush a new text begins */
    push(s, "x</s>y", "x", 1);
    sc_stop_free(s);
    sc_stop_free(NULL);
}

static void keeps_characters_whole(void **state)
{
    (void)state;
    const char *const strings[] = {"끝"};
    sc_stop *s = make(strings, 1);
    push(s, "\xEA", "", -1); /* the first byte of both */
    push(s, "\xB0", "", -1);
    push(s, "\x80", "가", -1);
    push(s, "\xF0\x9F\x99", "", -1);
    push(s, "\x82\xEB\x81", "🙂", -1);
    push(s, "\x9Dx", "", 0);
    sc_stop_reset(s);
    push(s, "ok\xEB\x81", "ok", -1);
    flush(s, "\xEB\x81");
    push(s,
         "\x80\xFF"
         "a",
         "\x80\xFF"
         "a",
         -1); /* what is no UTF-8 passes */
    sc_stop_free(s);

    s = make(NULL, 0);
    push(s, "a\xC3", "a", -1);
    push(s, "\xA9", "é", -1);
    push(s, "", "", -1);
    flush(s, "");
    sc_stop_free(s);
    s = make(NULL, 0);
    flush(s, "");
    sc_stop_free(s);
}

static void takes_the_first_complete_and_longest(void **state)
{
    (void)state;
    const char *const strings[] = {"abcd", "bc", "xyz", "yz", "z", "yz"};
    sc_stop *s = make(strings, 6);
    push(s, "_abcd", "_a", 1); /* bc is complete before abcd */
    sc_stop_reset(s);
    push(s, "_xyz", "_", 2);
    sc_stop_reset(s);
    push(s, "_yz", "_", 3);
    sc_stop_free(s);
}

/* Random texts over a small alphabet, cut anywhere, against the definition: the stop string that is complete first,
 * the longest of those. What is held back must be needed. */
static void agrees_with_the_definition(void **state)
{
    (void)state;
    sc_rng r = sc_rng_make(5, 0);
    for (int round = 0; round < 3000; round++) {
        char strings[6][8], text[64];
        const char *list[6];
        int n = 1 + (int)(sc_rng_u32(&r) % 6), size = (int)(sc_rng_u32(&r) % 60);
        for (int i = 0; i < n; i++) {
            int len = 1 + (int)(sc_rng_u32(&r) % 6);
            for (int k = 0; k < len; k++) strings[i][k] = (char)('a' + sc_rng_u32(&r) % 3);
            strings[i][len] = '\0';
            list[i] = strings[i];
        }
        for (int k = 0; k < size; k++) text[k] = (char)('a' + sc_rng_u32(&r) % 4);
        int want_len = size, want = -1;
        for (int end = 1; end <= size && want < 0; end++) {
            for (int i = 0; i < n; i++) {
                int len = (int)strlen(list[i]);
                if (len > end || memcmp(text + end - len, list[i], (size_t)len) != 0) continue;
                if (want < 0 || end - len < want_len) want = i, want_len = end - len;
            }
        }
        sc_stop *s = make(list, n);
        int at = 0, got = 0;
        int64_t which = -1;
        while (at < size && which < 0) {
            const char *p;
            int64_t len;
            int piece = (int)(sc_rng_u32(&r) % 7);
            piece = SC_MIN(piece, size - at);
            assert_int_equal(sc_stop_push(s, text + at, piece, &p, &len, &which), SC_OK);
            assert_memory_equal(p, text + got, (size_t)len);
            got += (int)len;
            at += piece;
            if (which >= 0) break;
            bool begins = got == at; /* what is held back begins a stop string */
            for (int i = 0; i < n; i++)
                begins |= at - got < (int)strlen(list[i]) && !memcmp(text + got, list[i], (size_t)(at - got));
            assert_true(begins);
        }
        assert_int_equal(which, want);
        if (want < 0) {
            const char *p;
            int64_t len;
            sc_stop_flush(s, &p, &len);
            assert_memory_equal(p, text + got, (size_t)len);
            got += (int)len;
        }
        assert_int_equal(got, want_len);
        sc_stop_free(s);
    }
}

static void is_linear_and_limited(void **state)
{
    (void)state;
    enum { LEN = 60000, TEXT = 4 << 20 };
    sc_stop *s = NULL;
    char *z = malloc(TEXT + 1);
    memset(z, 'a', TEXT);
    z[LEN - 1] = 'b';
    z[LEN] = '\0';
    const char *const hard[] = {z}; /* aaa...ab in a text of a's */
    s = make(hard, 1);
    memset(z, 'a', TEXT);
    z[TEXT] = '\0';
    const char *text;
    int64_t len, which, sum = 0;
    for (int i = 0; i < TEXT; i += 1 << 16) {
        assert_int_equal(sc_stop_push(s, z, 1 << 16, &text, &len, &which), SC_OK);
        assert_int_equal(which, -1);
        sum += len;
    }
    assert_int_equal(sum, TEXT - (LEN - 1));
    sc_stop_free(s);
    s = NULL;
    const char *const empty[] = {"x", ""}, *const invalid[] = {"\xFF"}, *const big[] = {z};
    assert_int_equal(sc_stop_new(&s, empty, 2), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "stop string 1 is empty"));
    assert_int_equal(sc_stop_new(&s, invalid, 1), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "UTF-8"));
    assert_int_equal(sc_stop_new(&s, big, 1), SC_ELIMIT);
    assert_int_equal(sc_stop_new(&s, NULL, -1), SC_ELIMIT);
    assert_null(s);
    free(z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_back_beginnings),
        cmocka_unit_test(keeps_characters_whole),
        cmocka_unit_test(takes_the_first_complete_and_longest),
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(is_linear_and_limited),
    };
    return cmocka_run_group_tests_name("stop", tests, NULL, NULL);
}
