/* SPDX-License-Identifier: Apache-2.0 */
/* Where a model's parameters come from: a table of storages by HuggingFace name, filled from either format. */
#include "models/models.h"

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

sc_weight *sc_weights_find(const sc_weights *w, const char *name)
{
    int64_t i;
    return sc_map_get(&w->index, name, (int64_t)strlen(name), &i) ? &w->item[i] : NULL;
}

sc_status sc_weight_widen(sc_weight *w)
{
    sc_dtype t = w->storage.dtype;
    if (w->shape.rank > 1 || (t != SC_F16 && t != SC_BF16)) return SC_OK;
    int64_t n = sc_shape_elements(&w->shape);
    sc_status s = sc_buffer_new(&w->wide.buffer, n * (int64_t)sizeof(float));
    if (s) return s;
    w->wide.dtype = SC_F32;
    w->wide.data = w->wide.buffer->data;
    sc_dense_strides(&w->shape, w->wide.stride);
    return sc_dequantize(t, w->storage.data, w->wide.data, n);
}

void sc_weights_free(sc_weights *w)
{
    for (int64_t i = 0; i < w->count; i++) {
        sc_buffer_unref(w->item[i].storage.buffer);
        sc_buffer_unref(w->item[i].wide.buffer);
    }
    sc_free(w->item);
    sc_map_free(&w->index);
    *w = (sc_weights){0};
}

sc_status sc_weights_from_safetensors(sc_weights *w, const char *dir)
{
    sc_safetensors *st;
    sc_status s = sc_safetensors_open(&st, dir);
    if (s) return s;
    for (int64_t i = 0; !s && i < sc_safetensors_count(st); i++) {
        const sc_file_tensor *t = sc_safetensors_get(st, i);
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
