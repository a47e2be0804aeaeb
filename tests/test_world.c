/* SPDX-License-Identifier: Apache-2.0 */
/* The made world: that its texts are the same bits everywhere, its Korean and English grammar, that splits share nothing,
 * that what is said of the same thing agrees, that sums are right, and that it is varied enough to learn from. */
#include "world/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[64] = "/tmp/socle-world-XXXXXX";
static sc_context *ctx;

static const char *in_dir(const char *name)
{
    static char path[4][160];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static sc_world_stream *open_kind(const char *kind, uint64_t seed, const char *language, const char *split)
{
    sc_world_stream *s;
    sc_world_options o = {.kind = kind, .seed = seed, .language = language, .split = split};
    if (sc_world_open(&s, &o)) fail_msg("%s: %s", kind, sc_error());
    return s;
}

static sc_world_item next(sc_world_stream *s)
{
    sc_world_item item;
    if (sc_world_next(s, &item)) fail_msg("%s", sc_error());
    return item;
}

/* ---- the same bits ---- */

/* Of the first 40 items of each kind under seed 7. A change of words or of what is drawn changes it: then models trained on
 * the old ones know another world, which the change log has to say. */
static const struct {
    const char *kind;
    uint32_t crc;
} golden[] = {
    {"corpus", 0x61f724a7u},      {"stories", 0x322bfec6u},      {"pages", 0xd8e7188cu},
    {"questions", 0xa3db489fu},   {"arithmetic", 0x0bea4c7au},   {"reviews", 0x5554b226u},
    {"translation", 0x9cfc33deu}, {"code", 0x00814528u},         {"crawl", 0x16c599ccu},
    {"fewshot", 0xd37746dau},     {"instructions", 0xaa705f2cu}, {"add", 0x44cd6ea1u},
    {"subtract", 0xee253bdbu},    {"multiply", 0x36fe3019u},     {"problems", 0xb0bf6c56u},
    {"unscramble", 0xd5afe5dcu},  {"facts", 0xc0cdfcfcu},        {"two_facts", 0xf1bcd39bu},
    {"translate", 0x9c8b3900u},   {"sentiment", 0xbc8c8b01u},    {"programs", 0x04dc2a13u},
};

static void makes_the_same_bits(void **state)
{
    (void)state;
    int n, wrong = 0;
    const sc_world_kind *const *kinds = sc_world_kinds(&n);
    assert_int_equal(n, SC_COUNT(golden));
    for (int k = 0; k < n; k++) {
        sc_world_stream *s = open_kind(kinds[k]->name, 7, NULL, NULL);
        uint32_t crc = 0;
        for (int i = 0; i < 40; i++) {
            sc_world_item item = next(s);
            crc = sc_crc32c(crc, item.text, (int64_t)strlen(item.text));
            crc = sc_crc32c(crc, item.json, (int64_t)strlen(item.json));
        }
        sc_world_free(s);
        assert_string_equal(golden[k].kind, kinds[k]->name);
        if (crc != golden[k].crc) {
            printf("    {\"%s\", 0x%08xu},\n", kinds[k]->name, crc);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
}

/* Items do not depend on those before them, and different seeds are different worlds. */
static void items_stand_alone(void **state)
{
    (void)state;
    sc_world_stream *a = open_kind("stories", 3, NULL, "all"), *b, *c = open_kind("stories", 4, NULL, "all");
    sc_world_options o = {.kind = "stories", .seed = 3, .split = "all", .first = 5};
    assert_int_equal(sc_world_open(&b, &o), SC_OK);
    for (int i = 0; i < 5; i++) {
        sc_world_item x = next(a), y = next(c);
        assert_string_not_equal(x.text, y.text);
    }
    sc_world_item x = next(a), y = next(b);
    assert_string_equal(x.text, y.text);
    sc_world_free(a);
    sc_world_free(b);
    sc_world_free(c);
}

/* ---- grammar ---- */

static void check_said(const char *thing, const char *template, const char *expected)
{
    sc_draft d = {.rng = sc_rng_make(1, 1)};
    sc_str out = {0};
    sc_bind(&d, "x", "%s", thing);
    sc_say(&d, &out, template);
    assert_null(d.fault);
    assert_string_equal(out.p, expected);
    sc_str_free(&out);
}

static void chooses_korean_particles(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"사과", "{x}~은", "사과는"},
        {"책", "{x}~은", "책은"},
        {"사과", "{x}~이", "사과가"},
        {"물", "{x}~이", "물이"},
        {"우유", "{x}~을", "우유를"},
        {"연필", "{x}~을", "연필을"},
        {"나무", "{x}~으로", "나무로"},
        {"돌", "{x}~으로", "돌로"},
        {"금", "{x}~으로", "금으로"},
        {"학교", "{x}~과", "학교와"},
        {"집", "{x}~과", "집과"},
        {"교사", "{x}~이다", "교사다"},
        {"학생", "{x}~이다", "학생이다"},
        {"의사", "{x}~이었다", "의사였다"},
        {"왕", "{x}~이었다", "왕이었다"},
        {"별이", "{x}~이라고", "별이라고"},
        {"구름", "{x}~이라고", "구름이라고"},
        {"3", "{x}~을", "3을"},
        {"2", "{x}~을", "2를"},
        {"7", "{x}~으로", "7로"},
        {"10", "{x}~은", "10은"},
        {"100", "{x}~이", "100이"},
        {"90000", "{x}~은", "90000은"},
        {"0", "{x}~은", "0은"},
        {"1000000000000", "{x}~은", "1000000000000는"},
        {"5 - 4", "{x}~은", "5 - 4는"},
        {"《파란 책》", "{x}~을", "《파란 책》을"},
        {"《노란 지도》", "{x}~을", "《노란 지도》를"},
        {"지도", "{x}~이나", "지도나"},
        {"밥", "{x}~이나", "밥이나"},
    };
    for (int i = 0; i < SC_COUNT(cases); i++) check_said(cases[i][0], cases[i][1], cases[i][2]);
}

/* No particle of the wrong kind behind any word of the lexicon, by the letters of Unicode themselves. */
static void particles_follow_the_last_letter(void **state)
{
    (void)state;
    for (uint32_t c = 0xac00; c <= 0xd7a3; c++) {
        char p[5] = {0};
        sc_utf8_encode(c, p);
        int coda = (int)((c - 0xac00) % 28), expected = coda == 0 ? 0 : coda == 8 ? 1 : 2;
        if (sc_final_sound(p, (int64_t)strlen(p)) != expected) fail_msg("U+%04X", c);
    }
}

static void chooses_english_articles(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"apple", "an apple"},
                                           {"hour", "an hour"},
                                           {"university", "a university"},
                                           {"umbrella", "an umbrella"},
                                           {"red kite", "a red kite"},
                                           {"old well", "an old well"},
                                           {"one", "a one"},
                                           {"useful", "a useful"},
                                           {"honest", "an honest"}};
    for (int i = 0; i < SC_COUNT(cases); i++) check_said(cases[i][0], "{a x}", cases[i][1]);
    check_said("orange", "{A x} and [this|this]. ^and {x}", "An orange and this. And orange");
}

