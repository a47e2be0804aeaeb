/* SPDX-License-Identifier: Apache-2.0 */
/* Counting pairs of words. Every thread counts into a table of its own; where that is full, its pairs are sorted and go to a file as
 * a run. All runs are then merged. */
#include "vectors/cooccur.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PART_BITS = 5,
    ID_BITS = 23,
    ROUNDS = 4,
    DIGIT = 11,
    SMALLEST_TABLE = 1 << 12,
    LINE = 1 << 16,
    MOST_WINDOW = 1000
};
_Static_assert(SC_PARTS == 1 << PART_BITS, "parts");

/* ---- keys ---- */

static uint32_t mix(uint32_t x, uint32_t round, uint32_t seed)
{
    uint64_t z = (x + 0x9e3779b9u * (round + 1)) * 0xff51afd7ed558ccdu + seed;
    z = (z ^ z >> 29) * 0xc4ceb9fe1a85ec53u;
    return (uint32_t)(z >> 32) & ((1u << ID_BITS) - 1);
}

/* A Feistel network, which has an inverse whatever mix is. */
static uint64_t key_of(uint32_t row, uint32_t column, uint32_t seed)
{
    uint32_t a = row >> PART_BITS, b = column >> PART_BITS;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t next = a ^ mix(b, i, seed);
        a = b;
        b = next;
    }
    uint64_t block = (uint64_t)(row % SC_PARTS) * SC_PARTS + column % SC_PARTS;
    return block << 2 * ID_BITS | (uint64_t)a << ID_BITS | b;
}

static void words_of(uint64_t key, uint32_t seed, int32_t *row, int32_t *column)
{
    uint32_t a = (uint32_t)(key >> ID_BITS) & ((1u << ID_BITS) - 1), b = (uint32_t)key & ((1u << ID_BITS) - 1);
    uint32_t block = (uint32_t)(key >> 2 * ID_BITS);
    for (uint32_t i = ROUNDS; i-- > 0;) {
        uint32_t before = b ^ mix(a, i, seed);
        b = a;
        a = before;
    }
    *row = (int32_t)(a << PART_BITS | block / SC_PARTS);
    *column = (int32_t)(b << PART_BITS | block % SC_PARTS);
}

/* ---- files without a name ---- */

static sc_status file_fail(const char *out, const char *what)
{
    return sc_fail(SC_EIO, "%s: cannot %s a temporary file beside it: %s", out, what, strerror(errno));
}

static sc_status open_unnamed(int *fd, const char *out)
{
    char *path = NULL;
    sc_str s = {0};
    sc_str_printf(&s, "%s.pairs.XXXXXX", out);
    if (!(path = sc_str_take(&s, NULL))) return sc_nomem();
    int f = mkostemp(path, O_CLOEXEC);
    sc_status status = f < 0 ? file_fail(out, "make") : SC_OK;
    if (f >= 0) (void)unlink(path);
    sc_free(path);
    if (!status) *fd = f;
    return status;
}

static sc_status write_all(int fd, const void *p, int64_t n, const char *out)
{
    for (const char *c = p; n > 0;) {
        ssize_t k = write(fd, c, (size_t)SC_MIN(n, 1 << 30));
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return file_fail(out, "write");
        c += k;
        n -= k;
    }
    return SC_OK;
}

/* ---- counting ---- */

typedef struct counted {
    uint64_t key, count; /* of a table: row << 32 | column, + 1; of a run: key_of */
} counted;

typedef struct counter {
    counted *slot, *sorted, *spare; /* spare, sorted: (cap) and twice that, as a run has both directions */
    int64_t n, cap;
    int fd;
    struct run {
        int64_t begin, n; /* in the file, in pairs */
    } * run;
    int64_t n_runs, cap_runs, written;
    int32_t *line; /* (LINE) */
    sc_status status;
    char *message;
    char pad[64];
} counter;

typedef struct counting {
    sc_context *ctx;
    const sc_word_text *text;
    const sc_lexicon *x;
    const sc_vectors_training *o;
    counter *counter;
    int members;
    uint32_t seed;
    uint64_t share[MOST_WINDOW + 1]; /* 2^32 / distance */
    atomic_int_fast64_t next;
    atomic_bool failed;
} counting;

