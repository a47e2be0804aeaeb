/* SPDX-License-Identifier: Apache-2.0 */
/* safetensors: files of the format's own library, hostile ones, shards, and what we write.
 *
 * With --write PATH it only writes a file, which tests/check_io.py compares with the format's own library. */
#include "io_common.h"

static sc_status open_bytes(sc_safetensors **st, const void *p, size_t n)
{
    sc_buffer *b = bytes_of(p, n);
    sc_status e = sc_safetensors_open_buffer(st, b, "mem");
    sc_buffer_unref(b);
    return e;
}

/* A file of this header and so many bytes of data. */
static sc_status open_header(sc_safetensors **st, const char *header, size_t data)
{
    uint64_t n = strlen(header);
    char *p = calloc(1, 8 + n + data);
    memcpy(p, &n, 8);
    memcpy(p + 8, header, n);
    sc_status e = open_bytes(st, p, 8 + n + data);
    free(p);
    return e;
}

static void check_dims(const sc_file_tensor *t, int rank, int64_t a, int64_t b, int64_t c)
{
    assert_int_equal(t->rank, rank);
    assert_int_equal(t->dim[0], a);
    assert_int_equal(t->dim[1], b);
    assert_int_equal(t->dim[2], c);
}

static void reads_what_others_write(void **state)
{
    (void)state;
    sc_safetensors *st;
    const sc_file_tensor *t;
    ok(sc_safetensors_open(&st, DATA "types.safetensors"));
    assert_int_equal(sc_safetensors_count(st), 13);
    static const struct {
        const char *name;
        sc_dtype dtype;
        int size;
    } rows[] = {{"f32", SC_F32, 4}, {"f16", SC_F16, 2}, {"bf16", SC_BF16, 2}, {"i32", SC_I32, 4},
                {"i64", SC_I64, 8}, {"u8", SC_U8, 1},   {"bool", SC_BOOL, 1}};
    for (int i = 0; i < SC_COUNT(rows); i++) {
        ok(sc_safetensors_find(st, rows[i].name, &t));
        assert_string_equal(t->name, rows[i].name);
        assert_int_equal(t->dtype, rows[i].dtype);
        check_dims(t, 2, 2, 3, 1);
        assert_int_equal(t->bytes, 6 * rows[i].size);
        assert_int_equal((uintptr_t)t->data % (uintptr_t)rows[i].size, 0);
        for (int j = 0; j < 6; j++) {
            const char *p = (const char *)t->data + j * rows[i].size;
            float f = (float)j / 4 - 3;
            uint32_t bits;
            memcpy(&bits, &f, 4);
            if (rows[i].dtype == SC_F32)
                assert_memory_equal(p, &bits, 4);
            else if (rows[i].dtype == SC_BF16)
                assert_memory_equal(p, (char *)&bits + 2, 2); /* these are exact in bf16 */
            else if (rows[i].dtype == SC_I32)
                assert_int_equal(*(const int32_t *)p, j * 7);
            else if (rows[i].dtype == SC_I64)
                assert_int_equal(*(const int64_t *)p, j * 7);
            else if (rows[i].dtype == SC_U8)
                assert_int_equal(*p, j * 7);
            else if (rows[i].dtype == SC_BOOL)
                assert_int_equal(*p, j % 2);
        }
    }
    ok(sc_safetensors_find(st, "scalar", &t));
    check_dims(t, 0, 1, 1, 1);
    assert_true(*(const float *)t->data == 1.5f);
    ok(sc_safetensors_find(st, "empty", &t));
    check_dims(t, 2, 0, 4, 1);
    assert_int_equal(t->bytes, 0);
    ok(sc_safetensors_find(st, "name with \"quotes\", \\ and 한글", &t));
    fails(SC_EUNSUPPORTED, "'f64': type F64", sc_safetensors_find(st, "f64", &t));
    fails(SC_EUNSUPPORTED, "'f8': type F8_E4M3", sc_safetensors_find(st, "f8", &t));
    fails(SC_EUNSUPPORTED, "'i8': type I8", sc_safetensors_find(st, "i8", &t));
    fails(SC_ENOTFOUND, "types.safetensors: no tensor 'nothing'", sc_safetensors_find(st, "nothing", &t));
    assert_int_equal(sc_safetensors_meta_count(st), 2);
    assert_string_equal(sc_safetensors_meta(st, "format"), "pt");
    assert_string_equal(sc_safetensors_meta(st, "note"), "a\nb");
    assert_null(sc_safetensors_meta(st, "other"));
    assert_null(sc_safetensors_get(st, 13));
    assert_null(sc_safetensors_get(st, -1));
    sc_safetensors_free(st);
    sc_safetensors_free(NULL);
}

