/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as analogies and as pairs of words with scores, asked of a few vectors, and as a text whose words are counted. */
#include "vectors/vectors.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_free(sc_buffer *b) { (void)b; }

static const char table[] = "king 1 2\nqueen 1 3\nMan 2 1\nwoman 2 2\na -1 0\nb 0 -1\n";

static void ask(sc_word_space *s, const char *text, int64_t len)
{
    sc_analogies *part;
    sc_word_pairs pairs;
    int64_t n;
    if (sc_word_space_analogies(s, text, len, &part, &n) == SC_OK) {
        for (int64_t i = 0; i < n; i++)
            if (part[i].correct > part[i].asked) abort();
        sc_free(part);
    }
    if (sc_word_space_pairs(s, text, len, &pairs) == SC_OK &&
        !(pairs.spearman >= -1.001 && pairs.spearman <= 1.001))
        abort();
}

static void count(sc_context *ctx, const char *text, int64_t len)
{
    sc_word_text *t;
    sc_lexicon *x;
    sc_lexicon_options o = {.min_count = 1, .label = "__label__", .line_ends = len % 2};
    if (sc_word_text_over(&t, text, len) != SC_OK) return;
    if (sc_lexicon_count(&x, ctx, t, &o) == SC_OK) {
        int64_t sum = 0;
        for (int64_t i = 0; i < x->n; i++) {
            sum += x->count[i];
            if (sc_lexicon_find(x, x->word[i].p, x->word[i].len) != i ||
                !sc_utf8_valid(x->word[i].p, x->word[i].len))
                abort();
        }
        if (sum + x->skipped != x->seen) abort();
        sc_lexicon_free(x);
    }
    sc_word_text_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sc_context *ctx;
    sc_buffer *bytes;
    sc_vectors *v;
    sc_word_space *s;
    char *text = malloc(size + 1);
    if (!text) return 0;
    if (size) memcpy(text, data, size);
    if (sc_context_new(&ctx, &(sc_context_options){.threads = 1})) abort();
    if (sc_buffer_wrap(&bytes, (void *)(uintptr_t)table, sizeof table - 1, no_free, NULL)) abort();
    if (sc_vectors_open_buffer(&v, bytes, "table", 0) || sc_word_space_new(&s, ctx, v)) abort();
    ask(s, text, (int64_t)size);
    count(ctx, text, (int64_t)size);
    sc_word_space_free(s);
    sc_vectors_free(v);
    sc_buffer_unref(bytes);
    sc_context_free(ctx);
    free(text);
    return 0;
}