/* By digits from the lowest; the result is in a or b, whichever is returned. */
static counted *sort(counted *a, counted *b, int64_t n)
{
    enum { VALUES = 1 << DIGIT };
    for (int shift = 0; shift < 2 * ID_BITS + 2 * PART_BITS; shift += DIGIT) {
        int64_t at[VALUES + 1] = {0};
        for (int64_t i = 0; i < n; i++) at[(a[i].key >> shift & (VALUES - 1)) + 1]++;
        for (int v = 0; v < VALUES; v++) at[v + 1] += at[v];
        for (int64_t i = 0; i < n; i++) b[at[a[i].key >> shift & (VALUES - 1)]++] = a[i];
        counted *swap = a;
        a = b;
        b = swap;
    }
    return a;
}

static sc_status spill(const counting *c, counter *t)
{
    int64_t n = 0;
    for (int64_t i = 0; i < t->cap; i++) {
        if (!t->slot[i].key) continue;
        uint64_t key = t->slot[i].key - 1;
        uint32_t a = (uint32_t)(key >> 32), b = (uint32_t)key;
        t->sorted[n++] = (counted){key_of(a, b, c->seed), t->slot[i].count};
        if (!c->o->asymmetric && a != b) t->sorted[n++] = (counted){key_of(b, a, c->seed), t->slot[i].count};
    }
    memset(t->slot, 0, (size_t)t->cap * sizeof *t->slot);
    t->n = 0;
    if (!n) return SC_OK;
    if (!sc_grow(&t->run, &t->cap_runs, t->n_runs + 1, sizeof *t->run)) return sc_nomem();
    counted *run = sort(t->sorted, t->spare, n);
    sc_status s = write_all(t->fd, run, n * (int64_t)sizeof *run, c->o->out);
    if (s) return s;
    t->run[t->n_runs++] = (struct run){t->written, n};
    t->written += n;
    return SC_OK;
}

static sc_status add(const counting *c, counter *t, uint32_t a, uint32_t b, uint64_t count)
{
    if (!c->o->asymmetric && a > b) {
        uint32_t swap = a;
        a = b;
        b = swap;
    }
    if (!c->o->asymmetric && a == b) count *= 2; /* near itself, in both directions */
    uint64_t key = ((uint64_t)a << 32 | b) + 1, mask = (uint64_t)t->cap - 1;
    uint64_t i = (key * 0x9e3779b97f4a7c15u) >> 20 & mask;
    while (t->slot[i].key && t->slot[i].key != key) i = (i + 1) & mask;
    t->slot[i].count += count;
    if (t->slot[i].key) return SC_OK;
    t->slot[i].key = key;
    return ++t->n * 4 < t->cap * 3 ? SC_OK : spill(c, t);
}

static sc_status count_line(const counting *c, counter *t, int64_t n)
{
    sc_status s = SC_OK;
    for (int64_t i = 1; !s && i < n; i++)
        for (int64_t j = i - 1; !s && j >= SC_MAX(i - c->o->window, 0); j--)
            s = add(c, t, (uint32_t)t->line[j], (uint32_t)t->line[i], c->share[i - j]);
    return s;
}

/* A line longer than the buffer is counted in pieces. */
static sc_status count_unit(const counting *c, counter *t, int64_t unit)
{
    const char *p = c->text->unit[unit].p, *end = c->text->unit[unit].end, *word;
    int64_t n = 0, len;
    sc_status s = SC_OK;
    while (!s && (word = sc_word_next(&p, end, &len))) {
        int32_t id = len && len <= SC_WORD_LONGEST ? sc_lexicon_find(c->x, word, len) : -1;
        if (len && id < 0) continue;
        if (len) t->line[n++] = id;
        if (!len || n == LINE) {
            s = count_line(c, t, n);
            n = 0;
        }
    }
    return s ? s : count_line(c, t, n);
}

static void count_units(void *arg, int member)
{
    counting *c = arg;
    counter *t = &c->counter[member];
    int64_t unit;
    while (!t->status && !atomic_load(&c->failed) && !sc_context_cancelled(c->ctx) &&
           (unit = atomic_fetch_add(&c->next, 1)) < c->text->n_units) {
        t->status = count_unit(c, t, unit);
        if (member == 0) sc_progress(c->ctx, "counting pairs", unit + 1, c->text->n_units);
    }
    if (!t->status && !sc_context_cancelled(c->ctx)) t->status = spill(c, t);
    if (!t->status) return;
    t->message = sc_strdup(sc_error()); /* it is this thread's */
    atomic_store(&c->failed, true);
}

/* ---- merging ---- */

typedef struct stream {
    counted *buffer;
    int64_t at, have;  /* in the buffer */
    int64_t next, end; /* in the file, in pairs */
    int fd;
} stream;

