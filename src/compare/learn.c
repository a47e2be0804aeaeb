/* SPDX-License-Identifier: Apache-2.0 */
/* Training for a cell: its examples as files, and a run of sc_train in its folder that goes on where it was. */
#include "compare/compare.h"
#include "socle/convert.h"

/* ---- memory ---- */

static sc_status weights_of(sc_context *ctx, const char *path, sc_model_info *info)
{
    sc_model *m;
    sc_status s = sc_model_open(&m, ctx, path, NULL);
    if (s) return s;
    sc_model_describe(m, info);
    sc_model_free(m);
    return SC_OK;
}

sc_status sc_compare_fits(sc_compare_state *c, const sc_compare_run *r)
{
    sc_model_info info;
    if (!c->o.memory || r->model >= c->o.n_models) return SC_OK;
    sc_status s = weights_of(c->ctx, c->o.models[r->model], &info);
    if (s) return s;
    /* All weights: f32 values, gradients and two moments. What is computed along the way comes on top in either case. */
    int64_t need = r->method->learns == SC_COMPARE_ALL ? 16 * info.parameters : info.bytes;
    if (need <= c->o.memory) return SC_OK;
    return sc_fail(SC_ELIMIT, "needs more than %.1f GB of memory, of %.1f", (double)need / 1e9,
                   (double)c->o.memory / 1e9);
}

/* ---- data ---- */

static sc_status write_examples(const sc_compare_state *c, const char *path, const sc_compare_part *part, int64_t n)
{
    sc_str text = {0};
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < n; i++) {
        json_t *o = sc_compare_example(&c->o, &c->task, part->item[i]);
        char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;
        json_decref(o);
        if (!line) s = sc_nomem();
        if (line) sc_str_printf(&text, "%s\n", line);
        sc_free(line);
    }
    if (!s && text.oom) s = sc_nomem();
    if (!s) s = sc_file_write(path, text.p ? text.p : "", text.len);
    sc_str_free(&text);
    return s;
}

/* ---- the model to begin with ---- */

/* A folder with the weights of a GGUF file, made once for all cells that train all of them. */
static sc_status whole_weights(const sc_compare_state *c, const sc_compare_run *r, char **out)
{
    const char *path = c->o.models[r->model];
    if (sc_path_is_dir(path)) return (*out = sc_strdup(path)) ? SC_OK : sc_nomem();
    char *models = sc_path_join(c->o.out, "models"), *dir = models ? sc_path_join(models, r->model_name) : NULL;
    char *config = dir ? sc_path_join(dir, "config.json") : NULL;
    sc_status s = config ? sc_mkdirs(models) : sc_nomem();
    if (!s && !sc_path_exists(config)) s = sc_convert(c->ctx, path, dir, NULL, NULL); /* config.json comes last */
    sc_free(models);
    sc_free(config);
    if (s)
        sc_free(dir);
    else
        *out = dir;
    return s;
}

/* ---- training ---- */

typedef struct watch {
    sc_context *ctx;
    const sc_compare_run *run;
    double until;
    bool stopped; /* by us */
    int64_t step, steps;
} watch;

static void watch_step(void *user, const sc_train_event *e)
{
    watch *w = user;
    w->step = e->step;
    w->steps = e->steps;
    sc_progress(w->ctx, w->run->model_name, e->step, e->steps);
    if (w->until <= 0 || sc_now() < w->until || e->step == e->steps || sc_context_cancelled(w->ctx)) return;
    w->stopped = true;
    sc_context_cancel(w->ctx);
}

static double rate(const sc_compare_state *c, sc_compare_learns how)
{
    if (c->o.lr > 0) return c->o.lr;
    return how == SC_COMPARE_ALL ? 3e-5 : how == SC_COMPARE_LORA ? 5e-4 : 0.03;
}

static sc_status train(sc_compare_state *c, sc_compare_run *r, double until, const char *model,
                       const char *const *files, const char *run)
{
    watch w = {.ctx = c->ctx, .run = r, .until = until};
    sc_train_options o = {.model = model,
                          .from_weights = true,
                          .objective = "sft",
                          .data = files,
                          .n_data = 1,
                          .eval_data = files + 1,
                          .n_eval_data = c->task.dev.n > 0,
                          .out = run,
                          .resume = sc_path_is_dir(run),
                          .epochs = c->o.epochs,
                          .batch = c->o.batch,
                          .length = c->o.length,
                          .lr = rate(c, r->method->learns),
                          .seed = c->o.seed + r->seed,
                          .save_every = SC_MAX((r->train + c->o.batch - 1) / c->o.batch, 1), /* an epoch */
                          .best = c->task.dev.n > 0,
                          .keep = 1};
    if (r->method->learns == SC_COMPARE_LORA) o.peft = (sc_peft_options){.method = "lora", .rank = c->o.rank};
    if (r->method->learns == SC_COMPARE_PROMPT) o.peft = (sc_peft_options){.method = "prompt"};
    sc_status s = sc_train(c->ctx, &o, watch_step, &w);
    if (s == SC_ECANCELLED && w.stopped) {
        sc_context_resume(c->ctx);
        r->note = sc_arena_printf(r->arena, "its time was over after %lld of %lld steps of training",
                                  (long long)w.step, (long long)w.steps);
        s = SC_OK;
    }
    return s;
}

sc_status sc_compare_learn(sc_compare_state *c, sc_compare_run *r, double until, char **model, char **adapter)
{
    char *names[] = {sc_path_join(r->dir, "train.jsonl"), sc_path_join(r->dir, "dev.jsonl")}, *base = NULL;
    char *run = sc_path_join(r->dir, "run"), *done = sc_path_join(r->dir, "trained");
    sc_status s = names[0] && names[1] && run && done ? SC_OK : sc_nomem();
    if (!s && r->model >= c->o.n_models) s = sc_fail(SC_EUNSUPPORTED, "a model behind an endpoint is not trained");
    if (!s && r->train < 1) s = sc_fail(SC_EINVAL, "there is nothing to train on");
    if (!s && r->method->learns == SC_COMPARE_ALL) s = whole_weights(c, r, &base);
    if (!s && !sc_path_exists(done)) {
        s = write_examples(c, names[0], &c->task.train, r->train);
        if (!s) s = write_examples(c, names[1], &c->task.dev, c->task.dev.n);
        if (!s) s = train(c, r, until, base ? base : c->o.models[r->model], (const char *const *)names, run);
        if (!s) s = sc_file_write(done, "", 0);
    }
    if (!s) {
        *(r->method->learns == SC_COMPARE_ALL ? model : adapter) = run;
        run = NULL;
    }
    sc_free(names[0]);
    sc_free(names[1]);
    sc_free(base);
    sc_free(run);
    sc_free(done);
    return s;
}
