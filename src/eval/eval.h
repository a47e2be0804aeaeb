/* SPDX-License-Identifier: Apache-2.0 */
/* Inside evaluation: yaml.c and dataset.c read, task.c and set.c say what a task is, value.c makes of a row what a key says,
 * prompt.c makes prompts, filter.c prepares answers, metric_*.c measure them, cache.c keeps what was asked, run.c does it. */
#ifndef SC_EVAL_INTERNAL_H
#define SC_EVAL_INTERNAL_H

#include "io/io.h"
#include "sandbox/sandbox.h"
#include "socle/eval.h"
#include "text/text.h"
#include "socle/template.h"

/* ---- YAML (yaml.c) ---- */
enum { SC_YAML_MOST = 1 << 20 }; /* bytes of a text */
/* The one document of p[0..n) as JSON values. `what` names the text in messages. SC_EFORMAT, SC_ELIMIT; SC_EUNSUPPORTED: code in
 * Python. *out is owned. */
sc_status sc_yaml_parse(json_t **out, const char *p, int64_t n, const char *what);
sc_status sc_yaml_read(json_t **out, const char *path);

/* ---- Python (python.c) ---- */
/* What ast.literal_eval makes of a text; tuples are lists. *out is owned. */
sc_status sc_py_literal(json_t **out, const char *p, int64_t n, const char *what);
/* Python's random.Random. */
typedef struct sc_py_random {
    uint32_t state[624];
    int at;
} sc_py_random;
void sc_py_seed(sc_py_random *r, uint64_t seed);
double sc_py_uniform(sc_py_random *r); /* random() */
/* sample(range(n), k), 0 <= k <= n. */
sc_status sc_py_sample(sc_py_random *r, int64_t n, int64_t k, int64_t *out);

/* ---- rows (dataset.c) ---- */
/* Appends the objects of a file to the array `rows`. kind: "json", "csv", "tsv", "text"; NULL: by the file's name. kwargs may be
 * NULL. */
sc_status sc_dataset_read(json_t *rows, const char *path, const char *kind, const json_t *kwargs);
sc_status sc_dataset_parse(json_t *rows, const char *p, int64_t n, const char *what, const char *kind,
                           const json_t *kwargs);

/* ---- what a key makes of a row (value.c) ---- */

/* A field's name, a template, or a value that is the same for all rows. Zeroed: not given. */
typedef struct sc_eval_value {
    const char *source; /* the field's name or the template's text; borrowed from the task's configuration */
    sc_template *template;
    const json_t *constant; /* borrowed */
    char *what;             /* for messages */
} sc_eval_value;
sc_status sc_eval_value_new(sc_eval_value *v, const json_t *config, const char *key, const char *where);
void sc_eval_value_free(sc_eval_value *v);
static inline bool sc_eval_value_given(const sc_eval_value *v) { return v->source || v->constant; }
/* Of a row: the field as it is, or the template's text. *out is owned. */
sc_status sc_eval_value_get(json_t **out, const sc_eval_value *v, const json_t *row);
/* The same as a text; "" where it is not given. NULL-safe to free. */
sc_status sc_eval_value_text(char **out, const sc_eval_value *v, const json_t *row);
/* What Python's str() gives of it. *out is owned. */
sc_status sc_eval_text_of(char **out, const json_t *v);

/* ---- tasks (task.c, set.c) ---- */

typedef enum sc_filter_kind {
    SC_FILTER_REGEX,
    SC_FILTER_CHOICE_REGEX,
    SC_FILTER_TRIM,
    SC_FILTER_FIRST,
    SC_FILTER_FIRST_K,
    SC_FILTER_MAJORITY,
    SC_FILTER_LOWER,
    SC_FILTER_UPPER,
    SC_FILTER_MAP
} sc_filter_kind;
typedef struct sc_filter_step {
    sc_filter_kind kind;
    sc_search *search;
    sc_search *ignore[8]; /* choice regex: taken out before */
    int n_ignore;
    int64_t group, k;
    const char *fallback;
    bool ignore_case, ignore_punctuation;
    const json_t *map, *otherwise;
} sc_filter_step;
typedef struct sc_filter {
    const char *name;
    sc_filter_step *step;
    int n;
} sc_filter;

