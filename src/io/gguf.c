/* SPDX-License-Identifier: Apache-2.0 */
/* Reading GGUF: header, metadata and tensor table checked once over the map; values are decoded when asked for. */
#include "io/io.h"

#include <stdlib.h>

#define KEYS_MAX       65536
#define NAME_MAX_BYTES 65535
#define NEST_MAX       4
#define ALIGN_DEFAULT  32
#define ALIGN_MAX      65536

typedef sc_gguf_entry entry;

typedef struct info {
    sc_file_tensor t;
    uint64_t offset;
} info;

struct sc_gguf {
    char *path;
    sc_buffer *map;
    sc_arena *arena;
    int version;
    int64_t keys, tensors;
    entry *key;
    info *tensor;
    entry **key_by_name; /* sorted: no hash that a file could flood */
    info **tensor_by_name;
};

/* ---- the cursor ---- */

typedef struct cursor {
    const unsigned char *p;
    int64_t at, end;
} cursor;

static const void *take(cursor *c, int64_t n)
{
    if (n < 0 || n > c->end - c->at) return NULL;
    const void *p = c->p + c->at;
    c->at += n;
    return p;
}

static sc_status cut(const cursor *c, const char *what)
{
    return sc_fail(SC_EFORMAT, "%s at byte %lld: the file ends before it does (cut file?)", what, (long long)c->at);
}

static sc_status take_u32(cursor *c, uint32_t *out, const char *what)
{
    const void *p = take(c, 4);
    if (!p) return cut(c, what);
    memcpy(out, p, 4);
    return SC_OK;
}

static sc_status take_u64(cursor *c, uint64_t *out, const char *what)
{
    const void *p = take(c, 8);
    if (!p) return cut(c, what);
    memcpy(out, p, 8);
    return SC_OK;
}

static sc_status take_text(cursor *c, sc_gguf_text *out, const char *what)
{
    uint64_t n;
    sc_status e = take_u64(c, &n, what);
    if (e) return e;
    if (n > (uint64_t)(c->end - c->at)) return cut(c, what);
    *out = (sc_gguf_text){take(c, (int64_t)n), (int64_t)n};
    return SC_OK;
}

/* A key or tensor name, copied with a NUL. */
static sc_status take_name(cursor *c, sc_arena *arena, const char **out, const char *what)
{
    sc_gguf_text s;
    sc_status e = take_text(c, &s, what);
    if (e) return e;
    if (s.n > NAME_MAX_BYTES)
        return sc_fail(SC_ELIMIT, "%s of %lld bytes, the limit is %d", what, (long long)s.n, NAME_MAX_BYTES);
    if (memchr(s.p, 0, (size_t)s.n) || !sc_utf8_valid(s.p, s.n))
        return sc_fail(SC_EFORMAT, "%s at byte %lld is not UTF-8 or has a NUL", what, (long long)(c->at - s.n));
    return (*out = sc_arena_strndup(arena, s.p, (size_t)s.n)) ? SC_OK : sc_nomem();
}

/* ---- metadata ---- */

static const struct {
    const char *name;
    int bytes; /* 0: of varying length */
} types[SC_GGUF_TYPE_COUNT] = {{"u8", 1},  {"i8", 1},  {"u16", 2},  {"i16", 2},    {"u32", 4},
                               {"i32", 4}, {"f32", 4}, {"bool", 1}, {"string", 0}, {"array", 0},
                               {"u64", 8}, {"i64", 8}, {"f64", 8}};

const char *sc_gguf_type_name(sc_gguf_type type)
{
    return (unsigned)type < SC_GGUF_TYPE_COUNT ? types[type].name : "unknown";
}

int sc_gguf_type_bytes(sc_gguf_type type) { return (unsigned)type < SC_GGUF_TYPE_COUNT ? types[type].bytes : 0; }

