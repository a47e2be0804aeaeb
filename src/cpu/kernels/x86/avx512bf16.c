/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512 BF16: products of bf16 with bf16, two at a time, summed in f32. A lane's 32 bits are two neighbours along k;
 * the rest is as in f32, with half as many steps. The instructions take and give denormals as zeros. */
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma,f16c")))
#include "cpu/kernels/x86/avx512.h"

VEC vf v_fma_pairs(vf a, vf b, vf c) { return _mm512_dpbf16_ps(c, (__m512bh)a, (__m512bh)b); }

/* 2 W floats, the first n of them, as bf16 in the order of memory. */
VEC vf v_pairs(const float *p, int n)
{
    vf low = n < W ? v_load_n(p, n) : v_load(p),
       high = n < 2 * W ? n > W ? v_load_n(p + W, n - W) : v_set(0) : v_load(p + W);
    return (vf)_mm512_cvtne2ps_pbh(high, low);
}

#define GEMM_FMA v_fma_pairs
#include "cpu/kernels/vector_gemm.h"

enum { SLOT = 2 };
VEC vf slot_row(const float *p, int n) { return v_pairs(p, n); }
/* Neighbours along k are `ld` apart here: the halves of the two vectors' rounded values alternate. */
VEC vf slot_columns(const float *p, int64_t ld, int l, int n)
{
    const __m512i turns = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22,
                                           6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    vf even = v_load_n(p, n), odd = l > 1 ? v_load_n(p + ld, n) : v_set(0);
    return (vf)_mm512_permutexvar_epi16(turns, (__m512i)_mm512_cvtne2ps_pbh(odd, even));
}
#include "cpu/kernels/vector_ordered.h"

/* clang-format off */
VEC void tile_nt(const int rows, const int cols, const bool ahead, int64_t k, const float *x, int64_t ldx, const char *w, int64_t stride,
                 float *y, int64_t ldy)
{
    vf acc[4][8];
    UNROLL for (int i = 0; i < rows; i++) UNROLL for (int j = 0; j < cols; j++) acc[i][j] = v_set(0);
    int64_t l = 0;
    for (; l + 2 * W <= k; l += 2 * W) {
        vf a[4];
        UNROLL for (int i = 0; i < rows; i++) a[i] = v_pairs(x + i * ldx + l, 2 * W);
        UNROLL for (int j = 0; j < cols; j++) {
            const char *at = w + j * stride + 2 * l;
            vf b = _mm512_loadu_ps(at);
            if (ahead) __builtin_prefetch(at + cols * stride, 0, 2); /* rows are pages: no prefetcher sees the next */
            UNROLL for (int i = 0; i < rows; i++) acc[i][j] = v_fma_pairs(a[i], b, acc[i][j]);
        }
    }
    if (l < k) {
        int n = (int)(k - l);
        UNROLL for (int j = 0; j < cols; j++) {
            vf b = _mm512_maskz_loadu_ps(first(n / 2), w + j * stride + 2 * l);
            UNROLL for (int i = 0; i < rows; i++) acc[i][j] = v_fma_pairs(v_pairs(x + i * ldx + l, n), b, acc[i][j]);
        }
    }
    UNROLL for (int i = 0; i < rows; i++) {
        int j = 0;
        UNROLL for (; j + 4 <= cols; j += 4)
            v_sum4(y + i * ldy + j, acc[i][j], acc[i][j + 1], acc[i][j + 2], acc[i][j + 3]);
        UNROLL for (; j < cols; j++) y[i * ldy + j] = v_sum(acc[i][j]);
    }
}
/* clang-format on */

#define STRIP(rows, wide)                                                                                          \
    KERNEL void strip_##rows(int64_t nw, int64_t k, const float *x, int64_t ldx, const char *w, int64_t stride,    \
                             float *y, int64_t ldy)                                                                \
    {                                                                                                              \
        int64_t j = 0;                                                                                             \
        for (; j + wide <= nw; j += wide)                                                                          \
            tile_nt(rows, wide, true, k, x, ldx, w + j * stride, stride, y + j, ldy);                              \
        for (; j < nw; j++) tile_nt(rows, 1, false, k, x, ldx, w + j * stride, stride, y + j, ldy);                \
    }
STRIP(1, 8)
STRIP(2, 8)
STRIP(3, 6)
STRIP(4, 6)

static void matmul_nt_bf16(int64_t nx, int64_t nw, int64_t k, const float *x, int64_t ldx, const void *w,
                           int64_t stride, float *y, int64_t ldy)
{
    for (; nx > 0; nx -= 4, x += 4 * ldx, y += 4 * ldy) {
        switch (nx) {
        case 1: strip_1(nw, k, x, ldx, w, stride, y, ldy); break;
        case 2: strip_2(nw, k, x, ldx, w, stride, y, ldy); break;
        case 3: strip_3(nw, k, x, ldx, w, stride, y, ldy); break;
        default: strip_4(nw, k, x, ldx, w, stride, y, ldy); break;
        }
    }
}

void sc_kernels_avx512bf16(sc_kernels *k)
{
    set_panels(k);
    k->multiply_panels_bf16 = multiply_panels;
    k->pack_ordered_bf16 = pack_ordered;
    k->multiply_ordered_bf16 = multiply_ordered;
    k->matmul_nt_bf16 = matmul_nt_bf16;
}

#endif
