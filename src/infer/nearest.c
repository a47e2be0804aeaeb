/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of a table nearest to a vector: all products, then the best few of them. */
#include "infer/infer.h"

int64_t sc_neighbor_insert(sc_neighbor *best, int64_t found, int64_t k, int64_t row, float score)
{
    if (found == k && !(score > best[k - 1].score)) return found;
    int64_t at = SC_MIN(found, k - 1);
    for (; at > 0 && score > best[at - 1].score; at--) best[at] = best[at - 1];
    best[at] = (sc_neighbor){row, score};
    return SC_MIN(found + 1, k);
}

sc_status sc_products_new(sc_products *p, sc_context *ctx, const float *table, int64_t n, int64_t width,
                          int64_t queries)
{
    sc_storage st = {.dtype = SC_F32, .stride = {width, 1}, .data = (void *)(uintptr_t)table};
    sc_status s = sc_backend_new(&p->backend, ctx);
    if (!s) s = sc_graph_new(&p->g, NULL);
    if (!s) {
        p->x = sc_graph_input(p->g, "query", SC_F32, &(sc_shape){2, {queries, width}});
        p->y = sc_apply_linear(p->g, p->x, sc_graph_constant(p->g, "table", &(sc_shape){2, {n, width}}, &st), NULL);
        s = p->g->status ? sc_fail(p->g->status, "%s", p->g->fault)
                         : sc_plan_new(&p->plan, p->g, p->backend, &p->y, 1);
    }
    if (s) sc_products_free(p);
    return s;
}

sc_status sc_products_run(sc_products *p, const float *query, int64_t rows, const float **out)
{
    int64_t width = p->x->shape.dim[1], all = p->x->shape.dim[0];
    float *x = sc_plan_data(p->plan, p->x);
    memcpy(x, query, sizeof *x * (size_t)(rows * width));
    memset(x + rows * width, 0, sizeof *x * (size_t)((all - rows) * width));
    sc_status s = sc_plan_run(p->plan);
    if (!s) *out = sc_plan_data(p->plan, p->y);
    return s;
}

void sc_products_free(sc_products *p)
{
    sc_plan_free(p->plan);
    sc_graph_free(p->g);
    if (p->backend) p->backend->free(p->backend);
    *p = (sc_products){0};
}

sc_status sc_nearest(sc_context *ctx, const float *table, int64_t n, int64_t width, const float *query, int64_t k,
                     sc_neighbor *out, int64_t *found)
{
    sc_products p = {0};
    const float *score;
    if (n < 0 || width < 1 || k < 0)
        return sc_fail(SC_EINVAL, "the %lld nearest of %lld", (long long)k, (long long)n);
    *found = 0;
    if (!n || !k) return SC_OK;
    sc_status s = sc_products_new(&p, ctx, table, n, width, 1);
    if (!s) s = sc_products_run(&p, query, 1, &score);
    for (int64_t i = 0; !s && i < n; i++) *found = sc_neighbor_insert(out, *found, k, i, score[i]);
    sc_products_free(&p);
    return s;
}
