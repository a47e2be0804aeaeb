/* SPDX-License-Identifier: Apache-2.0 */
/* What a run leaves behind it beside the model: metrics, TensorBoard events, samples, the report. All of it can be cut
 * back to a step, since a run that was killed goes on from its last checkpoint. */
#ifndef SC_TRAIN_RUN_H
#define SC_TRAIN_RUN_H

#include "report/report.h"
#include "train/team.h"

/* ---- the folders of checkpoints (checkpoint_dirs.c) ---- */

bool sc_checkpoint_any(const char *out);
/* The folder (sc_free) and state of the last checkpoint that is whole, of those at multiples of step `every`. Damaged ones
 * after it are renamed, with a warning. SC_ENOTFOUND: there is none; SC_EFORMAT: only damaged ones. */
sc_status sc_checkpoint_last(const sc_context *ctx, const char *out, int64_t every, char **dir, json_t **state);
/* Removes what a run that was killed left half done. */
void sc_checkpoint_clean(const char *out);
/* A checkpoint is made in *made (sc_free), sealed with its state, which gets the files' checksums, and put in place. */
sc_status sc_checkpoint_begin(const char *out, int64_t step, char **made);
sc_status sc_checkpoint_seal(const char *dir, json_t *state);
sc_status sc_checkpoint_end(const char *out, char *made, int64_t step, int64_t keep, int64_t every);
void sc_checkpoint_abandon(char *made);
/* trainer_state.json of any folder, with its own checksum. */
sc_status sc_checkpoint_write_state(const char *dir, json_t *state);
sc_status sc_checkpoint_read_state(json_t **out, const char *dir);
/* Makes the run's folder the model of a checkpoint's; average: with the averaged weights. */
sc_status sc_checkpoint_publish(const char *out, const char *dir, bool average);

/* ---- options and data of a run that goes on (state.c) ---- */

/* SC_EINVAL, naming the option: it is another than that of the run in `out` and would change what that gives. */
sc_status sc_train_options_same(const sc_train_options *o, const json_t *all, const char *out);
/* Paths, sizes and checksums; owned. */
sc_status sc_files_state(json_t **out, const char *const *path, int n);
sc_status sc_files_same(const json_t *now, const json_t *before, const char *option, const char *out);

/* ---- loss spikes (spike.c) ---- */

typedef enum sc_on_spike { SC_SPIKE_WARN, SC_SPIKE_SKIP, SC_SPIKE_ROLLBACK } sc_on_spike;

typedef struct sc_spike_options {
    sc_on_spike action;
    double factor;  /* deviations above the median */
    int64_t window; /* losses that make both */
    int64_t limit;  /* how often a run may skip or go back */
} sc_spike_options;

typedef struct sc_spikes {
    sc_spike_options o;
    double *loss, *sorted; /* (window), the last ones in a ring; room */
    int64_t taken, count;  /* losses so far; spikes that were noted */
    json_t *list;          /* the last of those, for trainer_state.json */
} sc_spikes;
sc_status sc_spikes_new(sc_spikes *s, const sc_spike_options *o);
void sc_spikes_free(sc_spikes *s);
/* Whether a step is one. *middle: the median before it, NAN without any. */
bool sc_spikes_look(sc_spikes *s, double loss, double norm, double *middle);
void sc_spikes_take(sc_spikes *s, double loss);
sc_status sc_spikes_note(sc_spikes *s, json_t *what); /* takes it */
/* What decides about the next ones. */
json_t *sc_spikes_state(const sc_spikes *s);
sc_status sc_spikes_restore(sc_spikes *s, const json_t *state);

/* ---- TensorBoard's event files (events.c) ---- */

typedef struct sc_events sc_events;
/* Goes on in the folder's event file behind `step`, or begins one. */
sc_status sc_events_open(sc_events **out, const char *dir, int64_t step);
void sc_events_free(sc_events *e);
/* n values of one step under their names. */
sc_status sc_events_scalars(sc_events *e, int64_t step, const char *const *names, const double *values, int n);
sc_status sc_events_text(sc_events *e, int64_t step, const char *name, const char *text);
/* Takes out what came after `step`. */
sc_status sc_events_cut(sc_events *e, int64_t step);

