/* SPDX-License-Identifier: Apache-2.0 */
/* The few loops over rows that all training of word vectors consists of. Rows begin at multiples of 64 bytes and have n floats, n a
 * multiple of 16, zeros behind the width. The reference fills the table, each instruction set overrides it.
 *
 * Threads that train without locks run them on rows that others are changing: a value may then be an older or a newer one, which is
 * what the method is about (Niu et al. 2011, "Hogwild!"), so ThreadSanitizer is told not to look. */
#ifndef SC_VECTORS_KERNELS_H
#define SC_VECTORS_KERNELS_H

#include <stdint.h>

#define SC_UNLOCKED __attribute__((no_sanitize("thread")))

typedef struct sc_vector_kernels {
    /* f[j] = h . row[j], j < k. */
    void (*dots)(int64_t n, const float *h, float *const *row, int64_t k, float *f);
    /* e = sum over j of g[j] row[j], and row[j] += g[j] h. A row that is there twice is changed twice. */
    void (*pull)(int64_t n, const float *h, float *const *row, int64_t k, const float *g, float *e);
    /* The first half of it alone: no row is changed. */
    void (*weigh)(int64_t n, float *const *row, int64_t k, const float *g, float *e);
    /* y += s x. */
    void (*add)(int64_t n, float s, const float *x, float *y);
    /* y = s times the sum of k rows. */
    void (*sum)(int64_t n, float *const *row, int64_t k, float s, float *y);
    /* One co-occurrence of the words of a and b, s being the rate times its weighted error: ga = s b, gb = s a; a -= ga / sqrt(qa),
     * qa += ga^2, and b and qb likewise (AdaGrad, as GloVe's program has it: the rate is part of what is squared). */
    void (*adagrad)(int64_t n, float s, float *a, float *b, float *qa, float *qb);
} sc_vector_kernels;

/* Fills *k for what `levels` (sc_cpu_detect) allow; 0: the reference. */
void sc_vector_kernels_init(sc_vector_kernels *k, unsigned levels);
void sc_vector_kernels_ref(sc_vector_kernels *k);
#if defined(__x86_64__)
void sc_vector_kernels_avx2(sc_vector_kernels *k);
void sc_vector_kernels_avx512(sc_vector_kernels *k);
#elif defined(__aarch64__)
void sc_vector_kernels_neon(sc_vector_kernels *k);
#endif

#endif
