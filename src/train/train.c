/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of a training: batches in an order that follows from the seed and the step alone, so a run that goes on from a
 * checkpoint does what it would have done. */
#include "train/team.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct trainer {
    sc_team team;
    sc_context *ctx; /* the team's */
    sc_train_options o;
    sc_model *model;
    sc_tokenizer *tokenizer;
    sc_learner *learner;
    sc_optimizer *optimizer;
    sc_schedule schedule;
    const sc_objective *objective;
    void *task; /* the objective's own */
    sc_objective_size size;
    const sc_trained *trained;
    int64_t *count; /* elements of each parameter */
    int64_t n;
    int64_t steps, first;
    double words; /* of the last step's batches */
    FILE *metrics;
    double begun, lr;
} trainer;

static sc_status want(bool ok, const char *what, double value)
{
    return ok ? SC_OK : sc_fail(SC_EINVAL, "%s is %g, which is out of range", what, value);
}

static sc_status take_options(trainer *t, const sc_train_options *o)
{
    t->o = *o;
    sc_train_options *x = &t->o;
    if (!x->model || !x->out) return sc_fail(SC_EINVAL, "a training needs a model and a place for the run");
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
    sc_status s;
    if ((s = want(x->batch > 0 && x->batch <= 65536, "the batch", (double)x->batch)) ||
        (s = want(x->length >= 0 && x->length <= 1 << 20, "the length", (double)x->length)) ||
        (s = want(x->accumulate > 0, "accumulate", (double)x->accumulate)) ||
        (s = want(x->steps >= 0, "the number of steps", (double)x->steps)) ||
        (s = want(x->epochs > 0 && x->epochs < 1e6, "the number of epochs", x->epochs)) ||
        (s = want(x->warmup <= 1, "the share of warm-up", x->warmup)) ||
        (s = want(x->save_every > 0, "the steps between checkpoints", (double)x->save_every)) ||
        (s = want(x->lr >= 0 && x->lr < 1e3, "the learning rate", x->lr)))
        return s;
    return SC_OK;
}

static sc_status pick(const char *what, const char *name, const char *const *names, int n, int *out)
{
    for (*out = 0; *out < n; ++*out)
        if (strcmp(name, names[*out]) == 0) return SC_OK;
    return sc_fail(SC_EINVAL, "no %s is called '%s'", what, name);
}

static sc_status make_optimizer(trainer *t)
{
    static const char *const optimizers[] = {"adamw", "adam", "sgd", "lion", "adafactor"}, *const schedules[] = {
                                                                                               "constant", "linear",
                                                                                               "cosine",
                                                                                               "inverse_sqrt",
                                                                                               "wsd"};
    const sc_train_options *o = &t->o;
    int kind;
    sc_status s = pick("optimiser", o->optimizer, optimizers, SC_COUNT(optimizers), &kind);
    if (s) return s;
    sc_optimizer_options x = sc_optimizer_defaults((sc_optimizer_kind)kind);
    if (o->lr > 0) x.lr = o->lr;
    t->lr = x.lr;
    if (o->beta1 > 0) x.beta1 = o->beta1;
    if (o->beta2 > 0) x.beta2 = o->beta2;
    if (o->eps > 0) x.eps = o->eps;
    x.weight_decay = o->weight_decay != 0 ? SC_MAX(o->weight_decay, 0) : 0.1;
    if ((s = pick("schedule", o->schedule, schedules, SC_COUNT(schedules), &kind))) return s;
    double warmup = o->warmup != 0 ? SC_MAX(o->warmup, 0) : 0.02;
    t->schedule = (sc_schedule){.kind = (sc_schedule_kind)kind,
                                .total = t->steps,
                                .warmup = (int64_t)(warmup * (double)t->steps),
                                .decay = t->steps / 5,
                                .shape = SC_DECAY_SQRT,
                                .cycles = 0.5};
    if ((s = sc_team_own(&t->team, t->trained, t->n, x.kind))) return s;
    return sc_optimizer_new(&t->optimizer, &x, sc_team_trained(&t->team, t->trained), t->n);
}

