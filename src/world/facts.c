/* SPDX-License-Identifier: Apache-2.0 */
/* Facts of the world in sentences and questions: relations.def has the words, this file the values. */
#include "world/world.h"

#include <stdio.h>

static const char *const sides[SC_TONGUES][SC_SIDES_N] = {
    {"north", "north-east", "east", "south-east", "south", "south-west", "west", "north-west"},
    {"북쪽", "북동쪽", "동쪽", "남동쪽", "남쪽", "남서쪽", "서쪽", "북서쪽"},
};
static const char *const arts[SC_TONGUES][SC_ARTS_N] = {
    {"novel", "song", "painting", "film", "play"},
    {"소설", "노래", "그림", "영화", "희곡"},
};
static const char *const made[SC_ARTS_N] = {"written", "composed", "painted", "directed", "written"};

#define WORD(d, class, i) (nth((class), (i))->name[(d)->tongue])
static const sc_word *nth(sc_word_class class, int i)
{
    int n;
    return sc_words_of(class, &n) + i;
}

/* ---- where a relation leads ---- */

int sc_relation_target(const sc_world *w, const sc_relation *r, int id)
{
    switch (r->id) {
    case SC_R_birthplace: return w->person[id].birthplace;
    case SC_R_home: return w->person[id].home;
    case SC_R_friend: return sc_friend(id);
    case SC_R_mother: return sc_mother(id);
    case SC_R_father: return sc_father(id);
    case SC_R_sibling: return sc_sibling(id);
    case SC_R_spouse: return sc_spouse(id);
    case SC_R_neighbour: return sc_neighbour(id);
    case SC_R_mayor: return w->town[id].mayor;
    case SC_R_near: return w->species[id].town;
    case SC_R_finder: return w->species[id].finder;
    case SC_R_creator: return w->work[id].maker;
    case SC_R_setting: return w->work[id].town;
    default: return -1;
    }
}

bool sc_relation_holds(const sc_world *w, const sc_relation *r, int id)
{
    switch (r->id) {
    case SC_R_job: return w->person[id].job >= 0;
    case SC_R_pet:
    case SC_R_pet_name: return w->person[id].pet >= 0;
    case SC_R_mother:
    case SC_R_father:
    case SC_R_sibling: return sc_is_child(id);
    case SC_R_spouse: return !sc_is_child(id);
    default: return true;
    }
}

const char *sc_name_of(const sc_world *w, sc_entity_kind kind, int id, sc_tongue t)
{
    switch (kind) {
    case SC_PERSON: return w->person[id].full.of[t];
    case SC_TOWN: return w->town[id].name.of[t];
    case SC_SPECIES: return w->species[id].name.of[t];
    default: return w->work[id].name.of[t];
    }
}

/* ---- values ---- */

static const char *relative(const sc_world *w, int id, int other, sc_tongue t)
{
    const sc_person *p = &w->person[id], *q = &w->person[other];
    if (!sc_is_child(id)) return t == SC_KO ? (q->female ? "아내" : "남편") : q->female ? "wife" : "husband";
    if (t == SC_EN) return q->female ? "sister" : "brother";
    if (q->born > p->born) return q->female ? "여동생" : "남동생";
    if (q->female) return p->female ? "언니" : "누나";
    return p->female ? "오빠" : "형";
}

static void bind_land(sc_draft *d, int land)
{
    static const char *const where[] = {"on the coast", "in the mountains", "on a wide plain", "in a valley",
                                        "on an island", "in a forest",      "on a lake",       "in the hills"};
    sc_bind(d, "v", "%s", d->tongue == SC_EN ? where[land] : WORD(d, SC_LAND, land));
}

static void bind_person(sc_draft *d, sc_relation_id r, int id)
{
    const sc_world *w = d->w;
    const sc_person *p = &w->person[id];
    sc_tongue t = d->tongue;
    switch (r) {
    case SC_R_born: sc_bind(d, "v", "%d", p->born); break;
    case SC_R_job: sc_bind(d, "v", "%s", WORD(d, SC_JOB, p->job)); break;
    case SC_R_workplace: sc_bind(d, "v", "%s", WORD(d, SC_PLACE, p->workplace)); break;
    case SC_R_trait:
        sc_bind(d, "v", "%s", WORD(d, SC_TRAIT, p->trait));
        sc_bind(d, "w", "%s", nth(SC_TRAIT, p->trait)->korean);
        break;
    case SC_R_colour:
        sc_bind(d, "v", "%s", t == SC_KO ? nth(SC_COLOUR, p->colour)->korean : WORD(d, SC_COLOUR, p->colour));
        break;
    case SC_R_dish: sc_bind(d, "v", "%s", WORD(d, SC_DISH, p->dish)); break;
    case SC_R_hobby: sc_bind(d, "v", "%s", WORD(d, SC_HOBBY, p->hobby)); break;
    case SC_R_pet:
    case SC_R_pet_name:
        sc_bind(d, "v", "%s", WORD(d, SC_PET, p->pet));
        sc_bind(d, "w", "%s", p->pet_name.of[t]);
        sc_bind(d, "W", "%s", p->pet_name.of[t]);
        break;
    case SC_R_thing:
        sc_bind(d, "v", "%s", WORD(d, SC_THING, p->thing));
        sc_bind(d, "u", "%s", WORD(d, SC_COLOUR, p->thing_colour));
        sc_bind(d, "w", "%s",
                t == SC_KO ? nth(SC_COLOUR, p->thing_colour)->korean : WORD(d, SC_COLOUR, p->thing_colour));
        break;
    case SC_R_height: sc_bind(d, "v", "%d", p->height); break;
    case SC_R_sibling: sc_bind(d, "w", "%s", relative(w, id, sc_sibling(id), t)); break;
    case SC_R_spouse: sc_bind(d, "w", "%s", relative(w, id, sc_spouse(id), t)); break;
    default: break;
    }
}

