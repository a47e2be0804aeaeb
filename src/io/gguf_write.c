/* SPDX-License-Identifier: Apache-2.0 */
/* Writing GGUF version 3: metadata is collected as it will lie in the file, the tensor table follows it, then the
 * tensors' bytes, each at a multiple of the alignment. */
#include "io/io.h"

#include <stdlib.h>

#define ALIGN    32 /* GGUF's default, so that no key has to say it */
#define RANK_MAX 4

struct sc_gguf_writer {
    char *path;
    sc_arena *arena;
    sc_str metadata;
    const char **key;
    int64_t keys, keys_cap;
    struct declared {
        const char *name;
        sc_dtype dtype;
        int rank;
        int64_t dim[RANK_MAX];
    } * tensor;
    int64_t tensors, tensors_cap;
    sc_stream stream;
    bool begun;
};

sc_status sc_gguf_writer_new(sc_gguf_writer **out, const char *path)
{
    if (!out || !path) return sc_fail(SC_EINVAL, "sc_gguf_writer_new: NULL argument");
    sc_gguf_writer *w = sc_calloc(1, sizeof *w);
    if (!w) return sc_nomem();
    w->arena = sc_arena_new();
    w->path = sc_strdup(path);
    sc_status e = w->arena && w->path ? sc_writer_open(&w->stream.file, path) : sc_nomem();
    if (e) {
        sc_gguf_writer_free(w);
        return e;
    }
    *out = w;
    return SC_OK;
}

void sc_gguf_writer_free(sc_gguf_writer *w)
{
    if (!w) return;
    sc_stream_free(&w->stream);
    sc_str_free(&w->metadata);
    sc_free(w->key);
    sc_free(w->tensor);
    sc_arena_free(w->arena);
    sc_free(w->path);
    sc_free(w);
}

/* ---- metadata ---- */

static void put_u32(sc_str *s, uint32_t v) { sc_str_append(s, (const char *)&v, 4); }
static void put_u64(sc_str *s, uint64_t v) { sc_str_append(s, (const char *)&v, 8); }

static void put_text(sc_str *s, const char *p, int64_t n)
{
    put_u64(s, (uint64_t)n);
    sc_str_append(s, p, n);
}

/* Starts a value: its key and type. What follows cannot fail but for memory, which put_end reports. */
static sc_status put_key(sc_gguf_writer *w, const char *key, sc_gguf_type type)
{
    if (!w || !key) return sc_fail(SC_EINVAL, "GGUF metadata: NULL argument");
    if (w->begun) return sc_fail(SC_EINVAL, "%s: key '%.200s' after the first tensor's bytes", w->path, key);
    size_t n = strlen(key);
    if (!n || n > 65535 || !sc_utf8_valid(key, (int64_t)n))
        return sc_fail(SC_EINVAL, "%s: key '%.200s' is empty, over 65535 bytes or not UTF-8", w->path, key);
    if (!strcmp(key, "general.alignment"))
        return sc_fail(SC_EINVAL, "%s: general.alignment is the writer's own", w->path);
    char *copy = sc_arena_strndup(w->arena, key, n);
    if (!copy || !sc_grow(&w->key, &w->keys_cap, w->keys + 1, sizeof *w->key)) return sc_nomem();
    w->key[w->keys++] = copy;
    put_text(&w->metadata, key, (int64_t)n);
    put_u32(&w->metadata, type);
    return SC_OK;
}

static sc_status put_end(const sc_gguf_writer *w) { return w->metadata.oom ? sc_nomem() : SC_OK; }

/* Little-endian, so the low bytes of the value are the narrower types' representation. */
sc_status sc_gguf_writer_int(sc_gguf_writer *w, const char *key, sc_gguf_type type, int64_t value)
{
    int bits = sc_gguf_type_bytes(type) * 8;
    bool sign = type == SC_GGUF_I8 || type == SC_GGUF_I16 || type == SC_GGUF_I32 || type == SC_GGUF_I64;
    if (!bits || type == SC_GGUF_F32 || type == SC_GGUF_F64)
        return sc_fail(SC_EINVAL, "key '%.200s': %s is no integer type", key ? key : "", sc_gguf_type_name(type));
    if (type == SC_GGUF_BOOL) bits = 1;
    int64_t hi = bits == 64 ? INT64_MAX : (INT64_C(1) << (bits - sign)) - 1;
    int64_t lo = sign ? -hi - 1 : 0;
    if (value < lo || value > hi)
        return sc_fail(SC_EINVAL, "key '%.200s': %lld does not fit type %s", key ? key : "", (long long)value,
                       sc_gguf_type_name(type));
    sc_status e = put_key(w, key, type);
    if (e) return e;
    sc_str_append(&w->metadata, (const char *)&value, sc_gguf_type_bytes(type));
    return put_end(w);
}

