/* SPDX-License-Identifier: Apache-2.0 */
/* GloVe (Pennington, Socher and Manning 2014, "GloVe: Global Vectors for Word Representation"): w . c + b + b' = log x for each pair of
 * a word and a context that was counted x times, by least squares, weighted, with AdaGrad (Duchi et al. 2011).
 *
 * A row is a vector, its bias and a 1, or a 1 and the bias, and behind them AdaGrad's sums of squares for each of those: so one product
 * has both biases in it. The sum of the 1 is infinite, so that it stays what it is. */
#include "vectors/cooccur.h"
#include "vectors/learn.h"

#include <math.h>

enum { MULTIPLE = 16, AHEAD = 4 };

typedef struct glove {
    sc_word_learner a; /* its next unit is a set of blocks without common rows */
    const sc_pairs *p;
    int64_t n;           /* floats of half a row */
    int order[SC_PARTS]; /* of the sets, in this epoch */
    atomic_int block;
    int set; /* under way */
    struct glove_loss {
        double sum[SC_PARTS];
    } loss;
    bool over;
} glove;

static void first_values(const glove *g, const sc_vectors_training *o, float *row, uint64_t stream, int64_t n,
                         bool word)
{
    for (int64_t i = 0; i < n; i++, row += 2 * g->n) {
        uint64_t draw = sc_draw_state(o->seed, stream, (uint64_t)i);
        memset(row, 0, sizeof *row * (size_t)g->n);
        for (int64_t k = 0; k < o->width; k++)
            row[k] = ((float)(sc_draw(&draw) >> 40) * 0x1p-24f - 0.5f) / (float)o->width;
        for (int64_t k = 0; k < g->n; k++) row[g->n + k] = 1;
        int64_t one = o->width + word;
        row[one] = 1;
        row[g->n + one] = INFINITY;
    }
}

static void fetch(const float *row, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) __builtin_prefetch(row + i, 1, 3);
}

static double learn_block(const glove *g, int row_part, int column_part, float rate)
{
    const sc_tables *t = g->a.t;
    int block = row_part * SC_PARTS + column_part;
    const sc_pair *x = g->p->pair + g->p->block[block], *end = g->p->pair + g->p->block[block + 1];
    double loss = 0;
    for (; x < end; x++) {
        if (x + AHEAD < end) {
            fetch(t->in + x[AHEAD].row * t->stride, t->stride);
            fetch(t->out + x[AHEAD].column * t->stride, t->stride);
        }
        float *w = t->in + x->row * t->stride, *c = t->out + x->column * t->stride, product;
        t->k.dots(g->n, w, &c, 1, &product);
        float off = product - x->log_count, pull = x->weight * off;
        if (!isfinite(pull)) continue;
        loss += 0.5 * (double)pull * off;
        t->k.adagrad(g->n, rate * pull, w, c, w + g->n, c + g->n);
    }
    return loss;
}

/* On one thread, between sets. */
static void next_set(glove *g)
{
    sc_word_learner *a = &g->a;
    int64_t next = atomic_load(&a->next);
    g->over = next >= a->units || sc_word_learner_pausing(a);
    if (g->over) return;
    uint64_t draw = sc_draw_state(a->o->seed, 5, (uint64_t)(next / SC_PARTS));
    for (int i = 0; i < SC_PARTS; i++) g->order[i] = i;
    for (int i = SC_PARTS - 1; i > 0; i--) {
        int j = (int)sc_draw_below(&draw, (uint32_t)i + 1), swap = g->order[i];
        g->order[i] = g->order[j];
        g->order[j] = swap;
    }
    g->set = g->order[next % SC_PARTS];
    if (next % SC_PARTS == 0) g->loss = (struct glove_loss){{0}};
    atomic_store(&g->block, 0);
}

static void work(void *arg, int member)
{
    glove *g = arg;
    sc_word_learner *a = &g->a;
    while (!g->over) {
        for (int r; (r = atomic_fetch_add(&g->block, 1)) < SC_PARTS;)
            g->loss.sum[r] += learn_block(g, r, (r + g->set) % SC_PARTS, (float)a->o->rate);
        sc_pool_barrier(a->ctx->pool);
        if (member == 0) {
            int64_t done = atomic_fetch_add(&a->next, 1) + 1;
            sc_progress(a->ctx, "training", done, a->units);
            next_set(g);
        }
        sc_pool_barrier(a->ctx->pool);
    }
}

static sc_status learn(glove *g)
{
    sc_word_learner *a = &g->a;
    sc_status s = SC_OK;
    while (!s && atomic_load(&a->next) < a->units) {
        atomic_store(&a->pause, false);
        a->save_at = a->o->save_every > 0 ? sc_now() + a->o->save_every : 0;
        next_set(g);
        if (!g->over) sc_pool_run(a->ctx->pool, work, g);
        s = sc_word_learner_pause(a);
    }
    return s;
}

/* The words' vectors are the sums of both tables, or both apart. */
static void result(const glove *g, const sc_vectors_training *o, int64_t n, sc_vectors_result *r)
{
    sc_tables *t = g->a.t;
    for (int64_t i = 0; i < n && !o->out_contexts; i++)
        for (int64_t k = 0; k < o->width; k++) t->in[i * t->stride + k] += t->out[i * t->stride + k];
    *r = (sc_vectors_result){.held = {sc_buffer_ref(t->held[0]), sc_buffer_ref(t->held[1])},
                             .row = t->in,
                             .context = t->out,
                             .stride = t->stride};
}

sc_status sc_glove_train(sc_vectors_result *r, sc_context *ctx, const sc_word_text *t, const sc_lexicon *x,
                         const sc_vectors_training *o, const char *state, const char *settings,
                         sc_vectors_trained *report)
{
    sc_pairs pairs = {0};
    sc_tables *tables = NULL;
    glove *g = sc_calloc(1, sizeof *g);
    sc_learning how = {.epochs = o->epochs,
                       .rate = o->rate > 0 ? o->rate : 0.05,
                       .seed = o->seed,
                       .state = state,
                       .settings = settings,
                       .save_every = o->save_every};
    if (!g) return sc_nomem();
    g->n = (o->width + 2 + MULTIPLE - 1) / MULTIPLE * MULTIPLE;
    sc_status s = sc_pairs_count(&pairs, ctx, t, x, o);
    if (!s) s = sc_tables_new(&tables, ctx, x->n, x->n, 2 * g->n, 0, o->seed);
    if (!s) {
        first_values(g, o, tables->in, 3, x->n, true);
        first_values(g, o, tables->out, 4, x->n, false);
        g->p = &pairs;
        g->a = (sc_word_learner){.t = tables, .ctx = ctx, .o = &how, .units = o->epochs * SC_PARTS};
        s = sc_state_load(&g->a, &report->resumed);
    }
    int64_t from = s ? 0 : atomic_load(&g->a.next);
    double start = sc_now();
    if (!s) s = learn(g);
    if (!s) {
        result(g, o, x->n, r);
        report->pairs = pairs.n;
        report->seconds = sc_now() - start;
        report->trained = (int64_t)((double)(g->a.units - from) / SC_PARTS * (double)pairs.n);
        for (int i = 0; i < SC_PARTS; i++) report->loss += g->loss.sum[i] / (double)pairs.n;
    }
    sc_tables_free(tables);
    sc_pairs_free(&pairs);
    sc_free(g);
    return s;
}