/* Every template of every kind can be said, in both languages; no slot, bracket or particle mark is left in a text. */
static void leaves_no_marks(void **state)
{
    (void)state;
    int n;
    const sc_world_kind *const *kinds = sc_world_kinds(&n);
    for (int k = 0; k < n; k++) {
        bool plain = strcmp(kinds[k]->name, "code") != 0 && strcmp(kinds[k]->name, "programs") != 0 &&
                     strcmp(kinds[k]->name, "crawl") != 0;
        for (int t = 0; t < 2; t++) {
            sc_world_stream *s = open_kind(kinds[k]->name, 11, t ? "ko" : "en", NULL);
            for (int i = 0; i < 150; i++) {
                sc_world_item item = next(s);
                size_t len = strlen(item.text);
                if (!sc_utf8_valid(item.text, (int64_t)len) || len < 2 || item.text[len - 1] != '\n')
                    fail_msg("%s: %s", kinds[k]->name, item.text);
                bool program = strstr(item.text, "print(") != NULL; /* brackets are the program's */
                if (plain && !program && strpbrk(item.text, "{}[]~^|"))
                    fail_msg("%s: %s", kinds[k]->name, item.text);
                if (plain && !program && strstr(item.text, "  "))
                    fail_msg("two spaces, %s: %s", kinds[k]->name, item.text);
                json_t *o = json_loads(item.json, 0, NULL);
                if (!o || strncmp(json_string_value(json_object_get(o, "text")), item.text, len - 1) != 0)
                    fail_msg("%s", item.json);
                json_decref(o);
            }
            sc_world_free(s);
        }
    }
}

