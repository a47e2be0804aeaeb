/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints that keep a layer's experts in one tensor: its parts get the names of single experts, and stay where they
 * are but for what has to be put in another order. */
#include "models/models.h"

/* A stacked tensor on its way. */
typedef struct stacked {
    char layer[448]; /* its name up to and with ".experts." */
    const char *rest;
    sc_shape shape;
    sc_storage storage;
} stacked;

/* Weight i, if it is one of a mixture's and its name goes on with something else than a number. */
static bool take(const sc_weights *w, int64_t i, stacked *out)
{
    static const char experts[] = ".experts.";
    const sc_weight *t = &w->item[i];
    const char *at = strstr(t->name, experts);
    size_t n = at ? (size_t)(at - t->name) + strlen(experts) : 0;
    if (!at || n >= sizeof out->layer || (t->name[n] >= '0' && t->name[n] <= '9')) return false;
    *out = (stacked){.rest = t->name + n, .shape = t->shape, .storage = t->storage};
    memcpy(out->layer, t->name, n);
    return out->storage.dtype < SC_DTYPE_COUNT && out->storage.data;
}

/* Adds expert e's matrix (or vector) `name` of the given shape, which begins `first` elements after the stack's data. */
static sc_status add(sc_weights *w, const stacked *t, int64_t e, const char *name, const char *kind, sc_shape shape,
                     sc_storage storage, int64_t first)
{
    char full[512];
    const sc_dtype_info *d = sc_dtype_get(storage.dtype);
    snprintf(full, sizeof full, "%s%lld.%s.%s", t->layer, (long long)e, name, kind);
    storage.data = (char *)storage.data + first / d->block * d->bytes;
    return sc_weights_add(w, full, &shape, &storage);
}

/* (E, 2N, C), the gates first, and (E, C, N): as transformers 5 holds them. */
static sc_status split_concatenated(sc_weights *w, const stacked *t, const sc_moe_config *m)
{
    bool both = strcmp(t->rest, "gate_up_proj") == 0;
    int64_t rows = t->shape.dim[1], width = t->shape.dim[2], n = both ? rows / 2 : rows;
    sc_shape shape = {2, {n, width}};
    sc_storage st = t->storage;
    sc_status s = SC_OK;
    if (both && rows % 2)
        return sc_fail(SC_ESHAPE, "'%s%s' has an odd number of rows, %lld", t->layer, t->rest, (long long)rows);
    sc_dense_strides(&shape, st.stride);
    for (int64_t e = 0; !s && e < t->shape.dim[0]; e++) {
        s = add(w, t, e, both ? m->gate : m->down, "weight", shape, st, e * rows * width);
        if (!s && both) s = add(w, t, e, m->up, "weight", shape, st, (e * rows + n) * width);
    }
    return s;
}

sc_status sc_moe_adapt(const void *config, sc_weights *w)
{
    const sc_moe_decoder *m = config;
    sc_status s = SC_OK;
    for (int64_t i = 0, count = w->count; !s && i < count; i++) {
        stacked t;
        if (!take(w, i, &t) || t.shape.rank != 3) continue;
        if (strcmp(t.rest, "gate_up_proj") != 0 && strcmp(t.rest, "down_proj") != 0) continue;
        w->item[i].used = w->stacked = true;
        s = split_concatenated(w, &t, &m->moe);
    }
    return s;
}

/* ---- gpt-oss: matrices stored (in, out), gates and what they gate in turn ---- */

static const char *const gate_up[] = {"gate_proj", "up_proj"};

/* (E, C, 2N) or (E, N, C), where they are. */
static sc_status split_columns(sc_weights *w, const stacked *t)
{
    int64_t in = t->shape.dim[1], out = t->shape.dim[2], of = strncmp(t->rest, "gate_up", 7) == 0 ? 2 : 1;
    sc_shape shape = {2, {out / of, in}};
    sc_storage st = t->storage;
    sc_status s = SC_OK;
    st.stride[0] = of;
    st.stride[1] = out;
    for (int64_t e = 0; !s && e < t->shape.dim[0]; e++)
        for (int64_t k = 0; !s && k < of; k++) {
            s = add(w, t, e, of == 2 ? gate_up[k] : "down_proj", "weight", shape, st, e * in * out + k);
            if (s) break;
            w->item[w->count - 1].transposed = true;
            w->item[w->count - 1].step = of;
        }
    return s;
}

/* Memory of its own for what cannot stay; the weights added from it keep it. */
static sc_status own(sc_storage *st, sc_dtype dtype, int64_t elements)
{
    int64_t bytes = sc_dtype_size(dtype, elements);
    *st = (sc_storage){.dtype = dtype};
    if (bytes < 0) return sc_fail(SC_ELIMIT, "%lld values are too many", (long long)elements);
    sc_status s = sc_buffer_new(&st->buffer, bytes);
    if (!s) st->data = st->buffer->data;
    return s;
}

