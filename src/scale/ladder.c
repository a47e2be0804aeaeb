/* SPDX-License-Identifier: Apache-2.0 */
/* Which models a ladder has. */
#include "scale/ladder.h"

#include <math.h>
#include <stdlib.h>

enum { FEWEST_STEPS = 10, MAX_RUNGS = 1000, MAX_CONFIG = 16 << 20 };

void sc_ladder_free(sc_ladder *l)
{
    if (!l) return;
    json_decref(l->config);
    json_decref(l->train);
    sc_arena_free(l->arena);
    sc_free(l->rung);
    sc_free(l);
}

const sc_rung *sc_ladder_rungs(const sc_ladder *l, int64_t *n)
{
    *n = l->n;
    return l->rung;
}

double sc_ladder_compute(const sc_ladder *l)
{
    double sum = 0;
    for (int64_t i = 0; i < l->n; i++) sum += l->rung[i].compute;
    return sum;
}

sc_status sc_ladder_add(sc_ladder *l, const sc_rung *r)
{
    if (l->n == MAX_RUNGS) return sc_fail(SC_ELIMIT, "a ladder of more than %d runs", MAX_RUNGS);
    if (!sc_grow(&l->rung, &l->cap, l->n + 1, sizeof *l->rung)) return sc_nomem();
    l->rung[l->n++] = *r;
    return SC_OK;
}

sc_status sc_ladder_new(sc_ladder **out)
{
    sc_ladder *l = sc_calloc(1, sizeof *l);
    if (!l || !(l->arena = sc_arena_new())) {
        sc_ladder_free(l);
        return sc_nomem();
    }
    *out = l;
    return SC_OK;
}

/* ---- what a plan is made of ---- */

typedef struct plan {
    sc_ladder *ladder;
    sc_context *ctx;
    sc_ladder_options o;
    sc_sizing sizing;
    int64_t batch; /* sequences of a step */
    int64_t base_width;
} plan;

static sc_status read_config(json_t **out, const char *path)
{
    char *file = sc_path_is_dir(path) ? sc_path_join(path, "config.json") : sc_strdup(path);
    sc_status s = file ? sc_json_read(out, file, MAX_CONFIG) : sc_nomem();
    if (!s && !json_is_object(*out)) s = sc_fail(SC_EFORMAT, "%s: not a JSON object", file);
    sc_free(file);
    return s;
}

/* What training will change in a configuration and sizes depend on: the vocabulary of an alphabet. */
static sc_status find_changes(plan *p)
{
    const sc_objective *objective;
    sc_alphabet alphabet = {0};
    sc_status s = sc_objective_choose(&objective, p->o.train.objective, p->sizing.config, p->sizing.path);
    if (s || !p->o.train.alphabet) return s;
    sc_objective_setup x = {.ctx = p->ctx, .o = &p->o.train, .config = p->sizing.config, .parts = 1};
    s = sc_alphabet_make(&alphabet, objective, sc_objective_kind(p->sizing.config), &x, p->sizing.changes);
    sc_alphabet_free(&alphabet);
    return s;
}

static sc_status check(const sc_ladder_options *o)
{
    const struct {
        const char *name;
        double value, lo, hi;
    } rows[] = {{"the number of levels", (double)o->levels, 1, 50},
                {"the number of sizes", (double)o->sizes, 1, 50},
                {"the step between levels", o->step, 1.01, 1e6},
                {"the spread of sizes", o->spread, 1.01, 1e3},
                {"tokens a parameter", o->ratio, 1e-6, 1e9},
                {"the compute of the top", o->top, -1e9, 1e9},
                {"the power of the learning rate", o->lr_power, -1e9, 4}};
    for (int i = 0; i < SC_COUNT(rows); i++)
        if (!(rows[i].value >= rows[i].lo && rows[i].value <= rows[i].hi))
            return sc_fail(SC_EINVAL, "%s is %g, which is out of range", rows[i].name, rows[i].value);
    for (int i = 0; i < o->n_size; i++)
        if (!(o->size[i] >= 1 && o->size[i] < 1e15))
            return sc_fail(SC_EINVAL, "a size of %g parameters", o->size[i]);
    for (int i = 0; i < o->n_tokens; i++)
        if (!(o->tokens[i] >= 1 && o->tokens[i] < 1e18))
            return sc_fail(SC_EINVAL, "a run of %g tokens", o->tokens[i]);
    if (!o->n_size != !o->n_tokens) return sc_fail(SC_EINVAL, "a ladder by size needs both sizes and tokens");
    if (!o->n_size && !(o->budget > 0)) return sc_fail(SC_EINVAL, "a ladder needs a budget, or sizes and tokens");
    return SC_OK;
}

