/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the data pipeline beside their definitions: sorted notes, documents on disk, sets of n-grams, MinHash, shards, mixing,
 * decontamination. tests/check_data.py has it as a whole. */
#include "data/near.h"
#include "data/run.h"
#include "socle/bytes.h"
#include "socle/data.h"

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define TOKENIZER SOCLE_SOURCE_DIR "/tests/data/chat_model"

static char dir[64] = "/tmp/socle-test-data-XXXXXX";
static sc_context *ctx;

static char *in_dir(const char *fmt, ...) SC_PRINTF(1, 2);
static char *in_dir(const char *fmt, ...)
{
    static char path[16][256];
    static int turn;
    char name[160];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(name, sizeof name, fmt, ap);
    va_end(ap);
    turn = (turn + 1) % 16;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

/* ---- sorted notes ---- */

typedef struct three {
    uint64_t key, ref;
    int n;
} three;

static int by_all(const void *a, const void *b)
{
    const three *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    if (x->ref != y->ref) return x->ref < y->ref ? -1 : 1;
    return (x->n > y->n) - (x->n < y->n);
}

/* Notes in any order over files with little memory come out sorted, from any key on; bytes of n notes are n times 'n'. */
static void test_notes(void **state)
{
    enum { N = 20000, FILES = 3 };
    static three want[N];
    char *path[FILES], bytes[64];
    sc_rng r = sc_rng_make(1, 2);
    (void)state;
    for (int f = 0, i = 0; f < FILES; f++) {
        sc_spill *s;
        path[f] = sc_strdup(in_dir("notes-%d", f));
        assert_int_equal(sc_spill_open(&s, path[f], 1 << 16), SC_OK);
        for (; i < N * (f + 1) / FILES; i++) {
            /* Few keys and refs, so that much is the same; and keys with high bits. */
            want[i] = (three){(uint64_t)(sc_rng_u32(&r) % 500) << 50 | sc_rng_u32(&r) % 3, sc_rng_u32(&r) % 4,
                              (int)(sc_rng_u32(&r) % 40)};
            memset(bytes, want[i].n, sizeof bytes);
            assert_int_equal(sc_spill_add(s, want[i].key, want[i].ref, bytes, want[i].n), SC_OK);
        }
        assert_int_equal(sc_spill_commit(s), SC_OK);
        sc_spill_close(s);
    }
    qsort(want, N, sizeof *want, by_all);
    for (int from = 0; from < 500; from += 123) {
        uint64_t lo = (uint64_t)from << 50, hi = (uint64_t)(from + 150) << 50;
        sc_merge *m;
        sc_note note;
        bool more;
        int i = 0;
        while (i < N && want[i].key < lo) i++;
        assert_int_equal(sc_merge_open(&m, path, FILES, lo, hi, 1 << 16), SC_OK);
        for (; !sc_merge_next(m, &note, &more) && more; i++) {
            assert_true(note.key == want[i].key && note.ref == want[i].ref && note.n == want[i].n);
            assert_true(note.n == 0 || (unsigned char)note.p[note.n - 1] == want[i].n);
        }
        assert_true(i == N || want[i].key > hi);
        sc_merge_close(m);
    }
    /* A file that is cut off is refused or read without harm. */
    char *whole;
    int64_t len;
    assert_int_equal(sc_file_read(&whole, &len, path[0], 1 << 30), SC_OK);
    assert_int_equal(sc_file_write(path[0], whole, len - 1), SC_OK);
    sc_merge *m;
    assert_int_equal(sc_merge_open(&m, path, FILES, 0, UINT64_MAX, 1 << 16), SC_EFORMAT);
    sc_free(whole);
    for (int f = 0; f < FILES; f++) sc_free(path[f]);
}

/* ---- documents ---- */

static void test_frames(void **state)
{
    sc_document d = {
        .markup = SC_MARKUP_HTML, .source = 3, .file = 70000, .record = 1LL << 40, .place = 12, .copies = 2};
    sc_document e = {0};
    sc_str s = {0};
    (void)state;
    sc_str_puts(&d.text, "text \xea\xb0\x80");
    sc_str_puts(&d.url, "https://a.b/");
    sc_document_language(&d, "zh-Hant");
    sc_document_domain(&d, "a label that is longer than a label may be");
    for (int i = 0; i < 12; i++) {
        char name[20];
        snprintf(name, sizeof name, "score%d", i);
        sc_document_score(&d, name, i / 7.0);
    }
    assert_int_equal(d.n_scores, SC_DOCUMENT_SCORES);
    assert_true(sc_grow(&d.ids, &d.cap_ids, 3, sizeof *d.ids));
    for (int i = 0; i < 3; i++) d.ids[d.n_ids++] = i * 1000;
    sc_frame_put(&s, &d);
    assert_int_equal(sc_frame_get(&e, s.p + 4, s.len - 4), SC_OK);
    assert_string_equal(e.text.p, d.text.p);
    assert_string_equal(e.url.p, d.url.p);
    assert_string_equal(e.language, "zh-Hant");
    assert_string_equal(e.domain, d.domain);
    assert_true(e.record == d.record && e.file == d.file && e.markup == d.markup && e.copies == 2 && e.n_ids == 3);
    assert_true(*sc_document_get_score(&e, "score7") == 1 && !sc_document_get_score(&e, "score9"));
    for (int64_t n = 0; n < s.len - 4; n++) {
        sc_document_clear(&e);
        assert_int_equal(sc_frame_get(&e, s.p + 4, n), SC_EFORMAT);
    }
    sc_str_free(&s);
    sc_document_free(&d);
    sc_document_free(&e);
}

static void test_bins(void **state)
{
    (void)state;
    for (int64_t n = 1; n < 100000; n++) {
        int want = (int)floor(2 * log2((double)n) + 1e-9);
        assert_true(sc_tally_bin(n) == want);
    }
    assert_int_equal(sc_tally_bin(0), 0);
    assert_int_equal(sc_tally_bin(INT64_MAX), SC_TALLY_BINS - 1);
    assert_int_equal(sc_size_parse("64M"), 64 << 20);
    assert_int_equal(sc_size_parse("1.5k"), 1536);
    assert_int_equal(sc_size_parse("2GiB"), 2LL << 30);
    assert_int_equal(sc_size_parse("-1"), -1);
    assert_int_equal(sc_size_parse("1X"), -1);
    assert_int_equal(sc_size_parse("9999999T"), -1);
}

/* ---- sets of n-grams ---- */

static int grams_of(sc_grams *g, const char *text, int n)
{
    assert_int_equal(sc_grams_words(g, text, (int64_t)strlen(text), false), SC_OK);
    assert_int_equal(sc_grams_make(g, n), SC_OK);
    sc_grams_set(g);
    return (int)g->grams;
}

static void test_grams(void **state)
{
    sc_grams a = {0}, b = {0};
    (void)state;
    assert_int_equal(grams_of(&a, "One, two -- three FOUR five!", 2), 4);
    assert_int_equal(grams_of(&b, "one two three; four six", 2), 4);
    assert_true(sc_grams_jaccard(&a, &b) == 3.0 / 5);
    assert_int_equal(grams_of(&a, "a a a a a a", 3), 1);
    assert_int_equal(grams_of(&a, "only four words here", 5), 1);
    assert_int_equal(grams_of(&b, "only four words there", 5), 1);
    assert_true(sc_grams_jaccard(&a, &b) == 0);
    /* Each ideograph is a word; letters of other scripts are folded. */
    assert_int_equal(grams_of(&a, "\xe4\xb8\xad\xe5\x9b\xbd\xe4\xba\xba", 1), 3);
    assert_int_equal(grams_of(&a, "\xc3\x89T\xc3\x89", 1), 1);
    assert_int_equal(grams_of(&b, "\xc3\xa9t\xc3\xa9 ...", 1), 1);
    assert_true(sc_grams_jaccard(&a, &b) == 1);
    assert_int_equal(grams_of(&a, " .;! ", 3), 0);
    sc_grams_free(&a);
    sc_grams_free(&b);
}

static void test_bands(void **state)
{
    int bands, rows;
    (void)state;
    for (double t = 0.3; t < 0.99; t += 0.1) {
        sc_near_bands(t, 128, 0.99, &bands, &rows);
        assert_true(bands * rows <= 128);
        assert_true(1 - pow(1 - pow(t, rows), bands) >= 0.99 || rows == 1);
        assert_true(1 - pow(1 - pow(t, rows + 1), 128 / (rows + 1)) < 0.99);
    }
}

/* The share of hashes that agree is the Jaccard similarity, within what chance allows: 1024 hashes, 4 deviations. */
static void test_minhash(void **state)
{
    static sc_near n = {.n = 1, .bands = 1024, .rows = 1};
    static uint32_t x[SC_NEAR_HASHES], y[SC_NEAR_HASHES];
    sc_rng r = sc_rng_make(3, 3);
    (void)state;
    for (int i = 0; i < SC_NEAR_HASHES; i++) {
        n.flip[i] = sc_rng_u32(&r);
        n.factor[i] = sc_rng_u32(&r) | 1;
    }
    for (int both = 0; both <= 300; both += 60) {
        uint64_t a[400], b[400];
        sc_grams ga = {.gram = a}, gb = {.gram = b};
        for (int i = 0; i < 300; i++) {
            a[i] = (uint64_t)sc_rng_u32(&r) << 32 | sc_rng_u32(&r);
            b[i] = i < both ? a[i] : ((uint64_t)sc_rng_u32(&r) << 32 | sc_rng_u32(&r));
        }
        ga.grams = gb.grams = 300;
        sc_near_signature(&n, &ga, x);
        sc_near_signature(&n, &gb, y);
        int same = 0;
        for (int i = 0; i < SC_NEAR_HASHES; i++) same += x[i] == y[i];
        double s = both / (600.0 - both), got = same / (double)SC_NEAR_HASHES;
        assert_true(fabs(got - s) <= 4 * sqrt(s * (1 - s) / SC_NEAR_HASHES) + 1e-9);
    }
}

/* ---- runs ---- */

static void write_lines(const char *path, const char *const *lines, int n)
{
    sc_str s = {0};
    for (int i = 0; i < n; i++) sc_str_printf(&s, "%s\n", lines[i]);
    assert_int_equal(sc_file_write(path, s.p, s.len), SC_OK);
    sc_str_free(&s);
}

static sc_status run_with(const char *out, json_t *settings)
{
    char *text = json_dumps(settings, 0);
    sc_data_result result;
    sc_status s = sc_data_run(ctx, &(sc_data_options){.settings = text, .out = out}, &result);
    if (s) print_message("%s\n", sc_error());
    json_decref(settings);
    free(text);
    return s;
}

static json_t *report_of(const char *out)
{
    sc_str p = {0};
    json_t *o = NULL;
    sc_str_printf(&p, "%s/data.json", out);
    assert_int_equal(sc_json_read(&o, p.p, 1 << 30), SC_OK);
    sc_str_free(&p);
    return o;
}

static int64_t number(const json_t *o, const char *a, const char *b, int k)
{
    const json_t *list = json_object_get(json_object_get(o, a), b);
    return json_integer_value(json_array_get(list, (size_t)k));
}

/* Shares come out within a document; a quota holds; what is repeated is repeated as often as it should be. */
static void test_mix(void **state)
{
    sc_str s = {0};
    sc_rng r = sc_rng_make(8, 8);
    (void)state;
    for (int i = 0; i < 900; i++) {
        const char *language = i % 9 < 6 ? "en" : i % 9 < 8 ? "ko" : "de";
        sc_str_printf(&s, "{\"language\": \"%s\", \"text\": \"", language);
        for (int k = 20 + (int)(sc_rng_u32(&r) % 60); k > 0; k--) sc_str_putc(&s, 'a');
        sc_str_puts(&s, "\"}\n");
    }
    assert_int_equal(sc_file_write(in_dir("mix.jsonl"), s.p, s.len), SC_OK);
    sc_str_free(&s);
    char *out = in_dir("mixed");
    json_t *stage = json_pack("{s:s, s:s, s:{s:i, s:i, s:i}, s:i, s:{s:s}}", "stage", "mix", "by", "language",
                              "weights", "en", 2, "ko", 1, "de", 1, "max_copies", 3, "quotas", "ko", "5000");
    assert_int_equal(run_with(out, json_pack("{s:s, s:[o]}", "sources", in_dir("mix.jsonl"), "stages", stage)),
                     SC_OK);
    json_t *o = report_of(out);
    const json_t *before = json_object_get(o, "before"), *after = json_object_get(o, "after");
    double en = (double)number(before, "languages", "en", 1), de = (double)number(before, "languages", "de", 1);
    double total = (double)json_integer_value(json_object_get(before, "bytes"));
    /* As much as there is, unless one of them would come more than three times: German. */
    total = SC_MIN(total, 3 * de / 0.25);
    assert_true(fabs((double)number(after, "languages", "en", 1) - SC_MIN(total / 2, 3 * en)) <= 80);
    assert_true(fabs((double)number(after, "languages", "de", 1) - total / 4) <= 80);
    assert_true(number(after, "languages", "ko", 1) <= 5000 && number(after, "languages", "ko", 1) > 4920);
    json_decref(o);
}

#define TWELVE   "the quick brown fox jumps over the lazy dog near a river"
#define THIRTEEN TWELVE " bank"

/* Thirteen words in a row are too much, twelve are not; a short question is looked for whole; cutting leaves what is far. */
static void test_decontaminate(void **state)
{
    static const char *const questions[] = {"{\"q\": \"" THIRTEEN " today\"}",
                                            "{\"q\": \"who wrote the long book of eight words\"}",
                                            "{\"q\": \"too short\"}"};
    static const char *const docs[] = {"before " TWELVE " and after",
                                       "before The Quick, brown fox jumps over the lazy dog near a RIVER bank",
                                       "so who wrote the long book of eight words then", "too short"};
    (void)state;
    write_lines(in_dir("questions.jsonl"), questions, 3);
    write_lines(in_dir("docs.txt"), docs, 4);
    json_t *stage = json_pack("{s:s, s:s}", "stage", "decontaminate", "against", in_dir("questions.jsonl"));
    char *out = in_dir("decontaminated");
    json_t *source = json_pack("{s:s, s:s}", "path", in_dir("docs.txt"), "documents", "lines");
    assert_int_equal(run_with(out, json_pack("{s:[o], s:[o]}", "sources", source, "stages", stage)), SC_OK);
    json_t *o = report_of(out), *list = json_object_get(o, "stages");
    assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "dropped")), 2);
    json_decref(o);

    sc_str s = {0};
    for (int i = 0; i < 100; i++) sc_str_printf(&s, "left%d ", i);
    sc_str_puts(&s, THIRTEEN " ");
    for (int i = 0; i < 100; i++) sc_str_printf(&s, "right%d ", i);
    assert_int_equal(sc_file_write(in_dir("long.txt"), s.p, s.len), SC_OK);
    stage = json_pack("{s:s, s:s, s:s}", "stage", "decontaminate", "against", in_dir("questions.jsonl"), "action",
                      "cut");
    out = in_dir("cut");
    assert_int_equal(run_with(out, json_pack("{s:s, s:[o]}", "sources", in_dir("long.txt"), "stages", stage)),
                     SC_OK);
    o = report_of(out);
    assert_int_equal(
        json_integer_value(json_object_get(json_array_get(json_object_get(o, "stages"), 0), "changed")), 1);
    int64_t bytes = json_integer_value(json_object_get(json_object_get(o, "after"), "bytes"));
    /* 200 characters on both sides, and an empty line in place of what is gone. */
    assert_int_equal(bytes, s.len - (int64_t)strlen(THIRTEEN) - 400 + 2);
    json_decref(o);
    sc_str_free(&s);
}

