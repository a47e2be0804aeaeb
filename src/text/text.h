/* SPDX-License-Identifier: Apache-2.0 */
/* Tokenizers inside. A text goes through
 *
 *   added tokens -> normalizers -> added tokens -> pre-tokenizers -> model -> template
 *
 * and ids come back through decoders. Each stage is a flat list of steps that the readers (tokenizer.json, GGUF,
 * tokenizer.model) fill. A model is a struct of functions, so that another kind is another file. */
#ifndef SC_TEXT_INTERNAL_H
#define SC_TEXT_INTERNAL_H

#include "base/base.h"
#include "socle/tokenizer.h"

#define SC_TEXT_MAX_INPUT (512LL << 20) /* bytes of one text: its mapped form and positions still fit int32 */
#define SC_TEXT_MAX_IDS   (1 << 22)     /* ids of a vocabulary */
#define SC_TEXT_MAX_TOKEN (1 << 20)     /* bytes of one token of a vocabulary */
#define SC_TEXT_MAX_ADDED 1024 /* bytes of an added token, as texts are searched for it at every position */
#define SC_TEXT_MAX_STEPS 32   /* normalizers, pre-tokenizers or decoders in a row */
#define SC_TEXT_MAX_FILE  (256LL << 20) /* bytes of a tokenizer file */

#define SC_TEXT_MAX_STRING 4096      /* bytes of a string that a step puts in, takes out or looks for */
#define SC_TEXT_MAX_FILL   (1 << 20) /* ids that a tokenizer.json may ask a text to be filled up to */

/* Whether `to` bytes are more than a normalizer may make of `from`. */
static inline bool sc_text_swells(int64_t from, int64_t to)
{
    return to > SC_MIN(SC_MAX(16 << 20, 64 * from), 2 * SC_TEXT_MAX_INPUT);
}
sc_status sc_text_swollen(int64_t from, int64_t to); /* the failure (normalize.c) */

#define SC_LOWLINE "\xe2\x96\x81" /* U+2581, SentencePiece's space */

/* ---- Unicode (unicode.c) ---- */
bool sc_uni_white(uint32_t c);
bool sc_uni_number(uint32_t c);     /* Nd, Nl, No */
bool sc_uni_punct(uint32_t c);      /* ASCII punctuation and P* */
bool sc_uni_word(uint32_t c);       /* what \w is to regular expressions */
bool sc_uni_mark(uint32_t c);       /* M* */
bool sc_uni_nonspacing(uint32_t c); /* Mn */
bool sc_uni_other(uint32_t c);      /* Cc, Cf, Co */
bool sc_uni_old_punct(uint32_t c);  /* as HuggingFace's tokenizers know them (unicode_old.c) */
bool sc_uni_old_mark(uint32_t c);
bool sc_uni_old_nonspacing(uint32_t c);
bool sc_uni_old_other(uint32_t c);
int sc_uni_lower(uint32_t c, uint32_t out[2]);
void sc_py_case(sc_str *out, const char *p, int64_t n, bool upper); /* Python's upper() or lower(), appended */
void sc_py_strip(const char **p, int64_t *n);                       /* Python's strip() */
bool sc_py_space(uint32_t c);                                       /* Python's isspace() */
const char *sc_uni_script(int i); /* the names of scripts but ideographs and kana; NULL after the last */
bool sc_uni_cjk(uint32_t c);      /* ideographs, as BERT's normalizer separates them */

/* A text and, where wanted, the bytes of the original that each of its bytes stands for. */
typedef struct sc_norm {
    char *p;
    int64_t n, cap;
    sc_token_span *a; /* n of them if track */
    int64_t acap;
    bool track, oom;
} sc_norm;
void sc_norm_put(sc_norm *x, const char *p, int64_t n, sc_token_span a); /* all n bytes stand for a */
void sc_norm_copy(sc_norm *x, const char *p, int64_t n, const sc_token_span *a);
void sc_norm_clear(sc_norm *x);
void sc_norm_free(sc_norm *x);

typedef enum sc_form { SC_NFC, SC_NFD, SC_NFKC, SC_NFKD } sc_form;
/* Appends the normal form of src to dst; bytes that are not UTF-8 pass as they are. false without memory. */
bool sc_uni_is_nfc(const char *p, int64_t n); /* false also where that takes more than a look */
bool sc_uni_normalize(sc_norm *dst, const sc_norm *src, sc_form form);

