/* SPDX-License-Identifier: Apache-2.0 */
/* Data that models make, by an endpoint that plays its part well or badly (tests/synth_server.py) and by a model here. */
#include "ask_common.h"
#include "synth/synth.h"

#include <math.h>

static char dir[] = "/tmp/socle-synth-XXXXXX";
static sc_context *ctx;

static const char *in_dir(const char *fmt, ...) SC_PRINTF(1, 2);
static const char *in_dir(const char *fmt, ...)
{
    static char path[32][300];
    static int turn;
    char name[200];
    va_list args;
    va_start(args, fmt);
    vsnprintf(name, sizeof name, fmt, args);
    va_end(args);
    turn = (turn + 1) % 32;
    snprintf(path[turn], sizeof path[turn], "%s/%s", dir, name);
    return path[turn];
}

static const char *write_file(const char *name, const char *text)
{
    const char *path = in_dir("%s", name);
    ok(sc_file_write(path, text, (int64_t)strlen(text)));
    return path;
}

static char *read_file(const char *path)
{
    char *text;
    int64_t n;
    ok(sc_file_read(&text, &n, path, 1 << 24));
    return text;
}

/* Lines of a file in the folder of a run; owned. */
static json_t *lines_of(const char *run, const char *name)
{
    char *text = read_file(in_dir("%s/%s", run, name)), *save, *line;
    json_t *all = json_array();
    for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *o;
        ok(sc_json_parse(&o, line, (int64_t)strlen(line), name));
        json_array_append_new(all, o);
    }
    sc_free(text);
    return all;
}

static json_t *summary_of(const char *run)
{
    json_t *o;
    ok(sc_json_read(&o, in_dir("%s/summary.json", run), 1 << 20));
    return o;
}

static int64_t count_of(const json_t *summary, const char *what, const char *name)
{
    return json_integer_value(json_object_get(json_object_get(summary, what), name));
}

static const char *text_in(const json_t *o, const char *key) { return json_string_value(json_object_get(o, key)); }

static int begin(void **state)
{
    if (!mkdtemp(dir) || sc_context_new(&ctx, &(sc_context_options){.threads = 1})) return 1;
    return start_script(state, SOCLE_SOURCE_DIR "/tests/synth_server.py");
}

static int end(void **state)
{
    char command[100];
    sc_context_free(ctx);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) != 0 || stop_endpoint(state);
}

static sc_asker *named(void **state, const char *name)
{
    return endpoint_asker(state, &(sc_asker_api){.model = name, .retries = -1});
}

static sc_synth_options options(const char *run)
{
    return (sc_synth_options){.out = in_dir("%s", run), .round = 4, .max_new_tokens = 64};
}

/* ---- parts ---- */

static int slow_common(const char *const *a, int n, const char *const *b, int m)
{
    int t[200][200] = {{0}};
    for (int i = 0; i < n; i++)
        for (int k = 0; k < m; k++)
            t[i + 1][k + 1] = strcmp(a[i], b[k]) == 0 ? t[i][k] + 1 : SC_MAX(t[i][k + 1], t[i + 1][k]);
    return t[n][m];
}

