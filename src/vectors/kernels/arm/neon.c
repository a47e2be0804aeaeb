/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors/kernels/kernels.h"

#include <arm_neon.h>
#include <stdbool.h>
#include <string.h>

#define VEC          float32x4_t
#define LANES        4
#define LOAD(p)      vld1q_f32(p)
#define STORE(p, v)  vst1q_f32(p, v)
#define SPLAT(x)     vdupq_n_f32(x)
#define ZERO         vdupq_n_f32(0)
#define FMA(a, b, c) vfmaq_f32(c, a, b)
#define ADD(a, b)    vaddq_f32(a, b)
#define SUB(a, b)    vsubq_f32(a, b)
#define MUL(a, b)    vmulq_f32(a, b)
#define DIV(a, b)    vdivq_f32(a, b)
#define SQRT(a)      vsqrtq_f32(a)
#define SUM(v)       vaddvq_f32(v)
#include "vectors/kernels/rows.h"

void sc_vector_kernels_neon(sc_vector_kernels *k) { FILL(k); }
