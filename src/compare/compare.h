/* SPDX-License-Identifier: Apache-2.0 */
/* Inside a comparison: the task and its parts, prompts, the cells of models x methods, and what they come to.
 *
 * A cell is one model, one method, one seed and one number of training examples. It owns a folder: items.jsonl grows by a line
 * an item, cell.json ends it. Whatever stands there is not done again. Pages and tables are made from cells alone. */
#ifndef SC_COMPARE_INTERNAL_H
#define SC_COMPARE_INTERNAL_H

#include "ask/ask.h"
#include "base/base.h"
#include "report/report.h"
#include "socle/compare.h"
#include "socle/eval.h"
#include "socle/stats.h"
#include "socle/train.h"

/* ---- the task (task.c) ---- */

typedef enum sc_compare_metric {
    SC_COMPARE_CHOICE,
    SC_COMPARE_EXACT,
    SC_COMPARE_NUMBER,
    SC_COMPARE_CONTAINS,
    SC_COMPARE_TASK, /* as the task of evaluation says */
} sc_compare_metric;

typedef struct sc_compare_item {
    const char *input;
    const char *answer;         /* as it is learned and shown, worded */
    const char *const *correct; /* n_correct texts that are right when generated */
    int n_correct;
    const char *const *choices; /* of SC_COMPARE_CHOICE, n_choices; `target` is the right one's place */
    int n_choices, target;
    const char *delimiter; /* between the question and its answer */
    int64_t place;         /* in its part of a task of evaluation */
} sc_compare_item;

typedef struct sc_compare_part {
    const sc_compare_item **item;
    int64_t n;
} sc_compare_part;

typedef struct sc_compare_task {
    sc_arena *arena;
    sc_compare_metric metric;
    bool own_choices;           /* items have choices of their own, rather than one set */
    bool lists;                 /* choices are listed in the prompt, and answers are their letters */
    const char *const *classes; /* the one set, n_classes */
    int n_classes;
    sc_compare_item *item;
    int64_t n;
    sc_compare_part train, dev, test;
    sc_eval_set *set; /* of a task of evaluation; NULL: rows of a file */
    const sc_eval_task *eval;
    uint64_t fingerprint; /* of all items and parts */
} sc_compare_task;

/* Reads and cuts; `o` without defaults yet. */
enum { SC_COMPARE_TASK_DATA = 16 };
sc_status sc_compare_task_read(sc_compare_task *t, sc_context *ctx, const sc_compare_options *o);
void sc_compare_task_free(sc_compare_task *t);
extern const char *const sc_compare_metric_names[];

/* ---- prompts (prompt.c) ---- */

typedef struct sc_compare_prompter {
    const sc_compare_options *o;
    const sc_compare_task *task;
} sc_compare_prompter;

typedef enum sc_compare_stage {
    SC_COMPARE_ASKS,      /* for the answer */
    SC_COMPARE_THINKS,    /* for the reasoning before it */
    SC_COMPARE_CONCLUDES, /* for the answer behind a reasoning */
} sc_compare_stage;

/* Text that an item is asked with, the shots before it: plain, or with o->chat the JSON of messages. thought: the reasoning that
 * is concluded from, else NULL. Owned; NULL without memory. */
char *sc_compare_prompt(const sc_compare_prompter *p, const sc_compare_item *item,
                        const sc_compare_item *const *shot, int n_shots, sc_compare_stage stage,
                        const char *thought);
/* The k-th choice as it is answered: itself, or its letter where the prompt lists them. */
const char *sc_compare_choice(const sc_compare_task *t, const sc_compare_item *item, int k);
/* A line of training data: {"prompt", "completion"}, or {"messages"}; owned by the caller (json_decref). */
json_t *sc_compare_example(const sc_compare_prompter *p, const sc_compare_item *item);
/* Which k of the training examples are put before every item, into shot; how many there are. Balanced: of each class as many,
 * where there are classes. */
int sc_compare_shots(const sc_compare_prompter *p, int k, uint64_t seed, const sc_compare_item **shot);
/* What ends a generated answer. */
const char *sc_compare_stop(const sc_compare_task *t);

/* ---- right or wrong (judge.c) ---- */

/* The answer within generated text, in place: its first line, or the number that it comes to. */
void sc_compare_extract(const sc_compare_task *t, char *text);
/* How good an answer is, in [0, 1]. */
sc_status sc_compare_grade(double *out, const sc_compare_task *t, const sc_compare_item *item, const char *said);
/* The choice that a text names first, as a whole word; -1: none. */
int sc_compare_named(const sc_compare_task *t, const sc_compare_item *item, const char *text);

/* ---- methods (methods.c) ---- */

typedef enum sc_compare_learns {
    SC_COMPARE_NOTHING,
    SC_COMPARE_PROMPT,
    SC_COMPARE_LORA,
    SC_COMPARE_ALL
} sc_compare_learns;

