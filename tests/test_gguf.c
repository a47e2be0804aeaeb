/* SPDX-License-Identifier: Apache-2.0 */
/* GGUF: a file of the gguf Python package, hostile ones, and what we write.
 *
 * With --write PATH it only writes a file, which tests/check_io.py compares with that package. */
#include "io_common.h"

#include "socle/tensor.h"

#include <time.h>

static sc_status open_bytes(sc_gguf **g, const void *p, size_t n)
{
    sc_buffer *b = bytes_of(p, n);
    sc_status e = sc_gguf_open_buffer(g, b, "mem");
    sc_buffer_unref(b);
    return e;
}

/* ---- files made byte by byte ---- */

static void u32(sc_str *s, uint32_t v) { sc_str_append(s, (char *)&v, 4); }
static void u64(sc_str *s, uint64_t v) { sc_str_append(s, (char *)&v, 8); }

static void text(sc_str *s, const char *z)
{
    u64(s, strlen(z));
    sc_str_puts(s, z);
}

static void head(sc_str *s, uint32_t version, uint64_t tensors, uint64_t keys)
{
    sc_str_puts(s, "GGUF");
    u32(s, version);
    u64(s, tensors);
    u64(s, keys);
}

static void info(sc_str *s, const char *name, uint32_t rank, const uint64_t *ne, uint32_t type, uint64_t offset)
{
    text(s, name);
    u32(s, rank);
    for (uint32_t i = 0; i < rank; i++) u64(s, ne[i]);
    u32(s, type);
    u64(s, offset);
}

/* Up to the data section, then this many bytes of it. */
static void data(sc_str *s, int64_t align, int64_t bytes)
{
    while (s->len % align) sc_str_putc(s, 0);
    for (int64_t i = 0; i < bytes; i++) sc_str_putc(s, (char)i);
}

/* The bytes must be refused (or, with SC_OK, be good); they are freed. */
static void expect_file(sc_str *s, sc_status code, const char *say)
{
    sc_gguf *g = NULL;
    sc_status e = open_bytes(&g, s->p, (size_t)s->len);
    if (e != code || (e && (!strstr(sc_error(), say) || strncmp(sc_error(), "mem: ", 5))))
        fail_msg("expected %s '%s', got %s: %s", sc_status_text(code), say, sc_status_text(e), sc_error());
    sc_gguf_free(g);
    sc_str_free(s);
}

/* ---- what others write ---- */