typedef struct sc_metric_kind sc_metric_kind;
typedef struct sc_task_metric {
    const sc_metric_kind *kind;
    const struct sc_aggregation *aggregation;
    const char *name;
    char title[64];        /* with its k: "pass@10" */
    const json_t *options; /* what the list says besides; borrowed */
    bool higher;
    int64_t depth;        /* pass_at_k, ndcg, …: their k; 0: of others */
    sc_search *ignore[8]; /* exact_match: taken out of both sides before */
    int n_ignore;
    sc_eval_value program; /* pass_at_k */
} sc_task_metric;

enum { SC_TASK_METRICS = 32 };
struct sc_eval_task {
    json_t *config; /* the whole file, with what it includes */
    char *name, *where;
    sc_eval_kind kind;
    sc_eval_value text, target, choice, description, prefix; /* doc_to_text … */
    sc_eval_value shot_text, shot_target, shot_choice, shot_prefix;
    const char *delimiter, *shot_delimiter;               /* target_delimiter, fewshot_delimiter */
    const char *shots_target_delimiter, *shots_delimiter; /* the same within examples */
    bool first_n, shots_from_test; /* sampler; the examples are the rows that are evaluated */
    bool may_meet_itself;          /* a row is left out of its own examples */
    int64_t shots, repeats;
    const json_t *generation; /* generation_kwargs; NULL */
    sc_filter *filter;
    int n_filters;
    sc_task_metric metric[SC_TASK_METRICS];
    int n_metrics;
    json_t *rows, *examples; /* arrays; examples may be rows */
    json_t *corpus;          /* retrieval: the documents */
    sc_eval_value first, second, score, query, document, document_id, relevant;
    bool many_inputs, many_targets; /* what the first row says of all */
    bool mutual;                    /* acc_mutual_info is among the metrics */
};
/* Reads the task `config` (taken), which `where`, a file's path or a built-in's name, says. */
sc_status sc_eval_task_new(sc_eval_task **out, json_t *config, const char *where,
                           const sc_eval_open_options *options);
void sc_eval_task_free(sc_eval_task *t);
/* A built-in task's configuration, with its rows within; NULL without a message: there is none of this name. (builtin.c) */
sc_status sc_eval_builtin_config(json_t **out, const char *name, const sc_eval_open_options *options);
/* A data file where the task file or the options say; *out is owned. SC_ENOTFOUND */
sc_status sc_eval_find(char **out, const char *path, const char *beside, const sc_eval_open_options *options);

/* ---- a row's parts (prompt.c) ---- */

/* What a row says, by the task's keys or by those for examples. */
typedef struct sc_eval_parts {
    json_t *text;    /* a string; an integer: choices differ in what comes before, and this is the right one */
    json_t *target;  /* string, integer, or list of them */
    json_t *choices; /* array of strings; NULL: none */
} sc_eval_parts;
sc_status sc_eval_parts_get(sc_eval_parts *out, const sc_eval_task *t, const json_t *row, bool shot);
void sc_eval_parts_free(sc_eval_parts *p);
/* The index of the right choice, which a target says by number or by its text; -1: it is none of them. */
int64_t sc_eval_gold(const sc_eval_parts *p, const json_t *target);
/* The text of a target. *out is owned. */
sc_status sc_eval_target_text(char **out, const sc_eval_parts *p);

/* The random choice of examples goes on from item to item, so prompts are made in order. */
typedef struct sc_eval_prompter {
    const sc_eval_task *t;
    const sc_eval_options *o;
    sc_py_random random;
    int64_t shots;
} sc_eval_prompter;
void sc_eval_prompter_start(sc_eval_prompter *p, const sc_eval_task *t, const sc_eval_options *o);
/* A prompt: plain text, or messages as JSON. One for each choice where inputs are many, else one; owned (json_decref): an array
 * of strings. */
sc_status sc_eval_prompts(json_t **out, sc_eval_prompter *p, const json_t *row, const sc_eval_parts *parts);

