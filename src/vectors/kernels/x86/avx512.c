/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors/kernels/kernels.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#define VEC          __m512
#define LANES        16
#define LOAD(p)      _mm512_load_ps(p)
#define STORE(p, v)  _mm512_store_ps(p, v)
#define SPLAT(x)     _mm512_set1_ps(x)
#define ZERO         _mm512_setzero_ps()
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#define ADD(a, b)    _mm512_add_ps(a, b)
#define SUB(a, b)    _mm512_sub_ps(a, b)
#define MUL(a, b)    _mm512_mul_ps(a, b)
#define DIV(a, b)    _mm512_div_ps(a, b)
#define SQRT(a)      _mm512_sqrt_ps(a)
#define SUM(v)       _mm512_reduce_add_ps(v)
#include "vectors/kernels/rows.h"

void sc_vector_kernels_avx512(sc_vector_kernels *k) { FILL(k); }
