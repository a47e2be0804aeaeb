/* SPDX-License-Identifier: Apache-2.0 */
/* The filters of texts: words and lines beside their definitions, n-grams beside a count without hashes, each rule at its
 * threshold, personal data with check digits made here, thresholds from files. */
#include "data/filters.h"
#include "socle/filter.h"

#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static uint8_t *classes;
static sc_rules usual;
static char file[] = "/tmp/socle-filters-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    int fd = mkstemp(file);
    if (fd < 0) return 1;
    close(fd);
    classes = sc_char_classes();
    return !classes || sc_rules_open(&usual, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    sc_free(classes);
    sc_rules_free(&usual);
    unlink(file);
    return 0;
}

/* ---- words and lines ---- */

static void words_are_cut(void **state)
{
    (void)state;
    sc_words w = {.classes = classes};
    const char *text = "  Hello, world!\n\n\n\"42\" -- caf\xc3\xa9...\n";
    assert_int_equal(sc_words_cut(&w, text, (int64_t)strlen(text)), SC_OK);
    assert_int_equal(w.words, 5);
    assert_int_equal(w.lines, 2);
    assert_int_equal(w.newlines, 3);
    assert_int_equal(w.ellipses, 1);
    assert_int_equal(w.word[4].chars, 7);
    assert_int_equal(w.word[4].n, 8);
    assert_true(w.word[3].is & SC_CHAR_PUNCT);
    assert_false(w.word[2].is & (SC_CHAR_PUNCT | SC_CHAR_ALPHA));
    assert_int_equal(w.line[0].chars, 13);
    assert_true(w.line[0].last & SC_CHAR_END);
    assert_true(w.line[1].ellipsis && w.line[1].opens);
    text = "나는 밥을 먹었다. 東京に行った。 ภาษาไทย";
    assert_int_equal(sc_words_cut(&w, text, (int64_t)strlen(text)), SC_OK);
    /* Three Korean words; seven characters, the full stop with the last; Thai letters, vowels above with theirs. */
    int64_t alone = 0;
    for (int64_t i = 0; i < w.words; i++) alone += (w.word[i].is & SC_CHAR_SOLO) != 0;
    assert_int_equal(w.words - alone, 3);
    assert_int_equal(alone, 6 + 7);
    assert_int_equal(sc_words_cut(&w, "\xff\xfe\x80 a", 5), SC_OK); /* no UTF-8: no harm */
    assert_int_equal(w.words, 2);
    assert_int_equal(sc_words_cut(&w, "", 0), SC_OK);
    assert_int_equal(w.words + w.lines, 0);
    sc_words_free(&w);
}

static void sentences_are_counted(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t n;
    } rows[] = {{"One. Two! Three?", 3},
                {"It is 3.14 now.", 1},
                {"He said \"Stop.\" Then he left.", 2},
                {"No end", 1},
                {"Well ... maybe so.", 1},
                {"하나다. 둘이다.", 2},
                {"これは本です。あれも本です。", 2},
                {"...", 0},
                {"", 0}};
    sc_words w = {.classes = classes};
    for (int i = 0; i < SC_COUNT(rows); i++)
        if (sc_line_sentences(&w, rows[i].text, (int64_t)strlen(rows[i].text)) != rows[i].n)
            fail_msg("%s: %lld sentences", rows[i].text,
                     (long long)sc_line_sentences(&w, rows[i].text, (int64_t)strlen(rows[i].text)));
}

static void stop_words_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *language, *text;
        int least, most;
    } rows[] = {{"en", "The cat, and the dog.", 2, 2},
                {"en", "Theory andante", 0, 0},
                {"ko", "나는 학교에서 밥을 먹었다", 3, 5},
                {"zh", "我的书在桌子上", 2, 2},
                {"ja", "東京に行った", 2, 3},
                {"ru", "Он не был В доме и на улице", 4, 4}};
    sc_words w = {.classes = classes};
    for (int i = 0; i < SC_COUNT(rows); i++) {
        assert_int_equal(sc_words_cut(&w, rows[i].text, (int64_t)strlen(rows[i].text)), SC_OK);
        int n = sc_stop_count(&w, sc_stop_words(rows[i].language), 100);
        if (n < rows[i].least || n > rows[i].most) fail_msg("%s: %d stop words", rows[i].text, n);
    }
    assert_int_equal(sc_stop_count(&w, sc_stop_words("ru"), 2), 2); /* it stops there */
    assert_null(sc_stop_words("xx"));
    sc_words_free(&w);
}

