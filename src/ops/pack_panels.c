/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a matrix (T, C) f32, or of its turned view, in the order in which a backend's products of many rows read
 * them: (T, C rounded up). As f32, or rounded to bf16. */
#include "ops/ops.h"

static sc_status packed(sc_tensor *y, sc_dtype type, int64_t whole)
{
    const sc_tensor *x = y->in[0];
    int64_t c = x->shape.rank ? x->shape.dim[x->shape.rank - 1] : 0;
    sc_status s = sc_want_dtype(x, "the input", SC_F32);
    if (s) return s;
    if (c < 1 || c > INT64_MAX - whole) return sc_fail(SC_ESHAPE, "rows of %lld values", (long long)c);
    y->dtype = type;
    y->shape = (sc_shape){2, {sc_tensor_count(x) / c, (c + whole - 1) / whole * whole}};
    return SC_OK;
}

static sc_status infer_f32(sc_tensor *y) { return packed(y, SC_F32, 16); }
static sc_status infer_bf16(sc_tensor *y) { return packed(y, SC_BF16, 32); }
/* For the other side of a product: whole panels of up to 32 rows. */
static sc_status packed_w(sc_tensor *y, sc_dtype type, int64_t whole)
{
    sc_status s = packed(y, type, whole);
    if (!s) y->shape.dim[0] = (y->shape.dim[0] + 31) / 32 * 32;
    return s;
}
static sc_status infer_ordered(sc_tensor *y) { return packed(y, SC_F32, 1); }
static sc_status infer_ordered_bf16(sc_tensor *y) { return packed(y, SC_BF16, 2); }
static sc_status infer_ordered_w(sc_tensor *y) { return packed_w(y, SC_F32, 1); }
static sc_status infer_ordered_w_bf16(sc_tensor *y) { return packed_w(y, SC_BF16, 2); }

const sc_op sc_op_pack_panels = {.name = "pack_panels",
                                 .id = SC_OP_pack_panels,
                                 .derivative = "none: a copy that a backend makes for itself",
                                 .infer = infer_f32,
                                 .cost = sc_cost_elementwise};
const sc_op sc_op_pack_panels_bf16 = {.name = "pack_panels_bf16",
                                      .id = SC_OP_pack_panels_bf16,
                                      .derivative = "none: a copy that a backend makes for itself",
                                      .infer = infer_bf16,
                                      .cost = sc_cost_elementwise};
const sc_op sc_op_pack_ordered = {.name = "pack_ordered",
                                  .id = SC_OP_pack_ordered,
                                  .derivative = "none: a copy that a backend makes for itself",
                                  .infer = infer_ordered,
                                  .cost = sc_cost_elementwise};
const sc_op sc_op_pack_ordered_bf16 = {.name = "pack_ordered_bf16",
                                       .id = SC_OP_pack_ordered_bf16,
                                       .derivative = "none: a copy that a backend makes for itself",
                                       .infer = infer_ordered_bf16,
                                       .cost = sc_cost_elementwise};
const sc_op sc_op_pack_ordered_w = {.name = "pack_ordered_w",
                                    .id = SC_OP_pack_ordered_w,
                                    .derivative = "none: a copy that a backend makes for itself",
                                    .infer = infer_ordered_w,
                                    .cost = sc_cost_elementwise};
const sc_op sc_op_pack_ordered_w_bf16 = {.name = "pack_ordered_w_bf16",
                                         .id = SC_OP_pack_ordered_w_bf16,
                                         .derivative = "none: a copy that a backend makes for itself",
                                         .infer = infer_ordered_w_bf16,
                                         .cost = sc_cost_elementwise};
