/* SPDX-License-Identifier: Apache-2.0 */
/* Scaling laws: ladders of models, what their losses say about larger ones, and how abilities come with scale.
 *
 * N is a model's parameters, D the tokens it was trained on, C the operations of its training (a multiply-add is two), L
 * the loss on text that it was not trained on, in nats a token. docs/scale.md is the manual of `socle scale`. */
#ifndef SOCLE_SCALE_H
#define SOCLE_SCALE_H

#include "socle/stats.h"
#include "socle/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- runs as points ---- */

typedef struct sc_scale_point {
    const char *name; /* "" where it has none */
    double n, d, c, loss;
    int level;     /* > 0: runs of the same level have the same C, and make an IsoFLOP curve */
    bool held_out; /* not for fits: its loss is predicted */
} sc_scale_point;

typedef struct sc_scale_points {
    sc_scale_point *point;
    int64_t n;
} sc_scale_points;

/* From files: .jsonl with an object a line, or .tsv or .csv whose first line names columns. Their names: "parameters" or "n",
 * "tokens" or "d", "loss", and, if there, "compute" or "c" (else 6 n d), "level", "held_out", "name". Of a ladder's folder, the
 * runs that are done. Points without a level get one where at least three have the same compute, within a tenth. End
 * with sc_scale_points_free. SC_EFORMAT: with file and line; SC_EINVAL: no point at all; SC_ELIMIT: more than 100,000. */
SC_API sc_status sc_scale_points_read(sc_scale_points **out, const char *const *path, int n);
SC_API void sc_scale_points_free(sc_scale_points *p);

/* ---- laws ---- */

typedef enum sc_law_form {
    SC_LAW_HOFFMANN, /* E + A / N^alpha + B / D^beta (Hoffmann et al. 2022, "Training compute-optimal large language
                        models", approach 3): p = E, A, alpha, B, beta */
    SC_LAW_KAPLAN, /* ((Nc / N)^(alphaN / alphaD) + Dc / D)^alphaD (Kaplan et al. 2020, "Scaling laws for neural language
                        models", eq. 1.5): p = Nc, alphaN, Dc, alphaD. Without limits of data it is (Nc / N)^alphaN,
                        without limits of size (Dc / D)^alphaD (eq. 1.1, 1.2) */
    SC_LAW_KAPLAN_STEPS, /* (Nc / N)^alphaN + (Sc / S)^alphaS (eq. 1.6) with S in tokens, as it is where all batches are
                        alike: p = Nc, alphaN, Sc, alphaS */
    SC_LAW_KAPLAN_COMPUTE, /* (Cc / C)^alphaC (eq. 1.3) of the runs that no run with as little compute beats:
                              p = Cc, alphaC, and the operations for a token and a parameter that C is counted with */
    SC_LAW_FORMS
} sc_law_form;

enum { SC_LAW_MOST = 5 }; /* parameters of a law */

typedef struct sc_law {
    sc_law_form form;
    double p[SC_LAW_MOST];
} sc_law;

SC_API const char *sc_law_name(sc_law_form form);             /* "Hoffmann", … */
SC_API const char *sc_law_formula(sc_law_form form);          /* as text, "L = E + A/N^α + B/D^β" */
SC_API const char *sc_law_parameter(sc_law_form form, int i); /* "alpha", …; NULL: there are fewer */
SC_API double sc_law_loss(const sc_law *law, double n, double d);
/* Of all sizes with kappa N D = c the one with the least loss: *n, and with it *d and *loss, which may be NULL. */
/* (SC_LAW_KAPLAN_COMPUTE has no best size.) */
SC_API void sc_law_optimum(const sc_law *law, double kappa, double c, double *n, double *d, double *loss);

/* 0: the default, in brackets. */
typedef struct sc_law_options {
    double huber;      /* where a deviation of log L is no longer squared [1e-3, as Hoffmann et al.] */
    int64_t bootstrap; /* fits of resampled points [400]; -1: none, and then no intervals */
    bool cases;        /* resample points; else the residuals of log L, which does for ladders of few runs */
    double confidence; /* of intervals [0.9] */
    uint64_t seed;
} sc_law_options;

