/* SPDX-License-Identifier: Apache-2.0 */
/* Who owns what of a model that ranks train together. Each parameter is divided over the ranks; a rank sums the gradients of
 * its part, keeps the optimiser's moments of it alone, changes it, and gives it to the others. (Rajbhandari et al. 2020,
 * "ZeRO", stage 1) */
#ifndef SC_TRAIN_SHARDS_H
#define SC_TRAIN_SHARDS_H

#include "train/ranks.h"
#include "train/train.h"

typedef struct sc_shards sc_shards;

/* kind: some optimisers need whole matrices, which then have one owner each. The parameters are borrowed. */
sc_status sc_shards_new(sc_shards **out, sc_ranks *r, const sc_trained *p, int64_t n, sc_optimizer_kind kind);
void sc_shards_free(sc_shards *s);
/* What this rank owns of each parameter, for an optimiser: one row where a parameter is divided, perhaps empty. */
const sc_trained *sc_shards_trained(const sc_shards *s);

/* order[k]: the parameter whose gradient is the k-th to be final. Rank 0's counts. */
sc_status sc_shards_order(sc_shards *s, int64_t *order);
/* Once before each step, then once for each parameter, as sc_learner_add_last calls it (user: the shards). */
void sc_shards_begin(sc_shards *s);
void sc_shards_final(void *shards, int64_t i, float *gradient, const float *more);
/* Waits for the sums. (*grad)[i]: the gradient of what this rank owns of parameter i, count[i] elements. */
sc_status sc_shards_gradients(sc_shards *s, float *const **grad, const int64_t **count);

/* sc_ranks_abort: what fails here on one rank alone, the others would wait for. */
sc_status sc_shards_abort(sc_shards *s, sc_status status);

/* Gives all ranks the weights that their owners have, or that rank 0 has. */
sc_status sc_shards_share(sc_shards *s);
sc_status sc_shards_spread(sc_shards *s);

/* Of one of parameter i's moments of n elements in all: `whole` on rank 0, `part` what this rank keeps of it (NULL where that
 * is nothing). */
sc_status sc_shards_gather(sc_shards *s, int64_t i, const float *part, float *whole, int64_t n);
sc_status sc_shards_scatter(sc_shards *s, int64_t i, float *part, float *whole, int64_t n);

#endif
