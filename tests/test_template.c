/* SPDX-License-Identifier: Apache-2.0 */
/* Chat templates against transformers: cases of our own (tests/data/jinja_cases.json), the real templates where they
 * are at hand, hostile templates, limits, failing allocations of no consequence to the caller, and loading. */
#include "base/base.h"
#include "socle/template.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW "2026-01-15 09:30:00"

static json_t *read_json(const char *path)
{
    json_t *j = NULL;
    if (sc_json_read(&j, path, 64 << 20)) fail_msg("%s: %s", path, sc_error());
    return j;
}

static sc_status render(const char *what, const char *source, int64_t n, const char *variables,
                        const sc_template_options *o, char **text, int64_t *len)
{
    sc_template *t = NULL;
    *text = NULL;
    sc_status s = sc_template_new(&t, source, n, what);
    if (!s) s = sc_template_render(text, len, t, variables, (int64_t)strlen(variables), o);
    sc_template_free(t);
    return s;
}

/* One case of the reference: the same text, or refused by both. Returns whether it is so. */
static bool agrees(const char *what, const char *source, int64_t n, const char *variables, const json_t *want)
{
    const sc_template_options o = {.now = NOW};
    char *text;
    int64_t len = 0;
    sc_status s = render(what, source, n, variables, &o, &text, &len);
    bool same =
        want ? !s && (int64_t)json_string_length(want) == len && !memcmp(text, json_string_value(want), (size_t)len)
             : s != SC_OK;
    if (!same) {
        print_error("%s\n  template: %.200s\n  expected: %.200s\n  got:      %.200s\n", what, source,
                    want ? json_string_value(want) : "(refused)", s ? sc_error() : text);
    }
    sc_free(text);
    return same;
}

static void own_cases(void **state)
{
    (void)state;
    json_t *file = read_json(SOCLE_SOURCE_DIR "/tests/data/jinja_cases.json"), *c;
    char *variables = json_dumps(json_object_get(file, "variables"), 0);
    size_t i, bad = 0;
    json_array_foreach(json_object_get(file, "cases"), i, c)
    {
        const json_t *source = json_object_get(c, "source");
        bad += !agrees("case", json_string_value(source), (int64_t)json_string_length(source), variables,
                       json_object_get(c, "expected"));
    }
    assert_true(i > 1000);
    assert_int_equal(bad, 0);
    free(variables);
    json_decref(file);
}

static void real_templates(void **state)
{
    (void)state;
    const char *root = getenv("SOCLE_FIXTURES");
    char path[4096], dir[4096];
    if (!root) root = SOCLE_SOURCE_DIR "/../shared/fixtures";
    snprintf(path, sizeof path, "%s/templates/expected.json", root);
    snprintf(dir, sizeof dir, "%s/../real/templates", root);
    if (!sc_path_exists(path) || !sc_path_is_dir(dir)) {
        print_message("no real templates beside %s: skipped\n", root);
        skip();
    }
    json_t *file = read_json(path), *c;
    size_t i, bad = 0;
    json_array_foreach(json_object_get(file, "cases"), i, c)
    {
        const char *name = json_string_value(json_object_get(c, "template"));
        char *source = NULL, *full = sc_path_join(dir, name);
        int64_t n;
        assert_int_equal(sc_file_read(&source, &n, full, 1 << 24), SC_OK);
        json_t *v = json_deep_copy(json_object_get(c, "variables"));
        json_object_set(v, "messages", json_object_get(c, "messages"));
        json_object_set(v, "tools", json_object_get(c, "tools"));
        char *text = json_dumps(v, 0);
        bad += !agrees(name, source, n, text, json_object_get(c, "expected"));
        free(text);
        json_decref(v);
        sc_free(source);
        sc_free(full);
    }
    print_message("%zu cases of real templates, %zu differ\n", i, bad);
    assert_int_equal(bad, 0);
    json_decref(file);
}

static void refused(const char *source, sc_status want, const char *part)
{
    char *text;
    int64_t len;
    sc_status s = render("t", source, (int64_t)strlen(source), "{\"n\": 7, \"messages\": []}", NULL, &text, &len);
    if (s != want || text) fail_msg("%.80s: gave %d (%s), wanted %d", source, s, s ? sc_error() : text, want);
    if (!strstr(sc_error(), part)) fail_msg("%.80s: \"%s\" does not say \"%s\"", source, sc_error(), part);
}

