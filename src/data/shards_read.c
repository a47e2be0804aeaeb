/* SPDX-License-Identifier: Apache-2.0 */
/* Shards as one row of tokens, mapped. */
#include "data/shards.h"
#include "socle/data.h"

#include <stddef.h>

enum { INDEX_MAX = 64 << 20, MOST = 100000 };

typedef struct one {
    char *path;
    sc_buffer *file;
    sc_shard_header h;
    const char *tokens;
    const int64_t *end;
    const int32_t *source;
    int64_t first_token, first_document;
} one;

struct sc_data_shards {
    one *shard;
    int64_t n;
    sc_data_shards_info info;
};

static sc_status damaged(const char *path, const char *what) { return sc_fail(SC_EFORMAT, "%s: %s", path, what); }

static sc_status check_header(const sc_shard_header *h, const char *path, int64_t size)
{
    int64_t tokens, ends, sources, total = (int64_t)sizeof *h;
    if (memcmp(h->magic, SC_SHARD_MAGIC, sizeof h->magic) != 0) return damaged(path, "is no shard");
    if (h->version != SC_SHARD_VERSION)
        return sc_fail(SC_EUNSUPPORTED, "%s: a shard of version %u, this reads %d", path, h->version,
                       SC_SHARD_VERSION);
    if (sc_crc32c(0, h, (int64_t)offsetof(sc_shard_header, header_crc)) != h->header_crc)
        return damaged(path, "the header's checksum is wrong");
    if ((h->token_bytes != 2 && h->token_bytes != 4) || h->tokens < 0 || h->documents < 0 || h->sequence < 0)
        return damaged(path, "the header makes no sense");
    if (!sc_mul_ok(h->tokens, h->token_bytes, &tokens) || !sc_mul_ok(h->documents, 8, &ends) ||
        !sc_mul_ok(h->documents, 4, &sources) || tokens > INT64_MAX - 8 || sources > INT64_MAX - 8 ||
        !sc_add_ok(total, sc_shard_padded(tokens), &total) || !sc_add_ok(total, ends, &total) ||
        !sc_add_ok(total, sc_shard_padded(sources), &total) || total != size)
        return sc_fail(SC_EFORMAT, "%s has %lld bytes, its header says otherwise", path, (long long)size);
    return SC_OK;
}

/* Documents in their order, and ids that the vocabulary has: what reads them later relies on it. */
static sc_status check_tables(const one *x)
{
    int64_t before = 0;
    for (int64_t i = 0; i < x->h.documents; i++) {
        if (x->end[i] <= before || x->end[i] > x->h.tokens)
            return damaged(x->path, "documents' ends make no sense");
        before = x->end[i];
    }
    return before == x->h.tokens ? SC_OK : damaged(x->path, "documents' ends make no sense");
}

static sc_status open_one(one *x, const char *path)
{
    if (!(x->path = sc_strdup(path))) return sc_nomem();
    sc_status s = sc_file_map(&x->file, path);
    if (s) return s;
    if (x->file->size < (int64_t)sizeof x->h) return damaged(path, "is no shard");
    memcpy(&x->h, x->file->data, sizeof x->h);
    if ((s = check_header(&x->h, path, x->file->size))) return s;
    x->tokens = (const char *)x->file->data + sizeof x->h;
    x->end = (const int64_t *)(x->tokens + sc_shard_padded(x->h.tokens * x->h.token_bytes));
    x->source = (const int32_t *)(x->end + x->h.documents);
    return check_tables(x);
}

/* The index's list, or the file itself. */
static sc_status list_of(const char *path, json_t **index, char **dir)
{
    sc_str s = {0};
    bool is_dir = sc_path_is_dir(path);
    sc_str_puts(&s, path);
    if (is_dir) sc_str_puts(&s, "/index.json");
    char *file = sc_str_take(&s, NULL);
    sc_status e = file ? SC_OK : sc_nomem();
    if (!e && !is_dir && !sc_path_has_suffix(path, ".json")) {
        *index = json_pack("{s:[{s:s}]}", "shards", "file", sc_path_base(path));
        e = *index ? SC_OK : sc_nomem();
    } else if (!e) {
        e = sc_json_read(index, file, INDEX_MAX);
    }
    const json_t *list = e ? NULL : json_object_get(*index, "shards");
    if (!e && (!json_is_array(list) || !json_array_size(list) || json_array_size(list) > MOST))
        e = sc_fail(SC_EFORMAT, "%s lists no shards", file);
    if (!e && !(*dir = sc_strndup(file, (size_t)(sc_path_base(file) - file)))) e = sc_nomem();
    sc_free(file);
    return e;
}

static sc_status take_in(sc_data_shards *s, one *x)
{
    sc_data_shards_info *f = &s->info;
    const sc_shard_header *h = &x->h, *first = &s->shard[0].h;
    if (h->tokenizer != first->tokenizer || h->vocab != first->vocab || h->eos != first->eos ||
        h->sequence != first->sequence)
        return sc_fail(SC_EFORMAT, "%s is of another tokenizer or kind than %s", x->path, s->shard[0].path);
    x->first_token = f->tokens;
    x->first_document = f->documents;
    f->tokens += h->tokens;
    f->documents += h->documents;
    f->bytes += x->file->size;
    f->shards++;
    f->token_bytes = (int)h->token_bytes;
    f->vocab = h->vocab;
    f->eos = h->eos;
    f->sequence = h->sequence;
    f->tokenizer = h->tokenizer;
    return SC_OK;
}

