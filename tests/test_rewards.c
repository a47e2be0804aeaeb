/* SPDX-License-Identifier: Apache-2.0 */
/* What judges say of answers that are right, wrong, and hostile. */
#include "models.h"
#include "one_context.h"
#include "tune/rewards.h"

#include <unistd.h>

typedef struct said {
    float total, each[4];
    int64_t failures[4];
} said;

static sc_rl_prompt prompt_of(const char *text, const char *record)
{
    sc_rl_prompt p = {.text = strdup(text)};
    if (sc_json_parse(&p.record, record, (int64_t)strlen(record), "record")) fail_msg("%s", sc_error());
    return p;
}

/* One answer under one reward. */
static sc_status give(const char *reward, const char *prompt, const char *record, const char *answer, said *out)
{
    static int32_t ids[] = {1, 2, 3, 4};
    sc_rl_prompt p = prompt_of(prompt, record);
    sc_answer a = {.prompt = &p, .text = answer, .len = (int64_t)strlen(answer), .ids = ids, .n = 4, .ended = true};
    sc_rl_options o = {.rewards = &reward, .n_rewards = 1, .reward_seconds = 10, .reward_failed = -2};
    sc_rewards r;
    *out = (said){0};
    sc_status s = sc_rewards_open(&r, ctx, &o);
    if (!s) {
        s = sc_rewards_give(&r, &a, 1, &out->total, out->each, out->failures);
        sc_rewards_close(&r);
    }
    free(p.text);
    json_decref(p.record);
    return s;
}

static void check(const char *reward, const char *record, const char *answer, double want)
{
    said x;
    if (give(reward, "asked", record, answer, &x)) fail_msg("%s: %s", reward, sc_error());
    if (fabs(x.total - want) > 1e-6) fail_msg("%s of '%s' is %g, not %g", reward, answer, x.total, want);
}

static void numbers(void **state)
{
    (void)state;
    const char *r = "{\"answer\": \"first 5 then\\n#### 1,234.5\"}";
    check("number", r, "It is 1234.50.", 1);
    check("number", r, "It is $1,234.5!", 1);
    check("number", r, "1234.5 or 7", 0);
    check("number", r, "none", 0);
    check("number", r, "", 0);
    check("number", "{\"answer\": -3}", "so x = -3", 1);
    check("number", "{\"answer\": -3}", "so x = 3", 0);
    check("number", "{\"answer\": 3}", "10-3", 1); /* a minus between is no sign */
    check("number", "{\"answer\": 7}",
          "1999999999999999999999999999999999999999999999999999999999999999999999999999 7", 1);
    check("2.5*number", "{\"answer\": 7}", "7", 2.5);
    said x;
    assert_int_equal(give("number", "p", "{}", "7", &x), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "\"answer\""));
    assert_int_equal(give("number", "p", "{\"answer\": \"none\"}", "7", &x), SC_EINVAL);
}

static void texts(void **state)
{
    (void)state;
    check("exact", "{\"answer\": \"a b\"}", "  a b\n", 1);
    check("exact", "{\"answer\": \"a b\"}", "a  b", 0);
    check("exact", "{\"answer\": 12}", "12", 1);
    check("exact", "{\"answer\": \"\"}", "", 1);
    check("regex=^(yes|no)$", "{}", "yes", 1);
    check("regex=^(yes|no)$", "{}", "yes and no", 0);
    check("regex=[0-9]+ apples", "{}", "I have 12 apples", 1);
    check("length=4", "{}", "any", 1);
    check("length=5", "{}", "any", 0.8);
    check("length=1", "{}", "any", 0);
    said x;
    assert_int_equal(give("regex=(", "p", "{}", "x", &x), SC_EFORMAT);
    assert_int_equal(give("regex", "p", "{}", "x", &x), SC_EINVAL);
    assert_int_equal(give("exact=3", "p", "{}", "x", &x), SC_EINVAL);
    assert_int_equal(give("length=x", "p", "{}", "x", &x), SC_EINVAL);
    assert_int_equal(give("nothing", "p", "{}", "x", &x), SC_EINVAL);
    assert_int_equal(give("nan*exact", "p", "{\"answer\": 1}", "1", &x), SC_EINVAL);
    /* A pattern that would take for ever is given up, and counted. */
    char many[4000];
    memset(many, 'a', sizeof many - 2);
    many[sizeof many - 2] = '!';
    many[sizeof many - 1] = 0;
    sc_status s = give("regex=^(a+)+(a|b)+(a|c)+$", "p", "{}", many, &x);
    assert_true(s == SC_EIO || x.total == 0 || x.failures[0] == 1);
}

/* ---- schemas ---- */

static void holds(const char *schema, const char *value, bool want)
{
    sc_schema *s;
    json_t *v;
    if (sc_schema_parse(&s, schema, (int64_t)strlen(schema), "schema")) fail_msg("%s: %s", schema, sc_error());
    assert_int_equal(sc_json_parse(&v, value, (int64_t)strlen(value), "value"), SC_OK);
    if (sc_schema_holds(s, v) != want) fail_msg("%s %s %s", value, want ? "should be as" : "is not as", schema);
    json_decref(v);
    sc_schema_free(s);
}

