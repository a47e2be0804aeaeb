/* SPDX-License-Identifier: Apache-2.0 */
/* Which keys a query sees, as ranges: a backend goes over these and leaves out the rest. Patterns of blocks are those of
 * Child et al. 2019 ("Sparse Transformer": strided, fixed) and Zaheer et al. 2020 ("BigBird": neighbours, ends, random). */
#include "ops/ops.h"

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static int by_from(const void *a, const void *b)
{
    int64_t x = ((const sc_key_range *)a)->from, y = ((const sc_key_range *)b)->from;
    return (x > y) - (x < y);
}

/* Sorts n ranges and joins those that touch. */
static int64_t tidy(sc_key_range *r, int64_t n)
{
    int64_t kept = 0;
    qsort(r, (size_t)n, sizeof *r, by_from);
    for (int64_t i = 0; i < n; i++) {
        if (r[i].from >= r[i].to) continue;
        if (kept && r[kept - 1].to >= r[i].from)
            r[kept - 1].to = SC_MAX(r[kept - 1].to, r[i].to);
        else
            r[kept++] = r[i];
    }
    return kept;
}

/* Adds the k-th block of those before `limit` that no range has. */
static int64_t add_hole(sc_key_range *r, int64_t n, int64_t k)
{
    int64_t i = 0, at = k; /* the block, if only the ranges before i are counted */
    while (i < n && r[i].from <= at) {
        at += r[i].to - r[i].from;
        i++;
    }
    memmove(r + i + 1, r + i, sizeof *r * (size_t)(n - i));
    r[i] = (sc_key_range){.from = at, .to = at + 1};
    return tidy(r, n + 1);
}

static int64_t add_random(const sc_block_pattern *p, int64_t head, int64_t block, int64_t limit, sc_key_range *r,
                          int64_t n)
{
    int64_t seen = 0;
    for (int64_t i = 0; i < n; i++) seen += r[i].to - r[i].from;
    uint64_t key = mix(mix(p->seed ^ mix((uint64_t)head)) ^ (uint64_t)block);
    for (int64_t k = 0; k < p->random && seen < limit; k++, seen++)
        n = add_hole(r, n, (int64_t)(mix(key + (uint64_t)k) % (uint64_t)(limit - seen)));
    return n;
}

/* The blocks before `limit` that block i sees besides its neighbours, of the two regular kinds. */
static int64_t add_regular(const sc_block_pattern *p, int64_t i, int64_t limit, sc_key_range *r)
{
    int64_t n = 0;
    if (p->kind == SC_BLOCKS_STRIDED)
        for (int64_t j = i % p->stride; j < limit; j += p->stride)
            r[n++] = (sc_key_range){.from = j, .to = SC_MIN(j + 1, limit)};
    if (p->kind != SC_BLOCKS_FIXED) return n;
    int64_t own = i / p->stride * p->stride;
    r[n++] = (sc_key_range){.from = own, .to = SC_MIN(own + p->stride, limit)};
    for (int64_t j = p->stride - p->summary; j < limit; j += p->stride)
        r[n++] = (sc_key_range){.from = j, .to = SC_MIN(j + p->summary, limit)};
    return n;
}

/* The blocks that block i of a sequence with `count` of them sees. */
static int64_t blocks_seen(const sc_block_pattern *p, bool causal, int64_t head, int64_t i, int64_t count,
                           sc_key_range *r)
{
    int64_t limit = causal ? i + 1 : count;
    if (i < p->first || (!causal && i >= count - p->last)) {
        *r = (sc_key_range){.from = 0, .to = limit};
        return 1;
    }
    int64_t n = add_regular(p, i, limit, r);
    r[n++] = (sc_key_range){.from = SC_MAX(i - p->near, 0), .to = SC_MIN(i + 1 + (causal ? 0 : p->near), limit)};
    r[n++] = (sc_key_range){.from = 0, .to = SC_MIN(p->first, limit)};
    if (!causal) r[n++] = (sc_key_range){.from = SC_MAX(count - p->last, 0), .to = count};
    n = add_random(p, head, i, limit, r, tidy(r, n));
    if (p->again > 0) {
        memmove(r + 1, r, sizeof *r * (size_t)n++);
        r[0].to = r[1].from = 1;
        r[0].again = p->again;
    }
    return n;
}

