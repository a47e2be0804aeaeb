/* SPDX-License-Identifier: Apache-2.0 */
/* A run from its options to its end: what is opened, new or where it was left, before the loop. */
#include "train/run.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

static sc_status want(bool ok, const char *what, double value)
{
    return ok ? SC_OK : sc_fail(SC_EINVAL, "%s is %g, which is out of range", what, value);
}

static sc_status take_options(sc_trainer *t)
{
    sc_train_options *x = &t->o;
    if (!x->model) return sc_fail(SC_EINVAL, "a training needs a model");
    if (x->n_data < 1) return sc_fail(SC_EINVAL, "a training needs data");
    if (!x->batch) x->batch = 8;
    if (!x->accumulate) x->accumulate = 1;
    if (x->epochs == 0) x->epochs = 1;
    if (x->clip == 0) x->clip = 1;
    if (!x->save_every) x->save_every = 500;
    if (!x->keep) x->keep = 2;
    if (!x->eval_every) x->eval_every = x->save_every;
    if (!x->log_every) x->log_every = 10;
    if (!x->optimizer) x->optimizer = "adamw";
    if (!x->schedule) x->schedule = "cosine";
    if (!x->tokenizer) x->tokenizer = x->model;
    if (!x->decayed) x->decayed = "matrices";
    if (!x->precision) x->precision = "f32";
    if (!x->muon_scale) x->muon_scale = "original";
    if (!x->sample_every) x->sample_every = x->save_every;
    if (!x->sample_tokens) x->sample_tokens = 64;
    if (!x->on_spike) x->on_spike = "warn";
    if (x->spike_factor == 0) x->spike_factor = 8;
    if (!x->spike_window) x->spike_window = 128;
    if (!x->spike_limit) x->spike_limit = 10;
    if (x->replay_share == 0 && x->n_replay) x->replay_share = 0.1;
    if (!x->ewc_examples && x->n_ewc_data) x->ewc_examples = 256;
    if (x->warmup == 0) x->warmup = 0.02;
    if (x->weight_decay == 0) x->weight_decay = 0.1;
    sc_status s;
    if ((s = want(x->batch > 0 && x->batch <= 65536, "the batch", (double)x->batch)) ||
        (s = want(x->length >= 0 && x->length <= 1 << 20, "the length", (double)x->length)) ||
        (s = want(x->accumulate > 0, "accumulate", (double)x->accumulate)) ||
        (s = want(x->steps >= 0, "the number of steps", (double)x->steps)) ||
        (s = want(x->epochs > 0 && x->epochs < 1e6, "the number of epochs", x->epochs)) ||
        (s = want(x->warmup <= 1, "the share of warm-up", x->warmup)) ||
        (s = want(x->save_every > 0, "the steps between checkpoints", (double)x->save_every)) ||
        (s = want(x->keep > 0, "how many checkpoints are kept", (double)x->keep)) ||
        (s = want(x->eval_every > 0, "the steps between evaluations", (double)x->eval_every)) ||
        (s = want(x->log_every > 0, "the steps between lines", (double)x->log_every)) ||
        (s = want(x->sample_every > 0, "the steps between samples", (double)x->sample_every)) ||
        (s = want(x->sample_tokens > 0, "the tokens of a sample", (double)x->sample_tokens)) ||
        (s = want(x->ema >= 0 && x->ema < 1, "the average's decay", x->ema)) ||
        (s = want(x->spike_factor > 0, "the factor of a spike", x->spike_factor)) ||
        (s = want(x->spike_window >= 4 && x->spike_window <= 1 << 20, "the window of spikes",
                  (double)x->spike_window)) ||
        (s = want(x->spike_limit > 0, "the limit of spikes", (double)x->spike_limit)) ||
        (s = want(x->replay_share >= 0 && x->replay_share < 1, "the share of old data", x->replay_share)) ||
        (s = want(x->ewc < 1e15, "the strength of EWC", x->ewc)) ||
        (s = want(x->ewc_examples >= 0, "the examples for EWC", (double)x->ewc_examples)) ||
        (s = want(x->l2_start < 1e9, "the pull to the start", x->l2_start)) ||
        (s = want(x->n_old_eval_data <= SC_OLD_MOST, "the number of kinds of old data", x->n_old_eval_data)) ||
        (s = want(x->lr >= 0 && x->lr < 1e3, "the learning rate", x->lr)) ||
        (s = want(x->rest_lr >= 0 && x->rest_lr < 1e3, "the rest's learning rate", x->rest_lr)))
        return s;
    if (x->peft.method && !x->from_weights)
        return sc_fail(SC_EINVAL, "an adapter is for a model that there is: --model");
    if (x->peft.method && x->ema_model)
        return sc_fail(SC_EINVAL, "a run's adapter cannot have the averages for weights");
    if (x->ema_model && !(x->ema > 0)) return sc_fail(SC_EINVAL, "a model of averaged weights needs averages");
    if (x->n_prompts > 100) return sc_fail(SC_EINVAL, "%d prompts to sample from: at most 100", x->n_prompts);
    for (int i = 0; i < x->n_prompts; i++)
        if (!sc_utf8_valid(x->prompts[i], (int64_t)strlen(x->prompts[i])))
            return sc_fail(SC_EINVAL, "a prompt is not UTF-8");
    return SC_OK;
}

