/* SPDX-License-Identifier: Apache-2.0 */
#include "socle/data.h"
#include "train/objective.h"

/* A text is encoded in pieces of at most this, cut after a line's end: what encoding needs beside it is a multiple. */
enum { PIECE = 32 << 20 };

void sc_token_data_free(sc_token_data *d)
{
    sc_free(d->ids);
    sc_free(d->end);
    sc_free(d->source);
    sc_free(d->last);
    sc_data_shards_free(d->shards);
    sc_free(d->stops);
    sc_free(d->room);
    sc_free(d->room_last);
    *d = (sc_token_data){0};
}

typedef struct adding {
    sc_token_data *d;
    const sc_objective_setup *setup;
    int64_t vocab;
} adding;

static sc_status add_ids(const adding *a, const int32_t *ids, int64_t n)
{
    sc_token_data *d = a->d;
    if (!sc_grow(&d->ids, &d->cap, d->n + n + 1, sizeof *d->ids)) return sc_nomem();
    if (d->breaks && !sc_grow(&d->last, &d->cap_last, d->n + n + 1, sizeof *d->last)) return sc_nomem();
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] >= a->vocab)
            return sc_fail(SC_ELIMIT, "the tokenizer gives id %d, the model has %lld tokens", ids[i],
                           (long long)a->vocab);
        if (d->breaks) d->last[d->n] = false;
        d->ids[d->n++] = ids[i];
    }
    return SC_OK;
}

/* How many bytes at p a sentence's last character has; 0: it is none. */
static int64_t stop_at(const char *p, int64_t n)
{
    static const char *const stops[] = {".", "!", "?", "\n", "\xe3\x80\x82", "\xef\xbc\x81", "\xef\xbc\x9f"};
    for (int i = 0; i < SC_COUNT(stops); i++) {
        int64_t len = (int64_t)strlen(stops[i]);
        if (len > n || memcmp(p, stops[i], (size_t)len) != 0) continue;
        bool alone = len > 1 || *p == '\n' || len == n || p[len] == ' ' || p[len] == '\n' || p[len] == '\r';
        if (alone) return len;
    }
    return 0;
}

/* Marks the tokens that sentences end with; those of `spans` are the last n. */
static void mark_sentences(sc_token_data *d, const char *text, int64_t len, const sc_token_span *spans, int64_t n)
{
    int64_t token = 0, first = d->n - n;
    for (int64_t i = 0; i < len; i++) {
        int64_t stop = stop_at(text + i, len - i);
        if (!stop) continue;
        while (token < n && spans[token].end < i + stop) token++;
        if (token < n) d->last[first + token] = true;
        i += stop - 1;
    }
}

static sc_status add_piece(const adding *a, const char *text, int64_t len)
{
    sc_token_span *spans = NULL;
    int32_t *ids;
    int64_t n;
    const sc_tokenizer *t = a->setup->tokenizer;
    sc_status s = a->d->breaks ? sc_tokenizer_encode_spans(t, text, len, 0, &ids, &spans, &n)
                               : sc_tokenizer_encode(t, text, len, 0, &ids, &n);
    if (s) return s;
    s = add_ids(a, ids, n);
    if (!s && spans) mark_sentences(a->d, text, len, spans, n);
    sc_free(ids);
    sc_free(spans);
    return s;
}

