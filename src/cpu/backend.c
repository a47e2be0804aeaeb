/* SPDX-License-Identifier: Apache-2.0 */
/* The executor. One pool job runs a whole plan: within a stage each member does its own run of tasks, so that it reads
 * weights from one end to the other, and then helps the others; between stages they meet at a barrier. Nothing is
 * allocated or looked up, but for the weights that the first run brings into the kernels' layout. */
#include "cpu/cpu.h"

#include <limits.h>

typedef struct cpu_backend {
    sc_backend base;
    sc_context *ctx;
    sc_kernels kernels;
    sc_cpu_own *own;
} cpu_backend;

typedef struct cpu_state {
    sc_portions portions;
    /* Of each member and stage, [member * stages + stage]: the first portion of the member's run that nobody took.
     * Between runs they are where that begins. */
    atomic_llong *next;
    bool bound; /* the steps have their weights in the kernels' layout */
    sc_buffer *scratch;
    int64_t scratch_stride;
    atomic_int status; /* the first fault of a run */
    /* The stage after whose barrier all leave; set by member 0 before that barrier. A stage number and not a flag:
     * member 0 may already be one stage further when a slow member looks. */
    atomic_int stop_after;
    char fault[512];
} cpu_state;

static const sc_cpu_op *const table[SC_OP_COUNT] = {
#define X(name) [SC_OP_##name] = &sc_cpu_##name,
#define V(name)
#include "ops/ops.def"
#undef X
#undef V
};

static const sc_op *lower(sc_backend *self, const sc_step *s, int i)
{
    const sc_cpu_op *op = table[s->op->id];
    return op && op->lower ? op->lower(s, &((cpu_backend *)self)->kernels, i) : NULL;
}

static sc_status prepare(sc_backend *self, sc_step *s, int64_t *scratch)
{
    const sc_cpu_op *op = table[s->op->id];
    const char *why = op ? op->refuse ? op->refuse(s) : NULL : "no kernel";
    if (why) return sc_fail(SC_EUNSUPPORTED, "%s: %s on %s", s->op->name, why, self->name);
    s->kernel = op;
    s->tasks = op->tasks(s);
    if (op->scratch) *scratch = SC_MAX(*scratch, op->scratch(s));
    return SC_OK;
}

static void plan_free(sc_backend *self, sc_plan *p)
{
    (void)self;
    cpu_state *st = p->backend_state;
    if (!st) return;
    sc_free(st->next);
    sc_portions_free(&st->portions);
    sc_buffer_unref(st->scratch);
    sc_free(st);
}

/* Where member m's run of a stage's portions begins; that of the next is its end. */
static int64_t run_begin(const cpu_state *st, int stage, int m, int threads)
{
    return st->portions.begin[(int64_t)stage * threads + m];
}

static sc_status plan_ready(sc_backend *self, sc_plan *p)
{
    cpu_backend *b = (cpu_backend *)self;
    cpu_state *st = p->backend_state = sc_calloc(1, sizeof *st);
    if (!st) return sc_nomem();
    int threads = sc_context_threads(b->ctx);
    st->next = sc_calloc((size_t)p->n_stages * (size_t)threads, sizeof *st->next);
    st->scratch_stride = (p->scratch_bytes + 127) & ~(int64_t)63; /* threads do not share cache lines */
    if (!st->next) return sc_nomem();
    sc_status s = sc_buffer_new(&st->scratch, st->scratch_stride * threads);
    if (!s) s = sc_portions_new(&st->portions, p, threads);
    if (s) return s;
    for (int m = 0; m < threads; m++)
        for (int i = 0; i < p->n_stages; i++)
            atomic_init(&st->next[(int64_t)m * p->n_stages + i], run_begin(st, i, m, threads));
    return SC_OK;
}

/* Keeps the first fault; its message is the failing thread's own. */
static void fault(cpu_state *st, sc_status s)
{
    int none = SC_OK;
    if (atomic_compare_exchange_strong(&st->status, &none, s))
        snprintf(st->fault, sizeof st->fault, "%s", sc_error());
}

