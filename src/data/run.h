/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: configuration, plan, parts, passes, counts, what is on disk between passes. */
#ifndef SC_DATA_RUN_H
#define SC_DATA_RUN_H

#include "data/global.h"
#include "socle/data.h"

/* ---- what is to be done (config.c) ---- */

typedef struct sc_source {
    const char *name;              /* borrowed from the configuration, as everything here */
    const sc_format *format;       /* NULL: by each file's name */
    const char *language, *domain; /* of documents that do not say; NULL */
    json_t *json;
    char where[64];
} sc_source;

typedef struct sc_step {
    const sc_stage *stage;
    void *self;
    json_t *json; /* borrowed */
    char where[64];
} sc_step;

typedef struct sc_config {
    json_t *json; /* whole, with what the command line added */
    sc_source *source;
    int n_sources;
    sc_step *step;
    int n_steps;
    const char *tokenizer_path;
    sc_tokenizer *tokenizer;              /* NULL: none was given */
    int64_t memory, part, largest, shard; /* bytes */
    bool shuffle;
    int64_t pack; /* tokens of sequences that documents are put into whole; 0: no such */
    uint64_t seed;
    bool documents; /* cleaned texts are wanted */
} sc_config;
sc_status sc_config_read(sc_config *c, const sc_data_options *o);
/* Makes the stages ready. */
sc_status sc_config_open(sc_config *c, sc_context *ctx);
void sc_config_free(sc_config *c);
/* A source's settings, checked against those of a format and those that all sources have. */
sc_status sc_source_settings(const sc_source *s, const sc_format *f, sc_settings *out);

/* ---- files divided into parts (parts.c) ---- */

typedef struct sc_parts_file {
    char *path;
    int64_t size, time; /* time: when it was changed, nanoseconds */
    int source;
    const sc_format *format;
    bool packed;
} sc_parts_file;

typedef struct sc_slice { /* bytes of a file */
    int file;
    int64_t from, to;
} sc_slice;

typedef struct sc_parts {
    sc_parts_file *file;
    int64_t n_files, cap_files;
    sc_slice *slice;
    int64_t n_slices, cap_slices;
    int64_t *part; /* slices part[i] .. part[i + 1] */
    int64_t n_parts, cap_parts, bytes;
} sc_parts;
/* SC_ENOTFOUND: a source without files; SC_EINVAL: a file whose format is not known. */
sc_status sc_parts_make(sc_parts *p, const sc_config *c);
void sc_parts_free(sc_parts *p);
/* Configuration and files, for comparing with those of a run that was stopped; owned. */
json_t *sc_parts_json(const sc_parts *p, const sc_config *c);

/* ---- documents on disk between passes (frame.c) ---- */

/* Appends a document with its length in front. */
void sc_frame_put(sc_str *out, const sc_document *d);
/* Reads what sc_frame_put wrote, without the length, into d, which is clear. SC_EFORMAT: damaged. */
sc_status sc_frame_get(sc_document *d, const char *p, int64_t n);

/* ---- counts (tally.c) ---- */

enum { SC_TALLY_EXAMPLES = 4, SC_TALLY_VALUES = 4, SC_TALLY_BINS = 64 };

/* Numbers by name. Starts as {0}. */
typedef struct sc_counts {
    sc_map index;
    struct sc_count_row {
        char *name;
        int64_t n[SC_TALLY_VALUES];
    } * row;
    int64_t rows, cap;
    bool oom;
} sc_counts;
/* The row of that name, which is made; never NULL: without memory, or with thousands of others, one for the rest. */
int64_t *sc_counts_at(sc_counts *c, const char *name);
void sc_counts_free(sc_counts *c);

typedef struct sc_example {
    uint64_t order; /* those with the lowest are kept: a choice that does not depend on how the work was divided */
    const char *reason;
    json_t *json;
} sc_example;

/* Of one stage. Starts as {0}. */
typedef struct sc_tally {
    int64_t in, kept, dropped, merged, changed, copies, bytes_in, bytes_kept;
    double seconds;      /* of all threads */
    sc_counts reasons;   /* documents, bytes */
    sc_counts things;    /* things, documents with any */
    sc_counts languages; /* in, kept, bytes in, bytes kept */
    struct sc_example_list {
        char *reason;
        sc_example best[SC_TALLY_EXAMPLES];
        int n;
    } * examples;
    int64_t n_examples, cap_examples;
    bool oom;
} sc_tally;
/* language: that the document had when it came; bytes: of its text then. d is as the stage left it. */
void sc_tally_add(sc_tally *t, const sc_parts *p, const sc_document *d, const sc_verdict *v, const char *language,
                  int64_t bytes, int64_t part);
/* Names sorted, so that the same counts are the same text. */
json_t *sc_tally_json(const sc_tally *t);
/* Adds what sc_tally_json gave. */
sc_status sc_tally_add_json(sc_tally *t, const json_t *o);
void sc_tally_free(sc_tally *t);

