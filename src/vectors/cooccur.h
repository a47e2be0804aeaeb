/* SPDX-License-Identifier: Apache-2.0 */
/* How often words stand near each other, counted in bounded memory, in the order in which they are learned.
 *
 * Rows (words) and columns (contexts) are cut into SC_PARTS parts each, word i into part i % SC_PARTS, so there are SC_PARTS^2 blocks.
 * Blocks (r, (r + s) % SC_PARTS) of one s have no row and no column in common: threads learn them side by side and the result does
 * not depend on who does what (Gemulla et al. 2011, "Large-scale matrix factorization with distributed stochastic gradient descent").
 *
 * The key of a pair is its block and, below that, its words enciphered: sorted by keys, pairs are in blocks, and shuffled within. */
#ifndef SC_VECTORS_COOCCUR_H
#define SC_VECTORS_COOCCUR_H

#include "vectors/vectors.h"

enum { SC_PARTS = 32 };

typedef struct sc_pair {
    int32_t row, column;
    float log_count, weight; /* weight: (count / x_max)^alpha, at most 1 */
} sc_pair;

/* The pairs, in a file without a name that is mapped. */
typedef struct sc_pairs {
    sc_buffer *map;
    const sc_pair *pair;
    int64_t n;
    int64_t block[SC_PARTS * SC_PARTS + 1]; /* where block row_part * SC_PARTS + column_part begins */
} sc_pairs;

/* Each pair of words at a distance d within the window counts 1 / d; words that are not in the lexicon are as if they were not there,
 * and lines are apart. Counts are whole numbers of 2^-32, so sums are the same whatever their order. Beside `out`, in the same folder,
 * is where what does not fit o->memory goes meanwhile. */
sc_status sc_pairs_count(sc_pairs *p, sc_context *ctx, const sc_word_text *t, const sc_lexicon *x,
                         const sc_vectors_training *o);
void sc_pairs_free(sc_pairs *p);

#endif
