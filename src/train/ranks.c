/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that talks to the other ranks, and what it is asked to do. Invariants:
 *  1. The wire belongs to that thread from its opening to its closing.
 *  2. `posted` and `done` count jobs; a job is done once and in order, after a fault without being carried out.
 *  3. A fault is set once, under the lock, and stays.
 *  4. All ranks cut ranges in the same pieces, so messages meet in the order in which they were sent. */
#include "train/ranks.h"
#include "train/wire.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    MAX_RANKS = SC_WIRE_MOST / 2,
    ROOM = 1 << 21,      /* elements of other ranks that wait to be summed */
    MAX_TELL = 16 << 20, /* bytes of a text for all */
    WATCH_MS = 20,       /* between looks for ranks that are gone */
    BUSY_POLLS = 64,     /* before a wait naps */
    NAP_NS = 20000,
    YIELDS = 2000,
};

#define GRACE 0.2 /* seconds */

typedef struct peer {
    uint64_t host; /* whose processes can be looked at from each other; 0: not known */
    int64_t pid;
} peer;

/* A piece that other ranks' values are to be added to. */
typedef struct sum {
    float *own;
    const float *other; /* (count - 1, n), without this rank's */
    int64_t n;
} sum;

struct sc_ranks {
    int rank, count;
    sc_context *user, *work;
    peer *peer;
    pthread_t thread;
    bool ready, started; /* the lock; the thread */
    pthread_mutex_t lock;
    pthread_cond_t wake, turned; /* for the thread: something to do; for others: something is done */
    sc_transfer *first, *last;
    int64_t posted, done;
    bool stop, open;
    atomic_bool waiting;
    _Atomic(const char *) cry; /* this rank's last word, to be said */
    char *last_word;           /* its memory */
    /* what only the thread touches */
    sc_wire *wire;
    float *room;
    sum sums[SC_WIRE_MOST];
    int n_sums;
    int64_t used;
    double watched, wished, missed; /* when: the last look; a wish to stop and a missing rank were first seen */
    bool said;
    /* the rest is guarded by the lock */
    struct {
        const void *own;
        char *all;
        int64_t bytes;
    } small; /* asked for by a transfer without ranges */
    sc_ranks_time time;
    atomic_int fault;
    char text[SC_WIRE_TEXT + 64];
    atomic_bool *gone;
};

/* ---- who is there ---- */

static bool number(const char *name, int *out)
{
    const char *text = getenv(name);
    char *end;
    if (!text || !*text) return false;
    long n = strtol(text, &end, 10);
    *out = (int)n;
    return !*end && n >= 0 && n < 1 << 20;
}

bool sc_rank_place_read(sc_rank_place *out)
{
    sc_rank_place p = {0, 1, 0, 1};
    if (!number("OMPI_COMM_WORLD_RANK", &p.rank) || !number("OMPI_COMM_WORLD_SIZE", &p.count)) return false;
    if (!number("OMPI_COMM_WORLD_LOCAL_RANK", &p.local_rank) ||
        !number("OMPI_COMM_WORLD_LOCAL_SIZE", &p.local_count))
        p.local_rank = 0, p.local_count = 1;
    *out = p;
    return p.count > 0 && p.rank < p.count;
}

/* Two processes with the same of these see each other's process numbers. */
static uint64_t host_of_this(void)
{
    char text[128] = "";
    struct stat st;
    FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
    bool known = f && fgets(text, 64, f) && stat("/proc/self/ns/pid", &st) == 0;
    if (f) fclose(f);
    if (!known) return 0;
    size_t n = strlen(text);
    n += (size_t)snprintf(text + n, sizeof text - n, "%llu", (unsigned long long)st.st_ino);
    return sc_hash(text, (int64_t)n) | 1;
}

int sc_ranks_rank(const sc_ranks *r) { return r->rank; }
int sc_ranks_count(const sc_ranks *r) { return r->count; }
bool sc_ranks_broken(const sc_ranks *r) { return atomic_load(&r->fault) != SC_OK; }

