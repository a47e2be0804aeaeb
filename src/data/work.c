/* SPDX-License-Identifier: Apache-2.0 */
/* Who does what. A run is a row of phases, each of tasks, and a task is done when its file is there, whole. Processes that work on
 * one folder (those that mpirun started, or any others) divide tasks by locks on bytes of one file: a lock ends with its
 * process, whatever way it ends, so a task that was left is another's. Results follow from the task alone, never from who did
 * it. */
#include "data/run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BYTE_SETUP, BYTE_PRESENT, BYTE_TASKS };

/* Locks of open file descriptions: they are this run's, not this process's. *got false: another has it. */
static sc_status lock(const sc_run *r, int64_t byte, short type, bool wait, bool *got)
{
    struct flock l = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    int e;
    do e = fcntl(r->lock, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
    while (e < 0 && errno == EINTR && !sc_context_cancelled(r->ctx));
    *got = e == 0;
    if (e < 0 && errno == EINTR) return sc_fail(SC_ECANCELLED, "stopped");
    if (e < 0 && errno != EAGAIN && errno != EACCES)
        return sc_fail(SC_EIO, "%s: cannot lock: %s", r->work, strerror(errno));
    return SC_OK;
}

static void unlock(const sc_run *r, int64_t byte)
{
    bool got;
    lock(r, byte, F_UNLCK, false, &got);
}

/* The folder may be removed by one that finished while this one waited for the lock: then it is made again. */
sc_status sc_work_enter(sc_run *r)
{
    for (int tries = 0; tries < 100; tries++) {
        char *path = sc_run_path(r, "lock");
        sc_status s = path ? sc_mkdirs(r->work) : sc_nomem();
        struct stat here, there;
        bool got;
        if (!s) r->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (!s && r->lock < 0 && errno != ENOENT) s = sc_fail(SC_EIO, "cannot write %s: %s", path, strerror(errno));
        if (!s && r->lock >= 0) s = lock(r, BYTE_SETUP, F_WRLCK, true, &got);
        if (!s && r->lock >= 0) s = lock(r, BYTE_PRESENT, F_RDLCK, true, &got);
        bool same = !s && r->lock >= 0 && !fstat(r->lock, &here) && !stat(path, &there) &&
                    here.st_ino == there.st_ino && here.st_dev == there.st_dev;
        sc_free(path);
        if (s || same) return s;
        if (r->lock >= 0) close(r->lock);
        r->lock = -1;
    }
    return sc_fail(SC_EIO, "%s: another process keeps removing it", r->work);
}

void sc_work_ready(sc_run *r) { unlock(r, BYTE_SETUP); }

bool sc_work_leave(sc_run *r)
{
    bool last = false, got;
    if (r->lock < 0 || lock(r, BYTE_SETUP, F_WRLCK, true, &got)) return false;
    if (lock(r, BYTE_PRESENT, F_WRLCK, false, &last)) last = false;
    if (!last) {
        unlock(r, BYTE_PRESENT);
        unlock(r, BYTE_SETUP);
    }
    return last;
}

void sc_work_close(sc_run *r)
{
    if (r->lock >= 0) close(r->lock);
    r->lock = -1;
}

/* ---- tasks ---- */

typedef struct phase {
    sc_run *run;
    sc_phase p;
    atomic_llong next;
    atomic_int busy, failed, done;
    sc_status status;
    char message[512];
} phase;

static sc_status do_task(phase *f, int64_t task)
{
    const sc_run *r = f->run;
    int64_t byte = BYTE_TASKS + ((int64_t)f->p.number << 32) + task;
    bool got, there;
    sc_status s = f->p.done(f->p.user, task, &there);
    if (s || there) return s;
    if ((s = lock(r, byte, F_WRLCK, false, &got))) return s;
    if (!got) {
        atomic_fetch_add(&f->busy, 1);
        return SC_OK;
    }
    s = f->p.done(f->p.user, task, &there); /* another may have just finished it */
    if (!s && !there) s = f->p.run(f->p.user, task);
    unlock(r, byte);
    return s;
}

static void sweep(void *user, int member)
{
    phase *f = user;
    (void)member;
    for (;;) {
        int64_t i = atomic_fetch_add(&f->next, 1);
        if (i >= f->p.tasks || atomic_load(&f->failed)) return;
        sc_status s = sc_context_cancelled(f->run->ctx) ? sc_fail(SC_ECANCELLED, "stopped")
                                                        : do_task(f, (i + f->p.first) % f->p.tasks);
        if (!s)
            sc_progress(f->run->ctx, f->p.what, atomic_fetch_add(&f->done, 1) + 1, f->p.tasks);
        else if (!atomic_exchange(&f->failed, 1)) {
            f->status = s;
            snprintf(f->message, sizeof f->message, "%s", sc_error());
        }
    }
}

sc_status sc_work_all(sc_run *r, const sc_phase *p)
{
    phase f = {.run = r, .p = *p};
    /* Ranks begin at different places, so that they seldom ask for the same. */
    f.p.first = r->ranks > 1 ? p->tasks * r->rank / r->ranks : 0;
    for (;;) {
        atomic_store(&f.next, 0);
        atomic_store(&f.busy, 0);
        atomic_store(&f.done, 0);
        if (p->threads)
            sc_pool_run(r->ctx->pool, sweep, &f);
        else
            sweep(&f, 0);
        if (f.status) return sc_fail(f.status, "%s", f.message);
        if (!atomic_load(&f.busy)) return SC_OK;
        usleep(20000);
    }
}

/* What mpirun says in the environment of the processes that it starts. */
void sc_work_ranks(sc_run *r)
{
    const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *ranks = getenv("OMPI_COMM_WORLD_SIZE");
    r->ranks = ranks ? (int)SC_MAX(1, SC_MIN(strtol(ranks, NULL, 10), 1 << 20)) : 1;
    r->rank = rank ? (int)SC_MAX(0, SC_MIN(strtol(rank, NULL, 10), r->ranks - 1)) : 0;
}
