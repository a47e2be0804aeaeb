/* SPDX-License-Identifier: Apache-2.0 */
#include "train/team.h"

#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

sc_status sc_team_open(sc_team *t, sc_context *ctx)
{
    t->user = ctx;
    t->work.options = ctx->options;
    t->work.pool = ctx->pool;
    atomic_init(&t->work.cancelled, false);
    t->parts = 1;
    sc_status s = sc_ranks_new(&t->ranks, ctx, &t->work);
    if (!s && !sc_team_first(t)) t->work.options.progress = NULL, t->work.options.log = NULL;
    return s;
}

/* Where MPI could not begin, the environment says who is first. */
static bool speaks(const sc_team *t)
{
    sc_rank_place place;
    return t->ranks ? sc_ranks_speaks(t->ranks) : !sc_rank_place_read(&place) || place.rank == 0;
}

sc_status sc_team_close(sc_team *t, sc_status s)
{
    if (s && t->ranks && !t->agreed && !sc_ranks_broken(t->ranks)) s = sc_ranks_abort(t->ranks, s);
    bool silent = s && !speaks(t);
    sc_anchor_free(t->anchor);
    sc_shards_free(t->shards);
    sc_ranks_free(t->ranks);
    return silent ? sc_fail(s, "%s", "") : s;
}

bool sc_team_stops(const sc_team *t) { return sc_team_alone(t) ? sc_context_cancelled(t->user) : t->stop; }

sc_status sc_team_agree(sc_team *t, sc_status s)
{
    if (sc_team_alone(t)) return s;
    s = sc_ranks_agree(t->ranks, s);
    t->agreed = s != SC_OK && !sc_ranks_broken(t->ranks);
    return s;
}

/* ---- the same on all ranks ---- */

sc_status sc_team_divide(sc_team *t, int64_t batch, int64_t accumulate, int64_t *rows)
{
    int64_t count = sc_ranks_count(t->ranks);
    t->parts = accumulate % count == 0 ? 1 : count;
    t->accumulate = accumulate;
    t->batches = accumulate * t->parts / count;
    *rows = batch / t->parts;
    if (batch % t->parts == 0) return SC_OK;
    return sc_fail(SC_EINVAL, "neither %lld batches nor a batch of %lld can be divided evenly over %lld ranks",
                   (long long)accumulate, (long long)batch, (long long)count);
}

static sc_status hash_json(const json_t *o, uint64_t *out)
{
    char *text = json_dumps(o, JSON_SORT_KEYS | JSON_COMPACT);
    if (!text) return sc_nomem();
    *out = sc_hash(text, (int64_t)strlen(text));
    sc_free(text);
    return SC_OK;
}

sc_status sc_team_compare(sc_team *t, const json_t *options, const json_t *data)
{
    if (sc_team_alone(t)) return SC_OK;
    enum { THINGS = 3 };
    static const char *const things[THINGS] = {"socle", "data", "options"};
    uint64_t own[THINGS] = {sc_hash(sc_version(), (int64_t)strlen(sc_version()))};
    int count = sc_ranks_count(t->ranks);
    uint64_t *all = sc_calloc((size_t)count, sizeof own);
    sc_status s = all ? hash_json(data, &own[1]) : sc_nomem();
    if (!s) s = hash_json(options, &own[2]);
    s = sc_team_agree(t, s);
    if (!s) s = sc_ranks_collect(t->ranks, own, sizeof own, all);
    for (int q = 1; !s && q < count; q++)
        for (int k = 0; !s && k < THINGS; k++)
            if (all[THINGS * q + k] != all[k])
                s = sc_fail(SC_EINVAL, "rank %d has other %s than rank 0", q, things[k]);
    t->agreed = s != SC_OK; /* all see the same */
    sc_free(all);
    return s;
}

sc_status sc_team_tell(sc_team *t, json_t **o)
{
    if (sc_team_alone(t)) return SC_OK;
    char *text = *o && sc_team_first(t) ? json_dumps(*o, JSON_COMPACT) : NULL;
    sc_status s = sc_team_agree(t, *o && sc_team_first(t) && !text ? sc_nomem() : SC_OK);
    if (!s) s = sc_ranks_tell(t->ranks, &text);
    if (!s && !sc_team_first(t)) {
        json_decref(*o);
        *o = NULL;
        if (*text) s = sc_json_parse(o, text, (int64_t)strlen(text), "rank 0's state");
    }
    sc_free(text);
    return s;
}

sc_status sc_team_ask(sc_team *t, bool *yes)
{
    double x = sc_team_first(t) && *yes;
    sc_status s = sc_ranks_sum(t->ranks, &x, 1);
    *yes = x > 0;
    return s;
}

sc_status sc_team_own(sc_team *t, const sc_trained *p, int64_t n, sc_optimizer_kind kind)
{
    if (sc_team_alone(t)) return SC_OK;
    sc_status s = sc_team_agree(t, sc_shards_new(&t->shards, t->ranks, p, n, kind));
    return s ? s : sc_shards_spread(t->shards);
}

const sc_trained *sc_team_trained(const sc_team *t, const sc_trained *all)
{
    return t->shards ? sc_shards_trained(t->shards) : all;
}

/* ---- a step ---- */

