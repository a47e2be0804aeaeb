/* SPDX-License-Identifier: Apache-2.0 */
/* Single answers that are wanted or not, by how much better or worse they are than what the model does anyway: than the divergence
 * from the reference, which answers of other examples tell (Ethayarajh et al. 2024, "KTO"). */
#include "train/preferences.h"

typedef struct kto {
    sc_preference_set set; /* first */
    sc_reference *policy;  /* the model that learns, without gradients */
    const sc_model *model;
    float beta, weight[2]; /* of answers that are not wanted, and that are */
    float *strange;        /* what the model gives the others' answers */
    float *input[4];       /* of MORE_…, and of SC_PREFER_WEIGHT */
} kto;

enum { MORE_DIVERGENCE = SC_PREFER_OWN, MORE_SIGN, MORE_CHOSEN, MORE_REJECTED };

static void kto_free(void *self)
{
    kto *x = self;
    if (!x) return;
    sc_preference_set_free(&x->set);
    sc_reference_free(x->policy);
    sc_free(x->strange);
    for (int i = 0; i < SC_COUNT(x->input); i++) sc_free(x->input[i]);
    sc_free(x);
}

static sc_status kto_open(void **self, const sc_objective_setup *s)
{
    const sc_preference_options *o = &s->o->prefer;
    kto *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    x->beta = o->beta > 0 ? (float)o->beta : 0.1f;
    x->weight[1] = o->desirable > 0 ? (float)o->desirable : 1;
    x->weight[0] = o->undesirable > 0 ? (float)o->undesirable : 1;
    x->model = s->model;
    x->set.data[0].kind = x->set.data[1].kind = SC_ANSWERS_SINGLE;
    sc_status e = s->o->batch > 1
                      ? SC_OK
                      : sc_fail(SC_EINVAL, "a batch of one answer has no other to tell the divergence by");
    if (!e) e = sc_preference_set_open(&x->set, s, true);
    size_t n = (size_t)s->o->batch;
    for (int i = 0; !e && i < SC_COUNT(x->input); i++)
        if (!(x->input[i] = sc_calloc(n, sizeof(float)))) e = sc_nomem();
    if (!e && !(x->strange = sc_calloc(2 * n, sizeof *x->strange))) e = sc_nomem();
    if (e)
        kto_free(x);
    else
        *self = x;
    return e;
}

/* How far the model is from the reference on answers to other prompts; never below 0. */
static sc_status measure(kto *x, bool eval, int64_t index, float *out)
{
    sc_preference_set *q = &x->set;
    sc_text_batch b;
    double sum = 0;
    sc_status s = x->policy ? SC_OK : sc_reference_new(&x->policy, x->model);
    if (s) return s;
    sc_preference_set_begin(q, eval, index);
    sc_preference_set_strangers(q);
    s = sc_preference_set_close(q, &b);
    for (int k = 0; !s && k < 2; k++) {
        float *to = x->strange + k * q->count;
        s = sc_preference_set_ask(q, k ? q->reference : x->policy, &b, to);
    }
    for (int64_t i = 0; !s && i < q->count; i++) sum += x->strange[i] - x->strange[q->count + i];
    *out = (float)SC_MAX(sum / (double)SC_MAX(q->count, 1), 0);
    return s;
}

static sc_status batch(kto *x, bool eval, int64_t index, sc_text_batch *out)
{
    sc_preference_set *q = &x->set;
    float divergence;
    int64_t wanted = 0;
    sc_status s = measure(x, eval, index, &divergence);
    if (s) return s;
    sc_preference_set_begin(q, eval, index);
    sc_preference_set_answers(q, 0);
    if ((s = sc_preference_set_finish(q, out))) return s;
    int64_t n = q->count;
    for (int64_t i = 0; i < n; i++) wanted += q->data[eval].item[q->chosen[i]].value > 0;
    for (int64_t i = 0; i < n; i++) {
        bool yes = q->data[eval].item[q->chosen[i]].value > 0;
        x->input[0][i] = divergence;
        x->input[1][i] = yes ? 1 : -1;
        x->input[2][i] = yes ? 1 / (float)wanted : 0;
        x->input[3][i] = yes ? 0 : 1 / (float)(n - wanted);
        q->weight[i] = x->weight[yes] / (float)n;
    }
    for (int i = 0; i < SC_COUNT(x->input); i++)
        out->more[MORE_DIVERGENCE + i] = (sc_more_input){x->input[i], n, MORE_DIVERGENCE + i >= MORE_CHOSEN};
    return SC_OK;
}

static sc_status kto_batch(void *self, int64_t index, sc_text_batch *out) { return batch(self, false, index, out); }
static sc_status kto_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, true, index, out);
}

static sc_status kto_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    const kto *x = self;
    sc_tensor *p, *in[4];
    sc_status s = sc_preference_log_probs(out, m, b, true, &p);
    if (s) return s;
    sc_graph *g = out->t.g;
    int64_t n = sc_preference_pairs(b);
    static const char *const names[] = {"divergence", "sign", "chosen", "rejected"};
    for (int i = 0; i < 4; i++) in[i] = sc_preference_input(out, MORE_DIVERGENCE + i, names[i], 1, &n);
    sc_tensor *ratio = sc_slice(g, sc_minus(g, p, out->more[SC_PREFER_REFERENCE]), 0, 0, n),
              *reward = sc_affine(g, ratio, x->beta, 0), *whole = sc_loss_total(g, out->weight);
    sc_tensor *losses = sc_kto_losses(g, ratio, in[0], in[1], x->beta);
    out->loss = sc_loss_total(g, sc_mul(g, losses, out->more[SC_PREFER_WEIGHT]));
    sc_preference_metric(out, "rewards/chosen", reward, in[2]);
    sc_preference_metric(out, "rewards/rejected", reward, in[3]);
    sc_preference_metric(out, "rewards/margins", reward, sc_minus(g, in[2], in[3]));
    sc_preference_metric(out, "logps/chosen", sc_slice(g, p, 0, 0, n), in[2]);
    sc_preference_metric(out, "logps/rejected", sc_slice(g, p, 0, 0, n), in[3]);
    sc_preference_metric(out, "kl", sc_slice(g, in[0], 0, 0, 1), whole);
    return SC_OK;
}

const sc_objective sc_objective_kto = {.name = "kto",
                                       .summary = "answers that are wanted, and no others, one by one",
                                       .kinds = SC_LEARNS_DECODER,
                                       .rate = 0.001,
                                       .together = true,
                                       .open = kto_open,
                                       .free = kto_free,
                                       .size = sc_preference_set_size,
                                       .batch = kto_batch,
                                       .eval_batch = kto_eval_batch,
                                       .describe = sc_preference_set_describe,
                                       .build = kto_build,
                                       .finish = sc_preference_set_publish};
