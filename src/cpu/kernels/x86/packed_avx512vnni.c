/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512 VNNI: the vocabulary of packed.h in vectors of 16. Bytes of a panel are unsigned, those of x signed. */
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")))
#define KERNEL static TARGET
#define VEC    static inline TARGET __attribute__((always_inline))

enum { W = 16, TILE = 8, BYTES_SHIFT = 7 };
typedef __m512 vf;
typedef __m512i vi;

VEC __mmask16 first(int n) { return (__mmask16)((1u << n) - 1); }

VEC vf v_set(float f) { return _mm512_set1_ps(f); }
VEC vf v_load(const float *p) { return _mm512_loadu_ps(p); }
VEC void v_store(float *p, vf v) { _mm512_storeu_ps(p, v); }
VEC vf v_load_n(const float *p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
VEC void v_store_n(float *p, vf v, int n) { _mm512_mask_storeu_ps(p, first(n), v); }
VEC vf v_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
VEC vf v_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }

VEC vi i_load(const uint8_t *p) { return _mm512_loadu_si512((const void *)p); }
VEC void i_store(uint8_t *p, vi v) { _mm512_storeu_si512((void *)p, v); }
VEC vi i_set(int x) { return _mm512_set1_epi32(x); }
VEC vi i_add(vi a, vi b) { return _mm512_add_epi32(a, b); }
VEC vi i_and(vi a, vi b) { return _mm512_and_si512(a, b); }
VEC vi i_or(vi a, vi b) { return _mm512_or_si512(a, b); }
VEC vi i_sub(vi a, vi b) { return _mm512_sub_epi32(a, b); }
VEC vi i_left(vi v, unsigned n) { return _mm512_slli_epi32(v, n); }
VEC vi i_right(vi v, unsigned n) { return _mm512_srli_epi32(v, n); }
VEC vi i_select(vi m, vi a, vi b) { return _mm512_ternarylogic_epi32(m, a, b, 0xca); }
VEC vf i_float(vi v) { return _mm512_cvtepi32_ps(v); }
VEC vf i_bits_float(vi v) { return _mm512_castsi512_ps(v); }
VEC void i_store16(uint8_t *p, vi v) { _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(v)); }
VEC void i_store8(uint8_t *p, vi v) { _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtepi32_epi8(v)); }
VEC vi i_load8(const uint8_t *p) { return _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)); }
VEC vi i_load8_signed(const uint8_t *p)
{
    return _mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
}
VEC vf v_halves(const uint8_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p)); }

VEC vi bytes(vi v) { return _mm512_xor_si512(v, i_set((int)0x80808080u)); }
VEC vi i_table(const int8_t *table)
{
    return bytes(_mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)table)));
}
VEC vi i_look(vi table, vi i) { return _mm512_shuffle_epi8(table, i); }

VEC __m128i four(const uint8_t *w, int64_t stride)
{
    return _mm_setr_epi32((int)sc_load_u32(w), (int)sc_load_u32(w + stride), (int)sc_load_u32(w + 2 * stride),
                          (int)sc_load_u32(w + 3 * stride));
}
VEC vi i_gather(const uint8_t *w, int64_t stride)
{
    __m256i a = _mm256_set_m128i(four(w + 4 * stride, stride), four(w, stride));
    __m256i b = _mm256_set_m128i(four(w + 12 * stride, stride), four(w + 8 * stride, stride));
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}

VEC __m128i chunk(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
/* 16 bytes of each of the rows 0, 4, 8 and 12 after w. */
VEC vi every_fourth(const uint8_t *w, int64_t stride)
{
    vi v = _mm512_broadcast_i32x4(chunk(w));
    v = _mm512_mask_broadcast_i32x4(v, 0x00f0, chunk(w + 4 * stride));
    v = _mm512_mask_broadcast_i32x4(v, 0x0f00, chunk(w + 8 * stride));
    return _mm512_mask_broadcast_i32x4(v, 0xf000, chunk(w + 12 * stride));
}
VEC void i_gather4(const uint8_t *w, int64_t stride, vi out[4])
{
    vi a = every_fourth(w, stride), b = every_fourth(w + stride, stride), c = every_fourth(w + 2 * stride, stride),
       d = every_fourth(w + 3 * stride, stride);
    vi ab = _mm512_unpacklo_epi32(a, b), cd = _mm512_unpacklo_epi32(c, d);
    out[0] = _mm512_unpacklo_epi64(ab, cd);
    out[1] = _mm512_unpackhi_epi64(ab, cd);
    ab = _mm512_unpackhi_epi32(a, b);
    cd = _mm512_unpackhi_epi32(c, d);
    out[2] = _mm512_unpacklo_epi64(ab, cd);
    out[3] = _mm512_unpackhi_epi64(ab, cd);
}

/* clang-format off */
VEC void dot(const int span, const int j, vi q, const int tokens, const sc_packed *x, int64_t ldx, const int at,
             vi *pairs, vi *s)
{
    (void)span, (void)j, (void)pairs; /* sums in 32 bits at once */
    _Pragma("GCC unroll 8") for (int i = 0; i < tokens; i++)
        s[i] = _mm512_dpbusd_epi32(s[i], q, i_set((int)sc_load_u32(x[i * ldx].q + at)));
}
/* clang-format on */

VEC uint32_t magnitude(const float *x)
{
    vi sign = i_set(0x7fffffff), a = i_and(_mm512_loadu_si512((const void *)x), sign),
       b = i_and(_mm512_loadu_si512((const void *)(x + 16)), sign);
    return (uint32_t)_mm512_reduce_max_epi32(_mm512_max_epi32(a, b));
}
VEC int pack16(const float *x, float f, int8_t *q)
{
    vi v = _mm512_cvtps_epi32(v_mul(v_load(x), v_set(f)));
    _mm_storeu_si128((__m128i *)(void *)q, _mm512_cvtepi32_epi8(v));
    return _mm512_reduce_add_epi32(v);
}

#include "cpu/kernels/x86/packed.h"

void sc_kernels_avx512vnni(sc_kernels *k) { set_packed(k); }

#endif