static sc_status pick(const char *what, const char *name, const char *const *names, int n, int *out)
{
    for (*out = 0; *out < n; ++*out)
        if (strcmp(name, names[*out]) == 0) return SC_OK;
    return sc_fail(SC_EINVAL, "no %s is called '%s'", what, name);
}

/* "PATTERN:lr=1e-4,decay=0", in place. */
static sc_status read_group(char *text, sc_param_group *out)
{
    char *settings = strrchr(text, ':'), *end;
    *out = (sc_param_group){.pattern = text, .lr = -1, .weight_decay = -1};
    if (!settings) return sc_fail(SC_EINVAL, "--group %s has no settings: PATTERN:lr=1e-4,decay=0", text);
    *settings++ = 0;
    while (*settings) {
        double *to = strncmp(settings, "lr=", 3) == 0      ? &out->lr
                     : strncmp(settings, "decay=", 6) == 0 ? &out->weight_decay
                                                           : NULL;
        char *number = to ? strchr(settings, '=') + 1 : NULL;
        double x = number ? strtod(number, &end) : 0;
        if (!to || end == number || (*end && *end != ',') || !(x >= 0 && x < 1e3))
            return sc_fail(SC_EINVAL, "--group %s: '%s' is neither lr=RATE nor decay=SHARE", text, settings);
        *to = x;
        settings = *end ? end + 1 : end;
    }
    return SC_OK;
}

static sc_status read_groups(sc_trainer *t, sc_optimizer_options *x)
{
    sc_param_group *list = sc_arena_alloc(t->arena, (size_t)(t->o.n_groups + 1) * sizeof *list);
    sc_status s = list ? SC_OK : sc_nomem();
    for (int i = 0; !s && i < t->o.n_groups; i++) {
        char *text = sc_arena_strndup(t->arena, t->o.groups[i], strlen(t->o.groups[i]));
        s = text ? read_group(text, &list[i]) : sc_nomem();
    }
    x->group = list;
    x->n_groups = t->o.n_groups;
    return s;
}

static sc_status make_schedule(sc_trainer *t)
{
    static const char *const names[] = {"constant", "linear", "cosine", "inverse_sqrt", "wsd", "noam"};
    int kind;
    sc_status s = pick("schedule", t->o.schedule, names, SC_COUNT(names), &kind);
    if (s) return s;
    t->schedule = (sc_schedule){.kind = (sc_schedule_kind)kind,
                                .total = t->steps,
                                .warmup = (int64_t)(SC_MAX(t->o.warmup, 0) * (double)t->steps),
                                .decay = t->steps / 5,
                                .shape = SC_DECAY_SQRT,
                                .width = t->task.model->info.width,
                                .cycles = 0.5};
    return SC_OK;
}

/* A number that the options have, or what is usual, which the options are then told. */
static void settle(double *option, double *usual)
{
    if (*option > 0) *usual = *option;
    *option = *usual;
}

