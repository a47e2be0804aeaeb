/* SPDX-License-Identifier: Apache-2.0 */
/* Fitting adapters to the model that they were made for, and writing what both make together. */
#include "models/models.h"

#include <math.h>

/* A tensor in HuggingFace's order of rows as f32 in the order that the file has, through what does it for parts. */
static sc_status reorder(sc_weight *w, const sc_adapter_whole *from, const sc_model *m)
{
    int64_t n = sc_shape_elements(&from->shape), rows = from->shape.rank ? from->shape.dim[0] : 1;
    sc_adapter_part rows_of = {.name = from->name, .lora = {.rank = n / SC_MAX(rows, 1), .rows = rows}};
    sc_storage *b = &rows_of.lora.b;
    sc_status s = sc_buffer_new(&b->buffer, n * (int64_t)sizeof(float));
    if (s) return s;
    b->data = b->buffer->data;
    if (from->storage.dtype == SC_F32)
        memcpy(b->data, from->storage.data, sizeof(float) * (size_t)n);
    else
        s = sc_dequantize(from->storage.dtype, from->storage.data, b->data, n);
    if (!s && w->permuted) s = sc_adapter_permute(&rows_of, rows, m->info.head_dim);
    if (!s && w->joined) s = sc_adapter_join(&rows_of, rows, m->info.heads);
    if (!s) {
        w->storage.dtype = SC_F32;
        w->storage.data = b->data;
        sc_buffer_unref(w->storage.buffer);
        w->storage.buffer = sc_buffer_ref(b->buffer);
    }
    sc_buffer_unref(b->buffer);
    return s;
}

sc_status sc_adapters_replace(const sc_adapters *a, sc_model *m)
{
    for (int64_t i = 0; i < a->n_whole; i++) {
        const sc_adapter_whole *from = &a->whole[i];
        sc_weight *w = sc_model_weight(m, from->name);
        char have[SC_SHAPE_TEXT], need[SC_SHAPE_TEXT];
        if (!w) return sc_fail(SC_ENOTFOUND, "the adapter changes '%s', which the model does not have", from->name);
        if (!sc_shape_equal(&w->shape, &from->shape))
            return sc_fail(SC_ESHAPE, "an adapter for another model: its '%s' is %s, the model's %s", from->name,
                           sc_shape_text(&from->shape, have), sc_shape_text(&w->shape, need));
        bool permuted = w->permuted, joined = w->joined;
        sc_buffer_unref(w->storage.buffer);
        sc_buffer_unref(w->wide.buffer);
        *w = (sc_weight){.name = w->name,
                         .shape = from->shape,
                         .storage = from->storage,
                         .permuted = permuted,
                         .joined = joined};
        sc_buffer_ref(w->storage.buffer);
        sc_status s = permuted || joined ? reorder(w, from, m) : SC_OK;
        if (s) return s;
    }
    return SC_OK;
}

/* ---- DoRA: the rows of W + B A get the lengths that the adapter has for them ---- */

typedef struct lengths {
    const sc_adapter_part *part;
    const sc_weight *w;
    bool by_row;         /* a row that is stored is one of the matrix, not one of its columns */
    int64_t rows, width; /* as stored */
    atomic_llong next;
    double *sum;    /* (N) of squares; of each thread where they are columns */
    float *scratch; /* (width) of each thread */
} lengths;

/* The element of B A. */
static double product_at(const sc_lora *l, int64_t n, int64_t c)
{
    const float *a = l->a.data, *b = l->b.data;
    double sum = 0;
    for (int64_t k = 0; k < l->rank; k++) sum += (double)b[n * l->rank + k] * a[k * l->cols + c];
    return sum;
}

