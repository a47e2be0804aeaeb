/* SPDX-License-Identifier: Apache-2.0 */
/* The tree of a page. gumbo asks for every piece of memory and cannot do without, so it gets them from pieces that are used
 * again for the next page, and when those are more than the limit it is left by a long jump: nothing of its is outside them. */
#include "data/html.h"

#include <setjmp.h>

enum { CHUNK = 1 << 20, ALIGN = 16, KEPT_CHUNKS = 64 };

typedef struct chunk {
    struct chunk *next;
    int64_t size;
    _Alignas(ALIGN) char data[];
} chunk;

struct sc_html_tree {
    chunk *first, *now;
    int64_t at;          /* in `now` */
    int64_t total, most; /* bytes of all chunks in use */
    bool nomem;
    jmp_buf out;
};

sc_status sc_html_tree_new(sc_html_tree **out)
{
    sc_html_tree *t = sc_calloc(1, sizeof *t);
    if (!t) return sc_nomem();
    *out = t;
    return SC_OK;
}

static void free_from(chunk *c)
{
    while (c) {
        chunk *next = c->next;
        sc_free(c);
        c = next;
    }
}

void sc_html_tree_free(sc_html_tree *t)
{
    if (!t) return;
    free_from(t->first);
    sc_free(t);
}

/* The next chunk with room for n bytes: one of an earlier page, or a new one in front of those. */
static chunk *next_chunk(sc_html_tree *t, int64_t n)
{
    chunk **place = t->now ? &t->now->next : &t->first, *c = *place;
    if (!c || c->size < n) {
        int64_t size = SC_MAX(n, CHUNK);
        c = sc_malloc(sizeof *c + (size_t)size);
        if (!c) return NULL;
        c->size = size;
        c->next = *place;
        *place = c;
    }
    return c;
}

static void *allocate(void *user, size_t size)
{
    sc_html_tree *t = user;
    int64_t n = ((int64_t)size + ALIGN - 1) / ALIGN * ALIGN;
    if (!t->now || t->at + n > t->now->size) {
        bool over = size > (size_t)t->most || t->total + n > t->most;
        chunk *c = over ? NULL : next_chunk(t, n);
        if (!c) {
            t->nomem = !over;
            longjmp(t->out, 1);
        }
        t->now = c;
        t->at = 0;
        t->total += c->size;
    }
    void *p = t->now->data + t->at;
    t->at += n;
    return p;
}

static void release(void *user, void *p)
{
    (void)user;
    (void)p;
}

/* What one page needed much of is not kept for all others. */
static void begin_again(sc_html_tree *t)
{
    chunk *c = t->first;
    for (int i = 1; c && i < KEPT_CHUNKS; i++) c = c->next;
    if (c) {
        free_from(c->next);
        c->next = NULL;
    }
    t->now = NULL;
    t->at = t->total = 0;
    t->nomem = false;
}

sc_status sc_html_parse(sc_html_tree *t, const char *p, int64_t n, int64_t memory, const GumboNode **root)
{
    begin_again(t);
    t->most = memory;
    GumboOptions o = kGumboDefaultOptions;
    o.allocator = allocate;
    o.deallocator = release;
    o.userdata = t;
    o.max_errors = 0;
    if (setjmp(t->out))
        return t->nomem ? sc_nomem()
                        : sc_fail(SC_ELIMIT, "the page's tree is larger than %lld bytes", (long long)memory);
    *root = gumbo_parse_with_options(&o, p, (size_t)n)->root;
    return SC_OK;
}
