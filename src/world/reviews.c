/* SPDX-License-Identifier: Apache-2.0 */
/* Reviews of works, restaurants, shops and things, for or against. A review has several remarks; now and then one of the
 * other kind, so that one word alone does not decide. */
#include "world/world.h"

#include <stdio.h>

enum { SUBJECTS = 4, REMARKS = 8 };
/* {s} what is reviewed; remarks by subject (works, restaurants, goods, towns), then those that go for all */
static const char *const remarks[SC_TONGUES][2][SUBJECTS + 1][REMARKS] = {
    {{{"I [fell asleep|looked at my watch] before the middle.", "The [plot|idea] of {s} makes no sense.",
       "Nobody in {s} is worth remembering.", "It goes on [for ever|far too long].",
       "Every [turn|surprise] can be seen coming.", "{by} has done better work than {s}."},
      {"We waited {n} minutes for a cold plate of {dish}.", "The {dish} tasted of [nothing|smoke|old oil].",
       "The waiter was [rude|slow|nowhere to be seen].", "For {n} coins the plates are far too small.",
       "The tables were [dirty|sticky].", "I found [a hair|sand] in my {dish}."},
      {"The {thing} broke after {n} days.", "It is [smaller|heavier|uglier] than in the picture.",
       "The {col} colour came off at once.", "Nobody answered when I complained about the {thing}.",
       "I paid {n} coins for [rubbish|something useless].", "The {thing} arrived [too late|scratched]."},
      {"{s} is [loud|dirty|boring].", "We found nothing to do in {s} after an hour.",
       "The room was cold, and the bed [creaked|was too short].", "Everything in {s} costs too much.",
       "The road to {s} is [a nightmare|full of holes]."},
      {"I cannot recommend it.", "Never again.", "What a waste of [time|money]!", "I was [disappointed|annoyed].",
       "Stay away.", "I expected more."}},
     {{"I could not [stop|put it down].", "{s} made me [laugh|cry|think] for days.",
       "The [ending|beginning] is wonderful.", "Every [scene|part] of it has its place.",
       "{by} has never done better work than {s}.", "I want to see more by {by}."},
      {"The {dish} was [fresh|perfect|full of flavour].", "We were served within {n} minutes, with a smile.",
       "I have never had better {dish}.", "For {n} coins one gets a lot.",
       "The cook came out and [asked how we were|told us about the {dish}].",
       "A [warm|quiet|pretty] place with good {dish}."},
      {"The {thing} has served me well for {n} months.", "It looks even better than in the picture.",
       "The {col} colour is [lovely|bright].", "It cost only {n} coins and is [strong|well made].",
       "My whole family uses the {thing}.", "The {thing} arrived [early|well packed]."},
      {"{s} is [charming|clean|full of life].", "The people of {s} are [kind|helpful].",
       "From our window we could see {sight}.", "We wanted to stay {n} days longer in {s}.",
       "{fest} alone is worth the journey."},
      {"I can only recommend it.", "I would do it again at once.", "Worth every coin.",
       "I was [delighted|pleasantly surprised].", "Go and see for yourself.", "Much better than I expected."}}},
    {{{"중간도 되기 전에 [잠이 들었다|시계만 보았다].", "{s}~은 [줄거리|내용]~이 말이 되지 않는다.",
       "{s}에는 기억에 남는 인물이 없다.", "[끝도 없이|지나치게] 길다.",
       "다음에 무슨 일이 일어날지 [다 보인다|뻔하다].", "{by}의 다른 작품이 훨씬 낫다."},
      {"{n}분이나 기다렸는데 나온 {dish}~은 식어 있었다.",
       "{dish}에서 [아무 맛도 나지 않았다|탄 맛이 났다|오래된 기름 맛이 났다].",
       "종업원이 [무례했다|느렸다|보이지 않았다].", "동전 {n}개를 받으면서 양이 너무 적다.",
       "식탁이 [더러웠다|끈적거렸다].", "{dish}에서 [머리카락|모래]~이 나왔다."},
      {"{thing}~이 {n}일 만에 망가졌다.", "사진보다 [작다|무겁다|볼품없다].", "{col} 칠이 금방 벗겨졌다.",
       "{thing} 때문에 항의했지만 아무도 대답하지 않았다.", "동전 {n}개를 주고 [쓰레기|쓸모없는 것]~을 샀다.",
       "{thing}~이 [늦게|긁힌 채로] 도착했다."},
      {"{s}~은 [시끄럽다|지저분하다|지루하다].", "{s}에서는 한 시간만 지나면 할 일이 없다.",
       "방은 춥고 침대는 [삐걱거렸다|너무 짧았다].", "{s}~은 모든 것이 너무 비싸다.",
       "{s}까지 가는 길이 [끔찍하다|온통 패어 있다]."},
      {"추천할 수 없다.", "두 번 다시는 싫다.", "[시간|돈] 낭비였다.", "[실망했다|짜증이 났다].",
       "피하는 것이 좋다.", "더 나을 줄 알았다."}},
     {{"[멈출 수가 없었다|눈을 뗄 수가 없었다].", "{s} 덕분에 며칠 동안 [웃었다|울었다|생각에 잠겼다].",
       "[결말|시작]~이 훌륭하다.", "[장면|부분] 하나하나가 제자리에 있다.", "{by}의 작품 가운데 {s}~이 으뜸이다.",
       "{by}의 작품을 더 보고 싶다."},
      {"{dish}~이 [신선했다|완벽했다|깊은 맛이 났다].", "{n}분 만에 웃는 얼굴로 음식을 가져다주었다.",
       "이보다 맛있는 {dish}~은 먹어 본 적이 없다.", "동전 {n}개로 푸짐하게 먹을 수 있다.",
       "요리사가 나와서 [안부를 물었다|{dish}에 대해 이야기해 주었다].",
       "{dish}~이 맛있는 [따뜻한|조용한|예쁜] 곳이다."},
      {"{thing}~을 {n}달째 잘 쓰고 있다.", "사진보다 실물이 더 낫다.", "{col} 빛깔이 [곱다|선명하다].",
       "동전 {n}개밖에 안 하는데 [튼튼하다|잘 만들었다].", "온 가족이 {thing}~을 함께 쓴다.",
       "{thing}~이 [일찍|꼼꼼하게 포장되어] 도착했다."},
      {"{s}~은 [매력 있다|깨끗하다|활기차다].", "{s} 사람들은 [친절하다|잘 도와준다].",
       "창밖으로 {sight}~이 보였다.", "{s}에 {n}일은 더 머물고 싶었다.", "{fest}만으로도 갈 만하다."},
      {"꼭 추천한다.", "당장이라도 다시 하고 싶다.", "돈이 아깝지 않다.", "[무척 기뻤다|뜻밖에 좋았다].",
       "직접 가서 보기를.", "기대보다 훨씬 좋았다."}}},
};
static const char *const turns[SC_TONGUES][4] = {{"Still: ", "To be fair: ", "On the other hand: ", "I must say: "},
                                                 {"그래도 ", "하지만 ", "한편 ", "다만 "}};
