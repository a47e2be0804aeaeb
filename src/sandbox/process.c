/* SPDX-License-Identifier: Apache-2.0 */
/* Between fork and exec only what a signal handler may do is done: other threads may have held any lock. */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOBODY 65534

extern char **environ;

static void limit(int which, int64_t most)
{
    struct rlimit x = {(rlim_t)most, (rlim_t)most};
    if (most > 0) setrlimit((__rlimit_resource_t)which, &x);
}

/* In the child: never returns. `told` hears errno where there is no way on. */
static void become(const sc_process_start *how, const int fd[3], int told)
{
    setsid();
    for (int i = 1; i < NSIG; i++) signal(i, SIG_DFL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    bool ok = dup2(fd[0], 0) >= 0 && dup2(fd[1], 1) >= 0 && (!how->own_err || dup2(fd[2], 2) >= 0);
    if (ok && how->dir) ok = chdir(how->dir) == 0;
#ifdef __linux__
    if (ok && how->nobody && geteuid() == 0)
        ok = syscall(SYS_setgroups, 0, NULL) == 0 && syscall(SYS_setresgid, NOBODY, NOBODY, NOBODY) == 0 &&
             syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) == 0;
    if (ok && how->unplug) ok = unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0;
#endif
    struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    limit(RLIMIT_CPU, how->seconds > 0 ? (int64_t)ceil(how->seconds) + 1 : 0);
    limit(RLIMIT_AS, how->memory);
    limit(RLIMIT_FSIZE, how->file_size);
    limit(RLIMIT_NPROC, how->processes);
    if (ok)
        execve(how->argv[0], (char *const *)(uintptr_t)how->argv,
               how->env ? (char *const *)(uintptr_t)how->env : environ);
    int fault = errno;
    ssize_t n = write(told, &fault, sizeof fault);
    _exit(n < 0 ? 126 : 127);
}

static void close_all(int *fd, int n)
{
    for (int i = 0; i < n; i++) {
        if (fd[i] >= 0) close(fd[i]);
        fd[i] = -1;
    }
}

/* A socket for its input: writing to a closed one is an error and no signal. */
static bool make_pipes(int in[2], int out[2], int err[2], int told[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) == 0 && pipe2(out, O_CLOEXEC) == 0 &&
           pipe2(err, O_CLOEXEC) == 0 && pipe2(told, O_CLOEXEC) == 0 && fcntl(in[1], F_SETFL, O_NONBLOCK) == 0 &&
           fcntl(out[0], F_SETFL, O_NONBLOCK) == 0 && fcntl(err[0], F_SETFL, O_NONBLOCK) == 0;
}

sc_status sc_process_open(sc_process *p, const sc_process_start *how)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, err[2] = {-1, -1}, told[2] = {-1, -1}, fault = 0;
    *p = (sc_process){.in = -1, .out = -1, .err = -1};
    pid_t pid = make_pipes(in, out, err, told) ? fork() : -1;
    if (pid == 0) become(how, (int[]){in[0], out[1], err[1]}, told[1]);
    if (pid < 0) fault = errno;
    close_all((int[]){in[0], out[1], err[1], told[1]}, 4);
    ssize_t n = pid > 0 ? read(told[0], &fault, sizeof fault) : 0;
    close_all(told, 1);
    if (pid > 0 && n <= 0) {
        *p = (sc_process){.pid = pid, .in = in[1], .out = out[0], .err = err[0]};
        if (!how->own_err) close_all(&p->err, 1);
        return SC_OK;
    }
    close_all((int[]){in[1], out[0], err[0]}, 3);
    if (pid > 0) waitpid(pid, NULL, 0);
    return sc_fail(SC_EIO, "cannot run %s: %s", how->argv[0], strerror(fault));
}

static void rest(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};
    nanosleep(&t, NULL);
}

bool sc_process_ended(sc_process *p, double until)
{
    for (double wait = 1e-4; !p->ended; wait = SC_MIN(2 * wait, 0.02)) {
        pid_t got = waitpid(p->pid, &p->status, WNOHANG);
        p->ended = got == p->pid || (got < 0 && errno != EINTR);
        if (p->ended || sc_now() >= until) break;
        rest(wait);
    }
    return p->ended;
}

void sc_process_close(sc_process *p)
{
    if (p->pid <= 0) return;
    kill(-p->pid, SIGKILL);
    while (!p->ended && waitpid(p->pid, &p->status, 0) < 0 && errno == EINTR) continue;
    close_all(&p->in, 1);
    close_all(&p->out, 1);
    close_all(&p->err, 1);
    *p = (sc_process){.status = p->status, .ended = true, .in = -1, .out = -1, .err = -1};
}

/* What is there now; closes at the end. */
static void drain(int *fd, sc_said *to)
{
    char piece[16384];
    while (*fd >= 0 && !to->cut) {
        ssize_t n = read(*fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) {
            close_all(fd, 1);
            return;
        }
        int64_t room = to->most - to->text.len;
        to->cut = n > room;
        sc_str_append(&to->text, piece, SC_MIN(n, room));
    }
}

static void feed(int *fd, const char **input, int64_t *n)
{
    while (*fd >= 0 && *n > 0) {
        ssize_t got = send(*fd, *input, (size_t)SC_MIN(*n, 1 << 16), MSG_NOSIGNAL);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) return;
        if (got < 0) *n = 0; /* it does not want to hear more */
        if (got > 0) *input += got, *n -= got;
    }
    close_all(fd, 1);
}

sc_status sc_process_talk(sc_process *p, const sc_context *ctx, const char *input, int64_t n, double until,
                          sc_said *out, sc_said *err)
{
    while (!out->cut && !(err && err->cut)) {
        double left = until - sc_now();
        if (sc_context_cancelled(ctx)) return sc_fail(SC_ECANCELLED, "cancelled");
        if (left <= 0) break;
        feed(&p->in, &input, &n);
        struct pollfd fd[] = {{p->out, POLLIN, 0}, {p->err, POLLIN, 0}, {p->in, POLLOUT, 0}};
        if (p->out < 0 && p->err < 0) {
            if (sc_process_ended(p, SC_MIN(until, sc_now() + 0.1))) break;
            continue;
        }
        poll(fd, 3, (int)ceil(SC_MIN(left, 0.05) * 1e3));
        bool ended = sc_process_ended(p, 0); /* before reading: all that it said is in the pipes then */
        drain(&p->out, out);
        if (err) drain(&p->err, err);
        if (ended) break; /* what its children have open does not count */
    }
    return out->text.oom || (err && err->text.oom) ? sc_nomem() : SC_OK;
}
