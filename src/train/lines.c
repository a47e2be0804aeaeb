/* SPDX-License-Identifier: Apache-2.0 */
#include "train/run.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static sc_status fail(const sc_lines *l, const char *what)
{
    return sc_fail(SC_EIO, "%s: cannot %s: %s", l->path, what, strerror(errno));
}

static sc_status shorten(sc_lines *l, int64_t size)
{
    if (ftruncate(l->fd, size) != 0 || lseek(l->fd, size, SEEK_SET) < 0) return fail(l, "cut it back");
    l->size = size;
    return SC_OK;
}

sc_status sc_lines_cut(sc_lines *l, int64_t step, void (*each)(void *user, const json_t *line), void *user)
{
    sc_buffer *file;
    int64_t kept = 0;
    sc_status s = sc_file_map(&file, l->path);
    if (s) return s;
    const char *text = file->data;
    while (kept < file->size) {
        const char *end = memchr(text + kept, '\n', (size_t)(file->size - kept));
        if (!end) break; /* a line that was not finished */
        json_t *o = json_loadb(text + kept, (size_t)(end - (text + kept)), 0, NULL);
        bool stays = json_is_object(o) && json_integer_value(json_object_get(o, "step")) <= step;
        if (stays && each) each(user, o);
        json_decref(o);
        if (!stays) break;
        kept = end - text + 1;
    }
    sc_buffer_unref(file);
    return shorten(l, kept);
}

sc_status sc_lines_open(sc_lines *l, const char *dir, const char *name, int64_t step,
                        void (*each)(void *user, const json_t *line), void *user)
{
    l->fd = -1;
    if (!(l->path = sc_path_join(dir, name))) return sc_nomem();
    if ((l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) < 0) return fail(l, "write");
    return sc_lines_cut(l, step, each, user);
}

sc_status sc_lines_put(sc_lines *l, const json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9));
    if (!text) return sc_nomem();
    sc_status s = SC_OK;
    int64_t n = (int64_t)strlen(text);
    text[n++] = '\n'; /* in place of its NUL */
    if (write(l->fd, text, (size_t)n) == n)
        l->size += n;
    else {
        s = fail(l, "write");
        (void)!ftruncate(l->fd, l->size);
        lseek(l->fd, l->size, SEEK_SET);
    }
    sc_free(text);
    return s;
}

void sc_lines_close(sc_lines *l)
{
    if (l->path && l->fd >= 0) close(l->fd);
    sc_free(l->path);
    *l = (sc_lines){0};
}