bool sc_ranks_speaks(const sc_ranks *r)
{
    for (int q = 0; q < r->rank; q++)
        if (!r->gone || !atomic_load(&r->gone[q])) return false;
    return true;
}

/* ---- faults ---- */

static void set_fault(sc_ranks *r, sc_status s, const char *text)
{
    pthread_mutex_lock(&r->lock);
    if (!sc_ranks_broken(r)) {
        snprintf(r->text, sizeof r->text, "%s", text);
        atomic_store(&r->fault, s);
        sc_context_cancel(r->work);
    }
    pthread_mutex_unlock(&r->lock);
}

static sc_status fault_of(sc_ranks *r)
{
    sc_status s = (sc_status)atomic_load(&r->fault);
    return s ? sc_fail(s, "%s", r->text) : SC_OK;
}

static void say_last_word(sc_ranks *r, const char *word)
{
    char text[SC_WIRE_TEXT] = "", line[SC_WIRE_TEXT + 64];
    snprintf(text, sizeof text, "%s", word);
    for (int q = 0; q < r->count; q++)
        if (q != r->rank) sc_wire_cry(r->wire, q, text);
    snprintf(line, sizeof line, "rank %d: %s", r->rank, text);
    set_fault(r, SC_EIO, line);
}

static bool is_gone(const sc_ranks *r, int q)
{
    const peer *p = &r->peer[q], *own = &r->peer[r->rank];
    return q != r->rank && p->host && p->host == own->host && kill((pid_t)p->pid, 0) != 0 && errno == ESRCH;
}

/* One that ends because of another's last word may be gone before that word is here: so it gets a moment. */
static void look_for_gone(sc_ranks *r, double now)
{
    char line[64];
    int first = -1;
    for (int q = 0; q < r->count && first < 0; q++)
        if (is_gone(r, q)) first = q;
    if (first < 0) return;
    if (r->missed == 0) r->missed = now;
    if (now - r->missed < GRACE) return;
    for (int q = 0; q < r->count; q++) atomic_store(&r->gone[q], is_gone(r, q));
    snprintf(line, sizeof line, "rank %d of %d is gone", first, r->count);
    set_fault(r, SC_EIO, line);
}

/* Who cries or has gone. The request to stop comes with a time limit that only mpirun knows, so a wait that lasts is said. */
static void watch(sc_ranks *r)
{
    char text[SC_WIRE_TEXT], line[SC_WIRE_TEXT + 64];
    int from;
    double now = sc_now();
    if (sc_ranks_broken(r) || now - r->watched < 1e-3 * WATCH_MS) return;
    r->watched = now;
    const char *word = atomic_load(&r->cry);
    if (word) say_last_word(r, word);
    if (sc_wire_heard(r->wire, &from, text)) {
        snprintf(line, sizeof line, "rank %d: %s", from, text);
        set_fault(r, SC_EIO, line);
        return;
    }
    look_for_gone(r, now);
    if (!sc_context_cancelled(r->user)) return;
    if (r->wished == 0) r->wished = now;
    if (!r->said && now - r->wished > 0.6 && sc_ranks_speaks(r)) {
        sc_log(r->work, SC_LOG_WARNING,
               "asked to stop: finishing the step; if that is cut short, go on from the last checkpoint with "
               "--resume");
        r->said = true;
    }
}

/* ---- transfers ---- */

static void nap(const sc_ranks *r, int polls)
{
    if (polls < BUSY_POLLS) return;
    if (atomic_load(&r->waiting) && polls < YIELDS)
        sched_yield(); /* nothing to compute meanwhile; but other processes may have */
    else
        nanosleep(&(struct timespec){0, NAP_NS}, NULL);
}

