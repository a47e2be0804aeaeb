/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a table nearest to a vector: all products, then the best few of them. */
#include "infer/infer.h"

/* out[0..found) is in order; a row goes behind those that are as good. */
static int64_t insert(sc_neighbor *out, int64_t found, int64_t k, int64_t row, float score)
{
    int64_t at = found;
    if (found == k && !(score > out[k - 1].score)) return found;
    if (found < k) found++;
    for (at = SC_MIN(at, k - 1); at > 0 && score > out[at - 1].score; at--) out[at] = out[at - 1];
    out[at] = (sc_neighbor){row, score};
    return found;
}

sc_status sc_nearest(sc_context *ctx, const float *table, int64_t n, int64_t width, const float *query, int64_t k,
                     sc_neighbor *out, int64_t *found)
{
    sc_backend *backend = NULL;
    sc_graph *g = NULL;
    sc_plan *plan = NULL;
    if (n < 0 || width < 1 || k < 0)
        return sc_fail(SC_EINVAL, "the %lld nearest of %lld", (long long)k, (long long)n);
    *found = 0;
    if (!n || !k) return SC_OK;
    sc_status s = sc_backend_new(&backend, ctx);
    if (!s) s = sc_graph_new(&g, NULL);
    if (!s) {
        sc_storage st = {.dtype = SC_F32, .stride = {width, 1}, .data = (void *)(uintptr_t)table};
        sc_tensor *x = sc_graph_input(g, "query", SC_F32, &(sc_shape){2, {1, width}});
        sc_tensor *y = sc_apply_linear(g, x, sc_graph_constant(g, "table", &(sc_shape){2, {n, width}}, &st), NULL);
        s = g->status ? sc_fail(g->status, "%s", g->fault) : sc_plan_new(&plan, g, backend, &y, 1);
        if (!s) memcpy(sc_plan_data(plan, x), query, sizeof *query * (size_t)width);
        if (!s) s = sc_plan_run(plan);
        const float *score = s ? NULL : sc_plan_data(plan, y);
        for (int64_t i = 0; !s && i < n; i++) *found = insert(out, *found, k, i, score[i]);
    }
    sc_plan_free(plan);
    sc_graph_free(g);
    if (backend) backend->free(backend);
    return s;
}
