/* SPDX-License-Identifier: Apache-2.0 */
/* A task from a file: rows become items, what is asked of them follows from their answers, and an order of the seed cuts them
 * into parts. */
#include "compare/compare.h"
#include "eval/eval.h"

#include <ctype.h>
#include <stdlib.h>

enum { MOST_CLASSES = 16, MOST_CHOICES = 64, MOST_TEXT = 1 << 20 };

const char *const sc_compare_metric_names[] = {"choice", "exact", "number", "task", NULL};

typedef struct reading {
    sc_compare_task *t;
    const sc_compare_options *o;
    const char *input, *answer, *choices; /* fields */
    const char *path;
} reading;

/* ---- fields ---- */

static const char *found(const json_t *row, const char *const *usual)
{
    for (; *usual; usual++) {
        const json_t *v = json_object_get(row, *usual);
        if (v && !json_is_null(v)) return *usual;
    }
    return NULL;
}

static sc_status find_fields(reading *r, const json_t *row)
{
    static const char *const inputs[] = {"input",    "question", "prompt",  "text",
                                         "document", "sentence", "problem", NULL},
                             *const answers[] = {"answer",    "target",     "label", "output",
                                                 "answerKey", "completion", "class", NULL},
                             *const choices[] = {"choices", "options", NULL};
    r->input = r->o->input ? r->o->input : found(row, inputs);
    r->answer = r->o->answer ? r->o->answer : found(row, answers);
    r->choices = r->o->choices ? r->o->choices : found(row, choices);
    const json_t *q = r->input ? json_object_get(row, r->input) : NULL;
    if (!r->o->choices && json_is_object(q) && json_object_get(q, "choices")) r->choices = r->input;
    if (!r->choices && json_object_get(row, "A") && json_object_get(row, "B"))
        r->choices = json_object_get(row, "D") ? "A,B,C,D" : json_object_get(row, "C") ? "A,B,C" : "A,B";
    if (!r->input) return sc_fail(SC_EINVAL, "%s: no field with inputs is known; --input names it", r->path);
    if (!r->answer) return sc_fail(SC_EINVAL, "%s: no field with answers is known; --answer names it", r->path);
    return SC_OK;
}

/* A value as text in the arena, without blanks around it; NULL without memory or where it is no plain value. */
static const char *text_of(sc_arena *a, const json_t *v)
{
    if (json_is_string(v)) {
        const char *p = json_string_value(v);
        size_t n = json_string_length(v);
        while (n && isspace((unsigned char)p[n - 1])) n--;
        while (n && isspace((unsigned char)*p)) p++, n--;
        return sc_arena_strndup(a, p, n);
    }
    if (json_is_integer(v)) return sc_arena_printf(a, "%lld", (long long)json_integer_value(v));
    if (json_is_real(v)) return sc_arena_printf(a, "%.12g", json_real_value(v));
    if (json_is_boolean(v)) return json_is_true(v) ? "true" : "false";
    return NULL;
}

static const char *worded(const reading *r, const char *text)
{
    size_t n = strlen(text);
    for (int i = 0; i < r->o->n_labels; i++)
        if (strncmp(r->o->labels[i], text, n) == 0 && r->o->labels[i][n] == '=') return r->o->labels[i] + n + 1;
    return text;
}

/* ---- choices ---- */

typedef struct offered {
    const char *text[MOST_CHOICES], *label[MOST_CHOICES];
    int n;
} offered;

static sc_status offer(const reading *r, offered *c, const json_t *text, const char *label)
{
    if (c->n == MOST_CHOICES) return sc_fail(SC_ELIMIT, "more than %d choices", MOST_CHOICES);
    if (!(c->text[c->n] = text_of(r->t->arena, text)))
        return sc_fail(SC_EFORMAT, "a choice is neither text nor number");
    c->label[c->n++] = label;
    return SC_OK;
}

static sc_status offer_list(const reading *r, offered *c, const json_t *list)
{
    sc_status s = SC_OK;
    size_t i;
    json_t *v;
    const json_t *texts = json_object_get(list, "text"), *labels = json_object_get(list, "label");
    if (json_is_object(list) && json_object_get(list, "choices"))
        return offer_list(r, c, json_object_get(list, "choices"));
    json_array_foreach(json_is_array(texts) ? texts : list, i, v)
    {
        const json_t *label = json_is_array(labels) ? json_array_get(labels, i) : json_object_get(v, "label");
        if (json_is_object(v)) v = json_object_get(v, "text");
        if (!s) s = offer(r, c, v, label ? text_of(r->t->arena, label) : NULL);
    }
    return s;
}