static void messages_name_the_place(void **state)
{
    (void)state;
    refused("a\nb {{ n.x.y }}", SC_EINVAL, "t: line 2, column 9: 'int object' has no attribute 'x'");
    refused("{{ n", SC_EFORMAT, "t: line 1, column 4: the template ends inside a {{ tag");
    refused("{% if n %}\nx", SC_EFORMAT, "line 1, column 4: this tag is not closed: {% endif %} is missing");
    refused("\n\n{{ 한 + 1 }}", SC_EINVAL, "line 3, column 6: '한' is undefined");
    refused("{{ raise_exception('no system prompt') }}", SC_EINVAL, "the template raised: no system prompt");
    refused("{{ n|nosuch }}", SC_EFORMAT, "there is no filter named nosuch");
    refused("{{ '\xff' }}", SC_EFORMAT, "not UTF-8");
    refused("{% include 'x' %}", SC_EUNSUPPORTED, "no other template");
    refused("{{ 9223372036854775807 + 1 }}", SC_EUNSUPPORTED, "64 bits");
}

static char *repeated(const char *a, int64_t n, const char *mid, const char *b)
{
    sc_str s = {0};
    for (int64_t i = 0; i < n; i++) sc_str_puts(&s, a);
    sc_str_puts(&s, mid);
    for (int64_t i = 0; i < n; i++) sc_str_puts(&s, b);
    return sc_str_take(&s, NULL);
}

static void deep(const char *before, const char *a, const char *mid, const char *b, const char *after, int64_t n)
{
    sc_str s = {0};
    char *middle = repeated(a, n, mid, b);
    sc_str_puts(&s, before);
    sc_str_puts(&s, middle);
    sc_str_puts(&s, after);
    refused(s.p, SC_ELIMIT, "nested deeper");
    sc_str_free(&s);
    sc_free(middle);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    const int64_t n = 400000;
    deep("{{ ", "(", "1", ")", " }}", n);
    deep("{{ ", "[", "1", "]", " }}", n);
    deep("{{ ", "{1:", "1", "}", " }}", n);
    deep("{{ ", "not ", "1", "", " }}", n);
    deep("{{ ", "- ", "1", "", " }}", n);
    deep("{{ ", "1 + ", "1", "", " }}", n);
    deep("{{ n", "", "", ".a", " }}", n);
    deep("{{ n", "", "", "|abs", " }}", n);
    deep("{{ n", "", "", "()", " }}", n);
    deep("{{ n", "", "", "[0]", " }}", n);
    deep("{{ ", "1 if 1 else ", "1", "", " }}", n / 2);
    deep("{{ n", "", "", " if n", " }}", n);
}

static void tags_are_bounded(void **state)
{
    (void)state;
    deep("", "{% if n %}", "x", "{% endif %}", "", 100000);
    deep("", "{% for i in n %}", "x", "{% endfor %}", "", 100000);
    deep("", "{% macro m() %}", "x", "{% endmacro %}", "", 100000);
    refused("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", SC_ELIMIT, "nested deeper");
    refused("{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}", SC_ELIMIT, "nested deeper");
    refused("{% set s = namespace(x=[]) %}{% for i in range(5000) %}{% set s.x = [s.x] %}{% endfor %}{{ s.x }}",
            SC_ELIMIT, "nested deeper");
    refused("{% set s = namespace() %}{% set s.x = s %}{{ s }}", SC_ELIMIT, "nested deeper");
}

