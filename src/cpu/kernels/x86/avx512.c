/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512 (F, BW, DQ, VL). */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c")))
#include "cpu/kernels/x86/avx512.h"

/* 24 accumulators, 6 + 1 operands, of 32 registers. */
#define TILE_X      6
#define ACC_ROWS    4
#define ACC_VECTORS 4

#include "cpu/kernels/vector_math.h"
#include "cpu/kernels/vector_convert.h"
#include "cpu/kernels/vector_gemm.h"

enum { SLOT = 1 };
VEC vf slot_row(const float *p, int n) { return n < W ? v_load_n(p, n) : v_load(p); }
VEC vf slot_columns(const float *p, int64_t ld, int l, int n)
{
    (void)ld;
    (void)l; /* 1 */
    return n < W ? v_load_n(p, n) : v_load(p);
}
#include "cpu/kernels/vector_ordered.h"
#include "cpu/kernels/vector_rows.h"
#include "cpu/kernels/vector_scan.h"
#include "cpu/kernels/vector_quantize.h"

void sc_kernels_avx512(sc_kernels *k)
{
    set_math(k);
    set_convert(k);
    set_panels(k);
    k->multiply_panels = multiply_panels;
    k->pack_ordered = pack_ordered;
    k->multiply_ordered = multiply_ordered;
    set_rows(k);
    set_scan(k);
    set_quantize(k);
}

#endif
