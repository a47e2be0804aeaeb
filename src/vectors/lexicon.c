/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a text counted. Every thread counts a run of units, in a table of its own; tables are put together in the order of
 * the text, so ids do not depend on the number of threads. */
#include "vectors/vectors.h"

#include <stdlib.h>

typedef struct tally {
    sc_map index;
    struct entry {
        const char *p; /* in the text */
        int64_t count;
        int32_t len;
        bool bad; /* not UTF-8 */
    } * entry;
    int64_t n, cap;
    int64_t seen, skipped, lines;
    sc_status status;
    char pad[64]; /* threads write beside each other */
} tally;

typedef struct counting {
    sc_context *ctx;
    const sc_word_text *text;
    const sc_lexicon_options *o;
    tally *tally;
    int members;
    atomic_int_fast64_t done; /* units */
} counting;

static sc_status add(tally *t, const char *p, int64_t len, int64_t count)
{
    int64_t at;
    if (sc_map_get(&t->index, p, len, &at)) {
        t->entry[at].count += count;
        return SC_OK;
    }
    if (t->n >= SC_VECTORS_MOST_WORDS)
        return sc_fail(SC_ELIMIT, "more than %lld different words", (long long)SC_VECTORS_MOST_WORDS);
    if (!sc_grow(&t->entry, &t->cap, t->n + 1, sizeof *t->entry) || !sc_map_put(&t->index, p, len, t->n))
        return sc_nomem();
    t->entry[t->n++] = (struct entry){p, count, (int32_t)len, !sc_utf8_valid(p, len)};
    return SC_OK;
}

static void count_units(void *arg, int member)
{
    counting *c = arg;
    tally *t = &c->tally[member];
    int64_t from = c->text->n_units * member / c->members, to = c->text->n_units * (member + 1) / c->members;
    for (int64_t u = from; u < to && !t->status && !sc_context_cancelled(c->ctx); u++) {
        const char *p = c->text->unit[u].p, *end = c->text->unit[u].end, *word;
        int64_t len;
        while (!t->status && (word = sc_word_next(&p, end, &len))) {
            if (!len) {
                t->lines++;
                if (!c->o->line_ends) continue;
                word = SC_LINE_END;
                len = sizeof SC_LINE_END - 1;
            }
            t->seen++;
            if (len > SC_WORD_LONGEST)
                t->skipped++;
            else
                t->status = add(t, word, len, 1);
        }
        int64_t done = atomic_fetch_add(&c->done, 1) + 1;
        if (member == 0) sc_progress(c->ctx, "counting words", done, c->text->n_units);
    }
}

/* All into the first, in order. */
static sc_status merge(tally *t, int members)
{
    sc_status s = t[0].status;
    for (int m = 1; !s && m < members; m++) {
        s = t[m].status ? t[m].status : SC_OK;
        for (int64_t i = 0; !s && i < t[m].n; i++)
            s = add(&t[0], t[m].entry[i].p, t[m].entry[i].len, t[m].entry[i].count);
        t[0].seen += t[m].seen;
        t[0].skipped += t[m].skipped;
        t[0].lines += t[m].lines;
    }
    return s == SC_ELIMIT ? sc_fail(s, "more than %lld different words", (long long)SC_VECTORS_MOST_WORDS)
           : s            ? sc_nomem()
                          : SC_OK;
}

/* ---- in order ---- */

typedef struct ranked {
    int64_t count, at;
    bool label;
} ranked;

static int by_rank(const void *a, const void *b)
{
    const ranked *x = a, *y = b;
    if (x->label != y->label) return x->label - y->label;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    return x->at < y->at ? -1 : x->at > y->at;
}

static bool begins_with(const struct entry *e, const char *label)
{
    size_t n = label ? strlen(label) : 0;
    return label && (size_t)e->len >= n && memcmp(e->p, label, n) == 0;
}

