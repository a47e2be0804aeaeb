/* SPDX-License-Identifier: Apache-2.0 */
/* What the filters of data/ are made of: functions on one text, without files and without other documents. */
#ifndef SC_DATA_FILTERS_H
#define SC_DATA_FILTERS_H

#include "base/base.h"

/* ---- characters, words, lines (words.c) ---- */

enum {
    SC_CHAR_WHITE = 1,
    SC_CHAR_ALPHA = 2,  /* L* */
    SC_CHAR_PUNCT = 4,  /* P*, controls, and the symbols of ASCII */
    SC_CHAR_END = 8,    /* ends a sentence */
    SC_CHAR_QUOTE = 16, /* may stand behind the end of a sentence: closing quotes and brackets */
    SC_CHAR_SOLO = 32,  /* of a script written without spaces: a unit of its own */
    SC_CHAR_MARK = 64,  /* belongs to the character before it */
    SC_CHAR_BULLET = 128,
};
/* For each character below 0x110000 the bits above; owned (sc_free), NULL without memory. Made once, shared by threads. */
uint8_t *sc_char_classes(void);

/* A word: what stands between white space; of scripts written without spaces each character with the marks and the punctuation
 * behind it. */
typedef struct sc_text_word {
    int64_t at;
    int32_t n, chars;
    uint64_t hash; /* of its bytes, the same in every run */
    uint8_t is;    /* SC_CHAR_ALPHA: some character is a letter; PUNCT: all are punctuation; SOLO */
} sc_text_word;

/* A line without the white space around it that is not empty. */
typedef struct sc_text_line {
    int64_t at, n, chars;
    int64_t first, words; /* of its words */
    uint64_t hash;
    uint8_t head, last; /* classes of its first and last character */
    bool ellipsis;      /* ends with one */
    bool opens;         /* the first line of a paragraph: an empty line is before it */
} sc_text_line;

/* A text cut. Starts as {.classes = …}; used for one text after another. */
typedef struct sc_words {
    const uint8_t *classes; /* borrowed */
    const char *p;
    int64_t n; /* bytes */
    sc_text_word *word;
    int64_t words, word_cap;
    sc_text_line *line;
    int64_t lines, line_cap;
    int64_t chars, newlines, hashes, ellipses; /* of the text; newlines between its first and last line */
} sc_words;
/* p must outlive the use of w. Bytes that are not UTF-8 count as U+FFFD. SC_ELIMIT: more than 1 GiB. */
sc_status sc_words_cut(sc_words *w, const char *p, int64_t n);
void sc_words_free(sc_words *w);
/* Sentences of a line: ends of sentences with white space or nothing behind them, and what is left behind the last. */
int64_t sc_line_sentences(const sc_words *w, const char *p, int64_t n);

/* ---- stop words (stop_words.c) ---- */

/* How the stop words of a language are found: as words, as endings of words where particles are attached, as parts of the
 * text where there are no spaces. */
typedef enum sc_stop_kind { SC_STOP_WORDS, SC_STOP_ENDINGS, SC_STOP_PARTS } sc_stop_kind;
typedef struct sc_stop_list {
    const char *language; /* ISO 639-1 */
    sc_stop_kind kind;
    const char *words; /* separated by spaces, small letters */
} sc_stop_list;
const sc_stop_list *sc_stop_words(const char *language); /* NULL: none are known */
const sc_stop_list *sc_stop_words_at(int i);             /* NULL after the last */
/* How many different ones of the list are in w, counted until there are `enough`. */
int sc_stop_count(const sc_words *w, const sc_stop_list *list, int enough);

/* Appends what classifiers are given of a text: its words in small letters without the punctuation around them, each character of
 * scripts without spaces by itself, separated by spaces; longer words are left out. */
void sc_words_put(const sc_words *w, sc_str *out);

enum { SC_BARE_WORD = 48 };
/* The word in small letters without the punctuation around it; its bytes, 0 where it is longer. */
int64_t sc_word_bare(const sc_words *w, const sc_text_word *word, char out[SC_BARE_WORD]);

