/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-pair merges. The rule is that of HuggingFace's BpeTrainer, and so are the merges:
 *
 *  - A queue holds entries: a pair, the count it had when the entry was made, and the words where it was then met. The entry with
 *    the highest count comes first, of equals the one with the lower pair of ids.
 *  - A count that is no longer true is brought up to date and the entry queued again.
 *  - Merging a pair changes the words of its entry, and the counts of its neighbours; its own count stays. Pairs that
 *    came about get an entry with those words. So a pair may have several: a token can be made in two ways ("ab" "c" and "a" "bc"),
 *    and then meets its neighbours twice. Such a pair may be merged twice; its last rank counts.
 *
 * Where we differ is speed: neighbours are summed in arrays over the tokens before they touch the table of pairs, entries wait
 * outside of the heap until counts come down to theirs, and words lie in one stream behind their counts, one cache line for most. */
#include "vocab/vocab.h"

enum { HEAD = SC_WORD_HEAD };
#define NO_WORD UINT32_MAX

typedef struct pair_count {
    uint64_t key; /* left << 32 | right; EMPTY for a free place */
    int64_t count;
} pair_count;
#define EMPTY UINT64_MAX

typedef struct item { /* of the queue */
    int64_t count;
    uint64_t key;
    int64_t first; /* its words: places[first, first + n) */
    int64_t n;
} item;

typedef struct item_list {
    item *p;
    int64_t n, cap;
} item_list;

/* What a merge meets beside the new token: for one neighbour, how often, and in how many words. */
typedef struct beside {
    int64_t sum;
    uint32_t n, last; /* the last word, so that it is counted once */
} beside;

typedef struct meeting {
    int32_t id;
    uint32_t word;
} meeting;

typedef struct side {
    beside *of; /* [tokens] */
    int32_t *touched;
    int64_t n_touched, touched_cap;
    meeting *met;
    int64_t n_met, met_cap;
} side;

typedef struct learner {
    sc_token_list *tokens;
    const sc_recipe *r;
    uint32_t *u; /* the stream of words */
    int64_t u_n;
    pair_count *pair;
    int64_t pairs, pair_cap;
    uint64_t secret;
    uint32_t *places;
    int64_t n_places, places_cap;
    item_list heap, waiting[64]; /* [k]: counts in [2^k, 2^(k+1)) */
    int level;                   /* the heap holds all of 2^level and more */
    side left, right;
    int64_t side_cap;
    int32_t *length; /* [tokens] in symbols */
    int64_t length_cap;
    sc_str text;
} learner;

static inline int64_t count_of(const uint32_t *w) { return (int64_t)((uint64_t)w[1] << 32 | w[0]); }

/* ---- the table of pairs ---- */

static inline uint64_t key_of(uint32_t a, uint32_t b) { return (uint64_t)a << 32 | b; }

static inline pair_count *find_pair(const learner *m, uint64_t key)
{
    uint64_t mask = (uint64_t)m->pair_cap - 1, at = sc_hash_number(m->secret, key) & mask;
    while (m->pair[at].key != key && m->pair[at].key != EMPTY) at = (at + 1) & mask;
    return &m->pair[at];
}

/* Room for `more` pairs, so that places in the table stay while they are added. */
static sc_status reserve_pairs(learner *m, int64_t more)
{
    int64_t cap = SC_MAX(m->pair_cap, 1 << 12), had = m->pair_cap;
    while ((m->pairs + more) * 5 > cap * 3) cap *= 2;
    if (cap == had) return SC_OK;
    pair_count *old = m->pair, *now = sc_malloc((size_t)cap * sizeof *now);
    if (!now) return sc_nomem();
    for (int64_t i = 0; i < cap; i++) now[i].key = EMPTY;
    m->pair = now;
    m->pair_cap = cap;
    for (int64_t i = 0; i < had; i++)
        if (old[i].key != EMPTY) *find_pair(m, old[i].key) = old[i];
    sc_free(old);
    return SC_OK;
}

static inline pair_count *add_pair(learner *m, uint64_t key, int64_t count)
{
    pair_count *p = find_pair(m, key);
    if (p->key == EMPTY) {
        *p = (pair_count){key, 0};
        m->pairs++;
    }
    p->count += count;
    return p;
}

