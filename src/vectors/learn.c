/* SPDX-License-Identifier: Apache-2.0 */
/* Training: units handed out, the learning rate, and threads that train without locks. */
#include "vectors/learn.h"

#include <math.h>

/* Examples that are made before they are trained on, so that the rows of the next ones are on their way from memory. */
enum { AHEAD = 2, MADE_AT_ONCE = 32, WORDS_AT_ONCE = 1000 };

/* ---- a lane ---- */

bool sc_lane_sentence(sc_lane *l, const sc_lexicon *x, const uint32_t *keep, bool line_ends)
{
    const char *word;
    int64_t len;
    bool any = false;
    l->n = l->at = 0;
    while (l->n < SC_SENTENCE && (word = sc_word_next(&l->p, l->end, &len))) {
        bool end = !len;
        any = true;
        if (end && line_ends) {
            word = SC_LINE_END;
            len = sizeof SC_LINE_END - 1;
        }
        if (len) {
            l->words++;
            int32_t id = len > SC_WORD_LONGEST ? -1 : sc_lexicon_find(x, word, len);
            if (id >= 0 && (!keep || (uint32_t)(sc_draw(&l->draw) >> 32) <= keep[id])) l->sentence[l->n++] = id;
        }
        if (end) break;
    }
    return any;
}

static sc_status begin_lane(sc_word_learner *a, sc_lane *l)
{
    l->sentence = sc_malloc(SC_SENTENCE * sizeof *l->sentence);
    if (!l->sentence) return sc_nomem();
    return a->source->begin ? a->source->begin(a->source->user, l) : SC_OK;
}

static void end_lane(sc_word_learner *a, sc_lane *l)
{
    if (a->source->end) a->source->end(a->source->user, l);
    sc_free(l->sentence);
    sc_free(l->example);
    sc_free(l->in);
    sc_free(l->out);
    sc_free(l->row);
    sc_free(l->g);
    sc_buffer_unref(l->vectors);
}

/* ---- what both ways share ---- */

void sc_word_learner_start_unit(sc_word_learner *a, sc_lane *l, int64_t unit)
{
    const struct sc_word_unit *u = &a->text->unit[unit % a->text->n_units];
    l->p = u->p;
    l->end = u->end;
    l->n = l->at = 0;
    l->draw = sc_draw_state(a->o->seed, 2, (uint64_t)unit);
    if (unit / a->text->n_units != l->epoch) l->loss = 0, l->n_loss = 0;
    l->epoch = unit / a->text->n_units;
}

float sc_word_learner_rate(const sc_word_learner *a, int64_t words)
{
    double all = (double)a->o->epochs * (double)a->o->words, part = all > 0 ? (double)words / all : 1;
    return (float)(a->o->rate + (a->o->last_rate - a->o->rate) * SC_MIN(part, 1));
}

bool sc_word_learner_pausing(sc_word_learner *a)
{
    if (atomic_load_explicit(&a->pause, memory_order_relaxed)) return true;
    if (!sc_context_cancelled(a->ctx) && !(a->save_at > 0 && sc_now() > a->save_at)) return false;
    atomic_store(&a->pause, true);
    return true;
}

void sc_word_learner_show(sc_word_learner *a)
{
    sc_progress(a->ctx, "training", atomic_load(&a->words), a->o->epochs * a->o->words);
}

/* ---- without locks ---- */

static void fetch(const float *row, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(row + i, 1, 3);
}

static void fetch_example(const sc_lane *l, const sc_tables *t, int64_t i)
{
    if (i >= l->n_example) return;
    const sc_example *x = &l->example[i];
    bool again = i > 0 && x[-1].out == x->out;
    for (int j = 0; j < x->n_out && !again; j++) fetch(t->out + (l->out[x->out + j] >> 1) * t->stride, t->stride);
    for (int j = 0; j < x->n_in; j++) fetch(t->in + l->in[x->in + j] * t->stride, t->stride);
}

SC_UNLOCKED static void train_example(sc_lane *l, const sc_tables *t, const sc_example *x, bool mean_gradient)
{
    const float *h = sc_lane_mean(l, t, x, l->h);
    for (int j = 0; j < x->n_out; j++) l->row[j] = t->out + (l->out[x->out + j] >> 1) * t->stride;
    sc_lane_gradients(l, t, x, h, l->row, l->g);
    t->k.pull(t->stride, h, l->row, x->n_out, l->g, l->e);
    float share = mean_gradient ? 1.0f / (float)x->n_in : 1.0f;
    for (int j = 0; j < x->n_in; j++) t->k.add(t->stride, share, l->e, t->in + l->in[x->in + j] * t->stride);
}

