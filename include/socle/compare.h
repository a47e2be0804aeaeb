/* SPDX-License-Identifier: Apache-2.0 */
/* "Which model fits my problem, and how far must I adapt it?": models x methods on one task, and what the differences are
 * worth. docs/compare.md is the manual. */
#ifndef SOCLE_COMPARE_H
#define SOCLE_COMPARE_H

#include "socle/asking.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0 or NULL: the default, in brackets. */
typedef struct sc_compare_options {
    const char *const *models; /* directories or GGUF files; n_models of them */
    int n_models;
    const sc_asker_api *apis; /* models behind endpoints, n_apis; they answer and are not trained */
    int n_apis;

    /* The task: rows of .jsonl, .json, .csv or .tsv, maybe .gz or .zst. Or a task of eval.h, a .yaml file or a built-in one,
     * which says itself what the parts and the right answers are. */
    const char *data;             /* cut into parts for training, choosing and testing, in an order of the seed */
    const char *const *task_data; /* its files, "FILE" or "SPLIT=FILE", n_task_data, at most 16 */
    int n_task_data;
    const char *train;          /* rows to learn from in place of a part of `data` */
    const char *test;           /* … to test on */
    const char *const *columns; /* names of a table's columns where it has none, n_columns */
    int n_columns;
    const char *list; /* .json: the field with the list of rows */
    /* Fields. Answers are texts, numbers or lists of texts, of which any will do. Choices are a list of texts or of objects with
     * "text" and "label", or several fields with commas between ("A,B,C,D"); an answer is then one of them, its label or its
     * number from 0. [the first that the rows have of what is usual] */
    const char *input, *answer, *choices;
    const char *const *labels; /* "0=negative": how an answer is worded, n_labels */
    int n_labels;
    const char *prompt; /* with {input}, and {choices} where they are to be listed ["Question: {input}\nAnswer:"] */
    const char *instruction; /* before everything [nothing] */
    const char *metric; /* "choice": of the choices, or of all answers that occur, the likeliest; "exact", "number":
                           of a generated answer [by what the answers are] */
    bool chat;          /* ask by way of the model's chat template */

    const char *const *methods; /* n_methods names of sc_compare_method_at ["zero-shot", "few-shot", "lora"] */
    int n_methods;
    int64_t test_items, train_items,
        dev_items;        /* at most [200, 500, 50; no more than half, and a tenth, of the data] */
    const int64_t *curve; /* n_curve: train on so many of the items too, for a learning curve */
    int n_curve;
    int64_t shots;      /* of few-shot [5] */
    const char *pick;   /* which: "random", "balanced", "nearest" ["balanced"] */
    int64_t samples;    /* of self-consistency and best-of-n [5] */
    const char *reward; /* a reward model, which best-of-n then chooses by; NULL: by likelihood */
    int64_t max_tokens; /* of an answer, without its reasoning [32], and of reasoning [128] */
    int64_t think_tokens;
    int seeds; /* how often what depends on chance is done [1] */
    uint64_t seed;

    double epochs;  /* of training [3] */
    int64_t batch;  /* [8] */
    int64_t length; /* tokens of an example at most [512] */
    double lr;      /* [by method: full 3e-5, lora 5e-4, prompt-tuned 0.03] */
    int64_t rank;   /* of lora [8] */

    double
        seconds; /* for everything; what is left is shared among the cells that are left, and a cell whose time is over
                       keeps the items that it has answered, at least 10 [no limit] */
    int64_t memory;    /* bytes; what would need more is left out [no limit] */
    double confidence; /* of intervals, and 1 - the level of tests [0.95] */

    const char
        *out; /* a folder: report.html, results.json, results.md, and cells/ with every answer. What is there is not
                        done again: a comparison that was stopped goes on, and models and methods can be added */
    const char *const *args; /* the command as it was typed, for the report, n_args */
    int n_args;
} sc_compare_options;

/* i-th method, those of sc_ask_method_at ("few-shot:8", "tree", …) and then "prompt-tuned", "lora" and "full"; NULL: there are
 * fewer. */
SC_API const char *sc_compare_method_at(int i, const char **summary);

/* What a model and a method came to. */
typedef struct sc_compare_cell {
    const char *model, *method;
    int64_t train; /* examples it was given or trained on */
    int64_t items; /* answered */
    double accuracy, low, high;
    double seconds, train_seconds; /* to answer, and before that to train */
    int64_t peak_bytes;
    const char *note; /* why there is nothing, or less than everything; NULL: all is there */
} sc_compare_cell;
/* Called after each cell, also for those that were there. */
typedef void sc_compare_report(void *user, const sc_compare_cell *cell, int done, int total);

/* Does what is not done yet and writes the reports. A cell that fails is told in its note and the others go on.
 * SC_EINVAL: options, fields or an `out` that do not fit; SC_EFORMAT: a row, with its file and line; SC_ECANCELLED: what was
 * done is kept. report may be NULL. */
SC_API sc_status sc_compare(sc_context *ctx, const sc_compare_options *options, sc_compare_report *report,
                            void *user);

#ifdef __cplusplus
}
#endif
#endif