/* ---- a file of JSON objects, one a line, each with its "step" (lines.c) ---- */

typedef struct sc_lines {
    char *path;
    int fd;
    int64_t size; /* up to the end of the last whole line */
} sc_lines;
/* Opens or makes dir/name, takes out what came after `step` and gives the rest to `each` (NULL: to nobody). Starts as {0}. */
sc_status sc_lines_open(sc_lines *l, const char *dir, const char *name, int64_t step,
                        void (*each)(void *user, const json_t *line), void *user);
/* The same with a file that is open. */
sc_status sc_lines_cut(sc_lines *l, int64_t step, void (*each)(void *user, const json_t *line), void *user);
sc_status sc_lines_put(sc_lines *l, const json_t *o); /* what a failed write left is taken back */
void sc_lines_close(sc_lines *l);

/* ---- what is forgotten (forgetting.c) ---- */

enum { SC_OLD_MOST = 8, SC_OLD_NAME = 48 };
#define SC_OLD_KEY "eval_old_" /* that numbers of old data begin with in metrics.jsonl */

typedef struct sc_old_points {
    struct sc_old_point {
        double step, loss, measured; /* NAN: not measured */
    } * at;
    int64_t n, cap;
} sc_old_points;

/* Evaluations of a run on its new data, [0], and on n kinds of old data, [1] to [n]. Starts as {0}. */
typedef struct sc_forgetting {
    int n;                             /* given, as are these: */
    const char (*name)[SC_OLD_NAME];   /* of old data */
    const char *const *path, *measure; /* measure: sc_objective.measure */
    sc_old_points points[SC_OLD_MOST + 1];
} sc_forgetting;
/* What old data is called in files: its file's name, and the number where others have the same. */
void sc_old_name(char out[SC_OLD_NAME], const char *path, int number);
/* An evaluation's numbers into a line of metrics.jsonl, and from it. i: 0 the new data, then the old. */
void sc_old_note(const sc_forgetting *f, int i, double loss, double measured, json_t *line);
sc_status sc_forgetting_take(sc_forgetting *f, const json_t *line);
void sc_forgetting_clear(sc_forgetting *f);
void sc_forgetting_free(sc_forgetting *f);
bool sc_forgetting_has(const sc_forgetting *f, int64_t step);
void sc_forgetting_page(const sc_forgetting *f, sc_page *p);
sc_status sc_forgetting_write(const sc_forgetting *f, const char *out);

/* ---- the page (report.c) ---- */

/* What is known of a step; NAN: it was not measured. */
typedef struct sc_point {
    double step, seconds, loss, eval_loss, ema_loss, lr, norm, tokens_per_second, share;
} sc_point;

/* Another number of metrics.jsonl, by its name without "eval_": [0] of the training, [1] of the evaluation, NAN: not measured. */
typedef struct sc_track {
    char name[72];
    struct sc_track_point {
        double step, value[2];
    } * point;
    int64_t n, cap;
} sc_track;

typedef struct sc_sample {
    int64_t step;
    char *prompt, *text; /* owned */
} sc_sample;

typedef struct sc_report {
    const char *title, *status, *command;
    const json_t *options, *config, *spikes; /* objects and an array; NULL: none */
    const char *const *fact;                 /* n_facts names and values in turn */
    int n_facts;
    const sc_point *point;
    int64_t points;
    const sc_track *track;
    int tracks;
    const sc_sample *sample;
    int64_t samples;
    const sc_forgetting *forgetting;
} sc_report;
/* One file that needs no other, put in the place of the last one. */
sc_status sc_report_write(const sc_report *r, const char *path);

/* ---- all of them together (journal.c) ---- */

typedef struct sc_journal sc_journal;

