/* SPDX-License-Identifier: Apache-2.0 */
/* From a row to what is asked: its parts, solved examples before it, and all of it as one text or as a conversation. */
#include "eval/eval.h"

#include <stdlib.h>

/* ---- parts ---- */

void sc_eval_parts_free(sc_eval_parts *p)
{
    json_decref(p->text);
    json_decref(p->target);
    json_decref(p->choices);
    *p = (sc_eval_parts){0};
}

static bool digits(const char *s) { return *s && strspn(s, "0123456789") == strlen(s) && strlen(s) < 19; }

/* A template's digits are a number where there are choices: the index of one. */
static sc_status number_of_digits(json_t **v, const sc_eval_value *from, const json_t *row, bool choices)
{
    if (!choices || !from->source || json_object_get(row, from->source) || !json_is_string(*v) ||
        !digits(json_string_value(*v)))
        return SC_OK;
    json_t *number = json_integer(atoll(json_string_value(*v)));
    if (!number) return sc_nomem();
    json_decref(*v);
    *v = number;
    return SC_OK;
}

/* A template's text in brackets is a list, if Python would read it as one. */
static void list_of_brackets(json_t **v, const sc_eval_value *from, const json_t *row)
{
    const char *s = json_string_value(*v);
    json_t *list;
    size_t n = s ? strlen(s) : 0;
    if (!from->source || json_object_get(row, from->source) || n < 2 || s[0] != '[' || s[n - 1] != ']') return;
    if (sc_py_literal(&list, s, (int64_t)n, "target")) return;
    json_decref(*v);
    *v = list;
}

static sc_status get_choices(json_t **out, const sc_eval_value *v, const json_t *row)
{
    json_t *value, *key_value;
    const char *key;
    sc_status s = sc_eval_value_get(&value, v, row);
    if (s) return s;
    if (json_is_string(value)) {
        json_t *list;
        s = sc_py_literal(&list, json_string_value(value), (int64_t)json_string_length(value), v->what);
        json_decref(value);
        if (s) return s;
        value = list;
    }
    if (json_is_object(value)) {
        json_t *list = json_array();
        json_object_foreach(value, key, key_value) json_array_append(list, key_value);
        json_decref(value);
        value = list;
    }
    json_t *texts = json_is_array(value) ? json_array() : NULL;
    if (!texts) s = sc_fail(SC_EFORMAT, "%s: must give a list", v->what);
    for (size_t i = 0; !s && i < json_array_size(value); i++) {
        char *text = NULL;
        s = sc_eval_text_of(&text, json_array_get(value, i));
        if (!s && json_array_append_new(texts, json_string(text))) s = sc_nomem();
        sc_free(text);
    }
    if (!s && json_array_size(texts) == 0) s = sc_fail(SC_EFORMAT, "%s: gives an empty list", v->what);
    json_decref(value);
    if (s)
        json_decref(texts);
    else
        *out = texts;
    return s;
}

sc_status sc_eval_parts_get(sc_eval_parts *out, const sc_eval_task *t, const json_t *row, bool shot)
{
    const sc_eval_value *text = shot ? &t->shot_text : &t->text, *target = shot ? &t->shot_target : &t->target,
                        *choice = shot ? &t->shot_choice : &t->choice;
    sc_eval_parts p = {0};
    bool choices = sc_eval_value_given(&t->choice);
    sc_status s = SC_OK;
    if (sc_eval_value_given(text))
        s = sc_eval_value_get(&p.text, text, row);
    else if (!(p.text = json_string("")))
        s = sc_nomem();
    if (!s) s = number_of_digits(&p.text, text, row, choices);
    if (!s && !json_is_string(p.text) && !(json_is_integer(p.text) && choices)) {
        char *plain = NULL; /* a field that is a number: its digits */
        s = sc_eval_text_of(&plain, p.text);
        json_decref(p.text);
        p.text = s ? NULL : json_string(plain);
        sc_free(plain);
    }
    if (!s) s = sc_eval_value_get(&p.target, target, row);
    if (!s) s = number_of_digits(&p.target, target, row, choices);
    if (!s) list_of_brackets(&p.target, target, row);
    if (!s && sc_eval_value_given(choice)) s = get_choices(&p.choices, choice, row);
    if (s)
        sc_eval_parts_free(&p);
    else
        *out = p;
    return s;
}

sc_status sc_eval_target_text(char **out, const sc_eval_parts *p)
{
    const json_t *v = p->target;
    if (json_is_array(v)) v = json_array_get(v, 0);
    if (json_is_integer(v) && p->choices) {
        int64_t i = json_integer_value(v), n = (int64_t)json_array_size(p->choices);
        if (i < 0) i += n;
        v = i >= 0 && i < n ? json_array_get(p->choices, (size_t)i) : NULL;
        if (!v) return sc_fail(SC_EFORMAT, "the target is choice %lld of %lld", (long long)i, (long long)n);
    }
    if (!v) return (*out = sc_strdup("")) ? SC_OK : sc_nomem();
    return sc_eval_text_of(out, v);
}