static void schemas(void **state)
{
    (void)state;
    holds("true", "1", true);
    holds("false", "1", false);
    holds("{\"type\": \"integer\"}", "3.0", true);
    holds("{\"type\": \"integer\"}", "3.5", false);
    holds("{\"type\": [\"string\", \"null\"]}", "null", true);
    holds("{\"enum\": [1, \"a\"]}", "1.0", true);
    holds("{\"enum\": [1, \"a\"]}", "\"b\"", false);
    holds("{\"const\": {\"a\": 1}}", "{\"a\": 1}", true);
    holds("{\"minimum\": 2, \"exclusiveMaximum\": 3}", "2", true);
    holds("{\"minimum\": 2, \"exclusiveMaximum\": 3}", "3", false);
    holds("{\"minimum\": 2}", "\"text\"", true); /* only of numbers */
    holds("{\"multipleOf\": 0.1}", "0.3", true);
    holds("{\"maxLength\": 2}", "\"\\u00e9\\u00e9\"", true);
    holds("{\"maxLength\": 1}", "\"\\u00e9\\u00e9\"", false);
    holds("{\"pattern\": \"^[a-z]+$\"}", "\"abc\"", true);
    holds("{\"pattern\": \"^[a-z]+$\"}", "\"aBc\"", false);
    const char *object = "{\"type\": \"object\", \"required\": [\"name\"], \"additionalProperties\": false, "
                         "\"properties\": {\"name\": {\"type\": \"string\"}, \"tags\": {\"type\": \"array\", "
                         "\"items\": {\"type\": \"string\"}, \"maxItems\": 2, \"uniqueItems\": true}}}";
    holds(object, "{\"name\": \"x\", \"tags\": [\"a\", \"b\"]}", true);
    holds(object, "{\"name\": \"x\", \"tags\": [\"a\", \"a\"]}", false);
    holds(object, "{\"name\": \"x\", \"tags\": [\"a\", \"b\", \"c\"]}", false);
    holds(object, "{\"name\": \"x\", \"tags\": [1]}", false);
    holds(object, "{\"tags\": []}", false);
    holds(object, "{\"name\": \"x\", \"more\": 1}", false);
    holds("{\"prefixItems\": [{\"type\": \"number\"}], \"items\": false}", "[1]", true);
    holds("{\"prefixItems\": [{\"type\": \"number\"}], \"items\": false}", "[1, 2]", false);
    holds("{\"anyOf\": [{\"type\": \"string\"}, {\"minimum\": 5}]}", "4", false);
    holds("{\"oneOf\": [{\"type\": \"number\"}, {\"minimum\": 5}]}", "7", false);
    holds("{\"oneOf\": [{\"type\": \"number\"}, {\"minimum\": 5}]}", "3", true);
    holds("{\"allOf\": [{\"minimum\": 1}, {\"maximum\": 2}], \"not\": {\"const\": 2}}", "2", false);
    holds(
        "{\"$ref\": \"#/$defs/a\", \"$defs\": {\"a\": {\"type\": \"object\", \"additionalProperties\": {\"$ref\": "
        "\"#/$defs/a\"}}}}",
        "{\"x\": {\"y\": {}}}", true);
    /* One that refers to itself without end says no, also where "not" would turn that round. */
    holds("{\"$ref\": \"#\"}", "1", false);
    holds("{\"not\": {\"$ref\": \"#\"}}", "1", false);
    sc_schema *s;
    assert_int_equal(sc_schema_parse(&s, "{\"if\": {}}", 10, "schema"), SC_EUNSUPPORTED);
    assert_int_equal(sc_schema_parse(&s, "{\"$ref\": \"http://x\"}", 20, "schema"), SC_EUNSUPPORTED);
    assert_int_equal(sc_schema_parse(&s, "[1]", 3, "schema"), SC_EFORMAT);
    assert_int_equal(sc_schema_parse(&s, "{\"pattern\": \"(\"}", 16, "schema"), SC_EFORMAT);
}

static void schema_of_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/socle-schema-XXXXXX", reward[64];
    const char *schema = "{\"type\": \"object\", \"required\": [\"x\"]}";
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, schema, strlen(schema)) == (ssize_t)strlen(schema) && close(fd) == 0);
    snprintf(reward, sizeof reward, "schema=%s", path);
    check(reward, "{}", "{\"x\": 1}", 1);
    check(reward, "{}", "Here it is:\n```json\n{\"x\": 1}\n```\nfine?", 1);
    check(reward, "{}", "{\"y\": 1}", 0);
    check(reward, "{}", "{\"x\": 1", 0);
    unlink(path);
    said x;
    assert_int_equal(give(reward, "p", "{}", "x", &x), SC_ENOTFOUND);
}

