/* SPDX-License-Identifier: Apache-2.0 */
/* pass@k (Chen et al. 2021): answers that are programs are put together with their tests and run in a sandbox; the share of
 * sets of k answers in which one passes, estimated from all that there are. */
#include "eval/eval.h"

#include <stdlib.h>

enum { MOST_ARGUMENTS = 16 };

/* The program's text: the metric's template over the row, and the answer as {{ answer }}. */
static sc_status put_together(char **out, const sc_task_metric *m, const json_t *row, const json_t *answer)
{
    json_t *all = json_copy((json_t *)row);
    if (!all || json_object_set(all, "answer", (json_t *)answer)) {
        json_decref(all);
        return sc_nomem();
    }
    sc_status s = sc_eval_value_text(out, &m->program, all);
    json_decref(all);
    return s;
}

static sc_status run(bool *passed, const sc_task_metric *m, const sc_outcome *o, const json_t *answer)
{
    const char *argv[MOST_ARGUMENTS + 1] = {"python3", "program.py"};
    const json_t *command = json_object_get(m->options, "command");
    for (size_t i = 0; i < json_array_size(command) && i < MOST_ARGUMENTS; i++) {
        argv[i] = json_string_value(json_array_get(command, i));
        if (i + 1 < MOST_ARGUMENTS) argv[i + 1] = NULL;
    }
    const char *name = "program.py";
    char *text = NULL;
    sc_sandbox_result r = {0};
    sc_status s = sc_json_str(m->options, m->name, "file", &name);
    if (!s) s = put_together(&text, m, o->row, answer);
    if (s) return s;
    sc_sandbox_file file = {name, text, (int64_t)strlen(text)};
    s = sc_sandbox_run(o->box, o->ctx, &(sc_sandbox_job){.argv = argv, .file = &file, .n_files = 1}, &r);
    if (!s) *passed = r.end == SC_SANDBOX_EXITED && r.code == 0;
    sc_sandbox_result_free(&r);
    sc_free(text);
    return s;
}

sc_status sc_pass_item(const sc_task_metric *m, const sc_outcome *o, double *out)
{
    bool list = json_is_array(o->answer);
    int64_t n = list ? (int64_t)json_array_size(o->answer) : 1, k = m->depth;
    sc_status s = SC_OK;
    if (!o->box) return sc_fail(SC_EUNSUPPORTED, "%s: programs are run by an evaluation alone", m->name);
    if (k > n)
        return sc_fail(SC_EINVAL,
                       "pass@%lld of %lld answers: repeats, and a filter that keeps all, must give enough",
                       (long long)k, (long long)n);
    if (*o->passed < 0) {
        int64_t right = 0;
        for (int64_t i = 0; !s && i < n; i++) {
            bool passed = false;
            s = run(&passed, m, o, list ? json_array_get(o->answer, (size_t)i) : o->answer);
            right += passed;
        }
        if (s) return s;
        *o->passed = right;
    }
    double none = 1; /* that none of k drawn answers is right */
    for (int64_t i = n - *o->passed + 1; i <= n; i++) none *= SC_MAX(0, 1 - (double)k / (double)i);
    out[0] = n - *o->passed < k ? 1 : 1 - none;
    return SC_OK;
}
