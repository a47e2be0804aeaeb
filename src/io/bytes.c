/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of files that may be compressed. The file is read through one buffer; behind what is consumed its last bytes
 * stay there, so that after a broken member the search for the next one can begin a little before the place where the
 * decoder noticed: it may have eaten the next member's beginning already. */
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { INPUT = 1 << 18, KEPT = 1 << 16, GZIP_HEADER = 10 };
#define FREE_OUTPUT (16LL << 20) /* of a member, before its ratio counts */

typedef struct codec codec;

struct sc_bytes {
    char *name;
    sc_bytes_options o;
    sc_bytes_source source;
    const codec *codec; /* NULL: plain */
    unsigned char *in;
    int64_t at, n; /* consumed and filled of `in` */
    int64_t base;  /* where in the file in[0] is */
    bool eof, gap, inside, stray;
    int64_t out_of_member;
    const char *fault; /* of the member at hand, found beside bytes that were given; NULL: none */
    int64_t rewound;   /* bytes that were gone back in all */
    sc_bytes_counts count;
    z_stream z;
    bool z_live;
    ZSTD_DStream *zstd;
};

/* One kind of compression. */
struct codec {
    /* A member, at p; `sure`: chance would hardly write this. */
    bool (*begins)(const unsigned char *p, int64_t n, bool sure);
    sc_status (*reset)(sc_bytes *b);
    /* Consumes of the buffer and writes at most cap bytes, *n of them; *done at a member's end. A fault: what it is, else
     * NULL; "" without memory. */
    const char *(*step)(sc_bytes *b, void *p, int64_t cap, int64_t *n, bool *done);
};

/* ---- gzip ---- */

static void *z_alloc(void *user, unsigned count, unsigned size)
{
    (void)user;
    return sc_calloc(count, size);
}
static void z_free(void *user, void *p)
{
    (void)user;
    sc_free(p);
}

/* Sure with the method, no reserved flags, and the two bytes that tell how and where it was made, of which there are
 * few: chance writes that once in 2^38 bytes. */
static bool gzip_begins(const unsigned char *p, int64_t n, bool sure)
{
    if (n < 2 || p[0] != 0x1f || p[1] != 0x8b) return false;
    return !sure || (n >= GZIP_HEADER && p[2] == 8 && !(p[3] & 0xe0) && (p[8] == 0 || p[8] == 2 || p[8] == 4) &&
                     (p[9] <= 13 || p[9] == 255));
}

static sc_status gzip_reset(sc_bytes *b)
{
    int r;
    if (b->z_live) {
        r = inflateReset(&b->z);
    } else {
        b->z = (z_stream){.zalloc = z_alloc, .zfree = z_free};
        r = inflateInit2(&b->z, 15 + 16);
        b->z_live = r == Z_OK;
    }
    return r == Z_OK ? SC_OK : sc_nomem();
}

static const char *gzip_step(sc_bytes *b, void *p, int64_t cap, int64_t *n, bool *done)
{
    b->z.next_in = b->in + b->at;
    b->z.avail_in = (unsigned)(b->n - b->at);
    b->z.next_out = p;
    b->z.avail_out = (unsigned)SC_MIN(cap, 1 << 30);
    unsigned before = b->z.avail_out;
    int r = inflate(&b->z, Z_NO_FLUSH);
    b->at = b->n - b->z.avail_in;
    *n = before - b->z.avail_out;
    *done = r == Z_STREAM_END;
    if (r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR) return NULL;
    if (r == Z_MEM_ERROR) return "";
    return r == Z_NEED_DICT || !b->z.msg ? "invalid data" : b->z.msg;
}

static const codec gzip = {gzip_begins, gzip_reset, gzip_step};

/* ---- zstd ---- */

static bool zstd_begins(const unsigned char *p, int64_t n, bool sure)
{
    (void)sure; /* four bytes are */
    if (n < 4) return false;
    return (p[0] == 0x28 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd) ||
           (p[0] >= 0x50 && p[0] <= 0x5f && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18);
}

