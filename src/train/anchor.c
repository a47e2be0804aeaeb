/* SPDX-License-Identifier: Apache-2.0 */
/* A pull of the weights back to where they began, as strong everywhere (L2) or as what old data needs of them (EWC). What it
 * needs is one file in the run's folder, so that a run that goes on is pulled to the same place. */
#include "train/continual.h"
#include "train/optimizer.h"

#include <stdio.h>

static const char file_name[] = "anchor.safetensors";

struct sc_anchor {
    double l2, ewc;
    int64_t n, *count; /* elements of each parameter that this rank owns */
    const sc_trained *part;
    const float **start, **fisher; /* of each; fisher NULL without EWC */
    sc_safetensors *file;          /* they are in it, mapped, or */
    float **room;                  /* in memory, as rank 0 sent them; (2 n) */
    double *sum;                   /* of pieces, for the largest parameter */
};

void sc_anchor_free(sc_anchor *a)
{
    if (!a) return;
    for (int64_t i = 0; a->room && i < 2 * a->n; i++) sc_free(a->room[i]);
    sc_free(a->room);
    sc_free(a->start);
    sc_free(a->fisher);
    sc_free(a->count);
    sc_free(a->sum);
    sc_safetensors_free(a->file);
    sc_free(a);
}

static int64_t size_of(const sc_trained *p) { return p->rows * p->cols; }

/* ---- the Fisher information ---- */

static sc_status find_values(const sc_safetensors *st, const char *path, const char *kind, const sc_trained *p,
                             const float **out)
{
    char name[600];
    const sc_file_tensor *t;
    snprintf(name, sizeof name, "%s.%s", kind, p->name);
    sc_status s = sc_safetensors_find(st, name, &t);
    if (s) return sc_fail_in(s, "%s", path);
    if (t->dtype != SC_F32 || t->bytes != size_of(p) * (int64_t)sizeof(float))
        return sc_fail(SC_ESHAPE, "%s: '%s' does not fit the model", path, name);
    *out = t->data;
    return SC_OK;
}

static bool has_gradient(const sc_trained *p) { return !p->fixed; }

/* Adds the squares of one example's gradients; the squares of one row's are n times as large on average. */
static void add_squares(const sc_anchor_setup *x, double times, float **sum)
{
    float *const *grad = sc_learner_gradients(x->learner);
    for (int64_t i = 0; i < x->n; i++)
        for (int64_t k = 0; has_gradient(&x->whole[i]) && k < size_of(&x->whole[i]); k++)
            sum[i][k] += (float)(times * grad[i][k] * grad[i][k]);
}

static sc_status measure_fisher(const sc_anchor_setup *x, float **sum)
{
    const sc_train_options *o = x->o;
    const sc_objective *objective = x->task->objective;
    sc_train_options one = *o;
    void *self = NULL;
    int64_t batches, n = 0;
    one.batch = 1;
    sc_status s = sc_task_measure(x->task, x->work, &one, o->ewc_data, o->n_ewc_data, &self, &batches);
    if (s) return sc_fail_in(s, "--ewc-data");
    int64_t most = SC_MIN(batches, o->ewc_examples);
    /* Evenly from the beginning to the end of the data. */
    for (; !s && n < most; n++) {
        sc_text_batch b;
        double loss;
        if (sc_context_cancelled(x->user)) s = sc_fail(SC_ECANCELLED, "stopped while measuring old data (--ewc)");
        if (!s) s = objective->eval_batch(self, n * batches / most, &b);
        sc_learner_clear(x->learner);
        if (!s) s = sc_learner_add(x->learner, &b, 1, &loss);
        if (!s && b.counted) add_squares(x, (double)b.counted / (double)most, sum);
        if (!s) sc_progress(x->work, "measuring old data", n + 1, most);
    }
    sc_learner_clear(x->learner);
    objective->free(self);
    return s;
}

