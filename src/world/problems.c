/* SPDX-License-Identifier: Apache-2.0 */
/* Word problems of one to three steps, told in many ways; {work} keeps the steps that solve them. */
#include "world/world.h"

#include <stdio.h>

/* Slots: {who} {other} people, {things} {things2} what is counted, {n} in Korean how, {a} {b} {c} numbers, {r} the result. */
typedef struct problem {
    const char *sum;  /* how the result follows: an expression of a, b, c from left to right */
    int lo[3], hi[3]; /* of a, b, c; hi 0: not used */
    const char *told[SC_TONGUES][3];
} problem;

static const problem problems[] = {
    {"a+b",
     {2, 2},
     {60, 60},
     {{"{who} has {a} {things} and [buys|finds|gets] {b} more. How many {things} does {who} have now?",
       "There are {a} {things} in one basket and {b} in another. How many {things} are there in both baskets?",
       "{who} collected {a} {things} in the morning and {b} in the afternoon. How many {things} did {who} collect "
       "[that day|in all]?"},
      {"{who}~은 {things} {a}{n}~을 가지고 있다. {b}{n}~을 더 [샀다|얻었다|주웠다]. {things}~은 모두 몇 {n}~이 "
       "되었는가?",
       "한 바구니에는 {things} {a}{n}, 다른 바구니에는 {b}{n}~이 들어 있다. 두 바구니에 든 {things}~은 모두 몇 "
       "{n}인가?",
       "{who}~은 아침에 {things} {a}{n}~을 모으고 오후에 {b}{n}~을 모았다. 모두 몇 {n}~을 모았는가?"}}},
    {"a-b",
     {20, 2},
     {99, 19},
     {{"{who} had {a} {things} and gave {b} of them to {other}. How many {things} were left?",
       "Of {a} {things} in the shop {b} were sold. How many {things} were left?",
       "{who} needs {a} {things} and has {b}. How many {things} are missing?"},
      {"{who}~은 {things} {a}{n} 가운데 {b}{n}~을 {other}에게 주었다. 남은 {things}~은 몇 {n}인가?",
       "가게에 있던 {things} {a}{n} 가운데 {b}{n}~이 팔렸다. 몇 {n}~이 남았는가?",
       "{who}에게는 {things} {a}{n}~이 필요한데 지금 {b}{n}~이 있다. 몇 {n}~이 모자라는가?"}}},
    {"a*b",
     {2, 2},
     {12, 30},
     {{"There are {a} boxes with {b} {things} each. How many {things} are there [in all|altogether]?",
       "{who} buys {b} {things} every day for {a} days. How many {things} does {who} buy in all?",
       "Each of {a} children has {b} {things}. How many {things} do they have together?"},
      {"상자 {a}개에 {things}~이 {b}{n}씩 들어 있다. {things}~은 모두 몇 {n}인가?",
       "{who}~은 {a}일 동안 날마다 {things}~을 {b}{n}씩 샀다. 모두 몇 {n}~을 샀는가?",
       "어린이 {a}명이 {things}~을 {b}{n}씩 가지고 있다. 모두 합하면 몇 {n}인가?"}}},
    {"a+b-c",
     {10, 10, 2},
     {60, 60, 19},
     {{"{who} has {a} {things} and [buys|finds] {b} more. Then {who} gives {c} to {other}. How many {things} does "
       "{who} have now?",
       "A shop had {a} {things}. {b} came in the morning and {c} were sold. How many {things} are there now?"},
      {"{who}~은 {things} {a}{n}~을 가지고 있다가 {b}{n}~을 더 샀다. 그리고 {other}에게 {c}{n}~을 주었다. 지금 몇 "
       "{n}~을 가지고 있는가?",
       "가게에 {things} {a}{n}~이 있었다. 아침에 {b}{n}~이 들어오고 {c}{n}~이 팔렸다. 지금은 몇 {n}~이 있는가?"}}},
    {"a*b+c",
     {2, 2, 2},
     {12, 20, 40},
     {{"{who} has {a} bags with {b} {things} each and {c} single {things}. How many {things} does {who} have?",
       "{who} packs {b} {things} into each of {a} boxes, and {c} {things} are left over. How many {things} were "
       "there?"},
      {"{who}~은 {things} {b}{n}~이 든 봉지 {a}개와 낱개 {c}{n}~을 가지고 있다. {things}~은 모두 몇 {n}인가?",
       "{who}~이 {things}~을 상자 {a}개에 {b}{n}씩 담았더니 {c}{n}~이 남았다. 처음에 {things}~은 몇 {n}~이 "
       "있었는가?"}}},
    {"a*b-c",
     {3, 4, 2},
     {12, 20, 11},
     {{"{who} bought {b} {things} on each of {a} days and ate {c} of them. How many {things} are left?",
       "There were {a} rows of {b} {things}. {other} took {c} away. How many {things} were left?"},
      {"{who}~은 {a}일 동안 날마다 {things} {b}{n}~을 사서 {c}{n}~을 먹었다. 몇 {n}~이 남았는가?",
       "{things}~이 {b}{n}씩 {a}줄 있었다. {other}~이 {c}{n}~을 가져갔다. 몇 {n}~이 남았는가?"}}},
    {"a*b",
     {2, 3},
     {15, 40},
     {{"One of the {things} costs {b} coins. How many coins does {who} pay for {a} of them?",
       "{who} sells {a} {things} for {b} coins each. How many coins does {who} get?"},
      {"{things}~은 하나에 동전 {b}개이다. {who}~이 {a}{n}~을 사려면 동전이 몇 개 필요한가?",
       "{who}~은 {things} {a}{n}~을 하나에 동전 {b}개씩 받고 팔았다. 동전을 모두 몇 개 받았는가?"}}},
};

