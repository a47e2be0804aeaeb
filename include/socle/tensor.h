/* SPDX-License-Identifier: Apache-2.0 */
/* Element types and named tensors: what weight files hold and what a model takes and gives. */
#ifndef SOCLE_TENSOR_H
#define SOCLE_TENSOR_H

#include "socle/base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SC_MAX_RANK 6

typedef enum sc_dtype {
#define X(id, name, elements, bytes, gguf, st) SC_##id,
#include "socle/dtypes.def"
#undef X
    SC_DTYPE_COUNT
} sc_dtype;

typedef struct sc_dtype_info {
    const char *name;
    int64_t block;           /* elements stored together; 1 for plain types */
    int64_t bytes;           /* bytes of one block */
    int gguf;                /* GGUF's type id, -1: GGUF has none */
    const char *safetensors; /* safetensors' name, NULL: it has none */
} sc_dtype_info;

/* Properties of `t`; NULL where t is out of range. */
SC_API const sc_dtype_info *sc_dtype_get(sc_dtype t);
/* By name ("q4_k", case ignored), GGUF id, or safetensors name; SC_DTYPE_COUNT where there is none. */
SC_API sc_dtype sc_dtype_named(const char *name);
SC_API sc_dtype sc_dtype_from_gguf(int64_t id);
SC_API sc_dtype sc_dtype_from_safetensors(const char *name);
/* Bytes of n consecutive elements, n a multiple of the block; -1 where it is not, or the size overflows. */
SC_API int64_t sc_dtype_size(sc_dtype t, int64_t n);

/* n elements of type t to and from f32, by the reference conversion. n must be a multiple of the block.
 * SC_EUNSUPPORTED for types without such a conversion. */
SC_API sc_status sc_dequantize(sc_dtype t, const void *x, float *y, int64_t n);
SC_API sc_status sc_quantize(sc_dtype t, const float *x, void *y, int64_t n);

#ifdef __cplusplus
}
#endif
#endif