/* ---- splits ---- */

/* The items of one split, of several seeds, are none of the other's; of tasks neither their prompts. */
static void splits_share_nothing(void **state)
{
    (void)state;
    int n, shared = 0;
    const sc_world_kind *const *kinds = sc_world_kinds(&n);
    for (int k = 0; k < n; k++) {
        sc_map seen = {0};
        sc_arena *keep = sc_arena_new();
        for (uint64_t seed = 0; seed < 2; seed++) {
            sc_world_stream *s = open_kind(kinds[k]->name, seed, NULL, "train");
            for (int i = 0; i < 400; i++) {
                sc_world_item item = next(s);
                const char *text = item.prompt ? item.prompt : item.text;
                int64_t len = (int64_t)strlen(text);
                assert_true(sc_map_put(&seen, sc_arena_strndup(keep, text, (size_t)len), len, i));
            }
            sc_world_free(s);
        }
        sc_world_stream *s = open_kind(kinds[k]->name, 1, NULL, "eval");
        for (int i = 0; i < 150; i++) {
            sc_world_item item = next(s);
            const char *text = item.prompt ? item.prompt : item.text;
            int64_t at;
            shared += sc_map_get(&seen, text, (int64_t)strlen(text), &at);
        }
        sc_world_free(s);
        sc_map_free(&seen);
        sc_arena_free(keep);
    }
    assert_int_equal(shared, 0);
}

/* A sum that the tasks of the evaluation ask stands in no document of the training split: not as a line of a drill, not in
 * a worked example and not turned round. */
static void no_sum_leaks(void **state)
{
    (void)state;
    static const char *const kinds[] = {"arithmetic", "add", "instructions", "fewshot", "corpus"};
    int sums = 0;
    for (int k = 0; k < SC_COUNT(kinds); k++) {
        sc_world_stream *s = open_kind(kinds[k], 5, NULL, "train");
        for (int i = 0; i < 600; i++) {
            sc_world_item item = next(s);
            for (const char *p = item.text; (p = strstr(p, " + ")); p += 3) {
                const char *from = p;
                while (from > item.text && from[-1] >= '0' && from[-1] <= '9') from--;
                char *end;
                long long a = atoll(from), b = strtoll(p + 3, &end, 10);
                /* steps of a column or of a word problem are no sums that are asked for; a drill's lines and questions are */
                bool line = from == item.text || from[-1] == '\n',
                     asked = *end == '?' || strncmp(end, " = ", 3) == 0;
                if (from == p || !line || !asked) continue;
                if (strstr(item.text, " * ")) continue; /* partial products */
                sc_draft d = {0};
                sc_sum_key(&d, &(sc_sum){a, b, a + b, '+'});
                if (sc_split_of(d.key.p, d.key.len) != SC_TRAIN) fail_msg("%lld + %lld in %s", a, b, item.text);
                sc_str_free(&d.key);
                sums++;
            }
        }
        sc_world_free(s);
    }
    assert_true(sums > 200);
}

