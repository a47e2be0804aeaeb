/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base.h"

#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static void utf8_replaces_as_unicode_says(void **state)
{
    (void)state;
    /* Table 3-8 of the Unicode standard: maximal subparts, one replacement each. */
    const char bad[] = "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64";
    const uint32_t want[] = {0x61, 0xfffd, 0xfffd, 0xfffd, 0x62, 0xfffd, 0x63, 0xfffd, 0xfffd, 0x64};
    int64_t at = 0, n = sizeof bad - 1;
    for (int i = 0; i < SC_COUNT(want); i++) {
        uint32_t cp;
        assert_true(at < n);
        at += sc_utf8_decode(bad + at, n - at, &cp);
        assert_int_equal(cp, want[i]);
    }
    assert_int_equal(at, n);
    for (uint32_t cp = 0; cp < 0x110000; cp += cp < 0x3000 ? 1 : 37) {
        if (cp >= 0xd800 && cp < 0xe000) continue;
        char b[4];
        uint32_t back;
        int k = sc_utf8_encode(cp, b);
        assert_int_equal(sc_utf8_decode(b, k, &back), k);
        assert_int_equal(back, cp);
        assert_true(sc_utf8_valid(b, k));
        for (int cut = 1; cut < k; cut++) {
            assert_int_equal(sc_utf8_unfinished(b, cut), cut);
            assert_false(sc_utf8_valid(b, cut));
        }
        assert_int_equal(sc_utf8_unfinished(b, k), 0);
    }
    assert_false(sc_utf8_valid("\xed\xa0\x80", 3)); /* a surrogate */
    assert_false(sc_utf8_valid("\xc0\x80", 2));     /* an overlong NUL */
}

static void map_keeps_what_was_put(void **state)
{
    (void)state;
    enum { N = 20000 };
    sc_map m = {0};
    sc_arena *a = sc_arena_new();
    for (int i = 0; i < N; i++) {
        char *k = sc_arena_printf(a, "key %d", i);
        assert_true(sc_map_put(&m, k, (int64_t)strlen(k), i));
    }
    assert_int_equal(m.count, N);
    for (int i = 0; i < N + 100; i++) {
        char k[32];
        int64_t v = -1;
        int n = snprintf(k, sizeof k, "key %d", i);
        assert_int_equal(sc_map_get(&m, k, n, &v), i < N);
        if (i < N) assert_int_equal(v, i);
    }
    assert_true(sc_map_put(&m, "", 0, 7));
    int64_t v = 0;
    assert_true(sc_map_get(&m, "", 0, &v));
    assert_int_equal(v, 7);
    sc_map_free(&m);
    sc_arena_free(a);
}

/* Texts of 16 bytes that collide whatever FNV's basis is: the top bit of the first word, undone by two bits of the second. */
static void keys_cannot_be_made_to_collide(void **state)
{
    (void)state;
    enum { PAIRS = 10, N = 1 << PAIRS };
    uint64_t *hash = calloc(N, sizeof *hash), one = sc_hash_secret();
    assert_true(one == sc_hash_secret());
    for (int i = 0; i < N; i++) {
        unsigned char key[16 * PAIRS];
        memset(key, 'a', sizeof key);
        for (int k = 0; k < PAIRS; k++) {
            if (!(i >> k & 1)) continue;
            key[16 * k + 7] ^= 0x80;
            key[16 * k + 15] ^= 0x80;
            key[16 * k + 12] ^= 0x04;
        }
        if (i == 1) assert_true(sc_hash(key, sizeof key) == hash[0]);
        if (i == 0) hash[0] = sc_hash(key, sizeof key);
        if (i == 0) continue;
        hash[i] = sc_hash_with(one, key, sizeof key);
        for (int k = 1; k < i; k++) assert_true(hash[i] != hash[k]);
        assert_true(sc_hash_with(one + 2, key, sizeof key) != hash[i]);
    }
    free(hash);
}

static void base64_wants_whole_bytes(void **state)
{
    (void)state;
    sc_str s = {0};
    assert_true(sc_base64_decode(&s, "aGk=", 4));
    assert_true(sc_base64_decode(&s, "aGk", 3));
    assert_string_equal(s.p, "hihi");
    assert_false(sc_base64_decode(&s, "aGkha", 5));
    assert_false(sc_base64_decode(&s, "aG k", 4));
    sc_str_free(&s);
}