static const char *const openings[SC_TONGUES][SUBJECTS][3] = {
    {{"I saw {s} in {town}.", "{s}, {a art} by {by}.", "My {kin} told me of {s}."},
     {"We ate {dish} at the restaurant of {who} in {town}.", "A restaurant in {town}, near the {place}.",
      "Last {season} we stopped at {who}'s restaurant."},
     {"I bought {a col} {thing} from {who}.", "{A col} {thing} from the market of {town}.",
      "My {kin} gave me {a thing} from {town}."},
     {"We spent {n} days in {s}.", "A visit to {s} in {season}.",
      "{s} lies {km} kilometres from our home, so we went."}},
    {{"{town}에서 {s}~을 보았다.", "{by}의 {art}, {s}.", "{kin}~이 {s} 이야기를 해 주었다."},
     {"{town}에 있는 {who}의 식당에서 {dish}~을 먹었다.", "{town}의 {place} 근처에 있는 식당이다.",
      "지난 {season}에 {who}의 식당에 들렀다."},
     {"{who}에게서 {col} {thing}~을 샀다.", "{town} 시장에서 산 {col} {thing}.",
      "{kin}~이 {town}에서 만든 {thing}~을 주었다."},
     {"{s}에서 {n}일을 보냈다.", "{season}에 {s}~을 찾았다.",
      "{s}~은 집에서 {km}킬로미터밖에 되지 않아 가 보았다."}},
};