/* Of documents together. Starts as {0}. */
typedef struct sc_summary {
    int64_t documents, bytes, chars, tokens;
    int64_t lengths[SC_TALLY_BINS], token_lengths[SC_TALLY_BINS]; /* characters; tokens: bin sc_tally_bin */
    sc_counts languages, domains, sources;                        /* documents, bytes, characters, tokens */
    sc_counts scores; /* "quality 0.35": documents with a score of so much and less than 0.05 more */
} sc_summary;
/* Two bins an octave: bin b begins at 2^(b / 2), rounded up. */
int sc_tally_bin(int64_t n);
void sc_summary_add(sc_summary *s, const sc_config *c, const sc_document *d);
json_t *sc_summary_json(const sc_summary *s);
sc_status sc_summary_add_json(sc_summary *s, const json_t *o);
void sc_summary_free(sc_summary *s);

/* ---- a run and its passes (run.c, passes.c) ---- */

/* Parts go through as many passes as there are stages that decide about all documents, and one more. */
typedef struct sc_pass {
    int number;
    int told; /* the step whose decisions this pass begins with; -1: the first pass, which reads the sources */
    int first,
        last;  /* the steps after that, up to `last`, which looks at all documents; in the last pass: the end */
    bool ends; /* it is the last pass */
} sc_pass;

typedef struct sc_run {
    sc_context *ctx;
    sc_config config;
    sc_parts plan;
    sc_pass *pass;
    int passes;
    const char *out;
    char *work; /* the folder of what is not finished */
    int lock, rank, ranks;
    int phase; /* how many there were */
    int64_t shards;
    char plan_sum[20]; /* of the plan: two runs are the same where this is */
    bool finished;
} sc_run;
char *sc_run_path(const sc_run *r, const char *fmt, ...) SC_PRINTF(2, 3); /* in the work folder; owned */
char *sc_out_path(const sc_run *r, const char *fmt, ...) SC_PRINTF(2, 3); /* in the run's; owned */
/* Everything from the sources to notes and counts of the last pass. */
sc_status sc_passes_make(sc_run *r);
sc_status sc_passes_run(sc_run *r);

/* ---- who does what (work.c) ---- */

void sc_work_ranks(sc_run *r); /* sets rank and ranks */
/* Joins those at work in the folder, which is made; nobody else joins or leaves until sc_work_ready. */
sc_status sc_work_enter(sc_run *r);
void sc_work_ready(sc_run *r);
/* Whether nobody else is there; then nobody joins until sc_work_close. */
bool sc_work_leave(sc_run *r);
void sc_work_close(sc_run *r);

typedef struct sc_phase {
    const char *what; /* for progress */
    int number;       /* no two phases of a run have the same */
    int64_t tasks;
    bool threads; /* one task a thread; else one after another */
    sc_status (*done)(void *user, int64_t task, bool *there);
    sc_status (*run)(void *user, int64_t task);
    void *user;
    int64_t first; /* work.c's */
} sc_phase;
/* Returns when all tasks are done, by whomever. */
sc_status sc_work_all(sc_run *r, const sc_phase *p);

/* ---- one part (part.c) ---- */

/* The documents of part `part` through a pass: into its .docs, notes of them into its .notes, what is counted into its .json,
 * which is written last. */
sc_status sc_part_run(sc_run *r, const sc_pass *p, int64_t part);

/* ---- what a pass writes for the next one (piece.c) ---- */

typedef struct sc_piece sc_piece;
sc_status sc_piece_open(sc_piece **out, const sc_run *r, int pass, int64_t part);
void sc_piece_close(sc_piece *p);
/* The next document, into d, which is clear, and its place in the piece; *more false: there is none. */
sc_status sc_piece_next(sc_piece *p, sc_document *d, int64_t *place, bool *more);
/* A document by its ref, from the piece of that pass. */
sc_status sc_piece_document(const sc_run *r, int pass, uint64_t ref, sc_document *d);

/* ---- deciding about all documents (global.c) ---- */

/* Lets the stage at the end of a pass decide about its documents. */
sc_status sc_decide(sc_run *r, const sc_pass *p);
/* Decisions about a part's documents of that pass, in their order. */
sc_status sc_decisions_open(sc_merge **out, const sc_run *r, int pass, int64_t part);

/* ---- the end (shards.c, finish.c) ---- */

/* Tokens of the last pass's documents, sorted, to shards. */
sc_status sc_shards_write(sc_run *r);
/* Texts as JSONL, packed with zstd. (texts.c) */
typedef struct sc_texts sc_texts;
sc_status sc_texts_open(sc_texts **out, const sc_run *r, int64_t part);
sc_status sc_texts_add(sc_texts *t, const sc_document *d);
sc_status sc_texts_commit(sc_texts *t);
void sc_texts_close(sc_texts *t);
/* Sums up what parts counted, sees that it adds up, and writes data.json. */
sc_status sc_finish(sc_run *r);
/* What the parts of a pass counted, in the order of the parts: one stage's, and the documents before or after the pass. */
sc_status sc_pass_summary(const sc_run *r, int pass, const char *which, sc_summary *out);

/* ---- the page of what was counted (report.c) ---- */
sc_status sc_data_page_write(const json_t *o, const char *path); /* o: data.json */

#endif
