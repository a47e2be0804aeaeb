/* SPDX-License-Identifier: Apache-2.0 */
/* Training: what makes a step of gradients. Everything here gives the same bits for every number of threads. */
#ifndef SC_TRAIN_INTERNAL_H
#define SC_TRAIN_INTERNAL_H

#include "train/objective.h"
#include "train/reference.h"

/* ---- learning rates (schedule.c) ---- */

typedef enum sc_schedule_kind {
    SC_SCHEDULE_CONSTANT,
    SC_SCHEDULE_LINEAR,
    SC_SCHEDULE_COSINE,
    SC_SCHEDULE_INVERSE_SQRT,
    SC_SCHEDULE_WSD,  /* warm-up, stable, decay (Hu et al. 2024, "MiniCPM") */
    SC_SCHEDULE_NOAM, /* width^-0.5 min(n^-0.5, n warmup^-1.5) at step n, from 1 (Vaswani et al. 2017) */
} sc_schedule_kind;

typedef enum sc_decay_kind { SC_DECAY_LINEAR, SC_DECAY_COSINE, SC_DECAY_SQRT } sc_decay_kind;

typedef struct sc_schedule {
    sc_schedule_kind kind;
    int64_t warmup, total; /* steps; total counts the warm-up */
    int64_t decay;         /* steps at the end, of SC_SCHEDULE_WSD */
    sc_decay_kind shape;   /* of that decay; SC_DECAY_SQRT: 1 - sqrt of the share done */
    double floor;          /* of SC_SCHEDULE_WSD: the factor that warm-up begins from and decay ends at */
    int64_t width;         /* of the model, for SC_SCHEDULE_NOAM */
    double cycles;         /* of SC_SCHEDULE_COSINE: 0.5 falls once from 1 to 0 */
} sc_schedule;

/* What step `step`, counted from 0, multiplies the learning rate by. As transformers' schedules of these names. */
double sc_schedule_at(const sc_schedule *s, int64_t step);

/* ---- optimisers (optimizer.c, and a file a kind) ---- */

typedef enum sc_optimizer_kind {
    SC_ADAMW,     /* Loshchilov and Hutter 2017 */
    SC_ADAM,      /* Kingma and Ba 2014; the decay is added to the gradient */
    SC_SGD,       /* with momentum, Nesterov's where asked for; the decay is added to the gradient */
    SC_LION,      /* Chen et al. 2023 */
    SC_ADAFACTOR, /* Shazeer and Stern 2018, as torch.optim has it */
    SC_MUON,      /* Jordan et al. 2024, as torch.optim has it; AdamW for what is not `hidden` */
} sc_optimizer_kind;

/* What Muon multiplies the learning rate of a (rows, cols) matrix by. */
typedef enum sc_muon_scale {
    SC_MUON_ORIGINAL,           /* sqrt(max(1, rows / cols)) */
    SC_MUON_MATCH_RMS_ADAMW,    /* 0.2 sqrt(max(rows, cols)): rates that suit AdamW (Liu et al. 2025) */
    SC_MUON_SPECTRAL_UNCLAMPED, /* sqrt(rows / cols) */
} sc_muon_scale;

typedef enum sc_decayed { SC_DECAY_MATRICES, SC_DECAY_ALL, SC_DECAY_HIDDEN } sc_decayed;

/* Settings of their own for the parameters whose names fit. */
typedef struct sc_param_group {
    const char *pattern;     /* as the shell's: "*.bias" */
    double lr, weight_decay; /* negative: as the others */
} sc_param_group;

typedef struct sc_optimizer_options {
    sc_optimizer_kind kind;
    double lr, beta1, beta2, eps, weight_decay; /* eps of Adafactor: of the parameter's scale */
    double momentum;                            /* SGD, Muon */
    bool nesterov;
    double beta2_decay, clip; /* Adafactor: -0.8 and 1 in the paper */
    double rest_lr;           /* Muon: of what AdamW changes */
    sc_muon_scale muon_scale;
    sc_decayed decayed;
    const sc_param_group *group; /* the last that fits counts; not needed after sc_optimizer_new */
    int n_groups;
    double ema; /* > 0: an average of the weights is kept, of which each step leaves so much */
} sc_optimizer_options;
/* The usual values of a kind, without weight decay. */
sc_optimizer_options sc_optimizer_defaults(sc_optimizer_kind kind);

/* What is trained: values in place. rows × cols elements, one row for a vector. */
typedef struct sc_trained {
    const char *name; /* borrowed, as are the values */
    float *value;
    int64_t rows, cols;
    bool decay;  /* has a part in the weight decay of matrices */
    bool fixed;  /* a buffer: no gradient is for it */
    bool hidden; /* a matrix between layers: neither a table of tokens or positions nor a head */
    int rank;    /* its shape */
    int64_t dim[SC_MAX_RANK];
} sc_trained;

typedef struct sc_optimizer sc_optimizer;
/* What an optimiser keeps of a parameter, by name ("exp_avg"): for checkpoints. */
typedef struct sc_moment {
    const char *name;
    float *value;
    int64_t n;
} sc_moment;

