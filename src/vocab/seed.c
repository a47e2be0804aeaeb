/* SPDX-License-Identifier: Apache-2.0 */
/* The pieces that Unigram's training begins with: all substrings of words that are followed by different things, or end, where
 * they are found, and that the text has at least twice; of these the best by frequency times length.
 *
 * All suffixes of words are sorted by their first characters: pairs, then pairs of pairs, and so on up to the longest piece (as in
 * Manber and Myers 1990, "Suffix arrays", but it ends early). Substrings are then intervals in that order, and one walk
 * with a stack finds those that count. */
#include "vocab/vocab.h"

enum { DIGIT = 11 }; /* bits that one pass of sorting goes by */

typedef struct suffix {
    uint64_t key;
    uint32_t at;
} suffix;

/* An interval of sorted suffixes that agree in their first `depth` characters. */
typedef struct candidate {
    uint32_t left, right;
    int32_t depth, next; /* the next with the same left, deeper; -1: none */
    int64_t score, freq;
} candidate;

typedef struct maker {
    sc_seed *out;
    int64_t longest;
    suffix *order, *spare;
    uint32_t *rank;   /* [symbols] of the suffix there, from 1 on; 0 for none */
    uint32_t *common; /* [n + 1] characters that a suffix has in common with the one before it */
    int64_t *weight;  /* [n + 1] sums of the words' counts over the suffixes before */
    int64_t n;
    candidate *found;
    int64_t n_found, found_cap;
    int32_t *head; /* [n] the first candidate with this left */
} maker;

/* ---- words ---- */

static sc_status lay_words(maker *m, const sc_word_stream *w)
{
    sc_seed *x = m->out;
    int64_t size = w->n - w->words * (SC_WORD_HEAD - 1), at = 0;
    x->symbol = sc_malloc((size_t)SC_MAX(size, 1) * sizeof *x->symbol);
    x->longest = sc_malloc((size_t)SC_MAX(size, 1) * sizeof *x->longest);
    x->word = sc_malloc((size_t)SC_MAX(w->words, 1) * sizeof *x->word);
    if (!x->symbol || !x->longest || !x->word) return sc_nomem();
    for (int64_t i = 0; i < w->n;) {
        const uint32_t *u = w->u + i;
        x->word[x->words++] = (sc_seed_word){(int64_t)((uint64_t)u[1] << 32 | u[0]), (uint32_t)at, u[2]};
        for (uint32_t k = 0; k < u[2]; k++) x->symbol[at++] = u[SC_WORD_HEAD + k] + 1;
        x->symbol[at++] = 0;
        i += SC_WORD_HEAD + u[2];
    }
    x->symbols = at;
    return SC_OK;
}

/* ---- sorting ---- */

/* Sorts by bits [from, to) of the keys, those below being sorted already. */
static void sort_bits(maker *m, int from, int to)
{
    int64_t count[1 << DIGIT];
    for (; from < to; from += DIGIT) {
        memset(count, 0, sizeof count);
        for (int64_t i = 0; i < m->n; i++) count[m->order[i].key >> from & ((1 << DIGIT) - 1)]++;
        for (int64_t i = 0, sum = 0; i < 1 << DIGIT; i++) {
            int64_t k = count[i];
            count[i] = sum;
            sum += k;
        }
        for (int64_t i = 0; i < m->n; i++)
            m->spare[count[m->order[i].key >> from & ((1 << DIGIT) - 1)]++] = m->order[i];
        suffix *swap = m->order;
        m->order = m->spare;
        m->spare = swap;
    }
}

static int bits_of(uint64_t x) { return x ? 64 - __builtin_clzll(x) : 0; }

/* Ranks by the first 2 * step characters from those by the first `step`. */
static void double_ranks(maker *m, int64_t step, uint32_t most)
{
    const sc_seed *x = m->out;
    for (int64_t w = 0, i = 0; w < x->words; w++) {
        const sc_seed_word *word = &x->word[w];
        for (uint32_t k = 0; k < word->length; k++, i++) {
            uint32_t at = word->at + k;
            uint64_t after = k + step < word->length ? m->rank[at + step] : 0;
            m->order[i] = (suffix){(uint64_t)m->rank[at] << 32 | after, at};
        }
    }
    sort_bits(m, 0, bits_of(most));
    sort_bits(m, 32, 32 + bits_of(most));
    uint32_t rank = 0;
    for (int64_t i = 0; i < m->n; i++) {
        rank += i == 0 || m->order[i].key != m->order[i - 1].key;
        m->rank[m->order[i].at] = rank;
    }
}

