/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes and lines of plain, gzip and zstd files: what zlib and libzstd wrote comes back, however the reads are cut; what is
 * broken is passed over to the next member and counted. */
#include "io/io.h"
#include "train/objective.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cmocka.h>

/* A file in memory, read in pieces of at most `piece` bytes. */
typedef struct memory {
    const char *p;
    int64_t n, at, piece;
    bool fails;
} memory;

static int64_t read_memory(void *user, void *p, int64_t n)
{
    memory *m = user;
    if (m->fails && m->at == m->n) return -1;
    n = SC_MIN(SC_MIN(n, m->piece), m->n - m->at);
    memcpy(p, m->p + m->at, (size_t)n);
    m->at += n;
    return n;
}

static sc_bytes *open_memory(memory *m, const sc_bytes_options *o)
{
    sc_bytes *b;
    sc_bytes_source source = {.read = read_memory, .user = m, .size = m->n};
    assert_int_equal(sc_bytes_open_source(&b, "memory", &source, o), SC_OK);
    return b;
}

static void gzip_member(sc_str *out, const char *p, int64_t n, int level)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    uLong cap = deflateBound(&z, (uLong)n);
    char *to = malloc(cap);
    z.next_in = (void *)(uintptr_t)p;
    z.avail_in = (unsigned)n;
    z.next_out = (void *)to;
    z.avail_out = (unsigned)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    sc_str_append(out, to, (int64_t)(cap - z.avail_out));
    deflateEnd(&z);
    free(to);
}

static void zstd_frame(sc_str *out, const char *p, int64_t n, int level)
{
    (void)level;
    size_t cap = ZSTD_compressBound((size_t)n);
    char *to = malloc(cap);
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    size_t got = ZSTD_compress2(c, to, cap, p, (size_t)n);
    assert_false(ZSTD_isError(got));
    sc_str_append(out, to, (int64_t)got);
    ZSTD_freeCCtx(c);
    free(to);
}

static uint64_t seed = 7;
static uint32_t random_u32(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33);
}

/* n bytes that compress a little, of lines. */
static char *text_of(int64_t n)
{
    char *p = malloc((size_t)n + 1);
    for (int64_t i = 0; i < n; i++) p[i] = random_u32() % 40 == 0 ? '\n' : (char)('a' + random_u32() % 20);
    p[n] = 0;
    return p;
}

static void read_all(sc_bytes *b, int64_t cap, sc_str *out, int *gaps)
{
    char *p = malloc((size_t)cap);
    for (int64_t n = 1; n;) {
        bool gap;
        assert_int_equal(sc_bytes_read(b, p, cap, &n, &gap), SC_OK);
        if (gaps) *gaps += gap;
        if (gap && gaps) sc_str_putc(out, '|');
        sc_str_append(out, p, n);
    }
    free(p);
}

static void assert_text(const sc_str *got, const char *p, int64_t n)
{
    assert_int_equal(got->len, n);
    assert_memory_equal(got->p, p, (size_t)n);
}

typedef void compress_fn(sc_str *, const char *, int64_t, int);

static void test_whole(void **state)
{
    static compress_fn *const kinds[] = {gzip_member, zstd_frame, NULL};
    (void)state;
    int64_t n = 700000;
    char *text = text_of(n);
    for (int kind = 0; kind < 3; kind++)
        for (int piece = 0; piece < 3; piece++) {
            sc_str file = {0}, got = {0};
            int64_t members = 0;
            for (int64_t at = 0; at < n; members++) { /* members of all sizes, an empty one among them */
                int64_t some = 1 + random_u32() % (members % 2 ? 10 : 300000);
                int64_t len = members == 3 ? 0 : SC_MIN(n - at, some);
                if (kinds[kind])
                    kinds[kind](&file, text + at, len, 6);
                else
                    sc_str_append(&file, text + at, len);
                if (kind == 1 && members == 1)
                    sc_str_append(&file, "\x51\x2a\x4d\x18\3\0\0\0abc", 11); /* skippable */
                at += len;
            }
            memory m = {file.p, file.len, 0, piece == 0 ? 1 << 30 : piece == 1 ? 7 : 1};
            sc_bytes *b = open_memory(&m, &(sc_bytes_options){.strict = true});
            read_all(b, piece == 2 ? 11 : 60001, &got, NULL);
            assert_text(&got, text, n);
            sc_bytes_counts c = sc_bytes_count(b);
            assert_int_equal(c.in, file.len);
            assert_int_equal(c.out, n);
            assert_int_equal(c.members, kind == 2 ? 1 : members + kind);
            assert_int_equal(c.broken + c.lost, 0);
            sc_bytes_close(b);
            sc_str_free(&file);
            sc_str_free(&got);
        }
    free(text);
}

