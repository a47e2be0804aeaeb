/* SPDX-License-Identifier: Apache-2.0 */
/* What all optimisers share: their parameters, which settings are whose, steps, averages of the weights. */
#include "train/optimizer.h"

#include <fnmatch.h>
#include <math.h>

sc_optimizer_options sc_optimizer_defaults(sc_optimizer_kind kind)
{
    sc_optimizer_options o = {.kind = kind, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    if (kind == SC_SGD) o.momentum = 0.9;
    if (kind == SC_LION) o.lr = 1e-4, o.beta2 = 0.99;
    if (kind == SC_ADAFACTOR) o.lr = 1e-2, o.eps = 1e-3, o.beta2_decay = -0.8, o.clip = 1;
    if (kind == SC_MUON) o.lr = 0.02, o.rest_lr = 1e-3, o.momentum = 0.95, o.nesterov = true;
    return o;
}

/* ---- which settings are whose ---- */

static void choose(sc_slot *s, const sc_optimizer_options *o)
{
    s->kind = o->kind == SC_MUON && !s->p.hidden ? SC_ADAMW : o->kind;
    s->lr = s->kind == o->kind ? o->lr : o->rest_lr;
    bool decayed = o->decayed == SC_DECAY_ALL ? true : o->decayed == SC_DECAY_HIDDEN ? s->p.hidden : s->p.decay;
    s->weight_decay = decayed ? o->weight_decay : 0;
    for (int i = 0; i < o->n_groups; i++) {
        const sc_param_group *g = &o->group[i];
        if (fnmatch(g->pattern, s->p.name, 0) != 0) continue;
        if (g->lr >= 0) s->lr = g->lr;
        if (g->weight_decay >= 0) s->weight_decay = g->weight_decay;
    }
}

/* How many elements of moments a parameter has. */
static void measure(sc_slot *s, const sc_optimizer_options *o)
{
    bool factored = s->kind == SC_ADAFACTOR && s->p.rows > 1;
    switch (s->kind) {
    case SC_ADAMW:
    case SC_ADAM: s->n_m = s->n_v = s->n; break;
    case SC_SGD: s->n_m = o->momentum > 0 ? s->n : 0; break;
    case SC_LION:
    case SC_MUON: s->n_m = s->n; break;
    case SC_ADAFACTOR: s->n_m = factored ? s->p.rows : 0; s->n_v = factored ? s->p.cols : s->n;
    }
}

static void make_slot(sc_slot *s, const sc_optimizer_options *o, const sc_trained *p)
{
    s->p = *p;
    s->n = p->rows * p->cols;
    choose(s, o);
    measure(s, o);
}

/* One piece of memory for all, since it is large and gone through from end to end: large pages. */
static sc_status make_moments(sc_optimizer *o, bool ema)
{
    enum { LINE = 16 }; /* floats of a cache line */
    int64_t all = LINE, bytes;
    for (int64_t i = 0; i < o->count; i++) {
        const sc_slot *s = &o->slot[i];
        int64_t some = s->n_m + s->n_v + (ema ? s->n : 0) + 3 * LINE;
        if (!sc_add_ok(all, some, &all)) return sc_fail(SC_ELIMIT, "'%s' is too large", s->p.name);
    }
    if (!sc_mul_ok(all, (int64_t)sizeof(float), &bytes))
        return sc_fail(SC_ELIMIT, "moments of %lld elements", (long long)all);
    sc_status status = sc_buffer_new(&o->memory, bytes);
    if (status) return status;
    float *at = memset(o->memory->data, 0, (size_t)bytes);
    for (int64_t i = 0; i < o->count; i++) {
        sc_slot *s = &o->slot[i];
        float **part[] = {&s->m, &s->v, &s->ema};
        int64_t n[] = {s->n_m, s->n_v, s->n};
        for (int k = 0; k < (ema ? 3 : 2); k++) {
            *part[k] = at;
            at += (n[k] + LINE - 1) / LINE * LINE;
        }
    }
    return SC_OK;
}

static sc_status check_groups(const sc_optimizer_options *o, const sc_trained *p, int64_t n)
{
    for (int g = 0; g < o->n_groups; g++) {
        bool used = false;
        for (int64_t i = 0; i < n && !used; i++) used = fnmatch(o->group[g].pattern, p[i].name, 0) == 0;
        if (!used) return sc_fail(SC_EINVAL, "no parameter is called '%s'", o->group[g].pattern);
    }
    return SC_OK;
}

sc_status sc_optimizer_new(sc_optimizer **out, const sc_optimizer_options *options, const sc_trained *p, int64_t n)
{
    int64_t pieces = 1, cols = 1;
    sc_status s = check_groups(options, p, n);
    sc_optimizer *o = s ? NULL : sc_calloc(1, sizeof *o);
    if (s) return s;
    if (!o || !(o->slot = sc_calloc((size_t)SC_MAX(n, 1), sizeof *o->slot))) s = sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) {
        make_slot(&o->slot[i], options, &p[i]);
        o->count = i + 1;
        pieces = SC_MAX(pieces, sc_update_pieces(&(sc_update){.s = &o->slot[i]}));
        cols = SC_MAX(cols, p[i].cols);
    }
    if (!s) s = make_moments(o, options->ema > 0);
    if (!s) {
        o->o = *options;
        o->o.group = NULL; /* they have been looked at */
        o->o.n_groups = 0;
        o->part = sc_calloc((size_t)pieces, sizeof *o->part);
        if (options->kind == SC_ADAFACTOR) o->columns = sc_calloc((size_t)cols * SC_ROW_BLOCKS, sizeof *o->columns);
        if (!o->part || (options->kind == SC_ADAFACTOR && !o->columns)) s = sc_nomem();
    }
    if (s)
        sc_optimizer_free(o);
    else
        *out = o;
    return s;
}

