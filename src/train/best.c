/* SPDX-License-Identifier: Apache-2.0 */
/* The checkpoint with the lowest loss on data that is not trained on: out/best, a model directory that shares its weights' file
 * with the checkpoint while that is there, and that the run's folder is made of. */
#include "train/run.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

sc_status sc_trainer_best_check(sc_trainer *t)
{
    if (!t->o.best) return SC_OK;
    if (!t->task.size.eval_batches)
        return sc_fail(SC_EINVAL, "--best needs data to measure on (--eval-data, or --eval-share)");
    if (t->o.save_every % t->o.eval_every)
        return sc_fail(SC_EINVAL,
                       "--best needs an evaluation with each checkpoint: --save-every %lld is no multiple "
                       "of --eval-every %lld",
                       (long long)t->o.save_every, (long long)t->o.eval_every);
    return SC_OK;
}

sc_status sc_trainer_best_restore(sc_trainer *t)
{
    json_t *state;
    char *dir = t->o.best ? sc_path_join(t->o.out, "best") : NULL;
    if (t->o.best && !dir) return sc_nomem();
    if (dir && sc_path_is_dir(dir) && sc_checkpoint_read_state(&state, dir) == SC_OK) {
        t->best_step = json_integer_value(json_object_get(state, "best_global_step"));
        t->best_loss = json_number_value(json_object_get(state, "best_metric"));
        json_decref(state);
    }
    sc_free(dir);
    return SC_OK;
}

/* The new folder in the place of the old one. */
static sc_status put_in_place(char *made, char *best)
{
    bool done = sc_path_exists(best) ? renameat2(AT_FDCWD, made, AT_FDCWD, best, RENAME_EXCHANGE) == 0
                                     : rename(made, best) == 0;
    if (!done && errno == EINVAL) { /* a file system that cannot exchange */
        sc_checkpoint_abandon(best);
        done = rename(made, best) == 0;
    }
    if (!done) return sc_fail(SC_EIO, "cannot rename %s: %s", made, strerror(errno));
    sc_checkpoint_abandon(made);
    return SC_OK;
}

static sc_status copy(sc_trainer *t, int64_t step, double loss)
{
    char name[64];
    json_t *state = NULL;
    snprintf(name, sizeof name, "checkpoint-%lld", (long long)step);
    char *from = sc_path_join(t->o.out, name), *best = sc_path_join(t->o.out, "best"), *made = NULL;
    sc_status s = from && best ? sc_checkpoint_begin(t->o.out, step, &made) : sc_nomem();
    if (!s) s = sc_checkpoint_publish(made, from, t->o.ema_model);
    if (!s && t->task.objective->finish) s = t->task.objective->finish(t->task.self, made);
    if (!s) s = sc_checkpoint_read_state(&state, from);
    if (!s && (json_object_set_new(state, "best_global_step", json_integer((json_int_t)step)) != 0 ||
               json_object_set_new(state, "best_metric", json_real(loss)) != 0))
        s = sc_nomem();
    if (!s) s = sc_checkpoint_write_state(made, state);
    if (!s) s = put_in_place(made, best);
    t->best_step = step;
    t->best_loss = loss;
    if (!s) s = sc_trainer_publish(t, best);
    json_decref(state);
    sc_free(from);
    sc_free(made);
    sc_free(best);
    return s;
}

sc_status sc_trainer_best_take(sc_trainer *t, int64_t step, double loss)
{
    if (!t->o.best || t->saved != step || !isfinite(loss) || (t->best_step && loss >= t->best_loss)) return SC_OK;
    sc_status s = sc_team_first(&t->team) ? copy(t, step, loss) : SC_OK;
    t->best_step = step;
    t->best_loss = loss;
    return sc_team_agree(&t->team, s);
}
