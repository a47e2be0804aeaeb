/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/nn.h"

enum { TILE = SC_ATTENTION_TILE };

/* The states after the first `length` tokens of a sequence. */
typedef struct kept {
    int64_t length;
    int32_t slot; /* -1: none */
} kept;

typedef struct sequence {
    int64_t length;
    int32_t *page; /* ceil(length / TILE) of them */
    kept now, before, mark;
} sequence;

enum { KEPT = 3 }; /* slots of a sequence, at most */
static const kept nothing = {0, -1};

struct sc_cache {
    sc_cache_spec spec;
    sc_dtype dtype;
    int64_t pages, free_count;
    int32_t *free;     /* a stack of pages without references */
    int32_t *refs;     /* of each page */
    sc_buffer *store;  /* pages one after the other, in each the keys and then the values of every layer */
    int64_t *at;       /* (2 layers + 1) where they begin in a page; the last is a page's bytes */
    sc_buffer **state; /* of each recurrent state: (slots, rows, n) */
    int32_t slots, free_slots;
    int32_t *free_slot, *slot_refs;
    int n_sequences;
    sequence *seq;
};

static int64_t pages_for(int64_t tokens) { return (tokens + TILE - 1) / TILE; }

/* The width of a layer's keys (even i) or values. */
static int64_t width_of(const sc_cache_spec *spec, int i)
{
    return i % 2 ? spec->layer[i / 2].v_d : spec->layer[i / 2].d;
}

static sc_status too_large(int64_t tokens)
{
    return sc_fail(SC_ELIMIT, "a cache for %lld tokens would take more than this machine's %lld bytes",
                   (long long)tokens, (long long)sc_memory_size());
}

/* The slots of recurrent states; `total` is what the cache takes so far. */
static sc_status make_states(sc_cache *c, int64_t tokens, int64_t total)
{
    const sc_cache_spec *spec = &c->spec;
    c->slots = spec->n_states ? KEPT * c->n_sequences : 0;
    c->state = sc_calloc((size_t)spec->n_states, sizeof *c->state);
    c->free_slot = sc_calloc((size_t)c->slots, sizeof *c->free_slot);
    c->slot_refs = sc_calloc((size_t)c->slots, sizeof *c->slot_refs);
    if (!c->state || !c->free_slot || !c->slot_refs) return sc_nomem();
    while (c->free_slots < c->slots) {
        c->free_slot[c->free_slots] = c->slots - 1 - c->free_slots;
        c->free_slots++;
    }
    for (int i = 0; i < spec->n_states; i++) {
        int64_t bytes = (int64_t)sizeof(float) * c->slots;
        if (!sc_mul_ok(bytes, spec->state[i].rows, &bytes) || !sc_mul_ok(bytes, spec->state[i].n, &bytes) ||
            !sc_add_ok(total, bytes, &total) || total > sc_memory_size())
            return too_large(tokens);
        sc_status s = sc_buffer_new(&c->state[i], bytes);
        if (s) return s;
    }
    return SC_OK;
}

/* The pages. All layers share them, so that what a few tokens need lies together, in few of the system's pages, which
 * are large ones where it has them: attention reads a tile here and a tile there. */