static sc_status make_optimizer(sc_trainer *t)
{
    static const char *const kinds[] = {"adamw", "adam", "sgd", "lion", "adafactor", "muon"},
                             *const scales[] = {"original", "match_rms_adamw", "spectral_unclamped"},
                             *const decayed[] = {"matrices", "all", "hidden"};
    sc_train_options *o = &t->o;
    int kind, scale, what;
    sc_status s = pick("optimiser", o->optimizer, kinds, SC_COUNT(kinds), &kind);
    if (!s) s = pick("scale of rates", o->muon_scale, scales, SC_COUNT(scales), &scale);
    if (!s) s = pick("choice of what decays", o->decayed, decayed, SC_COUNT(decayed), &what);
    if (s) return s;
    sc_optimizer_options x = sc_optimizer_defaults((sc_optimizer_kind)kind);
    if (strcmp(o->schedule, "noam") == 0)
        x.lr = 1; /* the schedule's numbers are rates */
    else if (t->task.objective->rate > 0)
        /* What is trained beside the weights begins from nothing, and takes more (Biderman et al. 2024, arXiv:2405.09673). */
        x.lr *= SC_MIN(t->task.objective->rate * (o->peft.method ? 10 : 1), 1);
    settle(&o->lr, &x.lr);
    settle(&o->beta1, &x.beta1);
    settle(&o->beta2, &x.beta2);
    settle(&o->eps, &x.eps);
    settle(&o->rest_lr, &x.rest_lr);
    t->lr = x.lr;
    x.weight_decay = SC_MAX(o->weight_decay, 0);
    x.muon_scale = (sc_muon_scale)scale;
    x.decayed = (sc_decayed)what;
    x.ema = o->ema;
    s = read_groups(t, &x);
    if (!s) s = make_schedule(t);
    if (!s) s = sc_team_own(&t->team, t->trained, t->n, x.kind);
    return s ? s : sc_optimizer_new(&t->optimizer, &x, sc_team_trained(&t->team, t->trained), t->n);
}

static sc_status make_spikes(sc_trainer *t)
{
    static const char *const actions[] = {"warn", "skip", "rollback"};
    int action;
    sc_status s = pick("answer to spikes", t->o.on_spike, actions, SC_COUNT(actions), &action);
    if (s) return s;
    sc_spike_options o = {(sc_on_spike)action, t->o.spike_factor, t->o.spike_window, t->o.spike_limit};
    return sc_spikes_new(&t->spikes, &o);
}

static void count_steps(sc_trainer *t)
{
    double per_step = (double)((t->o.batch - t->task.replayed) * t->o.accumulate); /* of the new data */
    t->steps = t->o.steps ? t->o.steps : (int64_t)ceil((double)t->task.size.examples * t->o.epochs / per_step);
}

/* What the run is made of, by content. */
static sc_status sum_files(sc_trainer *t)
{
    char *inside = sc_path_is_dir(t->o.model) ? sc_path_join(t->o.model, "config.json") : NULL;
    const char *config = inside ? inside : t->o.model;
    const struct {
        const char *name, *const *path;
        int n;
    } inputs[] = {{"data", t->o.data, t->o.n_data},
                  {"eval-data", t->o.eval_data, t->o.n_eval_data},
                  {"replay", t->o.replay, t->o.n_replay},
                  {"ewc-data", t->o.ewc_data, t->o.n_ewc_data},
                  {"old-eval-data", t->o.old_eval_data, t->o.n_old_eval_data},
                  {"config", &config, sc_path_exists(config)}};
    sc_status s = (t->files = json_object()) ? SC_OK : sc_nomem();
    for (int i = 0; !s && i < SC_COUNT(inputs); i++) {
        json_t *sums = NULL;
        s = sc_files_state(&sums, inputs[i].path, inputs[i].n);
        if (!s && json_object_set_new(t->files, inputs[i].name, sums) != 0) s = sc_nomem();
    }
    sc_free(inside);
    return s;
}

/* ---- the run's folder ---- */

/* One process at a time. Where the file system has no locks, nobody is kept out. */
static sc_status lock(sc_trainer *t)
{
    t->lock = open(t->o.out, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->lock >= 0 && flock(t->lock, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return sc_fail(SC_EINVAL, "%s: another process is training there", t->o.out);
    return SC_OK;
}

/* Each start of the run as a line to be typed, with when and where. */
static sc_status append_command(sc_trainer *t)
{
    char when[64] = "", *path = sc_path_join(t->o.out, "command.txt"), *here = getcwd(NULL, 0);
    time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local)) strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S%z", &local);
    FILE *f = path ? fopen(path, "a") : NULL;
    bool ok = f && fprintf(f, "# %s in %s, step %lld\n%s\n", when, here ? here : "?", (long long)t->first,
                           t->command) > 0;
    if (f && fclose(f) != 0) ok = false;
    sc_status s = ok ? SC_OK : sc_fail(SC_EIO, "cannot write %s/command.txt: %s", t->o.out, strerror(errno));
    free(here);
    sc_free(path);
    return s;
}