static void run_portion(sc_plan *p, const sc_portion *x, int member, const sc_kernels *k, void *scratch)
{
    const sc_step *s = &p->step[x->step];
    double *spent = p->spent ? p->spent + (int64_t)member * p->n_steps + x->step : NULL;
    double begun = spent ? sc_now() : 0;
    sc_status status = ((const sc_cpu_op *)s->kernel)->run(s, k, x->from, x->to, scratch);
    if (spent) *spent += sc_now() - begun;
    if (status) fault(p->backend_state, status);
}

typedef struct job {
    cpu_backend *backend;
    sc_plan *plan;
} job;

/* The members' runs of a stage, one's own first. */
static void run_stage(sc_plan *p, int stage, int member, int threads, const sc_kernels *k, void *scratch)
{
    cpu_state *st = p->backend_state;
    for (int i = 0; i < threads; i++) {
        int whose = (member + i) % threads;
        int64_t end = run_begin(st, stage, whose + 1, threads);
        atomic_llong *next = &st->next[(int64_t)whose * p->n_stages + stage];
        while (atomic_load_explicit(next, memory_order_relaxed) < end) {
            int64_t x = atomic_fetch_add_explicit(next, 1, memory_order_relaxed);
            if (x < end) run_portion(p, &st->portions.portion[x], member, k, scratch);
        }
    }
}

static void work(void *arg, int member)
{
    const job *j = arg;
    sc_plan *p = j->plan;
    cpu_state *st = p->backend_state;
    sc_pool *pool = j->backend->ctx->pool;
    void *scratch = (char *)st->scratch->data + st->scratch_stride * member;
    int threads = sc_pool_threads(pool);
    for (int stage = 0; stage < p->n_stages; stage++) {
        run_stage(p, stage, member, threads, &j->backend->kernels, scratch);
        if (member == 0 &&
            (atomic_load_explicit(&st->status, memory_order_relaxed) || sc_context_cancelled(j->backend->ctx)))
            atomic_store_explicit(&st->stop_after, stage, memory_order_relaxed);
        sc_pool_barrier(pool);
        atomic_store_explicit(&st->next[(int64_t)member * p->n_stages + stage],
                              run_begin(st, stage, member, threads), memory_order_relaxed);
        if (atomic_load_explicit(&st->stop_after, memory_order_relaxed) <= stage) return;
        if (member == 0 && p->stage_done) p->stage_done(p->stage_user, stage);
    }
}

static sc_status run(sc_backend *self, sc_plan *p)
{
    cpu_backend *b = (cpu_backend *)self;
    cpu_state *st = p->backend_state;
    if (!st->bound) sc_cpu_own_bind(b->own, b->ctx, &b->kernels, p);
    st->bound = true;
    atomic_store(&st->status, SC_OK);
    atomic_store(&st->stop_after, INT_MAX);
    sc_pool_run(b->ctx->pool, work, &(job){b, p});
    sc_status s = (sc_status)atomic_load(&st->status);
    if (s) return sc_fail(s, "%s", st->fault);
    if (atomic_load(&st->stop_after) != INT_MAX) return sc_fail(SC_ECANCELLED, "stopped on request");
    return SC_OK;
}

static void backend_free(sc_backend *self)
{
    sc_cpu_own_free(((cpu_backend *)self)->own);
    sc_free(self);
}

sc_status sc_cpu_backend_new(sc_backend **out, sc_context *ctx, unsigned levels)
{
    cpu_backend *b = sc_calloc(1, sizeof *b);
    if (!b || !(b->own = sc_cpu_own_new())) {
        sc_free(b);
        return sc_nomem();
    }
    b->base = (sc_backend){.name = "cpu",
                           .lower = lower,
                           .prepare = prepare,
                           .plan_ready = plan_ready,
                           .plan_free = plan_free,
                           .run = run,
                           .free = backend_free};
    b->ctx = ctx;
    sc_kernels_init(&b->kernels, levels & sc_cpu_detect());
    b->base.bf16 = b->kernels.multiply_ordered_bf16 != NULL;
    *out = &b->base;
    return SC_OK;
}

sc_status sc_backend_new(sc_backend **out, sc_context *ctx) { return sc_cpu_backend_new(out, ctx, ~0u); }