/* ---- the queue ---- */

static inline bool before(const item *x, const item *y)
{
    return x->count != y->count ? x->count > y->count : x->key < y->key;
}

enum { ARITY = 4 };

static void sift_down(item_list *h, int64_t at)
{
    item x = h->p[at];
    for (;;) {
        int64_t child = at * ARITY + 1, best = child;
        if (child >= h->n) break;
        for (int64_t i = child + 1; i < SC_MIN(child + ARITY, h->n); i++)
            if (before(&h->p[i], &h->p[best])) best = i;
        if (!before(&h->p[best], &x)) break;
        h->p[at] = h->p[best];
        at = best;
    }
    h->p[at] = x;
}

static void sift_up(item_list *h, int64_t at)
{
    item x = h->p[at];
    for (int64_t parent; at > 0 && before(&x, &h->p[parent = (at - 1) / ARITY]); at = parent)
        h->p[at] = h->p[parent];
    h->p[at] = x;
}

static int level_of(int64_t count) { return 63 - __builtin_clzll((uint64_t)count); }

static sc_status queue(learner *m, item x)
{
    int level = level_of(x.count);
    item_list *to = level >= m->level ? &m->heap : &m->waiting[level];
    if (!sc_grow(&to->p, &to->cap, to->n + 1, sizeof *to->p)) return sc_nomem();
    to->p[to->n++] = x;
    if (to == &m->heap) sift_up(to, to->n - 1);
    return SC_OK;
}

/* The first of the queue, taken out of it; false: it is empty. */
static bool pop(learner *m, item *out)
{
    while (m->heap.n == 0) {
        if (m->level == 0) return false;
        item_list *next = &m->waiting[--m->level], empty = m->heap;
        m->heap = *next;
        *next = empty;
        for (int64_t i = (m->heap.n - 2) / ARITY; i >= 0; i--)
            if (i < m->heap.n) sift_down(&m->heap, i);
    }
    *out = m->heap.p[0];
    m->heap.p[0] = m->heap.p[--m->heap.n];
    if (m->heap.n) sift_down(&m->heap, 0);
    return true;
}

/* ---- all pairs, in the beginning ---- */

/* What is known of a pair while they are counted, in place of the table's count. */
typedef struct first_pair {
    int64_t count, n, at;
    uint32_t last;
} first_pair;

static sc_status number_pairs(learner *m, uint32_t *number, first_pair **out)
{
    first_pair *list = NULL;
    int64_t cap = 0;
    for (int64_t i = 0; i < m->u_n;) {
        uint32_t len = m->u[i + 2], *s = m->u + i + HEAD;
        int64_t count = count_of(m->u + i);
        for (uint32_t k = 0; k + 1 < len; k++) {
            sc_status e = (m->pairs + 1) * 5 > m->pair_cap * 3 ? reserve_pairs(m, m->pairs + 1) : SC_OK;
            if (e || !sc_grow(&list, &cap, m->pairs + 1, sizeof *list)) {
                sc_free(list);
                return e ? e : sc_nomem();
            }
            pair_count *p = find_pair(m, key_of(s[k], s[k + 1]));
            if (p->key == EMPTY) {
                *p = (pair_count){key_of(s[k], s[k + 1]), m->pairs};
                list[m->pairs++] = (first_pair){.last = NO_WORD};
            }
            first_pair *f = &list[p->count];
            f->count += count;
            f->n += f->last != (uint32_t)i;
            f->last = (uint32_t)i;
            number[i + HEAD + k] = (uint32_t)p->count;
        }
        i += HEAD + len;
    }
    *out = list;
    return SC_OK;
}