static sc_status offer_fields(const reading *r, offered *c, const json_t *row)
{
    sc_status s = SC_OK;
    for (const char *p = r->choices; !s && *p;) {
        size_t n = strcspn(p, ",");
        const char *name = sc_arena_strndup(r->t->arena, p, n);
        if (!name) return sc_nomem();
        const json_t *v = json_object_get(row, name);
        if (v && !json_is_null(v)) s = offer(r, c, v, name);
        p += n + (p[n] == ',');
    }
    return s;
}

/* Which choice an answer names: by its text, its label, or its number. */
static int place_of(const offered *c, const json_t *answer, const char *text)
{
    for (int i = 0; i < c->n; i++)
        if (strcmp(c->text[i], text) == 0 && !json_is_integer(answer)) return i;
    for (int i = 0; i < c->n; i++)
        if (c->label[i] && strcmp(c->label[i], text) == 0) return i;
    if (json_is_integer(answer) && json_integer_value(answer) >= 0 && json_integer_value(answer) < c->n)
        return (int)json_integer_value(answer);
    if (strlen(text) == 1 && text[0] >= 'A' && text[0] < 'A' + c->n) return text[0] - 'A';
    for (int i = 0; i < c->n; i++)
        if (strcmp(c->text[i], text) == 0) return i;
    return -1;
}

static sc_status add_choices(reading *r, sc_compare_item *it, const json_t *row, const json_t *answer)
{
    offered c = {0};
    const json_t *v = json_object_get(row, r->choices);
    sc_status s = strchr(r->choices, ',') ? offer_fields(r, &c, row) : offer_list(r, &c, v);
    if (s) return s;
    if (c.n < 2) return sc_fail(SC_EFORMAT, "'%s' has no two choices", r->choices);
    it->target = place_of(&c, answer, it->answer);
    if (it->target < 0) return sc_fail(SC_EFORMAT, "the answer '%.60s' is none of the choices", it->answer);
    const char **list = sc_arena_alloc(r->t->arena, sizeof *list * (size_t)c.n);
    if (!list) return sc_nomem();
    memcpy(list, c.text, sizeof *list * (size_t)c.n);
    it->choices = list;
    it->n_choices = c.n;
    it->answer = c.text[it->target];
    return SC_OK;
}

/* ---- rows ---- */

static sc_status add_answers(reading *r, sc_compare_item *it, const json_t *answer)
{
    sc_arena *a = r->t->arena;
    size_t n = json_is_array(answer) ? json_array_size(answer) : 1;
    const char **correct = sc_arena_alloc(a, sizeof *correct * SC_MAX(n, 1));
    if (!correct) return sc_nomem();
    if (n == 0) return sc_fail(SC_EFORMAT, "'%s' is empty", r->answer);
    for (size_t i = 0; i < n; i++) {
        const char *text = text_of(a, json_is_array(answer) ? json_array_get(answer, i) : answer);
        if (!text) return sc_fail(SC_EFORMAT, "'%s' is neither text nor number", r->answer);
        correct[i] = worded(r, text);
    }
    it->correct = correct;
    it->n_correct = (int)SC_MIN(n, 1000);
    it->answer = correct[0];
    return SC_OK;
}

static sc_status add_row(reading *r, const json_t *row)
{
    sc_compare_task *t = r->t;
    const json_t *input = json_object_get(row, r->input), *answer = json_object_get(row, r->answer);
    if (json_is_object(input)) input = json_object_get(input, json_object_get(input, "stem") ? "stem" : "text");
    if (!sc_grow(&t->item, &t->cap, t->n + 1, sizeof *t->item)) return sc_nomem();
    sc_compare_item it = {.input = text_of(t->arena, input), .target = -1};
    if (!it.input) return sc_fail(SC_EFORMAT, "'%s' is missing or no text", r->input);
    if (strlen(it.input) > MOST_TEXT)
        return sc_fail(SC_ELIMIT, "'%s' is longer than %d bytes", r->input, MOST_TEXT);
    if (!answer || json_is_null(answer)) return sc_fail(SC_EFORMAT, "'%s' is missing", r->answer);
    sc_status s = add_answers(r, &it, answer);
    if (!s && r->choices) s = add_choices(r, &it, row, answer);
    if (!s) t->item[t->n++] = it;
    return s;
}

sc_status sc_compare_task_rows(sc_compare_task *t, const sc_compare_options *o, const json_t *rows,
                               const char *path)
{
    reading r = {.t = t, .o = o, .path = path};
    size_t i;
    json_t *row;
    sc_status s =
        json_array_size(rows) ? find_fields(&r, json_array_get(rows, 0)) : sc_fail(SC_EINVAL, "%s: no rows", path);
    json_array_foreach(rows, i, row)
    {
        if (s) break;
        if ((s = add_row(&r, row))) s = sc_fail_in(s, "%s row %zu", path, i + 1);
    }
    return s;
}