/* ---- regular expressions (regex.c) ---- */

/* Oniguruma's Ruby syntax, which tokenizer.json files are written in, run by PCRE2. */
typedef struct sc_regex sc_regex;
sc_status sc_regex_new(sc_regex **out, const char *pattern, int64_t len, const char *what);
void sc_regex_free(sc_regex *re);
/* What one thread needs to match; serves any expression. */
typedef struct sc_matcher sc_matcher;
sc_status sc_matcher_new(sc_matcher **out);
void sc_matcher_free(sc_matcher *m);
/* The matches in p[0..n), one after another. Stretches that are not UTF-8 never match. */
typedef struct sc_scan {
    const sc_regex *re;
    sc_matcher *m;
    const char *p;
    int64_t n, base, valid; /* [base, valid) is UTF-8 */
    int64_t pos, last;      /* where to go on; the end of the last match or -1 */
} sc_scan;
sc_scan sc_scan_begin(const sc_regex *re, sc_matcher *m, const char *p, int64_t n, bool valid);
/* *found false at the end. */
sc_status sc_scan_next(sc_scan *s, bool *found, int64_t *begin, int64_t *end);

/* ---- regular expressions as Python's re has them, for texts outside of tokenizers (search.c) ---- */

enum { SC_SEARCH_IGNORE_CASE = 1 };
typedef struct sc_search sc_search; /* one owner: it keeps the groups of the last match */
/* what: names it in messages (copied). SC_EFORMAT: no such expression. */
sc_status sc_search_new(sc_search **out, const char *pattern, int64_t n, unsigned flags, const char *what);
void sc_search_free(sc_search *s);
int sc_search_groups(const sc_search *s); /* besides the whole match */
/* Where to go on; starts as {0}. */
typedef struct sc_search_place {
    int64_t begin, end; /* of the last match */
    int64_t next;
    bool after_empty;
} sc_search_place;
/* The next match in p[0..n), which is UTF-8. SC_ELIMIT: it took too many steps. */
sc_status sc_search_next(sc_search *s, const char *p, int64_t n, sc_search_place *at, bool *found);
/* Group i of the last match, 0 the whole; false: it took no part in it. */
bool sc_search_group(const sc_search *s, int i, int64_t *begin, int64_t *end);
/* re.sub: appends p[0..n) with the first `count` matches (0: all) replaced by with[0..with_n), in which \1, \g<1> and
 * \g<name> stand for groups. SC_ELIMIT: more than `most` bytes. */
sc_status sc_search_replace(sc_search *s, const char *p, int64_t n, const char *with, int64_t with_n, int64_t count,
                            int64_t most, sc_str *out);

/* ---- the well-known patterns by hand (scan.c) ---- */
typedef struct sc_scanner sc_scanner;
const sc_scanner *sc_scanner_find(const char *pattern, int64_t len); /* NULL: not one of them */
/* The length of the match that p[0..n), n > 0, begins with: there always is one. p is UTF-8. */
int64_t sc_scanner_next(const sc_scanner *s, const char *p, int64_t n);
/* The pattern of this name: gpt2, llama3 (cl100k), qwen2, o200k. NULL: none. */
const char *sc_pattern_named(const char *name);

/* ---- patterns ---- */

/* Something to look for: an expression, a string, or a class of characters. */
typedef struct sc_pattern {
    sc_regex *re;
    const sc_scanner *scan; /* finds the same as re, in UTF-8; NULL for none */
    char *text;             /* a string, if len > 0 */
    int64_t len;
    bool (*is)(uint32_t c);
} sc_pattern;
void sc_pattern_free(sc_pattern *p);
typedef sc_status sc_pattern_fn(void *user, int64_t begin, int64_t end, bool match);
/* Cuts p[0..n) into matches and what is between, in order, every byte once. */
sc_status sc_pattern_each(const sc_pattern *pat, sc_matcher *m, const char *p, int64_t n, bool valid,
                          sc_pattern_fn *fn, void *user);
