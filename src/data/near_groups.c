/* SPDX-License-Identifier: Apache-2.0 */
/* Which of documents that are alike stay. Only those that are like another take memory, and where they are many it is a file's. */
#include "data/near.h"
#include "data/run.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct node {
    uint64_t ref;   /* and 1 more; 0: none is here */
    int64_t parent; /* where it is in the table; of a root: itself */
    int64_t place;  /* of sc_same, where it is an earlier one of a pair */
    int32_t file;
    float similarity; /* the greatest of its pairs */
} node;

typedef struct table {
    node *node;
    int64_t size; /* a power of two */
    bool mapped;
} table;

static sc_status map_file(const sc_deciding *x, table *t, int64_t bytes)
{
    char *path = sc_run_path(x->run, "groups.%ld", (long)getpid());
    if (!path) return sc_nomem();
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600), e = fd < 0 ? errno : 0;
    /* Its blocks are had beforehand: a disk that is full is an error here and no signal later. */
    if (fd >= 0) e = posix_fallocate(fd, 0, bytes);
    void *p = e ? MAP_FAILED : mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (!e && p == MAP_FAILED) e = errno;
    sc_status s = e ? sc_fail(SC_EIO, "cannot write %s: %s", path, strerror(e)) : SC_OK;
    if (fd >= 0) unlink(path);
    if (fd >= 0) close(fd);
    sc_free(path);
    if (s) return s;
    t->node = p;
    t->mapped = true;
    return SC_OK;
}

static sc_status table_open(const sc_deciding *x, table *t, int64_t pairs)
{
    int64_t bytes;
    for (t->size = 1024; t->size < pairs * 3; t->size *= 2) continue;
    if (!sc_mul_ok(t->size, (int64_t)sizeof *t->node, &bytes)) return sc_nomem();
    if (bytes > x->memory) return map_file(x, t, bytes);
    t->node = sc_calloc((size_t)t->size, sizeof *t->node);
    return t->node ? SC_OK : sc_nomem();
}

static void table_close(table *t)
{
    if (t->mapped)
        munmap(t->node, (size_t)t->size * sizeof *t->node);
    else
        sc_free(t->node);
}

static int64_t at(table *t, uint64_t ref)
{
    uint64_t h = sc_hash_number(0x9e3779b97f4a7c15u, ref) & (uint64_t)(t->size - 1);
    while (t->node[h].ref && t->node[h].ref != ref + 1) h = (h + 1) & (uint64_t)(t->size - 1);
    if (!t->node[h].ref) t->node[h] = (node){.ref = ref + 1, .parent = (int64_t)h};
    return (int64_t)h;
}

static int64_t root(table *t, int64_t i)
{
    for (; t->node[i].parent != i; i = t->node[i].parent) t->node[i].parent = t->node[t->node[i].parent].parent;
    return i;
}

static void join(table *t, int64_t a, int64_t b, bool greedy)
{
    if (greedy) { /* b is the earlier; pairs come in the order of the later */
        if (t->node[a].parent == a && t->node[b].parent == b) t->node[a].parent = b;
        return;
    }
    a = root(t, a);
    b = root(t, b);
    if (t->node[a].ref < t->node[b].ref)
        t->node[b].parent = a;
    else
        t->node[a].parent = b;
}

static sc_status count_pairs(const sc_deciding *x, int64_t *n)
{
    sc_merge *m;
    sc_note note;
    bool more;
    sc_status s = sc_deciding_notes(x, &m, 0, UINT64_MAX);
    while (!s && !(s = sc_merge_next(m, &note, &more)) && more) ++*n;
    sc_merge_close(m);
    return s;
}

static sc_status take_pairs(const sc_deciding *x, table *t, bool greedy)
{
    sc_merge *m;
    sc_note note;
    bool more;
    sc_status s = sc_deciding_notes(x, &m, 0, UINT64_MAX);
    while (!s && !(s = sc_merge_next(m, &note, &more)) && more) {
        sc_same same;
        if (note.n != sizeof same) {
            s = sc_fail(SC_EFORMAT, "a note is damaged");
            break;
        }
        memcpy(&same, note.p, sizeof same);
        int64_t later = at(t, note.key), earlier = at(t, note.ref);
        node *a = &t->node[later], *b = &t->node[earlier];
        a->similarity = SC_MAX(a->similarity, same.similarity);
        b->similarity = SC_MAX(b->similarity, same.similarity);
        b->file = same.file;
        b->place = same.place;
        join(t, later, earlier, greedy);
    }
    sc_merge_close(m);
    return s;
}

sc_status sc_near_groups(const sc_deciding *x, bool greedy, sc_spill *out)
{
    table t = {0};
    int64_t pairs = 0;
    sc_status s = count_pairs(x, &pairs);
    if (!s) s = table_open(x, &t, pairs);
    if (!s) s = take_pairs(x, &t, greedy);
    for (int64_t i = 0; !s && i < t.size; i++) {
        const node *n = &t.node[i];
        if (!n->ref || n->parent == i) continue;
        const node *first = &t.node[root(&t, i)];
        sc_same same = {.file = first->file, .place = first->place, .similarity = n->similarity};
        s = sc_spill_add(out, n->ref - 1, first->ref - 1, &same, sizeof same);
    }
    if (t.node) table_close(&t);
    return s;
}