/* ---- harmful words (harmful.c, harmful.def) ---- */

typedef enum sc_harmful_kind {
    SC_HARMFUL_adult,
    SC_HARMFUL_hate,
    SC_HARMFUL_spam,
    SC_HARMFUL_KINDS
} sc_harmful_kind;
enum { SC_HARMFUL_LANGUAGES = 200, SC_LANGUAGE_NAME = 16 };
typedef struct sc_harmful_words {
    char language[SC_LANGUAGE_NAME];
    bool parts; /* looked for as parts of the text, not as words */
    struct sc_harmful_word {
        const char *p;
        int64_t n;
        sc_harmful_kind kind;
    } * word;
    int64_t words, cap;
    sc_map index;
} sc_harmful_words;
typedef struct sc_harmful {
    sc_arena *arena;
    sc_harmful_words *list;
    int n;
} sc_harmful;
/* The lists that are here, or those of a JSON file: {"en": {"adult": ["word"], "hate": [], "spam": []}}. */
sc_status sc_harmful_open(sc_harmful *out, const char *path);
void sc_harmful_free(sc_harmful *h);
const char *sc_harmful_name(int kind); /* NULL after the last */
/* Words of the language's list in w, by kind; of English where the language is not known, none where it has no list. */
void sc_harmful_count(const sc_harmful *h, const sc_words *w, const char *language,
                      int64_t count[SC_HARMFUL_KINDS]);

/* ---- quality rules (rules.c, rules.def) ---- */

typedef enum sc_rule {
#define R(name, kind, usual, source, what) SC_RULE_##name,
#include "data/rules.def"
#undef R
    SC_RULES
} sc_rule;
typedef enum sc_rule_kind {
    SC_RULE_LEAST,
    SC_RULE_MOST,
    SC_RULE_LINE_LEAST,
    SC_RULE_LINE_MOST,
    SC_RULE_SETTING
} sc_rule_kind;
typedef struct sc_rule_info {
    const char *name, *source, *what;
    sc_rule_kind kind;
    double usual; /* NAN: off */
} sc_rule_info;
const sc_rule_info *sc_rule_at(int i);

enum { SC_RULE_LANGUAGES = 256 };
/* Thresholds for one language; NAN: the rule is off. */
typedef struct sc_thresholds {
    char language[SC_LANGUAGE_NAME]; /* "" in the first: what holds for all others */
    double of[SC_RULES];
    const sc_stop_list *stop;
} sc_thresholds;
typedef struct sc_rules {
    sc_thresholds *set;
    int n;
} sc_rules;
/* The usual thresholds, changed by those of a file where path is not NULL:
 *     {"default": {"gopher_words_least": 30, "c4_curly_brackets": null}, "ko": {"gopher_mean_word_most": 9}}
 * "default" changes all languages, a language's own entry that one alone; null switches a rule off. SC_EFORMAT names what is
 * not a rule or not a number. */
sc_status sc_rules_open(sc_rules *out, const char *path);
void sc_rules_free(sc_rules *r);
/* Of a language's name the part before - or _ counts where the whole has none. Never NULL. */
const sc_thresholds *sc_rules_for(const sc_rules *r, const char *language);
json_t *sc_rules_json(const sc_rules *r); /* as a file has them, complete; NULL without memory */

/* What one thread needs to measure texts. */
typedef struct sc_rule_work {
    sc_words words;
    struct sc_gram {
        uint64_t key;
        int64_t count, first;
    } * table;
    int64_t table_cap;
    uint64_t *prefix; /* of hashes */
    int64_t *chars;   /* of words before */
    int64_t prefix_cap, chars_cap;
    uint64_t secret;
    sc_str lower;
} sc_rule_work;
sc_rule_work sc_rule_work_begin(const uint8_t *classes);
void sc_rule_work_free(sc_rule_work *w);

/* The groups of rules that a stage may apply. */
enum { SC_RULES_REPETITION = 1, SC_RULES_QUALITY = 2, SC_RULES_C4 = 4, SC_RULES_FINEWEB = 8, SC_RULES_ALL = 15 };