/* ---- data ---- */

static sc_status read_data(trainer *t)
{
    sc_status s = sc_tokenizer_load(&t->tokenizer, t->o.tokenizer);
    if (!s && !sc_path_is_dir(t->o.tokenizer))
        sc_log(t->ctx, SC_LOG_WARNING, "%s is no folder: the run gets no tokenizer of its own", t->o.tokenizer);
    sc_train_options own = t->o; /* with this rank's batches */
    sc_objective_setup setup = {t->ctx, &own, t->model, t->tokenizer};
    if (!s) s = sc_objective_choose(&t->objective, t->o.objective, t->model);
    if (!s) s = sc_team_divide(&t->team, t->o.batch, t->o.accumulate, false, &own.batch);
    if (!s) s = t->objective->open(&t->task, &setup);
    if (s) return s;
    own.batch = t->o.batch;
    t->o = own;
    t->objective->size(t->task, &t->size);
    double per_step = (double)(t->o.batch * t->o.accumulate);
    t->steps = t->o.steps ? t->o.steps : (int64_t)ceil((double)t->size.examples * t->o.epochs / per_step);
    return SC_OK;
}

/* The means over data that is not trained on. */
static sc_status evaluate(trainer *t, sc_measure *sum)
{
    *sum = (sc_measure){0};
    const sc_ranks *r = t->team.ranks;
    for (int64_t i = sc_ranks_rank(r); i < t->size.eval_batches; i += sc_ranks_count(r)) {
        sc_text_batch b;
        sc_status s = t->objective->eval_batch(t->task, i, &b);
        if (!s) s = sc_learner_score(t->learner, &b, sum);
        if (s) return s;
    }
    return sc_team_measure(&t->team, sum);
}

/* ---- the run directory ---- */

static json_t *state_of(const trainer *t, int64_t step)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:f}", "global_step", (json_int_t)step,
                     "max_steps", (json_int_t)t->steps, "train_batch_size", (json_int_t)t->o.batch, "length",
                     (json_int_t)t->o.length, "gradient_accumulation_steps", (json_int_t)t->o.accumulate, "seed",
                     (json_int_t)t->o.seed, "tokens", (json_int_t)t->size.tokens, "objective", t->objective->name,
                     "optimizer", t->o.optimizer, "schedule", t->o.schedule, "epoch",
                     (double)(step * t->o.batch * t->o.accumulate) / (double)t->size.examples);
}

static sc_status save(trainer *t, int64_t step, bool last)
{
    sc_checkpoint c = {.model = t->model,
                       .tokenizer = sc_path_is_dir(t->o.tokenizer) ? t->o.tokenizer : NULL,
                       .trained = t->trained,
                       .optimizer = t->optimizer,
                       .n = t->n,
                       .state = state_of(t, step),
                       .shards = t->team.shards,
                       .first = sc_team_first(&t->team)};
    if (!c.state) return sc_nomem();
    sc_status s = sc_checkpoint_write(&c, t->o.out, step, t->o.keep);
    if (!s && last && c.first) s = sc_checkpoint_write_model(&c, t->o.out);
    json_decref(c.state);
    return sc_team_agree(&t->team, s);
}

/* Options that a run must go on with: others would not give what it would have given. */
static sc_status check_state(const trainer *t, const json_t *state)
{
    json_t *now = state_of(t, 0);
    const char *key;
    json_t *value;
    sc_status s = now ? SC_OK : sc_nomem();
    json_object_foreach(now, key, value)
    {
        if (s || strcmp(key, "global_step") == 0 || strcmp(key, "epoch") == 0) continue;
        if (!json_equal(value, json_object_get(state, key)))
            s = sc_fail(SC_EINVAL, "%s: the run had another '%s'; go on with the same options and data", t->o.out,
                        key);
    }
    json_decref(now);
    return s;
}

