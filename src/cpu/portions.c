/* SPDX-License-Identifier: Apache-2.0 */
/* How the tasks of a plan are handed out. Each thread has a run of every step of a stage, the steps of the dearest tasks
 * first, so that what is left at the end of a stage is cheap and can be shared evenly. A run is cut into portions, which
 * grow smaller towards its end. Where they are cut changes no value. */
#include "cpu/cpu.h"

#include <stdlib.h>

/* A portion is worth some twenty microseconds at least: beginning another in the middle of a matrix costs the prefetches of
 * its neighbour. */
#define LEAST 2e6
enum { LEFT = 4 }; /* of what a run has left, a portion is this part */

/* What steps cost, in floating-point operations at the rate of a product; a byte takes as long as some of them. */
typedef struct priced {
    int step;
    double task;
} priced;

static double price(const sc_step *s)
{
    sc_cost c = s->op->cost(s);
    return (c.flops + 5 * c.bytes) / (double)SC_MAX(s->tasks, 1);
}

static int dearest_first(const void *a, const void *b)
{
    const priced *x = a, *y = b;
    return x->task > y->task ? -1 : x->task < y->task ? 1 : x->step - y->step;
}

/* Where each member's part of a step's tasks ends. What cannot be divided goes to those with the least so far. */
static void divide(int64_t tasks, double task, int threads, double *given, int64_t *end)
{
    int64_t each = tasks / threads, rest = tasks % threads;
    for (int m = 0; m < threads; m++) end[m] = each;
    for (; rest > 0; rest--) {
        int least = 0;
        for (int m = 1; m < threads; m++)
            if (given[m] + (double)end[m] * task < given[least] + (double)end[least] * task) least = m;
        end[least]++;
    }
    for (int m = 0; m < threads; m++) given[m] += (double)end[m] * task;
    for (int m = 1; m < threads; m++) end[m] += end[m - 1];
}

static bool put(sc_portions *p, sc_portion x)
{
    if (p->n == p->room) {
        int64_t room = SC_MAX(2 * p->room, 256);
        sc_portion *more = sc_realloc(p->portion, (size_t)room * sizeof *more);
        if (!more) return false;
        p->portion = more;
        p->room = room;
    }
    p->portion[p->n++] = x;
    return true;
}

/* One member's tasks of one step; *left is what its run still has. */
static bool cut(sc_portions *p, const priced *s, int64_t from, int64_t end, double *left)
{
    while (from < end) {
        double most = SC_MAX(*left / LEFT, LEAST);
        int64_t take = s->task * (double)(end - from) <= most ? end - from : SC_MAX((int64_t)(most / s->task), 1);
        if (!put(p, (sc_portion){s->step, from, from + take})) return false;
        *left -= s->task * (double)take;
        from += take;
    }
    return true;
}

static bool cut_stage(sc_portions *p, const sc_plan *plan, int stage, int threads, priced *step, int64_t *end,
                      double *given)
{
    int n = 0;
    for (int i = plan->stage_begin[stage]; i < plan->stage_begin[stage + 1]; i++)
        step[n++] = (priced){i, price(&plan->step[i])};
    qsort(step, (size_t)n, sizeof *step, dearest_first);
    memset(given, 0, (size_t)threads * sizeof *given);
    for (int i = 0; i < n; i++)
        divide(plan->step[step[i].step].tasks, step[i].task, threads, given, end + (int64_t)i * threads);
    for (int m = 0; m < threads; m++) {
        p->begin[(int64_t)stage * threads + m] = p->n;
        for (int i = 0; i < n; i++) {
            const int64_t *of = end + (int64_t)i * threads;
            if (!cut(p, &step[i], m ? of[m - 1] : 0, of[m], &given[m])) return false;
        }
    }
    return true;
}

sc_status sc_portions_new(sc_portions *p, const sc_plan *plan, int threads)
{
    int most = 0;
    for (int i = 0; i < plan->n_stages; i++) most = SC_MAX(most, plan->stage_begin[i + 1] - plan->stage_begin[i]);
    p->begin = sc_calloc((size_t)plan->n_stages * (size_t)threads + 1, sizeof *p->begin);
    priced *step = sc_calloc((size_t)most, sizeof *step);
    int64_t *end = sc_calloc((size_t)most * (size_t)threads, sizeof *end);
    double *given = sc_calloc((size_t)threads, sizeof *given);
    bool ok = p->begin && step && end && given;
    for (int i = 0; ok && i < plan->n_stages; i++) ok = cut_stage(p, plan, i, threads, step, end, given);
    if (ok) p->begin[(int64_t)plan->n_stages * threads] = p->n;
    sc_free(step);
    sc_free(end);
    sc_free(given);
    return ok ? SC_OK : sc_nomem();
}

void sc_portions_free(sc_portions *p)
{
    sc_free(p->portion);
    sc_free(p->begin);
}
