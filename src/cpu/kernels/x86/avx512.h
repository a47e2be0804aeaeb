/* SPDX-License-Identifier: Apache-2.0 */
/* The vocabulary of vector_math.h, vector_convert.h and vector_gemm.h in AVX-512 (F, BW, DQ, VL), vectors of 16. Included
 * by each file of such kernels after it has defined TARGET. */
#ifndef SC_KERNELS_AVX512_H
#define SC_KERNELS_AVX512_H

#include "cpu/kernels/blocks.h"
#include "cpu/kernels/vector.h"

#include <immintrin.h>

#define KERNEL static TARGET
#define VEC    static inline TARGET __attribute__((always_inline))

enum { W = 16 };
typedef __m512 vf;
typedef __m128i vb;

VEC __mmask16 first(int n) { return (__mmask16)((1u << n) - 1); }

VEC vf v_set(float f) { return _mm512_set1_ps(f); }
VEC vf v_load(const float *p) { return _mm512_loadu_ps(p); }
VEC void v_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
VEC vf v_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
VEC void v_store_n(float *p, vf v, int n) { _mm512_mask_storeu_ps(p, first(n), v); }
VEC vf v_keep_n(vf v, int n) { return _mm512_maskz_mov_ps(first(n), v); }
VEC vf v_add(vf a, vf b) { return _mm512_add_ps(a, b); }
VEC vf v_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
VEC vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
VEC vf v_div(vf a, vf b) { return _mm512_div_ps(a, b); }
VEC vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
VEC vf v_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
VEC vf v_min(vf a, vf b) { return _mm512_min_ps(a, b); }
VEC vf v_max(vf a, vf b) { return _mm512_max_ps(a, b); }
VEC vf v_sqrt(vf v) { return _mm512_sqrt_ps(v); }
VEC vf v_abs(vf v) { return _mm512_abs_ps(v); }
VEC vf v_floor(vf v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
VEC vf v_round(vf v) { return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
VEC vf v_if_less(vf a, vf b, vf x, vf y)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), y, x);
}
VEC vf v_exp2i(vf p, vf n) { return _mm512_scalef_ps(p, n); }

VEC __m256 upper(vf v) { return _mm512_extractf32x8_ps(v, 1); }
VEC float v_sum(vf v)
{
    __m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), upper(v));
    __m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_add_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_add_ss(b, _mm_movehdup_ps(b)));
}
VEC void v_sum4(float *y, vf a, vf b, vf c, vf d)
{
    vf ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    vf cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    vf s = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0xee));
    s = _mm512_add_ps(s, _mm512_permute_ps(s, 0x55));
    s = _mm512_permutexvar_ps(_mm512_castsi128_si512(_mm_setr_epi32(0, 4, 8, 12)), s);
    _mm_storeu_ps(y, _mm512_castps512_ps128(s));
}
VEC float v_top(vf v)
{
    __m256 a = _mm256_max_ps(_mm512_castps512_ps256(v), upper(v));
    __m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    b = _mm_max_ps(b, _mm_movehl_ps(b, b));
    return _mm_cvtss_f32(_mm_max_ss(b, _mm_movehdup_ps(b)));
}

/* Rows to columns: 32-bit, then 64-bit neighbours of rows, then quarters of the vectors. */
VEC void v_turn(vf r[16])
{
    vf t[16];
    UNROLL
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 16; i += 4) { /* r[i + c]: columns c, 4 + c, 8 + c, 12 + c of rows i … i + 3 */
        UNROLL
        for (int c = 0; c < 2; c++) {
            __m512d a = _mm512_castps_pd(t[i + c]), b = _mm512_castps_pd(t[i + c + 2]);
            r[i + 2 * c] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            r[i + 2 * c + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
    UNROLL
    for (int c = 0; c < 4; c++) {
        UNROLL
        for (int h = 0; h < 16; h += 8) {
            t[c + h] = _mm512_shuffle_f32x4(r[c + h], r[c + h + 4], 0x88);
            t[c + h + 4] = _mm512_shuffle_f32x4(r[c + h], r[c + h + 4], 0xdd);
        }
    }
    UNROLL
    for (int c = 0; c < 8; c++) {
        r[c] = _mm512_shuffle_f32x4(t[c], t[c + 8], 0x88);
        r[c + 8] = _mm512_shuffle_f32x4(t[c], t[c + 8], 0xdd);
    }
}

VEC vf v_twice(const float *p, int n)
{
    const __m512i order = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(order, _mm512_maskz_loadu_ps(first(n), p));
}
VEC vf v_swap(vf v) { return _mm512_permute_ps(v, 0xb1); }

VEC vb b_load(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
VEC vb b_set(int x) { return _mm_set1_epi8((char)x); }
VEC vb b_and(vb a, vb b) { return _mm_and_si128(a, b); }
VEC vb b_or(vb a, vb b) { return _mm_or_si128(a, b); }
VEC vb b_sub(vb a, vb b) { return _mm_sub_epi8(a, b); }
VEC vb b_right(vb v, int n) { return _mm_and_si128(_mm_srli_epi16(v, n), b_set(255 >> n)); }
VEC vb b_look(vb table, vb i) { return _mm_shuffle_epi8(table, i); }
VEC vb b_bits(uint16_t bits) { return _mm_maskz_mov_epi8(bits, b_set(16)); }

VEC vf v_part_s8(vb q, const int part)
{
    (void)part; /* all sixteen */
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q));
}
VEC void v_to_s8(uint8_t *p, vf v)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(_mm512_cvttps_epi32(v)));
}

VEC vf v_half(const uint8_t *p) { return _mm512_set1_ps(_cvtsh_ss(sc_load_u16(p))); }
VEC vf v_from_f16(const void *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
VEC void v_to_f16(void *p, vf v)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
VEC vf v_from_bf16(const void *p)
{
    return _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16));
}
VEC void v_to_bf16(void *p, vf v)
{
    __m512i u = _mm512_castps_si512(v), top = _mm512_srli_epi32(u, 16);
    __m512i up = _mm512_add_epi32(_mm512_set1_epi32(0x7fff), _mm512_and_si512(top, _mm512_set1_epi32(1)));
    __m512i r = _mm512_srli_epi32(_mm512_add_epi32(u, up), 16);
    r = _mm512_mask_or_epi32(r, _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q), top, _mm512_set1_epi32(0x40));
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(r));
}

/* 28 accumulators, 2 + 1 operands. */
#define GEMM_ROWS    14
#define GEMM_VECTORS 2
#define SEGMENT(p)   bits_turned_16[p]
static const uint8_t bits_turned_16[16] = {0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15};

#endif