/* {"String": ...}, {"Regex": ...} or a bare string. */
sc_status sc_pattern_parse(sc_pattern *out, const json_t *j, const char *what);

/* ---- steps ---- */

typedef struct sc_norm_step {
    enum {
        SC_NORM_FORM,
        SC_NORM_LOWER,
        SC_NORM_STRIP_ACCENTS,
        SC_NORM_STRIP,
        SC_NORM_PREPEND,
        SC_NORM_REPLACE,
        SC_NORM_BYTES,
        SC_NORM_SPACES,
        SC_NORM_BERT,
        SC_NORM_NMT,
        SC_NORM_CHARSMAP
    } kind;
    sc_form form;
    bool left, right;
    bool clean, separate, accents, lower; /* BERT: remove controls, put spaces around ideographs, strip accents */
    bool longest; /* character map: the longest match counts, as SentencePiece has it; else whole clusters first */
    struct sc_charsmap *charsmap;
    sc_pattern pattern;
    char *text;
    int64_t len;
} sc_norm_step;

typedef enum sc_behavior { SC_REMOVED, SC_ISOLATED, SC_MERGED_PREVIOUS, SC_MERGED_NEXT, SC_CONTIGUOUS } sc_behavior;
typedef enum sc_prepend { SC_PREPEND_ALWAYS, SC_PREPEND_FIRST, SC_PREPEND_NEVER } sc_prepend;

typedef struct sc_pre_step {
    enum { SC_PRE_SPLIT, SC_PRE_PREFIX_SPACE, SC_PRE_BYTES, SC_PRE_METASPACE, SC_PRE_LENGTH } kind;
    int64_t length; /* in characters, of SC_PRE_LENGTH's pieces */
    sc_pattern pattern;
    sc_behavior behavior;
    bool invert;
    sc_prepend prepend;
    char replacement[5];
} sc_pre_step;

typedef struct sc_decode_step {
    enum {
        SC_DEC_BYTES,
        SC_DEC_BYTE_FALLBACK,
        SC_DEC_FUSE,
        SC_DEC_REPLACE,
        SC_DEC_STRIP,
        SC_DEC_METASPACE,
        SC_DEC_SUFFIX,
        SC_DEC_WORDPIECE,
        SC_DEC_CTC
    } kind;
    char *delimiter; /* CTC: between words */
    bool cleanup;
    sc_pattern pattern;
    char *text;
    int64_t len;
    int64_t start, stop; /* strip: at most so many characters */
    sc_prepend prepend;
} sc_decode_step;

typedef struct sc_added {
    int32_t id;
    bool single_word, lstrip, rstrip, normalized, special;
    const char
        *text; /* what it is found as, and decodes to, where that is not its content: normalized; else NULL */
    int64_t len;
} sc_added;

/* A trie over the added tokens of one kind (raw or normalized). */
typedef struct sc_trie {
    struct sc_trie_node {
        int32_t child, sibling, added;
        uint8_t byte;
    } * node;
    int64_t count, cap;
    int32_t root[256];
} sc_trie;

typedef struct sc_slice {
    const char *p;
    int64_t n;
} sc_slice;

/* A tree over strings: node 0 is the root, a node's value -1 for none (prefix.c). */
typedef struct sc_prefix_tree {
    struct sc_prefix_unit {
        int32_t base, parent, value;
    } * unit;
    int64_t n, cap;
} sc_prefix_tree;
/* Of equal keys the highest value counts; empty ones are left out. *t is {0} before. */
sc_status sc_prefix_build(sc_prefix_tree *t, const sc_slice *keys, const int32_t *values, int64_t n);
void sc_prefix_free(sc_prefix_tree *t);
static inline int32_t sc_prefix_step(const sc_prefix_tree *t, int32_t node, uint8_t byte) /* -1: no such child */
{
    int32_t child = t->unit[node].base + byte;
    return t->unit[child].parent == node && child != 0 ? child : -1;
}

typedef struct sc_encoder sc_encoder;

/* What stands around a text or a pair: ids, and the places of the texts. */
enum { SC_FRAME_A = -1, SC_FRAME_B = -2 };
typedef struct sc_frame {
    struct sc_frame_item {
        int32_t id, type; /* a token or one of the above; its token type (segment) */
    } * item;
    int64_t n, cap;
} sc_frame;
void sc_frame_free(sc_frame *f);

