/* SPDX-License-Identifier: Apache-2.0 */
/* A tensor as a weight file holds it: what the safetensors and GGUF readers both hand out. */
#ifndef SOCLE_IO_H
#define SOCLE_IO_H

#include "socle/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Everything is borrowed from the reader it came from. The file is memory-mapped, so `data` costs no memory of its
 * own until it is read, and must not be written. */
typedef struct sc_file_tensor {
    const char *name;         /* UTF-8 */
    sc_dtype dtype;           /* SC_DTYPE_COUNT: a type this library does not compute with; `type` names it */
    const char *type;         /* the type's name in the file's own words: "BF16", "F8_E4M3", "IQ2_XS" */
    int rank;                 /* 0 (one value) to SC_MAX_RANK */
    int64_t dim[SC_MAX_RANK]; /* outermost first, in both formats; 1 after the last */
    const void *data;         /* `bytes` bytes, aligned to the element; NULL where the type's size is not known */
    int64_t bytes;
} sc_file_tensor;

/* Most tensors in one file or set of shards. */
#define SC_MAX_FILE_TENSORS (1 << 20)

#ifdef __cplusplus
}
#endif
#endif
