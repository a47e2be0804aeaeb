/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of tasks: made, or read from a file; and how near an answer is. */
#include "world/world.h"

#include <stdlib.h>

#define MAX_FILE (1LL << 30)
enum { MAX_TASKS = 1000000, MAX_LENGTH = 4096 };

void sc_tasks_free(sc_task_set *set)
{
    if (!set) return;
    for (int64_t i = 0; i < set->n; i++) {
        sc_free(set->task[i].kind);
        sc_free(set->task[i].prompt);
        sc_free(set->task[i].answer);
    }
    sc_free(set->task);
    sc_free(set);
}

static sc_status append(sc_task_set *set, int64_t *cap, const char *kind, const char *prompt, const char *answer,
                        int64_t difficulty)
{
    if (!sc_grow(&set->task, cap, set->n + 1, sizeof *set->task)) return sc_nomem();
    sc_task *t = &set->task[set->n++];
    *t = (sc_task){sc_strdup(kind), sc_strdup(prompt), sc_strdup(answer), difficulty};
    return t->kind && t->prompt && t->answer ? SC_OK : sc_nomem();
}

/* ---- made ---- */

/* The drawn items sorted by difficulty in turn would need all of them; instead each difficulty takes at most its even part
 * of the set until a long run of items brings nothing new, and then whatever comes. */
enum { LEVELS = 32, PATIENCE = 2000 };

static sc_status draw_tasks(sc_task_set *set, sc_world_stream *s, int64_t n)
{
    sc_map seen = {0};
    int64_t taken[LEVELS] = {0}, cap = 0, levels = 1, idle = 0;
    bool seen_level[LEVELS] = {false};
    sc_status status = SC_OK;
    while (!status && set->n < n && idle < 2 * PATIENCE) {
        sc_world_item item;
        int64_t at;
        status = sc_world_next(s, &item);
        if (status) break;
        if (!item.prompt) {
            status = sc_fail(SC_EINVAL, "%s: texts of this kind are no tasks", item.kind);
            break;
        }
        int level = SC_MIN(item.difficulty, LEVELS - 1);
        seen_level[level] = true;
        levels = 0;
        for (int i = 0; i < LEVELS; i++) levels += seen_level[i];
        idle++;
        if (sc_map_get(&seen, item.prompt, (int64_t)strlen(item.prompt), &at)) continue;
        if (taken[level] * levels >= n && idle < PATIENCE) continue;
        status = append(set, &cap, item.kind, item.prompt, item.answer, item.difficulty);
        if (status) break;
        const char *prompt = set->task[set->n - 1].prompt;
        if (!sc_map_put(&seen, prompt, (int64_t)strlen(prompt), 1)) status = sc_nomem();
        taken[level]++;
        idle = 0;
    }
    sc_map_free(&seen);
    return status;
}

sc_status sc_tasks_make(sc_task_set **out, const sc_world_options *options, int64_t n)
{
    if (n < 1 || n > MAX_TASKS) return sc_fail(SC_EINVAL, "%lld tasks: expected 1 to %d", (long long)n, MAX_TASKS);
    sc_world_options o = *options;
    if (!o.split) o.split = "eval";
    sc_world_stream *s;
    sc_status status = sc_world_open(&s, &o);
    if (status) return status;
    sc_task_set *set = sc_calloc(1, sizeof *set);
    status = set ? draw_tasks(set, s, n) : sc_nomem();
    sc_world_free(s);
    if (status) {
        sc_tasks_free(set);
        return status;
    }
    *out = set;
    return SC_OK;
}

/* ---- read ---- */