static sc_status refill(stream *s, int64_t room, const char *out)
{
    int64_t want = SC_MIN(room, s->end - s->next) * (int64_t)sizeof *s->buffer, got = 0;
    while (got < want) {
        ssize_t k = pread(s->fd, (char *)s->buffer + got, (size_t)(want - got),
                          (off_t)(s->next * (int64_t)sizeof *s->buffer + got));
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return file_fail(out, "read");
        got += k;
    }
    s->at = 0;
    s->have = want / (int64_t)sizeof *s->buffer;
    s->next += s->have;
    return SC_OK;
}

static uint64_t head(const stream *s) { return s->buffer[s->at].key; }

/* heap[0] is the stream with the smallest key. */
static void sift(stream **heap, int64_t n, int64_t i)
{
    for (int64_t child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && head(heap[child + 1]) < head(heap[child])) child++;
        if (head(heap[i]) <= head(heap[child])) return;
        stream *swap = heap[i];
        heap[i] = heap[child];
        heap[child] = swap;
    }
}

typedef struct merging {
    const counting *c;
    sc_pairs *p;
    int fd;
    sc_pair *buffer; /* (LINE) */
    int64_t used;
} merging;

static sc_status put(merging *m, const counted *x)
{
    double count = (double)x->count * 0x1p-32, part = count / m->c->o->x_max;
    sc_pair *to = &m->buffer[m->used++];
    words_of(x->key, m->c->seed, &to->row, &to->column);
    to->log_count = (float)log(count);
    to->weight = part < 1 ? (float)pow(part, m->c->o->alpha) : 1;
    m->p->block[(x->key >> 2 * ID_BITS) + 1]++; /* counts, for now */
    m->p->n++;
    if (m->used < LINE) return SC_OK;
    m->used = 0;
    return write_all(m->fd, m->buffer, LINE * (int64_t)sizeof *m->buffer, m->c->o->out);
}

static sc_status merge_streams(merging *m, stream **heap, int64_t n, int64_t room, int64_t total)
{
    counted now = {0};
    bool any = false;
    sc_status s = SC_OK;
    for (int64_t i = n / 2; i-- > 0;) sift(heap, n, i);
    for (int64_t done = 0; !s && n; done++) {
        stream *least = heap[0];
        const counted *x = &least->buffer[least->at++];
        if (any && x->key == now.key) {
            now.count += x->count;
        } else {
            if (any) s = put(m, &now);
            now = *x;
            any = true;
        }
        if (!s && least->at == least->have && least->next < least->end) s = refill(least, room, m->c->o->out);
        if (least->at == least->have) heap[0] = heap[--n];
        if (!s) sift(heap, n, 0);
        if (!s && done % (1 << 20) == 0) {
            sc_progress(m->c->ctx, "sorting pairs", done, total);
            if (sc_context_cancelled(m->c->ctx)) s = sc_fail(SC_ECANCELLED, "stopped on request");
        }
    }
    if (!s && any) s = put(m, &now);
    if (!s) s = write_all(m->fd, m->buffer, m->used * (int64_t)sizeof *m->buffer, m->c->o->out);
    return s;
}

static sc_status merge(merging *m, int64_t memory)
{
    int64_t n = 0, k = 0, total = 0;
    const counting *c = m->c;
    for (int i = 0; i < c->members; i++) n += c->counter[i].n_runs;
    int64_t room = SC_MAX(SC_MIN(memory / SC_MAX(n, 1) / (int64_t)sizeof(counted), 1 << 16), 256);
    stream *streams = sc_calloc((size_t)n + 1, sizeof *streams), **heap = sc_calloc((size_t)n + 1, sizeof *heap);
    m->buffer = sc_malloc(LINE * sizeof *m->buffer);
    sc_status s = streams && heap && m->buffer ? SC_OK : sc_nomem();
    for (int i = 0; !s && i < c->members; i++)
        for (int64_t r = 0; !s && r < c->counter[i].n_runs; r++, k++) {
            const struct run *run = &c->counter[i].run[r];
            streams[k] = (stream){.next = run->begin, .end = run->begin + run->n, .fd = c->counter[i].fd};
            total += run->n;
            heap[k] = &streams[k];
            streams[k].buffer = sc_malloc((size_t)room * sizeof *streams[k].buffer);
            s = streams[k].buffer ? refill(&streams[k], room, c->o->out) : sc_nomem();
        }
    if (!s) s = merge_streams(m, heap, n, room, total);
    for (int64_t i = 0; streams && i < n; i++) sc_free(streams[i].buffer);
    sc_free(streams);
    sc_free(heap);
    sc_free(m->buffer);
    return s;
}

