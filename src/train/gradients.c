/* SPDX-License-Identifier: Apache-2.0 */
/* A model as a function of named tensors, with the loss of its labels and what each weight has to do with that. */
#include "train/train.h"

/* The rows' real tokens end to end, and what each is to predict. */
typedef struct rows {
    sc_padded p;
    int32_t *ids, *labels, *start;
    float *weight;
} rows;

static void free_rows(rows *r)
{
    sc_padded_free(&r->p);
    sc_free(r->ids);
    sc_free(r->labels);
    sc_free(r->start);
    sc_free(r->weight);
}

static sc_status make_room(rows *r)
{
    size_t n = (size_t)r->p.total;
    r->ids = sc_calloc(n, sizeof *r->ids);
    r->labels = sc_calloc(n, sizeof *r->labels);
    r->weight = sc_calloc(n, sizeof *r->weight);
    r->start = sc_calloc((size_t)r->p.b + 1, sizeof *r->start);
    return r->ids && r->labels && r->weight && r->start ? SC_OK : sc_nomem();
}

static sc_status check(const sc_named_tensor *t, const char *name, const sc_named_tensor *like)
{
    if (!t) return sc_fail(SC_EINVAL, "%s is missing", name);
    if (t->dtype != SC_I32 && t->dtype != SC_I64) return sc_fail(SC_ESHAPE, "%s is not i32 or i64", name);
    if (t->rank != 2) return sc_fail(SC_ESHAPE, "%s has %d axes, not (batch, tokens)", name, t->rank);
    if (like && (t->dim[0] != like->dim[0] || t->dim[1] != like->dim[1]))
        return sc_fail(SC_ESHAPE, "%s and %s differ in shape", name, like->name);
    return SC_OK;
}

/* A token predicts the label of the next column; the loss is the mean over those that are not negative. */
static sc_status read_rows(rows *r, const sc_named_tensor *in, int64_t n_in)
{
    const sc_named_tensor *ids = sc_named(in, n_in, "input_ids"), *labels = sc_named(in, n_in, "labels");
    sc_status s = check(ids, "input_ids", NULL);
    if (!s) s = check(labels, "labels", ids);
    if (!s) s = sc_unpad(&r->p, ids, sc_named(in, n_in, "attention_mask"));
    if (!s) s = make_room(r);
    if (s) return s;
    int64_t at = 0, counted = 0;
    for (int64_t row = 0; row < r->p.b; row++) {
        int64_t begin = row * r->p.t, first = r->p.first[row], end = first + r->p.n[row];
        for (int64_t i = first; i < end; i++, at++) {
            int64_t id = sc_named_int(ids, begin + i);
            int64_t label = i + 1 < r->p.t ? sc_named_int(labels, begin + i + 1) : -1;
            if (id < 0 || id > INT32_MAX || label > INT32_MAX)
                return sc_fail(SC_ELIMIT, "input_ids or labels: %lld is out of range",
                               (long long)SC_MAX(id, label));
            r->ids[at] = (int32_t)id;
            r->labels[at] = label < 0 ? -1 : (int32_t)label;
            counted += label >= 0;
        }
        r->start[row + 1] = (int32_t)at;
    }
    for (int64_t i = 0; i < at; i++) r->weight[i] = 1 / (float)SC_MAX(counted, 1);
    return counted ? SC_OK : sc_fail(SC_EINVAL, "labels has none that counts");
}

static sc_status add_gradients(sc_outputs *o, const sc_learner *l)
{
    int64_t n;
    const sc_trained *t = sc_learner_trained(l, &n);
    for (int64_t i = 0; i < n; i++) {
        sc_str name = {0};
        sc_str_printf(&name, "grad.%s", t[i].name);
        char *text = sc_str_take(&name, NULL);
        float *out = text ? sc_outputs_add(o, text, t[i].rank, t[i].dim) : NULL;
        sc_free(text);
        if (!out) return sc_nomem();
        memcpy(out, sc_learner_gradients(l)[i], sizeof *out * (size_t)(t[i].rows * t[i].cols));
    }
    return SC_OK;
}

sc_status sc_model_gradients(sc_outputs **out, sc_model *m, const sc_named_tensor *in, int64_t n_in, bool all)
{
    sc_outputs *o = NULL;
    sc_learner *l = NULL;
    rows r = {0};
    double loss;
    sc_status s = read_rows(&r, in, n_in);
    if (!s) s = sc_model_forward(&o, m, in, n_in, all);
    if (!s) s = sc_learner_new(&l, m, &sc_objective_causal, NULL);
    sc_text_batch b = {.tokens = r.p.total,
                       .sequences = r.p.b,
                       .rows = r.p.total,
                       .ids = r.ids,
                       .labels = r.labels,
                       .weight = r.weight,
                       .start = r.start};
    if (!s) s = sc_learner_add(l, &b, 1, &loss);
    float *value = s ? NULL : sc_outputs_add(o, "loss", 1, (int64_t[]){1});
    if (!s && !value) s = sc_nomem();
    if (!s) *value = (float)loss;
    if (!s) s = add_gradients(o, l);
    sc_learner_free(l);
    free_rows(&r);
    if (s)
        sc_outputs_free(o);
    else
        *out = o;
    return s;
}
