/* SPDX-License-Identifier: Apache-2.0 */
/* The built-in tasks: made items about the made world, as a task file would say them. */
#include "eval/eval.h"
#include "socle/world.h"

#include <stdlib.h>

static const sc_eval_builtin tasks[] = {
    {"add", "sums of two numbers of 1 to 6 digits, by digits"},
    {"subtract", "differences of two numbers of 1 to 6 digits, by digits"},
    {"multiply", "products of two numbers of 1 to 4 digits, by digits"},
    {"problems", "word problems of one or two steps"},
    {"worked_problems", "word problems; the examples show their steps"},
    {"unscramble", "words whose letters have to be put in order, by letters"},
    {"facts", "questions for one fact of the made world"},
    {"two_facts", "questions that two facts of the made world answer"},
    {"sentiment", "whether a review is positive or negative, in English and Korean"},
    {"translate", "short sentences from English to Korean and back"},
    {"programs", "what short programs print"},
};

const sc_eval_builtin *sc_eval_builtins(int *count)
{
    *count = SC_COUNT(tasks);
    return tasks;
}

/* One item as a row; the answer without the space that it begins with. */
static json_t *row_of(const char *prompt, const char *answer, int64_t difficulty)
{
    while (*answer == ' ') answer++;
    return json_pack("{s:s, s:s, s:I}", "prompt", prompt, "answer", answer, "difficulty", (json_int_t)difficulty);
}

static sc_status made_rows(json_t **out, const char *kind, const sc_eval_open_options *o, const char *split,
                           int64_t n)
{
    sc_task_set *set;
    sc_world_options w = {.kind = kind, .seed = o->seed, .language = o->language, .split = split};
    sc_status s = sc_tasks_make(&set, &w, n);
    if (s) return s;
    json_t *rows = json_array();
    for (int64_t i = 0; rows && i < set->n; i++)
        json_array_append_new(rows, row_of(set->task[i].prompt, set->task[i].answer, set->task[i].difficulty));
    s = rows && (int64_t)json_array_size(rows) == set->n ? SC_OK : sc_nomem();
    sc_tasks_free(set);
    if (s)
        json_decref(rows);
    else
        *out = rows;
    return s;
}

/* ---- word problems whose examples show their steps ---- */

/* "Question: …\nReasoning:" and, behind it, the steps and "Answer: 45"; NULL without `other`: without memory. */
static json_t *worked_row(const char *text, bool *other)
{
    static const char *const labels[] = {"\nReasoning: ", "\n풀이: "};
    const char *hit = NULL, *label = NULL;
    for (int i = 0; i < SC_COUNT(labels) && !hit; i++) hit = strstr(text, label = labels[i]);
    *other = !hit;
    if (!hit) return NULL;
    const char *work = hit + strlen(label);
    size_t n = strlen(work);
    while (n && work[n - 1] == '\n') n--;
    int64_t steps = 0;
    for (size_t i = 0; i < n && work[i] != '\n'; i++) steps += work[i] == '=';
    return json_pack("{s:o, s:o, s:I}", "prompt", json_stringn(text, (size_t)(work - 1 - text)), "answer",
                     json_stringn(work, n), "difficulty", (json_int_t)steps);
}

static sc_status worked_rows(json_t **out, const sc_eval_open_options *o, const char *split, int64_t n)
{
    sc_world_stream *stream;
    sc_world_options w = {.kind = "arithmetic", .seed = o->seed, .language = o->language, .split = split};
    sc_status s = sc_world_open(&stream, &w);
    if (s) return s;
    json_t *rows = json_array(), *seen = json_object();
    if (!rows || !seen) s = sc_nomem();
    for (int64_t tries = 0; !s && (int64_t)json_array_size(rows) < n && tries < 40 * n; tries++) {
        sc_world_item item;
        bool other;
        s = sc_world_next(stream, &item);
        if (s || json_object_get(seen, item.text)) continue;
        json_t *row = worked_row(item.text, &other);
        if (other) continue; /* columns and drills are of this kind too */
        if (!row || json_array_append_new(rows, row) || json_object_set_new(seen, item.text, json_true()))
            s = sc_nomem();
    }
    sc_world_free(stream);
    json_decref(seen);
    if (s)
        json_decref(rows);
    else
        *out = rows;
    return s;
}

