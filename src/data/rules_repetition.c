/* SPDX-License-Identifier: Apache-2.0 */
/* Gopher's rules on repetition. Lines and n-grams of words are compared by 64-bit hashes that are the same in every run; where
 * they stand in the table follows from a secret, so that no text can be written to fill one place. */
#include "data/filters.h"

#include <math.h>

/* n-grams are sums of their words' hashes, each times a power of this. */
#define BASE 0x9e3779b97f4a7c15ull
enum { LEAST_TABLE = 64 };

/* Empties the table, with room for n entries in half of it. */
static bool clear_table(sc_rule_work *w, int64_t n)
{
    int64_t need = LEAST_TABLE;
    while (need < 2 * n) need *= 2;
    if (need > w->table_cap ||
        need * 8 < w->table_cap) { /* a long text's table would be cleared for each short one */
        sc_free(w->table);
        w->table_cap = 0;
        w->table = sc_malloc((size_t)need * sizeof *w->table);
        if (!w->table) return false;
        w->table_cap = need;
    }
    memset(w->table, 0, (size_t)w->table_cap * sizeof *w->table);
    return true;
}

/* Where the key is or may be put: an entry whose count is 0. */
static inline struct sc_gram *find(const sc_rule_work *w, uint64_t key)
{
    uint64_t mask = (uint64_t)w->table_cap - 1, i = sc_hash_number(w->secret, key) & mask;
    while (w->table[i].count && w->table[i].key != key) i = (i + 1) & mask;
    return &w->table[i];
}

sc_status sc_duplicate_lines(sc_rule_work *w, int64_t *lines, int64_t *chars)
{
    const sc_words *x = &w->words;
    *lines = *chars = 0;
    if (!clear_table(w, x->lines)) return sc_nomem();
    for (int64_t i = 0; i < x->lines; i++) {
        struct sc_gram *g = find(w, x->line[i].hash);
        if (g->count) {
            ++*lines;
            *chars += x->line[i].chars;
        }
        *g = (struct sc_gram){x->line[i].hash, 1, 0};
    }
    return SC_OK;
}

static sc_status duplicate_paragraphs(sc_rule_work *w, int64_t *paragraphs, int64_t *again, int64_t *chars)
{
    const sc_words *x = &w->words;
    *paragraphs = *again = *chars = 0;
    if (!clear_table(w, x->lines)) return sc_nomem();
    for (int64_t i = 0; i < x->lines;) {
        uint64_t hash = 0;
        int64_t n = 0, from = i;
        do {
            hash = hash * BASE + x->line[i].hash;
            n += x->line[i].chars + (i > from); /* and a newline */
            i++;
        } while (i < x->lines && !x->line[i].opens);
        struct sc_gram *g = find(w, hash);
        ++*paragraphs;
        if (g->count) {
            ++*again;
            *chars += n;
        }
        *g = (struct sc_gram){hash, 1, 0};
    }
    return SC_OK;
}

/* Sums up to each word, so that an n-gram's hash and characters are differences. */
static bool sum_words(sc_rule_work *w)
{
    const sc_words *x = &w->words;
    if (!sc_grow(&w->prefix, &w->prefix_cap, x->words + 1, sizeof *w->prefix) ||
        !sc_grow(&w->chars, &w->chars_cap, x->words + 1, sizeof *w->chars))
        return false;
    w->prefix[0] = 0;
    w->chars[0] = 0;
    for (int64_t i = 0; i < x->words; i++) {
        w->prefix[i + 1] = w->prefix[i] * BASE + x->word[i].hash;
        w->chars[i + 1] = w->chars[i] + x->word[i].chars;
    }
    return true;
}

static uint64_t power(int64_t n)
{
    uint64_t p = 1;
    while (n-- > 0) p *= BASE;
    return p;
}

static inline uint64_t gram(const sc_rule_work *w, int64_t i, int64_t n, uint64_t base_n)
{
    return w->prefix[i + n] - w->prefix[i] * base_n;
}