static sc_status sort_suffixes(maker *m)
{
    const sc_seed *x = m->out;
    m->n = x->symbols - x->words;
    m->order = sc_malloc((size_t)m->n * sizeof *m->order);
    m->spare = sc_malloc((size_t)m->n * sizeof *m->spare);
    m->rank = sc_malloc((size_t)x->symbols * sizeof *m->rank);
    if (!m->order || !m->spare || !m->rank) return sc_nomem();
    memcpy(m->rank, x->symbol, (size_t)x->symbols * sizeof *m->rank);
    uint32_t most = (uint32_t)x->letters;
    for (int64_t step = 1; step < m->longest || step == 1; step *= 2, most = (uint32_t)m->n)
        double_ranks(m, step, most);
    return SC_OK;
}

/* ---- intervals ---- */

/* Characters that two suffixes have in common, `longest` at most. */
static int64_t agree(const maker *m, uint32_t a, uint32_t b)
{
    const uint32_t *s = m->out->symbol;
    int64_t k = 0;
    while (k < m->longest && s[a + k] == s[b + k] && s[a + k]) k++;
    return k;
}

static sc_status measure(maker *m)
{
    const sc_seed *x = m->out;
    int64_t *count = sc_malloc((size_t)x->symbols * sizeof *count);
    m->common = sc_malloc((size_t)(m->n + 1) * sizeof *m->common);
    m->weight = sc_malloc((size_t)(m->n + 1) * sizeof *m->weight);
    if (!count || !m->common || !m->weight) {
        sc_free(count);
        return sc_nomem();
    }
    for (int64_t w = 0; w < x->words; w++)
        for (uint32_t k = 0; k < x->word[w].length; k++) count[x->word[w].at + k] = x->word[w].count;
    m->weight[0] = 0;
    m->common[0] = m->common[m->n] = 0;
    for (int64_t i = 0; i < m->n; i++) {
        m->weight[i + 1] = m->weight[i] + count[m->order[i].at];
        if (i) m->common[i] = (uint32_t)agree(m, m->order[i - 1].at, m->order[i].at);
    }
    sc_free(count);
    return SC_OK;
}

static sc_status find(maker *m, int64_t left, int64_t right, int64_t depth)
{
    int64_t freq = m->weight[right + 1] - m->weight[left];
    if (depth < 2 || freq < 2) return SC_OK;
    if (!sc_grow(&m->found, &m->found_cap, m->n_found + 1, sizeof *m->found)) return sc_nomem();
    m->found[m->n_found++] = (candidate){(uint32_t)left, (uint32_t)right, (int32_t)depth, -1, freq * depth, freq};
    return SC_OK;
}

/* A suffix that no other begins with, if it is not too long. */
static sc_status find_leaf(maker *m, int64_t i)
{
    const uint32_t *s = m->out->symbol + m->order[i].at;
    int64_t len = 0, shared = SC_MAX(m->common[i], m->common[i + 1]);
    while (len <= m->longest && s[len]) len++;
    return len <= m->longest && len > shared ? find(m, i, i, len) : SC_OK;
}

/* All intervals, inner ones before those around them. */
static sc_status find_all(maker *m)
{
    struct open {
        int64_t left, depth;
    } *stack = sc_malloc((size_t)(m->longest + 2) * sizeof *stack);
    int64_t top = 0;
    sc_status s = stack ? SC_OK : sc_nomem();
    if (stack) stack[0] = (struct open){0, 0};
    for (int64_t i = 1; i <= m->n && !s; i++) {
        int64_t left = i - 1, depth = m->common[i];
        s = find_leaf(m, i - 1);
        for (; stack[top].depth > depth && !s; top--) {
            left = stack[top].left;
            s = find(m, left, i - 1, stack[top].depth);
        }
        if (stack[top].depth < depth) stack[++top] = (struct open){left, depth};
    }
    sc_free(stack);
    return s;
}