/* Each pair's words one after another. */
static sc_status place_pairs(learner *m, const uint32_t *number, first_pair *list)
{
    for (int64_t i = 0; i < m->pairs; i++) {
        list[i].at = m->n_places;
        list[i].last = NO_WORD;
        m->n_places += list[i].n;
    }
    if (!sc_grow(&m->places, &m->places_cap, m->n_places, sizeof *m->places)) return sc_nomem();
    for (int64_t i = 0; i < m->u_n; i += HEAD + m->u[i + 2]) {
        for (uint32_t k = 0; k + 1 < m->u[i + 2]; k++) {
            first_pair *f = &list[number[i + HEAD + k]];
            if (f->last == (uint32_t)i) continue;
            f->last = (uint32_t)i;
            m->places[f->at++] = (uint32_t)i;
        }
    }
    return SC_OK;
}

static sc_status count_pairs(learner *m)
{
    first_pair *list = NULL;
    uint32_t *number = sc_malloc((size_t)SC_MAX(m->u_n, 1) * sizeof *number);
    int64_t most = 1;
    sc_status s = number ? number_pairs(m, number, &list) : sc_nomem();
    if (!s) s = place_pairs(m, number, list);
    sc_free(number);
    for (int64_t i = 0; !s && i < m->pairs; i++) most = SC_MAX(most, list[i].count);
    m->level = level_of(most) + 1;
    for (int64_t i = 0; !s && i < m->pair_cap; i++) {
        pair_count *p = &m->pair[i];
        if (p->key == EMPTY) continue;
        first_pair *f = &list[p->count];
        p->count = f->count;
        s = queue(m, (item){f->count, p->key, f->at - f->n, f->n});
    }
    sc_free(list);
    return s;
}

/* ---- a merge ---- */

static sc_status meet(side *x, int32_t id, uint32_t word, int64_t count)
{
    beside *b = &x->of[id];
    if (b->last == word) {
        b->sum += count;
        return SC_OK;
    }
    if (!b->n) {
        if (!sc_grow(&x->touched, &x->touched_cap, x->n_touched + 1, sizeof *x->touched)) return sc_nomem();
        x->touched[x->n_touched++] = id;
    }
    if (!sc_grow(&x->met, &x->met_cap, x->n_met + 1, sizeof *x->met)) return sc_nomem();
    x->met[x->n_met++] = (meeting){id, word};
    b->sum += count;
    b->n++;
    b->last = word;
    return SC_OK;
}

/* a b becomes c in a word. What follows a pair is met as it was, what comes before as it has become. */
static sc_status merge_word(learner *m, uint32_t place, uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t *w = m->u + place, *s = w + HEAD, len = w[2], j = 0, i = 0;
    int64_t count = count_of(w);
    sc_status e = SC_OK;
    while (i < len && !e) {
        if (s[i] != a || i + 1 == len || s[i + 1] != b) {
            s[j++] = s[i++];
            continue;
        }
        if (j > 0) e = meet(&m->left, (int32_t)s[j - 1], place, count);
        s[j++] = c;
        i += 2;
        if (i < len && !e) e = meet(&m->right, (int32_t)s[i], place, count);
    }
    w[2] = j;
    return e;
}

/* Whether x and the new token c may become one: HuggingFace's bound is exclusive. */
static inline bool may_join(const learner *m, int32_t x, int32_t c)
{
    int64_t most = m->r->in.max_token_length;
    return !most || (int64_t)m->length[x] + m->length[c] < most;
}

static void prefetch_pair(const learner *m, uint64_t key)
{
    __builtin_prefetch(&m->pair[sc_hash_number(m->secret, key) & ((uint64_t)m->pair_cap - 1)], 1);
}

static uint64_t gone(const side *x, const learner *m, int32_t id, int32_t a, int32_t b)
{
    return x == &m->left ? key_of((uint32_t)id, (uint32_t)a) : key_of((uint32_t)b, (uint32_t)id);
}

static uint64_t come(const side *x, const learner *m, int32_t id, int32_t c)
{
    return x == &m->left ? key_of((uint32_t)id, (uint32_t)c) : key_of((uint32_t)c, (uint32_t)id);
}