/* 12000 as 12,000 in English, as 1만 2000 in Korean. */
static void bind_inhabitants(sc_draft *d, int n)
{
    if (d->tongue == SC_EN)
        sc_bind(d, "v", "%d,%03d", n / 1000, n % 1000);
    else if (n >= 10000 && n % 10000)
        sc_bind(d, "v", "%d만 %d", n / 10000, n % 10000);
    else if (n >= 10000)
        sc_bind(d, "v", "%d만", n / 10000);
    else
        sc_bind(d, "v", "%d", n);
}

static void capitalised(char out[SC_NAME_BYTES], const char *word)
{
    snprintf(out, SC_NAME_BYTES, "%s", word);
    if (out[0] >= 'a' && out[0] <= 'z') out[0] = (char)(out[0] - 32);
}

static void bind_town(sc_draft *d, sc_relation_id r, int id)
{
    const sc_town *t = &d->w->town[id];
    bool ko = d->tongue == SC_KO;
    char a[SC_NAME_BYTES], b[SC_NAME_BYTES];
    switch (r) {
    case SC_R_land: bind_land(d, t->land); break;
    case SC_R_side: sc_bind(d, "v", "%s", sides[d->tongue][t->side]); break;
    case SC_R_river: sc_bind(d, "v", "%s", t->river.of[d->tongue]); break;
    case SC_R_founded: sc_bind(d, "v", "%d", t->founded); break;
    case SC_R_inhabitants: bind_inhabitants(d, t->inhabitants); break;
    case SC_R_goods: sc_bind(d, "v", "%s", WORD(d, SC_GOODS, t->goods)); break;
    case SC_R_landmark:
        capitalised(a, WORD(d, SC_MATERIAL, t->landmark_of));
        capitalised(b, WORD(d, SC_LANDMARK, t->landmark));
        sc_bind(d, "v", ko ? "%s %s" : "the %s %s", a, b);
        break;
    case SC_R_festival:
        capitalised(a, WORD(d, SC_GOODS, t->festival));
        sc_bind(d, "v", ko ? "%s 축제" : "the %s Festival", a);
        sc_bind(d, "w", "%s", WORD(d, SC_SEASON, t->season));
        break;
    case SC_R_season: sc_bind(d, "v", "%s", WORD(d, SC_SEASON, t->season)); break;
    case SC_R_distance: sc_bind(d, "v", "%s", d->w->town[sc_neighbour(id)].name.of[d->tongue]); /* fall through */
    case SC_R_neighbour: sc_bind(d, "w", "%d", t->distance); break;
    default: break;
    }
}

static void bind_species(sc_draft *d, sc_relation_id r, int id)
{
    const sc_species *s = &d->w->species[id];
    bool ko = d->tongue == SC_KO;
    const char *day = ko ? "낮" : "by day", *night = ko ? "밤" : "at night";
    switch (r) {
    case SC_R_beast:
        sc_bind(d, "v", "%s", WORD(d, SC_BEAST, s->beast));
        sc_bind(d, "w", "%s", WORD(d, SC_COLOUR, s->colour));
        sc_bind(d, "u", "%s", nth(SC_BEAST, s->beast)->many);
        break;
    case SC_R_species_colour:
        sc_bind(d, "v", "%s", ko ? nth(SC_COLOUR, s->colour)->korean : WORD(d, SC_COLOUR, s->colour));
        break;
    case SC_R_diet: sc_bind(d, "v", "%s", WORD(d, SC_DIET, s->diet)); break;
    case SC_R_habitat: bind_land(d, s->land); break;
    case SC_R_nocturnal:
        sc_bind(d, "v", "%s", s->nocturnal ? night : day);
        sc_bind(d, "w", "%s", s->nocturnal ? day : night);
        break;
    case SC_R_length:
        sc_bind(d, "v", "%d", s->length);
        sc_bind(d, "w", "%s", WORD(d, SC_BEAST, s->beast));
        break;
    case SC_R_years: sc_bind(d, "v", "%d", s->years); break;
    case SC_R_young: sc_bind(d, "v", "%d", s->young); break;
    case SC_R_finder: sc_bind(d, "w", "%d", s->found); break;
    default: break;
    }
}

