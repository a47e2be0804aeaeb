/* SPDX-License-Identifier: Apache-2.0 */
/* Notes sorted on disk. What fits in memory is sorted and written as a run, with the key of each block of it behind; many
 * files' runs are merged where they are read, of which only the blocks between two keys are touched. The order is total (key,
 * ref, bytes), so what comes out does not depend on how notes fell into runs and files. */
#include "data/run.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { BLOCK = 64 << 10, RECORD = 20, RECORD_MAX = 1 << 30 };
static const char magic[8] = "SCSPILL1";

typedef struct entry {
    uint64_t key, ref;
    int64_t at; /* of its bytes */
} entry;

typedef struct block {
    uint64_t key;
    int64_t at; /* in the file */
} block;

typedef struct run {
    int64_t begin, end, blocks, n_blocks; /* blocks: where their keys are */
} run;

/* ---- writing ---- */

struct sc_spill {
    sc_writer *file;
    int64_t memory;
    entry *entry, *other;
    int64_t n, cap, cap_other;
    char *bytes; /* of each entry a u32 and so many bytes */
    int64_t n_bytes, cap_bytes;
    run *run;
    int64_t runs, cap_runs;
    block *block;
    int64_t n_blocks, cap_blocks;
};

sc_status sc_spill_open(sc_spill **out, const char *path, int64_t memory)
{
    sc_spill *s = sc_calloc(1, sizeof *s);
    if (!s) return sc_nomem();
    s->memory = SC_MAX(memory, 1 << 16);
    sc_status e = sc_writer_open(&s->file, path);
    if (e)
        sc_free(s);
    else
        *out = s;
    return e;
}

void sc_spill_close(sc_spill *s)
{
    if (!s) return;
    sc_writer_close(s->file);
    sc_free(s->entry);
    sc_free(s->other);
    sc_free(s->bytes);
    sc_free(s->run);
    sc_free(s->block);
    sc_free(s);
}

static int compare_bytes(const char *a, const char *b)
{
    uint32_t n, m;
    memcpy(&n, a, sizeof n);
    memcpy(&m, b, sizeof m);
    int c = memcmp(a + sizeof n, b + sizeof m, SC_MIN(n, m));
    return c ? c : (n > m) - (n < m);
}

static bool before(const entry *a, const entry *b, const char *bytes)
{
    if (a->key != b->key) return a->key < b->key;
    if (a->ref != b->ref) return a->ref < b->ref;
    return compare_bytes(bytes + a->at, bytes + b->at) < 0;
}

/* Heap sort, for the few or many whose keys are the same. */
static void sort_ties(entry *e, int64_t n, const char *bytes)
{
    bool sorted = true;
    for (int64_t i = 1; sorted && i < n; i++) sorted = !before(&e[i], &e[i - 1], bytes);
    if (sorted) return;
    for (int64_t end = n, begin = n / 2; end > 1;) {
        entry x;
        if (begin > 0) {
            x = e[--begin];
        } else {
            x = e[--end];
            e[end] = e[0];
        }
        int64_t at = begin;
        for (int64_t child; (child = 2 * at + 1) < end; at = child) {
            if (child + 1 < end && before(&e[child], &e[child + 1], bytes)) child++;
            if (!before(&x, &e[child], bytes)) break;
            e[at] = e[child];
        }
        e[at] = x;
    }
}

/* By key, a byte at a time from the lowest; bytes in which all agree are passed over. */
static sc_status sort_entries(sc_spill *s)
{
    if (!sc_grow(&s->other, &s->cap_other, s->n, sizeof *s->other)) return sc_nomem();
    entry *from = s->entry, *to = s->other;
    for (int shift = 0; shift < 64; shift += 8) {
        int64_t count[257] = {0};
        for (int64_t i = 0; i < s->n; i++) count[(from[i].key >> shift & 255) + 1]++;
        if (count[(from[0].key >> shift & 255) + 1] == s->n) continue;
        for (int i = 0; i < 256; i++) count[i + 1] += count[i];
        for (int64_t i = 0; i < s->n; i++) to[count[from[i].key >> shift & 255]++] = from[i];
        entry *x = from;
        from = to;
        to = x;
    }
    if (from != s->entry) memcpy(s->entry, from, (size_t)s->n * sizeof *from);
    for (int64_t i = 0, k; i < s->n; i = k) {
        for (k = i + 1; k < s->n && s->entry[k].key == s->entry[i].key; k++) continue;
        if (k > i + 1) sort_ties(s->entry + i, k - i, s->bytes);
    }
    return SC_OK;
}

