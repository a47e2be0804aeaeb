/* SPDX-License-Identifier: Apache-2.0 */
/* Rows as blocks of whole numbers with a scale: what products with block-quantised weights read. */
#include "ops/ops.h"

static sc_status infer(sc_tensor *y)
{
    const sc_tensor *x = y->in[0];
    int64_t c = x->shape.rank ? x->shape.dim[x->shape.rank - 1] : 0, count = sc_tensor_count(x);
    sc_status s = sc_want_dtype(x, "the input", SC_F32);
    if (s) return s;
    if (c < 1 || c % SC_PACKED)
        return sc_fail(SC_ESHAPE, "rows of %lld values are not whole blocks of %d", (long long)c, SC_PACKED);
    y->dtype = SC_U8;
    y->shape = (sc_shape){2, {count / c, c / SC_PACKED * SC_PACKED_BYTES}};
    return SC_OK;
}

const sc_op sc_op_pack_rows = {
    .name = "pack_rows",
    .id = SC_OP_pack_rows,
    .derivative = "none: rounding to whole numbers, which only inference on quantised weights asks for",
    .infer = infer,
    .cost = sc_cost_elementwise};
