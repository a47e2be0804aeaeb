/* SPDX-License-Identifier: Apache-2.0 */
/* divergence: logits (R, V), teacher's logits (R, V), weight (R) → (R). divergence_grad: the same and dy (R) → (R, V). */
#include "ops/ops.h"

static sc_status check(const sc_tensor *y)
{
    const sc_tensor *x = y->in[0], *teacher = y->in[1], *weight = y->in[2];
    sc_status s;
    if ((s = sc_want_dtype(x, "the logits", SC_F32)) || (s = sc_want_rank(x, "the logits", 2)) ||
        (s = sc_want_dtype(teacher, "the teacher's logits", SC_F32)) ||
        (s = sc_want_rank(teacher, "the teacher's logits", 2)) ||
        (s = sc_want_dim(teacher, "the teacher's logits", 0, x->shape.dim[0])) ||
        (s = sc_want_dim(teacher, "the teacher's logits", 1, x->shape.dim[1])) ||
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
    sc_cost c = {.bytes = 2 * sc_tensor_bytes(s->in[0]) + sc_tensor_bytes(s->out)};
    c.flops = 24 * (double)sc_tensor_count(s->in[0]); /* two exponentials and a logarithm, roughly */
    return c;
}

static void backward(sc_gradients *b, sc_tensor *y, sc_tensor *dy)
{
    sc_graph *g = sc_gradient_graph(b);
    /* After the losses, so that it may write over the logits. */
    sc_tensor *in[] = {y->in[0], y->in[1], y->in[2], sc_contiguous(g, dy), y};
    sc_gradient_add(b, y->in[0],
                    sc_graph_node(g, &sc_op_divergence_grad, in, 5, y->attr, sizeof(sc_divergence_attr)));
}

const sc_op sc_op_divergence = {
    .name = "divergence",
    .id = SC_OP_divergence,
    .derivative =
        "with Q of the logits, P of the teacher's, both divided by T: dlogits = weight dy / T times Q - P "
        "(forward), Q (log Q/P - D) (reverse), half their sum (symmetric), (1 - beta) Q (log Q/M - KL(Q, M)) "
        "(Jensen-Shannon); none for the teacher and the weights",
    .backward = backward,
    .infer = infer,
    .cost = cost};

static sc_status grad_infer(sc_tensor *y)
{
    sc_status s = check(y);
    return s ? s : sc_infer_row_gradient(y);
}

const sc_op sc_op_divergence_grad = {.name = "divergence_grad",
                                     .id = SC_OP_divergence_grad,
                                     .derivative = "none: second derivatives are not taken",
                                     .infer = grad_infer,
                                     .cost = cost,
                                     .in_place = 1 << 0};

sc_tensor *sc_divergence(sc_graph *g, sc_tensor *logits, sc_tensor *teacher, sc_tensor *weight,
                         const sc_divergence_attr *how)
{
    sc_tensor *in[] = {sc_contiguous(g, logits), sc_contiguous(g, teacher), sc_contiguous(g, weight)};
    return sc_graph_node(g, &sc_op_divergence, in, 3, how, sizeof *how);
}
