/* SPDX-License-Identifier: Apache-2.0 */
/* Ownership, and gradients on their way: buckets of parameters in the order in which the backward pass finishes them, each
 * summed by the ranks' own thread while the pass goes on. */
#include "train/shards.h"

#include <stdlib.h>

enum {
    BUCKET = 1 << 21, /* elements, 8 MB; a larger parameter is a bucket of its own */
    GRAIN = 16,       /* elements: a part begins on a cache line */
};

typedef struct bucket {
    sc_transfer transfer;
    int64_t missing; /* gradients that are not final yet */
} bucket;

struct sc_shards {
    sc_ranks *ranks;
    const sc_trained *whole;
    sc_trained *part;
    int64_t n, *cut; /* count + 1 of each parameter */
    int64_t *count;  /* of each part */
    float **grad;
    sc_range *range; /* in the order of the gradients */
    int64_t *place;  /* of each parameter in that order */
    bucket *bucket;
    int64_t *bucket_of, n_buckets, next; /* next: not posted yet */
};

static int64_t size_of(const sc_trained *p) { return p->rows * p->cols; }

static int64_t *cut_of(const sc_shards *s, int64_t i) { return s->cut + i * (sc_ranks_count(s->ranks) + 1); }

/* ---- ownership ---- */

static void divide(int64_t *cut, int count, int64_t n)
{
    for (int q = 0; q <= count; q++) {
        int64_t at = (int64_t)((double)n * q / count);
        cut[q] = q == count ? n : SC_MIN((at + GRAIN - 1) / GRAIN * GRAIN, n);
    }
}

static void give(int64_t *cut, int count, int owner, int64_t n)
{
    for (int q = 0; q <= count; q++) cut[q] = q > owner ? n : 0;
}

typedef struct sized {
    int64_t n, i;
} sized;

static int larger_first(const void *a, const void *b)
{
    const sized *x = a, *y = b;
    if (x->n != y->n) return x->n < y->n ? 1 : -1;
    return x->i < y->i ? -1 : x->i > y->i;
}

/* Whole matrices go to whoever has least, the largest first. */
static sc_status own(sc_shards *s, sc_optimizer_kind kind)
{
    int count = sc_ranks_count(s->ranks);
    int64_t whole = 0, *load = sc_calloc((size_t)count, sizeof *load);
    sized *order = sc_calloc((size_t)SC_MAX(s->n, 1), sizeof *order);
    if (!load || !order) {
        sc_free(load);
        sc_free(order);
        return sc_nomem();
    }
    for (int64_t i = 0; i < s->n; i++) {
        const sc_trained *p = &s->whole[i];
        if (kind == SC_ADAFACTOR || (kind == SC_MUON && p->hidden))
            order[whole++] = (sized){size_of(p), i};
        else
            divide(cut_of(s, i), count, size_of(p));
    }
    qsort(order, (size_t)whole, sizeof *order, larger_first);
    for (int64_t k = 0; k < whole; k++) {
        int least = 0;
        for (int q = 1; q < count; q++)
            if (load[q] < load[least]) least = q;
        load[least] += order[k].n;
        give(cut_of(s, order[k].i), count, least, order[k].n);
    }
    sc_free(load);
    sc_free(order);
    return SC_OK;
}

static void take_parts(sc_shards *s)
{
    int rank = sc_ranks_rank(s->ranks);
    for (int64_t i = 0; i < s->n; i++) {
        const int64_t *cut = cut_of(s, i);
        sc_trained *p = &s->part[i];
        *p = s->whole[i];
        s->count[i] = cut[rank + 1] - cut[rank];
        if (s->count[i] == size_of(p)) continue;
        p->value += cut[rank];
        p->rows = 1;
        p->cols = s->count[i];
        p->hidden = p->hidden && p->cols > 0; /* nothing is no matrix */
    }
}

sc_status sc_shards_new(sc_shards **out, sc_ranks *r, const sc_trained *p, int64_t n, sc_optimizer_kind kind)
{
    size_t some = (size_t)SC_MAX(n, 1);
    sc_shards *s = sc_calloc(1, sizeof *s);
    if (!s) return sc_nomem();
    s->ranks = r;
    s->whole = p;
    s->n = n;
    s->part = sc_calloc(some, sizeof *s->part);
    s->cut = sc_calloc(some * ((size_t)sc_ranks_count(r) + 1), sizeof *s->cut);
    s->count = sc_calloc(some, sizeof *s->count);
    s->grad = sc_calloc(some, sizeof *s->grad);
    s->range = sc_calloc(some, sizeof *s->range);
    s->place = sc_calloc(some, sizeof *s->place);
    s->bucket = sc_calloc(some, sizeof *s->bucket);
    s->bucket_of = sc_calloc(some, sizeof *s->bucket_of);
    bool room = s->part && s->cut && s->count && s->grad && s->range && s->place && s->bucket && s->bucket_of;
    sc_status status = room ? own(s, kind) : sc_nomem();
    if (status) {
        sc_shards_free(s);
        return status;
    }
    take_parts(s);
    *out = s;
    return SC_OK;
}

void sc_shards_free(sc_shards *s)
{
    if (!s) return;
    sc_free(s->part);
    sc_free(s->cut);
    sc_free(s->count);
    sc_free(s->grad);
    sc_free(s->range);
    sc_free(s->place);
    sc_free(s->bucket);
    sc_free(s->bucket_of);
    sc_free(s);
}