/* ---- programs ---- */

static void tests_in_a_sandbox(void **state)
{
    (void)state;
    if (access("/usr/bin/python3", X_OK) != 0) {
        print_message("no /usr/bin/python3\n");
        skip();
    }
    const char *r = "{\"tests\": \"assert double(3) == 6\"}";
    check("tests", r, "def double(x):\n    return 2 * x\n", 1);
    check("tests", r, "Sure!\n```python\ndef double(x):\n    return 2 * x\n```\n", 1);
    check("tests", r, "def double(x):\n    return x\n", 0);
    check("tests", r, "def double(x:\n", 0);
    check("tests", r, "import os\nos.abort()\n", 0);
    said x;
    if (give("tests", "def double(x):\n",
             "{\"test\": \"def check(f):\\n    assert f(2) == 4\\n\", \"entry_point\": \"double\"}",
             "    return 2 * x\n", &x))
        fail_msg("%s", sc_error());
    assert_true(x.total == 1);
}

static void commands(void **state)
{
    (void)state;
    said x;
    check("cmd=while read l; do echo 0.25; done", "{}", "x", 0.25);
    check("cmd=while read l; do echo '{\"reward\": -3}'; done", "{}", "x", -3);
    check("cmd=while read l; do case \"$l\" in *'\"completion\":\"x\\n\"'*) echo 1;; *) echo 0;; esac; done", "{}",
          "x\n", 0);
    check("cmd=while read -r l; do case \"$l\" in *'\"completion\":\"x\\n\"'*) echo 1;; *) echo 0;; esac; done",
          "{}", "x\n", 1);
    /* What is no number is refused; what is no answer is counted. */
    assert_int_equal(give("cmd=while read l; do echo nan; done", "p", "{}", "x", &x), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "nan"));
    assert_int_equal(give("cmd=while read l; do echo inf; done", "p", "{}", "x", &x), SC_EINVAL);
    assert_int_equal(give("cmd=while read l; do echo well; done", "p", "{}", "x", &x), SC_EIO);
    assert_non_null(strstr(sc_error(), "none of 1 answers"));
    assert_int_equal(give("cmd=exit 3", "p", "{}", "x", &x), SC_EIO);
    assert_non_null(strstr(sc_error(), "exit code 3"));

    /* Of several answers some may fail: they get what the options say. */
    sc_rl_prompt p = prompt_of("p", "{}");
    sc_answer a[3];
    int32_t id = 1;
    const char *answers[] = {"1", "crash", "hang"},
               *reward =
                   "cmd=while read l; do case $l in *crash*) exit 1;; *hang*) sleep 100;; *) echo 5;; esac; done";
    for (int i = 0; i < 3; i++)
        a[i] =
            (sc_answer){.prompt = &p, .text = answers[i], .len = (int64_t)strlen(answers[i]), .ids = &id, .n = 1};
    sc_rl_options o = {.rewards = &reward, .n_rewards = 1, .reward_seconds = 0.5, .reward_failed = -2};
    sc_rewards r;
    float total[3], each[3];
    int64_t failures;
    assert_int_equal(sc_rewards_open(&r, ctx, &o), SC_OK);
    assert_int_equal(sc_rewards_give(&r, a, 3, total, each, &failures), SC_OK);
    assert_int_equal(failures, 2);
    assert_true(total[0] == 5 && total[1] == -2 && total[2] == -2);
    sc_rewards_close(&r);
    free(p.text);
    json_decref(p.record);
}

static void several_add_up(void **state)
{
    (void)state;
    sc_rl_prompt p = prompt_of("p", "{\"answer\": 4}");
    int32_t ids[] = {1, 2};
    sc_answer a = {.prompt = &p, .text = "4", .len = 1, .ids = ids, .n = 2};
    const char *rewards[] = {"exact", "0.5*length=4", "-1*length=2"};
    sc_rl_options o = {.rewards = rewards, .n_rewards = 3};
    sc_rewards r;
    float total, each[3];
    int64_t failures[3];
    assert_int_equal(sc_rewards_open(&r, ctx, &o), SC_OK);
    assert_string_equal(r.judge[1].name, "length");
    assert_string_equal(r.judge[2].name, "length_2");
    assert_int_equal(sc_rewards_give(&r, &a, 1, &total, each, failures), SC_OK);
    assert_true(fabs(total - (1 + 0.25 - 1)) < 1e-6 && each[1] == 0.5f);
    sc_rewards_close(&r);
    o.n_rewards = 0;
    assert_int_equal(sc_rewards_open(&r, ctx, &o), SC_EINVAL);
    free(p.text);
    json_decref(p.record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers),
        cmocka_unit_test(texts),
        cmocka_unit_test(schemas),
        cmocka_unit_test(schema_of_a_file),
        cmocka_unit_test(tests_in_a_sandbox),
        cmocka_unit_test(commands),
        cmocka_unit_test(several_add_up),
    };
    return cmocka_run_group_tests(tests, one_thread, no_context);
}