static void reads_metadata(void **state)
{
    (void)state;
    sc_gguf *g;
    int64_t i = 5, n = -1, *ints;
    double x = 0;
    bool b = false;
    float *floats;
    const char *s = "unset";
    sc_gguf_text *texts;
    ok(sc_gguf_open(&g, DATA "all.gguf"));
    assert_int_equal(sc_gguf_version(g), 3);
    assert_int_equal(sc_gguf_key_count(g), 18);
    static const struct {
        const char *key;
        int64_t value;
    } rows[] = {{"t.u8", 255},         {"t.i8", -128},           {"t.u16", 65535},    {"t.i16", -32768},
                {"t.u32", 4294967295}, {"t.i32", -2147483648LL}, {"t.i64", INT64_MIN}};
    for (int j = 0; j < SC_COUNT(rows); j++) {
        ok(sc_gguf_int(g, rows[j].key, INT64_MIN, INT64_MAX, &i));
        assert_int_equal(i, rows[j].value);
        ok(sc_gguf_num(g, rows[j].key, -1e30, 1e30, &x));
        assert_true(x == (double)rows[j].value);
    }
    fails(SC_EFORMAT, "all.gguf: key 't.u64' is 2^63 or more", sc_gguf_int(g, "t.u64", 0, INT64_MAX, &i));
    fails(SC_EFORMAT, "key 't.u8' is 255, outside [0, 254]", sc_gguf_int(g, "t.u8", 0, 254, &i));
    fails(SC_EFORMAT, "key 't.f32' is a f32, not a whole number", sc_gguf_int(g, "t.f32", 0, 9, &i));
    fails(SC_EFORMAT, "'t.bool' is a bool", sc_gguf_int(g, "t.bool", 0, 9, &i));
    fails(SC_EFORMAT, "'t.ints' is an array of i32s", sc_gguf_int(g, "t.ints", 0, 9, &i));
    i = 5;
    ok(sc_gguf_int(g, "absent", 0, 1, &i));
    assert_int_equal(i, 5);
    ok(sc_gguf_num(g, "t.f32", 0, 1, &x));
    assert_true(x == 0.15625);
    ok(sc_gguf_num(g, "t.f64", 0, 1, &x));
    assert_true(x == 1e-300);
    fails(SC_EFORMAT, "outside", sc_gguf_num(g, "t.f32", 1, 2, &x));
    fails(SC_EFORMAT, "not a number", sc_gguf_num(g, "t.str", 1, 2, &x));
    ok(sc_gguf_bool(g, "t.bool", &b));
    assert_true(b);
    fails(SC_EFORMAT, "not a bool", sc_gguf_bool(g, "t.u8", &b));
    ok(sc_gguf_str(g, "t.str", &s));
    assert_string_equal(s, "한글 text");
    fails(SC_EFORMAT, "not a string", sc_gguf_str(g, "t.u8", &s));
    ok(sc_gguf_ints(g, "t.ints", &ints, &n));
    assert_int_equal(n, 3);
    assert_true(ints[0] == 1 && ints[1] == -2 && ints[2] == 300000);
    sc_free(ints);
    ok(sc_gguf_ints(g, "t.bools", &ints, &n));
    assert_true(n == 3 && ints[0] == 1 && ints[1] == 0 && ints[2] == 1);
    sc_free(ints);
    ok(sc_gguf_floats(g, "t.floats", &floats, &n));
    assert_true(n == 2 && floats[0] == 0.5f && floats[1] == -1.25f);
    sc_free(floats);
    ok(sc_gguf_strings(g, "t.strings", &texts, &n));
    assert_int_equal(n, 4);
    assert_memory_equal(texts[0].p, "<s>", 3);
    assert_int_equal(texts[1].n, 0);
    assert_memory_equal(texts[2].p, "\xC4\xA0the", 5);
    assert_int_equal(texts[3].n, 3);
    sc_free(texts);
    fails(SC_EFORMAT, "not of strings", sc_gguf_strings(g, "t.ints", &texts, &n));
    fails(SC_EFORMAT, "not of floats", sc_gguf_floats(g, "t.ints", &floats, &n));
    fails(SC_EFORMAT, "not of whole numbers", sc_gguf_ints(g, "t.floats", &ints, &n));
    fails(SC_EFORMAT, "not an array", sc_gguf_ints(g, "t.u8", &ints, &n));
    const sc_gguf_value *v = sc_gguf_key(g, "t.nested");
    assert_true(v->type == SC_GGUF_ARRAY && v->element == SC_GGUF_ARRAY && v->count == 2);
    assert_string_equal(sc_gguf_type_name(v->type), "array");
    assert_null(sc_gguf_key(g, "absent"));
    assert_null(sc_gguf_key_at(g, 18));
    sc_gguf_free(g);
    sc_gguf_free(NULL);
}

