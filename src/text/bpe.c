/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-pair encoding. A piece begins as its characters; of all neighbours that may merge, those of the lowest rank do
 * first, the leftmost of equals first, until none may.
 *
 * What may merge is either a list of pairs (tokenizer.json, GGUF's gpt2) or any two neighbours that together spell a
 * token (SentencePiece), where the rank is the order of the tokens' scores. Each merge takes one symbol away, so any
 * list of merges ends. Short pieces are searched whole for each merge, long ones go through a heap, and huge ones
 * through a list for each rank, so that a text of one letter takes linear time. */
#include "text/text.h"

#include <math.h>

#define SHORT      40    /* characters: below, searching beats the heap */
#define HUGE_PIECE 50000 /* bytes: above, walking all ranks is cheap beside the heap */
#define NEVER      UINT32_MAX

typedef struct pair_slot {
    uint64_t key; /* left << 32 | right; EMPTY for a free slot */
    uint32_t rank;
    int32_t result;
} pair_slot;
#define EMPTY UINT64_MAX
#define SEEN  (1 << 16) /* pairs remembered */

typedef struct bpe {
    sc_token_model base;
    const sc_vocab *vocab;
    pair_slot *pair;
    uint64_t mask, secret;
    uint32_t *order;       /* by_score: [ids] rank of the token's score */
    int64_t ranks;         /* all ranks are below */
    int64_t longest;       /* bytes of the longest token */
    int32_t near[0x800];   /* the ids of the characters of one and two bytes, -1 for none */
    int32_t byte[256];     /* the ids of <0x00> ... <0xFF>, -1 for none */
    char *prefix, *suffix; /* NULL for none */
    int32_t unk;
    bool fuse_unk, byte_fallback, ignore_merges, by_score;
    bool words; /* no token goes on over a U+2581 after another character, so that pieces can be cut there */
} bpe;

/* ---- the table of pairs ---- */

static sc_status put_pairs(bpe *m, const sc_merge *merges, int64_t n)
{
    uint64_t cap = 16;
    while (cap < (uint64_t)n + (uint64_t)n / 2) cap *= 2;
    m->pair = sc_malloc(cap * sizeof(*m->pair));
    if (!m->pair) return sc_nomem();
    m->mask = cap - 1;
    m->ranks = n;
    for (uint64_t i = 0; i < cap; i++) m->pair[i].key = EMPTY;
    for (int64_t i = 0; i < n; i++) {
        uint64_t key = (uint64_t)(uint32_t)merges[i].a << 32 | (uint32_t)merges[i].b,
                 at = sc_hash_number(m->secret, key) & m->mask;
        while (m->pair[at].key != EMPTY && m->pair[at].key != key) at = (at + 1) & m->mask;
        m->pair[at] = (pair_slot){key, (uint32_t)i, merges[i].result};
    }
    return SC_OK;
}

static uint32_t rank_of_text(const bpe *m, const char *p, int64_t n, int32_t *result)
{
    *result = n <= m->longest ? sc_vocab_find(m->vocab, p, n) : -1;
    return *result >= 0 ? m->order[*result] : NEVER;
}

/* Two tokens always spell the same text, so that the answer for them is remembered. */
static inline uint32_t rank_by_score(const bpe *m, struct sc_merge_space *w, uint64_t key, const char *p, int64_t n,
                                     int32_t *result)
{
    struct sc_merge_pair *seen = &w->seen[sc_hash_number(m->secret, key) & (SEEN - 1)];
    if (seen->key != key) {
        seen->rank = rank_of_text(m, p, n, &seen->result);
        seen->key = key;
    }
    *result = seen->result;
    return seen->rank;
}

/* The rank of merging neighbours a and b, which spell p[0..n); NEVER if they do not merge. */
static inline uint32_t rank_of(const bpe *m, struct sc_merge_space *w, int32_t a, int32_t b, const char *p,
                               int64_t n, int32_t *result)
{
    uint64_t key = (uint64_t)(uint32_t)a << 32 | (uint32_t)b;
    if (m->by_score)
        return a >= 0 && b >= 0 ? rank_by_score(m, w, key, p, n, result) : rank_of_text(m, p, n, result);
    if (a < 0 || b < 0) return NEVER;
    for (uint64_t at = sc_hash_number(m->secret, key) & m->mask; m->pair[at].key != EMPTY;
         at = (at + 1) & m->mask) {
        if (m->pair[at].key == key) {
            *result = m->pair[at].result;
            return m->pair[at].rank;
        }
    }
    return NEVER;
}

/* ---- a piece's first symbols ---- */

typedef struct symbol {
    int32_t id, at, len; /* id -1: spelled by no token */
} symbol;

static int32_t char_id(const bpe *m, const char *p, int k, uint32_t cp, bool first, bool last)
{
    if ((m->prefix && !first) || (m->suffix && last)) {
        char text[256];
        int n = snprintf(text, sizeof(text), "%s%.*s%s", m->prefix && !first ? m->prefix : "", k, p,
                         m->suffix && last ? m->suffix : "");
        return n < (int)sizeof(text) ? sc_vocab_find(m->vocab, text, n) : -1;
    }
    if (cp < 0x800 && k == (cp < 0x80 ? 1 : 2)) return m->near[cp];
    return sc_vocab_find(m->vocab, p, k);
}

static bool bytes_known(const bpe *m, const char *p, int k)
{
    for (int i = 0; i < k; i++) {
        if (m->byte[(uint8_t)p[i]] < 0) return false;
    }
    return m->byte_fallback;
}

/* What nothing spells and nothing stands for is left out before all else, as HuggingFace does: what was on both sides of
 * it may merge. *piece then is a copy. */
static sc_status leave_out(const bpe *m, sc_encoder *e, sc_piece *piece)
{
    sc_norm *x = &e->known;
    const char *p = piece->p;
    int64_t n = piece->n, done = 0;
    bool all = true;
    sc_norm_clear(x);
    for (int64_t i = 0, k; i < n; i += k) {
        uint32_t cp = (uint8_t)p[i];
        k = cp < 0x80 ? 1 : sc_utf8_decode(p + i, n - i, &cp);
        if (char_id(m, p + i, (int)k, cp, i == 0, i + k == n) >= 0 || bytes_known(m, p + i, (int)k)) continue;
        all = false;
        sc_norm_copy(x, p + done, i - done, NULL);
        done = i + k;
    }
    if (all) return SC_OK;
    sc_norm_copy(x, p + done, n - done, NULL);
    piece->p = x->p;
    piece->n = x->n;
    return x->oom ? sc_nomem() : SC_OK;
}

/* The symbols of the character at p + i go to out, at most four; returns their number, *used the bytes. Where merges are
 * by score, a character without a token stays one symbol, as it may still be part of a longer token. */
static int first_symbols(const bpe *m, const char *p, int64_t n, int64_t i, symbol out[4], int *used)
{
    uint32_t cp = (uint8_t)p[i];
    int k = cp < 0x80 ? 1 : sc_utf8_decode(p + i, n - i, &cp);
    *used = k;
    int32_t id = char_id(m, p + i, k, cp, i == 0, i + k == n);
    if (id < 0 && !m->by_score) {
        if (bytes_known(m, p + i, k)) {
            for (int b = 0; b < k; b++) out[b] = (symbol){m->byte[(uint8_t)p[i + b]], (int32_t)(i + b), 1};
            return k;
        }
        id = m->unk;
    }
    out[0] = (symbol){id, (int32_t)i, k};
    return 1;
}

/* ---- emitting ---- */

typedef struct sink {
    const bpe *m;
    sc_encoder *e;
    const sc_piece *piece;
    int64_t unk_from, unk_to; /* unknown text that waits to become one token; none if equal */
} sink;

static sc_status flush_unknown(sink *s)
{
    sc_status status = SC_OK;
    if (s->unk_to > s->unk_from) status = sc_encoder_emit(s->e, s->m->unk, s->piece, s->unk_from, s->unk_to);
    s->unk_from = s->unk_to = 0;
    return status;
}

static sc_status put(sink *s, symbol y)
{
    const bpe *m = s->m;
    const char *p = s->piece->p + y.at;
    if (y.id >= 0 && y.id != m->unk) {
        sc_status status = flush_unknown(s);
        return status ? status : sc_encoder_emit(s->e, y.id, s->piece, y.at, y.at + y.len);
    }
    if (m->by_score && bytes_known(m, p, y.len)) {
        sc_status status = flush_unknown(s);
        for (int i = 0; i < y.len && !status; i++)
            status = sc_encoder_emit(s->e, m->byte[(uint8_t)p[i]], s->piece, y.at + i, y.at + i + 1);
        return status;
    }
    if (m->unk < 0) return SC_OK;
    if (!m->fuse_unk || s->unk_to != y.at || s->unk_to == s->unk_from) {
        sc_status status = flush_unknown(s);
        if (status) return status;
        s->unk_from = y.at;
    }
    s->unk_to = y.at + y.len;
    return m->fuse_unk ? SC_OK : flush_unknown(s);
}

/* ---- short pieces ---- */

typedef struct link {
    symbol y;
    uint32_t rank; /* of merging with the next */
    int32_t result;
} link_;

static void look(const bpe *m, struct sc_merge_space *w, const char *p, link_ *l)
{
    l->rank = rank_of(m, w, l[0].y.id, l[1].y.id, p + l->y.at, l[0].y.len + l[1].y.len, &l->result);
}

static sc_status encode_short(const bpe *m, sink *s, link_ *l, int n)
{
    const char *p = s->piece->p;
    struct sc_merge_space *w = &s->e->merge;
    for (int i = 0; i + 1 < n; i++) look(m, w, p, &l[i]);
    for (;;) {
        int best = -1;
        uint32_t rank = NEVER;
        for (int i = 0; i + 1 < n; i++) {
            if (l[i].rank < rank) {
                rank = l[i].rank;
                best = i;
            }
        }
        if (best < 0) break;
        l[best].y.id = l[best].result;
        l[best].y.len += l[best + 1].y.len;
        memmove(&l[best + 1], &l[best + 2], (size_t)(n - best - 2) * sizeof(*l));
        n--;
        if (best + 1 < n) look(m, w, p, &l[best]);
        if (best > 0) look(m, w, p, &l[best - 1]);
    }
    for (int i = 0; i < n; i++) {
        sc_status status = put(s, l[i].y);
        if (status) return status;
    }
    return SC_OK;
}

/* ---- long pieces ----
 * Symbols live in two arrays indexed by byte: at a symbol's first byte its id, at its first and last byte its length.
 * So both neighbours are found from the lengths, and 16 bytes a byte of text are all the memory: 8 here, 8 in the heap,
 * whose entries are rank << 32 | place. A merge may leave stale entries; they are known by the rank having changed. */

#define DEAD (-2)

static bool heap_push(struct sc_merge_space *w, uint64_t v)
{
    if (w->heap_n == w->heap_cap && !sc_grow(&w->heap, &w->heap_cap, w->heap_n + 1, sizeof(*w->heap))) return false;
    int64_t i = w->heap_n++;
    for (; i > 0 && w->heap[(i - 1) / 2] > v; i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = v;
    return true;
}

static void heap_down(uint64_t *h, int64_t n, int64_t i, uint64_t v)
{
    for (;;) {
        int64_t c = 2 * i + 1;
        if (c >= n) break;
        c += c + 1 < n && h[c + 1] < h[c];
        if (h[c] >= v) break;
        h[i] = h[c];
        i = c;
    }
    h[i] = v;
}

static uint64_t heap_pop(struct sc_merge_space *w)
{
    uint64_t top = w->heap[0], last = w->heap[--w->heap_n];
    if (w->heap_n > 0) heap_down(w->heap, w->heap_n, 0, last);
    return top;
}

static uint32_t rank_at(const bpe *m, struct sc_merge_space *w, const char *p, int64_t n, int64_t i,
                        int32_t *result)
{
    int64_t j = i + w->len[i];
    if (j >= n) return NEVER;
    return rank_of(m, w, w->id[i], w->id[j], p + i, w->len[i] + w->len[j], result);
}

/* Merges the symbol at i with the next one into `result`. The new neighbourhoods are at *left (-1 for none) and i. */
static void join(struct sc_merge_space *w, int64_t i, int32_t result, int64_t *left)
{
    int64_t j = i + w->len[i], len = w->len[i] + w->len[j];
    w->id[j] = DEAD;
    w->id[i] = result;
    w->len[i] = w->len[i + len - 1] = (int32_t)len;
    *left = i > 0 ? i - w->len[i - 1] : -1;
}

static sc_status merge_heap(const bpe *m, struct sc_merge_space *w, const char *p, int64_t n)
{
    int32_t result = -1;
    w->heap_n = 0;
    for (int64_t i = 0; i < n; i += w->len[i]) {
        uint32_t rank = rank_at(m, w, p, n, i, &result);
        if (rank != NEVER && !heap_push(w, (uint64_t)rank << 32 | (uint64_t)i)) return sc_nomem();
    }
    while (w->heap_n > 0) {
        uint64_t top = heap_pop(w);
        int64_t i = (int64_t)(top & UINT32_MAX), around[2];
        if (w->id[i] == DEAD || rank_at(m, w, p, n, i, &result) != (uint32_t)(top >> 32)) continue;
        join(w, i, result, &around[0]);
        around[1] = i;
        for (int k = around[0] < 0; k < 2; k++) {
            uint32_t rank = rank_at(m, w, p, n, around[k], &result);
            if (rank != NEVER && !heap_push(w, (uint64_t)rank << 32 | (uint64_t)around[k])) return sc_nomem();
        }
    }
    return SC_OK;
}

/* ---- huge pieces ----
 * A list of places for each rank, gone through from the lowest rank up. What merges after a token was made mostly has
 * a higher rank than what made it, so that each list is done once; the pairs for which that is not so wait in the heap,
 * which is looked at before each step. */

static bool list_push(struct sc_merge_space *w, uint32_t rank, int64_t place)
{
    int32_t at = w->free_node;
    if (at >= 0) {
        w->free_node = w->node[at].next;
    } else {
        if (w->node_n == INT32_MAX || !sc_grow(&w->node, &w->node_cap, w->node_n + 1, sizeof(*w->node)))
            return false;
        at = (int32_t)w->node_n++;
    }
    w->node[at].place = (uint32_t)place;
    w->node[at].next = -1;
    if (w->head[rank] < 0)
        w->head[rank] = at;
    else
        w->node[w->tail[rank]].next = at;
    w->tail[rank] = at;
    return true;
}

static int by_place(const void *x, const void *y)
{
    uint32_t a = *(const uint32_t *)x, b = *(const uint32_t *)y;
    return (a > b) - (a < b);
}

/* Moves a rank's list to w->place, in order; its length, -1 without memory. */
static int64_t list_take(struct sc_merge_space *w, int64_t rank)
{
    int64_t n = 0;
    bool sorted = true;
    for (int32_t at = w->head[rank]; at >= 0; at = w->node[at].next) {
        if (n == w->place_cap && !sc_grow(&w->place, &w->place_cap, n + 1, sizeof(*w->place))) return -1;
        sorted &= n == 0 || w->place[n - 1] <= w->node[at].place;
        w->place[n++] = w->node[at].place;
    }
    w->node[w->tail[rank]].next = w->free_node;
    w->free_node = w->head[rank];
    w->head[rank] = -1;
    if (!sorted) qsort(w->place, (size_t)n, sizeof(*w->place), by_place);
    return n;
}

/* One step of rank `now`: merges at i if its rank still is `rank`. */
static bool list_step(const bpe *m, struct sc_merge_space *w, const char *p, int64_t n, int64_t i, uint32_t rank,
                      uint32_t now)
{
    int32_t result = -1;
    int64_t around[2];
    if (w->id[i] == DEAD || rank_at(m, w, p, n, i, &result) != rank) return true;
    join(w, i, result, &around[0]);
    around[1] = i;
    for (int k = around[0] < 0; k < 2; k++) {
        uint32_t next = rank_at(m, w, p, n, around[k], &result);
        if (next != NEVER && !(next > now ? list_push(w, next, around[k])
                                          : heap_push(w, (uint64_t)next << 32 | (uint64_t)around[k])))
            return false;
    }
    return true;
}

static sc_status merge_lists(const bpe *m, struct sc_merge_space *w, const char *p, int64_t n)
{
    int32_t result = -1;
    w->heap_n = w->node_n = 0;
    w->free_node = -1;
    if (!w->head) {
        w->head = sc_malloc((size_t)m->ranks * sizeof(*w->head));
        w->tail = sc_malloc((size_t)m->ranks * sizeof(*w->tail));
        if (!w->head || !w->tail) return sc_nomem();
    }
    memset(w->head, 0xff, (size_t)m->ranks * sizeof(*w->head));
    for (int64_t i = 0; i < n; i += w->len[i]) {
        uint32_t rank = rank_at(m, w, p, n, i, &result);
        if (rank != NEVER && !list_push(w, rank, i)) return sc_nomem();
    }
    for (int64_t now = 0; now < m->ranks; now++) {
        int64_t count = w->head[now] < 0 ? 0 : list_take(w, now);
        if (count < 0) return sc_nomem();
        for (int64_t k = 0; k < count || w->heap_n > 0;) {
            uint64_t next = k < count ? (uint64_t)now << 32 | w->place[k] : UINT64_MAX;
            if (w->heap_n > 0 && w->heap[0] < next)
                next = heap_pop(w);
            else
                k++;
            if (!list_step(m, w, p, n, (int64_t)(next & UINT32_MAX), (uint32_t)(next >> 32), (uint32_t)now))
                return sc_nomem();
        }
    }
    return SC_OK;
}

static sc_status encode_long(const bpe *m, sink *s)
{
    struct sc_merge_space *w = &s->e->merge;
    const char *p = s->piece->p;
    int64_t n = s->piece->n;
    if (!sc_grow(&w->id, &w->id_cap, n, sizeof(*w->id)) || !sc_grow(&w->len, &w->len_cap, n, sizeof(*w->len)))
        return sc_nomem();
    for (int64_t i = 0; i < n;) {
        symbol y[4];
        int used, count = first_symbols(m, p, n, i, y, &used);
        for (int k = 0; k < count; k++) {
            for (int b = 0; b < y[k].len; b++) w->id[y[k].at + b] = DEAD;
            w->id[y[k].at] = y[k].id;
            w->len[y[k].at] = w->len[y[k].at + y[k].len - 1] = y[k].len;
        }
        i += used;
    }
    sc_status status = n > HUGE_PIECE ? merge_lists(m, w, p, n) : merge_heap(m, w, p, n);
    for (int64_t i = 0; i < n && !status; i += w->len[i])
        status = put(s, (symbol){w->id[i], (int32_t)i, w->len[i]});
    return status;
}

/* ---- pieces ---- */

static sc_status encode_word(const bpe *m, sc_encoder *e, sc_piece piece)
{
    sink s = {.m = m, .e = e, .piece = &piece};
    link_ l[SHORT + 4];
    int n = 0;
    int64_t i = 0;
    while (i < piece.n && n < SHORT) {
        symbol y[4];
        int used, count = first_symbols(m, piece.p, piece.n, i, y, &used);
        for (int k = 0; k < count; k++) l[n++].y = y[k];
        i += used;
    }
    sc_status status = i == piece.n ? encode_short(m, &s, l, n) : encode_long(m, &s);
    return status ? status : flush_unknown(&s);
}

/* Where nothing cut the text before, the words that it is cut into here are remembered. */
static sc_status remembered(sc_encoder *e, const void *how, sc_piece piece) { return encode_word(how, e, piece); }

static sc_status encode_part(const bpe *m, sc_encoder *e, sc_piece piece)
{
    return e->t->n_pre == 0 ? sc_encoder_word(e, piece, remembered, m) : encode_word(m, e, piece);
}

static bool lowline(const char *p) { return memcmp(p, SC_LOWLINE, 3) == 0; }

static bool make_seen(struct sc_merge_space *w)
{
    if (w->seen) return true;
    w->seen = sc_malloc(SEEN * sizeof(*w->seen));
    if (w->seen) memset(w->seen, 0xff, SEEN * sizeof(*w->seen)); /* EMPTY keys */
    return w->seen != NULL;
}

static sc_status encode(const sc_token_model *base, sc_encoder *e, sc_piece piece)
{
    const bpe *m = (const bpe *)base;
    if (m->by_score && !make_seen(&e->merge)) return sc_nomem();
    if (piece.n >= INT32_MAX)
        return sc_fail(SC_ELIMIT, "tokenizer: a piece of %lld bytes; at most %d", (long long)piece.n,
                       INT32_MAX - 1);
    if (m->ignore_merges) {
        int32_t id = piece.n <= m->longest ? sc_vocab_find(m->vocab, piece.p, piece.n) : -1;
        if (id >= 0) return sc_encoder_emit(e, id, &piece, 0, piece.n);
    }
    if (m->unk < 0 && !m->by_score) {
        sc_status s = leave_out(m, e, &piece);
        if (s || piece.n == 0) return s;
    }
    if (!m->words) return encode_word(m, e, piece);
    int64_t from = 0;
    for (int64_t i = 3; i + 3 <= piece.n; i++) {
        const char *hit = memchr(piece.p + i, SC_LOWLINE[0], (size_t)(piece.n - i));
        if (!hit) break;
        i = hit - piece.p;
        if (i + 3 > piece.n || !lowline(hit) || lowline(hit - 3)) continue;
        sc_status s =
            encode_part(m, e, (sc_piece){piece.p + from, i - from, piece.a ? piece.a + from : NULL, false});
        if (s) return s;
        from = i;
    }
    return encode_part(m, e, (sc_piece){piece.p + from, piece.n - from, piece.a ? piece.a + from : NULL, false});
}

/* ---- making ---- */

static void bpe_free(sc_token_model *base)
{
    bpe *m = (bpe *)base;
    if (!m) return;
    sc_free(m->pair);
    sc_free(m->order);
    sc_free(m->prefix);
    sc_free(m->suffix);
    sc_free(m);
}

typedef struct scored {
    float score;
    int32_t id;
} scored;

static int by_score(const void *x, const void *y)
{
    const scored *a = x, *b = y;
    return a->score != b->score ? (a->score < b->score) - (a->score > b->score) : (a->id > b->id) - (a->id < b->id);
}

/* Equal scores get equal ranks, so that the place decides. */
static sc_status order_scores(bpe *m, const float *scores)
{
    int64_t n = m->vocab->ids;
    scored *list = sc_malloc((size_t)n * sizeof(*list));
    m->order = sc_malloc((size_t)n * sizeof(*m->order));
    if (!list || !m->order) {
        sc_free(list);
        return sc_nomem();
    }
    for (int64_t i = 0; i < n; i++) list[i] = (scored){isnan(scores[i]) ? -INFINITY : scores[i], (int32_t)i};
    qsort(list, (size_t)n, sizeof(*list), by_score);
    uint32_t rank = 0;
    for (int64_t i = 0; i < n; i++) {
        rank += i > 0 && list[i].score != list[i - 1].score;
        m->order[list[i].id] = rank;
    }
    m->ranks = (int64_t)rank + 1;
    sc_free(list);
    return SC_OK;
}

/* Whether a token has a U+2581 after another character: never true of vocabularies whose words do not cross spaces. */
static bool crosses(const char *p, int64_t n)
{
    for (int64_t i = 1; i + 3 <= n; i++) {
        if (lowline(p + i) && (i < 3 || !lowline(p + i - 3))) return true;
    }
    return false;
}

static void survey(bpe *m, const int32_t *bytes)
{
    const sc_vocab *v = m->vocab;
    bool known = sc_vocab_find(v, SC_LOWLINE, 3) >= 0;
    m->words = known && !m->prefix && !m->suffix;
    for (int64_t i = 0; i < v->ids; i++) {
        if (!v->text[i]) continue;
        m->longest = SC_MAX(m->longest, v->len[i]);
        if (m->words && (v->flags[i] & SC_TOKEN_MODEL) && crosses(v->text[i], v->len[i])) m->words = false;
    }
    for (uint32_t c = 0; c < 0x800; c++) {
        char text[4];
        m->near[c] = sc_vocab_find(v, text, sc_utf8_encode(c, text));
    }
    for (int b = 0; b < 256; b++) {
        char text[8];
        snprintf(text, sizeof(text), "<0x%02X>", b);
        m->byte[b] = bytes ? bytes[b] : sc_vocab_find(v, text, 6);
    }
}

sc_status sc_bpe_new(sc_token_model **out, sc_tokenizer *t, const sc_merge *merges, int64_t n,
                     const sc_bpe_options *o)
{
    bpe *m = sc_calloc(1, sizeof(*m));
    if (!m) return sc_nomem();
    m->base = (sc_token_model){encode, bpe_free};
    m->vocab = &t->vocab;
    m->secret = sc_hash_secret();
    m->unk = o->unk;
    m->fuse_unk = o->fuse_unk;
    m->byte_fallback = o->byte_fallback;
    m->ignore_merges = o->ignore_merges;
    m->by_score = o->by_score;
    sc_status s = SC_OK;
    if (o->prefix && *o->prefix && !(m->prefix = sc_strdup(o->prefix))) s = sc_nomem();
    if (o->suffix && *o->suffix && !(m->suffix = sc_strdup(o->suffix))) s = sc_nomem();
    if (!s) s = m->by_score ? order_scores(m, o->scores) : put_pairs(m, merges, n);
    if (s) {
        bpe_free(&m->base);
        return s;
    }
    survey(m, o->bytes);
    *out = &m->base;
    return SC_OK;
}
