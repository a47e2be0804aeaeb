/* SPDX-License-Identifier: Apache-2.0 */
#include "train/objective.h"

/* A text is encoded in pieces of at most this, cut after a line's end: what encoding needs beside it is a multiple. */
enum { PIECE = 32 << 20 };

void sc_token_data_free(sc_token_data *d)
{
    sc_free(d->ids);
    *d = (sc_token_data){0};
}

static sc_status add_ids(sc_token_data *d, const int32_t *ids, int64_t n, const char *path, int64_t vocab)
{
    if (!sc_grow(&d->ids, &d->cap, d->n + n + 1, sizeof *d->ids)) return sc_nomem();
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] >= vocab)
            return sc_fail(SC_ELIMIT, "%s: the tokenizer gives id %d, the model has %lld tokens", path, ids[i],
                           (long long)vocab);
        d->ids[d->n++] = ids[i];
    }
    return SC_OK;
}

static sc_status add_document(sc_token_data *d, const sc_tokenizer *t, const char *text, int64_t len,
                              const char *path, int64_t vocab)
{
    int64_t at = 0;
    while (at < len) {
        int64_t end = SC_MIN(len, at + PIECE), n;
        int32_t *ids;
        for (int64_t i = end; end < len && i > at; i--)
            if (text[i - 1] == '\n') {
                end = i;
                break;
            }
        while (end < len && ((unsigned char)text[end] & 0xc0) == 0x80)
            end--; /* a line that long: between characters */
        sc_status s = sc_tokenizer_encode(t, text + at, end - at, 0, &ids, &n);
        if (s) return sc_fail_in(s, "%s", path);
        s = add_ids(d, ids, n, path, vocab);
        sc_free(ids);
        if (s) return s;
        at = end;
    }
    int32_t eos = sc_tokenizer_eos(t);
    d->documents++;
    return eos >= 0 ? add_ids(d, &eos, 1, path, vocab) : SC_OK;
}

static sc_status add_lines(sc_token_data *d, sc_context *ctx, const sc_tokenizer *t, const char *text, int64_t len,
                           const char *path, int64_t vocab)
{
    sc_status s = SC_OK;
    for (int64_t at = 0, line = 1; !s && at < len; line++) {
        const char *end = memchr(text + at, '\n', (size_t)(len - at));
        int64_t n = end ? end - (text + at) : len - at;
        if (n && text[at] != '\r') {
            char what[32];
            json_t *o = NULL;
            snprintf(what, sizeof what, "line %lld", (long long)line);
            s = sc_json_parse(&o, text + at, n, what);
            const json_t *v = s ? NULL : json_object_get(o, "text");
            if (!s && !json_is_string(v)) s = sc_fail(SC_EFORMAT, "line %lld has no \"text\"", (long long)line);
            s = s ? sc_fail_in(s, "%s", path)
                  : add_document(d, t, json_string_value(v), (int64_t)json_string_length(v), path, vocab);
            json_decref(o);
        }
        at += n + 1;
        sc_progress(ctx, "reading", SC_MIN(at, len), len);
    }
    return s;
}

sc_status sc_token_data_add(sc_token_data *d, sc_context *ctx, const sc_tokenizer *t, const char *path,
                            int64_t vocab)
{
    sc_buffer *file;
    sc_status s = sc_file_map(&file, path);
    if (s) return s;
    const char *text = file->data;
    int64_t len = file->size, before = d->n;
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) text += 3, len -= 3; /* a byte order mark */
    if (len && memchr(text, 0, (size_t)len))
        s = sc_fail(SC_EFORMAT, "%s is not text: it has bytes of 0", path);
    else if (!sc_utf8_valid(text, len))
        s = sc_fail(SC_EFORMAT, "%s is not UTF-8", path);
    else if (sc_path_has_suffix(path, ".jsonl"))
        s = add_lines(d, ctx, t, text, len, path, vocab);
    else if (len)
        s = add_document(d, t, text, len, path, vocab);
    if (!s && d->n == before) s = sc_fail(SC_EINVAL, "%s has no text", path);
    sc_buffer_unref(file);
    return s;
}
