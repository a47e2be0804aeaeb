/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/tune.h"

/* Answers at the same time, and bytes of their keys and values, at most. */
enum { MOST_AT_ONCE = 64, PAGE = 32 };
#define MOST_BYTES ((int64_t)2 << 30)

/* One answer being made. */
typedef struct slot {
    sc_sampler *sampler;
    int32_t *ids; /* (max_tokens) */
    int64_t n;
    bool done, ended;
} slot;

struct sc_roller {
    sc_context *ctx;
    const sc_model *m;
    sc_roller_options o;
    sc_session *session;
    int slots;
    slot *slot;
    int *seq;
    int32_t *next;
};

void sc_rollouts_free(sc_rollouts *r)
{
    sc_free(r->start);
    sc_free(r->ids);
    sc_free(r->ended);
    *r = (sc_rollouts){0};
}

void sc_roller_free(sc_roller *r)
{
    if (!r) return;
    for (int i = 0; r->slot && i < r->slots; i++) {
        sc_sampler_free(r->slot[i].sampler);
        sc_free(r->slot[i].ids);
    }
    sc_free(r->slot);
    sc_free(r->seq);
    sc_free(r->next);
    sc_session_free(r->session);
    sc_free(r);
}

/* As many at once as fit some memory: what comes out does not depend on it. */
static int slots_for(const sc_model *m, const sc_roller_options *o, int64_t length)
{
    const sc_model_info *i = &m->info;
    int64_t each =
        length * SC_MAX(i->layers, 1) * SC_MAX(i->kv_heads * i->head_dim, 1) * 2 * (int64_t)sizeof(float);
    int64_t most = o->most ? o->most : MOST_AT_ONCE;
    return (int)SC_MAX(SC_MIN(most, MOST_BYTES / SC_MAX(each, 1)), 1);
}

sc_status sc_roller_new(sc_roller **out, sc_context *ctx, const sc_model *m, const sc_roller_options *o)
{
    int64_t length = (o->longest + o->max_tokens + PAGE - 1) / PAGE * PAGE;
    sc_roller *r = sc_calloc(1, sizeof *r);
    if (!r) return sc_nomem();
    r->ctx = ctx;
    r->m = m;
    r->o = *o;
    r->slots = slots_for(m, o, length);
    sc_session_options x = {.context = length * r->slots, .sequences = r->slots};
    sc_status s = sc_session_new(&r->session, m, &x);
    if (!s && (!(r->slot = sc_calloc((size_t)r->slots, sizeof *r->slot)) ||
               !(r->seq = sc_calloc((size_t)r->slots, sizeof *r->seq)) ||
               !(r->next = sc_calloc((size_t)r->slots, sizeof *r->next))))
        s = sc_nomem();
    for (int i = 0; !s && i < r->slots; i++)
        if (!(r->slot[i].ids = sc_malloc(sizeof(int32_t) * (size_t)o->max_tokens))) s = sc_nomem();
    if (s)
        sc_roller_free(r);
    else
        *out = r;
    return s;
}

static sc_status make_sampler(sc_roller *r, slot *x, uint64_t stream, bool greedy)
{
    sc_sampling how = SC_SAMPLING_INIT;
    how.do_sample = !greedy;
    how.temperature = r->o.temperature;
    how.top_k = 0;
    how.seed = r->o.seed;
    how.stream = stream;
    sc_sampler_free(x->sampler);
    x->sampler = NULL;
    x->n = 0;
    x->done = x->ended = false;
    return sc_sampler_new(&x->sampler, &how, r->m->info.vocab);
}

static sc_status choose(sc_roller *r, slot *x, const float *logits)
{
    int32_t id;
    sc_status s = sc_sampler_sample(x->sampler, logits, &id, NULL);
    if (s) return s;
    x->ids[x->n++] = id;
    for (int64_t i = 0; i < r->o.n_eos; i++) x->ended |= id == r->o.eos[i];
    x->done = x->ended || x->n == r->o.max_tokens;
    return SC_OK;
}