/* The list is copied. SC_EINVAL: a group that no parameter is in. */
sc_status sc_optimizer_new(sc_optimizer **out, const sc_optimizer_options *o, const sc_trained *p, int64_t n);
void sc_optimizer_free(sc_optimizer *o);
/* One step: grad[i] is the gradient of parameter i, whose memory may be used up, times `scale` (a clipped norm, an
 * average); lr_factor of the schedule. Fails without memory alone, at the first step. */
sc_status sc_optimizer_step(sc_optimizer *o, sc_context *ctx, float *const *grad, double scale, double lr_factor);
int64_t sc_optimizer_steps(const sc_optimizer *o); /* made so far */
void sc_optimizer_set_steps(sc_optimizer *o, int64_t n);
/* The moments of parameter i, at most 4; returns how many. */
int sc_optimizer_moments(sc_optimizer *o, int64_t i, sc_moment out[4]);
/* What it would keep of p: names and sizes, without values. */
int sc_optimizer_moments_like(const sc_optimizer *o, const sc_trained *p, sc_moment out[4]);
/* The average of parameter i's values; NULL: none is kept. */
float *sc_optimizer_average(const sc_optimizer *o, int64_t i);
/* Puts the averages where the weights are and the weights where the averages were; a second call undoes it. */
void sc_optimizer_exchange(sc_optimizer *o, sc_context *ctx);

/* sqrt of the sum of squares of all gradients, summed in f64. */
double sc_gradient_norm(sc_context *ctx, float *const *grad, const int64_t *count, int64_t n);
/* torch's clip_grad_norm_: what to multiply by so that the norm is at most `most` (> 0). */
double sc_clip_factor(double norm, double most);

/* ---- what a model learns with (parameters.c) ---- */

/* A model's parameters as f32 in memory of their own, and each as checkpoints keep it: experts that these have in one
 * tensor are one. The model's graphs read them there from then on. SC_EUNSUPPORTED: a model from GGUF. Of a model with new
 * adapters (sc_adapters_make), what these are made of, where it is; the model stays as it is stored, whatever that is. */
typedef struct sc_parameters sc_parameters;
sc_status sc_parameters_new(sc_parameters **out, sc_model *m);
void sc_parameters_free(sc_parameters *p);
sc_trained *sc_parameters_trained(sc_parameters *p, int64_t *n);
/* Where a gradient is: elements of t from `at` on. t NULL: the loss does not depend on the parameter. */
typedef struct sc_gradient {
    sc_tensor *t;
    int64_t at;
} sc_gradient;
/* Appends the gradients of a loss to its graph: out[i] of what is trained, also[k] of x->also. */
sc_status sc_parameters_differentiate(const sc_parameters *p, const sc_loss_graph *x, sc_remake how,
                                      sc_gradient *out, sc_tensor **also);

/* ---- a model that learns (learner.c) ---- */

typedef struct sc_learner sc_learner;

/* m: opened from a config.json or from files; it stays the caller's and must outlive the learner, which changes its
 * weights. o builds the graphs, self is what its open gave, borrowed too. They become f32, in memory of their own; or, where
 * the model has new adapters, these alone are changed. SC_EUNSUPPORTED: a model that cannot learn (all of one from GGUF). */
sc_status sc_learner_new(sc_learner **out, sc_model *m, const sc_objective *o, const void *self);
void sc_learner_free(sc_learner *l);
/* How it computes; to be said before the first batch. type: SC_F32 [this], or SC_BF16: products of values rounded to it where
 * the machine multiplies that, with sums, weights and everything else f32. recompute: of each block only what it was given is
 * kept for the backward pass, which makes the rest again: the same bits in less memory and more time. */
void sc_learner_compute(sc_learner *l, sc_dtype type, bool recompute);
/* The parameters, in the model's order; vectors have no part in weight decay. */
const sc_trained *sc_learner_trained(const sc_learner *l, int64_t *n);
/* The gradients, summed since the last clear; (rows, cols) of each parameter. */
float *const *sc_learner_gradients(const sc_learner *l);
void sc_learner_clear(sc_learner *l);
/* sc_loss_graph.also of the last batch added; and the gradient of the i-th of them, of that batch alone, NULL: the loss does
 * not depend on it. */
sc_tensor *const *sc_learner_also(const sc_learner *l, int64_t *n);
const float *sc_learner_also_gradient(const sc_learner *l, int64_t i);
/* Adds a batch's gradients, times `scale`: 1 / n where a step has n batches. *loss: the batch's, times scale. SC_ELIMIT:
 * an id or a label outside the vocabulary. */
sc_status sc_learner_add(sc_learner *l, const sc_text_batch *b, double scale, double *loss);
/* The same for the last batch of a step, telling of each gradient as soon as it is there, while the pass goes on: `gradient`
 * with `more` added to it (NULL: nothing) will be what sc_learner_gradients has. It is the callee's, which adds. Called on the
 * calling thread or one that it waits for. */
typedef void sc_gradient_final(void *user, int64_t i, float *gradient, const float *more);
sc_status sc_learner_add_last(sc_learner *l, const sc_text_batch *b, double scale, sc_gradient_final *final,
                              void *user, double *loss);
