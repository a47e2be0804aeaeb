/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of a training: batches in an order that follows from the seed and the step alone, so a run that goes on from a
 * checkpoint does what it would have done. A step is saved before it is evaluated. */
#include "train/run.h"

#include <math.h>
#include <stdio.h>

/* ---- checkpoints ---- */

sc_checkpoint sc_trainer_checkpoint(const sc_trainer *t)
{
    bool own = !t->o.alphabet && sc_path_is_dir(t->o.tokenizer);
    return (sc_checkpoint){.model = t->task.model,
                           .tokenizer = own ? t->o.tokenizer : NULL,
                           .alphabet = &t->task.alphabet,
                           .trained = t->trained,
                           .optimizer = t->optimizer,
                           .n = t->n,
                           .shards = t->team.shards,
                           .first = sc_team_first(&t->team),
                           .objective = t->task.objective,
                           .self = t->task.self};
}

static double epoch_of(const sc_trainer *t)
{
    int64_t fresh = t->o.batch - t->task.replayed;
    return (double)(t->place * fresh * t->o.accumulate) / (double)t->task.size.examples;
}

json_t *sc_trainer_state(const sc_trainer *t, int64_t step)
{
    json_t *args = json_array(), *o;
    for (int i = 0; args && i < t->o.n_args; i++) json_array_append_new(args, json_string(t->o.args[i]));
    o = json_pack("{s:I, s:I, s:f, s:I, s:f, s:I, s:s, s:s, s:o, s:O, s:O, s:o}", "global_step", (json_int_t)step,
                  "max_steps", (json_int_t)t->steps, "epoch", epoch_of(t), "data_step", (json_int_t)t->place,
                  "seconds", t->before + (t->begun > 0 ? sc_now() - t->begun : 0), "tokens",
                  (json_int_t)t->task.size.tokens, "objective", t->task.objective->name, "socle", sc_version(),
                  "args", args, "options", t->options, "inputs", t->files, "spikes", sc_spikes_state(&t->spikes));
    return o;
}

sc_status sc_trainer_publish(const sc_trainer *t, const char *dir)
{
    char *best = t->best_step ? sc_path_join(t->o.out, "best") : NULL;
    if (t->best_step && !best) return sc_nomem();
    sc_status s = sc_checkpoint_publish(t->o.out, best ? best : dir, t->o.ema_model && !best);
    sc_free(best);
    return !s && t->task.objective->finish ? t->task.objective->finish(t->task.self, t->o.out) : s;
}

static sc_status save(sc_trainer *t, int64_t step)
{
    sc_checkpoint c = sc_trainer_checkpoint(t);
    char name[64];
    if (!(c.state = sc_trainer_state(t, step))) return sc_nomem();
    /* Where a run goes back to must not depend on where it was stopped. */
    int64_t every = t->spikes.o.action == SC_SPIKE_ROLLBACK ? t->o.save_every : 1;
    sc_status s = sc_checkpoint_write(&c, t->o.out, step, t->o.keep, every);
    json_decref(c.state);
    s = sc_team_agree(&t->team, s);
    if (s)
        return sc_fail_in(s, "no checkpoint of step %lld; those before it are whole, go on with --resume",
                          (long long)step);
    snprintf(name, sizeof name, "checkpoint-%lld", (long long)step);
    char *dir = sc_path_join(t->o.out, name);
    s = !dir ? sc_nomem() : c.first ? sc_trainer_publish(t, dir) : SC_OK;
    sc_free(dir);
    return sc_team_agree(&t->team, s);
}

/* ---- what is said of the steps ---- */

static void note_metrics(const sc_trainer *t, json_t *o, const double *metric, double counted, const char *prefix)
{
    const char *names[SC_MORE];
    char key[80];
    sc_learner_metrics(t->learner, names);
    for (int i = 0; o && i < SC_MORE && names[i]; i++) {
        snprintf(key, sizeof key, "%s%s", prefix, names[i]);
        json_object_set_new(o, key, json_real(metric[i] / counted));
    }
}

static void note_step(sc_trainer *t, const sc_train_event *e)
{
    if (!t->journal) return;
    json_t *o = json_pack("{s:I, s:f, s:f, s:f, s:f, s:f, s:f}", "step", (json_int_t)e->step, "epoch", e->epoch,
                          "loss", e->loss, "learning_rate", e->lr, "grad_norm", e->norm, "tokens_per_second",
                          e->tokens_per_second, "seconds", e->seconds);
    if (o && t->o.peak_flops > 0)
        json_object_set_new(o, "share_of_peak", json_real(e->flops / (t->o.peak_flops * e->ranks)));
    note_metrics(t, o, t->metric, 1, "");
    if (o && t->task.objective->note) t->task.objective->note(t->task.self, o);
    if (o && t->team.anchor) json_object_set_new(o, "penalty", json_real(t->penalty));
    if (o && e->ranks > 1) json_object_set_new(o, "communication", json_real(e->communication));
    sc_journal_put(t->journal, o);
}

