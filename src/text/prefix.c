/* SPDX-License-Identifier: Apache-2.0 */
/* A tree over strings as a double array: a node is a unit, its child by a byte is the unit at base + byte whose parent
 * it is. One array access a byte, which is what searching a vocabulary at every position needs. */
#include "text/text.h"

enum { WINDOW = 4096 };

typedef struct entry {
    const uint8_t *p;
    int64_t n;
    int32_t value;
} entry;

typedef struct range { /* the children of `node`, entries [begin, end), which agree in their first `depth` bytes */
    int32_t node;
    int64_t begin, end, depth;
} range;

typedef struct builder {
    sc_prefix_tree *t;
    entry *e;
    range *stack;
    int64_t n_stack, stack_cap;
    int64_t used;  /* units below are in use or known to be crowded */
    int64_t taken; /* the highest unit in use and one */
} builder;

static int by_bytes(const void *x, const void *y)
{
    const entry *a = x, *b = y;
    int c = memcmp(a->p, b->p, (size_t)SC_MIN(a->n, b->n));
    if (c) return c;
    if (a->n != b->n) return a->n < b->n ? -1 : 1;
    return (a->value > b->value) - (a->value < b->value);
}

static bool reach(sc_prefix_tree *t, int64_t units)
{
    int64_t had = t->n;
    if (units <= had) return true;
    int64_t want = SC_MAX(units, had + had / 2);
    if (want >= INT32_MAX || !sc_grow(&t->unit, &t->cap, want, sizeof(*t->unit))) return false;
    for (int64_t i = had; i < want; i++) t->unit[i] = (struct sc_prefix_unit){0, -1, -1};
    t->n = want;
    return true;
}

/* The first base at which all the bytes find a free unit. Stretches that are nearly full are not looked at again, nor what lies
 * further than WINDOW before the end: strings can be made to leave holes that nothing fits, and each node would try them all. */
static int64_t find_base(builder *b, const uint8_t *bytes, int n)
{
    int64_t from = SC_MAX(SC_MAX(b->used, b->taken - WINDOW), (int64_t)bytes[0] + 1), at = from, full = 0;
    bool first = true;
    for (;; at++) {
        if (!reach(b->t, at + 512)) return -1;
        if (b->t->unit[at].parent >= 0) {
            full++;
            continue;
        }
        if (first) b->used = at;
        first = false;
        int64_t base = at - bytes[0];
        int k = 1;
        while (k < n && b->t->unit[base + bytes[k]].parent < 0) k++;
        if (k < n) continue;
        if (full * 20 >= (at - from + 1) * 19) b->used = at;
        return base;
    }
}

static bool place(builder *b, range r)
{
    uint8_t bytes[256];
    int n = 0;
    int64_t i = r.begin;
    while (i < r.end && b->e[i].n == r.depth) b->t->unit[r.node].value = b->e[i++].value;
    r.begin = i;
    if (r.begin == r.end) return true;
    for (; i < r.end; i++) {
        if (n == 0 || bytes[n - 1] != b->e[i].p[r.depth]) bytes[n++] = b->e[i].p[r.depth];
    }
    int64_t base = find_base(b, bytes, n);
    if (base < 0 || !sc_grow(&b->stack, &b->stack_cap, b->n_stack + n, sizeof(*b->stack))) return false;
    b->t->unit[r.node].base = (int32_t)base;
    i = r.begin;
    for (int k = 0; k < n; k++) {
        range child = {.node = (int32_t)(base + bytes[k]), .begin = i, .depth = r.depth + 1};
        while (i < r.end && b->e[i].p[r.depth] == bytes[k]) i++;
        child.end = i;
        b->t->unit[child.node].parent = r.node;
        b->taken = SC_MAX(b->taken, (int64_t)child.node + 1);
        b->stack[b->n_stack++] = child;
    }
    return true;
}

sc_status sc_prefix_build(sc_prefix_tree *t, const sc_slice *keys, const int32_t *values, int64_t n)
{
    builder b = {.t = t, .used = 1};
    bool ok = reach(t, 1024);
    b.e = sc_malloc((size_t)SC_MAX(n, 1) * sizeof(*b.e));
    ok = ok && b.e && sc_grow(&b.stack, &b.stack_cap, 256, sizeof(*b.stack));
    int64_t count = 0;
    for (int64_t i = 0; ok && i < n; i++) {
        if (keys[i].n > 0) b.e[count++] = (entry){(const uint8_t *)keys[i].p, keys[i].n, values[i]};
    }
    if (ok) {
        qsort(b.e, (size_t)count, sizeof(*b.e), by_bytes);
        t->unit[0].parent = 0;
        b.stack[b.n_stack++] = (range){0, 0, count, 0};
    }
    while (ok && b.n_stack > 0) ok = place(&b, b.stack[--b.n_stack]);
    sc_free(b.e);
    sc_free(b.stack);
    return ok ? SC_OK : sc_nomem();
}

void sc_prefix_free(sc_prefix_tree *t)
{
    sc_free(t->unit);
    memset(t, 0, sizeof(*t));
}
