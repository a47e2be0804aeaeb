/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/tune.h"
#include "socle/bench.h"
#include "socle/hub.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what is shown ---- */

static void duration(char text[32], double seconds)
{
    long long s = (long long)(seconds + 0.5);
    if (s >= 3600)
        snprintf(text, 32, "%lldh%02lldm", s / 3600, s / 60 % 60);
    else
        snprintf(text, 32, "%lldm%02llds", s / 60, s % 60);
}

sc_cmd_view sc_cmd_view_of(sc_cmd *c)
{
    return (sc_cmd_view){
        .cmd = c, .quiet = sc_cmd_flag(c, "quiet") || sc_train_rank() > 0, .terminal = isatty(STDERR_FILENO) != 0};
}

void sc_cmd_train_event(void *view, const sc_train_event *e)
{
    sc_cmd_view *v = view;
    char left[32], line[256], eval[64] = "", share[32] = "", told[64] = "";
    bool stays = e->step == e->steps || e->eval_loss >= 0;
    v->ranks = e->ranks;
    v->communication = e->communication;
    v->transfer = e->transfer;
    if (v->quiet || (!stays && e->seconds - v->last < (v->terminal ? 0.2 : 10))) return;
    v->last = e->seconds;
    duration(left, e->left);
    if (v->peak > 0) snprintf(share, sizeof share, "  %.0f%% of the peak", 100 * e->flops / (v->peak * e->ranks));
    if (e->eval_loss >= 0) snprintf(eval, sizeof eval, "  eval %.4f", e->eval_loss);
    if (e->told) snprintf(told, sizeof told, "  %s %.4f", e->told, e->telling);
    snprintf(line, sizeof line, "step %lld/%lld%s  loss %.4f%s  %.0f tokens/s%s  %s left", (long long)e->step,
             (long long)e->steps, told, e->loss, eval, e->tokens_per_second, share, left);
    sc_cmd_status(v->cmd, line, stays);
}

static void say_communication(const sc_cmd_view *v)
{
    if (v->ranks > 1)
        sc_cmd_note(
            v->cmd,
            "%d ranks: %.1f%% of the steps' time waiting for each other; for %.1f%% something was on its way",
            v->ranks, 100 * v->communication, 100 * v->transfer);
}

/* ---- options ---- */

static bool typed(const sc_cmd *c, const char *name) { return sc_cmd_has(c, name) && sc_cmd_given(c, name); }
int64_t sc_cmd_typed_int(const sc_cmd *c, const char *name) { return typed(c, name) ? sc_cmd_int(c, name) : 0; }
double sc_cmd_typed_num(const sc_cmd *c, const char *name) { return typed(c, name) ? sc_cmd_num(c, name) : 0; }
const char *sc_cmd_typed_str(const sc_cmd *c, const char *name)
{
    return typed(c, name) ? sc_cmd_str(c, name) : NULL;
}
bool sc_cmd_typed_flag(const sc_cmd *c, const char *name) { return typed(c, name) && sc_cmd_flag(c, name); }

double sc_cmd_typed_or_none(const sc_cmd *c, const char *name)
{
    double x = sc_cmd_typed_num(c, name);
    return typed(c, name) && x == 0 ? -1 : x;
}

bool sc_cmd_typed_list(const sc_cmd *c, sc_cmd_training *t, const char *name, const char *const **out, int *n)
{
    int count = sc_cmd_has(c, name) ? sc_cmd_count(c, name) : 0;
    const char **list = calloc((size_t)count + 1, sizeof *list);
    if (!list) return false;
    for (int i = 0; i < count; i++) list[i] = sc_cmd_list(c, name, i);
    t->list[t->lists++] = list;
    *out = list;
    *n = count;
    return true;
}

/* As it can be typed again. */
static bool whole_command(const sc_cmd *c, sc_cmd_training *t)
{
    int n;
    const char *const *words = sc_cmd_words(c, &n);
    const char **all = calloc((size_t)n + 1, sizeof *all);
    if (!all) return false;
    t->list[t->lists++] = all;
    all[0] = "socle";
    memcpy(all + 1, words, (size_t)n * sizeof *all);
    t->o.args = all;
    t->o.n_args = n + 1;
    return true;
}