/* ---- what is said is true ---- */

static void sums_are_right(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        char sign;
    } kinds[] = {{"add", '+'}, {"subtract", '-'}, {"multiply", '*'}};
    for (int k = 0; k < 3; k++) {
        sc_world_stream *s = open_kind(kinds[k].kind, 2, NULL, "all");
        for (int i = 0; i < 300; i++) {
            sc_world_item item = next(s);
            const char *digits = item.prompt + strcspn(item.prompt, "0123456789");
            char *end;
            long long a = strtoll(digits, &end, 10), b = atoll(end + strcspn(end, "0123456789"));
            long long r = kinds[k].sign == '+' ? a + b : kinds[k].sign == '-' ? a - b : a * b;
            assert_int_equal(atoll(item.answer), r);
            assert_true(r >= 0 && item.difficulty >= 1 && item.difficulty <= 6);
        }
        sc_world_free(s);
    }
}

/* Each equation in a document of worked arithmetic holds. */
static void steps_are_right(void **state)
{
    (void)state;
    int checked = 0;
    sc_world_stream *s = open_kind("arithmetic", 2, NULL, "all");
    for (int i = 0; i < 500; i++) {
        sc_world_item item = next(s);
        for (const char *p = item.text; (p = strstr(p, " = ")); p += 3) {
            const char *from = p;
            while (from > item.text && strchr("0123456789 +-*", from[-1])) from--;
            char *end;
            long long value = strtoll(from, &end, 10);
            while (end < p) {
                char sign = end[1];
                long long y = strtoll(end + 2, &end, 10);
                value = sign == '+' ? value + y : sign == '-' ? value - y : value * y;
            }
            if (value != atoll(p + 3)) fail_msg("%s", item.text);
            checked++;
        }
    }
    sc_world_free(s);
    assert_true(checked > 1000);
}

/* Relations hold in both directions, and people are not older than their mothers. */
static void facts_agree(void **state)
{
    (void)state;
    sc_world *w;
    assert_int_equal(sc_world_new(&w, 9), SC_OK);
    for (int i = 0; i < SC_PEOPLE_N; i++) {
        const sc_person *p = &w->person[i];
        assert_int_equal(sc_friend(sc_friend(i)), i);
        assert_int_equal(w->person[sc_friend(i)].home, p->home);
        assert_int_equal(w->person[sc_mother(i)].home, p->home);
        if (sc_is_child(i)) assert_true(p->born >= w->person[sc_mother(i)].born + 20);
        assert_true(w->person[sc_mother(i)].female && !w->person[sc_father(i)].female);
        assert_true(p->born < SC_WORLD_YEAR && p->height > 110 && p->height < 195);
        assert_true((p->job < 0) == (SC_WORLD_YEAR - p->born < 20));
    }
    for (int i = 0; i < SC_TOWNS_N; i++) {
        assert_int_equal(w->town[i].distance, w->town[sc_neighbour(i)].distance);
        assert_int_equal(w->person[w->town[i].mayor].home, i);
    }
    for (int i = 0; i < SC_WORKS_N; i++) {
        int age = w->work[i].year - w->person[w->work[i].maker].born;
        assert_true(age >= 20 && w->work[i].year <= SC_WORLD_YEAR);
    }
    for (int i = 0; i < SC_SPECIES_N; i++) assert_true(w->species[i].found <= SC_WORLD_YEAR);
    sc_world_end(w);
}

