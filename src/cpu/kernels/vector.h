/* SPDX-License-Identifier: Apache-2.0 */
/* What all files of vector kernels share. */
#ifndef SC_KERNELS_VECTOR_H
#define SC_KERNELS_VECTOR_H

/* Before a loop of a constant number of rounds (clang-format, which does not know it, is off around those). */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#endif