/* The prompt of slots first .. end, evaluated once; the first id of each. */
static sc_status begin(sc_roller *r, const sc_rl_prompt *p, int first, int end)
{
    const float *logits;
    sc_status s = sc_session_trim(r->session, first, 0);
    if (!s) s = sc_session_eval(r->session, first, p->ids, p->n, &logits);
    for (int i = first; !s && i < end; i++) s = choose(r, &r->slot[i], logits);
    for (int i = first + 1; !s && i < end; i++) s = sc_session_fork(r->session, first, i);
    return s;
}

/* Few sizes of steps, so that few plans do: 1, 2, 3, 4, 6, 8, 12, 16, … */
static int padded(int n, int most)
{
    int size = 1;
    while (size < n) size = size < 2 ? 2 : size % 3 == 0 ? size / 3 * 4 : size / 2 * 3;
    return SC_MIN(size, most);
}

/* One id more for each that is not done. The places that are left are filled with answers that are done, which take a step that
 * is taken back. */
static sc_status step(sc_roller *r, int used, int live)
{
    const float *logits;
    int n = 0, size = padded(live, used);
    int64_t vocab = r->m->info.vocab;
    for (int i = 0; i < used; i++)
        if (!r->slot[i].done) r->seq[n++] = i;
    for (int i = 0; n < size && i < used; i++)
        if (r->slot[i].done) r->seq[n++] = i;
    for (int i = 0; i < n; i++) {
        const slot *x = &r->slot[r->seq[i]];
        r->next[i] = x->ids[x->n - 1];
    }
    sc_status s = sc_session_step(r->session, r->seq, r->next, n, &logits);
    for (int i = 0; !s && i < live; i++) s = choose(r, &r->slot[r->seq[i]], logits + i * vocab);
    for (int i = live; !s && i < n; i++)
        s = sc_session_trim(r->session, r->seq[i], sc_session_length(r->session, r->seq[i]) - 1);
    return s;
}

static sc_status keep(sc_roller *r, int used, sc_rollouts *out)
{
    for (int i = 0; i < used; i++) {
        const slot *x = &r->slot[i];
        int64_t at = out->n ? out->start[out->n] : 0;
        if (!sc_grow(&out->start, &out->cap_start, out->n + 2, sizeof *out->start) ||
            !sc_grow(&out->ended, &out->cap_ended, out->n + 1, sizeof *out->ended) ||
            !sc_grow(&out->ids, &out->cap_ids, at + x->n, sizeof *out->ids))
            return sc_nomem();
        memcpy(out->ids + at, x->ids, sizeof *x->ids * (size_t)x->n);
        out->start[out->n] = at;
        out->ended[out->n++] = x->ended;
        out->start[out->n] = at + x->n;
    }
    return SC_OK;
}

static int count_live(const sc_roller *r, int used)
{
    int live = 0;
    for (int i = 0; i < used; i++) live += !r->slot[i].done;
    return live;
}

sc_status sc_roller_run(sc_roller *r, const sc_rl_prompt *const *prompt, int64_t n, int64_t group, uint64_t first,
                        bool greedy, sc_rollouts *out)
{
    int64_t all = n * group, wave = r->slots >= group ? r->slots / group * group : r->slots;
    sc_status s = SC_OK;
    out->n = 0;
    for (int64_t at = 0; !s && at < all; at += wave) {
        int used = (int)SC_MIN(wave, all - at), live;
        for (int i = 0; !s && i < used; i++) s = make_sampler(r, &r->slot[i], first + (uint64_t)(at + i), greedy);
        for (int i = 0; !s && i < used;) {
            int64_t which = (at + i) / group, end = SC_MIN((which + 1) * group - at, used);
            s = begin(r, prompt[which], i, (int)end);
            i = (int)end;
        }
        while (!s && (live = count_live(r, used))) {
            if (sc_context_cancelled(r->ctx)) return sc_fail(SC_ECANCELLED, "cancelled");
            s = step(r, used, live);
        }
        if (!s) s = keep(r, used, out);
        sc_progress(r->ctx, "answers", at + used, all);
    }
    return s;
}
