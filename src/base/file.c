/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool sc_path_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool sc_path_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *sc_path_absolute(const char *path)
{
    char *real = realpath(path, NULL), *own = real ? sc_strdup(real) : NULL;
    free(real);
    return own ? own : sc_strdup(path);
}

char *sc_path_join(const char *dir, const char *name)
{
    sc_str s = {0};
    sc_str_puts(&s, dir);
    if (s.len && s.p[s.len - 1] != '/') sc_str_putc(&s, '/');
    sc_str_puts(&s, name);
    return sc_str_take(&s, NULL);
}

const char *sc_path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool sc_path_has_suffix(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);
    return n >= m && strcmp(path + n - m, suffix) == 0;
}

static sc_status io_fail(const char *path, const char *what)
{
    int e = errno;
    return sc_fail(e == ENOENT ? SC_ENOTFOUND : SC_EIO, "%s: cannot %s: %s", path, what, strerror(e));
}

sc_status sc_mkdirs(const char *path)
{
    char *p = sc_strdup(path);
    if (!p) return sc_nomem();
    sc_status s = SC_OK;
    for (char *c = p + (*p != 0);; c++) {
        if (*c && *c != '/') continue;
        char end = *c;
        *c = 0;
        if (mkdir(p, 0777) != 0 && !sc_path_is_dir(p)) {
            s = io_fail(p, "make the folder");
            break;
        }
        *c = end;
        if (!end) break;
    }
    sc_free(p);
    return s;
}

/* Opens a regular file; anything else (a folder, a pipe, a device) is refused before it can block. */
static sc_status open_regular(int *fd, int64_t *size, const char *path)
{
    struct stat st;
    int f = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (f < 0) return io_fail(path, "open");
    if (fstat(f, &st) != 0) {
        sc_status s = io_fail(path, "look at it");
        close(f);
        return s;
    }
    if (!S_ISREG(st.st_mode)) {
        close(f);
        return sc_fail(SC_EINVAL, "%s: not a regular file", path);
    }
    *fd = f;
    *size = st.st_size;
    return SC_OK;
}

sc_status sc_file_read(char **data, int64_t *len, const char *path, int64_t max)
{
    int fd;
    int64_t size, got = 0;
    sc_status s = open_regular(&fd, &size, path);
    if (s) return s;
    if (size > max) {
        close(fd);
        return sc_fail(SC_ELIMIT, "%s: %lld bytes, more than the limit of %lld", path, (long long)size,
                       (long long)max);
    }
    char *p = sc_malloc((size_t)size + 1);
    if (!p) {
        close(fd);
        return sc_nomem();
    }
    while (got < size) {
        ssize_t n = read(fd, p + got, (size_t)(size - got));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            s = io_fail(path, "read");
            break;
        }
        if (n == 0) break; /* it shrank: what is there is what there is */
        got += n;
    }
    close(fd);
    if (s) {
        sc_free(p);
        return s;
    }
    p[got] = 0;
    *data = p;
    *len = got;
    return SC_OK;
}

static void unmap(sc_buffer *b) { munmap(b->data, (size_t)b->size); }

void sc_file_forget(const sc_buffer *b, const void *p, int64_t n)
{
    if (!b || b->free != unmap) return;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), first = ((uintptr_t)p + page - 1) / page * page,
              end = ((uintptr_t)p + (uintptr_t)n) / page * page;
    if (end > first) (void)madvise((char *)b->data + (first - (uintptr_t)b->data), end - first, MADV_DONTNEED);
}

sc_status sc_file_map(sc_buffer **out, const char *path)
{
    int fd;
    int64_t size;
    sc_status s = open_regular(&fd, &size, path);
    if (s) return s;
    if (size == 0) {
        close(fd);
        return sc_buffer_new(out, 0);
    }
    void *p = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, fd, 0);
    s = p == MAP_FAILED ? io_fail(path, "map") : SC_OK;
    close(fd);
    if (s) return s;
    s = sc_buffer_wrap(out, p, size, unmap, NULL);
    if (s) munmap(p, (size_t)size);
    return s;
}

/* ---- atomic writer ---- */

struct sc_writer {
    int fd;
    char *path, *temp;
    unsigned char *buf;
    int64_t used, total;
};
enum { WRITE_BUFFER = 1 << 20 };

static sc_status write_all(sc_writer *w, const void *p, int64_t n)
{
    const char *c = p;
    while (n > 0) {
        ssize_t k = write(w->fd, c, (size_t)SC_MIN(n, 1 << 30));
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return io_fail(w->path, "write");
        c += k;
        n -= k;
    }
    return SC_OK;
}