static sc_status zstd_reset(sc_bytes *b)
{
    if (!b->zstd && !(b->zstd = ZSTD_createDStream())) return sc_nomem();
    ZSTD_DCtx_reset(b->zstd, ZSTD_reset_session_only);
    ZSTD_DCtx_setParameter(b->zstd, ZSTD_d_windowLogMax, b->o.window_bits);
    return SC_OK;
}

static const char *zstd_step(sc_bytes *b, void *p, int64_t cap, int64_t *n, bool *done)
{
    ZSTD_inBuffer in = {b->in, (size_t)b->n, (size_t)b->at};
    ZSTD_outBuffer out = {p, (size_t)cap, 0};
    size_t r = ZSTD_decompressStream(b->zstd, &out, &in);
    b->at = (int64_t)in.pos;
    *n = (int64_t)out.pos;
    *done = r == 0;
    if (!ZSTD_isError(r)) return NULL;
    ZSTD_ErrorCode code = ZSTD_getErrorCode(r);
    if (code == ZSTD_error_memory_allocation) return "";
    return code == ZSTD_error_frameParameter_windowTooLarge ? "its window is larger than the limit"
                                                            : ZSTD_getErrorString(code);
}

static const codec zstd = {zstd_begins, zstd_reset, zstd_step};

/* ---- the file ---- */

static int64_t read_fd(void *user, void *p, int64_t n)
{
    int fd = (int)(intptr_t)user;
    for (;;) {
        ssize_t got = read(fd, p, (size_t)n);
        if (got >= 0 || errno != EINTR) return got;
    }
}
static void close_fd(void *user)
{
    if ((intptr_t)user > STDERR_FILENO) close((int)(intptr_t)user);
}

static sc_status take(sc_bytes *b, void *p, int64_t cap, int64_t *n)
{
    *n = b->source.read(b->source.user, p, cap);
    if (*n < 0) return sc_fail(SC_EIO, "%s: cannot read: %s", b->name, strerror(errno));
    b->eof = *n == 0;
    return SC_OK;
}

/* Fills the buffer until it has `need` bytes that are not consumed, or the file ends. */
static sc_status fill(sc_bytes *b, int64_t need)
{
    while (b->n - b->at < need && !b->eof) {
        if (b->n == INPUT) {
            int64_t drop = SC_MAX(b->at - KEPT, 0);
            memmove(b->in, b->in + drop, (size_t)(b->n - drop));
            b->base += drop;
            b->at -= drop;
            b->n -= drop;
        }
        int64_t got;
        sc_status s = take(b, b->in + b->n, INPUT - b->n, &got);
        if (s) return s;
        b->n += got;
    }
    return SC_OK;
}

/* The member that began at count.member is broken: the search for the next goes on behind its beginning, as far back as the
 * buffer reaches. Going back is paid for by having gone forward, so the work stays linear in the file's size. */
static sc_status broken(sc_bytes *b, const char *what)
{
    if (b->o.strict)
        return sc_fail(SC_EFORMAT, "%s: member %lld, which begins at byte %lld: %s", b->name,
                       (long long)b->count.members, (long long)b->count.member, what);
    int64_t from = SC_MAX(b->count.member + 1 - b->base, 0), back = SC_MAX(b->at - from, 0);
    if (b->at < from) {
        b->at = from;
    } else if (b->rewound + back <= b->base + b->at + INPUT) {
        b->rewound += back;
        b->at = from;
    }
    b->count.broken++;
    b->count.fault = b->count.member;
    b->inside = false;
    b->stray = b->gap = true;
    return SC_OK;
}