static sc_status write_run(sc_spill *s)
{
    run r = {.begin = sc_writer_tell(s->file)};
    int64_t last = -1;
    sc_status e = s->n ? sort_entries(s) : SC_OK;
    s->n_blocks = 0;
    for (int64_t i = 0; !e && i < s->n; i++) {
        const entry *x = &s->entry[i];
        int64_t at = sc_writer_tell(s->file);
        uint32_t n;
        memcpy(&n, s->bytes + x->at, sizeof n);
        if (last < 0 || at - last >= BLOCK) {
            if (!sc_grow(&s->block, &s->cap_blocks, s->n_blocks + 1, sizeof *s->block)) return sc_nomem();
            s->block[s->n_blocks++] = (block){x->key, at};
            last = at;
        }
        e = sc_writer_write(s->file, x, 16); /* key, ref */
        if (!e) e = sc_writer_write(s->file, s->bytes + x->at, (int64_t)sizeof n + n);
    }
    if (e || !s->n) return e;
    if (!sc_grow(&s->run, &s->cap_runs, s->runs + 1, sizeof *s->run)) return sc_nomem();
    r.end = r.blocks = sc_writer_tell(s->file);
    r.n_blocks = s->n_blocks;
    s->run[s->runs++] = r;
    s->n = s->n_bytes = 0;
    return sc_writer_write(s->file, s->block, s->n_blocks * (int64_t)sizeof *s->block);
}

sc_status sc_spill_add(sc_spill *s, uint64_t key, uint64_t ref, const void *p, int64_t n)
{
    if (n > RECORD_MAX) return sc_fail(SC_ELIMIT, "a note of %lld bytes", (long long)n);
    uint32_t size = (uint32_t)n;
    int64_t need = s->n_bytes + (int64_t)sizeof size + n;
    /* Sorting takes a second array of entries. */
    if (s->n && (s->n + 1) * 2 * (int64_t)sizeof *s->entry + need > s->memory) {
        sc_status e = write_run(s);
        if (e) return e;
        need = (int64_t)sizeof size + n;
    }
    if (!sc_grow(&s->entry, &s->cap, s->n + 1, sizeof *s->entry) || !sc_grow(&s->bytes, &s->cap_bytes, need, 1))
        return sc_nomem();
    s->entry[s->n++] = (entry){key, ref, s->n_bytes};
    memcpy(s->bytes + s->n_bytes, &size, sizeof size);
    if (n) memcpy(s->bytes + s->n_bytes + sizeof size, p, (size_t)n);
    s->n_bytes = need;
    return SC_OK;
}

sc_status sc_spill_commit(sc_spill *s)
{
    sc_status e = write_run(s);
    if (!e) e = sc_writer_write(s->file, s->run, s->runs * (int64_t)sizeof *s->run);
    if (!e) e = sc_writer_write(s->file, &s->runs, sizeof s->runs);
    if (!e) e = sc_writer_write(s->file, magic, sizeof magic);
    return e ? e : sc_writer_commit(s->file);
}

/* ---- reading ---- */

typedef struct cursor {
    int64_t file, pos, end; /* pos: what comes after the buffer */
    char *buf;
    int64_t at, have, cap;
    sc_note note;
} cursor;

struct sc_merge {
    char **path;
    int64_t n_paths;
    uint64_t hi;
    int64_t chunk;
    cursor *cursor;
    int64_t n, cap;
    cursor **heap;
    int64_t live;
    bool began;
};

