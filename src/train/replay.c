/* SPDX-License-Identifier: Apache-2.0 */
/* Replay: some examples of each batch are of old data, read by a second instance of the same objective. */
#include "train/continual.h"

#include <math.h>

/* What two batches become: room for each table, which only grows. */
typedef struct table {
    void *p;
    int64_t cap;
} table;

struct sc_replay {
    const sc_objective *objective;
    void *self;
    sc_train_options o; /* with the old data for data */
    table ids, types, positions, start, source_ids, source_positions, source_start, wanted, labels, target, weight;
};

sc_status sc_replay_rows(const sc_train_options *o, int64_t parts, int64_t *rows)
{
    int64_t batch = o->batch * parts, old = o->n_replay ? llround(o->replay_share * (double)batch) : 0;
    *rows = 0;
    if (!o->n_replay) return SC_OK;
    if (old < 1 || old >= batch)
        return sc_fail(SC_EINVAL,
                       "--replay-share %g of a batch of %lld are %lld examples: a batch needs old and new ones",
                       o->replay_share, (long long)batch, (long long)old);
    if (old % parts)
        return sc_fail(SC_EINVAL, "%lld replayed examples of a batch cannot be divided evenly over %lld ranks",
                       (long long)old, (long long)parts);
    *rows = old / parts;
    return SC_OK;
}

sc_status sc_replay_open(sc_replay **out, const sc_objective *o, const sc_objective_setup *x, int64_t rows)
{
    sc_objective_setup old = *x;
    if (o->together)
        return sc_fail(SC_EUNSUPPORTED, "'%s' compares the examples of a batch: it has no --replay", o->name);
    if (o->evaluate) return sc_fail(SC_EUNSUPPORTED, "'%s' makes its examples itself: it has no --replay", o->name);
    sc_replay *r = sc_calloc(1, sizeof *r);
    if (!r) return sc_nomem();
    r->objective = o;
    r->o = *x->o;
    r->o.data = x->o->replay;
    r->o.n_data = x->o->n_replay;
    r->o.n_eval_data = 0;
    r->o.eval_share = 0;
    r->o.batch = rows;
    old.o = &r->o;
    sc_status s = o->open(&r->self, &old);
    if (s) {
        s = sc_fail_in(s, "--replay");
        sc_replay_free(r);
        return s;
    }
    *out = r;
    return SC_OK;
}

void sc_replay_free(sc_replay *r)
{
    if (!r) return;
    table *all[] = {&r->ids,          &r->types,  &r->positions, &r->start,  &r->source_ids, &r->source_positions,
                    &r->source_start, &r->wanted, &r->labels,    &r->target, &r->weight};
    for (int i = 0; i < SC_COUNT(all); i++) sc_free(all[i]->p);
    r->objective->free(r->self);
    sc_free(r);
}

static void *room(table *t, int64_t n, sc_status *s)
{
    if (!*s && !sc_grow(&t->p, &t->cap, n, sizeof(int32_t))) *s = sc_nomem();
    return *s ? NULL : t->p;
}

/* n values and then m; NULL: zeros, and of both NULL. */
static const void *join(table *t, const void *a, int64_t n, const void *b, int64_t m, sc_status *s)
{
    char *to = a || b ? room(t, n + m, s) : NULL;
    if (!to) return NULL;
    if (a) memcpy(to, a, (size_t)n * 4);
    if (b) memcpy(to + n * 4, b, (size_t)m * 4);
    if (!a) memset(to, 0, (size_t)n * 4);
    if (!b) memset(to + n * 4, 0, (size_t)m * 4);
    return to;
}

/* Places that count from the beginning of their batch: those of the second move by what the first has. */
static const int32_t *join_moved(table *t, const int32_t *a, int64_t n, const int32_t *b, int64_t m, int64_t by,
                                 sc_status *s)
{
    int32_t *to = a && b ? room(t, n + m, s) : NULL;
    if (!to) return NULL;
    memcpy(to, a, (size_t)n * sizeof *to);
    for (int64_t i = 0; i < m; i++) to[n + i] = b[i] + (int32_t)by;
    return to;
}