/* What an earlier run was held by counts on (Schwarz et al. 2018, "Progress and compress"). */
static sc_status add_earlier(const sc_anchor_setup *x, float **sum)
{
    sc_safetensors *st;
    const char *path = x->o->ewc_from;
    sc_status s = sc_safetensors_open(&st, path);
    if (s) return s;
    for (int64_t i = 0; !s && i < x->n; i++) {
        const float *had;
        s = find_values(st, path, "fisher", &x->whole[i], &had);
        for (int64_t k = 0; !s && k < size_of(&x->whole[i]); k++) sum[i][k] += had[k];
    }
    sc_safetensors_free(st);
    return s;
}

/* ---- the file ---- */

static sc_status declare(sc_safetensors_writer *w, const char *kind, const sc_trained *p, const float *value)
{
    char name[600];
    snprintf(name, sizeof name, "%s.%s", kind, p->name);
    return sc_safetensors_writer_add(w, name, SC_F32, p->rank, p->dim, value);
}

static sc_status write_file(const sc_anchor_setup *x, const char *path, float *const *fisher)
{
    sc_safetensors_writer *w;
    sc_status s = sc_safetensors_writer_new(&w, path);
    if (s) return s;
    s = sc_safetensors_writer_meta(w, "format", "pt");
    for (int64_t i = 0; !s && i < x->n; i++) {
        s = declare(w, "start", &x->whole[i], x->whole[i].value);
        if (!s && fisher) s = declare(w, "fisher", &x->whole[i], fisher[i]);
    }
    if (!s) s = sc_safetensors_writer_finish(w);
    sc_safetensors_writer_free(w);
    return s;
}

static sc_status make_file(const sc_anchor_setup *x, const char *path)
{
    float **fisher = x->o->ewc > 0 ? sc_calloc((size_t)x->n + 1, sizeof *fisher) : NULL;
    sc_status s = x->o->ewc > 0 && !fisher ? sc_nomem() : sc_mkdirs(x->o->out);
    for (int64_t i = 0; fisher && !s && i < x->n; i++)
        if (!(fisher[i] = sc_calloc((size_t)size_of(&x->whole[i]) + 1, sizeof *fisher[i]))) s = sc_nomem();
    if (fisher && !s && x->o->n_ewc_data) s = measure_fisher(x, fisher);
    if (fisher && !s && x->o->ewc_from) s = add_earlier(x, fisher);
    if (!s) s = write_file(x, path, fisher);
    for (int64_t i = 0; fisher && i < x->n; i++) sc_free(fisher[i]);
    sc_free(fisher);
    return s;
}

/* ---- what each rank has of it ---- */

/* Of one of several ranks: its own part, from rank 0. */
static sc_status receive(sc_anchor *a, const sc_anchor_setup *x, int64_t i, const float *whole, float **to)
{
    *to = sc_malloc((size_t)a->count[i] * sizeof **to + 1);
    if (!*to) return sc_shards_abort(x->shards, sc_nomem());
    return sc_shards_scatter(x->shards, i, *to, (float *)(uintptr_t)whole, size_of(&x->whole[i]));
}

static sc_status take_values(sc_anchor *a, const sc_anchor_setup *x, const char *path, const char *kind,
                             const float **out, float **room)
{
    sc_status s = SC_OK;
    for (int64_t i = 0; i < a->n && (!s || x->shards); i++) {
        const float *whole = NULL;
        if (x->first && !s) s = find_values(a->file, path, kind, &x->whole[i], &whole);
        if (!x->shards)
            out[i] = whole;
        else if (s)
            return sc_shards_abort(x->shards, s);
        else if ((s = receive(a, x, i, whole, &room[i])))
            return s;
        else
            out[i] = room[i];
    }
    return s;
}