static void philox_matches_the_published_vectors(void **state)
{
    (void)state;
    /* Known answers of philox4x32-10 distributed with Random123: all zeros, and all ones. */
    uint32_t out[4];
    sc_philox(0, 0, 0, out);
    const uint32_t zeros[] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    assert_memory_equal(out, zeros, sizeof zeros);
    sc_philox(UINT64_MAX, UINT64_MAX, UINT64_MAX, out);
    const uint32_t ones[] = {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd};
    assert_memory_equal(out, ones, sizeof ones);
}

static void normals_do_not_depend_on_the_cut(void **state)
{
    (void)state;
    enum { N = 20001 };
    static float whole[N], part[N];
    sc_rng_normal_fill(5, 9, 0, whole, N);
    for (int at = 0, k = 1; at < N; at += k, k = k * 3 % 101 + 1)
        sc_rng_normal_fill(5, 9, at, part + at, SC_MIN(k, N - at));
    assert_memory_equal(whole, part, sizeof whole);
    double sum = 0, sq = 0;
    for (int i = 0; i < N; i++) sum += whole[i], sq += (double)whole[i] * whole[i];
    assert_true(fabs(sum / N) < 0.03 && fabs(sq / N - 1) < 0.04);
}

typedef struct counting {
    sc_pool *pool;
    atomic_int at_phase[50];
    atomic_int wrong;
} counting;

static void count_phases(void *arg, int member)
{
    (void)member;
    counting *c = arg;
    for (int i = 0; i < 50; i++) {
        atomic_fetch_add(&c->at_phase[i], 1);
        sc_pool_barrier(c->pool);
        if (atomic_load(&c->at_phase[i]) != sc_pool_threads(c->pool)) atomic_fetch_add(&c->wrong, 1);
    }
}

static void pool_runs_every_member_and_barriers_hold(void **state)
{
    (void)state;
    for (int threads = 1; threads <= 9; threads += 2) {
        counting c = {0};
        assert_int_equal(sc_pool_new(&c.pool, threads), SC_OK);
        for (int run = 0; run < 20; run++) {
            for (int i = 0; i < 50; i++) atomic_store(&c.at_phase[i], 0);
            sc_pool_run(c.pool, count_phases, &c);
            assert_int_equal(atomic_load(&c.at_phase[49]), threads);
        }
        assert_int_equal(atomic_load(&c.wrong), 0);
        sc_pool_free(c.pool);
    }
    sc_pool *none;
    assert_int_equal(sc_pool_new(&none, 0), SC_EINVAL);
}

static void messages_are_one_line(void **state)
{
    (void)state;
    assert_int_equal(sc_fail(SC_EIO, "a\nb\x1b[31m%s", "\tc"), SC_EIO);
    assert_string_equal(sc_error(), "a?b?[31m?c");
    sc_fail_in(SC_EIO, "file %d", 3);
    assert_string_equal(sc_error(), "file 3: a?b?[31m?c");
    char *longest = malloc(100000);
    memset(longest, 'x', 99999);
    longest[99999] = 0;
    sc_fail(SC_EIO, "%s", longest);
    sc_fail_in(SC_EIO, "%s", longest);
    assert_true(strlen(sc_error()) < 1100);
    free(longest);
}

