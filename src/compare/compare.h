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
#include "socle/asking.h"
#include "socle/compare.h"
#include "socle/eval.h"
#include "socle/stats.h"
#include "socle/train.h"

/* ---- the task (task.c) ---- */

typedef enum sc_compare_metric {
    SC_COMPARE_CHOICE,
    SC_COMPARE_EXACT,
    SC_COMPARE_NUMBER,
    SC_COMPARE_TASK, /* as the task of evaluation says */
} sc_compare_metric;

typedef struct sc_compare_item {
    const char *input;
    const char *answer;         /* as it is learned and shown, worded */
    const char *const *correct; /* n_correct texts that are right when generated */
    int n_correct;
    const char *const *choices; /* of SC_COMPARE_CHOICE, n_choices; `target` is the right one's place */
    int n_choices, target;
    int64_t place; /* in its part of a task of evaluation */
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
    int64_t n, cap;
    sc_compare_part train, dev, test;
    sc_eval_set *set; /* of a task of evaluation; NULL: rows of a file */
    const sc_eval_task *eval;
    uint64_t fingerprint; /* of all items and parts */
} sc_compare_task;

/* Reads and cuts; `o` without defaults yet. */
enum { SC_COMPARE_TASK_DATA = 16 };
sc_status sc_compare_task_read(sc_compare_task *t, sc_context *ctx, const sc_compare_options *o);
/* Its parts, for rows from elsewhere: t->arena is there; `path` is for messages; of all items the first `cut` may only be learned
 * from (0: any). */
sc_status sc_compare_task_rows(sc_compare_task *t, const sc_compare_options *o, const json_t *rows,
                               const char *path);
sc_status sc_compare_task_finish(sc_compare_task *t, const sc_compare_options *o, int64_t cut);
void sc_compare_task_free(sc_compare_task *t);
extern const char *const sc_compare_metric_names[];

/* ---- prompts (prompt.c) ---- */

/* The whole prompt of an item, without what comes before all; owned. NULL without memory. */
char *sc_compare_prompt(const sc_compare_options *o, const sc_compare_task *t, const sc_compare_item *item);
/* How every prompt begins; owned. NULL: not alike, or no memory. */
char *sc_compare_beginning(const sc_compare_options *o);
/* The right answer, and the k-th choice, as they are said: themselves, or letters where the prompt lists the choices. */
const char *sc_compare_gold(const sc_compare_task *t, const sc_compare_item *item);
const char *sc_compare_choice(const sc_compare_task *t, const sc_compare_item *item, int k);
/* A line of training data: {"prompt", "completion"}, or {"messages"}; owned by the caller (json_decref). */
json_t *sc_compare_example(const sc_compare_options *o, const sc_compare_task *t, const sc_compare_item *item);

/* ---- methods (methods.c) ---- */

typedef enum sc_compare_learns {
    SC_COMPARE_NOTHING,
    SC_COMPARE_PROMPT,
    SC_COMPARE_LORA,
    SC_COMPARE_ALL
} sc_compare_learns;

typedef struct sc_compare_method {
    const char *name; /* as it was given; borrowed */
    sc_compare_learns learns;
    sc_ask_method ask;
} sc_compare_method;
/* A way of asking or of training, with what the options say of it. SC_ENOTFOUND. */
sc_status sc_compare_method_make(sc_compare_method *out, const char *name, const sc_compare_options *o);
bool sc_compare_by_chance(const sc_compare_method *m); /* another seed may give other answers */

/* ---- answering (asking.c) ---- */

typedef struct sc_compare_asking {
    const sc_compare_options *o;
    const sc_compare_task *task;
    sc_asker *asker;
    sc_ask_method method;
    sc_ask_task ask;
    char *beginning;
} sc_compare_asking;
/* judge: a reward model, or NULL. End with sc_compare_asking_close, also after a failure. */
sc_status sc_compare_asking_open(sc_compare_asking *a, const sc_compare_options *o, const sc_compare_task *t,
                                 const sc_compare_method *m, sc_asker *asker, sc_ask_judge *judge, uint64_t seed);
void sc_compare_asking_close(sc_compare_asking *a);

typedef struct sc_compare_asked {
    char *said, *thought; /* owned; thought NULL: none */
    double score;
} sc_compare_asked;
void sc_compare_asked_free(sc_compare_asked *a);
/* How good an answer is, in [0, 1]. */
sc_status sc_compare_grade(double *out, const sc_compare_task *t, const sc_compare_item *item,
                           const sc_ask_solution *y);
/* Answers n items of the test part. What is in `out` is the caller's, also after a failure. */
sc_status sc_compare_ask(sc_compare_asking *a, const sc_compare_item *const *item, int64_t n,
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
    sc_ask_judge *judge; /* NULL: none */
    sc_compare_method *method;
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
    bool learns;
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