sc_status sc_gguf_writer_num(sc_gguf_writer *w, const char *key, sc_gguf_type type, double value)
{
    float f = (float)value;
    if (type != SC_GGUF_F32 && type != SC_GGUF_F64)
        return sc_fail(SC_EINVAL, "key '%.200s': %s is no floating type", key ? key : "", sc_gguf_type_name(type));
    sc_status e = put_key(w, key, type);
    if (e) return e;
    if (type == SC_GGUF_F32)
        sc_str_append(&w->metadata, (const char *)&f, 4);
    else
        sc_str_append(&w->metadata, (const char *)&value, 8);
    return put_end(w);
}

sc_status sc_gguf_writer_str(sc_gguf_writer *w, const char *key, const char *value)
{
    if (!value) return sc_fail(SC_EINVAL, "sc_gguf_writer_str: NULL argument");
    return sc_gguf_writer_text(w, key, value, (int64_t)strlen(value));
}

sc_status sc_gguf_writer_text(sc_gguf_writer *w, const char *key, const char *p, int64_t n)
{
    if (n < 0 || (n && !p)) return sc_fail(SC_EINVAL, "sc_gguf_writer_text: wrong argument");
    sc_status e = put_key(w, key, SC_GGUF_STRING);
    if (e) return e;
    put_text(&w->metadata, p, n);
    return put_end(w);
}

sc_status sc_gguf_writer_array(sc_gguf_writer *w, const char *key, sc_gguf_type element, const void *data,
                               int64_t count)
{
    int64_t bytes;
    if (!sc_gguf_type_bytes(element) || count < 0 || (count && !data) ||
        !sc_mul_ok(count, sc_gguf_type_bytes(element), &bytes))
        return sc_fail(SC_EINVAL, "key '%.200s': no array of %lld elements of type %s", key ? key : "",
                       (long long)count, sc_gguf_type_name(element));
    sc_status e = put_key(w, key, SC_GGUF_ARRAY);
    if (e) return e;
    put_u32(&w->metadata, element);
    put_u64(&w->metadata, (uint64_t)count);
    sc_str_append(&w->metadata, data, bytes);
    return put_end(w);
}

sc_status sc_gguf_writer_strings(sc_gguf_writer *w, const char *key, const sc_gguf_text *text, int64_t count)
{
    if (count < 0 || (count && !text)) return sc_fail(SC_EINVAL, "sc_gguf_writer_strings: wrong argument");
    sc_status e = put_key(w, key, SC_GGUF_ARRAY);
    if (e) return e;
    put_u32(&w->metadata, SC_GGUF_STRING);
    put_u64(&w->metadata, (uint64_t)count);
    for (int64_t i = 0; i < count; i++) put_text(&w->metadata, text[i].p, text[i].n);
    return put_end(w);
}

sc_status sc_gguf_writer_copy(sc_gguf_writer *w, const sc_gguf_value *value)
{
    if (!value) return sc_fail(SC_EINVAL, "sc_gguf_writer_copy: NULL argument");
    sc_status e = put_key(w, value->key, value->type);
    if (e) return e;
    if (value->type == SC_GGUF_ARRAY) {
        put_u32(&w->metadata, value->element);
        put_u64(&w->metadata, (uint64_t)value->count);
    }
    sc_str_append(&w->metadata, value->data, value->bytes);
    return put_end(w);
}

/* ---- tensors ---- */

sc_status sc_gguf_writer_tensor(sc_gguf_writer *w, const char *name, sc_dtype dtype, int rank, const int64_t *dim,
                                const void *data)
{
    if (!w || !name || (rank > 0 && !dim)) return sc_fail(SC_EINVAL, "sc_gguf_writer_tensor: NULL argument");
    if (w->begun) return sc_fail(SC_EINVAL, "%s: tensor '%.200s' declared after the first bytes", w->path, name);
    const sc_dtype_info *d = sc_dtype_get(dtype);
    if (!d || d->gguf < 0)
        return sc_fail(SC_EUNSUPPORTED, "%s: tensor '%.200s': GGUF has no type %s", w->path, name,
                       d ? d->name : "of this number");
    size_t length = strlen(name);
    if (length > 65535 || !sc_utf8_valid(name, (int64_t)length))
        return sc_fail(SC_EINVAL, "%s: tensor name '%.200s' is over 65535 bytes or not UTF-8", w->path, name);
    if (rank < 0 || rank > RANK_MAX)
        return sc_fail(SC_ELIMIT, "%s: tensor '%.200s': rank %d, GGUF's limit is %d", w->path, name, rank,
                       RANK_MAX);
    if (w->tensors == SC_MAX_FILE_TENSORS)
        return sc_fail(SC_ELIMIT, "%s: more than %d tensors", w->path, SC_MAX_FILE_TENSORS);
    int64_t n, row = rank ? dim[rank - 1] : 1;
    sc_status e = sc_shape_count(&n, rank, dim);
    if (e) return sc_fail_in(e, "%s: tensor '%.200s'", w->path, name);
    if (row % d->block)
        return sc_fail(SC_ESHAPE, "%s: tensor '%.200s': rows of %lld values are no multiple of %s's blocks of %lld",
                       w->path, name, (long long)row, d->name, (long long)d->block);
    int64_t bytes = sc_dtype_size(dtype, n);
    if (bytes < 0) return sc_fail(SC_ELIMIT, "%s: tensor '%.200s' exceeds 2^63 bytes", w->path, name);
    struct declared x = {.name = sc_arena_strndup(w->arena, name, length), .dtype = dtype, .rank = rank};
    for (int i = 0; i < rank; i++) x.dim[i] = dim[i];
    if (!x.name || !sc_grow(&w->tensor, &w->tensors_cap, w->tensors + 1, sizeof *w->tensor)) return sc_nomem();
    if ((e = sc_stream_add(&w->stream, w->tensors, data, bytes))) return e;
    w->tensor[w->tensors++] = x;
    return SC_OK;
}