/* A law that was fitted to points. */
typedef struct sc_law_fit {
    sc_law law;
    double low[SC_LAW_MOST], high[SC_LAW_MOST]; /* of p */
    double objective;                           /* mean Huber loss */
    double deviation; /* root of the mean square of what log L is off, corrected for the parameters fitted */
    double *residual; /* (points) of log L, those used for the fit */
    int64_t points;
    sc_law *replicate; /* (replicates) */
    int64_t replicates;
    double confidence;
    uint64_t seed;
} sc_law_fit;

/* Minimises the Huber loss of log L over the points that are not held out, from several thousand places. As many points
 * with different N or D as the law has parameters are needed (SC_EINVAL), of at least two sizes and two D each. ctx may be NULL; else
 * it shows progress and cancels. End with sc_law_fit_free. */
SC_API sc_status sc_law_fit_new(sc_law_fit **out, sc_context *ctx, sc_law_form form, const sc_scale_points *points,
                                const sc_law_options *options);
SC_API void sc_law_fit_free(sc_law_fit *f);
/* The loss of one more run, and where it will lie: what the fit and a single run are uncertain of. */
SC_API sc_interval sc_law_fit_predict(const sc_law_fit *f, double n, double d);
/* The least loss for a budget and its size and tokens. */
typedef struct sc_scale_optimum {
    double c;
    sc_interval n, d, loss;
} sc_scale_optimum;
SC_API void sc_law_fit_optimum(const sc_law_fit *f, double kappa, double c, sc_scale_optimum *out);

/* Operations for a token and a parameter, the median of the points'; 6 where that is not known. */
SC_API double sc_scale_kappa(const sc_scale_points *p);

/* ---- IsoFLOP curves (Hoffmann et al. 2022, approach 2) ---- */

typedef struct sc_isoflop {
    int level;
    int64_t runs;
    double c;          /* the mean of the logarithms */
    double n0, q[3];   /* L = q0 + q1 z + q2 z^2, z = log(N / n0) */
    double n, d, loss; /* at its least */
    bool inside;       /* the least is between sizes that were run; else, or without one, n, d and loss are NAN */
} sc_isoflop;

/* y = k C^a through the minima. */
typedef struct sc_power {
    double k;
    sc_interval a;
} sc_power;

typedef struct sc_isoflops {
    sc_isoflop *level; /* those with at least three sizes */
    int64_t n;
    bool
        laws; /* at least two minima: then how size, tokens and loss go with compute (the last one: Kaplan's (Cc/C)^alphaC) */
    sc_power size, tokens, loss;
} sc_isoflops;

/* fit: for intervals of the exponents by its replicates; may be NULL. */
SC_API sc_status sc_isoflops_new(sc_isoflops **out, const sc_scale_points *points, const sc_law_fit *fit);
SC_API void sc_isoflops_free(sc_isoflops *x);

/* ---- ladders ---- */

/* 0: the default, in brackets. */
typedef struct sc_ladder_options {
    const char *config; /* config.json of any family, or a folder with one: what is made smaller and larger */
    sc_train_options
        train;     /* how; of model, out, resume and steps nothing is read. lr is what suits the size of `config` */
    double budget; /* operations of all runs together */
    /* A ladder by compute: `levels` [3] that lie a factor of `step` [3] apart, on each `sizes` [4] models that lie a factor of
     * `spread` [1.8] apart around the one that gets `ratio` [20] tokens a parameter; and one more of that ratio with `top` [3]
     * times the compute of the last level, which is held out. top below 0: none. */
    int64_t levels, sizes;
    double step, spread, ratio, top;
    /* Or one by size: each of n_size sizes with each of n_tokens numbers of tokens; the largest compute is held out. A budget
     * is then the most that it may take. */
    const double *size, *tokens;
    int n_size, n_tokens;
    double lr_power; /* the rate goes with (width of config / width)^lr_power [0.5]; below 0: all have the same */
} sc_ladder_options;