static void reads_tensors(void **state)
{
    (void)state;
    sc_gguf *g;
    const sc_file_tensor *t;
    float y[128];
    ok(sc_gguf_open(&g, DATA "all.gguf"));
    assert_int_equal(sc_gguf_count(g), 5);
    ok(sc_gguf_find(g, "f32", &t));
    assert_true(t->rank == 2 && t->dim[0] == 2 && t->dim[1] == 3 && t->dim[2] == 1 && t->bytes == 24);
    for (int i = 0; i < 6; i++) assert_true(((const float *)t->data)[i] == (float)i / 4 - 3);
    ok(sc_gguf_find(g, "cube", &t));
    assert_true(t->rank == 3 && t->dim[0] == 2 && t->dim[1] == 3 && t->dim[2] == 4);
    ok(sc_gguf_find(g, "f16", &t));
    assert_int_equal(t->dtype, SC_F16);
    assert_int_equal(t->bytes, 12);
    ok(sc_gguf_find(g, "q8", &t));
    assert_true(t->dtype == SC_Q8_0 && t->dim[0] == 2 && t->dim[1] == 64 && t->bytes == 4 * 34);
    ok(sc_dequantize(SC_Q8_0, t->data, y, 128));
    for (int i = 0; i < 128; i++)
        assert_true(y[i] - ((float)i / 4 - 3) < 0.15f && y[i] - ((float)i / 4 - 3) > -0.15f);
    fails(SC_EUNSUPPORTED, "all.gguf: tensor 'i8': type I8", sc_gguf_find(g, "i8", &t));
    fails(SC_ENOTFOUND, "no tensor 'x'", sc_gguf_find(g, "x", &t));
    assert_int_equal(sc_gguf_get(g, 3)->bytes, 5);
    assert_null(sc_gguf_get(g, 5));
    /* tensors outlive the reader in its buffer */
    sc_buffer *keep = sc_buffer_ref(sc_gguf_buffer(g));
    const float *p = sc_gguf_get(g, 0)->data;
    sc_gguf_free(g);
    assert_true(p[0] == -3);
    sc_buffer_unref(keep);
}

static void refuses_every_cut(void **state)
{
    (void)state;
    int64_t n;
    sc_gguf *g;
    char *p = read_all_of(DATA "all.gguf", &n);
    /* The writer pads after the last tensor; that much may be missing. */
    int64_t end = 1024 + 4 * 34;
    for (int64_t cut = 0; cut < end; cut++) fails(SC_EFORMAT, "mem: ", open_bytes(&g, p, (size_t)cut));
    for (int64_t cut = end; cut <= n; cut++) {
        ok(open_bytes(&g, p, (size_t)cut));
        sc_gguf_free(g);
    }
    sc_free(p);
}

/* ---- hostile files ---- */

static void refuses_hostile_heads(void **state)
{
    (void)state;
    static const struct {
        uint32_t version;
        uint64_t tensors, keys;
        sc_status code;
        const char *say;
    } rows[] = {
        {3, 0, 0, SC_OK, ""},
        {2, 0, 0, SC_OK, ""},
        {1, 0, 0, SC_EUNSUPPORTED, "version 1"},
        {4, 0, 0, SC_EUNSUPPORTED, "version 4"},
        {0, 0, 0, SC_EUNSUPPORTED, "version 0"},
        {0x03000000, 0, 0, SC_EUNSUPPORTED, "big-endian"},
        {3, 1ull << 60, 0, SC_ELIMIT, "tensors"},
        {3, 1ull << 63, 0, SC_ELIMIT, "tensors"},
        {3, UINT64_MAX, UINT64_MAX, SC_ELIMIT, "tensors"},
        {3, 0, 1ull << 60, SC_ELIMIT, "keys"},
        {3, 0, UINT64_MAX, SC_ELIMIT, "keys"},
        {3, 1 << 20, 0, SC_EFORMAT, "do not fit"},
        {3, 0, 65536, SC_EFORMAT, "do not fit"},
    };
    for (int i = 0; i < SC_COUNT(rows); i++) {
        sc_str s = {0};
        head(&s, rows[i].version, rows[i].tensors, rows[i].keys);
        expect_file(&s, rows[i].code, rows[i].say);
    }
    sc_str s = {0};
    sc_str_puts(&s, "GGML and what follows");
    expect_file(&s, SC_EFORMAT, "not a GGUF file");
    sc_gguf *g;
    fails(SC_EINVAL, "NULL", sc_gguf_open(&g, NULL));
    fails(SC_ENOTFOUND, "/nonexistent", sc_gguf_open(&g, "/nonexistent.gguf"));
    fails(SC_EINVAL, "regular", sc_gguf_open(&g, "/dev/null"));
}