/* What a tokenizer.json says of lengths; only SC_TOKENIZE_FIT heeds it. */
typedef struct sc_fit {
    bool truncate, pad;
    int64_t max_length;
    enum { SC_TRUNCATE_LONGEST, SC_TRUNCATE_FIRST, SC_TRUNCATE_SECOND } strategy;
    bool truncate_left, pad_left;
    int64_t pad_length, pad_multiple; /* 0: none */
    int32_t pad_id, pad_type;
} sc_fit;

/* A stretch of text on its way to the model. */
typedef struct sc_piece {
    const char *p;
    int64_t n;
    const sc_token_span *a; /* NULL unless spans are wanted */
    bool first;             /* begins where the whole text begins */
} sc_piece;

/* A kind of model: what it owns, and how a piece becomes ids (sc_encoder_emit). */
typedef struct sc_token_model {
    sc_status (*encode)(const struct sc_token_model *m, sc_encoder *e, sc_piece piece);
    void (*free)(struct sc_token_model *m);
} sc_token_model;

typedef struct sc_vocab {
    sc_arena *arena;   /* the tokens' bytes, each with a NUL; they never move */
    const char **text; /* [ids], NULL for none */
    int32_t *len;
    uint8_t *flags; /* SC_TOKEN_* */
    int64_t ids, ids_cap;
    sc_map map; /* the model's tokens; built by sc_vocab_index */
    uint64_t *filter, filter_mask;
} sc_vocab;
enum { SC_TOKEN_MODEL = 1, SC_TOKEN_ADDED = 2, SC_TOKEN_SPECIAL = 4, SC_TOKEN_NORMALIZED = 8 };

struct sc_tokenizer {
    sc_vocab vocab;
    sc_map added_map; /* added tokens by content */
    sc_added *added;
    int64_t n_added, added_cap;
    sc_trie raw, normalized;
    sc_norm_step norm[SC_TEXT_MAX_STEPS];
    sc_pre_step pre[SC_TEXT_MAX_STEPS];
    sc_decode_step dec[SC_TEXT_MAX_STEPS];
    int n_norm, n_pre, n_dec;
    bool prefix_once; /* SC_NORM_PREPEND applies to the first stretch of a text only */
    bool verbatim;    /* the normalized text is searched for added tokens as they are spelled */
    bool trim_spans;  /* a ByteLevel post-processor takes spaces out of spans */
    bool trim_prefix; /* ... but leaves the first one that was added */
    sc_token_model *model;
    int word_step; /* pieces on their way to this step are words, whose ids depend on their text alone */
    struct sc_encoder_pool *pool;
    sc_frame single, pair; /* empty: the texts alone */
    int32_t *before, *after;
    int64_t n_before, n_after;
    sc_fit fit;
    int32_t bos, eos, pad, unk;
};

