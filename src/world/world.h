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

enum { SC_SLOTS = 40, SC_SLOT_BYTES = 400, SC_SLOT_NAME = 12 };

typedef struct sc_slot {
    char name[SC_SLOT_NAME], text[SC_SLOT_BYTES];
} sc_slot;

typedef struct sc_draft {
    const struct sc_world *w;
    sc_rng rng;
    sc_tongue tongue;
    sc_split split;
    int64_t shots;
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
void sc_sum_key(sc_draft *d, const sc_sum *s);
int64_t sc_number_of_digits(sc_draft *d, int digits);

/* ---- the world (world.c) ---- */
typedef struct sc_world sc_world;
/* A word or a name whose letters can be asked for. */
void sc_puzzle_word(sc_draft *d, char *out, int64_t size);
sc_status sc_world_new(sc_world **out, uint64_t seed);
void sc_world_end(sc_world *w);

#endif