void sc_cmd_training_free(sc_cmd_training *t)
{
    for (int i = 0; i < t->lists; i++) free(t->list[i]);
    sc_free(t->model);
    *t = (sc_cmd_training){0};
}

static sc_peft_options peft_options(const sc_cmd *c)
{
    return (sc_peft_options){
        .method = sc_cmd_typed_str(c, "peft"),
        .targets = sc_cmd_typed_str(c, "targets"),
        .rank = sc_cmd_typed_int(c, "rank"),
        .alpha = sc_cmd_typed_num(c, "alpha"),
        .rslora = sc_cmd_typed_flag(c, "rslora"),
        .dora = sc_cmd_typed_flag(c, "dora"),
        .dropout = sc_cmd_typed_num(c, "dropout"),
        .save = sc_cmd_typed_str(c, "train-also"),
        .width = sc_cmd_typed_int(c, "width"),
        .after_ffn = sc_cmd_typed_flag(c, "after-ffn"),
        .tokens = sc_cmd_typed_int(c, "virtual-tokens"),
        .first = sc_cmd_typed_str(c, "virtual-text"),
    };
}

int sc_cmd_training_options(sc_cmd *c, sc_cmd_training *t)
{
    *t = (sc_cmd_training){.o = {
                               .out = sc_cmd_typed_str(c, "out"),
                               .resume = sc_cmd_typed_flag(c, "resume"),
                               .peft = peft_options(c),
                               .steps = sc_cmd_typed_int(c, "steps"),
                               .epochs = sc_cmd_typed_num(c, "epochs"),
                               .batch = sc_cmd_typed_int(c, "batch"),
                               .length = sc_cmd_typed_int(c, "length"),
                               .accumulate = sc_cmd_typed_int(c, "accumulate"),
                               .optimizer = sc_cmd_typed_str(c, "optimizer"),
                               .schedule = sc_cmd_typed_str(c, "schedule"),
                               .lr = sc_cmd_typed_num(c, "lr"),
                               .rest_lr = sc_cmd_typed_num(c, "rest-lr"),
                               .muon_scale = sc_cmd_typed_str(c, "muon-scale"),
                               .beta1 = sc_cmd_typed_num(c, "beta1"),
                               .beta2 = sc_cmd_typed_num(c, "beta2"),
                               .weight_decay = sc_cmd_typed_or_none(c, "weight-decay"),
                               .decayed = sc_cmd_typed_str(c, "decay"),
                               .warmup = sc_cmd_typed_or_none(c, "warmup"),
                               .clip = sc_cmd_typed_or_none(c, "clip"),
                               .ema = sc_cmd_typed_num(c, "ema"),
                               .ema_model = sc_cmd_typed_flag(c, "ema-model"),
                               .precision = sc_cmd_typed_str(c, "precision"),
                               .recompute = sc_cmd_typed_flag(c, "recompute"),
                               .seed = (uint64_t)sc_cmd_typed_int(c, "seed"),
                               .in_order = sc_cmd_typed_flag(c, "in-order"),
                               .save_every = sc_cmd_typed_int(c, "save-every"),
                               .keep = sc_cmd_typed_int(c, "keep"),
                               .best = sc_cmd_typed_flag(c, "best"),
                               .eval_every = sc_cmd_typed_int(c, "eval-every"),
                               .log_every = sc_cmd_typed_int(c, "log-every"),
                               .sample_every = sc_cmd_typed_int(c, "sample-every"),
                               .sample_tokens = sc_cmd_typed_int(c, "sample-tokens"),
                               .replay_share = sc_cmd_typed_num(c, "replay-share"),
                               .ewc = sc_cmd_typed_or_none(c, "ewc"),
                               .ewc_from = sc_cmd_typed_str(c, "ewc-from"),
                               .ewc_examples = sc_cmd_typed_int(c, "ewc-examples"),
                               .l2_start = sc_cmd_typed_or_none(c, "l2-start"),
                               .on_spike = sc_cmd_typed_str(c, "on-spike"),
                               .spike_factor = sc_cmd_typed_num(c, "spike-factor"),
                               .spike_window = sc_cmd_typed_int(c, "spike-window"),
                               .spike_limit = sc_cmd_typed_int(c, "spike-limit"),
                           }};
    sc_train_options *o = &t->o;
    if (sc_cmd_typed_list(c, t, "data", &o->data, &o->n_data) &&
        sc_cmd_typed_list(c, t, "eval-data", &o->eval_data, &o->n_eval_data) &&
        sc_cmd_typed_list(c, t, "replay", &o->replay, &o->n_replay) &&
        sc_cmd_typed_list(c, t, "old-eval-data", &o->old_eval_data, &o->n_old_eval_data) &&
        sc_cmd_typed_list(c, t, "ewc-data", &o->ewc_data, &o->n_ewc_data) &&
        sc_cmd_typed_list(c, t, "group", &o->groups, &o->n_groups) &&
        sc_cmd_typed_list(c, t, "prompt", &o->prompts, &o->n_prompts) && whole_command(c, t))
        return 0;
    sc_cmd_training_free(t);
    return sc_cmd_error(c, "out of memory");
}

