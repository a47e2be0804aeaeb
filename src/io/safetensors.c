/* SPDX-License-Identifier: Apache-2.0 */
/* Reading safetensors: one file or the shards of an index, mapped, checked, and looked up by name. */
#include "io/io.h"

#include <stdlib.h>
#include <sys/stat.h>

#define HEADER_MAX 100000000LL /* what the format's own library takes */
#define INDEX_MAX  (32LL << 20)
#define SHARDS_MAX 4096

struct sc_safetensors {
    char *path;
    sc_st_header h;
    sc_st_tensor **by_name; /* sorted: no hash that a file could flood */
    sc_buffer **buffer;     /* each shard's map, and what had to be copied out of it */
    int64_t buffers, buffers_cap;
};

/* ---- one file ---- */

static int compare_begin(const void *a, const void *b)
{
    const sc_st_tensor *x = *(sc_st_tensor *const *)a, *y = *(sc_st_tensor *const *)b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return x->end < y->end ? -1 : x->end > y->end;
}

/* The tensors must cover the data section exactly: no holes to hide things in, no overlap. */
static sc_status check_cover(sc_st_tensor *x, int64_t n, int64_t size)
{
    sc_st_tensor **sorted = sc_malloc((size_t)n * sizeof *sorted);
    if (!sorted) return sc_nomem();
    for (int64_t i = 0; i < n; i++) sorted[i] = &x[i];
    qsort(sorted, (size_t)n, sizeof *sorted, compare_begin);
    int64_t at = 0;
    sc_status e = SC_OK;
    for (int64_t i = 0; i < n && !e; i++) {
        const sc_st_tensor *t = sorted[i];
        if (t->end > size)
            e = sc_fail(SC_EFORMAT, "tensor '%.200s': ends at byte %lld of a data section of %lld (cut file?)",
                        t->t.name, (long long)t->end, (long long)size);
        else if (t->begin != at)
            e = sc_fail(SC_EFORMAT, "tensor '%.200s': begins at byte %lld, %s %lld", t->t.name, (long long)t->begin,
                        t->begin < at ? "inside the one before, which ends at" : "leaving a hole after",
                        (long long)at);
        at = t->end;
    }
    if (!e && at != size)
        e = sc_fail(SC_EFORMAT, "the tensors end at byte %lld of a data section of %lld", (long long)at,
                    (long long)size);
    sc_free(sorted);
    return e;
}

static int64_t alignment_of(const sc_file_tensor *t)
{
    const sc_dtype_info *d = sc_dtype_get(t->dtype);
    return d && d->block == 1 ? d->bytes : 1;
}

static sc_status keep_buffer(sc_safetensors *st, sc_buffer *b)
{
    if (!sc_grow(&st->buffer, &st->buffers_cap, st->buffers + 1, sizeof *st->buffer)) {
        sc_buffer_unref(b);
        return sc_nomem();
    }
    st->buffer[st->buffers++] = b;
    return SC_OK;
}

/* Files whose header was not padded have tensors at odd addresses; those are copied to where they can be used. */
static sc_status align_tensors(sc_safetensors *st, sc_st_tensor *x, int64_t n)
{
    int64_t total = 0, at = 0;
    for (int64_t i = 0; i < n; i++)
        if ((uintptr_t)x[i].t.data % (uintptr_t)alignment_of(&x[i].t)) total += (x[i].t.bytes + 63) / 64 * 64;
    if (!total) return SC_OK;
    sc_buffer *copy;
    sc_status e = sc_buffer_new(&copy, total);
    if (e || (e = keep_buffer(st, copy))) return e;
    for (int64_t i = 0; i < n; i++) {
        if ((uintptr_t)x[i].t.data % (uintptr_t)alignment_of(&x[i].t) == 0) continue;
        memcpy((char *)copy->data + at, x[i].t.data, (size_t)x[i].t.bytes);
        x[i].t.data = (char *)copy->data + at;
        x[i].buf = copy;
        at += (x[i].t.bytes + 63) / 64 * 64;
    }
    return SC_OK;
}