/* a + b + … in the order of the ranks, a block at a time. */
static void add_up(const sc_ranks *r, const sum *s)
{
    enum { BLOCK = 1024 };
    float block[BLOCK];
    for (int64_t at = 0; at < s->n; at += BLOCK) {
        int64_t n = SC_MIN(s->n - at, BLOCK);
        for (int q = 0; q < r->count; q++) {
            const float *x = q == r->rank ? s->own + at : s->other + (q < r->rank ? q : q - 1) * s->n + at;
            if (q == 0)
                memcpy(block, x, (size_t)n * sizeof *x);
            else
                for (int64_t i = 0; i < n; i++) block[i] += x[i];
        }
        memcpy(s->own + at, block, (size_t)n * sizeof *block);
    }
}

/* Until all that was begun is done, with the sums that it was for. */
static sc_status finish(sc_ranks *r)
{
    bool done = false;
    for (int polls = 0; !done; polls++) {
        sc_status s = sc_wire_poll(r->wire, &done);
        if (s) return s;
        if (done) break;
        watch(r);
        if (sc_ranks_broken(r)) return SC_EIO;
        nap(r, polls);
    }
    for (int i = 0; i < r->n_sums; i++) add_up(r, &r->sums[i]);
    r->n_sums = 0;
    r->used = 0;
    return SC_OK;
}

typedef struct piece {
    float *data;
    int64_t n;
} piece;

/* Elements at .. at + step of what rank q owns, counted from where that begins. */
static piece piece_of(const sc_ranks *r, const sc_range *x, int q, int64_t at, int64_t step)
{
    int64_t all = x->cut[q + 1] - x->cut[q], n = SC_MIN(step, all - at);
    if (n <= 0) return (piece){NULL, 0};
    if (q == r->rank && x->own) return (piece){x->own + at, n};
    return (piece){x->data ? x->data + x->cut[q] + at : NULL, n};
}

static sc_status send_piece(sc_ranks *r, int to, piece p)
{
    return p.n ? sc_wire_send(r->wire, to, p.data, p.n * (int64_t)sizeof *p.data) : SC_OK;
}

static sc_status receive_piece(sc_ranks *r, int from, piece p)
{
    return p.n ? sc_wire_receive(r->wire, from, p.data, p.n * (int64_t)sizeof *p.data) : SC_OK;
}

static sc_status sum_with(sc_ranks *r, const sc_range *x, int64_t at, int64_t step)
{
    sc_status s = SC_OK;
    piece own = piece_of(r, x, r->rank, at, step);
    for (int q = 0; x->more && q < r->count; q++) {
        piece p = piece_of(r, x, q, at, step);
        const float *more = x->more + x->cut[q] + at;
        for (int64_t i = 0; i < p.n; i++) p.data[i] += more[i];
    }
    if (own.n) r->sums[r->n_sums++] = (sum){own.data, r->room + r->used, own.n};
    for (int q = 0; !s && q < r->count; q++) {
        if (q == r->rank) continue;
        s = receive_piece(r, q, (piece){r->room + r->used, own.n});
        r->used += own.n;
        if (!s) s = send_piece(r, q, piece_of(r, x, q, at, step));
    }
    return s;
}

static sc_status move_pieces(sc_ranks *r, sc_move move, const sc_range *x, int64_t at, int64_t step)
{
    sc_status s = SC_OK;
    piece own = piece_of(r, x, r->rank, at, step);
    if (move == SC_MOVE_SUM) return sum_with(r, x, at, step);
    for (int q = 0; !s && q < r->count; q++) {
        if (q == r->rank) continue;
        piece its = piece_of(r, x, q, at, step);
        bool takes = move == SC_MOVE_SHARE || (move == SC_MOVE_GATHER ? r->rank == 0 : q == 0),
             gives = move == SC_MOVE_SHARE || (move == SC_MOVE_GATHER ? q == 0 : r->rank == 0);
        if (takes) s = receive_piece(r, q, move == SC_MOVE_SCATTER ? own : its);
        if (!s && gives) s = send_piece(r, q, move == SC_MOVE_SCATTER ? its : own);
    }
    return s;
}