static void measure_rows(void *arg, int member)
{
    lengths *j = arg;
    const sc_lora *l = &j->part->lora;
    float *x = j->scratch + member * j->width;
    double *sum = j->by_row ? j->sum : j->sum + member * l->rows;
    for (int64_t r; (r = atomic_fetch_add(&j->next, 1)) < j->rows;) {
        const char *from = (const char *)j->w->storage.data + sc_dtype_size(j->w->storage.dtype, r * j->width);
        if (j->w->storage.dtype == SC_F32)
            memcpy(x, from, sizeof *x * (size_t)j->width);
        else if (sc_dequantize(j->w->storage.dtype, from, x, j->width))
            return;
        for (int64_t i = 0; i < j->width; i++) {
            int64_t n = j->by_row ? r : i, c = j->by_row ? i : r;
            double v = x[i] + product_at(l, n, c);
            sum[n] += v * v;
        }
    }
}

/* From b (N, R + 1), whose last column is the magnitudes, to gains and b (N, R) with them in it. */
static sc_status set_gains(sc_adapter_part *part, const double *square)
{
    sc_lora *l = &part->lora;
    sc_buffer *b = NULL;
    int64_t n = l->rows, r = l->rank - 1;
    const float *old = l->b.data;
    sc_status s = sc_buffer_new(&l->gain.buffer, n * (int64_t)sizeof(float));
    if (!s) s = sc_buffer_new(&b, n * r * (int64_t)sizeof(float));
    if (s) return s;
    l->gain.dtype = SC_F32;
    l->gain.stride[0] = 1;
    float *gain = l->gain.data = l->gain.buffer->data, *to = b->data;
    for (int64_t i = 0; i < n; i++) {
        double share = square[i] > 0 ? old[i * l->rank + r] / sqrt(square[i]) : 0;
        gain[i] = (float)(part->weight * (share - 1));
        for (int64_t k = 0; k < r; k++) to[i * r + k] = (float)(part->weight * share * old[i * l->rank + k]);
    }
    sc_buffer_unref(l->b.buffer);
    l->b.buffer = b;
    l->b.data = b->data;
    l->b.stride[0] = l->rank = r;
    return SC_OK;
}

/* Makes b (N, R + 1) with the magnitudes, so that they move with b's rows. */
static sc_status add_column(sc_adapter_part *part)
{
    sc_lora *l = &part->lora;
    sc_buffer *b;
    int64_t n = l->rows, r = l->rank;
    sc_status s = sc_buffer_new(&b, n * (r + 1) * (int64_t)sizeof(float));
    if (s) return s;
    float *to = b->data;
    for (int64_t i = 0; i < n; i++) {
        memcpy(to + i * (r + 1), (const float *)l->b.data + i * r, sizeof *to * (size_t)r);
        to[i * (r + 1) + r] = ((const float *)part->magnitude->data)[i];
    }
    sc_buffer_unref(l->b.buffer);
    l->b.buffer = b;
    l->b.data = b->data;
    l->b.stride[0] = l->rank = r + 1;
    return SC_OK;
}

static sc_status find_gains(sc_adapter_part *part, const sc_model *m, const sc_weight *w)
{
    sc_pool *pool = m->ctx->pool;
    int threads = sc_pool_threads(pool);
    int64_t n = part->lora.rows, r = part->lora.rank - 1;
    /* The product is of the first r columns alone. */
    sc_adapter_part bare = *part;
    float *b = sc_malloc(sizeof *b * (size_t)(n * r));
    lengths j = {.part = &bare, .w = w, .by_row = (part->use == SC_LORA_IN_OUT) == w->transposed};
    j.rows = j.by_row ? n : part->lora.cols;
    j.width = j.by_row ? part->lora.cols : n;
    j.sum = sc_calloc((size_t)(n * threads), sizeof *j.sum);
    j.scratch = sc_malloc(sizeof *j.scratch * (size_t)(j.width * threads));
    sc_status s = b && j.sum && j.scratch ? SC_OK : sc_nomem();
    if (!s && w->storage.dtype != SC_F32) s = sc_dequantize(w->storage.dtype, NULL, NULL, 0);
    if (!s) {
        for (int64_t i = 0; i < n; i++)
            memcpy(b + i * r, (const float *)part->lora.b.data + i * (r + 1), sizeof *b * (size_t)r);
        bare.lora.b.data = b;
        bare.lora.rank = r;
        sc_pool_run(pool, measure_rows, &j);
        for (int t = 1; !j.by_row && t < threads; t++)
            for (int64_t i = 0; i < n; i++) j.sum[i] += j.sum[t * n + i];
        s = set_gains(part, j.sum);
    }
    sc_free(b);
    sc_free(j.sum);
    sc_free(j.scratch);
    return s;
}

