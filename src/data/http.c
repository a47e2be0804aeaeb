/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP responses as archives have them (RFC 9110, RFC 9112). */
#include "data/source.h"

#include <stdlib.h>
#include <strings.h>
#include <zlib.h>

enum { CHUNK = 1 << 16, RATIO = 1000, FREE = 16 << 20 };

void sc_http_free(sc_http *h)
{
    sc_str_free(&h->type);
    sc_str_free(&h->charset);
    sc_str_free(&h->encoding);
    sc_str_free(&h->transfer);
    sc_str_free(&h->decoded);
    sc_str_free(&h->other);
}

static void set_lower(sc_str *s, const char *p, int64_t n)
{
    s->len = 0;
    for (int64_t i = 0; i < n; i++) sc_str_putc(s, p[i] >= 'A' && p[i] <= 'Z' ? (char)(p[i] + 32) : p[i]);
}

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

void sc_http_content_type(const char *p, int64_t n, sc_str *type, sc_str *charset)
{
    int64_t k = 0, end;
    while (k < n && p[k] != ';') k++;
    for (end = k; end && is_space(p[end - 1]);) end--;
    set_lower(type, p, end);
    charset->len = 0;
    for (int64_t i = k; i + 8 < n; i++) {
        if (strncasecmp(p + i, "charset=", 8) != 0) continue;
        int64_t from = i + 8;
        while (from < n && (p[from] == '"' || p[from] == '\'' || is_space(p[from]))) from++;
        for (end = from; end < n && p[end] != ';' && p[end] != '"' && p[end] != '\'' && !is_space(p[end]);) end++;
        set_lower(charset, p + from, SC_MIN(end - from, 40));
        break;
    }
}

/* The body's chunks together; false: it has none that are right from the first on. What is cut off is taken as far as it goes. */
static bool unchunk(sc_str *out, const char *p, int64_t n)
{
    out->len = 0;
    for (int64_t i = 0, chunks = 0;; chunks++) {
        int64_t size = 0, digits = 0;
        for (; i < n && digits < 9; i++, digits++) {
            int c = p[i] | 32, d = p[i] >= '0' && p[i] <= '9' ? p[i] - '0'
                                   : c >= 'a' && c <= 'f'     ? c - 'a' + 10
                                                              : -1;
            if (d < 0) break;
            size = size * 16 + d;
        }
        const char *nl = i < n ? memchr(p + i, '\n', (size_t)(n - i)) : NULL;
        if (!digits || digits > 8 || !nl || (p[i] != '\r' && p[i] != '\n' && p[i] != ';' && p[i] != ' '))
            return chunks > 0;
        if (!size) return true;
        i = nl + 1 - p;
        int64_t take = SC_MIN(size, n - i);
        sc_str_append(out, p + i, take);
        i += take;
        if (i < n && p[i] == '\r') i++;
        if (i < n && p[i] == '\n') i++;
        if (i >= n) return true;
    }
}

typedef struct memory {
    const char *p;
    int64_t n;
} memory;

static int64_t read_memory(void *user, void *p, int64_t n)
{
    memory *m = user;
    n = SC_MIN(n, m->n);
    memcpy(p, m->p, (size_t)n);
    m->p += n;
    m->n -= n;
    return n;
}

/* gzip or zstd: the reader of files sees which, and takes what is neither as it is. */
static sc_status unpack(sc_http *h, sc_str *out, const char *p, int64_t n, int64_t most)
{
    sc_bytes *b;
    memory m = {p, n};
    sc_bytes_source source = {.read = read_memory, .user = &m, .size = n};
    out->len = 0;
    sc_status s = sc_bytes_open_source(&b, "body", &source, NULL);
    if (s == SC_EUNSUPPORTED) h->fault = "encoding";
    if (s) return s == SC_EUNSUPPORTED ? SC_OK : s;
    char *buf = sc_malloc(CHUNK);
    if (!buf) s = sc_nomem();
    for (int64_t got = 1; !s && got && out->len <= most;) {
        s = sc_bytes_read(b, buf, CHUNK, &got, NULL);
        if (!s) sc_str_append(out, buf, got);
    }
    if (!s && sc_bytes_count(b).broken && !out->len) h->fault = "encoding_broken";
    sc_free(buf);
    sc_bytes_close(b);
    return s;
}

