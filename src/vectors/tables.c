/* SPDX-License-Identifier: Apache-2.0 */
/* The two tables, and what is done with one example's rows. */
#include "vectors/learn.h"

#include "cpu/kernels/kernels.h"

#include <math.h>

enum { ROW_MULTIPLE = 16, LOSS_EVERY = 16 };

static sc_status room(float **data, sc_buffer **held, int64_t rows, int64_t stride)
{
    int64_t bytes;
    if (!sc_mul_ok(rows, stride * (int64_t)sizeof(float), &bytes) || bytes > sc_memory_size())
        return sc_fail(SC_ELIMIT, "%lld vectors of %lld numbers would take more than this machine's memory",
                       (long long)rows, (long long)stride);
    sc_status s = sc_buffer_pages(held, SC_MAX(bytes, 64));
    if (!s) *data = (*held)->data;
    return s;
}

typedef struct filling {
    sc_tables *t;
    sc_context *ctx;
    float reach;
    uint64_t seed;
} filling;

static void fill(void *arg, int member)
{
    const filling *f = arg;
    sc_tables *t = f->t;
    int threads = sc_context_threads(f->ctx);
    int64_t from = t->n_in * member / threads, to = t->n_in * (member + 1) / threads;
    for (int64_t i = from; i < to; i++) {
        uint64_t state = sc_draw_state(f->seed, 1, (uint64_t)i);
        float *x = t->in + i * t->stride;
        for (int64_t k = 0; k < t->width; k++) x[k] = ((float)(sc_draw(&state) >> 40) * 0x1p-23f - 1) * f->reach;
    }
}

sc_status sc_tables_new(sc_tables **out, sc_context *ctx, int64_t n_in, int64_t n_out, int64_t width, float reach,
                        uint64_t seed)
{
    if (n_in < 1 || n_out < 0 || width < 1 || width > SC_VECTORS_MOST_WIDTH)
        return sc_fail(SC_EINVAL, "%lld vectors of %lld numbers", (long long)n_in, (long long)width);
    sc_tables *t = sc_calloc(1, sizeof *t);
    if (!t) return sc_nomem();
    t->n_in = n_in;
    t->n_out = n_out;
    t->width = width;
    t->stride = (width + ROW_MULTIPLE - 1) / ROW_MULTIPLE * ROW_MULTIPLE;
    sc_vector_kernels_init(&t->k, sc_cpu_detect());
    for (int i = 0; i <= SC_SIGMOID; i++)
        t->sigmoid[i] = (float)(1 / (1 + exp(SC_SIGMOID_REACH - 2.0 * SC_SIGMOID_REACH * i / SC_SIGMOID)));
    sc_status s = room(&t->in, &t->held[0], n_in, t->stride);
    if (!s) s = room(&t->out, &t->held[1], n_out, t->stride);
    if (s) {
        sc_tables_free(t);
        return s;
    }
    sc_pool_run(ctx->pool, fill, &(filling){t, ctx, reach, seed});
    *out = t;
    return SC_OK;
}

void sc_tables_free(sc_tables *t)
{
    if (!t) return;
    sc_buffer_unref(t->held[0]);
    sc_buffer_unref(t->held[1]);
    sc_free(t);
}

/* ---- an example ---- */

bool sc_lane_room(sc_lane *l, const sc_tables *t, int64_t vectors)
{
    int64_t most = 0, products = 0;
    for (int64_t i = 0; i < l->n_example; i++) {
        most = SC_MAX(most, SC_MAX(l->example[i].n_in, l->example[i].n_out));
        products += l->example[i].n_out;
    }
    if (!sc_grow(&l->row, &l->cap_row, most, sizeof *l->row) || !sc_grow(&l->g, &l->cap_g, products, sizeof *l->g))
        return false;
    int64_t floats = vectors * t->stride, bytes = 2 * floats * (int64_t)sizeof(float);
    if (!l->vectors || l->vectors->size < bytes) {
        sc_buffer_unref(l->vectors);
        l->vectors = NULL;
        if (sc_buffer_new(&l->vectors, 2 * bytes)) return false;
    }
    l->h = l->vectors->data;
    l->e = l->h + floats;
    return true;
}

void sc_lane_clear(sc_lane *l) { l->n_example = l->n_in = l->n_out = 0; }

SC_UNLOCKED const float *sc_lane_mean(const sc_lane *l, const sc_tables *t, const sc_example *x, float *to)
{
    const int32_t *in = l->in + x->in;
    if (x->n_in == 1) return t->in + in[0] * t->stride;
    for (int i = 0; i < x->n_in; i++) l->row[i] = t->in + in[i] * t->stride;
    t->k.sum(t->stride, l->row, x->n_in, 1.0f / (float)x->n_in, to);
    return to;
}

static double loss_of(const uint32_t *out, const float *f, int n)
{
    double sum = 0;
    for (int j = 0; j < n; j++) sum += log1p(exp(out[j] & 1 ? -(double)f[j] : (double)f[j]));
    return sum;
}

void sc_lane_gradients(sc_lane *l, const sc_tables *t, const sc_example *x, const float *h, float *const *row,
                       float *g)
{
    const uint32_t *out = l->out + x->out;
    t->k.dots(t->stride, h, row, x->n_out, g);
    if ((l->n_looked++ % LOSS_EVERY) == 0) {
        l->loss += loss_of(out, g, x->n_out);
        l->n_loss++;
    }
    for (int j = 0; j < x->n_out; j++) g[j] = l->rate * ((float)(out[j] & 1) - sc_tables_sigmoid(t, g[j]));
}
