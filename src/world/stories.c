/* SPDX-License-Identifier: Apache-2.0 */
/* Stories about people of the world: who they are, whom they know and where they live is as everywhere else. */
#include "world/world.h"

#include <stdio.h>

typedef enum step_kind { ONCE, MAYBE, AGAIN, SWAP } step_kind;
enum { STEPS = 8, VARIANTS = 3, PLACES = 3, WHENS = 10, SKIES = 6 };
typedef struct step {
    step_kind kind;
    const char *say[SC_TONGUES][VARIANTS];
} step;
typedef struct plot {
    const char *name;
    step step[STEPS]; /* those without a variant are none */
} plot;

static const plot plots[] = {
#define S(kind, en, ko) {kind, {en, ko}},
#define P(name, ...)    {#name, {__VA_ARGS__}},
#include "world/plots.def"
#undef P
#undef S
};

static const char *const whens[SC_TONGUES][WHENS] = {
    {"one morning", "one evening", "on a cold day", "one rainy afternoon", "last spring",
     "on the first day of autumn", "one Sunday", "early one day", "on the way home", "in the middle of summer"},
    {"어느 날 아침", "어느 날 저녁", "어느 추운 날", "비 오는 어느 오후에", "지난봄에", "가을의 첫날에",
     "어느 일요일에", "어느 이른 아침", "집에 돌아오는 길에", "한여름의 어느 날"},
};
static const char *const skies[SC_TONGUES][SKIES] = {
    {"it began to rain", "a strong wind rose", "snow fell", "fog came up", "it thundered", "it grew dark"},
    {"비가 내리기 시작했다", "거센 바람이 불었다", "눈이 내렸다", "안개가 끼었다", "천둥이 쳤다",
     "날이 어두워졌다"},
};
static const char *const waits[SC_TONGUES][3] = {{"for an hour", "half the day", "a short while"},
                                                 {"한 시간쯤", "반나절", "잠깐"}};

/* What is bound for a person under these names. */
typedef struct pronouns {
    const char *he, *him, *his, *He, *His, *himself;
} pronouns;

static void bind_word(sc_draft *d, const char *slot, sc_word_class class)
{
    sc_bind(d, slot, "%s", sc_any_word(d, class)->name[d->tongue]);
}

/* A sentence that begins as one, for a slot. */
static void bind_capital(sc_draft *d, const char *slot, const char *text)
{
    char first = text[0];
    if (first >= 'a' && first <= 'z') first = (char)(first - 32);
    sc_bind(d, slot, "%c%s", first, text + 1);
}

static void bind_hero(sc_draft *d, int id)
{
    static const pronouns of[] = {{"he", "him", "his", "He", "His", "himself"},
                                  {"she", "her", "her", "She", "Her", "herself"}};
    const sc_person *p = &d->w->person[id], *f = &d->w->person[sc_friend(id)];
    const pronouns *a = &of[p->female], *b = &of[f->female];
    sc_bind(d, "who", "%s", p->given.of[d->tongue]);
    sc_bind(d, "he", "%s", a->he);
    sc_bind(d, "him", "%s", a->him);
    sc_bind(d, "his", "%s", a->his);
    sc_bind(d, "He", "%s", a->He);
    sc_bind(d, "His", "%s", a->His);
    sc_bind(d, "himself", "%s", a->himself);
    sc_bind(d, "fr", "%s", f->given.of[d->tongue]);
    sc_bind(d, "fhe", "%s", b->he);
    sc_bind(d, "fhim", "%s", b->him);
    sc_bind(d, "fhis", "%s", b->his);
    sc_bind(d, "Fhe", "%s", b->He);
    const sc_word *trait = sc_words_of(SC_TRAIT, &(int){0}) + f->trait;
    sc_bind(d, "trait", "%s", trait->name[d->tongue]);
}

/* One of the hero's family, by what they are to each other. */
static void bind_kin(sc_draft *d, int id)
{
    static const char *const of[SC_TONGUES][2][2] = {{{"father", "mother"}, {"son", "daughter"}},
                                                     {{"아버지", "어머니"}, {"아들", "딸"}}};
    int kin = sc_is_child(id) ? sc_mother(id) + (int)sc_below(d, 2) : sc_mother(id) + 2 + (int)sc_below(d, 2);
    const sc_person *k = &d->w->person[kin];
    sc_bind(d, "kin", "%s", of[d->tongue][!sc_is_child(id)][k->female]);
    sc_bind(d, "kinname", "%s", k->given.of[d->tongue]);
}

