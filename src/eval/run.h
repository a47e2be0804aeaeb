/* SPDX-License-Identifier: Apache-2.0 */
/* Between the parts of a run: ask.c gets what an item needs, run.c measures it, result.c keeps it. */
#ifndef SC_EVAL_RUN_H
#define SC_EVAL_RUN_H

#include "eval/eval.h"

/* ---- asking (requests.c) ---- */

/* One request; what it needs belongs to the item. */
typedef struct sc_eval_ask {
    const char *prompt; /* plain, or messages as JSON */
    char *continuation; /* owned; NULL where an answer is generated */
    char key[33];
    const json_t *value; /* borrowed from the cache: [logprob, greedy], [logprob], or answers' texts */
} sc_eval_ask;

typedef struct sc_eval_asked {
    int64_t item;
    const json_t *row;
    sc_eval_parts parts;
    json_t *prompts;  /* array of strings */
    char *begin;      /* how a generated answer begins */
    int64_t first, n; /* of the window's requests */
} sc_eval_asked;

/* Requests of some items. */
typedef struct sc_eval_window {
    sc_eval_asked *item;
    int64_t n_items, cap_items;
    sc_eval_ask *ask;
    int64_t n, cap;
} sc_eval_window;
void sc_eval_window_clear(sc_eval_window *w);
void sc_eval_window_free(sc_eval_window *w);

typedef struct sc_eval_requester {
    sc_context *ctx;
    const sc_eval_task *t;
    const sc_eval_options *o;
    sc_asker *asker;
    sc_eval_cache *cache;
    sc_ask_request how; /* of generated answers */
    const char **stop;
    char *identity;           /* of the model, for keys */
    int64_t requests, cached; /* so far */
} sc_eval_requester;
sc_status sc_eval_requester_start(sc_eval_requester *r, sc_context *ctx, const sc_eval_task *t,
                                  const sc_eval_options *o, sc_asker *asker);
void sc_eval_requester_end(sc_eval_requester *r);
/* Appends an item's requests. */
sc_status sc_eval_request(sc_eval_window *w, sc_eval_requester *r, sc_eval_prompter *p, int64_t item);
/* Answers all of a window: by the cache, else by the asker. */
sc_status sc_eval_answer(sc_eval_window *w, sc_eval_requester *r);

/* ---- results (result.c) ---- */

/* Metrics' numbers by filter, metric and item. */
typedef struct sc_eval_numbers {
    double *x[64 * SC_TASK_METRICS]; /* [filter * metrics + metric]: (items, width) */
} sc_eval_numbers;
sc_status sc_eval_result_new(sc_eval_result **out, const sc_eval_task *t, int64_t items);
void sc_eval_result_clear(sc_eval_result *r); /* frees what is in it */
/* Sets item i of the result; json is taken. */
sc_status sc_eval_result_set(sc_eval_result *r, int64_t i, const sc_eval_sample *sample, json_t *json);
/* All metrics from the numbers of `items` items. */
sc_status sc_eval_result_measure(sc_eval_result *r, const sc_eval_task *t, const sc_eval_numbers *x, int64_t items,
                                 int64_t bootstrap, sc_context *ctx);
/* Appends a metric, whose texts are copied. */
sc_status sc_eval_result_add(sc_eval_result *r, const sc_eval_metric *m);
/* The run of the first `items` items by o->method instead of the task's own prompts. (ways.c) */
sc_status sc_eval_run_method(sc_eval_result **out, sc_context *ctx, const sc_eval_task *t, sc_asker *asker,
                             const sc_eval_options *o, int64_t items);
/* Adds to a group's result what aggregate_metric_list says of the results of n of its tasks. */
sc_status sc_eval_group_measure(sc_eval_result *group, const json_t *list, sc_eval_result *const *result,
                                const int *task, int n, const char *where);

#endif