static sc_status read_at(const char *path, int64_t at, void *p, int64_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    sc_status s = fd < 0 ? sc_fail(SC_EIO, "cannot read %s: %s", path, strerror(errno)) : SC_OK;
    for (char *to = p; !s && n > 0;) {
        ssize_t k = pread(fd, to, (size_t)SC_MIN(n, 1 << 30), at);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) s = sc_fail(SC_EIO, "cannot read %s: %s", path, strerror(errno));
        if (k == 0) s = sc_fail(SC_EFORMAT, "%s is shorter than it says", path);
        if (k > 0) to += k, at += k, n -= k;
    }
    if (fd >= 0) close(fd);
    return s;
}

static sc_status fill(sc_merge *m, cursor *c)
{
    int64_t rest = c->have - c->at, need = RECORD;
    if (rest >= RECORD) {
        uint32_t n;
        memcpy(&n, c->buf + c->at + 16, sizeof n);
        need += n;
    }
    int64_t size = SC_MAX(need, SC_MIN(m->chunk, rest + c->end - c->pos));
    if (need > rest + c->end - c->pos) return sc_fail(SC_EFORMAT, "%s is damaged", m->path[c->file]);
    if (rest) memmove(c->buf, c->buf + c->at, (size_t)rest);
    if (!sc_grow(&c->buf, &c->cap, size, 1)) return sc_nomem();
    int64_t more = SC_MIN(size - rest, c->end - c->pos);
    sc_status s = read_at(m->path[c->file], c->pos, c->buf + rest, more);
    if (s) return s;
    c->pos += more;
    c->at = 0;
    c->have = rest + more;
    return SC_OK;
}

/* The cursor's next note; *more false: it has none up to m->hi. */
static sc_status advance(sc_merge *m, cursor *c, bool *more)
{
    *more = false;
    c->at += c->note.p ? RECORD + c->note.n : 0;
    c->note.p = NULL;
    if (c->at == c->have && c->pos == c->end) return SC_OK;
    for (int i = 0; i < 2; i++) {
        uint32_t n = 0;
        if (c->have - c->at >= RECORD) memcpy(&n, c->buf + c->at + 16, sizeof n);
        if (c->have - c->at >= RECORD + (int64_t)n) break;
        sc_status s = fill(m, c);
        if (s) return s;
    }
    uint32_t n;
    const char *p = c->buf + c->at;
    memcpy(&n, p + 16, sizeof n);
    memcpy(&c->note.key, p, 8);
    memcpy(&c->note.ref, p + 8, 8);
    c->note.p = p + RECORD;
    c->note.n = n;
    *more = c->note.key <= m->hi;
    return SC_OK;
}

/* Where in a run notes of keys from lo on begin, or a little before. */
static sc_status find_block(const char *path, const run *r, uint64_t lo, int64_t *pos)
{
    int64_t low = 0, high = r->n_blocks; /* the first block whose key is not below lo is in (low, high] */
    block b;
    *pos = r->begin;
    while (low < high) {
        int64_t mid = low + (high - low) / 2;
        sc_status s = read_at(path, r->blocks + mid * (int64_t)sizeof b, &b, sizeof b);
        if (s) return s;
        if (b.key < lo) {
            low = mid + 1;
            *pos = b.at;
        } else {
            high = mid;
        }
    }
    return SC_OK;
}

