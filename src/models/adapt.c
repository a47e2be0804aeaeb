/* SPDX-License-Identifier: Apache-2.0 */
/* Fitting adapters to the model that they were made for, and writing what both make together. */
#include "models/models.h"

#include <math.h>
#include <stdlib.h>

/* What a file keeps tiled: b's rows, or a's columns, go where it has them. */
static sc_status tile(sc_adapter_part *part, const sc_weight *w, const sc_model *m, int64_t rows)
{
    sc_tiles t;
    sc_lora *l = &part->lora;
    sc_buffer *buffer;
    bool columns = w->tiled == SC_TILED_COLUMNS;
    sc_storage *of = columns ? &l->a : &l->b;
    /* What adds to a matrix has both; a whole tensor is in b alone, (rows, rank). */
    if (columns && !of->data) {
        if (l->kind != SC_LORA_ADDS) return SC_OK;
        of = &l->b;
    }
    if (!columns && !of->data) return SC_OK;
    int64_t n = !columns ? rows : of == &l->a ? l->cols : l->rank, width = columns ? n : l->rank;
    int64_t lines = of->buffer->size / (int64_t)sizeof(float) / SC_MAX(width, 1);
    if (!columns && l->rows != rows)
        return sc_fail(SC_ESHAPE, "the adapter's matrix for '%s' does not fit", part->name);
    sc_status s = sc_ssm_tiles(&t, m, part->name, w->tiled, n, true);
    if (!s) s = sc_buffer_new(&buffer, of->buffer->size);
    if (s) return s;
    const float *from = of->data;
    float *to = buffer->data;
    for (int64_t i = 0; i < lines; i++)
        if (columns)
            for (int64_t c = 0; c < n; c++) to[i * width + c] = from[i * width + sc_tiles_source(&t, c)];
        else
            memcpy(to + i * width, from + sc_tiles_source(&t, i) * width, sizeof *to * (size_t)width);
    sc_buffer_unref(of->buffer);
    of->buffer = buffer;
    of->data = to;
    return SC_OK;
}

/* Rows as the model's file has them. */
static sc_status to_file_order(sc_adapter_part *part, const sc_weight *w, const sc_model *m, int64_t rows)
{
    bool moves = part->lora.kind != SC_LORA_SCALES_IN;
    if (part->lora.kind == SC_LORA_FOLLOWS && (w->permuted || w->joined || w->tiled != SC_TILED_NOT))
        return sc_fail(SC_EUNSUPPORTED, "'%s' has its rows in another order here: no bottleneck behind it",
                       part->name);
    sc_status s = w->permuted && moves ? sc_adapter_permute(part, rows, m->info.head_dim) : SC_OK;
    if (!s && w->joined && moves) s = sc_adapter_join(part, rows, m->info.heads);
    if (!s && w->tiled != SC_TILED_NOT) s = tile(part, w, m, rows);
    return s;
}

sc_status sc_adapter_order(const int32_t **order, const sc_model *m, const sc_weight *w, const char *name,
                           int64_t n, bool columns)
{
    bool rows = w->permuted || w->joined || (w->tiled != SC_TILED_NOT && w->tiled != SC_TILED_COLUMNS);
    *order = NULL;
    if (columns ? w->tiled != SC_TILED_COLUMNS : !rows) return SC_OK;
    sc_adapter_part numbers = {.name = name, .lora = {.rank = 1, .rows = n, .cols = n}};
    sc_storage *of = columns ? &numbers.lora.a : &numbers.lora.b;
    sc_status s = sc_buffer_new(&of->buffer, n * (int64_t)sizeof(float));
    if (s) return s;
    float *x = of->data = of->buffer->data;
    for (int64_t i = 0; i < n; i++) x[i] = (float)i;
    s = to_file_order(&numbers, w, m, n);
    int32_t *to = s ? NULL : sc_arena_alloc(m->arena, (size_t)n * sizeof *to);
    if (!s && !to) s = sc_nomem();
    for (int64_t i = 0; !s && i < n; i++) to[i] = (int32_t)((const float *)of->data)[i];
    sc_buffer_unref(of->buffer);
    *order = to;
    return s;
}

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
    if (!s) s = to_file_order(&rows_of, w, m, rows);
    if (!s) {
        w->storage.dtype = SC_F32;
        w->storage.data = b->data;
        sc_buffer_unref(w->storage.buffer);
        w->storage.buffer = sc_buffer_ref(b->buffer);
    }
    sc_buffer_unref(b->buffer);
    return s;
}

