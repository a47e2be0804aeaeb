/* SPDX-License-Identifier: Apache-2.0 */
/* The option parser; the tables of all verbs: unique names, defaults in range, examples that parse; what signals and
 * progress do. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base.h"
#include "cmd/cmd.h"

#include <ctype.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static int nothing(sc_cmd *c)
{
    (void)c;
    return 0;
}

static const sc_option options[] = {{"all", 'a', SC_OPT_FLAG, .help = "all"},
                                    {"raw", 'r', SC_OPT_FLAG, .help = "raw"},
                                    {"count", 'n', SC_OPT_INT, "N", "count", .value = "7", .lo = 1, .hi = 100},
                                    {"seed", 0, SC_OPT_INT, "S", "seed"},
                                    {"top-p", 'p', SC_OPT_NUM, "P", "top p", .lo = 0, .hi = 1},
                                    {"type", 0, SC_OPT_CHOICE, "f32|f16|q8_0", "type", .value = "f16"},
                                    {"stop", 's', SC_OPT_STR, "TEXT", "stop", .many = true},
                                    {0}};
static const sc_verb verb = {.name = "test",
                             .summary = "Test",
                             .args = "A [B]",
                             .min_args = 1,
                             .max_args = 2,
                             .options = options,
                             .run = nothing};

/* Parses words up to NULL. */
static int parse(sc_cmd *c, const char *first, ...)
{
    char *argv[32];
    int argc = 0;
    argv[argc++] = "test";
    va_list args;
    va_start(args, first);
    for (const char *w = first; w; w = va_arg(args, const char *)) argv[argc++] = (char *)w;
    va_end(args);
    return sc_cmd_parse(c, &verb, argc, argv);
}

static void values(void **state)
{
    (void)state;
    sc_cmd c;
    assert_int_equal(parse(&c, "model", NULL), 0);
    assert_int_equal(sc_cmd_argc(&c), 1);
    assert_string_equal(sc_cmd_arg(&c, 0), "model");
    assert_null(sc_cmd_arg(&c, 1));
    assert_null(sc_cmd_arg(&c, -1));
    assert_int_equal(sc_cmd_int(&c, "count"), 7);
    assert_false(sc_cmd_given(&c, "count"));
    assert_int_equal(sc_cmd_int(&c, "seed"), 0);
    assert_string_equal(sc_cmd_str(&c, "type"), "f16");
    assert_null(sc_cmd_str(&c, "stop"));
    assert_false(sc_cmd_flag(&c, "all"));
    sc_cmd_end(&c);

    assert_int_equal(parse(&c, "-arn5", "model", "--top-p=0.25", "--seed", "9007199254740993", "--stop=a", "-s",
                           "b", "--", "-x", NULL),
                     0);
    assert_true(sc_cmd_flag(&c, "all"));
    assert_true(sc_cmd_flag(&c, "raw"));
    assert_int_equal(sc_cmd_int(&c, "count"), 5);
    assert_true(sc_cmd_num(&c, "top-p") == 0.25);
    assert_true(sc_cmd_int(&c, "seed") == INT64_C(9007199254740993));
    assert_int_equal(sc_cmd_count(&c, "stop"), 2);
    assert_string_equal(sc_cmd_list(&c, "stop", 0), "a");
    assert_string_equal(sc_cmd_list(&c, "stop", 1), "b");
    assert_null(sc_cmd_list(&c, "stop", 2));
    assert_string_equal(sc_cmd_str(&c, "stop"), "b");
    assert_string_equal(sc_cmd_arg(&c, 1), "-x");
    sc_cmd_end(&c);

    /* The last one counts; a lone dash is an argument; negative numbers are values; an empty value is one too. */
    assert_int_equal(parse(&c, "-", "-n", "5", "-n", "6", "--seed", "-3", "--stop=", NULL), 0);
    assert_string_equal(sc_cmd_arg(&c, 0), "-");
    assert_int_equal(sc_cmd_int(&c, "count"), 6);
    assert_int_equal(sc_cmd_int(&c, "seed"), -3);
    assert_string_equal(sc_cmd_str(&c, "stop"), "");
    sc_cmd_end(&c);
}

