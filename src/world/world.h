/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the made world: how a generator is written.
 *
 * A generator is a file NAME.c with `const sc_generator sc_world_NAME` and the row X(NAME) in kinds.def. It writes one item
 * into a draft: with sc_say from templates, whose words come from slots that were bound before. Only integers decide what is
 * drawn, so that items are the same bits on every machine. Nothing here fails but for memory and for templates that name
 * a slot which nobody bound; both are remembered in the draft. */
#ifndef SC_WORLD_INTERNAL_H
#define SC_WORLD_INTERNAL_H

#include "base/base.h"
#include "socle/world.h"

typedef enum sc_tongue { SC_EN, SC_KO, SC_TONGUES } sc_tongue;
typedef enum sc_split { SC_TRAIN, SC_EVAL, SC_ALL } sc_split;

/* ---- text in templates (say.c) ---- */

enum { SC_SLOTS = 64, SC_SLOT_BYTES = 400, SC_SLOT_NAME = 12 };

typedef struct sc_slot {
    char name[SC_SLOT_NAME], text[SC_SLOT_BYTES];
} sc_slot;

typedef struct sc_draft {
    const struct sc_world *w;
    sc_rng rng;
    sc_tongue tongue;
    sc_split split;
    int64_t shots, index; /* the item's number */
    uint64_t seed;
    bool one_tongue; /* one language was asked for */
    /* what a generator fills */
    const char *kind, *language; /* set before; a generator may set others */
    sc_str text, prompt, answer;
    sc_str key;   /* "": the text is its own key */
    json_t *more; /* further fields of the JSON form */
    int difficulty;
    /* slots of the templates */
    sc_slot slot[SC_SLOTS];
    int slots;
    const char *fault; /* a template that could not be said */
} sc_draft;

/* Numbers drawn. below: [0, n), n >= 1; between: [lo, hi]; chance: once in n. */
uint32_t sc_below(sc_draft *d, uint32_t n);
int64_t sc_between(sc_draft *d, int64_t lo, int64_t hi);
bool sc_chance(sc_draft *d, uint32_t n);

/* Gives slot `name` a text, until the next bind of that name or sc_unbind. Longer texts are cut. */
void sc_bind(sc_draft *d, const char *name, const char *fmt, ...) SC_PRINTF(3, 4);
void sc_unbind(sc_draft *d);                                   /* all slots */
const char *sc_slot_text(const sc_draft *d, const char *name); /* NULL: not bound */

/* Appends a template to `out`:
 *   {name}        the slot's text                     {a name} {A name}   the same behind "a " or "an "
 *   [x|y|z]       one of these, drawn; may be nested  ^                   the next letter becomes a capital
 *   ~은           a Korean particle, in the form that goes with what stands before it: ~은 ~이 ~을 ~과 ~으로 ~이다 … */
void sc_say(sc_draft *d, sc_str *out, const char *text);
/* One of n templates, drawn. NULL entries at the end do not count. */
void sc_say_one(sc_draft *d, sc_str *out, const char *const *texts, int n);

/* "a" or "an" before this English word or number. */
const char *sc_article(const char *word);
/* What the last sound of p[0..n) is: 0 a vowel, 1 ㄹ, 2 another consonant. Digits as Korean reads the number they end. */
int sc_final_sound(const char *p, int64_t n);

/* ---- words (lexicon.def) ---- */

typedef enum sc_word_class {
    SC_THING,
    SC_FOOD,
    SC_DISH,
    SC_PET,
    SC_PLACE,
    SC_JOB,
    SC_HOBBY,
    SC_GOODS,
    SC_MATERIAL,
    SC_LAND,
    SC_DIET,
    SC_BEAST,
    SC_LANDMARK,
    SC_SEASON,
    SC_COLOUR,
    SC_LOOK,
    SC_TRAIT,
    SC_FEELING
} sc_word_class;
typedef struct sc_word {
    sc_word_class class;
    const char *name[SC_TONGUES]; /* adjectives in Korean: as they stand before a noun */
    const char *many;             /* English plural, "": not counted */
    const char *korean;           /* nouns: the counter (개, 마리, …); adjectives: at the end of a sentence */
} sc_word;
const sc_word *sc_words_of(sc_word_class class, int *n);
const sc_word *sc_any_word(sc_draft *d, sc_word_class class);

