/* SPDX-License-Identifier: Apache-2.0 */
/* The world of a seed. Relations hold by how people are numbered: four in a row are a family (mother, father, two
 * children), and two families in a row are neighbours whose members are friends one by one; so what is said of one is true
 * of the other too. Those with small numbers are drawn more often, as names are in real texts. */
#include "world/world.h"

#include <stdio.h>

#define STREAM_OF_WORLD 0x776f726c64u /* items draw from other streams */

typedef struct maker {
    sc_draft d; /* for its numbers alone */
    sc_world *w;
    sc_map seen; /* names, so that each is one person's or one town's */
} maker;

static const char *keep(maker *m, const char *text)
{
    const char *p = sc_arena_strndup(m->w->arena, text, strlen(text));
    m->d.text.oom |= !p;
    return p ? p : "";
}

static int any(maker *m, sc_word_class class)
{
    int n;
    sc_words_of(class, &n);
    return (int)sc_below(&m->d, (uint32_t)n);
}

/* Whether this name is new; it is then taken. */
static bool take(maker *m, const char *name)
{
    int64_t at, n = (int64_t)strlen(name);
    if (m->d.text.oom) return true;
    if (sc_map_get(&m->seen, name, n, &at)) return false;
    if (!sc_map_put(&m->seen, keep(m, name), n, 1)) m->d.text.oom = true;
    return true;
}

static void new_name(maker *m, int syllables, sc_name *out)
{
    char name[SC_TONGUES][SC_NAME_BYTES];
    do sc_made_name(&m->d, syllables, name);
    while (!take(m, name[SC_EN]) || !take(m, name[SC_KO]));
    *out = (sc_name){{keep(m, name[SC_EN]), keep(m, name[SC_KO])}};
}

/* ---- people ---- */

static void name_person(maker *m, sc_person *p, char family[SC_TONGUES][SC_NAME_BYTES])
{
    char given[SC_TONGUES][SC_NAME_BYTES], en[3 * SC_NAME_BYTES], ko[3 * SC_NAME_BYTES];
    int tries = 0;
    do {
        if (tries++ < 32) /* a family may have used up the list */
            sc_given_name(&m->d, p->korean, p->female, given);
        else
            sc_made_name(&m->d, 2, given);
        snprintf(en, sizeof en, "%s %s", given[SC_EN], family[SC_EN]);
        if (p->korean)
            snprintf(ko, sizeof ko, "%s%s", family[SC_KO], given[SC_KO]);
        else
            snprintf(ko, sizeof ko, "%s %s", given[SC_KO], family[SC_KO]);
    } while (!take(m, en) || !take(m, ko));
    p->given = (sc_name){{keep(m, given[SC_EN]), keep(m, given[SC_KO])}};
    p->full = (sc_name){{keep(m, en), keep(m, ko)}};
}

static void give_tastes(maker *m, sc_person *p)
{
    sc_draft *d = &m->d;
    p->trait = any(m, SC_TRAIT);
    p->colour = any(m, SC_COLOUR);
    p->dish = any(m, SC_DISH);
    p->hobby = any(m, SC_HOBBY);
    p->thing = any(m, SC_THING);
    p->thing_colour = any(m, SC_COLOUR);
    p->pet = sc_chance(d, 4) ? -1 : any(m, SC_PET);
    sc_pet_name(d, &p->pet_name);
    p->height = (p->female ? 150 : 160) + (int)sc_below(d, 30);
    p->birthplace = sc_chance(d, 3) ? p->home : (int)sc_below(d, SC_TOWNS_N);
}

