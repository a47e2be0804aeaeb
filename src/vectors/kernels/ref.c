/* SPDX-License-Identifier: Apache-2.0 */
/* The reference: one float at a time. */
#include "vectors/kernels/kernels.h"

#include "cpu/kernels/kernels.h"

#include <math.h>
#include <string.h>

#define VEC          float
#define LANES        1
#define LOAD(p)      (*(p))
#define STORE(p, v)  (*(p) = (v))
#define SPLAT(x)     (x)
#define ZERO         0.0f
#define FMA(a, b, c) ((a) * (b) + (c))
#define ADD(a, b)    ((a) + (b))
#define SUB(a, b)    ((a) - (b))
#define MUL(a, b)    ((a) * (b))
#define DIV(a, b)    ((a) / (b))
#define SQRT(a)      sqrtf(a)
#define SUM(v)       (v)
#include "vectors/kernels/rows.h"

void sc_vector_kernels_ref(sc_vector_kernels *k) { FILL(k); }

void sc_vector_kernels_init(sc_vector_kernels *k, unsigned levels)
{
    sc_vector_kernels_ref(k);
    levels &= sc_cpu_detect();
#if defined(__x86_64__)
    if (levels & SC_CPU(AVX2)) sc_vector_kernels_avx2(k);
    if (levels & SC_CPU(AVX512)) sc_vector_kernels_avx512(k);
#elif defined(__aarch64__)
    if (levels & SC_CPU(NEON)) sc_vector_kernels_neon(k);
#endif
}