static void train_made(sc_word_learner *a, sc_lane *l)
{
    const sc_tables *t = a->t;
    if (l->oom || !sc_lane_room(l, t, 1)) {
        atomic_store(&a->oom, true);
        atomic_store(&a->pause, true);
        return;
    }
    l->rate = sc_word_learner_rate(a, atomic_fetch_add_explicit(&a->words, l->words, memory_order_relaxed));
    l->words = 0;
    for (int64_t i = 0; i < SC_MIN(l->n_example, AHEAD); i++) fetch_example(l, t, i);
    for (int64_t i = 0; i < l->n_example; i++) {
        fetch_example(l, t, i + AHEAD);
        train_example(l, t, &l->example[i], a->o->mean_gradient);
    }
    sc_lane_clear(l);
}

void sc_learn_unlocked(void *learner, int member)
{
    sc_word_learner *a = learner;
    sc_lane *l = &a->lane[member];
    while (!sc_word_learner_pausing(a)) {
        int64_t unit = atomic_fetch_add(&a->next, 1);
        if (unit >= a->units) break;
        sc_word_learner_start_unit(a, l, unit);
        for (bool more = true; more && !atomic_load_explicit(&a->oom, memory_order_relaxed);) {
            while (more && l->n_example < MADE_AT_ONCE && l->words < WORDS_AT_ONCE)
                more = a->source->next(a->source->user, l);
            train_made(a, l);
        }
        if (member == 0) sc_word_learner_show(a);
        if ((unit + 1) > a->units - a->text->n_units) sc_word_text_done(a->text, unit % a->text->n_units);
    }
}

/* ---- the whole of it ---- */

static sc_status check(const sc_learning *o, const sc_word_text *text)
{
    if (o->epochs < 1 || o->epochs > 1 << 20 || !text->n_units)
        return sc_fail(SC_EINVAL, "%lld epochs of %lld bytes of text", (long long)o->epochs,
                       (long long)text->bytes);
    if (!(o->rate > 0 && o->rate < 1e3) || !(o->last_rate >= 0 && o->last_rate <= o->rate))
        return sc_fail(SC_EINVAL, "a learning rate from %g to %g", o->rate, o->last_rate);
    return SC_OK;
}

sc_status sc_word_learner_pause(sc_word_learner *a)
{
    bool stopped = sc_context_cancelled(a->ctx);
    if (atomic_load(&a->next) >= a->units) return SC_OK;
    sc_status s = a->o->state ? sc_state_save(a) : SC_OK;
    if (s && stopped) return s;
    if (s) sc_log(a->ctx, SC_LOG_WARNING, "%s", sc_error()); /* no reason to end */
    return stopped ? sc_fail(SC_ECANCELLED, "stopped on request") : SC_OK;
}

static sc_status train(sc_word_learner *a)
{
    sc_status s = SC_OK;
    while (!s && atomic_load(&a->next) < a->units) {
        atomic_store(&a->pause, false);
        a->save_at = a->o->state && a->o->save_every > 0 ? sc_now() + a->o->save_every : 0;
        if (a->o->deterministic)
            sc_learn_in_rounds(a);
        else
            sc_pool_run(a->ctx->pool, sc_learn_unlocked, a);
        s = atomic_load(&a->oom) ? sc_nomem() : sc_word_learner_pause(a);
    }
    return s;
}

sc_status sc_learn(sc_tables *t, sc_context *ctx, const sc_word_text *text, const sc_source *source,
                   const sc_learning *o, sc_learned *report)
{
    sc_word_learner a = {.t = t,
                         .ctx = ctx,
                         .text = text,
                         .source = source,
                         .o = o,
                         .units = o->epochs * text->n_units,
                         .lanes = o->deterministic ? SC_LANES : sc_context_threads(ctx)};
    double from = sc_now(), loss = 0;
    int64_t looked = 0, before;
    sc_status s = check(o, text);
    if (s) return s;
    if (!(a.lane = sc_calloc((size_t)a.lanes, sizeof *a.lane))) return sc_nomem();
    for (int i = 0; !s && i < a.lanes; i++) s = begin_lane(&a, &a.lane[i]);
    sc_learned r = {0};
    if (!s && o->state) s = sc_state_load(&a, &r.resumed);
    before = atomic_load(&a.words);
    if (!s) s = train(&a);
    for (int i = 0; i < a.lanes; i++) {
        loss += a.lane[i].loss;
        looked += a.lane[i].n_loss;
        end_lane(&a, &a.lane[i]);
    }
    sc_free(a.lane);
    r.seconds = sc_now() - from;
    r.words = atomic_load(&a.words) - before;
    r.loss = looked ? loss / (double)looked : 0;
    if (!s) *report = r;
    return s;
}
