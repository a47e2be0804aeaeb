/* SPDX-License-Identifier: Apache-2.0 */
/* Inside what makes data by asking models.
 *
 * A method asks in rounds: questions are put together, answered all at once, and looked at in their order. Every answer is
 * kept in answers.jsonl under a key that follows from the model, the question and how it was asked, and is not asked for
 * again. So a run that goes on is the same run from its beginning, which finds its answers there: methods know nothing of
 * it. What is drawn follows from the seed, the stage and the question's number. */
#ifndef SC_SYNTH_INTERNAL_H
#define SC_SYNTH_INTERNAL_H

#include "base/base.h"
#include "data/data.h"
#include "report/report.h"
#include "socle/bytes.h"
#include "socle/synth.h"

/* ---- a run and its folder (work.c) ---- */

/* Who is asked. */
typedef struct sc_speaker {
    sc_asker *a;
    bool chats;     /* in messages */
    bool by_text;   /* it gives no likelihoods: choices are made in words */
    uint64_t files; /* of a model here: another where its files are others */
} sc_speaker;

typedef struct sc_synth {
    sc_context *ctx;
    const sc_synth_options *given;
    sc_synth_options o; /* with defaults */
    const char *method;
    sc_speaker model;
    sc_arena *arena;
    json_t *cache;                    /* key: what answers.jsonl has */
    int log;                          /* answers.jsonl, open at its end and locked */
    json_t *data, *rejected;          /* lines */
    json_t *reasons, *counts, *extra; /* of rejected lines; of what else there was to count; for the summary */
    sc_alike *alike;
    sc_synth_result result;
} sc_synth;
/* model may be NULL. Starts as {0}; to be closed after a failure too. */
sc_status sc_synth_open(sc_synth *w, sc_context *ctx, sc_asker *model, const sc_synth_options *o,
                        const char *method);
sc_speaker sc_synth_speaker(const sc_synth *w, sc_asker *a);
/* A line that is kept, unless it is like one before. Takes it. `text`: what of it is compared; NULL: nothing. */
sc_status sc_synth_keep(sc_synth *w, json_t *line, const char *text);
/* A line that is left out. Takes it. reason: one word. */
sc_status sc_synth_reject(sc_synth *w, json_t *line, const char *reason);
void sc_synth_count(sc_synth *w, const char *name, int64_t n); /* adds to a count */
/* Writes everything but answers.jsonl; s: how the method ended, which is returned where it is no success. */
sc_status sc_synth_finish(sc_synth *w, sc_status s, sc_synth_result *result);
/* {"method", "model", "stage", "index", "seed", …}: where a line is from; owned. */
json_t *sc_synth_provenance(const sc_synth *w, const sc_speaker *who, const char *stage, int64_t index);

/* ---- asking (asking.c) ---- */

typedef struct sc_question {
    const char *stage;
    int64_t index; /* of the stage's questions: what is drawn follows from both */
    const char *text;
    bool talk;         /* the text is what somebody says to an assistant, not a task for a writer of data */
    const char *begin; /* of the answer, which the question shows the beginning of; may be NULL */
    const char *stop;  /* that ends it; may be NULL */
    int64_t most;      /* tokens; 0: the options' */
    int samples;       /* 0: 1 */
} sc_question;

typedef struct sc_reply {
    const char *text; /* the run's */
    bool whole;       /* it ended by itself */
} sc_reply;
/* out: the samples of question 0, then of question 1, … */
sc_status sc_synth_ask(sc_synth *w, const sc_speaker *who, const sc_question *q, int64_t n, sc_reply *out);

enum { SC_CHOICES = 4 };
/* Which of some words a model says after a question. */
typedef struct sc_choice {
    const char *stage;
    int64_t index;
    const char *text;
    const char *begin; /* of the answer: "Answer:" */
    const char *option[SC_CHOICES];
    int n;
} sc_choice;
/* share[i][k]: of the likelihood of all options of choice i, that of option k; all NAN where a model that has to say it in
 * words said none of them, or several. */
sc_status sc_synth_choose(sc_synth *w, sc_speaker *who, const sc_choice *c, int64_t n, double (*share)[SC_CHOICES]);

/* ---- looking at answers (parse.c) ---- */

/* Items of a list that is numbered from `first` on, "Task 9: …", "9. …", "9) …"; of `first` the mark may be missing. Owned
 * texts in the arena. */
sc_status sc_synth_items(sc_arena *a, const char *text, int first, const char ***out, int *n);
/* What stands behind labels at the beginning of lines, "Input: …", in their order; label -1: before the first. Labels may have
 * asterisks, numbers ("Example 1") and any case. */
typedef struct sc_labelled {
    int label;
    const char *text; /* trimmed; in the arena */
} sc_labelled;
sc_status sc_synth_labelled(sc_arena *a, const char *text, const char *const *labels, int n_labels,
                            sc_labelled **out, int *n);
char *sc_synth_trimmed(sc_arena *a, const char *p, int64_t n); /* NULL without memory */
/* Up to the first empty line, or line that begins with one of these labels. */
char *sc_synth_paragraph(sc_arena *a, const char *text, const char *const *labels, int n);
/* Whether it goes round in a circle: of its runs of four words, from 16 on, fewer than half are different ones. */
bool sc_synth_repeats(const char *text);
/* Calls fn for each record of .jsonl, and each line of other files as {"prompt": line}; `fn` borrows. At most `limit` (> 0). */
typedef sc_status sc_synth_record(void *user, json_t *o, int64_t line);
sc_status sc_synth_read(const char *path, int64_t limit, sc_synth_record *fn, void *user);
const char *sc_synth_text_of(const json_t *o, const char *key); /* NULL: no text, or an empty one */

/* ---- what was said before (novelty.c) ---- */

typedef struct sc_novelty sc_novelty;
sc_status sc_novelty_new(sc_novelty **out);
void sc_novelty_free(sc_novelty *v);
int64_t sc_novelty_count(const sc_novelty *v);
/* ROUGE-L (Lin 2004) as F1 over words, letters and digits without case, with the text that is nearest; *at: which, -1: none. */
sc_status sc_novelty_nearest(sc_novelty *v, const char *text, double *rouge, int64_t *at);
sc_status sc_novelty_add(sc_novelty *v, const char *text);

/* ---- principles (principles.c) ---- */

typedef struct sc_principle {
    const char *name, *critique, *revision, *preference;
} sc_principle;
typedef struct sc_principles {
    const sc_principle *list;
    int n;
} sc_principles;
/* path NULL: the project's. SC_EFORMAT, naming the principle and the field. Texts in the arena. */
sc_status sc_principles_read(sc_principles *out, sc_arena *a, const char *path);

/* ---- judging answers (judge.c) ---- */

/* By rules: it says no in its beginning, in English or Korean. */
bool sc_synth_refuses(const char *answer);
/* `harm[i]`: how likely answer i helps with harm, asked of the judge; NAN: it did not say. */
sc_status sc_synth_judge(sc_synth *w, sc_speaker *judge, const char *stage, const char *const *prompt,
                         const char *const *answer, int64_t n, double *harm);

#endif