/* One call of encode. */
struct sc_encoder {
    const sc_tokenizer *t;
    unsigned flags;
    bool valid; /* the text is UTF-8 throughout */
    int32_t *ids;
    sc_token_span *spans; /* NULL unless wanted */
    int64_t n, cap, span_cap;
    bool want_spans;
    sc_matcher *matcher; /* made when first needed */
    sc_norm norm[2];
    sc_norm scratch[SC_TEXT_MAX_STEPS];
    sc_norm known; /* a piece without what no token spells */
    struct sc_merge_space {
        struct sc_merge_pair {
            uint64_t key; /* left << 32 | right */
            uint32_t rank;
            int32_t result;
        } * seen; /* what merging pairs of tokens gave; made when first needed */
        int32_t *id, *len;
        int64_t id_cap, len_cap;
        uint64_t *heap;
        int64_t heap_n, heap_cap;
        struct sc_merge_node {
            uint32_t place;
            int32_t next;
        } * node;
        int64_t node_n, node_cap;
        int32_t free_node;
        int32_t *head, *tail; /* [ranks]: the list of a rank's places, -1 for none */
        uint32_t *place;
        int64_t place_cap;
    } merge;
    struct sc_word *words; /* made when first needed */
    int32_t *way;          /* Unigram's */
    double *score;
    int64_t way_cap, score_cap;
};
/* The ids of a short word that was met before. 64 bytes, a cache line. */
enum { SC_WORD_BYTES = 32, SC_WORD_IDS = 6 };
struct sc_word {
    uint64_t key[4];
    int32_t id[SC_WORD_IDS];
    uint8_t len, n;
};
typedef sc_status sc_word_fn(sc_encoder *e, const void *how, sc_piece piece);
/* As encode(e, how, piece), which is not called again for a word that is remembered. A tokenizer has one use for it. */
sc_status sc_encoder_word(sc_encoder *e, sc_piece piece, sc_word_fn *encode, const void *how);
enum { SC_WORD_BATCH = 16 };
/* The same for n of them, at most SC_WORD_BATCH, where no spans are wanted. */
sc_status sc_encoder_words(sc_encoder *e, const sc_piece *pieces, int n, sc_word_fn *encode, const void *how);
/* Encoders keep their memory between calls: a tokenizer has a few at rest, taken and given back without a lock (words.c). */
typedef struct sc_encoder_pool sc_encoder_pool;
sc_status sc_encoder_pool_new(sc_encoder_pool **out);
void sc_encoder_pool_free(sc_encoder_pool *p);
sc_status sc_encoder_take(sc_encoder **out, const sc_tokenizer *t, unsigned flags, bool want_spans);
void sc_encoder_give(sc_encoder *e);
sc_status sc_encoder_emit(sc_encoder *e, int32_t id, const sc_piece *piece, int64_t from, int64_t to);
sc_status sc_encoder_matcher(sc_encoder *e);
/* Puts the texts' ids, which end at end[texts], into the tokenizer's frame as the flags say; *types is owned. */
sc_status sc_frame_apply(sc_encoder *e, const int64_t *end, int texts, int32_t **types);

/* ---- the stages ---- */
sc_status sc_norm_parse(sc_tokenizer *t, const json_t *j, const char *what); /* normalize.c; j may be null */
sc_status sc_norm_add(sc_tokenizer *t, sc_norm_step step);                   /* takes what step owns */
/* Runs all normalizers over x; y is scratch. The result is in *x. */
sc_status sc_norm_run(const sc_tokenizer *t, sc_matcher *m, sc_norm *x, sc_norm *y, bool first);
void sc_norm_step_free(sc_norm_step *s);
bool sc_norm_bert(const sc_norm_step *step, const sc_norm *x, sc_norm *dst); /* false without memory */
void sc_norm_nmt(const sc_norm *x, sc_norm *dst);
typedef struct sc_charsmap sc_charsmap; /* normalize_map.c */
sc_status sc_charsmap_new(sc_charsmap **out, const uint8_t *blob, int64_t len, const char *what);
sc_status sc_charsmap_run(const sc_tokenizer *t, const sc_norm_step *step, const sc_norm *x, sc_norm *dst);
void sc_charsmap_free(sc_charsmap *m);

sc_status sc_pre_parse(sc_tokenizer *t, const json_t *j, const char *what); /* pretokenize.c */
sc_status sc_pre_add(sc_tokenizer *t, sc_pre_step step);
sc_status sc_pre_add_class(sc_tokenizer *t, bool (*is)(uint32_t), sc_behavior behavior);
sc_status sc_pre_add_regex(sc_tokenizer *t, const char *regex);             /* isolated */
sc_status sc_pre_add_bytes(sc_tokenizer *t, bool prefix_space, bool regex); /* ByteLevel */
sc_status sc_pre_run(sc_encoder *e, int step, sc_piece piece);

void sc_byte_char(uint8_t byte, char out[2], int *n); /* the character that spells a byte, as GPT-2 maps them */
int sc_char_byte(uint32_t c);                         /* the way back, -1 for none */

sc_status sc_dec_parse(sc_tokenizer *t, const json_t *j, const char *what); /* decode.c */
sc_status sc_dec_add(sc_tokenizer *t, sc_decode_step step);
void sc_dec_step_free(sc_decode_step *s);