/* ---- generators ---- */

typedef struct sc_generator {
    sc_world_kind about; /* of a task make fills prompt, answer, key and difficulty; the text follows from them */
    uint32_t share;      /* in the mixture `corpus`, of the sum of all shares; 0: not in it */
    void (*make)(sc_draft *d);
} sc_generator;

#define X(name) extern const sc_generator sc_world_##name;
#include "world/kinds.def"
#undef X

const sc_generator *sc_generator_named(const char *name); /* NULL: there is none */

/* Which split a key is of: SC_TRAIN or SC_EVAL, the same for all seeds. */
sc_split sc_split_of(const char *key, int64_t n);
/* A further field of the item's JSON form; takes value. */
void sc_add_field(sc_draft *d, const char *name, json_t *value);
/* Makes an item of g in d: with a task, behind as many solved ones as d->shots says. */
void sc_make_item(sc_draft *d, const sc_generator *g);
/* Draws a task of this generator whose key is of `split` into the prompt, answer, key and difficulty of d. */
void sc_draw_task(sc_draft *d, const sc_generator *g, sc_split split);
/* A question and its answer as they stand in documents: "Question: …\nAnswer:" and " …". */
void sc_ask(sc_draft *d, const char *question, const char *answer);

/* a sign b = result; the key is the same for a + b and b + a */
typedef struct sc_sum {
    int64_t a, b, result;
    char sign; /* + - * */
} sc_sum;
void sc_calculate(sc_draft *d, char sign, int max_digits, sc_sum *out); /* sets the key and the difficulty */
void sc_draw_sum(sc_draft *d, char sign, int max_digits, sc_sum *out);  /* one of the split that d is of; no key */
void sc_sum_key(sc_draft *d, const sc_sum *s);
int64_t sc_number_of_digits(sc_draft *d, int digits);

/* ---- the world (world.c, names.c) ---- */

enum {
    SC_FAMILY = 4, /* mother, father, two children */
    SC_PEOPLE_N = 3200,
    SC_TOWNS_N = 240,
    SC_SPECIES_N = 240,
    SC_WORKS_N = 480,
    SC_SIDES_N = 8, /* north, north-east, … */
    SC_ARTS_N = 5,  /* novel, song, painting, film, play */
    SC_WORLD_YEAR = 2025,
    SC_NAME_BYTES = 64
};

typedef struct sc_name {
    const char *of[SC_TONGUES];
} sc_name;

/* Small numbers point into the word class of that name, -1: none; home, mayor, … at towns and people. */
typedef struct sc_person {
    sc_name given, full, pet_name;
    bool female, korean;
    int born, home, birthplace, job, workplace, trait, colour, dish, hobby, thing, thing_colour, pet, height;
} sc_person;
typedef struct sc_town {
    sc_name name, river;
    int land, side, founded, inhabitants, goods, landmark, landmark_of, festival, season, distance, mayor;
} sc_town;
typedef struct sc_species {
    sc_name name;
    int beast, colour, diet, land, length, years, young, town, finder, found;
    bool nocturnal;
} sc_species;
typedef struct sc_work {
    sc_name name;
    int art, maker, year, town, about;
} sc_work;

typedef struct sc_world {
    sc_arena *arena; /* names */
    sc_person person[SC_PEOPLE_N];
    sc_town town[SC_TOWNS_N];
    sc_species species[SC_SPECIES_N];
    sc_work work[SC_WORKS_N];
    uint32_t rank[SC_PEOPLE_N]; /* sums of the weights by which the first of anything are drawn more often */
} sc_world;

/* People by their numbers. */
static inline int sc_mother(int person) { return person - person % SC_FAMILY; }
static inline int sc_father(int person) { return sc_mother(person) + 1; }
static inline int sc_friend(int person) { return person ^ SC_FAMILY; }
static inline bool sc_is_child(int person) { return person % SC_FAMILY > 1; }
static inline int sc_sibling(int person) { return person ^ 1; } /* of a child */
static inline int sc_spouse(int person) { return person ^ 1; }  /* of a parent */
static inline int sc_neighbour(int town) { return town ^ 1; }