/* metrics.jsonl without what came after `step`. */
static sc_status open_metrics(trainer *t, int64_t step)
{
    char *path = sc_path_join(t->o.out, "metrics.jsonl"), *text = NULL;
    int64_t n = 0, kept = 0;
    sc_status s = path ? SC_OK : sc_nomem();
    if (!s && step > 0 && sc_path_exists(path)) s = sc_file_read(&text, &n, path, (int64_t)1 << 30);
    for (int64_t at = 0; !s && at < n;) {
        const char *end = memchr(text + at, '\n', (size_t)(n - at));
        if (!end) break; /* a line that was not finished */
        json_t *o = json_loadb(text + at, (size_t)(end - (text + at)), 0, NULL);
        int64_t its = json_integer_value(json_object_get(o, "step"));
        json_decref(o);
        if (!o || its > step) break;
        at = kept = end - text + 1;
    }
    if (!s) s = sc_file_write(path, text ? text : "", kept);
    if (!s && !(t->metrics = fopen(path, "a"))) s = sc_fail(SC_EIO, "cannot write %s", path);
    sc_free(text);
    sc_free(path);
    return s;
}

/* What there is to go on from: *dir on rank 0, *state on all; NULL for a new run. */
static sc_status find_run(trainer *t, char **dir, json_t **state)
{
    sc_status s = SC_OK;
    char *text = NULL;
    if (sc_team_first(&t->team)) {
        s = sc_checkpoint_last(t->o.out, dir, state);
        if (s == SC_ENOTFOUND && !t->o.resume)
            s = SC_OK;
        else if (!s && !t->o.resume)
            s = sc_fail(SC_EINVAL, "%s has a run already; go on with it (--resume) or choose another folder",
                        t->o.out);
        if (!s && *state && !(text = json_dumps(*state, JSON_COMPACT))) s = sc_nomem();
    }
    s = sc_team_agree(&t->team, s);
    if (!s) s = sc_ranks_tell(t->team.ranks, &text);
    if (!s && !*state && text && *text) s = sc_json_parse(state, text, (int64_t)strlen(text), "trainer_state.json");
    sc_free(text);
    return s;
}

/* Everything that each rank does by itself. */
static sc_status open_parts(trainer *t, const char *dir, const json_t *state)
{
    sc_model_options fresh = {.weights = SC_WEIGHTS_FRESH, .seed = t->o.seed};
    bool reads = dir || (t->o.from_weights && sc_team_first(&t->team));
    sc_status s = sc_model_open(&t->model, t->ctx, dir ? dir : t->o.model, reads ? NULL : &fresh);
    if (!s) s = read_data(t);
    if (!s && state) s = check_state(t, state);
    if (!s) s = sc_learner_new(&t->learner, t->model, t->objective, t->task);
    if (s) return s;
    t->trained = sc_learner_trained(t->learner, &t->n);
    if (!(t->count = sc_calloc((size_t)t->n, sizeof *t->count))) return sc_nomem();
    for (int64_t i = 0; i < t->n; i++) t->count[i] = t->trained[i].rows * t->trained[i].cols;
    return SC_OK;
}

/* Numbers that make a run, beside those of its state. */
static sc_status compare(trainer *t)
{
    const sc_train_options *o = &t->o;
    json_t *all = state_of(t, 0),
           *more = json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:I, s:I}", "out", o->out, "lr",
                             o->lr, "beta1", o->beta1, "beta2", o->beta2, "eps", o->eps, "weight_decay",
                             o->weight_decay, "warmup", o->warmup, "clip", o->clip, "save_every",
                             (json_int_t)o->save_every, "eval_every", (json_int_t)o->eval_every, "parameters",
                             (json_int_t)t->n, "eval_batches", (json_int_t)t->size.eval_batches);
    sc_status s = all && more && json_object_update(all, more) == 0 ? SC_OK : sc_nomem();
    s = sc_team_agree(&t->team, s);
    if (!s) s = sc_team_compare(&t->team, all, o, t->objective, t->task);
    json_decref(all);
    json_decref(more);
    return s;
}

