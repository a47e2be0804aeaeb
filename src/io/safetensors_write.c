/* SPDX-License-Identifier: Apache-2.0 */
/* Writing safetensors: the header once all tensors are declared, then their bytes in the order of the layout. */
#include "io/io.h"

#include <stdlib.h>

struct sc_safetensors_writer {
    char *path;
    sc_arena *arena;
    struct declared {
        const char *name;
        sc_dtype dtype;
        int rank;
        int64_t dim[SC_MAX_RANK], bytes;
        const void *data;
    } * tensor;
    int64_t count, cap;
    char **meta; /* key, value, ... */
    int64_t meta_count, meta_cap;
    sc_stream stream;
    bool begun;
};

sc_status sc_safetensors_writer_new(sc_safetensors_writer **out, const char *path)
{
    if (!out || !path) return sc_fail(SC_EINVAL, "sc_safetensors_writer_new: NULL argument");
    sc_safetensors_writer *w = sc_calloc(1, sizeof *w);
    if (!w) return sc_nomem();
    w->arena = sc_arena_new();
    w->path = sc_strdup(path);
    sc_status e = w->arena && w->path ? sc_writer_open(&w->stream.file, path) : sc_nomem();
    if (e) {
        sc_safetensors_writer_free(w);
        return e;
    }
    *out = w;
    return SC_OK;
}

void sc_safetensors_writer_free(sc_safetensors_writer *w)
{
    if (!w) return;
    sc_stream_free(&w->stream);
    sc_free(w->tensor);
    sc_free(w->meta);
    sc_arena_free(w->arena);
    sc_free(w->path);
    sc_free(w);
}

static sc_status check_text(const sc_safetensors_writer *w, const char *s, const char *what)
{
    if (!sc_utf8_valid(s, (int64_t)strlen(s)))
        return sc_fail(SC_EINVAL, "%s: %s '%.200s' is not UTF-8", w->path, what, s);
    return SC_OK;
}

sc_status sc_safetensors_writer_meta(sc_safetensors_writer *w, const char *key, const char *value)
{
    if (!w || !key || !value) return sc_fail(SC_EINVAL, "sc_safetensors_writer_meta: NULL argument");
    if (w->begun) return sc_fail(SC_EINVAL, "%s: metadata after the first tensor's bytes", w->path);
    sc_status e;
    if ((e = check_text(w, key, "metadata key")) || (e = check_text(w, value, "metadata of key"))) return e;
    for (int64_t i = 0; i < w->meta_count; i += 2)
        if (!strcmp(w->meta[i], key))
            return sc_fail(SC_EINVAL, "%s: metadata '%.200s' is given twice", w->path, key);
    if (!sc_grow(&w->meta, &w->meta_cap, w->meta_count + 2, sizeof *w->meta)) return sc_nomem();
    char *k = sc_arena_strndup(w->arena, key, strlen(key)), *v = sc_arena_strndup(w->arena, value, strlen(value));
    if (!k || !v) return sc_nomem();
    w->meta[w->meta_count++] = k;
    w->meta[w->meta_count++] = v;
    return SC_OK;
}

sc_status sc_safetensors_writer_add(sc_safetensors_writer *w, const char *name, sc_dtype dtype, int rank,
                                    const int64_t *dim, const void *data)
{
    if (!w || !name || (rank > 0 && !dim)) return sc_fail(SC_EINVAL, "sc_safetensors_writer_add: NULL argument");
    if (w->begun) return sc_fail(SC_EINVAL, "%s: tensor '%.200s' declared after the first bytes", w->path, name);
    const sc_dtype_info *d = sc_dtype_get(dtype);
    if (!d || !d->safetensors)
        return sc_fail(SC_EUNSUPPORTED, "%s: tensor '%.200s': safetensors has no type %s", w->path, name,
                       d ? d->name : "of this number");
    if (w->count == SC_MAX_FILE_TENSORS)
        return sc_fail(SC_ELIMIT, "%s: more than %d tensors", w->path, SC_MAX_FILE_TENSORS);
    int64_t n;
    sc_status e = check_text(w, name, "tensor name");
    if (e) return e;
    if (!strcmp(name, "__metadata__"))
        return sc_fail(SC_EINVAL, "%s: no tensor can be called __metadata__", w->path);
    if ((e = sc_shape_count(&n, rank, dim))) return sc_fail_in(e, "%s: tensor '%.200s'", w->path, name);
    struct declared x = {.dtype = dtype, .rank = rank, .bytes = sc_dtype_size(dtype, n), .data = data};
    if (x.bytes < 0) return sc_fail(SC_ELIMIT, "%s: tensor '%.200s' exceeds 2^63 bytes", w->path, name);
    for (int i = 0; i < rank; i++) x.dim[i] = dim[i];
    if (!(x.name = sc_arena_strndup(w->arena, name, strlen(name))) ||
        !sc_grow(&w->tensor, &w->cap, w->count + 1, sizeof *w->tensor))
        return sc_nomem();
    w->tensor[w->count++] = x;
    return SC_OK;
}

