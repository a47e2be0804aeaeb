/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST = 1 << 20 }; /* bytes of an answer */

struct sc_partner {
    const sc_context *ctx;
    char *command;
    double seconds;
    sc_process process; /* pid 0: not running */
    sc_str heard;       /* the last answer, and what came behind it */
    int64_t used;       /* of `heard`, by the last answer */
};

sc_status sc_partner_new(sc_partner **out, const sc_context *ctx, const char *command, double seconds)
{
    sc_partner *p = sc_calloc(1, sizeof *p);
    if (!p) return sc_nomem();
    p->ctx = ctx;
    p->seconds = seconds;
    if (!(p->command = sc_strdup(command))) {
        sc_free(p);
        return sc_nomem();
    }
    *out = p;
    return SC_OK;
}

static void hang_up(sc_partner *p)
{
    sc_process_close(&p->process);
    p->process = (sc_process){0};
    sc_str_free(&p->heard);
    p->used = 0;
}

void sc_partner_free(sc_partner *p)
{
    if (!p) return;
    hang_up(p);
    sc_free(p->command);
    sc_free(p);
}

static sc_status call(sc_partner *p)
{
    const char *const argv[] = {"/bin/sh", "-c", p->command, NULL};
    if (p->process.pid > 0) return SC_OK;
    return sc_process_open(&p->process, &(sc_process_start){.argv = argv});
}

static sc_status wait_for(sc_partner *p, int fd, short what, double until)
{
    for (;;) {
        double left = until - sc_now();
        struct pollfd x = {fd, what, 0};
        if (sc_context_cancelled(p->ctx)) return sc_fail(SC_ECANCELLED, "cancelled");
        if (left <= 0) return sc_fail(SC_ELIMIT, "'%s' did not answer within %g s", p->command, p->seconds);
        if (poll(&x, 1, (int)ceil(SC_MIN(left, 0.05) * 1e3)) > 0) return SC_OK;
    }
}

/* It ended where it should have answered. */
static sc_status gone(sc_partner *p)
{
    if (!sc_process_ended(&p->process, sc_now() + 1)) return sc_fail(SC_EIO, "'%s' closed its output", p->command);
    int how = p->process.status;
    return sc_fail(SC_EIO, "'%s' ended (%s %d) without an answer", p->command,
                   WIFSIGNALED(how) ? "signal" : "exit code", WIFSIGNALED(how) ? WTERMSIG(how) : WEXITSTATUS(how));
}

static sc_status say(sc_partner *p, const char *text, int64_t n, double until)
{
    while (n > 0) {
        ssize_t got = send(p->process.in, text, (size_t)n, MSG_NOSIGNAL);
        if (got > 0) text += got, n -= got;
        if (got >= 0 || errno == EINTR) continue;
        if (errno != EAGAIN) return gone(p);
        sc_status s = wait_for(p, p->process.in, POLLOUT, until);
        if (s) return s;
    }
    return SC_OK;
}

static sc_status hear(sc_partner *p, double until, int64_t *end)
{
    char piece[4096];
    for (int64_t looked = 0;;) {
        const char *stop =
            p->heard.len > looked ? memchr(p->heard.p + looked, '\n', (size_t)(p->heard.len - looked)) : NULL;
        if (stop) {
            *end = stop - p->heard.p;
            return SC_OK;
        }
        looked = p->heard.len;
        if (looked > MOST) return sc_fail(SC_ELIMIT, "'%s' answers with more than %d bytes", p->command, MOST);
        sc_status s = wait_for(p, p->process.out, POLLIN, until);
        if (s) return s;
        ssize_t n = read(p->process.out, piece, sizeof piece);
        if (n == 0) return gone(p);
        if (n < 0 && errno != EINTR && errno != EAGAIN) return gone(p);
        if (n > 0) sc_str_append(&p->heard, piece, n);
        if (p->heard.oom) return sc_nomem();
    }
}

sc_status sc_partner_ask(sc_partner *p, const char *line, int64_t n, const char **answer, int64_t *n_answer)
{
    double until = sc_now() + p->seconds;
    int64_t end = 0;
    if (p->used) {
        memmove(p->heard.p, p->heard.p + p->used, (size_t)(p->heard.len - p->used));
        p->heard.len -= p->used;
        p->used = 0;
    }
    sc_status s = call(p);
    if (!s) s = say(p, line, n, until);
    if (!s) s = say(p, "\n", 1, until);
    if (!s) s = hear(p, until, &end);
    if (s) {
        hang_up(p);
        return s;
    }
    p->heard.p[end] = 0;
    p->used = end + 1;
    *answer = p->heard.p;
    *n_answer = end;
    return SC_OK;
}