static sc_status read_line(sc_task_set *set, int64_t *cap, const char *p, int64_t n)
{
    json_t *o;
    const char *kind = "", *prompt = NULL, *answer = NULL;
    int64_t difficulty = 0;
    sc_status s = sc_json_parse(&o, p, n, "a task");
    if (s) return s;
    s = json_is_object(o) ? SC_OK : sc_fail(SC_EFORMAT, "expected an object");
    if (!s) s = sc_json_str(o, "task", "kind", &kind);
    if (!s) s = sc_json_str(o, "task", "prompt", &prompt);
    if (!s) s = sc_json_str(o, "task", "answer", &answer);
    if (!s) s = sc_json_int(o, "task", "difficulty", 0, INT32_MAX, &difficulty);
    if (!s && (!prompt || !*prompt || !answer || !*answer))
        s = sc_fail(SC_EFORMAT, "a task has a \"prompt\" and an \"answer\"");
    if (!s && set->n == MAX_TASKS) s = sc_fail(SC_ELIMIT, "more than %d tasks", MAX_TASKS);
    if (!s) s = append(set, cap, kind, prompt, answer, difficulty);
    json_decref(o);
    return s;
}

sc_status sc_tasks_read(sc_task_set **out, const char *path)
{
    char *data;
    int64_t len, cap = 0, line = 1;
    sc_status s = sc_file_read(&data, &len, path, MAX_FILE);
    if (s) return s;
    sc_task_set *set = sc_calloc(1, sizeof *set);
    if (!set) s = sc_nomem();
    for (int64_t at = 0; !s && at < len; line++) {
        const char *end = memchr(data + at, '\n', (size_t)(len - at));
        int64_t n = (end ? end - data : len) - at, blank = 0;
        while (blank < n && strchr(" \t\r", data[at + blank])) blank++;
        if (blank < n && (s = read_line(set, &cap, data + at, n)))
            s = sc_fail_in(s, "%s line %lld", path, (long long)line);
        at += n + 1;
    }
    sc_free(data);
    if (!s && set->n == 0) s = sc_fail(SC_EFORMAT, "%s: no tasks", path);
    if (s) {
        sc_tasks_free(set);
        return s;
    }
    *out = set;
    return SC_OK;
}

/* ---- how near ---- */

/* What of an answer counts: the first line that has more than spaces, without spaces around it. */
static const char *trim(const char *p, int64_t *n)
{
    while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') p++;
    int64_t len = (int64_t)strcspn(p, "\r\n");
    while (len > 0 && (p[len - 1] == ' ' || p[len - 1] == '\t')) len--;
    *n = len;
    return p;
}

bool sc_task_exact(const sc_task *t, const char *given)
{
    int64_t n, m;
    const char *a = trim(t->answer, &n), *b = trim(given, &m);
    return n == m && memcmp(a, b, (size_t)n) == 0;
}

static int64_t characters(const char *p, int64_t n, uint32_t out[MAX_LENGTH])
{
    int64_t k = 0;
    for (int64_t at = 0; at < n && k < MAX_LENGTH;) at += sc_utf8_decode(p + at, n - at, &out[k++]);
    return k;
}

double sc_task_similarity(const sc_task *t, const char *given)
{
    uint32_t a[MAX_LENGTH], b[MAX_LENGTH];
    int32_t row[MAX_LENGTH + 1];
    int64_t n, m;
    const char *p = trim(t->answer, &n), *q = trim(given, &m);
    n = characters(p, n, a);
    m = characters(q, m, b);
    for (int64_t j = 0; j <= m; j++) row[j] = (int32_t)j;
    for (int64_t i = 1; i <= n; i++) { /* row[j]: the distance of a[0..i) and b[0..j) */
        int32_t corner = row[0];
        row[0] = (int32_t)i;
        for (int64_t j = 1; j <= m; j++) {
            int32_t change = corner + (a[i - 1] != b[j - 1]), gap = SC_MIN(row[j], row[j - 1]) + 1;
            corner = row[j];
            row[j] = SC_MIN(change, gap);
        }
    }
    int64_t longer = SC_MAX(n, m);
    return longer ? 1 - (double)row[m] / (double)longer : 1;
}
