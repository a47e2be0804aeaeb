/* SPDX-License-Identifier: Apache-2.0 */
/* The same in English and in Korean: names of things, facts, and what people do in several tenses. */
#include "world/world.h"

#include <stdio.h>

typedef struct action {
    const char *base, *does, *did, *object[SC_TONGUES], *now, *past, *future, *negation;
} action;
static const action actions[] = {
#define V(base, does, did, en, ko, now, past, future, negation)                                                    \
    {base, does, did, {en, ko}, now, past, future, negation},
#include "world/actions.def"
#undef V
};

typedef enum tense { NOW, PAST, FUTURE, NOT_NOW, NOT_PAST, TENSES } tense;
static const char *const times[TENSES][3][SC_TONGUES] = {
    {{"every day", "날마다"}, {"every Monday", "월요일마다"}, {"often", "자주"}},
    {{"yesterday", "어제"}, {"last week", "지난주에"}, {"this morning", "오늘 아침에"}},
    {{"tomorrow", "내일"}, {"next week", "다음 주에"}, {"soon", "곧"}},
    {{"these days", "요즘"}, {"on Sundays", "일요일에는"}, {"in winter", "겨울에는"}},
    {{"yesterday", "어제"}, {"last year", "작년에"}, {"that day", "그날"}},
};

/* One drawing of words, bound in one language and then in the other. */
typedef struct words {
    const sc_word *thing, *colour, *food, *place, *place2, *animal, *dish;
    int who, other;
} words;

static void draw_words(sc_draft *d, words *w)
{
    *w = (words){.thing = sc_any_word(d, SC_THING),
                 .colour = sc_any_word(d, SC_COLOUR),
                 .food = sc_any_word(d, SC_FOOD),
                 .place = sc_any_word(d, SC_PLACE),
                 .animal = sc_any_word(d, SC_PET),
                 .dish = sc_any_word(d, SC_DISH),
                 .who = sc_any_of(d, SC_PERSON)};
    do w->place2 = sc_any_word(d, SC_PLACE);
    while (w->place2 == w->place);
    do w->other = sc_any_of(d, SC_PERSON);
    while (strcmp(d->w->person[w->other].given.of[SC_EN], d->w->person[w->who].given.of[SC_EN]) == 0);
}

static void bind_words(sc_draft *d, const words *w)
{
    sc_tongue t = d->tongue;
    sc_bind(d, "thing", "%s", w->thing->name[t]);
    sc_bind(d, "col", "%s", w->colour->name[t]);
    sc_bind(d, "food", "%s", w->food->name[t]);
    sc_bind(d, "place", "%s", w->place->name[t]);
    sc_bind(d, "place2", "%s", w->place2->name[t]);
    sc_bind(d, "animal", "%s", w->animal->name[t]);
    sc_bind(d, "dish", "%s", w->dish->name[t]);
    sc_bind(d, "who", "%s", d->w->person[w->who].given.of[t]);
    sc_bind(d, "other", "%s", d->w->person[w->other].given.of[t]);
}

static void english_action(sc_draft *d, sc_str *out, const action *a, tense t, const char *when)
{
    static const char *const before[TENSES] = {"", "", "will ", "does not ", "did not "};
    bool often = strcmp(when, "often") == 0, soon = strcmp(when, "soon") == 0;
    sc_say(d, out, "{who} ");
    if (often) sc_str_puts(out, "often ");
    sc_str_printf(out, soon ? "will soon " : "%s", before[t]);
    sc_str_puts(out, t == NOW ? a->does : t == PAST ? a->did : a->base);
    sc_str_putc(out, ' ');
    sc_say(d, out, a->object[SC_EN]);
    sc_str_printf(out, often || soon ? "." : " %s.", when);
}

static void korean_action(sc_draft *d, sc_str *out, const action *a, tense t, const char *when)
{
    sc_say(d, out, "{who}~은 ");
    sc_str_printf(out, "%s ", when);
    sc_say(d, out, a->object[SC_KO]);
    static const char *const form[TENSES] = {" %s.", " %s.", " %s 것이다.", " %s 않는다.", " %s 않았다."};
    const char *verb[TENSES] = {a->now, a->past, a->future, a->negation, a->negation};
    sc_str_printf(out, form[t], verb[t]);
}