/* ---- turns ---- */

typedef struct turn {
    const char *role;
    char *content;
    const char *behind; /* where turns become one text */
} turn;
typedef struct turns {
    turn *turn;
    int64_t n, cap;
} turns;

static void turns_cut(turns *t, int64_t n)
{
    while (t->n > n) sc_free(t->turn[--t->n].content);
}

static void turns_free(turns *t)
{
    turns_cut(t, 0);
    sc_free(t->turn);
}

/* Takes content. */
static sc_status add_turn(turns *t, const char *role, char *content, const char *behind)
{
    if (!content || !sc_grow(&t->turn, &t->cap, t->n + 1, sizeof *t->turn)) {
        sc_free(content);
        return sc_nomem();
    }
    t->turn[t->n++] = (turn){role, content, behind};
    return SC_OK;
}

static bool space_at_end(const char *s)
{
    int64_t n = (int64_t)strlen(s), at = n;
    uint32_t c;
    while (at > 0 && ((unsigned char)s[at - 1] & 0xC0) == 0x80) at--;
    if (at > 0) at--;
    if (!n) return false;
    sc_utf8_decode(s + at, n - at, &c);
    return sc_py_space(c);
}

static bool space_at_begin(const char *s)
{
    uint32_t c;
    if (!*s) return false;
    sc_utf8_decode(s, (int64_t)strlen(s), &c);
    return sc_py_space(c);
}

/* Both, with `between` where neither has a space there. */
static char *join(const char *a, const char *b, const char *between)
{
    sc_str s = {0};
    sc_str_puts(&s, a);
    if (*a && *b && !space_at_end(a) && !space_at_begin(b)) sc_str_puts(&s, between);
    sc_str_puts(&s, b);
    if (!s.p) sc_str_puts(&s, "");
    return sc_str_take(&s, NULL);
}

/* A question, and its answer where there is one; else how the answer is to begin. */
static sc_status add_question(turns *t, const char *question, const char *answer, const char *prefix,
                              const char *delimiter, const char *behind)
{
    bool apart = *question && *prefix && !space_at_end(question) && !space_at_begin(prefix);
    const char *after = answer && !*prefix ? delimiter : *prefix && apart ? delimiter : "";
    sc_status s = add_turn(t, "user", sc_strdup(question), after);
    if (!s && answer) return add_turn(t, "assistant", join(prefix, answer, " "), behind);
    if (!s && *prefix) s = add_turn(t, "assistant", sc_strdup(prefix), "");
    return s;
}

/* ---- examples ---- */

static bool same_row(const json_t *a, const json_t *b) { return a == b || json_equal(a, b); }

/* The first n examples but the row itself. */
static sc_status first_examples(const sc_eval_prompter *p, const json_t *row, int64_t *pick)
{
    int64_t all = (int64_t)json_array_size(p->t->examples), n = 0;
    for (int64_t i = 0; i < all && n < p->shots; i++)
        if (!row || !same_row(json_array_get(p->t->examples, (size_t)i), row)) pick[n++] = i;
    return n == p->shots ? SC_OK
                         : sc_fail(SC_EINVAL, "%s: %lld examples are wanted, of %lld that there are", p->t->name,
                                   (long long)p->shots, (long long)all);
}

/* One more than needed is drawn where the row itself may be among them, and it is left out. */
static sc_status draw_examples(sc_eval_prompter *p, const json_t *row, int64_t *pick)
{
    const json_t *from = p->t->examples;
    int64_t all = (int64_t)json_array_size(from), draw = p->shots + (row != NULL), n = 0;
    if (draw > all)
        return sc_fail(SC_EINVAL, "%s: %lld examples are wanted, of %lld that there are", p->t->name,
                       (long long)p->shots, (long long)(all - (row != NULL)));
    sc_status s = sc_py_sample(&p->random, all, draw, pick);
    if (s || !row) return s;
    for (int64_t i = 0; i < draw; i++)
        if (!same_row(json_array_get(from, (size_t)pick[i]), row)) pick[n++] = pick[i];
    if (n >= p->shots) return SC_OK;
    /* The row is there more than once: of all others, again. */
    int64_t *others = sc_malloc((size_t)all * sizeof *others), left = 0;
    if (!others) return sc_nomem();
    for (int64_t i = 0; i < all; i++)
        if (!same_row(json_array_get(from, (size_t)i), row)) others[left++] = i;
    s = left < p->shots ? sc_fail(SC_EINVAL, "%s: %lld examples are wanted, of %lld that differ from the item",
                                  p->t->name, (long long)p->shots, (long long)left)
                        : sc_py_sample(&p->random, left, p->shots, pick);
    for (int64_t i = 0; !s && i < p->shots; i++) pick[i] = others[pick[i]];
    sc_free(others);
    return s;
}

