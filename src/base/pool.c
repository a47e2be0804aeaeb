/* SPDX-License-Identifier: Apache-2.0 */
/* A fixed crew of threads. Invariants:
 *  1. `job` is a generation number: it grows by one for each job, and a worker runs every generation once.
 *  2. A job ends when `active` is 0 again; only then may the next one begin (`turn` is held for the whole job).
 *  3. The barrier is a counter and a phase; a member that arrives last resets the counter and turns the phase. Those that
 *     gave up spinning are counted before they look at the phase again, and the last one looks at their number after it
 *     turned the phase, so that it wakes whoever sleeps and takes no lock where nobody does. */
#include "base/base.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#define RELAX() __builtin_ia32_pause()
#else
#define RELAX() atomic_signal_fence(memory_order_seq_cst)
#endif

/* About 20 microseconds of spinning: longer than the gap between two steps of a plan, far shorter than a time slice. */
enum { SPINS = 2000 };

/* What a worker is started with. */
typedef struct member {
    pthread_t thread;
    sc_pool *pool;
    int index;
} member;

struct sc_pool {
    int threads;
    member *member; /* threads of them; 0 is the caller's */
    pthread_mutex_t turn, lock;
    pthread_cond_t wake, done, passed;
    atomic_uint job;
    atomic_int active;
    void (*fn)(void *, int);
    void *arg;
    atomic_bool stop;
    atomic_int arrived;
    atomic_uint phase;
    atomic_int sleepers;
    int member_count; /* threads that were really started, plus one */
};

static void *worker(void *p)
{
    const member *self = p;
    sc_pool *pool = self->pool;
    unsigned seen = 0;
    for (;;) {
        for (int i = 0; i < SPINS && atomic_load_explicit(&pool->job, memory_order_acquire) == seen; i++) RELAX();
        if (atomic_load_explicit(&pool->job, memory_order_acquire) == seen) {
            pthread_mutex_lock(&pool->lock);
            while (atomic_load(&pool->job) == seen) pthread_cond_wait(&pool->wake, &pool->lock);
            pthread_mutex_unlock(&pool->lock);
        }
        seen++;
        if (atomic_load(&pool->stop)) return NULL;
        pool->fn(pool->arg, self->index);
        if (atomic_fetch_sub_explicit(&pool->active, 1, memory_order_acq_rel) == 1) {
            pthread_mutex_lock(&pool->lock);
            pthread_cond_signal(&pool->done);
            pthread_mutex_unlock(&pool->lock);
        }
    }
}