static void refusals(void **state)
{
    (void)state;
    static const char *const wrong[][3] = {
        {"m", "--nope", NULL},      {"m", "-z", NULL},          {"m", "--all=1", NULL},
        {"m", "--count", NULL},     {"m", "-n", NULL},          {"m", "--count=0", NULL},
        {"m", "--count=101", NULL}, {"m", "--count=5x", NULL},  {"m", "--count=", NULL},
        {"m", "--count= 5", NULL},  {"m", "--seed=1e3", NULL},  {"m", "--seed=9223372036854775808", NULL},
        {"m", "--top-p=1.5", NULL}, {"m", "--top-p=nan", NULL}, {"m", "--top-p=", NULL},
        {"m", "--top-p=inf", NULL}, {"m", "--type=f64", NULL},  {"m", "--type=f32|f16", NULL},
        {"m", "--type=", NULL},     {"m", "--type=f", NULL},    {"-a", NULL, NULL},
        {"m", "--coun=5", NULL},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        sc_cmd c;
        assert_int_equal(parse(&c, wrong[i][0], wrong[i][1], wrong[i][2]), 2);
        sc_cmd_end(&c);
    }
    sc_cmd c;
    assert_int_equal(parse(&c, "a", "b", "c", NULL), 2);
    sc_cmd_end(&c);
    assert_int_equal(parse(&c, "a", "--help", "--nope", NULL), -1);
    sc_cmd_end(&c);
    assert_int_equal(parse(&c, "-h", NULL), -1);
    sc_cmd_end(&c);
    assert_int_equal(parse(&c, "--", "--help", NULL), 0);
    sc_cmd_end(&c);
}

static void nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"tokenize", "template", "run", "show"};
    assert_string_equal(sc_cmd_nearest("tokenise", words, 4), "tokenize");
    assert_string_equal(sc_cmd_nearest("rnu", words, 4), "run");
    assert_string_equal(sc_cmd_nearest("shwo", words, 4), "show");
    assert_null(sc_cmd_nearest("xyz", words, 4));
    assert_null(sc_cmd_nearest("a very long word that is no verb at all, and longer than the table", words, 4));
}

static void check_options(const sc_verb *v)
{
    for (const sc_option *o = v->options; o && o->name; o++) {
        assert_non_null(o->help);
        assert_false(isupper((unsigned char)o->help[0]) && islower((unsigned char)o->help[1]));
        assert_true(o->help[strlen(o->help) - 1] != '.');
        assert_string_not_equal(o->name, "help");
        assert_true(o->letter != 'h');
        if (o->kind != SC_OPT_FLAG) assert_non_null(o->arg);
        for (const sc_option *p = v->options; p < o; p++) {
            assert_string_not_equal(o->name, p->name);
            assert_true(!o->letter || o->letter != p->letter);
        }
        if (!o->value) continue;
        /* A default has to be a value that could be typed. */
        sc_cmd c;
        char text[256];
        char *argv[] = {(char *)v->name, text};
        sc_verb bare = *v;
        bare.min_args = 0;
        snprintf(text, sizeof text, "--%s=%s", o->name, o->value);
        assert_int_equal(sc_cmd_parse(&c, &bare, 2, argv), 0);
        sc_cmd_end(&c);
    }
}

/* Splits the "socle VERB …" within a shell line; words end at a pipe, a redirection or the end. */
static int split(char *line, char **argv, int max)
{
    char *p = strstr(line, "socle "), *out = line;
    int argc = 0;
    assert_non_null(p);
    for (p += 6; *p && argc < max;) {
        while (*p == ' ') p++;
        if (!*p || strchr("|<>;)&", *p)) break;
        argv[argc++] = out;
        for (char quote = 0; *p && (quote || !strchr(" |<>;)", *p)); p++) {
            if (quote ? *p == quote : *p == '"' || *p == '\'')
                quote = quote ? 0 : *p;
            else
                *out++ = *p;
        }
        bool more = *p == ' ';
        if (*p) p++;
        *out++ = 0;
        if (!more) break;
    }
    return argc;
}

static void tables(void **state)
{
    (void)state;
    int count;
    const sc_verb *const *verbs = sc_verbs(&count);
    for (int i = 0; i < count; i++) {
        const sc_verb *v = verbs[i];
        char name[64], *word[2] = {name, NULL};
        assert_true(strlen(v->name) < sizeof name);
        strcpy(name, v->name);
        if ((word[1] = strchr(name, ' '))) *word[1]++ = 0;
        assert_ptr_equal(sc_verb_named(word[1] ? 2 : 1, word), v);
        for (int k = 0; k < count; k++) /* a word is a verb, or the first of a group's, which stand together */
            assert_true(strcmp(verbs[k]->name, name) != 0 || (k == i && !word[1]));
        if (word[1] && i > 0 && sc_verb_group(name) != v) assert_true(sc_verb_in_group(verbs[i - 1], name));
        assert_non_null(v->args);
        assert_true(isupper((unsigned char)v->summary[0]));
        assert_true(v->summary[strlen(v->summary) - 1] != '.');
        assert_non_null(v->examples);
        assert_non_null(v->examples[0].line);
        check_options(v);
        for (const sc_example *e = v->examples; e->line; e++) {
            char line[512], *argv[64];
            sc_cmd c;
            assert_true(strlen(e->line) < sizeof line);
            strcpy(line, e->line);
            int argc = split(line, argv, 64);
            assert_true(argc > 0);
            const sc_verb *named = sc_verb_named(argc, argv);
            if (!named) fail_msg("%s: the example '%s' names no verb", v->name, e->line);
            int rc = sc_cmd_parse(&c, named, argc, argv);
            sc_cmd_end(&c);
            if (rc > 0) fail_msg("%s: the example '%s' is refused", v->name, e->line);
        }
    }
}