static sc_status take(sc_lexicon **out, tally *t, const sc_lexicon_options *o)
{
    int64_t n = 0, labels = 0, words = 0;
    ranked *r = sc_malloc(((size_t)t->n + 1) * sizeof *r);
    if (!r) return sc_nomem();
    for (int64_t i = 0; i < t->n; i++) {
        const struct entry *e = &t->entry[i];
        bool label = begins_with(e, o->label);
        if (e->bad) t->skipped += e->count;
        if (e->bad || e->count < (label ? o->min_count_label : o->min_count)) continue;
        r[n++] = (ranked){e->count, i, label};
        labels += label;
    }
    qsort(r, (size_t)n, sizeof *r, by_rank);
    words = n - labels;
    int64_t kept = o->max_words ? SC_MIN(words, o->max_words) : words;
    sc_text *word = sc_malloc(((size_t)n + 1) * sizeof *word);
    int64_t *count = sc_malloc(((size_t)n + 1) * sizeof *count);
    sc_status s = word && count ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i < kept + labels; i++) {
        const ranked *from = &r[i < kept ? i : words + i - kept];
        word[i] = (sc_text){t->entry[from->at].p, t->entry[from->at].len};
        count[i] = from->count;
    }
    if (!s) s = sc_lexicon_make(out, word, count, kept + labels, labels);
    sc_free(word);
    sc_free(count);
    sc_free(r);
    return s;
}

sc_status sc_lexicon_make(sc_lexicon **out, const sc_text *word, const int64_t *count, int64_t n, int64_t labels)
{
    sc_lexicon *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    x->n = n;
    x->labels = labels;
    x->arena = sc_arena_new();
    x->word = sc_malloc(((size_t)n + 1) * sizeof *x->word);
    x->count = sc_malloc(((size_t)n + 1) * sizeof *x->count);
    bool ok = x->arena && x->word && x->count;
    for (int64_t i = 0; ok && i < n; i++) {
        x->word[i] = (sc_text){sc_arena_strndup(x->arena, word[i].p, (size_t)word[i].len), word[i].len};
        x->count[i] = count[i];
        x->tokens += count[i];
        ok = x->word[i].p && sc_map_put(&x->index, x->word[i].p, x->word[i].len, i);
    }
    if (!ok) {
        sc_lexicon_free(x);
        return sc_nomem();
    }
    x->seen = x->tokens;
    *out = x;
    return SC_OK;
}

sc_status sc_lexicon_count(sc_lexicon **out, sc_context *ctx, const sc_word_text *text, const sc_lexicon_options *o)
{
    counting c = {.ctx = ctx, .text = text, .o = o, .members = sc_context_threads(ctx)};
    sc_lexicon *x = NULL;
    if (!(c.tally = sc_calloc((size_t)c.members, sizeof *c.tally))) return sc_nomem();
    sc_pool_run(ctx->pool, count_units, &c);
    sc_status s =
        sc_context_cancelled(ctx) ? sc_fail(SC_ECANCELLED, "stopped on request") : merge(c.tally, c.members);
    if (!s) s = take(&x, &c.tally[0], o);
    if (!s) {
        x->seen = c.tally[0].seen;
        x->skipped = c.tally[0].skipped;
        x->lines = c.tally[0].lines;
        if (x->n == x->labels)
            s = sc_fail(SC_EFORMAT, "%s: of %lld words none was seen at least %lld times", text->file[0].name,
                        (long long)x->seen, (long long)SC_MAX(o->min_count, 1));
    }
    for (int m = 0; m < c.members; m++) {
        sc_map_free(&c.tally[m].index);
        sc_free(c.tally[m].entry);
    }
    sc_free(c.tally);
    if (s)
        sc_lexicon_free(x);
    else
        *out = x;
    return s;
}

void sc_lexicon_free(sc_lexicon *x)
{
    if (!x) return;
    sc_map_free(&x->index);
    sc_arena_free(x->arena);
    sc_free(x->word);
    sc_free(x->count);
    sc_free(x);
}