/* ---- n-grams beside their definitions ---- */

enum { MOST = 400 };
static const char *vocabulary[] = {"a", "bc", "def", "ghij", "k"};

static bool same_gram(const int *words, int i, int j, int n)
{
    return memcmp(words + i, words + j, (size_t)n * sizeof *words) == 0;
}

static int64_t gram_chars(const int *words, int i, int n)
{
    int64_t chars = 0;
    for (int k = 0; k < n; k++) chars += (int64_t)strlen(vocabulary[words[i + k]]);
    return chars;
}

static double naive_top(const int *words, int count, int n, int64_t chars)
{
    int64_t most = 0, size = 0;
    for (int i = 0; i + n <= count; i++) {
        int64_t times = 0;
        for (int j = 0; j + n <= count; j++) times += same_gram(words, i, j, n);
        if (times > most) {
            most = times;
            size = gram_chars(words, i, n) + n - 1;
        }
    }
    return (double)(most * size) / (double)chars;
}

static double naive_duplicates(const int *words, int count, int n, int64_t chars)
{
    bool seen[MOST] = {false}; /* an n-gram that was put down begins there */
    int64_t again = 0;
    for (int i = 0; i + n <= count;) {
        bool before = false;
        for (int j = 0; j < i && !before; j++) before = seen[j] && same_gram(words, i, j, n);
        if (before) {
            again += gram_chars(words, i, n);
            i += n;
        } else {
            seen[i++] = true;
        }
    }
    return (double)again / (double)chars;
}

static void assert_close(double a, double b, double most) { assert_true(fabs(a - b) <= most); }

static void n_grams_are_as_defined(void **state)
{
    (void)state;
    sc_rule_work work = sc_rule_work_begin(classes);
    sc_rng rng = sc_rng_make(7, 1);
    sc_str text = {0}, left = {0};
    sc_judgement j;
    for (int round = 0; round < 60; round++) {
        int words[MOST], count = 1 + (int)(sc_rng_u32(&rng) % (round < 30 ? 30 : MOST)), kinds = 1 + round % 5;
        text.len = 0;
        for (int i = 0; i < count; i++) {
            words[i] = (int)(sc_rng_u32(&rng) % (unsigned)kinds);
            if (i > 40 && sc_rng_u32(&rng) % 3) words[i] = words[i - 37]; /* long stretches again */
            sc_str_printf(&text, "%s%s", i ? " " : "", vocabulary[words[i]]);
        }
        assert_int_equal(sc_rules_judge(&work, sc_rules_for(&usual, "en"), SC_RULES_REPETITION, true, text.p,
                                        text.len, &left, &j),
                         SC_OK);
        for (int n = 2; n <= 4; n++)
            if (count >= n)
                assert_close(j.value[SC_RULE_gopher_top_2gram + n - 2], naive_top(words, count, n, text.len),
                             1e-12);
        for (int n = 5; n <= 10; n++)
            assert_close(j.value[SC_RULE_gopher_dup_5gram + n - 5], naive_duplicates(words, count, n, text.len),
                         1e-12);
    }
    sc_str_free(&text);
    sc_str_free(&left);
    sc_rule_work_free(&work);
}

/* ---- each rule at its threshold ---- */

static const char *rule_of(const char *language, const char *text, sc_judgement *j, sc_str *left)
{
    sc_rule_work work = sc_rule_work_begin(classes);
    assert_int_equal(sc_rules_judge(&work, sc_rules_for(&usual, language), SC_RULES_ALL, false, text,
                                    (int64_t)strlen(text), left, j),
                     SC_OK);
    sc_rule_work_free(&work);
    return j->rule < 0 ? "" : sc_rule_at(j->rule)->name;
}

