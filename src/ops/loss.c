/* SPDX-License-Identifier: Apache-2.0 */
/* cross_entropy: logits (R, V), labels (R), weight (R) → (R). cross_entropy_grad: the same, dy (R) and
 * the loss itself → (R, V). */
#include "ops/ops.h"

static sc_status check(const sc_tensor *y)
{
    const sc_tensor *x = y->in[0], *labels = y->in[1], *weight = y->in[2];
    sc_status s;
    if ((s = sc_want_dtype(x, "the logits", SC_F32)) || (s = sc_want_rank(x, "the logits", 2)) ||
        (s = sc_want_dtype(labels, "the labels", SC_I32)) || (s = sc_want_rank(labels, "the labels", 1)) ||
        (s = sc_want_dim(labels, "the labels", 0, x->shape.dim[0])) ||
        (s = sc_want_dtype(weight, "the weights", SC_F32)) || (s = sc_want_rank(weight, "the weights", 1)))
        return s;
    return sc_want_dim(weight, "the weights", 0, x->shape.dim[0]);
}

static sc_status infer(sc_tensor *y)
{
    y->dtype = SC_F32;
    y->shape = (sc_shape){1, {y->in[0]->shape.dim[0]}};
    return check(y);
}

static sc_cost cost(const sc_step *s)
{
    sc_cost c = {.bytes = sc_tensor_bytes(s->in[0]) + sc_tensor_bytes(s->out)};
    c.flops = 8 * (double)sc_tensor_count(s->in[0]); /* an exponential, roughly */
    return c;
}

static void backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    /* After the loss, so that it may write over the logits. */
    sc_tensor *in[] = {y->in[0], y->in[1], y->in[2], sc_contiguous(g, dy), y};
    sc_gradient_add(b, y->in[0],
                    sc_graph_node(g, &sc_op_cross_entropy_grad, in, 5, y->attr, sizeof(sc_cross_entropy_attr)));
}

const sc_op sc_op_cross_entropy = {
    .name = "cross_entropy",
    .id = SC_OP_cross_entropy,
    .derivative = "dlogits = weight dy (softmax(logits) - (1 - s) [label] - s / V); none for the weights",
    .backward = backward,
    .infer = infer,
    .cost = cost};

static sc_status grad_infer(sc_tensor *y)
{
    sc_status s = check(y);
    return s ? s : sc_infer_row_gradient(y);
}

const sc_op sc_op_cross_entropy_grad = {.name = "cross_entropy_grad",
                                        .id = SC_OP_cross_entropy_grad,
                                        .derivative = "none: second derivatives are not taken",
                                        .infer = grad_infer,
                                        .cost = cost,
                                        .in_place = 1 << 0};

sc_tensor *sc_cross_entropy(sc_graph *g, sc_tensor *logits, sc_tensor *labels, sc_tensor *weight)
{
    return sc_cross_entropy_smoothed(g, logits, labels, weight, 0);
}

sc_tensor *sc_cross_entropy_smoothed(sc_graph *g, sc_tensor *logits, sc_tensor *labels, sc_tensor *weight,
                                     float smoothing)
{
    sc_tensor *in[] = {sc_contiguous(g, logits), sc_contiguous(g, labels), sc_contiguous(g, weight)};
    return sc_graph_node(g, &sc_op_cross_entropy, in, 3, &(sc_cross_entropy_attr){smoothing},
                         sizeof(sc_cross_entropy_attr));
}
