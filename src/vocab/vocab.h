/* SPDX-License-Identifier: Apache-2.0 */
/* Training of tokenizers inside. Files become counted words (corpus.c, census.c), words become a vocabulary (merge.c for byte-pair
 * encoding and WordPiece, seed.c and unigram.c for Unigram), and a vocabulary becomes a tokenizer.json (layout.c, write.c).
 *
 * What cuts the text is the tokenizer.json itself: its normalizers and pre-tokenizers are read by text/ and run with a model that
 * counts. So training sees the very pieces that encoding will see. Nothing here depends on the order in which words are
 * met: counts are integers, so any number of threads gives the same vocabulary. */
#ifndef SC_VOCAB_INTERNAL_H
#define SC_VOCAB_INTERNAL_H

#include "base/base.h"
#include "socle/vocab.h"
#include "text/text.h"

enum {
    SC_TRAIN_BLOCK = 1 << 20,       /* bytes read at once; longer lines are cut */
    SC_TRAIN_MAX_RECORD = 64 << 20, /* bytes of a line of .jsonl */
    SC_TRAIN_MAX_SIZE = 1 << 21,    /* tokens of a vocabulary */
    SC_TRAIN_SPECIALS = 4096,       /* special tokens */
};

/* ---- what is asked for (recipe.c) ---- */

typedef enum sc_tokenizer_kind { SC_KIND_BYTES, SC_KIND_BPE, SC_KIND_UNIGRAM, SC_KIND_WORDPIECE } sc_tokenizer_kind;

/* A recipe with everything said that it left to us. */
typedef struct sc_recipe {
    sc_tokenizer_recipe in; /* sizes, shares and names are set; special and specials are the ones below */
    sc_tokenizer_kind kind;
    const char *special[SC_TRAIN_SPECIALS];
    bool byte_fallback;
    const char *prefix; /* of what continues a word; NULL: nothing */
} sc_recipe;
sc_status sc_recipe_read(sc_recipe *out, const sc_tokenizer_recipe *in);
/* The tokenizer.json but for its model and its tokens (layout.c). *out is owned. */
sc_status sc_layout_make(json_t **out, const sc_recipe *r);
/* Puts the model and the tokens into the layout; writes it and tokenizer_config.json (write.c). */
struct sc_token_list;
sc_status sc_layout_fill(json_t *layout, const sc_recipe *r, const struct sc_token_list *l);
sc_status sc_layout_write(const char *dir, const sc_recipe *r, const json_t *layout);
/* The whole tokenizer.json of a recipe (train.c). *out is owned. */
sc_status sc_recipe_train(json_t **out, const sc_recipe *r, sc_context *ctx, sc_tokenizer_report *report);

/* ---- counted words (census.c) ---- */

/* A word, its bytes not NUL-terminated, and how often it was met. */
typedef struct sc_census_word {
    const char *p; /* NULL: a free place */
    uint64_t hash;
    int64_t count;
    int32_t n;
} sc_census_word;

/* Starts as {.secret, .limit}. */
typedef struct sc_census {
    sc_census_word *slot; /* cap of them, a power of two */
    int64_t n, cap;
    uint64_t secret;
    char *room; /* where the next word's bytes go */
    int64_t left;
    struct sc_census_block *blocks;
    int64_t bytes,
        limit; /* memory in use, and what it may be; of all threads' tables together the caller's business */
} sc_census;
/* SC_ELIMIT: more memory than t->limit would be needed. */
sc_status sc_census_add(sc_census *t, const char *p, int64_t n, int64_t count);
/* Moves the words of n tables whose hash falls to share `index` of `of` into *out; they go on pointing into those tables. */
sc_status sc_census_gather(sc_census *out, const sc_census *from, int n, int index, int of);
void sc_census_free(sc_census *t);

/* The words of a corpus: those of `tables` tables. */
typedef struct sc_train_words {
    sc_census *table; /* [tables] */
    int tables;
    sc_census *met; /* [met_n] what the words' bytes lie in */
    int met_n;
    bool bytes; /* words are bytes, each of which is spelled as a character; else they are characters */
    int64_t words, distinct, read, records, invalid; /* as sc_tokenizer_report has them */
} sc_train_words;
void sc_train_words_free(sc_train_words *w);
/* fn(user, word) for all words; stops at the first failure. */
typedef sc_status sc_train_words_fn(void *user, const sc_census_word *w);
sc_status sc_train_words_each(const sc_train_words *w, sc_train_words_fn *fn, void *user);