/* (E, 2N) or (E, N) in any float type, to f32 and one after the other. */
static sc_status split_biases(sc_weights *w, const stacked *t)
{
    int64_t experts = t->shape.dim[0], all = t->shape.dim[1], of = strncmp(t->rest, "gate_up", 7) == 0 ? 2 : 1,
            n = all / of;
    sc_shape shape = {1, {n}};
    sc_storage st;
    float *row = sc_malloc(sizeof *row * (size_t)SC_MAX(all, 1));
    sc_status s = row ? own(&st, SC_F32, experts * all) : sc_nomem();
    if (s) {
        sc_free(row);
        return s;
    }
    float *to = st.data;
    st.stride[0] = 1;
    for (int64_t e = 0; !s && e < experts; e++) {
        const char *from = (const char *)t->storage.data + sc_dtype_size(t->storage.dtype, e * all);
        if (t->storage.dtype == SC_F32)
            memcpy(row, from, sizeof *row * (size_t)all);
        else
            s = sc_dequantize(t->storage.dtype, from, row, all);
        for (int64_t i = 0; i < all; i++) to[(i % of * experts + e) * n + i / of] = row[i];
        for (int64_t k = 0; !s && k < of; k++)
            s = add(w, t, e, of == 2 ? gate_up[k] : "down_proj", "bias", shape, st, (k * experts + e) * n);
    }
    sc_free(row);
    sc_buffer_unref(st.buffer);
    return s;
}

/* A block of 32 four-bit numbers: the file has neighbours in one byte, SC_MXFP4 those 16 apart, after the exponent. */
static void reorder(const uint8_t *from, uint8_t exponent, uint8_t *to)
{
    *to++ = exponent;
    for (int i = 0; i < 16; i++) {
        int lo = from[i / 2] >> (i % 2 * 4) & 15, hi = from[8 + i / 2] >> (i % 2 * 4) & 15;
        to[i] = (uint8_t)(lo | hi << 4);
    }
}

/* NAME_blocks (E, rows, C / 32, 16) with NAME_scales (E, rows, C / 32). */
static sc_status split_mxfp4(sc_weights *w, const stacked *t)
{
    enum { BLOCK = 17 };
    char name[512];
    size_t n = strlen(t->rest) - strlen("_blocks");
    int64_t experts = t->shape.dim[0], all = t->shape.dim[1], blocks = t->shape.dim[2],
            of = strncmp(t->rest, "gate_up", 7) == 0 ? 2 : 1, rows = all / of, values;
    snprintf(name, sizeof name, "%s%.*s_scales", t->layer, (int)n, t->rest);
    sc_weight *scales = sc_weights_find(w, name);
    sc_shape want = {3, {experts, all, blocks}}, shape = {2, {rows, blocks * 32}};
    if (!scales || scales->storage.dtype != SC_U8 || !sc_shape_equal(&scales->shape, &want) || t->shape.rank != 4 ||
        t->shape.dim[3] != 16 || t->storage.dtype != SC_U8 || all % of)
        return sc_fail(SC_EFORMAT, "'%s%s' and its scales do not fit each other", t->layer, t->rest);
    scales->used = true;
    const uint8_t *from = t->storage.data, *exponent = scales->storage.data;
    sc_storage st;
    if (!sc_mul_ok(experts * all, blocks, &values) || !sc_mul_ok(values, 32, &values))
        return sc_fail(SC_ELIMIT, "'%s%s' is too large", t->layer, t->rest);
    sc_status s = own(&st, SC_MXFP4, values);
    if (s) return s;
    sc_dense_strides(&shape, st.stride);
    for (int64_t e = 0; !s && e < experts; e++)
        for (int64_t k = 0; !s && k < of; k++) {
            int64_t first = (k * experts + e) * rows;
            uint8_t *to = (uint8_t *)st.data + first * blocks * BLOCK;
            for (int64_t r = 0; r < rows; r++)
                for (int64_t b = 0; b < blocks; b++, to += BLOCK) {
                    int64_t at = (e * all + r * of + k) * blocks + b;
                    reorder(from + at * 16, exponent[at], to);
                }
            s = add(w, t, e, of == 2 ? gate_up[k] : "down_proj", "weight", shape, st, first * blocks * 32);
        }
    sc_buffer_unref(st.buffer);
    return s;
}

sc_status sc_gpt_oss_adapt(const void *config, sc_weights *w)
{
    sc_status s = SC_OK;
    (void)config;
    for (int64_t i = 0, count = w->count; !s && i < count; i++) {
        stacked t;
        if (!take(w, i, &t) || (strncmp(t.rest, "gate_up_proj", 12) != 0 && strncmp(t.rest, "down_proj", 9) != 0))
            continue;
        bool twice = t.rest[0] == 'g',
             even = t.shape.rank > 1 && !(twice && t.shape.dim[t.shape.rank == 3 ? 2 : 1] % 2);
        const char *form = t.rest + (twice ? 12 : 9);
        if (strcmp(form, "_scales") == 0) continue;
        int rank = strcmp(form, "_blocks") == 0 ? 4 : strcmp(form, "_bias") == 0 ? 2 : form[0] == 0 ? 3 : 0;
        if (!rank) continue;
        if (t.shape.rank != rank || !even)
            return sc_fail(SC_ESHAPE, "'%s%s' does not have the shape of stacked experts", t.layer, t.rest);
        w->item[i].used = true;
        s = rank == 4 ? split_mxfp4(w, &t) : rank == 3 ? split_columns(w, &t) : split_biases(w, &t);
    }
    return s;
}
