/* SPDX-License-Identifier: Apache-2.0 */
/* What a pass writes for the next one: documents in a row, each with its length in front. */
#include "data/run.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { BUFFER = 256 << 10, AT_ONCE = 16 << 10, FRAME_MAX = INT32_MAX };

struct sc_piece {
    int fd;
    int64_t at;   /* of the next document, in the file */
    int64_t read; /* bytes of the file in `have` and before */
    sc_str have;  /* of which `used` are done with */
    int64_t used;
};

static sc_status open_piece(const sc_run *r, int pass, int64_t part, int *fd)
{
    char *path = sc_run_path(r, "pass-%d/part-%06lld.docs", pass, (long long)part);
    if (!path) return sc_nomem();
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    sc_status s = *fd < 0 ? sc_fail(SC_EIO, "cannot read %s: %s", path, strerror(errno)) : SC_OK;
    sc_free(path);
    return s;
}

sc_status sc_piece_open(sc_piece **out, const sc_run *r, int pass, int64_t part)
{
    sc_piece *p = sc_calloc(1, sizeof *p);
    if (!p) return sc_nomem();
    sc_status s = open_piece(r, pass, part, &p->fd);
    if (s)
        sc_free(p);
    else
        *out = p;
    return s;
}

void sc_piece_close(sc_piece *p)
{
    if (!p) return;
    close(p->fd);
    sc_str_free(&p->have);
    sc_free(p);
}

/* Up to n bytes at a place; fewer at the end alone. */
static sc_status read_at(int fd, char *to, int64_t n, int64_t at, int64_t *got)
{
    for (*got = 0; *got < n;) {
        ssize_t k = pread(fd, to + *got, (size_t)(n - *got), at + *got);
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return sc_fail(SC_EIO, "cannot read a piece between passes: %s", strerror(errno));
        if (k == 0) break;
        *got += k;
    }
    return SC_OK;
}

static sc_status cut_off(void) { return sc_fail(SC_EFORMAT, "a piece between passes is cut off"); }

/* Makes n bytes ready behind `used`; *enough false: the file ends before. */
static sc_status want(sc_piece *p, int64_t n, bool *enough)
{
    int64_t rest = p->have.len - p->used, got = 0;
    *enough = rest >= n;
    if (*enough) return SC_OK;
    if (rest) memmove(p->have.p, p->have.p + p->used, (size_t)rest);
    p->used = 0;
    p->have.len = rest;
    int64_t size = SC_MAX(n, BUFFER);
    if (!sc_grow(&p->have.p, &p->have.cap, size, 1)) return sc_nomem();
    sc_status s = read_at(p->fd, p->have.p + rest, size - rest, p->read, &got);
    p->read += got;
    p->have.len += got;
    *enough = p->have.len >= n;
    return s;
}

sc_status sc_piece_next(sc_piece *p, sc_document *d, int64_t *place, bool *more)
{
    uint32_t n;
    bool enough;
    sc_status s = want(p, sizeof n, more);
    if (s || !*more) return !s && p->have.len > p->used ? cut_off() : s;
    memcpy(&n, p->have.p + p->used, sizeof n);
    if (n > FRAME_MAX) return cut_off();
    if ((s = want(p, (int64_t)sizeof n + n, &enough))) return s;
    if (!enough) return cut_off();
    s = sc_frame_get(d, p->have.p + p->used + sizeof n, n);
    *place = p->at;
    p->at += (int64_t)sizeof n + n;
    p->used += (int64_t)sizeof n + n;
    return s;
}

static sc_status read_document(int fd, int64_t at, sc_str *room, sc_document *d)
{
    char first[AT_ONCE]; /* many are read like that, most of them short */
    int64_t got, more = 0;
    uint32_t n;
    sc_status s = read_at(fd, first, AT_ONCE, at, &got);
    if (s) return s;
    if (got < (int64_t)sizeof n) return cut_off();
    memcpy(&n, first, sizeof n);
    int64_t have = SC_MIN(got - (int64_t)sizeof n, (int64_t)n);
    if (have == n) return sc_frame_get(d, first + sizeof n, n);
    if (n > FRAME_MAX) return cut_off();
    if (!sc_grow(&room->p, &room->cap, n, 1)) return sc_nomem();
    memcpy(room->p, first + sizeof n, (size_t)have);
    s = read_at(fd, room->p + have, n - have, at + (int64_t)sizeof n + have, &more);
    if (!s && have + more < n) s = cut_off();
    return s ? s : sc_frame_get(d, room->p, n);
}

sc_status sc_piece_document(const sc_run *r, int pass, uint64_t ref, sc_document *d)
{
    sc_str room = {0};
    int fd;
    sc_status s = open_piece(r, pass, sc_ref_part(ref), &fd);
    if (s) return s;
    s = read_document(fd, sc_ref_place(ref), &room, d);
    close(fd);
    sc_str_free(&room);
    return s;
}