static void writer_leaves_old_or_new(void **state)
{
    (void)state;
    char dir[] = "/tmp/socle-base-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = sc_path_join(dir, "file");
    assert_int_equal(sc_file_write(path, "old", 3), SC_OK);
    sc_writer *w;
    assert_int_equal(sc_writer_open(&w, path), SC_OK);
    assert_int_equal(sc_writer_write(w, "new", 3), SC_OK);
    sc_writer_close(w); /* without commit */
    char *text;
    int64_t n;
    assert_int_equal(sc_file_read(&text, &n, path, 100), SC_OK);
    assert_string_equal(text, "old");
    sc_free(text);
    char big[3 << 20];
    memset(big, 'z', sizeof big);
    assert_int_equal(sc_file_write(path, big, sizeof big), SC_OK);
    sc_buffer *map;
    assert_int_equal(sc_file_map(&map, path), SC_OK);
    assert_int_equal(map->size, sizeof big);
    assert_memory_equal(map->data, big, sizeof big);
    sc_buffer_unref(map);
    assert_int_equal(sc_file_read(&text, &n, path, 100), SC_ELIMIT);
    assert_int_equal(sc_file_read(&text, &n, dir, 100), SC_EINVAL);
    assert_int_equal(sc_file_read(&text, &n, "/nonexistent/x", 100), SC_ENOTFOUND);
    assert_int_equal(sc_file_write("/nonexistent/x", "a", 1), SC_ENOTFOUND);
    assert_int_equal(sc_writer_open(&w, dir), SC_EINVAL); /* before any work is done */
    struct stat st;
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(sc_file_write(path, big, 10), SC_OK);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    char *deep = sc_path_join(dir, "a/b/c");
    assert_int_equal(sc_mkdirs(deep), SC_OK);
    assert_true(sc_path_is_dir(deep));
    assert_int_not_equal(sc_mkdirs(path), SC_OK);
    char command[128];
    snprintf(command, sizeof command, "test \"$(ls %s | wc -l)\" = 2 && rm -r %s", dir, dir);
    assert_int_equal(system(command), 0); /* the file and the folder, nothing half-written */
    sc_free(deep);
    sc_free(path);
}