sc_status sc_pool_new(sc_pool **out, int threads)
{
    if (threads < 1 || threads > 256) return sc_fail(SC_EINVAL, "threads is %d, outside 1 to 256", threads);
    sc_pool *p = sc_calloc(1, sizeof *p);
    if (!p) return sc_nomem();
    p->member = sc_calloc((size_t)threads, sizeof *p->member);
    if (!p->member) {
        sc_free(p);
        return sc_nomem();
    }
    p->threads = threads;
    p->member_count = 1;
    pthread_mutex_init(&p->turn, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    pthread_cond_init(&p->passed, NULL);
    /* Signals are the program's: a worker that took one would leave the program's own wait undisturbed. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 1; i < threads; i++) {
        p->member[i].pool = p;
        p->member[i].index = i;
        if (pthread_create(&p->member[i].thread, NULL, worker, &p->member[i]) != 0) {
            pthread_sigmask(SIG_SETMASK, &before, NULL);
            sc_pool_free(p);
            return sc_fail(SC_ENOMEM, "cannot start thread %d of %d", i + 1, threads);
        }
        p->member_count++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    *out = p;
    return SC_OK;
}

static void announce(sc_pool *p)
{
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add_explicit(&p->job, 1, memory_order_release);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

void sc_pool_free(sc_pool *p)
{
    if (!p) return;
    atomic_store(&p->stop, true);
    announce(p);
    for (int i = 1; i < p->member_count; i++) pthread_join(p->member[i].thread, NULL);
    pthread_mutex_destroy(&p->turn);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->passed);
    sc_free(p->member);
    sc_free(p);
}

int sc_pool_threads(const sc_pool *p) { return p->threads; }

void sc_pool_run(sc_pool *p, void (*fn)(void *arg, int member), void *arg)
{
    pthread_mutex_lock(&p->turn);
    if (p->threads > 1) {
        p->fn = fn;
        p->arg = arg;
        atomic_store_explicit(&p->active, p->threads - 1, memory_order_relaxed);
        announce(p);
    }
    fn(arg, 0);
    if (p->threads > 1) {
        for (int i = 0; i < SPINS && atomic_load_explicit(&p->active, memory_order_acquire); i++) RELAX();
        if (atomic_load_explicit(&p->active, memory_order_acquire)) {
            pthread_mutex_lock(&p->lock);
            while (atomic_load(&p->active)) pthread_cond_wait(&p->done, &p->lock);
            pthread_mutex_unlock(&p->lock);
        }
    }
    pthread_mutex_unlock(&p->turn);
}

void sc_pool_barrier(sc_pool *p)
{
    if (p->threads == 1) return;
    unsigned phase = atomic_load_explicit(&p->phase, memory_order_acquire);
    if (atomic_fetch_add_explicit(&p->arrived, 1, memory_order_acq_rel) == p->threads - 1) {
        atomic_store_explicit(&p->arrived, 0, memory_order_relaxed);
        atomic_store(&p->phase, phase + 1);
        if (atomic_load(&p->sleepers) > 0) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_broadcast(&p->passed);
            pthread_mutex_unlock(&p->lock);
        }
        return;
    }
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load_explicit(&p->phase, memory_order_acquire) != phase) return;
        RELAX();
    }
    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while (atomic_load(&p->phase) == phase) pthread_cond_wait(&p->passed, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

/* Cores that the cgroup's CPU quota allows, rounded up; 0 without a quota. */
static int cgroup_quota(void)
{
    long long quota, period;
    FILE *f = fopen("/sys/fs/cgroup/cpu.max", "re");
    int n = f ? fscanf(f, "%lld %lld", &quota, &period) : 0;
    if (f) fclose(f);
    if (n == 2 && period > 0) return (int)SC_MIN((quota + period - 1) / period, 256);
    return 0;
}

/* The first of the CPUs that are threads of this one's core. */
static int first_sibling(int cpu)
{
    char path[96];
    int first = cpu;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    FILE *f = fopen(path, "re");
    if (f && fscanf(f, "%d", &first) != 1) first = cpu;
    if (f) fclose(f);
    return first;
}

/* Of the CPUs in `set`, those that are the first of their core's siblings. */
static int physical_cores(const cpu_set_t *set)
{
    int cores = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, set)) continue;
        int first = first_sibling(cpu);
        if (first == cpu || !CPU_ISSET(first, set)) cores++;
    }
    return cores;
}

void sc_cpu_keep(int index, int of)
{
    cpu_set_t all, own;
    if (sched_getaffinity(0, sizeof all, &all) != 0) return;
    int cores = physical_cores(&all), each = SC_MAX(cores / of, 1), begin = index * each % SC_MAX(cores, 1),
        seen = 0;
    CPU_ZERO(&own);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all)) continue;
        int first = first_sibling(cpu);
        bool leads = first == cpu || !CPU_ISSET(first, &all);
        if (leads ? seen >= begin && seen < begin + each : CPU_ISSET(first, &own)) CPU_SET(cpu, &own);
        seen += leads;
    }
    if (CPU_COUNT(&own) > 0) sched_setaffinity(0, sizeof own, &own);
}

int sc_cpu_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? physical_cores(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    int quota = cgroup_quota();
    if (quota > 0) n = SC_MIN(n, quota);
    return SC_MAX(1, SC_MIN(n, 256));
}

double sc_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}