/* The i-th made word: all differ. */
static const char *word(int i)
{
    static char made[4][16];
    static int turn;
    static const char *const part[] = {"ba", "ce", "di", "fo", "gu", "la", "me", "ni", "po", "ru", "sa", "te"};
    char *out = made[turn++ % 4];
    snprintf(out, 16, "%s%s%s%s", part[i % 12], part[i / 12 % 12], part[i * 7 % 11], part[i / 144 % 12]);
    return out;
}

/* Different sentences of eight words with stop words. */
static void put_prose(sc_str *s, int from, int to)
{
    static const char *const stop[] = {"the", "of", "and", "that", "with", "to", "have", "be"};
    for (int i = from; i < to; i++)
        sc_str_printf(s, "%s %s %s %s %s %s %s %s.\n", word(5 * i), stop[i % 8], word(5 * i + 1), word(5 * i + 2),
                      stop[i / 8 % 8], word(5 * i + 3), word(5 * i + 4), stop[i * 3 % 8]);
}

static void texts_fail_one_rule(void **state)
{
    (void)state;
    sc_str s = {0}, left = {0};
    sc_judgement j;
#define EXPECT(rule)                                                                                               \
    do {                                                                                                           \
        const char *got = rule_of("en", s.p, &j, &left);                                                           \
        if (strcmp(got, rule) != 0) fail_msg("%s where %s was expected: %.200s", got, rule, s.p);                  \
        s.len = 0;                                                                                                 \
    } while (0)
    put_prose(&s, 0, 20);
    EXPECT("");
    put_prose(&s, 0, 6); /* 48 words */
    EXPECT("gopher_words_least");
    for (int i = 0; i < 100001; i++) sc_str_printf(&s, "%06d ", i * 7 % 999983);
    EXPECT("gopher_words_most");
    for (int i = 0; i < 20; i++)
        sc_str_printf(&s, "%c%c of %c%c to %c%c be.\n", 'a' + i, 'z' - i, 'c' + i, 'd' + i, 'b' + i, 'b' + i);
    EXPECT("gopher_mean_word_least");
    for (int i = 0; i < 80; i++) sc_str_printf(&s, "internationalisation%d\n", i);
    EXPECT("gopher_mean_word_most");
    for (int i = 0; i < 20; i++) sc_str_printf(&s, "#%s the %s of %s\n", word(i), word(i + 100), word(i + 200));
    EXPECT("gopher_hashes");
    for (int i = 0; i < 20; i++) sc_str_printf(&s, "the %s… of %s %s\n", word(i), word(i + 100), word(i + 200));
    EXPECT("gopher_ellipses");
    for (int i = 0; i < 20; i++) sc_str_printf(&s, "- the %s %s of %s\n", word(i), word(i + 100), word(i + 200));
    EXPECT("gopher_bullet_lines");
    put_prose(&s, 0, 20);
    for (int i = 0; i < 10; i++) sc_str_printf(&s, "%s %s...\n", word(i + 500), word(i + 700));
    EXPECT("gopher_ellipsis_lines");
    for (int i = 0; i < 30; i++)
        sc_str_printf(&s, "%s of %d %d.%d %d\n", word(i), i * 31 + 1000, i * 37 + 1111, i, i + 7777);
    EXPECT("gopher_alpha_words");
    for (int i = 0; i < 60; i++) sc_str_printf(&s, "%s %s\n", word(i), word(i + 300));
    EXPECT("gopher_stop_words");
    put_prose(&s, 0, 10);
    put_prose(&s, 0, 10);
    EXPECT("gopher_dup_lines");
    for (int i = 0; i < 10; i++) {
        put_prose(&s, i % 5 * 3, i % 5 * 3 + 3);
        sc_str_puts(&s, "\n");
    }
    EXPECT("gopher_dup_paragraphs");
    put_prose(&s, 0, 10);
    sc_str_puts(&s, "Some lorem ipsum stands here as a text.\n");
    EXPECT("c4_lorem_ipsum");
    put_prose(&s, 0, 10);
    sc_str_puts(&s, "The function is { return 1 } as written here.\n");
    EXPECT("c4_curly_brackets");
    for (int i = 0; i < 20; i++)
        sc_str_printf(&s, "the river%d has of stones%d and of bridges%d\n", i, i * 7, i * 11);
    EXPECT("c4_sentences");
    sc_str_free(&s);
    sc_str_free(&left);
}

