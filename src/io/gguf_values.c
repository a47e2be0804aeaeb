/* SPDX-License-Identifier: Apache-2.0 */
/* Metadata of an open GGUF file as C values. */
#include "io/io.h"

#define ELEMENTS_MAX (1LL << 24) /* of an array copied for a caller */

static sc_status wrong(const sc_gguf *g, const sc_gguf_value *v, const char *want)
{
    return sc_fail(SC_EFORMAT, "%s: key '%.200s' is %s%s%s, not %s", sc_gguf_path(g), v->key,
                   v->type == SC_GGUF_ARRAY ? "an array of " : "a ", sc_gguf_type_name(v->element),
                   v->type == SC_GGUF_ARRAY ? "s" : "", want);
}

/* One number at p, of any integer type or bool; false for other types and for 2^63 and more. */
static bool decode_int(sc_gguf_type type, const void *p, int64_t *out)
{
    int8_t i8;
    int16_t i16;
    int32_t i32;
    uint16_t u16;
    uint32_t u32;
    switch (type) {
    case SC_GGUF_U8:
    case SC_GGUF_BOOL: *out = *(const uint8_t *)p; return true;
    case SC_GGUF_I8:
        memcpy(&i8, p, 1);
        *out = i8;
        return true;
    case SC_GGUF_U16:
        memcpy(&u16, p, 2);
        *out = u16;
        return true;
    case SC_GGUF_I16:
        memcpy(&i16, p, 2);
        *out = i16;
        return true;
    case SC_GGUF_U32:
        memcpy(&u32, p, 4);
        *out = u32;
        return true;
    case SC_GGUF_I32:
        memcpy(&i32, p, 4);
        *out = i32;
        return true;
    case SC_GGUF_U64: memcpy(out, p, 8); return *out >= 0;
    case SC_GGUF_I64: memcpy(out, p, 8); return true;
    default: return false;
    }
}

sc_status sc_gguf_int(const sc_gguf *g, const char *key, int64_t lo, int64_t hi, int64_t *out)
{
    const sc_gguf_value *v = sc_gguf_key(g, key);
    int64_t x = 0;
    if (!v) return SC_OK;
    bool whole = v->type <= SC_GGUF_I32 || v->type == SC_GGUF_U64 || v->type == SC_GGUF_I64;
    if (!whole) return wrong(g, v, "a whole number");
    if (!decode_int(v->type, v->data, &x))
        return sc_fail(SC_EFORMAT, "%s: key '%.200s' is 2^63 or more, outside [%lld, %lld]", sc_gguf_path(g), key,
                       (long long)lo, (long long)hi);
    if (x < lo || x > hi)
        return sc_fail(SC_EFORMAT, "%s: key '%.200s' is %lld, outside [%lld, %lld]", sc_gguf_path(g), key,
                       (long long)x, (long long)lo, (long long)hi);
    *out = x;
    return SC_OK;
}

sc_status sc_gguf_num(const sc_gguf *g, const char *key, double lo, double hi, double *out)
{
    const sc_gguf_value *v = sc_gguf_key(g, key);
    double x = 0;
    float f;
    int64_t i;
    if (!v) return SC_OK;
    if (v->type == SC_GGUF_F32)
        memcpy(&f, v->data, 4), x = f;
    else if (v->type == SC_GGUF_F64)
        memcpy(&x, v->data, 8);
    else if (v->type != SC_GGUF_BOOL && decode_int(v->type, v->data, &i))
        x = (double)i;
    else
        return wrong(g, v, "a number");
    if (!(x >= lo && x <= hi)) /* NaN is outside */
        return sc_fail(SC_EFORMAT, "%s: key '%.200s' is %g, outside [%g, %g]", sc_gguf_path(g), key, x, lo, hi);
    *out = x;
    return SC_OK;
}

sc_status sc_gguf_bool(const sc_gguf *g, const char *key, bool *out)
{
    const sc_gguf_value *v = sc_gguf_key(g, key);
    if (!v) return SC_OK;
    if (v->type != SC_GGUF_BOOL) return wrong(g, v, "a bool");
    *out = *(const uint8_t *)v->data != 0;
    return SC_OK;
}

sc_status sc_gguf_text_of(const sc_gguf *g, const char *key, sc_gguf_text *out)
{
    const sc_gguf_value *v = sc_gguf_key(g, key);
    if (!v) return SC_OK;
    if (v->type != SC_GGUF_STRING) return wrong(g, v, "a string");
    *out = (sc_gguf_text){(const char *)v->data + 8, v->bytes - 8};
    return SC_OK;
}