/* How much a part of a batch counts: as its labels in those of the batch. */
static sc_status weigh(sc_team *t, const sc_text_batch *b, double *scale)
{
    double all = (double)b->counted;
    *scale = 1 / (double)t->accumulate;
    if (t->parts == 1) return SC_OK;
    sc_status s = sc_ranks_sum(t->ranks, &all, 1);
    *scale *= all > 0 ? (double)b->counted / all : 1 / (double)t->parts;
    return s;
}

static sc_status add(sc_team *t, sc_learner *l, const sc_text_batch *b, bool last, double *loss)
{
    double scale;
    sc_status s = weigh(t, b, &scale);
    if (s || !t->shards || !last) return s ? s : sc_learner_add(l, b, scale, loss);
    if (!t->ordered) {
        int64_t n, *order;
        sc_learner_trained(l, &n);
        if (!(order = sc_calloc((size_t)SC_MAX(n, 1), sizeof *order))) return sc_nomem();
        s = sc_learner_order(l, b, order);
        if (!s) s = sc_shards_order(t->shards, order);
        sc_free(order);
        if (s) return s;
        t->ordered = true;
    }
    sc_shards_begin(t->shards);
    return sc_learner_add_last(l, b, scale, sc_shards_final, t->shards, loss);
}

sc_status sc_team_gradients(sc_team *t, sc_learner *l, const sc_task *task, int64_t step, const int64_t *count,
                            int64_t n, sc_team_step *out)
{
    int64_t ranks = sc_ranks_count(t->ranks), rank = sc_ranks_rank(t->ranks);
    *out = (sc_team_step){0};
    sc_ranks_take_time(t->ranks); /* of what was between steps */
    sc_learner_clear(l);
    for (int64_t a = 0; a < t->batches; a++) {
        double loss;
        sc_text_batch b;
        int64_t index = step * t->accumulate * t->parts + a * ranks + rank;
        sc_status s = sc_task_batch(task, index, &b);
        b.index = index;
        if (!s) s = add(t, l, &b, a == t->batches - 1, &loss);
        if (s) return sc_ranks_broken(t->ranks) ? sc_ranks_wait(t->ranks) : s;
        out->loss += loss;
        out->words += (double)b.words;
    }
    const char *names[SC_MORE];
    memcpy(out->metric, sc_learner_metrics(l, names), sizeof out->metric);
    if (!t->shards) {
        out->grad = sc_learner_gradients(l);
        if (t->anchor) out->penalty = sc_anchor_pull(t->anchor, &t->work, out->grad);
        out->norm = sc_gradient_norm(&t->work, out->grad, count, n);
        return SC_OK;
    }
    sc_status s = sc_shards_gradients(t->shards, &out->grad, &count);
    if (s) return s;
    if (t->anchor) out->penalty = sc_anchor_pull(t->anchor, &t->work, out->grad);
    double norm = sc_gradient_norm(&t->work, out->grad, count, n);
    double sum[5 + SC_MORE] = {out->loss, norm * norm, out->words, sc_context_cancelled(t->user), out->penalty};
    memcpy(sum + 5, out->metric, sizeof out->metric);
    s = sc_ranks_sum(t->ranks, sum, SC_COUNT(sum));
    memcpy(out->metric, sum + 5, sizeof out->metric);
    out->penalty = sum[4];
    out->loss = sum[0];
    out->norm = sqrt(sum[1]);
    out->words = sum[2];
    t->stop = sum[3] > 0;
    return s;
}

sc_status sc_team_share(sc_team *t, double began)
{
    if (!t->shards) return SC_OK;
    sc_status s = sc_shards_share(t->shards);
    sc_ranks_time time = sc_ranks_take_time(t->ranks);
    t->busy += time.busy;
    t->waited += time.waited;
    t->seconds += sc_now() - began;
    return s;
}

sc_status sc_team_measure(sc_team *t, sc_measure *sum)
{
    return sc_ranks_sum(t->ranks, (double *)(void *)sum, (int)(sizeof *sum / sizeof(double)));
}

/* ---- what the command asks ---- */

int sc_train_rank(void)
{
    sc_rank_place p;
    return sc_rank_place_read(&p) ? p.rank : 0;
}

int sc_train_ranks(void)
{
    sc_rank_place p;
    return sc_rank_place_read(&p) ? p.count : 1;
}

/* How many of the processes on this machine have to share the CPUs that mpirun bound this one to. */
static int sharers(const sc_rank_place *p)
{
    cpu_set_t own, all;
    if (sched_getaffinity(0, sizeof own, &own) || sched_getaffinity(getppid(), sizeof all, &all)) return 1;
    return SC_MAX(p->local_count * CPU_COUNT(&own) / SC_MAX(CPU_COUNT(&all), 1), 1);
}

int sc_train_share_cores(void)
{
    sc_rank_place p;
    int cores = sc_cpu_cores();
    const char *bound = getenv("OMPI_MCA_orte_bound_at_launch");
    if (!sc_rank_place_read(&p) || p.local_count < 2) return 0;
    if (bound && strcmp(bound, "1") == 0) return SC_MAX(cores / sharers(&p), 1);
    sc_cpu_keep(p.local_rank, p.local_count);
    return SC_MAX(cores / p.local_count, 1);
}
