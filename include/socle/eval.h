/* SPDX-License-Identifier: Apache-2.0 */
/* Evaluation: tasks, what a model is asked for them, and what its answers are worth.
 *
 * A task is a YAML file in the shape of EleutherAI's lm-evaluation-harness (github.com/EleutherAI/lm-evaluation-harness): where
 * the rows are, how a row becomes a prompt, a target and choices (names of fields or Jinja), what is asked (output_type), how
 * answers are filtered, and which metrics there are. The same file gives the same prompts, log likelihoods, metrics and
 * standard errors here and there. docs/eval.md has the keys that are read. Code in Python (!function) is refused.
 *
 * Beside files there are built-in tasks about the made world (world.h) by the names of its kinds, and two more output types:
 * "similarity" (do vectors of sentences agree with people's scores) and "retrieval" (are the right documents found). */
#ifndef SOCLE_EVAL_H
#define SOCLE_EVAL_H

#include "socle/ask.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- tasks ---- */

typedef enum sc_eval_kind {
    SC_EVAL_CHOICE,     /* multiple_choice: the likeliest of given continuations */
    SC_EVAL_LIKELIHOOD, /* loglikelihood: of one continuation */
    SC_EVAL_ROLLING,    /* loglikelihood_rolling: of a whole text */
    SC_EVAL_GENERATE,   /* generate_until: an answer's text */
    SC_EVAL_SIMILARITY, /* vectors of two texts, and how alike they are said to be */
    SC_EVAL_RETRIEVAL   /* vectors of a query and of documents */
} sc_eval_kind;

/* Tasks and groups of them, as they were asked for. Immutable once opened. One owner. */
typedef struct sc_eval_set sc_eval_set;
typedef struct sc_eval_task sc_eval_task; /* belongs to its set */

typedef struct sc_eval_data {
    const char *task;  /* of which tasks; NULL: of all */
    const char *split; /* "test", "train", … as the task names its splits; NULL: the one that is evaluated */
    const char *path;  /* the file to read instead of what the task says */
} sc_eval_data;

typedef struct sc_eval_open_options {
    const char *const
        *folders; /* n_folders places where task files and data files are looked for, after the current
                                   folder and that of the task file */
    int n_folders;
    const sc_eval_data *data; /* n_data files instead of what tasks name */
    int n_data;
    int64_t made;         /* items of a built-in task; 0: 200 */
    const char *language; /* of built-in tasks: "en", "ko"; NULL: both */
    uint64_t seed;        /* of the world of built-in tasks */
} sc_eval_open_options;

/* names: n task files, names of tasks or groups (NAME.yaml in a folder, or a file there that says "task: NAME"), or built-in
 * tasks. The data of all are read. options may be NULL. SC_ENOTFOUND: no such task, or no such data; SC_EFORMAT: a key or
 * a template that is not as it should be, with its file; SC_EUNSUPPORTED: what only Python could do. */
SC_API sc_status sc_eval_open(sc_eval_set **out, sc_context *ctx, const char *const *names, int n,
                              const sc_eval_open_options *options);
SC_API void sc_eval_free(sc_eval_set *s);

typedef struct sc_eval_builtin {
    const char *name, *summary;
} sc_eval_builtin;
/* The built-in tasks; *count of them. */
SC_API const sc_eval_builtin *sc_eval_builtins(int *count);

SC_API int sc_eval_count(const sc_eval_set *s); /* tasks, those of groups too, each once */
SC_API const sc_eval_task *sc_eval_at(const sc_eval_set *s, int i);
SC_API const char *sc_eval_task_name(const sc_eval_task *t);
SC_API sc_eval_kind sc_eval_task_kind(const sc_eval_task *t);
SC_API int64_t sc_eval_task_shots(const sc_eval_task *t); /* what it says itself; 0: nothing */
/* Items to be evaluated, and others whose answers may be seen (the few-shot split, else the training one); the same ones
 * where the task has no others. */
typedef enum sc_eval_part { SC_EVAL_TEST, SC_EVAL_EXAMPLES } sc_eval_part;
SC_API int64_t sc_eval_task_items(const sc_eval_task *t, sc_eval_part part);
SC_API bool sc_eval_task_has_examples(const sc_eval_task *t); /* others than those that are evaluated */