static void work_is_bounded(void **state)
{
    (void)state;
    refused("{{ range(10**9) }}", SC_ELIMIT, "range()");
    refused("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", SC_ELIMIT, "steps");
    refused("{% for i in range(99999) %}{{ range(99999)|sum }}{% endfor %}", SC_ELIMIT, "steps");
    refused(
        "{% for i in range(99999) %}{% set x = range(99999)|map('string')|select('eq', 'x')|list %}{% endfor %}",
        SC_ELIMIT, "steps");
    refused("{{ 'x' * 10**12 }}", SC_ELIMIT, "steps");
    refused("{{ [1] * 10**12 }}", SC_ELIMIT, "steps");
    refused("{% set s = namespace(x='ab') %}{% for i in range(60) %}{% set s.x = s.x ~ s.x %}{% endfor %}",
            SC_ELIMIT, "bytes");
    refused("{% set s = namespace(x='ab') %}{% for i in range(60) %}{% set s.x = s.x + s.x %}{% endfor %}",
            SC_ELIMIT, "bytes");
    refused("{% set x = 'a' * 1000000 %}{{ x|replace('', x) }}", SC_ELIMIT, "bytes");
    refused("{{ '%999999999d' % 1 }}", SC_ELIMIT, "wider");
    refused("{{ '{:>999999999}'.format(1) }}", SC_ELIMIT, "wider");
    refused("{{ '%*d' % (-10**12, 1) }}", SC_ELIMIT, "wider");
    refused("{{ '%*d' % (-9223372036854775807 - 1, 1) }}", SC_ELIMIT, "wider");
    refused("{{ range(5, 9, 9223372036854775807)[:] }}", SC_EUNSUPPORTED, "64 bits");
    refused("{{ 'x'.center(10**12) }}", SC_ELIMIT, "characters");
    refused("{{ 'x'|indent(10**12) }}", SC_ELIMIT, "indent");
    refused("{{ [1]|tojson(indent=10**12) }}", SC_ELIMIT, "indent");
    refused("{{ [1]|batch(10**12, 0)|list }}", SC_ELIMIT, "");
    refused("{{ [1]|slice(10**12)|list }}", SC_ELIMIT, "");
    refused("{% for i in range(99999) %}{{ 'x' * 10000 }}{% endfor %}", SC_ELIMIT, "bytes");
}

/* A step is a bounded piece of work: one question about long texts costs as many as there is to look at. */
static void long_texts_cost_steps(void **state)
{
    (void)state;
    static const char *const dear[] = {"a.rpartition(b)",
                                       "a.rsplit(b)",
                                       "a.rfind(b)",
                                       "a.startswith(c)",
                                       "a.endswith(c)",
                                       "a.removeprefix(c)",
                                       "a in {c: 1}",
                                       "a == c",
                                       "u[499999]",
                                       "u[499998:500000]",
                                       "u.find('x', 499999, 500000)"};
    for (int i = 0; i < SC_COUNT(dear); i++) {
        const sc_template_options o = {.max_steps = 1000000};
        char source[512], *text;
        int64_t len;
        snprintf(source, sizeof source,
                 "{%% set a = 'a' * 999999 %%}{%% set b = 'a' * 499999 + 'b' %%}{%% set c = 'a' * 999999 %%}"
                 "{%% set u = '\u00e9' * 999999 %%}{%% for i in range(9999) %%}{%% set x = %s %%}{%% endfor %%}",
                 dear[i]);
        if (render("t", source, (int64_t)strlen(source), "{}", &o, &text, &len) != SC_ELIMIT)
            fail_msg("%s: not stopped", dear[i]);
        if (!strstr(sc_error(), "steps")) fail_msg("%s: %s", dear[i], sc_error());
    }
}

static void options_are_kept(void **state)
{
    (void)state;
    char *text;
    int64_t len;
    const char *loop = "{% for i in range(100) %}{{ i }}{% endfor %}";
    sc_template_options o = {.max_steps = 100};
    assert_int_equal(render("t", loop, (int64_t)strlen(loop), "{}", &o, &text, &len), SC_ELIMIT);
    o = (sc_template_options){.max_output = 50};
    assert_int_equal(render("t", loop, (int64_t)strlen(loop), "{}", &o, &text, &len), SC_ELIMIT);
    o = (sc_template_options){.max_output = 190};
    assert_int_equal(render("t", loop, (int64_t)strlen(loop), "{}", &o, &text, &len), SC_OK);
    assert_int_equal(len, 190);
    sc_free(text);
    o = (sc_template_options){.max_memory = 100};
    assert_int_equal(render("t", loop, (int64_t)strlen(loop), "{}", &o, &text, &len), SC_ELIMIT);
    o = (sc_template_options){.max_depth = 3};
    assert_int_equal(render("t", "{{ [[[[1]]]] }}", 15, "{}", &o, &text, &len), SC_ELIMIT);
    static const char *const clocks[] = {"", "2026-01-15", "2026-13-15 09:30:00", "2026-01-15 09:30:00x", "now"};
    for (int i = 0; i < SC_COUNT(clocks); i++) {
        o = (sc_template_options){.now = clocks[i]};
        assert_int_equal(render("t", "x", 1, "{}", &o, &text, &len), SC_EINVAL);
    }
    o = (sc_template_options){.max_steps = -1};
    assert_int_equal(render("t", "x", 1, "{}", &o, &text, &len), SC_EINVAL);
    assert_int_equal(render("t", "x", 1, "[]", NULL, &text, &len), SC_EFORMAT);
    assert_int_equal(render("t", "x", 1, "{", NULL, &text, &len), SC_EFORMAT);
    assert_int_equal(render("t", "x", 1, "{\"messages\": [1]}", NULL, &text, &len), SC_EINVAL);
    assert_int_equal(render("t", "{{ strftime_now('%Y') }}", 24, "{}", NULL, &text, &len), SC_OK);
    assert_int_equal(len, 4);
    sc_free(text);
}

