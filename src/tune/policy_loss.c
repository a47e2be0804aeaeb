/* SPDX-License-Identifier: Apache-2.0 */
/* PPO's and GRPO's losses out of few operations: a minimum or a maximum is a sum with a rectified difference, whose derivative
 * at 0 is 0, so that of equals the first has the gradient. */
#include "tune/tune.h"

static sc_tensor *less(sc_graph *g, sc_tensor *a, sc_tensor *b) { return sc_add(g, a, sc_affine(g, b, -1, 0)); }
static sc_tensor *above(sc_graph *g, sc_tensor *x) { return sc_unary(g, SC_UNARY_RELU, x); }
static sc_tensor *min_of(sc_graph *g, sc_tensor *a, sc_tensor *b) { return less(g, a, above(g, less(g, a, b))); }
static sc_tensor *max_of(sc_graph *g, sc_tensor *a, sc_tensor *b) { return sc_add(g, a, above(g, less(g, b, a))); }
static sc_tensor *square(sc_graph *g, sc_tensor *x) { return sc_mul(g, x, x); }

static sc_tensor *clip(sc_graph *g, sc_tensor *x, double low, double high)
{
    sc_tensor *up = above(g, sc_affine(g, x, 1, (float)-low)), *over = above(g, sc_affine(g, x, 1, (float)-high));
    return sc_affine(g, less(g, up, over), 1, (float)low);
}

static sc_tensor *sum_of(sc_graph *g, sc_tensor *x, sc_tensor *weight)
{
    return sc_loss_total(g, sc_mul(g, x, weight));
}

/* 1 where x is above 0; of 0 a half. */
static sc_tensor *is_above(sc_graph *g, sc_tensor *x)
{
    return sc_unary(g, SC_UNARY_SIGMOID, sc_affine(g, x, 1e30f, 0));
}

/* The share of tokens whose ratio is out of its range, whatever their advantage. */
static sc_tensor *clipped(sc_graph *g, const sc_policy_loss *how, sc_tensor *ratio, sc_tensor *mean)
{
    sc_tensor *out = sc_add(g, is_above(g, sc_affine(g, ratio, 1, (float)(-1 - how->clip_high))),
                            is_above(g, sc_affine(g, ratio, -1, (float)(1 - how->clip_low))));
    return sum_of(g, out, mean);
}

/* An answer's mean for each of its tokens. */
static sc_tensor *over_sequences(sc_graph *g, const sc_policy_inputs *in, sc_tensor *x)
{
    int64_t rows = x->shape.dim[0];
    sc_tensor *mean = sc_apply_linear(g, in->select, sc_reshape(g, x, 2, (int64_t[]){1, -1}), NULL); /* (S, 1) */
    sc_tensor *each = sc_apply_linear(g, in->spread, sc_reshape(g, mean, 2, (int64_t[]){1, -1}), NULL);
    return sc_reshape(g, each, 1, &rows);
}

static sc_tensor *value_loss(sc_graph *g, const sc_policy_loss *how, const sc_policy_inputs *in)
{
    sc_tensor *moved = clip(g, less(g, in->value, in->old_value), -how->value_clip, how->value_clip);
    sc_tensor *near = sc_add(g, in->old_value, moved);
    sc_tensor *worse = max_of(g, square(g, less(g, in->value, in->returns)), square(g, less(g, near, in->returns)));
    return sc_affine(g, sum_of(g, worse, in->weight), 0.5f, 0);
}

sc_tensor *sc_policy_loss_build(sc_graph *g, const sc_policy_loss *how, const sc_policy_inputs *in,
                                sc_metric metric[SC_POLICY_METRICS])
{
    int n = 0;
    if (!in->logp || !in->old) return NULL;
    sc_tensor *moved = less(g, in->logp, in->old);
    if (how->by_sequence) moved = over_sequences(g, in, moved);
    sc_tensor *ratio = sc_unary(g, SC_UNARY_EXP, moved);
    sc_tensor *plain = sc_mul(g, in->advantage, ratio),
              *bound = sc_mul(g, in->advantage, clip(g, ratio, 1 - how->clip_low, 1 + how->clip_high));
    sc_tensor *policy = sc_affine(g, sum_of(g, min_of(g, plain, bound), in->weight), -1, 0), *loss = policy;
    metric[n++] = (sc_metric){"policy_loss", policy};
    if (in->ref) {
        sc_tensor *off = less(g, in->ref, in->logp);
        sc_tensor *k3 = sc_affine(g, less(g, sc_unary(g, SC_UNARY_EXP, off), off), 1, -1);
        if (how->kind == SC_POLICY_GRPO && how->kl_coef > 0)
            loss = sc_add(g, loss, sc_affine(g, sum_of(g, k3, in->weight), (float)how->kl_coef, 0));
        metric[n++] = (sc_metric){"kl", sum_of(g, k3, in->mean)};
    }
    if (in->value) {
        sc_tensor *value = value_loss(g, how, in);
        loss = sc_add(g, loss, sc_affine(g, value, (float)how->value_coef, 0));
        metric[n++] = (sc_metric){"value_loss", value};
    }
    metric[n++] = (sc_metric){"approx_kl", sc_affine(g, sum_of(g, square(g, moved), in->mean), 0.5f, 0)};
    metric[n++] = (sc_metric){"clip_fraction", clipped(g, how, ratio, in->mean)};
    if (n < SC_POLICY_METRICS) metric[n] = (sc_metric){0};
    return loss;
}

sc_tensor *sc_policy_logp(sc_graph *g, sc_tensor *logits, sc_tensor *labels, sc_tensor *like, double temperature)
{
    if (temperature != 1) logits = sc_affine(g, logits, (float)(1 / temperature), 0);
    return sc_affine(g, sc_cross_entropy(g, logits, labels, sc_affine(g, like, 0, 1)), -1, 0);
}