static void refuses_hostile_metadata(void **state)
{
    (void)state;
    static const struct {
        uint32_t type, element;
        uint64_t count; /* of the array, or the string's length */
        sc_status code;
        const char *say;
    } rows[] = {
        {13, 0, 0, SC_EFORMAT, "key 'k': unknown type 13"},
        {0xFFFFFFFF, 0, 0, SC_EFORMAT, "unknown type"},
        {9, 13, 1, SC_EFORMAT, "unknown type 13"},
        {9, 0, 1ull << 63, SC_EFORMAT, "do not fit"},
        {9, 0, UINT64_MAX, SC_EFORMAT, "do not fit"},
        {9, 10, (1ull << 61) + 1, SC_EFORMAT, "do not fit"},
        {9, 8, (1ull << 61) + 1, SC_EFORMAT, "do not fit"},
        {9, 9, (1ull << 62), SC_EFORMAT, "do not fit"},
        {9, 0, 17, SC_EFORMAT, "do not fit"},
        {9, 0, 16, SC_OK, ""},
        {9, 6, 0, SC_OK, ""},
    };
    for (int i = 0; i < SC_COUNT(rows); i++) {
        sc_str s = {0};
        head(&s, 3, 0, 1);
        text(&s, "k");
        u32(&s, rows[i].type);
        if (rows[i].type == 9) u32(&s, rows[i].element);
        u64(&s, rows[i].count);
        u64(&s, 0);
        u64(&s, 0);
        expect_file(&s, rows[i].code, rows[i].say);
    }
    static const uint64_t lengths[] = {9, 1ull << 62, 1ull << 63, UINT64_MAX, UINT64_MAX - 7};
    for (int i = 0; i < SC_COUNT(lengths); i++) {
        sc_str s = {0}; /* a string's length, then a key's */
        head(&s, 3, 0, 1);
        text(&s, "k");
        u32(&s, 8);
        u64(&s, lengths[i]);
        u64(&s, 0);
        expect_file(&s, SC_EFORMAT, "key 'k': string");
        head(&s, 3, 0, 1);
        u64(&s, lengths[i] == 9 ? 100 : lengths[i]);
        u64(&s, 0);
        expect_file(&s, SC_EFORMAT, "key at byte");
    }
    for (int depth = 1; depth < 8; depth++) {
        sc_str s = {0};
        head(&s, 3, 0, 1);
        text(&s, "k");
        u32(&s, 9);
        for (int i = 1; i < depth; i++) u32(&s, 9), u64(&s, 1);
        u32(&s, 0);
        u64(&s, 1);
        sc_str_putc(&s, 1);
        expect_file(&s, depth <= 4 ? SC_OK : SC_ELIMIT, "nested deeper than 4");
    }
    sc_str s = {0};
    head(&s, 3, 0, 2);
    for (int i = 0; i < 2; i++) text(&s, "same"), u32(&s, 0), sc_str_putc(&s, 1);
    expect_file(&s, SC_EFORMAT, "key 'same' is given twice");
    head(&s, 3, 0, 1);
    u64(&s, 3);
    sc_str_append(&s, "a\0b", 3);
    u32(&s, 0);
    sc_str_putc(&s, 1);
    expect_file(&s, SC_EFORMAT, "NUL");
    head(&s, 3, 0, 1);
    text(&s, "a\xff"
             "b");
    u32(&s, 0);
    sc_str_putc(&s, 1);
    expect_file(&s, SC_EFORMAT, "UTF-8");
    head(&s, 3, 0, 1);
    text(&s, "split.count");
    u32(&s, 2);
    sc_str_append(&s, "\3\0", 2);
    expect_file(&s, SC_EUNSUPPORTED, "3 parts");
}

static void holds_strings_with_nul(void **state)
{
    (void)state;
    sc_str s = {0};
    sc_gguf *g;
    sc_gguf_text t;
    const char *z;
    head(&s, 3, 0, 1);
    text(&s, "k");
    u32(&s, 8);
    u64(&s, 3);
    sc_str_append(&s, "a\0b", 3);
    ok(open_bytes(&g, s.p, (size_t)s.len));
    ok(sc_gguf_text_of(g, "k", &t));
    assert_int_equal(t.n, 3);
    assert_memory_equal(t.p, "a\0b", 3);
    fails(SC_EFORMAT, "NUL", sc_gguf_str(g, "k", &z));
    sc_gguf_free(g);
    sc_str_free(&s);
}