/* Passes over `count` values of one type. Work is linear in the bytes passed, whatever the counts claim. */
static sc_status skip_values(cursor *c, uint32_t type, uint64_t count, int depth)
{
    if (type >= SC_GGUF_TYPE_COUNT) return sc_fail(SC_EFORMAT, "unknown type %u", type);
    uint64_t left = (uint64_t)(c->end - c->at);
    int64_t least = types[type].bytes ? types[type].bytes : type == SC_GGUF_STRING ? 8 : 12;
    if (count > left / (uint64_t)least)
        return sc_fail(SC_EFORMAT, "%llu values of type %s do not fit in the %llu bytes left (cut file?)",
                       (unsigned long long)count, types[type].name, (unsigned long long)left);
    if (types[type].bytes) {
        c->at += (int64_t)count * types[type].bytes;
        return SC_OK;
    }
    for (uint64_t i = 0; i < count; i++) {
        sc_gguf_text s;
        uint32_t inner;
        uint64_t n;
        sc_status e;
        if (type == SC_GGUF_STRING) {
            if ((e = take_text(c, &s, "string"))) return e;
            continue;
        }
        if (depth == NEST_MAX) return sc_fail(SC_ELIMIT, "arrays nested deeper than %d", NEST_MAX);
        if ((e = take_u32(c, &inner, "array type")) || (e = take_u64(c, &n, "array length")) ||
            (e = skip_values(c, inner, n, depth + 1)))
            return e;
    }
    return SC_OK;
}

static sc_status read_value(sc_gguf *g, cursor *c, entry *x)
{
    uint32_t type, element;
    uint64_t count = 1;
    sc_status e = take_u32(c, &type, "type");
    if (e) return e;
    element = type;
    if (type == SC_GGUF_ARRAY &&
        ((e = take_u32(c, &element, "array type")) || (e = take_u64(c, &count, "array length"))))
        return e;
    int64_t from = c->at;
    if ((e = skip_values(c, element, count, 1))) return e;
    x->v.type = (sc_gguf_type)type;
    x->v.element = (sc_gguf_type)element;
    x->v.count = (int64_t)count;
    x->v.data = c->p + from;
    x->v.bytes = c->at - from;
    if (type != SC_GGUF_STRING) return SC_OK;
    const char *p = (const char *)c->p + from + 8;
    int64_t n = x->v.bytes - 8;
    if (n > SC_GGUF_TEXT_MAX || memchr(p, 0, (size_t)n)) return SC_OK;
    return (x->text = sc_arena_strndup(g->arena, p, (size_t)n)) ? SC_OK : sc_nomem();
}

static int compare_key(const void *a, const void *b)
{
    return strcmp((*(entry *const *)a)->v.key, (*(entry *const *)b)->v.key);
}

static sc_status read_metadata(sc_gguf *g, cursor *c)
{
    g->key = sc_calloc((size_t)g->keys, sizeof *g->key);
    g->key_by_name = sc_calloc((size_t)g->keys, sizeof *g->key_by_name);
    if (!g->key || !g->key_by_name) return sc_nomem();
    for (int64_t i = 0; i < g->keys; i++) {
        entry *x = g->key_by_name[i] = &g->key[i];
        sc_status e = take_name(c, g->arena, &x->v.key, "key");
        if (e) return e;
        if ((e = read_value(g, c, x))) return sc_fail_in(e, "key '%.200s'", x->v.key);
    }
    qsort(g->key_by_name, (size_t)g->keys, sizeof *g->key_by_name, compare_key);
    for (int64_t i = 1; i < g->keys; i++)
        if (!compare_key(&g->key_by_name[i - 1], &g->key_by_name[i]))
            return sc_fail(SC_EFORMAT, "key '%.200s' is given twice", g->key_by_name[i]->v.key);
    return SC_OK;
}

/* ---- tensors ---- */

/* GGUF's types that we list and check but do not compute with. */
static const struct {
    uint32_t id;
    const char *name;
    int block, bytes;
} others[] = {{15, "Q8_K", 256, 292}, {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74}, {18, "IQ3_XXS", 256, 98},
              {19, "IQ1_S", 256, 50}, {21, "IQ3_S", 256, 110},  {22, "IQ2_S", 256, 82},  {24, "I8", 1, 1},
              {25, "I16", 1, 2},      {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},  {34, "TQ1_0", 256, 54},
              {35, "TQ2_0", 256, 66}, {40, "NVFP4", 64, 36},    {41, "Q1_0", 128, 18}};