/* A member in the middle is cut, has a wrong byte, a wrong sum, or garbage behind it. */
static void test_broken_members(void **state)
{
    static compress_fn *const kinds[] = {gzip_member, zstd_frame};
    (void)state;
    char *text = text_of(90000);
    for (int kind = 0; kind < 2; kind++)
        for (int fault = 0; fault < 4; fault++)
            for (int piece = 0; piece < 2; piece++) {
                sc_str file = {0}, got = {0};
                kinds[kind](&file, text, 30000, 6);
                int64_t second = file.len;
                kinds[kind](&file, text + 30000, 30000, 6);
                if (fault == 0) file.len -= 2000;
                if (fault == 1) file.p[second + 9000] ^= 0x55;
                if (fault == 2) file.p[file.len - (kind ? 1 : 6)] ^= 1;
                if (fault == 3) sc_str_puts(&file, "what is this?");
                int64_t third = file.len;
                kinds[kind](&file, text + 60000, 30000, 6);
                memory m = {file.p, file.len, 0, piece ? 100 : 1 << 30};
                sc_bytes *b = open_memory(&m, NULL);
                int gaps = 0;
                read_all(b, 5000, &got, &gaps);
                sc_bytes_counts c = sc_bytes_count(b);
                assert_int_equal(gaps, 1);
                assert_int_equal(c.broken, 1);
                assert_int_equal(c.member, third);
                assert_int_equal(c.in, file.len);
                const char *cut = strchr(got.p, '|');
                assert_non_null(cut);
                assert_true(cut - got.p >= 30000);
                assert_memory_equal(got.p, text, 30000);
                assert_string_equal(cut + 1, text + 60000);
                sc_bytes_close(b);

                m.at = 0;
                b = open_memory(&m, &(sc_bytes_options){.strict = true});
                sc_status s = SC_OK;
                char p[4096];
                for (int64_t n = 1; !s && n;) s = sc_bytes_read(b, p, sizeof p, &n, NULL);
                assert_int_equal(s, SC_EFORMAT);
                assert_non_null(strstr(sc_error(), "memory: "));
                sc_bytes_close(b);
                sc_str_free(&file);
                sc_str_free(&got);
            }
    free(text);
}

/* Cut at every place, any byte changed: no failure, no crash, an end. */
static void test_any_damage(void **state)
{
    static compress_fn *const kinds[] = {gzip_member, zstd_frame};
    (void)state;
    char *text = text_of(1500);
    for (int kind = 0; kind < 2; kind++) {
        sc_str file = {0};
        for (int i = 0; i < 3; i++) kinds[kind](&file, text + 500 * i, 500, 6);
        for (int64_t i = 4; i < file.len; i++)
            for (int how = 0; how < 2; how++) {
                char *copy = malloc((size_t)file.len);
                memcpy(copy, file.p, (size_t)file.len);
                if (how) copy[i] ^= (char)(1 + random_u32() % 255);
                memory m = {copy, how ? file.len : i, 0, 1 << 30};
                sc_bytes *b = open_memory(&m, NULL);
                sc_str got = {0};
                read_all(b, 4096, &got, NULL);
                sc_bytes_counts c = sc_bytes_count(b);
                assert_int_equal(c.in, m.n);
                assert_true(c.out <= 1500 || how);
                sc_bytes_close(b);
                sc_str_free(&got);
                free(copy);
            }
        sc_str_free(&file);
    }
    free(text);
}

static void test_limits(void **state)
{
    (void)state;
    int64_t n = 40 << 20;
    char *zeros = calloc(1, (size_t)n);
    sc_str file = {0}, got = {0};
    gzip_member(&file, zeros, n, 9);
    gzip_member(&file, "behind", 6, 9);
    memory m = {file.p, file.len, 0, 1 << 30};
    sc_bytes *b = open_memory(&m, &(sc_bytes_options){.ratio = 100});
    int gaps = 0;
    read_all(b, 1 << 20, &got, &gaps);
    assert_int_equal(gaps, 1);
    assert_int_equal(sc_bytes_count(b).broken, 1);
    assert_true(got.len < 20 << 20);
    assert_string_equal(got.p + got.len - 7, "|behind");
    sc_bytes_close(b);

    m.at = 0;
    b = open_memory(&m, &(sc_bytes_options){.most = 100});
    char p[64];
    int64_t k;
    assert_int_equal(sc_bytes_read(b, p, sizeof p, &k, NULL), SC_OK);
    assert_int_equal(sc_bytes_read(b, p, sizeof p, &k, NULL), SC_ELIMIT);
    assert_string_equal(sc_error(), "memory: more than 100 bytes");
    sc_bytes_close(b);

    m = (memory){"abc", 3, 0, 1, .fails = true};
    sc_bytes_source source = {.read = read_memory, .user = &m};
    assert_int_equal(sc_bytes_open_source(&b, "memory", &source, NULL), SC_EIO);
    sc_bytes_options bad = {.window_bits = 40};
    assert_int_equal(sc_bytes_open_source(&b, "memory", &source, &bad), SC_EINVAL);
    m = (memory){"BZh91AY", 7, 0, 1, false};
    assert_int_equal(sc_bytes_open_source(&b, "memory", &source, NULL), SC_EUNSUPPORTED);
    free(zeros);
    sc_str_free(&file);
    sc_str_free(&got);
}

