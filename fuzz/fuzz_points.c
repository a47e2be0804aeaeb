/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a file of runs; what is read can be fitted or is refused. */
#include "scale/scale.h"

#include <math.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fit(const sc_scale_points *p)
{
    const sc_law_options o = {.bootstrap = 3};
    sc_law_fit *f = NULL;
    sc_isoflops *x = NULL;
    if (sc_law_fit_new(&f, NULL, SC_LAW_KAPLAN_COMPUTE, p, &o) == SC_OK && !isfinite(f->law.p[1])) abort();
    if (sc_isoflops_new(&x, p, f) == SC_OK)
        for (int64_t i = 0; i < x->n; i++)
            if (x->level[i].inside && !(x->level[i].n > 0)) abort();
    sc_isoflops_free(x);
    sc_law_fit_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"points.jsonl", "points.tsv", "points.csv"};
    enum { FEW = 30 };
    for (int k = 0; k < SC_COUNT(names); k++) {
        sc_scale_points p = {0};
        int64_t cap = 0;
        if (sc_scale_points_text(&p, &cap, names[k], (const char *)data, (int64_t)size) == SC_OK) {
            for (int64_t i = 0; i < p.n; i++)
                if (!(p.point[i].n > 0 && p.point[i].d > 0 && p.point[i].loss > 0 && p.point[i].c > 0)) abort();
            if (sc_scale_points_levels(&p) == SC_OK && p.n <= FEW) fit(&p);
        }
        for (int64_t i = 0; i < p.n; i++) sc_free((void *)(uintptr_t)p.point[i].name);
        sc_free(p.point);
    }
    return 0;
}