static void put_text(sc_str *s, const char *z)
{
    sc_str_putc(s, '"');
    for (; *z; z++) {
        if (*z == '"' || *z == '\\')
            sc_str_printf(s, "\\%c", *z);
        else if ((unsigned char)*z < 0x20)
            sc_str_printf(s, "\\u%04x", (unsigned)*z);
        else
            sc_str_putc(s, *z);
    }
    sc_str_putc(s, '"');
}

static void put_header(const sc_safetensors_writer *w, sc_str *s)
{
    const char *comma = "";
    sc_str_putc(s, '{');
    if (w->meta_count) {
        sc_str_puts(s, "\"__metadata__\":{");
        for (int64_t i = 0; i < w->meta_count; i += 2) {
            sc_str_puts(s, i ? "," : "");
            put_text(s, w->meta[i]);
            sc_str_putc(s, ':');
            put_text(s, w->meta[i + 1]);
        }
        sc_str_putc(s, '}');
        comma = ",";
    }
    for (int64_t i = 0; i < w->stream.count; i++, comma = ",") {
        const struct declared *t = &w->tensor[w->stream.item[i].id];
        int64_t at = w->stream.item[i].offset;
        sc_str_puts(s, comma);
        put_text(s, t->name);
        sc_str_printf(s, ":{\"dtype\":\"%s\",\"shape\":[", sc_dtype_get(t->dtype)->safetensors);
        for (int j = 0; j < t->rank; j++) sc_str_printf(s, j ? ",%lld" : "%lld", (long long)t->dim[j]);
        sc_str_printf(s, "],\"data_offsets\":[%lld,%lld]}", (long long)at, (long long)(at + t->bytes));
    }
    sc_str_putc(s, '}');
    for (int64_t pad = (8 - s->len % 8) % 8; pad > 0; pad--) sc_str_putc(s, ' '); /* so that the data is aligned */
}

static int compare_name(const void *a, const void *b)
{
    return strcmp((*(struct declared *const *)a)->name, (*(struct declared *const *)b)->name);
}

static sc_status check_names(const sc_safetensors_writer *w)
{
    struct declared **sorted = sc_malloc((size_t)w->count * sizeof *sorted);
    if (!sorted) return sc_nomem();
    for (int64_t i = 0; i < w->count; i++) sorted[i] = &w->tensor[i];
    qsort(sorted, (size_t)w->count, sizeof *sorted, compare_name);
    sc_status e = SC_OK;
    for (int64_t i = 1; i < w->count && !e; i++)
        if (!strcmp(sorted[i - 1]->name, sorted[i]->name))
            e = sc_fail(SC_EINVAL, "%s: tensor '%.200s' is given twice", w->path, sorted[i]->name);
    sc_free(sorted);
    return e;
}

/* Lays the tensors out and writes the header. */
static sc_status begin(sc_safetensors_writer *w)
{
    if (w->begun) return SC_OK;
    sc_status e = check_names(w);
    for (int64_t size = 8; size && !e; size /= 2)
        for (int64_t i = 0; i < w->count && !e; i++)
            if (sc_dtype_get(w->tensor[i].dtype)->bytes == size)
                e = sc_stream_add(&w->stream, i, w->tensor[i].data, w->tensor[i].bytes);
    w->begun = true; /* a second attempt would add everything again */
    int64_t total;
    if (e || (e = sc_stream_layout(&w->stream, 1, &total))) goto fail;
    sc_str header = {0};
    put_header(w, &header);
    uint64_t n = (uint64_t)header.len;
    if (header.oom)
        e = sc_nomem();
    else if (!(e = sc_writer_write(w->stream.file, &n, 8)))
        e = sc_writer_write(w->stream.file, header.p, header.len);
    sc_str_free(&header);
    w->stream.base = 8 + (int64_t)n;
fail:
    if (e) w->stream.failed = true;
    return e;
}

sc_status sc_safetensors_writer_next(sc_safetensors_writer *w, int64_t *i)
{
    if (!w || !i) return sc_fail(SC_EINVAL, "sc_safetensors_writer_next: NULL argument");
    sc_status e = begin(w);
    return e ? e : sc_stream_next(&w->stream, i);
}

sc_status sc_safetensors_writer_write(sc_safetensors_writer *w, const void *data, int64_t bytes)
{
    if (!w || (bytes && !data)) return sc_fail(SC_EINVAL, "sc_safetensors_writer_write: NULL argument");
    if (!w->begun) return sc_fail(SC_EINVAL, "%s: bytes before the first tensor was asked for", w->path);
    return sc_stream_write(&w->stream, data, bytes);
}

sc_status sc_safetensors_writer_finish(sc_safetensors_writer *w)
{
    if (!w) return sc_fail(SC_EINVAL, "sc_safetensors_writer_finish: NULL argument");
    sc_status e = begin(w);
    if (e) return e;
    e = sc_stream_commit(&w->stream);
    return e == SC_EINVAL ? sc_fail_in(e, "%s", w->path) : e; /* others name it already */
}
