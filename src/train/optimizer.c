/* SPDX-License-Identifier: Apache-2.0 */
/* Optimisers: a loop over the elements of each parameter, cut into pieces for the threads. */
#include "train/train.h"

#include <float.h>
#include <math.h>

enum { PIECE = 1 << 14, BLOCK = 1 << 10 };

typedef struct slot {
    sc_trained p;
    int64_t n;
    float *m, *v; /* moments; Adafactor: of rows and columns, or v alone of a vector */
    int64_t n_m, n_v;
} slot;

struct sc_optimizer {
    sc_optimizer_options o;
    slot *slot;
    int64_t count, steps;
    double *part; /* of sums over pieces, for the largest parameter */
};

sc_optimizer_options sc_optimizer_defaults(sc_optimizer_kind kind)
{
    sc_optimizer_options o = {.kind = kind, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    if (kind == SC_SGD) o.momentum = 0.9;
    if (kind == SC_LION) o.lr = 1e-4, o.beta2 = 0.99;
    if (kind == SC_ADAFACTOR) o.lr = 1e-2, o.eps = 1e-3, o.beta2_decay = -0.8, o.clip = 1;
    return o;
}

static int64_t pieces(int64_t n) { return (n + PIECE - 1) / PIECE; }

sc_status sc_optimizer_new(sc_optimizer **out, const sc_optimizer_options *options, const sc_trained *p, int64_t n)
{
    sc_optimizer *o = sc_calloc(1, sizeof *o);
    int64_t most = 1;
    if (!o || !(o->slot = sc_calloc((size_t)SC_MAX(n, 1), sizeof *o->slot))) goto fail;
    o->o = *options;
    o->count = n;
    for (int64_t i = 0; i < n; i++) {
        slot *s = &o->slot[i];
        s->p = p[i];
        s->n = p[i].rows * p[i].cols;
        most = SC_MAX(most, s->n);
        bool factored = options->kind == SC_ADAFACTOR && p[i].rows > 1;
        bool has_m = options->kind != SC_ADAFACTOR && (options->kind != SC_SGD || options->momentum > 0);
        s->n_m = factored ? p[i].rows : has_m ? s->n : 0;
        s->n_v = factored ? p[i].cols
                 : options->kind == SC_ADAFACTOR || options->kind == SC_ADAMW || options->kind == SC_ADAM ? s->n
                                                                                                          : 0;
        s->m = sc_calloc((size_t)SC_MAX(s->n_m, 1), sizeof *s->m);
        s->v = sc_calloc((size_t)SC_MAX(s->n_v, 1), sizeof *s->v);
        if (!s->m || !s->v) goto fail;
    }
    if (!(o->part = sc_calloc((size_t)pieces(most), sizeof *o->part))) goto fail;
    *out = o;
    return SC_OK;
fail:
    sc_optimizer_free(o);
    return sc_nomem();
}

void sc_optimizer_free(sc_optimizer *o)
{
    if (!o) return;
    for (int64_t i = 0; o->slot && i < o->count; i++) {
        sc_free(o->slot[i].m);
        sc_free(o->slot[i].v);
    }
    sc_free(o->slot);
    sc_free(o->part);
    sc_free(o);
}

int64_t sc_optimizer_steps(const sc_optimizer *o) { return o->steps; }
void sc_optimizer_set_steps(sc_optimizer *o, int64_t n) { o->steps = n; }

int sc_optimizer_moments(sc_optimizer *o, int64_t i, sc_moment out[4])
{
    static const char *const names[][2] = {[SC_ADAMW] = {"exp_avg", "exp_avg_sq"},
                                           [SC_ADAM] = {"exp_avg", "exp_avg_sq"},
                                           [SC_SGD] = {"momentum_buffer", ""},
                                           [SC_LION] = {"exp_avg", ""},
                                           [SC_ADAFACTOR] = {"row_var", "col_var"}};
    const slot *s = &o->slot[i];
    int n = 0;
    if (s->n_m) out[n++] = (sc_moment){names[o->o.kind][0], s->m, s->n_m};
    if (s->n_v)
        out[n++] =
            (sc_moment){o->o.kind == SC_ADAFACTOR && !s->n_m ? "variance" : names[o->o.kind][1], s->v, s->n_v};
    return n;
}

/* ---- one parameter ---- */

typedef struct work {
    sc_optimizer *o;
    slot *s;
    const float *g;
    double scale, lr, step; /* step: counted from 1 */
    void (*piece)(const struct work *w, int64_t begin, int64_t end, int64_t index);
    float *update; /* Adafactor */
    double factor;
    int64_t n;
    int threads;
} work;

static void share(void *arg, int member)
{
    const work *w = arg;
    for (int64_t i = member; i < pieces(w->n); i += w->threads)
        w->piece(w, i * PIECE, SC_MIN((i + 1) * PIECE, w->n), i);
}

static void over(work *w, sc_context *ctx, int64_t n,
                 void (*piece)(const struct work *w, int64_t begin, int64_t end, int64_t index))
{
    w->piece = piece;
    w->n = n;
    w->threads = sc_pool_threads(ctx->pool);
    sc_pool_run(ctx->pool, share, w);
}

static void adam_piece(const work *w, int64_t begin, int64_t end, int64_t index)
{
    (void)index;
    const sc_optimizer_options *o = &w->o->o;
    float *p = w->s->p.value, *m = w->s->m, *v = w->s->v;
    double correct1 = 1 - pow(o->beta1, w->step), correct2 = 1 - pow(o->beta2, w->step);
    double decay = w->s->p.decay ? o->weight_decay : 0;
    float b1 = (float)o->beta1, b2 = (float)o->beta2, c1 = (float)(1 - o->beta1), c2 = (float)(1 - o->beta2),
          size = (float)(w->lr / correct1), root = (float)(1 / sqrt(correct2)), eps = (float)o->eps,
          scale = (float)w->scale, keep = (float)(1 - w->lr * decay), coupled = (float)decay;
    bool decoupled = o->kind == SC_ADAMW;
    for (int64_t i = begin; i < end; i++) {
        float g = w->g[i] * scale;
        if (decoupled)
            p[i] *= keep;
        else
            g += coupled * p[i];
        m[i] = b1 * m[i] + c1 * g;
        v[i] = b2 * v[i] + c2 * g * g;
        p[i] -= size * m[i] / (sqrtf(v[i]) * root + eps);
    }
}

static void sgd_piece(const work *w, int64_t begin, int64_t end, int64_t index)
{
    (void)index;
    const sc_optimizer_options *o = &w->o->o;
    float *p = w->s->p.value, *m = w->s->m, scale = (float)w->scale, lr = (float)w->lr, mu = (float)o->momentum,
          decay = (float)(w->s->p.decay ? o->weight_decay : 0);
    bool first = w->step == 1;
    for (int64_t i = begin; i < end; i++) {
        float g = w->g[i] * scale + decay * p[i];
        if (mu > 0) {
            m[i] = first ? g : mu * m[i] + g;
            g = o->nesterov ? g + mu * m[i] : m[i];
        }
        p[i] -= lr * g;
    }
}

static void lion_piece(const work *w, int64_t begin, int64_t end, int64_t index)
{
    (void)index;
    const sc_optimizer_options *o = &w->o->o;
    float *p = w->s->p.value, *m = w->s->m, scale = (float)w->scale, lr = (float)w->lr, b1 = (float)o->beta1,
          b2 = (float)o->beta2, c1 = (float)(1 - o->beta1), c2 = (float)(1 - o->beta2),
          keep = (float)(1 - w->lr * (w->s->p.decay ? o->weight_decay : 0));
    for (int64_t i = begin; i < end; i++) {
        float g = w->g[i] * scale, u = b1 * m[i] + c1 * g;
        p[i] = p[i] * keep - lr * (float)((u > 0) - (u < 0));
        m[i] = b2 * m[i] + c2 * g;
    }
}

/* ---- Adafactor: the second moment as an outer product of means over rows and columns ---- */

static void squares_piece(const work *w, int64_t begin, int64_t end, int64_t index)
{
    double sum = 0;
    for (int64_t i = begin; i < end; i++) sum += (double)w->update[i] * w->update[i];
    w->o->part[index] = sum;
}

/* Of n values, their root mean square. */
static double rms(work *w, sc_context *ctx, float *values, int64_t n)
{
    double sum = 0;
    w->update = values;
    over(w, ctx, n, squares_piece);
    for (int64_t i = 0; i < pieces(n); i++) sum += w->o->part[i];
    return sqrt(sum / (double)SC_MAX(n, 1));
}

static void take_moments(const work *w, double fresh)
{
    slot *s = w->s;
    int64_t rows = s->p.rows, cols = s->p.cols;
    if (!s->n_m) {
        for (int64_t i = 0; i < s->n; i++) {
            double g = w->g[i] * w->scale;
            s->v[i] += (float)((g * g - s->v[i]) * fresh);
        }
        return;
    }
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t c = 0; c < cols; c++) sum += (double)w->g[r * cols + c] * w->g[r * cols + c];
        s->m[r] += (float)((sum * w->scale * w->scale / (double)cols - s->m[r]) * fresh);
    }
    for (int64_t c = 0; c < cols; c++) {
        double sum = 0;
        for (int64_t r = 0; r < rows; r++) sum += (double)w->g[r * cols + c] * w->g[r * cols + c];
        s->v[c] += (float)((sum * w->scale * w->scale / (double)rows - s->v[c]) * fresh);
    }
}