/* Counts of the pairs that went and came on one side. */
static void recount(learner *m, const side *x, int32_t a, int32_t b, int32_t c)
{
    enum { AHEAD = 8 };
    for (int64_t i = 0; i < x->n_touched + AHEAD; i++) {
        if (i < x->n_touched) {
            prefetch_pair(m, gone(x, m, x->touched[i], a, b));
            prefetch_pair(m, come(x, m, x->touched[i], c));
        }
        if (i < AHEAD) continue;
        int32_t id = x->touched[i - AHEAD];
        int64_t sum = x->of[id].sum;
        add_pair(m, gone(x, m, id, a, b), -sum);
        if (may_join(m, id, c)) add_pair(m, come(x, m, id, c), sum);
    }
}

/* Where the words of each pair that came will be: `sum` becomes the place. The pair c c may be met on both sides; its words
 * are then one list. */
static sc_status lay_out(learner *m, side *x, int32_t c, item_list *fresh)
{
    for (int64_t i = 0; i < x->n_touched; i++) {
        int32_t id = x->touched[i];
        beside *b = &x->of[id];
        bool both = id == c && m->left.of[c].n && m->right.of[c].n;
        if (both && x == &m->right) {
            b->sum = m->left.of[c].sum + m->left.of[c].n;
            continue;
        }
        int64_t n = both ? (int64_t)m->left.of[c].n + m->right.of[c].n : b->n;
        uint64_t key = come(x, m, id, c);
        b->sum = m->n_places;
        m->n_places += n;
        const pair_count *p = may_join(m, id, c) ? find_pair(m, key) : NULL;
        if (!p || p->count <= 0) continue;
        if (!sc_grow(&fresh->p, &fresh->cap, fresh->n + 1, sizeof *fresh->p)) return sc_nomem();
        fresh->p[fresh->n++] = (item){p->count, key, b->sum, n};
    }
    return SC_OK;
}

static void put_places(learner *m, side *x)
{
    for (int64_t i = 0; i < x->n_met; i++) m->places[x->of[x->met[i].id].sum++] = x->met[i].word;
}

static void forget(side *x)
{
    for (int64_t i = 0; i < x->n_touched; i++) x->of[x->touched[i]] = (beside){.last = NO_WORD};
    x->n_touched = x->n_met = 0;
}

static sc_status renew(learner *m, int32_t a, int32_t b, int32_t c, item_list *fresh)
{
    sc_status s = reserve_pairs(m, 2 * (m->left.n_touched + m->right.n_touched));
    if (s) return s;
    recount(m, &m->left, a, b, c);
    recount(m, &m->right, a, b, c);
    fresh->n = 0;
    s = lay_out(m, &m->left, c, fresh);
    if (!s) s = lay_out(m, &m->right, c, fresh);
    if (!s && !sc_grow(&m->places, &m->places_cap, m->n_places, sizeof *m->places)) s = sc_nomem();
    if (s) return s;
    put_places(m, &m->left);
    put_places(m, &m->right);
    for (int64_t i = 0; i < fresh->n && !s; i++) s = queue(m, fresh->p[i]);
    forget(&m->left);
    forget(&m->right);
    return s;
}

/* ---- tokens ---- */

static sc_status grow_sides(learner *m)
{
    if (m->tokens->n <= m->side_cap) return SC_OK;
    int64_t had = m->side_cap, cap[2] = {had, had};
    if (!sc_grow(&m->left.of, &cap[0], m->tokens->n, sizeof *m->left.of) ||
        !sc_grow(&m->right.of, &cap[1], m->tokens->n, sizeof *m->right.of))
        return sc_nomem();
    m->side_cap = cap[0];
    for (int64_t i = had; i < m->side_cap; i++) m->left.of[i] = m->right.of[i] = (beside){.last = NO_WORD};
    return SC_OK;
}

/* The token that a and b make; it may be there already. */
static sc_status join(learner *m, int32_t a, int32_t b, int32_t *c)
{
    sc_token_list *l = m->tokens;
    sc_slice x = l->text[a], y = l->text[b];
    int64_t skip = m->r->prefix ? (int64_t)strlen(m->r->prefix) : 0;
    if (skip > y.n || (skip && memcmp(y.p, m->r->prefix, (size_t)skip) != 0)) skip = 0;
    m->text.len = 0;
    sc_str_append(&m->text, x.p, x.n);
    sc_str_append(&m->text, y.p + skip, y.n - skip);
    if (m->text.oom) return sc_nomem();
    int64_t had = l->n;
    sc_status s = sc_token_list_add(l, m->text.p, m->text.len, c);
    if (!s && !sc_grow(&m->length, &m->length_cap, l->n, sizeof *m->length)) s = sc_nomem();
    if (!s && l->n > had) m->length[*c] = m->length[a] + m->length[b];
    if (!s && !sc_grow(&l->merge, &l->merge_cap, l->merges + 1, sizeof *l->merge)) s = sc_nomem();
    if (s) return s;
    l->merge[l->merges++] = (struct sc_token_pair){a, b};
    return grow_sides(m);
}