/* As the file has norms: 1 more than HuggingFace. */
static sc_status add_one(sc_weight *w)
{
    int64_t n = sc_shape_elements(&w->shape);
    sc_buffer *b;
    sc_status s = sc_buffer_new(&b, n * (int64_t)sizeof(float));
    if (s) return s;
    float *x = b->data;
    if (w->storage.dtype == SC_F32)
        memcpy(x, w->storage.data, sizeof *x * (size_t)n);
    else
        s = sc_dequantize(w->storage.dtype, w->storage.data, x, n);
    for (int64_t i = 0; i < n; i++) x[i] += 1;
    sc_buffer_unref(w->storage.buffer);
    w->storage.buffer = b;
    w->storage.data = x;
    w->storage.dtype = SC_F32;
    return s;
}

sc_status sc_adapters_replace(const sc_adapters *a, sc_model *m)
{
    for (int64_t i = 0; i < a->n_whole; i++) {
        const sc_adapter_whole *from = &a->whole[i];
        sc_weight *w = sc_model_weight(m, from->name);
        char have[SC_SHAPE_TEXT], need[SC_SHAPE_TEXT];
        if (!w && strncmp(from->name, "v_head.", 7) == 0) continue; /* of PPO, which generation does without */
        if (!w) return sc_fail(SC_ENOTFOUND, "the adapter changes '%s', which the model does not have", from->name);
        if (!sc_shape_equal(&w->shape, &from->shape))
            return sc_fail(SC_ESHAPE, "an adapter for another model: its '%s' is %s, the model's %s", from->name,
                           sc_shape_text(&from->shape, have), sc_shape_text(&w->shape, need));
        bool permuted = w->permuted, joined = w->joined, tiled = w->tiled != SC_TILED_NOT;
        bool plus_one = w->plus_one;
        int way = w->tiled;
        sc_buffer_unref(w->storage.buffer);
        sc_buffer_unref(w->wide.buffer);
        *w = (sc_weight){.name = w->name,
                         .shape = from->shape,
                         .storage = from->storage,
                         .permuted = permuted,
                         .joined = joined,
                         .plus_one = plus_one,
                         .tiled = way};
        sc_buffer_ref(w->storage.buffer);
        sc_status s = permuted || joined || tiled ? reorder(w, from, m) : SC_OK;
        if (s) return s;
        if (plus_one && (s = add_one(w))) return s;
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

/* Keys and values are given for layers that have both, each its own. */
static sc_status check_prefix(const sc_prompt *p, const sc_model *m)
{
    if (!p->layers) return SC_OK;
    for (int i = 0; i < m->cache.n_layers; i++)
        if (m->cache.layer[i].v_d == 0) return sc_fail(SC_EUNSUPPORTED, "no prefix tuning with latent attention");
    if (m->cache.n_states) return sc_fail(SC_EUNSUPPORTED, "no prefix tuning with recurrent layers");
    if (m->cache.n_layers == p->layers) return SC_OK;
    return sc_fail(SC_ESHAPE, "an adapter for another model: its prefix is for %lld layers, the model has %d",
                   (long long)p->layers, m->cache.n_layers);
}

sc_status sc_adapters_meet(sc_adapters *a, sc_model *m)
{
    sc_status checked = check_prefix(&a->prompt, m);
    if (checked) return checked;
    for (int64_t k = 0; k < a->count; k++) {
        sc_adapter_part *part = &a->part[k];
        char name[512];
        sc_status s = SC_OK;
        snprintf(name, sizeof name, "%s.weight", part->name);
        sc_weight *w = sc_model_weight(m, name);
        if (part->used && part->lora.experts) continue; /* which no file keeps in another order */
        if (!part->used || !w)
            return sc_fail(SC_ENOTFOUND, "the adapter changes '%s', which the model does not have", part->name);
        if (part->magnitude) s = add_column(part);
        if (!s) s = to_file_order(part, w, m, w->shape.dim[0]);
        if (!s && part->magnitude) s = find_gains(part, m, w);
        if (s) return s;
    }
    return SC_OK;
}

/* ---- merging ---- */

/* Whether the part is of this parameter: its matrix or, of what scales the result, its bias too. *expert: whose it is. */
static bool is_of(const sc_adapter_part *part, const char *param, int64_t *expert)
{
    size_t n = strlen(part->name);
    const char *number = part->lora.experts ? strstr(part->name, "%d") : NULL, *rest = param;
    if (number) {
        size_t before = (size_t)(number - part->name);
        char *end;
        if (strncmp(param, part->name, before) != 0 || param[before] < '0' || param[before] > '9') return false;
        *expert = strtol(param + before, &end, 10);
        n = strlen(number + 2);
        rest = end;
        if (strncmp(rest, number + 2, n) != 0) return false;
    } else if (strncmp(param, part->name, n) != 0) {
        return false;
    }
    return strcmp(rest + n, ".weight") == 0 ||
           (part->lora.kind == SC_LORA_SCALES_OUT && strcmp(rest + n, ".bias") == 0);
}

static bool adds_to(const sc_adapter_part *part, const sc_item *it)
{
    int64_t expert;
    return is_of(part, it->param, &expert);
}

/* One row of B A, or of its transpose. */
static void add_row(const sc_adapter_part *part, const sc_item *it, int64_t row, int64_t width, float *x)
{
    const sc_lora *l = &part->lora;
    const float *a = l->a.data, *b = l->b.data;
    int64_t rank = l->rank;
    if (l->experts) {
        a += it->expert * rank * l->cols;
        b += it->expert * rank * l->rows;
    }
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

/* Factors of a row of the matrix, or of the bias, which is one row or a column. */
static void scale_row(const sc_adapter_part *part, const sc_item *it, int kind, int64_t row, int64_t width,
                      float *x)
{
    const sc_lora *l = &part->lora;
    if ((int)l->kind != kind) return;
    const float *f = kind == SC_LORA_SCALES_IN ? l->a.data : l->b.data;
    bool bias = sc_path_has_suffix(it->param, ".bias"), along = (kind == SC_LORA_SCALES_IN) != it->in_out;
    if (bias) along = width > 1;
    for (int64_t i = 0; i < width; i++) x[i] *= f[along ? i : row];
}

void sc_adapters_merge_row(const sc_item *it, int64_t row, int64_t width, float *x)
{
    const sc_adapters *a = it->adapters;
    bool gain = false;
    for (int64_t k = 0; k < a->count; k++) gain = gain || (a->part[k].lora.gain.data && adds_to(&a->part[k], it));
    float all = gain && !it->in_out ? gain_of(it, row) : 1;
    for (int64_t i = 0; gain && i < width; i++) x[i] *= it->in_out ? gain_of(it, i) : all;
    for (int64_t k = 0; k < a->count; k++)
        if (adds_to(&a->part[k], it)) scale_row(&a->part[k], it, SC_LORA_SCALES_IN, row, width, x);
    for (int64_t k = 0; k < a->count; k++)
        if (a->part[k].lora.kind == SC_LORA_ADDS && adds_to(&a->part[k], it))
            add_row(&a->part[k], it, row, width, x);
    for (int64_t k = 0; k < a->count; k++)
        if (adds_to(&a->part[k], it)) scale_row(&a->part[k], it, SC_LORA_SCALES_OUT, row, width, x);
}

bool sc_adapters_change(const sc_model *m, const char *param)
{
    int64_t expert;
    for (int64_t k = 0; k < m->adapters.count; k++)
        if (is_of(&m->adapters.part[k], param, &expert)) return true;
    return false;
}

sc_status sc_adapters_mark(sc_item *it, const sc_model *m, const char *param, bool turned)
{
    sc_item marked = *it;
    marked.param = param;
    for (int64_t k = 0; k < m->adapters.count; k++) {
        const sc_adapter_part *part = &m->adapters.part[k];
        if (!is_of(part, param, &marked.expert)) continue;
        if (part->use == SC_LORA_TABLE && m->info.tied)
            return sc_fail(
                SC_EUNSUPPORTED,
                "the adapter changes '%s', which is also the output of a tied model: that cannot be merged",
                part->name);
        if (part->lora.kind == SC_LORA_FOLLOWS)
            return sc_fail(SC_EUNSUPPORTED, "'%s' has a bottleneck behind it, which cannot be merged", part->name);
        marked.adapters = &m->adapters;
        marked.in_out = (part->use == SC_LORA_IN_OUT || part->use == SC_LORA_TABLE) != turned;
        *it = marked;
    }
    return SC_OK;
}