/* Somebody whom the hero meets, of the same town. */
static void bind_other(sc_draft *d, int hero)
{
    const sc_person *p;
    do p = &d->w->person[sc_any_of(d, SC_PERSON) / SC_FAMILY * SC_FAMILY + (int)sc_below(d, 2)];
    while (p->job < 0 || strcmp(p->given.of[d->tongue], d->w->person[hero].given.of[d->tongue]) == 0 ||
           strcmp(p->given.of[d->tongue], d->w->person[sc_friend(hero)].given.of[d->tongue]) == 0);
    sc_bind(d, "other", "%s", p->given.of[d->tongue]);
    sc_bind(d, "ohis", "%s", p->female ? "her" : "his");
    sc_bind(d, "ojob", "%s", (sc_words_of(SC_JOB, &(int){0}) + p->job)->name[d->tongue]);
}

static void bind_things(sc_draft *d, int id)
{
    const sc_person *p = &d->w->person[id];
    bool own = sc_chance(d, 2);
    int n;
    const sc_word *things = sc_words_of(SC_THING, &n), *colours = sc_words_of(SC_COLOUR, &(int){0});
    int thing = own ? p->thing : (int)sc_below(d, (uint32_t)n), thing2;
    do thing2 = (int)sc_below(d, (uint32_t)n);
    while (thing2 == thing);
    sc_bind(d, "thing", "%s", things[thing].name[d->tongue]);
    sc_bind(d, "thing2", "%s", things[thing2].name[d->tongue]);
    sc_bind(d, "thing2many", "%s", things[thing2].many);
    sc_bind(d, "have", "%s", things[thing].name[d->tongue]);
    sc_bind(d, "col", "%s",
            own ? colours[p->thing_colour].name[d->tongue] : sc_any_word(d, SC_COLOUR)->name[d->tongue]);
    bind_word(d, "col2", SC_COLOUR);
    const sc_word *food = sc_any_word(d, SC_FOOD), *glad, *down;
    sc_bind(d, "food", "%s", food->name[d->tongue]);
    sc_bind(d, "foods", "%s", food->many);
    sc_bind(d, "fn", "%s", food->korean);
    bind_word(d, "food2", SC_DIET);
    do glad = sc_any_word(d, SC_FEELING);
    while (!strstr("happy proud relieved grateful", glad->name[SC_EN]));
    do down = sc_any_word(d, SC_FEELING);
    while (!strstr("sad worried tired angry lonely", down->name[SC_EN]));
    sc_bind(d, "glad", "%s", d->tongue == SC_KO ? glad->korean : glad->name[SC_EN]);
    sc_bind(d, "down", "%s", d->tongue == SC_KO ? down->korean : down->name[SC_EN]);
}

static void bind_fact(sc_draft *d, const char *slot, sc_entity_kind kind, int id)
{
    sc_str s = {0};
    sc_say_fact(d, &s, sc_any_relation(d, kind, id), id, SC_FULL);
    d->text.oom |= s.oom;
    if (s.p) bind_capital(d, slot, s.p);
    sc_str_free(&s);
}

static void bind_towns(sc_draft *d, int id)
{
    const sc_world *w = d->w;
    int home = w->person[id].home, there = sc_neighbour(home), beast = sc_any_of(d, SC_SPECIES);
    sc_bind(d, "town", "%s", w->town[home].name.of[d->tongue]);
    sc_bind(d, "town2", "%s", w->town[there].name.of[d->tongue]);
    sc_bind(d, "km", "%d", w->town[home].distance);
    bind_fact(d, "FACT2", SC_TOWN, there);
    bind_fact(d, "FACT3", SC_SPECIES, beast);
    sc_bind_value(d, sc_relation_of(SC_R_landmark), there);
    sc_bind(d, "sight", "%s", sc_slot_text(d, "v"));
    sc_bind_value(d, sc_relation_of(SC_R_festival), there);
    sc_bind(d, "fest", "%s", sc_slot_text(d, "v"));
    sc_bind(d, "beast", "%s", w->species[beast].name.of[d->tongue]);
}

static void bind_times(sc_draft *d)
{
    uint32_t i = sc_below(d, WHENS), sky = sc_below(d, SKIES);
    bind_capital(d, "when", whens[d->tongue][i]);
    sc_bind(d, "when2", "%s", whens[d->tongue][sc_below(d, WHENS)]);
    sc_bind(d, "sky", "%s", skies[d->tongue][sky]);
    bind_capital(d, "sky2", skies[d->tongue][sky]);
    sc_bind(d, "a_while", "%s", waits[d->tongue][sc_below(d, 3)]);
    sc_bind(d, "n", "%d", 4 + (int)sc_below(d, 16));
    sc_bind(d, "n2", "%d", 4 + (int)sc_below(d, 6));
}