static void refuses_every_cut(void **state)
{
    (void)state;
    int64_t n;
    sc_safetensors *st;
    char *p = read_all_of(DATA "types.safetensors", &n);
    for (int64_t cut = 0; cut < n; cut++) fails(SC_EFORMAT, "mem: ", open_bytes(&st, p, (size_t)cut));
    ok(open_bytes(&st, p, (size_t)n));
    sc_safetensors_free(st);
    char *longer = calloc(1, (size_t)n + 1);
    memcpy(longer, p, (size_t)n);
    fails(SC_EFORMAT, "the tensors end at", open_bytes(&st, longer, (size_t)n + 1));
    free(longer);
    sc_free(p);
}

#define A(dtype, shape, from, to)                                                                                  \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #from "," #to "]}"

static void refuses_hostile_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        size_t data;
        sc_status code; /* SC_OK: it is good */
        const char *text;
    } rows[] = {
        {"{}", 0, SC_OK, ""},
        {" { } \n", 0, SC_OK, ""},
        {"{\"a\":" A("F32", "[]", 0, 4) "}", 4, SC_OK, ""},
        {"{\"a\":" A("F32", "[ 1 , 1 ]", 0, 4) "   }   ", 4, SC_OK, ""},
        {"{\"a\":" A("F4", "[2]", 0, 1) "}", 1, SC_OK, ""},
        {"{\"a\":" A("NEW", "[2]", 0, 1) "}", 1, SC_OK, ""},
        {"", 0, SC_EFORMAT, "expected '{'"},
        {"[]", 0, SC_EFORMAT, "expected '{'"},
        {"{", 0, SC_EFORMAT, "expected '\"'"},
        {"{\"a\"}", 0, SC_EFORMAT, "expected ':'"},
        {"{\"a\":1}", 0, SC_EFORMAT, "expected '{'"},
        {"{\"a\":{}}", 0, SC_EFORMAT, "tensor 'a'"},
        {"{}{}", 0, SC_EFORMAT, "text after"},
        {"{\"a\":" A("F32", "[1]", 0, 4) ",}", 4, SC_EFORMAT, "expected '\"'"},
        {"{\"a\":" A("F32", "[1]", 0, 3) "}", 3, SC_EFORMAT, "need 4 bytes, data_offsets give 3"},
        {"{\"a\":" A("F32", "[1]", 4, 0) "}", 4, SC_EFORMAT, "end before they begin"},
        {"{\"a\":" A("F32", "[1]", 0, 4) "}", 3, SC_EFORMAT, "ends at byte 4 of a data section of 3"},
        {"{\"a\":" A("F32", "[1]", 4, 8) "}", 8, SC_EFORMAT, "hole"},
        {"{\"a\":" A("F32", "[1]", 0, 4) "}", 8, SC_EFORMAT, "the tensors end at byte 4"},
        {"{\"a\":" A("F32", "[1]", 0, 4) ",\"b\":" A("F32", "[1]", 0, 4) "}", 4, SC_EFORMAT,
         "inside the one before"},
        {"{\"a\":" A("F32", "[2]", 0, 8) ",\"b\":" A("F32", "[2]", 4, 12) "}", 12, SC_EFORMAT,
         "inside the one before"},
        {"{\"a\":" A("F32", "[1]", 0, 4) ",\"a\":" A("F32", "[1]", 4, 8) "}", 8, SC_EFORMAT, "'a' is given twice"},
        {"{\"a\":" A("F32", "[1]", 0, 4) ",\"\\u0061\":" A("F32", "[1]", 4, 8) "}", 8, SC_EFORMAT, "given twice"},
        {"{\"a\":" A("F32", "[1,1,1,1,1,1,1]", 0, 4) "}", 4, SC_ELIMIT, "shape has more than 6"},
        {"{\"a\":" A("F32", "[-1]", 0, 4) "}", 4, SC_EFORMAT, "whole number"},
        {"{\"a\":" A("F32", "[1.0]", 0, 4) "}", 4, SC_EFORMAT, "expected ']'"},
        {"{\"a\":" A("F32", "[01]", 0, 4) "}", 4, SC_EFORMAT, "whole number"},
        {"{\"a\":" A("F32", "[1e0]", 0, 4) "}", 4, SC_EFORMAT, "expected ']'"},
        {"{\"a\":" A("F32", "[9223372036854775808]", 0, 4) "}", 4, SC_EFORMAT, "2^63"},
        {"{\"a\":" A("F32", "[9223372036854775807]", 0, 4) "}", 4, SC_ELIMIT, "2^63"},
        {"{\"a\":" A("F32", "[4294967296,4294967296]", 0, 0) "}", 0, SC_ELIMIT, "2^63"},
        {"{\"a\":" A("F32", "[4294967296,4294967296,0]", 0, 0) "}", 0, SC_ELIMIT, "2^63"},
        {"{\"a\":" A("F32", "[1]", 0, 9223372036854775807) "}", 4, SC_EFORMAT, "need 4 bytes"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,5]}}", 4, SC_ELIMIT,
         "data_offsets has more than 2"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4]}}", 4, SC_EFORMAT, "two numbers"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, SC_EFORMAT, "'data_offsets' is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, SC_EFORMAT, "'shape' is missing"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", 4, SC_EFORMAT, "'dtype' is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\"}}", 4, SC_EFORMAT, "'dtype' is given twice"},
        {"{\"a\":{\"dtype\":\"F32\",\"x\":0}}", 4, SC_EFORMAT, "unknown field 'x'"},
        {"{\"a\":{\"dtype\":32}}", 4, SC_EFORMAT, "expected '\"'"},
        {"{\"a\":" A("F4", "[1]", 0, 1) "}", 1, SC_EFORMAT, "need 1 bytes"},
        {"{\"a\\u0000b\":" A("F32", "[1]", 0, 4) "}", 4, SC_EFORMAT, "NUL"},
        {"{\"\\ud800\":" A("F32", "[1]", 0, 4) "}", 4, SC_EFORMAT, "surrogate"},
        {"{\"\\ud800\\u0041\":" A("F32", "[1]", 0, 4) "}", 4, SC_EFORMAT, "surrogate"},
        {"{\"\\udc00\":" A("F32", "[1]", 0, 4) "}", 4, SC_EFORMAT, "surrogate"},
        {"{\"\\x\":" A("F32", "[1]", 0, 4) "}", 4, SC_EFORMAT, "escape"},
        {"{\"\\u12\"34\":" A("F32", "[1]", 0, 4) "}", 4, SC_EFORMAT, "escape"},
        {"{\"a\xff\":" A("F32", "[1]", 0, 4) "}", 4, SC_EFORMAT, "UTF-8"},
        {"{\"a\nb\":" A("F32", "[1]", 0, 4) "}", 4, SC_EFORMAT, "control"},
        {"{\"__metadata__\":{\"a\":1}}", 0, SC_EFORMAT, "__metadata__"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", 0, SC_EFORMAT, "twice"},
        {"{\"\\", 0, SC_EFORMAT, "text without end"},
        {"{\"a\":[[[[[[[[[[[[[[[[[[[[", 0, SC_EFORMAT, "expected '{'"},
    };
    for (int i = 0; i < SC_COUNT(rows); i++) {
        sc_safetensors *st = NULL;
        sc_status e = open_header(&st, rows[i].header, rows[i].data);
        if (e != rows[i].code || (e && (!strstr(sc_error(), rows[i].text) || strncmp(sc_error(), "mem: ", 5))))
            fail_msg("row %d, %s: %s: %s", i, rows[i].header, sc_status_text(e), sc_error());
        sc_safetensors_free(st);
    }
    sc_safetensors *st;
    static const uint64_t lengths[] = {100000001, 1ull << 31, 1ull << 63, UINT64_MAX};
    for (int i = 0; i < SC_COUNT(lengths); i++) {
        char file[16] = {0};
        memcpy(file, &lengths[i], 8);
        fails(SC_ELIMIT, "the limit is 100000000", open_bytes(&st, file, sizeof file));
    }
    fails(SC_ENOTFOUND, "/nonexistent", sc_safetensors_open(&st, "/nonexistent.safetensors"));
    fails(SC_EINVAL, "NULL", sc_safetensors_open(&st, NULL));
}