static sc_status read_rows(reading *r, const char *path)
{
    json_t *rows = json_array(), *how = json_object();
    sc_status s = rows && how ? SC_OK : sc_nomem();
    if (!s && r->o->n_columns) {
        json_t *names = json_array();
        for (int k = 0; k < r->o->n_columns; k++) json_array_append_new(names, json_string(r->o->columns[k]));
        if (json_object_set_new(how, "column_names", names)) s = sc_nomem();
    }
    if (!s && r->o->list && json_object_set_new(how, "field", json_string(r->o->list))) s = sc_nomem();
    if (!s) s = sc_dataset_read(rows, path, NULL, how);
    if (!s) s = sc_compare_task_rows(r->t, r->o, rows, path);
    json_decref(rows);
    json_decref(how);
    return s;
}

/* ---- tasks of evaluation ---- */

static bool is_eval_task(const char *data)
{
    if (sc_path_has_suffix(data, ".yaml") || sc_path_has_suffix(data, ".yml")) return true;
    int n;
    const sc_eval_builtin *b = sc_eval_builtins(&n);
    for (int i = 0; i < n && !sc_path_exists(data); i++)
        if (strcmp(b[i].name, data) == 0) return true;
    return false;
}

static const char *keep(const reading *r, const char *text)
{
    return sc_arena_strndup(r->t->arena, text, strlen(text));
}

static sc_status add_eval_item(reading *r, sc_eval_part part, int64_t place)
{
    sc_compare_task *t = r->t;
    sc_eval_item x;
    sc_status s = sc_eval_item_get(&x, t->eval, part, place);
    if (s) return s;
    sc_compare_item it = {.input = keep(r, x.question),
                          .answer = keep(r, x.answer),
                          .place = place,
                          .n_correct = 1,
                          .target = (int)x.gold,
                          .n_choices = (int)SC_MIN(x.n_choices, MOST_CHOICES)};
    const char **list = sc_arena_alloc(t->arena, sizeof *list * (size_t)(it.n_choices + 1));
    if (!list || !it.input || !it.answer || !sc_grow(&t->item, &t->cap, t->n + 1, sizeof *t->item)) s = sc_nomem();
    for (int k = 0; !s && k < it.n_choices; k++)
        if (!(list[k] = keep(r, x.choices[k]))) s = sc_nomem();
    if (!s) list[it.n_choices] = it.answer;
    if (!s && it.n_choices) it.choices = list;
    if (!s && x.n_choices > MOST_CHOICES) s = sc_fail(SC_ELIMIT, "more than %d choices", MOST_CHOICES);
    if (!s && it.n_choices && it.target < 0) s = sc_fail(SC_EUNSUPPORTED, "an item has no right choice");
    it.correct = list + it.n_choices;
    sc_eval_item_free(&x);
    if (!s) t->item[t->n++] = it;
    return s;
}

/* The items of a task file or a built-in task; *cut becomes how many of the first may only be learned from. */
static sc_status read_eval_task(reading *r, sc_context *ctx, int64_t *cut)
{
    sc_compare_task *t = r->t;
    sc_eval_data data[SC_COMPARE_TASK_DATA] = {0};
    sc_eval_open_options how = {.data = data, .n_data = r->o->n_task_data, .seed = r->o->seed, .made = 2000};
    for (int i = 0; i < r->o->n_task_data; i++) {
        const char *text = r->o->task_data[i], *equals = strchr(text, '=');
        data[i].path = equals && !sc_path_exists(text) ? equals + 1 : text;
        if (data[i].path != text && !(data[i].split = sc_arena_strndup(t->arena, text, (size_t)(equals - text))))
            return sc_nomem();
    }
    sc_status s = sc_eval_open(&t->set, ctx, &r->o->data, 1, &how);
    if (s) return s;
    if (sc_eval_count(t->set) != 1)
        return sc_fail(SC_EINVAL, "%s: a group of tasks; one of them can be compared on", r->o->data);
    t->eval = sc_eval_at(t->set, 0);
    bool apart = sc_eval_task_has_examples(t->eval);
    for (int part = apart ? 0 : 1; !s && part < 2; part++) {
        sc_eval_part from = part ? SC_EVAL_TEST : SC_EVAL_EXAMPLES;
        int64_t n = sc_eval_task_items(t->eval, from);
        for (int64_t i = 0; !s && i < n; i++) s = add_eval_item(r, from, i);
        if (!part) *cut = t->n;
    }
    if (s || t->n) return s ? sc_fail_in(s, "%s", r->o->data) : SC_OK;
    return sc_fail(SC_EINVAL, "%s: no items", r->o->data);
}