static sc_status add_file(sc_merge *m, int64_t file, uint64_t lo)
{
    struct {
        int64_t runs;
        char magic[8];
    } tail;
    int64_t size = -1;
    run *r = NULL;
    const char *path = m->path[file];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) size = lseek(fd, 0, SEEK_END);
    if (fd >= 0) close(fd);
    if (size < 0) return sc_fail(SC_EIO, "cannot read %s: %s", path, strerror(errno));
    sc_status s = size < (int64_t)sizeof tail ? sc_fail(SC_EFORMAT, "%s is damaged", path)
                                              : read_at(path, size - (int64_t)sizeof tail, &tail, sizeof tail);
    if (!s &&
        (memcmp(tail.magic, magic, sizeof magic) != 0 || tail.runs < 0 || tail.runs > size / (int64_t)sizeof(run)))
        s = sc_fail(SC_EFORMAT, "%s is damaged", path);
    int64_t bytes = s ? 0 : tail.runs * (int64_t)sizeof *r;
    if (!s && !(r = sc_malloc((size_t)bytes))) s = sc_nomem();
    if (!s) s = read_at(path, size - (int64_t)sizeof tail - bytes, r, bytes);
    for (int64_t i = 0; !s && i < tail.runs; i++) {
        cursor c = {.file = file, .end = r[i].end};
        s = find_block(path, &r[i], lo, &c.pos);
        if (!s && !sc_grow(&m->cursor, &m->cap, m->n + 1, sizeof *m->cursor)) s = sc_nomem();
        if (!s) m->cursor[m->n++] = c;
    }
    sc_free(r);
    return s;
}

static bool first_of(const cursor *a, const cursor *b)
{
    if (a->note.key != b->note.key) return a->note.key < b->note.key;
    if (a->note.ref != b->note.ref) return a->note.ref < b->note.ref;
    int c = memcmp(a->note.p, b->note.p, (size_t)SC_MIN(a->note.n, b->note.n));
    if (c || a->note.n != b->note.n) return c ? c < 0 : a->note.n < b->note.n;
    return a < b;
}

static void sift(sc_merge *m, int64_t at)
{
    cursor *x = m->heap[at];
    for (int64_t child; (child = 2 * at + 1) < m->live; at = child) {
        if (child + 1 < m->live && first_of(m->heap[child + 1], m->heap[child])) child++;
        if (!first_of(m->heap[child], x)) break;
        m->heap[at] = m->heap[child];
    }
    m->heap[at] = x;
}

sc_status sc_merge_open(sc_merge **out, char *const *path, int64_t n, uint64_t lo, uint64_t hi, int64_t memory)
{
    sc_merge *m = sc_calloc(1, sizeof *m);
    sc_status s = m && (m->path = sc_calloc((size_t)n + 1, sizeof *m->path)) ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        m->path[i] = sc_strdup(path[i]);
        m->n_paths++;
        s = m->path[i] ? add_file(m, i, lo) : sc_nomem();
    }
    if (!s && !(m->heap = sc_calloc((size_t)m->n + 1, sizeof(cursor *)))) s = sc_nomem();
    if (!s) m->chunk = SC_MAX(4096, SC_MIN(1 << 20, memory / SC_MAX(m->n, 1)));
    if (!s) m->hi = hi;
    for (int64_t i = 0; !s && i < m->n; i++) {
        cursor *c = &m->cursor[i];
        bool more;
        do s = advance(m, c, &more);
        while (!s && more && c->note.key < lo);
        if (!s && more) m->heap[m->live++] = c;
    }
    for (int64_t i = s ? 0 : m->live / 2; i-- > 0;) sift(m, i);
    if (s)
        sc_merge_close(m);
    else
        *out = m;
    return s;
}

void sc_merge_close(sc_merge *m)
{
    if (!m) return;
    for (int64_t i = 0; i < m->n; i++) sc_free(m->cursor[i].buf);
    for (int64_t i = 0; i < m->n_paths; i++) sc_free(m->path[i]);
    sc_free(m->path);
    sc_free(m->cursor);
    sc_free(m->heap);
    sc_free(m);
}

sc_status sc_merge_next(sc_merge *m, sc_note *note, bool *more)
{
    if (m->began && m->live) {
        sc_status s = advance(m, m->heap[0], more);
        if (s) return s;
        if (!*more) m->heap[0] = m->heap[--m->live];
        if (m->live) sift(m, 0);
    }
    m->began = true;
    *more = m->live > 0;
    if (*more) *note = m->heap[0]->note;
    return SC_OK;
}
