/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that train together: started by mpirun, or one alone, for which all of this returns at once.
 *
 * Everything here is collective: each rank calls the same functions in the same order, with lists of the same shape. One
 * thread of each process talks to the others (only mpi.c knows how), so a transfer goes on while the process computes.
 * Sums add in the order of the ranks, so they do not depend on timing, and each sum is formed in one place alone.
 *
 * A rank that ends, or says that it failed, ends the others' waits: every function then returns that fault, and the
 * context that was given to sc_ranks_new is cancelled so that computing ends too. */
#ifndef SC_TRAIN_RANKS_H
#define SC_TRAIN_RANKS_H

#include "base/base.h"

typedef struct sc_ranks sc_ranks;

/* What mpirun says in the environment; false: it did not start this process. */
typedef struct sc_rank_place {
    int rank, count, local_rank, local_count;
} sc_rank_place;
bool sc_rank_place_read(sc_rank_place *out);

/* user: whose cancelling is a wish to stop; work: cancelled by faults. SC_EUNSUPPORTED: started by mpirun, and there is
 * no MPI in this build or on this machine. */
sc_status sc_ranks_new(sc_ranks **out, sc_context *user, sc_context *work);
void sc_ranks_free(sc_ranks *r); /* waits for all ranks, unless there was a fault */
int sc_ranks_rank(const sc_ranks *r);
int sc_ranks_count(const sc_ranks *r);
/* Of all ranks that still run, as far as this one knows, it is the first: whose part it is to say what happened. */
bool sc_ranks_speaks(const sc_ranks *r);
/* Some rank is lost or has failed: nothing more can be done together. */
bool sc_ranks_broken(const sc_ranks *r);
/* Tells all ranks that this one cannot go on, with this thread's message; they all get it as their fault. Returns it. */
sc_status sc_ranks_abort(sc_ranks *r, sc_status s);

/* ---- f32 ---- */

/* Values of which rank q owns elements cut[q] .. cut[q + 1]; cut has count + 1 entries, the same on all ranks. */
typedef struct sc_range {
    float *data;
    const int64_t *cut;
    const float *more; /* of a sum: added to data first; NULL: nothing */
    float *own;        /* where what this rank owns lies; NULL: in data, which is else not looked at there */
} sc_range;

typedef enum sc_move {
    SC_MOVE_SUM,    /* reduce-scatter: what this rank owns becomes the sum over the ranks; the rest stays its own */
    SC_MOVE_SHARE,  /* all-gather: everything becomes what its owner has */
    SC_MOVE_GATHER, /* on rank 0 everything becomes what its owner has */
    SC_MOVE_SCATTER, /* what this rank owns becomes what rank 0 has there */
} sc_move;

/* Borrowed, with all that it points to, from post to the end of wait. */
typedef struct sc_transfer {
    sc_move move;
    const sc_range *range;
    int64_t n;
    struct sc_transfer *next; /* the queue's */
} sc_transfer;
/* Begins a transfer once those posted before it are done. */
void sc_ranks_post(sc_ranks *r, sc_transfer *t);
/* Until all that was posted is done. */
sc_status sc_ranks_wait(sc_ranks *r);
/* Post and wait. */
sc_status sc_ranks_move(sc_ranks *r, sc_move move, const sc_range *range, int64_t n);
/* Sums that end on all ranks. */
sc_status sc_ranks_all_reduce(sc_ranks *r, const sc_range *range, int64_t n);
/* Everything becomes what rank 0 has. */
sc_status sc_ranks_broadcast(sc_ranks *r, const sc_range *range, int64_t n);

/* ---- small things ---- */

/* Each rank's bytes, in the order of the ranks, into all (count * bytes). */
sc_status sc_ranks_collect(sc_ranks *r, const void *own, int64_t bytes, void *all);
sc_status sc_ranks_barrier(sc_ranks *r);
/* x[i] becomes the sum over the ranks. At most 16. */
sc_status sc_ranks_sum(sc_ranks *r, double *x, int n);
/* SC_OK where all come with that; else all fail, with the first failing rank's message and number. */
sc_status sc_ranks_agree(sc_ranks *r, sc_status s);
/* Rank 0's text (NULL may be given elsewhere) for all: *text is replaced on the others, owned (sc_free). */
sc_status sc_ranks_tell(sc_ranks *r, char **text);

/* ---- time ---- */

typedef struct sc_ranks_time {
    double busy;   /* seconds in which something was under way between ranks */
    double waited; /* of these, seconds in which this process had nothing else to do */
} sc_ranks_time;
/* Since the last call. */
sc_ranks_time sc_ranks_take_time(sc_ranks *r);

#endif