/* ROUGE-L against a table of the longest common subsequences, of up to 150 words of few kinds. */
static void novelty_is_rouge_l(void **state)
{
    (void)state;
    static const char *const words[] = {"one", "two", "three", "four", "five", "six", "seven"};
    sc_rng r = sc_rng_make(1, 1);
    for (int round = 0; round < 60; round++) {
        const char *text[2][150];
        int n[2];
        sc_str s[2] = {{0}, {0}};
        for (int side = 0; side < 2; side++) {
            n[side] = 1 + (int)(sc_rng_uniform(&r) * (round < 30 ? 20 : 149));
            for (int i = 0; i < n[side]; i++) {
                text[side][i] = words[(int)(sc_rng_uniform(&r) * SC_COUNT(words))];
                sc_str_printf(&s[side], "%s%s", i ? i % 3 ? " " : ", " : "", text[side][i]);
            }
        }
        sc_novelty *v;
        double rouge;
        int64_t at;
        ok(sc_novelty_new(&v));
        ok(sc_novelty_add(v, "nothing of that kind"));
        ok(sc_novelty_add(v, s[0].p));
        ok(sc_novelty_nearest(v, s[1].p, &rouge, &at));
        double expected = 2.0 * slow_common(text[0], n[0], text[1], n[1]) / (n[0] + n[1]);
        assert_true(fabs(rouge - expected) < 1e-12);
        assert_int_equal(at, expected > 0 ? 1 : -1);
        sc_novelty_free(v);
        sc_str_free(&s[0]);
        sc_str_free(&s[1]);
    }
    sc_novelty *v;
    double rouge;
    int64_t at;
    ok(sc_novelty_new(&v));
    ok(sc_novelty_add(v, "Write A Poem!"));
    ok(sc_novelty_add(v, "봄에 대한 시를 쓰세요"));
    ok(sc_novelty_nearest(v, "write a poem", &rouge, &at));
    assert_true(rouge == 1 && at == 0);
    ok(sc_novelty_nearest(v, "봄에 대한 노래를 쓰세요.", &rouge, &at));
    assert_true(rouge == 0.75 && at == 1);
    sc_novelty_free(v);
}

static void lists_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int first, n;
        const char *item[3];
    } cases[] = {
        {"first one\nTask 10: second\nthat goes on\n**Task 11:** third",
         9,
         3,
         {"first one", "second\nthat goes on", "third"}},
        {"Sure, here are more:\n\nTask 9: a b\nTask 10: c d", 9, 2, {"a b", "c d"}},
        {"Of course.\n1. one thing\n2) another\n3. 3.5 of them", 9, 3, {"one thing", "another", "3.5 of them"}},
        {"no list at all", 9, 1, {"no list at all"}},
        {"", 9, 0, {NULL}},
        {"x\n2024. a year is no mark", 1, 1, {"x\n2024. a year is no mark"}},
        {"3.14 is pi\nQuestion 8: e?", 7, 2, {"3.14 is pi", "e?"}},
    };
    for (int i = 0; i < SC_COUNT(cases); i++) {
        sc_arena *a = sc_arena_new();
        const char **item;
        int n;
        ok(sc_synth_items(a, cases[i].text, cases[i].first, &item, &n));
        if (n != cases[i].n) fail_msg("case %d: %d items", i, n);
        for (int k = 0; k < n; k++) assert_string_equal(item[k], cases[i].item[k]);
        sc_arena_free(a);
    }
    sc_arena *a = sc_arena_new();
    static const char *const labels[] = {"Input", "Output"};
    sc_labelled *part;
    int n;
    ok(sc_synth_labelled(a, "before\nInput: a\n b\n\n**Output**: c\nEXAMPLE 2\ninput 2: d\nOutput:", labels, 2,
                         &part, &n));
    assert_int_equal(n, 5);
    static const char *const texts[] = {"before", "a\n b", "c\nEXAMPLE 2", "d", ""};
    static const int kinds[] = {-1, 0, 1, 0, 1};
    for (int i = 0; i < 5; i++) {
        assert_string_equal(part[i].text, texts[i]);
        assert_int_equal(part[i].label, kinds[i]);
    }
    assert_string_equal(sc_synth_paragraph(a, "\n one\n two\nOutput: x", labels, 2), "one\n two");
    assert_string_equal(sc_synth_paragraph(a, "one\n\ntwo", labels, 2), "one");
    sc_arena_free(a);
    sc_str s = {0};
    for (int i = 0; i < 12; i++) sc_str_puts(&s, "again and again. ");
    assert_true(sc_synth_repeats(s.p));
    assert_false(sc_synth_repeats("again and again. again and again."));
    assert_false(sc_synth_repeats(
        "The quick brown fox jumps over the lazy dog while nobody looks, and then it goes home to sleep "
        "for the rest of a long and quiet winter night."));
    sc_str_free(&s);
}

