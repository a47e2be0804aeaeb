/* SPDX-License-Identifier: Apache-2.0 */
/* Attention with relative positions that have keys and queries of their own. A task is a head and a block of neighbouring
 * tokens. For a block and a tile of keys the distances are fewer than twice a tile's places, and their buckets are
 * neighbouring rows of the position tables, so only those rows are multiplied. Every score is one sum of whole products and
 * a query's softmax runs over its whole sequence, so the cut into blocks and tiles leaves no trace. */
#include "cpu/cpu.h"

#include <math.h>

enum { BLOCK = 64, SPAN = 2 * BLOCK };

static int64_t blocks(const sc_step *s) { return sc_tasks_of(s->in[0]->shape.dim[0], BLOCK); }
static int64_t tasks(const sc_step *s) { return blocks(s) * s->in[0]->shape.dim[1]; }

/* Rows of the position tables that a block and a tile need at most: one for each distance, but where so many buckets are
 * squeezed into so short a range that some distances skip one. */
static int64_t width(const sc_step *s)
{
    const sc_disentangled_attr *a = SC_ATTR(s, sc_disentangled_attr);
    const sc_tensor *rows = s->in[4] ? s->in[4] : s->in[5];
    if (!rows || a->buckets == 0 || a->farthest - 1 >= 3 * (a->buckets / 2)) return SPAN;
    return SC_MAX(rows->shape.dim[0], SPAN);
}

static int64_t scratch(const sc_step *s)
{
    return (BLOCK * s->in[0]->shape.dim[0] + 2 * BLOCK * width(s)) * (int64_t)sizeof(float);
}

/* The row of the position tables for a key `distance` places before the query. */
static int64_t row_of(const sc_disentangled_attr *a, int64_t half, int64_t distance)
{
    int64_t far = distance < 0 ? -distance : distance, mid = a->buckets / 2, bucket = far;
    if (a->buckets > 0 && far > mid)
        bucket = (int64_t)ceilf(logf((float)far / (float)mid) /
                                logf((float)((double)(a->farthest - 1) / (double)mid)) * (float)(mid - 1)) +
                 mid;
    int64_t row = half + (distance < 0 ? -bucket : bucket);
    return SC_MAX(SC_MIN(row, 2 * half - 1), 0);
}

/* Queries `first` … of n, against m keys from `key`, both counted in the sequence: the position terms into score. */
static void add_positions(const sc_step *s, const sc_kernels *kn, const float *q, const float *k, int64_t head,
                          int64_t first, int64_t n, int64_t key, int64_t m, float *score, int64_t ld, float *room)
{
    const sc_disentangled_attr *a = SC_ATTR(s, sc_disentangled_attr);
    const sc_tensor *rows = s->in[4] ? s->in[4] : s->in[5];
    int64_t half = rows->shape.dim[0] / 2, d = rows->shape.dim[2], place[SPAN];
    int64_t nearest = first - (key + m - 1); /* the smallest distance; there are n + m - 1 of them */
    for (int64_t i = 0; i < n + m - 1; i++) place[i] = row_of(a, half, nearest + i);
    int64_t low = place[0], count = place[n + m - 2] - low + 1, ldp = width(s);
    float *by_query = room, *by_key = room + BLOCK * ldp;
    const sc_tensor *pk = s->in[4], *pq = s->in[5];
    if (pk)
        kn->matmul_nt(n, count, d, q, s->in[0]->stride[0],
                      (const float *)s->in_data[4] + low * pk->stride[0] + head * pk->stride[1], pk->stride[0],
                      by_query, ldp);
    if (pq)
        kn->matmul_nt(m, count, d, k, s->in[1]->stride[0],
                      (const float *)s->in_data[5] + low * pq->stride[0] + head * pq->stride[1], pq->stride[0],
                      by_key, ldp);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < m; j++) {
            int64_t at = place[first + i - (key + j) - nearest] - low;
            if (pk) score[i * ld + j] += by_query[i * ldp + at];
            if (pq) score[i * ld + j] += by_key[j * ldp + at];
        }
}

/* Tokens first .. first + n of the sequence that begins at `start` and has `length` tokens. */
static void attend(const sc_step *s, const sc_kernels *kn, int64_t head, int64_t start, int64_t length,
                   int64_t first, int64_t n, float *room)
{
    const sc_tensor *tq = s->in[0], *tk = s->in[1], *tv = s->in[2];
    int64_t d = tq->shape.dim[2], out = tq->shape.dim[1] * d;
    const float *q = (const float *)s->in_data[0] + (start + first) * tq->stride[0] + head * tq->stride[1],
                *k = (const float *)s->in_data[1] + start * tk->stride[0] + head * tk->stride[1],
                *v = (const float *)s->in_data[2] + start * tv->stride[0] + head * tv->stride[1];
    float *score = room + 2 * BLOCK * width(s), *y = (float *)s->out_data + (start + first) * out + head * d;
    for (int64_t j = 0; j < length; j += BLOCK) {
        int64_t m = SC_MIN(length - j, BLOCK);
        kn->matmul_nt(n, m, d, q, tq->stride[0], k + j * tk->stride[0], tk->stride[0], score + j, length);
        if (s->in[4] || s->in[5])
            add_positions(s, kn, q, k + j * tk->stride[0], head, first, n, j, m, score + j, length, room);
    }
    for (int64_t i = 0; i < n; i++) {
        float *row = score + i * length;
        kn->scale(length, row, SC_ATTR(s, sc_disentangled_attr)->scale, row);
        float sum = kn->exp_sum(length, row, kn->max(length, row), row);
        kn->scale(length, row, 1 / sum, row);
        memset(y + i * out, 0, sizeof *y * (size_t)d);
    }
    kn->matmul_nn_acc(n, d, length, score, length, v, tv->stride[0], y, out);
}

static sc_status run(const sc_step *s, const sc_kernels *kn, int64_t begin, int64_t end, void *room)
{
    const int32_t *start = s->in_data[3];
    int64_t tokens = s->in[0]->shape.dim[0], heads = s->in[0]->shape.dim[1], sequences = s->in[3]->shape.dim[0] - 1;
    for (int64_t task = begin; task < end; task++) {
        int64_t first = task / heads * BLOCK, stop = SC_MIN(first + BLOCK, tokens);
        for (int64_t seq = 0; seq < sequences; seq++) {
            int64_t from = SC_MAX(first, start[seq]), to = SC_MIN(stop, start[seq + 1]);
            if (from < to)
                attend(s, kn, task % heads, start[seq], start[seq + 1] - start[seq], from - start[seq], to - from,
                       room);
        }
    }
    return SC_OK;
}

const sc_cpu_op sc_cpu_disentangled = {.tasks = tasks, .scratch = scratch, .run = run};