static void make_action(sc_draft *d, sc_pair *p)
{
    const action *a = &actions[sc_below(d, SC_COUNT(actions))];
    tense t = (tense)sc_below(d, TENSES);
    const char *const *when = times[t][sc_below(d, 3)];
    words w;
    draw_words(d, &w);
    d->tongue = SC_EN;
    bind_words(d, &w);
    english_action(d, &p->of[SC_EN], a, t, when[SC_EN]);
    d->tongue = SC_KO;
    bind_words(d, &w);
    korean_action(d, &p->of[SC_KO], a, t, when[SC_KO]);
    p->difficulty = 3;
}

static void make_phrase(sc_draft *d, sc_pair *p)
{
    static const char *const phrases[][SC_TONGUES] = {
        {"{a col} {thing}", "{col} {thing}"},
        {"{who}'s {thing}", "{who}의 {thing}"},
        {"the {animal} of {who}", "{who}의 {animal}"},
        {"the {place} and the {place2}", "{place}~과 {place2}"},
        {"{a food} and {a thing}", "{food}~과 {thing}"},
        {"{dish} for {who}", "{who}~을 위한 {dish}"},
    };
    const char *const *phrase = phrases[sc_below(d, SC_COUNT(phrases))];
    words w;
    draw_words(d, &w);
    for (int t = 0; t < SC_TONGUES; t++) {
        d->tongue = (sc_tongue)t;
        bind_words(d, &w);
        sc_say(d, &p->of[t], phrase[t]);
    }
    p->difficulty = 1;
}

/* Of the sentences for a fact the first one in each language mean the same. */
static void make_fact(sc_draft *d, sc_pair *p)
{
    sc_entity_kind of = (sc_entity_kind)sc_below(d, SC_ENTITIES);
    int id = sc_any_of(d, of);
    const sc_relation *r = sc_any_relation(d, of, id);
    for (int t = 0; t < SC_TONGUES; t++) {
        d->tongue = (sc_tongue)t;
        sc_bind_subject(d, of, id, SC_FULL);
        sc_bind_value(d, r, id);
        sc_say(d, &p->of[t], r->say[t][0]);
    }
    p->difficulty = 2;
}

void sc_make_pair(sc_draft *d, sc_pair *p)
{
    static void (*const forms[])(sc_draft *, sc_pair *) = {make_phrase, make_fact, make_action, make_action};
    sc_tongue tongue = d->tongue;
    forms[sc_below(d, SC_COUNT(forms))](d, p);
    d->tongue = tongue;
    d->text.oom |= p->of[SC_EN].oom || p->of[SC_KO].oom;
}

void sc_pair_end(sc_pair *p)
{
    sc_str_free(&p->of[SC_EN]);
    sc_str_free(&p->of[SC_KO]);
}

/* ---- texts and tasks ---- */

static void key_of(sc_draft *d, const sc_pair *p)
{
    sc_str_printf(&d->key, "translate %s", p->of[SC_EN].p ? p->of[SC_EN].p : "");
}

/* From the language that was drawn into the other. */
static void put(sc_draft *d, sc_str *prompt, sc_str *answer, const sc_pair *p)
{
    const char *en = p->of[SC_EN].p ? p->of[SC_EN].p : "", *ko = p->of[SC_KO].p ? p->of[SC_KO].p : "";
    if (d->tongue == SC_EN) {
        sc_str_printf(prompt, "English: %s\nKorean:", en);
        sc_str_printf(answer, " %s", ko);
    } else {
        sc_str_printf(prompt, "한국어: %s\n영어:", ko);
        sc_str_printf(answer, " %s", en);
    }
}

static void translate(sc_draft *d)
{
    sc_pair p = {0};
    sc_make_pair(d, &p);
    put(d, &d->prompt, &d->answer, &p);
    key_of(d, &p);
    d->difficulty = p.difficulty;
    d->language = "en-ko";
    sc_pair_end(&p);
}

static void translation(sc_draft *d)
{
    sc_pair p = {0};
    sc_make_pair(d, &p);
    put(d, &d->text, &d->text, &p);
    sc_str_putc(&d->text, '\n');
    key_of(d, &p);
    d->language = "en-ko";
    sc_add_field(d, "source", json_string(p.of[d->tongue].p ? p.of[d->tongue].p : ""));
    sc_add_field(d, "target", json_string(p.of[!d->tongue].p ? p.of[!d->tongue].p : ""));
    sc_pair_end(&p);
}

const sc_generator sc_world_translation = {
    {"translation", "pairs of English and Korean that mean the same", false}, 8, translation};
const sc_generator sc_world_translate = {
    {"translate", "translation from English and from Korean", true}, 0, translate};
