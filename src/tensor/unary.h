/* SPDX-License-Identifier: Apache-2.0 */
/* The unary functions, shared by the graph's `unary` operation and the kernels that compute it. */
#ifndef SC_UNARY_H
#define SC_UNARY_H

typedef enum sc_unary_kind {
#define X(id, name) SC_UNARY_##id,
#include "tensor/unary.def"
#undef X
    SC_UNARY_COUNT
} sc_unary_kind;

#endif