static void lines_are_taken_out(void **state)
{
    (void)state;
    sc_str s = {0}, left = {0}, want = {0};
    sc_judgement j;
    sc_str_puts(&s, "Home | About | Contact\n\n");
    put_prose(&s, 0, 8);
    sc_str_puts(&s, "Please enable JavaScript to see all of this page.\nToo few words.\n\n");
    sc_str_puts(&s, "We use cookies to make the site a better one.\nThis goes on and has no end...\n");
    sc_str_puts(&s, "It was founded in the year 1999.[12] It is large.[citation needed]\n");
    sc_str_puts(&s, "He said that it was \xe2\x80\x9cthe end of it.\xe2\x80\x9d\n");
    assert_string_equal(rule_of("en", s.p, &j, &left), "");
    assert_true(j.changed);
    put_prose(&want, 0, 8);
    sc_str_puts(&want, "\nIt was founded in the year 1999. It is large.\n"
                       "He said that it was \xe2\x80\x9cthe end of it.\xe2\x80\x9d");
    assert_string_equal(left.p, want.p);
    assert_int_equal(j.lines_dropped[SC_RULE_c4_line_javascript], 1);
    assert_int_equal(j.lines_dropped[SC_RULE_c4_line_policy], 1);
    assert_int_equal(j.lines_dropped[SC_RULE_c4_line_words], 1);
    assert_int_equal(j.lines_dropped[SC_RULE_c4_line_end], 2);
    assert_int_equal(j.lines_dropped[SC_RULE_c4_citations], 1);
    sc_str_free(&s);
    sc_str_free(&left);
    sc_str_free(&want);
}

static void languages_have_their_own(void **state)
{
    (void)state;
    sc_str s = {0}, left = {0};
    sc_judgement j;
    static const char *const korean[] = {"학교", "친구", "바다", "구름", "나무", "강물",
                                         "도시", "하늘", "겨울", "노래", "시장"};
    for (int i = 0; i < 12; i++)
        sc_str_printf(&s, "%s는 %s에서 %s를 %s에게 %d번 %s보다 %s처럼.\n", korean[i % 11], korean[i * 3 % 11],
                      korean[(i * 5 + 1) % 11], korean[(i * 7 + 2) % 11], i * 31 % 97, korean[i * 2 % 11],
                      korean[i * 4 % 11]);
    assert_string_equal(rule_of("ko", s.p, &j, &left), "");
    assert_string_equal(rule_of("en", s.p, &j, &left), "gopher_stop_words");
    s.len = 0;
    for (int i = 0; i < 12; i++) { /* 18 ideographs a line, two of them stop words */
        for (int k = 0; k < 18; k++)
            sc_str_utf8(&s, k == 3 ? 0x7684 : k == 9 ? 0x5728 : 0x4e00 + (uint32_t)((i * 18 + k) * 37 % 4000));
        sc_str_puts(&s, "。\n");
    }
    assert_string_equal(rule_of("zh", s.p, &j, &left), "");
    assert_string_equal(rule_of("zh-Hant", s.p, &j, &left), "");
    assert_close(j.value[SC_RULE_gopher_words_least], 12 * 18 / 1.5, 1e-9);
    sc_str_free(&s);
    sc_str_free(&left);
}

/* ---- thresholds from files ---- */