/* Every byte may begin a member that costs a long stored block: going back must not make that quadratic. */
static void test_many_beginnings(void **state)
{
    (void)state;
    static const char member[] = "\x1f\x8b\x08\0\0\0\0\0\0\xff\0\xff\xff\0\0";
    sc_str file = {0}, got = {0};
    for (int i = 0; i < 200000; i++) sc_str_append(&file, member, 15);
    memory m = {file.p, file.len, 0, 1 << 30};
    sc_bytes *b = open_memory(&m, NULL);
    read_all(b, 1 << 16, &got, NULL);
    assert_true(got.len < 8 * file.len);
    sc_bytes_close(b);
    sc_str_free(&file);
    sc_str_free(&got);
}

static void expect_line(sc_line_reader *l, const char *want)
{
    const char *p;
    int64_t n;
    assert_int_equal(sc_line_reader_next(l, &p, &n), SC_OK);
    if (!want) {
        assert_null(p);
        return;
    }
    assert_non_null(p);
    assert_int_equal(n, strlen(want));
    assert_memory_equal(p, want, (size_t)n);
}

static sc_line_reader *lines_of(memory *m, const sc_line_options *o)
{
    sc_line_reader *l;
    m->at = 0;
    assert_int_equal(sc_line_reader_of(&l, open_memory(m, NULL), o), SC_OK);
    return l;
}

static void test_lines(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf"
                               "one\r\n\ntwo\nlonger line\nabc\xea\xb0\x80z\nabcdef\r\nend";
    for (int piece = 1; piece < 60; piece += 7) {
        memory m = {text, sizeof text - 1, 0, piece, false};
        sc_line_reader *l = lines_of(&m, &(sc_line_options){.longest = 6});
        expect_line(l, "one");
        expect_line(l, "");
        expect_line(l, "two");
        expect_line(l, "abcdef");
        expect_line(l, "end");
        expect_line(l, NULL);
        expect_line(l, NULL);
        assert_int_equal(sc_line_reader_count(l).lines, 7);
        assert_int_equal(sc_line_reader_count(l).longer, 2);
        sc_line_reader_close(l);

        l = lines_of(&m, &(sc_line_options){.longest = 5, .cut = true});
        expect_line(l, "one");
        expect_line(l, "");
        expect_line(l, "two");
        expect_line(l, "longe");
        expect_line(l, "abc");
        expect_line(l, "abcde");
        expect_line(l, "end");
        expect_line(l, NULL);
        assert_int_equal(sc_line_reader_count(l).lines, 7);
        assert_int_equal(sc_line_reader_count(l).longer, 3);
        sc_line_reader_close(l);
    }
    memory empty = {"", 0, 0, 1, false};
    sc_line_reader *l = lines_of(&empty, NULL);
    expect_line(l, NULL);
    sc_line_reader_close(l);
}

static void test_torn_lines(void **state)
{
    (void)state;
    sc_str file = {0};
    gzip_member(&file, "one\ntwo\nthr", 11, 6);
    int64_t at = file.len;
    gzip_member(&file, "ee\nfour\nfi", 10, 6);
    file.p[at + 12] ^= 0x40;
    gzip_member(&file, "ve\nsix\n", 7, 6);
    memory m = {file.p, file.len, 0, 1 << 30, false};
    sc_line_reader *l = lines_of(&m, NULL);
    expect_line(l, "one");
    expect_line(l, "two");
    const char *p;
    int64_t n;
    do assert_int_equal(sc_line_reader_next(l, &p, &n), SC_OK);
    while (p && n != 3);
    assert_non_null(p);
    assert_memory_equal(p, "six", 3);
    expect_line(l, NULL);
    assert_int_equal(sc_line_reader_count(l).torn, 1);
    assert_int_equal(sc_line_reader_count(l).bytes.broken, 1);
    sc_line_reader_close(l);
    sc_str_free(&file);
}