static void aligns_what_lies_askew(void **state)
{
    (void)state;
    /* 59 bytes of header, then a byte, then a float and an i64 */
    const char *header =
        "{\"a\":" A("U8", "[1]", 0, 1) ",\"b\":" A("F32", "[2]", 1, 9) ",\"c\":" A("I64", "[1]", 9, 17) "}";
    uint64_t n = strlen(header);
    char file[512];
    float b[2] = {1.5f, -2};
    int64_t c = -77;
    for (uint64_t pad = 0; pad < 8; pad++) {
        uint64_t size = n + pad;
        memcpy(file, &size, 8);
        memcpy(file + 8, header, n);
        memset(file + 8 + n, ' ', pad);
        file[8 + size] = 9;
        memcpy(file + 9 + size, b, 8);
        memcpy(file + 17 + size, &c, 8);
        sc_safetensors *st;
        const sc_file_tensor *t;
        ok(open_bytes(&st, file, 25 + size));
        ok(sc_safetensors_find(st, "b", &t));
        assert_int_equal((uintptr_t)t->data % 4, 0);
        assert_memory_equal(t->data, b, 8);
        ok(sc_safetensors_find(st, "c", &t));
        assert_int_equal((uintptr_t)t->data % 8, 0);
        assert_memory_equal(t->data, &c, 8);
        /* the buffer that is to be kept holds the bytes */
        sc_buffer *keep = sc_buffer_ref(sc_safetensors_buffer(st, 2));
        const char *where = t->data;
        sc_safetensors_free(st);
        assert_true(where >= (char *)keep->data && where + 8 <= (char *)keep->data + keep->size);
        assert_memory_equal(where, &c, 8);
        sc_buffer_unref(keep);
    }
}