static void open_text(const char *text, sc_rules *r, sc_status want, const char *message)
{
    assert_int_equal(sc_file_write(file, text, (int64_t)strlen(text)), SC_OK);
    assert_int_equal(sc_rules_open(r, file), want);
    if (want && !strstr(sc_error(), message)) fail_msg("%s", sc_error());
}

static void thresholds_come_from_files(void **state)
{
    (void)state;
    sc_rules r;
    open_text(
        "{\"default\": {\"gopher_words_least\": 7, \"c4_line_end\": null}, \"ko\": {\"gopher_words_least\": 3}}",
        &r, SC_OK, NULL);
    assert_true(sc_rules_for(&r, "en")->of[SC_RULE_gopher_words_least] == 7);
    assert_true(sc_rules_for(&r, "zh")->of[SC_RULE_gopher_words_least] == 7);
    assert_true(sc_rules_for(&r, "ko-KR")->of[SC_RULE_gopher_words_least] == 3);
    assert_true(isnan(sc_rules_for(&r, "tlh")->of[SC_RULE_c4_line_end]));
    /* What is printed is read as the same again. */
    json_t *o = sc_rules_json(&r), *again;
    char *text = json_dumps(o, 0);
    sc_rules second;
    open_text(text, &second, SC_OK, NULL);
    again = sc_rules_json(&second);
    assert_true(json_equal(o, again));
    json_decref(o);
    json_decref(again);
    free(text);
    sc_rules_free(&r);
    sc_rules_free(&second);
    open_text("{\"default\": {\"gopher_word_least\": 7}}", &r, SC_EFORMAT, "there is gopher_words_least");
    open_text("{\"default\": {\"gopher_words_least\": \"7\"}}", &r, SC_EFORMAT, "gopher_words_least is no number");
    open_text("{\"default\": {\"gopher_words_least\": -1}}", &r, SC_EFORMAT, "is no number from 0");
    open_text("{\"default\": {\"units_per_word\": 0}}", &r, SC_EFORMAT, "units_per_word");
    open_text("{\"default\": 3}", &r, SC_EFORMAT, "default is not an object");
    open_text("{\"ko\": []}", &r, SC_EFORMAT, "ko is not an object");
    open_text("{\"a language of no name\": {}}", &r, SC_EFORMAT, "is no language");
    open_text("[1]", &r, SC_EFORMAT, "not an object of languages");
    assert_int_equal(sc_rules_open(&r, "/nonexistent/rules.json"), SC_ENOTFOUND);
}

/* ---- personal data ---- */

static void put_rrn(char out[16], const char *twelve)
{
    static const int weight[] = {2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5};
    int sum = 0;
    for (int i = 0; i < 12; i++) sum += weight[i] * (twelve[i] - '0');
    snprintf(out, 16, "%.6s-%.6s%d", twelve, twelve + 6, (11 - sum % 11) % 10);
}

static void expect_mask(const char *text, const char *want)
{
    char *masked;
    int64_t n;
    assert_int_equal(sc_filter_mask(text, (int64_t)strlen(text), &masked, &n, NULL), SC_OK);
    if (strcmp(masked, want) != 0) fail_msg("%s\n became %s\n not %s", text, masked, want);
    sc_free(masked);
}

