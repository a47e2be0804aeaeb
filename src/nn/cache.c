/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/nn.h"

enum { TILE = SC_ATTENTION_TILE };

typedef struct sequence {
    int64_t length;
    int32_t *page; /* ceil(length / TILE) of them */
} sequence;

struct sc_cache {
    sc_cache_spec spec;
    sc_dtype dtype;
    int64_t pages, free_count;
    int32_t *free;     /* a stack of pages without references */
    int32_t *refs;     /* of each page */
    sc_buffer **store; /* of each layer: keys, then values */
    int n_sequences;
    sequence *seq;
};

static int64_t pages_for(int64_t tokens) { return (tokens + TILE - 1) / TILE; }

/* Bytes of one page of keys (or values) in a layer. */
static int64_t page_bytes(const sc_cache *c, int layer)
{
    return sc_dtype_size(c->dtype, c->spec.layer[layer].kv_heads * TILE * c->spec.layer[layer].d);
}

sc_status sc_cache_new(sc_cache **out, const sc_cache_spec *spec, sc_dtype dtype, int64_t tokens, int sequences)
{
    if (tokens < 1 || tokens > (int64_t)1 << 30)
        return sc_fail(SC_ELIMIT, "a cache for %lld tokens, outside 1 to 2^30", (long long)tokens);
    sc_cache *c = sc_calloc(1, sizeof *c);
    if (!c) return sc_nomem();
    sc_status s = SC_OK;
    c->spec = *spec;
    c->dtype = dtype;
    /* Each sequence may leave its last page half empty. */
    c->pages = pages_for(tokens) + sequences;
    c->n_sequences = sequences;
    c->free = sc_calloc((size_t)c->pages, sizeof *c->free);
    c->refs = sc_calloc((size_t)c->pages, sizeof *c->refs);
    c->seq = sc_calloc((size_t)sequences, sizeof *c->seq);
    c->store = sc_calloc((size_t)spec->n_layers * 2, sizeof *c->store);
    if (!c->free || !c->refs || !c->seq || !c->store) s = sc_nomem();
    for (int i = 0; !s && i < sequences; i++)
        if (!(c->seq[i].page = sc_calloc((size_t)c->pages, sizeof *c->seq[i].page))) s = sc_nomem();
    int64_t total = 0;
    for (int i = 0; !s && i < spec->n_layers * 2; i++) {
        int64_t one = page_bytes(c, i / 2), bytes;
        if (spec->layer[i / 2].d % sc_dtype_get(dtype)->block) /* a page may still be whole blocks */
            s = sc_fail(SC_EUNSUPPORTED,
                        "a %s cache needs heads that are a multiple of %lld wide; layer %d has %lld",
                        sc_dtype_get(dtype)->name, (long long)sc_dtype_get(dtype)->block, i / 2,
                        (long long)spec->layer[i / 2].d);
        else if (one < 0 || !sc_mul_ok(one, c->pages, &bytes) || !sc_add_ok(total, bytes, &total) ||
                 total > sc_memory_size())
            s = sc_fail(SC_ELIMIT, "a cache for %lld tokens would take more than this machine's %lld bytes",
                        (long long)tokens, (long long)sc_memory_size());
        else
            s = sc_buffer_new(&c->store[i], bytes);
    }
    if (s) {
        sc_cache_free(c);
        return s;
    }
    for (int64_t i = 0; i < c->pages; i++) c->free[i] = (int32_t)(c->pages - 1 - i);
    c->free_count = c->pages;
    *out = c;
    return SC_OK;
}

void sc_cache_free(sc_cache *c)
{
    if (!c) return;
    for (int i = 0; c->store && i < c->spec.n_layers * 2; i++) sc_buffer_unref(c->store[i]);
    for (int i = 0; c->seq && i < c->n_sequences; i++) sc_free(c->seq[i].page);
    sc_free(c->store);
    sc_free(c->seq);
    sc_free(c->free);
    sc_free(c->refs);
    sc_free(c);
}

int64_t sc_cache_length(const sc_cache *c, int seq) { return c->seq[seq].length; }
int64_t sc_cache_pages(const sc_cache *c) { return c->pages; }