/* ---- files (corpus.c) ---- */

/* Reads all files of the recipe on the context's threads and cuts them as `layout`, a tokenizer.json, says. */
sc_status sc_train_words_count(sc_train_words *out, sc_context *ctx, const sc_recipe *r, const json_t *layout);

/* ---- a vocabulary being made (tokens.c) ---- */

typedef struct sc_token_list {
    sc_arena *arena;
    sc_slice *text;
    double *score; /* Unigram's; NULL otherwise */
    int64_t n, cap;
    sc_map map;
    struct sc_token_pair {
        int32_t a, b;
    } * merge; /* by rank */
    int64_t merges, merge_cap;
} sc_token_list;
sc_status sc_token_list_begin(sc_token_list *l);
/* *id: the one it has, or a new one. */
sc_status sc_token_list_add(sc_token_list *l, const char *p, int64_t n, int32_t *id);
void sc_token_list_free(sc_token_list *l);

/* ---- learning ---- */

/* The characters of the words that become tokens, and what each is in a word (alphabet.c). */
typedef struct sc_characters {
    int32_t *first; /* [SC_CODEPOINTS] a character's token at a word's beginning, -1: none, it is left out */
    int32_t *next;  /* [SC_CODEPOINTS] ... elsewhere; the same array where no prefix marks it */
    int64_t kept, left_out, occurrences, occurrences_left_out;
} sc_characters;
enum { SC_CODEPOINTS = 0x110000 };
/* Adds the alphabet to l, in the order of code points. */
sc_status sc_characters_choose(sc_characters *out, sc_token_list *l, const sc_train_words *w, const sc_recipe *r);
void sc_characters_free(sc_characters *c);
/* The code point that spells the next symbol of p[0..n); *k the bytes it takes. `bytes` as sc_train_words has it. */
uint32_t sc_word_symbol(const char *p, int64_t n, bool bytes, int *k);

/* Words in a row as their characters' tokens, each behind a head of its count in two halves and its length. Places in the
 * stream are 32 bits wide (stream.c). */
enum { SC_WORD_HEAD = 3 };
typedef struct sc_word_stream {
    uint32_t *u;
    int64_t n, cap;
    int64_t words;
} sc_word_stream;
typedef struct sc_stream_options {
    int64_t least, most; /* characters of a word: shorter ones are left out, longer ones cut; most 0: no limit */
    int64_t rare;        /* words with a lower count are left out */
    bool breaks;         /* a character that is no token parts a word; else its neighbours meet */
} sc_stream_options;
sc_status sc_word_stream_make(sc_word_stream *out, const sc_train_words *w, const sc_characters *c,
                              const sc_stream_options *o);

/* Learns merges until l has r->in.size tokens (merge.c). */
sc_status sc_merges_learn(sc_token_list *l, sc_context *ctx, const sc_train_words *w, const sc_characters *c,
                          const sc_recipe *r);
/* Adds Unigram's pieces and their scores to l until it has r->in.size (unigram.c). letters: the tokens of the characters. */
sc_status sc_unigram_learn(sc_token_list *l, sc_context *ctx, const sc_train_words *w, const sc_characters *c,
                           const sc_token_list *letters, const sc_recipe *r);

/* The pieces that Unigram begins with (seed.c). Characters are pieces 0 to letters - 1, each piece comes after the one that
 * it goes on from: the longest other piece that it begins with. So the pieces that a text begins with are the longest of
 * them, its parent, and so on: no tree has to be walked. */
typedef struct sc_piece_node {
    double prob; /* see unigram.c */
    int32_t parent, length;
} sc_piece_node;
typedef struct sc_seed_word {
    int64_t count;
    uint32_t at, length;
} sc_seed_word;
typedef struct sc_seed {
    uint32_t *symbol; /* [symbols] the words' characters, from 1 on; 0 after each word */
    int32_t *longest; /* [symbols] the longest piece that begins here */
    int64_t symbols;
    sc_seed_word *word;
    int64_t words;
    sc_piece_node *piece;
    uint32_t *where; /* [pieces] a place where it is found */
    double *freq;    /* [pieces] how often it is found */
    int64_t pieces, letters;
} sc_seed;
/* letter: [token ids] the number of a character's token among the letters. */
sc_status sc_seed_make(sc_seed *out, const sc_word_stream *words, int64_t letters, int64_t longest, int64_t size);
void sc_seed_free(sc_seed *x);

#endif
