/* SPDX-License-Identifier: Apache-2.0 */
/* The page of a data run: what documents and names hold is shown, never run; whatever stands in data.json, a page comes out. */
#include "base/base.h"
#include "socle/data.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/socle-page-XXXXXX";

static int set_up(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : 1;
}

static void remove_in(const char *name)
{
    char *path = sc_path_join(dir, name);
    unlink(path);
    sc_free(path);
}

static int tear_down(void **state)
{
    (void)state;
    remove_in("data.json");
    remove_in("report.html");
    return rmdir(dir);
}

/* The page of a data.json; owned. */
static char *page_of(const char *json, sc_status want)
{
    char *path = sc_path_join(dir, "data.json"), *page = NULL, *html = sc_path_join(dir, "report.html");
    int64_t len;
    assert_int_equal(sc_file_write(path, json, (int64_t)strlen(json)), SC_OK);
    assert_int_equal(sc_data_page(dir), want);
    if (!want) assert_int_equal(sc_file_read(&page, &len, html, 1 << 24), SC_OK);
    sc_free(path);
    sc_free(html);
    return page;
}

static const char run[] =
    "{\"sources\": [\"<b>a</b>.jsonl\"], \"files\": 1, \"shards\": 2,"
    " \"read\": {\"in\": 12345, \"kept\": 12345, \"reasons\": {}},"
    " \"stages\": [{\"stage\": \"quality\", \"summary\": \"drops\", \"in\": 12345, \"kept\": 345, \"dropped\": "
    "12000,"
    "   \"bytes_in\": 5000000, \"bytes_kept\": 2000000, \"seconds\": 0.5, \"settings\": {\"stage\": \"quality\"},"
    "   \"reasons\": {\"gopher_words_least\": [12000, 9, 0, 0]}, \"things\": {\"c4_line_end\": [7, 3, 0, 0]},"
    "   \"examples\": {\"gopher_words_least\": [{\"url\": \"javascript:alert(1)\", \"language\": \"en\", "
    "\"value\": 4.5,"
    "     \"bytes\": 40, \"text\": \"<script>alert(1)</script><img src=x onerror=alert(2)> \\u0007\\\"&\"}]}}],"
    " \"before\": {\"documents\": 12345, \"bytes\": 5000000, \"lengths\": [0, 1, 5], \"languages\": {\"en\": "
    "[12345, 9, 9, 0]}},"
    " \"after\": {\"documents\": 345, \"bytes\": 2000000, \"tokens\": 777, \"lengths\": [0, 0, 3], "
    "\"token_lengths\": [1, 2],"
    "   \"languages\": {\"en\": [345, 2000000, 1900000, 777], \"<i>\": [1, 1, 1, 1]}, \"scores\": {\"quality "
    "0.35\": [4]}}}";

static void has(const char *page, const char *what)
{
    if (!strstr(page, what)) fail_msg("the page lacks %s", what);
}

static void documents_are_shown_not_run(void **state)
{
    (void)state;
    char *page = page_of(run, SC_OK);
    has(page, "12,345");
    has(page, "345 of 12,345 documents are left after 1 stage.");
    has(page, "gopher_words_least: 12,000 documents");
    has(page, "words other than punctuation; usually at least 50");
    has(page, "&lt;script&gt;alert(1)&lt;/script&gt;&lt;img src=x onerror=alert(2)&gt;");
    has(page, "measured 4.5");
    has(page, "7 in 3 documents");
    has(page, "&lt;i&gt;");
    has(page, "2.8%");
    static const char *const never[] = {"<script", "<img", "<b>a", "<i>\"", "href", "src=\"", "url("};
    for (int i = 0; i < SC_COUNT(never); i++)
        if (strstr(page, never[i])) fail_msg("the page has %s", never[i]);
    sc_free(page);
}

/* Each value of the JSON replaced by others, one at a time. */
static void any_json_is_taken(void **state)
{
    (void)state;
    static const char *const keys[] = {"sources", "read", "before", "after", "files", "stages"};
    static const char *const values[] = {
        "null", "[]", "{}", "[null, 3, {}]", "\"x\"", "-1", "{\"in\": \"x\", \"languages\": [3]}"};
    for (int k = 0; k < SC_COUNT(keys); k++)
        for (int i = 0; i < SC_COUNT(values); i++) {
            json_t *o = json_loads(run, 0, NULL), *v = json_loads(values[i], JSON_DECODE_ANY, NULL);
            json_object_set_new(o, keys[k], v);
            bool list = strcmp(keys[k], "stages") != 0 || json_is_array(json_object_get(o, "stages"));
            char *text = json_dumps(o, 0);
            sc_free(page_of(text, list ? SC_OK : SC_EFORMAT));
            free(text);
            json_decref(o);
        }
    page_of("[]", SC_EFORMAT);
    page_of("{", SC_EFORMAT);
    assert_int_equal(sc_data_page("/nonexistent"), SC_ENOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(documents_are_shown_not_run),
                                       cmocka_unit_test(any_json_is_taken)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