/* ---- the whole ---- */

static void unmap(sc_buffer *b) { munmap(b->data, (size_t)b->size); }

static sc_status map(sc_pairs *p, int fd, const char *out)
{
    int64_t bytes = p->n * (int64_t)sizeof *p->pair;
    if (!bytes) return sc_fail(SC_EFORMAT, "no word stands near another one");
    void *data = mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) return file_fail(out, "map");
    sc_status s = sc_buffer_wrap(&p->map, data, bytes, unmap, NULL);
    if (s) munmap(data, (size_t)bytes);
    p->pair = data;
    return s;
}

static sc_status new_counter(counter *t, int64_t memory, int64_t pairs, const char *out)
{
    t->fd = -1;
    /* A slot in the table and, for a run, two directions twice. */
    for (t->cap = SMALLEST_TABLE; t->cap * 2 * 5 * (int64_t)sizeof *t->slot <= memory && t->cap < 2 * pairs;)
        t->cap *= 2;
    t->slot = sc_calloc((size_t)t->cap, sizeof *t->slot);
    t->sorted = sc_malloc((size_t)t->cap * 2 * sizeof *t->sorted);
    t->spare = sc_malloc((size_t)t->cap * 2 * sizeof *t->spare);
    t->line = sc_malloc(LINE * sizeof *t->line);
    return t->slot && t->sorted && t->spare && t->line ? open_unnamed(&t->fd, out) : sc_nomem();
}

static void free_tables(counter *t)
{
    sc_free(t->slot);
    sc_free(t->sorted);
    sc_free(t->spare);
    sc_free(t->line);
    t->slot = t->sorted = t->spare = NULL;
    t->line = NULL;
}

static sc_status count(counting *c, int64_t memory)
{
    sc_status s = SC_OK;
    for (int i = 0; i < c->members; i++) c->counter[i].fd = -1;
    for (int i = 0; !s && i < c->members; i++)
        s = new_counter(&c->counter[i], memory / c->members, SC_MIN(c->x->tokens * c->o->window, 1LL << 32),
                        c->o->out);
    if (!s) sc_pool_run(c->ctx->pool, count_units, c);
    if (!s && sc_context_cancelled(c->ctx)) s = sc_fail(SC_ECANCELLED, "stopped on request");
    for (int i = 0; i < c->members; i++) {
        if (!s && c->counter[i].status)
            s = sc_fail(c->counter[i].status, "%s",
                        c->counter[i].message ? c->counter[i].message : "out of memory");
        free_tables(&c->counter[i]);
    }
    return s;
}

sc_status sc_pairs_count(sc_pairs *p, sc_context *ctx, const sc_word_text *t, const sc_lexicon *x,
                         const sc_vectors_training *o)
{
    int64_t memory = o->memory ? o->memory : SC_MIN(1LL << 30, sc_memory_size() / 4);
    counting *c = sc_calloc(1, sizeof *c);
    if (!c) return sc_nomem();
    *c = (counting){
        .ctx = ctx, .text = t, .x = x, .o = o, .members = sc_context_threads(ctx), .seed = (uint32_t)o->seed};
    for (int d = 1; d <= MOST_WINDOW; d++) c->share[d] = (uint64_t)(0x1p32 / d + 0.5);
    merging m = {.c = c, .p = p, .fd = -1};
    *p = (sc_pairs){0};
    sc_status s = x->n > 1LL << (ID_BITS + PART_BITS) || o->window > MOST_WINDOW
                      ? sc_fail(SC_ELIMIT, "%lld words and a window of %lld, more than pairs are counted for",
                                (long long)x->n, (long long)o->window)
                      : SC_OK;
    if (!s && !(c->counter = sc_calloc((size_t)c->members, sizeof *c->counter))) s = sc_nomem();
    if (!s) s = count(c, memory);
    if (!s) s = open_unnamed(&m.fd, o->out);
    if (!s) s = merge(&m, memory);
    if (!s) s = map(p, m.fd, o->out);
    for (int b = 0; b < SC_PARTS * SC_PARTS; b++) p->block[b + 1] += p->block[b];
    for (int i = 0; c->counter && i < c->members; i++) {
        if (c->counter[i].fd >= 0) close(c->counter[i].fd);
        sc_free(c->counter[i].run);
        sc_free(c->counter[i].message);
    }
    if (m.fd >= 0) close(m.fd);
    sc_free(c->counter);
    sc_free(c);
    return s;
}

void sc_pairs_free(sc_pairs *p)
{
    sc_buffer_unref(p->map);
    *p = (sc_pairs){0};
}
