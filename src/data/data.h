/* SPDX-License-Identifier: Apache-2.0 */
/* From sources to shards. What follows is for those who write formats and stages; run.h has the engine.
 *
 * Files are divided into parts. A part's documents go through the stages, many at a time, and what is left of them is
 * written in the order in which they were read, whole or not at all. Two kinds of stages there are: most look at one document
 * alone; those with `global` note something of each (a hash, a length), decide when they have seen all notes, sorted on disk,
 * and tell each document in the pass after that. Nothing grows with the size of the input but files.
 *
 * A format of files is format_NAME.c and a row of formats.def, a stage is stage_NAME.c and a row of stages.def. */
#ifndef SC_DATA_INTERNAL_H
#define SC_DATA_INTERNAL_H

#include "base/base.h"
#include "socle/bytes.h"
#include "socle/tokenizer.h"

/* ---- documents (document.c) ---- */

typedef enum sc_markup { SC_MARKUP_NONE, SC_MARKUP_HTML } sc_markup;

enum { SC_DOCUMENT_SCORES = 8, SC_LABEL_MAX = 32 };

/* A number that a stage found out about a document: "quality", "toxic". */
typedef struct sc_named_score {
    char name[SC_LABEL_MAX];
    double value;
} sc_named_score;

/* Starts as {0}; cleared and used again, so that reading allocates little. */
typedef struct sc_document {
    sc_str text;       /* bytes as the source has them, UTF-8 from the stage `unicode` on */
    sc_str url, id;    /* as the source says, may be empty */
    sc_str charset;    /* that the source said the text is in; empty: not said */
    sc_markup markup;  /* that the text still has */
    char language[16]; /* "en", "ko", "zh-Hant"; empty: not known. From the source, or the stage `languages` */
    char domain[SC_LABEL_MAX]; /* a word for the kind of text: "news"; empty: not known */
    sc_named_score score[SC_DOCUMENT_SCORES];
    int32_t n_scores;
    int32_t source; /* which of the configuration's */
    int32_t file;   /* which of the plan's files */
    int64_t record; /* which of its part's records */
    /* Where the file's own counting has it: a line, a byte of a WARC file. For people. */
    int64_t place;
    int64_t copies; /* more of it that are wanted: what mixing repeats */
    int32_t *ids;   /* tokens, where the stage `tokens` has been; owned */
    int64_t n_ids, cap_ids;
} sc_document;

void sc_document_clear(sc_document *d); /* keeps its memory for the next */
void sc_document_free(sc_document *d);  /* is {0} then */
/* Copies at most the room there is; a longer label is cut. */
void sc_document_language(sc_document *d, const char *code);
void sc_document_domain(sc_document *d, const char *name);
/* Sets or replaces; with SC_DOCUMENT_SCORES others nothing happens. */
void sc_document_score(sc_document *d, const char *name, double value);
const double *sc_document_get_score(const sc_document *d, const char *name); /* NULL: it has none */
/* Puts p[0..n) in place of the text. p may be in it. */
void sc_document_set_text(sc_document *d, const char *p, int64_t n);
bool sc_document_oom(const sc_document *d);

/* ---- what a stage says of a document (verdict.c) ---- */

typedef enum sc_fate { SC_KEEP, SC_DROP, SC_MERGE } sc_fate; /* merged: another document stands for it */

enum { SC_VERDICT_COUNTS = 24, SC_DETAIL_MAX = 120 };

/* Starts as {0}: kept as it is. */
typedef struct sc_verdict {
    sc_fate fate;
    const char *reason; /* the rule: "too_short"; lives as long as the stage */
    double value;       /* what the rule looked at; with has_value */
    bool has_value;
    bool changed;               /* the text is another now */
    char detail[SC_DETAIL_MAX]; /* for the report's examples: the phrase that was found; may be empty */
    int64_t copies;             /* more of it that are wanted: what mixing repeats */
    int32_t other_file;         /* 1 more than the file of the document that this one is merged with; 0: none */
    int64_t other_place;
    struct sc_verdict_count { /* things in it: "email": 3 */
        const char *name;     /* lives as long as the stage */
        int64_t n;
    } count[SC_VERDICT_COUNTS];
    int n_counts;
} sc_verdict;

void sc_drop(sc_verdict *v, const char *reason);
void sc_drop_value(sc_verdict *v, const char *reason, double value);
/* "drop" with words for the example; n bytes of p, made printable and cut at a character. */
void sc_verdict_detail(sc_verdict *v, const char *p, int64_t n);
void sc_verdict_add(sc_verdict *v, const char *name, int64_t n); /* adds to a count */

/* ---- options of stages and formats (options.c) ---- */

typedef enum sc_setting_kind {
    SC_SET_INT,  /* within [lo, hi] */
    SC_SET_NUM,  /* within [lo, hi] */
    SC_SET_SIZE, /* bytes: a number, or "64M" with K, M, G, T of 1024 */
    SC_SET_BOOL,
    SC_SET_TEXT,
    SC_SET_LIST, /* of texts; one text is a list of one */
    SC_SET_ANY,  /* any JSON, which the stage reads itself */
} sc_setting_kind;

typedef struct sc_setting {
    const char *name;
    sc_setting_kind kind;
    const char *value; /* the default, as it would stand in the configuration without quotation marks; NULL: none */
    double lo, hi;
    const char *help; /* without a capital or a full stop */
} sc_setting;

