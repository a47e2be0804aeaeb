/* SPDX-License-Identifier: Apache-2.0 */
/* The losses of preferences, as graphs over a number for each answer. */
#include "train/preferences.h"

sc_tensor *sc_preference_input(sc_loss_graph *out, int which, const char *name, int rank, const int64_t *dim)
{
    sc_shape shape = {.rank = rank};
    memcpy(shape.dim, dim, sizeof *dim * (size_t)rank);
    return out->more[which] = sc_graph_input(out->t.g, name, SC_F32, &shape);
}

sc_tensor *sc_minus(sc_graph *g, sc_tensor *a, sc_tensor *b) { return sc_add(g, a, sc_affine(g, b, -1, 0)); }

/* A batch of sizes alone, as a learner asks about a model's matrices, has no inputs yet. */
int64_t sc_preference_pairs(const sc_text_batch *b)
{
    int64_t n = b->more[SC_PREFER_WEIGHT].n;
    return n ? n : SC_MAX(b->sequences / 2, 1);
}

sc_status sc_preference_log_probs(sc_loss_graph *out, const sc_model *m, const sc_text_batch *b, bool refers,
                                  sc_tensor **p)
{
    sc_status s = sc_text_graph_new(&out->t, m, b->tokens, b->sequences, b->rows, NULL, NULL);
    if (s) return s;
    sc_graph *g = out->t.g;
    int64_t rows = b->rows, pairs = sc_preference_pairs(b), n = b->more[SC_PREFER_MEMBER].n,
            answers = n ? n / rows : 2 * pairs;
    sc_loss_inputs(out, rows, false);
    sc_tensor *member = sc_preference_input(out, SC_PREFER_MEMBER, "member", 2, (int64_t[]){answers, rows}),
              *minus = sc_preference_input(out, SC_PREFER_MINUS, "minus", 1, &rows);
    sc_preference_input(out, SC_PREFER_WEIGHT, "pair_weight", 1, &pairs);
    if (refers) sc_preference_input(out, SC_PREFER_REFERENCE, "reference", 1, &answers);
    sc_tensor *scores = sc_cross_entropy(g, out->t.logits, out->labels, minus);
    sc_tensor *sums = sc_apply_linear(g, sc_reshape(g, scores, 2, (int64_t[]){1, rows}), member, NULL);
    *p = sc_reshape(g, sums, 1, &answers);
    out->result = out->t.logits;
    return SC_OK;
}

sc_sides sc_preference_sides(sc_graph *g, sc_tensor *x, int64_t pairs)
{
    return (sc_sides){sc_slice(g, x, 0, 0, pairs), sc_slice(g, x, 0, pairs, pairs)};
}

/* ---- metrics ---- */

/* The sum of weight times x. */
static sc_tensor *weighted(sc_graph *g, sc_tensor *x, sc_tensor *weight)
{
    return sc_loss_total(g, sc_mul(g, x, weight));
}

void sc_preference_metric(sc_loss_graph *out, const char *name, sc_tensor *x, sc_tensor *weight)
{
    int i = 0;
    while (i < SC_MORE && out->metric[i].value) i++;
    if (i < SC_MORE) out->metric[i] = (sc_metric){name, weighted(out->t.g, x, weight)};
}

void sc_preference_rewards(sc_loss_graph *out, sc_sides rewards, sc_tensor *weight)
{
    sc_graph *g = out->t.g;
    sc_tensor *margin = sc_minus(g, rewards.better, rewards.worse);
    sc_preference_metric(out, "rewards/chosen", rewards.better, weight);
    sc_preference_metric(out, "rewards/rejected", rewards.worse, weight);
    /* A step; of equal rewards a half. */
    sc_preference_metric(out, "rewards/accuracies", sc_unary(g, SC_UNARY_SIGMOID, sc_affine(g, margin, 1e30f, 0)),
                         weight);
    sc_preference_metric(out, "rewards/margins", margin, weight);
}