/* Sets dtype, type's name and bytes (-1 where the type's size is not known). */
static sc_status size_tensor(sc_gguf *g, sc_file_tensor *t, uint32_t type)
{
    int64_t n, block = 0, each = 0;
    sc_status e = sc_shape_count(&n, t->rank, t->dim);
    if (e) return e;
    t->dtype = sc_dtype_from_gguf(type);
    const sc_dtype_info *d = sc_dtype_get(t->dtype);
    if (d) {
        t->type = d->name;
        block = d->block;
        each = d->bytes;
    }
    for (int i = 0; !d && i < SC_COUNT(others); i++) {
        if (others[i].id != type) continue;
        t->type = others[i].name;
        block = others[i].block;
        each = others[i].bytes;
    }
    t->bytes = -1;
    if (!block) return (t->type = sc_arena_printf(g->arena, "number %u", type)) ? SC_OK : sc_nomem();
    int64_t row = t->rank ? t->dim[t->rank - 1] : 1;
    if (row % block)
        return sc_fail(SC_EFORMAT, "rows of %lld values are no multiple of type %s's blocks of %lld",
                       (long long)row, t->type, (long long)block);
    if (!sc_mul_ok(n / block, each, &t->bytes)) return sc_fail(SC_ELIMIT, "more than 2^63 bytes");
    return SC_OK;
}

static sc_status read_tensor(sc_gguf *g, cursor *c, info *x)
{
    sc_file_tensor *t = &x->t;
    uint32_t rank, type;
    sc_status e = take_u32(c, &rank, "rank");
    if (e) return e;
    if (rank > SC_MAX_RANK) return sc_fail(SC_ELIMIT, "rank %u, the limit is %d", rank, SC_MAX_RANK);
    t->rank = (int)rank;
    for (int i = 0; i < SC_MAX_RANK; i++) t->dim[i] = 1;
    for (int i = t->rank - 1; i >= 0; i--) { /* the file has the innermost first */
        uint64_t n;
        if ((e = take_u64(c, &n, "dimension"))) return e;
        t->dim[i] = n > INT64_MAX ? -1 : (int64_t)n;
    }
    if ((e = take_u32(c, &type, "type")) || (e = take_u64(c, &x->offset, "offset"))) return e;
    return size_tensor(g, t, type);
}

static int compare_tensor(const void *a, const void *b)
{
    return strcmp((*(info *const *)a)->t.name, (*(info *const *)b)->t.name);
}

static int compare_offset(const void *a, const void *b)
{
    const info *x = *(info *const *)a, *y = *(info *const *)b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return x->t.bytes < y->t.bytes ? -1 : x->t.bytes > y->t.bytes;
}

/* Gives each tensor its data: inside the file, aligned, apart from the others. Uses tensor_by_name before it is in
 * the order of names. */
static sc_status place_tensors(sc_gguf *g, int64_t data, int64_t align)
{
    uint64_t size = g->map->size > data ? (uint64_t)(g->map->size - data) : 0, end = 0;
    qsort(g->tensor_by_name, (size_t)g->tensors, sizeof *g->tensor_by_name, compare_offset);
    for (int64_t i = 0; i < g->tensors; i++) {
        info *x = g->tensor_by_name[i];
        uint64_t need = x->t.bytes < 0 ? 0 : (uint64_t)x->t.bytes;
        if (x->offset > size || need > size - x->offset)
            return sc_fail(
                SC_EFORMAT, "tensor '%.200s': %llu bytes at offset %llu pass the end of the data, %llu (cut file?)",
                x->t.name, (unsigned long long)need, (unsigned long long)x->offset, (unsigned long long)size);
        if (x->offset % (uint64_t)align)
            return sc_fail(SC_EFORMAT, "tensor '%.200s': offset %llu is no multiple of the alignment %lld",
                           x->t.name, (unsigned long long)x->offset, (long long)align);
        if (x->offset < end)
            return sc_fail(SC_EFORMAT, "tensor '%.200s': offset %llu is inside the tensor before it", x->t.name,
                           (unsigned long long)x->offset);
        end = x->offset + need;
        x->t.data = x->t.bytes < 0 ? NULL : (const char *)g->map->data + data + x->offset;
        if (x->t.bytes < 0) x->t.bytes = 0;
    }
    return SC_OK;
}