static void what_is_alike_is_found(void **state)
{
    (void)state;
    sc_alike *a;
    int64_t like;
    double similarity;
    sc_str text = {0}, other = {0};
    for (int i = 0; i < 100; i++) {
        sc_str_printf(&text, "word%d ", i);
        sc_str_printf(&other, "word%d ", i == 50 ? 1000 : i);
    }
    ok(sc_alike_new(&a, 0.8));
    ok(sc_alike_add(a, text.p, text.len, &like, &similarity));
    assert_int_equal(like, -1);
    ok(sc_alike_add(a, "something else altogether, of a few words", 41, &like, &similarity));
    assert_int_equal(like, -1);
    ok(sc_alike_add(a, other.p, other.len, &like, &similarity));
    assert_int_equal(like, 0);
    assert_true(fabs(similarity - 91.0 / 101) < 1e-12); /* 96 runs of five each, of which five differ */
    ok(sc_alike_add(a, "Something else altogether, of a few words!", 42, &like, &similarity));
    assert_int_equal(like, 1);
    sc_alike_free(a);
    sc_str_free(&text);
    sc_str_free(&other);
}

static void refusals_are_known(void **state)
{
    (void)state;
    static const char *const yes[] = {"I'm sorry, but I can't help with that.", "I\xe2\x80\x99m unable to do this.",
                                      "As an AI, I do not", "죄송하지만 도와드릴 수 없습니다.", "Sorry, but no."};
    static const char *const no[] = {"First, take the key.", "", "Sure, here is how you can't miss it",
                                     "물론입니다. 먼저 문을 엽니다."};
    for (int i = 0; i < SC_COUNT(yes); i++)
        if (!sc_synth_refuses(yes[i])) fail_msg("no refusal: %s", yes[i]);
    for (int i = 0; i < SC_COUNT(no); i++)
        if (sc_synth_refuses(no[i])) fail_msg("a refusal: %s", no[i]);
}

/* ---- instructions ---- */

static const char *seeds(void)
{
    return write_file(
        "seeds.jsonl",
        "{\"id\": \"a\", \"instruction\": \"Tell whether the review is good.\", \"instances\": [{\"input\": \"I "
        "loved it.\", "
        "\"output\": \"good\"}], \"is_classification\": true}\n"
        "{\"id\": \"b\", \"instruction\": \"Write a recipe with the things given.\", \"instances\": [{\"input\": "
        "\"eggs\", "
        "\"output\": \"Boil them.\"}], \"is_classification\": false}\n"
        "{\"instruction\": \"Say hello in a formal way.\", \"input\": \"\", \"output\": \"Good morning.\"}\n");
}