/* The same question has the same answer, whenever it is asked. */
static void answers_agree(void **state)
{
    (void)state;
    json_t *answers = json_object();
    int again = 0;
    sc_world_stream *s = open_kind("facts", 1, NULL, "all");
    for (int i = 0; i < 6000; i++) {
        sc_world_item item = next(s);
        const char *before = json_string_value(json_object_get(answers, item.prompt));
        if (before) {
            again++;
            if (strcmp(before, item.answer) != 0) fail_msg("%s %s, before:%s", item.prompt, item.answer, before);
        }
        json_object_set_new(answers, item.prompt, json_string(item.answer));
    }
    sc_world_free(s);
    json_decref(answers);
    assert_true(again > 100);
}

/* ---- variety ---- */

/* Different runs of eight words among all: what repeats itself can be learnt by heart. */
static void is_varied(void **state)
{
    (void)state;
    static const char *const kinds[] = {"stories", "pages", "corpus"};
    for (int k = 0; k < SC_COUNT(kinds); k++) {
        sc_map seen = {0};
        sc_arena *keep = sc_arena_new();
        int64_t grams = 0, texts = 0, same = 0;
        sc_world_stream *s = open_kind(kinds[k], 1, NULL, NULL);
        for (int i = 0; i < 1500; i++) {
            sc_world_item item = next(s);
            int64_t len = (int64_t)strlen(item.text), at, begin[8];
            char *text = sc_arena_strndup(keep, item.text, (size_t)len);
            same += sc_map_get(&seen, text, len, &at);
            sc_map_put(&seen, text, len, 1);
            texts++;
            int n = 0;
            for (int64_t j = 0; j < len; j++) {
                bool word = text[j] > ' ' && (j == 0 || text[j - 1] <= ' ');
                bool ends = text[j] > ' ' && text[j + 1] <= ' ';
                if (word) begin[n++ % 8] = j;
                if (ends && n >= 8) {
                    int64_t from = begin[n % 8];
                    grams++;
                    sc_map_put(&seen, text + from, j + 1 - from, 1);
                }
            }
        }
        double different = (double)seen.count / (double)grams;
        printf("%s: %.3f of %lld runs of eight words differ, %lld of %lld texts came before\n", kinds[k], different,
               (long long)grams, (long long)same, (long long)texts);
        assert_true(different > 0.6 && same * 20 < texts);
        sc_world_free(s);
        sc_map_free(&seen);
        sc_arena_free(keep);
    }
}

/* ---- files and tasks ---- */

static void makes_files(void **state)
{
    (void)state;
    static const char *const names[] = {"a.txt", "a.jsonl", "a.warc", "a.warc.gz"};
    for (int i = 0; i < SC_COUNT(names); i++) {
        sc_world_options o = {.kind = "crawl", .seed = 1};
        sc_world_made made;
        char *data;
        int64_t len;
        if (sc_world_make(ctx, &o, in_dir(names[i]), 40000, 0, &made)) fail_msg("%s", sc_error());
        assert_int_equal(sc_file_read(&data, &len, in_dir(names[i]), 1 << 24), SC_OK);
        assert_true(len == made.bytes && len >= 40000 && made.items > 3);
        if (i == 2) assert_memory_equal(data, "WARC/1.0\r\nWARC-Type: warcinfo\r\n", 31);
        if (i == 3) assert_memory_equal(data, "\x1f\x8b", 2);
        sc_free(data);
    }
    sc_world_options o = {.kind = "stories"};
    assert_int_equal(sc_world_make(ctx, &o, in_dir("b.warc"), 100, 0, NULL), SC_EINVAL);
    assert_non_null(strstr(sc_error(), "crawl"));
    assert_int_equal(sc_world_make(ctx, &o, in_dir("b.txt"), 0, 0, NULL), SC_EINVAL);
    sc_context_cancel(ctx);
    assert_int_equal(sc_world_make(ctx, &o, in_dir("c.txt"), 100, 0, NULL), SC_ECANCELLED);
    sc_context_resume(ctx);
    assert_false(sc_path_exists(in_dir("c.txt")));
}

