/* SPDX-License-Identifier: Apache-2.0 */
/* The table of serial kernels and how one is chosen. */
#ifndef SC_KERNELS_H
#define SC_KERNELS_H

#include "socle/tensor.h"
#include "tensor/unary.h"

/* 32 values of an activation as whole numbers of [-127, 127] times one scale; with a NaN or an infinity among them the
 * scale is NaN and the numbers 0. */
typedef struct sc_packed {
    int8_t q[32];
    float scale;
    float scaled_sum;   /* scale times the sum of q, rounded once */
    int32_t minus_sum;  /* of q */
    int32_t minus_half; /* of its first 16 */
} sc_packed;

typedef struct sc_kernels {
#define K(type, name, params)         type(*name) params;
#define KA(type, name, count, params) type(*name[count]) params;
#include "cpu/kernels/kernels.def"
#undef K
#undef KA
    int panel_rows, panel_cols; /* of multiply_panels: most rows of x, rows of w */
} sc_kernels;

/* What this machine and operating system can run, as a set of levels. A level implies nothing about the others:
 * the table is filled in the order of this list, so a later level overrides an earlier one. AVX-512 BF16 has no
 * conversions: vcvtneps2bf16 flushes denormals, which they must not. */
#define SC_CPU_LEVELS(X)                                                                                           \
    X(AVX2, avx2, "AVX2+FMA+F16C")                                                                                 \
    X(AVX512, avx512, "AVX-512 F+BW+DQ+VL")                                                                        \
    X(AVX512VNNI, avx512vnni, "AVX-512 VNNI")                                                                      \
    X(AVX512BF16, avx512bf16, "AVX-512 BF16")                                                                      \
    X(NEON, neon, "NEON")
enum {
#define SC_CPU_BIT(ID, id, text) SC_CPU_BIT_##ID,
    SC_CPU_LEVELS(SC_CPU_BIT)
#undef SC_CPU_BIT
        SC_CPU_LEVEL_COUNT
};
#define SC_CPU(ID) (1u << SC_CPU_BIT_##ID)

unsigned sc_cpu_detect(void);           /* the levels of this machine, a set of SC_CPU(...) bits */
const char *sc_cpu_level_name(int bit); /* "AVX2+FMA+F16C" … */
/* Fills *k: reference kernels, then every level in `mask` that the machine and this build have. mask 0 is the
 * reference alone. */
void sc_kernels_init(sc_kernels *k, unsigned mask);

/* What sc_kernels_init calls: each puts its kernels into the table. */
void sc_kernels_ref_math(sc_kernels *k);
void sc_kernels_ref_rows(sc_kernels *k);
void sc_kernels_ref_scan(sc_kernels *k);
void sc_kernels_ref_dequantize(sc_kernels *k);
void sc_kernels_ref_packed(sc_kernels *k);
void sc_kernels_ref_quantize(sc_kernels *k);
void sc_kernels_ref_quantize_k(sc_kernels *k);
#if defined(__x86_64__)
void sc_kernels_avx2(sc_kernels *k);
void sc_kernels_avx2_packed(sc_kernels *k);
void sc_kernels_avx512(sc_kernels *k);
void sc_kernels_avx512vnni(sc_kernels *k);
void sc_kernels_avx512bf16(sc_kernels *k);
#elif defined(__aarch64__)
void sc_kernels_neon(sc_kernels *k);
#endif

#endif
