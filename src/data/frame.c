/* SPDX-License-Identifier: Apache-2.0 */
/* Documents on disk between passes: numbers, then texts, each with its length. Little-endian, of this version alone. */
#include "data/run.h"

static void put_number(sc_str *out, int64_t x)
{
    uint64_t u = (uint64_t)x << 1 ^ (uint64_t)(x >> 63);
    for (; u >= 128; u >>= 7) sc_str_putc(out, (char)(u | 128));
    sc_str_putc(out, (char)u);
}

static void put_text(sc_str *out, const char *p, int64_t n)
{
    put_number(out, n);
    if (n) sc_str_append(out, p, n);
}

void sc_frame_put(sc_str *out, const sc_document *d)
{
    int64_t begin = out->len;
    uint32_t n = 0;
    sc_str_append(out, (const char *)&n, sizeof n);
    put_number(out, d->source);
    put_number(out, d->file);
    put_number(out, d->record);
    put_number(out, d->place);
    put_number(out, d->markup);
    put_number(out, d->copies);
    put_text(out, d->language, (int64_t)strlen(d->language));
    put_text(out, d->domain, (int64_t)strlen(d->domain));
    put_text(out, d->url.p, d->url.len);
    put_text(out, d->id.p, d->id.len);
    put_text(out, d->charset.p, d->charset.len);
    put_text(out, d->text.p, d->text.len);
    put_number(out, d->n_scores);
    for (int i = 0; i < d->n_scores; i++) {
        put_text(out, d->score[i].name, (int64_t)strlen(d->score[i].name));
        sc_str_append(out, (const char *)&d->score[i].value, sizeof d->score[i].value);
    }
    put_number(out, d->n_ids);
    if (d->n_ids) sc_str_append(out, (const char *)d->ids, d->n_ids * (int64_t)sizeof *d->ids);
    if (out->oom) return;
    n = (uint32_t)(out->len - begin - (int64_t)sizeof n);
    memcpy(out->p + begin, &n, sizeof n);
}

typedef struct bytes {
    const char *p, *end;
    bool bad;
} bytes;

static int64_t get_number(bytes *b)
{
    uint64_t u = 0;
    for (int shift = 0; b->p < b->end && shift < 64; shift += 7) {
        unsigned char c = (unsigned char)*b->p++;
        u |= (uint64_t)(c & 127) << shift;
        if (c < 128) return (int64_t)(u >> 1 ^ -(u & 1));
    }
    b->bad = true;
    return 0;
}

static const char *get_bytes(bytes *b, int64_t n)
{
    if (n < 0 || n > b->end - b->p) {
        b->bad = true;
        return NULL;
    }
    b->p += n;
    return b->p - n;
}

static void get_text(bytes *b, sc_str *to)
{
    int64_t n = get_number(b);
    const char *p = get_bytes(b, n);
    if (p && n) sc_str_append(to, p, n);
}

static void get_label(bytes *b, char *to, size_t size)
{
    int64_t n = get_number(b);
    const char *p = get_bytes(b, n);
    if (!p || n >= (int64_t)size)
        b->bad = true;
    else
        memcpy(to, p, (size_t)n), to[n] = 0;
}

static sc_status get_ids(bytes *b, sc_document *d)
{
    int64_t n = get_number(b), size;
    const char *p = n >= 0 && sc_mul_ok(n, (int64_t)sizeof *d->ids, &size) ? get_bytes(b, size) : NULL;
    if (!p) {
        b->bad = true;
        return SC_OK;
    }
    if (n && !sc_grow(&d->ids, &d->cap_ids, n, sizeof *d->ids)) return sc_nomem();
    if (n) memcpy(d->ids, p, (size_t)n * sizeof *d->ids);
    d->n_ids = n;
    return SC_OK;
}

sc_status sc_frame_get(sc_document *d, const char *p, int64_t n)
{
    bytes b = {p, p + n, false};
    d->source = (int32_t)get_number(&b);
    d->file = (int32_t)get_number(&b);
    d->record = get_number(&b);
    d->place = get_number(&b);
    d->markup = (sc_markup)get_number(&b);
    d->copies = get_number(&b);
    get_label(&b, d->language, sizeof d->language);
    get_label(&b, d->domain, sizeof d->domain);
    get_text(&b, &d->url);
    get_text(&b, &d->id);
    get_text(&b, &d->charset);
    get_text(&b, &d->text);
    int64_t scores = get_number(&b);
    if (scores < 0 || scores > SC_DOCUMENT_SCORES) b.bad = true;
    for (int64_t i = 0; !b.bad && i < scores; i++) {
        get_label(&b, d->score[i].name, sizeof d->score[i].name);
        const char *value = get_bytes(&b, sizeof d->score[i].value);
        if (value) memcpy(&d->score[i].value, value, sizeof d->score[i].value);
        d->n_scores = (int32_t)i + 1;
    }
    sc_status s = get_ids(&b, d);
    if (s || sc_document_oom(d)) return sc_nomem();
    return b.bad || b.p != b.end ? sc_fail(SC_EFORMAT, "a document is damaged") : SC_OK;
}