static sc_status make_store(sc_cache *c, int64_t tokens, int64_t *total)
{
    const sc_dtype_info *type = sc_dtype_get(c->dtype);
    int n = c->spec.n_layers * 2;
    if (!(c->at = sc_calloc((size_t)n + 1, sizeof *c->at))) return sc_nomem();
    for (int i = 0; i < n; i++) {
        int64_t width = width_of(&c->spec, i), rows, bytes;
        if (width % type->block) /* heads are whole blocks */
            return sc_fail(SC_EUNSUPPORTED,
                           "a %s cache needs heads that are a multiple of %lld wide; layer %d has %lld", type->name,
                           (long long)type->block, i / 2, (long long)width);
        if (!sc_mul_ok(c->spec.layer[i / 2].kv_heads, TILE, &rows) || !sc_mul_ok(rows, width, &bytes) ||
            (bytes = sc_dtype_size(c->dtype, bytes)) < 0 || !sc_add_ok(c->at[i], bytes, &c->at[i + 1]))
            return too_large(tokens);
    }
    if (!sc_mul_ok(c->at[n], c->pages, total) || *total > sc_memory_size()) return too_large(tokens);
    return sc_buffer_pages(&c->store, *total);
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
    if (!c->free || !c->refs || !c->seq) s = sc_nomem();
    for (int i = 0; !s && i < sequences; i++) {
        c->seq[i].now = c->seq[i].before = c->seq[i].mark = nothing;
        if (!(c->seq[i].page = sc_calloc((size_t)c->pages, sizeof *c->seq[i].page))) s = sc_nomem();
    }
    int64_t total = 0;
    if (!s) s = make_store(c, tokens, &total);
    if (!s) s = make_states(c, tokens, total);
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
    sc_buffer_unref(c->store);
    for (int i = 0; c->state && i < c->spec.n_states; i++) sc_buffer_unref(c->state[i]);
    for (int i = 0; c->seq && i < c->n_sequences; i++) sc_free(c->seq[i].page);
    sc_free(c->at);
    sc_free(c->state);
    sc_free(c->free_slot);
    sc_free(c->slot_refs);
    sc_free(c->seq);
    sc_free(c->free);
    sc_free(c->refs);
    sc_free(c);
}

int64_t sc_cache_length(const sc_cache *c, int seq) { return c->seq[seq].length; }
int64_t sc_cache_pages(const sc_cache *c) { return c->pages; }

int64_t sc_cache_bytes(const sc_cache *c)
{
    int64_t n = c->store->size;
    for (int i = 0; i < c->spec.n_states; i++) n += c->state[i]->size;
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

static void let_go(sc_cache *c, kept *k)
{
    if (k->slot >= 0 && --c->slot_refs[k->slot] == 0) c->free_slot[c->free_slots++] = k->slot;
    *k = nothing;
}

static kept share(sc_cache *c, kept k)
{
    if (k.slot >= 0) c->slot_refs[k.slot]++;
    return k;
}

/* By invariant 5 there is a slot: this sequence has two at most when it takes one. */
static void advance(sc_cache *c, sequence *q, int64_t n)
{
    if (!c->slots) return;
    let_go(c, &q->before);
    q->before = q->now;
    q->now = (kept){q->length + n, c->free_slot[--c->free_slots]};
    c->slot_refs[q->now.slot] = 1;
}

void sc_cache_slots(const sc_cache *c, int seq, int32_t *from, int32_t *to)
{
    *from = c->seq[seq].before.slot;
    *to = c->seq[seq].now.slot;
}

void sc_cache_mark(sc_cache *c, int seq)
{
    sequence *q = &c->seq[seq];
    let_go(c, &q->mark);
    q->mark = share(c, q->now);
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
        int64_t bytes = c->at[c->spec.n_layers * 2];
        char *base = c->store->data;
        memcpy(base + fresh * bytes, base + old * bytes, (size_t)bytes);
        drop(c, old);
        q->page[have - 1] = fresh;
    }
    while (have < want) q->page[have++] = take(c);
    advance(c, q, n);
    for (int64_t i = 0; i < n; i++, q->length++)
        if (slots) slots[i] = (int32_t)(q->page[q->length / TILE] * TILE + q->length % TILE);
    return SC_OK;
}

void sc_cache_table(const sc_cache *c, int seq, int32_t *pages)
{
    int64_t have = pages_for(c->seq[seq].length);
    memcpy(pages, c->seq[seq].page, sizeof *pages * (size_t)have);
    memset(pages + have, 0, sizeof *pages * (size_t)(c->pages - have));
}

/* Goes back to the longest beginning within n tokens whose states are still there; how long that is. */
static int64_t go_back(sc_cache *c, sequence *q, int64_t n)
{
    if (q->before.length > n) let_go(c, &q->before);
    if (q->mark.length > n) let_go(c, &q->mark);
    bool marked = q->mark.length > q->before.length;
    let_go(c, &q->now);
    q->now = marked ? share(c, q->mark) : q->before;
    if (marked) let_go(c, &q->before);
    q->before = nothing;
    return q->now.length;
}

