/* SPDX-License-Identifier: Apache-2.0 */
/* What stands between files and the pipeline's documents: formats, HTTP, charsets, and the repair of Unicode. */
#include "data/source.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/socle-sources-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void gzip_member(sc_str *out, const char *p, int64_t n, int bits)
{
    z_stream z = {0};
    char to[70000];
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (void *)(uintptr_t)p;
    z.avail_in = (unsigned)n;
    z.next_out = (void *)to;
    z.avail_out = sizeof to;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    sc_str_append(out, to, (int64_t)(sizeof to - z.avail_out));
    deflateEnd(&z);
}

/* ---- formats: what is read of a file is written as lines "text|url", "!reason" of what is broken, "?reason" of others ---- */

typedef struct reading {
    const char *name, *settings;
    int64_t from, to, largest;
} reading;

static sc_status read_part(const reading *r, sc_str *log)
{
    char path[128];
    bool packed;
    json_t *json = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, r->name);
    const sc_format *f = sc_format_of(path, &packed);
    assert_non_null(f);
    const char *settings = r->settings ? r->settings : "{}";
    assert_int_equal(sc_json_parse(&json, settings, (int64_t)strlen(settings), "settings"), SC_OK);
    sc_reader_setup x = {.path = path,
                         .from = r->from,
                         .to = r->to ? r->to : INT64_MAX,
                         .largest = r->largest ? r->largest : 1 << 20,
                         .settings = {"source", json, f->settings}};
    void *self;
    sc_status s = f->open(&self, &x);
    sc_document d = {0};
    for (sc_found found = {0}; !s && found.what != SC_READ_END;) {
        found = (sc_found){0};
        sc_document_clear(&d);
        s = f->next(self, &d, &found);
        if (found.what == SC_READ_DOCUMENT) {
            sc_str_append(log, d.text.p ? d.text.p : "", d.text.len);
            sc_str_printf(log, "|%s\n", d.url.len ? d.url.p : "");
        }
        if (found.what == SC_READ_BROKEN) sc_str_printf(log, "!%s\n", found.reason);
        if (found.what == SC_READ_OTHER) sc_str_printf(log, "?%s\n", found.reason);
    }
    if (!s || s == SC_EIO) f->free(self);
    sc_document_free(&d);
    json_decref(json);
    return s;
}

static void write_bytes(const char *name, const char *p, int64_t n)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(sc_file_write(path, p, n), SC_OK);
}

static void remove_file(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    unlink(path);
}

static void expect(const reading *r, const char *p, int64_t n, const char *want)
{
    sc_str log = {0};
    write_bytes(r->name, p, n);
    assert_int_equal(read_part(r, &log), SC_OK);
    assert_string_equal(log.p ? log.p : "", want);
    remove_file(r->name);
    sc_str_free(&log);
}

static void expect_text(const reading *r, const char *text, const char *want)
{
    expect(r, text, (int64_t)strlen(text), want);
}

static const char lines[] = "{\"text\": \"one\", \"url\": \"u1\"}\n"
                            "\n"
                            "{\"text\": \"two\"}\r\n"
                            "{\"text\": 5}\n"
                            "[1]\n"
                            "{\"text\": \"thr\n"
                            "{\"text\": [\"a\", \"b\"], \"url\": 7}\n"
                            "{\"text\": \"\\ud83d\\ude00 \\ud800 \xff\"}\n"
                            "{\"text\": \"last\"}";

static void test_jsonl(void **state)
{
    (void)state;
    static const char want[] = "one|u1\ntwo|\n!no_text\n!no_object\n!no_json\na\nb|7\n"
                               "\xf0\x9f\x98\x80 \xef\xbf\xbd \xef\xbf\xbd|\nlast|\n";
    expect_text(&(reading){"a.jsonl"}, lines, want);
    sc_str file = {0};
    gzip_member(&file, lines, 40, 15 + 16);
    gzip_member(&file, lines + 40, sizeof lines - 41, 15 + 16);
    expect(&(reading){"a.jsonl.gz"}, file.p, file.len, want);
    sc_str_free(&file);

    expect_text(&(reading){"a.jsonl", "{\"text\": \"body.parts.1\", \"url\": \"meta.url\"}"},
                "{\"body\": {\"parts\": [\"x\", \"y\"]}, \"meta\": {\"url\": \"u\"}}\n"
                "{\"body.parts.1\": \"z\"}\n{\"body\": {\"parts\": []}}\n",
                "y|u\nz|\n!no_text\n");
    /* A line longer than the largest text and its escapes can be. */
    sc_str big = {0};
    sc_str_puts(&big, "{\"text\": \"a\"}\n{\"text\": \"");
    for (int i = 0; i < 200000; i++) sc_str_putc(&big, 'x');
    sc_str_puts(&big, "\"}\n{\"text\": \"b\"}\n{\"text\": \"12345678901\"}\n");
    expect(&(reading){"a.jsonl", .largest = 10}, big.p, big.len, "a|\n!too_large\nb|\n!too_large\n");
    sc_str_free(&big);
}