static sc_status add_example(turns *out, const sc_eval_task *t, const json_t *row)
{
    sc_eval_parts parts;
    char *answer = NULL, *prefix = NULL;
    sc_status s = sc_eval_parts_get(&parts, t, row, true);
    if (s) return s;
    const char *question = json_string_value(parts.text);
    if (t->many_inputs && json_is_integer(parts.text))
        question = json_string_value(json_array_get(parts.choices, (size_t)json_integer_value(parts.text)));
    if (!question) s = sc_fail(SC_EFORMAT, "%s: an example's doc_to_text is no text", t->name);
    if (!s) s = sc_eval_target_text(&answer, &parts);
    if (!s) s = sc_eval_value_text(&prefix, &t->shot_prefix, row);
    if (!s)
        s = add_question(out, question, *answer ? answer : NULL, prefix, t->shots_target_delimiter,
                         t->shots_delimiter);
    sc_free(answer);
    sc_free(prefix);
    sc_eval_parts_free(&parts);
    return s;
}

static sc_status add_examples(turns *out, sc_eval_prompter *p, const json_t *row)
{
    int64_t *pick = sc_malloc((size_t)(p->shots + 1) * sizeof *pick);
    if (!pick) return sc_nomem();
    const json_t *itself = p->t->may_meet_itself ? row : NULL;
    sc_status s = p->t->first_n ? first_examples(p, itself, pick) : draw_examples(p, itself, pick);
    for (int64_t i = 0; !s && i < p->shots; i++)
        s = add_example(out, p->t, json_array_get(p->t->examples, (size_t)pick[i]));
    sc_free(pick);
    return s;
}

/* ---- prompts ---- */

static void put_text(sc_str *s, const turns *t, int64_t from, int64_t to, bool last_open)
{
    for (int64_t i = from; i < to; i++) {
        sc_str_puts(s, t->turn[i].content);
        if (i + 1 < to || !last_open) sc_str_puts(s, t->turn[i].behind);
    }
}

static sc_status add_message(json_t *list, const char *role, const char *content)
{
    return json_array_append_new(list, json_pack("{s:s, s:s}", "role", role, "content", content)) ? sc_nomem()
                                                                                                  : SC_OK;
}

/* As a conversation, without what the answer begins with; without turns for examples all is one question. */
static json_t *conversation(const turns *t, bool multiturn)
{
    json_t *list = json_array();
    int64_t first = 0, last = t->n;
    sc_status s = list ? SC_OK : sc_nomem();
    last -= last > 0 && strcmp(t->turn[last - 1].role, "assistant") == 0;
    if (multiturn) {
        for (int64_t i = 0; !s && i < last; i++) s = add_message(list, t->turn[i].role, t->turn[i].content);
    } else if (!s) {
        if (t->n && strcmp(t->turn[0].role, "system") == 0) {
            s = add_message(list, "system", t->turn[0].content);
            first = 1;
        }
        sc_str text = {0};
        put_text(&text, t, first, last, true);
        if (text.oom) s = sc_nomem();
        if (!s) s = add_message(list, "user", text.p ? text.p : "");
        sc_str_free(&text);
    }
    if (s) {
        json_decref(list);
        return NULL;
    }
    return list;
}

static sc_status add_prompt(json_t *out, const turns *t, const sc_eval_options *o)
{
    sc_status s = SC_OK;
    if (o->chat) {
        json_t *list = conversation(t, o->multiturn);
        char *text = list ? json_dumps(list, JSON_COMPACT) : NULL;
        s = !text || json_array_append_new(out, json_string(text)) ? sc_nomem() : SC_OK;
        free(text);
        json_decref(list);
        return s;
    }
    sc_str text = {0};
    put_text(&text, t, 0, t->n, false);
    if (text.oom || json_array_append_new(out, json_string(text.p ? text.p : ""))) s = sc_nomem();
    sc_str_free(&text);
    return s;
}

void sc_eval_prompter_start(sc_eval_prompter *p, const sc_eval_task *t, const sc_eval_options *o)
{
    *p = (sc_eval_prompter){.t = t, .o = o, .shots = o->shots < 0 ? t->shots : o->shots};
    sc_py_seed(&p->random, o->seed);
}

static sc_status add_system(turns *out, const sc_eval_prompter *p, const json_t *row)
{
    char *description = NULL;
    sc_status s = sc_eval_value_text(&description, &p->t->description, row);
    if (s) return s;
    char *text = join(p->o->system ? p->o->system : "", description, p->t->shot_delimiter);
    sc_free(description);
    if (text && *text) return add_turn(out, "system", text, "");
    sc_free(text);
    return text ? SC_OK : sc_nomem();
}