/* The state that a run goes on with: of the last checkpoint (*dir), or of a run that has none yet; *state NULL: a new run. */
static sc_status find_state(sc_trainer *t, char **dir, json_t **state)
{
    *dir = NULL;
    *state = NULL;
    if (!t->o.resume) {
        if (!sc_checkpoint_any(t->o.out)) return SC_OK;
        return sc_fail(SC_EINVAL, "%s has a run already; go on with it (--resume) or choose another folder",
                       t->o.out);
    }
    sc_status s = sc_checkpoint_last(t->ctx, t->o.out, 1, dir, state);
    if (s == SC_ENOTFOUND && sc_checkpoint_read_state(state, t->o.out) == SC_OK) {
        sc_log(t->ctx, SC_LOG_INFO, "%s has no checkpoint yet: from the beginning", t->o.out);
        return SC_OK;
    }
    if (s == SC_ENOTFOUND) return sc_fail(s, "%s has no checkpoint to go on from", t->o.out);
    return s;
}

/* Options that a run must go on with: others would not give what it would have given. */
static sc_status check_state(const sc_trainer *t, const json_t *state)
{
    static const char *const inputs[] = {"data", "eval-data", "replay", "ewc-data", "old-eval-data"};
    const json_t *had = json_object_get(state, "inputs"), *config = json_object_get(t->files, "config");
    sc_status s = sc_train_options_same(&t->o, json_object_get(state, "options"), t->o.out);
    for (int i = 0; !s && i < SC_COUNT(inputs); i++)
        s = sc_files_same(json_object_get(t->files, inputs[i]), json_object_get(had, inputs[i]), inputs[i],
                          t->o.out);
    if (!s && json_array_size(config))
        s = sc_files_same(config, json_object_get(had, "config"), "config", t->o.out);
    if (!s && json_integer_value(json_object_get(state, "tokens")) != t->task.size.tokens)
        s = sc_fail(SC_EINVAL, "%s: the data has %lld tokens, the run was started with %lld: another tokenizer?",
                    t->o.out, (long long)t->task.size.tokens,
                    (long long)json_integer_value(json_object_get(state, "tokens")));
    return s;
}

/* ---- opening ---- */

static sc_status choose_precision(sc_trainer *t)
{
    static const char *const names[] = {"f32", "bf16"};
    int which;
    sc_status s = pick("precision", t->o.precision, names, SC_COUNT(names), &which);
    if (s) return s;
    if (which && !t->task.model->backend->bf16)
        sc_log(t->ctx, SC_LOG_WARNING, "this machine does not multiply bf16: it trains in f32");
    sc_learner_compute(t->learner, which ? SC_BF16 : SC_F32, t->o.recompute);
    return SC_OK;
}

static sc_status make_learner(sc_trainer *t)
{
    sc_status s = sc_learner_new(&t->learner, t->task.model, t->task.objective, t->task.self);
    if (!s) s = choose_precision(t);
    if (s) return s;
    t->trained = sc_learner_trained(t->learner, &t->n);
    if (!(t->count = sc_calloc((size_t)t->n, sizeof *t->count))) return sc_nomem();
    for (int64_t i = 0; i < t->n; i++) t->count[i] = t->trained[i].rows * t->trained[i].cols;
    return make_spikes(t);
}

/* Everything as it was after the checkpoint's step; the model's weights are read already. */
static sc_status take_up(sc_trainer *t, const char *dir, const json_t *state)
{
    sc_checkpoint c = sc_trainer_checkpoint(t);
    t->first = json_integer_value(json_object_get(state, "global_step"));
    t->place = json_integer_value(json_object_get(state, "data_step"));
    t->before = json_number_value(json_object_get(state, "seconds"));
    sc_optimizer_set_steps(t->optimizer, t->first);
    sc_status s = sc_team_agree(&t->team, sc_checkpoint_read(&c, dir, false));
    return s ? s : sc_spikes_restore(&t->spikes, json_object_get(state, "spikes"));
}

