/* SPDX-License-Identifier: Apache-2.0 */
/* A task file from anywhere, with its rows within: read, its prompts made, answers filtered and graded. Where the text has a
 * NUL, rows in another format follow it, and behind a second one an answer. */
#include "eval/eval.h"

#include <stdlib.h>

static void check(sc_status s)
{
    if (s && (!sc_error()[0] || strpbrk(sc_error(), "\n\033"))) abort();
}

/* No file of this machine is opened because an input names it. */
static json_t *without_files(json_t *config)
{
    static const char *const keys[] = {"dataset_path", "dataset_kwargs", "include"};
    for (int i = 0; i < SC_COUNT(keys); i++) json_object_del(config, keys[i]);
    return config;
}

static void use_task(sc_eval_task *t, const char *answer)
{
    sc_eval_options o = sc_eval_options_default();
    sc_eval_prompter p;
    o.shots = SC_MIN(t->shots, 3);
    sc_eval_prompter_start(&p, t, &o);
    for (size_t i = 0; i < json_array_size(t->rows) && i < 3; i++) {
        const json_t *row = json_array_get(t->rows, i);
        sc_eval_parts parts;
        sc_eval_item item;
        json_t *prompts;
        double grade;
        if (t->kind >= SC_EVAL_SIMILARITY) return;
        sc_status s = sc_eval_parts_get(&parts, t, row, false);
        check(s);
        if (!s) {
            if (!(s = sc_eval_prompts(&prompts, &p, row, &parts))) json_decref(prompts);
            check(s);
            sc_eval_parts_free(&parts);
        }
        if (!(s = sc_eval_item_get(&item, t, SC_EVAL_TEST, (int64_t)i))) sc_eval_item_free(&item);
        check(s);
        check(sc_eval_grade(&grade, t, (int64_t)i, answer));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"json", "csv", "tsv", "text"};
    const char *p = (const char *)data, *nul = size ? memchr(p, 0, size) : NULL;
    size_t n = nul ? (size_t)(nul - p) : size;
    const char *rest = nul ? nul + 1 : "", *second = nul ? memchr(rest, 0, size - n - 1) : NULL;
    size_t rest_n = second ? (size_t)(second - rest) : nul ? size - n - 1 : 0;
    char answer[200] = "42";
    if (second)
        snprintf(answer, sizeof answer, "%.*s", (int)SC_MIN(size - n - rest_n - 2, sizeof answer - 1), second + 1);
    json_t *config = NULL, *rows = json_array(), *value;
    sc_status s = sc_yaml_parse(&config, p ? p : "", (int64_t)n, "fuzz");
    check(s);
    if (!sc_py_literal(&value, p ? p : "", (int64_t)n, "fuzz")) json_decref(value);
    for (int i = 0; i < SC_COUNT(kinds) && nul; i++)
        check(sc_dataset_parse(rows, rest, (int64_t)rest_n, "fuzz", kinds[i], NULL));
    if (!s && json_is_object(config)) {
        sc_eval_task *t;
        s = sc_eval_task_new(&t, without_files(config), "fuzz", &(sc_eval_open_options){0});
        check(s);
        if (!s) use_task(t, answer);
        if (!s) sc_eval_task_free(t);
    } else {
        json_decref(config);
    }
    json_decref(rows);
    return 0;
}