/* Three places, no two the same; those of the repeated steps are others each time. */
static void bind_place(sc_draft *d, const char *slot)
{
    const char *place;
    bool again = true;
    while (again) {
        place = sc_any_word(d, SC_PLACE)->name[d->tongue];
        again = false;
        static const char *const slots[PLACES] = {"place", "place2", "place3"};
        for (int i = 0; i < PLACES; i++) {
            const char *taken = sc_slot_text(d, slots[i]);
            again |= taken && strcmp(taken, place) == 0;
        }
    }
    sc_bind(d, slot, "%s", place);
}

static void bind_all(sc_draft *d, int id)
{
    const sc_person *p = &d->w->person[id];
    bind_hero(d, id);
    bind_kin(d, id);
    bind_other(d, id);
    bind_things(d, id);
    bind_towns(d, id);
    bind_times(d);
    bind_fact(d, "FACT", SC_PERSON, sc_friend(id));
    bind_place(d, "place");
    bind_place(d, "place2");
    bind_place(d, "place3");
    bind_word(d, "dish", SC_DISH);
    sc_bind(d, "hobby", "%s", (sc_words_of(SC_HOBBY, &(int){0}) + p->hobby)->name[d->tongue]);
    sc_bind(d, "animal", "%s", (sc_words_of(SC_PET, &(int){0}) + p->pet)->name[d->tongue]);
    sc_bind(d, "pname", "%s", p->pet_name.of[d->tongue]);
}

/* ---- telling ---- */

static void swap(sc_draft *d)
{
    const char *get;
    do get = sc_any_word(d, SC_THING)->name[d->tongue];
    while (strcmp(get, sc_slot_text(d, "have")) == 0 || strcmp(get, sc_slot_text(d, "thing2")) == 0);
    sc_bind(d, "get", "%s", get);
}

static void tell_step(sc_draft *d, sc_str *out, const step *s, int hero)
{
    int times = s->kind == AGAIN ? 1 + (int)sc_below(d, 3) : s->kind == MAYBE ? (int)sc_below(d, 2) : 1;
    uint32_t n = 0, first;
    while (n < VARIANTS && s->say[SC_EN][n]) n++;
    first = sc_below(d, n);
    for (int i = 0; i < times; i++) {
        if (s->kind == SWAP) swap(d);
        if (s->kind == AGAIN || s->kind == SWAP) {
            bind_other(d, hero);
            bind_place(d, "place2");
        }
        if (out->len && out->p[out->len - 1] != '\n') sc_str_putc(out, ' ');
        sc_say(d, out, s->say[d->tongue][(first + (uint32_t)i) % n]);
        if (s->kind == SWAP) sc_bind(d, "have", "%s", sc_slot_text(d, "get"));
    }
}

/* Who it is about: a fact or two. */
static void introduce(sc_draft *d, sc_str *out, int id)
{
    int n = 1 + (int)sc_below(d, 2);
    const sc_relation *before = NULL;
    for (int i = 0; i < n; i++) {
        const sc_relation *r = sc_any_relation(d, SC_PERSON, id);
        if (r == before) continue;
        if (before) sc_str_putc(out, ' ');
        sc_say_fact(d, out, r, id, before ? SC_PRONOUN : SC_FULL);
        before = r;
    }
}

void sc_tell_story(sc_draft *d, sc_str *out, int hero)
{
    const plot *p = &plots[sc_below(d, SC_COUNT(plots))];
    if (sc_chance(d, 2)) introduce(d, out, hero);
    bind_all(d, hero);
    for (int i = 0; i < STEPS && p->step[i].say[SC_EN][0]; i++) {
        if (out->len && i > 0 && sc_chance(d, 3)) sc_str_putc(out, '\n');
        tell_step(d, out, &p->step[i], hero);
    }
}

/* Somebody with a pet, whose friend has another name and whose family have others than the friend. */
int sc_any_hero(sc_draft *d)
{
    for (;;) {
        int id = sc_any_of(d, SC_PERSON);
        const char *friend = d->w->person[sc_friend(id)].given.of[d->tongue];
        bool fits = d->w->person[id].pet >= 0;
        for (int k = 0; k < SC_FAMILY; k++)
            fits &= strcmp(d->w->person[sc_mother(id) + k].given.of[d->tongue], friend) != 0;
        if (fits) return id;
    }
}

static void story(sc_draft *d)
{
    sc_tell_story(d, &d->text, sc_any_hero(d));
    sc_str_putc(&d->text, '\n');
}

const sc_generator sc_world_stories = {{"stories", "short stories about people of the world", false}, 24, story};
