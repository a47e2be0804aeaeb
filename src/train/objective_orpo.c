/* SPDX-License-Identifier: Apache-2.0 */
/* The chosen text learned as it is, and beside that the odds of its answer to be better than those of the rejected one, in one
 * training without a reference (Hong et al. 2024, "ORPO"). */
#include "train/preferences.h"

typedef struct orpo {
    sc_preference_set set; /* first */
    float beta;
    float *nll;
    int64_t cap_nll;
} orpo;

enum { MORE_NLL = SC_PREFER_OWN };

static void orpo_free(void *self)
{
    orpo *x = self;
    if (!x) return;
    sc_preference_set_free(&x->set);
    sc_free(x->nll);
    sc_free(x);
}

static sc_status orpo_open(void **self, const sc_objective_setup *s)
{
    orpo *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    x->beta = s->o->prefer.beta > 0 ? (float)s->o->prefer.beta : 0.1f;
    x->set.means = true;
    x->set.prompts = true; /* which are learned with the chosen answers */
    sc_status e = sc_preference_set_open(&x->set, s, false);
    if (e)
        orpo_free(x);
    else
        *self = x;
    return e;
}

static sc_status batch(orpo *x, bool eval, int64_t index, sc_text_batch *out)
{
    sc_status s = sc_preference_set_batch(&x->set, eval, index, out);
    return s ? s : sc_preference_nll_weights(&x->set, out, &x->nll, &x->cap_nll, MORE_NLL);
}

static sc_status orpo_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, false, index, out);
}

static sc_status orpo_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, true, index, out);
}

static sc_status orpo_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    const orpo *x = self;
    sc_tensor *p;
    sc_status s = sc_preference_log_probs(out, m, b, false, &p);
    if (s) return s;
    sc_graph *g = out->t.g;
    sc_tensor *weight = out->more[SC_PREFER_WEIGHT];
    sc_sides mean = sc_preference_sides(g, p, sc_preference_pairs(b));
    sc_tensor *odds = sc_orpo_losses(g, mean);
    out->loss = sc_loss_total(g, sc_mul(g, sc_affine(g, odds, x->beta, 0), weight));
    sc_preference_rewards(
        out, (sc_sides){sc_affine(g, mean.better, x->beta, 0), sc_affine(g, mean.worse, x->beta, 0)}, weight);
    sc_preference_metric(out, "log_odds", odds, weight);
    sc_preference_add_nll(out, b, MORE_NLL, 1);
    return SC_OK;
}

const sc_objective sc_objective_orpo = {.name = "orpo",
                                        .summary =
                                            "chosen texts, and odds of their answers above those of rejected ones",
                                        .kinds = SC_LEARNS_DECODER,
                                        .rate = 0.001,
                                        .open = orpo_open,
                                        .free = orpo_free,
                                        .size = sc_preference_set_size,
                                        .batch = orpo_batch,
                                        .eval_batch = orpo_eval_batch,
                                        .describe = sc_preference_set_describe,
                                        .build = orpo_build,
                                        .finish = sc_preference_set_publish};