/* old: numbers of old data, may be NULL; takes it. */
static void note_eval(sc_trainer *t, const sc_train_event *e, const sc_measure *sum, json_t *old)
{
    json_t *o = t->journal ? json_pack("{s:I}", "step", (json_int_t)e->step) : NULL;
    if (o && old) json_object_update(o, old);
    json_decref(old);
    if (!t->journal) return;
    if (o && e->eval_loss >= 0) json_object_set_new(o, "eval_loss", json_real(e->eval_loss));
    if (o && e->ema_loss >= 0) json_object_set_new(o, "ema_eval_loss", json_real(e->ema_loss));
    if (o && e->measure) {
        char name[64];
        snprintf(name, sizeof name, "eval_%s", e->measure);
        json_object_set_new(o, name, json_real(e->measured));
    }
    if (sum) note_metrics(t, o, sum->metric, sum->counted, "eval_");
    sc_journal_put(t->journal, o);
}

/* The means over data that is not trained on. */
static sc_status measure(sc_trainer *t, void *self, int64_t batches, sc_measure *sum)
{
    const sc_ranks *r = t->team.ranks;
    *sum = (sc_measure){0};
    for (int64_t i = sc_ranks_rank(r); i < batches; i += sc_ranks_count(r)) {
        sc_text_batch b;
        if (sc_team_stops(&t->team)) return SC_ECANCELLED;
        sc_status s = t->task.objective->eval_batch(self, i, &b);
        if (!s) s = sc_learner_score(t->learner, &b, sum);
        if (s) return s;
    }
    return sc_team_measure(&t->team, sum);
}

/* The averages where the weights are, on all ranks, and back. */
static sc_status exchange(sc_trainer *t)
{
    sc_optimizer_exchange(t->optimizer, t->ctx);
    return t->team.shards ? sc_shards_share(t->team.shards) : SC_OK;
}

/* What the objective measures itself; what it is told by is the better the more. */
static sc_status evaluate_own(sc_trainer *t, int64_t step)
{
    const sc_objective *x = t->task.objective;
    char name[64];
    snprintf(name, sizeof name, "eval_%s", x->told ? x->told : "");
    json_t *line = json_pack("{s:I}", "step", (json_int_t)step);
    sc_status s = line ? x->evaluate(t->task.self, line) : sc_nomem();
    if (!s && x->told) s = sc_trainer_best_take(t, step, -json_number_value(json_object_get(line, name)));
    if (!s && t->journal)
        sc_journal_put(t->journal, line);
    else
        json_decref(line);
    return s;
}

static sc_status measure_new(sc_trainer *t, sc_train_event *e, sc_measure *sum)
{
    sc_measure averaged;
    int64_t batches = t->task.size.eval_batches;
    sc_status s = measure(t, t->task.self, batches, sum);
    if (s) return s;
    e->eval_loss = sum->loss / sum->counted;
    if ((e->measure = t->task.objective->measure)) e->measured = sc_measure_value(sum);
    if (!(t->o.ema > 0)) return SC_OK;
    s = exchange(t);
    if (!s) s = measure(t, t->task.self, batches, &averaged);
    sc_status back = exchange(t);
    if (s || back) return s ? s : back;
    e->ema_loss = averaged.loss / averaged.counted;
    return SC_OK;
}

/* Into *line, for the journal. */
static sc_status measure_old(sc_trainer *t, json_t **line)
{
    const sc_forgetting about = sc_trainer_old(t);
    sc_status s = SC_OK;
    *line = NULL;
    if (!t->n_old) return SC_OK;
    if (!(*line = json_object())) s = sc_team_agree(&t->team, sc_nomem());
    for (int i = 0; !s && i < t->n_old; i++) {
        sc_measure sum;
        s = measure(t, t->old[i].self, t->old[i].eval_batches, &sum);
        if (!s && sum.counted > 0)
            sc_old_note(&about, i + 1, sum.loss / sum.counted, sc_measure_value(&sum), *line);
    }
    if (!s) return SC_OK;
    json_decref(*line);
    *line = NULL;
    return s;
}