/* ---- what is asked ---- */

static bool is_number(const char *text)
{
    char *end;
    while (*text == '$' || isspace((unsigned char)*text)) text++;
    strtod(text, &end);
    return end > text && !end[strspn(end, " .,%0123456789")];
}

/* All answers that occur, where they are few enough to be classes. */
static bool find_classes(sc_compare_task *t)
{
    const char *seen[MOST_CLASSES + 1];
    int n = 0;
    for (int64_t i = 0; i < t->n; i++) {
        int k = 0;
        if (t->item[i].n_correct > 1) return false;
        while (k < n && strcmp(seen[k], t->item[i].answer) != 0) k++;
        if (k == n && n == MOST_CLASSES) return false;
        if (k == n) seen[n++] = t->item[i].answer;
    }
    if (n < 2) return false;
    for (int i = 1; i < n; i++) /* in an order that does not depend on the rows' */
        for (int k = i; k > 0 && strcmp(seen[k], seen[k - 1]) < 0; k--) {
            const char *swap = seen[k];
            seen[k] = seen[k - 1];
            seen[k - 1] = swap;
        }
    const char **list = sc_arena_alloc(t->arena, sizeof *list * (size_t)n);
    if (!list) return false;
    memcpy(list, seen, sizeof *list * (size_t)n);
    t->classes = list;
    t->n_classes = n;
    return true;
}

/* Whether all items have the same choices: then these are labels, and the classes. */
static bool same_choices(sc_compare_task *t)
{
    const sc_compare_item *a = &t->item[0];
    for (int64_t i = 1; i < t->n; i++) {
        bool same = t->item[i].n_choices == a->n_choices;
        for (int k = 0; k < a->n_choices && same; k++) same = strcmp(a->choices[k], t->item[i].choices[k]) == 0;
        if (!same) {
            t->n_classes = 0;
            return false;
        }
    }
    t->classes = a->choices;
    t->n_classes = a->n_choices;
    return true;
}

static sc_status set_metric(sc_compare_task *t, const sc_compare_options *o)
{
    int k = 0;
    if (t->eval) {
        if (o->metric) return sc_fail(SC_EINVAL, "%s says itself what is right", o->data);
        t->own_choices = t->item[0].choices != NULL;
        t->metric = t->own_choices ? SC_COMPARE_CHOICE : SC_COMPARE_TASK;
        if (t->own_choices && find_classes(t)) t->own_choices = !same_choices(t);
        return SC_OK;
    }
    while (o->metric && sc_compare_metric_names[k] && strcmp(o->metric, sc_compare_metric_names[k]) != 0) k++;
    if (o->metric && (!sc_compare_metric_names[k] || k == SC_COMPARE_TASK))
        return sc_fail(SC_EINVAL, "no metric is called '%s'", o->metric);
    t->own_choices = t->item[0].choices != NULL;
    bool choice = o->metric ? k == SC_COMPARE_CHOICE : true;
    if (choice && !t->own_choices && (o->metric || t->n >= 5 * 2) && find_classes(t) &&
        (o->metric || t->n >= 5 * t->n_classes)) {
        for (int64_t i = 0; i < t->n; i++) {
            sc_compare_item *it = &t->item[i];
            it->choices = t->classes;
            it->n_choices = t->n_classes;
            for (it->target = 0; strcmp(t->classes[it->target], it->answer) != 0;) it->target++;
        }
    } else if (choice && !t->own_choices) {
        if (o->metric)
            return sc_fail(SC_EINVAL, "metric choice: the answers are no classes: 2 to %d of them are needed",
                           MOST_CLASSES);
        choice = false;
    }
    t->metric = (sc_compare_metric)k;
    if (!o->metric) {
        bool numbers = true;
        for (int64_t i = 0; i < t->n && numbers; i++) {
            const char *p = strstr(t->item[i].answer, "####");
            numbers = is_number(p ? p + 4 : t->item[i].answer);
        }
        t->metric = choice ? SC_COMPARE_CHOICE : numbers ? SC_COMPARE_NUMBER : SC_COMPARE_EXACT;
    }
    t->lists = t->own_choices && o->prompt && strstr(o->prompt, "{choices}");
    return SC_OK;
}

/* ---- parts ---- */

