/* SPDX-License-Identifier: Apache-2.0 */
/* AVX2 with FMA and F16C: the vocabulary of vector_math.h and vector_convert.h in vectors of 8. */
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/vector.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define KERNEL static TARGET
#define VEC    static inline TARGET __attribute__((always_inline))
/* 12 accumulators, 3 + 1 operands: all 16 registers. */
#define TILE_X      3
#define ACC_ROWS    4
#define ACC_VECTORS 2
/* 12 accumulators, 2 + 1 operands. */
#define GEMM_ROWS    6
#define GEMM_VECTORS 2
#define SEGMENT(p)   bits_turned_8[p]
static const uint8_t bits_turned_8[8] = {0, 4, 2, 6, 1, 5, 3, 7};

enum { W = 8 };
typedef __m256 vf;
typedef __m128i vb;

/* Eight of these from 8 - n on: the first n lanes set. */
static const int32_t lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
VEC __m256i first(int n) { return _mm256_loadu_si256((const __m256i *)(const void *)(lanes + 8 - n)); }

VEC vf v_set(float f) { return _mm256_set1_ps(f); }
VEC vf v_load(const float *p) { return _mm256_loadu_ps(p); }
VEC void v_store(float *p, vf v) { _mm256_storeu_ps(p, v); }
VEC vf v_load_n(const float *p, int n) { return _mm256_maskload_ps(p, first(n)); }
VEC void v_store_n(float *p, vf v, int n) { _mm256_maskstore_ps(p, first(n), v); }
VEC vf v_keep_n(vf v, int n) { return _mm256_and_ps(v, _mm256_castsi256_ps(first(n))); }
VEC vf v_add(vf a, vf b) { return _mm256_add_ps(a, b); }
VEC vf v_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
VEC vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
VEC vf v_div(vf a, vf b) { return _mm256_div_ps(a, b); }
VEC vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
VEC vf v_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
VEC vf v_min(vf a, vf b) { return _mm256_min_ps(a, b); }
VEC vf v_max(vf a, vf b) { return _mm256_max_ps(a, b); }
VEC vf v_sqrt(vf v) { return _mm256_sqrt_ps(v); }
VEC vf v_abs(vf v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v); }
VEC vf v_floor(vf v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC); }
VEC vf v_round(vf v) { return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
VEC vf v_if_less(vf a, vf b, vf x, vf y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }

/* 2^n in two factors, so that neither the largest n nor the denormal results leave the range of an exponent. */
VEC vf v_exp2i(vf p, vf n)
{
    const __m256i bias = _mm256_set1_epi32(127);
    __m256i i = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(i, 1);
    __m256i a = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
    __m256i b = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(i, half), bias), 23);
    return _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(a)), _mm256_castsi256_ps(b));
}

VEC float v_sum(vf v)
{
    __m128 a = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    a = _mm_add_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}
VEC void v_sum4(float *y, vf a, vf b, vf c, vf d)
{
    vf ab = _mm256_add_ps(_mm256_permute2f128_ps(a, b, 0x20), _mm256_permute2f128_ps(a, b, 0x31));
    vf cd = _mm256_add_ps(_mm256_permute2f128_ps(c, d, 0x20), _mm256_permute2f128_ps(c, d, 0x31));
    vf s = _mm256_add_ps(_mm256_shuffle_ps(ab, cd, 0x44), _mm256_shuffle_ps(ab, cd, 0xee));
    s = _mm256_add_ps(s, _mm256_movehdup_ps(s)); /* a and c in places 0 and 2, b and d in 4 and 6 */
    __m128 ac = _mm256_castps256_ps128(s), bd = _mm256_extractf128_ps(s, 1);
    ac = _mm_shuffle_ps(ac, bd, 0x88);
    _mm_storeu_ps(y, _mm_shuffle_ps(ac, ac, 0xd8));
}
VEC float v_top(vf v)
{
    __m128 a = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
}

/* Rows to columns: 32-bit, then 64-bit neighbours of rows, then halves of the vectors. */
VEC void v_turn(vf r[8])
{
    vf t[8];
    UNROLL
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL
    for (int i = 0; i < 8; i += 4) { /* r[i + c]: columns c and 4 + c of rows i … i + 3 */
        UNROLL
        for (int c = 0; c < 2; c++) {
            r[i + 2 * c] = _mm256_shuffle_ps(t[i + c], t[i + c + 2], 0x44);
            r[i + 2 * c + 1] = _mm256_shuffle_ps(t[i + c], t[i + c + 2], 0xee);
        }
    }
    UNROLL
    for (int c = 0; c < 4; c++) {
        vf a = r[c], b = r[c + 4];
        r[c] = _mm256_permute2f128_ps(a, b, 0x20);
        r[c + 4] = _mm256_permute2f128_ps(a, b, 0x31);
    }
}

VEC vf v_twice(const float *p, int n)
{
    __m128 v = _mm_maskload_ps(p, _mm256_castsi256_si128(first(n)));
    return _mm256_permutevar8x32_ps(_mm256_castps128_ps256(v), _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
}
VEC vf v_swap(vf v) { return _mm256_permute_ps(v, 0xb1); }

VEC vb b_load(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
VEC vb b_set(int x) { return _mm_set1_epi8((char)x); }
VEC vb b_and(vb a, vb b) { return _mm_and_si128(a, b); }
VEC vb b_or(vb a, vb b) { return _mm_or_si128(a, b); }
VEC vb b_sub(vb a, vb b) { return _mm_sub_epi8(a, b); }
VEC vb b_right(vb v, int n) { return _mm_and_si128(_mm_srli_epi16(v, n), b_set(255 >> n)); }
VEC vb b_look(vb table, vb i) { return _mm_shuffle_epi8(table, i); }
VEC vb b_bits(uint16_t bits)
{
    /* the low byte in the first eight places, the high byte in the others; then each place keeps its own bit */
    vb v = _mm_shuffle_epi8(_mm_cvtsi32_si128(bits), _mm_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1));
    vb bit = _mm_setr_epi8(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
    return _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(v, bit), bit), b_set(16));
}

VEC vf v_part_s8(vb q, const int part)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(part ? _mm_unpackhi_epi64(q, q) : q));
}
VEC void v_to_s8(uint8_t *p, vf v)
{
    __m256i i = _mm256_cvttps_epi32(v);
    __m128i w = _mm_packs_epi32(_mm256_castsi256_si128(i), _mm256_extracti128_si256(i, 1));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packs_epi16(w, w));
}

VEC vf v_half(const uint8_t *p) { return _mm256_set1_ps(_cvtsh_ss(sc_load_u16(p))); }
VEC vf v_from_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
VEC void v_to_f16(void *p, vf v) { _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT)); }
VEC vf v_from_bf16(const void *p)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
VEC void v_to_bf16(void *p, vf v)
{
    __m256i u = _mm256_castps_si256(v), top = _mm256_srli_epi32(u, 16);
    __m256i up = _mm256_add_epi32(_mm256_set1_epi32(0x7fff), _mm256_and_si256(top, _mm256_set1_epi32(1)));
    __m256i r = _mm256_srli_epi32(_mm256_add_epi32(u, up), 16),
            quiet = _mm256_or_si256(top, _mm256_set1_epi32(0x40));
    r = _mm256_blendv_epi8(r, quiet, _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1)));
}

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

void sc_kernels_avx2(sc_kernels *k)
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