static void update_piece(const work *w, int64_t begin, int64_t end, int64_t index)
{
    (void)index;
    const slot *s = w->s;
    const double least = (double)FLT_EPSILON * FLT_EPSILON;
    for (int64_t i = begin; i < end; i++) {
        double v = s->n_m ? (double)s->m[i / s->p.cols] * s->v[i % s->p.cols] * w->factor : s->v[i];
        w->update[i] = (float)(w->g[i] * w->scale / sqrt(SC_MAX(v, least)));
    }
}

static void apply_piece(const work *w, int64_t begin, int64_t end, int64_t index)
{
    (void)index;
    float keep = (float)(1 - w->lr * (w->s->p.decay ? w->o->o.weight_decay : 0)), f = (float)w->factor;
    for (int64_t i = begin; i < end; i++) w->s->p.value[i] = w->s->p.value[i] * keep - f * w->update[i];
}

/* `room` takes the update: the gradient itself, which nobody needs after it. */
static void adafactor(work *w, sc_context *ctx, float *room)
{
    const sc_optimizer_options *o = &w->o->o;
    slot *s = w->s;
    take_moments(w, pow(w->step, o->beta2_decay));
    double mean = 0, size = SC_MAX(o->eps, rms(w, ctx, s->p.value, s->n)) * SC_MIN(w->lr, 1 / sqrt(w->step));
    for (int64_t r = 0; r < s->n_m; r++) mean += s->m[r] / (double)s->p.rows;
    w->factor = 1 / SC_MAX(mean, (double)FLT_EPSILON);
    w->update = room;
    over(w, ctx, s->n, update_piece);
    double spread = rms(w, ctx, room, s->n) / o->clip;
    w->factor = size / SC_MAX(1, spread);
    w->update = room;
    over(w, ctx, s->n, apply_piece);
}