static void bind(sc_draft *d, int subject)
{
    static const char *const kin[SC_TONGUES][4] = {{"sister", "uncle", "grandmother", "neighbour"},
                                                   {"언니", "삼촌", "할머니", "이웃"}};
    const sc_world *w = d->w;
    int work = sc_any_of(d, SC_WORK), town = sc_any_of(d, SC_TOWN);
    const sc_town *t = &w->town[town];
    sc_bind_value(d, sc_relation_of(SC_R_landmark), town);
    sc_bind(d, "sight", "%s", sc_slot_text(d, "v"));
    sc_bind_value(d, sc_relation_of(SC_R_festival), town);
    char fest[SC_SLOT_BYTES];
    snprintf(fest, sizeof fest, "%s", sc_slot_text(d, "v"));
    if (fest[0] == 't') fest[0] = 'T';
    sc_bind(d, "fest", "%s", fest);
    sc_bind_value(d, sc_relation_of(SC_R_art), work);
    sc_bind(d, "art", "%s", sc_slot_text(d, "v"));
    sc_bind(d, "by", "%s", w->person[w->work[work].maker].full.of[d->tongue]);
    sc_bind(d, "town", "%s", t->name.of[d->tongue]);
    sc_bind(d, "s", "%s", subject == 0 ? w->work[work].name.of[d->tongue] : t->name.of[d->tongue]);
    sc_bind(d, "who", "%s", w->person[sc_any_of(d, SC_PERSON)].given.of[d->tongue]);
    sc_bind(d, "kin", "%s", kin[d->tongue][sc_below(d, 4)]);
    sc_bind(d, "n", "%d", 3 + (int)sc_below(d, 60));
    sc_bind(d, "km", "%d", t->distance);
    static const struct {
        const char *slot;
        sc_word_class class;
    } words[] = {
        {"dish", SC_DISH}, {"thing", SC_THING}, {"col", SC_COLOUR}, {"place", SC_PLACE}, {"season", SC_SEASON}};
    for (int i = 0; i < SC_COUNT(words); i++)
        sc_bind(d, words[i].slot, "%s", sc_any_word(d, words[i].class)->name[d->tongue]);
}

static void remark(sc_draft *d, sc_str *out, bool good, int subject)
{
    const char *const *of = remarks[d->tongue][good][subject];
    int n = 0;
    while (n < REMARKS && of[n]) n++;
    const char *text = of[sc_below(d, (uint32_t)n)];
    sc_say(d, out, text);
}

/* The remarks of one kind in a row, none twice. */
void sc_write_review(sc_draft *d, sc_str *out, bool good)
{
    int subject = (int)sc_below(d, SUBJECTS), n = 2 + (int)sc_below(d, 3), other = -1;
    if (n > 2 && sc_chance(d, 3)) other = 1 + (int)sc_below(d, (uint32_t)n - 2); /* never the last one */
    bind(d, subject);
    sc_say_one(d, out, openings[d->tongue][subject], 3);
    for (int i = 0; i < n; i++) {
        sc_str one = {0};
        bool turned = i == other;
        do {
            one.len = 0;
            remark(d, &one, turned ? !good : good, i + 1 == n ? SUBJECTS : subject);
        } while (one.p && out->p && strstr(out->p, one.p));
        sc_str_putc(out, ' ');
        if (turned) sc_str_puts(out, turns[d->tongue][sc_below(d, 4)]);
        sc_str_append(out, one.p, one.len);
        out->oom |= one.oom;
        sc_str_free(&one);
    }
}

static void sentiment(sc_draft *d)
{
    bool good = sc_chance(d, 2);
    sc_str text = {0};
    sc_write_review(d, &text, good);
    static const char *const labels[SC_TONGUES][2] = {{"negative", "positive"}, {"부정", "긍정"}};
    sc_str_printf(&d->prompt,
                  d->tongue == SC_EN ? "Review: %s\nSentiment:" : "평: %s\n감정:", text.p ? text.p : "");
    sc_str_printf(&d->answer, " %s", labels[d->tongue][good]);
    sc_str_append(&d->key, text.p, text.len);
    d->difficulty = 1;
    d->text.oom |= text.oom;
    sc_str_free(&text);
}

static void reviews(sc_draft *d)
{
    bool good = sc_chance(d, 2);
    sc_write_review(d, &d->text, good);
    sc_str_putc(&d->text, '\n');
    sc_add_field(d, "label", json_string(good ? "positive" : "negative"));
}

const sc_generator sc_world_reviews = {
    {"reviews", "reviews with a label, positive or negative", false}, 8, reviews};
const sc_generator sc_world_sentiment = {
    {"sentiment", "whether a review is positive or negative", true}, 3, sentiment};