static sc_status open_model(trainer *t)
{
    char *dir = NULL;
    json_t *state = NULL;
    sc_status s = find_run(t, &dir, &state);
    if (!s) s = sc_team_agree(&t->team, open_parts(t, dir, state));
    if (!s) s = compare(t);
    if (!s) s = sc_team_agree(&t->team, make_optimizer(t));
    if (!s && state) {
        sc_checkpoint c = {.model = t->model,
                           .trained = t->trained,
                           .optimizer = t->optimizer,
                           .n = t->n,
                           .shards = t->team.shards,
                           .first = sc_team_first(&t->team)};
        t->first = json_integer_value(json_object_get(state, "global_step"));
        s = sc_team_agree(&t->team, sc_checkpoint_read_optimizer(&c, dir));
        sc_optimizer_set_steps(t->optimizer, t->first);
    }
    sc_free(dir);
    json_decref(state);
    return s;
}

/* ---- the loop ---- */

static sc_status one_step(trainer *t, int64_t step, sc_train_event *e)
{
    sc_team_step g;
    double began = sc_now();
    sc_status s = sc_team_gradients(&t->team, t->learner, t->objective, t->task, step, t->count, t->n, &g);
    if (s) return s;
    e->loss = g.loss;
    e->norm = g.norm;
    t->words = g.words;
    if (!isfinite(e->loss) || !isfinite(e->norm))
        return sc_team_agree(
            &t->team,
            sc_fail(
                SC_EINVAL,
                "step %lld: the loss is %g and the norm of the gradients %g; the last checkpoint is from before",
                (long long)step + 1, e->loss, e->norm));
    double factor = sc_schedule_at(&t->schedule, step);
    e->lr = t->lr * factor;
    s = sc_optimizer_step(t->optimizer, t->ctx, g.grad, t->o.clip > 0 ? sc_clip_factor(e->norm, t->o.clip) : 1,
                          factor);
    return s ? s : sc_team_share(&t->team, began);
}

static sc_status note(trainer *t, const sc_train_event *e)
{
    if (!t->metrics) return SC_OK; /* rank 0's */
    json_t *o = json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "step", (json_int_t)e->step, "epoch", e->epoch,
                          "loss", e->loss, "learning_rate", e->lr, "grad_norm", e->norm, "tokens_per_second",
                          e->tokens_per_second, "seconds", e->seconds);
    if (o && e->ranks > 1) json_object_set_new(o, "communication", json_real(e->communication));
    if (o && e->eval_loss >= 0) json_object_set_new(o, "eval_loss", json_real(e->eval_loss));
    if (o && e->measure) {
        char name[64];
        snprintf(name, sizeof name, "eval_%s", e->measure);
        json_object_set_new(o, name, json_real(e->measured));
    }
    char *line = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(o);
    if (!line) return sc_nomem();
    bool ok = fprintf(t->metrics, "%s\n", line) > 0 && fflush(t->metrics) == 0;
    sc_free(line);
    return ok ? SC_OK : sc_fail(SC_EIO, "cannot write %s/metrics.jsonl", t->o.out);
}

static sc_status evaluate_for(trainer *t, sc_train_event *e)
{
    sc_measure sum;
    sc_status s = evaluate(t, &sum);
    if (s) return s;
    e->eval_loss = sum.loss / sum.counted;
    if ((e->measure = t->objective->measure)) e->measured = sc_measure_value(&sum);
    return SC_OK;
}