static void refuses(void **state)
{
    (void)state;
    sc_world_stream *s;
    static const struct {
        sc_world_options o;
        const char *said;
    } cases[] = {{{.kind = "poems"}, "poems"},
                 {{.kind = "add", .language = "de"}, "language"},
                 {{.kind = "add", .split = "test"}, "split"},
                 {{.kind = "add", .shots = 17}, "shots"},
                 {{.kind = "pages", .shots = 1}, "shots are for tasks"},
                 {{.kind = "add", .first = -1}, "first"}};
    for (int i = 0; i < SC_COUNT(cases); i++) {
        assert_int_equal(sc_world_open(&s, &cases[i].o), SC_EINVAL);
        if (!strstr(sc_error(), cases[i].said)) fail_msg("%s", sc_error());
    }
    sc_task_set *set;
    assert_int_equal(sc_tasks_make(&set, &(sc_world_options){.kind = "pages"}, 5), SC_EINVAL);
    assert_int_equal(sc_tasks_make(&set, &(sc_world_options){.kind = "add"}, 0), SC_EINVAL);
}

/* Tasks of every kind: as many as asked for, none twice, evenly over what is hard and easy, behind their examples. */
static void makes_tasks(void **state)
{
    (void)state;
    int n;
    const sc_world_kind *const *kinds = sc_world_kinds(&n);
    for (int k = 0; k < n; k++) {
        if (!kinds[k]->task) continue;
        sc_task_set *set;
        if (sc_tasks_make(&set, &(sc_world_options){.kind = kinds[k]->name, .shots = 1}, 60))
            fail_msg("%s", sc_error());
        assert_int_equal(set->n, 60);
        for (int64_t i = 0; i < set->n; i++) {
            const sc_task *t = &set->task[i];
            assert_true(t->answer[0] == ' ' && !strchr(t->answer, '\n') && t->difficulty >= 1);
            assert_true(strstr(t->prompt, "\n\n") != NULL && t->prompt[strlen(t->prompt) - 1] != ' ');
            assert_true(sc_task_exact(t, t->answer + 1));
            assert_false(sc_task_exact(t, "?"));
            for (int64_t j = 0; j < i; j++) assert_string_not_equal(t->prompt, set->task[j].prompt);
        }
        sc_tasks_free(set);
    }
    sc_task_set *set;
    int64_t per[7] = {0};
    assert_int_equal(sc_tasks_make(&set, &(sc_world_options){.kind = "add"}, 240), SC_OK);
    for (int64_t i = 0; i < set->n; i++) per[set->task[i].difficulty]++;
    for (int i = 2; i <= 6; i++) assert_in_range(per[i], 30, 60);
    sc_tasks_free(set);
}

static void reads_tasks(void **state)
{
    (void)state;
    static const struct {
        const char *text, *said; /* NULL: two tasks */
    } cases[] = {{"{\"prompt\": \"a\", \"answer\": \" b\", \"difficulty\": 3}\n\n{\"prompt\": \"c\", \"answer\": "
                  "\"d\", \"kind\": \"k\"}\n",
                  NULL},
                 {"", "no tasks"},
                 {"{\"prompt\": \"a\", \"answer\": \"b\"}\n[1]\n", "line 2"},
                 {"{\"prompt\": \"a\"}\n", "line 1"},
                 {"{\"prompt\": 3, \"answer\": \"b\"}", "prompt"},
                 {"{\"prompt\": \"a\", \"answer\": \"b\", \"difficulty\": -1}", "difficulty"},
                 {"nonsense", "line 1"}};
    for (int i = 0; i < SC_COUNT(cases); i++) {
        sc_task_set *set;
        assert_int_equal(sc_file_write(in_dir("t.jsonl"), cases[i].text, (int64_t)strlen(cases[i].text)), SC_OK);
        sc_status s = sc_tasks_read(&set, in_dir("t.jsonl"));
        if (cases[i].said) {
            assert_true(s == SC_EFORMAT || s == SC_ELIMIT);
            if (!strstr(sc_error(), cases[i].said)) fail_msg("%s", sc_error());
            continue;
        }
        assert_int_equal(s, SC_OK);
        assert_int_equal(set->n, 2);
        assert_int_equal(set->task[0].difficulty, 3);
        assert_string_equal(set->task[1].kind, "k");
        sc_tasks_free(set);
    }
    sc_task_set *set;
    assert_int_equal(sc_tasks_read(&set, in_dir("none.jsonl")), SC_ENOTFOUND);
}