static void variables_as_transformers_gives_them(void **state)
{
    (void)state;
    char *text;
    int64_t len;
    const char *source = "{{ tools }}{{ documents }}{{ add_generation_prompt }}{{ messages[0] }}";
    const char *vars = "{\"messages\": [{\"role\": \"a\", \"reasoning\": \"r\"}]}";
    assert_int_equal(render("t", source, (int64_t)strlen(source), vars, NULL, &text, &len), SC_OK);
    assert_string_equal(text,
                        "NoneNoneFalse{'thinking': 'r', 'role': 'a', 'reasoning': 'r', 'reasoning_content': 'r'}");
    sc_free(text);
}

/* ---- loading ---- */

static void put(const char *dir, const char *name, const char *text)
{
    char *path = sc_path_join(dir, name);
    assert_int_equal(sc_file_write(path, text, (int64_t)strlen(text)), SC_OK);
    sc_free(path);
}

static void gives(const char *path, const char *name, bool tools, const char *want)
{
    sc_template *t = NULL;
    char *text = NULL;
    sc_status s = sc_template_load(&t, path, name, tools);
    if (!s) s = sc_template_render(&text, NULL, t, "{}", 2, NULL);
    if (want ? s != SC_OK : s != SC_ENOTFOUND)
        fail_msg("%s: %s", path, s ? sc_error() : "a template that should not be there");
    if (want) assert_string_equal(text, want);
    sc_free(text);
    sc_template_free(t);
}

static void loading(void **state)
{
    (void)state;
    char dir[] = "/tmp/socle-template-XXXXXX", path[4096];
    assert_non_null(mkdtemp(dir));
    gives(dir, NULL, false, NULL);
    put(dir, "tokenizer_config.json", "{\"model_max_length\": 5}");
    gives(dir, NULL, false, NULL);
    put(dir, "tokenizer_config.json", "{\"chat_template\": \"one{{ 1 + 1 }}\"}");
    gives(dir, NULL, false, "one2");
    gives(dir, NULL, true, "one2");
    gives(dir, "rag", true, NULL);
    put(dir, "tokenizer_config.json",
        "{\"chat_template\": [{\"name\": \"default\", \"template\": \"d\"}, {\"name\": \"tool_use\", \"template\": "
        "\"t\"}]}");
    gives(dir, NULL, false, "d");
    gives(dir, NULL, true, "t");
    gives(dir, "tool_use", false, "t");
    gives(dir, "rag", false, NULL);
    put(dir, "chat_template.jinja", "file\n");
    gives(dir, NULL, false, "file");
    gives(dir, NULL, true, "file");
    snprintf(path, sizeof path, "%s/additional_chat_templates", dir);
    assert_int_equal(sc_mkdirs(path), SC_OK);
    put(path, "tool_use.jinja", "more");
    gives(dir, NULL, true, "more");
    gives(dir, NULL, false, "file");
    sc_template *t = NULL;
    assert_int_equal(sc_template_load(&t, dir, "../x", false), SC_EINVAL);
    snprintf(path, sizeof path, "%s/chat_template.jinja", dir);
    gives(path, NULL, false, "file");
    unlink(path);
    snprintf(path, sizeof path, "%s/additional_chat_templates/tool_use.jinja", dir);
    unlink(path);
    *strrchr(path, '/') = 0;
    rmdir(path);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", dir);
    unlink(path);
    rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_cases),
        cmocka_unit_test(real_templates),
        cmocka_unit_test(messages_name_the_place),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(tags_are_bounded),
        cmocka_unit_test(work_is_bounded),
        cmocka_unit_test(long_texts_cost_steps),
        cmocka_unit_test(options_are_kept),
        cmocka_unit_test(variables_as_transformers_gives_them),
        cmocka_unit_test(loading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
