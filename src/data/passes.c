/* SPDX-License-Identifier: Apache-2.0 */
/* The row of passes, and what stands between them. */
#include "data/run.h"

#include <unistd.h>

sc_status sc_passes_make(sc_run *r)
{
    const sc_config *c = &r->config;
    if (!(r->pass = sc_calloc((size_t)c->n_steps + 1, sizeof *r->pass))) return sc_nomem();
    int told = -1, first = 0;
    for (int i = 0; i <= c->n_steps; i++) {
        bool ends = i == c->n_steps;
        if (!ends && !c->step[i].stage->global) continue;
        r->pass[r->passes] = (sc_pass){.number = r->passes, .told = told, .first = first, .last = i, .ends = ends};
        r->passes++;
        told = i;
        first = i + 1;
    }
    return SC_OK;
}

typedef struct passing {
    sc_run *run;
    const sc_pass *pass;
} passing;

static sc_status part_done(void *user, int64_t part, bool *there)
{
    const passing *x = user;
    char *path = sc_run_path(x->run, "pass-%d/part-%06lld.json", x->pass->number, (long long)part);
    if (!path) return sc_nomem();
    *there = sc_path_exists(path);
    sc_free(path);
    return SC_OK;
}

static sc_status run_part(void *user, int64_t part)
{
    const passing *x = user;
    return sc_part_run(x->run, x->pass, part);
}

/* What a pass wrote is not read again when the next one is through with all parts. */
static void forget(const sc_run *r, int pass)
{
    static const char *const kinds[] = {"docs", "notes"};
    for (int64_t i = 0; i < r->plan.n_parts; i++)
        for (int k = 0; k < SC_COUNT(kinds); k++) {
            char *path = sc_run_path(r, "pass-%d/part-%06lld.%s", pass, (long long)i, kinds[k]);
            if (path) unlink(path);
            sc_free(path);
        }
}

sc_status sc_passes_run(sc_run *r)
{
    sc_status s = SC_OK;
    for (int i = 0; !s && i < r->passes; i++) {
        const sc_pass *p = &r->pass[i];
        passing x = {r, p};
        char *dir = sc_run_path(r, "pass-%d", i), what[32];
        snprintf(what, sizeof what, "pass %d of %d", i + 1, r->passes);
        s = dir ? sc_mkdirs(dir) : sc_nomem();
        sc_free(dir);
        if (!s)
            s = sc_work_all(r, &(sc_phase){.what = what,
                                           .number = r->phase++,
                                           .tasks = r->plan.n_parts,
                                           .done = part_done,
                                           .run = run_part,
                                           .user = &x});
        if (!s && i > 0) forget(r, i - 1);
        if (!s && !p->ends) s = sc_decide(r, p);
    }
    return s;
}