static sc_status make_room(sc_anchor *a, const sc_anchor_setup *x)
{
    int64_t pieces = 1;
    size_t some = (size_t)x->n + 1;
    a->n = x->n;
    a->part = x->part;
    a->l2 = SC_MAX(x->o->l2_start, 0);
    a->ewc = SC_MAX(x->o->ewc, 0);
    a->count = sc_calloc(some, sizeof *a->count);
    a->start = sc_calloc(some, sizeof *a->start);
    a->fisher = a->ewc > 0 ? sc_calloc(some, sizeof *a->fisher) : NULL;
    a->room = x->shards ? sc_calloc(2 * some, sizeof *a->room) : NULL;
    if (!a->count || !a->start || (a->ewc > 0 && !a->fisher) || (x->shards && !a->room)) return sc_nomem();
    for (int64_t i = 0; i < a->n; i++) {
        a->count[i] = size_of(&x->part[i]);
        pieces = SC_MAX(pieces, (a->count[i] + SC_PIECE - 1) / SC_PIECE);
    }
    a->sum = sc_calloc((size_t)pieces, sizeof *a->sum);
    return a->sum ? SC_OK : sc_nomem();
}

static sc_status check_options(const sc_train_options *o)
{
    if (o->ewc > 0 && !o->n_ewc_data && !o->ewc_from)
        return sc_fail(SC_EINVAL,
                       "--ewc needs old data (--ewc-data) or what an earlier run knows of it (--ewc-from)");
    if (!(o->ewc > 0) && (o->n_ewc_data || o->ewc_from))
        return sc_fail(SC_EINVAL, "--ewc-data and --ewc-from need a strength: --ewc");
    return SC_OK;
}

sc_status sc_anchor_open(sc_anchor **out, const sc_anchor_setup *x, bool fresh)
{
    *out = NULL;
    sc_status s = check_options(x->o);
    if (s || !(x->o->ewc > 0 || x->o->l2_start > 0)) return s;
    sc_anchor *a = sc_calloc(1, sizeof *a);
    char *path = sc_path_join(x->o->out, file_name);
    s = a && path ? make_room(a, x) : sc_nomem();
    if (!s && x->first && (fresh || !sc_path_exists(path)))
        s = fresh ? make_file(x, path) : sc_fail(SC_ENOTFOUND, "%s is missing: the run was held by it", path);
    if (!s && x->first) s = sc_safetensors_open(&a->file, path);
    if (s && x->shards) s = sc_shards_abort(x->shards, s);
    if (!s) s = take_values(a, x, path, "start", a->start, a->room);
    if (!s && a->fisher) s = take_values(a, x, path, "fisher", a->fisher, a->room ? a->room + a->n : NULL);
    if (x->shards) {
        sc_safetensors_free(a ? a->file : NULL);
        if (a) a->file = NULL;
    }
    sc_free(path);
    if (s)
        sc_anchor_free(a);
    else
        *out = a;
    return s;
}

/* ---- a step ---- */

typedef struct pull {
    const sc_anchor *a;
    int64_t i;
    float *grad;
    int threads;
} pull;

static double pull_piece(const pull *p, int64_t from, int64_t to)
{
    const float *w = p->a->part[p->i].value, *w0 = p->a->start[p->i], *f = p->a->fisher ? p->a->fisher[p->i] : NULL;
    double sum = 0;
    for (int64_t k = from; k < to; k++) {
        double c = p->a->l2 + (f ? p->a->ewc * f[k] : 0), d = (double)w[k] - w0[k];
        p->grad[k] += (float)(c * d);
        sum += 0.5 * c * d * d;
    }
    return sum;
}

static void pull_share(void *arg, int member)
{
    const pull *p = arg;
    int64_t n = p->a->count[p->i];
    for (int64_t k = member; k * SC_PIECE < n; k += p->threads)
        p->a->sum[k] = pull_piece(p, k * SC_PIECE, SC_MIN((k + 1) * SC_PIECE, n));
}

double sc_anchor_pull(const sc_anchor *a, sc_context *ctx, float *const *grad)
{
    double sum = 0;
    for (int64_t i = 0; i < a->n; i++) {
        pull p = {a, i, grad[i], sc_pool_threads(ctx->pool)};
        if (!has_gradient(&a->part[i])) continue;
        sc_pool_run(ctx->pool, pull_share, &p);
        for (int64_t k = 0; k * SC_PIECE < a->count[i]; k++) sum += a->sum[k];
    }
    return sum;
}
