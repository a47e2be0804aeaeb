/* SPDX-License-Identifier: Apache-2.0 */
/* The command's context: signals, progress bar, remarks. */
#include "cmd/cmd.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* A signal handler has no argument, so these two are the command's only global state. */
static _Atomic(sc_context *) running;
static volatile sig_atomic_t interrupts;

static void on_interrupt(int sig)
{
    (void)sig;
    sc_context *ctx = atomic_load(&running);
    if (!ctx || interrupts) _exit(130);
    interrupts = 1;
    sc_context_cancel(ctx);
}

static void on_bus(int sig)
{
    (void)sig;
    static const char text[] = "socle: a mapped file shrank or could not be read\n";
    ssize_t n = write(STDERR_FILENO, text, sizeof text - 1);
    (void)n;
    _exit(1);
}

void sc_cmd_signals(void)
{
    /* No SA_RESTART: a read from the terminal or a pipe has to end too. */
    struct sigaction sa = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &sa, NULL);
    sa.sa_handler = on_bus;
    sigaction(SIGBUS, &sa, NULL);
    /* A reader that leaves is a write error, which is checked and said; so is a file larger than allowed. */
    sa.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &sa, NULL);
    sigaction(SIGXFSZ, &sa, NULL);
}

void sc_cmd_stop_on(int sig) { sigaction(sig, &(struct sigaction){.sa_handler = on_interrupt}, NULL); }

bool sc_cmd_interrupted(void) { return interrupts != 0; }

void sc_cmd_resume(sc_cmd *c)
{
    interrupts = 0;
    if (c->ctx) sc_context_resume(c->ctx);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void sc_cmd_clear_progress(sc_cmd *c)
{
    if (!c->progress_shown) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    c->progress_shown = false;
}

static int columns(void)
{
    struct winsize ws;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 20 ? ws.ws_col : 80;
}

void sc_cmd_status(sc_cmd *c, const char *line, bool stays)
{
    if (!isatty(STDERR_FILENO))
        fprintf(stderr, "%s\n", line);
    else
        fprintf(stderr, "\r%.*s\033[K%s", columns() - 1, line, stays ? "\n" : "");
    fflush(stderr);
    c->progress_shown = !stays && isatty(STDERR_FILENO);
}

static void draw_progress(void *user, const char *what, int64_t done, int64_t total)
{
    sc_cmd *c = user;
    double t = now();
    if (done >= total && total > 0) {
        sc_cmd_clear_progress(c);
        return;
    }
    /* Often enough to look alive, seldom enough to cost nothing; short work shows no bar at all. */
    if (c->progress_time == 0) c->progress_time = t + 0.2;
    if (t < c->progress_time) return;
    c->progress_time = t + 0.1;
    char bar[21] = "";
    if (total > 0) {
        int full = (int)(20.0 * (double)done / (double)total);
        memset(bar, '.', 20);
        memset(bar, '#', (size_t)(full < 0 ? 0 : full > 20 ? 20 : full));
    }
    char line[256];
    int width = columns() < (int)sizeof line ? columns() - 1 : (int)sizeof line - 1;
    if (total > 0)
        snprintf(line, sizeof line, "[%s] %3d%% %s", bar, (int)(100.0 * (double)done / (double)total), what);
    else
        snprintf(line, sizeof line, "%lld %s", (long long)done, what);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
    fprintf(stderr, "\r%.*s\033[K", width, line);
    fflush(stderr);
    c->progress_shown = true;
}

static void log_line(void *user, sc_log_level level, const char *line)
{
    sc_cmd *c = user;
    sc_cmd_clear_progress(c);
    sc_cmd_message("%s%s", level == SC_LOG_WARNING ? "warning: " : "", line);
}

static bool has_option(const sc_verb *v, const char *name)
{
    for (const sc_option *o = v->options; o && o->name; o++)
        if (strcmp(o->name, name) == 0) return true;
    return false;
}

sc_context *sc_cmd_context(sc_cmd *c)
{
    if (c->ctx) return c->ctx;
    bool quiet = has_option(c->verb, "quiet") && sc_cmd_flag(c, "quiet");
    sc_context_options o = {
        .threads = has_option(c->verb, "threads") ? (int)sc_cmd_int(c, "threads") : 0,
        .log = quiet ? NULL : log_line,
        .progress = !quiet && isatty(STDERR_FILENO) ? draw_progress : NULL,
        .user = c,
    };
    if (!o.threads) o.threads = c->threads;
    if (sc_context_new(&c->ctx, &o) != SC_OK) return NULL;
    atomic_store(&running, c->ctx);
    return c->ctx;
}

void sc_cmd_end(sc_cmd *c)
{
    sc_cmd_clear_progress(c);
    atomic_store(&running, NULL);
    sc_context_free(c->ctx);
    free(c->values);
    free(c->argv);
    *c = (sc_cmd){0};
}
