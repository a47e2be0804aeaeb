/* SPDX-License-Identifier: Apache-2.0 */
/* Relative positions. */
#include "nn/nn.h"

#include <math.h>

int32_t sc_relative_bucket(const sc_relative_config *c, int64_t distance)
{
    int64_t n = c->bidirectional ? c->buckets / 2 : c->buckets, exact = n / 2, base = 0;
    if (c->bidirectional && distance > 0) base = n;
    int64_t far = c->bidirectional ? (distance < 0 ? -distance : distance) : SC_MAX(-distance, 0);
    if (far < exact) return (int32_t)(base + far);
    /* In the precision of the models' training, since a bucket changes where a quotient is whole. */
    float place = logf((float)far / (float)exact) / (float)log((double)c->farthest / (double)exact);
    int64_t more = (int64_t)(place * (float)(n - exact));
    return (int32_t)(base + SC_MIN(exact + more, n - 1));
}

sc_tensor *sc_relative_bias(sc_graph *g, const char *name, const sc_relative_config *c)
{
    int64_t n = 2 * c->farthest + 1;
    if (g->status) return NULL;
    int32_t *bucket = sc_arena_alloc(g->arena, sizeof *bucket * (size_t)n);
    if (!bucket) return sc_graph_fault(g, sc_nomem());
    for (int64_t i = 0; i < n; i++) bucket[i] = sc_relative_bucket(c, i - c->farthest);
    sc_storage st = {.dtype = SC_I32, .stride = {1}, .data = bucket};
    sc_tensor *ids = sc_graph_constant(g, "bucket", &(sc_shape){1, {n}}, &st);
    sc_tensor *by_distance = sc_embedding(g, name, ids, c->buckets, c->heads); /* (2M + 1, H) */
    return sc_contiguous(g, sc_permute(g, by_distance, (int[]){1, 0}));
}
