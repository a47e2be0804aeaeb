/* SPDX-License-Identifier: Apache-2.0 */
/* Static word vectors inside: reading and writing their files; and what all ways of training share, which are the text cut
 * into parts for threads, the words counted, and how words are drawn. learn.h has the training itself. */
#ifndef SC_VECTORS_INTERNAL_H
#define SC_VECTORS_INTERNAL_H

#include "base/base.h"
#include "socle/vectors.h"

#define SC_VECTORS_MOST_WORDS (1LL << 28)
#define SC_VECTORS_MOST_WIDTH (1LL << 16)
#define SC_WORD_LONGEST       1000 /* bytes of a word that is learned; longer ones are counted and left out */

/* ---- reading (vectors.c and a reader a format: read_*.c) ---- */

struct sc_vectors {
    const char *kind, *name; /* name: of the file, for messages */
    sc_buffer *file;
    const char *p; /* its bytes */
    int64_t size;
    int64_t n, width;
    struct sc_vector_word {
        const char *p; /* in the file */
        int64_t len;
    } * word;
    sc_map index;
    float *table;                 /* (n, width) */
    struct sc_ft_model *fasttext; /* or this, which then has the words too (fasttext.h) */
};
/* Each fills in n (at most limit), width, words and vectors; kind and p are set. */
sc_status sc_vectors_read_text(sc_vectors *v, int64_t limit, bool header);
sc_status sc_vectors_read_binary(sc_vectors *v, int64_t limit);
sc_status sc_vectors_read_fasttext(sc_vectors *v, int64_t limit);
/* Room for n words and, where `table`, their vectors; the file must have at least `least` bytes a word. */
sc_status sc_vectors_reserve(sc_vectors *v, int64_t n, int64_t width, int64_t least, bool table);
/* Takes a word into the index unless it is there. */
sc_status sc_vectors_put(sc_vectors *v, int64_t i, const char *p, int64_t len);
/* A decimal number that fills p[0..n) exactly. */
bool sc_decimal(const char *p, int64_t n, float *out);
/* "N WIDTH" in a first line; *next: where the second one begins. */
bool sc_vectors_header(const sc_vectors *v, int64_t *n, int64_t *width, int64_t *next);
sc_status sc_vectors_open_buffer(sc_vectors **out, sc_buffer *bytes, const char *name, int64_t limit);
/* ---- writing (write.c) ---- */

/* Row i of the table, `stride` floats apart, is the vector of word i. */
typedef struct sc_vectors_table {
    const sc_text *word;
    int64_t n, width, stride;
    const float *row;
} sc_vectors_table;
/* Decimals have nine digits, so they read back as the same floats. */
sc_status sc_vectors_write(const char *path, sc_vectors_format format, const sc_vectors_table *t);

/* ---- the text (text.c) ---- */

/* Files of text, mapped and cut into units: what a thread takes at a time. A unit ends where a line does, or a word where lines
 * are long; cuts follow from the sizes of the files alone. Words are what stands between the bytes space, \t, \v, \f, \r and
 * NUL; \n ends a line. */
typedef struct sc_word_text {
    int64_t bytes, n_files, n_units;
    struct sc_word_file {
        sc_buffer *map;
        const char *name; /* owned */
    } * file;
    struct sc_word_unit {
        const char *p, *end;
        int32_t file;
    } * unit;
} sc_word_text;
sc_status sc_word_text_open(sc_word_text **out, const char *const *path, int64_t n);
/* The same over bytes in memory, which must outlive it. */
sc_status sc_word_text_over(sc_word_text **out, const char *p, int64_t n);
void sc_word_text_free(sc_word_text *t);
/* Unit i has been read: its pages may go. */
void sc_word_text_done(const sc_word_text *t, int64_t i);

static inline bool sc_word_space_byte(unsigned char c)
{
    return c <= ' ' && (c == ' ' || (c >= 9 && c <= 13) || c == 0);
}
/* The next word from *p on, or the end of a line, which is a "word" of length 0; NULL at the end. *p is moved behind it. */
static inline const char *sc_word_next(const char **p, const char *end, int64_t *len)
{
    const char *at = *p;
    while (at < end && sc_word_space_byte((unsigned char)*at))
        if (*at++ == '\n') {
            *len = 0;
            *p = at;
            return at - 1;
        }
    const char *from = at;
    while (at < end && !sc_word_space_byte((unsigned char)*at)) at++;
    *len = at - from;
    *p = at;
    return at > from ? from : NULL;
}

/* ---- the words (lexicon.c) ---- */

/* Words by how often they were seen, most often first, of equal ones the one that was seen first; behind them, in the same
 * order, labels. The ids follow from the text alone. */
