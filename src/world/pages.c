/* SPDX-License-Identifier: Apache-2.0 */
/* Pages as of an encyclopaedia: facts of one person, town, species or work, in sentences whose order and words are others
 * each time while what they say is not. */
#include "world/world.h"

typedef struct part {
    const char *heading[SC_TONGUES];
    sc_relation_id relation[10];
    int n;
} part;

#define PART(en, ko, ...)                                                                                          \
    {                                                                                                              \
        {en, ko}, {__VA_ARGS__}, sizeof((sc_relation_id[]){__VA_ARGS__}) / sizeof(sc_relation_id)                  \
    }
static const part parts[SC_ENTITIES][SC_SECTIONS - 1] = {
    {PART("Life", "생애", SC_R_born, SC_R_birthplace, SC_R_home, SC_R_job, SC_R_workplace),
     PART("Family and friends", "가족과 친구", SC_R_mother, SC_R_father, SC_R_sibling, SC_R_spouse, SC_R_friend,
          SC_R_pet),
     PART("Character", "성격과 취향", SC_R_trait, SC_R_colour, SC_R_dish, SC_R_hobby, SC_R_thing, SC_R_height)},
    {PART("Position", "위치", SC_R_land, SC_R_side, SC_R_river, SC_R_neighbour),
     PART("History and people", "역사와 주민", SC_R_founded, SC_R_inhabitants, SC_R_mayor, SC_R_goods),
     PART("Sights", "볼거리", SC_R_landmark, SC_R_festival)},
    {PART("Appearance", "생김새", SC_R_beast, SC_R_species_colour, SC_R_length),
     PART("Way of life", "생태", SC_R_diet, SC_R_habitat, SC_R_nocturnal, SC_R_years, SC_R_young),
     PART("Discovery", "발견", SC_R_finder, SC_R_near)},
    {PART("Origin", "유래", SC_R_art, SC_R_creator, SC_R_year),
     PART("Content", "내용", SC_R_setting, SC_R_topic),
     {{0}}},
};

static void shuffle(sc_draft *d, sc_relation_id *r, int n)
{
    for (int i = n - 1; i > 0; i--) {
        int j = (int)sc_below(d, (uint32_t)i + 1);
        sc_relation_id t = r[i];
        r[i] = r[j];
        r[j] = t;
    }
}

static sc_subject_form form_of(sc_draft *d, int sentence)
{
    if (sentence == 0) return sc_chance(d, 3) ? SC_SHORT : SC_FULL;
    return sc_chance(d, 5) ? SC_SHORT : SC_PRONOUN;
}

/* Most of a part's facts, one sentence each. */
static void say_part(sc_draft *d, sc_str *out, const part *p, int id)
{
    sc_relation_id order[10];
    int said = 0;
    memcpy(order, p->relation, sizeof order);
    shuffle(d, order, p->n);
    for (int i = 0; i < p->n; i++) {
        const sc_relation *r = sc_relation_of(order[i]);
        if (!sc_relation_holds(d->w, r, id) || (said > 0 && sc_chance(d, 6))) continue;
        if (said > 0) sc_str_putc(out, ' ');
        sc_say_fact(d, out, r, id, form_of(d, said++));
    }
}

/* What else there is to tell: of a town its people, of a species another one, of the rest whom they have to do with. */
static void say_around(sc_draft *d, sc_entry *p)
{
    static const char *const headings[SC_TONGUES][SC_ENTITIES] = {
        {"See also", "Known people", "Compared with others", "The maker"},
        {"관련 인물", "알려진 사람들", "다른 동물과의 비교", "작가"}};
    sc_str *out = &p->text[p->sections];
    sc_entity_kind kind = SC_PERSON;
    int n = 1, id;
    p->heading[p->sections++] = headings[d->tongue][p->of];
    for (int i = 0; i < n; i++) {
        if (p->of == SC_PERSON) {
            id = sc_friend(p->id);
        } else if (p->of == SC_TOWN) {
            n = 3;
            id = p->id * 2 * SC_FAMILY + (int)sc_below(d, 2 * SC_FAMILY);
        } else if (p->of == SC_SPECIES) {
            kind = SC_SPECIES;
            id = sc_any_of(d, SC_SPECIES);
        } else {
            id = d->w->work[p->id].maker;
        }
        for (int k = 0; k < 2; k++) {
            if (out->len) sc_str_putc(out, ' ');
            sc_say_fact(d, out, sc_any_relation(d, kind, id), id, k ? SC_PRONOUN : SC_FULL);
        }
    }
}

void sc_entry_write(sc_draft *d, sc_entry *p, sc_entity_kind of, int id)
{
    p->of = of;
    p->id = id;
    p->title = sc_name_of(d->w, of, id, d->tongue);
    for (int i = 0; i < SC_SECTIONS - 1; i++) {
        const part *q = &parts[of][i];
        if (!q->n) continue;
        say_part(d, &p->text[p->sections], q, id);
        p->heading[p->sections++] = i ? q->heading[d->tongue] : "";
    }
    if (sc_chance(d, 2)) say_around(d, p);
}

void sc_entry_end(sc_entry *p)
{
    for (int i = 0; i < SC_SECTIONS; i++) sc_str_free(&p->text[i]);
}

static void page(sc_draft *d)
{
    static const sc_entity_kind of[] = {SC_PERSON, SC_PERSON, SC_TOWN, SC_TOWN, SC_SPECIES, SC_WORK};
    sc_entry p = {0};
    sc_entity_kind kind = of[sc_below(d, SC_COUNT(of))];
    sc_entry_write(d, &p, kind, sc_any_of(d, kind));
    sc_str_printf(&d->text, "%s\n", p.title);
    for (int i = 0; i < p.sections; i++) {
        if (p.heading[i][0]) sc_str_printf(&d->text, "%s\n", p.heading[i]);
        sc_str_append(&d->text, p.text[i].p, p.text[i].len);
        sc_str_putc(&d->text, '\n');
        d->text.oom |= p.text[i].oom;
    }
    sc_add_field(d, "title", json_string(p.title));
    sc_entry_end(&p);
}

const sc_generator sc_world_pages = {{"pages", "an encyclopaedia of the world", false}, 20, page};
