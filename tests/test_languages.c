/* SPDX-License-Identifier: Apache-2.0 */
/* Languages: files of messages, what is cleaned out of them, how lines are divided, a model made of a small tree of messages, and
 * being asked. */
#include "core_help.h"
#include "data/languages.h"

#include <sys/stat.h>

static char folder[] = "/tmp/socle-languages-XXXXXX";

/* ---- files of messages ---- */

static void put_number(sc_str *s, uint32_t x, bool swap)
{
    x = swap ? __builtin_bswap32(x) : x;
    sc_str_append(s, (char *)&x, 4);
}

/* A .mo file of n messages; lengths are strlen's, but "\1" stands for NUL. */
static void make_mo(sc_str *out, const char *const (*pair)[2], int n, bool swap)
{
    uint32_t at = 28 + 16 * (uint32_t)n;
    put_number(out, 0x950412de, swap);
    for (int i = 0; i < 6; i++)
        put_number(out, (uint32_t[]){0, (uint32_t)n, 28, 28 + 8 * (uint32_t)n, 0, 0}[i], swap);
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < n; i++) {
            put_number(out, (uint32_t)strlen(pair[i][side]), swap);
            put_number(out, at, swap);
            at += (uint32_t)strlen(pair[i][side]) + 1;
        }
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < n; i++) {
            for (const char *p = pair[i][side]; *p; p++) sc_str_putc(out, *p == 1 ? 0 : *p);
            sc_str_putc(out, 0);
        }
}

static sc_status collect(void *user, const char *message, int64_t len, const char *to, int64_t len_to)
{
    sc_str_printf(user, "%.*s=%.*s;", (int)len, message, (int)len_to, to);
    return SC_OK;
}

static void messages_are_read(void **state)
{
    static const char *const pairs[][2] = {{"", "Content-Type: text/plain; charset=UTF-8\n"},
                                           {"file", "Datei"},
                                           {"menu\4open", "auf"},
                                           {"%d day\1%d days", "%d Tag\1%d Tage"},
                                           {"bad", "\xff"}};
    static const char *const latin[][2] = {{"", "charset=ISO-8859-1\n"}};
    (void)state;
    for (int swap = 0; swap < 2; swap++) {
        sc_str mo = {0}, got = {0};
        make_mo(&mo, pairs, 5, swap);
        assert_int_equal(sc_mo_read(mo.p, mo.len, "x.mo", collect, &got), SC_OK);
        assert_string_equal(got.p, "file=Datei;open=auf;%d day=%d Tag;%d days=%d Tage;");
        for (int64_t n = 0; n < mo.len; n++) {
            char *cut = malloc((size_t)n + 1); /* so that a byte too many is found */
            memcpy(cut, mo.p, (size_t)n);
            got.len = 0;
            sc_status s = sc_mo_read(cut, n, "x.mo", collect, &got);
            assert_true(s == SC_EFORMAT || n == mo.len - 1);
            free(cut);
        }
        sc_str_free(&mo);
        sc_str_free(&got);
    }
    sc_str mo = {0};
    make_mo(&mo, latin, 1, false);
    assert_int_equal(sc_mo_read(mo.p, mo.len, "x.mo", collect, NULL), SC_EUNSUPPORTED);
    assert_int_equal(sc_mo_read("not a file of messages at all", 29, "x.mo", collect, NULL), SC_EFORMAT);
    assert_string_equal(sc_error(), "x.mo: no file of messages");
    sc_str_free(&mo);
}

static void only_words_stay(void **state)
{
    static const struct {
        const char *text, *known, *want;
    } cases[] = {{"Die Datei %s wurde nicht gefunden (%d)", NULL, "die datei wurde nicht gefunden"},
                 {"Use --help or see <b>https://a.b/c</b> &amp; PATH", NULL, "use or see"},
                 {"_Datei &Bearbeiten...", NULL, "datei bearbeiten"},
                 {"Firefox kann das nicht", "Firefox cannot do that", "kann das nicht"},
                 {"a_variable x=1 foo/bar {name} 3rd", NULL, ""},
                 {"\xE5\x9C\xA8"
                  "2019"
                  "\xE5\xB9\xB4\xE3\x80\x82\xE4\xB8\xAD",
                  NULL, "\xE5\x9C\xA8 \xE5\xB9\xB4 \xE4\xB8\xAD"},
                 {"", NULL, ""}};
    (void)state;
    for (int i = 0; i < SC_COUNT(cases); i++) {
        sc_str s = {0};
        sc_language_words w;
        sc_str_puts(&s, "");
        sc_language_clean(&s, cases[i].text, (int64_t)strlen(cases[i].text), cases[i].known,
                          cases[i].known ? (int64_t)strlen(cases[i].known) : 0, &w);
        assert_string_equal(s.p ? s.p : "", cases[i].want);
        sc_str_free(&s);
    }
    assert_int_equal(sc_language_key("Save 3 files!", 13), sc_language_key("save FILES", 10));
    assert_int_not_equal(sc_language_key("ab", 2), sc_language_key("ba", 2));
}

/* ---- a tree of messages in three made-up languages ---- */

static const char *const code[] = {"de", "fr", "ko"};

static void make_sentence(sc_str *s, int language, uint64_t *seed)
{
    static const char *const syllables[4][6] = {
        {"schi", "ter", "ung", "ach", "zu", "eit"},
        {"eau", "que", "oir", "ment", "les", "ais"},
        {"\xEB\x8B\xA4", "\xEA\xB3\xA0", "\xEC\x9D\x98", "\xEB\x8A\x94", "\xEA\xB0\x80", "\xEC\x9D\xB4"},
        {"the", "ing", "ough", "wh", "ed", "ly"}};
    for (int w = 0; w < 8; w++) {
        if (w) sc_str_putc(s, ' ');
        for (int k = 0; k < 3; k++) sc_str_puts(s, syllables[language][random_in(seed, 0, 5)]);
    }
}