sc_status sc_post_parse(sc_tokenizer *t, const json_t *j, const char *what);   /* post.c */
sc_status sc_post_wrap(sc_tokenizer *t, int32_t before, int32_t after);        /* sets both frames; -1 for none */
sc_status sc_fit_parse(sc_tokenizer *t, const json_t *root, const char *what); /* frame.c */
void sc_post_trim(const sc_tokenizer *t, sc_encoder *e, const char *text, int64_t from);

/* ---- vocabulary and added tokens (vocab.c, added.c) ---- */
sc_status sc_vocab_set(sc_vocab *v, int64_t id, const char *p, int64_t len, const char *what);
sc_status sc_vocab_index(sc_vocab *v); /* the tokens flagged SC_TOKEN_MODEL */
static inline const char *sc_vocab_text(const sc_vocab *v, int64_t id, int64_t *len)
{
    if (id < 0 || id >= v->ids || !v->text[id]) return NULL;
    *len = v->len[id];
    return v->text[id];
}
static inline int32_t sc_vocab_find(const sc_vocab *v, const char *p, int64_t len)
{
    int64_t id;
    if (!v->filter) return -1;
    uint64_t hash = sc_map_hash(&v->map, p, len), at = hash >> 20 & v->filter_mask;
    if (!(v->filter[at / 64] >> (at % 64) & 1)) return -1;
    return sc_map_get_hashed(&v->map, p, len, hash, &id) ? (int32_t)id : -1;
}
void sc_vocab_free(sc_vocab *v);

sc_status sc_added_put(sc_tokenizer *t, sc_added a, const char *content, int64_t len, const char *what);
sc_status sc_added_index(sc_tokenizer *t); /* after the normalizers and all sc_added_put */
/* Cuts p[0..n) at the added tokens of a trie: fn(user, begin, end, added token or NULL). */
typedef sc_status sc_added_fn(void *user, int64_t begin, int64_t end, const sc_added *a);
sc_status sc_added_each(const sc_tokenizer *t, const sc_trie *trie, bool special, const char *p, int64_t n,
                        sc_added_fn *fn, void *user);
/* The length of the longest added token of the trie that p[0..n), n > 0, begins with, 0 for none. */
int64_t sc_added_at(const sc_trie *trie, const char *p, int64_t n);
void sc_trie_free(sc_trie *trie);

/* ---- models ---- */

/* WordPiece: `prefix` begins the tokens that continue a word; a longer word, or one with a part that no token is, is unk. */
sc_status sc_wordpiece_new(sc_token_model **out, sc_tokenizer *t, const char *prefix, int64_t max_chars,
                           int32_t unk);
sc_status sc_wordlevel_new(sc_token_model **out, sc_tokenizer *t, int32_t unk); /* unk -1: unknown words fail */
sc_status sc_greedy_new(sc_token_model **out, sc_tokenizer *t, int32_t unk);    /* the longest token first */
typedef struct sc_unigram_options {
    int32_t unk; /* -1 for none */
    bool fuse_unk, byte_fallback;
    bool single;          /* sums are kept as float, as SentencePiece does */
    const int32_t *bytes; /* [256] the tokens of single bytes; NULL: those named <0x00> to <0xFF> */
} sc_unigram_options;
/* scores: [ids]; least: the lowest that counts. */
sc_status sc_unigram_new(sc_token_model **out, sc_tokenizer *t, const double *scores, double least,
                         const sc_unigram_options *o);

typedef struct sc_merge {
    int32_t a, b, result;
} sc_merge;
typedef struct sc_bpe_options {
    const char *prefix, *suffix; /* continuing_subword_prefix, end_of_word_suffix; NULL for none */
    int32_t unk;                 /* -1 for none */
    bool fuse_unk, byte_fallback, ignore_merges;
    bool by_score;        /* SentencePiece: any two neighbours that spell a token merge, the best score first */
    const float *scores;  /* [ids] if by_score */
    const int32_t *bytes; /* [256] the tokens of single bytes, -1 for none; NULL: those named <0x00> to <0xFF> */
} sc_bpe_options;
/* merges: by rank, lowest first; a pair given twice keeps the last. Reads t->vocab, which must be indexed. */
sc_status sc_bpe_new(sc_token_model **out, sc_tokenizer *t, const sc_merge *merges, int64_t n,
                     const sc_bpe_options *o);