static void personal_data_is_masked(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"Write to jane.doe+x@mail.uni-ulm.de.", "Write to [EMAIL]."},
        {"메일은 kim@naver.com입니다", "메일은 [EMAIL]입니다"},
        {"<a href=\"mailto:a@b.org\">", "<a href=\"mailto:[EMAIL]\">"},
        {"전화 010-1234-5678, 02-345-6789.", "전화 [PHONE], [PHONE]."},
        {"01098765432로 문자", "[PHONE]로 문자"},
        {"call (415) 867-5309 or 415-867-5309", "call [PHONE] or [PHONE]"},
        {"+49 (30) 1234-5678 and +82-10-1234-5678", "[PHONE] and [PHONE]"},
        {"Tel.: 030 123 4567", "Tel.: [PHONE]"},
        {"from 93.184.216.34 at noon", "from [IP] at noon"},
        {"see 2606:2800:220:1:248:1893:25c8:1946.", "see [IP]."},
        {"card 4111 1111 1111 1111 or 378282246310005", "card [CARD] or [CARD]"},
        {"DE89 3704 0044 0532 0130 00 and GB82WEST12345698765432", "[IBAN] and [IBAN]"},
        {"SSN 536-22-8145.", "SSN [SSN]."},
        {"key AKIAIOSFODNN7EXAMPLE now", "key [KEY] now"},
        {"token ghp_16C7e42F292c6912E7710c838347Ae178B4a x", "token [KEY] x"},
        {"password = \"hT9x!pQ2vLm4zR\"", "password = \"[KEY]\""},
        {"-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\nend", "[KEY]\nend"},
    };
    for (int i = 0; i < SC_COUNT(rows); i++) expect_mask(rows[i][0], rows[i][1]);
    char rrn[16], text[64];
    put_rrn(rrn, "800101123456");
    snprintf(text, sizeof text, "번호는 %s 입니다", rrn);
    expect_mask(text, "번호는 [RRN] 입니다");
    rrn[13] = (char)(rrn[13] == '9' ? '0' : rrn[13] + 1); /* another check digit */
    snprintf(text, sizeof text, "번호는 %s 입니다", rrn);
    expect_mask(text, text);
}

static void other_numbers_stay(void **state)
{
    (void)state;
    static const char *const rows[] = {"logo@2x.png",
                                       "user@localhost",
                                       "git@github.com:a/b.git",
                                       "me@example.com",
                                       "a @ b.com",
                                       "@handle",
                                       "x@y",
                                       "In 2017-2022, pages 100-200, 3.14159265358979",
                                       "ISBN 978-3-16-148410-0",
                                       "version 10.15.7.1",
                                       "v8.8.44.120",
                                       "192.168.1.1 10.0.0.1 127.0.0.1 1.2.3.4 256.1.1.1 300.300.300.300",
                                       "1,234,567,890",
                                       "2024-05-17 12:34:56",
                                       "$4111111111111112",
                                       "4111 1111 1111 1112",
                                       "12:34:56:78:9a:bc",
                                       "std::vector<int>::iterator",
                                       "dead::beef",
                                       "order 1234567890123456",
                                       "DE89 3704 0044 0532 0130 01",
                                       "GB00WEST12345698765432",
                                       "000-12-3456",
                                       "666-12-3456",
                                       "(see 3)",
                                       "f(415)",
                                       "sk-learn",
                                       "password: hunter",
                                       "secret_key = os.environ",
                                       "0101-2345",
                                       "80-90-100",
                                       "1588-1234로 전화",
                                       "a hotel: 5551234",
                                       "991332-1234567",
                                       "the private cellar will have 3600-1200=2400",
                                       "1731600000000",
                                       "+1",
                                       "+++",
                                       "(((((",
                                       "1.2.3",
                                       "eyJ",
                                       "-----BEGIN CERTIFICATE-----",
                                       "8.8.8.8"};
    for (int i = 0; i < SC_COUNT(rows); i++) expect_mask(rows[i], rows[i]);
}

/* Whatever bytes come: nothing outside is read, what is found lies one behind the other, and the pass is linear. */
static void any_bytes_are_taken(void **state)
{
    (void)state;
    static const char alphabet[] = "0123456789+-.() @:/aAbEeGKsk_\n\xec\x9d\x80=\"";
    sc_rng rng = sc_rng_make(3, 2);
    for (int round = 0; round < 300; round++) {
        int64_t n = 1 + (int64_t)(sc_rng_u32(&rng) % 200), end = 0;
        char *p = malloc((size_t)n); /* exact, so that the sanitizer sees what is behind it */
        for (int64_t i = 0; i < n; i++) p[i] = alphabet[sc_rng_u32(&rng) % (sizeof alphabet - 1)];
        for (sc_personal x = {0}; sc_personal_next(p, n, end, ~0u, &x); end = x.at + x.n) {
            assert_true(x.at >= end && x.n > 0 && x.at + x.n <= n);
        }
        free(p);
    }
    static const char *const again[] = {"a@",        "1-",    "+1 ",   "eyJa.",
                                        "password=", "2001:", "((1) ", "-----BEGIN PRIVATE KEY "};
    for (int k = 0; k < SC_COUNT(again); k++) {
        sc_str s = {0}, out = {0};
        int64_t counts[SC_PERSONAL_KINDS] = {0};
        while (s.len < 200000) sc_str_puts(&s, again[k]);
        sc_personal_mask(&out, s.p, s.len, ~0u, counts);
        sc_str_free(&s);
        sc_str_free(&out);
    }
}

