/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine can do at most, and what a model asks of it: the two sides of "as fast as the machine". */
#ifndef SOCLE_BENCH_H
#define SOCLE_BENCH_H

#include "socle/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The two limits that bound a model's speed, as measured: the best of several short passes. */
typedef struct sc_limits {
    int threads;          /* that worked together */
    const char *isa;      /* of the measuring loops: "AVX-512", "AVX2", "NEON", "portable" */
    double bandwidth_gbs; /* 1e9 bytes a second read from memory larger than the caches */
    double peak_gflops;   /* 1e9 f32 operations a second in registers alone, a multiply-add being two */
    int64_t read_bytes;   /* the size of that memory */
} sc_limits;

/* Measures with the first `threads` of the context's threads (0: all), for about a third of a second; takes up to a
 * quarter of the machine's memory meanwhile, 1 GiB at most. SC_EINVAL where the context has fewer threads, SC_ENOMEM. */
SC_API sc_status sc_measure_limits(sc_context *ctx, int threads, sc_limits *out);

/* What evaluating tokens costs at least, whatever the implementation. */
typedef struct sc_work {
    /* Weights that must be read: all but the tables that rows are looked up in, of which only those rows count. A table
     * that is the output matrix too counts whole. */
    double weight_bytes;
    double cache_bytes; /* keys and values that attention reads, of the given type */
    double flops; /* of the matrices and of attention (a multiply-add is two); no look-up, norm or activation */
} sc_work;

/* One evaluation of `tokens` tokens of each of `sequences` sequences with `past` before them, logits for the last of
 * each. cache: SC_F32, SC_F16, SC_BF16, SC_Q8_0. */
SC_API sc_status sc_model_work(const sc_model *m, int64_t tokens, int sequences, int64_t past, sc_dtype cache,
                               sc_work *out);

#ifdef __cplusplus
}
#endif
#endif
