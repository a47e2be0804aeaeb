/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of any kind as a task to compare on: items, parts, prompts, and answers held against them. */
#include "compare/compare.h"
#include "eval/eval.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const sc_compare_task *t, const sc_compare_options *o)
{
    char said[] = "1,000 or yes";
    const sc_compare_item *it = t->test.item[0];
    const sc_ask_solution y = {.answer = said, .text = said};
    double score;
    json_t *example = sc_compare_example(o, t, it);
    (void)sc_compare_grade(&score, t, it, &y);
    json_decref(example);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const kinds[] = {"json", "csv", "tsv"}, *const labels[] = {"0=no", "1=yes"};
    if (size < 1 || size > 1 << 16) return 0;
    const sc_compare_options o = {.data = "rows",
                                  .labels = labels,
                                  .n_labels = 2,
                                  .prompt = data[0] & 4 ? "{input} {choices}" : NULL,
                                  .chat = data[0] & 8};
    sc_compare_task t = {.arena = sc_arena_new()};
    json_t *rows = json_array();
    if (t.arena && rows &&
        !sc_dataset_parse(rows, (const char *)data + 1, (int64_t)size - 1, "rows", kinds[data[0] % 3], NULL) &&
        !sc_compare_task_rows(&t, &o, rows, "rows") && !sc_compare_task_finish(&t, &o, 0))
        ask(&t, &o);
    sc_compare_task_free(&t);
    json_decref(rows);
    return 0;
}