static sc_status open_plan(plan *p, sc_context *ctx, const sc_ladder_options *o)
{
    *p = (plan){.ctx = ctx, .o = *o};
    sc_ladder_options *x = &p->o;
    sc_size base;
    if (!x->levels) x->levels = 3;
    if (!x->sizes) x->sizes = 4;
    if (x->step == 0) x->step = 3;
    if (x->spread == 0) x->spread = 1.8;
    if (x->ratio == 0) x->ratio = 20;
    if (x->top == 0) x->top = 3;
    if (x->lr_power == 0) x->lr_power = 0.5;
    sc_status s = check(x);
    if (s) return s;
    json_t *config = NULL;
    if ((s = read_config(&config, x->config)) || (s = sc_ladder_new(&p->ladder))) {
        json_decref(config);
        return s;
    }
    p->ladder->config = config;
    p->sizing =
        (sc_sizing){.path = x->config, .config = config, .changes = json_object(), .length = x->train.length};
    if (!p->sizing.changes) return sc_nomem();
    if ((s = find_changes(p)) || (s = sc_size_of(&base, ctx, &p->sizing, 1))) return s;
    p->base_width = base.width;
    p->batch = SC_MAX(x->train.batch ? x->train.batch : 8, 1) * SC_MAX(x->train.accumulate, 1);
    return SC_OK;
}

/* ---- runs ---- */

static double rate_at(const plan *p, const sc_size *z)
{
    const sc_train_options *t = &p->o.train;
    double usual =
        t->optimizer && strcmp(t->optimizer, "adamw") != 0 && strcmp(t->optimizer, "adam") != 0 ? 0 : 1e-3;
    double lr = t->lr > 0 ? t->lr : usual;
    return p->o.lr_power > 0 ? lr * pow((double)p->base_width / (double)z->width, p->o.lr_power) : lr;
}

/* tokens: at most. */
static sc_status add_run(plan *p, const sc_size *z, double tokens, int level, bool held_out)
{
    int64_t step = p->batch * z->length;
    sc_rung r = {.level = level,
                 .held_out = held_out,
                 .parameters = z->parameters,
                 .width = z->width,
                 .layers = z->layers,
                 .steps = (int64_t)fmin(floor(tokens / (double)step), 1e12),
                 .factor = z->factor,
                 .operations = z->operations,
                 .lr = rate_at(p, z),
                 .loss = NAN,
                 .seconds = NAN,
                 .epochs = NAN};
    char least[48], has[48];
    r.tokens = r.steps * step;
    r.compute = (double)r.tokens * r.operations;
    if (r.steps < FEWEST_STEPS) {
        sc_number_text(least, (double)(FEWEST_STEPS * step) * z->operations);
        sc_number_text(has, fmax(tokens, 0) * z->operations);
        return sc_fail(
            SC_ELIMIT,
            "%s: too small a budget: %d steps of a model of %lld parameters take %s operations, a run of this "
            "ladder has %s",
            p->sizing.path, FEWEST_STEPS, (long long)z->parameters, least, has);
    }
    return sc_ladder_add(p->ladder, &r);
}

/* The size that has `ratio` tokens a parameter with this compute. */
static sc_status balanced(plan *p, double c, double *parameters)
{
    double kappa = 6;
    sc_size z;
    for (int i = 0; i < 3; i++) {
        *parameters = sqrt(c / (kappa * p->o.ratio));
        sc_status s = sc_size_near(&z, p->ctx, &p->sizing, *parameters);
        if (s) return s;
        kappa = z.operations / (double)z.parameters;
    }
    return SC_OK;
}