/* What was measured and decided of a text. */
typedef struct sc_judgement {
    int rule;                        /* the first rule that it fails, -1: none */
    double value[SC_RULES];          /* what was measured, of line rules how many lines failed; NAN: it was not */
    int64_t lines_dropped[SC_RULES]; /* by line rules; of c4_citations the lines that lost marks */
    bool changed;                    /* lines or marks were taken out: `text` has what is left */
} sc_judgement;
/* Applies the rules of `groups` that are on: repetition, quality, C4's, FineWeb's on what C4's left. `all`: measures on after a
 * rule that the text fails. `text` (its old content is dropped) is written to only where the text changes. */
sc_status sc_rules_judge(sc_rule_work *w, const sc_thresholds *t, int groups, bool all, const char *p, int64_t n,
                         sc_str *text, sc_judgement *out);

/* ---- between the files of the rules ---- */
/* Notes what was measured for a rule. true: the text fails it or one before, and no more need be measured. */
typedef struct sc_measure {
    sc_rule_work *w;
    const sc_thresholds *t;
    sc_judgement *v;
    bool all;
} sc_measure;
bool sc_measured(sc_measure *m, sc_rule rule, double value);
bool sc_measure_done(const sc_measure *m);
static inline bool sc_rule_on(const sc_measure *m, sc_rule rule) { return m->t->of[rule] == m->t->of[rule]; }
sc_status sc_rules_repetition(sc_measure *m);          /* rules_repetition.c */
sc_status sc_rules_lines(sc_measure *m, sc_str *text); /* rules_lines.c */
/* Lines that stood before and their characters. */
sc_status sc_duplicate_lines(sc_rule_work *w, int64_t *lines, int64_t *chars);

/* ---- personal data (personal.c, personal_numbers.c, personal_keys.c, personal.def) ---- */

typedef enum sc_personal_kind {
#define P(name, mask, what) SC_PERSONAL_##name,
#include "data/personal.def"
#undef P
    SC_PERSONAL_KINDS
} sc_personal_kind;
typedef struct sc_personal_info {
    const char *name, *mask, *what;
} sc_personal_info;
const sc_personal_info *sc_personal_at(int kind); /* NULL after the last */
typedef struct sc_personal {
    int64_t at, n;
    sc_personal_kind kind;
} sc_personal;
/* The first of the kinds (bits by number) in p[0..n) that begins at `from` or later and may be looked for from there on; false:
 * there is none. What looks like one and is none is passed over: the checks are in docs/data-rules.md. Linear in n. */
bool sc_personal_next(const char *p, int64_t n, int64_t from, unsigned kinds, sc_personal *out);
/* Appends the text with a mask for each that is found; counts (SC_PERSONAL_KINDS) are added to. How many there were. */
int64_t sc_personal_mask(sc_str *out, const char *p, int64_t n, unsigned kinds, int64_t *counts);

/* Between those files: whether one of the kind begins at p[i]; its bytes, 0: no. They may look at what is around it. */
int64_t sc_personal_number(const char *p, int64_t n, int64_t i, unsigned kinds, sc_personal_kind *kind);
int64_t sc_personal_iban(const char *p, int64_t n, int64_t i);
int64_t sc_personal_ipv6(const char *p, int64_t n, int64_t i);
int64_t sc_personal_key(const char *p, int64_t n, int64_t i,
                        int64_t *start); /* *start: where it begins, i or behind */
static inline bool sc_is_digit(char c) { return c >= '0' && c <= '9'; }
static inline bool sc_is_letter(char c) { return (c | 32) >= 'a' && (c | 32) <= 'z'; }
static inline bool sc_is_name(char c) { return sc_is_digit(c) || sc_is_letter(c) || c == '_'; } /* \w of ASCII */
/* Whether the word (small letters) begins and ends in p[from..to); capitals in p count as small ones. One that begins with a letter of ASCII
 * must not be part of a longer word. */
bool sc_has_word(const char *p, int64_t from, int64_t to, const char *word);

#endif
