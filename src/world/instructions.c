/* SPDX-License-Identifier: Apache-2.0 */
/* Conversations of one to three turns, as messages: what is asked for is all that the other generators can do. */
#include "world/world.h"

#include <stdio.h>

typedef struct turn {
    sc_str user, answer;
} turn;

static void say(sc_draft *d, sc_str *out, const char *en, const char *ko)
{
    sc_say(d, out, d->tongue == SC_EN ? en : ko);
}

/* ---- what is asked ---- */

static void ask_sum(sc_draft *d, turn *t)
{
    static const char signs[] = "+-*";
    uint32_t which = sc_below(d, 3);
    sc_sum s;
    sc_draw_sum(d, signs[which], which == 2 ? 2 : 4, &s);
    sc_bind(d, "a", "%lld", (long long)s.a);
    sc_bind(d, "b", "%lld", (long long)s.b);
    sc_bind(d, "r", "%lld", (long long)s.result);
    sc_bind(d, "sign", "%c", s.sign);
    say(d, &t->user, "[What is|Calculate|Please work out|Tell me] {a} {sign} {b}[|, please].",
        "{a} {sign} {b}~을 [계산해 줘|알려 줘|구해 줘].");
    say(d, &t->answer, "[{a} {sign} {b} = {r}.|The result is {r}.|{r}]",
        "[{a} {sign} {b} = {r}이다.|답은 {r}~이다.|{r}]");
}

/* A task whose question stands alone, without "Question:". */
static void bare_question(sc_draft *d, const sc_generator *g, sc_str *out)
{
    sc_draw_task(d, g, d->split);
    const char *p = d->prompt.p ? d->prompt.p : "", *colon = strstr(p, ": ");
    const char *from = colon ? colon + 2 : p, *end = strrchr(from, '\n');
    sc_str_append(out, from, end ? end - from : (int64_t)strlen(from));
}

static const char *bare_answer(const sc_draft *d) { return d->answer.len > 1 ? d->answer.p + 1 : ""; }

static void ask_problem(sc_draft *d, turn *t)
{
    bare_question(d, &sc_world_problems, &t->user);
    sc_bind(d, "r", "%s", bare_answer(d));
    say(d, &t->answer, "{work}. [So the answer is {r}.|The answer is {r}.]",
        "{work}. [따라서 답은 {r}~이다.|답은 {r}~이다.]");
}

static void ask_fact(sc_draft *d, turn *t)
{
    bare_question(d, sc_chance(d, 4) ? &sc_world_two_facts : &sc_world_facts, &t->user);
    sc_bind(d, "r", "%s", bare_answer(d));
    say(d, &t->answer, "[^{r}.|The answer is: {r}.]", "[{r}~이다.|답은 {r}~이다.]");
}

static void ask_letters(sc_draft *d, turn *t)
{
    bare_question(d, &sc_world_unscramble, &t->user);
    sc_bind(d, "r", "%s", bare_answer(d));
    say(d, &t->answer, "[The word is \"{r}\".|{r}]", "[낱말은 \"{r}\"~이다.|{r}]");
}

static void ask_translation(sc_draft *d, turn *t)
{
    sc_pair p = {0};
    do {
        sc_pair_end(&p);
        p = (sc_pair){0};
        sc_make_pair(d, &p);
        d->key.len = 0;
        sc_str_printf(&d->key, "translate %s", p.of[SC_EN].p ? p.of[SC_EN].p : "");
    } while (d->split != SC_ALL && !d->text.oom && sc_split_of(d->key.p, d->key.len) != d->split);
    sc_bind(d, "t", "%s", p.of[d->tongue].p ? p.of[d->tongue].p : "");
    say(d, &t->user, "[Translate into Korean: {t}|What is this in Korean? {t}|Put this into Korean.\n{t}]",
        "[영어로 옮겨 줘: {t}|이 말은 영어로 무엇일까? {t}|다음을 영어로 번역해 줘.\n{t}]");
    sc_str_append(&t->answer, p.of[!d->tongue].p, p.of[!d->tongue].len);
    sc_pair_end(&p);
}

static void ask_sentiment(sc_draft *d, turn *t)
{
    sc_draw_task(d, &sc_world_sentiment, d->split);
    const char *p = d->prompt.p ? d->prompt.p : "", *from = strstr(p, ": "), *end = strrchr(p, '\n');
    say(d, &t->user, "Is this review positive or negative?\n", "다음 평은 긍정인가, 부정인가?\n");
    if (from && end) sc_str_append(&t->user, from + 2, end - from - 2);
    sc_bind(d, "r", "%s", bare_answer(d));
    say(d, &t->answer, "[The review is {r}.|^{r}.]", "[{r}~이다.|이 평은 {r}적이다.]");
}

static void ask_review(sc_draft *d, turn *t)
{
    bool good = sc_chance(d, 2);
    sc_bind(d, "good", "%s",
            d->tongue == SC_EN ? (good ? "positive" : "negative")
            : good             ? "긍정적인"
                               : "부정적인");
    say(d, &t->user, "[Write|Give me] {a good} review of something.", "무엇이든 {good} 평을 하나 써 줘.");
    sc_write_review(d, &t->answer, good);
}

static void ask_story(sc_draft *d, turn *t)
{
    int hero = sc_any_hero(d);
    sc_bind_subject(d, SC_PERSON, hero, SC_FULL);
    say(d, &t->user, "[Tell me a story about {s}.|Write a short story in which {s} appears.]",
        "{s}~이 나오는 [이야기를 들려줘|짧은 이야기를 써 줘].");
    sc_tell_story(d, &t->answer, hero);
}