/* What is needed for a new run; one that goes on knows it. */
static const char *missing(sc_cmd *c)
{
    if (!sc_cmd_str(c, "out")) return "--out is needed";
    if (sc_cmd_typed_flag(c, "resume")) return NULL;
    if (!sc_cmd_arg(c, 0)) return "a MODEL to begin with is needed";
    return sc_cmd_count(c, "data") ? NULL : "--data is needed";
}

int sc_cmd_tune_options(sc_cmd *c, sc_cmd_training *t, const char *objective)
{
    const char *lacks = missing(c), *name = sc_cmd_arg(c, 0);
    if (lacks) return sc_cmd_usage(c, "%s", lacks);
    int rc = sc_cmd_training_options(c, t);
    if (rc) return rc;
    if (name && sc_hub_resolve(&t->model, name)) {
        sc_cmd_training_free(t);
        return sc_cmd_fail(c);
    }
    t->o.model = t->model;
    t->o.from_weights = true;
    t->o.objective = objective;
    return 0;
}

void sc_cmd_sft_options(sc_cmd *c, sc_train_options *o)
{
    o->chat_template = sc_cmd_typed_str(c, "template");
    o->learn = sc_cmd_typed_str(c, "learn");
    o->overlong = sc_cmd_typed_str(c, "overlong");
    o->chat = sc_cmd_flag(c, "as-chat");
    o->pack = sc_cmd_flag(c, "pack");
    o->eval_share = sc_cmd_typed_num(c, "eval-share");
}

void sc_cmd_prefer_options(const sc_cmd *c, sc_train_options *o)
{
    o->chat_template = sc_cmd_typed_str(c, "template");
    o->chat = sc_cmd_typed_flag(c, "as-chat");
    o->eval_share = sc_cmd_typed_num(c, "eval-share");
    o->smoothing = sc_cmd_typed_num(c, "label-smoothing");
    o->prefer = (sc_preference_options){.loss = sc_cmd_typed_str(c, "loss"),
                                        .beta = sc_cmd_typed_num(c, "beta"),
                                        .gamma = sc_cmd_typed_or_none(c, "gamma"),
                                        .sft = sc_cmd_typed_num(c, "sft-weight"),
                                        .desirable = sc_cmd_typed_num(c, "desirable"),
                                        .undesirable = sc_cmd_typed_num(c, "undesirable"),
                                        .center = sc_cmd_typed_num(c, "center"),
                                        .reference = sc_cmd_typed_str(c, "reference"),
                                        .precompute = sc_cmd_typed_flag(c, "precompute"),
                                        .skip_equal = sc_cmd_typed_flag(c, "skip-equal")};
}

int sc_cmd_tune_preferences(sc_cmd *c, const char *objective)
{
    sc_cmd_training t;
    int rc = sc_cmd_tune_options(c, &t, objective);
    if (rc) return rc;
    sc_cmd_prefer_options(c, &t.o);
    return sc_cmd_train(c, &t);
}

/* ---- rewards ---- */

/* The rewards of all three options, a list whose texts are in the same memory. */
static bool list_rewards(const sc_cmd *c, sc_cmd_training *t)
{
    static const char *const options[][2] = {{"reward", ""}, {"reward-model", "model="}, {"reward-cmd", "cmd="}};
    size_t n = 0, bytes = 0;
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < sc_cmd_count(c, options[k][0]); i++, n++)
            bytes += strlen(sc_cmd_list(c, options[k][0], i)) + strlen(options[k][1]) + 1;
    const char **list = calloc(1, n * sizeof *list + bytes + 1);
    if (!list) return false;
    t->list[t->lists++] = list;
    char *text = (char *)(list + n);
    n = 0;
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < sc_cmd_count(c, options[k][0]); i++) {
            list[n++] = text;
            text += sprintf(text, "%s%s", options[k][1], sc_cmd_list(c, options[k][0], i)) + 1;
        }
    t->o.rl.rewards = list;
    t->o.rl.n_rewards = (int)n;
    return true;
}

