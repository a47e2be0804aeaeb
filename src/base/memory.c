/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *sc_malloc(size_t n) { return malloc(n ? n : 1); }
void *sc_calloc(size_t n, size_t size) { return calloc(n ? n : 1, size ? size : 1); }
void *sc_realloc(void *p, size_t n) { return realloc(p, n ? n : 1); }
void sc_free(void *p) { free(p); }

char *sc_strndup(const char *s, size_t n)
{
    char *p = sc_malloc(n + 1);
    if (!p) return NULL;
    memcpy(p, s, n);
    p[n] = 0;
    return p;
}

char *sc_strdup(const char *s) { return sc_strndup(s, strlen(s)); }

int64_t sc_memory_size(void)
{
    int64_t pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE), n;
    return pages > 0 && size > 0 && sc_mul_ok(pages, size, &n) ? n : INT64_MAX;
}

bool sc_grow(void *p, int64_t *cap, int64_t need, size_t size)
{
    if (need <= *cap) return true;
    int64_t want = SC_MAX(need, *cap + *cap / 2), bytes;
    want = SC_MAX(want, 16);
    if (!sc_mul_ok(want, (int64_t)size, &bytes)) return false;
    void *old, *grown;
    memcpy(&old, p, sizeof old);
    if (!(grown = realloc(old, (size_t)bytes))) return false;
    memcpy(p, &grown, sizeof grown);
    *cap = want;
    return true;
}

/* ---- arena: a list of chunks, each twice the last up to a limit ---- */

typedef struct chunk {
    struct chunk *next;
    size_t used, size;
    _Alignas(16) unsigned char data[];
} chunk;

struct sc_arena {
    chunk *head;
    size_t next_size;
};

sc_arena *sc_arena_new(void)
{
    sc_arena *a = sc_calloc(1, sizeof *a);
    if (a) a->next_size = 4096;
    return a;
}

void sc_arena_free(sc_arena *a)
{
    if (!a) return;
    for (chunk *c = a->head, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(a);
}

void *sc_arena_alloc(sc_arena *a, size_t n)
{
    if (n > SIZE_MAX / 4) return NULL;
    n = (n + 15) & ~(size_t)15;
    if (!a->head || a->head->size - a->head->used < n) {
        size_t size = SC_MAX(a->next_size, n);
        chunk *c = calloc(1, sizeof *c + size);
        if (!c) return NULL;
        c->size = size;
        c->next = a->head;
        a->head = c;
        if (a->next_size < 1u << 20) a->next_size *= 2;
    }
    void *p = a->head->data + a->head->used;
    a->head->used += n;
    return p;
}

char *sc_arena_strndup(sc_arena *a, const char *s, size_t n)
{
    char *p = sc_arena_alloc(a, n + 1);
    if (p) memcpy(p, s, n);
    return p;
}

char *sc_arena_printf(sc_arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : sc_arena_alloc(a, (size_t)n + 1);
    if (!p) return NULL;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

/* ---- buffers ---- */

static void free_data(sc_buffer *b) { free(b->data); }

sc_status sc_buffer_wrap(sc_buffer **out, void *data, int64_t size, void (*free_fn)(sc_buffer *), void *user)
{
    sc_buffer *b = sc_calloc(1, sizeof *b);
    if (!b) return sc_nomem();
    atomic_init(&b->refs, 1);
    b->data = data;
    b->size = size;
    b->free = free_fn;
    b->user = user;
    *out = b;
    return SC_OK;
}

enum { LARGE_PAGE = 2 << 20 };

static void free_pages(sc_buffer *b) { munmap(b->user, (size_t)b->size + LARGE_PAGE); }

/* In the system's large pages where it gives them. */
static sc_status map_pages(sc_buffer **out, int64_t size, int flags)
{
    int64_t room;
    if (size < 0 || !sc_add_ok(size, LARGE_PAGE, &room))
        return sc_fail(SC_ELIMIT, "buffer of %lld bytes", (long long)size);
    void *base = mmap(NULL, (size_t)room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
    if (base == MAP_FAILED) return sc_fail(SC_ENOMEM, "out of memory: a buffer of %lld bytes", (long long)size);
    char *data = (char *)base + (LARGE_PAGE - (uintptr_t)base % LARGE_PAGE) % LARGE_PAGE;
#if defined(MADV_HUGEPAGE)
    (void)madvise(data, (size_t)size, MADV_HUGEPAGE); /* only faster */
#endif
    sc_status s = sc_buffer_wrap(out, data, size, free_pages, base);
    if (s) munmap(base, (size_t)room);
    return s;
}

sc_status sc_buffer_pages(sc_buffer **out, int64_t size) { return map_pages(out, size, MAP_NORESERVE); }

sc_status sc_buffer_new(sc_buffer **out, int64_t size)
{
    int64_t padded;
    if (size >= 2 * LARGE_PAGE) return map_pages(out, size, 0);
    if (size < 0 || !sc_add_ok(size, 127, &padded))
        return sc_fail(SC_ELIMIT, "buffer of %lld bytes", (long long)size);
    void *data = aligned_alloc(64, (size_t)(padded & ~(int64_t)63));
    if (!data) return sc_fail(SC_ENOMEM, "out of memory: a buffer of %lld bytes", (long long)size);
    sc_status s = sc_buffer_wrap(out, data, size, free_data, NULL);
    if (s) free(data);
    return s;
}

sc_buffer *sc_buffer_ref(sc_buffer *b)
{
    if (b) atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void sc_buffer_unref(sc_buffer *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1) return;
    if (b->free) b->free(b);
    free(b);
}