static void refuses_hostile_alignments(void **state)
{
    (void)state;
    static const struct {
        uint32_t align;
        sc_status code;
    } rows[] = {{0, SC_ELIMIT},         {1, SC_ELIMIT}, {3, SC_ELIMIT}, {4, SC_ELIMIT},      {8, SC_OK},
                {24, SC_ELIMIT},        {64, SC_OK},    {65536, SC_OK}, {131072, SC_ELIMIT}, {1u << 31, SC_ELIMIT},
                {0xFFFFFFFF, SC_ELIMIT}};
    const uint64_t ne[] = {2};
    for (int i = 0; i < SC_COUNT(rows); i++) {
        sc_str s = {0};
        head(&s, 3, 1, 1);
        text(&s, "general.alignment");
        u32(&s, 4);
        u32(&s, rows[i].align);
        info(&s, "a", 1, ne, 0, 0);
        data(&s, rows[i].code ? 8 : rows[i].align, 8);
        expect_file(&s, rows[i].code, "general.alignment");
    }
    sc_str s = {0};
    head(&s, 3, 0, 1);
    text(&s, "general.alignment");
    u32(&s, 10);
    u64(&s, 32);
    expect_file(&s, SC_EFORMAT, "general.alignment is not a u32");
}

static void refuses_hostile_tensors(void **state)
{
    (void)state;
    static const struct {
        uint32_t rank, type;
        uint64_t ne[7], offset;
        sc_status code;
        const char *say;
    } rows[] = {
        /* 64 bytes of data */
        {1, 0, {16}, 0, SC_OK, ""},
        {0, 0, {0}, 0, SC_OK, ""},
        {2, 0, {0, 5}, 64, SC_OK, ""},
        {6, 0, {1, 1, 1, 1, 1, 16}, 0, SC_OK, ""},
        {1, 99, {16}, 32, SC_OK, ""}, /* a type we do not know */
        {1, 99, {16}, 96, SC_EFORMAT, "pass the end"},
        {1, 0, {17}, 0, SC_EFORMAT, "tensor 'a': 68 bytes at offset 0 pass the end of the data, 64"},
        {1, 0, {1}, 64, SC_EFORMAT, "pass the end"},
        {1, 0, {1}, UINT64_MAX, SC_EFORMAT, "pass the end"},
        {1, 0, {1}, UINT64_MAX - 31, SC_EFORMAT, "pass the end"},
        {1, 0, {1}, 1, SC_EFORMAT, "no multiple of the alignment 32"},
        {1, 0, {1}, 16, SC_EFORMAT, "no multiple of the alignment 32"},
        {7, 0, {1, 1, 1, 1, 1, 1, 1}, 0, SC_ELIMIT, "rank 7"},
        {0xFFFFFFFF, 0, {1}, 0, SC_ELIMIT, "rank"},
        {1, 0, {UINT64_MAX}, 0, SC_EFORMAT, "negative or over 2^63"},
        {1, 0, {INT64_MAX}, 0, SC_ELIMIT, "2^63 bytes"},
        {2, 0, {1ull << 32, 1ull << 32}, 0, SC_ELIMIT, "2^63 elements"},
        {4, 0, {1ull << 32, 1ull << 32, 1, 0}, 0, SC_ELIMIT, "2^63 elements"},
        {2, 0, {1ull << 61, 8}, 0, SC_ELIMIT, "2^63 elements"},
        {1, 8, {31}, 0, SC_EFORMAT, "no multiple of type q8_0's blocks of 32"},
        {1, 8, {32}, 0, SC_OK, ""},
        {2, 8, {16, 2}, 0, SC_EFORMAT, "no multiple"}, /* rows are cut, though the whole would fit */
        {0, 8, {0}, 0, SC_EFORMAT, "no multiple"},
        {1, 16, {64}, 0, SC_EFORMAT, "no multiple of type IQ2_XXS's blocks"},
    };
    for (int i = 0; i < SC_COUNT(rows); i++) {
        sc_str s = {0};
        head(&s, 3, 1, 0);
        info(&s, "a", SC_MIN(rows[i].rank, 7u), rows[i].ne, rows[i].type, rows[i].offset);
        if (rows[i].rank > 7) memcpy(s.p + 24 + 9, &rows[i].rank, 4);
        data(&s, 32, 64);
        expect_file(&s, rows[i].code, rows[i].say);
    }
    const uint64_t ne[] = {16}, none[] = {0};
    sc_str s = {0};
    head(&s, 3, 2, 0);
    info(&s, "a", 1, ne, 0, 0);
    info(&s, "b", 1, ne, 0, 32);
    data(&s, 32, 96);
    expect_file(&s, SC_EFORMAT, "tensor 'b': offset 32 is inside the tensor before it");
    head(&s, 3, 2, 0);
    info(&s, "a", 1, ne, 0, 0);
    info(&s, "b", 1, ne, 0, 0);
    data(&s, 32, 64);
    expect_file(&s, SC_EFORMAT, "inside the tensor before it");
    head(&s, 3, 2, 0);
    info(&s, "a", 1, ne, 0, 64);
    info(&s, "a", 1, ne, 0, 0);
    data(&s, 32, 128);
    expect_file(&s, SC_EFORMAT, "tensor 'a' is given twice");
    head(&s, 3, 2, 0); /* empty ones may share an offset */
    info(&s, "a", 1, none, 0, 0);
    info(&s, "b", 1, ne, 0, 0);
    data(&s, 32, 64);
    expect_file(&s, SC_OK, "");
}

