/* SPDX-License-Identifier: Apache-2.0 */
/* Which characters of the words become tokens. */
#include "vocab/vocab.h"

enum { SPACE = 0x2581 }; /* SC_LOWLINE */

uint32_t sc_word_symbol(const char *p, int64_t n, bool bytes, int *k)
{
    uint32_t cp;
    if (!bytes) {
        *k = sc_utf8_decode(p, n, &cp);
        return cp;
    }
    char spelled[2];
    int len;
    sc_byte_char((uint8_t)*p, spelled, &len);
    sc_utf8_decode(spelled, len, &cp);
    *k = 1;
    return cp;
}

typedef struct occurrence {
    int64_t *count;  /* [SC_CODEPOINTS] */
    uint8_t *inside; /* [SC_CODEPOINTS] met behind a word's first character */
    int64_t of_byte[256];
    bool bytes;
} occurrence;

static sc_status count_word(void *user, const sc_census_word *w)
{
    occurrence *c = user;
    if (c->bytes) {
        for (int32_t i = 0; i < w->n; i++) c->of_byte[(uint8_t)w->p[i]] += w->count;
        return SC_OK;
    }
    for (int32_t i = 0; i < w->n;) {
        uint32_t cp;
        int k = sc_utf8_decode(w->p + i, w->n - i, &cp);
        c->count[cp] += w->count;
        if (i) c->inside[cp] = 1;
        i += k;
    }
    return SC_OK;
}

typedef struct ranked {
    uint32_t cp;
    int64_t count;
} ranked;

/* The rarest first, of equals the higher code point. */
static int by_count(const void *x, const void *y)
{
    const ranked *a = x, *b = y;
    if (a->count != b->count) return a->count < b->count ? -1 : 1;
    return a->cp > b->cp ? -1 : a->cp < b->cp;
}

/* How many of the n, sorted, to pass over. */
static int64_t passed_over(const ranked *list, int64_t n, int64_t occurrences, const sc_tokenizer_recipe *r)
{
    int64_t drop = r->limit_alphabet && n > r->limit_alphabet ? n - r->limit_alphabet : 0, i = 0;
    double may = (1 - r->coverage) * (double)occurrences, sum = 0;
    if (r->coverage < 1)
        while (i < n && list[i].count < INT64_MAX && (sum += (double)list[i].count) <= may) i++;
    return SC_MAX(drop, i);
}

static void add_initial(occurrence *c, const sc_recipe *r)
{
    const char *p = r->in.initial_alphabet;
    if (!p && c->bytes)
        for (int b = 0; b < 256; b++) {
            int k;
            c->count[sc_word_symbol((const char *)&(char){(char)b}, 1, true, &k)] = INT64_MAX;
        }
    if (c->count[SPACE]) c->count[SPACE] = INT64_MAX; /* what words begin with, however long they are */
    for (int64_t i = 0, n = p ? (int64_t)strlen(p) : 0; i < n;) {
        uint32_t cp;
        i += sc_utf8_decode(p + i, n - i, &cp);
        c->count[cp] = INT64_MAX;
    }
}

/* Fills `kept`: 1 for each character that becomes a token. */
static sc_status choose(sc_characters *out, occurrence *c, const sc_recipe *r, uint8_t *kept)
{
    int64_t n = 0;
    c->count[0] = 0; /* NUL cannot stand in a key of a tokenizer.json */
    for (uint32_t cp = 0; cp < SC_CODEPOINTS; cp++) out->occurrences += c->count[cp];
    add_initial(c, r);
    for (uint32_t cp = 0; cp < SC_CODEPOINTS; cp++) n += c->count[cp] > 0;
    ranked *list = sc_malloc((size_t)SC_MAX(n, 1) * sizeof *list);
    if (!list) return sc_nomem();
    n = 0;
    for (uint32_t cp = 0; cp < SC_CODEPOINTS; cp++)
        if (c->count[cp] > 0) list[n++] = (ranked){cp, c->count[cp]};
    qsort(list, (size_t)n, sizeof *list, by_count);
    out->left_out = passed_over(list, n, out->occurrences, &r->in);
    for (int64_t i = 0; i < out->left_out; i++)
        if (list[i].count < INT64_MAX) out->occurrences_left_out += list[i].count;
    for (int64_t i = out->left_out; i < n; i++) kept[list[i].cp] = 1;
    out->kept = n - out->left_out;
    sc_free(list);
    return SC_OK;
}

static sc_status add_token(sc_token_list *l, const char *prefix, uint32_t cp, int32_t *id)
{
    char text[16];
    int n = prefix ? (int)strlen(prefix) : 0;
    if (n) memcpy(text, prefix, (size_t)n);
    n += sc_utf8_encode(cp, text + n);
    return sc_token_list_add(l, text, n, id);
}

/* A character that is a token of its own for another reason, as a special one may be, counts too. */
static bool is_token(const sc_token_list *l, uint32_t cp)
{
    char text[4];
    int64_t id;
    return sc_map_get(&l->map, text, sc_utf8_encode(cp, text), &id);
}

static sc_status assign(sc_characters *out, sc_token_list *l, const occurrence *c, const uint8_t *kept,
                        const sc_recipe *r)
{
    sc_status s = SC_OK;
    for (uint32_t cp = 0; cp < SC_CODEPOINTS && !s; cp++) {
        out->first[cp] = -1;
        if (kept[cp] || (c->count[cp] > 0 && is_token(l, cp))) s = add_token(l, NULL, cp, &out->first[cp]);
    }
    if (!r->prefix) return s;
    for (uint32_t cp = 0; cp < SC_CODEPOINTS && !s; cp++) {
        out->next[cp] = -1;
        if (out->first[cp] >= 0 && c->inside[cp]) s = add_token(l, r->prefix, cp, &out->next[cp]);
    }
    return s;
}

sc_status sc_characters_choose(sc_characters *out, sc_token_list *l, const sc_train_words *w, const sc_recipe *r)
{
    *out = (sc_characters){0};
    occurrence c = {.count = sc_calloc(SC_CODEPOINTS, sizeof *c.count),
                    .inside = sc_calloc(SC_CODEPOINTS, 1),
                    .bytes = w->bytes};
    uint8_t *kept = sc_calloc(SC_CODEPOINTS, 1);
    out->first = sc_malloc(SC_CODEPOINTS * sizeof *out->first);
    out->next = r->prefix ? sc_malloc(SC_CODEPOINTS * sizeof *out->next) : out->first;
    sc_status s = c.count && c.inside && kept && out->first && out->next ? SC_OK : sc_nomem();
    if (!s) s = sc_train_words_each(w, count_word, &c);
    for (int b = 0; !s && b < 256; b++) {
        int k;
        if (c.of_byte[b]) c.count[sc_word_symbol((const char *)&(char){(char)b}, 1, true, &k)] = c.of_byte[b];
    }
    if (!s) s = choose(out, &c, r, kept);
    if (!s) s = assign(out, l, &c, kept, r);
    sc_free(c.count);
    sc_free(c.inside);
    sc_free(kept);
    if (s) sc_characters_free(out);
    return s;
}

void sc_characters_free(sc_characters *c)
{
    if (c->next != c->first) sc_free(c->next);
    sc_free(c->first);
    c->first = c->next = NULL;
}