/* ---- configurations ---- */

/* "add_3" is what of "add" has difficulty 3. */
static const sc_eval_builtin *find_builtin(const char *name, int64_t *difficulty)
{
    *difficulty = 0;
    for (int i = 0; i < SC_COUNT(tasks); i++) {
        size_t n = strlen(tasks[i].name);
        if (strncmp(tasks[i].name, name, n) != 0) continue;
        if (!name[n]) return &tasks[i];
        if (name[n] == '_' && name[n + 1] >= '1' && name[n + 1] <= '9' && strlen(name + n + 1) <= 2 &&
            strspn(name + n + 1, "0123456789") == strlen(name + n + 1)) {
            *difficulty = atoi(name + n + 1);
            return &tasks[i];
        }
    }
    return NULL;
}

/* Those of this difficulty alone, at most n. */
static sc_status keep_difficulty(json_t **rows, const char *name, int64_t difficulty, int64_t n)
{
    json_t *kept = json_array();
    for (size_t i = 0; kept && i < json_array_size(*rows) && (int64_t)json_array_size(kept) < n; i++) {
        json_t *row = json_array_get(*rows, i);
        if (json_integer_value(json_object_get(row, "difficulty")) == difficulty) json_array_append(kept, row);
    }
    json_decref(*rows);
    *rows = kept;
    if (!kept) return sc_nomem();
    return json_array_size(kept) ? SC_OK : sc_fail(SC_ENOTFOUND, "%s: no items of this difficulty", name);
}

static sc_status rows_of(json_t **out, const sc_eval_builtin *b, const char *name, int64_t difficulty,
                         const sc_eval_open_options *o, const char *split, int64_t n)
{
    int64_t make = difficulty ? 16 * n : n; /* difficulties are made evenly, and are no more */
    sc_status s = strcmp(b->name, "worked_problems") == 0 ? worked_rows(out, o, split, make)
                                                          : made_rows(out, b->name, o, split, make);
    return s || !difficulty ? s : keep_difficulty(out, name, difficulty, n);
}

sc_status sc_eval_builtin_config(json_t **out, const char *name, const sc_eval_open_options *o)
{
    int64_t difficulty;
    const sc_eval_builtin *b = find_builtin(name, &difficulty);
    json_t *test = NULL, *train = NULL;
    *out = NULL;
    if (!b) return SC_OK;
    if (o->made < 0 || o->made > 100000) return sc_fail(SC_EINVAL, "%s: 1 to 100,000 items", name);
    sc_status s = rows_of(&test, b, name, difficulty, o, "eval", o->made ? o->made : 200);
    if (!s) s = rows_of(&train, b, name, difficulty, o, "train", difficulty ? 100 : 300);
    if (s) {
        json_decref(test);
        return s;
    }
    bool worked = strcmp(b->name, "worked_problems") == 0, texts = strcmp(b->name, "translate") == 0;
    json_t *metrics =
        worked  ? json_pack("[{s:s, s:[s]}]", "metric", "exact_match", "regexes_to_ignore", "(?s).*(Answer|답): ?")
        : texts ? json_pack("[{s:s}, {s:s}, {s:s}]", "metric", "exact_match", "metric", "chrf", "metric", "bleu")
                : json_pack("[{s:s}]", "metric", "exact_match");
    json_t *filter = worked ? json_pack("{s:s, s:s, s:i}", "function", "regex", "regex_pattern",
                                        "(?:Answer|답): *([^\\n]+)", "group_select", 0)
                            : json_pack("{s:s}", "function", "remove_whitespace");
    *out = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:{s:o, s:o}, s:o, s:{s:[s], s:i}, s:[{s:s, s:[o, {s:s}]}]}", "task",
        name, "output_type", "generate_until", "test_split", "eval", "training_split", "train", "fewshot_split",
        "train", "doc_to_text", "prompt", "doc_to_target", "answer", "rows", "eval", test, "train", train,
        "metric_list", metrics, "generation_kwargs", "until", worked ? "\n\n" : "\n", "max_gen_toks",
        worked  ? 200
        : texts ? 80
                : 40,
        "filter_list", "name", worked ? "answer" : "none", "filter", filter, "function", "take_first");
    return *out ? SC_OK : sc_nomem();
}
