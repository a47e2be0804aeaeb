/* SPDX-License-Identifier: Apache-2.0 */
/* The main text of web pages: what is kept, what goes, how it looks; and pages made to be slow, deep or large. */
#include "data/html.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static sc_html *room;

static int make_room(void **state)
{
    (void)state;
    return sc_html_new(&room);
}
static int free_room(void **state)
{
    (void)state;
    sc_html_free(room);
    return 0;
}

static void expect_with(sc_html_options o, const char *page, const char *want)
{
    sc_html_result r;
    assert_int_equal(sc_html_text(room, page, (int64_t)strlen(page), &o, &r), SC_OK);
    char *text = sc_strndup(r.text, (size_t)r.len);
    assert_string_equal(text, want);
    sc_free(text);
}

/* Everything visible, so that the shape alone is looked at. */
static void expect_shape(const char *page, const char *want)
{
    expect_with((sc_html_options){.all = true}, page, want);
}

static void test_shape(void **state)
{
    (void)state;
    expect_shape("", "");
    expect_shape("just text", "just text");
    expect_shape("<p>a  b\n c<p>d", "a b c\n\nd");
    expect_shape("a<br>b<br><br>c", "a\nb\n\nc");
    expect_shape("<ul><li>one<li>two<ul><li>inner</ul><li><p>three</p><p>more</ul>",
                 "- one\n- two\n  - inner\n- three\n  more");
    expect_shape("<table><tr><th>a<th>b<tr><td>1<td>2</table>", "a | b\n1 | 2");
    expect_shape("<table><tr><td><p>one</p><p>two</p><td>x</table>", "one\n\ntwo\n\nx"); /* for layout */
    expect_shape("<pre>\n  if (x)\n    y;\n\n  z\n</pre>", "  if (x)\n    y;\n\n  z");
    expect_shape("<h1>T</h1>x<h2>U</h2>", "T\n\nx\n\nU");
    expect_with((sc_html_options){.all = true, .markdown = true, .title = true},
                "<title>A &amp; B</title><h2>T</h2><pre>c</pre>", "# A & B\n\n## T\n\n```\nc\n```");
    expect_shape("<b>bo</b>ld and <i>x</i><span>y</span>", "bold and xy");
    expect_shape("&lt;b&gt; &amp;amp; 1 < 2 &eacute; &#x4e2d;", "<b> &amp; 1 < 2 é 中");
    expect_shape(
        "a<!-- b --><script>c</script><style>d</style><noscript>e</noscript>f<svg><svg></svg>g</svg>h<!-->i",
        "afhi");
    expect_shape("<p hidden>a</p><p style='color:red; display: none'>b<p aria-hidden=true>c<p>d", "d");
    expect_shape("<script>var a = '<p>no</p>';</SCRIPT >yes<textarea><p>no</textarea>", "yes");
    expect_shape("x<script>never ends <p>y", "x");
    expect_shape("a <sp an> b </nothing> c <3 d </> e", "a b c <3 d e");
    expect_shape("<div class='x' title='a > b'>c</div><p title=\"<p>\">d", "c\n\nd");
    expect_shape("<p>a<a href=b", "a");
    expect_shape("<em><p>one</em><p>two<div><p>three</div>four", "one\n\ntwo\n\nthree\n\nfour");
    expect_shape("<dl><dt>term<dd>means<dt>other<dd>more</dl>", "term\n\nmeans\n\nother\n\nmore");
}

static void test_language(void **state)
{
    (void)state;
    static const struct {
        const char *page, *language;
    } pages[] = {{"<html lang=ko>x", "ko"},
                 {"<HTML xml:lang='en_US' class=a>x", "en-us"},
                 {"<p lang=de>x", ""},
                 {"<html lang='zh-Hant-TW'><html lang=en>", "zh-hant-tw"},
                 {"<html lang='a very long one'>", "a"}};
    for (int i = 0; i < SC_COUNT(pages); i++) {
        sc_html_result r;
        assert_int_equal(
            sc_html_text(room, pages[i].page, (int64_t)strlen(pages[i].page), &(sc_html_options){0}, &r), SC_OK);
        assert_string_equal(r.language, pages[i].language);
    }
}

#define PARAGRAPH                                                                                                  \
    "The harbour was quiet when the boats came home in the evening, and the people who had waited on the shore "   \
    "since noon went down to help with the nets, as they had always done, because nobody else would."
#define SECOND                                                                                                     \
    "It had been a long day, with wind from the north, and the catch was small; but there was bread in the "       \
    "house, "                                                                                                      \
    "and the lamps were lit, so that those who were late could find the door in the dark."
#define AROUND(inner)                                                                                              \
    "<html><head><title>Boats</title></head><body><header><a href=/>Home</a> <a href=/a>About us</a></header>"     \
    "<nav><ul><li><a href=1>News</a><li><a href=2>Sports and weather of the region</a></ul></nav>" inner           \
    "<aside><p>Subscribe to our letter, which comes each week, and read more of what we write, "                   \
    "always.</p></aside>"                                                                                          \
    "<footer><p>Copyright © 2024 The Harbour Times. All rights reserved.</p></footer></body></html>"

