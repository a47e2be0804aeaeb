/* SPDX-License-Identifier: Apache-2.0 */
/* A crawl as a WARC file (ISO 28500:2017): a record a page behind its HTTP headers; with .gz a gzip member a record, as
 * Common Crawl has them. */
#include "world/world.h"

#include <stdio.h>
#include <zlib.h>

static sc_status put_member(sc_writer *w, const char *p, int64_t n)
{
    z_stream z = {0};
    if (n > UINT32_MAX / 2 || deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return sc_nomem();
    uLong most = deflateBound(&z, (uLong)n) + 64;
    unsigned char *out = sc_malloc(most);
    if (!out) {
        deflateEnd(&z);
        return sc_nomem();
    }
    z.next_in = (Bytef *)p;
    z.avail_in = (uInt)n;
    z.next_out = out;
    z.avail_out = (uInt)most;
    int rc = deflate(&z, Z_FINISH);
    sc_status s = rc == Z_STREAM_END ? sc_writer_write(w, out, (int64_t)z.total_out)
                                     : sc_fail(SC_EIO, "zlib could not compress");
    deflateEnd(&z);
    sc_free(out);
    return s;
}

static sc_status put_record(sc_writer *w, bool gz, const char *type, const char *url, int64_t number,
                            const char *content_type, const sc_str *block)
{
    sc_str r = {0};
    sc_str_printf(&r, "WARC/1.0\r\nWARC-Type: %s\r\nWARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-%012llx>\r\n",
                  type, (unsigned long long)number);
    sc_str_puts(&r, "WARC-Date: 2025-01-01T00:00:00Z\r\n"); /* the same bits whenever it is made */
    if (url) sc_str_printf(&r, "WARC-Target-URI: %s\r\n", url);
    sc_str_printf(&r, "Content-Type: %s\r\nContent-Length: %lld\r\n\r\n", content_type, (long long)block->len);
    sc_str_append(&r, block->p, block->len);
    sc_str_puts(&r, "\r\n\r\n");
    sc_status s = r.oom || block->oom ? sc_nomem()
                  : gz                ? put_member(w, r.p, r.len)
                                      : sc_writer_write(w, r.p, r.len);
    sc_str_free(&r);
    return s;
}

sc_status sc_warc_begin(sc_writer *w, bool gz)
{
    sc_str block = {0};
    sc_str_puts(&block, "software: socle\r\nformat: WARC File Format 1.0\r\n");
    sc_status s = put_record(w, gz, "warcinfo", NULL, 0, "application/warc-fields", &block);
    sc_str_free(&block);
    return s;
}

sc_status sc_warc_put(sc_writer *w, bool gz, int64_t number, const char *url, const char *html)
{
    sc_str block = {0};
    sc_str_printf(&block,
                  "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: %lld\r\n\r\n",
                  (long long)strlen(html));
    sc_str_puts(&block, html);
    sc_status s = put_record(w, gz, "response", url, number + 1, "application/http; msgtype=response", &block);
    sc_str_free(&block);
    return s;
}
