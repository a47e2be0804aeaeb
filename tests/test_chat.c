/* SPDX-License-Identifier: Apache-2.0 */
/* The chat under a pseudo-terminal: lines, commands, Ctrl-C at the prompt and within an answer, Ctrl-D, history. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cmd/cmd.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the program in the terminal: a model that repeats, and that answers "wait" until it is stopped ---- */

static int answer(void *user, const char *line)
{
    sc_context *ctx = sc_cmd_context(user);
    if (strcmp(line, "fail") == 0) return 1;
    if (strcmp(line, "wait") == 0) {
        printf("waiting");
        fflush(stdout);
        while (!sc_context_cancelled(ctx)) usleep(1000);
    }
    printf("<%s>", line);
    return 0;
}

static int clear(void *user)
{
    (void)user;
    fputs("cleared\n", stderr);
    return 0;
}

static int set_system(void *user, const char *text)
{
    (void)user;
    fprintf(stderr, "system=[%s]\n", text);
    return 0;
}

static int set(void *user, const char *name, const char *value)
{
    (void)user;
    fprintf(stderr, "set [%s]=[%s]\n", name ? name : "all", value ? value : "");
    return 0;
}

static int no_run(sc_cmd *c)
{
    (void)c;
    return 0;
}

static const sc_verb verb = {.name = "test", .summary = "Test", .args = "", .run = no_run};

static int run_chat(void)
{
    sc_cmd c;
    char *argv[] = {"test"};
    sc_cmd_signals();
    int rc = sc_cmd_parse(&c, &verb, 1, argv);
    const sc_chat chat = {"Test model", &c, answer, clear, set_system, set};
    if (rc == 0) rc = sc_cmd_context(&c) ? sc_chat_run(&c, &chat) : 1;
    sc_cmd_end(&c);
    return rc;
}

/* ---- the terminal ---- */

typedef struct term {
    int fd;
    pid_t pid;
    char seen[1 << 16];
    size_t n, from; /* what came, and where the next search begins */
} term;

/* Skips the test where the machine gives no pseudo-terminals. */
static void start(term *t)
{
    memset(t, 0, sizeof *t);
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    fflush(stdout);
    t->pid = forkpty(&t->fd, NULL, NULL, &size);
    if (t->pid < 0) {
        print_message("skipped: no pseudo-terminal\n");
        skip();
    }
    if (t->pid == 0) {
        setenv("TERM", "xterm", 1);
        setenv("LC_ALL", "C.UTF-8", 1);
        exit(run_chat());
    }
}

/* Waits until `text` shows up after what was waited for last. */
static void await(term *t, const char *text)
{
    for (int waited = 0; waited < 20000; waited += 50) {
        t->seen[t->n] = 0;
        char *at = memmem(t->seen + t->from, t->n - t->from, text, strlen(text));
        if (at) {
            t->from = (size_t)(at - t->seen) + strlen(text);
            return;
        }
        struct pollfd p = {.fd = t->fd, .events = POLLIN};
        if (poll(&p, 1, 50) > 0 && t->n < sizeof t->seen - 1) {
            ssize_t got = read(t->fd, t->seen + t->n, sizeof t->seen - 1 - t->n);
            if (got > 0) t->n += (size_t)got;
        }
    }
    fail_msg("no '%s' after: %s", text, t->seen + t->from);
}

static void type(term *t, const char *text) { assert_int_equal(write(t->fd, text, strlen(text)), strlen(text)); }

/* libedit writes the prompt after it has put the terminal into its mode; what is typed before that gets lost. */
static void ready(term *t)
{
    await(t, "> ");
    usleep(100000);
}

