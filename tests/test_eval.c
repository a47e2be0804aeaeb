/* SPDX-License-Identifier: Apache-2.0 */
/* What evaluation reads and computes, beside PyYAML's rules, Python's random numbers, sacrebleu, rouge_score, scikit-learn and
 * scipy (the figures are theirs: sacrebleu 2.5, rouge_score 0.1.2, scikit-learn 1.7, scipy 1.16, Python 3.11). */
#include "eval/eval.h"

#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "one_context.h"

static void ok(sc_status s)
{
    if (s) fail_msg("%s", sc_error());
}

static void fails(sc_status s, sc_status want, const char *part)
{
    assert_int_equal(s, want);
    if (!strstr(sc_error(), part)) fail_msg("'%s' is not in '%s'", part, sc_error());
}

static void near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) fail_msg("%.17g, not %.17g", got, want);
}

static void same_json(json_t *got, const char *want)
{
    json_t *w = json_loads(want, JSON_DECODE_ANY, NULL);
    assert_non_null(w);
    if (!json_equal(got, w)) {
        char *text = json_dumps(got, JSON_COMPACT | JSON_ENCODE_ANY);
        fail_msg("%s, not %s", text, want);
    }
    json_decref(w);
    json_decref(got);
}

/* ---- YAML ---- */

static void yaml(const char *text, const char *want)
{
    json_t *v;
    ok(sc_yaml_parse(&v, text, (int64_t)strlen(text), "test"));
    same_json(v, want);
}

static void bad_yaml(const char *text, sc_status want, const char *part)
{
    json_t *v;
    fails(sc_yaml_parse(&v, text, (int64_t)strlen(text), "test"), want, part);
}

static void yaml_is_read_as_pyyaml_reads_it(void **state)
{
    (void)state;
    yaml("a: yes\nb: Off\nc: ~\nd:\ne: 0x1F\nf: 017\ng: 1_000\nh: -12\ni: +3\nj: 0b101",
         "{\"a\": true, \"b\": false, \"c\": null, \"d\": null, \"e\": 31, \"f\": 15, \"g\": 1000, \"h\": -12, "
         "\"i\": 3, \"j\": 5}");
    yaml("[1.5, 1., .5, 1e5, 1.0e+5, -2.5e-3, 'yes', \"12\", 1.2.3, 0x, 08, n, y]",
         "[1.5, 1.0, 0.5, \"1e5\", 100000.0, -0.0025, \"yes\", \"12\", \"1.2.3\", \"0x\", \"08\", \"n\", \"y\"]");
    yaml("text: |\n  one\n   two\n\nfold: >-\n  a\n  b\n\n  c\n",
         "{\"text\": \"one\\n two\\n\", \"fold\": \"a b\\nc\"}");
    yaml("base: &b {x: 1, y: 2}\nother:\n  <<: *b\n  y: 3\nlist: [*b]",
         "{\"base\": {\"x\": 1, \"y\": 2}, \"other\": {\"x\": 1, \"y\": 3}, \"list\": [{\"x\": 1, \"y\": 2}]}");
    yaml("? 1\n: a\ntrue: b\nx: !!str 12\ny: !!int \"7\"\nz: !!float 3",
         "{\"1\": \"a\", \"true\": \"b\", \"x\": \"12\", \"y\": 7, \"z\": 3.0}");
    yaml("", "null");
    yaml("\"a\\n\\u00e9\"", "\"a\\né\"");
    bad_yaml("a: 1\na: 2", SC_EFORMAT, "line 2");
    bad_yaml("a: !function utils.f", SC_EUNSUPPORTED, "Python");
    bad_yaml("a: [1, 2", SC_EFORMAT, "line");
    bad_yaml("a: *nothing", SC_EFORMAT, "alias");
    bad_yaml("--- 1\n--- 2", SC_EFORMAT, "second document");
    bad_yaml("a: !thing 1", SC_EFORMAT, "tag");
    bad_yaml("\xff", SC_EFORMAT, "UTF-8");
}