static sc_status loop(trainer *t, sc_train_report *report, void *user)
{
    sc_status s = SC_OK;
    int64_t step = t->first, saved = t->first;
    double last = t->begun;
    while (!s && step < t->steps) {
        sc_train_event e = {.steps = t->steps, .eval_loss = -1};
        s = sc_team_stops(&t->team) ? SC_ECANCELLED : one_step(t, step, &e);
        if (s) break;
        step++;
        e.ranks = sc_ranks_count(t->team.ranks);
        e.communication = t->team.seconds > 0 ? t->team.waited / t->team.seconds : 0;
        e.transfer = t->team.seconds > 0 ? t->team.busy / t->team.seconds : 0;
        double now = sc_now();
        e.step = step;
        e.epoch = (double)(step * t->o.batch * t->o.accumulate) / (double)t->size.examples;
        e.seconds = now - t->begun;
        e.tokens_per_second = t->words / (now - last);
        e.flops = sc_learner_flops(t->learner) * (double)(t->team.batches * e.ranks) / (now - last);
        e.left = e.seconds / (double)(step - t->first) * (double)(t->steps - step);
        if (t->size.eval_batches && (step % t->o.eval_every == 0 || step == t->steps)) s = evaluate_for(t, &e);
        if (!s && (step % t->o.log_every == 0 || step == t->steps || e.eval_loss >= 0)) s = note(t, &e);
        if (report && sc_team_first(&t->team)) report(user, &e);
        if (!s && (step % t->o.save_every == 0 || step == t->steps)) {
            s = save(t, step, step == t->steps);
            saved = step;
        }
        last = sc_now();
    }
    if (s == SC_ECANCELLED && sc_ranks_broken(t->team.ranks)) s = sc_ranks_wait(t->team.ranks);
    if (s == SC_ECANCELLED) {
        t->team.agreed = true;
        sc_status kept = step > saved ? save(t, step, false) : SC_OK;
        if (kept) return kept;
        return sc_fail(SC_ECANCELLED, "stopped after step %lld of %lld; go on with --resume", (long long)step,
                       (long long)t->steps);
    }
    return s;
}

/* So that nobody has to guess what is left. */
static sc_status say_how_to_go_on(const trainer *t, sc_status s)
{
    char *dir = NULL, *text = sc_strdup(sc_error());
    json_t *state = NULL;
    if (!text) return sc_nomem();
    if (sc_checkpoint_last(t->o.out, &dir, &state) == SC_OK)
        s = sc_fail(s, "%s; the last checkpoint is %s: go on with --resume", text, dir);
    else
        s = sc_fail(s, "%s; there is no checkpoint yet", text);
    json_decref(state);
    sc_free(dir);
    sc_free(text);
    return s;
}

sc_status sc_train(sc_context *ctx, const sc_train_options *o, sc_train_report *report, void *user)
{
    trainer t = {0};
    sc_status s = sc_team_open(&t.team, ctx);
    t.ctx = t.team.ctx;
    if (!s) s = sc_team_agree(&t.team, take_options(&t, o));
    if (!s) s = open_model(&t);
    if (!s) {
        if (sc_team_first(&t.team)) s = sc_mkdirs(t.o.out);
        if (!s && sc_team_first(&t.team)) s = open_metrics(&t, t.first);
        s = sc_team_agree(&t.team, s);
    }
    t.begun = sc_now();
    if (!s) s = loop(&t, report, user);
    if (t.metrics && fclose(t.metrics) != 0 && !s) s = sc_fail(SC_EIO, "cannot write %s/metrics.jsonl", t.o.out);
    if (s && t.begun > 0 && t.team.ranks && sc_ranks_broken(t.team.ranks)) s = say_how_to_go_on(&t, s);
    sc_optimizer_free(t.optimizer);
    sc_learner_free(t.learner);
    sc_tokenizer_free(t.tokenizer);
    sc_model_free(t.model);
    if (t.objective) t.objective->free(t.task);
    sc_free(t.count);
    return sc_team_close(&t.team, s);
}