/* "deflate" is meant to be in zlib's frame (RFC 1950), and often has none. */
static sc_status inflate_body(sc_http *h, sc_str *out, const char *p, int64_t n, int64_t most)
{
    const unsigned char *u = (const unsigned char *)p;
    bool framed = n >= 2 && (u[0] & 15) == 8 && (u[0] * 256 + u[1]) % 31 == 0;
    z_stream z = {.next_in = (void *)(uintptr_t)p, .avail_in = (unsigned)SC_MIN(n, INT32_MAX)};
    out->len = 0;
    if (inflateInit2(&z, framed ? 15 : -15) != Z_OK) return sc_nomem();
    unsigned char *buf = sc_malloc(CHUNK);
    int r = buf ? Z_OK : Z_MEM_ERROR;
    while (r == Z_OK && out->len <= most && (out->len <= FREE || out->len / RATIO <= n)) {
        z.next_out = buf;
        z.avail_out = CHUNK;
        r = inflate(&z, Z_NO_FLUSH);
        sc_str_append(out, (char *)buf, CHUNK - z.avail_out);
    }
    inflateEnd(&z);
    sc_free(buf);
    if (r == Z_MEM_ERROR) return sc_nomem();
    if (r == Z_DATA_ERROR && !out->len) sc_str_append(out, p, n); /* it was none */
    if (r == Z_OK) h->fault = "too_large";
    return SC_OK;
}

static sc_status undo(sc_http *h, int64_t most)
{
    if (h->transfer.len && strstr(h->transfer.p, "chunked") && unchunk(&h->decoded, h->body, h->body_len)) {
        h->body = h->decoded.p ? h->decoded.p : "";
        h->body_len = h->decoded.len;
    }
    const char *e = h->encoding.len ? h->encoding.p : "identity";
    sc_status s = SC_OK;
    bool packed = strcmp(e, "gzip") == 0 || strcmp(e, "x-gzip") == 0 || strcmp(e, "zstd") == 0;
    if (packed)
        s = unpack(h, &h->other, h->body, h->body_len, most);
    else if (strcmp(e, "deflate") == 0)
        s = inflate_body(h, &h->other, h->body, h->body_len, most);
    else if (strcmp(e, "identity") != 0 && strcmp(e, "none") != 0 && strcmp(e, "utf-8") != 0)
        h->fault = "encoding";
    else
        return SC_OK;
    if (s || h->fault) return s;
    h->body = h->other.p ? h->other.p : "";
    h->body_len = h->other.len;
    return SC_OK;
}

static void header(sc_http *h, const char *line, int64_t n)
{
    const char *colon = memchr(line, ':', (size_t)n);
    if (!colon) return;
    int64_t name = colon - line, len = n - name - 1;
    const char *v = colon + 1;
    while (len && is_space(*v)) v++, len--;
    while (len && is_space(v[len - 1])) len--;
    if (name == 12 && strncasecmp(line, "content-type", 12) == 0)
        sc_http_content_type(v, len, &h->type, &h->charset);
    if (name == 16 && strncasecmp(line, "content-encoding", 16) == 0) set_lower(&h->encoding, v, len);
    if (name == 17 && strncasecmp(line, "transfer-encoding", 17) == 0) set_lower(&h->transfer, v, len);
}

sc_status sc_http_parse(sc_http *h, const char *p, int64_t n, int64_t most)
{
    h->type.len = h->charset.len = h->encoding.len = h->transfer.len = 0;
    h->status = 0;
    h->fault = NULL;
    h->body = p;
    h->body_len = n;
    if (n < 12 || memcmp(p, "HTTP/", 5) != 0) return SC_OK;
    const char *space = memchr(p, ' ', 12);
    if (!space || p + n - space < 4) return SC_OK;
    int status = 0;
    for (int i = 1; i <= 3; i++) {
        if (space[i] < '0' || space[i] > '9') return SC_OK;
        status = status * 10 + space[i] - '0';
    }
    int64_t i = 0;
    for (bool first = true;; first = false) {
        const char *nl = i < n ? memchr(p + i, '\n', (size_t)(n - i)) : NULL;
        if (!nl) return SC_OK; /* its head has no end */
        int64_t len = nl - p - i;
        if (len && p[i + len - 1] == '\r') len--;
        if (!first) header(h, p + i, len);
        i = nl + 1 - p;
        if (!len) break;
    }
    h->status = status;
    h->body = p + i;
    h->body_len = n - i;
    sc_status s = undo(h, most);
    bool oom =
        h->type.oom || h->charset.oom || h->encoding.oom || h->transfer.oom || h->decoded.oom || h->other.oom;
    if (!s && oom) s = sc_nomem();
    if (!s && h->body_len > most) h->fault = "too_large";
    return s;
}
