/* SPDX-License-Identifier: Apache-2.0 */
/* The table of the quality rules, their usual thresholds in each language, and files that change them. */
#include "data/filters.h"

#include <math.h>

enum { MAX_FILE = 1 << 20 };

static const sc_rule_info rules[] = {
#define R(name, kind, usual, source, what) {#name, source, what, SC_RULE_##kind, usual},
#include "data/rules.def"
#undef R
};

/* What is usual where a language is not like English. Scripts without spaces: how many characters make a word, and that a line
 * of so many characters says more. Thai and Lao end no sentence with a mark. Words of Finnish, Hungarian … are longer; the
 * particles of Korean stand at its words, so those are shorter and fewer. */
static const struct {
    const char *language;
    sc_rule rule;
    double value;
} usual[] = {
    {"zh", SC_RULE_units_per_word, 1.5},
    {"zh", SC_RULE_gopher_mean_word_least, 1},
    {"zh", SC_RULE_gopher_mean_word_most, 5},
    {"zh", SC_RULE_fineweb_short_line_chars, 12},
    {"zh", SC_RULE_mc4_long_line_chars, 80},
    {"ja", SC_RULE_units_per_word, 2},
    {"ja", SC_RULE_gopher_mean_word_least, 1},
    {"ja", SC_RULE_gopher_mean_word_most, 5},
    {"ja", SC_RULE_fineweb_short_line_chars, 14},
    {"ja", SC_RULE_mc4_long_line_chars, 100},
    {"th", SC_RULE_units_per_word, 4},
    {"th", SC_RULE_gopher_mean_word_least, 2},
    {"th", SC_RULE_c4_line_end, NAN},
    {"th", SC_RULE_c4_sentences, NAN},
    {"th", SC_RULE_fineweb_line_end, NAN},
    {"lo", SC_RULE_units_per_word, 4},
    {"lo", SC_RULE_gopher_mean_word_least, 2},
    {"lo", SC_RULE_c4_line_end, NAN},
    {"lo", SC_RULE_c4_sentences, NAN},
    {"lo", SC_RULE_fineweb_line_end, NAN},
    {"km", SC_RULE_units_per_word, 4},
    {"km", SC_RULE_gopher_mean_word_least, 2},
    {"my", SC_RULE_units_per_word, 4},
    {"my", SC_RULE_gopher_mean_word_least, 2},
    {"bo", SC_RULE_units_per_word, 3},
    {"bo", SC_RULE_gopher_mean_word_least, 2},
    {"bo", SC_RULE_c4_line_end, NAN},
    {"bo", SC_RULE_fineweb_line_end, NAN},
    {"ko", SC_RULE_gopher_words_least, 35},
    {"ko", SC_RULE_gopher_mean_word_least, 2},
    {"ko", SC_RULE_gopher_mean_word_most, 8},
    {"ko", SC_RULE_c4_line_words, 4},
    {"ko", SC_RULE_fineweb_short_line_chars, 15},
    {"ko", SC_RULE_mc4_long_line_chars, 100},
    {"fi", SC_RULE_gopher_mean_word_most, 14},
    {"hu", SC_RULE_gopher_mean_word_most, 12},
    {"et", SC_RULE_gopher_mean_word_most, 12},
    {"de", SC_RULE_gopher_mean_word_most, 12},
    {"ta", SC_RULE_gopher_mean_word_most, 14},
    {"te", SC_RULE_gopher_mean_word_most, 13},
    {"kn", SC_RULE_gopher_mean_word_most, 14},
    {"ml", SC_RULE_gopher_mean_word_most, 16},
    {"my", SC_RULE_gopher_mean_word_most, 14},
};

const sc_rule_info *sc_rule_at(int i) { return i >= 0 && i < SC_RULES ? &rules[i] : NULL; }

/* Another set that begins as the first one does; NULL: there are too many. */
static sc_thresholds *another(sc_rules *r, const char *language)
{
    if (r->n == SC_RULE_LANGUAGES) return NULL;
    sc_thresholds *t = &r->set[r->n++];
    if (t != r->set) *t = r->set[0];
    snprintf(t->language, sizeof t->language, "%s", language);
    t->stop = sc_stop_words(language);
    return t;
}

static sc_thresholds *of_language(sc_rules *r, const char *language)
{
    for (int i = 0; i < r->n; i++)
        if (!strcmp(r->set[i].language, language)) return &r->set[i];
    return another(r, language);
}

static bool begin(sc_rules *r)
{
    *r = (sc_rules){.set = sc_calloc(SC_RULE_LANGUAGES, sizeof *r->set)};
    if (!r->set) return false;
    sc_thresholds *t = another(r, "");
    for (int i = 0; i < SC_RULES; i++) t->of[i] = rules[i].usual;
    const sc_stop_list *list;
    for (int i = 0; (list = sc_stop_words_at(i)); i++) another(r, list->language);
    for (int i = 0; i < SC_COUNT(usual); i++) of_language(r, usual[i].language)->of[usual[i].rule] = usual[i].value;
    return true;
}

