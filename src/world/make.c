/* SPDX-License-Identifier: Apache-2.0 */
/* Corpora as files. */
#include "world/world.h"

enum { PROGRESS_EVERY = 256 };

static bool is_warc(const char *path, bool *gz)
{
    *gz = sc_path_has_suffix(path, ".warc.gz");
    return *gz || sc_path_has_suffix(path, ".warc");
}

static sc_status put(sc_writer *w, const char *path, const sc_world_item *item, int64_t number)
{
    bool gz;
    if (is_warc(path, &gz)) return sc_warc_put(w, gz, number, item->url, item->text);
    if (sc_path_has_suffix(path, ".jsonl")) {
        sc_status s = sc_writer_write(w, item->json, (int64_t)strlen(item->json));
        return s ? s : sc_writer_write(w, "\n", 1);
    }
    sc_status s = number == 0 ? SC_OK : sc_writer_write(w, "\n", 1);
    return s ? s : sc_writer_write(w, item->text, (int64_t)strlen(item->text));
}

static sc_status put_all(sc_context *ctx, sc_world_stream *s, sc_writer *w, const char *path, int64_t size,
                         int64_t count, sc_world_made *made)
{
    sc_world_item item;
    for (; (!size || sc_writer_tell(w) < size) && (!count || made->items < count); made->items++) {
        sc_status status =
            sc_context_cancelled(ctx) ? sc_fail(SC_ECANCELLED, "cancelled") : sc_world_next(s, &item);
        if (!status) status = put(w, path, &item, made->items);
        if (status) return status;
        if (made->items % PROGRESS_EVERY == 0)
            sc_progress(ctx, "making", size ? sc_writer_tell(w) : made->items, size ? size : count);
    }
    made->bytes = sc_writer_tell(w);
    return SC_OK;
}

sc_status sc_world_make(sc_context *ctx, const sc_world_options *options, const char *path, int64_t size,
                        int64_t count, sc_world_made *made)
{
    if (size < 0 || count < 0 || (size == 0 && count == 0))
        return sc_fail(SC_EINVAL, "how much to make: a size or a count above 0");
    bool gz;
    if (is_warc(path, &gz) && options->kind && strcmp(options->kind, "crawl") != 0)
        return sc_fail(SC_EINVAL, "%s: WARC files are made of kind crawl, not of %s", path, options->kind);
    sc_world_made done = {0};
    sc_world_stream *s;
    sc_writer *w = NULL;
    sc_status status = sc_world_open(&s, options);
    if (status) return status;
    status = sc_writer_open(&w, path);
    if (!status && is_warc(path, &gz)) status = sc_warc_begin(w, gz);
    if (!status) status = put_all(ctx, s, w, path, size, count, &done);
    if (!status) status = sc_writer_commit(w);
    sc_writer_close(w);
    sc_world_free(s);
    if (!status && made) *made = done;
    return status;
}