/* Goes to the next member. Zeros behind a member are padding, as gzip has it; *end: there is none. */
static sc_status next_member(sc_bytes *b, bool *end)
{
    for (;;) {
        sc_status s = fill(b, GZIP_HEADER);
        if (s) return s;
        if (b->at == b->n) break;
        if (b->codec->begins(b->in + b->at, b->n - b->at, b->stray)) {
            b->count.member = b->base + b->at;
            b->count.members++;
            b->out_of_member = 0;
            b->inside = true;
            b->stray = false;
            *end = false;
            return b->codec->reset(b);
        }
        if (!b->stray && b->in[b->at] != 0) {
            if (b->o.strict)
                return sc_fail(SC_EFORMAT, "%s: byte %lld: no member begins here", b->name,
                               (long long)(b->base + b->at));
            b->count.broken++;
            b->count.fault = b->base + b->at;
            b->stray = b->gap = true;
        }
        b->count.lost += b->stray;
        b->at++;
    }
    *end = true;
    return SC_OK;
}

/* *lost: bytes before these were lost. */
static sc_status decode(sc_bytes *b, void *p, int64_t cap, int64_t *n, bool *lost)
{
    const char *late = b->fault;
    sc_status failed = late ? broken(b, late) : SC_OK;
    b->fault = NULL;
    *n = 0;
    if (failed) return failed;
    while (*n == 0) {
        bool end = false, done;
        sc_status s = b->inside ? fill(b, 1) : next_member(b, &end);
        *lost = *lost || b->gap;
        b->gap = false;
        if (s || end) return s;
        int64_t before = b->at;
        const char *fault = b->codec->step(b, p, cap, n, &done);
        if (fault && !*fault) return sc_nomem();
        b->out_of_member += *n;
        if (!fault && done) {
            b->inside = false;
            continue;
        }
        int64_t in = b->base + b->at - b->count.member;
        if (!fault && b->at == before && *n == 0 && b->eof) fault = "it is cut off";
        if (!fault && b->out_of_member > FREE_OUTPUT && b->out_of_member / b->o.ratio > in)
            fault = "it becomes larger than the limit allows for its size";
        if (fault && *n)
            b->fault = fault; /* what came out goes first */
        else if (fault && (s = broken(b, fault)))
            return s;
    }
    return SC_OK;
}

sc_status sc_bytes_read(sc_bytes *b, void *p, int64_t cap, int64_t *n, bool *gap)
{
    bool lost = false;
    sc_status s = SC_OK;
    int64_t got = 0;
    if (b->codec) {
        s = decode(b, p, cap, &got, &lost);
    } else if (b->at < b->n) {
        got = SC_MIN(cap, b->n - b->at);
        memcpy(p, b->in + b->at, (size_t)got);
        b->at += got;
    } else if (!b->eof) {
        b->base += b->n;
        b->at = b->n = 0;
        s = take(b, p, cap, &got);
        b->base += got;
    }
    if (s) return s;
    b->count.out += got;
    b->count.in = b->base + b->at - b->o.start;
    if (b->o.most && b->count.out > b->o.most)
        return sc_fail(SC_ELIMIT, "%s: more than %lld bytes", b->name, (long long)b->o.most);
    *n = got;
    if (gap) *gap = lost;
    return SC_OK;
}

sc_bytes_counts sc_bytes_count(const sc_bytes *b)
{
    sc_bytes_counts c = b->count;
    c.packed = b->codec != NULL;
    return c;
}

/* ---- opening ---- */

static sc_status recognise(sc_bytes *b)
{
    sc_status s = fill(b, GZIP_HEADER);
    if (s) return s;
    const unsigned char *p = b->in;
    if (b->n >= 3 && memcmp(p, "BZh", 3) == 0)
        return sc_fail(SC_EUNSUPPORTED, "%s: bzip2 is not read: bunzip2 it, then gzip or zstd", b->name);
    if (b->n >= 6 && memcmp(p,
                            "\xfd"
                            "7zXZ",
                            6) == 0)
        return sc_fail(SC_EUNSUPPORTED, "%s: xz is not read: unxz it, then gzip or zstd", b->name);
    if (gzip_begins(p, b->n, false))
        b->codec = &gzip;
    else if (zstd_begins(p, b->n, true))
        b->codec = &zstd;
    else
        b->count.members = 1;
    return SC_OK;
}

