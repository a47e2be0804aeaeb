/* SPDX-License-Identifier: Apache-2.0 */
/* Stages that look at all documents before they decide, and notes sorted on disk, with which they do that in little memory. */
#ifndef SC_DATA_GLOBAL_H
#define SC_DATA_GLOBAL_H

#include "data/data.h"

/* ---- notes (spill.c) ---- */

/* A document's ref is its part and its place there: refs are ordered as documents were read. */
#define SC_REF_PLACE_BITS 40
static inline uint64_t sc_ref(int64_t part, int64_t place)
{
    return (uint64_t)part << SC_REF_PLACE_BITS | (uint64_t)place;
}
static inline int64_t sc_ref_part(uint64_t ref) { return (int64_t)(ref >> SC_REF_PLACE_BITS); }
static inline int64_t sc_ref_place(uint64_t ref) { return (int64_t)(ref & ((1ULL << SC_REF_PLACE_BITS) - 1)); }

typedef struct sc_note {
    uint64_t key, ref;
    const char *p;
    int64_t n;
} sc_note;

/* A file of notes, sorted by key, ref, bytes. */
typedef struct sc_spill sc_spill;
sc_status sc_spill_open(sc_spill **out, const char *path, int64_t memory);
sc_status sc_spill_add(sc_spill *s, uint64_t key, uint64_t ref, const void *p, int64_t n);
sc_status sc_spill_commit(sc_spill *s); /* the file is there from then on; still to be closed */
void sc_spill_close(sc_spill *s);

/* Files of notes together, from key lo to key hi. A note is valid until the next one. */
typedef struct sc_merge sc_merge;
sc_status sc_merge_open(sc_merge **out, char *const *path, int64_t n, uint64_t lo, uint64_t hi, int64_t memory);
sc_status sc_merge_next(sc_merge *m, sc_note *note, bool *more);
void sc_merge_close(sc_merge *m);

/* ---- stages (global.c) ---- */

/* Notes of one document; its ref is added to them. */
typedef struct sc_notes {
    sc_str bytes;
} sc_notes;
void sc_notes_add(sc_notes *x, uint64_t key, const void *p, int64_t n);

/* What there is when a stage decides. */
typedef struct sc_deciding {
    const struct sc_run *run;
    int pass;       /* whose documents are decided about */
    int64_t parts;  /* of them */
    int64_t memory; /* for this task */
    char **path;    /* files with the notes: the parts', or what the step before wrote */
    int64_t paths;
} sc_deciding;
/* *out is NULL after a failure. */
sc_status sc_deciding_notes(const sc_deciding *x, sc_merge **out, uint64_t lo, uint64_t hi);
/* Share i of n of all keys. */
sc_status sc_deciding_share(const sc_deciding *x, sc_merge **out, int64_t i, int64_t n);
/* The document, into d, which is clear. */
sc_status sc_deciding_document(const sc_deciding *x, uint64_t ref, sc_document *d);

/* The name of a source, by its number as text. */
const char *sc_deciding_source(const sc_deciding *x, const char *number);

/* The document that stands for one that is merged: the bytes of such a decision. */
typedef struct sc_same {
    float similarity;
    int32_t file; /* of the plan */
    int64_t place;
} sc_same;
/* Says so in the verdict. */
void sc_merge_with(sc_verdict *v, const char *reason, const sc_note *decision);

/* A stage's `apply` is not called; in its place: */
typedef struct sc_global {
    /* What has to be known of a document. Called by many threads. */
    sc_status (*note)(const void *self, void *room, const sc_document *d, sc_notes *out);
    /* Steps, each of so many tasks that any thread of any process does: a task reads notes of the step before and writes its
     * own. Those of the last step are decisions: their key is the ref of a document. At most one for each. */
    int steps;
    int64_t (*tasks)(const void *self, const sc_deciding *x, int step);
    sc_status (*decide)(const void *self, const sc_deciding *x, int step, int64_t task, sc_spill *out);
    /* What became of a document; decision NULL: there was none about it. */
    sc_status (*tell)(const void *self, const sc_document *d, const sc_note *decision, sc_verdict *v);
} sc_global;

#endif