/* A new file beside the one to be, with the permissions of what it replaces, else those that any new file gets (mkstemp's
 * would be the owner's alone): mode, or 0. */
static sc_status open_beside(sc_writer *w, mode_t mode)
{
    static atomic_uint count;
    for (int tries = 0; tries < 100; tries++) {
        sc_str name = {0};
        sc_str_printf(&name, "%s.partial.%ld.%u", w->path, (long)getpid(), atomic_fetch_add(&count, 1));
        sc_free(w->temp);
        if (!(w->temp = sc_str_take(&name, NULL))) return sc_nomem();
        w->fd = open(w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (w->fd >= 0) return !mode || fchmod(w->fd, mode) == 0 ? SC_OK : io_fail(w->path, "write beside it");
        if (errno != EEXIST) break;
    }
    return io_fail(w->path, "write beside it");
}

/* A device or a pipe is written to where it is: a file put in its place would remove it. */
static sc_status open_in_place(sc_writer *w)
{
    if (sc_path_is_dir(w->path)) return sc_fail(SC_EINVAL, "%s: is a folder", w->path);
    w->fd = open(w->path, O_WRONLY | O_CLOEXEC);
    return w->fd >= 0 ? SC_OK : io_fail(w->path, "write");
}

sc_status sc_writer_open(sc_writer **out, const char *path)
{
    struct stat st;
    sc_writer *w = sc_calloc(1, sizeof *w);
    if (!w) return sc_nomem();
    w->fd = -1;
    bool there = stat(path, &st) == 0, special = there && !S_ISREG(st.st_mode);
    /* Through a link, to the file itself: renaming over the link would replace it. */
    char *real = special ? NULL : realpath(path, NULL);
    w->path = sc_strdup(real ? real : path);
    free(real);
    w->buf = sc_malloc(WRITE_BUFFER);
    sc_status s = !w->path || !w->buf ? sc_nomem()
                  : special           ? open_in_place(w)
                                      : open_beside(w, there ? st.st_mode & 0777 : 0);
    if (s) {
        if (w->temp && w->fd < 0) w->temp[0] = 0;
        sc_writer_close(w);
        return s;
    }
    *out = w;
    return SC_OK;
}

static sc_status flush(sc_writer *w)
{
    sc_status s = write_all(w, w->buf, w->used);
    w->used = 0;
    return s;
}

sc_status sc_writer_write(sc_writer *w, const void *p, int64_t n)
{
    sc_status s;
    if (w->used + n > WRITE_BUFFER && (s = flush(w))) return s;
    w->total += n;
    if (n >= WRITE_BUFFER) return write_all(w, p, n);
    if (n) memcpy(w->buf + w->used, p, (size_t)n);
    w->used += n;
    return SC_OK;
}

int64_t sc_writer_tell(const sc_writer *w) { return w->total; }

sc_status sc_writer_commit(sc_writer *w)
{
    sc_status s = flush(w);
    if (s) return s;
    if (fsync(w->fd) != 0 && w->temp) return io_fail(w->path, "sync"); /* not every device can */
    if (close(w->fd) != 0) {
        w->fd = -1;
        return io_fail(w->path, "close");
    }
    w->fd = -1;
    if (!w->temp) return SC_OK;
    if (rename(w->temp, w->path) != 0) return io_fail(w->path, "put in place");
    w->temp[0] = 0;
    /* The new name must reach the disk too. Failing to open the folder is no loss of data. */
    char *slash = strrchr(w->path, '/');
    int dir;
    if (slash) {
        *slash = 0;
        dir = open(w->path[0] ? w->path : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        *slash = '/';
    } else {
        dir = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (dir >= 0) {
        fsync(dir);
        close(dir);
    }
    return SC_OK;
}

void sc_writer_close(sc_writer *w)
{
    if (!w) return;
    if (w->fd >= 0) close(w->fd);
    if (w->temp && w->temp[0]) unlink(w->temp);
    sc_free(w->path);
    sc_free(w->temp);
    sc_free(w->buf);
    sc_free(w);
}

sc_status sc_file_write(const char *path, const void *p, int64_t n)
{
    sc_writer *w;
    sc_status s = sc_writer_open(&w, path);
    if (s) return s;
    if (!(s = sc_writer_write(w, p, n))) s = sc_writer_commit(w);
    sc_writer_close(w);
    return s;
}