const sc_trained *sc_shards_trained(const sc_shards *s) { return s->part; }

/* ---- gradients ---- */

sc_status sc_shards_order(sc_shards *s, int64_t *order)
{
    int count = sc_ranks_count(s->ranks);
    int64_t *cut = sc_calloc((size_t)count + 1, sizeof *cut), filled = 0;
    if (!cut) return sc_ranks_abort(s->ranks, sc_nomem());
    /* As numbers of 4 bytes that rank 0 owns all of. */
    give(cut, count, 0, s->n * (int64_t)(sizeof *order / sizeof(float)));
    sc_status status =
        sc_ranks_move(s->ranks, SC_MOVE_SHARE, &(sc_range){(float *)(void *)order, cut, NULL, NULL}, 1);
    sc_free(cut);
    if (status) return status;
    s->n_buckets = 0;
    for (int64_t k = 0; k < s->n; k++) {
        int64_t i = order[k], n = size_of(&s->whole[i]);
        if (k == 0 || filled + n > BUCKET) {
            s->bucket[s->n_buckets++].transfer = (sc_transfer){SC_MOVE_SUM, s->range + k, 0, NULL};
            filled = 0;
        }
        filled += n;
        s->bucket[s->n_buckets - 1].transfer.n++;
        s->bucket_of[i] = s->n_buckets - 1;
        s->range[k].cut = cut_of(s, i);
        s->place[i] = k;
    }
    return SC_OK;
}

void sc_shards_begin(sc_shards *s)
{
    s->next = 0;
    for (int64_t b = 0; b < s->n_buckets; b++) s->bucket[b].missing = s->bucket[b].transfer.n;
}

void sc_shards_final(void *shards, int64_t i, float *gradient, const float *more)
{
    sc_shards *s = shards;
    sc_range *r = &s->range[s->place[i]];
    r->data = gradient;
    r->more = more;
    s->bucket[s->bucket_of[i]].missing--;
    while (s->next < s->n_buckets && !s->bucket[s->next].missing)
        sc_ranks_post(s->ranks, &s->bucket[s->next++].transfer);
}

sc_status sc_shards_gradients(sc_shards *s, float *const **grad, const int64_t **count)
{
    sc_status status = sc_ranks_wait(s->ranks);
    int rank = sc_ranks_rank(s->ranks);
    for (int64_t i = 0; i < s->n; i++) s->grad[i] = s->range[s->place[i]].data + cut_of(s, i)[rank];
    *grad = s->grad;
    *count = s->count;
    return status;
}

sc_status sc_shards_abort(sc_shards *s, sc_status status) { return sc_ranks_abort(s->ranks, status); }

/* ---- weights and moments ---- */

static sc_status move_weights(sc_shards *s, sc_status (*how)(sc_ranks *, const sc_range *, int64_t))
{
    sc_range *range = sc_calloc((size_t)SC_MAX(s->n, 1), sizeof *range);
    if (!range) return sc_ranks_abort(s->ranks, sc_nomem());
    for (int64_t i = 0; i < s->n; i++) range[i] = (sc_range){.data = s->whole[i].value, .cut = cut_of(s, i)};
    sc_status status = how(s->ranks, range, s->n);
    sc_free(range);
    return status;
}

static sc_status share(sc_ranks *r, const sc_range *range, int64_t n)
{
    return sc_ranks_move(r, SC_MOVE_SHARE, range, n);
}

sc_status sc_shards_share(sc_shards *s) { return move_weights(s, share); }
sc_status sc_shards_spread(sc_shards *s) { return move_weights(s, sc_ranks_broadcast); }

/* Of moments that are not like their parameter, the owner has all. */
static const int64_t *moment_cut(const sc_shards *s, int64_t i, int64_t n, int64_t *room)
{
    int count = sc_ranks_count(s->ranks), owner = 0;
    const int64_t *cut = cut_of(s, i);
    if (n == size_of(&s->whole[i])) return cut;
    while (owner < count - 1 && cut[owner + 1] == 0) owner++;
    give(room, count, owner, n);
    return room;
}

static sc_status move_moment(sc_shards *s, sc_move move, int64_t i, float *part, float *whole, int64_t n)
{
    int rank = sc_ranks_rank(s->ranks);
    int64_t *room = sc_calloc((size_t)sc_ranks_count(s->ranks) + 1, sizeof *room);
    if (!room) return sc_ranks_abort(s->ranks, sc_nomem());
    const int64_t *cut = moment_cut(s, i, n, room);
    size_t bytes = (size_t)(cut[rank + 1] - cut[rank]) * sizeof *part;
    sc_status status = sc_ranks_move(s->ranks, move, &(sc_range){whole, cut, NULL, part}, 1);
    if (!status && rank == 0 && bytes) {
        float *own = whole + cut[rank];
        memcpy(move == SC_MOVE_GATHER ? own : part, move == SC_MOVE_GATHER ? part : own, bytes);
    }
    sc_free(room);
    return status;
}

sc_status sc_shards_gather(sc_shards *s, int64_t i, const float *part, float *whole, int64_t n)
{
    return move_moment(s, SC_MOVE_GATHER, i, (float *)(uintptr_t)part, whole, n);
}

sc_status sc_shards_scatter(sc_shards *s, int64_t i, float *part, float *whole, int64_t n)
{
    return move_moment(s, SC_MOVE_SCATTER, i, part, whole, n);
}
