/* SPDX-License-Identifier: Apache-2.0 */
/* A made world, and corpora and tasks about it.
 *
 * A seed gives a world: people, towns, species and objects with facts. Everything that is written about it, in English and
 * in Korean, keeps to these facts, so that what one document says another can be asked for. Items are drawn one after
 * another: the i-th item of a kind follows from the seed and i alone, on every machine to the same bits.
 *
 * Splits do not overlap, whatever the seeds: each item has a key (of an addition its two numbers, of an unscrambling its
 * word, of a question what is asked about whom, of other texts the text), and a fixed hash of the key says whether it is
 * of "train" (15 of 16) or of "eval". What trains a model is "train" unless asked for otherwise; tasks are "eval". */
#ifndef SOCLE_WORLD_H
#define SOCLE_WORLD_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What can be made. */
typedef struct sc_world_kind {
    const char *name, *summary; /* the summary without a full stop */
    bool task;                  /* items have a prompt, an answer and a difficulty: sc_tasks_make takes it */
} sc_world_kind;

/* All kinds; *count of them. */
SC_API const sc_world_kind *const *sc_world_kinds(int *count);

typedef struct sc_world_options {
    const char *kind;     /* a name of sc_world_kinds */
    uint64_t seed;        /* of the world and of what is drawn about it */
    const char *language; /* "en", "ko"; NULL: both */
    const char *split;    /* "train", "eval", "all"; NULL: "train" */
    int64_t shots;        /* solved examples before each task, 0 to 16; fewshot: 0 is 4; not for other kinds */
    int64_t first; /* index of the first item drawn, >= 0: streams from 0 and from far behind have other items */
} sc_world_options;

/* One item; its strings belong to the stream until the next call. */
typedef struct sc_world_item {
    const char *kind;     /* of the item itself: that of the stream but for mixtures */
    const char *language; /* "en", "ko", "en-ko" or "code" */
    const char *text;     /* as plain text, ends with a newline */
    const char *json;     /* the same with its labels as one JSON object, without a newline */
    const char *prompt;   /* tasks: what comes before the answer; else NULL */
    const char *answer;   /* tasks: one line that begins with a space as it stands after the prompt; else NULL */
    const char *url;      /* of a crawl's pages; else NULL */
    int difficulty;       /* tasks: 1 or more (digits, letters, steps); else 0 */
} sc_world_item;

/* Items without end. SC_EINVAL: no such kind, language or split, or numbers out of their ranges. */
typedef struct sc_world_stream sc_world_stream;
SC_API sc_status sc_world_open(sc_world_stream **out, const sc_world_options *options);
SC_API void sc_world_free(sc_world_stream *s);
SC_API sc_status sc_world_next(sc_world_stream *s, sc_world_item *out);

/* Writes a corpus: whole items until `size` bytes of file are reached or passed (0: no limit), or `count` items (0: no
 * limit; one of both must be given). The name of `path` says the form:
 *   .jsonl        an object a line: "text", "kind", "language", and by kind "label", "prompt", "answer", "difficulty",
 *                 "source", "target", "question", "messages", "url"
 *   .warc(.gz)    a crawl (kind crawl alone): HTML behind HTTP headers, with .gz a gzip member a record
 *   else          plain text, documents separated by an empty line
 * The file appears whole or not at all. `made`, which may be NULL, gets what was written. */
typedef struct sc_world_made {
    int64_t items, bytes;
} sc_world_made;
SC_API sc_status sc_world_make(sc_context *ctx, const sc_world_options *options, const char *path, int64_t size,
                               int64_t count, sc_world_made *made);

/* ---- tasks ---- */

typedef struct sc_task {
    char *kind;         /* "add", … or what a file says; "" where it says nothing */
    char *prompt;       /* ends without a space */
    char *answer;       /* begins with a space where the text after the prompt does; one line, no newline */
    int64_t difficulty; /* >= 0 */
} sc_task;

typedef struct sc_task_set {
    sc_task *task;
    int64_t n;
} sc_task_set;

/* n tasks of one kind, no two the same, drawn evenly over its difficulties; fewer where the kind has not so many. Of the
 * split "eval" unless options say otherwise. */
SC_API sc_status sc_tasks_make(sc_task_set **out, const sc_world_options *options, int64_t n);
/* From a JSONL file: "prompt" and "answer", maybe "kind" and "difficulty". SC_EFORMAT, SC_ELIMIT: with the line. */
SC_API sc_status sc_tasks_read(sc_task_set **out, const char *path);
SC_API void sc_tasks_free(sc_task_set *set);

/* How near an answer is: exact, both trimmed of their first line; and 1 - edit distance / length of the longer,
 * in characters, which grows before answers are exact. */
SC_API bool sc_task_exact(const sc_task *t, const char *given);
SC_API double sc_task_similarity(const sc_task *t, const char *given);

#ifdef __cplusplus
}
#endif
#endif