void sc_optimizer_free(sc_optimizer *o)
{
    if (!o) return;
    sc_muon_free(o);
    sc_buffer_unref(o->memory);
    sc_free(o->slot);
    sc_free(o->part);
    sc_free(o->columns);
    sc_free(o);
}

int64_t sc_optimizer_steps(const sc_optimizer *o) { return o->steps; }
void sc_optimizer_set_steps(sc_optimizer *o, int64_t n) { o->steps = n; }

static int moments_of(const sc_slot *s, sc_moment out[4])
{
    static const char *const names[][2] = {
        [SC_ADAMW] = {"exp_avg", "exp_avg_sq"},  [SC_ADAM] = {"exp_avg", "exp_avg_sq"},
        [SC_SGD] = {"momentum_buffer", ""},      [SC_LION] = {"exp_avg", ""},
        [SC_ADAFACTOR] = {"row_var", "col_var"}, [SC_MUON] = {"momentum_buffer", ""}};
    int n = 0;
    if (s->n_m) out[n++] = (sc_moment){names[s->kind][0], s->m, s->n_m};
    if (s->n_v)
        out[n++] = (sc_moment){s->kind == SC_ADAFACTOR && !s->n_m ? "variance" : names[s->kind][1], s->v, s->n_v};
    return n;
}

int sc_optimizer_moments(sc_optimizer *o, int64_t i, sc_moment out[4]) { return moments_of(&o->slot[i], out); }

int sc_optimizer_moments_like(const sc_optimizer *o, const sc_trained *p, sc_moment out[4])
{
    sc_slot s = {.p = *p, .n = p->rows * p->cols};
    choose(&s, &o->o);
    measure(&s, &o->o);
    return moments_of(&s, out);
}

float *sc_optimizer_average(const sc_optimizer *o, int64_t i) { return o->slot[i].ema; }

/* ---- pieces ---- */

int64_t sc_update_pieces(const sc_update *u) { return (u->s->n + SC_PIECE - 1) / SC_PIECE; }
int64_t sc_piece_end(const sc_update *u, int64_t i) { return SC_MIN((i + 1) * SC_PIECE, u->s->n); }

typedef struct shared {
    const sc_update *u;
    int64_t n;
    sc_piece *piece;
    int threads;
} shared;

static void share(void *arg, int member)
{
    const shared *w = arg;
    for (int64_t i = member; i < w->n; i += w->threads) w->piece(w->u, i);
}

void sc_update_run(const sc_update *u, int64_t n, sc_piece *piece)
{
    shared w = {u, n, piece, sc_pool_threads(u->ctx->pool)};
    sc_pool_run(u->ctx->pool, share, &w);
}