static void measures_answers(void **state)
{
    (void)state;
    sc_task t = {.answer = (char *)" 1234"};
    assert_true(sc_task_exact(&t, " 1234\nQuestion: …"));
    assert_true(sc_task_exact(&t, "1234"));
    assert_false(sc_task_exact(&t, " 12345"));
    assert_float_equal(sc_task_similarity(&t, "1234"), 1, 0);
    assert_float_equal(sc_task_similarity(&t, "1294"), 0.75, 1e-12);
    assert_float_equal(sc_task_similarity(&t, "123"), 0.75, 1e-12);
    assert_float_equal(sc_task_similarity(&t, ""), 0, 0);
    t.answer = (char *)" 고양이";
    assert_float_equal(sc_task_similarity(&t, "고양"), 2.0 / 3, 1e-12);
    assert_float_equal(sc_task_similarity(&t, "x"), 0, 0);
}

/* A conversation has its turns in order and says the same as its text. */
static void writes_conversations(void **state)
{
    (void)state;
    sc_world_stream *s = open_kind("instructions", 1, NULL, NULL);
    for (int i = 0; i < 200; i++) {
        json_t *o = json_loads(next(s).json, 0, NULL), *messages = json_object_get(o, "messages");
        size_t n = json_array_size(messages), first = 0;
        assert_true(n >= 2);
        const char *role = json_string_value(json_object_get(json_array_get(messages, 0), "role"));
        if (strcmp(role, "system") == 0) first = 1;
        assert_int_equal((n - first) % 2, 0);
        for (size_t k = first; k < n; k++) {
            const json_t *m = json_array_get(messages, k);
            assert_string_equal(json_string_value(json_object_get(m, "role")),
                                (k - first) % 2 ? "assistant" : "user");
            const char *said = json_string_value(json_object_get(m, "content"));
            if (!*said || !strstr(json_string_value(json_object_get(o, "text")), said)) fail_msg("%s", said);
        }
        json_decref(o);
    }
    sc_world_free(s);
}

static int begin(void **state)
{
    (void)state;
    return mkdtemp(dir) && sc_context_new(&ctx, &(sc_context_options){.threads = 1}) == SC_OK ? 0 : -1;
}

static int finish(void **state)
{
    (void)state;
    char command[96];
    sc_context_free(ctx);
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_the_same_bits),
        cmocka_unit_test(items_stand_alone),
        cmocka_unit_test(chooses_korean_particles),
        cmocka_unit_test(particles_follow_the_last_letter),
        cmocka_unit_test(chooses_english_articles),
        cmocka_unit_test(leaves_no_marks),
        cmocka_unit_test(splits_share_nothing),
        cmocka_unit_test(no_sum_leaks),
        cmocka_unit_test(sums_are_right),
        cmocka_unit_test(steps_are_right),
        cmocka_unit_test(facts_agree),
        cmocka_unit_test(answers_agree),
        cmocka_unit_test(is_varied),
        cmocka_unit_test(makes_files),
        cmocka_unit_test(refuses),
        cmocka_unit_test(makes_tasks),
        cmocka_unit_test(reads_tasks),
        cmocka_unit_test(measures_answers),
        cmocka_unit_test(writes_conversations),
    };
    return cmocka_run_group_tests(tests, begin, finish);
}