static int compare_text(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static sc_status check_unique(const sc_gguf_writer *w, const char *what, const char **names, int64_t n)
{
    if (n) qsort(names, (size_t)n, sizeof *names, compare_text);
    for (int64_t i = 1; i < n; i++)
        if (!strcmp(names[i - 1], names[i]))
            return sc_fail(SC_EINVAL, "%s: %s '%.200s' is given twice", w->path, what, names[i]);
    return SC_OK;
}

static sc_status check_names(sc_gguf_writer *w)
{
    sc_status e = check_unique(w, "key", w->key, w->keys); /* their order in the file is already written down */
    if (e) return e;
    const char **names = sc_malloc((size_t)w->tensors * sizeof *names);
    if (!names) return sc_nomem();
    for (int64_t i = 0; i < w->tensors; i++) names[i] = w->tensor[i].name;
    e = check_unique(w, "tensor", names, w->tensors);
    sc_free(names);
    return e;
}

static sc_status put_head(sc_gguf_writer *w)
{
    sc_str head = {0}, table = {0};
    sc_str_puts(&head, "GGUF");
    put_u32(&head, 3);
    put_u64(&head, (uint64_t)w->tensors);
    put_u64(&head, (uint64_t)w->keys);
    for (int64_t i = 0; i < w->tensors; i++) {
        const struct declared *t = &w->tensor[i];
        put_text(&table, t->name, (int64_t)strlen(t->name));
        put_u32(&table, (uint32_t)t->rank);
        for (int j = t->rank - 1; j >= 0; j--) put_u64(&table, (uint64_t)t->dim[j]);
        put_u32(&table, (uint32_t)sc_dtype_get(t->dtype)->gguf);
        put_u64(&table, (uint64_t)w->stream.item[i].offset);
    }
    int64_t size = head.len + w->metadata.len + table.len;
    w->stream.base = (size + ALIGN - 1) / ALIGN * ALIGN;
    for (; size < w->stream.base; size++) sc_str_putc(&table, 0);
    sc_status e = head.oom || table.oom || w->metadata.oom ? sc_nomem() : SC_OK;
    if (!e) e = sc_writer_write(w->stream.file, head.p, head.len);
    if (!e && w->metadata.len) e = sc_writer_write(w->stream.file, w->metadata.p, w->metadata.len);
    if (!e && table.len) e = sc_writer_write(w->stream.file, table.p, table.len);
    sc_str_free(&head);
    sc_str_free(&table);
    return e;
}

static sc_status begin(sc_gguf_writer *w)
{
    int64_t total;
    sc_status e;
    if (w->begun) return SC_OK;
    w->begun = true;
    if ((e = check_names(w)) || (e = sc_stream_layout(&w->stream, ALIGN, &total)) || (e = put_head(w)))
        w->stream.failed = true;
    return e;
}

sc_status sc_gguf_writer_next(sc_gguf_writer *w, int64_t *i)
{
    if (!w || !i) return sc_fail(SC_EINVAL, "sc_gguf_writer_next: NULL argument");
    sc_status e = begin(w);
    return e ? e : sc_stream_next(&w->stream, i);
}

sc_status sc_gguf_writer_write(sc_gguf_writer *w, const void *data, int64_t bytes)
{
    if (!w || (bytes && !data)) return sc_fail(SC_EINVAL, "sc_gguf_writer_write: NULL argument");
    if (!w->begun) return sc_fail(SC_EINVAL, "%s: bytes before the first tensor was asked for", w->path);
    return sc_stream_write(&w->stream, data, bytes);
}

sc_status sc_gguf_writer_finish(sc_gguf_writer *w)
{
    if (!w) return sc_fail(SC_EINVAL, "sc_gguf_writer_finish: NULL argument");
    sc_status e = begin(w);
    if (e) return e;
    e = sc_stream_commit(&w->stream);
    return e == SC_EINVAL ? sc_fail_in(e, "%s", w->path) : e; /* others name it already */
}