/* Packed, no document is in two sequences unless it is longer than one, and little is filled up. */
static void test_pack(void **state)
{
    enum { LENGTH = 48 };
    sc_str s = {0};
    sc_rng r = sc_rng_make(9, 9);
    (void)state;
    for (int i = 0; i < 400; i++) {
        sc_str_puts(&s, "{\"text\": \"");
        for (int k = 1 + (int)(sc_rng_u32(&r) % 60); k > 0; k--) sc_str_puts(&s, "z");
        sc_str_puts(&s, "\"}\n");
    }
    assert_int_equal(sc_file_write(in_dir("pack.jsonl"), s.p, s.len), SC_OK);
    sc_str_free(&s);
    char *out = in_dir("packed");
    assert_int_equal(run_with(out, json_pack("{s:s, s:s, s:i}", "sources", in_dir("pack.jsonl"), "tokenizer",
                                             TOKENIZER, "pack", LENGTH)),
                     SC_OK);
    sc_data_shards *x;
    assert_int_equal(sc_data_shards_open(&x, out), SC_OK);
    assert_int_equal(sc_data_shards_check(x, ctx), SC_OK);
    const sc_data_shards_info *f = sc_data_shards_get(x);
    int64_t begin = 0, filled = 0;
    assert_true(f->tokens % LENGTH == 0 && f->sequence == LENGTH);
    for (int64_t i = 0; i < f->documents; i++) {
        int64_t end = sc_data_shards_end(x, i);
        assert_true(begin / LENGTH == (end - 1) / LENGTH);
        filled += sc_data_shards_source(x, i) < 0;
        begin = end;
    }
    assert_true(filled * 50 < f->tokens);
    sc_data_shards_free(x);
}

/* ---- the frame of the tests ---- */

static void remove_all(const char *path)
{
    struct dirent *e;
    DIR *d = opendir(path);
    while (d && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) continue;
        char *inner = sc_path_join(path, e->d_name);
        if (inner && sc_path_is_dir(inner)) remove_all(inner);
        if (inner) remove(inner);
        sc_free(inner);
    }
    if (d) closedir(d);
    remove(path);
}

static int setup(void **state)
{
    (void)state;
    return !mkdtemp(dir) || sc_context_new(&ctx, &(sc_context_options){.threads = 2});
}

static int teardown(void **state)
{
    (void)state;
    sc_context_free(ctx);
    remove_all(dir);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notes), cmocka_unit_test(test_frames),        cmocka_unit_test(test_bins),
        cmocka_unit_test(test_grams), cmocka_unit_test(test_bands),         cmocka_unit_test(test_minhash),
        cmocka_unit_test(test_mix),   cmocka_unit_test(test_decontaminate), cmocka_unit_test(test_pack),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
