/* SPDX-License-Identifier: Apache-2.0 */
/* In which order examples come, and how some of them become a batch. */
#include "train/objective.h"

#include <stdlib.h>

/* ---- the order of examples ---- */

/* So many batches are drawn together and sorted by length. */
enum { POOL = 64 };

sc_status sc_order_new(sc_order *o, int64_t n, const sc_train_options *x)
{
    *o = (sc_order){.plain = x->in_order,
                    .n = n,
                    .epoch = -1,
                    .seed = x->seed,
                    .place = sc_calloc((size_t)n, sizeof *o->place)};
    return o->place ? SC_OK : sc_nomem();
}

void sc_order_free(sc_order *o)
{
    sc_free(o->place);
    *o = (sc_order){0};
}

/* Fisher and Yates, of n groups of `size` neighbours. */
static void shuffle(sc_rng *r, int64_t *x, int64_t n, int64_t size)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = (int64_t)(sc_rng_uniform(r) * (double)(i + 1));
        for (int64_t j = 0; j < size; j++) {
            int64_t swap = x[i * size + j];
            x[i * size + j] = x[k * size + j];
            x[k * size + j] = swap;
        }
    }
}

static int by_length(const void *a, const void *b, void *user)
{
    const int64_t *length = user, i = *(const int64_t *)a, k = *(const int64_t *)b;
    if (length[i] != length[k]) return length[i] < length[k] ? -1 : 1;
    return i < k ? -1 : i > k;
}

static void renew(sc_order *o, int64_t epoch)
{
    sc_rng r = sc_rng_make(o->seed, sc_hash("order", 5) + (uint64_t)epoch);
    for (int64_t i = 0; i < o->n; i++) o->place[i] = i;
    shuffle(&r, o->place, o->n, 1);
    if (o->length) {
        int64_t pool = POOL * o->batch;
        for (int64_t i = 0; i < o->n; i += pool)
            qsort_r(o->place + i, (size_t)SC_MIN(pool, o->n - i), sizeof *o->place, by_length,
                    (void *)(uintptr_t)o->length);
        /* Batches of an epoch begin where it does, so they are whole but for the last. */
        shuffle(&r, o->place, o->n / o->batch, o->batch);
    }
    o->epoch = epoch;
}

int64_t sc_order_at(sc_order *o, int64_t at)
{
    if (o->plain) return at % o->n;
    if (at / o->n != o->epoch) renew(o, at / o->n);
    return o->place[at % o->n];
}

/* ---- a batch ---- */

void sc_maker_begin(sc_maker *m)
{
    m->text.tokens = m->text.sequences = m->source.tokens = m->source.sequences = 0;
    m->rows = m->examples = m->words = 0;
    m->failed = false;
}

static void free_side(sc_side *s)
{
    sc_free(s->ids);
    sc_free(s->types);
    sc_free(s->start);
}

void sc_maker_free(sc_maker *m)
{
    free_side(&m->text);
    free_side(&m->source);
    sc_free(m->wanted);
    sc_free(m->label);
    sc_free(m->target);
    sc_free(m->weight);
    *m = (sc_maker){0};
}

void sc_maker_text(sc_maker *m, sc_side *s, const int32_t *ids, const int32_t *types, int64_t n, bool more)
{
    if (m->failed || !sc_grow(&s->ids, &s->cap_ids, s->tokens + n, sizeof *s->ids) ||
        !sc_grow(&s->types, &s->cap_types, s->tokens + n, sizeof *s->types) ||
        !sc_grow(&s->start, &s->cap_start, s->sequences + 2, sizeof *s->start)) {
        m->failed = true;
        return;
    }
    if (!more) s->start[s->sequences++] = (int32_t)s->tokens;
    for (int64_t i = 0; i < n; i++) {
        s->ids[s->tokens + i] = ids ? ids[i] : 0;
        s->types[s->tokens + i] = types ? types[i] : 0;
    }
    s->tokens += n;
    s->start[s->sequences] = (int32_t)s->tokens;
    m->words += n;
}

void sc_maker_row(sc_maker *m, int64_t wanted, int32_t label, float target)
{
    int64_t n = m->rows + 1;
    if (m->failed || !sc_grow(&m->wanted, &m->cap_wanted, n, sizeof *m->wanted) ||
        !sc_grow(&m->label, &m->cap_label, n, sizeof *m->label) ||
        !sc_grow(&m->target, &m->cap_target, n, sizeof *m->target) ||
        !sc_grow(&m->weight, &m->cap_weight, n, sizeof *m->weight)) {
        m->failed = true;
        return;
    }
    m->wanted[m->rows] = (int32_t)SC_MAX(wanted, 0);
    m->label[m->rows] = label;
    m->target[m->rows++] = target;
}

void sc_maker_answer(sc_maker *m, const int32_t *labels, int64_t n, int32_t start)
{
    sc_maker_text(m, &m->text, &start, NULL, 1, false);
    sc_maker_text(m, &m->text, labels, NULL, n - 1, true);
    for (int64_t i = 0; i < n; i++) sc_maker_row(m, -1, labels[i], 0);
}

/* The next number that is round for its size: a thirty-second more at most. */
static int64_t rounded(int64_t n)
{
    int64_t step = 4;
    while (step * 32 < n) step *= 2;
    return (n + step - 1) / step * step;
}

/* One more sequence on each side, which brings it to a round number of tokens. */
static void fill_up(sc_maker *m)
{
    int64_t words = m->words, n = m->text.tokens, u = m->source.tokens;
    if (rounded(n) == n && rounded(u) == u) return;
    sc_maker_text(m, &m->text, NULL, NULL, rounded(n + 1) - n, false);
    if (u) sc_maker_text(m, &m->source, NULL, NULL, rounded(u + 1) - u, false);
    m->words = words;
}

sc_status sc_maker_finish(sc_maker *m, sc_rows_of kind, sc_text_batch *out)
{
    int64_t counted = 0, rows = m->rows;
    fill_up(m);
    if (kind == SC_ROWS_WANTED) rows = rounded(SC_MAX(rows, 1));
    if (kind == SC_ROWS_TOKENS) rows = m->text.tokens;
    if (kind == SC_ROWS_SEQUENCES) rows = m->text.sequences;
    for (int64_t i = 0; i < m->rows; i++) counted += m->label[i] >= 0;
    while (!m->failed && m->rows < rows) sc_maker_row(m, -1, -1, 0);
    if (m->failed) return sc_nomem();
    if (m->text.tokens > INT32_MAX || m->source.tokens > INT32_MAX)
        return sc_fail(SC_ELIMIT, "a batch of more than %d tokens", INT32_MAX);
    for (int64_t i = 0; i < m->rows; i++) m->weight[i] = m->label[i] >= 0 ? 1 / (float)counted : 0;
    *out = (sc_text_batch){.tokens = m->text.tokens,
                           .sequences = m->text.sequences,
                           .ids = m->text.ids,
                           .start = m->text.start,
                           .types = m->text.types,
                           .source = m->source.tokens,
                           .source_ids = m->source.ids,
                           .source_start = m->source.start,
                           .rows = m->rows,
                           .wanted = kind == SC_ROWS_WANTED ? m->wanted : NULL,
                           .labels = m->label,
                           .target = m->target,
                           .weight = m->weight,
                           .counted = counted,
                           .examples = m->examples,
                           .words = m->words};
    return SC_OK;
}