static sc_status add_text(const adding *a, const char *text, int64_t len, const sc_record *from)
{
    sc_token_data *d = a->d;
    sc_status s = SC_OK;
    int64_t before = d->n;
    for (int64_t at = 0; !s && at < len;) {
        int64_t end = SC_MIN(len, at + PIECE);
        for (int64_t i = end; end < len && i > at; i--)
            if (text[i - 1] == '\n') {
                end = i;
                break;
            }
        while (end < len && ((unsigned char)text[end] & 0xc0) == 0x80)
            end--; /* a line that long: between characters */
        s = add_piece(a, text + at, end - at);
        at = end;
        if (len > PIECE) sc_progress(a->setup->ctx, "tokenizing", at, len);
    }
    int32_t eos = sc_tokenizer_eos(a->setup->tokenizer);
    if (!s && d->ends && eos >= 0) s = add_ids(a, &eos, 1);
    if (s || d->n == before) return s;
    if (!sc_grow(&d->end, &d->cap_documents, d->documents + 1, sizeof *d->end) ||
        !sc_grow(&d->source, &d->cap_sources, d->documents + 1, sizeof *d->source))
        return sc_nomem();
    d->source[d->documents] = (struct sc_document_source){from->path, from->line};
    d->end[d->documents++] = d->n;
    return SC_OK;
}

static sc_status add_record(void *user, const sc_record *r)
{
    const adding *a = user;
    sc_field text;
    sc_status s = sc_record_document(r, &text);
    if (s) return s;
    s = add_text(a, text.p, text.n, r);
    return s ? sc_fail_in(s, "%s", r->path) : SC_OK;
}

/* ---- shards ---- */

bool sc_is_shards(const char *path) { return sc_path_is_dir(path) || sc_path_has_suffix(path, ".bin"); }

/* Which tokens end with a sentence's last character. */
static sc_status find_stops(sc_token_data *d, const sc_tokenizer *t)
{
    d->vocab = sc_tokenizer_vocab_size(t);
    if (!(d->stops = sc_calloc((size_t)d->vocab, sizeof *d->stops))) return sc_nomem();
    for (int64_t i = 0; i < d->vocab; i++) {
        int32_t id = (int32_t)i;
        char *text;
        int64_t len;
        sc_status s = sc_tokenizer_decode(t, &id, 1, SC_DETOKENIZE_REPLACE_INVALID, &text, &len);
        if (s == SC_ENOMEM) return s;
        if (s) continue;
        for (int64_t k = SC_MAX(0, len - 3); k < len && !d->stops[i]; k++) {
            int64_t stop = stop_at(text + k, len - k);
            d->stops[i] = stop > 0 && k + stop == len;
        }
        sc_free(text);
    }
    return SC_OK;
}

static sc_status add_shards(sc_token_data *d, const sc_objective_setup *setup, const char *const *path, int n)
{
    if (n != 1) return sc_fail(SC_EINVAL, "%s: shards stand alone, without other data", path[0]);
    sc_status s = sc_data_shards_open(&d->shards, path[0]);
    if (s) return s;
    const sc_data_shards_info *f = sc_data_shards_get(d->shards);
    if (f->tokenizer != sc_data_fingerprint(setup->tokenizer))
        return sc_fail(SC_EINVAL, "%s was made with another tokenizer", path[0]);
    if (!f->tokens) return sc_fail(SC_EINVAL, "%s has no tokens", path[0]);
    d->path = path[0];
    d->n = f->tokens;
    d->documents = f->documents;
    d->eos = d->ends ? -1 : f->eos;
    return d->breaks ? find_stops(d, setup->tokenizer) : SC_OK;
}

sc_status sc_token_data_add(sc_token_data *d, const sc_objective_setup *setup, const char *const *path, int n,
                            int64_t vocab)
{
    adding a = {d, setup, vocab};
    sc_status s = SC_OK;
    for (int i = 0; i < n; i++)
        if (sc_is_shards(path[i])) return add_shards(d, setup, path, n);
    for (int i = 0; !s && i < n; i++) {
        int64_t before = d->n;
        s = sc_records_each(setup->ctx, path[i], setup->lines, add_record, &a);
        if (!s && d->n == before) s = sc_fail(SC_EINVAL, "%s has no text", path[i]);
    }
    return s;
}

int64_t sc_token_data_end(const sc_token_data *d, int64_t document)
{
    return d->shards ? sc_data_shards_end(d->shards, document) : d->end[document];
}