/* ---- what we write ---- */

static void write_example(const char *path)
{
    static const float f32[6] = {0, 1, 2, 3, 4, 5};
    static const uint16_t bf16[3] = {0x3F80, 0xC000, 0x3F00};
    static const int64_t matrix[] = {2, 3}, three[] = {3}, blocks[] = {2, 32}, none[] = {0};
    static const int64_t i64[] = {-1, INT64_MAX};
    static const double f64[] = {0.5, 1e300};
    static const uint8_t bools[] = {1, 0, 1};
    static const sc_gguf_text texts[] = {{"<s>", 3}, {"", 0}, {"\0", 1}, {"한", 3}};
    float x[64];
    uint8_t q[2 * 34];
    sc_gguf_writer *w;
    int64_t i;
    for (int j = 0; j < 64; j++) x[j] = (float)j / 4 - 3;
    ok(sc_quantize(SC_Q8_0, x, q, 64));
    ok(sc_gguf_writer_new(&w, path));
    ok(sc_gguf_writer_str(w, "general.architecture", "llama"));
    ok(sc_gguf_writer_int(w, "w.u8", SC_GGUF_U8, 255));
    ok(sc_gguf_writer_int(w, "w.i8", SC_GGUF_I8, -128));
    ok(sc_gguf_writer_int(w, "w.u16", SC_GGUF_U16, 65535));
    ok(sc_gguf_writer_int(w, "w.i16", SC_GGUF_I16, -32768));
    ok(sc_gguf_writer_int(w, "w.u32", SC_GGUF_U32, 4294967295));
    ok(sc_gguf_writer_int(w, "w.i32", SC_GGUF_I32, -2147483648LL));
    ok(sc_gguf_writer_int(w, "w.u64", SC_GGUF_U64, INT64_MAX));
    ok(sc_gguf_writer_int(w, "w.i64", SC_GGUF_I64, INT64_MIN));
    ok(sc_gguf_writer_int(w, "w.bool", SC_GGUF_BOOL, 1));
    ok(sc_gguf_writer_num(w, "w.f32", SC_GGUF_F32, 0.15625));
    ok(sc_gguf_writer_num(w, "w.f64", SC_GGUF_F64, 1e-300));
    ok(sc_gguf_writer_array(w, "w.i64s", SC_GGUF_I64, i64, 2));
    ok(sc_gguf_writer_array(w, "w.f64s", SC_GGUF_F64, f64, 2));
    ok(sc_gguf_writer_array(w, "w.f32s", SC_GGUF_F32, f32, 6));
    ok(sc_gguf_writer_array(w, "w.bools", SC_GGUF_BOOL, bools, 3));
    ok(sc_gguf_writer_strings(w, "w.strings", texts, 4));
    fails(SC_EINVAL, "-1 does not fit type u8", sc_gguf_writer_int(w, "x", SC_GGUF_U8, -1));
    fails(SC_EINVAL, "256 does not fit type u8", sc_gguf_writer_int(w, "x", SC_GGUF_U8, 256));
    fails(SC_EINVAL, "128 does not fit type i8", sc_gguf_writer_int(w, "x", SC_GGUF_I8, 128));
    fails(SC_EINVAL, "2 does not fit type bool", sc_gguf_writer_int(w, "x", SC_GGUF_BOOL, 2));
    fails(SC_EINVAL, "no integer type", sc_gguf_writer_int(w, "x", SC_GGUF_F32, 2));
    fails(SC_EINVAL, "no floating type", sc_gguf_writer_num(w, "x", SC_GGUF_U8, 2));
    fails(SC_EINVAL, "no array", sc_gguf_writer_array(w, "x", SC_GGUF_STRING, texts, 1));
    fails(SC_EINVAL, "general.alignment", sc_gguf_writer_int(w, "general.alignment", SC_GGUF_U32, 64));
    ok(sc_gguf_writer_tensor(w, "bf16", SC_BF16, 1, three, bf16));
    ok(sc_gguf_writer_tensor(w, "f32", SC_F32, 2, matrix, NULL));
    ok(sc_gguf_writer_tensor(w, "none", SC_F32, 1, none, NULL));
    ok(sc_gguf_writer_tensor(w, "q8_0", SC_Q8_0, 2, blocks, q));
    fails(SC_ESHAPE, "no multiple", sc_gguf_writer_tensor(w, "x", SC_Q8_0, 2, matrix, q));
    fails(SC_EUNSUPPORTED, "no type u8", sc_gguf_writer_tensor(w, "x", SC_U8, 2, matrix, q));
    fails(SC_ELIMIT, "rank 5", sc_gguf_writer_tensor(w, "x", SC_F32, 5, i64, q));
    ok(sc_gguf_writer_next(w, &i));
    assert_int_equal(i, 1);
    fails(SC_EINVAL, "after the first", sc_gguf_writer_int(w, "late", SC_GGUF_U8, 1));
    ok(sc_gguf_writer_write(w, f32, 24));
    ok(sc_gguf_writer_next(w, &i));
    assert_int_equal(i, -1);
    ok(sc_gguf_writer_finish(w));
    sc_gguf_writer_free(w);
}