static sc_status read_mapped(sc_safetensors *st, sc_buffer *map)
{
    const char *p = map->data;
    uint64_t header;
    if (map->size < 8)
        return sc_fail(SC_EFORMAT, "%lld bytes are too few for a safetensors file", (long long)map->size);
    memcpy(&header, p, 8);
    if (header > HEADER_MAX)
        return sc_fail(SC_ELIMIT, "header of %llu bytes, the limit is %lld (not a safetensors file?)",
                       (unsigned long long)header, HEADER_MAX);
    int64_t n = (int64_t)header, first = st->h.count;
    if (n > map->size - 8)
        return sc_fail(SC_EFORMAT, "header of %lld bytes in a file of %lld (cut file?)", (long long)n,
                       (long long)map->size);
    sc_status e = sc_st_header_parse(&st->h, p + 8, n);
    if (e) return e;
    sc_st_tensor *x = st->h.tensor + first;
    int64_t count = st->h.count - first;
    if ((e = check_cover(x, count, map->size - 8 - n))) return e;
    for (int64_t i = 0; i < count; i++) {
        x[i].t.data = p + 8 + n + x[i].begin;
        x[i].buf = map;
    }
    return align_tensors(st, x, count);
}

/* Takes the reference. */
static sc_status read_bytes(sc_safetensors *st, sc_buffer *bytes, const char *name)
{
    sc_status e = keep_buffer(st, bytes);
    if (e) return e;
    return (e = read_mapped(st, bytes)) ? sc_fail_in(e, "%s", name) : SC_OK;
}

static sc_status read_file(sc_safetensors *st, const char *path)
{
    sc_buffer *map;
    sc_status e = sc_file_map(&map, path);
    return e ? e : read_bytes(st, map, path);
}

/* ---- names ---- */

static int compare_name(const void *a, const void *b)
{
    return strcmp((*(sc_st_tensor *const *)a)->t.name, (*(sc_st_tensor *const *)b)->t.name);
}

static sc_status sort_names(sc_safetensors *st)
{
    int64_t n = st->h.count;
    st->by_name = sc_malloc((size_t)n * sizeof *st->by_name);
    if (!st->by_name) return sc_nomem();
    for (int64_t i = 0; i < n; i++) st->by_name[i] = &st->h.tensor[i];
    qsort(st->by_name, (size_t)n, sizeof *st->by_name, compare_name);
    for (int64_t i = 1; i < n; i++)
        if (!strcmp(st->by_name[i - 1]->t.name, st->by_name[i]->t.name))
            return sc_fail(SC_EFORMAT, "%s: tensor '%.200s' is given twice", st->path, st->by_name[i]->t.name);
    return SC_OK;
}

static sc_st_tensor *lookup(const sc_safetensors *st, const char *name)
{
    sc_st_tensor key = {.t.name = name}, *k = &key;
    sc_st_tensor **at = bsearch(&k, st->by_name, (size_t)st->h.count, sizeof *st->by_name, compare_name);
    return at ? *at : NULL;
}

/* ---- shards ---- */

static bool inside(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return !strncmp(path, dir, n) && (path[n] == '/' || (n && dir[n - 1] == '/'));
}

/* A link may stay in its directory, or be the HuggingFace cache's own kind: in …/snapshots/COMMIT, into …/blobs. */
static sc_status check_link(const char *dir, const char *path)
{
    struct stat info;
    if (lstat(path, &info) || !S_ISLNK(info.st_mode)) return SC_OK; /* a missing file fails when it is mapped */
    char *real_dir = realpath(dir, NULL), *real = realpath(path, NULL);
    bool ok = false;
    if (!real) ok = true;
    if (real && real_dir) {
        ok = inside(real, real_dir);
        char *slash = strrchr(real_dir, '/');
        if (!ok && slash && slash != real_dir) {
            *slash = 0;
            char *up = strrchr(real_dir, '/');
            if (up && !strcmp(up, "/snapshots")) {
                *up = 0;
                ok = inside(real, real_dir) && !strncmp(real + strlen(real_dir), "/blobs/", 7);
            }
        }
    }
    free(real);
    free(real_dir);
    return ok ? SC_OK : sc_fail(SC_EFORMAT, "%s: this shard is a link that leads out of its directory", path);
}