void sc_preference_add_nll(sc_loss_graph *out, const sc_text_batch *b, int which, float times)
{
    sc_graph *g = out->t.g;
    int i = 0;
    sc_tensor *weight = sc_preference_input(out, which, "nll_weight", 1, &b->rows),
              *nll = sc_loss_total(g, sc_cross_entropy(g, out->t.logits, out->labels, weight));
    while (i < SC_MORE && out->metric[i].value) i++;
    if (i < SC_MORE) out->metric[i] = (sc_metric){"nll_loss", nll};
    out->loss = sc_add(g, out->loss, sc_affine(g, nll, times, 0));
}

/* ---- losses ---- */

int sc_dpo_named(const char *name)
{
    static const char *const names[] = {"sigmoid", "hinge", "ipo", "ipo_sum", "robust"};
    for (int i = 0; i < SC_COUNT(names); i++)
        if (strcmp(names[i], name) == 0) return i;
    return -1;
}

/* -log sigmoid(x). */
static sc_tensor *surprise(sc_graph *g, sc_tensor *x)
{
    return sc_unary(g, SC_UNARY_SOFTPLUS, sc_affine(g, x, -1, 0));
}

/* The surprise that x is as it is, of which a share is that it is not. */
static sc_tensor *smoothed(sc_graph *g, sc_tensor *x, float right, float wrong)
{
    sc_tensor *loss = sc_affine(g, surprise(g, x), right, 0);
    return wrong == 0 ? loss : sc_add(g, loss, sc_affine(g, sc_unary(g, SC_UNARY_SOFTPLUS, x), wrong, 0));
}

sc_tensor *sc_dpo_losses(sc_graph *g, sc_dpo_loss kind, sc_tensor *ahead, float beta, float smoothing)
{
    sc_tensor *x = sc_affine(g, ahead, beta, 0), *off;
    switch (kind) {
    case SC_DPO_SIGMOID: return smoothed(g, x, 1 - smoothing, smoothing);
    case SC_DPO_ROBUST:
        return smoothed(g, x, (1 - smoothing) / (1 - 2 * smoothing), -smoothing / (1 - 2 * smoothing));
    case SC_DPO_HINGE: return sc_unary(g, SC_UNARY_RELU, sc_affine(g, x, -1, 1));
    case SC_DPO_IPO:
    case SC_DPO_IPO_SUM: off = sc_affine(g, ahead, 1, -1 / (2 * beta)); return sc_mul(g, off, off);
    }
    return NULL;
}

sc_tensor *sc_orpo_losses(sc_graph *g, sc_sides means)
{
    sc_tensor *odds = sc_minus(g, means.better, means.worse),
              *others = sc_minus(g, sc_unary(g, SC_UNARY_LOG1MEXP, means.better),
                                 sc_unary(g, SC_UNARY_LOG1MEXP, means.worse));
    return surprise(g, sc_minus(g, odds, others));
}

sc_tensor *sc_simpo_losses(sc_graph *g, sc_sides means, float beta, float gamma, float smoothing)
{
    sc_tensor *x = sc_affine(g, sc_minus(g, means.better, means.worse), beta, -gamma);
    return smoothed(g, x, 1 - smoothing, smoothing);
}

sc_tensor *sc_reward_losses(sc_graph *g, sc_sides reward, sc_tensor *margin, float center)
{
    sc_tensor *ahead = sc_minus(g, reward.better, reward.worse);
    sc_tensor *loss = surprise(g, margin ? sc_minus(g, ahead, margin) : ahead);
    if (center == 0) return loss;
    sc_tensor *sum = sc_add(g, reward.better, reward.worse);
    return sc_add(g, loss, sc_affine(g, sc_mul(g, sum, sum), center, 0));
}

sc_tensor *sc_kto_losses(sc_graph *g, sc_tensor *ratio, sc_tensor *divergence, sc_tensor *sign, float beta)
{
    sc_tensor *better = sc_mul(g, sign, sc_minus(g, ratio, divergence));
    return sc_unary(g, SC_UNARY_SIGMOID, sc_affine(g, better, -beta, 0)); /* 1 - sigmoid(beta better) */
}