typedef struct sc_lexicon {
    sc_arena *arena;   /* of the words' bytes */
    int64_t n, labels; /* n: with the labels, which are the last ones */
    sc_text *word;
    int64_t *count;
    sc_map index;
    int64_t tokens;  /* sum of all counts */
    int64_t seen;    /* words of the text with those that were left out; line ends where they count as words */
    int64_t skipped; /* of them those too long or not UTF-8 */
    int64_t lines;   /* line ends seen */
} sc_lexicon;
typedef struct sc_lexicon_options {
    int64_t min_count, min_count_label; /* 0 as 1 */
    int64_t max_words;                  /* at most so many words; 0: all */
    const char *label;                  /* what labels begin with; NULL: there are none */
    bool line_ends;                     /* each end of a line counts as the word "</s>" */
} sc_lexicon_options;
#define SC_LINE_END "</s>"
/* SC_EFORMAT: no word is left. */
sc_status sc_lexicon_count(sc_lexicon **out, sc_context *ctx, const sc_word_text *t, const sc_lexicon_options *o);
/* Of n words that are there already, most often first; labels the last `labels` of them. Copies them. For readers of files. */
sc_status sc_lexicon_make(sc_lexicon **out, const sc_text *word, const int64_t *count, int64_t n, int64_t labels);
void sc_lexicon_free(sc_lexicon *x);
static inline int32_t sc_lexicon_find(const sc_lexicon *x, const char *p, int64_t len) /* -1: not there */
{
    int64_t id;
    return sc_map_get(&x->index, p, len, &id) ? (int32_t)id : -1;
}

/* ---- drawing (draw.c) ---- */

/* Random numbers for inner loops: SplitMix64 (Steele et al. 2014). The state is all there is, so it can be saved. */
static inline uint64_t sc_draw(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static inline uint32_t sc_draw_below(uint64_t *state, uint32_t n)
{
    return (uint32_t)((sc_draw(state) >> 32) * n >> 32);
}
/* The state for place i of stream `stream` under a seed. */
uint64_t sc_draw_state(uint64_t seed, uint64_t stream, uint64_t i);

/* Numbers drawn by weight in constant time: the alias method (Walker 1977, Vose 1991). 2^32 parts of each weight's share. */
typedef struct sc_alias {
    int64_t n;
    struct sc_alias_slot {
        uint32_t keep;
        int32_t other;
    } * slot;
} sc_alias;
sc_status sc_alias_make(sc_alias *a, const double *weight, int64_t n);
void sc_alias_free(sc_alias *a);
static inline int32_t sc_alias_draw(const sc_alias *a, uint64_t *state)
{
    uint64_t r = sc_draw(state);
    uint32_t i = (uint32_t)((r >> 32) * (uint64_t)a->n >> 32);
    return (uint32_t)r < a->slot[i].keep ? (int32_t)i : a->slot[i].other;
}
/* Negative examples: the words (not the labels) by count^power; 0.75 in word2vec, 0.5 in fastText. */
sc_status sc_alias_negatives(sc_alias *a, const sc_lexicon *x, double power);

/* Subsampling of frequent words (Mikolov et al. 2013, in the form of its program): word i is kept where a draw of 32 bits is at
 * most keep[i] = 2^32 (sqrt(t / f) + t / f), f being its share of all tokens. threshold 0: all are kept. *keep: sc_free. */
sc_status sc_subsample_make(uint32_t **keep, const sc_lexicon *x, double threshold);

/* A Huffman tree over counts in descending order (of equal weights leaves go before inner nodes, as in word2vec's and fastText's
 * programs, so that trees are theirs). Leaf i has the inner nodes node[at[i] .. at[i + 1]), from its parent up to the root, and beside
 * each whether the way down from there goes to the second, larger child. Inner nodes are numbered from 0; the root is n - 2. */
typedef struct sc_huffman {
    int64_t n;
    int64_t *at; /* n + 1 */
    int32_t *node;
    uint8_t *bit;
} sc_huffman;
sc_status sc_huffman_make(sc_huffman *h, const int64_t *count, int64_t n);
void sc_huffman_free(sc_huffman *h);

/* ---- ways of training (train.c chooses) ---- */

/* What one of them gives: the vectors, and those of words as contexts. */
typedef struct sc_vectors_result {
    sc_buffer *held[2];
    const float *row, *context; /* (words, width), `stride` floats apart; context may be NULL */
    int64_t stride;
} sc_vectors_result;
/* state: the file to go on from; settings: what it must have been made with. */
sc_status sc_word2vec_train(sc_vectors_result *r, sc_context *ctx, const sc_word_text *t, const sc_lexicon *x,
                            const sc_vectors_training *o, const char *state, const char *settings,
                            sc_vectors_trained *report);
sc_status sc_glove_train(sc_vectors_result *r, sc_context *ctx, const sc_word_text *t, const sc_lexicon *x,
                         const sc_vectors_training *o, const char *state, const char *settings,
                         sc_vectors_trained *report);
/* Puts the text with o->phrases times joined words in place of *text: a file without a name, beside o->out. (phrases.c) */
sc_status sc_phrases_join(sc_word_text **text, sc_context *ctx, const sc_vectors_training *o);
void sc_vectors_result_free(sc_vectors_result *r);

#endif