static void yaml_has_limits(void **state)
{
    (void)state;
    sc_str deep = {0}, laughs = {0}, chain = {0};
    for (int i = 0; i < 100; i++) sc_str_putc(&deep, '[');
    bad_yaml(deep.p, SC_ELIMIT, "deeper");
    sc_str_puts(&laughs, "a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (char c = 'b'; c < 'k'; c++)
        sc_str_printf(&laughs, "%c: &%c [*%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c, *%c]\n", c, c, c - 1, c - 1,
                      c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1, c - 1);
    bad_yaml(laughs.p, SC_EFORMAT, "too many values");
    sc_str_puts(&chain, "a0: &a0 [1]\n");
    for (int i = 1; i < 100; i++) sc_str_printf(&chain, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    bad_yaml(chain.p, SC_EFORMAT, "too deep");
    sc_str_free(&deep);
    sc_str_free(&laughs);
    sc_str_free(&chain);
}

/* ---- Python ---- */

static void literals_are_python_s(void **state)
{
    static const char *const good[][2] = {
        {"['A', \"it's\", 'x\\n\\u00e9\\x41']", "[\"A\", \"it's\", \"x\\né\\u0041\"]"},
        {" ( 1 , -2.5 , True , None , ) ", "[1, -2.5, true, null]"},
        {"{'a': [1], 'b': {}}", "{\"a\": [1], \"b\": {}}"},
        {"[]", "[]"},
        {"12", "12"},
    };
    static const char *const bad[] = {"[1", "[1 2]", "os.system('x')", "", "['a]", "[1],", "{1: 2}", "'\\x0'"};
    json_t *v;
    (void)state;
    for (int i = 0; i < SC_COUNT(good); i++) {
        ok(sc_py_literal(&v, good[i][0], (int64_t)strlen(good[i][0]), "test"));
        same_json(v, good[i][1]);
    }
    for (int i = 0; i < SC_COUNT(bad); i++)
        fails(sc_py_literal(&v, bad[i], (int64_t)strlen(bad[i]), "test"), SC_EFORMAT, "Python");
}

static void sample(sc_py_random *r, int64_t n, int64_t k, const int64_t *want)
{
    int64_t got[16];
    ok(sc_py_sample(r, n, k, got));
    for (int64_t i = 0; i < k; i++) assert_int_equal(got[i], want[i]);
}

static void random_numbers_are_python_s(void **state)
{
    (void)state;
    sc_py_random r;
    sc_py_seed(&r, 1234);
    sample(&r, 100, 5, (const int64_t[]){99, 56, 14, 0, 11});
    sample(&r, 1000, 8, (const int64_t[]){932, 965, 961, 826, 596, 35, 687, 709});
    assert_true(sc_py_uniform(&r) == 0.08393822683708396);
    sample(&r, 10, 10, (const int64_t[]){5, 3, 0, 7, 6, 2, 8, 4, 1, 9});
    sc_py_seed(&r, ((uint64_t)1 << 40) + 7);
    assert_true(sc_py_uniform(&r) == 0.6137037779936511);
    assert_true(sc_py_uniform(&r) == 0.8149162973309487);
    sc_py_seed(&r, 0); /* around the sizes at which Python changes its way */
    sample(&r, 21, 5, (const int64_t[]){12, 13, 1, 8, 16});
    sample(&r, 22, 5, (const int64_t[]){15, 12, 9, 11, 18});
    sample(&r, 85, 6, (const int64_t[]){27, 64, 17, 36, 82, 12});
    sample(&r, 86, 6, (const int64_t[]){79, 32, 68, 77, 18, 39});
}

/* ---- rows ---- */

static void rows(const char *text, const char *kind, const char *kwargs, const char *want)
{
    json_t *list = json_array(), *k = kwargs ? json_loads(kwargs, 0, NULL) : NULL;
    ok(sc_dataset_parse(list, text, (int64_t)strlen(text), "test", kind, k));
    json_decref(k);
    same_json(list, want);
}

static void bad_rows(const char *text, const char *kind, const char *kwargs, const char *part)
{
    json_t *list = json_array(), *k = kwargs ? json_loads(kwargs, 0, NULL) : NULL;
    fails(sc_dataset_parse(list, text, (int64_t)strlen(text), "test", kind, k), SC_EFORMAT, part);
    json_decref(k);
    json_decref(list);
}

static void tables_are_read_as_pandas_reads_them(void **state)
{
    (void)state;
    rows("a,b,c,d\n1,x,2.5,True\n2,\"y, \"\"z\"\"\n!\",3,False\r\n", "csv", NULL,
         "[{\"a\": 1, \"b\": \"x\", \"c\": 2.5, \"d\": true}, {\"a\": 2, \"b\": \"y, \\\"z\\\"\\n!\", \"c\": 3.0, "
         "\"d\": false}]");
    rows("a,b\n1,\n,NA\n3,t\n", "csv", NULL,
         "[{\"a\": 1.0, \"b\": null}, {\"a\": null, \"b\": null}, {\"a\": 3.0, \"b\": \"t\"}]");
    rows("q\t\"x\tA\n", "csv", "{\"delimiter\": \"\\t\", \"quoting\": 3, \"column_names\": [\"a\", \"b\", \"c\"]}",
         "[{\"a\": \"q\", \"b\": \"\\\"x\", \"c\": \"A\"}]");
    rows("\xef\xbb\xbfid\tt\n007\tu\n", "tsv", NULL, "[{\"id\": 7, \"t\": \"u\"}]");
    bad_rows("a,b\n1,2,3\n", "csv", NULL, "row 2 has 3 cells");
    bad_rows("a\n\"open\n", "csv", NULL, "without an end");
    bad_rows("1,2\n", "csv", "{\"column_names\": [\"a\"]}", "column_names");
}

static void json_and_lines_are_read(void **state)
{
    (void)state;
    rows("{\"a\": 1}\n\n{\"b\": [2]}", "json", NULL, "[{\"a\": 1, \"b\": null}, {\"a\": null, \"b\": [2]}]");
    rows(" [{\"a\": 1}, {\"a\": 2}]", "json", NULL, "[{\"a\": 1}, {\"a\": 2}]");
    rows("{\"canary\": 0, \"examples\": [{\"a\": 1}]}", "json", "{\"field\": \"examples\"}", "[{\"a\": 1}]");
    rows("one\r\ntwo", "text", NULL, "[{\"text\": \"one\"}, {\"text\": \"two\"}]");
    bad_rows("{\"a\": 1}\n{\"a\": ", "json", NULL, "test line 2");
    bad_rows("{\"a\": 1}", "json", "{\"field\": \"b\"}", "no list in the field");
    bad_rows("[1]", "json", NULL, "row 1 is not an object");
    bad_rows("\xc3(", "text", NULL, "UTF-8");
}

/* ---- templates of prompts ---- */

static void renders(const char *source, const char *variables, const char *want)
{
    sc_template *t;
    char *text;
    ok(sc_template_new_plain(&t, source, (int64_t)strlen(source), "test"));
    ok(sc_template_render(&text, NULL, t, variables, (int64_t)strlen(variables), NULL));
    assert_string_equal(text, want);
    sc_free(text);
    sc_template_free(t);
}

static void refuses(const char *source, const char *part)
{
    sc_template *t;
    char *text;
    ok(sc_template_new_plain(&t, source, (int64_t)strlen(source), "test"));
    fails(sc_template_render(&text, NULL, t, "{}", 2, NULL), SC_EINVAL, part);
    sc_template_free(t);
}

static void templates_are_jinja_s_own(void **state)
{
    (void)state;
    renders("{% if true %}\n a\n  {% endif %}\nb\n", "{}",
            "\n a\n  \nb\n"); /* jinja2.Template with keep_trailing_newline */
    renders("{{ messages }} {{ documents }}", "{\"messages\": 1, \"documents\": \"x\"}", "1 x");
    renders("{{ x is defined }} {{ x|default('d') }}", "{}", "False d");
    renders("{{ t|regex_replace('(a)(b*)', '<\\\\2\\\\1>') }}|{{ 'aaa'|regex_replace('a', 'b', 2) }}",
            "{\"t\": \"abb ca\"}", "<bba> c<a>|bba");
    refuses("{{ x }}", "'x' is undefined");
    refuses("{% if x %}{% endif %}", "'x' is undefined");
    refuses("{% for y in x %}{% endfor %}", "'x' is undefined");
    refuses("{{ x == 1 }}", "'x' is undefined");
    sc_template *t;
    fails(sc_template_new(&t, "{{ 'a'|regex_replace('a', 'b') }}", 33, "chat"), SC_EFORMAT, "no filter named");
}

static void expressions_are_python_s(void **state)
{
    static const char *const cases[][4] = {
        /* re.sub(pattern, replacement, text) of Python 3.11 */
        {"x*", "-", "abxd", "-a-b--d-"},
        {"\\bfoo\\b", "[\\g<0>]", "foo food foo", "[foo] food [foo]"},
        {"(?P<n>\\d+)", "<\\g<n>>", "a12b3", "a<12>b<3>"},
        {"a\\Z", "!", "a a\n", "a a\n"},
        {"", "-", "한글", "-한-글-"},
        {"(?s).*#### ", "", "x\n#### 5", "5"},
        {"\\s+", " ", "a \t\n b", "a b"},
        {"(a)|b", "[\\1]", "ab", "[a][]"},
    };
    (void)state;
    for (int i = 0; i < SC_COUNT(cases); i++) {
        sc_search *s;
        sc_str out = {0};
        ok(sc_search_new(&s, cases[i][0], (int64_t)strlen(cases[i][0]), 0, "test"));
        ok(sc_search_replace(s, cases[i][2], (int64_t)strlen(cases[i][2]), cases[i][1],
                             (int64_t)strlen(cases[i][1]), 0, 1 << 20, &out));
        assert_string_equal(out.p, cases[i][3]);
        sc_str_free(&out);
        sc_search_free(s);
    }
    sc_search *s;
    sc_search_place at = {0};
    bool found;
    fails(sc_search_new(&s, "(", 1, 0, "test"), SC_EFORMAT, "regular expression");
    ok(sc_search_new(&s, "(a+)+$", 6, 0, "test"));
    char text[80];
    memset(text, 'a', 60);
    text[60] = 'b';
    sc_status status = sc_search_next(s, text, 61, &at, &found);
    assert_true(status == SC_ELIMIT || (status == SC_OK && !found));
    sc_search_free(s);
}

/* ---- metrics ---- */

static const char *const hyp[] = {"The cat sat on the mat.", "It costs $3.50, or 1,000 won - really!",
                                  "여기는 서울입니다.", "", "a b"};
static const char *const ref[] = {"The cat is sitting on the mat.", "It cost $3.50 or 1,000 won - truly!",
                                  "이곳은 서울입니다.", "Something here.", "a b c d e f"};
static const char *const ref2[] = {"A cat sat on a mat.", "That costs 3.50 dollars, 1,000 won", "여기가 서울이다.",
                                   "Else", "b a"};
enum { SENTENCES = SC_COUNT(hyp) };
static const int64_t every[SENTENCES] = {0, 1, 2, 3, 4};

static void translations_are_scored_as_sacrebleu_scores_them(void **state)
{
    double one[SENTENCES * 10], two[SENTENCES * 10], chr[SENTENCES * 18], chr2[SENTENCES * 18],
        words[SENTENCES * 24];
    (void)state;
    for (int i = 0; i < SENTENCES; i++) {
        const char *both[] = {ref[i], ref2[i]};
        ok(sc_bleu_sums(hyp[i], both, 1, one + 10 * i));
        ok(sc_bleu_sums(hyp[i], both, 2, two + 10 * i));
        ok(sc_chrf_sums(hyp[i], both, 1, 0, chr + 18 * i));
        ok(sc_chrf_sums(hyp[i], both, 2, 0, chr2 + 18 * i));
        ok(sc_chrf_sums(hyp[i], both, 1, 2, words + 24 * i));
    }
    near(sc_bleu_of(one, every, SENTENCES), 27.131609395979666, 1e-10);
    near(sc_bleu_of(two, every, SENTENCES), 42.30694341964086, 1e-10);
    near(sc_chrf_of(chr, every, SENTENCES), 44.437744548848016, 1e-10);
    near(sc_chrf_of(chr2, every, SENTENCES), 46.83380185436153, 1e-10);
    near(sc_chrfpp_of(words, every, SENTENCES), 45.13810025476107, 1e-10);
    static const double chrf[] = {49.6485170311433, 58.666850969648856, 50.21825396825397, 0, 31.25};
    static const double bleu[] = {42.38365628278778, 29.982213893423374, 0, 0, 0};
    for (int i = 0; i < SENTENCES; i++) {
        near(sc_chrf_of(chr, &every[i], 1), chrf[i], 1e-10);
        near(sc_bleu_of(one, &every[i], 1), bleu[i], 1e-10);
    }
}

static void summaries_are_scored_as_rouge_score_scores_them(void **state)
{
    static const double want[][3] = {{0.7692307692307692, 0.5454545454545454, 0.7692307692307692},
                                     {0.7777777777777778, 0.625, 0.7777777777777778},
                                     {0, 0, 0},
                                     {0, 0, 0},
                                     {0.5, 0.33333333333333337, 0.5}};
    (void)state;
    for (int i = 0; i < SENTENCES; i++) {
        near(sc_rouge_n(hyp[i], ref[i], 1), want[i][0], 1e-12);
        near(sc_rouge_n(hyp[i], ref[i], 2), want[i][1], 1e-12);
        near(sc_rouge_l(hyp[i], ref[i], false), want[i][2], 1e-12);
        near(sc_rouge_l(hyp[i], ref[i], true), want[i][2], 1e-12);
    }
    const char *a = "the cat sat\nthe dog ran away from here\nend",
               *b = "the dog ran\na cat sat here\nthe end is near";
    near(sc_rouge_n(a, b, 1), 0.761904761904762, 1e-12);
    near(sc_rouge_n(a, b, 2), 0.3157894736842105, 1e-12);
    near(sc_rouge_l(a, b, false), 0.47619047619047616, 1e-12);
    near(sc_rouge_l(a, b, true), 0.761904761904762, 1e-12);
    near(sc_squad_f1("The cat, a dog!", "cat dog bird"), 0.8, 1e-12);
    near(sc_squad_f1("the", "an"), 1, 0);
    near(sc_squad_f1("x", ""), 0, 0);
}

static double aggregated(const char *name, const double *x, int64_t n, double *error)
{
    double value;
    ok(sc_aggregate(sc_aggregation_named(name), x, n, error ? 3000 : 0, ctx, &value, error ? error : &(double){0}));
    return value;
}

static void numbers_are_aggregated(void **state)
{
    double x[17], pair[20], many[20], corr[12], error;
    static const int g[] = {0, 1, 1, 0, 1, 0, 1, 1, 0, 0}, p[] = {0, 1, 0, 0, 1, 1, 1, 0, 0, 1};
    static const int g4[] = {0, 1, 2, 0, 1, 2, 1, 2, 0, 3}, p4[] = {0, 2, 2, 0, 1, 1, 1, 0, 0, 3};
    static const double a[] = {1, 2, 2, 3, 5, 8}, b[] = {0.1, 0.3, 0.2, 0.2, 0.9, 0.7};
    (void)state;
    for (int i = 0; i < 17; i++) x[i] = -0.1 * i;
    near(aggregated("perplexity", x, 17, &error), 2.225540928492468, 1e-14);
    near(error, 0.264016441446081, 1e-12); /* the very samples that Python draws */
    near(aggregated("mean", x, 17, &error), -0.8, 1e-15);
    near(error, 0.5049752469181039 / sqrt(17), 1e-14);
    for (int i = 0; i < 10; i++)
        pair[2 * i] = g[i], pair[2 * i + 1] = p[i], many[2 * i] = g4[i], many[2 * i + 1] = p4[i];
    near(aggregated("f1", pair, 10, NULL), 0.6, 1e-15);
    near(aggregated("matthews_corrcoef", pair, 10, NULL), 0.2, 1e-15);
    near(aggregated("f1", many, 10, NULL), 0.7309523809523809, 1e-15);
    near(aggregated("matthews_corrcoef", many, 10, NULL), 0.5916079783099616, 1e-15);
    for (int i = 0; i < 6; i++) corr[2 * i] = a[i], corr[2 * i + 1] = b[i];
    near(aggregated("pearson", corr, 6, NULL), 0.8146195748106924, 1e-14);
    near(aggregated("spearman", corr, 6, NULL), 0.8088235294117647, 1e-14);
    near(aggregated("weighted_perplexity", corr, 6, NULL), exp(-21 / 2.4), 1e-12);
    near(aggregated("bits_per_byte", corr, 6, NULL), -21 / 2.4 / log(2), 1e-12);
}

/* ---- finished requests ---- */

static void requests_are_kept(void **state)
{
    char path[] = "/tmp/socle-eval-XXXXXX", key[33], other[33];
    int fd = mkstemp(path);
    sc_eval_cache *c;
    (void)state;
    assert_true(fd >= 0);
    sc_eval_cache_key(key, (const char *const[]){"a", "bc"}, 2);
    sc_eval_cache_key(other, (const char *const[]){"ab", "c"}, 2);
    assert_string_not_equal(key, other);
    ok(sc_eval_cache_open(&c, path));
    assert_null(sc_eval_cache_get(c, key));
    ok(sc_eval_cache_put(c, key, json_pack("[f, b]", -1.25, 1)));
    sc_eval_cache_close(c);
    assert_int_equal(write(fd, "{\"k\": 1}\nnonsense\n{\"k\": \"to", 27),
                     27); /* written at the beginning: torn over it */
    close(fd);
    ok(sc_eval_cache_open(&c, path));
    assert_null(sc_eval_cache_get(c, key)); /* what was torn is not there */
    ok(sc_eval_cache_put(c, key, json_pack("[f, b]", -1.25, 1)));
    sc_eval_cache_close(c);
    ok(sc_eval_cache_open(&c, path));
    same_json(json_incref((json_t *)sc_eval_cache_get(c, key)), "[-1.25, true]");
    assert_null(sc_eval_cache_get(c, other));
    sc_eval_cache_close(c);
    fails(sc_eval_cache_open(&c, "/nonexistent/x"), SC_EIO, "/nonexistent/x");
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_is_read_as_pyyaml_reads_it),
        cmocka_unit_test(yaml_has_limits),
        cmocka_unit_test(literals_are_python_s),
        cmocka_unit_test(random_numbers_are_python_s),
        cmocka_unit_test(tables_are_read_as_pandas_reads_them),
        cmocka_unit_test(json_and_lines_are_read),
        cmocka_unit_test(templates_are_jinja_s_own),
        cmocka_unit_test(expressions_are_python_s),
        cmocka_unit_test(translations_are_scored_as_sacrebleu_scores_them),
        cmocka_unit_test(summaries_are_scored_as_rouge_score_scores_them),
        cmocka_unit_test(numbers_are_aggregated),
        cmocka_unit_test(requests_are_kept),
    };
    return cmocka_run_group_tests(tests, two_threads, no_context);
}