static void make_tree(void)
{
    enum { MESSAGES = 900 };
    static const char *pair[MESSAGES][2];
    for (int l = 0; l < 3; l++) {
        uint64_t english = 7, seed = 100 + (uint64_t)l;
        char path[256];
        sc_str mo = {0};
        for (int i = 0; i < MESSAGES; i++) {
            sc_str from = {0}, to = {0};
            make_sentence(&from, 3, &english);
            make_sentence(&to, l, &seed);
            if (i % 50 == 49) to.len = 0, sc_str_puts(&to, from.p); /* not translated: such lines must not count */
            pair[i][0] = sc_str_take(&from, NULL);
            pair[i][1] = sc_str_take(&to, NULL);
        }
        make_mo(&mo, pair, MESSAGES, false);
        snprintf(path, sizeof path, "%s/locale/%s/LC_MESSAGES", folder, code[l]);
        assert_int_equal(sc_mkdirs(path), SC_OK);
        snprintf(path, sizeof path, "%s/locale/%s/LC_MESSAGES/x.mo", folder, code[l]);
        assert_int_equal(sc_file_write(path, mo.p, mo.len), SC_OK);
        snprintf(path, sizeof path, "%s/locale/%s/LC_MESSAGES/broken.mo", folder, code[l]);
        assert_int_equal(sc_file_write(path, mo.p, 100), SC_OK);
        sc_str_free(&mo);
        for (int i = 0; i < MESSAGES; i++)
            sc_free((char *)(uintptr_t)pair[i][0]), sc_free((char *)(uintptr_t)pair[i][1]);
    }
}

static void lines_are_divided_by_messages(void **state)
{
    sc_context *ctx = new_context(2);
    sc_language_lines l;
    char root[256];
    int64_t held_out = 0;
    (void)state;
    snprintf(root, sizeof root, "%s/locale", folder);
    assert_int_equal(sc_language_gather(&l, ctx, (const char *[]){root}, 1, 100000), SC_OK);
    assert_int_equal(l.files, 3);
    assert_int_equal(l.broken, 3);
    assert_int_equal(l.n, 3 * 900 * 49 / 50 + 900);
    for (int64_t i = 0; i < l.n; i++) {
        held_out += l.line[i].held_out;
        for (int64_t j = i + 1; j < l.n; j++) {
            assert_true(l.line[i].key != l.line[j].key);
            if (l.line[i].message == l.line[j].message) assert_int_equal(l.line[i].held_out, l.line[j].held_out);
        }
    }
    assert_true(held_out > l.n / 20 && held_out < l.n / 5);
    sc_language_lines_free(&l);
    sc_context_free(ctx);
}

static void a_model_is_made_and_asked(void **state)
{
    sc_context *ctx = new_context(2);
    sc_languages_options o = sc_languages_defaults();
    sc_languages_report r;
    sc_languages *l;
    sc_languages_reader *reader;
    char root[256], out[256];
    int64_t tested = 0, correct = 0;
    (void)state;
    snprintf(root, sizeof root, "%s/locale", folder);
    snprintf(out, sizeof out, "%s/l.ftz", folder);
    o.root = (const char *[]){root};
    o.n_roots = 1;
    o.out = out;
    o.deterministic = true;
    assert_int_equal(sc_languages_open(&l, out), SC_ENOTFOUND);
    if (sc_languages_build(&r, ctx, &o)) fail_msg("%s", sc_error());
    assert_int_equal(r.languages, 4);
    for (int64_t i = 0; i < r.n; i++) tested += r.row[i].tested, correct += r.row[i].correct;
    assert_true(tested > 100 && correct * 100 >= tested * 97);
    sc_free(r.row);

    assert_int_equal(sc_languages_open(&l, out), SC_OK);
    assert_int_equal(sc_languages_reader_new(&reader, l), SC_OK);
    for (int language = 0; language < 3; language++) {
        uint64_t seed = 55;
        sc_str s = {0};
        sc_language best[5];
        for (int i = 0; i < 40; i++) make_sentence(&s, language, &seed), sc_str_puts(&s, " 12 \xc3\n");
        for (int64_t most = 0; most < 4000; most = most ? most * 3 : 64) {
            assert_int_equal(sc_languages_detect(reader, s.p, s.len, most, 5, best), SC_OK);
            assert_string_equal(best[0].code, code[language]);
            assert_true(best[0].probability > 0.5 && best[4].code == NULL);
        }
        sc_str_free(&s);
    }
    sc_language none;
    assert_int_equal(sc_languages_detect(reader, "12 34 <b>", 9, 0, 1, &none), SC_OK);
    assert_null(none.code);
    sc_languages_reader_free(reader);
    sc_languages_free(l);
    o.least = 100000;
    assert_int_equal(sc_languages_build(&r, ctx, &o), SC_ENOTFOUND);
    sc_context_free(ctx);
}

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return 1;
    make_tree();
    return 0;
}

static int tear_down(void **state)
{
    char path[300];
    (void)state;
    for (int l = 0; l < 3; l++)
        for (int i = 0; i < 4; i++) {
            static const char *const parts[] = {"/LC_MESSAGES/x.mo", "/LC_MESSAGES/broken.mo", "/LC_MESSAGES", ""};
            snprintf(path, sizeof path, "%s/locale/%s%s", folder, code[l], parts[i]);
            (void)remove(path);
        }
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, i ? "locale" : "l.ftz");
        (void)remove(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_read),
        cmocka_unit_test(only_words_stay),
        cmocka_unit_test(lines_are_divided_by_messages),
        cmocka_unit_test(a_model_is_made_and_asked),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