/* A JSON object checked against a table, which ends with {0}. */
typedef struct sc_settings {
    const char *where; /* "stage quality", for messages */
    const json_t *json;
    const sc_setting *table;
} sc_settings;

/* SC_EINVAL, naming it: a key that the table lacks (with the nearest one), a wrong type, a value out of its range.
 * `extra`: keys beside it, "stage|name"; may be NULL. */
sc_status sc_settings_check(const sc_settings *s, const char *extra);
/* The value or the default. Asking for what the table lacks is a mistake in the caller. */
int64_t sc_setting_int(const sc_settings *s, const char *name); /* also of SC_SET_SIZE */
double sc_setting_num(const sc_settings *s, const char *name);
bool sc_setting_bool(const sc_settings *s, const char *name);
const char *sc_setting_text(const sc_settings *s, const char *name); /* NULL: neither */
int sc_setting_count(const sc_settings *s, const char *name);        /* of a list */
const char *sc_setting_item(const sc_settings *s, const char *name, int i);
const json_t *sc_setting_json(const sc_settings *s, const char *name); /* NULL: not given */
bool sc_setting_given(const sc_settings *s, const char *name);
/* Bytes of "64M"; -1: no size. */
int64_t sc_size_parse(const char *text);

/* ---- formats ---- */

/* What a reader met. */
typedef enum sc_read {
    SC_READ_DOCUMENT, /* the document has it */
    SC_READ_BROKEN, /* a record that cannot be read: it is counted, with sc_found.reason, and reading goes on behind it */
    SC_READ_OTHER, /* something that is no document and none was expected to be, as a WARC file's request */
    SC_READ_END,
} sc_read;

typedef struct sc_found {
    sc_read what;
    const char *reason; /* of SC_READ_BROKEN and SC_READ_OTHER, a static word: "no_json", "truncated" */
    char detail[SC_DETAIL_MAX];
} sc_found;

typedef struct sc_reader_setup {
    sc_context *ctx;
    const char *path;
    int64_t from, to; /* bytes of the file; to: where it ends, or the first byte of the next part */
    int64_t
        largest; /* bytes of a document's text: longer ones are SC_READ_BROKEN "too_large", without being kept in memory */
    sc_settings settings; /* of the source */
} sc_reader_setup;

typedef struct sc_format {
    const char *name, *summary;
    const char *suffixes; /* "|.jsonl|.ndjson|": of files; before .gz or .zst */
    /* A file may be cut anywhere: a part has the records that begin at its bytes, the first part the file's beginning. */
    bool divisible;
    const sc_setting *settings; /* of the source, beside those that all have; may be NULL */
    /* SC_EIO, SC_ENOTFOUND: the file cannot be read at all, which ends the run. */
    sc_status (*open)(void **self, const sc_reader_setup *x);
    void (*free)(void *self); /* takes NULL */
    /* The next record into d, which is clear, and *found, which is {0}. Broken files never fail: what is broken is told as
     * SC_READ_BROKEN, and where nothing can be read behind it SC_READ_END follows. */
    sc_status (*next)(void *self, sc_document *d, sc_found *found);
    int64_t (*tell)(const void *self); /* bytes of the file so far, for progress */
} sc_format;

#define F(name) extern const sc_format sc_format_##name;
#include "data/formats.def"
#undef F
const sc_format *sc_format_at(int i); /* NULL: there are fewer */
const sc_format *sc_format_named(const char *name);
/* By the name's end; NULL: none. *packed: it ends in .gz or .zst, so it cannot be cut. */
const sc_format *sc_format_of(const char *path, bool *packed);

/* ---- stages ---- */

typedef struct sc_stage_setup {
    sc_context *ctx;
    sc_settings settings;
    int64_t memory; /* bytes that the run may hold, about */
    uint64_t seed;
    const sc_tokenizer *tokenizer; /* NULL: none was given */
} sc_stage_setup;

struct sc_global; /* global.h */

typedef struct sc_stage {
    const char *name, *summary;
    const sc_setting *settings;                              /* ended by {0}; may be NULL */
    sc_status (*open)(void **self, const sc_stage_setup *x); /* NULL: it has nothing of its own */
    void (*free)(void *self);                                /* takes NULL */
    /* Room for one thread; both NULL: none is needed. */
    sc_status (*room)(void **room, const void *self);
    void (*room_free)(void *room);
    /* Looks at a document, may change it, and says in *v, which is {0}, what becomes of it. Called by many threads at once;
     * the result follows from the document and the settings alone. Fails without memory alone. */
    sc_status (*apply)(const void *self, void *room, sc_document *d, sc_verdict *v);
    const struct sc_global *global; /* NULL: each document by itself */
} sc_stage;

#define S(name) extern const sc_stage sc_stage_##name;
#include "data/stages.def"
#undef S
const sc_stage *sc_stage_at(int i); /* NULL: there are fewer */
const sc_stage *sc_stage_named(const char *name);

/* ---- texts in memory that are alike (alike.c) ---- */

typedef struct sc_alike sc_alike;
/* threshold: of the Jaccard similarity of sets of 5 words in a row, (0, 1]. */
sc_status sc_alike_new(sc_alike **out, double threshold);
void sc_alike_free(sc_alike *a);
/* *like: which of the texts taken so far is most like it, and how much; -1: none is at the threshold, and it is taken, with
 * the next number. */
sc_status sc_alike_add(sc_alike *a, const char *text, int64_t len, int64_t *like, double *similarity);

#endif