static void make_family(maker *m, int first, int home)
{
    sc_draft *d = &m->d;
    bool korean = sc_chance(d, 2);
    char family[SC_TONGUES][SC_NAME_BYTES], mothers[SC_TONGUES][SC_NAME_BYTES];
    sc_family_name(d, korean, family);
    sc_family_name(d, korean, mothers);
    int mother_born = 1950 + (int)sc_below(d, 34);
    for (int k = 0; k < SC_FAMILY; k++) {
        sc_person *p = &m->w->person[first + k];
        p->korean = korean;
        p->female = k == 0 || (k > 1 && sc_chance(d, 2));
        p->home = home;
        p->born = k == 0   ? mother_born
                  : k == 1 ? mother_born - 5 + (int)sc_below(d, 9)
                           : mother_born + 22 + 6 * (k - 2) + (int)sc_below(d, 6);
        p->job = SC_WORLD_YEAR - p->born < 20 ? -1 : any(m, SC_JOB);
        p->workplace = any(m, SC_PLACE);
        name_person(m, p, k == 0 && korean ? mothers : family); /* Korean women keep their own */
        give_tastes(m, p);
        if (k > 1 && p->height > 150 && SC_WORLD_YEAR - p->born < 14) p->height -= 30;
    }
}

static void make_people(maker *m)
{
    int pair = 2 * SC_FAMILY;
    for (int i = 0; i < SC_PEOPLE_N; i += SC_FAMILY) {
        int n = i / pair;
        int home = n < SC_TOWNS_N  ? n /* so that nobody's town is empty */
                   : i % pair == 0 ? (int)sc_below(&m->d, SC_TOWNS_N)
                                   : m->w->person[i - 1].home;
        make_family(m, i, home);
    }
}

/* ---- towns, species, works ---- */

static void make_towns(maker *m)
{
    sc_draft *d = &m->d;
    for (int i = 0; i < SC_TOWNS_N; i++) {
        sc_town *t = &m->w->town[i];
        new_name(m, 2 + (int)sc_below(d, 2), &t->name);
        new_name(m, 2, &t->river);
        t->land = any(m, SC_LAND);
        t->side = (int)sc_below(d, SC_SIDES_N);
        t->founded = 900 + (int)sc_below(d, 1000);
        t->inhabitants = (int)(2 + sc_below(d, 98)) * (sc_chance(d, 3) ? 10000 : 1000);
        t->goods = any(m, SC_GOODS);
        t->landmark = any(m, SC_LANDMARK);
        t->landmark_of = any(m, SC_MATERIAL);
        t->festival = any(m, SC_GOODS);
        t->season = any(m, SC_SEASON);
        t->distance = i % 2 ? m->w->town[i - 1].distance : 3 + (int)sc_below(d, 90);
        t->mayor = i * 2 * SC_FAMILY + (int)sc_below(d, 2);
    }
}

static void make_species(maker *m)
{
    sc_draft *d = &m->d;
    for (int i = 0; i < SC_SPECIES_N; i++) {
        sc_species *s = &m->w->species[i];
        sc_name made;
        char en[3 * SC_NAME_BYTES], ko[3 * SC_NAME_BYTES];
        int n;
        s->beast = any(m, SC_BEAST);
        const sc_word *beast = sc_words_of(SC_BEAST, &n) + s->beast;
        new_name(m, 2, &made);
        snprintf(en, sizeof en, "%s %s", made.of[SC_EN], beast->name[SC_EN]);
        snprintf(ko, sizeof ko, "%s%s%s", made.of[SC_KO], strlen(beast->name[SC_KO]) > 3 ? " " : "",
                 beast->name[SC_KO]);
        s->name = (sc_name){{keep(m, en), keep(m, ko)}};
        s->colour = any(m, SC_COLOUR);
        s->diet = any(m, SC_DIET);
        s->land = any(m, SC_LAND);
        s->nocturnal = sc_chance(d, 2);
        s->length = 3 + (int)sc_below(d, 95);
        s->years = 2 + (int)sc_below(d, 38);
        s->young = 2 + (int)sc_below(d, 8);
        s->town = (int)sc_below(d, SC_TOWNS_N);
        s->finder = (int)sc_below(d, SC_PEOPLE_N / SC_FAMILY) * SC_FAMILY + (int)sc_below(d, 2);
        s->found = m->w->person[s->finder].born + 22 + (int)sc_below(d, 18);
    }
}