int64_t sc_cache_trim(sc_cache *c, int seq, int64_t n)
{
    sequence *q = &c->seq[seq];
    if (n >= q->length) return q->length;
    if (c->slots) n = go_back(c, q, n);
    for (int64_t i = pages_for(q->length); i > pages_for(n); i--) drop(c, q->page[i - 1]);
    return q->length = n;
}

void sc_cache_fork(sc_cache *c, int from, int to)
{
    if (from == to) return;
    sc_cache_trim(c, to, 0);
    int64_t n = pages_for(c->seq[from].length);
    for (int64_t i = 0; i < n; i++) c->refs[c->seq[to].page[i] = c->seq[from].page[i]]++;
    sequence *q = &c->seq[to];
    q->length = c->seq[from].length;
    q->now = share(c, c->seq[from].now);
    q->before = share(c, c->seq[from].before);
    q->mark = share(c, c->seq[from].mark);
}

void sc_cache_note(sc_graph *g, sc_cache_spec *spec, int layer, int64_t kv_heads, int64_t d, int64_t v_d)
{
    if (layer >= SC_COUNT(spec->layer)) {
        sc_graph_fault(g, sc_fail(SC_ELIMIT, "more than %d attention layers", SC_COUNT(spec->layer)));
        return;
    }
    spec->n_layers = layer + 1;
    spec->layer[layer].kv_heads = kv_heads;
    spec->layer[layer].d = d;
    spec->layer[layer].v_d = v_d;
}

sc_kv sc_cache_layer(sc_graph *g, const sc_cache *c, int layer)
{
    sc_kv kv = {0};
    if (layer >= c->spec.n_layers) {
        sc_graph_fault(g, sc_fail(SC_EINVAL, "layer %d of a cache of %d", layer, c->spec.n_layers));
        return kv;
    }
    const sc_dtype_info *type = sc_dtype_get(c->dtype);
    int64_t heads = c->spec.layer[layer].kv_heads,
            page = c->at[c->spec.n_layers * 2] / type->bytes * type->block; /* elements */
    for (int i = 0; i < 2; i++) {
        int64_t d = width_of(&c->spec, layer * 2 + i);
        sc_shape shape = {4, {c->pages, heads, TILE, d}};
        sc_storage st = {.dtype = c->dtype, .stride = {page, TILE * d, d, 1}};
        st.buffer = c->store;
        st.data = (char *)c->store->data + c->at[layer * 2 + i];
        if (d) *(i ? &kv.v : &kv.k) = sc_graph_state(g, i ? "cache.value" : "cache.key", &shape, &st);
    }
    return kv;
}

sc_tensor *sc_text_state(sc_graph *g, sc_text_in *in, int64_t rows, int64_t n)
{
    int i = in->state++;
    if (in->spec) {
        if (i >= SC_COUNT(in->spec->state))
            return sc_graph_fault(g,
                                  sc_fail(SC_ELIMIT, "more than %d recurrent states", SC_COUNT(in->spec->state)));
        in->spec->n_states = i + 1;
        in->spec->state[i].rows = rows;
        in->spec->state[i].n = n;
    }
    if (!in->cache) return NULL;
    if (i >= in->cache->spec.n_states)
        return sc_graph_fault(g, sc_fail(SC_EINVAL, "state %d of a cache of %d", i, in->cache->spec.n_states));
    sc_storage st = {.dtype = SC_F32, .stride = {rows * n, n, 1}, .buffer = in->cache->state[i]};
    st.data = st.buffer->data;
    return sc_graph_state(g, "cache.state", &(sc_shape){3, {in->cache->slots, rows, n}}, &st);
}

int sc_cache_next(sc_graph *g, sc_text_in *in, int64_t kv_heads, int64_t d, int64_t v_d)
{
    int layer = in->layer++;
    if (in->spec) sc_cache_note(g, in->spec, layer, kv_heads, d, v_d);
    return g->status ? -1 : layer;
}
