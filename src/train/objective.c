/* SPDX-License-Identifier: Apache-2.0 */
#include "train/objective.h"

#include <math.h>

static const sc_objective *const objectives[] = {
#define O(name) &sc_objective_##name,
#include "train/objectives.def"
#undef O
};

const char *sc_train_objective_at(int i, const char **summary)
{
    if (i < 0 || i >= SC_COUNT(objectives)) return NULL;
    if (summary) *summary = objectives[i]->summary;
    return objectives[i]->name;
}

/* ---- choosing one ---- */

static unsigned kind_of(const sc_family *f)
{
    if (f->encoder_decoder) return SC_LEARNS_PAIR;
    return f->build == sc_encoder_build ? SC_LEARNS_ENCODER : SC_LEARNS_DECODER;
}

/* What transformers calls the classes of an encoder's type; NULL: it is none. */
static const char *class_of(const char *model_type)
{
    static const char *const classes[][2] = {{"bert", "Bert"},
                                             {"roberta", "Roberta"},
                                             {"xlm-roberta", "XLMRoberta"},
                                             {"camembert", "Camembert"},
                                             {"distilbert", "DistilBert"},
                                             {"electra", "Electra"},
                                             {"modernbert", "ModernBert"},
                                             {"deberta-v2", "DebertaV2"}};
    for (int i = 0; i < SC_COUNT(classes); i++)
        if (strcmp(classes[i][0], model_type) == 0) return classes[i][1];
    return NULL;
}

/* The first that is usual for a type, or for its kind. */
static const char *usual(const char *model_type, unsigned kind)
{
    static const char *const own[][2] = {
        {"t5", "span"}, {"mt5", "span"}, {"bart", "denoise"}, {"mbart", "denoise"}};
    for (int i = 0; i < SC_COUNT(own); i++)
        if (strcmp(own[i][0], model_type) == 0) return own[i][1];
    return kind == SC_LEARNS_PAIR ? "seq2seq" : kind == SC_LEARNS_ENCODER ? "mlm" : "causal";
}

sc_status sc_objective_choose(const sc_objective **out, const char *name, const json_t *config, const char *path)
{
    const char *type = NULL;
    const sc_objective *found = NULL;
    sc_status s = sc_json_str(config, path, "model_type", &type);
    if (!s && !type) s = sc_fail(SC_EFORMAT, "%s: config.json has no model_type", path);
    if (s) return s;
    const sc_family *f = sc_family_of(type);
    if (!f) return sc_family_unknown(path, type);
    unsigned kind = kind_of(f);
    const char *want = name ? name : usual(type, kind);
    for (int i = 0; !found && i < SC_COUNT(objectives); i++)
        if (strcmp(want, objectives[i]->name) == 0) found = objectives[i];
    if (!found) return sc_fail(SC_EINVAL, "no objective is called '%s'", want);
    if (!(found->kinds & kind))
        return sc_fail(SC_EUNSUPPORTED, "%s: a model of type '%s' does not learn '%s'", path, type, want);
    *out = found;
    return SC_OK;
}

unsigned sc_objective_kind(const json_t *config)
{
    return kind_of(sc_family_of(json_string_value(json_object_get(config, "model_type"))));
}

sc_status sc_objective_changes(json_t *changes, const sc_objective *o, const sc_objective_setup *setup)
{
    const char *type = json_string_value(json_object_get(setup->config, "model_type")), *class = class_of(type);
    char name[64];
    snprintf(name, sizeof name, "%s%s", class ? class : "", o->head ? o->head : "");
    if (class && o->head && json_object_set_new(changes, "architectures", json_pack("[s]", name)) != 0)
        return sc_nomem();
    return o->changes ? o->changes(setup, changes) : SC_OK;
}

sc_status sc_objective_length(const sc_objective_setup *x, int64_t *out)
{
    int64_t context = x->model->info.context;
    if (!x->o->length) x->o->length = SC_MIN(context ? context : 512, 512);
    *out = x->o->length;
    if (!context || *out <= context) return SC_OK;
    return sc_fail(SC_EINVAL, "sequences of %lld tokens, the model's context is %lld", (long long)*out,
                   (long long)context);
}

/* ---- losses ---- */

double sc_measure_value(const sc_measure *s)
{
    if (!(s->n > 0)) return s->counted > 0 ? s->right / s->counted : 0;
    double xy = s->xy - s->x * s->y / s->n, xx = s->xx - s->x * s->x / s->n, yy = s->yy - s->y * s->y / s->n;
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

void sc_loss_inputs(sc_loss_graph *out, int64_t rows, bool numbers)
{
    sc_graph *g = out->t.g;
    sc_shape shape = {1, {rows}};
    if (numbers)
        out->target = sc_graph_input(g, "target", SC_F32, &shape);
    else
        out->labels = sc_graph_input(g, "labels", SC_I32, &shape);
    out->weight = sc_graph_input(g, "weight", SC_F32, &shape);
}

/* The sum of losses (rows). */
sc_tensor *sc_loss_total(sc_graph *g, sc_tensor *losses)
{
    return sc_sum_leading(g, sc_reshape(g, losses, 2, (int64_t[]){-1, 1}), 1);
}

void sc_loss_cross_entropy(sc_loss_graph *out, sc_tensor *logits, int64_t rows, float smoothing)
{
    sc_graph *g = out->t.g;
    sc_loss_inputs(out, rows, false);
    out->loss = sc_loss_total(g, sc_cross_entropy_smoothed(g, logits, out->labels, out->weight, smoothing));
    out->result = logits;
}

void sc_loss_squares(sc_loss_graph *out, sc_tensor *numbers, int64_t rows)
{
    sc_graph *g = out->t.g;
    sc_loss_inputs(out, rows, true);
    sc_tensor *off = sc_add(g, sc_reshape(g, numbers, 1, &rows), sc_affine(g, out->target, -1, 0));
    out->loss = sc_loss_total(g, sc_mul(g, sc_mul(g, off, off), out->weight));
    out->result = numbers;
}

sc_status sc_build_pair(sc_loss_graph *out, const sc_model *m, const sc_text_batch *b, float smoothing)
{
    const sc_text_shape shape = {.tokens = b->tokens, .sequences = b->sequences, .source = b->source};
    sc_status s = sc_text_graph_build(&out->t, m, &shape);
    if (!s) sc_loss_cross_entropy(out, out->t.logits, b->rows, out->learns ? smoothing : 0);
    return s;
}

sc_status sc_pair_ids_of(sc_pair_ids *out, const sc_objective_setup *x)
{
    const sc_model *m = x->model;
    int64_t n;
    const int32_t *ends = sc_model_eos(m, &n);
    *out = (sc_pair_ids){sc_model_decoder_start(m), n ? ends[0] : sc_tokenizer_eos(x->tokenizer),
                         strcmp(m->info.model_type, "mbart") == 0};
    if (out->start < 0) out->start = sc_tokenizer_pad(x->tokenizer);
    if (out->start < 0) return sc_fail(SC_EINVAL, "%s: config.json has no decoder_start_token_id", m->info.path);
    if (out->end < 0) return sc_fail(SC_EINVAL, "%s: config.json has no eos_token_id", m->info.path);
    if (out->start < m->info.vocab && out->end < m->info.vocab) return SC_OK;
    return sc_fail(SC_ELIMIT, "%s: texts begin with id %d and end with %d, the model has %lld tokens", m->info.path,
                   out->start, out->end, (long long)m->info.vocab);
}