/* Wherever a file is cut into parts, each record is in one of them. */
static void test_parts(void **state)
{
    (void)state;
    int64_t n = sizeof lines - 1;
    sc_str whole = {0};
    write_bytes("a.jsonl", lines, n);
    assert_int_equal(read_part(&(reading){"a.jsonl"}, &whole), SC_OK);
    for (int64_t a = 1; a < n; a++)
        for (int64_t b = a; b < n; b += 7) {
            sc_str log = {0};
            assert_int_equal(read_part(&(reading){"a.jsonl", NULL, 0, a}, &log), SC_OK);
            if (b > a) assert_int_equal(read_part(&(reading){"a.jsonl", NULL, a, b}, &log), SC_OK);
            assert_int_equal(read_part(&(reading){"a.jsonl", NULL, b, n}, &log), SC_OK);
            assert_string_equal(log.p, whole.p);
            sc_str_free(&log);
        }
    sc_str_free(&whole);
    remove_file("a.jsonl");
}

static void test_text(void **state)
{
    (void)state;
    static const char text[] = "\nfirst\nsecond\n\n\nthird\r\n";
    expect_text(&(reading){"a.txt"}, text, "\nfirst\nsecond\n\n\nthird\r\n|\n");
    expect_text(&(reading){"a.txt", "{\"documents\": \"lines\"}"}, text, "first|\nsecond|\nthird|\n");
    expect_text(&(reading){"a.txt", "{\"documents\": \"paragraphs\"}"}, text, "first\nsecond\n|\nthird\n|\n");
    expect_text(&(reading){"a.txt"}, "", "");
    expect_text(&(reading){"a.txt", .largest = 8}, "ab\ncdef\nghijklmno", "ab\ncdef\n|\nghijklmn|\no|\n");
    expect_text(&(reading){"a.txt", "{\"documents\": \"paragraphs\"}", .largest = 8}, "ab\ncdef\nghijklmno\nx\n",
                "ab\ncdef\n|\n!too_large\nx\n|\n");
    sc_str log = {0};
    write_bytes("a.txt", "x", 1);
    assert_int_equal(read_part(&(reading){"a.txt", "{\"documents\": \"pages\"}"}, &log), SC_EINVAL);
    remove_file("a.txt");
    write_bytes("a.parquet", "PAR1", 4);
    assert_int_equal(read_part(&(reading){"a.parquet"}, &log), SC_EUNSUPPORTED);
    assert_non_null(strstr(sc_error(), "make it JSONL first"));
    remove_file("a.parquet");
    sc_str_free(&log);
}

/* ---- WARC ---- */

static void record(sc_str *out, const char *type, const char *mime, const char *uri, const char *block,
                   int64_t length)
{
    sc_str_printf(
        out,
        "WARC/1.0\r\nWARC-Type: %s\r\ncontent-length:  %lld\r\nContent-Type: %s\r\nWARC-Target-URI: %s\r\n"
        "WARC-Record-ID: <urn:uuid:1>\r\n\r\n",
        type, (long long)length, mime, uri);
    sc_str_append(out, block, (int64_t)strlen(block));
    sc_str_puts(out, "\r\n\r\n");
}

static void add_record(sc_str *out, const char *type, const char *mime, const char *uri, const char *block)
{
    record(out, type, mime, uri, block, (int64_t)strlen(block));
}

static void response(sc_str *out, const char *uri, const char *head, const char *body)
{
    sc_str block = {0};
    sc_str_printf(&block, "HTTP/1.1 %s\r\n\r\n%s", head, body);
    add_record(out, "response", "application/http; msgtype=response", uri, block.p);
    sc_str_free(&block);
}