typedef enum sc_entity_kind { SC_PERSON, SC_TOWN, SC_SPECIES, SC_WORK, SC_ENTITIES } sc_entity_kind;
/* One of them, the first ones more often. */
int sc_any_of(sc_draft *d, sc_entity_kind kind);

void sc_family_name(sc_draft *d, bool is_korean, char out[SC_TONGUES][SC_NAME_BYTES]);
void sc_given_name(sc_draft *d, bool is_korean, bool female, char out[SC_TONGUES][SC_NAME_BYTES]);
void sc_pet_name(sc_draft *d, sc_name *out);
void sc_made_name(sc_draft *d, int syllables, char out[SC_TONGUES][SC_NAME_BYTES]);
/* A word or a name whose letters can be asked for. */
void sc_puzzle_word(sc_draft *d, char *out, int64_t size);
sc_status sc_world_new(sc_world **out, uint64_t seed);
void sc_world_end(sc_world *w);

/* ---- facts (facts.c, relations.def) ---- */

typedef enum sc_relation_id {
#define R(name, ...) SC_R_##name,
#include "world/relations.def"
#undef R
    SC_RELATIONS_N
} sc_relation_id;
enum { SC_SAYINGS = 4, SC_ASKINGS = 2 };
typedef struct sc_relation {
    const char *name;
    sc_relation_id id;
    sc_entity_kind of, to; /* SC_ENTITIES: its values are words or numbers */
    const char *say[SC_TONGUES][SC_SAYINGS], *ask[SC_TONGUES][SC_ASKINGS], *answer[SC_TONGUES];
} sc_relation;
typedef enum sc_subject_form { SC_FULL, SC_SHORT, SC_PRONOUN } sc_subject_form;

const sc_relation *sc_relations(int *n);
const sc_relation *sc_relation_of(sc_relation_id id);
/* One that holds for this person, town, …; id -1: for anything of its kind. */
const sc_relation *sc_any_relation(sc_draft *d, sc_entity_kind of, int id);
bool sc_relation_holds(const sc_world *w, const sc_relation *r, int id);
int sc_relation_target(const sc_world *w, const sc_relation *r, int id); /* -1: it leads to words */
const char *sc_name_of(const sc_world *w, sc_entity_kind kind, int id, sc_tongue t);
/* Binds the subject's slots (S s P p T G) and those of a value (v w u). */
void sc_bind_subject(sc_draft *d, sc_entity_kind kind, int id, sc_subject_form form);
void sc_bind_value(sc_draft *d, const sc_relation *r, int id);
/* Appends a sentence. */
void sc_say_fact(sc_draft *d, sc_str *out, const sc_relation *r, int id, sc_subject_form form);
/* Appends a question, about `subject` in place of a name where it is not NULL, and its short answer. */
void sc_say_question(sc_draft *d, sc_str *question, sc_str *answer, const sc_relation *r, int id,
                     const char *subject);

/* ---- what instructions are made of, too ---- */
void sc_write_review(sc_draft *d, sc_str *out, bool good); /* reviews.c */
void sc_tell_story(sc_draft *d, sc_str *out, int hero);    /* stories.c; of one that sc_any_hero gave */
int sc_any_hero(sc_draft *d);
typedef struct sc_pair {
    sc_str of[SC_TONGUES];
    int difficulty;
} sc_pair;
void sc_make_pair(sc_draft *d, sc_pair *p); /* translation.c; the same in both languages; p is zeros before */
void sc_pair_end(sc_pair *p);

/* ---- crawls (warc.c) ---- */
sc_status sc_warc_begin(sc_writer *w, bool gz);
sc_status sc_warc_put(sc_writer *w, bool gz, int64_t number, const char *url, const char *html);

/* ---- pages (pages.c) ---- */

enum { SC_SECTIONS = 4 };
typedef struct sc_entry {
    sc_entity_kind of;
    int id;
    const char *title;
    const char *heading[SC_SECTIONS]; /* "": none */
    sc_str text[SC_SECTIONS];         /* a paragraph each */
    int sections;
} sc_entry;
void sc_entry_write(sc_draft *d, sc_entry *p, sc_entity_kind of, int id); /* p is zeros before */
void sc_entry_end(sc_entry *p);

#endif
