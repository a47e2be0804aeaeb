/* SPDX-License-Identifier: Apache-2.0 */
/* Deciding about all documents: steps of tasks over sorted notes. */
#include "data/run.h"

#include <stdlib.h>

void sc_notes_add(sc_notes *x, uint64_t key, const void *p, int64_t n)
{
    struct {
        uint64_t key;
        int64_t n;
    } head = {key, n};
    sc_str_append(&x->bytes, (const char *)&head, sizeof head);
    if (n) sc_str_append(&x->bytes, p, n);
}

sc_status sc_deciding_notes(const sc_deciding *x, sc_merge **out, uint64_t lo, uint64_t hi)
{
    *out = NULL;
    return sc_merge_open(out, x->path, x->paths, lo, hi, x->memory / 2);
}

sc_status sc_deciding_share(const sc_deciding *x, sc_merge **out, int64_t i, int64_t n)
{
    uint64_t lo = (uint64_t)(((unsigned __int128)i << 64) / (uint64_t)n);
    uint64_t hi = (uint64_t)(((unsigned __int128)(i + 1) << 64) / (uint64_t)n) - 1; /* of the last: all ones */
    return sc_deciding_notes(x, out, lo, hi);
}

const char *sc_deciding_source(const sc_deciding *x, const char *number)
{
    long i = strtol(number, NULL, 10);
    return i >= 0 && i < x->run->config.n_sources ? x->run->config.source[i].name : number;
}

void sc_merge_with(sc_verdict *v, const char *reason, const sc_note *decision)
{
    sc_same same = {0};
    if (decision->n == sizeof same) memcpy(&same, decision->p, sizeof same);
    v->fate = SC_MERGE;
    v->reason = reason;
    v->has_value = true;
    v->value = same.similarity;
    v->other_file = same.file + 1;
    v->other_place = same.place;
}

sc_status sc_deciding_document(const sc_deciding *x, uint64_t ref, sc_document *d)
{
    return sc_piece_document(x->run, x->pass, ref, d);
}

static void free_paths(char **path, int64_t n)
{
    for (int64_t i = 0; path && i < n; i++) sc_free(path[i]);
    sc_free(path);
}

/* Files with what step `step` wrote in so many tasks; -1: the parts' notes. */
static sc_status paths_of(const sc_run *r, int pass, int step, int64_t n, char ***out)
{
    char **path = sc_calloc((size_t)n + 1, sizeof *path);
    bool whole = path != NULL;
    for (int64_t i = 0; whole && i < n; i++) {
        path[i] = step < 0 ? sc_run_path(r, "pass-%d/part-%06lld.notes", pass, (long long)i)
                           : sc_run_path(r, "pass-%d/step-%d/task-%06lld.notes", pass, step, (long long)i);
        whole = path[i] != NULL;
    }
    if (!whole) {
        free_paths(path, n);
        return sc_nomem();
    }
    *out = path;
    return SC_OK;
}

typedef struct deciding {
    const sc_step *step;
    sc_deciding x;
    int number;
    char **out; /* of each task */
} deciding;

static sc_status task_done(void *user, int64_t task, bool *there)
{
    *there = sc_path_exists(((const deciding *)user)->out[task]);
    return SC_OK;
}

static sc_status run_task(void *user, int64_t task)
{
    const deciding *d = user;
    sc_spill *out = NULL;
    sc_status s = sc_spill_open(&out, d->out[task], d->x.memory / 4);
    if (!s) s = d->step->stage->global->decide(d->step->self, &d->x, d->number, task, out);
    if (!s) s = sc_spill_commit(out);
    sc_spill_close(out);
    return s;
}

static sc_deciding deciding_of(const sc_run *r, const sc_pass *p)
{
    int threads = sc_pool_threads(r->ctx->pool);
    return (sc_deciding){
        .run = r, .pass = p->number, .parts = r->plan.n_parts, .memory = r->config.memory / (2 * threads)};
}

static sc_status one_step(sc_run *r, const sc_pass *p, int number, deciding *d)
{
    const sc_global *g = d->step->stage->global;
    char *dir = sc_run_path(r, "pass-%d/step-%d", p->number, number);
    int64_t tasks = g->tasks(d->step->self, &d->x, number);
    sc_status s = dir ? sc_mkdirs(dir) : sc_nomem();
    sc_free(dir);
    d->number = number;
    if (!s) s = paths_of(r, p->number, number, tasks, &d->out);
    if (!s)
        s = sc_work_all(r, &(sc_phase){.what = d->step->stage->name,
                                       .number = r->phase++,
                                       .tasks = tasks,
                                       .threads = true,
                                       .done = task_done,
                                       .run = run_task,
                                       .user = d});
    free_paths(d->x.path, d->x.paths);
    d->x.path = d->out;
    d->x.paths = s && !d->out ? 0 : tasks;
    d->out = NULL;
    return s;
}

sc_status sc_decide(sc_run *r, const sc_pass *p)
{
    deciding d = {.step = &r->config.step[p->last], .x = deciding_of(r, p)};
    sc_status s = paths_of(r, p->number, -1, r->plan.n_parts, &d.x.path);
    if (!s) d.x.paths = r->plan.n_parts;
    for (int i = 0; !s && i < d.step->stage->global->steps; i++) s = one_step(r, p, i, &d);
    free_paths(d.x.path, d.x.paths);
    return s;
}

sc_status sc_decisions_open(sc_merge **out, const sc_run *r, int pass, int64_t part)
{
    const sc_pass *p = &r->pass[pass];
    const sc_step *t = &r->config.step[p->last];
    const sc_global *g = t->stage->global;
    sc_deciding x = deciding_of(r, p);
    int64_t tasks = g->tasks(t->self, &x, g->steps - 1);
    char **path;
    sc_status s = paths_of(r, pass, g->steps - 1, tasks, &path);
    if (s) return s;
    s = sc_merge_open(out, path, tasks, sc_ref(part, 0), sc_ref(part + 1, 0) - 1, r->config.memory / 8);
    free_paths(path, tasks);
    return s;
}
