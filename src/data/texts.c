/* SPDX-License-Identifier: Apache-2.0 */
/* Cleaned texts as JSON lines packed with zstd, a file a part. */
#include "data/run.h"

#include <stdlib.h>
#include <zstd.h>

enum { LEVEL = 3 };

struct sc_texts {
    const sc_run *run;
    sc_writer *file;
    ZSTD_CStream *zstd;
    char *out;
    size_t size;
};

sc_status sc_texts_open(sc_texts **out, const sc_run *r, int64_t part)
{
    sc_texts *t = sc_calloc(1, sizeof *t);
    char *dir = sc_out_path(r, "documents"),
         *path = sc_out_path(r, "documents/part-%06lld.jsonl.zst", (long long)part);
    sc_status s = t && dir && path ? sc_mkdirs(dir) : sc_nomem();
    if (!s) {
        t->run = r;
        t->size = ZSTD_CStreamOutSize();
        t->out = sc_malloc(t->size);
        t->zstd = ZSTD_createCStream();
        s = t->out && t->zstd && !ZSTD_isError(ZSTD_initCStream(t->zstd, LEVEL)) ? SC_OK : sc_nomem();
    }
    if (!s) s = sc_writer_open(&t->file, path);
    sc_free(dir);
    sc_free(path);
    if (s)
        sc_texts_close(t);
    else
        *out = t;
    return s;
}

static sc_status pack(sc_texts *t, const char *p, int64_t n, ZSTD_EndDirective how)
{
    ZSTD_inBuffer in = {p, (size_t)n, 0};
    for (size_t rest = 1; in.pos < in.size || (how == ZSTD_e_end && rest);) {
        ZSTD_outBuffer out = {t->out, t->size, 0};
        rest = ZSTD_compressStream2(t->zstd, &out, &in, how);
        if (ZSTD_isError(rest)) return sc_fail(SC_ENOMEM, "packing texts: %s", ZSTD_getErrorName(rest));
        sc_status s = out.pos ? sc_writer_write(t->file, t->out, (int64_t)out.pos) : SC_OK;
        if (s) return s;
    }
    return SC_OK;
}

static bool set_text(json_t *o, const char *key, const char *p, int64_t n)
{
    return n == 0 || json_object_set_new(o, key, json_stringn(p, (size_t)n)) == 0;
}

static json_t *object_of(const sc_run *r, const sc_document *d)
{
    json_t *o = json_object();
    bool whole = json_object_set_new(o, "text", json_stringn(d->text.p ? d->text.p : "", (size_t)d->text.len)) == 0;
    whole = whole && set_text(o, "url", d->url.p, d->url.len) && set_text(o, "id", d->id.p, d->id.len) &&
            set_text(o, "language", d->language, (int64_t)strlen(d->language)) &&
            set_text(o, "domain", d->domain, (int64_t)strlen(d->domain));
    for (int i = 0; whole && i < d->n_scores; i++)
        whole = json_object_set_new(o, d->score[i].name, json_real(d->score[i].value)) == 0;
    whole = whole && !json_object_set_new(o, "source", json_string(r->config.source[d->source].name)) &&
            !json_object_set_new(o, "file", json_string(r->plan.file[d->file].path)) &&
            !json_object_set_new(o, "place", json_integer(d->place));
    if (whole) return o;
    json_decref(o);
    return NULL;
}

sc_status sc_texts_add(sc_texts *t, const sc_document *d)
{
    if (!sc_utf8_valid(d->text.p ? d->text.p : "", d->text.len))
        return sc_fail(SC_EFORMAT, "%s: a text is not UTF-8: the stage unicode is needed",
                       t->run->plan.file[d->file].path);
    json_t *o = object_of(t->run, d);
    char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;
    sc_status s = line ? SC_OK : sc_nomem();
    for (int64_t i = 0; !s && i <= d->copies; i++) {
        s = pack(t, line, (int64_t)strlen(line), ZSTD_e_continue);
        if (!s) s = pack(t, "\n", 1, ZSTD_e_continue);
    }
    free(line);
    json_decref(o);
    return s;
}

sc_status sc_texts_commit(sc_texts *t)
{
    sc_status s = pack(t, NULL, 0, ZSTD_e_end);
    return s ? s : sc_writer_commit(t->file);
}

void sc_texts_close(sc_texts *t)
{
    if (!t) return;
    sc_writer_close(t->file);
    ZSTD_freeCStream(t->zstd);
    sc_free(t->out);
    sc_free(t);
}