/* A line without end in a small file that says so much: memory stays at the limit. */
typedef struct endless {
    int64_t left;
} endless;
static int64_t read_endless(void *user, void *p, int64_t n)
{
    endless *e = user;
    n = SC_MIN(n, e->left);
    memset(p, 'x', (size_t)n);
    e->left -= n;
    if (n && !e->left) ((char *)p)[n - 1] = '\n';
    return n;
}

static void test_endless_line(void **state)
{
    (void)state;
    endless e = {(1LL << 32) + 5}; /* 4 GiB and a little */
    sc_bytes_source source = {.read = read_endless, .user = &e};
    sc_bytes *b;
    sc_line_reader *l;
    assert_int_equal(sc_bytes_open_source(&b, "endless", &source, NULL), SC_OK);
    assert_int_equal(sc_line_reader_of(&l, b, &(sc_line_options){.longest = 1 << 20}), SC_OK);
    expect_line(l, NULL);
    assert_int_equal(sc_line_reader_count(l).longer, 1);
    assert_int_equal(sc_line_reader_count(l).bytes.out, (1LL << 32) + 5);
    sc_line_reader_close(l);
}

static void test_files(void **state)
{
    (void)state;
    char dir[] = "/tmp/socle-bytes-XXXXXX", path[64], *data;
    int64_t n;
    sc_bytes *b;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.txt.gz", dir);
    sc_str file = {0};
    gzip_member(&file, "hello ", 6, 6);
    int64_t second = file.len;
    gzip_member(&file, "world", 5, 6);
    assert_int_equal(sc_file_write(path, file.p, file.len), SC_OK);
    assert_int_equal(sc_bytes_all(&data, &n, path, 100), SC_OK);
    assert_string_equal(data, "hello world");
    sc_free(data);
    assert_int_equal(sc_bytes_all(&data, &n, path, 10), SC_ELIMIT);
    assert_int_equal(sc_bytes_open(&b, path, &(sc_bytes_options){.start = second}), SC_OK);
    char p[16];
    assert_int_equal(sc_bytes_read(b, p, sizeof p, &n, NULL), SC_OK);
    assert_int_equal(n, 5);
    assert_memory_equal(p, "world", 5);
    assert_int_equal(sc_bytes_count(b).member, second);
    assert_int_equal(sc_bytes_count(b).size, file.len);
    sc_bytes_close(b);
    assert_int_equal(sc_bytes_open(&b, dir, NULL), SC_EINVAL);
    assert_int_equal(sc_bytes_open(&b, "/nowhere/at/all", NULL), SC_ENOTFOUND);
    unlink(path);
    rmdir(dir);
    sc_str_free(&file);
    assert_true(sc_path_is("a/b.jsonl", ".jsonl") && sc_path_is("b.jsonl.gz", ".jsonl"));
    assert_true(sc_path_is("b.jsonl.zst", ".jsonl") && !sc_path_is("b.jsonl.bz2", ".jsonl"));
    assert_true(!sc_path_is("b.gz", ".jsonl") && !sc_path_is("", ".jsonl"));
}

/* ---- training reads compressed files by the same names ---- */

static sc_status note_record(void *user, const sc_record *r)
{
    sc_field text;
    sc_status s = sc_record_document(r, &text);
    if (!s) sc_str_printf(user, "%lld %.*s\n", (long long)r->line, (int)text.n, text.p);
    return s;
}

static void test_training(void **state)
{
    (void)state;
    char dir[] = "/tmp/socle-bytes-XXXXXX", path[64];
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a.jsonl.gz", dir);
    sc_str file = {0}, log = {0};
    sc_context ctx = {0};
    gzip_member(&file, "{\"text\": \"one\"}\n{\"te", 20, 6);
    gzip_member(&file, "xt\": \"two\"}\n", 12, 6);
    assert_int_equal(sc_file_write(path, file.p, file.len), SC_OK);
    assert_int_equal(sc_records_each(&ctx, path, false, note_record, &log), SC_OK);
    assert_string_equal(log.p, "1 one\n2 two\n");
    file.p[file.len - 8] ^= 1;
    assert_int_equal(sc_file_write(path, file.p, file.len), SC_OK);
    assert_int_equal(sc_records_each(&ctx, path, false, note_record, &log), SC_EFORMAT); /* never a part of it */
    assert_non_null(strstr(sc_error(), "member 2"));
    unlink(path);
    rmdir(dir);
    sc_str_free(&file);
    sc_str_free(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),           cmocka_unit_test(test_broken_members),
        cmocka_unit_test(test_any_damage),      cmocka_unit_test(test_limits),
        cmocka_unit_test(test_many_beginnings), cmocka_unit_test(test_lines),
        cmocka_unit_test(test_torn_lines),      cmocka_unit_test(test_endless_line),
        cmocka_unit_test(test_files),           cmocka_unit_test(test_training),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