/* Which gradients are final first in batches of such sizes: order[k] is a parameter. */
sc_status sc_learner_order(sc_learner *l, const sc_text_batch *b, int64_t *order);
/* The metrics summed since the last clear; names[i] NULL: there are no more. Valid until the next batch of another shape. */
const double *sc_learner_metrics(const sc_learner *l, const char *names[SC_MORE]);
/* The loss alone, and how well its result fits what was expected, added to the sums. */
sc_status sc_learner_score(sc_learner *l, const sc_text_batch *b, sc_measure *sum);
/* Writes a batch into the inputs of a plan for its sizes, but for the weights. */
void sc_batch_fill(const sc_plan *p, const sc_loss_graph *x, const sc_text_batch *b);
/* Operations of one batch's forward and backward pass, without those that are made twice. */
double sc_learner_flops(const sc_learner *l);
int64_t sc_learner_arena_bytes(const sc_learner *l);
/* The plan of the last sc_learner_add; NULL before. */
sc_plan *sc_learner_plan(sc_learner *l);

/* ---- alphabets (alphabet.c) ---- */

/* A tokenizer that was made for a run: the texts of tokenizer.json and tokenizer_config.json. Starts as {0}. */
typedef struct sc_alphabet {
    char *tokenizer, *config;
    bool lines; /* each line of a text is a document: a sequence, a game */
} sc_alphabet;
/* Adds the configuration's sizes and ids to `changes`. kind: SC_LEARNS_… */
sc_status sc_alphabet_make(sc_alphabet *out, const sc_objective *o, unsigned kind, const sc_objective_setup *s,
                           json_t *changes);
sc_status sc_alphabet_tokenizer(sc_tokenizer **out, const sc_alphabet *a);
void sc_alphabet_free(sc_alphabet *a);

/* ---- options as JSON (state.c) ---- */

/* All options by their names at the command line, paths absolute; owned, NULL without memory. */
json_t *sc_train_options_json(const sc_train_options *o);
/* Those that are 0 or NULL in *o; texts in the arena. */
sc_status sc_train_options_fill(sc_train_options *o, const json_t *all, sc_arena *arena);

/* ---- what a run begins with (task.c) ---- */

/* Spreads the weights of a new model as its configuration or family says. (fresh.c) */
void sc_fresh_weights(sc_model *m);

typedef struct sc_replay sc_replay;

/* Starts as {0}. */
typedef struct sc_task {
    const sc_objective *objective; /* may be given; else the options name it */
    void *self;                    /* the objective's own */
    sc_replay *replay;             /* old data among the new; NULL: none */
    int64_t replayed;              /* of a batch's examples, of all its parts */
    sc_objective_size size;
    sc_tokenizer *tokenizer;
    sc_alphabet alphabet;
    sc_model *model;
} sc_task;
/* path: the model's, or a checkpoint's. parts: in which a batch is divided among processes. The options get what was chosen
 * for a 0. */
sc_status sc_task_open(sc_task *t, sc_context *ctx, sc_train_options *o, const char *path, bool fresh,
                       int64_t parts);
void sc_task_close(sc_task *t); /* also after a failure */
/* As the objective's functions of these names, with what is replayed. */
sc_status sc_task_batch(const sc_task *t, int64_t index, sc_text_batch *out);
void sc_task_describe(const sc_task *t, int64_t index, sc_str *out);
/* The same objective with the data of these files to measure by, o->batch at a time; *self is to be freed by the objective. The
 * paths are borrowed. */
sc_status sc_task_measure(const sc_task *t, sc_context *ctx, const sc_train_options *o, const char *const *path,
                          int n, void **self, int64_t *eval_batches);

/* sc_train with an objective that is not in the table; its name is the options'. (train.c) */
sc_status sc_train_objective(sc_context *ctx, const sc_train_options *o, const sc_objective *objective,
                             sc_train_report *report, void *user);

/* ---- checkpoints (checkpoint.c) ---- */

/* What a checkpoint is made of, beside the model and its files. */
typedef struct sc_checkpoint {
    sc_model *model;
    const char *tokenizer;       /* whose files are copied; NULL: none */
    const sc_alphabet *alphabet; /* whose files are written, if it has any; may be NULL */
    const sc_trained *trained;
    sc_optimizer *optimizer;
    int64_t n;
    json_t *state;            /* trainer_state.json */
    struct sc_shards *shards; /* of several ranks, which all write and read: rank 0 touches the disk; NULL: alone */
    bool first;               /* rank 0, or alone */
    const sc_objective *objective;
    void *self; /* its own */
} sc_checkpoint;
/* Writes out/checkpoint-STEP, which appears whole or not at all, and is one of `keep` at multiples of step `every`: older
 * ones go, and those at other steps. */
sc_status sc_checkpoint_write(const sc_checkpoint *c, const char *out, int64_t step, int64_t keep, int64_t every);
/* What the optimiser keeps, averages and, where wanted, the weights, from a checkpoint's folder. */
sc_status sc_checkpoint_read(const sc_checkpoint *c, const char *dir, bool weights);

#endif