static void reads_shards(void **state)
{
    (void)state;
    static const char *const paths[] = {DATA "shards", DATA "shards/model.safetensors.index.json"};
    for (int i = 0; i < 2; i++) {
        sc_safetensors *st;
        const sc_file_tensor *t;
        ok(sc_safetensors_open(&st, paths[i]));
        assert_int_equal(sc_safetensors_count(st), 3);
        ok(sc_safetensors_find(st, "a", &t));
        check_dims(t, 2, 4, 2, 1);
        assert_true(((const float *)t->data)[7] == 7 / 4.f - 3);
        ok(sc_safetensors_find(st, "b", &t));
        ok(sc_safetensors_find(st, "c", &t));
        check_dims(t, 3, 2, 2, 2);
        sc_safetensors_free(st);
    }
}

static void write_index(const char *dir, const char *map)
{
    char text[4096];
    int n = snprintf(text, sizeof text, "{\"weight_map\": %s}", map);
    ok(sc_file_write(in_dir(dir, "model.safetensors.index.json"), text, n));
}

static void write_one(const char *path, const char *name)
{
    float x = 1;
    sc_safetensors_writer *w;
    ok(sc_safetensors_writer_new(&w, path));
    ok(sc_safetensors_writer_add(w, name, SC_F32, 0, NULL, &x));
    ok(sc_safetensors_writer_finish(w));
    sc_safetensors_writer_free(w);
}