static void bind_work(sc_draft *d, sc_relation_id r, int id)
{
    const sc_work *k = &d->w->work[id];
    switch (r) {
    case SC_R_art: sc_bind(d, "v", "%s", arts[d->tongue][k->art]); break;
    case SC_R_creator: sc_bind(d, "w", "%s", made[k->art]); break;
    case SC_R_year: sc_bind(d, "v", "%d", k->year); break;
    case SC_R_topic: sc_bind(d, "v", "%s", WORD(d, SC_GOODS, k->about)); break;
    default: break;
    }
}

void sc_bind_value(sc_draft *d, const sc_relation *r, int id)
{
    static void (*const binders[])(sc_draft *, sc_relation_id, int) = {bind_person, bind_town, bind_species,
                                                                       bind_work};
    if (r->to != SC_ENTITIES) {
        const char *name = sc_name_of(d->w, r->to, sc_relation_target(d->w, r, id), d->tongue);
        sc_bind(d, "v", "%s", name);
    }
    binders[r->of](d, r->id, id);
}

/* ---- subjects ---- */

typedef struct stand_in {
    const char *pronoun, *own, *topic, *genitive; /* he, his; in Korean what replaces a name */
} stand_in;

static void named_subject(sc_draft *d, const char *name, bool the)
{
    if (d->tongue == SC_KO) {
        sc_bind(d, "s", "%s", name);
        sc_str t = {0};
        sc_say(d, &t, "{s}~은 ");
        d->text.oom |= t.oom;
        sc_bind(d, "T", "%s", t.p ? t.p : "");
        sc_bind(d, "G", "%s의 ", name);
        sc_str_free(&t);
        return;
    }
    sc_bind(d, "s", "%s%s", the ? "the " : "", name);
    sc_bind(d, "S", "%s%s", the ? "The " : "", name);
    sc_bind(d, "p", "%s%s's", the ? "the " : "", name);
    sc_bind(d, "P", "%s%s's", the ? "The " : "", name);
}

void sc_bind_subject(sc_draft *d, sc_entity_kind kind, int id, sc_subject_form form)
{
    static const stand_in of[] = {{"she", "her", "", "그녀의 "},
                                  {"he", "his", "", "그의 "},
                                  {"it", "its", "", "이 도시의 "},
                                  {"it", "its", "", "이 동물의 "},
                                  {"it", "its", "", "이 작품의 "}};
    const sc_world *w = d->w;
    if (form != SC_PRONOUN) {
        const char *name = kind == SC_PERSON && form == SC_SHORT ? w->person[id].given.of[d->tongue]
                                                                 : sc_name_of(w, kind, id, d->tongue);
        named_subject(d, name, kind == SC_SPECIES);
        return;
    }
    const stand_in *s = &of[kind == SC_PERSON ? !w->person[id].female : (int)kind + 1];
    char own[8], pronoun[8];
    snprintf(own, sizeof own, "%s", s->own);
    snprintf(pronoun, sizeof pronoun, "%s", s->pronoun);
    own[0] = (char)(own[0] - 32);
    pronoun[0] = (char)(pronoun[0] - 32);
    sc_bind(d, "s", "%s", s->pronoun);
    sc_bind(d, "S", "%s", pronoun);
    sc_bind(d, "p", "%s", s->own);
    sc_bind(d, "P", "%s", own);
    sc_bind(d, "T", "%s", s->topic);
    sc_bind(d, "G", "%s", s->genitive);
}

/* ---- sentences and questions ---- */

static const sc_relation relations[] = {
#define R(name, of, to, say_en, ask_en, say_ko, ask_ko, answer_en, answer_ko)                                      \
    {#name, SC_R_##name, SC_##of, SC_##to, {say_en, say_ko}, {ask_en, ask_ko}, {answer_en, answer_ko}},
#include "world/relations.def"
#undef R
};

const sc_relation *sc_relations(int *n)
{
    *n = SC_COUNT(relations);
    return relations;
}

const sc_relation *sc_relation_of(sc_relation_id id) { return &relations[id]; }

const sc_relation *sc_any_relation(sc_draft *d, sc_entity_kind of, int id)
{
    const sc_relation *r;
    do r = &relations[sc_below(d, SC_COUNT(relations))];
    while (r->of != of || (id >= 0 && !sc_relation_holds(d->w, r, id)));
    return r;
}

void sc_say_fact(sc_draft *d, sc_str *out, const sc_relation *r, int id, sc_subject_form form)
{
    sc_bind_subject(d, r->of, id, form);
    sc_bind_value(d, r, id);
    sc_say_one(d, out, r->say[d->tongue], SC_COUNT(r->say[0]));
}

void sc_say_question(sc_draft *d, sc_str *question, sc_str *answer, const sc_relation *r, int id,
                     const char *subject)
{
    if (subject)
        sc_bind(d, "s", "%s", subject);
    else
        sc_bind_subject(d, r->of, id, SC_FULL);
    sc_bind_value(d, r, id);
    sc_say_one(d, question, r->ask[d->tongue], SC_COUNT(r->ask[0]));
    sc_say(d, answer, r->answer[d->tongue]);
}