void sc_optimizer_step(sc_optimizer *o, sc_context *ctx, float *const *grad, double scale, double lr_factor)
{
    o->steps++;
    for (int64_t i = 0; i < o->count; i++) {
        slot *s = &o->slot[i];
        work w = {
            .o = o, .s = s, .g = grad[i], .scale = scale, .lr = o->o.lr * lr_factor, .step = (double)o->steps};
        switch (o->o.kind) {
        case SC_ADAMW:
        case SC_ADAM: over(&w, ctx, s->n, adam_piece); break;
        case SC_SGD: over(&w, ctx, s->n, sgd_piece); break;
        case SC_LION: over(&w, ctx, s->n, lion_piece); break;
        case SC_ADAFACTOR: adafactor(&w, ctx, grad[i]); break;
        }
    }
}

/* ---- the norm of all gradients ---- */

typedef struct norm_work {
    const float *g;
    int64_t n;
    double *part;
    int threads;
} norm_work;

static void norm_share(void *arg, int member)
{
    const norm_work *w = arg;
    for (int64_t i = member; i < pieces(w->n); i += w->threads) {
        double sum = 0;
        for (int64_t j = i * PIECE; j < SC_MIN((i + 1) * PIECE, w->n); j++) sum += (double)w->g[j] * w->g[j];
        w->part[i] = sum;
    }
}

double sc_gradient_norm(sc_context *ctx, float *const *grad, const int64_t *count, int64_t n)
{
    double sum = 0, part[BLOCK];
    for (int64_t i = 0; i < n; i++)
        for (int64_t at = 0; at < count[i]; at += (int64_t)BLOCK * PIECE) {
            norm_work w = {grad[i] + at, SC_MIN(count[i] - at, (int64_t)BLOCK * PIECE), part,
                           sc_pool_threads(ctx->pool)};
            sc_pool_run(ctx->pool, norm_share, &w);
            for (int64_t k = 0; k < pieces(w.n); k++) sum += part[k];
        }
    return sqrt(sum);
}

double sc_clip_factor(double norm, double most) { return SC_MIN(most / (norm + 1e-6), 1); }
