/* SPDX-License-Identifier: Apache-2.0 */
/* What inner loops draw from: weights, frequencies, and the tree of hierarchical softmax. */
#include "vectors/vectors.h"

#include <math.h>

uint64_t sc_draw_state(uint64_t seed, uint64_t stream, uint64_t i)
{
    uint32_t x[4];
    sc_philox(seed, stream, i, x);
    return (uint64_t)x[0] << 32 | x[1];
}

/* Vose's method: each slot gets a share of its own number and is filled up by one of those that have more than the mean. */
sc_status sc_alias_make(sc_alias *a, const double *weight, int64_t n)
{
    double sum = 0;
    int64_t n_small = 0, n_large = 0;
    if (n < 1 || n > INT32_MAX) return sc_fail(SC_EINVAL, "a draw from %lld numbers", (long long)n);
    for (int64_t i = 0; i < n; i++) {
        if (!(weight[i] >= 0 && weight[i] < INFINITY)) return sc_fail(SC_EINVAL, "a weight of %g", weight[i]);
        sum += weight[i];
    }
    if (!(sum > 0 && sum < INFINITY)) return sc_fail(SC_EINVAL, "weights whose sum is %g", sum);
    struct sc_alias_slot *slot = sc_calloc((size_t)n, sizeof *slot);
    double *share = sc_malloc((size_t)n * sizeof *share);
    int32_t *small = sc_malloc((size_t)n * sizeof *small), *large = sc_malloc((size_t)n * sizeof *large);
    bool ok = slot && share && small && large;
    for (int64_t i = 0; ok && i < n; i++) {
        share[i] = weight[i] / sum * (double)n;
        if (share[i] < 1)
            small[n_small++] = (int32_t)i;
        else
            large[n_large++] = (int32_t)i;
    }
    while (ok && n_small && n_large) {
        int32_t s = small[--n_small], l = large[n_large - 1];
        slot[s] = (struct sc_alias_slot){(uint32_t)(share[s] * 0x1p32), l};
        share[l] -= 1 - share[s];
        if (share[l] < 1) {
            n_large--;
            small[n_small++] = l;
        }
    }
    /* What is left is 1 but for rounding. */
    while (ok && n_large) n_large--, slot[large[n_large]] = (struct sc_alias_slot){UINT32_MAX, large[n_large]};
    while (ok && n_small) n_small--, slot[small[n_small]] = (struct sc_alias_slot){UINT32_MAX, small[n_small]};
    sc_free(share);
    sc_free(small);
    sc_free(large);
    if (!ok) {
        sc_free(slot);
        return sc_nomem();
    }
    *a = (sc_alias){n, slot};
    return SC_OK;
}

void sc_alias_free(sc_alias *a)
{
    sc_free(a->slot);
    *a = (sc_alias){0};
}

sc_status sc_alias_negatives(sc_alias *a, const sc_lexicon *x, double power)
{
    int64_t words = x->n - x->labels;
    double *weight = sc_malloc((size_t)words * sizeof *weight);
    if (!weight) return sc_nomem();
    for (int64_t i = 0; i < words; i++) weight[i] = pow((double)x->count[i], power);
    sc_status s = sc_alias_make(a, weight, words);
    sc_free(weight);
    return s;
}

sc_status sc_subsample_make(uint32_t **keep, const sc_lexicon *x, double threshold)
{
    uint32_t *k = sc_malloc((size_t)x->n * sizeof *k);
    if (!k) return sc_nomem();
    for (int64_t i = 0; i < x->n; i++) {
        double share = threshold > 0 ? threshold * (double)x->tokens / (double)x->count[i] : 1;
        k[i] = (uint32_t)SC_MIN((sqrt(share) + share) * 0x1p32, (double)UINT32_MAX);
    }
    *keep = k;
    return SC_OK;
}

/* ---- Huffman ---- */

typedef struct tree {
    int64_t *weight;
    int32_t *parent;
    uint8_t *second;
} tree;

/* Nodes 0 .. n - 1 are the leaves, then inner ones as they are made. As both leaves (from the back) and inner nodes (from the
 * front) ascend, the two lightest are at the heads of two queues. */
static void join(tree *t, int64_t n)
{
    int64_t leaf = n - 1, inner = n;
    for (int64_t node = n; node < 2 * n - 1; node++)
        for (int k = 0; k < 2; k++) {
            bool from_leaves = leaf >= 0 && (inner >= node || t->weight[leaf] < t->weight[inner]);
            int64_t least = from_leaves ? leaf-- : inner++;
            t->weight[node] += t->weight[least];
            t->parent[least] = (int32_t)node;
            t->second[least] = k == 1;
        }
}

static sc_status paths(sc_huffman *h, const tree *t, int64_t n)
{
    int64_t total = 0, root = 2 * n - 2;
    if (!(h->at = sc_malloc(((size_t)n + 1) * sizeof *h->at))) return sc_nomem();
    for (int64_t i = 0; i < n; i++) {
        h->at[i] = total;
        for (int64_t j = i; j != root; j = t->parent[j]) total++;
    }
    h->at[n] = total;
    h->n = n;
    h->node = sc_malloc((size_t)total * sizeof *h->node);
    h->bit = sc_malloc((size_t)total);
    if (!h->node || !h->bit) return sc_nomem();
    for (int64_t i = 0, k = 0; i < n; i++)
        for (int64_t j = i; j != root; j = t->parent[j], k++) {
            h->node[k] = (int32_t)(t->parent[j] - n);
            h->bit[k] = t->second[j];
        }
    return SC_OK;
}

sc_status sc_huffman_make(sc_huffman *h, const int64_t *count, int64_t n)
{
    if (n < 1 || n > SC_VECTORS_MOST_WORDS) return sc_fail(SC_EINVAL, "a tree over %lld words", (long long)n);
    sc_huffman made = {0};
    tree t = {sc_calloc((size_t)(2 * n), sizeof *t.weight), sc_calloc((size_t)(2 * n), sizeof *t.parent),
              sc_calloc((size_t)(2 * n), 1)};
    sc_status s = t.weight && t.parent && t.second ? SC_OK : sc_nomem();
    if (!s) {
        memcpy(t.weight, count, (size_t)n * sizeof *count);
        join(&t, n);
        s = paths(&made, &t, n);
    }
    sc_free(t.weight);
    sc_free(t.parent);
    sc_free(t.second);
    if (s)
        sc_huffman_free(&made);
    else
        *h = made;
    return s;
}

void sc_huffman_free(sc_huffman *h)
{
    sc_free(h->at);
    sc_free(h->node);
    sc_free(h->bit);
    *h = (sc_huffman){0};
}
