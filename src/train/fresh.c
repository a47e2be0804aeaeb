/* SPDX-License-Identifier: Apache-2.0 */
/* How wide the weights of a new model are spread, where its configuration or its family has another measure than the 0.02
 * that builders ask for. */
#include "train/train.h"

#include <math.h>

#define USUAL 0.02

/* T5's own rule (Raffel et al. 2020, and the reference's initialiser): queries so narrow that scores need no scaling, and
 * token vectors of length sqrt(d_model). 0: it has none for the name. */
static double of_t5(const json_t *c, const char *name)
{
    double d = json_number_value(json_object_get(c, "d_model")), kv = json_number_value(json_object_get(c, "d_kv")),
           heads = json_number_value(json_object_get(c, "num_heads")),
           ff = json_number_value(json_object_get(c, "d_ff"));
    const struct {
        const char *end;
        double std;
    } rules[] = {{"shared.weight", 1},
                 {"lm_head.weight", 1},
                 {".q.weight", 1 / sqrt(d * kv)},
                 {".k.weight", 1 / sqrt(d)},
                 {".v.weight", 1 / sqrt(d)},
                 {".o.weight", 1 / sqrt(heads * kv)},
                 {".wi.weight", 1 / sqrt(d)},
                 {".wi_0.weight", 1 / sqrt(d)},
                 {".wi_1.weight", 1 / sqrt(d)},
                 {".wo.weight", 1 / sqrt(ff)},
                 {"relative_attention_bias.weight", 1 / sqrt(d)}};
    for (int i = 0; i < SC_COUNT(rules); i++)
        if (sc_path_has_suffix(name, rules[i].end)) return rules[i].std;
    return 0;
}

void sc_fresh_weights(sc_model *m)
{
    const char *type = m->info.model_type;
    bool t5 = strcmp(type, "t5") == 0 || strcmp(type, "mt5") == 0;
    double range = 0, factor = json_number_value(json_object_get(m->json, "initializer_factor"));
    static const char *const keys[] = {"init_std", "initializer_range"};
    for (int i = 0; i < SC_COUNT(keys); i++) {
        double x = json_number_value(json_object_get(m->json, keys[i]));
        if (x > 0 && x <= 10) range = x;
    }
    if (!(factor > 0)) factor = 1;
    for (int64_t i = 0; i < m->n_params; i++) {
        const sc_model_param *p = &m->param[i];
        sc_weight *w = sc_model_weight(m, p->name);
        double std = t5 ? factor * of_t5(m->json, p->name) : range;
        /* The recurrent models' builder has a measure of its own. */
        if (p->rank < 2 || !(std > 0) || strcmp(type, "word_seq2seq") == 0 || w->form != SC_FORM_STORED) continue;
        float *x = w->storage.data;
        int64_t n = sc_shape_elements(&w->shape);
        for (int64_t k = 0; k < n; k++) x[k] *= (float)(std / USUAL);
    }
}
