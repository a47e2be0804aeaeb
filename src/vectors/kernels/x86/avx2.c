/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors/kernels/kernels.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

static inline __attribute__((always_inline)) float sum_of(__m256 v)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

#define VEC          __m256
#define LANES        8
#define LOAD(p)      _mm256_load_ps(p)
#define STORE(p, v)  _mm256_store_ps(p, v)
#define SPLAT(x)     _mm256_set1_ps(x)
#define ZERO         _mm256_setzero_ps()
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#define ADD(a, b)    _mm256_add_ps(a, b)
#define SUB(a, b)    _mm256_sub_ps(a, b)
#define MUL(a, b)    _mm256_mul_ps(a, b)
#define DIV(a, b)    _mm256_div_ps(a, b)
#define SQRT(a)      _mm256_sqrt_ps(a)
#define SUM(v)       sum_of(v)
#include "vectors/kernels/rows.h"

void sc_vector_kernels_avx2(sc_vector_kernels *k) { FILL(k); }
