/* SPDX-License-Identifier: Apache-2.0 */
/* The filters on single texts, for the command and for programs. */
#include "socle/filter.h"
#include "data/filters.h"

#include <math.h>
#include <stdlib.h>

struct sc_filter {
    sc_rules rules;
    sc_harmful harmful;
    uint8_t *classes;
    sc_rule_work work;
    sc_str text;
};

sc_status sc_filter_new(sc_filter **out, const char *rules)
{
    sc_filter *f = sc_calloc(1, sizeof *f);
    if (!f) return sc_nomem();
    sc_status s = sc_rules_open(&f->rules, rules);
    if (!s) s = sc_harmful_open(&f->harmful, NULL);
    if (!s && !(f->classes = sc_char_classes())) s = sc_nomem();
    f->work = sc_rule_work_begin(f->classes);
    if (s)
        sc_filter_free(f);
    else
        *out = f;
    return s;
}

void sc_filter_free(sc_filter *f)
{
    if (!f) return;
    sc_rules_free(&f->rules);
    sc_harmful_free(&f->harmful);
    sc_rule_work_free(&f->work);
    sc_str_free(&f->text);
    sc_free(f->classes);
    sc_free(f);
}

/* Takes o. */
static sc_status dump(json_t *o, size_t flags, char **out)
{
    char *text = o ? json_dumps(o, flags | JSON_REAL_PRECISION(6)) : NULL;
    json_decref(o);
    *out = text ? sc_strdup(text) : NULL;
    free(text);
    return *out ? SC_OK : sc_nomem();
}

sc_status sc_filter_rules(const sc_filter *f, char **json)
{
    return dump(sc_rules_json(&f->rules), JSON_INDENT(1), json);
}

static void put_number(json_t *o, const char *name, double x)
{
    json_t *v = !isfinite(x)                      ? json_null()
                : x == floor(x) && fabs(x) < 1e15 ? json_integer((json_int_t)x)
                                                  : json_real(x);
    json_object_set_new(o, name, v);
}

sc_status sc_filter_check(sc_filter *f, const char *language, const char *text, int64_t len, char **json)
{
    sc_judgement j;
    int64_t personal[SC_PERSONAL_KINDS] = {0}, harmful[SC_HARMFUL_KINDS];
    const sc_thresholds *t = sc_rules_for(&f->rules, language);
    sc_status s = sc_words_cut(&f->work.words, text, len);
    if (s) return s;
    sc_harmful_count(&f->harmful, &f->work.words, language, harmful);
    s = sc_rules_judge(&f->work, t, SC_RULES_ALL, true, text, len, &f->text, &j);
    if (s) return s;
    json_t *o = json_object(), *values = json_object(), *found = json_object(), *words = json_object();
    json_object_set_new(o, "rule", j.rule < 0 ? json_null() : json_string(sc_rule_at(j.rule)->name));
    for (int i = 0; i < SC_RULES; i++)
        if (sc_rule_at(i)->kind != SC_RULE_SETTING) put_number(values, sc_rule_at(i)->name, j.value[i]);
    json_object_set_new(o, "values", values);
    if (j.changed && j.rule < 0) {
        json_t *left = json_stringn(f->text.p, (size_t)f->text.len);
        json_object_set_new(o, "text", left ? left : json_null()); /* not UTF-8 */
    }
    for (sc_personal x = {0}; sc_personal_next(text, len, x.at + x.n, ~0u, &x);) personal[x.kind]++;
    for (int k = 0; k < SC_PERSONAL_KINDS; k++)
        if (personal[k]) json_object_set_new(found, sc_personal_at(k)->name, json_integer(personal[k]));
    for (int k = 0; k < SC_HARMFUL_KINDS; k++)
        if (harmful[k]) json_object_set_new(words, sc_harmful_name(k), json_integer(harmful[k]));
    json_object_set_new(o, "personal", found);
    json_object_set_new(o, "harmful", words);
    return dump(o, JSON_COMPACT, json);
}