static void refuses_hostile_indexes(void **state)
{
    (void)state;
    char *dir = make_dir(), *outside = make_dir();
    sc_safetensors *st;
    static const struct {
        const char *map, *text;
        sc_status code;
    } rows[] = {
        {"{\"a\": \"../x.safetensors\"}", "not a plain file name", SC_EFORMAT},
        {"{\"a\": \"/etc/passwd\"}", "not a plain file name", SC_EFORMAT},
        {"{\"a\": \"sub/one.safetensors\"}", "not a plain file name", SC_EFORMAT},
        {"{\"a\": \"sub\\\\one.safetensors\"}", "not a plain file name", SC_EFORMAT},
        {"{\"a\": \"one.safetensors\\u0000x\"}", "not a plain file name", SC_EFORMAT},
        {"{\"a\": \"..\"}", "not a plain file name", SC_EFORMAT},
        {"{\"a\": \".hidden\"}", "not a plain file name", SC_EFORMAT},
        {"{\"a\": \"\"}", "not a plain file name", SC_EFORMAT},
        {"{\"a\": 1}", "not a text", SC_EFORMAT},
        {"{}", "weight_map", SC_EFORMAT},
        {"[]", "weight_map", SC_EFORMAT},
        {"{\"a\": \"missing.safetensors\"}", "missing.safetensors", SC_ENOTFOUND},
        {"{\"b\": \"one.safetensors\"}", "'b' is not in its shard 'one.safetensors'", SC_EFORMAT},
        {"{\"a\": \"one.safetensors\", \"c\": \"copy.safetensors\"}", "'a' is given twice", SC_EFORMAT},
        {"{\"a\": \"link.safetensors\"}", "leads out of its directory", SC_EFORMAT},
        {"{\"a\": \"model.safetensors.index.json\"}", "model.safetensors.index.json: ", SC_ELIMIT},
    };
    write_one(in_dir(dir, "one.safetensors"), "a");
    write_one(in_dir(dir, "copy.safetensors"), "a");
    write_one(in_dir(outside, "one.safetensors"), "a");
    assert_int_equal(symlink(in_dir(outside, "one.safetensors"), in_dir(dir, "link.safetensors")), 0);
    assert_int_equal(symlink("one.safetensors", in_dir(dir, "good.safetensors")), 0);
    for (int i = 0; i < SC_COUNT(rows); i++) {
        write_index(dir, rows[i].map);
        sc_status e = sc_safetensors_open(&st, dir);
        if (e != rows[i].code || !strstr(sc_error(), rows[i].text))
            fail_msg("row %d: %s: %s", i, sc_status_text(e), sc_error());
    }
    write_index(dir, "{\"a\": \"good.safetensors\"}"); /* a link within */
    ok(sc_safetensors_open(&st, dir));
    sc_safetensors_free(st);
    fails(SC_ENOTFOUND, "holds no model.safetensors", sc_safetensors_open(&st, outside));
    /* the HuggingFace cache: snapshots/COMMIT/file -> ../../blobs/HASH */
    char *cache = make_dir();
    assert_int_equal(mkdir(in_dir(cache, "blobs"), 0700) | mkdir(in_dir(cache, "snapshots"), 0700), 0);
    assert_int_equal(mkdir(in_dir(cache, "snapshots/c0"), 0700), 0);
    write_one(in_dir(cache, "blobs/beef"), "a");
    write_index(in_dir(cache, "snapshots/c0"), "{\"a\": \"s.safetensors\"}");
    assert_int_equal(symlink("../../blobs/beef", in_dir(cache, "snapshots/c0/s.safetensors")), 0);
    ok(sc_safetensors_open(&st, in_dir(cache, "snapshots/c0")));
    sc_safetensors_free(st);
    drop_dir(cache);
    drop_dir(dir);
    drop_dir(outside);
}