static sc_status evaluate(sc_trainer *t, sc_train_event *e)
{
    bool new = t->task.size.eval_batches > 0;
    sc_measure sum;
    json_t *old;
    if (t->task.size.evaluates && e->step) {
        sc_status own = evaluate_own(t, e->step);
        if (own || !(new || t->n_old)) return own;
    }
    sc_status s = new ? measure_new(t, e, &sum) : SC_OK;
    if (!s && new && e->step) s = sc_trainer_best_take(t, e->step, t->o.ema_model ? e->ema_loss : e->eval_loss);
    if (!s) s = measure_old(t, &old);
    if (!s) note_eval(t, e, new ? &sum : NULL, old);
    return s;
}

static sc_status sample(sc_trainer *t, int64_t step)
{
    if (!t->journal) return SC_OK;
    /* A run may have ended between two of them. */
    for (int64_t i = sc_journal_samples_at(t->journal, step); i < t->o.n_prompts; i++) {
        char *text;
        if (sc_team_stops(&t->team)) return SC_ECANCELLED;
        sc_status s = sc_train_sample(&text, t->task.model, t->task.tokenizer, t->o.prompts[i], t->o.sample_tokens,
                                      t->o.seed, (uint64_t)(step * t->o.n_prompts + i));
        if (s) return s;
        sc_journal_sample(t->journal, step, t->o.prompts[i], text);
        sc_free(text);
    }
    return SC_OK;
}

/* What the objective has to show of how it goes. */
static void show(sc_trainer *t, int64_t step)
{
    const char *prompt, *text;
    const sc_objective *x = t->task.objective;
    for (int64_t i = 0; t->journal && x->show && x->show(t->task.self, i, &prompt, &text); i++)
        sc_journal_sample(t->journal, step, prompt, text);
}

static bool is_due(const sc_trainer *t, int64_t step, int64_t every)
{
    return step > 0 && (step % every == 0 || step == t->steps);
}

/* Where old data is looked at, before the first step too. */
static bool eval_due(const sc_trainer *t, int64_t step)
{
    return ((t->task.size.eval_batches || t->task.size.evaluates) && is_due(t, step, t->o.eval_every)) ||
           (t->n_old && (step == 0 || is_due(t, step, t->o.eval_every)));
}

static bool sample_due(const sc_trainer *t, int64_t step)
{
    return t->o.n_prompts && is_due(t, step, t->o.sample_every);
}

/* What a run that ended between a checkpoint and its evaluation still owes. */
static sc_status catch_up(sc_trainer *t)
{
    sc_train_event e = {.step = t->first, .steps = t->steps, .eval_loss = -1, .ema_loss = -1};
    bool eval = eval_due(t, t->first) && t->journal && !sc_journal_has_eval(t->journal, t->first),
         text = sample_due(t, t->first);
    sc_status s = sc_team_ask(&t->team, &eval);
    if (!s && eval) s = evaluate(t, &e);
    if (!s && text) s = sample(t, t->first);
    return s;
}

static void report_page(sc_trainer *t, const char *status)
{
    if (t->journal) sc_journal_report(t->journal, status, t->spikes.list);
}

/* ---- spikes ---- */

/* "step 812: the loss is 9.31 …", into text. */
static void describe_batch(sc_trainer *t, sc_str *out)
{
    int64_t batches = t->o.accumulate * t->team.parts;
    for (int64_t a = 0; a < batches; a++) {
        if (a) sc_str_puts(out, "; ");
        sc_task_describe(&t->task, t->place * batches + a, out);
    }
}

/* Puts a spike on the list, and says so. */
static sc_status note_spike(sc_trainer *t, const sc_train_event *e, double middle, const char *action)
{
    enum { SHOWN = 300 };
    sc_str batch = {0};
    describe_batch(t, &batch);
    if (batch.oom) return sc_nomem();
    json_t *o = json_pack("{s:I, s:I, s:s, s:s}", "step", (json_int_t)e->step, "data_step", (json_int_t)t->place,
                          "action", action, "batch", batch.p);
    if (o && isfinite(e->loss)) json_object_set_new(o, "loss", json_real(e->loss));
    if (o && isfinite(e->norm)) json_object_set_new(o, "grad_norm", json_real(e->norm));
    if (o && isfinite(middle)) json_object_set_new(o, "median", json_real(middle));
    sc_log(t->ctx, SC_LOG_WARNING,
           "step %lld: the loss is %.4g (median before it %.4g), the norm of the gradients %.4g: %s; batch: %.*s%s",
           (long long)e->step, e->loss, middle, e->norm, action, SHOWN, batch.p,
           batch.len > SHOWN ? " … (all of it in trainer_state.json)" : "");
    sc_str_free(&batch);
    return sc_spikes_note(&t->spikes, o);
}