static sc_status take(sc_compare_task *t, sc_compare_part *part, const int64_t *order, int64_t n)
{
    if (!(part->item = sc_arena_alloc(t->arena, sizeof *part->item * (size_t)SC_MAX(n, 1)))) return sc_nomem();
    for (int64_t i = 0; i < n; i++) part->item[i] = &t->item[order[i]];
    part->n = n;
    return SC_OK;
}

static void shuffle(int64_t *order, int64_t first, int64_t n, uint64_t seed)
{
    sc_rng r = sc_rng_make(seed, sc_hash("compare parts", 13));
    for (int64_t i = 0; i < n; i++) order[i] = first + i;
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t k = (int64_t)(sc_rng_uniform(&r) * (double)(i + 1)), swap = order[i];
        order[i] = order[k];
        order[k] = swap;
    }
}

/* From the items [0, cut) that may be learned from and [cut, n) that are tested on, or, with one file, from all. */
static sc_status cut_parts(sc_compare_task *t, const sc_compare_options *o, int64_t cut)
{
    int64_t *order = sc_malloc(sizeof *order * (size_t)t->n), test, rest, dev;
    if (!order) return sc_nomem();
    sc_status s;
    if (cut) {
        test = SC_MIN(o->test_items ? o->test_items : 200, t->n - cut);
        shuffle(order, cut, t->n - cut, o->seed);
        s = take(t, &t->test, order, test);
        shuffle(order, 0, cut, o->seed + 1);
        rest = cut;
    } else {
        test = SC_MIN(o->test_items ? o->test_items : 200, t->n - t->n / 2);
        shuffle(order, 0, t->n, o->seed);
        s = take(t, &t->test, order, test);
        rest = t->n - test;
        memmove(order, order + test, sizeof *order * (size_t)rest);
    }
    dev = SC_MIN(o->dev_items ? o->dev_items : 50, rest / 10);
    if (!s) s = take(t, &t->dev, order, dev);
    if (!s) s = take(t, &t->train, order + dev, SC_MIN(o->train_items ? o->train_items : 500, rest - dev));
    sc_free(order);
    return s;
}

static void add_text(uint64_t *h, const char *text)
{
    *h = (*h ^ sc_hash(text, (int64_t)strlen(text))) * 0x9e3779b97f4a7c15u;
}

static void set_fingerprint(sc_compare_task *t)
{
    const sc_compare_part *const parts[] = {&t->test, &t->dev, &t->train};
    uint64_t h = 1 + (uint64_t)t->metric;
    for (int p = 0; p < SC_COUNT(parts); p++)
        for (int64_t i = 0; i < parts[p]->n; i++) {
            add_text(&h, parts[p]->item[i]->input);
            add_text(&h, parts[p]->item[i]->answer);
        }
    t->fingerprint = h >> 12; /* exact as a number of JSON */
}

sc_status sc_compare_task_finish(sc_compare_task *t, const sc_compare_options *o, int64_t cut)
{
    sc_status s = SC_OK;
    for (int64_t i = 1; !s && i < t->n; i++)
        if (!t->item[i].choices != !t->item[0].choices)
            s = sc_fail(SC_EFORMAT, "some rows have choices and others have none");
    if (!s) s = set_metric(t, o);
    if (!s) s = cut_parts(t, o, cut);
    if (!s && t->test.n < 1) s = sc_fail(SC_EINVAL, "%s: no rows to test on", o->data ? o->data : o->test);
    if (!s) set_fingerprint(t);
    return s;
}

sc_status sc_compare_task_read(sc_compare_task *t, sc_context *ctx, const sc_compare_options *o)
{
    reading r = {.t = t, .o = o};
    int64_t cut = 0;
    if (!(t->arena = sc_arena_new())) return sc_nomem();
    if (!o->data && !(o->train && o->test))
        return sc_fail(SC_EINVAL, "no task: one file, or one to learn from and one to test on");
    if (o->data && (o->train || o->test))
        return sc_fail(SC_EINVAL, "one file, or one to learn from and one to test on, and not all three");
    if (o->n_task_data > SC_COMPARE_TASK_DATA)
        return sc_fail(SC_EINVAL, "more than %d files for a task", SC_COMPARE_TASK_DATA);
    bool eval = o->data && is_eval_task(o->data);
    sc_status s = eval ? read_eval_task(&r, ctx, &cut) : read_rows(&r, o->data ? o->data : o->train);
    if (!s && !o->data) {
        cut = t->n;
        s = read_rows(&r, o->test);
    }
    return s ? s : sc_compare_task_finish(t, o, cut);
}

void sc_compare_task_free(sc_compare_task *t)
{
    sc_arena_free(t->arena);
    sc_eval_free(t->set);
    sc_free(t->item);
    *t = (sc_compare_task){0};
}