/* ---- signals and progress, each in a process of its own ---- */

/* Runs fn in a child whose stdout and stderr go to `text` (at a terminal or through a pipe); returns its exit code. */
static int in_child(int (*fn)(sc_cmd *), bool terminal, char *text, size_t size)
{
    int fds[2] = {-1, -1}, status;
    pid_t pid;
    fflush(stdout);
    fflush(stderr);
    if (terminal) {
        pid = forkpty(&fds[0], NULL, NULL, NULL);
        if (pid < 0) {
            print_message("skipped: no pseudo-terminal\n");
            skip();
        }
    } else {
        assert_int_equal(pipe(fds), 0);
        pid = fork();
    }
    if (pid == 0) {
        sc_cmd c;
        char *argv[] = {"test", "model"};
        if (!terminal) {
            dup2(fds[1], 1);
            dup2(fds[1], 2);
        }
        alarm(20);
        sc_cmd_signals();
        if (sc_cmd_parse(&c, &verb, 2, argv) || !sc_cmd_context(&c)) _exit(99);
        int rc = fn(&c);
        sc_cmd_end(&c);
        fflush(stdout);
        _exit(rc);
    }
    if (!terminal) close(fds[1]);
    size_t n = 0;
    for (ssize_t k; n < size - 1 && (k = read(fds[0], text + n, size - 1 - n)) > 0;) n += (size_t)k;
    text[n] = 0;
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int interrupt_once(sc_cmd *c)
{
    sc_context *ctx = sc_cmd_context(c);
    raise(SIGINT);
    bool stopped = sc_context_cancelled(ctx) && sc_cmd_interrupted();
    sc_cmd_resume(c);
    return stopped && !sc_context_cancelled(ctx) && !sc_cmd_interrupted() ? 0 : 1;
}

static int interrupt_twice(sc_cmd *c)
{
    (void)c;
    raise(SIGINT);
    raise(SIGINT);
    return 0;
}

static int read_shrunk_map(sc_cmd *c)
{
    (void)c;
    FILE *f = tmpfile();
    if (!f || ftruncate(fileno(f), 8192) != 0) return 98;
    volatile char *p = mmap(NULL, 8192, PROT_READ, MAP_SHARED, fileno(f), 0);
    if (p == MAP_FAILED || ftruncate(fileno(f), 0) != 0) return 98;
    return p[4096];
}

static int long_work(sc_cmd *c)
{
    sc_context *ctx = sc_cmd_context(c);
    for (int i = 0; i < 40; i++) {
        sc_progress(ctx, "loading \033[2J", 50, 100);
        usleep(10000);
    }
    sc_progress(ctx, "loading", 100, 100);
    fputs("answer", stdout);
    return 0;
}

static int short_work(sc_cmd *c)
{
    sc_progress(sc_cmd_context(c), "loading", 50, 100);
    return sc_cmd_error(c, "no good\n%s", "\033[2J");
}

static void signals(void **state)
{
    (void)state;
    char text[4096];
    assert_int_equal(in_child(interrupt_once, false, text, sizeof text), 0);
    assert_int_equal(in_child(interrupt_twice, false, text, sizeof text), 130);
    assert_int_equal(in_child(read_shrunk_map, false, text, sizeof text), 1);
    assert_string_equal(text, "socle: a mapped file shrank or could not be read\n");
}

static void progress(void **state)
{
    (void)state;
    char text[8192];
    assert_int_equal(in_child(long_work, false, text, sizeof text), 0);
    assert_string_equal(text, "answer");
    assert_int_equal(in_child(long_work, true, text, sizeof text), 0);
    assert_non_null(strstr(text, "[##########..........]  50% loading ?[2J\033[K"));
    assert_non_null(strstr(text, "\r\033[Kanswer"));
    assert_int_equal(in_child(short_work, false, text, sizeof text), 1);
    assert_string_equal(text, "socle: no good??[2J\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values), cmocka_unit_test(refusals), cmocka_unit_test(nearest),
        cmocka_unit_test(tables), cmocka_unit_test(signals),  cmocka_unit_test(progress),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