static sc_status open_journal(sc_trainer *t)
{
    int64_t parameters = 0;
    for (int64_t i = 0; i < t->n; i++) parameters += t->count[i];
    sc_journal_about about = {.out = t->o.out,
                              .title = sc_path_base(t->o.out),
                              .command = t->command,
                              .options = t->options,
                              .config = t->task.model->json,
                              .steps = t->steps,
                              .parameters = parameters,
                              .old = sc_trainer_old(t)};
    return sc_journal_open(&t->journal, t->ctx, &about, t->first);
}

/* What stands in the folder before the first checkpoint, and after a start. */
static sc_status open_folder(sc_trainer *t, const char *dir)
{
    sc_status s = sc_mkdirs(t->o.out);
    if (!s && t->lock < 0) s = lock(t);
    if (s) return s;
    sc_checkpoint_clean(t->o.out);
    if (dir)
        s = sc_trainer_publish(t, dir);
    else {
        json_t *state = sc_trainer_state(t, 0);
        s = state ? sc_checkpoint_write_state(t->o.out, state) : sc_nomem();
        json_decref(state);
    }
    if (!s && t->command) s = append_command(t);
    return s ? s : open_journal(t);
}

/* The folder and the state on rank 0; for the others the state, and whether there is a checkpoint. */
static sc_status find_run(sc_trainer *t, char **dir, json_t **state, bool *saved)
{
    sc_status s = SC_OK;
    *dir = NULL;
    *state = NULL;
    if (sc_team_first(&t->team)) {
        if (sc_path_is_dir(t->o.out)) s = lock(t);
        if (!s) s = find_state(t, dir, state);
    }
    *saved = *dir != NULL;
    s = sc_team_agree(&t->team, s);
    if (!s) s = sc_team_tell(&t->team, state);
    return s ? s : sc_team_ask(&t->team, saved);
}

sc_forgetting sc_trainer_old(const sc_trainer *t)
{
    return (sc_forgetting){
        .n = t->n_old, .name = t->old_name, .path = t->o.old_eval_data, .measure = t->task.objective->measure};
}

/* Old data, whose loss is measured to see what is forgotten. */
static sc_status open_old(sc_trainer *t)
{
    sc_status s = SC_OK;
    for (int i = 0; !s && i < t->o.n_old_eval_data; i++) {
        struct sc_old_data *x = &t->old[i];
        const char *path = t->o.old_eval_data[i];
        int alike = 0;
        for (int k = 0; k < i; k++) alike += strcmp(sc_path_base(t->o.old_eval_data[k]), sc_path_base(path)) == 0;
        sc_old_name(t->old_name[i], path, alike);
        s = sc_task_measure(&t->task, t->ctx, &t->o, &t->o.old_eval_data[i], 1, &x->self, &x->eval_batches);
        if (s)
            s = sc_fail_in(s, "--old-eval-data");
        else
            t->n_old++;
    }
    return s;
}

/* What holds the weights where they began; after the optimiser's parts are known. */
static sc_status make_anchor(sc_trainer *t, bool fresh)
{
    sc_anchor_setup x = {.o = &t->o,
                         .task = &t->task,
                         .learner = t->learner,
                         .whole = t->trained,
                         .part = sc_team_trained(&t->team, t->trained),
                         .n = t->n,
                         .shards = t->team.shards,
                         .first = sc_team_first(&t->team),
                         .work = t->ctx,
                         .user = t->team.user};
    return sc_anchor_open(&t->team.anchor, &x, fresh);
}

/* The model and the data, with this rank's part of each batch. */
static sc_status open_task(sc_trainer *t, const char *path, bool fresh)
{
    int64_t batch = t->o.batch;
    sc_status s = sc_team_divide(&t->team, batch, t->o.accumulate, &t->o.batch);
    if (!s) s = sc_task_open(&t->task, t->ctx, &t->o, path, fresh, t->team.parts);
    if (!s) s = open_old(t);
    t->o.batch = batch;
    if (!s) count_steps(t);
    return s;
}