/* Every type, borrowed and streamed, in an order that is not the layout's. */
static void write_example(const char *path)
{
    static const uint8_t u8[3] = {1, 2, 3};
    static const uint16_t f16[3] = {0x3C00, 0xC000, 0x3800};
    static const float f32[6] = {0, 1, 2, 3, 4, 5};
    static const int64_t i64[2] = {-1, INT64_MAX};
    static const int64_t three[] = {3}, two[] = {2}, matrix[] = {2, 3}, none[] = {0, 5};
    sc_safetensors_writer *w;
    int64_t i;
    ok(sc_safetensors_writer_new(&w, path));
    ok(sc_safetensors_writer_meta(w, "format", "pt"));
    ok(sc_safetensors_writer_meta(w, "quote\"\\\n", "\x01한"));
    fails(SC_EINVAL, "twice", sc_safetensors_writer_meta(w, "format", "np"));
    ok(sc_safetensors_writer_add(w, "u8", SC_U8, 1, three, u8));
    ok(sc_safetensors_writer_add(w, "f16", SC_F16, 1, three, NULL));
    ok(sc_safetensors_writer_add(w, "matrix \"f32\"", SC_F32, 2, matrix, NULL));
    ok(sc_safetensors_writer_add(w, "i64", SC_I64, 1, two, i64));
    ok(sc_safetensors_writer_add(w, "none", SC_F32, 2, none, NULL));
    ok(sc_safetensors_writer_add(w, "scalar", SC_F32, 0, NULL, f32 + 5));
    fails(SC_EUNSUPPORTED, "q4_0", sc_safetensors_writer_add(w, "q", SC_Q4_0, 1, three, NULL));
    fails(SC_EINVAL, "__metadata__", sc_safetensors_writer_add(w, "__metadata__", SC_F32, 0, NULL, f32));
    fails(SC_EINVAL, "UTF-8", sc_safetensors_writer_add(w, "\xff", SC_F32, 0, NULL, f32));
    fails(SC_EINVAL, "first tensor", sc_safetensors_writer_write(w, f32, 4));
    ok(sc_safetensors_writer_next(w, &i));
    assert_int_equal(i, 2); /* after the i64, which is wider and borrowed */
    fails(SC_EINVAL, "after the first", sc_safetensors_writer_add(w, "late", SC_F32, 0, NULL, f32));
    ok(sc_safetensors_writer_write(w, f32, 10));
    fails(SC_EINVAL, "only 10 of its 24", sc_safetensors_writer_next(w, &i));
    fails(SC_EINVAL, "24 bytes, more", sc_safetensors_writer_write(w, f32, 15));
    ok(sc_safetensors_writer_write(w, (const char *)f32 + 10, 14));
    ok(sc_safetensors_writer_next(w, &i));
    assert_int_equal(i, 1);
    fails(SC_EINVAL, "was not written", sc_safetensors_writer_finish(w));
    ok(sc_safetensors_writer_write(w, f16, 6));
    ok(sc_safetensors_writer_finish(w));
    sc_safetensors_writer_free(w);
}