/* The score above which at most `size` candidates lie. */
static int64_t threshold(const maker *m, int64_t size)
{
    int64_t lo = 0, hi = 1;
    for (int64_t i = 0; i < m->n_found; i++) hi = SC_MAX(hi, m->found[i].score);
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2, above = 0;
        for (int64_t i = 0; i < m->n_found; i++) above += m->found[i].score > mid;
        if (above > size)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Lists the best by where they begin, those of equal beginning from the outside in. */
static sc_status list_best(maker *m, int64_t size)
{
    m->head = sc_malloc((size_t)SC_MAX(m->n, 1) * sizeof *m->head);
    if (!m->head) return sc_nomem();
    for (int64_t i = 0; i < m->n; i++) m->head[i] = -1;
    int64_t least = threshold(m, size), taken = 0;
    for (int64_t i = 0; i < m->n_found; i++) taken += m->found[i].score > least;
    for (int64_t i = 0; i < m->n_found; i++) {
        candidate *c = &m->found[i];
        if (c->score < least || (c->score == least && taken >= size)) continue;
        taken += c->score == least;
        c->next = m->head[c->left];
        m->head[c->left] = (int32_t)i;
        m->out->pieces++;
    }
    return SC_OK;
}

/* ---- pieces ---- */

static sc_status make_pieces(maker *m)
{
    sc_seed *x = m->out;
    int64_t n = x->letters + x->pieces;
    x->piece = sc_malloc((size_t)n * sizeof *x->piece);
    x->where = sc_calloc((size_t)n, sizeof *x->where);
    x->freq = sc_calloc((size_t)n, sizeof *x->freq);
    struct open {
        int32_t piece;
        uint32_t right;
    } *stack = sc_malloc((size_t)(m->longest + 2) * sizeof *stack);
    if (!x->piece || !x->where || !x->freq || !stack) {
        sc_free(stack);
        return sc_nomem();
    }
    x->pieces = x->letters;
    for (int64_t i = 0; i < x->letters; i++) x->piece[i] = (sc_piece_node){0, -1, 1};
    int64_t top = -1;
    for (int64_t i = 0; i < m->n; i++) {
        uint32_t at = m->order[i].at;
        int32_t letter = (int32_t)x->symbol[at] - 1;
        x->freq[letter] += (double)(m->weight[i + 1] - m->weight[i]);
        x->where[letter] = at;
        while (top >= 0 && stack[top].right < i) top--;
        for (int32_t k = m->head[i]; k >= 0; k = m->found[k].next) {
            int32_t id = (int32_t)x->pieces++;
            x->piece[id] = (sc_piece_node){0, top >= 0 ? stack[top].piece : letter, m->found[k].depth};
            x->where[id] = at;
            x->freq[id] = (double)m->found[k].freq;
            stack[++top] = (struct open){id, m->found[k].right};
        }
        x->longest[at] = top >= 0 ? stack[top].piece : letter;
    }
    sc_free(stack);
    return SC_OK;
}

sc_status sc_seed_make(sc_seed *out, const sc_word_stream *words, int64_t letters, int64_t longest, int64_t size)
{
    *out = (sc_seed){.letters = letters};
    maker m = {.out = out, .longest = longest};
    sc_status s = lay_words(&m, words);
    if (!s) s = sort_suffixes(&m);
    if (!s) s = measure(&m);
    if (!s) s = find_all(&m);
    if (!s) s = list_best(&m, size);
    if (!s) s = make_pieces(&m);
    sc_free(m.order);
    sc_free(m.spare);
    sc_free(m.rank);
    sc_free(m.common);
    sc_free(m.weight);
    sc_free(m.found);
    sc_free(m.head);
    if (s) sc_seed_free(out);
    return s;
}

void sc_seed_free(sc_seed *x)
{
    sc_free(x->symbol);
    sc_free(x->longest);
    sc_free(x->word);
    sc_free(x->piece);
    sc_free(x->where);
    sc_free(x->freq);
    *x = (sc_seed){0};
}