static sc_status unknown_rule(const char *path, const char *key)
{
    const char *names[SC_RULES], *near;
    for (int i = 0; i < SC_RULES; i++) names[i] = rules[i].name;
    if (sc_nearest_words(key, names, SC_RULES, &near, 1))
        return sc_fail(SC_EFORMAT, "%s: no rule %s; there is %s", path, key, near);
    return sc_fail(SC_EFORMAT, "%s: no rule %s", path, key);
}

/* One object of the file into the sets [from, to). */
static sc_status change(sc_rules *r, int from, int to, const json_t *o, const char *path)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        int i = 0;
        while (i < SC_RULES && strcmp(rules[i].name, key)) i++;
        if (i == SC_RULES) return unknown_rule(path, key);
        double x = json_is_number(v) ? json_number_value(v) : NAN;
        if (!json_is_null(v) && !(x >= 0 && x <= 1e15))
            return sc_fail(SC_EFORMAT, "%s: %s is no number from 0 to 1e15, nor null", path, key);
        if (rules[i].kind == SC_RULE_SETTING && !(x > 0))
            return sc_fail(SC_EFORMAT, "%s: %s must be a number above 0", path, key);
        if (i == SC_RULE_units_per_word && !(x >= 1 && x <= 100))
            return sc_fail(SC_EFORMAT, "%s: %s must be from 1 to 100", path, key);
        for (int k = from; k < to; k++) r->set[k].of[i] = x;
    }
    return SC_OK;
}

static sc_status read_sets(sc_rules *r, const json_t *o, const char *path)
{
    const char *language;
    json_t *set;
    const json_t *all = json_object_get(o, "default");
    if (!json_is_object(o)) return sc_fail(SC_EFORMAT, "%s: not an object of languages", path);
    if (all && !json_is_object(all)) return sc_fail(SC_EFORMAT, "%s: default is not an object of rules", path);
    sc_status s = change(r, 0, r->n, all, path);
    if (s) return s;
    json_object_foreach((json_t *)(uintptr_t)o, language, set)
    {
        if (!strcmp(language, "default")) continue;
        if (!json_is_object(set)) return sc_fail(SC_EFORMAT, "%s: %s is not an object of rules", path, language);
        if (!*language || strlen(language) >= SC_LANGUAGE_NAME)
            return sc_fail(SC_EFORMAT, "%s: \"%s\" is no language", path, language);
        sc_thresholds *t = of_language(r, language);
        if (!t) return sc_fail(SC_ELIMIT, "%s: more than %d languages", path, SC_RULE_LANGUAGES - 1);
        s = change(r, (int)(t - r->set), (int)(t - r->set) + 1, set, path);
        if (s) return s;
    }
    return SC_OK;
}

sc_status sc_rules_open(sc_rules *out, const char *path)
{
    sc_rules r;
    json_t *o = NULL;
    if (!begin(&r)) return sc_nomem();
    sc_status s = path ? sc_json_read(&o, path, MAX_FILE) : SC_OK;
    if (!s && o) s = read_sets(&r, o, path);
    json_decref(o);
    if (s)
        sc_rules_free(&r);
    else
        *out = r;
    return s;
}

void sc_rules_free(sc_rules *r)
{
    sc_free(r->set);
    *r = (sc_rules){0};
}

const sc_thresholds *sc_rules_for(const sc_rules *r, const char *language)
{
    size_t n = strcspn(language, "-_");
    const sc_thresholds *found = r->set;
    for (int i = 1; i < r->n; i++) {
        const char *name = r->set[i].language;
        if (!strcmp(name, language)) return &r->set[i];
        if (strlen(name) == n && !memcmp(name, language, n)) found = &r->set[i];
    }
    return found;
}

static json_t *number(double x)
{
    return isnan(x) ? json_null() : x == floor(x) ? json_integer((json_int_t)x) : json_real(x);
}

json_t *sc_rules_json(const sc_rules *r)
{
    json_t *all = json_object();
    bool ok = all != NULL;
    for (int i = 0; ok && i < r->n; i++) {
        const sc_thresholds *t = &r->set[i];
        json_t *o = json_object();
        for (int k = 0; ok && k < SC_RULES; k++) {
            double x = t->of[k], first = r->set[0].of[k];
            if (i && (x == first || (isnan(x) && isnan(first)))) continue;
            ok = json_object_set_new(o, rules[k].name, number(x)) == 0;
        }
        if (!ok || (i && json_object_size(o) == 0))
            json_decref(o);
        else
            ok = json_object_set_new(all, i ? t->language : "default", o) == 0;
    }
    if (ok) return all;
    json_decref(all);
    return NULL;
}