/* What each rank does by itself. Weights that are read are rank 0's, who gives them to the others. */
static sc_status open_parts(sc_trainer *t, const char *dir, const json_t *state, bool saved)
{
    sc_status s = state ? sc_train_options_fill(&t->o, json_object_get(state, "options"), t->arena) : SC_OK;
    if (!s) s = take_options(t);
    if (s) return s;
    if (saved && !sc_path_exists(t->o.tokenizer)) t->o.tokenizer = t->o.out; /* its copy */
    const char *from = saved && !sc_path_exists(t->o.model) ? t->o.out : t->o.model;
    bool adapted = t->o.peft.method != NULL; /* to a model that all ranks read, whose checkpoints do not have it */
    bool fresh = !(saved || t->o.from_weights) || !sc_team_first(&t->team);
    s = adapted ? open_task(t, t->o.model, false) : open_task(t, dir ? dir : from, fresh);
    if (!s && adapted && dir) s = sc_adapters_read(&t->task.model->adapters, dir);
    if (!s) s = sc_trainer_best_check(t);
    if (!s && saved) s = sc_trainer_best_restore(t);
    if (!s) s = make_learner(t);
    return s ? s : sum_files(t);
}

static sc_status open_run(sc_trainer *t)
{
    char *dir;
    json_t *state;
    bool saved;
    sc_status s = find_run(t, &dir, &state, &saved);
    if (!s) s = sc_team_agree(&t->team, open_parts(t, dir, state, saved));
    if (!s) s = sc_team_agree(&t->team, make_optimizer(t));
    if (!s && state) s = sc_team_agree(&t->team, check_state(t, state));
    if (!s) s = sc_team_agree(&t->team, (t->options = sc_train_options_json(&t->o)) ? SC_OK : sc_nomem());
    if (!s) s = sc_team_compare(&t->team, t->options, t->files);
    if (!s) s = sc_team_agree(&t->team, make_anchor(t, !saved));
    if (!s && saved) s = take_up(t, dir, state);
    if (!s) s = sc_team_agree(&t->team, sc_team_first(&t->team) ? open_folder(t, dir) : SC_OK);
    sc_free(dir);
    json_decref(state);
    return s;
}

static void close_run(sc_trainer *t)
{
    sc_journal_free(t->journal);
    sc_spikes_free(&t->spikes);
    sc_optimizer_free(t->optimizer);
    sc_learner_free(t->learner);
    for (int i = 0; i < t->n_old; i++) t->task.objective->free(t->old[i].self);
    sc_task_close(&t->task);
    json_decref(t->options);
    json_decref(t->files);
    sc_free(t->count);
    sc_free(t->command);
    sc_arena_free(t->arena);
    if (t->lock >= 0) close(t->lock);
}

/* After a fault between ranks nobody should have to guess what is left. */
static sc_status say_how_to_go_on(const sc_trainer *t, sc_status s)
{
    char text[600];
    snprintf(text, sizeof text, "%s", sc_error());
    if (t->saved > 0)
        return sc_fail(s, "%s; saved is step %lld, to go on: mpirun … socle train --resume --out %s", text,
                       (long long)t->saved, t->o.out);
    return sc_fail(s, "%s; there is no checkpoint yet", text);
}

sc_status sc_train_objective(sc_context *ctx, const sc_train_options *o, const sc_objective *objective,
                             sc_train_report *report, void *user)
{
    sc_trainer t = {.o = *o, .lock = -1, .arena = sc_arena_new(), .task.objective = objective};
    if (objective) t.o.objective = objective->name;
    t.ctx = &t.team.work;
    sc_status s = t.arena ? SC_OK : sc_nomem();
    if (!s && !o->out) s = sc_fail(SC_EINVAL, "a training needs a place for the run");
    if (!s && o->n_args && !(t.command = sc_command_text(o->args, o->n_args))) s = sc_nomem();
    if (!s) s = sc_team_open(&t.team, ctx);
    if (!s) s = open_run(&t);
    if (!s) s = sc_trainer_loop(&t, report, user);
    if (s && t.begun > 0 && t.team.ranks && sc_ranks_broken(t.team.ranks)) s = say_how_to_go_on(&t, s);
    close_run(&t);
    return sc_team_close(&t.team, s);
}

sc_status sc_train(sc_context *ctx, const sc_train_options *o, sc_train_report *report, void *user)
{
    return sc_train_objective(ctx, o, NULL, report, user);
}