int64_t sc_cache_bytes(const sc_cache *c)
{
    int64_t n = 0;
    for (int i = 0; i < c->spec.n_layers * 2; i++) n += c->store[i]->size;
    return n;
}

static void drop(sc_cache *c, int32_t page)
{
    if (--c->refs[page] == 0) c->free[c->free_count++] = page;
}

static int32_t take(sc_cache *c)
{
    int32_t page = c->free[--c->free_count];
    c->refs[page] = 1;
    return page;
}

sc_status sc_cache_append(sc_cache *c, int seq, int64_t n, int32_t *slots)
{
    sequence *q = &c->seq[seq];
    int64_t have = pages_for(q->length), want = pages_for(q->length + n);
    bool split = q->length % TILE && c->refs[q->page[have - 1]] > 1; /* others read the page that grows */
    if (want - have + split > c->free_count)
        return sc_fail(SC_ELIMIT, "the cache is full: %lld tokens more where %lld fit", (long long)n,
                       (long long)(c->free_count * TILE));
    if (split) {
        int32_t old = q->page[have - 1], fresh = take(c);
        for (int i = 0; i < c->spec.n_layers * 2; i++) {
            int64_t bytes = page_bytes(c, i / 2);
            char *base = c->store[i]->data;
            memcpy(base + fresh * bytes, base + old * bytes, (size_t)bytes);
        }
        drop(c, old);
        q->page[have - 1] = fresh;
    }
    while (have < want) q->page[have++] = take(c);
    for (int64_t i = 0; i < n; i++, q->length++)
        slots[i] = (int32_t)(q->page[q->length / TILE] * TILE + q->length % TILE);
    return SC_OK;
}

void sc_cache_table(const sc_cache *c, int seq, int32_t *pages)
{
    int64_t have = pages_for(c->seq[seq].length);
    memcpy(pages, c->seq[seq].page, sizeof *pages * (size_t)have);
    memset(pages + have, 0, sizeof *pages * (size_t)(c->pages - have));
}

void sc_cache_trim(sc_cache *c, int seq, int64_t n)
{
    sequence *q = &c->seq[seq];
    if (n >= q->length) return;
    for (int64_t i = pages_for(q->length); i > pages_for(n); i--) drop(c, q->page[i - 1]);
    q->length = n;
}

void sc_cache_fork(sc_cache *c, int from, int to)
{
    if (from == to) return;
    sc_cache_trim(c, to, 0);
    int64_t n = pages_for(c->seq[from].length);
    for (int64_t i = 0; i < n; i++) c->refs[c->seq[to].page[i] = c->seq[from].page[i]]++;
    c->seq[to].length = c->seq[from].length;
}

void sc_cache_note(sc_graph *g, sc_cache_spec *spec, int layer, int64_t kv_heads, int64_t d)
{
    if (layer >= SC_COUNT(spec->layer)) {
        sc_graph_fault(g, sc_fail(SC_ELIMIT, "more than %d attention layers", SC_COUNT(spec->layer)));
        return;
    }
    spec->n_layers = layer + 1;
    spec->layer[layer].kv_heads = kv_heads;
    spec->layer[layer].d = d;
}

sc_kv sc_cache_layer(sc_graph *g, const sc_cache *c, int layer)
{
    sc_kv kv = {0};
    if (layer >= c->spec.n_layers) {
        sc_graph_fault(g, sc_fail(SC_EINVAL, "layer %d of a cache of %d", layer, c->spec.n_layers));
        return kv;
    }
    int64_t heads = c->spec.layer[layer].kv_heads, d = c->spec.layer[layer].d;
    sc_shape shape = {4, {c->pages, heads, TILE, d}};
    sc_storage st = {.dtype = c->dtype, .stride = {heads * TILE * d, TILE * d, d, 1}};
    for (int i = 0; i < 2; i++) {
        st.buffer = c->store[layer * 2 + i];
        st.data = st.buffer->data;
        sc_tensor *t = sc_graph_state(g, i ? "cache.value" : "cache.key", &shape, &st);
        *(i ? &kv.v : &kv.k) = t;
    }
    return kv;
}
