/* SPDX-License-Identifier: Apache-2.0 */
/* Training to the same bits for any number of threads. Units go in groups of one a lane. In a round each lane that has text left makes
 * a few examples, and
 *  1. every lane's gradients are taken: nothing in the tables changes;
 *  2. every row is changed, by the one thread that it falls to, by the examples in order of lanes.
 * Each example keeps its h and e until then, as what they were computed from changes. */
#include "vectors/learn.h"

enum { ROUND = 512, SHOW_EVERY = 256 };

typedef struct rounds {
    sc_word_learner *a;
    int members, quota; /* examples a lane and round */
    bool more[SC_LANES];
    int64_t group, done; /* the unit of its first lane; rounds */
    bool over;
} rounds;

static void make_examples(rounds *r, int lane)
{
    sc_word_learner *a = r->a;
    sc_lane *l = &a->lane[lane];
    sc_lane_clear(l);
    while (r->more[lane] && l->n_example < r->quota) r->more[lane] = a->source->next(a->source->user, l);
    if (l->oom || !sc_lane_room(l, a->t, l->n_example)) {
        l->oom = true;
        return;
    }
    float *g = l->g;
    for (int64_t i = 0; i < l->n_example; g += l->example[i++].n_out) {
        const sc_example *x = &l->example[i];
        float *h = l->h + i * a->t->stride;
        const float *mean = sc_lane_mean(l, a->t, x, h);
        if (mean != h) memcpy(h, mean, sizeof *h * (size_t)a->t->stride);
        for (int j = 0; j < x->n_out; j++) l->row[j] = a->t->out + (l->out[x->out + j] >> 1) * a->t->stride;
        sc_lane_gradients(l, a->t, x, h, l->row, g);
        a->t->k.weigh(a->t->stride, l->row, x->n_out, g, l->e + i * a->t->stride);
    }
}

static void change_rows(const rounds *r, uint32_t member)
{
    const sc_word_learner *a = r->a;
    const sc_tables *t = a->t;
    uint32_t members = (uint32_t)r->members;
    for (int lane = 0; lane < SC_LANES; lane++) {
        const sc_lane *l = &a->lane[lane];
        const float *g = l->g;
        for (int64_t i = 0; i < l->n_example; g += l->example[i++].n_out) {
            const sc_example *x = &l->example[i];
            const float *h = l->h + i * t->stride, *e = l->e + i * t->stride;
            float share = a->o->mean_gradient ? 1.0f / (float)x->n_in : 1.0f;
            for (int j = 0; j < x->n_out; j++) {
                uint32_t row = l->out[x->out + j] >> 1;
                if (row % members == member) t->k.add(t->stride, g[j], h, t->out + row * t->stride);
            }
            for (int j = x->in; j < x->in + x->n_in; j++)
                if ((uint32_t)l->in[j] % members == member)
                    t->k.add(t->stride, share, e, t->in + l->in[j] * t->stride);
        }
    }
}

/* On one thread: what the next round begins with. */
static void next_round(rounds *r)
{
    sc_word_learner *a = r->a;
    bool any = false;
    int64_t words = 0;
    for (int i = 0; i < SC_LANES; i++) {
        words += a->lane[i].words;
        a->lane[i].words = 0;
        any |= r->more[i];
        if (a->lane[i].oom) atomic_store(&a->oom, true);
    }
    words += atomic_fetch_add(&a->words, words);
    if (!any) {
        atomic_store(&a->next, SC_MIN(r->group + SC_LANES, a->units));
        r->group = atomic_load(&a->next);
        r->over = r->group >= a->units || sc_word_learner_pausing(a);
        for (int i = 0; i < SC_LANES && !r->over; i++) {
            r->more[i] = r->group + i < a->units;
            if (r->more[i]) sc_word_learner_start_unit(a, &a->lane[i], r->group + i);
        }
    }
    if (!any || ++r->done % SHOW_EVERY == 0) sc_word_learner_show(a);
    for (int i = 0; i < SC_LANES; i++) a->lane[i].rate = sc_word_learner_rate(a, words);
    if (atomic_load(&a->oom)) r->over = true;
}

static void work(void *arg, int member)
{
    rounds *r = arg;
    while (!r->over) {
        for (int lane = member; lane < SC_LANES; lane += r->members) make_examples(r, lane);
        sc_pool_barrier(r->a->ctx->pool);
        change_rows(r, (uint32_t)member);
        sc_pool_barrier(r->a->ctx->pool);
        if (member == 0) next_round(r);
        sc_pool_barrier(r->a->ctx->pool);
    }
}

void sc_learn_in_rounds(sc_word_learner *a)
{
    int64_t round = a->o->round ? a->o->round : ROUND;
    rounds r = {.a = a, .members = sc_context_threads(a->ctx), .group = atomic_load(&a->next)};
    r.quota = (int)SC_MAX(round / SC_LANES, 1);
    for (int i = 0; i < SC_LANES; i++) {
        sc_lane_clear(&a->lane[i]);
        r.more[i] = r.group + i < a->units;
        if (r.more[i]) sc_word_learner_start_unit(a, &a->lane[i], r.group + i);
        a->lane[i].rate = sc_word_learner_rate(a, atomic_load(&a->words));
    }
    sc_pool_run(a->ctx->pool, work, &r);
}
