/* SPDX-License-Identifier: Apache-2.0 */
/* Where a model's parameters come from: a table of storages by HuggingFace name, filled from either format. */
#include "models/models.h"

#include <math.h>

void sc_dense_strides(const sc_shape *s, int64_t *stride)
{
    int64_t n = 1;
    for (int i = s->rank - 1; i >= 0; i--) {
        stride[i] = n;
        n *= SC_MAX(s->dim[i], 1);
    }
}

sc_status sc_weights_add(sc_weights *w, const char *name, const sc_shape *shape, const sc_storage *storage)
{
    int64_t old, n = (int64_t)strlen(name);
    if (sc_map_get(&w->index, name, n, &old)) return sc_fail(SC_EFORMAT, "'%s' is there twice", name);
    char *copy = sc_arena_strndup(w->arena, name, (size_t)n);
    if (!copy || !sc_grow(&w->item, &w->cap, w->count + 1, sizeof *w->item) ||
        !sc_map_put(&w->index, copy, n, w->count))
        return sc_nomem();
    w->item[w->count++] = (sc_weight){.name = copy, .shape = *shape, .storage = *storage};
    sc_buffer_ref(storage->buffer);
    return SC_OK;
}

sc_status sc_weight_copy(const sc_weight *w, float *to, const int64_t *stride)
{
    const sc_storage *st = &w->storage;
    int64_t rows = w->shape.dim[0], cols = w->shape.rank > 1 ? w->shape.dim[1] : 1,
            n = sc_shape_elements(&w->shape);
    bool dense = w->shape.rank > 1 ? st->stride[1] == 1 && st->stride[0] == cols : st->stride[0] == 1;
    float *row = sc_malloc(sizeof *row * (size_t)SC_MAX(n, 1));
    sc_status s = row ? SC_OK : sc_nomem();
    if (!s && dense)
        s = sc_dequantize(st->dtype, st->data, row, n);
    else
        for (int64_t i = 0; !s && i < n; i++) {
            int64_t at = i / cols * st->stride[0] + (w->shape.rank > 1 ? i % cols * st->stride[1] : 0);
            s = sc_dequantize(st->dtype, (const char *)st->data + sc_dtype_size(st->dtype, at), row + i, 1);
        }
    for (int64_t r = 0; !s && r < rows; r++)
        for (int64_t c = 0; c < cols; c++) to[r * stride[0] + c * stride[1]] = row[r * cols + c];
    sc_free(row);
    return s;
}

sc_weight *sc_weights_find(const sc_weights *w, const char *name)
{
    int64_t i;
    return sc_map_get(&w->index, name, (int64_t)strlen(name), &i) ? &w->item[i] : NULL;
}

/* (C, 1, K) with K outermost in memory. */
static sc_status turn_taps(sc_weight *w)
{
    int64_t c = w->shape.dim[0], k = w->shape.dim[w->shape.rank - 1], n = c * k;
    float *x = w->wide.data, *copy = sc_malloc(sizeof *copy * (size_t)n);
    if (!copy) return sc_nomem();
    memcpy(copy, x, sizeof *copy * (size_t)n);
    for (int64_t i = 0; i < c; i++)
        for (int64_t j = 0; j < k; j++) x[j * c + i] = copy[i * k + j];
    sc_free(copy);
    w->wide.stride[0] = 1;
    w->wide.stride[1] = w->wide.stride[w->shape.rank - 1] = c;
    return SC_OK;
}

/* n values as f16, a row at a time. */
static sc_status unpack(sc_weight *w, int64_t n)
{
    int64_t c = w->shape.dim[w->shape.rank - 1], bytes = sc_dtype_size(w->storage.dtype, c);
    float *row = sc_malloc(sizeof *row * (size_t)c);
    sc_status s = row ? bytes > 0 ? sc_buffer_new(&w->wide.buffer, n * 2)
                                  : sc_fail(SC_ESHAPE, "'%s' has rows that are not whole blocks", w->name)
                      : sc_nomem();
    if (!s) {
        w->wide.dtype = SC_F16;
        w->wide.data = w->wide.buffer->data;
        sc_dense_strides(&w->shape, w->wide.stride);
    }
    for (int64_t i = 0; !s && i < n; i += c) {
        s = sc_dequantize(w->storage.dtype, (const char *)w->storage.data + i / c * bytes, row, c);
        if (!s) s = sc_quantize(SC_F16, row, (uint16_t *)w->wide.data + i, c);
    }
    sc_free(row);
    return s;
}

sc_status sc_weight_widen(sc_weight *w)
{
    sc_dtype t = w->storage.dtype;
    sc_form form = w->form == SC_FORM_NEG_EXP && w->formed ? SC_FORM_STORED : w->form;
    bool blocks = sc_dtype_get(t)->block > 1, vector = w->shape.rank <= 1 || w->form == SC_FORM_NEG_EXP;
    int64_t n = sc_shape_elements(&w->shape);
    if (form == SC_FORM_COLUMNS) {
        if (blocks) return unpack(w, n);
        form = SC_FORM_STORED;
    }
    if (form == SC_FORM_STORED && (t == SC_F32 || blocks || !vector)) return SC_OK;
    sc_status s = sc_buffer_new(&w->wide.buffer, n * (int64_t)sizeof(float));
    if (s) return s;
    float *x = w->wide.data = w->wide.buffer->data;
    w->wide.dtype = SC_F32;
    sc_dense_strides(&w->shape, w->wide.stride);
    if ((s = sc_dequantize(t, w->storage.data, x, n))) return sc_fail_in(s, "'%s'", w->name);
    for (int64_t i = 0; i < n && form == SC_FORM_NEG_EXP; i++) x[i] = -expf(x[i]);
    return form == SC_FORM_TAPS ? turn_taps(w) : SC_OK;
}

void sc_weights_free(sc_weights *w)
{
    for (int64_t i = 0; i < w->count; i++) {
        sc_buffer_unref(w->item[i].storage.buffer);
        sc_buffer_unref(w->item[i].wide.buffer);
        sc_buffer_unref(w->item[i].trained.buffer);
    }
    sc_free(w->item);
    sc_map_free(&w->index);
    *w = (sc_weights){0};
}

sc_status sc_weights_from_safetensors(sc_weights *w, sc_context *ctx, const char *dir, const json_t *config)
{
    sc_safetensors *st;
    sc_status s = sc_safetensors_open(&st, dir);
    if (s) return s;
    for (int64_t i = 0; !s && i < sc_safetensors_count(st); i++) {
        const sc_file_tensor *t = sc_safetensors_get(st, i);
        bool taken = false;
        if (config && ((s = sc_weights_unpack(w, ctx, st, t, config, &taken)) || taken)) continue;
        sc_shape shape = {.rank = t->rank};
        sc_storage storage = {
            .dtype = t->dtype, .data = (void *)(uintptr_t)t->data, .buffer = sc_safetensors_buffer(st, i)};
        memcpy(shape.dim, t->dim, sizeof shape.dim);
        sc_dense_strides(&shape, storage.stride);
        s = sc_weights_add(w, t->name, &shape, &storage);
    }
    sc_safetensors_free(st);
    return s;
}