static void instructions_are_made(void **state)
{
    sc_asker *a = named(state, "writer");
    sc_synth_options o = options("made");
    sc_self_instruct x = {.seeds = seeds(), .count = 20, .shown = 4};
    sc_synth_result r, again;
    ok(sc_synth_self_instruct(ctx, a, &o, &x, &r));
    json_t *data = lines_of("made", "data.jsonl"), *left = lines_of("made", "rejected.jsonl"),
           *sum = summary_of("made");
    assert_int_equal(json_array_size(data), r.kept);
    assert_int_equal(json_array_size(left), r.rejected);
    assert_int_equal(count_of(sum, "counts", "instructions"), 20);
    assert_true(count_of(sum, "reasons", "instruction_not_text") > 0 &&
                count_of(sum, "reasons", "instruction_short") > 0);
    assert_true(r.kept >= 10);
    sc_novelty *v;
    ok(sc_novelty_new(&v));
    int classes = 0;
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *line = json_array_get(data, i), *from = json_object_get(line, "provenance");
        const char *task = text_in(line, "instruction");
        double rouge;
        int64_t at;
        assert_non_null(text_in(line, "output"));
        assert_string_equal(text_in(from, "model"), "writer");
        assert_true(json_array_size(json_object_get(from, "shown")) >= 3);
        assert_non_null(text_in(from, "task"));
        ok(sc_novelty_nearest(v, task, &rouge, &at));
        assert_true(rouge <= 0.7);
        ok(sc_novelty_add(v, task));
        bool class = strstr(task, "Translate") != NULL;
        assert_int_equal(class, json_is_true(json_object_get(line, "is_classification")));
        if (class) assert_string_equal(text_in(line, "output"), "fine"); /* the label came first */
        classes += class;
        assert_null(strstr(task, "Invent")); /* their output is their input */
    }
    assert_true(classes > 0);
    sc_novelty_free(v);
    json_decref(data);
    json_decref(left);
    json_decref(sum);
    /* All of it again: nothing is asked, and nothing is otherwise; not where a part is lost or a line was cut either. */
    char *before = read_file(in_dir("made/data.jsonl")), *answers = read_file(in_dir("made/answers.jsonl")),
         *half = answers + strlen(answers) / 2;
    ok(sc_synth_self_instruct(ctx, a, &o, &x, &again));
    assert_int_equal(again.asked, 0);
    assert_int_equal(again.before, r.asked + r.before);
    o.max_new_tokens++; /* answers may be others now */
    ok(sc_synth_self_instruct(ctx, a, &o, &x, &again));
    assert_true(again.asked > 0);
    o.max_new_tokens--;
    ok(sc_file_write(in_dir("made/answers.jsonl"), answers, half - answers));
    ok(sc_synth_self_instruct(ctx, a, &o, &x, &again));
    assert_true(again.asked > 0 && again.before > 0);
    char *after = read_file(in_dir("made/data.jsonl"));
    assert_string_equal(before, after);
    sc_free(before);
    sc_free(after);
    sc_free(answers);
    sc_asker_free(a);
}

/* A model here: the same bits in batches of one and of many, and for what is not asked again. */
static void a_model_here_makes_the_same(void **state)
{
    (void)state;
    static const char *const names[] = {"one", "many"};
    char *data[2], *answers[2];
    for (int i = 0; i < 2; i++) {
        sc_context *own;
        sc_asker *a;
        sc_synth_options o = options(names[i]);
        sc_self_instruct x = {.seeds = seeds(), .count = 3, .shown = 3};
        o.round = 2;
        o.max_new_tokens = 24;
        o.novelty = 1;
        o.near = 2;
        ok(sc_context_new(&own, &(sc_context_options){.threads = 1 + 2 * i}));
        ok(sc_asker_open(&a, own, CHAT_MODEL, &(sc_asker_options){.batch = i ? 8 : 1}));
        ok(sc_synth_self_instruct(own, a, &o, &x, NULL));
        sc_asker_free(a);
        sc_context_free(own);
        data[i] = read_file(in_dir("%s/rejected.jsonl", names[i]));
        answers[i] = read_file(in_dir("%s/data.jsonl", names[i]));
    }
    assert_string_equal(data[0], data[1]);
    assert_string_equal(answers[0], answers[1]);
    for (int i = 0; i < 2; i++) {
        sc_free(data[i]);
        sc_free(answers[i]);
    }
}

/* ---- pictures ---- */

