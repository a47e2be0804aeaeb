/* SPDX-License-Identifier: Apache-2.0 */
/* A number for a prompt with its answer, higher for the one of two that people like better (Bradley and Terry 1952; Ouyang et al.
 * 2022). The model is one of transformers' ForSequenceClassification with one label: that is what it is published as. */
#include "train/preferences.h"

typedef struct reward {
    sc_preference_set set; /* first */
    float center;
    float *margin; /* of the batch; NULL: no pair says by how much it is better */
    int32_t pad;   /* which transformers skips at a text's end; -1: none */
} reward;

enum { MORE_MARGIN = SC_PREFER_OWN };

static void reward_free(void *self)
{
    reward *x = self;
    if (!x) return;
    sc_preference_set_free(&x->set);
    sc_free(x->margin);
    sc_free(x);
}

/* ---- the model's configuration ---- */

/* "LlamaForCausalLM" as "LlamaForSequenceClassification". */
static sc_status set_class(const sc_objective_setup *s, json_t *changes)
{
    static const char *const ends[] = {"ForCausalLM", "LMHeadModel", "ForSequenceClassification"};
    const char *type = json_string_value(json_object_get(s->config, "model_type")),
               *had = json_string_value(json_array_get(json_object_get(s->config, "architectures"), 0));
    const sc_gguf_arch *a = had || !type ? NULL : sc_gguf_arch_for(type);
    const char *name = had ? had : a ? a->hf_class : NULL;
    char text[128];
    for (int i = 0; name && i < SC_COUNT(ends); i++) {
        if (!sc_path_has_suffix(name, ends[i])) continue;
        snprintf(text, sizeof text, "%.*sForSequenceClassification", (int)(strlen(name) - strlen(ends[i])), name);
        return json_object_set_new(changes, "architectures", json_pack("[s]", text)) == 0 ? SC_OK : sc_nomem();
    }
    return sc_fail(SC_EUNSUPPORTED, "%s: \"architectures\" of config.json names no model of next tokens",
                   s->o->model ? s->o->model : "the model");
}

static sc_status reward_changes(const sc_objective_setup *s, json_t *changes)
{
    const json_t *pad = json_object_get(s->config, "pad_token_id");
    int32_t own = sc_tokenizer_pad(s->tokenizer);
    if (own < 0) own = sc_tokenizer_eos(s->tokenizer);
    if (s->o->peft.method)
        return sc_fail(
            SC_EUNSUPPORTED,
            "a reward model is trained with all its weights: the head for the number is new, and who opens the "
            "base with an adapter would not have it");
    sc_status e = set_class(s, changes);
    if (e) return e;
    if (json_object_set_new(changes, "id2label", json_pack("{s:s}", "0", "LABEL_0")) != 0 ||
        json_object_set_new(changes, "label2id", json_pack("{s:i}", "LABEL_0", 0)) != 0 ||
        json_object_set_new(changes, "num_labels", json_integer(1)) != 0 ||
        (!json_is_integer(pad) && own >= 0 && json_object_set_new(changes, "pad_token_id", json_integer(own)) != 0))
        return sc_nomem();
    return SC_OK;
}

/* ---- data ---- */

static bool has_margins(const sc_preferences *p)
{
    for (int64_t i = 0; i < p->count; i++)
        if (p->item[i].value != 0) return true;
    return false;
}

static sc_status reward_open(void **self, const sc_objective_setup *s)
{
    reward *x = sc_calloc(1, sizeof *x);
    if (!x) return sc_nomem();
    x->center = (float)s->o->prefer.center;
    x->pad = sc_model_pad(s->model);
    sc_status e = s->model->info.head == SC_HEAD_CLASSES && s->model->info.labels == 1
                      ? SC_OK
                      : sc_fail(SC_EUNSUPPORTED, "%s: the model has no head of one number", s->model->info.path);
    if (!e) e = sc_preference_set_open(&x->set, s, false);
    if (!e && (has_margins(&x->set.data[0]) || has_margins(&x->set.data[1])) &&
        !(x->margin = sc_calloc((size_t)s->o->batch, sizeof *x->margin)))
        e = sc_nomem();
    if (e)
        reward_free(x);
    else
        *self = x;
    return e;
}

/* A prompt with an answer, without padding at its end. */
static void put_text(reward *x, const sc_preferences *p, const sc_preference *e, int k)
{
    sc_maker *m = &x->set.maker;
    const int32_t *answer = sc_preference_answer(p, e, k);
    int64_t n = e->n[k];
    while (n > 0 && answer[n - 1] == x->pad) n--;
    sc_maker_text(m, &m->text, p->ids + e->at, NULL, e->prompt, false);
    if (n) sc_maker_text(m, &m->text, answer, NULL, n, true);
}

static sc_status batch(reward *x, bool eval, int64_t index, sc_text_batch *out)
{
    sc_preference_set *q = &x->set;
    const sc_preferences *p = &q->data[eval];
    sc_preference_set_begin(q, eval, index);
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < q->count; i++) put_text(x, p, &p->item[q->chosen[i]], k);
    q->maker.examples = q->count;
    sc_status s = sc_maker_finish(&q->maker, SC_ROWS_OWN, out);
    if (s) return s;
    for (int64_t i = 0; i < q->count; i++) {
        q->weight[i] = 1 / (float)q->count;
        if (x->margin) x->margin[i] = p->item[q->chosen[i]].value;
    }
    out->more[SC_PREFER_WEIGHT] = (sc_more_input){q->weight, q->count, true};
    if (x->margin) out->more[MORE_MARGIN] = (sc_more_input){x->margin, q->count, false};
    out->counted = q->count;
    return SC_OK;
}

static sc_status reward_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, false, index, out);
}

static sc_status reward_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    return batch(self, true, index, out);
}

static sc_status reward_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    const reward *x = self;
    int64_t n = sc_preference_pairs(b);
    sc_status s = sc_text_graph_new(&out->t, m, b->tokens, b->sequences, 0, NULL, NULL);
    if (s) return s;
    sc_graph *g = out->t.g;
    sc_tensor *weight = sc_preference_input(out, SC_PREFER_WEIGHT, "pair_weight", 1, &n),
              *margin = x->margin ? sc_preference_input(out, MORE_MARGIN, "margin", 1, &n) : NULL;
    sc_sides side = sc_preference_sides(g, sc_reshape(g, out->t.logits, 1, &b->sequences), n);
    out->loss = sc_loss_total(g, sc_mul(g, sc_reward_losses(g, side, margin, x->center), weight));
    sc_preference_rewards(out, side, weight);
    out->result = out->t.logits;
    return SC_OK;
}

const sc_objective sc_objective_reward = {.name = "reward",
                                          .summary = "a number for an answer, higher for those that are preferred",
                                          .kinds = SC_LEARNS_DECODER,
                                          .rate = 0.01,
                                          .changes = reward_changes,
                                          .open = reward_open,
                                          .free = reward_free,
                                          .size = sc_preference_set_size,
                                          .batch = reward_batch,
                                          .eval_batch = reward_eval_batch,
                                          .describe = sc_preference_set_describe,
                                          .build = reward_build,
                                          .finish = sc_preference_set_publish};