static int end(term *t)
{
    int status;
    char rest[4096];
    for (int i = 0; i < 1000; i++) {
        struct pollfd p = {.fd = t->fd, .events = POLLIN};
        if (poll(&p, 1, 10) > 0 && read(t->fd, rest, sizeof rest) < 0) break;
    }
    assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
    close(t->fd);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static char home[] = "/tmp/socle-chat-XXXXXX";

static int make_home(void **state)
{
    (void)state;
    if (!mkdtemp(home)) return -1;
    setenv("XDG_STATE_HOME", home, 1);
    return 0;
}

static int remove_home(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", home);
    return system(command);
}

static void lines_and_commands(void **state)
{
    (void)state;
    term t;
    start(&t);
    await(&t, "Test model");
    ready(&t);
    type(&t, "hello there\n");
    await(&t, "<hello there>");
    ready(&t);
    type(&t, "안녕 😀\n");
    await(&t, "<안녕 😀>");
    ready(&t);
    type(&t, "/system  You are terse. \n");
    await(&t, "system=[You are terse.]");
    ready(&t);
    type(&t, "/set temperature 0.7\n");
    await(&t, "set [temperature]=[0.7]");
    ready(&t);
    type(&t, "/set\n");
    await(&t, "set [all]=[]");
    ready(&t);
    type(&t, "/set top_k\n");
    await(&t, "/set top_k needs a value");
    ready(&t);
    type(&t, "/clear\n");
    await(&t, "cleared");
    ready(&t);
    type(&t, "/cleer\n");
    await(&t, "did you mean /clear?");
    ready(&t);
    type(&t, "/help\n");
    await(&t, "/quit ");
    ready(&t);
    type(&t, "   \n");
    ready(&t);
    type(&t, " /etc/passwd is a file\n");
    await(&t, "</etc/passwd is a file>");
    ready(&t);
    type(&t, "/quit\n");
    assert_int_equal(end(&t), 0);
}

static void ctrl_c_and_ctrl_d(void **state)
{
    (void)state;
    term t;
    start(&t);
    ready(&t);
    /* Within an answer: the answer stops, the chat goes on, several times over. */
    for (int i = 0; i < 3; i++) {
        type(&t, "wait\n");
        await(&t, "waiting");
        type(&t, "\003");
        await(&t, "(stopped)");
        ready(&t);
    }
    /* At the prompt: the line is dropped. */
    for (int i = 0; i < 3; i++) {
        type(&t, "half a li");
        await(&t, "half a li");
        type(&t, "\003");
        ready(&t);
    }
    type(&t, "whole\n");
    await(&t, "<whole>");
    ready(&t);
    type(&t, "\004");
    assert_int_equal(end(&t), 0);
    start(&t);
    ready(&t);
    type(&t, "fail\n");
    assert_int_equal(end(&t), 1);
}

static void keeps_history(void **state)
{
    (void)state;
#if SC_WITH_EDIT
    term t;
    start(&t);
    ready(&t);
    type(&t, "remember me\n");
    await(&t, "<remember me>");
    ready(&t);
    type(&t, "\004");
    assert_int_equal(end(&t), 0);
    char path[256];
    struct stat st;
    snprintf(path, sizeof path, "%s/socle/history", home);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    start(&t);
    ready(&t);
    type(&t, "\020"); /* Ctrl-P: the line before */
    await(&t, "remember me");
    type(&t, "\n");
    await(&t, "<remember me>");
    ready(&t);
    type(&t, "\004");
    assert_int_equal(end(&t), 0);
#else
    skip();
#endif
}

/* Not at a terminal: plain lines, no prompt, answers only on stdout. */
static void from_a_pipe(void **state)
{
    (void)state;
    int in[2], out[2], status;
    char got[256] = {0};
    assert_int_equal(pipe(in) | pipe(out), 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(in[0], 0);
        dup2(out[1], 1);
        dup2(open("/dev/null", O_WRONLY), 2);
        close(in[1]);
        exit(run_chat());
    }
    close(in[0]);
    close(out[1]);
    assert_int_equal(write(in[1], "one\n/help\ntwo", 13), 13);
    close(in[1]);
    for (size_t n = 0; n < sizeof got - 1;) {
        ssize_t k = read(out[0], got + n, sizeof got - 1 - n);
        if (k <= 0) break;
        n += (size_t)k;
    }
    close(out[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_string_equal(got, "<one>\n<two>\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_and_commands),
        cmocka_unit_test(ctrl_c_and_ctrl_d),
        cmocka_unit_test(keeps_history),
        cmocka_unit_test(from_a_pipe),
    };
    return cmocka_run_group_tests(tests, make_home, remove_home);
}
