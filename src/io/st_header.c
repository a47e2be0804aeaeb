/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON header of a safetensors file. A header may have 100 MB, of which a general JSON tree would make
 * gigabytes; its grammar is small, so it is scanned directly: an object of names, each with
 * {"dtype": text, "shape": [whole numbers], "data_offsets": [begin, end]}, and "__metadata__", texts by name. */
#include "io/io.h"

#include <stdio.h>

typedef struct scan {
    const char *start, *p, *end;
    sc_arena *arena;
} scan;

static sc_status bad(const scan *s, const char *what)
{
    return sc_fail(SC_EFORMAT, "header, byte %lld: %s", (long long)(s->p - s->start), what);
}

static void skip_space(scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r')) s->p++;
}

/* Takes the character if it comes next. */
static bool accept(scan *s, char c)
{
    skip_space(s);
    if (s->p >= s->end || *s->p != c) return false;
    s->p++;
    return true;
}

static sc_status expect(scan *s, char c)
{
    char msg[] = "expected ' '";
    msg[10] = c;
    return accept(s, c) ? SC_OK : bad(s, msg);
}

static sc_status scan_hex4(scan *s, uint32_t *out)
{
    uint32_t v = 0;
    if (s->end - s->p < 4) return bad(s, "cut escape");
    for (int i = 0; i < 4; i++) {
        char c = *s->p++;
        int d = c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
        if (d < 0) return bad(s, "wrong \\u escape");
        v = v << 4 | (uint32_t)d;
    }
    *out = v;
    return SC_OK;
}

/* After a backslash: one escape into out; *n grows. */
static sc_status scan_escape(scan *s, char *out, int64_t *n)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (s->p >= s->end) return bad(s, "cut escape");
    char c = *s->p++;
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        out[(*n)++] = to[at - from];
        return SC_OK;
    }
    if (c != 'u') return bad(s, "unknown escape");
    uint32_t cp, low;
    sc_status e = scan_hex4(s, &cp);
    if (e) return e;
    if (cp >= 0xD800 && cp < 0xDC00) {
        if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u') return bad(s, "half a surrogate pair");
        s->p += 2;
        if ((e = scan_hex4(s, &low))) return e;
        if (low < 0xDC00 || low > 0xDFFF) return bad(s, "half a surrogate pair");
        cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
    } else if (cp >= 0xDC00 && cp < 0xE000) {
        return bad(s, "half a surrogate pair");
    }
    if (!cp) return bad(s, "NUL in a text");
    *n += sc_utf8_encode(cp, out + *n);
    return SC_OK;
}

/* A text, NUL-terminated, in the arena. An escape is never shorter than what it stands for, so the text's length in
 * the file is room enough. */
static sc_status scan_text(scan *s, char **out)
{
    sc_status e = expect(s, '"');
    if (e) return e;
    const char *q = s->p;
    while (q < s->end && *q != '"') q += *q == '\\' && s->end - q > 1 ? 2 : 1;
    if (q >= s->end) return bad(s, "text without end");
    char *t = sc_arena_alloc(s->arena, (size_t)(q - s->p) + 1);
    if (!t) return sc_nomem();
    int64_t n = 0;
    while (s->p < q) {
        unsigned char c = (unsigned char)*s->p++;
        if (c == '\\') {
            if ((e = scan_escape(s, t, &n))) return e;
        } else if (c < 0x20) {
            return bad(s, "control character in a text");
        } else {
            t[n++] = (char)c;
        }
    }
    if (s->p != q) return bad(s, "wrong escape");
    s->p++;
    t[n] = 0;
    if (!sc_utf8_valid(t, n)) return bad(s, "text is not UTF-8");
    *out = t;
    return SC_OK;
}

static sc_status scan_int(scan *s, int64_t *out)
{
    skip_space(s);
    const char *first = s->p;
    int64_t v = 0;
    while (s->p < s->end && *s->p >= '0' && *s->p <= '9') {
        if (!sc_mul_ok(v, 10, &v) || !sc_add_ok(v, *s->p - '0', &v)) return bad(s, "number of 2^63 or more");
        s->p++;
    }
    if (s->p == first || (*first == '0' && s->p - first > 1)) return bad(s, "expected a whole number");
    *out = v;
    return SC_OK;
}

/* [n, n, ...] of at most `max`; *count gives how many there were. */
static sc_status scan_ints(scan *s, const char *field, int64_t *out, int max, int *count)
{
    sc_status e = expect(s, '[');
    int n = 0;
    if (e) return e;
    if (!accept(s, ']')) {
        do {
            if (n == max) return sc_fail(SC_ELIMIT, "%s has more than %d numbers", field, max);
            if ((e = scan_int(s, &out[n++]))) return e;
        } while (accept(s, ','));
        if ((e = expect(s, ']'))) return e;
    }
    *count = n;
    return SC_OK;
}