static void test_main_text(void **state)
{
    (void)state;
    static const char want[] = "Boats\n\n" PARAGRAPH "\n\n" SECOND;
    sc_html_options usual = {0};
    expect_with(
        usual, AROUND("<main><article><h1>Boats</h1><p>" PARAGRAPH "</p><p>" SECOND "</p></article></main>"), want);
    expect_with(usual, AROUND("<div id=content><h1>Boats</h1><p>" PARAGRAPH "</p><p>" SECOND "</p></div>"), want);
    expect_with(usual, AROUND("<div><h1>Boats</h1><div>" PARAGRAPH "</div><div>" SECOND "</div></div>"), want);
    expect_with(usual, AROUND("<table><tr><td><h1>Boats</h1>" PARAGRAPH "<p>" SECOND "</table>"), want);
    /* Advertisement and the like in the middle, by their names; a name that cannot be meant. */
    expect_with(
        usual,
        AROUND("<div class=content-with-sidebar><h1>Boats</h1><p>" PARAGRAPH
               "</p><div class='ad-slot'><p>Buy boats, nets and lamps at the shop in the harbour, now cheaper than "
               "ever before, only this week.</p></div><div class=share><a>Tweet</a></div><p>" SECOND "</p></div>"),
        want);
    /* Short ones between good ones stay; links and short ones at the edges go. */
    expect_with(
        usual,
        AROUND("<div><p>12 comments</p><p>" PARAGRAPH "</p><p>And then?</p><p>" SECOND "</p><p>Next</p></div>"),
        PARAGRAPH "\n\nAnd then?\n\n" SECOND);
    expect_with(usual, "<p><a>One</a> <a>Two</a> <a>Three</a></p><p>Search</p>", "");
    /* Without capitals and spaces. */
    static const char japanese[] =
        "港は静かで、夕方に船が帰ってくると、昼から岸で待っていた人々は網を運ぶために下りていった。"
        "いつもそうしてきたし、ほかに誰もいなかったからである。北風の長い一日で、獲物は少なかった。"
        "それでも家にはパンがあり、灯がともっていたので、遅れた者も暗闇の中で戸口を見つけることができた。";
    char page[4096];
    snprintf(page, sizeof page, "<ul><li><a>ホーム</a><li><a>ニュース</a></ul><div>%s</div><p><a>次へ</a>",
             japanese);
    expect_with(usual, page, japanese);
}

static char *repeat(const char *a, int n, const char *middle, const char *b, int m)
{
    sc_str s = {0};
    for (int i = 0; i < n; i++) sc_str_printf(&s, a, i);
    sc_str_puts(&s, middle);
    for (int i = 0; i < m; i++) sc_str_puts(&s, b);
    return sc_str_take(&s, NULL);
}

/* What makes parsers slow, deep or large. There is no limit on time here: they just have to end. */
static void test_hostile(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    char *page = repeat("<div>", MANY, "<p>deep</p>", "</div>", MANY);
    expect_shape(page, "deep");
    sc_free(page);
    static const struct {
        const char *a, *middle, *b;
        int n, m;
    } made[] = {
        {"<b id=%d><span class=nav><div>", "x", "", MANY, 0},
        {"<font a=%d>", "", "<p>x", MANY, 10000},
        {"<span class=nav><div></span></div>", "x", "", MANY, 0},
        {"<table><a>x", "", "", MANY / 2, 0},
        {"<table><div>x</div>", "", "", 20000, 0},
        {"<svg>", "x", "<script>", MANY, 1000},
        {"<a><p>", "x", "<p>y", MANY, 10000},
        {"<ul><li>", "x", "", MANY, 0},
        {"<a><table><td>", "x", "<a><a>", MANY / 4, MANY / 4},
        {"<table>", "", "<a>x</a>", 1, MANY},
        {"<div class=nav>", "x", "", MANY, 0},
        {"<article>", "x", "</article>", MANY, MANY},
        {"<", "", "<!", MANY, MANY},
        {"<p a='", "", "", MANY, 0},
        {"</p>", "", "<br>", MANY, MANY},
        {"<select><option>", "", "<button>", MANY, MANY},
        {"<div>x</div>", "", "", MANY, 0},
        {"<form><h1><pre>", "x", "", MANY, 0},
        {"<title>", "x", "</title>", MANY, MANY},
    };
    for (int i = 0; i < SC_COUNT(made); i++) {
        sc_html_result r;
        page = repeat(made[i].a, made[i].n, made[i].middle, made[i].b, made[i].m);
        sc_status s = sc_html_text(room, page, (int64_t)strlen(page), &(sc_html_options){0}, &r);
        assert_true(s == SC_OK || s == SC_ELIMIT);
        sc_free(page);
    }
    page = repeat("<p>x", MANY, "", "", 0);
    sc_html_result r;
    assert_int_equal(sc_html_text(room, page, (int64_t)strlen(page), &(sc_html_options){.memory = 4 << 20}, &r),
                     SC_ELIMIT);
    assert_string_equal(sc_error(), "the page's tree is larger than 4194304 bytes");
    sc_free(page);
    expect_shape("<p>a", "a"); /* the room is as before */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape),
        cmocka_unit_test(test_language),
        cmocka_unit_test(test_main_text),
        cmocka_unit_test(test_hostile),
    };
    return cmocka_run_group_tests(tests, make_room, free_room);
}