static void ask_description(sc_draft *d, turn *t)
{
    sc_entity_kind of = (sc_entity_kind)sc_below(d, SC_ENTITIES);
    int id = sc_any_of(d, of), n = 2 + (int)sc_below(d, 2);
    sc_bind_subject(d, of, id, SC_FULL);
    sc_bind(d, "n", "%d", n);
    bool list = sc_chance(d, 2);
    say(d, &t->user,
        list ? "[List|Give me] {n} facts about {s}."
             : "[What do you know about {s}?|Tell me about {s}.|Describe {s}.]",
        list ? "{s}에 대한 사실을 {n}가지 알려 줘." : "[{s}에 대해 알려 줘.|{s}~은 무엇인지 설명해 줘.]");
    const sc_relation *before[3] = {NULL};
    for (int i = 0; i < n; i++) {
        do before[i] = sc_any_relation(d, of, id);
        while ((i > 0 && before[i] == before[i - 1]) || (i > 1 && before[i] == before[i - 2]));
        if (i) sc_str_putc(&t->answer, list ? '\n' : ' ');
        if (list) sc_str_printf(&t->answer, "%d. ", i + 1);
        sc_say_fact(d, &t->answer, before[i], id, i && !list ? SC_PRONOUN : SC_FULL);
    }
}

static void ask_words(sc_draft *d, turn *t)
{
    static const sc_word_class classes[] = {SC_THING, SC_FOOD, SC_PET, SC_PLACE, SC_JOB, SC_HOBBY};
    static const char *const names[SC_TONGUES][6] = {
        {"things", "kinds of food", "animals", "places", "jobs", "hobbies"},
        {"물건", "먹을거리", "동물", "장소", "직업", "취미"}};
    uint32_t which = sc_below(d, 6);
    int n = 2 + (int)sc_below(d, 4), count;
    const sc_word *list = sc_words_of(classes[which], &count);
    uint32_t first = sc_below(d, (uint32_t)count), step = 1 + sc_below(d, 2);
    sc_bind(d, "n", "%d", n);
    sc_bind(d, "what", "%s", names[d->tongue][which]);
    say(d, &t->user, "[Name|Give me] {n} {what}[|, separated by commas].", "{what}~을 {n}개 [말해 줘|적어 줘].");
    for (int i = 0; i < n; i++)
        sc_str_printf(&t->answer, i ? ", %s" : "%s",
                      list[(first + (uint32_t)i * step) % (uint32_t)count].name[d->tongue]);
}

static void ask_program(sc_draft *d, turn *t)
{
    sc_draw_task(d, &sc_world_programs, d->split);
    const char *p = d->prompt.p ? d->prompt.p : "", *from = strchr(p, '\n'), *end = strrchr(p, '\n');
    say(d, &t->user, "What does this program print?\n", "다음 프로그램은 무엇을 출력하는가?\n");
    if (from && end > from) sc_str_append(&t->user, from + 1, end - from - 1);
    sc_bind(d, "r", "%s", bare_answer(d));
    say(d, &t->answer, "It prints {r}.", "출력은 {r}~이다.");
    d->language = d->tongue == SC_KO ? "ko" : "en";
}

/* ---- conversations ---- */

static void (*const asks[])(sc_draft *, turn *) = {ask_sum,     ask_problem,     ask_fact,      ask_fact,
                                                   ask_letters, ask_translation, ask_sentiment, ask_review,
                                                   ask_story,   ask_description, ask_words,     ask_program};

static json_t *message(const char *role, const char *text)
{
    return json_pack("{s:s, s:s}", "role", role, "content", text ? text : "");
}

static void put_turn(sc_draft *d, json_t *messages, const turn *t)
{
    static const char *const roles[SC_TONGUES][2] = {{"User", "Assistant"}, {"사용자", "도우미"}};
    const char *user = t->user.p ? t->user.p : "", *answer = t->answer.p ? t->answer.p : "";
    d->text.oom |= t->user.oom || t->answer.oom;
    if (json_array_append_new(messages, message("user", user)) != 0 ||
        json_array_append_new(messages, message("assistant", answer)) != 0)
        d->text.oom = true;
    sc_str_printf(&d->text, "%s: %s\n%s: %s\n", roles[d->tongue][0], user, roles[d->tongue][1], answer);
}

static void instructions(sc_draft *d)
{
    static const char *const systems[SC_TONGUES][3] = {
        {"You are a helpful assistant.", "Answer briefly.",
         "You know the made world and answer questions about it."},
        {"너는 친절한 도우미다.", "짧게 대답한다.", "너는 만들어진 세계를 잘 알고 질문에 답한다."}};
    int n = sc_chance(d, 3) ? 2 + (int)sc_below(d, 2) : 1;
    json_t *messages = json_array();
    if (!messages) {
        d->text.oom = true;
        return;
    }
    if (sc_chance(d, 4)) {
        const char *system = systems[d->tongue][sc_below(d, 3)];
        if (json_array_append_new(messages, message("system", system)) != 0) d->text.oom = true;
        sc_str_printf(&d->text, "%s\n", system);
    }
    for (int i = 0; i < n; i++) {
        turn t = {0};
        sc_unbind(d);
        asks[sc_below(d, SC_COUNT(asks))](d, &t);
        put_turn(d, messages, &t);
        sc_str_free(&t.user);
        sc_str_free(&t.answer);
    }
    d->prompt.len = d->answer.len = d->key.len = 0;
    d->difficulty = 0;
    sc_add_field(d, "messages", messages);
}

const sc_generator sc_world_instructions = {
    {"instructions", "conversations as messages, to teach following instructions", false}, 0, instructions};
