/* SPDX-License-Identifier: Apache-2.0 */
/* AVX2: the vocabulary of packed.h in vectors of 8. */
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/kernels.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET __attribute__((target("avx2,fma,f16c")))
#define KERNEL static TARGET
#define VEC    static inline TARGET __attribute__((always_inline))

enum { W = 8, TILE = 4, BYTES_SHIFT = -1 };
typedef __m256 vf;
typedef __m256i vi;

/* Eight of these from 8 - n on: the first n lanes set. */
static const int32_t mask_lanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
VEC __m256i first(int n) { return _mm256_loadu_si256((const __m256i *)(const void *)(mask_lanes + 8 - n)); }

VEC vf v_set(float f) { return _mm256_set1_ps(f); }
VEC vf v_load(const float *p) { return _mm256_loadu_ps(p); }
VEC void v_store(float *p, vf v) { _mm256_storeu_ps(p, v); }
VEC vf v_load_n(const float *p, int n) { return _mm256_maskload_ps(p, first(n)); }
VEC void v_store_n(float *p, vf v, int n) { _mm256_maskstore_ps(p, first(n), v); }
VEC vf v_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
VEC vf v_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }

VEC vi i_load(const uint8_t *p) { return _mm256_loadu_si256((const __m256i *)(const void *)p); }
VEC void i_store(uint8_t *p, vi v) { _mm256_storeu_si256((__m256i *)(void *)p, v); }
VEC vi i_set(int x) { return _mm256_set1_epi32(x); }
VEC vi i_add(vi a, vi b) { return _mm256_add_epi32(a, b); }
VEC vi i_and(vi a, vi b) { return _mm256_and_si256(a, b); }
VEC vi i_or(vi a, vi b) { return _mm256_or_si256(a, b); }
VEC vi i_sub(vi a, vi b) { return _mm256_sub_epi32(a, b); }
VEC vi i_left(vi v, int n) { return _mm256_slli_epi32(v, n); }
VEC vi i_right(vi v, int n) { return _mm256_srli_epi32(v, n); }
VEC vi i_select(vi m, vi a, vi b) { return _mm256_or_si256(_mm256_and_si256(m, a), _mm256_andnot_si256(m, b)); }
VEC vf i_float(vi v) { return _mm256_cvtepi32_ps(v); }
VEC vf i_bits_float(vi v) { return _mm256_castsi256_ps(v); }
VEC __m128i words(vi v)
{
    v = i_and(v, i_set(0xffff));
    return _mm_packus_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
}
VEC void i_store16(uint8_t *p, vi v) { _mm_storeu_si128((__m128i *)(void *)p, words(v)); }
VEC void i_store8(uint8_t *p, vi v)
{
    __m128i w = words(i_and(v, i_set(255)));
    _mm_storel_epi64((__m128i *)(void *)p, _mm_packus_epi16(w, w));
}
VEC vi i_load8(const uint8_t *p) { return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)); }
VEC vi i_load8_signed(const uint8_t *p)
{
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
}
VEC vf v_halves(const uint8_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)); }
VEC vi i_table(const int8_t *table)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
}
VEC vi i_look(vi table, vi i) { return _mm256_shuffle_epi8(table, i); }

VEC __m128i four(const uint8_t *w, int64_t stride)
{
    return _mm_setr_epi32((int)sc_load_u32(w), (int)sc_load_u32(w + stride), (int)sc_load_u32(w + 2 * stride),
                          (int)sc_load_u32(w + 3 * stride));
}
VEC vi i_gather(const uint8_t *w, int64_t stride)
{
    return _mm256_set_m128i(four(w + 4 * stride, stride), four(w, stride));
}

VEC __m128i chunk(const uint8_t *p) { return _mm_loadu_si128((const __m128i *)(const void *)p); }
/* 16 bytes of each of the rows 0 and 4 after w. */
VEC vi every_fourth(const uint8_t *w, int64_t stride) { return _mm256_set_m128i(chunk(w + 4 * stride), chunk(w)); }
VEC void i_gather4(const uint8_t *w, int64_t stride, vi out[4])
{
    vi a = every_fourth(w, stride), b = every_fourth(w + stride, stride), c = every_fourth(w + 2 * stride, stride),
       d = every_fourth(w + 3 * stride, stride);
    vi ab = _mm256_unpacklo_epi32(a, b), cd = _mm256_unpacklo_epi32(c, d);
    out[0] = _mm256_unpacklo_epi64(ab, cd);
    out[1] = _mm256_unpackhi_epi64(ab, cd);
    ab = _mm256_unpackhi_epi32(a, b);
    cd = _mm256_unpackhi_epi32(c, d);
    out[2] = _mm256_unpacklo_epi64(ab, cd);
    out[3] = _mm256_unpackhi_epi64(ab, cd);
}

VEC vi bytes(vi v) { return v; }

/* clang-format off */
/* Pairs of products summed in 16 bits, `span` of those sums added before they are widened. Whole bytes are multiplied
 * as their magnitude by x with their sign, which leaves no room for a second sum. */
VEC void dot(const int span, const int j, vi q, const int tokens, const sc_packed *x, int64_t ldx, const int at,
             vi *pairs, vi *s)
{
    const vi ones = _mm256_set1_epi16(1), size = span == 1 ? _mm256_abs_epi8(q) : q;
    _Pragma("GCC unroll 8") for (int i = 0; i < tokens; i++) {
        vi v = i_set((int)sc_load_u32(x[i * ldx].q + at));
        vi p = _mm256_maddubs_epi16(size, span == 1 ? _mm256_sign_epi8(v, q) : v);
        pairs[i] = j % span ? _mm256_add_epi16(pairs[i], p) : p;
        if (j % span == span - 1) s[i] = _mm256_add_epi32(s[i], _mm256_madd_epi16(pairs[i], ones));
    }
}
/* clang-format on */

VEC uint32_t magnitude(const float *x)
{
    vi top = i_set(0), sign = i_set(0x7fffffff);
    for (int i = 0; i < 32; i += 8)
        top = _mm256_max_epi32(top, i_and(i_load((const uint8_t *)(const void *)(x + i)), sign));
    __m128i t = _mm_max_epi32(_mm256_castsi256_si128(top), _mm256_extracti128_si256(top, 1));
    t = _mm_max_epi32(t, _mm_shuffle_epi32(t, 0x4e));
    return (uint32_t)_mm_cvtsi128_si32(_mm_max_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
}
VEC int pack16(const float *x, float f, int8_t *q)
{
    vi a = _mm256_cvtps_epi32(v_mul(v_load(x), v_set(f))), b = _mm256_cvtps_epi32(v_mul(v_load(x + 8), v_set(f)));
    vi words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8);
    _mm_storeu_si128((__m128i *)(void *)q,
                     _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1)));
    vi sum = _mm256_add_epi32(a, b);
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xb1)));
}

#include "cpu/kernels/x86/packed.h"

void sc_kernels_avx2_packed(sc_kernels *k)
{
    memset(k->matmul_packed, 0, sizeof k->matmul_packed); /* f32 is faster than the reference's integers */
    set_packed(k);
}

#endif
