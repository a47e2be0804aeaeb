/* SPDX-License-Identifier: Apache-2.0 */
/* What a training does together with other processes, or alone: the loop calls these and need not know which. A step's batches
 * are divided over the ranks so that together they are those of one process. */
#ifndef SC_TRAIN_TEAM_H
#define SC_TRAIN_TEAM_H

#include "train/continual.h"

typedef struct sc_team {
    sc_context *user; /* whose cancelling is a wish to stop */
    sc_context work;  /* to work with: not cancelled but by a fault, so that a step is whole */
    sc_ranks *ranks;
    sc_shards *shards;                  /* NULL: alone */
    sc_anchor *anchor;                  /* NULL: weights are free to go where they like */
    int64_t accumulate, parts, batches; /* of a step; of a batch; parts of batches that this rank has in a step */
    bool ordered, stop, agreed;
    double busy, waited, seconds; /* of all steps so far */
} sc_team;

/* Starts as {0}. Before anything else that takes time. */
sc_status sc_team_open(sc_team *t, sc_context *ctx);
/* s: what the training ended with. A failure that the others do not know of ends them too. Returns what is to be returned:
 * where another rank says it, sc_error() is empty. */
sc_status sc_team_close(sc_team *t, sc_status s);
static inline bool sc_team_first(const sc_team *t) { return !t->ranks || sc_ranks_rank(t->ranks) == 0; }
static inline bool sc_team_alone(const sc_team *t) { return !t->ranks || sc_ranks_count(t->ranks) == 1; }
/* Whether the run is to stop after this step: the same on all ranks. */
bool sc_team_stops(const sc_team *t);
/* All ranks come here; one that comes with a failure makes all fail. */
sc_status sc_team_agree(sc_team *t, sc_status s);

/* Divides a step of `accumulate` batches of `batch` examples: over the batches where that comes out even, else each batch.
 * *rows: examples of this rank's batches, which are t->parts parts of one. */
sc_status sc_team_divide(sc_team *t, int64_t batch, int64_t accumulate, int64_t *rows);
/* SC_EINVAL: some rank has another of these. */
sc_status sc_team_compare(sc_team *t, const json_t *options, const json_t *data);
/* Rank 0's for all: NULL stays NULL, and other ranks' *o is replaced. */
sc_status sc_team_tell(sc_team *t, json_t **o);
/* Rank 0's yes or no. */
sc_status sc_team_ask(sc_team *t, bool *yes);
/* Divides the parameters, and gives all ranks rank 0's weights. */
sc_status sc_team_own(sc_team *t, const sc_trained *p, int64_t n, sc_optimizer_kind kind);
/* What this rank's optimiser changes: `all`, alone. */
const sc_trained *sc_team_trained(const sc_team *t, const sc_trained *all);

typedef struct sc_team_step {
    double loss, norm, words,
        penalty; /* of all ranks, as are the metrics; the anchor's penalty is not in the loss */
    double metric[SC_MORE];
    float *const *grad; /* of what this rank's optimiser changes */
} sc_team_step;
/* The gradients of step `step`, counted from 0. count: elements of each parameter, used alone. */
sc_status sc_team_gradients(sc_team *t, sc_learner *l, const sc_task *task, int64_t step, const int64_t *count,
                            int64_t n, sc_team_step *out);
/* After the optimiser's step: all have all weights. began: when the step did. */
sc_status sc_team_share(sc_team *t, double began);
/* Sums of an evaluation, of which each rank did its part. */
sc_status sc_team_measure(sc_team *t, sc_measure *sum);

#endif
