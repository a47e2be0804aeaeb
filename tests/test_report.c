/* SPDX-License-Identifier: Apache-2.0 */
/* Pages and pictures: what is written is escaped, within its picture, and says its numbers. */
#include "report/report.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static int count(const char *text, const char *word)
{
    int n = 0;
    for (const char *p = text; (p = strstr(p, word)); p += strlen(word)) n++;
    return n;
}

static char *draw(const sc_chart *c)
{
    sc_str out = {0};
    sc_chart_draw(&out, c);
    assert_false(out.oom);
    return out.p;
}

/* Every place after `key` lies in [lo, hi]. */
static void check_places(const char *svg, const char *key, double lo, double hi)
{
    for (const char *p = svg; (p = strstr(p, key));) {
        p += strlen(key);
        double v = strtod(p, NULL);
        if (!(v >= lo && v <= hi)) fail_msg("%s%g is outside of %g to %g", key, v, lo, hi);
    }
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *text;
    } rows[] = {{0, "0"},          {0.0012, "0.0012"},   {3.41234, "3.412"}, {9999, "9999"},     {10000, "10k"},
                {12345, "12.35k"}, {999999, "1M"},       {1.5e6, "1.5M"},    {-2e9, "-2G"},      {3e12, "3T"},
                {1e15, "10¹⁵"},    {4.2e18, "4.2·10¹⁸"}, {1e-5, "10⁻⁵"},     {-2e-7, "-2·10⁻⁷"}, {INFINITY, "inf"}};
    for (int i = 0; i < SC_COUNT(rows); i++) {
        char out[48];
        sc_number_text(out, rows[i].v);
        assert_string_equal(out, rows[i].text);
    }
}

static void text_is_escaped(void **state)
{
    (void)state;
    sc_str s = {0};
    sc_page_escape(&s, "<script>&\"\x01\x7f한\xff\xed\xa0\x80\n", -1);
    assert_true(sc_utf8_valid(s.p, s.len));
    assert_non_null(strstr(s.p, "&lt;script&gt;&amp;&quot;  한"));
    assert_non_null(strstr(s.p, "\xef\xbf\xbd"));
    sc_str_free(&s);
    sc_page_escape(&s, "a\0<b", 4);
    assert_string_equal(s.p, "a &lt;b");
    sc_str_free(&s);
}

static void lines_leave_gaps_and_say_values(void **state)
{
    (void)state;
    double x[1000], y[1000], sparse[1000];
    for (int i = 0; i < 1000; i++) {
        x[i] = i + 1;
        y[i] = 3 + sin(i * 0.02);
        sparse[i] = i % 200 ? NAN : 2.5;
    }
    y[500] = INFINITY;
    const sc_series s[] = {{.name = "<all>", .x = x, .y = y, .n = 1000},
                           {.name = "few", .colour = 1, .x = x, .y = sparse, .n = 1000}};
    const double mark[] = {400, 5000};
    char *svg = draw(&(sc_chart){.title = "T & U",
                                 .x_name = "step",
                                 .series = s,
                                 .n_series = 2,
                                 .mark = mark,
                                 .n_marks = 2,
                                 .mark_name = "spike at"});
    assert_int_equal(count(svg, "<circle"), 5);
    assert_int_equal(count(svg, "few 2.5</title>"), 5);
    assert_int_equal(count(svg, "spike at 400</title>"), 1);
    assert_int_equal(count(svg, "spike at 5000"), 0);
    assert_non_null(strstr(svg, "T &amp; U"));
    assert_non_null(strstr(svg, "&lt;all&gt;"));
    assert_int_equal(count(svg, "<all>") + count(svg, "nan") + count(svg, "inf"), 0);
    assert_non_null(strstr(svg, "step 1: few 2.5"));
    check_places(svg, "cx=", 0, 640);
    check_places(svg, "cy=", 0, 240);
    sc_str_free(&(sc_str){.p = svg});
}

/* A power law is a straight line where both axes are logarithmic. */
static void logarithmic_axes_are_even(void **state)
{
    (void)state;
    double x[] = {1e3, 1e4, 1e5, 1e6, 0, -1, NAN}, y[] = {100, 10, 1, 0.1, 5, 5, 5}, at[4][2];
    double low[] = {50, 5, 0.5, 0.05, 5, 5, 5}, high[] = {200, 20, 2, 0.2, 5, 5, 5};
    const char *const hint[] = {"one <1>", NULL, NULL, NULL, NULL, NULL, NULL};
    const sc_series s = {.name = "law",
                         .kind = SC_SERIES_DOTS,
                         .x = x,
                         .y = y,
                         .low = low,
                         .high = high,
                         .hint = hint,
                         .n = SC_COUNT(x)};
    char *svg = draw(&(sc_chart){.title = "Law",
                                 .x = SC_AXIS_LOG,
                                 .y = SC_AXIS_LOG,
                                 .named = true,
                                 .x_name = "N",
                                 .y_name = "loss",
                                 .series = &s,
                                 .n_series = 1,
                                 .height = 400});
    int n = 0;
    for (const char *p = svg; (p = strstr(p, "cx=")); p++) {
        assert_true(n < 4);
        at[n][0] = strtod(p + 3, NULL);
        at[n++][1] = strtod(strstr(p, "cy=") + 3, NULL);
    }
    assert_int_equal(n, 4);
    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) {
            assert_true((at[i + 1][k] - at[i][k]) - (at[1][k] - at[0][k]) < 0.25);
            assert_true((at[i + 1][k] - at[i][k]) - (at[1][k] - at[0][k]) > -0.25);
        }
    assert_true(at[1][0] > at[0][0] && at[1][1] > at[0][1]);
    assert_non_null(strstr(svg, "one &lt;1&gt;"));
    assert_non_null(strstr(svg, ">10k</text>"));
    assert_non_null(strstr(svg, "N, logarithmic"));
    check_places(svg, "cy=", 0, 400);
    sc_str_free(&(sc_str){.p = svg});
    /* Within one power of ten there are ticks all the same. */
    double near[] = {2.1, 2.9, 3.3, 3.4};
    const sc_series t = {.name = "near", .kind = SC_SERIES_CURVE, .x = x, .y = near, .n = 4};
    svg = draw(&(sc_chart){.title = "Near", .x = SC_AXIS_LOG, .y = SC_AXIS_LOG, .series = &t, .n_series = 1});
    assert_true(count(svg, "class=y>") >= 3);
    sc_str_free(&(sc_str){.p = svg});
}