static void writes_and_reads_back(void **state)
{
    (void)state;
    char *dir = make_dir(), *path = in_dir(dir, "x.gguf"), *path2 = in_dir(dir, "y.gguf"), *p, *p2;
    sc_gguf *g;
    sc_gguf_writer *w;
    int64_t i, n, n2;
    sc_gguf_text *texts;
    write_example(path);
    ok(sc_gguf_open(&g, path));
    assert_int_equal(sc_gguf_key_count(g), 17);
    ok(sc_gguf_int(g, "w.i64", INT64_MIN, 0, &i));
    assert_int_equal(i, INT64_MIN);
    ok(sc_gguf_strings(g, "w.strings", &texts, &n));
    assert_true(n == 4 && texts[2].n == 1 && texts[2].p[0] == 0);
    sc_free(texts);
    for (i = 0; i < sc_gguf_count(g); i++) assert_int_equal((uintptr_t)sc_gguf_get(g, i)->data % 32, 0);
    /* everything copied into another file: the same bytes */
    ok(sc_gguf_writer_new(&w, path2));
    for (i = 0; i < sc_gguf_key_count(g); i++) ok(sc_gguf_writer_copy(w, sc_gguf_key_at(g, i)));
    for (i = 0; i < sc_gguf_count(g); i++) {
        const sc_file_tensor *t = sc_gguf_get(g, i);
        ok(sc_gguf_writer_tensor(w, t->name, t->dtype, t->rank, t->dim, t->data));
    }
    ok(sc_gguf_writer_finish(w));
    sc_gguf_writer_free(w);
    sc_gguf_free(g);
    p = read_all_of(path, &n);
    p2 = read_all_of(path2, &n2);
    assert_int_equal(n, n2);
    assert_memory_equal(p, p2, (size_t)n);
    sc_free(p);
    sc_free(p2);
    drop_dir(dir);
}