static sc_status add_level(plan *p, int level, double c, int64_t sizes, bool held_out)
{
    double middle;
    int64_t last = 0;
    sc_status s = balanced(p, c, &middle);
    for (int64_t i = 0; !s && i < sizes; i++) {
        enum { TRIES = 12 };
        sc_size z;
        double wanted = middle * pow(p->o.spread, (double)i - (double)(sizes - 1) / 2);
        /* The nearest may be the last one again, where sizes are far apart: then the next larger one. */
        for (int k = 0; k < TRIES && !(s = sc_size_near(&z, p->ctx, &p->sizing, wanted)) && z.parameters <= last;
             k++)
            wanted *= 1.15;
        if (s || z.parameters <= last) continue;
        last = z.parameters;
        s = add_run(p, &z, c / z.operations, level, held_out);
        sc_progress(p->ctx, "sizes", i + 1, sizes);
        if (!s && atomic_load(&p->ctx->cancelled)) s = sc_fail(SC_ECANCELLED, "stopped");
    }
    return s;
}

static sc_status by_compute(plan *p)
{
    const sc_ladder_options *o = &p->o;
    double shares = 0, last = pow(o->step, (double)(o->levels - 1)), top = o->top > 0 ? o->top * last : 0;
    for (int64_t k = 0; k < o->levels; k++) shares += (double)o->sizes * pow(o->step, (double)k);
    double c = o->budget / (shares + top);
    sc_status s = SC_OK;
    for (int64_t k = 0; !s && k < o->levels; k++)
        s = add_level(p, (int)k + 1, c * pow(o->step, (double)k), o->sizes, false);
    if (!s && top > 0) s = add_level(p, 0, c * top, 1, true);
    return s;
}

static sc_status by_size(plan *p)
{
    sc_status s = SC_OK;
    for (int i = 0; !s && i < p->o.n_size; i++) {
        sc_size z;
        s = sc_size_near(&z, p->ctx, &p->sizing, p->o.size[i]);
        for (int k = 0; !s && k < p->o.n_tokens; k++) s = add_run(p, &z, p->o.tokens[k], 0, false);
    }
    return s;
}

static int upwards(const void *a, const void *b)
{
    const sc_rung *x = a, *y = b;
    if (x->held_out != y->held_out) return x->held_out ? 1 : -1;
    if (x->level != y->level) return x->level < y->level ? -1 : 1;
    if (!x->level && x->compute != y->compute) return x->compute < y->compute ? -1 : 1;
    return x->parameters < y->parameters ? -1 : x->parameters > y->parameters;
}

static sc_status name_runs(sc_ladder *l)
{
    for (int64_t i = 0; i < l->n; i++) {
        sc_rung *r = &l->rung[i];
        char size[48], tokens[48];
        sc_number_text(size, (double)r->parameters);
        sc_number_text(tokens, (double)r->tokens);
        if (!(r->name = sc_arena_printf(l->arena, "%02lld-%s-%s", (long long)i + 1, size, tokens)))
            return sc_nomem();
    }
    return SC_OK;
}

static sc_status within_budget(const plan *p)
{
    double all = sc_ladder_compute(p->ladder);
    char takes[48], has[48];
    if (!(p->o.budget > 0) || all <= p->o.budget * (1 + 1e-9)) return SC_OK;
    sc_number_text(takes, all);
    sc_number_text(has, p->o.budget);
    return sc_fail(
        SC_ELIMIT,
        "the ladder's %lld runs take %s operations, the budget is %s: fewer or smaller sizes, or fewer tokens",
        (long long)p->ladder->n, takes, has);
}

sc_status sc_ladder_plan(sc_ladder **out, sc_context *ctx, const sc_ladder_options *o)
{
    plan p;
    sc_status s = open_plan(&p, ctx, o);
    if (!s) s = o->n_size ? by_size(&p) : by_compute(&p);
    if (!s) s = within_budget(&p);
    if (!s) {
        sc_ladder *l = p.ladder;
        sc_train_options t = p.o.train;
        t.model = t.out = NULL;
        t.steps = 0;
        t.resume = t.from_weights = false;
        if (!t.tokenizer && !t.alphabet) t.tokenizer = o->config;
        qsort(l->rung, (size_t)l->n, sizeof *l->rung, upwards);
        if (o->n_size && l->n > 1) l->rung[l->n - 1].held_out = true;
        s = name_runs(l);
        if (!s && !(l->train = sc_train_options_json(&t))) s = sc_nomem();
    }
    json_decref(p.sizing.changes);
    if (s)
        sc_ladder_free(p.ladder);
    else
        *out = p.ladder;
    return s;
}
