/* SPDX-License-Identifier: Apache-2.0 */
/* Rewards that can be checked: 1 for what is right, 0 for what is not. */
#include "sandbox/sandbox.h"
#include "text/text.h"
#include "tune/rewards.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define WANTED "answer|solution|target|label"

char *sc_answer_wanted(const sc_answer *a, const char *names)
{
    for (const char *at = names; *at;) {
        char name[64];
        size_t n = strcspn(at, "|");
        snprintf(name, sizeof name, "%.*s", (int)n, at);
        const json_t *v = json_object_get(a->prompt->record, name);
        if (json_is_string(v)) return sc_strdup(json_string_value(v));
        if (v && !json_is_null(v)) return json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
        at += n + (at[n] == '|');
    }
    return NULL;
}

/* A field that this reward cannot do without. */
static sc_status wanted(const sc_answer *a, const char *reward, const char *names, char **out)
{
    if ((*out = sc_answer_wanted(a, names))) return SC_OK;
    return sc_fail(SC_EINVAL, "the reward '%s' needs \"%.*s\" in each record, one has none: %.80s", reward,
                   (int)strcspn(names, "|"), names, a->prompt->text);
}

/* ---- number ---- */

/* The last number of a text, with commas between thousands and a sign that does not belong to a word before it. */
static bool last_number(const char *text, double *out)
{
    bool found = false;
    for (const char *p = text; *p;) {
        if (!isdigit((unsigned char)*p)) {
            p++;
            continue;
        }
        char digits[64];
        int n = 0;
        bool minus = p > text && p[-1] == '-' && (p == text + 1 || !isalnum((unsigned char)p[-2]));
        for (; *p && n < 60; p++) {
            bool inner = isdigit((unsigned char)p[1]);
            if (*p == ',' && inner) continue;
            if (!isdigit((unsigned char)*p) && !(*p == '.' && inner)) break;
            digits[n++] = *p;
        }
        digits[n] = 0;
        while (isdigit((unsigned char)*p)) p++; /* of one that is too long */
        *out = (minus ? -1 : 1) * strtod(digits, NULL);
        found = true;
    }
    return found;
}

static sc_status judge_number(sc_judge *j, const sc_answer *a, int64_t n, float *score, bool *failed)
{
    (void)failed;
    for (int64_t i = 0; i < n; i++) {
        double want, got;
        char *text;
        sc_status s = wanted(&a[i], j->name, WANTED, &text);
        if (s) return s;
        bool has = last_number(text, &want);
        if (!has) s = sc_fail(SC_EINVAL, "the reward 'number' finds none in the record's answer '%.60s'", text);
        sc_free(text);
        if (s) return s;
        score[i] = last_number(a[i].text, &got) && fabs(got - want) <= 1e-6 * fmax(1, fabs(want));
    }
    return SC_OK;
}
const sc_judge_kind sc_judge_number = {
    .name = "number", .about = "the last number of the answer is the last of the record's", .judge = judge_number};

/* ---- exact ---- */

typedef struct span {
    const char *p;
    int64_t n;
} span;

static span trimmed(const char *p, int64_t n)
{
    while (n && isspace((unsigned char)*p)) p++, n--;
    while (n && isspace((unsigned char)p[n - 1])) n--;
    return (span){p, n};
}

static sc_status judge_exact(sc_judge *j, const sc_answer *a, int64_t n, float *score, bool *failed)
{
    (void)failed;
    for (int64_t i = 0; i < n; i++) {
        char *text;
        sc_status s = wanted(&a[i], j->name, WANTED, &text);
        if (s) return s;
        span want = trimmed(text, (int64_t)strlen(text)), got = trimmed(a[i].text, a[i].len);
        score[i] = want.n == got.n && memcmp(want.p, got.p, (size_t)got.n) == 0;
        sc_free(text);
    }
    return SC_OK;
}
const sc_judge_kind sc_judge_exact = {
    .name = "exact", .about = "the answer is the record's, but for space around it", .judge = judge_exact};

/* ---- regex ---- */

typedef struct pattern {
    sc_regex *re;
    sc_matcher *matcher;
} pattern;

static void close_regex(sc_judge *j)
{
    pattern *p = j->self;
    sc_regex_free(p->re);
    sc_matcher_free(p->matcher);
    sc_free(p);
}

static sc_status open_regex(sc_judge *j, sc_context *ctx, const sc_rl_options *o, const char *argument)
{
    (void)ctx, (void)o;
    pattern *p = j->self = sc_calloc(1, sizeof *p);
    if (!p) return sc_nomem();
    sc_status s = sc_regex_new(&p->re, argument, (int64_t)strlen(argument), "the reward's pattern");
    if (!s) s = sc_matcher_new(&p->matcher);
    if (s) close_regex(j);
    return s;
}

static sc_status judge_regex(sc_judge *j, const sc_answer *a, int64_t n, float *score, bool *failed)
{
    pattern *p = j->self;
    for (int64_t i = 0; i < n; i++) {
        bool found = false;
        int64_t begin, end;
        sc_scan scan = sc_scan_begin(p->re, p->matcher, a[i].text, a[i].len, true);
        failed[i] = sc_scan_next(&scan, &found, &begin, &end) != SC_OK; /* a limit of matching */
        score[i] = found;
    }
    return SC_OK;
}
const sc_judge_kind sc_judge_regex = {.name = "regex",
                                      .about = "the pattern is found in the answer",
                                      .argument = true,
                                      .open = open_regex,
                                      .judge = judge_regex,
                                      .free = close_regex};

