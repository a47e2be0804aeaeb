/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of which one is liked better, learned directly: the model is to prefer it by more than a reference does, which stays as it
 * is (Rafailov et al. 2023, "Direct preference optimization"). */
#include "train/preferences.h"

typedef struct dpo {
    sc_preference_set set; /* first */
    sc_dpo_loss loss;
    float beta, smoothing, sft;
    float *nll; /* (R) weights of the better answers' tokens */
    int64_t cap_nll;
} dpo;

enum { MORE_NLL = SC_PREFER_OWN };

static void dpo_free(void *self)
{
    dpo *x = self;
    if (!x) return;
    sc_preference_set_free(&x->set);
    sc_free(x->nll);
    sc_free(x);
}

static sc_status read_options(dpo *x, const sc_train_options *o)
{
    const char *name = o->prefer.loss ? o->prefer.loss : "sigmoid";
    int kind = sc_dpo_named(name);
    if (kind < 0) return sc_fail(SC_EINVAL, "no loss of preferences is called '%s'", name);
    x->loss = (sc_dpo_loss)kind;
    x->beta = o->prefer.beta > 0 ? (float)o->prefer.beta : 0.1f;
    x->smoothing = (float)o->smoothing;
    x->sft = (float)o->prefer.sft;
    x->set.means = x->loss == SC_DPO_IPO;
    bool smooths = x->loss == SC_DPO_SIGMOID || x->loss == SC_DPO_ROBUST;
    if (x->smoothing != 0 && !smooths)
        return sc_fail(SC_EINVAL, "the loss '%s' has no label smoothing: sigmoid and robust have", name);
    if (x->smoothing < 0 || x->smoothing >= 0.5f)
        return sc_fail(SC_EINVAL, "a label smoothing of %g: as many pairs are taken to be wrong as right",
                       x->smoothing);
    return SC_OK;
}

static sc_status dpo_open(void **self, const sc_objective_setup *s)
{
    dpo *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    sc_status e = read_options(x, s->o);
    if (!e) e = sc_preference_set_open(&x->set, s, true);
    if (e)
        dpo_free(x);
    else
        *self = x;
    return e;
}

static sc_status batch(dpo *x, bool eval, int64_t index, sc_text_batch *out)
{
    sc_status s = sc_preference_set_batch(&x->set, eval, index, out);
    if (s || x->sft == 0) return s;
    return sc_preference_nll_weights(&x->set, out, &x->nll, &x->cap_nll, MORE_NLL);
}

static sc_status dpo_batch(void *self, int64_t index, sc_text_batch *out) { return batch(self, false, index, out); }
static sc_status dpo_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, true, index, out);
}

static sc_status dpo_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    const dpo *x = self;
    sc_tensor *p;
    int64_t pairs = sc_preference_pairs(b);
    sc_status s = sc_preference_log_probs(out, m, b, true, &p);
    if (s) return s;
    sc_graph *g = out->t.g;
    sc_tensor *weight = out->more[SC_PREFER_WEIGHT];
    sc_sides ratio = sc_preference_sides(g, sc_minus(g, p, out->more[SC_PREFER_REFERENCE]), pairs),
             policy = sc_preference_sides(g, p, pairs);
    sc_tensor *losses = sc_dpo_losses(g, x->loss, sc_minus(g, ratio.better, ratio.worse), x->beta, x->smoothing);
    out->loss = sc_loss_total(g, sc_mul(g, losses, weight));
    sc_preference_rewards(
        out, (sc_sides){sc_affine(g, ratio.better, x->beta, 0), sc_affine(g, ratio.worse, x->beta, 0)}, weight);
    sc_preference_metric(out, "logps/chosen", policy.better, weight);
    sc_preference_metric(out, "logps/rejected", policy.worse, weight);
    if (x->sft != 0) sc_preference_add_nll(out, b, MORE_NLL, x->sft);
    return SC_OK;
}

const sc_objective sc_objective_dpo = {.name = "dpo",
                                       .summary =
                                           "to prefer chosen answers to rejected ones, more than a reference does",
                                       .kinds = SC_LEARNS_DECODER,
                                       .rate = 0.001,
                                       .open = dpo_open,
                                       .free = dpo_free,
                                       .size = sc_preference_set_size,
                                       .batch = dpo_batch,
                                       .eval_batch = dpo_eval_batch,
                                       .describe = sc_preference_set_describe,
                                       .build = dpo_build,
                                       .finish = sc_preference_set_publish};