sc_status sc_gguf_str(const sc_gguf *g, const char *key, const char **out)
{
    const sc_gguf_value *v = sc_gguf_key(g, key);
    if (!v) return SC_OK;
    if (v->type != SC_GGUF_STRING) return wrong(g, v, "a string");
    const char *text = ((const sc_gguf_entry *)v)->text; /* v is an entry's first member */
    if (!text)
        return sc_fail(SC_EFORMAT, "%s: key '%.200s' has a NUL or more than %lld bytes", sc_gguf_path(g), key,
                       SC_GGUF_TEXT_MAX);
    *out = text;
    return SC_OK;
}

/* The array `key`, or NULL with *e set (SC_OK where it is absent), and room for it. */
static const sc_gguf_value *array_of(const sc_gguf *g, const char *key, size_t each, void **room, sc_status *e)
{
    const sc_gguf_value *v = sc_gguf_key(g, key);
    *e = SC_OK;
    if (!v) return NULL;
    if (v->type != SC_GGUF_ARRAY)
        *e = wrong(g, v, "an array");
    else if (v->count > ELEMENTS_MAX)
        *e = sc_fail(SC_ELIMIT, "%s: key '%.200s' has %lld elements, the limit is %lld", sc_gguf_path(g), key,
                     (long long)v->count, ELEMENTS_MAX);
    else if (!(*room = sc_malloc((size_t)v->count * each)))
        *e = sc_nomem();
    return *e ? NULL : v;
}

sc_status sc_gguf_ints(const sc_gguf *g, const char *key, int64_t **out, int64_t *count)
{
    void *room;
    sc_status e;
    const sc_gguf_value *v = array_of(g, key, sizeof **out, &room, &e);
    if (!v) return e;
    for (int64_t i = 0; i < v->count; i++) {
        if (decode_int(v->element, (const char *)v->data + i * sc_gguf_type_bytes(v->element), (int64_t *)room + i))
            continue;
        sc_free(room);
        if (v->element != SC_GGUF_U64) return wrong(g, v, "of whole numbers");
        return sc_fail(SC_EFORMAT, "%s: key '%.200s': element %lld is 2^63 or more", sc_gguf_path(g), key,
                       (long long)i);
    }
    *out = room;
    *count = v->count;
    return SC_OK;
}

sc_status sc_gguf_floats(const sc_gguf *g, const char *key, float **out, int64_t *count)
{
    void *room;
    sc_status e;
    const sc_gguf_value *v = array_of(g, key, sizeof **out, &room, &e);
    if (!v) return e;
    if (v->element != SC_GGUF_F32 && v->element != SC_GGUF_F64) {
        sc_free(room);
        return wrong(g, v, "of floats");
    }
    if (v->element == SC_GGUF_F32) memcpy(room, v->data, (size_t)v->bytes);
    for (int64_t i = 0; v->element == SC_GGUF_F64 && i < v->count; i++) {
        double d;
        memcpy(&d, (const char *)v->data + i * 8, 8);
        ((float *)room)[i] = (float)d;
    }
    *out = room;
    *count = v->count;
    return SC_OK;
}

sc_status sc_gguf_strings(const sc_gguf *g, const char *key, sc_gguf_text **out, int64_t *count)
{
    void *room;
    sc_status e;
    const sc_gguf_value *v = array_of(g, key, sizeof **out, &room, &e);
    if (!v) return e;
    if (v->element != SC_GGUF_STRING) e = wrong(g, v, "of strings");
    const char *p = v->data, *end = p + v->bytes;
    for (int64_t i = 0; i < v->count && !e; i++) {
        uint64_t n = UINT64_MAX;
        if (end - p >= 8) memcpy(&n, p, 8), p += 8;
        if (n > (uint64_t)(end - p)) { /* it fitted when the file was opened */
            e = sc_fail(SC_EFORMAT, "%s: key '%.200s': the file changed while it was open", sc_gguf_path(g), key);
            break;
        }
        ((sc_gguf_text *)room)[i] = (sc_gguf_text){p, (int64_t)n};
        p += n;
    }
    if (e) {
        sc_free(room);
        return e;
    }
    *out = room;
    *count = v->count;
    return SC_OK;
}