/* Of pairs that were merged twice the last remains. */
static sc_status drop_repeated(sc_token_list *l)
{
    learner seen = {.secret = sc_hash_secret()};
    sc_status s = reserve_pairs(&seen, l->merges);
    int64_t to = l->merges;
    for (int64_t i = l->merges - 1; i >= 0 && !s; i--) {
        if (add_pair(&seen, key_of((uint32_t)l->merge[i].a, (uint32_t)l->merge[i].b), 1)->count == 1)
            l->merge[--to] = l->merge[i];
    }
    sc_free(seen.pair);
    if (s) return s;
    l->merges -= to;
    if (to > 0 && l->merges > 0) memmove(l->merge, l->merge + to, (size_t)l->merges * sizeof *l->merge);
    return SC_OK;
}

static sc_status learn(learner *m, sc_context *ctx)
{
    sc_token_list *l = m->tokens;
    item_list fresh = {0};
    item top;
    sc_status s = SC_OK;
    int64_t from = l->n;
    while (!s && l->n < m->r->in.size && pop(m, &top)) {
        int64_t now = find_pair(m, top.key)->count;
        if (top.count != now) {
            top.count = now;
            if (now > 0) s = queue(m, top);
            continue;
        }
        if (top.count < m->r->in.min_frequency) break;
        int32_t a = (int32_t)(top.key >> 32), b = (int32_t)(uint32_t)top.key, c;
        s = join(m, a, b, &c);
        for (int64_t i = 0; i < top.n && !s; i++) {
            if (i + 4 < top.n) __builtin_prefetch(m->u + m->places[top.first + i + 4], 1);
            s = merge_word(m, m->places[top.first + i], (uint32_t)a, (uint32_t)b, (uint32_t)c);
        }
        if (!s) s = renew(m, a, b, c, &fresh);
        if (l->merges % 64 == 0) {
            sc_progress(ctx, "merging", l->n - from, m->r->in.size - from);
            if (!s && sc_context_cancelled(ctx)) s = sc_fail(SC_ECANCELLED, "cancelled");
        }
    }
    sc_free(fresh.p);
    return s;
}

static void side_free(side *x)
{
    sc_free(x->of);
    sc_free(x->touched);
    sc_free(x->met);
}

sc_status sc_merges_learn(sc_token_list *l, sc_context *ctx, const sc_train_words *w, const sc_characters *c,
                          const sc_recipe *r)
{
    learner m = {.tokens = l, .r = r, .secret = sc_hash_secret()};
    sc_word_stream words;
    sc_status s = sc_word_stream_make(&words, w, c, &(sc_stream_options){.least = 2, .breaks = r->in.coverage < 1});
    if (s) return s;
    m.u = words.u;
    m.u_n = words.n;
    s = reserve_pairs(&m, 1);
    if (!s) s = count_pairs(&m);
    if (!s && !sc_grow(&m.length, &m.length_cap, l->n, sizeof *m.length)) s = sc_nomem();
    for (int64_t i = 0; i < l->n && !s; i++) m.length[i] = 1;
    if (!s) s = grow_sides(&m);
    if (!s) s = learn(&m, ctx);
    if (!s) s = drop_repeated(l);
    side_free(&m.left);
    side_free(&m.right);
    for (int i = 0; i < SC_COUNT(m.waiting); i++) sc_free(m.waiting[i].p);
    sc_free(m.heap.p);
    sc_free(words.u);
    sc_free(m.pair);
    sc_free(m.places);
    sc_free(m.length);
    sc_str_free(&m.text);
    return s;
}