static void make_works(maker *m)
{
    sc_draft *d = &m->d;
    for (int i = 0; i < SC_WORKS_N; i++) {
        sc_work *k = &m->w->work[i];
        char en[3 * SC_NAME_BYTES], ko[3 * SC_NAME_BYTES];
        do {
            const sc_word *look = sc_any_word(d, sc_chance(d, 2) ? SC_COLOUR : SC_LOOK),
                          *thing = sc_any_word(d, SC_THING);
            snprintf(en, sizeof en, "The %s %s", look->name[SC_EN], thing->name[SC_EN]);
            for (char *c = en; *c; c++)
                if (c > en && c[-1] == ' ' && *c >= 'a' && *c <= 'z') *c = (char)(*c - 32);
            snprintf(ko, sizeof ko, "《%s %s》", look->name[SC_KO], thing->name[SC_KO]);
        } while (!take(m, en) || !take(m, ko));
        k->name = (sc_name){{keep(m, en), keep(m, ko)}};
        k->art = (int)sc_below(d, SC_ARTS_N);
        k->maker = (int)sc_below(d, SC_PEOPLE_N / SC_FAMILY) * SC_FAMILY + (int)sc_below(d, 2);
        k->year = m->w->person[k->maker].born + 20 + (int)sc_below(d, 20);
        k->town = (int)sc_below(d, SC_TOWNS_N);
        k->about = any(m, SC_GOODS);
    }
}

/* ---- the whole ---- */

/* Cumulative weights 1 / (rank + 20), in integers. */
static void fill_ranks(uint32_t *sum, int n)
{
    uint32_t at = 0;
    for (int i = 0; i < n; i++) sum[i] = at += (1u << 24) / (uint32_t)(i + 20);
}

int sc_any_of(sc_draft *d, sc_entity_kind kind)
{
    static const int count[] = {SC_PEOPLE_N, SC_TOWNS_N, SC_SPECIES_N, SC_WORKS_N};
    const uint32_t *sum = d->w->rank;
    uint32_t at = sc_below(d, sum[count[kind] - 1]);
    int lo = 0, hi = count[kind] - 1;
    while (lo < hi) {
        int mid = (lo + hi) / 2;
        if (sum[mid] > at)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

sc_status sc_world_new(sc_world **out, uint64_t seed)
{
    sc_world *w = sc_calloc(1, sizeof *w);
    maker m = {.w = w, .d = {.w = w, .rng = sc_rng_make(seed, STREAM_OF_WORLD)}};
    if (w) w->arena = sc_arena_new();
    if (!w || !w->arena) {
        sc_world_end(w);
        return sc_nomem();
    }
    fill_ranks(w->rank, SC_PEOPLE_N);
    make_towns(&m);
    make_people(&m);
    make_species(&m);
    make_works(&m);
    sc_map_free(&m.seen);
    if (m.d.text.oom) {
        sc_world_end(w);
        return sc_nomem();
    }
    *out = w;
    return SC_OK;
}

void sc_world_end(sc_world *w)
{
    if (!w) return;
    sc_arena_free(w->arena);
    sc_free(w);
}

void sc_puzzle_word(sc_draft *d, char *out, int64_t size)
{
    static const sc_word_class classes[] = {SC_THING, SC_FOOD,  SC_PET,   SC_PLACE,
                                            SC_JOB,   SC_HOBBY, SC_GOODS, SC_BEAST};
    const char *word;
    switch (sc_below(d, 3)) {
    case 0: word = d->w->town[sc_any_of(d, SC_TOWN)].name.of[d->tongue]; break;
    case 1: word = d->w->person[sc_any_of(d, SC_PERSON)].given.of[d->tongue]; break;
    default: word = sc_any_word(d, classes[sc_below(d, SC_COUNT(classes))])->name[d->tongue];
    }
    snprintf(out, (size_t)size, "%s", word);
}