static void columns_stand_on_zero(void **state)
{
    (void)state;
    double edge[] = {0, 1, 2, 4}, n[] = {10, 0, 5};
    const sc_series s = {.name = "documents", .kind = SC_SERIES_COLUMNS, .x = edge, .y = n, .n = 3};
    char *svg = draw(&(sc_chart){.title = "Lengths", .series = &s, .n_series = 1}), *p = svg;
    double bottom = 0;
    int columns = 0;
    for (; (p = strstr(p, "<rect class=\"column")); p++, columns++) {
        double y = strtod(strstr(p, " y=") + 3, NULL), height = strtod(strstr(p, "height=") + 7, NULL);
        assert_true(!columns || fabs(y + height - bottom) < 0.2);
        bottom = y + height;
    }
    assert_int_equal(columns, 2);
    assert_non_null(strstr(svg, "documents, 2 to 4: 5</title>"));
    sc_str_free(&(sc_str){.p = svg});
}

static void nothing_gives_nothing(void **state)
{
    (void)state;
    double none[] = {NAN, -1}, x[] = {1, 2};
    const sc_series s = {.name = "none", .kind = SC_SERIES_DOTS, .x = x, .y = none, .n = 2};
    const sc_series one = {.name = "one", .kind = SC_SERIES_DOTS, .x = x, .y = x, .n = 1};
    assert_null(draw(&(sc_chart){.title = "none", .y = SC_AXIS_LOG, .series = &s, .n_series = 1}));
    assert_null(draw(&(sc_chart){.title = "none"}));
    char *svg =
        draw(&(sc_chart){.title = "one", .x = SC_AXIS_LOG, .y = SC_AXIS_LOG, .series = &one, .n_series = 1});
    assert_int_equal(count(svg, "<circle"), 1);
    assert_int_equal(count(svg, "nan") + count(svg, "inf\""), 0);
    sc_str_free(&(sc_str){.p = svg});
}

static void a_page_has_its_parts(void **state)
{
    (void)state;
    char dir[] = "/tmp/socle-report-XXXXXX", path[64], *text;
    static const char *const fact[] = {"documents", "12 <of> 20"}, *const head[] = {"rule", "n", "example"};
    int64_t n;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/report.html", dir);
    sc_page p = {0};
    sc_page_begin(&p, "A <page>", "whole");
    sc_page_facts(&p, fact, 1);
    sc_page_section(&p, "Rules", "Dropped & kept");
    sc_page_bars(&p, "by rule",
                 (const sc_bar[]){{"short", 10, NULL, 0}, {"long", 5, "5 (50%)", 1}, {"bad", NAN, "-", 9}}, 3);
    sc_page_table(&p, head, 3);
    sc_page_row(&p);
    sc_page_cell(&p, "short");
    sc_page_cellf(&p, "%d", 10);
    sc_page_cell_said(&p, "en ", "a\xff<b>tail", 5);
    sc_page_table_end(&p);
    json_t *o = json_pack("{s:s, s:f, s:[i]}", "key", "va<lue", "x", 0.5, "list", 1);
    sc_page_objects(&p, "Options", o, "None", NULL);
    sc_page_command(&p, "Command", "socle scale 'x'");
    json_decref(o);
    assert_int_equal(sc_page_write(&p, path), SC_OK);
    assert_int_equal(sc_file_read(&text, &n, path, 1 << 20), SC_OK);
    assert_true(sc_utf8_valid(text, n));
    static const char *const has[] = {"A &lt;page&gt;",
                                      "12 &lt;of&gt; 20",
                                      "Dropped &amp; kept",
                                      "width:100.00%",
                                      "width:50.00%",
                                      "5 (50%)",
                                      "<i>en </i>a\xef\xbf\xbd&lt;b&gt;\n",
                                      "va&lt;lue",
                                      "[1]",
                                      "socle scale 'x'",
                                      "width=device-width",
                                      "prefers-color-scheme:dark"};
    for (int i = 0; i < SC_COUNT(has); i++)
        if (!strstr(text, has[i])) fail_msg("the page lacks %s", has[i]);
    assert_int_equal(count(text, "<script") + count(text, "http") + count(text, "None"), 0);
    sc_free(text);
    sc_page_begin(&p, "Nowhere", "");
    snprintf(path, sizeof path, "%s/no/report.html", dir);
    assert_int_equal(sc_page_write(&p, path), SC_ENOTFOUND);
    snprintf(path, sizeof path, "%s/report.html", dir);
    assert_int_equal(unlink(path) | rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(lines_leave_gaps_and_say_values),
        cmocka_unit_test(logarithmic_axes_are_even),
        cmocka_unit_test(columns_stand_on_zero),
        cmocka_unit_test(nothing_gives_nothing),
        cmocka_unit_test(a_page_has_its_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
