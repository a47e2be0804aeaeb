/* SPDX-License-Identifier: Apache-2.0 */
/* Sources' files, in the order of their names, divided into parts of about one size. */
#include "data/run.h"

#include <dirent.h>
#include <errno.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { MOST_DEPTH = 64, MOST_FILES = 50000000 };

void sc_parts_free(sc_parts *p)
{
    for (int64_t i = 0; i < p->n_files; i++) sc_free(p->file[i].path);
    sc_free(p->file);
    sc_free(p->slice);
    sc_free(p->part);
    *p = (sc_parts){0};
}

typedef struct making {
    sc_parts *p;
    const sc_config *c;
    int source;
    bool named; /* the file was named itself, not found in a folder */
} making;

static sc_status add_file(const making *m, const char *path, const struct stat *st)
{
    const sc_source *source = &m->c->source[m->source];
    bool packed;
    const sc_format *f = sc_format_of(path, &packed);
    if (source->format) f = source->format;
    if (!f && !m->named) return SC_OK; /* a folder may hold other things too */
    if (!f) return sc_fail(SC_EINVAL, "%s: the name tells no format; the source needs \"format\"", path);
    sc_settings x;
    sc_status s = sc_source_settings(source, f, &x);
    if (s) return s;
    sc_parts *p = m->p;
    if (p->n_files >= MOST_FILES) return sc_fail(SC_ELIMIT, "more than %d files", MOST_FILES);
    char *real = realpath(path, NULL), *own = sc_strdup(real ? real : path);
    free(real);
    if (!own || !sc_grow(&p->file, &p->cap_files, p->n_files + 1, sizeof *p->file)) {
        sc_free(own);
        return sc_nomem();
    }
    p->file[p->n_files++] = (sc_parts_file){.path = own,
                                            .size = st->st_size,
                                            .time = st->st_mtim.tv_sec * 1000000000LL + st->st_mtim.tv_nsec,
                                            .source = m->source,
                                            .format = f,
                                            .packed = packed};
    return SC_OK;
}

static sc_status add_path(making *m, const char *path, int depth);

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static sc_status names_in(const char *path, char ***out, int64_t *n)
{
    char **name = NULL;
    int64_t cap = 0;
    struct dirent *e;
    DIR *d = opendir(path);
    if (!d) return sc_fail(SC_EIO, "cannot read %s: %s", path, strerror(errno));
    sc_status s = SC_OK;
    *n = 0;
    while (!s && (e = readdir(d))) {
        if (e->d_name[0] == '.') continue;
        if (!sc_grow(&name, &cap, *n + 1, sizeof *name) || !(name[*n] = sc_strdup(e->d_name)))
            s = sc_nomem();
        else
            ++*n;
    }
    closedir(d);
    if (*n) qsort(name, (size_t)*n, sizeof *name, by_name);
    *out = name;
    return s;
}

static sc_status add_folder(making *m, const char *path, int depth)
{
    char **name;
    int64_t n;
    if (depth > MOST_DEPTH) return sc_fail(SC_ELIMIT, "%s: folders deeper than %d", path, MOST_DEPTH);
    sc_status s = names_in(path, &name, &n);
    bool named = m->named;
    m->named = false;
    for (int64_t i = 0; i < n; i++) {
        char *inner = s ? NULL : sc_path_join(path, name[i]);
        if (!s) s = inner ? add_path(m, inner, depth + 1) : sc_nomem();
        sc_free(inner);
        sc_free(name[i]);
    }
    m->named = named;
    sc_free(name);
    return s;
}

static sc_status add_path(making *m, const char *path, int depth)
{
    struct stat st;
    if (stat(path, &st))
        return sc_fail(errno == ENOENT ? SC_ENOTFOUND : SC_EIO, "cannot read %s: %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode)) return add_folder(m, path, depth);
    if (S_ISREG(st.st_mode)) return add_file(m, path, &st);
    return m->named ? sc_fail(SC_EINVAL, "%s is neither a file nor a folder", path) : SC_OK;
}

static sc_status add_pattern(making *m, const char *pattern)
{
    glob_t g = {0};
    sc_status s = SC_OK;
    if (sc_path_exists(pattern)) return add_path(m, pattern, 0);
    int e = glob(pattern, GLOB_BRACE | GLOB_TILDE, NULL, &g);
    if (e == GLOB_NOSPACE)
        s = sc_nomem();
    else if (e)
        s = sc_fail(SC_ENOTFOUND, "no file %s", pattern);
    for (size_t i = 0; !s && i < g.gl_pathc; i++) s = add_path(m, g.gl_pathv[i], 0);
    globfree(&g);
    return s;
}

static sc_status add_sources(sc_parts *p, const sc_config *c)
{
    for (int i = 0; i < c->n_sources; i++) {
        making m = {p, c, i, true};
        sc_settings x = {.where = c->source[i].where, .json = c->source[i].json};
        int64_t before = p->n_files;
        for (int k = 0; k < sc_setting_count(&x, "path"); k++) {
            sc_status s = add_pattern(&m, sc_setting_item(&x, "path", k));
            if (s) return sc_fail_in(s, "%s", x.where);
        }
        if (p->n_files == before)
            return sc_fail(SC_ENOTFOUND, "%s: no files in %s", x.where, sc_setting_item(&x, "path", 0));
    }
    return SC_OK;
}

/* ---- parts ---- */

static sc_status add_slice(sc_parts *p, int64_t *filled, int64_t most, sc_slice s)
{
    int64_t n = s.to - s.from;
    if (!p->n_parts || *filled + n > most) {
        if (!sc_grow(&p->part, &p->cap_parts, p->n_parts + 2, sizeof *p->part)) return sc_nomem();
        p->part[p->n_parts++] = p->n_slices;
        *filled = 0;
    }
    if (!sc_grow(&p->slice, &p->cap_slices, p->n_slices + 1, sizeof *p->slice)) return sc_nomem();
    p->slice[p->n_slices++] = s;
    p->part[p->n_parts] = p->n_slices;
    p->bytes += n;
    *filled += n;
    return SC_OK;
}

static sc_status divide(sc_parts *p, int64_t most)
{
    int64_t filled = 0;
    sc_status s = SC_OK;
    for (int64_t i = 0; !s && i < p->n_files; i++) {
        const sc_parts_file *f = &p->file[i];
        int64_t step = f->format->divisible && !f->packed ? most : SC_MAX(f->size, 1);
        for (int64_t at = 0; !s && (at < f->size || at == 0); at += step)
            s = add_slice(p, &filled, most, (sc_slice){(int)i, at, SC_MIN(f->size, at + step)});
    }
    return s;
}

sc_status sc_parts_make(sc_parts *p, const sc_config *c)
{
    *p = (sc_parts){0};
    sc_status s = add_sources(p, c);
    if (!s) s = divide(p, c->part);
    if (s) sc_parts_free(p);
    return s;
}

json_t *sc_parts_json(const sc_parts *p, const sc_config *c)
{
    json_t *files = json_array();
    for (int64_t i = 0; i < p->n_files; i++)
        json_array_append_new(
            files, json_pack("[s,I,I]", p->file[i].path, (json_int_t)p->file[i].size, (json_int_t)p->file[i].time));
    json_t *config = json_deep_copy(c->json);
    json_object_del(config, "memory"); /* changes no result */
    return json_pack("{s:i,s:o,s:o}", "version", 1, "config", config, "files", files);
}