/* ---- filters (filter.c) ---- */
sc_status sc_filters_read(sc_eval_task *t);
void sc_filters_free(sc_eval_task *t);
/* What the filter makes of the array of a row's answers (strings): a string, or a list where it takes none of them alone.
 * *out is owned. */
sc_status sc_filter_apply(json_t **out, const sc_filter *f, const json_t *answers, const json_t *row);

/* ---- metrics (metric.c) ---- */

/* All that an item's metric may look at. */
typedef struct sc_outcome {
    const sc_eval_task *t;
    const json_t *row;
    const sc_eval_parts *parts;
    const double *logprob; /* of choices, then those without context; of the one continuation */
    const bool *greedy;
    const json_t *answer; /* filtered */
    sc_context *ctx;      /* for programs that are run, in this box; NULL: they are not run */
    const sc_sandbox *box;
    int64_t *passed; /* of them those that passed, once that is known; -1 before */
} sc_outcome;
int64_t sc_outcome_chosen(const sc_outcome *o); /* the likeliest choice */
enum { SC_METRIC_WIDTH = 24 }; /* numbers that an item gives at most: as many as its aggregation is wide */
struct sc_metric_kind {
    const char *name;
    unsigned kinds; /* a set of 1 << sc_eval_kind */
    const char *aggregation;
    bool lower;  /* is better */
    bool single; /* its first number is a score of the item, in [0, 1] or so */
    sc_status (*item)(const sc_task_metric *m, const sc_outcome *o, double *out); /* NULL: vectors.c */
};
typedef struct sc_aggregation {
    const char *name;
    int width;
    double (*of)(const double *item, const int64_t *pick, int64_t n); /* of items pick[0..n), each `width` wide */
    bool bootstrap;                                                   /* its error is asked of samples */
    int most;                                                         /* samples at most; 0: no limit */
} sc_aggregation;
sc_status sc_metrics_read(sc_eval_task *t);
void sc_metrics_free(sc_eval_task *t);
const sc_aggregation *sc_aggregation_named(const char *name);
/* Value and standard error over n items. */
sc_status sc_aggregate(const sc_aggregation *a, const double *item, int64_t n, int64_t bootstrap, sc_context *ctx,
                       double *value, double *error);

/* Texts compared (metric_text.c, metric_ngram.c). */
double sc_squad_f1(const char *answer, const char *target);
double sc_rouge_n(const char *answer, const char *target,
                  int n); /* F measure, as Google's rouge_score without stemming */
double sc_rouge_l(const char *answer, const char *target, bool by_sentence);
/* sacrebleu's sums of one sentence against `refs` references: lengths, then right and all n-grams, 1 to 4. */
sc_status sc_bleu_sums(const char *answer, const char *const *reference, int refs, double out[10]);
double sc_bleu_of(const double *item, const int64_t *pick, int64_t n);
/* For each order of characters, then of words: n-grams of the answer, of the reference, and of both. */
sc_status sc_chrf_sums(const char *answer, const char *const *reference, int refs, int words, double *out);
double sc_chrf_of(const double *item, const int64_t *pick, int64_t n);
double sc_chrfpp_of(const double *item, const int64_t *pick, int64_t n);
/* Programs run against tests: the estimate of pass@k. (metric_code.c) */
sc_status sc_pass_item(const sc_task_metric *m, const sc_outcome *o, double *out);

/* ---- finished requests (cache.c) ---- */
typedef struct sc_eval_cache sc_eval_cache;
/* path NULL: a cache in memory alone. Lines that are torn or foreign are passed over. */
sc_status sc_eval_cache_open(sc_eval_cache **out, const char *path);
void sc_eval_cache_close(sc_eval_cache *c);
/* A request's key: 32 hexadecimal digits of all that it depends on. */
void sc_eval_cache_key(char key[33], const char *const *part, int n);
const json_t *sc_eval_cache_get(const sc_eval_cache *c, const char *key);      /* borrowed; NULL */
sc_status sc_eval_cache_put(sc_eval_cache *c, const char *key, json_t *value); /* takes value */

#endif
