/* SPDX-License-Identifier: Apache-2.0 */
/* Weights in the layout that this machine's kernels read fastest (kernels.def, interleave), made when a plan first runs
 * and kept for all plans of the backend. Invariants:
 *  1. An entry keeps its weight's buffer, so the address that it is found by belongs to that weight.
 *  2. Entries with data do not change any more; `lock` is held while they are looked up or made.
 *  3. What is in a region lies in the order of the plan's steps, so a run reads it from one end to the other.
 * Without memory for it the steps read their weights as they are stored, to the same bits. */
#include "cpu/cpu.h"

#include <pthread.h>

typedef struct entry {
    sc_cpu_weight weight;
    int64_t offset; /* in its region */
    const char *data;
} entry;

struct sc_cpu_own {
    pthread_mutex_t lock;
    entry *entry;
    int64_t count, cap;
    sc_buffer **region;
    int64_t regions, cap_regions;
    int64_t bytes; /* of all regions */
};

enum { PIECE_BYTES = 512 << 10 /* of stored rows: what one member brings at a time */, ALIGN_ROWS = 32 };

sc_cpu_own *sc_cpu_own_new(void)
{
    sc_cpu_own *o = sc_calloc(1, sizeof *o);
    if (o) pthread_mutex_init(&o->lock, NULL);
    return o;
}

void sc_cpu_own_free(sc_cpu_own *o)
{
    if (!o) return;
    for (int64_t i = 0; i < o->count; i++) sc_buffer_unref(o->entry[i].weight.buffer);
    for (int64_t i = 0; i < o->regions; i++) sc_buffer_unref(o->region[i]);
    sc_free(o->entry);
    sc_free(o->region);
    pthread_mutex_destroy(&o->lock);
    sc_free(o);
}

static bool same(const sc_cpu_weight *a, const sc_cpu_weight *b)
{
    return a->w.data == b->w.data && a->w.dtype == b->w.dtype && a->rows == b->rows && a->w.width == b->w.width &&
           a->w.stride[0] == b->w.stride[0] && a->buffer == b->buffer;
}

/* Bytes of a stored row, from one to the next. */
static int64_t row_bytes(const sc_cpu_weight *x)
{
    const sc_dtype_info *d = sc_dtype_get(x->w.dtype);
    return x->w.stride[0] / d->block * d->bytes;
}

/* The entry of a weight; -1: none. *hint is where to begin: steps ask in the order in which entries were made. */
static int64_t find(const sc_cpu_own *o, const sc_cpu_weight *weight, int64_t *hint)
{
    for (int64_t i = 0; i < o->count; i++) {
        int64_t at = (*hint + i) % o->count;
        if (!same(&o->entry[at].weight, weight)) continue;
        *hint = at + 1;
        return at;
    }
    return -1;
}

typedef struct bringing {
    const sc_kernels *k;
    entry *entry;
    int64_t count;
    char *room;
    atomic_llong next; /* piece, counted over all entries */
} bringing;

static int64_t piece_rows(const sc_cpu_weight *x)
{
    return SC_MAX(PIECE_BYTES / SC_MAX(row_bytes(x), 1) / ALIGN_ROWS, 1) * ALIGN_ROWS;
}

static void bring(void *arg, int member)
{
    bringing *b = arg;
    int64_t first = 0, i = 0; /* entry i begins with piece `first` */
    (void)member;
    for (;;) {
        int64_t piece = atomic_fetch_add_explicit(&b->next, 1, memory_order_relaxed), each, pieces;
        for (;; first += pieces, i++) {
            if (i == b->count) return;
            each = piece_rows(&b->entry[i].weight);
            pieces = sc_tasks_of(b->entry[i].weight.rows, each);
            if (piece < first + pieces) break;
        }
        const sc_cpu_weight *x = &b->entry[i].weight;
        int64_t row = (piece - first) * each, n = SC_MIN(each, x->rows - row), stride = row_bytes(x);
        const char *from = (const char *)x->w.data + row * stride;
        char *to = b->room + b->entry[i].offset + b->k->interleaved_bytes[x->w.dtype](row, x->w.width);
        b->k->interleave[x->w.dtype](n, x->w.width, from, stride, to);
        sc_file_forget(x->buffer, from, n * stride);
    }
}

/* Entries from `first` on get their data, or are taken back. */
static void fill(sc_cpu_own *o, sc_context *ctx, const sc_kernels *k, int64_t first, int64_t bytes)
{
    sc_buffer *region = NULL;
    bool room = o->count > first && sc_grow(&o->region, &o->cap_regions, o->regions + 1, sizeof *o->region) &&
                sc_buffer_pages(&region, bytes) == SC_OK;
    if (!room) {
        while (o->count > first) sc_buffer_unref(o->entry[--o->count].weight.buffer);
        return;
    }
    bringing b = {.k = k, .entry = o->entry + first, .count = o->count - first, .room = region->data};
    sc_pool_run(ctx->pool, bring, &b);
    for (int64_t i = first; i < o->count; i++) {
        const sc_cpu_weight *x = &o->entry[i].weight;
        o->entry[i].data = b.room + o->entry[i].offset;
        sc_file_forget(x->buffer, x->w.data,
                       x->rows * row_bytes(x)); /* also what reading a neighbour brought along */
    }
    o->region[o->regions++] = region;
    o->bytes += bytes;
}

void sc_cpu_own_bind(sc_cpu_own *o, sc_context *ctx, const sc_kernels *k, sc_plan *p)
{
    sc_cpu_weight x;
    pthread_mutex_lock(&o->lock);
    int64_t first = o->count, bytes = 0, hint = 0, most = sc_memory_size() / 2 - o->bytes;
    for (int i = 0; i < p->n_steps; i++) {
        const sc_cpu_op *op = p->step[i].kernel;
        if (!op->weight || !op->weight(&p->step[i], k, &x) || find(o, &x, &hint) >= 0) continue;
        int64_t more = k->interleaved_bytes[x.w.dtype](x.rows, x.w.width);
        if (more > most - bytes || !sc_grow(&o->entry, &o->cap, o->count + 1, sizeof *o->entry)) break;
        o->entry[o->count++] = (entry){.weight = x, .offset = bytes};
        sc_buffer_ref(x.buffer);
        bytes += more;
    }
    fill(o, ctx, k, first, bytes);
    for (int i = 0; i < p->n_steps; i++) {
        const sc_cpu_op *op = p->step[i].kernel;
        int64_t at = op->weight && op->weight(&p->step[i], k, &x) ? find(o, &x, &hint) : -1;
        if (at >= 0) p->step[i].own = o->entry[at].data;
    }
    pthread_mutex_unlock(&o->lock);
}
