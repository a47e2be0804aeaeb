/* SPDX-License-Identifier: Apache-2.0 */
#include "tune/policy.h"

#include <math.h>
#include <stdio.h>

/* The further inputs of the loss, in sc_text_batch.more. */
enum { OLD, ADVANTAGE, MEAN, REFERENCE, VALUE, RETURNS, SELECT, SPREAD };

static void policy_free(void *self)
{
    sc_policy *p = self;
    if (!p) return;
    sc_rl_prompts_free(&p->data[0]);
    sc_rl_prompts_free(&p->data[1]);
    sc_order_free(&p->order);
    sc_roller_free(p->roller);
    sc_rewards_close(&p->rewards);
    sc_reference_free(p->now);
    sc_reference_free(p->reference);
    sc_phase_free(&p->phase);
    sc_maker_free(&p->maker);
    for (int i = 0; i < SC_COUNT(p->shown); i++) sc_free(p->shown[i][0]), sc_free(p->shown[i][1]);
    for (int i = 0; i < SC_MORE; i++) sc_free(p->more[i]);
    sc_free(p->order_of);
    sc_free(p->said);
    sc_free(p->eos);
    sc_free(p);
}

/* ---- options ---- */

static void usual(double *option, double value)
{
    if (*option == 0) *option = value;
}

static int64_t multiple(int64_t of, int64_t at_least) { return (at_least + of - 1) / of * of; }