static void leaves_the_old_file_unless_finished(void **state)
{
    (void)state;
    char *dir = make_dir(), *path = in_dir(dir, "x.gguf"), *p;
    int64_t n;
    float x = 0;
    sc_gguf_writer *w;
    ok(sc_file_write(path, "old", 3));
    ok(sc_gguf_writer_new(&w, path));
    ok(sc_gguf_writer_int(w, "k", SC_GGUF_U8, 1));
    ok(sc_gguf_writer_int(w, "k", SC_GGUF_U8, 1));
    fails(SC_EINVAL, "key 'k' is given twice", sc_gguf_writer_finish(w));
    sc_gguf_writer_free(w);
    ok(sc_gguf_writer_new(&w, path));
    ok(sc_gguf_writer_tensor(w, "a", SC_F32, 0, NULL, &x));
    ok(sc_gguf_writer_tensor(w, "a", SC_F32, 0, NULL, &x));
    fails(SC_EINVAL, "tensor 'a' is given twice", sc_gguf_writer_finish(w));
    fails(SC_EIO, "earlier", sc_gguf_writer_finish(w));
    sc_gguf_writer_free(w);
    p = read_all_of(path, &n);
    assert_string_equal(p, "old");
    sc_free(p);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
    free(dir);
}

/* 150,000 tokens: opening costs no allocation for them, and little time. */
static void opens_large_vocabularies_fast(void **state)
{
    (void)state;
    enum { N = 150000 };
    char *dir = make_dir(), *path = in_dir(dir, "x.gguf");
    sc_gguf_text *texts = calloc(N, sizeof *texts);
    sc_gguf_writer *w;
    sc_gguf *g;
    for (int i = 0; i < N; i++) texts[i] = (sc_gguf_text){"a token", 1 + i % 7};
    ok(sc_gguf_writer_new(&w, path));
    ok(sc_gguf_writer_strings(w, "tokenizer.ggml.tokens", texts, N));
    ok(sc_gguf_writer_finish(w));
    sc_gguf_writer_free(w);
    free(texts);
    clock_t from = clock();
    ok(sc_gguf_open(&g, path));
    double ms = (double)(clock() - from) * 1e3 / CLOCKS_PER_SEC;
    if (ms > 100) fail_msg("%.1f ms to open a file of 150,000 tokens", ms); /* about 0.5 in a release build */
    int64_t n;
    ok(sc_gguf_strings(g, "tokenizer.ggml.tokens", &texts, &n));
    assert_int_equal(n, N);
    assert_int_equal(texts[N - 1].n, 1 + (N - 1) % 7);
    sc_free(texts);
    sc_gguf_free(g);
    drop_dir(dir);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--write")) {
        write_example(argv[2]);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_metadata),
        cmocka_unit_test(reads_tensors),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(refuses_hostile_heads),
        cmocka_unit_test(refuses_hostile_metadata),
        cmocka_unit_test(holds_strings_with_nul),
        cmocka_unit_test(refuses_hostile_alignments),
        cmocka_unit_test(refuses_hostile_tensors),
        cmocka_unit_test(writes_and_reads_back),
        cmocka_unit_test(leaves_the_old_file_unless_finished),
        cmocka_unit_test(opens_large_vocabularies_fast),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