static sc_status carry_out(sc_ranks *r, const sc_transfer *t)
{
    int64_t step = ROOM / r->count, held = 0; /* held: the same on all ranks */
    int begun = 0;
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < t->n; i++) {
        int64_t longest = 0;
        for (int q = 0; q < r->count; q++) longest = SC_MAX(longest, t->range[i].cut[q + 1] - t->range[i].cut[q]);
        for (int64_t at = 0; !s && at < longest; at += step) {
            int64_t most = SC_MIN(step, longest - at) * (r->count - 1);
            if (held + most > ROOM || begun + 2 * (r->count - 1) > SC_WIRE_MOST) {
                s = finish(r);
                held = begun = 0;
            }
            if (!s) s = move_pieces(r, t->move, &t->range[i], at, step);
            held += most;
            begun += 2 * (r->count - 1);
        }
    }
    return s ? s : finish(r);
}

static sc_status collect(sc_ranks *r)
{
    sc_status s = SC_OK;
    int64_t n = r->small.bytes;
    for (int q = 0; !s && q < r->count; q++) {
        if (q == r->rank) continue;
        s = sc_wire_receive(r->wire, q, r->small.all + q * n, n);
        if (!s) s = sc_wire_send(r->wire, q, r->small.own, n);
    }
    memmove(r->small.all + r->rank * n, r->small.own, (size_t)n);
    return s ? s : finish(r);
}

/* ---- the thread ---- */

static void open_wire(sc_ranks *r)
{
    int rank, count;
    sc_status s = sc_wire_open(&r->wire, &rank, &count);
    if (!s && (rank != r->rank || count != r->count))
        s = sc_fail(SC_ENETWORK, "mpirun says rank %d of %d, MPI says %d of %d", r->rank, r->count, rank, count);
    if (s) set_fault(r, s, sc_error());
    pthread_mutex_lock(&r->lock);
    r->open = true;
    pthread_cond_broadcast(&r->turned);
    pthread_mutex_unlock(&r->lock);
}

static void do_job(sc_ranks *r, sc_transfer *t)
{
    double begun = sc_now();
    sc_status s = sc_ranks_broken(r) ? SC_OK : t->range || t->n == 0 ? carry_out(r, t) : collect(r);
    if (s) set_fault(r, s, sc_error());
    double now = sc_now();
    pthread_mutex_lock(&r->lock);
    r->time.busy += now - begun;
    r->done++;
    pthread_cond_broadcast(&r->turned);
    pthread_mutex_unlock(&r->lock);
}

static void *serve(void *arg)
{
    sc_ranks *r = arg;
    prctl(PR_SET_TIMERSLACK, 1000UL);
    open_wire(r);
    while (r->wire) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += WATCH_MS * 1000000L;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        pthread_mutex_lock(&r->lock);
        if (!r->first && !r->stop) pthread_cond_timedwait(&r->wake, &r->lock, &until);
        sc_transfer *t = r->first;
        if (t && !(r->first = t->next)) r->last = NULL;
        bool stop = r->stop;
        pthread_mutex_unlock(&r->lock);
        if (t)
            do_job(r, t);
        else if (stop)
            break;
        else
            watch(r);
    }
    sc_wire_close(r->wire, !sc_ranks_broken(r));
    return NULL;
}