/* One item by itself: for whoever trains on a task, or asks in own ways. */
typedef struct sc_eval_item {
    char *question;    /* what the prompt says of it, without what may come before */
    char *answer;      /* the right answer's text; "" where there is none */
    char *delimiter;   /* what stands between both, such as " " */
    char **choices;    /* n_choices answers to choose from; NULL: the answer is free */
    int64_t n_choices; /* 0 where it is free */
    int64_t gold;      /* the right choice, the first one of several; -1: none, or free */
} sc_eval_item;
SC_API sc_status sc_eval_item_get(sc_eval_item *out, const sc_eval_task *t, sc_eval_part part, int64_t i);
SC_API void sc_eval_item_free(sc_eval_item *item); /* what is in it */

/* How good an answer's text is, in [0, 1]: the task's filters and its first metric of single answers where it generates; else
 * 1 where the text begins with the right choice and with no other that is longer. */
SC_API sc_status sc_eval_grade(double *out, const sc_eval_task *t, int64_t i, const char *answer);

/* ---- running ---- */

typedef struct sc_eval_options {
    int64_t limit;      /* items of each task, from its first; 0: all */
    int64_t shots;      /* solved examples before each; < 0: as the task says */
    uint64_t seed;      /* of their choice; as lm-evaluation-harness, which has 1234 */
    bool chat;          /* prompts as conversations, by the model's template */
    bool multiturn;     /* examples as turns of their own */
    const char *system; /* what is said before everything; NULL: nothing */
    const char *
        method; /* asks in another way than the task's own prompts: a name of sc_ask_method_named in asking.h, with the
                           task's questions, examples and metrics of answers. NULL: by its prompts */
    int64_t
        bootstrap; /* samples for standard errors that no formula gives; 0: none. The usual 100,000 take seconds */
    const char *cache; /* a file that keeps each finished request: what is in it is not asked again. NULL: none */
    const char
        *model; /* what tells the model apart from others of its path, such as adapters, for the cache; NULL */
    int64_t most_tokens; /* of a generated answer, where the task says no less; 0: as the task says, or 256 */
    bool code;           /* answers that are programs are run, within limits; without it such a task is refused */
    int64_t chunk;       /* requests handed to the asker at once; 0: 256. Changes no result */
} sc_eval_options;
/* shots -1, seed 1234, bootstrap 100,000, the rest 0. */
SC_API sc_eval_options sc_eval_options_default(void);

typedef struct sc_eval_metric {
    const char *name, *filter; /* "acc", "none" */
    double value;
    double error; /* its standard error; NAN: there is none */
    int64_t n;    /* items, or tasks of a group */
    bool higher_is_better;
} sc_eval_metric;

typedef struct sc_eval_sample {
    int64_t item;
    const char *target;   /* the right answer's text */
    const char *answer;   /* the answer, by the first filter; of choices the one that was chosen; NULL: none */
    double score;         /* by the first metric; NAN where single items have none */
    int64_t gold, chosen; /* of choices; -1: none */
    const char *json;     /* everything: the row, what was asked, answers by filter, metrics: one line */
} sc_eval_sample;

typedef struct sc_eval_result {
    const char *task;
    int64_t shots;
    sc_eval_metric *metric;
    int n_metrics;
    sc_eval_sample *sample; /* as many as items were evaluated, in their order */
    int64_t n_samples;
    int64_t requests, cached; /* asked in all, and those of them that the cache had */
    double seconds;
} sc_eval_result;

/* Asks and measures. SC_EUNSUPPORTED: the asker cannot what the task needs. After SC_ECANCELLED the cache has what was
 * finished. Progress goes to the context. options may be NULL. */
SC_API sc_status sc_eval_run(sc_eval_result **out, sc_context *ctx, const sc_eval_task *t, sc_asker *asker,
                             const sc_eval_options *options);
/* The same of tasks of the last two kinds, which vectors answer. */
SC_API sc_status sc_eval_run_vectors(sc_eval_result **out, sc_context *ctx, const sc_eval_task *t,
                                     sc_embedder *embedder, const sc_eval_options *options);
SC_API void sc_eval_result_free(sc_eval_result *r);

/* The groups of a set, inner ones first, from the results of all its tasks in order (NULL: a task that was not run): what each
 * says of its tasks in aggregate_metric_list. A group that says nothing has no metrics. *out has *n of them, samples empty. */
SC_API sc_status sc_eval_groups(sc_eval_result **out, int *n, const sc_eval_set *s, sc_eval_result *const *results);
SC_API void sc_eval_groups_free(sc_eval_result *groups, int n);

#ifdef __cplusplus
}
#endif
#endif