/* a op b [op c] from left to right, and its steps as {work}. */
static int64_t solve(sc_draft *d, const problem *p, const int64_t x[3])
{
    int64_t value = x[0];
    char work[128];
    int n = 0;
    for (const char *s = p->sum + 1; *s; s += 2) {
        int64_t y = x[s[1] - 'a'], before = value;
        value = *s == '+' ? value + y : *s == '-' ? value - y : value * y;
        n += snprintf(work + n, sizeof work - (size_t)n, "%s%lld %c %lld = %lld", n ? ", " : "", (long long)before,
                      *s, (long long)y, (long long)value);
    }
    sc_bind(d, "work", "%s", work);
    return value;
}

static const char *name(sc_draft *d) { return d->w->person[sc_any_of(d, SC_PERSON)].given.of[d->tongue]; }

static void make_problem(sc_draft *d)
{
    int which = (int)sc_below(d, SC_COUNT(problems)), told = 0;
    const problem *p = &problems[which];
    const sc_word *things =
        sc_any_word(d, strstr(p->told[SC_EN][0], " ate ") || sc_chance(d, 2) ? SC_FOOD : SC_THING);
    int64_t x[3];
    char answer[32];
    for (int i = 0; i < 3; i++) x[i] = p->hi[i] ? sc_between(d, p->lo[i], p->hi[i]) : 0;
    const char *who = name(d), *other = name(d);
    while (strcmp(who, other) == 0) other = name(d);
    sc_bind(d, "who", "%s", who);
    sc_bind(d, "other", "%s", other);
    sc_bind(d, "things", "%s", d->tongue == SC_EN ? things->many : things->name[SC_KO]);
    sc_bind(d, "n", "%s", things->korean);
    sc_bind(d, "a", "%lld", (long long)x[0]);
    sc_bind(d, "b", "%lld", (long long)x[1]);
    sc_bind(d, "c", "%lld", (long long)x[2]);
    while (told < 3 && p->told[0][told]) told++;
    sc_str question = {0};
    sc_say(d, &question, p->told[d->tongue][sc_below(d, (uint32_t)told)]);
    snprintf(answer, sizeof answer, "%lld", (long long)solve(d, p, x));
    sc_str_printf(&d->key, "problem %s %lld %lld %lld", p->sum, (long long)x[0], (long long)x[1], (long long)x[2]);
    d->difficulty = (int)strlen(p->sum) / 2;
    d->text.oom |= question.oom;
    if (question.p) sc_ask(d, question.p, answer);
    sc_str_free(&question);
}

const sc_generator sc_world_problems = {{"problems", "word problems of one or two steps", true}, 3, make_problem};