/* What the report says of the run as a whole; borrowed. */
typedef struct sc_journal_about {
    const char *out, *title, *command;
    const json_t *options, *config;
    int64_t steps, parameters;
    sc_forgetting old; /* what is given of it */
} sc_journal_about;
/* Goes on with the record of the first `step` steps, or begins one. Only this fails where files cannot be written: later
 * the first failure is told as a warning, since a run is worth more than its record. */
sc_status sc_journal_open(sc_journal **out, const sc_context *ctx, const sc_journal_about *about, int64_t step);
void sc_journal_free(sc_journal *r);
/* A line of metrics.jsonl, which has its "step", and its numbers for TensorBoard. Takes the object. */
void sc_journal_put(sc_journal *r, json_t *line);
void sc_journal_sample(sc_journal *r, int64_t step, const char *prompt, const char *text);
/* Whether the record has an evaluation of that step, and how many samples. */
bool sc_journal_has_eval(const sc_journal *r, int64_t step);
int64_t sc_journal_samples_at(const sc_journal *r, int64_t step);
void sc_journal_cut(sc_journal *r, int64_t step);
/* report.html as things stand. */
void sc_journal_report(sc_journal *r, const char *status, const json_t *spikes);

/* ---- samples (sample.c) ---- */

/* Continues a prompt with the model's weights as they are now, at most `tokens` ids: *text is valid UTF-8 (sc_free). */
sc_status sc_train_sample(char **text, const sc_model *m, const sc_tokenizer *t, const char *prompt, int64_t tokens,
                          uint64_t seed, uint64_t stream);

/* ---- a run (train.c opens it, loop.c goes through it) ---- */

typedef struct sc_trainer {
    sc_team team;
    sc_context *ctx; /* where the work is done: the team's */
    sc_train_options o;
    sc_arena *arena; /* of options */
    int lock;        /* of the run's folder */
    sc_task task;
    sc_learner *learner;
    sc_optimizer *optimizer;
    sc_schedule schedule;
    const sc_trained *trained;
    int64_t *count; /* elements of each parameter */
    int64_t n;
    int64_t steps, first, saved;   /* to be made; when this start began; of the last checkpoint, 0: there is none */
    int64_t place;                 /* in the data, in steps: skipped ones count */
    double words, metric[SC_MORE]; /* of the last step's batches */
    double begun, before, lr;      /* seconds: now, and in training before this start; the highest rate */
    double penalty;                /* of the last step, for being away from where the weights began */
    struct sc_old_data {
        void *self; /* the objective's */
        int64_t eval_batches;
    } old[SC_OLD_MOST]; /* to see what is forgotten */
    char old_name[SC_OLD_MOST][SC_OLD_NAME];
    int n_old;
    sc_spikes spikes;
    sc_journal *journal;
    int64_t best_step; /* of the lowest loss in an evaluation, with `best`; 0: there is none yet */
    double best_loss;
    char *command;           /* as typed */
    json_t *options, *files; /* in trainer_state.json */
} sc_trainer;

/* What trainer_state.json says of the run after `step` steps; owned, NULL without memory. */
json_t *sc_trainer_state(const sc_trainer *t, int64_t step);
sc_checkpoint sc_trainer_checkpoint(const sc_trainer *t);
/* Which old data it looks at, without points. */
sc_forgetting sc_trainer_old(const sc_trainer *t);
/* Makes the run's folder the model of a checkpoint's or, with `best`, of the best so far. */
sc_status sc_trainer_publish(const sc_trainer *t, const char *dir);
/* The best checkpoint (best.c). Whether it can be told; what is known of it; and that `loss` is that of step `step`, which was
 * saved last. */
sc_status sc_trainer_best_check(sc_trainer *t);
sc_status sc_trainer_best_restore(sc_trainer *t);
sc_status sc_trainer_best_take(sc_trainer *t, int64_t step, double loss);
sc_status sc_trainer_loop(sc_trainer *t, sc_train_report *report, void *user);

#endif