static void writes_and_reads_back(void **state)
{
    (void)state;
    char *dir = make_dir(), *path = in_dir(dir, "x.safetensors");
    sc_safetensors *st;
    const sc_file_tensor *t;
    write_example(path);
    ok(sc_safetensors_open(&st, path));
    assert_int_equal(sc_safetensors_count(st), 6);
    assert_string_equal(sc_safetensors_meta(st, "quote\"\\\n"), "\x01한");
    ok(sc_safetensors_find(st, "matrix \"f32\"", &t));
    check_dims(t, 2, 2, 3, 1);
    for (int i = 0; i < 6; i++) assert_true(((const float *)t->data)[i] == (float)i);
    ok(sc_safetensors_find(st, "i64", &t));
    assert_int_equal(((const int64_t *)t->data)[1], INT64_MAX);
    ok(sc_safetensors_find(st, "u8", &t));
    assert_memory_equal(t->data, "\1\2\3", 3);
    ok(sc_safetensors_find(st, "f16", &t));
    assert_int_equal(((const uint16_t *)t->data)[1], 0xC000);
    for (int64_t i = 0; i < 6; i++) /* all in the map: nothing had to be copied */
        assert_ptr_equal(sc_safetensors_buffer(st, i), sc_safetensors_buffer(st, 0));
    sc_safetensors_free(st);
    drop_dir(dir);
}

static void leaves_the_old_file_unless_finished(void **state)
{
    (void)state;
    char *dir = make_dir(), *path = in_dir(dir, "x.safetensors"), *p;
    int64_t n;
    float x = 0;
    sc_safetensors_writer *w;
    ok(sc_file_write(path, "old", 3));
    ok(sc_safetensors_writer_new(&w, path));
    ok(sc_safetensors_writer_add(w, "a", SC_F32, 0, NULL, NULL));
    fails(SC_EINVAL, "was not written", sc_safetensors_writer_finish(w));
    sc_safetensors_writer_free(w);
    ok(sc_safetensors_writer_new(&w, path));
    ok(sc_safetensors_writer_add(w, "a", SC_F32, 0, NULL, &x));
    ok(sc_safetensors_writer_add(w, "a", SC_F32, 0, NULL, &x));
    fails(SC_EINVAL, "'a' is given twice", sc_safetensors_writer_finish(w));
    fails(SC_EIO, "earlier", sc_safetensors_writer_finish(w));
    sc_safetensors_writer_free(w);
    p = read_all_of(path, &n);
    assert_string_equal(p, "old");
    sc_free(p);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0); /* no partial file was left */
    free(dir);
}

static void takes_very_many_tensors(void **state)
{
    (void)state;
    enum { N = 100000 };
    char *dir = make_dir(), *path = in_dir(dir, "x.safetensors"), name[64];
    sc_safetensors_writer *w;
    sc_safetensors *st;
    const sc_file_tensor *t;
    static uint8_t x[N];
    ok(sc_safetensors_writer_new(&w, path));
    for (int i = 0; i < N; i++) {
        x[i] = (uint8_t)(i * 31);
        snprintf(name, sizeof name, "model.layers.%d.weight", i);
        ok(sc_safetensors_writer_add(w, name, SC_U8, 0, NULL, &x[i]));
    }
    ok(sc_safetensors_writer_finish(w));
    sc_safetensors_writer_free(w);
    ok(sc_safetensors_open(&st, path));
    assert_int_equal(sc_safetensors_count(st), N);
    for (int i = 0; i < N; i += 997) {
        snprintf(name, sizeof name, "model.layers.%d.weight", i);
        ok(sc_safetensors_find(st, name, &t));
        assert_int_equal(*(const uint8_t *)t->data, x[i]);
    }
    sc_safetensors_free(st);
    drop_dir(dir);
}

int main(int argc, char **argv)
{
    if (argc == 3 && !strcmp(argv[1], "--write")) {
        write_example(argv[2]);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_others_write),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(refuses_hostile_headers),
        cmocka_unit_test(aligns_what_lies_askew),
        cmocka_unit_test(reads_shards),
        cmocka_unit_test(refuses_hostile_indexes),
        cmocka_unit_test(writes_and_reads_back),
        cmocka_unit_test(leaves_the_old_file_unless_finished),
        cmocka_unit_test(takes_very_many_tensors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