/* To the checkpoint, but with the data and the spikes of now, which the checkpoint gets to know: a run that is killed
 * meanwhile goes on from there or meets the same spike again. */
static sc_status go_back(sc_trainer *t, const char *dir, json_t *state, int64_t *step)
{
    sc_checkpoint c = sc_trainer_checkpoint(t);
    json_t *list = json_incref(t->spikes.list);
    int64_t count = t->spikes.count;
    sc_status s = sc_team_agree(&t->team, sc_checkpoint_read(&c, dir, true));
    if (!s && t->team.shards) s = sc_shards_spread(t->team.shards);
    if (!s) s = sc_spikes_restore(&t->spikes, json_object_get(state, "spikes"));
    if (!s) {
        json_decref(t->spikes.list);
        t->spikes.list = json_incref(list);
        t->spikes.count = count;
        *step = json_integer_value(json_object_get(state, "global_step"));
        sc_optimizer_set_steps(t->optimizer, *step);
        t->place++;
        if (json_object_set_new(state, "data_step", json_integer((json_int_t)t->place)) != 0 ||
            json_object_set_new(state, "spikes", sc_spikes_state(&t->spikes)) != 0)
            s = sc_nomem();
    }
    if (!s && c.first) s = sc_checkpoint_write_state(dir, state);
    json_decref(list);
    s = sc_team_agree(&t->team, s);
    if (!s && t->journal) sc_journal_cut(t->journal, *step);
    return s;
}

/* The checkpoint to go back to, *dir on rank 0; SC_ENOTFOUND: there is none. */
static sc_status find_last(sc_trainer *t, char **dir, json_t **state)
{
    sc_status s = SC_ENOTFOUND;
    if (sc_team_first(&t->team)) s = sc_checkpoint_last(t->ctx, t->o.out, t->o.save_every, dir, state);
    sc_status met = sc_team_agree(&t->team, s == SC_ENOTFOUND ? SC_OK : s);
    if (!met) met = sc_team_tell(&t->team, state);
    return met ? met : *state ? SC_OK : SC_ENOTFOUND;
}

/* *again: the step is not to be made with this batch. */
static sc_status meet_spike(sc_trainer *t, const sc_train_event *e, double middle, int64_t *step, bool *again)
{
    bool number = isfinite(e->loss) && isfinite(e->norm);
    sc_on_spike action = t->spikes.o.action;
    if (action != SC_SPIKE_WARN && t->spikes.count >= t->spikes.o.limit)
        return sc_fail(SC_EINVAL,
                       "step %lld: the loss is %g, and %lld spikes were skipped before it (--spike-limit): a lower "
                       "learning rate or more warm-up may help",
                       (long long)e->step, e->loss, (long long)t->spikes.count);
    *again = action != SC_SPIKE_WARN;
    if (action == SC_SPIKE_WARN) {
        sc_status s = note_spike(t, e, middle, "went on");
        if (s || number) return s;
        return sc_fail(SC_EINVAL,
                       "step %lld: the loss is %g and the norm of the gradients %g; the last checkpoint is from "
                       "before, --resume with a lower --lr is another run",
                       (long long)e->step, e->loss, e->norm);
    }
    char *dir = NULL;
    json_t *state = NULL;
    sc_status s = SC_ENOTFOUND;
    if (action == SC_SPIKE_ROLLBACK) s = find_last(t, &dir, &state);
    if (s == SC_ENOTFOUND) {
        s = note_spike(t, e, middle, "skipped the batch");
        t->place++;
    } else if (!s) {
        char text[80];
        snprintf(text, sizeof text, "went back to step %lld",
                 (long long)json_integer_value(json_object_get(state, "global_step")));
        s = note_spike(t, e, middle, text);
        if (!s) s = go_back(t, dir, state, step);
    }
    sc_free(dir);
    json_decref(state);
    return s;
}

/* ---- steps ---- */

/* One step, or none where its batch is a spike that is left out: *step is how many are made then. */
static sc_status one_step(sc_trainer *t, int64_t *step, sc_train_event *e)
{
    double middle;
    bool again = false;
    sc_team_step g;
    double began = sc_now();
    e->step = *step + 1;
    sc_status s = sc_team_gradients(&t->team, t->learner, &t->task, t->place, t->count, t->n, &g);
    e->loss = g.loss;
    e->norm = g.norm;
    t->words = g.words;
    t->penalty = g.penalty;
    memcpy(t->metric, g.metric, sizeof t->metric);
    if (!s && sc_spikes_look(&t->spikes, e->loss, e->norm, &middle)) s = meet_spike(t, e, middle, step, &again);
    if (s || again) return s;
    double factor = sc_schedule_at(&t->schedule, *step);
    e->lr = t->lr * factor;
    s = sc_optimizer_step(t->optimizer, t->ctx, g.grad, t->o.clip > 0 ? sc_clip_factor(e->norm, t->o.clip) : 1,
                          factor);
    if (!s) s = sc_team_share(&t->team, began);
    if (s) return s;
    sc_spikes_take(&t->spikes, e->loss);
    t->place++;
    *step = e->step;
    return SC_OK;
}