/* ---- harmful words and the public functions ---- */

static void harmful_words_are_counted(void **state)
{
    (void)state;
    sc_harmful h;
    sc_words w = {.classes = classes};
    int64_t count[SC_HARMFUL_KINDS];
    assert_int_equal(sc_harmful_open(&h, NULL), SC_OK);
    const char *text = "Best CASINO! casinos, Jackpot. A casinoowner of Scunthorpe.";
    assert_int_equal(sc_words_cut(&w, text, (int64_t)strlen(text)), SC_OK);
    sc_harmful_count(&h, &w, "en", count);
    assert_int_equal(count[SC_HARMFUL_spam], 3);
    assert_int_equal(count[SC_HARMFUL_adult] + count[SC_HARMFUL_hate], 0);
    sc_harmful_count(&h, &w, "xx", count);
    assert_int_equal(count[SC_HARMFUL_spam], 0);
    text = "바카라사이트와 온라인카지노를 추천";
    assert_int_equal(sc_words_cut(&w, text, (int64_t)strlen(text)), SC_OK);
    sc_harmful_count(&h, &w, "ko", count);
    assert_int_equal(count[SC_HARMFUL_spam], 2);
    sc_harmful_free(&h);
    const char *words = "{\"en\": {\"spam\": [\"bridge\"]}}", *bad = "{\"en\": {\"spam\": [7]}}";
    assert_int_equal(sc_file_write(file, words, (int64_t)strlen(words)), SC_OK);
    assert_int_equal(sc_harmful_open(&h, file), SC_OK);
    assert_int_equal(h.list[0].words, 1);
    sc_harmful_free(&h);
    assert_int_equal(sc_file_write(file, bad, (int64_t)strlen(bad)), SC_OK);
    assert_int_equal(sc_harmful_open(&h, file), SC_EFORMAT);
    sc_words_free(&w);
}

static void one_text_is_checked(void **state)
{
    (void)state;
    sc_filter *f;
    char *json;
    assert_int_equal(sc_filter_new(&f, NULL), SC_OK);
    assert_int_equal(sc_filter_check(f, "en", "a@b.org and porn", 16, &json), SC_OK);
    json_t *o = json_loads(json, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(o, "rule")), "gopher_top_2gram");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "personal"), "email")), 1);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(o, "harmful"), "adult")), 1);
    json_decref(o);
    sc_free(json);
    assert_int_equal(sc_filter_check(f, "en", "", 0, &json), SC_OK);
    sc_free(json);
    assert_int_equal(sc_filter_rules(f, &json), SC_OK);
    sc_free(json);
    sc_filter_free(f);
    sc_filter_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_cut),
        cmocka_unit_test(sentences_are_counted),
        cmocka_unit_test(stop_words_are_found),
        cmocka_unit_test(n_grams_are_as_defined),
        cmocka_unit_test(texts_fail_one_rule),
        cmocka_unit_test(lines_are_taken_out),
        cmocka_unit_test(languages_have_their_own),
        cmocka_unit_test(thresholds_come_from_files),
        cmocka_unit_test(personal_data_is_masked),
        cmocka_unit_test(other_numbers_stay),
        cmocka_unit_test(any_bytes_are_taken),
        cmocka_unit_test(harmful_words_are_counted),
        cmocka_unit_test(one_text_is_checked),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