static void count_positions(int32_t *to, const int32_t *start, int64_t sequences)
{
    for (int64_t q = 0; q < sequences; q++)
        for (int64_t i = start[q]; i < start[q + 1]; i++) to[i] = (int32_t)i - start[q];
}

/* Positions that one of them counts by itself are written out. */
static const int32_t *join_positions(table *t, const sc_text_batch *a, const sc_text_batch *b, bool source,
                                     sc_status *s)
{
    const int32_t *p = source ? a->source_positions : a->positions,
                  *q = source ? b->source_positions : b->positions;
    int64_t n = source ? a->source : a->tokens, m = source ? b->source : b->tokens;
    int32_t *to = p || q ? room(t, n + m, s) : NULL;
    if (!to) return NULL;
    if (p)
        memcpy(to, p, (size_t)n * sizeof *to);
    else
        count_positions(to, source ? a->source_start : a->start, a->sequences);
    if (q)
        memcpy(to + n, q, (size_t)m * sizeof *to);
    else
        count_positions(to + n, source ? b->source_start : b->start, b->sequences);
    return to;
}

/* All rows that count count alike, as in a batch that was made at once. */
static const float *join_weights(sc_replay *r, const sc_text_batch *a, const sc_text_batch *b, sc_status *s)
{
    double all = (double)SC_MAX(a->counted + b->counted, 1);
    float *to = room(&r->weight, a->rows + b->rows, s);
    for (int64_t i = 0; to && i < a->rows; i++) to[i] = (float)(a->weight[i] * ((double)a->counted / all));
    for (int64_t i = 0; to && i < b->rows; i++)
        to[a->rows + i] = (float)(b->weight[i] * ((double)b->counted / all));
    return to;
}

static sc_status put_together(sc_replay *r, const sc_text_batch *a, const sc_text_batch *b, sc_text_batch *out)
{
    sc_status s = SC_OK;
    if (a->tokens + b->tokens > INT32_MAX || a->source + b->source > INT32_MAX)
        return sc_fail(SC_ELIMIT, "a batch of more than %d tokens", INT32_MAX);
    *out = (sc_text_batch){
        .tokens = a->tokens + b->tokens,
        .sequences = a->sequences + b->sequences,
        .ids = join(&r->ids, a->ids, a->tokens, b->ids, b->tokens, &s),
        .types = join(&r->types, a->types, a->tokens, b->types, b->tokens, &s),
        .positions = join_positions(&r->positions, a, b, false, &s),
        .start = join_moved(&r->start, a->start, a->sequences, b->start, b->sequences + 1, a->tokens, &s),
        .source = a->source + b->source,
        .rows = a->rows + b->rows,
        .wanted = join_moved(&r->wanted, a->wanted, a->rows, b->wanted, b->rows, a->tokens, &s),
        .labels = join(&r->labels, a->labels, a->rows, b->labels, b->rows, &s),
        .target = join(&r->target, a->target, a->rows, b->target, b->rows, &s),
        .weight = join_weights(r, a, b, &s),
        .counted = a->counted + b->counted,
        .examples = a->examples + b->examples,
        .words = a->words + b->words,
    };
    if (!a->source || s) return s;
    out->source_ids = join(&r->source_ids, a->source_ids, a->source, b->source_ids, b->source, &s);
    out->source_positions = join_positions(&r->source_positions, a, b, true, &s);
    out->source_start = join_moved(&r->source_start, a->source_start, a->sequences, b->source_start,
                                   b->sequences + 1, a->source, &s);
    return s;
}

sc_status sc_replay_add(sc_replay *r, int64_t index, sc_text_batch *b)
{
    sc_text_batch old, all;
    sc_status s = r->objective->batch(r->self, index, &old);
    for (int i = 0; !s && i < SC_MORE; i++)
        if (b->more[i].value || old.more[i].value)
            s = sc_fail(SC_EUNSUPPORTED, "'%s' has batches that cannot be put together: it has no --replay",
                        r->objective->name);
    if (!s) s = put_together(r, b, &old, &all);
    if (!s) *b = all;
    return s;
}

void sc_replay_describe(sc_replay *r, int64_t index, sc_str *out)
{
    if (!r->objective->describe) return;
    sc_str_puts(out, "; replayed: ");
    r->objective->describe(r->self, index, out);
}
