/* SPDX-License-Identifier: Apache-2.0 */
/* A file's bytes in order. */
#include "data/data.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { BUFFER = 256 << 10 };

struct sc_bytes {
    int fd;
    char *path;
    int64_t begin, read; /* where reading began; bytes read since */
    int64_t at, have;    /* in the buffer */
    char buf[BUFFER];
};

sc_status sc_bytes_open(sc_bytes **out, const char *path, int64_t from)
{
    sc_bytes *b = sc_calloc(1, sizeof *b);
    if (!b) return sc_nomem();
    b->begin = from;
    b->path = sc_strdup(path);
    b->fd = open(path, O_RDONLY | O_CLOEXEC);
    sc_status s = SC_OK;
    if (!b->path)
        s = sc_nomem();
    else if (b->fd < 0 || lseek(b->fd, from, SEEK_SET) < 0)
        s = sc_fail(errno == ENOENT ? SC_ENOTFOUND : SC_EIO, "cannot read %s: %s", path, strerror(errno));
    if (s)
        sc_bytes_close(b);
    else
        *out = b;
    return s;
}

void sc_bytes_close(sc_bytes *b)
{
    if (!b) return;
    if (b->fd >= 0) close(b->fd);
    sc_free(b->path);
    sc_free(b);
}

static sc_status fill(sc_bytes *b)
{
    ssize_t n;
    do n = read(b->fd, b->buf, BUFFER);
    while (n < 0 && errno == EINTR);
    if (n < 0) return sc_fail(SC_EIO, "cannot read %s: %s", b->path, strerror(errno));
    b->at = 0;
    b->have = n;
    b->read += n;
    return SC_OK;
}

sc_status sc_bytes_read(sc_bytes *b, void *p, int64_t n, int64_t *got)
{
    sc_status s = b->at == b->have ? fill(b) : SC_OK;
    if (s) return s;
    *got = SC_MIN(n, b->have - b->at);
    memcpy(p, b->buf + b->at, (size_t)*got);
    b->at += *got;
    return SC_OK;
}

int64_t sc_bytes_tell(const sc_bytes *b) { return b->begin + b->read - (b->have - b->at); }
int64_t sc_bytes_at(const sc_bytes *b) { return sc_bytes_tell(b); }

sc_status sc_bytes_line(sc_bytes *b, sc_str *line, int64_t most, bool *cut, bool *more)
{
    line->len = 0;
    *cut = *more = false;
    for (;;) {
        sc_status s = b->at == b->have ? fill(b) : SC_OK;
        if (s) return s;
        if (!b->have) break;
        *more = true;
        const char *from = b->buf + b->at, *end = memchr(from, '\n', (size_t)(b->have - b->at));
        int64_t n = end ? end - from : b->have - b->at, take = SC_MIN(n, most - line->len);
        sc_str_append(line, from, take);
        if (take < n) *cut = true;
        b->at += n + (end != NULL);
        if (end) break;
    }
    if (line->len && !*cut && line->p[line->len - 1] == '\r') line->p[--line->len] = 0;
    return line->oom ? sc_nomem() : SC_OK;
}
