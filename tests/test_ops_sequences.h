/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of test_ops.c for what encoders do with whole sequences; included by it. */

static void pool_trial(trial *t)
{
    batch b = any_batch(t, 40);
    sc_pool_kind kind = (sc_pool_kind)random_in(&t->seed, 0, SC_POOL_COUNT - 1);
    int64_t c = random_in(&t->seed, 1, 70), n = 0;
    int32_t first[8], stop[8];
    for (int64_t s = 0; s < b.sequences; s++) { /* those with tokens, less some of the first ones */
        if (b.start[s + 1] == b.start[s]) continue;
        first[n] = (int32_t)random_in(&t->seed, b.start[s], b.start[s + 1] - 1);
        stop[n++] = b.start[s + 1];
    }
    value x = look(t, ANY, 2, (int64_t[]){b.tokens, c});
    answer(t, sc_pool_tokens(t->g, kind, x.t, table(t, 1, &n, first), table(t, 1, &n, stop)), 1e-6);
    for (int64_t i = 0; i < n * c; i++) {
        double sum = 0, weights = 0, top = -INFINITY, size = 0.5;
        for (int64_t k = first[i / c]; k < stop[i / c]; k++) {
            double v = x.v[k * c + i % c], w = kind == SC_POOL_WEIGHTED ? (double)(k - first[i / c] + 1) : 1;
            sum += w * v;
            weights += w;
            top = fmax(top, v);
            size += fabs(v);
        }
        double all[] = {[SC_POOL_FIRST] = x.v[first[i / c] * c + i % c],
                        [SC_POOL_LAST] = x.v[(stop[i / c] - 1) * c + i % c],
                        [SC_POOL_MEAN] = sum / weights,
                        [SC_POOL_MAX] = top,
                        [SC_POOL_MEAN_SQRT] = sum / sqrt(weights),
                        [SC_POOL_WEIGHTED] = sum / weights};
        t->want[i] = all[kind];
        t->scale[i] = size;
    }
}

static void unfold_trial(trial *t)
{
    batch b = any_batch(t, 30);
    int64_t c = random_in(&t->seed, 1, 20), n = random_in(&t->seed, 1, 7);
    value x = look(t, ANY, 2, (int64_t[]){b.tokens, c});
    answer(t, sc_unfold(t->g, x.t, &b.in, n), 0);
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t i = b.start[s]; i < b.start[s + 1]; i++)
            for (int64_t k = 0; k < c * n; k++) {
                int64_t from = i + k % n - (n - 1) / 2;
                bool there = from >= b.start[s] && from < b.start[s + 1];
                t->want[i * c * n + k] = there ? x.v[from * c + k / n] : 0;
            }
}

/* The bucket of a distance, as the model's definition has it. */
static int64_t bucket(const sc_disentangled_attr *a, int64_t half, int64_t distance)
{
    double far = fabs((double)distance), mid = (double)(a->buckets / 2), place = far;
    if (a->buckets && far > mid)
        place = mid + ceil((double)(logf((float)(far / mid)) / logf((float)((double)(a->farthest - 1) / mid)) *
                                    (float)(mid - 1)));
    int64_t row = half + (int64_t)(distance < 0 ? -place : place);
    return SC_MAX(SC_MIN(row, 2 * half - 1), 0);
}

static void disentangled_trial(trial *t)
{
    batch b = any_batch(t, random_in(&t->seed, 0, 1) ? 20 : 150);
    int64_t heads = random_in(&t->seed, 1, 3), d = random_in(&t->seed, 1, 40), half = random_in(&t->seed, 2, 90);
    sc_disentangled_attr a = {.scale = 1 / sqrtf((float)(3 * d))};
    if (random_in(&t->seed, 0, 1)) {
        a.buckets = half;
        a.farthest = half / 2 + random_in(&t->seed, 2, 120);
    }
    value x[5] = {{0}};
    for (int i = 0; i < 5; i++)
        if (i < 3 || random_in(&t->seed, 0, 2))
            x[i] = look(t, DENSE_LAST, 3, (int64_t[]){i < 3 ? b.tokens : 2 * half, heads, d});
    answer(t, sc_disentangled(t->g, x[0].t, x[1].t, x[2].t, x[3].t, x[4].t, &b.in, &a), 3e-6);
    for (int64_t s = 0; s < b.sequences; s++)
        for (int64_t i = b.start[s]; i < b.start[s + 1]; i++)
            for (int64_t h = 0; h < heads; h++) {
                double p[1024], sum = 0, top = -INFINITY, *want = t->want + (i * heads + h) * d;
                for (int64_t j = b.start[s]; j < b.start[s + 1]; j++) {
                    int64_t row = bucket(&a, half, i - j), at = j - b.start[s];
                    p[at] = 0;
                    for (int64_t k = 0; k < d; k++) {
                        double q = x[0].v[(i * heads + h) * d + k], key = x[1].v[(j * heads + h) * d + k];
                        p[at] += q * key;
                        if (x[3].v) p[at] += q * x[3].v[(row * heads + h) * d + k];
                        if (x[4].v) p[at] += key * x[4].v[(row * heads + h) * d + k];
                    }
                    top = fmax(top, p[at] *= a.scale);
                }
                for (int64_t at = 0; at < b.start[s + 1] - b.start[s]; at++) sum += p[at] = exp(p[at] - top);
                for (int64_t k = 0; k < d; k++) {
                    for (int64_t j = b.start[s]; j < b.start[s + 1]; j++)
                        want[k] += p[j - b.start[s]] / sum * x[2].v[(j * heads + h) * d + k];
                    t->scale[(i * heads + h) * d + k] = 1;
                }
            }
}