typedef struct sc_rung {
    const char *name;
    int level; /* of compute; 0: none */
    bool held_out, done;
    int64_t parameters, width, layers, steps, tokens;
    double factor;                  /* of the configuration's width */
    double operations, compute, lr; /* operations for each token; compute: of all; lr 0: the optimiser's own */
    double loss, seconds, epochs;   /* once it is done */
} sc_rung;

/* From the smallest compute to the largest. One owner. */
typedef struct sc_ladder sc_ladder;
/* Counts sizes by building the model's graph, without weights. SC_ELIMIT: the ladder is larger than the budget, or the budget
 * too small for the smallest model. */
SC_API sc_status sc_ladder_plan(sc_ladder **out, sc_context *ctx, const sc_ladder_options *options);
SC_API void sc_ladder_free(sc_ladder *l);
SC_API const sc_rung *sc_ladder_rungs(const sc_ladder *l, int64_t *n); /* borrowed */
SC_API double sc_ladder_compute(const sc_ladder *l);                   /* of all runs */
/* Makes the folder of a ladder: ladder.json, and for each run a folder with config.json. Data for training and evaluation are
 * read once, to see that they are good: *tokens is how many there are to train on. SC_EINVAL: there is a ladder already. */
SC_API sc_status sc_ladder_write(sc_ladder *l, sc_context *ctx, const char *dir, int64_t *tokens);
SC_API sc_status sc_ladder_open(sc_ladder **out, const char *dir);

typedef void sc_ladder_progress(void *user, const sc_rung *rung, int64_t at, int64_t n, const sc_train_event *step);

/* Trains what is not done, one run after another, each going on where it was stopped; what another process is training is
 * left to it, so several may work on one folder. Under mpirun all ranks train together, one run in each start, since a
 * process can take part in MPI once. *undone, which may be NULL: runs that were left. After each run points.jsonl has the
 * results. peak_flops: as in sc_train_options. */
SC_API sc_status sc_ladder_run(sc_context *ctx, const char *dir, double peak_flops, sc_ladder_progress *progress,
                               void *user, int64_t *undone);

/* ---- abilities ---- */

/* Of one kind of task. */
typedef struct sc_ability {
    const char *kind;
    int64_t n;
    double exact;      /* share of tasks whose answer is the expected one, greedily decoded */
    double similarity; /* mean of 1 - edit distance / length of the longer */
    double logprob;    /* mean over tasks of the log probability of an answer's tokens, for each of them, in nats */
} sc_ability;

/* Lets each run of a ladder that is done answer tasks (decoders alone), where it has not yet, and writes tasks.json beside it.
 * tasks: a .jsonl file as sc_tasks_read takes it, or kinds of tasks of the made world ("add,unscramble"), `count` of each. */
SC_API sc_status sc_ladder_tasks(sc_context *ctx, const char *dir, const char *tasks, int64_t count, uint64_t seed);

/* ---- the report ---- */

typedef struct sc_scale_report {
    const char *title, *command;
    sc_law_options law;
    const double *budget; /* n_budgets to find the best size for */
    int n_budgets;
    const double *ask; /* n_asked pairs N, D to predict */
    int n_asked;
    double kappa; /* operations for a token and a parameter; 0: sc_scale_kappa */
} sc_scale_report;

/* What the fits say, as JSON: "laws", "isoflop", "optima", "predictions". html, which may be NULL: a page of it, with the abilities
 * of the ladder in `dir` (NULL: none). Laws that the points cannot tell are left out; SC_EINVAL: none can be told.
 * *out is owned (sc_free). */
SC_API sc_status sc_scale_report_make(char **out, sc_context *ctx, const sc_scale_points *points, const char *dir,
                                      const sc_scale_report *options, const char *html);

#ifdef __cplusplus
}
#endif
#endif
