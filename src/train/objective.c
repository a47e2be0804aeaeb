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

static unsigned kind_of(const sc_model *m)
{
    if (m->family->encoder_decoder) return SC_LEARNS_PAIR;
    return m->info.head == SC_HEAD_NEXT ? SC_LEARNS_DECODER : SC_LEARNS_ENCODER;
}

sc_status sc_objective_choose(const sc_objective **out, const char *name, const sc_model *m)
{
    unsigned kind = kind_of(m);
    const sc_objective *found = NULL;
    for (int i = 0; !found && i < SC_COUNT(objectives); i++)
        if (name ? strcmp(name, objectives[i]->name) == 0 : (objectives[i]->kinds & kind) != 0)
            found = objectives[i];
    if (name && !found) return sc_fail(SC_EINVAL, "no objective is called '%s'", name);
    if (!found || !(found->kinds & kind))
        return sc_fail(SC_EUNSUPPORTED, "%s: %s does not learn '%s'", m->info.path, m->info.model_type,
                       found ? found->name : "anything");
    *out = found;
    return SC_OK;
}

double sc_measure_value(const sc_measure *s)
{
    if (!(s->n > 0)) return s->counted > 0 ? s->right / s->counted : 0;
    double xy = s->xy - s->x * s->y / s->n, xx = s->xx - s->x * s->x / s->n, yy = s->yy - s->y * s->y / s->n;
    return xx > 0 && yy > 0 ? xy / sqrt(xx * yy) : 0;
}

void sc_loss_cross_entropy(sc_loss_graph *out, sc_tensor *logits, int64_t rows)
{
    sc_graph *g = out->t.g;
    sc_shape shape = {1, {rows}};
    out->labels = sc_graph_input(g, "labels", SC_I32, &shape);
    out->weight = sc_graph_input(g, "weight", SC_F32, &shape);
    sc_tensor *losses = sc_cross_entropy(g, logits, out->labels, out->weight);
    out->loss = sc_sum_leading(g, sc_reshape(g, losses, 2, (int64_t[]){-1, 1}), 1);
    out->result = logits;
}

/* ---- the order of examples ---- */

sc_status sc_order_new(sc_order *o, int64_t n, uint64_t seed)
{
    *o = (sc_order){.n = n, .epoch = -1, .seed = seed, .place = sc_calloc((size_t)n, sizeof *o->place)};
    return o->place ? SC_OK : sc_nomem();
}

void sc_order_free(sc_order *o)
{
    sc_free(o->place);
    *o = (sc_order){0};
}

/* Fisher and Yates. */
static void shuffle(sc_order *o, int64_t epoch)
{
    sc_rng r = sc_rng_make(o->seed, sc_hash("order", 5) + (uint64_t)epoch);
    for (int64_t i = 0; i < o->n; i++) o->place[i] = i;
    for (int64_t i = o->n - 1; i > 0; i--) {
        int64_t k = (int64_t)(sc_rng_uniform(&r) * (double)(i + 1)), swap = o->place[i];
        o->place[i] = o->place[k];
        o->place[k] = swap;
    }
    o->epoch = epoch;
}

int64_t sc_order_at(sc_order *o, int64_t at)
{
    if (o->plain) return at % o->n;
    if (at / o->n != o->epoch) shuffle(o, at / o->n);
    return o->place[at % o->n];
}