static sc_status check_shard_name(const char *index, const json_t *name)
{
    const char *s = json_string_value(name);
    if (!s) return sc_fail(SC_EFORMAT, "%s: weight_map: a shard's name is not a text", index);
    if (strlen(s) != json_string_length(name) || !*s || *s == '.' || strchr(s, '/') || strchr(s, '\\'))
        return sc_fail(SC_EFORMAT, "%s: weight_map: shard name '%.200s' is not a plain file name", index, s);
    return SC_OK;
}

/* Reads each shard that weight_map names, once; shards[] holds their names, borrowed from the map. */
static sc_status read_shards(sc_safetensors *st, const char *index, const char *dir, const json_t *map)
{
    sc_map seen = {0};
    const char *key;
    json_t *value;
    sc_status e = SC_OK;
    json_object_foreach((json_t *)map, key, value)
    {
        int64_t at;
        if ((e = check_shard_name(index, value))) break;
        const char *shard = json_string_value(value);
        int64_t n = (int64_t)json_string_length(value);
        if (sc_map_get(&seen, shard, n, &at)) continue;
        if (seen.count == SHARDS_MAX) {
            e = sc_fail(SC_ELIMIT, "%s: more than %d shards", index, SHARDS_MAX);
            break;
        }
        char *path = sc_path_join(dir, shard);
        if (!path || !sc_map_put(&seen, shard, n, 1))
            e = sc_nomem();
        else if (!(e = check_link(dir, path)))
            e = read_file(st, path);
        sc_free(path);
        if (e) break;
    }
    sc_map_free(&seen);
    return e;
}

static sc_status check_index(const sc_safetensors *st, const char *index, const json_t *map)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)map, key, value)
    {
        if (!lookup(st, key))
            return sc_fail(SC_EFORMAT, "%s: tensor '%.200s' is not in its shard '%.200s'", index, key,
                           json_string_value(value));
    }
    return SC_OK;
}

static sc_status open_index(sc_safetensors *st, const char *index)
{
    json_t *root;
    sc_status e = sc_json_read(&root, index, INDEX_MAX);
    if (e) return e;
    const char *base = sc_path_base(index);
    char *dir = base == index ? sc_strdup(".") : sc_strndup(index, (size_t)(base - index));
    const json_t *map = json_object_get(root, "weight_map");
    if (!dir)
        e = sc_nomem();
    else if (!json_is_object(map) || json_object_size(map) == 0)
        e = sc_fail(SC_EFORMAT, "%s: weight_map is missing, empty or not an object", index);
    else if (!(e = read_shards(st, index, dir, map)) && !(e = sort_names(st)))
        e = check_index(st, index, map);
    sc_free(dir);
    json_decref(root);
    return e;
}

/* ---- the public face ---- */

/* The weight file of a directory, owned. */
static sc_status find_in_dir(char **out, const char *dir)
{
    static const char *const names[] = {
        "model.safetensors",
        "model.safetensors.index.json",
        "diffusion_pytorch_model.safetensors",
        "diffusion_pytorch_model.safetensors.index.json",
        "adapter_model.safetensors",
    };
    for (int i = 0; i < SC_COUNT(names); i++) {
        char *path = sc_path_join(dir, names[i]);
        if (!path) return sc_nomem();
        if (sc_path_exists(path)) {
            *out = path;
            return SC_OK;
        }
        sc_free(path);
    }
    return sc_fail(SC_ENOTFOUND, "%s: holds no model.safetensors and no index of shards", dir);
}