/* Characters of the most frequent n-gram with the spaces between its words, times how often it stands there; of equally frequent
 * ones the first. n words of a text without spaces are more units and no spaces. */
static bool top_gram(sc_rule_work *w, int64_t n, bool spaces, int64_t *chars)
{
    int64_t all = w->words.words - n + 1, most = 0, first = 0;
    uint64_t base_n = power(n);
    *chars = 0;
    if (all < 1) return true;
    if (!clear_table(w, all)) return false;
    for (int64_t i = 0; i < all; i++) {
        uint64_t key = gram(w, i, n, base_n);
        struct sc_gram *g = find(w, key);
        if (!g->count) *g = (struct sc_gram){key, 0, i};
        g->count++;
        if (g->count > most || (g->count == most && g->first < first)) {
            most = g->count;
            first = g->first;
        }
    }
    *chars = most * (w->chars[first + n] - w->chars[first] + (spaces ? n - 1 : 0));
    return true;
}

/* Characters of n-grams that stood before. What was counted is not looked at again, so none counts twice. */
static bool duplicate_grams(sc_rule_work *w, int64_t n, int64_t *chars)
{
    int64_t all = w->words.words - n + 1;
    uint64_t base_n = power(n);
    *chars = 0;
    if (all < 1) return true;
    if (!clear_table(w, all)) return false;
    for (int64_t i = 0; i < all;) {
        uint64_t key = gram(w, i, n, base_n);
        struct sc_gram *g = find(w, key);
        if (g->count) {
            *chars += w->chars[i + n] - w->chars[i];
            i += n;
        } else {
            *g = (struct sc_gram){key, 1, i};
            i++;
        }
    }
    return true;
}

static sc_status judge_lines(sc_measure *m)
{
    const sc_words *x = &m->w->words;
    double all = (double)SC_MAX(x->chars, 1);
    int64_t n, again, chars;
    sc_status s = duplicate_paragraphs(m->w, &n, &again, &chars);
    if (s) return s;
    if (sc_measured(m, SC_RULE_gopher_dup_paragraphs, n ? (double)again / (double)n : 0)) return SC_OK;
    if (sc_measured(m, SC_RULE_gopher_dup_paragraph_chars, (double)chars / all)) return SC_OK;
    s = sc_duplicate_lines(m->w, &again, &chars);
    if (s) return s;
    if (sc_measured(m, SC_RULE_gopher_dup_lines, x->lines ? (double)again / (double)x->lines : 0)) return SC_OK;
    sc_measured(m, SC_RULE_gopher_dup_line_chars, (double)chars / all);
    return SC_OK;
}

sc_status sc_rules_repetition(sc_measure *m)
{
    sc_rule_work *w = m->w;
    double all = (double)SC_MAX(w->words.chars, 1), unit = m->t->of[SC_RULE_units_per_word];
    int64_t chars;
    bool none = false; /* of shorter ones no n-gram stands there twice */
    sc_status s = judge_lines(m);
    if (s || sc_measure_done(m)) return s;
    if (!sum_words(w)) return sc_nomem();
    for (int n = 2; n <= 4; n++) {
        sc_rule rule = (sc_rule)(SC_RULE_gopher_top_2gram + n - 2);
        if (!m->all && !sc_rule_on(m, rule)) continue;
        if (!top_gram(w, llround(n * unit), unit == 1, &chars)) return sc_nomem();
        if (sc_measured(m, rule, (double)chars / all)) return SC_OK;
    }
    for (int n = 5; n <= 10; n++) {
        sc_rule rule = (sc_rule)(SC_RULE_gopher_dup_5gram + n - 5);
        if (!m->all && !sc_rule_on(m, rule)) continue;
        chars = 0;
        if (!none && !duplicate_grams(w, llround(n * unit), &chars)) return sc_nomem();
        none = chars == 0;
        if (sc_measured(m, rule, (double)chars / all)) return SC_OK;
    }
    return SC_OK;
}