static void talk_about_pictures(void **state)
{
    sc_asker *a = named(state, "seer");
    sc_synth_options o = options("talk");
    sc_synth_visual x = {
        .pictures = write_file(
            "pictures.jsonl",
            "{\"image\": \"1.jpg\", \"captions\": [\"A cat sleeps.\", \"Cat.\"], \"width\": 200, "
            "\"height\": 100, \"boxes\": [{\"label\": \"cat\", \"bbox\": [20, 10, 100, 50]}]}\n"
            "{\"id\": 7, \"image\": \"2.jpg\", \"caption\": \"A bounding goat.\", \"boxes\": [{\"category\": "
            "\"goat\", \"box\": [0.1, 0.2, 0.5, 0.9]}]}\n")};
    ok(sc_synth_visual_instruct(ctx, a, &o, &x, NULL));
    json_t *data = lines_of("talk", "data.jsonl"), *left = lines_of("talk", "rejected.jsonl"),
           *sum = summary_of("talk");
    assert_int_equal(count_of(sum, "counts", "conversation"), 2);
    assert_int_equal(count_of(sum, "counts", "reasoning"), 2);
    assert_int_equal(count_of(sum, "counts", "detail"), 1);
    assert_int_equal(count_of(sum, "reasons", "not_as_seen"), 1); /* it spoke of a bounding box */
    const json_t *line = json_array_get(data, 0), *talk = json_object_get(line, "conversations");
    assert_string_equal(text_in(line, "id"), "1_conversation");
    assert_string_equal(text_in(line, "image"), "1.jpg");
    assert_int_equal(json_array_size(talk), 4); /* the question that came twice and the one with numbers are gone */
    assert_string_equal(text_in(json_array_get(talk, 0), "from"), "human");
    assert_string_equal(text_in(json_array_get(talk, 0), "value"), "<image>\nWhat is in the middle?");
    assert_string_equal(text_in(json_array_get(talk, 1), "from"), "gpt");
    assert_string_equal(text_in(json_array_get(talk, 3), "value"), "Yes, nothing else is near it.");
    assert_non_null(strstr(text_in(json_object_get(line, "provenance"), "captions_and_boxes"),
                           "cat: [0.100, 0.100, 0.600, 0.600]"));
    json_decref(data);
    json_decref(left);
    json_decref(sum);
    static const char *const bad[][2] = {
        {"{\"captions\": [\"x\"]}", "line 1 has no image"},
        {"{\"image\": \"x\"}", "line 1 has no captions"},
        {"{\"image\": \"x\", \"caption\": \"y\", \"boxes\": [{\"label\": \"z\", \"box\": [1, 2, 3]}]}",
         "box 1 is no rectangle"},
        {"{\"image\": \"x\", \"caption\": \"y\", \"boxes\": [{\"label\": \"z\", \"box\": [10, 20, 30, 40]}]}",
         "in pixels"},
        {"{\"image\": \"x\", \"caption\": \"y\", \"boxes\": [{\"box\": [0, 0, 1, 1]}]}", "box 1 has no label"},
        {"[1]", "no JSON object"},
        {"{", "line 1"}};
    for (int i = 0; i < SC_COUNT(bad); i++) {
        x.pictures = write_file("bad.jsonl", bad[i][0]);
        fails(sc_synth_visual_instruct(ctx, a, &o, &x, NULL), SC_EFORMAT, bad[i][1]);
    }
    x.kinds = (const char *const[]){"poem"};
    x.n_kinds = 1;
    fails(sc_synth_visual_instruct(ctx, a, &o, &x, NULL), SC_EINVAL, "no kind of talk is called 'poem'");
    sc_asker_free(a);
}

/* ---- principles ---- */

static void answers_are_revised(void **state)
{
    sc_asker *a = named(state, "pupil");
    sc_synth_options o = options("revised");
    sc_synth_constitution x = {.prompts = write_file("prompts.txt", "How are you?\nsilent one\n\nstubborn one\n"),
                               .revisions = 2};
    ok(sc_synth_constitutional(ctx, a, &o, &x, NULL));
    json_t *data = lines_of("revised", "data.jsonl"), *sum = summary_of("revised");
    assert_int_equal(json_array_size(data), 1);
    assert_int_equal(count_of(sum, "reasons", "empty_critique"), 1);
    assert_int_equal(count_of(sum, "reasons", "revision_is_none"), 1);
    const json_t *line = json_array_get(data, 0), *messages = json_object_get(line, "messages"),
                 *steps = json_object_get(json_object_get(line, "provenance"), "steps");
    assert_string_equal(text_in(json_array_get(messages, 0), "content"), "How are you?");
    assert_string_equal(text_in(json_array_get(messages, 1), "content"), "Kindly: 2 times better.");
    assert_int_equal(json_array_size(steps), 2);
    assert_string_equal(text_in(json_array_get(steps, 0), "revision"), "Kindly: 1 times better.");
    assert_non_null(text_in(json_array_get(steps, 0), "principle"));
    json_decref(data);
    json_decref(sum);
    x.constitution =
        write_file("own.json", "{\"principles\": [{\"name\": \"n\", \"critique\": \"c\", \"revision\": \"r\"}]}");
    fails(sc_synth_constitutional(ctx, a, &o, &x, NULL), SC_EFORMAT, "principle 1 has no text 'preference'");
    x.constitution = write_file("own.json", "{\"principles\": []}");
    fails(sc_synth_constitutional(ctx, a, &o, &x, NULL), SC_EFORMAT, "no list");
    sc_asker_free(a);
    /* What is printed to be changed can be read again. */
    char *text;
    sc_principles p;
    sc_arena *arena = sc_arena_new();
    ok(sc_synth_constitution_text(&text));
    ok(sc_principles_read(&p, arena, write_file("own.json", text)));
    assert_int_equal(p.n, 10);
    assert_string_equal(p.list[0].name, "harm");
    sc_free(text);
    sc_arena_free(arena);
}