sc_status sc_filter_mask(const char *text, int64_t len, char **masked, int64_t *masked_len, int64_t *found)
{
    sc_str out = {0};
    int64_t counts[SC_PERSONAL_KINDS] = {0}, n = sc_personal_mask(&out, text, len, ~0u, counts), size;
    sc_str_puts(&out, "");
    if (!out.p) sc_str_append(&out, "", 0);
    char *p = sc_str_take(&out, &size);
    if (!p) return sc_nomem();
    *masked = p;
    *masked_len = size;
    if (found) *found = n;
    return SC_OK;
}

sc_status sc_filter_words(sc_filter *f, const char *text, int64_t len, char **words, int64_t *words_len)
{
    sc_str out = {0};
    sc_status s = sc_words_cut(&f->work.words, text, len);
    if (s) return s;
    sc_str_append(&out, "", 0);
    sc_words_put(&f->work.words, &out);
    *words = sc_str_take(&out, words_len);
    return *words ? SC_OK : sc_nomem();
}

/* ---- tables for people ---- */

static void put_threshold(sc_str *out, double x)
{
    if (isnan(x))
        sc_str_puts(out, "off");
    else
        sc_str_printf(out, "%g", x);
}

static void put_rules(sc_str *out)
{
    static const char *const kinds[] = {"at least", "at most", "lines, at least", "lines, at most", "setting"};
    sc_str_puts(out, "| rule | what is measured | usual | from |\n|---|---|---|---|\n");
    for (int i = 0; i < SC_RULES; i++) {
        const sc_rule_info *r = sc_rule_at(i);
        sc_str_printf(out, "| `%s` | %s | ", r->name, r->what);
        if (!isnan(r->usual)) sc_str_printf(out, "%s ", kinds[r->kind]);
        put_threshold(out, r->usual);
        sc_str_printf(out, " | %s |\n", r->source);
    }
}

static void put_languages(sc_str *out, const sc_rules *r)
{
    sc_str_puts(out, "\n| language | what is usual there instead |\n|---|---|\n");
    for (int i = 1; i < r->n; i++) {
        bool any = false;
        for (int k = 0; k < SC_RULES; k++) {
            double x = r->set[i].of[k], usual = r->set[0].of[k];
            if (x == usual || (isnan(x) && isnan(usual))) continue;
            if (!any)
                sc_str_printf(out, "| %s | ", r->set[i].language);
            else
                sc_str_puts(out, ", ");
            any = true;
            sc_str_printf(out, "`%s` ", sc_rule_at(k)->name);
            put_threshold(out, x);
        }
        if (any) sc_str_puts(out, " |\n");
    }
}

static void put_stop_words(sc_str *out)
{
    static const char *const kinds[] = {"words", "ends of words", "parts of the text"};
    const sc_stop_list *l;
    sc_str_puts(out, "\n| language | found as | stop words |\n|---|---|---|\n");
    for (int i = 0; (l = sc_stop_words_at(i)); i++)
        sc_str_printf(out, "| %s | %s | %s |\n", l->language, kinds[l->kind], l->words);
}

sc_status sc_filter_tables(char **markdown)
{
    sc_rules r;
    sc_str out = {0};
    sc_status s = sc_rules_open(&r, NULL);
    if (s) return s;
    put_rules(&out);
    put_languages(&out, &r);
    sc_str_puts(&out, "\n| kind | mask | what counts as it |\n|---|---|---|\n");
    for (int k = 0; sc_personal_at(k); k++)
        sc_str_printf(&out, "| `%s` | `%s` | %s |\n", sc_personal_at(k)->name, sc_personal_at(k)->mask,
                      sc_personal_at(k)->what);
    put_stop_words(&out);
    sc_rules_free(&r);
    *markdown = sc_str_take(&out, NULL);
    return *markdown ? SC_OK : sc_nomem();
}