static sc_status start(sc_ranks *r)
{
    sigset_t all, before;
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->wake, NULL);
    pthread_cond_init(&r->turned, NULL);
    r->ready = true;
    r->room = sc_malloc(sizeof *r->room * ROOM);
    r->gone = sc_calloc((size_t)r->count, sizeof *r->gone);
    r->peer = sc_calloc((size_t)r->count, sizeof *r->peer);
    if (!r->room || !r->gone || !r->peer) return sc_nomem();
    /* Signals are the program's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r->started = pthread_create(&r->thread, NULL, serve, r) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!r->started) return sc_fail(SC_ENOMEM, "cannot start a thread");
    pthread_mutex_lock(&r->lock);
    while (!r->open) pthread_cond_wait(&r->turned, &r->lock);
    pthread_mutex_unlock(&r->lock);
    return fault_of(r);
}

sc_status sc_ranks_new(sc_ranks **out, sc_context *user, sc_context *work)
{
    sc_rank_place place;
    sc_ranks *r = sc_calloc(1, sizeof *r);
    if (!r) return sc_nomem();
    r->count = 1;
    r->user = user;
    r->work = work;
    if (!sc_rank_place_read(&place) || place.count == 1) {
        *out = r;
        return SC_OK;
    }
    r->rank = place.rank;
    r->count = place.count;
    sc_status s =
        r->count > MAX_RANKS ? sc_fail(SC_ELIMIT, "%d ranks, more than %d", r->count, MAX_RANKS) : start(r);
    peer own = {host_of_this(), getpid()};
    if (!s) s = sc_ranks_collect(r, &own, sizeof own, r->peer);
    if (s)
        sc_ranks_free(r);
    else
        *out = r;
    return s;
}

void sc_ranks_free(sc_ranks *r)
{
    if (!r) return;
    if (r->started) {
        if (!sc_ranks_broken(r)) sc_ranks_barrier(r);
        pthread_mutex_lock(&r->lock);
        r->stop = true;
        pthread_cond_signal(&r->wake);
        pthread_mutex_unlock(&r->lock);
        pthread_join(r->thread, NULL);
    }
    if (r->ready) {
        pthread_mutex_destroy(&r->lock);
        pthread_cond_destroy(&r->wake);
        pthread_cond_destroy(&r->turned);
    }
    sc_free(r->last_word);
    sc_free(r->peer);
    sc_free(r->room);
    sc_free(r->gone);
    sc_free(r);
}

sc_status sc_ranks_abort(sc_ranks *r, sc_status s)
{
    if (r->count == 1 || sc_ranks_broken(r)) return r->count == 1 ? s : fault_of(r);
    char *text = sc_strdup(sc_error());
    sc_free(r->last_word);
    atomic_store(&r->cry, (r->last_word = text) ? text : "out of memory");
    while (!sc_ranks_broken(r)) nanosleep(&(struct timespec){0, 1000000}, NULL);
    return fault_of(r);
}

/* ---- what is asked for ---- */