sc_status sc_adapters_meet(sc_adapters *a, sc_model *m)
{
    for (int64_t k = 0; k < a->count; k++) {
        sc_adapter_part *part = &a->part[k];
        char name[512];
        sc_status s = SC_OK;
        snprintf(name, sizeof name, "%s.weight", part->name);
        sc_weight *w = sc_model_weight(m, name);
        if (!part->used || !w)
            return sc_fail(SC_ENOTFOUND, "the adapter changes '%s', which the model does not have", part->name);
        if (part->magnitude) s = add_column(part);
        if (!s && w->permuted) s = sc_adapter_permute(part, w->shape.dim[0], m->info.head_dim);
        if (!s && w->joined) s = sc_adapter_join(part, w->shape.dim[0], m->info.heads);
        if (!s && part->magnitude) s = find_gains(part, m, w);
        if (s) return s;
    }
    return SC_OK;
}

/* ---- merging ---- */

static bool adds_to(const sc_adapter_part *part, const sc_item *it)
{
    size_t n = strlen(part->name);
    return strncmp(it->param, part->name, n) == 0 && strcmp(it->param + n, ".weight") == 0;
}

/* One row of B A, or of its transpose. */
static void add_row(const sc_adapter_part *part, const sc_item *it, int64_t row, int64_t width, float *x)
{
    const sc_lora *l = &part->lora;
    const float *a = l->a.data, *b = l->b.data;
    int64_t rank = l->rank;
    for (int64_t k = 0; k < rank; k++) {
        float f = !it->in_out                  ? b[row * rank + k]
                  : part->use == SC_LORA_TABLE ? a[row * rank + k]
                                               : a[k * l->cols + row];
        for (int64_t i = 0; i < width; i++) x[i] += f * (it->in_out ? b[i * rank + k] : a[k * l->cols + i]);
    }
}

/* What the matrix itself is multiplied by: in row n of it. */
static float gain_of(const sc_item *it, int64_t n)
{
    double all = 1;
    for (int64_t k = 0; k < it->adapters->count; k++) {
        const sc_adapter_part *part = &it->adapters->part[k];
        if (part->lora.gain.data && adds_to(part, it)) all += ((const float *)part->lora.gain.data)[n];
    }
    return (float)all;
}

void sc_adapters_merge_row(const sc_item *it, int64_t row, int64_t width, float *x)
{
    const sc_adapters *a = it->adapters;
    bool gain = false;
    for (int64_t k = 0; k < a->count; k++) gain = gain || (a->part[k].lora.gain.data && adds_to(&a->part[k], it));
    float all = gain && !it->in_out ? gain_of(it, row) : 1;
    for (int64_t i = 0; gain && i < width; i++) x[i] *= it->in_out ? gain_of(it, i) : all;
    for (int64_t k = 0; k < a->count; k++)
        if (adds_to(&a->part[k], it)) add_row(&a->part[k], it, row, width, x);
}

sc_status sc_adapters_mark(sc_item *it, const sc_model *m, const char *param, bool turned)
{
    sc_item marked = *it;
    marked.param = param;
    for (int64_t k = 0; k < m->adapters.count; k++) {
        const sc_adapter_part *part = &m->adapters.part[k];
        if (!adds_to(part, &marked)) continue;
        if (part->use == SC_LORA_TABLE && m->info.tied)
            return sc_fail(
                SC_EUNSUPPORTED,
                "the adapter changes '%s', which is also the output of a tied model: that cannot be merged",
                part->name);
        marked.adapters = &m->adapters;
        marked.in_out = (part->use != SC_LORA_LINEAR) != turned;
        *it = marked;
    }
    return SC_OK;
}