static sc_status read_tensors(sc_gguf *g, cursor *c, int64_t align)
{
    g->tensor = sc_calloc((size_t)g->tensors, sizeof *g->tensor);
    g->tensor_by_name = sc_calloc((size_t)g->tensors, sizeof *g->tensor_by_name);
    if (!g->tensor || !g->tensor_by_name) return sc_nomem();
    for (int64_t i = 0; i < g->tensors; i++) {
        info *x = g->tensor_by_name[i] = &g->tensor[i];
        sc_status e = take_name(c, g->arena, &x->t.name, "tensor name");
        if (e) return e;
        if ((e = read_tensor(g, c, x))) return sc_fail_in(e, "tensor '%.200s'", x->t.name);
    }
    sc_status e = place_tensors(g, (c->at + align - 1) / align * align, align);
    if (e) return e;
    qsort(g->tensor_by_name, (size_t)g->tensors, sizeof *g->tensor_by_name, compare_tensor);
    for (int64_t i = 1; i < g->tensors; i++)
        if (!compare_tensor(&g->tensor_by_name[i - 1], &g->tensor_by_name[i]))
            return sc_fail(SC_EFORMAT, "tensor '%.200s' is given twice", g->tensor_by_name[i]->t.name);
    return SC_OK;
}

/* ---- the file ---- */

static sc_status read_counts(sc_gguf *g, cursor *c)
{
    uint32_t version;
    uint64_t tensors, keys;
    sc_status e;
    const void *magic = take(c, 4);
    if (!magic || memcmp(magic, "GGUF", 4))
        return sc_fail(SC_EFORMAT, "not a GGUF file: it does not begin with 'GGUF'");
    if ((e = take_u32(c, &version, "version"))) return e;
    if (version && !(version & 0xFFFF))
        return sc_fail(SC_EUNSUPPORTED, "a big-endian GGUF file; only little-endian ones can be read");
    if (version < 2 || version > 3)
        return sc_fail(SC_EUNSUPPORTED, "GGUF version %u; versions 2 and 3 can be read", version);
    if ((e = take_u64(c, &tensors, "tensor count")) || (e = take_u64(c, &keys, "key count"))) return e;
    if (tensors > SC_MAX_FILE_TENSORS)
        return sc_fail(SC_ELIMIT, "%llu tensors, the limit is %d", (unsigned long long)tensors,
                       SC_MAX_FILE_TENSORS);
    if (keys > KEYS_MAX)
        return sc_fail(SC_ELIMIT, "%llu metadata keys, the limit is %d", (unsigned long long)keys, KEYS_MAX);
    /* The smallest key has 13 bytes and the smallest tensor 24: no memory is taken for more than the file can hold.
     */
    if (keys * 13 + tensors * 24 > (uint64_t)(c->end - c->at))
        return sc_fail(SC_EFORMAT, "%llu keys and %llu tensors do not fit in %lld bytes (cut file?)",
                       (unsigned long long)keys, (unsigned long long)tensors, (long long)c->end);
    g->version = (int)version;
    g->keys = (int64_t)keys;
    g->tensors = (int64_t)tensors;
    return SC_OK;
}