int64_t sc_attention_keys_most(const sc_attention_attr *a, int64_t keys)
{
    const sc_block_pattern *p = &a->blocks;
    if (!p->size) return 2;
    int64_t blocks = keys / p->size + 1;
    return SC_MIN(p->random, blocks) + (p->kind == SC_BLOCKS_LOCAL ? 0 : blocks / p->stride + 2) + 6;
}

int64_t sc_attention_keys(const sc_attention_attr *a, int64_t head, int64_t first, int64_t end, int64_t keys,
                          sc_key_range *out)
{
    const sc_block_pattern *p = &a->blocks;
    int64_t stop = a->causal ? SC_MIN(end, keys) : keys;
    if (p->size && keys > p->dense) {
        int64_t n = blocks_seen(p, a->causal, head, first / p->size, (keys + p->size - 1) / p->size, out);
        for (int64_t i = 0; i < n; i++) {
            out[i].from *= p->size;
            out[i].to = SC_MIN(out[i].to * p->size, stop);
        }
        return n && out[n - 1].from >= out[n - 1].to ? n - 1 : n;
    }
    out[0] = (sc_key_range){.from = 0, .to = stop};
    if (a->window <= 0) return stop > 0;
    out[0].from = SC_MAX(first - (a->causal ? a->window - 1 : a->window / 2), 0);
    if (!a->causal) out[0].to = SC_MIN(stop, end + a->window / 2);
    out[1] = (sc_key_range){.from = 0, .to = SC_MIN(a->globals, stop)};
    return tidy(out, 2);
}

/* Keys of one query, in blocks of no pattern. */
static double keys_of(const sc_attention_attr *a, int64_t query, int64_t keys)
{
    if (a->causal) keys = SC_MIN(keys, query + 1);
    if (a->window <= 0) return (double)keys;
    sc_key_range r[2];
    double sum = 0;
    for (int64_t i = 0, n = sc_attention_keys(a, 0, query, query + 1, keys, r); i < n; i++)
        sum += (double)(r[i].to - r[i].from);
    return sum;
}

double sc_attention_pairs(const sc_attention_attr *a, int64_t first, int64_t end, int64_t keys)
{
    const sc_block_pattern *p = &a->blocks;
    double sum = 0;
    if (!p->size)
        for (int64_t i = first; i < end; i++) sum += keys_of(a, i, keys);
    sc_key_range *r = p->size ? sc_calloc((size_t)sc_attention_keys_most(a, keys) + 1, sizeof *r) : NULL;
    if (p->size && !r) return (double)(end - first) * (double)keys;
    for (int64_t i = first, next; p->size && i < end; i = next) {
        next = SC_MIN(end, (i / p->size + 1) * p->size);
        for (int64_t j = 0, n = sc_attention_keys(a, 0, i, next, keys, r); j < n; j++)
            sum += (double)(next - i) * (double)(r[j].to - r[j].from);
    }
    sc_free(r);
    return sum;
}

sc_status sc_attention_keys_check(const sc_attention_attr *a)
{
    const sc_block_pattern *p = &a->blocks;
    if (a->globals < 0 || (a->globals > 0 && a->window <= 0))
        return sc_fail(SC_EINVAL, "keys that all see, but no window");
    if (!p->size) return SC_OK;
    if (a->window > 0 || a->cross)
        return sc_fail(SC_EINVAL, "a pattern of blocks beside a window or another batch");
    if (p->size < 1 || p->near < 0 || p->first < 0 || p->last < 0 || p->random < 0 || p->again < 0 || p->dense < 0)
        return sc_fail(SC_EINVAL, "a pattern of blocks with a negative number");
    if (a->causal && (p->last || p->dense))
        return sc_fail(SC_EINVAL, "a causal pattern that asks for what follows");
    if (p->again && !p->first) return sc_fail(SC_EINVAL, "the first block is to count more but not seen");
    if (p->kind != SC_BLOCKS_LOCAL && (p->stride < 1 || p->summary < 0 || p->summary > p->stride))
        return sc_fail(SC_EINVAL, "a stride of %lld blocks, %lld of them seen by all", (long long)p->stride,
                       (long long)p->summary);
    return SC_OK;
}
