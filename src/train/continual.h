/* SPDX-License-Identifier: Apache-2.0 */
/* Learning something new without forgetting what was learned before: old data among the new (replay), a pull back to where the
 * weights began (EWC, L2 to the start), and a report of what was forgotten all the same. */
#ifndef SC_TRAIN_CONTINUAL_H
#define SC_TRAIN_CONTINUAL_H

#include "train/shards.h"

/* ---- old data in each batch (replay.c) ---- */

/* How many of a batch's examples are old, of a batch of o->batch in each of `parts`: 0 without --replay. SC_EINVAL: none or
 * all would be, or they cannot be divided as the batch is. */
sc_status sc_replay_rows(const sc_train_options *o, int64_t parts, int64_t *rows);
/* x: as the objective was opened with, whose instance has what is new. rows: old examples of a batch. */
sc_status sc_replay_open(sc_replay **out, const sc_objective *o, const sc_objective_setup *x, int64_t rows);
void sc_replay_free(sc_replay *r);
/* Puts the old examples of batch `index` behind those of *b. Valid until the next one. SC_EUNSUPPORTED: the objective's
 * batches have inputs that cannot be put together. */
sc_status sc_replay_add(sc_replay *r, int64_t index, sc_text_batch *b);
void sc_replay_describe(sc_replay *r, int64_t index, sc_str *out);

/* ---- a pull back to the start (anchor.c) ---- */

/* To a loss it adds, over all weights w that began as w0, the sum of (l2 + ewc F) / 2 (w - w0)^2, F the diagonal of the Fisher
 * information of old data (Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural networks"; l2 alone: Li et
 * al. 2018, "L2-SP"). F is estimated with the data's labels: the mean over examples of n g^2, g the gradient of an example's
 * mean loss over the n rows that count, so it is of one row. */
typedef struct sc_anchor sc_anchor;
/* How a run is anchored; borrowed. */
typedef struct sc_anchor_setup {
    const sc_train_options *o;
    const sc_task *task;
    sc_learner *learner;
    const sc_trained *whole, *part; /* all parameters, and what this rank owns of them */
    int64_t n;
    sc_shards *shards; /* NULL: alone */
    bool first;
    sc_context *work, *user; /* to compute with, and to ask whether to stop */
} sc_anchor_setup;
/* Of a new run: makes out/anchor.safetensors, with "start.NAME" and with EWC "fisher.NAME" for each parameter. Otherwise, and
 * then, reads it. *out is NULL where neither pull is asked for. */
sc_status sc_anchor_open(sc_anchor **out, const sc_anchor_setup *s, bool fresh);
void sc_anchor_free(sc_anchor *a);
/* Adds the pull's gradient; returns what it adds to the loss, of this rank's part. */
double sc_anchor_pull(const sc_anchor *a, sc_context *ctx, float *const *grad);

#endif