/* ---- schema ---- */

static sc_status open_schema(sc_judge *j, sc_context *ctx, const sc_rl_options *o, const char *argument)
{
    (void)ctx, (void)o;
    sc_schema *schema;
    sc_status s = sc_schema_read(&schema, argument);
    if (!s) j->self = schema;
    return s;
}

static void close_schema(sc_judge *j) { sc_schema_free(j->self); }

/* The inside of the last block of three backquotes; of none the whole text. */
static span fenced(const char *text, int64_t n)
{
    const char *end = NULL, *begin = NULL;
    for (const char *p = text; (p = strstr(p, "```")); p += 3) {
        const char *line = strchr(p, '\n'), *close = line ? strstr(line, "```") : NULL;
        if (!close) break;
        begin = line + 1;
        end = close;
        p = close;
    }
    return begin ? (span){begin, end - begin} : (span){text, n};
}

static sc_status judge_schema(sc_judge *j, const sc_answer *a, int64_t n, float *score, bool *failed)
{
    (void)failed;
    for (int64_t i = 0; i < n; i++) {
        json_t *v = NULL;
        span inside = fenced(a[i].text, a[i].len), f = trimmed(inside.p, inside.n);
        score[i] = sc_json_parse(&v, f.p, f.n, "an answer") == SC_OK && sc_schema_holds(j->self, v);
        json_decref(v);
    }
    return SC_OK;
}
const sc_judge_kind sc_judge_schema = {.name = "schema",
                                       .about = "the answer is JSON as the schema in a file says",
                                       .argument = true,
                                       .open = open_schema,
                                       .judge = judge_schema,
                                       .free = close_schema};

/* ---- length ---- */

static sc_status open_length(sc_judge *j, sc_context *ctx, const sc_rl_options *o, const char *argument)
{
    char *end;
    (void)ctx, (void)o;
    double tokens = strtod(argument, &end);
    double *own = j->self = sc_malloc(sizeof *own);
    if (!own) return sc_nomem();
    *own = tokens;
    if (*end == 0 && tokens >= 1 && tokens <= 1e7) return SC_OK;
    sc_free(own);
    return sc_fail(SC_EINVAL, "the reward 'length=%s': a number of tokens, at least 1", argument);
}

static void close_length(sc_judge *j) { sc_free(j->self); }

static sc_status judge_length(sc_judge *j, const sc_answer *a, int64_t n, float *score, bool *failed)
{
    (void)failed;
    double tokens = *(const double *)j->self;
    for (int64_t i = 0; i < n; i++) score[i] = (float)fmax(0, 1 - fabs((double)a[i].n - tokens) / tokens);
    return SC_OK;
}
const sc_judge_kind sc_judge_length = {
    .name = "length",
    .about = "1 for an answer of so many tokens, less the share that it is longer or shorter, at least 0",
    .argument = true,
    .open = open_length,
    .judge = judge_length,
    .free = close_length};

/* ---- tests ---- */

static sc_status open_tests(sc_judge *j, sc_context *ctx, const sc_rl_options *o, const char *argument)
{
    (void)argument;
    sc_sandbox *box;
    sc_status s = sc_sandbox_new(&box, &(sc_sandbox_options){.seconds = o->reward_seconds});
    if (s) return s;
    j->self = box;
    if (*sc_sandbox_gaps(box))
        sc_log(ctx, SC_LOG_WARNING, "programs that the model writes are not confined in: %s (bubblewrap helps)",
               sc_sandbox_gaps(box));
    return SC_OK;
}

static void close_tests(sc_judge *j) { sc_sandbox_free(j->self); }

/* The program: what the prompt began where it is code itself ("entry_point", as HumanEval), the answer, the tests. */
static sc_status write_program(const sc_answer *a, const char *tests, sc_str *out)
{
    const char *entry = json_string_value(json_object_get(a->prompt->record, "entry_point"));
    span code = fenced(a->text, a->len);
    if (entry && code.p == a->text) sc_str_puts(out, a->prompt->text);
    sc_str_append(out, code.p, code.n);
    sc_str_printf(out, "\n\n%s\n", tests);
    if (entry) sc_str_printf(out, "check(%s)\n", entry);
    return out->oom ? sc_nomem() : SC_OK;
}

static sc_status judge_tests(sc_judge *j, const sc_answer *a, int64_t n, float *score, bool *failed)
{
    (void)failed; /* a program that crashes or hangs is wrong: it is the model's */
    const char *const argv[] = {"python3", "answer.py", NULL};
    for (int64_t i = 0; i < n; i++) {
        char *tests;
        sc_str program = {0};
        sc_sandbox_result r = {0};
        sc_status s = wanted(&a[i], j->name, "tests|test", &tests);
        if (s) return s;
        s = write_program(&a[i], tests, &program);
        sc_sandbox_file file = {"answer.py", program.p, program.len};
        sc_sandbox_job job = {.argv = argv, .file = &file, .n_files = 1};
        if (!s) s = sc_sandbox_run(j->self, j->ctx, &job, &r);
        score[i] = !s && r.end == SC_SANDBOX_EXITED && r.code == 0;
        sc_sandbox_result_free(&r);
        sc_str_free(&program);
        sc_free(tests);
        if (s) return s;
        sc_progress(j->ctx, "tests", i + 1, n);
    }
    return SC_OK;
}
const sc_judge_kind sc_judge_tests = {.name = "tests",
                                      .about = "the answer's Python passes the record's tests, in a sandbox",
                                      .open = open_tests,
                                      .judge = judge_tests,
                                      .free = close_tests};