sc_status sc_data_shards_open(sc_data_shards **out, const char *path)
{
    sc_data_shards *s = sc_calloc(1, sizeof *s);
    json_t *index = NULL;
    char *dir = NULL;
    sc_status e = s ? list_of(path, &index, &dir) : sc_nomem();
    const json_t *list = json_object_get(index, "shards");
    int64_t n = (int64_t)json_array_size(list);
    if (!e && !(s->shard = sc_calloc((size_t)n, sizeof *s->shard))) e = sc_nomem();
    for (int64_t i = 0; !e && i < n; i++) {
        const char *name = json_string_value(json_object_get(json_array_get(list, (size_t)i), "file"));
        /* A list may not lead out of its folder. */
        if (!name || strchr(name, '/') || name[0] == '.' || !name[0]) {
            e = sc_fail(SC_EFORMAT, "%s names no file for shard %lld", path, (long long)i);
            break;
        }
        sc_str p = {0};
        sc_str_printf(&p, "%s%s", dir, name);
        char *file = sc_str_take(&p, NULL);
        s->n++;
        e = file ? open_one(&s->shard[i], file) : sc_nomem();
        if (!e) e = take_in(s, &s->shard[i]);
        sc_free(file);
    }
    json_decref(index);
    sc_free(dir);
    if (e)
        sc_data_shards_free(s);
    else
        *out = s;
    return e;
}

void sc_data_shards_free(sc_data_shards *s)
{
    if (!s) return;
    for (int64_t i = 0; s->shard && i < s->n; i++) {
        sc_buffer_unref(s->shard[i].file);
        sc_free(s->shard[i].path);
    }
    sc_free(s->shard);
    sc_free(s);
}

const sc_data_shards_info *sc_data_shards_get(const sc_data_shards *s) { return &s->info; }

const char *sc_data_shards_file(const sc_data_shards *s, int64_t i, int64_t *tokens, uint32_t *crc)
{
    if (i < 0 || i >= s->n) return NULL;
    if (tokens) *tokens = s->shard[i].h.tokens;
    if (crc) *crc = s->shard[i].h.crc;
    return s->shard[i].path;
}

static const one *with_token(const sc_data_shards *s, int64_t at)
{
    int64_t lo = 0, hi = s->n - 1;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo + 1) / 2;
        if (s->shard[mid].first_token <= at)
            lo = mid;
        else
            hi = mid - 1;
    }
    while (lo < s->n - 1 && s->shard[lo].first_token + s->shard[lo].h.tokens <= at) lo++;
    return &s->shard[lo];
}

void sc_data_shards_read(const sc_data_shards *s, int64_t at, int64_t n, int32_t *out)
{
    while (n > 0) {
        const one *x = with_token(s, at);
        int64_t from = at - x->first_token, k = SC_MIN(n, x->h.tokens - from);
        const uint16_t *narrow = (const uint16_t *)x->tokens + from;
        const uint32_t *wide = (const uint32_t *)x->tokens + from;
        for (int64_t i = 0; i < k; i++) {
            uint32_t id = x->h.token_bytes == 2 ? narrow[i] : wide[i];
            out[i] = id < x->h.vocab ? (int32_t)id : INT32_MAX;
        }
        at += k;
        out += k;
        n -= k;
    }
}

static const one *with_document(const sc_data_shards *s, int64_t i)
{
    int64_t lo = 0, hi = s->n - 1;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo + 1) / 2;
        if (s->shard[mid].first_document <= i)
            lo = mid;
        else
            hi = mid - 1;
    }
    while (lo < s->n - 1 && s->shard[lo].first_document + s->shard[lo].h.documents <= i) lo++;
    return &s->shard[lo];
}

int64_t sc_data_shards_end(const sc_data_shards *s, int64_t document)
{
    const one *x = with_document(s, document);
    return x->first_token + x->end[document - x->first_document];
}

int sc_data_shards_source(const sc_data_shards *s, int64_t document)
{
    const one *x = with_document(s, document);
    return x->source[document - x->first_document];
}

sc_status sc_data_shards_check(const sc_data_shards *s, sc_context *ctx)
{
    for (int64_t i = 0; i < s->n; i++) {
        const one *x = &s->shard[i];
        const char *p = x->tokens;
        uint32_t crc = 0;
        for (int64_t n = x->file->size - (int64_t)sizeof x->h, k; n > 0; n -= k, p += k) {
            k = SC_MIN(n, 16 << 20);
            crc = sc_crc32c(crc, p, k);
            sc_file_forget(x->file, p, k);
            if (ctx && sc_context_cancelled(ctx)) return sc_fail(SC_ECANCELLED, "stopped");
        }
        if (crc != x->h.crc) return damaged(x->path, "the checksum is wrong");
        for (int64_t k = 0; k < x->h.tokens; k++) {
            uint32_t id =
                x->h.token_bytes == 2 ? ((const uint16_t *)x->tokens)[k] : ((const uint32_t *)x->tokens)[k];
            if (id >= x->h.vocab)
                return sc_fail(SC_EFORMAT, "%s: token %lld is %u, the vocabulary has %u", x->path, (long long)k, id,
                               x->h.vocab);
        }
    }
    return SC_OK;
}