/* Lanes, so that the compiler may add several at once without changing the order of any sum. */
double sc_sum_squares(const float *x, int64_t n)
{
    enum { LANES = 16 };
    double lane[LANES] = {0}, sum = 0;
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) lane[k] += (double)x[i + k] * x[i + k];
    for (; i < n; i++) sum += (double)x[i] * x[i];
    for (int k = 0; k < LANES; k++) sum += lane[k];
    return sum;
}

/* ---- a step ---- */

/* As torch's AveragedModel: the first weights, then each time a part of the way to those of now. */
static void average_piece(const sc_update *u, int64_t i)
{
    float *restrict ema = u->s->ema, part = u->step > 1 ? (float)(1 - u->o->o.ema) : 1;
    const float *restrict p = u->s->p.value;
    int64_t end = sc_piece_end(u, i);
    for (int64_t k = i * SC_PIECE; k < end; k++) ema[k] += part * (p[k] - ema[k]);
}

sc_status sc_optimizer_step(sc_optimizer *o, sc_context *ctx, float *const *grad, double scale, double lr_factor)
{
    sc_status s = o->o.kind == SC_MUON && !o->plan ? sc_muon_prepare(o, ctx) : SC_OK;
    if (s) return s;
    o->steps++;
    for (int64_t i = 0; !s && i < o->count; i++) {
        sc_slot *slot = &o->slot[i];
        if (!slot->n) continue; /* another rank's */
        sc_update u = {.o = o,
                       .s = slot,
                       .ctx = ctx,
                       .g = grad[i],
                       .scale = scale,
                       .lr = slot->lr * lr_factor,
                       .step = (double)o->steps};
        switch (slot->kind) {
        case SC_ADAMW:
        case SC_ADAM: sc_adam_update(&u); break;
        case SC_SGD: sc_sgd_update(&u); break;
        case SC_LION: sc_lion_update(&u); break;
        case SC_ADAFACTOR: sc_adafactor_update(&u); break;
        case SC_MUON: s = sc_muon_update(&u); break;
        }
        if (!s && slot->ema) sc_update_run(&u, sc_update_pieces(&u), average_piece);
    }
    return s;
}

static void exchange_piece(const sc_update *u, int64_t i)
{
    float *restrict ema = u->s->ema, *restrict p = u->s->p.value;
    for (int64_t k = i * SC_PIECE, end = sc_piece_end(u, i); k < end; k++) {
        float other = ema[k];
        ema[k] = p[k];
        p[k] = other;
    }
}

void sc_optimizer_exchange(sc_optimizer *o, sc_context *ctx)
{
    for (int64_t i = 0; i < o->count; i++) {
        sc_update u = {.o = o, .s = &o->slot[i], .ctx = ctx};
        if (u.s->ema) sc_update_run(&u, sc_update_pieces(&u), exchange_piece);
    }
}

/* ---- the norm of all gradients ---- */

enum { BLOCK = 1 << 10 };

typedef struct norm_work {
    const float *g;
    int64_t n;
    double *part;
    int threads;
} norm_work;

static void norm_share(void *arg, int member)
{
    const norm_work *w = arg;
    for (int64_t i = member; i * SC_PIECE < w->n; i += w->threads)
        w->part[i] = sc_sum_squares(w->g + i * SC_PIECE, SC_MIN(w->n - i * SC_PIECE, SC_PIECE));
}

double sc_gradient_norm(sc_context *ctx, float *const *grad, const int64_t *count, int64_t n)
{
    double sum = 0, part[BLOCK];
    for (int64_t i = 0; i < n; i++)
        for (int64_t at = 0; at < count[i]; at += (int64_t)BLOCK * SC_PIECE) {
            norm_work w = {grad[i] + at, SC_MIN(count[i] - at, (int64_t)BLOCK * SC_PIECE), part,
                           sc_pool_threads(ctx->pool)};
            sc_pool_run(ctx->pool, norm_share, &w);
            for (int64_t k = 0; k * SC_PIECE < w.n; k++) sum += part[k];
        }
    return sqrt(sum);
}

double sc_clip_factor(double norm, double most) { return SC_MIN(most / (norm + 1e-6), 1); }