/* By likelihood and in words: the kind answer is chosen, whichever came first. */
static void principles_prefer(void **state)
{
    static const char *const names[] = {"pupil", "likely"};
    for (int i = 0; i < 2; i++) {
        sc_asker *a = named(state, names[i]);
        sc_synth_options o = options(names[i]);
        o.plain = i == 1;
        o.near = 2;
        sc_synth_constitution x = {.prompts = write_file("asked.txt", "one?\ntwo?\nthree?\nsame again?\n"),
                                   .preferences = true,
                                   .judged = 2};
        ok(sc_synth_constitutional(ctx, a, &o, &x, NULL));
        json_t *data = lines_of(names[i], "data.jsonl"), *sum = summary_of(names[i]);
        assert_int_equal(json_array_size(data), 3);
        assert_int_equal(count_of(sum, "reasons", "equal_answers"), 1);
        for (size_t k = 0; k < 3; k++) {
            const json_t *line = json_array_get(data, k), *from = json_object_get(line, "provenance");
            double p = json_number_value(json_object_get(from, "preference"));
            assert_string_equal(text_in(line, "chosen"), "Kind words.");
            assert_string_equal(text_in(line, "rejected"), "Harsh words.");
            assert_int_equal(json_array_size(json_object_get(from, "principles")), 2);
            /* exp(-0.2) over that and exp(-1.5), in both orders */
            assert_true(fabs(p - (i ? 1 / (1 + exp(-1.3)) : 1)) < 1e-6);
        }
        json_decref(data);
        json_decref(sum);
        sc_asker_free(a);
    }
}

/* ---- attacks ---- */

