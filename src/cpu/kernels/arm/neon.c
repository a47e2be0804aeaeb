/* SPDX-License-Identifier: Apache-2.0 */
/* NEON (AArch64): the vocabulary of vector_math.h and vector_convert.h in vectors of 4. */
#include "cpu/kernels/blocks.h"
#include "cpu/kernels/kernels.h"
#include "cpu/kernels/vector.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define KERNEL static
#define VEC    static inline __attribute__((always_inline))
/* 24 accumulators, 6 + 1 operands, of 32 registers. */
#define TILE_X      6
#define ACC_ROWS    4
#define ACC_VECTORS 4
/* 24 accumulators, 4 + 1 operands. */
#define GEMM_ROWS    6
#define GEMM_VECTORS 4
#define SEGMENT(p)   (p)

enum { W = 4 };
typedef float32x4_t vf;
typedef uint8x16_t vb;

VEC vf v_set(float f) { return vdupq_n_f32(f); }
VEC vf v_load(const float *p) { return vld1q_f32(p); }
VEC void v_store(float *p, vf v) { vst1q_f32(p, v); }
VEC vf v_load_n(const float *p, int n)
{
    float t[4] = {0};
    memcpy(t, p, (size_t)n * sizeof *t);
    return vld1q_f32(t);
}
VEC void v_store_n(float *p, vf v, int n)
{
    float t[4];
    vst1q_f32(t, v);
    memcpy(p, t, (size_t)n * sizeof *t);
}
VEC vf v_keep_n(vf v, int n)
{
    const int32x4_t place = {0, 1, 2, 3};
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(v), vcltq_s32(place, vdupq_n_s32(n))));
}
VEC vf v_add(vf a, vf b) { return vaddq_f32(a, b); }
VEC vf v_sub(vf a, vf b) { return vsubq_f32(a, b); }
VEC vf v_mul(vf a, vf b) { return vmulq_f32(a, b); }
VEC vf v_div(vf a, vf b) { return vdivq_f32(a, b); }
VEC vf v_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
VEC vf v_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
VEC vf v_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
VEC vf v_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
VEC vf v_sqrt(vf v) { return vsqrtq_f32(v); }
VEC vf v_abs(vf v) { return vabsq_f32(v); }
VEC vf v_floor(vf v) { return vrndmq_f32(v); }
VEC vf v_round(vf v) { return vrndnq_f32(v); }
VEC vf v_if_less(vf a, vf b, vf x, vf y) { return vbslq_f32(vcltq_f32(a, b), x, y); }

/* 2^n in two factors, so that neither the largest n nor the denormal results leave the range of an exponent. */
VEC vf v_exp2i(vf p, vf n)
{
    const int32x4_t bias = vdupq_n_s32(127);
    int32x4_t i = vcvtq_s32_f32(n), half = vshrq_n_s32(i, 1);
    int32x4_t a = vshlq_n_s32(vaddq_s32(half, bias), 23), b = vshlq_n_s32(vaddq_s32(vsubq_s32(i, half), bias), 23);
    return vmulq_f32(vmulq_f32(p, vreinterpretq_f32_s32(a)), vreinterpretq_f32_s32(b));
}

VEC float v_sum(vf v) /* (0 + 1) + (2 + 3) */
{
    vf s = vpaddq_f32(v, v);
    return vgetq_lane_f32(vpaddq_f32(s, s), 0);
}
VEC void v_sum4(float *y, vf a, vf b, vf c, vf d) { v_store(y, vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d))); }
VEC float v_top(vf v) { return vmaxvq_f32(v); }

VEC void v_turn(vf r[4])
{
    float32x4x2_t a = vtrnq_f32(r[0], r[1]), b = vtrnq_f32(r[2], r[3]);
    r[0] = vcombine_f32(vget_low_f32(a.val[0]), vget_low_f32(b.val[0]));
    r[1] = vcombine_f32(vget_low_f32(a.val[1]), vget_low_f32(b.val[1]));
    r[2] = vcombine_f32(vget_high_f32(a.val[0]), vget_high_f32(b.val[0]));
    r[3] = vcombine_f32(vget_high_f32(a.val[1]), vget_high_f32(b.val[1]));
}

VEC vf v_twice(const float *p, int n)
{
    vf v = v_load_n(p, n);
    return vzip1q_f32(v, v);
}
VEC vf v_swap(vf v) { return vrev64q_f32(v); }

VEC vb b_load(const uint8_t *p) { return vld1q_u8(p); }
VEC vb b_set(int x) { return vdupq_n_u8((uint8_t)x); }
VEC vb b_and(vb a, vb b) { return vandq_u8(a, b); }
VEC vb b_or(vb a, vb b) { return vorrq_u8(a, b); }
VEC vb b_sub(vb a, vb b) { return vsubq_u8(a, b); }
VEC vb b_right(vb v, int n) { return vshlq_u8(v, vdupq_n_s8((int8_t)-n)); }
VEC vb b_look(vb table, vb i) { return vqtbl1q_u8(table, i); }
VEC vb b_bits(uint16_t bits)
{
    const uint8x8_t bit = {1, 2, 4, 8, 16, 32, 64, 128};
    vb v = vcombine_u8(vdup_n_u8((uint8_t)bits), vdup_n_u8((uint8_t)(bits >> 8)));
    return vandq_u8(vtstq_u8(v, vcombine_u8(bit, bit)), b_set(16));
}

VEC vf v_part_s8(vb q, const int part)
{
    int8x16_t s = vreinterpretq_s8_u8(q);
    int16x8_t h = part < 2 ? vmovl_s8(vget_low_s8(s)) : vmovl_high_s8(s);
    return vcvtq_f32_s32(part & 1 ? vmovl_high_s16(h) : vmovl_s16(vget_low_s16(h)));
}
VEC void v_to_s8(uint8_t *p, vf v)
{
    int16x4_t h = vmovn_s32(vcvtq_s32_f32(v));
    int8x8_t b = vmovn_s16(vcombine_s16(h, h));
    memcpy(p, &b, 4);
}

VEC uint16x4_t h_load(const void *p)
{
    uint16x4_t h;
    memcpy(&h, p, sizeof h);
    return h;
}
VEC vf v_half(const uint8_t *p) { return vdupq_n_f32(sc_half_float(sc_load_u16(p))); }
VEC vf v_from_f16(const void *p) { return vcvt_f32_f16(vreinterpret_f16_u16(h_load(p))); }
VEC void v_to_f16(void *p, vf v)
{
    float16x4_t h = vcvt_f16_f32(v);
    memcpy(p, &h, sizeof h);
}
VEC vf v_from_bf16(const void *p) { return vreinterpretq_f32_u32(vshll_n_u16(h_load(p), 16)); }
VEC void v_to_bf16(void *p, vf v)
{
    uint32x4_t u = vreinterpretq_u32_f32(v), top = vshrq_n_u32(u, 16);
    uint32x4_t up = vaddq_u32(vdupq_n_u32(0x7fff), vandq_u32(top, vdupq_n_u32(1)));
    uint32x4_t r = vshrq_n_u32(vaddq_u32(u, up), 16), quiet = vorrq_u32(top, vdupq_n_u32(0x40));
    uint16x4_t h = vmovn_u32(vbslq_u32(vceqq_f32(v, v), r, quiet));
    memcpy(p, &h, sizeof h);
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

void sc_kernels_neon(sc_kernels *k)
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
    memset(k->matmul_packed, 0, sizeof k->matmul_packed); /* f32 is faster than the reference's integers */
}

#endif