typedef struct sc_compare_method {
    const char *name, *summary;
    int shots;      /* -1: as many as the options say */
    bool thinks;    /* reasons before it answers */
    bool samples;   /* … several times */
    bool likeliest; /* of the samples the one that the model finds likeliest, rather than a vote */
    sc_compare_learns learns;
} sc_compare_method;
const sc_compare_method *sc_compare_method_named(const char *name); /* NULL: there is none; other spellings too */

/* ---- answering (asking.c) ---- */

typedef struct sc_compare_asking {
    sc_asker *asker;
    const sc_compare_prompter *prompter;
    const sc_compare_method *method;
    const sc_compare_item *const *shot;
    int shots;
    uint64_t seed;
    bool no_scores; /* found out: it gives no likelihoods */
} sc_compare_asking;

typedef struct sc_compare_asked {
    char *said, *thought; /* owned; thought NULL: none */
    double score;
} sc_compare_asked;
void sc_compare_asked_free(sc_compare_asked *a);
/* Answers n items of the test part, of which `first` is the first. What is in `out` is the caller's, also after a
 * failure. */
sc_status sc_compare_ask(sc_compare_asking *a, const sc_compare_item *const *item, int64_t n, int64_t first,
                         sc_compare_asked *out);

/* ---- cells (cell.c) ---- */

typedef struct sc_compare_answer {
    int64_t item;     /* of the test part */
    double score;     /* 1 right, 0 wrong; between them where a task says so, or over seeds */
    const char *said; /* what it answered; in the cell's arena */
} sc_compare_answer;

typedef struct sc_compare_run {
    sc_arena *arena;
    int model; /* of the models, then of the endpoints */
    const char *model_name;
    const sc_compare_method *method;
    uint64_t seed; /* counted from 0 */
    int64_t train; /* examples; of few-shot those in the prompt */
    char *dir;
    sc_compare_answer *answer; /* n_answers */
    int64_t n_answers, cap;
    double seconds, train_seconds;
    int64_t peak_bytes, tokens; /* generated and scored */
    const char *note;
    bool ended; /* cell.json is there */
} sc_compare_run;

typedef struct sc_compare_state {
    sc_context *ctx;
    sc_compare_options o; /* with its defaults */
    sc_compare_task task;
    sc_compare_run *run;
    int n_runs;
    double began;  /* sc_now of this call */
    double before; /* seconds that were spent by earlier calls */
} sc_compare_state;

/* What stands in the cell's folder, into it. */
sc_status sc_compare_run_load(sc_compare_state *c, sc_compare_run *r);
/* Does what is missing within `seconds` (<= 0: no limit). SC_ECANCELLED passes through; other failures become its note. */
sc_status sc_compare_run_go(sc_compare_state *c, sc_compare_run *r, double seconds);

/* SC_ELIMIT where the cell would need more memory than the options allow, as far as can be told beforehand. (learn.c) */
sc_status sc_compare_fits(sc_compare_state *c, const sc_compare_run *r);
/* Trains until sc_now() is `until` (0: to the end); *adapter becomes a folder to put on the model or *model one to open in its place; both owned, one NULL. (learn.c) */
sc_status sc_compare_learn(sc_compare_state *c, sc_compare_run *r, double until, char **model, char **adapter);

/* ---- results (results.c) ---- */

/* One model and method, over its seeds, with the most training examples (or, in curves, any number). */
typedef struct sc_compare_result {
    const char *model, *method, *note;
    int64_t train, items;
    int seeds;
    double *score;           /* (test items) mean over seeds; NAN: not answered */
    const char *const *said; /* (test items) of the first seed; NULL where it is not answered */
    sc_interval accuracy;
    double error, seconds, train_seconds, per_item;
    int64_t peak_bytes;
    bool curve; /* only a point of a curve: fewer examples than another result of the same model and method */
} sc_compare_result;

typedef struct sc_compare_pair {
    int a, b; /* results */
    int64_t items;
    sc_interval difference; /* a - b */
    double p, corrected;
} sc_compare_pair;

typedef struct sc_compare_results {
    sc_arena *arena;
    sc_compare_result *result;
    int n;
    sc_compare_pair *pair;
    int n_pairs;
    int best;     /* -1: none */
    int cheapest; /* the one that costs least of those that are not known to be worse than the best */
} sc_compare_results;

sc_status sc_compare_results_make(sc_compare_results *x, const sc_compare_state *c);
void sc_compare_results_free(sc_compare_results *x);
const sc_compare_pair *sc_compare_pair_of(const sc_compare_results *x, int a, int b); /* NULL: none */
/* The difference is significant beside all others that were looked at. */
bool sc_compare_differs(const sc_compare_state *c, const sc_compare_pair *p);
/* One or two sentences: what to take. (results.c) */
void sc_compare_verdict(sc_str *out, const sc_compare_results *x);
/* results.json and results.md (tables.c), report.html (page.c). */
sc_status sc_compare_write_tables(const sc_compare_state *c, const sc_compare_results *x);
sc_status sc_compare_write_page(const sc_compare_state *c, const sc_compare_results *x);

#endif
