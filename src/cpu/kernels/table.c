/* SPDX-License-Identifier: Apache-2.0 */
/* Which levels this machine has, and the table filled from them. */
#include "cpu/kernels/kernels.h"

#include <string.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

static const char *const level_names[SC_CPU_LEVEL_COUNT] = {
#define SC_CPU_NAME(ID, id, text) text,
    SC_CPU_LEVELS(SC_CPU_NAME)
#undef SC_CPU_NAME
};

const char *sc_cpu_level_name(int bit)
{
    return bit >= 0 && bit < SC_CPU_LEVEL_COUNT ? level_names[bit] : "unknown";
}

unsigned sc_cpu_detect(void)
{
    unsigned levels = 0;
#if defined(__x86_64__)
    /* The compiler's support code also asks xgetbv whether the system saves the wider registers. Older ones do not
     * know f16c by name. */
    unsigned a, b, c, d;
    bool f16c = __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
    __builtin_cpu_init();
    if (f16c && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) levels |= SC_CPU(AVX2);
    if ((levels & SC_CPU(AVX2)) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        levels |= SC_CPU(AVX512);
    if ((levels & SC_CPU(AVX512)) && __builtin_cpu_supports("avx512vnni")) levels |= SC_CPU(AVX512VNNI);
    if ((levels & SC_CPU(AVX512)) && __builtin_cpu_supports("avx512bf16")) levels |= SC_CPU(AVX512BF16);
#elif defined(__aarch64__)
    levels |= SC_CPU(NEON); /* part of the base architecture */
#endif
    return levels;
}

void sc_kernels_init(sc_kernels *k, unsigned mask)
{
    memset(k, 0, sizeof *k);
    sc_kernels_ref_math(k);
    sc_kernels_ref_rows(k);
    sc_kernels_ref_scan(k);
    sc_kernels_ref_dequantize(k);
    sc_kernels_ref_packed(k);
    sc_kernels_ref_quantize(k);
    sc_kernels_ref_quantize_k(k);
    if (mask) mask &= sc_cpu_detect();
#if defined(__x86_64__)
    if (mask & SC_CPU(AVX2)) {
        sc_kernels_avx2(k);
        sc_kernels_avx2_packed(k);
    }
    if (mask & SC_CPU(AVX512)) sc_kernels_avx512(k);
    if (mask & SC_CPU(AVX512VNNI)) sc_kernels_avx512vnni(k);
    if (mask & SC_CPU(AVX512BF16)) sc_kernels_avx512bf16(k);
#elif defined(__aarch64__)
    if (mask & SC_CPU(NEON)) sc_kernels_neon(k);
#endif
}