sc_status sc_bytes_open_source(sc_bytes **out, const char *name, const sc_bytes_source *source,
                               const sc_bytes_options *options)
{
    sc_bytes *b = sc_calloc(1, sizeof *b);
    sc_status s = b && (b->name = sc_strdup(name)) && (b->in = sc_malloc(INPUT)) ? SC_OK : sc_nomem();
    if (!s) {
        b->source = *source;
        if (options) b->o = *options;
        b->base = b->o.start;
        b->count.size = source->size;
        if (!b->o.ratio) b->o.ratio = 1000;
        if (!b->o.window_bits) b->o.window_bits = 27;
        if (b->o.ratio < 1 || b->o.most < 0 || b->o.window_bits < 10 || b->o.window_bits > 31)
            s = sc_fail(SC_EINVAL, "%s: ratio, size or window out of range", name);
    }
    if (!s) s = recognise(b);
    if (s) {
        if (b) b->source.close = NULL; /* stays the caller's */
        sc_bytes_close(b);
        return s;
    }
    *out = b;
    return SC_OK;
}

sc_status sc_bytes_open(sc_bytes **out, const char *path, const sc_bytes_options *options)
{
    struct stat st;
    bool in = strcmp(path, "-") == 0;
    int fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return sc_fail(errno == ENOENT ? SC_ENOTFOUND : SC_EIO, "%s: cannot open: %s", path, strerror(errno));
    int64_t start = options ? options->start : 0;
    sc_status s = SC_OK;
    if (fstat(fd, &st) != 0)
        s = sc_fail(SC_EIO, "%s: cannot look at it: %s", path, strerror(errno));
    else if (!in && !S_ISREG(st.st_mode))
        s = sc_fail(SC_EINVAL, "%s: not a regular file", path);
    else if (start && (!S_ISREG(st.st_mode) || start < 0 || lseek(fd, start, SEEK_SET) != start))
        s = sc_fail(SC_EINVAL, "%s: cannot begin at byte %lld", path, (long long)start);
    if (!s) {
        sc_bytes_source source = {read_fd, close_fd, (void *)(intptr_t)fd, S_ISREG(st.st_mode) ? st.st_size : 0};
        s = sc_bytes_open_source(out, in ? "standard input" : path, &source, options);
    }
    if (s && !in) close(fd);
    return s;
}

void sc_bytes_close(sc_bytes *b)
{
    if (!b) return;
    if (b->source.close) b->source.close(b->source.user);
    if (b->z_live) inflateEnd(&b->z);
    ZSTD_freeDStream(b->zstd);
    sc_free(b->in);
    sc_free(b->name);
    sc_free(b);
}

sc_status sc_bytes_all(char **data, int64_t *len, const char *path, int64_t most)
{
    sc_bytes *b;
    char *p = NULL;
    int64_t n = 0, cap = 0, got = 1;
    sc_status s = sc_bytes_open(&b, path, &(sc_bytes_options){.strict = true, .most = most});
    if (s) return s;
    int64_t size = SC_MIN(sc_bytes_count(b).size, most);
    while (!s && got) {
        if (!sc_grow(&p, &cap, n + SC_MAX(size - n, 1 << 16) + 1, 1))
            s = sc_nomem();
        else if (!(s = sc_bytes_read(b, p + n, cap - n - 1, &got, NULL)))
            n += got;
    }
    sc_bytes_close(b);
    if (s) {
        sc_free(p);
        return s;
    }
    p[n] = 0;
    *data = p;
    *len = n;
    return SC_OK;
}

bool sc_path_is(const char *path, const char *suffix)
{
    static const char *const behind[] = {"", ".gz", ".zst"};
    size_t n = strlen(path), m = strlen(suffix);
    for (int i = 0; i < SC_COUNT(behind); i++) {
        size_t k = strlen(behind[i]);
        if (n >= m + k && memcmp(path + n - k, behind[i], k) == 0 && memcmp(path + n - k - m, suffix, m) == 0)
            return true;
    }
    return false;
}
