/* SPDX-License-Identifier: Apache-2.0 */
/* The data section of a weight file being written: items in a fixed order, some borrowed, some streamed. */
#include "io/io.h"

sc_status sc_shape_count(int64_t *out, int rank, const int64_t *dim)
{
    if (rank < 0 || rank > SC_MAX_RANK) return sc_fail(SC_ELIMIT, "rank %d, the limit is %d", rank, SC_MAX_RANK);
    int64_t n = 1;
    bool zero = false;
    for (int i = 0; i < rank; i++) {
        if (dim[i] < 0) return sc_fail(SC_EFORMAT, "dimension %d is negative or over 2^63", i);
        /* Dimensions beside a zero must multiply within 2^63 as well: strides are made of them. */
        if (dim[i] == 0)
            zero = true;
        else if (!sc_mul_ok(n, dim[i], &n))
            return sc_fail(SC_ELIMIT, "more than 2^63 elements");
    }
    *out = zero ? 0 : n;
    return SC_OK;
}

sc_status sc_stream_add(sc_stream *s, int64_t id, const void *data, int64_t bytes)
{
    if (!sc_grow(&s->item, &s->cap, s->count + 1, sizeof *s->item)) return sc_nomem();
    s->item[s->count++] = (struct sc_stream_item){.data = data, .bytes = bytes, .id = id};
    return SC_OK;
}

sc_status sc_stream_layout(sc_stream *s, int64_t align, int64_t *total)
{
    int64_t at = 0;
    for (int64_t i = 0; i < s->count; i++) {
        if (!sc_add_ok(at, align - 1, &at)) return sc_fail(SC_ELIMIT, "the tensors exceed 2^63 bytes");
        at -= at % align;
        s->item[i].offset = at;
        if (!sc_add_ok(at, s->item[i].bytes, &at)) return sc_fail(SC_ELIMIT, "the tensors exceed 2^63 bytes");
    }
    *total = at;
    return SC_OK;
}

static sc_status put(sc_stream *s, const void *data, int64_t bytes)
{
    sc_status e = sc_writer_write(s->file, data, bytes);
    if (e) s->failed = true; /* what follows would be at the wrong place */
    return e;
}

static sc_status pad_to(sc_stream *s, int64_t offset)
{
    static const char zeros[256];
    for (;;) {
        int64_t gap = s->base + offset - sc_writer_tell(s->file);
        if (gap <= 0) return SC_OK;
        sc_status e = put(s, zeros, SC_MIN(gap, (int64_t)sizeof zeros));
        if (e) return e;
    }
}

sc_status sc_stream_next(sc_stream *s, int64_t *id)
{
    if (s->failed) return sc_fail(SC_EIO, "an earlier write to this file failed");
    for (; s->at < s->count; s->at++, s->written = 0) {
        const struct sc_stream_item *t = &s->item[s->at];
        sc_status e = pad_to(s, t->offset);
        if (e) return e;
        if (s->written == t->bytes) continue;
        if (!t->data) {
            if (s->written)
                return sc_fail(SC_EINVAL, "tensor %lld has only %lld of its %lld bytes", (long long)t->id,
                               (long long)s->written, (long long)t->bytes);
            *id = t->id;
            return SC_OK;
        }
        if ((e = put(s, t->data, t->bytes))) return e;
    }
    *id = -1;
    return SC_OK;
}

sc_status sc_stream_write(sc_stream *s, const void *data, int64_t bytes)
{
    if (s->failed) return sc_fail(SC_EIO, "an earlier write to this file failed");
    if (s->at >= s->count || s->item[s->at].data || sc_writer_tell(s->file) < s->base + s->item[s->at].offset)
        return sc_fail(SC_EINVAL, "no tensor is being streamed");
    const struct sc_stream_item *t = &s->item[s->at];
    if (bytes < 0 || bytes > t->bytes - s->written)
        return sc_fail(SC_EINVAL, "tensor %lld has %lld bytes, more were given", (long long)t->id,
                       (long long)t->bytes);
    sc_status e = put(s, data, bytes);
    if (!e) s->written += bytes;
    return e;
}

sc_status sc_stream_commit(sc_stream *s)
{
    int64_t id;
    sc_status e = sc_stream_next(s, &id);
    if (e) return e;
    if (id >= 0) return sc_fail(SC_EINVAL, "tensor %lld was not written", (long long)id);
    return sc_writer_commit(s->file);
}

void sc_stream_free(sc_stream *s)
{
    sc_writer_close(s->file);
    sc_free(s->item);
    *s = (sc_stream){0};
}