void sc_token_data_read(const sc_token_data *d, int64_t at, int64_t n, int32_t *to)
{
    if (d->shards)
        sc_data_shards_read(d->shards, at, n, to);
    else
        memcpy(to, d->ids + at, (size_t)n * sizeof *to);
}

sc_status sc_token_data_passage(sc_token_data *d, sc_stretch part, sc_passage *out)
{
    *out = (sc_passage){.n = part.n};
    if (!d->shards) {
        out->ids = d->ids + part.at;
        out->last = d->last ? d->last + part.at : NULL;
        return SC_OK;
    }
    if (!sc_grow(&d->room, &d->cap_room, part.n, sizeof *d->room) ||
        (d->stops && !sc_grow(&d->room_last, &d->cap_room_last, part.n, sizeof *d->room_last)))
        return sc_nomem();
    sc_data_shards_read(d->shards, part.at, part.n, d->room);
    for (int64_t i = 0; d->stops && i < part.n; i++)
        d->room_last[i] = d->room[i] < d->vocab && d->stops[d->room[i]];
    out->ids = d->room;
    out->last = d->stops ? d->room_last : NULL;
    return SC_OK;
}

/* Where a document's text ends, which is before the token that ends it where that is not asked for. */
static int64_t text_end(const sc_token_data *d, int64_t begin, int64_t end)
{
    int32_t last = -1;
    if (d->shards && d->eos >= 0 && end > begin) sc_data_shards_read(d->shards, end - 1, 1, &last);
    return end - (last >= 0 && last == d->eos);
}

sc_status sc_token_data_cut(const sc_token_data *d, int64_t most, sc_stretch **out, int64_t *n)
{
    sc_stretch *x = NULL;
    int64_t cap = 0, count = 0, at = 0;
    for (int64_t i = 0; i < d->documents; i++) {
        int64_t whole = sc_token_data_end(d, i), end = text_end(d, at, whole);
        for (; at < end; at += x[count++].n) {
            if (!sc_grow(&x, &cap, count + 1, sizeof *x)) {
                sc_free(x);
                return sc_nomem();
            }
            x[count] = (sc_stretch){at, SC_MIN(most, end - at)};
        }
        at = whole;
    }
    *out = x;
    *n = count;
    return SC_OK;
}

/* ---- where tokens come from ---- */

int64_t sc_token_data_document(const sc_token_data *d, int64_t at)
{
    int64_t lo = 0, hi = d->documents;
    while (lo < hi) {
        int64_t mid = lo + (hi - lo) / 2;
        if (sc_token_data_end(d, mid) > at)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

static void put_source(const sc_token_data *d, int64_t document, const char *path, sc_str *out)
{
    if (d->shards) {
        sc_str_printf(out, "%s document %lld ", sc_path_base(d->path), (long long)document);
        return;
    }
    const struct sc_document_source *s = &d->source[document];
    if (!path || strcmp(path, s->path) != 0) sc_str_printf(out, "%s ", sc_path_base(s->path));
    if (s->line) sc_str_printf(out, "line %lld ", (long long)s->line);
}

void sc_token_data_describe(const sc_token_data *d, int64_t at, int64_t n, sc_str *out)
{
    int64_t first = sc_token_data_document(d, at), last = sc_token_data_document(d, at + n - 1);
    int64_t from = first ? sc_token_data_end(d, first - 1) : 0, to = last ? sc_token_data_end(d, last - 1) : 0;
    put_source(d, first, NULL, out);
    if (first == last) {
        sc_str_printf(out, "tokens %lld-%lld", (long long)(at - from), (long long)(at + n - 1 - from));
        return;
    }
    sc_str_printf(out, "token %lld to ", (long long)(at - from));
    put_source(d, last, d->shards ? NULL : d->source[first].path, out);
    sc_str_printf(out, "token %lld", (long long)(at + n - 1 - to));
}
