/* SPDX-License-Identifier: Apache-2.0 */
/* Preferences by mean log-probabilities a token, without a reference (Meng et al. 2024, "SimPO"). */
#include "train/preferences.h"

typedef struct simpo {
    sc_preference_set set; /* first */
    float beta, gamma, smoothing, sft;
    float *nll;
    int64_t cap_nll;
} simpo;

enum { MORE_NLL = SC_PREFER_OWN };

static void simpo_free(void *self)
{
    simpo *x = self;
    if (!x) return;
    sc_preference_set_free(&x->set);
    sc_free(x->nll);
    sc_free(x);
}

static sc_status simpo_open(void **self, const sc_objective_setup *s)
{
    const sc_train_options *o = s->o;
    simpo *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    x->beta = o->prefer.beta > 0 ? (float)o->prefer.beta : 2;
    x->gamma = o->prefer.gamma != 0 ? (float)SC_MAX(o->prefer.gamma, 0) : 1;
    x->smoothing = (float)o->smoothing;
    x->sft = (float)o->prefer.sft;
    x->set.means = true;
    sc_status e = sc_preference_set_open(&x->set, s, false);
    if (e)
        simpo_free(x);
    else
        *self = x;
    return e;
}

static sc_status batch(simpo *x, bool eval, int64_t index, sc_text_batch *out)
{
    sc_status s = sc_preference_set_batch(&x->set, eval, index, out);
    if (s || x->sft == 0) return s;
    return sc_preference_nll_weights(&x->set, out, &x->nll, &x->cap_nll, MORE_NLL);
}

static sc_status simpo_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, false, index, out);
}

static sc_status simpo_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, true, index, out);
}

static sc_status simpo_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    const simpo *x = self;
    sc_tensor *p;
    sc_status s = sc_preference_log_probs(out, m, b, false, &p);
    if (s) return s;
    sc_graph *g = out->t.g;
    sc_tensor *weight = out->more[SC_PREFER_WEIGHT];
    sc_sides mean = sc_preference_sides(g, p, sc_preference_pairs(b));
    out->loss = sc_loss_total(g, sc_mul(g, sc_simpo_losses(g, mean, x->beta, x->gamma, x->smoothing), weight));
    sc_preference_rewards(
        out, (sc_sides){sc_affine(g, mean.better, x->beta, 0), sc_affine(g, mean.worse, x->beta, 0)}, weight);
    sc_preference_metric(out, "logps/chosen", mean.better, weight);
    sc_preference_metric(out, "logps/rejected", mean.worse, weight);
    if (x->sft != 0) sc_preference_add_nll(out, b, MORE_NLL, x->sft);
    return SC_OK;
}

const sc_objective sc_objective_simpo = {.name = "simpo",
                                         .summary = "to prefer chosen answers by a margin, without a reference",
                                         .kinds = SC_LEARNS_DECODER,
                                         .rate = 0.001,
                                         .open = simpo_open,
                                         .free = simpo_free,
                                         .size = sc_preference_set_size,
                                         .batch = simpo_batch,
                                         .eval_batch = simpo_eval_batch,
                                         .describe = sc_preference_set_describe,
                                         .build = simpo_build,
                                         .finish = sc_preference_set_publish};