/* One field's value; *have collects the fields seen. */
static sc_status scan_field(scan *s, sc_st_tensor *x, int *have)
{
    static const char *const fields[] = {"dtype", "shape", "data_offsets"};
    char *key, *type;
    int64_t range[2];
    int field = 0, n;
    sc_status e;
    if ((e = scan_text(s, &key)) || (e = expect(s, ':'))) return e;
    while (field < 3 && strcmp(key, fields[field])) field++;
    if (field == 3) return sc_fail(SC_EFORMAT, "unknown field '%.80s'", key);
    if (*have & 1 << field) return sc_fail(SC_EFORMAT, "field '%s' is given twice", key);
    *have |= 1 << field;
    if (field == 0) {
        if ((e = scan_text(s, &type))) return e;
        x->t.type = type;
    } else if (field == 1) {
        if ((e = scan_ints(s, "shape", x->t.dim, SC_MAX_RANK, &x->t.rank))) return e;
    } else {
        if ((e = scan_ints(s, "data_offsets", range, 2, &n))) return e;
        if (n != 2) return sc_fail(SC_EFORMAT, "data_offsets must be two numbers");
        x->begin = range[0];
        x->end = range[1];
    }
    return SC_OK;
}

static sc_status scan_tensor(scan *s, sc_st_tensor *x)
{
    int have = 0;
    sc_status e = expect(s, '{');
    if (e) return e;
    do {
        if ((e = scan_field(s, x, &have))) return e;
    } while (accept(s, ','));
    if ((e = expect(s, '}'))) return e;
    if (have == 7) return SC_OK;
    return sc_fail(SC_EFORMAT, "field '%s' is missing",
                   !(have & 1)   ? "dtype"
                   : !(have & 2) ? "shape"
                                 : "data_offsets");
}

static sc_status scan_meta(scan *s, sc_st_header *h, bool keep)
{
    sc_status e = expect(s, '{');
    if (e || accept(s, '}')) return e;
    do {
        char *key, *value;
        if ((e = scan_text(s, &key)) || (e = expect(s, ':')) || (e = scan_text(s, &value))) return e;
        if (!keep) continue;
        if (!sc_grow(&h->meta, &h->meta_cap, h->meta_count + 2, sizeof *h->meta)) return sc_nomem();
        h->meta[h->meta_count++] = key;
        h->meta[h->meta_count++] = value;
    } while (accept(s, ','));
    return expect(s, '}');
}

/* Bits of an element of each type of the format; 0: a type this version of the format does not have. */
static int type_bits(const char *type)
{
    static const struct {
        const char *name;
        int bits;
    } types[] = {{"F32", 32},    {"F16", 16},    {"BF16", 16},       {"F64", 64},       {"BOOL", 8}, {"U8", 8},
                 {"I8", 8},      {"I16", 16},    {"U16", 16},        {"I32", 32},       {"U32", 32}, {"I64", 64},
                 {"U64", 64},    {"F8_E4M3", 8}, {"F8_E5M2", 8},     {"F8_E8M0", 8},    {"F4", 4},   {"F6_E2M3", 6},
                 {"F6_E3M2", 6}, {"C64", 64},    {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}};
    for (int i = 0; i < SC_COUNT(types); i++)
        if (!strcmp(types[i].name, type)) return types[i].bits;
    return 0;
}

/* Does the shape fill exactly the range? */
static sc_status check_size(sc_st_tensor *x)
{
    sc_file_tensor *t = &x->t;
    int64_t n, bits;
    for (int i = t->rank; i < SC_MAX_RANK; i++) t->dim[i] = 1;
    sc_status e = sc_shape_count(&n, t->rank, t->dim);
    if (e) return e;
    if (x->begin > x->end)
        return sc_fail(SC_EFORMAT, "data_offsets [%lld, %lld] end before they begin", (long long)x->begin,
                       (long long)x->end);
    t->bytes = x->end - x->begin;
    t->dtype = sc_dtype_from_safetensors(t->type);
    int each = type_bits(t->type);
    if (!each) return SC_OK; /* listed, and refused by name when asked for */
    if (!sc_mul_ok(n, each, &bits)) return sc_fail(SC_ELIMIT, "shape of more than 2^63 bits");
    if (bits % 8 || bits / 8 != t->bytes)
        return sc_fail(SC_EFORMAT, "shape and type %s need %lld bytes, data_offsets give %lld", t->type,
                       (long long)(bits / 8 + (bits % 8 != 0)), (long long)t->bytes);
    return SC_OK;
}

sc_status sc_st_header_parse(sc_st_header *h, const char *p, int64_t n)
{
    scan s = {.start = p, .p = p, .end = p + n, .arena = h->arena};
    bool keep = h->meta_count == 0, seen = false;
    sc_status e = expect(&s, '{');
    if (e) return e;
    if (!accept(&s, '}')) {
        do {
            char *name;
            if ((e = scan_text(&s, &name)) || (e = expect(&s, ':'))) return e;
            if (!strcmp(name, "__metadata__")) {
                if (seen) return sc_fail(SC_EFORMAT, "header: __metadata__ is given twice");
                seen = true;
                if ((e = scan_meta(&s, h, keep))) return sc_fail_in(e, "__metadata__");
                continue;
            }
            if (h->count == SC_MAX_FILE_TENSORS)
                return sc_fail(SC_ELIMIT, "more than %d tensors", SC_MAX_FILE_TENSORS);
            if (!sc_grow(&h->tensor, &h->cap, h->count + 1, sizeof *h->tensor)) return sc_nomem();
            sc_st_tensor *x = &h->tensor[h->count];
            *x = (sc_st_tensor){.t.name = name};
            if ((e = scan_tensor(&s, x)) || (e = check_size(x))) return sc_fail_in(e, "tensor '%.200s'", name);
            h->count++;
        } while (accept(&s, ','));
        if ((e = expect(&s, '}'))) return e;
    }
    skip_space(&s);
    return s.p == s.end ? SC_OK : bad(&s, "text after the header's end");
}
