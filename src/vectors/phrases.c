/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs of words that stand together far more often than by chance become one word (Mikolov et al. 2013, "Distributed Representations
 * of Words and Phrases"): score = (n(ab) - min_count) tokens / (n(a) n(b)). */
#include "vectors/vectors.h"

#include <unistd.h>

enum { FIRST_SLOTS = 1 << 16, MOST_SLOTS = 1 << 27 };

typedef struct bigrams {
    struct bigram {
        uint64_t key; /* first << 32 | second, + 1; 0: free */
        int64_t count;
    } * slot;
    int64_t n, cap, rarest; /* rarest: those seen so often or less are forgotten when it gets full */
} bigrams;

static struct bigram *find(const bigrams *b, uint64_t key)
{
    uint64_t mask = (uint64_t)b->cap - 1, i = (key * 0x9e3779b97f4a7c15u) >> 20 & mask;
    while (b->slot[i].key && b->slot[i].key != key) i = (i + 1) & mask;
    return &b->slot[i];
}

/* Twice as large, or, at the largest size, without the rare ones. */
static sc_status make_room(bigrams *b)
{
    bigrams grown = {.cap = !b->cap ? FIRST_SLOTS : b->cap < MOST_SLOTS ? b->cap * 2 : b->cap, .rarest = b->rarest};
    if (grown.cap == b->cap) grown.rarest++;
    if (!(grown.slot = sc_calloc((size_t)grown.cap, sizeof *grown.slot))) return sc_nomem();
    for (int64_t i = 0; i < b->cap; i++)
        if (b->slot[i].key && b->slot[i].count > grown.rarest) {
            *find(&grown, b->slot[i].key) = b->slot[i];
            grown.n++;
        }
    sc_free(b->slot);
    *b = grown;
    return SC_OK;
}

static uint64_t key_of(int32_t a, int32_t b) { return ((uint64_t)(uint32_t)a << 32 | (uint32_t)b) + 1; }

static int32_t id_of(const sc_lexicon *x, const char *word, int64_t len)
{
    return len > SC_WORD_LONGEST ? -1 : sc_lexicon_find(x, word, len);
}

static sc_status count(bigrams *b, sc_context *ctx, const sc_word_text *t, const sc_lexicon *x)
{
    for (int64_t u = 0; u < t->n_units; u++) {
        const char *p = t->unit[u].p, *end = t->unit[u].end, *word;
        int64_t len;
        int32_t before = -1;
        if (sc_context_cancelled(ctx)) return sc_fail(SC_ECANCELLED, "stopped on request");
        while ((word = sc_word_next(&p, end, &len))) {
            int32_t id = len ? id_of(x, word, len) : -1;
            if (before >= 0 && id >= 0) {
                while (b->n * 4 >= b->cap * 3) {
                    sc_status s = make_room(b);
                    if (s) return s;
                }
                struct bigram *found = find(b, key_of(before, id));
                b->n += !found->key;
                found->key = key_of(before, id);
                found->count++;
            }
            before = id;
        }
        sc_progress(ctx, "counting phrases", u + 1, t->n_units);
    }
    return SC_OK;
}

static bool stands_together(const bigrams *b, const sc_lexicon *x, const sc_vectors_training *o, int32_t one,
                            int32_t two)
{
    if (one < 0 || two < 0 || !b->cap) return false;
    double n = (double)find(b, key_of(one, two))->count - (double)o->min_count;
    return n > 0 && n / (double)x->count[one] / (double)x->count[two] * (double)x->tokens > o->phrase_threshold;
}

/* The text again, a line a line; a word that was joined to the one before is not joined to the next. */
static sc_status join(sc_writer *w, sc_context *ctx, const sc_word_text *t, const bigrams *b, const sc_lexicon *x,
                      const sc_vectors_training *o)
{
    sc_status s = SC_OK;
    for (int64_t u = 0; !s && u < t->n_units; u++) {
        const char *p = t->unit[u].p, *end = t->unit[u].end, *word;
        int64_t len;
        int32_t before = -1;
        bool first = true;
        if (sc_context_cancelled(ctx)) return sc_fail(SC_ECANCELLED, "stopped on request");
        while (!s && (word = sc_word_next(&p, end, &len))) {
            int32_t id = len ? id_of(x, word, len) : -1;
            bool joined = len && !first && stands_together(b, x, o, before, id);
            if (len && !first) s = sc_writer_write(w, joined ? "_" : " ", 1);
            if (!s) s = len ? sc_writer_write(w, word, len) : sc_writer_write(w, "\n", 1);
            first = !len;
            before = joined ? -1 : id;
        }
        /* What begins in a unit is apart from what ended the one before. */
        if (!s && !first) s = sc_writer_write(w, "\n", 1);
    }
    return s;
}

static sc_status pass(sc_context *ctx, const sc_word_text *t, const sc_vectors_training *o, const char *path)
{
    bigrams b = {0};
    sc_lexicon *x = NULL;
    sc_writer *w = NULL;
    sc_status s = sc_lexicon_count(&x, ctx, t, &(sc_lexicon_options){.min_count = o->min_count});
    if (!s) s = count(&b, ctx, t, x);
    if (!s) s = sc_writer_open(&w, path);
    if (!s) s = join(w, ctx, t, &b, x, o);
    if (!s) s = sc_writer_commit(w);
    sc_writer_close(w);
    sc_lexicon_free(x);
    sc_free(b.slot);
    return s;
}

sc_status sc_phrases_join(sc_word_text **text, sc_context *ctx, const sc_vectors_training *o)
{
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < o->phrases; i++) {
        sc_word_text *joined = NULL;
        sc_str path = {0};
        sc_str_printf(&path, "%s.phrases", o->out);
        if (path.oom) return sc_nomem();
        s = pass(ctx, *text, o, path.p);
        if (!s) s = sc_word_text_open(&joined, (const char *const[]){path.p}, 1);
        (void)unlink(path.p); /* the map keeps it until its end */
        sc_str_free(&path);
        if (s) return s;
        sc_word_text_free(*text);
        *text = joined;
    }
    return s;
}