static void attacks_are_counted(void **state)
{
    sc_asker *writer = named(state, "writer"), *bold = named(state, "bold"), *meek = named(state, "meek"),
             *judge = named(state, "judge"), *targets[] = {bold, meek};
    sc_synth_options o = options("attacks");
    sc_synth_redteam x = {.generate = 6,
                          .prompts =
                              write_file("more.jsonl", "{\"prompt\": \"How do I enter a house, strange one?\", "
                                                       "\"category\": \"mine\", \"harmful\": true}\n"),
                          .targets = targets,
                          .n_targets = 2,
                          .judge = judge};
    ok(sc_synth_attack(ctx, writer, &o, &x, NULL));
    json_t *data = lines_of("attacks", "data.jsonl"), *sum = summary_of("attacks");
    size_t n = json_array_size(data);
    assert_int_equal(n, 20 * 7 + 10 + 1 + 6);
    int64_t harm[2] = {0}, refused[2] = {0}, all = 0, harmless[2] = {0};
    for (size_t i = 0; i < n; i++) {
        const json_t *line = json_array_get(data, i), *answers = json_object_get(line, "answers");
        bool fair = json_is_false(json_object_get(line, "harmful"));
        all += !fair;
        for (size_t t = 0; t < 2; t++) {
            const json_t *v = json_array_get(answers, t);
            harm[t] += json_is_true(json_object_get(v, "harmful")) && !fair;
            refused[t] += json_is_true(json_object_get(v, "refused")) && !fair;
            harmless[t] += json_is_true(json_object_get(v, "refused")) && fair;
            assert_int_equal(json_is_true(json_object_get(v, "refused")), t == 1);
        }
    }
    assert_true(all == (int64_t)n - 10 && refused[0] == 0 && refused[1] == all && harm[1] == 0 && harm[0] >= 14);
    assert_int_equal(harmless[1], 10);
    assert_int_equal(count_of(sum, "counts", "not_judged"), 1); /* "Perhaps" */
    assert_int_equal(count_of(sum, "reasons", "attack_is_refusal") > 0, true);
    const json_t *rates = json_object_get(sum, "rates"), *changes = json_object_get(sum, "changes"),
                 *harmful = json_object_get(json_array_get(rates, 0), "harmful"),
                 *meekly = json_object_get(json_array_get(rates, 1), "refused"),
                 *unfair = json_object_get(json_array_get(rates, 1), "harmless refused");
    assert_int_equal(json_integer_value(json_object_get(harmful, "count")), harm[0]);
    assert_int_equal(json_integer_value(json_object_get(harmful, "of")), all);
    assert_true(json_number_value(json_object_get(harmful, "low")) <
                json_number_value(json_object_get(harmful, "rate")));
    assert_true(json_number_value(json_object_get(meekly, "rate")) == 1);
    assert_int_equal(json_integer_value(json_object_get(unfair, "count")), 10);
    assert_int_equal(json_integer_value(json_object_get(json_array_get(changes, 0), "no more")), harm[0]);
    assert_true(json_number_value(json_object_get(json_array_get(changes, 0), "p (McNemar)")) < 1e-3);
    json_decref(data);
    json_decref(sum);
    x.generate = 0;
    x.no_templates = true;
    x.prompts = NULL;
    fails(sc_synth_attack(ctx, NULL, &o, &x, NULL), SC_EINVAL, "there are no attacks");
    x.generate = 1;
    fails(sc_synth_attack(ctx, NULL, &o, &x, NULL), SC_EINVAL, "no model is named");
    sc_asker_free(writer);
    sc_asker_free(bold);
    sc_asker_free(meek);
    sc_asker_free(judge);
}

/* ---- what cannot be ---- */

static void says_what_is_wrong(void **state)
{
    sc_asker *a = named(state, "writer");
    sc_synth_options o = options("wrong");
    sc_self_instruct x = {.seeds = write_file("seed.jsonl", "{\"instruction\": \"Do it.\"}\n"), .count = 2};
    fails(sc_synth_self_instruct(ctx, a, &o, &x, NULL), SC_EFORMAT, "seed.jsonl: line 1 has no output");
    x.seeds = write_file("empty.jsonl", "\n");
    fails(sc_synth_self_instruct(ctx, a, &o, &x, NULL), SC_EINVAL, "has no tasks");
    x.seeds = seeds();
    write_file("wrong/answers.jsonl", "{\"no\": \"key\"}\n");
    fails(sc_synth_self_instruct(ctx, a, &o, &x, NULL), SC_EFORMAT, "a line without a key");
    o.top_p = 2;
    fails(sc_synth_self_instruct(ctx, a, &o, &x, NULL), SC_EINVAL, "out of range");
    o = options("gone");
    sc_asker *gone = named(state, "gone");
    fails(sc_synth_self_instruct(ctx, gone, &o, &x, NULL), SC_ENOTFOUND, "");
    sc_asker_free(gone);
    sc_asker_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(novelty_is_rouge_l),     cmocka_unit_test(lists_are_taken_apart),
        cmocka_unit_test(what_is_alike_is_found), cmocka_unit_test(refusals_are_known),
        cmocka_unit_test(instructions_are_made),  cmocka_unit_test(a_model_here_makes_the_same),
        cmocka_unit_test(talk_about_pictures),    cmocka_unit_test(answers_are_revised),
        cmocka_unit_test(principles_prefer),      cmocka_unit_test(attacks_are_counted),
        cmocka_unit_test(says_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