void sc_ranks_post(sc_ranks *r, sc_transfer *t)
{
    if (r->count == 1) return;
    pthread_mutex_lock(&r->lock);
    t->next = NULL;
    *(r->last ? &r->last->next : &r->first) = t;
    r->last = t;
    r->posted++;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

sc_status sc_ranks_wait(sc_ranks *r)
{
    if (r->count == 1) return SC_OK;
    double begun = sc_now();
    pthread_mutex_lock(&r->lock);
    atomic_store(&r->waiting, true);
    while (r->done < r->posted) pthread_cond_wait(&r->turned, &r->lock);
    atomic_store(&r->waiting, false);
    r->time.waited += sc_now() - begun;
    pthread_mutex_unlock(&r->lock);
    return fault_of(r);
}

sc_status sc_ranks_move(sc_ranks *r, sc_move move, const sc_range *range, int64_t n)
{
    sc_ranks_post(r, &(sc_transfer){move, range, n, NULL});
    return sc_ranks_wait(r);
}

sc_status sc_ranks_all_reduce(sc_ranks *r, const sc_range *range, int64_t n)
{
    sc_status s = sc_ranks_move(r, SC_MOVE_SUM, range, n);
    return s ? s : sc_ranks_move(r, SC_MOVE_SHARE, range, n);
}

sc_status sc_ranks_broadcast(sc_ranks *r, const sc_range *range, int64_t n)
{
    sc_status s = sc_ranks_move(r, SC_MOVE_SCATTER, range, n);
    return s ? s : sc_ranks_move(r, SC_MOVE_SHARE, range, n);
}

sc_status sc_ranks_collect(sc_ranks *r, const void *own, int64_t bytes, void *all)
{
    if (r->count == 1) {
        memcpy(all, own, (size_t)bytes);
        return SC_OK;
    }
    r->small.own = own;
    r->small.all = all;
    r->small.bytes = bytes;
    return sc_ranks_move(r, SC_MOVE_SHARE, NULL, 1);
}

sc_status sc_ranks_barrier(sc_ranks *r)
{
    char own = 0, all[MAX_RANKS];
    return sc_ranks_collect(r, &own, 1, all);
}

sc_status sc_ranks_sum(sc_ranks *r, double *x, int n)
{
    enum { MOST = 16 };
    if (r->count == 1) return SC_OK;
    double all[MAX_RANKS * MOST];
    sc_status s = sc_ranks_collect(r, x, n * (int64_t)sizeof *x, all);
    if (s) return s;
    for (int i = 0; i < n; i++) {
        x[i] = 0;
        for (int q = 0; q < r->count; q++) x[i] += all[q * n + i];
    }
    return SC_OK;
}

typedef struct verdict {
    int status;
    char text[SC_WIRE_TEXT];
} verdict;

sc_status sc_ranks_agree(sc_ranks *r, sc_status s)
{
    if (r->count == 1) return s;
    verdict own = {s, ""}, *all = sc_calloc((size_t)r->count, sizeof *all);
    if (s) snprintf(own.text, sizeof own.text, "%s", sc_error());
    if (!all) return sc_ranks_abort(r, sc_nomem());
    sc_status met = sc_ranks_collect(r, &own, sizeof own, all);
    bool alike = true; /* what all find alike is no rank's own */
    for (int q = 1; q < r->count; q++) alike = alike && memcmp(&all[q], &all[0], sizeof *all) == 0;
    for (int q = 0; !met && q < r->count; q++) {
        if (!all[q].status) continue;
        met = alike ? sc_fail((sc_status)all[q].status, "%s", all[q].text)
                    : sc_fail((sc_status)all[q].status, "rank %d: %s", q, all[q].text);
    }
    sc_free(all);
    return met;
}

sc_status sc_ranks_tell(sc_ranks *r, char **text)
{
    if (r->count == 1) return SC_OK;
    sc_status s = SC_OK;
    int64_t n = r->rank == 0 && *text ? (int64_t)strlen(*text) : 0, *all = sc_calloc((size_t)r->count, sizeof *all);
    if (!all) return sc_ranks_abort(r, sc_nomem());
    s = sc_ranks_collect(r, &n, sizeof n, all);
    n = all[0];
    sc_free(all);
    if (s) return s;
    if (n > MAX_TELL) return sc_fail(SC_ELIMIT, "%lld bytes for all ranks, more than %d", (long long)n, MAX_TELL);
    /* As numbers that rank 0 owns all of. */
    int64_t words = n / (int64_t)sizeof(float) + 1, cut[MAX_RANKS + 1] = {0};
    for (int q = 1; q <= r->count; q++) cut[q] = words;
    char *copy = sc_calloc((size_t)words, sizeof(float));
    if (!copy) return sc_ranks_abort(r, sc_nomem());
    if (r->rank == 0 && n) memcpy(copy, *text, (size_t)n);
    s = sc_ranks_move(r, SC_MOVE_SHARE, &(sc_range){.data = (float *)(void *)copy, .cut = cut}, 1);
    if (s || r->rank == 0) {
        sc_free(copy);
        return s;
    }
    sc_free(*text);
    *text = copy;
    return SC_OK;
}

sc_ranks_time sc_ranks_take_time(sc_ranks *r)
{
    sc_ranks_time t = {0};
    if (r->count == 1) return t;
    pthread_mutex_lock(&r->lock);
    t = r->time;
    r->time = (sc_ranks_time){0};
    pthread_mutex_unlock(&r->lock);
    return t;
}