static int64_t both(int64_t a, int64_t b) /* the least that both divide */
{
    int64_t x = a, y = b;
    while (y) {
        int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

/* The run keeps what is chosen here, so that one that goes on has the same. */
static void settle(sc_train_options *x, bool ppo)
{
    sc_rl_options *o = &x->rl;
    int64_t step = x->batch * x->accumulate;
    if (!o->group) o->group = ppo ? 1 : 8;
    if (!o->passes) o->passes = ppo ? 4 : 1;
    if (!o->rollouts) o->rollouts = multiple(both(step, o->group), ppo ? 4 * step : step);
    if (!o->max_tokens) o->max_tokens = 64;
    usual(&o->temperature, 1);
    usual(&o->kl, ppo ? 0.05 : 0.04);
    usual(&o->kl_horizon, 10000);
    usual(&o->gamma, 1);
    usual(&o->lambda, 0.95);
    usual(&o->clip_low, 0.2);
    usual(&o->clip_high, o->clip_low);
    usual(&o->value_clip, 0.2);
    usual(&o->value_coef, 0.1);
    usual(&o->reward_seconds, 10);
    if (!o->loss) o->loss = "grpo";
    if (!o->scale) o->scale = strcmp(o->loss, "dr_grpo") == 0 ? "none" : "group";
}

static sc_status pick(const char *what, const char *name, const char *const *names, int n, int *out)
{
    for (*out = 0; *out < n; ++*out)
        if (strcmp(name, names[*out]) == 0) return SC_OK;
    return sc_fail(SC_EINVAL, "no %s is called '%s'", what, name);
}

static sc_status check_options(const sc_train_options *x, bool ppo)
{
    const sc_rl_options *o = &x->rl;
    int64_t step = x->batch * x->accumulate;
    if (sc_train_ranks() > 1) return sc_fail(SC_EUNSUPPORTED, "answers are made by one process: without mpirun");
    if (x->n_replay || x->n_old_eval_data || x->n_ewc_data)
        return sc_fail(SC_EUNSUPPORTED,
                       "old data has no answers to reward: hold to the start by --kl or --l2-start");
    if (x->on_spike && strcmp(x->on_spike, "rollback") == 0)
        return sc_fail(SC_EUNSUPPORTED, "--on-spike rollback: answers that were learned from are not made again");
    if (o->group < (ppo ? 1 : 2) || o->group > 4096)
        return sc_fail(SC_EINVAL, "a group of %lld answers to a prompt: %d to 4096", (long long)o->group,
                       ppo ? 1 : 2);
    if (o->rollouts < 1 || o->rollouts > 1 << 20 || o->rollouts % step || o->rollouts % o->group)
        return sc_fail(SC_EINVAL,
                       "%lld rollouts: they must be a multiple of a step's %lld answers and of the %lld of a group",
                       (long long)o->rollouts, (long long)step, (long long)o->group);
    if (o->passes < 1 || o->passes > 1000 || o->max_tokens < 1 || o->max_tokens > 1 << 20)
        return sc_fail(SC_EINVAL, "%lld passes over answers of %lld tokens", (long long)o->passes,
                       (long long)o->max_tokens);
    if (!(o->temperature > 0 && o->temperature <= 100))
        return sc_fail(SC_EINVAL, "a temperature of %g: answers are sampled", o->temperature);
    if (!(o->clip_low > 0 && o->clip_high > 0 && o->value_clip > 0 && o->value_coef >= 0 && o->kl_horizon > 0 &&
          o->gamma <= 1 && o->lambda <= 1))
        return sc_fail(SC_EINVAL, "ranges of clipping must be above 0, discounts at most 1");
    return SC_OK;
}

static sc_status take_options(sc_policy *p, sc_train_options *x, sc_policy_kind kind)
{
    static const char *const losses[] = {"grpo", "bnpo", "dr_grpo", "gspo"}, *const scales[] = {"group", "batch",
                                                                                                "none"};
    int loss, scale;
    settle(x, kind == SC_POLICY_PPO);
    sc_status s = check_options(x, kind == SC_POLICY_PPO);
    if (!s) s = pick("loss", x->rl.loss, losses, SC_COUNT(losses), &loss);
    if (!s) s = pick("scale of advantages", x->rl.scale, scales, SC_COUNT(scales), &scale);
    if (s) return s;
    p->o = x->rl;
    p->options = x;
    p->batch = x->batch;
    p->n = x->rl.rollouts;
    p->scale = (sc_group_scale)scale;
    p->coef = SC_MAX(p->o.kl, 0);
    p->phase.number = -1;
    p->loss = (sc_policy_loss){.kind = kind,
                               .clip_low = p->o.clip_low,
                               .clip_high = p->o.clip_high,
                               .kl_coef = SC_MAX(p->o.kl, 0),
                               .value_clip = p->o.value_clip,
                               .value_coef = p->o.value_coef,
                               .by_sequence = kind == SC_POLICY_GRPO && strcmp(p->o.loss, "gspo") == 0};
    return SC_OK;
}

/* ---- opening ---- */

static sc_status add_end(sc_policy *p, int32_t id)
{
    int32_t *list = sc_realloc(p->eos, sizeof *list * (size_t)(p->n_eos + 1));
    if (!list) return sc_nomem();
    p->eos = list;
    p->eos[p->n_eos++] = id;
    return SC_OK;
}

sc_status sc_policy_find_ends(sc_policy *p)
{
    int64_t n;
    const int32_t *ends = sc_model_eos(p->model, &n);
    int32_t own = sc_tokenizer_eos(p->tokenizer);
    bool there = own < 0;
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < n; i++) {
        there |= ends[i] == own;
        s = add_end(p, ends[i]);
    }
    return s || there ? s : add_end(p, own);
}

static sc_status read_prompts(sc_policy *p, const sc_objective_setup *x)
{
    int64_t context = x->model->info.context, most = x->o->length ? x->o->length : context ? context : 1 << 20;
    if (context) most = SC_MIN(most, context - p->o.max_tokens);
    if (most < 1)
        return sc_fail(SC_EINVAL, "answers of %lld tokens leave no room for prompts in the model's context of %lld",
                       (long long)p->o.max_tokens, (long long)context);
    sc_status s = sc_rl_prompts_add(&p->data[0], x, x->o->data, x->o->n_data, most);
    if (!s) s = sc_rl_prompts_add(&p->data[1], x, x->o->eval_data, x->o->n_eval_data, most);
    return s ? s : sc_order_new(&p->order, p->data[0].n, x->o);
}

static sc_status open_reference(sc_policy *p, const sc_objective_setup *x)
{
    if (p->o.kl < 0) return SC_OK;
    if (!p->o.reference && x->o->peft.method) return sc_reference_base(&p->reference, x->model);
    return sc_reference_open(&p->reference, x->ctx, p->o.reference ? p->o.reference : x->o->model,
                             x->model->info.vocab);
}

static sc_status open_parts(sc_policy *p, const sc_objective_setup *x)
{
    sc_status s = sc_policy_find_ends(p);
    if (!s) s = read_prompts(p, x);
    if (!s) s = sc_rewards_open(&p->rewards, x->ctx, &p->o);
    if (!s && (!(p->said = sc_calloc((size_t)p->rewards.n, sizeof *p->said)) ||
               !(p->order_of = sc_calloc((size_t)p->n, sizeof *p->order_of))))
        s = sc_nomem();
    if (!s) s = sc_reference_new(&p->now, x->model);
    if (!s) s = open_reference(p, x);
    if (s) return s;
    sc_roller_options o = {.longest = SC_MAX(p->data[0].longest, p->data[1].longest),
                           .max_tokens = p->o.max_tokens,
                           .temperature = p->o.temperature,
                           .seed = x->o->seed,
                           .eos = p->eos,
                           .n_eos = p->n_eos};
    return sc_roller_new(&p->roller, x->ctx, x->model, &o);
}

static sc_status policy_open(void **self, const sc_objective_setup *x, sc_policy_kind kind)
{
    sc_policy *p = sc_calloc(1, sizeof *p);
    if (!p) return sc_nomem();
    p->ctx = x->ctx;
    p->model = x->model;
    p->tokenizer = x->tokenizer;
    sc_status s = take_options(p, x->o, kind);
    if (!s) s = open_parts(p, x);
    if (s)
        policy_free(p);
    else
        *self = p;
    return s;
}

static sc_status ppo_open(void **self, const sc_objective_setup *x) { return policy_open(self, x, SC_POLICY_PPO); }
static sc_status grpo_open(void **self, const sc_objective_setup *x)
{
    return policy_open(self, x, SC_POLICY_GRPO);
}

static sc_status ppo_changes(const sc_objective_setup *x, json_t *config)
{
    (void)x;
    return json_object_set_new(config, "value_head", json_true()) == 0 ? SC_OK : sc_nomem();
}

static void policy_size(const void *self, sc_objective_size *out)
{
    const sc_policy *p = self;
    int64_t answers = p->data[0].n * p->o.group;
    *out = (sc_objective_size){.examples = SC_MAX(answers / p->n, 1) * p->n * p->o.passes,
                               .tokens = p->data[0].tokens,
                               .evaluates = p->data[1].n > 0};
}

/* ---- batches ---- */

/* The answers of a phase in the order of a pass through them. */
static void order_answers(sc_policy *p, int64_t number, int64_t pass)
{
    sc_rng r = sc_rng_make(p->options->seed, sc_hash("answers", 7) + (uint64_t)(number * p->o.passes + pass));
    for (int64_t i = 0; i < p->n; i++) p->order_of[i] = i;
    for (int64_t i = p->n - 1; i > 0 && !p->options->in_order; i--) {
        int64_t k = sc_rng_below(&r, i + 1), swap = p->order_of[i];
        p->order_of[i] = p->order_of[k];
        p->order_of[k] = swap;
    }
}

/* Room for n numbers, zeros, as an input of the loss. */
static float *input(sc_policy *p, sc_text_batch *b, int which, int64_t n)
{
    if (!sc_grow(&p->more[which], &p->cap_more[which], n, sizeof **p->more)) return NULL;
    memset(p->more[which], 0, sizeof **p->more * (size_t)n);
    b->more[which] = (sc_more_input){.value = p->more[which], .n = n, .counts = which == MEAN};
    return p->more[which];
}

/* How much a token of an answer of n counts in a batch of so many tokens. */
static double weight_of(const sc_policy *p, int64_t n, int64_t tokens)
{
    if (p->loss.kind == SC_POLICY_PPO || strcmp(p->o.loss, "bnpo") == 0) return 1 / (double)tokens;
    if (strcmp(p->o.loss, "dr_grpo") == 0) return 1 / (double)(p->batch * p->o.max_tokens);
    return 1 / (double)(p->batch * n);
}

static sc_status fill_inputs(sc_policy *p, const int64_t *answer, int64_t tokens, sc_text_batch *b)
{
    const sc_phase *x = &p->phase;
    const float *from[SC_MORE] = {[OLD] = x->old,
                                  [ADVANTAGE] = x->advantage,
                                  [REFERENCE] = p->reference ? x->reference : NULL,
                                  [VALUE] = p->loss.kind == SC_POLICY_PPO ? x->value : NULL,
                                  [RETURNS] = p->loss.kind == SC_POLICY_PPO ? x->returns : NULL};
    bool sequences = p->loss.by_sequence;
    float *mean = input(p, b, MEAN, b->rows), *select = sequences ? input(p, b, SELECT, p->batch * b->rows) : NULL,
          *spread = sequences ? input(p, b, SPREAD, b->rows * p->batch) : NULL;
    if (!mean || (sequences && (!select || !spread))) return sc_nomem();
    for (int i = 0; i < SC_MORE; i++)
        if (from[i] && !input(p, b, i, b->rows)) return sc_nomem();
    float *weight = p->maker.weight;
    for (int64_t k = 0, row = 0; k < p->batch; k++) {
        int64_t first = x->answers.start[answer[k]], n = x->answers.start[answer[k] + 1] - first;
        double counts = weight_of(p, n, tokens);
        for (int64_t t = 0; t < n; t++, row++) {
            weight[row] = (float)counts;
            mean[row] = 1 / (float)tokens;
            for (int i = 0; i < SC_MORE; i++)
                if (from[i]) p->more[i][row] = from[i][first + t];
            if (select) select[k * b->rows + row] = 1 / (float)n;
            if (spread) spread[row * p->batch + k] = 1;
        }
    }
    return SC_OK;
}

static sc_status policy_batch(void *self, int64_t index, sc_text_batch *out)
{
    sc_policy *p = self;
    int64_t of_pass = p->n / p->batch, of_phase = of_pass * p->o.passes, number = index / of_phase,
            pass = index % of_phase / of_pass, at = index % of_pass * p->batch, tokens = 0;
    sc_status s = p->phase.number == number ? SC_OK : sc_policy_make_phase(p, number);
    if (s) return s;
    const sc_rollouts *r = &p->phase.answers;
    order_answers(p, number, pass);
    sc_maker_begin(&p->maker);
    for (int64_t k = 0; k < p->batch; k++) {
        int64_t i = p->order_of[at + k], n = r->start[i + 1] - r->start[i];
        sc_policy_put(p, sc_policy_prompt(p, number, i), r->ids + r->start[i], n);
        tokens += n;
    }
    p->maker.examples = p->batch;
    s = sc_maker_finish(&p->maker, SC_ROWS_WANTED, out);
    return s ? s : fill_inputs(p, p->order_of + at, tokens, out);
}

static sc_status no_eval_batch(void *self, int64_t index, sc_text_batch *out)
{
    (void)self, (void)index, (void)out;
    return sc_fail(SC_EINVAL, "a policy is measured by its rewards");
}

static void policy_describe(void *self, int64_t index, sc_str *out)
{
    sc_policy *p = self;
    int64_t of_phase = p->n / p->batch * p->o.passes;
    sc_str_printf(out, "answers of phase %lld, batch %lld of %lld", (long long)(index / of_phase),
                  (long long)(index % of_phase), (long long)of_phase);
}

/* ---- the loss ---- */

static sc_tensor *value_of(const sc_graph *g, int64_t rows)
{
    for (int64_t i = 0; i < g->n_taps; i++)
        if (strcmp(g->tap[i].name, "value") == 0)
            return sc_reshape((sc_graph *)(uintptr_t)g, g->tap[i].tensor, 1, &rows);
    return NULL;
}

static sc_status policy_build(const void *self, sc_loss_graph *out, const sc_model *m, const sc_text_batch *b)
{
    static const char *const names[] = {
        [OLD] = "old",     [ADVANTAGE] = "advantage", [MEAN] = "mean",     [REFERENCE] = "reference",
        [VALUE] = "value", [RETURNS] = "returns",     [SELECT] = "select", [SPREAD] = "spread"};
    const sc_policy *p = self;
    bool ppo = p->loss.kind == SC_POLICY_PPO;
    sc_status s = sc_text_graph_new(&out->t, m, b->tokens, b->sequences, b->rows, NULL, NULL);
    if (s) return s;
    sc_graph *g = out->t.g;
    sc_loss_inputs(out, b->rows, false);
    for (int i = 0; i < SC_MORE; i++) {
        bool wide = i == SELECT || i == SPREAD, used = wide                         ? p->loss.by_sequence
                                                       : i == REFERENCE             ? p->reference != NULL
                                                       : i == VALUE || i == RETURNS ? ppo
                                                                                    : true;
        sc_shape shape = wide ? (sc_shape){2, {i == SELECT ? p->batch : b->rows, i == SELECT ? b->rows : p->batch}}
                              : (sc_shape){1, {b->rows}};
        if (used) out->more[i] = sc_graph_input(g, names[i], SC_F32, &shape);
    }
    sc_policy_inputs in = {.logp = sc_policy_logp(g, out->t.logits, out->labels, out->weight, p->o.temperature),
                           .value = ppo ? value_of(g, b->rows) : NULL,
                           .old = out->more[OLD],
                           .ref = out->more[REFERENCE],
                           .advantage = out->more[ADVANTAGE],
                           .weight = out->weight,
                           .mean = out->more[MEAN],
                           .old_value = out->more[VALUE],
                           .returns = out->more[RETURNS],
                           .select = out->more[SELECT],
                           .spread = out->more[SPREAD]};
    if (ppo && !in.value)
        return sc_fail(SC_EUNSUPPORTED, "%s: a model of type '%s' has no value head", m->info.path,
                       m->info.model_type);
    out->loss = sc_policy_loss_build(g, &p->loss, &in, out->metric);
    return SC_OK;
}

/* ---- what is kept and told ---- */

static sc_status policy_save(const void *self, const char *dir) { return sc_phase_save(self, dir); }
static sc_status policy_load(void *self, const char *dir) { return sc_phase_load(self, dir); }

static void policy_note(const void *self, json_t *line)
{
    const sc_policy *p = self;
    const sc_phase_measures *m = &p->phase.m;
    if (p->phase.number < 0) return;
    json_object_set_new(line, "reward", json_real(m->reward));
    json_object_set_new(line, "reward_std", json_real(m->deviation));
    json_object_set_new(line, "answer_tokens", json_real(m->tokens));
    json_object_set_new(line, "ended", json_real(m->ended));
    if (p->reference) json_object_set_new(line, "kl_answer", json_real(m->kl));
    if (p->o.kl_target > 0) json_object_set_new(line, "kl_coef", json_real(m->coef));
    if (p->loss.kind == SC_POLICY_GRPO) json_object_set_new(line, "flat_groups", json_real(m->flat));
    if (m->failed > 0) json_object_set_new(line, "reward_failed", json_real(m->failed));
    for (int i = 0; p->rewards.n > 1 && i < p->rewards.n; i++) {
        char name[80];
        snprintf(name, sizeof name, "reward_%s", p->rewards.judge[i].name);
        json_object_set_new(line, name, json_real(p->said[i]));
    }
}

static sc_status policy_evaluate(void *self, json_t *line)
{
    double reward, tokens;
    sc_status s = sc_policy_measure(self, true, &reward, &tokens);
    if (s) return s;
    json_object_set_new(line, "eval_reward", json_real(reward));
    json_object_set_new(line, "eval_answer_tokens", json_real(tokens));
    return SC_OK;
}

static bool policy_show(const void *self, int64_t i, const char **prompt, const char **text)
{
    const sc_policy *p = self;
    if (i >= SC_COUNT(p->shown) || !p->shown[i][1]) return false;
    *prompt = p->shown[i][0];
    *text = p->shown[i][1];
    return true;
}

#define POLICY                                                                                                     \
    .kinds = SC_LEARNS_DECODER, .together = true, .rate = 0.01, .free = policy_free, .size = policy_size,          \
    .batch = policy_batch, .eval_batch = no_eval_batch, .describe = policy_describe, .build = policy_build,        \
    .save = policy_save, .load = policy_load, .note = policy_note, .told = "reward", .evaluate = policy_evaluate,  \
    .show = policy_show

static const sc_objective objectives[] = {
    {.name = "ppo",
     .summary = "rewards for its own answers, by PPO",
     .changes = ppo_changes,
     .open = ppo_open,
     POLICY},
    {.name = "grpo", .summary = "rewards for groups of its own answers, by GRPO", .open = grpo_open, POLICY}};

sc_status sc_tune_policy(sc_context *ctx, const sc_train_options *o, const char *method, sc_train_report *report,
                         void *user)
{
    sc_train_options x = *o;
    if (!x.log_every) x.log_every = 1;
    for (int i = 0; i < SC_COUNT(objectives); i++)
        if (strcmp(method, objectives[i].name) == 0)
            return sc_train_objective(ctx, &x, &objectives[i], report, user);
    return sc_fail(SC_EINVAL, "no way to train a policy is called '%s'", method);
}