/* ---- readers ---- */
sc_status sc_tokenizer_begin(sc_tokenizer **out);

sc_status sc_tokenizer_from_root(sc_tokenizer **out, const json_t *root, const char *what); /* a tokenizer.json */
/* Vocabularies without a tokenizer.json (tokenizer_lists.c): BERT's vocab.txt, GPT-2's vocab.json and merges.txt. `settings`
 * is the tokenizer_config.json beside them. */
sc_status sc_tokenizer_from_vocab_txt(sc_tokenizer **out, const json_t *settings, const char *text, int64_t len,
                                      const char *what);
sc_status sc_tokenizer_from_merges(sc_tokenizer **out, const json_t *settings, const char *vocab, int64_t vocab_len,
                                   const char *merges, int64_t merges_len, const char *what);
/* tiktoken's ranks (tokenizer_tiktoken.c): lines of base64, a space and a rank. */
bool sc_is_tiktoken(const char *p, int64_t n);
sc_status sc_tokenizer_from_tiktoken(sc_tokenizer **out, const char *data, int64_t len, const char *what);

/* A vocabulary as GGUF's metadata holds it; nothing is kept. */
typedef struct sc_gguf_vocab {
    const char *model; /* "gpt2", "llama" (SentencePiece's BPE), "t5" (its Unigram), "bert" or "rwkv" */
    const char *pre;   /* NULL for none */
    int64_t n;
    const sc_slice *tokens;
    const int32_t *types; /* NULL: all normal. 1 normal 2 unknown 3 control 4 user-defined 5 unused 6 byte */
    const float *scores;  /* NULL for none */
    int64_t n_merges;
    const sc_slice *merges;
    int32_t bos, eos, pad, unk, cls, sep; /* -1 for none */
    int add_bos, add_eos;                 /* -1 where the file does not say */
    int add_space_prefix;
    int lowercase, strip_accents; /* bert's, -1 where the file does not say */
    const uint8_t *charsmap;      /* t5's, NULL for none */
    int64_t charsmap_n;
    /* where it comes from a SentencePiece file: its rules instead of llama.cpp's */
    bool sentencepiece;  /* one prefix a text; user-defined tokens are found in the normalized text */
    bool squeeze_spaces; /* remove_extra_whitespaces */
    bool no_byte_fallback;
} sc_gguf_vocab;
/* What a SentencePiece file says in these words, given to `use`, whose answer is returned; borrowed till then. */
sc_status sc_spm_read(const void *data, int64_t len, const char *what,
                      sc_status (*use)(void *user, const sc_gguf_vocab *v, const char *what), void *user);
/* What the names of tokenizer.ggml.pre stand for. */
#define SC_GGUF_PRE_GPT2   "ByteLevel" /* the byte-level pre-tokenizer with GPT-2's pattern */
#define SC_GGUF_PRE_DIGIT  "Digits, individual"
#define SC_GGUF_PRE_DIGITS "Digits"
#define SC_GGUF_PRE_PUNCT  "Punctuation, contiguous"
enum {
    SC_GGUF_PRE_NFC = 1,
    SC_GGUF_PRE_IGNORE_MERGES = 2,
    SC_GGUF_PRE_ADD_BOS = 4,
    SC_GGUF_PRE_RAW = 8, /* no byte characters: spaces are U+2581, other bytes <0x00> to <0xFF> */
};
typedef struct sc_gguf_pre {
    const char *names; /* separated by spaces, the most common first */
    unsigned flags;
    const char
        *steps[6]; /* the above or a regular expression; after them bytes are mapped, unless GPT2 has done so */
} sc_gguf_pre;
const sc_gguf_pre *sc_gguf_pre_find(const char *name); /* NULL: not known */
/* The first with just these steps, and the same first two flags. */
const sc_gguf_pre *sc_gguf_pre_like(const char *const *steps, int n, unsigned flags);
sc_status sc_pre_add_steps(sc_tokenizer *t, const sc_gguf_pre *pre);
sc_status sc_pre_add_named(sc_tokenizer *t, const char *name); /* the steps of a name that sc_gguf_pre_find knows */
sc_status sc_tokenizer_from_gguf_vocab(sc_tokenizer **out, const sc_gguf_vocab *v, const char *what);

#endif