static void test_warc(void **state)
{
    (void)state;
    sc_str w = {0};
    add_record(&w, "warcinfo", "application/warc-fields", "", "software: none");
    add_record(&w, "request", "application/http; msgtype=request", "http://a/", "GET / HTTP/1.1\r\n\r\n");
    response(&w, "http://a/", "200 OK\r\nContent-Type: text/html; charset=utf-8", "<p>page");
    response(&w, "<http://b/>", "200 OK\r\nContent-Type: text/plain", "plain");
    response(&w, "http://c/", "404 Not Found\r\nContent-Type: text/html", "<p>none");
    response(&w, "http://d/", "200 OK\r\nContent-Type: image/png", "xx");
    response(&w, "http://e/", "200 OK\r\nContent-Type: text/html\r\nContent-Encoding: br", "xx");
    add_record(&w, "conversion", "text/plain", "http://f/", "text of f\n");
    add_record(&w, "response", "application/http", "http://g/", "no response at all");
    static const char want[] =
        "?other_record\n?other_record\n<p>page|http://a/\nplain|http://b/\n?other_status\n?other_type\n"
        "!encoding\ntext of f\n|http://f/\n!no_http\n";
    expect(&(reading){"a.warc"}, w.p, w.len, want);

    sc_str z = {0}; /* each record a member, as crawls are kept; one is damaged */
    const char *at = w.p;
    for (int i = 0; *at; i++) {
        const char *next = strstr(at + 1, "WARC/1.0");
        int64_t n = next ? next - at : (int64_t)strlen(at), before = z.len;
        gzip_member(&z, at, n, 15 + 16);
        if (i == 3) z.p[z.len - 8] ^= 1; /* its checksum */
        if (i == 6) z.p[before + 20] ^= 0x55;
        at += n;
    }
    expect(&(reading){"a.warc.gz"}, z.p, z.len,
           "?other_record\n?other_record\n<p>page|http://a/\n!broken_member\n?other_status\n?other_type\n"
           "!broken_member\ntext of f\n|http://f/\n!no_http\n");
    sc_str_free(&z);

    /* Cut off in the last record; garbage; a wrong and a missing length; a block that is too large. */
    w.len = 0;
    sc_str_puts(&w, "garbage\nmore\n");
    add_record(&w, "conversion", "text/plain", "http://a/", "a");
    record(&w, "conversion", "text/plain", "http://b/", "b and more", -1);
    record(&w, "conversion", "text/plain", "http://c/", "c and more", 3);
    add_record(&w, "conversion", "text/plain", "http://d/", "a block of 21 letters");
    add_record(&w, "conversion", "text/plain", "http://e/", "e");
    record(&w, "conversion", "text/plain", "http://f/", "f", 1000);
    expect(&(reading){"a.warc", .largest = 20}, w.p, w.len,
           "!no_record\na|http://a/\n!no_length\n!no_record\nc "
           "a|http://c/\n!no_record\n!too_large\ne|http://e/\n!truncated\n");
    sc_str head = {0};
    sc_str_puts(&head, "WARC/1.0\r\nX: ");
    for (int i = 0; i < 100000; i++) sc_str_putc(&head, 'x');
    sc_str_puts(&head, "\r\n\r\n");
    add_record(&head, "conversion", "text/plain", "http://a/", "a");
    sc_str log = {0};
    write_bytes("a.warc", head.p, head.len);
    assert_int_equal(read_part(&(reading){"a.warc"}, &log), SC_OK);
    assert_non_null(strstr(log.p, "!head_too_large\n"));
    assert_non_null(strstr(log.p, "a|http://a/\n"));
    remove_file("a.warc");
    sc_str_free(&log);
    sc_str_free(&head);
    sc_str_free(&w);
}

/* Cut anywhere: no failure, and every document that is whole is read. */
static void test_warc_cut(void **state)
{
    (void)state;
    sc_str w = {0};
    add_record(&w, "conversion", "text/plain", "http://a/", "first");
    int64_t first = w.len;
    add_record(&w, "conversion", "text/plain", "http://b/", "second");
    for (int64_t n = 0; n <= w.len; n++) {
        sc_str log = {0};
        write_bytes("a.wet", w.p, n);
        assert_int_equal(read_part(&(reading){"a.wet"}, &log), SC_OK);
        if (n >= first) assert_non_null(strstr(log.p, "first|http://a/\n"));
        if (n > first + 4 && n < w.len - 4) assert_non_null(strchr(log.p, '!'));
        if (n == w.len) assert_string_equal(log.p, "first|http://a/\nsecond|http://b/\n");
        sc_str_free(&log);
    }
    remove_file("a.wet");
    sc_str_free(&w);
}