static void writer_keeps_pipes_and_folders(void **state)
{
    (void)state;
    char dir[] = "/tmp/socle-base-XXXXXX", got[8] = "";
    struct stat st;
    assert_non_null(mkdtemp(dir));
    char *path = sc_path_join(dir, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    assert_int_equal(sc_file_write(path, "through", 7), SC_OK);
    assert_int_equal(read(reader, got, sizeof got), 7);
    assert_string_equal(got, "through");
    close(reader);
    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
    assert_int_not_equal(sc_file_write(dir, "a", 1), SC_OK);
    assert_true(sc_path_is_dir(dir));
    unlink(path);
    rmdir(dir);
    sc_free(path);
}

static void json_is_bounded_and_typed(void **state)
{
    (void)state;
    json_t *j;
    char deep[20000];
    memset(deep, '[', sizeof deep);
    assert_int_equal(sc_json_parse(&j, deep, sizeof deep, "deep"), SC_ELIMIT);
    assert_int_equal(sc_json_parse(&j, "{\"a\":1,\"a\":2}", 13, "twice"), SC_EFORMAT);
    assert_int_equal(sc_json_parse(&j, "\"\xff\"", 3, "bytes"), SC_EFORMAT);
    const char *t = "{\"n\": 5, \"f\": 2.5, \"w\": 8.0, \"s\": \"[{\\\"\", \"b\": true, \"z\": null}";
    assert_int_equal(sc_json_parse(&j, t, (int64_t)strlen(t), "t"), SC_OK);
    int64_t n = 1;
    double f = 0;
    bool b = false;
    const char *s = NULL;
    assert_int_equal(sc_json_int(j, "t", "n", 0, 5, &n), SC_OK);
    assert_int_equal(n, 5);
    assert_int_equal(sc_json_int(j, "t", "w", 0, 8, &n), SC_OK);
    assert_int_equal(n, 8);
    assert_int_equal(sc_json_int(j, "t", "n", 6, 9, &n), SC_ELIMIT);
    assert_string_equal(sc_error(), "t: n is 5, outside 6 to 9");
    assert_int_equal(sc_json_int(j, "t", "f", 0, 9, &n), SC_EFORMAT);
    assert_int_equal(sc_json_int(j, "t", "z", 0, 9, &n), SC_OK);
    assert_int_equal(n, 8);
    assert_int_equal(sc_json_num(j, "t", "f", 0, 9, &f), SC_OK);
    assert_true(f == 2.5);
    assert_int_equal(sc_json_bool(j, "t", "b", &b), SC_OK);
    assert_true(b);
    assert_int_equal(sc_json_str(j, "t", "s", &s), SC_OK);
    assert_string_equal(s, "[{\"");
    assert_int_equal(sc_json_str(j, "t", "n", &s), SC_EFORMAT);
    json_decref(j);
    const char *big =
        "{\"m\": 1000000000000000019884624838656, \"s\": \"\\\"1000000000000000019884624838656\", \"e\": 1.5e10, "
        "\"d\": 0.1234567890123456789012, \"n\": -99999999999999999999, \"k\": 7}";
    assert_int_equal(sc_json_parse(&j, big, (int64_t)strlen(big), "big"), SC_OK);
    assert_true(json_real_value(json_object_get(j, "m")) == 1e30);
    assert_string_equal(json_string_value(json_object_get(j, "s")), "\"1000000000000000019884624838656");
    assert_true(json_real_value(json_object_get(j, "n")) == -1e20);
    assert_int_equal(json_integer_value(json_object_get(j, "k")), 7);
    json_decref(j);
    assert_int_equal(sc_json_parse(&j, "[1e999]", 7, "huge"), SC_EFORMAT);
    const char *words =
        "{\"a\": [0.0, Infinity, -Infinity], \"n\": NaN, \"s\": \"Infinity NaN\"}"; /* as Python has them */
    assert_int_equal(sc_json_parse(&j, words, (int64_t)strlen(words), "words"), SC_OK);
    assert_true(json_real_value(json_array_get(json_object_get(j, "a"), 1)) > 1e308);
    assert_true(json_real_value(json_array_get(json_object_get(j, "a"), 2)) < -1e308);
    assert_true(json_is_null(json_object_get(j, "n")));
    assert_string_equal(json_string_value(json_object_get(j, "s")), "Infinity NaN");
    json_decref(j);
    assert_int_equal(sc_json_parse(&j, "[Infinit]", 9, "word"), SC_EFORMAT);
    assert_non_null(strstr(sc_error(), "Infinit"));
}

static void context_counts_and_cancels(void **state)
{
    (void)state;
    sc_context *ctx;
    assert_int_equal(sc_context_new(&ctx, NULL), SC_OK);
    assert_true(sc_context_threads(ctx) >= 1);
    assert_false(sc_context_cancelled(ctx));
    sc_context_cancel(ctx);
    assert_true(sc_context_cancelled(ctx));
    sc_context_resume(ctx);
    assert_false(sc_context_cancelled(ctx));
    sc_context_free(ctx);
    sc_context_free(NULL);
}

/* The vectors of RFC 3720, B.4, and one long enough for the tables, whole and in pieces. */
static void crc32c_matches_the_published_vectors(void **state)
{
    (void)state;
    unsigned char bytes[32];
    memset(bytes, 0, 32);
    assert_int_equal(sc_crc32c(0, bytes, 32), 0x8a9136aa);
    memset(bytes, 0xff, 32);
    assert_int_equal(sc_crc32c(0, bytes, 32), 0x62a8ab43);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    assert_int_equal(sc_crc32c(0, bytes, 32), 0x46dd794e);
    assert_int_equal(sc_crc32c(0, "123456789", 9), 0xe3069283);
    enum { N = 70001 };
    unsigned char *p = malloc(N);
    uint32_t whole, parts = 0;
    for (int i = 0; i < N; i++) p[i] = (unsigned char)(i * 7 + i / 251);
    whole = sc_crc32c(0, p, N);
    for (int i = 0; i < N; i += 100) parts = sc_crc32c(parts, p + i, SC_MIN(100, N - i));
    assert_int_equal(whole, parts);
    free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_matches_the_published_vectors),
        cmocka_unit_test(utf8_replaces_as_unicode_says),
        cmocka_unit_test(map_keeps_what_was_put),
        cmocka_unit_test(keys_cannot_be_made_to_collide),
        cmocka_unit_test(base64_wants_whole_bytes),
        cmocka_unit_test(philox_matches_the_published_vectors),
        cmocka_unit_test(normals_do_not_depend_on_the_cut),
        cmocka_unit_test(pool_runs_every_member_and_barriers_hold),
        cmocka_unit_test(messages_are_one_line),
        cmocka_unit_test(writer_leaves_old_or_new),
        cmocka_unit_test(writer_keeps_pipes_and_folders),
        cmocka_unit_test(json_is_bounded_and_typed),
        cmocka_unit_test(context_counts_and_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