sc_status sc_safetensors_open(sc_safetensors **out, const char *path)
{
    if (!out || !path) return sc_fail(SC_EINVAL, "sc_safetensors_open: NULL argument");
    sc_safetensors *st = sc_calloc(1, sizeof *st);
    if (!st) return sc_nomem();
    sc_status e = SC_OK;
    if (!(st->h.arena = sc_arena_new()))
        e = sc_nomem();
    else if (sc_path_is_dir(path))
        e = find_in_dir(&st->path, path);
    else if (!(st->path = sc_strdup(path)))
        e = sc_nomem();
    if (e) goto fail;
    if (sc_path_has_suffix(st->path, ".json")) {
        e = open_index(st, st->path);
    } else if (!(e = read_file(st, st->path))) {
        e = sort_names(st);
    }
    if (e) goto fail;
    *out = st;
    return SC_OK;
fail:
    sc_safetensors_free(st);
    return e;
}

sc_status sc_safetensors_open_buffer(sc_safetensors **out, sc_buffer *bytes, const char *name)
{
    sc_safetensors *st = sc_calloc(1, sizeof *st);
    if (!st) return sc_nomem();
    sc_status e = SC_OK;
    st->h.arena = sc_arena_new();
    st->path = sc_strdup(name);
    if (!st->h.arena || !st->path)
        e = sc_nomem();
    else if (!(e = read_bytes(st, sc_buffer_ref(bytes), name)))
        e = sort_names(st);
    if (e) {
        sc_safetensors_free(st);
        return e;
    }
    *out = st;
    return SC_OK;
}

void sc_safetensors_free(sc_safetensors *st)
{
    if (!st) return;
    for (int64_t i = 0; i < st->buffers; i++) sc_buffer_unref(st->buffer[i]);
    sc_free(st->buffer);
    sc_free(st->by_name);
    sc_free(st->h.tensor);
    sc_free(st->h.meta);
    sc_arena_free(st->h.arena);
    sc_free(st->path);
    sc_free(st);
}

int64_t sc_safetensors_count(const sc_safetensors *st) { return st ? st->h.count : 0; }

const sc_file_tensor *sc_safetensors_get(const sc_safetensors *st, int64_t i)
{
    return st && i >= 0 && i < st->h.count ? &st->h.tensor[i].t : NULL;
}

sc_buffer *sc_safetensors_buffer(const sc_safetensors *st, int64_t i)
{
    return st && i >= 0 && i < st->h.count ? st->h.tensor[i].buf : NULL;
}

const sc_file_tensor *sc_safetensors_any(const sc_safetensors *st, const char *name)
{
    const sc_st_tensor *x = lookup(st, name);
    return x ? &x->t : NULL;
}

sc_status sc_safetensors_find(const sc_safetensors *st, const char *name, const sc_file_tensor **out)
{
    if (!st || !name || !out) return sc_fail(SC_EINVAL, "sc_safetensors_find: NULL argument");
    const sc_st_tensor *x = lookup(st, name);
    if (!x) return sc_fail(SC_ENOTFOUND, "%s: no tensor '%.200s'", st->path, name);
    if (x->t.dtype == SC_DTYPE_COUNT)
        return sc_fail(SC_EUNSUPPORTED, "%s: tensor '%.200s': type %.40s is not supported", st->path, name,
                       x->t.type);
    *out = &x->t;
    return SC_OK;
}

int64_t sc_safetensors_meta_count(const sc_safetensors *st) { return st ? st->h.meta_count / 2 : 0; }

sc_status sc_safetensors_meta_at(const sc_safetensors *st, int64_t i, const char **key, const char **value)
{
    if (!st || !key || !value || i < 0 || i >= st->h.meta_count / 2)
        return sc_fail(SC_EINVAL, "sc_safetensors_meta_at: no text %lld", (long long)i);
    *key = st->h.meta[2 * i];
    *value = st->h.meta[2 * i + 1];
    return SC_OK;
}

const char *sc_safetensors_meta(const sc_safetensors *st, const char *key)
{
    for (int64_t i = 0; st && key && i < st->h.meta_count; i += 2)
        if (!strcmp(st->h.meta[i], key)) return st->h.meta[i + 1];
    return NULL;
}
