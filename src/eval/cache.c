/* SPDX-License-Identifier: Apache-2.0 */
/* Finished requests: a line of JSON each, appended when it is finished, so that a run that was stopped goes on where it was. */
#include "eval/eval.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST_BYTES ((int64_t)4 << 30)
enum { KEY = 32 };

struct sc_eval_cache {
    char *path; /* NULL: in memory alone */
    int fd;
    sc_map index; /* key to place */
    struct entry {
        char key[KEY + 1];
        json_t *value;
    } * *entry; /* each alone: keys do not move */
    int64_t n, cap;
};

void sc_eval_cache_key(char key[KEY + 1], const char *const *part, int n)
{
    sc_str all = {0};
    for (int i = 0; i < n; i++) {
        sc_str_printf(&all, "%zu:", strlen(part[i]));
        sc_str_puts(&all, part[i]);
    }
    sc_str_putc(&all, 'a');
    uint64_t a = sc_hash(all.p ? all.p : "", all.len);
    if (all.p && all.len) all.p[all.len - 1] = 'b';
    uint64_t b = sc_hash(all.p ? all.p : "", all.len);
    snprintf(key, KEY + 1, "%016llx%016llx", (unsigned long long)a, (unsigned long long)b);
    sc_str_free(&all);
}

/* Takes value. */
static sc_status keep(sc_eval_cache *c, const char *key, json_t *value)
{
    struct entry *e = sc_malloc(sizeof *e);
    if (!e || !sc_grow(&c->entry, &c->cap, c->n + 1, sizeof *c->entry)) {
        sc_free(e);
        json_decref(value);
        return sc_nomem();
    }
    memcpy(e->key, key, KEY);
    e->key[KEY] = 0;
    e->value = value;
    c->entry[c->n] = e;
    return sc_map_put(&c->index, e->key, KEY, c->n++) ? SC_OK : sc_nomem();
}

/* One line of the file; what is not one of ours is passed over. */
static sc_status take_line(sc_eval_cache *c, const char *p, int64_t n)
{
    json_error_t error;
    json_t *o = json_loadb(p, (size_t)n, JSON_REJECT_DUPLICATES, &error), *v = json_object_get(o, "v");
    const char *key = json_string_value(json_object_get(o, "k"));
    sc_status s = SC_OK;
    if (key && v && strlen(key) == KEY) s = keep(c, key, json_incref(v));
    json_decref(o);
    return s;
}

static sc_status load(sc_eval_cache *c)
{
    char *data;
    int64_t n;
    if (!sc_path_exists(c->path)) return SC_OK;
    sc_status s = sc_file_read(&data, &n, c->path, MOST_BYTES);
    if (s) return s;
    for (int64_t at = 0; !s && at < n;) {
        const char *end = memchr(data + at, '\n', (size_t)(n - at));
        int64_t len = (end ? end - data : n) - at;
        if (end) s = take_line(c, data + at, len); /* a line without its end is torn */
        at += len + 1;
    }
    bool torn = n > 0 && data[n - 1] != '\n';
    sc_free(data);
    if (!s && torn && write(c->fd, "\n", 1) != 1) s = sc_fail(SC_EIO, "%s: %s", c->path, strerror(errno));
    return s;
}

sc_status sc_eval_cache_open(sc_eval_cache **out, const char *path)
{
    sc_eval_cache *c = sc_calloc(1, sizeof *c);
    sc_status s = c ? SC_OK : sc_nomem();
    if (!s) c->fd = -1;
    if (!s && path) {
        if (!(c->path = sc_strdup(path)))
            s = sc_nomem();
        else if ((c->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666)) < 0)
            s = sc_fail(SC_EIO, "%s: %s", path, strerror(errno));
        else
            s = load(c);
    }
    if (s)
        sc_eval_cache_close(c);
    else
        *out = c;
    return s;
}

void sc_eval_cache_close(sc_eval_cache *c)
{
    if (!c) return;
    for (int64_t i = 0; i < c->n; i++) {
        json_decref(c->entry[i]->value);
        sc_free(c->entry[i]);
    }
    if (c->fd >= 0) close(c->fd);
    sc_free(c->entry);
    sc_map_free(&c->index);
    sc_free(c->path);
    sc_free(c);
}

const json_t *sc_eval_cache_get(const sc_eval_cache *c, const char *key)
{
    int64_t at;
    return sc_map_get(&c->index, key, KEY, &at) ? c->entry[at]->value : NULL;
}

sc_status sc_eval_cache_put(sc_eval_cache *c, const char *key, json_t *value)
{
    if (!value) return sc_nomem();
    sc_status s = SC_OK;
    if (c->fd >= 0) {
        json_t *o = json_pack("{s:s, s:O}", "k", key, "v", value);
        char *line = o ? json_dumps(o, JSON_COMPACT) : NULL;
        size_t n = line ? strlen(line) : 0;
        if (line) line[n] = '\n'; /* in place of its NUL: it goes out in one piece */
        for (size_t done = 0; !s && line && done <= n;) {
            ssize_t k = write(c->fd, line + done, n + 1 - done);
            if (k < 0 && errno == EINTR) continue;
            if (k < 0) s = sc_fail(SC_EIO, "%s: %s", c->path, strerror(errno));
            if (k > 0) done += (size_t)k;
        }
        if (!line) s = sc_nomem();
        free(line);
        json_decref(o);
    }
    if (s) {
        json_decref(value);
        return s;
    }
    return keep(c, key, value);
}