static void test_html_file(void **state)
{
    (void)state;
    expect_text(&(reading){"a.html"}, "<p>x", "<p>x|\n");
    expect_text(&(reading){"a.htm", .largest = 3}, "<p>x", "!too_large\n");
    expect_text(&(reading){"a.html"}, "", "");
}

/* ---- HTTP ---- */

static void expect_http(const char *head, const char *body, int64_t n, const char *want, const char *fault)
{
    sc_http h = {0};
    sc_str m = {0};
    sc_str_printf(&m, "HTTP/1.1 200 OK\r\nContent-Type: Text/HTML ; Charset=\"EUC-KR\"\r\n%s\r\n\r\n", head);
    sc_str_append(&m, body, n);
    assert_int_equal(sc_http_parse(&h, m.p, m.len, 1 << 20), SC_OK);
    assert_int_equal(h.status, 200);
    assert_string_equal(h.type.p, "text/html");
    assert_string_equal(h.charset.p, "euc-kr");
    if (fault) {
        assert_non_null(h.fault);
        assert_string_equal(h.fault, fault);
    } else {
        assert_null(h.fault);
        assert_int_equal(h.body_len, strlen(want));
        assert_memory_equal(h.body, want, strlen(want));
    }
    sc_http_free(&h);
    sc_str_free(&m);
}

static void test_http(void **state)
{
    (void)state;
    expect_http("X: y", "body", 4, "body", NULL);
    static const char chunked[] = "4;name=value\r\nWiki\r\n6\r\npedia \r\nE\r\nin \r\n\r\nchunks.\r\n0\r\n\r\n";
    expect_http("Transfer-Encoding: chunked", chunked, sizeof chunked - 1, "Wikipedia in \r\n\r\nchunks.", NULL);
    expect_http("Transfer-Encoding: chunked", chunked, 26, "Wikiped", NULL); /* cut off */
    expect_http("Transfer-Encoding: chunked", "not so", 6, "not so", NULL);
    static const int bits[] = {15 + 16, 15, -15};
    for (int i = 0; i < 3; i++) {
        sc_str z = {0}, c = {0};
        gzip_member(&z, "packed body", 11, bits[i]);
        expect_http(i ? "Content-Encoding: deflate" : "Content-Encoding: gzip", z.p, z.len, "packed body", NULL);
        sc_str_printf(&c, "%llx\r\n", (long long)z.len);
        sc_str_append(&c, z.p, z.len);
        sc_str_puts(&c, "\r\n0\r\n\r\n");
        expect_http(i ? "Content-Encoding: deflate\r\nTransfer-Encoding: chunked"
                      : "content-encoding: GZIP\r\ntransfer-encoding: chunked",
                    c.p, c.len, "packed body", NULL);
        sc_str_free(&z);
        sc_str_free(&c);
    }
    expect_http("Content-Encoding: gzip", "not so", 6, "not so", NULL);
    expect_http("Content-Encoding: br", "xxxxx", 5, NULL, "encoding");
    char *zeros = calloc(1, 3 << 20);
    sc_str z = {0};
    gzip_member(&z, zeros, 3 << 20, 15 + 16);
    expect_http("Content-Encoding: gzip", z.p, z.len, NULL, "too_large");
    z.len = 0;
    gzip_member(&z, zeros, 3 << 20, 15);
    expect_http("Content-Encoding: deflate", z.p, z.len, NULL, "too_large");
    free(zeros);
    sc_str_free(&z);
    sc_http h = {0};
    assert_int_equal(sc_http_parse(&h, "HTTP/1.1 OK", 11, 100), SC_OK);
    assert_int_equal(h.status, 0);
    sc_http_free(&h);
}

/* ---- charsets ---- */