sc_status sc_eval_prompts(json_t **out, sc_eval_prompter *p, const json_t *row, const sc_eval_parts *parts)
{
    const sc_eval_task *t = p->t;
    turns all = {0};
    char *prefix = NULL;
    json_t *prompts = json_array();
    sc_status s = prompts ? add_system(&all, p, row) : sc_nomem();
    if (!s && p->shots > 0) s = add_examples(&all, p, row);
    if (!s) s = sc_eval_value_text(&prefix, &t->prefix, row);
    int64_t before = all.n;
    size_t n = t->many_inputs ? json_array_size(parts->choices) : 1;
    for (size_t i = 0; !s && i < n; i++) {
        const char *question = json_string_value(t->many_inputs ? json_array_get(parts->choices, i) : parts->text);
        if (!question) s = sc_fail(SC_EFORMAT, "%s: doc_to_text gives no text for some rows", t->name);
        if (!s) s = add_question(&all, question, NULL, prefix, t->many_inputs ? "" : t->delimiter, "");
        if (!s) s = add_prompt(prompts, &all, p->o);
        turns_cut(&all, before);
    }
    turns_free(&all);
    sc_free(prefix);
    if (s)
        json_decref(prompts);
    else
        *out = prompts;
    return s;
}

/* ---- items by themselves ---- */

void sc_eval_item_free(sc_eval_item *x)
{
    sc_free(x->question);
    sc_free(x->answer);
    sc_free(x->delimiter);
    for (int64_t i = 0; x->choices && i < x->n_choices; i++) sc_free(x->choices[i]);
    sc_free(x->choices);
    *x = (sc_eval_item){0};
}

/* The index of the right choice, by number or by its text; -1: it is none of them. */
int64_t sc_eval_gold(const sc_eval_parts *p, const json_t *target)
{
    int64_t n = (int64_t)json_array_size(p->choices);
    if (json_is_integer(target)) return json_integer_value(target) < n ? json_integer_value(target) : -1;
    for (int64_t i = 0; json_is_string(target) && i < n; i++)
        if (strcmp(json_string_value(json_array_get(p->choices, (size_t)i)), json_string_value(target)) == 0)
            return i;
    return -1;
}

static sc_status copy_choices(sc_eval_item *x, const sc_eval_parts *p)
{
    int64_t n = (int64_t)json_array_size(p->choices);
    if (!n) return SC_OK;
    if (!(x->choices = sc_calloc((size_t)n, sizeof *x->choices))) return sc_nomem();
    x->n_choices = n;
    for (int64_t i = 0; i < n; i++)
        if (!(x->choices[i] = sc_strdup(json_string_value(json_array_get(p->choices, (size_t)i)))))
            return sc_nomem();
    return SC_OK;
}

sc_status sc_eval_item_get(sc_eval_item *out, const sc_eval_task *t, sc_eval_part part, int64_t i)
{
    sc_eval_parts p;
    sc_eval_item x = {.gold = -1};
    if (t->kind >= SC_EVAL_SIMILARITY) return sc_fail(SC_EINVAL, "%s: is asked of vectors", t->name);
    if (i < 0 || i >= sc_eval_task_items(t, part))
        return sc_fail(SC_EINVAL, "%s: no item %lld", t->name, (long long)i);
    bool shot = part == SC_EVAL_EXAMPLES;
    sc_status s = sc_eval_parts_get(&p, t, json_array_get(shot ? t->examples : t->rows, (size_t)i), shot);
    if (s) return s;
    const json_t *target = json_is_array(p.target) ? json_array_get(p.target, 0) : p.target;
    if (t->many_inputs) { /* the choice stands before what is scored: the question is the right one's */
        const json_t *right = json_array_get(p.choices, (size_t)json_integer_value(p.text));
        x.question = sc_strdup(json_is_string(right) ? json_string_value(right) : "");
    } else {
        x.question = sc_strdup(json_is_string(p.text) ? json_string_value(p.text) : "");
        s = copy_choices(&x, &p);
        if (x.n_choices) x.gold = sc_eval_gold(&p, target);
    }
    x.delimiter = sc_strdup(shot ? t->shots_target_delimiter : t->delimiter);
    if (!s && x.gold < 0) s = sc_eval_target_text(&x.answer, &p);
    if (!s && x.gold >= 0) x.answer = sc_strdup(x.choices[x.gold]);
    if (!s && (!x.question || !x.delimiter || !x.answer)) s = sc_nomem();
    sc_eval_parts_free(&p);
    if (s)
        sc_eval_item_free(&x);
    else
        *out = x;
    return s;
}