/* Saved first, then evaluated, sampled from and shown. */
static sc_status after_step(sc_trainer *t, sc_train_event *e)
{
    sc_status s = SC_OK;
    bool due = is_due(t, e->step, t->o.save_every), eval = eval_due(t, e->step);
    if (is_due(t, e->step, t->o.log_every) || eval) note_step(t, e);
    if (due) {
        if ((s = save(t, e->step))) return s;
        t->saved = e->step;
    }
    if (eval) s = evaluate(t, e);
    if (!s && sample_due(t, e->step)) s = sample(t, e->step);
    if (!s && is_due(t, e->step, t->o.sample_every)) show(t, e->step);
    if (due) report_page(t, e->step == t->steps ? "Finished" : "Running");
    return s;
}

/* What the objective says that a step is best told by. */
static void tell_step(const sc_trainer *t, sc_train_event *e)
{
    const sc_objective *x = t->task.objective;
    json_t *line = x->told ? json_object() : NULL;
    if (!line) return;
    x->note(t->task.self, line);
    e->told = x->told;
    e->telling = json_number_value(json_object_get(line, x->told));
    json_decref(line);
}

static sc_status go(sc_trainer *t, sc_train_report *report, void *user, int64_t *step)
{
    sc_status s = catch_up(t);
    double last = sc_now(), training = 0;
    int64_t made = 0;
    while (!s && *step < t->steps) {
        sc_train_event e = {.steps = t->steps, .eval_loss = -1, .ema_loss = -1};
        int64_t before = *step;
        s = sc_team_stops(&t->team) ? SC_ECANCELLED : one_step(t, step, &e);
        double now = sc_now();
        if (!s && *step == before + 1) {
            training += now - last;
            made++;
            e.epoch = epoch_of(t);
            e.seconds = t->before + now - t->begun;
            e.tokens_per_second = t->words / (now - last);
            e.ranks = sc_ranks_count(t->team.ranks);
            e.flops = sc_learner_flops(t->learner) * (double)(t->team.batches * e.ranks) / (now - last);
            e.communication = t->team.seconds > 0 ? t->team.waited / t->team.seconds : 0;
            e.transfer = t->team.seconds > 0 ? t->team.busy / t->team.seconds : 0;
            e.left = training / (double)made * (double)(t->steps - *step);
            tell_step(t, &e);
            s = after_step(t, &e);
            if (report && sc_team_first(&t->team)) report(user, &e);
        }
        last = sc_now();
    }
    return s;
}

sc_status sc_trainer_loop(sc_trainer *t, sc_train_report *report, void *user)
{
    int64_t step = t->first;
    char text[600];
    t->begun = sc_now();
    t->saved = t->first;
    report_page(t, "Running");
    sc_status s = go(t, report, user, &step);
    if (s && sc_ranks_broken(t->team.ranks)) s = sc_ranks_wait(t->team.ranks); /* says why */
    if (s == SC_ECANCELLED) {
        sc_status kept = step > t->saved ? save(t, step) : SC_OK;
        if (kept) return kept;
        snprintf(text, sizeof text, "Stopped after step %lld", (long long)step);
        report_page(t, text);
        t->team.agreed = true;
        if (!step)
            return sc_fail(SC_ECANCELLED, "stopped before the first step; to begin: socle train --resume --out %s",
                           t->o.out);
        return sc_fail(SC_ECANCELLED,
                       "stopped after step %lld of %lld, which is saved; to go on: socle train --resume --out %s",
                       (long long)step, (long long)t->steps, t->o.out);
    }
    if (s) {
        char message[512];
        snprintf(message, sizeof message, "%s", sc_error());
        snprintf(text, sizeof text, "Ended at step %lld: %s", (long long)step, message);
        report_page(t, text);
        return sc_fail(s, "%s", message);
    }
    report_page(t, "Finished");
    if (t->best_step)
        sc_log(t->ctx, SC_LOG_INFO, "the run's model is that of step %lld, with an evaluation loss of %.4f",
               (long long)t->best_step, t->best_loss);
    return SC_OK;
}