static void expect_charset(const char *bytes, const char *said, bool html, const char *charset, const char *want)
{
    sc_charset_room r = {0};
    int64_t bad, n = (int64_t)strlen(bytes);
    const char *got = sc_charset_detect(bytes, n, said, html);
    assert_string_equal(got, charset);
    assert_int_equal(sc_charset_convert(&r, got, bytes, n, &bad), SC_OK);
    assert_string_equal(r.out.p, want);
    sc_charset_room_free(&r);
}

static void test_charsets(void **state)
{
    (void)state;
    expect_charset("ascii", "iso-8859-1", true, "UTF-8", "ascii");
    expect_charset("\xef\xbb\xbf"
                   "caf\xc3\xa9",
                   "latin1", true, "UTF-8", "caf\xc3\xa9");
    expect_charset("caf\xc3\xa9", "iso-8859-1", true, "UTF-8", "caf\xc3\xa9"); /* UTF-8 whatever it says */
    expect_charset("caf\xe9 \x80", "ISO-8859-1", true, "CP1252", "caf\xc3\xa9 \xe2\x82\xac");
    expect_charset("caf\xe9", "", true, "CP1252", "caf\xc3\xa9");
    expect_charset("\xc7\xd1\xb1\xb9", "ks_c_5601-1987", false, "CP949", "한국");
    expect_charset("<meta charset=euc-kr>\xc7\xd1", "", true, "CP949", "<meta charset=euc-kr>한");
    expect_charset(
        "<!-- <meta charset=utf-8> --><META http-equiv='Content-Type' content=\"text/html; CHARSET = 'Shift_JIS'\">"
        "\x93\xfa\x96\x7b",
        "nonsense", true, "CP932",
        "<!-- <meta charset=utf-8> --><META http-equiv='Content-Type' content=\"text/html; CHARSET = "
        "'Shift_JIS'\">日本");
    expect_charset("<?xml version='1.0' encoding='windows-1251'?>\xcf\xf0\xe8\xe2\xe5\xf2", "", true, "CP1251",
                   "<?xml version='1.0' encoding='windows-1251'?>Привет");
    expect_charset(
        "\xe2\xe4\xe5 caf\xc3\xa9 na\xc3\xafve \xff t\xc3\xa9 \xc3\xa9\xc3\xa9", "", false, "UTF-8",
        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd caf\xc3\xa9 na\xc3\xafve \xef\xbf\xbd t\xc3\xa9 \xc3\xa9\xc3\xa9");
    sc_charset_room r = {0};
    int64_t bad;
    assert_string_equal(sc_charset_detect("\xff\xfe"
                                          "a\0\x5c\xd5",
                                          6, "utf-8", false),
                        "UTF-16LE");
    assert_int_equal(sc_charset_convert(&r, "UTF-16LE",
                                        "\xff\xfe"
                                        "a\0\x5c\xd5",
                                        6, &bad),
                     SC_OK);
    assert_string_equal(r.out.p, "a한");
    assert_int_equal(sc_charset_convert(&r, "UTF-16BE", "\xfe\xff\0a\xd8\0\0b\0", 9, &bad), SC_OK);
    assert_string_equal(r.out.p, "a\xef\xbf\xbd"
                                 "b\xef\xbf\xbd");
    assert_int_equal(bad, 2);
    assert_int_equal(sc_charset_convert(&r, "CP949", "\xc7\xd1\xff\xb1\xb9\xc7", 6, &bad), SC_OK);
    assert_string_equal(r.out.p, "한\xef\xbf\xbd국\xef\xbf\xbd");
    assert_int_equal(bad, 2);
    assert_int_equal(sc_charset_convert(&r, "no such", "a", 1, &bad), SC_EUNSUPPORTED);
    sc_charset_room_free(&r);
    static const char *const labels[] = {"utf-8",  " UTF8 ", "Latin1", "x-sjis",
                                         "gb2312", "big5",   "koi8-r", "windows-874"};
    for (int i = 0; i < SC_COUNT(labels); i++) { /* iconv has each */
        const char *name = sc_charset_named(labels[i], (int64_t)strlen(labels[i]));
        assert_non_null(name);
        iconv_t cd = iconv_open("UTF-8", name);
        assert_true(cd != (iconv_t)-1);
        iconv_close(cd);
    }
    assert_null(sc_charset_named("", 0));
    assert_null(sc_charset_named("utf-8|x", 7));
}

/* ---- Unicode ---- */

static void expect_repair_with(const char *text, unsigned flags, const char *want)
{
    sc_unicode_room r = {0};
    sc_unicode_counts c;
    sc_str s = {0};
    sc_str_puts(&s, text);
    assert_int_equal(sc_unicode_repair(&r, &s, flags, &c), SC_OK);
    assert_string_equal(s.p, want);
    bool any = c.invalid || c.mojibake || c.entities || c.controls || c.spaces || c.normalized;
    assert_int_equal(any, strcmp(text, want) != 0);
    sc_unicode_room_free(&r);
    sc_str_free(&s);
}

static void expect_repair(const char *text, const char *want) { expect_repair_with(text, SC_UNICODE_USUAL, want); }

/* What Python's text.encode().decode("windows-1252", "latin-1 for the rest") gives, k times. */
static char *as_windows(const char *p, int times)
{
    sc_str s = {0};
    sc_str_puts(&s, p);
    for (int k = 0; k < times; k++) {
        sc_str out = {0};
        for (int64_t i = 0; i < s.len; i++) {
            unsigned char c = (unsigned char)s.p[i];
            static const uint16_t upper[32] = {0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021,
                                               0x2c6,  0x2030, 0x160,  0x2039, 0x152,  0x8d,   0x17d,  0x8f,
                                               0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014,
                                               0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};
            sc_str_utf8(&out, c >= 0x80 && c < 0xa0 ? upper[c - 0x80] : c);
        }
        sc_str_free(&s);
        s = out;
    }
    return sc_str_take(&s, NULL);
}

static void test_mojibake(void **state)
{
    (void)state;
    static const char *const texts[] = {"Der Bär läuft über die Straße, natürlich.",
                                        "It’s “quoted” — isn’t it…",
                                        "한국어 문장입니다. 두 번째 문장.",
                                        "日本語の文章です。",
                                        "Привет, мир! Как дела?",
                                        "café",
                                        "naïve résumé",
                                        "100 € für zwei 🎉"};
    for (int i = 0; i < SC_COUNT(texts); i++)
        for (int times = 1; times <= 2; times++) {
            char *wrong = as_windows(texts[i], times);
            expect_repair(wrong, texts[i]);
            sc_free(wrong);
        }
    /* What only looks like it stays. */
    static const char *const right[] = {"„Ä“ und „Ö“ sind Umlaute; ÄÖÜ.",
                                        "A palavra MAÇÃ” e MAÇÃ…",
                                        "Ça va, Ève? Â l’âge de l’Île",
                                        "©2020 ®",
                                        "Ãlan",
                                        "İstanbul’da ışık, Ğ",
                                        "ÀÉ«VOILÀ»",
                                        "Straße ÄŸ"};
    for (int i = 0; i < SC_COUNT(right); i++) expect_repair(right[i], right[i]);
}

static void test_unicode(void **state)
{
    (void)state;
    expect_repair("plain ASCII\n\twith a tab", "plain ASCII\n\twith a tab");
    expect_repair("a\xff"
                  "b\xe2\x82",
                  "a\xef\xbf\xbd"
                  "b\xef\xbf\xbd");
    expect_repair("a\r\nb\rc\x0b"
                  "d\xc2\x85"
                  "e\xe2\x80\xa8"
                  "f",
                  "a\nb\nc\nd\ne\nf");
    expect_repair("a\x01"
                  "b\x7f"
                  "c\xc2\x9f"
                  "d",
                  "abcd");
    expect_repair("zero\xe2\x80\x8bwidth\xef\xbb\xbf soft\xc2\xadhyphen \xe2\x80\xaetrebor\xe2\x80\xac",
                  "zerowidth softhyphen trebor");
    expect_repair("a\xe2\x80\x8d"
                  "b \xe2\x80\x8d c",
                  "ab  c");
    expect_repair("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0915\u094d\u200d\u0937",
                  "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0915\u094d\u200d\u0937");
    expect_repair("\U0001f468\u200d\U0001f469", "\U0001f468\u200d\U0001f469");
    expect_repair("a\u00a0b\u2003c\u3000d\u202fe", "a b c d e");
    expect_repair("cafe\u0301 \u1112\u1161\u11ab", "caf\u00e9 \ud55c");
    expect_repair("2\u2075 \ufb01 \u2460 \uff21", "2\u2075 \ufb01 \u2460 \uff21"); /* never NFKC by itself */
    expect_repair_with("2\u2075 \ufb01 \uff21", SC_UNICODE_NFKC, "25 fi A");
    expect_repair_with("e\u0301 \u00a0&amp;\x01", 0, "e\u0301 \u00a0&amp;\x01");
    expect_repair("Q&amp;A &quot;x&quot; &#8217; &#x2014; &#146; &eacute; &nbsp;|",
                  "Q&A \"x\" \u2019 \u2014 \u2019 \u00e9  |");
    expect_repair("AT&T &unknown; &#0; &#xd800; & &; &#x110000;", "AT&T &unknown; &#0; &#xd800; & &; &#x110000;");
    expect_repair("write &lt;b&gt; for <b>", "write &lt;b&gt; for <b>"); /* about HTML */
    sc_str zalgo = {0}, cut = {0};                                       /* 10^5 marks on a letter */
    sc_str_putc(&zalgo, 'a');
    sc_str_putc(&cut, 'a');
    for (int i = 0; i < 100000; i++) sc_str_utf8(&zalgo, 0x316 + (uint32_t)i % 2);
    for (int i = 0; i < 16; i++) sc_str_utf8(&cut, 0x316 + (uint32_t)i % 2);
    expect_repair(zalgo.p, cut.p);
    sc_str_free(&zalgo);
    sc_str_free(&cut);
}

/* ---- stages ---- */

static void expect_stage(const sc_stage *stage, const char *settings, sc_document *d, const char *want,
                         const char *reason)
{
    json_t *json;
    void *self, *room;
    assert_int_equal(sc_json_parse(&json, settings, (int64_t)strlen(settings), "settings"), SC_OK);
    sc_stage_setup x = {.settings = {"stage", json, stage->settings}};
    assert_int_equal(stage->open(&self, &x), SC_OK);
    assert_int_equal(stage->room(&room, self), SC_OK);
    sc_verdict v = {0};
    assert_int_equal(stage->apply(self, room, d, &v), SC_OK);
    if (reason)
        assert_string_equal(v.reason, reason);
    else
        assert_int_equal(v.fate, SC_KEEP);
    if (want) assert_string_equal(d->text.p, want);
    stage->room_free(room);
    stage->free(self);
    json_decref(json);
    sc_document_free(d);
}

static sc_document document(const char *text, sc_markup markup, const char *charset)
{
    sc_document d = {.markup = markup};
    sc_str_puts(&d.text, text);
    sc_str_puts(&d.charset, charset);
    return d;
}

static void test_stages(void **state)
{
    (void)state;
    static const char page[] = "<html lang=ko-KR><nav>home</nav><main><h1>\xc7\xd1</h1><p>\xc7\xd1\xb1\xb9.</main>";
    sc_document d = document(page, SC_MARKUP_HTML, "euc-kr");
    expect_stage(&sc_stage_extract, "{\"all\": true}", &d, "home\n\n한\n\n한국.", NULL);
    d = document("<p></p><script>x</script>", SC_MARKUP_HTML, "");
    expect_stage(&sc_stage_extract, "{}", &d, NULL, "no_text");
    d = document("<p>text", SC_MARKUP_NONE, "");
    expect_stage(&sc_stage_extract, "{}", &d, "<p>text", NULL);
    d = document("\xc7\xd1", SC_MARKUP_NONE, "euc-kr");
    expect_stage(&sc_stage_unicode, "{}", &d, "한", NULL);
    d = document("2\u2075 e\u0301", SC_MARKUP_NONE, "");
    expect_stage(&sc_stage_unicode, "{\"form\": \"NFKC\"}", &d, "25 \u00e9", NULL);
    d = document("\xef\xbb\xbf"
                 "e\u0301",
                 SC_MARKUP_NONE, "");
    expect_stage(&sc_stage_unicode, "{\"form\": \"none\"}", &d, "e\u0301", NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jsonl),   cmocka_unit_test(test_parts),    cmocka_unit_test(test_text),
        cmocka_unit_test(test_warc),    cmocka_unit_test(test_warc_cut), cmocka_unit_test(test_html_file),
        cmocka_unit_test(test_http),    cmocka_unit_test(test_charsets), cmocka_unit_test(test_mojibake),
        cmocka_unit_test(test_unicode), cmocka_unit_test(test_stages),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