static sc_status read_all(sc_gguf *g)
{
    cursor c = {g->map->data, 0, g->map->size};
    int64_t align = ALIGN_DEFAULT, parts = 1;
    sc_status e;
    if ((e = read_counts(g, &c)) || (e = read_metadata(g, &c))) return e;
    const sc_gguf_value *v = sc_gguf_key(g, "general.alignment");
    if (v) {
        uint32_t a;
        if (v->type != SC_GGUF_U32) return sc_fail(SC_EFORMAT, "general.alignment is not a u32");
        memcpy(&a, v->data, 4);
        if (a < 8 || a > ALIGN_MAX || (a & (a - 1)))
            return sc_fail(SC_ELIMIT, "general.alignment is %u; it must be a power of two from 8 to %d", a,
                           ALIGN_MAX);
        align = a;
    }
    if ((e = sc_gguf_int(g, "split.count", 0, 65535, &parts))) return e;
    if (parts > 1)
        return sc_fail(SC_EUNSUPPORTED, "one of %lld parts of a split model; merge them into one file first",
                       (long long)parts);
    return read_tensors(g, &c, align);
}

sc_status sc_gguf_open_buffer(sc_gguf **out, sc_buffer *bytes, const char *name)
{
    sc_gguf *g = sc_calloc(1, sizeof *g);
    if (!g) return sc_nomem();
    sc_status e = SC_OK;
    g->map = sc_buffer_ref(bytes);
    g->arena = sc_arena_new();
    g->path = sc_strdup(name);
    if (!g->arena || !g->path)
        e = sc_nomem();
    else if ((e = read_all(g)))
        sc_fail_in(e, "%s", name);
    if (e) {
        sc_gguf_free(g);
        return e;
    }
    *out = g;
    return SC_OK;
}

sc_status sc_gguf_open(sc_gguf **out, const char *path)
{
    if (!out || !path) return sc_fail(SC_EINVAL, "sc_gguf_open: NULL argument");
    sc_buffer *map;
    sc_status e = sc_file_map(&map, path);
    if (e) return e;
    e = sc_gguf_open_buffer(out, map, path);
    sc_buffer_unref(map);
    return e;
}

void sc_gguf_free(sc_gguf *g)
{
    if (!g) return;
    sc_free(g->key_by_name);
    sc_free(g->tensor_by_name);
    sc_free(g->key);
    sc_free(g->tensor);
    sc_arena_free(g->arena);
    sc_free(g->path);
    sc_buffer_unref(g->map);
    sc_free(g);
}

const char *sc_gguf_path(const sc_gguf *g) { return g->path; }
int sc_gguf_version(const sc_gguf *g) { return g->version; }
sc_buffer *sc_gguf_buffer(const sc_gguf *g) { return g->map; }
int64_t sc_gguf_count(const sc_gguf *g) { return g ? g->tensors : 0; }
int64_t sc_gguf_key_count(const sc_gguf *g) { return g ? g->keys : 0; }

const sc_file_tensor *sc_gguf_get(const sc_gguf *g, int64_t i)
{
    return g && i >= 0 && i < g->tensors ? &g->tensor[i].t : NULL;
}

sc_status sc_gguf_find(const sc_gguf *g, const char *name, const sc_file_tensor **out)
{
    if (!g || !name || !out) return sc_fail(SC_EINVAL, "sc_gguf_find: NULL argument");
    info want = {.t.name = name}, *k = &want;
    info **at = bsearch(&k, g->tensor_by_name, (size_t)g->tensors, sizeof *g->tensor_by_name, compare_tensor);
    if (!at) return sc_fail(SC_ENOTFOUND, "%s: no tensor '%.200s'", g->path, name);
    if ((*at)->t.dtype == SC_DTYPE_COUNT)
        return sc_fail(SC_EUNSUPPORTED, "%s: tensor '%.200s': type %s is not supported", g->path, name,
                       (*at)->t.type);
    *out = &(*at)->t;
    return SC_OK;
}

const sc_gguf_value *sc_gguf_key_at(const sc_gguf *g, int64_t i)
{
    return g && i >= 0 && i < g->keys ? &g->key[i].v : NULL;
}

const sc_gguf_value *sc_gguf_key(const sc_gguf *g, const char *key)
{
    if (!g || !key) return NULL;
    entry want = {.v.key = key}, *k = &want;
    entry **at = bsearch(&k, g->key_by_name, (size_t)g->keys, sizeof *g->key_by_name, compare_key);
    return at ? &(*at)->v : NULL;
}
