/* SPDX-License-Identifier: Apache-2.0 */
/* Going up a ladder: each run is a training of its own, which goes on where it was stopped. */
#include "scale/ladder.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <sys/file.h>
#include <unistd.h>

enum { MAX_METRICS = 1 << 30, MAX_RESULT = 4096 };

typedef struct climb {
    sc_context *ctx;
    sc_ladder *ladder;
    double peak;
    sc_ladder_progress *progress;
    void *user;
    int64_t at;
} climb;

static void tell(void *user, const sc_train_event *e)
{
    const climb *c = user;
    if (c->progress) c->progress(c->user, &c->ladder->rung[c->at], c->at, c->ladder->n, e);
}

/* The last evaluation in metrics.jsonl, and what was known with it. */
static sc_status read_loss(const char *run, sc_rung *r)
{
    char *text = NULL, *path = sc_path_join(run, "metrics.jsonl"), *save = NULL;
    int64_t n;
    sc_status s = path ? sc_file_read(&text, &n, path, MAX_METRICS) : sc_nomem();
    for (char *line = s ? NULL : strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *o = json_loads(line, 0, NULL);
        if (json_is_number(json_object_get(o, "eval_loss")))
            r->loss = json_number_value(json_object_get(o, "eval_loss"));
        if (json_is_number(json_object_get(o, "seconds")))
            r->seconds = json_number_value(json_object_get(o, "seconds"));
        if (json_is_number(json_object_get(o, "epoch"))) r->epochs = json_number_value(json_object_get(o, "epoch"));
        json_decref(o);
    }
    if (!s && !(isfinite(r->loss) && r->loss > 0)) s = sc_fail(SC_EFORMAT, "%s: no evaluation's loss in it", path);
    sc_free(text);
    sc_free(path);
    return s;
}

static sc_status write_result(const sc_ladder *l, sc_rung *r, const char *run)
{
    char text[MAX_RESULT], *path = sc_rung_path(l, r, "result.json");
    sc_status s = path ? read_loss(run, r) : sc_nomem();
    if (!s) {
        int n = snprintf(text, sizeof text, "{\"loss\": %.17g, \"seconds\": %.6g, \"epochs\": %.6g}\n", r->loss,
                         isfinite(r->seconds) ? r->seconds : 0, isfinite(r->epochs) ? r->epochs : 0);
        s = sc_file_write(path, text, n);
    }
    sc_free(path);
    r->done = !s;
    return s;
}

static sc_status train(climb *c, sc_rung *r)
{
    const sc_ladder *l = c->ladder;
    sc_train_options o = {0};
    char *config = sc_rung_path(l, r, "config.json"), *run = sc_rung_path(l, r, "run");
    sc_status s = config && run ? sc_train_options_fill(&o, l->train, l->arena) : sc_nomem();
    if (!s) {
        o.model = config;
        o.out = run;
        o.steps = r->steps;
        o.lr = r->lr;
        o.resume = sc_path_is_dir(run);
        o.eval_every = r->steps;
        o.log_every = o.log_every ? o.log_every : SC_MAX(r->steps / 50, 1);
        o.keep = o.keep ? o.keep : 1;
        o.peak_flops = c->peak;
        s = sc_train(c->ctx, &o, tell, c);
        if (s && s != SC_ECANCELLED && *sc_error()) sc_fail_in(s, "run %s", r->name);
    }
    if (!s && sc_train_rank() == 0) s = write_result(l, r, run);
    sc_free(config);
    sc_free(run);
    return s;
}

/* The lock of a run's folder in *fd; -1: another process has it. */
static sc_status lock(const char *path, int *fd)
{
    *fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*fd < 0) return sc_fail(SC_EIO, "%s: %s", path, strerror(errno));
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0) return SC_OK;
    close(*fd);
    *fd = -1;
    return SC_OK;
}

/* Results that others have written meanwhile are taken too. */
static sc_status look_again(sc_ladder *l)
{
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < l->n; i++)
        if (!l->rung[i].done) s = sc_rung_look(l, &l->rung[i]);
    return s ? s : sc_ladder_points(l);
}

/* Trains a run unless another process does. Ranks that train together do not ask, since they must go the same way: the
 * training's own lock stops them all. */
static sc_status take(climb *c, sc_rung *r, int64_t *left)
{
    bool alone = sc_train_ranks() == 1;
    char *folder = sc_rung_path(c->ladder, r, NULL);
    int held = -1;
    sc_status s = folder ? SC_OK : sc_nomem();
    if (!s && alone) s = lock(folder, &held);
    if (!s && alone && held < 0) {
        ++*left;
    } else if (!s) {
        if (alone) s = sc_rung_look(c->ladder, r); /* it may have been done since */
        if (!s && !r->done) s = train(c, r);
    }
    if (held >= 0) close(held);
    sc_free(folder);
    return s;
}

sc_status sc_ladder_run(sc_context *ctx, const char *dir, double peak_flops, sc_ladder_progress *progress,
                        void *user, int64_t *undone)
{
    climb c = {.ctx = ctx, .peak = peak_flops, .progress = progress, .user = user};
    sc_status s = sc_ladder_open(&c.ladder, dir);
    /* A process can begin and end its part in MPI once. */
    bool first = sc_train_rank() == 0, together = sc_train_ranks() > 1, trained = false;
    int64_t left = 0;
    if (s) return s;
    for (c.at = 0; !s && c.at < c.ladder->n; c.at++) {
        sc_rung *r = &c.ladder->rung[c.at];
        if (r->done) continue;
        if (together && trained) {
            left++;
            continue;
        }
        s = take(&c, r, &left);
        trained = true;
        if (!s && first) s = look_again(c.ladder);
    }
    if (undone) *undone = left;
    sc_ladder_free(c.ladder);
    return s;
}