bool sc_cmd_policy_options(sc_cmd *c, sc_cmd_training *t)
{
    t->o.chat_template = sc_cmd_typed_str(c, "template");
    t->o.chat = sc_cmd_typed_flag(c, "as-chat");
    t->o.rl = (sc_rl_options){.reward_seconds = sc_cmd_typed_num(c, "reward-seconds"),
                              .reward_failed = sc_cmd_typed_num(c, "reward-failed"),
                              .rollouts = sc_cmd_typed_int(c, "rollouts"),
                              .group = sc_cmd_typed_int(c, "group-size"),
                              .passes = sc_cmd_typed_int(c, "passes"),
                              .max_tokens = sc_cmd_typed_int(c, "max-tokens"),
                              .temperature = sc_cmd_typed_num(c, "temperature"),
                              .reference = sc_cmd_typed_str(c, "reference"),
                              .kl = sc_cmd_typed_or_none(c, "kl"),
                              .kl_target = sc_cmd_typed_num(c, "kl-target"),
                              .kl_horizon = sc_cmd_typed_num(c, "kl-horizon"),
                              .gamma = sc_cmd_typed_or_none(c, "discount"),
                              .lambda = sc_cmd_typed_or_none(c, "lambda"),
                              .clip_low = sc_cmd_typed_num(c, "clip-low"),
                              .clip_high = sc_cmd_typed_num(c, "clip-high"),
                              .value_clip = sc_cmd_typed_num(c, "value-clip"),
                              .value_coef = sc_cmd_typed_num(c, "value-coef"),
                              .no_end = sc_cmd_typed_num(c, "no-end"),
                              .loss = sc_cmd_typed_str(c, "loss"),
                              .scale = sc_cmd_typed_str(c, "advantage-scale"),
                              .leave_out = sc_cmd_typed_flag(c, "leave-out"),
                              .whiten_rewards = sc_cmd_typed_flag(c, "whiten-rewards"),
                              .keep_advantages = sc_cmd_typed_flag(c, "keep-advantages")};
    return list_rewards(c, t);
}

int sc_cmd_tune_policy(sc_cmd *c, const char *method)
{
    sc_cmd_training t;
    int rc = sc_cmd_tune_options(c, &t, method);
    if (rc) return rc;
    t.policy = method;
    if (sc_cmd_policy_options(c, &t)) return sc_cmd_train(c, &t);
    sc_cmd_training_free(&t);
    return sc_cmd_error(c, "out of memory");
}

/* ---- the run ---- */

/* Where mpirun started several processes, the cores are divided. */
static void join_ranks(sc_cmd *c)
{
    if (!sc_cmd_int(c, "threads")) c->threads = sc_train_share_cores();
    sc_cmd_stop_on(SIGTERM);
    sc_cmd_stop_on(SIGUSR1); /* which mpirun passes on */
}

int sc_cmd_train(sc_cmd *c, sc_cmd_training *t)
{
    join_ranks(c);
    sc_context *ctx = sc_cmd_context(c);
    sc_cmd_view v = sc_cmd_view_of(c);
    sc_limits limits;
    sc_status s = ctx ? SC_OK : SC_EINVAL;
    if (!s && sc_train_rank() == 0) {
        s = sc_measure_limits(ctx, 0, &limits);
        if (!s) t->o.peak_flops = v.peak = limits.peak_gflops * 1e9;
    }
    if (!s && t->policy) s = sc_tune_policy(ctx, &t->o, t->policy, sc_cmd_train_event, &v);
    if (!s && t->distills) s = sc_tune_distill(ctx, &t->o, sc_cmd_train_event, &v);
    if (!s && !t->policy && !t->distills) s = sc_train(ctx, &t->o, sc_cmd_train_event, &v);
    if (!s || s == SC_ECANCELLED) say_communication(&v);
    sc_cmd_training_free(t);
    return s ? sc_cmd_fail(c) : 0;
}
